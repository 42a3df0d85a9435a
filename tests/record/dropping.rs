//! The drop box: what programs put into `import/` becomes items when it is whole, and stays there when it is not.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;

use crate::scene::Scene;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{by_nfs, program, show, succeed, wait_until};

const SOON: Duration = Duration::from_secs(15);

fn items(scene: &Scene) -> Vec<String> {
    let mut names: Vec<String> = scene
        .home
        .items()
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn who_would_give_it_to_another_user_is_told_what_copying_programs_forgive() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    let file = import.join("Kick.wav.part");
    fs::write(&file, wav(1_000, 1)).unwrap();
    let own = rustix::process::getuid().as_raw();
    let give = |to: u32| std::os::unix::fs::chown(&file, Some(to), None);
    give(own).unwrap();
    let refused = give(own + 1).unwrap_err().raw_os_error();
    assert_eq!(refused, Some(Errno::PERM.raw_os_error()));
    assert_eq!(fs::read(&file).unwrap(), wav(1_000, 1));
}

#[test]
fn what_is_copied_there_becomes_a_sound() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    let source = scene.home.path("pack");
    fs::create_dir_all(source.join("Drums/808")).unwrap();
    let sounds = [
        ("Kick.wav", 1),
        ("Drums/Snare.wav", 2),
        ("Drums/808/Hat.wav", 3),
    ];
    for (name, seed) in sounds {
        fs::write(source.join(name), wav(3000, seed)).unwrap();
    }
    fs::write(source.join("Drums/notes.txt"), "no sound").unwrap();
    // As shells, file managers and sync programs do it.
    for (command, arguments) in [
        ("cp", vec!["-a", "Kick.wav", "Drums"]),
        ("rsync", vec!["-a", "Kick.wav"]),
    ] {
        let arguments = arguments.iter().map(|name| {
            let path = source.join(name);
            if name.starts_with('-') {
                (*name).into()
            } else {
                path
            }
        });
        succeed(command, arguments.chain([import.clone()]));
    }
    wait_until(SOON, "three sounds, one of them twice", || {
        items(&scene).len() >= 3
    });
    let item = scene.home.item("Drums/808/Hat.wav");
    assert_eq!(item["origin"], "imported");
    assert_eq!(fs::read(Scene::resolved(&item)).unwrap(), wav(3000, 3));
    let on_drive = scene.home.on_drive(item["path"].as_str().unwrap());
    assert_eq!(fs::read(on_drive).unwrap(), wav(3000, 3));
    wait_until(SOON, "the drop box to have but the text", || {
        !import.join("Kick.wav").exists() && !import.join("Drums/808/Hat.wav").exists()
    });
    assert_eq!(
        fs::read(import.join("Drums/notes.txt")).unwrap(),
        b"no sound"
    );
    wait_until(SOON, "a warning of it", || {
        scene
            .home
            .run(["warnings"])
            .contains("import/Drums/notes.txt was not imported")
    });
    fs::remove_file(import.join("Drums/notes.txt")).unwrap();
    wait_until(SOON, "no warning", || {
        scene.home.run(["warnings"]).contains("all is well")
    });
}

#[test]
fn what_is_still_written_or_named_for_a_moment_waits() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    let sound = wav(20_000, 4);
    let mut slow = File::create(import.join("slow.wav")).unwrap();
    slow.write_all(&sound[..1000]).unwrap();
    for name in [".slow.wav.AbC123", "slow.wav.part", "x.crdownload"] {
        fs::write(import.join(name), &sound).unwrap();
    }
    std::thread::sleep(Duration::from_millis(2500));
    assert!(items(&scene).is_empty());
    slow.write_all(&sound[1000..]).unwrap();
    drop(slow);
    fs::rename(import.join("x.crdownload"), import.join("x.wav")).unwrap();
    wait_until(SOON, "both", || items(&scene) == ["slow.wav", "x.wav"]);
    let left: Vec<_> = fs::read_dir(&import)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// An AppleDouble file of these entries, each what it is and what it has.
