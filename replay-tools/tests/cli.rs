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
