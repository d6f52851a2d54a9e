//! `opentelemetry.proto.collector.trace.v1.TraceService`: keeps a line `spans of SERVICE` for each report.

use prost::Message;
use tonic::Status;

use crate::Backend;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

/// Only texts.
#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, tag = "1")]
    text: String,
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all calls")]
pub(super) fn export(backend: &Backend, request: &ExportRequest) -> Result<(), Status> {
    let resources = request.resource_spans.iter().filter_map(|spans| spans.resource.as_ref());
    for attribute in resources.flat_map(|resource| &resource.attributes).filter(|it| it.key == "service.name") {
        let service = attribute.value.as_ref().map_or("", |value| &value.text);
        backend.memory.log(format!("spans of {service}"));
    }
    Ok(())
}
