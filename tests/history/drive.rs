//! On a real mount: the folders that show who uses what, what players are seen to open, and the command line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::sounds::wav;
use super::support::{Home, show, wait_until};

fn call(home: &Home, method: &str, params: Value) -> Value {
    let answer = answer(home, method, params);
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].clone()
}

fn answer(home: &Home, method: &str, params: Value) -> Value {
    let mut stream = UnixStream::connect(home.home().join("socket")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A mounted home with an open project of two sounds: the home, the project's id, the ids.
struct Stage {
    project: String,
    kick: String,
    other_kick: String,
    song: PathBuf,
}

fn stage(home: &Home) -> Stage {
    let mut ids = Vec::new();
    for (n, name) in ["kick.wav", "b/kick.wav"].iter().enumerate() {
        let path = home.path(format!("in/{name}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wav(100, u32::try_from(n).unwrap() + 1)).unwrap();
        let imported = home.json([
            "import".as_ref(),
            path.as_os_str(),
            "--project".as_ref(),
            home.path("Song").as_os_str(),
        ]);
        ids.push(imported[0]["mediaId"].as_str().unwrap().to_owned());
    }
    let manifest = std::fs::read(home.path("Song/media.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    Stage {
        project: manifest["projectId"].as_str().unwrap().to_owned(),
        kick: ids[0].clone(),
        other_kick: ids[1].clone(),
        song: home.on_drive("projects/Song"),
    }
}

fn mount(home: &Home) -> super::support::Mounted<'_> {
    std::fs::create_dir_all(home.path("Song")).unwrap();
    home.mount_with(&["--project".as_ref(), home.path("Song").as_os_str()])
}

#[test]
fn tracks_and_plugins_show_what_they_use() {
    let home = Home::new();
    let mounted = mount(&home);
    let stage = stage(&home);
    let song = &stage.song;
    assert!(names(song).contains(&"by-track".to_owned()));
    assert!(names(song).contains(&"by-plugin".to_owned()));
    assert_eq!(names(&song.join("by-track")), Vec::<String>::new());
    let on = |id: &str, target: &str| json!({"mediaId": id, "project": stage.project, "role": "track", "target": target});
    let added = call(
        &home,
        "usages.add",
        json!({"usages": [on(&stage.kick, "Drums"), on(&stage.other_kick, "Drums"), on(&stage.kick, "a/b: \u{1}")]}),
    );
    assert_eq!(added["added"], 3);
    let tracks = names(&song.join("by-track"));
    assert_eq!(tracks.len(), 2, "{tracks:?}");
    assert!(tracks.contains(&"Drums".to_owned()), "{tracks:?}");
    let drums = song.join("by-track/Drums");
    assert_eq!(names(&drums), ["kick (2).wav", "kick.wav"]);
    assert_eq!(std::fs::read(drums.join("kick.wav")).unwrap(), wav(100, 1));
    assert_eq!(
        std::fs::read(drums.join("kick (2).wav")).unwrap(),
        wav(100, 2)
    );
    // By whatever path it is the same file.
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    let item = call(&home, "media.get", json!({"mediaId": stage.kick}));
    let by_id = home.on_drive(item["path"].as_str().unwrap());
    assert_eq!(inode(&drums.join("kick.wav")), inode(&by_id));
    let shown = home.json(["show".as_ref(), drums.join("kick (2).wav").as_os_str()]);
    assert_eq!(shown["mediaId"], json!(stage.other_kick));
    // Names once shown stay with their sound; a revert lists the old one again.
    let renamed = call(
        &home,
        "media.rename",
        json!({"mediaId": stage.kick, "name": "Boom"}),
    );
    assert_eq!(names(&drums), ["Boom.wav", "kick (2).wav"]);
    assert_eq!(std::fs::read(drums.join("kick.wav")).unwrap(), wav(100, 1));
    call(
        &home,
        "history.revert",
        json!({"operation": renamed["operation"]["id"]}),
    );
    assert_eq!(names(&drums), ["kick (2).wav", "kick.wav"]);
    call(
        &home,
        "usages.remove",
        json!({"usages": [on(&stage.kick, "Drums")]}),
    );
    assert_eq!(names(&drums), ["kick (2).wav"]);
    assert_eq!(
        std::fs::read(drums.join("kick.wav")).unwrap(),
        wav(100, 1),
        "it goes on leading there"
    );
    // Looking at parents, as shells do, and through a door.
    assert!(drums.join("../../by-id").is_dir());
    let door = home.on_drive(".as/copier/projects/Song/by-track/Drums");
    assert_eq!(names(&door), ["kick (2).wav"]);
    assert!(std::fs::write(drums.join("new.wav"), b"x").is_err());
    mounted.stop();
    // After a restart all is as it was.
    let mounted = mount(&home);
    assert_eq!(names(&drums), ["kick (2).wav"]);
    mounted.stop();
}

#[test]
fn what_a_player_opens_is_recorded_and_what_is_browsed_is_not() {
    let home = Home::new();
    let mounted = mount(&home);
    let stage = stage(&home);
    let sound = stage.song.join("Audio/kick.wav");
    let plugins = stage.song.join("by-plugin");
    // Browsing, copying, reading.
    std::fs::read(&sound).unwrap();
    names(&stage.song.join("Audio"));
    let output = Command::new("cat").arg(&sound).output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    // A player: it stays a moment, as players do.
    let script = format!("exec 3< '{}'; sleep 1.5", sound.display());
    let status = home
        .command(["run", "--as", "player", "sh", "-c", &script])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut seen = Vec::new();
    wait_until(Duration::from_secs(10), "an observed usage", || {
        let page = call(&home, "usages.list", json!({"project": stage.project}));
        seen = page["usages"].as_array().unwrap().clone();
        !seen.is_empty()
    });
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["role"], "observed");
    assert_eq!(seen[0]["mediaId"], json!(stage.kick));
    assert!(seen[0]["at"].as_u64().unwrap() > 1_600_000_000_000);
    let program = seen[0]["target"].as_str().unwrap().to_owned();
    assert_eq!(names(&plugins), std::slice::from_ref(&program));
    assert_eq!(names(&plugins.join(&program)), ["kick.wav"]);
    assert_eq!(
        std::fs::read(plugins.join(&program).join("kick.wav")).unwrap(),
        wav(100, 1)
    );
    // It is protected, and the host's own account of usages does not touch it.
    let output = home.command(["remove", &stage.kick]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains(&program) && errors.contains("--force"),
        "{errors}"
    );
    call(
        &home,
        "usages.set",
        json!({"project": stage.project, "usages": []}),
    );
    assert_eq!(names(&plugins.join(&program)), ["kick.wav"]);
    mounted.stop();
    // With the sound gone it is known still.
    std::fs::remove_file(home.path("Song/Media/kick.wav")).unwrap();
    let mounted = mount(&home);
    wait_until(Duration::from_secs(10), "the sound to be missing", || {
        let item = call(&home, "media.get", json!({"mediaId": stage.kick}));
        item["availability"] == "missing"
    });
    assert_eq!(names(&plugins.join(&program)), ["kick.wav"]);
    mounted.stop();
}

#[test]
fn undo_and_redo_by_hand() {
    let home = Home::new();
    let path = home.path("kick.wav");
    std::fs::write(&path, wav(100, 1)).unwrap();
    let imported = home.json(["import".as_ref(), path.as_os_str()]);
    let id = imported[0]["mediaId"].as_str().unwrap().to_owned();
    let renamed = home.json(["rename", &id, "Boom"]);
    assert_eq!(renamed["mediaId"], json!(id), "{renamed}");
    assert_eq!(
        renamed["operation"]["summary"],
        "renamed kick.wav to Boom.wav"
    );
    home.run(["tag", &id, "drum"]);
    let history = home.json(["history"]);
    let kinds: Vec<&str> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| operation["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["tag", "rename", "import"]);
    assert!(
        home.run(["history"])
            .contains("renamed kick.wav to Boom.wav")
    );
    let told = home.run(["undo", "2"]);
    assert!(
        told.contains("undid: renamed kick.wav to Boom.wav"),
        "{told}"
    );
    assert_eq!(home.json(["show", &id])["name"], "kick.wav");
    home.run(["redo"]);
    assert_eq!(home.json(["show", &id])["name"], "Boom.wav");
    home.run([
        "undo",
        "--operation",
        &renamed["operation"]["id"].to_string(),
    ]);
    assert_eq!(home.json(["show", &id])["name"], "kick.wav");
    let output = home
        .command([
            "undo",
            "--operation",
            &renamed["operation"]["id"].to_string(),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    // Replace and relink by hand and by search.
    let other = home.path("loop.wav");
    std::fs::write(&other, wav(150, 2)).unwrap();
    let replace = |yes: &[&str]| {
        let mut command = home.command(["replace".as_ref(), id.as_ref(), other.as_os_str()]);
        command.args(yes).output().unwrap()
    };
    let output = replace(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("frames"),
        "{}",
        show(&output)
    );
    let output = replace(&["--yes"]);
    assert!(output.status.success(), "{}", show(&output));
    assert_eq!(home.json(["show", &id])["format"]["frames"], 150);
    home.run(["undo"]);
    assert_eq!(home.json(["show", &id])["format"]["frames"], 100);
    std::fs::create_dir(home.path("pack")).unwrap();
    std::fs::rename(&path, home.path("pack/other.wav")).unwrap();
    let search = |dry: &[&str]| {
        let folder = home.path("pack");
        let mut command = home.command([
            "relink".as_ref(),
            "--search".as_ref(),
            folder.as_os_str(),
            id.as_ref(),
        ]);
        command.args(dry).output().unwrap()
    };
    let told = search(&["--dry-run"]);
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("would play from"),
        "{}",
        show(&told)
    );
    let told = search(&[]);
    assert!(told.status.success(), "{}", show(&told));
    assert_eq!(
        home.json(["show", &id])["resolvedPath"],
        json!(home.path("pack/other.wav"))
    );
    assert_eq!(home.json(["usages", &id]), json!([]));
    // What was found out about a copy, whose hash is known.
    let copied = home.json([
        "import".as_ref(),
        home.path("pack/other.wav").as_os_str(),
        "--copy".as_ref(),
    ]);
    let copy = copied[0]["mediaId"].as_str().unwrap().to_owned();
    let hash = home.json(["show", &copy])["blake3"]
        .as_str()
        .unwrap()
        .to_owned();
    let which = ["--type", "tempo", "--producer", "tapper 1"];
    let wanted = home.json(["analysis", "wanted"].into_iter().chain(which));
    assert_eq!(wanted[0]["mediaId"], json!(copy), "{wanted}");
    let found = home.path("found");
    std::fs::write(&found, "120").unwrap();
    let found = found.to_str().unwrap();
    let put = [
        "analysis",
        "put",
        &copy,
        found,
        "--blake3",
        &hash,
        "--process",
        "1",
    ];
    assert_eq!(home.json(put.into_iter().chain(which))["size"], 3);
    let got = home.json(["analysis", "get", &copy].into_iter().chain(which));
    assert_eq!(got["artefact"], "120");
    let wanted = home.json(["analysis", "wanted"].into_iter().chain(which));
    assert_eq!(wanted, json!([]));
    assert!(home.json(["candidates", &id]).is_array());
}

#[test]
fn an_open_project_is_undone_by_its_host() {
    let home = Home::new();
    let mounted = mount(&home);
    let stage = stage(&home);
    home.run(["rename", &stage.kick, "Boom"]);
    let output = home.command(["undo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("Song") && errors.contains("open"),
        "{errors}"
    );
    // The host itself can.
    let page = call(&home, "history.list", json!({"project": stage.project}));
    let last = &page["operations"][0];
    assert_eq!(last["kind"], "rename", "{page}");
    call(&home, "history.revert", json!({"operation": last["id"]}));
    mounted.stop();
    home.run(["redo"]);
    assert_eq!(home.json(["show", &stage.kick])["name"], "Boom.wav");
}

#[test]
fn an_analysis_by_whom_was_given_silence_is_refused() {
    let home = Home::new();
    let path = home.path("kick.wav");
    std::fs::write(&path, wav(100, 1)).unwrap();
    let imported = home.json(["import".as_ref(), path.as_os_str(), "--copy".as_ref()]);
    let id = imported[0]["mediaId"].as_str().unwrap().to_owned();
    let item = home.json(["show", &id]);
    std::fs::remove_file(item["resolvedPath"].as_str().unwrap()).unwrap();
    let mounted = home.mount();
    wait_until(Duration::from_secs(10), "the sound to be missing", || {
        call(&home, "media.get", json!({"mediaId": id}))["availability"] == "missing"
    });
    let sound = home.on_drive(item["path"].as_str().unwrap());
    // It says that it has read, and stays to be known.
    let script = "sed -n p \"$1\" > /dev/null; exec 3< \"$1\"; head -c 100 <&3 > /dev/null; echo read; read end";
    let mut player = home
        .command(["run", "--as", "player", "sh", "-c", script, "sh"])
        .arg(&sound)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(player.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let silences = call(&home, "media.silences", json!({}));
    let heard: Vec<u64> = silences["silences"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|silence| silence["mediaId"] == json!(id))
        .flat_map(|silence| silence["processes"].as_array().unwrap())
        .map(|heard| heard["process"]["pid"].as_u64().unwrap())
        .collect();
    drop(player.stdin.take());
    player.wait().unwrap();
    assert!(!heard.is_empty(), "{line:?} {silences}");
    let put = |process: u64| {
        let params = json!({
            "mediaId": id, "type": "tempo", "producer": "tapper 1", "blake3": item["blake3"],
            "process": process, "artefact": "120",
        });
        answer(&home, "analysis.put", params)
    };
    let refused = put(heard[0]);
    assert_eq!(refused["error"]["data"]["reason"], "refused", "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("given silence"), "{message}");
    let taken = put(u64::from(std::process::id()));
    assert!(taken["error"].is_null(), "{taken}");
    mounted.stop();
}

#[test]
fn pins_are_in_history() {
    let home = Home::new();
    let mounted = mount(&home);
    let stage = stage(&home);
    let pinned_for = || {
        let item = call(&home, "media.whereIs", json!({"mediaId": stage.kick}));
        item["pinnedFor"].clone()
    };
    let items = json!({"items": [{"mediaId": stage.kick}], "group": "g"});
    let pinned = call(&home, "media.pin", items.clone());
    assert_eq!(pinned["operation"]["summary"], "pinned kick.wav");
    assert_eq!(pinned_for(), json!(["user"]));
    // It is already.
    assert!(call(&home, "media.pin", items.clone())["operation"].is_null());
    let reverted = call(&home, "history.revert", json!({"group": "g"}));
    assert_eq!(reverted["outcome"], "reverted", "{reverted}");
    assert_eq!(pinned_for(), json!([]));
    let again = call(
        &home,
        "history.revert",
        json!({"operation": reverted["operation"]["id"]}),
    );
    assert_eq!(again["outcome"], "reverted", "{again}");
    assert_eq!(pinned_for(), json!(["user"]));
    let unpinned = call(&home, "media.unpin", items);
    assert_eq!(unpinned["operation"]["summary"], "unpinned kick.wav");
    assert_eq!(pinned_for(), json!([]));
    mounted.stop();
}
