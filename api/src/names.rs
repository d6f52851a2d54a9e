//! Names, labels and addresses that users, Cilium's habits and our own parts rely on, all in one place.

use std::net::Ipv4Addr;

/// Field manager of every write.
pub const FIELD_MANAGER: &str = "axoneme-operator";

/// Label of every object that the operator makes. An uninstall ends with deleting what has it.
pub const MADE_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", FIELD_MANAGER);

/// Controller strings of an IngressClass that this mesh answers to.
pub const INGRESS_CONTROLLERS: [&str; 2] = ["axoneme.io/ingress-controller", "cilium.io/ingress-controller"];

/// The annotation that named an Ingress's class before `spec.ingressClassName`.
pub const LEGACY_CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// What annotations of an Ingress start with that change how it is served: ours, Cilium's, and the one that Cilium had
/// before. Of the same annotation under several, the first counts.
pub const INGRESS_PREFIXES: [&str; 3] = ["ingress.axoneme.io/", "ingress.cilium.io/", "io.cilium.ingress/"];

/// Annotation of an Ingress's Service: keys of what was copied to it, so that what is no longer wanted is seen.
pub const COPIED_ANNOTATION: &str = "ingress.axoneme.io/copied";

/// What annotations of a CiliumEnvoyConfig start with that change how it is served.
pub const CONFIG_PREFIX: &str = "cec.cilium.io/";

/// Annotation of a CiliumEnvoyConfig, after the prefix: backends see the client's address.
pub const ORIGINAL_SOURCE: &str = "use-original-source-address";

/// The label that said so before the annotation.
pub const ORIGINAL_SOURCE_LABEL: &str = "cilium.io/use-original-source-address";

/// The annotation that makes an IngressClass the default.
pub const DEFAULT_CLASS_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

/// Label of the Service and EndpointSlice that the operator writes for an Ingress.
pub const INGRESS_LABEL: (&str, &str) = ("cilium.io/ingress", "true");

/// The endpoint that nobody dials. It is there because load balancers announce a Service only when it has one.
pub const DUMMY_ENDPOINT: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 192, 192, 192), 9999);

/// The first of as many addresses as there are nodes, each that of one node's endpoint that nobody dials, at the port of
/// [`DUMMY_ENDPOINT`]. Out of 198.18.0.0/15, which is for benchmarks and never routed on the Internet: RFC 2544, RFC 6890.
pub const FIRST_NODE_ENDPOINT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Feature of a node in the first message of its stream: its Envoy has the module that finds a host's routes by hash.
pub const HOSTKEY_FEATURE: &str = "io.axoneme.hostkey";

/// Audience of the node-loader's token.
pub const TOKEN_AUDIENCE: &str = "axoneme-operator";

/// ServiceAccount of the node-loader, in the operator's own namespace.
pub const NODE_SERVICE_ACCOUNT: &str = "axoneme-node";

/// Label of the node-loader's pods: a node that has one should serve.
pub const NODE_LABEL: (&str, &str) = ("app.kubernetes.io/name", "axoneme-node");

/// ConfigMap with the certificate authority that nodes trust, key `ca.crt`.
pub const CA_CONFIG_MAP: &str = "axoneme-ca";

/// Secret with that authority's key, keys `tls.crt` and `tls.key`.
pub const CA_SECRET: &str = "axoneme-ca";

/// Name of the ValidatingWebhookConfiguration whose trust the operator keeps.
pub const WEBHOOK: &str = "axoneme-operator";

/// The webhook in it that is asked about Ingresses.
pub const INGRESS_WEBHOOK: &str = "ingresses.axoneme.io";

/// Name of the lease that the writing replica holds.
pub const LEASE: &str = "axoneme-operator";

/// Service that an Ingress gets: `cilium-ingress-<ingress>`.
#[must_use]
pub fn ingress_service(ingress: &str) -> String {
    format!("cilium-ingress-{ingress}")
}

/// The Service of all Ingresses in shared mode, in the operator's namespace. The operator can be told another name.
pub const SHARED_SERVICE: &str = "cilium-ingress";

/// Namespace and name under which an Ingress's Envoy resources stand, as Cilium would name its CiliumEnvoyConfig:
/// `<namespace>/cilium-ingress-<namespace>-<ingress>`.
#[must_use]
pub fn ingress_origin(namespace: &str, ingress: &str) -> String {
    format!("{namespace}/cilium-ingress-{namespace}-{ingress}")
}

/// Listener that is bound to a port of the nodes themselves. Without a namespace, so that no object of a user can define it.
#[must_use]
pub fn host_listener(port: u16) -> String {
    format!("{HOST_LISTENER}{port}")
}

/// The port of such a listener.
#[must_use]
pub fn host_listener_port(name: &str) -> Option<u16> {
    name.strip_prefix(HOST_LISTENER)?.parse().ok()
}

const HOST_LISTENER: &str = "host-port:";

/// Resource name of a redirect: `namespace/service:port`.
#[must_use]
pub fn redirect(namespace: &str, service: &str, port: u16) -> String {
    format!("{namespace}/{service}:{port}")
}
