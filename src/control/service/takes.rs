//! Recording: takes are reserved, made final, given up, listed and cleaned up.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Service;
use crate::catalog::{BaseRow, Durability, ItemNo, ItemRow, Nanoseconds, Reader, TakeRow};
use crate::control::events::{Event, MediaRecovered};
use crate::control::methods::*;
use crate::control::rpc::one_line;
use crate::control::warnings::{Severity, Warning};
use crate::control::{Reason, RpcError};
use crate::library::{Library, TakeError};
use crate::model::{Lifecycle, Origin, Scope, Usage, path_text};
use crate::project::takes::{self, Recovered, ReserveError, Takes, Wanted};

/// So much time has to be left on a disk, in seconds.
const TIME_LEFT: u64 = 600;
/// The area of warnings of disks that takes fill.
const SPACE: &str = "takes.space";
/// The warning that takes wait to be made final.
const RECOVERED: &str = "takes.recovered";

/// How much there was of each take when it was looked last.
pub(super) type Sizes = HashMap<ItemNo, (Instant, u64)>;

impl From<ReserveError> for RpcError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Catalog(error) => error.into(),
            ReserveError::NoRoom { .. } => Self::new(Reason::Refused, one_line(&error))
                .remedy("free some space there, or expect a shorter take"),
            ReserveError::Folder { .. } => Self::new(Reason::Storage, one_line(&error)),
        }
    }
}

impl From<TakeError> for RpcError {
    fn from(error: TakeError) -> Self {
        let reason = match error {
            TakeError::Catalog(error) => return error.into(),
            TakeError::Library(error) => return error.into(),
            TakeError::Io { .. } | TakeError::Gone { .. } => Reason::Storage,
            _ => Reason::Refused,
        };
        Self::new(reason, one_line(&error))
    }
}

impl Service {
    /// Who has which take open.
    pub(crate) fn takes(&self) -> &Arc<Takes> {
        &self.takes
    }

    pub(super) fn reserve(&self, params: &ReserveParams) -> Result<Reserved, RpcError> {
        let mount = self.mount_point().ok_or_else(|| {
            RpcError::new(
                Reason::NoDaemon,
                "takes are written through the drive, and none is mounted",
            )
            .remedy("`mediafs ensure --json` mounts it")
            .command("start it with `mediafs mount`")
        })?;
        let name = take_name(&params.name, &params.ext)?;
        let library = self.library()?;
        let project = match &params.project_path {
            Some(folder) => Some(self.project_for_takes(&library, folder)?),
            None => None,
        };
        let in_project = project
            .as_ref()
            .is_some_and(|base| base.source.is_none() && library.untrusted(&base.path).is_none());
        let rate = match params.format {
            Some(format) => {
                let bytes = u64::from(format.bit_depth).div_ceil(8);
                u64::from(format.sample_rate)
                    .saturating_mul(u64::from(format.channels))
                    .saturating_mul(bytes)
            }
            None => takes::usual_rate(&params.kind),
        };
        let wanted = Wanted {
            media_id: params.media_id.clone().unwrap_or_default(),
            project,
            in_project,
            kind: params.kind.clone(),
            name,
            origin: Origin::Recorded,
            rate,
            expected: params.expected_seconds,
        };
        let (item, take) = takes::reserve(&self.catalog, &self.takes, &wanted)?;
        self.look_at_takes()?;
        let operation = self.tell_of_take("reserve", "reserved", item, &params.intent);
        let path = format!("record/{}", take.name);
        let staging = self.takes.path_of(&self.catalog.reader()?, &take)?;
        Ok(Reserved {
            media_id: wanted.media_id,
            file: mount.join(&path).as_path().into(),
            path,
            staging: staging.unwrap_or_default().as_path().into(),
            operation,
        })
    }

    /// What there is of a take by now, in the shape of an item.
    pub(super) fn show_take(
        &self,
        reader: &Reader,
        item: &ItemRow,
        whole: &mut crate::model::MediaItem,
    ) -> Result<(), RpcError> {
        let Some(take) = reader.take(item.row)? else {
            return Ok(());
        };
        if let Some(path) = self.takes.path_of(reader, &take)?
            && let Ok(found) = path.symlink_metadata()
        {
            whole.size = found.len();
            whole.resolved_path = Some(path_text(&path));
            if let Ok(modified) = found.modified() {
                whole.modified_nanoseconds = Nanoseconds::from(modified).0;
            }
        }
        Ok(())
    }

