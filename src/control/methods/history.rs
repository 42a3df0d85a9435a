//! Parameters and answers of `history.…`, and what every changing call has of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::MediaId;

/// What every call that changes something may be told for history.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// What the change belongs to, in the host's words; a group is reverted as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who does it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// An operation, as the call that did it names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its number, by which `history.revert` reverts it, where it can be: `history.list` says so.
    pub id: u32,
    /// What it did, for people.
    pub summary: String,
}

/// An operation, as history keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationInfo {
    /// Its number.
    pub id: u32,
    /// In a word: `import`, `rename`, …; `undo` and `redo` of reverts.
    pub kind: String,
    /// For people.
    pub summary: String,
    /// What it belongs to.
    pub group: Option<String>,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who did it.
    pub who: Option<String>,
    /// The id of the project whose items alone it is about.
    pub project: Option<String>,
    /// Of a revert: the operation that it is about.
    pub reverts: Option<u32>,
    /// The revert, while it is reverted.
    pub reverted_by: Option<u32>,
    /// The items that it is about, at most 100; those that are there.
    pub items: Vec<MediaId>,
    /// It can be reverted; else history only tells of it.
    #[serde(default = "revertible")]
    pub revertible: bool,
}

/// Of a daemon that does not say.
fn revertible() -> bool {
    true
}

/// Of `history.list`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryListParams {
    /// Where the page before ended; 0: the newest.
    #[serde(default)]
    pub before: u32,
    /// Only of this project, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Most of a page; at most 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Some operations.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// The newest first.
    pub operations: Vec<OperationInfo>,
    /// For the next page's `before`; `null`: that was the last one.
    pub next: Option<u32>,
}

impl HistoryPage {
    /// Most operations of a page.
    pub const MOST: u32 = 500;
    /// Most items that are named of an operation.
    pub const MOST_ITEMS: u32 = 100;
}

/// Of `history.revert`: `operation` or `group`, not both.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{"required": ["operation"]}, {"required": ["group"]}]))]
pub struct HistoryRevertParams {
    /// An operation; that of a revert does again what it reverted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u32>,
    /// A group: all of it that is in effect, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who does it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// Of `history.undo` and `history.redo`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryUndoParams {
    /// Only what is of this project, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Who does it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// How a revert ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RevertOutcome {
    /// All of it is reverted.
    #[default]
    Reverted,
    /// Something stands in the way, and nothing was changed.
    Conflict,
}

/// What a revert did, or why it did nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevertAnswer {
    /// How it ended.
    pub outcome: RevertOutcome,
    /// What history calls the last part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// All parts, in the order in which they were done.
    pub operations: Vec<Operation>,
    /// What stands in the way.
    pub conflicts: Vec<RevertConflict>,
}

/// Something that stands in the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevertConflict {
    /// Of which item.
    pub media_id: Option<MediaId>,
    /// What, for people: "kick.wav was renamed again, to Boom.wav".
    pub reason: String,
    /// The operation that did it, where one did.
    pub by: Option<Operation>,
}
