//! Parts of listings, with attributes and handles or without.

use std::os::unix::ffi::OsStrExt;

use super::super::listing::{offset_behind, position};
use super::super::readdir::fit_for_listing;
use super::convert::{ATTRIBUTES, Status};
use super::export::{Export, HANDLE};
use super::xdr::{Writer, length_of};
use crate::drive::{Entry, NodeId};

/// The longest part.
const LONGEST: usize = 1 << 20;
/// What an answer holds beside its entries: status, attributes of the folder, verifier, and at the end that there are no more
/// entries and whether that is all.
const AROUND: usize = 4 + (4 + ATTRIBUTES) + 8 + 4 + 4;

/// What part of a listing a client wants.
pub(super) struct Wanted {
    /// Behind which entry.
    pub(super) offset: u64,
    pub(super) with_entries: bool,
    /// How long the answer may be.
    pub(super) most: u32,
}

struct Part {
    to: Writer,
    most: usize,
    with_entries: bool,
    is_full: bool,
}

/// A part of the listing of a folder, to its end or as much as is wanted.
pub(super) fn list(export: &Export, folder: NodeId, wanted: Wanted) -> Result<Writer, Status> {
    let at = position(wanted.offset);
    let mut part = Part {
        to: Writer::default(),
        most: (wanted.most as usize).min(LONGEST).saturating_sub(AROUND),
        with_entries: wanted.with_entries,
        is_full: false,
    };
    if !at.after_dot {
        part.add(export, folder.0, b".", 1, None);
    }
    if !at.after_dot_dot {
        part.add(export, export.parent(folder)?.0, b"..", 2, None);
    }
    let mut looked_up = Vec::new();
    let mut is_broken = false;
    if !part.is_full {
        export.list(folder, at.cursor, wanted.with_entries, &mut |listed| {
            let Some(behind) = offset_behind(listed.cursor) else {
                is_broken = true;
                return false;
            };
            let is_taken = !fit_for_listing(&listed.name) || {
                let name = listed.name.as_bytes();
                let is_true =
                    |entry: &&Entry| export.is_true(entry.node, &entry.attributes).is_ok();
                let entry = listed.entry.as_ref().filter(is_true);
                part.add(export, listed.inode, name, behind, entry)
            };
            if is_taken && let Some(entry) = listed.entry {
                looked_up.push(entry.node);
            }
            is_taken
        })?;
    }
    for node in looked_up {
        export.looked_up(node);
    }
    if part.to.len() == 0 && (part.is_full || is_broken) {
        return Err(match is_broken {
            true => Status::Io,
            false => Status::TooSmall,
        });
    }
    // No more entries; and whether that is all.
    part.to.flag(false).flag(!part.is_full && !is_broken);
    Ok(part.to)
}

impl Part {
    /// Takes an entry if there is room for it.
    ///
    /// One may come without attributes and handle, where those are not the same for everybody, or not to be told; the client
    /// looks it up then.
    fn add(
        &mut self,
        export: &Export,
        inode: u64,
        name: &[u8],
        behind: u64,
        entry: Option<&Entry>,
    ) -> bool {
        let extra = match (self.with_entries, entry) {
            (false, _) => 0,
            (true, None) => 8,
            (true, Some(_)) => 4 + ATTRIBUTES + 4 + length_of(HANDLE),
        };
        let length = 4 + 8 + length_of(name.len()) + 8 + extra;
        self.is_full |= self.to.len() + length > self.most;
        if self.is_full {
            return false;
        }
        let inode = export.listed(inode);
        self.to.flag(true).long(inode).bytes(name).long(behind);
        if self.with_entries {
            let attributes = entry.map(|entry| export.told(entry.node, entry.attributes));
            self.to.attributes(attributes.as_ref());
            self.to.flag(entry.is_some());
            if let Some(entry) = entry {
                self.to.bytes(&export.handle_of(entry.node));
            }
        }
        true
    }
}