    /// An open project by its folder; another one is opened.
    fn project_for_takes(
        &self,
        library: &Library,
        folder: &crate::control::WirePath,
    ) -> Result<BaseRow, RpcError> {
        let known = self.catalog.reader()?.bases()?.into_iter().find(|base| {
            base.kind == crate::catalog::BaseKind::Project && base.active && base.path == folder.0
        });
        match known {
            Some(base) => Ok(base),
            None => Ok(crate::project::open(library, &folder.0, false)?),
        }
    }

    /// The take that is meant: of items that share an id, one that is not final.
    fn find_take(&self, which: &Which) -> Result<(ItemRow, Option<TakeRow>), RpcError> {
        let reader = self.catalog.reader()?;
        let mut item = self.find(&reader, which)?;
        // One that was made final, and is asked for again, stands for itself; so does what is named by its path.
        let by_id = which.media_id.is_some();
        if item.is_final() && by_id && reader.take(item.row)?.is_none() {
            let others = reader.items_with_id(&item.media_id)?;
            let unfinished = others.into_iter().find(|other| !other.is_final());
            item = unfinished.unwrap_or(item);
        }
        let take = reader.take(item.row)?;
        Ok((item, take))
    }

    pub(super) fn finalise(&self, params: &FinaliseParams) -> Result<Finalised, RpcError> {
        let (item, take) = self.find_take(&params.item)?;
        let take = take.filter(|_| !item.is_final());
        let changes = take.is_some() || !params.usages.is_empty();
        let repaired = match take {
            Some(take) => self.library()?.finalise_take(&self.takes, &item, &take)?,
            None if item.is_final() => Vec::new(),
            None => return Err(not_a_take(&item)),
        };
        self.attach(&item, &params.usages)?;
        self.look_at_takes()?;
        if let Some(base) = item.project.filter(|_| changes)
            && let Some(base) = self.catalog.reader()?.base(base)?
        {
            self.carry_takes_soon(&*self.library()?, &base);
        }
        let operation = changes
            .then(|| self.tell_of_take("finalise", "made final:", item.row, &params.intent))
            .flatten();
        Ok(Finalised {
            item: super::media::whole(&self.catalog.reader()?, item.row)?,
            repaired,
            operation,
        })
    }

    fn attach(&self, item: &ItemRow, usages: &[TakeUsage]) -> Result<(), RpcError> {
        if usages.is_empty() {
            return Ok(());
        }
        let own = match item.project {
            Some(base) => self
                .catalog
                .reader()?
                .base(base)?
                .and_then(|base| base.project),
            None => None,
        };
        self.catalog.write(Durability::Full, |writer| {
            for usage in usages {
                let project = usage.project.clone().or_else(|| own.clone().map(|id| id.0));
                let project = project.ok_or_else(|| {
                    RpcError::new(
                        Reason::InvalidParameter,
                        "a take of no project is used by none, unless its usage names one",
                    )
                })?;
                let usage = Usage {
                    project,
                    role: usage.role.clone(),
                    target: usage.target.clone(),
                };
                writer.add_usage(item.row, &usage)?;
            }
            Ok(())
        })
    }

    /// Tells history what became of a take.
    fn tell_of_take(
        &self,
        kind: &'static str,
        what: &str,
        item: ItemNo,
        intent: &Intent,
    ) -> Option<Operation> {
        let found = self.catalog.reader().and_then(|reader| reader.item(item));
        let item = found.ok().flatten()?;
        self.tell_history(kind, format!("{what} {}", item.name), intent, item.project)
    }

    pub(super) fn abandon(&self, params: &AbandonParams) -> Result<Abandoned, RpcError> {
        let (item, take) = self.find_take(&params.item)?;
        if take.is_none() || item.is_final() {
            return Err(not_a_take(&item));
        }
        self.catalog
            .write(Durability::Full, |writer| -> Result<(), RpcError> {
                Ok(writer.give_up_take(item.row, Some(takes::now()))?)
            })?;
        self.look_at_takes()?;
        let reader = self.catalog.reader()?;
        let now = reader.item(item.row)?.zip(reader.take(item.row)?);
        let (item, take) = now.ok_or_else(|| not_a_take(&item))?;
        Ok(Abandoned {
            take: self.told(&reader, &item, take)?,
            operation: self.tell_of_take("abandon", "gave up", item.row, &params.intent),
        })
    }

