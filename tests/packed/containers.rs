//! Codings in containers that are not their own, and films: judged like all others.

use std::path::Path;

use crate::formats::folder;
use crate::judge::{ALL, Frames, Rules, capsule_bytes, capsule_of, judge_all};
use crate::tools;

fn judge(script: &str, rules: impl Fn(&str) -> Option<Rules>) {
    let folder = folder(script);
    judge_all(&folder.path().join("out"), rules);
}

/// Silence by a capsule alone; how long a sound is, is not compared.
const CAPSULE: Rules = Rules {
    duration: false,
    frames: Frames::Unknown,
    from_facts: false,
    ..ALL
};

#[test]
fn packets_in_wave() {
    judge(
        r#"
        for s in s44 m48 tiny; do
            ffmpeg -v error -i $s.wav -c:a libmp3lame out/$s.mp3.wav
            ffmpeg -v error -i $s.wav -c:a mp2 -ar 44100 out/$s.mp2.wav
            ffmpeg -v error -i $s.wav -c:a adpcm_yamaha out/$s.yamaha.wav
            ffmpeg -v error -i $s.wav -c:a wmav2 out/$s.wma.wav
            ffmpeg -v error -i $s.wav -ac 1 -ar 8000 -c:a libgsm_ms out/$s.gsm.wav
            ffmpeg -v error -i $s.wav -ac 1 -ar 16000 -c:a g722 out/$s.g722.wav
            for b in 24k 32k 40k; do ffmpeg -v error -i $s.wav -ac 1 -ar 8000 -c:a g726 -b:a $b out/$s.$b.g726.wav; done
            sox $s.wav -c 1 -e gsm-full-rate out/$s.sox-gsm.wav
        done
        "#,
        |name| {
            Some(Rules {
                // It takes the pad byte behind an odd number of bytes for the start of one more block.
                heard_by_sndfile: name.ends_with(".gsm.wav"),
                ..CAPSULE
            })
        },
    );
}

#[test]
fn packets_in_caf() {
    judge(
        r#"
        for s in s44 tiny long; do
            ffmpeg -v error -i $s.wav -c:a alac out/$s.alac.caf
            ffmpeg -v error -i $s.wav -c:a alac -sample_fmt s32p out/$s.alac24.caf
            ffmpeg -v error -i $s.wav -c:a libopus out/$s.opus.caf
            ffmpeg -v error -i $s.wav -c:a libmp3lame out/$s.mp3.caf
        done
        "#,
        |name| {
            Some(Rules {
                complaints: name.contains(".alac"),
                ..CAPSULE
            })
        },
    );
}

#[test]
fn flac_and_speex_in_ogg() {
    judge(
        r#"
        for s in s44 m11 tiny long; do
            ffmpeg -v error -i $s.wav -c:a flac out/$s.flac.ogg
            flac -s --ogg $s.wav -o out/$s.oga
            flac -s --ogg -b 4608 -8 $s.wav -o out/$s.long.oga
        done
        ffmpeg -v error -i s44.wav -ac 6 -c:a flac -sample_fmt s32 out/six.flac.ogg
        for r in 8000 16000 32000; do
            ffmpeg -v error -i s44.wav -ar $r -c:a libspeex out/stereo$r.spx
            ffmpeg -v error -i m48.wav -ar $r -t 1 -c:a libspeex -frames_per_packet 5 out/mono$r.spx
        done
        "#,
        |_| Some(CAPSULE),
    );
}

#[test]
fn packets_and_fragments_in_mp4() {
    judge(
        r#"
        for s in s44 tiny long; do
            ffmpeg -v error -i $s.wav -c:a aac -movflags frag_keyframe+empty_moov out/$s.fragments.mp4
            ffmpeg -v error -i $s.wav -c:a aac -movflags empty_moov+default_base_moof -frag_duration 200000 out/$s.dash.mp4
            ffmpeg -v error -i $s.wav -c:a alac -movflags empty_moov -frag_duration 300000 out/$s.alac-fragments.m4a
            ffmpeg -v error -i $s.wav -c:a flac -strict -2 out/$s.flac.mp4
            ffmpeg -v error -i $s.wav -c:a libopus out/$s.opus.mp4
            ffmpeg -v error -i $s.wav -ac 6 -c:a libopus out/$s.opus6.mp4
            ffmpeg -v error -i $s.wav -ar 44100 -c:a libmp3lame out/$s.mp3.mp4
        done
        # One fragment with a long table.
        ffmpeg -v error -f lavfi -i "anoisesrc=d=800:a=0.3:r=44100" -c:a aac -b:a 64k -movflags empty_moov out/one.dash.mp4
        "#,
        |name| {
            let aac = name.contains("dash") || name.contains("fragments");
            Some(Rules {
                complaints: name.contains(".alac"),
                from_facts: aac,
                frames: if aac {
                    Frames::PacketMore
                } else {
                    Frames::Unknown
                },
                ..CAPSULE
            })
        },
    );
}

