//! One-time codes as RFC 6238 computes them: SHA-1, six digits, 30 seconds, one step to either side (IDN-A5).

use commands::ports::{OneTimeCodes, PortError};
use jiff::Timestamp;
use totp_rs::{Algorithm, Secret, TOTP};

/// How many seconds a code is shown.
const STEP_S: u64 = 30;
const DIGITS: usize = 6;

/// The codes that every authenticator shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rfc6238;

impl OneTimeCodes for Rfc6238 {
    fn new_secret(&self) -> String {
        Secret::Raw(rand::random::<[u8; 20]>().to_vec()).to_encoded().to_string()
    }

    fn step(&self, secret: &str, code: &str, now: Timestamp) -> Option<u64> {
        let totp = codes(secret, None).ok()?;
        let now = u64::try_from(now.as_second()).ok()? / STEP_S;
        let given = code.as_bytes();
        // All three are computed and compared whole: how long it takes tells nothing of which one it was.
        [now.saturating_sub(1), now, now + 1].into_iter().fold(None, |found, step| {
            let expected = totp.generate(step * STEP_S);
            if same(expected.as_bytes(), given) { Some(step) } else { found }
        })
    }

    fn address(&self, secret: &str, issuer: &str, account: &str) -> Result<String, PortError> {
        // A colon separates the two in the address.
        let plain = |text: &str| text.replace(':', " ");
        codes(secret, Some((plain(issuer), plain(account)))).map(|totp| totp.get_url())
    }
}

fn codes(secret: &str, named: Option<(String, String)>) -> Result<TOTP, PortError> {
    let unreadable = |reason: String| PortError { port: "one-time codes", reason };
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes();
    let bytes = bytes.map_err(|_| unreadable("the secret is not base32".into()))?;
    let (issuer, account) = named.map_or((None, String::new()), |(issuer, account)| (Some(issuer), account));
    TOTP::new(Algorithm::SHA1, DIGITS, 1, STEP_S, bytes, issuer, account)
        .map_err(|error| unreadable(error.to_string()))
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differing, (x, y)| differing | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B: the ASCII text `12345678901234567890`.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn idn_a5_the_codes_are_those_of_rfc_6238() {
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(Rfc6238.step(SECRET, code, at(second)), Some(second as u64 / 30), "{second}");
        }
    }

    #[test]
    fn idn_a5_a_code_counts_one_step_early_and_one_step_late_and_no_more() {
        let step = |second| Rfc6238.step(SECRET, "287082", at(second));
        assert_eq!((step(0), step(59), step(89)), (Some(1), Some(1), Some(1)));
        assert_eq!((step(90), step(-60)), (None, None));
        assert_eq!(Rfc6238.step(SECRET, "", at(59)), None);
        assert_eq!(Rfc6238.step("no base32!", "287082", at(59)), None);
    }

    #[test]
    fn a_new_secret_makes_codes_and_its_address_names_issuer_and_account() {
        let secret = Rfc6238.new_secret();
        assert_ne!(secret, Rfc6238.new_secret());
        let address = Rfc6238.address(&secret, "Annals", "ada: the first").unwrap();
        assert!(address.starts_with("otpauth://totp/Annals:ada%20%20the%20first?"), "{address}");
        assert!(address.contains(&secret) && address.contains("issuer=Annals"), "{address}");
    }
}
