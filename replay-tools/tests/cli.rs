//! The program as scripts meet it: its exit codes and where it speaks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn annals_replay(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_annals-replay"));
    // Nothing listens on port 1.
    program.env("ANNALS_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    program.args(arguments).output().unwrap()
}

#[test]
fn the_help_names_every_command_and_is_no_failure() {
    let help = annals_replay(&["--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    for command in
        ["verify", "rebuild", "as-of", "subject", "diff", "explain", "export", "import", "backup", "restore"]
    {
        assert!(text.contains(&format!("\n  {command} ")), "{command} is not in\n{text}");
    }
}

#[test]
fn what_cannot_be_done_ends_with_2_and_says_why_on_the_error_output() {
    for arguments in [&["status"][..], &["verify", "--json"], &["no-such-command"]] {
        let refused = annals_replay(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(!refused.stderr.is_empty() && refused.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn with_json_what_went_wrong_is_json_too() {
    for arguments in [
        &["--json", "status"][..],
        &["check-proof", "/nowhere", "--key", "x", "--json"],
        &["--json", "no-such-command"],
        &["verify", "--no-such-option", "--json"],
        &["--json"],
    ] {
        let refused = annals_replay(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let told: serde_json::Value = serde_json::from_slice(&refused.stderr).unwrap();
        assert!(told["error"].as_str().is_some_and(|why| !why.is_empty()), "{arguments:?}");
    }
    for asked in ["--help", "--version"] {
        let answered = annals_replay(&["--json", asked]);
        assert_eq!((answered.status.code(), answered.stderr.is_empty()), (Some(0), true), "{asked}");
        assert_eq!(answered.stdout, annals_replay(&[asked]).stdout);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let refused = annals_replay(&["check-proof", "/nowhere/proof", "--key", "/nowhere/key"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("/nowhere/key"));
}

#[test]
fn the_help_of_every_command_says_what_it_is_for() {
    let help = String::from_utf8(annals_replay(&["--help"]).stdout).unwrap();
    assert!(help.contains("Exit codes"), "{help}");
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty()) {
        let own = annals_replay(&[name, "--help"]);
        let text = String::from_utf8(own.stdout).unwrap();
        assert_eq!(own.status.code(), Some(0), "{name}");
        assert!(text.contains("--json") && !text.starts_with("Usage"), "{text}");
    }
}

#[test]
fn who_is_interrupted_says_so_by_the_exit_code() {
    use std::{
        io::Read,
        process::Stdio,
        time::{Duration, Instant},
    };
    // A server that takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/none?sslmode=disable", silent.local_addr().unwrap());
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_annals-replay"));
        program.env("ANNALS_DATABASE_URL", &url).env("ANNALS_MASTER_KEY", "0".repeat(64));
        let mut running = program.arg("status").stderr(Stdio::piped()).spawn().unwrap();
        // It has begun when it connects.
        let (mut connection, _) = silent.accept().unwrap();
        connection.read_exact(&mut [0; 8]).unwrap();
        Command::new("kill").args([&format!("-{signal}"), &running.id().to_string()]).status().unwrap();
        let begun = Instant::now();
        let status = running.wait().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(status.code(), Some(code), "{signal}");
    }
}
