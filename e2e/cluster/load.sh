#!/usr/bin/env bash
# load.sh FILE... : import image archives on every node.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HERE/worker.sh"

pids=()
for n in $WORKERS; do load_images "$n" "$@" & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; done
