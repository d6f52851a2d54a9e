# containerd, kubelet and kube-proxy of one worker. Sourced by up.sh.

containerd_up() { # BOX
  local n=$1 s=$STATE/$1 plugin
  cat > "$s/containerd.toml" <<Y
version = 3
disabled_plugins = ['io.containerd.nri.v1.nri']
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/pause:1'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = '$BIN/runc-shim'
    SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/opt/cni/bin']
  conf_dir = '/etc/cni/net.d'
Y
  case $CNI in
    ptp) plugin='"type": "ptp"' ;;
    bridge) plugin='"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true' ;;
  esac
  cat > "$s/10-pods.conflist" <<Y
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {$plugin, "mtu": 1500, "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam",
    "ranges": [[{"subnet": "$(pods_of "$n")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
Y
  in_box "$n" cp "$s/10-pods.conflist" /etc/cni/net.d/
  daemon "$n" containerd "$BIN/containerd" --config "$s/containerd.toml"
}

load_images() { # BOX FILE...
  local n=$1 file; shift
  until_true 20 in_box "$n" "$BIN/ctr" version
  for file in "$@"; do in_box "$n" "$BIN/ctr" -n k8s.io images import "$file" > /dev/null; done
}

kubelet_up() { # BOX
  local n=$1 s=$STATE/$1 qos=false enforce='[]'
  # Without controllers kubelet could not update the QoS cgroups that it made, and would not start a second time.
  [ -z "$CONTROLLERS" ] || { qos=true enforce='[pods]'; }
  printf 'nameserver %s\n' "$DNS_IP" > "$s/resolv.conf"
  cat > "$s/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true, cacheTTL: 10s}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/$n.crt
tlsPrivateKeyFile: $PKI/$n.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupsPerQOS: $qos
enforceNodeAllocatable: $enforce
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: 20000
clusterDomain: cluster.local
clusterDNS: [$DNS_IP]
resolvConf: $s/resolv.conf
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
volumePluginDir: /var/lib/kubelet/volumeplugins
nodeStatusUpdateFrequency: 5s
syncFrequency: 30s
shutdownGracePeriod: 0s
Y
  daemon "$n" kubelet "$BIN/kubelet" --config="$s/kubelet.yaml" --kubeconfig="$PKI/$n.kubeconfig" \
    --hostname-override="$n" --node-ip="$(ip_of "$n")" --v=2
}

kube_proxy_up() { # BOX MODE
  local n=$1 s=$STATE/$1
  # Only the machine's own network namespace may size the conntrack table: zeros leave it alone.
  cat > "$s/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: $2
hostnameOverride: $n
clusterCIDR: $PODNET.0.0/16
iptables: {masqueradeAll: $MASQUERADE_ALL}
nftables: {masqueradeAll: $MASQUERADE_ALL}
clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
Y
  daemon "$n" kube-proxy "$BIN/kube-proxy" --config="$s/kube-proxy.yaml" --v=1
}
