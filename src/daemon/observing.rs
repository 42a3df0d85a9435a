//! Records which program opens which item while a project is open: usages with the role `observed`.
//!
//! What the drive saw is gathered and written together, so that a project of a thousand sounds is one transaction. An item
//! of an open project counts for that project; any other for the one in focus, or the only one that is open.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::catalog::{BaseKind, BaseRow, Catalog, CatalogError, Change, Durability};
use crate::control::rpc::one_line;
use crate::tree::MediaDrive;
use crate::tree::class::Requesters;
use crate::tree::observed::{Observed, SeenOpen};

/// How long opens are gathered.
const GATHER: Duration = Duration::from_millis(400);
/// Most that are written together.
const TOGETHER: usize = 2000;
/// When the same program opens the same item again within this time, it is not written again.
const AGAIN: Duration = Duration::from_secs(60);
/// Most that are remembered for it.
const REMEMBERED: usize = 50_000;

/// Begins. Ends with the drive.
pub(super) fn begin(
    catalog: &Arc<Catalog>,
    requesters: &Arc<Requesters>,
    drive: &Arc<MediaDrive>,
) -> std::io::Result<()> {
    let observed = drive.observed();
    look(catalog, &observed);
    let listening = (Arc::downgrade(catalog), Arc::clone(&observed));
    catalog.listen(Box::new(move |changes| {
        if changes
            .iter()
            .any(|change| matches!(change, Change::Base { .. }))
            && let Some(catalog) = listening.0.upgrade()
        {
            look(&catalog, &listening.1);
        }
    }));
    let (catalog, drive) = (Arc::downgrade(catalog), Arc::downgrade(drive));
    let requesters = Arc::clone(requesters);
    std::thread::Builder::new()
        .name("mediafs-observing".to_owned())
        .spawn(move || run(&catalog, &drive, &observed, &requesters))?;
    Ok(())
}

/// Whether a project is open.
fn look(catalog: &Catalog, observed: &Observed) {
    match open_projects(catalog) {
        Ok(open) => observed.want(!open.is_empty()),
        Err(error) => tracing::debug!(error = one_line(&error), "open projects are not known"),
    }
}

fn open_projects(catalog: &Catalog) -> Result<Vec<BaseRow>, CatalogError> {
    let mut bases = catalog.reader()?.bases()?;
    bases.retain(|base| base.kind == BaseKind::Project && base.active);
    Ok(bases)
}

fn run(
    catalog: &Weak<Catalog>,
    drive: &Weak<MediaDrive>,
    observed: &Observed,
    requesters: &Requesters,
) {
    let mut written: HashMap<SeenOpen, Instant> = HashMap::new();
    let mut seen: HashMap<SeenOpen, u64> = HashMap::new();
    let mut since = Instant::now();
    loop {
        let next = observed.next(requesters, GATHER);
        if seen.is_empty() {
            since = Instant::now();
        }
        if let Some(open) = next
            && written.get(&open).is_none_or(|at| at.elapsed() >= AGAIN)
        {
            seen.insert(open, now_millis());
        }
        let is_over = drive.strong_count() == 0;
        if !seen.is_empty() && (since.elapsed() >= GATHER || seen.len() >= TOGETHER || is_over) {
            let Some(catalog) = catalog.upgrade() else {
                return;
            };
            if written.len() > REMEMBERED {
                written.clear();
            }
            let now = Instant::now();
            written.extend(seen.keys().cloned().map(|open| (open, now)));
            if let Err(error) = write(&catalog, std::mem::take(&mut seen)) {
                tracing::warn!(error = one_line(&error), "what was opened is not recorded");
            }
        }
        if is_over {
            return;
        }
    }
}

fn write(catalog: &Catalog, seen: HashMap<SeenOpen, u64>) -> Result<(), CatalogError> {
    let open = open_projects(catalog)?;
    let focused = open.iter().find(|base| base.focused);
    let other = match (focused, open.as_slice()) {
        (Some(base), _) | (None, [base]) => base.project.as_ref(),
        _ => None,
    };
    catalog.write(Durability::Normal, |writer| {
        for (open_of, at) in &seen {
            let Some(item) = writer.reader().item(open_of.item)? else {
                continue;
            };
            let own = open.iter().find(|base| Some(base.row) == item.project);
            let project = own.and_then(|base| base.project.as_ref()).or(other);
            if let Some(project) = project {
                writer.observe_usage(item.row, project, &open_of.program, *at)?;
            }
        }
        Ok(())
    })
}

fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
