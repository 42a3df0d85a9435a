//! Projects by their folders.

use std::path::Path;

use super::Service;
use crate::catalog::{BaseKind, BaseRow, Durability};
use crate::control::{Reason, RpcError};
use crate::model::{ProjectId, display_name};

impl Service {
    /// Opens the project in this folder: its sounds are in `projects/` and `by-id/` from now on.
    ///
    /// # Errors
    /// [`RpcError`] if the folder can't be a project's.
    pub fn open_project(&self, path: &Path) -> Result<BaseRow, RpcError> {
        let project = self.project(path)?;
        self.catalog
            .write(Durability::Full, |writer| -> Result<(), RpcError> {
                Ok(writer.set_active(project.row, true, project.focused)?)
            })?;
        self.library()?
            .scan(&crate::library::Which::One(project.row));
        Ok(project)
    }

    /// The project in this folder; made known if it was not.
    pub(super) fn project(&self, path: &Path) -> Result<BaseRow, RpcError> {
        let refused = |why: String| {
            RpcError::new(
                Reason::Refused,
                format!("{} cannot be a project: {why}", path.display()),
            )
        };
        if let Some(mount) = self.mount_point()
            && path.starts_with(&mount)
        {
            return Err(refused("it is on the drive itself".to_owned()));
        }
        self.check_trust(path)?;
        let path = std::fs::canonicalize(path).map_err(|error| refused(error.to_string()))?;
        self.check_trust(&path)?;
        if !path.is_dir() {
            return Err(refused("it is not a folder".to_owned()));
        }
        let known = self
            .catalog
            .reader()?
            .bases()?
            .into_iter()
            .find(|base| base.kind == BaseKind::Project && base.path == path);
        if let Some(known) = known {
            return Ok(known);
        }
        let name = path.file_name().unwrap_or_else(|| "Project".as_ref());
        let name = display_name(name.as_encoded_bytes());
        self.catalog.write(Durability::Full, |writer| {
            Ok(writer.add_project(&ProjectId::new(), &name, &path)?)
        })
    }

    fn check_trust(&self, path: &Path) -> Result<(), RpcError> {
        match crate::home::untrusted(path, &self.trusted) {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(RpcError::new(
                Reason::Refused,
                format!(
                    "{} is on storage that is not trusted ({reason})",
                    path.display()
                ),
            )
            .remedy("put it on an internal disk")),
            Err(error) => Err(RpcError::new(
                Reason::Storage,
                format!(
                    "it is not known on what storage {} is: {error}",
                    path.display()
                ),
            )),
        }
    }
}
