//! Linux, whose kernel knows nothing of providers.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{CloudError, Freed, Residency};

pub(super) fn residency(path: &Path) -> io::Result<Residency> {
    std::fs::symlink_metadata(path).map(|_| Residency::Here)
}

#[allow(clippy::unnecessary_wraps, reason = "elsewhere the system is asked")]
pub(super) fn residency_of(_file: &File) -> io::Result<Residency> {
    Ok(Residency::Here)
}

pub(super) fn open_as_it_is(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[derive(Debug)]
pub(super) struct Policy;

impl Policy {
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere the system is asked")]
    pub(super) fn never_fetch() -> io::Result<Self> {
        Ok(Self)
    }

    #[allow(clippy::unnecessary_wraps, reason = "elsewhere the system is asked")]
    pub(super) fn may_fetch() -> io::Result<Self> {
        Ok(Self)
    }
}

#[allow(clippy::unnecessary_wraps, reason = "elsewhere the system is asked")]
pub(super) fn never_fetch_in_this_process() -> io::Result<()> {
    Ok(())
}

pub(super) fn fetch(path: &Path, _cancel: &AtomicBool) -> Result<(), CloudError> {
    Err(CloudError::NoProvider {
        path: path.to_owned(),
    })
}

pub(super) fn make_online_only(path: &Path) -> Result<Freed, CloudError> {
    Err(CloudError::NoProvider {
        path: path.to_owned(),
    })
}