#[test]
fn matroska() {
    judge(
        r#"
        for s in s44 tiny; do
            ffmpeg -v error -i $s.wav -c:a pcm_s24le out/$s.pcm.mkv
            ffmpeg -v error -i $s.wav -c:a pcm_u8 out/$s.u8.mka
            ffmpeg -v error -i $s.wav -c:a flac out/$s.flac.mka
            ffmpeg -v error -i $s.wav -c:a alac out/$s.alac.mka
            ffmpeg -v error -i $s.wav -c:a libopus out/$s.opus.webm
            ffmpeg -v error -i $s.wav -c:a libvorbis -f webm - | cat > out/$s.live.webm
            ffmpeg -v error -i $s.wav -c:a libvorbis out/$s.vorbis.webm
            ffmpeg -v error -i $s.wav -c:a aac out/$s.aac.mka
            ffmpeg -v error -i $s.wav -ar 44100 -c:a libmp3lame out/$s.mp3.mka
            ffmpeg -v error -i $s.wav -ar 44100 -c:a mp2 out/$s.mp2.mka
        done
        ffmpeg -v error -i long.wav -c:a libopus -b:a 96k out/long.opus.mka
        ffmpeg -v error -i s44.wav -ac 6 -c:a flac -sample_fmt s32 out/six.flac.mka
        ffmpeg -v error -i s44.wav -ac 6 -c:a libopus out/six.opus.mka
        for c in 1 2 3 4 5 6; do for r in 32000 44100; do
            ffmpeg -v error -i s44.wav -ac $c -ar $r -c:a ac3 out/$c.$r.ac3.mka
        done; done
        "#,
        |name| {
            Some(Rules {
                complaints: name.contains(".alac"),
                ..CAPSULE
            })
        },
    );
}

#[test]
fn films() {
    judge(
        r#"
        picture="-f lavfi -i testsrc=d=1:s=320x240"
        for e in mp4 mov mkv; do
            ffmpeg -v error $picture -i s44.wav -shortest -c:v libx264 out/h264.$e
            ffmpeg -v error $picture -i s44.wav -shortest -c:v mpeg4 -c:a alac out/alac.$e
            ffmpeg -v error $picture -i s44.wav -i m48.wav -map 0 -map 1 -map 2 -shortest -c:v mpeg4 out/two.$e
        done
        ffmpeg -v error $picture -i s44.wav -shortest -c:v libx265 -x265-params log-level=none out/hevc.mp4
        ffmpeg -v error $picture -i s44.wav -shortest -c:v prores -c:a pcm_s24le out/prores.mov
        ffmpeg -v error $picture -i s44.wav -shortest -c:v mpeg4 -c:a pcm_u8 out/bytes.mov
        ffmpeg -v error $picture -i s44.wav -shortest -c:v libx264 -movflags frag_keyframe+empty_moov out/fragments.mp4
        ffmpeg -v error $picture -i s44.wav -c:v libvpx -c:a libvorbis out/video.webm
        ffmpeg -v error $picture -i s44.wav -c:v libvpx-vp9 -c:a libopus out/nine.webm
        ffmpeg -v error $picture -i s44.wav -c:v libtheora -c:a libvorbis out/video.ogv
        ffmpeg -v error $picture -i s44.wav -c:a pcm_s16le out/pcm.avi
        ffmpeg -v error $picture -i s44.wav -c:v mjpeg -c:a libmp3lame out/mp3.avi
        ffmpeg -v error $picture -i s44.wav -c:v libx264 -c:a aac out/aac.avi
        ffmpeg -v error -i s44.wav -c:a adpcm_ms out/sound.avi
        for e in mkv mp4 avi; do ffmpeg -v error $picture -i s44.wav -c:v mpeg4 -c:a ac3 out/ac3.$e; done
        "#,
        |name| {
            // Decoders complain about pictures that are none, also those that only look for what there is.
            let rules = Rules {
                complaints: true,
                ..CAPSULE
            };
            let mp4 = name.ends_with(".mp4") || name.ends_with(".mov");
            Some(match name {
                "video.ogv" => Rules {
                    duration: true,
                    frames: Frames::Ffmpeg,
                    from_facts: true,
                    ..rules
                },
                "prores.mov" | "bytes.mov" | "ac3.mp4" => rules,
                // Its edit list was written before its end was known.
                "fragments.mp4" => Rules {
                    from_facts: true,
                    ..rules
                },
                _ if mp4 => Rules {
                    duration: true,
                    frames: Frames::PacketMore,
                    from_facts: true,
                    ..rules
                },
                _ => rules,
            })
        },
    );
}

