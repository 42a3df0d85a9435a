//! What a courier does: the child's side of looking at storage that is not trusted.
//!
//! Runs in a process of its own (`mediafs courier`), is asked by [`crate::storage`], and answers with plain facts and
//! bytes. It uses the same ways of looking and probing as the rest of the library, so the same rules hold; and a file
//! that breaks the probing breaks this process, not the daemon.

mod failing;
mod listing;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs_platform::cloud;
use mediafs_platform::files::Positioned as _;
use mediafs_platform::names;
use mediafs_platform::volume::{Identified, MountId, MountTable, VolumeIdentity};
use mediafs_platform::wanted::GivesWay;
use parking_lot::Mutex;

use crate::catalog::{Evidence, ProbeRecord};
use crate::control::rpc::one_line;
use crate::project::files;
use crate::storage::courier::{Work, serve};
use crate::storage::{Kind, LONGEST_PAYLOAD, Question, Reply, Verdict};

use super::disk::{LocalRoot, Seen};
use super::file_system::FileSystems;
use super::giving_back::give_back;
use super::marks;
use super::probing::read_facts;
use super::residency::{Residency, by_attributes};
use super::wire_facts;
use failing::{No, failed};

/// Answers what comes over the standard input until the other side ends.
///
/// # Errors
/// When this process was not started as a courier.
pub fn run_courier() -> io::Result<()> {
    let line = mediafs_platform::line::inherited()?;
    mediafs_platform::this_process::set_name(c"mediafs-courier");
    super::disk::lower_priority();
    cloud::show_as_they_are();
    serve(line, Looker::default());
    Ok(())
}

/// Files that are kept open for a while, as they are read in pieces.
const KEPT: usize = 8;
/// While others are read. Where nothing is, all are closed sooner.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// So many files that were fetched are remembered.
const BROUGHT: usize = 1000;

/// Looks and reads.
#[derive(Default)]
struct Looker {
    /// Files that were read last, the latest last.
    kept: Mutex<Vec<Kept>>,
    /// Files that were fetched, while who asks for them may not know that yet: see [`Looker::is_asked_for`].
    brought: Mutex<HashSet<PathBuf>>,
    file_systems: FileSystems,
}

struct Kept {
    path: PathBuf,
    /// What it is asked for by.
    asked: Evidence,
    /// What the disk said of it when it was opened.
    seen: Evidence,
    file: Arc<GivesWay>,
    read: Instant,
}

type Tell<'t> = &'t mut dyn FnMut(Reply, &[u8]);

