//! What a node tells who asks: its state, for people and for metrics.

use std::collections::BTreeMap;

use metrics::gauge;
use tokio::time::Instant;

use super::node::{Node, told};
use crate::{
    datapath::ServiceId,
    http::Question,
    metrics as names,
    ports::at_risk,
    status::{Counter, DrainingFrontend, Status},
};

impl Node {
    /// Who asked may have left.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Status(to) => drop(to.send(self.status())),
            Question::Names(to) => {
                let names = self.core.services().map(|(number, name)| (number, name.to_string()));
                drop(to.send(names.collect()));
            }
        }
    }

    /// The state for people; metrics that are cheaper to count when somebody asks are brought up to date.
    fn status(&self) -> Status {
        let summary = self.core.summary();
        for (kind, count) in [
            ("listener", summary.listeners.len()),
            ("redirect", summary.redirects.len()),
            ("frontend", summary.redirects.iter().map(|redirect| redirect.frontends.len()).sum()),
            ("any", summary.resources),
        ] {
            gauge!(names::RESOURCES, "kind" => kind).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
        gauge!(names::REJECTIONS).set(f64::from(u32::try_from(summary.rejections.len()).unwrap_or(u32::MAX)));
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.name.clone(),
            operator: self.operator.clone(),
            summary,
            draining: self.draining(),
            suspects: self.quarantine.suspects(),
            counters: self.counters(),
            layout: self.datapath.layout(),
            notes: self.notes(),
        }
    }

    fn draining(&self) -> Vec<DrainingFrontend> {
        let now = Instant::now();
        let drains = self.core.draining().map(|(address, redirect)| {
            let (connections, left) = self.draining.progress(address, now).unwrap_or_default();
            let redirect = redirect.map(ToString::to_string);
            DrainingFrontend { address, redirect, connections, seconds_left: left.as_secs() }
        });
        let drains: Vec<_> = drains.collect();
        gauge!(names::DRAINING).set(f64::from(u32::try_from(drains.len()).unwrap_or(u32::MAX)));
        drains
    }

    /// Looked at anew each time: whoever reads a note may act on it.
    fn notes(&self) -> Vec<String> {
        let (count, note) = at_risk(self.ports).unzip();
        gauge!(names::PORTS_AT_RISK).set(f64::from(u32::try_from(count.unwrap_or(0)).unwrap_or(u32::MAX)));
        note.into_iter().collect()
    }

    fn counters(&self) -> Vec<Counter> {
        let services: BTreeMap<ServiceId, _> = self.core.services().collect();
        let sums = told(self.datapath.counters()).unwrap_or_default();
        let mut counters = Vec::new();
        for ((service, reason), connections) in sums {
            let Some(service) = services.get(&service).filter(|_| connections > 0) else { continue };
            counters.push(Counter { service: service.to_string(), reason: reason.label().to_owned(), connections });
        }
        counters.sort_by(|a, b| (&a.service, &a.reason).cmp(&(&b.service, &b.reason)));
        counters
    }
}
