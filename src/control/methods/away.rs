//! Parameters and answers of what concerns sounds that are not on trusted storage: hydration, pins, volumes, silence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Intent, Operation, Which, WirePath};
use crate::control::events::ProcessName;
use crate::control::tasks::TaskInfo;
use crate::model::{Availability, MediaId, ObjectHash, Playable, Storage};

/// Some items.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemsParams {
    /// Which.
    pub items: Vec<Which>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// What is done for some items.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HydrateAnswer {
    /// One for each item, in the order of the question.
    pub items: Vec<HydrateItem>,
    /// What history calls it; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// What is done for an item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HydrateItem {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// Its bytes are at hand already.
    pub at_hand: bool,
    /// The task that brings it, or why there is none.
    pub task: Option<TaskInfo>,
    /// Why it can't be brought now, for people.
    pub reason: Option<String>,
    /// It is to stay in the cache.
    pub pinned: bool,
}

/// Where an item's bytes are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhereIs {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// Where the original is.
    pub availability: Availability,
    /// What a player gets now.
    pub playable: Playable,
    /// Why, for people.
    pub cause: Option<String>,
    /// As recorded.
    pub storage: Storage,
    /// The path of the original now, if it is there.
    pub path: Option<WirePath>,
    /// What it lies on, where that is not trusted storage.
    pub volume: Option<VolumeStatus>,
    /// Its bytes are in the cache.
    pub cached: bool,
    /// For whom it is to stay there.
    pub pinned_for: Vec<String>,
    /// The same bytes elsewhere.
    pub alternatives: Vec<Storage>,
    /// What to do to hear it.
    pub remedy: Option<String>,
}

/// A volume, share or cloud folder.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// Its stable identity; `null` where it could not be told.
    pub id: Option<String>,
    /// For people.
    pub name: String,
    /// `volume`, `network` or `cloud`.
    pub kind: String,
    /// Whose cloud it is.
    pub provider: Option<String>,
    /// `online`, `suspended`, `ejected` or `absent`.
    pub state: String,
    /// Where it is, or was last.
    pub path: WirePath,
    /// When it was there last, in milliseconds since 1970.
    pub last_seen: Option<u64>,
    /// Nothing can be written there.
    pub read_only: bool,
    /// Another mounted volume has the same identity: one is a copy of the other.
    pub twin: bool,
    /// A file on it says which one it is (`volume.mark`).
    pub marked: bool,
    /// It holds items.
    pub known: bool,
    /// Items on it.
    pub items: u64,
    /// Those of them whose bytes are nowhere else at hand.
    pub only_there: u64,
}

/// Volumes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volumes {
    /// Those that hold items first.
    pub volumes: Vec<VolumeStatus>,
}

/// One of the volumes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeWhich {
    /// Its name or identity.
    pub volume: String,
    /// The path where it is mounted, if it may be that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<WirePath>,
}

/// Of `requesters.allow`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowParams {
    /// The process.
    pub pid: u32,
}

/// All silence that was given.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SilenceList {
    /// The longest first.
    pub silences: Vec<SilenceInfo>,
}

/// The silence of one item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SilenceInfo {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// Why, for people.
    pub cause: String,
    /// Who heard it.
    pub processes: Vec<SilenceOf>,
}

/// A process that heard silence.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SilenceOf {
    /// Who.
    pub process: ProcessName,
    /// How much of it, in bytes of the file.
    pub bytes: u64,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
}

/// Of `media.standIn`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandInParams {
    /// Of the file, in bytes.
    pub size: u64,
    /// Of the whole file.
    pub blake3: ObjectHash,
    /// Its name, by which a copy that is silent in part is looked for.
    #[serde(default)]
    pub name: Option<String>,
}

/// What a file is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandInAnswer {
    /// All of it is silence in the place of one of these items. Sounds of one format, length and size have the same.
    pub silence_of: Vec<StandIn>,
    /// It has the name and size of these items, but other bytes: it may be silent in part.
    pub suspects: Vec<StandIn>,
}

/// An item that a file stands in for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandIn {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// On the drive, relative to the mount.
    pub path: String,
    /// What a player gets now.
    pub playable: Playable,
    /// Of its bytes, once it is known.
    pub blake3: Option<ObjectHash>,
}

/// Of `media.silence`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SilenceParams {
    /// Whose.
    #[serde(flatten)]
    pub item: Which,
    /// From where, in bytes.
    pub offset: u64,
    /// How much, in bytes; at most 262,144.
    pub length: u32,
}

impl SilenceParams {
    /// Most bytes of an answer.
    pub const MOST: u32 = 256 * 1024;
}

/// Bytes of silence.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SilenceBytes {
    /// Two hexadecimal digits a byte; none: there is no silence of it.
    pub hex: String,
}
