//! Where an item's bytes are: relinked by hand or by search, replaced, suggested.

use std::path::PathBuf;

use super::Service;
use super::history::{draft, recorded};
use super::import::watched;
use super::media::whole;
use crate::catalog::{ItemNo, ItemRow, OperationDraft, Reader};
use crate::control::methods::*;
use crate::control::rpc::one_line;
use crate::control::{Caller, Reason, RpcError, WirePath};
use crate::library::{Compared, Found, Phase, Progress, Rank, SearchReport};
use crate::model::{Format, path_from_text};

/// Missing items that are read at a time.
const PAGE: u32 = 1000;

impl Service {
    pub(super) fn relink(&self, params: &RelinkParams) -> Result<Changed, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, &params.item)?;
        let summary = format!("relinked {} to {}", item.name, params.to);
        let mut draft = draft("relink", summary, &params.intent);
        self.library()?.relink(item.row, &params.to.0, &mut draft)?;
        Ok(Changed {
            item: whole(&reader, item.row)?,
            operation: recorded(&draft),
        })
    }

    pub(super) fn replace(&self, params: &ReplaceParams) -> Result<ReplaceAnswer, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, &params.item)?;
        let library = self.library()?;
        let compared = library.look_at(&params.to.0)?;
        let usages = self.usages_of(&reader, item.row, UsagesPage::MOST)?;
        let differences = differences(&reader, &item, &compared)?;
        let summary = format!("replaced the bytes of {} by {}", item.name, params.to);
        let mut draft = draft("replace", summary, &params.intent);
        if params.consent {
            library.replace(item.row, &params.to.0, &mut draft)?;
        }
        Ok(ReplaceAnswer {
            replaced: params.consent,
            differences,
            usages,
            format: Some(compared.format),
            item: whole(&reader, item.row)?,
            operation: recorded(&draft),
        })
    }

    pub(super) fn candidates(&self, params: &CandidatesParams) -> Result<CandidateList, RpcError> {
        let limit = params.limit.unwrap_or(20).clamp(1, CandidateList::MOST);
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, &params.item)?;
        let mut candidates: Vec<CandidateInfo> = Vec::new();
        for provider in &self.suggesting {
            for suggestion in provider.suggest(&reader, &item, limit)? {
                let Ok(path) = path_from_text(&suggestion.path) else {
                    continue;
                };
                let path = WirePath(path);
                if candidates.iter().any(|known| known.path == path) {
                    continue;
                }
                let found = match suggestion.item {
                    Some(item) => reader.item(item)?.map(|item| item.media_id),
                    None => None,
                };
                candidates.push(CandidateInfo {
                    path,
                    media_id: found,
                    score: suggestion.score,
                    reason: suggestion.reason,
                    provider: provider.name().to_owned(),
                });
            }
        }
        candidates.sort_by(|one, other| other.score.total_cmp(&one.score));
        candidates.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(CandidateList { candidates })
    }

    pub(super) fn relink_search(
        &self,
        params: &RelinkSearchParams,
        caller: &mut dyn Caller,
    ) -> Result<RelinkSearchAnswer, RpcError> {
        if params.folders.is_empty() {
            return Err(RpcError::new(
                Reason::InvalidParameter,
                "name at least one folder to look in",
            ));
        }
        if let Some(path) = params.folders.iter().find(|path| !path.0.is_absolute()) {
            return Err(RpcError::new(
                Reason::InvalidParameter,
                format!("{path} is no absolute path"),
            ));
        }
        let library = self.library()?;
        let reader = self.catalog.reader()?;
        let items = self.sought(&reader, &params.items)?;
        drop(reader);
        let folders: Vec<PathBuf> = params.folders.iter().map(|path| path.0.clone()).collect();
        let progress = Progress::default();
        let mut draft = OperationDraft {
            kind: "relink",
            summary: None,
            group: params.intent.group.clone(),
            who: params.intent.who.clone(),
            recorded: None,
        };
        let work = |cancel: &std::sync::atomic::AtomicBool| {
            let report = library.search_for(&items, &folders, &progress, cancel)?;
            let mut matches = Vec::with_capacity(report.found.len());
            for found in &report.found {
                if cancel.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let Some(item) = self.catalog.reader()?.item(found.item)? else {
                    continue;
                };
                matches.push(self.settle(&item, found, params.dry_run, &mut draft)?);
            }
            Ok::<(SearchReport, Vec<RelinkMatch>), RpcError>((report, matches))
        };
        let ((report, matches), is_cancelled) = watched(
            self.running.begin(TaskKind::Relink),
            caller,
            &mut || search_progress(&progress),
            work,
        )?;
        let found = u64::try_from(report.found.len()).unwrap_or(u64::MAX);
        let sought = u64::try_from(items.len()).unwrap_or(u64::MAX);
        Ok(RelinkSearchAnswer {
            matches,
            not_found: sought.saturating_sub(found),
            files: report.files,
            refused: report
                .refused
                .into_iter()
                .map(|(path, reason)| Problem {
                    path: WirePath(path),
                    reason,
                })
                .collect(),
            complete: !is_cancelled,
            operation: recorded(&draft),
        })
    }

    fn sought(&self, reader: &Reader, which: &[Which]) -> Result<Vec<ItemNo>, RpcError> {
        if !which.is_empty() {
            let items = which.iter().map(|which| self.find(reader, which));
            return items.map(|item| item.map(|item| item.row)).collect();
        }
        let mut items = Vec::new();
        let mut after = 0;
        loop {
            let page = reader.missing_items(after, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(items);
            };
            after = last.0;
            items.extend(page);
        }
    }

    /// Relinks an item to what was found, if that is certain.
    fn settle(
        &self,
        item: &ItemRow,
        found: &Found,
        dry_run: bool,
        draft: &mut OperationDraft,
    ) -> Result<RelinkMatch, RpcError> {
        let mut told = RelinkMatch {
            media_id: item.media_id.clone(),
            name: item.name.clone(),
            outcome: MatchOutcome::Relinked,
            rank: match found.rank {
                Rank::Bytes => MatchRank::Bytes,
                Rank::Facts => MatchRank::Facts,
                Rank::Name => MatchRank::Name,
            },
            paths: found.paths.iter().cloned().map(WirePath).collect(),
            reason: None,
        };
        if found.rank == Rank::Name {
            told.outcome = MatchOutcome::Suggested;
            return Ok(told);
        }
        if found.is_ambiguous {
            told.outcome = MatchOutcome::Ambiguous;
            return Ok(told);
        }
        let Some(path) = found.paths.first() else {
            told.outcome = MatchOutcome::Failed;
            return Ok(told);
        };
        told.paths.truncate(1);
        if !dry_run && let Err(error) = self.library()?.relink(item.row, path, draft) {
            told.outcome = MatchOutcome::Failed;
            told.reason = Some(one_line(&error));
        }
        Ok(told)
    }
}

