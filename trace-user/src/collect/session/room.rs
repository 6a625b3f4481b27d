//! Room for threads to come: further records are made while the target grows.

use super::super::slots;
use super::Session;
use super::ended::Folded;
use crate::kernel::drop;

/// What the last looks said of births, and whether further records can be made.
#[derive(Debug, Default)]
pub(super) struct Room {
    living: usize,
    refused: bool,
}

impl Room {
    /// At the beginning, where so many live.
    pub(super) fn of(living: usize) -> Room {
        Room { living, refused: false }
    }
}

impl Session<'_> {
    /// After a fold that found so many: makes further records where the free ones run low. Returns births since the last
    /// fold, and how many records are free.
    ///
    /// Where the kernel refuses, whoever is born without a record is counted (`slots_exhausted`), as the probes do it.
    pub(super) fn make_room(&mut self, found: &Folded) -> (usize, usize) {
        let births = (found.living + found.freed).saturating_sub(self.room.living);
        self.room.living = found.living;
        let wanted = slots::wanted(found.living, births);
        if wanted > self.maps.slots.count() && !self.room.refused {
            let slots = &mut self.maps.slots;
            self.room.refused = drop::raised(drop::for_maps(), || slots.grow(wanted)).is_err();
        }
        (births, (self.maps.slots.count() as usize).saturating_sub(found.living + 1))
    }
}