/// The closest where there is no silence: the same file to readers, of which a decoder refuses every packet.
#[test]
fn sound_without_a_silent_form_keeps_its_shape() {
    let folder = folder(
        r#"
        picture="-f lavfi -i testsrc=d=1:s=320x240"
        ffmpeg -v error $picture -i s44.wav -shortest -c:v libx264 -c:a eac3 out/film.mkv
        ffmpeg -v error $picture -i s44.wav -shortest -c:v libx264 -c:a eac3 out/film.mp4
        ffmpeg -v error -i s44.wav -c:a ac3 out/sound.wav
        ffmpeg -v error -i s44.wav -c:a dca -strict -2 out/dts.mka
        "#,
    );
    let out = folder.path().join("out");
    let mut judged = 0;
    for entry in std::fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        let silent = folder.path().join(path.file_name().unwrap());
        std::fs::write(&silent, capsule_bytes(&path)).unwrap();
        let shape = |path: &Path| {
            let told = tools::ffprobe(path).unwrap();
            // What decoders find out is left out.
            let of_stream = [
                "codec_name",
                "sample_rate",
                "channels",
                "duration",
                "width",
                "height",
            ];
            let streams = told["streams"].as_array().unwrap().clone();
            let streams: Vec<_> = streams
                .iter()
                .map(|stream| of_stream.map(|name| stream[name].clone()))
                .collect();
            let of_file =
                ["format_name", "duration", "size"].map(|name| told["format"][name].clone());
            (streams, of_file)
        };
        assert_eq!(shape(&silent), shape(&path), "{}", path.display());
        judged += 1;
    }
    assert_eq!(judged, 4);
}

/// A capsule is small beside what it stands for.
#[test]
fn capsules_of_long_films_are_small() {
    let folder = folder(
        r#"
        ffmpeg -v error -f lavfi -i "anoisesrc=d=600:a=0.3:r=48000" -c:a libopus -b:a 96k out/opus.webm
        ffmpeg -v error -i out/opus.webm -c copy out/opus.mka
        ffmpeg -v error -f lavfi -i "anoisesrc=d=600:a=0.3:r=44100" -c:a libmp3lame -b:a 128k out/mp3.avi
        ffmpeg -v error -f lavfi -i "anoisesrc=d=600:a=0.3:r=44100" -ac 2 -c:a flac out/flac.ogg
        ffmpeg -v error -f lavfi -i "anoisesrc=d=600:a=0.3:r=44100" -c:a aac -movflags empty_moov -frag_duration 100000 out/aac.mp4
        "#,
    );
    for entry in std::fs::read_dir(folder.path().join("out")).unwrap() {
        let path = entry.unwrap().path();
        let size = std::fs::metadata(&path).unwrap().len();
        let capsule = capsule_of(&path).unwrap_or_else(|| panic!("{} has none", path.display()));
        let compressed = zstd::bulk::compress(&capsule.bytes, 3).unwrap().len() as u64;
        println!("{}: {compressed} of {size}", path.display());
        assert!(compressed * 100 < size * 3, "{}", path.display());
    }
}

#[test]
fn checks_of_silent_ac3_are_right() {
    let folder = folder(
        r#"
        for c in 1 2 6; do ffmpeg -v error -i s44.wav -ac $c -c:a ac3 out/$c.mka; done
        "#,
    );
    for channels in [1, 2, 6] {
        let path = folder.path().join(format!("out/{channels}.mka"));
        let mut bytes = capsule_bytes(&path);
        let complaints = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let path = path.to_str().unwrap();
            let arguments = [
                "-v",
                "error",
                "-err_detect",
                "crccheck",
                "-i",
                path,
                "-f",
                "null",
                "-",
            ];
            tools::attempt("ffmpeg", &arguments).1
        };
        assert_eq!(complaints(&bytes), "");
        // A bit more in a packet is noticed.
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert_ne!(complaints(&bytes), "");
    }
}
