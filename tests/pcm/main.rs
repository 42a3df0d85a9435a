//! Facts and silence of WAV, AIFF, CAF, FLAC and MIDI, judged by ffprobe, ffmpeg, sox, libsndfile and flac.

// The judges are programs as Linux has them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adaptor;
mod corpus;
mod facts;
mod handmade;
mod hostile;
mod midi;
mod odd;
mod shapes;
mod silence;
mod slow;
mod tools;
