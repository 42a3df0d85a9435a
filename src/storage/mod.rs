//! Storage that is not trusted: it can be slow, hang, or go, so nothing in this process ever touches it.
//!
//! For each source (one root of storage that lives or hangs as one) there is a [`courier::Courier`], a child process that does
//! the looking and reading, and that is left behind when it does not answer. [`Couriers`] starts them when they are
//! needed, and says no at once while a source is suspended. [`courier::serve`] is the child's side.
//!
//! The library looks at its untrusted roots through them, and imports from such storage.

mod asking;
mod clouds;
pub(crate) mod courier;
mod couriers;
mod fetch;
mod giving_back;
mod leaving;
mod marking;
mod matching;
mod message;
mod mount_key;
mod outside;
mod placing;
mod reaching;
mod source_key;
mod sources;
mod stamps;
mod standing;

#[cfg(all(test, unix))]
pub(crate) use asking::tests::courier_that_says;
pub(crate) use courier::CourierError;
pub(crate) use couriers::Couriers;
pub(crate) use fetch::{CourierFetch, PART};
pub(crate) use marking::MarkError;
pub(crate) use matching::is_marked;
pub(crate) use message::{
    Found, FoundSeen, Kind, LONGEST_PAYLOAD, Question, Reply, Verdict, WireEvidence,
};
pub use outside::Outside;
pub(crate) use source_key::SourceKey;
pub(crate) use sources::Sources;
pub(crate) use stamps::Stamp;
pub(crate) use standing::SourceChange;
