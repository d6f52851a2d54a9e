//! How requests are read and limited: what a client sends to get around the routes, and what it waits for.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread::spawn,
    time::Duration,
};

use axoneme_testnet::Namespace;

use crate::scene::{Scene, ingress, path, rule};

fn web(annotations: &str) -> String {
    let paths = [path("Prefix", "/", "web"), path("Prefix", "/admin", "api"), path("Prefix", "/slow", "slow")];
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    ingress("web", annotations, &format!("rules: [{}]", rule("shop.example", &paths)))
}

#[test]
fn edge_23_no_spelling_of_a_path_gets_around_its_route() {
    let scene = Scene::start("ing-paths", &["web"], &web(""));
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    for path in ["/admin", "//admin", "/x/../admin", "/./admin/x", "/x/%2e%2e/admin"] {
        assert_eq!(scene.get(&format!("http://shop.example{path}")).body, "api", "{path}");
    }
    // The client is told to ask again with slashes.
    for path in ["/x%2f..%2fadmin", "/%2Fadmin", "/x%5c..%5cadmin"] {
        let answer = scene.get(&format!("http://shop.example{path}"));
        assert_eq!((answer.status, answer.header("location").contains('%')), (307, false), "{path}: {answer:?}");
    }
    scene.write("ingress.yaml", &web("ingress.axoneme.io/escaped-slashes: keep"));
    let kept = scene.until(&scene.curl("http://shop.example/a%2Fb"), |answer| answer.status == 200);
    assert_eq!(kept.header("x-echo-path"), "/a%2Fb");
    scene.write("ingress.yaml", &web("ingress.axoneme.io/escaped-slashes: reject"));
    scene.until(&scene.curl("http://shop.example/a%2Fb"), |answer| answer.status == 400);
}

#[test]
fn edge_22_headers_are_what_the_mesh_knows_and_not_what_a_client_says() {
    let scene = Scene::start("ing-headers", &["web"], &web(""));
    let ask = scene.curl("http://shop.example/echo");
    let ask = ask.header("x-forwarded-for: 198.51.100.1").header("x-envoy-upstream-rq-timeout-ms: 1");
    let ask = ask.header("x-forwarded-proto: https").header("x_user: root");
    let saw = scene.until(&ask, |answer| answer.status == 200).saw();
    let header = |name: &str| saw["headers"][name].as_str().unwrap_or_default().to_owned();
    let own = scene.outside.address.each()[0].to_string();
    assert_eq!(header("x-forwarded-for"), format!("198.51.100.1,{own}"), "the one that is sure stands last");
    assert_eq!(header("x-envoy-external-address"), own);
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("x_user"), "", "a backend could take it for x-user");
    assert!(!header("x-request-id").is_empty());

    let many: Vec<_> = (0..101).map(|at| format!("x-{at}: y")).collect();
    let ask = many.iter().fold(scene.curl("http://shop.example/"), |curl, header| curl.header(header));
    assert_eq!(ask.ask(&scene.outside).status, 431);
    let large = format!("x-large: {}", "y".repeat(61 * 1024));
    assert_eq!(scene.curl("http://shop.example/").header(&large).ask(&scene.outside).status, 431);

    scene.write("ingress.yaml", &web("ingress.axoneme.io/header-underscores: allow"));
    let ask = scene.curl("http://shop.example/echo").header("x_user: root");
    scene.until(&ask, |answer| answer.status == 200 && answer.saw()["headers"]["x_user"] == "root");
}

#[test]
fn edge_14_only_the_ranges_that_are_named_may_connect() {
    let ranges = |ranges: &str| web(&format!("ingress.axoneme.io/load-balancer-source-ranges: {ranges:?}"));
    let scene = Scene::start("ing-ranges", &["web"], &ranges("198.51.100.0/24"));
    let ask = scene.curl("http://shop.example/");
    assert_ne!(ask.ask(&scene.outside).exit, 0);
    let own = scene.outside.address.each()[0];
    scene.write("ingress.yaml", &ranges(&format!("198.51.100.0/24,{own}/32")));
    scene.until(&ask, |answer| answer.status == 200);
    scene.write("ingress.yaml", &ranges("everybody"));
    scene.until(&ask, |answer| answer.exit == 52 || answer.exit == 56);
    scene.says(&["load-balancer-source-ranges", "it lets nobody in"]);
}

/// A server in a pod: `then` does what it wants with each connection.
fn serve(pod: &Namespace, port: u16, then: impl Fn(TcpStream) + Send + Sync + Clone + 'static) {
    let listener = pod.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let then = then.clone();
            spawn(move || then(stream));
        }
    });
}

#[test]
fn edge_23_a_request_may_take_as_long_as_it_is_given() {
    let scene = Scene::start("ing-slow", &["web"], &web("ingress.cilium.io/request-timeout: 300ms"));
    // It takes requests and never answers.
    serve(&scene.pods[0], 8081, |mut stream| while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {});
    scene.publish("slow", "", &scene.pods[0], 8081);
    scene.until(&scene.curl("http://shop.example/slow"), |answer| answer.status == 504);

    scene.write("ingress.yaml", &web("ingress.cilium.io/stream-idle-timeout: 300ms"));
    scene.until(&scene.curl("http://shop.example/slow"), |answer| answer.status == 504 || answer.status == 408);

    scene.write("ingress.yaml", &web("ingress.cilium.io/request-timeout: soon"));
    scene.says(&["ingress.cilium.io/request-timeout", "\"soon\" is not a duration"]);
    // Without a limit the client is the first who has enough.
    let impatient = scene.curl("http://shop.example/slow").with(&["--max-time", "2"]);
    scene.until(&impatient, |answer| answer.exit == 28);
}

#[test]
fn edge_23_a_websocket_passes_in_both_directions() {
    let scene = Scene::start("ing-socket", &["web"], &web(""));
    serve(&scene.pods[0], 8081, |mut stream| {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
            request.push(byte[0]);
        }
        let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let mut piece = [0; 1024];
        // Who goes away is not answered any more.
        let mut said = stream.write_all(upgrade).map(|()| 0);
        while said.is_ok() {
            said = stream.read(&mut piece);
            match said {
                Ok(read) if read > 0 => drop(stream.write_all(&piece[..read])),
                _ => return,
            }
        }
    });
    scene.publish("slow", "", &scene.pods[0], 8081);
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);

    let at = scene.at("web", 80);
    let request = "GET /slow HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let open = || {
        let mut stream = scene.outside.enter(|| TcpStream::connect(at)).unwrap().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or_default() == 1 {
            head.push(byte[0]);
        }
        (stream, String::from_utf8_lossy(&head).into_owned())
    };
    let mut last = open();
    // The backend may not be known yet.
    axoneme_testnet::wait_until("the upgrade", Duration::from_secs(20), || {
        if !last.1.starts_with("HTTP/1.1 101") {
            last = open();
        }
        Ok(last.1.starts_with("HTTP/1.1 101"))
    })
    .unwrap();
    let mut stream = last.0;
    for said in ["hello", "again"] {
        stream.write_all(said.as_bytes()).unwrap();
        let mut back = vec![0; said.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, said.as_bytes());
    }
}