fn apple_double(entries: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = [&[0, 5, 0x16, 7, 0, 2, 0, 0], &[b' '; 16][..]].concat();
    file.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
    let mut offset = 26 + 12 * u32::try_from(entries.len()).unwrap();
    for (id, content) in entries {
        let length = u32::try_from(content.len()).unwrap();
        for number in [*id, offset, length] {
            file.extend(number.to_be_bytes());
        }
        offset += length;
    }
    for (_, content) in entries {
        file.extend_from_slice(content);
    }
    file
}

#[test]
fn what_a_mac_writes_beside_a_sound_goes_with_it() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    let pack = import.join("Pack");
    fs::create_dir(&pack).unwrap();
    let info = apple_double(&[(9, &[7; 32])]);
    let fork = apple_double(&[(9, &[7; 32]), (2, b"sample-rate 44100")]);
    let put = |path: &std::path::Path, content: &[u8]| fs::write(path, content).unwrap();
    put(&pack.join(".DS_Store"), b"Bud1");
    for (n, name) in [(1, "Kick.wav"), (2, "Snare.wav")] {
        put(&pack.join(format!("._{name}")), &info);
        put(&pack.join(name), &wav(3000, n));
    }
    put(&import.join("._Old.wav"), &fork);
    put(&import.join("Old.wav"), &wav(3000, 3));
    put(&import.join("._notes.txt"), &info);
    put(&import.join("notes.txt"), b"no sound");
    let names = |folder: &std::path::Path| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    // What counts as closed by NFS does so after three quarters of a minute.
    let soon = if by_nfs() {
        Duration::from_secs(60)
    } else {
        SOON
    };
    wait_until(soon, "the sounds, and what belongs to them, to go", || {
        items(&scene).len() == 3 && names(&pack) == [".DS_Store"]
    });
    // It writes on when the sound is an item already.
    put(&pack.join("._Kick.wav"), &info);
    wait_until(soon, "that to go, too", || names(&pack) == [".DS_Store"]);
    fs::remove_dir(&pack).unwrap();
    assert_eq!(
        names(&import),
        ["._Old.wav", "._notes.txt", "notes.txt"],
        "one has what nobody else has, and one its file"
    );
    assert_eq!(fs::read(import.join("._Old.wav")).unwrap(), fork);
}

#[test]
fn what_is_not_whole_stays_and_is_told() {
    let scene = Scene::new();
    let drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    let sound = wav(20_000, 5);
    // The beginning of a file alone.
    fs::write(import.join("short.wav"), &sound[..sound.len() - 4000]).unwrap();
    // Its writer is killed: what it wrote looks whole.
    let mut killed = Command::new("python3")
        .args(["-c", "import sys, time\nf = open(sys.argv[1], 'wb', 0)\nf.write(sys.stdin.buffer.read())\nprint('there', flush=True)\ntime.sleep(60)"])
        .arg(import.join("killed.wav"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    killed.stdin.take().unwrap().write_all(&sound).unwrap();
    std::io::Read::read_exact(&mut killed.stdout.take().unwrap(), &mut [0; 5]).unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let told = |name: &str| {
        let incomplete = format!("import/{name} is incomplete");
        scene.home.run(["warnings"]).contains(&incomplete)
    };
    wait_until(SOON, "both to be told", || {
        told("short.wav") && told("killed.wav")
    });
    // The daemon dies while one is written.
    let mut open = File::create(import.join("open.wav")).unwrap();
    open.write_all(&sound).unwrap();
    drive.kill();
    drop(open);
    let _drive = scene.mount(&[]);
    wait_until(SOON, "all to be told", || {
        ["short.wav", "killed.wav", "open.wav"]
            .iter()
            .all(|name| told(name))
    });
    assert!(items(&scene).is_empty());
    for name in ["short.wav", "killed.wav", "open.wav"] {
        fs::write(import.join(name), &sound).unwrap();
    }
    wait_until(SOON, "all", || items(&scene).len() == 3);
    wait_until(SOON, "no warning", || {
        scene.home.run(["warnings"]).contains("all is well")
    });
}

/// Writes a whole sound to a file, and ends as it is told without closing it.
const ENDING: &str = r"
import ctypes, os, signal, sys, threading, time
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
os.write(fd, sys.stdin.buffer.read())
how, threads = sys.argv[2], sys.argv[3]
if threads == 'threads':
    for _ in range(8):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
if how == 'exit':
    os._exit(0)
elif how == 'exit elsewhere':
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(60)
elif how == 'end':
    sys.exit(0)
elif how == 'exec':
    os.execvp('true', ['true'])
elif how == 'segv':
    ctypes.string_at(0)
elif how == 'abrt':
    os.abort()
else:
    number = getattr(signal, how)
    if how != 'SIGKILL':
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    time.sleep(60)
";

#[test]
fn what_a_signal_ended_is_incomplete_and_what_just_ended_is_whole() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    let sound = wav(3000, 6);
    let mut killed = Vec::new();
    let mut whole = Vec::new();
    for threads in ["alone", "threads"] {
        for (how, by_signal) in [
            ("exit", false),
            ("exit elsewhere", false),
            ("end", false),
            ("exec", false),
            ("segv", true),
            ("abrt", true),
            ("SIGKILL", true),
            ("SIGTERM", true),
            ("SIGPIPE", true),
            ("SIGQUIT", true),
        ] {
            let name = format!("{how} {threads}.wav");
            let mut child = Command::new("python3")
                .args(["-c", ENDING])
                .args([
                    import.join(&name).as_os_str(),
                    how.as_ref(),
                    threads.as_ref(),
                ])
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(&sound).unwrap();
            let status = child.wait().unwrap();
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal.is_some(), by_signal, "{name}: {status}");
            if by_signal { &mut killed } else { &mut whole }.push(name);
        }
    }
    whole.sort_unstable();
    wait_until(SOON, "all that was written to its end", || {
        items(&scene).len() >= whole.len()
    });
    wait_until(SOON, "all that was not to be told", || {
        let warnings = scene.home.run(["warnings"]);
        let told = |name: &String| warnings.contains(&format!("import/{name} is incomplete"));
        killed.iter().all(told)
    });
    assert_eq!(items(&scene), whole);
    for name in &killed {
        assert_eq!(fs::read(import.join(name)).unwrap(), sound, "{name}");
    }
}

