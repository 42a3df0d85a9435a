//! mediafs: the media drive of Loophole.
