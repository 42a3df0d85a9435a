//! Which volumes are mounted, and which of them are trusted.

#[cfg(target_os = "linux")]
mod table;

#[cfg(target_os = "linux")]
pub use table::{DeviceNumber, MountEntry, MountId, MountTable};
