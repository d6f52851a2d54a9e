//! What to look at when a test failed: logs, objects and the nodes' state, in one folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    Cluster,
    cluster::{NAMESPACE, NODES},
};

/// Runs a test on the cluster, and looks whether anything is left of it. When it fails, its diagnostics are written and the error names their folder.
///
/// # Errors
/// Those of the test.
pub fn scenario(name: &str, test: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let cluster = Cluster::get()?;
    cluster.clients()?;
    test(&cluster).and_then(|()| cluster.nothing_left()).inspect_err(|_| {
        let folder = PathBuf::from(env::var_os("AXONEME_E2E_REPORT").unwrap_or_else(|| "/tmp".into())).join(name);
        match dump(&cluster, &folder) {
            Ok(()) => println!("diagnostics of {name} are in {}", folder.display()),
            Err(error) => println!("no diagnostics of {name}: {error:#}"),
        }
        if let Err(error) = cluster.sweep() {
            println!("what {name} made is still there: {error:#}");
        }
    })
}

fn dump(cluster: &Cluster, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let save = |name: &str, text: Result<String>| {
        let text = text.unwrap_or_else(|error| format!("{error:#}\n"));
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
    };
    let all = "pods,services,endpointslices,ingresses,ciliumenvoyconfigs,ciliumclusterwideenvoyconfigs,events";
    save("objects.txt", cluster.kubectl(&["get", all, "-A", "-o", "wide"]))?;
    save("configs.yaml", cluster.kubectl(&["get", "ingresses,ciliumenvoyconfigs", "-A", "-o", "yaml"]))?;
    save("describe.txt", cluster.kubectl(&["describe", "pods", "-n", NAMESPACE]))?;
    for part in ["operator", "node"] {
        let label = format!("app.kubernetes.io/name=axoneme-{part}");
        let args = ["logs", "-n", NAMESPACE, "-l", &label, "--all-containers", "--prefix", "--tail=-1"];
        save(&format!("{part}.log"), cluster.kubectl(&args))?;
        save(&format!("{part}-previous.log"), cluster.kubectl(&[&args[..], &["--previous"]].concat()))?;
    }
    for node in NODES {
        let status = cluster.node_status(node).and_then(|status| Ok(serde_json::to_string_pretty(&status)?));
        save(&format!("{node}-status.json"), status)?;
        let look = "ss -lntp; ip rule; ip route show table all; nft list ruleset; find /sys/fs/bpf/axoneme; \
                    for map in $(find /sys/fs/bpf/axoneme -name 'map_*' -o -name '*frontends*'); do echo $map; bpftool map dump pinned $map; done";
        save(&format!("{node}-kernel.txt"), cluster.exec(node, &["sh", "-c", look]))?;
    }
    Ok(())
}
