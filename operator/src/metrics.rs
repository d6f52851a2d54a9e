//! Every metric of the operator, with its meaning, in one place.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{Engine, Kind, Reason};

pub mod http;

/// Objects in the index. Label `kind`.
pub const OBJECTS: &str = "axoneme_operator_objects";
/// Problems that users have to solve. Label `reason`.
pub const PROBLEMS: &str = "axoneme_operator_problems";
/// Source events that went through the engine. Labels `kind`, `event`.
pub const EVENTS: &str = "axoneme_operator_source_events_total";
/// Objects of the API server that could not be decoded and were skipped. Label `kind`.
pub const UNDECODABLE: &str = "axoneme_operator_undecodable_objects_total";
/// Failed or interrupted watches. Label `kind`.
pub const WATCH_FAILURES: &str = "axoneme_operator_watch_failures_total";
/// Intents that a source event changed.
pub const INTENTS_CHANGED: &str = "axoneme_operator_intents_changed_total";
/// Intents in force. Label `type`.
pub const INTENTS: &str = "axoneme_operator_intents";
/// From taking up a source event to its intents being handed to the streams.
pub const PUSH_SECONDS: &str = "axoneme_operator_push_duration_seconds";
/// Nodes with an open stream.
pub const NODES: &str = "axoneme_operator_connected_nodes";
/// Nodes that have a loader but no stream.
pub const NODES_ABSENT: &str = "axoneme_operator_absent_nodes";
/// Nodes whose Envoys have no module to find hosts with, so that they get whole tables of shared Ingresses.
pub const NODES_WITHOUT_MODULE: &str = "axoneme_operator_nodes_without_module";
/// Resources that nodes programmed. Label `type`.
pub const ACKS: &str = "axoneme_operator_acks_total";
/// Resources that nodes rejected. Label `type`.
pub const NACKS: &str = "axoneme_operator_nacks_total";
/// Streams refused. Label `reason`.
pub const AUTH_REFUSED: &str = "axoneme_operator_auth_refused_total";
/// TLS handshakes that failed.
pub const HANDSHAKES_FAILED: &str = "axoneme_operator_tls_handshake_failures_total";
/// Objects that the webhook was asked about. Labels `kind`, `verdict`.
pub const REVIEWS: &str = "axoneme_operator_admission_reviews_total";
/// From a whole review to its answer.
pub const REVIEW_SECONDS: &str = "axoneme_operator_admission_duration_seconds";
/// Requests of the webhook that are no reviews. Label `reason`.
pub const REVIEWS_MALFORMED: &str = "axoneme_operator_admission_malformed_total";
/// Failed writes of the webhook configuration's trust.
pub const TRUST_FAILURES: &str = "axoneme_operator_webhook_trust_failures_total";
/// Writes to the API server. Labels `kind`, `result`.
pub const WRITES: &str = "axoneme_operator_writes_total";
/// Writes that wait.
pub const WRITES_PENDING: &str = "axoneme_operator_writes_pending";
/// 1 on the replica that may write.
pub const LEASE_HELD: &str = "axoneme_operator_lease_held";
/// Failed writes of the lease.
pub const LEASE_FAILURES: &str = "axoneme_operator_lease_failures_total";

/// 0.1 ms to 5 s: an edit should be pushed, and a review answered, in about a millisecond.
const SECONDS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Installs the recorder of this process and describes the metrics.
///
/// # Errors
/// [`BuildError`] when the process has a recorder already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(PUSH_SECONDS.to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full(REVIEW_SECONDS.to_owned()), &SECONDS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    describe_gauge!(OBJECTS, "Objects in the index, by kind.");
    describe_gauge!(PROBLEMS, "Problems that users have to solve, by reason.");
    describe_counter!(EVENTS, "Source events processed, by kind and event.");
    describe_counter!(UNDECODABLE, "Objects of the API server that could not be decoded and were skipped.");
    describe_counter!(WATCH_FAILURES, "Failed or interrupted watches, by kind.");
    describe_counter!(INTENTS_CHANGED, "Intents changed by source events.");
    describe_gauge!(INTENTS, "Intents in force.");
    describe_histogram!(PUSH_SECONDS, Unit::Seconds, "From a source event to its intents on their way to the nodes.");
    describe_gauge!(NODES, "Nodes with an open stream.");
    describe_gauge!(NODES_ABSENT, "Nodes that have a pod of the node-loader but are not connected.");
    describe_gauge!(NODES_WITHOUT_MODULE, "Nodes that get whole tables of shared Ingresses, for want of a module.");
    describe_counter!(ACKS, "Resources that nodes programmed, by type.");
    describe_counter!(NACKS, "Resources that nodes rejected, by type.");
    describe_counter!(AUTH_REFUSED, "Streams refused, by reason.");
    describe_counter!(HANDSHAKES_FAILED, "TLS handshakes that failed.");
    describe_counter!(REVIEWS, "Objects that the webhook was asked about, by kind and verdict.");
    describe_histogram!(REVIEW_SECONDS, Unit::Seconds, "From a whole admission review to its answer.");
    describe_counter!(REVIEWS_MALFORMED, "Requests of the webhook that are no admission reviews, by reason.");
    describe_counter!(TRUST_FAILURES, "Failed writes of the certificate that the API server trusts the webhook by.");
    describe_counter!(WRITES, "Writes to the API server, by kind and result.");
    describe_gauge!(WRITES_PENDING, "Writes that wait.");
    describe_gauge!(LEASE_HELD, "1 on the replica that may write, else 0.");
    describe_counter!(LEASE_FAILURES, "Failed writes of the lease.");
}

/// Sets the gauges that are counted when somebody asks. Costs the problems and the Envoy configs, not the objects.
pub fn gather(engine: &Engine) {
    for kind in Kind::ALL {
        gauge!(OBJECTS, "kind" => kind.as_str()).set(number(engine.index().count(kind)));
    }
    for reason in Reason::ALL {
        let problems = engine.problems().values().flatten().filter(|problem| problem.reason == reason);
        gauge!(PROBLEMS, "reason" => reason.as_str()).set(number(problems.count()));
    }
    for (type_url, count) in engine.intents().counts() {
        let short = type_url.rsplit('.').next().unwrap_or(type_url).to_owned();
        gauge!(INTENTS, "type" => short).set(number(count));
    }
    gauge!(NODES).set(number(engine.intents().nodes()));
    gauge!(NODES_ABSENT).set(number(engine.intents().absent_nodes().count()));
    gauge!(NODES_WITHOUT_MODULE).set(number(engine.nodes_without_module()));
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}
