#!/usr/bin/env bash
# A real Apache Kafka on this machine, for development and tests: one to nine combined KRaft nodes
# (broker and controller) as plain JVMs on 127.0.0.1, from the jars that the Kafka project publishes.
#
#   kafka.sh start [--brokers N] [--secure] [--set KEY=VALUE]... [--idle-minutes M] [--network A.B.C --namespaces NAME]
#                           start (a cluster that runs already is left alone)
#   kafka.sh stop           stop all brokers; a data folder that was not named is removed
#   kafka.sh status         what runs; fails unless all brokers do
#   kafka.sh kill N         kill -9 broker N
#   kafka.sh restart N      start broker N again (stopped in good order first, if it runs)
#   kafka.sh tools CLASS [ARGUMENT]...
#                           run one of Kafka's Java tools, e.g. org.apache.kafka.tools.TopicCommand
#   kafka.sh classpath      print the class path of the jars
#
# start, stop, status, kill and restart also take
#   --port P                the port of broker 1 (29092); broker N has P+N-1, the controllers follow
#   --data DIR              the data folder (target/kafka-PORT), which is what identifies a cluster
#
# start, status and restart print the bootstrap address as their last line. With --idle-minutes the
# cluster stops once nobody has touched the file `in-use` in the data folder for M minutes. With --secure
# clients need TLS, a password and permissions: start prints the folder with what they need (secure.sh).
# With --network and --namespaces broker N runs in the network namespace NAME-N, which exists, and listens
# on its address A.B.C.N there: whoever made the namespaces can cut it off (tests/faults/src/network.rs).
# Environment: KAFKA_HEAP (512m for one broker, else 256m), KAFKA_JVM_OPTIONS.
# Needs Java 17 or newer, for --secure openssl, and Maven for the first start (the jars are kept in the user's cache folder).
set -euo pipefail
export LC_ALL=C   # the jars' order on the class path must not depend on the locale

VERSION=4.3.0
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
JARS=${XDG_CACHE_HOME:-$HOME/.cache}/factum/kafka-$VERSION
READY_SECONDS=120
STOP_SECONDS=20
# shellcheck source-path=SCRIPTDIR
. "$HERE/secure.sh"

main() {
  local command=${1:-help}
  [ $# -gt 0 ] && shift
  case $command in
    tools) [ $# -gt 0 ] || fail "tools needs a class"; jars; tool "$@" ;;
    classpath) jars; classpath ;;
    start) options "$@"; start_all ;;
    stop) options "$@"; stop_all ;;
    status) options "$@"; status ;;
    kill) options "$@"; broker_exists; kill_broker KILL "$BROKER" ;;
    restart) options "$@"; broker_exists; restart ;;
    help | --help | -h) usage ;;
    *) usage >&2; exit 2 ;;
  esac
}

usage() { sed -n '2,/^set -/{/^#/{s/^# \{0,1\}//;p;}}' "${BASH_SOURCE[0]}"; }
fail() { echo "kafka.sh: $*" >&2; exit 1; }

options() {
  BROKERS='' PORT='' DATA='' BROKER='' IDLE_MINUTES='' SECURE='' TEMPORARY='' NETWORK='' NAMESPACES='' SETTINGS=()
  while [ $# -gt 0 ]; do
    case $1 in
      --brokers) BROKERS=${2:?--brokers needs a number}; shift 2 ;;
      --port) PORT=${2:?--port needs a number}; shift 2 ;;
      --data) DATA=${2:?--data needs a folder}; shift 2 ;;
      --set) SETTINGS+=("${2:?--set needs KEY=VALUE}"); shift 2 ;;
      --secure) SECURE=1; shift ;;
      --network) NETWORK=${2:?--network needs the first three numbers of an address}; shift 2 ;;
      --namespaces) NAMESPACES=${2:?--namespaces needs a name}; shift 2 ;;
      --idle-minutes) IDLE_MINUTES=${2:?--idle-minutes needs a number}; shift 2 ;;
      [1-9]) BROKER=$1; shift ;;
      *) fail "unknown option $1" ;;
    esac
  done
  case $BROKERS in '' | [1-9]) ;; *) fail "--brokers takes 1 to 9" ;; esac
  [ "${NETWORK:+1}" = "${NAMESPACES:+1}" ] || fail "--network and --namespaces go together"
  [ -z "$NETWORK" ] || [ -z "$SECURE" ] || fail "--secure is for brokers on 127.0.0.1: its certificates name no other address"
  if [ -z "$DATA" ]; then
    DATA=${CARGO_TARGET_DIR:-$ROOT/target}/kafka-${PORT:-29092} TEMPORARY=1
  fi
  # Processes are recognised by this path, so it has one form only.
  [ ! -d "$DATA" ] || DATA=$(cd "$DATA" && pwd -P)
  # What the cluster was started with decides, not what this call says.
  if [ -f "$DATA/cluster" ]; then
    local asked_brokers=$BROKERS asked_port=$PORT asked_secure=$SECURE
    # shellcheck disable=SC1091
    . "$DATA/cluster"
    [ -z "$asked_port" ] || [ "$asked_port" = "$PORT" ] || fail "$DATA is a cluster on port $PORT, not $asked_port"
    [ -z "$asked_brokers" ] || [ "$asked_brokers" = "$BROKERS" ] || fail "$DATA is a cluster of $BROKERS, not of $asked_brokers"
    [ -z "$asked_secure" ] || [ "$asked_secure" = "$SECURE" ] || fail "$DATA is a cluster without --secure"
  fi
  BROKERS=${BROKERS:-1} PORT=${PORT:-29092}
}

