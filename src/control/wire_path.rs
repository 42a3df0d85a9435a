//! Paths in messages of the control protocol.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{path_from_text, path_text};

/// Longer paths, in bytes, lead nowhere on any system. Some work is done for each folder of one.
const LONGEST: usize = if cfg!(windows) { 32_767 * 3 } else { 4096 };

/// A path in a message, as [`path_text`] writes it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WirePath(pub PathBuf);

impl From<&Path> for WirePath {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl fmt::Display for WirePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&path_text(&self.0))
    }
}

impl Serialize for WirePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&path_text(&self.0))
    }
}

impl<'de> Deserialize<'de> for WirePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let path = path_from_text(&text).map_err(serde::de::Error::custom)?;
        if path.as_os_str().len() > LONGEST {
            let told = format!("a path of at most {LONGEST} bytes is expected");
            return Err(serde::de::Error::custom(told));
        }
        Ok(Self(path))
    }
}

impl JsonSchema for WirePath {
    fn schema_name() -> Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An absolute path of the daemon's machine; one that is not UTF-8 is a file:// URI, with %XX for its odd bytes."
        })
    }
}
