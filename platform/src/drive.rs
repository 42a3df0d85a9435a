//! The seam between the kernel and the drive.
//!
//! An adapter (`mount/fuse.rs`, `mount/nfs`, `mount/winfsp.rs`) turns requests of its system into calls on
//! [`Drive`] and the answers into replies, and knows no more than that. What the tree holds, who gets
//! sound and who gets silence, is decided by the implementation of [`Drive`], which never sees a kernel
//! type. [`DriveError`] is the only thing that becomes an errno or an NTSTATUS, in one `match` an adapter.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

/// A future that can be handed to the runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Work that a thread may be held up in.
pub type Work<T> = Box<dyn FnOnce() -> Result<T, DriveError> + Send>;

/// The number of a node. What a node shows never changes: other content is another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root folder of the drive.
    pub const ROOT: Self = Self(1);
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:#018x})", self.0)
    }
}

/// An open file of the drive, from `open` until `release`. Never reused while the drive lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct HandleId(pub u64);

/// The position after an entry in a listing, opaque to the adapter; 0 is the beginning. A listing that is
/// taken up again at a cursor goes on behind that entry, even if it is gone by then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct Cursor(pub u64);

/// Who asks, as the kernel tells it. The class (player, copier, …) is derived by the drive, when it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requester {
    /// The thread that asks, as numbered in the daemon's own pid namespace; `None` where it is not visible.
    pub thread: Option<u32>,
    /// Its user and group.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// What a node is to the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A plain file.
    File,
    /// A symbolic link (only where a library has one that stays inside it).
    Symlink,
}

/// Attributes of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// The number that programs see as `st_ino`. The same for every face of one generation, so it may differ
    /// from the node's own number; then `attribute_ttl` is zero.
    pub inode: u64,
    /// Folder, file or link.
    pub kind: NodeKind,
    /// In bytes.
    pub size: u64,
    /// Time of last change of the content.
    pub modified: SystemTime,
    /// Time of last change of the inode; the content's where unknown.
    pub changed: SystemTime,
    /// Time of birth; the content's where unknown.
    pub born: SystemTime,
    /// Permission bits (`0o7777` at most).
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The answer of a look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The node that the name leads to, for this requester, now.
    pub node: NodeId,
    /// Its attributes.
    pub attributes: Attributes,
    /// How long the kernel may keep the name.
    pub entry_ttl: Duration,
    /// How long the kernel may keep the attributes.
    pub attribute_ttl: Duration,
}

/// One entry of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The name in the folder.
    pub name: OsString,
    /// The position behind this entry.
    pub cursor: Cursor,
    /// What programs see as `d_ino`.
    pub inode: u64,
    /// Folder, file or link.
    pub kind: NodeKind,
    /// Filled when asked for (readdirplus) and when the node is the same for every requester; counts as a
    /// look-up of that node once the adapter has sent it.
    pub entry: Option<Entry>,
}

/// What an `open` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenMode {
    /// Bytes will be read.
    pub read: bool,
    /// Bytes will be written.
    pub write: bool,
    /// The file is emptied first.
    pub truncate: bool,
    /// It is to leave no trace (O_NOATIME): so do file managers that only look what sort of file it is.
    pub traceless: bool,
}

/// How the bytes of a handle come.
#[derive(Clone, Debug)]
pub enum Content {
    /// From this file, whole, of this length and no other: the adapter may let the kernel read it itself
    /// (passthrough) and cache it, or ask the drive by `read`. The same for every handle of the node.
    File(Arc<File>),
    /// From this file, which grows and changes while it is open: the adapter lets the kernel read and write it itself
    /// (passthrough), or asks the drive by `read` and `write`, and keeps nothing. The same for every handle of the node.
    Growing(Arc<File>),
    /// From and to the drive alone, by `read` and `write`, never cached. Each close of a descriptor is told by
    /// [`Drive::closed`].
    Written,
    /// From the drive alone, by `read`, never cached: silence, streams, whatever may wait.
    Direct {
        /// The node is open already, so the kernel keeps the pages that mappings of it have read: they are the same. An
        /// `open` that has them dropped would wait for whoever waits for one of them.
        again: bool,
    },
}

/// The answer of an `open`.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The handle for `read`, `write`, `release`.
    pub handle: HandleId,
    /// Where its bytes come from.
    pub content: Content,
}

