//! What is not as it should be, for the user: kept as long as it lasts, told when it comes, changes and goes.
//!
//! Whoever finds out raises a [`Warning`] under an id that stays the same for the same trouble, and clears it by that
//! id. `session.warnings` and `status` list them, [`Events`] tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::{Event, Events, now_millis};
use crate::model::MediaId;

/// Warnings at a time. Further ones are counted.
const MOST: usize = 256;

/// Items that a warning names.
const NAMED_ITEMS: usize = 10;

/// The id of the warning that counts those beyond [`MOST`].
const BEYOND: &str = "warnings.more";

/// How bad it is.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something is not as it should be; what is played now is right.
    Warning,
    /// Sounds are silent, or something may be lost.
    Error,
}

impl Severity {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// The same for the same trouble, also after a restart.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is the matter, for a musician.
    pub text: String,
    /// What to do, if anything can be done.
    pub remedy: Option<String>,
    /// The same for people at a shell, where its words are others: commands and flags of `mediafs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The first items that it is about.
    #[serde(default)]
    pub items: Vec<MediaId>,
    /// How many items it is about.
    #[serde(default)]
    pub count: u64,
    /// Since when, in milliseconds since 1970. Set when it is raised.
    #[serde(default)]
    pub since: u64,
}

impl Warning {
    /// About no item, without a remedy.
    #[must_use]
    pub fn new(id: impl Into<String>, severity: Severity, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            severity,
            text: text.into(),
            remedy: None,
            command: None,
            items: Vec::new(),
            count: 0,
            since: 0,
        }
    }

    /// With what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// With what to do at a shell, where that has other words than the protocol.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// What to do, for people at a shell.
    #[must_use]
    pub fn at_shell(&self) -> Option<&str> {
        self.command.as_deref().or(self.remedy.as_deref())
    }

    /// About so many items, of which these are the first.
    #[must_use]
    pub fn about(mut self, count: u64, items: impl IntoIterator<Item = MediaId>) -> Self {
        self.items = items.into_iter().take(NAMED_ITEMS).collect();
        self.count = count;
        self
    }

    /// In one line: what, and what to do.
    #[must_use]
    pub fn line(&self) -> String {
        match self.at_shell() {
            Some(remedy) => format!("{}; {remedy}", self.text),
            None => self.text.clone(),
        }
    }
}

/// An id for trouble that is known by its words (a path in them, say) alone.
#[must_use]
pub fn id_of_text(area: &str, text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("{area}.{}", hash.chars().take(12).collect::<String>())
}

/// The warnings of a home.
pub struct Warnings {
    events: Arc<Events>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    raised: BTreeMap<String, Warning>,
    /// How many could not be taken in.
    beyond: u64,
}

