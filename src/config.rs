//! The configuration: what the binary has in itself (`config_default.toml`), with the user's `config.toml` over it.
//!
//! Read once at start. Values go to the requester classes, the tree, the cache and the log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// What the binary has in itself.
pub const DEFAULT: &str = include_str!("config_default.toml");

/// Larger files are no configuration.
const LONGEST: u64 = 1 << 20;

/// Gigabytes of the configuration, in bytes.
const GIGABYTE: f64 = 1e9;

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is there, but can't be read.
    #[error(
        "the configuration {path} cannot be read; make it readable, or remove it to use the defaults"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong sort.
    #[error("the configuration {path} is not valid: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and what, with the known keys if a key is unknown.
        reason: String,
    },
}

/// All settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Who gets what.
    pub requesters: RequesterConfig,
    /// How much the cache may take.
    pub cache: CacheConfig,
    /// How long who waits.
    pub deadlines: Deadlines,
    /// Folders that count as trusted storage whatever they lie on; absolute.
    pub trusted: Vec<PathBuf>,
    /// Folders that a sync client manages.
    pub clouds: Vec<CloudConfig>,
    /// How much is written down: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
}

/// Programs by class.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RequesterConfig {
    /// Never wait.
    pub players: Vec<String>,
    /// Wait a little.
    pub loaders: Vec<String>,
    /// True bytes or an error.
    pub copiers: Vec<String>,
    /// File managers.
    pub browsers: Vec<String>,
    /// Get only what is here.
    pub indexers: Vec<String>,
    /// Programs whose command line says what they are.
    pub hosts: Vec<String>,
}

/// How long who waits for bytes that are not on trusted storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadlines {
    /// A player, for one read; after it, silence.
    pub player: Duration,
    /// A loader, for all of a sound; after it, silence.
    pub loader: Duration,
    /// A copier, without a byte coming; after it, an error.
    pub copier: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            player: Duration::from_millis(20),
            loader: Duration::from_secs(10),
            copier: Duration::from_secs(60),
        }
    }
}

/// A folder that a sync client manages, as the user names it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudConfig {
    /// Absolute.
    pub path: PathBuf,
    /// Whose.
    pub provider: Provider,
}

/// Who keeps a cloud folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Dropbox.
    Dropbox,
    /// Microsoft OneDrive.
    Onedrive,
    /// Apple iCloud Drive.
    Icloud,
    /// Nextcloud or ownCloud.
    Nextcloud,
    /// Google Drive.
    GoogleDrive,
    /// A mount of rclone.
    Rclone,
    /// Any other.
    Generic,
}

impl Provider {
    /// The word of the configuration and the protocol.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dropbox => "dropbox",
            Self::Onedrive => "onedrive",
            Self::Icloud => "icloud",
            Self::Nextcloud => "nextcloud",
            Self::GoogleDrive => "google-drive",
            Self::Rclone => "rclone",
            Self::Generic => "generic",
        }
    }
}

/// Limits of the cache, in bytes. `None`: what the cache derives from the size of its disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheConfig {
    /// The most it takes.
    pub quota: Option<u64>,
    /// What it leaves free on its disk.
    pub free_floor: Option<u64>,
}

