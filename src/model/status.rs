//! Availability: where the original is, and what a player gets now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the original is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// On trusted local storage.
    Local,
    /// Online only, on its way.
    RemoteFetching,
    /// Online only, and its remote can't be reached.
    RemoteOffline,
    /// On a connected volume or share.
    ExternalOnline,
    /// On a volume or share that is not connected.
    ExternalOffline,
    /// Nowhere.
    Missing,
}

/// What a player gets now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Playable {
    /// The bytes, whole.
    Bytes,
    /// The ranges that have arrived.
    Partial,
    /// A placeholder.
    Silence,
    /// An error: nothing is known to make a placeholder from.
    Error,
}

/// One legal combination of [`Availability`] and [`Playable`]. Made only by [`Status::new`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    availability: Availability,
    playable: Playable,
}

impl Status {
    /// The combination, if it is legal: what is local plays as bytes; what is away plays whole only from the
    /// cache; only what is arriving or connected plays in part.
    #[must_use]
    pub fn new(availability: Availability, playable: Playable) -> Option<Self> {
        use Availability::{
            ExternalOffline, ExternalOnline, Local, Missing, RemoteFetching, RemoteOffline,
        };
        let legal = match (availability, playable) {
            (Local, playable) => playable == Playable::Bytes,
            (RemoteFetching | ExternalOnline, _) => true,
            (RemoteOffline | ExternalOffline | Missing, playable) => playable != Playable::Partial,
        };
        legal.then_some(Self {
            availability,
            playable,
        })
    }

    /// On trusted local storage.
    #[must_use]
    pub fn local() -> Self {
        Self {
            availability: Availability::Local,
            playable: Playable::Bytes,
        }
    }

    /// Nowhere; silence where its facts are known.
    #[must_use]
    pub fn missing(facts_known: bool) -> Self {
        Self {
            availability: Availability::Missing,
            playable: if facts_known {
                Playable::Silence
            } else {
                Playable::Error
            },
        }
    }

    /// What is true of an item now. `recorded` is what the catalog keeps, which is what holds while its source is there
    /// (so of an item on a source it is [`Availability::ExternalOnline`] or [`Availability::RemoteFetching`]); `online`
    /// says whether its source is there, `at_hand` whether the same bytes are in the cache or on trusted storage.
    #[must_use]
    pub fn now(recorded: (Availability, Playable), online: bool, at_hand: bool) -> Self {
        use Availability::{ExternalOffline, ExternalOnline, RemoteFetching, RemoteOffline};
        let (availability, playable) = recorded;
        let availability = match availability {
            ExternalOnline if !online => ExternalOffline,
            RemoteFetching if !online => RemoteOffline,
            other => other,
        };
        let playable = match playable {
            _ if at_hand => Playable::Bytes,
            // Only what arrives plays in part.
            Playable::Partial if availability != ExternalOnline => Playable::Silence,
            other => other,
        };
        Self::new(availability, playable).unwrap_or(Self {
            availability,
            playable: Playable::Error,
        })
    }

    /// Where the original is.
    #[must_use]
    pub fn availability(self) -> Availability {
        self.availability
    }

    /// What a player gets now.
    #[must_use]
    pub fn playable(self) -> Playable {
        self.playable
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const AVAILABILITY: [Availability; 6] = [
        Availability::Local,
        Availability::RemoteFetching,
        Availability::RemoteOffline,
        Availability::ExternalOnline,
        Availability::ExternalOffline,
        Availability::Missing,
    ];
    const PLAYABLE: [Playable; 4] = [
        Playable::Bytes,
        Playable::Partial,
        Playable::Silence,
        Playable::Error,
    ];

    #[test]
    fn what_is_true_now_is_always_legal() {
        let recorded = AVAILABILITY
            .into_iter()
            .flat_map(|a| PLAYABLE.into_iter().map(move |p| (a, p)))
            .filter(|(a, p)| Status::new(*a, *p).is_some());
        for (availability, playable) in recorded {
            for (online, at_hand) in [(false, false), (false, true), (true, false), (true, true)] {
                let now = Status::now((availability, playable), online, at_hand);
                let legal = Status::new(now.availability, now.playable);
                assert_eq!(legal, Some(now), "{availability:?} {playable:?} {online}");
                if at_hand {
                    assert_eq!(now.playable, Playable::Bytes);
                }
            }
        }
    }

    #[test]
    fn an_unplugged_disk_plays_what_is_cached_and_silence_else() {
        let recorded = (Availability::ExternalOnline, Playable::Partial);
        let now = |online, at_hand| {
            let now = Status::now(recorded, online, at_hand);
            (now.availability(), now.playable())
        };
        assert_eq!(now(true, false), recorded);
        let offline = Availability::ExternalOffline;
        assert_eq!(now(false, false), (offline, Playable::Silence));
        assert_eq!(now(false, true), (offline, Playable::Bytes));
    }
}
