//! Where the bytes of an item live, as recorded. Resolved at each use, never stored resolved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place for bytes over one of the four backends. `path` is relative to what the backend names, with `/`
/// between parts; foreign syntax is kept as it was written.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "backend",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Storage {
    /// Inside the project's folder, usually under `Media/`.
    Project {
        /// Relative to the project's folder.
        path: String,
    },
    /// In a folder that a sync client manages.
    Cloud {
        /// The registered root.
        root: String,
        /// Relative to that root.
        path: String,
        /// The provider's id of the file.
        #[serde(skip_serializing_if = "Option::is_none")]
        remote_id: Option<String>,
        /// Where the provider has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        remote_url: Option<String>,
    },
    /// On a removable or network volume.
    Volume {
        /// Identity of the volume.
        volume: String,
        /// Relative to the volume's root.
        path: String,
    },
    /// Anywhere else, left in place.
    Reference {
        /// A library root by its name, where the file lies in one.
        #[serde(skip_serializing_if = "Option::is_none")]
        root: Option<String>,
        /// Relative to that root, else absolute.
        path: String,
    },
}

/// The storage of record, and others that hold the same bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Changed only by import, relink, collect, and by a move within a library root.
    pub storage: Storage,
    /// The same bytes elsewhere.
    pub alternatives: Vec<Storage>,
}
