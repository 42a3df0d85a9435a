//! Scans in the background: who is told of them, and how one is ended by hand.
//!
//! The scan thread and the threads of sources say what they begin ([`Scans::begin`]); whoever lists tasks follows it from
//! then on ([`Scan`]). Commands that scan here and now are not among these: they tell of themselves.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::progress::{Progress, ProgressSnapshot};

/// How a scan has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScanEnd {
    /// It has looked at all that was there to the end.
    Done,
    /// Somebody ended it ([`Scan::cancel`]).
    Cancelled,
    /// The catalog failed; the log says more.
    Failed,
}

/// A scan in the background.
#[derive(Debug)]
pub struct Scan {
    root: Option<PathBuf>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    by_hand: AtomicBool,
    end: Mutex<Option<ScanEnd>>,
    ended: Condvar,
}

impl Scan {
    /// Where the source is mounted that is looked at; `None` for all folders on trusted storage.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> ProgressSnapshot {
        self.progress.snapshot()
    }

    /// Ends it soon. What it has found stays; what it has not reached is looked at by the next scan that is asked for.
    pub fn cancel(&self) {
        // Once it has ended, another scan may go by the same flag.
        let end = self.end.lock();
        if end.is_none() {
            self.by_hand.store(true, Ordering::SeqCst);
            self.stop.store(true, Ordering::SeqCst);
        }
    }

    /// Waits until it has ended, but no longer than this.
    #[must_use]
    pub fn wait(&self, longest: Duration) -> Option<ScanEnd> {
        let until = Instant::now() + longest;
        let mut end = self.end.lock();
        while end.is_none() && !self.ended.wait_until(&mut end, until).timed_out() {}
        *end
    }

    fn is_cancelled(&self) -> bool {
        self.by_hand.load(Ordering::SeqCst)
    }
}

/// Told of each scan that begins, from the thread that scans: it is not to be held up.
pub(super) type Told = Box<dyn Fn(Arc<Scan>) + Send + Sync>;

/// The scans of a library.
#[derive(Default)]
pub(super) struct Scans {
    list: Mutex<Vec<Weak<Scan>>>,
    told: Mutex<Option<Told>>,
}

impl Scans {
    /// A scan begins; it is under way until what this gives is dropped.
    pub(super) fn begin(
        &self,
        root: Option<&Path>,
        progress: &Arc<Progress>,
        stop: &Arc<AtomicBool>,
    ) -> UnderWay {
        let scan = Arc::new(Scan {
            root: root.map(Path::to_owned),
            progress: Arc::clone(progress),
            stop: Arc::clone(stop),
            by_hand: AtomicBool::new(false),
            end: Mutex::new(None),
            ended: Condvar::new(),
        });
        // One lock around both: each scan is told once, whenever who listens has come.
        let told = self.told.lock();
        let mut list = self.list.lock();
        list.retain(|scan| scan.strong_count() > 0);
        list.push(Arc::downgrade(&scan));
        drop(list);
        if let Some(told) = &*told {
            told(Arc::clone(&scan));
        }
        UnderWay {
            scan,
            end: ScanEnd::Failed,
        }
    }

    /// Tells of each scan from now on, and of those that are under way.
    pub(super) fn tell(&self, tell: Told) {
        let mut told = self.told.lock();
        let list = std::mem::take(&mut *self.list.lock());
        for scan in list.iter().filter_map(Weak::upgrade) {
            tell(scan);
        }
        *told = Some(tell);
    }
}

/// A scan that is under way. Without another word it has failed, as after a panic.
pub(super) struct UnderWay {
    scan: Arc<Scan>,
    end: ScanEnd,
}

impl UnderWay {
    /// Its work is done; says whether somebody has ended it by hand.
    pub(super) fn is_over(&mut self, well: bool) -> bool {
        let cancelled = self.scan.is_cancelled();
        self.end = match (cancelled, well) {
            (true, _) => ScanEnd::Cancelled,
            (false, true) => ScanEnd::Done,
            (false, false) => ScanEnd::Failed,
        };
        cancelled
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.scan.end.lock() = Some(self.end);
        self.scan.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scan_is_told_once_and_how_it_ended() {
        let scans = Scans::default();
        let (progress, stop) = (Arc::default(), Arc::default());
        let mut early = scans.begin(None, &progress, &stop);
        drop(scans.begin(None, &progress, &stop));
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        scans.tell(Box::new(move |scan| list.lock().push(scan)));
        let late = scans.begin(Some(Path::new("/red")), &progress, &stop);
        let scans_told = told.lock().clone();
        let [first, second] = scans_told.as_slice() else {
            panic!("{scans_told:?}");
        };
        assert_eq!(
            (first.root(), second.root()),
            (None, Some(Path::new("/red")))
        );
        assert_eq!(first.wait(Duration::ZERO), None);
        first.cancel();
        assert!(stop.load(Ordering::SeqCst));
        assert!(early.is_over(true));
        drop(early);
        assert_eq!(first.wait(Duration::ZERO), Some(ScanEnd::Cancelled));
        drop(late);
        assert_eq!(second.wait(Duration::ZERO), Some(ScanEnd::Failed));
    }

    #[test]
    fn who_waits_is_woken_by_the_end() {
        let scans = Scans::default();
        let mut under_way = scans.begin(None, &Arc::default(), &Arc::default());
        let scan = Arc::clone(&under_way.scan);
        let waiting = std::thread::spawn(move || scan.wait(Duration::from_secs(60)));
        assert!(!under_way.is_over(true));
        drop(under_way);
        assert_eq!(waiting.join().ok().flatten(), Some(ScanEnd::Done));
    }
}
