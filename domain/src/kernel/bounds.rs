//! Bounds on what a client sends: every text, list, number and time has them, so that hostile input is refused with 422
//! and never overflows, panics or parks a reader.

use std::{collections::BTreeMap, ops::RangeInclusive};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use unicode_normalization::char::is_combining_mark;

use super::Refused;

/// The outcome of a check.
pub type Check<R, E> = Result<(), Refused<R, E>>;

/// The most characters of a long text.
pub const LONG: usize = 20_000;

fn held<R, E>(fits: bool, field: &'static str, reason: impl FnOnce() -> String) -> Check<R, E> {
    if fits { Ok(()) } else { Err(Refused::invalid(field, reason())) }
}

/// Whether a text may have this character: no control character but tabs and line ends.
pub fn is_printable(letter: char) -> bool {
    !letter.is_control() || matches!(letter, '\n' | '\r' | '\t')
}

/// A text of so many characters, blanks at its ends not counted towards the least, without control characters other
/// than tabs and line ends (a NUL could not be stored in a column).
pub fn text<R, E>(field: &'static str, value: &str, chars: RangeInclusive<usize>) -> Check<R, E> {
    let fits = value.chars().count() <= *chars.end()
        && value.trim().chars().count() >= *chars.start()
        && value.chars().all(is_printable);
    held(fits, field, || format!("{} to {} characters, no control characters", chars.start(), chars.end()))
}

/// A text of one line, such as a name: as [`text`], without line ends, tabs, what turns the direction of what is written
/// next to it and what is not seen (Unicode Technical Reports 36, 2.10, and 39, 3.1), and with something to be seen in it.
/// What joins letters or keeps them apart stays: Persian and the languages of India are written with it.
pub fn line<R, E>(field: &'static str, value: &str, chars: RangeInclusive<usize>) -> Check<R, E> {
    text(field, value, chars)?;
    let fits = !value.chars().any(turns_or_hides)
        && (value.trim().is_empty() || value.chars().any(|letter| !is_blank(letter)));
    held(fits, field, || "one line that is seen as it is, without what turns its direction".to_owned())
}

/// Whether a character ends a line, turns its direction, or is there without being seen (Unicode's Default_Ignorable_Code_Point,
/// but for what joins letters and what chooses among their forms).
fn turns_or_hides(letter: char) -> bool {
    matches!(
        letter,
        '\n' | '\r'
            | '\t'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e00ff}'
            | '\u{e01f0}'..='\u{e0fff}'
    )
}

/// Whether nothing is seen of a character that stands alone: blanks, joiners, and marks without a letter.
fn is_blank(letter: char) -> bool {
    let filler = matches!(
        letter,
        '\u{200c}' | '\u{200d}' | '\u{2800}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    );
    filler || letter.is_whitespace() || is_combining_mark(letter)
}

/// As [`text`], where there is one.
pub fn maybe_text<R, E>(
    field: &'static str,
    value: Option<&str>,
    chars: RangeInclusive<usize>,
) -> Check<R, E> {
    value.map_or(Ok(()), |value| text(field, value, chars))
}

/// An address of the web of one of these schemes, such as `https`, of at most 2048 visible ASCII characters; or none, as an
/// empty text. Pages show it as a link: nothing else may be behind one.
pub fn web_address<R, E>(field: &'static str, value: Option<&str>, schemes: &[&str]) -> Check<R, E> {
    let fits = value.is_none_or(|value| {
        let rest = value.split_once("://").filter(|(scheme, _)| schemes.contains(scheme));
        let visible = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
        value.is_empty() || (value.len() <= 2048 && rest.is_some_and(|(_, rest)| visible(rest)))
    });
    held(fits, field, || format!("expected an address of {}", schemes.join(" or ")))
}

/// At most so many entries.
pub fn count<R, E>(field: &'static str, entries: usize, most: usize) -> Check<R, E> {
    held(entries <= most, field, || format!("at most {most} entries"))
}

/// At most so many texts, each of 1 to `chars` characters.
pub fn texts<R, E>(field: &'static str, values: &[String], most: usize, chars: usize) -> Check<R, E> {
    count(field, values.len(), most)?;
    values.iter().try_for_each(|value| text(field, value, 1..=chars))
}

/// At most so many pairs of a key of 1 to 500 characters and a text of at most `chars`.
pub fn text_map<R, E>(
    field: &'static str,
    values: &BTreeMap<String, String>,
    most: usize,
    chars: usize,
) -> Check<R, E> {
    count(field, values.len(), most)?;
    values.iter().try_for_each(|(key, value)| {
        text(field, key, 1..=500)?;
        text(field, value, 0..=chars)
    })
}

/// A SHA-256 in lower-case hexadecimal.
pub fn sha256<R, E>(field: &'static str, value: &str) -> Check<R, E> {
    let hex = |letter: u8| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter);
    held(value.len() == 64 && value.bytes().all(hex), field, || "64 lower-case hexadecimal digits".to_owned())
}

