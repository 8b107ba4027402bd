#!/usr/bin/env bash
# Clients in Java, Python and JavaScript work with the bank as any client may: by its topics and its schema
# registry, with the Kafka and Avro libraries of their language and nothing of ours.
#
#   tests/interop/run.sh BINARY
#
# BINARY is the program `factum`. KAFKA_BOOTSTRAP names a broker; without it one is started.
#
# Each client has two verbs. `publish` works on eight accounts of its own, and checks each answer: a deposit,
# a withdrawal with the version that it expects, one that is refused, one whose expected version is wrong, and
# the deposit once more under its id, which gets the first answer. `balances N` folds N events of all clients
# to a line for each account: its name, its balance, its version. These lines must be the same in every
# language, and those of the view.
#
# Then a client in Java of the bank's first version, which knows the first committed schemas and nothing later, reads
# the topic of the transform `v1`, in which the events of today are republished in their first shape: while they
# are, and while the transformer is killed twice. Counts and balances must be those of the events.
#
# Each language's libraries are fetched into the target folder once: from Maven Central, PyPI and npm. Where a
# language or its libraries cannot be had, the exit code is 3.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$HERE/../..
[ $# = 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 2; }
BINARY=$(realpath "$1")
LIBRARIES=${CARGO_TARGET_DIR:-$ROOT/target}/interop
WORK=$(mktemp -d "${TMPDIR:-/tmp}/factum-interop-XXXXXX")
CLIENTS=(java python node)
# Two of the five commands of an account cause an event.
EVENTS=$((${#CLIENTS[@]} * 8 * 2))
KAFKA_DATA='' UP='' TRANSFORM=''
# Deposits that are made while the transformer is killed.
DEPOSITS=3000

fail() { echo "interop: $*" >&2; exit 1; }
not_here() { echo "interop: $*" >&2; exit 3; }

cleanup() {
  local status=$?
  trap - EXIT
  [ -z "$TRANSFORM" ] || { kill -9 "$TRANSFORM" 2>/dev/null && wait "$TRANSFORM" 2>/dev/null; } || true
  [ -z "$UP" ] || { kill "$UP" 2>/dev/null && wait "$UP" 2>/dev/null; } || true
  [ -z "$KAFKA_DATA" ] || "$ROOT/deploy/kafka/kafka.sh" stop --data "$KAFKA_DATA" >/dev/null 2>&1 || true
  [ $status = 0 ] || cat "$WORK"/*.log >&2 2>/dev/null || true
  rm -rf "$WORK"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

libraries() {
  local need
  for need in java mvn python3 node npm curl; do
    command -v $need >/dev/null || not_here "$need is missing: install it (Debian: openjdk-17-jre-headless, maven, python3-venv, nodejs, npm, curl)"
  done
  mkdir -p "$LIBRARIES"
  if ! cmp -s "$HERE/java/pom.xml" "$LIBRARIES/java/pom.xml"; then
    rm -rf "$LIBRARIES/java"
    mvn -q -B -f "$HERE/java/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$LIBRARIES/java" ||
      not_here "Maven cannot fetch the jars (above)"
    cp "$HERE/java/pom.xml" "$LIBRARIES/java/"
  fi
  if ! cmp -s "$HERE/python/requirements.txt" "$LIBRARIES/python/requirements.txt"; then
    rm -rf "$LIBRARIES/python"
    { python3 -m venv "$LIBRARIES/python" &&
        "$LIBRARIES/python/bin/pip" install --quiet --disable-pip-version-check -r "$HERE/python/requirements.txt"; } ||
      not_here "pip cannot install (above)"
    cp "$HERE/python/requirements.txt" "$LIBRARIES/python/"
  fi
  # Node finds modules beside the program only.
  mkdir -p "$LIBRARIES/node"
  cp "$HERE/node/client.mjs" "$LIBRARIES/node/"
  if ! cmp -s "$HERE/node/package.json" "$LIBRARIES/node/package.json"; then
    cp "$HERE/node/package.json" "$LIBRARIES/node/"
    npm install --prefix "$LIBRARIES/node" --silent --no-audit --no-fund ||
      { rm "$LIBRARIES/node/package.json"; not_here "npm cannot install (above)"; }
  fi
}

client() { # language, arguments...
  local language=$1
  shift
  case $language in
    java) java -cp "$LIBRARIES/java/*" "$HERE/java/Client.java" "$@" ;;
    java-v1) java -cp "$LIBRARIES/java/*" "$HERE/java/FirstVersion.java" "$@" ;;
    python) "$LIBRARIES/python/bin/python" "$HERE/python/client.py" "$@" ;;
    node) node "$LIBRARIES/node/client.mjs" "$@" ;;
  esac
}

# The bank: handler, view, and the registry in the log, with its API.
start_bank() {
  if [ -z "${KAFKA_BOOTSTRAP:-}" ]; then
    KAFKA_DATA=$WORK/kafka
    KAFKA_BOOTSTRAP=$("$ROOT/deploy/kafka/kafka.sh" start --port "${KAFKA_PORT:-29392}" --data "$KAFKA_DATA" | tail -n 1)
  fi
  export KAFKA_BOOTSTRAP FACTUM_KAFKA=$KAFKA_BOOTSTRAP FACTUM_PREFIX="interop-$$-"
  "$BINARY" up --no-sample --http 127.0.0.1:0 --views "$WORK/views.sqlite" >/dev/null 2>"$WORK/up.log" &
  UP=$!
  local _ url=''
  for _ in $(seq 600); do
    kill -0 "$UP" 2>/dev/null || fail "factum up ended"
    url=$(grep -om1 'http://127\.0\.0\.1:[0-9]*' "$WORK/up.log" || true)
    [ -z "$url" ] || ! curl -fsS "$url/readyz" >/dev/null 2>&1 || break
    sleep 0.2
  done
  [ -n "$url" ] && curl -fsS "$url/readyz" >/dev/null || fail "the bank is not ready after two minutes"
  export REGISTRY_URL=$url/registry SCHEMAS=$ROOT/schemas/avsc TOPICS=${FACTUM_PREFIX}bank.account
}

# A transformer, under the same name again: it need not wait for its predecessor's session.
start_transform() { # more arguments...
  "$BINARY" transform v1 --instance-id interop "$@" >/dev/null 2>>"$WORK/transform.log" &
  TRANSFORM=$!
}

# How many records the reader of the first version has seen by now.
seen() { wc -l <"$WORK/v1"; }

# Until it has seen some more than before.
sees_more() { # than, at least
  local _
  for _ in $(seq 1200); do
    [ "$(seen)" -lt $(($1 + $2)) ] || return 0
    kill -0 "$TRANSFORM" 2>/dev/null || fail "factum transform ended by itself"
    sleep 0.1
  done
  fail "the reader of the first version saw $(seen) records and no more"
}

old_reader() {
  "$BINARY" topics create v1 >/dev/null
  # Those that are killed are slow, so that there is work left for the next one.
  local slowly=(--max-events-per-second 100)
  start_transform "${slowly[@]}"
  # Interest on an overdraft is two events today, and was one; a limit has another name.
  "$BINARY" publish bank.account v1-0 SetOverdraftLimit '{"cents": 500}' >/dev/null
  "$BINARY" publish bank.account v1-0 ChargeOverdraftInterest '{"cents": 7}' >/dev/null
  # As many records as there are events when all is over; each is a line.
  client java-v1 $((EVENTS + 2 + DEPOSITS)) >"$WORK/v1" 2>"$WORK/java-v1.log" &
  local reader=$! depositor kill
  sees_more 0 1
  python3 -c 'import sys
print("row,account,cents")
for row in range(int(sys.argv[1])): print(f"{row},v1-{row % 50},{1 + row % 7}")' "$DEPOSITS" >"$WORK/deposits.csv"
  "$BINARY" publish bank.account --file "$WORK/deposits.csv" --mapping "$HERE/deposits.toml" >"$WORK/deposits.log" 2>&1 &
  depositor=$!
  for kill in 1 2; do
    sees_more "$(seen)" 100
    kill -9 "$TRANSFORM"
    wait "$TRANSFORM" 2>/dev/null || true
    echo "interop: the transformer was killed with kill -9 after the reader had seen $(seen) records ($kill)"
    [ "$kill" = 2 ] || start_transform "${slowly[@]}"
  done
  start_transform
  wait "$depositor" || fail "the deposits were not accepted: $(cat "$WORK/deposits.log")"
  wait "$reader" || fail "the reader of the first version failed:"
  kill "$TRANSFORM" && wait "$TRANSFORM" || fail "factum transform did not end in good order"
  TRANSFORM=''
  # The same events as they are, read with today's schemas.
  client java events $((EVENTS + 3 + DEPOSITS)) >"$WORK/events" 2>"$WORK/java.log" || fail "the client in java cannot read:"
  sed '/ OverdraftInterestAccrued /d; s/ OverdraftInterestCollected / OverdraftInterestCharged /; s/ OverdraftLimitChanged / OverdraftLimitSet /' \
    "$WORK/events" | LC_ALL=C sort >"$WORK/events.sorted"
  LC_ALL=C sort "$WORK/v1" | diff "$WORK/events.sorted" - || fail "the events (<) and what the first version read of them (>) differ"
  echo "interop: a reader of the first version saw $(seen) records, each event once, through two kills of the transformer"
}

libraries
start_bank
waiting=()
for language in "${CLIENTS[@]}"; do
  client "$language" publish 2>"$WORK/$language.log" &
  waiting+=($!)
done
for index in "${!CLIENTS[@]}"; do
  wait "${waiting[$index]}" || fail "the client in ${CLIENTS[$index]} failed:"
  cat "$WORK/${CLIENTS[$index]}.log"
done
# The view may be a moment behind.
for _ in $(seq 300); do
  "$BINARY" query balances --json --limit 100 --views "$WORK/views.sqlite" |
    python3 -c 'import json, sys; [print(row["key"], row["balance"], row["entries"]) for row in map(json.loads, sys.stdin)]' |
    LC_ALL=C sort >"$WORK/view"
  [ "$(awk '{entries += $3} END {print entries + 0}' "$WORK/view")" -lt "$EVENTS" ] || break
  sleep 0.2
done
for language in "${CLIENTS[@]}"; do
  client "$language" balances "$EVENTS" >"$WORK/$language" 2>"$WORK/$language.log" || fail "the client in $language cannot read:"
  diff "$WORK/view" "$WORK/$language" || fail "the view (<) and the events as $language reads them (>) differ"
done
echo "interop: $(wc -l <"$WORK/view") accounts are the same in the view and in ${CLIENTS[*]}"
old_reader
