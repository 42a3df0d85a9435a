//! Programs that use a file as players, copiers and the others do: open, read, map, stat and list, with a time limit, and
//! what they saw in the end. Each is a process of its own, as one that hangs in the kernel can't be ended at all, and one
//! that maps a file may die of it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The program itself.
const PROGRAM: &str = include_str!("players.py");

/// The class of a requester.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    Player,
    Loader,
    Copier,
    Browser,
    Indexer,
}

impl Class {
    pub const ALL: [Class; 5] = [
        Class::Player,
        Class::Loader,
        Class::Copier,
        Class::Browser,
        Class::Indexer,
    ];

    /// A path of the drive by the door of this class; `path` is relative to the mount point.
    pub fn door(self, mount_point: &Path, path: impl AsRef<Path>) -> PathBuf {
        let word = match self {
            Class::Player => "player",
            Class::Loader => "loader",
            Class::Copier => "copier",
            Class::Browser => "browser",
            Class::Indexer => "indexer",
        };
        mount_point.join(".as").join(word).join(path)
    }
}

/// The way a file is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// Opened and closed.
    Open,
    Read,
    MapPrivate,
    MapShared,
    Stat,
    List,
}

impl How {
    /// All by which bytes come.
    pub const BYTES: [How; 3] = [How::Read, How::MapPrivate, How::MapShared];

    fn word(self) -> &'static str {
        match self {
            How::Open => "open",
            How::Read => "read",
            How::MapPrivate => "private",
            How::MapShared => "shared",
            How::Stat => "stat",
            How::List => "list",
        }
    }
}

/// What a file may show: the true bytes, and those of its placeholder.
#[derive(Clone, Copy, Debug)]
pub struct Truth<'a> {
    pub bytes: &'a [u8],
    pub placeholder: &'a [u8],
}

/// What bytes are, held against the truth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Nothing,
    Bytes,
    Silence,
    /// Each byte is that of the sound or of its placeholder, and neither in all.
    Mixed,
    Wrong,
}

/// How it went in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The true bytes, all that were asked for.
    Bytes,
    /// The placeholder's bytes, all that were asked for.
    Silence,
    Mixed,
    Wrong,
    /// It ended early as if the file did, with right bytes so far.
    Short,
    /// `open`, `stat` or a listing went well.
    Done,
    Errno(i32),
    /// The program died of this signal; 7 (SIGBUS) is a mapping that could not be filled.
    Signal(i32),
    /// It was not done within its time.
    Hang,
}

/// One request that came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// `open`, `read`, `map`, `touch`, `stat` or `list`.
    pub op: String,
    pub took: Duration,
    /// 0 where it went well.
    pub errno: i32,
    pub length: usize,
}

/// What `stat` said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
    pub blocks: u64,
    pub inode: u64,
}

/// What a program saw.
#[derive(Clone, Debug)]
pub struct Seen {
    pub outcome: Outcome,
    /// Of the bytes that came, also where an error or a hang followed.
    pub content: Content,
    pub bytes: Vec<u8>,
    pub requests: Vec<Request>,
    /// The request that had not come back at the end.
    pub pending: Option<String>,
    pub stat: Option<Stat>,
    pub names: Vec<String>,
}

impl Seen {
    /// The longest that a request took, of those that came back.
    pub fn longest(&self) -> Duration {
        let all = self.requests.iter().map(|request| request.took);
        all.max().unwrap_or_default()
    }

    /// The same of requests of one sort.
    pub fn longest_of(&self, op: &str) -> Duration {
        let all = self.requests.iter().filter(|request| request.op == op);
        all.map(|request| request.took).max().unwrap_or_default()
    }
}

/// A program about to use a file.
#[derive(Clone, Debug)]
pub struct Use {
    how: How,
    path: PathBuf,
    start: u64,
    length: Option<u64>,
    chunk: u64,
    pause: Duration,
    limit: Duration,
}

