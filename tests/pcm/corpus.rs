//! Sounds to judge by: what sox, ffmpeg, libsndfile and flac write, what other programs are known to write, and
//! the real sounds of a drum machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tools::shell;

/// Writes a corpus into `folder`; the files, in order.
pub(crate) fn generate(folder: &Path) -> Vec<PathBuf> {
    sources(folder);
    let mut lines = Vec::new();
    wave(&mut lines);
    aiff(&mut lines);
    caf(&mut lines);
    flac(&mut lines);
    shell(folder, &lines.join("\n"));
    fs::remove_dir_all(folder.join("in")).unwrap();
    crate::handmade::write_all(folder);
    files_below(folder)
}

/// The real sounds of the Debian package hydrogen-data.
pub(crate) fn hydrogen() -> Vec<PathBuf> {
    // Other packages put hundreds more beside them, each of which costs several programs a start.
    let own = ["GMRockKit", "TR808EmulationKit"];
    let sounds: Vec<_> = files_below(Path::new("/usr/share/hydrogen/data"))
        .into_iter()
        .filter(|path| {
            path.iter().all(|part| part != "drumkits")
                || path.iter().any(|part| own.iter().any(|kit| part == *kit))
        })
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wav" || extension == "flac")
        })
        .collect();
    assert!(sounds.len() > 100, "hydrogen-data is needed for this test");
    sounds
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Sounds that are not silent anywhere, so that silence is never the original's.
fn sources(folder: &Path) {
    shell(
        folder,
        "mkdir in
        for c in 1 2 6; do
            sox -R -D -r 44100 -b 32 -n -c $c in/c$c.wav synth 11111s whitenoise vol 0.5
        done
        for r in 8000 11025 22050 48000 96000 192000 12345; do
            sox -R -D -r $r -b 32 -n -c 2 in/r$r.wav synth 5003s pinknoise vol 0.5
        done
        sox -R -D -r 44100 -b 32 -n -c 2 in/long.wav synth 300000s pinknoise vol 0.5
        printf '\\x89PNG' > in/picture.png; head -c 200000 /dev/zero | tr '\\0' '\\125' >> in/picture.png",
    );
}

fn wave(lines: &mut Vec<String>) {
    let encodings = [
        ("u8", "-b 8"),
        ("s16", "-b 16"),
        ("s24", "-b 24"),
        ("s32", "-b 32"),
        ("f32", "-e float -b 32"),
        ("f64", "-e float -b 64"),
        ("mulaw", "-e mu-law"),
        ("alaw", "-e a-law"),
    ];
    for (name, options) in encodings {
        for channels in [1, 2, 6] {
            lines.push(format!(
                "sox -D in/c{channels}.wav {options} sox-{name}-{channels}.wav"
            ));
        }
    }
    for name in ["ms-adpcm", "ima-adpcm"] {
        for channels in [1, 2] {
            lines.push(format!(
                "sox -D in/c{channels}.wav -e {name} sox-{name}-{channels}.wav"
            ));
        }
    }
    for rate in [8000, 11025, 22050, 48000, 96000, 192_000, 12345] {
        lines.push(format!("sox -D in/r{rate}.wav -b 16 sox-{rate}.wav"));
    }
    for codec in [
        "pcm_u8",
        "pcm_s16le",
        "pcm_s24le",
        "pcm_s32le",
        "pcm_f32le",
        "pcm_f64le",
    ] {
        let ffmpeg = format!("ffmpeg -v error -i in/c2.wav -c:a {codec}");
        lines.push(format!("{ffmpeg} ff-{codec}.wav"));
        lines.push(format!("{ffmpeg} -rf64 always ff-rf64-{codec}.wav"));
        lines.push(format!("{ffmpeg} -f wav - | cat > ff-pipe-{codec}.wav"));
        lines.push(format!("{ffmpeg} -bitexact ff-bitexact-{codec}.wav"));
    }
    lines.push(
        "ffmpeg -v error -i in/c1.wav -write_bext 1 -metadata description='a take' \
         -metadata originator=loophole -metadata title='Ö title' -metadata comment=c \
         -metadata umid=0x060A2B340101010501010D43130000000102030405060708090A0B0C0D0E0F10 \
         ff-bext.wav
         ffmpeg -v error -i in/c6.wav -c:a pcm_s24le ff-six.wav
         ffmpeg -v error -i in/c2.wav -c:a adpcm_ms ff-adpcm-ms.wav
         ffmpeg -v error -i in/c2.wav -c:a adpcm_ima_wav ff-adpcm-ima.wav
         ffmpeg -v error -i in/r96000.wav -c:a adpcm_ima_wav ff-adpcm-ima-ext.wav
         ffmpeg -v error -i in/r96000.wav -c:a adpcm_ms ff-adpcm-ms-ext.wav
         sox -D in/c2.wav -b 16 -t wav - | cat > sox-pipe.wav
         sndfile-convert -rf64 -pcm24 in/c2.wav sf-rf64.rf64 || sndfile-convert -pcm24 in/c2.wav sf-rf64.rf64
         head -c 30001 sox-s16-2.wav > truncated-s16.wav
         head -c 30001 sox-s24-2.wav > truncated-s24.wav
         head -c 44 sox-s16-2.wav > only-header.wav"
            .to_owned(),
    );
}

