//! A drive in memory that can be written to, and that answers as late, or as badly, as a test likes.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::drive::{
    Answer, AttributeChange, Attributes, Content, Cursor, Drive, DriveError, Entry, HandleId,
    Invalidate, Listed, Making, NewTime, NodeId, NodeKind, OpenMode, Opened, Replacing, Requester,
    Room,
};

/// What a node holds.
#[derive(Clone)]
pub(super) enum Body {
    Folder(BTreeMap<OsString, NodeId>),
    File(Vec<u8>),
    Link(OsString),
}

/// How opening and reading are answered.
#[derive(Clone, Copy)]
pub(super) enum How {
    Now,
    /// After so long, on the runtime.
    Later(Duration),
    /// On a thread for disks.
    Work,
    Never,
    Failing(DriveError),
    Panicking,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) parent: NodeId,
    pub(super) is_writable: bool,
    /// A player would get silence.
    pub(super) is_away: bool,
    pub(super) is_stale: bool,
    /// Its list tells each change.
    pub(super) keeps_listing: bool,
    pub(super) opening: How,
    pub(super) reading: How,
    pub(super) modified: SystemTime,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) nodes: HashMap<NodeId, Node>,
    pub(super) handles: HashMap<HandleId, NodeId>,
    /// Look-ups answered less those forgotten.
    pub(super) known: HashMap<NodeId, i64>,
    /// What was asked that leaves no other trace.
    pub(super) log: Vec<String>,
    pub(super) requesters: Vec<Option<u32>>,
    pub(super) kernel: Option<Arc<dyn Invalidate>>,
    pub(super) lists: usize,
    /// Files of which who opens or changes them gets another, of this name and content.
    pub(super) taken_over: HashMap<NodeId, (NodeId, OsString, Vec<u8>)>,
    last: u64,
}

#[derive(Default)]
pub(super) struct MemoryDrive(pub(super) Mutex<State>);

impl MemoryDrive {
    pub(super) fn new() -> Arc<Self> {
        let drive = Self::default();
        let root = Self::plain(Body::Folder(BTreeMap::new()), NodeId::ROOT);
        let mut state = drive.0.lock();
        state.nodes.insert(NodeId::ROOT, root);
        state.last = 100;
        drop(state);
        Arc::new(drive)
    }

    fn plain(body: Body, parent: NodeId) -> Node {
        Node {
            body,
            parent,
            is_writable: false,
            is_away: false,
            is_stale: false,
            keeps_listing: false,
            opening: How::Now,
            reading: How::Now,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000),
        }
    }

    pub(super) fn add(&self, parent: NodeId, name: &str, body: Body) -> NodeId {
        self.0.lock().add(parent, OsStr::new(name), body)
    }

    pub(super) fn folder(&self, parent: NodeId, name: &str) -> NodeId {
        self.add(parent, name, Body::Folder(BTreeMap::new()))
    }

    pub(super) fn file(&self, parent: NodeId, name: &str, bytes: &[u8]) -> NodeId {
        self.add(parent, name, Body::File(bytes.to_vec()))
    }

    pub(super) fn change(&self, node: NodeId, change: impl FnOnce(&mut Node)) {
        change(self.0.lock().nodes.get_mut(&node).unwrap());
    }

    pub(super) fn bytes(&self, node: NodeId) -> Option<Vec<u8>> {
        match &self.0.lock().nodes.get(&node)?.body {
            Body::File(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// What is called so.
    pub(super) fn named(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.0.lock().child(parent, OsStr::new(name)).ok()
    }

    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().log)
    }

    pub(super) fn open_handles(&self) -> usize {
        self.0.lock().handles.len()
    }
}

impl State {
    fn add(&mut self, parent: NodeId, name: &OsStr, body: Body) -> NodeId {
        self.last += 1;
        let id = NodeId(self.last);
        let mut node = MemoryDrive::plain(body, parent);
        node.is_writable = self.nodes[&parent].is_writable;
        self.nodes.insert(id, node);
        self.children(parent).unwrap().insert(name.to_owned(), id);
        id
    }