impl Use {
    /// The whole file in pieces of 64 KiB, within ten seconds.
    pub fn of(how: How, path: impl AsRef<Path>) -> Self {
        Self {
            how,
            path: path.as_ref().to_owned(),
            start: 0,
            length: None,
            chunk: 64 << 10,
            pause: Duration::ZERO,
            limit: Duration::from_secs(10),
        }
    }

    pub fn from(mut self, start: u64) -> Self {
        self.start = start;
        self
    }

    pub fn length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// Bytes of each read.
    pub fn chunk(mut self, bytes: u64) -> Self {
        self.chunk = bytes;
        self
    }

    /// Rests so long after each read.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The time for all of it; then it counts as hung.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Does it, and tells what was seen.
    pub fn see(self, truth: Truth<'_>) -> Seen {
        self.start().see(truth)
    }

    /// The same where no bytes are expected.
    pub fn try_it(self) -> Seen {
        self.see(Truth {
            bytes: &[],
            placeholder: &[],
        })
    }

    /// Begins, so that something can happen meanwhile.
    pub fn start(self) -> Running {
        // Where python3 is a script that picks one, the system's own starts faster.
        let own = Path::new("/usr/bin/python3");
        let python = if own.exists() {
            own
        } else {
            Path::new("python3")
        };
        let length = self.length.map_or("-1".to_owned(), |all| all.to_string());
        let mut child = Command::new(python)
            .args(["-I", "-S", "-c", PROGRAM, self.how.word()])
            .arg(&self.path)
            .args([&self.start.to_string(), &length, &self.chunk.to_string()])
            .arg(self.pause.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("python3 is needed for this test; scripts/test installs it");
        let output = child.stdout.take().expect("piped");
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let _ = listen(output, |told| tell.send(told).is_ok());
        });
        Running {
            until: Instant::now() + self.limit,
            wanted: self,
            child: Some(child),
            told,
            bytes: Vec::new(),
            requests: Vec::new(),
            pending: None,
        }
    }
}

enum Told {
    Begin(String),
    End(Request, Vec<u8>),
}

/// Reads what the program tells.
fn listen(output: ChildStdout, mut tell: impl FnMut(Told) -> bool) -> Option<()> {
    let mut output = BufReader::new(output);
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let told = match words[..] {
            ["begin", op] => Told::Begin(op.to_owned()),
            ["end", op, took, errno, length] => {
                let mut bytes = vec![0; length.parse().ok()?];
                output.read_exact(&mut bytes).ok()?;
                let request = Request {
                    op: op.to_owned(),
                    took: Duration::from_micros(took.parse().ok()?),
                    errno: errno.parse().ok()?,
                    length: bytes.len(),
                };
                Told::End(request, bytes)
            }
            _ => panic!("the program said {line:?}"),
        };
        if !tell(told) {
            return None;
        }
    }
}

