//! The headers of every response, and the host names that the console accepts.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Console;

/// Scripts and styles come only from own assets, never from inside a page, so that unescaped text could still not run.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages are about people and must not be cached. Only assets, which are the same for everybody, set their own header.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses requests with an unknown host name: they may come from a browser that a web page sent to a console on loopback
/// (DNS rebinding).
pub(super) async fn hosts(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| is_ours(host, &console.hosts)) {
        return next.run(request).await;
    }
    let hint = "Unknown host name. Add it to `console_hosts` in section [http] of the configuration, or use the IP address.\n";
    (StatusCode::MISDIRECTED_REQUEST, hint).into_response()
}

fn is_ours(host: &str, names: &std::collections::BTreeSet<String>) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_configured_names_are_ours() {
        let names = std::collections::BTreeSet::from(["hub.example.org".to_owned()]);
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost",
            "LOCALHOST:1",
            "hub.example.org:443",
        ] {
            assert!(is_ours(host, &names), "{host}");
        }
        for host in [
            "rebind.example.net:8080",
            "",
            "127.0.0.1.example.net",
            "localhost.example.net",
        ] {
            assert!(!is_ours(host, &names), "{host}");
        }
    }
}
