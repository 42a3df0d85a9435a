//! The yardstick: a mirror of a folder with nothing in between but FUSE.
//!
//! `bare SOURCE MOUNTPOINT [--no-passthrough]` answers each request with the one system call it needs, lets the
//! kernel keep names and attributes for an hour, and passes files through. No drive over FUSE can be faster
//! than this by more than its own cunning; benchmarks divide by it. It prints `ready` once it is mounted and ends
//! when it is unmounted. It mirrors a folder that nobody changes; anything else is out of its scope.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    BackingId, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyXattr, Request,
};
use parking_lot::{Mutex, RwLock};

const TTL: Duration = Duration::from_secs(3600);
const THREADS: usize = 4;

/// One open node: its file, its backing id, and how many handles it has.
struct Open {
    file: Arc<File>,
    backing: Option<Arc<BackingId>>,
    handles: u64,
}

struct Listed {
    name: OsString,
    inode: u64,
    kind: FileType,
}

struct Bare {
    passthrough: bool,
    /// Node (the inode of the source; 1 for its top) to path.
    paths: RwLock<HashMap<u64, PathBuf>>,
    open: Mutex<HashMap<u64, Open>>,
    files: RwLock<HashMap<u64, Arc<File>>>,
    folders: RwLock<HashMap<u64, Arc<Vec<Listed>>>>,
    next_handle: AtomicU64,
}

impl Bare {
    fn path(&self, node: INodeNo) -> Option<PathBuf> {
        self.paths.read().get(&node.0).cloned()
    }

    fn remember(&self, node: u64, path: PathBuf) {
        self.paths.write().insert(node, path);
    }

