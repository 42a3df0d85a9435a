//! Usages as the host tells them, and the protection that they give.

use serde_json::{Value, json};

use super::desk::{Desk, operation, refusal};

fn usage(id: &str, role: &str, target: &str) -> Value {
    json!({"mediaId": id, "project": "song", "role": role, "target": target})
}

fn targets(desk: &Desk, params: Value) -> Vec<String> {
    let page = desk.call("usages.list", params);
    page["usages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|usage| {
            let word = |key: &str| usage[key].as_str().unwrap().to_owned();
            format!("{} {} {}", word("name"), word("role"), word("target"))
        })
        .collect()
}

#[test]
fn usages_are_set_added_removed_and_listed_in_pages() {
    let desk = Desk::new();
    let kick = desk.import(&desk.sound("kick.wav", 50, 1));
    let snare = desk.import(&desk.sound("snare.wav", 50, 2));
    let answer = desk.call(
        "usages.add",
        json!({"usages": [usage(&kick, "clip", "c1"), usage(&kick, "track", "Drums"), usage(&kick, "clip", "c1")]}),
    );
    assert_eq!(answer["added"], 2, "{answer}");
    let set = desk.call(
        "usages.set",
        json!({"project": "song", "usages": [
            {"mediaId": kick, "role": "track", "target": "Drums"},
            {"mediaId": snare, "role": "freeze", "target": "n1"},
        ]}),
    );
    assert_eq!((&set["added"], &set["removed"]), (&json!(1), &json!(1)));
    assert_eq!(
        targets(&desk, json!({"project": "song"})),
        ["kick.wav track Drums", "snare.wav freeze n1"]
    );
    assert_eq!(
        targets(&desk, json!({"item": {"mediaId": snare}})),
        ["snare.wav freeze n1"]
    );
    let page = desk.call("usages.list", json!({"limit": 1}));
    assert_eq!(page["usages"][0]["name"], "kick.wav");
    assert!(page["usages"][0]["at"].as_u64().unwrap() > 1_600_000_000_000);
    let rest = desk.call("usages.list", json!({"limit": 1, "after": page["next"]}));
    assert_eq!(rest["usages"][0]["name"], "snare.wav");
    let end = desk.call("usages.list", json!({"limit": 1, "after": rest["next"]}));
    assert_eq!(
        (end["usages"].clone(), end["next"].clone()),
        (json!([]), Value::Null)
    );
    // One revert brings back what the other way of setting took away.
    desk.revert(&operation(&set));
    assert_eq!(
        targets(&desk, json!({})),
        ["kick.wav clip c1", "kick.wav track Drums"]
    );
    // All or nothing.
    let wrong = json!({"usages": [usage(&snare, "clip", "c2"), usage("nobody", "clip", "c3")]});
    assert_eq!(refusal(desk.ask("usages.add", wrong)).0, "notFound");
    for wrong in [usage(&snare, "observed", "x"), usage(&snare, "clip", "")] {
        let params = json!({"usages": [wrong]});
        assert_eq!(
            refusal(desk.ask("usages.add", params)).0,
            "invalidParameter"
        );
    }
    assert_eq!(
        targets(&desk, json!({"item": {"mediaId": snare}})),
        Vec::<String>::new()
    );
    let unknown = json!({"usages": [usage(&snare, "aNewerHostsWord", "x")]});
    let added = desk.call("usages.add", unknown);
    assert_eq!(added["added"], 1);
    assert_eq!(added["unknownProjects"], json!(["song"]));
}

#[test]
fn what_is_used_is_not_removed_without_a_word() {
    let mut desk = Desk::new();
    let path = desk.sound("kick.wav", 50, 1);
    let id = desk.import(&path);
    desk.call(
        "usages.add",
        json!({"usages": [usage(&id, "track", "Drums")]}),
    );
    let (reason, message) = refusal(desk.ask("media.remove", json!({"mediaId": id})));
    assert_eq!(reason, "refused");
    assert!(message.contains("track \"Drums\" of song"), "{message}");
    assert_eq!(desk.get(&id)["usages"].as_array().unwrap().len(), 1);
    // Missing media keep their usages.
    std::fs::remove_file(&path).unwrap();
    desk.restart();
    assert_eq!(desk.get(&id)["usages"][0]["target"], "Drums");
    assert_eq!(
        refusal(desk.ask("media.remove", json!({"mediaId": id}))).0,
        "refused"
    );
    let removed = desk.call("media.remove", json!({"mediaId": id, "force": true}));
    assert_eq!(targets(&desk, json!({})), Vec::<String>::new());
    desk.revert(&operation(&removed));
    assert_eq!(targets(&desk, json!({})), ["kick.wav track Drums"]);
    desk.call(
        "usages.remove",
        json!({"usages": [usage(&id, "track", "Drums")]}),
    );
    desk.call("media.remove", json!({"mediaId": id}));
}

