//! What the drive needs for sounds that are not on trusted storage: hydration, the cache, deadlines, and the account of
//! silence. And what it does with them at `read`: a player gets what has arrived and silence for the rest, a copier waits.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mediafs_cache::OpenObject;
use mediafs_platform::drive::{Answer, DriveError};
use mediafs_platform::process::{Process, ProcessId, StartTime};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::class::{Class, lives};
use super::deal::{Cut, Deals, ProcessKey, wait};
use super::silenced::{Heard, Silenced};
use super::stream::{Epochs, NotArrived, StreamNode, arrives, may_be_begun_anew};
use crate::catalog::{Catalog, ItemNo};
use crate::config::Deadlines;
use crate::hydrate::{
    Arrival, Brake, BrakeLimits, HydrateError, Hydrator, IfFull, Priority, Process as Braked,
    Stream, TaskPhase, Wanted, WhenLeft, Who,
};
use crate::model::{ObjectHash, SourceNo};

/// Opens an object of the cache; `None` if it is not there.
pub type OpenCached = Box<dyn Fn(ObjectHash) -> Option<OpenObject> + Send + Sync>;

/// Told that a process is braked: it begins so many hydrations that the user is to be asked.
pub type OnBrake = Box<dyn Fn(&Process) + Send + Sync>;

/// The longest first read of a file manager that is taken for sniffing, in bytes.
const SNIFF: u32 = 16 * 1024;

/// Sounds that are not on trusted storage.
pub struct Bringing {
    hydrator: Arc<Hydrator>,
    cached: OpenCached,
    pub(super) deals: Deals,
    brake: Brake,
    braked: OnBrake,
    heard: Arc<dyn Heard>,
    pub(super) silenced: Silenced,
    pub(super) epochs: Epochs,
    /// Woken when the content of any item was swapped.
    pub(super) swapped: Notify,
}

/// Who has a handle open.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) class: Class,
    pub(super) process: Option<Arc<Process>>,
    /// Somebody said that it plays, so it may begin as many hydrations as its music needs.
    pub(super) is_known_player: bool,
    /// It was opened so as to leave no trace, as who only looks what sort of file it is.
    pub(super) is_traceless: bool,
}

impl Holder {
    pub(super) fn key(&self) -> Option<ProcessKey> {
        self.process.as_ref().map(|p| (p.id, p.started))
    }

    fn who(&self) -> Who {
        Who {
            pid: self.process.as_ref().map(|p| p.id.0),
            name: self
                .process
                .as_ref()
                .map(|p| p.name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        }
    }
}

/// Of which item and generation silence is accounted.
#[derive(Clone, Copy)]
pub(super) struct Of {
    pub(super) item: ItemNo,
    pub(super) generation: u16,
    /// By a loader.
    pub(super) loads: bool,
}

/// A handle of a `stream` node.
pub(super) struct StreamHandle {
    pub(super) node: Arc<StreamNode>,
    pub(super) of: Of,
    pub(super) source: SourceNo,
    pub(super) holder: Holder,
    /// Knows whether the bytes are back.
    pub(super) catalog: Arc<Catalog>,
    /// What is left of a loader's patience.
    pub(super) patience: Mutex<Duration>,
}

/// A handle through which the true bytes come, or an error.
pub(super) struct WaitingHandle {
    pub(super) wanted: Wanted,
    pub(super) holder: Holder,
    /// From the first read on that counts.
    stream: Mutex<Option<Arc<Stream>>>,
    /// What an unreachable source is to its requester.
    pub(super) offline: DriveError,
    /// It is smaller than what file managers read to know a type, nothing need be downloaded, and it was not opened as by
    /// who only wants to know: so its first read may be a copy of all of it.
    is_small: bool,
}

impl WaitingHandle {
    pub(super) fn new(
        wanted: Wanted,
        holder: Holder,
        offline: DriveError,
        is_online_only: bool,
    ) -> Self {
        Self {
            is_small: !is_online_only && !holder.is_traceless && wanted.size <= u64::from(SNIFF),
            wanted,
            holder,
            stream: Mutex::default(),
            offline,
        }
    }
}

impl Bringing {
    /// With everything that it works with.
    #[must_use]
    pub fn new(
        hydrator: Arc<Hydrator>,
        cached: OpenCached,
        deadlines: Deadlines,
        heard: Arc<dyn Heard>,
        braked: OnBrake,
    ) -> Arc<Self> {
        Arc::new(Self {
            hydrator,
            cached,
            deals: Deals::new(deadlines),
            brake: Brake::new(BrakeLimits::default()),
            braked,
            heard,
            silenced: Silenced::default(),
            epochs: Epochs::default(),
            swapped: Notify::new(),
        })
    }

