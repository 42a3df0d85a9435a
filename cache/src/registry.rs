//! Which partial objects are being filled in this process, so that there is one filler state for each, and none while
//! it is made, dropped or cleaned up.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use crate::filling::Filling;

#[derive(Default)]
pub(crate) struct Registry {
    /// A dead `Weak` means: somebody is making it, dropping it or cleaning up.
    names: Mutex<HashMap<[u8; 32], Weak<Filling>>>,
    changed: Condvar,
}

/// The right to be the only one who touches the files of a partial object.
pub(crate) struct Claim<'a> {
    registry: &'a Registry,
    name: [u8; 32],
    filled: bool,
}

pub(crate) enum Claimed<'a> {
    /// It is being filled already.
    Live(Arc<Filling>),
    Free(Claim<'a>),
}

impl Registry {
    /// Waits until it is either being filled or free.
    pub(crate) fn claim(&self, name: &[u8; 32]) -> Claimed<'_> {
        let mut names = self.names.lock();
        loop {
            match names.get(name).map(Weak::upgrade) {
                Some(Some(filling)) => return Claimed::Live(filling),
                Some(None) => self.changed.wait(&mut names),
                None => {
                    names.insert(*name, Weak::new());
                    return Claimed::Free(Claim {
                        registry: self,
                        name: *name,
                        filled: false,
                    });
                }
            }
        }
    }

    /// `None` if anybody has to do with it.
    pub(crate) fn try_claim(&self, name: &[u8; 32]) -> Option<Claim<'_>> {
        let mut names = self.names.lock();
        if names.contains_key(name) {
            return None;
        }
        names.insert(*name, Weak::new());
        Some(Claim {
            registry: self,
            name: *name,
            filled: false,
        })
    }

    pub(crate) fn is_taken(&self, name: &[u8; 32]) -> bool {
        self.names.lock().contains_key(name)
    }

    /// True if it is being filled, and not just made, dropped or cleaned up.
    pub(crate) fn is_live(&self, name: &[u8; 32]) -> bool {
        self.names
            .lock()
            .get(name)
            .is_some_and(|filling| filling.strong_count() > 0)
    }

    /// Said by a filling when all of it is gone.
    pub(crate) fn release(&self, name: &[u8; 32]) {
        self.names.lock().remove(name);
        self.changed.notify_all();
    }
}

impl Claim<'_> {
    /// From now on it is being filled.
    pub(crate) fn fill(mut self, filling: &Arc<Filling>) {
        self.filled = true;
        self.registry
            .names
            .lock()
            .insert(self.name, Arc::downgrade(filling));
        self.registry.changed.notify_all();
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.filled {
            self.registry.release(&self.name);
        }
    }
}
