//! Projects in folders on storage that is not trusted: a courier reads or makes the manifest.

use std::io;
use std::path::{Path, PathBuf};

use super::error::LibraryError;
use super::owner::Library;
use crate::control::rpc::one_line;
use crate::model::{ProjectId, SourceNo, display_name};
use crate::project::{is_id, is_name};
use crate::storage::{Question, Reply};

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
        let asked = engine
            .couriers
            .ask(&untrusted.source, &question, &engine.stopping);
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
