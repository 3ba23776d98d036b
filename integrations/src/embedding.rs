//! The local embedding engine: feature-hashed TF-IDF in 384 dimensions (catalogue 6), for where no model is configured.
//!
//! A text becomes its words and pairs of neighbouring words, and the trigrams of letters within its words; each such feature
//! is hashed to a dimension and a sign, so that features that meet in one dimension cancel out on average. What it can tell
//! is whether two texts use the same words, or words spelled alike; it knows no synonyms. It says so by its name, which is
//! stored beside every result.
//!
//! Only additions, multiplications and square roots are used, which IEEE 754 defines to the last bit: the same text has the
//! same vector on every machine, for ever. Whatever changes a vector is another version of the engine.

mod words;

use std::collections::BTreeMap;

use commands::ports::{Embedding, PortError};
use futures_util::future::BoxFuture;

/// How many dimensions a vector has.
pub const DIMENSIONS: usize = 384;

/// The local engine: no model, no network, no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashedTfIdf;

impl HashedTfIdf {
    /// The name that is stored beside every result.
    pub const ENGINE: &str = "local/hashed-tfidf@1";
}

impl Embedding for HashedTfIdf {
    fn engine(&self) -> &str {
        Self::ENGINE
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> BoxFuture<'a, Result<Vec<Vec<f32>>, PortError>> {
        Box::pin(async move { Ok(texts.iter().map(|text| vector(text)).collect()) })
    }
}

/// What kind of feature it is: features of two kinds never meet, however they are spelled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Word,
    Pair,
    Trigram,
}

impl Kind {
    /// How much a kind counts beside a word. A word has about five trigrams: together they count about as much as it does.
    fn weight(self) -> f64 {
        match self {
            Kind::Word => 1.0,
            Kind::Pair => 0.5,
            Kind::Trigram => 0.4,
        }
    }

    /// The seed of its hash.
    fn seed(self) -> u8 {
        match self {
            Kind::Word => b'w',
            Kind::Pair => b'p',
            Kind::Trigram => b't',
        }
    }
}

/// The unit vector of a text; the zero vector, which is like nothing, where it has no letter and no digit.
fn vector(text: &str) -> Vec<f32> {
    let stems = words::stems(text);
    // The square of the inverse document frequency, summed over the occurrences of a feature: its root is the frequency
    // weight times the square root of the number of occurrences, which grows ever more slowly. Sorted, so that the order of
    // the additions below, and with it every last bit, is fixed.
    let mut features: BTreeMap<(Kind, String), f64> = BTreeMap::new();
    let mut count = |kind, feature, idf: f64| *features.entry((kind, feature)).or_default() += idf * idf;
    for stem in &stems {
        let idf = words::weight(stem);
        count(Kind::Word, stem.clone(), idf);
        let bounded: Vec<char> = format!("^{stem}$").chars().collect();
        for trigram in bounded.windows(3) {
            count(Kind::Trigram, trigram.iter().collect(), idf);
        }
    }
    for pair in stems.windows(2) {
        let idf = words::weight(&pair[0]).min(words::weight(&pair[1]));
        count(Kind::Pair, pair.join(" "), idf);
    }
    let mut sums = vec![0f64; DIMENSIONS];
    for ((kind, feature), squares) in features {
        let (dimension, sign) = place(kind, &feature);
        sums[dimension] += sign * kind.weight() * squares.sqrt();
    }
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    let unit = if length > 0.0 { length } else { 1.0 };
    sums.into_iter().map(|sum| (sum / unit) as f32).collect()
}

