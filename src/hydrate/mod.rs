//! Hydration: bringing the bytes of media items from sources that may be slow, hang or be away into the cache.
//!
//! [`Hydrator`] is told what is [`Wanted`] by whoever streams it ([`Hydrator::stream`]) or asks for it
//! ([`Hydrator::ask`]). There is one task for each `Wanted`, however many want it, and one partial object of the cache.
//! A [`Fetch`] reads from the source, ranges that somebody waits for first; when all has arrived and the hash is right,
//! it is an object. A [`Told`] hears of everything.
//!
//! It knows nothing of the mount, the control protocol or the catalog's tables. Inside: `state` holds all tasks and
//! sources under one lock, under which nobody waits; `choose` says which range is read next; `reading` has the threads
//! of each source and judges what they bring; `passing` holds what is streamed where the cache has no room; `desk` has the threads that open and complete partial objects on the
//! cache's disk; `telling` tells.
//!
//! So a source that hangs uses up its own threads and no others, and no thread that waits for a source ever holds a
//! lock, a partial object or a reservation.

mod brake;
mod choose;
mod desk;
mod engine;
mod error;
mod fetch;
mod limits;
mod link;
mod meter;
mod passing;
mod reading;
mod sources;
mod state;
mod stream;
mod task;
mod telling;
#[cfg(test)]
mod tests;
mod wanted;

pub use brake::{Brake, BrakeLimits, NotNow, Process};
pub use engine::{Hydrator, OpenStore};
pub use error::HydrateError;
pub use fetch::{Fetch, FetchError, Told};
pub use limits::{Clock, Limits, ManualClock, SystemClock};
pub use stream::{Stream, Waiting};
pub use task::{Arrival, IfFull, Priority, TaskId, TaskPhase, TaskState, WhenLeft, Who, Why};
pub use wanted::{Seen, Wanted};
