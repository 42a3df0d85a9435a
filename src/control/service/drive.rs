//! How the drive is: status, checks, and what could not be taken in.

use std::path::PathBuf;

use super::{DaemonSide, START, Service};
use crate::catalog::BaseKind;
use crate::control::methods::*;
use crate::control::{RpcError, Warning};
use crate::library::Phase;

/// Cursors of `drive.problems` up to here are numbers of places; further ones count what the library lists.
const LIBRARYS: u64 = 1 << 32;

impl Service {
    pub(super) fn status(&self) -> Result<Status, RpcError> {
        let reader = self.catalog.reader()?;
        // Nobody waits for a library here: status is asked to find out.
        let library = self.library.lock().clone();
        let mut libraries = Vec::new();
        let mut projects = Vec::new();
        for base in reader.bases()? {
            let list = match base.kind {
                BaseKind::Library => &mut libraries,
                BaseKind::Project => &mut projects,
                BaseKind::Computer | BaseKind::Source => continue,
            };
            let problem = library
                .as_ref()
                .filter(|_| base.active)
                .and_then(|library| library.problem_at(&base.path));
            list.push(BaseStatus {
                problem,
                ..base.into()
            });
        }
        let counts = reader.counts()?;
        let mut items = ItemCounts {
            total: counts.items,
            ..ItemCounts::default()
        };
        for (availability, playable, count) in counts.states {
            *items.availability.entry(word(&availability)).or_default() += count;
            *items.playable.entry(word(&playable)).or_default() += count;
        }
        self.look_for_warnings()?;
        let warnings = self.warnings.all();
        let mut tasks = Vec::new();
        let mut left_out = 0;
        if let Some(library) = library {
            left_out = library.problem_count() as u64;
            let progress = library.progress();
            if progress.phase != Phase::Idle {
                tasks.push(super::libraries::scan_progress(&progress));
            }
        }
        Ok(Status {
            running: self.daemon.is_some(),
            pid: self.daemon.is_some().then(std::process::id),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: self.home.data().into(),
            mount: self.daemon.as_ref().and_then(DaemonSide::mount_now),
            libraries,
            projects,
            items,
            problems: counts.problems,
            left_out,
            tasks,
            warnings: warnings.iter().map(Warning::line).collect(),
        })
    }

    pub(super) fn check(&self) -> Result<Check, RpcError> {
        let library = self.library.lock().clone();
        let unwatched = match library {
            Some(library) => library.unwatched()?.into_iter().map(problem).collect(),
            None => Vec::new(),
        };
        Ok(Check {
            catalog: self.catalog.check()?,
            unwatched,
            warnings: self
                .warnings
                .of_area(START)
                .iter()
                .map(Warning::line)
                .collect(),
        })
    }

    pub(super) fn problems(&self, params: ProblemsParams) -> Result<ProblemsPage, RpcError> {
        let limit = params
            .limit
            .unwrap_or(ProblemsParams::MOST)
            .clamp(1, ProblemsParams::MOST);
        if let Ok(after) = u32::try_from(params.after) {
            let found = self.catalog.reader()?.problems(after, limit)?;
            if let Some((last, ..)) = found.last() {
                return Ok(ProblemsPage {
                    next: Some(last.0.into()),
                    unreadable: found
                        .into_iter()
                        .map(|(_, path, reason)| problem((path, reason)))
                        .collect(),
                    left_out: Vec::new(),
                });
            }
        }
        let known = params.after.saturating_sub(LIBRARYS);
        let found = match self.library.lock().clone() {
            Some(library) => library.problems(
                usize::try_from(known).unwrap_or(usize::MAX),
                usize::try_from(limit).unwrap_or(usize::MAX),
            ),
            None => Vec::new(),
        };
        let count = found.len() as u64;
        Ok(ProblemsPage {
            unreadable: Vec::new(),
            left_out: found.into_iter().map(problem).collect(),
            next: (count == u64::from(limit)).then_some(LIBRARYS + known + count),
        })
    }
}

fn problem((path, reason): (PathBuf, String)) -> Problem {
    Problem {
        path: path.as_path().into(),
        reason,
    }
}

/// The protocol's word for a state.
fn word<T: serde::Serialize>(state: &T) -> String {
    serde_json::to_value(state)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
