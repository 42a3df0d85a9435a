//! What a file is, on its way from the courier that read it to the daemon: as JSON, within bounds.

use serde::{Deserialize, Serialize};

use crate::catalog::ProbeRecord;
use crate::model::{Format, Kind};
use crate::silence::Capsule;

/// The longest capsule that is taken, in bytes.
pub(super) const MOST_CAPSULE: usize = 64 << 20;
/// Most attributes and notes of one file, and the longest text in them, in bytes.
const MOST: usize = 1000;
const LONGEST: usize = 64 * 1024;
/// The longest JSON of all of them.
pub(super) const LONGEST_FACTS: usize = 2 << 20;

#[derive(Serialize, Deserialize)]
enum Wire {
    Media {
        kind: Kind,
        format: Format,
        attributes: Vec<(String, serde_json::Value)>,
        notes: Vec<String>,
        fingerprint: [u8; 32],
    },
    NotMedia,
    Problem(String),
}

/// The facts as JSON, and the capsule beside it; a problem where they are too long to be true.
pub(super) fn encode(record: ProbeRecord) -> (String, Option<Capsule>) {
    let (wire, capsule) = match record {
        ProbeRecord::Media {
            kind,
            format,
            attributes,
            notes,
            capsule,
            fingerprint,
        } => {
            let media = Wire::Media {
                kind,
                format,
                attributes,
                notes,
                fingerprint,
            };
            (media, capsule)
        }
        ProbeRecord::NotMedia => (Wire::NotMedia, None),
        ProbeRecord::Problem(reason) => (Wire::Problem(reason), None),
    };
    match serde_json::to_string(&wire) {
        Ok(json) if json.len() <= LONGEST_FACTS => {
            let capsule = capsule.filter(|capsule| capsule.bytes.len() <= MOST_CAPSULE);
            (json, capsule)
        }
        _ => {
            // A text of this length can always be written.
            let problem = Wire::Problem("it says too much of itself".to_owned());
            (serde_json::to_string(&problem).unwrap_or_default(), None)
        }
    }
}

/// What was encoded; `None` where it makes no sense.
pub(super) fn decode(json: &str, capsule: Option<Capsule>) -> Option<ProbeRecord> {
    if json.len() > LONGEST_FACTS {
        return None;
    }
    Some(match serde_json::from_str(json).ok()? {
        Wire::Media {
            kind,
            format,
            attributes,
            notes,
            fingerprint,
        } => {
            let short = |text: &str| text.len() <= LONGEST;
            let plain = attributes.len() <= MOST
                && notes.len() <= MOST
                && attributes.iter().all(|(name, _)| short(name))
                && notes.iter().all(|note| short(note));
            if !plain {
                return None;
            }
            ProbeRecord::Media {
                kind,
                format,
                attributes,
                notes,
                capsule,
                fingerprint,
            }
        }
        Wire::NotMedia => ProbeRecord::NotMedia,
        Wire::Problem(reason) if reason.len() <= LONGEST => ProbeRecord::Problem(reason),
        Wire::Problem(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::Container;

    fn media() -> ProbeRecord {
        ProbeRecord::Media {
            kind: Kind::Audio,
            format: Format {
                container: Container::Wav,
                codec: None,
                sample_rate: Some(44_100),
                channels: Some(2),
                bit_depth: Some(24),
                float: false,
                frames: Some(7),
                duration_seconds: Some(0.061_224_489_795_918_366),
            },
            attributes: vec![("bpm".to_owned(), serde_json::json!({"a": [1, null, "x"]}))],
            notes: vec!["odd".to_owned()],
            capsule: Some(Capsule {
                bytes: vec![1, 2, 3],
            }),
            fingerprint: [7; 32],
        }
    }

    #[test]
    fn facts_come_back_as_they_went() {
        for record in [
            media(),
            ProbeRecord::NotMedia,
            ProbeRecord::Problem("broken".to_owned()),
        ] {
            let (json, capsule) = encode(record.clone());
            assert_eq!(decode(&json, capsule).unwrap(), record);
        }
    }

    #[test]
    fn what_is_too_long_or_odd_is_not_taken() {
        let (json, _) = encode(media());
        assert!(decode(&json[1..], None).is_none());
        assert!(decode(&json.replace("44100", "-1"), None).is_none());
        let long = "x".repeat(LONGEST + 1);
        assert!(decode(&json.replace("odd", &long), None).is_none());
        let ProbeRecord::Media { format, .. } = media() else {
            unreachable!()
        };
        let endless = ProbeRecord::Media {
            kind: Kind::Audio,
            format,
            attributes: Vec::new(),
            notes: vec!["x".repeat(LONGEST_FACTS)],
            capsule: None,
            fingerprint: [0; 32],
        };
        let (json, _) = encode(endless);
        assert!(matches!(
            decode(&json, None).unwrap(),
            ProbeRecord::Problem(_)
        ));
    }
}
