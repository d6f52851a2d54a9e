//! `axoneme-node supervise`, with shells in the place of Envoy: what it starts again, what it passes on, whom it buries.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use axoneme_testnet::wait_until;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long a process may take to come or go on a busy machine.
const SOON: Duration = Duration::from_secs(30);
const PROGRAM: &str = env!("CARGO_BIN_EXE_axoneme-node");

/// A supervisor of a shell that runs `script` in `folder`.
struct Supervisor(Child);

impl Supervisor {
    fn of(script: &str, folder: &Path) -> Self {
        Self::with(&[], script, folder)
    }

    /// The same with flags. The shell's `$*` is what else the program is told.
    fn with(flags: &[&str], script: &str, folder: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("supervise").args(flags).args(["--", "sh", "-c", script, "sh"]);
        Self(command.current_dir(folder).stderr(Stdio::null()).spawn().unwrap())
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    fn ended(mut self) -> ExitStatus {
        let mut ended = None;
        wait_until("the supervisor to end", SOON, || {
            ended = self.0.try_wait().unwrap();
            Ok(ended.is_some())
        })
        .unwrap();
        ended.unwrap()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // What it supervises dies with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn until_lines(file: &Path, count: usize) -> Vec<String> {
    wait_until(&format!("{count} lines in {}", file.display()), SOON, || Ok(lines(file).len() >= count)).unwrap();
    lines(file)
}

#[test]
fn what_crashes_is_started_again_and_what_ends_ends_it_all() {
    let folder = tempfile::tempdir().unwrap();
    // Dies twice, of two signals, and then ends with a status of its own.
    let script = "echo $$ >> starts; case $(wc -l < starts) in 1) kill -SEGV $$;; 2) kill -ABRT $$;; *) exit 7;; esac";
    let ended = Supervisor::of(script, folder.path()).ended();
    assert_eq!((lines(&folder.path().join("starts")).len(), ended.code()), (3, Some(7)));
}

#[test]
fn a_program_that_cannot_be_started_is_an_error() {
    let ended = Command::new(PROGRAM).args(["supervise", "--", "/nonexistent"]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && said.contains("/nonexistent"), "{ended:?}");
}

#[test]
fn who_asks_it_to_end_asks_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo asked > asked; exit 5' TERM; echo > starts; while :; do sleep 0.05; done";
    let supervisor = Supervisor::of(script, folder.path());
    until_lines(&folder.path().join("starts"), 1);
    supervisor.send(Signal::SIGTERM);
    assert_eq!(supervisor.ended().code(), Some(5));
    assert_eq!(lines(&folder.path().join("asked")), ["asked"]);

    // One that dies of it was asked to, and is not started again.
    let supervisor = Supervisor::of("echo >> starts; exec sleep 600", folder.path());
    until_lines(&folder.path().join("starts"), 2);
    supervisor.send(Signal::SIGINT);
    assert_eq!(supervisor.ended().code(), Some(128 + 15));
    assert_eq!(lines(&folder.path().join("starts")).len(), 2);
}

#[test]
fn two_of_one_node_have_a_place_each_and_the_third_waits() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let node = ["--run-dir", run_dir.to_str().unwrap(), "--node-name", "node-1"];
    let start = |instance| {
        let flags = [&node[..], &["--instance", instance]].concat();
        Supervisor::with(&flags, "echo $* >> told; exec sleep 600", folder.path())
    };
    let told = folder.path().join("told");
    let bootstrap = |at: usize| {
        let lines = until_lines(&told, at + 1);
        lines[at].split(' ').nth(1).unwrap().to_owned()
    };
    let first = start("old");
    let file = bootstrap(0);
    assert!(fs::read_to_string(&file).unwrap().contains("\"node-1@"), "{file}");
    let _second = start("new");
    let file = bootstrap(1);
    assert!(fs::read_to_string(&file).unwrap().contains("\"node-1/2@"), "{file}");
    let ready = || {
        let probe = ["ready", "--run-dir", node[1], "--instance", "new"];
        Command::new(PROGRAM).args(probe).stderr(Stdio::null()).status().unwrap()
    };
    assert_eq!(ready().code(), Some(1), "a shell serves nobody");

    // It has clients of which nobody can tell, so it ends at once; and leaves its place to the third.
    let _third = start("newest");
    first.send(Signal::SIGTERM);
    assert_eq!(first.ended().code(), Some(128 + 15));
    assert!(bootstrap(2).ends_with("/envoy.json"));
}

#[test]
fn orphans_are_buried() {
    let folder = tempfile::tempdir().unwrap();
    // The shell in brackets ends at once, so that what it started has no parent.
    let script = "(sh -c 'echo $$ > orphan; exec sleep 0.1' &); echo > starts; exec sleep 600";
    let _supervisor = Supervisor::of(script, folder.path());
    let orphan = until_lines(&folder.path().join("orphan"), 1).remove(0);
    let process = Path::new("/proc").join(orphan);
    wait_until("no zombie", SOON, || Ok(!process.exists())).unwrap();
}

#[test]
fn it_puts_itself_where_another_image_can_run_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("supervisor");
    for _again in 0..2 {
        assert!(Command::new(PROGRAM).arg("install").arg(&file).status().unwrap().success());
        let ended = Command::new(&file).args(["supervise", "--", "sh", "-c", "exit 3"]).output().unwrap();
        assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}
