//! A channel that panics when it is told to: in a call, in a later poll, and in a send; or stands still. It says when it is
//! closed, and is the smallest complete plugin as well.

#![forbid(unsafe_code)]

use cordboard_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Config {}

struct Panicky {
    host: Host,
}

impl Channel for Panicky {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "panicky",
        version: env!("CARGO_PKG_VERSION"),
        description: "Panics when it is told to",
        channel_kind: "messaging",
        hosts: &[],
        secrets: &[],
        headers: &[],
        offers: &[Offer::Inbound, Offer::Outbound],
        max_text: 160,
        idempotent_sends: false,
    };

    async fn open(_: Config, host: Host) -> Result<Self, OpenError> {
        Ok(Self { host })
    }

    async fn receive(&self, request: WebhookRequest) -> Result<Received, Rejection> {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if body == "now" {
            panic!("as you wish: {body}");
        }
        if body == "later" {
            // Crosses to the host and back, so that the panic comes in another poll.
            let _ = self.host.store_get("nothing").await;
            panic!("as you wish: {body}");
        }
        // "stand MS": it keeps its thread to itself for so long, as one that computes too much does.
        if let Some(ms) = body.strip_prefix("stand ").and_then(|ms| ms.parse().ok()) {
            std::thread::sleep(std::time::Duration::from_millis(ms));
            return Ok(Received::events([]));
        }
        if body == "place" {
            let place = self.host.place_in_queue("+14255550100").await;
            let body = WebhookResponse::body("text/plain", format!("{place:?}"));
            return Ok(Received::events([]).with_response(body));
        }
        // "keep KEY BYTES", "drop KEY": in its store.
        if let Some((key, bytes)) = body.strip_prefix("keep ").and_then(|what| what.split_once(' '))
        {
            let kept = self.host.store_put(key, &vec![1; bytes.parse().unwrap_or(0)]).await;
            kept.map_err(Rejection::NotUnderstood)?;
            return Ok(Received::events([]));
        }
        if let Some(key) = body.strip_prefix("drop ") {
            self.host.store_remove(key).await.map_err(Rejection::NotUnderstood)?;
            return Ok(Received::events([]));
        }
        if body == "go" {
            let kept = self.host.store_put("go", b"1").await;
            kept.map_err(Rejection::NotUnderstood)?;
            return Ok(Received::events([]));
        }
        // "report ID" or "report ID REFERENCE": it was delivered.
        if let Some(report) = body.strip_prefix("report ") {
            let (id, reference) = report.split_once(' ').unwrap_or((report, ""));
            let reference = Some(reference.to_owned()).filter(|name| !name.is_empty());
            let status = DeliveryStatus::Delivered;
            let report = DeliveryReport { provider_id: id.to_owned(), reference, status };
            return Ok(Received::events([Event::Delivery(report)]));
        }
        let message = Inbound::text(body.clone(), "+14255550100", "+14255550199", body);
        Ok(Received::events([Event::Message(message)]))
    }

    async fn send(&self, message: Outbound) -> Result<Receipt, SendError> {
        // As a webhook that says so does.
        if let Some(ms) = message.text.strip_prefix("stand ").and_then(|ms| ms.parse().ok()) {
            std::thread::sleep(std::time::Duration::from_millis(ms));
            return Ok(Receipt::sent(message.text));
        }
        // "as ID": the provider knows it by that, but answers only when it is told to.
        let Some(id) = message.text.strip_prefix("as ") else {
            panic!("won't send {}", message.text);
        };
        loop {
            match self.host.store_get("go").await {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Ok(Receipt::sent(id)),
            }
        }
    }

    async fn close(&self) {
        self.host.log(Level::Info, "closed, as it should be", &[]);
    }

    async fn verify(&self, _: VerifyRequest) -> VerifyReport {
        VerifyReport::failed("this channel has no provider")
    }
}

cordboard_sdk::export_channel!(Panicky);
