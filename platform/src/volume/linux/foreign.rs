//! Shares and the file systems of programs, as the mount table alone shows them.
//!
//! Nothing here touches storage, so it can be asked about a share that hangs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::identity::{MountIdentity, VolumeIdentity};
use super::kind::{Provider, Reach};
use super::table::MountEntry;

/// Programs by the subtype of their mounts (`fuse.NAME`) or the source text they mount with.
const PROVIDERS: &[(&[&str], &str, Reach)] = &[
    (&["rclone"], "rclone", Reach::Cloud),
    (&["google-drive-ocamlfuse"], "Google Drive", Reach::Cloud),
    (&["gdrivefs", "gdfs"], "Google Drive", Reach::Cloud),
    (&["onedriver", "onedrivefs"], "OneDrive", Reach::Cloud),
    (
        &["dropbox", "dbxfs", "dropboxfs", "ff4d"],
        "Dropbox",
        Reach::Cloud,
    ),
    (&["nextcloud", "openvfsfuse"], "Nextcloud", Reach::Cloud),
    (&["pcloud", "pcloudcc", "pcloud.fs"], "pCloud", Reach::Cloud),
    (&["mega", "megafs", "mega-fuse"], "MEGA", Reach::Cloud),
    (&["icloud", "icloud-fuse"], "iCloud", Reach::Cloud),
    (
        &["expandrive", "insync", "odrive", "cloudmounter"],
        "a cloud drive",
        Reach::Cloud,
    ),
    (&["gcsfuse"], "Google Cloud Storage", Reach::Cloud),
    (
        &["s3fs", "goofys", "geesefs", "yas3fs", "s3backer", "s3ql"],
        "S3",
        Reach::Cloud,
    ),
    (&["mountpoint-s3", "mount-s3"], "S3", Reach::Cloud),
    (&["blobfuse", "blobfuse2"], "Azure", Reach::Cloud),
    (&["hf-mount", "hffs"], "Hugging Face", Reach::Cloud),
    (&["juicefs"], "JuiceFS", Reach::Cloud),
    (&["seadrive"], "Seafile", Reach::Cloud),
    (&["sshfs"], "SSH", Reach::Machine),
    (&["davfs", "davfs2", "wdfs"], "WebDAV", Reach::Machine),
    (&["curlftpfs"], "FTP", Reach::Machine),
    (&["smbnetfs", "fusesmb"], "SMB", Reach::Machine),
    (&["fuse-nfs", "nfs-ganesha"], "NFS", Reach::Machine),
    (&["glusterfs"], "GlusterFS", Reach::Machine),
    (&["ceph-fuse"], "Ceph", Reach::Machine),
    (&["moosefs", "mfs", "lizardfs"], "MooseFS", Reach::Machine),
    (&["gvfsd-fuse"], "GNOME", Reach::Machine),
    (&["kio-fuse"], "KDE", Reach::Machine),
    (
        &[
            "simple-mtpfs",
            "jmtpfs",
            "go-mtpfs",
            "mtpfs",
            "aft-mtp-mount",
        ],
        "MTP",
        Reach::Machine,
    ),
    (&["ifuse"], "iPhone", Reach::Machine),
    (&["vmhgfs-fuse"], "VMware", Reach::Machine),
    (&["bindfs"], "bindfs", Reach::Here),
    (&["encfs"], "EncFS", Reach::Here),
    (&["gocryptfs"], "gocryptfs", Reach::Here),
    (&["cryfs"], "CryFS", Reach::Here),
    (&["securefs"], "securefs", Reach::Here),
    (
        &["mergerfs", "mhddfs", "unionfs"],
        "a union of folders",
        Reach::Here,
    ),
    (&["fuse-overlayfs"], "an overlay", Reach::Here),
    (&["veracrypt", "truecrypt"], "VeraCrypt", Reach::Here),
    (&["dislocker"], "BitLocker", Reach::Here),
    (
        &[
            "archivemount",
            "fuse-archive",
            "fuse-zip",
            "ratarmount",
            "squashfuse",
        ],
        "an archive",
        Reach::Here,
    ),
    (&["fuseiso"], "a disc image", Reach::Here),
    (&["portal"], "a sandbox", Reach::Here),
    (&["ntfs-3g", "lowntfs-3g"], "NTFS", Reach::Here),
    (
        &["exfat", "exfat-fuse", "mount.exfat-fuse"],
        "exFAT",
        Reach::Here,
    ),
];

