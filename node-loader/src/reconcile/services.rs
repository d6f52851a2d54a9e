//! Numbers of redirects in the kernel's counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Small numbers, each for one name. A number is given out anew when its name is gone and no frontend in the kernel counts under
/// it: what drains is still counted, and told, under the name that it had.
#[derive(Debug, Default)]
pub(super) struct Services {
    numbers: BTreeMap<Arc<str>, u32>,
    names: BTreeMap<u32, Arc<str>>,
    /// Names that nobody wants any more.
    released: BTreeSet<Arc<str>>,
    /// How many frontends in the kernel count under a number.
    frontends: BTreeMap<u32, usize>,
    free: BTreeSet<u32>,
    next: u32,
}

impl Services {
    /// The name's number, the lowest free one if it has none.
    pub(super) fn number(&mut self, name: &Arc<str>) -> u32 {
        self.released.remove(name);
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = loop {
            let number = self.free.pop_first().unwrap_or_else(|| {
                self.next += 1;
                self.next - 1
            });
            if !self.frontends.contains_key(&number) {
                break number;
            }
        };
        self.enter(name, number);
        number
    }

    /// Gives a name the number that it had in an earlier run, if nobody has it.
    pub(super) fn adopt(&mut self, name: &Arc<str>, number: u32) {
        // A number this high did not come from here.
        const LIMIT: u32 = 1 << 20;
        if self.numbers.contains_key(name) || self.names.contains_key(&number) || number >= LIMIT {
            return;
        }
        if number >= self.next {
            self.free.extend(self.next..number);
            self.next = number + 1;
        } else {
            self.free.remove(&number);
        }
        self.enter(name, number);
    }

    /// The name is gone. Its number stays as long as frontends count under it.
    pub(super) fn release(&mut self, name: &Arc<str>) {
        let Some(number) = self.numbers.get(name).copied() else { return };
        self.released.insert(name.clone());
        self.tidy(number);
    }

    /// A frontend in the kernel counts under a number.
    pub(super) fn count(&mut self, number: u32) {
        *self.frontends.entry(number).or_default() += 1;
    }

    /// It does so no more.
    pub(super) fn uncount(&mut self, number: u32) {
        if let Some(count) = self.frontends.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.frontends.remove(&number);
                self.tidy(number);
            }
        }
    }

    /// Whose a number is, or was.
    pub(super) fn name(&self, number: u32) -> Option<&Arc<str>> {
        self.names.get(&number)
    }

    /// Every name with its number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.numbers.iter().map(|(name, number)| (name, *number))
    }

    fn enter(&mut self, name: &Arc<str>, number: u32) {
        self.numbers.insert(name.clone(), number);
        self.names.insert(number, name.clone());
    }

    /// Frees a number that is of no use to anybody.
    fn tidy(&mut self, number: u32) {
        let wanted = |name: &Arc<str>| !self.released.contains(name);
        if self.frontends.contains_key(&number) || number >= self.next || self.names.get(&number).is_some_and(wanted) {
            return;
        }
        if let Some(name) = self.names.remove(&number) {
            self.numbers.remove(&name);
            self.released.remove(&name);
        }
        self.free.insert(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_and_given_out_again() {
        let mut services = Services::default();
        let [a, b, c]: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        services.adopt(&b, 1);
        assert_eq!((services.number(&a), services.number(&b), services.number(&c)), (0, 1, 2));
        services.release(&b);
        services.adopt(&a, 7);
        assert_eq!((services.number(&a), services.number(&b)), (0, 1));
    }

    #[test]
    fn a_number_under_which_something_still_counts_is_nobody_elses() {
        let mut services = Services::default();
        let [a, b, c]: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        // Left in the kernel by an earlier run; nobody knows by whom.
        services.count(0);
        assert_eq!(services.number(&a), 1);
        services.count(1);
        services.release(&a);
        assert_eq!(services.number(&b), 2);
        assert_eq!(services.name(1), Some(&a));
        services.uncount(1);
        services.uncount(0);
        assert_eq!(services.name(1), None);
        assert_eq!((services.number(&c), services.number(&a)), (0, 1));
    }

    #[test]
    fn a_name_that_comes_back_while_it_drains_has_its_number() {
        let mut services = Services::default();
        let [a, b]: [Arc<str>; 2] = ["a".into(), "b".into()];
        let number = services.number(&a);
        services.count(number);
        services.release(&a);
        assert_eq!(services.number(&a), number);
        services.uncount(number);
        assert_eq!(services.name(number), Some(&a));
        assert_eq!(services.number(&b), 1);
    }
}
