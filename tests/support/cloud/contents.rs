//! What is in the simulated cloud: a tree of folders and files with what was asked of each.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::ops::{Add, AddAssign, Sub};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::SystemTime;

use super::fault::Op;

/// The number of the top folder.
pub(super) const ROOT: u64 = 1;

/// What a file that is not here looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Nextcloud and ownCloud without a file system of theirs: a file of one byte under the name with this suffix
    /// (`.nextcloud`, `.owncloud`) stands for it. Reading that downloads nothing; only the client brings the file.
    Suffix(&'static str),
    /// openvfs: the whole size without any block, and `user.openvfs.data`, a MessagePack map whose `state` is 1. Opening
    /// it downloads it.
    OpenVfs,
    /// openvfs before that: `user.openvfs.state` is `virtual`, and `user.openvfs.fsize` the size in digits.
    OpenVfsText,
    /// A plain mount such as rclone's: nothing tells. Reading it downloads it.
    Unmarked,
}

/// What was asked of a file, or of all.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Of a name that is not there: counted for the folder.
    pub lookups: u64,
    pub getattrs: u64,
    /// Files opened.
    pub opens: u64,
    pub reads: u64,
    /// Bytes handed out.
    pub bytes: u64,
    /// Requests for entries; one listing makes two or more, the last of them for what is behind the end.
    pub readdirs: u64,
    pub xattrs: u64,
    pub writes: u64,
    /// Downloads that a requester caused.
    pub downloads: u64,
}

impl Counts {
    /// Nothing was opened, read or downloaded.
    pub fn untouched(&self) -> bool {
        self.opens == 0 && self.reads == 0 && self.downloads == 0
    }

    pub(super) fn of(op: Op, folder: bool) -> Self {
        let mut counts = Self::default();
        match op {
            Op::Lookup => counts.lookups = 1,
            Op::Getattr => counts.getattrs = 1,
            Op::Open => counts.opens = u64::from(!folder),
            Op::Read => counts.reads = 1,
            Op::Readdir => counts.readdirs = 1,
            Op::Xattr => counts.xattrs = 1,
            Op::Write => counts.writes = 1,
        }
        counts
    }

    fn each(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            lookups: with(self.lookups, other.lookups),
            getattrs: with(self.getattrs, other.getattrs),
            opens: with(self.opens, other.opens),
            reads: with(self.reads, other.reads),
            bytes: with(self.bytes, other.bytes),
            readdirs: with(self.readdirs, other.readdirs),
            xattrs: with(self.xattrs, other.xattrs),
            writes: with(self.writes, other.writes),
            downloads: with(self.downloads, other.downloads),
        }
    }
}

impl Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Counts {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| a - b)
    }
}

/// Where the bytes of a file are.
#[derive(Clone)]
pub(super) enum Body {
    Memory(Arc<Vec<u8>>),
    /// A file of the test's own disk, which may be written.
    Disk(Arc<File>),
}

impl Body {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(file) => file.metadata().map_or(0, |found| found.len()),
        }
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Memory(bytes) => {
                let begin = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                let end = begin.saturating_add(length).min(bytes.len());
                Ok(bytes[begin..end].to_vec())
            }
            Self::Disk(file) => {
                let mut bytes = vec![0; length];
                let mut filled = 0;
                while filled < length {
                    match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                        0 => break,
                        read => filled += read,
                    }
                }
                bytes.truncate(filled);
                Ok(bytes)
            }
        }
    }
}

pub(super) enum Sort {
    Folder(BTreeMap<OsString, u64>),
    /// With the mark it has while it is not here.
    File(Body, Option<Mark>),
}

pub(super) struct Node {
    pub(super) parent: u64,
    pub(super) sort: Sort,
    pub(super) modified: SystemTime,
    pub(super) counts: Counts,
    /// The rule by which it is gone for now.
    pub(super) gone: Option<usize>,
}

impl Node {
    pub(super) fn new(parent: u64, sort: Sort) -> Self {
        Self {
            parent,
            sort,
            modified: SystemTime::now(),
            counts: Counts::default(),
            gone: None,
        }
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self.sort, Sort::Folder(_))
    }

    pub(super) fn mark(&self) -> Option<Mark> {
        match self.sort {
            Sort::File(_, mark) => mark,
            Sort::Folder(_) => None,
        }
    }

    /// The bytes that a reader gets: of a suffix file those of its stand-in.
    pub(super) fn body(&self) -> Option<Body> {
        match &self.sort {
            Sort::File(_, Some(Mark::Suffix(_))) => Some(Body::Memory(Arc::new(b" ".to_vec()))),
            Sort::File(body, _) => Some(body.clone()),
            Sort::Folder(_) => None,
        }
    }

    /// Its extended attributes.
    pub(super) fn xattrs(&self) -> Vec<(&'static str, Vec<u8>)> {
        let Sort::File(body, Some(mark)) = &self.sort else {
            return Vec::new();
        };
        match mark {
            Mark::OpenVfs => vec![
                ("user.openvfs.data", openvfs_data(body.size())),
                ("user.openvfs.realsize", b"0".to_vec()),
            ],
            Mark::OpenVfsText => vec![
                ("user.openvfs.state", b"virtual".to_vec()),
                ("user.openvfs.fsize", body.size().to_string().into_bytes()),
            ],
            Mark::Suffix(_) | Mark::Unmarked => Vec::new(),
        }
    }
}

