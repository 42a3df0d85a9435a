//! The control protocol as one document for those who write clients: made from the types, so it cannot say anything else
//! than what is spoken.
//!
//! A schema of parameters says what the daemon takes; one of results and events what it sends. Where a type has other
//! required fields in the one than in the other, both have their own definition.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::ensure::Ensured;
use super::events::{self, Stamp};
use super::methods::{DESCRIBED, OLDEST_PROTOCOL, PROTOCOL, RequestProgress};
use super::rpc::{LONGEST_ID, LONGEST_REQUEST, WireError};
use super::{connections, server};

/// After the name of a definition that differs for what the daemon takes.
const TAKEN: &str = "AsTaken";

/// Where definitions are.
pub(super) const DEFINITIONS: &str = "#/$defs/";

/// What the daemon takes, by itself.
pub(super) struct Taken {
    /// The parameters of each method.
    pub(super) methods: BTreeMap<&'static str, Value>,
    /// What they refer to.
    pub(super) definitions: Map<String, Value>,
}

/// The parameters of all methods.
pub(super) fn taken() -> Taken {
    let mut generator = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator();
    let methods = DESCRIBED
        .iter()
        .map(|method| (method.name, (method.params)(&mut generator).into()))
        .collect();
    Taken {
        methods,
        definitions: generator.take_definitions(true),
    }
}

/// The document. References in it count from its root.
#[must_use]
pub fn document() -> Value {
    let mut taken = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator();
    let mut sent = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut methods = Map::new();
    for method in DESCRIBED {
        methods.insert(
            method.name.to_owned(),
            json!({
                "description": sentence(method.doc),
                "params": (method.params)(&mut taken),
                "result": (method.answer)(&mut sent),
            }),
        );
    }
    let stamp = sent.subschema_for::<Stamp>();
    let mut told = Map::new();
    for event in events::DESCRIBED {
        told.insert(
            event.name.to_owned(),
            json!({
                "description": sentence(event.doc),
                "params": {"allOf": [(event.params)(&mut sent), stamp]},
            }),
        );
    }
    let notifications = json!({
        "request.progress": {
            "description": "How far a request of this connection is that takes long (media.import, media.scan, cache.verify). Comes before its answer; some are left out where the client is slow to read.",
            "params": sent.subschema_for::<RequestProgress>(),
        },
    });
    let error = sent.subschema_for::<WireError>();
    let ensured = sent.subschema_for::<Ensured>();
    let (renames, definitions) = merged(&mut taken, &mut sent);
    for method in methods.values_mut() {
        rename(&mut method["params"], &renames);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The control protocol of mediafs",
        "description": "Not itself the schema of a message: params, result and error below are, with references into $defs. Fields of results, events and errors that are not named here are to be ignored: a newer version may have more. Parameters that are not named here are refused by name, but for those of session.hello and session.shutdown. Moments are in milliseconds since 1970, unless their name says nanoseconds; spans are in seconds.",
        "mediafs": env!("CARGO_PKG_VERSION"),
        "protocol": {"newest": PROTOCOL, "oldest": OLDEST_PROTOCOL},
        "framing": framing(),
        "hello": hello(),
        "limits": limits(),
        "messages": messages(&error),
        "methods": methods,
        "events": told,
        "notifications": notifications,
        "error": error,
        "ensure": {
            "description": "What `mediafs ensure --json` prints: it finds the daemon of the home, or starts it.",
            "result": ensured,
        },
        "$defs": definitions,
    })
}

