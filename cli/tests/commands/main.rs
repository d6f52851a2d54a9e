//! The commands of `axonctl` that need no mesh, as a person or a script calls them: what they print, and how they exit.
//!
//! After a wanted change: `INSTA_UPDATE=always cargo test -p axonctl --test commands`, then read the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

mod explain;
mod render;
mod status;
mod validate;

/// What a command printed and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    errors: String,
}

impl Said {
    /// All of it in one text, for a snapshot.
    fn whole(&self) -> String {
        let Self { code, out, errors } = self;
        format!("exit code {code}\n{errors}{out}")
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `axonctl` in the folder of the inputs.
fn axonctl(args: &[&str]) -> Said {
    axonctl_with(args, "")
}

/// The same, with something on its standard input.
fn axonctl_with(args: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axonctl"));
    command.args(args).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/input"));
    for flag in ["ALLOW_EXTENSIONS", "FORBID_FOREIGN_BACKENDS", "USE_ORIGINAL_SOURCE_ADDRESS"] {
        command.env_remove(format!("AXONEME_{flag}"));
    }
    command.env("KUBECONFIG", "/nonexistent");
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), errors: text(output.stderr) }
}

/// Compares with `golden/NAME.snap`.
fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}
