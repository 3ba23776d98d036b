//! Money: integer minor units of an ISO 4217 currency (catalogue 0.1, ARI-5). Never a float.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Codes whose minor unit is not a hundredth: (code, digits).
const OTHER_DIGITS: &[(&str, u32)] = &[
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// The active codes of ISO 4217, and those that real records of the past need (CSK, DEM, FRF, ...).
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF \
CHF CLF CLP CNY COP CRC CSK CUP CVE CZK DEM DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP FRF GBP GEL GHS GIP GMD GNF GTQ GYD HKD \
HNL HRK HTG HUF IDR ILS INR IQD IRR ISK ITL JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL \
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF \
SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYI UYU UYW UZS \
VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG";

impl Currency {
    /// The code, three upper-case letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency code is ASCII")
    }

    /// How many decimal digits the minor unit has: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn digits(&self) -> u32 {
        OTHER_DIGITS.iter().find(|(code, _)| *code == self.code()).map_or(2, |(_, digits)| *digits)
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| MoneyError::UnknownCurrency)?;
        let known = bytes.iter().all(u8::is_ascii_uppercase) && CODES.split(' ').any(|known| known == code);
        if known { Ok(Currency(bytes)) } else { Err(MoneyError::UnknownCurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        code.parse()
            .map_err(|_| serde::de::Error::custom(format_args!("`{code}` is not an ISO 4217 currency code")))
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes: Vec<&str> = CODES.split(' ').collect();
        schemars::json_schema!({ "type": "string", "description": "An ISO 4217 currency code", "enum": codes })
    }
}

/// Why money could not be computed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies were added or compared (ARI-5).
    #[error("amounts of two currencies cannot be added or compared")]
    CurrencyMismatch,
    /// The code is not one of ISO 4217.
    #[error("not an ISO 4217 currency code")]
    UnknownCurrency,
    /// The result is beyond ±[`Money::LIMIT`] minor units.
    #[error("the amount is out of range")]
    OutOfRange,
}

/// An amount in minor units of its currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The amount in the currency's own minor unit (cents for USD).
    #[schemars(transform = super::schemas::number::<-9_000_000_000_000_000, 9_000_000_000_000_000>)]
    pub minor: i64,
    /// The currency.
    pub ccy: Currency,
}

impl Money {
    /// The largest amount of minor units that commands may state or sums may reach: 9 × 10^15, exact in every JSON reader.
    pub const LIMIT: i64 = 9_000_000_000_000_000;

    /// An amount of minor units.
    pub const fn new(minor: i64, ccy: Currency) -> Self {
        Money { minor, ccy }
    }

    /// Nothing, in a currency.
    pub const fn zero(ccy: Currency) -> Self {
        Money { minor: 0, ccy }
    }

    /// Whether the amount is within ±[`Money::LIMIT`]; commands are held to it.
    pub fn in_range(self) -> bool {
        (-Self::LIMIT..=Self::LIMIT).contains(&self.minor)
    }

    fn of(self, other: Money, minor: Option<i64>) -> Result<Money, MoneyError> {
        if self.ccy != other.ccy {
            return Err(MoneyError::CurrencyMismatch);
        }
        let sum = Money { minor: minor.ok_or(MoneyError::OutOfRange)?, ccy: self.ccy };
        if sum.in_range() { Ok(sum) } else { Err(MoneyError::OutOfRange) }
    }

    /// The sum of two amounts of one currency.
    pub fn plus(self, other: Money) -> Result<Money, MoneyError> {
        self.of(other, self.minor.checked_add(other.minor))
    }

    /// The difference of two amounts of one currency.
    pub fn minus(self, other: Money) -> Result<Money, MoneyError> {
        self.of(other, self.minor.checked_sub(other.minor))
    }

    /// The amount times a whole number.
    pub fn times(self, factor: i64) -> Result<Money, MoneyError> {
        self.of(self, self.minor.checked_mul(factor))
    }

    /// Whether the amount is above zero.
    pub fn is_positive(self) -> bool {
        self.minor > 0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.ccy.digits() as usize;
        let (sign, text) = (
            if self.minor < 0 { "-" } else { "" },
            format!("{:0>width$}", self.minor.unsigned_abs(), width = digits + 1),
        );
        let (whole, part) = text.split_at(text.len() - digits);
        if digits == 0 {
            write!(f, "{sign}{whole} {}", self.ccy)
        } else {
            write!(f, "{sign}{whole}.{part} {}", self.ccy)
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ccy(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn amounts_print_in_the_minor_unit_of_their_currency() {
        let shown: Vec<String> = [(-5, "USD"), (1234, "JPY"), (1, "KWD"), (100_000, "CZK")]
            .map(|(minor, code)| Money::new(minor, ccy(code)).to_string())
            .into();
        assert_eq!(shown, ["-0.05 USD", "1234 JPY", "0.001 KWD", "1000.00 CZK"]);
    }

    #[test]
    fn two_currencies_are_never_added() {
        let sum = Money::new(1, ccy("USD")).plus(Money::new(1, ccy("EUR")));
        assert_eq!(sum, Err(MoneyError::CurrencyMismatch));
    }

    #[test]
    fn sums_beyond_the_limit_are_an_error_and_never_wrap() {
        let most = Money::new(Money::LIMIT, ccy("USD"));
        assert_eq!(most.plus(most), Err(MoneyError::OutOfRange));
        assert_eq!(most.times(i64::MAX), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn a_code_that_iso_4217_does_not_have_is_refused() {
        assert!("ABC".parse::<Currency>().is_err() && "usd".parse::<Currency>().is_err());
    }
}
