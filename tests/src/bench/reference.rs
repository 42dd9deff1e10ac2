//! What the figures stand beside.

use std::collections::HashMap;

use actix_web::web::{Bytes, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::StreamExt;
use uuid::Uuid;

/// A bare actix-web server: parses the same form and answers; and echoes over WebSocket. Runs until
/// it is killed.
///
/// # Errors
/// The port can't be had.
pub async fn bare_server(port: u16) -> std::io::Result<()> {
    HttpServer::new(|| {
        App::new()
            .app_data(web::PayloadConfig::new(1_100_000))
            .service(web::resource("/echo").route(web::get().to(echo)))
            .default_service(web::post().to(form))
    })
    .workers(2)
    .tcp_nodelay(true)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}

async fn form(body: Bytes) -> HttpResponse {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    match fields.iter().any(|(name, _)| name == "MessageSid") {
        true => HttpResponse::Ok().content_type("text/xml").body("<Response/>"),
        false => HttpResponse::BadRequest().finish(),
    }
}

async fn echo(request: HttpRequest, body: Payload) -> Result<HttpResponse, actix_web::Error> {
    let (response, mut session, mut stream) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(frame)) = stream.next().await {
            if let actix_ws::Message::Text(text) = frame
                && session.text(text).await.is_err()
            {
                return;
            }
        }
    });
    Ok(response)
}

/// Resident bytes of one entry of a plain map from id to load: the least that knowing of an
/// assigned conversation can cost.
pub fn ledger_entry_bytes() -> f64 {
    const COUNT: usize = 1_000_000;
    let pid = std::process::id();
    let before = super::resident(pid);
    let map: HashMap<Uuid, u64> =
        (0..COUNT).map(|n| (Uuid::from_u128(n as u128), n as u64)).collect();
    let after = super::resident(pid);
    assert_eq!(map.len(), COUNT);
    (after - before) as f64 / COUNT as f64
}

/// Resident bytes of one live bare actix actor.
pub async fn actor_bytes() -> f64 {
    use actix::prelude::*;

    const COUNT: usize = 100_000;
    struct Bare(#[allow(dead_code, reason = "stands for some state")] u64);
    impl Actor for Bare {
        type Context = Context<Self>;
    }
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Nothing;
    impl Handler<Nothing> for Bare {
        type Result = ();
        fn handle(&mut self, _: Nothing, _: &mut Self::Context) {}
    }
    let pid = std::process::id();
    let before = super::resident(pid);
    let actors: Vec<Addr<Bare>> = (0..COUNT).map(|n| Bare(n as u64).start()).collect();
    for actor in &actors {
        actor.send(Nothing).await.expect("it is alive");
    }
    let after = super::resident(pid);
    (after - before) as f64 / actors.len() as f64
}
