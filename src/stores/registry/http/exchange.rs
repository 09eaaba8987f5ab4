//! One request and its response, over a connection for its host.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use url::Url;

use super::{
    failure::Failure,
    no_answer::{no_answer, too_many_headers},
    payload::Watch,
    rate_limit::Rate,
    request::{AuthorizationHeader, Request},
    response::Response,
    retry::{Attempts, Retry},
    sent_secrets::SentSecrets,
    settings::HttpSettings,
};
use crate::{
    error::{Error, Kind, Result},
    stores::registry::{
        log::{self, Exchange},
        net::{
            pool::{MAX_HEADER_BYTES, MAX_HEADERS, Pools},
            proxy::Proxies,
            settings::NetSettings,
            tunnel,
        },
        origins::{
            address::Address,
            address_scope::NearestScope,
            origin::{HostTrust, Origin},
        },
    },
};

/// How many bytes of an upload a registry may take another second to store.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// Connections, regardless of credentials.
pub(in crate::stores::registry) struct HttpClient {
    pools: Pools,
    proxies: Proxies,
    user_agent: HeaderValue,
    header_timeout: Duration,
    read_timeout: Duration,
    rate: Option<Rate>,
    retry: Arc<Retry>,
    /// What was sent, to keep it out of messages.
    pub(in crate::stores::registry) sent: SentSecrets,
    /// Origins that have answered at least once.
    known: Mutex<HashSet<Origin>>,
}

impl HttpClient {
    pub(in crate::stores::registry) fn new(
        settings: HttpSettings,
        net: &NetSettings,
        nearest: &NearestScope,
    ) -> Result<Self> {
        let user_agent = HeaderValue::from_str(&settings.user_agent)
            .map_err(|_| Error::invalid("the user agent is not a valid header value"))?;
        Ok(Self {
            pools: Pools::new(net, nearest)?,
            proxies: net.proxies.clone(),
            user_agent,
            header_timeout: settings.header_timeout,
            read_timeout: settings.read_timeout,
            rate: settings.rate,
            retry: Retry::new(settings.retries, settings.backoff, settings.progress),
            sent: settings.sent,
            known: Mutex::default(),
        })
    }

    pub(in crate::stores::registry) fn attempts(&self) -> Attempts {
        self.retry.attempts()
    }

