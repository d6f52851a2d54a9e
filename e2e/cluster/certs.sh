# Certificates and kubeconfigs: one CA for everything, a second one for the front proxy. Sourced by up.sh.

ca() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  openssl req -x509 -new -key "$1.key" -days 365 -subj "/CN=$1" -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

leaf() { # NAME SUBJECT [SANS] [CA]
  local san=${3:-} ca=${4:-ca}
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' \
    "${san:+subjectAltName=$san}" > "$1.ext"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA "$ca.crt" -CAkey "$ca.key" -CAcreateserial -days 365 -extfile "$1.ext" -out "$1.crt" 2> /dev/null
  rm -f "$1.csr" "$1.ext"
}

kubeconfig() { # NAME SUBJECT [SANS]
  leaf "$@"
  cat > "$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: $NAME, cluster: {server: "https://$CP_IP:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: $NAME, context: {cluster: $NAME, user: $1}}]
current-context: $NAME
Y
}

certificates() (
  umask 077
  mkdir -p "$PKI"
  cd "$PKI"
  ca ca
  ca front-proxy-ca
  leaf apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$CP_IP,IP:$API_IP"
  leaf apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  leaf front-proxy-client /CN=front-proxy-client "" front-proxy-ca
  kubeconfig admin /O=system:masters/CN=admin
  kubeconfig kcm /CN=system:kube-controller-manager
  kubeconfig scheduler /CN=system:kube-scheduler
  kubeconfig kube-proxy /CN=system:kube-proxy
  for n in $WORKERS; do kubeconfig "$n" "/O=system:nodes/CN=system:node:$n" "DNS:$n,IP:$(ip_of "$n")"; done
  openssl genrsa -out sa.key 2048 2> /dev/null
  openssl rsa -in sa.key -pubout -out sa.pub 2> /dev/null
)
