//! Stories about the folders of the operator's golden tests.

use std::path::PathBuf;

use axoneme_envoy::Policy;

use super::*;

fn story(folder: &str, target: &str) -> (bool, String) {
    let folder = PathBuf::from("..").join(folder);
    let input = Input::read(&[folder], Policy::default()).unwrap();
    let (served, lines) = explain(&input, "node", &target.parse().unwrap());
    (served, lines.join("\n"))
}

#[test]
fn targets_are_services_and_urls() {
    let service = |port| Target::Service { namespace: "a".to_owned(), name: "b".to_owned(), port };
    assert_eq!("a/b".parse(), Ok(service(None)));
    assert_eq!("a/b:80".parse(), Ok(service(Some(80))));
    let url = |host: &str, port, path: &str| Target::Url { host: host.to_owned(), port, path: path.to_owned() };
    assert_eq!("http://A.b".parse(), Ok(url("a.b", 80, "/")));
    assert_eq!("http://[::1]:8080/x".parse(), Ok(url("::1", 8080, "/x")));
    for wrong in ["a", "a/b/c", "a/b:x", "http://", "https//a/b", "http://a:b/"] {
        assert!(wrong.parse::<Target>().is_err(), "{wrong}");
    }
}

#[test]
fn a_service_goes_to_the_oldest_object_that_wants_it() {
    let (served, story) = story("operator/tests/golden/conflict", "default/web:80");
    assert!(served, "{story}");
    assert!(story.contains("object    CiliumEnvoyConfig default/old"), "{story}");
    assert!(story.contains("not CiliumEnvoyConfig default/young: CiliumEnvoyConfig default/old has"), "{story}");
    assert!(!story.contains("default/web:81"), "{story}");
}

#[test]
fn a_url_takes_the_route_that_envoy_takes() {
    let route = |url: &str| {
        let (served, story) = story("operator/tests/golden/ingress", url);
        assert!(served, "{story}");
        let web = story.split("\nshop/cilium-ingress-web:80").nth(1).unwrap().to_owned();
        web.lines().find(|line| line.contains("  route     ")).unwrap().to_owned()
    };
    assert!(route("http://SHOP.example/").contains("host shop.example"));
    assert!(route("http://a.shop.example/").contains("host *.shop.example"));
    assert!(route("http://elsewhere/").contains("host *,"));
}

#[test]
fn what_nobody_serves_is_said_with_the_reason() {
    let (served, text) = story("operator/tests/golden/ingress", "default/nope");
    assert!(!served);
    assert_eq!(text, "the mesh does not serve default/nope on node node: there is no such Service");
}
