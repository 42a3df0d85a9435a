//! What a host says of projects, usages, analyses and history, judged by the schema.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Schema, Socket};
use crate::support::Home;
use crate::support::sounds::wav;

/// Whether a method is called here.
pub(crate) fn calls(method: &str) -> bool {
    const AREAS: [&str; 4] = ["project.", "history.", "usages.", "analysis."];
    const OF_MEDIA: [&str; 5] = [
        "media.candidates",
        "media.promote",
        "media.relinkSearch",
        "media.replace",
        "media.setAttribute",
    ];
    AREAS.iter().any(|area| method.starts_with(area)) || OF_MEDIA.contains(&method)
}

/// A connection, and what was called over it.
struct Host {
    socket: Socket,
    schema: Schema,
    called: BTreeSet<String>,
}

impl Host {
    /// The result; there is to be one.
    fn asks(&mut self, method: &str, params: Value) -> Value {
        let answer = self.socket.judged(&mut self.schema, method, params);
        self.called.insert(method.to_owned());
        assert!(answer.get("result").is_some(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The error; there is to be one.
    fn is_refused(&mut self, method: &str, params: Value) -> Value {
        let answer = self.socket.judged(&mut self.schema, method, params);
        self.called.insert(method.to_owned());
        assert!(answer.get("error").is_some(), "{method}: {answer}");
        answer["error"].clone()
    }
}

#[test]
fn what_hosts_speak_is_what_the_schema_says() {
    let home = Home::new();
    std::fs::write(home.library().join("kick.wav"), wav(5000, 1)).unwrap();
    std::fs::write(home.library().join("snare.wav"), wav(4000, 2)).unwrap();
    let _drive = home.mount();
    let items = home.wait_for_items(2);
    let named = |name: &str| {
        let mut found = items.iter().filter(|item| item["name"] == name);
        found.next().unwrap()["mediaId"].clone()
    };
    let (kick, snare) = (named("kick.wav"), named("snare.wav"));
    let mut host = Host {
        socket: Socket::connect(&home),
        schema: Schema::printed(),
        called: BTreeSet::new(),
    };
    let at = home.path("song");
    std::fs::create_dir(&at).unwrap();
    let made = host.asks("project.new", json!({"path": at, "focused": true}));
    let id = made["projectId"].clone();
    assert!(id.is_string(), "{made}");
    let project = json!({"projectId": id});
    host.asks(
        "project.use",
        json!({"project": project, "item": {"mediaId": kick}}),
    );
    let clip = json!({"project": id, "role": "clip", "target": "c1", "mediaId": kick});
    host.asks("usages.add", json!({"usages": [clip], "group": "g"}));
    let set = json!({"role": "track", "target": "t1", "mediaId": snare});
    host.asks("usages.set", json!({"project": id, "usages": [set]}));
    host.asks("usages.list", json!({"project": id}));
    let gone = json!({"project": id, "role": "track", "target": "t1", "mediaId": snare});
    host.asks("usages.remove", json!({"usages": [gone]}));
    let value = json!({"mediaId": kick, "attribute": "bpm", "value": 120});
    host.asks("media.setAttribute", value);

    let tempo = json!({"type": "tempo", "producer": "tapper 1"});
    let hash = loop {
        let wanted = host.asks("analysis.wanted", json!({"types": [tempo]}));
        // It is named once its hash is known.
        let items = wanted["items"].as_array().unwrap();
        if let Some(found) = items.iter().find(|item| item["mediaId"] == kick) {
            break found["blake3"].clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let artefact = json!({"type": "tempo", "producer": "tapper 1", "mediaId": kick, "blake3": hash,
        "process": std::process::id(), "artefact": "120"});
    host.asks("analysis.put", artefact);
    let of = json!({"type": "tempo", "producer": "tapper 1", "mediaId": kick});
    assert_eq!(host.asks("analysis.get", of)["artefact"], "120");

    host.asks("project.save", json!({"projectId": id, "revision": "r1"}));
    let refused = host.is_refused("project.open", json!({"path": at, "revision": "r7"}));
    let revisions = &refused["data"]["revisions"];
    assert_eq!(refused["data"]["reason"], "refused", "{refused}");
    assert_eq!(
        (&revisions["wanted"], &revisions["present"]),
        (&json!("r7"), &json!("r1"))
    );
    let nowhere = host.is_refused("project.open", json!({"path": home.path("nowhere")}));
    assert_eq!(nowhere["data"]["reason"], "notFound", "{nowhere}");
    let no_project = home.path("plain");
    std::fs::create_dir(&no_project).unwrap();
    let refused = host.is_refused("project.open", json!({"path": no_project}));
    // A host is told of methods, a person at a shell of commands.
    assert_eq!(
        refused["data"]["remedy"], "project.new makes one of it",
        "{refused}"
    );
    let command = refused["data"]["command"].as_str().unwrap();
    assert!(command.contains("`mediafs project new`"), "{refused}");
    let open = host.is_refused("history.undo", json!({"project": id}));
    let remedy = open["data"]["remedy"].as_str().unwrap();
    assert!(remedy.contains("history.revert (operation: "), "{open}");
    let wrong = host.is_refused("media.tag", json!({"mediaId": kick, "tags": ["a", 7]}));
    assert_eq!(wrong["data"]["parameter"], "tags[1]", "{wrong}");
    let usages =
        json!({"usages": [{"mediaId": kick, "project": id, "role": "clip", "target": "c"}]});
    host.asks("usages.add", usages.clone());
    let used = host.is_refused("media.remove", json!({"mediaId": kick}));
    host.asks("usages.remove", usages);
    assert!(
        used["data"]["remedy"]
            .as_str()
            .unwrap()
            .contains("`force: true`"),
        "{used}"
    );
    host.asks("project.open", json!({"path": at, "revision": "r1"}));
    let state = json!({"projectId": id, "draft": "pads", "state": "{}"});
    host.asks("project.saveDraft", state);
    host.asks("project.draft", json!({"projectId": id, "draft": "pads"}));
    host.asks(
        "project.removeDraft",
        json!({"projectId": id, "draft": "pads"}),
    );
    host.asks("project.status", json!({"projectId": id}));
    host.asks("project.list", json!({}));
    host.asks("project.ready", json!({"projectId": id}));
    host.is_refused("project.allow", json!({"projectId": id, "keys": ["none"]}));
    let exported = host.asks("project.export", json!({"projectId": id}));
    let other = home.path("other");
    std::fs::create_dir(&other).unwrap();
    let text = exported["text"].clone();
    host.asks("project.load", json!({"path": other, "text": text}));
    let collected = home.path("collected");
    host.asks(
        "project.saveAs",
        json!({"path": at, "to": collected, "collect": true}),
    );
    let sound = home.library().join("snare.wav");
    let words: [&std::ffi::OsStr; 6] = [
        "import".as_ref(),
        "--json".as_ref(),
        "--copy".as_ref(),
        "--project".as_ref(),
        at.as_ref(),
        sound.as_ref(),
    ];
    let imported = home.run(words);
    let imported: Value = serde_json::from_str(&imported).unwrap();
    host.asks(
        "media.promote",
        json!({"project": {"path": at}, "item": {"mediaId": imported[0]["mediaId"]}}),
    );

    let takes = home.path("longer.wav");
    std::fs::write(&takes, wav(6000, 3)).unwrap();
    let replace = json!({"mediaId": snare, "to": takes});
    host.asks("media.replace", replace);
    let replace = json!({"mediaId": snare, "to": takes, "consent": true, "group": "g2"});
    host.asks("media.replace", replace);
    std::fs::remove_file(home.library().join("kick.wav")).unwrap();
    host.asks("media.candidates", json!({"mediaId": kick}));
    host.asks(
        "media.relinkSearch",
        json!({"folders": [home.library()], "dryRun": true}),
    );

    let history = host.asks("history.list", json!({"limit": 100}));
    let newest = history["operations"][0]["id"].clone();
    host.asks("history.revert", json!({"operation": newest}));
    host.asks("history.revert", json!({"group": "g"}));
    for at in [&at, &other, &collected] {
        host.asks("project.close", json!({"path": at}));
    }
    host.asks("history.undo", json!({}));
    host.asks("history.redo", json!({}));

    let forgotten: Vec<_> = host
        .schema
        .methods()
        .into_iter()
        .filter(|name| calls(name))
        .collect();
    let forgotten: Vec<_> = forgotten
        .iter()
        .filter(|name| !host.called.contains(*name))
        .collect();
    assert!(forgotten.is_empty(), "not called: {forgotten:?}");
}
