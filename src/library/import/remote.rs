//! Files on storage that is not trusted: found and read by a courier, so that an import never hangs with it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{Evidence, ProbeRecord};
use crate::library::disk::{Entry, NoFolder};
use crate::library::engine::{Engine, no_folder_reason};
use crate::library::progress::Progress;
use crate::library::remote::{self, Facts, LONGEST_READING, RemoteRoot, facts};
use crate::library::sweep::below;
use crate::storage::{CourierError, Kind, PART, Question, Reply, SourceKey, Verdict};

use super::gather::{Source, Task, Through, skipped};
use super::{ImportOptions, Imported, Outcome};

const ONLINE_ONLY: &str =
    "its bytes are with the cloud provider only; make it available offline first";

/// What a courier's trouble means for whoever named `path`.
fn trouble(path: &Path, error: &CourierError) -> String {
    match error {
        CourierError::Silent | CourierError::Suspended(_) => format!(
            "{error}: {}; try again when it does",
            path.parent().unwrap_or(path).display()
        ),
        other => other.to_string(),
    }
}

/// Where a path leads, and what is there.
pub(super) struct Resolved {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Who reads it: a link may have led to another source.
    pub(super) source: SourceKey,
}

/// Has a path on storage that is not trusted followed. `Err(None)` when it was cancelled, else with the reason.
pub(super) fn resolve(
    engine: &Engine,
    named: &Path,
    source: &SourceKey,
    cancel: &AtomicBool,
) -> Result<Resolved, Option<String>> {
    match remote::resolve(engine, source, named, cancel) {
        Ok(Reply::Resolved { path, kind }) => {
            let path = PathBuf::from(path);
            let source = engine.source(&path).unwrap_or_else(|| source.clone());
            Ok(Resolved { path, kind, source })
        }
        Ok(Reply::NotFound) => Err(Some("there is no such file or folder".to_owned())),
        Ok(Reply::OnlineOnly) => Err(Some(remote::NOT_COMING.to_owned())),
        Ok(Reply::Failed(why)) => Err(Some(why)),
        Ok(_) => Err(Some(CourierError::Ended.to_string())),
        Err(CourierError::Cancelled) => Err(None),
        Err(error) => Err(Some(trouble(named, &error))),
    }
}

/// Adds what a path on storage that is not trusted leads to.
pub(super) fn gather(
    engine: &Engine,
    named: &Path,
    source: &SourceKey,
    options: &ImportOptions,
    progress: &Progress,
    cancel: &AtomicBool,
    tasks: &mut Vec<Task>,
) {
    let mut fail = |why: String| tasks.push(Task::Answered(Imported::failed(named, why)));
    let resolved = match resolve(engine, named, source, cancel) {
        Ok(resolved) => resolved,
        Err(Some(why)) => return fail(why),
        Err(None) => return,
    };
    let Resolved {
        path: real,
        kind,
        source,
    } = resolved;
    match kind {
        Kind::Folder if options.is_for_one() => fail(
            "an id or a name is for one file, but this is a folder; import the file itself"
                .to_owned(),
        ),
        Kind::Folder if !options.becomes_root() => {
            folder(engine, &source, &real, progress, cancel, tasks);
        }
        Kind::Folder => tasks.push(Task::Root(real)),
        Kind::File => {
            progress.add_seen(1);
            tasks.push(Task::File(Source {
                source: real,
                below: PathBuf::new(),
                named: true,
                size: None,
                through: Through::Courier(source),
            }));
        }
        Kind::Link | Kind::Other(_) => fail("neither a file nor a folder".to_owned()),
    }
}

