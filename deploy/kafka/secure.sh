# shellcheck shell=bash
# What `kafka.sh start --secure` adds: clients come by TLS and SCRAM-SHA-512 only, and may do what ACLs permit.
# kafka.sh reads this file. It lies in the data folder's `secure`, readable by its owner only:
#
#   ca.pem              the certificate authority that clients trust
#   client.properties   librdkafka's properties of the user `factum`, who may do everything with topics,
#                       groups and transactional ids named `factum.…`, and nothing with others
#   admin.properties    the same of the user `admin`, who may do everything, as Kafka's Java tools want it
#   broker.pem          the brokers' key and certificate
#
# Passwords are random. Controllers know each other and the brokers by certificate.

CERTIFICATE_DAYS=30

secure_files() { # makes them once, before the first broker is formatted
  umask 077   # the brokers' settings and data hold secrets too
  command -v openssl >/dev/null || fail "openssl is missing: install it (Debian: apt install openssl)"
  local dir=$DATA/secure new user
  [ ! -d "$dir" ] || return 0
  new=$(mktemp -d "$DATA/secure.XXXXXX")
  certificates "$new" || fail "openssl could not make the certificates"
  for user in admin factum; do openssl rand -hex 16 >"$new/$user.password"; done
  client_properties "$dir" "$(cat "$new/factum.password")" >"$new/client.properties"
  admin_properties "$dir" "$(cat "$new/admin.password")" >"$new/admin.properties"
  mv "$new" "$dir"
}

certificates() { # folder [names of the host]; PEM needs no keytool
  local at=$1 names=${2:-DNS:localhost,IP:127.0.0.1} key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  echo "subjectAltName=$names" >"$at/extensions"
  {
    openssl req -x509 "${key[@]}" -days "$CERTIFICATE_DAYS" -subj /CN=factum-local-ca -keyout "$at/ca.key" -out "$at/ca.pem" &&
      openssl req "${key[@]}" -subj /CN=broker -keyout "$at/broker.key" -out "$at/broker.csr" &&
      openssl x509 -req -in "$at/broker.csr" -CA "$at/ca.pem" -CAkey "$at/ca.key" -CAcreateserial -days "$CERTIFICATE_DAYS" \
        -extfile "$at/extensions" -out "$at/broker.crt"
  } 2>"$at/openssl.log" || { cat "$at/openssl.log" >&2; return 1; }
  cat "$at/broker.key" "$at/broker.crt" "$at/ca.pem" >"$at/broker.pem"
  # The authority's key goes too: nobody can sign with it later.
  rm -f "$at"/broker.{key,csr,crt} "$at"/ca.{key,srl} "$at"/{extensions,openssl.log}
}

client_properties() { # folder, password
  cat <<PROPERTIES
# The user factum, in the names of librdkafka.
bootstrap.servers=$(bootstrap)
security.protocol=SASL_SSL
ssl.ca.location=$1/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.username=factum
sasl.password=$2
PROPERTIES
}

admin_properties() { # folder, password
  cat <<PROPERTIES
# The user admin, in the names of Kafka's Java clients: --command-config of the tools.
security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location=$1/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$2";
PROPERTIES
}

secure_settings() { # broker; what its properties have beside the common ones
  local dir=$DATA/secure
  cat <<PROPERTIES
listeners=SASL_SSL://127.0.0.1:$(client_port "$1"),CONTROLLER://127.0.0.1:$(controller_port "$1")
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:SSL
inter.broker.listener.name=SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location=$dir/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/ca.pem
listener.name.controller.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.$(grep '^sasl.jaas.config=' "$dir/admin.properties")
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:CN=broker
PROPERTIES
}

secure_users() { # options of the format tool, one a line
  local user
  for user in admin factum; do
    printf '%s\n' --add-scram "SCRAM-SHA-512=[name=$user,password=$(cat "$DATA/secure/$user.password")]"
  done
}

secure_permissions() { # says that the user factum owns what is named factum.…
  (tool org.apache.kafka.tools.AclCommand --bootstrap-server "$(bootstrap)" --command-config "$DATA/secure/admin.properties" \
    --add --allow-principal User:factum --operation All --resource-pattern-type prefixed \
    --topic factum. --group factum. --transactional-id factum.) >"$DATA/secure/acl.log" 2>&1 ||
    { cat "$DATA/secure/acl.log" >&2; fail "the permissions of the user factum could not be made"; }
}