/// Is this the file system of a program?
pub(super) fn is_program(fs_type: &str) -> bool {
    fs_type == "fuse" || fs_type.starts_with("fuse.")
}

/// The program behind a mount, if it is one of those known.
pub(super) fn provider_of(entry: &MountEntry) -> Option<Provider> {
    if !is_program(&entry.fs_type) {
        return None;
    }
    let subtype = subtype(&entry.fs_type).to_ascii_lowercase();
    let source = entry.source.to_string_lossy().to_ascii_lowercase();
    // `curlftpfs#ftp://…`, `cryfs@/…`, and programs without a subtype that mount under their own name.
    let program = source.split(['#', '@']).next().unwrap_or_default();
    let find = |name: &str| {
        let known = |names: &[&str]| names.contains(&name);
        PROVIDERS
            .iter()
            .find(|(names, _, _)| known(names))
            .map(|(_, name, reach)| Provider {
                name,
                reach: *reach,
            })
    };
    let by_address = || {
        (source.starts_with("http://") || source.starts_with("https://")).then_some(Provider {
            name: "WebDAV",
            reach: Reach::Machine,
        })
    };
    find(&subtype).or_else(|| find(program)).or_else(by_address)
}

fn subtype(fs_type: &str) -> &str {
    fs_type.strip_prefix("fuse.").unwrap_or_default()
}

/// The protocol, whatever version of it was agreed on this time.
fn protocol(fs_type: &str) -> Option<&str> {
    Some(match fs_type {
        "nfs" | "nfs4" => "nfs",
        "cifs" | "smb3" | "smbfs" => "cifs",
        "9p" | "virtiofs" | "ceph" | "afs" | "coda" | "ncpfs" | "glusterfs" | "lustre"
        | "vboxsf" | "prl_fs" | "davfs" | "zfs" => fs_type,
        kind if is_program(kind) => kind,
        _ => return None,
    })
}

/// The identity of a share, of a program's file system, or of a ZFS dataset, by the mount table alone: its kind and what
/// it is mounted from, and where it is mounted if that text says nothing (some programs write their own name there).
/// `None` for everything else, as for disks ([`identify`] tells of those) and for our own drive.
///
/// It is as good as that text: a share that is reached by another name is taken for another one, and two accounts of
/// one provider at different times at one mount point are taken for the same.
///
/// [`identify`]: crate::volume::identify
#[must_use]
pub fn identity_from_table(entry: &MountEntry) -> Option<VolumeIdentity> {
    if entry.is_our_drive() {
        return None;
    }
    let fs_type = protocol(&entry.fs_type)?;
    let source = plain_source(fs_type, &entry.source);
    let mount_point = says_nothing(fs_type, &source).then(|| entry.mount_point.clone());
    Some(VolumeIdentity::Mount(MountIdentity {
        fs_type: fs_type.to_owned(),
        source,
        mount_point,
    }))
}

/// The source without what may differ from mount to mount of one thing.
fn plain_source(fs_type: &str, source: &OsStr) -> OsString {
    let mut bytes = source.as_bytes().to_vec();
    while bytes.len() > 1 && bytes.ends_with(b"/") && !bytes.ends_with(b":/") {
        bytes.pop();
    }
    if fs_type == "cifs" {
        bytes.make_ascii_lowercase();
        for byte in &mut bytes {
            if *byte == b'\\' {
                *byte = b'/';
            }
        }
    }
    OsString::from_vec(bytes)
}

