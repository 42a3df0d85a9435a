//! What macFUSE is told of a mount beside what all FUSEs are.
//!
//! Not `noappledouble`: where the drive can be written to, copies of the Finder put what it keeps of a file into `._NAME`
//! beside it, and would fail if they could not; elsewhere the drive refuses it as it refuses all. Nor `local`, as a drive that
//! the Finder takes for a disk is offered to be erased, indexed and backed up.

use std::path::Path;

/// The options of a mount at `point`.
pub(super) fn options(point: &Path) -> Vec<String> {
    let mut options = vec![
        // Reading changes nothing here.
        "noatime".to_owned(),
    ];
    // A comma would end the option.
    let name = point.file_name().map(|name| {
        let name = name.to_string_lossy();
        name.replace(|c: char| c == ',' || c.is_control(), " ")
    });
    if let Some(name) = name.filter(|name| !name.trim().is_empty()) {
        options.push(format!("volname={name}"));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_is_called_as_its_folder() {
        let named = |point: &str| options(Path::new(point)).pop();
        let name = |name: &str| Some(format!("volname={name}"));
        assert_eq!(named("/Volumes/Loophole"), name("Loophole"));
        assert_eq!(named("/Volumes/My, \u{7}Drive"), name("My   Drive"));
        assert_eq!(named("/").as_deref(), Some("noatime"));
        assert_eq!(named("/,").as_deref(), Some("noatime"));
    }
}
