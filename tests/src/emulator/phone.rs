//! The phone: a page on which one texts in as any number, through any provider.

use actix_web::web::{Data, Json, Query, ServiceConfig};
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::{Provider, World};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/").route(web::get().to(page)))
        .service(web::resource("/api/text").route(web::post().to(text)))
        .service(web::resource("/api/screen").route(web::get().to(screen)));
}

async fn page() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(include_str!("phone.html"))
}

#[derive(Deserialize)]
struct Text {
    provider: Provider,
    from: String,
    text: String,
}

async fn text(world: Data<World>, body: Json<Text>) -> HttpResponse {
    let digits = body.from.strip_prefix('+').unwrap_or_default();
    if digits.len() < 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let message = "write your number with + and country code, such as +14255550100";
        return HttpResponse::BadRequest().json(json!({ "message": message }));
    }
    let status = world.text(body.provider, &body.from, &body.text).await;
    HttpResponse::Ok().json(json!({ "status": status }))
}

#[derive(Deserialize)]
struct Whose {
    provider: Provider,
    number: String,
}

async fn screen(world: Data<World>, query: Query<Whose>) -> HttpResponse {
    HttpResponse::Ok().json(world.screen(query.provider, &query.number))
}
