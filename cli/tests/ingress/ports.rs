//! Ports of the Service that nobody serves.

use crate::scene::{Scene, ingress, path, rule};

#[test]
fn edge_16_tls_that_is_not_served_is_refused_at_once() {
    let spec = format!("rules: [{}]", rule("", &[&path("Prefix", "/", "web")]));
    let scene = Scene::start("ing-refused", &["web"], &ingress("web", "", &spec));
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    // 35 is a handshake that failed; one that nobody answers ends with 28, after ten seconds.
    scene.until(&scene.curl("https://shop.example/").with(&["--insecure"]), |answer| answer.exit == 35);
}
