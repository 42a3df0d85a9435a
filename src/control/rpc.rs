//! JSON-RPC 2.0 as it goes over the wire: one message a line.
//!
//! Lines come from the socket; requests go to the [service](super::Service), answers and notifications back.
//! Foreign bytes end here: whatever comes in, the outcome is a [`Request`] or an [`RpcError`] to answer with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The longest request, in bytes, without its line end.
pub const LONGEST_REQUEST: usize = 1 << 20;

/// The longest id of a request that is a text, in bytes.
pub const LONGEST_ID: usize = 256;

/// A request, or a notification of the client if it has no id.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// What the answer is to carry; `None`: no answer is wanted.
    pub id: Option<Value>,
    /// `area.verb`.
    pub method: String,
    /// An object; empty if none was given.
    pub params: Value,
}

/// The numbers of JSON-RPC.
mod code {
    pub(super) const PARSE: i32 = -32700;
    pub(super) const INVALID_REQUEST: i32 = -32600;
    pub(super) const UNKNOWN_METHOD: i32 = -32601;
    pub(super) const INVALID_PARAMS: i32 = -32602;
    pub(super) const INTERNAL: i32 = -32603;
    pub(super) const FAILED: i32 = -32000;
}

/// Why a request failed, in one word that programs can rely on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Reason {
    /// The message is no request.
    Malformed,
    /// There is no such method.
    UnknownMethod,
    /// A parameter is missing or impossible.
    InvalidParameter,
    /// There is no such item, project, library or process.
    NotFound,
    /// The id or name belongs to something else.
    Taken,
    /// It would lose or mix up something.
    Refused,
    /// What was done since stands in the way.
    Conflict,
    /// The storage or the catalog failed.
    Storage,
    /// The caller or the end of the daemon stopped it; what was done until then stays.
    Cancelled,
    /// Not possible without a running daemon.
    NoDaemon,
    /// The client speaks only versions of the protocol that the daemon does not know any more.
    ClientTooOld,
    /// The client speaks only versions of the protocol that the daemon does not know yet.
    DaemonTooOld,
    /// More at a time than is taken.
    TooMany,
    /// A fault of mediafs.
    Internal,
    /// Never sent: what a client makes of one that a newer daemon has.
    #[serde(other)]
    Other,
}

/// What a failed request is answered with.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// In one word.
    pub reason: Reason,
    /// What failed, on what, and why.
    pub message: String,
    /// What the user can do, in the words of the protocol.
    pub remedy: Option<String>,
    /// The same in those of the command line, where they are others.
    pub command: Option<String>,
    /// The parameter that is wrong, where it is one alone.
    pub parameter: Option<String>,
    /// Of a project that is at another revision than was asked for.
    pub revisions: Option<Box<Revisions>>,
}

/// What a project is at, where that is not what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revisions {
    /// What was asked for.
    pub wanted: String,
    /// What its manifest has; `null`: none was ever given.
    pub present: Option<String>,
    /// What the manifest before that has, which `previous: true` opens.
    pub previous: Option<String>,
}

/// What is answered in the place of a result.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct WireError {
    /// JSON-RPC's number: -32700 no JSON, -32600 no request, -32601 no such method, -32602 impossible parameters,
    /// -32603 a fault of mediafs, -32000 all else. `reason` says more.
    code: i32,
    /// What failed, on what, and why, for people.
    message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<WireErrorData>,
}

/// What programs can rely on.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ErrorData")]
struct WireErrorData {
    /// Why, in a word. A newer daemon may have others.
    reason: Reason,
    /// What can be done, in words of this protocol: methods and parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// The same for people at a shell, where its words are others: commands and flags of `mediafs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// Which parameter is wrong, where it is one alone: `paths[2]`, `usages[0].role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// Of a project that is at another revision than was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revisions: Option<Box<Revisions>>,
}

impl From<RpcError> for WireErrorData {
    fn from(error: RpcError) -> Self {
        Self {
            reason: error.reason,
            remedy: error.remedy,
            command: error.command,
            parameter: error.parameter,
            revisions: error.revisions,
        }
    }
}

