//! Secrets, each with the version of it that is in force: a wrong one changes nothing that works.

use std::collections::BTreeMap;

use crate::credential::Credential;
use crate::source::{Name, Secret};

/// A Secret as it stands, and as it is served.
#[derive(Debug)]
pub struct Held {
    secret: Secret,
    wrong: Option<Wrong>,
}

#[derive(Debug)]
struct Wrong {
    why: String,
    last_good: Option<Secret>,
}

impl Held {
    /// The version that nodes get: this one or the last good one.
    #[must_use]
    pub fn in_force(&self) -> Option<&Secret> {
        self.wrong.as_ref().map_or(Some(&self.secret), |wrong| wrong.last_good.as_ref())
    }

    /// What is wrong with the present version.
    #[must_use]
    pub fn wrong(&self) -> Option<&str> {
        self.wrong.as_ref().map(|wrong| wrong.why.as_str())
    }
}

/// Takes a version in. False when it is the one that is there.
pub(super) fn put(all: &mut BTreeMap<Name, Held>, secret: Secret) -> bool {
    let name = secret.meta.name.clone();
    if all.get(&name).is_some_and(|held| held.secret == secret) {
        return false;
    }
    let before = all.remove(&name);
    let wrong = Credential::of(&secret).err().map(|why| Wrong {
        why,
        last_good: before.and_then(|before| match before.wrong {
            None => Some(before.secret),
            Some(wrong) => wrong.last_good,
        }),
    });
    all.insert(name, Held { secret, wrong });
    true
}
