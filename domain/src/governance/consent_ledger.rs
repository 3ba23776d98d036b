//! What a person has consented to (catalogue 2.11, ConsentLedger). Its id is the account's id.
//!
//! Life cycle, of each purpose: `none -> granted -> none`, by withdrawal or when its time is over. A consent to disclose
//! education records is given once, under an id of its own, and revoked at most once.
//!
//! - **GOV-C1** a withdrawal is as easy as the grant and takes effect at the next decision that needs the consent: such
//!   a decision reads this stream, on the version that it appends under.
//! - **GOV-C2** a consent to disclose names the records, the purpose and the party, is signed and dated (34 CFR 99.30).
//! - **GOV-C3** no consent is inferred; the latest event of a purpose decides.
//! - **GOV-P5** a restriction (Art. 18) or an objection (Art. 21) that was carried out stands here too, until it is lifted:
//!   a consent given before it does not stand meanwhile. One that is given since does (Art. 18(2)).
//!
//! Only the person consents and withdraws, whatever else anybody may do. A purpose that is none of [`ConsentPurpose`] is
//! refused before it comes here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{ConsentPurpose, alike};
use crate::kernel::{
    Actor, Context, Decided, Decider, Event, Known, NotYet, Personal, RecordClass, Refusal, RefusalKind,
    Refused, RefusedBy, Stated, bounds, class::Identity, schemas,
};

/// The most consents to disclosures that one ledger keeps.
const MOST: usize = 1000;

/// The state that decisions need, those of other aggregates too.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ConsentLedger {
    /// Whose consents these are, once there is one.
    pub subject: Option<Uuid>,
    /// The purposes consented to, as far as neither withdrawn nor marked as expired.
    pub granted: BTreeMap<ConsentPurpose, Granted>,
    /// The consents to disclose education records, revoked ones too.
    pub disclosures: BTreeMap<Uuid, DisclosureConsent>,
    /// What is not to be done with the person's data, by the requests that say so.
    pub restrictions: BTreeMap<Uuid, Restriction>,
}

/// What is not to be done with somebody's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// The purposes; none means all.
    pub purposes: BTreeSet<ConsentPurpose>,
    /// The record classes; none means all.
    pub classes: BTreeSet<RecordClass>,
    /// Whether it is an objection (Art. 21), which stops purposes, and no restriction (Art. 18), which stops all use.
    pub objection: bool,
}

impl Restriction {
    fn is_on(&self, purpose: ConsentPurpose) -> bool {
        self.purposes.is_empty() || self.purposes.contains(&purpose)
    }

    fn covers(&self, class: RecordClass) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }
}

/// A consent to a purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The version of the text consented to.
    pub text_version: String,
    /// The SHA-256 of that text.
    pub text_hash: String,
    /// Until when; without an end where there is none.
    pub until: Option<Timestamp>,
    /// The restrictions and objections that stood when it was given: it was given in spite of them.
    pub in_spite_of: BTreeSet<Uuid>,
}

impl Granted {
    fn is_valid(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}

/// A consent to disclose education records (34 CFR 99.30).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DisclosureConsent {
    /// The records, separated by commas.
    pub records: String,
    /// The purpose.
    pub purpose: String,
    /// To whom.
    pub party: Personal<String, Identity>,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// The document that is signed.
    pub signature: Uuid,
    /// Until when; without an end where there is none.
    pub until: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Why a consent does not carry a disclosure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentGap {
    /// There is none of this id.
    NotGiven,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
    /// It names another party, or the party's name was erased.
    OtherParty,
    /// It does not name all of the records.
    OtherRecords,
}

impl ConsentLedger {
    /// Whether the consent for a purpose stands at this moment (GOV-C3).
    pub fn stands(&self, purpose: ConsentPurpose, at: Timestamp) -> bool {
        let whole = |stop: &Restriction| stop.is_on(purpose) && stop.classes.is_empty();
        self.restrictions
            .iter()
            .filter(|(_, stop)| whole(stop))
            .all(|(request, _)| self.in_spite_of(*request, purpose, at))
            && self.granted.get(&purpose).is_some_and(|granted| granted.is_valid(at))
    }

    /// Whether the person consents to a purpose in spite of a restriction or an objection.
    fn in_spite_of(&self, request: Uuid, purpose: ConsentPurpose, at: Timestamp) -> bool {
        let granted = self.granted.get(&purpose);
        granted.is_some_and(|granted| granted.is_valid(at) && granted.in_spite_of.contains(&request))
    }

    /// Whether the person's data of a class is only to be stored (Art. 18): somebody had it restricted, for all purposes.
    pub fn restricts(&self, class: RecordClass) -> bool {
        let all = |stop: &Restriction| !stop.objection && stop.purposes.is_empty() && stop.covers(class);
        self.restrictions.values().any(all)
    }

