//! Sidecars, through the real binary: programs write peaks and markers beside sounds, find them in every view, and never
//! write into a sound.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod killed;
mod on_disk;
mod programs;
mod refused;
mod scene;
mod views;
