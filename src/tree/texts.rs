//! Files of the drive's own: what it is, for whoever finds it in a file manager; and, not listed, what tells macOS not to
//! index it (`.metadata_never_index`), not to keep a log of its changes (`.fseventsd/no_log`) and not to back it up. Those are
//! files that are there, no more.

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Text {
    /// `README.txt`.
    ReadMe,
    /// For Spotlight.
    NeverIndex,
    /// For Time Machine.
    NeverBackUp,
    /// For whoever asks what has changed since it last looked: the drive tells that itself.
    NoLog,
}

/// The folder of the log that is not kept.
pub(super) const EVENTS: &str = ".fseventsd";

impl Text {
    pub(super) const ALL: [Self; 4] = [
        Self::ReadMe,
        Self::NeverIndex,
        Self::NeverBackUp,
        Self::NoLog,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ReadMe => "README.txt",
            Self::NeverIndex => ".metadata_never_index",
            Self::NeverBackUp => ".com.apple.timemachine.donotpresent",
            Self::NoLog => "no_log",
        }
    }

    pub(super) fn content(self) -> &'static str {
        match self {
            Self::ReadMe => README,
            Self::NeverIndex | Self::NeverBackUp | Self::NoLog => "",
        }
    }

    /// At the top of the drive, under this name.
    pub(super) fn at_top(name: &str) -> Option<Self> {
        let at_top = Self::ALL.into_iter().filter(|text| *text != Self::NoLog);
        at_top.into_iter().find(|text| text.name() == name)
    }
}

/// The text, in ten lines.
const README: &str = "\
This is the media drive of Loophole. Every sound has a path here that never changes.

library/   your sample libraries, as they lie on disk: browse, audition, drag out
projects/  the sounds of open projects, by name, by track and by plugin
by-id/     one folder a sound, named by its id: what projects and plugins keep
record/    takes that are being recorded; import/ takes in what you put there

A copy made from library/ or projects/ is the true file or an error, never silence.
Through by-id/ a player hears silence while a sound is away, and the sound when it is back.
Programs may write peaks and markers beside a sound; the sounds themselves stay as they are.
";
