//! Read models of Credentials & Pathways: the registry of micro-credentials, and who gives credit for them.
//!
//! What never lives here: how a recognition is assessed, and who may decide on it.

mod recognitions;
mod registry;
mod texts;

pub use recognitions::{CreditAssessment, RecognitionRow, RecognitionVerdict, Recognitions};
pub use registry::{CredentialRow, Credentials, LearningOutcome, OutcomeClass, Prerequisite};
pub use texts::{Texts, TextsKnown};
