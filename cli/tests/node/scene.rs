//! The stage that every test here starts from.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::LazyLock, time::Duration};

use axoneme_testnet::{
    Layout, Namespace, Service, address,
    article::Article,
    built, difference, envoy,
    http::{Answer, Client},
    mesh::{Mesh, Programs, Status},
    wait_until,
};
use tempfile::TempDir;

/// The redirect of the Ingress.
pub(crate) const INGRESS: &str = "default/cilium-ingress-cilium-ingress:80";
/// The redirects of the CiliumEnvoyConfig.
pub(crate) const SAME: &str = "cilium-test/echo-same-node:8080";
pub(crate) const OTHER: &str = "cilium-test/echo-other-node:8080";

/// How long a start may take, Envoy's included, on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(60);
/// How long an edit may take on a busy machine. Usually it is some milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Built once.
pub(crate) static ECHO: LazyLock<PathBuf> = LazyLock::new(|| built("axoneme-echo").unwrap());

/// The example of the articles, served.
pub(crate) struct Scene {
    pub(crate) mesh: Mesh,
    pub(crate) programs: Programs,
    pub(crate) article: Article,
    /// What the node was like before.
    pub(crate) before: String,
    echo: PathBuf,
    run_dir: TempDir,
}

impl Scene {
    /// Stages the example and waits until all of it is served.
    pub(crate) fn start(name: &str, layout: Layout) -> Self {
        Self::start_with(name, layout, &[INGRESS, SAME, OTHER], |_| Ok(()))
    }

    /// The same, with other files, of which these redirects are served.
    pub(crate) fn start_with(
        name: &str,
        layout: Layout,
        served: &[&str],
        change: impl FnOnce(&Article) -> axoneme_testnet::Result<()>,
    ) -> Self {
        Self::start_under(name, layout, served, change, envoy().unwrap())
    }

    /// The same, with another program in Envoy's place.
    pub(crate) fn start_under(
        name: &str,
        layout: Layout,
        served: &[&str],
        change: impl FnOnce(&Article) -> axoneme_testnet::Result<()>,
        envoy: PathBuf,
    ) -> Self {
        let echo = ECHO.clone();
        let article = Article::stage(name, layout, &echo).unwrap();
        change(&article).unwrap();
        let before = article.node.footprint().unwrap();
        let programs = Programs { axonctl: env!("CARGO_BIN_EXE_axonctl").into(), envoy };
        let run_dir = tempfile::tempdir().unwrap();
        let mesh = Mesh::up(&article.node, &programs, article.folder(), run_dir.path()).unwrap();
        let mut scene = Self { mesh, programs, article, before, echo, run_dir };
        scene.wait_for(served);
        scene
    }

    /// Starts `axonctl up` again, with the files of the run before, and waits until these redirects are served.
    pub(crate) fn up_again(&mut self, served: &[&str]) {
        self.mesh = Mesh::up(&self.article.node, &self.programs, self.article.folder(), self.run_dir.path()).unwrap();
        self.wait_for(served);
    }

    /// Ends `axonctl up` and starts it again with these flags.
    pub(crate) fn again_with(self, flags: &[&str]) -> Self {
        let Self { mesh, programs, article, before, echo, run_dir } = self;
        mesh.stop(SOON).unwrap();
        let mesh = Mesh::up_with(&article.node, &programs, article.folder(), run_dir.path(), flags).unwrap();
        Self { mesh, programs, article, before, echo, run_dir }
    }

    /// Waits until these redirects are served.
    pub(crate) fn wait_for(&mut self, served: &[&str]) {
        let all = |status: &Status| served.iter().all(|redirect| frontends(status, redirect).len() >= 2);
        self.mesh.wait_for(&format!("{served:?} to be served"), START, all).unwrap();
    }

    /// Waits until these redirects and no other are served, and nothing of any other is left: no listener, and no entry in
    /// the kernel.
    pub(crate) fn wait_for_only(&mut self, served: &[&str]) {
        let only = |status: &Status| {
            let listeners: BTreeSet<_> = status.redirects.values().map(|redirect| &redirect.listener).collect();
            status.redirects.keys().map(String::as_str).collect::<BTreeSet<_>>() == served.iter().copied().collect()
                && status.listeners.keys().collect::<BTreeSet<_>>() == listeners
        };
        let status = self.mesh.wait_for(&format!("only {served:?} to be served"), SOON, only).unwrap();
        let wanted: usize = status.redirects.values().map(|redirect| redirect.frontends.len()).sum();
        wait_until("the kernel to have no other entries", SOON, || Ok(self.kernel_entries() == wanted)).unwrap();
    }

    /// How many addresses are redirected, as the kernel has it.
    fn kernel_entries(&self) -> usize {
        let script = "bpftool -j map dump pinned /sys/fs/bpf/axoneme/*/FRONTENDS";
        let entries = self.article.node.run("sh", ["-c", script]).unwrap();
        serde_json::from_str::<Vec<serde_json::Value>>(&entries).unwrap().len()
    }

