//! Client and server pumped against each other through queues: whatever happens in between, they end up agreeing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use axoneme_xds::proto::Node;
use axoneme_xds::type_urls::{CLUSTER, ENDPOINTS};
use axoneme_xds::{
    Change, Client, Key, Outcome, Policy, Receipt, Request, Resource, Response, Session, Store, Update, View,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Few, so that much happens to each.
const TYPES: [&str; 2] = [CLUSTER, ENDPOINTS];
const NAMES: [&str; 2] = ["a", "b"];
/// Every client refuses this body.
const BAD: &str = "bad";
const BODIES: [&str; 3] = ["one", "two", BAD];

#[derive(Clone, Debug)]
struct Edit {
    key: Key,
    body: Option<&'static str>,
}

impl Edit {
    fn change(&self) -> (Key, Change) {
        let change = match self.body {
            Some(body) => Change::Put(Resource::new(self.key.0.clone(), self.key.1.clone(), body)),
            None => Change::Remove,
        };
        (self.key.clone(), change)
    }
}

/// One step of the world. Steps that are not possible at the time do nothing.
#[derive(Clone, Debug)]
enum Step {
    Edit(Edit),
    /// The server looks at what changed since it last looked.
    Look,
    ToClient,
    ToServer,
    /// The client's owner tries one of the open updates.
    Try(prop::sample::Index),
    /// It tells the client of one that it tried.
    Settle(prop::sample::Index),
    Disconnect,
    Connect,
}

fn edit() -> impl Strategy<Value = Edit> {
    let key = (prop::sample::select(&TYPES[..]), prop::sample::select(&NAMES[..]));
    let body = prop::option::weighted(0.7, prop::sample::select(&BODIES[..]));
    (key, body).prop_map(|((type_url, name), body)| Edit { key: (type_url.into(), name.into()), body })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => edit().prop_map(Step::Edit),
        4 => Just(Step::Look),
        6 => Just(Step::ToClient),
        6 => Just(Step::ToServer),
        5 => any::<prop::sample::Index>().prop_map(Step::Try),
        4 => any::<prop::sample::Index>().prop_map(Step::Settle),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Connect),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::envoy()), Just(Policy::intents())]
}

/// A connection with its queues.
struct Link {
    session: Session,
    to_client: VecDeque<Response>,
    to_server: VecDeque<Request>,
    /// The last that this stream's server heard of each resource.
    heard: BTreeMap<Key, Outcome>,
}

struct World {
    policy: Policy,
    store: Store,
    changed: BTreeSet<Key>,
    link: Option<Link>,
    client: Client,
    open: Vec<(u64, Update)>,
    settlements: Vec<(Receipt, Result<(), String>)>,
    handed_out: u64,
    /// The last update of each name that was tried.
    tried: BTreeMap<Key, u64>,
    in_force: BTreeMap<Key, Resource>,
}

impl World {
    fn new(policy: Policy, store: Store) -> Self {
        Self {
            policy,
            store,
            changed: BTreeSet::new(),
            link: None,
            client: Client::new(Node::default(), TYPES),
            open: Vec::new(),
            settlements: Vec::new(),
            handed_out: 0,
            tried: BTreeMap::new(),
            in_force: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Edit(edit) => self.changed.extend(self.store.apply([edit.change()])),
            Step::Look => self.look(),
            Step::ToClient => self.deliver_response(),
            Step::ToServer => self.deliver_request(),
            Step::Try(index) if !self.open.is_empty() => self.attempt(index.index(self.open.len())),
            Step::Settle(index) if !self.settlements.is_empty() => self.settle(index.index(self.settlements.len())),
            Step::Try(_) | Step::Settle(_) => {}
            Step::Disconnect => self.link = None,
            Step::Connect => self.connect(),
        }
    }

    fn connect(&mut self) {
        if self.link.is_none() {
            let to_server = self.client.connect().into();
            let (session, to_client) = (Session::new(self.policy), VecDeque::new());
            self.link = Some(Link { session, to_client, to_server, heard: BTreeMap::new() });
        }
    }

    fn look(&mut self) {
        if let Some(link) = &mut self.link {
            let changed = std::mem::take(&mut self.changed);
            link.to_client.extend(link.session.on_change(&changed, &self.store));
        }
    }

    fn deliver_request(&mut self) {
        let Some(link) = &mut self.link else { return };
        let Some(request) = link.to_server.pop_front() else { return };
        let reaction = link.session.on_request(request, &self.store);
        link.to_client.extend(reaction.responses);
        for outcome in reaction.outcomes {
            let (Outcome::Acked { type_url, name, .. } | Outcome::Nacked { type_url, name, .. }) = &outcome;
            link.heard.insert((type_url.clone(), name.clone()), outcome);
        }
    }

    fn deliver_response(&mut self) {
        let Some(link) = &mut self.link else { return };
        let Some(response) = link.to_client.pop_front() else { return };
        let received = self.client.on_response(response);
        link.to_server.extend(received.request);
        for update in received.updates {
            self.handed_out += 1;
            self.open.push((self.handed_out, update));
        }
    }

