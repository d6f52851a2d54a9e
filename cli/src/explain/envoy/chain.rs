//! Which filter chain of a listener a connection belongs to.

use serde_json::Value;

use super::{super::request::Request, list, texts, type_of};

/// A chosen filter chain.
#[derive(Debug)]
pub(in super::super) struct Chosen<'a> {
    /// Its name, or its place among the chains.
    pub(in super::super) name: String,
    pub(in super::super) chain: &'a Value,
    /// Conditions on the client's address, which nobody knows here.
    pub(in super::super) only_if: Vec<String>,
}

/// Conditions that depend on addresses.
const UNKNOWN: [&str; 5] =
    ["prefix_ranges", "direct_source_prefix_ranges", "source_type", "source_prefix_ranges", "source_ports"];

/// Chooses as Envoy does: criterion by criterion, each time keeping the most specific ones that fit, and never going back.
///
/// # Errors
/// Why there is none: what happens to the connection then.
pub(in super::super) fn choose<'a>(listener: &'a Value, request: &Request) -> Result<Chosen<'a>, String> {
    if listener.get("filter_chain_matcher").is_some() {
        return Err("filter_chain_matcher decides, which is not looked at here".to_owned());
    }
    let mut left: Vec<(usize, &Value)> = list(&listener["filter_chains"]).iter().enumerate().collect();
    let port = |wanted: &Value| Some(wanted.as_u64()? == u64::from(request.port));
    left = keep(left, "destination_port", |wanted| port(wanted).unwrap_or(false).then_some(0));
    let server_name = request.server_name.as_deref().filter(|_| request.https);
    left =
        keep(left, "server_names", |wanted| texts(wanted).filter_map(|pattern| name_rank(pattern, server_name?)).max());
    let transport = if request.https { "tls" } else { "raw_buffer" };
    left = keep(left, "transport_protocol", |wanted| (wanted.as_str() == Some(transport)).then_some(0));
    let inspects_http =
        list(&listener["listener_filters"]).iter().any(|it| type_of(&it["typed_config"]) == "HttpInspector");
    let protocols: &[&str] = match (request.https, inspects_http) {
        // What every client of today offers.
        (true, _) => &["h2", "http/1.1"],
        (false, true) => &["http/1.1"],
        (false, false) => &[],
    };
    left = keep(left, "application_protocols", |wanted| {
        texts(wanted).any(|protocol| protocols.contains(&protocol)).then_some(0)
    });
    // The more conditions that may hold, the more specific.
    let unknown = |chain: &Value| UNKNOWN.into_iter().filter(|name| is_set(&chain["filter_chain_match"][name])).count();
    let found = left.into_iter().min_by_key(|(_, chain)| unknown(chain));
    let found = found.map(|(at, chain)| (format!("filter_chains[{at}]"), chain));
    let default = listener.get("default_filter_chain").map(|chain| ("default_filter_chain".to_owned(), chain));
    let Some((place, chain)) = found.or(default) else {
        let what = match (request.https, server_name) {
            (true, Some(name)) => format!("TLS for {name}"),
            (true, None) => "TLS without a server name".to_owned(),
            (false, _) => "plain text".to_owned(),
        };
        return Err(format!("no filter chain takes {what}: Envoy closes the connection"));
    };
    let name = chain["name"].as_str().filter(|name| !name.is_empty()).map_or(place, str::to_owned);
    let conditions = UNKNOWN.into_iter().filter(|name| is_set(&chain["filter_chain_match"][name]));
    let only_if = conditions.map(|name| format!("{name} is {}", chain["filter_chain_match"][name])).collect();
    Ok(Chosen { name, chain, only_if })
}

/// Keeps the chains of the best rank, or else those that do not ask.
fn keep<'a>(
    left: Vec<(usize, &'a Value)>,
    criterion: &str,
    rank: impl Fn(&Value) -> Option<usize>,
) -> Vec<(usize, &'a Value)> {
    let ranked = |chain: &Value| {
        let wanted = &chain["filter_chain_match"][criterion];
        if is_set(wanted) { rank(wanted) } else { None }
    };
    let best = left.iter().filter_map(|(_, chain)| ranked(chain)).max();
    let fits = |(_, chain): &(usize, &Value)| match best {
        Some(best) => ranked(chain) == Some(best),
        None => !is_set(&chain["filter_chain_match"][criterion]),
    };
    left.into_iter().filter(fits).collect()
}

fn is_set(wanted: &Value) -> bool {
    match wanted {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// The exact name before the longest `*.suffix`.
fn name_rank(pattern: &str, name: &str) -> Option<usize> {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    if pattern == name {
        return Some(usize::MAX);
    }
    let suffix = pattern.strip_prefix('*').filter(|suffix| suffix.starts_with('.'))?;
    (name.ends_with(suffix) && name.len() > suffix.len()).then_some(suffix.len())
}

/// Whether clients speak TLS to the chain.
pub(in super::super) fn is_tls(chain: &Value) -> bool {
    type_of(&chain["transport_socket"]["typed_config"]) == "DownstreamTlsContext"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(chains: &Value, url: &str) -> String {
        let request = Request::new(&url.parse().unwrap(), "GET", &[]);
        choose(&json!({ "filter_chains": chains }), &request).map_or_else(|why| why, |it| it.name)
    }

    #[test]
    fn the_most_specific_name_wins_and_nothing_goes_back() {
        let chain = |name: &str, matches: Value| json!({ "name": name, "filter_chain_match": matches });
        let chains = json!([
            chain("any", json!({ "transport_protocol": "tls" })),
            chain("wide", json!({ "transport_protocol": "tls", "server_names": ["*.example"] })),
            chain("narrow", json!({ "transport_protocol": "tls", "server_names": ["*.a.example"] })),
            chain("exact", json!({ "transport_protocol": "tls", "server_names": ["b.a.example"] })),
            chain("plain", json!({ "transport_protocol": "raw_buffer" })),
            chain("spdy", json!({ "server_names": ["c.other"], "application_protocols": ["spdy"] })),
        ]);
        for (url, name) in [
            ("https://b.a.example/", "exact"),
            ("https://C.a.example/", "narrow"),
            ("https://c.example/", "wide"),
            ("https://example/", "any"),
            ("https://10.0.0.1/", "any"),
            ("http://b.a.example/", "plain"),
        ] {
            assert_eq!(chosen(&chains, url), name, "{url}");
        }
        // The name decides first; that its chain wants another protocol opens no other one.
        assert!(chosen(&chains, "https://c.other/").contains("no filter chain takes TLS for c.other"));
    }

    #[test]
    fn ports_and_addresses_count() {
        let chains = json!([
            { "filter_chain_match": { "destination_port": 8443 } },
            { "filter_chain_match": { "source_type": "EXTERNAL" } },
            {},
        ]);
        assert_eq!(chosen(&chains, "https://a:8443/"), "filter_chains[0]");
        assert_eq!(chosen(&chains, "https://a/"), "filter_chains[2]");
        let only =
            choose(&json!({ "filter_chains": [chains[1]] }), &Request::new(&"http://a/".parse().unwrap(), "GET", &[]))
                .map(|it| it.only_if);
        assert_eq!(only, Ok(vec!["source_type is \"EXTERNAL\"".to_owned()]));
    }
}
