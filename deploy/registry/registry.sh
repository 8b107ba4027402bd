#!/usr/bin/env bash
# A schema registry of other people's making on this machine, for development and tests: Apicurio Registry
# as a plain JVM on 127.0.0.1, from the archive that its project publishes. It has Confluent's API.
#
#   registry.sh start       start (one that runs already is left alone)
#   registry.sh stop        stop; a data folder that was not named is removed
#   registry.sh kill        end it as a crash does
#   registry.sh url         print the address of the one that runs; fails if none does
#
# All take
#   --port P                the port (28081)
#   --data DIR              the folder for its log (target/registry-PORT), which is what identifies it
#   --keep                  with start: keep the schemas in the data folder, also over a crash
#
# start and url print the address as their last line, for `factum --registry` or the tests' variable
# FACTUM_TEST_REGISTRY. Without --keep its schemas are in memory: one that stops forgets them.
# Where its archive cannot be downloaded the exit code is 3.
#
# With a container engine and its project's image, the same without Java and Maven is
#   docker run --rm -p 127.0.0.1:28081:8080 apicurio/apicurio-registry-mem:2.6.13.Final
# and the address http://127.0.0.1:28081/apis/ccompat/v7.
#
# Environment: REGISTRY_HEAP (256m), REGISTRY_JVM_OPTIONS.
# Needs Java 17 or newer, and Maven for the first start (the archive is kept in the user's cache folder).
set -euo pipefail
export LC_ALL=C

VERSION=2.6.13.Final
SHA256=3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
PROGRAM=${XDG_CACHE_HOME:-$HOME/.cache}/factum/apicurio-$VERSION
JAR=$PROGRAM/apicurio-registry-app-$VERSION-runner.jar
READY_SECONDS=120
STOP_SECONDS=20

main() {
  local command=${1:-help}
  [ $# -gt 0 ] && shift
  case $command in
    start) options "$@"; start ;;
    stop) options "$@"; stop TERM ;;
    kill) options "$@"; stop KILL ;;
    url) options "$@"; { pid_of >/dev/null && answers; } || fail "none runs in $DATA: registry.sh start --data $DATA"; url ;;
    help | --help | -h) usage ;;
    *) usage >&2; exit 2 ;;
  esac
}

usage() { sed -n '2,/^set -/{/^#/{s/^# \{0,1\}//;p;}}' "${BASH_SOURCE[0]}"; }
fail() { echo "registry.sh: $*" >&2; exit 1; }
not_here() { echo "registry.sh: $*" >&2; exit 3; }
url() { echo "http://127.0.0.1:$PORT/apis/ccompat/v7"; }

options() {
  PORT='' DATA='' TEMPORARY='' KEEP=''
  while [ $# -gt 0 ]; do
    case $1 in
      --port) PORT=${2:?--port needs a number}; shift 2 ;;
      --data) DATA=${2:?--data needs a folder}; shift 2 ;;
      --keep) KEEP=1; shift ;;
      *) fail "$1 is no option; see registry.sh help" ;;
    esac
  done
  if [ -z "$DATA" ]; then DATA=${CARGO_TARGET_DIR:-$ROOT/target}/registry-${PORT:-28081} TEMPORARY=1; fi
  # One that was started keeps its port.
  if [ -z "$PORT" ] && [ -e "$DATA/port" ]; then PORT=$(cat "$DATA/port"); fi
  PORT=${PORT:-28081}
  case $PORT in *[!0-9]*) fail "--port needs a number, not $PORT" ;; esac
  # The process is recognised by this path, so it has one form only.
  [ ! -d "$DATA" ] || DATA=$(cd "$DATA" && pwd -P)
}

# --- its program --------------------------------------------------------------------------------

