//! The FUSE adapter: turns requests of the kernel into calls on [`Drive`] and its answers into replies.
//!
//! It has no opinion of its own about the tree. What it does know are the rules of the kernel: whatever would
//! change the tree is answered with [`Drive::refuse_change`], and what the kernel can do without is answered
//! quietly. What writing needs beside that is in `writing.rs`. How the drive is asked and how its answers go back is in `adapter.rs`.
//!
//! [`Drive`]: crate::drive::Drive
//! [`Drive::refuse_change`]: crate::drive::Drive::refuse_change

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags,
    PollEvents, PollFlags, PollNotifier, RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen,
    ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::adapter::{
    Adapter, LONGEST_NAME, XATTR_NOT_KEPT, finish_entry, finish_open, finish_read, finish_xattr,
    requester, xattr_is_kept,
};
use super::attr::{entry_attr, file_attr};
use super::{errno, writing};
use crate::drive::{AttributeChange, DriveError, HandleId, NodeId, OpenMode};

/// Readahead and RELEASE are background requests; with few of them allowed at a time, waiting reads of one
/// file would hold up those of another.
const MAX_BACKGROUND: u16 = 2048;
const CONGESTION_THRESHOLD: u16 = 1536;
/// The block size of `statfs`.
const STATFS_BLOCK: u32 = 4096;

/// Linux keeps lists of folders well but from 6.9 to 6.12.
fn kernel_keeps_listings() -> bool {
    static KEEPS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *KEEPS.get_or_init(|| {
        cfg!(target_os = "linux")
            && listings_are_kept_by(&rustix::system::uname().release().to_string_lossy())
    })
}

