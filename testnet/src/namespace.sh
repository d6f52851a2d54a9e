# Makes and holds one namespace of a lab. Its standard input is a pipe from the lab's owner: when that ends, however it ends, so
# do this process and everything else in its control group. $1 is the host's name, $2 its control group, $3 `node` or `host`.
set -eu
if [ "${4:-}" != inside ]; then
    echo $$ >"$2/cgroup.procs"
    [ "$3" = host ] || exec unshare --net --uts --mount --cgroup sh -c "$0" "$0" "$1" "$2" "$3" inside
    exec unshare --net --uts sh -c "$0" "$0" "$1" "$2" "$3" inside
fi
hostname "$1"
ip link set lo up
# Addresses are given by plan: without this every link would wait a second before it speaks IPv6. The kernel still passes an
# address through a work queue before it can be bound to; `nodad` at each address (lab.rs, node.rs) makes it usable at once.
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
kill=$2/cgroup.kill
if [ "$3" = node ]; then
    # As on a machine of its own: devices, control groups and pinned eBPF objects are this node's only.
    umount -R -l /sys
    mount -t sysfs sysfs /sys
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t bpf bpf /sys/fs/bpf
    mount -t tmpfs tmpfs /run
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    kill=/sys/fs/cgroup/cgroup.kill
fi
echo ready
cat >/dev/null
echo 1 >"$kill"
