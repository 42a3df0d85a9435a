//! Facts and silence of MPEG audio, Ogg, MP4, ADTS, Matroska and AVI, judged by ffprobe, ffmpeg, sox and
//! libsndfile. Sounds are made by lame, oggenc, opusenc and ffmpeg; a machine without one of them fails.

// The judges are programs as Linux has them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod containers;
mod formats;
mod handmade;
mod hostile;
mod judge;
mod made;
mod symphonia;
#[path = "../pcm/tools.rs"]
#[allow(dead_code, reason = "shared with the tests of the other formats")]
mod tools;
