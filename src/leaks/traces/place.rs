//! The calls by which a test starts processes.

use crate::frames::Address;

/// Where a test starts processes.
#[derive(Debug)]
pub(super) enum Place {
    One(Vec<Address>),
    Several,
}

impl Place {
    pub(super) fn add(&mut self, stack: &[Address]) {
        if matches!(self, Place::One(known) if known != stack) {
            *self = Place::Several;
        }
    }

    pub(super) fn known(&self) -> Option<Vec<Address>> {
        match self {
            Place::One(stack) => Some(stack.clone()),
            Place::Several => None,
        }
    }
}
