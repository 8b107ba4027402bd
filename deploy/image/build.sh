#!/usr/bin/env bash
# Builds the image factum:VERSION from scratch: the binary, the shared libraries that it loads, and the
# certificates of public authorities. Nothing is pulled.
#
#   build.sh                build the release binary, and the image of it; prints the image's name
#
# Environment:
#   BINARY      a binary that is built already, for this machine's kind of processor
#   FEATURES    Cargo features of the build (tls, which needs OpenSSL's headers; empty for none)
#   ENGINE      docker or podman (the first of them that answers)
#   IMAGE       the image's name (factum); its tag is the binary's version
# The image has the C library of the machine that built it. Its one large layer depends on nothing but the
# files in it, so a registry that has it is not sent it again.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
IMAGE=${IMAGE:-factum}
CONTEXT=''
# shellcheck source-path=SCRIPTDIR
. "$HERE/engine.sh"

main() {
  [ $# = 0 ] || { usage >&2; exit 2; }
  local engine binary version
  engine=$(engine) || fail "$NO_ENGINE"
  binary=$(binary)
  version=$("$binary" --version) || fail "$binary does not run here"
  version=${version##* }
  CONTEXT=$(mktemp -d)
  trap 'rm -rf "$CONTEXT"' EXIT
  lay_out "$binary"
  # The older of Docker's builders is there without a plug-in, and does all that is needed.
  DOCKER_BUILDKIT=0 "$engine" build --quiet --tag "$IMAGE:$version" --label "org.opencontainers.image.version=$version" \
    --label org.opencontainers.image.title=factum --label 'org.opencontainers.image.licenses=MIT OR Apache-2.0' \
    "$CONTEXT" >"$CONTEXT/build.log" 2>&1 || { tail -20 "$CONTEXT/build.log" >&2; fail "$engine could not build the image (above)"; }
  echo "$IMAGE:$version"
}

usage() { sed -n '2,/^set -/{/^#/{s/^# \{0,1\}//;p;}}' "${BASH_SOURCE[0]}"; }
fail() { echo "build.sh: $*" >&2; exit 1; }

binary() {
  if [ -z "${BINARY:-}" ]; then
    command -v cargo >/dev/null || fail "cargo is missing: install Rust, or name a binary with BINARY=path"
    (cd "$ROOT" && cargo build --locked --release -p factum-cli --features "${FEATURES-tls}") >&2 || fail "cargo could not build the binary (above)"
    BINARY=${CARGO_TARGET_DIR:-$ROOT/target}/release/factum
  fi
  [ -x "$BINARY" ] || fail "$BINARY is no program"
  realpath "$BINARY"
}

lay_out() { # binary
  local root=$CONTEXT/root library
  mkdir -p "$root"/{usr/bin,etc/ssl/certs,tmp} "$CONTEXT/data"
  cp "$HERE/Dockerfile" "$CONTEXT/"
  cp "$1" "$root/usr/bin/factum"
  # Symbols are for debuggers; they are half of the file.
  ! command -v strip >/dev/null || strip "$root/usr/bin/factum"
  libraries "$1" >"$CONTEXT/libraries"
  while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
  done <"$CONTEXT/libraries"
  cp --dereference "$(certificates)" "$root/etc/ssl/certs/ca-certificates.crt"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  chmod -R u=rwX,go=rX "$root" "$CONTEXT/data"
  chmod 1777 "$root/tmp"
  find "$root" "$CONTEXT/data" -exec touch --no-dereference --date=@0 {} +
}

# What the binary loads, by path: what it is linked with, and what the C library loads to look up names.
libraries() {
  local listed beside name
  listed=$(ldd "$1" 2>&1) || { case $listed in *'not a dynamic'*) return ;; esac; fail "ldd: $listed"; }
  ! grep 'not found' <<<"$listed" >&2 || fail "the binary needs libraries that are not here (above)"
  listed=$(sed -nE 's#^[^/]*(/[^ ]+) \(0x.*#\1#p' <<<"$listed")
  echo "$listed"
  beside=$(dirname "$(grep '/libc\.so' <<<"$listed")")
  # Part of the C library itself since glibc 2.34.
  for name in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
    [ ! -e "$beside/$name" ] || echo "$beside/$name"
  done
}

certificates() {
  local file
  for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -s "$file" ]; then echo "$file"; return; fi
  done
  fail "there are no certificates of public authorities here (Debian: apt install ca-certificates)"
}

main "$@"
