//! Small numbers for nodes, and sets of them: one bit each.

/// Hands out the smallest numbers that are free.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    free: Vec<usize>,
    next: usize,
}

impl Numbers {
    pub(super) fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    pub(super) fn give_back(&mut self, number: usize) {
        self.free.push(number);
    }
}

/// A set of nodes, by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeSet(Vec<u64>);

impl NodeSet {
    pub(super) fn insert(&mut self, number: usize) {
        let word = number / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = NodeSet::default();
        for number in [0, 63, 64, 1000] {
            assert!(!set.contains(number));
            set.insert(number);
            assert!(set.contains(number));
        }
        assert!(!set.contains(65) && !set.contains(5000));
        for number in [0, 63, 64, 1000, 5000] {
            set.remove(number);
        }
        assert!(set.is_empty());
    }

    #[test]
    fn numbers_are_used_again() {
        let mut numbers = Numbers::default();
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [0, 1, 2]);
        numbers.give_back(1);
        assert_eq!([numbers.take(), numbers.take()], [1, 3]);
    }
}
