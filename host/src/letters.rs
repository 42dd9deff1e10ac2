//! Letters that nobody can see, and those that turn what follows around.

/// Controls but for line breaks and tabs, and what turns the direction of what follows around.
pub fn is_disguise(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || matches!(c, '\u{202d}' | '\u{202e}')
}

/// What in a name nobody can see, but for single blanks between words and what has its use where it stands: what joins
/// letters of some scripts and signs that are made of several, and says how a sign is drawn.
pub fn hidden_in(name: &str) -> Option<char> {
    const FLAG: char = '\u{1f3f4}';
    let mut before = None;
    let mut letters = name.chars().peekable();
    while let Some(c) = letters.next() {
        let behind = |is_it: fn(char) -> bool| before.is_some_and(is_it);
        let is_fine = match u32::from(c) {
            0x200c..=0x200d => {
                let joins = |c: char| u32::from(c) >= 0x590 && (!is_invisible(c) || is_style(c));
                behind(joins) && letters.peek().is_some_and(|next| joins(*next))
            }
            0xfe00..=0xfe0f | 0xe0100..=0xe01ef => {
                behind(|c| c.is_ascii_digit() || matches!(c, '#' | '*') || u32::from(c) >= 0x2010)
            }
            0xe0020..=0xe007f => behind(|c| c == FLAG || is_tag(c)),
            _ => c == ' ' || !is_invisible(c),
        };
        if !is_fine {
            return Some(c);
        }
        before = Some(c);
    }
    None
}

/// How the sign before it is drawn.
fn is_style(c: char) -> bool {
    matches!(u32::from(c), 0xfe00..=0xfe0f | 0xe0100..=0xe01ef)
}

/// Whose flag it is.
fn is_tag(c: char) -> bool {
    matches!(u32::from(c), 0xe0020..=0xe007f)
}

/// Blanks, and what has no shape.
pub fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164
            | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x13430..=0x1345f | 0x16fe4 | 0x1bca0..=0x1bca3 | 0x1d159 | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-01
    #[test]
    fn what_joins_letters_stands_where_it_joins_some() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        let heart = "\u{2764}\u{fe0f}\u{200d}\u{1f525}";
        let wales = "\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}";
        let persian = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}";
        for name in ["Kim Park", "Zo\u{eb}", "1\u{fe0f}\u{20e3}", family, heart, wales, persian] {
            assert_eq!(hidden_in(name), None, "{name}");
        }
        for hidden in ['\u{1bca0}', '\u{1d159}', '\u{200b}', '\u{200d}', '\u{fe0f}', '\u{e0041}'] {
            for name in [format!("Kim{hidden} Park"), format!("Kim Park{hidden}")] {
                assert_eq!(hidden_in(&name), Some(hidden), "{name:?}");
            }
        }
    }
}