fn aiff(lines: &mut Vec<String>) {
    for bits in [8, 16, 24, 32] {
        for channels in [1, 2] {
            lines.push(format!(
                "sox -D in/c{channels}.wav -b {bits} sox-s{bits}-{channels}.aiff"
            ));
        }
    }
    for codec in [
        "pcm_s8",
        "pcm_s16be",
        "pcm_s24be",
        "pcm_s32be",
        "pcm_s16le",
        "pcm_f32be",
        "pcm_f64be",
        "pcm_mulaw",
        "pcm_alaw",
    ] {
        lines.push(format!(
            "ffmpeg -v error -i in/c2.wav -c:a {codec} -metadata title=t -f aiff ff-{codec}.aifc"
        ));
    }
    for encoding in [
        "pcm16", "pcm24", "pcm32", "float32", "float64", "ulaw", "alaw",
    ] {
        lines.push(format!(
            "sndfile-convert -{encoding} in/c1.wav sf-{encoding}.aifc"
        ));
    }
    lines.push(
        "sndfile-convert -pcm16 -endian=little in/c2.wav sf-sowt.aiff
         sndfile-convert -ima-adpcm in/c1.wav sf-ima.aifc
         head -c 20001 sox-s16-2.aiff > truncated.aiff
         sox -D in/r12345.wav -b 16 sox-12345.aiff
         sox -D in/r192000.wav -b 24 sox-192000.aiff"
            .to_owned(),
    );
}

fn caf(lines: &mut Vec<String>) {
    for codec in [
        "pcm_s8",
        "pcm_s16le",
        "pcm_s16be",
        "pcm_s24le",
        "pcm_s24be",
        "pcm_s32le",
        "pcm_s32be",
        "pcm_f32le",
        "pcm_f32be",
        "pcm_f64le",
        "pcm_f64be",
        "pcm_mulaw",
        "pcm_alaw",
        "alac",
    ] {
        lines.push(format!(
            "ffmpeg -v error -i in/c2.wav -c:a {codec} -metadata title=t ff-{codec}.caf"
        ));
    }
    for encoding in [
        "pcms8", "pcm16", "pcm24", "float32", "float64", "ulaw", "alaw",
    ] {
        lines.push(format!(
            "sndfile-convert -{encoding} in/c1.wav sf-{encoding}.caf"
        ));
    }
    lines.push(
        "ffmpeg -v error -i in/c2.wav -c:a pcm_s16be -f caf - | cat > ff-pipe.caf
         ffmpeg -v error -i in/c6.wav -c:a pcm_s16be ff-six.caf
         ffmpeg -v error -i in/r12345.wav -c:a pcm_s16be ff-12345.caf"
            .to_owned(),
    );
}

fn flac(lines: &mut Vec<String>) {
    for block in [192, 576, 1152, 4096, 4608, 16_384, 100, 4095] {
        lines.push(format!(
            "sox -D in/c2.wav -b 16 -t wav - | flac -s --lax --ignore-chunk-sizes -b {block} - -o b{block}.flac"
        ));
    }
    for bits in [8, 16, 24] {
        for channels in [1, 2, 6] {
            lines.push(format!(
                "sox -D in/c{channels}.wav -b {bits} in/x.wav; \
                 flac -s in/x.wav -o s{bits}-{channels}.flac"
            ));
        }
    }
    for rate in [8000, 12345, 96000, 192_000] {
        lines.push(format!(
            "sox -D in/r{rate}.wav -b 16 in/x.wav; flac -s --lax in/x.wav -o r{rate}.flac"
        ));
    }
    lines.push(
        "sox -D in/long.wav -b 24 in/x.wav
         flac -s in/x.wav --picture='3|image/png||1x1x24|in/picture.png' -T TITLE=Long -T BPM=120.5 -T ARTIST=ü \
             -S 10x -o long.flac
         flac -s in/x.wav -b 16 -o many.flac
         flac -s in/x.wav --no-padding --no-seektable -o bare.flac
         flac -s -c in/x.wav | cat > piped.flac
         { printf 'ID3\\x04\\0\\0\\0\\0\\0\\x14TIT2\\0\\0\\0\\x06\\0\\0\\x03hello\\0\\0\\0\\0'; cat s16-2.flac; } \
             > id3.flac
         sox -D in/x.wav -b 16 sox.flac
         ffmpeg -v error -i in/c2.wav -c:a flac -sample_fmt s32 ff-24.flac
         ffmpeg -v error -i in/c2.wav -c:a flac -sample_fmt s16 -f flac - | cat > ff-pipe.flac"
            .to_owned(),
    );
}
