//! The library on real folders: scanning, watching, identity, import, projects.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod background;
mod importing;
mod one_path;
mod online_only;
mod projects;
mod roots;
mod scanning;
mod support;
mod untrusted;
mod watching;
