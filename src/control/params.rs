//! Reads the parameters of a request, and says which of them is wrong where one is: its name, what it is to be, what came.
//!
//! They are held against the [schema](super::schema) of their method first. serde alone loses the names where types are
//! flattened into each other, as most are here, and knows nothing of parameters that do not exist: these are refused, so
//! that what a client asks for is done or answered with an error, never passed over.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::methods::{Method, SessionHello, SessionShutdown};
use super::schema::{self, DEFINITIONS};
use super::{Reason, RpcError, WirePath};
use crate::model::{MediaId, ObjectHash, is_word};

/// Longer texts are cut in messages.
const SHOWN: usize = 60;

/// What may be said by versions that are not known here.
const OF_EVERY_VERSION: &[&str] = &[SessionHello::NAME, SessionShutdown::NAME];

static TAKEN: LazyLock<schema::Taken> = LazyLock::new(schema::taken);

/// The parameters of a method.
///
/// # Errors
/// [`Reason::InvalidParameter`], with the name of the parameter.
pub(super) fn read<M: Method>(params: Value) -> Result<M::Params, RpcError> {
    check(M::NAME, &params)?;
    serde_json::from_value(params)
        .map_err(|error| RpcError::new(Reason::InvalidParameter, format!("{}: {error}", M::NAME)))
}

fn check(method: &str, params: &Value) -> Result<(), RpcError> {
    let Some(schema) = TAKEN.methods.get(method) else {
        return Ok(());
    };
    let walk = Walk {
        definitions: &TAKEN.definitions,
        unknown_are_taken: OF_EVERY_VERSION.contains(&method),
    };
    walk.check(schema, params).map_err(|fault| {
        let name = fault.name();
        let message = match name.as_str() {
            "" => format!("{method}: {}", fault.what.said_of("the parameters")),
            name => format!("{method}: {}", fault.what.said_of(name)),
        };
        let error = RpcError::new(Reason::InvalidParameter, message);
        if name.is_empty() {
            error
        } else {
            error.parameter(name)
        }
    })
}

/// The names of a method's parameters, and of which types each may be.
#[cfg(test)]
pub(super) fn named(method: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let walk = Walk {
        definitions: &TAKEN.definitions,
        unknown_are_taken: false,
    };
    let mut found = Vec::new();
    let mut schemas: Vec<&Value> = TAKEN.methods.get(method).into_iter().collect();
    while let Some(rules) = schemas.pop().and_then(Value::as_object) {
        schemas.extend(walk.definition(rules).map(|(_, schema)| schema));
        let properties = rules.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let mut types = Vec::new();
            walk.types(schema, &mut types);
            found.push((name.as_str(), types));
        }
    }
    found
}

/// What is wrong, and where: the innermost name last.
struct Fault {
    at: Vec<Step>,
    what: Wrong,
}

enum Step {
    Name(String),
    Index(usize),
}

enum Wrong {
    /// Another type or value.
    Other {
        expected: String,
        came: String,
    },
    /// Of the right type, but not of the right form.
    Form(String),
    Missing(String),
    Unknown {
        known: Vec<String>,
    },
    NoneOf(Vec<String>),
}

impl Wrong {
    fn said_of(&self, name: &str) -> String {
        match self {
            Self::Other { expected, came } => format!("{name} is to be {expected}, and is {came}"),
            Self::Form(error) => format!("{name}: {error}"),
            Self::Missing(expected) => format!("{name} is missing; it is to be {expected}"),
            Self::Unknown { known } if known.is_empty() => {
                format!("there is no parameter {name}; it has none")
            }
            Self::Unknown { known } => {
                format!(
                    "there is no parameter {name}; known are {}",
                    known.join(", ")
                )
            }
            Self::NoneOf(names) => format!("{name} lack one of {}", names.join(", ")),
        }
    }
}

impl Fault {
    fn of(what: Wrong) -> Self {
        Self {
            at: Vec::new(),
            what,
        }
    }

