//! `by-track/` and `by-plugin/` of a project: its items by who uses them, or was seen to.
//!
//! Folders and names belong to what they were given to for good, so a name that is not listed any more still leads to its
//! item, and nothing has to be told to the kernel when a usage goes. Files are the items' own nodes, as in every view.

use std::ffi::OsStr;

use mediafs_platform::drive::{Cursor, DriveError, Entry};

use super::list::{Asked, FIRST_PAGE, FIXED, NEXT_PAGE, Resumed, Sink, folder_listed, resume};
use super::node::{Door, Node, Uses};
use super::{MediaDrive, failed};
use crate::catalog::{BaseKind, BaseNo, ItemRow, Reader, UsageFolderNo};
use crate::model::ProjectId;

impl MediaDrive {
    pub(super) fn look_up_uses(
        &self,
        project: BaseNo,
        uses: Uses,
        door: Door,
        name: &OsStr,
    ) -> Result<Entry, DriveError> {
        let reader = self.reader()?;
        let project = project_of(&reader, project)?.ok_or(DriveError::NotFound)?;
        let name = name.to_str().ok_or(DriveError::NotFound)?;
        let folder = reader
            .usage_folder_named(&project, &uses.role(), name)
            .map_err(failed)?
            .ok_or(DriveError::NotFound)?;
        Ok(self.folder_entry(Node::UsageFolder(folder), door, self.started))
    }

    pub(super) fn used_item(
        &self,
        folder: UsageFolderNo,
        name: &OsStr,
    ) -> Result<ItemRow, DriveError> {
        let name = name.to_str().ok_or(DriveError::NotFound)?;
        let found = self.reader()?.used(folder, name).map_err(failed)?;
        found.ok_or(DriveError::NotFound)
    }

    /// The folder that a track's or program's folder is in.
    pub(super) fn uses_of(&self, folder: UsageFolderNo) -> Result<Node, DriveError> {
        let reader = self.reader()?;
        let row = reader.usage_folder(folder).map_err(failed)?;
        let row = row.ok_or(DriveError::Stale)?;
        let bases = reader.bases().map_err(failed)?;
        let base = bases
            .into_iter()
            .find(|base| {
                base.kind == BaseKind::Project && base.project.as_ref() == Some(&row.project)
            })
            .ok_or(DriveError::Stale)?;
        let (_, uses) = Uses::SHOWN
            .into_iter()
            .find(|(_, uses)| uses.role() == row.role)
            .ok_or(DriveError::Stale)?;
        Ok(Node::Uses(base.row, uses))
    }

    pub(super) fn list_uses(
        &self,
        project: BaseNo,
        uses: Uses,
        after: Cursor,
        door: Door,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(mut behind) = resume(after, FIXED) else {
            return Ok(());
        };
        let reader = self.reader()?;
        let Some(project) = project_of(&reader, project)? else {
            return Ok(());
        };
        loop {
            let page = reader
                .usage_folders(&project, &uses.role(), behind, FIRST_PAGE)
                .map_err(failed)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            behind = last.0;
            for (folder, name) in page {
                let node = Node::UsageFolder(folder);
                if !sink(folder_listed(&name, node, door, folder.0)) {
                    return Ok(());
                }
            }
        }
    }

    pub(super) fn list_used(
        &self,
        folder: UsageFolderNo,
        after: Cursor,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(behind) = resume(after, FIXED) else {
            return Ok(());
        };
        let resumed = Resumed::at(behind, after);
        let mut behind = resumed.behind;
        let mut rows = FIRST_PAGE;
        loop {
            let page = self
                .reader()?
                .list_used(folder, behind, rows)
                .map_err(failed)?;
            rows = NEXT_PAGE;
            let Some((last, ..)) = page.last() else {
                return Ok(());
            };
            behind = *last;
            for (row, name, item) in page {
                let parent = Node::UsageFolder(folder);
                let name = name.into();
                if !self.give_whole(&item, name, (FIXED, row), parent, &resumed, asked, sink)? {
                    return Ok(());
                }
            }
        }
    }
}

fn project_of(reader: &Reader, base: BaseNo) -> Result<Option<ProjectId>, DriveError> {
    Ok(reader
        .base(base)
        .map_err(failed)?
        .and_then(|base| base.project))
}
