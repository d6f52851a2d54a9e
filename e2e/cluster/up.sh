#!/usr/bin/env bash
# up.sh : a control plane, workers and an outside client, each a box of Linux namespaces. Needs root.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HERE/certs.sh"
. "$HERE/boxes.sh"
. "$HERE/control-plane.sh"
. "$HERE/worker.sh"

: "${BIN:?the built binaries}" "${IMAGES:?what every node starts with}" "${MANIFESTS:?CRDs and RBAC of MetalLB}"
mkdir -p "$STATE"
for setting in BIN WORKERS PROXY_MODES MASQUERADE_ALL CNI NET PODNET SVCNET LB_POOL NODE_PORTS; do
  echo "$setting=\"${!setting}\""
done > "$STATE/settings"
certificates
say "certificates"

delegate_controllers
underlay
for n in cp $WORKERS; do box "$n"; done
plug client
pod_routes
say "namespaces"

for n in $WORKERS; do containerd_up "$n"; done
loads=()
for n in $WORKERS; do load_images "$n" "$IMAGES"/*.tar & loads+=($!); done
control_plane
say "API server ready"
for pid in "${loads[@]}"; do wait "$pid"; done
say "images loaded"

mode=
read -ra modes <<< "$PROXY_MODES"
for n in $WORKERS; do
  mode=${modes[0]:-$mode} modes=("${modes[@]:1}")
  kubelet_up "$n"
  kube_proxy_up "$n" "$mode"
done

k apply --server-side -f "$MANIFESTS" > /dev/null
k wait --for=condition=Established crd --all --timeout=30s > /dev/null
for file in coredns metallb; do
  sed "s/@DNS_IP@/$DNS_IP/; s/@LB_POOL@/$LB_POOL/" "$HERE/manifests/$file.yaml" | k apply --server-side -f - > /dev/null
done
say "CoreDNS and MetalLB applied"

for n in $WORKERS; do
  until_true 30 k get node "$n"
  k patch node "$n" --type merge -p "{\"spec\":{\"podCIDR\":\"$(pods_of "$n")\",\"podCIDRs\":[\"$(pods_of "$n")\"]}}" > /dev/null
done
k wait --for=condition=Ready node --all --timeout=60s > /dev/null
say "nodes ready"
# A bare Pod is refused until the controller manager has made the service account of its namespace.
until_true 30 k get serviceaccount default
until_true 30 k -n metallb-system rollout status deployment/controller daemonset/speaker --timeout=1s
k -n kube-system rollout status deployment/coredns --timeout=60s > /dev/null
say "CoreDNS and MetalLB ready"
touch "$STATE/up"  # the cluster is whole; without this the next up starts over
