//! The user's sounds on disk: probing what they are, scanning and watching folders, identity, import.
//!
//! [`Library`] owns it all. It looks at the disk (`disk`), compares with the catalog (`sweep`, `compare`, `vanish`), tells moves
//! from news (`identity`) and reads files for their facts (`probe`, `probing`): for whole bases at the start and on request
//! (`scan`), and for what the system says has changed (`watch`, `dirty`, `watching`). Files come in by `import`. When
//! nothing else is to be done (`background`, `pace`), files are hashed (`hash`), and lost capsules made anew (`capsules`). Everything goes into the catalog, whose listeners tell the tree and the control protocol.

#[cfg(target_os = "linux")]
mod apart;
mod arrived;
#[cfg(target_os = "linux")]
mod background;
#[cfg(target_os = "linux")]
mod capsules;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod courier;
#[cfg(target_os = "linux")]
mod dirty;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
pub(crate) mod drop_box;
#[cfg(target_os = "linux")]
mod engine;
mod error;
#[cfg(target_os = "linux")]
mod file_system;
#[cfg(target_os = "linux")]
mod folder;
#[cfg(target_os = "linux")]
mod hash;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod import;
#[cfg(target_os = "linux")]
mod moved_disk;
#[cfg(target_os = "linux")]
mod owner;
#[cfg(target_os = "linux")]
mod pace;
pub mod probe;
#[cfg(target_os = "linux")]
mod probing;
mod problems;
mod progress;
#[cfg(target_os = "linux")]
mod project_there;
#[cfg(target_os = "linux")]
mod rearranged;
#[cfg(target_os = "linux")]
mod reconcile;
#[cfg(target_os = "linux")]
mod remote;
#[cfg(target_os = "linux")]
mod renames;
#[cfg(target_os = "linux")]
mod residency;
#[cfg(target_os = "linux")]
mod roots;
#[cfg(target_os = "linux")]
mod scan;
#[cfg(target_os = "linux")]
pub(crate) mod sidecars;
mod suggest;
#[cfg(target_os = "linux")]
mod sweep;
#[cfg(target_os = "linux")]
/// Which names of a folder are free.
mod taken;
mod trust;
#[cfg(target_os = "linux")]
mod vanish;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(target_os = "linux")]
mod watching;
#[cfg(target_os = "linux")]
mod wire_facts;

pub use crate::storage::Outside;
#[cfg(target_os = "linux")]
pub use arrived::take_in;
#[cfg(target_os = "linux")]
pub use courier::run_courier;
pub(crate) use engine::TEMPORARY;
pub use error::LibraryError;
#[cfg(target_os = "linux")]
pub use import::{
    Compared, Found, ImportMode, ImportOptions, Imported, Outcome, Rank, RelinkError, SearchReport,
    TakeError,
};
#[cfg(target_os = "linux")]
pub(crate) use import::{Dropped, carry_sources, is_of_this_machine};
#[cfg(target_os = "linux")]
pub use owner::{Library, LibraryConfig, Which};
pub use progress::{Phase, Progress, ProgressSnapshot};
#[cfg(target_os = "linux")]
pub use reconcile::Reconciled;
pub use residency::Residency;
pub use suggest::{ByFacts, Suggest, Suggestion};
pub(crate) use taken::Taken;
