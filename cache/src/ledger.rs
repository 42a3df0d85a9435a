//! The quota's ledger: every byte that the cache holds or has promised to somebody, and who may have more.
//!
//! What is in it comes from the index when the cache is opened, and from reservations since. Bytes are reserved before
//! they are written, so the sum never exceeds the quota.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{CacheError, IoContext};
use crate::space::FreeSpace;

/// All in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) quota: u64,
    /// What must stay free on the disk.
    pub(crate) floor: u64,
    /// The sizes of all objects.
    pub(crate) objects: u64,
    /// What living reservations hold.
    pub(crate) live: u64,
    /// The part of `live` that is not on the disk yet.
    pub(crate) unwritten: u64,
    /// What partial objects hold that nobody is filling now.
    pub(crate) dormant: u64,
    /// The sizes of all files that were set aside.
    pub(crate) damaged: u64,
}

impl Account {
    pub(crate) fn used(&self) -> u64 {
        self.objects
            .saturating_add(self.live)
            .saturating_add(self.dormant)
            .saturating_add(self.damaged)
    }
}

/// Why a reservation was not made. In bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The sums may not agree with the disk: it must be counted first.
    Uncounted,
    /// So much is missing: in the quota, and on the disk.
    Short {
        quota: u64,
        disk: u64,
        available: u64,
    },
}

#[derive(Default)]
struct State {
    account: Account,
    /// How often something happened after which the sums may be wrong.
    doubts: u64,
    doubted: bool,
}

pub(crate) struct Ledger {
    state: Mutex<State>,
    space: Arc<dyn FreeSpace>,
}

/// Bytes that are promised to somebody who writes them. Given back when dropped.
pub(crate) struct Reservation {
    ledger: Arc<Ledger>,
    bytes: u64,
    written: u64,
}

impl Ledger {
    pub(crate) fn new(account: Account, doubted: bool, space: Arc<dyn FreeSpace>) -> Self {
        Self {
            state: Mutex::new(State {
                account,
                doubts: 0,
                doubted,
            }),
            space,
        }
    }

    pub(crate) fn account(&self) -> Account {
        self.state.lock().account
    }

    /// Changes the account in one step.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.state.lock().account);
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.state.lock().doubted
    }

    /// From now on nothing is reserved until the disk was counted.
    pub(crate) fn doubt(&self) {
        let mut state = self.state.lock();
        state.doubts += 1;
        state.doubted = true;
    }

    pub(crate) fn doubts(&self) -> u64 {
        self.state.lock().doubts
    }

    /// The disk was counted since there were so many doubts.
    pub(crate) fn dispel(&self, doubts: u64) {
        let mut state = self.state.lock();
        state.doubted = state.doubts != doubts;
    }

    /// Reserves `bytes` if quota and disk allow it now.
    pub(crate) fn try_reserve(
        self: &Arc<Self>,
        bytes: u64,
        folder: &Path,
    ) -> Result<Result<Reservation, Refusal>, CacheError> {
        self.admit(bytes, bytes, false, folder)
    }

    /// Makes a living reservation of `bytes` that are dormant now, `written` of which are on the disk.
    pub(crate) fn try_wake(
        self: &Arc<Self>,
        bytes: u64,
        written: u64,
        folder: &Path,
    ) -> Result<Result<Reservation, Refusal>, CacheError> {
        self.admit(bytes, bytes.saturating_sub(written), true, folder)
    }

    fn admit(
        self: &Arc<Self>,
        bytes: u64,
        unwritten: u64,
        dormant: bool,
        folder: &Path,
    ) -> Result<Result<Reservation, Refusal>, CacheError> {
        let mut state = self.state.lock();
        if state.doubted {
            return Ok(Err(Refusal::Uncounted));
        }
        let account = &mut state.account;
        let new = if dormant { 0 } else { bytes };
        // Asked under the lock, so that two who ask at once can't be given the same bytes.
        let space = self
            .space
            .space(folder)
            .at("ask for the free space of", folder)?;
        let available = space.available.saturating_sub(account.unwritten);
        let quota = account
            .used()
            .saturating_add(new)
            .saturating_sub(account.quota);
        let disk = if unwritten == 0 {
            0
        } else {
            account
                .floor
                .saturating_add(unwritten)
                .saturating_sub(available)
        };
        // What has a place already needs none in the quota, even where the quota was lowered since.
        let quota = if new == 0 { 0 } else { quota };
        if quota > 0 || disk > 0 {
            return Ok(Err(Refusal::Short {
                quota,
                disk,
                available,
            }));
        }
        account.live += bytes;
        account.unwritten += unwritten;
        if dormant {
            account.dormant = account.dormant.saturating_sub(bytes);
        }
        Ok(Ok(Reservation {
            ledger: Arc::clone(self),
            bytes,
            written: bytes - unwritten,
        }))
    }
}

