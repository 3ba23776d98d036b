//! The local list of breached passwords: the most common ones of public breaches, as Django and zxcvbn publish them.

use std::{collections::HashSet, sync::LazyLock};

use commands::ports::BreachedPasswords;

static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common-passwords.txt").lines().collect());

/// Knows the most common passwords, whatever the case of their letters, and with digits and signs behind them: they are
/// the first that anybody tries.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommonPasswords;

impl BreachedPasswords for CommonPasswords {
    fn contains(&self, password: &str) -> bool {
        let lower = password.to_lowercase();
        let word = lower.trim_end_matches(|letter: char| !letter.is_alphabetic());
        COMMON.contains(&*lower) || COMMON.contains(word) || is_repeated(&lower)
    }
}

/// Whether it is one short piece over and over, such as `abcabcabcabc`.
fn is_repeated(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=4).any(|piece| {
        letters.len() > 2 * piece
            && letters.iter().enumerate().all(|(at, letter)| *letter == letters[at % piece])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_tries_first_is_known_and_a_sentence_is_not() {
        for known in ["1qaz2wsx3edc", "Password123456", "qwertyuiop2026!", "aaaaaaaaaaaa", "abcabcabcabc"] {
            assert!(CommonPasswords.contains(known), "{known}");
        }
        for unknown in ["correct horse battery staple", "Vrnt8-kola-Ypsilon", "grüne Fahrräder im Regen"] {
            assert!(!CommonPasswords.contains(unknown), "{unknown}");
        }
    }

    #[test]
    fn the_list_is_in_lower_case_and_has_nothing_empty() {
        assert!(COMMON.len() > 15_000);
        assert!(COMMON.iter().all(|word| word.len() >= 6 && *word == word.to_lowercase()));
    }
}
