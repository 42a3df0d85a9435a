//! Takes of projects on storage that is not trusted are brought there: after each that is made final, before a save, and
//! when the project is opened or its storage is back. What can't be brought yet is a warning.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Service;
use crate::catalog::{BaseKind, BaseNo, BaseRow, CatalogError};
use crate::control::rpc::one_line;
use crate::control::warnings::{self, Severity, Warning};
use crate::library::Library;
use crate::model::path_text;

/// The area of warnings of projects whose takes are not with them.
const AREA: &str = "takes.away";

impl Service {
    /// Brings them now, one project at a time. Waits for the storage of the project.
    pub(super) fn carry_takes(&self, library: &Library, base: &BaseRow) {
        let _one = self.carrying.lock();
        if let Err(error) = self.carry(library, base) {
            tracing::error!(
                error = one_line(&error),
                "takes could not be brought to their project"
            );
        }
    }

    fn carry(&self, library: &Library, base: &BaseRow) -> Result<(), CatalogError> {
        let id = warnings::id_of_text(AREA, &path_text(&base.path));
        let takes = library.takes_to_carry(base)?;
        let mut left = Vec::new();
        let mut why = String::new();
        for take in &takes {
            // When the daemon ends its couriers do, too.
            let carried = library.carry_take(base, take, &AtomicBool::new(false))?;
            if let Err(reason) = carried {
                left.push(take.media_id.clone());
                why = reason;
            }
        }
        let count = u64::try_from(left.len()).unwrap_or(u64::MAX);
        let takes = match count {
            0 => {
                self.warnings.clear(&id);
                return Ok(());
            }
            1 => "1 take".to_owned(),
            count => format!("{count} takes"),
        };
        let text = format!(
            "{takes} of {} are on this computer only, not with the project: {why}",
            base.name
        );
        let warning = Warning::new(id, Severity::Warning, text)
            .remedy("connect the disk of the project and see that there is room; they are brought with the next save")
            .about(count, left);
        self.warnings.raise(warning);
        Ok(())
    }

    /// The same, by a thread of its own in a daemon; a command does it here and now, as it ends soon.
    pub(super) fn carry_takes_soon(&self, library: &Library, base: &BaseRow) {
        if base.kind != BaseKind::Project || base.source.is_none() {
            return;
        }
        match self.carrier.get() {
            // The thread ends with this service alone.
            Some(carrier) => drop(carrier.send(base.row)),
            None => self.carry_takes(library, base),
        }
    }

    /// Starts that thread.
    pub(super) fn start_carrying(self: &Arc<Self>) {
        let (wanted, projects) = crossbeam_channel::unbounded::<BaseNo>();
        let service = Arc::downgrade(self);
        let carrying = std::thread::Builder::new()
            .name("mediafs-carry".to_owned())
            .spawn(move || {
                for project in projects {
                    let Some(service) = service.upgrade() else {
                        return;
                    };
                    let library = service.library.lock().clone();
                    let base = service
                        .catalog
                        .reader()
                        .and_then(|reader| reader.base(project));
                    if let (Some(library), Ok(Some(base))) = (library, base) {
                        service.carry_takes(&library, &base);
                    }
                }
            });
        match carrying {
            Ok(_) => drop(self.carrier.set(wanted)),
            Err(error) => {
                tracing::warn!(%error, "takes are brought to their projects by who makes them final");
            }
        }
    }
}
