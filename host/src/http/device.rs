//! The browser in which somebody has signed in before: whoever guesses at the account elsewhere doesn't keep them
//! out there (SEC-07), from whatever address they come. After OWASP's device cookies.
//!
//! Nothing is stored of it. What it says holds as long as the password does.

use actix_web::HttpRequest;
use actix_web::cookie::Cookie;
use cordboard_core::time::Span;
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::{Digest, Sha256};

use crate::http::console;
use crate::http::server::Web;

/// Beginning of the cookie's name: each account has its own, for several people may use a browser.
const COOKIE: &str = "cordboard_device_";
const LASTS: Span = Span::seconds(180 * 24 * 3600);

/// Names a browser; it says nothing else of it.
pub type Device = [u8; 16];

/// The browser that asks, if somebody has signed in there with this name and this password.
pub fn of(request: &HttpRequest, agent: &str, password_hash: &str) -> Option<Device> {
    let cookie = request.cookie(&name(agent))?;
    let (device, proof) = cookie.value().split_once('.')?;
    let device: Device = hex::decode(device).ok()?.try_into().ok()?;
    let proof = hex::decode(proof).ok()?;
    signed(agent, password_hash, device).verify_slice(&proof).ok().map(|()| device)
}

/// Whether a request says that it is from such a browser; it may be made up.
pub fn is_said(request: &HttpRequest, agent: &str) -> bool {
    request.cookie(&name(agent)).is_some()
}

fn name(agent: &str) -> String {
    format!("{COOKIE}{}", hex::encode(&Sha256::digest(agent)[..8]))
}

/// For a browser in which somebody has signed in.
pub fn cookie(web: &Web, agent: &str, password_hash: &str) -> Cookie<'static> {
    let mut device = Device::default();
    rand::rng().fill_bytes(&mut device);
    let proof = signed(agent, password_hash, device).finalize().into_bytes();
    let value = format!("{}.{}", hex::encode(device), hex::encode(proof));
    let mut cookie = console::cookie(web, name(agent), value, LASTS);
    // Of many accounts there are many: nothing else has to carry them.
    cookie.set_path("/api/v1/sign-in");
    cookie
}

fn signed(agent: &str, password_hash: &str, device: Device) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(password_hash.as_bytes()).expect("keys have any length");
    mac.update(&device);
    mac.update(agent.as_bytes());
    mac
}
