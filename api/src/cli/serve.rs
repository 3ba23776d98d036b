//! `annals serve`: from a configuration to a node that answers, and back to nothing in good order.

use std::{net::TcpListener, pin::Pin, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::token;
use crate::{
    config::Config,
    embedded::{Servers, write_env_file},
    http,
    wiring::{Node, StartError},
};

/// How long requests under way may take to be answered when the server stops: none takes longer.
const GRACE: Duration = Duration::from_secs(35);

/// Serves until SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
/// Whatever keeps the node from starting.
pub(super) async fn serve(config: &Config) -> Result<(), StartError> {
    let stopping = stop_asked()?;
    tokio::pin!(stopping);
    // Before anything is started: a port that cannot be had should cost nothing.
    let taken = |setting, address| move |source| StartError::Listen { setting, address, source };
    let listener = config.bind().map_err(taken("listen", config.address()))?;
    let metrics =
        TcpListener::bind(config.metrics_listen).map_err(taken("metrics_listen", config.metrics_listen))?;
    let servers = tokio::select! {
        servers = Servers::start(config) => servers?,
        () = &mut stopping => return Ok(()),
    };
    let served = tokio::select! {
        served = run(config, &servers, listener, metrics, stopping.as_mut()) => served,
        () = servers.watch() => Ok(()),
    };
    servers.stop().await;
    served
}

async fn run(
    config: &Config,
    servers: &Servers,
    listener: TcpListener,
    metrics: TcpListener,
    mut stopping: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), StartError> {
    let (address, metrics_address) = (listener.local_addr()?, metrics.local_addr()?);
    let node = tokio::select! {
        node = Node::start(config, servers) => node?,
        () = &mut stopping => return Ok(()),
    };
    let server = http::server(node.api.clone(), listener)?;
    let metrics = http::metrics_server(node.api.clone(), metrics)?;
    let (url, metrics_url) = (format!("http://{address}"), format!("http://{metrics_address}/metrics"));
    let token = if servers.embedded { token::for_development(&node.api.keys)? } else { String::new() };
    write_env_file(config, servers, &url, &metrics_url, &token)?;
    tracing::info!(%url, %metrics_url, "annals serves");

    let (handle, metrics_handle) = (server.handle(), metrics.handle());
    let (server, metrics) = (tokio::spawn(server), tokio::spawn(metrics));
    stopping.await;
    tracing::info!("stopping");
    node.api.stream.close();
    // What was begun is answered; what comes now is told to come back. Only then connections are closed.
    if !node.api.overload.stop(GRACE).await {
        tracing::warn!("some requests were not answered in time");
    }
    handle.stop(true).await;
    metrics_handle.stop(false).await;
    for task in [server, metrics] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a listener did not end well");
        }
    }
    node.stop().await;
    Ok(())
}

/// Listens from the call on, so that whoever asks in the middle of the start leaves no server behind; the future is
/// done when somebody asked this process to stop, or the terminal that it was started from is closed.
fn stop_asked() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Who was told to outlive the terminal (`nohup`) does.
    let mut hang_up = if outlives_terminal() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = async {
                match &mut hang_up {
                    Some(hang_up) => _ = hang_up.recv().await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    })
}

/// Whether this process was started with SIGHUP ignored, as `nohup` does it. Where the system does not tell, it was not.
fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