    fn listing(&self, handle: FileHandle) -> Option<Arc<Vec<Listed>>> {
        self.folders.read().get(&handle.0).cloned()
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_i32(error.raw_os_error().unwrap_or(libc::EIO))
}

fn attributes(node: u64, metadata: &Metadata) -> FileAttr {
    let time = |seconds: i64, nanoseconds: i64| {
        SystemTime::UNIX_EPOCH
            + Duration::new(
                seconds.unsigned_abs(),
                u32::try_from(nanoseconds).unwrap_or(0),
            )
    };
    FileAttr {
        ino: INodeNo(node),
        size: metadata.size(),
        blocks: metadata.blocks(),
        atime: time(metadata.atime(), metadata.atime_nsec()),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
        crtime: SystemTime::UNIX_EPOCH,
        kind: FileType::from_std(metadata.file_type()).unwrap_or(FileType::RegularFile),
        perm: (metadata.mode() & 0o7777) as u16,
        nlink: 1,
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Bare {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let _ = config.set_max_background(2048);
        for flag in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_HANDLE_KILLPRIV_V2,
        ] {
            let _ = config.add_capabilities(flag);
        }
        self.passthrough = self.passthrough
            && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(2).is_ok();
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let Some(folder) = self.path(parent) else {
            return reply.error(Errno::ENOENT);
        };
        let path = folder.join(name);
        match std::fs::symlink_metadata(&path) {
            Err(error) => reply.error(errno(&error)),
            Ok(metadata) => {
                self.remember(metadata.ino(), path);
                reply.entry(&TTL, &attributes(metadata.ino(), &metadata), Generation(0));
            }
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let Some(path) = self.path(ino) else {
            return reply.error(Errno::ESTALE);
        };
        match std::fs::symlink_metadata(path) {
            Err(error) => reply.error(errno(&error)),
            Ok(metadata) => reply.attr(&TTL, &attributes(ino.0, &metadata)),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.path(ino).map(std::fs::read_link) {
            Some(Ok(target)) => reply.data(target.as_os_str().as_encoded_bytes()),
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let mut open = self.open.lock();
        let node = match open.entry(ino.0) {
            Entry::Occupied(node) => node.into_mut(),
            Entry::Vacant(place) => {
                let Some(path) = self.path(ino) else {
                    return reply.error(Errno::ESTALE);
                };
                let file = match File::open(path) {
                    Err(error) => return reply.error(errno(&error)),
                    Ok(file) => Arc::new(file),
                };
                let backing = if self.passthrough {
                    reply.open_backing(&file).ok().map(Arc::new)
                } else {
                    None
                };
                place.insert(Open {
                    file,
                    backing,
                    handles: 0,
                })
            }
        };
        node.handles += 1;
        let handle = FileHandle(self.next_handle.fetch_add(1, Ordering::Relaxed));
        match &node.backing {
            Some(backing) => reply.opened_passthrough(handle, FopenFlags::FOPEN_NOFLUSH, backing),
            None => {
                self.files.write().insert(handle.0, Arc::clone(&node.file));
                reply.opened(
                    handle,
                    FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_KEEP_CACHE,
                );
            }
        }
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.files.read().get(&fh.0).cloned() else {
            return reply.error(Errno::EBADF);
        };
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) => return reply.error(errno(&error)),
            }
        }
        reply.data(&bytes[..filled]);
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.files.write().remove(&fh.0);
        let mut open = self.open.lock();
        if let Some(node) = open.get_mut(&ino.0) {
            node.handles -= 1;
            if node.handles == 0 {
                open.remove(&ino.0);
            }
        }
        reply.ok();
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let Some(path) = self.path(ino) else {
            return reply.error(Errno::ESTALE);
        };
        let entries = match std::fs::read_dir(path) {
            Err(error) => return reply.error(errno(&error)),
            Ok(entries) => entries,
        };
        let listed = entries
            .flatten()
            .map(|entry| Listed {
                name: entry.file_name(),
                inode: entry.ino(),
                kind: entry
                    .file_type()
                    .ok()
                    .and_then(FileType::from_std)
                    .unwrap_or(FileType::RegularFile),
            })
            .collect();
        let handle = FileHandle(self.next_handle.fetch_add(1, Ordering::Relaxed));
        self.folders.write().insert(handle.0, Arc::new(listed));
        reply.opened(handle, FopenFlags::empty());
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(listed) = self.listing(fh) else {
            return reply.error(Errno::EBADF);
        };
        for (index, entry) in listed
            .iter()
            .enumerate()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            if reply.add(
                INodeNo(entry.inode),
                index as u64 + 1,
                entry.kind,
                &entry.name,
            ) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let (Some(listed), Some(folder)) = (self.listing(fh), self.path(ino)) else {
            return reply.error(Errno::EBADF);
        };
        for (index, entry) in listed
            .iter()
            .enumerate()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            let path = folder.join(&entry.name);
            let Ok(metadata) = std::fs::symlink_metadata(&path) else {
                continue;
            };
            let attr = attributes(metadata.ino(), &metadata);
            if reply.add(
                attr.ino,
                index as u64 + 1,
                &entry.name,
                &TTL,
                &attr,
                Generation(0),
            ) {
                break;
            }
            self.remember(metadata.ino(), path);
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.folders.write().remove(&fh.0);
        reply.ok();
    }

    fn getxattr(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _name: &OsStr,
        _size: u32,
        reply: ReplyXattr,
    ) {
        // Taken by the kernel as "never ask again".
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _req: &Request, _ino: INodeNo, _size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }
}

pub(crate) fn main() -> std::io::Result<()> {
    let mut places = Vec::new();
    let mut passthrough = true;
    for argument in std::env::args_os().skip(1) {
        if argument == "--no-passthrough" {
            passthrough = false;
        } else {
            places.push(PathBuf::from(argument));
        }
    }
    let [source, mountpoint] = &places[..] else {
        eprintln!("usage: bare SOURCE MOUNTPOINT [--no-passthrough]");
        std::process::exit(2);
    };
    let bare = Bare {
        passthrough,
        paths: RwLock::new(HashMap::from([(1, Path::new(source).canonicalize()?)])),
        open: Mutex::default(),
        files: RwLock::default(),
        folders: RwLock::default(),
        next_handle: AtomicU64::new(1),
    };
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("bare".to_owned()),
        MountOption::NoSuid,
        MountOption::NoDev,
    ];
    config.n_threads = Some(THREADS);
    let session = fuser::Session::new(bare, mountpoint, &config)?;
    println!("ready");
    session.run()
}
