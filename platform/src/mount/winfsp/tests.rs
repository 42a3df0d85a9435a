//! Tests of the adapter over a small drive in memory: on every system of what it decides ([`deciding`]), and under Windows,
//! or Wine, of the whole of it, driven by WinFsp's own DLL ([`driven`]).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod deciding;
mod drive;
#[cfg(windows)]
mod driven;
#[cfg(windows)]
mod host;
