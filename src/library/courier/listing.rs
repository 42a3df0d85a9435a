//! What is in a folder, page by page, as a courier tells it: also where the folder is with its cloud provider, and comes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use mediafs_platform::cloud;

use super::failing::{failed, no_folder};
use super::{Looker, Tell};
use crate::library::disk::{Entry, LocalFolder, LocalRoot, Seen};
use crate::library::residency::{Residency, by_attributes, stands_for};
use crate::library::sweep::below as joined;
use crate::storage::{Found, FoundSeen, Kind, Reply, WireEvidence};

/// Most entries of a folder in one answer, and the most bytes of their names.
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 512 * 1024;
/// After so long a page goes as it is: who waits for it is to see that it goes on.
const PAGE_TIME: Duration = Duration::from_secs(2);

/// A folder that is listed.
struct Listed<'l> {
    /// Where it is.
    at: &'l Path,
    folder: &'l LocalFolder,
    of_folder: &'l Seen,
    names: &'l HashSet<OsString>,
}

impl Looker {
    /// Tells what is in the folder `below` the root; where `crossing`, also of one on another file system than that.
    /// One that is with its provider `may_come`.
    pub(super) fn list(
        &self,
        root: &Path,
        below: &Path,
        crossing: bool,
        may_come: bool,
        tell: Tell<'_>,
    ) {
        let at = joined(root, below);
        // Or one that it is in, which shows when it is opened.
        let is_away = cloud::SYSTEM_TELLS
            && cloud::residency(&at).is_ok_and(|residency| residency == Residency::OnlineOnly);
        let listed = here_or_coming(is_away, may_come, tell, || {
            entries_of(root, below, crossing)
        });
        let (folder, of_folder, entries) = match listed {
            Ok(listed) => listed,
            Err(no) => return tell(no, &[]),
        };
        let names: HashSet<OsString> = entries.iter().map(|(name, _)| name.clone()).collect();
        let listed = Listed {
            at: &at,
            folder: &folder,
            of_folder: &of_folder,
            names: &names,
        };
        let mut asks = self.file_systems.of(&of_folder, &at).has_attributes;
        let mut pages = Pages::of(self.lasting(&of_folder, &at).into(), tell);
        for (name, _) in entries {
            let found = match folder.look(&name) {
                Ok(Some(seen)) => self.found(&listed, &mut asks, name, &seen),
                // It went meanwhile.
                Ok(None) => None,
                Err(error) => Some(Found {
                    name: name.into(),
                    seen: FoundSeen::Failed(error.to_string()),
                }),
            };
            if let Some(found) = found {
                pages.add(found);
            }
        }
        pages.end();
    }

    /// What is to be told of one entry; `None` where it stands for one that is there.
    fn found(
        &self,
        listed: &Listed<'_>,
        asks: &mut bool,
        mut name: OsString,
        seen: &Seen,
    ) -> Option<Found> {
        let &Listed {
            at,
            folder,
            of_folder,
            names,
        } = listed;
        let mut residency = Residency::Here;
        let mut link = None;
        let mut stand_in = false;
        let kind = match &seen.entry {
            _ if seen.mount != of_folder.mount => {
                Kind::Other("the place of another file system".to_owned())
            }
            Entry::Folder => Kind::Folder,
            Entry::File => {
                if let Some(plain) = stands_for(&name, seen.evidence.size) {
                    if names.contains(&plain) {
                        return None;
                    }
                    residency = Residency::OnlineOnly;
                    stand_in = true;
                    name = plain;
                } else if cloud::SYSTEM_TELLS {
                    residency = cloud::residency(&at.join(&name)).unwrap_or(Residency::OnlineOnly);
                } else if *asks {
                    (residency, *asks) = by_attributes(folder, &name);
                }
                Kind::File
            }
            Entry::Link => {
                link = folder.link(&name).ok().map(Into::into);
                Kind::Link
            }
            Entry::Other(what) => Kind::Other(what.clone().into_owned()),
        };
        Some(Found {
            name: name.into(),
            seen: FoundSeen::There {
                kind,
                evidence: self.lasting(seen, at).into(),
                link,
                online_only: residency == Residency::OnlineOnly,
                stand_in,
            },
        })
    }
}

/// Entries on their way, by the page.
struct Pages<'t> {
    folder: WireEvidence,
    tell: Tell<'t>,
    page: Vec<Found>,
    bytes: usize,
    begun: Instant,
}

impl<'t> Pages<'t> {
    fn of(folder: WireEvidence, tell: Tell<'t>) -> Self {
        Self {
            folder,
            tell,
            page: Vec::new(),
            bytes: 0,
            begun: Instant::now(),
        }
    }

    fn add(&mut self, found: Found) {
        self.bytes += found.length();
        self.page.push(found);
        if self.page.len() >= PAGE || self.bytes >= PAGE_BYTES || self.begun.elapsed() >= PAGE_TIME
        {
            self.tell(true);
        }
    }

