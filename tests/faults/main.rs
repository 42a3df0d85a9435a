//! What requesters see while a source of the library misbehaves: the real daemon, with simulated clouds and rclone as
//! library roots that are scanned while they are well. `scripts/faults` runs the same for longer.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    missing_docs
)]

#[path = "../support/mod.rs"]
mod support;

mod copies;
mod full;
mod holds;
mod interrupting;
mod killed;
mod looking;
mod matrix;
mod one_thread;
mod rclone;
mod requests;
mod scene;
mod storm;
