//! Texts in words, as they are indexed and as they are searched for.

use unicode_normalization::UnicodeNormalization;

/// A text's words as people look for them, with a blank between each two: in lower case, without accents, and however
/// they are composed (`Straße`, `É`, `e` and an accent, full-width letters).
///
/// A word is what letters and digits make without anything between them. Languages that are written without
/// blanks (Chinese, Japanese, Thai and the like) have a word for each letter, as pictures have; several of them are
/// found by standing one after another, as the words of a sentence are.
pub fn spaced(text: &str) -> String {
    let mut words = Words::default();
    if text.is_ascii() {
        text.chars().for_each(|c| words.push(c.to_ascii_lowercase()));
    } else {
        let plain = text.nfkd().filter(|c| !is_accent(*c) && !is_unseen(*c));
        let lower = plain.flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c });
        lower.nfc().for_each(|c| words.push(c));
    }
    words.spaced
}

#[derive(Default)]
struct Words {
    spaced: String,
    is_in_word: bool,
}

impl Words {
    fn push(&mut self, c: char) {
        let stands_alone = stands_alone(c);
        if !c.is_alphanumeric() && !stands_alone {
            self.is_in_word = false;
            return;
        }
        if (stands_alone || !self.is_in_word) && !self.spaced.is_empty() {
            self.spaced.push(' ');
        }
        self.spaced.push(c);
        self.is_in_word = !stands_alone;
    }
}

/// What stands above or below letters of alphabets.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// What nobody sees within a word: soft hyphens, joiners, marks of direction.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Words as the index has them: nothing of a word stands in it, not even where it keeps the beginnings of what was
/// taken out (SEC-04). That two words are the same to it costs a look at the text.
pub fn hashed(spaced: &str) -> String {
    use std::fmt::Write;
    let mut hashes = String::with_capacity(spaced.len() * 2);
    for word in spaced.split_terminator(' ') {
        if !hashes.is_empty() {
            hashes.push(' ');
        }
        // Writing to a String can't fail.
        let _ = write!(hashes, "{:016x}", hash(word));
    }
    hashes
}

/// FNV-1a: it stands on disk, so it must never change.
fn hash(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn stands_alone(c: char) -> bool {
    match c {
        // Punctuation of theirs.
        '\u{3000}'..='\u{303f}' | '\u{fe00}'..='\u{fe0f}' | '\u{ff00}'..='\u{ff0f}' => false,
        // Thai, Lao, Myanmar, Khmer.
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => {
            c.is_alphanumeric()
        }
        // Arrows, signs and pictures.
        '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' => true,
        // Kana, and all that is Chinese.
        '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => true,
        _ => false,
    }
}

/// Words that are looked for: whole, one after another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phrase(Vec<String>);

impl Phrase {
    /// More of them say nothing new.
    pub const MOST_WORDS: usize = 32;

    /// The words of a text.
    ///
    /// # Errors
    /// There is none in it, or there are too many: in words.
    pub fn of(text: &str) -> Result<Self, String> {
        let words: Vec<String> = spaced(text).split_terminator(' ').map(str::to_owned).collect();
        match words.len() {
            0 => Err(format!("text is {text:?}: a word is letters or digits")),
            1..=Self::MOST_WORDS => Ok(Self(words)),
            many => Err(format!("text has {many} words; {} at most", Self::MOST_WORDS)),
        }
    }

    /// Whether they stand so in a text whose words have blanks between them.
    pub fn is_in(&self, spaced: &str) -> bool {
        let words: Vec<&str> = spaced.split_terminator(' ').collect();
        words.windows(self.0.len()).any(|window| window == self.0)
    }

    /// For SQLite's index: all of them, anywhere in a text.
    pub fn all_words(&self) -> String {
        // Digits need no more than quotation marks.
        let words = hashed(&self.0.join(" "));
        words.split_terminator(' ').map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONV-09
    #[test]
    fn a_text_has_the_words_that_people_look_for() {
        for (text, words) in [
            ("Where's my PARCEL, no. 4711-b?", "where s my parcel no 4711 b"),
            ("kim@shop.example +43 664 1234", "kim shop example 43 664 1234"),
            ("Grüße, ÉCOLE Σίσυφος ΣΊΣΥΦΟΣ", "gruße ecole σισυφοσ σισυφοσ"),
            (
                "Kru\u{308}ger Krüger İstanbul soft\u{ad}hyphen ＡＢＣ１２３",
                "kruger kruger istanbul softhyphen abc123",
            ),
            ("がぎ हिन्दी ไทย", "が ぎ हिन दी ไ ท ย"),
            ("你好。我的包裹2号", "你 好 我 的 包 裹 2 号"),
            ("こんにちは", "こ ん に ち は"),
            ("thanks👍👍", "thanks 👍 👍"),
            ("  \u{0} \"'%* ", ""),
        ] {
            assert_eq!(spaced(text), words, "{text}");
        }
    }

    // CONV-09
    #[test]
    fn words_are_found_whole_and_one_after_another() {
        let text = spaced("Your parcel-number is 4711; 我的包裹 is lost");
        for found in ["parcel number", "PARCEL", "4711", "is 4711", "包裹", "Your parcel-number is"]
        {
            assert!(Phrase::of(found).unwrap().is_in(&text), "{found}");
        }
        for missed in ["parc", "number parcel", "471", "裹包", "is is"] {
            assert!(!Phrase::of(missed).unwrap().is_in(&text), "{missed}");
        }
        assert!(Phrase::of(" ?! ").unwrap_err().contains("letters or digits"));
        assert!(Phrase::of(&"a ".repeat(33)).unwrap_err().contains("32 at most"));
        let index = Phrase::of("a \"OR\" b*").unwrap().all_words();
        assert_eq!(index, r#""af63dc4c8601ec8c" "08b05407b5565ca4" "af63df4c8601f1a5""#);
        assert_eq!(hashed(""), "");
    }
}
