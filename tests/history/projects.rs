//! What is done to projects is in history too: what can be reverted, and what it only tells of.

use serde_json::{Value, json};

use super::desk::{Desk, operation, refusal};

fn listed(desk: &Desk) -> Vec<Value> {
    let page = desk.call("history.list", json!({}));
    page["operations"].as_array().unwrap().clone()
}

#[test]
fn what_cannot_be_reverted_is_told_and_stands_in_nobodys_way() {
    let desk = Desk::new();
    let song = desk.folder.path().join("folder");
    let intent = json!({"group": "g", "who": "host"});
    let with = |mut params: Value| {
        for (key, value) in intent.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    };
    let made = desk.call(
        "project.new",
        with(json!({"path": song, "name": "Ouverture à la Turque"})),
    );
    assert_eq!(made["name"], "Ouverture à la Turque");
    let sound = desk.sound("kick.wav", 100, 1);
    let imported = desk.call(
        "media.import",
        json!({"paths": [sound], "projectPath": song}),
    );
    let id = imported["items"][0]["mediaId"].as_str().unwrap().to_owned();
    let renamed = desk.call(
        "media.rename",
        json!({"mediaId": id, "projectId": made["projectId"], "name": "boom.wav"}),
    );
    let saved = desk.call("project.save", with(json!({"path": song, "revision": "7"})));
    let draft = desk.call(
        "project.saveDraft",
        with(json!({"path": song, "draft": "pads", "state": 1})),
    );
    let forgot = desk.call(
        "project.removeDraft",
        with(json!({"path": song, "draft": "pads"})),
    );
    let to = desk.folder.path().join("As");
    let saved_as = desk.call("project.saveAs", with(json!({"path": song, "to": to})));
    let text = desk.call("project.export", json!({"path": song}))["text"].clone();
    let loaded = desk.call("project.load", with(json!({"path": song, "text": text})));
    let told = [
        (&made, "made the project Ouverture à la Turque"),
        (&saved, "saved Ouverture à la Turque (revision 7)"),
        (&draft, "kept the draft \"pads\" of Ouverture à la Turque"),
        (
            &forgot,
            "forgot the draft \"pads\" of Ouverture à la Turque",
        ),
        (&saved_as, "saved Ouverture à la Turque as As"),
        (&loaded, "rebuilt Ouverture à la Turque"),
    ];
    let list = listed(&desk);
    for (answer, summary) in told {
        let id = operation(answer);
        assert_eq!(answer["operation"]["summary"], summary);
        let row = list.iter().find(|row| row["id"] == id).unwrap();
        assert_eq!(
            (&row["revertible"], &row["group"], &row["who"]),
            (&false.into(), &"g".into(), &"host".into())
        );
        let reverted = desk.revert(&id);
        assert_eq!(reverted["outcome"], "conflict", "{reverted}");
        assert!(
            reverted["conflicts"][0]["reason"]
                .as_str()
                .unwrap()
                .contains(summary),
            "{reverted}"
        );
    }
    // Nothing new, so nothing is told.
    let again = desk.call("project.save", json!({"path": song}));
    assert!(again["operation"].is_null(), "{again}");
    // None of a group can be reverted, so there is none.
    let (reason, _) = refusal(desk.ask("history.revert", json!({"group": "g"})));
    assert_eq!(reason, "notFound");
    // What is undone is what can be; and a save does not keep it from being done again.
    let undone = desk.call("history.undo", json!({}));
    assert_eq!(undone["outcome"], "reverted", "{undone}");
    let name = |desk: &Desk| {
        desk.items()
            .iter()
            .find(|item| {
                item["scope"]
                    .to_string()
                    .contains(made["projectId"].as_str().unwrap())
            })
            .map(|item| item["name"].clone())
    };
    assert_eq!(name(&desk), Some("kick.wav".into()));
    assert!(desk.call("project.save", json!({"path": song}))["operation"]["id"].is_u64());
    desk.call("history.redo", json!({}));
    assert_eq!(name(&desk), Some("boom.wav".into()));
    let row = listed(&desk)
        .into_iter()
        .find(|row| row["id"] == renamed["operation"]["id"])
        .unwrap();
    assert_eq!(row["revertible"], true);
}

#[test]
fn a_name_that_no_project_can_have_is_refused_and_nothing_is_made() {
    let desk = Desk::new();
    let song = desk.folder.path().join("folder");
    for name in ["", "  ", &"x".repeat(1025)] {
        refusal(desk.ask("project.new", json!({"path": song, "name": name})));
    }
    assert!(!song.join("media.json").exists());
    desk.call("project.new", json!({"path": song, "name": "A"}));
    refusal(desk.ask("project.new", json!({"path": song, "name": "B"})));
    let manifest = std::fs::read_to_string(song.join("media.json")).unwrap();
    assert!(manifest.contains(r#""name": "A""#), "{manifest}");
}

#[test]
fn what_goes_between_library_and_project_can_be_reverted() {
    let desk = Desk::new();
    let song = desk.folder.path().join("Song");
    let made = desk.call("project.new", json!({"path": song}));
    let project = made["projectId"].as_str().unwrap();
    let id = desk.import(&desk.sound("hat.wav", 100, 1));
    let used = desk.call(
        "project.use",
        json!({"project": {"path": song}, "item": {"mediaId": id}, "group": "g"}),
    );
    assert_eq!(used["mediaId"], id.as_str());
    assert_eq!(used["operation"]["summary"], "took hat.wav into Song");
    let scopes = |desk: &Desk, id: &str| {
        let items = desk.items();
        let of_id = items.iter().filter(|item| item["mediaId"] == id);
        let of_project = of_id.map(|item| item["scope"].to_string().contains(project));
        let mut scopes: Vec<bool> = of_project.collect();
        scopes.sort_unstable();
        scopes
    };
    assert_eq!(scopes(&desk, &id), [false, true]);
    let reverted = desk.revert(&operation(&used));
    assert_eq!(reverted["outcome"], "reverted", "{reverted}");
    assert_eq!(scopes(&desk, &id), [false]);
    desk.call("history.redo", json!({}));
    assert_eq!(scopes(&desk, &id), [false, true]);

    let sound = desk.sound("own.wav", 100, 2);
    let own = desk.call(
        "media.import",
        json!({"paths": [sound], "projectPath": song}),
    );
    let own = own["items"][0]["mediaId"].as_str().unwrap().to_owned();
    let promoted = desk.call(
        "media.promote",
        json!({"project": {"path": song}, "item": {"mediaId": own}}),
    );
    assert_eq!(
        promoted["operation"]["summary"],
        "took own.wav into the library"
    );
    assert_eq!(scopes(&desk, &own), [false, true]);
    desk.revert(&operation(&promoted));
    assert_eq!(scopes(&desk, &own), [true]);
}