impl Work for Looker {
    fn answer(&self, question: Question, tell: Tell<'_>) {
        // Nothing is fetched by the way: what is to be, is asked for by name. Where the system has no such promise, residency
        // is asked before each read.
        let _never = cloud::never_fetch().inspect_err(|error| {
            tracing::warn!(%error, "the system may fetch files that are only looked at");
        });
        match question {
            Question::Resolve(path) => tell(resolve(&PathBuf::from(path)), &[]),
            Question::List {
                root,
                below,
                crossing,
                may_come,
            } => {
                let (root, below) = (PathBuf::from(root), PathBuf::from(below));
                self.list(&root, &below, crossing, may_come, tell);
            }
            Question::Look(file) => {
                let opened = self.open(&PathBuf::from(file), false);
                tell(
                    opened.map_or_else(Reply::from, |(_, seen)| Reply::Seen(seen.into())),
                    &[],
                );
            }
            Question::Probe(file) => tell(self.probe(&PathBuf::from(file)), &[]),
            Question::Facts(file) => self.facts(&PathBuf::from(file), tell),
            Question::Read {
                file,
                evidence,
                offset,
                length,
                fetch,
            } => match self.read(&PathBuf::from(file), evidence.into(), offset, length, fetch) {
                Ok((bytes, fetched)) => tell(Reply::Bytes { fetched }, &bytes),
                Err(no) => tell(no, &[]),
            },
            Question::GiveBack { file, evidence } => {
                let file = PathBuf::from(file);
                // Nobody may have it open.
                self.kept.lock().retain(|kept| kept.path != file);
                // It is closed again by then.
                let now = self.open(&file, false);
                let now = now.map(|(_, evidence)| evidence).map_err(Reply::from);
                tell(
                    give_back(&file, evidence.into(), now, cloud::make_online_only),
                    &[],
                );
            }
            Question::Identify { mount, point } => {
                tell(identified(identify(mount, &PathBuf::from(point))), &[]);
            }
            Question::Mark { mount, point, mark } => {
                tell(
                    identified(put_mark(mount, &PathBuf::from(point), &mark)),
                    &[],
                );
            }
            Question::Project { folder, name } => {
                let prepared = crate::project::prepare(&PathBuf::from(folder), &name);
                let reply = match prepared {
                    Ok((id, name)) => Reply::Project { id: id.0, name },
                    Err(error) => Reply::Failed(one_line(&error)),
                };
                tell(reply, &[]);
            }
            Question::MakeFolder { root, below } => {
                let made = make_folder(&PathBuf::from(root), &PathBuf::from(below));
                tell(done(made), &[]);
            }
            Question::Write {
                folder,
                name,
                offset,
                part,
            } => {
                let name = OsString::from(name);
                let written = single([&*name])
                    .and_then(|()| files::write_part(&PathBuf::from(folder), &name, offset, &part));
                tell(done(written), &[]);
            }
            Question::Settle { folder, name } => {
                let name = OsString::from(name);
                let settled =
                    single([&*name]).and_then(|()| files::settle(&PathBuf::from(folder), &name));
                tell(done(settled), &[]);
            }
            Question::Name {
                folder,
                from,
                to,
                replace,
                previous,
            } => {
                let (from, to) = (OsString::from(from), OsString::from(to));
                let previous = previous.map(OsString::from);
                let naming = files::Naming {
                    from: &from,
                    to: &to,
                    replace,
                    previous: previous.as_deref(),
                };
                let named = single([&*from, &*to].into_iter().chain(previous.as_deref()))
                    .and_then(|()| files::name_it(&PathBuf::from(folder), &naming));
                tell(done(named), &[]);
            }
            Question::Rename { folder, from, to } => {
                let (from, to) = (OsString::from(from), OsString::from(to));
                let renamed = single([&*from, &*to])
                    .and_then(|()| files::rename(&PathBuf::from(folder), &from, &to));
                tell(done(renamed), &[]);
            }
            Question::Remove { folder, name } => {
                let name = OsString::from(name);
                let removed =
                    single([&*name]).and_then(|()| files::remove(&PathBuf::from(folder), &name));
                tell(done(removed), &[]);
            }
        }
    }

    fn rest(&self) {
        self.kept.lock().clear();
    }

    fn give_way(&self) {
        // A program that saves one of them would fail, or wait, for as long as others are read.
        let is_free = |kept: &Kept| !kept.file.wanted.is_wanted();
        self.kept.lock().retain(is_free);
    }
}

/// What became of a change.
fn done(result: io::Result<()>) -> Reply {
    match result {
        Ok(()) => Reply::Done,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Reply::Taken,
        Err(error) => failed(error),
    }
}

