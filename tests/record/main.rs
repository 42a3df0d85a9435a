//! Recording, through the real binary: programs write takes in `record/` as they would any file, whatever becomes of the
//! daemon meanwhile, and takes become final whole or not at all.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod cleaning;
mod dropping;
mod elsewhere;
mod finalising;
mod fsx;
mod killed;
mod moving;
mod pjdfstest;
mod recovering;
mod room;
mod rules;
mod scene;
mod stalled;
mod writers;
