//! `README.txt`: what the drive is, for whoever finds it in a file manager.

/// The text, in ten lines.
pub(super) const README: &str = "\
This is the media drive of Loophole. Every sound has a path here that never changes.

library/   your sample libraries, as they lie on disk: browse, audition, drag out
projects/  the sounds of open projects, by name, by track and by plugin
by-id/     one folder a sound, named by its id: what projects and plugins keep
record/    takes that are being recorded; import/ takes in what you put there

A copy made from library/ or projects/ is the true file or an error, never silence.
Through by-id/ a player hears silence while a sound is away, and the sound when it is back.
Programs may write peaks and markers beside a sound; the sounds themselves stay as they are.
";
