//! How often something is let through, on this node.

use std::time::{Duration, Instant};

use domain::identity::RateLimit;
use quick_cache::sync::Cache;

use crate::problem::{Problem, RATE_LIMITED};

/// How many callers are counted at once. Whoever was not heard of for longest is forgotten first.
const COUNTED: usize = 50_000;

/// Counts calls in windows.
pub(in crate::http) struct Limiter {
    windows: Cache<String, (Instant, u32)>,
}

impl Limiter {
    /// One that has counted nothing yet.
    pub(in crate::http) fn new() -> Self {
        Limiter { windows: Cache::new(COUNTED) }
    }

    /// Lets one more call through, or says when to come back.
    ///
    /// # Errors
    /// When there were as many in this window as may be.
    pub(super) fn admit(&self, who: &str, limit: RateLimit) -> Result<(), Problem> {
        self.admit_at(who, limit, Instant::now())
    }

    fn admit_at(&self, who: &str, limit: RateLimit, now: Instant) -> Result<(), Problem> {
        let window = Duration::from_secs(limit.window_s.into());
        let running =
            self.windows.get(who).filter(|(begun, _)| now.saturating_duration_since(*begun) < window);
        let (begun, calls) = running.unwrap_or((now, 0));
        if calls >= limit.limit {
            let left = window.saturating_sub(now.saturating_duration_since(begun));
            let seconds = u16::try_from(left.as_secs() + 1).unwrap_or(u16::MAX);
            return Err(Problem::new(RATE_LIMITED, "too many requests of this kind").retry_after(seconds));
        }
        self.windows.insert(who.to_owned(), (begun, calls + 1));
        Ok(())
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use domain::identity::RateKey;

    use super::*;

    #[test]
    fn idn_p1_as_many_as_are_allowed_are_let_through_in_each_window() {
        let limiter = Limiter::new();
        let (limit, begun) = (RateLimit { per: RateKey::Ip, limit: 2, window_s: 60 }, Instant::now());
        let admit =
            |who: &str, after| limiter.admit_at(who, limit, begun + Duration::from_secs(after)).is_ok();
        assert!(admit("a", 0) && admit("a", 1) && !admit("a", 59));
        assert!(admit("b", 2), "others are counted for themselves");
        assert!(admit("a", 60) && admit("a", 61) && !admit("a", 62));
    }
}
