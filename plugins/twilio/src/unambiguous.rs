//! That a form can be read one way only. Twilio's signature is over names and values joined without anything
//! between them, sorted by name, behind the URL: whoever has one signed request could draw the lines between them
//! elsewhere, and send it as another message.
//!
//! Three things keep that from succeeding. Names begin with a capital and hold letters and digits, so the end of a URL
//! (a channel's name, the number of a message) can't become the head of a name. Each stands once. And no value but
//! the text itself holds what only a swallowed field would leave in it: since whatever a customer writes stands before sender and
//! name of the message, another reading has to hide those that are true in the value of some later field.

use std::borrow::Cow;

use cordboard_sdk::prelude::*;

/// Of fields as they were sent.
///
/// # Errors
/// [`Rejection::NotAuthentic`] names the field.
pub fn check(fields: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<(), Rejection> {
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    for (index, name) in names.iter().enumerate() {
        let is_usual = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_usual {
            return refused(name, "is no field of Twilio's: a capital, then letters and digits");
        }
        if index > 0 && names[index - 1] == *name {
            return refused(name, "stands twice");
        }
    }
    for (name, value) in fields {
        if name != "Body" && has_swallowed(value) {
            return refused(name, "holds what looks like other fields");
        }
    }
    Ok(())
}

fn refused(name: &str, why: &str) -> Result<(), Rejection> {
    let shown: String = name.chars().take(60).collect();
    Err(Rejection::NotAuthentic(format!("the field \"{shown}\" {why}")))
}

/// Whether an address stands in it right behind the name of the field for one, or the name of a message.
fn has_swallowed(value: &str) -> bool {
    let is_address = |rest: &str| {
        let number = ["whatsapp:", "messenger:", "rcs:"]
            .iter()
            .find_map(|network| rest.strip_prefix(network))
            .or_else(|| rest.strip_prefix('+'))
            .unwrap_or(rest);
        let is_elsewhere = number.len() < rest.len() && !rest.starts_with('+');
        is_elsewhere || number.bytes().take_while(u8::is_ascii_digit).count() >= 3
    };
    let is_sid = |rest: &str| {
        let digits =
            rest.strip_prefix("SM").or_else(|| rest.strip_prefix("MM")).unwrap_or_default();
        digits.len() >= 32 && digits.bytes().take(32).all(|byte| byte.is_ascii_hexdigit())
    };
    value.bytes().enumerate().any(|(at, byte)| {
        // A letter that stands by itself, so what begins there is text.
        let follows =
            |name: &str, is_it: fn(&str) -> bool| value[at..].strip_prefix(name).is_some_and(is_it);
        match byte {
            b'F' => follows("From", is_address),
            b'T' => follows("To", is_address),
            b'S' => follows("Sid", is_sid),
            _ => false,
        }
    })
}