/// Everything below a folder, by name.
fn folder(
    engine: &Engine,
    source: &SourceKey,
    top: &Path,
    progress: &Progress,
    cancel: &AtomicBool,
    tasks: &mut Vec<Task>,
) {
    let own_name = PathBuf::from(top.file_name().unwrap_or_default());
    let mut stack = vec![PathBuf::new()];
    while let Some(relative) = stack.pop() {
        let absolute = below(top, &relative);
        if cancel.load(Ordering::Relaxed) {
            return;
        }
        if engine.excluded(&absolute).is_some() {
            continue;
        }
        let root = RemoteRoot::new(engine, source.clone(), top, cancel);
        let listed = match root.folder(&relative) {
            Ok(listed) => listed,
            Err(_) if cancel.load(Ordering::Relaxed) => return,
            Err(reason) => {
                let why = if root.is_lost() {
                    format!(
                        "{}: {}; try again when it does",
                        no_folder_words(&reason),
                        absolute.display()
                    )
                } else {
                    no_folder_reason(&reason)
                };
                tasks.push(Task::Answered(Imported::failed(&absolute, why)));
                continue;
            }
        };
        let mut entries = listed.entries();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        let mut folders = Vec::new();
        for (name, kind) in entries {
            let path = absolute.join(&name);
            match kind {
                Some(Entry::Folder) => folders.push(relative.join(&name)),
                Some(Entry::File) if listed.is_online_only(&name) => {
                    tasks.push(skipped(&path, ONLINE_ONLY));
                }
                Some(Entry::File) => {
                    progress.add_seen(1);
                    tasks.push(Task::File(Source {
                        source: path,
                        below: below(&own_name, &relative),
                        named: false,
                        size: listed.size(&name),
                        through: Through::Courier(source.clone()),
                    }));
                }
                Some(Entry::Link) => tasks.push(skipped(&path, "a symbolic link")),
                Some(Entry::Other(what)) => tasks.push(skipped(&path, &what)),
                None => {}
            }
        }
        // Last in, first out: folders in reverse, so that they come by name.
        stack.extend(folders.into_iter().rev());
    }
}

fn no_folder_words(reason: &NoFolder) -> String {
    match reason {
        NoFolder::Failed(error) => error.to_string(),
        other => no_folder_reason(other),
    }
}

/// What a file that stays where it is says of itself, as its courier has read it.
pub(super) fn read_reference(
    engine: &Engine,
    path: &Path,
    source: &SourceKey,
    cancel: &AtomicBool,
) -> Result<(Evidence, ProbeRecord), Outcome> {
    let failed = |why: String| Outcome::Failed(format!("it cannot be read: {why}"));
    match facts(engine, source, path, cancel) {
        Ok(Facts::Read(evidence, record)) => Ok((evidence, *record)),
        Ok(Facts::Changed) => Err(failed("it changed meanwhile".to_owned())),
        Ok(Facts::OnlineOnly) => Err(failed(ONLINE_ONLY.to_owned())),
        Ok(Facts::NotFound) => Err(failed("it is not there any more".to_owned())),
        Ok(Facts::NotRead(why) | Facts::Failed(why)) => Err(failed(why)),
        Err(error) => Err(failed(trouble(path, &error))),
    }
}

/// A file that a courier reads, from its start to its end.
pub(super) struct RemoteFile<'e> {
    engine: &'e Engine,
    source: &'e SourceKey,
    path: &'e Path,
    evidence: Evidence,
    cancel: &'e AtomicBool,
    offset: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl<'e> RemoteFile<'e> {
    /// Looks what a file is; the file is to be read if it is a sound.
    pub(super) fn open(
        engine: &'e Engine,
        file: &'e Source,
        source: &'e SourceKey,
        cancel: &'e AtomicBool,
    ) -> Result<Self, Outcome> {
        let path = file.source.as_path();
        let failed = |why: String| Outcome::Failed(format!("it cannot be read: {why}"));
        // Of some containers all is read for that.
        let question = Question::Probe(path.into());
        let asked = engine
            .couriers
            .ask_patiently(source, &question, LONGEST_READING, cancel);
        let (evidence, verdict) = match asked {
            Ok((Reply::Probed { evidence, verdict }, _)) => (evidence.into(), verdict),
            Ok((Reply::NotFound, _)) => return Err(failed("it is not there any more".to_owned())),
            Ok((Reply::Failed(why), _)) => return Err(failed(why)),
            Ok((Reply::OnlineOnly, _)) => return Err(failed(ONLINE_ONLY.to_owned())),
            Ok(_) => return Err(failed(CourierError::Ended.to_string())),
            Err(error) => return Err(failed(trouble(path, &error))),
        };
        match verdict {
            Verdict::Media => Ok(Self {
                engine,
                source,
                path,
                evidence,
                cancel,
                offset: 0,
                buffer: Vec::new(),
                used: 0,
            }),
            Verdict::Problem(reason) => Err(Outcome::Failed(reason)),
            Verdict::NotMedia if file.named => Err(Outcome::Failed("not a media file".to_owned())),
            Verdict::NotMedia => Err(Outcome::Skipped("not a media file".to_owned())),
        }
    }

    /// What the disk said of it when it was looked at.
    pub(super) fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// The disk says the same now.
    pub(super) fn is_unchanged(&self) -> bool {
        let question = Question::Look(self.path.into());
        let seen = self
            .engine
            .couriers
            .ask(self.source, &question, self.cancel);
        matches!(seen, Ok((Reply::Seen(now), _)) if Evidence::from(now) == self.evidence)
    }
}