/// The file's form: everything optional, nothing unknown.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    requesters: RequestersTable,
    #[serde(default)]
    cache: CacheTable,
    #[serde(default)]
    deadlines: DeadlinesTable,
    #[serde(default)]
    storage: StorageTable,
    #[serde(default)]
    cloud: Vec<CloudConfig>,
    #[serde(default)]
    log: LogTable,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RequestersTable {
    #[serde(default)]
    players: Vec<String>,
    #[serde(default)]
    loaders: Vec<String>,
    #[serde(default)]
    copiers: Vec<String>,
    #[serde(default)]
    browsers: Vec<String>,
    #[serde(default)]
    indexers: Vec<String>,
    #[serde(default)]
    hosts: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct CacheTable {
    quota_gb: Option<f64>,
    free_floor_gb: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DeadlinesTable {
    player_ms: Option<u32>,
    loader_seconds: Option<u32>,
    copier_seconds: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct StorageTable {
    #[serde(default)]
    trusted: Vec<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LogTable {
    level: Option<Level>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Bytes, of a value of the file.
fn gigabytes(key: &str, value: f64) -> Result<u64, String> {
    /// A petabyte.
    const MOST: f64 = 1e6;
    if !(0.0..=MOST).contains(&value) {
        return Err(format!(
            "{key} is to be a number from 0 to {MOST}, and not {value}"
        ));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes = (value * GIGABYTE) as u64;
    Ok(bytes)
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Invalid {
        path: path.to_owned(),
        reason: error.to_string().trim_end().replace('\n', " / "),
    })
}

impl Config {
    /// The defaults alone.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if what the binary has in itself is wrong, which a test of this module rules out.
    pub fn defaults() -> Result<Self, ConfigError> {
        let path = Path::new("<built in>");
        let file = parse(path, DEFAULT)?;
        let missing = |key: &str| ConfigError::Invalid {
            path: path.to_owned(),
            reason: format!("no value for {key}"),
        };
        let requesters = file.requesters;
        Ok(Self {
            requesters: RequesterConfig {
                players: requesters.players,
                loaders: requesters.loaders,
                copiers: requesters.copiers,
                browsers: requesters.browsers,
                indexers: requesters.indexers,
                hosts: requesters.hosts,
            },
            cache: CacheConfig::default(),
            deadlines: Deadlines::default(),
            trusted: file.storage.trusted,
            clouds: file.cloud,
            log_level: file
                .log
                .level
                .map(|level| level.word().to_owned())
                .ok_or_else(|| missing("log.level"))?,
        })
    }

    /// The defaults with the file at `path` over them; the defaults alone if there is no such file.
    ///
    /// # Errors
    /// [`ConfigError`] if the file can't be read, is not TOML, or has unknown keys or impossible values.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::defaults()?;
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        match std::fs::metadata(path) {
            Ok(found) if found.len() > LONGEST => {
                return Err(ConfigError::Invalid {
                    path: path.to_owned(),
                    reason: format!("it is {} bytes long; at most 1 MiB is read", found.len()),
                });
            }
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(config),
            Err(error) => return Err(unreadable(error)),
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        config.overlay(path, &text)?;
        Ok(config)
    }

    fn overlay(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let file = parse(path, text)?;
        let invalid = |reason: String| ConfigError::Invalid {
            path: path.to_owned(),
            reason,
        };
        let RequestersTable {
            players,
            loaders,
            copiers,
            browsers,
            indexers,
            hosts,
        } = file.requesters;
        self.requesters
            .add_names([players, loaders, copiers, browsers, indexers])
            .map_err(invalid)?;
        self.requesters.hosts.extend(hosts);
        if let Some(gb) = file.cache.quota_gb {
            self.cache.quota = Some(gigabytes("cache.quota_gb", gb).map_err(invalid)?);
        }
        if let Some(gb) = file.cache.free_floor_gb {
            self.cache.free_floor = Some(gigabytes("cache.free_floor_gb", gb).map_err(invalid)?);
        }
        let DeadlinesTable {
            player_ms,
            loader_seconds,
            copier_seconds,
        } = file.deadlines;
        for (value, most, deadline, unit) in [
            (
                player_ms,
                1000,
                &mut self.deadlines.player,
                Duration::from_millis(1),
            ),
            (
                loader_seconds,
                600,
                &mut self.deadlines.loader,
                Duration::from_secs(1),
            ),
            (
                copier_seconds,
                600,
                &mut self.deadlines.copier,
                Duration::from_secs(1),
            ),
        ] {
            match value {
                None => {}
                Some(value) if value <= most => *deadline = unit * value,
                Some(value) => {
                    return Err(invalid(format!(
                        "a deadline of {value} is too long; at most 1000 ms for players, 600 s for others"
                    )));
                }
            }
        }
        if let Some(cloud) = file.cloud.iter().find(|cloud| !cloud.path.is_absolute()) {
            return Err(invalid(format!(
                "a cloud has the path {}; an absolute one is expected",
                cloud.path.display()
            )));
        }
        self.clouds.extend(file.cloud);
        if let Some(path) = file.storage.trusted.iter().find(|path| !path.is_absolute()) {
            return Err(invalid(format!(
                "storage.trusted has {}; absolute paths are expected",
                path.display()
            )));
        }
        self.trusted.extend(file.storage.trusted);
        if let Some(level) = file.log.level {
            level.word().clone_into(&mut self.log_level);
        }
        Ok(())
    }
}

impl RequesterConfig {
    /// Adds the user's names (players, loaders, copiers, browsers, indexers), and takes them out of the other lists.
    fn add_names(&mut self, given: [Vec<String>; 5]) -> Result<(), String> {
        let all: Vec<&String> = given.iter().flatten().collect();
        if let Some(bad) = all.iter().find(|name| !is_program_name(name)) {
            return Err(format!(
                "{bad:?} is no name of a program: the name of the executable is expected, without folders, with a \"*\" at its end at most"
            ));
        }
        let mut seen: Vec<String> = all.iter().map(|name| name.to_lowercase()).collect();
        seen.sort_unstable();
        if let Some(twice) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{:?} is given two classes", twice[0]));
        }
        let lists = [
            &mut self.players,
            &mut self.loaders,
            &mut self.copiers,
            &mut self.browsers,
            &mut self.indexers,
        ];
        for (list, mut names) in lists.into_iter().zip(given) {
            list.retain(|name| seen.binary_search(&name.to_lowercase()).is_err());
            list.append(&mut names);
        }
        Ok(())
    }
}

fn is_program_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['/', '\\', '\0'])
        && !name.trim_end_matches('*').contains('*')
        && name != "*"
}

/// A file in the place of the home is for the home to tell.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn over(text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::defaults()?;
        config.overlay(Path::new("test.toml"), text)?;
        Ok(config)
    }

    #[test]
    fn the_built_in_configuration_is_whole() {
        let config = Config::defaults().unwrap();
        assert!(config.requesters.players.is_empty());
        let all: Vec<String> = [
            &config.requesters.copiers,
            &config.requesters.browsers,
            &config.requesters.indexers,
        ]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
        assert!(all.iter().all(|name| is_program_name(name)));
        let mut lower: Vec<String> = all.iter().map(|name| name.to_lowercase()).collect();
        lower.sort();
        lower.dedup();
        assert_eq!(lower.len(), all.len(), "a name stands in two lists");
    }

    #[test]
    fn a_users_name_moves_to_the_users_class() {
        let config = over("[requesters]\nplayers = [\"Rclone\", \"bitwig-studio\"]").unwrap();
        assert_eq!(config.requesters.players, ["Rclone", "bitwig-studio"]);
        assert!(!config.requesters.indexers.iter().any(|n| n == "rclone"));
        assert!(config.requesters.indexers.iter().any(|n| n == "restic"));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_known_ones() {
        let error = over("[cache]\nquota = 3").unwrap_err().to_string();
        assert!(
            error.contains("quota_gb") && error.contains("test.toml"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
        let error = over("[requester]\nplayers = []").unwrap_err().to_string();
        assert!(error.contains("requesters"), "{error}");
    }

    #[test]
    fn impossible_values_are_refused() {
        for text in [
            "[cache]\nquota_gb = -1",
            "[log]\nlevel = \"loud\"",
            "[storage]\ntrusted = [\"relative\"]",
            "[requesters]\nplayers = [\"/usr/bin/ardour\"]",
            "[requesters]\nplayers = [\"\"]",
            "[requesters]\nplayers = [\"*\"]",
            "[requesters]\nplayers = [\"a*b\"]",
            "[requesters]\nplayers = [\"sox\"]\nindexers = [\"SoX\"]",
            "nonsense",
        ] {
            assert!(over(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deadlines_and_clouds_are_read() {
        let path = std::path::absolute("/home/a/Dropbox").unwrap();
        let config = over(&format!(
            "[deadlines]\nplayer_ms = 5\n[[cloud]]\npath = '{}'\nprovider = \"google-drive\"",
            path.display()
        ))
        .unwrap();
        assert_eq!(config.deadlines.player, Duration::from_millis(5));
        assert_eq!(config.deadlines.copier, Duration::from_secs(60));
        assert_eq!(config.clouds[0].provider, Provider::GoogleDrive);
        assert_eq!(config.clouds[0].provider.word(), "google-drive");
        for bad in [
            "[deadlines]\nplayer_ms = 2000",
            "[[cloud]]\npath = \"Dropbox\"\nprovider = \"dropbox\"",
            "[[cloud]]\npath = \"/a\"\nprovider = \"megadrive\"",
        ] {
            assert!(over(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_of_the_cache_are_gigabytes() {
        let cache = over("[cache]\nquota_gb = 3").unwrap().cache;
        assert_eq!(cache.quota, Some(3_000_000_000));
        assert_eq!(cache.free_floor, None);
        let cache = over("[cache]\nquota_gb = 0.25\nfree_floor_gb = 0")
            .unwrap()
            .cache;
        assert_eq!(cache.quota, Some(250_000_000));
        assert_eq!(cache.free_floor, Some(0));
        for bad in ["-0.1", "nan", "inf", "1e300", "\"3\""] {
            let error = over(&format!("[cache]\nquota_gb = {bad}")).unwrap_err();
            assert!(error.to_string().contains("quota_gb"), "{error}");
        }
    }

    #[test]
    fn no_file_means_the_defaults_and_a_folder_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            Config::load(&dir.path().join("none.toml")).unwrap(),
            Config::defaults().unwrap()
        );
        assert!(matches!(
            Config::load(dir.path()),
            Err(ConfigError::Unreadable { .. })
        ));
    }
}
