//! The query string of a route with parameters of its own: each is taken by name, and what nobody took is refused.

use actix_web::web;
use event_store::AsOf;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Incoming, uuid};
use crate::problem::Problem;

/// The parameters of a query string that were not taken yet.
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// All parameters of a request.
    pub(super) fn of(request: &Incoming<'_>) -> Result<Self, Problem> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        let pairs = pairs.map_err(|_| Problem::parameter("query", "the query string is malformed"))?;
        Ok(Pairs(pairs.into_inner()))
    }

    /// All values of a parameter.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(own, _)| own == name);
        self.0 = left;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// The one value of a parameter.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(Problem::parameter(name, "it is there more than once")),
        }
    }

    /// A parameter that is read by a function.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        read(&text).map(Some).ok_or_else(|| Problem::parameter(name, expected))
    }

    /// A text that is not empty; no name that we know has a NUL in it.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        self.read(name, "expected a text", text)
    }

    /// Texts that are not empty.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Problem> {
        let texts: Option<Vec<String>> = self.all(name).iter().map(|value| text(value)).collect();
        texts.ok_or_else(|| Problem::parameter(name, "expected a text"))
    }

    /// A number of plain digits.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        self.read(name, "expected a number", number)
    }

    /// A number of plain digits, not more than `most`.
    pub(super) fn count(&mut self, name: &str, most: usize) -> Result<Option<usize>, Problem> {
        let fits = |text: &str| number(text)?.try_into().ok().filter(|count| (1..=most).contains(count));
        self.read(name, "expected a number in its range", fits)
    }

    /// A UUID.
    pub(super) fn uuid(&mut self, name: &str) -> Result<Option<Uuid>, Problem> {
        self.read(name, "expected a UUID", uuid)
    }

    /// An instant, RFC 3339.
    pub(super) fn instant(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.read(name, "expected an instant, RFC 3339", |text| text.parse().ok())
    }

    /// A position of the log, or an instant.
    pub(super) fn as_of(&mut self, name: &str) -> Result<Option<AsOf>, Problem> {
        self.read(name, "expected a position or an instant, RFC 3339", as_of)
    }

    /// Refuses what nobody took.
    pub(super) fn done(self) -> Result<(), Problem> {
        match self.0.first() {
            Some((name, _)) => Err(Problem::parameter(name, "there is no such parameter")),
            None => Ok(()),
        }
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}

/// A number in plain digits, of the size that a position can have.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && i64::try_from(*number).is_ok())
}

/// A position of the log, or an instant.
pub(super) fn as_of(text: &str) -> Option<AsOf> {
    match number(text) {
        Some(position) => Some(AsOf::Position(position)),
        None => text.parse().ok().map(AsOf::Instant),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::wiring::Limits;

    fn pairs(query: &str) -> Pairs {
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        Pairs::of(&Incoming::of(&request, &Limits::default())).unwrap()
    }

    #[test]
    fn what_nobody_takes_is_refused() {
        let mut pairs = pairs("limit=7&colour=red");
        assert_eq!(pairs.count("limit", 200).unwrap(), Some(7));
        assert!(format!("{:?}", pairs.done().unwrap_err()).contains("colour"));
    }

    #[test]
    fn a_parameter_is_there_once_and_well_formed() {
        assert!(pairs("limit=1&limit=2").count("limit", 200).is_err());
        for wrong in ["limit=0", "limit=201", "limit=x", "limit=", "limit=%2B1"] {
            assert!(pairs(wrong).count("limit", 200).is_err(), "{wrong}");
        }
        assert!(pairs("as_of=yesterday").as_of("as_of").is_err());
        assert_eq!(pairs("as_of=17").as_of("as_of").unwrap(), Some(AsOf::Position(17)));
        assert_eq!(pairs("a=1&a=2").all("a"), ["1", "2"]);
    }
}
