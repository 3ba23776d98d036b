//! How many may work at the same time.

use std::num::NonZeroUsize;

/// Each of them has thousands of events in memory.
const MOST: usize = 64;

/// Reads a number of workers.
///
/// # Errors
/// When it is none from 1 to 64.
pub(crate) fn workers(number: &str) -> Result<NonZeroUsize, String> {
    let number: NonZeroUsize = number.parse().map_err(|_| format!("a number from 1 to {MOST} is meant"))?;
    if number.get() > MOST { Err(format!("{MOST} at most")) } else { Ok(number) }
}
