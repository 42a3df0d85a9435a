//! `mediafs project`, beside a mounted drive and without a daemon: what it says, and how it ends.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::sounds::wav;
use crate::support::{Home, path_of, wait_until};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The exit code, and what is said on the standard error.
fn refused(home: &Home, words: &[&str]) -> (i32, String) {
    let output = home.command(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn a_new_project_has_the_name_that_it_is_given() {
    let home = Home::new();
    let song = home.path("folder");
    let made = home.json(["project", "new", text(&song), "--name", "Song of songs"]);
    assert_eq!(made["name"], "Song of songs");
    let (code, said) = refused(
        &home,
        &["project", "new", text(&home.path("other")), "--name", ""],
    );
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("1 to 1,024 bytes"), "{said}");
    let opened = home.json(["project", "open", text(&song)]);
    assert_eq!(opened["name"], "Song of songs");
}

#[test]
fn a_project_from_its_making_to_another_machine() {
    let home = Home::new();
    let song = home.path("Song");
    let kick = home.path("kick.wav");
    std::fs::write(&kick, wav(400, 1)).unwrap();
    let mounted = home.mount();
    let made = home.json(["project", "new", text(&song)]);
    assert_eq!(made["name"], "Song");
    assert_eq!(made["open"], true);
    let (code, said) = refused(&home, &["project", "new", text(&song)]);
    assert_eq!(code, 1);
    assert!(said.contains("is a project already"), "{said}");
    let imported = home.json(["import", "--project", text(&song), text(&kick)]);
    let id = imported[0]["mediaId"].as_str().unwrap().to_owned();
    home.run(["tag", &id, "Drum"]);
    let status = home.json(["project", "status", text(&song)]);
    assert_eq!(status["unsaved"], true, "{status:#}");
    assert_eq!(status["items"]["total"], 1);
    assert_eq!(status["items"]["availability"]["local"], 1, "{status:#}");
    let saved = home.json(["project", "save", text(&song), "--revision", "7"]);
    assert_eq!(
        (&saved["items"], &saved["written"]),
        (&1.into(), &true.into())
    );
    let status = home.json(["project", "status", "Song"]);
    assert_eq!(
        (&status["unsaved"], &status["revision"]),
        (&false.into(), &"7".into())
    );
    // Everything lies on the disk of this machine.
    let ready = home.json(["project", "ready", text(&song)]);
    assert_eq!(
        (&ready["ready"], &ready["total"]),
        (&true.into(), &1.into())
    );

    home.run([
        "project",
        "save-draft",
        text(&song),
        "pads",
        "--state",
        r#"{"pad":[1,2]}"#,
    ]);
    assert!(
        refused(
            &home,
            &["project", "save-draft", text(&song), "x", "--state", "{"]
        )
        .0 == 1
    );
    let collected = home.path("Collected");
    let other = home.json([
        "project",
        "save-as",
        "--collect",
        text(&song),
        text(&collected),
    ]);
    assert_eq!(other["copied"], 1, "{other:#}");
    assert_ne!(other["projectId"], made["projectId"]);
    assert_eq!(
        std::fs::read(collected.join("Media/kick.wav")).unwrap(),
        wav(400, 1)
    );
    let exported = home.run(["project", "export", text(&song)]);
    let manifest = std::fs::read_to_string(song.join("media.json")).unwrap();
    assert_eq!(exported, manifest);
    let listed = home.json(["project", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let closed = home.json(["project", "close", text(&collected)]);
    assert_eq!(closed["open"], false);
    assert_eq!(home.json(["show", &id])["tags"][0]["name"], "Drum");
    mounted.stop();

    // After the daemon: the same, by the home itself.
    let draft = home.json(["project", "draft", text(&song), "pads"]);
    assert_eq!(draft["state"]["pad"][1], 2, "{draft:#}");
    assert_eq!(draft["revision"], "7");
    home.run(["project", "draft", text(&song), "pads", "--remove"]);
    let (code, said) = refused(&home, &["project", "draft", text(&song), "pads"]);
    assert_eq!(code, 1);
    assert!(said.contains("no draft"), "{said}");
    let (code, said) = refused(&home, &["project", "open", text(&song), "--revision", "6"]);
    assert_eq!(code, 1);
    assert!(said.contains("at revision 7, not 6"), "{said}");
    assert_eq!(
        refused(&home, &["project", "open", text(&home.path("nothing"))]).0,
        1
    );
    assert_eq!(refused(&home, &["project", "status", "nobody"]).0, 1);
    assert_eq!(refused(&home, &["project", "frobnicate"]).0, 2);
    assert_eq!(
        refused(&home, &["project", "open", text(&home.library())]).0,
        1
    );

    // Another machine.
    let two = Home::new();
    let mounted = two.mount();
    let opened = two.json(["project", "open", text(&song), "--revision", "7"]);
    assert_eq!(
        (&opened["added"], &opened["projectId"]),
        (&1.into(), &made["projectId"])
    );
    let item = two.json(["show", &id]);
    assert_eq!(
        (&item["playable"], &item["tags"][0]["name"]),
        (&"bytes".into(), &"Drum".into())
    );
    assert_eq!(
        std::fs::read(two.on_drive(path_of(&item))).unwrap(),
        wav(400, 1)
    );
    assert_eq!(
        std::fs::read(two.on_drive("projects/Song/Audio/kick.wav")).unwrap(),
        wav(400, 1)
    );
    let document = two.path("exported.json");
    std::fs::write(&document, &exported).unwrap();
    let loaded = two.json([
        "project",
        "load",
        text(&two.path("Loaded")),
        text(&document),
    ]);
    // The folder is another one, so it is a copy of the project.
    assert_eq!(loaded["projectId"], made["projectId"]);
    assert_ne!(loaded["name"], opened["name"]);
    mounted.stop();
}

#[test]
fn a_strangers_project_is_told_of_and_let_in_on_wish() {
    let home = Home::new();
    let song = home.path("Song");
    let outside = home.path("outside.wav");
    std::fs::write(&outside, wav(400, 1)).unwrap();
    std::fs::create_dir_all(song.join("Media")).unwrap();
    let size = wav(400, 1).len();
    let manifest = format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"Song","items":[
            {{"mediaId":"dots","kind":"audio","name":"o.wav","size":{size},"storage":{{"backend":"project","path":"../outside.wav"}}}},
            {{"mediaId":"../../x"}}]}}"#
    );
    std::fs::write(song.join("media.json"), manifest).unwrap();
    let opened = home.json(["project", "open", text(&song)]);
    let held = opened["held"].as_array().unwrap();
    assert_eq!(held.len(), 2, "{opened:#}");
    let of = |allowable: bool| -> &Value {
        let mut all = held.iter();
        all.find(|held| held["allowable"] == allowable).unwrap()
    };
    let said = home.run(["project", "status", text(&song)]);
    assert!(
        said.contains("held back: dots: its path leaves the project"),
        "{said}"
    );
    let (code, said) = refused(
        &home,
        &[
            "project",
            "allow",
            text(&song),
            of(false)["key"].as_str().unwrap(),
        ],
    );
    assert_eq!(code, 1, "{said}");
    // It is not ready while something is held back.
    assert_eq!(refused(&home, &["project", "ready", text(&song)]).0, 1);
    assert_eq!(refused(&home, &["show", "dots"]).0, 1);
    home.run([
        "project",
        "allow",
        text(&song),
        of(true)["key"].as_str().unwrap(),
    ]);
    assert_eq!(home.json(["show", "dots"])["playable"], "bytes");
}