    fn other(expected: impl Into<String>, value: &Value) -> Self {
        Self::of(Wrong::Other {
            expected: expected.into(),
            came: shown(value),
        })
    }

    fn below(mut self, step: Step) -> Self {
        self.at.insert(0, step);
        self
    }

    /// `usages[3].role`.
    fn name(&self) -> String {
        let mut name = String::new();
        for step in &self.at {
            match step {
                Step::Name(part) => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&cut(part));
                }
                Step::Index(index) => name.push_str(&format!("[{index}]")),
            }
        }
        name
    }
}

/// What a schema says, as far as those of parameters use it.
struct Walk<'a> {
    definitions: &'a Map<String, Value>,
    unknown_are_taken: bool,
}

impl<'a> Walk<'a> {
    fn check(&self, schema: &'a Value, value: &Value) -> Result<(), Fault> {
        let Some(rules) = schema.as_object() else {
            return Ok(());
        };
        if let Some((name, definition)) = self.definition(rules) {
            self.check(definition, value).map_err(|mut fault| {
                // The definition's own name may say more.
                if let (true, Wrong::Other { expected, .. }) =
                    (fault.at.is_empty(), &mut fault.what)
                {
                    *expected = self.expected(schema);
                }
                fault
            })?;
            form(name, value)?;
        }
        if let Some(all) = rules.get("allOf").and_then(Value::as_array) {
            for schema in all {
                self.check(schema, value)?;
            }
        }
        let constant = rules.get("const");
        if constant.is_some_and(|constant| constant != value)
            || rules
                .get("enum")
                .and_then(Value::as_array)
                .is_some_and(|words| !words.contains(value))
        {
            return Err(Fault::other(self.expected(schema), value));
        }
        if !is_of_type(rules, value) {
            return Err(Fault::other(self.expected(schema), value));
        }
        match value {
            Value::Object(fields) => self.fields(schema, rules, fields),
            Value::Array(list) => self.list(rules, list),
            Value::String(text) => text_of(rules, text),
            _ => Ok(()),
        }?;
        // Last: a name that is misspelled says more than that one is lacking.
        for word in ["anyOf", "oneOf"] {
            if let Some(some) = rules.get(word).and_then(Value::as_array) {
                self.some_of(some, value)?;
            }
        }
        Ok(())
    }

    fn fields(
        &self,
        schema: &'a Value,
        rules: &'a Map<String, Value>,
        fields: &Map<String, Value>,
    ) -> Result<(), Fault> {
        let properties = rules.get("properties").and_then(Value::as_object);
        let property = |name: &str| properties.and_then(|all| all.get(name));
        let is_closed = kinds(rules).contains(&"object") && !is_open(rules);
        if is_closed && !self.unknown_are_taken {
            let mut known = Vec::new();
            self.names(schema, &mut known);
            if let Some(unknown) = fields.keys().find(|name| !known.contains(name)) {
                let known = known.into_iter().cloned().collect();
                let fault = Fault::of(Wrong::Unknown { known });
                return Err(fault.below(Step::Name(unknown.clone())));
            }
        }
        for name in strings(rules.get("required")) {
            if let (false, Some(schema)) = (fields.contains_key(name), property(name)) {
                let fault = Fault::of(Wrong::Missing(self.expected(schema)));
                return Err(fault.below(Step::Name(name.to_owned())));
            }
        }
        for (name, value) in fields {
            let schema = property(name).or_else(|| rules.get("additionalProperties"));
            if let Some(schema) = schema {
                self.check(schema, value)
                    .map_err(|fault| fault.below(Step::Name(name.clone())))?;
            }
        }
        Ok(())
    }

    fn list(&self, rules: &'a Map<String, Value>, list: &[Value]) -> Result<(), Fault> {
        let Some(schema) = rules.get("items") else {
            return Ok(());
        };
        for (index, value) in list.iter().enumerate() {
            self.check(schema, value)
                .map_err(|fault| fault.below(Step::Index(index)))?;
        }
        Ok(())
    }