impl Reservation {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What can still be written before more must be reserved.
    pub(crate) fn rest(&self) -> u64 {
        self.bytes - self.written
    }

    /// So many of the bytes are on the disk now.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        let bytes = bytes.min(self.rest());
        self.written += bytes;
        self.ledger
            .change(|account| account.unwritten = account.unwritten.saturating_sub(bytes));
    }

    /// Takes over what another reservation of the same cache holds.
    pub(crate) fn absorb(&mut self, mut other: Reservation) {
        self.bytes += std::mem::take(&mut other.bytes);
        self.written += std::mem::take(&mut other.written);
    }

    /// The bytes became an object of this size.
    pub(crate) fn into_object(mut self, size: u64) {
        self.end(|account| account.objects = account.objects.saturating_add(size));
    }

    /// The bytes stay reserved, for somebody who comes later.
    pub(crate) fn into_dormant(mut self) {
        let bytes = self.bytes;
        self.end(|account| account.dormant = account.dormant.saturating_add(bytes));
    }

    fn end(&mut self, then: impl FnOnce(&mut Account)) {
        let (bytes, rest) = (self.bytes, self.rest());
        (self.bytes, self.written) = (0, 0);
        self.ledger.change(|account| {
            account.live = account.live.saturating_sub(bytes);
            account.unwritten = account.unwritten.saturating_sub(rest);
            then(account);
        });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(|_| {});
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use super::*;
    use crate::space::Space;

    struct Fixed(u64);

    impl FreeSpace for Fixed {
        fn space(&self, _: &Path) -> io::Result<Space> {
            Ok(Space {
                total: 1 << 40,
                available: self.0,
            })
        }
    }

    fn ledger(quota: u64, floor: u64, available: u64) -> Arc<Ledger> {
        Arc::new(Ledger::new(
            Account {
                quota,
                floor,
                ..Account::default()
            },
            false,
            Arc::new(Fixed(available)),
        ))
    }

    fn reserve(ledger: &Arc<Ledger>, bytes: u64) -> Result<Reservation, Refusal> {
        ledger.try_reserve(bytes, Path::new("/")).unwrap()
    }

    #[test]
    fn reservations_count_before_anything_is_written() {
        let ledger = ledger(100, 0, 1000);
        let first = reserve(&ledger, 60).unwrap();
        assert_eq!(
            reserve(&ledger, 50).err(),
            Some(Refusal::Short {
                quota: 10,
                disk: 0,
                available: 940
            })
        );
        drop(first);
        assert_eq!(ledger.account().used(), 0);
        reserve(&ledger, 100).unwrap().into_object(70);
        assert_eq!(
            ledger.account(),
            Account {
                quota: 100,
                objects: 70,
                ..Account::default()
            }
        );
    }

    #[test]
    fn the_floor_counts_what_is_promised_but_not_yet_written() {
        let ledger = ledger(1000, 50, 100);
        let mut first = reserve(&ledger, 40).unwrap();
        assert_eq!(
            reserve(&ledger, 20).err(),
            Some(Refusal::Short {
                quota: 0,
                disk: 10,
                available: 60
            })
        );
        // Once written the bytes are missing on the disk itself (whose answer is fixed here), no longer twice.
        first.wrote(40);
        reserve(&ledger, 20).unwrap();
    }

    #[test]
    fn nothing_is_reserved_in_doubt() {
        let ledger = ledger(1000, 0, 1000);
        let seen = ledger.doubts();
        ledger.doubt();
        ledger.dispel(seen);
        assert_eq!(
            reserve(&ledger, 1).err(),
            Some(Refusal::Uncounted),
            "a doubt that came during the count stays"
        );
        ledger.dispel(ledger.doubts());
        reserve(&ledger, 1).unwrap();
    }

    #[test]
    fn dormant_bytes_wake_without_new_quota() {
        let ledger = ledger(100, 0, 1000);
        reserve(&ledger, 80).unwrap().into_dormant();
        assert_eq!((ledger.account().dormant, ledger.account().live), (80, 0));
        ledger.change(|account| account.quota = 10);
        let awake = ledger.try_wake(80, 30, Path::new("/")).unwrap().unwrap();
        assert_eq!(
            (awake.bytes(), awake.rest(), ledger.account().used()),
            (80, 50, 80)
        );
        drop(awake);
        assert_eq!(ledger.account().used(), 0);
    }

    #[test]
    fn threads_never_get_more_than_there_is() {
        let ledger = ledger(1000, 0, u64::MAX);
        let got: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..100)
                            .filter_map(|_| reserve(&ledger, 7).ok())
                            .map(|kept| {
                                kept.into_dormant();
                                7
                            })
                            .sum::<u64>()
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(got, 994, "as many sevens as fit into 1000");
        assert_eq!(ledger.account().used(), 994);
    }
}
