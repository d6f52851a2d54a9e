//! Programs on devices as pinned TCX links, which work on without us.

use std::{fs, io, path::Path};

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    links::{FdLink, LinkError, PinnedLink},
    tc::TcAttachOptions,
};

use super::words::text;

/// Puts a program on a device; one that has our link gets its program exchanged in place, between two packets. `false` when the
/// device is gone already.
///
/// # Errors
/// The kernel's words.
pub(crate) fn attach(program: &mut SchedClassifier, device: &str, pin: &Path) -> Result<bool, String> {
    match PinnedLink::from_pin(pin) {
        Ok(link) => {
            if exchange(program, link).is_ok() {
                return Ok(true);
            }
            // The link is dead: its device went while nobody watched, and the number was given again.
            fs::remove_file(pin).map_err(|error| format!("remove the dead link {}: {error}", pin.display()))?;
        }
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("open {}: {error}", pin.display())),
    }
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = match program.attach_with_options(device, TcAttachType::Ingress, options) {
        Ok(id) => id,
        Err(error) if is_gone(&error) => return Ok(false),
        Err(error) => return Err(text(&error)),
    };
    let link = program.take_link(id).map_err(|error| text(&error))?;
    let link = FdLink::try_from(link).map_err(|error| error.to_string())?;
    link.pin(pin).map_err(|error| format!("pin at {}: {}", pin.display(), text(&error)))?;
    Ok(true)
}

/// Exchanges the program of a link, whose pin stays.
fn exchange(program: &mut SchedClassifier, link: PinnedLink) -> Result<(), ProgramError> {
    let link = FdLink::from(link).try_into().map_err(|_| ProgramError::NotAttached)?;
    let id = program.attach_to_link(link)?;
    program.take_link(id).map(drop)
}

/// `ENODEV`, or the interface's name is not known any more.
fn is_gone(error: &ProgramError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return code == libc::ENODEV || code == libc::ENXIO;
        }
        cause = error.source();
    }
    false
}
