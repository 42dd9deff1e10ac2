//! How providers sign what they send; written without the SDK, so that one mistake can't stand on
//! both sides.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// HMAC-SHA256.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// Base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a base64 key.
pub fn key(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("the emulators' keys are base64")
}

/// SHA-256, base64.
pub fn sha256_base64(bytes: &[u8]) -> String {
    base64(&Sha256::digest(bytes))
}

/// The `Authorization` header of a TeleSign callback.
pub fn telesign_callback(customer: &str, api_key: &str, body: &str) -> String {
    format!("TSA {customer}:{}", base64(&hmac_sha256(&key(api_key), body.as_bytes())))
}

/// The `X-Twilio-Signature` of a webhook whose field names are distinct.
pub fn twilio_webhook(token: &str, url: &str, fields: &BTreeMap<String, String>) -> String {
    let mut signed = url.to_owned();
    for (name, value) in fields {
        signed.push_str(name);
        signed.push_str(value);
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("any key");
    mac.update(signed.as_bytes());
    base64(&mac.finalize().into_bytes())
}

/// An Event Grid delivery of one event.
pub fn event_grid_event(id: &str, event_type: &str, data: &serde_json::Value) -> serde_json::Value {
    serde_json::json!([{
        "id": id,
        "topic": "/subscriptions/0/resourceGroups/cordboard/providers/microsoft.communication/communicationservices/acs",
        "subject": "/phonenumber/15550003003",
        "data": data,
        "eventType": event_type,
        "eventTime": "2026-01-01T00:00:00Z",
        "dataVersion": "1.0",
        "metadataVersion": "1",
    }])
}