    /// A source has answered: whoever waits for it may hope again.
    pub fn answered(&self, source: SourceNo) {
        self.deals.answered(source);
    }

    /// Lets a process begin as many hydrations as it likes.
    pub fn allow(&self, process: &Process) {
        let others = |other: Braked| {
            let id = u32::try_from(other.pid).unwrap_or(u32::MAX);
            lives((ProcessId(id), StartTime(other.started)))
        };
        self.brake.allow(braked(process), others);
    }

    pub(super) fn object(&self, hash: ObjectHash) -> Option<(Arc<OpenObject>, Arc<File>)> {
        let object = (self.cached)(hash)?;
        let file = object.file().try_clone().ok()?;
        Some((Arc::new(object), Arc::new(file)))
    }

    /// Begins to bring what is wanted, or joins who does.
    ///
    /// # Errors
    /// [`DriveError::Busy`] for a process that is braked; what [`drive_error`] makes of others.
    pub(super) fn begin(
        &self,
        wanted: &Wanted,
        holder: &Holder,
        if_full: IfFull,
    ) -> Result<Stream, DriveError> {
        // Who joins causes nothing.
        let joins = self.hydrator.task_of(wanted).is_some();
        let may_be_braked = |_: &&Arc<Process>| !joins && !holder.is_known_player;
        if let Some(process) = holder.process.as_ref().filter(may_be_braked)
            && let Err(no) = self
                .brake
                .begin(braked(process), wanted.size, Instant::now())
        {
            if no.first {
                tracing::warn!(process = process.id.0, %no, "a process is braked");
                (self.braked)(process);
            }
            return Err(DriveError::Busy);
        }
        self.hydrator
            .stream(wanted, holder.who(), WhenLeft::GoOn, if_full)
            .map_err(|why| drive_error(&why, DriveError::NoMedium))
    }

    /// All of a stream is an object of the cache.
    pub(super) async fn whole(&self, stream: &Stream, priority: Priority) -> bool {
        let size = stream.wanted().size;
        let over = self.hydrator.wait(stream.task());
        // Waits as one of those who are waited for, not only for the end.
        let Arrival::Arrived = stream.wait(0..size, priority).await else {
            return false;
        };
        let over = over.await.map(|task| task.phase);
        matches!(over, Some(TaskPhase::Done { .. }))
    }

    /// Silence was given. Not accounted once its bytes are back: who still has it open was told to open it anew.
    pub(super) fn note_silence(
        &self,
        item: ItemNo,
        process: Option<&Process>,
        bytes: u64,
        is_back: impl Fn() -> bool,
    ) {
        if bytes == 0 || (!self.silenced.knows(item, process) && is_back()) {
            return;
        }
        if let Some(listener) = self.silenced.note(item, process, bytes) {
            self.heard.silenced(item, &listener);
            // They may have come back just before it was written down, when there was nobody to tell.
            if is_back() {
                self.restored(item);
            }
        }
    }

    /// The bytes of an item are back.
    pub(super) fn restored(&self, item: ItemNo) {
        if let Some(silence) = self.silenced.restored(item) {
            self.heard.restored(&silence);
        }
    }

    /// What was silent may be back.
    pub fn look_again(&self, catalog: &Catalog) {
        self.swapped.notify_waiters();
        for item in self.silenced.items() {
            if is_at_hand(catalog, item) {
                self.restored(item);
            }
        }
    }

    fn account(&self, handle: &StreamHandle, silent: u64) {
        if silent > 0 {
            let of = handle.of;
            self.spoiled(handle);
            let process = handle.holder.process.as_deref();
            self.note_silence(of.item, process, silent, || {
                is_at_hand(&handle.catalog, of.item)
            });
        }
    }

    fn spoiled(&self, handle: &StreamHandle) {
        let of = handle.of;
        self.epochs
            .spoiled(of.item, of.generation, of.loads, &handle.node);
    }

