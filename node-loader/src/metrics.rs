//! Every metric of the node, with its meaning, in one place.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::{datapath::DatapathError, event::NodeEvent, status::Counter};

/// 1 while the stream from the operator is open.
pub const OPERATOR_CONNECTED: &str = "axoneme_node_operator_connected";
/// Ends of the stream from the operator, and failed attempts to open it.
pub const OPERATOR_LOST: &str = "axoneme_node_operator_disconnects_total";
/// 1 while Envoy has its stream.
pub const ENVOY_CONNECTED: &str = "axoneme_node_envoy_connected";
/// Ends of Envoy's process, in standalone. Label `cause`.
pub const ENVOY_EXITS: &str = "axoneme_node_envoy_exits_total";
/// Envoys that took the place of another one in the life of this loader.
pub const ENVOY_RESTARTS: &str = "axoneme_node_envoy_restarts_total";
/// Envoys that came up beside another one, to take over from it.
pub const ENVOY_TAKEOVERS: &str = "axoneme_node_envoy_takeovers_total";
/// 1 while Envoy may load the module that finds a host's routes by hash.
pub const ENVOY_MODULE: &str = "axoneme_node_envoy_module";
/// Versions that are not offered any more, as Envoy died of them. Label `type`.
pub const QUARANTINED: &str = "axoneme_node_quarantined_total";
/// Listeners and routes that Envoy did not answer in time.
pub const UNANSWERED: &str = "axoneme_node_unanswered_total";
/// Resources that came into force. Label `type`.
pub const APPLIED: &str = "axoneme_node_resources_applied_total";
/// Resources that were refused by Envoy or the kernel. Label `type`.
pub const REJECTED: &str = "axoneme_node_resources_rejected_total";
/// Listeners that had to move to another port.
pub const PORT_CONFLICTS: &str = "axoneme_node_port_conflicts_total";
/// Listeners that Envoy took but that did not listen in time.
pub const NOT_LISTENING: &str = "axoneme_node_listeners_not_listening_total";
/// Frontends whose connections did not end in time.
pub const DRAIN_TIMEOUTS: &str = "axoneme_node_drain_timeouts_total";
/// Connections that Envoy did not end even then, and that were cut.
pub const CONNECTIONS_CUT: &str = "axoneme_node_drain_connections_cut_total";
/// Frontends that new connections do not use any more, whose old ones are waited for.
pub const DRAINING: &str = "axoneme_node_draining_frontends";
/// Refusals of the kernel. Label `error`.
pub const DATAPATH_ERRORS: &str = "axoneme_node_datapath_errors_total";
/// State files that could not be read or written.
pub const STATE_ERRORS: &str = "axoneme_node_state_file_errors_total";
/// Resources in force or wanted. Label `kind`.
pub const RESOURCES: &str = "axoneme_node_resources";
/// Resources that are not in force.
pub const REJECTIONS: &str = "axoneme_node_rejections";
/// Times that events of devices were lost and all was listed again.
pub const NETLINK_RESYNCS: &str = "axoneme_node_netlink_resyncs_total";
/// Parts of the datapath that somebody took away and that were put back. Label `what`.
pub const RESTORED: &str = "axoneme_node_routing_restored_total";
/// Devices that have a program.
pub const ATTACHED: &str = "axoneme_node_attached_devices";
/// Connections that the redirect met. Labels `service`, `reason`.
pub const CONNECTIONS: &str = "axoneme_node_redirect_connections_total";
/// Proxy ports that the kernel may give to outgoing connections.
pub const PORTS_AT_RISK: &str = "axoneme_node_proxy_ports_at_risk";
/// Events that were not told to those who watch: too many at once, or read too slowly.
pub const MONITOR_LOST: &str = "axoneme_node_monitor_lost_total";