fn search_progress(progress: &Progress) -> TaskProgress {
    let now = progress.snapshot();
    let looking = matches!(now.phase, Phase::Looking);
    TaskProgress {
        kind: TaskKind::Relink,
        subject: "files".to_owned(),
        done: if looking { now.seen } else { now.done },
        total: (!looking).then_some(now.expected),
    }
}

/// What differs between an item and a file that is to be its bytes.
fn differences(
    reader: &Reader,
    item: &ItemRow,
    file: &Compared,
) -> Result<Vec<Difference>, RpcError> {
    let hash = reader.blake3(item.row)?;
    let mut differences = Vec::new();
    let mut differ = |what: &str, from: Option<String>, to: Option<String>| {
        if from != to {
            differences.push(Difference {
                what: what.to_owned(),
                from,
                to,
            });
        }
    };
    differ(
        "bytes",
        hash.map(|hash| hash.to_string()),
        Some(file.blake3.to_string()),
    );
    differ(
        "size",
        Some(item.size.to_string()),
        Some(file.size.to_string()),
    );
    differ(
        "kind",
        Some(item.kind.to_string()),
        Some(file.kind.to_string()),
    );
    let (from, to) = (reader.format(item.row)?, &file.format);
    let of = |get: &dyn Fn(&Format) -> Option<String>| (from.as_ref().and_then(get), get(to));
    let word = |format: &Format| {
        serde_json::to_value(format.container)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    for (what, get) in [
        ("container", &word as &dyn Fn(&Format) -> Option<String>),
        ("codec", &|format| {
            format.codec.as_ref().map(|codec| codec.0.clone())
        }),
        ("sampleRate", &|format| {
            format.sample_rate.map(|rate| rate.to_string())
        }),
        ("channels", &|format| {
            format.channels.map(|channels| channels.to_string())
        }),
        ("bitDepth", &|format| {
            format.bit_depth.map(|depth| depth.to_string())
        }),
        ("frames", &|format| {
            format.frames.map(|frames| frames.to_string())
        }),
    ] {
        let (from, to) = of(get);
        differ(what, from, to);
    }
    Ok(differences)
}
