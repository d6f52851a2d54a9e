//! Takes a pinned link off its hook at once. When only the pin is removed, the program runs on for some 25 ms.
#![expect(unsafe_code, reason = "this command of bpf(2) is in no safe wrapper")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// Commands of `linux/bpf.h`.
const OBJ_GET: libc::c_int = 7;
const LINK_DETACH: libc::c_int = 34;

/// Both commands' part of `union bpf_attr`, zeros behind it.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    /// [`OBJ_GET`]: the path. [`LINK_DETACH`]: the link's descriptor, in four bytes.
    first: [u8; 8],
    rest: [u64; 2],
}

/// When it returns, no packet begins to run the program by this link.
pub(crate) fn detach(pin: &Path) -> io::Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let get = Attributes { first: (path.as_ptr().expose_provenance() as u64).to_ne_bytes(), ..Attributes::default() };
    let link = bpf(OBJ_GET, &get)?;
    // SAFETY: a descriptor that the kernel just made for us.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    let mut detach = Attributes::default();
    detach.first[..4].copy_from_slice(&link.as_raw_fd().to_ne_bytes());
    bpf(LINK_DETACH, &detach).map(drop)
}

fn bpf(command: libc::c_int, attributes: &Attributes) -> io::Result<libc::c_int> {
    let size = size_of::<Attributes>();
    // SAFETY: as many bytes as `size` says, which the kernel only reads; the path behind them lives until it is back.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(libc::c_int::try_from(result).unwrap_or_default()) }
}
