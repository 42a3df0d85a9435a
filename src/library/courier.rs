//! What a courier does: the child's side of looking at storage that is not trusted.
//!
//! Runs in a process of its own (`mediafs courier`), is asked by [`crate::storage`], and answers with plain facts and
//! bytes. It uses the same ways of looking and probing as the rest of the library, so the same rules hold; and a file
//! that breaks the probing breaks this process, not the daemon.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::catalog::{Evidence, ProbeRecord};
use crate::storage::courier::{Work, inherited_socket, serve};
use crate::storage::{Kind, LONGEST_PAYLOAD, Question, Reply, Verdict};

use super::disk::{Entry, NoFolder, RootFolder, evidence_of};
use super::engine::no_folder_reason;
use super::probing::read_facts;

/// Entries of a folder in one answer.
const PAGE: usize = 1000;

/// Answers what comes over the standard input until the other side ends.
///
/// # Errors
/// When this process was not started as a courier.
pub fn run_courier() -> io::Result<()> {
    let socket = inherited_socket()?;
    let _ = rustix::thread::set_name(c"mediafs-courier");
    super::disk::lower_priority();
    serve(socket, Looker::default())
}

/// Looks and reads. The file that was read last is kept open for a while.
#[derive(Default)]
struct Looker {
    last: Mutex<Option<(PathBuf, Evidence, File)>>,
}

impl Work for Looker {
    fn answer(&self, question: Question, tell: &mut dyn FnMut(Reply, &[u8])) {
        match question {
            Question::Resolve(path) => tell(resolve(&PathBuf::from(path)), &[]),
            Question::List(folder) => list(&PathBuf::from(folder), tell),
            Question::Look(file) => tell(
                open(&PathBuf::from(file))
                    .map_or_else(failed, |(_, seen)| Reply::Seen(seen.into())),
                &[],
            ),
            Question::Probe(file) => tell(probe(&PathBuf::from(file)), &[]),
            Question::Read {
                file,
                evidence,
                offset,
                length,
            } => match self.read(&PathBuf::from(file), evidence.into(), offset, length) {
                Ok(Some(bytes)) => tell(Reply::Bytes, &bytes),
                Ok(None) => tell(Reply::Changed, &[]),
                Err(error) => tell(failed(error), &[]),
            },
        }
    }

    fn rest(&self) {
        *self.last.lock() = None;
    }
}

impl Looker {
    fn read(
        &self,
        path: &Path,
        evidence: Evidence,
        offset: u64,
        length: u32,
    ) -> io::Result<Option<Vec<u8>>> {
        let kept = self.last.lock().take();
        let file = match kept {
            Some((at, seen, file)) if at == path && seen == evidence => file,
            _ => {
                let (file, seen) = open(path)?;
                if seen != evidence {
                    return Ok(None);
                }
                file
            }
        };
        let mut bytes = vec![0; length.min(LONGEST_PAYLOAD) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match file.read_at(&mut bytes[filled..], at) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        if evidence_of(&file)? != evidence {
            return Ok(None);
        }
        *self.last.lock() = Some((path.to_owned(), evidence, file));
        Ok(Some(bytes))
    }
}

fn failed(error: io::Error) -> Reply {
    match error.kind() {
        io::ErrorKind::NotFound => Reply::NotFound,
        _ => Reply::Failed(error.to_string()),
    }
}

fn open(path: &Path) -> io::Result<(File, Evidence)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    };
    RootFolder::open(parent)?.file(Path::new(name))
}

fn resolve(path: &Path) -> Reply {
    let found = std::fs::canonicalize(path).and_then(|path| {
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

fn list(path: &Path, tell: &mut dyn FnMut(Reply, &[u8])) {
    let listed = RootFolder::open(path)
        .map_err(NoFolder::Failed)
        .and_then(|root| root.folder_here(Path::new("")))
        .and_then(|folder| {
            let entries = folder.entries().map_err(NoFolder::Failed)?;
            Ok((folder, entries))
        });
    let (folder, entries) = match listed {
        Ok(listed) => listed,
        Err(reason) => return tell(Reply::Failed(no_folder_reason(&reason)), &[]),
    };
    let mut left = entries.len();
    let mut page = Vec::with_capacity(PAGE.min(left));
    for (name, entry) in entries {
        let entry = entry.or_else(|| folder.look(&name).ok().flatten().map(|seen| seen.entry));
        let kind = entry.map(|entry| match entry {
            Entry::Folder => Kind::Folder,
            Entry::File => Kind::File,
            Entry::Link => Kind::Link,
            Entry::Other(what) => Kind::Other(what.to_owned()),
        });
        page.push((name.into(), kind));
        left -= 1;
        if page.len() == PAGE && left > 0 {
            let entries = std::mem::take(&mut page);
            tell(
                Reply::Listed {
                    entries,
                    more: true,
                },
                &[],
            );
        }
    }
    tell(
        Reply::Listed {
            entries: page,
            more: false,
        },
        &[],
    );
}

fn probe(path: &Path) -> Reply {
    let (mut file, evidence) = match open(path) {
        Ok(opened) => opened,
        Err(error) => return failed(error),
    };
    let name = path.file_name().unwrap_or_default();
    let verdict = match read_facts(&mut file, name.as_bytes()) {
        ProbeRecord::Media { .. } => Verdict::Media,
        ProbeRecord::NotMedia => Verdict::NotMedia,
        ProbeRecord::Problem(reason) => Verdict::Problem(reason),
    };
    Reply::Probed {
        evidence: evidence.into(),
        verdict,
    }
}
