//! Projects: made, opened, saved, saved as another one, closed; drafts, and what is held back.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mediafs_cache::ObjectId;

use super::Service;
use super::history::{draft, meant_by, recorded};
use super::import::watched;
use crate::catalog::{
    BaseKind, BaseRow, CatalogError, Draft, DraftRow, Durability, Hold, ItemRow, Reader,
};
use crate::control::methods::*;
use crate::control::rpc::one_line;
use crate::control::{Caller, Reason, RpcError, WirePath};
use crate::hydrate::Why;
use crate::library::{Library, Progress, ProgressSnapshot};
use crate::model::Playable;
use crate::project::{self, NewDraft, Opening, Revision, SaveAs, Wish};

/// How often is looked whether what a copy needs has come.
const GLANCE: Duration = Duration::from_millis(50);

impl Service {
    /// The project that is meant.
    pub(super) fn project(&self, which: &ProjectWhich) -> Result<BaseRow, RpcError> {
        let bases = self.catalog.reader()?.bases()?.into_iter();
        let projects: Vec<BaseRow> = bases
            .filter(|base| base.kind == BaseKind::Project)
            .collect();
        let found = if let Some(path) = &which.path {
            absolute(path)?;
            self.library()?
                .base_at(&path.0)?
                .filter(|base| base.kind == BaseKind::Project)
        } else if let Some(id) = &which.project_id {
            meant_by(&self.catalog.reader()?, &id.0)?
        } else if let Some(name) = &which.project_name {
            let reader = self.catalog.reader()?;
            reader.base_named(BaseKind::Project, name)?
        } else {
            projects.iter().find(|base| base.focused).cloned()
        };
        found.ok_or_else(|| {
            let what = match which {
                ProjectWhich {
                    path: Some(path), ..
                } => path.to_string(),
                ProjectWhich {
                    project_id: Some(id),
                    ..
                } => id.0.clone(),
                ProjectWhich {
                    project_name: Some(name),
                    ..
                } => name.clone(),
                _ => "that the host works in".to_owned(),
            };
            RpcError::new(Reason::NotFound, format!("no project {what} is known"))
                .remedy("project.list lists all; project.open opens one")
                .command(
                    "`mediafs project list` lists all; `mediafs project open FOLDER` opens one",
                )
        })
    }

    pub(super) fn project_info(&self, base: &BaseRow) -> Result<ProjectInfo, RpcError> {
        let reader = self.catalog.reader()?;
        let state = reader.project_state(base.row)?;
        let away = base
            .source
            .is_some_and(|source| !reader.source_state(source).is_online());
        Ok(ProjectInfo {
            project_id: base.project.clone().unwrap_or_default(),
            name: base.name.clone(),
            path: base.path.as_path().into(),
            open: base.active,
            focused: base.focused,
            away,
            revision: state.revision,
            document: state.document,
        })
    }

    fn opened(&self, library: &Arc<Library>, opening: Opening) -> Result<ProjectOpened, RpcError> {
        self.find_elsewhere(library, &opening.base);
        self.carry_takes_soon(library, &opening.base);
        let drafts = self.catalog.reader()?.drafts(opening.base.row)?;
        // A command knows of no takes: those that are written now would seem to be lost ones.
        let recovered = match self.daemon.is_some() && opening.base.source.is_none() {
            true => self.recovered_takes(library, Some(&opening.base))?,
            false => Vec::new(),
        };
        Ok(ProjectOpened {
            project: ProjectInfo {
                away: opening.away,
                ..self.project_info(&opening.base)?
            },
            added: count(opening.added),
            instead_of: opening.instead_of,
            merged: opening
                .merged
                .into_iter()
                .map(|merged| MergedCopy {
                    file: merged.file,
                    set_aside: merged.set_aside,
                    added: merged.added,
                    changed: merged.changed,
                })
                .collect(),
            held: opening.held.into_iter().map(held).collect(),
            not_followed: opening.not_followed,
            drafts: drafts.iter().map(draft_info).collect(),
            recovered,
            operation: None,
        })
    }

