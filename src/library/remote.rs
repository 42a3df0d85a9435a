//! The daemon's side of looking at untrusted storage: what its courier is asked, and what the answers mean.
//!
//! Nothing here touches a disk. Answers come from a process that a hostile file may have led astray, so their number
//! and size are bounded here again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::catalog::{Evidence, ProbeRecord};
use crate::model::SourceNo;
use crate::silence::Capsule;
use crate::storage::{CourierError, Found, FoundSeen, Kind, Question, Reply, SourceKey, Stamp};

use super::disk::{Entry, NoFolder, Seen};
use super::engine::Engine;
use super::wire_facts;

/// More entries of one folder than these are given up: a list that never ends must not fill the memory.
pub(super) const MOST_ENTRIES: usize = 1_000_000;
/// So are more bytes of names, links and reasons in it.
const MOST_BYTES: usize = 256 << 20;
/// The least that one answer counts for, unless it is the last: couriers send many entries at a time.
const LEAST_PAGE: usize = 100;
/// The longest name and the longest link that a disk has, in bytes.
const LONGEST_NAME: usize = 1024;
const LONGEST_LINK: usize = 4096;
/// How long each answer about a folder may take, where its source answers other questions meanwhile: a cloud provider may
/// have to tell what is in it.
const LONGEST_PAGE: Duration = Duration::from_secs(30);
/// After so many folders that did not come in that time no more are asked for: it would be the same with all of them, and
/// what is here is to be looked at.
const MOST_MISSED: usize = 3;
/// How long reading one file for its facts may take, where its source answers other questions meanwhile.
pub(super) const LONGEST_READING: Duration = Duration::from_secs(60);
/// As long of what a project is read from and written to there: what was written is brought to the disk, and what is read may
/// come from a cloud provider.
pub(super) const LONGEST_CHANGING: Duration = Duration::from_secs(600);

/// A root on storage that only its courier touches.
pub(super) struct RemoteRoot<'e> {
    engine: &'e Engine,
    source: SourceKey,
    path: PathBuf,
    /// Whether the way from it to a folder leads over other file systems.
    crossing: bool,
    cancel: &'e AtomicBool,
    /// Its storage did not answer, or is another one.
    lost: AtomicBool,
    /// Folders that its provider did not tell of in time.
    missed: AtomicUsize,
    /// That it is the source that it was when this was made.
    stamp: Option<(SourceNo, Stamp)>,
}

impl std::fmt::Debug for RemoteRoot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteRoot")
            .field("source", &self.source)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A folder as its courier has listed it.
#[derive(Debug)]
pub(super) struct RemoteFolder {
    evidence: Evidence,
    /// In the order of the disk.
    names: Vec<OsString>,
    entries: HashMap<OsString, Result<Known, String>>,
}

#[derive(Debug)]
struct Known {
    seen: Seen,
    link: Option<OsString>,
    online_only: bool,
    stand_in: bool,
}

