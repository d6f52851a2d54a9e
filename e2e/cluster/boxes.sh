# The underlay, and boxes: what a node or the control plane lives in. Sourced by up.sh.

# One namespace with a bridge, and a link from it to this machine so that kubectl reaches the API server.
underlay() {
  ip netns add "$C-lan"
  ip -n "$C-lan" link set lo up
  ip -n "$C-lan" link add br0 type bridge
  ip -n "$C-lan" link set br0 up
  ip link add "$C-host" type veth peer name host netns "$C-lan"
  ip -n "$C-lan" link set host master br0 up
  ip addr add "$NET.1/24" dev "$C-host"
  ip link set "$C-host" up
}

# plug NAME : a network namespace with eth0 in the underlay.
plug() {
  ip netns add "$C-$1"
  ip -n "$C-lan" link add "$1" type veth peer name eth0 netns "$C-$1"
  ip -n "$C-lan" link set "$1" master br0 up
  ip -n "$C-$1" link set lo up
  ip -n "$C-$1" addr add "$(ip_of "$1")/24" dev eth0
  ip -n "$C-$1" link set eth0 up
}

# box NAME : namespaces, cgroup and PID 1.
box() {
  local n=$1 s=$STATE/$1 i
  mkdir -p "$s" "$CG/$C-$n/init"
  plug "$n"
  # Nothing forwards there; programs that look for a default route find one.
  ip -n "$C-$n" route add default via "$NET.1"
  nsenter --net="/run/netns/$C-$n" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
  # The cgroup namespace takes its root from where this process sits: be in $C-$n first, move down to init afterwards.
  ( echo "$BASHPID" > "$CG/$C-$n/cgroup.procs"
    exec env -i PATH="$PATH" HOME=/root setsid nsenter --net="/run/netns/$C-$n" \
      unshare --mount --uts --ipc --pid --cgroup --fork --kill-child "$HERE/box-init.sh" "$n" "$s" ) >> "$s/init.log" 2>&1 < /dev/null &
  local outer=$!
  disown $outer
  until_true 10 test -e "$s/ready" || { cat "$s/init.log" >&2; exit 1; }
  i=$(cat "/proc/$outer/task/$outer/children")
  echo "${i%% *}" > "$s/init.pid"
  while read -r i; do echo "$i" > "$CG/$C-$n/init/cgroup.procs" || true; done < "$CG/$C-$n/cgroup.procs" 2> /dev/null
  for i in $CONTROLLERS; do echo "+$i" > "$CG/$C-$n/cgroup.subtree_control"; done
}

# A machine with real cgroup v2 hands its controllers down to the boxes; on a hybrid one they are bound to v1.
delegate_controllers() {
  CONTROLLERS=
  grep -qw memory "$CG/cgroup.controllers" || return 0
  local i
  for i in cpu cpuset memory pids io hugetlb; do
    if grep -qw "$i" "$CG/cgroup.controllers"; then echo "+$i" > "$CG/cgroup.subtree_control"; CONTROLLERS+="$i "; fi
  done
}

# Pods are reached through the node that has them, from the other nodes and from the control plane (webhooks).
pod_routes() {
  local n m
  for n in cp $WORKERS; do
    for m in $WORKERS; do
      [ "$n" = "$m" ] || ip -n "$C-$n" route add "$(pods_of "$m")" via "$(ip_of "$m")"
    done
  done
}
