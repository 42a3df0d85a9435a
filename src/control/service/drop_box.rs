//! Takes what is put into the drop box into the library, and tells of what stays there.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
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
            .spawn(move || {
                // It is begun again: what is dropped later is not to lie there without a word.
                while catch_unwind(AssertUnwindSafe(|| keep(&service, &drop_box))).is_err() {
                    tracing::error!("what looks after the drop box panicked, and begins again");
                }
            })?;
        Ok(())
    }
}

fn keep(service: &Weak<Service>, drop_box: &DropBox) {
    let mut stays = Stays::default();
    let mut folders = Instant::now();
    loop {
        std::thread::sleep(LOOK_EVERY);
        // Not kept while nothing is done, so that it can end.
        let Some(service) = service.upgrade() else {
            return;
        };
        let is_news = stays.look(drop_box, |path| {
            let library = service.library.lock().clone();
            library.map_or(Dropped::Later, |library| {
                library.import_dropped(drop_box, path)
            })
        });
        if is_news {
            tell(&service, &stays.0);
        }
        drop_box.remove_litter();
        if folders.elapsed() >= FOLDERS_EVERY {
            folders = Instant::now();
            drop_box.remove_empty_folders();
        }
    }
}

/// What stays in the drop box, and why.
#[derive(Default)]
struct Stays(BTreeMap<PathBuf, String>);

impl Stays {
    /// Has `import` make items of what is due. Tells whether other files stay now, or for other reasons.
    fn look(&mut self, drop_box: &DropBox, mut import: impl FnMut(&Path) -> Dropped) -> bool {
        let had = self.0.len();
        self.0.retain(|path, _| drop_box.absolute(path).exists());
        let mut is_news = self.0.len() != had;
        for path in drop_box.quiet() {
            let shown = path_text(&path);
            // A file that something here can't cope with is one that stays; the others are not to wait for it for ever.
            let outcome = catch_unwind(AssertUnwindSafe(|| import(&path)));
            let why = match outcome {
                Ok(Dropped::Later) => continue,
                Ok(Dropped::Imported(media_id)) => {
                    tracing::info!(file = shown, %media_id, "taken from the drop box");
                    is_news |= self.0.remove(&path).is_some();
                    continue;
                }
                Ok(Dropped::CutOff(why)) => format!("import/{shown} is incomplete: {why}"),
                Ok(Dropped::Incomplete(why)) => format!("import/{shown} is incomplete: {why}"),
                Ok(Dropped::Refused(error)) => {
                    format!("import/{shown} was not imported: {}", one_line(&error))
                }
                Err(panic) => {
                    let panic = message_of(&*panic);
                    tracing::error!(file = shown, panic, "a file of the drop box led to a panic");
                    format!("import/{shown} was not imported: mediafs failed on it ({panic})")
                }
            };
            is_news = true;
            self.0.insert(path, why);
        }
        is_news
    }
}

/// What a panic says.
fn message_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::library::drop_box::At;

    #[test]
    fn a_file_that_leads_to_a_panic_stays_and_the_others_go_on() {
        let home = tempfile::tempdir().unwrap();
        let drop_box = DropBox::open(home.path()).unwrap();
        for name in ["a.wav", "bad.wav", "z.wav"] {
            std::fs::write(drop_box.absolute(Path::new(name)), "x").unwrap();
        }
        let drop_box = DropBox::open(home.path()).unwrap();
        let mut stays = Stays::default();
        let mut seen = Vec::new();
        let look = |stays: &mut Stays, seen: &mut Vec<String>| {
            stays.look(&drop_box, |path| {
                // As the library does it.
                let Some(seal) = drop_box.seal(path) else {
                    return Dropped::Later;
                };
                seen.push(path_text(path));
                assert_ne!(path, Path::new("bad.wav"), "a trap");
                seal.gone();
                Dropped::Later
            })
        };
        assert!(!look(&mut stays, &mut seen));
        std::thread::sleep(Duration::from_millis(1100));
        assert!(look(&mut stays, &mut seen));
        seen.sort_unstable();
        assert_eq!(seen, ["a.wav", "bad.wav", "z.wav"]);
        let why = &stays.0[Path::new("bad.wav")];
        assert!(why.contains("import/bad.wav was not imported"), "{why}");
        assert!(why.contains("a trap"), "{why}");
        // It is not tried again and again, but it is when it is another file.
        assert!(!look(&mut stays, &mut seen));
        assert_eq!(seen.len(), 3);
        let at = |name: &'static str| At {
            folder: None,
            name: name.as_ref(),
        };
        drop_box.remove(at("bad.wav"), false).unwrap();
        assert!(look(&mut stays, &mut seen), "it is told that it is gone");
        assert!(stays.0.is_empty());
    }
}