    /// Missing items may be in files that were not hashed yet. A daemon looks in the background; a command ends soon.
    fn find_elsewhere(&self, library: &Arc<Library>, base: &BaseRow) {
        let (library, row) = (Arc::clone(library), base.row);
        let look = move || {
            if let Err(error) = project::find_elsewhere(&library, row) {
                tracing::warn!(
                    error = one_line(&error),
                    "missing sounds of a project were not looked for"
                );
            }
        };
        if self.daemon.is_none() {
            look();
            return;
        }
        let looking = std::thread::Builder::new()
            .name("mediafs-find".to_owned())
            .spawn(look);
        if let Err(error) = looking {
            tracing::warn!(%error, "missing sounds of a project are not looked for");
        }
    }

    /// As [`Service::opened`], told to history.
    fn opened_by(
        &self,
        kind: &'static str,
        done: &str,
        intent: &Intent,
        opening: Opening,
    ) -> Result<ProjectOpened, RpcError> {
        let summary = format!("{done} {}", opening.base.name);
        let operation = self.tell_history(kind, summary, intent, Some(opening.base.row));
        Ok(ProjectOpened {
            operation,
            ..self.opened(&self.library()?, opening)?
        })
    }

    pub(super) fn project_new(&self, params: &ProjectNewParams) -> Result<ProjectOpened, RpcError> {
        let library = self.library()?;
        let path = absolute(&params.path)?;
        let name = params.name.as_deref();
        let opening = project::new_named(&library, path, name, params.focused)?;
        self.opened_by("project.new", "made the project", &params.intent, opening)
    }

    pub(super) fn project_open(
        &self,
        params: &ProjectOpenParams,
    ) -> Result<ProjectOpened, RpcError> {
        let library = self.library()?;
        let wish = Wish {
            focused: params.focused,
            revision: params.revision.clone(),
            previous: params.previous,
            only_known: true,
        };
        let opening = project::open_as(&library, absolute(&params.path)?, &wish)?;
        self.opened(&library, opening)
    }

    pub(super) fn project_save(
        &self,
        params: &ProjectSaveParams,
    ) -> Result<ProjectSaved, RpcError> {
        let base = self.project(&params.project)?;
        let host = Revision {
            revision: params.revision.clone(),
            document: params.document.clone(),
        };
        let library = self.library()?;
        // What is saved is to be with the project.
        self.carry_takes_first(&library, &base)?;
        let saved = project::save(&library, &base, &host)?;
        let summary = match &saved.revision {
            Some(revision) => format!("saved {} (revision {revision:.80})", base.name),
            None => format!("saved {}", base.name),
        };
        let operation = match saved.written {
            true => self.tell_history("project.save", summary, &params.intent, Some(base.row)),
            false => None,
        };
        Ok(ProjectSaved {
            operation,
            revision: saved.revision,
            items: count(saved.items),
            bytes: count(saved.bytes),
            written: saved.written,
            taken_over: saved.taken_over,
        })
    }

    pub(super) fn project_close(&self, which: &ProjectWhich) -> Result<ProjectInfo, RpcError> {
        let base = self.project(which)?;
        project::close(&*self.library()?, base.row)?;
        let row = self.catalog.reader()?.base(base.row)?.unwrap_or(base);
        self.project_info(&row)
    }

