//! Every method against parameters that nobody should send: an answer or an error, never a fault.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::control::methods::{METHODS, Notification};
use crate::control::params;
use crate::control::{Caller, CallerGone, Handler, Reason};
use crate::daemon::service_without_daemon;
use crate::home::{Home, Purpose};

/// The names of parameters.
const NAMES: &[&str] = &[
    "mediaId",
    "path",
    "paths",
    "items",
    "tags",
    "name",
    "to",
    "after",
    "limit",
    "offset",
    "length",
    "query",
    "task",
    "request",
    "topics",
    "since",
    "instance",
    "pid",
    "startTime",
    "class",
    "strict",
    "size",
    "blake3",
    "bytes",
    "volume",
    "project",
    "mode",
    "client",
    "protocols",
    "kind",
    "ext",
    "expectedSeconds",
    "format",
    "usages",
    "recovered",
    "dryRun",
];

fn text() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "",
        "\0",
        "..",
        "../../etc/passwd",
        "relative",
        "/no/such/file",
        "/no/such/\0",
        "file:///no/%ff/such",
        "file://%",
        "kick-1",
        "L:\\x",
        "\u{202e}",
        "player",
        "copy",
        "windows",
        "-1",
        "'; DROP TABLE item; --",
        "%",
        "*",
    ]);
    prop_oneof![
        18 => words.prop_map(Value::from),
        1 => Just(Value::from("x".repeat(5000))),
        1 => Just(Value::from(format!("/{}", "x/".repeat(5000)))),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![0_u64, 1, u64::MAX, 1 << 32, (1 << 32) - 1, 1 << 63])
            .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text(),
        number(),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        Just(json!(1e308)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(NAMES), inner, 0..4).prop_map(object),
        ]
    })
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// Mostly one of these types: others are refused before anything is looked at.
fn of_types(types: &[&str]) -> BoxedStrategy<Value> {
    let fitting = if types.contains(&"string") {
        text().boxed()
    } else if types.contains(&"integer") {
        number().boxed()
    } else if types.contains(&"boolean") {
        any::<bool>().prop_map(Value::from).boxed()
    } else if types.contains(&"array") {
        let items = prop_oneof![
            text(),
            text().prop_map(|text| json!({"path": text})),
            text().prop_map(|text| json!({"mediaId": text})),
        ];
        prop::collection::vec(items, 0..4)
            .prop_map(Value::from)
            .boxed()
    } else {
        value().boxed()
    };
    prop_oneof![9 => fitting, 1 => value()].boxed()
}

/// A method, and parameters that it has, but for one now and then.
fn request() -> impl Strategy<Value = (&'static str, Value)> {
    prop::sample::select(METHODS).prop_flat_map(|method| {
        let mut fields: Vec<_> = params::named(method)
            .into_iter()
            .map(|(name, types)| (Just(name), prop::option::of(of_types(&types))).boxed())
            .collect();
        let unheard_of = prop::option::weighted(0.05, value());
        fields.push((Just("unheardOf"), unheard_of).boxed());
        let params = fields.prop_map(|fields| {
            let given = fields.into_iter();
            object(given.filter_map(|(name, value)| Some((name, value?))))
        });
        (Just(method), params)
    })
}

struct Nobody;

impl Caller for Nobody {
    fn tell(&mut self, _: &Notification) -> Result<(), CallerGone> {
        Ok(())
    }

    fn gone(&self) -> bool {
        false
    }
}

#[test]
fn no_parameters_make_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::locate(Some(folder.path())).unwrap();
    home.prepare(&[]).unwrap();
    let lock = home.lock(Purpose::Command, Duration::ZERO).unwrap();
    let service: Arc<dyn Handler> =
        service_without_daemon(&home, lock, &Config::defaults().unwrap()).unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let understood = std::cell::Cell::new(0);
    runner
        .run(&request(), |(method, params)| {
            match service.handle(method, params, &mut Nobody) {
                Ok(_) => understood.set(understood.get() + 1),
                Err(error) => {
                    prop_assert_ne!(error.reason, Reason::Internal, "{}: {}", method, error);
                    // What serde says: of no parameter by its name.
                    let is_named = ["invalid type", "missing field", "unknown variant"]
                        .iter()
                        .all(|words| !error.message.contains(words));
                    prop_assert!(is_named, "{}", error);
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(
        understood.get() > 200,
        "most are refused before they are looked at: {}",
        understood.get()
    );
}
