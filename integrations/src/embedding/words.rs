//! From a text to the words that it is compared by: lower case, no stop words, lightly stemmed.
//!
//! English is what the stop words and the stemmer know. Words of other languages pass as they are, and are then compared
//! by their spelling.

use std::{collections::BTreeSet, sync::LazyLock};

use unicode_normalization::UnicodeNormalization;

/// Words that carry grammar and no topic.
const STOP_WORDS: &str = "a about above after again against all also am an and any are as at be because been before being \
below between both but by can cannot could did do does doing down during each either etc every few for from further had has \
have having he her here hers herself him himself his how i if in into is it its itself just may me might more most must my \
myself neither no nor not of off on once only onto or other our ours ourselves out over own per same shall she should so some \
such than that the their theirs them themselves then there these they this those through to too under until up upon us very \
via was we were what when where whether which while who whom whose why will with within without would you your yours yourself \
yourselves";

/// Words in which nearly every statement of a learning outcome or a program is framed. They say little of what it is about.
const FRAME_WORDS: &str = "ability able achieve advanced appropriate apply area aspect basic candidate common competence \
competency complete concept content course credential demonstrate describe develop different discuss effective explain field \
foundation fundamental gain general given graduate identify importance important include individual introduce introduction key \
know knowledge learn learner learning level main master method module new outcome participant practice practical principle \
program programme recognize relevant select several show skill student study successful successfully teach technique \
theoretical theory topic understand understanding unit use using variety various well work";

/// How much a word tells apart, from 0 to 1: the inverse document frequency.
///
/// No body of documents is at hand in which frequencies could be counted, and counting what is being stored would give the
/// same text another vector every day. So this is an estimate in three steps, made by hand: stop words tell nothing, frame
/// words a little, all others alike. Another estimate is another version of the engine.
pub(super) fn weight(stem: &str) -> f64 {
    static FRAMES: LazyLock<BTreeSet<String>> =
        LazyLock::new(|| FRAME_WORDS.split(' ').map(stem_of).collect());
    if FRAMES.contains(stem) { 0.4 } else { 1.0 }
}

/// The stems of a text in order. A text of stop words only keeps them: it is still more like itself than like others.
pub(super) fn stems(text: &str) -> Vec<String> {
    static STOPS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| STOP_WORDS.split(' ').collect());
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let words: Vec<&str> = folded
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'' && letter != '’')
        // An apostrophe ends the word that counts: the teacher's, l'avion.
        .map(|word| word.split(['\'', '’']).max_by_key(|part| part.len()).unwrap_or_default())
        .filter(|word| !word.is_empty())
        .collect();
    let telling: Vec<&str> = words.iter().copied().filter(|word| !STOPS.contains(word)).collect();
    let kept = if telling.is_empty() { words } else { telling };
    kept.into_iter().map(stem_of).collect()
}

/// A suffix, what stands in its place, and how many letters must be left before it.
type Rule = (&'static str, &'static str, usize);

const PLURALS: &[Rule] = &[
    ("sses", "ss", 2),
    ("ies", "y", 3),
    ("ches", "ch", 2),
    ("shes", "sh", 2),
    ("xes", "x", 2),
    ("ss", "ss", 0),
    ("us", "us", 0),
    ("is", "is", 0),
    ("s", "", 3),
];

const INFLECTIONS: &[Rule] = &[("ing", "", 3), ("ied", "y", 3), ("eed", "eed", 0), ("ed", "", 3)];

const DERIVATIONS: &[Rule] = &[
    ("ization", "iz", 3),
    ("isation", "iz", 3),
    ("ational", "at", 3),
    ("fulness", "", 3),
    ("ysis", "yz", 3),
    ("ication", "y", 4),
    ("ation", "at", 3),
    ("ical", "ic", 3),
    ("ally", "al", 3),
    ("ment", "", 4),
    ("ness", "", 3),
    ("ible", "", 4),
    ("able", "", 4),
    ("ise", "iz", 3),
    ("yse", "yz", 3),
    ("lys", "lyz", 2),
    ("is", "iz", 4),
    ("ly", "", 4),
    ("er", "", 4),
    ("or", "", 4),
    ("e", "", 3),
];

/// A light stemmer: plurals, inflections, then one common derivation. It need not find roots; it has to bring forms of one
/// word together, and what it misses the trigrams of letters catch.
pub(super) fn stem_of(word: &str) -> String {
    if !word.bytes().all(|letter| letter.is_ascii_lowercase()) || word.len() < 4 {
        return word.to_owned();
    }
    let singular = replaced(word, PLURALS);
    let plain = replaced(&singular, INFLECTIONS);
    let plain = if plain.len() < singular.len() { undoubled(plain) } else { plain };
    replaced(&plain, DERIVATIONS)
}

/// The word with the first suffix of the list that it ends in replaced, where enough of it is left.
fn replaced(word: &str, rules: &[Rule]) -> String {
    let rule = rules.iter().find(|(suffix, _, _)| word.ends_with(suffix));
    match rule {
        Some((suffix, replacement, least)) if word.len() >= suffix.len() + least => {
            format!("{}{replacement}", &word[..word.len() - suffix.len()])
        }
        Some(_) | None => word.to_owned(),
    }
}

/// planning -> plann -> plan, but assessing -> assess.
fn undoubled(mut word: String) -> String {
    let letters = word.as_bytes();
    if let [.., before, last] = letters
        && before == last
        && !b"aeiouls".contains(last)
    {
        word.pop();
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_word_have_one_stem() {
        for forms in [
            &["plan", "plans", "planned", "planning"][..],
            &["study", "studies", "studied"],
            &["evaluate", "evaluates", "evaluated", "evaluating", "evaluation", "evaluations"],
            &["analyze", "analyse", "analysis", "analyzing", "analysed"],
            &["organise", "organize", "organised", "organization", "organisation"],
            &["assess", "assesses", "assessed", "assessing", "assessment"],
            &["statistic", "statistics", "statistical"],
            &["classify", "classifies", "classified", "classification"],
            &["design", "designs", "designer", "designing"],
        ] {
            let stems: BTreeSet<String> = forms.iter().map(|form| stem_of(form)).collect();
            assert_eq!(stems.len(), 1, "{forms:?} became {stems:?}");
        }
    }

    #[test]
    fn different_words_keep_different_stems() {
        let words = [
            "analysis", "basis", "class", "status", "matrix", "data", "date", "code", "press", "physics",
            "music",
        ];
        let stems: BTreeSet<String> = words.iter().map(|word| stem_of(word)).collect();
        assert_eq!(stems.len(), words.len(), "{stems:?}");
    }

    #[test]
    fn stop_words_and_case_do_not_count_and_other_scripts_do() {
        assert_eq!(stems("The DATA of the Students' charts"), ["data", "student", "chart"]);
        assert_eq!(stems("Čtení grafů; 統計 ２"), ["čtení", "grafů", "統計", "2"]);
        assert_eq!(stems("to be or not to be").len(), 6);
        assert_eq!(stems(" .,;!? "), Vec::<String>::new());
    }

    #[test]
    fn what_frames_a_statement_weighs_less_than_what_it_is_about() {
        let [framed, topic] = [weight(&stem_of("understanding")), weight(&stem_of("thermodynamics"))];
        assert!(framed < topic);
    }
}
