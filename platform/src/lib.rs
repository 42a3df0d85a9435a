//! What differs between operating systems, behind traits: the mounted drive, processes that ask,
//! volumes and their trust, files beneath a root, local endpoints, the start at login.
//!
//! This crate knows nothing of media items. Meaning comes from whoever implements [`drive::Drive`].

pub mod activity;
pub mod autostart;
pub mod beneath;
pub mod cloud;
pub mod disk;
pub mod drive;
pub mod endpoint;
pub mod failure;
pub mod files;
pub mod folder;
#[cfg(unix)]
mod helper;
pub mod limits;
pub mod line;
pub mod lock;
pub mod mount;
pub mod names;
#[cfg(windows)]
mod nt;
#[cfg(target_os = "linux")]
pub mod passthrough;
pub mod places;
pub mod private;
pub mod process;
#[cfg(windows)]
mod registry;
#[cfg(windows)]
mod rights;
pub mod this_process;
#[cfg(any(windows, test))]
mod ticks;
pub mod volume;
pub mod wanted;
pub mod watch;
#[cfg(windows)]
mod window;
pub mod writers;
