//! Flags that concern Ingresses, under the names of Cilium's operator where it has them.

use std::time::Duration;

use axoneme_operator::{
    Name,
    model::{IngressDefaults, RedirectCode, options},
};
use clap::{ArgAction, Args};

/// What holds of Ingresses that do not say otherwise.
#[derive(Debug, Args)]
pub(crate) struct IngressFlags {
    /// Whether plain requests for hosts with TLS are sent to https; the annotation force-https says otherwise.
    #[arg(long, env = "AXONEME_ENFORCE_INGRESS_HTTPS", default_value_t = true, action = ArgAction::Set)]
    enforce_ingress_https: bool,

    /// The status that sends them there: 308, or 301 for clients that do not know it.
    #[arg(long, env = "AXONEME_INGRESS_REDIRECT_CODE", default_value = "308", value_parser = redirect_code)]
    ingress_redirect_code: RedirectCode,

    /// Secret with the certificate of hosts whose tls entry names none, as NAMESPACE/NAME.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_SECRET", value_parser = name)]
    ingress_default_secret: Option<Name>,

    /// How long a request may take, such as 30s; 0 for as long as it wants. The annotation request-timeout says otherwise.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_REQUEST_TIMEOUT", default_value = "0", value_parser = duration)]
    ingress_default_request_timeout: Duration,

    /// How long a request may be silent in both directions; 0 for as long as it wants. The annotation stream-idle-timeout says
    /// otherwise.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_STREAM_IDLE_TIMEOUT", default_value = "300s", value_parser = duration)]
    ingress_default_stream_idle_timeout: Duration,

    /// How many proxies in front of the mesh append to x-forwarded-for and are believed.
    #[arg(long, env = "AXONEME_INGRESS_DEFAULT_XFF_NUM_TRUSTED_HOPS", default_value_t = 0)]
    ingress_default_xff_num_trusted_hops: u32,

    /// Annotations and labels of an Ingress that start so are copied to its Service.
    #[arg(long, env = "AXONEME_INGRESS_LB_ANNOTATION_PREFIXES", value_delimiter = ',', value_name = "PREFIX")]
    ingress_lb_annotation_prefixes: Option<Vec<String>>,
}

impl From<IngressFlags> for IngressDefaults {
    fn from(flags: IngressFlags) -> Self {
        Self {
            enforce_https: flags.enforce_ingress_https,
            redirect_code: flags.ingress_redirect_code,
            secret: flags.ingress_default_secret,
            request_timeout: flags.ingress_default_request_timeout,
            stream_idle_timeout: flags.ingress_default_stream_idle_timeout,
            trusted_hops: flags.ingress_default_xff_num_trusted_hops,
            copied_prefixes: flags.ingress_lb_annotation_prefixes.unwrap_or_else(|| Self::default().copied_prefixes),
        }
    }
}

fn redirect_code(text: &str) -> Result<RedirectCode, String> {
    text.parse::<u16>().map_err(|error| error.to_string()).and_then(RedirectCode::try_from)
}

fn name(text: &str) -> Result<Name, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Name::new(namespace, name)),
        _ => Err("want NAMESPACE/NAME".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    options::duration(text).ok_or_else(|| "want a duration such as 30s, 1m30s or 0".to_owned())
}
