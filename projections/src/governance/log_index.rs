//! `log_index`: where in the log the events are that have something in common. For the audit trail and lineage alone;
//! nobody lists it.
//!
//! The log has no indexes but those that appending needs, so that appending stays fast. This one is kept beside it, by
//! the follower, and kept small: the log is cut into blocks of 1024 positions, and one row says which positions of a block
//! have a term. Events with the same term stand close together (a session, a process, a night's run), and what nearly
//! every event has (its type, a busy policy) costs 128 bytes a block at most. Conditions are combined by intersecting
//! bits, and a page, newest or oldest first, is a range of the primary key `(term, block)`.
//!
//! A term is a number of 64 bits, most often a hash. Whoever finds a position reads the event and looks whether it really
//! has the term.

use domain::Actor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    row::{Cell, Kind, Value, WrongKind},
    table::{EVERY_AGGREGATE, Options, Table},
};

/// Two to this power is the number of positions in a block.
const BLOCK_BITS: u32 = 10;
/// The length of a bitmap of a block in bytes. What is shorter is a list of two-byte numbers.
const BITMAP: usize = (1 << BLOCK_BITS) / 8;

/// The block that a position is in.
pub(super) fn block_of(position: u64) -> i64 {
    (position >> BLOCK_BITS) as i64
}

/// The first and the last position of a block.
pub(super) fn positions_of(block: i64) -> (u64, u64) {
    let first = (block as u64) << BLOCK_BITS;
    (first, first + (1 << BLOCK_BITS) - 1)
}

/// Some of the positions of a block, by their distance from its first: a list of big-endian two-byte numbers, or, from 64
/// of them on, a bitmap (byte `n / 8`, bit `n % 8`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offsets(#[schemars(with = "String")] Vec<u8>);

impl Offsets {
    /// Adds a position of the block. Adding it again changes nothing.
    pub fn add(&mut self, position: u64) {
        let offset = (position % (1 << BLOCK_BITS)) as u16;
        if self.0.len() == BITMAP {
            set(&mut self.0, offset);
        } else if !self.list().any(|known| known == offset) {
            self.0.extend(offset.to_be_bytes());
            if self.0.len() == BITMAP {
                let mut bitmap = vec![0; BITMAP];
                self.list().for_each(|known| set(&mut bitmap, known));
                self.0 = bitmap;
            }
        }
    }

    fn list(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }
}

fn set(bitmap: &mut [u8], offset: u16) {
    bitmap[usize::from(offset / 8)] |= 1 << (offset % 8);
}

impl Cell for Offsets {
    const KIND: Kind = Kind::Bytes;
    fn value(&self) -> Value {
        Value::Bytes(self.0.clone())
    }
    fn read(value: Value) -> Result<Self, WrongKind> {
        match value {
            Value::Bytes(bytes) if bytes.len() <= BITMAP && bytes.len() % 2 == 0 => Ok(Offsets(bytes)),
            _ => Err(WrongKind("list or bitmap of positions")),
        }
    }
}

/// Positions of one block, to be combined.
#[derive(Clone, Copy)]
pub(super) struct Bits([u8; BITMAP]);

impl Bits {
    pub(super) const NONE: Bits = Bits([0; BITMAP]);

    /// Those of either.
    pub(super) fn add(&mut self, stored: &Offsets) {
        if stored.0.len() == BITMAP {
            self.0.iter_mut().zip(&stored.0).for_each(|(own, other)| *own |= other);
        } else {
            stored
                .list()
                .filter(|offset| usize::from(*offset) < BITMAP * 8)
                .for_each(|offset| set(&mut self.0, offset));
        }
    }

    /// Those of both.
    pub(super) fn keep(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own &= other);
    }

    /// The positions in ascending order, of this block.
    pub(super) fn positions(self, block: i64) -> impl Iterator<Item = u64> {
        let (first, _) = positions_of(block);
        (0..BITMAP as u64 * 8)
            .filter(move |offset| self.0[(offset / 8) as usize] & (1 << (offset % 8)) != 0)
            .map(move |offset| first + offset)
    }
}