impl<'e> RemoteRoot<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        source: SourceKey,
        path: &Path,
        cancel: &'e AtomicBool,
    ) -> Self {
        Self {
            engine,
            source,
            path: path.to_owned(),
            crossing: false,
            cancel,
            lost: AtomicBool::new(false),
            missed: AtomicUsize::new(0),
            stamp: None,
        }
    }

    /// What is listed is believed only while this source is where it was.
    pub(super) fn of(mut self, source: SourceNo, stamp: Stamp) -> Self {
        self.stamp = Some((source, stamp));
        self
    }

    /// It is still the source that it was: another volume at its place has other files, and an empty mount point none.
    fn is_itself(&self) -> bool {
        match &self.stamp {
            None => true,
            Some((source, stamp)) => {
                let now = self.engine.sources.stamp_over(*source, &self.path);
                now.as_ref() == Some(stamp)
            }
        }
    }

    /// The computer's own root, as the courier of one source goes from there to what is on its storage.
    pub(super) fn of_computer(
        engine: &'e Engine,
        source: SourceKey,
        path: &Path,
        cancel: &'e AtomicBool,
    ) -> Self {
        Self {
            crossing: true,
            ..Self::new(engine, source, path, cancel)
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether the folder is there at all.
    pub(super) fn check(&self) -> Result<(), NoFolder> {
        let failed = |why: String| NoFolder::Failed(io::Error::other(why));
        match resolve(self.engine, &self.source, &self.path, self.cancel) {
            Ok(Reply::Resolved { path, kind }) => {
                if kind == Kind::Folder && PathBuf::from(path) == self.path {
                    Ok(())
                } else {
                    Err(NoFolder::NotAFolder)
                }
            }
            Ok(Reply::NotFound) => Err(NoFolder::Absent),
            Ok(Reply::NotAFolder) => Err(NoFolder::NotAFolder),
            Ok(Reply::Failed(why)) => Err(failed(why)),
            Ok(Reply::OnlineOnly) => Err(not_coming()),
            Ok(_) => Err(failed(CourierError::Ended.to_string())),
            Err(error) => {
                self.lost.store(true, Ordering::Relaxed);
                Err(failed(error.to_string()))
            }
        }
    }

    /// Lists the folder at `below`, if all of the way to it is on the root's own file system, or that may be crossed.
    pub(super) fn folder(&self, below: &Path) -> Result<RemoteFolder, NoFolder> {
        if self.is_lost() {
            return Err(NoFolder::Failed(io::Error::other(
                CourierError::Silent.to_string(),
            )));
        }
        // One that ended for another reason is worth another one.
        let listed = match self.list(below) {
            Err(Refused::Courier(CourierError::Ended)) => self.list(below),
            other => other,
        };
        if !self.is_itself() {
            self.lost.store(true, Ordering::Relaxed);
            return Err(NoFolder::Failed(io::Error::other(
                "its storage has just gone, or is another one",
            )));
        }
        listed.map_err(|refused| match refused {
            Refused::Disk(reason) => reason,
            Refused::Courier(error) => {
                self.lost.store(true, Ordering::Relaxed);
                NoFolder::Failed(io::Error::other(error.to_string()))
            }
        })
    }

    fn list(&self, below: &Path) -> Result<RemoteFolder, Refused> {
        let question = Question::List {
            root: self.path.as_path().into(),
            below: below.into(),
            crossing: self.crossing,
            may_come: self.missed.load(Ordering::Relaxed) < MOST_MISSED,
        };
        let mut listing = Listing::default();
        let asked = self.engine.couriers.ask_all(
            &self.source,
            &question,
            LONGEST_PAGE,
            self.cancel,
            |reply| listing.hear(reply),
        );
        match asked {
            // Others may be told of.
            Err(CourierError::TooLong) if listing.comes => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                return Err(Refused::Disk(not_coming()));
            }
            Err(CourierError::TooLong) => {
                return Err(Refused::Disk(NoFolder::Failed(io::Error::other(TOO_SLOW))));
            }
            asked => asked.map_err(Refused::Courier)?,
        }
        match (listing.refused, listing.folder) {
            (None, Some(folder)) => Ok(folder),
            (Some(reason), _) => Err(Refused::Disk(reason)),
            (None, None) => Err(Refused::Courier(CourierError::Ended)),
        }
    }
}

/// What was heard of a folder so far.
#[derive(Default)]
struct Listing {
    folder: Option<RemoteFolder>,
    refused: Option<NoFolder>,
    /// Its cloud provider has to tell what is in it.
    comes: bool,
    /// All that were told of, whether or not they were told of before, and their bytes.
    entries: usize,
    bytes: usize,
}

impl Listing {
    /// True if nothing more is to be heard.
    fn hear(&mut self, reply: Reply) -> bool {
        match reply {
            Reply::Listed {
                folder: evidence,
                entries,
                more,
            } => {
                let least = if more { LEAST_PAGE } else { 0 };
                self.entries += entries.len().max(least);
                self.bytes += entries.iter().map(length).sum::<usize>();
                if self.entries > MOST_ENTRIES || self.bytes > MOST_BYTES {
                    self.refused = Some(NoFolder::Failed(io::Error::other(
                        "too many files in one folder",
                    )));
                    return true;
                }
                let folder = self.folder.get_or_insert_with(|| RemoteFolder {
                    evidence: evidence.into(),
                    names: Vec::new(),
                    entries: HashMap::new(),
                });
                entries.into_iter().for_each(|found| folder.add(found));
                !more
            }
            // Said again and again it would be no end of waiting.
            Reply::Coming if !self.comes => {
                self.comes = true;
                false
            }
            other => {
                self.refused = Some(match other {
                    Reply::NotFound => NoFolder::Absent,
                    Reply::NotAFolder => NoFolder::NotAFolder,
                    Reply::OtherFileSystem => NoFolder::OtherFileSystem,
                    Reply::OnlineOnly => not_coming(),
                    Reply::Failed(why) | Reply::Unreachable(why) => {
                        NoFolder::Failed(io::Error::other(why))
                    }
                    _ => NoFolder::Failed(io::Error::other(CourierError::Ended.to_string())),
                });
                true
            }
        }
    }
}

/// Why there is no list of a folder that is with its cloud provider.
pub(super) const NOT_COMING: &str =
    "its cloud provider does not tell what is in its folder; try again when that can be reached";

