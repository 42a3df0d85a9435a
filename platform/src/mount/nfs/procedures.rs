//! The procedures of NFSv3 (RFC 1813, section 3): what is read of a call, and what is answered.
//!
//! Of what was before a change nothing is told (`wcc_data`): that is not taken in one step with the change, so a client would
//! believe that nobody else has changed anything, and keep what is not so any more.

use bytes::Bytes;

use super::contents::Read;
use super::convert::{self, Status, read_change, write_attributes};
use super::export::Export;
use super::listing::{self, Wanted};
use super::names::HowToMake;
use super::rpc::Refusal;
use super::xdr::{Garbage, Reader, Writer};
use crate::drive::{AttributeChange, Attributes, Entry, NodeId, NodeKind};

/// The longest read, and how long one best is.
const LARGEST_READ: u32 = 1 << 20;
const BEST_READ: u32 = 128 << 10;
/// The longest write, and how long one best is: each is on the disk before it is answered.
pub(super) const LARGEST_WRITE: u32 = 1 << 20;
/// How long a part of a listing best is.
const BEST_LISTING: u32 = 128 << 10;
/// What all lengths should be a multiple of.
const BLOCK: u32 = 4096;
/// The longest name that programs can handle.
const LONGEST_NAME: u32 = super::super::adapter::LONGEST_NAME as u32;
/// What a file is made with where the client says nothing.
const FILE_PERMISSIONS: u16 = 0o644;
const FOLDER_PERMISSIONS: u16 = 0o755;
/// Of writes: nobody knows yet whether they are on the disk, or they are there with all that is known of the file.
const NOT_SURE: u32 = 0;
const ON_DISK: u32 = 2;

type Result<T> = std::result::Result<T, Status>;
type Answer = std::result::Result<Writer, Garbage>;

pub(super) async fn answer(
    export: &Export,
    procedure: u32,
    from: Reader,
) -> std::result::Result<Writer, Refusal> {
    let answer = match procedure {
        0 => Ok(Writer::default()),
        1 => attributes(export, from),
        2 => set_attributes(export, from).await,
        3 => look_up(export, from),
        4 => access(export, from),
        5 => read_link(export, from),
        6 => read(export, from).await,
        7 => write(export, from).await,
        8 => create(export, from).await,
        9 => make_folder(export, from).await,
        10 | 11 => make_other(export, from),
        12 => remove(export, from, false).await,
        13 => remove(export, from, true).await,
        14 => rename(export, from).await,
        15 => link(export, from),
        16 => list(export, from, false),
        17 => list(export, from, true),
        18 => room(export, from),
        19 => limits(export, from),
        20 => names(export, from),
        21 => commit(export, from).await,
        _ => return Err(Refusal::NoProcedure),
    };
    Ok(answer?)
}

/// Whether a procedure is for the owner of the drive alone. Kernels ask the others in nobody's name.
pub(super) fn is_of_the_owner(procedure: u32) -> bool {
    !matches!(procedure, 0 | 1 | 18..=20)
}

/// Whether a procedure makes, renames or removes something, or changes it only as long as it is as the client knows it. Done
/// again it would say something else; the others say and do the same.
pub(super) fn is_done_once(procedure: u32) -> bool {
    matches!(procedure, 2 | 8..=15)
}

/// What somebody else is answered.
pub(super) fn turned_away(procedure: u32) -> Writer {
    // Attributes that are not told: of what was asked for, and before and after a change of each of these.
    let not_told = match procedure {
        3..=6 | 16 | 17 => 1,
        14 => 4,
        15 => 3,
        _ => 2,
    };
    let mut to = Writer::default();
    to.number(Status::NotPermitted as u32);
    for _ in 0..not_told {
        to.flag(false);
    }
    to
}

/// What is asked of the node of a handle.
async fn of_node<T>(
    export: &Export,
    handle: &[u8],
    ask: impl AsyncFnOnce(NodeId) -> Result<T>,
) -> Result<T> {
    ask(export.node(handle)?).await
}

