//! Which request goes to which backend, and how it is asked.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread::spawn,
    time::Duration,
};

use axoneme_testnet::Namespace;

use crate::certificates::Pair;
use crate::scene::{Scene, ingress, path, rule};

/// Asks for each URL and compares what answers: a text, or a status.
fn expect(scene: &Scene, wanted: &[(&str, &str)]) {
    for (url, wanted) in wanted {
        let answer = scene.get(url);
        let got = if answer.status == 200 { answer.body.clone() } else { answer.status.to_string() };
        assert_eq!(got, *wanted, "{url}: {answer:?}");
    }
}

#[test]
fn edge_15_hosts_and_paths_as_the_specification_says() {
    let rules = [
        rule("", &[&path("Exact", "/any", "api")]),
        rule(
            "shop.example",
            &[
                &path("Prefix", "/", "web"),
                &path("Prefix", "/a", "api"),
                &path("Prefix", "/a/b/", "web"),
                &path("Exact", "/a/c", "web"),
                &path("ImplementationSpecific", "/impl", "api"),
            ],
        ),
        rule("*.foo.example", &[&path("Prefix", "/", "web")]),
        rule("x.foo.example", &[&path("Prefix", "/x", "api")]),
    ];
    let scene = Scene::start("ing-hosts", &["web"], &ingress("web", "", &format!("rules: [{}]", rules.join(", "))));
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    expect(
        &scene,
        &[
            ("http://shop.example/any", "web"),
            ("http://SHOP.example:8080/a", "api"),
            ("http://shop.example/a/", "api"),
            ("http://shop.example/ab", "web"),
            ("http://shop.example/a/b", "web"),
            ("http://shop.example/a/bc", "api"),
            ("http://shop.example/a/c", "web"),
            ("http://shop.example/a/c/", "api"),
            ("http://shop.example/impl/below", "api"),
            ("http://shop.example/implicit", "web"),
            ("http://a.foo.example:8080/", "web"),
            ("http://a.b.foo.example/", "404"),
            ("http://a.b.foo.example/any", "api"),
            ("http://foo.example/", "404"),
            ("http://x.foo.example/x", "api"),
            ("http://x.foo.example/", "404"),
            ("http://unknown.example/any", "api"),
            ("http://unknown.example/", "404"),
        ],
    );
}

#[test]
fn edge_15_expressions_and_the_same_host_in_two_ingresses() {
    let regex = "[/]v[0-9]+/items";
    let paths = [path("ImplementationSpecific", regex, "api"), path("Prefix", "/", "web")];
    let rules = format!("rules: [{}]", rule("shop.example", &[&paths[0], &paths[1]]));
    let other = format!("rules: [{}]", rule("shop.example", &[&path("Prefix", "/", "api")]));
    let manifests = [ingress("web", "ingress.axoneme.io/path-type: regex", &rules), ingress("other", "", &other)];
    let scene = Scene::start("ing-regex", &["web", "other"], &manifests.concat());
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    expect(
        &scene,
        &[
            ("http://shop.example/v12/items", "api"),
            ("http://shop.example/v12/items/1", "web"),
            ("http://shop.example/v/items", "web"),
        ],
    );
    // An address of its own is a world of its own: nobody lost anything.
    let elsewhere = crate::curl::Curl::new("http://shop.example/v12/items/1", scene.at("other", 80));
    assert_eq!(elsewhere.ask(&scene.outside).body, "api");
    assert!(!scene.log().contains("Conflict"), "{}", scene.log());
}

