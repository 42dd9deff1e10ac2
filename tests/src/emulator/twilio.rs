//! Twilio: `Messages.json`, signed webhooks, opt-out by keyword.

use std::time::Duration;

use std::collections::BTreeMap;

use actix_web::web::{Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::telesign::{cut, set_retry_after};
use super::{Failure, Provider, World, sign};

pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::resource("/2010-04-01/Accounts/{account}/Messages.json").route(web::post().to(send)),
    );
    let one = "/2010-04-01/Accounts/{account}/Messages/{sid}.json";
    config.service(web::resource(one).route(web::get().to(known)));
}

/// A message that came in, as Twilio tells it afterwards.
async fn known(
    request: HttpRequest,
    path: Path<(String, String)>,
    world: Data<World>,
) -> HttpResponse {
    let (account, sid) = path.into_inner();
    if !is_ours(&request, &world) || account != world.accounts.twilio_sid {
        return problem(401, 20003, "Authenticate");
    }
    let found = world.inside().came_in.get(&sid).cloned();
    let Some((from, body)) = found else {
        return problem(
            404,
            20404,
            &format!("The requested resource {} was not found", request.path()),
        );
    };
    HttpResponse::Ok().json(json!({
        "sid": sid, "account_sid": account, "direction": "inbound", "from": from,
        "to": world.number_of(Provider::Twilio), "body": body, "status": "received",
        "error_code": Value::Null, "error_message": Value::Null,
    }))
}

fn is_ours(request: &HttpRequest, world: &World) -> bool {
    let given = request.headers().get("authorization").and_then(|v| v.to_str().ok());
    world.twilio_tokens().iter().any(|token| {
        let credentials = format!("{}:{token}", world.accounts.twilio_sid);
        given == Some(format!("Basic {}", sign::base64(credentials.as_bytes())).as_str())
    })
}