#[test]
fn one_sound_of_somebody_else_is_told_as_one() {
    let home = Home::new();
    let song = home.path("Song");
    let kick = home.path("kick.wav");
    std::fs::write(&kick, wav(400, 1)).unwrap();
    home.run(["project", "new", text(&song)]);
    home.run(["import", "--project", text(&song), text(&kick)]);
    home.run(["project", "save", text(&song)]);
    let manifest = song.join("media.json");
    let theirs = std::fs::read_to_string(&manifest).unwrap();
    let theirs = theirs.replace("\"kick.wav\"", "\"boom.wav\"");
    std::fs::write(&manifest, theirs).unwrap();
    let said = home.run(["project", "save", text(&song)]);
    assert!(said.contains("1 sound of theirs was taken over"), "{said}");
}

#[test]
fn whoever_asks_for_a_sound_that_is_held_back_is_told_so() {
    let home = Home::new();
    let song = home.path("Song");
    let private = home.path("private.wav");
    std::fs::write(&private, wav(400, 1)).unwrap();
    std::fs::create_dir_all(&song).unwrap();
    let size = wav(400, 1).len();
    let manifest = format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"Song","items":[
            {{"mediaId":"priv","kind":"audio","name":"o.wav","size":{size},
              "storage":{{"backend":"reference","path":{private:?}}}}}]}}"#
    );
    std::fs::write(song.join("media.json"), manifest).unwrap();
    let mounted = home.mount();
    let opened = home.json(["project", "open", text(&song)]);
    assert_eq!(opened["held"].as_array().unwrap().len(), 1, "{opened:#}");
    let said = home.run(["whereis", "priv"]);
    assert!(said.contains("held back"), "{said}");
    assert!(said.contains("project allow"), "{said}");
    let ready = home
        .command(["project", "ready", text(&song)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ready.stdout).into_owned();
    assert!(said.contains("held back"), "{said}");
    assert!(!said.contains("not there"), "{said}");
    mounted.stop();
}

#[test]
fn an_open_project_that_lacks_sounds_is_warned_of_before_anybody_plays_them() {
    let home = Home::new();
    let song = home.path("Song");
    let pack = home.path("pack");
    std::fs::create_dir(&pack).unwrap();
    for number in 1..=12 {
        std::fs::write(
            pack.join(format!("{number}.wav")),
            wav(400 + number, number),
        )
        .unwrap();
    }
    let mounted = home.mount();
    home.run(["project", "new", text(&song)]);
    home.run([
        "import",
        "--reference",
        "--project",
        text(&song),
        text(&pack),
    ]);
    let warnings = || {
        let all = home.json(["warnings"]);
        let all = all.as_array().unwrap().iter();
        let of_it = all.filter(|one| one["id"].as_str().unwrap().starts_with("project.missing"));
        of_it.cloned().collect::<Vec<Value>>()
    };
    assert_eq!(warnings(), Vec::<Value>::new());
    let elsewhere = home.path("elsewhere");
    std::fs::rename(&pack, &elsewhere).unwrap();
    wait_until(Duration::from_secs(20), "all are missing", || {
        warnings().first().is_some_and(|one| one["count"] == 12)
    });
    let one = warnings().remove(0);
    assert_eq!(
        one["text"],
        "the project Song is not whole: 12 sounds of it are missing"
    );
    assert_eq!(one["items"].as_array().unwrap().len(), 10);
    home.run(["project", "close", text(&song)]);
    assert_eq!(warnings(), Vec::<Value>::new(), "nobody works in it");
    home.run(["project", "open", text(&song)]);
    assert_eq!(warnings().len(), 1);
    home.run(["relink", "--search", text(&elsewhere)]);
    assert_eq!(warnings(), Vec::<Value>::new());
    mounted.stop();
}
