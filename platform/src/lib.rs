//! What differs between operating systems, behind traits: the mounted drive, processes that ask,
//! volumes and their trust, files beneath a root, local endpoints.
//!
//! This crate knows nothing of media items. Meaning comes from whoever implements [`drive::Drive`].

pub mod drive;
#[cfg(unix)]
pub mod mount;
pub mod volume;
