//! The whole drive as Windows meets it: a daemon of a home, in this process, asked through WinFsp's own DLL by a stand-in for
//! its driver. What of it is only the adapter's is tested beside that, over a drive in memory.

#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../platform/tests/support/winfsp/mod.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod host;
#[path = "../support/mod.rs"]
mod support;

mod dropping;
mod looking;
mod program;
mod recording;
mod refused;
mod scene;
mod sidecars;
mod stopping;

use mediafs_platform as platform;
