//! Requests to one provider outside, and to nothing inside: HTTPS only, no redirects, no addresses of private networks, no
//! long answers. A provider on this very machine may be reached in the clear, and then nothing else may.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http};
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many bytes an answer may have: keys and tokens are short.
const LENGTH_MAX: usize = 512 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum OutsideError {
    /// The address is none that may be asked.
    Forbidden,
    /// The answer is too long.
    TooLong,
    /// It cannot be reached, or is no HTTP.
    Failed(reqwest::Error),
}

impl fmt::Display for OutsideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutsideError::Forbidden => f.write_str("the address is none that may be asked"),
            OutsideError::TooLong => f.write_str("the answer is too long"),
            // Without the address: it has the code in it.
            OutsideError::Failed(error) if error.is_timeout() => f.write_str("it took too long"),
            OutsideError::Failed(_) => f.write_str("it cannot be reached"),
        }
    }
}

impl Error for OutsideError {}

impl From<reqwest::Error> for OutsideError {
    fn from(error: reqwest::Error) -> Self {
        OutsideError::Failed(error)
    }
}

/// The way to one provider.
#[derive(Clone)]
pub(super) struct Outside {
    client: Client,
    /// Whether the provider is on this very machine.
    local: bool,
}

impl Outside {
    /// The way to a provider with this issuer.
    pub(super) fn to(issuer: &Url) -> Result<Self, String> {
        let local = is_local(issuer);
        if !local && issuer.scheme() != "https" {
            return Err("an issuer is https://…, or http:// at this very machine".to_owned());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .dns_resolver(Arc::new(Reachable { local }))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Outside { client, local })
    }

    /// Whether an address that the provider names may be asked.
    fn may_ask(&self, url: &Url) -> bool {
        if self.local {
            return is_local(url);
        }
        // Names are looked up by whoever resolves them; an address that stands there itself is not.
        let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        url.scheme() == "https" && literal.is_none_or(is_public)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, OutsideError> {
        let request = reqwest::Request::try_from(request)?;
        if !self.may_ask(request.url()) {
            return Err(OutsideError::Forbidden);
        }
        let mut response = self.client.execute(request).await?;
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        while let Some(chunk) = response.chunk().await? {
            if answer.body().len() + chunk.len() > LENGTH_MAX {
                return Err(OutsideError::TooLong);
            }
            answer.body_mut().extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Outside {
    type Error = OutsideError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, OutsideError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Looks names up and leaves out what may not be reached.
struct Reachable {
    local: bool,
}

impl Resolve for Reachable {
    fn resolve(&self, name: Name) -> Resolving {
        let local = self.local;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fits = |address: &SocketAddr| match local {
                true => address.ip().to_canonical().is_loopback(),
                false => is_public(address.ip()),
            };
            let found: Vec<SocketAddr> = found.filter(fits).collect();
            if found.is_empty() {
                return Err("the name has no address that may be asked".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// In the clear, at this very machine.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) || host == "localhost";
    url.scheme() == "http" && loopback
}

/// Whether an address is one of the Internet, and of no network that is somebody's own (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = matches!(
        (a, b, c),
        (0 | 240..=255, _, _) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18 | 19, _)
    );
    !(reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // An IPv4 address in another form is what it is.
    let embedded = Ipv4Addr::from((u32::from(parts[6]) << 16) | u32::from(parts[7]));
    match parts {
        [0x64, 0xff9b, ..] => is_public_v4(embedded),
        [0x2002, high, low, ..] => is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] => false,
        // Global unicast, and nothing else.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_inside_is_asked_whatever_a_provider_names() {
        let provider = Outside::to(&url("https://accounts.example.edu")).unwrap();
        for open in ["https://accounts.example.edu/token", "https://203.0.114.1/", "https://[2606:4700::1]/"]
        {
            assert!(provider.may_ask(&url(open)), "{open}");
        }
        for closed in [
            "http://accounts.example.edu/token",
            "file:///etc/passwd",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
        ] {
            assert!(!provider.may_ask(&url(closed)), "{closed}");
        }
    }

    #[test]
    fn a_provider_on_this_machine_leads_nowhere_else() {
        let provider = Outside::to(&url("http://127.0.0.1:8099")).unwrap();
        assert!(provider.may_ask(&url("http://127.0.0.1:8099/token")));
        for closed in ["http://10.0.0.1/", "https://accounts.example.edu/", "http://accounts.example.edu/"] {
            assert!(!provider.may_ask(&url(closed)), "{closed}");
        }
        assert!(Outside::to(&url("http://accounts.example.edu")).is_err());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_none_of_the_internet() {
        let found = Reachable { local: false }.resolve("localhost".parse().unwrap()).await;
        assert!(found.is_err());
        assert!(Reachable { local: true }.resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
