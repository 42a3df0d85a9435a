//! By permission bits.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::{PrivateError, failed};

pub(super) fn folder(path: &Path) -> Result<(), PrivateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("making the folder"))?;
    let found = std::fs::symlink_metadata(path).map_err(failed("looking at it"))?;
    let found = if found.is_symlink() {
        std::fs::metadata(path).map_err(failed("following the link"))?
    } else {
        found
    };
    let us = rustix::process::geteuid();
    if found.uid() != us.as_raw() && !us.is_root() {
        return Err(PrivateError::Foreign {
            owner: found.uid().to_string(),
        });
    }
    if found.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(failed("keeping others out"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn others_are_kept_out() {
        let home = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = home.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        folder(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        folder(&home.path().join("new")).unwrap();
        assert_eq!(mode(&home.path().join("new")), 0o700);
    }
}
