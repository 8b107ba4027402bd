#!/usr/bin/env bash
# Checks the manifests of this folder against Kubernetes' own schemas, unknown fields included.
#
#   check.sh [FILE]...      those files instead
#
# Then it checks one that is broken in two ways, since a check that lets everything through looks the same.
# Needs python3 with venv, and for the first time pip: the validator is kept in the user's cache folder.
# The manifests' fields against the binary's are a test of their own, apps/factum/tests/manifests.rs.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

VERSION=1.37.0   # of the validator, and of Kubernetes
TOOL=${XDG_CACHE_HOME:-$HOME/.cache}/factum/kubernetes-validate-$VERSION

main() {
  [ $# -gt 0 ] || set -- "$HERE"/*.yaml
  validator
  valid "$@" || fail "not as Kubernetes $VERSION wants it (above)"
  refuses 's/^  replicas: .*/  replicas: "three"/' 'a number that is a text'
  refuses 's/^  replicas: .*/  replicsa: 3/' 'a field that does not exist'
  echo "$# files are as Kubernetes $VERSION wants them"
}

fail() { echo "check.sh: $*" >&2; exit 1; }

validator() {
  [ -f "$TOOL/complete" ] && return
  command -v python3 >/dev/null || fail "python3 is missing: install it (Debian: apt install python3 python3-venv)"
  mkdir -p "$(dirname "$TOOL")"
  # What was left of an installation that was cut off.
  rm -rf "$TOOL"
  python3 -m venv "$TOOL" >/dev/null || fail "python3 cannot make a virtual environment: install it (Debian: apt install python3-venv)"
  "$TOOL/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$VERSION" ||
    fail "pip could not install kubernetes-validate $VERSION (above)"
  touch "$TOOL/complete"
}

# Quiet: what is right is not listed.
valid() { "$TOOL/bin/kubernetes-validate" --strict --quiet --kubernetes-version "$VERSION" "$@"; }

refuses() { # a change to a good manifest, what it is
  local broken
  broken=$(mktemp --suffix .yaml)
  sed "$1" "$HERE/handler.yaml" >"$broken"
  ! cmp -s "$HERE/handler.yaml" "$broken" || fail "the self-check changes nothing in handler.yaml: mend it"
  if valid "$broken" >/dev/null 2>&1; then rm "$broken"; fail "the validator lets $2 through"; fi
  rm "$broken"
}

main "$@"
