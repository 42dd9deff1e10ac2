//! Golden vectors of the official SDK, and the wire facts that they don't cover.

use cordboard_sdk::signature::{to_base64, to_hex};
use cordboard_sdk::testkit::{FakeHost, run};
use serde_json::{Value, json};

use super::*;

const SID: &str = "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const TOKEN: &str = "22222222222222222222222222222222";

fn open(fake: &FakeHost) -> Twilio {
    let config = serde_json::from_value(json!({
        "account_sid": SID,
        "base_url": "http://127.0.0.1:1",
        "numbers": [{ "number": "+15551230000", "type": "local" }],
    }));
    run(Twilio::open(config.unwrap(), fake.host())).unwrap()
}

fn fields(params: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match params {
        Value::Object(map) => map.iter().map(|(n, v)| (n.clone(), text(v))).collect(),
        Value::Array(pairs) => pairs.iter().map(|p| (text(&p[0]), text(&p[1]))).collect(),
        other => panic!("{other}"),
    }
}

fn post(url: &str, pairs: &[(&str, &str)], token: &str) -> WebhookRequest {
    let form = HttpRequest::post(url).form(pairs.iter().copied()).body;
    let owned: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let digest = signature(url, &owned, token, Algorithm::HmacSha1);
    WebhookRequest {
        method: "POST".into(),
        url: url.into(),
        query: url.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default(),
        headers: vec![("x-twilio-signature".into(), to_base64(&digest))],
        body: form,
    }
}

const MEDIA: &str = "https://api.twilio.com/2010-04-01/Accounts/ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/Messages/MMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/Media/MEaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

const INBOUND: [(&str, &str); 9] = [
    ("MessageSid", "SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("AccountSid", SID),
    ("From", "+15558675309"),
    ("To", "+15551230000"),
    ("Body", "Café & 你好 😀"),
    ("NumMedia", "1"),
    ("MediaUrl0", MEDIA),
    ("MediaContentType0", "image/jpeg"),
    ("FromCity", ""),
];

// CH-03 SEC-02
#[test]
fn signatures_equal_the_sdks() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let mut checked = 0;
    for vector in &vectors {
        let inputs = &vector["inputs"];
        let Some(params) = inputs.get("params") else { continue };
        let algorithm = match inputs["algorithm"].as_str().unwrap() {
            "HMAC_SHA1" => Algorithm::HmacSha1,
            "HMAC_SHA256" => Algorithm::HmacSha256,
            other => panic!("{other}"),
        };
        let url = inputs["url"].as_str().unwrap();
        let token = inputs["auth_token"].as_str().unwrap();
        let digest = signature(url, &fields(params), token, algorithm);
        assert_eq!(Some(to_base64(&digest).as_str()), vector["expected"].as_str(), "{vector}");
        checked += 1;
    }
    assert_eq!(checked, 8);
}

// CH-03 SEC-02
#[test]
fn a_json_body_is_signed_through_the_url() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let by_name = |name: &str| vectors.iter().find(|v| v["function"] == name).unwrap();
    let vector = by_name("x_twilio_signature:json_body");
    let url = vector["inputs"]["url"].as_str().unwrap();
    let mut request = WebhookRequest {
        method: "POST".into(),
        url: url.into(),
        query: url.split_once('?').unwrap().1.into(),
        headers: vec![],
        body: vector["inputs"]["body"].as_str().unwrap().into(),
    };
    let given = vector["expected"].as_str().unwrap();
    let token = vector["inputs"]["auth_token"].as_str().unwrap();
    let authentic = |request: &WebhookRequest| {
        webhook_signature::is_authentic(request, &[], given, token, Algorithm::HmacSha1)
    };
    assert!(authentic(&request));
    request.body[0] ^= 1;
    assert!(!authentic(&request));
}