/// Attributes that a program wants to be others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AttributeChange {
    /// In bytes: what is beyond goes, what is missing becomes zeros.
    pub size: Option<u64>,
    /// Time of last access.
    pub accessed: Option<NewTime>,
    /// Time of last change of the content.
    pub modified: Option<NewTime>,
    /// Permission bits.
    pub permissions: Option<u16>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// A time that is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewTime {
    /// That of the machine.
    Now,
    /// This one.
    At(SystemTime),
}

/// Room in a file that a program asks for, or gives back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// From here.
    pub offset: u64,
    /// So many bytes.
    pub length: u64,
    /// The size stays, also where this goes beyond it.
    pub keep_size: bool,
    /// What is there from then on.
    pub fill: Fill,
}

/// What an [`Allocation`] leaves in its range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// What is there, with room for all of it.
    Kept,
    /// Zeros, without room.
    Hole,
    /// Zeros, with room.
    Zeros,
}

/// What is made in a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Making {
    /// Permission bits.
    pub permissions: u16,
    /// How a file is opened once it is made.
    pub mode: OpenMode,
    /// It must not be there.
    pub exclusive: bool,
}

/// What a rename may do to what has the new name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replacing {
    /// It goes.
    Replace,
    /// Nothing: then there is no rename.
    Keep,
    /// It gets the old name.
    Exchange,
}

/// Room on the drive, in bytes, and entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that can still be written.
    pub free: u64,
    /// Files known.
    pub files: u64,
}

/// An answer now, or later.
pub enum Answer<T> {
    /// Known already: replied on the dispatch thread.
    Now(Result<T, DriveError>),
    /// To be waited for: replied from the runtime.
    Later(BoxFuture<'static, Result<T, DriveError>>),
    /// To be asked of a disk that may take its time: done on a thread that waits for nothing else, and replied from there.
    Work(Work<T>),
}

impl<T> Answer<T> {
    /// An answer that a disk gives.
    pub fn work(work: impl FnOnce() -> Result<T, DriveError> + Send + 'static) -> Self {
        Self::Work(Box::new(work))
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Self::Later(_) => f.write_str("Later"),
            Self::Work(_) => f.write_str("Work"),
        }
    }
}

/// Why the drive could not do what was asked. A small closed set: the adapter turns each into the number of
/// its system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// There is no such name, node or handle. ENOENT.
    #[error("no such file or folder")]
    NotFound,
    /// The sound is known but its bytes are nowhere. ENODATA (EIO where there is none), never ENOENT, which
    /// copying programs forgive.
    #[error("the sound is missing: its bytes are nowhere")]
    Missing,
    /// The volume that holds it is not there. ENOMEDIUM.
    #[error("the volume that holds it is not connected")]
    NoMedium,
    /// The remote that holds it can't be reached. ENETUNREACH.
    #[error("its remote storage cannot be reached")]
    Unreachable,
    /// Its bytes did not come in time. ETIMEDOUT.
    #[error("its bytes did not come in time")]
    TimedOut,
    /// Not without waking storage, which this requester may not: of `open` only. EAGAIN.
    #[error("not available without fetching it")]
    NotNow,
    /// As [`DriveError::NotNow`], of `read`. EBUSY: a program that is told EAGAIN there may take it for the end of the
    /// file, as Python's `shutil` does, and report an empty copy as made.
    #[error("not to be read without fetching it")]
    Busy,
    /// The node is not what the name leads to any more; look the name up again. ESTALE.
    #[error("the file has changed; look it up again")]
    Stale,
    /// This part of the drive is not written to. EROFS.
    #[error("read-only")]
    ReadOnly,
    /// Not permitted to this requester. EACCES.
    #[error("not permitted")]
    NotPermitted,
    /// Only who owns the file system could, and that is nobody: owner and permissions are the drive's. EPERM, which
    /// programs that copy those as well as they can forgive, and EACCES not.
    #[error("owner and permissions are the drive's own")]
    NotOwner,
    /// A folder where a file is needed. EISDIR.
    #[error("is a folder")]
    IsFolder,
    /// A file where a folder is needed. ENOTDIR.
    #[error("is not a folder")]
    NotFolder,
    /// A malformed request. EINVAL.
    #[error("invalid request")]
    Invalid,
    /// No such attribute. ENODATA.
    #[error("no such attribute")]
    NoAttribute,
    /// Attributes of that sort are not kept. ENOTSUP.
    #[error("not supported")]
    NotSupported,
    /// The name is longer than the drive can keep. ENAMETOOLONG.
    #[error("the name is too long")]
    NameTooLong,
    /// The disk or the cache is full. ENOSPC.
    #[error("no space left")]
    NoSpace,
    /// Something has that name already. EEXIST.
    #[error("there already")]
    AlreadyExists,
    /// A folder that is to go has something in it. ENOTEMPTY.
    #[error("not empty")]
    NotEmpty,
    /// A rename to where it can't be renamed to. EXDEV: programs copy then.
    #[error("another part of the drive")]
    Elsewhere,
    /// A file would be longer than its disk can keep. EFBIG.
    #[error("too large")]
    TooLarge,
    /// Too many files are open. EMFILE.
    #[error("too many open files")]
    TooManyOpen,
    /// The requester is dying and waits no longer. EINTR.
    #[error("interrupted")]
    Interrupted,
    /// The storage gave an error. EIO.
    #[error("storage error")]
    Io,
}

