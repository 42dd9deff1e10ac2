//! TeleSign: `POST /v1/messaging`, signed callbacks.

use actix_web::web::{Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{Failure, Provider, World, sign};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/v1/messaging").route(web::post().to(send)))
        .service(web::resource("/v1/messaging/{id}").route(web::get().to(status)));
}

async fn send(request: HttpRequest, body: Bytes, world: Data<World>) -> HttpResponse {
    let text = String::from_utf8_lossy(&body).into_owned();
    world.inside().requests.push((Provider::Telesign, text.clone()));
    if let Err((status, code, why)) = authenticate(&request, &text, &world) {
        world.refuse(format!("telesign {code}: {why}"));
        return problem(status, code, &why);
    }
    let field = |name: &str| {
        form_urlencoded::parse(&body).find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
    };
    let number = field("phone_number").unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) || number.len() < 8 {
        world.refuse(format!("telesign 11000: phone_number {number:?}"));
        return problem(400, 11000, "Invalid value for parameter phone_number.");
    }
    let message = field("message").unwrap_or_default();
    if message.is_empty() || message.chars().count() > 1600 {
        world.refuse("telesign 11009: message".to_owned());
        return problem(400, 11009, "Invalid value for parameter message.");
    }
    let kind = field("message_type").unwrap_or_default();
    if !["ARN", "OTP", "MKT"].contains(&kind.as_str()) {
        world.refuse("telesign 11017: message_type".to_owned());
        return problem(400, 11017, "Invalid value for parameter message_type.");
    }
    let failure = world.inside().failures.pop_front();
    if let Some(Failure::Status(code, retry_after)) = failure {
        let ts_code = if code == 429 { 10019 } else { 10000 };
        let mut response = problem(code, ts_code, "Rate limit or system unavailable.");
        set_retry_after(&mut response, retry_after);
        return response;
    }
    let id = world.next_id();
    let external_id = field("external_id").unwrap_or_default();
    let to = format!("+{number}");
    world.take(Provider::Telesign, &id, &external_id, &to, &message);
    if let Some(url) = field("callback_url").filter(|url| !url.is_empty()) {
        report(world.get_ref().clone(), url, id.clone(), external_id.clone(), to);
    }
    if failure == Some(Failure::Cut) {
        return cut();
    }
    HttpResponse::Ok().json(json!({
        "reference_id": id,
        "external_id": if external_id.is_empty() { Value::Null } else { external_id.into() },
        "status": { "code": 290, "description": "Message in progress" },
    }))
}

async fn status(path: Path<String>, world: Data<World>) -> HttpResponse {
    let sent = world.sent().into_iter().find(|sent| sent.id == *path);
    match sent {
        None => problem(404, 10020, "Not found"),
        Some(sent) => HttpResponse::Ok().json(json!({
            "reference_id": sent.id,
            "status": { "code": if sent.status == "delivered" { 200 } else { 290 },
                        "description": sent.status },
        })),
    }
}

fn authenticate(
    request: &HttpRequest,
    body: &str,
    world: &World,
) -> Result<(), (u16, u32, String)> {
    let header = |name: &str| {
        request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let accounts = &world.accounts;
    let authorization = header("authorization");
    if let Some(given) = authorization.strip_prefix("Basic ") {
        let expected = format!("{}:{}", accounts.telesign_customer, accounts.telesign_key);
        let is_right = given == sign::base64(expected.as_bytes());
        return if is_right { Ok(()) } else { Err((401, 10022, "API key".to_owned())) };
    }
    let Some((customer, signature)) =
        authorization.strip_prefix("TSA ").and_then(|text| text.split_once(':'))
    else {
        return Err((401, 10009, "Missing required header Authorization".to_owned()));
    };
    if customer != accounts.telesign_customer {
        return Err((401, 10015, "customer id".to_owned()));
    }
    let nonce = header("x-ts-nonce");
    if !(8..=64).contains(&nonce.len()) {
        return Err((401, 10003, "nonce length".to_owned()));
    }
    let content_type = header("content-type");
    let date = header("date");
    let method = request.method();
    let path = request.path();
    let mut signed = format!(
        "{method}\n{content_type}\n{date}\nx-ts-auth-method:HMAC-SHA256\nx-ts-nonce:{nonce}\n"
    );
    if !body.is_empty() && !content_type.is_empty() {
        signed.push_str(body);
        signed.push('\n');
    }
    signed.push_str(path);
    let expected = sign::hmac_sha256(&sign::key(&accounts.telesign_key), signed.as_bytes());
    if signature != sign::base64(&expected) {
        return Err((401, 10008, format!("Invalid signature; signed {signed:?}")));
    }
    if !world.inside().nonces.insert(nonce) {
        return Err((401, 10002, "nonce reused".to_owned()));
    }
    Ok(())
}

fn problem(status: u16, code: u32, description: &str) -> HttpResponse {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).expect("a status"))
        .json(json!({ "status": { "code": code, "description": description } }))
}

pub(super) fn set_retry_after(response: &mut HttpResponse, seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        let name = actix_web::http::header::RETRY_AFTER;
        response.headers_mut().insert(name, seconds.into());
    }
}

/// An answer that breaks off: the head promises more than ever comes.
pub(super) fn cut() -> HttpResponse {
    use futures_util::stream;
    let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    HttpResponse::Ok().content_type("application/json").streaming(broken)
}

fn report(world: World, url: String, id: String, external_id: String, to: String) {
    actix_web::rt::spawn(async move {
        let Some(arrives) = world.fate(&id, &to) else { return };
        let (code, description) =
            if arrives { (200, "Delivered to handset") } else { (211, "Permanent phone error") };
        let body = json!({
            "reference_id": id,
            "status": { "code": code, "description": description },
            "submit_timestamp": "2026-01-01T00:00:00Z",
            "errors": [],
            "external_id": external_id,
            "sub_resource": "sms",
        });
        post(&world, &url, body.to_string()).await;
    });
}

/// TeleSign tries four times.
async fn post(world: &World, url: &str, body: String) {
    for pause in [50, 500, 1000, 2000] {
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        let sent = signed(world, url, body.clone()).send().await;
        if sent.is_ok_and(|response| response.status().as_u16() == 200) {
            return;
        }
    }
}

fn signed(world: &World, url: &str, body: String) -> reqwest::RequestBuilder {
    let accounts = &world.accounts;
    let signature =
        sign::telesign_callback(&accounts.telesign_customer, &accounts.telesign_key, &body);
    world
        .client
        .post(url)
        .header("content-type", "application/json")
        .header("authorization", &signature)
        .header("x-ts-authorization", &signature)
        .body(body)
}

pub fn inbound(world: &World, id: &str, from: &str, text: &str) -> reqwest::RequestBuilder {
    let body = json!({
        "status": { "code": 1500, "description": "Delivered to customer" },
        "submit_timestamp": "2026-01-01T00:00:00Z",
        "errors": [],
        "user_response": {
            "phone_number": from.trim_start_matches('+'),
            "sender_id": world.number_of(Provider::Telesign).trim_start_matches('+'),
            "mo_message": text,
            "iso_country_code": "US",
        },
        "sub_resource": "mo_sms",
        "reference_id": id,
    });
    let url = world.hook_of(Provider::Telesign);
    signed(world, &url, body.to_string())
}