/// A doc comment as one line.
fn sentence(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn framing() -> Value {
    json!({
        "transport": "A Unix socket (mode 0600) whose path `mediafs ensure --json` gives; the daemon talks to processes of its own user and of root.",
        "encoding": "UTF-8",
        "form": "JSON-RPC 2.0, one message a line, ended by \\n; no line end within a message. No batches. Parameters are an object.",
        "order": "Requests of one connection are worked on at the same time, and answered in the order in which they are done. Events keep theirs.",
        "notificationsOfTheClient": "A request without id is done and not answered.",
    })
}

fn hello() -> Value {
    json!({
        "negotiation": "The client names the versions that it speaks in `protocols` of session.hello; the answer's `protocol` is the newest that both speak, and is spoken from then on.",
        "refused": "If there is none: clientTooOld or daemonTooOld, with what to do.",
        "withoutHello": "All methods are answered, in the newest version of the daemon.",
        "afterRefusal": ["session.hello", "session.shutdown"],
        "sameInEveryVersion": ["session.hello", "session.shutdown"],
        "events": "seq counts the events of one run of the daemon, which hello and session.subscribe name as `instance`. After a new connection, subscribe with the last seq and its instance: if `complete` is false, session.missed comes first, and the client asks for the present state of things.",
    })
}

fn limits() -> Value {
    json!({
        "requestBytes": LONGEST_REQUEST,
        "idBytes": LONGEST_ID,
        "requestsWorkedOnPerConnection": server::AT_A_TIME,
        "requestsASecondPerConnection": server::MOST_A_SECOND,
        "longRequestsOfAllConnections": server::MOST_LONG,
        "malformedInARow": server::MOST_GARBAGE,
        "connections": connections::MOST,
        "connectionsKeptIdle": connections::KEPT,
        "beyond": "Longer messages are answered with an error, and so are those of more than 64 KiB while too many of them are under way. Requests beyond what is worked on, or beyond the rate, wait in the socket and are answered later. After so many malformed messages, and where all `connections` have had requests under way for half a second, tooMany is told and the connection closed. With more than 64 connections, the one that asked nothing for the longest time is closed for a new one if that is 30 seconds or more; with `connections` of them, however long it is. Those that are told of events are not counted, and never closed so.",
    })
}

fn messages(error: &Schema) -> Value {
    let version = json!({"const": "2.0"});
    let id = json!({
        "anyOf": [
            {"type": "integer", "minimum": i64::MIN, "maximum": u64::MAX},
            {"type": "string", "maxLength": LONGEST_ID},
            {"type": "null"},
        ],
        "description": "No two requests under way on a connection have the same, but for null.",
    });
    json!({
        "request": {
            "type": "object",
            "properties": {"jsonrpc": version, "id": id, "method": {"type": "string"}, "params": {"type": ["object", "null"]}},
            "required": ["jsonrpc", "method"],
        },
        "result": {
            "type": "object",
            "properties": {"jsonrpc": version, "id": id, "result": true},
            "required": ["jsonrpc", "id", "result"],
        },
        "failure": {
            "type": "object",
            "properties": {"jsonrpc": version, "id": id, "error": error},
            "required": ["jsonrpc", "id", "error"],
            "description": "The id is null where the request could not be read.",
        },
        "notification": {
            "type": "object",
            "properties": {"jsonrpc": version, "method": {"type": "string"}, "params": {"type": "object"}},
            "required": ["jsonrpc", "method", "params"],
            "not": {"required": ["id"]},
        },
    })
}

/// One set of definitions from both, and the names of those that had to be renamed in what is taken.
fn merged(
    taken: &mut SchemaGenerator,
    sent: &mut SchemaGenerator,
) -> (BTreeSet<String>, Map<String, Value>) {
    let taken = taken.take_definitions(true);
    let mut all = sent.take_definitions(true);
    let mut renamed: BTreeSet<String> = BTreeSet::new();
    // One that refers to a renamed one is another one too.
    loop {
        let before = renamed.len();
        for (name, schema) in &taken {
            let differs = all.get(name).is_some_and(|other| {
                let mut schema = schema.clone();
                rename(&mut schema, &renamed);
                *other != schema
            });
            if differs {
                renamed.insert(name.clone());
            }
        }
        if renamed.len() == before {
            break;
        }
    }
    for (name, mut schema) in taken {
        rename(&mut schema, &renamed);
        let name = if renamed.contains(&name) {
            format!("{name}{TAKEN}")
        } else {
            name
        };
        all.insert(name, schema);
    }
    (renamed, all)
}

/// Lets references to these lead to what is taken.
fn rename(schema: &mut Value, renamed: &BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                if key == "$ref"
                    && let Some(name) = value.as_str().and_then(|to| to.strip_prefix(DEFINITIONS))
                    && renamed.contains(name)
                {
                    *value = Value::String(format!("{DEFINITIONS}{name}{TAKEN}"));
                } else {
                    rename(value, renamed);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, renamed)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::events::Event;
    use super::super::methods::METHODS;
    use super::*;

    fn references(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                found.extend(
                    object
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn everything_is_in_it_with_words_and_every_reference_leads_somewhere() {
        let document = document();
        for name in METHODS {
            let method = &document["methods"][name];
            assert!(
                !method["description"].as_str().unwrap().is_empty(),
                "{name}"
            );
            assert!(
                !method["params"].is_null() && !method["result"].is_null(),
                "{name}"
            );
        }
        for name in Event::NAMES {
            assert!(document["events"][name]["params"].is_object(), "{name}");
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn no_description_speaks_rust() {
        fn look(schema: &Value, found: &mut u32) {
            match schema {
                Value::Object(object) => {
                    for (key, value) in object {
                        if let ("description", Value::String(text)) = (key.as_str(), value) {
                            *found += 1;
                            for words in ["[`", "`]", "::", "`None`", "`Some"] {
                                assert!(!text.contains(words), "{text}");
                            }
                        }
                        look(value, found);
                    }
                }
                Value::Array(list) => list.iter().for_each(|value| look(value, found)),
                _ => {}
            }
        }
        let mut found = 0;
        look(&document(), &mut found);
        assert!(found > 500, "{found}");
    }

    #[test]
    fn what_is_named_by_one_of_two_says_so() {
        let document = document();
        for name in [
            "Which",
            "HistoryRevertParams",
            "CancelParams",
            "RenameParams",
        ] {
            let of_two = document["$defs"][name]["anyOf"].as_array();
            assert_eq!(of_two.map(Vec::len), Some(2), "{name}");
        }
    }

    #[test]
    fn numbers_in_words_are_those_that_count() {
        use super::super::methods::*;
        let document = document();
        let grouped = |number: u64| match number {
            0..10_000 => number.to_string(),
            _ => format!("{},{:03}", number / 1000, number % 1000),
        };
        for (definition, property, most) in [
            ("SearchParams", "limit", u64::from(SearchParams::MOST)),
            ("ProblemsParams", "limit", u64::from(ProblemsParams::MOST)),
            ("CandidatesParams", "limit", u64::from(CandidateList::MOST)),
            ("HistoryListParams", "limit", u64::from(HistoryPage::MOST)),
            ("OperationInfo", "items", u64::from(HistoryPage::MOST_ITEMS)),
            ("UsagesListParams", "limit", u64::from(UsagesPage::MOST)),
            ("ReplaceAnswer", "usages", u64::from(UsagesPage::MOST)),
            ("UsagesParams", "usages", UsagesParams::MOST as u64),
            ("UsagesSetParams", "usages", UsagesParams::MOST as u64),
            ("SilenceParams", "length", u64::from(SilenceParams::MOST)),
            (
                "AnalysisWantedParams",
                "limit",
                u64::from(AnalysisWantedPage::MOST),
            ),
            (
                "AnalysisWantedParams",
                "types",
                AnalysisWantedPage::MOST_TYPES as u64,
            ),
            ("AnalysisArtefact", "artefact", AnalysisArtefact::INLINE),
        ] {
            let words = &document["$defs"][definition]["properties"][property]["description"];
            let wanted = format!("at most {}", grouped(most));
            assert!(
                words.as_str().unwrap().contains(&wanted),
                "{definition}: {words}"
            );
        }
    }

    #[test]
    fn what_is_taken_may_be_less_than_what_is_sent() {
        let document = document();
        let required = |name: &str| -> Vec<&str> {
            let list = document["$defs"][name]["required"].as_array();
            list.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        };
        assert!(
            required("Resolved").contains(&"reason"),
            "sent, though null"
        );
        assert!(!required("Which").contains(&"mediaId"));
        assert!(!required("SearchParams").contains(&"query"));
    }
}