fn make_folder(root: &Path, below: &Path) -> io::Result<()> {
    let root = LocalRoot::open(root)?;
    let mut folder = root
        .folder(Path::new(""))
        .map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    for part in below.components() {
        folder = match part {
            Component::Normal(name) => {
                folder.make_folder(name, || Err(io::ErrorKind::CrossesDevices.into()))?
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
    }
    Ok(())
}

/// Refuses what is more than a name in a folder, and so may lead out of it.
fn single<'n>(names: impl IntoIterator<Item = &'n OsStr>) -> io::Result<()> {
    for name in names {
        if !names::is_single(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
    }
    Ok(())
}

impl Looker {
    /// What lasts of what is seen.
    fn lasting(&self, seen: &Seen, place: &Path) -> Evidence {
        self.file_systems.of(seen, place).lasting(&seen.evidence)
    }

    fn evidence_of(&self, file: &File, path: &Path) -> io::Result<Evidence> {
        let seen = super::disk::seen_in(file)?;
        Ok(self.lasting(&seen, path))
    }

    /// Opens a file to read it, unless that would fetch it from somewhere.
    fn open(&self, path: &Path, fetch: bool) -> Result<(File, Evidence), No> {
        let (file, evidence, _) = self.open_fetched(path, fetch)?;
        Ok((file, evidence))
    }

    /// Opens a file to read it; unless that would fetch it from somewhere, or if it may. Whether it was fetched.
    fn open_fetched(&self, path: &Path, fetch: bool) -> Result<(File, Evidence, bool), No> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(No::Told(Reply::Failed("not a file".to_owned())));
        };
        let (folder, of_folder, is_away) = {
            // What is fetched comes with the folders that it is in.
            let _leave = fetch.then(cloud::folders_may_come).transpose()?;
            let folder = LocalRoot::open(parent)?.folder(Path::new(""))?;
            let of_folder = folder.seen()?;
            let is_away = cloud::SYSTEM_TELLS && cloud::residency(path)? == Residency::OnlineOnly;
            (folder, of_folder, is_away)
        };
        if is_away {
            if !fetch {
                return Err(No::Told(Reply::OnlineOnly));
            }
            let mut brought = self.brought.lock();
            if brought.len() >= BROUGHT {
                brought.clear();
            }
            brought.insert(path.to_owned());
            drop(brought);
            // Who waits for it in vain leaves this process behind.
            cloud::fetch(path, &AtomicBool::new(false)).map_err(io::Error::other)?;
        }
        if !fetch
            && self.file_systems.of(&of_folder, parent).has_attributes
            && by_attributes(&folder, name).0 == Residency::OnlineOnly
        {
            return Err(No::Told(Reply::OnlineOnly));
        }
        let (file, _) = folder.file(name)?;
        let evidence = self.evidence_of(&file, path)?;
        Ok((file, evidence, is_away))
    }

    /// What the disk says of a file is what it is asked for by. Fetching a file changes all that is said of it but its size
    /// and its time, of which providers keep whole seconds; it is asked for by what it was before until that is recorded.
    fn is_asked_for(&self, path: &Path, asked: &Evidence, seen: &Evidence) -> bool {
        seen == asked || (seen.is_brought(asked) && self.brought.lock().contains(path))
    }

    /// The bytes, and whether the file was fetched for them.
    fn read(
        &self,
        path: &Path,
        asked: Evidence,
        offset: u64,
        length: u32,
        fetch: bool,
    ) -> Result<(Vec<u8>, bool), Reply> {
        self.give_way();
        let is_it = |kept: &Kept| kept.path == path && kept.asked == asked;
        let kept = self
            .kept
            .lock()
            .iter()
            .find(|kept| is_it(kept))
            .map(|kept| (Arc::clone(&kept.file), kept.seen));
        let mut fetched = false;
        let (file, seen) = match kept {
            // Its provider may have taken the bytes back since it was opened.
            Some((file, _))
                if cloud::SYSTEM_TELLS
                    && !fetch
                    && cloud::residency_of(&file.file).map_err(failed)?
                        == Residency::OnlineOnly =>
            {
                return Err(Reply::OnlineOnly);
            }
            Some(kept) => kept,
            None => {
                let (file, seen, was_away) = self.open_fetched(path, fetch)?;
                if !self.is_asked_for(path, &asked, &seen) {
                    return Err(Reply::Changed);
                }
                fetched = was_away;
                (Arc::new(GivesWay::new(file)), seen)
            }
        };
        let mut bytes = vec![0; length.min(LONGEST_PAYLOAD) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match file.file.read_at(&mut bytes[filled..], at) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        bytes.truncate(filled);
        if self.evidence_of(&file.file, path).map_err(failed)? != seen {
            return Err(Reply::Changed);
        }
        let mut kept = self.kept.lock();
        // One that is open can't be given back to its provider.
        kept.retain(|kept| !is_it(kept) && kept.read.elapsed() < KEPT_FOR);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        if !file.wanted.is_wanted() {
            kept.push(Kept {
                path: path.to_owned(),
                asked,
                seen,
                file,
                read: Instant::now(),
            });
        }
        Ok((bytes, fetched))
    }

    fn probe(&self, path: &Path) -> Reply {
        let (mut file, evidence) = match self.open(path, false) {
            Ok(opened) => opened,
            Err(no) => return no.into(),
        };
        let name = path.file_name().unwrap_or_default();
        let verdict = match read_facts(&mut file, name.as_encoded_bytes()) {
            Ok(ProbeRecord::Media { .. }) => Verdict::Media,
            Ok(ProbeRecord::NotMedia) => Verdict::NotMedia,
            Ok(ProbeRecord::Problem(reason)) => Verdict::Problem(reason),
            Err(error) => return failed(error),
        };
        Reply::Probed {
            evidence: evidence.into(),
            verdict,
        }
    }

    fn facts(&self, path: &Path, tell: Tell<'_>) {
        let (mut file, evidence) = match self.open(path, false) {
            Ok(opened) => opened,
            Err(no) => return tell(no.of_reading(), &[]),
        };
        let name = path.file_name().unwrap_or_default();
        let record = match read_facts(&mut file, name.as_encoded_bytes()) {
            Ok(record) => record,
            Err(error) => return tell(No::from(error).of_reading(), &[]),
        };
        match self.evidence_of(&file, path) {
            Ok(after) if after == evidence => {}
            Ok(_) => return tell(Reply::Changed, &[]),
            Err(error) => return tell(No::from(error).of_reading(), &[]),
        }
        let (facts, capsule) = wire_facts::encode(record);
        if let Some(capsule) = &capsule {
            for part in capsule.bytes.chunks(LONGEST_PAYLOAD as usize) {
                tell(Reply::CapsulePart, part);
            }
        }
        tell(
            Reply::Facts {
                evidence: evidence.into(),
                facts,
                has_capsule: capsule.is_some(),
            },
            &[],
        );
    }
}

fn identified(found: io::Result<Identified>) -> Reply {
    match found {
        Ok(found) => Reply::Identified {
            identity: found.identity.to_string(),
            label: found.label,
        },
        Err(error) => failed(error),
    }
}

/// What the disk of a mount is, if that is still there.
fn identify(mount: u64, point: &Path) -> io::Result<Identified> {
    let table = MountTable::read()?;
    let entry = table.by_id(MountId(mount));
    let entry = entry.filter(|entry| entry.mount_point == point);
    let entry = entry.ok_or(io::ErrorKind::NotFound)?;
    let mut found = mediafs_platform::volume::identify(entry)?;
    if let VolumeIdentity::Disk(disk) = &mut found.identity {
        match marks::read(point) {
            Ok(mark) => disk.mark = mark,
            // It is known without, too.
            Err(error) => tracing::warn!(%error, "the mark of a volume cannot be read"),
        }
    }
    Ok(found)
}

fn put_mark(mount: u64, point: &Path, mark: &str) -> io::Result<Identified> {
    // That it is there still, and a disk.
    identify(mount, point)?;
    marks::put(point, mark)?;
    identify(mount, point)
}

fn resolve(path: &Path) -> Reply {
    let found = mediafs_platform::files::canonical(path).and_then(|path| {
        let found = std::fs::metadata(&path)?;
        Ok((path, found))
    });
    match found {
        Err(error) => failed(error),
        Ok((path, found)) => Reply::Resolved {
            path: path.as_path().into(),
            kind: if found.is_dir() {
                Kind::Folder
            } else if found.is_file() {
                Kind::File
            } else {
                Kind::Other("neither a file nor a folder".to_owned())
            },
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::catalog::Nanoseconds;

    #[test]
    fn a_file_that_was_fetched_is_read_by_what_it_was_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kick.wav");
        std::fs::write(&path, "sound").unwrap();
        let looker = Looker::default();
        let seen = looker.evidence_of(&File::open(&path).unwrap(), &path);
        let seen = seen.unwrap();
        let read = |asked: Evidence| looker.read(&path, asked, 1, 100, true);
        // Of a time that is not in another second.
        let second = seen.modified.0.div_euclid(1_000_000_000) * 1_000_000_000;
        let before = Evidence {
            inode: seen.inode + 1,
            modified: Nanoseconds(second),
            changed: Nanoseconds(seen.changed.0 - 1),
            ..seen
        };
        assert_eq!(read(before), Err(Reply::Changed));
        looker.brought.lock().insert(path.clone());
        let bytes = || Ok((b"ound".to_vec(), false));
        assert_eq!(read(before), bytes());
        // From what is kept, and without.
        assert_eq!(looker.kept.lock().len(), 1);
        assert_eq!(read(before), bytes());
        looker.rest();
        assert_eq!(read(before), bytes());
        assert_eq!(read(seen), bytes());
        for other in [
            Evidence { size: 4, ..before },
            Evidence {
                modified: Nanoseconds(second - 1),
                ..before
            },
        ] {
            assert_eq!(read(other), Err(Reply::Changed));
        }
        // Written to while it is kept.
        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(&path, "other").unwrap();
        assert_eq!(read(before), Err(Reply::Changed));
    }

    #[test]
    fn a_name_is_no_way_out_of_a_folder() {
        let name = OsStr::new;
        assert!(single([name("a"), name("..a"), name("a b.wav")]).is_ok());
        for odd in ["", ".", "..", "a/b", "/a", "a/", "a/.."] {
            assert!(single([name("a"), name(odd)]).is_err(), "{odd}");
        }
    }
}
