//! Every encoding that the encoders here can make, each judged in every way.

use std::path::Path;

use serde_json::json;

use crate::judge::{ALL, Frames, Rules, judge_all, probe_file};
use crate::tools::shell;

/// Sounds to encode: rates, channels and lengths, one of less than a frame of any coding.
pub(crate) const SOUNDS: &str = r#"
sine() { ffmpeg -v error -y -f lavfi -i "sine=440:r=$2:d=$3" -ac $4 -af volume=4 -bitexact $1.wav; }
sine s44 44100 1.2345 2
sine m48 48000 1.1 1
sine s22 22050 1.3 2
sine m11 11025 1.7 1
sine tiny 44100 0.01 2
sine long 48000 21.3 2
mkdir out
"#;

/// With a blank: names of folders may have one.
const PREFIX: &str = "packed sounds ";

pub(crate) fn folder(script: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap();
    shell(folder.path(), SOUNDS);
    shell(folder.path(), script);
    folder
}

fn judge(script: &str, rules: impl Fn(&str) -> Option<Rules>) {
    let folder = folder(script);
    judge_all(&folder.path().join("out"), rules);
}

#[test]
fn mpeg_audio() {
    judge(
        r#"
        for s in s44 m48 s22 m11 tiny long; do
            lame --quiet -b 128 $s.wav out/$s.cbr128.mp3
            lame --quiet -V2 $s.wav out/$s.v2.mp3
            lame --quiet -V6 --tt Title --ta Artist --tg 17 --ty 1999 $s.wav out/$s.tagged.mp3
            lame --quiet -p -b 96 $s.wav out/$s.checked.mp3
            lame --quiet --nores -b 160 $s.wav out/$s.nores.mp3
            ffmpeg -v error -i $s.wav -c:a libmp3lame -q:a 4 -metadata TBPM=120 -id3v2_version 3 out/$s.ffmpeg.mp3
            ffmpeg -v error -i $s.wav -c:a libmp3lame -b:a 64k -ar 48000 -write_xing 0 -id3v2_version 0 out/$s.bare.mp3
        done
        for s in s44 m48 s22 long; do
            ffmpeg -v error -i $s.wav -c:a mp2 -b:a 160k -ar 48000 out/$s.mp2
        done
        for s in s44 m48 long; do
            lame --quiet -a -m m -b 56 $s.wav out/$s.mono.mp3
            lame --quiet -m j --resample 16 -b 24 $s.wav out/$s.low.mp3
            lame --quiet --resample 8 -V 5 $s.wav out/$s.lowest.mp3
            lame --quiet -b 320 --id3v1-only --tt Old --ta Older $s.wav out/$s.id3v1.mp3
        done
        ffmpeg -v error -f lavfi -i "nullsrc=s=400x400,geq=random(1)*255:128:128" -frames:v 1 noise.png
        ffmpeg -v error -i s44.wav -i noise.png -map 0 -map 1 -c:a libmp3lame -c:v copy -id3v2_version 3 out/cover.mp3
        "#,
        |name| {
            Some(match name {
                // ffprobe 5.1 guesses the duration of a bare stream by its size, and of two frames wrongly.
                "tiny.bare.mp3" => Rules {
                    duration: false,
                    ..ALL
                },
                // As are the duration and the end of two frames of different lengths.
                "tiny.tagged.mp3" => Rules {
                    duration: false,
                    frames: Frames::Sndfile,
                    ..ALL
                },
                // The picture ends after 64 KiB.
                "cover.mp3" => Rules {
                    complaints: true,
                    ..ALL
                },
                _ => ALL,
            })
        },
    );
}

#[test]
fn ogg_vorbis() {
    judge(
        r#"
        for s in s44 m48 s22 m11 tiny long; do
            for q in -1 3 10; do oggenc -Q -q $q $s.wav -o out/$s.q$q.ogg; done
            ffmpeg -v error -i $s.wav -c:a libvorbis -metadata title=Title out/$s.libvorbis.ogg
        done
        ffmpeg -v error -i s44.wav -ac 6 -c:a libvorbis out/surround.ogg
        ffmpeg -v error -i s44.wav -c:a vorbis -strict -2 out/other-encoder.ogg
        ffmpeg -v error -i long.wav -c:a libvorbis uncut.ogg
        ffmpeg -v error -ss 5 -i uncut.ogg -c copy out/cut.ogg
        head -c 30000 uncut.ogg > out/truncated.ogg
        "#,
        |name| {
            Some(match name {
                // libsndfile does not tell its length.
                "truncated.ogg" => ALL,
                _ => Rules {
                    frames: Frames::Sndfile,
                    ..ALL
                },
            })
        },
    );
}

