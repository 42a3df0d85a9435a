//! From what the user named to a list of files, in a stable order.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::library::disk::{Entry, LocalFolder, LocalRoot, NoFolder};
use crate::library::engine::{Engine, no_folder_reason};
use crate::library::error::LibraryError;
use crate::library::progress::Progress;
use crate::storage::SourceKey;

use super::drive::item_on_drive;
use super::{ImportOptions, Imported, Outcome, remote};

/// One thing to do.
pub(super) enum Task {
    /// A file to import.
    File(Source),
    /// A folder that becomes a library root.
    Root(PathBuf),
    /// Done already.
    Answered(Imported),
}

impl Task {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

/// A file to import.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Absolute, without links.
    pub(super) source: PathBuf,
    /// By copy: the folder it gets into, below the folder of copies.
    pub(super) below: PathBuf,
    /// It was named itself, not found in a folder: nothing about it is passed over in silence.
    pub(super) named: bool,
    /// In bytes, where a courier's list of its folder told it.
    pub(super) size: Option<u64>,
    /// How it is read.
    pub(super) through: Through,
}

/// Who touches a file's storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Through {
    /// This process: it is trusted.
    Here,
    /// The courier of this source: it may hang.
    Courier(SourceKey),
}

/// Makes the list. Nothing on storage that is not trusted is touched but by couriers.
pub(super) fn gather(
    engine: &Engine,
    paths: &[PathBuf],
    options: &ImportOptions,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<Task>, LibraryError> {
    let mut tasks = gather_all(engine, paths, options, progress, cancel)?;
    // Named twice, or within a folder that is named too: once is enough.
    let mut files = HashSet::new();
    tasks.retain(|task| match task {
        Task::File(file) => files.insert(file.source.clone()),
        Task::Root(_) | Task::Answered(_) => true,
    });
    Ok(tasks)
}

fn gather_all(
    engine: &Engine,
    paths: &[PathBuf],
    options: &ImportOptions,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<Task>, LibraryError> {
    let mut tasks = Vec::new();
    for path in paths {
        let absolute = match std::path::absolute(path) {
            Ok(absolute) => absolute,
            Err(error) => {
                tasks.push(Task::Answered(Imported::failed(path, error.to_string())));
                continue;
            }
        };
        if let Some(answer) = on_drive(engine, &absolute, options)? {
            tasks.push(Task::Answered(answer));
            continue;
        }
        if let Some(untrusted) = engine.untrusted_now(&absolute) {
            let source = &untrusted.source;
            remote::gather(
                engine, &absolute, source, options, progress, cancel, &mut tasks,
            );
            continue;
        }
        let real = match real_path(&absolute) {
            Ok(real) => real,
            Err(reason) => {
                tasks.push(Task::Answered(Imported::failed(path, reason)));
                continue;
            }
        };
        if let Some(answer) = on_drive(engine, &real, options)? {
            tasks.push(Task::Answered(answer));
            continue;
        }
        if let Some(untrusted) = engine.untrusted_now(&real) {
            let source = &untrusted.source;
            remote::gather(engine, &real, source, options, progress, cancel, &mut tasks);
            continue;
        }
        match std::fs::metadata(&real) {
            Ok(found) if found.is_dir() => {
                if options.is_for_one() {
                    return Err(LibraryError::OneForFolder { path: path.clone() });
                }
                if options.becomes_root() {
                    tasks.push(Task::Root(real));
                } else {
                    folder(engine, &real, progress, cancel, &mut tasks);
                }
            }
            Ok(found) if found.is_file() => {
                progress.add_seen(1);
                tasks.push(Task::File(Source {
                    source: real,
                    below: PathBuf::new(),
                    named: true,
                    size: None,
                    through: Through::Here,
                }));
            }
            Ok(_) => tasks.push(Task::Answered(Imported::failed(
                path,
                "neither a file nor a folder",
            ))),
            Err(error) => {
                tasks.push(Task::Answered(Imported::failed(path, error.to_string())));
            }
        }
    }
    Ok(tasks)
}

fn on_drive(
    engine: &Engine,
    path: &Path,
    options: &ImportOptions,
) -> Result<Option<Imported>, LibraryError> {
    Ok(item_on_drive(engine, path)?.map(|found| match found {
        Ok(item) => Imported::known(path, &item, options),
        Err(reason) => Imported::failed(path, reason),
    }))
}

fn real_path(path: &Path) -> Result<PathBuf, String> {
    mediafs_platform::files::canonical(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        _ => error.to_string(),
    })
}

/// Everything below a folder, by name.
fn folder(
    engine: &Engine,
    top: &Path,
    progress: &Progress,
    cancel: &AtomicBool,
    tasks: &mut Vec<Task>,
) {
    let root = match engine.root_here(top) {
        Ok(root) => root,
        Err(error) => {
            tasks.push(Task::Answered(Imported::failed(top, error.to_string())));
            return;
        }
    };
    let own_name = PathBuf::from(top.file_name().unwrap_or_default());
    let mut stack = vec![PathBuf::new()];
    while let Some(relative) = stack.pop() {
        if cancel.load(Ordering::Relaxed) {
            return;
        }
        let absolute = crate::library::sweep::below(top, &relative);
        if engine.excluded(&absolute).is_some() {
            continue;
        }
        let listed = open(engine, &root, &relative, &absolute).and_then(|folder| {
            folder
                .entries()
                .map_err(|e| e.to_string())
                .map(|e| (folder, e))
        });
        let (folder, mut entries) = match listed {
            Ok(listed) => listed,
            Err(reason) => {
                tasks.push(Task::Answered(Imported::failed(&absolute, reason)));
                continue;
            }
        };
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        // Last in, first out: folders in reverse, so that they come by name.
        let mut folders = Vec::new();
        for (name, entry) in entries {
            let path = absolute.join(&name);
            match entry.or_else(|| kind(&folder, &name)) {
                Some(Entry::Folder) => folders.push(relative.join(&name)),
                Some(Entry::File) => {
                    progress.add_seen(1);
                    tasks.push(Task::File(Source {
                        source: path,
                        below: crate::library::sweep::below(&own_name, &relative),
                        named: false,
                        size: None,
                        through: Through::Here,
                    }));
                }
                Some(Entry::Link) => tasks.push(skipped(&path, "a symbolic link")),
                Some(Entry::Other(what)) => tasks.push(skipped(&path, &what)),
                None => {}
            }
        }
        stack.extend(folders.into_iter().rev());
    }
}

fn kind(folder: &LocalFolder, name: &OsStr) -> Option<Entry> {
    folder.look(name).ok().flatten().map(|seen| seen.entry)
}

pub(super) fn skipped(path: &Path, what: &str) -> Task {
    Task::Answered(Imported::none(path, Outcome::Skipped(what.to_owned())))
}

fn open(
    engine: &Engine,
    root: &LocalRoot,
    relative: &Path,
    absolute: &Path,
) -> Result<LocalFolder, String> {
    let words = |reason: NoFolder| no_folder_reason(&reason);
    match root.folder_here(relative) {
        Err(NoFolder::OtherFileSystem) => match engine.untrusted_now(absolute) {
            Some(untrusted) => Err(untrusted.reason),
            None => root.folder(relative).map_err(words),
        },
        other => other.map_err(words),
    }
}
