//! A theme: a namespace of its own, with backends that answer with their Service's name, and what must hold of it. Themes are tried
//! side by side.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{Answer, Cluster, cluster::labelled_namespace, curl::Request, until};

/// It takes milliseconds; this is for a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
/// All themes start their pods at the same time.
const PODS: &str = "--timeout=180s";

/// What stands for the IngressClass in a theme's manifest.
pub const CLASS: &str = "@CLASS@";

/// What is applied, and what must hold then.
#[derive(Debug)]
pub struct Theme {
    /// Of its namespace, with the class.
    pub name: &'static str,
    /// Services with their ports. All of them lead to containers of one pod; each answers with the Service's name.
    pub backends: &'static [(&'static str, &'static [u16])],
    /// What else there is, YAML, with [`CLASS`] in it.
    pub manifest: fn() -> Result<String>,
    /// Looks whether it holds.
    pub holds: fn(&Place<'_>) -> Result<()>,
}

/// Where a theme is tried.
#[derive(Debug)]
pub struct Place<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// A namespace for it alone.
    pub namespace: String,
}

/// Tries all themes side by side, with Ingresses of this class, and says of each that fails why.
///
/// # Errors
/// Those of all themes, in one text.
pub fn try_all(cluster: &Cluster, class: &str, themes: &[&Theme]) -> Result<()> {
    let places = themes.iter().map(|theme| Place { cluster, namespace: format!("{class}-{}", theme.name) });
    let places = places.collect::<Vec<_>>();
    let mut sweep = vec!["delete", "namespace", "--ignore-not-found", "--wait"];
    sweep.extend(places.iter().map(|place| place.namespace.as_str()));
    cluster.kubectl(&sweep)?;
    let failed = thread::scope(|scope| {
        let start = |(theme, place)| (theme, scope.spawn(move || Theme::try_at(theme, place, class)));
        let running = themes.iter().copied().zip(&places).map(start).collect::<Vec<_>>();
        let why = |(theme, thread): (&Theme, thread::ScopedJoinHandle<'_, Result<()>>)| match thread.join() {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{}: {error:#}", theme.name)),
            Err(_) => Some(format!("{}: panicked", theme.name)),
        };
        running.into_iter().filter_map(why).collect::<Vec<_>>()
    });
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    places.iter().try_for_each(|place| cluster.leave(&place.namespace))
}

impl Theme {
    fn try_at(&self, place: &Place<'_>, class: &str) -> Result<()> {
        let manifest = (self.manifest)()?.replace(CLASS, class);
        let objects = [labelled_namespace(&place.namespace).to_string(), backends(self.backends), manifest];
        place.cluster.apply(&place.namespace, &objects.join("\n---\n"))?;
        place.ready()?;
        (self.holds)(place)
    }
}

/// One Deployment with a container for each Service.
fn backends(services: &[(&str, &[u16])]) -> String {
    let inside = |index: usize| 8000 + index;
    let container = |(index, (name, _)): (usize, &(&str, &[u16]))| {
        json!({
            "name": name,
            "image": "localhost/axoneme-echo:1",
            "args": [format!("--listen=:{}", inside(index)), format!("--text={name}")],
            "readinessProbe": {"httpGet": {"path": "/health", "port": inside(index)}, "periodSeconds": 1},
        })
    };
    let service = |(index, (name, ports)): (usize, &(&str, &[u16]))| {
        let port = |port: &u16| {
            let name = if *port == ports[0] { "http".to_owned() } else { format!("http-{port}") };
            json!({"name": name, "port": port, "targetPort": inside(index)})
        };
        let ports = ports.iter().map(port).collect::<Vec<_>>();
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": "backends"}, "ports": ports},
        })
    };
    let pod = json!({
        "terminationGracePeriodSeconds": 1,
        "containers": services.iter().enumerate().map(container).collect::<Vec<_>>(),
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "backends"},
        "spec": {
            "selector": {"matchLabels": {"app": "backends"}},
            "template": {"metadata": {"labels": {"app": "backends"}}, "spec": pod},
        },
    });
    let mut all: Vec<Value> = services.iter().enumerate().map(service).collect();
    all.push(deployment);
    all.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// An Ingress of the class that it is tried with, and whose default backend is port 80 of this Service: for a theme's manifest.
#[must_use]
pub fn ingress(name: &str, backend: &str, annotations: &Value) -> String {
    let backend = json!({"service": {"name": backend, "port": {"number": 80}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"ingressClassName": CLASS, "defaultBackend": backend},
    });
    ingress.to_string()
}

impl Place<'_> {
    /// Waits for as many backends as there should be.
    ///
    /// # Errors
    /// After three minutes.
    pub fn ready(&self) -> Result<()> {
        self.kubectl(&["rollout", "status", "deployment/backends", PODS]).map(drop)
    }

    /// kubectl in this namespace.
    ///
    /// # Errors
    /// When it fails; the error holds what it said.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["-n", &self.namespace], args].concat())
    }

    /// The load balancer's address of an Ingress, once it has one.
    ///
    /// # Errors
    /// When it gets none.
    pub fn address(&self, ingress: &str) -> Result<String> {
        self.cluster.ingress_address(&self.namespace, ingress)
    }

    /// Asks until the answer is as wanted.
    ///
    /// # Errors
    /// The last answer, after [`SOON`].
    pub fn until(&self, request: Request<'_>, wanted: impl Fn(&Answer) -> Result<()>) -> Result<Answer> {
        until(&format!("{}: {} {}", self.namespace, request.method, request.url), SOON, || {
            let answer = self.cluster.curl(request)?;
            ensure!(answer.by_envoy(), "not by Envoy: {answer:?}");
            wanted(&answer).with_context(|| format!("{} at {}: {answer:?}", request.url, request.address))?;
            Ok(answer)
        })
    }

    /// Each host and path is served by this Service, with the path as it was asked for; or by nobody, which is a 404. Put one that
    /// is served first: an Ingress that is not served yet answers nothing at all.
    ///
    /// # Errors
    /// The first case that does not come to hold.
    pub fn routes(&self, address: &str, cases: &[(&str, &str, Option<&str>)]) -> Result<()> {
        for (host, path, service) in cases {
            let host = if host.is_empty() { address } else { host };
            let url = format!("http://{host}{path}");
            self.until(Request::get(&url, address), |answer| match service {
                Some(service) => served_by(service, answer, path),
                None => {
                    ensure!(answer.status == 404, "wanted 404");
                    Ok(())
                }
            })?;
        }
        Ok(())
    }

    /// An Event of this Ingress with these words.
    ///
    /// # Errors
    /// The Events that there are.
    pub fn event(&self, ingress: &str, reason: &str, words: &str) -> Result<()> {
        until(&format!("{}: an Event {reason} of {ingress}", self.namespace), SOON, || {
            let events = self.cluster.get_json(&["events.events.k8s.io", "-n", &self.namespace])?;
            let found = events["items"].as_array().into_iter().flatten().any(|event| {
                let note = event["note"].as_str().unwrap_or_default();
                event["regarding"]["name"] == ingress && event["reason"] == reason && note.contains(words)
            });
            ensure!(found, "no such Event: {events}");
            Ok(())
        })
    }
}

/// 200, from this Service, which was asked for this path.
///
/// # Errors
/// What is wrong with the answer.
pub fn served_by(service: &str, answer: &Answer, path: &str) -> Result<()> {
    ensure!(answer.status == 200, "wanted 200 from {service}");
    ensure!(answer.body == format!("{service}\n"), "wanted {service}");
    ensure!(answer.header("x-echo-path") == path, "{service} was asked for another path");
    Ok(())
}
