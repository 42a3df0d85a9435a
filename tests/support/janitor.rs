//! Cleaning up whatever happens: a shell beside the test that runs the given commands once the test process is gone or
//! done, be it by a panic, an abort or `kill -9`.
//!
//! It learns of that by the end of its standard input, and each second by `/proc`: a thread of a killed test that waits
//! for a request which only the test itself could answer keeps all the test's files open, standard input of this included.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Each command has so many seconds: one that hangs must not keep the next ones from being run.
const SECONDS_EACH: &str = "5";
/// How long the end of a test waits for all of them.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gathers commands; the last one in is the first one done. A process is as good as gone when it is a zombie, or has
/// been sent KILL (bit 8 of `SigPnd`) and still hangs.
const SHELL: &str = r#"
trap '' INT TERM HUP
gone() {
  local status
  status=$(<"/proc/$PPID/status") || return 0
  [[ $status =~ State:[[:space:]]*[ZX] || $status =~ SigPnd:[[:space:]]*[0-9a-f]*[13579bdf][0-9a-f]{2}[[:space:]] ]]
}
todo=
while :; do
  if IFS= read -r -t 1 line; then
    todo=$line$'\n'$todo
  elif [ $? -le 128 ] || gone; then
    break
  fi
done
eval "$todo"
"#;

/// What is to be done at the end. Dropping it does it now.
pub struct Janitor {
    shell: Child,
}

impl Janitor {
    pub fn new() -> Self {
        let shell = Command::new("bash")
            .args(["-c", SHELL])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Who ends the test with its whole group does not end this.
            .process_group(0)
            .spawn()
            .expect("bash is needed for this test");
        Self { shell }
    }

    /// Runs a program at the end, before those that were named earlier. What it says and how it ends is not looked at.
    pub fn at_end<S: AsRef<OsStr>>(&mut self, words: impl IntoIterator<Item = S>) {
        let words: Vec<String> = words
            .into_iter()
            .map(|word| quoted(word.as_ref()))
            .collect();
        self.line(&format!(
            "timeout -k 1 {SECONDS_EACH} {} </dev/null",
            words.join(" ")
        ));
    }

    /// Removes a folder at the end, without what may still be mounted in it.
    pub fn remove(&mut self, folder: &Path) {
        let words = ["rm", "-rf", "--one-file-system"].map(OsStr::new);
        self.at_end(words.into_iter().chain([folder.as_os_str()]));
    }

    /// Takes a mount away at the end: all its requests answered with errors if it is one of FUSE, then detached.
    pub fn unmount(&mut self, path: &Path) {
        self.at_end(["umount".as_ref(), "-l".as_ref(), path.as_os_str()]);
        self.at_end(["umount".as_ref(), "-f".as_ref(), path.as_os_str()]);
    }

    /// Ends this very process at the end, not another that has its number by then.
    pub fn kill(&mut self, pid: u32) {
        let Some(started) = started(pid) else { return };
        self.line(&format!(
            "[ \"$(sed 's/.*) //' /proc/{pid}/stat | cut -d' ' -f20)\" = {started} ] && kill -9 {pid}"
        ));
    }

    fn line(&mut self, line: &str) {
        let mut input = self.shell.stdin.as_ref().expect("open until dropped");
        // In one piece, as a line that comes in two could be torn.
        let line = format!("{line}\n");
        input
            .write_all(line.as_bytes())
            .expect("the janitor listens");
    }
}

impl Default for Janitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let begun = Instant::now();
        while matches!(self.shell.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// When a process was started, as `/proc` counts it.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19).map(str::to_owned)
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_str().expect("tests use plain paths");
    assert!(!word.contains('\n'), "a line each: {word:?}");
    format!("'{}'", word.replace('\'', r"'\''"))
}
