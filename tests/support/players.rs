//! Programs that use a file as players, copiers and the others do: open, read, map, stat and list, with a time limit, and
//! what they saw in the end. Each is a process of its own, as one that hangs in the kernel can't be ended at all, and one
//! that maps a file may die of it.

mod truth;

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use truth::{Content, Truth, compare};

/// The program itself.
const PROGRAM: &str = include_str!("players/program.py");

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

    /// A use of a path of the drive by a program of this class; `path` is relative to the mount point. It goes by the
    /// door of its class; browsers have none and are known by their name.
    pub fn uses(self, how: How, mount_point: &Path, path: impl AsRef<Path>) -> Use {
        let door = match self {
            Class::Player => ".as/player",
            Class::Loader => ".as/loader",
            Class::Copier => ".as/copier",
            Class::Indexer => ".as/indexer",
            Class::Browser => "",
        };
        let used = Use::of(how, mount_point.join(door).join(path));
        if self == Class::Browser {
            used.by_program("nautilus")
        } else {
            used
        }
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
    program: Option<String>,
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
            program: None,
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

    /// By a program of this name, for what is decided by names.
    pub fn by_program(mut self, name: &str) -> Self {
        self.program = Some(name.to_owned());
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
        let length = self.length.map_or("-1".to_owned(), |all| all.to_string());
        let named = self.program.as_deref().map(Named::new);
        let program = match &named {
            Some(named) => named.path.clone(),
            None => python(),
        };
        let mut command = Command::new(program);
        command
            .args(["-I", "-S", "-c", PROGRAM, self.how.word()])
            .arg(&self.path)
            .args([&self.start.to_string(), &length, &self.chunk.to_string()])
            .arg(self.pause.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = spawn(&mut command);
        let output = child.stdout.take().expect("piped");
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let _ = listen(output, |told| tell.send(told).is_ok());
        });
        Running {
            until: Instant::now() + self.limit,
            wanted: self,
            child: Some(child),
            _named: named,
            told,
            bytes: Vec::new(),
            requests: Vec::new(),
            pending: None,
        }
    }
}

/// Where python3 is a script that picks one, the system's own starts faster and can be copied.
fn python() -> PathBuf {
    let own = PathBuf::from("/usr/bin/python3");
    if own.exists() { own } else { "python3".into() }
}

/// The interpreter under the name of another program.
struct Named {
    path: PathBuf,
    _folder: TempDir,
}

impl Named {
    fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mediafs-test-program-")
            .tempdir()
            .unwrap();
        let path = folder.path().join(name);
        let own = python().canonicalize();
        let own = own.expect("a python3 in /usr/bin is needed for this test");
        std::fs::copy(own, &path).unwrap();
        Self {
            path,
            _folder: folder,
        }
    }
}

/// Starts a program that may just have been written: another thread that starts one at that moment may hold it open.
fn spawn(command: &mut Command) -> Child {
    let begun = Instant::now();
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == ErrorKind::ExecutableFileBusy
                    && begun.elapsed() < Duration::from_secs(5) =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            started => {
                return started.expect("python3 is needed for this test; scripts/test installs it");
            }
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
    _named: Option<Named>,
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

    /// Waits until its first request has come back, or it has ended.
    pub fn wait_for_request(&mut self) {
        while self.requests.is_empty() && self.hear().is_ok() {}
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
