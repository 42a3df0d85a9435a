//! The fault matrix: what can go wrong with a source, and when, so that a test goes through all of it in two loops.
//!
//! ```ignore
//! for (trouble, stage) in cells() {
//!     let fault = cloud.inject(stage.rule(trouble, "kit/kick.wav", size).unwrap());
//!     for class in Class::ALL {
//!         let seen = class.uses(stage.how(), &home.mount_point(), path).see(truth);
//!         // what this class was promised
//!     }
//!     assert!(cloud.hits(fault) > 0);
//!     cloud.lift(fault);
//! }
//! ```

use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::cloud::{Fault, Op, Rule};
use super::players::{How, Use};

/// What goes wrong with a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// 100 ms for each request, 1 MB a second.
    Slow,
    Hung,
    /// EIO.
    Error,
    /// ENETUNREACH.
    Offline,
    /// The file goes away at that moment.
    Vanishes,
    /// `stat` tells of 4,096 bytes that are not there.
    WrongSize,
    WrongBytes,
    /// The source has no room to download into: ENOSPC. A disk of the drive's own is filled by `Volume::fill`.
    Full,
}

impl Trouble {
    pub const ALL: [Trouble; 8] = [
        Trouble::Slow,
        Trouble::Hung,
        Trouble::Error,
        Trouble::Offline,
        Trouble::Vanishes,
        Trouble::WrongSize,
        Trouble::WrongBytes,
        Trouble::Full,
    ];
}

/// When it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Open,
    FirstRead,
    /// In the middle of a stream: what is asked behind the first half of the file.
    Midway,
    Readdir,
    Stat,
    /// The file is mapped, and a page of it is touched.
    Map,
}

impl Stage {
    pub const ALL: [Stage; 6] = [
        Stage::Open,
        Stage::FirstRead,
        Stage::Midway,
        Stage::Readdir,
        Stage::Stat,
        Stage::Map,
    ];

    fn ops(self) -> &'static [Op] {
        match self {
            Stage::Open => Op::OPEN,
            Stage::FirstRead | Stage::Midway | Stage::Map => Op::READ,
            Stage::Readdir => Op::READDIR,
            Stage::Stat => Op::STAT,
        }
    }

    /// The rule by which `trouble` comes at this stage to a file of so many bytes (for `Readdir`: to a folder); `None`
    /// where the two don't meet.
    pub fn rule(self, trouble: Trouble, path: impl AsRef<Path>, size: u64) -> Option<Rule> {
        let half = size / 2;
        let bytes = self.ops() == Op::READ;
        let fault = match trouble {
            Trouble::Slow => Fault::Slow {
                latency: Duration::from_millis(100),
                bytes_per_second: 1_000_000,
            },
            Trouble::Hung => Fault::Hung,
            Trouble::Error => Fault::Error(Errno::IO.raw_os_error()),
            Trouble::Offline => Fault::Offline,
            Trouble::Full => Fault::Error(Errno::NOSPC.raw_os_error()),
            Trouble::Vanishes if self == Stage::Readdir => return None,
            Trouble::Vanishes if self == Stage::Midway => Fault::VanishesAfter(half),
            Trouble::Vanishes if bytes => Fault::VanishesAfter(0),
            Trouble::Vanishes => Fault::Error(Errno::NOENT.raw_os_error()),
            Trouble::WrongSize if self == Stage::Stat => Fault::WrongSize(4096),
            Trouble::WrongBytes if bytes => Fault::WrongBytes,
            Trouble::WrongSize | Trouble::WrongBytes => return None,
        };
        let rule = fault.on(self.ops()).of(path);
        Some(if self == Stage::Midway {
            rule.beyond(half)
        } else {
            rule
        })
    }

    /// The use of a path that comes to this stage. Of the drive: `class.uses(stage.how(), …)`.
    pub fn use_of(self, path: impl AsRef<Path>) -> Use {
        Use::of(self.how(), path).chunk(4096)
    }

    pub fn how(self) -> How {
        match self {
            Stage::Open => How::Open,
            Stage::FirstRead | Stage::Midway => How::Read,
            Stage::Readdir => How::List,
            Stage::Stat => How::Stat,
            Stage::Map => How::MapPrivate,
        }
    }
}

/// All pairs that meet.
pub fn cells() -> impl Iterator<Item = (Trouble, Stage)> {
    let pairs = Trouble::ALL
        .into_iter()
        .flat_map(|trouble| Stage::ALL.map(|stage| (trouble, stage)));
    pairs.filter(|(trouble, stage)| stage.rule(*trouble, "", 0).is_some())
}
