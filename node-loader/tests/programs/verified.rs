//! What the verifier says of each program, recorded in `verified.txt` and compared: how many instructions it walked, how many
//! states it kept at a time and in all, and how much stack each function has.

use std::{
    collections::BTreeMap,
    env, fmt,
    process::{Command, id},
};

use aya::{
    EbpfLoader, VerifierLogLevel,
    programs::{Program, ProgramError},
    util::KernelVersion,
};

use crate::bench::{Bench, OBJECT, PINS};

/// The verifier gives up at a million; we want to be far from it on every kernel.
const MOST: u32 = 100_000;
/// What was recorded was recorded on Linux 6.18.
const RECORDED_ON: KernelVersion = KernelVersion::new(6, 18, 0);
const AFTER: KernelVersion = KernelVersion::new(6, 19, 0);
/// Tells lines from what the test harness prints.
const LINE: &str = "> ";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    instructions: u32,
    peak_states: u32,
    total_states: u32,
    stack: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.instructions, self.peak_states, self.total_states, self.stack)
    }
}

fn table(text: &str) -> BTreeMap<String, Verdict> {
    let row = |line: &str| {
        let [name, instructions, peak, total, stack] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("want five words: {line}")
        };
        let number = |text: &str| text.parse().unwrap();
        let (instructions, peak_states, total_states) = (number(instructions), number(peak), number(total));
        (name.to_owned(), Verdict { instructions, peak_states, total_states, stack: stack.to_owned() })
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

#[test]
fn the_verifier_says_what_is_recorded() {
    let recorded = table(include_str!("verified.txt"));
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "verified::verifier", "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix(LINE)).collect();
    assert!(!lines.is_empty(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let found = table(&lines.join("\n"));
    let now: String = found.iter().map(|(name, verdict)| format!("{name} {verdict}\n")).collect();
    let names = |table: &BTreeMap<String, Verdict>| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&recorded), "verified.txt is to say:\n{now}");
    // Another kernel walks another way, so there only the bound holds.
    let same = KernelVersion::current().unwrap() >= RECORDED_ON && KernelVersion::current().unwrap() < AFTER;
    for (name, verdict) in &found {
        assert!(verdict.instructions <= MOST, "{name} {verdict}");
        let before = &recorded[name];
        let near = |now: u32, before: u32| now.abs_diff(before) <= before / 4 + 8;
        let all = near(verdict.instructions, before.instructions)
            && near(verdict.peak_states, before.peak_states)
            && near(verdict.total_states, before.total_states);
        assert!(
            all || !same,
            "{name}: now {verdict}, recorded {before}. If that is meant, verified.txt is to say:\n{now}"
        );
    }
}

#[test]
#[ignore = "the test above starts it, in a process whose limits it can change"]
fn verifier() {
    Bench::namespaces();
    let mut loader = EbpfLoader::new();
    let loader = loader.btf(None).default_map_pin_directory(PINS).verifier_log_level(VerifierLogLevel::STATS);
    let mut ebpf = loader.load(OBJECT).unwrap();
    // From now on there is no descriptor left for anything new.
    let limited = Command::new("prlimit").args(["--nofile=0:", "--pid", &id().to_string()]).status().unwrap();
    assert!(limited.success());
    // The harness has begun a line.
    println!();
    for (name, program) in ebpf.programs_mut() {
        println!("{LINE}{name} {}", verdict(&words(program)));
    }
}

/// The log of a load that the verifier accepts and that fails after it, for want of a descriptor for the program: of one that
/// succeeds no log is kept.
fn words(program: &mut Program) -> String {
    let loaded = match program {
        Program::SchedClassifier(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        other => panic!("this test does not know how to load {:?}", other.prog_type()),
    };
    match loaded {
        Err(ProgramError::LoadError { verifier_log, .. }) => verifier_log.to_string(),
        other => panic!("the load was to fail for want of a descriptor: {other:?}"),
    }
}

fn verdict(log: &str) -> Verdict {
    let after = |word: &str| {
        let rest = log.split(word).nth(1).unwrap_or_else(|| panic!("no {word:?} in: {log}"));
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let number = |word: &str| after(word).parse().unwrap();
    Verdict {
        instructions: number("processed "),
        peak_states: number("peak_states "),
        total_states: number("total_states "),
        stack: after("stack depth "),
    }
}