program() {
  command -v java >/dev/null || fail "java is missing: install a Java runtime, 17 or newer (Debian: apt install openjdk-17-jre-headless)"
  [ -f "$PROGRAM/complete" ] && return
  command -v mvn >/dev/null || fail "mvn is missing: install Maven (Debian: apt install maven); it downloads Apicurio $VERSION once, into $PROGRAM"
  echo "registry.sh: downloading Apicurio $VERSION (142 MB) into $PROGRAM" >&2
  mkdir -p "$(dirname "$PROGRAM")"
  local new archive
  new=$(mktemp -d "$PROGRAM.XXXXXX")
  archive=$new/apicurio-registry-app-$VERSION-all.tar.gz
  mvn -q -B dependency:copy "-Dartifact=io.apicurio:apicurio-registry-app:$VERSION:tar.gz:all" "-DoutputDirectory=$new" >"$new/mvn.log" 2>&1 ||
    { tail -20 "$new/mvn.log" >&2; rm -rf "$new"; not_here "mvn could not download Apicurio $VERSION (above)"; }
  echo "$SHA256  $archive" | sha256sum --check --quiet >&2 ||
    { rm -rf "$new"; fail "what Maven gave is not Apicurio $VERSION: its SHA-256 is another; remove io/apicurio from Maven's local repository and try again"; }
  tar xzf "$archive" -C "$new"
  rm "$archive"
  touch "$new/complete"
  # Whoever of two comes second keeps the first one's.
  if [ -f "$PROGRAM/complete" ]; then rm -rf "$new"; else rm -rf "$PROGRAM"; mv "$new" "$PROGRAM"; fi
}

# --- its process --------------------------------------------------------------------------------

pid_of() { # the process id of the one that runs
  local pid
  pid=$(cat "$DATA/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  # A process id may belong to somebody else by now.
  case $(ps -p "$pid" -o args= 2>/dev/null) in *"-Dfactum.data=$DATA "*) echo "$pid" ;; *) return 1 ;; esac
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }
answers() { curl -fsS -m 5 -o "$DATA/answer" "$(url)/subjects" 2>/dev/null; }

start() {
  command -v curl >/dev/null || fail "curl is missing: install it (Debian: apt install curl)"
  program
  mkdir -p "$DATA"
  DATA=$(cd "$DATA" && pwd -P)
  if ! pid_of >/dev/null; then
    ! listens || fail "port $PORT is taken; choose another with --port"
    echo "$PORT" >"$DATA/port"
    launch
  fi
  wait_ready
  url
}

launch() {
  local java
  # It lives for minutes: the first compiler only and the serial collector start faster and leave the cores to the tests.
  read -ra java <<<"java -Xmx${REGISTRY_HEAP:-256m} ${REGISTRY_JVM_OPTIONS--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
  # It denies deletion by its default. Nothing of it is told to anybody, and it listens on this machine alone.
  java+=("-Dfactum.data=$DATA" -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$PORT"
    -Dregistry.rest.artifact.deletion.enabled=true)
  # The database that it has in memory otherwise, in a file to which every change is written at once.
  [ -z "$KEEP" ] || java+=("-Dquarkus.datasource.jdbc.url=jdbc:h2:file:$DATA/schemas;WRITE_DELAY=0")
  (cd "$PROGRAM" && exec nohup "${java[@]}" -jar "$JAR" </dev/null >"$DATA/log" 2>&1) &
  echo $! >"$DATA/pid"
}

wait_ready() {
  local deadline=$((SECONDS + READY_SECONDS))
  until answers; do
    kill -0 "$(cat "$DATA/pid")" 2>/dev/null || { tail -20 "$DATA/log" >&2; fail "Apicurio died at start; its log is $DATA/log"; }
    [ $SECONDS -lt $deadline ] || { tail -20 "$DATA/log" >&2; fail "Apicurio is not ready after $READY_SECONDS s; its log is $DATA/log"; }
    sleep 0.2
  done
}

stop() { # signal
  local pid deadline=$((SECONDS + STOP_SECONDS))
  if pid=$(pid_of); then
    kill "-$1" "$pid" 2>/dev/null || true
    until gone "$pid"; do
      [ $SECONDS -lt $deadline ] || kill -KILL "$pid" 2>/dev/null || true
      sleep 0.05
    done
  fi
  rm -f "$DATA/pid"
  [ -z "$TEMPORARY" ] || [ "$1" = KILL ] || rm -rf "$DATA"
}

gone() { case $(ps -p "$1" -o stat= 2>/dev/null) in '' | Z*) return 0 ;; *) return 1 ;; esac; }

main "$@"