impl Warnings {
    /// None yet.
    #[must_use]
    pub fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            list: Mutex::default(),
        }
    }

    /// It is so, or has other numbers or words now. Told only if it is new or something of it changed; gives whether.
    pub fn raise(&self, mut warning: Warning) -> bool {
        warning.items.truncate(NAMED_ITEMS);
        let mut list = self.list.lock();
        if let Some(before) = list.raised.get(&warning.id) {
            warning.since = before.since;
            if *before == warning {
                return false;
            }
        } else {
            warning.since = now_millis();
            if list.raised.len() >= MOST && warning.id != BEYOND {
                tracing::warn!(id = warning.id, "beyond the list: {}", warning.line());
                list.beyond += 1;
                let text = format!("{} more warnings are only in the log", list.beyond);
                drop(list);
                self.raise(Warning::new(BEYOND, Severity::Warning, text));
                return true;
            }
            tracing::warn!(id = warning.id, "{}", warning.line());
        }
        list.raised.insert(warning.id.clone(), warning.clone());
        // Under the lock, so that what comes and goes is told in its order.
        self.events.publish(Event::WarningRaised(warning));
        true
    }

    /// It is so no more; false if it was not.
    pub fn clear(&self, id: &str) -> bool {
        let mut list = self.list.lock();
        let Some(warning) = list.raised.remove(id) else {
            return false;
        };
        self.events.publish(Event::WarningCleared(warning));
        true
    }

    /// Of all warnings of an area, exactly these are so now.
    pub fn replace(&self, area: &str, now: Vec<Warning>) {
        for before in self.of_area(area) {
            if !now.iter().any(|warning| warning.id == before.id) {
                self.clear(&before.id);
            }
        }
        for warning in now {
            self.raise(warning);
        }
    }

    /// Those of an area: whose ids begin with it and a dot.
    #[must_use]
    pub fn of_area(&self, area: &str) -> Vec<Warning> {
        let mut all = self.all();
        all.retain(|warning| {
            let rest = warning.id.strip_prefix(area);
            rest.is_some_and(|rest| rest.starts_with('.'))
        });
        all
    }

    /// All, the worst first, then in the order of their ids.
    #[must_use]
    pub fn all(&self) -> Vec<Warning> {
        let mut all: Vec<Warning> = self.list.lock().raised.values().cloned().collect();
        all.sort_by_key(|warning| std::cmp::Reverse(warning.severity));
        all
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::control::events::{Subscription, Topics};

    fn bench() -> (Warnings, Subscription) {
        let events = Arc::new(Events::default());
        let told = events.subscribe(Topics::all(), None).unwrap();
        (Warnings::new(events), told)
    }

    fn names(told: &mut Subscription) -> Vec<&'static str> {
        std::iter::from_fn(|| told.take())
            .map(|told| told.event.name())
            .collect()
    }

    fn silent(count: u64) -> Warning {
        Warning::new("volume.red", Severity::Error, "RED is unplugged")
            .remedy("plug it in")
            .about(count, (0..count).map(|_| MediaId::new()).take(20))
    }

    #[test]
    fn a_warning_is_told_when_it_comes_changes_and_goes() {
        let (warnings, mut told) = bench();
        let three = silent(3);
        assert!(warnings.raise(three.clone()));
        assert!(!warnings.raise(three.clone()), "nothing is new");
        assert_eq!(names(&mut told), ["warning.raised"]);
        let since = warnings.all()[0].since;
        assert!(warnings.raise(silent(30)));
        assert_eq!(names(&mut told), ["warning.raised"]);
        let all = warnings.all();
        assert_eq!((all.len(), all[0].count, all[0].items.len()), (1, 30, 10));
        assert_eq!(all[0].since, since, "it is the same trouble");
        assert!(warnings.clear("volume.red"));
        assert!(!warnings.clear("volume.red"));
        assert_eq!(names(&mut told), ["warning.cleared"]);
        assert!(warnings.all().is_empty());
    }

    #[test]
    fn the_worst_come_first() {
        let (warnings, _told) = bench();
        for (id, severity) in [
            ("a", Severity::Info),
            ("b", Severity::Error),
            ("c", Severity::Warning),
        ] {
            warnings.raise(Warning::new(id, severity, id));
        }
        let ids: Vec<String> = warnings.all().into_iter().map(|w| w.id).collect();
        assert_eq!(ids, ["b", "c", "a"]);
    }

    #[test]
    fn an_area_is_replaced_as_a_whole() {
        let (warnings, mut told) = bench();
        let of = |id: &str| Warning::new(id, Severity::Warning, id);
        warnings.raise(of("watch"));
        warnings.replace("watch", vec![of("watch.a"), of("watch.b")]);
        assert_eq!(names(&mut told).len(), 3);
        warnings.replace("watch", vec![of("watch.b")]);
        assert_eq!(names(&mut told), ["warning.cleared"]);
        let ids: Vec<String> = warnings.all().into_iter().map(|w| w.id).collect();
        assert_eq!(ids, ["watch", "watch.b"]);
    }

    #[test]
    fn a_flood_of_warnings_does_not_grow() {
        let (warnings, _told) = bench();
        for number in 0..MOST + 50 {
            warnings.raise(Warning::new(format!("flood.{number}"), Severity::Info, "x"));
        }
        let all = warnings.all();
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all[0].id, BEYOND);
        assert!(all[0].text.starts_with("50 more"), "{}", all[0].text);
    }

    #[test]
    fn the_same_words_have_the_same_id() {
        let id = id_of_text("start", "the library /a cannot be reached");
        assert_eq!(id, id_of_text("start", "the library /a cannot be reached"));
        assert_ne!(id, id_of_text("start", "the library /b cannot be reached"));
        assert!(id.starts_with("start.") && id.len() == 18, "{id}");
    }
}
