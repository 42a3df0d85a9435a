//! What the drive needs for sounds that are not on trusted storage: hydration, the cache, deadlines, and the account of
//! silence. And what it does with them at `read`: a player gets what has arrived and silence for the rest, a copier waits.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mediafs_cache::OpenObject;
use mediafs_platform::drive::{Answer, DriveError};
use mediafs_platform::process::Process;
use parking_lot::Mutex;

use super::class::Class;
use super::deal::{Cut, Deals, ProcessKey};
use super::silenced::{Heard, Silenced};
use super::stream::{Epochs, NotArrived, StreamNode, arrives};
use crate::catalog::ItemNo;
use crate::config::Deadlines;
use crate::hydrate::{
    Arrival, Brake, BrakeLimits, HydrateError, Hydrator, Priority, Process as Braked, Stream,
    TaskPhase, Wanted, WhenLeft, Who,
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
}

/// Who has a handle open.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) class: Class,
    pub(super) process: Option<Arc<Process>>,
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
}

/// A handle of a `stream` node.
pub(super) struct StreamHandle {
    pub(super) node: Arc<StreamNode>,
    pub(super) of: Of,
    pub(super) source: SourceNo,
    pub(super) holder: Holder,
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
}

impl WaitingHandle {
    pub(super) fn new(wanted: Wanted, holder: Holder, offline: DriveError) -> Self {
        Self {
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
        })
    }

    /// A source has answered: whoever waits for it may hope again.
    pub fn answered(&self, source: SourceNo) {
        self.deals.answered(source);
    }

    /// Lets a process begin as many hydrations as it likes.
    pub fn allow(&self, process: &Process) {
        self.brake.allow(braked(process));
    }

    pub(super) fn object(&self, hash: ObjectHash) -> Option<(Arc<OpenObject>, Arc<File>)> {
        let object = (self.cached)(hash)?;
        let file = object.file().try_clone().ok()?;
        Some((Arc::new(object), Arc::new(file)))
    }

    /// Begins to bring what is wanted, or joins who does.
    ///
    /// # Errors
    /// [`DriveError::NotNow`] for a process that is braked; what [`drive_error`] makes of others.
    pub(super) fn begin(&self, wanted: &Wanted, holder: &Holder) -> Result<Stream, DriveError> {
        if let Some(process) = &holder.process
            && let Err(no) = self
                .brake
                .begin(braked(process), wanted.size, Instant::now())
        {
            if no.first {
                tracing::warn!(process = process.id.0, %no, "a process is braked");
                (self.braked)(process);
            }
            return Err(DriveError::NotNow);
        }
        self.hydrator
            .stream(wanted, holder.who(), WhenLeft::GoOn)
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

    /// Silence was given.
    pub(super) fn note_silence(&self, item: ItemNo, process: Option<&Process>, bytes: u64) {
        if let Some(listener) = self.silenced.note(item, process, bytes) {
            self.heard.silenced(item, &listener);
        }
    }

    /// The bytes of an item are back.
    pub(super) fn restored(&self, item: ItemNo) {
        if let Some(silence) = self.silenced.restored(item) {
            self.heard.restored(&silence);
        }
    }

    fn account(&self, handle: &StreamHandle, silent: u64) {
        if silent > 0 {
            let of = handle.of;
            self.epochs.spoiled(of.item, of.generation, &handle.node);
            self.note_silence(of.item, handle.holder.process.as_deref(), silent);
        }
    }

    /// Reads from a stream: what has arrived, and silence for what does not in time.
    pub(super) fn read_stream(
        self: &Arc<Self>,
        handle: Arc<StreamHandle>,
        offset: u64,
        length: usize,
        thread: Option<u32>,
    ) -> Answer<Bytes> {
        let mut buffer = BytesMut::zeroed(length);
        match self.show(&handle, offset, &mut buffer, false) {
            Ok(false) => {}
            Ok(true) => return Answer::Now(Ok(buffer.freeze())),
            Err(error) => return Answer::Now(Err(error)),
        }
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
            let begun = Instant::now();
            let arrived = handle.node.arrives(range, priority, patience, thread).await;
            if !plays {
                let mut left = handle.patience.lock();
                *left = left.saturating_sub(begun.elapsed());
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
        let Some(heard) = handle.node.show(offset, buffer, last)? else {
            return Ok(false);
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
        let size = handle.wanted.size;
        if offset >= size || length == 0 {
            return Answer::Now(Ok(Bytes::new()));
        }
        let begun = handle.stream.lock().clone();
        let stream = match begun {
            Some(stream) => stream,
            None => {
                // A file manager that only wants to know what sort of file it is must not make anybody fetch it.
                let sniffs = handle.holder.class == Class::Browser
                    && offset == 0
                    && length <= SNIFF as usize
                    && size > SNIFF.into();
                if sniffs {
                    return Answer::Now(Err(DriveError::NotNow));
                }
                match self.begin(&handle.wanted, &handle.holder) {
                    Ok(stream) => {
                        let mut kept = handle.stream.lock();
                        Arc::clone(kept.get_or_insert(Arc::new(stream)))
                    }
                    Err(DriveError::NoMedium) => return Answer::Now(Err(handle.offline)),
                    Err(error) => return Answer::Now(Err(error)),
                }
            }
        };
        let range = range(offset, length);
        let range = range.start..range.end.min(size);
        let mut buffer = BytesMut::zeroed(usize::try_from(range.end - range.start).unwrap_or(0));
        // The end is given away only once all of it is known to be what it was.
        let is_end = range.end == size && handle.wanted.expected.is_some();
        if !is_end && stream.read_arrived(offset, &mut buffer) == Some(buffer.len()) {
            return Answer::Now(Ok(buffer.freeze()));
        }
        let patience = match handle.holder.class {
            Class::Player => self.deals.player(handle.wanted.source, handle.holder.key()),
            Class::Loader => self.deals.loader(),
            _ => self.deals.copier(),
        };
        let over = is_end.then(|| self.hydrator.wait(stream.task()));
        let needed = if is_end { 0..size } else { range };
        Answer::Later(Box::pin(async move {
            let arrived = arrives(&stream, vec![needed], Priority::Copier, patience, thread).await;
            match arrived {
                Ok(()) => {}
                Err(NotArrived::Cut(cut)) => return Err(cut.into()),
                Err(NotArrived::Ended(why)) => return Err(drive_error(&why, handle.offline)),
            }
            if let Some(over) = over {
                let over = super::deal::wait(over, patience, thread).await?;
                if let Some(TaskPhase::Failed { reason }) = over.map(|task| task.phase) {
                    return Err(drive_error(&reason, handle.offline));
                }
            }
            match stream.read_arrived(offset, &mut buffer) {
                Some(filled) if filled == buffer.len() => Ok(buffer.freeze()),
                _ => Err(DriveError::Io),
            }
        }))
    }
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
