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
    let unknown = json!({"usages": [usage(&snare, "a newer host's word", "x")]});
    assert_eq!(desk.call("usages.add", unknown)["added"], 1);
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
    let import = json!({"paths": [sound], "mode": "copy", "project": song});
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
    desk.call("usages.add", params.clone());
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
