//! `check-certificate`: whether keys were certified to be destroyed, as anybody can check who keeps the log's key.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{annals, failure::Failure, verify::verifier};

/// Checks the certificate of a destruction of keys with nothing but the log's key: no database, no network. Prints what it
/// certifies. Exits with 1 when it was not signed with that key.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckCertificate {
    /// The file with the certificate: a compact JWS, as `SubjectKeysDestroyed` and /v1/privacy/inventory/keys have it.
    certificate: PathBuf,
    /// The log's verifier key, or a file that has it.
    #[arg(long)]
    key: String,
}

impl CheckCertificate {
    pub(crate) fn run(&self, json: bool) -> Result<bool, Failure> {
        let checked = self.check()?;
        let (statement, reason) = (checked.as_ref().ok(), checked.as_ref().err());
        let told = json!({ "valid": checked.is_ok(), "reason": reason, "statement": statement });
        annals::show(json, &told, || match &checked {
            Ok(statement) => format!("{statement:#}"),
            Err(reason) => format!("it certifies nothing: {reason}"),
        })?;
        Ok(checked.is_ok())
    }

    fn check(&self) -> Result<Result<Value, String>, Failure> {
        let verifier = verifier(&self.key)?;
        let text = std::fs::read_to_string(&self.certificate).map_err(Failure::file(&self.certificate))?;
        let statement = verifier.open_jws(&text).map_err(|error| error.to_string());
        Ok(statement.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use event_store::integrity::Signer;

    use super::*;
    use crate::testing::Folder;

    /// Signed by a node with the secret 0707..07 and the origin records.example.edu.
    const CERTIFICATE: &str = include_str!("certificate.jws");

    fn checked(certificate: &str, secret: u8) -> Result<Value, String> {
        let folder = Folder::new();
        let file = folder.path().join("certificate");
        std::fs::write(&file, certificate).unwrap();
        let key = Signer::new("records.example.edu", &[secret; 32]).unwrap().verifier().to_string();
        CheckCertificate { certificate: file, key }.check().unwrap()
    }

    #[test]
    fn gov_k2_a_certificate_verifies_with_the_logs_key_and_with_no_other() {
        assert_eq!(checked(CERTIFICATE, 7).unwrap()["key_ids"][0], "education/2026-12");
        assert!(checked(CERTIFICATE, 8).unwrap_err().contains("not signed by"));
        let (header, rest) = CERTIFICATE.split_once('.').unwrap();
        assert!(checked(&format!("{header}.e30.{}", rest.split_once('.').unwrap().1), 7).is_err());
        assert!(checked("no certificate", 7).is_err());
    }
}
