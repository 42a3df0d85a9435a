//! Extended attributes of items: what a script or a file manager can ask without the control protocol.

use std::ffi::{OsStr, OsString};

use mediafs_platform::drive::DriveError;

use super::node::Node;
use super::{MediaDrive, failed};
use crate::model::{Availability, Playable};

const ID: &str = "user.mediafs.id";
const STATUS: &str = "user.mediafs.status";
const BLAKE3: &str = "user.mediafs.blake3";
const PLACEHOLDER: &str = "user.mediafs.placeholder";

/// The word of the protocol for an availability.
fn word(availability: Availability) -> &'static str {
    match availability {
        Availability::Local => "local",
        Availability::RemoteFetching => "remote-fetching",
        Availability::RemoteOffline => "remote-offline",
        Availability::ExternalOnline => "external-online",
        Availability::ExternalOffline => "external-offline",
        Availability::Missing => "missing",
    }
}

impl MediaDrive {
    pub(super) fn xattr_of(&self, node: Node, name: &OsStr) -> Result<Vec<u8>, DriveError> {
        let name = name.to_str().unwrap_or_default();
        if !name.starts_with("user.") {
            return Err(DriveError::NotSupported);
        }
        let (Node::Item { item, .. } | Node::Take { item, .. }) = node else {
            return Err(DriveError::NoAttribute);
        };
        // Asked for by every `ls -l` and copy: only our own names are worth a query.
        if ![ID, STATUS, BLAKE3, PLACEHOLDER].contains(&name) {
            return Err(DriveError::NoAttribute);
        }
        let reader = self.reader()?;
        let row = reader
            .item(item)
            .map_err(failed)?
            .ok_or(DriveError::Stale)?;
        match name {
            ID => Ok(row.media_id.as_str().into()),
            STATUS => Ok(word(row.availability).into()),
            PLACEHOLDER => Ok(if row.playable == Playable::Silence {
                "1"
            } else {
                "0"
            }
            .into()),
            _ => {
                let hash = reader
                    .blake3(item)
                    .map_err(failed)?
                    .ok_or(DriveError::NoAttribute)?;
                Ok(hash.to_string().into_bytes())
            }
        }
    }

    pub(super) fn xattrs_of(&self, node: Node) -> Vec<OsString> {
        let (Node::Item { item, .. } | Node::Take { item, .. }) = node else {
            return Vec::new();
        };
        let hashed = self
            .reader()
            .and_then(|reader| reader.blake3(item).map_err(failed))
            .is_ok_and(|hash| hash.is_some());
        let mut names: Vec<OsString> = [ID, STATUS, PLACEHOLDER].map(OsString::from).into();
        if hashed {
            names.push(BLAKE3.into());
        }
        names
    }
}
