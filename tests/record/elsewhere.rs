//! A sound of the home's own library that a project on a stick uses: the project's, with its bytes in that library, and told
//! as that to whoever opens the project, here and on other machines.

use std::path::Path;

use rustix::io::Errno;
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, by_nfs, show};

fn ready(home: &Home, project: &Path) -> Value {
    let output = home
        .command(["project".as_ref(), "ready".as_ref(), project.as_os_str()])
        .arg("--json")
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", show(&output)))
}

#[test]
fn a_sound_of_the_library_in_a_project_on_a_stick_is_told_to_be_in_the_library() {
    let scene = Scene::new();
    let mut stick = Volume::new(Kind::Ext4);
    stick.mount(&scene.project());
    let drive = scene.mount(&[]);
    let sound = wav(500, 1);
    let lead = scene.home.path("Lead.wav");
    std::fs::write(&lead, &sound).unwrap();
    let import = ["import".as_ref(), "--copy".as_ref(), lead.as_os_str()];
    let id = scene.home.json(import)[0]["mediaId"]
        .as_str()
        .unwrap()
        .to_owned();
    let project = scene.project();
    let made = [
        "project".as_ref(),
        "use".as_ref(),
        project.as_os_str(),
        id.as_ref(),
    ];
    let item = scene.home.json(made);
    let library = scene.home.home().join("Library/Lead.wav");
    assert_eq!(
        Scene::resolved(&item).canonicalize().unwrap(),
        library.canonicalize().unwrap()
    );
    assert!(item["scope"]["project"].is_string(), "{item}");
    let storage = json!({"backend": "reference", "root": "Imported", "path": "Lead.wav"});
    assert_eq!(item["storage"], storage);
    let on_project = |words: &[&str], last: &[&Path]| {
        let words = words.iter().map(AsRef::<std::ffi::OsStr>::as_ref);
        let last = last.iter().map(|path| path.as_os_str());
        scene.home.run(words.chain(last))
    };
    on_project(&["project", "save"], &[&project]);
    let manifest = std::fs::read(project.join("media.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let told = &manifest["items"][0];
    assert_eq!((&told["mediaId"], &told["storage"]), (&json!(id), &storage));
    assert_eq!(told["scope"], Value::Null, "it is the project's: {told}");
    assert_eq!(told["blake3"], blake3::hash(&sound).to_hex().as_str());
    // It is the library's, too: nobody takes it from there.
    assert!(library.exists());
    // Here it plays without the stick.
    assert_eq!(ready(&scene.home, &project)["ready"], true);
    drive.stop();

    // Another machine, which has a sound of that name in a library of that name.
    let other = Home::new();
    stick.move_to(&other.path("Stick"));
    let there = other.mount_with(&[]);
    let another = other.path("Lead.wav");
    std::fs::write(&another, wav(500, 2)).unwrap();
    other.run(["import".as_ref(), "--copy".as_ref(), another.as_os_str()]);
    let project = other.path("Stick");
    other.run(["project".as_ref(), "open".as_ref(), project.as_os_str()]);
    let shown = other.json(["show", &id]);
    assert_eq!(
        (
            &shown["availability"],
            &shown["storage"],
            &shown["playable"]
        ),
        (&json!("missing"), &storage, &json!("silence"))
    );
    let copy = std::fs::read(other.on_drive("projects/Song/Audio/Lead.wav"));
    let why = copy.expect_err("no other sound, and no silence");
    // NFS has no error for it.
    let no_data = match by_nfs() {
        true => Errno::IO,
        false => Errno::NODATA,
    };
    assert_eq!(why.raw_os_error(), Some(no_data.raw_os_error()));
    let answer = ready(&other, &project);
    assert_eq!(answer["ready"], false);
    let reason = answer["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("in the library Imported"), "{answer}");
    let told = other.run(["whereis", &id]);
    assert!(
        told.contains("in the library Imported") && told.contains("collects its sounds"),
        "{told}"
    );
    // Saved there, it is still what it was.
    other.run(["project".as_ref(), "save".as_ref(), project.as_os_str()]);
    let again = std::fs::read(project.join("media.json")).unwrap();
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!(again["items"][0]["storage"], storage);
    there.stop();

    // Collected where the library is, it comes along.
    stick.move_to(&scene.project());
    let _drive = scene.mount(&[]);
    let collected = scene.home.path("Collected");
    scene.home.run([
        "project".as_ref(),
        "save-as".as_ref(),
        "--collect".as_ref(),
        scene.project().as_os_str(),
        collected.as_os_str(),
    ]);
    assert_eq!(
        std::fs::read(collected.join("Media/Lead.wav")).unwrap(),
        sound
    );
}