/// Tells the kernel to forget what it keeps. Calls return at once; the work is done by one thread of the
/// adapter's own, in order.
pub trait Invalidate: Send + Sync {
    /// The name may lead elsewhere, or nowhere, now.
    fn entry(&self, parent: NodeId, name: &OsStr);
    /// The list of the folder, and with it its time of change, is another now.
    fn listing(&self, folder: NodeId);
}

/// What a mounted drive answers. No method blocks. What only looks (`lookup`, `attributes`, `list`) answers from memory or
/// the catalog, always at once; `open`, `read` and what changes something give an [`Answer`]. Until that is there, the
/// kernel keeps other changes in the same folder, and whoever would look a name up there for the first time, waiting.
pub trait Drive: Send + Sync + 'static {
    /// The drive is mounted; `kernel` takes its invalidations from now on.
    fn mounted(&self, kernel: Arc<dyn Invalidate>);

    /// What `name` in `parent` leads to for this requester. Counts one look-up of the node answered.
    fn lookup(&self, parent: NodeId, name: &OsStr, by: &Requester) -> Result<Entry, DriveError>;

    /// The kernel has forgotten `count` look-ups of the node.
    fn forget(&self, node: NodeId, count: u64);

    /// The attributes of a node and how long they may be kept.
    fn attributes(&self, node: NodeId) -> Result<(Attributes, Duration), DriveError>;

    /// Can a file be read of which the attributes say that it has no bytes? For who does not open what is empty, and would take
    /// one that is not there for an empty one.
    ///
    /// # Errors
    /// What reading it would be answered with.
    fn is_empty(&self, node: NodeId) -> Result<(), DriveError> {
        let _ = node;
        Ok(())
    }

    /// Where a symbolic link points.
    fn read_link(&self, node: NodeId) -> Result<OsString, DriveError>;

    /// Gives the entries of a folder behind `after` to `sink`, until it returns `false` (full: that entry was
    /// *not* taken) or the folder ends. With `entries`, [`Listed::entry`] is filled where it may be; each
    /// taken entry that has one counts as a look-up. `.` and `..` are not listed.
    fn list(
        &self,
        folder: NodeId,
        after: Cursor,
        entries: bool,
        by: &Requester,
        sink: &mut dyn FnMut(Listed) -> bool,
    ) -> Result<(), DriveError>;

    /// May the kernel keep the list of this folder? Only if each of its changes is told by [`Invalidate::listing`].
    fn keeps_listing(&self, folder: NodeId) -> bool {
        let _ = folder;
        false
    }

    /// No list of a folder that is not to be kept has changed since then. For who can be told of nothing, and goes by times.
    fn lists_changed(&self) -> SystemTime {
        SystemTime::now()
    }

    /// The folder that holds `folder` (for `..`).
    fn parent(&self, folder: NodeId) -> Result<NodeId, DriveError>;

    /// Opens a file.
    fn open(&self, node: NodeId, mode: OpenMode, by: &Requester) -> Answer<Opened>;

    /// Up to `length` bytes at `offset`; fewer only at the end of the file.
    fn read(&self, handle: HandleId, offset: u64, length: u32, by: &Requester) -> Answer<Bytes>;

    /// May this requester change the content of this node? What `open` for writing, and `access`, go by. All else that
    /// would change something there is answered with [`Drive::refuse_change`] where it may not.
    fn may_write(&self, node: NodeId, by: &Requester) -> bool {
        let _ = (node, by);
        false
    }

    /// The copy that was made of a node when somebody would have changed it: what its name leads to since `open` for writing,
    /// or `set_attributes`, was answered with [`DriveError::Stale`]. Asked where nobody looks a name up again that was stale.
    fn copy_of(&self, node: NodeId) -> Option<NodeId> {
        let _ = node;
        None
    }

    /// May it be removed, under whichever name, as far as can be told beforehand? Asked where nobody can be told any more
    /// that [`Drive::remove`] was refused.
    fn may_remove(&self, node: NodeId, by: &Requester) -> bool {
        self.may_write(node, by)
    }

    /// What who would write into a node that may not be written to is answered with: as [`Drive::refuse_change`], of the
    /// content itself.
    fn refuse_write(&self, node: NodeId, by: &Requester) -> DriveError {
        self.refuse_change(node, by)
    }

    /// Writes `data` at `offset`; gives how many bytes were written.
    fn write(&self, handle: HandleId, offset: u64, data: Bytes, by: &Requester) -> Answer<u32> {
        let _ = (handle, offset, data, by);
        Answer::Now(Err(DriveError::ReadOnly))
    }

    /// Changes attributes of a node that may be written to, through `handle` where a program has it open.
    fn set_attributes(
        &self,
        node: NodeId,
        handle: Option<HandleId>,
        change: AttributeChange,
        by: &Requester,
    ) -> Answer<(Attributes, Duration)> {
        let _ = (node, handle, change, by);
        Answer::Now(Err(DriveError::ReadOnly))
    }

    /// Makes room in a file that is open for writing, or gives it back.
    fn allocate(&self, handle: HandleId, allocation: Allocation) -> Answer<()> {
        let _ = (handle, allocation);
        Answer::Now(Err(DriveError::ReadOnly))
    }

    /// What was written through the handle is on the disk when this is answered; with `data_only` without attributes that
    /// nobody needs to read it.
    fn sync(&self, handle: HandleId, data_only: bool) -> Answer<()> {
        let _ = (handle, data_only);
        Answer::Now(Ok(()))
    }

    /// Makes sure that the names in a folder that may be written to outlast a loss of power.
    fn sync_folder(&self, folder: NodeId) -> Answer<()> {
        let _ = folder;
        Answer::Now(Ok(()))
    }

    /// A descriptor of a handle with [`Content::Written`] is closed by `by`; others may be open.
    fn closed(&self, handle: HandleId, by: &Requester) {
        let _ = (handle, by);
    }

    /// Makes a file and opens it. Counts a look-up of its node.
    fn create(
        &self,
        parent: NodeId,
        name: &OsStr,
        making: Making,
        by: &Requester,
    ) -> Answer<(Entry, Opened)> {
        let _ = (name, making);
        Answer::Now(Err(self.refuse_change(parent, by)))
    }

    /// Makes a folder. Counts a look-up of its node.
    fn make_folder(
        &self,
        parent: NodeId,
        name: &OsStr,
        permissions: u16,
        by: &Requester,
    ) -> Answer<Entry> {
        let _ = (name, permissions);
        Answer::Now(Err(self.refuse_change(parent, by)))
    }

    /// Removes a file, or an empty folder.
    fn remove(&self, parent: NodeId, name: &OsStr, folder: bool, by: &Requester) -> Answer<()> {
        let _ = (name, folder);
        Answer::Now(Err(self.refuse_change(parent, by)))
    }

    /// Gives something another name, or another folder.
    fn rename(
        &self,
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        replacing: Replacing,
        by: &Requester,
    ) -> Answer<()> {
        let _ = (to, replacing);
        Answer::Now(Err(self.refuse_change(from.0, by)))
    }

    /// The handle is closed for good. Nobody waits for the answer.
    fn release(&self, handle: HandleId) -> Answer<()>;

    /// Room for `statfs`.
    fn room(&self) -> Room;

    /// The value of an extended attribute: [`DriveError::NotSupported`] at once for names outside `user.`,
    /// [`DriveError::NoAttribute`] for unknown ones inside.
    fn xattr(&self, node: NodeId, name: &OsStr) -> Result<Vec<u8>, DriveError>;

    /// The names of the extended attributes of a node.
    fn xattrs(&self, node: NodeId) -> Result<Vec<OsString>, DriveError>;

    /// What every call is answered with that would change the tree (create, rename, remove, link), or a node that may not
    /// be written to (see [`Drive::may_write`]).
    fn refuse_change(&self, node: NodeId, by: &Requester) -> DriveError {
        let _ = (node, by);
        DriveError::ReadOnly
    }
}
