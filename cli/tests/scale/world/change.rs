//! Edits, one at a time. Whatever is edited, each request goes on to find a backend.

use super::{BACKENDS, Cluster, Route, State, World, canary_name};
use crate::{load::HOST_NAME, random::Random};

/// How balancers choose. All of them do without a hash policy.
const POLICIES: [&str; 5] = ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"];

/// What was edited, and what that asks of processes.
pub(crate) enum Step {
    /// Files are all there is to it.
    Files(&'static str),
    /// A pod, and what it is now.
    Pod(String, State),
}

/// What can be edited. Edits of different subjects change different resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Cluster,
    Endpoints,
    Routes,
    Certificate,
    Remark,
}

impl Subject {
    pub(crate) const ALL: [Self; 5] = [Self::Cluster, Self::Endpoints, Self::Routes, Self::Certificate, Self::Remark];
}

impl World {
    /// Edits something.
    pub(crate) fn edit(&mut self, subject: Subject, random: &mut Random) -> Step {
        match (subject, random.below(3)) {
            (Subject::Cluster, _) => self.edit_cluster(random),
            (Subject::Endpoints, _) => self.edit_endpoints(random),
            (Subject::Routes, 0) => self.edit_weights(random),
            (Subject::Routes, 1) => self.edit_routes(random),
            (Subject::Routes, _) => self.edit_canary(random),
            (Subject::Certificate, _) => self.rotate_certificate(),
            (Subject::Remark, _) => self.edit_remark(random),
        }
    }

    fn edit_cluster(&mut self, random: &mut Random) -> Step {
        let cluster = self.clusters.get_mut(random.pick(&BACKENDS)).unwrap();
        let before = *cluster;
        while *cluster == before {
            *cluster = Cluster {
                connect_timeout: 5000 + random.below(5000),
                policy: random.pick(&POLICIES),
                max_requests: 500 + random.below(500),
            };
        }
        Step::Files("a cluster")
    }

    /// A pod that ends is first marked and later not there; a new one is ready before it is there. One of each Service stays.
    fn edit_endpoints(&mut self, random: &mut Random) -> Step {
        let mut moves = Vec::new();
        for (service, pods) in &self.pods {
            let ready = pods.iter().filter(|pod| pod.state == State::Ready).count();
            for (at, pod) in pods.iter().enumerate() {
                match pod.state {
                    State::Ready if ready > 1 => moves.push((*service, at, State::Terminating)),
                    State::Ready => {}
                    State::Terminating => moves.push((*service, at, State::Gone)),
                    State::Gone => moves.push((*service, at, State::Ready)),
                }
            }
        }
        let (service, at, state) = random.pick(&moves);
        let pods = self.pods.get_mut(service).unwrap();
        pods[at].state = state;
        let name = pods[at].name.clone();
        // The order in a slice means nothing.
        random.shuffle(pods);
        Step::Pod(name, state)
    }

    fn edit_weights(&mut self, random: &mut Random) -> Step {
        self.serial += 1;
        let at = random.below(self.routes.len() + 1);
        let route = self.routes.get_mut(at).unwrap_or(&mut self.last);
        for weight in route.weights.values_mut() {
            *weight = random.below(100);
        }
        if let Some(weight) = route.weights.values_mut().next() {
            // Not all of them 0.
            *weight += 1;
        }
        Step::Files("weights")
    }

    /// A path more or less, and another order of them.
    fn edit_routes(&mut self, random: &mut Random) -> Step {
        self.serial += 1;
        if self.routes.len() < 6 && random.below(2) == 0 {
            let Route { weights, .. } = &self.last;
            let (prefix, timeout) = (format!("/red/{}", self.serial), 15 + random.below(15));
            self.routes.push(Route { prefix, weights: weights.clone(), timeout });
        } else if !self.routes.is_empty() {
            self.routes.remove(random.below(self.routes.len()));
        }
        random.shuffle(&mut self.routes);
        Step::Files("routes")
    }

    fn rotate_certificate(&mut self) -> Step {
        self.certificate = self.authority.sign(&[HOST_NAME]);
        Step::Files("a certificate")
    }

    /// A cluster comes together with its share of the requests, and goes with it.
    fn edit_canary(&mut self, random: &mut Random) -> Step {
        self.serial += 1;
        if let Some(number) = self.canary.take() {
            for route in self.all_routes() {
                route.weights.remove(&canary_name(number));
                let sum: usize = route.weights.values().sum();
                if let (0, Some(weight)) = (sum, route.weights.values_mut().next()) {
                    *weight = 1;
                }
            }
            return Step::Files("a canary less");
        }
        self.canaries += 1;
        self.canary = Some(self.canaries);
        let (name, share) = (canary_name(self.canaries), 1 + random.below(200));
        for route in self.all_routes() {
            route.weights.insert(name.clone(), share);
        }
        Step::Files("a canary")
    }

    fn all_routes(&mut self) -> impl Iterator<Item = &mut Route> {
        self.routes.iter_mut().chain([&mut self.last])
    }

    /// Another text that means the same.
    fn edit_remark(&mut self, random: &mut Random) -> Step {
        let files: Vec<_> = self.files().into_keys().collect();
        *self.remarks.entry(files[random.below(files.len())].clone()).or_default() += 1;
        Step::Files("a remark")
    }
}