fn says_nothing(fs_type: &str, source: &OsStr) -> bool {
    let source = source.to_string_lossy().to_ascii_lowercase();
    let own_name = || source == subtype(fs_type).to_ascii_lowercase();
    let a_program = || {
        PROVIDERS
            .iter()
            .any(|(names, _, _)| names.contains(&&*source))
    };
    matches!(&*source, "" | "none" | "fuse" | "/dev/fuse" | "unknown")
        || is_program(fs_type) && (own_name() || a_program())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::super::table::MountTable;
    use super::*;

    fn entry(fs_type: &str, source: &str) -> MountEntry {
        let line = format!("40 20 0:50 / /mnt/x rw - {fs_type} {source} rw");
        MountTable::parse(line.as_bytes()).entries()[0].clone()
    }

    fn text(fs_type: &str, source: &str) -> Option<String> {
        identity_from_table(&entry(fs_type, source)).map(|identity| identity.to_string())
    }

    #[test]
    fn a_share_is_known_by_what_is_mounted() {
        for (fs_type, source, expected) in [
            ("nfs4", "nas:/music", "mount:type=nfs,source=nas:/music"),
            ("nfs", "nas:/music/", "mount:type=nfs,source=nas:/music"),
            ("nfs", "nas:/", "mount:type=nfs,source=nas:/"),
            (
                "cifs",
                "//NAS/Samples",
                "mount:type=cifs,source=//nas/samples",
            ),
            (
                "smb3",
                "\\134\\134nas\\134Samples",
                "mount:type=cifs,source=//nas/samples",
            ),
            ("9p", "tag", "mount:type=9p,source=tag"),
            (
                "fuse.sshfs",
                "me@host:/srv",
                "mount:type=fuse.sshfs,source=me@host:/srv",
            ),
            (
                "fuse",
                "https://dav.example/x",
                "mount:type=fuse,source=https://dav.example/x",
            ),
            (
                "fuse.rclone",
                "drive:Sounds",
                "mount:type=fuse.rclone,source=drive:Sounds",
            ),
            (
                "fuse.gcsfuse",
                "bucket",
                "mount:type=fuse.gcsfuse,source=bucket",
            ),
            ("fuse", "/srv/sounds", "mount:type=fuse,source=/srv/sounds"),
        ] {
            assert_eq!(text(fs_type, source).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_source_that_says_nothing_needs_the_place() {
        for (fs_type, source) in [
            ("fuse.s3fs", "s3fs"),
            ("fuse.mountpoint-s3", "mountpoint-s3"),
            ("fuse.onedriver", "onedriver"),
            ("fuse.newthing", "NewThing"),
            ("fuse", "google-drive-ocamlfuse"),
            ("fuse", "none"),
            ("fuse", "/dev/fuse"),
            ("nfs", "none"),
        ] {
            let identity = text(fs_type, source).unwrap();
            assert!(identity.ends_with(",at=/mnt/x"), "{identity}");
        }
    }

    #[test]
    fn disks_and_our_own_drive_are_not_told_by_the_table() {
        for (fs_type, source) in [
            ("ext4", "/dev/sda1"),
            ("fuseblk", "/dev/sda1"),
            ("tmpfs", "none"),
            ("proc", "proc"),
            ("overlay", "overlay"),
            ("fuse.mediafs", "mediafs"),
            ("nfs", "127.0.0.1:/mediafs-00112233445566778899aabbccddeeff"),
        ] {
            assert_eq!(text(fs_type, source), None, "{fs_type}");
        }
    }

    #[test]
    fn programs_are_known_by_subtype_or_source() {
        for (fs_type, source, name, reach) in [
            ("fuse.rclone", "drive:", "rclone", Reach::Cloud),
            (
                "fuse",
                "google-drive-ocamlfuse",
                "Google Drive",
                Reach::Cloud,
            ),
            ("fuse.onedriver", "onedriver", "OneDrive", Reach::Cloud),
            ("fuse", "mountpoint-s3", "S3", Reach::Cloud),
            ("fuse.goofys", "bucket", "S3", Reach::Cloud),
            ("fuse.sshfs", "me@host:/srv", "SSH", Reach::Machine),
            ("fuse", "https://dav.example/x", "WebDAV", Reach::Machine),
            ("fuse", "curlftpfs#ftp://host/", "FTP", Reach::Machine),
            ("fuse.cryfs", "cryfs@/home/me/safe", "CryFS", Reach::Here),
            ("fuse.encfs", "encfs", "EncFS", Reach::Here),
        ] {
            let provider = provider_of(&entry(fs_type, source)).unwrap();
            assert_eq!((provider.name, provider.reach), (name, reach), "{fs_type}");
        }
        assert_eq!(provider_of(&entry("fuse.newthing", "x")), None);
        assert_eq!(provider_of(&entry("nfs", "rclone")), None);
    }
}
