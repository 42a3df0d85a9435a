//! From a path to what it leads to: name by name, in whatever case, through symbolic links.

use std::collections::VecDeque;
use std::ffi::OsString;

use super::super::cases::{each_name, in_another_case};
use super::adapter::Adapter;
use super::known::in_all_cases;
use super::names;
use super::status::Status;
use crate::drive::{Attributes, DriveError, Entry, NodeId, NodeKind, Requester};

/// As many links lead to one thing, at most.
const MOST_LINKS: usize = 40;

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) node: NodeId,
    pub(super) attributes: Attributes,
    /// It looks the same to everybody, and as long as nothing else is told.
    pub(super) is_settled: bool,
    /// The folder that it is in, and its name there.
    pub(super) parent: NodeId,
    pub(super) name: OsString,
    /// The path in the case that its names have.
    pub(super) path: Vec<u16>,
}

impl Found {
    pub(super) fn is_folder(&self) -> bool {
        self.attributes.kind == NodeKind::Folder
    }
}

/// A name in a folder, as it is there.
pub(super) struct Step {
    pub(super) entry: Entry,
    pub(super) name: OsString,
    /// As the path that Windows is told has it: it may differ from what was asked for in case alone.
    pub(super) shown: Vec<u16>,
}

impl Adapter {
    /// Walks a path from the root.
    pub(super) fn walk(&self, path: &[u16], by: &Requester) -> Result<Found, Status> {
        let mut todo: VecDeque<Vec<u16>> = names::components(path).map(<[u16]>::to_vec).collect();
        // What is not of the path itself but of a link in it.
        let mut of_links = 0_usize;
        let mut links = 0;
        let mut places = vec![self.root()?];
        let mut shown = Vec::new();
        while let Some(name) = todo.pop_front() {
            let is_of_link = of_links > 0;
            of_links = of_links.saturating_sub(1);
            // What is left of links is in front of what is left of the path.
            let missing = match todo.len() <= of_links {
                true => Status::OBJECT_NAME_NOT_FOUND,
                false => Status::OBJECT_PATH_NOT_FOUND,
            };
            if is_of_link && is_dots(&name) {
                match (name.len(), places.len()) {
                    (1, _) => {}
                    (_, 2..) => drop(places.pop()),
                    _ => return Err(missing),
                }
                continue;
            }
            // There is always the root.
            let Some(here) = places.last() else {
                return Err(missing);
            };
            if !here.is_folder() {
                return Err(Status::OBJECT_PATH_NOT_FOUND);
            }
            let step = match self.step(here.node, &name, by) {
                Ok(step) => step,
                Err(DriveError::NotFound) => return Err(missing),
                Err(DriveError::NotFolder) => return Err(Status::OBJECT_PATH_NOT_FOUND),
                Err(error) => return Err(error.into()),
            };
            if !is_of_link {
                shown = names::joined(&shown, &step.shown);
            }
            if step.entry.attributes.kind == NodeKind::Symlink {
                links += 1;
                let target = self.asking.ask(|drive| drive.read_link(step.entry.node))?;
                let target = link_steps(&target).filter(|_| links <= MOST_LINKS);
                let Some(target) = target else {
                    return Err(missing);
                };
                of_links += target.len();
                for name in target.into_iter().rev() {
                    todo.push_front(name);
                }
                continue;
            }
            places.push(Found {
                node: step.entry.node,
                attributes: step.entry.attributes,
                is_settled: !step.entry.entry_ttl.is_zero(),
                parent: here.node,
                name: step.name,
                path: Vec::new(),
            });
        }
        let mut found = places.pop().ok_or(Status::OBJECT_NAME_NOT_FOUND)?;
        found.path = match shown.is_empty() {
            true => vec![names::SEPARATOR],
            false => shown,
        };
        Ok(found)
    }

    fn root(&self) -> Result<Found, Status> {
        let (attributes, _) = self.asking.ask(|drive| drive.attributes(NodeId::ROOT))?;
        Ok(Found {
            node: NodeId::ROOT,
            attributes,
            is_settled: true,
            parent: NodeId::ROOT,
            name: OsString::new(),
            path: Vec::new(),
        })
    }

