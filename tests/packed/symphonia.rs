//! What symphonia makes of a file: another reader, in Rust.

use std::fs::File;
use std::path::Path;

use symphonia::core::errors::Error;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;

/// Frames and errors while decoding, and the loudest sample; `None` where it can't read or decode the file.
pub(crate) fn decoded(path: &Path) -> Option<(usize, usize, f32)> {
    let stream = MediaSourceStream::new(Box::new(File::open(path).unwrap()), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(path.extension()?.to_str()?);
    let mut reader = symphonia::default::get_probe()
        .probe(&hint, stream, Default::default(), Default::default())
        .ok()?;
    let track = reader.default_track(TrackType::Audio)?;
    let id = track.id;
    let parameters = track.codec_params.as_ref()?.audio()?.clone();
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &Default::default())
        .ok()?;
    let (mut frames, mut errors, mut loudest) = (0, 0, 0.0_f32);
    let mut samples: Vec<f32> = Vec::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        if packet.track_id != id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(sound) => {
                frames += sound.frames();
                sound.copy_to_vec_interleaved(&mut samples);
                loudest = samples
                    .iter()
                    .fold(loudest, |most, sample| most.max(sample.abs()));
            }
            Err(Error::DecodeError(_) | Error::IoError(_)) => errors += 1,
            Err(_) => return None,
        }
    }
    Some((frames, errors, loudest))
}
