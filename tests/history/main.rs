//! History, relink, usages and analysis: through the protocol's methods, on real files, and on a real mount where the
//! drive is asked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod analysing;
mod desk;
// On a real mount.
#[cfg(target_os = "linux")]
mod drive;
mod forgetting;
mod model;
mod projects;
mod relinking;
mod reverting;
mod using;
