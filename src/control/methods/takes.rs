//! Parameters and answers of recording: `media.reserve`, `finalise`, `abandon`, `takes`, `cleanup`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Intent, Operation};
use super::media::Which;
use crate::control::WirePath;
use crate::model::{Kind, Lifecycle, MediaId, MediaItem, Scope, UsageRole};

/// What a take is going to be, as far as its size goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeFormat {
    /// Frames a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
    /// Bits of a sample.
    pub bit_depth: u16,
}

/// Of `media.reserve`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReserveParams {
    /// What it is going to be.
    pub kind: Kind,
    /// Its name, without extension.
    pub name: String,
    /// The extension of the file, without a dot.
    pub ext: String,
    /// The project, by its folder; none: the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_path: Option<WirePath>,
    /// How long it may get. It is refused where that would not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_seconds: Option<u64>,
    /// Tells how much room a second takes; without it 48 kHz, two channels, 24 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TakeFormat>,
    /// The host's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_id: Option<MediaId>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// What was reserved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// Its id.
    pub media_id: MediaId,
    /// Where it is to be written, relative to the mount: `record/<name>.<ext>`.
    pub path: String,
    /// The same, absolute.
    pub file: WirePath,
    /// The file on disk behind it. It moves when the take is final.
    pub staging: WirePath,
    /// What history calls it; none where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// A use of an item that the host tells of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeUsage {
    /// As what.
    pub role: UsageRole,
    /// The host's name for the place: a track's id.
    pub target: String,
    /// The id of the project that uses it; none: the take's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// Of `media.finalise`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinaliseParams {
    /// The take.
    #[serde(flatten)]
    pub item: Which,
    /// Where it is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usages: Vec<TakeUsage>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// A take that is final.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finalised {
    /// The item.
    #[serde(flatten)]
    pub item: MediaItem,
    /// What was put right in its file; empty where nothing was to be.
    #[serde(default)]
    pub repaired: Vec<String>,
    /// What history calls it; none where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `media.takes`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakesParams {
    /// Of the project with this folder only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_path: Option<WirePath>,
    /// Only those that an earlier daemon had not seen the end of.
    #[serde(default)]
    pub recovered: bool,
}

/// A take that is not final.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Take {
    /// Its id.
    pub media_id: MediaId,
    /// Where the id is unique.
    pub scope: Scope,
    /// With extension.
    pub name: String,
    /// What it is going to be.
    pub kind: Kind,
    /// `pending` or `abandoned`.
    pub lifecycle: Lifecycle,
    /// Where it is written, relative to the mount.
    pub path: String,
    /// The file on disk; none where its project's disk is not there.
    pub staging: Option<WirePath>,
    /// Bytes that were written; none where the file is gone.
    pub size: Option<u64>,
    /// When it was reserved, in milliseconds since 1970.
    pub reserved: u64,
    /// When it was given up, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<u64>,
    /// An earlier daemon had not seen the end of it: it can be written on, made final or given up.
    pub recovered: bool,
    /// A program has it open for writing.
    pub writing: bool,
}

/// Of `media.abandon`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbandonParams {
    /// The take.
    #[serde(flatten)]
    pub item: Which,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// A take that was given up.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Abandoned {
    /// It.
    #[serde(flatten)]
    pub take: Take,
    /// What history calls it; none where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Takes that are not final.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeList {
    /// In the order of their coming.
    pub takes: Vec<Take>,
}

/// Of `media.cleanup`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanupParams {
    /// Only says what it would do.
    #[serde(default)]
    pub dry_run: bool,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// A take that was given up long ago.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanedTake {
    /// Its id.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: WirePath,
    /// In bytes.
    pub size: u64,
    /// Why it stays; none: it went to the trash, or would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// What a cleanup did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanupAnswer {
    /// Takes that were given up more than 30 days ago.
    pub takes: Vec<CleanedTake>,
    /// What history calls it; none where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}
