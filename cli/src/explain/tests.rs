//! Stories about the folders of the operator's golden tests.

use std::path::{Path, PathBuf};

use axoneme_envoy::Policy;

use super::*;

fn story(folder: &Path, target: &str) -> (bool, String) {
    let target: Target = target.parse().unwrap();
    let request = match &target {
        Target::Url(url) => Some(Request::new(url, "GET", &[])),
        Target::Service { .. } => None,
    };
    let client = Client::Node("node".to_owned());
    let world = world::of_files(&[folder.to_owned()], Policy::default(), client, None).unwrap();
    let story = explain(&world, &target, request.as_ref());
    (story.served, show::text(&story))
}

fn golden(name: &str) -> PathBuf {
    Path::new("../operator/tests/golden").join(name)
}

#[test]
fn targets_are_services_and_urls() {
    let service = |namespace: Option<&str>, port| Target::Service {
        namespace: namespace.map(str::to_owned),
        name: "b".to_owned(),
        port,
    };
    for text in ["a/b", "b.a", "b.a.svc", "b.a.svc.cluster.local", "b.a.svc.example.org"] {
        assert_eq!(text.parse(), Ok(service(Some("a"), None)), "{text}");
        assert_eq!(format!("{text}:80").parse(), Ok(service(Some("a"), Some(80))), "{text}");
    }
    assert_eq!("b:81".parse(), Ok(service(None, Some(81))));
    let url = |https, host: &str, port, path: &str| {
        Target::Url(target::Url { https, host: host.to_owned(), port, path: path.to_owned() })
    };
    assert_eq!("http://A.b".parse(), Ok(url(false, "a.b", 80, "/")));
    assert_eq!("http://[::1]:8080/x".parse(), Ok(url(false, "::1", 8080, "/x")));
    assert_eq!("https://a.b.?q=/1".parse(), Ok(url(true, "a.b", 443, "/?q=/1")));
    assert_eq!("https://a.b:80/".parse::<Target>().unwrap().to_string(), "https://a.b:80/");
    for wrong in ["", "a/b/c", "a/b:x", "a.b.c", "http://", "https//a/b", "http://a:b/", "ftp://a/"] {
        assert!(wrong.parse::<Target>().is_err(), "{wrong}");
    }
}

#[test]
fn a_service_goes_to_the_oldest_object_that_wants_it() {
    let (served, story) = story(&golden("conflict"), "default/web:80");
    // Without endpoints nobody can answer, whoever's it is.
    assert!(!served, "{story}");
    assert!(story.contains("object    CiliumEnvoyConfig default/old"), "{story}");
    let lost = "CiliumEnvoyConfig default/young  CiliumEnvoyConfig default/old is older and has default/web:80 already";
    assert!(story.contains(lost), "{story}");
    assert!(!story.contains("default/web:81"), "{story}");
}

#[test]
fn a_url_takes_the_route_that_envoy_takes() {
    let route = |url: &str| {
        let (_, story) = story(&golden("ingress"), url);
        let web = story.split("\nshop/cilium-ingress-web:80").nth(1).unwrap_or_else(|| panic!("{story}")).to_owned();
        web.lines().find(|line| line.contains("  route     ")).unwrap_or_default().to_owned()
    };
    for (url, host) in [("http://SHOP.example/", " shop.example "), ("http://a.shop.example/", " *.shop.example ")] {
        assert!(route(url).contains(host), "{url}: {}", route(url));
    }
    assert!(route("http://elsewhere/").contains(" * routes"), "{}", route("http://elsewhere/"));
}

#[test]
fn what_nobody_serves_is_said_with_the_reason() {
    let (served, text) = story(&golden("ingress"), "default/nope");
    assert!(!served);
    assert_eq!(text, "default/nope from node node: not taken by the mesh: there is no Service default/nope\n");
}
