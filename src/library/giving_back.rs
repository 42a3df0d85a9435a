//! Gives back to its cloud provider a file that was fetched for the drive. Runs in couriers.

use std::path::Path;

use mediafs_platform::cloud::{CloudError, Freed};

use crate::catalog::Evidence;
use crate::control::rpc::one_line;
use crate::storage::Reply;

/// Has `make` make a file online-only, if the disk says the same of it `now` as when it was read: else somebody has changed
/// it. `now` is what is to be told if it cannot be read without being fetched, as where it was given back already.
pub(super) fn give_back(
    file: &Path,
    read: Evidence,
    now: Result<Evidence, Reply>,
    make: impl FnOnce(&Path) -> Result<Freed, CloudError>,
) -> Reply {
    match now {
        Ok(now) if now == read => {}
        Ok(_) => return Reply::Changed,
        Err(told) => return told,
    }
    match make(file) {
        Ok(Freed::Now | Freed::Asked) => Reply::Done,
        Ok(Freed::KeptByUser) => Reply::Failed("the user wants it on the disk".to_owned()),
        Err(error) => Reply::Failed(one_line(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::catalog::Nanoseconds;

    fn evidence(size: u64) -> Evidence {
        Evidence {
            device: 1,
            inode: 2,
            size,
            modified: Nanoseconds(3),
            changed: Nanoseconds(4),
            born: None,
            permissions: 0o644,
        }
    }

    #[test]
    fn only_what_is_there_as_it_was_read_is_given_back() {
        let file = Path::new("/cloud/kick.wav");
        let asked = Cell::new(0);
        let freed = |freed: Result<Freed, CloudError>| {
            move |path: &Path| {
                assert_eq!(path, file);
                freed
            }
        };
        let counted = |path: &Path| {
            asked.set(asked.get() + 1);
            freed(Ok(Freed::Now))(path)
        };
        let changed = give_back(file, evidence(1), Ok(evidence(2)), counted);
        assert_eq!(changed, Reply::Changed);
        for no in [Reply::OnlineOnly, Reply::NotFound] {
            assert_eq!(give_back(file, evidence(1), Err(no.clone()), counted), no);
        }
        assert_eq!(asked.get(), 0, "nobody is asked to give it back");
        let done = give_back(file, evidence(1), Ok(evidence(1)), counted);
        assert_eq!((done, asked.get()), (Reply::Done, 1));

        let told = |result| give_back(file, evidence(1), Ok(evidence(1)), freed(result));
        assert_eq!(told(Ok(Freed::Asked)), Reply::Done);
        assert!(matches!(told(Ok(Freed::KeptByUser)), Reply::Failed(_)));
        let path = file.to_owned();
        let none = Err(CloudError::NoProvider { path });
        assert!(matches!(told(none), Reply::Failed(_)));
    }
}
