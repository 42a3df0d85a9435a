//! Takes become final whole: not while they are written, and with a header that says what is there.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::scene::Scene;
use crate::support::sounds::wav;
use crate::support::{by_nfs, ffprobe, modes, wait_until};

#[test]
fn nothing_is_final_while_somebody_writes() {
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        let take = scene.reserve("Lead");
        let sound = wav(50_000, 1);
        let (first, rest) = sound.split_at(70_000);
        let mut writer = File::options().write(true).open(&take.file).unwrap();
        writer.write_all(first).unwrap();
        let why = scene.refused(&["finalise", &take.id]);
        assert!(why.contains("still being written"), "{why}");
        let pending = scene.home.json(["show", &take.id]);
        assert_eq!(pending["lifecycle"], "pending");
        assert_eq!(pending["size"], 70_000);
        // It was refused, so it goes on.
        writer.write_all(rest).unwrap();
        // Asked for at once, it waits until the writer is gone.
        let item = std::thread::scope(|scope| {
            let asked = scope.spawn(|| scene.finalise(&take));
            std::thread::sleep(Duration::from_millis(300));
            drop(writer);
            asked.join().unwrap()
        });
        assert_eq!(item["format"]["frames"], 50_000);
        assert_eq!(std::fs::read(Scene::resolved(&item)).unwrap(), sound);
    }
}

#[test]
fn an_empty_take_stays_a_take() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let take = scene.reserve("Lead");
    let why = scene.refused(&["finalise", &take.id]);
    assert!(why.contains("nothing was written"), "{why}");
    std::fs::write(&take.file, b"no sound at all").unwrap();
    let why = scene.refused(&["finalise", &take.id]);
    assert!(why.contains(take.staging.to_str().unwrap()), "{why}");
    scene.home.run(["abandon", &take.id]);
    let opened = File::options().write(true).open(&take.file);
    // By NFS nobody opens, so it is the first byte that is refused.
    let refused = match by_nfs() {
        true => opened.and_then(|mut file| file.write_all(b"x")),
        false => opened.map(drop),
    };
    assert!(refused.is_err());
    assert_eq!(scene.takes()[0]["lifecycle"], "abandoned");
    // Thought better of.
    std::fs::write(&take.staging, wav(10, 1)).unwrap();
    assert_eq!(scene.finalise(&take)["lifecycle"], "final");
}

/// Programs that are killed while they record leave headers that were not written to the end.
#[test]
fn what_a_killed_program_recorded_is_found_in_full() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    for ext in ["wav", "aiff", "caf"] {
        let take = scene.reserve_with(&["--name", "Lead", "--ext", ext].map(AsRef::as_ref));
        let mut recording = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-re", "-f", "lavfi", "-i"])
            .arg("sine=frequency=440:sample_rate=48000:duration=600")
            .args(["-flush_packets", "1"])
            .arg(&take.file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(Duration::from_secs(20), "half a second of sound", || {
            std::fs::metadata(&take.staging).unwrap().len() > 48_000
        });
        recording.kill().unwrap();
        recording.wait().unwrap();
        let size = std::fs::metadata(&take.staging).unwrap().len();
        let item = scene.finalise(&take);
        assert_eq!(
            item["repaired"].as_array().unwrap().len(),
            1,
            "{ext}: {item}"
        );
        let frames = item["format"]["frames"].as_u64().unwrap();
        // Whatever is in front of the sound is short.
        assert!(
            (size - 5000) / 2 <= frames && frames <= size / 2,
            "{ext}: {frames} of {size}"
        );
        let stream = ffprobe(&Scene::resolved(&item));
        assert_eq!(
            stream["duration_ts"].as_u64(),
            Some(frames),
            "{ext}: {stream}"
        );
    }
}

