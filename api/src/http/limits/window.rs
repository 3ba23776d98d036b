//! Counting in windows that slide: what was counted in the window before counts on in proportion to how much of it the last
//! window's length still reaches back to. So nobody gets twice the limit by calling around the end of a window, and counts
//! of several nodes are simply added.

use domain::identity::RateLimit;

/// A moment, in milliseconds of Unix time.
pub(super) type Millis = u64;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether it is let through.
    pub(super) admitted: bool,
    /// How many more would be let through at this moment.
    pub(super) remaining: u32,
    /// In how many seconds the window ends; where the call is refused, when one is let through again.
    pub(super) seconds: u32,
    /// Whether it is the first one that is refused in this window, as far as this node knows.
    pub(super) first_refused: bool,
}

/// What is known of one caller's calls of one class.
#[derive(Debug, Default, Clone)]
pub(super) struct Window {
    /// The number of the window since the beginning of Unix time.
    number: u64,
    /// Calls of the window before, on all nodes.
    before: u32,
    /// Calls that this node let through.
    here: u32,
    /// How many of them the other nodes were told of.
    told: u32,
    /// Calls that the other nodes let through, as far as they told.
    elsewhere: u32,
    /// Whether a call was refused.
    refused: bool,
    /// What of the window before was not told.
    untold_before: u32,
}

impl Window {
    /// Lets one more call through, or says when to come back. It may count as several calls; where that is more than the
    /// limit, as the whole limit.
    pub(super) fn admit(&mut self, limit: RateLimit, calls: u32, now: Millis) -> Verdict {
        self.roll(limit, now);
        let calls = calls.min(limit.limit).max(1);
        if self.spent(limit, now).saturating_add(calls) <= limit.limit {
            self.here += calls;
            return self.verdict(limit, now);
        }
        self.refuse(limit, calls, now)
    }

    /// What to say where the window has no room.
    fn refuse(&mut self, limit: RateLimit, calls: u32, now: Millis) -> Verdict {
        let first_refused = !std::mem::replace(&mut self.refused, true);
        let seconds = seconds(self.wait(limit, calls, now));
        Verdict { admitted: false, seconds, first_refused, ..self.verdict(limit, now) }
    }

    /// Refuses a call where what this node knows suffices for that.
    pub(super) fn refuse_if_full(&mut self, limit: RateLimit, now: Millis) -> Option<Verdict> {
        self.roll(limit, now);
        (self.spent(limit, now) >= limit.limit).then(|| self.refuse(limit, 1, now))
    }

    /// Takes over what was counted for all nodes together, this call among it where it was let through.
    pub(super) fn counted(&mut self, limit: RateLimit, now: Millis, counts: Counts) -> Verdict {
        self.roll(limit, now);
        (self.here, self.told) = (0, 0);
        (self.before, self.elsewhere) = (counts.before, counts.calls);
        if counts.admitted { self.verdict(limit, now) } else { self.refuse(limit, 1, now) }
    }

    /// What the other nodes are to be told, by window; nothing where that is not worth it. It counts as told.
    pub(super) fn tell(&mut self) -> Vec<(u64, u32)> {
        let before = std::mem::take(&mut self.untold_before);
        let here = self.here - self.told;
        self.told = self.here;
        [(self.number.saturating_sub(1), before), (self.number, here)]
            .into_iter()
            .filter(|(_, calls)| *calls > 0)
            .collect()
    }

    /// What all nodes together have told.
    pub(super) fn told(&mut self, window: u64, total: u32) {
        if window == self.number {
            self.elsewhere = total.saturating_sub(self.told);
        } else if window + 1 == self.number {
            self.before = self.before.max(total + self.untold_before);
        }
    }

    /// Takes back what could not be told.
    pub(super) fn untold(&mut self, window: u64, calls: u32) {
        if window == self.number {
            self.told = self.told.saturating_sub(calls);
        } else if window + 1 == self.number {
            self.untold_before += calls;
        }
    }

    /// How many calls this node let through.
    pub(super) fn here(&self) -> u32 {
        self.here
    }