#[test]
fn ogg_opus() {
    judge(
        r#"
        for s in s44 m48 s22 m11 tiny long; do
            opusenc --quiet $s.wav out/$s.opus
            opusenc --quiet --bitrate 8 --framesize 60 $s.wav out/$s.low.opus
            opusenc --quiet --bitrate 500 --framesize 60 $s.wav out/$s.high.opus
            opusenc --quiet --framesize 2.5 --hard-cbr $s.wav out/$s.short.opus
            ffmpeg -v error -i $s.wav -c:a libopus -b:a 48k -application voip out/$s.voip.opus
        done
        ffmpeg -v error -i s44.wav -ac 6 -c:a libopus out/surround.opus
        ffmpeg -v error -i m48.wav -ac 8 -c:a libopus out/eight.ogg
        head -c 30000 out/long.opus > out/truncated.opus
        "#,
        |_| Some(ALL),
    );
}

#[test]
fn mp4_sound() {
    judge(
        r#"
        for s in s44 m48 s22 m11 tiny long; do
            ffmpeg -v error -i $s.wav -c:a aac out/$s.m4a
            ffmpeg -v error -i $s.wav -c:a aac -b:a 32k -movflags +faststart -metadata title=T -metadata genre=Rock out/$s.fast.m4a
            ffmpeg -v error -i $s.wav -c:a aac out/$s.aac.mov
            ffmpeg -v error -i $s.wav -ac 6 -c:a aac out/$s.six.mp4
            ffmpeg -v error -i $s.wav -c:a alac out/$s.alac.m4a
            ffmpeg -v error -i $s.wav -c:a alac -sample_fmt s32p out/$s.alac24.m4a
            for c in u8 s16le s24be f32be f64le mulaw alaw; do ffmpeg -v error -i $s.wav -c:a pcm_$c out/$s.$c.mov; done
        done
        # Spectral band replication that the configuration tells, of a core of 24 kHz.
        ffmpeg -v error -i s44.wav -ar 24000 -c:a aac core.m4a
        LC_ALL=C sed 's/\x56\xe5\x00/\x56\xe5\x98/' core.m4a > out/replicated.m4a
        ! cmp -s core.m4a out/replicated.m4a
        for c in 3 4 5; do ffmpeg -v error -i s44.wav -ac $c -c:a aac out/layout$c.m4a; done
        ffmpeg -v error -i s44.wav -ac 8 -af aformat=channel_layouts=7.1\(wide\) -c:a aac out/layout8.m4a
        ffmpeg -v error -ss 0.5 -i out/long.m4a -c copy out/cut.m4a
        ffmpeg -v error -f lavfi -i "nullsrc=s=400x400,geq=random(1)*255:128:128" -frames:v 1 noise.png
        ffmpeg -v error -i s44.wav -i noise.png -map 0 -map 1 -c:a aac -c:v copy -disposition:v:0 attached_pic out/cover.m4a
        "#,
        |name| {
            let base = Rules {
                frames: Frames::PacketMore,
                ..ALL
            };
            Some(match name {
                name if name.contains(".alac") => Rules {
                    complaints: true,
                    ..ALL
                },
                name if name.ends_with(".mov") && !name.contains(".aac") => Rules {
                    from_facts: false,
                    ..ALL
                },
                "cover.m4a" => Rules {
                    complaints: true,
                    ..base
                },
                // A layout that the stream tells.
                "layout3.m4a" => Rules {
                    capsule: false,
                    ..base
                },
                _ => base,
            })
        },
    );
}

#[test]
fn adts() {
    judge(
        r#"
        for s in s44 m48 tiny; do ffmpeg -v error -i $s.wav -c:a aac out/$s.aac; done
        "#,
        |_| {
            Some(Rules {
                // ffprobe guesses the duration.
                duration: false,
                from_facts: false,
                ..ALL
            })
        },
    );
}

/// A tag of Fraunhofer's encoder tells the number of frames; nothing here writes one.
#[test]
fn fraunhofers_tag_tells_the_length() {
    let folder = folder("lame --quiet -t -b 128 s44.wav bare.mp3");
    let bare = std::fs::read(folder.path().join("bare.mp3")).unwrap();
    let mut bytes = vec![0; 417];
    bytes[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0]);
    bytes[36..40].copy_from_slice(b"VBRI");
    let frames = 47_u32;
    bytes[40..46].copy_from_slice(&[0, 1, 0, 0, 0, 75]);
    bytes[46..50].copy_from_slice(&(bare.len() as u32 + 417).to_be_bytes());
    bytes[50..54].copy_from_slice(&frames.to_be_bytes());
    // A table of contents of no entries.
    bytes[54..62].copy_from_slice(&[0, 0, 0, 1, 0, 2, 0, 1]);
    bytes.extend(&bare);
    std::fs::create_dir_all(folder.path().join("out")).unwrap();
    std::fs::write(folder.path().join("out/vbri.mp3"), bytes).unwrap();
    let told = crate::tools::ffprobe(&folder.path().join("out/vbri.mp3")).unwrap();
    let seconds: f64 = told["streams"][0]["duration"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let format = probe_file(&folder.path().join("out/vbri.mp3")).format;
    assert_eq!(format.frames, Some(u64::from(frames) * 1152));
    assert!((format.duration_seconds.unwrap() - seconds).abs() < 0.001);
}

