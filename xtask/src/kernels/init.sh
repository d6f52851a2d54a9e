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
# Kernels that are asked for a kind of device or of diagnosis load its module; these they do not know of.
for module in br_netfilter sch_ingress cls_bpf inet_diag tcp_diag nf_conntrack_netlink; do
    modprobe -q "$module" || echo "no module $module"
done
ip link set lo up
echo "Linux $(cat /proc/sys/kernel/osrelease), up after $(cut -d' ' -f1 /proc/uptime) s"
failed=0
for test in /tests/*; do
    echo "Running $test"
    RUST_TEST_THREADS=${threads:-2} "$test" $(cat /etc/filter) || failed=1
done
echo "tests ended with $failed after $(cut -d' ' -f1 /proc/uptime) s"
poweroff -f