    /// Whether data of a class is not to be used for a purpose at this moment, although that asks for no consent: the
    /// person objected or had it restricted, and did not consent since.
    pub fn stops(&self, purpose: ConsentPurpose, class: RecordClass, at: Timestamp) -> bool {
        let stops = |(request, stop): (&Uuid, &Restriction)| {
            stop.is_on(purpose) && stop.covers(class) && !self.in_spite_of(*request, purpose, at)
        };
        self.restrictions.iter().any(stops)
    }

    /// The consent, where it carries the disclosure of these records to this party at this moment (GOV-C2).
    pub fn carries(
        &self,
        consent: Uuid,
        party: &str,
        records: &[String],
        at: Timestamp,
    ) -> Result<&DisclosureConsent, ConsentGap> {
        let given = self.disclosures.get(&consent).ok_or(ConsentGap::NotGiven)?;
        if given.revoked {
            return Err(ConsentGap::Revoked);
        }
        if given.until.is_some_and(|until| at >= until) {
            return Err(ConsentGap::Expired);
        }
        if given.party.get().is_none_or(|named| !alike(named, party)) {
            return Err(ConsentGap::OtherParty);
        }
        let names = |record: &String| given.records.split(',').any(|named| alike(named, record));
        if records.iter().all(names) { Ok(given) } else { Err(ConsentGap::OtherRecords) }
    }
}

/// What can be asked of a consent ledger.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum ConsentLedgerCommand {
    /// Consents to a purpose.
    GrantConsent {
        /// To what.
        purpose: ConsentPurpose,
        /// The version of the text that the person has read.
        #[schemars(transform = schemas::text::<1, 50>)]
        text_version: String,
        /// The SHA-256 of that text, in lower-case hexadecimal.
        #[schemars(transform = schemas::sha256)]
        text_hash: String,
        /// Until when; without an end where there is none.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        until: Option<Timestamp>,
    },
    /// Withdraws the consent to a purpose.
    WithdrawConsent {
        /// To what.
        purpose: ConsentPurpose,
    },
    /// Records that a consent's time is over.
    #[schemars(extend("x-system" = true))]
    ExpireConsent {
        /// To what.
        purpose: ConsentPurpose,
    },
    /// Consents to the disclosure of education records (34 CFR 99.30).
    GrantDisclosureConsent {
        /// A new id for this consent.
        consent: Uuid,
        /// The records that may be disclosed, separated by commas.
        #[schemars(transform = schemas::text::<1, 2000>)]
        records: String,
        /// The purpose of the disclosure.
        #[schemars(transform = schemas::text::<1, 2000>)]
        purpose: String,
        /// To whom.
        #[schemars(transform = schemas::text::<1, 200>)]
        party: Stated<String>,
        /// When it was signed; not in the future.
        #[schemars(transform = schemas::instant)]
        signed_at: Timestamp,
        /// The document that is signed.
        signature: Uuid,
        /// Until when; without an end where there is none.
        #[serde(default)]
        #[schemars(transform = schemas::instant)]
        until: Option<Timestamp>,
    },
    /// Revokes a consent to a disclosure. What was disclosed on it before stays lawful.
    RevokeDisclosureConsent {
        /// The consent.
        consent: Uuid,
    },
    /// Takes a restriction or an objection down, once its request was approved.
    #[schemars(extend("x-system" = true))]
    RestrictProcessing {
        /// The privacy request.
        request: Uuid,
        /// The purposes; none means all.
        purposes: Vec<ConsentPurpose>,
        /// The record classes; none means all.
        classes: Vec<RecordClass>,
        /// Whether it is an objection.
        objection: bool,
    },
    /// Takes it back, when its time is over.
    #[schemars(extend("x-system" = true))]
    ReleaseProcessing {
        /// The privacy request.
        request: Uuid,
    },
}

/// What can have happened to a consent ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum ConsentLedgerEvent {
    /// The person consented to a purpose.
    ConsentGranted {
        subject: Uuid,
        purpose: ConsentPurpose,
        text_version: String,
        text_hash: String,
        until: Option<Timestamp>,
    },
    /// The person withdrew their consent to a purpose.
    ConsentWithdrawn { purpose: ConsentPurpose },
    /// The time of a consent was over.
    ConsentExpired { purpose: ConsentPurpose },
    /// The person consented to a disclosure.
    DisclosureConsentGranted {
        subject: Uuid,
        consent: Uuid,
        records: String,
        purpose: String,
        party: Personal<String, Identity>,
        signed_at: Timestamp,
        signature: Uuid,
        until: Option<Timestamp>,
    },
    /// The person revoked their consent to a disclosure.
    DisclosureConsentRevoked { consent: Uuid },
    /// The data is not to be used for these purposes, of these classes; none means all.
    ProcessingRestricted {
        subject: Uuid,
        request: Uuid,
        purposes: Vec<ConsentPurpose>,
        classes: Vec<RecordClass>,
        objection: bool,
    },
    /// It may be used again.
    ProcessingReleased { request: Uuid, purposes: Vec<ConsentPurpose> },
}