    pub(super) fn list_takes(&self, params: &TakesParams) -> Result<TakeList, RpcError> {
        let reader = self.catalog.reader()?;
        let mut scope = None;
        if let Some(folder) = &params.project_path {
            let base = reader.bases()?.into_iter().find(|base| {
                base.kind == crate::catalog::BaseKind::Project && base.path == folder.0
            });
            let base = base.ok_or_else(|| {
                RpcError::new(Reason::NotFound, format!("{folder} is no known project"))
            })?;
            scope = Some(Some(base.row));
        }
        let mut takes = Vec::new();
        for item in reader.unfinished(scope)? {
            if let Some(take) = reader.take(item.row)?
                && (!params.recovered || take.recovered && take.given_up.is_none())
            {
                takes.push(self.told(&reader, &item, take)?);
            }
        }
        Ok(TakeList { takes })
    }

    fn told(&self, reader: &Reader, item: &ItemRow, take: TakeRow) -> Result<Take, RpcError> {
        let path = self.takes.path_of(reader, &take)?;
        let found = path
            .as_deref()
            .and_then(|path| path.symlink_metadata().ok());
        let project = match item.project {
            Some(base) => reader.base(base)?.and_then(|base| base.project),
            None => None,
        };
        let writing =
            self.takes.writers(item.row) > 0 || path.as_deref().is_some_and(takes::is_written);
        Ok(Take {
            media_id: item.media_id.clone(),
            scope: project.map_or(Scope::Library, Scope::Project),
            name: item.name.clone(),
            kind: item.kind.clone(),
            lifecycle: item.lifecycle,
            path: format!("record/{}", take.name),
            staging: path.as_deref().map(Into::into),
            size: found.map(|found| found.len()),
            reserved: take.reserved.millis(),
            abandoned: take.given_up.map(Nanoseconds::millis),
            recovered: take.recovered,
            writing,
        })
    }

    pub(super) fn cleanup(&self, params: &CleanupParams) -> Result<CleanupAnswer, RpcError> {
        const DAY: i64 = 24 * 3600 * 1_000_000_000;
        let days = i64::try_from(takes::DAYS).unwrap_or(i64::MAX);
        let before = Nanoseconds(takes::now().0.saturating_sub(days.saturating_mul(DAY)));
        let cleaned = takes::cleanup(&self.catalog, &self.takes, before, params.dry_run)?;
        let moved = cleaned.iter().filter(|take| take.kept.is_none()).count();
        let summary = match moved {
            1 => "moved an abandoned take to the trash".to_owned(),
            moved => format!("moved {moved} abandoned takes to the trash"),
        };
        let operation = (moved > 0 && !params.dry_run)
            .then(|| self.tell_history("cleanup", summary, &params.intent, None))
            .flatten();
        Ok(CleanupAnswer {
            operation,
            takes: cleaned
                .into_iter()
                .map(|cleaned| CleanedTake {
                    media_id: cleaned.item.media_id,
                    name: cleaned.item.name,
                    file: cleaned.file.as_path().into(),
                    size: cleaned.size,
                    kept: cleaned.kept,
                })
                .collect(),
        })
    }

