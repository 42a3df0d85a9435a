#![doc = include_str!("../SEMANTICS.md")]
#![cfg_attr(not(windows), forbid(unsafe_code))]
// There `os/windows.rs` alone has some.
#![cfg_attr(windows, deny(unsafe_code))]

mod database;
mod disk;
mod error;
mod evict;
mod filling;
mod handles;
mod holds;
mod id;
mod index;
mod ledger;
mod os;
mod partial;
mod partial_map;
mod pins;
mod put;
mod ranges;
mod reconcile;
mod registry;
mod space;
mod store;
mod verify;

pub use error::CacheError;
pub use evict::Eviction;
pub use handles::OpenObject;
pub use id::{ObjectId, ParseObjectIdError};
pub use index::ObjectInfo;
pub use partial::{Arrival, Partial, PartialSpec, Subscription};
pub use pins::PinOwner;
pub use put::Staged;
pub use ranges::RangeSet;
pub use reconcile::Reconciled;
pub use space::{FreeSpace, Space, SystemSpace};
pub use store::{OnEvicted, Opening, Store, StoreOptions, Usage};
pub use verify::{Damaged, Verified, VerifyReport};
