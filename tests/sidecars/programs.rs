//! As programs write them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use rustix::io::Errno;

use crate::scene::{Scene, fails, names, python};
use crate::support::{by_nfs, ffprobe, loudest, modes, settle, succeed};

#[test]
fn files_beside_sounds_are_files_as_others() {
    for mode in modes() {
        let scene = Scene::new();
        let mounted = scene.mounted(mode);
        python(
            &scene.drums(),
            r"
# Written beside, and named when whole: over nothing, and over an old one.
for text in (b'one', b'two'):
    fd = os.open('kick.wav.reapeaks.tmp', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    assert os.write(fd, text) == 3
    os.fsync(fd); os.close(fd)
    os.rename('kick.wav.reapeaks.tmp', 'kick.wav.reapeaks')
    assert open('kick.wav.reapeaks', 'rb').read() == text
    assert not os.path.exists('kick.wav.reapeaks.tmp')
# Who reads the old one goes on with it.
f = open('kick.wav.reapeaks', 'rb')
open('kick.wav.new', 'wb').write(b'three!')
os.replace('kick.wav.new', 'kick.wav.reapeaks')
assert f.read() == b'two' and os.fstat(f.fileno()).st_size == 3
assert os.stat('kick.wav.reapeaks').st_size == 6
fails(errno.EEXIST, os.open, 'kick.wav.reapeaks', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
fails(errno.ENOENT, os.unlink, 'kick.wav.nothing')
fails(errno.ENOENT, os.open, 'kick.wav.nothing', os.O_RDONLY)
# Written at places, shortened, lengthened.
fd = os.open('kick.asd', os.O_CREAT | os.O_RDWR)
os.pwrite(fd, b'tail', 5000)
assert os.fstat(fd).st_size == 5004
os.pwrite(fd, b'head', 0)
assert os.pread(fd, 6, 0) == b'head\0\0' and os.pread(fd, 9, 5000) == b'tail'
os.ftruncate(fd, 2); assert os.stat('kick.asd').st_size == 2
os.posix_fallocate(fd, 0, 4096); assert os.stat('kick.asd').st_size == 4096
os.truncate('kick.asd', 3); assert os.pread(fd, 9, 0) == b'he\0'
os.fdatasync(fd); os.close(fd)
# Appended to.
for part in (b'a', b'bc'):
    f = open('kick.asd', 'ab'); f.write(part); f.close()
assert open('kick.asd', 'rb').read() == b'he\0abc'
open('kick.asd', 'w').close(); assert os.stat('kick.asd').st_size == 0
# Mapped.
f = open('kick.wav.sfk', 'w+b'); f.truncate(10000)
m = mmap.mmap(f.fileno(), 10000); m[9000:9005] = b'mmap!'; m.flush(); m.close(); f.close()
assert open('kick.wav.sfk', 'rb').read()[9000:9005] == b'mmap!'
# Times and permissions; no links, folders or attributes.
os.utime('kick.asd', (5, 7)); assert os.stat('kick.asd').st_mtime == 7
os.chmod('kick.asd', 0o600); assert os.stat('kick.asd').st_mode & 0o777 == 0o600
fails(errno.EROFS, os.mkdir, 'kick.wav.folder')
fails(errno.EROFS, os.symlink, 'kick.wav', 'kick.wav.link')
fails(errno.EROFS, os.link, 'kick.asd', 'kick.wav.link')
fails(errno.ENOTDIR, os.rmdir, 'kick.asd')
# Removed while it is open.
f = open('kick.wav.gone', 'w+b', 0); f.write(b'still'); os.unlink('kick.wav.gone')
f.seek(0); assert f.read() == b'still' and os.fstat(f.fileno()).st_size == 5
f.write(b' here'); os.fsync(f.fileno()); assert os.fstat(f.fileno()).st_size == 10
fails(errno.ENOENT, os.stat, 'kick.wav.gone')
# Of another item.
os.rename('kick.asd', 'snare.wav.asd'); assert os.path.exists('snare.wav.asd')
fails(errno.ENOENT, os.stat, 'kick.asd')
",
        );
        let expected = [
            "kick.wav",
            "kick.wav.reapeaks",
            "kick.wav.sfk",
            "snare.wav",
            "snare.wav.asd",
        ];
        assert_eq!(names(&scene.drums()), expected);
        mounted.stop();
    }
}

#[test]
fn sounds_are_read_while_something_is_written_beside_them() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    let (kick, peaks) = (
        scene.drums().join("kick.wav"),
        scene.drums().join("kick.wav.pkf"),
    );
    let before = loudest(&kick);
    let dat = scene.drums().join("kick.dat");
    fails(fs::write(&dat, "no"), Errno::ROFS);
    // sox and ffmpeg write what they make of a sound beside it.
    let raw = scene.drums().join("kick.wav.raw");
    succeed("sox", [kick.as_os_str(), raw.as_os_str()]);
    assert_eq!(
        fs::metadata(&raw).unwrap().len(),
        fs::metadata(&kick).unwrap().len() - 44
    );
    let md5 = scene.drums().join("kick.wav.md5");
    let arguments = ["-v", "error", "-y", "-i"].map(OsStr::new);
    let into = [
        kick.as_os_str(),
        "-f".as_ref(),
        "md5".as_ref(),
        md5.as_os_str(),
    ];
    succeed("ffmpeg", arguments.into_iter().chain(into));
    assert!(fs::read_to_string(&md5).unwrap().starts_with("MD5="));
    fs::copy(&raw, &peaks).unwrap();
    succeed("cmp", [raw.as_os_str(), peaks.as_os_str()]);
    assert!((loudest(&kick) - before).abs() < 1e-9);
    assert_eq!(ffprobe(&kick)["sample_rate"], "44100".to_owned());
    mounted.stop();
}

#[test]
fn they_end_at_their_bounds() {
    for mode in modes() {
        let scene = Scene::new();
        let mounted = scene.mounted(mode);
        python(
            &scene.drums(),
            r"
most = 16 << 20
f = open('kick.wav.reapeaks', 'w+b', 0)
data = os.urandom(1 << 20)
for at in range(16): assert f.write(data) == len(data)
assert os.fstat(f.fileno()).st_size == most
fails(errno.EFBIG, f.write, b'x')
fails(errno.EFBIG, os.pwrite, f.fileno(), b'x', most)
settle(); os.fstat(f.fileno())
fails(errno.EFBIG, os.ftruncate, f.fileno(), most + 1)
fails(errno.EFBIG, os.truncate, 'kick.wav.reapeaks', most + 1)
fails(errno.EFBIG, os.posix_fallocate, f.fileno(), most, 1)
os.pwrite(f.fileno(), b'x', most - 1)
assert os.fstat(f.fileno()).st_size == most
f.seek(0); assert f.read(1 << 20) == data
made = 1
try:
    while made < 1000:
        open(f'kick.wav.{made}', 'x').close(); made += 1
except OSError as e:
    assert e.errno == errno.ENOSPC, e
assert made == 64, made
open('snare.wav.1', 'x').close()
os.unlink('kick.wav.1'); open('kick.wav.again', 'x').close()
",
        );
        mounted.stop();
    }
}

#[test]
fn names_may_be_odd() {
    let scene = Scene::new();
    let library = scene.home.library().join("Drums");
    let odd: [&[u8]; 3] = [
        b"line\nbreak.wav",
        b"latin\xe9.wav",
        "ne\u{308}.wav".as_bytes(),
    ];
    for (name, seed) in odd.iter().zip(10..) {
        let path = library.join(OsStr::from_bytes(name));
        fs::write(path, crate::support::sounds::wav(300, seed)).unwrap();
    }
    let long = "n".repeat(251);
    fs::write(
        library.join(format!("{long}.wav")),
        crate::support::sounds::wav(300, 20),
    )
    .unwrap();
    let mounted = scene.mounted(&[]);
    scene.home.wait_for_items(6);
    let drums = scene.drums();
    for name in odd {
        for suffix in [&b".asd"[..], b"\n\xff.tmp", b"~"] {
            let path = drums.join(OsStr::from_bytes(&[name, suffix].concat()));
            fs::write(&path, suffix).unwrap();
            assert_eq!(fs::read(&path).unwrap(), suffix);
        }
    }
    let listed = fs::read_dir(&drums).unwrap().map(|entry| entry.unwrap());
    let listed: Vec<_> = listed.map(|entry| entry.file_name()).collect();
    assert_eq!(listed.len(), 6 + 9);
    for name in odd {
        let name = [name, b"\n\xff.tmp"].concat();
        assert!(listed.iter().any(|listed| listed.as_bytes() == name));
    }
    // A name in the other form of the same letters is the same.
    let composed = drums.join("n\u{eb}.wav.asd");
    assert_eq!(fs::read(composed).unwrap(), b".asd");
    // No room in the name for more than the sound's; by its stem there is.
    fails(
        fs::write(drums.join(format!("{long}.wav.asd")), "x"),
        Errno::NAMETOOLONG,
    );
    fs::write(drums.join(format!("{long}.asd")), "x").unwrap();
    // Elsewhere the sound's name is safe, and what is behind it as it was written.
    let items = scene.home.items();
    let item = items
        .iter()
        .find(|item| item["name"] == "line\nbreak.wav")
        .unwrap();
    let folder = scene.by_id(item["mediaId"].as_str().unwrap());
    assert_eq!(
        fs::read(folder.join("line%0Abreak.wav.asd")).unwrap(),
        b".asd"
    );
    assert_eq!(names(&folder).len(), 4);
    mounted.stop();
}

#[test]
fn many_write_at_the_same_time() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    let (drums, by_id) = (scene.drums(), scene.by_id(&scene.id("kick.wav")));
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            // To a client of NFS these are two folders, in one of which the name is gone for a moment while it is replaced
            // in the other.
            let folder = match by_nfs() || writer % 2 == 0 {
                true => &drums,
                false => &by_id,
            };
            scope.spawn(move || {
                for round in 0..40_u8 {
                    let temporary = folder.join(format!("kick.wav.asd.{writer}"));
                    fs::write(&temporary, vec![writer; 5000 + usize::from(round)]).unwrap();
                    fs::rename(&temporary, folder.join("kick.wav.asd")).unwrap();
                    let read = fs::read(folder.join("kick.wav.asd")).unwrap();
                    assert!(read.len() >= 5000 && read.iter().all(|byte| *byte == read[0]));
                }
            });
        }
    });
    settle();
    assert_eq!(names(&by_id), ["kick.wav", "kick.wav.asd"]);
    mounted.stop();
}
