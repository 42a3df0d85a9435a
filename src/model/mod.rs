//! What things are: media items, their ids, descriptors, formats, states, tags and usages.
//!
//! Pure types without I/O. The catalog stores them, the tree shows them, the control protocol sends them;
//! their serde form is the protocol's JSON (camelCase).

mod descriptor;
mod format;
mod id;
mod item;
mod name;
mod path_text;
mod sidecar;
mod source;
mod status;
mod tag;

pub use descriptor::{Descriptor, Storage};
pub use format::{Codec, Container, Format};
pub use id::{InvalidMediaId, MediaId, ObjectHash, ProjectId, Scope};
pub use item::{Kind, Lifecycle, MediaItem, Origin, Usage, UsageRole, is_word};
pub use name::{
    caseless, compared, display_name, name_bytes, safe_name, shown_name, split_extension,
    unsafe_name,
};
pub use path_text::{NoPath, path_from_text, path_text};
pub use sidecar::{
    Behind, Sidecar, SidecarKept, SidecarName, begins_as_sidecar, is_sidecar, stem_of,
};
pub use source::{SourceKind, SourceNo, SourceState};
pub use status::{Availability, Playable, Status};
pub use tag::{Attribute, Confidence, Tag, TagSource};