/// A program that uses a file. Dropping it ends it, as far as the kernel lets it.
pub struct Running {
    wanted: Use,
    until: Instant,
    child: Option<Child>,
    told: Receiver<Told>,
    bytes: Vec<u8>,
    requests: Vec<Request>,
    pending: Option<String>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("until dropped").id()
    }

    /// Takes in one more thing it tells; `Err` once it has ended, or its time has.
    fn hear(&mut self) -> Result<(), RecvTimeoutError> {
        let left = self.until.saturating_duration_since(Instant::now());
        match self.told.recv_timeout(left)? {
            Told::Begin(op) => self.pending = Some(op),
            Told::End(request, bytes) => {
                self.pending = None;
                self.requests.push(request);
                self.bytes.extend(bytes);
            }
        }
        Ok(())
    }

    /// Waits until so many bytes have come.
    pub fn wait_for_bytes(&mut self, count: usize) {
        while self.bytes.len() < count {
            let came = self.bytes.len();
            self.hear()
                .unwrap_or_else(|_| panic!("only {came} bytes came: {:?}", self.requests));
        }
    }

    /// Waits until a request of this sort has begun and has not come back yet.
    pub fn wait_for_pending(&mut self, op: &str) {
        while self.pending.as_deref() != Some(op) {
            self.hear()
                .unwrap_or_else(|_| panic!("no pending {op}: {:?}", self.requests));
        }
    }

    /// Waits for its end, and tells what it saw.
    pub fn see(mut self, truth: Truth<'_>) -> Seen {
        let ended = loop {
            match self.hear() {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => break true,
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        let signal = if ended { self.died_of() } else { None };
        let bytes = std::mem::take(&mut self.bytes);
        let requests = std::mem::take(&mut self.requests);
        let gives_bytes = How::BYTES.contains(&self.wanted.how);
        let content = if gives_bytes {
            compare(&bytes, self.wanted.start, truth)
        } else {
            Content::Nothing
        };
        let failed = requests.iter().find(|request| request.errno != 0);
        let outcome = match (signal, failed) {
            _ if !ended => Outcome::Hang,
            (Some(signal), _) => Outcome::Signal(signal),
            (None, Some(request)) => Outcome::Errno(request.errno),
            (None, None) if !gives_bytes => Outcome::Done,
            (None, None) => whole(content, bytes.len(), &self.wanted, truth),
        };
        let fields = |text: &[u8]| -> Vec<u64> {
            let text = String::from_utf8_lossy(text);
            text.split(' ').filter_map(|n| n.parse().ok()).collect()
        };
        let stat = match fields(&bytes)[..] {
            [size, modified, blocks, inode] if self.wanted.how == How::Stat => Some(Stat {
                size,
                modified,
                blocks,
                inode,
            }),
            _ => None,
        };
        let names = if self.wanted.how == How::List && !bytes.is_empty() {
            let names = bytes.split(|byte| *byte == 0);
            names
                .map(|n| String::from_utf8_lossy(n).into_owned())
                .collect()
        } else {
            Vec::new()
        };
        Seen {
            outcome,
            content,
            bytes,
            requests,
            pending: self.pending.take(),
            stat,
            names,
        }
    }

    /// The signal that ended it, once it has closed its output.
    fn died_of(&mut self) -> Option<i32> {
        let child = self.child.as_mut()?;
        while Instant::now() < self.until {
            if let Ok(Some(status)) = child.try_wait() {
                assert!(
                    status.success() || status.signal().is_some(),
                    "the program itself failed: {status}"
                );
                return status.signal();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let _ = child.kill();
        // One that hangs in the kernel ends when what it waits for does; until then a thread stands by to reap it.
        std::thread::spawn(move || child.wait());
    }
}

/// Holds bytes from `start` on against the truth.
pub fn compare(bytes: &[u8], start: u64, truth: Truth<'_>) -> Content {
    if bytes.is_empty() {
        return Content::Nothing;
    }
    let part = |all: &'_ [u8], at: usize| all.get(usize::try_from(start).ok()? + at).copied();
    let same = |all: &[u8]| (0..bytes.len()).all(|at| part(all, at) == Some(bytes[at]));
    let either = |at| {
        let byte = Some(bytes[at]);
        byte == part(truth.bytes, at) || byte == part(truth.placeholder, at)
    };
    if same(truth.bytes) {
        Content::Bytes
    } else if same(truth.placeholder) {
        Content::Silence
    } else if (0..bytes.len()).all(either) {
        Content::Mixed
    } else {
        Content::Wrong
    }
}

/// What bytes that ended without an error are, by the size of what they should be.
fn whole(content: Content, came: usize, wanted: &Use, truth: Truth<'_>) -> Outcome {
    let size = match content {
        Content::Silence => truth.placeholder.len(),
        _ => truth.bytes.len(),
    };
    let there = (size as u64).saturating_sub(wanted.start);
    let due = wanted.length.map_or(there, |length| length.min(there));
    match content {
        Content::Wrong => Outcome::Wrong,
        _ if (came as u64) < due => Outcome::Short,
        Content::Mixed => Outcome::Mixed,
        Content::Silence => Outcome::Silence,
        Content::Bytes | Content::Nothing => Outcome::Bytes,
    }
}
