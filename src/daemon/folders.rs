//! The folders that the daemon was started with: libraries to be registered and projects to be opened.
//!
//! What is on trusted storage is registered before `ready`. Other storage may hang, so it is waited for a second in all;
//! what has not answered by then is registered in the background, whenever it answers, and a warning stands until then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};

use super::{DaemonError, DaemonOptions};
use crate::catalog::{BaseKind, BaseRow};
use crate::control::Service;
use crate::control::rpc::one_line;
use crate::library::Library;
use crate::model::path_text;
use crate::project::{Opening, Wish};
use crate::storage::Outside;

/// How long storage that is not trusted is waited for before `ready`.
const PATIENCE: Duration = Duration::from_secs(1);

/// A name that was mistyped is to be told before anything is mounted. A folder that was there once may come back.
pub(super) fn check(options: &DaemonOptions, library: &Library) -> Result<(), DaemonError> {
    let known = library.catalog().reader()?.bases()?;
    for path in options.libraries.iter().chain(&options.projects) {
        // What may hang is not touched, and told when the folder is registered. Finding out is the dear part.
        if known.iter().any(|base| base.path == *path) || library.untrusted(path).is_some() {
            continue;
        }
        let found = std::fs::metadata(path).and_then(|found| {
            if found.is_dir() {
                Ok(())
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        });
        if let Err(source) = found
            && library.base_at(path)?.is_none()
        {
            let path = path.clone();
            return Err(DaemonError::NoFolder { path, source });
        }
    }
    Ok(())
}

/// What a folder is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Library,
    Project,
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Project => "project",
        }
    }
}

/// Registers libraries and opens projects, so that whoever sees `ready` finds them. One that can't be is no reason to be
/// without the others, or without the drive; says why.
pub(super) fn register(
    options: &DaemonOptions,
    library: &Arc<Library>,
    service: &Arc<Service>,
    outside: &Outside,
) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    let mut warnings = Vec::new();
    let (mut known, mut waiting) = (Vec::new(), Vec::new());
    let libraries = options.libraries.iter().map(|path| (Sort::Library, path));
    let projects = options.projects.iter().map(|path| (Sort::Project, path));
    for (sort, path) in libraries.chain(projects) {
        if let Some(base) = known_on_source(library, sort, path) {
            known.push((sort, base));
        } else if library.untrusted(path).is_some() {
            waiting.push(begin(library, sort, path));
        } else if let Err(why) = register_one(library, sort, path) {
            warnings.push(why);
        }
    }
    if known.iter().any(|(_, base)| is_away(library, base)) {
        outside.sources.wait_for_disks(until);
    }
    // Where another disk hangs at its path, that may be a library, too.
    known.retain(|(sort, base)| {
        let another = |source| outside.sources.is_another(source, &base.path);
        let is_another = is_away(library, base) && base.source.is_some_and(another);
        if is_another {
            waiting.push(begin(library, *sort, &base.path));
        }
        !is_another
    });
    warnings.extend(
        known
            .iter()
            .filter_map(|(sort, base)| away(library, *sort, base)),
    );
    for warning in &warnings {
        service.warn(warning.clone());
    }
    for (sort, path, answer) in waiting {
        match answer.recv_deadline(until) {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => {
                service.warn(why.clone());
                warnings.push(why);
            }
            Err(_) => {
                let warning = format!(
                    "the {} {} was not added yet: its storage does not answer; it is added as soon as that does",
                    sort.word(),
                    path_text(&path)
                );
                let id = service.warn(warning.clone());
                warnings.push(warning);
                finish(service, id, answer);
            }
        }
    }
    warnings
}

/// Nobody needs to be asked what is known.
fn known_on_source(library: &Library, sort: Sort, path: &Path) -> Option<BaseRow> {
    let path = std::path::absolute(path).ok()?;
    let bases = library.catalog().reader().and_then(|reader| reader.bases());
    bases.ok()?.into_iter().find(|base| {
        sort == Sort::Library
            && base.kind == BaseKind::Library
            && base.active
            && base.source.is_some()
            && base.path == path
    })
}