/// Why there is no list of another one that took too long.
const TOO_SLOW: &str = "its storage answers, but does not tell in time what is in this folder; try again when it has less to do";

fn not_coming() -> NoFolder {
    NoFolder::Failed(io::Error::other(NOT_COMING))
}

/// Asks where a path leads. The folders that it is in come from their cloud provider, if need be.
pub(super) fn resolve(
    engine: &Engine,
    source: &SourceKey,
    path: &Path,
    cancel: &AtomicBool,
) -> Result<Reply, CourierError> {
    let question = Question::Resolve(path.into());
    let ask = || {
        let asked = engine.couriers.ask(source, &question, cancel);
        asked.map(|(reply, _)| reply)
    };
    match (ask()?, path.parent()) {
        (Reply::OnlineOnly, Some(above)) => {
            // Whether they came, the second answer tells.
            let _ = RemoteRoot::new(engine, source.clone(), above, cancel).folder(Path::new(""));
            ask()
        }
        (reply, _) => Ok(reply),
    }
}

/// How many bytes an entry takes, with all its words.
fn length(found: &Found) -> usize {
    let words = match &found.seen {
        FoundSeen::There {
            kind: Kind::Other(what),
            ..
        } => what.len(),
        _ => 0,
    };
    found.length() + words
}

enum Refused {
    Disk(NoFolder),
    Courier(CourierError),
}

impl RemoteFolder {
    fn add(&mut self, found: Found) {
        let name = OsString::from(found.name);
        // No disk has such names.
        let bytes = name.as_encoded_bytes();
        let odd = [b"".as_slice(), b".", b".."].contains(&bytes) || bytes.contains(&b'/');
        if odd || bytes.len() > LONGEST_NAME {
            return;
        }
        let known = match found.seen {
            FoundSeen::Failed(why) => Err(why),
            FoundSeen::There {
                kind,
                evidence,
                link,
                online_only,
                stand_in,
            } => Ok(Known {
                seen: Seen {
                    entry: entry_of(kind),
                    evidence: evidence.into(),
                    mount: 0,
                },
                link: link
                    .map(OsString::from)
                    .filter(|link| link.len() <= LONGEST_LINK),
                online_only,
                stand_in,
            }),
        };
        if self.entries.insert(name.clone(), known).is_none() {
            self.names.push(name);
        }
    }

    pub(super) fn evidence(&self) -> Evidence {
        self.evidence
    }

    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<Seen>> {
        match self.entries.get(name) {
            Some(Ok(known)) => Ok(Some(known.seen.clone())),
            Some(Err(why)) => Err(io::Error::other(why.clone())),
            None => Ok(None),
        }
    }

    /// In bytes, as the list says.
    pub(super) fn size(&self, name: &OsStr) -> Option<u64> {
        let known = self.entries.get(name)?.as_ref().ok()?;
        Some(known.seen.evidence.size)
    }

    pub(super) fn is_online_only(&self, name: &OsStr) -> bool {
        matches!(self.entries.get(name), Some(Ok(known)) if known.online_only)
    }

    pub(super) fn is_stand_in(&self, name: &OsStr) -> bool {
        matches!(self.entries.get(name), Some(Ok(known)) if known.stand_in)
    }

