//! More clients than the node lets in at once, none of which waits between two commands, nor for as long as it was told to
//! when it is refused.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{Figure, served::Served};

/// What became of their commands.
pub(crate) struct Overloaded {
    /// Those that were carried out.
    pub(crate) accepted: Figure,
    /// How many that were.
    pub(crate) count: u64,
    /// Those that were refused and told when to come back.
    pub(crate) refused: Figure,
    /// Answers of any other kind.
    pub(crate) others: u64,
}

/// So many clients, for so long.
pub(crate) async fn overload(served: Arc<Served>, clients: usize, time: Duration) -> Overloaded {
    let begin = Instant::now();
    let clients = (0..clients).map(|_| {
        let served = served.clone();
        tokio::spawn(async move {
            let mut answers = Vec::new();
            while begin.elapsed() < time {
                let issued = Instant::now();
                let answer = served.create_org_unit().await;
                answers.push((issued.elapsed(), answer));
            }
            answers
        })
    });
    let answers = futures_util::future::join_all(clients.collect::<Vec<_>>()).await;
    let total = begin.elapsed();
    let (mut accepted, mut refused, mut others) = (Vec::new(), Vec::new(), 0);
    for (took, answer) in answers.into_iter().flat_map(|answers| answers.unwrap()) {
        match answer {
            (201, _) => accepted.push(took),
            (503, true) => refused.push(took),
            _ => others += 1,
        }
    }
    Overloaded {
        count: accepted.len() as u64,
        accepted: Figure::of(accepted, total),
        refused: Figure::of(refused, total),
        others,
    }
}