impl Writer {
    /// Whether all is well, and what it is then.
    fn status<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.number(0);
                Some(value)
            }
            Err(status) => {
                self.number(status as u32);
                None
            }
        }
    }

    /// Attributes that may be there (`post_op_attr`).
    pub(super) fn attributes(&mut self, of: Option<&Attributes>) -> &mut Self {
        self.flag(of.is_some());
        if let Some(of) = of {
            write_attributes(of, self);
        }
        self
    }

    /// Those of what a handle leads to.
    fn attributes_of(&mut self, export: &Export, handle: &[u8]) -> &mut Self {
        let found = export.node(handle).and_then(|node| export.attributes(node));
        self.attributes(found.ok().as_ref())
    }

    /// What has become of what may have been changed (`wcc_data`).
    fn changed(&mut self, export: &Export, handle: &[u8]) -> &mut Self {
        self.flag(false).attributes_of(export, handle)
    }

    /// What was made in a folder.
    fn made(&mut self, export: &Export, folder: &[u8], entry: Result<Entry>) {
        if let Some(entry) = self.status(entry) {
            self.flag(true).bytes(&export.handle_of(entry.node));
            self.attributes(Some(&entry.attributes));
        }
        self.changed(export, folder);
    }
}

fn attributes(export: &Export, mut from: Reader) -> Answer {
    let handle = from.bytes()?;
    let mut to = Writer::default();
    let found = export
        .node(&handle)
        .and_then(|node| export.attributes(node));
    if let Some(found) = to.status(found) {
        write_attributes(&found, &mut to);
    }
    Ok(to)
}

async fn set_attributes(export: &Export, mut from: Reader) -> Answer {
    let (handle, change) = (from.bytes()?, read_change(&mut from)?);
    // When it was changed last, as far as the client knows.
    let known = match from.flag()? {
        true => Some((from.number()?, from.number()?)),
        false => None,
    };
    let set = async |node| {
        if let Some(known) = known
            && convert::time(export.attributes(node)?.changed) != known
        {
            return Err(Status::NotInStep);
        }
        export.change(node, change).await
    };
    let mut to = Writer::default();
    to.status(of_node(export, &handle, set).await);
    to.changed(export, &handle);
    Ok(to)
}

fn look_up(export: &Export, mut from: Reader) -> Answer {
    let (folder, name) = (from.bytes()?, from.bytes()?);
    let mut to = Writer::default();
    let found = export
        .node(&folder)
        .and_then(|node| export.look_up(node, &name));
    if let Some(entry) = to.status(found) {
        to.bytes(&export.handle_of(entry.node));
        to.attributes(Some(&entry.attributes));
    }
    to.attributes_of(export, &folder);
    Ok(to)
}

/// May a client read, look up, change, make longer, remove, execute?
///
/// Of a folder all is granted: what may be made in one depends on the name, so only who tries is told.
fn access(export: &Export, mut from: Reader) -> Answer {
    const CHANGE_AND_EXTEND: u32 = 0x04 | 0x08;
    let (handle, wanted) = (from.bytes()?, from.number()?);
    let granted = || {
        let node = export.node(&handle)?;
        let attributes = export.attributes(node)?;
        let is_refused = attributes.kind == NodeKind::File && !export.may_write(node)?;
        let granted = match is_refused {
            true => wanted & !CHANGE_AND_EXTEND,
            false => wanted,
        };
        Ok((attributes, granted))
    };
    let mut to = Writer::default();
    match to.status(granted()) {
        Some((attributes, granted)) => to.attributes(Some(&attributes)).number(granted),
        None => to.attributes(None),
    };
    Ok(to)
}

fn read_link(export: &Export, mut from: Reader) -> Answer {
    let handle = from.bytes()?;
    let mut to = Writer::default();
    let target = export.node(&handle).and_then(|node| export.read_link(node));
    let target = to.status(target);
    to.attributes_of(export, &handle);
    if let Some(target) = target {
        to.bytes(&target);
    }
    Ok(to)
}

