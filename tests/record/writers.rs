//! Whatever a program does to a take has the same effect as on a native file.

use std::ffi::OsStr;
use std::path::Path;

use crate::scene::{Scene, python};
use crate::support::{modes, show, succeed};

/// The same random calls on a native file and on a take, compared after each.
const CALLS: &str = r"
import mmap, os, random, sys
native, take, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random.seed(seed)
open(native, 'wb').close()
fds = [os.open(p, os.O_RDWR) for p in (native, take)]
appending = [os.open(p, os.O_WRONLY | os.O_APPEND) for p in (native, take)]
done = {}
def both(name, call):
    done[name] = done.get(name, 0) + 1
    got = []
    for fd, add, path in zip(fds, appending, (native, take)):
        try:
            got.append(call(fd, add, path))
        except OSError as error:
            got.append(error.errno)
    assert got[0] == got[1], (name, got)
def mapped(fd, offset, data):
    size = os.fstat(fd).st_size
    if size < offset + len(data):
        return 'short'
    with mmap.mmap(fd, size) as m:
        m[offset:offset + len(data)] = data
        m.flush()
for step in range(steps):
    size = os.fstat(fds[0]).st_size
    offset = random.randrange(0, size + 5000)
    data = random.randbytes(random.choice((1, 3, 511, 4096, 4097, 70000)))
    kind = random.randrange(12)
    if kind < 4:
        both('pwrite', lambda fd, add, path: os.pwrite(fd, data, offset))
    elif kind == 4:
        both('append', lambda fd, add, path: os.write(add, data))
    elif kind == 5:
        both('ftruncate', lambda fd, add, path: os.ftruncate(fd, offset))
    elif kind == 6:
        both('truncate', lambda fd, add, path: os.truncate(path, offset))
    elif kind == 7:
        both('mmap', lambda fd, add, path: mapped(fd, offset, data))
    elif kind == 8:
        both('fsync', lambda fd, add, path: os.fsync(fd))
    elif kind == 9:
        both('fallocate', lambda fd, add, path: os.posix_fallocate(fd, offset, 5000))
    elif kind == 10:
        both('write', lambda fd, add, path: (os.lseek(fd, 0, os.SEEK_END), os.write(fd, data)))
    else:
        both('reopen', lambda fd, add, path: os.close(os.open(path, os.O_RDWR)))
    sizes = [os.fstat(fd).st_size for fd in fds]
    assert sizes[0] == sizes[1], (step, sizes)
    assert os.stat(take).st_size == sizes[0]
    a, b = (os.pread(fd, sizes[0] + 1, 0) for fd in fds)
    assert a == b, (step, kind)
    with open(take, 'rb') as other:
        assert other.read() == a, step
    if random.randrange(60) == 0:
        both('empty', lambda fd, add, path: open(path, 'wb').close())
assert len(done) >= 10, done
print('same')
";

#[test]
fn calls_do_what_they_do_to_a_native_file() {
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        let take = scene.reserve("Calls");
        let native = scene.home.path("native");
        let steps = if mode.is_empty() { "500" } else { "250" };
        let arguments: [&OsStr; 4] = [
            native.as_ref(),
            take.file.as_ref(),
            "42".as_ref(),
            steps.as_ref(),
        ];
        let output = python(CALLS, &arguments).wait_with_output().unwrap();
        assert!(output.status.success(), "{mode:?}: {}", show(&output));
        assert_eq!(
            std::fs::read(&native).unwrap(),
            std::fs::read(&take.staging).unwrap(),
            "{mode:?}"
        );
    }
}

#[test]
fn programs_record_as_to_a_native_file() {
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        for ext in ["wav", "aiff", "caf", "flac", "mp3", "ogg", "w64"] {
            let take = scene.reserve_with(&[
                "--name".as_ref(),
                ext.as_ref(),
                "--ext".as_ref(),
                ext.as_ref(),
            ]);
            let native = scene.home.path(format!("native.{ext}"));
            for path in [&native, &take.file] {
                ffmpeg(path);
            }
            let written = std::fs::read(&take.file).unwrap();
            assert!(written == std::fs::read(&native).unwrap(), "{ext} {mode:?}");
            if ext == "w64" {
                // Not a format that is known: it stays where it is, and nothing is lost.
                let why = scene.refused(&["finalise", &take.id]);
                assert!(why.contains("cannot be read as a sound"), "{why}");
                assert_eq!(std::fs::read(&take.staging).unwrap(), written);
                continue;
            }
            let item = scene.finalise(&take);
            assert_eq!(item["lifecycle"], "final", "{item}");
            assert!(item["repaired"].as_array().unwrap().is_empty(), "{item}");
            assert!(std::fs::read(Scene::resolved(&item)).unwrap() == written);
            assert!(std::fs::read(&take.file).unwrap() == written);
        }
        let take = scene.reserve("Sox");
        let file = take.file.to_str().unwrap();
        succeed(
            "sox",
            [
                "-n", "-r", "48000", "-b", "24", file, "synth", "1", "sine", "440",
            ],
        );
        let item = scene.finalise(&take);
        assert_eq!(item["format"]["frames"], 48_000);
    }
}

fn ffmpeg(path: &Path) {
    let path = path.to_str().unwrap();
    let source = "sine=frequency=440:duration=2:sample_rate=44100";
    let bitexact = ["-fflags", "+bitexact", "-flags:a", "+bitexact"];
    let source = ["-v", "error", "-y", "-f", "lavfi", "-i", source];
    succeed("ffmpeg", [&source[..], &bitexact, &[path]].concat());
}

#[test]
fn several_takes_are_written_at_once_and_read_meanwhile() {
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        let takes: Vec<_> = (0..4).map(|_| scene.reserve("Same")).collect();
        let names: std::collections::HashSet<_> = takes.iter().map(|take| &take.file).collect();
        assert_eq!(names.len(), 4);
        std::thread::scope(|scope| {
            for (number, take) in takes.iter().enumerate() {
                let home = &scene.home;
                scope.spawn(move || {
                    use std::io::Write as _;
                    let sound = crate::support::sounds::wav(60_000, number as u32 + 1);
                    let by_id = home.on_drive("by-id").join(&take.id).join("Same.wav");
                    let mut file = std::fs::File::options()
                        .write(true)
                        .open(&take.file)
                        .unwrap();
                    for part in sound.chunks(30_000) {
                        file.write_all(part).unwrap();
                        let so_far = std::fs::read(&by_id).unwrap();
                        assert!(so_far == sound[..so_far.len()]);
                        let size = std::fs::metadata(&by_id).unwrap().len();
                        assert_eq!(size, so_far.len() as u64, "what is written is read at once");
                    }
                    drop(file);
                    assert!(std::fs::read(&by_id).unwrap() == sound);
                    home.json(["finalise", &take.id]);
                    assert!(std::fs::read(&by_id).unwrap() == sound);
                });
            }
        });
        assert!(scene.takes().is_empty());
    }
}