impl RpcError {
    /// Without a remedy.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            remedy: None,
            command: None,
            parameter: None,
            revisions: None,
        }
    }

    /// With what the user can do at a shell, where that has other words than the protocol.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// In one line for people at a shell.
    #[must_use]
    pub fn at_shell(&self) -> String {
        match self.command.as_ref().or(self.remedy.as_ref()) {
            Some(remedy) => format!("{}; {remedy}", self.message),
            None => self.message.clone(),
        }
    }

    /// With what a project is at, and what was asked for.
    #[must_use]
    pub(super) fn revisions(mut self, revisions: Revisions) -> Self {
        self.revisions = Some(Box::new(revisions));
        self
    }

    /// With the parameter that is wrong.
    #[must_use]
    pub(super) fn parameter(mut self, name: impl Into<String>) -> Self {
        self.parameter = Some(name.into());
        self
    }

    /// With what the user can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// An error and all its causes in one line.
    #[must_use]
    pub fn from_error(reason: Reason, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(reason, one_line(error))
    }

    fn code(&self) -> i32 {
        match self.reason {
            Reason::Malformed => code::INVALID_REQUEST,
            Reason::UnknownMethod => code::UNKNOWN_METHOD,
            Reason::InvalidParameter => code::INVALID_PARAMS,
            Reason::Internal => code::INTERNAL,
            _ => code::FAILED,
        }
    }
}

impl From<RpcError> for WireError {
    fn from(error: RpcError) -> Self {
        Self {
            code: error.code(),
            message: error.message.clone(),
            data: Some(error.into()),
        }
    }
}

impl From<WireError> for RpcError {
    fn from(error: WireError) -> Self {
        let Some(data) = error.data else {
            return Self::new(Reason::Internal, error.message);
        };
        Self {
            reason: data.reason,
            message: error.message,
            remedy: data.remedy,
            command: data.command,
            parameter: data.parameter,
            revisions: data.revisions,
        }
    }
}

/// An error and its causes, `: ` between them.
#[must_use]
pub fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// A line that is no request: the error, and the id to answer it to (null where it could not be read).
#[derive(Clone, PartialEq, Debug)]
pub struct BadRequest {
    /// To answer with.
    pub id: Value,
    /// JSON-RPC's number of the error.
    code: i32,
    /// What is wrong.
    message: String,
}

impl BadRequest {
    /// For a line of more than [`LONGEST_REQUEST`] bytes.
    #[must_use]
    pub fn too_long() -> Self {
        Self {
            id: Value::Null,
            code: code::INVALID_REQUEST,
            message: format!("a message may have at most {LONGEST_REQUEST} bytes"),
        }
    }

    /// For an id that another request has which is not answered yet.
    #[must_use]
    pub fn id_in_use(id: Value) -> Self {
        let message = format!("a request with the id {id} is under way; give each its own");
        Self::new(id, message)
    }

    fn new(id: Value, message: impl Into<String>) -> Self {
        Self {
            id,
            code: code::INVALID_REQUEST,
            message: message.into(),
        }
    }

    /// The answer, as a line.
    #[must_use]
    pub fn line(self) -> Vec<u8> {
        line(&json!({
            "jsonrpc": "2.0",
            "id": self.id,
            "error": WireError {
                code: self.code,
                message: self.message,
                data: Some(RpcError::new(Reason::Malformed, "").into()),
            },
        }))
    }
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// [`BadRequest`] if it is not JSON, no object, or not of JSON-RPC 2.0's form.
    pub fn parse(text: &[u8]) -> Result<Self, BadRequest> {
        let value: Value = serde_json::from_slice(text).map_err(|error| BadRequest {
            id: Value::Null,
            code: code::PARSE,
            message: format!("not JSON: {error}"),
        })?;
        let mut object = match value {
            Value::Object(object) => object,
            Value::Array(_) => {
                return Err(BadRequest::new(
                    Value::Null,
                    "batches are not taken: send one request a line",
                ));
            }
            _ => return Err(BadRequest::new(Value::Null, "a request is an object")),
        };
        let id = object.remove("id");
        // Other numbers would not come back as they were sent.
        let is_id = match &id {
            None | Some(Value::Null) => true,
            Some(Value::Number(number)) => number.is_u64() || number.is_i64(),
            Some(Value::String(text)) => text.len() <= LONGEST_ID,
            Some(Value::Object(_) | Value::Array(_) | Value::Bool(_)) => false,
        };
        if !is_id {
            return Err(BadRequest::new(
                Value::Null,
                format!(
                    "an id is a whole number of 64 bits, a text of at most {LONGEST_ID} bytes, or null"
                ),
            ));
        }
        let answer_to = id.clone().unwrap_or(Value::Null);
        if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(BadRequest::new(
                answer_to,
                "\"jsonrpc\": \"2.0\" is missing",
            ));
        }
        let Some(Value::String(method)) = object.remove("method") else {
            return Err(BadRequest::new(
                answer_to,
                "\"method\" is missing or no text",
            ));
        };
        let params = match object.remove("params") {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(params @ Value::Object(_)) => params,
            Some(_) => {
                return Err(BadRequest::new(
                    answer_to,
                    "\"params\" is no object: parameters have names here",
                ));
            }
        };
        Ok(Self { id, method, params })
    }
}