    fn roll(&mut self, limit: RateLimit, now: Millis) {
        let number = number(limit, now);
        if number == self.number {
            return;
        }
        let next = number == self.number + 1;
        *self = Window {
            number,
            before: if next { self.here + self.elsewhere } else { 0 },
            untold_before: if next { self.here - self.told } else { 0 },
            ..Window::default()
        };
    }

    /// Calls of this window, on all nodes.
    fn calls(&self) -> u32 {
        self.here.saturating_add(self.elsewhere)
    }

    /// What counts against the limit. Rounded up: the limit is never exceeded by a fraction of a call.
    fn spent(&self, limit: RateLimit, now: Millis) -> u32 {
        let carried = (u64::from(self.before) * u64::from(left_permille(limit, now))).div_ceil(1000);
        u32::try_from(carried).unwrap_or(u32::MAX).saturating_add(self.calls())
    }

    /// What to say where it is let through.
    fn verdict(&self, limit: RateLimit, now: Millis) -> Verdict {
        let remaining = limit.limit.saturating_sub(self.spent(limit, now));
        Verdict { admitted: true, remaining, seconds: seconds(to_the_end(limit, now)), first_refused: false }
    }

    /// In how many milliseconds there is room for so many calls, if no others come.
    fn wait(&self, limit: RateLimit, calls: u32, now: Millis) -> u64 {
        let (length, to_the_end) = (millis(limit), to_the_end(limit, now));
        // How much of a window must be over before that many calls of the one before count for fewer than `room`.
        let over = |before: u32, room: u32| {
            let before = u64::from(before).max(1);
            length - (u64::from(room) * length / before).min(length)
        };
        match limit.limit.checked_sub(self.calls().saturating_add(calls)) {
            Some(room) => over(self.before, room).saturating_sub(length - to_the_end).max(1),
            None => to_the_end + over(self.calls(), limit.limit.saturating_sub(calls)),
        }
    }
}

/// What was counted for all nodes together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    /// In the window before.
    pub(super) before: u32,
    /// In this one.
    pub(super) calls: u32,
    /// Whether the call is among them.
    pub(super) admitted: bool,
}

/// The number of the window that is running.
pub(super) fn number(limit: RateLimit, now: Millis) -> u64 {
    now / millis(limit)
}

/// How much of the window before still counts, in thousandths, rounded up.
pub(super) fn left_permille(limit: RateLimit, now: Millis) -> u32 {
    let length = millis(limit);
    u32::try_from(((length - now % length) * 1000).div_ceil(length)).unwrap_or(1000)
}

/// In how many milliseconds the window ends.
fn to_the_end(limit: RateLimit, now: Millis) -> u64 {
    millis(limit) - now % millis(limit)
}

fn seconds(millis: u64) -> u32 {
    u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX)
}

fn millis(limit: RateLimit) -> u64 {
    u64::from(limit.window_s.max(1)) * 1000
}

#[cfg(test)]
mod tests {
    use domain::identity::RateKey;

    use super::*;

    const MINUTE: Millis = 60_000;
    const TEN: RateLimit = RateLimit { per: RateKey::Ip, limit: 10, window_s: 60 };

    /// How many of so many calls at this moment are let through.
    fn admitted(window: &mut Window, calls: u32, now: Millis) -> u32 {
        (0..calls).map(|_| u32::from(window.admit(TEN, 1, now).admitted)).sum()
    }

    #[test]
    fn idn_p1_as_many_as_are_allowed_are_let_through_in_each_window() {
        let mut window = Window::default();
        assert_eq!(admitted(&mut window, 12, 100 * MINUTE), 10);
        assert_eq!(admitted(&mut window, 1, 101 * MINUTE - 1), 0);
        assert_eq!(admitted(&mut window, 12, 102 * MINUTE), 10, "a whole window later all of them");
    }

