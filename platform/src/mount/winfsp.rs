//! The drive by WinFsp, which gives Windows what FUSE gives other systems.
//!
//! Requests flow `context.rs` (the only file that knows the library, and no more than that) → [`adapter`] → [`Drive`];
//! what has changed flows back through [`changes`], which a timer of the library empties. All that is decided here is decided
//! without a type of Windows, and tested on every system; `context.rs`, [`library`] and [`mounted`] are Windows' own.
//!
//! What Windows does otherwise than Linux, and what is done about it:
//!
//! - It asks by path and keeps no names, so each path is walked anew ([`walk`]), and nothing has to be told to be forgotten
//!   but attributes, within a second.
//! - It has one file, and so one set of mapped pages, for all programs that open a path, whoever they are. Plain reads are
//!   each answered for who opened the file. Pages that a player has mapped as silence are seen by others that map the same
//!   path until the last of them closes it; then they are dropped (`flush_and_purge_on_cleanup`).
//! - While a read waits for bytes, WinFsp completes no other open of the same path: the read has the lock of the file, shared,
//!   from its request to its response, and an open that the drive has answered already is tried again until it gets that lock
//!   for itself alone. Reads and writes are answered later here (`STATUS_PENDING`), which keeps no thread and no other request,
//!   but does not give the lock back; only a response does. A file is known there by its path in any case, so that no other
//!   path can be answered for some programs either. So what holds a read up holds up whoever opens the same sound by the same
//!   path, for as long as the drive waits: a copier under `by-id/` a player, up to the copiers' deadline. Other sounds, and the
//!   same one through `.as/`, are not concerned. An open itself is waited for a moment only ([`opens`]), as nothing can be made
//!   or renamed then.
//! - Telling WinFsp that something has changed takes the lock of that file for itself alone, and meanwhile nothing is renamed;
//!   who wants to rename something has all opens of the drive wait behind it. So of a path that is being read or written nothing
//!   is told before that is answered ([`Opens::busy`](opens::Opens::busy)). What begins to be read in the moment between that
//!   look and WinFsp's is not known here, and can still hold such a rename up.
//! - A request that has reached the drive cannot be taken back, so a program that is ended stays until its read is answered.
//! - It knows which process opens or renames, not which one reads: who opened a file is who reads it.
//! - A folder as mount point is seen by all programs of this machine, elevated ones among them. A drive letter is seen by
//!   those that run as the daemon does; the others find it under its network name, `\\mediafs\…`, which is of this user and
//!   letter ([`point`]).
//!
//! [`Drive`]: crate::drive::Drive

#![cfg_attr(
    not(windows),
    allow(
        dead_code,
        reason = "compiled elsewhere for its tests, which need not all of it"
    )
)]

mod adapter;
mod changes;
mod changing;
#[cfg(windows)]
mod context;
#[cfg(windows)]
mod descriptor;
mod info;
mod known;
#[cfg(windows)]
mod library;
#[cfg(windows)]
mod mounted;
mod names;
mod opens;
mod point;
mod status;
#[cfg(test)]
mod tests;
mod versions;
mod walk;

#[cfg(windows)]
pub use mounted::{Mounted, check, clear, mount};
