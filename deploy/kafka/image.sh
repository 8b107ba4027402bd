#!/usr/bin/env bash
# Builds a stand-in for the image apache/kafka where it cannot be pulled: Debian's minimal system and
# Java runtime, the jars of kafka.sh, and a start script that reads the same variables. For tests only.
#
#   image.sh [NAME]         build it (apache/kafka:VERSION, the version that kafka.sh has), prints the name
#
# Needs root, debootstrap, Docker, and what kafka.sh needs for its jars. Takes two to three minutes the
# first time; the system is kept in the user's cache folder (300 MB), and then it takes seconds.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SUITE=bookworm
JAVA=openjdk-17-jre-headless
SYSTEM=${XDG_CACHE_HOME:-$HOME/.cache}/factum/kafka-image-$SUITE-$JAVA.tar
WORK=''

main() {
  local name=${1:-apache/kafka:$(sed -n 's/^VERSION=//p' "$HERE/kafka.sh")}
  docker info >/dev/null 2>&1 || fail "no Docker engine answers"
  # Before anything that takes minutes.
  local jars
  jars=$("$HERE/kafka.sh" classpath)
  WORK=$(mktemp -d)
  trap clean EXIT
  [ -f "$SYSTEM" ] || make_system
  add_kafka "$jars"
  tar --concatenate --file "$WORK/image.tar" "$WORK/kafka.tar"
  docker import --change 'ENV LANG=C.UTF-8' --change 'EXPOSE 9092' --change 'CMD ["/etc/kafka/docker/run"]' \
    "$WORK/image.tar" "$name" >/dev/null
  echo "$name"
}

fail() { echo "image.sh: $*" >&2; exit 1; }
clean() { ! mountpoint -q "$WORK/system/proc" || umount "$WORK/system/proc"; rm -rf "$WORK"; }

make_system() {
  [ "$(id -u)" = 0 ] || fail "the image's system can only be made by root"
  command -v debootstrap >/dev/null || fail "debootstrap is missing: install it (Debian: apt install debootstrap)"
  local system=$WORK/system
  echo "image.sh: making Debian $SUITE with $JAVA, once" >&2
  debootstrap --variant=minbase "$SUITE" "$system" >"$WORK/log" 2>&1 || { tail -5 "$WORK/log" >&2; fail "debootstrap failed (above)"; }
  # The Java package wants folders that the minimal system leaves out, and to see processes.
  mkdir -p "$system"/usr/share/man/man{1,7}
  mount -t proc proc "$system/proc"
  chroot "$system" sh -c "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -qqy --no-install-recommends $JAVA && apt-get clean" \
    >"$WORK/log" 2>&1 || { tail -5 "$WORK/log" >&2; fail "$JAVA could not be installed (above)"; }
  umount "$system/proc"
  rm -rf "$system"/var/lib/apt/lists/* "$system"/var/cache/* "$system"/usr/share/{doc,man,locale,info}
  mkdir -p "$(dirname "$SYSTEM")"
  tar --directory "$system" --create --file "$WORK/system.tar" .
  mv "$WORK/system.tar" "$SYSTEM"
}

add_kafka() { # class path
  local kafka=$WORK/kafka jars
  mkdir -p "$kafka"/{opt/kafka/libs,etc/kafka/docker}
  IFS=: read -ra jars <<<"$1"
  cp "${jars[@]}" "$kafka/opt/kafka/libs/"
  cp "$HERE/log4j2.yaml" "$kafka/opt/kafka/"
  install --mode=755 "$HERE/image-run.sh" "$kafka/etc/kafka/docker/run"
  cp "$SYSTEM" "$WORK/image.tar"
  # Its owner is root there, whoever builds it. The folders above these two are the system's, and an
  # archive for Docker names none twice.
  tar --directory "$kafka" --owner=0 --group=0 --create --file "$WORK/kafka.tar" ./opt/kafka ./etc/kafka
}

main "$@"
