//! Looks for values in every byte of a folder, in each form in which a value may lie there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// Values that occur nowhere else, to be found wherever they are.
pub(crate) struct Needles {
    forms: AhoCorasick,
    /// What each form is a form of.
    of: Vec<String>,
}

impl Needles {
    pub(crate) fn new(texts: &[&str], numbers: &[i64]) -> Needles {
        let (mut forms, mut of) = (Vec::new(), Vec::new());
        for text in texts {
            let written = [(*text).to_owned(), text.to_lowercase()];
            let forms_of = written.iter().flat_map(|text| forms_of(text)).collect::<BTreeSet<_>>();
            of.extend(forms_of.iter().map(|_| (*text).to_owned()));
            forms.extend(forms_of);
        }
        for number in numbers {
            let written =
                [number.to_string().into_bytes(), number.to_le_bytes().into(), number.to_be_bytes().into()];
            of.extend(written.iter().map(|_| number.to_string()));
            forms.extend(written);
        }
        Needles { forms: AhoCorasick::new(forms).unwrap(), of }
    }

    /// Those that are in some bytes.
    pub(crate) fn within(&self, bytes: &[u8]) -> BTreeSet<&str> {
        self.forms.find_overlapping_iter(bytes).map(|found| &*self.of[found.pattern()]).collect()
    }

    /// Which files of a folder, and of the folders in it, hold which.
    pub(crate) fn below(&self, folder: &Path) -> BTreeMap<PathBuf, BTreeSet<&str>> {
        let mut found = BTreeMap::new();
        self.descend(folder, &mut found);
        found
    }

    fn descend<'a>(&'a self, folder: &Path, found: &mut BTreeMap<PathBuf, BTreeSet<&'a str>>) {
        // What is gone when it is looked at holds nothing any more.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.descend(&path, found);
            } else if let Ok(bytes) = std::fs::read(&path) {
                let within = self.within(&bytes);
                if !within.is_empty() {
                    found.insert(path, within);
                }
            }
        }
    }
}

/// A text as it is, in JSON, in an address, in hexadecimal and in base64.
fn forms_of(text: &str) -> Vec<Vec<u8>> {
    let json = serde_json::to_string(text).unwrap();
    let (mut ascii, mut percent, mut hexadecimal) = (String::new(), String::new(), String::new());
    for letter in json[1..json.len() - 1].chars() {
        let mut units = [0; 2];
        match letter {
            letter if letter.is_ascii() => ascii.push(letter),
            letter => letter
                .encode_utf16(&mut units)
                .iter()
                .for_each(|unit| write!(ascii, "\\u{unit:04x}").unwrap()),
        }
    }
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => percent.push(char::from(byte)),
            byte => write!(percent, "%{byte:02X}").unwrap(),
        }
        write!(hexadecimal, "{byte:02x}").unwrap();
    }
    let mut forms = vec![text.to_owned(), json[1..json.len() - 1].to_owned(), ascii, percent, hexadecimal];
    // Where it begins within three bytes gives another text; what its neighbours have a part in is left out.
    for before in 0..3 {
        let bytes = [&[0; 2][..before], text.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&bytes);
        let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        forms.push(encoded[first..last].to_owned());
        forms.push(encoded[first..last].replace('+', "-").replace('/', "_"));
    }
    forms.into_iter().map(String::into_bytes).collect()
}

#[test]
fn a_value_is_found_in_every_form() {
    let needles = Needles::new(&["Zoë \"Quill\""], &[61_731_904_829]);
    let number = [&b"xx"[..], &61_731_904_829_i64.to_le_bytes()].concat();
    for bytes in [
        "xZoë \"Quill\"x".as_bytes(),
        br#"{"a":"Zo\u00eb \"Quill\""}"#,
        "q=Zo%C3%AB%20%22Quill%22".as_bytes(),
        "zoë \\\"quill\\\"".as_bytes(),
        STANDARD_NO_PAD.encode("it is Zoë \"Quill\" here").as_bytes(),
        STANDARD_NO_PAD.encode("it was Zoë \"Quill\" here").as_bytes(),
        &number,
    ] {
        assert_eq!(needles.within(bytes).len(), 1, "{}", String::from_utf8_lossy(bytes));
    }
    assert!(needles.within(b"Zoe Quill 61731904828").is_empty());
}
