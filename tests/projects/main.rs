//! Projects: manifests, copies, moves, other machines, strangers, drafts, collecting; and the commands, beside a drive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "../support/mod.rs"]
mod support;

mod collecting;
// Beside a mounted drive.
#[cfg(target_os = "linux")]
mod commands;
mod hostile;
mod kept;
mod machine;
mod merging;
mod model;
mod moving;
mod names;
mod saving;
#[cfg(target_os = "linux")]
mod storm;
