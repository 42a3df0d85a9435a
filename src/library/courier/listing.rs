//! What is in a folder, page by page, as a courier tells it: also where the folder is with its cloud provider, and comes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use mediafs_platform::cloud;

use super::failing::{failed, no_folder};
use super::{Looker, Tell};
use crate::library::disk::{Entry, LocalFolder, LocalRoot, Seen};
use crate::library::residency::{Residency, by_attributes, stands_for};
use crate::library::sweep::below as joined;
use crate::storage::{Found, FoundSeen, Kind, Reply};

/// Most entries of a folder in one answer, and the most bytes of their names.
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 512 * 1024;

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
        let evidence = self.lasting(&of_folder, &at).into();
        let (mut page, mut bytes) = (Vec::new(), 0);
        for (name, _) in entries {
            let seen = match folder.look(&name) {
                Ok(Some(seen)) => seen,
                // It went meanwhile.
                Ok(None) => continue,
                Err(error) => {
                    page.push(Found {
                        name: name.into(),
                        seen: FoundSeen::Failed(error.to_string()),
                    });
                    continue;
                }
            };
            let Some(found) = self.found(&listed, &mut asks, name, &seen) else {
                continue;
            };
            bytes += found.length();
            page.push(found);
            if page.len() >= PAGE || bytes >= PAGE_BYTES {
                bytes = 0;
                let entries = std::mem::take(&mut page);
                let more = Reply::Listed {
                    folder: evidence,
                    entries,
                    more: true,
                };
                tell(more, &[]);
            }
        }
        let last = Reply::Listed {
            folder: evidence,
            entries: page,
            more: false,
        };
        tell(last, &[]);
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
