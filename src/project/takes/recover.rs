//! Takes that outlived whoever wrote them: found again at the start of a daemon, and when a project is opened.
//!
//! A row of the catalog without a file, and a file without a row (of a catalog that was lost, or of a project that was
//! copied here), are takes all the same, and told.

use std::path::Path;

use super::moves::settle_moves;
use super::open::is_written;
use super::reserve::{now, usual_rate};
use super::{Takes, staging};
use crate::catalog::{
    BaseRow, Catalog, CatalogError, Durability, ItemNo, NewTake, Reader, TakeRow, Writer,
};
use crate::control::rpc::one_line;
use crate::model::{Kind, MediaId, Origin, split_extension};

/// Most files without a row that are taken in from one folder: it may come from a stranger.
const MOST: usize = 1000;

/// A take that an earlier daemon had not seen the end of.
#[derive(Clone, Debug)]
pub(crate) struct Recovered {
    /// Its item.
    pub(crate) item: ItemNo,
    /// Its row.
    pub(crate) take: TakeRow,
    /// What there is of it; `None` where its file is gone.
    pub(crate) size: Option<u64>,
    /// A program still writes to it.
    pub(crate) is_written: bool,
}

/// At the start of a daemon: takes that are not final are recovered ones, whoever reserved them.
pub(crate) fn begin(catalog: &Catalog) -> Result<(), CatalogError> {
    catalog.write(Durability::Full, |writer| {
        // What is final is in `record/` until its project is closed, or the daemon ends.
        writer.release_takes(None)?;
        writer.recover_takes().map(drop)
    })
}

/// Takes in files of takes that no row tells of, in the folder of this base (`None`: of the home), and gives the recovered
/// takes of the base's scope: what `project.open` answers.
pub(crate) fn recover(
    catalog: &Catalog,
    takes: &Takes,
    base: Option<&BaseRow>,
    may_touch: &dyn Fn(&Path) -> bool,
) -> Result<Vec<Recovered>, CatalogError> {
    settle_moves(catalog, takes, may_touch)?;
    if base.is_none_or(|base| base.source.is_none()) {
        adopt(catalog, takes, base)?;
    }
    let reader = catalog.reader()?;
    let mut recovered = Vec::new();
    for item in reader.unfinished(Some(base.map(|base| base.row)))? {
        if let Some(take) = reader.take(item.row)?
            && take.recovered
            && take.given_up.is_none()
        {
            recovered.push(recovered_take(&reader, takes, take)?);
        }
    }
    Ok(recovered)
}

fn recovered_take(
    reader: &Reader,
    takes: &Takes,
    take: TakeRow,
) -> Result<Recovered, CatalogError> {
    let path = takes.path_of(reader, &take)?;
    let found = path
        .as_deref()
        .and_then(|path| path.symlink_metadata().ok());
    Ok(Recovered {
        item: take.item,
        size: found.map(|found| found.len()),
        is_written: path.is_some_and(|path| is_written(&path)),
        take,
    })
}

fn adopt(catalog: &Catalog, takes: &Takes, base: Option<&BaseRow>) -> Result<(), CatalogError> {
    let folder = takes.folder(base);
    let files = match staging::list(&folder) {
        Ok(files) => files,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "takes cannot be looked for");
            return Ok(());
        }
    };
    let reader = catalog.reader()?;
    let base_number = base.map(|base| base.row);
    let known: std::collections::HashSet<String> = reader
        .list_takes(0, u32::MAX)?
        .into_iter()
        .filter(|take| take.base == base_number)
        .map(|take| take.file)
        .collect();
    drop(reader);
    let unknown = files.iter().filter(|file| !known.contains(*file));
    for file in unknown.take(MOST) {
        let Some((id, name)) = staging::parse(file.as_ref()) else {
            continue;
        };
        // One that is empty was reserved by a daemon that died before it told of it.
        let is_empty = folder
            .join(file)
            .symlink_metadata()
            .is_ok_and(|found| found.len() == 0);
        if is_empty {
            continue;
        }
        let adopted = adopt_if_unknown(catalog, base, &folder, file, &id, name);
        match adopted {
            Ok(true) => tracing::info!(file, "a take that no row told of was found"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(file, error = one_line(&error), "a take cannot be taken in");
            }
        }
    }
    Ok(())
}

/// Whether it was: it may have been reserved, or made final, since its folder was read.
fn adopt_if_unknown(
    catalog: &Catalog,
    base: Option<&BaseRow>,
    folder: &Path,
    file: &str,
    id: &MediaId,
    name: &str,
) -> Result<bool, CatalogError> {
    let base_number = base.map(|base| base.row);
    catalog.write(Durability::Full, |writer| {
        let mut takes = writer.reader().list_takes(0, u32::MAX)?.into_iter();
        let is_known = takes.any(|take| take.base == base_number && take.file == *file);
        if is_known || folder.join(file).symlink_metadata().is_err() {
            return Ok(false);
        }
        adopt_file(writer, base, file, id, name).map(|()| true)
    })
}

fn adopt_file(
    writer: &mut Writer,
    base: Option<&BaseRow>,
    file: &str,
    id: &MediaId,
    name: &str,
) -> Result<(), CatalogError> {
    let project = base.map(|base| base.row);
    // Its own id, unless something else has that by now.
    let is_taken = writer.reader().item_in_scope(id, project)?.is_some();
    let kind = kind_of(name);
    writer
        .reserve_take(&NewTake {
            media_id: if is_taken { MediaId::new() } else { id.clone() },
            project,
            rate: usual_rate(&kind),
            kind,
            name: name.to_owned(),
            origin: Origin::Recorded,
            base: project,
            file: file.to_owned(),
            expected: None,
            reserved: now(),
            recovered: true,
        })
        .map(drop)
}

/// By the name alone; what it is in truth is found when it becomes final.
fn kind_of(name: &str) -> Kind {
    match split_extension(name).1.to_ascii_lowercase().as_str() {
        "mid" | "midi" | "smf" => Kind::Midi,
        "mp4" | "m4v" | "mov" | "mkv" | "webm" | "avi" => Kind::Video,
        _ => Kind::Audio,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_by_the_time_it_would_be_taken_in_is_not() {
        let home = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(home.path()).unwrap();
        let folder = Takes::new(home.path()).folder(None);
        let id: MediaId = "take-1".parse().unwrap();
        let adopt =
            |file: &str| adopt_if_unknown(&catalog, None, &folder, file, &id, "Lead.wav").unwrap();
        let count = || catalog.reader().unwrap().list_takes(0, 9).unwrap().len();
        let file = "take-1 Lead.wav";
        staging::create(&folder, file).unwrap();
        assert!(adopt(file));
        // Another request was quicker.
        assert!(!adopt(file));
        assert_eq!(count(), 1);
        // One that has become final is elsewhere.
        assert!(!adopt("take-1 gone.wav"));
        assert_eq!(count(), 1);
    }
}