    #[test]
    fn a_call_that_counts_as_several_needs_room_for_all_of_them() {
        let mut window = Window::default();
        let now = 100 * MINUTE;
        assert_eq!(window.admit(TEN, 4, now).remaining, 6);
        assert!(!window.admit(TEN, 7, now).admitted && window.admit(TEN, 6, now).admitted);
        let refused = window.admit(TEN, 4, now);
        let told = now + u64::from(refused.seconds) * 1000;
        assert!(window.clone().admit(TEN, 4, told).admitted, "{refused:?}");
        assert!(!window.clone().admit(TEN, 4, told - 1100).admitted, "{refused:?}");
        let mut window = Window::default();
        assert!(window.admit(TEN, 11, now).admitted, "where nothing else was called, the whole limit");
        assert!(!window.admit(TEN, 1, now).admitted);
    }

    #[test]
    fn nobody_gets_twice_the_limit_around_the_end_of_a_window() {
        let mut window = Window::default();
        assert_eq!(admitted(&mut window, 10, 101 * MINUTE - 1000), 10);
        assert_eq!(admitted(&mut window, 10, 101 * MINUTE), 0);
        assert_eq!(admitted(&mut window, 10, 101 * MINUTE + 30_000), 5, "half a window on, half of it");
    }

    #[test]
    fn who_comes_back_when_told_is_let_through_and_not_sooner() {
        for (calls, at) in [(10, 0), (10, 7_000), (10, 59_999), (4, 1_000)] {
            let mut window = Window::default();
            let begun = 100 * MINUTE + at;
            admitted(&mut window, calls, begun);
            // The rest in the next window, until it is full.
            let now = if calls < 10 { 101 * MINUTE } else { begun };
            admitted(&mut window, 10, now);
            let refused = window.admit(TEN, 1, now);
            assert!(!refused.admitted && refused.remaining == 0, "{refused:?}");
            let told = now + u64::from(refused.seconds) * 1000;
            assert!(window.clone().admit(TEN, 1, told).admitted, "{calls} at {at}: {refused:?}");
            assert!(!window.clone().admit(TEN, 1, told - 1100).admitted, "{calls} at {at}: {refused:?}");
        }
    }

    #[test]
    fn what_remains_and_when_the_window_ends_is_told() {
        let mut window = Window::default();
        let verdict = window.admit(TEN, 1, 100 * MINUTE + 15_500);
        assert_eq!((verdict.remaining, verdict.seconds), (9, 45));
        let first = |verdict: Verdict| (verdict.admitted, verdict.first_refused);
        admitted(&mut window, 9, 100 * MINUTE + 16_000);
        assert_eq!(first(window.admit(TEN, 1, 100 * MINUTE + 16_000)), (false, true));
        assert_eq!(first(window.admit(TEN, 1, 100 * MINUTE + 16_000)), (false, false));
    }

    #[test]
    fn two_nodes_that_tell_each_other_keep_one_limit() {
        let (mut one, mut two) = (Window::default(), Window::default());
        let now = 100 * MINUTE;
        assert_eq!(admitted(&mut one, 4, now), 4);
        assert_eq!(admitted(&mut two, 3, now), 3);
        assert_eq!((one.tell(), two.tell()), (vec![(100, 4)], vec![(100, 3)]));
        assert_eq!(one.tell(), [], "once");
        one.told(100, 7);
        two.told(100, 7);
        assert_eq!(admitted(&mut one, 9, now), 3);
        assert_eq!(one.tell(), [(100, 3)]);
        two.told(100, 10);
        assert_eq!(admitted(&mut two, 9, now), 0);
        // What could not be told is told the next time, also of the window before.
        one.untold(100, 3);
        one.admit(TEN, 1, now + MINUTE);
        assert_eq!(one.tell(), [(100, 3)]);
    }

    #[test]
    fn what_was_counted_for_all_nodes_is_taken_over() {
        let mut window = Window::default();
        let now = 100 * MINUTE;
        let counts = |calls, admitted| Counts { before: 0, calls, admitted };
        assert_eq!(window.counted(TEN, now, counts(7, true)).remaining, 3);
        assert!(window.refuse_if_full(TEN, now).is_none());
        assert!(!window.counted(TEN, now, counts(10, false)).admitted);
        assert!(!window.refuse_if_full(TEN, now).unwrap().admitted, "without asking");
    }
}
