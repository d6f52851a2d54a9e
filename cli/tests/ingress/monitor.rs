//! `axonctl monitor` and `axonctl status`: what the redirect decides, live and in sums, with the names of Services.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::spawn,
    time::Duration,
};

use serde_json::Value;

use crate::scene::{Scene, ingress, path, rule};

/// How long a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVICE: &str = "shop/cilium-ingress-web:80";

/// `axonctl monitor`, ended with the test.
struct Monitor {
    child: Child,
    lines: Receiver<Value>,
}

impl Monitor {
    fn start(scene: &Scene) -> Self {
        let mut command = axonctl(scene, &["monitor", "-o", "json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        spawn(move || output.lines().try_for_each(|line| send.send(serde_json::from_str(&line.unwrap()).unwrap())));
        let monitor = Self { child, lines };
        assert_eq!(monitor.next(), serde_json::json!({ "lost": 0 }));
        monitor
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn axonctl(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axonctl"));
    command.args(arguments).arg("--run-dir").arg(scene.run_dir());
    command
}

#[test]
fn what_becomes_of_connections_is_told_live_and_in_sums() {
    let rules = format!("rules: [{}]", rule("shop.example", &[&path("Prefix", "/", "web")]));
    let scene = Scene::start("ing-monitor", &["web"], &ingress("web", "", &rules));
    let monitor = Monitor::start(&scene);
    let own = scene.outside.address.each()[0].to_string();
    assert_eq!(scene.get("http://shop.example/").status, 200);
    let seen = std::iter::from_fn(|| Some(monitor.next())).find(|line| line["service"] == SERVICE).unwrap();
    let told = ["reason", "program", "frontend"].map(|field| seen[field].as_str().unwrap().to_owned());
    assert_eq!(told, ["taken".to_owned(), "from_netdev".to_owned(), scene.at("web", 80).to_string()]);
    assert!(seen["client"].as_str().unwrap().starts_with(&own), "{seen}");

    let status = axonctl(&scene, &["status", "node", "--json"]).output().unwrap().stdout;
    let status: Value = serde_json::from_slice(&status).unwrap();
    let find = |list: &Value, field: &str, name: &str| -> Value {
        list.as_array().unwrap().iter().find(|it| it[field] == name).unwrap_or(&Value::Null).clone()
    };
    let sum = find(&status["counters"], "service", SERVICE);
    assert!(sum["reason"] == "taken" && sum["connections"].as_u64().unwrap() >= 1, "{status}");
    assert_eq!(find(&status["layout"]["devices"], "name", "eth0")["program"], "from_netdev", "{status}");
    assert_eq!(find(&status["layout"]["devices"], "name", "lo")["program"], "from_host", "{status}");
}
