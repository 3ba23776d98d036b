//! The private nats-server with JetStream in files. It only carries copies of the log: losing all that it stores
//! loses nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::error::EmbeddedError;
use super::folder::{Folder, State};
use super::postgres::NAME;
use super::process::{Answer, Kind, Launch};
use super::user::{RunAs, make_private_folder, unpacked, write_private};

/// Where the program is, if it is installed. An ordinary user's PATH often lacks the folders it is put in.
pub(super) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .chain(unpacked())
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
}

fn address(state: &State) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, state.nats_port).into()
}

/// The address of the private server.
pub(super) fn url(state: &State) -> String {
    format!("nats://{NAME}:{}@{}", state.password, address(state))
}

/// Writes the server's configuration and tells how it is started.
pub(super) fn launch(
    program: PathBuf,
    folder: &Folder,
    run_as: Option<RunAs>,
) -> Result<Launch, EmbeddedError> {
    let home = folder.home().join("nats");
    let configuration = home.join("nats.conf");
    make_private_folder(&home, run_as.as_ref()).map_err(EmbeddedError::disk("make", &home))?;
    // Its format takes JSON as it is, which spares us its rules for quoting.
    let text = json!({
        "listen": address(&folder.state).to_string(),
        "server_name": NAME,
        "jetstream": { "store_dir": home.join("store").to_string_lossy() },
        "authorization": { "user": NAME, "password": folder.state.password },
    });
    let written = write_private(&configuration, &format!("{text:#}\n"), run_as.as_ref());
    written.map_err(EmbeddedError::disk("write", &configuration))?;
    Ok(Launch {
        name: "nats-server",
        program,
        arguments: vec!["-c".into(), configuration.clone().into()],
        mark: configuration.into(),
        folder: home,
        log: folder.log("nats"),
        run_as,
        kind: Kind::Nats(address(&folder.state)),
        stop: Signal::SIGTERM,
        stop_now: Signal::SIGKILL,
    })
}

/// Whether a NATS server greets at an address. It does so only once JetStream is ready.
pub(super) async fn ask(address: SocketAddr) -> Answer {
    let greeting = async {
        let mut first = [0; 5];
        TcpStream::connect(address).await?.read_exact(&mut first).await?;
        std::io::Result::Ok(&first == b"INFO ")
    };
    match tokio::time::timeout(Duration::from_secs(5), greeting).await {
        Ok(Ok(true)) => Answer::Serves,
        Ok(_) | Err(_) => Answer::Silence,
    }
}