    pub(super) fn link(&self, name: &OsStr) -> io::Result<OsString> {
        let known = self.entries.get(name).and_then(|known| known.as_ref().ok());
        known
            .and_then(|known| known.link.clone())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    pub(super) fn entries(&self) -> Vec<(OsString, Option<Entry>)> {
        let each = self.names.iter().map(|name| {
            let known = self.entries.get(name).and_then(|known| known.as_ref().ok());
            (name.clone(), known.map(|known| known.seen.entry.clone()))
        });
        each.collect()
    }
}

fn entry_of(kind: Kind) -> Entry {
    match kind {
        Kind::File => Entry::File,
        Kind::Folder => Entry::Folder,
        Kind::Link => Entry::Link,
        Kind::Other(what) => Entry::Other(what.into()),
    }
}

/// What a courier found out about one file.
#[derive(Debug)]
pub(super) enum Facts {
    /// What the disk said before and after it was read, and what it is.
    Read(Evidence, Box<ProbeRecord>),
    /// It changed while it was read.
    Changed,
    /// Its bytes are with a cloud provider only; it was not read.
    OnlineOnly,
    /// There is nothing of that name.
    NotFound,
    /// Its storage failed over it, with the reason: nothing is known of what is in it.
    NotRead(String),
    /// It can't be read, with the reason.
    Failed(String),
}

/// Has the file at the absolute `path` read for its facts. [`CourierError::Ended`] and [`CourierError::TooLong`] may be
/// the file's fault.
pub(super) fn facts(
    engine: &Engine,
    source: &SourceKey,
    path: &Path,
    cancel: &AtomicBool,
) -> Result<Facts, CourierError> {
    // Folders are listed while a file is read: one that answers shows that the source does.
    let alive = Question::Resolve(path.parent().unwrap_or(path).into());
    let mut capsule = Vec::new();
    let mut too_large = false;
    let mut found = None;
    let question = Question::Facts(path.into());
    engine.couriers.ask_long(
        source,
        &question,
        &alive,
        LONGEST_READING,
        cancel,
        |reply, payload| {
            found = Some(match reply {
                Reply::CapsulePart => {
                    too_large |= capsule.len() + payload.len() > wire_facts::MOST_CAPSULE;
                    if !too_large {
                        capsule.extend_from_slice(&payload);
                    }
                    return false;
                }
                Reply::Facts {
                    evidence,
                    facts,
                    has_capsule,
                } => {
                    let evidence = Evidence::from(evidence);
                    let most = Capsule::most_bytes(evidence.size);
                    let fits = !too_large && u64::try_from(capsule.len()).is_ok_and(|n| n <= most);
                    let capsule = (has_capsule && fits).then(|| Capsule {
                        bytes: std::mem::take(&mut capsule),
                    });
                    let record = wire_facts::decode(&facts, capsule)
                        .unwrap_or_else(|| ProbeRecord::Problem(ODD.to_owned()));
                    Facts::Read(evidence, Box::new(record))
                }
                Reply::Changed => Facts::Changed,
                Reply::OnlineOnly => Facts::OnlineOnly,
                Reply::NotFound => Facts::NotFound,
                Reply::NotRead(why) | Reply::Unreachable(why) => Facts::NotRead(why),
                Reply::Failed(why) => Facts::Failed(why),
                _ => Facts::Failed(ODD.to_owned()),
            });
            true
        },
    )?;
    found.ok_or(CourierError::Ended)
}

const ODD: &str = "what was read of it makes no sense";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    fn link(name: &str, to: &str) -> Found {
        Found {
            name: OsString::from(name).into(),
            seen: FoundSeen::There {
                kind: Kind::Link,
                evidence: Evidence::NONE.into(),
                link: Some(OsString::from(to).into()),
                online_only: false,
                stand_in: false,
            },
        }
    }

    /// How many of these answers are heard before it is enough; at most so many.
    fn heard(entries: &[Found], most: usize) -> (usize, Listing) {
        let mut listing = Listing::default();
        let ends = (1..=most).find(|_| {
            listing.hear(Reply::Listed {
                folder: Evidence::NONE.into(),
                entries: entries.to_vec(),
                more: true,
            })
        });
        (ends.unwrap(), listing)
    }

    #[test]
    fn an_answer_that_never_ends_is_not_heard_to_the_end() {
        let same: Vec<Found> = (0..1000).map(|_| link("a", "b")).collect();
        let (answers, listing) = heard(&same, 2000);
        assert_eq!(answers, MOST_ENTRIES / 1000 + 1);
        assert!(matches!(listing.refused, Some(NoFolder::Failed(_))));
        let (answers, _) = heard(&[], 20_000);
        assert_eq!(answers, MOST_ENTRIES / LEAST_PAGE + 1);
        let long = "x".repeat(4 << 20);
        let (answers, listing) = heard(&[link(&long, "b"), link("a", &long)], 200);
        assert!(answers <= 33, "{answers}");
        // Nothing of it was kept.
        let folder = listing.folder.unwrap();
        assert_eq!(folder.names, ["a"]);
        assert!(folder.link(OsStr::new("a")).is_err());
    }

    #[test]
    fn a_folder_that_comes_says_so_once() {
        let mut listing = Listing::default();
        assert!(!listing.hear(Reply::Coming));
        assert!(listing.comes && listing.refused.is_none());
        assert!(listing.hear(Reply::Coming));
        assert!(matches!(listing.refused, Some(NoFolder::Failed(_))));
    }

    #[test]
    fn a_large_folder_is_heard_to_its_end() {
        let mut listing = Listing::default();
        for page in 0..1000 {
            let entries = (0..900).map(|n| link(&format!("{page}-{n}"), "b"));
            let ended = listing.hear(Reply::Listed {
                folder: Evidence::NONE.into(),
                entries: entries.collect(),
                more: page < 999,
            });
            assert_eq!(ended, page == 999);
        }
        assert!(listing.refused.is_none());
        assert_eq!(listing.folder.unwrap().names.len(), 900_000);
    }
}
