# Settings and helpers of one cluster. `cargo xtask cluster` sets them; up.sh keeps them for the rest.
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy ALL_PROXY all_proxy
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Folder of this cluster, on a file system that overlayfs can write to. A box has a /run, /var/lib, /var/log, /etc and
# /opt of its own: neither STATE nor BIN may lie under them.
: "${STATE:?}"
if [ -f "$STATE/settings" ]; then . "$STATE/settings"; fi

: "${NAME:=axo}"                       # at most 4 characters: it is part of a link's name
: "${WORKERS:=node1 node2}"
: "${PROXY_MODES:=nftables iptables}"  # kube-proxy's mode, one a worker, the last one for the rest
: "${MASQUERADE_ALL:=false}"            # whether kube-proxy gives every connection to a Service the node's address
: "${CNI:=ptp}"                        # or bridge
: "${NET:=10.210.0}"                   # underlay $NET.0/24: .1 this machine, .2 control plane, .11 and up nodes, .100 client
: "${LB_POOL:=$NET.200-$NET.220}"      # MetalLB's addresses
: "${PODNET:=10.211}"                  # pods $PODNET.0.0/16; node i has $PODNET.(i-1).0/24
: "${SVCNET:=10.212}"                  # services $SVCNET.0.0/16
: "${NODE_PORTS:=30000-32767}"         # node ports of services

C=axk-$NAME                            # prefix of this cluster's network namespaces, links and cgroups
CP_IP=$NET.2 API_IP=$SVCNET.0.1 DNS_IP=$SVCNET.0.10
PKI=$STATE/pki
CG=$(awk '$3=="cgroup2"{print $2; exit}' /proc/mounts)  # /sys/fs/cgroup, or /sys/fs/cgroup/unified where v1 is mounted too

ip_of() { case $1 in cp) echo "$CP_IP" ;; client) echo "$NET.100" ;; node*) echo "$NET.$((10 + ${1#node}))" ;; esac; }
pods_of() { echo "$PODNET.$((${1#node} - 1)).0/24"; }

k() { "$BIN/kubectl" --kubeconfig "$PKI/admin.kubeconfig" --cache-dir "$STATE/kubectl-cache" "$@"; }

T0=$(date +%s%N)
say() { local ms=$((($(date +%s%N) - T0) / 1000000)); printf '%3d.%03ds %s\n' $((ms / 1000)) $((ms % 1000)) "$*"; }

# until_true SECONDS COMMAND... : try it every 50 ms.
until_true() {
  local tries=$(($1 * 20)); shift
  while ! "$@" >/dev/null 2>&1; do
    [ $((tries -= 1)) -gt 0 ] || { echo "gave up waiting for: $*" >&2; return 1; }
    sleep 0.05
  done
}

# in_box BOX COMMAND... : run a command inside a box: its cgroup first, then all its namespaces.
in_box() {
  local box=$1; shift
  ( echo "$BASHPID" > "$CG/$C-$box/init/cgroup.procs"
    exec nsenter -t "$(cat "$STATE/$box/init.pid")" -m -u -i -n -p -C -- "$@" )
}

# daemon BOX NAME COMMAND... : start a daemon in a box; it logs to $STATE/BOX/NAME.log.
daemon() {
  local box=$1 name=$2; shift 2
  # Nothing here may fork before the exec, and an empty environment keeps proxy variables of the machine out.
  ( echo "$BASHPID" > "$CG/$C-$box/init/cgroup.procs"
    exec env -i PATH="$BIN:$PATH" HOME=/root setsid nsenter -t "$(< "$STATE/$box/init.pid")" -m -u -i -n -p -C -- \
      sh -c 'exec "$@"' sh "$@" ) >> "$STATE/$box/$name.log" 2>&1 < /dev/null &
  disown $!
}
