//! What subscribers can be told: one type per event, whoever it comes from.
//!
//! Catalog, storage, hydration and warnings [publish](Events::publish) events; a client that
//! [subscribed](super::methods::SessionSubscribe) gets each as a notification whose method is the event's name and
//! whose parameters are its fields, with `seq` and `at`. Field names on the wire are camelCase.

mod hub;

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rpc;
use super::tasks::TaskInfo;
use super::warnings::Warning;
use super::wire_path::WirePath;
use crate::model::{Availability, MediaId, Playable, Scope, SourceState};

pub use hub::{Events, Subscription, TooManySubscribers, Topics, UnknownTopic};

/// An event, as the [schema](super::schema) tells of it.
pub(super) struct EventDescription {
    /// `area.verb`.
    pub(super) name: &'static str,
    /// What has happened.
    pub(super) doc: &'static str,
    /// Of its parameters, without the [`Stamp`].
    pub(super) params: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $event:ident($payload:ty) = $name:literal;)+) => {
        /// Something that happened.
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "method", content = "params")]
        #[non_exhaustive]
        pub enum Event {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $event($payload),)+
        }

        /// What the schema says of each.
        pub(super) const DESCRIBED: &[EventDescription] = &[$(EventDescription {
            name: $name,
            doc: concat!($($doc),+),
            params: SchemaGenerator::subschema_for::<$payload>,
        }),+];

        impl Event {
            /// The names of all events.
            pub const NAMES: &[&str] = &[$($name),+];

            /// `area.verb`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$event(_) => $name,)+
                }
            }
        }
    };
}

events! {
    /// An item came, changed or went.
    MediaChanged(MediaChanged) = "media.changed";
    /// A program was given silence in place of a sound.
    MediaSilenced(MediaSilenced) = "media.silenced";
    /// Programs that were given silence would hear the sound now, if they opened it again.
    MediaRestored(MediaRestored) = "media.restored";
    /// A take that an earlier daemon had not seen the end of was found.
    MediaRecovered(MediaRecovered) = "media.recovered";
    /// The original of an item is elsewhere now, or players get something else.
    StatusChanged(StatusChanged) = "status.changed";
    /// How far a task is.
    TaskProgress(TaskInfo) = "task.progress";
    /// A task is done, failed or was cancelled.
    TaskEnded(TaskInfo) = "task.ended";
    /// A volume came, went or has another name.
    VolumeChanged(VolumeChanged) = "volume.changed";
    /// Something is not as it should be, or that has other numbers now.
    WarningRaised(Warning) = "warning.raised";
    /// It is as it should be again.
    WarningCleared(Warning) = "warning.cleared";
    /// Libraries or projects came, went, or so much changed in them that it is not told item by item.
    LibraryChanged(LibraryChanged) = "library.changed";
    /// A look at library folders that was asked for has ended.
    LibraryScanned(LibraryScanned) = "library.scanned";
    /// The subscriber was too slow, or asks for what is not kept any more. Ask for the present state of things.
    Missed(Missed) = "session.missed";
}

impl Event {
    /// What only the newest event of the same key is worth telling of.
    fn key(&self) -> Option<EventKey> {
        match self {
            // The end of a task overtakes its progress.
            Self::TaskProgress(task) | Self::TaskEnded(task) => {
                Some(EventKey::Task(task.id.clone()))
            }
            Self::MediaSilenced(silenced) => Some(EventKey::Silenced(
                silenced.media_id.clone(),
                silenced.process.pid,
                silenced.since,
            )),
            _ => None,
        }
    }
}

/// Of events that overtake each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum EventKey {
    Task(String),
    Silenced(MediaId, u32, u64),
}

/// An event as it is told.
#[derive(Debug)]
pub struct Told {
    /// Counts all events of a daemon one by one, and on beyond those of the daemon before. A jump means events of
    /// topics that were not asked for, or of progress that newer progress has overtaken; whatever else is left out,
    /// `session.missed` tells.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What.
    pub event: Event,
    /// As it goes over the wire; written when the first subscriber gets it, for all.
    line: OnceLock<Vec<u8>>,
}

impl Told {
    fn new(seq: u64, at: u64, event: Event) -> Self {
        Self {
            seq,
            at,
            event,
            line: OnceLock::new(),
        }
    }

