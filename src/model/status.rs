//! Availability: where the original is, and what a player gets now.

use serde::{Deserialize, Serialize};

/// Where the original is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