    /// Sends one request and returns its response; redirects are not followed. The authorization is attached only if it
    /// is for this origin.
    pub(in crate::stores::registry) async fn exchange(
        &self,
        host_trust: HostTrust,
        request: &Request<'_>,
        address: &Address,
        authorization: Option<&AuthorizationHeader>,
    ) -> Result<Response, Failure> {
        let origin = address.origin()?;
        let mut what = format!("{} {address}", request.method);
        let attached = authorization.filter(|header| header.origin == origin);
        let mut http_request = self.http_request(request, address.url(), &what)?;
        http_request.headers_mut().extend(attached.map(|header| (header::AUTHORIZATION, header.value.clone())));
        let proxy = self.proxies.of(&origin).map_err(|e| e.context(what.clone()))?;
        if let Some(proxy) = proxy {
            what = format!("{what} through the proxy `{proxy}`");
            // A proxy does not read requests inside a tunnel; it got its login when the tunnel was made.
            let login = proxy.login.as_ref().filter(|_| !origin.is_secure());
            http_request.headers_mut().extend(login.map(|login| (header::PROXY_AUTHORIZATION, login.clone())));
        }
        let secrets = attached.map(|header| &header.secrets).into_iter().chain(proxy.map(|proxy| &proxy.secrets));
        self.sent.add(secrets.clone().flatten());
        let (body, watch) = request.payload.open(self.rate.as_ref()).await?;
        let traffic = Exchange {
            method: &request.method,
            address,
            proxy: proxy.map(|proxy| proxy.as_ref() as &(dyn fmt::Display + Sync)),
        };
        log::request(traffic, request.payload.len(), attached.map(AuthorizationHeader::credential_use));
        let asked = Instant::now();
        let sending = self.pools.of(host_trust).request(&origin, http_request.map(|()| body), request.is_large());
        let patience = self.header_timeout + Duration::from_secs(request.payload.len() / BYTES_PER_SECOND);
        let answer = patiently(sending, &watch, patience).await;
        // A failure of our own source is final and must not be hidden by an early response of the registry.
        if let Some(failure) = watch.failure() {
            return Err(Failure::Final(failure));
        }
        let response = match answer {
            Some(Ok(response)) => response,
            Some(Err(error)) => {
                let known = self.known().contains(&origin);
                let client_auth = self.pools.of(host_trust).client_auth();
                let failure = no_answer(&what, &address.authority(), error, known, client_auth);
                log::no_answer(traffic, failure.error(), asked.elapsed());
                return Err(if proxy.is_some() { failure.through_proxy() } else { failure });
            }
            None => {
                let message = format!("{what}: no answer within {} s", patience.as_secs());
                let error = Error::new(Kind::Unavailable, message);
                log::no_answer(traffic, &error, asked.elapsed());
                return Err(Failure::passing(error));
            }
        };
        self.known().insert(origin);
        let (head, body) = response.into_parts();
        log::response(traffic, head.status, head.version, &head.headers, asked.elapsed());
        check_headers(&head.headers, &request.method, &what)?;
        if let Some(proxy) = proxy.filter(|_| head.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            return Err(Failure::Final(tunnel::proxy_auth_error(proxy, &format!("{what}: "))));
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            address: address.clone(),
            method: request.method.clone(),
            sent: secrets.flatten().cloned().collect(),
            credentials: attached.and_then(|header| header.from.clone()),
            patience: self.read_timeout,
            rate: self.rate.clone(),
            body: body.boxed(),
        })
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Origin>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn http_request(&self, request: &Request<'_>, url: &Url, what: &str) -> Result<HttpRequest<()>> {
        let bad = |e: http::Error| Error::invalid(format!("{what}: {e}"));
        let mut plain = url.clone();
        plain.set_fragment(None);
        let mut http_request =
            HttpRequest::builder().method(request.method.clone()).uri(plain.as_str()).body(()).map_err(bad)?;
        let headers = http_request.headers_mut();
        headers.extend(request.headers.clone());
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(header::CONTENT_LENGTH, request.payload.len().into());
        }
        Ok(http_request)
    }
}

/// Errors: more headers than the limit; two lengths, on which two readers could disagree (RFC 9112 section 6.3).
fn check_headers(headers: &HeaderMap, method: &Method, what: &str) -> Result<()> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > MAX_HEADER_BYTES || headers.len() > MAX_HEADERS {
        return Err(too_many_headers(what));
    }
    let lengths = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    if *method != Method::HEAD && lengths.iter().all(|name| headers.contains_key(name)) {
        return Err(Error::new(
            Kind::NotARegistry,
            format!("{what}: answered with both `Content-Length` and `Transfer-Encoding`"),
        ));
    }
    Ok(())
}

/// Waits for a response while the body moves, and then for `patience`; `None` if nothing came.
async fn patiently<T>(sending: impl Future<Output = T>, watch: &Arc<Watch>, patience: Duration) -> Option<T> {
    let mut sending = std::pin::pin!(sending);
    loop {
        let deadline = watch.moved() + patience;
        tokio::select! {
            response = &mut sending => return Some(response),
            () = tokio::time::sleep_until(deadline) => {
                if watch.moved() + patience <= Instant::now() {
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use bytes::Bytes;

    use super::*;
    use crate::stores::registry::http::payload::Payload;

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_the_limit_holds_back_does_not_stand_still() {
        let (rate, start) = (Rate::new(NonZeroU64::new(10).unwrap()), Instant::now());
        let payload = Payload::Bytes(Bytes::from_static(b"0123456789"));
        let (body, watch) = payload.open(Some(&rate)).await.unwrap();
        let sent = patiently(body.collect(), &watch, Duration::from_millis(50)).await;
        assert_eq!(sent.unwrap().unwrap().to_bytes(), "0123456789");
        assert_eq!(start.elapsed(), Duration::from_millis(900));
        let never = patiently(std::future::pending::<()>(), &watch, Duration::from_millis(50)).await;
        assert!(never.is_none());
    }
}
