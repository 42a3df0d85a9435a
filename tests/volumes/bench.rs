//! What the tests of volumes share: a volume with a folder of sounds, what the daemon says of it, and what programs get.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, Mounted, path_of, wait_until};

/// How soon a change of mounts is told: two seconds, and slack for a loaded machine.
pub(crate) const TOLD: Duration = Duration::from_secs(6);
/// How long a scan or a hydration of a few sounds may take.
pub(crate) const DONE: Duration = Duration::from_secs(60);

/// The folder of sounds on a volume.
pub(crate) fn samples(root: &Path) -> PathBuf {
    root.join("Samples")
}

/// A volume mounted as `red` with so many sounds of `frames` frames in `Samples`.
pub(crate) fn red(home: &Home, kind: Kind, count: u32, frames: u32) -> Volume {
    let mut volume = Volume::new(kind);
    let at = home.path("red");
    volume.mount(&at);
    fill(&at, count, frames);
    volume
}

/// Writes so many sounds into `Samples`, and has them on the disk.
pub(crate) fn fill(at: &Path, count: u32, frames: u32) {
    std::fs::create_dir_all(samples(at)).unwrap();
    for number in 1..=count {
        let bytes = wav(frames + number, number);
        std::fs::write(samples(at).join(format!("{number}.wav")), bytes).unwrap();
    }
    settle(at);
}

/// What was written is on the disk.
pub(crate) fn settle(at: &Path) {
    let synced = Command::new("sync").arg("-f").arg(at).status().unwrap();
    assert!(synced.success());
}

/// Mounts the drive with `Samples` of a volume as its library.
pub(crate) fn mount<'h>(home: &'h Home, at: &Path) -> Mounted<'h> {
    let samples = samples(at);
    home.mount_with(&["--library".as_ref(), samples.as_os_str()])
}

/// The sources that are known, as `volumes --json` lists them.
pub(crate) fn known(home: &Home) -> Vec<Value> {
    let all = home.json(["volumes"]);
    let all = all["volumes"].as_array().unwrap().iter();
    all.filter(|volume| volume["known"] == true)
        .cloned()
        .collect()
}

/// The volume that is mounted here, or was last.
pub(crate) fn volume_at(home: &Home, at: &Path) -> Option<Value> {
    let all = home.json(["volumes"]);
    let all = all["volumes"].as_array().unwrap().iter();
    all.filter(|volume| volume["path"] == at.to_str().unwrap())
        .max_by_key(|volume| volume["known"] == true)
        .cloned()
}

/// What the daemon has written down.
pub(crate) fn log(home: &Home) -> String {
    let written = Command::new("find")
        .arg(home.home())
        .args(["-name", "*.log", "-exec", "tail", "-n", "30", "{}", ";"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&written.stdout).into_owned()
}

/// Waits until the one source there is has this state.
pub(crate) fn wait_for_state(home: &Home, state: &str) {
    let mut last = Value::Null;
    let begun = Instant::now();
    while begun.elapsed() < TOLD {
        let all = known(home);
        if all.len() == 1 && all[0]["state"] == state {
            return;
        }
        last = Value::Array(all);
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not {state} within {TOLD:?}: {last:#}\n{}", log(home));
}

/// Waits until an item is like this; gives it.
pub(crate) fn wait_for_item(home: &Home, id: &str, availability: &str, playable: &str) -> Value {
    let mut item = Value::Null;
    let begun = Instant::now();
    while begun.elapsed() < DONE {
        item = home.json(["show", id]);
        if item["availability"] == availability && item["playable"] == playable {
            return item;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not {availability}, {playable}: {item:#}");
}

pub(crate) fn id_of(item: &Value) -> String {
    item["mediaId"].as_str().unwrap().to_owned()
}

/// Ids by name, of all items.
pub(crate) fn ids(home: &Home) -> std::collections::BTreeMap<String, String> {
    let items = home.items();
    let each = items
        .iter()
        .map(|item| (item["name"].as_str().unwrap().to_owned(), id_of(item)));
    each.collect()
}

/// The bytes that a copier gets.
pub(crate) fn copied(home: &Home, item: &Value) -> std::io::Result<Vec<u8>> {
    std::fs::read(home.on_drive(".as/copier").join(path_of(item)))
}

/// What a player gets.
pub(crate) fn played(home: &Home, item: &Value) -> std::io::Result<Vec<u8>> {
    std::fs::read(home.on_drive(".as/player").join(path_of(item)))
}

/// Nothing but silence, in a file of noise: all but the head is zero.
pub(crate) fn is_silent(bytes: &[u8]) -> bool {
    bytes.len() > 44 && bytes[44..].iter().all(|byte| *byte == 0)
}

/// A command of the drive, whatever comes of it.
pub(crate) fn outcome<S: AsRef<OsStr>>(
    home: &Home,
    arguments: impl IntoIterator<Item = S>,
) -> Output {
    home.command(arguments).output().unwrap()
}

/// `mediafs watch --json` at work.
pub(crate) struct Watching {
    child: Child,
    told: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Watching {
    pub(crate) fn start(home: &Home) -> Self {
        let mut child = home
            .command(["watch", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let told = std::sync::Arc::<std::sync::Mutex<String>>::default();
        let into = std::sync::Arc::clone(&told);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = output.read(&mut buffer) {
                if read == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                into.lock().unwrap().push_str(&text);
            }
        });
        let watching = Self { child, told };
        std::thread::sleep(Duration::from_millis(300));
        watching
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let told = self.told.lock().unwrap();
        let lines = told.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits for a line that holds all of these words.
    pub(crate) fn wait_for(&self, words: &[&str]) {
        let holds = || {
            let lines = self.lines();
            lines.iter().any(|line| {
                let line = line.to_string();
                words.iter().all(|word| line.contains(word))
            })
        };
        wait_until(TOLD, &format!("{words:?} in {:#?}", self.lines()), holds);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
