//! The routes of the server, each with what the OpenAPI document says of it: there is one list, so neither can lack what the other has.

use std::sync::Arc;

use axum::Router;
use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control::server::App;
use crate::control::{api, page};

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ultraloom live",
        description = "Looks at a live session and changes its fabric while it runs. Reading needs no token; changes do."
    ),
    modifiers(&Token)
)]
struct Document;

/// Changes carry the session's token.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", scheme);
    }
}

/// All routes, and the document as JSON.
pub(crate) fn routes() -> (Router<Arc<App>>, String) {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(api::status))
        .routes(routes!(api::counters))
        .routes(routes!(api::topology))
        .routes(routes!(api::links))
        .routes(routes!(api::link, api::change_link))
        .routes(routes!(api::add_fault))
        .routes(routes!(api::pause))
        .routes(routes!(api::resume))
        .routes(routes!(api::stop))
        .routes(routes!(api::openapi))
        .routes(routes!(api::prometheus))
        .routes(routes!(page::page))
        .routes(routes!(page::style))
        .routes(routes!(page::script))
        .split_for_parts();
    let document = document.to_json().expect("a document is JSON");
    (router, document)
}
