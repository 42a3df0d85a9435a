//! Parameters and answers of `project.…`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HydrateItem, Intent, ItemCounts, Operation, Take, Which};
use crate::control::WirePath;
use crate::model::{MediaId, MediaItem, ProjectId};

/// Names one project: by its folder, its id, or the name that it is shown by; by none of them: the one that the host works
/// in (`focused`). Of two with one id, the one that is open, or the one that the host works in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectWhich {
    /// Its folder, absolute. Looked for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<WirePath>,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Its name on the drive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
}

/// Of `project.new`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectNewParams {
    /// The folder, absolute; made where it is not there.
    pub path: WirePath,
    /// Its name; none: that of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// It is the one that the host works in.
    #[serde(default)]
    pub focused: bool,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// Of `project.open`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectOpenParams {
    /// The folder, absolute.
    pub path: WirePath,
    /// It is the one that the host works in.
    #[serde(default)]
    pub focused: bool,
    /// The revision that the host wants; refused, with what is there, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The manifest before the present one: what both say goes back to what that said, what came since stays. Unless it is
    /// saved, the present one counts when the project is opened again.
    #[serde(default)]
    pub previous: bool,
}

/// A project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectInfo {
    /// Its id. A copy of its folder has the same.
    pub project_id: ProjectId,
    /// As shown on the drive.
    pub name: String,
    /// Its folder.
    pub path: WirePath,
    /// It is open.
    pub open: bool,
    /// It is the one that the host works in.
    pub focused: bool,
    /// Its storage is not there.
    pub away: bool,
    /// The host's revision that was read or saved last.
    pub revision: Option<String>,
    /// Where the host has its own document.
    pub document: Option<String>,
}

/// An entry of a manifest that is held back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldEntry {
    /// Names it in its project.
    pub key: String,
    /// The item's id, where it has one.
    pub media_id: Option<MediaId>,
    /// Why.
    pub reason: String,
    /// `project.allow` lets it in.
    pub allowable: bool,
}

/// A copy of a manifest by a sync client, which was merged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MergedCopy {
    /// As the sync client named it.
    pub file: String,
    /// Under which name it is now.
    pub set_aside: Option<String>,
    /// Items that only it had.
    pub added: Vec<String>,
    /// Items that both had, and not the same.
    pub changed: Vec<String>,
}

/// What opening a project gave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectOpened {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectInfo,
    /// Items that came with the manifest and were not known here.
    pub added: u64,
    /// The manifest before the present one was read, because of this.
    pub instead_of: Option<String>,
    /// Copies by sync clients that were merged.
    pub merged: Vec<MergedCopy>,
    /// Entries that are held back.
    pub held: Vec<HeldEntry>,
    /// Files that the user allows and that could not be taken in, with the reason.
    pub not_followed: Vec<String>,
    /// Its drafts.
    pub drafts: Vec<DraftInfo>,
    /// Takes that an earlier daemon had not seen the end of.
    #[serde(default)]
    pub recovered: Vec<Take>,
    /// What history calls it; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `project.save`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSaveParams {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectWhich,
    /// The host's revision; none: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where the host has its own document; none: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// What was saved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSaved {
    /// The revision.
    pub revision: Option<String>,
    /// Items in the manifest.
    pub items: u64,
    /// Its length.
    pub bytes: u64,
    /// False where it was that already.
    pub written: bool,
    /// Somebody else had written it meanwhile; these items of theirs were taken over.
    pub taken_over: Vec<String>,
    /// What history calls it; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Projects.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectListAnswer {
    /// In the order of their coming.
    pub projects: Vec<ProjectInfo>,
}

/// How a project is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatusAnswer {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectInfo,
    /// Its items.
    pub items: ItemCounts,
    /// Something is known that its manifest does not say; `null` where its storage is not there.
    pub unsaved: Option<bool>,
    /// Entries that are held back.
    pub held: Vec<HeldEntry>,
    /// Its drafts.
    pub drafts: Vec<DraftInfo>,
}