    /// One of these at least. Which of two is meant, the types behind say.
    fn some_of(&self, some: &'a [Value], value: &Value) -> Result<(), Fault> {
        // Names of which one has to be there: null is as good as nothing.
        let names: Option<Vec<&str>> = some.iter().map(only_required).collect();
        if let (Some(names), Value::Object(fields)) = (names, value) {
            let named = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null());
            if names.iter().any(named) {
                return Ok(());
            }
            let names = names.into_iter().map(str::to_owned).collect();
            return Err(Fault::of(Wrong::NoneOf(names)));
        }
        let mut nearest: Option<Fault> = None;
        for schema in some {
            match self.check(schema, value) {
                Ok(()) => return Ok(()),
                Err(fault) => {
                    let is_nearer = nearest.as_ref().is_none_or(|other| {
                        (fault.at.len(), matches!(fault.what, Wrong::Form(_)))
                            > (other.at.len(), matches!(other.what, Wrong::Form(_)))
                    });
                    if is_nearer {
                        nearest = Some(fault);
                    }
                }
            }
        }
        match nearest {
            Some(fault) if fault.at.is_empty() && !matches!(fault.what, Wrong::Form(_)) => {
                Err(Fault::other(self.one_of(some), value))
            }
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn definition(&self, rules: &'a Map<String, Value>) -> Option<(&'a str, &'a Value)> {
        let name = rules.get("$ref")?.as_str()?.strip_prefix(DEFINITIONS)?;
        Some((name, self.definitions.get(name)?))
    }

    /// All names that an object may have.
    fn names(&self, schema: &'a Value, found: &mut Vec<&'a String>) {
        let Some(rules) = schema.as_object() else {
            return;
        };
        if let Some((_, definition)) = self.definition(rules) {
            self.names(definition, found);
        }
        if let Some(properties) = rules.get("properties").and_then(Value::as_object) {
            found.extend(properties.keys());
        }
        for word in ["allOf", "anyOf", "oneOf"] {
            for part in rules
                .get(word)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                self.names(part, found);
            }
        }
    }

    #[cfg(test)]
    fn types(&self, schema: &'a Value, found: &mut Vec<&'a str>) {
        let Some(rules) = schema.as_object() else {
            return;
        };
        found.extend(kinds(rules));
        if let Some((_, definition)) = self.definition(rules) {
            self.types(definition, found);
        }
        for word in ["anyOf", "oneOf"] {
            for part in rules
                .get(word)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                self.types(part, found);
            }
        }
    }

    /// What a value is to be, for people.
    fn expected(&self, schema: &'a Value) -> String {
        let Some(rules) = schema.as_object() else {
            return "anything".to_owned();
        };
        if let Some(constant) = rules.get("const") {
            return constant.to_string();
        }
        if let Some(words) = rules.get("enum").and_then(Value::as_array) {
            return either(words.iter().map(Value::to_string).collect());
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(some) = rules.get(word).and_then(Value::as_array)
                && some.iter().all(|part| only_required(part).is_none())
            {
                return self.one_of(some);
            }
        }
        match self.definition(rules) {
            Some(("Path", _)) => "a path, as a text".to_owned(),
            Some((_, definition)) => self.expected(definition),
            None => match kinds(rules).as_slice() {
                [] => "anything".to_owned(),
                kinds => {
                    let words = kinds.iter().filter(|kind| **kind != "null");
                    either(
                        words
                            .map(|kind| type_in_words(kind, rules).into_owned())
                            .collect(),
                    )
                }
            },
        }
    }

    fn one_of(&self, some: &'a [Value]) -> String {
        let is_null = |part: &&Value| part.get("type").and_then(Value::as_str) == Some("null");
        let parts = some.iter().filter(|part| !is_null(part));
        either(parts.map(|part| self.expected(part)).collect())
    }
}

