//! Projects in folders on storage that is not trusted: a courier reads, makes and writes the manifest.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::error::LibraryError;
use super::owner::Library;
use super::remote::LONGEST_CHANGING;
use super::remote::RemoteRoot;
use crate::control::rpc::one_line;
use crate::model::{ProjectId, SourceNo, display_name};
use crate::project::temporary;
use crate::project::{is_id, is_name};
use crate::storage::{LONGEST_PAYLOAD, Question, Reply};

/// A project on a source.
pub(crate) struct ProjectThere {
    /// Its folder, without links.
    pub(crate) folder: PathBuf,
    /// Its id.
    pub(crate) id: ProjectId,
    /// Its name.
    pub(crate) name: String,
    /// The source, and where on it the folder is.
    pub(crate) on: (SourceNo, PathBuf),
}

impl Library {
    /// The project in the folder at the absolute `path`, on storage that is not trusted. Waits for that storage.
    ///
    /// # Errors
    /// When that does not answer, or there is no folder, or its manifest can't be read or made.
    pub(crate) fn project_there(&self, path: &Path) -> Result<ProjectThere, LibraryError> {
        let engine = &*self.engine;
        let folder = self.resolve_folder(path)?;
        let refused = |reason| LibraryError::Untrusted {
            path: folder.clone(),
            reason,
        };
        let on = engine
            .sources
            .of_path(&folder)
            .map_err(|error| refused(one_line(&error)))?;
        let (Some(on), Some(untrusted)) = (on, engine.untrusted_now(&folder)) else {
            return Err(refused("no longer where it was".to_owned()));
        };
        let failed = |source| LibraryError::Folder {
            path: folder.clone(),
            source,
        };
        let name = folder.file_name().unwrap_or_else(|| "Project".as_ref());
        let question = Question::Project {
            folder: folder.as_path().into(),
            name: display_name(name.as_encoded_bytes()),
        };
        let asked = engine.couriers.ask_patiently(
            &untrusted.source,
            &question,
            LONGEST_CHANGING,
            &engine.stopping,
        );
        self.end_couriers();
        match asked {
            Ok((Reply::Project { id, name }, _)) if is_id(&id) && is_name(&name) => {
                Ok(ProjectThere {
                    id: ProjectId(id),
                    name,
                    on: (on.source.row, on.inside),
                    folder,
                })
            }
            Ok((Reply::Failed(why), _)) => Err(failed(io::Error::other(why))),
            Ok(_) => Err(failed(io::ErrorKind::InvalidData.into())),
            Err(error) => Err(failed(io::Error::other(error))),
        }
    }
}

impl Library {
    /// The folder at the absolute `path`, on storage that is not trusted, without links.
    ///
    /// # Errors
    /// When that does not answer, or there is no folder.
    pub(crate) fn project_folder_there(&self, path: &Path) -> Result<PathBuf, LibraryError> {
        let folder = self.resolve_folder(path);
        self.end_couriers();
        folder
    }

    /// Makes the folder at the absolute `path`, on storage that is not trusted, with those above it. No link is followed.
    pub(crate) fn make_folder_there(&self, path: &Path) -> io::Result<()> {
        let Some(untrusted) = self.engine.untrusted_now(path) else {
            return Err(io::Error::other("it is no longer where it was"));
        };
        let root = untrusted.source.root();
        let below = path.strip_prefix(root).map_err(io::Error::other)?;
        let question = Question::MakeFolder {
            root: root.into(),
            below: below.into(),
        };
        let made = self.done_there(path, &question);
        self.end_couriers();
        made
    }

    /// Asks the courier of a folder.
    fn ask_there(&self, folder: &Path, question: &Question) -> io::Result<(Reply, Vec<u8>)> {
        let engine = &*self.engine;
        let Some(untrusted) = engine.untrusted_now(folder) else {
            return Err(io::Error::other("it is no longer where it was"));
        };
        let asked = engine.couriers.ask_patiently(
            &untrusted.source,
            question,
            LONGEST_CHANGING,
            &engine.stopping,
        );
        asked.map_err(io::Error::other)
    }

    fn done_there(&self, folder: &Path, question: &Question) -> io::Result<()> {
        match self.ask_there(folder, question)?.0 {
            Reply::Done => Ok(()),
            other => Err(unlike(other)),
        }
    }

