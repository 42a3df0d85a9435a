//! How the simulated cloud misbehaves: which fault, on which requests, and what comes of them for one request.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A sort of request. Opening and listing folders count as `Open` and `Readdir`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// A name looked for in a folder: the first half of `stat`.
    Lookup,
    /// The attributes of what was found: its second half, and `fstat`.
    Getattr,
    Open,
    Read,
    Readdir,
    Xattr,
    Write,
}

impl Op {
    pub const ALL: &'static [Op] = &[
        Op::Lookup,
        Op::Getattr,
        Op::Open,
        Op::Read,
        Op::Readdir,
        Op::Xattr,
        Op::Write,
    ];
    pub const STAT: &'static [Op] = &[Op::Lookup, Op::Getattr];
    pub const OPEN: &'static [Op] = &[Op::Open];
    pub const READ: &'static [Op] = &[Op::Read];
    pub const READDIR: &'static [Op] = &[Op::Readdir];
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// Each request takes `latency`, and all that is read under the rule shares one line; 0 bytes a second: no limit.
    Slow {
        latency: Duration,
        bytes_per_second: u64,
    },
    /// Requests are held until the rule is lifted or the cloud goes. Nothing else ends them, not even a killed requester.
    Hung,
    /// An errno.
    Error(i32),
    /// As without a network: ENETUNREACH.
    Offline,
    /// The first read that reaches beyond so many bytes finds the file gone (ESTALE), and so does everybody after it, in
    /// listings as well.
    VanishesAfter(u64),
    /// `stat` tells of so many bytes more than there are, or fewer.
    WrongSize(i64),
    /// Reads give bytes that differ from the true ones, each of them.
    WrongBytes,
    /// Reads give half of what was asked for.
    Short,
}

impl Fault {
    /// This fault on some requests only; [`Op`] has lists of them.
    pub fn on(self, ops: &[Op]) -> Rule {
        Rule {
            ops: ops.to_vec(),
            ..Rule::from(self)
        }
    }

    /// This fault on one file, or on all below a folder.
    pub fn of(self, path: impl AsRef<Path>) -> Rule {
        Rule::from(self).of(path)
    }
}

/// A fault and the requests it befalls. By default: all of the whole source.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) fault: Fault,
    pub(super) ops: Vec<Op>,
    pub(super) path: Option<PathBuf>,
    pub(super) after: u64,
    pub(super) times: u64,
    pub(super) beyond: u64,
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            ops: Op::ALL.to_vec(),
            path: None,
            after: 0,
            times: u64::MAX,
            beyond: 0,
        }
    }
}

impl Rule {
    /// One file, or all below a folder. It must be there when the rule is given.
    pub fn of(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    /// The first so many of its requests go well.
    pub fn after(mut self, requests: u64) -> Self {
        self.after = requests;
        self
    }

    /// It befalls so many requests, then no more.
    pub fn times(mut self, requests: u64) -> Self {
        self.times = requests;
        self
    }

    /// Of the reads, only those that reach beyond so many bytes from the beginning of the file.
    pub fn beyond(mut self, byte: u64) -> Self {
        self.beyond = byte;
        self
    }
}

/// One request, as far as rules look at it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) op: Op,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A rule in force.
pub(super) struct Live {
    pub(super) rule: Rule,
    /// The node it is bound to.
    pub(super) node: Option<u64>,
    pub(super) lifted: bool,
    pub(super) seen: u64,
    pub(super) hits: u64,
    /// When the line of a slow source is free again.
    free: Instant,
}

/// What comes of all rules together for one request.
#[derive(Clone, Default)]
pub(super) struct Verdict {
    /// How long the request takes, and the rules by which it does.
    pub(super) delay: Duration,
    pub(super) slowed_by: Vec<usize>,
    /// The rules that hold the request.
    pub(super) held_by: Vec<usize>,
    pub(super) error: Option<i32>,
    pub(super) more_size: i64,
    pub(super) flip: bool,
    pub(super) short: bool,
    /// The rule by which the file is gone from now on.
    pub(super) vanishes: Option<usize>,
}

impl Live {
    pub(super) fn new(rule: Rule, node: Option<u64>) -> Self {
        Self {
            rule,
            node,
            lifted: false,
            seen: 0,
            hits: 0,
            free: Instant::now(),
        }
    }

    /// Does the fault have a meaning for such a request at all?
    fn concerns(&self, asked: Asked) -> bool {
        let of_fault = match self.rule.fault {
            Fault::Slow { .. } | Fault::Hung | Fault::Error(_) | Fault::Offline => true,
            Fault::VanishesAfter(bytes) => {
                asked.op == Op::Read && asked.offset + asked.length > bytes
            }
            Fault::WrongSize(_) => Op::STAT.contains(&asked.op),
            Fault::WrongBytes | Fault::Short => asked.op == Op::Read,
        };
        let from = self.rule.beyond;
        let reached = asked.op != Op::Read || from == 0 || asked.offset + asked.length > from;
        of_fault && reached && self.rule.ops.contains(&asked.op)
    }

    /// Adds what this rule, the one of number `id`, makes of a request to `verdict`.
    pub(super) fn judge(&mut self, id: usize, asked: Asked, verdict: &mut Verdict) {
        if self.lifted || !self.concerns(asked) {
            return;
        }
        self.seen += 1;
        if self.seen <= self.rule.after || self.hits >= self.rule.times {
            return;
        }
        self.hits += 1;
        match self.rule.fault {
            Fault::Slow {
                latency,
                bytes_per_second,
            } => {
                let now = Instant::now();
                let length = if asked.op == Op::Read {
                    asked.length
                } else {
                    0
                };
                let nanos = (length * 1_000_000_000)
                    .checked_div(bytes_per_second)
                    .unwrap_or(0);
                self.free = self.free.max(now) + Duration::from_nanos(nanos);
                verdict.delay = verdict.delay.max(latency + (self.free - now));
                verdict.slowed_by.push(id);
            }
            Fault::Hung => verdict.held_by.push(id),
            Fault::Error(errno) => verdict.error = Some(errno),
            Fault::Offline => {
                verdict.error = Some(rustix::io::Errno::NETUNREACH.raw_os_error());
            }
            Fault::VanishesAfter(_) => verdict.vanishes = Some(id),
            Fault::WrongSize(more) => verdict.more_size += more,
            Fault::WrongBytes => verdict.flip = true,
            Fault::Short => verdict.short = true,
        }
    }
}
