//! What sort of storage a mount is for the media layer.

use super::reason::Bus;

/// What sort of storage a mount is. It says where the bytes are; whether the daemon may touch them itself is said by
/// [`Trust`], which is stricter: a built-in disk with FAT is local and not trusted.
///
/// [`Local`] and [`Removable`] storage is identified by [`identify`], the others by [`identity_from_table`].
///
/// [`Trust`]: super::Trust
/// [`Local`]: Self::Local
/// [`Removable`]: Self::Removable
/// [`identify`]: super::identify
/// [`identity_from_table`]: super::identity_from_table
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StorageSort {
    /// A disk that is built in, or what the kernel itself keeps.
    Local,
    /// A volume that comes and goes, and how it is attached: also disk images, and disks of other machines.
    Removable(Bus),
    /// A share of another machine.
    Network,
    /// The file system of a program.
    Foreign {
        /// Which program, if it is a known one.
        provider: Option<Provider>,
    },
}

/// Where the bytes behind a program's file system come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reach {
    /// A provider on the internet: slow, and each read may cost a download.
    Cloud,
    /// Another machine.
    Machine,
    /// A folder or device of this machine, shown in another way.
    Here,
}

/// A program known to serve file systems.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Provider {
    /// Its name, for people.
    pub name: &'static str,
    /// Where its bytes come from.
    pub reach: Reach,
}
