//! Parameters and answers of `analysis.…`: what others have found out about sounds, kept by their bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::media::Which;
use crate::control::WirePath;
use crate::model::{MediaId, ObjectHash};

/// Which analysis, how, by whom.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisType {
    /// `waveform`, `tempo`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// How, in one fixed spelling of the producer's.
    #[serde(default)]
    pub parameters: String,
    /// Which program in which version.
    pub producer: String,
}

/// Of `analysis.wanted`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisWantedParams {
    /// Which are to be there; at most 32.
    pub types: Vec<AnalysisType>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AnalysisAfter>,
    /// Most items of a page; at most 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Where a page ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisAfter {
    /// Items of open projects are done.
    pub open_done: bool,
    /// Number of the item.
    pub item: u32,
}

/// An item that lacks analyses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisWantedItem {
    /// Which.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// On the drive, relative to the mount.
    pub path: String,
    /// Of its bytes now.
    pub blake3: ObjectHash,
    /// Its bytes are at hand: reading it brings nothing.
    pub at_hand: bool,
    /// What it lacks.
    pub types: Vec<AnalysisType>,
}

/// Some items that lack analyses. Those whose hash is not known yet come when it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisWantedPage {
    /// Those of open projects first.
    pub items: Vec<AnalysisWantedItem>,
    /// For the next page's `after`; `null`: that was the last one.
    pub next: Option<AnalysisAfter>,
}

impl AnalysisWantedPage {
    /// Most items of a page.
    pub const MOST: u32 = 500;
    /// Most types of a question.
    pub const MOST_TYPES: usize = 32;
}

/// Of `analysis.put`. The artefact is a text, or a file of the caller's on trusted storage, which stays the caller's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{"required": ["artefact"]}, {"required": ["artefactPath"]}]))]
pub struct AnalysisPutParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// What it is.
    #[serde(flatten)]
    pub analysis: AnalysisType,
    /// Of the bytes that were read for it, all of them: the `blake3` that `analysis.wanted` names, or that the item had when
    /// it was read.
    pub blake3: ObjectHash,
    /// The process that read them.
    pub process: u32,
    /// A text: JSON, base64, whatever the producer likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<String>,
    /// Or a file, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact_path: Option<WirePath>,
}

impl AnalysisPutParams {
    /// Longest artefact, in bytes.
    pub const LONGEST: u64 = 16 << 20;
}

/// It is kept. No operation of history: it can be made anew from the same bytes at any time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisStored {
    /// Which item.
    pub media_id: MediaId,
    /// Of the artefact, in bytes.
    pub size: u64,
}

/// Of `analysis.get`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisGetParams {
    /// The item.
    #[serde(flatten)]
    pub item: Which,
    /// What is asked for.
    #[serde(flatten)]
    pub analysis: AnalysisType,
}

/// What an analysis made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisArtefact {
    /// Which item.
    pub media_id: MediaId,
    /// What it is.
    #[serde(flatten)]
    pub analysis: AnalysisType,
    /// Of the bytes that it was made of: those that the item has now.
    pub blake3: ObjectHash,
    /// Of the artefact, in bytes.
    pub size: u64,
    /// The file that holds it, to be read at once and not kept.
    pub artefact_path: WirePath,
    /// The artefact itself, where it is text of at most 262,144 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<String>,
}

impl AnalysisArtefact {
    /// Longer ones are to be read from the file.
    pub const INLINE: u64 = 256 * 1024;
}
