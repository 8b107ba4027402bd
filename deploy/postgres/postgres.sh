#!/usr/bin/env bash
# A PostgreSQL on this machine, for development and tests: its own data folder, its own port on
# 127.0.0.1, from the binaries that Debian installs, or as a container where there are none.
#
#   postgres.sh start       start (one that runs already is left alone)
#   postgres.sh stop        stop; the data folder stays
#   postgres.sh kill        end it as a crash does; `restart` brings it back
#   postgres.sh restart     stop at once, as a crash does, and start again
#   postgres.sh url         print the URL of the one that runs; fails if none does
#   postgres.sh delete      stop, and remove the data folder
#
# All take
#   --port P                the port (25432)
#   --data DIR              the data folder (target/postgres-PORT), which is what identifies it
# start also takes
#   --durable               keep what was committed over a power cut, as in production; without it, a
#                           crash of the machine (not of PostgreSQL) may lose everything
#   --secure                clients come by TLS and a password only: in the data folder's `secure` are ca.pem,
#                           the authority that they trust, and the password of the user factum. The
#                           server's certificate is for localhost and 127.0.0.1. Not in a container.
#   --set NAME=VALUE        a setting of PostgreSQL; may be repeated
#   --idle-minutes M        stop once nobody has touched the file in-use in the data folder for M minutes
#
# start, restart and url print the URL as their last line. Everybody on this machine can connect.
# PostgreSQL refuses to run as root; root's one runs as the user postgres, or $POSTGRES_USER.
# Environment: POSTGRES_BIN, the folder with initdb (the newest under /usr/lib/postgresql);
# POSTGRES_IMAGE, the image of the container (postgres:17).
set -euo pipefail
export LC_ALL=C

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
READY_SECONDS=60
# shellcheck source=deploy/kafka/secure.sh
. "$HERE/../kafka/secure.sh" # its certificates

main() {
  local command=${1:-help}
  [ $# -gt 0 ] && shift
  case $command in
    start) options "$@"; start ;;
    stop) options "$@"; stop fast ;;
    kill) options "$@"; stop immediate ;;
    restart) options "$@"; restart ;;
    url) options "$@"; runs || fail "none runs in $DATA: postgres.sh start --data $DATA"; url ;;
    delete) options "$@"; stop immediate; rm -rf "$DATA" ;;
    help | --help | -h) usage ;;
    *) usage >&2; exit 2 ;;
  esac
}

usage() { sed -n '2,/^set -/{/^#/{s/^# \{0,1\}//;p;}}' "${BASH_SOURCE[0]}"; }
fail() { echo "postgres.sh: $*" >&2; exit 1; }

options() {
  PORT='' DATA='' DURABLE='' SECURE='' IDLE_MINUTES='' SETTINGS=()
  while [ $# -gt 0 ]; do
    case $1 in
      --port) PORT=${2:?--port needs a number}; shift 2 ;;
      --data) DATA=${2:?--data needs a folder}; shift 2 ;;
      --durable) DURABLE=1; shift ;;
      --secure) SECURE=1; shift ;;
      --idle-minutes) IDLE_MINUTES=${2:?--idle-minutes needs a number}; shift 2 ;;
      --set) SETTINGS+=("${2:?--set needs NAME=VALUE}"); shift 2 ;;
      *) fail "$1 is no option; see postgres.sh help" ;;
    esac
  done
  # One that was started keeps its port.
  if [ -n "$DATA" ] && [ -z "$PORT" ] && [ -e "$DATA/port" ]; then PORT=$(cat "$DATA/port"); fi
  PORT=${PORT:-25432}
  case $PORT in '' | *[!0-9]*) fail "--port needs a number, not $PORT" ;; esac
  DATA=${DATA:-$ROOT/target/postgres-$PORT}
  BIN=${POSTGRES_BIN:-$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
}

url() {
  if [ -e "$DATA/secure" ]; then
    echo "postgres://factum@localhost:$PORT/postgres?sslmode=verify-full&sslrootcert=$DATA/secure/ca.pem"
  else
    echo "postgres://factum@127.0.0.1:$PORT/postgres"
  fi
}

as_owner() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid="${POSTGRES_USER:-postgres}" --regid="${POSTGRES_USER:-postgres}" --clear-groups "$@"
  else
    "$@"
  fi
}

has_docker() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }
container() { echo "factum-postgres-$PORT"; }

runs() {
  if [ -e "$DATA/container" ]; then
    [ "$(docker inspect -f '{{.State.Running}}' "$(container)" 2>/dev/null)" = true ]
  else
    [ -e "$DATA/data/PG_VERSION" ] && [ -n "$BIN" ] && (cd / && as_owner "$BIN/pg_ctl" -D "$DATA/data" status >/dev/null 2>&1)
  fi
}