    /// Takes of a project (`None`: of the library) that an earlier daemon had not seen the end of, with those whose files
    /// are there without a row: what `project.open` offers. Each that is new is told.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn recovered_takes(
        &self,
        library: &Library,
        base: Option<&BaseRow>,
    ) -> Result<Vec<Take>, RpcError> {
        let may_touch = |folder: &Path| library.untrusted(folder).is_none();
        let recovered = takes::recover(&self.catalog, &self.takes, base, &may_touch)?;
        let reader = self.catalog.reader()?;
        let mut told = Vec::new();
        for Recovered {
            item,
            take,
            size,
            is_written,
        } in recovered
        {
            let Some(item) = reader.item(item)? else {
                continue;
            };
            self.events.publish(Event::MediaRecovered(MediaRecovered {
                media_id: item.media_id.clone(),
                name: item.name.clone(),
                size,
                writing: is_written,
            }));
            told.push(self.told(&reader, &item, take)?);
        }
        drop(reader);
        self.look_at_takes()?;
        Ok(told)
    }

    /// At the start of a daemon, when its projects are open: takes of the home and of open projects.
    pub(crate) fn recover_all_takes(&self, library: &Library) {
        let recovered = || -> Result<(), RpcError> {
            self.recovered_takes(library, None)?;
            for base in self.catalog.reader()?.bases()? {
                let is_open = base.kind == crate::catalog::BaseKind::Project && base.active;
                if is_open && base.source.is_none() {
                    self.recovered_takes(library, Some(&base))?;
                }
            }
            Ok(())
        };
        if let Err(error) = recovered() {
            tracing::error!(error = one_line(&error), "takes cannot be recovered");
        }
    }

    /// Warns of disks that takes will have filled soon, and of takes that wait to be made final.
    pub(super) fn look_at_takes(&self) -> Result<(), crate::catalog::CatalogError> {
        let reader = self.catalog.reader()?;
        let (mut count, mut items) = (0_u64, Vec::new());
        for item in reader.unfinished(None)? {
            let waits = item.lifecycle == Lifecycle::Pending
                && reader.take(item.row)?.is_some_and(|take| take.recovered);
            if waits {
                count += 1;
                items.push(item.media_id);
            }
        }
        if count > 0 {
            let text = match count {
                1 => "1 take was not made final before the daemon ended".to_owned(),
                count => format!("{count} takes were not made final before the daemon ended"),
            };
            self.warnings.raise(
                Warning::new(RECOVERED, Severity::Warning, text)
                    .remedy("media.takes with `recovered: true` lists them; finalise each, or abandon it")
                    .command("`mediafs takes` lists them; finalise each, or abandon it")
                    .about(count, items),
            );
        } else {
            self.warnings.clear(RECOVERED);
        }
        let warnings = self.space_warnings(&reader)?;
        self.warnings.replace(SPACE, warnings);
        Ok(())
    }

    fn space_warnings(
        &self,
        reader: &Reader,
    ) -> Result<Vec<Warning>, crate::catalog::CatalogError> {
        let mut sizes = self.take_sizes.lock();
        let mut now = Sizes::new();
        let disks = takes::room_for_takes(reader, &self.takes, &mut |item, size| {
            let before = sizes.get(&item).copied();
            let (since, old) = before.unwrap_or_else(|| (Instant::now(), size));
            let elapsed = since.elapsed();
            // Over less than a second it would be no rate.
            if elapsed.as_secs() < 1 {
                now.insert(item, (since, old));
                return 0;
            }
            now.insert(item, (Instant::now(), size));
            let grew = u128::from(size.saturating_sub(old)) * 1000;
            u64::try_from(grew / elapsed.as_millis().max(1)).unwrap_or(u64::MAX)
        })?;
        *sizes = now;
        let mut warnings = Vec::new();
        for disk in disks {
            let Some(left) = disk
                .free
                .checked_div(disk.rate)
                .filter(|left| *left < TIME_LEFT)
            else {
                continue;
            };
            let mut items = Vec::new();
            for item in &disk.items {
                items.extend(reader.item(*item)?.map(|item| item.media_id));
            }
            let folder = path_text(&disk.folder);
            let id = crate::control::warnings::id_of_text(SPACE, &folder);
            let text = format!(
                "the disk of {folder} has room for {} min of the takes that are recorded there",
                left / 60
            );
            warnings.push(
                Warning::new(id, Severity::Error, text)
                    .remedy("free some space on it now, or end a take")
                    .about(disk.items.len() as u64, items),
            );
        }
        Ok(warnings)
    }
}

fn not_a_take(item: &ItemRow) -> RpcError {
    RpcError::new(
        Reason::Refused,
        format!("{:?} is no take that is being recorded", item.name),
    )
    .remedy("media.takes lists those")
    .command("`mediafs takes` lists those")
}

/// The name of a take with its extension.
fn take_name(name: &str, ext: &str) -> Result<String, RpcError> {
    const LONGEST_EXTENSION: usize = 16;
    let ext = ext.strip_prefix('.').unwrap_or(ext);
    let fits = (1..=LONGEST_EXTENSION).contains(&ext.len())
        && ext.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !fits {
        return Err(RpcError::new(
            Reason::InvalidParameter,
            format!(
                "{:?} is no extension of a file: 1 to 16 letters and digits are expected",
                ext.chars().take(80).collect::<String>()
            ),
        ));
    }
    if name.is_empty() {
        return Err(RpcError::new(
            Reason::InvalidParameter,
            "a take needs a name",
        ));
    }
    let (_, given) = crate::model::split_extension(name);
    Ok(if given.eq_ignore_ascii_case(ext) {
        name.to_owned()
    } else {
        format!("{name}.{ext}")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_have_the_extension_once() {
        let name = |name, ext| take_name(name, ext).unwrap();
        assert_eq!(name("Lead", "wav"), "Lead.wav");
        assert_eq!(name("Lead", ".wav"), "Lead.wav");
        assert_eq!(name("Lead.WAV", "wav"), "Lead.WAV");
        assert_eq!(name("Lead 2.0", "wav"), "Lead 2.0.wav");
        for (wrong, ext) in [
            ("", "wav"),
            ("a", ""),
            ("a", "w/v"),
            ("a", "waaaaaaaaaaaaaaaaav"),
        ] {
            assert!(take_name(wrong, ext).is_err(), "{wrong:?} {ext:?}");
        }
    }
}
