#!/bin/sh
# The first process of a machine that runs the tests: mounts what a system has, loads what the kernel does not load by itself, and
# ends with a line that says what came of the tests.
export PATH=/bin:/sbin HOME=/root RUST_BACKTRACE=0
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
ln -s /proc/self/fd/0 /dev/stdin
# A kernel that is asked for a kind of device, or a table, loads its module, but whoever asks meanwhile is told that there is none.
for module in veth bridge br_netfilter dummy macvlan vxlan 8021q wireguard ip_vs ip_vs_rr nf_tables nft_ct nft_chain_nat nft_masq \
    nft_reject_inet nft_tproxy nft_compat iptable_nat iptable_filter ip6table_nat ip6table_filter xt_conntrack xt_mark xt_MASQUERADE xt_nat \
    xt_statistic xt_tcpudp sch_ingress cls_bpf inet_diag tcp_diag nf_conntrack_netlink; do
    modprobe -q "$module" || echo "no module $module"
done
ip link set lo up
echo "Linux $(cat /proc/sys/kernel/osrelease), up after $(cut -d' ' -f1 /proc/uptime) s"
failed=0
for test in /tests/*; do
    echo "Running $test"
    RUST_TEST_THREADS=${threads:-2} "$test" --show-output $(cat /etc/filter) || failed=1
done
echo "tests ended with $failed after $(cut -d' ' -f1 /proc/uptime) s"
poweroff -f