    /// Waits until Envoy knows so many backends of a service.
    pub(crate) fn wait_for_hosts(&self, service: &str, count: usize) {
        let socket = self.run_dir.path().join("admin.sock");
        let arguments = ["--silent", "--unix-socket", socket.to_str().unwrap(), "http://envoy/clusters"];
        let is_host = |line: &&str| line.contains(&format!("/{service}::")) && line.contains("::health_flags::");
        let hosts = || Ok(self.article.node.run("curl", arguments)?.lines().filter(is_host).count() == count);
        wait_until(&format!("{count} backends of {service}"), SOON, hosts).unwrap();
    }

    /// Ends the mesh as Ctrl-C does, after which the node must be as it was.
    pub(crate) fn ends_and_leaves_nothing(self) {
        self.article.node.nft("table inet kube-proxy\ndelete table inet kube-proxy\n").unwrap();
        let (ended, log) = self.mesh.stop(SOON).unwrap();
        assert!(ended.success(), "{ended}\n{log}");
        assert_eq!(difference(&self.before, &self.article.node.footprint().unwrap()), "", "{log}");
        let files: Vec<_> = std::fs::read_dir(self.run_dir.path()).into_iter().flatten().flatten().collect();
        assert!(files.is_empty(), "{files:?}");
    }

    /// The addresses of [`Scene::at`], IPv4 and IPv6.
    pub(crate) fn both(&self, redirect: &str) -> [SocketAddr; 2] {
        [true, false].map(|is_v4| self.at(redirect, is_v4))
    }

    /// Where clients dial a redirect: its load balancer address if it has one, else its service address.
    pub(crate) fn at(&self, redirect: &str, is_v4: bool) -> SocketAddr {
        let status = self.mesh.status().unwrap();
        let all = frontends(&status, redirect);
        let found = [address::is_balancer, address::is_service]
            .iter()
            .find_map(|is_wanted| all.iter().find(|at| at.is_ipv4() == is_v4 && is_wanted(at.ip())));
        *found.unwrap_or_else(|| panic!("{redirect} has no such address: {status:#?}"))
    }

    /// Asks once.
    pub(crate) fn get(&self, from: &Namespace, at: SocketAddr, path: &str) -> Answer {
        Client::new(&self.echo).get(from, &format!("http://{at}{path}")).unwrap()
    }

    /// Asks many times.
    pub(crate) fn get_many(&self, from: &Namespace, at: SocketAddr, path: &str, count: u32) -> Vec<Answer> {
        Client::new(&self.echo).get_many(from, &format!("http://{at}{path}"), count).unwrap()
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn until(
        &self,
        from: &Namespace,
        at: SocketAddr,
        path: &str,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let mut last = None;
        let waited = wait_until("the answer", SOON, || {
            let answer = self.get(from, at, path);
            let is_it = wanted(&answer);
            last = Some(answer);
            Ok(is_it)
        });
        let last = last.unwrap();
        assert!(waited.is_ok(), "{at}{path} still answers {last:?}\n{}", self.mesh.process().log().unwrap());
        last
    }

    /// Waits until axonctl has said all of these words in one line.
    pub(crate) fn says(&self, words: &[&str]) {
        let said = |line: &str| words.iter().all(|word| line.contains(word));
        let waited = wait_until("words", SOON, || Ok(self.mesh.process().log()?.lines().any(said)));
        assert!(waited.is_ok(), "no line with {words:?} in\n{}", self.mesh.process().log().unwrap());
    }

    /// Services by NAT for the addresses that are redirected now, as kube-proxy would have them.
    pub(crate) fn serve_by_nat_too(&self) {
        let status = self.mesh.status().unwrap();
        let backends = [(SAME, "echo-same-node"), (OTHER, "echo-other-node")];
        let mut services = Vec::new();
        for (redirect, pod) in backends {
            for frontend in frontends(&status, redirect) {
                let [v4, v6] = self.article.backends[pod].pod.address.each();
                let backend = SocketAddr::new(if frontend.is_ipv4() { v4 } else { v6 }, 8080);
                services.push(Service { frontend, backends: vec![backend] });
            }
        }
        for frontend in frontends(&status, INGRESS) {
            let dummy = if frontend.is_ipv4() { "192.192.192.192:9999" } else { "[fd00::dead]:9999" };
            services.push(Service { frontend, backends: vec![dummy.parse().unwrap()] });
        }
        self.article.node.serve_by_nat(&services).unwrap();
    }
}

/// Where a redirect is taken now.
pub(crate) fn frontends(status: &Status, redirect: &str) -> Vec<SocketAddr> {
    match (status.redirects.get(redirect), status.port(redirect)) {
        (Some(redirect), Some(_)) => redirect.frontends.clone(),
        _ => Vec::new(),
    }
}
