#!/usr/bin/env bash
# down.sh : kill every box, remove namespaces, links, cgroups and state. Safe to run twice, and after a kill -9 of up.sh.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

for cgroup in "$CG/$C"-*/; do
  [ -d "$cgroup" ] || continue
  echo 1 > "$cgroup/cgroup.kill"
  # A killed process holds its cgroup until it is reaped.
  until_true 10 sh -c "find '$cgroup' -depth -type d -exec rmdir {} + 2> /dev/null; ! [ -d '$cgroup' ]"
done
if [ -e "/sys/class/net/$C-host" ]; then ip link del "$C-host"; fi
for netns in /run/netns/"$C"-*; do
  if [ -e "$netns" ]; then ip netns del "${netns##*/}"; fi
done
case $STATE in */clusters/*) rm -rf --one-file-system "$STATE" ;; esac

left=$(ls -d "$CG/$C"-* /run/netns/"$C"-* "/sys/class/net/$C-host" "$STATE" 2> /dev/null)
[ -z "$left" ] || { echo "left behind: $left" >&2; exit 1; }