/// Texts of a form that JSON Schema has no word for.
fn form(definition: &str, value: &Value) -> Result<(), Fault> {
    let Value::String(text) = value else {
        return Ok(());
    };
    let checked = match definition {
        "MediaId" => text.parse::<MediaId>().map(drop).map_err(|e| e.to_string()),
        "Kind" | "Origin" | "UsageRole" if !is_word(text) => Err(format!(
            "{:?} is no word: 1 to 64 of A-Z a-z 0-9 . _ - are expected",
            cut(text)
        )),
        "ObjectHash" => ObjectHash::try_from(text.clone()).map(drop),
        "Path" => serde_json::from_value::<WirePath>(value.clone())
            .map(drop)
            .map_err(|e| e.to_string()),
        _ => Ok(()),
    };
    checked.map_err(|error| Fault::of(Wrong::Form(error)))
}

/// `{"required": ["name"]}`, and nothing else.
fn only_required(schema: &Value) -> Option<&str> {
    let rules = schema.as_object().filter(|rules| rules.len() == 1)?;
    strings(rules.get("required")).next()
}

fn is_open(rules: &Map<String, Value>) -> bool {
    matches!(
        rules.get("additionalProperties"),
        Some(Value::Object(_) | Value::Bool(true))
    )
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn kinds(rules: &Map<String, Value>) -> Vec<&str> {
    match rules.get("type") {
        Some(Value::String(kind)) => vec![kind],
        list => strings(list).collect(),
    }
}

fn is_of_type(rules: &Map<String, Value>, value: &Value) -> bool {
    let kinds = kinds(rules);
    kinds.is_empty()
        || kinds.iter().any(|kind| match *kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "number" => value.is_number(),
            "integer" => {
                let (least, most) = bounds(rules);
                let number = value
                    .as_u64()
                    .map(i128::from)
                    .or_else(|| value.as_i64().map(i128::from));
                number.is_some_and(|number| (least..=most).contains(&number))
            }
            _ => true,
        })
}

/// The least and the most of a whole number.
fn bounds(rules: &Map<String, Value>) -> (i128, i128) {
    let given = |word| {
        let bound: &Value = rules.get(word)?;
        bound
            .as_u64()
            .map(i128::from)
            .or_else(|| bound.as_i64().map(i128::from))
    };
    let (least, most) = match rules.get("format").and_then(Value::as_str) {
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("int64") => (i64::MIN.into(), i64::MAX.into()),
        _ => (i64::MIN.into(), u64::MAX.into()),
    };
    (
        given("minimum").map_or(least, |given| given.max(least)),
        given("maximum").map_or(most, |given| given.min(most)),
    )
}

fn text_of(rules: &Map<String, Value>, text: &str) -> Result<(), Fault> {
    let most = rules.get("maxLength").and_then(Value::as_u64);
    match most.and_then(|most| usize::try_from(most).ok()) {
        Some(most) if text.chars().count() > most => Err(Fault::of(Wrong::Form(format!(
            "a text of at most {most} characters is expected"
        )))),
        _ => Ok(()),
    }
}

fn type_in_words<'a>(kind: &'a str, rules: &Map<String, Value>) -> Cow<'a, str> {
    match kind {
        "string" => "a text".into(),
        "boolean" => "true or false".into(),
        "array" => "a list".into(),
        "object" => "an object".into(),
        "number" => "a number".into(),
        "integer" => {
            let (least, most) = bounds(rules);
            format!("a whole number from {least} to {most}").into()
        }
        other => other.into(),
    }
}