    fn end(mut self) {
        self.tell(false);
    }

    fn tell(&mut self, more: bool) {
        let reply = Reply::Listed {
            folder: self.folder,
            entries: std::mem::take(&mut self.page),
            more,
        };
        (self.tell)(reply, &[]);
        self.bytes = 0;
        self.begun = Instant::now();
    }
}

/// An open folder, what is seen of it, and its entries.
type Entries = (LocalFolder, Seen, Vec<(OsString, Option<Entry>)>);

fn entries_of(root: &Path, below: &Path, crossing: bool) -> Result<Entries, Reply> {
    let root = LocalRoot::open(root).map_err(failed)?;
    let folder = if crossing {
        root.folder(below)
    } else {
        root.folder_here(below)
    };
    let folder = folder.map_err(no_folder)?;
    let seen = folder.seen().map_err(failed)?;
    let entries = folder.entries().map_err(failed)?;
    Ok((folder, seen, entries))
}

/// What `list` gives of a folder. Where that is with its cloud provider, who asked is told that it may take long, and it is
/// brought, if it may be: this brings names, and nothing of what they name. All else goes on under the promise that nothing
/// is fetched.
fn here_or_coming<T>(
    is_away: bool,
    may_come: bool,
    tell: Tell<'_>,
    list: impl Fn() -> Result<T, Reply>,
) -> Result<T, Reply> {
    let listed = if is_away {
        Err(Reply::OnlineOnly)
    } else {
        list()
    };
    match listed {
        Err(Reply::OnlineOnly) if may_come => {
            tell(Reply::Coming, &[]);
            let _leave = cloud::folders_may_come().map_err(failed)?;
            list()
        }
        listed => listed,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::catalog::Evidence;

    /// What came of a list, what was told before, and how often the folder was listed. It is brought by listing it again.
    fn listed(is_away: bool, may_come: bool) -> (Result<u32, Reply>, Vec<Reply>, u32) {
        let (asked, mut told) = (Cell::new(0), Vec::new());
        let list = || {
            asked.set(asked.get() + 1);
            match is_away || asked.get() > 1 {
                true => Ok(asked.get()),
                false => Err(Reply::OnlineOnly),
            }
        };
        let mut tell = |reply, _: &[u8]| told.push(reply);
        let listed = here_or_coming(is_away, may_come, &mut tell, list);
        (listed, told, asked.get())
    }

    #[test]
    fn a_folder_that_is_with_its_provider_is_brought_if_it_may_be() {
        let coming = vec![Reply::Coming];
        assert_eq!(listed(true, true), (Ok(1), coming.clone(), 1));
        // A folder above it is away.
        assert_eq!(listed(false, true), (Ok(2), coming, 2));
        let no = Err(Reply::OnlineOnly);
        assert_eq!(listed(true, false), (no.clone(), vec![], 0));
        assert_eq!(listed(false, false), (no, vec![], 1));
    }

    fn failed(why: &str) -> Found {
        Found {
            name: OsString::from("a").into(),
            seen: FoundSeen::Failed(why.to_owned()),
        }
    }

    #[test]
    fn what_cannot_be_looked_at_fills_pages_too() {
        for (count, why, expected) in [
            (2500, "no", vec![PAGE, PAGE, 500]),
            (3, &*"x".repeat(PAGE_BYTES), vec![1, 1, 1, 0]),
            (0, "no", vec![0]),
        ] {
            let mut told = Vec::new();
            let mut tell = |reply, _: &[u8]| told.push(reply);
            let mut pages = Pages::of(Evidence::NONE.into(), &mut tell);
            (0..count).for_each(|_| pages.add(failed(why)));
            pages.end();
            let last = told.len() - 1;
            let lengths = told.iter().enumerate().map(|(n, reply)| match reply {
                Reply::Listed { entries, more, .. } if *more == (n < last) => entries.len(),
                other => panic!("{other:?}"),
            });
            assert_eq!(lengths.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_slow_folder_is_told_of_before_a_page_is_full() {
        let mut told = 0;
        let mut tell = |_, _: &[u8]| told += 1;
        let mut pages = Pages::of(Evidence::NONE.into(), &mut tell);
        pages.add(failed("no"));
        pages.begun = Instant::now().checked_sub(PAGE_TIME).unwrap_or(pages.begun);
        pages.add(failed("no"));
        assert!(pages.page.is_empty());
        drop(pages);
        assert_eq!(told, 1);
    }

    #[test]
    fn a_folder_that_is_here_is_listed_once_and_so_is_one_that_fails() {
        for answer in [Ok(()), Err(Reply::NotFound)] {
            let asked = Cell::new(0);
            let mut tell = |reply, _: &[u8]| panic!("{reply:?}");
            let listed = here_or_coming(false, true, &mut tell, || {
                asked.set(asked.get() + 1);
                answer.clone()
            });
            assert_eq!((listed, asked.get()), (answer, 1));
        }
    }
}
