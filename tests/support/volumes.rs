//! Volumes: real file systems on image files and loop devices, which are mounted, moved, cloned, replaced and pulled while
//! in use. One on a [`Volume::on_failing_disk`] lies on the simulated cloud, by which its disk hangs or fails on command.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use super::cloud::{Cloud, Fault, Injected, Op};
use super::janitor::Janitor;
use super::show;

/// The image's name on a disk that can fail.
const IMAGE: &str = "disk.img";
/// How long `mkfs`, `mount` or `losetup` may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a loop device may be busy after its file system was detached.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);

/// A file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    /// By ntfs-3g, a FUSE file system on a block device.
    Ntfs,
    Vfat,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Ntfs, Kind::Vfat];

    /// Why such a volume can't be made or mounted on this machine.
    pub fn lacks(self) -> Option<String> {
        let mkfs = self.mkfs();
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path)
                .chain(["/sbin".into(), "/usr/sbin".into()])
                .any(|folder| folder.join(mkfs[0]).exists())
        });
        if !found {
            return Some(format!("{} is not installed", mkfs[0]));
        }
        let name = match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
            Kind::Ntfs => "fuseblk",
            Kind::Vfat => "vfat",
        };
        let known = || {
            let all = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
            all.lines()
                .any(|line| line.split('\t').nth(1) == Some(name))
        };
        if known() {
            return None;
        }
        // It may be a module that is loaded when needed.
        let _ = Command::new("modprobe")
            .arg(name)
            .stderr(Stdio::null())
            .status();
        (!known()).then(|| format!("this kernel has no {name}"))
    }

    fn mkfs(self) -> &'static [&'static str] {
        match self {
            Kind::Ext4 => &["mkfs.ext4", "-q", "-F"],
            Kind::Xfs => &["mkfs.xfs", "-q", "-f"],
            Kind::Btrfs => &["mkfs.btrfs", "-q", "-f"],
            Kind::Ntfs => &["mkfs.ntfs", "-q", "-Q", "-F"],
            Kind::Vfat => &["mkfs.vfat"],
        }
    }

    /// A serial of its own where `mkfs` takes it from the second it runs in.
    fn give_serial(self, image: &Path) {
        let random = uuid::Uuid::now_v7().simple().to_string();
        let (_, serial) = random.split_at(16);
        let word = match self {
            Kind::Ntfs => format!("--new-serial={serial}"),
            Kind::Vfat => format!("--volume-id={}", &serial[8..]),
            Kind::Ext4 | Kind::Xfs | Kind::Btrfs => return,
        };
        let program = if self == Kind::Ntfs {
            "ntfslabel"
        } else {
            "fatlabel"
        };
        done(program, [OsStr::new(&word), image.as_os_str()]);
    }

    /// The least that its `mkfs` takes, and a little room.
    fn bytes(self) -> u64 {
        match self {
            Kind::Xfs => 320 << 20,
            Kind::Btrfs => 256 << 20,
            Kind::Ext4 | Kind::Ntfs | Kind::Vfat => 48 << 20,
        }
    }
}

/// A volume; its mounts, device and image are gone when it is dropped.
pub struct Volume {
    kind: Kind,
    device: PathBuf,
    mounts: Vec<PathBuf>,
    // In the order in which they go.
    janitor: Option<Janitor>,
    disk: Option<Cloud>,
    folder: TempDir,
}

impl Volume {
    /// A new file system on a loop device, not mounted yet.
    pub fn new(kind: Kind) -> Self {
        Self::make(kind, false, None)
    }

    /// The same on a disk that hangs and fails on command.
    pub fn on_failing_disk(kind: Kind) -> Self {
        Self::make(kind, true, None)
    }

    /// A second volume with the same content and identity, as `dd` makes them. What is mounted is written out first.
    pub fn clone_disk(&self) -> Self {
        for mount in &self.mounts {
            done("sync", ["-f".as_ref(), mount.as_os_str()]);
        }
        Self::make(self.kind, false, Some(&self.image()))
    }

    /// What would be found on it, if the power failed now.
    pub fn as_of_a_power_cut(&self) -> Self {
        Self::make(self.kind, false, Some(&self.image()))
    }