impl Event for ConsentLedgerEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ConsentLedgerRefusal {
    #[error("there is no such consent to be withdrawn")]
    NotGranted {},
    #[error(
        "a consent to disclose names records, purpose and party, is signed and dated: `{missing}` is wanting"
    )]
    IncompleteConsent { missing: &'static str },
}

impl Refusal for ConsentLedgerRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            ConsentLedgerRefusal::NotGranted {} => RefusalKind::Conflict,
            ConsentLedgerRefusal::IncompleteConsent { .. } => RefusalKind::Invalid,
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            ConsentLedgerRefusal::NotGranted {} => None,
            ConsentLedgerRefusal::IncompleteConsent { missing } => Some(missing),
        }
    }
}

impl Decider for ConsentLedger {
    const TYPE: &'static str = "governance.consent_ledger";
    const CLASS: Option<RecordClass> = Some(RecordClass::Identity);
    const RESTRICTABLE: bool = false;
    type Command = ConsentLedgerCommand;
    type Event = ConsentLedgerEvent;
    type Refusal = ConsentLedgerRefusal;
    type Facts = ();

    fn creates(command: &ConsentLedgerCommand) -> bool {
        use ConsentLedgerCommand as C;
        match command {
            C::GrantConsent { .. } | C::GrantDisclosureConsent { .. } | C::RestrictProcessing { .. } => true,
            C::WithdrawConsent { .. }
            | C::ExpireConsent { .. }
            | C::RevokeDisclosureConsent { .. }
            | C::ReleaseProcessing { .. } => false,
        }
    }

    fn unborn(owner: Uuid) -> Self {
        ConsentLedger { subject: Some(owner), ..ConsentLedger::default() }
    }

    fn facts(&self, _: &ConsentLedgerCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &ConsentLedgerCommand) -> bool {
        use ConsentLedgerCommand as C;
        match command {
            C::ExpireConsent { .. } | C::RestrictProcessing { .. } | C::ReleaseProcessing { .. } => {
                actor.is_system()
            }
            // Whose ledger a missing one will be, only the decision can tell.
            C::GrantConsent { .. } | C::GrantDisclosureConsent { .. } if self.subject.is_none() => {
                !actor.is_system() && actor.account().is_some()
            }
            C::GrantConsent { .. }
            | C::WithdrawConsent { .. }
            | C::GrantDisclosureConsent { .. }
            | C::RevokeDisclosureConsent { .. } => {
                !actor.is_system() && self.subject.is_some_and(|person| actor.is(person))
            }
        }
    }

