//! Passthrough for a daemon without privileges, by way of the helper `mediafs-passthrough`.
//!
//! The kernel reads and writes files of the drive by itself ("passthrough") once they are registered with the
//! connection, and lets only `CAP_SYS_ADMIN` register. Musicians don't have that. So a program of its own has it,
//! by a file capability, and does this one thing: the daemon starts it with one end of a socket as its standard
//! input, sends the descriptor of `/dev/fuse` once, then one descriptor of a file for each file to register.
//! The helper answers with the number of the registration (the backing id), which `mount/` gives to the kernel.
//!
//! `protocol.rs` is what passes over the socket, `serve.rs` the helper, `client.rs` the daemon's side.
//!
//! # What the helper refuses, and why
//!
//! Whoever holds a registration opens files of the drive as the *drive* says, and the kernel opens the registered file
//! in the same mode without asking it again: a descriptor that is for reading only becomes one for
//! writing (tried on Linux 6.18). It does so with the helper's credentials. Therefore:
//!
//! - The file belongs to the user that runs the helper. The owner may write to it anyway. That root owns it and
//!   everybody may read it is not enough: such files go through the page cache.
//! - It is not immutable or append-only, as not even its owner can change that.
//! - It is a regular file on storage ([`STORAGE`]), not one of `/proc`, a control group or another program's file system,
//!   where a write with privileges means something else.
//! - It is open for reading, not as a mere path.
//! - No more than [`MOST_REGISTRATIONS`] are held at a time, as they don't count as open files of the user.
//!
//! Before it reads a byte the helper gives up every other capability, the right to gain any, being traced or
//! dumped, its folder and all other descriptors. It looks at no environment and no arguments, runs one thread, and
//! ends at anything it does not understand and when the daemon's end of the socket is closed: a helper that outlived
//! the daemon would keep the connection, and with it the mount, half alive.
//!
//! Installed for use by `setcap cap_sys_admin+ep`, owned by root and writable by root alone; [`find`] takes no other.

mod client;
mod protocol;
mod serve;

pub use client::{Helper, Lent, PROGRAM, find, is_fit};
pub use protocol::{Fault, MOST_REGISTRATIONS};
pub use serve::{STORAGE, run};
