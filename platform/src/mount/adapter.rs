//! How the adapter asks the drive and how answers go back to the kernel.
//!
//! `Now` is answered on the dispatch thread, `Later` on the runtime and `Work` by its workers, so that no request waits for
//! another.
//! A panic of the drive is an I/O error of one request.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use fuser::{
    Errno, FileHandle, FopenFlags, Generation, INodeNo, ReplyData, ReplyEntry, ReplyOpen,
    ReplyXattr, Request,
};
use parking_lot::Mutex;

use super::asking::Asking;
use super::attr::entry_attr;
use super::cases::{self, Cases};
use super::errno;
use super::open_files::{OpenFiles, Served};
use crate::drive::{Answer, Content, Drive, DriveError, Entry, NodeId, Opened, Requester};

/// The longest name the kernel and the programs above it take.
pub(super) const LONGEST_NAME: usize = 255;

/// What the kernel agreed to, told to whoever mounts.
#[derive(Default)]
pub(super) struct Agreed {
    /// The kernel offers passthrough and was asked for it.
    pub(super) passthrough: AtomicBool,
}

/// The drive behind the library's trait.
pub(super) struct Adapter {
    pub(super) asking: Asking,
    pub(super) open_files: Arc<OpenFiles>,
    pub(super) agreed: Arc<Agreed>,
    /// Names to be found in another case; `None` where case matters.
    pub(super) cases: Option<Arc<Mutex<Cases>>>,
    pub(super) ask_for_passthrough: bool,
    /// The kernel's device, for answers that the library can't write.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) device: OwnedFd,
}

impl Adapter {
    /// As [`Asking::ask`].
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Result<T, DriveError>,
    ) -> Result<T, DriveError> {
        self.asking.ask(question)
    }

    /// As [`Asking::ask_answer`].
    pub(super) fn ask_answer<T>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Answer<T>,
    ) -> Answer<T> {
        self.asking.ask_answer(question)
    }

    /// As [`Asking::finish`].
    pub(super) fn finish<T: Send + 'static>(
        &self,
        answer: Answer<T>,
        finish: impl FnOnce(Result<T, DriveError>) + Send + 'static,
    ) {
        self.asking.finish(answer, finish);
    }

    /// As [`cases::look_up`].
    pub(super) fn look_up(
        &self,
        folder: NodeId,
        name: &OsStr,
        by: &Requester,
    ) -> Result<Entry, DriveError> {
        self.ask(|drive| cases::look_up(self.cases.as_deref(), drive, folder, name, by))
    }

    /// What a call that would change something at `node` is answered with.
    pub(super) fn refusal(&self, node: INodeNo, req: &Request) -> Errno {
        let by = requester(req);
        let error = self.ask(|drive| Ok(drive.refuse_change(NodeId(node.0), &by)));
        errno::of(error.unwrap_or_else(|error| error))
    }

    /// What a call that would write into `node` is answered with.
    pub(super) fn refusal_to_write(&self, node: INodeNo, req: &Request) -> Errno {
        let by = requester(req);
        let error = self.ask(|drive| Ok(drive.refuse_write(NodeId(node.0), &by)));
        errno::of(error.unwrap_or_else(|error| error))
    }
}

/// Who asks. Number 0 means that the thread is not visible in this pid namespace.
pub(super) fn requester(req: &Request) -> Requester {
    Requester {
        thread: (req.pid() != 0).then_some(req.pid()),
        uid: req.uid(),
        gid: req.gid(),
    }
}

/// Replies with what a name leads to.
pub(super) fn finish_entry(entry: Result<Entry, DriveError>, reply: ReplyEntry) {
    match entry {
        Ok(entry) => {
            let (attr, attribute_ttl) = entry_attr(&entry);
            reply.entry_with_ttls(&attribute_ttl, &entry.entry_ttl, &attr, Generation(0));
        }
        Err(error) => reply.error(errno::of(error)),
    }
}

/// Replies to an `open`.
pub(super) fn finish_open(
    files: &OpenFiles,
    node: NodeId,
    opened: Result<Opened, DriveError>,
    reply: ReplyOpen,
) {
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return reply.error(errno::of(error)),
    };
    let handle = FileHandle(opened.handle.0);
    // What was written is in the backing file already, so there is nothing to flush at each `close`; and so a writer can
    // close its file well after the daemon has died. Pages of mappings are written back when those end.
    let flags = FopenFlags::FOPEN_NOFLUSH;
    match &opened.content {
        Content::Written => reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO),
        Content::Direct { again } => {
            let flags = flags | FopenFlags::FOPEN_DIRECT_IO;
            let kept = if *again {
                FopenFlags::FOPEN_KEEP_CACHE
            } else {
                FopenFlags::empty()
            };
            reply.opened(handle, flags | kept);
        }
        Content::Growing(file) => {
            match files.open(node, opened.handle, file, |file| reply.open_backing(file)) {
                Served::Passthrough(backing) => backing.opened(reply, handle, flags),
                // The page cache would go on showing the end that it has seen.
                Served::PageCache => reply.opened(handle, flags | FopenFlags::FOPEN_DIRECT_IO),
            }
        }
        Content::File(file) => {
            match files.open(node, opened.handle, file, |file| reply.open_backing(file)) {
                Served::Passthrough(backing) => backing.opened(reply, handle, flags),
                Served::PageCache => reply.opened(handle, flags | FopenFlags::FOPEN_KEEP_CACHE),
            }
        }
    }
}

/// Replies to a `read`, with no more than was asked for.
pub(super) fn finish_read(bytes: Result<Bytes, DriveError>, size: u32, reply: ReplyData) {
    match bytes {
        Ok(bytes) => reply.data(&bytes[..bytes.len().min(size as usize)]),
        Err(error) => reply.error(errno::of(error)),
    }
}

/// Replies with an attribute's value, or its length where the length is asked for.
pub(super) fn finish_xattr(value: Result<Vec<u8>, DriveError>, size: u32, reply: ReplyXattr) {
    match value {
        Err(error) => reply.error(errno::of(error)),
        Ok(value) => match u32::try_from(value.len()) {
            Err(_) => reply.error(Errno::E2BIG),
            Ok(length) if size == 0 => reply.size(length),
            Ok(length) if length > size => reply.error(Errno::ERANGE),
            Ok(_) => reply.data(&value),
        },
    }
}

/// No other name is ever looked for, nor the drive asked: programs ask for several of every file they list.
pub(super) fn xattr_is_kept(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"user.")
}

/// What is answered for another name. Linux asks no further for one that is not supported; macOS looks for it in a file
/// `._NAME` beside the file then, but takes it that there is none where it is told so.
pub(super) const XATTR_NOT_KEPT: DriveError = if cfg!(target_os = "macos") {
    DriveError::NoAttribute
} else {
    DriveError::NotSupported
};