/// What events can have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term<'a> {
    /// Who acted, where they are not a subject of the event as well.
    Actor(&'a str),
    /// For whom, where they are not a subject of the event as well.
    OnBehalfOf(Uuid),
    /// Whose data it carries.
    Subject(Uuid),
    /// What happened.
    EventType(&'a str),
    /// To what kind of thing. The events of one thing are found by the log's own index.
    AggregateType(&'a str),
    /// What it belongs to, where that is not its own command, which the log's own index finds.
    Correlation(Uuid),
    /// What caused it.
    Cause(Uuid),
    /// Which event it is.
    Event(Uuid),
    /// What it was computed from, whatever the version: `type:id`.
    Source(&'a str),
    /// How it was computed: `engine@version`, and again `engine` alone.
    Transformation(&'a str),
}

impl Term<'_> {
    /// The number that stands for it in the index.
    ///
    /// A version 7 UUID begins with the milliseconds at which it was made. What is as good as unique is numbered in that
    /// order, so that new rows come to stand beside one another and not all over the index.
    pub(super) fn number(self) -> i64 {
        let by_time = |id: Uuid, bits: u32| (id.as_u128() >> (128 - bits)) as i64;
        match self {
            // Events whose ids, or whose traces' ids, were made within the same 64 milliseconds share a term: in a busy log
            // they share a row, and the few others are looked at in vain.
            Term::Event(id) | Term::Correlation(id) if id.get_version_num() == 7 => by_time(id, 48 - 6),
            Term::Cause(id) if id.get_version_num() == 7 => by_time(id, 64),
            Term::Actor(actor) => hash(b'a', actor.as_bytes()),
            Term::OnBehalfOf(person) => hash(b'b', person.as_bytes()),
            Term::Subject(person) => hash(b's', person.as_bytes()),
            Term::EventType(name) => hash(b't', name.as_bytes()),
            Term::AggregateType(name) => hash(b'r', name.as_bytes()),
            Term::Correlation(id) => hash(b'c', id.as_bytes()),
            Term::Cause(id) => hash(b'u', id.as_bytes()),
            Term::Event(id) => hash(b'e', id.as_bytes()),
            Term::Source(source) => hash(b'd', source.as_bytes()),
            Term::Transformation(name) => hash(b'x', name.as_bytes()),
        }
    }
}

/// FNV-1a. It need not withstand anybody: two terms with the same number cost a look at some more events.
fn hash(kind: u8, value: &[u8]) -> i64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    [kind].iter().chain(value).fold(0xcbf2_9ce4_8422_2325, step) as i64
}

/// `type:id@version` without the version, and the version.
pub(super) fn unversioned(source: &str) -> (&str, Option<u64>) {
    match source.rsplit_once('@') {
        Some((source, version)) => match version.parse() {
            Ok(version) => (source, Some(version)),
            Err(_) => (source, None),
        },
        None => (source, None),
    }
}

/// The terms of an event, each once.
fn terms(fact: &Fact, mut each: impl FnMut(Term<'_>)) {
    let envelope = fact.envelope();
    let is_subject = |person: Uuid| envelope.subjects.contains(&person);
    each(Term::Event(fact.event_id));
    each(Term::EventType(fact.event.name()));
    each(Term::AggregateType(fact.event.aggregate_type()));
    if !account_of(&envelope.actor).is_some_and(is_subject) {
        each(Term::Actor(&envelope.actor));
    }
    if let Some(person) = envelope.on_behalf_of.filter(|person| !is_subject(*person)) {
        each(Term::OnBehalfOf(person));
    }
    envelope.subjects.iter().for_each(|person| each(Term::Subject(*person)));
    if let Some(id) = envelope.correlation_id.filter(|id| Some(*id) != fact.command_id) {
        each(Term::Correlation(id));
    }
    if let Some(id) = envelope.causation_id {
        each(Term::Cause(id));
    }
    envelope.derived_from.iter().for_each(|source| each(Term::Source(unversioned(source).0)));
    if let Some(name) = &envelope.transformation {
        each(Term::Transformation(name));
        if let Some((engine, _)) = name.rsplit_once('@') {
            each(Term::Transformation(engine));
        }
    }
}

/// The account of an actor that is a person.
pub(super) fn account_of(actor: &str) -> Option<Uuid> {
    actor.strip_prefix("user:")?.parse().ok()
}

row! {
    /// Which events of a block of the log have a term.
    pub struct LogIndexRow {
        key {
            /// The number of the term: of an actor, a subject, an event type, a cause …
            term: i64,
            /// Which 1024 positions of the log: position / 1024.
            block: i64,
        }
        columns {
            /// The positions in the block: two-byte numbers, or a bitmap of 128 bytes.
            positions: Offsets,
        }
    }
}

/// The index of the log.
pub struct LogIndex;

impl Table for LogIndex {
    const NAME: &'static str = "log_index";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = EVERY_AGGREGATE;
    const OPTIONS: Options = Options { about_people: false, ..Options::DEFAULT };
    type Row = LogIndexRow;

    fn keys(fact: &Fact, out: &mut Vec<(i64, i64)>) {
        terms(fact, |term| out.push((term.number(), block_of(fact.position))));
    }

    fn fold(key: &(i64, i64), row: Option<LogIndexRow>, fact: &Fact) -> Option<LogIndexRow> {
        let (term, block) = *key;
        let mut row = row.unwrap_or_else(|| LogIndexRow { term, block, positions: Offsets::default() });
        row.positions.add(fact.position);
        Some(row)
    }

    /// It says nothing to anybody; the audit trail and lineage look into it themselves.
    fn visible(_: &Actor) -> Filter {
        Filter::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fact::Envelope, testing::given_facts};
    use domain::{identity::OrgUnitEvent, registry::AnyEvent};
    use jiff::Timestamp;

    const PERSON: Uuid = Uuid::from_u128(7);

    fn fact(position: u64, envelope: Envelope) -> Fact {
        let event = AnyEvent::OrgUnit(OrgUnitEvent::OrgUnitReactivated {});
        Fact::imagined(position, Timestamp::UNIX_EPOCH, Uuid::from_u128(1), event).with_envelope(envelope)
    }

    fn found(facts: &[Fact], term: Term<'_>) -> Vec<u64> {
        let rows = given_facts::<LogIndex>(facts).rows().into_iter().filter(|row| row.term == term.number());
        let positions = rows.flat_map(|row| {
            let mut bits = Bits::NONE;
            bits.add(&Offsets::read(row.positions.value()).unwrap());
            bits.positions(row.block)
        });
        positions.collect()
    }

    #[test]
    fn few_and_many_positions_of_several_blocks_are_found_again() {
        for count in [1, 2, 63, 64, 65, 1024, 1500] {
            let facts: Vec<Fact> = (0..count).map(|n| fact(900 + 3 * n, Envelope::default())).collect();
            let expected: Vec<u64> = facts.iter().map(|fact| fact.position).collect();
            assert_eq!(found(&facts, Term::EventType("OrgUnitReactivated")), expected);
        }
    }

    #[test]
    fn a_full_block_takes_128_bytes() {
        let facts: Vec<Fact> = (1024..2048).map(|n| fact(n, Envelope::default())).collect();
        let rows = given_facts::<LogIndex>(&facts).rows();
        let row =
            rows.iter().find(|row| row.term == Term::AggregateType("identity.org_unit").number()).unwrap();
        assert_eq!((row.block, row.positions.0.clone()), (1, vec![0xff; 128]));
    }

    #[test]
    fn folding_an_event_again_changes_nothing() {
        let facts: Vec<Fact> = (1..200).map(|n| fact(n, Envelope::default())).collect();
        let once = given_facts::<LogIndex>(&facts).rows();
        let twice: Vec<Fact> =
            facts.into_iter().chain([7, 190].map(|n| fact(n, Envelope::default()))).collect();
        assert_eq!(given_facts::<LogIndex>(&twice).rows(), once);
    }

    #[test]
    fn who_acts_on_their_own_data_is_found_as_the_subject_alone() {
        let envelope = Envelope {
            actor: format!("user:{PERSON}"),
            on_behalf_of: Some(PERSON),
            subjects: vec![PERSON],
            ..Envelope::default()
        };
        let own = [fact(5, envelope.clone())];
        assert_eq!(found(&own, Term::Subject(PERSON)), [5]);
        assert!(found(&own, Term::Actor(&format!("user:{PERSON}"))).is_empty());
        assert!(found(&own, Term::OnBehalfOf(PERSON)).is_empty());
        let other = [fact(5, Envelope { subjects: vec![Uuid::from_u128(8)], ..envelope })];
        assert_eq!(found(&other, Term::Actor(&format!("user:{PERSON}"))), [5]);
        assert_eq!(found(&other, Term::OnBehalfOf(PERSON)), [5]);
    }

    #[test]
    fn a_source_is_found_whatever_its_version_and_a_transformation_with_and_without_it() {
        let derived = Envelope {
            derived_from: vec!["identity.profile:1@3".into(), "document:2".into()],
            transformation: Some("match@2".into()),
            ..Envelope::default()
        };
        let facts = [fact(1, Envelope::default()), fact(2, derived)];
        for term in [Term::Source("identity.profile:1"), Term::Source("document:2")] {
            assert_eq!(found(&facts, term), [2]);
        }
        for term in [Term::Transformation("match@2"), Term::Transformation("match")] {
            assert_eq!(found(&facts, term), [2]);
        }
    }

    #[test]
    fn ids_that_were_made_at_nearly_the_same_time_share_a_term() {
        let at = |millis: u128, rest: u128| {
            Term::Event(Uuid::from_u128(millis << 80 | 7 << 76 | 2 << 62 | rest)).number()
        };
        assert_eq!(at(64_000, 1), at(64_063, 2));
        assert_ne!(at(64_000, 1), at(64_064, 1));
        let random = |n: u128| Term::Event(Uuid::from_u128(4 << 76 | 2 << 62 | n)).number();
        assert_ne!(random(1), random(2));
    }
}
