//! Ingresses side by side, each with one host that is never edited, and more hosts that are: their paths, their backends, their
//! number, their certificate, and whether one of them is passed through.

use std::{collections::BTreeSet, fmt::Write as _};

use axoneme_testnet::{Dual, manifest::endpoint_slices};

use crate::{
    certificates::{Authority, Pair},
    log::Key,
    random::Random,
    stage::PORT,
};

/// The Services that paths are moved between. Each has one pod or two.
pub(crate) const SERVICES: [&str; 3] = ["red", "green", "blue"];
/// The Service of the hosts that are never edited.
pub(crate) const STEADY: &str = "steady";

/// Whose address the Ingresses have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Dedicated,
    Shared,
}

/// One Ingress.
pub(crate) struct House {
    pub(crate) name: &'static str,
    mode: Mode,
    /// How its edits are numbered.
    serial: usize,
    /// The first labels of the hosts that are edited. Never empty.
    labels: Vec<String>,
    /// Paths of these hosts, each with its Service. Never empty.
    paths: Vec<(String, &'static str)>,
    /// Whether these hosts have TLS.
    tls: bool,
    /// Whether one more host is passed through.
    passes: bool,
    own: Pair,
    more: Pair,
}

impl House {
    pub(crate) fn new(name: &'static str, mode: Mode, authority: &Authority) -> Self {
        Self {
            name,
            mode,
            serial: 0,
            labels: vec!["first".to_owned()],
            paths: vec![("/first".to_owned(), SERVICES[0])],
            tls: true,
            passes: false,
            own: authority.sign(&[format!("{name}.example")]),
            more: authority.sign(&[format!("*.{name}.example")]),
        }
    }

    /// Edits one thing, and tells of a resource that has to change for it the kind, and how its name ends.
    pub(crate) fn edit(&mut self, authority: &Authority, random: &mut Random) -> Key {
        self.serial += 1;
        let resource = |kind: &str, own: &str| {
            // Tables and the listener of shared mode are everybody's.
            let end = if self.mode == Mode::Shared { "" } else { own };
            (kind.to_owned(), end.to_owned())
        };
        let own = format!("scale/cilium-ingress-scale-{}", self.name);
        let routes = resource("RouteConfiguration", &format!("{own}/listener-insecure"));
        let listener = resource("Listener", &format!("{own}/listener"));
        match random.below(6) {
            0 if self.paths.len() > 3 => drop(self.paths.remove(0)),
            0 => self.paths.push((format!("/{}", self.serial), random.pick(&SERVICES))),
            1 => {
                let (_, service) = &mut self.paths[0];
                let others: Vec<_> = SERVICES.into_iter().filter(|other| other != service).collect();
                *service = random.pick(&others);
            }
            2 if self.labels.len() > 3 => drop(self.labels.remove(0)),
            2 => self.labels.push(format!("host-{}", self.serial)),
            3 if self.tls => {
                self.more = authority.sign(&[format!("*.{}.example", self.name)]);
                return ("Secret".to_owned(), format!("/scale:{}-more", self.name));
            }
            3 | 4 => {
                self.tls = !self.tls;
                return listener;
            }
            _ => {
                self.passes = !self.passes;
                return listener;
            }
        }
        routes
    }

    /// One of the hosts that are edited, with one of its paths; and its certificate, if it has TLS.
    pub(crate) fn example(&self) -> (String, &str, Option<&Pair>) {
        let host = format!("{}.{}.example", self.labels[0], self.name);
        (host, &self.paths[0].0, self.tls.then_some(&self.more))
    }

    /// Its files: name and text.
    pub(crate) fn files(&self) -> [(String, String); 2] {
        let name = self.name;
        let secrets = [self.own.secret_of("scale", name), self.more.secret_of("scale", &format!("{name}-more"))];
        [(format!("{name}.yaml"), self.ingress()), (format!("{name}-secrets.yaml"), secrets.join("---\n"))]
    }

    fn ingress(&self) -> String {
        let name = self.name;
        let mode = if self.mode == Mode::Shared { "shared" } else { "dedicated" };
        let hosts: Vec<_> = self.labels.iter().map(|label| format!("{label}.{name}.example")).collect();
        let more = if self.tls {
            format!("  - {{hosts: [{}], secretName: {name}-more}}\n", hosts.join(", "))
        } else {
            String::new()
        };
        let through = format!("through.{name}.example");
        let passed =
            if self.passes { format!(", ingress.cilium.io/tls-passthrough: {through}") } else { String::new() };
        let path = |(path, service): &(String, &str)| format!("      - {}\n", path_yaml(path, service));
        let paths: String = self.paths.iter().map(path).collect();
        let mut text = format!(
            "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: scale
  annotations: {{ingress.cilium.io/force-https: disabled, ingress.cilium.io/loadbalancer-mode: {mode}{passed}}}
spec:
  ingressClassName: cilium
  tls:
  - {{hosts: [{name}.example], secretName: {name}}}
{more}  rules:
  - host: {name}.example
    http:
      paths:
      - {}
",
            path_yaml("/", STEADY)
        );
        for host in hosts {
            write!(text, "  - host: {host}\n    http:\n      paths:\n{paths}").unwrap();
        }
        if self.passes {
            let path = path_yaml("/", STEADY);
            write!(text, "  - host: {through}\n    http:\n      paths:\n      - {path}\n").unwrap();
        }
        text
    }
}

fn path_yaml(path: &str, service: &str) -> String {
    format!("{{path: {path}, pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}")
}

/// A Service with its endpoints.
pub(crate) fn service(name: &str, pods: &[Dual]) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: scale}}\nspec: {{ports: [{{port: 80, targetPort: \
         {PORT}}}]}}\n---\n{}",
        endpoint_slices("scale", name, "", PORT, pods)
    )
}

/// The assignment that changes with the pods of a Service, if any Ingress leads there.
pub(crate) fn assignment(service: &str, houses: &[House]) -> BTreeSet<Key> {
    let leads = houses.iter().any(|house| house.paths.iter().any(|(_, to)| *to == service));
    let key = || ("ClusterLoadAssignment".to_owned(), format!("scale/{service}:80"));
    leads.then(key).into_iter().collect()
}
