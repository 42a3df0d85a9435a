//! Whether a disk that hangs on the same bus as built-in ones can be taken away: one on Thunderbolt or USB4 is an NVMe disk as
//! any other, to its driver.
//!
//! What does know is Windows' removal policy of the device, by the bus that all of it hangs on. "Hot-plug", which the driver
//! tells, is only one half of that: disks that may be pulled without a word. By default USB and FireWire are pulled so, and
//! everything else that can go is to be asked for first ("Safely remove hardware"). Inner ports of SATA are often made so
//! that their disks can go, too, so for those the policy tells nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::windows::ffi::OsStrExt;
use std::ptr::null;

use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
    CM_GET_DEVICE_INTERFACE_LIST_PRESENT, CM_Get_DevNode_PropertyW,
    CM_Get_Device_Interface_List_SizeW, CM_Get_Device_Interface_ListW,
    CM_Get_Device_Interface_PropertyW, CM_LOCATE_DEVNODE_NORMAL, CM_Locate_DevNodeW,
    CM_REMOVAL_POLICY, CM_REMOVAL_POLICY_EXPECT_NO_REMOVAL, CR_SUCCESS,
};
use windows_sys::Win32::Devices::Properties::{
    DEVPKEY_Device_InstanceId, DEVPKEY_Device_RemovalPolicy, DEVPROP_TYPE_STRING,
    DEVPROP_TYPE_UINT32,
};
use windows_sys::Win32::Storage::FileSystem::{BusTypeNvme, STORAGE_BUS_TYPE};
use windows_sys::Win32::System::Ioctl::GUID_DEVINTERFACE_DISK;

use super::disk;
use super::text;

/// `MAX_DEVICE_ID_LEN`, in units.
const LONGEST_ID: usize = 200;

/// Can the disk of an open volume be taken away, as its bus is not asked to tell?
pub(super) fn may_go(volume: &File, bus: STORAGE_BUS_TYPE) -> bool {
    if bus != BusTypeNvme {
        return false;
    }
    let Some(number) = disk::number(volume) else {
        return false;
    };
    is_told_so(policy(number))
}

fn is_told_so(policy: Option<CM_REMOVAL_POLICY>) -> bool {
    policy.is_some_and(|policy| policy != CM_REMOVAL_POLICY_EXPECT_NO_REMOVAL)
}

/// Is an open volume on the disk that the system runs from? That does not go, whatever its port could do.
pub(super) fn is_the_systems(volume: &File) -> bool {
    disk::number(volume).is_some_and(|number| system_disk() == Some(number))
}

/// The number of the disk that Windows runs from.
fn system_disk() -> Option<disk::Number> {
    let drive = std::env::var_os("SystemDrive")?;
    let mut device = OsString::from(r"\\.\");
    device.push(drive);
    disk::number(&disk::open(&device).ok()?)
}

/// What Windows expects to become of the disk of this number; `None` where it does not say.
fn policy(number: disk::Number) -> Option<CM_REMOVAL_POLICY> {
    let is_it = |name: &OsString| {
        let device = disk::open(name).ok();
        device.and_then(|device| disk::number(&device)) == Some(number)
    };
    policy_of(&disks().into_iter().find(is_it)?)
}

/// The names of all disks.
fn disks() -> Vec<OsString> {
    let mut units = 0;
    // SAFETY: the class is one of the system's, and the count is ours to be written; of whatever device.
    let told = unsafe {
        CM_Get_Device_Interface_List_SizeW(
            &raw mut units,
            &GUID_DEVINTERFACE_DISK,
            null(),
            CM_GET_DEVICE_INTERFACE_LIST_PRESENT,
        )
    };
    let Ok(room) = usize::try_from(units) else {
        return Vec::new();
    };
    if told != CR_SUCCESS || room == 0 {
        return Vec::new();
    }
    let mut names = vec![0_u16; room];
    // SAFETY: the class is one of the system's, and the buffer has so many units as is said; of whatever device.
    let told = unsafe {
        CM_Get_Device_Interface_ListW(
            &GUID_DEVINTERFACE_DISK,
            null(),
            names.as_mut_ptr(),
            units,
            CM_GET_DEVICE_INTERFACE_LIST_PRESENT,
        )
    };
    // One more disk has come meanwhile: it is told of soon.
    if told != CR_SUCCESS {
        return Vec::new();
    }
    let each = names.split(|unit| *unit == 0);
    each.filter(|name| !name.is_empty()).map(text).collect()
}

fn policy_of(disk: &OsStr) -> Option<CM_REMOVAL_POLICY> {
    let name: Vec<u16> = disk.encode_wide().chain([0]).collect();
    let mut instance = [0_u16; LONGEST_ID];
    let mut bytes = u32::try_from(size_of_val(&instance)).ok()?;
    let mut kind = 0;
    // SAFETY: the name ends with a zero; the buffer has so many bytes as is said, which is ours to be written as the kind is.
    let told = unsafe {
        CM_Get_Device_Interface_PropertyW(
            name.as_ptr(),
            &DEVPKEY_Device_InstanceId,
            &raw mut kind,
            instance.as_mut_ptr().cast(),
            &raw mut bytes,
            0,
        )
    };
    if told != CR_SUCCESS || kind != DEVPROP_TYPE_STRING || !instance.contains(&0) {
        return None;
    }
    let mut device = 0;
    // SAFETY: the id ends with a zero, and the number is ours to be written.
    let told =
        unsafe { CM_Locate_DevNodeW(&raw mut device, instance.as_ptr(), CM_LOCATE_DEVNODE_NORMAL) };
    if told != CR_SUCCESS {
        return None;
    }
    let mut policy: CM_REMOVAL_POLICY = 0;
    let mut bytes = u32::try_from(size_of_val(&policy)).ok()?;
    // SAFETY: the device is one of the system's; the number has so many bytes as is said, and all three are ours to be written.
    let told = unsafe {
        CM_Get_DevNode_PropertyW(
            device,
            &DEVPKEY_Device_RemovalPolicy,
            &raw mut kind,
            (&raw mut policy).cast(),
            &raw mut bytes,
            0,
        )
    };
    (told == CR_SUCCESS && kind == DEVPROP_TYPE_UINT32).then_some(policy)
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
        CM_REMOVAL_POLICY_EXPECT_ORDERLY_REMOVAL as ORDERLY,
        CM_REMOVAL_POLICY_EXPECT_SURPRISE_REMOVAL as SURPRISE,
    };

    use super::*;

    #[test]
    fn what_is_to_be_asked_for_first_may_go_too() {
        const STAYS: CM_REMOVAL_POLICY = CM_REMOVAL_POLICY_EXPECT_NO_REMOVAL;
        for (policy, may_go) in [(STAYS, false), (ORDERLY, true), (SURPRISE, true)] {
            assert_eq!(is_told_so(Some(policy)), may_go, "{policy}");
        }
        assert!(!is_told_so(None), "nobody says so");
    }

    /// Wine cannot tell more of them.
    #[test]
    fn this_machines_disks_are_listed_by_names_that_can_be_opened() {
        for name in disks() {
            assert!(name.to_string_lossy().starts_with(r"\\"), "{name:?}");
            assert!(disk::open(&name).is_ok(), "{name:?}");
        }
    }
}
