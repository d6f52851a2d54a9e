//! Paths that a client spells in some other way, and paths of which the routes are made: none gets a request to a backend that
//! another route is for.

use std::time::Duration;

use axoneme_testnet::wait_until;

use crate::random::Random;
use crate::scene::{Scene, ingress, path, rule};

fn web(annotations: &str) -> String {
    let paths = [path("Prefix", "/", "web"), path("Prefix", "/admin", "api")];
    ingress("web", annotations, &format!("rules: [{}]", rule("shop.example", &[&paths[0], &paths[1]])))
}

#[test]
fn edge_23_cve_2021_29492_no_spelling_of_a_path_gets_around_its_route() {
    let scene = Scene::start("ing-paths", &["web"], &web(""));
    scene.until(&scene.curl("http://shop.example/"), |answer| answer.status == 200);
    for path in
        ["/admin", "//admin", "/x/../admin", "/./admin/x", "/x/%2e%2e/admin", "/%61dmin", "/admin?x", "/admin/?x=/"]
    {
        assert_eq!(scene.get(&format!("http://shop.example{path}")).body, "api", "{path}");
    }
    for path in ["/?/admin", "/administrator", "/x/admin", "/..admin"] {
        assert_eq!(scene.get(&format!("http://shop.example{path}")).body, "web", "{path}");
    }
    // What the routes compared is what the backend gets.
    for (path, wanted) in [
        ("/x/../admin/./y?a=/../b", ("api", "/admin/y")),
        ("/%61d%6Din/%7Ex", ("api", "/admin/~x")),
        ("/../../admin", ("api", "/admin")),
        // An empty element is one: `..` takes it away, and nothing more.
        ("/x/.//../admin//y", ("web", "/x/admin/y")),
    ] {
        let got = scene.get(&format!("http://shop.example{path}"));
        assert_eq!((got.body.as_str(), got.header("x-echo-path")), wanted, "{path}");
    }
    // The client is told to ask again with slashes.
    for path in ["/x%2f..%2fadmin", "/%2Fadmin", "/x%5c..%5cadmin", "/%5Cadmin"] {
        let answer = scene.get(&format!("http://shop.example{path}"));
        assert_eq!((answer.status, answer.header("location").contains('%')), (307, false), "{path}: {answer:?}");
    }
    // A byte that ends strings elsewhere is in no path.
    assert_eq!(scene.get("http://shop.example/x%00/admin").status, 400);
    scene.write("ingress.yaml", &web("ingress.axoneme.io/escaped-slashes: keep"));
    let kept = scene.until(&scene.curl("http://shop.example/a%2Fb"), |answer| answer.status == 200);
    assert_eq!(kept.header("x-echo-path"), "/a%2Fb");
    scene.write("ingress.yaml", &web("ingress.axoneme.io/escaped-slashes: reject"));
    scene.until(&scene.curl("http://shop.example/a%2Fb"), |answer| answer.status == 400);
}

#[test]
fn cve_2025_1974_cve_2026_29777_what_is_written_in_a_path_is_nothing_but_a_path() {
    // What would end a directive, a quote, an expression or a template elsewhere.
    let hostile = [
        "/a.c",
        "/a(b",
        "/x|/admin",
        "/[a-z]",
        "/`id`",
        "/\"}; load_module x",
        "/%(REQ(x))%",
        "/{{ .Values }}",
        "/$(id)",
        "/a\\\\d",
        "/ü",
        "/%2Ex",
    ];
    let mut paths: Vec<_> = hostile.iter().map(|it| path("Prefix", it, "api")).collect();
    paths.extend(hostile.iter().map(|it| path("Exact", &format!("{it}/exact"), "web")));
    paths.push(path("Prefix", "/", "web"));
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let annotations = "ingress.cilium.io/request-timeout: \"1s\\n}\\nlua_block {\", nginx.ingress.kubernetes.io/auth-url: \
                       \"http://x/#;}}}\"";
    let spec = format!("rules: [{}]", rule("shop.example", &paths));
    let scene = Scene::start("ing-hostile", &["web"], &ingress("web", annotations, &spec));
    let answers = |path: &str, wanted: &str| {
        let answer = scene.until(&scene.curl(&format!("http://shop.example{path}")), |answer| answer.exit == 0);
        assert_eq!(answer.body, wanted, "{path}: {answer:?}");
    };
    for path in ["/a.c", "/a(b", "/x|/admin/x", "/x%7C/admin/y", "/`id`", "/$(id)", "/%C3%BC/x", "/.x"] {
        answers(path, "api");
    }
    for path in ["/a.c/exact", "/abc", "/admin", "/x", "/a", "/b", "/5"] {
        answers(path, "web");
    }
    scene.says(&["ingress.cilium.io/request-timeout", "is not a duration"]);
}

