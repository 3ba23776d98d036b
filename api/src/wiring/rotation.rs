//! The rotation of the keys of access tokens while the node runs: their file is read again and again, and what stands in it
//! counts from then on.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::http::Api;

/// How often the file is read.
const LOOK: Duration = Duration::from_secs(1);

/// Goes on with the keys in the file whenever it has another content than this. What makes no sense, such as a file that is
/// being written, changes nothing and is told once.
pub(super) async fn watch(file: PathBuf, mut content: Vec<u8>, api: Arc<Api>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let found = match tokio::fs::read(&file).await {
            Ok(found) if found != content => found,
            Ok(_) | Err(_) => continue,
        };
        match api.keys.replace(&found) {
            Ok(()) => tracing::info!(file = %file.display(), "the keys of access tokens were replaced"),
            Err(error) => {
                tracing::error!(%error, file = %file.display(), "the keys of access tokens stay as they were");
            }
        }
        content = found;
    }
}
