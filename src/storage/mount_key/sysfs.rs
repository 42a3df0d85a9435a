//! What the kernel of Linux counts of disks and mounted file systems.

use std::os::linux::fs::MetadataExt;
use std::path::Path;

use mediafs_platform::volume::MountEntry;

/// The sequence number of the disk, and the number of the kernel's folder of what is mounted.
pub(super) fn counted(entry: &MountEntry, device: (u32, u32)) -> (Option<u64>, Option<u64>) {
    let name = block_name(entry, device);
    (
        name.as_deref().and_then(sequence),
        file_system(entry, device, name.as_deref()),
    )
}

/// The kernel's name of the disk or partition, as `sdb1`; of one that has no number of its own (btrfs) by its source.
fn block_name(entry: &MountEntry, (major, minor): (u32, u32)) -> Option<String> {
    let path = if major == 0 {
        let source: &Path = entry.source.as_ref();
        // A link, as of a mapped device, is one of /dev itself.
        source
            .starts_with("/dev")
            .then(|| std::fs::canonicalize(source).ok())
            .flatten()?
    } else {
        std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok()?
    };
    path.file_name()?.to_str().map(str::to_owned)
}

fn sequence(name: &str) -> Option<u64> {
    let block = std::fs::canonicalize(Path::new("/sys/class/block").join(name)).ok()?;
    // A partition has that of its disk.
    let told = [block.join("diskseq"), block.parent()?.join("diskseq")];
    let text = told
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())?;
    text.trim().parse().ok()
}

fn file_system(entry: &MountEntry, (major, minor): (u32, u32), name: Option<&str>) -> Option<u64> {
    let folder = match (entry.fs_type.as_str(), name) {
        ("btrfs", Some(name)) => std::fs::read_dir("/sys/fs/btrfs")
            .ok()?
            .filter_map(Result::ok)
            .map(|found| found.path())
            .find(|found| found.join("devices").join(name).exists())?,
        (kind @ ("ext4" | "xfs" | "f2fs" | "exfat" | "erofs"), Some(name)) => {
            Path::new("/sys/fs").join(kind).join(name)
        }
        // ntfs-3g.
        ("fuseblk", _) => format!("/sys/class/bdi/{major}:{minor}-fuseblk").into(),
        _ if major == 0 => format!("/sys/class/bdi/{major}:{minor}").into(),
        _ => return None,
    };
    // Of the folder itself, where a class shows links.
    let folder = std::fs::canonicalize(folder).ok()?;
    std::fs::metadata(folder).ok().map(|found| found.st_ino())
}
