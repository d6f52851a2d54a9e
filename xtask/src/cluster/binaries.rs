//! The cluster's binaries, built from pinned Go modules, and the images that every node starts with.
//!
//! They are kept in the cache under a hash of the modules: built once, shared by all checkouts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    archive::{Image, hex},
    paths, shell,
};

/// A Go module under `e2e/cluster/` and what `go` is to make of it.
struct Module {
    name: &'static str,
    /// `./cmd/...` of our own mains, or `tool`: the programs that go.mod names.
    packages: &'static str,
    tags: &'static str,
}

const MODULES: [Module; 6] = [
    Module { name: "box", packages: "./cmd/...", tags: "" },
    Module { name: "kube", packages: "./cmd/...", tags: "" },
    Module { name: "containerd", packages: "tool", tags: "no_btrfs,no_devmapper,no_zfs" },
    Module { name: "metallb", packages: "tool", tags: "" },
    Module { name: "helm", packages: "tool", tags: "" },
    Module { name: "coredns", packages: "tool", tags: "" },
];

/// The folder with `bin/`, `images/` and `metallb.yaml`; built when it is not there (about 8 minutes on 2 cores).
pub(crate) fn ensure() -> Result<PathBuf> {
    let source = source();
    let built = place()?;
    if built.is_dir() {
        return Ok(built);
    }
    if !shell::has("go") {
        bail!(
            "the cluster's Kubernetes is built from source: install Go 1.26 or later (https://go.dev/dl) into your PATH"
        );
    }
    println!("building the cluster's binaries into {} (once; minutes)", built.display());
    let partial = built.with_extension(format!("partial-{}", std::process::id()));
    let images = partial.join("images");
    fs::create_dir_all(&images).with_context(|| format!("cannot create {}", images.display()))?;
    for module in &MODULES {
        let start = Instant::now();
        go_install(module, &source.join(module.name), &partial.join("bin"))?;
        println!("{:>6.1}s {}", start.elapsed().as_secs_f32(), module.name);
    }
    metallb_manifests(&source.join("metallb"), &partial)?;
    for (name, program) in [
        ("pause", "pause"),
        ("coredns", "coredns"),
        ("metallb-controller", "controller"),
        ("metallb-speaker", "speaker"),
    ] {
        Image::of(name, &partial.join("bin").join(program)).write(&images.join(format!("{name}.tar")))?;
    }
    shell::put(&partial, &built)?;
    prune(&built)?;
    Ok(built)
}

/// Removes earlier builds, a gigabyte each, but for those that a cluster runs on.
fn prune(built: &Path) -> Result<()> {
    let cache = paths::cache()?;
    let mut in_use = String::new();
    for cluster in fs::read_dir(cache.join("clusters")).into_iter().flatten() {
        in_use.push_str(&fs::read_to_string(cluster?.path().join("settings")).unwrap_or_default());
    }
    for entry in fs::read_dir(&cache)? {
        let path = entry?.path();
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cluster-"));
        if ours && path != built && !in_use.contains(&*path.to_string_lossy()) {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Whether they are built.
pub(crate) fn there() -> Result<bool> {
    Ok(place()?.is_dir())
}

fn source() -> PathBuf {
    paths::root().join("e2e/cluster")
}

fn place() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("cluster-{}", &fingerprint(&source())?[..12])))
}

fn go_install(module: &Module, folder: &Path, bin: &Path) -> Result<()> {
    let mut go = go(folder);
    go.env("GOBIN", bin).args(["install", "-trimpath", "-tags", module.tags]);
    shell::run(go.arg("-ldflags").arg(link_flags(folder)?).arg(module.packages))
}

fn go(folder: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
    go
}

/// Without these every component calls itself v0.0.0-master, and Helm refuses a chart with a `kubeVersion`.
fn link_flags(folder: &Path) -> Result<String> {
    let manifest = fs::read_to_string(folder.join("go.mod"))?;
    let Some(version) = manifest.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v")) else {
        return Ok("-s -w".to_owned());
    };
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let at = "-X k8s.io/component-base/version.";
    Ok(format!("-s -w {at}gitVersion=v{version} {at}gitMajor={major} {at}gitMinor={minor} {at}gitTreeState=clean"))
}

/// MetalLB's CRDs and RBAC, as its own module has them.
fn metallb_manifests(folder: &Path, built: &Path) -> Result<()> {
    let module = shell::output(go(folder).args(["list", "-m", "-f", "{{.Dir}}", "go.universe.tf/metallb"]))?;
    let config = PathBuf::from(module).join("config");
    let work = built.join("kustomize");
    fs::create_dir_all(&work)?;
    let mut resources = Vec::new();
    for part in ["crd/bases", "rbac"] {
        for entry in fs::read_dir(config.join(part))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "kustomization.yaml" {
                // Read and written, not copied: the module cache is read-only, and so would be the copy.
                fs::write(work.join(&name), fs::read(entry.path())?)?;
                resources.push(name);
            }
        }
    }
    resources.sort();
    fs::write(work.join("namespace.yaml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: metallb-system}\n")?;
    let kustomization = format!("namespace: metallb-system\nresources: [namespace.yaml, {}]\n", resources.join(", "));
    fs::write(work.join("kustomization.yaml"), kustomization)?;
    let rendered = shell::output(Command::new(built.join("bin/kubectl")).arg("kustomize").arg(&work))?;
    fs::write(built.join("metallb.yaml"), rendered)?;
    Ok(fs::remove_dir_all(work)?)
}

/// A hash of the modules' files: what the build depends on.
fn fingerprint(source: &Path) -> Result<String> {
    let mut files = BTreeSet::new();
    for module in &MODULES {
        collect(&source.join(module.name), &mut files)?;
    }
    let mut all = Vec::new();
    for file in files {
        all.extend(file.strip_prefix(source).unwrap_or(&file).to_string_lossy().as_bytes());
        all.extend(fs::read(&file)?);
    }
    Ok(hex(&all))
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}