    fn children(&mut self, folder: NodeId) -> Result<&mut BTreeMap<OsString, NodeId>, DriveError> {
        match &mut self
            .nodes
            .get_mut(&folder)
            .ok_or(DriveError::NotFound)?
            .body
        {
            Body::Folder(children) => Ok(children),
            _ => Err(DriveError::NotFolder),
        }
    }

    fn child(&mut self, folder: NodeId, name: &OsStr) -> Result<NodeId, DriveError> {
        let child = self.children(folder)?.get(name);
        child.copied().ok_or(DriveError::NotFound)
    }

    fn entry(&self, id: NodeId) -> Entry {
        let node = &self.nodes[&id];
        let ttl = match node.is_away {
            true => Duration::ZERO,
            false => Duration::from_secs(3600),
        };
        let (kind, size) = match &node.body {
            Body::Folder(_) => (NodeKind::Folder, 0),
            Body::File(bytes) => (NodeKind::File, bytes.len() as u64),
            Body::Link(_) => (NodeKind::Symlink, 0),
        };
        Entry {
            node: id,
            attributes: Attributes {
                inode: id.0,
                kind,
                size,
                modified: node.modified,
                changed: node.modified,
                born: node.modified,
                permissions: 0o444,
                uid: 0,
                gid: 0,
            },
            entry_ttl: ttl,
            attribute_ttl: ttl,
        }
    }

    fn handle(&mut self, node: NodeId, is_written: bool) -> Opened {
        self.last += 1;
        let handle = HandleId(self.last);
        self.handles.insert(handle, node);
        let content = match is_written {
            true => Content::Written,
            false => Content::Direct { again: false },
        };
        Opened { handle, content }
    }

    fn take_over(&mut self, node: NodeId) -> bool {
        let Some((parent, name, bytes)) = self.taken_over.remove(&node) else {
            return false;
        };
        let own = self.add(parent, &name, Body::File(bytes));
        self.nodes.get_mut(&own).unwrap().is_writable = true;
        true
    }

    fn file(&mut self, handle: HandleId) -> Result<&mut Vec<u8>, DriveError> {
        let node = *self.handles.get(&handle).ok_or(DriveError::NotFound)?;
        self.file_of(node)
    }

    fn file_of(&mut self, node: NodeId) -> Result<&mut Vec<u8>, DriveError> {
        match &mut self.nodes.get_mut(&node).ok_or(DriveError::NotFound)?.body {
            Body::File(bytes) => Ok(bytes),
            _ => Err(DriveError::IsFolder),
        }
    }
}

fn answered<T: Send + 'static>(how: How, result: Result<T, DriveError>) -> Answer<T> {
    match how {
        How::Now => Answer::Now(result),
        How::Work => Answer::work(move || result),
        How::Never => Answer::Later(Box::pin(std::future::pending())),
        How::Failing(error) => Answer::Now(Err(error)),
        How::Panicking => panic!("asked to"),
        How::Later(delay) => Answer::Later(Box::pin(async move {
            tokio::time::sleep(delay).await;
            result
        })),
    }
}

impl Drive for MemoryDrive {
    fn mounted(&self, kernel: Arc<dyn Invalidate>) {
        self.0.lock().kernel = Some(kernel);
    }

    fn lookup(&self, parent: NodeId, name: &OsStr, by: &Requester) -> Result<Entry, DriveError> {
        let mut state = self.0.lock();
        state.requesters.push(by.thread);
        if name == "panic" {
            drop(state);
            panic!("asked to");
        }
        let id = state.child(parent, name)?;
        *state.known.entry(id).or_default() += 1;
        Ok(state.entry(id))
    }

    fn forget(&self, node: NodeId, count: u64) {
        *self.0.lock().known.entry(node).or_default() -= i64::try_from(count).unwrap();
    }

    fn attributes(&self, node: NodeId) -> Result<(Attributes, Duration), DriveError> {
        let state = self.0.lock();
        state.nodes.get(&node).ok_or(DriveError::NotFound)?;
        let entry = state.entry(node);
        Ok((entry.attributes, entry.attribute_ttl))
    }