fn either(words: Vec<String>) -> String {
    match words.as_slice() {
        [] => "null".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {:?}", cut(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::super::methods::*;
    use super::*;

    fn refused<M: Method>(params: Value) -> (String, String) {
        let Err(error) = read::<M>(params) else {
            panic!("{} took it", M::NAME);
        };
        assert_eq!(error.reason, Reason::InvalidParameter);
        (error.message, error.parameter.unwrap_or_default())
    }

    #[test]
    fn a_parameter_of_another_type_is_named_with_what_it_is_to_be_and_what_came() {
        let told = |(message, parameter): (String, String), wanted: &str, name: &str| {
            assert_eq!(message, wanted);
            assert_eq!(parameter, name);
        };
        told(
            refused::<MediaImport>(json!({"paths": ["/a", "/b", 7]})),
            "media.import: paths[2] is to be a path, as a text, and is the number 7",
            "paths[2]",
        );
        told(
            refused::<MediaImport>(json!({"paths": ["/a"], "mode": "move"})),
            "media.import: mode is to be \"copy\" or \"reference\", and is the text \"move\"",
            "mode",
        );
        told(
            refused::<MediaTag>(json!({"mediaId": 7, "tags": []})),
            "media.tag: mediaId is to be a text, and is the number 7",
            "mediaId",
        );
        told(
            refused::<MediaGet>(json!({"mediaId": "../x"})),
            "media.get: mediaId: \"../x\" is no media id: 1 to 64 letters, digits, '_' or '-' are expected",
            "mediaId",
        );
        told(
            refused::<UsagesAdd>(json!({"usages": [{
                "mediaId": "kick", "project": "p", "role": "clip", "target": []
            }]})),
            "usages.add: usages[0].target is to be a text, and is a list",
            "usages[0].target",
        );
        told(
            refused::<MediaSearch>(json!({"limit": 5_000_000_000_u64})),
            "media.search: limit is to be a whole number from 0 to 4294967295, and is the number 5000000000",
            "limit",
        );
        told(
            refused::<MediaResolve>(json!({"items": [{"mediaId": "a"}, {"path": true}]})),
            "media.resolve: items[1].path is to be a path, as a text, and is true",
            "items[1].path",
        );
    }

    #[test]
    fn parameters_that_are_missing_or_not_known_are_named() {
        assert_eq!(
            refused::<MediaTag>(json!({"mediaId": "kick"})),
            (
                "media.tag: tags is missing; it is to be a list".to_owned(),
                "tags".to_owned()
            )
        );
        let (message, parameter) =
            refused::<MediaRemove>(json!({"mediaId": "kick", "forced": true}));
        assert_eq!(parameter, "forced");
        assert!(
            message.starts_with("media.remove: there is no parameter forced; known are ")
                && message.contains("force")
                && message.contains("projectId"),
            "{message}"
        );
        let (_, parameter) = refused::<MediaResolve>(json!({"items": [{"mediaID": "a"}]}));
        assert_eq!(parameter, "items[0].mediaID");
        let (message, _) = refused::<SessionTasks>(json!({"x": 1}));
        assert_eq!(
            message,
            "session.tasks: there is no parameter x; it has none"
        );
        // What any version may say.
        assert!(read::<SessionHello>(json!({"client": "x", "later": 1})).is_ok());
    }

    #[test]
    fn words_of_newer_hosts_are_taken_within_bounds_and_one_of_two_is_asked_for() {
        let kind =
            |kind: &str| read::<MediaReserve>(json!({"kind": kind, "name": "x", "ext": "wav"}));
        assert!(kind("audio").is_ok() && kind("hologram-2").is_ok());
        for odd in ["", "a b", "\u{202e}", &"x".repeat(65)] {
            assert_eq!(kind(odd).unwrap_err().parameter.as_deref(), Some("kind"));
        }
        let (message, _) = refused::<HistoryRevert>(json!({"who": "me"}));
        assert_eq!(
            message,
            "history.revert: the parameters lack one of operation, group"
        );
        let (message, _) = refused::<MediaRename>(json!({"name": "x", "path": null}));
        assert_eq!(
            message,
            "media.rename: the parameters lack one of mediaId, path"
        );
    }

    #[test]
    fn null_is_as_good_as_nothing_where_a_parameter_may_be_left_out() {
        let read = read::<MediaImport>(json!({"paths": ["/a"], "projectId": null, "mode": null}));
        assert!(read.is_err(), "media.import has no projectId");
        let read =
            super::read::<MediaImport>(json!({"paths": ["/a"], "mode": null, "group": null}));
        assert!(read.is_ok());
    }
}