    pub(super) fn projects(&self) -> Result<ProjectListAnswer, RpcError> {
        let bases = self.catalog.reader()?.bases()?.into_iter();
        let projects = bases
            .filter(|base| base.kind == BaseKind::Project)
            .map(|base| self.project_info(&base));
        Ok(ProjectListAnswer {
            projects: projects.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn project_status(
        &self,
        which: &ProjectWhich,
    ) -> Result<ProjectStatusAnswer, RpcError> {
        let base = self.project(which)?;
        let project = self.project_info(&base)?;
        let reader = self.catalog.reader()?;
        let mut items = ItemCounts::default();
        for row in self.items_of(&reader, &base)? {
            items.total += 1;
            let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let availability = serde_json::to_value(row.availability).map(word);
            let playable = serde_json::to_value(row.playable).map(word);
            *items
                .availability
                .entry(availability.unwrap_or_default())
                .or_default() += 1;
            *items
                .playable
                .entry(playable.unwrap_or_default())
                .or_default() += 1;
        }
        let unsaved = match project.away {
            true => None,
            false => Some(project::is_unsaved(&*self.library()?, &base)?),
        };
        Ok(ProjectStatusAnswer {
            items,
            unsaved,
            held: reader.held(base.row)?.into_iter().map(held).collect(),
            drafts: reader.drafts(base.row)?.iter().map(draft_info).collect(),
            project,
        })
    }

    /// Items of a project, and of the library that it uses.
    pub(super) fn items_of(
        &self,
        reader: &Reader,
        base: &BaseRow,
    ) -> Result<Vec<ItemRow>, CatalogError> {
        let mut items = Vec::new();
        reader.each_project_item(base.row, |item| {
            items.push(item);
            Ok::<_, CatalogError>(())
        })?;
        if let Some(id) = &base.project {
            let own: std::collections::HashSet<String> =
                items.iter().map(|item| item.media_id.key()).collect();
            let used = reader.library_items_used(id)?.into_iter();
            items.extend(used.filter(|item| !own.contains(&item.media_id.key())));
        }
        Ok(items)
    }

    pub(super) fn project_allow(
        &self,
        params: &ProjectAllowParams,
    ) -> Result<ProjectOpened, RpcError> {
        let base = self.project(&params.project)?;
        let held = self.catalog.reader()?.held(base.row)?;
        for key in &params.keys {
            match held.iter().find(|hold| hold.key == *key) {
                None => {
                    return Err(RpcError::new(
                        Reason::NotFound,
                        format!("nothing is held back under the key {key:.80}"),
                    )
                    .remedy("project.status lists what is (held)")
                    .command("`mediafs project status` lists what is"));
                }
                Some(hold) if !hold.allowable => {
                    return Err(RpcError::new(
                        Reason::Refused,
                        format!("{key} cannot be let in: {}", hold.reason),
                    ));
                }
                Some(_) => {}
            }
        }
        let library = self.library()?;
        let opening = project::allow(&library, &base, &params.keys)?;
        let done = format!("let in {} of what was held back of", params.keys.len());
        self.opened_by("project.allow", &done, &params.intent, opening)
    }

    pub(super) fn project_export(&self, which: &ProjectWhich) -> Result<ProjectText, RpcError> {
        let base = self.project(which)?;
        let document = project::export(&*self.library()?, &base)?;
        let text = document
            .text()
            .ok()
            .and_then(|text| String::from_utf8(text).ok());
        let text = text.ok_or_else(|| {
            RpcError::new(
                Reason::Internal,
                "the manifest could not be written as JSON",
            )
        })?;
        Ok(ProjectText { text })
    }

    pub(super) fn project_load(
        &self,
        params: &ProjectLoadParams,
    ) -> Result<ProjectOpened, RpcError> {
        let library = self.library()?;
        let path = absolute(&params.path)?;
        let opening = project::load(&library, path, params.text.as_bytes(), params.focused)?;
        self.opened_by("project.load", "rebuilt", &params.intent, opening)
    }

    pub(super) fn project_save_as(
        &self,
        params: &ProjectSaveAsParams,
        caller: &mut dyn Caller,
    ) -> Result<ProjectSavedAs, RpcError> {
        let base = self.project(&params.project)?;
        let library = self.library()?;
        let wish = SaveAs {
            to: absolute(&params.to)?.to_owned(),
            name: params.name.clone(),
            collect: params.collect,
            host: Revision {
                revision: params.revision.clone(),
                document: params.document.clone(),
            },
            focused: params.focused,
        };
        let progress = Progress::default();
        let (done, is_cancelled) = watched(
            self.running.begin(TaskKind::Import),
            caller,
            &mut || copying(&progress.snapshot()),
            |cancel| -> Result<_, RpcError> {
                if params.collect {
                    self.bring_all(&base, cancel)?;
                }
                let bytes_of = |item: &ItemRow| self.open_cached(item);
                Ok(project::save_as(
                    &library, &base, &wish, &bytes_of, &progress, cancel,
                )?)
            },
        )?;
        // Whoever said stop when all was done has a project.
        let _ = is_cancelled;
        let saved = format!("saved {} as", base.name);
        Ok(ProjectSavedAs {
            opened: self.opened_by("project.saveAs", &saved, &params.intent, done.opening)?,
            copied: count(done.copied),
            bytes: done.bytes,
            left: done
                .left
                .into_iter()
                .map(|(media_id, name, reason)| LeftItem {
                    media_id,
                    name,
                    reason,
                })
                .collect(),
        })
    }

    /// Brings what is on sources into the cache, and waits for it. What does not come is told with the copies.
    fn bring_all(&self, base: &BaseRow, cancel: &AtomicBool) -> Result<(), RpcError> {
        // Without a daemon nothing can be brought.
        let Ok(away) = self.away() else {
            return Ok(());
        };
        let reader = self.catalog.reader()?;
        let mut tasks = Vec::new();
        for item in self.items_of(&reader, base)? {
            if item.playable != Playable::Bytes && super::away::obstacle(&reader, &item)?.is_none()
            {
                tasks.extend(away.hydrate(&reader, &item, Why::ByHand)?);
            }
        }
        for task in tasks {
            while !cancel.load(Ordering::Relaxed)
                && away
                    .hydrator
                    .task(task)
                    .is_some_and(|task| !task.phase.is_over())
            {
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }

    /// The bytes of an item in the cache.
    fn open_cached(&self, item: &ItemRow) -> Option<File> {
        let hash = self.catalog.reader().ok()?.blake3(item.row).ok()??;
        let store = self.cache.get().ok()?;
        let object = store.open_object(&ObjectId::from_bytes(hash.0)).ok()??;
        object.file().try_clone().ok()
    }

    pub(super) fn save_draft(&self, params: &DraftParams) -> Result<DraftInfo, RpcError> {
        let base = self.project(&params.project)?;
        let new = NewDraft {
            name: params.draft.clone(),
            state: params.state.to_string(),
            revision: params.revision.clone(),
        };
        let draft = project::save_draft(&self.catalog, &base, new)?;
        let summary = format!("kept the draft {:?} of {}", draft.name, base.name);
        Ok(DraftInfo {
            operation: self.tell_history(
                "project.saveDraft",
                summary,
                &params.intent,
                Some(base.row),
            ),
            ..info_of(&draft)
        })
    }

    fn find_draft(&self, params: &DraftWhich) -> Result<(BaseRow, Draft), RpcError> {
        let base = self.project(&params.project)?;
        match self.catalog.reader()?.draft(base.row, &params.draft)? {
            Some(draft) => Ok((base, draft)),
            None => Err(RpcError::new(
                Reason::NotFound,
                format!("the project has no draft {:?}", params.draft),
            )
            .remedy("project.status lists its drafts")
            .command("`mediafs project status` lists its drafts")),
        }
    }

    pub(super) fn draft(&self, params: &DraftWhich) -> Result<DraftState, RpcError> {
        let (_, draft) = self.find_draft(params)?;
        let state = serde_json::from_str(&draft.state).unwrap_or(serde_json::Value::Null);
        Ok(DraftState {
            info: info_of(&draft),
            state,
        })
    }

    pub(super) fn remove_draft(&self, params: &DraftWhich) -> Result<DraftInfo, RpcError> {
        let (base, draft) = self.find_draft(params)?;
        self.catalog
            .write(Durability::Full, |writer| -> Result<(), RpcError> {
                writer.remove_draft(base.row, &draft.name)?;
                Ok(())
            })?;
        let summary = format!("forgot the draft {:?} of {}", draft.name, base.name);
        Ok(DraftInfo {
            operation: self.tell_history(
                "project.removeDraft",
                summary,
                &params.intent,
                Some(base.row),
            ),
            ..info_of(&draft)
        })
    }

    pub(super) fn project_use(&self, params: &ProjectUseParams) -> Result<MadeItem, RpcError> {
        let base = self.project(&params.project)?;
        let reader = self.catalog.reader()?;
        let named = self.find(&reader, &params.item)?;
        // Of all that have the id, the library's.
        let item = reader
            .item_in_scope(&named.media_id, None)?
            .unwrap_or(named);
        if item.project.is_some_and(|project| project != base.row) {
            return Err(RpcError::new(
                Reason::Refused,
                format!("{} is a sound of another project", item.media_id),
            )
            .remedy("media.promote copies it into the library first")
            .command("`mediafs project promote` copies it into the library first"));
        }
        let summary = format!("took {} into {}", item.name, base.name);
        let mut draft = draft("use", summary, &params.intent);
        let row = project::use_item_noted(&*self.library()?, &base, &item, &mut draft)?;
        Ok(MadeItem {
            item: super::media::whole(&self.catalog.reader()?, row)?,
            operation: recorded(&draft),
        })
    }

    pub(super) fn promote(&self, params: &ProjectUseParams) -> Result<MadeItem, RpcError> {
        let base = self.project(&params.project)?;
        let reader = self.catalog.reader()?;
        let named = self.find(&reader, &params.item)?;
        let item = reader.item_in_scope(&named.media_id, Some(base.row))?;
        let item = item.ok_or_else(|| {
            RpcError::new(
                Reason::NotFound,
                format!("the project has no sound {}", named.media_id),
            )
        })?;
        let summary = format!("took {} into the library", item.name);
        let mut draft = draft("promote", summary, &params.intent);
        let row = project::promote_noted(&*self.library()?, &item, &mut draft)?;
        Ok(MadeItem {
            item: super::media::whole(&self.catalog.reader()?, row)?,
            operation: recorded(&draft),
        })
    }
}

fn absolute(path: &WirePath) -> Result<&Path, RpcError> {
    if path.0.is_absolute() {
        return Ok(&path.0);
    }
    Err(RpcError::new(
        Reason::InvalidParameter,
        format!("{path} is no absolute path"),
    ))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn held(hold: Hold) -> HeldEntry {
    HeldEntry {
        key: hold.key,
        media_id: hold.media_id,
        reason: hold.reason,
        allowable: hold.allowable,
    }
}

fn info_of(draft: &Draft) -> DraftInfo {
    draft_info(&DraftRow {
        name: draft.name.clone(),
        at: draft.at,
        revision: draft.revision.clone(),
        bytes: count(draft.state.len()),
        items: draft.items.clone(),
    })
}

fn draft_info(draft: &DraftRow) -> DraftInfo {
    DraftInfo {
        draft: draft.name.clone(),
        at: draft.at.millis(),
        revision: draft.revision.clone(),
        pending: serde_json::from_str(&draft.items).unwrap_or_default(),
        bytes: draft.bytes,
        operation: None,
    }
}

fn copying(progress: &ProgressSnapshot) -> TaskProgress {
    TaskProgress {
        kind: TaskKind::Import,
        subject: "sounds of the project".to_owned(),
        done: progress.done,
        total: Some(progress.expected),
    }
}