fn line(value: &Value) -> Vec<u8> {
    let mut bytes = value.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// A request as a line.
#[must_use]
pub fn request_line(id: u64, method: &str, params: &Value) -> Vec<u8> {
    line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
}

/// An answer as a line.
#[must_use]
pub fn answer_line(id: &Value, answer: Result<Value, RpcError>) -> Vec<u8> {
    line(&match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": WireError::from(error)}),
    })
}

/// An error that answers no request in particular, as a line.
#[must_use]
pub fn error_line(error: RpcError) -> Vec<u8> {
    answer_line(&Value::Null, Err(error))
}

/// A notification as a line.
#[must_use]
pub fn notification_line(method: &str, params: &Value) -> Vec<u8> {
    line(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
}

/// What a client reads from the daemon.
#[derive(Debug)]
pub enum Incoming {
    /// The answer to the request of that id (`None`: to a line the daemon could not read).
    Answer(Option<u64>, Result<Value, RpcError>),
    /// Something happened.
    Notification {
        /// `area.verb`.
        method: String,
        /// What.
        params: Value,
    },
}

impl Incoming {
    /// Reads one line; `None` for one that is no message of JSON-RPC.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let Ok(Value::Object(mut object)) = serde_json::from_slice(text) else {
            return None;
        };
        if let Some(Value::String(method)) = object.remove("method") {
            return Some(Self::Notification {
                method,
                params: object.remove("params").unwrap_or(Value::Null),
            });
        }
        let id = object.get("id").and_then(Value::as_u64);
        if let Some(error) = object.remove("error") {
            let error: WireError = serde_json::from_value(error).ok()?;
            return Some(Self::Answer(id, Err(error.into())));
        }
        Some(Self::Answer(id, Ok(object.remove("result")?)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (i64, Value) {
        let line = Request::parse(text.as_bytes()).unwrap_err().line();
        let answer: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(answer["jsonrpc"], "2.0");
        (
            answer["error"]["code"].as_i64().unwrap(),
            answer["id"].clone(),
        )
    }

    #[test]
    fn requests_are_read() {
        let request = Request::parse(
            br#"{"jsonrpc":"2.0","id":"a","method":"media.get","params":{"mediaId":"x"}}"#,
        )
        .unwrap();
        assert_eq!(request.method, "media.get");
        assert_eq!(request.params["mediaId"], "x");
        assert_eq!(request.id, Some(json!("a")));
        let request = Request::parse(br#"{"jsonrpc":"2.0","method":"m"}"#).unwrap();
        assert_eq!((request.id, request.params), (None, json!({})));
    }

    #[test]
    fn garbage_gets_the_error_that_the_standard_names() {
        assert_eq!(refused("GET / HTTP/1.1").0, -32700);
        assert_eq!(refused("").0, -32700);
        assert_eq!(refused("\u{0}\u{1}").0, -32700);
        assert_eq!(refused(&"[".repeat(100_000)).0, -32700);
        assert_eq!(refused("[]").0, -32600);
        assert_eq!(refused("7").0, -32600);
        assert_eq!(refused(r#"{"id":7,"method":"m"}"#), (-32600, json!(7)));
        assert_eq!(
            refused(r#"{"jsonrpc":"1.0","id":7,"method":"m"}"#),
            (-32600, json!(7))
        );
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":7}"#), (-32600, json!(7)));
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":7,"method":3}"#),
            (-32600, json!(7))
        );
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#),
            (-32600, Value::Null)
        );
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}"#),
            (-32600, json!(7))
        );
        assert!(Request::parse(b"\xff\xfe").is_err());
        for id in ["1.5", "1e3", "18446744073709551616", "-9223372036854775809"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
            assert_eq!(refused(&text), (-32600, Value::Null), "{id}");
        }
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#,
            "x".repeat(LONGEST_ID + 1)
        );
        assert_eq!(refused(&text), (-32600, Value::Null));
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":1e999,"method":"m"}"#).0,
            -32700
        );
    }

    #[test]
    fn a_newer_daemons_reason_is_another_one() {
        let line = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"m","data":{"reason":"ofTomorrow","more":1}}}"#;
        match Incoming::parse(line).unwrap() {
            Incoming::Answer(Some(1), Err(error)) => assert_eq!(error.reason, Reason::Other),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_survive_the_wire() {
        let error = RpcError::new(Reason::Taken, "no\nway").remedy("choose another");
        let line = answer_line(&json!(3), Err(error.clone()));
        assert_eq!(line.iter().filter(|&&b| b == b'\n').count(), 1);
        match Incoming::parse(&line).unwrap() {
            Incoming::Answer(Some(3), Err(back)) => assert_eq!(back, error),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clients_survive_garbage() {
        for text in [
            "",
            "x",
            "[]",
            "{}",
            "{\"error\":1}",
            "{\"error\":{\"code\":\"x\"}}",
        ] {
            assert!(Incoming::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
