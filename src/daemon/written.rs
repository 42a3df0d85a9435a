//! The warnings of programs that would write into sounds: one for each program, until it has ended for a while or leaves
//! sounds alone for longer.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mediafs_platform::process::Process;

use crate::catalog::{Catalog, ItemNo, ItemRow};
use crate::control::Service;
use crate::control::warnings::{Severity, Warning, id_of_text};
use crate::model::display_name;
use crate::tree::MediaDrive;

/// The area of these warnings.
const AREA: &str = "written";
/// Tries that wait to be told. More at once are one program that goes through all it finds.
const QUEUE: usize = 256;
/// Programs that are named at a time; of more, the one that tried longest ago goes.
const PROGRAMS: usize = 16;
/// Sounds that are kept of each.
const SOUNDS: usize = 1000;
/// How often is looked whether they still run.
const GLANCE: Duration = Duration::from_secs(5);
/// For so long a warning stays after the program has ended.
const AFTER_ITS_END: Duration = Duration::from_secs(600);
/// And so long while it runs and does not try again.
const AFTER_ITS_LAST: Duration = Duration::from_secs(3600);

struct Tries {
    process: Arc<Process>,
    /// The sounds, the first first.
    sounds: Vec<ItemRow>,
    last: Instant,
}

/// From now on who would write into a sound is warned of.
pub(super) fn begin(
    catalog: &Arc<Catalog>,
    service: &Arc<Service>,
    drive: &MediaDrive,
) -> std::io::Result<()> {
    let (tell, told) = sync_channel(QUEUE);
    let service = Arc::downgrade(service);
    let catalog = Arc::clone(catalog);
    std::thread::Builder::new()
        .name("mediafs-written".to_owned())
        .spawn(move || warn(&told, &catalog, &service))?;
    drive.tell_of_refused(Box::new(move |item, process| {
        // Full: see above.
        let _ = tell.try_send((item, process));
    }));
    Ok(())
}

fn warn(told: &Receiver<(ItemNo, Arc<Process>)>, catalog: &Catalog, service: &Weak<Service>) {
    let mut programs: BTreeMap<String, Tries> = BTreeMap::new();
    loop {
        let came = told.recv_timeout(GLANCE);
        let Some(service) = service.upgrade() else {
            return;
        };
        let is_news = match came {
            Ok((item, process)) => note(&mut programs, catalog, item, process),
            Err(RecvTimeoutError::Timeout) => {
                let had = programs.len();
                programs.retain(|_, tries| {
                    let over = if tries.process.is_running() {
                        AFTER_ITS_LAST
                    } else {
                        AFTER_ITS_END
                    };
                    tries.last.elapsed() < over
                });
                programs.len() != had
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if is_news {
            let now = programs.iter().map(|(name, tries)| warning(name, tries));
            service.warnings().replace(AREA, now.collect());
        }
    }
}

fn note(
    programs: &mut BTreeMap<String, Tries>,
    catalog: &Catalog,
    item: ItemNo,
    process: Arc<Process>,
) -> bool {
    let item = catalog.reader().and_then(|reader| reader.item(item));
    let Ok(Some(item)) = item else {
        return false;
    };
    let executable = process.executable.as_ref();
    let name = executable.and_then(|path| path.file_name());
    let name = display_name(name.unwrap_or(&process.name).as_encoded_bytes());
    let tries = programs.entry(name).or_insert_with(|| Tries {
        process: Arc::clone(&process),
        sounds: Vec::new(),
        last: Instant::now(),
    });
    tries.process = process;
    tries.last = Instant::now();
    if tries.sounds.len() < SOUNDS && tries.sounds.iter().all(|known| known.row != item.row) {
        tries.sounds.push(item);
    }
    if programs.len() > PROGRAMS {
        let oldest = programs.iter().min_by_key(|(_, tries)| tries.last);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            programs.remove(&oldest);
        }
    }
    true
}

fn warning(program: &str, tries: &Tries) -> Warning {
    let first = tries.sounds.first().map_or("a sound", |item| &item.name);
    let others = match tries.sounds.len().saturating_sub(1) {
        0 => String::new(),
        1 => " and another sound".to_owned(),
        more => format!(" and {more} other sounds"),
    };
    let text = format!(
        "{program} tried to write into {first}{others}; the drive keeps sounds as they are"
    );
    let count = u64::try_from(tries.sounds.len()).unwrap_or(u64::MAX);
    let items = tries.sounds.iter().map(|item| item.media_id.clone());
    Warning::new(id_of_text(AREA, program), Severity::Warning, text)
        .remedy("save to a file outside the drive and put that into import/, or use media.replace")
        .command(
            "save to a file outside the drive and put that into import/, or use `mediafs replace`",
        )
        .about(count, items)
}
