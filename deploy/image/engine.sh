# Which container engine answers; read by the scripts beside it.
# shellcheck shell=bash

# shellcheck disable=SC2034  # for those scripts
NO_ENGINE="no container engine answers: start Docker or Podman, or name one with ENGINE=docker or ENGINE=podman"

# The name of the first engine that answers.
engine() {
  local one
  for one in ${ENGINE:-docker podman}; do
    if command -v "$one" >/dev/null && "$one" info >/dev/null 2>&1; then echo "$one"; return; fi
  done
  return 1
}
