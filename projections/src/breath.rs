//! The follower's breath: when it lets events gather before it takes the next ones.

use std::time::Duration;

use tokio::time::Instant;

/// A batch of so many, of which each came sooner after the other than this, says that events arrive quicker than they can
/// be folded one by one...
const BUSY: usize = 16;
const SOON: Duration = Duration::from_micros(400);

/// ...and then the follower lets more of them gather, for longer than it worked on these: a commit costs much the same for
/// twenty events as for two hundred, and it costs those who write. Nobody who waits for one event notices.
const TIMES: u32 = 2;
const SHORTEST: Duration = Duration::from_millis(8);
const LONGEST: Duration = Duration::from_millis(40);

/// Remembers when the last batch was taken.
pub(crate) struct Breath {
    /// How many events are a full batch, behind which more stand already.
    full: usize,
    taken: Instant,
}

impl Breath {
    pub(crate) fn new(full: usize, now: Instant) -> Self {
        Self { full, taken: now }
    }

    /// How long to let events gather, if at all, after so many that were taken at `begun` and folded at `done`.
    pub(crate) fn after(&mut self, events: usize, begun: Instant, done: Instant) -> Option<Duration> {
        let came = begun.duration_since(std::mem::replace(&mut self.taken, begun));
        let busy = (BUSY..self.full).contains(&events) && came < SOON * events as u32;
        busy.then(|| (TIMES * done.duration_since(begun)).clamp(SHORTEST, LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: usize = 1000;
    const QUICKLY: Duration = Duration::from_millis(1);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// After so many events, taken so long after those before them, and so much work on them.
    fn wait(events: usize, came: Duration, work: Duration) -> Option<Duration> {
        let before = Instant::now();
        let begun = before + came;
        Breath::new(FULL, before).after(events, begun, begun + work)
    }

    #[test]
    fn few_events_never_wait_however_quickly_they_came() {
        assert_eq!(wait(1, Duration::ZERO, millis(10)), None);
        assert_eq!(wait(15, Duration::ZERO, millis(10)), None);
    }

    #[test]
    fn many_events_that_came_slowly_do_not_wait() {
        // One in 0.4 ms, as at 2,500 per second.
        assert_eq!(wait(16, Duration::from_micros(6400), millis(10)), None);
        assert_eq!(wait(100, millis(100), millis(10)), None);
    }

    #[test]
    fn many_events_that_came_quickly_wait_for_twice_the_work_on_them() {
        assert_eq!(wait(16, Duration::from_micros(6399), millis(10)), Some(millis(20)));
        assert_eq!(wait(FULL - 1, QUICKLY, millis(15)), Some(millis(30)));
    }

    #[test]
    fn they_wait_for_8_ms_at_least_and_for_40_at_most() {
        assert_eq!(wait(16, QUICKLY, Duration::ZERO), Some(millis(8)));
        assert_eq!(wait(16, QUICKLY, millis(3)), Some(millis(8)));
        assert_eq!(wait(16, QUICKLY, millis(21)), Some(millis(40)));
        assert_eq!(wait(16, QUICKLY, millis(5000)), Some(millis(40)));
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        assert_eq!(wait(FULL, QUICKLY, millis(10)), None);
    }

    #[test]
    fn how_quickly_they_came_is_told_from_when_the_batch_before_was_taken_its_work_and_its_wait_included() {
        let start = Instant::now();
        let mut breath = Breath::new(FULL, start);
        assert_eq!(breath.after(16, start + millis(1), start + millis(6)), Some(millis(10)));
        // Sixteen in 15 ms are slow, though they stood there when they were asked for.
        assert_eq!(breath.after(16, start + millis(16), start + millis(17)), None);
        assert_eq!(breath.after(16, start + millis(18), start + millis(23)), Some(millis(10)));
    }
}