async fn read(export: &Export, mut from: Reader) -> Answer {
    let (handle, offset, length) = (from.bytes()?, from.long()?, from.number()?);
    let length = length.min(LARGEST_READ);
    let mut to = Writer::default();
    let read = async |node| export.read(node, offset, length).await;
    let read = to.status(of_node(export, &handle, read).await);
    to.attributes_of(export, &handle);
    if let Some(Read { bytes, is_end }) = read {
        // No longer than was wanted, which has 32 bits.
        to.number(bytes.len() as u32).flag(is_end).bytes(&bytes);
    }
    Ok(to)
}

async fn write(export: &Export, mut from: Reader) -> Answer {
    let (handle, offset) = (from.bytes()?, from.long()?);
    let (length, how_sure) = (from.number()?, from.number()?);
    let data: Bytes = from.bytes()?;
    if data.len() != length as usize {
        return Err(Garbage);
    }
    let mut to = Writer::default();
    let how_sure = match how_sure {
        NOT_SURE => NOT_SURE,
        _ => ON_DISK,
    };
    let write = async |node| {
        let is_sure = how_sure == ON_DISK;
        export.write(node, offset, data, is_sure).await
    };
    let written = to.status(of_node(export, &handle, write).await);
    to.changed(export, &handle);
    if written.is_some() {
        to.number(length).number(how_sure).long(export.verifier());
    }
    Ok(to)
}

async fn create(export: &Export, mut from: Reader) -> Answer {
    let (folder, name) = (from.bytes()?, from.bytes()?);
    let (how, wanted) = match from.number()? {
        0 => (HowToMake::OrFind, read_change(&mut from)?),
        1 => (HowToMake::New, read_change(&mut from)?),
        // The client says by what it knows its own again, and sets attributes by another call.
        2 => {
            let known_by = from.long()?;
            (HowToMake::Once { known_by }, AttributeChange::default())
        }
        _ => return Err(Garbage),
    };
    let make = async |folder| {
        let permissions = wanted.permissions.unwrap_or(FILE_PERMISSIONS);
        let mut entry = export.create(folder, &name, permissions, how).await?;
        // One that was there is emptied so; of a new one it says how large it is to be.
        if wanted.size.is_some() {
            let size_alone = AttributeChange {
                size: wanted.size,
                ..AttributeChange::default()
            };
            entry.attributes = export.change(entry.node, size_alone).await?;
        }
        Ok(entry)
    };
    let mut to = Writer::default();
    to.made(export, &folder, of_node(export, &folder, make).await);
    Ok(to)
}

async fn make_folder(export: &Export, mut from: Reader) -> Answer {
    let (folder, name) = (from.bytes()?, from.bytes()?);
    let permissions = read_change(&mut from)?.permissions;
    let make = async |folder| {
        let permissions = permissions.unwrap_or(FOLDER_PERMISSIONS);
        export.make_folder(folder, &name, permissions).await
    };
    let mut to = Writer::default();
    to.made(export, &folder, of_node(export, &folder, make).await);
    Ok(to)
}

/// Links and devices. What they would be is not read.
fn make_other(export: &Export, mut from: Reader) -> Answer {
    let folder = from.bytes()?;
    let refused = export.node(&folder).map(|node| export.refuse_making(node));
    let mut to = Writer::default();
    to.made(export, &folder, Err(refused.unwrap_or_else(|stale| stale)));
    Ok(to)
}

/// Another name for a file.
fn link(export: &Export, mut from: Reader) -> Answer {
    let (file, folder) = (from.bytes()?, from.bytes()?);
    let refused = export.node(&folder).map(|node| export.refuse_making(node));
    let mut to = Writer::default();
    to.number(refused.unwrap_or_else(|stale| stale) as u32);
    to.attributes_of(export, &file).changed(export, &folder);
    Ok(to)
}

