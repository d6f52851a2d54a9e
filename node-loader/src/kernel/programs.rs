//! The eBPF programs and their links.
//!
//! Links are pinned, so they work on without us; where the kernel has no links for devices, filters do.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{CgroupAttachMode, CgroupSockAddr, SchedClassifier, links::FdLink},
};

use super::{
    attachment::Attachment,
    attempts::undisturbed,
    clsact::{self, Filters},
    devices::Hook,
    pins::Pins,
    tcx,
    words::text,
};
use crate::datapath::DatapathError;

/// The object that `cargo xtask bpf` built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/axoneme.o"));

const CLASSIFIERS: [Hook; 3] = [Hook::Container, Hook::Netdev, Hook::Host];
const CONNECT: [&str; 2] = ["connect4", "connect6"];

pub(crate) struct Programs {
    ebpf: Ebpf,
    pins: Pins,
    /// Where the kernel has no links for devices.
    filters: Option<Filters>,
}

impl Programs {
    /// Loads all programs; maps are those pinned, or new ones that are pinned at once.
    pub(crate) fn load(pins: Pins, attachment: Attachment) -> Result<Self, DatapathError> {
        let filters = match attachment {
            Attachment::Tcx => None,
            Attachment::Clsact => {
                let failed = |error| DatapathError::io("look for the filters of earlier layouts of the maps", error);
                Some(Filters::open(&pins).map_err(failed)?)
            }
        };
        // The programs need no type information of the running kernel, which takes megabytes to read.
        let mut loader = EbpfLoader::new();
        let loader = loader.btf(None).default_map_pin_directory(pins.folder());
        let mut ebpf = loader.load(OBJECT).map_err(|error| load_error("the object", &error))?;
        for hook in CLASSIFIERS {
            let program = classifier(&mut ebpf, hook.program())?;
            undisturbed(|| program.load()).map_err(|error| load_error(hook.program(), &error))?;
        }
        for name in CONNECT {
            let program = connect(&mut ebpf, name)?;
            undisturbed(|| program.load()).map_err(|error| load_error(name, &error))?;
        }
        Ok(Self { ebpf, pins, filters })
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
        let attached = match &self.filters {
            None => tcx::attach(program, name, &pin),
            Some(filters) => filters.attach(program, index, name, &pin),
        };
        attached.map_err(failed)
    }

    /// How they sit on devices.
    pub(crate) fn attachment(&self) -> Attachment {
        if self.filters.is_some() { Attachment::Clsact } else { Attachment::Tcx }
    }

    /// Whether the filter that is on record for a device is there. Links always are.
    pub(crate) fn is_in_place(&self, index: u32) -> Result<bool, DatapathError> {
        let failed = |error| DatapathError::io(format!("list the filters of device {index}"), error);
        clsact::is_in_place(index, &self.pins.device(index)).map_err(failed)
    }

    /// Takes the program off a device; one that has none is no error. It runs on for some 25 ms.
    pub(crate) fn detach(&self, index: u32) -> Result<(), DatapathError> {
        let pin = self.pins.device(index);
        clsact::detach(index, &pin)
            .map_err(|error| DatapathError::io(format!("remove the filter of device {index}"), error))?;
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
