//! Azure Communication Services: `POST /sms` with repeatable requests, Event Grid deliveries.

use actix_web::web::{Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::telesign::{cut, set_retry_after};
use super::{Failure, Provider, World, sign};

pub fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("/sms").route(web::post().to(send)));
}

async fn send(request: HttpRequest, body: Bytes, world: Data<World>) -> HttpResponse {
    world.inside().requests.push((Provider::Acs, String::from_utf8_lossy(&body).into_owned()));
    if let Err(why) = authenticate(&request, &body, &world) {
        world.refuse(format!("acs 401: {why}"));
        return problem(401, "Denied", &why);
    }
    let parsed: Value = match serde_json::from_slice(&body) {
        Ok(parsed) => parsed,
        Err(error) => return problem(400, "InvalidInput", &error.to_string()),
    };
    let failure = world.inside().failures.pop_front();
    if let Some(Failure::Status(code, retry_after)) = failure {
        let mut response = problem(code, "TooManyRequests", "later");
        set_retry_after(&mut response, retry_after);
        return response;
    }
    let text = parsed["message"].as_str().unwrap_or_default();
    let tag = parsed["smsSendOptions"]["tag"].as_str().unwrap_or_default();
    let wants_report = parsed["smsSendOptions"]["enableDeliveryReport"] == true;
    let recipients = parsed["smsRecipients"].as_array().cloned().unwrap_or_default();
    if recipients.is_empty() || parsed["from"].as_str().is_none() {
        return problem(400, "InvalidInput", "from and smsRecipients are required");
    }
    let items: Vec<Value> = recipients
        .iter()
        .map(|recipient| {
            let to = recipient["to"].as_str().unwrap_or_default();
            if !to.starts_with('+') {
                return json!({ "to": to, "httpStatusCode": 400, "successful": false,
                               "errorMessage": "Invalid To phone number format." });
            }
            let request_id = recipient["repeatabilityRequestId"].as_str().unwrap_or_default();
            let known = world.inside().acs_requests.get(request_id).cloned();
            let id = known.unwrap_or_else(|| {
                let id = format!("Outgoing_{}", world.next_id().to_ascii_lowercase());
                world.inside().acs_requests.insert(request_id.to_owned(), id.clone());
                world.take(Provider::Acs, &id, tag, to, text);
                if wants_report {
                    report(world.get_ref().clone(), id.clone(), tag.to_owned(), to.to_owned());
                }
                id
            });
            json!({ "to": to, "messageId": id, "httpStatusCode": 202, "successful": true,
                    "repeatabilityResult": "accepted" })
        })
        .collect();
    match failure {
        Some(Failure::Cut) => return cut(),
        Some(Failure::Late(ms)) => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
        _ => {}
    }
    HttpResponse::Accepted().json(json!({ "value": items }))
}

fn authenticate(request: &HttpRequest, body: &[u8], world: &World) -> Result<(), String> {
    let header = |name: &str| {
        request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let hash = sign::sha256_base64(body);
    if header("x-ms-content-sha256") != hash {
        return Err("the content hash isn't that of the body".to_owned());
    }
    let (date, host) = (header("x-ms-date"), header("host"));
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let signed = format!("POST\n{path}\n{date};{host};{hash}");
    let key = sign::key(&world.accounts.acs_key);
    let signature = sign::base64(&sign::hmac_sha256(&key, signed.as_bytes()));
    let expected = format!(
        "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
    );
    if header("authorization") != expected {
        return Err(format!("the signature isn't that of {signed:?}"));
    }
    Ok(())
}

fn problem(status: u16, code: &str, message: &str) -> HttpResponse {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).expect("a status"))
        .json(json!({ "error": { "code": code, "message": message } }))
}

fn report(world: World, id: String, tag: String, to: String) {
    actix_web::rt::spawn(async move {
        let Some(arrives) = world.fate(&id, &to) else { return };
        let data = json!({
            "messageId": id,
            "from": Provider::Acs.our_number(),
            "to": to,
            "deliveryStatus": if arrives { "Delivered" } else { "Failed" },
            "deliveryStatusDetails": if arrives { "" } else { "No Error Details" },
            "receivedTimestamp": "2026-01-01T00:00:00Z",
            "deliveryAttempts": [],
            "Tag": tag,
        });
        let kind = "Microsoft.Communication.SMSDeliveryReportReceived";
        for pause in [50, 500, 1000, 2000] {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            let sent = event(&world, &format!("report-{id}"), kind, &data).send().await;
            if sent.is_ok_and(|response| response.status().is_success()) {
                return;
            }
        }
    });
}

fn event(world: &World, id: &str, kind: &str, data: &Value) -> reqwest::RequestBuilder {
    post(world, &sign::event_grid_event(id, kind, data))
}

fn post(world: &World, events: &Value) -> reqwest::RequestBuilder {
    let accounts = &world.accounts;
    let url = format!("{}?secret={}", world.hook_of(Provider::Acs), accounts.acs_webhook_secret);
    world.client.post(url).header("aeg-event-type", "Notification").json(events)
}

/// Several messages (id, sender, text) in one request, as Event Grid sends them.
pub fn inbound_batch(
    world: &World,
    messages: &[(String, String, String)],
) -> reqwest::RequestBuilder {
    let events = messages.iter().flat_map(|(id, from, text)| {
        let data = received(id, from, text);
        let event = sign::event_grid_event(id, "Microsoft.Communication.SMSReceived", &data);
        event.as_array().expect("events come as a list").clone()
    });
    post(world, &Value::Array(events.collect()))
}

fn received(id: &str, from: &str, text: &str) -> Value {
    json!({
        "messageId": format!("Incoming_{id}"),
        "from": from,
        "to": Provider::Acs.our_number(),
        "message": text,
        "receivedTimestamp": "2026-01-01T00:00:00Z",
        "segmentCount": 1,
    })
}

pub fn inbound(world: &World, id: &str, from: &str, text: &str) -> reqwest::RequestBuilder {
    let data = received(id, from, text);
    event(world, id, "Microsoft.Communication.SMSReceived", &data)
}
