//! Files built to be read slowly: each is read a few times over at most, and in little time.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use mediafs::library::probe::probe;

/// Bytes of each file, about.
const SIZE: usize = 2 << 20;

/// What may be read of a file: this often its size.
const OFTEN: u64 = 20;

/// Nanoseconds of the processor that a probe may take in a build that is not optimised. Each takes less than a tenth.
const LONG: u64 = 2_000_000_000;

/// Counts what is read.
struct Counted<'a> {
    bytes: Cursor<&'a [u8]>,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

/// `start`, and `part` again and again behind it.
fn filled(start: &[u8], part: &[u8]) -> Vec<u8> {
    let mut bytes = start.to_vec();
    while bytes.len() < SIZE {
        bytes.extend(part);
    }
    bytes
}

/// A box of MP4 with these inside.
fn boxed(kind: &[u8; 4], inside: &[&[u8]]) -> Vec<u8> {
    let body = inside.concat();
    let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(body);
    bytes
}

/// A movie of one track, which holds these boxes and a table of samples with those.
fn movie(track: &[&[u8]], table: &[&[u8]]) -> Vec<u8> {
    let mut times = vec![0; 24];
    times[14..16].copy_from_slice(&44_100_u16.to_be_bytes());
    let handler = boxed(b"hdlr", &[&[0; 8], b"soun", &[0; 12]]);
    let media = boxed(
        b"mdia",
        &[
            &handler,
            &boxed(b"mdhd", &[&times]),
            &boxed(b"minf", &[&boxed(b"stbl", table)]),
        ],
    );
    let track = boxed(b"trak", &[&track.concat(), &media]);
    let movie = boxed(b"moov", &[&boxed(b"mvhd", &[&times]), &track]);
    [boxed(b"ftyp", &[b"isom"]), movie].concat()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    const FRAME: [u8; 417] = {
        let mut frame = [0; 417];
        frame[0] = 0xff;
        frame[1] = 0xfb;
        frame[2] = 0x90;
        frame
    };
    let wave = b"RIFF\xff\xff\xff\xffWAVE";
    let form = b"FORM\xff\xff\xff\xffAIFF";
    let page = |serial: u32| {
        let mut page = b"OggS\0\x02\0\0\0\0\0\0\0\0".to_vec();
        page.extend(serial.to_le_bytes());
        page.extend(b"\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis\0\0\0\0\x02\x44\xac\0\0");
        page.extend([0; 12]);
        page.extend(b"\xb8\x01");
        page
    };
    let links = (0..SIZE as u32 / 58).flat_map(page).collect();
    let long_table = filled(b"\0\0\0\0\xff\xff\xff\xff", b"\0\0\0\x01");
    vec![
        ("chunks.wav", filled(wave, b"JUNK\0\0\0\0")),
        ("zeros.wav", filled(wave, &[0; 8])),
        (
            "odd.wav",
            filled(wave, b"\x01\x02\x03\x04\0\0\0\0JUNK\0\0\0\0"),
        ),
        (
            "chunks.aiff",
            filled(form, b"\x01\x02\x03\x04\0\0\0\0NAME\0\0\0\0"),
        ),
        ("zeros.aiff", filled(form, &[0; 8])),
        (
            "chunks.caf",
            filled(b"caff\0\x01\0\0", b"free\0\0\0\0\0\0\0\0"),
        ),
        ("blocks.flac", filled(b"fLaC\0\0\0\x22", b"\x01\0\0\0")),
        ("sync.mp3", filled(b"", b"\xff")),
        ("headers.mp3", filled(b"", b"\xff\xfb\x90\0")),
        ("frames.mp3", filled(&FRAME.repeat(6), b"\xff\xfb\x90\0")),
        ("tags.mp3", filled(b"", b"ID3\x03\0\0\0\0\0\0")),
        (
            "texts.mp3",
            filled(b"ID3\x03\0\0\x01\0\0\0", b"TIT2\0\0\0\0\0\0"),
        ),
        ("headers.aac", filled(b"", b"\xff\xf1\x50\x80\0\x1f\xfc")),
        ("signs.ogg", filled(&page(1), b"OggS")),
        ("pages.ogg", filled(&page(1), &page(1))),
        ("links.ogg", links),
        (
            "tracks.mp4",
            boxed(b"moov", &[&filled(b"", b"\0\0\0\x08trak")]),
        ),
        ("times.mp4", movie(&[], &[&boxed(b"stts", &[&long_table])])),
        (
            "edits.mp4",
            movie(&[&boxed(b"edts", &[&boxed(b"elst", &[&long_table])])], &[]),
        ),
        ("boxes.mp4", movie(&[], &[&filled(b"", b"\0\0\0\x08free")])),
        (
            "elements.mkv",
            filled(
                b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
                b"\xec\x80",
            ),
        ),
        (
            "blocks.mkv",
            filled(
                b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff\
                  \x16\x54\xae\x6b\x93\xae\x91\xd7\x81\x01\x83\x81\x02\x86\x89A_MPEG/L3",
                b"\xa3\x88\x81\0\0\x80\xff\xfb\x90\0",
            ),
        ),
        (
            "lists.avi",
            filled(b"RIFF\xff\xff\xff\xffAVI ", b"LIST\x04\0\0\0hdrl"),
        ),
        (
            "tracks.mid",
            filled(b"MThd\0\0\0\x06\0\x01\xff\xff\0\x60", b"MTrk\0\0\0\0"),
        ),
    ]
}

/// Nanoseconds that this thread has been on a processor.
fn on_processor() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn files_built_to_be_read_slowly_are_not() {
    for (name, bytes) in files() {
        let mut source = Counted {
            bytes: Cursor::new(&bytes),
            read: 0,
        };
        let start = on_processor();
        let _ = probe(&mut source, name.as_bytes());
        let took = on_processor() - start;
        println!(
            "{name}: {} bytes read, {} ms",
            source.read,
            took / 1_000_000
        );
        let most = OFTEN * bytes.len() as u64;
        assert!(source.read <= most, "{name}: {} bytes read", source.read);
        assert!(took < LONG, "{name}: {took} ns");
    }
}