#[test]
fn a_full_disk_is_told_to_who_writes_and_makes_no_sound() {
    let scene = Scene::new();
    let at = scene.home.home().join("Import");
    fs::create_dir_all(&at).unwrap();
    let disk = crate::room::Disk::on(&at, "4m");
    let _drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    // Without a length of its own: each beginning of it is a sound.
    let mut sound = wav(2_000_000, 7);
    sound[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    sound[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(sound.len() > 6 << 20);
    fs::write(import.join("fits.wav"), &sound[..100_000]).unwrap();
    wait_until(SOON, "what has room", || items(&scene) == ["fits.wav"]);
    let error = fs::write(import.join("large.wav"), &sound).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NOSPC));
    let told = |why: &str| {
        let incomplete = format!("import/large.wav is incomplete: {why}");
        scene.home.run(["warnings"]).contains(&incomplete)
    };
    wait_until(SOON, "it to be told", || told("there was no space left"));
    // It is all there that there was room for, and stays so.
    let left = fs::read(import.join("large.wav")).unwrap();
    assert!(left.len() > 3 << 20, "{}", left.len());
    assert!(sound.starts_with(&left));
    // Somebody puts a little more behind it, elsewhere there is room now; it still has a gap.
    let mut more = File::options()
        .append(true)
        .open(import.join("large.wav"))
        .unwrap();
    disk.grow("16m");
    more.write_all(&sound[sound.len() - 40_000..]).unwrap();
    drop(more);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(items(&scene), ["fits.wav"]);
    fs::write(import.join("large.wav"), &sound).unwrap();
    wait_until(SOON, "all of it", || {
        items(&scene) == ["fits.wav", "large.wav"]
    });
    let all = scene.home.items();
    let item = all.iter().find(|item| item["name"] == "large.wav");
    assert_eq!(fs::read(Scene::resolved(item.unwrap())).unwrap(), sound);
    wait_until(SOON, "no warning", || {
        scene.home.run(["warnings"]).contains("all is well")
    });
}

