//! The module that Envoy loads to find the routes of a host among thousands: carried inside, and put where Envoy looks for it.
//!
//! Envoy promises the ABI of modules for one version only, so no other Envoy finds it. What the node's Envoy can load the
//! operator is told at the beginning of each stream ([`EnvoyModule::features`]); where it cannot, whole tables serve as well.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use axoneme_api::names::HOSTKEY_FEATURE;
use axoneme_hostkey::{ENVOY, MODULE};
use axoneme_xds::proto::SemanticVersion;
use metrics::gauge;

use crate::{Config, UseModule, metrics::ENVOY_MODULE};

/// The file that `cargo xtask module` built.
static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy_module.so"));

/// The environment variable by which Envoy finds modules.
pub const SEARCH_PATH: &str = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH";

/// What a rejected listener says when the module was not found after all.
const NOT_LOADED: &str = "Failed to load dynamic module";

/// Whether Envoy may load the module, and the file.
#[derive(Debug)]
pub(crate) struct EnvoyModule {
    wanted: bool,
    folder: PathBuf,
    usable: bool,
}

impl EnvoyModule {
    /// Before any Envoy came. That it can load the module is hoped, unless the last one could not: what an Envoy is, it says
    /// only after the operator was asked.
    pub(crate) fn new(config: &Config) -> Self {
        let (wanted, folder) = (config.envoy_module == UseModule::Auto, config.modules_dir());
        let usable = wanted && !note(&folder).exists();
        Self { wanted, folder, usable }
    }

    /// What the node can do, for the operator.
    pub(crate) fn features(&self) -> Vec<String> {
        if self.usable { vec![HOSTKEY_FEATURE.to_owned()] } else { Vec::new() }
    }

    /// An Envoy comes, and will look for the module from now on. True if the operator should know of the outcome.
    pub(crate) fn meet(&mut self, version: Option<SemanticVersion>) -> bool {
        let [major_number, minor_number, patch] = ENVOY;
        let needed = SemanticVersion { major_number, minor_number, patch };
        let outcome = match version {
            _ if !self.wanted => Err("it is switched off".to_owned()),
            Some(found) if found == needed => self.put().map_err(|error| format!("{}: {error}", self.folder.display())),
            found => Err(format!("it is made for Envoy {}, and this one is {}", text(Some(needed)), text(found))),
        };
        self.decide(outcome)
    }

    /// Envoy refused a resource. True if that tells that it has no module, which the operator should know.
    pub(crate) fn refused(&mut self, message: &str) -> bool {
        self.usable && message.contains(NOT_LOADED) && self.decide(Err(message.to_owned()))
    }

    fn decide(&mut self, outcome: Result<(), String>) -> bool {
        let usable = outcome.is_ok();
        if let Err(reason) = outcome {
            if self.wanted {
                tracing::warn!(reason, "Envoy does without its module: shared Ingresses get whole tables");
            }
            if let Err(error) = self.take_away(&reason) {
                tracing::error!(folder = %self.folder.display(), %error, "the module cannot be taken away");
            }
        }
        gauge!(ENVOY_MODULE).set(if usable { 1.0 } else { 0.0 });
        std::mem::replace(&mut self.usable, usable) != usable
    }

    /// An Envoy that runs may have mapped the file: it is replaced, never written to.
    fn put(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let (file, new) = (self.file(), self.folder.join("new"));
        if fs::read(&file).ok().as_deref() != Some(BYTES) {
            fs::write(&new, BYTES)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
            fs::rename(&new, &file)?;
        }
        removed(&note(&self.folder))
    }

    fn take_away(&self, reason: &str) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        fs::write(note(&self.folder), reason)?;
        removed(&self.file())
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("lib{MODULE}.so"))
    }
}

/// Why the last Envoy did without.
fn note(folder: &Path) -> PathBuf {
    folder.join("unused")
}

fn removed(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn text(version: Option<SemanticVersion>) -> String {
    version.map_or_else(
        || "of an unknown version".to_owned(),
        |it| format!("{}.{}.{}", it.major_number, it.minor_number, it.patch),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: SemanticVersion = SemanticVersion { major_number: ENVOY[0], minor_number: ENVOY[1], patch: ENVOY[2] };
    const OTHER: SemanticVersion = SemanticVersion { major_number: ENVOY[0], minor_number: ENVOY[1] + 1, patch: 0 };

    fn config(folder: &Path) -> Config {
        Config { run_dir: folder.to_owned(), ..Config::new("n") }
    }

    fn file(config: &Config) -> PathBuf {
        config.modules_dir().join(format!("lib{MODULE}.so"))
    }

    #[test]
    fn the_right_envoy_finds_the_module() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut module = EnvoyModule::new(&config);
        assert_eq!(module.features(), [HOSTKEY_FEATURE]);
        assert!(!module.meet(Some(RIGHT)), "that was hoped");
        assert_eq!(fs::read(file(&config)).unwrap(), BYTES);
        assert_eq!(&BYTES[..4], b"\x7fELF");
    }

    #[test]
    fn another_envoy_does_not_and_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        for wrong in [Some(OTHER), None] {
            let mut module = EnvoyModule::new(&config);
            module.meet(Some(RIGHT));
            assert!(module.meet(wrong));
            assert!(module.features().is_empty() && !file(&config).exists());
            let mut after_a_restart = EnvoyModule::new(&config);
            assert!(after_a_restart.features().is_empty());
            assert!(!after_a_restart.meet(wrong), "nothing new");
            assert!(after_a_restart.meet(Some(RIGHT)));
            assert_eq!(after_a_restart.features(), [HOSTKEY_FEATURE]);
        }
    }

    #[test]
    fn a_module_that_is_not_found_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut module = EnvoyModule::new(&config(folder.path()));
        module.meet(Some(RIGHT));
        assert!(!module.refused("no such cluster"));
        let words =
            "Failed to load dynamic module: Failed to load dynamic module: libx.so not found in any search path";
        assert!(module.refused(words));
        assert!(module.features().is_empty());
        assert!(!module.refused(words), "it is known");
    }

    #[test]
    fn switched_off_it_is_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { envoy_module: UseModule::Off, ..config(folder.path()) };
        let mut module = EnvoyModule::new(&config);
        assert!(module.features().is_empty());
        assert!(!module.meet(Some(RIGHT)));
        assert!(!file(&config).exists());
    }
}
