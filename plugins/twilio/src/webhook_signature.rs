//! `X-Twilio-Signature`: URL, then the form's fields sorted by name, each name with its distinct
//! values sorted; JSON bodies by a hash in the URL.

use std::borrow::Cow;

use cordboard_sdk::WebhookRequest;
use cordboard_sdk::signature::{
    constant_time_eq, hmac_sha1, hmac_sha256, matches_base64, sha256, to_hex,
};

/// What the signature is made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// With the auth token; the default.
    HmacSha1,
    /// With a shared key; announced by a header.
    HmacSha256,
}

/// Reads `X-Twilio-Webhooks-Signature-Settings: key=<id>,algorithm=HMAC_SHA256`. No header means
/// HMAC-SHA1; an algorithm that isn't known means none.
pub fn algorithm(settings: Option<&str>) -> Option<Algorithm> {
    let Some(settings) = settings else { return Some(Algorithm::HmacSha1) };
    let named = settings.split(',').find_map(|part| part.trim().strip_prefix("algorithm="));
    match named {
        None | Some("HMAC_SHA1") => Some(Algorithm::HmacSha1),
        Some("HMAC_SHA256") => Some(Algorithm::HmacSha256),
        Some(_) => None,
    }
}

/// The digest over URL and fields.
pub fn signature<N: AsRef<str>, V: AsRef<str>>(
    url: &str,
    fields: &[(N, V)],
    secret: &str,
    algorithm: Algorithm,
) -> Vec<u8> {
    let mut fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    fields.sort_unstable();
    // One that stands twice is signed once.
    fields.dedup();
    let mut signed = url.to_owned();
    for (name, value) in fields {
        signed.push_str(name);
        signed.push_str(value);
    }
    match algorithm {
        Algorithm::HmacSha1 => hmac_sha1(secret.as_bytes(), &[signed.as_bytes()]),
        Algorithm::HmacSha256 => hmac_sha256(secret.as_bytes(), &[signed.as_bytes()]),
    }
}

/// Whether the request is signed with the secret. The URL is tried with and without its port, as
/// proxies add and drop it.
pub fn is_authentic(
    request: &WebhookRequest,
    fields: &[(Cow<'_, str>, Cow<'_, str>)],
    given: &str,
    secret: &str,
    algorithm: Algorithm,
) -> bool {
    let body_hash = request.query_value("bodySHA256");
    let fields = if body_hash.is_some() { &[] } else { fields };
    let url_matches = url_forms(&request.url).iter().any(|url| {
        let digest = signature(url, fields, secret, algorithm);
        matches_base64(given, &digest)
    });
    let body_matches = body_hash.is_none_or(|hash| {
        constant_time_eq(hash.as_bytes(), to_hex(&sha256(&request.body)).as_bytes())
    });
    url_matches && body_matches
}

/// The URL as it is, and with its port if it has none, or without; a default port is written out.
fn url_forms(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let default_port = if scheme == "https" { "443" } else { "80" };
    let has_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let other = match authority.rsplit_once(':') {
        Some((name, port)) if has_port(port) => format!("{scheme}://{name}{path}"),
        _ => format!("{scheme}://{authority}:{default_port}{path}"),
    };
    vec![url.to_owned(), other]
}