start() {
  if runs; then url; return; fi
  mkdir -p "$DATA"
  DATA=$(cd "$DATA" && pwd)
  echo "$PORT" >"$DATA/port"
  local arguments=(-c "port=$PORT" -c max_connections=200) setting
  [ -n "$DURABLE" ] || arguments+=(-c fsync=off -c full_page_writes=off)
  for setting in "${SETTINGS[@]}"; do arguments+=(-c "$setting"); done
  printf '%s\n' "${arguments[@]}" >"$DATA/arguments"
  launch "${arguments[@]}"
  if [ -n "$IDLE_MINUTES" ]; then touch "$DATA/in-use"; watch_idle </dev/null >/dev/null 2>&1 & fi
  url
}

restart() {
  local arguments
  [ -e "$DATA/arguments" ] || fail "there is none in $DATA"
  mapfile -t arguments <"$DATA/arguments"
  DATA=$(cd "$DATA" && pwd)
  stop immediate
  launch "${arguments[@]}"
  url
}

watch_idle() {
  trap '' HUP
  while sleep 20 && runs; do
    if [ -z "$(find "$DATA/in-use" -mmin "-$IDLE_MINUTES" 2>/dev/null)" ]; then stop fast; return; fi
  done
}

launch() { # PostgreSQL's own arguments...
  if [ -n "$BIN" ] && [ -x "$BIN/initdb" ] && [ ! -e "$DATA/container" ]; then
    start_here "$@"
  elif [ -n "$SECURE" ]; then
    fail "--secure needs PostgreSQL's binaries on this machine: apt-get install postgresql"
  elif has_docker; then
    start_container "$@"
  else
    fail "there is no PostgreSQL on this machine: apt-get install postgresql (or name its binaries with POSTGRES_BIN, or start a Docker engine)"
  fi
}

start_here() { # PostgreSQL's own arguments...
  [ "$(id -u)" != 0 ] || chown "${POSTGRES_USER:-postgres}" "$DATA"
  if [ ! -e "$DATA/data/PG_VERSION" ]; then
    local login=(-A trust)
    if [ -n "$SECURE" ]; then secure_folder; login=(-A scram-sha-256 --pwfile "$DATA/secure/password"); fi
    (cd / && as_owner "$BIN/initdb" -D "$DATA/data" -U factum "${login[@]}" -N -E UTF8 --locale=C.UTF-8 --no-instructions) >"$DATA/initdb.log" 2>&1 ||
      fail "initdb failed: $(tail -n 3 "$DATA/initdb.log" | tr '\n' ' ')(a folder that ${POSTGRES_USER:-postgres} may not enter? --data names another)"
    # The sockets of two of them must not meet, and their folder's path may be too long for one.
    echo "unix_socket_directories = ''" >>"$DATA/data/postgresql.conf"
    echo "listen_addresses = '127.0.0.1'" >>"$DATA/data/postgresql.conf"
    if [ -n "$SECURE" ]; then
      printf '%s\n' 'ssl = on' "ssl_cert_file = '$DATA/secure/server.pem'" "ssl_key_file = '$DATA/secure/server.pem'" >>"$DATA/data/postgresql.conf"
      echo 'hostssl all all 127.0.0.1/32 scram-sha-256' >"$DATA/data/pg_hba.conf"
    fi
  fi
  (cd / && as_owner "$BIN/pg_ctl" -D "$DATA/data" -w -t "$READY_SECONDS" -l "$DATA/log" -o "$(printf "'%s' " "$@")" start) >/dev/null ||
    fail "it does not start on port $PORT: $(tail -n 2 "$DATA/log" | tr '\n' ' ')"
}

secure_folder() { # the authority, the server's certificate with its key, and a password, all the owner's
  mkdir -p "$DATA/secure"
  certificates "$DATA/secure" || fail "openssl could not make the certificates"
  mv "$DATA/secure/broker.pem" "$DATA/secure/server.pem"
  openssl rand -hex 16 >"$DATA/secure/password"
  chmod 600 "$DATA/secure"/*
  [ "$(id -u)" != 0 ] || chown -R "${POSTGRES_USER:-postgres}" "$DATA/secure"
}

start_container() { # PostgreSQL's own arguments...
  touch "$DATA/container"
  docker start "$(container)" >/dev/null 2>&1 ||
    docker run -d --name "$(container)" -p "127.0.0.1:$PORT:$PORT" -e POSTGRES_USER=factum -e POSTGRES_DB=postgres \
      -e POSTGRES_HOST_AUTH_METHOD=trust "${POSTGRES_IMAGE:-postgres:17}" "$@" >/dev/null
  local deadline=$((SECONDS + READY_SECONDS))
  until docker exec "$(container)" psql -h 127.0.0.1 -p "$PORT" -U factum -d postgres -c 'SELECT 1' >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || fail "the container does not get ready: docker logs $(container)"
    sleep 0.3
  done
}

stop() { # fast, or immediate
  if [ -e "$DATA/container" ]; then
    if [ "$1" = immediate ]; then docker kill "$(container)" >/dev/null 2>&1 || true; else docker stop "$(container)" >/dev/null 2>&1 || true; fi
  elif runs; then
    (cd / && as_owner "$BIN/pg_ctl" -D "$DATA/data" -w -m "$1" stop) >/dev/null
  fi
}

main "$@"