    /// As a notification.
    pub(super) fn line(&self) -> &[u8] {
        self.line.get_or_init(|| {
            let mut message = match serde_json::to_value(&self.event) {
                Ok(Value::Object(message)) => message,
                other => {
                    tracing::error!(?other, "an event that is no message");
                    return Vec::new();
                }
            };
            let mut params = message.remove("params").unwrap_or(Value::Null);
            if let Value::Object(params) = &mut params {
                params.insert("seq".to_owned(), self.seq.into());
                params.insert("at".to_owned(), self.at.into());
            }
            rpc::notification_line(self.event.name(), &params)
        })
    }

    /// Reads a notification; `null` for one that is no event known here.
    #[must_use]
    pub fn from_notification(method: &str, params: &Value) -> Option<Self> {
        let (seq, at) = (params.get("seq")?.as_u64()?, params.get("at")?.as_u64()?);
        let message = serde_json::json!({"method": method, "params": params});
        let event = serde_json::from_value(message).ok()?;
        Some(Self::new(seq, at, event))
    }
}

/// What every event is told with, beside its own parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// Counts all events of a daemon one by one, and on beyond those of the daemon before. A jump means events of
    /// topics that were not asked for, or of progress that newer progress has overtaken; whatever else is left out,
    /// `session.missed` tells.
    pub seq: u64,
    /// When it was, in milliseconds since 1970.
    pub at: u64,
}

/// In which way an item changed.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum MediaChange {
    /// Its content, where it is, or what players get; or it is new.
    Content,
    /// Its name, tags or other facts.
    Details,
    /// It was removed.
    Removed,
}

/// Of `media.changed`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaChanged {
    /// Which item.
    pub media_id: MediaId,
    /// Where its id is unique; `null` if it is removed, and nobody knows any more.
    pub scope: Option<Scope>,
    /// What of it.
    pub what: MediaChange,
}

/// A process, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessName {
    /// Its number.
    pub pid: u32,
    /// Its program.
    pub name: String,
}

/// Of `media.silenced`. Told again with more bytes for as long as it goes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaSilenced {
    /// Which item.
    pub media_id: MediaId,
    /// Who was given silence.
    pub process: ProcessName,
    /// How much of it, in bytes of the file.
    pub bytes: u64,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Why, for people.
    pub cause: String,
}

/// Of `media.restored`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaRestored {
    /// Which item.
    pub media_id: MediaId,
    /// Who has it open as silence.
    pub processes: Vec<ProcessName>,
}

/// Of `media.recovered`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaRecovered {
    /// Which take.
    pub media_id: MediaId,
    /// Its name.
    pub name: String,
    /// What there is of it, in bytes; `null` where its file is gone.
    pub size: Option<u64>,
    /// A program still writes to it.
    pub writing: bool,
}

/// Of `status.changed`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusChanged {
    /// Which item.
    pub media_id: MediaId,
    /// Where the original is now.
    pub availability: Availability,
    /// What players get now.
    pub playable: Playable,
    /// Why, for people, if there is something to say.
    pub cause: Option<String>,
}

/// Of `volume.changed`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeChanged {
    /// Its stable identity.
    pub id: String,
    /// As people know it.
    pub name: String,
    /// How it is.
    pub state: SourceState,
    /// Where it is mounted, if it is.
    pub path: Option<WirePath>,
}

/// Of `library.changed`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LibraryChanged {
    /// The names of libraries and projects in whose folders something came, went or changed; empty: no file did, or
    /// it is not known in which.
    pub bases: Vec<String>,
    /// How many items came, changed or went, beside those that `media.changed` tells of.
    pub count: u64,
}

/// Of `library.scanned`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LibraryScanned {
    /// The root; `null`: all.
    pub path: Option<WirePath>,
    /// Files on disk.
    pub files: u64,
    /// New or changed ones that were read.
    pub read: u64,
    /// Those of them that can't be read.
    pub problems: u64,
}

/// Of `session.missed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Missed {
    /// How many at most; `null`: the daemon that counted them is another one.
    pub count: Option<u64>,
    /// The `seq` of the first that may be missing; `null`: the daemon that counted them is another one.
    pub from: Option<u64>,
    /// The `seq` of the last; of another daemon's, the last that this one has told.
    pub to: u64,
}

/// The time of events, in milliseconds since 1970.
pub(super) fn now_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
