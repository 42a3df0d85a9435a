//! What these tests have in common: a home with clouds as roots, latencies, and what a busy machine adds to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::cloud::Cloud;
use crate::support::sounds::wav;
use crate::support::{Home, Mounted};

/// What a player's request may take, apart from what the machine takes for itself.
pub const PLAYER_BOUND: Duration = Duration::from_millis(20 + 30);

/// The bytes of a WAV's header in these tests.
const HEADER: usize = 44;

/// A sound of so many frames with bytes of its own, and its placeholder.
#[derive(Clone)]
pub struct Sound {
    pub bytes: Arc<Vec<u8>>,
    pub placeholder: Arc<Vec<u8>>,
}

impl Sound {
    pub fn new(frames: u32, seed: u32) -> Self {
        let bytes = wav(frames, seed);
        let mut placeholder = vec![0; bytes.len()];
        placeholder[..HEADER].copy_from_slice(&bytes[..HEADER]);
        Self {
            bytes: Arc::new(bytes),
            placeholder: Arc::new(placeholder),
        }
    }

    pub fn truth(&self) -> crate::support::players::Truth<'_> {
        crate::support::players::Truth {
            bytes: &self.bytes,
            placeholder: &self.placeholder,
        }
    }
}

/// A cloud that is a source of its own, mounted in a folder of this name in the home's folder. Its root on the drive has
/// the same name.
pub fn cloud(home: &Home, name: &str) -> Cloud {
    Cloud::options()
        .source(&format!("{name}:"))
        .at(home.path("clouds").join(name))
        .mount()
}

/// Has the home use these settings.
pub fn configure(home: &Home, text: &str) {
    std::fs::write(home.home().join("config.toml"), text).unwrap();
}

/// Mounts with these roots.
pub fn mount<'h>(home: &'h Home, roots: &[&Path]) -> Mounted<'h> {
    let arguments = roots
        .iter()
        .flat_map(|root| ["--library".as_ref(), root.as_os_str()]);
    home.mount_with(&arguments.collect::<Vec<_>>())
}

/// A path of a root on the drive, relative to the mount point.
pub fn in_root(root: &str, path: impl AsRef<Path>) -> PathBuf {
    Path::new("library").join(root).join(path)
}

/// Measures how late this machine wakes who sleeps for a millisecond: no request can be faster than that.
pub struct Control {
    ended: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Latencies>,
}

impl Control {
    pub fn start() -> Self {
        const NAP: Duration = Duration::from_millis(1);
        let ended = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut all = Latencies::default();
            while !ends.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(NAP);
                all.add(begun.elapsed().saturating_sub(NAP));
            }
            all
        });
        Self { ended, thread }
    }

    /// The worst that it overslept.
    pub fn stop(self) -> Duration {
        self.all().worst()
    }

    /// By how much it overslept, each time.
    pub fn all(self) -> Latencies {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// How long requests took.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn worst(&self) -> Duration {
        self.0.iter().copied().max().unwrap_or_default()
    }

    /// What so many of a thousand requests were not slower than.
    pub fn permille(&self, part: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = (sorted.len() * part).div_ceil(1000).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} requests, half within {:?}, p99 {:?}, p99.9 {:?}, worst {:?}",
            self.count(),
            self.permille(500),
            self.permille(990),
            self.permille(999),
            self.worst()
        )
    }
}

/// Uses something again and again, as one who has nothing to do with what goes wrong, until it is stopped.
pub struct Bystander {
    ended: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Latencies>,
}

impl Bystander {
    /// `once` gives what its requests took; it panics where it sees anything that it should not.
    pub fn start(mut once: impl FnMut(&mut Latencies) + Send + 'static) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut all = Latencies::default();
            while !ends.load(Ordering::Relaxed) {
                once(&mut all);
                std::thread::sleep(Duration::from_millis(5));
            }
            all
        });
        Self { ended, thread }
    }

    pub fn stop(self) -> Latencies {
        self.ended.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(latencies) => latencies,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Opens and reads a file whole in pieces of 16 KiB, noting what each request took.
pub fn read_timed(path: &Path, latencies: &mut Latencies) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut timed = |begun: Instant| latencies.add(begun.elapsed());
    let begun = Instant::now();
    let opened = std::fs::File::open(path);
    timed(begun);
    let mut file = opened?;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        let begun = Instant::now();
        let read = file.read(&mut piece);
        timed(begun);
        match read? {
            0 => return Ok(bytes),
            read => bytes.extend(&piece[..read]),
        }
    }
}
