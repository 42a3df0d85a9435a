//! Projects: manifests, copies, moves, other machines, strangers, drafts, collecting; and the commands, beside a drive.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod collecting;
mod commands;
mod hostile;
mod kept;
mod machine;
mod merging;
mod model;
mod moving;
mod names;
mod saving;
mod storm;