/// The attributes of the files in a folder.
fn attributes(folder: &Path, name: &str) -> Vec<(String, serde_json::Value)> {
    let mut attributes = probe_file(&folder.join("out").join(name)).attributes;
    attributes
        .retain(|(name, _)| ["bpm", "key", "genre", "title", "artist"].contains(&name.as_str()));
    attributes.sort_by(|a, b| a.0.cmp(&b.0));
    attributes
}

#[test]
fn tags_become_attributes() {
    let folder = folder(
        r#"
        lame --quiet -b 64 --tt Títle --ta Artist --tg 17 --tv TBPM=128 --tv TKEY=Am tiny.wav out/v23.mp3
        lame --quiet -b 64 --id3v1-only --tt Title --ta Artist --tg 17 tiny.wav out/v1.mp3
        for v in 3 4; do
            ffmpeg -v error -i tiny.wav -metadata title=Títle -metadata artist=Artist -metadata genre=Rock \
                -metadata TBPM=128 -metadata TKEY=Am -id3v2_version $v out/ffmpeg$v.mp3
        done
        oggenc -Q -t Títle -a Artist -G Rock -c BPM=128 -c INITIALKEY=Am tiny.wav -o out/vorbis.ogg
        opusenc --quiet --title Títle --artist Artist --genre Rock --comment BPM=128 --comment INITIALKEY=Am tiny.wav out/opus.opus
        ffmpeg -v error -i tiny.wav -c:a aac -metadata title=Títle -metadata artist=Artist -metadata genre=Rock out/itunes.m4a
        "#,
    );
    let all = |bpm: bool, title: &str| {
        let mut all = vec![("artist".to_owned(), json!("Artist"))];
        if bpm {
            all.push(("bpm".to_owned(), json!(128.0)));
        }
        all.push(("genre".to_owned(), json!("Rock")));
        if bpm {
            all.push(("key".to_owned(), json!("Am")));
        }
        all.push(("title".to_owned(), json!(title)));
        all
    };
    for name in [
        "v23.mp3",
        "ffmpeg3.mp3",
        "ffmpeg4.mp3",
        "vorbis.ogg",
        "opus.opus",
    ] {
        assert_eq!(
            attributes(folder.path(), name),
            all(true, "Títle"),
            "{name}"
        );
    }
    assert_eq!(attributes(folder.path(), "v1.mp3"), all(false, "Title"));
    assert_eq!(attributes(folder.path(), "itunes.m4a"), all(false, "Títle"));
}

#[test]
fn a_file_of_several_ogg_files_is_as_long_as_all_of_them() {
    let folder = folder(
        r#"
        oggenc -Q s44.wav -o a.ogg; oggenc -Q tiny.wav -o b.ogg; cat a.ogg b.ogg > out/chain.ogg
        opusenc --quiet m48.wav a.opus; opusenc --quiet m48.wav b.opus; cat a.opus b.opus > out/chain.opus
        cp a.ogg b.ogg a.opus b.opus out
        "#,
    );
    let frames = |name: &str| {
        probe_file(&folder.path().join("out").join(name))
            .format
            .frames
    };
    let sum = |a: &str, b: &str| Some(frames(a).unwrap() + frames(b).unwrap());
    assert_eq!(frames("chain.ogg"), sum("a.ogg", "b.ogg"));
    assert_eq!(frames("chain.opus"), sum("a.opus", "b.opus"));
}

/// What ffprobe says of the first stream of sound of a file in `out`: rate, channels, seconds.
fn told(folder: &Path, name: &str) -> (u32, u16, f64) {
    let told = crate::tools::ffprobe(&folder.join("out").join(name)).unwrap();
    let stream = &told["streams"][0];
    let seconds = stream["duration"].as_str().unwrap().parse().unwrap();
    let rate = stream["sample_rate"].as_str().unwrap().parse().unwrap();
    (rate, stream["channels"].as_u64().unwrap() as u16, seconds)
}

