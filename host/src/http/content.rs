//! What may stand in a field, and how much of it, in one place: of what agents and programs write, and of
//! what plugins hand over from providers.

use std::collections::{BTreeMap, BTreeSet};

use cordboard_core::classification::Attributes;
use cordboard_core::message::Media;
use cordboard_sdk as sdk;
use serde::Deserialize;

use crate::config::Fields;
use crate::http::error::ApiError;
use crate::letters::{is_disguise, is_invisible};

/// Files of one message.
pub const MOST_FILES: usize = 10;
/// Characters of a link.
pub const MOST_LINK: usize = 2048;
/// Characters of a note.
pub const MOST_NOTE: usize = 10_000;
/// Characters of an attribute's value.
pub const MOST_VALUE: usize = 1000;
/// Characters of a name that a program gives to a reply, and of a MIME type.
pub const MOST_NAME: usize = 200;
/// Characters of a customer's message.
pub const MOST_TEXT: usize = 100_000;
/// Characters of a provider's reason for what it didn't deliver.
pub const MOST_REASON: usize = 1000;
/// Characters of an address, and of a provider's name for a message.
pub const MOST_ADDRESS: usize = 256;

/// A file that goes with a reply.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileBody {
    /// A link to it: https, or one of this host's.
    url: String,
    /// MIME type.
    content_type: String,
}

impl From<FileBody> for Media {
    fn from(file: FileBody) -> Self {
        Self { url: file.url, content_type: file.content_type }
    }
}

/// What a person can read: some visible character, and none that the text is disguised with.
///
/// # Errors
/// [`ApiError::Malformed`] with what is wrong.
pub fn check_text(what: &str, text: &str, most: Option<usize>) -> Result<(), ApiError> {
    if let Some(most) = most {
        let count = text.chars().count();
        if count > most {
            return wrong(format!("{what} has {count} characters; at most {most}"));
        }
    }
    let disguise = text.chars().find(|c| is_disguise(*c));
    if let Some(found) = disguise {
        let code = u32::from(found);
        return wrong(format!("{what} holds the character U+{code:04X}, which nobody can see"));
    }
    if !text.trim().is_empty() && text.chars().all(is_invisible) {
        return wrong(format!("{what} holds nothing that can be seen"));
    }
    Ok(())
}

/// Files that agents send: by `https`, or from this host itself.
///
/// # Errors
/// [`ApiError::Malformed`] with what is wrong.
pub fn check_media(media: &[Media], public_url: &str) -> Result<(), ApiError> {
    if media.len() > MOST_FILES {
        return wrong(format!("{} files; at most {MOST_FILES} go with a message", media.len()));
    }
    for file in media {
        let link = &file.url;
        let count = link.chars().count();
        if count > MOST_LINK {
            return wrong(format!("a file's link has {count} characters; at most {MOST_LINK}"));
        }
        let is_ours = link.strip_prefix(public_url).is_some_and(|rest| rest.starts_with('/'));
        // Browsers also take one that lacks its slashes; whoever reads the link takes it for something else.
        let names_a_host =
            |link: &str| link.strip_prefix("https://").is_some_and(|rest| !rest.starts_with('/'));
        let is_https = names_a_host(link)
            && url::Url::parse(link).is_ok_and(|url| url.scheme() == "https" && url.has_host());
        if !is_ours && !is_https {
            let shown: String = link.chars().take(60).collect();
            return wrong(format!(
                "\"{shown}\" isn't a link to a file: https://, or one of this host's"
            ));
        }
        check_text("a file's link", link, None)?;
        check_text("a file's type", &file.content_type, Some(MOST_NAME))?;
        if file.content_type.parse::<actix_web::mime::Mime>().is_err() {
            return wrong(format!(
                "\"{}\" isn't a file's type, such as image/png",
                file.content_type.escape_default()
            ));
        }
    }
    Ok(())
}

/// Attributes that the configuration knows.
///
/// # Errors
/// [`ApiError::Malformed`] with what is wrong.
pub fn check_attributes(attributes: &Attributes, fields: &Fields) -> Result<(), ApiError> {
    if let Some(language) = &attributes.language {
        check_text("`language`", language, Some(MOST_NAME))?;
    }
    check_values("contact", &attributes.contact, &fields.contact)?;
    check_values("account", &attributes.account, &fields.account)?;
    check_values("context", &attributes.context, &fields.context)
}

