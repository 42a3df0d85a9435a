//! What `mediafs ensure --json` says: where a daemon is, or why there is none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire_path::WirePath;

/// How a host finds the drive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum EnsureState {
    /// The drive is mounted, and the daemon answers at `socket`.
    Ready,
    /// The system has nothing that mounts drives (on Linux: no `/dev/fuse`, or neither root nor `fusermount3`).
    NotInstalled,
    /// It has, but this user may not use it.
    DriverBlocked,
    /// The mount point is something else: a file, a folder with files, another file system.
    PointTaken,
    /// The daemon that runs is older than this program, or speaks no version of the protocol with it;
    /// `ensure --replace` ends it in order and starts this one. Sounds that programs hold open under passthrough read on.
    TooOld,
    /// The daemon that runs is newer, and speaks no version of the protocol with this program: update that.
    TooNew,
    /// Something else; `message` says what.
    Failed,
}

/// What `mediafs ensure --json` says. Exit code 0 if it is `ready`, else 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ensured {
    /// In a word.
    pub state: EnsureState,
    /// Where the daemon listens, or would.
    pub socket: WirePath,
    /// Where the drive is, if it is.
    pub mount: Option<WirePath>,
    /// The version of the protocol that both speak; of a daemon that is too old or too new, the one it speaks.
    pub protocol: Option<u32>,
    /// The version of the daemon that runs.
    pub version: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// Its run.
    pub instance: Option<String>,
    /// It was started just now.
    pub started: bool,
    /// What is wrong and what to do, for people.
    pub message: Option<String>,
}
