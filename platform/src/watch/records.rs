//! What Windows writes of changes into a buffer (`FILE_NOTIFY_INFORMATION`), as events. No call of the system is made here, so that
//! it is tested everywhere.

use std::path::{Path, PathBuf};

use notify::Event;
use notify::event::{CreateKind, EventKind, Flag, ModifyKind, RemoveKind, RenameMode};

const ADDED: u32 = 1;
const REMOVED: u32 = 2;
const MODIFIED: u32 = 3;
const OLD_NAME: u32 = 4;
const NEW_NAME: u32 = 5;
/// Offset of the next record, what was done, length of the name in bytes; then the name.
const HEADER: usize = 12;

/// Turns records into events; remembers half a rename from one buffer to the next.
#[derive(Debug, Default)]
pub(super) struct Records {
    renames: usize,
}

impl Records {
    /// The events of a buffer of records on what is below `root`. `name` makes a path of a name in UTF-16.
    ///
    /// Records that make no sense end it with an event that says that others were lost.
    pub(super) fn events(
        &mut self,
        root: &Path,
        mut records: &[u8],
        name: impl Fn(Vec<u16>) -> PathBuf,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let Some((next, action, units)) = record(records) else {
                events.push(lost());
                return events;
            };
            events.extend(self.event(action, root.join(name(units))));
            if next == 0 {
                return events;
            }
            // In bounds, or it makes no sense.
            records = records.get(next..).unwrap_or_default();
        }
    }

    fn event(&mut self, action: u32, path: PathBuf) -> Option<Event> {
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let kind = match action {
            ADDED => EventKind::Create(CreateKind::Any),
            REMOVED => EventKind::Remove(RemoveKind::Any),
            MODIFIED => EventKind::Modify(ModifyKind::Any),
            // The new name comes directly after the old one.
            OLD_NAME => {
                self.renames = self.renames.wrapping_add(1);
                renamed(RenameMode::From)
            }
            NEW_NAME => renamed(RenameMode::To),
            // Of streams and of what a file system keeps beside files.
            _ => return None,
        };
        let event = Event::new(kind).add_path(path);
        Some(match action {
            OLD_NAME | NEW_NAME => event.set_tracker(self.renames),
            _ => event,
        })
    }
}

/// Says that events were lost.
pub(super) fn lost() -> Event {
    Event::new(EventKind::Other).set_flag(Flag::Rescan)
}

/// Whether a name has the form that Windows gives to short ones: up to eight units that end with `~` and a number, and an extension of
/// up to three.
pub(super) fn may_be_short(name: &[u16]) -> bool {
    let is = |unit: &u16, of: u8| *unit == u16::from(of);
    let mut parts = name.split(|unit| is(unit, b'.'));
    let (Some(stem), extension, None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let digits = stem
        .iter()
        .rev()
        .take_while(|unit| (48..58).contains(*unit));
    let before = stem.len() - digits.count();
    before < stem.len()
        && stem[..before].last().is_some_and(|unit| is(unit, b'~'))
        && stem.len() <= 8
        && extension.is_none_or(|extension| extension.len() <= 3)
}

fn record(bytes: &[u8]) -> Option<(usize, u32, Vec<u16>)> {
    let word = |at: usize| {
        let four = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(four.try_into().ok()?))
    };
    let (next, action, length) = (word(0)?, word(4)?, word(8)?);
    let length = usize::try_from(length).ok()?;
    let name = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    let units = name
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    Some((usize::try_from(next).ok()?, action, units.collect()))
}
