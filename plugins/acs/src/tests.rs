//! Golden vectors of the official SDK, and the wire facts that they don't cover.

use cordboard_sdk::testkit::{FakeHost, run};
use serde_json::Value;

use super::*;

const SECRET: &str = "0123456789abcdef";

fn vectors(prefix: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let chosen: Vec<Value> =
        all.into_iter().filter(|v| v["function"].as_str().unwrap().starts_with(prefix)).collect();
    assert!(!chosen.is_empty());
    chosen
}

fn fake() -> FakeHost {
    FakeHost::new().secret("access_key", "c2VjcmV0").secret("webhook_secret", SECRET)
}

fn open(fake: &FakeHost, topics: &[&str]) -> Acs {
    let config = serde_json::from_value(json!({
        "endpoint": "http://127.0.0.1:1/",
        "topics": topics,
        "numbers": [{ "number": "+15551230000", "type": "toll_free" }],
    }));
    run(Acs::open(config.unwrap(), fake.host())).unwrap()
}

fn post(body: Value, secret: &str) -> WebhookRequest {
    WebhookRequest {
        method: "POST".into(),
        url: format!("http://127.0.0.1/hooks/acs?secret={secret}"),
        query: format!("secret={secret}"),
        headers: vec![],
        body: body.to_string().into_bytes(),
    }
}

// CH-04
#[test]
fn request_signatures_equal_the_sdks() {
    for vector in vectors("hmac_authorization") {
        let inputs = &vector["inputs"];
        let text = |name: &str| inputs[name].as_str().unwrap();
        let (hash, authorization) = request_signature(
            &from_base64_lenient(text("access_key")).unwrap(),
            text("method"),
            text("path_and_query"),
            text("host"),
            text("x_ms_date"),
            text("body").as_bytes(),
        );
        assert_eq!(vector["expected"]["x-ms-content-sha256"], hash);
        assert_eq!(vector["expected"]["Authorization"], authorization);
    }
}

// CH-04 SEC-02
#[test]
fn a_subscription_is_confirmed_for_expected_topics_only() {
    let vector = vectors("subscription_validation").remove(0);
    let body = vector["inputs"]["body"].clone();
    let any = open(&fake(), &[]);
    let received = run(any.receive(post(body.clone(), SECRET))).unwrap();
    assert_eq!(received.response.status, 200);
    let answer: Value = serde_json::from_slice(&received.response.body).unwrap();
    assert_eq!(answer, vector["expected"]["body"]);
    let ours = open(&fake(), &["/subscriptions/X"]);
    assert!(run(ours.receive(post(body.clone(), SECRET))).is_ok());
    let others = open(&fake(), &["/subscriptions/y"]);
    let refused = run(others.receive(post(body.clone(), SECRET)));
    assert!(matches!(refused, Err(Rejection::NotAuthentic(_))));
    for wrong in ["", "0123456789abcdeg"] {
        let refused = run(any.receive(post(body.clone(), wrong)));
        assert!(matches!(refused, Err(Rejection::NotAuthentic(_))));
    }
}

// CH-04
#[test]
fn cloud_events_are_allowed_by_options() {
    let channel = open(&fake(), &[]);
    let mut request = post(Value::Null, SECRET);
    request.method = "OPTIONS".into();
    request.headers.push(("webhook-request-origin".into(), "eventgrid.azure.net".into()));
    let response = run(channel.receive(request)).unwrap().response;
    let allowed = ("webhook-allowed-origin".to_owned(), "eventgrid.azure.net".to_owned());
    assert!(response.headers.contains(&allowed));
}

