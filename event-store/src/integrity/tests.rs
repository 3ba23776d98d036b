//! The tree against the vectors of the reference implementation, and against the recursion of RFC 6962 itself.

use std::{cell::Cell, convert::Infallible};

use proptest::prelude::*;

use super::*;
use crate::integrity::{leaf::hex, tile::subtree_hash};

/// Leaves in memory.
struct Leaves(Vec<Hash>);

impl Nodes for Leaves {
    type Error = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
        let start = (index << level) as usize;
        Ok(subtree_hash(&self.0[start..start + (1 << level)]))
    }
}

/// MTH of RFC 6962, section 2.1, word for word.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        several => {
            let mut k = 1;
            while k * 2 < several.len() {
                k *= 2;
            }
            node_hash(&naive(&several[..k]), &naive(&several[k..]))
        }
    }
}

fn get<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}

/// The inputs of the tests of Certificate Transparency's reference implementation.
fn reference() -> Leaves {
    let inputs: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    Leaves(inputs.iter().map(|input| leaf_hash(input)).collect())
}

#[test]
fn roots_are_those_of_the_reference_implementation() {
    let expected = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    for (size, expected) in (0..).zip(expected) {
        assert_eq!(hex(&get(root(&reference(), size)).0), expected, "{size}");
    }
}

#[test]
fn proofs_are_those_of_the_reference_implementation() {
    let hexes = |hashes: Vec<Hash>| hashes.iter().map(|hash| hex(&hash.0)).collect::<Vec<_>>();
    let first = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(hexes(get(inclusion_proof(&reference(), 0, 8))), first);
    assert_eq!(hexes(get(consistency_proof(&reference(), 1, 8))), first);
    let six_to_eight = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(hexes(get(consistency_proof(&reference(), 6, 8))), six_to_eight);
}

fn leaves(size: usize) -> Leaves {
    Leaves((0..size).map(|index| leaf_hash(&index.to_le_bytes())).collect())
}

fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = hash.0;
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    Hash(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_root_is_the_naive_root_however_it_is_computed(size in 1_usize..1200) {
        let leaves = leaves(size);
        let mut edge = Edge::default();
        let filled = Cell::new(0);
        for leaf in &leaves.0 {
            edge.push(*leaf, |tile, hashes| {
                assert!(tile.is_full() && hashes.len() == 256);
                filled.set(filled.get() + 1);
            });
        }
        let expected = naive(&leaves.0);
        prop_assert_eq!(get(root(&leaves, size as u64)), expected);
        prop_assert_eq!(edge.root(), expected);
        prop_assert_eq!(filled.get(), size / 256);
        let mut by_tiles = Edge::default();
        let tiles = leaves.0.chunks_exact(256);
        let rest = tiles.remainder();
        tiles.for_each(|tile| by_tiles.push_tile(subtree_hash(tile), |_, _| {}));
        rest.iter().for_each(|leaf| by_tiles.push(*leaf, |_, _| {}));
        prop_assert_eq!(&by_tiles, &edge);
        let read = Edge::read(edge.size(), |wanted| {
            edge.tiles().find(|(tile, _)| *tile == wanted).map(|(_, hashes)| hashes.to_vec()).ok_or(wanted)
        });
        prop_assert_eq!(read, Ok(edge));
    }

    #[test]
    fn every_inclusion_proof_verifies_and_no_changed_one_does(size in 1_u64..700, at in any::<u64>(), bit in 0_usize..256) {
        let (leaves, index) = (leaves(size as usize), at % size);
        let (root, leaf) = (get(root(&leaves, size)), leaves.0[index as usize]);
        let proof = get(inclusion_proof(&leaves, index, size));
        prop_assert!(verify_inclusion(leaf, index, size, &proof, root));
        prop_assert!(!verify_inclusion(flipped(leaf, bit), index, size, &proof, root));
        prop_assert!(!verify_inclusion(leaf, index, size, &proof, flipped(root, bit)));
        prop_assert!(!verify_inclusion(leaf, size, size, &proof, root));
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(!verify_inclusion(leaf, index, size, &longer, root));
        for at in 0..proof.len() {
            let mut changed = proof.clone();
            changed[at] = flipped(changed[at], bit);
            prop_assert!(!verify_inclusion(leaf, index, size, &changed, root));
        }
    }

    #[test]
    fn every_consistency_proof_verifies_and_no_changed_one_does(new in 1_u64..700, at in any::<u64>(), bit in 0_usize..256) {
        let (leaves, old) = (leaves(new as usize), at % (new + 1));
        let (old_root, new_root) = (get(root(&leaves, old)), get(root(&leaves, new)));
        let proof = get(consistency_proof(&leaves, old, new));
        prop_assert!(verify_consistency(old, old_root, new, new_root, &proof));
        prop_assert!(!verify_consistency(old, flipped(old_root, bit), new, new_root, &proof));
        if old > 0 {
            prop_assert!(!verify_consistency(old, old_root, new, flipped(new_root, bit), &proof));
        }
        for at in 0..proof.len() {
            let mut changed = proof.clone();
            changed[at] = flipped(changed[at], bit);
            prop_assert!(!verify_consistency(old, old_root, new, new_root, &changed));
        }
    }
}

proptest! {
    // Signatures take long without optimisation.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_changed_byte_of_a_leaf_breaks_its_proof(size in 1_u64..300, at in any::<u64>(), byte in any::<prop::sample::Index>()) {
        let signer = Signer::new("annals.example/log", &[7; 32]).unwrap();
        let leaf = |index: u64| Leaf {
            position: index + 1,
            aggregate_type: "identity.org_unit".into(),
            aggregate_id: "one".into(),
            sequence: index + 1,
            event_type: "OrgUnitRenamed".into(),
            event_version: "1".into(),
            recorded_at_micros: 1,
            payload_sha256: hex(&[1; 32]),
            metadata_sha256: hex(&[2; 32]),
            sealed_sha256: None,
        };
        let leaves = Leaves((0..size).map(|index| leaf(index).hash()).collect());
        let (index, root) = (at % size, get(root(&leaves, size)));
        let hashes = get(inclusion_proof(&leaves, index, size));
        let proof = Proof::new(leaf(index), size, hashes, Checkpoint::sign(size, root, &signer));
        prop_assert!(proof.verify(signer.verifier()).is_ok());
        let text = serde_json::to_string(&proof).unwrap();
        let read: Proof = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &proof);
        let mut bytes = leaf(index).to_string().into_bytes();
        let changed = byte.index(bytes.len());
        bytes[changed] ^= 1;
        prop_assert!(!verify_inclusion(leaf_hash(&bytes), index, size, &proof.hashes, root));
        let forged = Proof { leaf: Leaf { sequence: size + 1, ..leaf(index) }, ..proof.clone() };
        prop_assert_eq!(forged.verify(signer.verifier()), Err(ProofError::NotIncluded));
        let moved = Proof { index: index + 1, ..proof };
        prop_assert_eq!(moved.verify(signer.verifier()), Err(ProofError::Misplaced));
    }
}