#[test]
fn edge_16_what_cannot_be_served_is_told_and_harms_its_own_path_only() {
    let paths = [
        path("Prefix", "/", "web"),
        path("Prefix", "/gone", "gone"),
        path("Prefix", "/elsewhere", "elsewhere"),
        "{path: /bucket, pathType: Prefix, backend: {resource: {apiGroup: x, kind: Bucket, name: b}}}".to_owned(),
    ];
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let spec = format!(
        "defaultBackend: {{service: {{name: api, port: {{number: 80}}}}}}\n  rules: [{}, {}, {{host: no.example}}]",
        rule("shop.example", &paths),
        rule("half.example", &[&path("Exact", "/half", "web")])
    );
    let elsewhere = "apiVersion: v1\nkind: Service\nmetadata: {name: elsewhere, namespace: shop}\nspec: {type: ExternalName, \
                     externalName: db.example, ports: [{port: 80}]}\n";
    let scene = Scene::start("ing-wrong", &["web"], &[&ingress("web", "", &spec), elsewhere].concat());
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    expect(
        &scene,
        &[
            ("http://shop.example/gone", "503"),
            ("http://shop.example/elsewhere", "503"),
            ("http://shop.example/bucket", "503"),
            ("http://shop.example/other", "web"),
            ("http://half.example/half", "web"),
            ("http://half.example/", "api"),
            ("http://unknown.example/", "api"),
            ("http://no.example/", "api"),
        ],
    );
    scene.says(&["spec.rules[0].http.paths[1].backend.service.name", "Service shop/gone does not exist"]);
    scene.says(&["spec.rules[0].http.paths[2].backend.service.name", "ExternalName"]);
    scene.says(&["spec.rules[0].http.paths[3].backend.resource", "Bucket b"]);
    scene.says(&["spec.rules[2]", "a rule without http"]);
    scene.publish("gone", "", &scene.pods[1], crate::scene::PORT);
    scene.until(&scene.curl("http://shop.example/gone"), |answer| answer.body == "api");
}

#[test]
fn edge_15_a_host_is_the_same_however_it_is_written() {
    let rules = [
        rule("Shop.Example", &[&path("Prefix", "/", "web")]),
        rule("*.foo.example", &[&path("Prefix", "/", "web")]),
        rule("", &[&path("Prefix", "/", "api")]),
    ];
    let scene = Scene::start("ing-forms", &["web"], &ingress("web", "", &format!("rules: [{}]", rules.join(", "))));
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    for (host, wanted) in [
        ("shop.example", "web"),
        ("SHOP.EXAMPLE", "web"),
        ("shop.example:80", "web"),
        ("shop.example:8443", "web"),
        ("shop.example.", "web"),
        ("sHoP.example.:8080", "web"),
        ("a.foo.example", "web"),
        ("A.FOO.example:8080", "web"),
        ("a.foo.example.", "web"),
        ("a.foo.example.:8080", "web"),
        ("a-b.foo.example", "web"),
        ("a.b.foo.example", "api"),
        ("foo.example", "api"),
        (".foo.example", "api"),
        ("xfoo.example", "api"),
        ("a.fooxexample", "api"),
        ("shop.example.evil.example", "api"),
        ("evilshop.example", "api"),
        ("shop", "api"),
        ("10.0.0.1", "api"),
        ("[2001:db8::1]", "api"),
        ("[2001:db8::1]:8080", "api"),
    ] {
        let answer = scene.curl("http://any.example/").header(&format!("host: {host}")).ask(&scene.outside);
        assert_eq!((answer.status, answer.body.as_str()), (200, wanted), "{host}: {answer:?}");
    }
}

#[test]
fn edge_15_an_expression_is_for_the_whole_path_and_no_path_is_every_path() {
    let paths = [
        path("ImplementationSpecific", "/impl", "api"),
        path("ImplementationSpecific", "/long.*", "api"),
        path("ImplementationSpecific", "/a(b|c)+/[^/]*", "api"),
        path("Prefix", "/", "web"),
    ];
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let no_path = "{pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}";
    let empty = "{path: '', pathType: ImplementationSpecific, backend: {service: {name: api, port: {number: 80}}}}";
    let rules = [rule("shop.example", &paths), rule("none.example", &[no_path]), rule("empty.example", &[empty])];
    let web = ingress("web", "ingress.axoneme.io/path-type: regex", &format!("rules: [{}]", rules.join(", ")));
    let scene = Scene::start("ing-whole", &["web"], &web);
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    expect(
        &scene,
        &[
            ("http://shop.example/impl", "api"),
            ("http://shop.example/impl?query", "api"),
            ("http://shop.example/impl/", "web"),
            ("http://shop.example/implicit", "web"),
            ("http://shop.example/x/impl", "web"),
            ("http://shop.example/long", "api"),
            ("http://shop.example/longer/still", "api"),
            ("http://shop.example/abcb/x", "api"),
            ("http://shop.example/abcb/x/y", "web"),
            ("http://shop.example/a/x", "web"),
            ("http://none.example/any/path", "api"),
        ],
    );
    let nothing = scene.get("http://empty.example/any/path");
    assert_eq!((nothing.status, nothing.body.as_str()), (200, "api"), "no path is no expression: {nothing:?}");
}

