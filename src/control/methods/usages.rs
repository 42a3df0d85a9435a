//! Parameters and answers of `usages.…`: who uses what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Intent, Operation};
use super::media::Which;
use crate::model::{MediaId, UsageRole};

/// One use of an item, as the host tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// The project that uses it, by its id.
    pub project: String,
    /// As what.
    pub role: UsageRole,
    /// The host's name for the place: a track, a node, …
    pub target: String,
}

/// Of `usages.add` and `usages.remove`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagesParams {
    /// All, or none if one of them is wrong; at most 10,000.
    pub usages: Vec<UsageParams>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

impl UsagesParams {
    /// Most of one call.
    pub const MOST: usize = 10_000;
}

/// One use of an item in the project of `usages.set`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageInProject {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// As what.
    pub role: UsageRole,
    /// The host's name for the place.
    pub target: String,
}

/// Of `usages.set`. What the drive observed stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagesSetParams {
    /// The project, by its id.
    pub project: String,
    /// All uses of it; at most 10,000.
    pub usages: Vec<UsageInProject>,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// What a change of usages did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagesAnswer {
    /// Uses that came.
    pub added: u64,
    /// Uses that went.
    pub removed: u64,
    /// Projects that were named as using something and are not known here, by their ids: what they use is kept, and shown
    /// among a project's sounds once one of that id is opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_projects: Vec<String>,
    /// What history calls it; `null` where nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `usages.list`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagesListParams {
    /// Of one item; none: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Which>,
    /// Of one project, by its id; none: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<UsagesAfter>,
    /// Most of a page; at most 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Where a page ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagesAfter {
    /// Number of the item.
    pub item: u32,
    /// The project.
    pub project: String,
    /// As what.
    pub role: UsageRole,
    /// The place.
    pub target: String,
}

/// One use of an item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageInfo {
    /// Which item.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// The project that uses it.
    pub project: String,
    /// As what.
    pub role: UsageRole,
    /// The host's name for the place; of `observed` the program.
    pub target: String,
    /// When it was told of, or seen last; in milliseconds since 1970. 0: not known.
    pub at: u64,
}

/// Some usages.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagesPage {
    /// By item.
    pub usages: Vec<UsageInfo>,
    /// For the next page's `after`; `null`: that was the last one.
    pub next: Option<UsagesAfter>,
}

impl UsagesPage {
    /// Most usages of a page.
    pub const MOST: u32 = 1000;
}