fn is_away(library: &Library, base: &BaseRow) -> bool {
    let state = base
        .source
        .map(|source| library.catalog().source_state(source));
    state.is_some_and(|state| !state.is_online())
}

/// What is told of a known library whose source is not there.
fn away(library: &Library, sort: Sort, base: &BaseRow) -> Option<String> {
    let source = base.source.filter(|_| is_away(library, base))?;
    let row = library.catalog().reader().and_then(|r| r.source(source));
    let name = row.ok().flatten().map(|row| row.name)?;
    Some(format!(
        "the {} {} cannot be reached now; what is known of it is shown: {name} is {}",
        sort.word(),
        path_text(&base.path),
        library.catalog().source_state(source).words()
    ))
}

fn register_one(library: &Library, sort: Sort, path: &Path) -> Result<Option<BaseRow>, String> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        // Asking where a folder leads may wait for its storage again.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let bases = library.catalog().reader().and_then(|reader| reader.bases());
        let known = bases.is_ok_and(|bases| bases.iter().any(|b| b.active && b.path == absolute))
            || (library.untrusted(path).is_none()
                && library
                    .base_at(path)
                    .is_ok_and(|base| base.is_some_and(|base| base.active)));
        let (what, path) = (sort.word(), path_text(path));
        let error = one_line(error);
        if known {
            format!(
                "the {what} {path} cannot be reached now; what is known of it is shown: {error}"
            )
        } else {
            format!("the {what} {path} was not added: {error}")
        }
    };
    match sort {
        Sort::Library => library
            .register_root(path)
            .map(Some)
            .map_err(|error| failed(&error)),
        Sort::Project => {
            let opened = crate::project::open_as(library, path, &Wish::default());
            let opening = opened.map_err(|error| failed(&error))?;
            match worth_telling(library, &opening) {
                Some(warning) => Err(warning),
                None => Ok(None),
            }
        }
    }
}

/// What is to be told of a project that was opened: it is there, but not all is as it should be.
fn worth_telling(library: &Library, opening: &Opening) -> Option<String> {
    let path = path_text(&opening.base.path);
    if let Some(away) = away(library, Sort::Project, &opening.base).filter(|_| opening.away) {
        return Some(away);
    }
    if let Some(why) = &opening.instead_of {
        return Some(format!(
            "media.json of the project {path} could not be used, the one before was: {why}; save the project"
        ));
    }
    let held = opening.held.len();
    (held > 0).then(|| {
        format!(
            "of the project {path} {held} entries are held back; `mediafs project status` lists them"
        )
    })
}

type Answer = Receiver<Result<Option<BaseRow>, String>>;

fn begin(library: &Arc<Library>, sort: Sort, path: &Path) -> (Sort, PathBuf, Answer) {
    let (sender, answer) = unbounded();
    let (library, named) = (Arc::clone(library), path.to_owned());
    let refused = sender.clone();
    let registering = std::thread::Builder::new()
        .name("mediafs-register".to_owned())
        .spawn(move || {
            // Nobody listens when the daemon ends.
            let _ = sender.send(register_one(&library, sort, &named));
        });
    if let Err(error) = registering {
        let (what, path) = (sort.word(), path_text(path));
        let _ = refused.send(Err(format!("the {what} {path} was not added: {error}")));
    }
    (sort, path.to_owned(), answer)
}

/// Takes in what becomes of a folder that was not waited for, and exchanges the warning that was given for it.
fn finish(service: &Arc<Service>, warning: String, answer: Answer) {
    let service = Arc::downgrade(service);
    let waiting = std::thread::Builder::new()
        .name("mediafs-register".to_owned())
        .spawn(move || {
            let Ok(registered) = answer.recv() else {
                return;
            };
            let Some(service) = service.upgrade() else {
                return;
            };
            service.warnings().clear(&warning);
            match registered {
                Ok(Some(base)) => service.scan_base(base.row),
                Ok(None) => {}
                Err(why) => {
                    service.warn(why);
                }
            }
        });
    if let Err(error) = waiting {
        tracing::warn!(%error, "what becomes of a folder is not told");
    }
}
