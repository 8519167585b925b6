//! The requests of the API. Each says what it is in its attribute, from which the document is made.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::control::input::{ApiError, LinkChange, link_change, object};
use crate::control::server::App;
use crate::control::view::{Counters, Link, LinkNow, Status, Topology};
use crate::control::{Order, Refused, metrics};

/// Said when an order was carried out.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// Always true.
    done: bool,
}

/// Who may change something: a request with the token.
pub(crate) struct Allowed;

impl FromRequestParts<Arc<App>> for Allowed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Allowed, ApiError> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
        let given = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or("");
        if bool::from(given.as_bytes().ct_eq(app.token.as_bytes())) {
            return Ok(Allowed);
        }
        let message = "changes need the session's token: `Authorization: Bearer TOKEN`";
        Err(ApiError::new(StatusCode::UNAUTHORIZED, message))
    }
}

/// Gives an order to the loop and waits until it is carried out.
async fn order(app: &App, order: Order) -> Result<Json<Done>, ApiError> {
    let answered = app.remote.order(order)?;
    answered.await.unwrap_or(Err(Refused::Over))?;
    Ok(Json(Done { done: true }))
}

fn find(app: &App, id: &str) -> Result<Link, ApiError> {
    let links = &app.topology.links;
    let found = id.parse::<usize>().ok().and_then(|id| links.get(id));
    found.cloned().ok_or_else(|| {
        let message = format!("there is no link `{id}`; there are 0 to {}", links.len() - 1);
        ApiError::new(StatusCode::NOT_FOUND, message)
    })
}

/// How the session stands.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Status)))]
pub(crate) async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    Json(app.remote.view().status.clone())
}

/// Frames, lag, and what the fabric has counted.
#[utoipa::path(get, path = "/api/v1/counters", responses((status = 200, body = Counters)))]
pub(crate) async fn counters(State(app): State<Arc<App>>) -> Json<Counters> {
    Json(app.remote.view().counters.clone())
}

/// Nodes and links as they were built, with places to draw them at.
#[utoipa::path(get, path = "/api/v1/topology", responses((status = 200, body = Topology)))]
pub(crate) async fn topology(State(app): State<Arc<App>>) -> Json<Topology> {
    Json(Topology::clone(&app.topology))
}

/// All links as they are now, by number.
#[utoipa::path(get, path = "/api/v1/links", responses((status = 200, body = [LinkNow])))]
pub(crate) async fn links(State(app): State<Arc<App>>) -> Json<Vec<LinkNow>> {
    Json(app.remote.view().links.clone())
}

/// A link as it is now.
#[utoipa::path(
    get,
    path = "/api/v1/links/{id}",
    params(("id" = String, Path, description = "number of the link", example = "0")),
    responses(
        (status = 200, body = LinkNow),
        (status = 404, body = ApiError, description = "no such link")
    )
)]
pub(crate) async fn link(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<LinkNow>, ApiError> {
    let link = find(&app, &id)?;
    let now = app.remote.view().links.get(link.id as usize).cloned();
    // Before the first snapshot nothing is known but that it is there.
    Ok(Json(now.unwrap_or_else(|| LinkNow { id: link.id, ..LinkNow::default() })))
}

/// Changes a link: rate, delay, loss, down. What is not said stays.
#[utoipa::path(
    post,
    path = "/api/v1/links/{id}",
    params(("id" = String, Path, description = "number of the link", example = "0")),
    request_body = LinkChange,
    security(("token" = [])),
    responses(
        (status = 200, body = Done),
        (status = 400, body = ApiError, description = "a field is wrong"),
        (status = 401, body = ApiError, description = "no token, or another"),
        (status = 404, body = ApiError, description = "no such link"),
        (status = 409, body = ApiError, description = "not possible now")
    )
)]
pub(crate) async fn change_link(
    State(app): State<Arc<App>>,
    _: Allowed,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Done>, ApiError> {
    let link = find(&app, &id)?;
    let actions = link_change(&object(&body)?, &link)?;
    order(&app, Order::Change(actions)).await
}

/// Injects a fault: an object with the keys of a scenario's `[[fault]]`; `at` and `until` count from now.
#[utoipa::path(
    post,
    path = "/api/v1/faults",
    request_body(content = Object, example = json!({ "kind": "link-down", "link": ["leaf:0", "spine:0"], "until": "1 s" })),
    security(("token" = [])),
    responses(
        (status = 200, body = Done),
        (status = 400, body = ApiError, description = "a key is wrong"),
        (status = 401, body = ApiError, description = "no token, or another"),
        (status = 409, body = ApiError, description = "not possible now")
    )
)]
pub(crate) async fn add_fault(
    State(app): State<Arc<App>>,
    _: Allowed,
    body: Bytes,
) -> Result<Json<Done>, ApiError> {
    let actions = (app.faults)(&object(&body)?)?;
    order(&app, Order::Change(actions)).await
}

/// Lets emulated time stand still. Frames that come meanwhile are dropped and counted.
#[utoipa::path(
    post,
    path = "/api/v1/pause",
    security(("token" = [])),
    responses(
        (status = 200, body = Done),
        (status = 401, body = ApiError, description = "no token, or another"),
        (status = 409, body = ApiError, description = "it is paused already")
    )
)]
pub(crate) async fn pause(State(app): State<Arc<App>>, _: Allowed) -> Result<Json<Done>, ApiError> {
    order(&app, Order::Pause).await
}

/// Lets emulated time go on.
#[utoipa::path(
    post,
    path = "/api/v1/resume",
    security(("token" = [])),
    responses(
        (status = 200, body = Done),
        (status = 401, body = ApiError, description = "no token, or another"),
        (status = 409, body = ApiError, description = "it is not paused")
    )
)]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    _: Allowed,
) -> Result<Json<Done>, ApiError> {
    order(&app, Order::Resume).await
}

/// Ends the session, as Ctrl-C does.
#[utoipa::path(
    post,
    path = "/api/v1/stop",
    security(("token" = [])),
    responses(
        (status = 200, body = Done),
        (status = 401, body = ApiError, description = "no token, or another")
    )
)]
pub(crate) async fn stop(State(app): State<Arc<App>>, _: Allowed) -> Result<Json<Done>, ApiError> {
    order(&app, Order::Stop).await
}

/// This document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    responses((status = 200, body = Object, description = "OpenAPI 3.1"))
)]
pub(crate) async fn openapi(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.document.clone())
}

/// The same figures for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = metrics::CONTENT_TYPE))
)]
pub(crate) async fn prometheus(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let text = metrics::text(&app.topology, app.remote.view())
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}
