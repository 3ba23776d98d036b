//! How far a long command is: on the terminal, with its rate and the time that is left, from the first second on.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use projections::Projections;

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

/// Shows how far a rebuild of read models has read the log while it is at work.
pub(crate) async fn of_rebuild<T>(projections: &Projections, work: impl Future<Output = T>) -> T {
    let mut passed = projections.passed();
    let mut progress = None;
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Ok(()) = passed.changed() => {
                let (at, until) = *passed.borrow_and_update();
                progress.get_or_insert_with(|| Progress::new("folding the log", until)).at(at);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
