//! What is not on trusted storage, through a drive without a kernel: who gets the bytes, a stream, silence, a wait or an
//! error, and when.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(windows)]
#[path = "../../platform/tests/support/winfsp/mod.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod host;
#[path = "../support/mod.rs"]
mod support;

mod arrival;
mod courier;
mod model;
mod noise;
mod programs;
mod streams;
// Its sounds are made by ffmpeg.
#[cfg(target_os = "linux")]
mod table;
mod waiting;
#[cfg(windows)]
mod windows;
mod world;

#[cfg(windows)]
use mediafs_platform as platform;
