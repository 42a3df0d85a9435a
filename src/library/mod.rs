//! The user's sounds on disk: probing what they are, scanning and watching folders, identity, import.
//!
//! [`Library`] owns it all. It looks at the disk (`disk`), compares with the catalog (`sweep`, `compare`, `vanish`), tells moves
//! from news (`identity`) and reads files for their facts (`probe`, `probing`): for whole bases at the start and on request
//! (`scan`), and for what the system says has changed (`watch`, `dirty`, `watching`). Files come in by `import`. When
//! nothing else is to be done (`background`, `pace`), files are hashed (`hash`), and lost capsules made anew (`capsules`). Everything goes into the catalog, whose listeners tell the tree and the control protocol.

mod apart;
mod arrived;
mod background;
mod capsules;
mod compare;
mod courier;
mod dirty;
mod disk;
pub(crate) mod drop_box;
mod engine;
mod error;
mod file_system;
mod folder;
mod giving_back;
mod hash;
mod identity;
mod import;
mod marks;
mod moved_disk;
mod owner;
mod pace;
pub mod probe;
mod probing;
mod problems;
mod progress;
mod project_there;
mod rearranged;
mod reconcile;
mod recorded;
mod remote;
mod renames;
mod residency;
mod roots;
mod scan;
mod scans;
pub(crate) mod sidecars;
mod suggest;
mod sweep;
mod taken;
mod trust;
mod vanish;
mod watch;
mod watching;
mod wire_facts;

pub use crate::storage::Outside;
pub use arrived::take_in;
pub use courier::run_courier;
pub(crate) use engine::TEMPORARY;
pub use error::LibraryError;
pub(crate) use import::{Carried, Dropped, carry_sources, is_of_this_machine, numbered};
pub use import::{
    Compared, Found, ImportMode, ImportOptions, Imported, Outcome, Rank, RelinkError, SearchReport,
    TakeError,
};
pub use owner::{Library, LibraryConfig, Which};
#[cfg(test)]
pub(crate) use probing::tests::wav;
pub use progress::{Phase, Progress, ProgressSnapshot};
pub use reconcile::Reconciled;
pub(crate) use recorded::Recorded;
pub use residency::Residency;
pub use scans::{Scan, ScanEnd};
pub use suggest::{ByFacts, Suggest, Suggestion};
pub(crate) use taken::Taken;
