#!/usr/bin/env bash
# Builds the image and starts it as the manifests do: another user than root, a root file system that
# cannot be written, no capabilities. BINARY, ENGINE and the rest are those of build.sh.
#
# Where no engine answers there is nothing to try: it says so and succeeds.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$HERE/engine.sh"

STOP_SECONDS=20
RIGHTS=(--read-only --cap-drop ALL --security-opt no-new-privileges --network none)

main() {
  ENGINE=$(engine) || { echo "not tried: $NO_ENGINE"; exit 0; }
  export ENGINE
  image=$("$HERE/build.sh")
  image=${image##*$'\n'}
  name=factum-try-$$
  trap clean EXIT
  it_is_the_version
  it_is_not_root
  it_keeps_what_it_wrote
  it_ends_in_good_order
  echo "$image was tried with $ENGINE: $("$ENGINE" image inspect --format '{{.Size}}' "$image" | numfmt --to=iec) on disk"
}

fail() { echo "try.sh: $*" >&2; exit 1; }
clean() { "$ENGINE" rm --force "$name" >/dev/null 2>&1 || true; "$ENGINE" volume rm --force "$name" >/dev/null 2>&1 || true; }
run() { "$ENGINE" run --name "$name" "${RIGHTS[@]}" --volume "$name:/var/lib/factum" "$@"; }

it_is_the_version() {
  local said
  said=$(run --rm "$image" --version)
  [ "$said" = "factum ${image##*:}" ] || fail "--version says: $said"
}

it_is_not_root() {
  local user
  user=$("$ENGINE" image inspect --format '{{.Config.User}}' "$image")
  case $user in '' | 0 | 0:* | *[!0-9:]*) fail "the image's user is '$user', not a number above 0" ;; esac
}

# Twice on one volume: the second time it finds the first time's records.
it_keeps_what_it_wrote() {
  local said
  said=$(run --rm "$image" up --until-idle 2>&1) || fail "up --until-idle fails: $said"
  { grep -Eq ' [1-9][0-9]* accepted' <<<"$said" && grep -Eq '^balances \([1-9][0-9]* rows shown\)' <<<"$said"; } ||
    fail "up --until-idle says: $said"
  said=$(run --rm "$image" up --until-idle 2>&1) || fail "the second up --until-idle fails: $said"
  grep -q 'records of earlier runs' <<<"$said" || fail "the second up --until-idle finds nothing of the first: $said"
}

# SIGTERM reaches it, and it ends by itself.
it_ends_in_good_order() {
  local began code deadline=$((SECONDS + 30))
  run --detach "$image" up --no-sample >/dev/null
  until "$ENGINE" logs "$name" 2>&1 | grep -q '^ready'; do
    [ $SECONDS -lt $deadline ] || fail "up is not ready: $("$ENGINE" logs "$name" 2>&1)"
    sleep 0.2
  done
  began=$SECONDS
  "$ENGINE" stop --time $STOP_SECONDS "$name" >/dev/null
  code=$("$ENGINE" inspect --format '{{.State.ExitCode}}' "$name")
  [ "$code" = 0 ] || fail "it ended with code $code $((SECONDS - began)) s after SIGTERM: $("$ENGINE" logs "$name" 2>&1)"
}

main "$@"
