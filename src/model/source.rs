//! Sources: roots of storage that live or hang as one, such as a volume, a share or a cloud root.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of a source in the catalog, never reused.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SourceNo(pub u32);

/// What a source is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A disk that can be unplugged.
    Volume,
    /// A share, or a file system that another program serves.
    Network,
    /// A folder that a sync client manages.
    Cloud,
}

impl SourceKind {
    /// The word of the protocol.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Cloud => "cloud",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a source is now. What was never told of is absent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// It is there and answers, as far as anybody knows.
    Online,
    /// It is there, but did not answer when it was asked last.
    Suspended,
    /// It was let go of, to be unplugged.
    Ejected,
    /// It is not there.
    #[default]
    Absent,
}

impl SourceState {
    /// It can be asked for bytes.
    #[must_use]
    pub fn is_online(self) -> bool {
        self == Self::Online
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Online => "connected",
            Self::Suspended => "connected, but does not answer",
            Self::Ejected => "ejected",
            Self::Absent => "not connected",
        }
    }
}
