#!/usr/bin/env bash
# Tests the gateway's pages in a real browser: run.sh [BINARY]. Needs node, npm and Chromium (CHROMIUM names it);
# PLAYWRIGHT names a folder where npm has installed playwright-core, else it is installed for this run.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BINARY=$(realpath "${1:-$HERE/../../target/debug/factum}")
FOLDER=$(mktemp -d)
UP=
finish() { if [ -n "$UP" ]; then kill "$UP" 2>/dev/null || true; wait "$UP" 2>/dev/null || true; fi; rm -rf "$FOLDER"; }
trap finish EXIT
cp "$HERE/demo.mjs" "$FOLDER/"
cd "$FOLDER"
if [ -n "${PLAYWRIGHT:-}" ]; then
  ln -s "$(realpath "$PLAYWRIGHT")/node_modules" node_modules
else
  npm install --no-save --silent playwright-core
fi
"$BINARY" up --memory --no-sample --http 127.0.0.1:0 2> up.log &
UP=$!
for _ in $(seq 300); do
  BASE=$(sed -n 's/^serving at //p' up.log)
  if [ -n "$BASE" ]; then node demo.mjs "$BASE"; exit; fi
  sleep 0.1
done
echo "up does not serve:"; cat up.log; exit 1
