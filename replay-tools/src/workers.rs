//! How many may work at the same time.

use std::num::NonZeroUsize;

use projections::THREADS_MOST;

/// Reads a number of workers.
///
/// # Errors
/// When it is none from 1 to 64.
pub(crate) fn workers(number: &str) -> Result<NonZeroUsize, String> {
    let meant = || format!("a number from 1 to {THREADS_MOST} is meant");
    number.parse().ok().filter(|number: &NonZeroUsize| number.get() <= THREADS_MOST).ok_or_else(meant)
}