/// Of which paths are made.
const PARTS: [&str; 4] = ["a", "b", "ab", "a-b"];
const HOSTS: [&str; 5] = ["", "a.example", "*.a.example", "b.a.example", "x.example"];
const ASKED: [&str; 6] = ["a.example", "b.a.example", "c.a.example", "d.c.a.example", "x.example", "elsewhere.example"];

/// One rule's path, and who answers it.
struct Line {
    host: &'static str,
    exact: bool,
    path: String,
    backend: usize,
}

fn some_path(random: &mut Random) -> String {
    let parts: Vec<_> = (0..random.below(4)).map(|_| random.pick(&PARTS)).collect();
    let end = if parts.is_empty() || random.below(2) == 0 { "" } else { "/" };
    format!("/{}{end}", parts.join("/"))
}

/// What <https://kubernetes.io/docs/concepts/services-networking/ingress/> says of a request, put as simply as possible.
fn meant(lines: &[Line], host: &str, path: &str) -> Option<usize> {
    let wildcard = host.split_once('.').map(|(_, rest)| format!("*.{rest}")).unwrap_or_default();
    let named = [host, &wildcard, ""].into_iter().find(|host| lines.iter().any(|line| line.host == *host))?;
    let elements = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let fits = |line: &&Line| {
        let within = elements(path).starts_with(&elements(&line.path));
        line.host == named && if line.exact { line.path == path } else { within }
    };
    let best = lines.iter().filter(fits).max_by_key(|line| (line.exact, elements(&line.path).len()))?;
    Some(best.backend)
}

#[test]
fn cve_2024_42487_requests_go_where_the_specification_says() {
    let mut random = Random(1);
    let mut scene = Scene::start("ing-order", &["web"], &web(""));
    let backends = ["one", "two", "three"];
    backends.iter().for_each(|name| scene.publish_backend(name));
    for round in 0..5 {
        let mut lines: Vec<Line> = Vec::new();
        while lines.len() < 40 {
            let (host, exact, path) = (random.pick(&HOSTS), random.below(2) == 0, some_path(&mut random));
            // The same path twice is a conflict, which is another matter.
            let same = |line: &Line| {
                let trimmed = |path: &str| path.trim_end_matches('/').to_owned();
                let alike = if exact { line.path == path } else { trimmed(&line.path) == trimmed(&path) };
                line.host == host && line.exact == exact && alike
            };
            if !lines.iter().any(same) {
                lines.push(Line { host, exact, path, backend: random.below(backends.len()) });
            }
        }
        let line = |it: &Line| {
            let kind = if it.exact { "Exact" } else { "Prefix" };
            rule(it.host, &[&path(kind, &it.path, backends[it.backend])])
        };
        let marker = rule("round.example", &[&path("Exact", &format!("/{round}"), "web")]);
        let rules: Vec<_> = lines.iter().map(line).chain([marker]).collect();
        scene.write("ingress.yaml", &ingress("web", "", &format!("rules: [{}]", rules.join(", "))));
        scene.until(&scene.curl(&format!("http://round.example/{round}")), |answer| answer.status == 200);

        let questions: Vec<_> = (0..300).map(|_| (random.pick(&ASKED), some_path(&mut random))).collect();
        let urls: Vec<_> = questions.iter().map(|(host, path)| format!("http://{host}{path}")).collect();
        let wanted: Vec<_> =
            questions.iter().map(|(host, path)| meant(&lines, host, path).map(|at| backends[at])).collect();
        // One worker of Envoy may be a moment behind the one that answered first.
        let mut wrong = Vec::new();
        let waited = wait_until("the right answers", Duration::from_secs(20), || {
            let answers = scene.get_all(&urls, "x-backend");
            assert_eq!(answers.len(), urls.len());
            let is_wrong = |(wanted, (status, backend)): (&Option<&str>, &(u16, String))| match wanted {
                None => *status != 404,
                Some(wanted) => *status != 200 || backend != wanted,
            };
            let all = urls.iter().zip(wanted.iter().zip(&answers));
            wrong = all.filter(|(_, pair)| is_wrong(*pair)).map(|it| format!("{it:?}")).collect();
            Ok(wrong.is_empty())
        });
        assert!(waited.is_ok(), "round {round}: {wrong:#?}");
    }
}
