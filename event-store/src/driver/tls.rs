//! TLS for the writer's connection, by the rules of libpq's `sslmode`, as sqlx applies them to all others.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;

/// How the writer connects, by the parameters `sslmode` and `sslrootcert` of the URL.
///
/// `verify-ca` also checks the host's name here, which is more than it promises.
pub(super) fn connector(
    mode: Option<&str>,
    root_certificate: Option<&str>,
) -> Result<(SslMode, Option<MakeRustlsConnect>), StoreError> {
    let unverified = || build(Arc::new(AnyCertificate(Arc::new(ring::default_provider()))));
    let verified = || {
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(root_certificate)?),
            Arc::new(ring::default_provider()),
        );
        build(verifier.build().map_err(wrong)?)
    };
    match mode.unwrap_or("prefer") {
        "disable" | "allow" => Ok((SslMode::Disable, None)),
        "prefer" => Ok((SslMode::Prefer, Some(unverified()?))),
        "require" if root_certificate.is_none() => Ok((SslMode::Require, Some(unverified()?))),
        "require" | "verify-ca" | "verify-full" => Ok((SslMode::Require, Some(verified()?))),
        other => Err(StoreError::Configuration(format!("sslmode={other}"))),
    }
}

fn wrong(error: impl std::fmt::Display) -> StoreError {
    StoreError::Configuration(format!("TLS to the database: {error}"))
}

fn build(verifier: Arc<dyn ServerCertVerifier>) -> Result<MakeRustlsConnect, StoreError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The authorities in a file, or those that this machine trusts.
fn roots(file: Option<&str>) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file).map_err(wrong)? {
                roots.add(certificate.map_err(wrong)?).map_err(wrong)?;
            }
        }
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    if roots.is_empty() {
        return Err(wrong(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    }
    Ok(roots)
}

/// Encrypts to whoever answers: `prefer` and `require` promise no more. The handshake's signatures are checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
