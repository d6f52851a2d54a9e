//! Annotations of an Ingress. A value that does not parse is told and leaves the default.

use std::collections::BTreeSet;
use std::time::Duration;

use super::IngressDefaults;
use crate::problem::{Problem, Reason};
use crate::source::Ingress;

mod service;
mod values;

pub use service::{RequestedType, ServiceOptions};
pub use values::{Range, duration};

use values::boolean;

/// What the annotations of an Ingress ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
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
        let mut reader = Reader { ingress, known: BTreeSet::new(), problems: Vec::new() };
        reader.mode();
        let service = reader.service(defaults);
        let options = Self {
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
            service,
        };
        reader.others();
        (options, reader.problems)
    }
}

const A_DURATION: &str = "a duration such as 30s, 1m30s or 0s";

struct Reader<'a> {
    ingress: &'a Ingress,
    known: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn take<T>(&mut self, option: &'static str, wants: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.known.insert(option);
        let value = self.ingress.options.get(option)?.value.trim();
        let parsed = parse(value);
        if parsed.is_none() {
            self.warn(Reason::Invalid, option, format!("{value:?} is not {wants}; the default holds"));
        }
        parsed
    }

    fn warn(&mut self, reason: Reason, option: &str, why: String) {
        let Some(annotation) = self.ingress.options.get(option) else { return };
        let field = format!("metadata.annotations[\"{}\"]", annotation.key);
        self.problems.push(Problem::warning(reason, field, why));
    }

    fn mode(&mut self) {
        let shared = |value: &str| match value {
            "dedicated" => Some(false),
            "shared" => Some(true),
            _ => None,
        };
        if self.take("loadbalancer-mode", "dedicated or shared", shared) == Some(true) {
            let why = "shared mode is not there yet; this Ingress gets an address of its own".to_owned();
            self.warn(Reason::Unsupported, "loadbalancer-mode", why);
        }
    }

    /// What is written and has no effect.
    fn others(&mut self) {
        let ingress = self.ingress;
        for option in ingress.options.keys() {
            if !self.known.contains(option.as_str()) {
                self.warn(Reason::Unsupported, option, "has no effect: this annotation is not supported".to_owned());
            }
        }
    }
}