#[test]
fn a_copy_of_a_project_keeps_its_own_usages_and_history() {
    let desk = Desk::new();
    let song = desk.folder.path().join("Song");
    let made = desk.call("project.new", json!({"path": song, "focused": true}));
    let project = made["projectId"].clone();
    let sound = desk.sound("kick.wav", 50, 1);
    let import = json!({"paths": [sound], "mode": "copy", "projectPath": song});
    let kick = desk.call("media.import", import)["items"][0]["mediaId"].clone();
    desk.call("project.save", json!({"path": song}));
    // A backup, say: the same ids, open beside it.
    let copy = desk.folder.path().join("Copy");
    std::fs::create_dir_all(copy.join("Media")).unwrap();
    std::fs::copy(song.join("media.json"), copy.join("media.json")).unwrap();
    for entry in std::fs::read_dir(song.join("Media")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join("Media").join(entry.file_name())).unwrap();
    }
    let focus = |path: &std::path::Path| {
        desk.call("project.open", json!({"path": path, "focused": true}));
    };
    let count = || {
        let page = desk.call("usages.list", json!({"project": project}));
        page["usages"].as_array().unwrap().len()
    };
    let params = json!({"usages": [
        {"mediaId": kick, "project": project, "role": "track", "target": "Drums"},
    ]});
    let added = desk.call("usages.add", params.clone());
    assert!(added.get("unknownProjects").is_none(), "{added}");
    focus(&copy);
    desk.call("usages.add", params);
    assert_eq!(count(), 2);
    let none = json!({"project": project, "usages": []});
    assert_eq!(desk.call("usages.set", none.clone())["removed"], 1);
    assert_eq!(count(), 1);
    // What is undone is that of the one that the host works in.
    desk.call("history.undo", json!({"project": project}));
    assert_eq!(count(), 2);
    focus(&song);
    desk.call("history.undo", json!({"project": project}));
    assert_eq!(count(), 1);
    focus(&copy);
    assert_eq!(desk.call("usages.set", none)["removed"], 1);
    assert_eq!(count(), 0);
}

#[test]
fn items_of_two_projects_with_one_id_are_told_apart() {
    let desk = Desk::new();
    let open = |name: &str, frames: u32| {
        let folder = desk.folder.path().join(name);
        let made = desk.call(
            "project.new",
            json!({"path": folder, "focused": name == "A"}),
        );
        let sound = desk.sound(&format!("{name}.wav"), frames, 1);
        let import =
            json!({"paths": [sound], "mode": "copy", "projectPath": folder, "mediaId": "shared"});
        desk.call("media.import", import);
        made["projectId"].as_str().unwrap().to_owned()
    };
    let (a, b) = (open("A", 50), open("B", 60));
    let of = |project: &str| {
        desk.call(
            "media.get",
            json!({"mediaId": "shared", "projectId": project}),
        )
    };
    assert_eq!(of(&a)["name"], "A.wav");
    assert_eq!(of(&b)["name"], "B.wav");
    assert_eq!(of(&a)["path"], "by-id/shared/A.wav");
    assert_eq!(of(&b)["path"], "projects/B/by-id/shared/B.wav");
    let named = |which: Value| desk.call("media.get", which)["name"].clone();
    assert_eq!(named(json!({"mediaId": "shared"})), "A.wav", "in focus");
    let path = of(&b)["resolvedPath"].clone();
    assert_eq!(named(json!({"mediaId": "shared", "path": path})), "B.wav");
    desk.call(
        "media.rename",
        json!({"mediaId": "shared", "projectId": b, "name": "Other"}),
    );
    assert_eq!(of(&a)["name"], "A.wav");
    assert_eq!(of(&b)["name"], "Other.wav");
    // Who uses it has it.
    let usage = json!({"mediaId": "shared", "project": b, "role": "track", "target": "Drums"});
    desk.call("usages.add", json!({"usages": [usage]}));
    assert_eq!(of(&a)["usages"], json!([]));
    assert_eq!(of(&b)["usages"][0]["target"], "Drums");
    let nobodys = json!({"mediaId": "shared", "projectId": "nobody's"});
    assert_eq!(refusal(desk.ask("media.get", nobodys)).0, "notFound");
}
