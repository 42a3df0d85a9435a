//! What operating systems do differently with the files of a cache. The rest of the crate knows nothing of them.
//!
//! Each system's file has the same functions; what they mean is said here once:
//!
//! - `Beneath` is the open folder of the cache; its `open` opens a regular file below it for reading, never through a
//!   symlink and never waiting for a pipe;
//! - `make_private` and `make_private_folder` let what is about to be made be used by its owner alone;
//! - `make_sparse` lets a file be longer than what was written of it without taking the room;
//! - `make_read_only` takes the right to write a file from everybody, and `remove_file` removes it all the same;
//! - `NAMES_OUTLIVE_REMOVAL`: the name of a file that is removed while it is open is not free until it is closed;
//! - `reflink` makes an empty file share all bytes of another one, where the file system can;
//! - `sync_folder` makes names in a folder survive a power cut;
//! - `read_at` and `write_at` read and write at a place without moving a cursor that others share;
//! - `space` is the room on the disk of a folder;
//! - `is_link_in_the_way` and `is_medium_failing` tell what an error says.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;
