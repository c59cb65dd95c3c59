//! One budget of bytes for all bodies that are in memory at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What is left for bodies.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes `bytes` out of the budget until the reservation is dropped; `None` when there are not that many.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut reservation = Reservation { budget: self.clone(), bytes: 0 };
        reservation.grow(bytes).then_some(reservation)
    }
}

/// Bytes that belong to one body.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Reservation {
    /// Takes more; whether there was enough.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let left = &self.budget.0;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_07_a_reservation_returns_what_it_took() {
        let budget = Budget::new(10);
        let mut first = budget.reserve(4).unwrap();
        assert!(first.grow(4));
        assert!(!first.grow(3), "a refused growth takes nothing");
        assert!(budget.reserve(3).is_none());
        let second = budget.reserve(2).unwrap();
        drop((first, second));
        assert!(budget.reserve(10).is_some());
    }
}
