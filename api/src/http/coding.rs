//! Compressed answers: for documents that everybody reads, compressed once, and for what is read with a token.
//!
//! What holds secrets (tokens, keys) is never compressed, nor is anything that a browser's cookie authenticates: whoever can
//! make a browser ask, and put words of their own beside a secret, would learn it from the length of the answer (BREACH).

use std::{io::Write, sync::OnceLock};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    http::{
        Method, StatusCode,
        header::{
            ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
        },
    },
    web,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Incoming, Operation, Route, call::API_KEY};
use crate::auth::Access;

/// From how many bytes on it is worth it.
const WORTH_IT: u64 = 1024;
/// From how many bytes on it is done where it holds up nobody.
const LONG: usize = 64 * 1024;

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// The best one that a client takes, if it takes one.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let given = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
        let (mut brotli, mut gzip, mut any) = (None, None, None);
        for part in given.flat_map(|value| value.split(',')) {
            let (name, parameter) = part.split_once(';').unwrap_or((part, ""));
            let quality =
                parameter.trim().strip_prefix("q=").map_or(Some(1.0), |quality| quality.parse().ok());
            let quality: f32 = quality.unwrap_or_default();
            match name.trim() {
                "br" => brotli = Some(quality),
                "gzip" | "x-gzip" => gzip = Some(quality),
                "*" => any = Some(quality),
                _ => {}
            }
        }
        let (brotli, gzip) = (brotli.or(any).unwrap_or_default(), gzip.or(any).unwrap_or_default());
        if brotli > 0.0 && brotli >= gzip {
            Some(Coding::Brotli)
        } else {
            (gzip > 0.0).then_some(Coding::Gzip)
        }
    }

    fn name(self) -> HeaderValue {
        match self {
            Coding::Brotli => HeaderValue::from_static("br"),
            Coding::Gzip => HeaderValue::from_static("gzip"),
        }
    }

    /// Compresses. Nothing where that fails, which writing to memory does not.
    fn apply(self, plain: &[u8]) -> Option<Bytes> {
        match self {
            Coding::Brotli => {
                let mut out = Vec::with_capacity(plain.len() / 4);
                let parameters =
                    brotli::enc::BrotliEncoderParams { quality: 5, lgwin: 20, ..Default::default() };
                let mut rest = plain;
                brotli::BrotliCompress(&mut rest, &mut out, &parameters).ok()?;
                Some(out.into())
            }
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(5));
                encoder.write_all(plain).ok()?;
                encoder.finish().ok().map(Bytes::from)
            }
        }
    }
}

/// A document that everybody may read, with its compressed forms.
pub(super) struct Document {
    media_type: &'static str,
    tag: String,
    plain: Bytes,
    brotli: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
    /// What a browser may load for it.
    loads: Option<&'static str>,
}

impl Document {
    /// A document of this text.
    pub(super) fn new(media_type: &'static str, text: impl Into<Bytes>) -> Self {
        let plain = text.into();
        let tag = format!("W/\"{:.32}\"", format!("{:x}", Sha256::digest(&plain)));
        Document { media_type, tag, plain, brotli: OnceLock::new(), gzip: OnceLock::new(), loads: None }
    }

    /// The same, as a page that may load these things.
    pub(super) fn loading(self, policy: &'static str) -> Self {
        Document { loads: Some(policy), ..self }
    }

    /// The answer; none but its tag for a client that has it already.
    pub(super) fn answer(&self, request: &Incoming<'_>) -> HttpResponse {
        let mut known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
        let unchanged = known.any(|known| known.contains(self.tag.trim_start_matches("W/")));
        let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header((ETAG, self.tag.as_str()))
            .insert_header((CACHE_CONTROL, "public, max-age=300"))
            .insert_header((VARY, "Accept-Encoding, Origin"));
        if let Some(policy) = self.loads {
            response.insert_header((CONTENT_SECURITY_POLICY, policy));
        }
        if unchanged {
            return response.finish();
        }
        response.content_type(self.media_type);
        let coding = Coding::of(request.headers());
        let compressed = coding.and_then(|coding| {
            let kept = if coding == Coding::Brotli { &self.brotli } else { &self.gzip };
            kept.get_or_init(|| coding.apply(&self.plain)).clone().map(|bytes| (coding, bytes))
        });
        match compressed {
            Some((coding, bytes)) => response.insert_header((CONTENT_ENCODING, coding.name())).body(bytes),
            None => response.body(self.plain.clone()),
        }
    }
}

/// Compresses the answer of a query, where that is worth it and tells nobody anything.
pub(super) async fn compressed(
    response: HttpResponse,
    request: &Incoming<'_>,
    route: &Route,
) -> HttpResponse {
    let reads = matches!(route.operation, Operation::Query(_) | Operation::Governance(_) | Operation::Log(_));
    let headers = request.headers();
    let by_header = headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY);
    // What is asked by HEAD is answered with the length that GET would have (RFC 9110, 9.3.2).
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let safe = reads && asks && (by_header || route.access == Access::Public);
    let long = matches!(response.body().size(), BodySize::Sized(bytes) if bytes >= WORTH_IT);
    let plain = response.status() == StatusCode::OK && !response.headers().contains_key(CONTENT_ENCODING);
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let text = kind.starts_with(b"application/json") || kind.starts_with(b"text/");
    if !(safe && long && plain && text) {
        return response;
    }
    let Some(coding) = Coding::of(headers) else { return response };
    let (mut response, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(body) => body,
        Err(body) => return response.set_body(body),
    };
    let whole = body.clone();
    let coded = match body.len() < LONG {
        true => coding.apply(&whole),
        false => web::block(move || coding.apply(&whole)).await.ok().flatten(),
    };
    match coded {
        Some(coded) => {
            let headers = response.headers_mut();
            headers.remove(CONTENT_LENGTH);
            headers.insert(CONTENT_ENCODING, coding.name());
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            response.set_body(coded).map_into_boxed_body()
        }
        None => response.set_body(body).map_into_boxed_body(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn takes(given: &'static str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(given));
        Coding::of(&headers)
    }

    #[test]
    fn a_client_says_what_it_takes() {
        assert_eq!(takes("gzip, deflate, br, zstd"), Some(Coding::Brotli));
        assert_eq!(takes("gzip;q=1.0, br;q=0.5"), Some(Coding::Gzip));
        assert_eq!(takes("br;q=0, *"), Some(Coding::Gzip));
        for none in ["", "identity", "deflate", "gzip;q=0", "gzip;q=x"] {
            assert_eq!(takes(none), None, "{none}");
        }
        assert_eq!(Coding::of(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_compressed_comes_out_as_it_went_in() {
        let plain = "to be or not to be ".repeat(500);
        let coded = Coding::Gzip.apply(plain.as_bytes()).unwrap();
        let mut out = String::new();
        flate2::read::GzDecoder::new(&coded[..]).read_to_string(&mut out).unwrap();
        assert!(out == plain && coded.len() < 500);
        let coded = Coding::Brotli.apply(plain.as_bytes()).unwrap();
        let mut out = Vec::new();
        brotli::BrotliDecompress(&mut &coded[..], &mut out).unwrap();
        assert!(out == plain.as_bytes() && coded.len() < 500);
    }
}
