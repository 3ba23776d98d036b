//! The way to the database is encrypted, and the database proves who it is: as far as `sslmode` demands it, for both
//! drivers alike.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use event_store::{Database, EventStore, StoreConfig, testing};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::*;

/// An authority that nobody trusts but who is told to.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its certificate in PEM.
    file: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = std::env::temp_dir().join(format!("annals-{name}-{}.pem", uuid::Uuid::new_v4().simple()));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A certificate for an address or a name, and its key.
    fn certify(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.file);
    }
}

/// An address of this machine that is this process's alone: there, every cluster can have the usual port.
fn own_address() -> Ipv4Addr {
    let [.., a, b] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, a, b.clamp(1, 254))
}

/// Whether both drivers come through, encrypted or not; none where either is turned away.
async fn encrypted(database: &testing::TestDatabase, url: &str) -> Option<bool> {
    const ASKED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let (client, _) = Database::parse(url).unwrap().connect().await.ok()?;
    let second: bool = client.query_one(ASKED, &[]).await.unwrap().get(0);
    let config = StoreConfig { database_url: url.to_owned(), ..database.config() };
    let store = EventStore::open(config).await.ok()?;
    let first: bool = sqlx::query_scalar(ASKED).fetch_one(store.pool()).await.unwrap();
    assert_eq!(first, second, "the drivers differ on {url}");
    // What is written goes the same way.
    let streams = store.head().await.unwrap().position;
    store.append(at(&stream(&format!("{streams}")), 0)).await.unwrap();
    store.shutdown().await;
    Some(first)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_database_is_as_safe_as_sslmode_demands() {
    let address = own_address();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (certificate, key) = ours.certify(&address.to_string());
    let mut cluster = testing::Cluster::encrypting(address, &certificate, &key);
    let database = cluster.database().await;
    let name = database.url.split_once("?host=").unwrap().0.rsplit_once('/').unwrap().1;
    let url = |parameters: &str| format!("postgres://postgres@{address}:5432/{name}?{parameters}");
    let verify = |mode: &str, authority: &Authority| {
        url(&format!("sslmode={mode}&sslrootcert={}", authority.file.display()))
    };
    assert_eq!(encrypted(&database, &url("sslmode=disable")).await, Some(false));
    assert_eq!(encrypted(&database, &url("sslmode=prefer")).await, Some(true));
    assert_eq!(encrypted(&database, &url("sslmode=require")).await, Some(true));
    assert_eq!(encrypted(&database, &verify("verify-full", &ours)).await, Some(true));
    assert_eq!(encrypted(&database, &verify("verify-full", &theirs)).await, None, "another authority");
    assert_eq!(encrypted(&database, &verify("verify-ca", &theirs)).await, None, "another authority");

    // The right authority, but somebody else's certificate.
    let (certificate, key) = ours.certify("db.example");
    cluster.kill();
    cluster.certify(&certificate, &key);
    cluster.restart();
    assert_eq!(encrypted(&database, &verify("verify-full", &ours)).await, None, "another host");
    assert_eq!(encrypted(&database, &url("sslmode=require")).await, Some(true), "who it is was not asked");
}
