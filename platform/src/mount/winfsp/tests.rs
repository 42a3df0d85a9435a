//! Tests of the adapter over a small drive in memory: on every system of what it decides ([`deciding`], [`changing`]), and
//! under Windows, or Wine, of the whole of it, asked by WinFsp's own DLL ([`driven`]).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod changing;
mod deciding;
mod drive;
#[cfg(windows)]
mod driven;
#[cfg(windows)]
#[path = "../../../tests/support/winfsp/mod.rs"]
mod host;
mod mount;

/// What the host is told is under test.
#[cfg(windows)]
use crate as platform;
