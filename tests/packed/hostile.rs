//! Files that are cut anywhere, and files with flipped bits: never a panic, never a wrong size.

use std::fs;

use crate::formats::SOUNDS;
use crate::judge::{Dice, exercise};
use crate::tools::shell;

/// Changed files of each original.
const FLIPPED: u64 = 400;

#[test]
fn cut_and_changed_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    shell(folder.path(), SOUNDS);
    shell(
        folder.path(),
        r#"
        lame --quiet -b 64 --tt Title --ta Artist tiny.wav out/tagged.mp3
        lame --quiet -p --resample 16 -b 16 m11.wav out/low.mp3
        ffmpeg -v error -i tiny.wav -c:a mp2 out/tiny.mp2
        oggenc -Q -q 0 tiny.wav -o out/tiny.ogg
        opusenc --quiet --bitrate 12 tiny.wav out/tiny.opus
        opusenc --quiet --bitrate 6 --framesize 60 m11.wav out/low.opus
        ffmpeg -v error -i tiny.wav -c:a aac -metadata title=T out/tiny.m4a
        ffmpeg -v error -i tiny.wav -c:a alac out/alac.m4a
        ffmpeg -v error -i tiny.wav -c:a pcm_u8 out/pcm.mov
        ffmpeg -v error -i tiny.wav -c:a aac -movflags frag_keyframe+empty_moov out/fragments.mp4
        ffmpeg -v error -i tiny.wav -c:a aac out/tiny.aac
        ffmpeg -v error -i tiny.wav -c:a flac out/flac.ogg
        ffmpeg -v error -i tiny.wav -c:a libopus out/opus.webm
        ffmpeg -v error -i tiny.wav -c:a libvorbis out/vorbis.mka
        ffmpeg -v error -i tiny.wav -c:a flac out/flac.mka
        ffmpeg -v error -i tiny.wav -ar 16000 -c:a libspeex out/speex.spx
        ffmpeg -v error -i tiny.wav -c:a alac out/alac.caf
        ffmpeg -v error -i tiny.wav -c:a libopus out/opus.caf
        ffmpeg -v error -i tiny.wav -c:a libmp3lame out/mp3.wav
        ffmpeg -v error -i tiny.wav -ac 1 -ar 8000 -c:a libgsm_ms out/gsm.wav
        ffmpeg -v error -i tiny.wav -c:a libopus out/opus.mp4
        ffmpeg -v error -i tiny.wav -c:a flac -strict -2 out/flac.mp4
        ffmpeg -v error -f lavfi -i testsrc=d=0.1:s=16x16 -i tiny.wav -c:v mpeg4 -c:a aac out/film.mp4
        ffmpeg -v error -f lavfi -i testsrc=d=0.1:s=16x16 -i tiny.wav -c:v libtheora -c:a libvorbis out/film.ogv
        ffmpeg -v error -f lavfi -i testsrc=d=0.1:s=16x16 -i tiny.wav -c:v mpeg4 -c:a libmp3lame out/film.mkv
        ffmpeg -v error -i tiny.wav -c:a ac3 out/ac3.mka
        ffmpeg -v error -f lavfi -i testsrc=d=0.1:s=16x16 -i tiny.wav out/video.avi
        "#,
    );
    let mut files = 0;
    for entry in fs::read_dir(folder.path().join("out")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        assert!(exercise(&bytes, &name), "{name} can't be read at all");
        let step = (bytes.len() / 3000).max(1);
        for length in (0..bytes.len()).step_by(step) {
            exercise(&bytes[..length], &name);
        }
        let mut dice = Dice(bytes.len() as u64);
        // Headers are where a change matters most.
        let heads = bytes.len().min(1500) as u64;
        let mut read = 0;
        for round in 0..FLIPPED {
            let mut changed = bytes.clone();
            for _ in 0..=round % 4 {
                let within = if round % 3 == 0 {
                    bytes.len() as u64
                } else {
                    heads
                };
                let at = dice.below(within) as usize;
                match dice.below(3) {
                    0 => changed[at] = 0xff,
                    1 => changed[at] = 0,
                    _ => changed[at] ^= 1 << dice.below(8),
                }
            }
            read += u32::from(exercise(&changed, &name));
        }
        assert!(
            read > 0,
            "{name}: no changed file could be read, nothing was exercised"
        );
        files += 1;
    }
    assert!(files >= 27);
}
