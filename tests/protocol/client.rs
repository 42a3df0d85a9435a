//! A client that speaks with the daemon over its socket, and has what is said judged by the printed schema.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Home, MEDIAFS, show};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The printed schema, and what it says of messages.
pub(crate) struct Schema {
    document: Value,
    validators: BTreeMap<String, jsonschema::Validator>,
    pub(crate) judged: BTreeSet<String>,
}

impl Schema {
    pub(crate) fn printed() -> Self {
        let output = Command::new(MEDIAFS).arg("schema").output().unwrap();
        assert!(output.status.success(), "{}", show(&output));
        Self {
            document: serde_json::from_slice(&output.stdout).unwrap(),
            validators: BTreeMap::new(),
            judged: BTreeSet::new(),
        }
    }

    /// The names of all methods.
    pub(crate) fn methods(&self) -> BTreeSet<String> {
        let methods = self.document["methods"].as_object().unwrap();
        methods.keys().cloned().collect()
    }

    /// The value has to be as the schema at `pointer` says.
    fn judge(&mut self, pointer: &str, value: &Value) {
        if !self.validators.contains_key(pointer) {
            let part = self.document.pointer(pointer);
            assert!(part.is_some(), "the schema says nothing of {pointer}");
            let whole = json!({
                "$schema": self.document["$schema"],
                "$defs": self.document["$defs"],
                "allOf": [part],
            });
            let validator = jsonschema::draft202012::new(&whole)
                .unwrap_or_else(|error| panic!("{pointer} is no schema: {error}"));
            self.validators.insert(pointer.to_owned(), validator);
        }
        let errors: Vec<String> = self.validators[pointer]
            .iter_errors(value)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{pointer}: {errors:?} in {value}");
        self.judged.insert(pointer.to_owned());
    }

    pub(crate) fn is_valid(&mut self, pointer: &str, value: &Value) -> bool {
        // Makes the validator, should there be none yet.
        self.validators.get(pointer).unwrap().is_valid(value)
    }
}

/// A client that has every message judged.
pub(crate) struct Socket {
    pub(crate) reader: BufReader<UnixStream>,
    pub(crate) writer: UnixStream,
    last: u64,
    pub(crate) told: Vec<Value>,
}

impl Socket {
    pub(crate) fn connect(home: &Home) -> Self {
        let writer = UnixStream::connect(home.home().join("socket")).unwrap();
        writer.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            reader: BufReader::new(writer.try_clone().unwrap()),
            writer,
            last: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn line(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        writeln!(self.writer, "{request}").unwrap();
        loop {
            let message = self.line();
            // An error without an id is of what was sent last.
            if message["id"] == id || message["id"].is_null() && message.get("error").is_some() {
                return message;
            }
            self.told.push(message);
        }
    }

    pub(crate) fn judged(&mut self, schema: &mut Schema, method: &str, params: Value) -> Value {
        let answer = self.call(method, &params);
        if answer.get("error").is_some() {
            schema.judge("/messages/failure", &answer);
        } else {
            schema.judge(&format!("/methods/{method}/params"), &params);
            schema.judge("/messages/result", &answer);
            schema.judge(&format!("/methods/{method}/result"), &answer["result"]);
        }
        for told in std::mem::take(&mut self.told) {
            judge_told(schema, &told);
        }
        answer
    }

    pub(crate) fn event(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.line();
            let found = message["method"] == name && holds(&message["params"]);
            self.told.push(message.clone());
            if found {
                return message["params"].clone();
            }
        }
    }
}

pub(crate) fn judge_told(schema: &mut Schema, message: &Value) {
    schema.judge("/messages/notification", message);
    let method = message["method"].as_str().unwrap();
    let area = if schema.document["events"].get(method).is_some() {
        "events"
    } else {
        "notifications"
    };
    schema.judge(&format!("/{area}/{method}/params"), &message["params"]);
}