#[test]
fn edge_16_a_default_backend_alone_answers_everything() {
    let web = "defaultBackend: {service: {name: named, port: {name: http}}}";
    let scene = Scene::start("ing-default", &["web"], &ingress("web", "", web));
    scene.publish_named("named", "http", &scene.pods[0]);
    scene.until(&scene.curl("http://any.example/any"), |answer| answer.body == "web");
    expect(&scene, &[("http://shop.example/", "web"), ("http://10.0.0.1/x/y", "web")]);
    // With rules it answers what they leave open.
    let rules = rule("shop.example", &[&path("Exact", "/x", "api")]);
    scene.write("ingress.yaml", &ingress("web", "", &format!("{web}\n  rules: [{rules}]")));
    scene.until(&scene.curl("http://shop.example/x"), |answer| answer.body == "api");
    expect(&scene, &[("http://shop.example/x/y", "web"), ("http://shop.example/", "web"), ("http://a.b/x", "web")]);
}

/// A server in a pod that tells the first line of each connection, and answers it if it is HTTP/1.1.
fn first_lines(pod: &Namespace, port: u16) -> Receiver<String> {
    let listener = pod.enter(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    let (tell, told) = channel();
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            if BufReader::new(&stream).read_line(&mut line).is_ok() {
                answer(&stream, &line);
                if tell.send(line).is_err() {
                    return;
                }
            }
        }
    });
    told
}

fn answer(mut stream: &TcpStream, line: &str) {
    if line.contains("HTTP/1.1") {
        // A client that is gone gets no answer.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
}

#[test]
fn edge_23_a_backend_is_asked_in_the_protocol_that_it_speaks() {
    let pair = Pair::of(&["shop.example"]);
    let paths = [path("Prefix", "/", "silent"), path("Prefix", "/h2c", "told")];
    let spec = format!(
        "tls: [{{hosts: [shop.example], secretName: shop}}]\n  rules: [{}]",
        rule("shop.example", &[&paths[0], &paths[1]])
    );
    let scene = Scene::start("ing-speaks", &["web"], &[ingress("web", "", &spec), pair.secret("shop")].concat());
    let pod = &scene.pods[0];
    let (silent, told) = (first_lines(pod, 8081), first_lines(pod, 8082));
    scene.publish("silent", "", pod, 8081);
    scene.publish("told", ", appProtocol: kubernetes.io/h2c", pod, 8082);
    let trusted = pair.file();
    let ask = |path: &str, kind: &str| {
        let url = format!("https://shop.example{path}");
        scene.curl(&url).trust(&trusted).header(&format!("content-type: {kind}")).with(&["--max-time", "3"])
    };
    let limit = Duration::from_secs(20);
    scene.until(&ask("/", "text/plain"), |answer| (answer.status, answer.version.as_str()) == (200, "2"));
    assert_eq!(silent.recv_timeout(limit).unwrap().trim(), "GET / HTTP/1.1", "whatever the client speaks");
    // The backend answers no HTTP/2: what counts is how it is asked.
    while silent.try_recv().is_ok() {}
    ask("/", "application/grpc").ask(&scene.outside);
    assert_eq!(silent.recv_timeout(limit).unwrap().trim(), "PRI * HTTP/2.0");
    scene.until(&ask("/h2c", "text/plain"), |answer| answer.exit != 35);
    assert_eq!(told.recv_timeout(limit).unwrap().trim(), "PRI * HTTP/2.0");
}
