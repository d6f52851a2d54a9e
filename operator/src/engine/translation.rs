//! One object translated again, with what is kept of it from the last time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Engine;
use super::shared::Membership;
use crate::intents::{Audience, Delta};
use crate::model::options::Mode;
use crate::problem::{Problem, Reason};
use crate::shared::place;
use crate::source::{EnvoyConfig, Kind, Name, ObjectKey};
use crate::translate::{Output, config, ingress};

/// What the engine keeps of an Ingress or Envoy config.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Problems of the translation, conflicts aside.
    pub(super) problems: Vec<Problem>,
    /// Of an Ingress: what its model was rendered to.
    rendered: Option<ingress::Rendered>,
    /// Of an Envoy config: its last good version.
    pub(super) good: Option<Box<config::Parsed>>,
    /// Of an Envoy config: the version that was refused last, and why.
    pub(super) refused: Option<Box<(EnvoyConfig, Vec<Problem>)>>,
}

impl Engine {
    /// Translates one object again and replaces what it offers. Notes the Services whose demand changed, and the
    /// Secrets that are named now or no more.
    pub(super) fn translate(
        &mut self,
        owner: &ObjectKey,
        endpoints: &mut BTreeSet<Name>,
        named: &mut BTreeMap<Name, bool>,
    ) -> Delta {
        let mut state = self.states.remove(owner).unwrap_or_default();
        let found = match owner.kind {
            Kind::Ingress => {
                let (found, membership) = self.translate_ingress(owner, &mut state).unzip();
                self.shared.set(owner, membership.unwrap_or_default());
                found
            }
            _ => self.translate_config(owner, &mut state),
        };
        let (rank, audience, output) = match found {
            Some((created, audience, output)) => ((created, owner.clone()), audience, output),
            None => ((0, owner.clone()), Audience::All, Output::default()),
        };
        let gone = output == Output::default() && state.good.is_none() && state.refused.is_none();
        named.extend(self.index.note_secrets(owner, output.secrets));
        let audience = Arc::new(audience);
        endpoints.extend(self.demand.set(owner, &audience, output.endpoints));
        state.problems = output.problems;
        if !gone {
            self.states.insert(owner.clone(), state);
        }
        self.intents.set(&rank, &audience, output.resources)
    }

    fn translate_ingress(&self, owner: &ObjectKey, state: &mut State) -> Option<((i64, Audience, Output), Membership)> {
        let ingress = self.index.ingress(&owner.name)?;
        let defaults = self.index.defaults(ingress, &self.defaults);
        let place = place(ingress, &self.index, &defaults);
        let translated = ingress::translate(ingress, &self.index, &defaults, place, state.rendered.take());
        let ingress::Translated { mut output, rendered, hosts } = translated;
        output.problems.extend(self.index.defaults_problems(ingress));
        state.rendered = rendered;
        let created = ingress.meta.created;
        let membership = Membership { created, hosts, is_member: place.mode == Mode::Shared };
        Some(((created, ingress::audience(&self.defaults), output), membership))
    }

    /// An invalid version changes nothing: the last good one stays in force, next to the problems of the new one.
    fn translate_config(&self, owner: &ObjectKey, state: &mut State) -> Option<(i64, Audience, Output)> {
        let Some(config) = self.index.config(owner) else {
            (state.good, state.refused) = (None, None);
            return None;
        };
        if state.good.as_ref().is_some_and(|good| good.config.same_spec(config)) {
            state.refused = None;
        } else if !state.refused.as_ref().is_some_and(|refused| refused.0.same_spec(config)) {
            match config::parse(config, &self.policy) {
                Ok(parsed) => (state.good, state.refused) = (Some(Box::new(parsed)), None),
                Err(problems) => state.refused = Some(Box::new((config.clone(), problems))),
            }
        }
        let mut output = Output::default();
        let mut audience = Audience::All;
        if let Some(good) = &state.good {
            output = config::translate(good, &self.index);
            audience = Audience::of(good.config.node_selector.as_ref());
        }
        if let Some(refused) = &state.refused {
            output.problems.clone_from(&refused.1);
            if state.good.is_some() {
                let why = "the last good version of this object stays in force";
                output.problems.push(Problem::warning(Reason::Invalid, "", why));
            }
        }
        Some((config.meta.created, audience, output))
    }
}