broker_exists() { [ -n "$BROKER" ] && [ -f "$DATA/$BROKER.properties" ] || fail "which broker? $DATA has $BROKERS"; }
client_host() { echo "${NETWORK:-127.0.0}.$([ -z "$NETWORK" ] && echo 1 || echo "$1")"; }
client_port() { echo $((PORT + $1 - 1)); }
client() { echo "$(client_host "$1"):$(client_port "$1")"; }
controller_port() { echo $((PORT + BROKERS + $1 - 1)); }
brokers() { seq "$BROKERS"; }
bootstrap() { local i list=; for i in $(brokers); do list+=${list:+,}$(client "$i"); done; echo "$list"; }

# --- jars ---------------------------------------------------------------------------------------

java_found() {
  command -v java >/dev/null || fail "java is missing: install a Java runtime, 17 or newer (Debian: apt install openjdk-17-jre-headless)"
  local major
  major=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
  case $major in '' | 1.* | *[!0-9]*) major=0 ;; esac
  [ "$major" -ge 17 ] || fail "java is too old for Kafka $VERSION: 17 or newer is needed"
}

jars() {
  java_found
  [ -f "$JARS/complete" ] && return
  command -v mvn >/dev/null || fail "mvn is missing: install Maven (Debian: apt install maven); it downloads Kafka $VERSION once, into $JARS"
  echo "kafka.sh: downloading Kafka $VERSION into $JARS" >&2
  mkdir -p "$(dirname "$JARS")"
  local new
  new=$(mktemp -d "$JARS.XXXXXX")
  mvn -q -B -f "$HERE/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$new" >"$new/mvn.log" 2>&1 ||
    { tail -20 "$new/mvn.log" >&2; rm -rf "$new"; fail "mvn could not download Kafka $VERSION (above)"; }
  touch "$new/complete"
  # Whoever of two comes second keeps the first one's.
  if [ -f "$JARS/complete" ]; then rm -rf "$new"; else rm -rf "$JARS"; mv "$new" "$JARS"; fi
}

