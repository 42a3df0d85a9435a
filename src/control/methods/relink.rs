//! Parameters and answers of `media.relinkSearch`, `media.candidates` and `media.replace`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Intent, Operation};
use super::media::Which;
use super::usages::UsageInfo;
use crate::control::WirePath;
use crate::model::{Format, MediaId, MediaItem};

/// Of `media.relinkSearch`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelinkSearchParams {
    /// Where to look: folders, absolute, with everything below them.
    pub folders: Vec<WirePath>,
    /// For which items; none: all that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Which>,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// Why a file may be an item, the surest first.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum MatchRank {
    /// The same bytes.
    Bytes,
    /// The same number of frames, rate, channels and name.
    Facts,
    /// Only the name; never taken unasked.
    Name,
}

/// What became of an item in a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum MatchOutcome {
    /// It was relinked; in a dry run: it would be.
    Relinked,
    /// Several files may be it, with other bytes: somebody has to choose.
    Ambiguous,
    /// A file may be it, but only by its name: somebody has to say so.
    Suggested,
    /// It could not be relinked.
    Failed,
}

/// What was found for one item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelinkMatch {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: MatchOutcome,
    /// Why the files may be it.
    pub rank: MatchRank,
    /// The files; of one that was relinked the one that was taken.
    pub paths: Vec<WirePath>,
    /// Why it could not be relinked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a search found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelinkSearchAnswer {
    /// Items for which something was found.
    pub matches: Vec<RelinkMatch>,
    /// Items for which nothing was found.
    pub not_found: u64,
    /// Files that were looked at.
    pub files: u64,
    /// Folders that were not looked into, with the reason.
    pub refused: Vec<super::Problem>,
    /// False if it was stopped before the end; what was relinked until then stays.
    pub complete: bool,
    /// What history calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Of `media.candidates`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidatesParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// Most of them; at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A file that may stand in for an item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateInfo {
    /// The file.
    pub path: WirePath,
    /// The item that it is already, if it is one.
    pub media_id: Option<MediaId>,
    /// From 1 (the same bytes) to 0.
    pub score: f64,
    /// Why, for people.
    pub reason: String,
    /// Who suggests it: `facts`, …
    pub provider: String,
}

/// Suggestions, the best first.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateList {
    /// The best first.
    pub candidates: Vec<CandidateInfo>,
}

impl CandidateList {
    /// Most suggestions of an answer.
    pub const MOST: u32 = 100;
}

/// Of `media.replace`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplaceParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// The file that it is to be, absolute.
    pub to: WirePath,
    /// The user has seen what differs and who uses it.
    #[serde(default)]
    pub consent: bool,
    /// For history.
    #[serde(flatten)]
    pub intent: Intent,
}

/// One thing that a replacement changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// `bytes`, `kind`, `container`, `codec`, `sampleRate`, `channels`, `frames`, `size`.
    pub what: String,
    /// Of the item now; `null` where that is not known.
    pub from: Option<String>,
    /// Of the file.
    pub to: Option<String>,
}

/// What a replacement did, or would do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplaceAnswer {
    /// It was done; false: consent is needed.
    pub replaced: bool,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Who uses the item, at most 1000.
    pub usages: Vec<UsageInfo>,
    /// The format of the file.
    pub format: Option<Format>,
    /// As it is now.
    pub item: MediaItem,
    /// What history calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}
