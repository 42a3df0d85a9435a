//! What commands print: for people in tidy columns, for programs as JSON.
//!
//! Text that comes from files (names, tags) is made harmless before it reaches a terminal.

use std::io::{self, Write};

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::model::{Availability, Format, MediaItem, Playable};

/// Printing on a terminal or into a pipe. A reader that has left ends the command quietly.
pub(super) struct Out {
    to: io::BufWriter<io::Stdout>,
}

impl Out {
    pub(super) fn new() -> Self {
        Self {
            to: io::BufWriter::new(io::stdout()),
        }
    }

    /// One line as it is.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())?;
        self.to.write_all(b"\n")
    }

    /// A value as indented JSON.
    pub(super) fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }

    /// A value as JSON on one line.
    pub(super) fn json_line<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }

    /// Rows whose columns are as wide as their widest cells.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) -> io::Result<()> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            self.row(&widths, &cells)?;
        }
        Ok(())
    }

    /// Columns. Every one but the last is at least as wide as `widths` says.
    pub(super) fn row(&mut self, widths: &[usize], cells: &[&str]) -> io::Result<()> {
        let mut text = String::new();
        for (index, cell) in cells.iter().enumerate() {
            text.push_str(cell);
            if index + 1 < cells.len() {
                let width = widths.get(index).copied().unwrap_or(0);
                let fill = width.saturating_sub(cell.width()) + 2;
                text.extend(std::iter::repeat_n(' ', fill));
            }
        }
        self.line(text.trim_end())
    }

    /// A word and what it says, below each other.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) -> io::Result<()> {
        let width = facts
            .iter()
            .map(|(name, _)| name.width())
            .max()
            .unwrap_or(0);
        for (name, value) in facts {
            self.row(&[width], &[name, value])?;
        }
        Ok(())
    }

    /// Nobody can read the output any more. Who only writes now and then would not notice.
    pub(super) fn reader_left(&self) -> bool {
        mediafs_platform::this_process::output_is_lost()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// An array of JSON that is written item by item.
#[derive(Default)]
pub(super) struct JsonArray {
    begun: bool,
}

impl JsonArray {
    pub(super) fn push<T: Serialize>(&mut self, out: &mut Out, value: &T) -> io::Result<()> {
        out.to.write_all(if self.begun { b",\n" } else { b"[\n" })?;
        self.begun = true;
        serde_json::to_writer(&mut out.to, value)?;
        Ok(())
    }

    pub(super) fn end(self, out: &mut Out) -> io::Result<()> {
        out.line(if self.begun { "\n]" } else { "[]" })
    }
}

/// Text without anything that a terminal would obey or that would hide a part of it.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let deceptive = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || deceptive {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut thousandths = bytes;
    let mut unit = 0;
    while thousandths >= 1_000_000 && unit + 1 < UNITS.len() {
        thousandths /= 1000;
        unit += 1;
    }
    format!(
        "{}.{} {}",
        thousandths / 1000,
        thousandths % 1000 / 100,
        UNITS[unit]
    )
}

/// A length for people: minutes, seconds, tenths.
pub(super) fn length(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds.filter(|s| s.is_finite() && *s >= 0.0) else {
        return "–".to_owned();
    };
    // Far beyond any sound, and well inside u64.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let millis = (seconds.min(1e12) * 1000.0).round() as u64;
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    format!("{minutes}:{:02}.{:03}", rest / 1000, rest % 1000)
}

/// A format for people: `WAV 44.1 kHz 24 bit stereo`.
pub(super) fn format(format: Option<&Format>) -> String {
    let Some(format) = format else {
        return "unknown".to_owned();
    };
    let mut parts = vec![container(format)];
    if let Some(rate) = format.sample_rate {
        parts.push(if rate % 1000 == 0 {
            format!("{} kHz", rate / 1000)
        } else {
            format!("{} kHz", f64::from(rate) / 1000.0)
        });
    }
    if let Some(bits) = format.bit_depth {
        parts.push(format!(
            "{bits} bit{}",
            if format.float { " float" } else { "" }
        ));
    }
    match format.channels {
        Some(1) => parts.push("mono".to_owned()),
        Some(2) => parts.push("stereo".to_owned()),
        Some(channels) => parts.push(format!("{channels} channels")),
        None => {}
    }
    parts.join(" ")
}

fn container(format: &Format) -> String {
    let word = serde_json::to_value(format.container)
        .ok()
        .and_then(|value| value.as_str().map(str::to_uppercase))
        .unwrap_or_default();
    match &format.codec {
        Some(codec) if !codec.0.starts_with("pcm_") && !codec.0.eq_ignore_ascii_case(&word) => {
            format!("{word} {}", plain(&codec.0))
        }
        _ => word,
    }
}

/// How an item is, for people; empty when all is well.
pub(super) fn state(item: &MediaItem) -> String {
    let place = match item.availability {
        Availability::Local => return String::new(),
        Availability::RemoteFetching => "arriving",
        Availability::RemoteOffline => "offline",
        Availability::ExternalOnline => "external",
        Availability::ExternalOffline => "not connected",
        Availability::Missing => "missing",
    };
    let plays = match item.playable {
        Playable::Bytes => return place.to_owned(),
        Playable::Partial => "plays in part",
        Playable::Silence => "plays silence",
        Playable::Error => "cannot play",
    };
    format!("{place}, {plays}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Codec, Container};

    #[test]
    fn names_cannot_command_a_terminal() {
        assert_eq!(
            plain("Kick\u{1b}[31m\n\u{202e}vaw.é"),
            "Kick\\u{1b}[31m\\u{a}\\u{202e}vaw.é"
        );
        assert_eq!(plain("\u{9b}2J"), "\\u{9b}2J");
    }

    #[test]
    fn sizes_and_lengths_are_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1000), "1.0 kB");
        assert_eq!(size(1_234_567), "1.2 MB");
        assert_eq!(size(u64::MAX), "18446.7 PB");
        assert_eq!(length(Some(0.0)), "0:00.000");
        assert_eq!(length(Some(61.5)), "1:01.500");
        assert_eq!(length(Some(59.9999)), "1:00.000");
        assert_eq!(length(Some(f64::INFINITY)), "–");
        assert_eq!(length(None), "–");
    }

    #[test]
    fn formats_read_well() {
        let mut wav = Format {
            container: Container::Wav,
            codec: Some(Codec("pcm_s24le".to_owned())),
            sample_rate: Some(44_100),
            channels: Some(2),
            bit_depth: Some(24),
            float: false,
            frames: Some(1),
            duration_seconds: None,
        };
        assert_eq!(format(Some(&wav)), "WAV 44.1 kHz 24 bit stereo");
        wav.container = Container::Ogg;
        wav.codec = Some(Codec("vorbis".to_owned()));
        wav.sample_rate = Some(48_000);
        wav.bit_depth = None;
        wav.channels = Some(6);
        assert_eq!(format(Some(&wav)), "OGG vorbis 48 kHz 6 channels");
        assert_eq!(format(None), "unknown");
    }
}
