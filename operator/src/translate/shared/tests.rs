use std::collections::BTreeMap;

use axoneme_envoy::EnvoyResource;

use super::*;
use crate::intents::Rank;
use crate::model::{Action, Host, PathMatch, RedirectCode, Route};
use crate::shared::{Contribution, Shared};

fn origin() -> Origin {
    Origin::of(&IngressDefaults::default())
}

fn shared(hosts: &[(Host, &str, Option<RedirectCode>)]) -> Shared {
    let mut shared = Shared::default();
    for (at, (host, path, https_only)) in hosts.iter().enumerate() {
        let service = Name::new("shop", "web");
        let backend = Backend { service, port: "80".to_owned(), speaks: Speaks::Unknown, keeps_clients: false };
        let matcher = PathMatch::Prefix((*path).to_owned());
        let routes = vec![Route { matcher, action: Action::Forward(backend), implied: false }];
        let said = Contribution { routes, https_only: *https_only, ..Contribution::default() };
        let rank: Rank = (0, ObjectKey::new(Kind::Ingress, "shop", &format!("i{at}")));
        shared.set(&rank, BTreeMap::from([(host.clone(), said)]));
    }
    shared
}

fn whole(shared: &Shared, hosts: &[Host]) -> Value {
    let anywhere = shared.host(&Host::Any);
    let form = Form::Pattern { anywhere: anywhere.as_ref() };
    let made = |host| piece(&origin(), host, &shared.host(host).unwrap(), form).unwrap();
    let pieces: Vec<_> = hosts.iter().map(made).collect();
    let bytes = table::table("x/routes", &pattern_head().unwrap(), pieces.iter());
    EnvoyResource::from_bytes(ResourceKind::Route, &bytes).unwrap().to_json().unwrap()
}

#[test]
fn pieces_put_together_are_one_table() {
    let hosts = [Host::Exact("a.example".to_owned()), Host::Wildcard("example".to_owned()), Host::Any];
    let said: Vec<_> = hosts.iter().map(|host| (host.clone(), "/", None)).collect();
    let table = whole(&shared(&said), &hosts);
    assert_eq!((&table["name"], &table["ignore_port_in_host_matching"]), (&"x/routes".into(), &true.into()));
    let domains: Vec<_> =
        table["virtual_hosts"].as_array().unwrap().iter().map(|it| it["domains"][0].clone()).collect();
    assert_eq!(domains, ["a.example", "*.example", "*"]);
    // The wildcard has the routes of all others for names with more labels.
    assert_eq!(table["virtual_hosts"][1]["routes"].as_array().unwrap().len(), 4);
}

#[test]
fn open_paths_of_a_host_are_closed_and_plain_requests_go_to_https_first() {
    let host = Host::Exact("a.example".to_owned());
    let table = whole(&shared(&[(host.clone(), "/a", Some(RedirectCode::PermanentRedirect))]), &[host]);
    let routes = table["virtual_hosts"][0]["routes"].as_array().unwrap();
    let words = |route: &Value| {
        let action = ["redirect", "route", "direct_response"].into_iter().find(|action| !route[action].is_null());
        let path = ["prefix", "path_separated_prefix"].into_iter().find_map(|kind| route["match"][kind].as_str());
        format!("{} {}", path.unwrap(), action.unwrap())
    };
    let all: Vec<_> = routes.iter().map(words).collect();
    assert_eq!(all, ["/a redirect", "/a route", "/a route", "/ redirect", "/ direct_response"]);
    assert_eq!(routes[4]["direct_response"]["status"], 404);
    // Proof for a certificate is looked for at any path that no longer one has.
    assert_eq!(routes[3]["match"]["headers"].as_array().unwrap().len(), 2);
    assert_eq!(routes[0]["match"]["headers"].as_array().unwrap().len(), 1);
}

#[test]
fn shards_change_how_routes_are_found_and_nothing_else() {
    let defaults = IngressDefaults::default();
    let origin = Origin::of(&defaults);
    let [whole, sharded] = [Routing::Table, Routing::Shards].map(|routing| {
        let head = listener_head(&origin, &defaults, routing).unwrap();
        let bytes = listener(&origin, &head, std::iter::empty()).resource.body;
        let json = EnvoyResource::from_bytes(ResourceKind::Listener, &bytes).unwrap().to_json().unwrap();
        json["filter_chains"][0]["filters"][0]["typed_config"].clone()
    });
    let [mut whole, mut sharded] = [whole, sharded].map(|it| it.as_object().unwrap().clone());
    for list in ["early_header_mutation_extensions", "http_filters"] {
        let theirs = sharded[list].as_array_mut().unwrap();
        let first = theirs.remove(0);
        assert_eq!(first["name"], axoneme_hostkey::FILTER);
        if theirs.is_empty() {
            sharded.remove(list);
        }
    }
    assert!(whole.remove("rds").is_some() && sharded.remove("scoped_routes").is_some());
    assert_eq!(whole, sharded);
}
