//! The simulated cloud's side to the kernel: each request is counted and judged by the rules in force, waits if it has to
//! on a thread of its own, and is answered from the contents.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow,
    WriteFlags,
};
use parking_lot::{Condvar, Mutex};
use rustix::io::Errno as Raw;

use super::contents::{Body, Contents, Counts, Mark, Sort};
use super::fault::{Asked, Live, Op, Verdict};

/// What the kernel keeps of a cloud that it may keep things of.
const KEPT: Duration = Duration::from_secs(60);

/// What the test and the threads that serve share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Rang whenever held requests may go on.
    pub(super) changed: Condvar,
    pub(super) kept_by_kernel: bool,
}

pub(super) struct State {
    pub(super) contents: Contents,
    pub(super) rules: Vec<Live>,
    /// Requests that wait right now.
    pub(super) waiting: usize,
    pub(super) ended: bool,
}

pub(super) struct Server(pub(super) Arc<Shared>);

/// What an answer is made of: the state, and what the rules say.
type Answered<'a> = (&'a mut State, &'a Verdict);

impl Server {
    /// Counts and judges a request, then answers it: at once, or later on a thread of its own.
    fn serve(
        &self,
        op: Op,
        node: u64,
        range: (u64, u64),
        answer: impl FnOnce(&Shared, Result<Answered<'_>, Raw>) + Send + 'static,
    ) {
        let asked = Asked {
            op,
            offset: range.0,
            length: range.1,
        };
        let mut state = self.0.state.lock();
        let verdict = state.judge(asked, node);
        if verdict.delay.is_zero() && verdict.held_by.is_empty() {
            return answered(&self.0, &mut state, op, node, &verdict, answer);
        }
        state.waiting += 1;
        drop(state);
        let shared = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut state = shared.state.lock();
            let until = Instant::now() + verdict.delay;
            while !state.ended {
                if state.holds(&verdict.held_by) {
                    shared.changed.wait(&mut state);
                } else if state.holds(&verdict.slowed_by) && Instant::now() < until {
                    shared.changed.wait_until(&mut state, until);
                } else {
                    break;
                }
            }
            state.waiting -= 1;
            answered(&shared, &mut state, op, node, &verdict, answer);
        });
    }

    fn ttl(&self) -> Duration {
        if self.0.kept_by_kernel {
            KEPT
        } else {
            Duration::ZERO
        }
    }
}