    fn decide(&self, command: ConsentLedgerCommand, (): &(), context: &Context) -> Decided<Self> {
        use ConsentLedgerCommand as C;
        use ConsentLedgerEvent as E;
        use ConsentLedgerRefusal as R;
        let systems = match command {
            C::ExpireConsent { .. } | C::RestrictProcessing { .. } | C::ReleaseProcessing { .. } => true,
            C::GrantConsent { .. }
            | C::WithdrawConsent { .. }
            | C::GrantDisclosureConsent { .. }
            | C::RevokeDisclosureConsent { .. } => false,
        };
        if !systems && !context.actor.is(context.id) {
            return Err(Refused::Forbidden);
        }
        let subject = context.id;
        let event = match command {
            C::GrantConsent { purpose, text_version, text_hash, until } => {
                bounds::text("text_version", &text_version, 1..=50)?;
                bounds::sha256("text_hash", &text_hash)?;
                check_until(until, context)?;
                let again = self.granted.get(&purpose).is_some_and(|granted| {
                    self.restrictions.keys().all(|stop| granted.in_spite_of.contains(stop))
                        && (&granted.text_version, &granted.text_hash, granted.until)
                            == (&text_version, &text_hash, until)
                });
                if again {
                    return Ok(Vec::new());
                }
                E::ConsentGranted { subject, purpose, text_version, text_hash, until }
            }
            C::WithdrawConsent { purpose } if !self.granted.contains_key(&purpose) => {
                return Err(R::NotGranted {}.into());
            }
            C::WithdrawConsent { purpose } => E::ConsentWithdrawn { purpose },
            // A clock that comes late, or for a consent that was renewed meanwhile, has nothing to say.
            C::ExpireConsent { purpose } => {
                match self.granted.get(&purpose).and_then(|granted| granted.until) {
                    Some(until) if context.now >= until => E::ConsentExpired { purpose },
                    Some(_) | None => return Ok(Vec::new()),
                }
            }
            C::GrantDisclosureConsent { consent, records, purpose, party, signed_at, signature, until } => {
                check_complete(&records, &purpose, &party.0, signed_at, signature, context)?;
                check_until(until, context)?;
                if self.disclosures.contains_key(&consent) {
                    let command = "GrantDisclosureConsent";
                    return Err(Refused::InvalidState { state: "granted", command });
                }
                bounds::count("consent", self.disclosures.len() + 1, MOST)?;
                // The party is a data subject of its own, whose name can be erased on its own.
                let party = party.about(context.derive("party"));
                E::DisclosureConsentGranted {
                    subject,
                    consent,
                    records,
                    purpose,
                    party,
                    signed_at,
                    signature,
                    until,
                }
            }
            C::RevokeDisclosureConsent { consent } => match self.disclosures.get(&consent) {
                Some(given) if !given.revoked => E::DisclosureConsentRevoked { consent },
                Some(_) | None => return Err(R::NotGranted {}.into()),
            },
            C::RestrictProcessing { request, .. } if self.restrictions.contains_key(&request) => {
                return Ok(Vec::new());
            }
            C::RestrictProcessing { request, purposes, classes, objection } => {
                bounds::count("request", self.restrictions.len() + 1, MOST)?;
                E::ProcessingRestricted { subject, request, purposes, classes, objection }
            }
            C::ReleaseProcessing { request } => match self.restrictions.get(&request) {
                Some(stop) => {
                    let purposes = stop.purposes.iter().copied().collect();
                    E::ProcessingReleased { request, purposes }
                }
                None => return Ok(Vec::new()),
            },
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &ConsentLedgerEvent) {
        use ConsentLedgerEvent as E;
        match event {
            E::ConsentGranted { subject, purpose, text_version, text_hash, until } => {
                self.subject = Some(*subject);
                let granted = Granted {
                    text_version: text_version.clone(),
                    text_hash: text_hash.clone(),
                    until: *until,
                    in_spite_of: self.restrictions.keys().copied().collect(),
                };
                self.granted.insert(*purpose, granted);
            }
            E::ConsentWithdrawn { purpose } | E::ConsentExpired { purpose } => {
                self.granted.remove(purpose);
            }
            E::DisclosureConsentGranted {
                subject,
                consent,
                records,
                purpose,
                party,
                signed_at,
                signature,
                until,
            } => {
                self.subject = Some(*subject);
                let given = DisclosureConsent {
                    records: records.clone(),
                    purpose: purpose.clone(),
                    party: party.clone(),
                    signed_at: *signed_at,
                    signature: *signature,
                    until: *until,
                    revoked: false,
                };
                self.disclosures.insert(*consent, given);
            }
            E::DisclosureConsentRevoked { consent } => {
                if let Some(given) = self.disclosures.get_mut(consent) {
                    given.revoked = true;
                }
            }
            E::ProcessingRestricted { subject, request, purposes, classes, objection } => {
                self.subject = Some(*subject);
                let stop = Restriction {
                    purposes: purposes.iter().copied().collect(),
                    classes: classes.iter().copied().collect(),
                    objection: *objection,
                };
                self.restrictions.insert(*request, stop);
            }
            E::ProcessingReleased { request, .. } => {
                self.restrictions.remove(request);
            }
        }
    }

    fn subject(&self) -> Option<Uuid> {
        self.subject
    }
}

type Check = Result<(), RefusedBy<ConsentLedger>>;

/// A consent that is over before it begins is none.
fn check_until(until: Option<Timestamp>, context: &Context) -> Check {
    let Some(until) = until else { return Ok(()) };
    bounds::instant("until", until)?;
    if until > context.now { Ok(()) } else { Err(Refused::invalid("until", "after now")) }
}

/// GOV-C2.
fn check_complete(
    records: &str,
    purpose: &str,
    party: &str,
    signed_at: Timestamp,
    signature: Uuid,
    context: &Context,
) -> Check {
    let named = records.split(',').any(|record| !record.trim().is_empty());
    let missing = [
        ("records", !named),
        ("purpose", purpose.trim().is_empty()),
        ("party", party.trim().is_empty()),
        ("signature", signature.is_nil()),
        ("signed_at", signed_at > context.now),
    ];
    if let Some((missing, _)) = missing.into_iter().find(|(_, missing)| *missing) {
        return Err(ConsentLedgerRefusal::IncompleteConsent { missing }.into());
    }
    bounds::instant("signed_at", signed_at)?;
    bounds::text("records", records, 1..=2000)?;
    bounds::text("purpose", purpose, 1..=2000)?;
    bounds::text("party", party, 1..=200)
}

#[cfg(test)]
#[path = "consent_ledger_tests.rs"]
mod tests;