fn listings_are_kept_by(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => !((6, 9)..=(6, 12)).contains(&(major, minor)),
        _ => false,
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Both take any number above 0.
        let _ = config.set_max_background(MAX_BACKGROUND);
        let _ = config.set_congestion_threshold(CONGESTION_THRESHOLD);
        let mut wanted = vec![
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ];
        if cfg!(target_os = "linux") {
            // macFUSE takes its bit for another wish: to exchange files.
            wanted.push(InitFlags::FUSE_HANDLE_KILLPRIV_V2);
            wanted.push(InitFlags::FUSE_DO_READDIRPLUS);
        }
        for flag in wanted {
            if config.add_capabilities(flag).is_err() {
                tracing::debug!(?flag, "not offered by this kernel");
            }
        }
        // Two levels, so that files on an overlay can be passed through as well.
        if self.ask_for_passthrough
            && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(2).is_ok()
        {
            self.agreed.passthrough.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        // The kernel lets names of up to 1,024 bytes through.
        if name.len() > LONGEST_NAME {
            return reply.error(errno::of(DriveError::NameTooLong));
        }
        let by = requester(req);
        finish_entry(self.look_up(NodeId(parent.0), name, &by), reply);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        let _ = self.ask(|drive| {
            drive.forget(NodeId(ino.0), nlookup);
            Ok(())
        });
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.ask(|drive| drive.attributes(NodeId(ino.0))) {
            Ok((attributes, ttl)) => reply.attr(&ttl, &file_attr(&attributes)),
            Err(error) => reply.error(errno::of(error)),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.ask(|drive| drive.read_link(NodeId(ino.0))) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(errno::of(error)),
        }
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let access = flags.acc_mode();
        let mode = OpenMode {
            read: access != OpenAccMode::O_WRONLY,
            write: access != OpenAccMode::O_RDONLY,
            truncate: flags.0 & libc::O_TRUNC != 0,
            #[cfg(target_os = "linux")]
            traceless: flags.0 & libc::O_NOATIME != 0,
            #[cfg(not(target_os = "linux"))]
            traceless: false,
        };
        if (mode.write || mode.truncate) && !self.may_write(ino, req) {
            return reply.error(self.refusal_to_write(ino, req));
        }
        let node = NodeId(ino.0);
        let by = requester(req);
        let files = Arc::clone(&self.open_files);
        let opened = self.ask_answer(|drive| drive.open(node, mode, &by));
        self.finish(opened, move |opened| {
            finish_open(&files, node, opened, reply)
        });
    }

    fn read(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let by = requester(req);
        let bytes = self.ask_answer(|drive| drive.read(HandleId(fh.0), offset, size, &by));
        self.finish(bytes, move |bytes| finish_read(bytes, size, reply));
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let handle = HandleId(fh.0);
        self.open_files.release(handle);
        // Replied at once: the kernel allows but so many releases at a time, together with its readahead.
        let closed = self.ask_answer(|drive| drive.release(handle));
        self.finish(closed, drop);
        reply.ok();
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let keeps = kernel_keeps_listings()
            && self
                .ask(|drive| Ok(drive.keeps_listing(NodeId(ino.0))))
                .unwrap_or(false);
        let flags = if keeps {
            FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE
        } else {
            FopenFlags::empty()
        };
        reply.opened(FileHandle(0), flags);
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        self.list(req, ino, offset, reply);
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        #[cfg(target_os = "linux")]
        self.list_with_entries(req, ino, offset, reply);
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (req, ino, offset);
            reply.error(Errno::ENOSYS);
        }
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match self.ask(|drive| Ok(drive.room())) {
            Err(error) => reply.error(errno::of(error)),
            Ok(room) => {
                let block = u64::from(STATFS_BLOCK);
                let free = room.free.min(room.total) / block;
                let longest = LONGEST_NAME as u32;
                reply.statfs(
                    room.total / block,
                    free,
                    free,
                    room.files,
                    0,
                    STATFS_BLOCK,
                    longest,
                    STATFS_BLOCK,
                );
            }
        }
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !xattr_is_kept(name) {
            return reply.error(errno::of(XATTR_NOT_KEPT));
        }
        if self.system_keeps_xattrs(ino, req) {
            return reply.error(errno::of(DriveError::NotSupported));
        }
        finish_xattr(
            self.ask(|drive| drive.xattr(NodeId(ino.0), name)),
            size,
            reply,
        );
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        if self.system_keeps_xattrs(ino, req) {
            return reply.error(errno::of(DriveError::NotSupported));
        }
        let names = self.ask(|drive| drive.xattrs(NodeId(ino.0))).map(|names| {
            let mut joined = Vec::new();
            for name in names.iter().map(|name| name.as_bytes()) {
                if !name.is_empty() && !name.contains(&0) {
                    joined.extend_from_slice(name);
                    joined.push(0);
                }
            }
            joined
        });
        finish_xattr(names, size, reply);
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        if mask.contains(AccessFlags::W_OK) && !self.may_write(ino, req) {
            reply.error(self.refusal(ino, req));
        } else {
            reply.ok();
        }
    }

    // What was written is in its file.
    fn flush(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let by = requester(req);
        let _ = self.ask(|drive| {
            drive.closed(HandleId(fh.0), &by);
            Ok(())
        });
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let synced = self.ask_answer(|drive| drive.sync(HandleId(fh.0), datasync));
        self.finish(synced, |done| writing::finish(done, reply));
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let synced = self.ask_answer(|drive| drive.sync_folder(NodeId(ino.0)));
        self.finish(synced, |done| writing::finish(done, reply));
    }

    // What would change the tree.

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if !self.may_write(ino, req) {
            return reply.error(match size {
                Some(_) => self.refusal_to_write(ino, req),
                None => self.refusal(ino, req),
            });
        }
        let change = AttributeChange {
            size,
            accessed: atime.map(writing::new_time),
            modified: mtime.map(writing::new_time),
            // Higher bits are those of the kind of file.
            permissions: mode.map(|mode| (mode & 0o7777) as u16),
            uid,
            gid,
        };
        let (node, handle) = (NodeId(ino.0), fh.map(|fh| HandleId(fh.0)));
        let by = requester(req);
        let changed = self.ask_answer(|drive| drive.set_attributes(node, handle, change, &by));
        self.finish(changed, |changed| match changed {
            Ok((attributes, ttl)) => reply.attr(&ttl, &file_attr(&attributes)),
            Err(error) => reply.error(errno::of(error)),
        });
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(self.refusal(parent, req));
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        if name.len() > LONGEST_NAME {
            return reply.error(errno::of(DriveError::NameTooLong));
        }
        let (by, permissions) = (requester(req), writing::permissions(mode, umask));
        let made =
            self.ask_answer(|drive| drive.make_folder(NodeId(parent.0), name, permissions, &by));
        self.finish(made, |made| finish_entry(made, reply));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let by = requester(req);
        let removed = self.ask_answer(|drive| drive.remove(NodeId(parent.0), name, false, &by));
        self.finish(removed, |done| writing::finish(done, reply));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let by = requester(req);
        let removed = self.ask_answer(|drive| drive.remove(NodeId(parent.0), name, true, &by));
        self.finish(removed, |done| writing::finish(done, reply));
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        _link_name: &OsStr,
        _target: &Path,
        reply: ReplyEntry,
    ) {
        reply.error(self.refusal(parent, req));
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let Some(replacing) = writing::replacing(flags) else {
            return reply.error(errno::of(DriveError::Invalid));
        };
        if newname.len() > LONGEST_NAME {
            return reply.error(errno::of(DriveError::NameTooLong));
        }
        let (by, from, to) = (requester(req), NodeId(parent.0), NodeId(newparent.0));
        let renamed =
            self.ask_answer(|drive| drive.rename((from, name), (to, newname), replacing, &by));
        self.finish(renamed, |done| writing::finish(done, reply));
    }

    fn link(
        &self,
        req: &Request,
        _ino: INodeNo,
        newparent: INodeNo,
        _newname: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(self.refusal(newparent, req));
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        if name.len() > LONGEST_NAME {
            return reply.error(errno::of(DriveError::NameTooLong));
        }
        let (by, making) = (requester(req), writing::making(mode, umask, flags));
        let created = self.ask_answer(|drive| drive.create(NodeId(parent.0), name, making, &by));
        self.finish(created, |created| match created {
            Ok((entry, opened)) => {
                let (attr, ttl) = entry_attr(&entry);
                let handle = FileHandle(opened.handle.0);
                let direct = FopenFlags::FOPEN_DIRECT_IO;
                reply.created(&ttl, &attr, Generation(0), handle, direct);
            }
            Err(error) => reply.error(errno::of(error)),
        });
    }

    fn write(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let by = requester(req);
        let data = Bytes::copy_from_slice(data);
        let written = self.ask_answer(|drive| drive.write(HandleId(fh.0), offset, data, &by));
        self.finish(written, |written| match written {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(errno::of(error)),
        });
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(self.no_xattr(ino, req));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.no_xattr(ino, req));
    }

    fn fallocate(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let Some(allocation) = writing::allocation(offset, length, mode) else {
            return reply.error(errno::of(DriveError::NotSupported));
        };
        let allocated = self.ask_answer(|drive| drive.allocate(HandleId(fh.0), allocation));
        self.finish(allocated, |done| writing::finish(done, reply));
    }

    // What the kernel does by itself when it is told that nobody else will.

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        _fh_in: FileHandle,
        _offset_in: u64,
        _ino_out: INodeNo,
        _fh_out: FileHandle,
        _offset_out: u64,
        _len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // It reads and writes instead.
        reply.error(Errno::ENOSYS);
    }

    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn poll(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _ph: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn bmap(&self, _req: &Request, _ino: INodeNo, _blocksize: u32, _idx: u64, reply: ReplyBmap) {
        reply.error(Errno::ENOSYS);
    }
}

#[cfg(test)]
mod tests {
    use super::listings_are_kept_by;

    #[test]
    fn kernels_that_keep_listings_badly_are_not_trusted_with_them() {
        for release in [
            "6.18.44-fc-v669",
            "6.8.0-45-generic",
            "6.13",
            "7.0.0",
            "5.10.0",
        ] {
            assert!(listings_are_kept_by(release), "{release}");
        }
        for release in ["6.9.0", "6.12.1-rt", "6.10", "", "x.y"] {
            assert!(!listings_are_kept_by(release), "{release}");
        }
    }
}
