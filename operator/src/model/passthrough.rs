//! TLS passthrough: names whose connections go to a backend as they are. What is inside of them, paths above all, only the
//! backend sees.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Host;
use crate::problem::{Problem, Reason};
use crate::source::{self, Name, PathRule};

/// A Service's port to which bytes are passed on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The Service.
    pub service: Name,
    /// Its port as written, by name or by number.
    pub port: String,
    /// A client stays with its endpoint.
    pub keeps_clients: bool,
}

/// The names of an Ingress that are passed through.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// `None`: what the rule names is not there, and connections are closed at once.
    pub(super) hosts: BTreeMap<Host, Option<Target>>,
    pub(super) problems: Vec<Problem>,
}

impl Passed {
    /// The rule of a name that is passed through. `target` finds out what a backend is, given its field.
    pub(super) fn rule(
        &mut self,
        field: &str,
        host: &Host,
        paths: &[PathRule],
        target: impl Fn(&str, &source::Backend) -> Result<Target, Problem>,
    ) {
        if *host == Host::Any {
            let why = "TLS passthrough needs a host: the name that a client asks for is all that can be seen; the rule is ignored";
            return self.warn(Reason::Unsupported, field.to_owned(), why);
        }
        for (at, path) in paths.iter().enumerate() {
            let field = format!("{field}.http.paths[{at}]");
            if !matches!(path.path.as_deref(), None | Some("" | "/")) {
                let why = "with TLS passthrough only / can be served, as paths are inside of TLS; the path is ignored";
                self.warn(Reason::Unsupported, format!("{field}.path"), why);
                continue;
            }
            let found = target(&format!("{field}.backend"), &path.backend);
            match (self.hosts.entry(host.clone()), found) {
                (Entry::Vacant(free), Ok(target)) => drop(free.insert(Some(target))),
                (Entry::Vacant(free), Err(problem)) => {
                    free.insert(None);
                    self.problems.push(problem);
                }
                (Entry::Occupied(_), _) => {
                    let why = "the same host stands further up in this Ingress; the first one counts";
                    self.warn(Reason::Conflict, field, why);
                }
            }
        }
    }

    fn warn(&mut self, reason: Reason, field: String, why: &str) {
        self.problems.push(Problem::warning(reason, field, why));
    }
}