/// Of `project.allow`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectAllowParams {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectWhich,
    /// Keys of entries that are held back.
    pub keys: Vec<String>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// Of `project.saveAs`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSaveAsParams {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectWhich,
    /// The folder of the new one, absolute: not there yet, or empty.
    pub to: WirePath,
    /// The name of the new one; none: that of its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All media are copied into it.
    #[serde(default)]
    pub collect: bool,
    /// The host's revision of the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where the host has the document of the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// It is the one that the host works in from now on.
    #[serde(default)]
    pub focused: bool,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// What was saved as another project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSavedAs {
    /// The new one, open.
    #[serde(flatten)]
    pub opened: ProjectOpened,
    /// Files that were copied.
    pub copied: u64,
    /// Their length, in bytes.
    pub bytes: u64,
    /// Items that could not be copied and stay where they are.
    pub left: Vec<LeftItem>,
}

/// An item that stays where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftItem {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Of `project.saveDraft`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DraftParams {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectWhich,
    /// Names the draft in its project.
    pub draft: String,
    /// The host's own words.
    #[serde(default)]
    pub state: serde_json::Value,
    /// The revision that it is made upon; none: the one that was saved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// Of `project.draft` and `project.removeDraft`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DraftWhich {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectWhich,
    /// The draft's name.
    pub draft: String,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// A draft, without its state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DraftInfo {
    /// Its name.
    pub draft: String,
    /// When it was kept, in milliseconds since 1970.
    pub at: u64,
    /// The revision that it was made upon.
    pub revision: Option<String>,
    /// Items that were pending then.
    pub pending: Vec<MediaId>,
    /// The length of its state, in bytes.
    pub bytes: u64,
    /// What history calls it; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// A draft.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DraftState {
    /// What it is.
    #[serde(flatten)]
    pub info: DraftInfo,
    /// The host's own words.
    pub state: serde_json::Value,
}

/// A manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectText {
    /// As text, to be kept as it is.
    pub text: String,
}

/// Of `project.load`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectLoadParams {
    /// The folder of the project, absolute.
    pub path: WirePath,
    /// What `project.export` gave.
    pub text: String,
    /// It is the one that the host works in.
    #[serde(default)]
    pub focused: bool,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// Of `project.ready`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyParams {
    /// The project.
    #[serde(flatten)]
    pub project: ProjectWhich,
    /// What can be brought is brought and pinned; answered at once, with the tasks that do so.
    #[serde(default)]
    pub fetch: bool,
}

/// Why an item is not ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NotReady {
    /// It is in the cache, but may be evicted: it is not pinned.
    Unpinned,
    /// It can be brought.
    ToBring,
    /// Its source is not there.
    Away,
    /// It is nowhere.
    Missing,
    /// It is being recorded.
    Pending,
    /// It is held back.
    Held,
}

/// An item that is not ready.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyItem {
    /// Which.
    pub media_id: Option<MediaId>,
    /// Its name.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// How it is.
    pub state: NotReady,
    /// The source that has it.
    pub source: Option<String>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// Whether a project plays with every cable and network off.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyAnswer {
    /// It does.
    pub ready: bool,
    /// Items of the project, and of the library that it uses.
    pub total: u64,
    /// Those that are not ready.
    pub items: Vec<ReadyItem>,
    /// What is to be brought, in bytes.
    pub bytes: u64,
    /// How long that takes at the rate that was measured last, in seconds; `null` where none was.
    pub seconds: Option<u64>,
    /// What is being brought.
    pub fetching: Vec<HydrateItem>,
}

/// Of `project.use`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectUseParams {
    /// The project.
    pub project: ProjectWhich,
    /// An item of the library.
    pub item: Which,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// An item that was made of another one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeItem {
    /// It.
    #[serde(flatten)]
    pub item: MediaItem,
    /// What history calls it; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}
