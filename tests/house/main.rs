//! The house's own rules: which crate may know which, how long a file may be, what must never stand in one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod texts;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What each crate of ours may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("event-store", &[]),
    ("commands", &["domain", "event-store"]),
    ("projections", &["domain", "event-store"]),
    ("integrations", &["commands"]),
    ("api", &["commands", "projections", "integrations", "event-store", "domain"]),
    ("replay-tools", &["projections", "commands", "event-store", "domain"]),
];

#[test]
fn dependencies_point_one_way() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in packages.iter().filter(|package| package["name"] != "annals-tests") {
        let name = package["name"].as_str().unwrap();
        let allowed = allowed.get(name).unwrap_or_else(|| panic!("{name} has no place in the house"));
        for dependency in package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
        {
            let dependency = dependency["name"].as_str().unwrap();
            assert!(
                !ours.contains(dependency) || allowed.contains(&dependency),
                "{name} must not know {dependency}"
            );
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && !name.starts_with('.') && name != "target" && name != "data" {
            sources(&entry, found);
        } else if name.ends_with(".rs") {
            found.push(entry);
        }
    }
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 20);
    let long: Vec<_> =
        files.iter().filter(|file| std::fs::read_to_string(file).unwrap().lines().count() > 600).collect();
    assert!(long.is_empty(), "longer than 600 lines: {long:?}");
}

#[test]
fn the_domain_does_no_io_and_reads_no_clock() {
    let mut files = Vec::new();
    sources(&root().join("domain/src"), &mut files);
    for file in files.iter().filter(|file| !file.ends_with("kernel/testing.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for never in [
            "async fn",
            "std::fs",
            "std::net",
            "Timestamp::now",
            "SystemTime",
            "Zoned::now",
            "now_v7",
            "new_v4",
            "tokio",
        ] {
            assert!(!text.contains(never), "{} says `{never}`", file.display());
        }
    }
}
