//! Parameters and answers of `media.…`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Intent, Operation};
use crate::control::WirePath;
use crate::model::{MediaId, MediaItem, ProjectId};

/// Names one item: by its id, else by a path on the drive or on disk.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{"required": ["mediaId"]}, {"required": ["path"]}]))]
pub struct Which {
    /// Its id. Items of several projects may have the same: without `projectId`, or a `path` of one of them, it is that of
    /// the project in focus, else of one that is open, else of the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_id: Option<MediaId>,
    /// The project whose item it is, where it is named by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// An absolute path: on the mounted drive, or of the file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<WirePath>,
}

impl From<MediaId> for Which {
    fn from(id: MediaId) -> Self {
        Self {
            media_id: Some(id),
            ..Self::default()
        }
    }
}

/// Of `media.search`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchParams {
    /// Words; none: every item.
    #[serde(default)]
    pub query: String,
    /// Where the page before ended; 0: the beginning.
    #[serde(default)]
    pub after: u32,
    /// Most items of a page; at most 500.
    #[serde(default)]
    pub limit: Option<u32>,
}

impl SearchParams {
    /// Most items of a page.
    pub const MOST: u32 = 500;
}

/// Some items.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchPage {
    /// In the order of their coming.
    pub items: Vec<MediaItem>,
    /// For the next page's `after`; `null`: that was the last one.
    pub next: Option<u32>,
}

/// How an import takes files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImportMode {
    /// Into the project's folder, or the home's library.
    Copy,
    /// Left where they are.
    Reference,
}

/// Of `media.import`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportParams {
    /// Files and folders, absolute.
    pub paths: Vec<WirePath>,
    /// The project, by its folder; none: the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_path: Option<WirePath>,
    /// None: copy into projects, reference otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ImportMode>,
    /// The host's own id, for one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_id: Option<MediaId>,
    /// The name that the item is to have, with extension, for one file; else the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// What became of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ImportOutcome {
    /// It is an item now.
    Imported,
    /// It was one.
    Already,
    /// It was left out: found in a folder, and nothing to import.
    Skipped,
    /// It could not be imported.
    Failed,
}

/// One file of an import.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// The item; `null` where there is none.
    pub media_id: Option<MediaId>,
    /// The file that was named or found.
    pub source: WirePath,
    /// Where the item is on the drive, relative to the mount.
    pub path: Option<String>,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// Why there is no item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an import did.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportAnswer {
    /// Each file that was dealt with.
    pub items: Vec<Imported>,
    /// False if it was stopped before the end; importing again completes it.
    pub complete: bool,
    /// What history calls it; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `media.scan`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanParams {
    /// A library root by its folder; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<WirePath>,
}

/// What a scan saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanAnswer {
    /// Files on disk.
    pub files: u64,
    /// New or changed ones that were read.
    pub read: u64,
    /// Those of them that can't be read.
    pub problems: u64,
}

/// Of `media.forgetLibrary`: `name` or `path`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{"required": ["name"]}, {"required": ["path"]}]))]
pub struct ForgetLibraryParams {
    /// The root by the name that it is shown by. Looked for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its folder, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<WirePath>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// A library root that was taken off.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgottenLibrary {
    /// As it is now.
    #[serde(flatten)]
    pub base: super::BaseStatus,
    /// What history calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `media.relink`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelinkParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// The file to point it to, absolute.
    pub to: WirePath,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// Of `media.rename`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenameParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// Its new name. The extension may be left out.
    pub name: String,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// Of `media.remove`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// Also if something uses it.
    #[serde(default)]
    pub force: bool,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

impl From<Which> for RemoveParams {
    fn from(item: Which) -> Self {
        Self {
            item,
            ..Self::default()
        }
    }
}

/// Of `media.forgetUnused`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgetUnusedParams {
    /// Only tell which they are.
    #[serde(default)]
    pub dry_run: bool,
    /// Where the page before ended; 0: the beginning.
    #[serde(default)]
    pub after: u32,
    /// For history. Give all pages the same group, so that one revert brings all back.
    #[serde(flatten)]
    pub intent: Intent,
}

/// An item that is, or would be, removed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnusedItem {
    /// Its id.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// Where its file was, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was_at: Option<WirePath>,
}

/// What was removed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgottenUnused {
    /// Some of them, in the order of their coming.
    pub items: Vec<UnusedItem>,
    /// For the next page's `after`; none: that was the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// How many others are gone for good as well, and stay: something uses them, or their tags, values, name or pin were
    /// given by hand.
    pub kept: u64,
    /// What history calls it; none where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `media.setAttribute`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetAttributeParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// Which value: `bpm`, `key`, …
    pub attribute: String,
    /// What it is; `null` takes it away, for good.
    #[serde(default)]
    pub value: serde_json::Value,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// An item as it is after a change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// All of it.
    #[serde(flatten)]
    pub item: MediaItem,
    /// What history calls the change; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

impl std::ops::Deref for Changed {
    type Target = MediaItem;

    fn deref(&self) -> &MediaItem {
        &self.item
    }
}

/// Of `media.remove`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Which item went. Its id is not given again.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// What history calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `media.tag` and `media.untag`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// Words.
    pub tags: Vec<String>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}
