//! The methods of `session`: who is there, what is told, what is going on, what is wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OLDEST_PROTOCOL, PROTOCOL, WirePath};
use crate::control::tasks::TaskInfo;
use crate::control::warnings::Warning;
use crate::control::{Reason, RpcError};

/// Of `session.hello`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelloParams {
    /// Who calls, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The versions of the protocol that it speaks; none: it takes whichever the daemon prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<u32>>,
}

impl HelloParams {
    /// Of a client that was built with this library.
    #[must_use]
    pub fn of_this_library(client: impl Into<String>) -> Self {
        Self {
            client: Some(client.into()),
            protocols: Some((OLDEST_PROTOCOL..=PROTOCOL).collect()),
        }
    }

    /// The newest version that both sides speak.
    ///
    /// # Errors
    /// There is none: [`Reason::ClientTooOld`] or [`Reason::DaemonTooOld`], with what to do.
    pub fn negotiate(&self) -> Result<u32, RpcError> {
        let Some(spoken) = &self.protocols else {
            return Ok(PROTOCOL);
        };
        let ours = OLDEST_PROTOCOL..=PROTOCOL;
        if let Some(both) = spoken.iter().copied().filter(|v| ours.contains(v)).max() {
            return Ok(both);
        }
        let shown: Vec<String> = spoken.iter().take(16).map(u32::to_string).collect();
        let newest = spoken.iter().max().copied();
        let (reason, remedy) = match newest {
            None => {
                return Err(RpcError::new(
                    Reason::InvalidParameter,
                    "session.hello: protocols names no version",
                ));
            }
            Some(newest) if newest < OLDEST_PROTOCOL => (
                Reason::ClientTooOld,
                "install a newer version of the program that calls",
            ),
            Some(_) => (
                Reason::DaemonTooOld,
                "`mediafs ensure --replace` of the newer version ends this daemon and starts another one",
            ),
        };
        Err(RpcError::new(
            reason,
            format!(
                "this is mediafs {}, which speaks the versions {OLDEST_PROTOCOL} to {PROTOCOL} of the protocol, and the client {}",
                env!("CARGO_PKG_VERSION"),
                shown.join(", ")
            ),
        )
        .remedy(remedy))
    }
}

/// Who answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The version of the program.
    pub version: String,
    /// The version of the protocol that is spoken from now on: the newest that both sides speak.
    pub protocol: u32,
    /// The oldest version that the daemon speaks.
    #[serde(default)]
    pub oldest_protocol: u32,
    /// The process.
    pub pid: u32,
    /// This run of the daemon: another one after each start. Numbers of events belong to it.
    #[serde(default)]
    pub instance: String,
    /// Where the drive is; `null` while it is not mounted.
    #[serde(default)]
    pub mount: Option<WirePath>,
}

/// Of `session.cancel`: `request` or `task`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [{"required": ["request"]}, {"required": ["task"]}]))]
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
    /// The run of the daemon that told `since`, as hello and the answer to this name it. If it is another one, all is
    /// missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// From when on it is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// Events after this number are told.
    pub seq: u64,
    /// The run of the daemon whose numbers these are.
    #[serde(default)]
    pub instance: String,
    /// Nothing after `since` is missing. If false, `session.missed` comes first: ask for the present state of things.
    #[serde(default)]
    pub complete: bool,
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
    /// Those that have ended lately, the last one first; so many are kept.
    #[serde(default)]
    pub ended: Vec<TaskInfo>,
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
    /// `null` if it is not known, or has ended long ago.
    pub task: Option<TaskInfo>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn negotiated(protocols: Option<&[u32]>) -> Result<u32, Reason> {
        let protocols = protocols.map(<[u32]>::to_vec);
        let params = HelloParams {
            protocols,
            client: None,
        };
        params.negotiate().map_err(|error| {
            assert!(error.remedy.is_some() || error.reason == Reason::InvalidParameter);
            error.reason
        })
    }

    #[test]
    fn the_newest_version_of_both_is_spoken() {
        assert_eq!(negotiated(None), Ok(PROTOCOL));
        assert_eq!(negotiated(Some(&[PROTOCOL])), Ok(PROTOCOL));
        assert_eq!(
            negotiated(Some(&[0, PROTOCOL, 4_000_000_000])),
            Ok(PROTOCOL)
        );
        assert_eq!(negotiated(Some(&[0])), Err(Reason::ClientTooOld));
        assert_eq!(
            negotiated(Some(&[PROTOCOL + 1, 7])),
            Err(Reason::DaemonTooOld)
        );
        assert_eq!(negotiated(Some(&[])), Err(Reason::InvalidParameter));
        let ours = HelloParams::of_this_library("test");
        assert_eq!(ours.negotiate(), Ok(PROTOCOL));
    }
}
