//! How far a long command is: on the terminal, with its rate and the time that is left, from the first second on.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that appears when a command takes longer than a second. It never appears where nobody sees a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    since: Instant,
}

impl Progress {
    /// So many of something lie ahead.
    pub(crate) fn new(what: &'static str, of: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::hidden());
        let style =
            ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta} left");
        bar.set_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_message(what);
        Self { bar, since: Instant::now() }
    }

    /// So many of them are done.
    pub(crate) fn at(&self, done: u64) {
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.since.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
