#!/usr/bin/env bash
# Starts the broker of an image that image.sh made, as the Kafka project's own image does: it stands at
# /etc/kafka/docker/run there, and a variable KAFKA_SOME_SETTING is the property some.setting.
set -euo pipefail
export LC_ALL=C   # the jars' order on the class path must not depend on the locale

PROPERTIES=/tmp/server.properties
: "${CLUSTER_ID:=5L6g3nShT-eMCtK--X86sw}" "${KAFKA_HEAP_OPTS:=-Xms256m -Xmx512m}"
# The name that Kafka 4 has no more, and testcontainers still gives.
[ -z "${KAFKA_BROKER_ID:-}" ] || export KAFKA_NODE_ID=${KAFKA_NODE_ID:-$KAFKA_BROKER_ID}
unset KAFKA_BROKER_ID
: "${KAFKA_NODE_ID:=1}" "${KAFKA_PROCESS_ROLES:=broker,controller}" "${KAFKA_LOG_DIRS:=/var/lib/kafka/data}"
: "${KAFKA_LISTENERS:=PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094}" "${KAFKA_CONTROLLER_LISTENER_NAMES:=CONTROLLER}"
: "${KAFKA_ADVERTISED_LISTENERS:=PLAINTEXT://localhost:9092}"
: "${KAFKA_LISTENER_SECURITY_PROTOCOL_MAP:=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT}"
: "${KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR:=1}" "${KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR:=1}"
: "${KAFKA_TRANSACTION_STATE_LOG_MIN_ISR:=1}"
[ -n "${KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS:-}" ] || : "${KAFKA_CONTROLLER_QUORUM_VOTERS:=$KAFKA_NODE_ID@localhost:9094}"

for variable in $(compgen -v KAFKA_); do
  case $variable in KAFKA_HEAP_OPTS | KAFKA_OPTS) continue ;; esac
  # ___ is a dash, __ an underscore, _ a dot.
  key=${variable#KAFKA_} key=${key//___/-} key=${key//__/%} key=${key//_/.} key=${key//%/_}
  printf '%s=%s\n' "${key,,}" "${!variable}"
done >"$PROPERTIES"

jars=$(printf '%s:' /opt/kafka/libs/*.jar)
java=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "${jars%:}" -Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml)
mkdir -p "$KAFKA_LOG_DIRS"
[ -f "$KAFKA_LOG_DIRS/meta.properties" ] ||
  "${java[@]}" -Xmx128m kafka.tools.StorageTool format --cluster-id "$CLUSTER_ID" --config "$PROPERTIES" --ignore-formatted
# These are several options each.
# shellcheck disable=SC2086
exec "${java[@]}" $KAFKA_HEAP_OPTS ${KAFKA_OPTS:-} kafka.Kafka "$PROPERTIES"
