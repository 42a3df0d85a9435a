//! The media item itself.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribute, Availability, Format, MediaId, ObjectHash, Playable, Scope, Storage, Tag};

/// Longest word of an open list.
const LONGEST_WORD: usize = 64;

/// Whether a host may give this as a word of an open list.
#[must_use]
pub fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(allowed)
}

/// A word of a closed list that a newer host may have extended: unknown words are kept and shown as they are.
macro_rules! open_words {
    ($(#[$meta:meta])* $name:ident { $($(#[$word_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[doc = "One of the examples, or a word of a newer host, which is kept and shown as it is: 1 to 64 characters of `A-Z a-z 0-9 . _ -`."]
        #[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(from = "String", into = "String")]
        #[schemars(extend("examples" = [$($text),+]))]
        pub enum $name {
            $($(#[$word_meta])* $variant,)+
            /// A word of a newer host, kept as it is.
            Other(String),
        }

        impl $name {
            /// The word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($text => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

open_words! {
    /// What sort of thing an item is.
    Kind {
        /// A sound.
        Audio = "audio",
        /// Notes.
        Midi = "midi",
        /// Pictures that move.
        Video = "video",
        /// What an analysis made.
        Analysis = "analysis",
    }
}

open_words! {
    /// How an item came to be.
    Origin {
        /// A take.
        Recorded = "recorded",
        /// Copied in.
        Imported = "imported",
        /// Made by a program.
        Generated = "generated",
        /// Left where it was found.
        Reference = "reference",
    }
}

open_words! {
    /// How a project uses an item.
    UsageRole {
        /// On a clip.
        Clip = "clip",
        /// On a lane.
        Lane = "lane",
        /// On a track.
        Track = "track",
        /// In a section.
        Section = "section",
        /// In a kit.
        Kit = "kit",
        /// In a node.
        Node = "node",
        /// Made by freezing.
        Freeze = "freeze",
        /// Made by bouncing.
        Bounce = "bounce",
        /// Seen by the drive: a player or loader opened it.
        Observed = "observed",
    }
}

/// How far an item has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// Reserved, being written.
    Pending,
    /// Stable.
    Final,
    /// Given up.
    Abandoned,
}

/// One use of an item in a project.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The project that uses it.
    pub project: String,
    /// As what.
    pub role: UsageRole,
    /// The host's name for the place: a track's id, a program's name.
    pub target: String,
}

/// Everything known of an item, in the shape of the protocol.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaItem {
    /// Its id, unique in `scope`.
    pub media_id: MediaId,
    /// The library or a project.
    pub scope: Scope,
    /// What sort of thing.
    pub kind: Kind,
    /// Its present name with extension, as text; the views show the safe form of it.
    pub name: String,
    /// How it came to be.
    pub origin: Origin,
    /// Where the bytes live, as recorded.
    pub storage: Storage,
    /// The same bytes elsewhere.
    pub alternatives: Vec<Storage>,
    /// Where the bytes are now, if on this machine.
    pub resolved_path: Option<String>,
    /// Of a missing one that is asked for by itself: files that may be it, to be relinked to; the likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// Facts, once the file was read.
    pub format: Option<Format>,
    /// In bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub modified_nanoseconds: i64,
    /// Birth, nanoseconds since 1970, where known.
    pub born_nanoseconds: Option<i64>,
    /// Of the whole content; `null` until it was computed.
    pub blake3: Option<ObjectHash>,
    /// How far it has come.
    pub lifecycle: Lifecycle,
    /// Where the original is.
    pub availability: Availability,
    /// What a player gets now.
    pub playable: Playable,
    /// Why the format is unknown, or what is odd about the file; empty when nothing is.
    pub notes: Vec<String>,
    /// Words.
    pub tags: Vec<Tag>,
    /// Values.
    pub attributes: Vec<Attribute>,
    /// Who uses it.
    pub usages: Vec<Usage>,
    /// Of one that is asked for by itself: what programs wrote beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<super::Sidecar>,
    /// Relative to the mount: `by-id/<mediaId>/<name>`.
    pub path: String,
}