/// A number within a range.
pub fn number<R, E>(field: &'static str, value: i64, range: RangeInclusive<i64>) -> Check<R, E> {
    held(range.contains(&value), field, || format!("{} to {}", range.start(), range.end()))
}

/// A date within the years 1900 to 2200, so that date arithmetic cannot overflow.
pub fn date<R, E>(field: &'static str, value: Date) -> Check<R, E> {
    held((1900..=2200).contains(&value.year()), field, || "within the years 1900 to 2200".to_owned())
}

/// An instant within the years 1900 to 2200 (UTC).
pub fn instant<R, E>(field: &'static str, value: Timestamp) -> Check<R, E> {
    date(field, value.to_zoned(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::NoRefusal;

    type Plain = Check<NoRefusal, ()>;

    #[test]
    fn a_text_is_counted_in_characters_and_blanks_alone_are_no_text() {
        let fits = |value: &str| (text("t", value, 1..=3) as Plain).is_ok();
        assert!(fits("a") && fits("äöü") && fits("a\nb"));
        assert!(!fits("") && !fits("  ") && !fits("abcd") && !fits("a\0"));
    }

    #[test]
    fn a_line_ends_nowhere_and_turns_nothing() {
        let fits = |value: &str| (line("l", value, 1..=20) as Plain).is_ok();
        assert!(fits("Ada King-Noël") && fits("عدا"));
        for wrong in ["a\r\nBcc: b", "a\tb", "a\u{2028}b", "a\u{202e}b", "a\u{2066}b", " "] {
            assert!(!fits(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_line_is_seen_as_it_is() {
        let fits = |value: &str| (line("l", value, 0..=20) as Plain).is_ok();
        // Without the sign between its parts the first would be another word; the second has a letter that needs one.
        // The one before them is a name as its bearer writes it, by a form that follows the letter.
        for name in
            ["葛\u{e0100}城", "نرم\u{200c}افزار", "ക്\u{200d}ഷ", "Zoe\u{308}", "👩\u{200d}🎓", "!", "", "  "]
        {
            assert!(fits(name), "{name:?}");
        }
        for hidden in ["\u{200b}", "\u{2060}", "\u{3164}", "\u{fff9}", "\u{1d173}", "\u{e0080}"] {
            assert!(!fits(&format!("a{hidden}b")), "{hidden:?}");
        }
        for hidden in
            ["\u{200e}", "\u{200f}", "\u{61c}", "\u{feff}", "\u{ad}", "\u{180e}", "\u{e0041}", "\u{e007f}"]
        {
            assert!(!fits(&format!("a{hidden}b")), "{hidden:?}");
        }
        for nothing in ["\u{200b}", " \u{200d} ", "\u{2060}", "\u{115f}", "\u{1160}", "\u{3164}\u{3164}"] {
            assert!(!fits(nothing), "{nothing:?}");
        }
        for nothing in ["\u{ffa0}", "\u{2800}", "\u{301}\u{301}", "\u{fe0f}"] {
            assert!(!fits(nothing), "{nothing:?}");
        }
    }

    #[test]
    fn an_address_of_the_web_has_one_of_the_schemes_and_nothing_hidden_in_it() {
        let fits = |value: &str| (web_address("a", Some(value), &["https"]) as Plain).is_ok();
        assert!(
            fits("")
                && fits("https://example.edu/in?a=b#c")
                && (web_address("a", None, &[]) as Plain).is_ok()
        );
        for wrong in [
            "https://",
            "http://example.edu",
            "javascript:alert(1)",
            "example.edu",
            "https://a b",
            "https://a\n",
        ] {
            assert!(!fits(wrong), "{wrong}");
        }
        assert!(
            !fits(&format!("https://{}", "a".repeat(2041))) && fits(&format!("https://{}", "a".repeat(2040)))
        );
        assert!((web_address("a", Some("http://example.edu"), &["https", "http"]) as Plain).is_ok());
    }

    #[test]
    fn times_beyond_the_years_1900_to_2200_are_refused() {
        let fits = |value: Timestamp| (instant("t", value) as Plain).is_ok();
        assert!(
            fits("1900-01-01T00:00:00Z".parse().unwrap()) && fits("2200-12-31T23:59:59Z".parse().unwrap())
        );
        assert!(!fits(Timestamp::MIN) && !fits(Timestamp::MAX));
    }
}