/// The dimension and the sign of a feature: FNV-1a in 64 bits, then the finaliser of MurmurHash3, since the low bits of
/// FNV-1a alone hang on the last letters too much.
fn place(kind: Kind, feature: &str) -> (usize, f64) {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = std::iter::once(kind.seed()).chain(feature.bytes()).fold(0xcbf2_9ce4_8422_2325, fnv);
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^= hash >> 33;
    let dimension = (hash % DIMENSIONS as u64) as usize;
    (dimension, if hash >> 63 == 0 { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use commands::ports::cosine;
    use proptest::prelude::*;

    use super::*;

    fn alike(text: &str, other: &str) -> i32 {
        cosine(&vector(text), &vector(other)).0
    }

    const PARAPHRASES: [(&str, &str); 6] = [
        (
            "Evaluate statistical models on real data",
            "The learner is able to evaluate models of statistics with data",
        ),
        ("Design a relational database schema", "Designing schemas for relational databases"),
        ("Plan and lead a project team", "Leading project teams and planning their work"),
        ("Write unit tests for web applications", "Testing of web applications by writing unit tests"),
        ("Explain the causes of climate change", "Describe what causes changes of the climate"),
        ("Negotiate a contract of employment", "Negotiation of employment contracts"),
    ];

    #[test]
    fn a_text_is_wholly_like_itself() {
        for (text, _) in PARAPHRASES {
            assert_eq!(alike(text, text), 10_000);
        }
        assert_eq!(alike("Plan a PROJECT", "plan the projects!"), 10_000, "but for grammar and case");
    }

    #[test]
    fn every_paraphrase_is_closer_than_any_text_of_another_topic() {
        let indices = || 0..PARAPHRASES.len();
        let between = |one: usize, other: usize| alike(PARAPHRASES[one].0, PARAPHRASES[other].1);
        let least_like = indices().map(|one| between(one, one)).min().unwrap();
        let others = indices().flat_map(|one| indices().map(move |other| (one, other)));
        let most_like =
            others.filter(|(one, other)| one != other).map(|(one, other)| between(one, other)).max();
        assert!(least_like > 7000 && most_like.unwrap() < 1500, "{least_like} {most_like:?}");
    }

    #[test]
    fn what_frames_a_statement_makes_no_likeness() {
        let framed = [
            "Understand the basic principles of welding",
            "Understand the basic principles of jurisprudence",
        ];
        let topic = ["Understand the basic principles of welding", "Practise welding"];
        assert!(alike(framed[0], framed[1]) < alike(topic[0], topic[1]));
    }

    #[test]
    fn words_of_other_languages_are_compared_by_their_spelling() {
        let czech = "Návrh relačních databází";
        assert!(alike(czech, "Navrhování relační databáze") > alike(czech, "Pracovní právo a smlouvy"));
    }

    #[test]
    fn a_text_without_letters_is_like_nothing() {
        assert!(vector(" .,;!? ").iter().all(|part| *part == 0.0));
        assert_eq!(alike("...", "..."), 0);
    }

    #[test]
    fn these_vectors_are_those_of_version_1() {
        // When this fails, vectors that were stored are no longer comparable: name the engine anew.
        let fingerprint = |text: &str| {
            let bytes = vector(text).into_iter().flat_map(|part| part.to_bits().to_be_bytes());
            bytes.fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
        };
        assert_eq!(
            [fingerprint(PARAPHRASES[0].0), fingerprint("統計"), fingerprint("...")],
            [10_643_512_896_193_804_111, 17_457_624_041_055_770_700, 0]
        );
    }

    #[tokio::test]
    async fn the_port_gives_one_vector_for_each_text_the_same_every_time() {
        let texts: Vec<String> = PARAPHRASES.iter().map(|(text, _)| (*text).to_owned()).collect();
        let first = HashedTfIdf.embed(&texts).await.unwrap();
        assert_eq!(first.len(), texts.len());
        assert_eq!(first, HashedTfIdf.embed(&texts).await.unwrap());
        assert_eq!(first[1], vector(&texts[1]), "a text's vector does not hang on its neighbours");
        assert_eq!(HashedTfIdf.engine(), "local/hashed-tfidf@1");
    }

    proptest! {
        #[test]
        fn every_vector_is_of_unit_length_or_zero(text in ".{0,200}") {
            let vector = vector(&text);
            let length: f32 = vector.iter().map(|part| part * part).sum();
            prop_assert_eq!(vector.len(), DIMENSIONS);
            prop_assert!(length == 0.0 || (length - 1.0).abs() < 1e-5);
        }
    }
}