// CH-03 CH-12 SEC-02
#[test]
fn an_inbound_message_is_understood_once_it_is_authentic() {
    let fake = FakeHost::new().secret("auth_token", TOKEN);
    let channel = open(&fake);
    let url = "http://127.0.0.1:8080/hooks/twilio";
    let received = run(channel.receive(post(url, &INBOUND, TOKEN))).unwrap();
    let Event::Message(message) = &received.events[0] else { panic!() };
    assert_eq!(message.text, "Café & 你好 😀");
    assert_eq!(message.from, "+15558675309");
    assert_eq!(message.media[0].content_type, "image/jpeg");
    assert_eq!(received.response.body, b"<Response/>");

    // Behind a proxy that drops the port the signature still counts; with another secret not.
    let mut without_port = post("https://cb.example/hooks/twilio", &INBOUND, TOKEN);
    without_port.url = "https://cb.example:443/hooks/twilio".into();
    assert!(run(channel.receive(without_port)).is_ok());
    for forged in [
        post(url, &INBOUND, "other"),
        WebhookRequest { headers: vec![], ..post(url, &INBOUND, TOKEN) },
        WebhookRequest { url: "http://evil/".into(), ..post(url, &INBOUND, TOKEN) },
        WebhookRequest { body: b"Body=x".to_vec(), ..post(url, &INBOUND, TOKEN) },
    ] {
        assert!(matches!(run(channel.receive(forged)), Err(Rejection::NotAuthentic(_))));
    }
    let mut unknown = post(url, &INBOUND, TOKEN);
    let header = "x-twilio-webhooks-signature-settings";
    unknown.headers.push((header.into(), "key=1,algorithm=HMAC_MD5".into()));
    assert!(matches!(run(channel.receive(unknown)), Err(Rejection::NotAuthentic(_))));

    // The next field's name and value, moved into the SID: the signature is the same, and it is no other message.
    let mut moved: Vec<(&str, &str)> =
        INBOUND.iter().copied().filter(|(name, _)| *name != "NumMedia").collect();
    moved[0].1 = "SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaNumMedia1";
    let same = post(url, &INBOUND, TOKEN).headers;
    let moved = WebhookRequest { headers: same, ..post(url, &moved, TOKEN) };
    let Err(Rejection::NotUnderstood(why)) = run(channel.receive(moved)) else { panic!() };
    assert!(why.contains("isn't a message's SID"), "{why}");
    // What the customer wrote, made a sender; and a sender, made a field of another name.
    let with = |name: &'static str, value: &'static str| {
        let mut pairs = INBOUND.to_vec();
        pairs.iter_mut().filter(|pair| pair.0 == name).for_each(|pair| pair.1 = value);
        pairs
    };
    let text = with("Body", "hello From+15553334444");
    let signed = post(url, &text, TOKEN).headers;
    let mut pairs = with("Body", "hello ");
    pairs.insert(2, ("From", "+15553334444"));
    let split = WebhookRequest { headers: signed, ..post(url, &pairs, TOKEN) };
    fake.answer(404, &[], "{}");
    let Err(Rejection::NotAuthentic(why)) = run(channel.receive(split)) else { panic!() };
    assert!(why.contains("signed for another message"), "{why}");
    let city = with("FromCity", "SAN FRANCISCO");
    let signed = post(url, &city, TOKEN).headers;
    let renamed: Vec<(&str, &str)> = city
        .iter()
        .map(|pair| match *pair {
            ("From", _) => ("Fro", "m+15558675309"),
            ("FromCity", _) => ("From", "CitySAN FRANCISCO"),
            pair => pair,
        })
        .collect();
    let renamed = WebhookRequest { headers: signed, ..post(url, &renamed, TOKEN) };
    let Err(Rejection::NotUnderstood(why)) = run(channel.receive(renamed)) else { panic!() };
    assert!(why.contains("no number"), "{why}");
    let nobodys: Vec<(&str, &str)> =
        INBOUND.iter().filter(|(name, _)| *name != "AccountSid").copied().collect();
    let Err(Rejection::NotAuthentic(why)) = run(channel.receive(post(url, &nobodys, TOKEN))) else {
        panic!()
    };
    assert!(why.contains("another account"), "{why}");
    // Signed for another channel of the same account.
    let Err(Rejection::NotUnderstood(why)) =
        run(channel.receive(post(url, &with("To", "+15559990000"), TOKEN)))
    else {
        panic!()
    };
    assert!(why.contains("isn't among the channel's `numbers`"), "{why}");
    let Err(Rejection::NotUnderstood(why)) =
        run(channel.receive(post(url, &with("From", "+15551230000"), TOKEN)))
    else {
        panic!()
    };
    assert!(why.contains("the channel's own number"), "{why}");
    // As much as nobody sends is refused before anything is computed of it.
    for (body, why_not) in [(vec![b'&'; 100_000], "200 at most"), (vec![b'x'; 200_000], "bytes;")] {
        let much = WebhookRequest { body, ..post(url, &INBOUND, TOKEN) };
        let Err(Rejection::NotAuthentic(why)) = run(channel.receive(much)) else { panic!() };
        assert!(why.contains(why_not), "{why}");
    }
    for (number, (from, to)) in (1..).zip([
        ("whatsapp:+15558675309", "whatsapp:+15558675309"),
        ("whatsapp:15558675309", "whatsapp:+15558675309"),
        ("25392", "25392"),
        ("whatsapp:US.13491208655302741918", "whatsapp:US.13491208655302741918"),
        ("messenger:1234567890", "messenger:1234567890"),
        ("Google", "Google"),
    ]) {
        // What isn't a number is looked up, once a message.
        if from != "25392" {
            fake.answer(200, &[], &known(from, "Café & 你好 😀"));
        }
        let mut pairs = with("From", from);
        let sid = format!("SM{number:032x}");
        pairs[0].1 = &sid;
        let received = run(channel.receive(post(url, &pairs, TOKEN))).unwrap();
        let Event::Message(message) = &received.events[0] else { panic!() };
        assert_eq!(message.from, to);
    }
    let mut foreign = INBOUND.to_vec();
    foreign[1].1 = "ACffffffffffffffffffffffffffffffff";
    let foreign = run(channel.receive(post(url, &foreign, TOKEN)));
    assert!(matches!(foreign, Err(Rejection::NotAuthentic(_))));

    let mut stop = INBOUND.to_vec();
    stop.push(("OptOutType", "STOP"));
    let received = run(channel.receive(post(url, &stop, TOKEN))).unwrap();
    let Event::Message(message) = &received.events[0] else { panic!() };
    assert_eq!(message.consent, Some(Consent::OptOut));
}

