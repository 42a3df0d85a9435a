//! The account of silence: which sounds which processes were given silence of, how much, and since when.
//!
//! Written by opens and reads; read by `status`, and by the events that tell a host what to reload. An item leaves the
//! account when its bytes are back; who was given silence of it is named then, whether or not a handle is open still.

use std::collections::HashMap;
use std::time::SystemTime;

use mediafs_platform::process::{Process, ProcessId, StartTime};
use parking_lot::Mutex;

use crate::catalog::ItemNo;

/// Items in the account; of more, the oldest are let go of.
const MOST_ITEMS: usize = 4096;
/// Processes of one item.
const MOST_PROCESSES: usize = 64;

/// A process that was given silence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its number.
    pub process: ProcessId,
    /// Since when it runs.
    pub started: StartTime,
    /// What it calls itself.
    pub name: String,
    /// How many bytes of silence it read.
    pub bytes: u64,
    /// Since when.
    pub since: SystemTime,
}

/// The silence of one item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Silence {
    /// Which.
    pub item: ItemNo,
    /// Who heard it, the first one first.
    pub listeners: Vec<Listener>,
}

/// Told of silence and its end; must return quickly, and never call the catalog's writer.
pub trait Heard: Send + Sync + 'static {
    /// A process was given silence of an item for the first time, or has read much more of it.
    fn silenced(&self, item: ItemNo, listener: &Listener);
    /// The item's bytes are back; these processes were given silence of it and live.
    fn restored(&self, silence: &Silence);
}

/// The account.
#[derive(Default)]
pub(super) struct Silenced {
    items: Mutex<HashMap<ItemNo, Silence>>,
}

impl Silenced {
    /// `bytes` of silence were given. Gives what is to be told: at the first of them, and whenever they have doubled.
    pub(super) fn note(
        &self,
        item: ItemNo,
        process: Option<&Process>,
        bytes: u64,
    ) -> Option<Listener> {
        let (id, started, name) = match process {
            Some(process) => (
                process.id,
                process.started,
                process.name.to_string_lossy().into_owned(),
            ),
            None => (ProcessId(0), StartTime(0), String::new()),
        };
        let mut items = self.items.lock();
        if items.len() >= MOST_ITEMS && !items.contains_key(&item) {
            let oldest = items
                .values()
                .min_by_key(|silence| silence.listeners.first().map(|first| first.since))
                .map(|silence| silence.item);
            if let Some(oldest) = oldest {
                items.remove(&oldest);
            }
        }
        let silence = items.entry(item).or_insert_with(|| Silence {
            item,
            listeners: Vec::new(),
        });
        let known = silence
            .listeners
            .iter_mut()
            .find(|known| (known.process, known.started) == (id, started));
        if let Some(known) = known {
            let before = known.bytes;
            known.bytes = before.saturating_add(bytes);
            let doubled = before.checked_ilog2() != known.bytes.checked_ilog2();
            return doubled.then(|| known.clone());
        }
        if silence.listeners.len() >= MOST_PROCESSES {
            silence.listeners.remove(0);
        }
        let listener = Listener {
            process: id,
            started,
            name,
            bytes,
            since: SystemTime::now(),
        };
        silence.listeners.push(listener.clone());
        Some(listener)
    }

    /// The item's bytes are back. Gives who is to be told so: the living.
    pub(super) fn restored(&self, item: ItemNo) -> Option<Silence> {
        let mut silence = self.items.lock().remove(&item)?;
        silence.listeners.retain(|listener| {
            listener.process.0 == 0 || StartTime::of(listener.process) == Some(listener.started)
        });
        Some(silence)
    }

    /// Whether a process is in the account of an item.
    pub(super) fn knows(&self, item: ItemNo, process: Option<&Process>) -> bool {
        let key = process.map_or((ProcessId(0), StartTime(0)), |p| (p.id, p.started));
        self.items.lock().get(&item).is_some_and(|silence| {
            let mut listeners = silence.listeners.iter();
            listeners.any(|known| (known.process, known.started) == key)
        })
    }

    /// Whether an item is in the account.
    pub(super) fn has(&self, item: ItemNo) -> bool {
        self.items.lock().contains_key(&item)
    }

    /// Items in the account.
    pub(super) fn items(&self) -> Vec<ItemNo> {
        self.items.lock().keys().copied().collect()
    }

    /// The whole account, the longest silence first.
    pub(super) fn all(&self) -> Vec<Silence> {
        let mut all: Vec<Silence> = self.items.lock().values().cloned().collect();
        all.sort_by_key(|silence| silence.listeners.first().map(|first| first.since));
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn us() -> Process {
        Process::of(ProcessId(std::process::id())).unwrap()
    }

    #[test]
    fn silence_is_told_at_first_and_as_it_doubles() {
        let account = Silenced::default();
        let item = ItemNo(7);
        assert_eq!(account.note(item, Some(&us()), 0).unwrap().bytes, 0);
        assert_eq!(account.note(item, Some(&us()), 1000).unwrap().bytes, 1000);
        assert!(account.note(item, Some(&us()), 10).is_none());
        assert_eq!(account.note(item, Some(&us()), 2000).unwrap().bytes, 3010);
        assert_eq!(account.all()[0].listeners.len(), 1);
    }

    #[test]
    fn only_the_living_are_told_that_a_sound_is_back() {
        let account = Silenced::default();
        let item = ItemNo(7);
        let dead = Process {
            started: StartTime(1),
            ..us()
        };
        account.note(item, Some(&dead), 5);
        account.note(item, Some(&us()), 5);
        let told = account.restored(item).unwrap();
        assert_eq!(told.listeners.len(), 1);
        assert_eq!(told.listeners[0].started, us().started);
        assert!(account.restored(item).is_none());
    }

    #[test]
    fn the_account_is_bounded() {
        let account = Silenced::default();
        for n in 0..u32::try_from(MOST_ITEMS).unwrap() + 10 {
            account.note(ItemNo(n), None, 1);
        }
        assert_eq!(account.items().len(), MOST_ITEMS);
    }
}
