//! Annotations of an Ingress. A value that does not parse is told and leaves the default.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::IngressDefaults;
use crate::problem::{Problem, Reason};
use crate::source::Ingress;

mod class;
mod exposure;
mod mode;
mod passthrough;
mod service;
mod values;

pub use class::check;
pub use exposure::Exposure;
pub use mode::Mode;
pub use passthrough::Passthrough;
pub use service::{RequestedType, ServiceOptions, is_local};
pub use values::{Range, duration};

pub(crate) use values::range;

use values::boolean;

/// What the annotations of an Ingress ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `loadbalancer-mode`.
    pub mode: Mode,
    /// `force-https`: whether plain requests for hosts with TLS are sent to https.
    pub force_https: Option<bool>,
    /// `request-timeout`; zero for none.
    pub request_timeout: Option<Duration>,
    /// `stream-idle-timeout`; zero for none.
    pub stream_idle_timeout: Option<Duration>,
    /// `path-type`: paths of type `ImplementationSpecific` are expressions, not prefixes.
    pub regex: bool,
    /// `escaped-slashes`.
    pub escaped_slashes: EscapedSlashes,
    /// `header-underscores`.
    pub underscores: Underscores,
    /// `tls-passthrough`.
    pub passthrough: Passthrough,
    /// `proxy-protocol`: whether the client's address comes in a header in front of its bytes.
    pub proxy_protocol: Option<bool>,
    /// `host-listener-port`, in host network mode.
    pub exposure: Exposure,
    /// What concerns the Service.
    pub service: ServiceOptions,
}

/// What becomes of `%2F` and `%5C` in paths: a backend may take them for slashes, the routes do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// The client is told to ask again with slashes.
    #[default]
    Redirect,
    /// 400.
    Reject,
    /// They are passed on.
    Keep,
}

/// What becomes of header names with an underscore: some backends take `x_user` for `x-user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They are left out.
    #[default]
    Drop,
    /// 400.
    Reject,
    /// They are passed on.
    Allow,
}

impl Options {
    /// Understands the annotations of an Ingress.
    #[must_use]
    pub fn of(ingress: &Ingress, defaults: &IngressDefaults) -> (Self, Vec<Problem>) {
        let mut reader = Reader { ingress, class: &defaults.class, known: BTreeSet::new(), problems: Vec::new() };
        let mode = reader.mode(defaults);
        let service = reader.service(defaults);
        let options = Self {
            mode,
            force_https: reader.take("force-https", "enabled or disabled", boolean),
            request_timeout: reader.take("request-timeout", A_DURATION, duration),
            stream_idle_timeout: reader.take("stream-idle-timeout", A_DURATION, duration),
            regex: reader
                .take("path-type", "prefix or regex", |value| match value {
                    "prefix" => Some(false),
                    "regex" => Some(true),
                    _ => None,
                })
                .unwrap_or_default(),
            escaped_slashes: reader
                .take("escaped-slashes", "redirect, reject or keep", |value| match value {
                    "redirect" => Some(EscapedSlashes::Redirect),
                    "reject" => Some(EscapedSlashes::Reject),
                    "keep" => Some(EscapedSlashes::Keep),
                    _ => None,
                })
                .unwrap_or_default(),
            underscores: reader
                .take("header-underscores", "drop, reject or allow", |value| match value {
                    "drop" => Some(Underscores::Drop),
                    "reject" => Some(Underscores::Reject),
                    "allow" => Some(Underscores::Allow),
                    _ => None,
                })
                .unwrap_or_default(),
            passthrough: reader.passthrough(),
            proxy_protocol: reader.take("proxy-protocol", "enabled or disabled", boolean),
            exposure: reader.exposure(mode, defaults.host_network.as_ref()),
            service,
        };
        reader.others();
        (options, reader.problems)
    }
}

const A_DURATION: &str = "a duration such as 30s, 1m30s or 0s";
const UNKNOWN: &str = "has no effect: this annotation is not supported";

struct Reader<'a> {
    ingress: &'a Ingress,
    /// What holds where no annotation says otherwise.
    class: &'a BTreeMap<String, String>,
    known: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn take<T>(&mut self, option: &'static str, wants: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.known.insert(option);
        if let Some(annotation) = self.ingress.options.get(option) {
            let value = annotation.value.trim();
            let parsed = parse(value);
            if parsed.is_some() {
                return parsed;
            }
            self.warn(Reason::Invalid, option, format!("{value:?} is not {wants}; the default holds"));
        }
        // Only what parses gets so far: see `check`.
        self.class.get(option).and_then(|value| parse(value.trim()))
    }

    /// Says something of an annotation, if it is there.
    fn warn(&mut self, reason: Reason, option: &str, why: String) {
        if self.ingress.options.contains_key(option) {
            self.problems.push(Problem::warning(reason, self.field(option), why));
        }
    }

    /// Where an annotation stands, or would.
    fn field(&self, option: &str) -> String {
        let key = self.ingress.options.get(option).map(|annotation| format!("[{:?}]", annotation.key));
        format!("metadata.annotations{}", key.unwrap_or_default())
    }

    /// What is written and has no effect.
    fn others(&mut self) {
        let ingress = self.ingress;
        for option in ingress.options.keys() {
            if !self.known.contains(option.as_str()) {
                self.warn(Reason::Unsupported, option, UNKNOWN.to_owned());
            }
        }
    }
}