#[test]
fn what_did_not_fit_is_no_sound_after_a_restart_either() {
    let scene = Scene::new();
    let at = scene.home.home().join("Import");
    fs::create_dir_all(&at).unwrap();
    let disk = crate::room::Disk::on(&at, "4m");
    let drive = scene.mount(&[]);
    let file = scene.home.on_drive("import").join("large.wav");
    // Without a length of its own: each beginning of it is a sound.
    let mut sound = wav(2_000_000, 7);
    sound[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    sound[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = fs::write(&file, &sound).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NOSPC));
    disk.grow("16m");
    drive.stop();
    let _drive = scene.mount(&[]);
    wait_until(SOON, "it to be told again", || {
        let warnings = scene.home.run(["warnings"]);
        warnings.contains("import/large.wav is incomplete: ")
    });
    assert!(items(&scene).is_empty());
}

#[test]
fn it_is_a_folder_as_others() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let import = scene.home.on_drive("import");
    let script = r"
import os, sys
os.chdir(sys.argv[1])
def fails(errno, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == errno, (call, arguments, error)
    else:
        assert False, (call, arguments)
import errno
os.mkdir('a'); os.mkdir('a/b')
open('a/x.part', 'w').write('one')
open('y.part', 'w').write('two')
fails(errno.EEXIST, os.mkdir, 'a')
fails(errno.ENOTEMPTY, os.rmdir, 'a')
fails(errno.ENOTDIR, os.rmdir, 'y.part')
fails(errno.ENOENT, os.unlink, 'nothing')
fails(errno.EEXIST, os.open, 'y.part', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
fails(errno.ENAMETOOLONG, os.mkdir, 'n' * 256)
os.rename('y.part', 'a/x.part')
assert open('a/x.part').read() == 'two'
os.rename('a', 'c')
assert open('c/x.part').read() == 'two' and os.listdir('c/b') == []
fails(errno.EXDEV, os.rename, 'c', '../record/c')
fails(errno.EROFS, os.rename, '../README.txt', 'readme')
fails(errno.EROFS, os.symlink, 'c', 'link')
f = open('c/gone.part', 'w+'); f.write('still'); f.flush()
os.unlink('c/gone.part')
f.seek(0)
assert f.read() == 'still' and os.fstat(f.fileno()).st_size == 5
fd = os.open('c/x.part', os.O_RDWR)
os.ftruncate(fd, 1); os.pwrite(fd, b'z', 4)
assert os.pread(fd, 9, 0) == b't\0\0\0z'
os.utime('c/x.part', (5, 7)); assert os.stat('c/x.part').st_mtime == 7
os.chmod('c/x.part', 0o600)
for n in range(1500): open(f'c/b/{n}.part', 'w').close()
assert len(os.listdir('c/b')) == 1500
# What is open there keeps a name until it is closed, and its folder with it.
if sys.argv[2] == 'nfs':
    f.close(); os.close(fd)
import shutil
shutil.rmtree('c')
assert os.listdir('.') == []
";
    let output = program(
        "python3",
        [
            "-c".as_ref(),
            script.as_ref(),
            import.as_os_str(),
            if by_nfs() { "nfs" } else { "fuse" }.as_ref(),
        ],
    );
    assert!(output.status.success(), "{}", show(&output));
    let elsewhere = File::create(scene.home.on_drive("by-id").join("x.wav"));
    let error = elsewhere.unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::ROFS));
}

#[test]
fn a_name_that_was_made_sure_of_outlasts_a_power_cut() {
    let scene = Scene::new();
    let mut disk = Volume::new(Kind::Ext4);
    disk.mount(&scene.home.home().join("Import"));
    let _drive = scene.mount(&[]);
    let folder = scene.home.on_drive("import").join("Pack");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("first.part"), [7; 5000]).unwrap();
    File::open(folder.join("first.part"))
        .and_then(|file| file.sync_all())
        .unwrap();
    fs::rename(folder.join("first.part"), folder.join("last.part")).unwrap();
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .unwrap();
    let mut found = disk.as_of_a_power_cut();
    let at = scene.home.path("found");
    fs::create_dir(&at).unwrap();
    found.mount(&at);
    assert_eq!(fs::read(at.join("Pack/last.part")).unwrap(), [7; 5000]);
    found.unmount().unwrap();
}