tool() { exec java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$(classpath)" "-Dlog4j2.configurationFile=$HERE/log4j2-tools.yaml" "$@"; }

classpath() { local path; path=$(printf '%s:' "$JARS"/*.jar); echo "${path%:}"; }

# --- one broker ---------------------------------------------------------------------------------

pid_of() { # the process id of a broker that runs
  local pid
  pid=$(cat "$DATA/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  # A process id may belong to somebody else by now.
  case $(ps -p "$pid" -o args= 2>/dev/null) in *"kafka.Kafka $DATA/$1.properties"*) echo "$pid" ;; *) return 1 ;; esac
}

answers() { (exec 3<>"/dev/tcp/$(client_host "$1")/$(client_port "$1")") 2>/dev/null; }

write_properties() {
  local i=$1 j voters= replicas=$((BROKERS < 3 ? 1 : 3)) in_sync=$((BROKERS < 3 ? 1 : 2))
  for j in $(brokers); do voters+=${voters:+,}$j@$(client_host "$j"):$(controller_port "$j"); done
  cat >"$DATA/$i.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$i
broker.rack=rack-$i
controller.quorum.voters=$voters
$(if [ -n "$SECURE" ]; then secure_settings "$i"; else plain_settings "$i"; fi)
controller.listener.names=CONTROLLER
log.dirs=$DATA/$i
default.replication.factor=$replicas
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$replicas
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
PROPERTIES
  cat "$HERE/broker.properties" >>"$DATA/$i.properties"
  printf '%s\n' ${SETTINGS[@]+"${SETTINGS[@]}"} >>"$DATA/$i.properties"
}

plain_settings() { echo "listeners=PLAINTEXT://$(client "$1"),CONTROLLER://$(client_host "$1"):$(controller_port "$1")"; }

start_broker() {
  local i=$1 users=() there=() heap=${KAFKA_HEAP:-$([ "$BROKERS" = 1 ] && echo 512m || echo 256m)} java
  # These brokers live for minutes: the first compiler only and the serial collector start faster and leave the cores to the tests.
  read -ra java <<<"java ${KAFKA_JVM_OPTIONS--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
  java+=("-Dlog4j2.configurationFile=$HERE/log4j2.yaml" -cp "$(classpath)")
  if [ ! -f "$DATA/$i/meta.properties" ]; then
    [ -z "$SECURE" ] || mapfile -t users < <(secure_users)
    "${java[@]}" -Xmx128m kafka.tools.StorageTool format -t "$CLUSTER_ID" -c "$DATA/$i.properties" ${users[@]+"${users[@]}"} >"$DATA/$i.format.log" 2>&1 ||
      { tail -20 "$DATA/$i.format.log" >&2; fail "broker $i: the data folder could not be formatted"; }
  fi
  [ ! -f "$DATA/$i.log" ] || cat "$DATA/$i.log" >>"$DATA/$i.log.old"
  # `ip` becomes the broker: its process id is the broker's.
  [ -z "$NAMESPACES" ] || there=(ip netns exec "$NAMESPACES-$i")
  nohup ${there[@]+"${there[@]}"} "${java[@]}" "-Xms$heap" "-Xmx$heap" kafka.Kafka "$DATA/$i.properties" </dev/null >"$DATA/$i.log" 2>&1 &
  echo $! >"$DATA/$i.pid"
}

wait_ready() {
  local i=$1 deadline=$((SECONDS + READY_SECONDS))
  until grep -q 'Kafka Server started' "$DATA/$i.log" 2>/dev/null && answers "$i"; do
    kill -0 "$(cat "$DATA/$i.pid")" 2>/dev/null || { tail -20 "$DATA/$i.log" >&2; fail "broker $i died at start; its log is $DATA/$i.log"; }
    [ $SECONDS -lt $deadline ] || { tail -20 "$DATA/$i.log" >&2; fail "broker $i is not ready after $READY_SECONDS s; its log is $DATA/$i.log"; }
    sleep 0.1
  done
}

kill_broker() { # signal, broker; waits until it is gone
  local pid deadline=$((SECONDS + STOP_SECONDS))
  pid=$(pid_of "$2") || return 0
  kill "-$1" "$pid" 2>/dev/null || true
  # A dying JVM is a zombie, without arguments, while its other threads still hold the sockets.
  until gone "$pid" && ! answers "$2"; do
    [ $SECONDS -lt $deadline ] || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.05
  done
  rm -f "$DATA/$2.pid"
}

gone() { case $(ps -p "$1" -o stat= 2>/dev/null) in '' | Z*) return 0 ;; *) return 1 ;; esac; }

# --- all of them --------------------------------------------------------------------------------

start_all() {
  jars
  mkdir -p "$DATA"
  DATA=$(cd "$DATA" && pwd -P)
  local i new=
  for i in $(brokers); do
    pid_of "$i" >/dev/null && continue
    new=1
    ! answers "$i" || fail "port $(client_port "$i") is taken; choose another with --port"
  done
  if [ ! -f "$DATA/cluster" ]; then
    # 16 random bytes as Kafka writes ids; a leading dash would look like an option.
    CLUSTER_ID=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/0/')
    printf 'BROKERS=%s PORT=%s CLUSTER_ID=%s SECURE=%s TEMPORARY=%s NETWORK=%s NAMESPACES=%s\n' \
      "$BROKERS" "$PORT" "$CLUSTER_ID" "$SECURE" "$TEMPORARY" "$NETWORK" "$NAMESPACES" >"$DATA/cluster"
  fi
  touch "$DATA/in-use"
  [ -z "$SECURE" ] || secure_files
  if [ -n "$new" ]; then
    for i in $(brokers); do
      pid_of "$i" >/dev/null || { write_properties "$i"; start_broker "$i"; }
    done
    for i in $(brokers); do wait_ready "$i"; done
    # Permissions are part of the cluster's data: a second time changes nothing.
    [ -z "$SECURE" ] || secure_permissions
    [ -z "$IDLE_MINUTES" ] || watch_idle
  fi
  [ -z "$SECURE" ] || echo "$DATA/secure"
  bootstrap
}

restart() {
  jars
  kill_broker TERM "$BROKER"
  start_broker "$BROKER"
  wait_ready "$BROKER"
  bootstrap
}

stop_all() {
  local i pid
  [ -f "$DATA/cluster" ] || return 0
  # All at once: the last ones of a cluster cannot leave in good order, there is no quorum any more.
  for i in $(brokers); do ! pid=$(pid_of "$i") || kill -TERM "$pid" 2>/dev/null || true; done
  for i in $(brokers); do kill_broker TERM "$i"; done
  rm -f "$DATA/in-use"   # ends the watch
  [ "$TEMPORARY" != 1 ] || rm -rf "$DATA"
}

status() {
  local i pid down=0
  for i in $(brokers); do
    if pid=$(pid_of "$i") && answers "$i"; then echo "broker $i: process $pid, $(client "$i"), log $DATA/$i.log"
    else echo "broker $i: down"; down=1; fi
  done
  [ $down = 0 ] || return 1
  bootstrap
}

watch_idle() { # stops the cluster when nobody has touched `in-use` for a while
  nohup bash -c 'while sleep 20; do
    [ -f "$2/in-use" ] || exit 0
    [ -z "$(find "$2/in-use" -mmin "+$3")" ] || exec "$1" stop --data "$2"
  done' watch "$HERE/kafka.sh" "$DATA" "$IDLE_MINUTES" </dev/null >/dev/null 2>&1 &
}

main "$@"