    /// Reads from a stream: what has arrived, and silence for what does not in time.
    pub(super) fn read_stream(
        self: &Arc<Self>,
        handle: Arc<StreamHandle>,
        offset: u64,
        length: usize,
        thread: Option<u32>,
    ) -> Answer<Bytes> {
        let asked = Instant::now();
        let mut buffer = BytesMut::zeroed(length);
        match self.show(&handle, offset, &mut buffer, false) {
            Ok(false) => {}
            Ok(true) => return Answer::Now(Ok(buffer.freeze())),
            Err(error) => return Answer::Now(Err(error)),
        }
        handle
            .node
            .renew(|wanted| self.begin(wanted, &handle.holder, IfFull::Pass));
        let key = handle.holder.key();
        let plays = handle.holder.class == Class::Player;
        let patience = if plays {
            self.deals.player(handle.source, key)
        } else {
            *handle.patience.lock()
        };
        if patience.is_zero() {
            let shown = self.show(&handle, offset, &mut buffer, true);
            return Answer::Now(shown.map(|_| buffer.freeze()));
        }
        let bringing = Arc::clone(self);
        Answer::Later(Box::pin(async move {
            let priority = if plays {
                Priority::Player
            } else {
                Priority::Copier
            };
            // Whoever has only some milliseconds is not looked after.
            let thread = thread.filter(|_| !plays);
            let range = range(offset, length);
            let left = patience.saturating_sub(asked.elapsed());
            let arrived = handle.node.arrives(range, priority, left, thread).await;
            if !plays {
                let mut left = handle.patience.lock();
                *left = left.saturating_sub(asked.elapsed());
            }
            match arrived {
                Err(NotArrived::Cut(Cut::Dying)) => return Err(DriveError::Interrupted),
                Err(NotArrived::Cut(Cut::Late)) if plays => {
                    bringing.deals.missed(handle.source, key);
                }
                _ => {}
            }
            bringing.show(&handle, offset, &mut buffer, true)?;
            Ok(buffer.freeze())
        }))
    }

    fn show(
        &self,
        handle: &StreamHandle,
        offset: u64,
        buffer: &mut BytesMut,
        last: bool,
    ) -> Result<bool, DriveError> {
        let heard = match handle.node.show(offset, buffer, last) {
            Ok(Some(heard)) => heard,
            Ok(None) => return Ok(false),
            // What this node was shown as is lost: who opens the item now gets another one.
            Err(error) => {
                self.spoiled(handle);
                return Err(error);
            }
        };
        buffer.truncate(heard.filled);
        self.account(handle, heard.silent);
        Ok(true)
    }

    /// Reads the true bytes, once they have come.
    pub(super) fn read_waiting(
        self: &Arc<Self>,
        handle: Arc<WaitingHandle>,
        offset: u64,
        length: usize,
        thread: Option<u32>,
    ) -> Answer<Bytes> {
        let asked = Instant::now();
        let size = handle.wanted.size;
        if offset >= size || length == 0 {
            return Answer::Now(Ok(Bytes::new()));
        }
        let range = range(offset, length);
        let range = range.start..range.end.min(size);
        let begun = handle.stream.lock().clone();
        // Who asks again after a failure is one who hopes for another outcome.
        let stream = match begun.filter(|stream| !may_be_begun_anew(stream)) {
            Some(stream) => stream,
            None => {
                // A file manager that only wants to know what sort of file it is must not make anybody fetch it.
                let sniffs = handle.holder.class == Class::Browser
                    && !handle.is_small
                    && offset == 0
                    && length <= SNIFF as usize;
                if sniffs {
                    return Answer::Now(self.sniff(&handle, &range));
                }
                // A copy is whole only once it is known to be true, for which all of it is to be there.
                match self.begin(&handle.wanted, &handle.holder, IfFull::Fail) {
                    Ok(stream) => {
                        let stream = Arc::new(stream);
                        *handle.stream.lock() = Some(Arc::clone(&stream));
                        stream
                    }
                    Err(DriveError::NoMedium) => return Answer::Now(Err(handle.offline)),
                    Err(error) => return Answer::Now(Err(error)),
                }
            }
        };
        if let Some(bytes) = true_bytes(&stream, &range) {
            return Answer::Now(Ok(bytes));
        }
        let (source, key) = (handle.wanted.source, handle.holder.key());
        let (patience, priority) = match handle.holder.class {
            Class::Player => (self.deals.player(source, key), Priority::Player),
            Class::Loader => (self.deals.loader(), Priority::Copier),
            _ => (self.deals.copier(), Priority::Copier),
        };
        let bringing = Arc::clone(self);
        Answer::Later(Box::pin(async move {
            let left = || patience.saturating_sub(asked.elapsed());
            let all = is_end(&stream, &range);
            let needed = if all { 0..size } else { range.clone() };
            let arrived = arrives(&stream, vec![needed], priority, left(), thread).await;
            let verified = match arrived {
                Ok(()) if all && stream.ended().is_none() => {
                    let over = bringing.hydrator.wait(stream.task());
                    wait(over, left(), thread).await.map(drop)
                }
                Ok(()) => Ok(()),
                Err(NotArrived::Cut(cut)) => Err(cut),
                Err(NotArrived::Ended(why)) => return Err(drive_error(&why, handle.offline)),
            };
            if let Err(cut) = verified {
                if cut == Cut::Late && handle.holder.class == Class::Player {
                    bringing.deals.missed(source, key);
                }
                return Err(cut.into());
            }
            match (true_bytes(&stream, &range), stream.ended()) {
                (Some(bytes), _) => Ok(bytes),
                (None, Some(Err(why))) => Err(drive_error(&why, handle.offline)),
                (None, _) => Err(DriveError::Io),
            }
        }))
    }

