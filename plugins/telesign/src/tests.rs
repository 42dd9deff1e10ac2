//! Golden vectors of the official SDK, and the wire facts that they don't cover.

use cordboard_sdk::testkit::{FakeHost, run};
use serde_json::{Value, json};

use super::*;

const KEY: &str = "ABC12345yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw==";

fn vectors(prefix: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let chosen: Vec<Value> =
        all.into_iter().filter(|v| v["function"].as_str().unwrap().starts_with(prefix)).collect();
    assert!(!chosen.is_empty());
    chosen
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn config(auth: &str) -> Config {
    serde_json::from_value(json!({
        "customer_id": "FFFFFFFF-EEEE-DDDD-1234-AB1234567890",
        "base_url": "http://127.0.0.1:1",
        "auth": auth,
        "numbers": [{ "number": "15551230000", "type": "local" }],
    }))
    .unwrap()
}

fn open(fake: &FakeHost, auth: &str) -> TeleSign {
    run(TeleSign::open(config(auth), fake.host())).unwrap()
}

fn callback(key: &str, body: &str) -> WebhookRequest {
    let signature = to_base64(&hmac_sha256(&from_base64_lenient(key).unwrap(), &[body.as_bytes()]));
    WebhookRequest {
        method: "POST".into(),
        url: "http://127.0.0.1/hooks/sms".into(),
        query: String::new(),
        headers: vec![("authorization".into(), format!("TSA FFFF:{signature}"))],
        body: body.into(),
    }
}

fn outbound(text: &str) -> Outbound {
    Outbound {
        reference: "c.1".into(),
        idempotency_key: "6f0a".into(),
        first_attempt_ms: 0,
        from: "+15551230000".into(),
        to: "+15558675309".into(),
        text: text.into(),
        media: vec![],
        callback_url: "http://127.0.0.1:8080/ts".into(),
    }
}

// CH-02
#[test]
fn request_signatures_equal_the_sdks() {
    for vector in vectors("tsa_authorization") {
        let inputs = &vector["inputs"];
        let key = from_base64_lenient(text(inputs, "api_key")).unwrap();
        let signature = request_signature(
            &key,
            text(inputs, "method"),
            text(inputs, "content_type"),
            text(inputs, "date"),
            text(inputs, "nonce"),
            text(inputs, "url_encoded_fields").as_bytes(),
            text(inputs, "resource"),
        );
        let customer_id = text(inputs, "customer_id");
        let expected = text(&vector["expected"], "authorization");
        assert_eq!(format!("TSA {customer_id}:{signature}"), expected, "{}", vector["function"]);
    }
}

// CH-02 SEC-02
#[test]
fn callback_signatures_equal_the_sdks() {
    for vector in vectors("callback_signature") {
        let inputs = &vector["inputs"];
        let fake = FakeHost::new().secret("api_key", text(inputs, "api_key"));
        let channel = open(&fake, "digest");
        for name in ["authorization_header", "x_ts_authorization_header"] {
            let mut request = callback(KEY, text(inputs, "body"));
            let header = if name.starts_with('x') { "x-ts-authorization" } else { "authorization" };
            request.headers = vec![(header.into(), text(&vector["expected"], name).to_owned())];
            assert_eq!(channel.check_signature(&request), Ok(()), "{}", vector["function"]);
            request.body[0] ^= 1;
            assert!(channel.check_signature(&request).is_err());
        }
    }
}

#[test]
fn basic_authentication_equals_the_sdks() {
    for vector in vectors("basic_authorization") {
        let inputs = &vector["inputs"];
        let fake = FakeHost::new().secret("api_key", text(inputs, "api_key"));
        let mut channel = open(&fake, "basic");
        channel.config.customer_id = text(inputs, "customer_id").to_owned();
        let request = channel.signed_post("/v1/messaging", &[]);
        let header = request.headers.iter().find(|(name, _)| name == "authorization").unwrap();
        assert_eq!(Some(header.1.as_str()), vector["expected"].as_str());
    }
}

// CH-02 SEC-02
#[test]
fn inbound_texts_and_reports_are_understood_once_they_are_authentic() {
    let fake = FakeHost::new().secret("api_key", KEY);
    let channel = open(&fake, "digest");
    let by_name = |name: &str| {
        let vector = vectors(&format!("callback_signature:{name}")).remove(0);
        text(&vector["inputs"], "body").to_owned()
    };

    let received = run(channel.receive(callback(KEY, &by_name("mo_sms")))).unwrap();
    let inbound = Inbound::text(
        "0143D53D86A2030BE20025B600000002",
        "+15558675309",
        "+15551230000",
        "Hello é你",
    );
    assert_eq!(received.events, [Event::Message(inbound)]);

    let received = run(channel.receive(callback(KEY, &by_name("delivery_report")))).unwrap();
    let report = DeliveryReport {
        reference: Some("conv-42".into()),
        provider_id: "B56259E45884010488343BAA15FB0002".into(),
        status: DeliveryStatus::Delivered,
    };
    assert_eq!(received.events, [Event::Delivery(report)]);

    let forged = run(channel.receive(callback("b3RoZXI=", "{}")));
    assert!(matches!(forged, Err(Rejection::NotAuthentic(_))));
    let unsigned = WebhookRequest { headers: vec![], ..callback(KEY, "{}") };
    assert!(matches!(run(channel.receive(unsigned)), Err(Rejection::NotAuthentic(_))));
    let malformed = run(channel.receive(callback(KEY, "{")));
    assert!(matches!(malformed, Err(Rejection::NotUnderstood(_))));
}

// CH-12
#[test]
fn opt_out_is_taken_from_the_action_or_the_keyword() {
    let fake = FakeHost::new().secret("api_key", KEY);
    let channel = open(&fake, "digest");
    let consent = |message: &str, action: Option<&str>| {
        let body = json!({
            "reference_id": "r", "status": { "code": 1500 }, "errors": {}, "sub_resource": "mo_sms",
            "user_response": {
                "phone_number": "15558675309", "sender_id": "15551230000",
                "mo_message": message, "action": action,
            },
        });
        match run(channel.receive(callback(KEY, &body.to_string()))).unwrap().events.remove(0) {
            Event::Message(inbound) => inbound.consent,
            Event::Delivery(report) => panic!("{report:?}"),
        }
    };
    assert_eq!(consent("basta", Some("stop")), Some(Consent::OptOut));
    assert_eq!(consent("basta", Some("STOP")), Some(Consent::OptOut));
    assert_eq!(consent("Arret", None), Some(Consent::OptOut));
    assert_eq!(consent("start", Some("generic")), Some(Consent::OptIn));
    assert_eq!(consent("hello", Some("generic")), None);
}

// CH-02
#[test]
fn a_send_is_the_form_that_the_documentation_asks_for() {
    let fake = FakeHost::new()
        .secret("api_key", KEY)
        .at(1_481_739_612_000)
        .unique("A1592C6F-E384-4CDB-BC42-C3AB970369E9");
    let channel = open(&fake, "digest");
    fake.answer(200, &[], r#"{"reference_id":"ABC","external_id":"c.1","status":{"code":290}}"#);
    let receipt = run(channel.send(outbound("Hello + é!"))).unwrap();
    assert_eq!(receipt.provider_id, "ABC");
    let request = fake.requests().remove(0);
    assert_eq!(request.url, "http://127.0.0.1:1/v1/messaging");
    let body = String::from_utf8(request.body).unwrap();
    assert_eq!(
        body,
        "phone_number=15558675309&message=Hello+%2B+%C3%A9%21&message_type=ARN\
         &sender_id=15551230000&external_id=c.1&callback_url=http%3A%2F%2F127.0.0.1%3A8080%2Fts"
    );
}

// CH-02
#[test]
fn errors_keep_the_providers_code_and_say_whether_to_try_again() {
    let fake = FakeHost::new().secret("api_key", KEY);
    let channel = open(&fake, "digest");
    let attempt = |status, headers: &[(&str, &str)], code: u32| {
        let body = json!({ "status": { "code": code, "description": "no" } }).to_string();
        fake.answer(status, headers, &body);
        let error = run(channel.send(outbound("x"))).unwrap_err();
        assert_eq!(error.code, code.to_string());
        error.kind
    };
    assert_eq!(attempt(400, &[], 11000), SendErrorKind::Permanent);
    // A key that an operator can mend.
    assert_eq!(attempt(401, &[], 10008), SendErrorKind::Retryable { after_ms: None });
    let wait = SendErrorKind::Retryable { after_ms: Some(7000) };
    assert_eq!(attempt(429, &[("retry-after", "7")], 10019), wait);
    assert_eq!(attempt(503, &[], 10000), SendErrorKind::Retryable { after_ms: None });
    assert_eq!(attempt(500, &[], 10000), SendErrorKind::Uncertain);

    fake.fail(HttpErrorKind::NotConnected);
    let error = run(channel.send(outbound("x"))).unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Retryable { after_ms: None });
    fake.fail(HttpErrorKind::Interrupted);
    let error = run(channel.send(outbound("x"))).unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Uncertain, "there is no idempotency key");
}