async fn remove(export: &Export, mut from: Reader, is_folder: bool) -> Answer {
    let (folder, name) = (from.bytes()?, from.bytes()?);
    let remove = async |folder| export.remove(folder, &name, is_folder).await;
    let mut to = Writer::default();
    to.status(of_node(export, &folder, remove).await);
    to.changed(export, &folder);
    Ok(to)
}

async fn rename(export: &Export, mut from: Reader) -> Answer {
    let (folder, name) = (from.bytes()?, from.bytes()?);
    let (new_folder, new_name) = (from.bytes()?, from.bytes()?);
    let rename = async || {
        let old = (export.node(&folder)?, &name[..]);
        let new = (export.node(&new_folder)?, &new_name[..]);
        export.rename(old, new).await
    };
    let mut to = Writer::default();
    to.status(rename().await);
    to.changed(export, &folder).changed(export, &new_folder);
    Ok(to)
}

fn list(export: &Export, mut from: Reader, with_entries: bool) -> Answer {
    let (handle, offset) = (from.bytes()?, from.long()?);
    // Positions are good for ever, so there is nothing to verify.
    from.long()?;
    if with_entries {
        // How much of it may be names.
        from.number()?;
    }
    let wanted = Wanted {
        offset,
        with_entries,
        most: from.number()?,
    };
    let mut to = Writer::default();
    let folder = export.node(&handle);
    let listed = folder.and_then(|folder| listing::list(export, folder, wanted));
    let listed = to.status(listed);
    to.attributes_of(export, &handle);
    if let Some(listed) = listed {
        to.long(0).raw(listed.as_bytes());
    }
    Ok(to)
}

/// Answers what is told of the whole drive.
fn of_the_drive(
    export: &Export,
    mut from: Reader,
    tell: impl FnOnce(&mut Writer) -> Result<()>,
) -> Answer {
    let handle = from.bytes()?;
    let mut told = Writer::default();
    let node = export.node(&handle);
    let found = node.and_then(|_: NodeId| tell(&mut told));
    let mut to = Writer::default();
    let found = to.status(found);
    to.attributes_of(export, &handle);
    if found.is_some() {
        to.raw(told.as_bytes());
    }
    Ok(to)
}

fn room(export: &Export, from: Reader) -> Answer {
    of_the_drive(export, from, |to| {
        let room = export.room()?;
        let free = room.free.min(room.total);
        // Bytes in all, free, and free for this user; then files.
        to.long(room.total).long(free).long(free);
        to.long(room.files).long(0).long(0);
        // For how many seconds this is so.
        to.number(0);
        Ok(())
    })
}

fn limits(export: &Export, from: Reader) -> Answer {
    const HAS_LINKS: u32 = 0x02;
    const IS_ALL_ALIKE: u32 = 0x08;
    const SETS_TIMES: u32 = 0x10;
    of_the_drive(export, from, |to| {
        to.number(LARGEST_READ).number(BEST_READ).number(BLOCK);
        to.number(LARGEST_WRITE).number(LARGEST_WRITE).number(BLOCK);
        to.number(BEST_LISTING);
        // The largest file, and how fine times are.
        to.long(i64::MAX as u64).number(0).number(1);
        to.number(HAS_LINKS | IS_ALL_ALIKE | SETS_TIMES);
        Ok(())
    })
}

fn names(export: &Export, from: Reader) -> Answer {
    of_the_drive(export, from, |to| {
        // How many names something can have, and how long each.
        to.number(1).number(LONGEST_NAME);
        // Longer ones are refused, not cut; only some may give files away; whether case is nothing; it is kept.
        to.flag(true).flag(true).flag(export.any_case()).flag(true);
        Ok(())
    })
}

/// What was written is to be on the disk: all of it, whichever part is asked for.
async fn commit(export: &Export, mut from: Reader) -> Answer {
    let handle = from.bytes()?;
    let mut to = Writer::default();
    let commit = async |node| export.commit(node).await;
    let committed = to.status(of_node(export, &handle, commit).await);
    to.changed(export, &handle);
    if committed.is_some() {
        to.long(export.verifier());
    }
    Ok(to)
}
