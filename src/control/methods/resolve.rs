//! Parameters and answers of `media.resolve` and `paths.translate`: where bytes are without the drive, and where paths
//! of other systems lead on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Which, WirePath};
use crate::model::{Availability, MediaId, ObjectHash, Playable, Storage};

/// Of `media.resolve`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolveParams {
    /// Which items.
    pub items: Vec<Which>,
}

/// Where some items are.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolveAnswer {
    /// One for each item, in the order of the question.
    pub items: Vec<Resolved>,
}

/// What a native path leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ResolvedFrom {
    /// The item's own file.
    Original,
    /// Another file on trusted storage with the same bytes.
    Twin,
    /// The cache. It stays for as long as it is open or pinned, else until the cache needs room.
    Cache,
}

/// Where an item is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Where its true bytes can be read now on this machine, from trusted storage; `null`: they are not at hand. For
    /// reading only.
    pub path: Option<WirePath>,
    /// What that leads to.
    pub from: Option<ResolvedFrom>,
    /// What is known of it; `null`: there is no such item.
    pub item: Option<ResolvedItem>,
    /// Why there is no path, for people.
    pub reason: Option<String>,
    /// What to do about that, for people.
    pub remedy: Option<String>,
}

/// The descriptor of an item, and its state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedItem {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// Where the bytes live, as recorded.
    pub storage: Storage,
    /// The same bytes elsewhere.
    pub alternatives: Vec<Storage>,
    /// In bytes.
    pub size: u64,
    /// Of its bytes, once it is known.
    pub blake3: Option<ObjectHash>,
    /// Where the original is.
    pub availability: Availability,
    /// What a player gets now.
    pub playable: Playable,
    /// On the drive, relative to the mount.
    pub drive_path: String,
}

/// A system whose drive has a path of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum DriveSystem {
    /// `L:\`.
    Windows,
    /// `/Volumes/Loophole`.
    Macos,
    /// `/media/loophole`.
    Linux,
}

/// Of `paths.translate`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranslateParams {
    /// Paths on the drive of any system: `L:\…`, `/Volumes/Loophole/…`, `/media/loophole/…`, `~/Loophole/…`, below a
    /// place where the drive of this home is or was mounted, or relative to the mount.
    pub paths: Vec<String>,
    /// None: to paths of this drive as it is mounted now, or would be by default. Else: to those of that system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DriveSystem>,
}

/// Paths of another drive.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranslateAnswer {
    /// One for each path, in the order of the question.
    pub paths: Vec<Translated>,
}

/// What became of a path.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Translated {
    /// It there; `null` if it is no path of a drive. It is not looked whether something is there.
    pub path: Option<String>,
    /// The same, relative to the mount, with `/`.
    pub drive_path: Option<String>,
    /// The item that it names, if it is a path of `by-id`.
    pub media_id: Option<MediaId>,
    /// Why there is none, for people.
    pub reason: Option<String>,
}
