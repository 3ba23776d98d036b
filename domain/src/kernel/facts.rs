//! Facts: what other streams and queries must tell before a command can be decided.
//!
//! An aggregate asks [`Known`] for what it needs. What is not known yet answers [`NotYet`]; the caller then looks it up
//! and asks the aggregate again. So the domain names what it needs, in its own types, and does no I/O.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, civil::Date};
use uuid::Uuid;

use super::{Decider, Money, Recipient, RecordClass};
use crate::budgeting::{MonthFigures, SeenSpend, YearMonth};

/// The look-up is under way: give the answer up with `?` and be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet;

/// The state of another stream, and the version that it was read at (0: it has no events).
#[derive(Clone, Debug)]
pub struct Versioned<D> {
    /// The state; the default one where the stream has no events.
    pub state: Arc<D>,
    /// The sequence of the stream's last event.
    pub version: u64,
}

impl<D> Versioned<D> {
    /// Whether the stream has any event.
    pub fn exists(&self) -> bool {
        self.version > 0
    }
}

/// What is known so far of the rest of the world.
pub trait Known {
    /// Another aggregate's state, as of now.
    fn stream<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet>;

    /// Another aggregate's state, whose version becomes a condition of the append: the command is decided again if that
    /// stream moves meanwhile. For facts that do harm when stale.
    fn pinned<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet>;

    /// The answer of a read model; it may lag behind the log by a moment.
    fn ask(&mut self, question: Question) -> Result<Answer, NotYet>;
}

/// What only a read model can tell, because it spans many streams.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The category that the owner taught for a normalised merchant (BUD-T7).
    LearnedCategory {
        /// The budget owner.
        account: Uuid,
        /// The merchant, normalised as BUD-T4 says.
        merchant: String,
    },
    /// A live transaction of the owner with the same normalised merchant and amount within a day (BUD-T5).
    PossibleDuplicate {
        /// The budget owner.
        account: Uuid,
        /// The merchant, normalised as BUD-T4 says.
        merchant: String,
        /// The amount as it was stated.
        amount: Money,
        /// The local date.
        date: Date,
    },
    /// What an owner spent over some days, in every category but savings (P-32).
    Spending {
        /// The budget owner.
        account: Uuid,
        /// The first day, in the owner's time zone.
        from: Date,
        /// The last one.
        until: Date,
    },
    /// What the closed months of all owners came to (BUD-P5). Who of them consents to be looked into, it does not say.
    ClosedMonths {
        /// Of which months.
        months: Vec<YearMonth>,
    },
    /// How two institutions decided on each other's credentials (CRD-R3 `history`).
    RecognitionHistory {
        /// The recognising institution.
        institution: Uuid,
        /// The institution that issues the credential.
        issuer: Uuid,
    },
    /// The published credentials of an institution (CRD-R3, counterparts).
    PublishedCredentials {
        /// The institution.
        institution: Uuid,
    },
    /// Whether an org unit has active children.
    HasActiveChildren {
        /// The org unit.
        org: Uuid,
    },
    /// The hash of a one-time token. No read model answers this but the keeper of the deployment's token secret:
    /// the token is the lower-case hex HMAC-SHA-256 of the label under that secret, its hash the [`super::sha256_hex`]
    /// of the token. So the token is unguessable, is stored nowhere, and can be computed again where it is mailed.
    TokenHash {
        /// What the token is for, unique for each token: a purpose and the ids of what it opens, joined by `|`.
        label: String,
    },
    /// When a client of the API called last, as far as calls were counted (IDN-C3). No read model answers this but whoever
    /// counts them.
    LastCall {
        /// The client.
        client: Uuid,
    },
    /// A student's statements on contested education records (34 CFR 99.21).
    Statements {
        /// The student.
        subject: Uuid,
    },
    /// What is held about a person (P-53).
    Holdings {
        /// The person.
        subject: Uuid,
    },
    /// Who received data of a person, as far as that is on record (Art. 19 GDPR).
    Recipients {
        /// The person.
        subject: Uuid,
    },
    /// The disclosures that were authorised on a consent and are not carried out yet (P-57).
    DisclosuresOn {
        /// The student.
        subject: Uuid,
        /// The consent.
        consent: Uuid,
    },
    /// The active accounts that hold any of these roles: everywhere, or within this org unit itself where one is named.
    RoleHolders {
        /// The roles.
        roles: Vec<String>,
        /// The org unit.
        within: Option<Uuid>,
    },
    /// The applications of a person that are not decided yet (P-53).
    OpenApplications {
        /// The applicant.
        applicant: Uuid,
    },
    /// How much is left of what destroyed keys had sealed (GOV-K3): rows of read models that tell more than the log does
    /// now, and keys that are back.
    Residue {
        /// Whose keys they were.
        subject: Uuid,
        /// Of which classes.
        classes: Vec<RecordClass>,
    },
    /// The API clients that an account answers for and whose keys were not revoked.
    LiveClients {
        /// The account.
        owner: Uuid,
    },
    /// The sessions of an account that nothing has ended (P-03).
    LiveSessions {
        /// The account.
        account: Uuid,
    },
    /// Whether a session began with a device that none of the account's sessions before it had; the first one is no news
    /// (P-02).
    IsNewDevice {
        /// The account.
        account: Uuid,
        /// The session.
        session: Uuid,
    },
    /// The streams that hold a claim (catalogue 0.6). The log itself answers this, as of now.
    Holders {
        /// The key of the claim.
        claim: String,
    },
    /// Recognitions of a credential that are approved now (P-21).
    ApprovedRecognitions {
        /// The credential.
        credential: Uuid,
    },
    /// What the package of an approved privacy request has in it (P-54).
    Package {
        /// The request.
        request: Uuid,
    },
}

/// What a read model answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Some category key, or none.
    Category(Option<String>),
    /// What was spent.
    Spending(Vec<SeenSpend>),
    /// What months came to, each with its owner.
    ClosedMonths(Vec<(Uuid, YearMonth, MonthFigures)>),
    /// Some aggregate, or none.
    Reference(Option<Uuid>),
    /// Aggregates.
    References(Vec<Uuid>),
    /// Yes or no.
    Flag(bool),
    /// How many.
    Count(u64),
    /// How many of each.
    Counts(BTreeMap<String, u64>),
    /// The lower-case hex SHA-256 of a token.
    Hash(String),
    /// Some moment, or none.
    Instant(Option<Timestamp>),
    /// Statements: the requests that they are attached to, and the records that they are about; none means all.
    Statements(Vec<(Uuid, Vec<String>)>),
    /// Who received data.
    Recipients(Vec<Recipient>),
    /// What a package has in it.
    Package {
        /// The lower-case hex SHA-256 of its list of contents.
        manifest_hash: String,
        /// How many records of each context.
        records: BTreeMap<String, u32>,
    },
    /// How many decisions were approvals, of how many.
    Approvals {
        /// Approved.
        approved: u32,
        /// Approved or rejected.
        decided: u32,
    },
}
