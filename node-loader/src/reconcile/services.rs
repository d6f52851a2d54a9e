//! Numbers of redirects in the kernel's counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Small numbers, each for one name, given out anew when they are free: the kernel's map of counters is an array.
#[derive(Debug, Default)]
pub(super) struct Services {
    numbers: BTreeMap<Arc<str>, u32>,
    free: BTreeSet<u32>,
    next: u32,
}

impl Services {
    /// The name's number, the lowest free one if it has none.
    pub(super) fn number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.numbers.insert(name.clone(), number);
        number
    }

    /// Gives a name the number that it had in an earlier run, if nobody has it.
    pub(super) fn adopt(&mut self, name: &Arc<str>, number: u32) {
        // A number this high did not come from here.
        const LIMIT: u32 = 1 << 20;
        if self.numbers.contains_key(name) || number >= LIMIT {
            return;
        }
        if number >= self.next {
            self.free.extend(self.next..number);
            self.next = number + 1;
        } else if !self.free.remove(&number) {
            return;
        }
        self.numbers.insert(name.clone(), number);
    }

    /// The name is gone.
    pub(super) fn release(&mut self, name: &str) {
        if let Some(number) = self.numbers.remove(name) {
            self.free.insert(number);
        }
    }

    /// Every name with its number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.numbers.iter().map(|(name, number)| (name, *number))
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
        services.release("b");
        services.adopt(&a, 7);
        assert_eq!((services.number(&a), services.number(&b)), (0, 1));
    }
}