    /// Tries an update, unless a later one of the same name was tried before.
    fn attempt(&mut self, index: usize) {
        let (order, update) = self.open.remove(index);
        let key = (update.type_url, update.name);
        let overtaken = self.tried.get(&key).is_some_and(|last| *last > order);
        let result = match update.change {
            _ if overtaken => Err("overtaken".to_owned()),
            Change::Put(resource) if resource.body == BAD => Err("refused".to_owned()),
            Change::Put(resource) => {
                self.in_force.insert(key.clone(), resource);
                Ok(())
            }
            Change::Remove => {
                self.in_force.remove(&key);
                Ok(())
            }
        };
        if !overtaken {
            self.tried.insert(key, order);
        }
        self.settlements.push((update.receipt, result));
    }

    fn settle(&mut self, index: usize) {
        let (receipt, result) = self.settlements.remove(index);
        let request = self.client.settle(receipt, result);
        if let Some(link) = &mut self.link {
            link.to_server.extend(request);
        }
    }

    fn quiet(&self) -> bool {
        let idle = |link: &Link| link.to_client.is_empty() && link.to_server.is_empty();
        self.changed.is_empty()
            && self.open.is_empty()
            && self.settlements.is_empty()
            && self.link.as_ref().is_some_and(idle)
    }

    /// Lets everything arrive. Gives the number of rounds, to see that it ends.
    fn calm(&mut self) -> usize {
        self.connect();
        let mut rounds = 0;
        while !self.quiet() && rounds < 10_000 {
            rounds += 1;
            self.look();
            self.deliver_request();
            self.deliver_response();
            if !self.open.is_empty() {
                self.attempt(0);
            }
            if !self.settlements.is_empty() {
                self.settle(0);
            }
        }
        rounds
    }

    fn heard(&self, key: &Key) -> Option<&Outcome> {
        self.link.as_ref()?.heard.get(key)
    }
}

fn acked(resource: &Resource) -> Outcome {
    let (type_url, name) = resource.key();
    Outcome::Acked { type_url, name, version: Some(resource.version.clone()) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_interleaving_ends_in_agreement(policy in policy(), steps in vec(step(), 0..200)) {
        let mut world = World::new(policy, Store::default());
        for step in &steps {
            world.step(step);
        }
        prop_assert!(world.calm() < 10_000, "does not come to rest");

        for resource in world.store.iter() {
            let key = resource.key();
            if resource.body == BAD {
                // The last good version, if there was one, stays; and the server knows that the new one is refused.
                prop_assert!(world.in_force.get(&key).is_none_or(|kept| kept.body != BAD));
                let told = matches!(world.heard(&key), Some(Outcome::Nacked { version, .. }) if *version == Some(resource.version.clone()));
                prop_assert!(told, "{key:?}: {:?}", world.heard(&key));
            } else {
                prop_assert_eq!(world.in_force.get(&key), Some(resource));
                prop_assert_eq!(world.heard(&key), Some(&acked(resource)));
            }
        }
        for key in world.in_force.keys() {
            prop_assert!(world.store.get(&key.0, &key.1).is_some(), "{:?} was never removed", key);
        }

        // The sum of the deltas is what a client that begins now gets.
        let mut fresh = World::new(policy, world.store.clone());
        prop_assert!(fresh.calm() < 10_000);
        for (key, resource) in &fresh.in_force {
            prop_assert_eq!(world.in_force.get(key), Some(resource));
        }
    }

    #[test]
    fn a_reconnect_sends_only_what_differs(before in vec(edit(), 0..12), after in vec(edit(), 0..6), from_disk: bool) {
        let mut world = World::new(Policy::intents(), Store::default());
        world.store.apply(before.iter().map(Edit::change));
        prop_assert!(world.calm() < 10_000);
        world.link = None;
        world.store.apply(after.iter().map(Edit::change));
        let held = world.in_force.clone();
        if from_disk {
            world.client = Client::new(Node::default(), TYPES).with_held(held.values().cloned());
        }
        world.connect();

        let (mut put, mut gone, mut kept) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let link = world.link.as_mut().ok_or_else(|| TestCaseError::fail("not connected"))?;
        for request in link.to_server.drain(..) {
            let reaction = link.session.on_request(request, &world.store);
            for response in reaction.responses {
                let key = |name: String| -> Key { (response.type_url.as_str().into(), name.into()) };
                put.extend(response.resources.into_iter().map(|resource| key(resource.name)));
                gone.extend(response.removed_resources.into_iter().map(key));
            }
            for outcome in reaction.outcomes {
                let Outcome::Acked { type_url, name, .. } = outcome else { return Err(TestCaseError::fail("a nack")) };
                kept.insert((type_url, name));
            }
        }
        let same = |resource: &&Resource| held.get(&resource.key()) == Some(*resource);
        let expected_kept: BTreeSet<Key> = world.store.iter().filter(same).map(Resource::key).collect();
        let expected_put: BTreeSet<Key> = world.store.iter().filter(|r| !same(r)).map(Resource::key).collect();
        prop_assert_eq!(put, expected_put);
        prop_assert_eq!(kept, expected_kept);
        for key in held.keys() {
            prop_assert_eq!(gone.contains(key), world.store.get(&key.0, &key.1).is_none());
        }
    }
}