fn answered(
    shared: &Shared,
    state: &mut State,
    op: Op,
    node: u64,
    verdict: &Verdict,
    answer: impl FnOnce(&Shared, Result<Answered<'_>, Raw>),
) {
    let gone = state
        .contents
        .node(node)
        .is_none_or(|node| node.gone.is_some());
    match verdict.error {
        _ if state.ended => answer(shared, Err(Raw::IO)),
        Some(errno) => answer(shared, Err(Raw::from_raw_os_error(errno))),
        None if gone && op != Op::Lookup => answer(shared, Err(Raw::STALE)),
        None => answer(shared, Ok((state, verdict))),
    }
}

impl State {
    fn judge(&mut self, asked: Asked, number: u64) -> Verdict {
        let Self {
            contents, rules, ..
        } = self;
        let folder = contents.node(number).is_some_and(|node| node.is_folder());
        let mut verdict = Verdict::default();
        for (id, live) in rules.iter_mut().enumerate() {
            if live.node.is_none_or(|at| contents.is_within(number, at)) {
                live.judge(id, asked, &mut verdict);
            }
        }
        let mut counts = Counts::of(asked.op, folder);
        if let Some(node) = contents.node_mut(number) {
            if let Some(rule) = verdict.vanishes {
                node.gone = Some(rule);
            }
            let downloads = match node.mark() {
                Some(Mark::OpenVfs | Mark::OpenVfsText) => asked.op == Op::Open,
                Some(Mark::Unmarked) => asked.op == Op::Read,
                Some(Mark::Suffix(_)) | None => false,
            };
            if downloads && node.gone.is_none() && verdict.error.is_none() {
                counts.downloads = 1;
                contents.set_mark(number, None);
            }
        }
        contents.count(number, counts);
        verdict
    }

    /// Is one of these rules still in force?
    fn holds(&self, rules: &[usize]) -> bool {
        rules.iter().any(|id| !self.rules[*id].lifted)
    }

    fn attributes(&self, number: u64, more: i64) -> Option<FileAttr> {
        let node = self.contents.node(number)?;
        let size = node
            .body()
            .map_or(0, |body| body.size())
            .saturating_add_signed(more);
        let without_blocks = matches!(node.mark(), Some(Mark::OpenVfs | Mark::OpenVfsText));
        let (kind, perm) = if node.is_folder() {
            (FileType::Directory, 0o755)
        } else {
            (FileType::RegularFile, 0o644)
        };
        Some(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: if without_blocks {
                0
            } else {
                size.div_ceil(512)
            },
            atime: node.modified,
            mtime: node.modified,
            ctime: node.modified,
            crtime: node.modified,
            kind,
            perm,
            nlink: 1,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

fn errno(raw: Raw) -> Errno {
    Errno::from_i32(raw.raw_os_error())
}

fn of_io(error: &std::io::Error) -> Errno {
    Errno::from_i32(error.raw_os_error().unwrap_or(Raw::IO.raw_os_error()))
}

impl Filesystem for Server {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Many requests may wait at a time; what the kernel does not offer is done without.
        let _ = config.set_max_background(1024);
        let _ = config.set_congestion_threshold(768);
        for flag in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
        ] {
            let _ = config.add_capabilities(flag);
        }
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        let found = self.0.state.lock().contents.child(parent.0, &name);
        let ttl = self.ttl();
        self.serve(
            Op::Lookup,
            found.unwrap_or(parent.0),
            (0, 0),
            move |_, asked| match asked {
                Err(error) => reply.error(errno(error)),
                Ok((state, verdict)) => {
                    // Looked for again: it may have vanished while the request waited.
                    let found = state.contents.child(parent.0, &name);
                    match found.and_then(|node| state.attributes(node, verdict.more_size)) {
                        Some(attributes) => reply.entry(&ttl, &attributes, Generation(0)),
                        None => reply.error(Errno::ENOENT),
                    }
                }
            },
        );
    }

    fn getattr(&self, _req: &Request, node: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let ttl = self.ttl();
        self.serve(Op::Getattr, node.0, (0, 0), move |_, asked| match asked {
            Err(error) => reply.error(errno(error)),
            Ok((state, verdict)) => match state.attributes(node.0, verdict.more_size) {
                Some(attributes) => reply.attr(&ttl, &attributes),
                None => reply.error(Errno::ESTALE),
            },
        });
    }

    fn setattr(
        &self,
        _req: &Request,
        node: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        // Times of a disk's image are of no interest; the rest is nobody's to change.
        let state = self.0.state.lock();
        match state.attributes(node.0, 0) {
            Some(attributes) if size.is_none() => reply.attr(&Duration::ZERO, &attributes),
            _ => reply.error(Errno::EROFS),
        }
    }

    fn open(&self, _req: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != fuser::OpenAccMode::O_RDONLY;
        self.serve(Op::Open, node.0, (0, 0), move |shared, asked| match asked {
            Err(error) => reply.error(errno(error)),
            Ok((state, _)) => {
                let body = state.contents.node(node.0).and_then(|node| node.body());
                if writes && !matches!(body, Some(Body::Disk(_))) {
                    return reply.error(Errno::EROFS);
                }
                let flags = if shared.kept_by_kernel {
                    FopenFlags::FOPEN_KEEP_CACHE
                } else {
                    FopenFlags::FOPEN_DIRECT_IO
                };
                reply.opened(FileHandle(0), flags);
            }
        });
    }

    fn read(
        &self,
        _req: &Request,
        node: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // Only bytes that exist take time and can go wrong.
        let there = {
            let state = self.0.state.lock();
            let body = state.contents.node(node.0).and_then(|node| node.body());
            body.map_or(0, |body| body.size())
        };
        let length = there.saturating_sub(offset).min(u64::from(size));
        self.serve(
            Op::Read,
            node.0,
            (offset, length),
            move |_, asked| match asked {
                Err(error) => reply.error(errno(error)),
                Ok((state, verdict)) => {
                    let body = state.contents.node(node.0).and_then(|node| node.body());
                    let length = if verdict.short {
                        size.div_ceil(2)
                    } else {
                        size
                    };
                    let read = body.map(|body| body.read(offset, length as usize));
                    match read {
                        None => reply.error(Errno::EISDIR),
                        Some(Err(error)) => reply.error(of_io(&error)),
                        Some(Ok(mut bytes)) => {
                            if verdict.flip {
                                bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
                            }
                            let counts = Counts {
                                bytes: bytes.len() as u64,
                                ..Counts::default()
                            };
                            state.contents.count(node.0, counts);
                            reply.data(&bytes);
                        }
                    }
                }
            },
        );
    }

    fn write(
        &self,
        _req: &Request,
        node: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let data = data.to_vec();
        let range = (offset, data.len() as u64);
        self.serve(Op::Write, node.0, range, move |_, asked| match asked {
            Err(error) => reply.error(errno(error)),
            Ok((state, _)) => {
                let body = state.contents.node(node.0).and_then(|node| node.body());
                let Some(Body::Disk(file)) = body else {
                    return reply.error(Errno::EROFS);
                };
                match file.write_all_at(&data, offset) {
                    Ok(()) => reply.written(u32::try_from(data.len()).expect("of one request")),
                    Err(error) => reply.error(of_io(&error)),
                }
            }
        });
    }

    fn flush(
        &self,
        _req: &Request,
        _node: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        node: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.serve(Op::Write, node.0, (0, 0), move |_, asked| match asked {
            Err(error) => reply.error(errno(error)),
            Ok(_) => reply.ok(),
        });
    }

    fn opendir(&self, _req: &Request, node: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.serve(Op::Open, node.0, (0, 0), move |_, asked| match asked {
            Err(error) => reply.error(errno(error)),
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
        });
    }

    fn readdir(
        &self,
        _req: &Request,
        node: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.serve(Op::Readdir, node.0, (0, 0), move |_, asked| {
            let state = match asked {
                Err(error) => return reply.error(errno(error)),
                Ok((state, _)) => state,
            };
            let Some(folder) = state.contents.node(node.0) else {
                return reply.error(Errno::ESTALE);
            };
            let Sort::Folder(children) = &folder.sort else {
                return reply.error(Errno::ENOTDIR);
            };
            let dots = [(".", node.0), ("..", folder.parent)];
            let dots = dots.map(|(name, number)| (OsString::from(name), number));
            let shown = children.iter().filter_map(|(name, number)| {
                let there = state.contents.node(*number)?.gone.is_none();
                there.then(|| (name.clone(), *number))
            });
            let all = dots.into_iter().chain(shown).zip(1_u64..);
            for ((name, number), next) in all.skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
                let folder = state.contents.node(number).is_some_and(|n| n.is_folder());
                let kind = if folder {
                    FileType::Directory
                } else {
                    FileType::RegularFile
                };
                if reply.add(INodeNo(number), next, kind, &name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn statfs(&self, _req: &Request, _node: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096);
    }

    fn getxattr(&self, _req: &Request, node: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = name.to_owned();
        self.serve(Op::Xattr, node.0, (0, 0), move |_, asked| match asked {
            Err(error) => reply.error(errno(error)),
            Ok((state, _)) => {
                let all = state.contents.node(node.0).map(|node| node.xattrs());
                let mut all = all.unwrap_or_default().into_iter();
                match all.find(|(known, _)| name == *known) {
                    Some((_, value)) => sized(&value, size, reply),
                    None => reply.error(Errno::NO_XATTR),
                }
            }
        });
    }

    fn listxattr(&self, _req: &Request, node: INodeNo, size: u32, reply: ReplyXattr) {
        self.serve(Op::Xattr, node.0, (0, 0), move |_, asked| match asked {
            Err(error) => reply.error(errno(error)),
            Ok((state, _)) => {
                let all = state.contents.node(node.0).map(|node| node.xattrs());
                let names: Vec<u8> = all
                    .unwrap_or_default()
                    .iter()
                    .flat_map(|(name, _)| name.bytes().chain([0]))
                    .collect();
                sized(&names, size, reply);
            }
        });
    }
}

/// A value, or only its size where that is asked for.
fn sized(value: &[u8], room: u32, reply: ReplyXattr) {
    let size = u32::try_from(value.len()).expect("small");
    if room == 0 {
        reply.size(size);
    } else if size <= room {
        reply.data(value);
    } else {
        reply.error(Errno::ERANGE);
    }
}