#[test]
fn codes_become_one_status_model() {
    assert_eq!(delivery_status(200, ""), DeliveryStatus::Delivered);
    for on_its_way in [290, 292, 295, 203] {
        assert_eq!(delivery_status(on_its_way, ""), DeliveryStatus::Sent);
    }
    let undelivered = DeliveryStatus::Undelivered { code: "207".into(), reason: "Unknown".into() };
    assert_eq!(delivery_status(207, "Unknown"), undelivered);
}

// CH-02
#[test]
fn an_answer_says_by_its_code_whether_it_was_taken() {
    let answer = |code: u32, id: Option<&str>| Answer {
        reference_id: id.map(str::to_owned),
        status: Status { code, description: "so".to_owned() },
    };
    assert_eq!(taken(answer(290, Some("R1"))).unwrap().provider_id, "R1");
    let refused = taken(answer(10033, Some("R1"))).unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (SendErrorKind::Permanent, "10033"));
    for id in [None, Some("")] {
        assert_eq!(taken(answer(290, id)).unwrap_err().kind, SendErrorKind::Uncertain);
    }
}

// OPS-02
#[test]
fn a_missing_or_wrong_key_is_named() {
    let error = run(TeleSign::open(config("digest"), FakeHost::new().host())).err().unwrap();
    assert!(error.to_string().contains("api_key"));
    let fake = FakeHost::new().secret("api_key", "%%%");
    let error = run(TeleSign::open(config("digest"), fake.host())).err().unwrap();
    assert!(error.to_string().contains("base64"));
}
