//! What the driver needs of the world around the engine.

use std::time::Duration;

use super::NODE_GRACE;
use crate::{Changes, Engine, ObjectKey, ProblemChange, SourceEvent, Write};

/// The world around the engine: a cluster, or a machine of its own.
pub trait World: Send + 'static {
    /// Hands an event to the engine. What the world knows of the result at once, it hands over too.
    fn apply(&mut self, engine: &mut Engine, event: SourceEvent) -> Changes {
        engine.apply(event)
    }

    /// How long nodes may take to come to a replica that has just begun to lead. Statuses wait for them, so that a change of
    /// the leader shows in none.
    fn gathering(&self) -> Duration {
        Duration::ZERO
    }

    /// How long what a node said stands after its stream ended, and again after it came back.
    fn node_grace(&self) -> Duration {
        NODE_GRACE
    }

    /// These have to be written. Called only while this replica leads.
    fn write(&mut self, writes: Vec<Write>);

    /// Another replica writes from now on.
    fn step_down(&mut self);

    /// The problems of an object changed. Called only while this replica leads. Those that are `standing` may have been told
    /// by the one that led before.
    fn problems(&mut self, engine: &Engine, object: &ObjectKey, change: &ProblemChange, standing: bool);

    /// What a person may look at changed.
    fn changed(&mut self);
}