#[test]
fn short_cut_and_joined_mpeg_audio_is_as_long_as_its_frames() {
    let folder = folder(
        r#"
        lame --quiet -t -b 128 s44.wav bare.mp3
        lame --quiet -b 128 s44.wav whole.mp3
        head -c 1000 bare.mp3 > out/cut.mp3
        head -c 420 bare.mp3 > out/one.mp3
        { head -c 300000 /dev/zero; cat bare.mp3; } > out/zeros.mp3
        cp bare.mp3 whole.mp3 out
        cat whole.mp3 whole.mp3 > out/joined.mp3
        "#,
    );
    let format = |name: &str| probe_file(&folder.path().join("out").join(name)).format;
    let frames = |name: &str| format(name).frames.unwrap();
    assert_eq!(frames("cut.mp3"), 2 * 1152);
    assert_eq!(frames("one.mp3"), 1152);
    assert_eq!(frames("zeros.mp3"), frames("bare.mp3"));
    // The first one's delay is dropped, its padding is not; the second one's information is a frame like others.
    let coded = format("whole.mp3").duration_seconds.unwrap() * 44_100.0;
    let joined = format("joined.mp3");
    let all = 2 * coded.round() as u64 + 1152;
    assert!((1..=2304).contains(&(all - joined.frames.unwrap())));
    let (_, _, seconds) = told(folder.path(), "joined.mp3");
    assert!((joined.duration_seconds.unwrap() - seconds).abs() < 0.05);
}

/// A header may leave the duration open; the samples' own durations tell it.
#[test]
fn mp4_without_a_duration_is_as_long_as_its_samples() {
    let folder =
        folder("for c in aac alac; do ffmpeg -v error -i s44.wav -c:a $c out/$c.m4a; done");
    for codec in ["aac", "alac"] {
        let path = folder.path().join("out").join(format!("{codec}.m4a"));
        let whole = probe_file(&path).format;
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(4).position(|kind| kind == b"mdhd").unwrap() + 20;
        bytes[at..at + 4].fill(0xff);
        let open = format!("{codec}.open.m4a");
        let path = folder.path().join("out").join(&open);
        std::fs::write(&path, bytes).unwrap();
        let format = probe_file(&path).format;
        assert_eq!(format, whole);
        let (_, _, seconds) = told(folder.path(), &open);
        assert!((format.duration_seconds.unwrap() - seconds).abs() < 0.001);
    }
}

/// ADTS has no number for some layouts; the first frame tells the channels then.
#[test]
fn adts_of_any_layout_has_its_channels() {
    let folder = folder(
        "for c in 1 2 3 4 5 6 7 8; do ffmpeg -v error -i s44.wav -ac $c -c:a aac out/$c.aac; done",
    );
    for channels in 1..=8 {
        let name = format!("{channels}.aac");
        let format = probe_file(&folder.path().join("out").join(&name)).format;
        assert_eq!(format.channels, Some(channels));
        assert_eq!(told(folder.path(), &name).1, channels);
    }
}

/// ffprobe counts what the encoder looked ahead, and so do decoders.
#[test]
fn speex_is_as_long_as_its_packets() {
    let folder = folder(
        "for s in s44 m11 tiny long; do ffmpeg -v error -i $s.wav -c:a libspeex out/$s.spx; done",
    );
    for name in ["s44.spx", "m11.spx", "tiny.spx", "long.spx"] {
        let path = folder.path().join("out").join(name);
        let format = probe_file(&path).format;
        let (rate, channels, seconds) = told(folder.path(), name);
        assert_eq!(
            (format.sample_rate, format.channels),
            (Some(rate), Some(channels))
        );
        assert!(
            (format.duration_seconds.unwrap() - seconds).abs() < 0.001,
            "{name}"
        );
        let decoded = crate::tools::decoded(&path).0 / usize::from(channels);
        assert_eq!(format.frames, Some(decoded as u64), "{name}");
    }
}

/// Taggers put ID3v2 before whatever they are given.
#[test]
fn tags_before_any_container_change_no_facts() {
    let folder = folder(
        "for e in wav aiff caf ogg opus m4a; do ffmpeg -v error -i s44.wav -ar 48000 out/t.$e; done",
    );
    for extension in ["wav", "aiff", "caf", "ogg", "opus", "m4a"] {
        let path = folder.path().join("out").join(format!("t.{extension}"));
        let plain = probe_file(&path).format;
        let tagged = folder
            .path()
            .join("out")
            .join(format!("tagged.{extension}"));
        let mut bytes = b"ID3\x03\0\0\0\0\0\x14".to_vec();
        bytes.extend([0; 20]);
        bytes.extend(std::fs::read(&path).unwrap());
        std::fs::write(&tagged, &bytes).unwrap();
        let probed = probe_file(&tagged);
        assert_eq!(probed.format, plain, "{extension}");
        assert!(probed.capsule.is_none(), "{extension}");
        let (rate, channels, seconds) = told(folder.path(), &format!("tagged.{extension}"));
        assert_eq!(
            (plain.sample_rate, plain.channels),
            (Some(rate), Some(channels))
        );
        assert!(
            (plain.duration_seconds.unwrap() - seconds).abs() < 0.001,
            "{extension}"
        );
        assert!(crate::judge::exercise(&bytes, extension));
    }
}