// CH-04 CH-12
#[test]
fn arrays_and_cloud_events_carry_messages_and_reports() {
    let channel = open(&fake(), &[]);
    let received = json!({
        "messageId": "Incoming_1", "from": "15558675309", "to": "+15551230000", "message": "STOP",
        "receivedTimestamp": "2026-01-01T00:00:00Z", "segmentCount": 1,
    });
    let report = json!({
        "messageId": "Outgoing_1", "from": "15551230000", "to": "15558675309",
        "deliveryStatus": "Failed", "deliveryStatusDetails": "Sender blocked for given recipient",
        "Tag": "c.9",
    });
    let grid = json!([
        { "id": "1", "topic": "/t", "subject": "s", "eventType": "Microsoft.Communication.SMSReceived",
          "data": received, "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "1.0" },
        { "id": "2", "eventType": "Microsoft.Communication.SMSDeliveryReportReceived", "data": report },
        { "id": "3", "eventType": "Microsoft.Communication.ChatThreadDeleted", "data": {} },
    ]);
    let events = run(channel.receive(post(grid, SECRET))).unwrap().events;
    assert_eq!(events.len(), 2);
    let Event::Message(message) = &events[0] else { panic!() };
    assert_eq!((message.from.as_str(), message.consent), ("+15558675309", Some(Consent::OptOut)));
    let Event::Delivery(delivery) = &events[1] else { panic!() };
    assert_eq!(delivery.reference.as_deref(), Some("c.9"));
    assert!(
        matches!(&delivery.status, DeliveryStatus::Undelivered { code, .. } if code == "Failed")
    );

    let cloud = json!({
        "specversion": "1.0", "id": "1", "source": "/t", "time": "2026-01-01T00:00:00Z",
        "type": "Microsoft.Communication.SMSReceived", "data": received,
    });
    assert_eq!(run(channel.receive(post(cloud, SECRET))).unwrap().events.len(), 1);
    // One that is malformed costs the others of its batch nothing.
    let nameless = json!({ "messageId": "", "from": "1", "to": "2", "message": "x" });
    let mixed = json!([
        { "eventType": 7 },
        { "eventType": "Microsoft.Communication.SMSReceived", "data": { "from": "1" } },
        { "eventType": "Microsoft.Communication.SMSReceived", "data": nameless },
        { "eventType": "Microsoft.Communication.SMSReceived", "data": received },
        "nonsense",
    ]);
    assert_eq!(run(channel.receive(post(mixed, SECRET))).unwrap().events.len(), 1);
    let strange = run(channel.receive(post(json!([{ "eventType": 7 }]), SECRET)));
    assert!(matches!(strange, Err(Rejection::NotUnderstood(_))));
}

// CH-04
#[test]
fn a_repeated_send_repeats_its_request_id() {
    let fake = fake().at(1_711_469_211_000);
    let channel = open(&fake, &[]);
    let message = Outbound {
        reference: "c.9".into(),
        idempotency_key: "b2a1f5b0-3f1d-4c8e-9a5b-0d6f3c2e1a00".into(),
        first_attempt_ms: 1_711_469_211_000,
        from: "+15551230000".into(),
        to: "+15558675309".into(),
        text: "Hi".into(),
        media: vec![],
        callback_url: String::new(),
    };
    fake.answer(503, &[("retry-after", "2")], r#"{"error":{"code":"Busy","message":"later"}}"#);
    let error = run(channel.send(message.clone())).unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Retryable { after_ms: Some(2000) });
    assert_eq!(error.code, "Busy");
    fake.answer(
        202,
        &[],
        r#"{"value":[{"to":"+15558675309","messageId":"Outgoing_1","httpStatusCode":202,"successful":true}]}"#,
    );
    assert_eq!(run(channel.send(message.clone())).unwrap().provider_id, "Outgoing_1");
    let [first, second] = fake.requests().try_into().unwrap();
    assert_eq!(first.body, second.body);
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    let recipient = &body["smsRecipients"][0];
    assert_eq!(recipient["repeatabilityRequestId"], message.idempotency_key);
    assert_eq!(recipient["repeatabilityFirstSent"], "Tue, 26 Mar 2024 16:06:51 GMT");

    // A 202 can hold a refusal for the recipient.
    fake.answer(
        202,
        &[],
        r#"{"value":[{"to":"x","httpStatusCode":400,"successful":false,"errorMessage":"bad number"}]}"#,
    );
    let error = run(channel.send(message)).unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (SendErrorKind::Permanent, "400"));
}
