//! Who received data of a person: what every way of handing data out has in common.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

/// By which way the recipient got the data.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ReceivedBy {
    /// A disclosure of education records: its party.
    Disclosure,
    /// A package of the person's data that somebody else fetched.
    Package,
    /// A document of an audit replay.
    Export,
}

/// Somebody who received data, by where that is on record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Recipient {
    /// By which way.
    pub by: ReceivedBy,
    /// The disclosure, the privacy request whose package it was, or the replay.
    pub reference: Uuid,
    /// The account, where it is one of the house.
    pub account: Option<Uuid>,
    /// The records that were disclosed, by name.
    pub records: Vec<String>,
}
