//! The building blocks of webhook signatures. Comparison takes the same time wherever the
//! difference is.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// HMAC-SHA1 of the parts, one after the other.
pub fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// HMAC-SHA256 of the parts, one after the other.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base64 with padding.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Strict base64: for signatures.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}

/// Base64 as some providers' keys are written: characters outside the alphabet are passed over and
/// padding may be missing.
pub fn from_base64_lenient(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let cleaned: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).collect();
    engine.decode(cleaned).ok()
}

/// Whether the base64 signature is that of the digest. The length is no secret.
pub fn matches_base64(signature: &str, digest: &[u8]) -> bool {
    from_base64(signature).is_some_and(|given| constant_time_eq(&given, digest))
}

/// Equality in a time that depends on the lengths only.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-02
    #[test]
    fn one_flipped_bit_is_another_signature() {
        let digest = hmac_sha256(b"key", &[b"bo", b"dy"]);
        assert_eq!(digest, hmac_sha256(b"key", &[b"body"]));
        assert!(matches_base64(&to_base64(&digest), &digest));
        let mut other = digest.clone();
        other[31] ^= 1;
        assert!(!matches_base64(&to_base64(&other), &digest));
        assert!(!matches_base64("not base64!", &digest));
        assert!(!matches_base64("", &digest));
    }
}
