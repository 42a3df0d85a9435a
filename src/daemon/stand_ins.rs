//! Notes the hash of each silence that is given in the place of a sound, in the background, so that copies of it are known.

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam_channel::{Sender, unbounded};
use parking_lot::Mutex;

use crate::catalog::{Catalog, CatalogError, Durability, ItemNo};
use crate::control::rpc::one_line;
use crate::silence::{hash_of, placeholder};

/// Items whose silence is remembered to be noted; of more, the memory is emptied.
const REMEMBERED: usize = 65_536;

/// Takes the items of which silence is given.
pub(super) struct StandIns {
    /// Items and generations.
    noted: Mutex<HashSet<(ItemNo, u32)>>,
    wanted: Sender<(ItemNo, u32)>,
}

impl StandIns {
    /// Starts the thread that notes. It ends when this is dropped.
    pub(super) fn begin(catalog: Arc<Catalog>) -> Self {
        let (wanted, items) = unbounded::<(ItemNo, u32)>();
        let noting = std::thread::Builder::new()
            .name("mediafs-silence".to_owned())
            .spawn(move || {
                for (item, generation) in items {
                    if let Err(error) = note(&catalog, item, generation) {
                        tracing::warn!(error = one_line(&error), "a silence was not noted");
                    }
                }
            });
        if let Err(error) = noting {
            tracing::warn!(%error, "copies of silence will not be known by their hashes");
        }
        Self {
            noted: Mutex::default(),
            wanted,
        }
    }

    /// Silence of this generation of an item is given.
    pub(super) fn given(&self, item: ItemNo, generation: u32) {
        let mut noted = self.noted.lock();
        if noted.len() >= REMEMBERED {
            noted.clear();
        }
        if noted.insert((item, generation)) {
            // Without the thread nobody notes.
            let _ = self.wanted.send((item, generation));
        }
    }
}

fn note(catalog: &Catalog, item: ItemNo, generation: u32) -> Result<(), CatalogError> {
    let reader = catalog.reader()?;
    let row = reader
        .item(item)?
        .filter(|row| row.generation == generation);
    let (Some(row), Some(format)) = (row, reader.format(item)?) else {
        return Ok(());
    };
    let capsule = reader.capsule(item)?;
    drop(reader);
    let Ok(silence) = placeholder(&format, row.size, capsule.as_ref()) else {
        return Ok(());
    };
    let hash = hash_of(&*silence);
    catalog.write(Durability::Normal, |writer| {
        writer.note_stand_in(item, hash, row.size)
    })
}
