//! What goes wrong below, in the protocol's words.

use mediafs_cache::CacheError;

use crate::catalog::CatalogError;
use crate::control::rpc::{Revisions, one_line};
use crate::control::{Reason, RpcError};
use crate::library::{LibraryError, RelinkError};
use crate::project::ProjectError;
use crate::tree::class::RegisterError;

impl From<CatalogError> for RpcError {
    fn from(error: CatalogError) -> Self {
        let reason = match &error {
            CatalogError::IdTaken { .. } => Reason::Taken,
            CatalogError::Unknown { .. } => Reason::NotFound,
            CatalogError::Unfinished { .. } => Reason::Refused,
            CatalogError::NotMedia { .. }
            | CatalogError::InvalidName { .. }
            | CatalogError::InvalidLabel { .. } => Reason::InvalidParameter,
            _ => Reason::Storage,
        };
        Self::new(reason, one_line(&error))
    }
}

impl From<LibraryError> for RpcError {
    fn from(error: LibraryError) -> Self {
        let reason = match error {
            LibraryError::Catalog(error) => return error.into(),
            LibraryError::NotAFolder { .. }
            | LibraryError::OneForMany { .. }
            | LibraryError::OneForFolder { .. } => Reason::InvalidParameter,
            LibraryError::Nested { .. }
            | LibraryError::Excluded { .. }
            | LibraryError::Untrusted { .. } => Reason::Refused,
            LibraryError::NoProject { .. } => Reason::NotFound,
            LibraryError::Folder { ref source, .. }
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Reason::NotFound
            }
            _ => Reason::Storage,
        };
        Self::new(reason, one_line(&error))
    }
}

impl From<ProjectError> for RpcError {
    fn from(error: ProjectError) -> Self {
        let reason = match error {
            ProjectError::Library(error) => return error.into(),
            ProjectError::Catalog(error) => return error.into(),
            ProjectError::Folder { ref source, .. }
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Reason::NotFound
            }
            ProjectError::Manifest(_)
            | ProjectError::Exists { .. }
            | ProjectError::Revision { .. }
            | ProjectError::Away { .. }
            | ProjectError::Target { .. } => Reason::Refused,
            ProjectError::NoProject { .. } => Reason::NotFound,
            ProjectError::Unfit(_) => Reason::InvalidParameter,
            ProjectError::Cancelled => Reason::Cancelled,
            _ => Reason::Storage,
        };
        let told = Self::new(reason, one_line(&error));
        match error {
            ProjectError::NoProject { .. } => told
                .remedy("project.new makes one of it")
                .command("`mediafs project new` makes one of it"),
            ProjectError::Revision {
                wanted,
                found,
                previous,
                ..
            } => {
                let is_previous = previous.as_ref() == Some(&wanted);
                let told = told.revisions(Revisions {
                    wanted,
                    present: found,
                    previous,
                });
                if is_previous {
                    told.remedy("`previous: true` opens it")
                        .command("`--previous` opens it")
                } else {
                    told
                }
            }
            _ => told,
        }
    }
}

impl From<RelinkError> for RpcError {
    fn from(error: RelinkError) -> Self {
        let reason = match error {
            RelinkError::Catalog(error) => return error.into(),
            RelinkError::OtherSound { .. } => Reason::Refused,
            _ => Reason::InvalidParameter,
        };
        let told = Self::new(reason, one_line(&error));
        match reason {
            Reason::Refused => told
                .remedy("media.replace does that")
                .command("`mediafs replace` does that"),
            _ => told,
        }
    }
}

impl From<CacheError> for RpcError {
    fn from(error: CacheError) -> Self {
        Self::new(Reason::Storage, one_line(&error))
    }
}

impl From<RegisterError> for RpcError {
    fn from(error: RegisterError) -> Self {
        Self::new(Reason::NotFound, one_line(&error))
    }
}
