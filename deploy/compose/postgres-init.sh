#!/usr/bin/env bash
# Makes the database of the views and its two roles, once: the image of PostgreSQL runs it when its
# data folder is new. factum_view owns the database, for it makes and alters the views' tables;
# factum_gateway can only read them.
set -euo pipefail

: "${POSTGRES_USER:=postgres}" "${DATABASE:=factum}"
for password in VIEW_PASSWORD GATEWAY_PASSWORD; do
  [ -n "${!password:-}" ] || { echo "postgres-init.sh: $password is not set: see secrets.env.example" >&2; exit 1; }
done

as_superuser() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"; }

# psql reads the passwords from its environment and quotes them: they are in no list of processes.
as_superuser --dbname postgres --set database="$DATABASE" <<'SQL'
\getenv view_password VIEW_PASSWORD
\getenv gateway_password GATEWAY_PASSWORD
CREATE ROLE factum_view LOGIN PASSWORD :'view_password';
CREATE ROLE factum_gateway LOGIN PASSWORD :'gateway_password';
CREATE DATABASE :"database" OWNER factum_view;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO factum_gateway;
SQL
as_superuser --dbname "$DATABASE" <<'SQL'
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO factum_view;
GRANT USAGE ON SCHEMA public TO factum_gateway;
-- Also the tables that factum_view has not made yet.
ALTER DEFAULT PRIVILEGES FOR ROLE factum_view IN SCHEMA public GRANT SELECT ON TABLES TO factum_gateway;
SQL
