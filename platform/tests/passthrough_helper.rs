//! The helper `mediafs-passthrough` as it is installed: with its capability, for a daemon that has none.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::drive::NodeId;
use mediafs_platform::mount::{MountOptions, Passthrough, mount};
use mediafs_platform::passthrough::{Helper, PROGRAM, is_fit};
use rustix::fs::{CWD, FileType, Mode};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal};
use support::{
    Body, MemoryDrive, backing, errno, eventually, fuse_available, pattern, root_available,
};

const NOBODY: u32 = 65534;
/// What is given up within half a second may take this long on a loaded machine.
const SLACK: Duration = Duration::from_secs(5);

fn sound() -> Vec<u8> {
    pattern(3_000_000, 23)
}

fn setting(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// A copy of the helper that belongs to root, with its capability if `able`.
fn install(folder: &Path, able: bool) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.join(PROGRAM);
    fs::copy(env!("CARGO_BIN_EXE_mediafs-passthrough"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    if able {
        let mut setcap = Command::new("setcap");
        let done = setcap.arg("cap_sys_admin+ep").arg(&program).output();
        let done = done.expect("setcap is needed (Debian: libcap2-bin)");
        assert!(done.status.success(), "{done:?}");
    }
    assert!(is_fit(&program));
    program
}

/// A daemon without privileges, in a process of its own. It answers each line of its input with how it passes through.
struct Daemon {
    child: Child,
    orders: ChildStdin,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Daemon {
    fn start(helper: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "helped_daemon"])
            .env("MEDIAFS_TEST_HELPER", helper)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// Also waits until it has mounted.
    fn passthrough(&mut self) -> String {
        self.orders.write_all(b"tell\n").unwrap();
        loop {
            let line = self.lines.next().expect("the daemon has ended").unwrap();
            if let Some((_, told)) = line.split_once("passthrough: ") {
                return told.to_owned();
            }
        }
    }

    fn helper(&self) -> Pid {
        let helpers = self.helpers();
        assert_eq!(helpers.len(), 1, "nothing but the helper");
        helpers[0]
    }

    /// All its children.
    fn helpers(&self) -> Vec<Pid> {
        let id = self.child.id();
        let children = fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten();
        let children: String = children
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
            .collect();
        let numbers = children.split_whitespace().map(|id| id.parse().unwrap());
        numbers.map(|id| Pid::from_raw(id).unwrap()).collect()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(process: Pid, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

/// Whoever has adopted it may take its time to notice.
fn has_ended(process: Pid) -> bool {
    status(process, "State").is_none_or(|state| state.starts_with(['Z', 'X']))
}

#[test]
#[ignore = "run by another test, as another user"]
fn helped_daemon() {
    let Some(helper) = setting("MEDIAFS_TEST_HELPER") else {
        return;
    };
    let drive = MemoryDrive::new();
    let own = Arc::new(File::open(setting("MEDIAFS_TEST_OWN").unwrap()).unwrap());
    let foreign = Arc::new(File::open(setting("MEDIAFS_TEST_FOREIGN").unwrap()).unwrap());
    drive.add(NodeId::ROOT, "own.wav", Body::File(own));
    drive.add(NodeId::ROOT, "foreign.wav", Body::File(foreign));
    for index in 0..4 {
        let body = Body::File(backing(&sound()));
        drive.add(NodeId::ROOT, format!("{index}.wav"), body);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut options = MountOptions::new(setting("MEDIAFS_TEST_MOUNTPOINT").unwrap());
    options.passthrough_helper = Some(helper);
    let mounted = mount(drive, &options, runtime.handle().clone()).unwrap();
    for _ in std::io::stdin().lines() {
        println!("passthrough: {:?}", mounted.passthrough());
    }
}

/// Everything that needs a user without privileges, in one process of such a user.
#[test]
#[ignore = "run by another test, as another user"]
fn player_without_privileges() {
    let Some(mountpoint) = setting("MEDIAFS_TEST_MOUNTPOINT") else {
        return;
    };
    assert!(!rustix::process::geteuid().is_root());
    let able = setting("MEDIAFS_TEST_ABLE").unwrap();
    handles_survive_the_daemon(&able, &mountpoint);
    the_drive_survives_the_helper(&able, &mountpoint);
    helpers_that_cannot_help(&mountpoint);
    the_helper_refuses_and_ends(&able);
    println!("all well");
}

fn handles_survive_the_daemon(able: &Path, mountpoint: &Path) {
    let mut daemon = Daemon::start(able);
    assert_eq!(daemon.passthrough(), "ByHelper");
    let helper = daemon.helper();
    assert_eq!(status(helper, "Name").as_deref(), Some("mediafs-passthr"));
    // `CAP_SYS_ADMIN` is bit 21.
    for (set, expected) in [
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000200000"),
        ("CapEff", "0000000000200000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Threads", "1"),
    ] {
        assert_eq!(status(helper, set).as_deref(), Some(expected), "{set}");
    }
    let expected = sound();
    let own = File::open(mountpoint.join("own.wav")).unwrap();
    let again = File::open(mountpoint.join("own.wav")).unwrap();
    let foreign = File::open(mountpoint.join("foreign.wav")).unwrap();
    let mut bytes = [0; 1000];
    for file in [&own, &again, &foreign] {
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, expected[..1000]);
    }
    drop(again);
    daemon.kill();
    eventually("the helper ends with its daemon", || has_ended(helper));
    // Only once nobody holds the connection any more.
    eventually("the mount is dead", || {
        errno(fs::metadata(mountpoint.join("own.wav"))) == Some(libc::ENOTCONN)
    });
    for offset in [2_999_000, 0, 1_500_000, 700_000] {
        own.read_exact_at(&mut bytes, offset as u64).unwrap();
        assert_eq!(bytes, expected[offset..offset + 1000]);
    }
    // A file that belongs to somebody else was not passed through.
    let late = foreign.read_exact_at(&mut bytes, 2_000_000);
    assert_eq!(errno(late), Some(libc::ENOTCONN));
}

fn the_drive_survives_the_helper(able: &Path, mountpoint: &Path) {
    let expected = sound();
    for signal in [Signal::KILL, Signal::STOP] {
        // Takes the place of the dead one.
        let mut daemon = Daemon::start(able);
        assert_eq!(daemon.passthrough(), "ByHelper");
        let before = File::open(mountpoint.join("0.wav")).unwrap();
        let stop = |helper| {
            rustix::process::kill_process(helper, signal).unwrap();
            eventually("the helper is stopped", || {
                status(helper, "State").is_none_or(|state| state.starts_with(['Z', 'T', 'X']))
            });
        };
        let read_others = || {
            let begun = Instant::now();
            assert_eq!(fs::read(mountpoint.join("1.wav")).unwrap(), expected);
            assert_eq!(fs::read(mountpoint.join("2.wav")).unwrap(), expected);
            assert!(begun.elapsed() < SLACK, "took {:?}", begun.elapsed());
        };
        let first = daemon.helper();
        stop(first);
        read_others();
        eventually("the helper is gone", || has_ended(first));
        // It may have been held up; so another one is started.
        let other = |daemon: &Daemon| {
            let mut helpers = daemon.helpers().into_iter();
            helpers.find(|other| {
                *other != first && status(*other, "NoNewPrivs").as_deref() == Some("1")
            })
        };
        eventually("another helper", || other(&daemon).is_some());
        let second = other(&daemon).unwrap();
        // It is ready soon; nobody is told when.
        std::thread::sleep(Duration::from_millis(500));
        let after = File::open(mountpoint.join("3.wav")).unwrap();
        assert_eq!(daemon.passthrough(), "ByHelper");
        // One that does not last is the last.
        stop(second);
        read_others();
        assert_eq!(daemon.passthrough(), "HelperLost");
        eventually("the helper is gone", || has_ended(second));
        assert!(daemon.helpers().iter().all(|helper| has_ended(*helper)));
        let mut bytes = vec![0; expected.len()];
        before.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, expected);
        drop(before);
        assert_eq!(fs::read(mountpoint.join("0.wav")).unwrap(), expected);
        daemon.kill();
        after.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, expected);
    }
}

fn helpers_that_cannot_help(mountpoint: &Path) {
    for name in [
        "MEDIAFS_TEST_UNABLE",
        "MEDIAFS_TEST_UNFIT",
        "MEDIAFS_TEST_MOUNTPOINT",
    ] {
        let mut daemon = Daemon::start(&setting(name).unwrap());
        assert_eq!(daemon.passthrough(), "NotPermitted", "{name}");
        assert_eq!(fs::read(mountpoint.join("own.wav")).unwrap(), sound());
        daemon.kill();
    }
}

fn the_helper_refuses_and_ends(able: &Path) {
    // Without a connection behind it the kernel refuses what the helper lets through.
    let device = File::options().read(true).write(true).open("/dev/fuse");
    let helper = Helper::start(able, device.unwrap().as_fd()).unwrap();
    let own = File::open(setting("MEDIAFS_TEST_OWN").unwrap()).unwrap();
    let foreign = File::open(setting("MEDIAFS_TEST_FOREIGN").unwrap()).unwrap();
    assert_eq!(errno(helper.open(&foreign)), Some(libc::EACCES));
    assert_eq!(errno(helper.open(&own)), Some(libc::EPERM));
    assert!(helper.is_running());
    // Not a device: it ends.
    assert!(Helper::start(able, own.as_fd()).is_err());
    assert_eq!(errno(helper.open(&foreign)), Some(libc::EACCES));
    helper.stop();
    assert!(helper.open(&own).is_err() && !helper.is_running());

    let start = |input: Stdio| {
        let mut command = Command::new(able);
        command.stdin(input).stderr(Stdio::piped()).spawn().unwrap()
    };
    for garbage in [&b"x"[..], b"12345678", &[0; 100], &[3, 0, 0, 0, 1, 0, 0, 0]] {
        let kind = SocketType::SEQPACKET;
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
        let child = start(theirs.into());
        rustix::net::send(&ours, garbage, SendFlags::NOSIGNAL).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("no request"), "{said}");
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    for input in [Stdio::null(), std::os::fd::OwnedFd::from(theirs).into()] {
        let output = start(input).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("not a socket of a daemon"), "{said}");
    }
    drop(ours);
}

#[test]
fn playback_survives_a_daemon_without_privileges() {
    if !fuse_available() || !root_available() {
        return;
    }
    let folder = |prefix: &str| {
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in("/tmp")
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        folder
    };
    let (home, system) = (folder("mediafs-user"), folder("mediafs-system"));
    let able = install(&system.path().join("able"), true);
    let unable = install(&system.path().join("unable"), false);
    let unfit = install(&system.path().join("unfit"), true);
    fs::set_permissions(&unfit, fs::Permissions::from_mode(0o775)).unwrap();
    let program = home.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let (own, foreign) = (home.path().join("own"), system.path().join("foreign"));
    for file in [&own, &foreign] {
        fs::write(file, sound()).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    for path in [home.path(), &own] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // Systems with udev let everybody use /dev/fuse; where it is for root alone, the child sees one of its own.
    let device = system.path().join("fuse");
    let everybody = Mode::from_raw_mode(0o666);
    let number = rustix::fs::makedev(10, 229);
    rustix::fs::mknodat(CWD, &device, FileType::CharacterDevice, everybody, number).unwrap();
    rustix::fs::chmod(&device, everybody).unwrap();
    // Whatever hangs ends with the first process of its pid namespace, mounts with the last one of their namespace.
    let output = Command::new("timeout")
        .args(["-k", "5", "120", "unshare", "--mount", "--propagation", "private"])
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"])
        .arg(
            "mount --bind \"$1\" /dev/fuse && exec setpriv --reuid \"$2\" --regid \"$2\" --clear-groups \
             \"$3\" --ignored --exact --nocapture player_without_privileges",
        )
        .arg("sh")
        .arg(&device)
        .arg(NOBODY.to_string())
        .arg(&program)
        .env("MEDIAFS_TEST_MOUNTPOINT", home.path().join("Media"))
        .env("MEDIAFS_TEST_ABLE", &able)
        .env("MEDIAFS_TEST_UNABLE", &unable)
        .env("MEDIAFS_TEST_UNFIT", &unfit)
        .env("MEDIAFS_TEST_OWN", &own)
        .env("MEDIAFS_TEST_FOREIGN", &foreign)
        .env("TMPDIR", home.path())
        .current_dir(home.path())
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("all well"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_helper_is_taken_only_if_root_alone_can_write_to_it() {
    if !root_available() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let program = install(home.path(), false);
    for (mode, fit) in [
        (0o755, true),
        (0o700, true),
        (0o644, false),
        (0o775, false),
        (0o757, false),
    ] {
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(is_fit(&program), fit, "{mode:o}");
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&program, &link).unwrap();
    assert!(!is_fit(&link));
    assert!(!is_fit(home.path()));
    assert!(!is_fit(&home.path().join("none")));
    chown(&program, Some(NOBODY), None).unwrap();
    assert!(!is_fit(&program));
}

#[test]
fn root_needs_no_helper() {
    if !fuse_available() || !root_available() {
        return;
    }
    let rig = support::Rig::with(|options| {
        options.passthrough_helper = Some(PathBuf::from("/nowhere/at/all"));
    });
    let told = rig.mounted().passthrough();
    assert!(
        matches!(told, Passthrough::InForce | Passthrough::NotOffered),
        "{told}"
    );
}
