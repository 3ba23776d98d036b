//! How far a long command is: on the terminal, with its rate and the time that is left, from the first second on.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use projections::Projections;

/// What is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a bar is drawn while nothing moves: the time that has passed does.
const TICK: Duration = Duration::from_millis(200);

/// A bar that appears when a command takes longer than a second. It never appears where nobody sees a terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// So many of something lie ahead; 0: nobody knows how many.
    pub(crate) fn new(what: &'static str, of: u64) -> Self {
        Self::styled(what, of, "{human_pos}/{human_len} {per_sec}", "{human_pos} {per_sec}")
    }

    /// So many bytes lie ahead.
    pub(crate) fn bytes(what: &'static str, of: u64) -> Self {
        let known = "{binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}";
        Self::styled(what, of, known, "{binary_bytes} {binary_bytes_per_sec}")
    }

    fn styled(what: &'static str, of: u64, known: &str, unknown: &str) -> Self {
        let template = match of {
            0 => format!("{{msg}} {{spinner}} {unknown} {{elapsed}}"),
            _ => format!("{{msg}} {{wide_bar}} {known} {{eta}} left"),
        };
        let length = (of > 0).then_some(of);
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(&template).expect("the template is right");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(what);
        let (late, patience) = (bar.downgrade(), PATIENCE);
        std::thread::spawn(move || {
            std::thread::sleep(patience);
            if let Some(bar) = late.upgrade() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(TICK);
            }
        });
        Self(bar)
    }

    /// So many of them are done.
    pub(crate) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// What is being done now.
    pub(crate) fn say(&self, what: &'static str) {
        self.0.set_message(what);
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
                let progress = progress.get_or_insert_with(|| Progress::new("folding the log", until));
                progress.at(at);
                if at == until {
                    progress.say("making indexes, comparing");
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
