#!/usr/bin/env bash
# PID 1 of a box, in net, mount, pid, uts, ipc and cgroup namespaces of its own. $1: name, $2: state folder of the box.
set -eu
name=$1 s=$2
mount --make-rprivate /
mount -t proc proc /proc

# kubelet insists on some machine-wide sysctls and would write them: show it the values it wants, leave the machine alone.
mkdir -p "$s/sysctl"
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=$s/sysctl/$(basename "${setting%%=*}")
  echo "${setting#*=}" > "$file"
  mount --bind "$file" "/proc/sys/${setting%%=*}"
done

umount -R -l /sys                        # else the machine's cgroup mounts stay listed in /proc/mounts, hidden
mount -t sysfs sysfs /sys                # /sys/class/net of this network namespace
mount -t cgroup2 cgroup2 /sys/fs/cgroup  # its root is this box's own cgroup
mount -t bpf bpf /sys/fs/bpf             # pins are per box
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns "$s"/{var/lib,var/log,etc.upper,etc.work,opt}
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$s/etc.upper,workdir=$s/etc.work" /etc
mount --bind "$s/opt" /opt
mount --bind "$s/var/lib" /var/lib
mount --bind "$s/var/log" /var/log
rm -rf /etc/cni
mkdir -p /etc/cni/net.d /opt/cni/bin /var/lib/kubelet /var/lib/containerd
if [ -d /usr/lib/cni ]; then cp -f /usr/lib/cni/* /opt/cni/bin/; fi
mount --make-rshared /                   # or mountPropagation in pods does not work

hostname "$name"
echo "$name" > /etc/hostname
touch "$s/ready"
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $! || true; done  # bash reaps what the shims leave behind
