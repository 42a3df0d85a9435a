//! Facts and silence of WAV, AIFF, CAF, FLAC and MIDI, judged by ffprobe, ffmpeg, sox, libsndfile and flac, which are programs
//! as Linux has them. What needs no judge runs everywhere.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adaptor;
mod arbitrary;
#[cfg(target_os = "linux")]
mod corpus;
#[cfg(target_os = "linux")]
mod facts;
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "most of it is for the judges")
)]
mod handmade;
#[cfg(target_os = "linux")]
mod hostile;
mod midi;
#[cfg(target_os = "linux")]
mod odd;
mod shapes;
#[cfg(target_os = "linux")]
mod silence;
// The system tells how long a thread was on a processor.
#[cfg(target_os = "linux")]
mod slow;
#[cfg(target_os = "linux")]
mod tools;