fn check_values(
    what: &str,
    given: &BTreeMap<String, String>,
    known: &BTreeSet<String>,
) -> Result<(), ApiError> {
    for (name, value) in given {
        if !known.contains(name) {
            let shown: String = name.chars().take(60).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return wrong(format!(
                "`{what}` has no field \"{shown}\"; `fields` in the configuration names: {known}"
            ));
        }
        check_text(&format!("`{what}.{name}`"), value, Some(MOST_VALUE))?;
    }
    Ok(())
}

fn wrong<T>(why: String) -> Result<T, ApiError> {
    Err(ApiError::Malformed(why))
}

/// What a plugin hands over must be what its trait promises; a sentence for the log if not.
///
/// # Errors
/// What is wrong.
pub fn check_inbound(message: &sdk::Inbound) -> Result<(), String> {
    for (what, text) in
        [("provider_id", &message.provider_id), ("from", &message.from), ("to", &message.to)]
    {
        let count = text.chars().count();
        if text.chars().all(|c| c.is_whitespace() || is_invisible(c)) {
            return Err(format!("a message without `{what}`"));
        }
        if count > MOST_ADDRESS {
            return Err(format!(
                "a message whose `{what}` has {count} characters; at most {MOST_ADDRESS}"
            ));
        }
        if text.chars().any(|c| c.is_control() || is_disguise(c)) {
            return Err(format!("a message whose `{what}` holds characters that nobody can see"));
        }
    }
    let count = message.text.chars().count();
    if count > MOST_TEXT {
        return Err(format!("a message of {count} characters; at most {MOST_TEXT}"));
    }
    Ok(())
}

/// A customer's text without what nobody can see and what turns it around.
pub fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_disguise(*c)).collect()
}

/// Links to files that can be followed; others, and more than so many, become words.
pub fn followable(media: Vec<sdk::Media>) -> (Vec<Media>, Option<String>) {
    let count = media.len();
    let is_link = |link: &str| {
        let is_web = |url: url::Url| matches!(url.scheme(), "https" | "http") && url.has_host();
        link.chars().count() <= MOST_LINK && url::Url::parse(link).is_ok_and(is_web)
    };
    let kept: Vec<Media> = media
        .into_iter()
        .filter(|file| is_link(&file.url))
        .take(MOST_FILES)
        .map(|file| Media {
            url: file.url,
            content_type: file.content_type.chars().take(MOST_NAME).collect(),
        })
        .collect();
    let lost = count - kept.len();
    let words = (lost > 0).then(|| format!("[{lost} files that can't be shown]"));
    (kept, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> bool {
        check_text("it", text, Some(100)).is_ok()
    }

    // CONV-04
    #[test]
    fn what_nobody_can_see_isnt_sent() {
        for fine in ["hello", "line\nbreak", "שלום", "👩‍👩‍👧", "e\u{301}", "مرحبا \u{200f}", ""]
        {
            assert!(text(fine), "{fine:?}");
        }
        for wrong in
            ["\u{200b}", "\u{2800}\u{3164}", "a\0b", "a\u{202e}b", "\u{1b}[2J", "\u{feff} "]
        {
            assert!(!text(wrong), "{wrong:?}");
        }
        assert!(!text(&"x".repeat(101)));
    }

    // CONV-04
    #[test]
    fn only_links_that_lead_to_files_go_out() {
        let media = |url: &str| Media { url: url.to_owned(), content_type: "image/png".to_owned() };
        let is_fine = |url: &str| check_media(&[media(url)], "http://127.0.0.1:8080").is_ok();
        assert!(is_fine("https://files.example/a.png"));
        assert!(is_fine("http://127.0.0.1:8080/files/1"));
        for wrong in [
            "javascript:alert(1)",
            "https:javascript",
            "https:///x",
            "http://files.example/a.png",
            "http://127.0.0.1:80801/x",
            "data:text/html,x",
            "https://",
            "",
            "file:///etc/passwd",
        ] {
            assert!(!is_fine(wrong), "{wrong}");
        }
        assert!(check_media(&vec![media("https://a.example/"); 11], "").is_err());
    }

    // CONV-04
    #[test]
    fn what_cant_be_followed_becomes_words() {
        let media = ["https://a.example/1", "javascript:x", "http://127.0.0.1:1/2"]
            .map(|url| sdk::Media { url: url.to_owned(), content_type: "x".repeat(300) });
        let (kept, words) = followable(media.to_vec());
        assert_eq!((kept.len(), kept[0].content_type.len()), (2, MOST_NAME));
        assert_eq!(words.unwrap(), "[1 files that can't be shown]");
    }
}
