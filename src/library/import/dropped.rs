//! Taking a file of the drop box into the library: moved, not copied, once it is whole.

use std::io;
use std::path::Path;

use crate::catalog::{NewItem, ProbeRecord, Writer};
use crate::library::disk::LocalRoot;
use crate::library::drop_box::{Cut, DropBox};
use crate::library::owner::{Library, Which};
use crate::model::{MediaId, Origin, display_name};

use super::take::{Entering, TakeError, goal, read_whole};

/// How a probe says that the end of a file is missing.
const SHORT: &str = "more bytes than there are";

/// What became of a file of the drop box.
#[derive(Debug)]
pub(crate) enum Dropped {
    /// It is an item.
    Imported(MediaId),
    /// It was not written to its end: it stays where it is.
    CutOff(Cut),
    /// Its end is missing, as it says itself: it stays where it is.
    Incomplete(String),
    /// It stays where it is.
    Refused(TakeError),
    /// Somebody writes to it again, or it is gone.
    Later,
}

impl Library {
    /// Makes an item of a file of the drop box, if it is still due.
    pub(crate) fn import_dropped(&self, drop_box: &DropBox, path: &Path) -> Dropped {
        // What was looked at a moment ago may be written anew by now.
        let Some(seal) = drop_box.seal(path) else {
            return Dropped::Later;
        };
        if let Some(cut) = seal.cut() {
            return Dropped::CutOff(cut);
        }
        let outcome = match self.enter_dropped(drop_box, path) {
            Ok(outcome) => outcome,
            Err(TakeError::Gone { .. }) => Dropped::Later,
            Err(error) => Dropped::Refused(error),
        };
        if matches!(outcome, Dropped::Imported(_)) {
            seal.taken();
        } else if !drop_box.absolute(path).exists() {
            seal.gone();
        }
        outcome
    }

    fn enter_dropped(&self, drop_box: &DropBox, below: &Path) -> Result<Dropped, TakeError> {
        let engine = &*self.engine;
        let path = drop_box.absolute(below);
        let file_name = below.file_name().unwrap_or_default();
        let name = display_name(file_name.as_encoded_bytes());
        let failed = |doing| {
            let (name, path) = (name.clone(), path.clone());
            move |source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => TakeError::Gone { name, path },
                _ => TakeError::Io {
                    name,
                    doing,
                    path,
                    source,
                },
            }
        };
        let parent = path.parent().unwrap_or(&path);
        let root = LocalRoot::open(parent).map_err(failed("opening it"))?;
        let opened = root
            .file(Path::new(file_name))
            .map_err(failed("opening it"))?;
        let _busy = engine.busy();
        let own_name = file_name.as_encoded_bytes();
        let mut whole = read_whole(opened.0, &name, own_name, &path, &failed)?;
        if let ProbeRecord::Media { notes, .. } = &whole.record
            && let Some(short) = notes.iter().find(|note| note.ends_with(SHORT))
        {
            return Ok(Dropped::Incomplete(format!("it {short}")));
        }
        let folder = below.parent().unwrap_or_else(|| Path::new(""));
        let goal = goal(engine, None, folder)?;
        if goal.is_new {
            self.scan(&Which::One(goal.base.row));
        }
        let media_id = MediaId::new();
        let entering = Entering {
            name: &name,
            wanted: file_name.to_owned(),
            temporary: format!("dropped-{media_id}.part"),
            // A crash between the two leaves a file in a library, of which a scan makes an item.
            before: &|_: &mut Writer, _| Ok(()),
            enter: &|writer: &mut Writer, place, blake3, _| {
                let item = NewItem {
                    media_id: media_id.clone(),
                    project: None,
                    name: name.clone(),
                    origin: Origin::Imported,
                    place,
                    blake3,
                };
                writer.add_item(&item).map(drop)
            },
        };
        self.move_there(&entering, &path, &mut whole, &goal, &failed)?;
        Ok(Dropped::Imported(media_id))
    }
}
