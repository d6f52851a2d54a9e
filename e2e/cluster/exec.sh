#!/usr/bin/env bash
# exec.sh BOX COMMAND... : run a command in a box, as a process of that node; or in `client`, the outside.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

box=$1; shift
[ -e "/run/netns/$C-$box" ] || { echo "cluster $NAME has no box $box" >&2; exit 1; }
if [ -s "$STATE/$box/init.pid" ]; then in_box "$box" "$@"; else exec nsenter --net="/run/netns/$C-$box" -- "$@"; fi