async fn send(
    request: HttpRequest,
    path: Path<String>,
    body: Bytes,
    world: Data<World>,
) -> HttpResponse {
    world.inside().requests.push((Provider::Twilio, String::from_utf8_lossy(&body).into_owned()));
    let accounts = world.accounts.clone();
    if !is_ours(&request, &world) || *path != accounts.twilio_sid {
        world.refuse("twilio 20003: authentication".to_owned());
        return problem(401, 20003, "Authenticate");
    }
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let to = field("To").unwrap_or_default();
    let is_number = |text: &str| {
        text.strip_prefix('+')
            .is_some_and(|d| d.len() >= 8 && d.bytes().all(|b| b.is_ascii_digit()))
    };
    if !is_number(&to) {
        world.refuse(format!("twilio 21211: To {to:?}"));
        return problem(400, 21211, &format!("Invalid 'To' Phone Number: {to}"));
    }
    let from = field("From").unwrap_or_default();
    if from != world.number_of(Provider::Twilio) {
        world.refuse(format!("twilio 21606: From {from:?}"));
        return problem(400, 21606, "The 'From' phone number is not owned by the account");
    }
    let text = field("Body").unwrap_or_default();
    if text.chars().count() > 1600 {
        return problem(
            400,
            21617,
            "The concatenated message body exceeds the 1600 character limit",
        );
    }
    let media = fields.iter().filter(|(name, _)| name == "MediaUrl").count();
    if text.is_empty() && media == 0 {
        return problem(400, 21602, "Message body is required");
    }
    if world.inside().opted_out.contains(&(Provider::Twilio, to.clone())) {
        return problem(400, 21610, "Attempt to send to unsubscribed recipient");
    }
    let failure = world.inside().failures.pop_front();
    if let Some(Failure::Status(code, retry_after)) = failure {
        let error = if code == 429 { 20429 } else { 20500 };
        let mut response = problem(code, error, "Too Many Requests");
        set_retry_after(&mut response, retry_after);
        return response;
    }
    let sid = format!("SM{}", world.next_id().to_ascii_lowercase());
    let callback = field("StatusCallback").unwrap_or_default();
    let reference = callback.rsplit_once("reference=").map(|(_, r)| r).unwrap_or_default();
    world.take(Provider::Twilio, &sid, reference, &to, &text);
    if !callback.is_empty() {
        report(world.get_ref().clone(), callback, sid.clone(), to.clone(), from.clone());
    }
    match failure {
        Some(Failure::Cut) => return cut(),
        Some(Failure::Late(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
        _ => {}
    }
    let account = &accounts.twilio_sid;
    let uri = format!("/2010-04-01/Accounts/{account}/Messages/{sid}");
    HttpResponse::Created().json(json!({
        "sid": sid, "account_sid": account, "messaging_service_sid": Value::Null,
        "to": to, "from": from, "body": text, "status": "queued", "direction": "outbound-api",
        "num_segments": "1", "num_media": media.to_string(), "error_code": Value::Null,
        "error_message": Value::Null, "price": Value::Null, "price_unit": "USD",
        "date_created": "Thu, 01 Jan 2026 00:00:00 +0000", "date_sent": Value::Null,
        "date_updated": "Thu, 01 Jan 2026 00:00:00 +0000", "api_version": "2010-04-01",
        "uri": format!("{uri}.json"), "subresource_uris": { "media": format!("{uri}/Media.json") },
    }))
}

fn problem(status: u16, code: u32, message: &str) -> HttpResponse {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).expect("a status")).json(
        json!({
            "code": code, "message": message, "status": status,
            "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        }),
    )
}

/// Reports can overtake each other, so the last state comes first here.
fn report(world: World, url: String, sid: String, to: String, from: String) {
    actix_web::rt::spawn(async move {
        let Some(arrives) = world.fate(&sid, &to) else { return };
        let last = if arrives { "delivered" } else { "undelivered" };
        for status in [last, "sent"] {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let fields = said_of(&world, &sid, &from, &to, status);
            // Twilio tries a failed callback once more; one that fails twice is lost.
            for _ in 0..2 {
                let sent = signed(&world, &url, &fields).send().await;
                if sent.is_ok_and(|response| response.status().is_success()) {
                    break;
                }
            }
        }
    });
}

fn said_of(
    world: &World,
    sid: &str,
    from: &str,
    to: &str,
    status: &str,
) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::from(
        [
            ("MessageSid", sid),
            ("SmsSid", sid),
            ("MessageStatus", status),
            ("SmsStatus", status),
            ("AccountSid", &world.accounts.twilio_sid),
            ("From", from),
            ("To", to),
            ("ApiVersion", "2010-04-01"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if status == "undelivered" {
        fields.insert("ErrorCode".to_owned(), "30003".to_owned());
    }
    fields
}

/// A report that names the message by Twilio's own id and nothing else, as the console's default callback does.
pub fn report_by_sid(world: &World, sid: &str, to: &str, status: &str) -> reqwest::RequestBuilder {
    let url = world.hook_of(Provider::Twilio);
    signed(world, &url, &said_of(world, sid, &world.number_of(Provider::Twilio), to, status))
}

fn signed(world: &World, url: &str, fields: &BTreeMap<String, String>) -> reqwest::RequestBuilder {
    let signature =
        sign::twilio_webhook(world.twilio_tokens().last().expect("the first one"), url, fields);
    world.client.post(url).header("x-twilio-signature", signature).form(fields)
}

/// A message's SID as Twilio makes them, the same for the same name.
fn sid_of(id: &str) -> String {
    let is_sid = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_sid {
        return format!("SM{}", id.to_ascii_lowercase());
    }
    let digest = Sha256::digest(id.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("SM{hex}")
}

pub fn inbound(world: &World, id: &str, from: &str, text: &str) -> reqwest::RequestBuilder {
    let number = from.to_owned();
    match text.trim().to_ascii_uppercase().as_str() {
        "STOP" => world.inside().opted_out.insert((Provider::Twilio, number)),
        "START" => world.inside().opted_out.remove(&(Provider::Twilio, number)),
        _ => false,
    };
    let (sid, own) = (sid_of(id), world.number_of(Provider::Twilio));
    world.inside().came_in.insert(sid.clone(), (from.to_owned(), text.to_owned()));
    let mut fields = BTreeMap::from(
        [
            ("MessageSid", sid.as_str()),
            ("SmsSid", &sid),
            ("SmsMessageSid", &sid),
            ("AccountSid", &world.accounts.twilio_sid),
            ("From", from),
            ("To", &own),
            ("Body", text),
            ("NumMedia", "0"),
            ("NumSegments", "1"),
            ("SmsStatus", "received"),
            ("ApiVersion", "2010-04-01"),
            ("FromCountry", "US"),
            ("FromCity", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if text.trim().eq_ignore_ascii_case("stop") {
        fields.insert("OptOutType".to_owned(), "STOP".to_owned());
    }
    let url = world.hook_of(Provider::Twilio);
    signed(world, &url, &fields)
}
