//! The eBPF programs and their links.
//!
//! Links are pinned, so they work on without us. A device that has one gets its program exchanged in place, between two packets.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{
        CgroupAttachMode, CgroupSockAddr, LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        links::{FdLink, LinkError, PinnedLink},
        tc::TcAttachOptions,
    },
    util::KernelVersion,
};

use super::{devices::Hook, pins::Pins};
use crate::datapath::DatapathError;

/// The object that `cargo xtask bpf` built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/axoneme.o"));

const CLASSIFIERS: [Hook; 3] = [Hook::Container, Hook::Netdev, Hook::Host];
const CONNECT: [&str; 2] = ["connect4", "connect6"];

pub(crate) struct Programs {
    ebpf: Ebpf,
    pins: Pins,
}

impl Programs {
    /// Loads all programs; maps are those pinned, or new ones that are pinned at once.
    pub(crate) fn load(pins: Pins) -> Result<Self, DatapathError> {
        if KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(6, 6, 0)) {
            return Err(DatapathError::Unsupported("TCX links, which the redirect uses, need Linux 6.6".to_owned()));
        }
        // The programs need no type information of the running kernel, which takes megabytes to read.
        let mut loader = EbpfLoader::new();
        let loader = loader.btf(None).default_map_pin_directory(pins.folder());
        let mut ebpf = loader.load(OBJECT).map_err(|error| load_error("the object", &error))?;
        for hook in CLASSIFIERS {
            classifier(&mut ebpf, hook.program())?.load().map_err(|error| load_error(hook.program(), &error))?;
        }
        for name in CONNECT {
            connect(&mut ebpf, name)?.load().map_err(|error| load_error(name, &error))?;
        }
        Ok(Self { ebpf, pins })
    }

    pub(crate) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Puts the hook's program on a device. `false` when the device is gone already.
    pub(crate) fn attach(&mut self, index: u32, name: &str, hook: Hook) -> Result<bool, DatapathError> {
        let failed = |message: String| DatapathError::Attach {
            program: hook.program(),
            target: format!("device {name}"),
            message,
        };
        let pin = self.pins.device(index);
        let program = classifier(&mut self.ebpf, hook.program())?;
        match PinnedLink::from_pin(&pin) {
            Ok(link) => {
                if exchange(program, link).is_ok() {
                    return Ok(true);
                }
                // The link is dead: its device went while nobody watched, and the number was given again.
                fs::remove_file(&pin)
                    .map_err(|error| failed(format!("remove the dead link {}: {error}", pin.display())))?;
            }
            Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(format!("open {}: {error}", pin.display()))),
        }
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = match program.attach_with_options(name, TcAttachType::Ingress, options) {
            Ok(id) => id,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(failed(text(&error))),
        };
        let link = program.take_link(id).map_err(|error| failed(text(&error)))?;
        let link = FdLink::try_from(link).map_err(|error| failed(error.to_string()))?;
        link.pin(&pin).map_err(|error| failed(format!("pin at {}: {}", pin.display(), text(&error))))?;
        Ok(true)
    }

    /// Takes the program off a device; one that has none is no error. It runs on for some 25 ms.
    pub(crate) fn detach(&self, index: u32) -> Result<(), DatapathError> {
        let pin = self.pins.device(index);
        match fs::remove_file(&pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DatapathError::io(format!("remove the link {}", pin.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Puts the `connect` programs on the cgroup. The new link runs before the old one goes: what they do is the same.
    pub(crate) fn attach_connect(&mut self, cgroup: &Path) -> Result<(), DatapathError> {
        for name in CONNECT {
            let failed = |message: String| DatapathError::Attach {
                program: name,
                target: format!("cgroup {}", cgroup.display()),
                message,
            };
            let folder = File::open(cgroup).map_err(|error| failed(error.to_string()))?;
            let program = connect(&mut self.ebpf, name)?;
            let id = program.attach(folder, CgroupAttachMode::Single).map_err(|error| failed(text(&error)))?;
            let link = program.take_link(id).map_err(|error| failed(text(&error)))?;
            let link = FdLink::try_from(link).map_err(|error| failed(error.to_string()))?;
            let (pin, new) = (self.pins.link(name), self.pins.link(&format!("{name}_new")));
            // Left by a process that was killed between the two steps.
            let _ = fs::remove_file(&new);
            link.pin(&new).map_err(|error| failed(format!("pin at {}: {}", new.display(), text(&error))))?;
            fs::rename(&new, &pin).map_err(|error| failed(format!("rename to {}: {error}", pin.display())))?;
        }
        Ok(())
    }
}

/// Exchanges the program of a link, whose pin stays.
fn exchange(program: &mut SchedClassifier, link: PinnedLink) -> Result<(), ProgramError> {
    let link = FdLink::from(link).try_into().map_err(|_| ProgramError::NotAttached)?;
    let id = program.attach_to_link(link)?;
    program.take_link(id).map(drop)
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier, DatapathError> {
    let program = ebpf.program_mut(name).ok_or_else(|| DatapathError::Load(format!("the object has no {name}")))?;
    program.try_into().map_err(|error| load_error(name, &error))
}

fn connect<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut CgroupSockAddr, DatapathError> {
    let program = ebpf.program_mut(name).ok_or_else(|| DatapathError::Load(format!("the object has no {name}")))?;
    program.try_into().map_err(|error| load_error(name, &error))
}

fn load_error(what: &str, error: &dyn std::error::Error) -> DatapathError {
    DatapathError::Load(format!("{what}: {}", text(error)))
}

/// With all its causes: aya keeps the kernel's words in the last one.
fn text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
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