    /// Looks a name up in a folder, as it is shown, and failing that in another case.
    pub(super) fn step(
        &self,
        folder: NodeId,
        name: &[u16],
        by: &Requester,
    ) -> Result<Step, DriveError> {
        if name.len() > names::LONGEST_NAME {
            return Err(DriveError::NameTooLong);
        }
        for name_there in names::meant(name) {
            match self.look_up(folder, &name_there, name, by) {
                Err(DriveError::NotFound) => {}
                Err(error) => return Err(error),
                Ok(entry) => {
                    return Ok(Step {
                        entry,
                        name: name_there,
                        shown: name.to_vec(),
                    });
                }
            }
        }
        if names::is_probed(name) {
            return Err(DriveError::NotFound);
        }
        let folded = names::folded(name);
        let cases = &self.changes.cases;
        let name_there = self
            .asking
            .ask(|drive| in_another_case(cases, drive, folder, (&folded, in_all_cases), by))?
            .ok_or(DriveError::NotFound)?;
        let shown = names::shown(&name_there).ok_or(DriveError::NotFound)?;
        let entry = self.look_up(folder, &name_there, &shown, by)?;
        Ok(Step {
            entry,
            name: name_there,
            shown,
        })
    }

    /// Looks up a name of the drive, which is shown so.
    pub(super) fn look_up(
        &self,
        folder: NodeId,
        name: &std::ffi::OsStr,
        shown: &[u16],
        by: &Requester,
    ) -> Result<Entry, DriveError> {
        let entry = self.asking.ask(|drive| drive.lookup(folder, name, by))?;
        self.looked_up(&entry, folder, shown);
        Ok(entry)
    }

    /// A look-up was answered.
    pub(super) fn looked_up(&self, entry: &Entry, folder: NodeId, shown: &[u16]) {
        let drive = self.asking.drive.as_ref();
        self.known
            .lock()
            .looked_up(entry.node, folder, shown, drive);
    }

    /// The name, as shown, that something new has whose beginning is that of something in the folder: by that a file is known
    /// to be some sound's, and programs write it in the case in which they were told of the sound. `None` where there is no
    /// such neighbour, or it is called so already.
    pub(super) fn in_case_of_neighbour(
        &self,
        folder: NodeId,
        new: &[u16],
        by: &Requester,
    ) -> Option<Vec<u16>> {
        if names::is_probed(new) {
            return None;
        }
        let folded = names::folded(new);
        let mut longest: Vec<u16> = Vec::new();
        let mut each = |name: OsString| {
            let Some(shown) = names::shown(&name) else {
                return;
            };
            let dot = shown.iter().rposition(|unit| *unit == u16::from(b'.'));
            // With its extension, or without.
            for end in [Some(shown.len()), dot].into_iter().flatten() {
                if end > longest.len()
                    && folded.len() > end
                    && folded.starts_with(&names::folded(&shown[..end]))
                {
                    longest = shown[..end].to_vec();
                }
            }
        };
        let listed = self
            .asking
            .ask(|drive| each_name(drive, folder, by, &mut each));
        listed.ok()?;
        let behind = new.get(longest.len()..)?;
        let name = [&longest, behind].concat();
        (name != new).then_some(name)
    }
}

fn is_dots(name: &[u16]) -> bool {
    let dot = u16::from(b'.');
    *name == [dot] || *name == [dot, dot]
}

/// The names that a link's target goes through; `None` for one that begins elsewhere than at the link.
fn link_steps(target: &std::ffi::OsStr) -> Option<Vec<Vec<u16>>> {
    let target = target.to_str()?;
    let between = |c: char| c == '/' || (cfg!(windows) && c == '\\');
    if target.starts_with(between) || (cfg!(windows) && target.contains(':')) {
        return None;
    }
    target
        .split(between)
        .filter(|name| !name.is_empty())
        .map(|name| match name {
            "." | ".." => Some(name.encode_utf16().collect()),
            _ => names::shown(std::ffi::OsStr::new(name)),
        })
        .collect()
}