/// A MessagePack map as openvfs writes it, of a file that is not here and whose pin state is inherited.
fn openvfs_data(size: u64) -> Vec<u8> {
    let mut out = vec![0x85];
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(0xa0 | u8::try_from(text.len()).expect("short"));
        out.extend(text.as_bytes());
    };
    for (key, value) in [("etag", "0123456789abcdef"), ("fileid", "00000042")] {
        text(&mut out, key);
        text(&mut out, value);
    }
    for (key, value) in [("pinstate", 3), ("size", size), ("state", 1)] {
        text(&mut out, key);
        match value {
            0..=127 => out.push(u8::try_from(value).expect("small")),
            _ => {
                out.push(0xcf);
                out.extend(value.to_be_bytes());
            }
        }
    }
    out
}

/// The tree; a node's number is its place in `nodes` plus one.
pub(super) struct Contents {
    nodes: Vec<Node>,
    pub(super) total: Counts,
}

impl Contents {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::new(ROOT, Sort::Folder(BTreeMap::new()))],
            total: Counts::default(),
        }
    }

    pub(super) fn node(&self, number: u64) -> Option<&Node> {
        self.nodes
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub(super) fn node_mut(&mut self, number: u64) -> Option<&mut Node> {
        self.nodes
            .get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut()
    }

    pub(super) fn count(&mut self, number: u64, counts: Counts) {
        self.total += counts;
        if let Some(node) = self.node_mut(number) {
            node.counts += counts;
        }
    }

    /// Is `number` this node or below it?
    pub(super) fn is_within(&self, mut number: u64, above: u64) -> bool {
        loop {
            if number == above {
                return true;
            }
            match self.node(number) {
                Some(node) if number != ROOT => number = node.parent,
                _ => return false,
            }
        }
    }

    /// The entry of this name that can be seen, under the name it is shown by.
    pub(super) fn child(&self, parent: u64, name: &OsStr) -> Option<u64> {
        let Sort::Folder(children) = &self.node(parent)?.sort else {
            return None;
        };
        children
            .get(name)
            .copied()
            .filter(|child| self.node(*child).is_some_and(|node| node.gone.is_none()))
    }

    /// The node of a path; a suffix file also goes by its real name here.
    pub(super) fn find(&self, path: &Path) -> Option<u64> {
        let mut number = ROOT;
        for name in names(path) {
            let Sort::Folder(children) = &self.node(number)?.sort else {
                return None;
            };
            number = children.get(name).copied().or_else(|| {
                children.iter().find_map(|(shown, child)| {
                    let Some(Mark::Suffix(suffix)) = self.node(*child)?.mark() else {
                        return None;
                    };
                    (*shown == suffixed(name, suffix)).then_some(*child)
                })
            })?;
        }
        Some(number)
    }

    /// Makes the folders of a path; gives the last one.
    pub(super) fn make_folders(&mut self, path: &Path) -> u64 {
        let mut number = ROOT;
        for name in names(path) {
            number = match self.child(number, name) {
                Some(child) => child,
                None => self.add(number, name, Sort::Folder(BTreeMap::new())),
            };
        }
        number
    }

    /// Adds an entry; one of that name before is no longer in the tree.
    pub(super) fn add(&mut self, parent: u64, name: &OsStr, sort: Sort) -> u64 {
        self.nodes.push(Node::new(parent, sort));
        let number = self.nodes.len() as u64;
        self.entries(parent).insert(name.to_owned(), number);
        number
    }

    pub(super) fn entries(&mut self, parent: u64) -> &mut BTreeMap<OsString, u64> {
        match self.node_mut(parent).map(|node| &mut node.sort) {
            Some(Sort::Folder(children)) => children,
            _ => panic!("not a folder of the cloud"),
        }
    }

    /// Marks a file as not here (or here), and shows it by the name that goes with it.
    pub(super) fn set_mark(&mut self, number: u64, to: Option<Mark>) {
        let node = self.node(number).expect("a node");
        let (parent, from) = (node.parent, node.mark());
        let shown = self.entries(parent).iter().find(|(_, n)| **n == number);
        if let Some(shown) = shown.map(|(name, _)| name.clone()) {
            let mut name = shown.clone();
            if let Some(Mark::Suffix(suffix)) = from {
                let text = name.to_str().expect("tests use plain names");
                name = text.strip_suffix(suffix).unwrap_or(text).into();
            }
            if let Some(Mark::Suffix(suffix)) = to {
                name = suffixed(&name, suffix);
            }
            self.entries(parent).remove(&shown);
            self.entries(parent).insert(name, number);
        }
        match &mut self.node_mut(number).expect("a node").sort {
            Sort::File(_, mark) => *mark = to,
            Sort::Folder(_) => panic!("folders are always here"),
        }
    }
}

fn suffixed(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

/// The names of a path within the cloud.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().map(|part| match part {
        Component::Normal(name) => name,
        other => panic!("{other:?} in a path within the cloud"),
    })
}
