//! `envoy.service.ratelimit.v3.RateLimitService`: three hits for each descriptor of a domain, and no more ever.

use prost::Message;
use tonic::Status;

use crate::Backend;

const LIMIT: u32 = 3;
/// `RateLimitResponse.Code`.
const OK: i32 = 1;
const OVER_LIMIT: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct RateLimitRequest {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(message, repeated, tag = "2")]
    descriptors: Vec<Descriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct Descriptor {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RateLimitResponse {
    #[prost(int32, tag = "1")]
    overall_code: i32,
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all calls")]
pub(super) fn decide(backend: &Backend, request: &RateLimitRequest) -> Result<RateLimitResponse, Status> {
    let limit = |descriptor: &Descriptor| {
        let entries = descriptor.entries.iter().map(|Entry { key, value }| format!(" {key}={value}"));
        format!("{}{}", request.domain, entries.collect::<String>())
    };
    // Every descriptor is hit, also after the first that is over its limit.
    let hits = request.descriptors.iter().map(|descriptor| backend.memory.hit(limit(descriptor)));
    let most = hits.max().unwrap_or_default();
    Ok(RateLimitResponse { overall_code: if most > LIMIT { OVER_LIMIT } else { OK } })
}
