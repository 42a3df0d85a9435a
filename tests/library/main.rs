//! The library on real folders: scanning, watching, identity, import, projects.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod background;
mod importing;
// Of storage that is not trusted.
#[cfg(target_os = "linux")]
mod one_path;
// Signs of clients as they are on Linux.
#[cfg(target_os = "linux")]
mod online_only;
mod projects;
mod roots;
mod scanning;
mod support;
// What hangs is a file system of Linux (bindfs).
#[cfg(target_os = "linux")]
mod untrusted;
mod watching;
