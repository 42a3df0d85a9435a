//! What differs between operating systems, behind traits: the mounted drive, processes that ask,
//! volumes and their trust, files beneath a root, local endpoints.
//!
//! This crate knows nothing of media items. Meaning comes from whoever implements [`drive::Drive`].

#[cfg(unix)]
pub mod beneath;
pub mod drive;
#[cfg(unix)]
pub mod endpoint;
pub mod limits;
#[cfg(unix)]
pub mod lock;
#[cfg(unix)]
pub mod mount;
#[cfg(target_os = "linux")]
pub mod passthrough;
pub mod process;
pub mod volume;
#[cfg(unix)]
pub mod writers;