    fn make(kind: Kind, failing: bool, copy_of: Option<&Path>) -> Self {
        if let Some(lack) = kind.lacks() {
            panic!("no {kind:?} volume can be made: {lack}");
        }
        let folder = tempfile::Builder::new()
            .prefix("mediafs-test-volume-")
            .tempdir()
            .unwrap();
        let image = folder.path().join(IMAGE);
        match copy_of {
            Some(original) => {
                let words = ["--sparse=always".as_ref(), original.as_os_str()];
                done("cp", words.into_iter().chain([image.as_os_str()]));
            }
            None => {
                File::create(&image).unwrap().set_len(kind.bytes()).unwrap();
                let mkfs = kind.mkfs();
                let words = mkfs[1..].iter().map(OsStr::new);
                done(mkfs[0], words.chain([image.as_os_str()]));
                kind.give_serial(&image);
            }
        }
        let disk = failing.then(|| {
            let disk = Cloud::new();
            let file = File::options().read(true).write(true).open(&image);
            disk.put_disk_file(IMAGE, file.unwrap());
            disk
        });
        let backing = disk.as_ref().map_or(image, |disk| disk.path(IMAGE));
        let found = done(
            "losetup",
            ["-f".as_ref(), "--show".as_ref(), backing.as_os_str()],
        );
        let device = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        let mut janitor = Janitor::new();
        janitor.remove(folder.path());
        janitor.at_end(["losetup".as_ref(), "-d".as_ref(), device.as_os_str()]);
        Self {
            kind,
            device,
            mounts: Vec::new(),
            janitor: Some(janitor),
            disk,
            folder,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The loop device.
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// The image, on the test's own disk.
    pub fn image(&self) -> PathBuf {
        self.folder.path().join(IMAGE)
    }

    /// The file that the loop device shows.
    pub fn backing(&self) -> PathBuf {
        let disk = self.disk.as_ref();
        disk.map_or_else(|| self.image(), |disk| disk.path(IMAGE))
    }

    /// Where it is mounted, in order.
    pub fn mounts(&self) -> &[PathBuf] {
        &self.mounts
    }

    /// What the system calls its UUID.
    pub fn uuid(&self) -> String {
        let image = self.image();
        let words = ["-p", "-s", "UUID", "-o", "value"].map(OsStr::new);
        let found = done("blkid", words.into_iter().chain([image.as_os_str()]));
        String::from_utf8(found.stdout).unwrap().trim().to_owned()
    }

    /// Mounts it at a folder, which is made where there is none.
    pub fn mount(&mut self, at: &Path) {
        self.mount_with(at, &[]);
    }

    /// The same with options, such as `ro`. `nouuid` is given by itself where a clone needs it.
    pub fn mount_with(&mut self, at: &Path, options: &[&str]) {
        if !at.exists() {
            std::fs::create_dir_all(at).unwrap();
            let janitor = self.janitor.as_mut().expect("until dropped");
            janitor.at_end(["rmdir".as_ref(), at.as_os_str()]);
        }
        let mut options = options.to_vec();
        if self.kind == Kind::Xfs {
            options.push("nouuid");
        }
        let kind = match self.kind {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
            Kind::Ntfs => "ntfs-3g",
            Kind::Vfat => "vfat",
        };
        let mut words = vec![OsStr::new("-t"), OsStr::new(kind)];
        let joined = options.join(",");
        if !joined.is_empty() {
            words.extend([OsStr::new("-o"), OsStr::new(&joined)]);
        }
        words.extend([self.device.as_os_str(), at.as_os_str()]);
        self.janitor.as_mut().expect("until dropped").at_end([
            "umount".as_ref(),
            "-l".as_ref(),
            at.as_os_str(),
        ]);
        // ntfs-3g lets go of the device a moment after it was unmounted.
        let begun = Instant::now();
        while self.kind == Kind::Ntfs && begun.elapsed() < RELEASED_WITHIN {
            if run("mount", &words).status.success() {
                return self.mounts.push(at.to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        done("mount", words);
        self.mounts.push(at.to_owned());
    }

    /// Unmounts it where it was mounted last; the error is the system's, `EBUSY` where it is in use.
    pub fn unmount(&mut self) -> Result<(), rustix::io::Errno> {
        let at = self.mounts.last().expect("it is mounted");
        unmount(at, UnmountFlags::NOFOLLOW)?;
        self.mounts.pop();
        Ok(())
    }

    /// Takes its mounts out of the tree, in use or not. Handles go on.
    pub fn detach(&mut self) {
        for at in self.mounts.drain(..).rev() {
            let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
            unmount(&at, flags)
                .unwrap_or_else(|error| panic!("{} can't be detached: {error}", at.display()));
        }
    }

    /// Mounts it elsewhere instead, as when a disk comes back under another name.
    pub fn move_to(&mut self, at: &Path) {
        self.detach();
        self.mount(at);
    }

    /// Mounts another volume in its place.
    pub fn replace_by(&mut self, other: &mut Volume) {
        let at = self.mounts.last().expect("it is mounted").clone();
        self.detach();
        other.mount(&at);
    }

    /// Fills it to the last byte; gives the file that does, to be removed.
    pub fn fill(&self) -> PathBuf {
        use std::io::{Seek, SeekFrom, Write};
        let path = self.mounts.last().expect("it is mounted").join("filler");
        let mut file = File::create(&path).unwrap();
        // Room taken as a whole where the file system can do that, then what is left byte by byte.
        let mut taken = 0;
        for size in [16 << 20, 1 << 20, 64 << 10, 4 << 10_u64] {
            let none = rustix::fs::FallocateFlags::empty();
            while rustix::fs::fallocate(&file, none, taken, size).is_ok() {
                taken += size;
            }
        }
        file.seek(SeekFrom::End(0)).unwrap();
        for size in [1 << 20, 4096, 1] {
            let block = vec![0x5a; size];
            while file.write_all(&block).is_ok() {}
        }
        // What is not yet on the disk may not fit on it after all; that is as full as can be.
        let _ = file.sync_all();
        path
    }

    /// Makes the kernel forget what it read of a file, so that the next read asks the disk.
    pub fn forget(&self, path: &Path) {
        let file = File::open(path).unwrap();
        // Only what is written out can be forgotten. On a failing disk that may be impossible.
        let _ = file.sync_all();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }

    fn disk(&self) -> &Cloud {
        self.disk.as_ref().expect("made by Volume::on_failing_disk")
    }

    /// From now on whoever asks the disk hangs, and can't be killed; so does a `sync` of the whole machine, or an unmount
    /// of this volume that is not lazy.
    pub fn hang(&self) -> Injected {
        self.disk().inject(Fault::Hung.on(&[Op::Read, Op::Write]))
    }

    /// From now on the disk gives errors (EIO).
    pub fn fail(&self) -> Injected {
        let errno = rustix::io::Errno::IO.raw_os_error();
        let ops = [Op::Read, Op::Write];
        self.disk().inject(Fault::Error(errno).on(&ops))
    }

    /// From now on each request to the disk takes so long.
    pub fn slow(&self, latency: Duration, bytes_per_second: u64) -> Injected {
        let fault = Fault::Slow {
            latency,
            bytes_per_second,
        };
        self.disk().inject(fault.on(&[Op::Read, Op::Write]))
    }

    /// Whoever changes something on it waits until what this gives is dropped; reading goes on.
    pub fn freeze(&mut self) -> Frozen {
        let at = self.mounts.last().expect("mounted").clone();
        // Whatever becomes of the test: what is frozen can't be unmounted, and who writes to it can't be killed.
        let janitor = self.janitor.as_mut().expect("until dropped");
        janitor.at_end(["fsfreeze".as_ref(), "-u".as_ref(), at.as_os_str()]);
        done("fsfreeze", ["-f".as_ref(), at.as_os_str()]);
        Frozen(at)
    }

    /// The disk is well again. A file system that met an error may have made itself read-only, or shut down.
    pub fn heal(&self) {
        self.disk().heal();
    }

    /// How many requests to the disk a fault has befallen.
    pub fn hits(&self, injected: Injected) -> u64 {
        self.disk().hits(injected)
    }

    /// Requests to the disk that wait.
    pub fn waiting(&self) -> usize {
        self.disk().waiting()
    }

    /// Pulls the disk while in use: all it is asked fails, and its mounts are gone, as a desktop does it.
    pub fn pull(&mut self) {
        self.fail();
        self.detach();
    }
}

/// A file system that takes no change while this lives.
pub struct Frozen(PathBuf);

impl Drop for Frozen {
    fn drop(&mut self) {
        run("fsfreeze", ["-u".as_ref(), self.0.as_os_str()]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // What hangs or waits goes on, so that the file system can be taken down in order.
        if let Some(disk) = &self.disk {
            disk.heal();
        }
        for at in self.mounts.drain(..).rev() {
            let _ = unmount(&at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        drop(self.janitor.take());
        // The device is free once the last file on it is closed; a program that holds one may be just ending.
        let begun = Instant::now();
        while shows(&self.device, &self.backing()) && begun.elapsed() < RELEASED_WITHIN {
            let _ = run("losetup", ["-d".as_ref(), self.device.as_os_str()]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Does a loop device still show this file? It may be somebody else's by now.
fn shows(device: &Path, file: &Path) -> bool {
    let name = device.file_name().expect("a device");
    let shown = Path::new("/sys/block").join(name).join("loop/backing_file");
    std::fs::read_to_string(shown).is_ok_and(|shown| Path::new(shown.trim_end()) == file)
}

/// Runs a program that must succeed in time.
fn done<S: AsRef<OsStr>>(program: &str, words: impl IntoIterator<Item = S>) -> Output {
    let output = run(program, words);
    assert!(output.status.success(), "{program}: {}", show(&output));
    output
}

/// Runs a program that must end in time. It says little, so nobody needs to read along.
fn run<S: AsRef<OsStr>>(program: &str, words: impl IntoIterator<Item = S>) -> Output {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{program} does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}