/// A message as Twilio tells it.
fn known(from: &str, text: &str) -> String {
    json!({ "direction": "inbound", "from": from, "to": "+15551230000", "body": text }).to_string()
}

// CH-03 SEC-02 CH-12
#[test]
fn what_may_be_read_in_two_ways_is_taken_only_if_twilio_has_it_so() {
    let fake = FakeHost::new().secret("auth_token", TOKEN);
    let channel = open(&fake);
    let url = "http://127.0.0.1:8080/hooks/twilio";
    let real = "SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    // What the attacks of November 2026 did: one's own signed text, cut so that it is somebody else's, with what is
    // true hidden in values, in names, in the text, or in the URL.
    let tail =
        format!("MessageSid{real}NumMedia0NumSegments1SmsMessageSid{real}SmsSid{real}SmsStatus");
    let state = format!("StateWAFromZip98101{tail}");
    let swallowed = format!("xFromwhatsapp:+4366011111{tail}ProfileName");
    let hidden = format!("From+14255557777{tail}");
    let query = format!("{url}?AccountSid={SID}&Body=");
    type Fields<'a> = Vec<(&'a str, &'a str)>;
    let forged: [(&str, &str, &str, Fields<'_>); 11] = [
        (url, "STOP", "+14255558888", vec![("NFrom", "+14255557777From"), (&state, "received")]),
        (url, "STOP", "+14255558888", vec![("MessageZ", &hidden)]),
        (url, "STOP", "+14255558888", vec![("ToZip", &hidden)]),
        (url, "STOP", "+14255558888", vec![("FromCity", "From+14255557777")]),
        (url, "STOP", " +14255558888", vec![("GFrom", "+14255557777")]),
        (url, "STOP", "\u{3000}+14255558888", vec![]),
        (url, "STOP", "+14255558888", vec![("GFrom", "ACMEBANK")]),
        (url, &swallowed, "whatsapp:+4366099999", vec![]),
        (&query, "STOP", "+14255558888", vec![("Z", "&From=%2B14255557777")]),
        // Of one's own: `STOPErrorCode1`, and a file without its type.
        (url, "STOP", "+14255558888", vec![("ErrorCode", "1")]),
        (url, "hi", "+14255558888", vec![("MediaContentType", "0image/jpeg"), ("NumMedia", "1")]),
    ];
    for (number, (url, text, from, rest)) in (1..).zip(forged) {
        let sid = format!("SM{number:032x}");
        let mut pairs = vec![
            ("AccountSid", SID),
            ("Body", text),
            ("From", from),
            ("MessageSid", &sid),
            ("To", "+15551230000"),
        ];
        pairs.extend(rest);
        let request = post(url, &pairs, TOKEN);
        // Twilio knows no such message, or another one of that name; which it is asked once.
        for (status, body) in [(404, "{}".to_owned()), (200, known("+14255557777", "hello"))] {
            fake.answer(status, &[], &body);
            let Err(Rejection::NotAuthentic(why)) = run(channel.receive(request.clone())) else {
                panic!("{pairs:?}")
            };
            assert!(why.contains("signed for another message"), "{why}");
            let asked = fake.requests().pop().unwrap();
            assert_eq!(asked.method, "GET");
            assert!(asked.url.ends_with(&format!("/Messages/{sid}.json")), "{}", asked.url);
        }
        let asked = fake.requests().len();
        assert!(run(channel.receive(request)).is_err());
        assert_eq!(fake.requests().len(), asked);
    }
    // The body's hash in the URL, of a form, and what is said with GET.
    let body = post(url, &INBOUND, TOKEN).body;
    let digest = to_hex(&cordboard_sdk::signature::sha256(&body));
    let hashed = format!("{url}?bodySHA256={digest}");
    let by_hash = WebhookRequest { body, ..post(&hashed, &[], TOKEN) };
    let query = HttpRequest::post(url).form(INBOUND).body;
    let in_url = format!("{url}?{}", String::from_utf8(query).unwrap());
    let get = WebhookRequest { method: "GET".into(), body: vec![], ..post(&in_url, &[], TOKEN) };
    for request in [by_hash, get] {
        fake.answer(404, &[], "{}");
        assert!(matches!(run(channel.receive(request.clone())), Err(Rejection::NotAuthentic(_))));
        fake.answer(503, &[], "");
        assert!(matches!(run(channel.receive(request.clone())), Err(Rejection::TryAgain(_))));
    }
    // Twilio has it so.
    fake.answer(200, &[], &known("+15558675309", "Café & 你好 😀"));
    let get = WebhookRequest { method: "GET".into(), body: vec![], ..post(&in_url, &[], TOKEN) };
    let received = run(channel.receive(get)).unwrap();
    let Event::Message(message) = &received.events[0] else { panic!() };
    assert_eq!(message.from, "+15558675309");
    let mut odd = INBOUND.to_vec();
    let sid = "SM77777777777777777777777777777777";
    (odd[0].1, odd[2].1) = (sid, "whatsapp:+15558675309");
    odd.extend([
        ("ProfileName", "To1000"),
        ("aFutureField", "1"),
        ("ButtonPayload", "replyTo4711"),
    ]);
    fake.answer(200, &[], &known("whatsapp:+15558675309", "Café & 你好 😀"));
    let received = run(channel.receive(post(url, &odd, TOKEN))).unwrap();
    let Event::Message(message) = &received.events[0] else { panic!() };
    assert_eq!(message.from, "whatsapp:+15558675309");
    // Whatever customers write, nobody is asked about the usual form.
    let asked = fake.requests().len();
    for text in ["call From+14255550100To+43 now", "MessageSid", "STOPFrom+14255550100", "To do"] {
        let mut pairs = INBOUND.to_vec();
        pairs[4].1 = text;
        let received = run(channel.receive(post(url, &pairs, TOKEN))).unwrap();
        let Event::Message(message) = &received.events[0] else { panic!() };
        assert_eq!(message.text, text);
    }
    assert_eq!(fake.requests().len(), asked);
    // A report's name becomes part of an address: it has to be one.
    let report = [("AccountSid", SID), ("MessageSid", "../../Keys"), ("MessageStatus", "sent")];
    let Err(Rejection::NotUnderstood(why)) = run(channel.receive(post(url, &report, TOKEN))) else {
        panic!()
    };
    assert!(why.contains("isn't a message's SID"), "{why}");
    assert_eq!(fake.requests().len(), asked);
}

// CH-03
#[test]
fn status_callbacks_become_reports_with_our_reference() {
    let fake = FakeHost::new().secret("auth_token", TOKEN);
    let channel = open(&fake);
    let url = "http://127.0.0.1:8080/hooks/twilio?reference=0123456789abcdef0123456789abcdef.7";
    let pairs = [
        ("AccountSid", SID),
        ("MessageSid", "SM11111111111111111111111111111111"),
        ("MessageStatus", "undelivered"),
        ("ErrorCode", "30003"),
    ];
    let received = run(channel.receive(post(url, &pairs, TOKEN))).unwrap();
    let Event::Delivery(report) = &received.events[0] else { panic!() };
    assert_eq!(report.reference.as_deref(), Some("0123456789abcdef0123456789abcdef.7"));
    let status = DeliveryStatus::Undelivered {
        code: "30003".into(),
        reason: "the handset can't be reached".into(),
    };
    assert_eq!(report.status, status);
    // Where it reads as another report, too, Twilio's own word counts.
    let odd = [&pairs[..], &[("ChannelStatusMessage", "call To15550001"), ("To", "+15558675309")]]
        .concat();
    let told = json!({ "direction": "outbound-api", "from": "+15551230000", "to": "+15558675309",
        "body": "hi", "status": "delivered", "error_code": null, "error_message": null });
    fake.answer(200, &[], &told.to_string());
    let received = run(channel.receive(post(url, &odd, TOKEN))).unwrap();
    let Event::Delivery(report) = &received.events[0] else { panic!() };
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(delivery_status("read", None, None), DeliveryStatus::Delivered);
    assert_eq!(delivery_status("sending", None, None), DeliveryStatus::Sent);
}

// CH-03 CH-12
#[test]
fn errors_keep_twilios_code_and_say_whether_to_try_again() {
    let fake = FakeHost::new().secret("auth_token", TOKEN);
    let channel = open(&fake);
    let message = Outbound {
        reference: "c.7".into(),
        idempotency_key: "k".into(),
        first_attempt_ms: 0,
        from: "+15551230000".into(),
        to: "+15558675309".into(),
        text: "Hi".into(),
        media: vec![Media { url: "https://x/y.png".into(), content_type: "image/png".into() }],
        callback_url: "https://cb.example/hooks/twilio".into(),
    };
    fake.answer(201, &[], r#"{"sid":"SM9"}"#);
    assert_eq!(run(channel.send(message.clone())).unwrap().provider_id, "SM9");
    let request = fake.requests().remove(0);
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        "To=%2B15558675309&From=%2B15551230000&Body=Hi&MediaUrl=https%3A%2F%2Fx%2Fy.png\
         &StatusCallback=https%3A%2F%2Fcb.example%2Fhooks%2Ftwilio%3Freference%3Dc.7"
    );
    // A customer of another network is answered there, from the sender they wrote to, also where replies
    // go out through a service's pool.
    let mut pooled = open(&fake);
    pooled.config.messaging_service_sid = Some("MGcccccccccccccccccccccccccccccccc".to_owned());
    let abroad = Outbound {
        from: "whatsapp:+15551230000".into(),
        to: "whatsapp:+15558675309".into(),
        media: vec![],
        ..message.clone()
    };
    for (message, sender) in [
        (abroad, "To=whatsapp%3A%2B15558675309&From=whatsapp%3A%2B15551230000&"),
        (
            message.clone(),
            "To=%2B15558675309&MessagingServiceSid=MGcccccccccccccccccccccccccccccccc&",
        ),
    ] {
        fake.answer(201, &[], r#"{"sid":"SM9"}"#);
        run(pooled.send(message)).unwrap();
        let body = String::from_utf8(fake.requests().pop().unwrap().body).unwrap();
        assert!(body.starts_with(sender), "{body}");
    }
    let attempt = |status, headers: &[(&str, &str)], body: &str| {
        fake.answer(status, headers, body);
        run(channel.send(message.clone())).unwrap_err()
    };
    let error = attempt(400, &[], r#"{"code":21610,"message":"opted out","status":400}"#);
    assert_eq!((error.kind, error.code.as_str()), (SendErrorKind::OptedOut, "21610"));
    let error = attempt(400, &[], r#"{"code":21211,"message":"invalid To"}"#);
    assert_eq!(error.kind, SendErrorKind::Permanent);
    let error = attempt(429, &[("retry-after", "3")], r#"{"code":20429,"message":"slow"}"#);
    assert_eq!(error.kind, SendErrorKind::Retryable { after_ms: Some(3000) });
    let error = attempt(502, &[], "<html>");
    assert_eq!(error.kind, SendErrorKind::Uncertain);
}