impl Read for RemoteFile<'_> {
    /// Ends early where the file has become another one.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            let question = Question::Read {
                file: self.path.into(),
                evidence: self.evidence.into(),
                offset: self.offset,
                length: PART,
                fetch: false,
            };
            let asked = self.engine.couriers.ask_patiently(
                self.source,
                &question,
                LONGEST_READING,
                self.cancel,
            );
            self.buffer = match asked {
                Ok((Reply::Bytes { .. }, bytes)) => bytes,
                Ok((Reply::Changed | Reply::NotFound, _)) => Vec::new(),
                Ok((Reply::Failed(why), _)) => return Err(io::Error::other(why)),
                Ok(_) => return Err(io::Error::other(CourierError::Ended.to_string())),
                // Not as an interruption, after which whoever reads on and on would ask again.
                Err(error @ CourierError::Cancelled) => return Err(io::Error::other(error)),
                Err(error) => return Err(io::Error::other(trouble(self.path, &error))),
            };
            self.used = 0;
            let length = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
            self.offset = self.offset.saturating_add(length);
        }
        let rest = &self.buffer[self.used..];
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        self.used += length;
        Ok(length)
    }
}

// Only Unix has programs for what is in a courier's place here.
#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::catalog::Catalog;
    use crate::library::LibraryConfig;
    use crate::storage::courier_that_says;

    /// An engine whose couriers are this program.
    fn engine(home: &Path, courier: PathBuf) -> Engine {
        let config = LibraryConfig {
            courier_program: Some(courier),
            ..LibraryConfig::default()
        };
        Engine::new(Catalog::open(home).unwrap(), home.to_owned(), config)
    }

    #[test]
    fn what_is_called_off_is_read_no_further() {
        let (tell, told) = std::sync::mpsc::channel();
        // Where it is asked again and again, this ends with the test.
        std::thread::spawn(move || {
            let home = tempfile::tempdir().unwrap();
            // It reads all that it is asked, and says nothing.
            let engine = engine(home.path(), PathBuf::from("/bin/grep"));
            let mut file = RemoteFile {
                engine: &engine,
                source: &SourceKey::at(PathBuf::from("/mnt/a")),
                path: Path::new("/mnt/a/kick.wav"),
                evidence: Evidence::NONE,
                cancel: &AtomicBool::new(true),
                offset: 0,
                buffer: Vec::new(),
                used: 0,
            };
            let read = file.read_to_end(&mut Vec::new());
            tell.send(read.unwrap_err().to_string()).unwrap();
        });
        let why = told.recv_timeout(Duration::from_secs(10));
        assert_eq!(why.unwrap(), CourierError::Cancelled.to_string());
    }

    #[test]
    fn a_slow_source_that_answers_is_looked_into_and_read() {
        let home = tempfile::tempdir().unwrap();
        let alive = || Reply::Resolved {
            path: Path::new("/mnt/a").into(),
            kind: Kind::Folder,
        };
        let probed = Reply::Probed {
            evidence: Evidence::NONE.into(),
            verdict: Verdict::Media,
        };
        // Each of the two takes longer than a short question may, and the root is asked after meanwhile.
        let program = courier_that_says(
            home.path(),
            &[
                (6.0, 1, alive()),
                (6.0, 2, alive()),
                (1.5, 0, probed),
                (6.0, 4, alive()),
                (6.0, 5, alive()),
                (1.5, 3, Reply::Bytes { fetched: false }),
            ],
        );
        let engine = engine(home.path(), program);
        let (source, cancel) = (
            SourceKey::at(PathBuf::from("/mnt/a")),
            AtomicBool::new(false),
        );
        let file = Source {
            source: PathBuf::from("/mnt/a/kick.mp3"),
            below: PathBuf::new(),
            named: true,
            size: None,
            through: Through::Courier(source.clone()),
        };
        let Ok(mut file) = RemoteFile::open(&engine, &file, &source, &cancel) else {
            panic!("it was not looked into");
        };
        assert_eq!(file.read(&mut [0; 10]).unwrap(), 0);
        assert!(!engine.couriers.is_suspended(&source));
    }
}