    /// The beginning of a file for who wants to know its type, if it is being brought anyway and has arrived.
    fn sniff(&self, handle: &WaitingHandle, range: &Range<u64>) -> Result<Bytes, DriveError> {
        let task = self.hydrator.task_of(&handle.wanted);
        task.ok_or(DriveError::Busy)?;
        let stream = self
            .hydrator
            .stream(
                &handle.wanted,
                handle.holder.who(),
                WhenLeft::Stop,
                IfFull::Fail,
            )
            .map_err(|_| DriveError::Busy)?;
        true_bytes(&stream, range).ok_or(DriveError::Busy)
    }
}

/// True where a range reaches the end of what has a known hash. The end is given away only once all of it is known to be
/// what it was: so no copy of other bytes is ever whole.
fn is_end(stream: &Stream, range: &Range<u64>) -> bool {
    let wanted = stream.wanted();
    range.end >= wanted.size && wanted.expected.is_some()
}

/// The bytes of a range of the file, if they have arrived and may be given away.
fn true_bytes(stream: &Stream, range: &Range<u64>) -> Option<Bytes> {
    if is_end(stream, range) && stream.ended() != Some(Ok(())) {
        return None;
    }
    let length = usize::try_from(range.end - range.start).ok()?;
    let mut buffer = BytesMut::zeroed(length);
    (stream.read_arrived(range.start, &mut buffer) == Some(length)).then(|| buffer.freeze())
}

/// The true bytes of an item can be had now.
pub(super) fn is_at_hand(catalog: &Catalog, item: ItemNo) -> bool {
    let row = catalog.reader().and_then(|reader| reader.item(item));
    row.is_ok_and(|row| row.is_some_and(|row| super::attributes::at_hand(&row)))
}

fn braked(process: &Process) -> Braked {
    Braked {
        pid: process.id.0.into(),
        started: process.started.0,
    }
}

fn range(offset: u64, length: usize) -> Range<u64> {
    offset..offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX))
}

/// What a program is told where the bytes do not come; `offline` is what an absent source is to it.
pub(super) fn drive_error(why: &HydrateError, offline: DriveError) -> DriveError {
    match why {
        HydrateError::Offline { .. } => offline,
        HydrateError::Hung | HydrateError::Cancelled => DriveError::TimedOut,
        HydrateError::Gone => DriveError::Missing,
        // Not `Stale`: the program has this file open, and is to know that what it copied is no whole.
        HydrateError::Changed
        | HydrateError::WrongBytes { .. }
        | HydrateError::Failed { .. }
        | HydrateError::Cache { .. }
        | HydrateError::ShutDown => DriveError::Io,
        HydrateError::Full { .. } => DriveError::NoSpace,
    }
}
