//! The methods of `session`: who is there, what is told, what is going on, what is wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::tasks::TaskInfo;
use crate::control::warnings::Warning;

/// Of `session.hello`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelloParams {
    /// Who calls, for the log.
    #[serde(default)]
    pub client: Option<String>,
}

/// Who answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The version of the program.
    pub version: String,
    /// The version of the protocol.
    pub protocol: u32,
    /// The process.
    pub pid: u32,
}

/// Of `session.cancel`: one of the two.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelParams {
    /// The id of a request of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<serde_json::Value>,
    /// The id of a task, whoever began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

/// Of `session.subscribe`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeParams {
    /// Names of events (`media.changed`) or areas (`media`); none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// The `seq` of the last event that is known: those after it are told first, or that they are not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// From when on it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// Events after this number are told.
    pub seq: u64,
}

/// Of `session.warnings`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WarningList {
    /// The worst first.
    pub warnings: Vec<Warning>,
}

/// Of `session.tasks`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskList {
    /// Those that have not ended.
    pub tasks: Vec<TaskInfo>,
}

/// Of `session.task`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskParams {
    /// Its id.
    pub task: String,
}

/// A task.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskAnswer {
    /// `None` if it is not known, or has ended long ago.
    pub task: Option<TaskInfo>,
}
