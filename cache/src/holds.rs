//! Which objects are open in this process, and which are just coming or leaving.
//!
//! This is all that opening an object asks; the lock is never held while the disk or the database is touched.

use std::collections::HashMap;

use parking_lot::{Condvar, Mutex};

use crate::id::ObjectId;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It is being put in place, or checked against the index.
    Coming,
    /// It is being evicted or set aside: for those who open, it is gone.
    Leaving,
}

#[derive(Default)]
struct Hold {
    handles: usize,
    change: Option<Change>,
}

#[derive(Default)]
pub(crate) struct Holds {
    objects: Mutex<HashMap<ObjectId, Hold>>,
    changed: Condvar,
}

/// While it lives, nobody else puts, evicts or sets aside the object.
pub(crate) struct Exclusive<'a> {
    holds: &'a Holds,
    id: ObjectId,
}

impl Holds {
    /// Counts a handle. False if the object is leaving: then it is not there for the caller.
    pub(crate) fn enter(&self, id: &ObjectId) -> bool {
        let mut objects = self.objects.lock();
        let hold = objects.entry(*id).or_default();
        if hold.change == Some(Change::Leaving) {
            return false;
        }
        hold.handles += 1;
        true
    }

    pub(crate) fn leave(&self, id: &ObjectId) {
        let mut objects = self.objects.lock();
        if let Some(hold) = objects.get_mut(id) {
            hold.handles = hold.handles.saturating_sub(1);
            if hold.handles == 0 && hold.change.is_none() {
                objects.remove(id);
            }
        }
    }

    pub(crate) fn is_held(&self, id: &ObjectId) -> bool {
        self.objects.lock().contains_key(id)
    }

    /// How many objects are open.
    pub(crate) fn count(&self) -> usize {
        self.objects
            .lock()
            .values()
            .filter(|hold| hold.handles > 0)
            .count()
    }

    /// Waits for others who change the object, then keeps them off. It can be opened meanwhile.
    pub(crate) fn coming(&self, id: &ObjectId) -> Exclusive<'_> {
        self.begin(id, Change::Coming)
    }

    /// Waits for others who change the object, then keeps them off. It can't be opened meanwhile; handles that are
    /// open on it stay.
    pub(crate) fn leaving(&self, id: &ObjectId) -> Exclusive<'_> {
        self.begin(id, Change::Leaving)
    }

    fn begin(&self, id: &ObjectId, change: Change) -> Exclusive<'_> {
        let mut objects = self.objects.lock();
        loop {
            let hold = objects.entry(*id).or_default();
            if hold.change.is_none() {
                hold.change = Some(change);
                return Exclusive {
                    holds: self,
                    id: *id,
                };
            }
            self.changed.wait(&mut objects);
        }
    }

    /// Like [`Self::leaving`], but only if it is neither open nor changing now.
    pub(crate) fn leaving_if_free(&self, id: &ObjectId) -> Option<Exclusive<'_>> {
        let mut objects = self.objects.lock();
        if objects.contains_key(id) {
            return None;
        }
        objects.insert(
            *id,
            Hold {
                handles: 0,
                change: Some(Change::Leaving),
            },
        );
        Some(Exclusive {
            holds: self,
            id: *id,
        })
    }
}

impl Exclusive<'_> {
    /// Counts a handle for the one who holds the object.
    pub(crate) fn enter(&self) {
        self.holds
            .objects
            .lock()
            .entry(self.id)
            .or_default()
            .handles += 1;
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        let mut objects = self.holds.objects.lock();
        if let Some(hold) = objects.get_mut(&self.id) {
            hold.change = None;
            if hold.handles == 0 {
                objects.remove(&self.id);
            }
        }
        self.holds.changed.notify_all();
    }
}
