//! Ports to the outside, in the domain's language (catalogue 6). Adapters live in `integrations` and are chosen by
//! configuration. A capability that is missing is an error and never a made-up answer (D-14).

use std::sync::Arc;

use domain::BasisPoints;
use futures_util::future::BoxFuture;

use crate::CommandError;

/// Why a port gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the port {port} gave no answer: {reason}")]
pub struct PortError {
    /// The port's name.
    pub port: &'static str,
    /// What happened, without personal data.
    pub reason: String,
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        CommandError::Unavailable(error.to_string())
    }
}

/// Turns texts into vectors whose cosine says how alike they are.
pub trait Embedding: Send + Sync + 'static {
    /// The adapter's name and version, such as `local/hashed-tfidf@1`; it is stored beside every result.
    fn engine(&self) -> &str;

    /// One unit-length vector for each text, all of the same dimension.
    fn embed<'a>(&'a self, texts: &'a [String]) -> BoxFuture<'a, Result<Vec<Vec<f32>>, PortError>>;
}

/// Signs what this deployment states, so that anybody can check later that it did.
pub trait Notary: Send + Sync + 'static {
    /// The statement as a compact JWS (RFC 7515), signed with Ed25519, with the public key in its header.
    fn sign(&self, statement: &serde_json::Value) -> Result<String, PortError>;
}

/// The adapters that are plugged in.
pub struct Ports {
    /// Signs certificates.
    pub notary: Arc<dyn Notary>,
    /// Embeddings of texts.
    pub embedding: Arc<dyn Embedding>,
}

/// How alike two texts are by their vectors: the cosine in basis points, rounded half-up, since the domain knows no floats.
/// 0 where a vector is zero or the dimensions differ: nothing is known to be alike then.
pub fn cosine(one: &[f32], other: &[f32]) -> BasisPoints {
    let dot = |one: &[f32], other: &[f32]| -> f64 {
        one.iter().zip(other).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if one.len() != other.len() || !lengths.is_normal() {
        return BasisPoints(0);
    }
    let cosine = (dot(one, other) / lengths).clamp(-1.0, 1.0);
    BasisPoints((cosine * 10_000.0 + 0.5).floor() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_arrives_in_basis_points_rounded_half_up() {
        assert_eq!(cosine(&[1.0, 0.0], &[1.0, 0.0]), BasisPoints(10_000));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), BasisPoints(0));
        assert_eq!(cosine(&[2.0, 0.0], &[-1.0, 0.0]), BasisPoints(-10_000));
        assert_eq!(cosine(&[1.0, 1.0], &[1.0, 0.0]), BasisPoints(7071));
        assert_eq!(cosine(&[1.0, 2.0], &[3.0, 4.0]), BasisPoints(9839));
    }

    #[test]
    fn vectors_that_cannot_be_compared_are_not_alike() {
        for (one, other) in [
            (&[][..], &[][..]),
            (&[0.0], &[1.0]),
            (&[1.0, 0.0], &[1.0]),
            (&[f32::NAN], &[1.0]),
            (&[f32::INFINITY], &[1.0]),
        ] {
            assert_eq!(cosine(one, other), BasisPoints(0));
        }
    }
}
