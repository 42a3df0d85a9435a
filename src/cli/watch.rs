//! `mediafs watch`: what happens, a line an event, until it is ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::output::{Out, plain, size};
use super::tasks::progress;
use super::{CliError, Context, Done, counted};
use crate::control::ClientError;
use crate::control::client::Received;
use crate::control::events::{Event, MediaChange, Missed};
use crate::control::methods::SubscribeParams;
use crate::control::tasks::TaskInfo;
use crate::model::{Availability, Playable};

/// How often the end is thought of while nothing happens.
const LOOK_UP_EVERY: Duration = Duration::from_millis(100);

/// Show what happens as it happens, until Ctrl-C
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print each event as one line of JSON, as the control protocol tells it
    #[arg(long)]
    json: bool,
    /// Only these events (media.changed) or areas (media)
    #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
    topics: Option<Vec<String>>,
    /// End after this time
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u32>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let interrupted = Arc::<AtomicBool>::default();
    super::interrupt::on_interrupt(&interrupted);
    let until = arguments
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let mut client = context.daemon_needed()?;
    client.subscribe(&SubscribeParams {
        topics: arguments.topics.clone(),
        ..SubscribeParams::default()
    })?;
    let mut out = Out::new();
    loop {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(Done::Interrupted);
        }
        if out.reader_left() {
            return Err(CliError::NobodyReads);
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(Done::Well);
        }
        let patience = left.map_or(LOOK_UP_EVERY, |left| left.min(LOOK_UP_EVERY));
        let received = match client.next_event(patience) {
            Ok(Some(received)) => received,
            Ok(None) => continue,
            Err(ClientError::Gone { .. }) => {
                return Err(CliError::new(
                    "the daemon has ended; `mediafs mount` starts it, then watch again",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        if arguments.json {
            out.json_line(&json!({"method": received.method, "params": received.params}))?;
        } else {
            out.line(&line(&received))?;
        }
        out.flush()?;
    }
}

fn line(received: &Received) -> String {
    match &received.event {
        Some(event) => format!("{}  {}", clock(received.at), words(event)),
        // A newer daemon's.
        None => format!(
            "{}  {}",
            plain(&received.method),
            plain(&received.params.to_string())
        ),
    }
}

/// The time of day, in UTC: hours, minutes, seconds.
fn clock(millis: u64) -> String {
    let seconds = millis / 1000;
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
}

fn words(event: &Event) -> String {
    match event {
        Event::MediaChanged(changed) => {
            let what = match changed.what {
                MediaChange::Content => "is new, or has other sound or another place",
                MediaChange::Details => "has another name, tags or facts",
                MediaChange::Removed => "was removed",
            };
            format!("{} {what}", changed.media_id)
        }
        Event::MediaSilenced(silenced) => format!(
            "{} (process {}) hears silence in place of {}, {} so far: {}",
            plain(&silenced.process.name),
            silenced.process.pid,
            silenced.media_id,
            size(silenced.bytes),
            plain(&silenced.cause)
        ),
        Event::MediaRestored(restored) => {
            let names: Vec<String> = restored
                .processes
                .iter()
                .map(|process| format!("{} (process {})", plain(&process.name), process.pid))
                .collect();
            format!(
                "{} is back; to be opened again by {}",
                restored.media_id,
                names.join(", ")
            )
        }
        Event::MediaRecovered(take) => format!(
            "the take {} ({}) was not made final{}",
            plain(&take.name),
            take.media_id,
            if take.writing {
                ", and is still written"
            } else {
                ""
            }
        ),
        Event::StatusChanged(changed) => {
            let why = match &changed.cause {
                Some(cause) => format!(": {}", plain(cause)),
                None => String::new(),
            };
            let state = state(changed.availability, changed.playable);
            format!("{} {state}{why}", changed.media_id)
        }
        Event::TaskProgress(task) => {
            format!("{} {}{}", task.kind.word(), of(task), progress(task))
        }
        Event::TaskEnded(task) => {
            let why = match &task.reason {
                Some(reason) => format!(": {}", plain(reason)),
                None => String::new(),
            };
            format!(
                "{} {}{} {}{why}",
                task.kind.word(),
                of(task),
                progress(task),
                task.state.word()
            )
        }
        Event::VolumeChanged(volume) => {
            let place = match &volume.path {
                Some(path) => format!(" at {}", plain(&path.to_string())),
                None => String::new(),
            };
            format!("{} is {}{place}", plain(&volume.name), volume.state.words())
        }
        Event::WarningRaised(warning) => {
            format!("{}: {}", warning.severity.word(), plain(&warning.line()))
        }
        Event::WarningCleared(warning) => format!("no more: {}", plain(&warning.text)),
        Event::LibraryChanged(changed) => {
            let place = if changed.bases.is_empty() {
                String::new()
            } else {
                format!(" in {}", plain(&changed.bases.join(", ")))
            };
            match changed.count {
                0 => format!("libraries or projects changed{place}"),
                count => format!("{} changed{place}", counted(count, "sound", "sounds")),
            }
        }
        Event::LibraryScanned(scanned) => format!(
            "scanned {}: {}, {} read, {} cannot be read",
            match &scanned.path {
                Some(path) => plain(&path.to_string()),
                None => "all libraries".to_owned(),
            },
            counted(scanned.files, "file", "files"),
            scanned.read,
            scanned.problems
        ),
        Event::Missed(Missed { count, .. }) => match count {
            Some(count) => format!("up to {} were missed", counted(*count, "event", "events")),
            None => "what happened before is not known".to_owned(),
        },
    }
}

/// The item of a task, or else the task.
fn of(task: &TaskInfo) -> String {
    plain(&task.subject().unwrap_or_else(|| task.id.clone()))
}

fn state(availability: Availability, playable: Playable) -> &'static str {
    match (playable, availability) {
        (Playable::Bytes, _) => "plays",
        (Playable::Partial, _) => "plays as far as it has arrived",
        (Playable::Silence, Availability::Missing) => "is missing and plays silence",
        (Playable::Silence, _) => "is away and plays silence",
        (Playable::Error, _) => "cannot play",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::control::events::Told;

    fn line(method: &str, params: &Value) -> String {
        let told = Told::from_notification(method, params);
        super::line(&Received {
            seq: 0,
            at: told.as_ref().map_or(0, |told| told.at),
            method: method.to_owned(),
            params: params.clone(),
            event: told.map(|told| told.event),
        })
    }

    #[test]
    fn an_event_reads_as_one_harmless_line() {
        let params = json!({
            "seq": 5, "at": 3_723_000, "id": "x", "severity": "error",
            "text": "3 sounds are silent\u{1b}[2J\nas RED is unplugged", "remedy": "plug it in",
        });
        assert_eq!(
            line("warning.raised", &params),
            "01:02:03Z  error: 3 sounds are silent\\u{1b}[2J\\u{a}as RED is unplugged; plug it in"
        );
        let unknown = line("of.aNewerDaemon", &json!({"a": "\n"}));
        assert_eq!(unknown, "of.aNewerDaemon  {\"a\":\"\\n\"}");
    }

    #[test]
    fn every_event_has_words() {
        let examples = [
            (
                "media.changed",
                json!({"mediaId": "k", "scope": "library", "what": "details"}),
                "k has another",
            ),
            (
                "media.silenced",
                json!({"mediaId": "k", "process": {"pid": 7, "name": "bitwig"}, "bytes": 2000, "since": 1, "cause": "RED is unplugged"}),
                "bitwig (process 7)",
            ),
            (
                "media.restored",
                json!({"mediaId": "k", "processes": [{"pid": 7, "name": "bitwig"}]}),
                "k is back",
            ),
            (
                "media.recovered",
                json!({"mediaId": "k", "name": "Lead.wav", "size": 9, "writing": true}),
                "the take Lead.wav (k) was not made final, and is still written",
            ),
            (
                "status.changed",
                json!({"mediaId": "k", "availability": "missing", "playable": "silence", "cause": null}),
                "k is missing",
            ),
            (
                "task.progress",
                json!({"id": "t", "kind": "hydrate", "mediaId": "k", "state": "running", "bytes": 500, "total": 1000, "rate": null, "since": 1, "priority": null, "reason": null}),
                "fetching k: 500 B of 1.0 kB",
            ),
            (
                "task.progress",
                json!({"id": "t", "kind": "hydrate", "mediaId": "k", "name": "Kick.wav", "state": "running", "bytes": 500, "total": 1000, "rate": null, "since": 1, "priority": null, "reason": null}),
                "fetching Kick.wav: 500 B of 1.0 kB",
            ),
            (
                "task.ended",
                json!({"id": "t", "kind": "scan", "mediaId": null, "state": "failed", "bytes": 0, "total": null, "files": {"done": 3, "total": null}, "rate": null, "since": 1, "priority": null, "reason": "no room"}),
                "scanning t: 3 files failed: no room",
            ),
            (
                "volume.changed",
                json!({"id": "v", "name": "RED", "state": "online", "path": "/media/red"}),
                "RED is connected at /media/red",
            ),
            (
                "warning.raised",
                json!({"id": "w", "severity": "info", "text": "x", "remedy": null}),
                "info: x",
            ),
            (
                "warning.cleared",
                json!({"id": "w", "severity": "info", "text": "x", "remedy": null}),
                "no more: x",
            ),
            (
                "library.changed",
                json!({"bases": ["Drums"], "count": 9}),
                "9 sounds changed in Drums",
            ),
            (
                "library.scanned",
                json!({"path": null, "files": 1, "read": 1, "problems": 0}),
                "scanned all libraries: 1 file",
            ),
            (
                "session.missed",
                json!({"count": 3, "from": 1, "to": 3}),
                "up to 3 events",
            ),
        ];
        let mut names: Vec<&str> = examples.iter().map(|(name, ..)| *name).collect();
        names.dedup();
        assert_eq!(names, Event::NAMES);
        for (method, mut params, expected) in examples {
            params["seq"] = 1.into();
            params["at"] = 0.into();
            let line = line(method, &params);
            assert!(
                line.strip_prefix("00:00:00Z  ")
                    .unwrap()
                    .starts_with(expected),
                "{line}"
            );
        }
    }
}
