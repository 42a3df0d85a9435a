//! Takes what is put into the drop box into the library, and tells of what stays there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Service;
use crate::control::rpc::one_line;
use crate::control::warnings::{Severity, Warning, id_of_text};
use crate::library::Dropped;
use crate::library::drop_box::DropBox;
use crate::model::path_text;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often for folders that were left empty.
const FOLDERS_EVERY: Duration = Duration::from_secs(30);
/// The area of warnings of what stays.
const AREA: &str = "import";
/// Files that are told of at a time.
const TOLD: usize = 20;

impl Service {
    /// From now on what is put into the drop box becomes items, until the service is dropped. Called once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn keep_drop_box(self: &Arc<Self>, drop_box: Arc<DropBox>) -> std::io::Result<()> {
        let service = Arc::downgrade(self);
        std::thread::Builder::new()
            .name("mediafs-import".to_owned())
            .spawn(move || keep(&service, &drop_box))?;
        Ok(())
    }
}

fn keep(service: &Weak<Service>, drop_box: &DropBox) {
    let mut stays: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut folders = Instant::now();
    loop {
        std::thread::sleep(LOOK_EVERY);
        // Not kept while nothing is done, so that it can end.
        let Some(service) = service.upgrade() else {
            return;
        };
        let quiet = drop_box.quiet();
        let had = stays.len();
        stays.retain(|path, _| drop_box.absolute(path).exists());
        let mut is_news = stays.len() != had;
        for file in quiet {
            let library = service.library.lock().clone();
            let Some(library) = library else { break };
            let shown = path_text(&file.path);
            let why = match library.import_dropped(drop_box, &file) {
                Dropped::Later => continue,
                Dropped::Imported(media_id) => {
                    tracing::info!(file = shown, %media_id, "taken from the drop box");
                    is_news |= stays.remove(&file.path).is_some();
                    continue;
                }
                Dropped::Incomplete(why) => format!("import/{shown} is incomplete: {why}"),
                Dropped::Refused(error) => {
                    format!("import/{shown} was not imported: {}", one_line(&error))
                }
            };
            is_news = true;
            stays.insert(file.path, why);
        }
        if is_news {
            tell(&service, &stays);
        }
        if folders.elapsed() >= FOLDERS_EVERY {
            folders = Instant::now();
            drop_box.remove_empty_folders();
        }
    }
}

fn tell(service: &Service, stays: &BTreeMap<PathBuf, String>) {
    let mut now: Vec<Warning> = stays
        .iter()
        .take(TOLD)
        .map(|(path, why)| {
            let id = id_of_text(AREA, &path_text(path));
            Warning::new(id, Severity::Warning, why.clone())
                .remedy("put it there anew, or remove it")
        })
        .collect();
    if stays.len() > TOLD {
        let text = format!("{} more files stay in import/", stays.len() - TOLD);
        now.push(Warning::new("import.more", Severity::Warning, text));
    }
    service.warnings.replace(AREA, now);
}