    /// The text of a file on storage that is not trusted, cut to `most` bytes and some more; `None` where there is none.
    pub(crate) fn read_there(&self, file: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
        let read = self.read_parts(file, most);
        self.end_couriers();
        read
    }

    fn read_parts(&self, file: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
        let folder = file.parent().unwrap_or(file);
        let evidence = match self.ask_there(folder, &Question::Look(file.into()))?.0 {
            Reply::Seen(evidence) => evidence,
            Reply::NotFound => return Ok(None),
            other => return Err(unlike(other)),
        };
        let mut text = Vec::new();
        loop {
            let offset = u64::try_from(text.len()).unwrap_or(u64::MAX);
            if offset > most {
                return Ok(Some(text));
            }
            let question = Question::Read {
                file: file.into(),
                evidence,
                offset,
                length: LONGEST_PAYLOAD,
                fetch: true,
            };
            match self.ask_there(folder, &question)? {
                (Reply::Bytes { .. }, part) if part.is_empty() => return Ok(Some(text)),
                (Reply::Bytes { .. }, part) => text.extend_from_slice(&part),
                (other, _) => return Err(unlike(other)),
            }
        }
    }

    /// What is in a folder on storage that is not trusted.
    pub(crate) fn names_there(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let engine = &*self.engine;
        let Some(untrusted) = engine.untrusted_now(folder) else {
            return Err(io::Error::other("it is no longer where it was"));
        };
        let root = RemoteRoot::new(engine, untrusted.source, folder, &engine.stopping);
        let listed = root.folder(Path::new(""));
        self.end_couriers();
        match listed {
            Ok(listed) => Ok(listed.entries().into_iter().map(|(name, _)| name).collect()),
            Err(reason) => Err(io::Error::other(super::engine::no_folder_reason(&reason))),
        }
    }

    /// Writes a file on storage that is not trusted, and gives it its name when it is whole: in the place of another one,
    /// which stays under `previous`, or of none.
    pub(crate) fn put_there(
        &self,
        folder: &Path,
        name: &str,
        text: &[u8],
        replace: bool,
        previous: Option<&str>,
    ) -> io::Result<()> {
        let temporary = OsString::from(temporary(name));
        let mut offset = 0;
        let mut parts = text.chunks(LONGEST_PAYLOAD as usize).peekable();
        let first: &[u8] = &[];
        let parts: Vec<&[u8]> = match parts.peek() {
            None => vec![first],
            Some(_) => parts.collect(),
        };
        let written = parts.into_iter().try_for_each(|part| {
            let question = Question::Write {
                folder: folder.into(),
                name: temporary.clone().into(),
                offset,
                part: part.to_vec(),
            };
            offset += u64::try_from(part.len()).unwrap_or(0);
            self.done_there(folder, &question)
        });
        let named = written.and_then(|()| {
            let question = Question::Name {
                folder: folder.into(),
                from: temporary.clone().into(),
                to: OsString::from(name).into(),
                replace,
                previous: previous.map(|name| OsString::from(name).into()),
            };
            self.done_there(folder, &question)
        });
        if named.is_err() {
            // Where nobody answers, it stays.
            let name = temporary.into();
            let folder_there = folder.into();
            let _ = self.done_there(
                folder,
                &Question::Remove {
                    folder: folder_there,
                    name,
                },
            );
        }
        self.end_couriers();
        named
    }

    /// Gives a file on storage that is not trusted another name, over no other.
    pub(crate) fn rename_there(&self, folder: &Path, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let question = Question::Rename {
            folder: folder.into(),
            from: from.to_owned().into(),
            to: to.to_owned().into(),
        };
        let renamed = self.done_there(folder, &question);
        self.end_couriers();
        renamed
    }
}

/// The error that an answer is which is not what was asked for.
fn unlike(reply: Reply) -> io::Error {
    match reply {
        Reply::NotFound => io::ErrorKind::NotFound.into(),
        Reply::Taken => io::ErrorKind::AlreadyExists.into(),
        Reply::Failed(why) | Reply::Unreachable(why) | Reply::NotRead(why) => io::Error::other(why),
        Reply::OnlineOnly => io::Error::other("its bytes are with the cloud provider only"),
        Reply::Changed => io::Error::other("it changed while it was read; try again"),
        _ => io::ErrorKind::InvalidData.into(),
    }
}