/// Installs the recorder of this process and describes the metrics.
///
/// # Errors
/// [`BuildError`] when the process has a recorder already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_gauge!(OPERATOR_CONNECTED, "1 while the stream from the operator is open.");
    describe_counter!(OPERATOR_LOST, "Ends of the stream from the operator, and failed attempts to open it.");
    describe_gauge!(ENVOY_CONNECTED, "1 while Envoy has its stream.");
    describe_counter!(ENVOY_EXITS, "Ends of Envoy's process, by cause.");
    describe_counter!(ENVOY_RESTARTS, "Envoys that took the place of another one.");
    describe_counter!(ENVOY_TAKEOVERS, "Envoys that came up beside another one, to take over from it.");
    describe_gauge!(ENVOY_MODULE, "1 while Envoy may load the module that finds a host's routes by hash.");
    describe_counter!(QUARANTINED, "Versions that are not offered any more, as Envoy died of them, by type.");
    describe_counter!(UNANSWERED, "Listeners and routes that Envoy did not answer in time.");
    describe_counter!(APPLIED, "Resources that came into force, by type.");
    describe_counter!(REJECTED, "Resources that Envoy or the kernel refused, by type.");
    describe_counter!(PORT_CONFLICTS, "Listeners that had to move to another port.");
    describe_counter!(NOT_LISTENING, "Listeners that Envoy took but that did not listen in time.");
    describe_counter!(DRAIN_TIMEOUTS, "Frontends whose connections did not end in time.");
    describe_counter!(CONNECTIONS_CUT, "Connections that had their time after their redirect was gone, and were cut.");
    describe_gauge!(DRAINING, "Frontends whose last connections are waited for.");
    describe_counter!(DATAPATH_ERRORS, "Refusals of the kernel, by kind of error.");
    describe_counter!(STATE_ERRORS, "State files that could not be read or written.");
    describe_gauge!(RESOURCES, "Resources that the operator wants here, by kind.");
    describe_gauge!(REJECTIONS, "Resources that are not in force.");
    describe_counter!(NETLINK_RESYNCS, "Times that events of devices were lost and all was listed again.");
    describe_counter!(RESTORED, "Parts of the datapath that somebody took away and that were put back, by part.");
    describe_gauge!(ATTACHED, "Devices that have a program.");
    describe_gauge!(PORTS_AT_RISK, "Proxy ports that the kernel may give to outgoing connections.");
    describe_counter!(MONITOR_LOST, "Events that were too many at once for those who watch.");
    for gauge in [OPERATOR_CONNECTED, ENVOY_CONNECTED, REJECTIONS] {
        gauge!(gauge).set(0.0);
    }
    Ok(handle)
}

/// Counts an event.
pub fn count(event: &NodeEvent) {
    match event {
        NodeEvent::OperatorConnected => gauge!(OPERATOR_CONNECTED).set(1.0),
        NodeEvent::OperatorLost { .. } => gauge!(OPERATOR_CONNECTED).set(0.0),
        NodeEvent::EnvoyConnected => gauge!(ENVOY_CONNECTED).set(1.0),
        NodeEvent::EnvoyLost => gauge!(ENVOY_CONNECTED).set(0.0),
        NodeEvent::Applied { type_url, .. } => counter!(APPLIED, "type" => kind(type_url)).increment(1),
        NodeEvent::Rejected { type_url, .. } => counter!(REJECTED, "type" => kind(type_url)).increment(1),
        NodeEvent::PortConflict { .. } => counter!(PORT_CONFLICTS).increment(1),
        NodeEvent::RedirectOn { .. } => counter!(APPLIED, "type" => "Redirect").increment(1),
        NodeEvent::ListenerReady { .. } | NodeEvent::ListenerGone { .. } | NodeEvent::RedirectOff { .. } => {}
    }
}

/// Counts a refusal of the kernel.
pub fn count_error(error: &DatapathError) {
    counter!(DATAPATH_ERRORS, "error" => error.label()).increment(1);
}

/// The running sums of the kernel, as text. They are written anew each time: a service that is gone leaves no line, and one that comes
/// back begins at zero. Cost: as many as there are.
#[must_use]
pub fn connections(sums: &[Counter]) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    ::metrics::with_local_recorder(&recorder, || {
        describe_counter!(CONNECTIONS, "Connections that the redirect met, by service and what became of them.");
        for sum in sums {
            let counter = counter!(CONNECTIONS, "service" => sum.service.clone(), "reason" => sum.reason.clone());
            counter.absolute(sum.connections);
        }
    });
    recorder.handle().render()
}

/// `Listener` of `type.googleapis.com/envoy.config.listener.v3.Listener`.
pub fn kind(type_url: &str) -> String {
    type_url.rsplit('.').next().unwrap_or(type_url).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::Reason;

    #[test]
    fn each_reason_is_a_metric_with_the_services_name() {
        let sum = |(connections, reason): (u64, Reason)| Counter {
            service: "shop/web:80".to_owned(),
            reason: reason.label().to_owned(),
            connections,
        };
        let text = connections(&(1..).zip(Reason::ALL).map(sum).collect::<Vec<_>>());
        assert!(text.contains(&format!("# TYPE {CONNECTIONS} counter\n")), "{text}");
        for (sum, reason) in (1..).zip(Reason::ALL) {
            let line = format!("{CONNECTIONS}{{service=\"shop/web:80\",reason=\"{reason}\"}} {sum}");
            assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        }
    }
}
