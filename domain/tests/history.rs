//! Every event that was ever stored decodes, upcasts and folds, with and without its keys.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::{collections::BTreeSet, fs};

use domain::{
    Decider, Event,
    registry::{Visitor, every_aggregate},
    testing::{Golden, history_of},
};
use strum::VariantNames;

struct History {
    names: BTreeSet<&'static str>,
    types: BTreeSet<&'static str>,
}

impl Visitor for History {
    fn aggregate<D: Decider>(&mut self) {
        assert!(self.types.insert(D::TYPE), "two aggregates are called {}", D::TYPE);
        for name in D::Event::VARIANTS {
            assert!(self.names.insert(name), "two events are called {name}");
            for version in 1..=D::Event::version(name) {
                let file = history_of::<D>().join(format!("{name}.v{version}.json"));
                let text = fs::read(&file).unwrap_or_else(|_| panic!("no golden file {}", file.display()));
                let golden: Golden = serde_json::from_slice(&text).unwrap();
                for with_keys in [true, false] {
                    let mut state = D::default();
                    state.evolve(&golden.read::<D>(name, version, with_keys));
                }
            }
        }
        let files = fs::read_dir(history_of::<D>()).unwrap();
        for file in files.map(|file| file.unwrap().file_name().into_string().unwrap()) {
            let (name, version) = file.trim_end_matches(".json").split_once(".v").unwrap();
            let known = D::Event::VARIANTS.contains(&name)
                && version.parse::<u16>().unwrap() <= D::Event::version(name);
            assert!(known, "{file} was stored once and can no longer be read");
        }
    }
}

#[test]
fn every_stored_event_decodes_and_folds_for_ever() {
    let mut history = History { names: BTreeSet::new(), types: BTreeSet::new() };
    every_aggregate(&mut history);
    assert!(!history.types.is_empty());
}