    fn read_link(&self, node: NodeId) -> Result<OsString, DriveError> {
        match &self.0.lock().nodes[&node].body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(DriveError::Invalid),
        }
    }

    fn list(
        &self,
        folder: NodeId,
        after: Cursor,
        entries: bool,
        _by: &Requester,
        sink: &mut dyn FnMut(Listed) -> bool,
    ) -> Result<(), DriveError> {
        let mut state = self.0.lock();
        state.lists += 1;
        let children: Vec<_> = state.children(folder)?.clone().into_iter().collect();
        for (at, (name, id)) in children.into_iter().enumerate().skip(after.0 as usize) {
            let entry = state.entry(id);
            // What is away depends on who asks.
            let whole = entries && !entry.entry_ttl.is_zero();
            let listed = Listed {
                name,
                cursor: Cursor(at as u64 + 1),
                inode: id.0,
                kind: entry.attributes.kind,
                entry: whole.then_some(entry),
            };
            if !sink(listed) {
                break;
            }
            if whole {
                *state.known.entry(id).or_default() += 1;
            }
        }
        Ok(())
    }

    fn keeps_listing(&self, folder: NodeId) -> bool {
        self.0.lock().nodes[&folder].keeps_listing
    }

    fn parent(&self, folder: NodeId) -> Result<NodeId, DriveError> {
        let state = self.0.lock();
        Ok(state.nodes.get(&folder).ok_or(DriveError::NotFound)?.parent)
    }

    fn open(&self, node: NodeId, mode: OpenMode, by: &Requester) -> Answer<Opened> {
        let mut state = self.0.lock();
        state.requesters.push(by.thread);
        state.log.push(format!("open {}", node.0));
        let Some(found) = state.nodes.get(&node).cloned() else {
            return Answer::Now(Err(DriveError::NotFound));
        };
        if found.is_stale || state.take_over(node) {
            return Answer::Now(Err(DriveError::Stale));
        }
        let opened = match found.opening {
            How::Failing(error) => Err(error),
            _ => Ok(state.handle(node, mode.write)),
        };
        drop(state);
        answered(found.opening, opened)
    }

    fn read(&self, handle: HandleId, offset: u64, length: u32, by: &Requester) -> Answer<Bytes> {
        let mut state = self.0.lock();
        state.requesters.push(by.thread);
        let how = match state.handles.get(&handle) {
            Some(node) => state.nodes[node].reading,
            None => How::Failing(DriveError::NotFound),
        };
        let part = state.file(handle).map(|bytes| {
            let from = usize::try_from(offset).unwrap().min(bytes.len());
            let to = (from + length as usize).min(bytes.len());
            Bytes::copy_from_slice(&bytes[from..to])
        });
        drop(state);
        answered(how, part)
    }

    fn may_write(&self, node: NodeId, _by: &Requester) -> bool {
        let state = self.0.lock();
        state.nodes.get(&node).is_some_and(|node| node.is_writable)
    }

    fn refuse_write(&self, node: NodeId, _by: &Requester) -> DriveError {
        self.0.lock().log.push(format!("refused {}", node.0));
        DriveError::NotPermitted
    }

    fn write(&self, handle: HandleId, offset: u64, data: Bytes, _by: &Requester) -> Answer<u32> {
        let mut state = self.0.lock();
        let written = state.file(handle).map(|bytes| {
            let (from, to) = (offset as usize, offset as usize + data.len());
            bytes.resize(bytes.len().max(to), 0);
            bytes[from..to].copy_from_slice(&data);
            data.len() as u32
        });
        drop(state);
        answered(How::Work, written)
    }

    fn set_attributes(
        &self,
        node: NodeId,
        handle: Option<HandleId>,
        change: AttributeChange,
        _by: &Requester,
    ) -> Answer<(Attributes, Duration)> {
        let mut state = self.0.lock();
        state
            .log
            .push(format!("set {} by {}", node.0, handle.is_some()));
        if state.take_over(node) {
            return Answer::Now(Err(DriveError::Stale));
        }
        if let Some(size) = change.size {
            match state.file_of(node) {
                Ok(bytes) => bytes.resize(size as usize, 0),
                Err(error) => return Answer::Now(Err(error)),
            }
        }
        if let Some(NewTime::At(time)) = change.modified {
            state.nodes.get_mut(&node).unwrap().modified = time;
        }
        let entry = state.entry(node);
        answered(How::Work, Ok((entry.attributes, entry.attribute_ttl)))
    }

    fn sync(&self, handle: HandleId, _data_only: bool) -> Answer<()> {
        self.0.lock().log.push(format!("sync {}", handle.0));
        answered(How::Work, Ok(()))
    }

    fn closed(&self, handle: HandleId, _by: &Requester) {
        let mut state = self.0.lock();
        let node = state.handles[&handle];
        state.log.push(format!("closed {}", node.0));
    }

    fn create(
        &self,
        parent: NodeId,
        name: &OsStr,
        making: Making,
        by: &Requester,
    ) -> Answer<(Entry, Opened)> {
        let mut state = self.0.lock();
        state.requesters.push(by.thread);
        if !state.nodes[&parent].is_writable {
            return Answer::Now(Err(DriveError::ReadOnly));
        }
        if state.child(parent, name).is_ok() {
            return Answer::Now(Err(DriveError::AlreadyExists));
        }
        let id = state.add(parent, name, Body::File(Vec::new()));
        *state.known.entry(id).or_default() += 1;
        let opened = state.handle(id, making.mode.write);
        answered(How::Work, Ok((state.entry(id), opened)))
    }

    fn make_folder(
        &self,
        parent: NodeId,
        name: &OsStr,
        _permissions: u16,
        _by: &Requester,
    ) -> Answer<Entry> {
        let mut state = self.0.lock();
        if !state.nodes[&parent].is_writable {
            return Answer::Now(Err(DriveError::ReadOnly));
        }
        let id = state.add(parent, name, Body::Folder(BTreeMap::new()));
        *state.known.entry(id).or_default() += 1;
        Answer::Now(Ok(state.entry(id)))
    }

    fn remove(&self, parent: NodeId, name: &OsStr, folder: bool, _by: &Requester) -> Answer<()> {
        let mut state = self.0.lock();
        let removed = state.child(parent, name).map(|id| {
            let is_folder = matches!(state.nodes[&id].body, Body::Folder(_));
            assert_eq!(is_folder, folder);
            state.children(parent).unwrap().remove(name);
            state.log.push(format!("removed {}", id.0));
        });
        answered(How::Work, removed)
    }

    fn rename(
        &self,
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        replacing: Replacing,
        _by: &Requester,
    ) -> Answer<()> {
        let mut state = self.0.lock();
        if !state.nodes[&to.0].is_writable {
            return Answer::Now(Err(DriveError::Elsewhere));
        }
        let there = state.child(to.0, to.1).ok();
        let id = match state.child(from.0, from.1) {
            Ok(id) => id,
            Err(error) => return Answer::Now(Err(error)),
        };
        if there.is_some_and(|there| there != id) && replacing == Replacing::Keep {
            return Answer::Now(Err(DriveError::AlreadyExists));
        }
        state.children(from.0).unwrap().remove(from.1);
        state.children(to.0).unwrap().insert(to.1.to_owned(), id);
        answered(How::Work, Ok(()))
    }

    fn release(&self, handle: HandleId) -> Answer<()> {
        let mut state = self.0.lock();
        if let Some(node) = state.handles.remove(&handle) {
            state.log.push(format!("release {}", node.0));
        }
        Answer::Now(Ok(()))
    }

    fn room(&self) -> Room {
        Room {
            total: 1 << 40,
            free: 1 << 39,
            files: 7,
        }
    }

    fn xattr(&self, node: NodeId, name: &OsStr) -> Result<Vec<u8>, DriveError> {
        assert_eq!(name, "user.mediafs.placeholder");
        match self.0.lock().nodes[&node].is_away {
            true => Ok(b"1".to_vec()),
            false => Err(DriveError::NoAttribute),
        }
    }

    fn xattrs(&self, _node: NodeId) -> Result<Vec<OsString>, DriveError> {
        Ok(Vec::new())
    }
}
