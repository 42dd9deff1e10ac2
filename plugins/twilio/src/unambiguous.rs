//! Whether a request can be read in one way only. Twilio's signature is over the URL, and names and values joined
//! without anything between them, sorted by name: whoever has one signed request can draw the lines between them
//! elsewhere. Somebody who texts `STOPFrom+14255550100…` has a signature that holds for a "STOP" from that number as
//! well, with what is true hidden in the name or value of some other field, or in the URL.
//!
//! So what is taken on its signature alone has to be such that there is no other reading: of a text, the customer's words
//! are the only value in it that may hold anything. Every other field is one that Twilio sends, and has the form that Twilio gives
//! it; none of these forms has room for another field's name (they hold capitals or small letters, never both), and the URL has
//! nothing that we didn't put there. Whatever is otherwise is asked of Twilio itself.

use std::borrow::Cow;

use cordboard_sdk::WebhookRequest;

/// Whether there is no other reading of it.
pub fn is_plain(request: &WebhookRequest, fields: &[(Cow<'_, str>, Cow<'_, str>)]) -> bool {
    let is_ours = |query: &str| {
        let reference = query.strip_prefix("reference=").and_then(|name| name.split_once('.'));
        query.is_empty()
            || reference.is_some_and(|(id, rest)| {
                let numbers = || rest.split('.').all(|no| !no.is_empty() && is_digits(no));
                let is_reply = id.len() == 32 && is_hex(id) && numbers();
                is_reply || (id == "verify" && is_unique(rest))
            })
    };
    // It stands in reports, which have no text. In a text the end of what somebody wrote could be it.
    let is_said_of_a_text = || {
        let has = |wanted: &str| fields.iter().any(|(name, _)| name == wanted);
        has("Body") && has("ErrorCode")
    };
    let has_twins = || {
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    request.method == "POST"
        && is_ours(&request.query)
        && fields.iter().all(|(name, value)| has_its_form(name, value))
        && !has_twins()
        && !is_said_of_a_text()
}

/// Whether a field is one of Twilio's, and holds what Twilio gives it.
fn has_its_form(name: &str, value: &str) -> bool {
    let all = |is_it: fn(u8) -> bool| value.bytes().all(is_it);
    let is_capital = |byte: u8| byte.is_ascii_uppercase() || b" .'-".contains(&byte);
    match name {
        "Body" => true,
        "From" | "To" => {
            let number = value.strip_prefix('+').unwrap_or(value);
            (3..=15).contains(&number.len()) && is_digits(number)
        }
        "AccountSid" => is_sid(value, "AC"),
        "MessageSid" | "SmsSid" | "SmsMessageSid" => is_sid(value, "SM") || is_sid(value, "MM"),
        "MessagingServiceSid" => is_sid(value, "MG"),
        "ApiVersion" => all(|byte| byte.is_ascii_digit() || byte == b'-'),
        "NumMedia" | "NumSegments" | "ErrorCode" => is_digits(value),
        "SmsStatus" | "MessageStatus" => all(|byte| byte.is_ascii_lowercase()),
        "OptOutType" => all(|byte| byte.is_ascii_uppercase()),
        "FromCity" | "FromState" | "FromCountry" | "ToCity" | "ToState" | "ToCountry" => {
            value.bytes().all(is_capital)
        }
        "FromZip" | "ToZip" => value.bytes().all(|byte| byte.is_ascii_digit() || is_capital(byte)),
        _ => {
            let numbered = |begins: &str| {
                name.strip_prefix(begins).is_some_and(|no| !no.is_empty() && is_digits(no))
            };
            let is_type = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            // A digit at its beginning could be the name's.
            (numbered("MediaContentType")
                && value.starts_with(|first: char| first.is_ascii_lowercase())
                && value.bytes().all(|byte| is_type(byte) || b"/.+-".contains(&byte)))
                || (numbered("MediaUrl") && is_media(value))
        }
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a test message is named by: as long as it is, neither more nor less is its own.
fn is_unique(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| is_hex(group))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Two letters and 32 hexadecimal digits.
pub fn is_sid(text: &str, begins: &str) -> bool {
    text.strip_prefix(begins).is_some_and(|digits| digits.len() == 32 && is_hex(digits))
}

/// `https://api.twilio.com/2010-04-01/Accounts/AC…/Messages/MM…/Media/ME…`
fn is_media(url: &str) -> bool {
    let Some(path) = url.strip_prefix("https://api.twilio.com/2010-04-01/Accounts/") else {
        return false;
    };
    let parts: Vec<&str> = path.split('/').collect();
    let [account, "Messages", message, "Media", media] = parts[..] else { return false };
    is_sid(account, "AC") && (is_sid(message, "MM") || is_sid(message, "SM")) && is_sid(media, "ME")
}