#[test]
fn lengths_are_put_right_in_a_file_that_others_read() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let right = wav(1001, 7);
    for (name, riff, data, cut) in [
        ("never", 0_u32, 0_u32, 0),
        ("streamed", u32::MAX, u32::MAX, 0),
        ("earlier", 436, 400, 0),
        ("later", 9_000_036, 9_000_000, 0),
        ("half a frame", 0, 0, 2),
        ("a byte less", 0, 0, 1),
    ] {
        let mut bytes = right.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[40..44].copy_from_slice(&data.to_le_bytes());
        bytes.truncate(bytes.len() - cut);
        let take = scene.reserve(name);
        std::fs::write(&take.file, &bytes).unwrap();
        let item = scene.finalise(&take);
        let frames = 1001 - u64::from(cut > 0);
        assert_eq!(item["format"]["frames"], frames, "{name}: {item}");
        let file = Scene::resolved(&item);
        let now = std::fs::read(&file).unwrap();
        assert_eq!(
            now[44..bytes.len()],
            bytes[44..],
            "{name}: no byte of sound is lost"
        );
        assert!(now.len() - bytes.len() <= 1, "{name}");
        if cut == 0 {
            assert_eq!(now, right, "{name}");
        }
        let stream = ffprobe(&file);
        assert_eq!(stream["duration_ts"], frames, "{name}");
        assert_eq!(
            item["blake3"].as_str().unwrap(),
            blake3::hash(&now).to_hex().as_str()
        );
    }
}

#[test]
fn usages_are_attached() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let take = scene.reserve("Lead");
    std::fs::write(&take.file, wav(10, 1)).unwrap();
    let socket = scene.home.home().join("socket");
    let mut connection = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let request = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "media.finalise",
        "params": {"mediaId": take.id, "usages": [{"role": "clip", "target": "clip-7"}]}
    });
    writeln!(connection, "{request}").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&connection), &mut line).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        answer["result"]["usages"][0]["target"], "clip-7",
        "{answer}"
    );
    assert_eq!(answer["result"]["usages"][0]["role"], "clip");
}

/// Temporary files of copies are removed where one is found that nobody holds.
#[test]
fn a_take_that_is_named_as_a_temporary_file_stays() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let (sound, name) = (wav(100, 1), ".mediafs-import-1.wav");
    let take = scene.reserve(name);
    std::fs::write(&take.file, &sound).unwrap();
    let item = scene.finalise(&take);
    assert_eq!(item["name"], name);
    let source = scene.home.path("Kick.wav");
    std::fs::write(&source, wav(100, 2)).unwrap();
    let project = scene.project();
    scene.home.run([
        "import".as_ref(),
        source.as_os_str(),
        "--project".as_ref(),
        project.as_os_str(),
    ]);
    scene.home.run(["scan"]);
    assert_eq!(std::fs::read(Scene::resolved(&item)).unwrap(), sound);
    let by_id = scene.home.on_drive(item["path"].as_str().unwrap());
    assert_eq!(std::fs::read(by_id).unwrap(), sound);
}

/// A project may lie within a library.
#[test]
fn a_library_has_no_takes_that_are_not_final() {
    let scene = Scene::new();
    let song = scene.home.library().join("Song");
    std::fs::create_dir(&song).unwrap();
    let library = scene.home.library();
    let _drive = scene.home.mount_with(&[
        "--library".as_ref(),
        library.as_os_str(),
        "--project".as_ref(),
        song.as_os_str(),
    ]);
    let take = scene.reserve_with(&[
        "--name".as_ref(),
        "Lead".as_ref(),
        "--project".as_ref(),
        song.as_os_str(),
    ]);
    std::fs::write(&take.file, wav(100, 1)).unwrap();
    let kick = song.join("Kick.wav");
    std::fs::write(&kick, wav(100, 2)).unwrap();
    scene.home.run(["scan"]);
    let mut items = Vec::new();
    wait_until(Duration::from_secs(30), "what the scan found", || {
        items = scene.home.items();
        items.iter().any(|item| item["name"] == "Kick.wav")
    });
    assert!(
        items
            .iter()
            .all(|item| item["mediaId"] == *take.id || item["name"] == "Kick.wav"),
        "{items:#?}"
    );
    let shown = scene.home.on_drive("library/library/Song");
    let names: Vec<_> = std::fs::read_dir(shown)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(names.iter().any(|name| name == "Kick.wav"), "{names:?}");
    assert!(
        !names.iter().any(|name| name == ".mediafs-takes"),
        "{names:?}"
    );
}
