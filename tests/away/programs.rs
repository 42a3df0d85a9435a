//! What programs do at the drive: they look up, open, read and close, as nobody in particular or as a process of their own.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use mediafs::tree::class::Class;
use mediafs::tree::node::{Door, Face, Node};
use mediafs_platform::drive::{
    Answer, Content, Drive, DriveError, Entry, HandleId, NodeId, OpenMode, Opened, Requester,
};
use mediafs_platform::process::{Process, ProcessId};

use super::world::{File, World};

/// Nobody: behind `.as/` the path gives the class.
pub(crate) const NOBODY: Requester = Requester {
    thread: None,
    uid: 0,
    gid: 0,
};

/// An open file, as a program has it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) handle: HandleId,
    pub(crate) entry: Entry,
    pub(crate) content: Content,
    pub(crate) by: Requester,
}

impl Handle {
    pub(crate) fn face(&self) -> Option<Face> {
        match Node::from_id(self.entry.node) {
            Some((Node::Item { face, .. }, _)) => Some(face),
            _ => None,
        }
    }
}

impl World {
    pub(crate) fn wait<T>(&self, answer: Answer<T>) -> Result<T, DriveError> {
        match answer {
            Answer::Now(result) => result,
            Answer::Later(later) => self.runtime.block_on(later),
            Answer::Work(work) => work(),
        }
    }

    pub(crate) fn lookup(&self, path: &[&str], by: &Requester) -> Result<Entry, DriveError> {
        let mut at = NodeId::ROOT;
        let mut entry = None;
        for name in path {
            let found = self.drive.lookup(at, OsStr::new(name), by)?;
            at = found.node;
            entry = Some(found);
        }
        entry.ok_or(DriveError::NotFound)
    }

    /// Opens what a look-up led to.
    pub(crate) fn open_node(&self, entry: Entry, by: &Requester) -> Result<Handle, DriveError> {
        let mode = OpenMode {
            read: true,
            ..OpenMode::default()
        };
        let answer = self.drive.open(entry.node, mode, by);
        let Opened { handle, content } = self.wait(answer)?;
        Ok(Handle {
            handle,
            entry,
            content,
            by: *by,
        })
    }

    /// Opens as the kernel does: on ESTALE it looks the name up and opens what it leads to once more.
    pub(crate) fn open_path(&self, path: &[&str], by: &Requester) -> Result<Handle, DriveError> {
        match self.open_node(self.lookup(path, by)?, by) {
            Err(DriveError::Stale) => self.open_node(self.lookup(path, by)?, by),
            answer => answer,
        }
    }

    fn at_door<T>(&self, file: &File, class: Class, go: impl FnOnce(&[&str]) -> T) -> T {
        let (door, _) = Door::NAMED
            .into_iter()
            .find(|(_, door)| *door == Door::As(class))
            .unwrap();
        match &file.item {
            Some((_, id)) => go(&[".as", door, "by-id", id.as_str(), &file.name]),
            None => go(&[".as", door, "library", &file.library, &file.name]),
        }
    }

    /// Looks up through the door of a class.
    pub(crate) fn lookup_as(&self, file: &File, class: Class) -> Result<Entry, DriveError> {
        self.at_door(file, class, |path| self.lookup(path, &NOBODY))
    }

    /// Opens through the door of a class.
    pub(crate) fn open(&self, file: &File, class: Class) -> Result<Handle, DriveError> {
        self.at_door(file, class, |path| self.open_path(path, &NOBODY))
    }

    pub(crate) fn open_by_id(&self, file: &File, by: &Requester) -> Result<Handle, DriveError> {
        let (_, id) = file.item.as_ref().unwrap();
        self.open_path(&["by-id", id.as_str(), &file.name], by)
    }

    pub(crate) fn open_in_library(
        &self,
        file: &File,
        by: &Requester,
    ) -> Result<Handle, DriveError> {
        self.open_path(&["library", &file.library, &file.name], by)
    }

    pub(crate) fn read(
        &self,
        handle: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<Bytes, DriveError> {
        let answer = self.drive.read(handle.handle, offset, length, &handle.by);
        self.wait(answer)
    }

    /// Reads to the end, in pieces of this length.
    pub(crate) fn read_all_by(&self, handle: &Handle, length: u32) -> Result<Vec<u8>, DriveError> {
        let mut bytes = Vec::new();
        loop {
            let part = self.read(handle, bytes.len() as u64, length)?;
            if part.is_empty() {
                return Ok(bytes);
            }
            bytes.extend(&part);
        }
    }

    pub(crate) fn read_all(&self, handle: &Handle) -> Result<Vec<u8>, DriveError> {
        self.read_all_by(handle, 128 << 10)
    }

    pub(crate) fn close(&self, handle: Handle) {
        self.drive.release(handle.handle);
    }
}

/// A process to ask as, ended with the test.
pub(crate) struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// A program of this name that does nothing.
    pub(crate) fn named(world: &World, name: &str) -> Self {
        let folder = world.folder.path().join("programs");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        let (original, arguments): (PathBuf, &[&str]) = if cfg!(windows) {
            let system = std::env::var_os("SystemRoot").map(PathBuf::from);
            let original = system.unwrap().join("system32").join("cmd.exe");
            (original, &["/c", "set /p line="])
        } else {
            ("/bin/sleep".into(), &["1000"])
        };
        if !path.exists() {
            std::fs::copy(original, &path).unwrap();
        }
        let child = Command::new(&path)
            .args(arguments)
            // What reads a line gets none.
            .stdin(if cfg!(windows) {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .spawn()
            .unwrap();
        let program = Self(child);
        // Until exec the child is still us.
        let us = Process::of(ProcessId(std::process::id())).unwrap();
        while program.process().executable == us.executable {
            std::thread::yield_now();
        }
        program
    }

    pub(crate) fn process(&self) -> Process {
        Process::of(ProcessId(self.0.id())).unwrap()
    }

    pub(crate) fn asks(&self) -> Requester {
        Requester {
            thread: Some(self.0.id()),
            uid: 0,
            gid: 0,
        }
    }

    /// Registered as Pulse does.
    pub(crate) fn registered(world: &World, class: Class) -> Self {
        let program = Self::named(world, "unknown-program");
        let process = program.process();
        world
            .requesters
            .register(process.id, process.started, class, false)
            .unwrap();
        program
    }
}
