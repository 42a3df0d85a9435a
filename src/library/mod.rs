//! The user's sounds on disk: probing what they are, scanning and watching folders, identity, import.

pub mod probe;
