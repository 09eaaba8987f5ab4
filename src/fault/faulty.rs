//! What stands between the connection and the registry: most requests pass, and some are not left alone.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use jiff::{Timestamp, ToSpan as _};

use super::{
    Faults,
    connection::ConnectionLoss,
    effects::{Effects, length},
    language::{Change, Loss, Refusal, What},
    tokens::Gate,
};
use crate::{
    error::Error,
    serve::{
        net::watch::{Activity, LogLine},
        registry::{Registry, incoming::Cut, reply},
    },
};

/// What is sent: the registry's answer, or one of ours.
pub(super) type Body = Either<Changed, Full<Bytes>>;

impl Faults {
    /// The response to a request, if the connection lives to see it.
    pub(crate) async fn answer(
        &self,
        registry: &Arc<Registry>,
        request: Request<Incoming>,
        activity: Activity,
        order: &ConnectionLoss,
    ) -> Response<Body> {
        let mut effects = self.effects(&request);
        let (number, about) = (self.note(&request), About::of(&request));
        tokio::time::sleep(effects.delay).await;
        let response = match self.stop(&mut effects, request, &about, order).await {
            Ok(request) => self.pass(registry, &mut effects, request, activity, &about, order).await,
            Err(response) => response,
        };
        self.hit(number, &effects.hit);
        if let (false, Some(log)) = (effects.hit.is_empty(), &registry.options.log) {
            log(&about.line(response.status(), &effects.hit));
        }
        response
    }

    /// The request, unless it gets no further than this.
    async fn stop(
        &self,
        effects: &mut Effects<'_>,
        request: Request<Incoming>,
        about: &About,
        order: &ConnectionLoss,
    ) -> Result<Request<Incoming>, Response<Body>> {
        if let Some(refusal) = effects.refuse {
            let (_, body) = request.into_parts();
            if refusal.early {
                drop(tokio::spawn(drain(body)))
            } else {
                drain(body).await
            }
            return Err(refused(refusal, about));
        }
        if let Some(Loss { what: What::Request, after: None, by }) = effects.lose {
            drain(request.into_body()).await;
            order.lose(*by, None);
            return Err(nothing());
        }
        match self.tokens.as_ref().map(|tokens| tokens.gate(request.method(), request.uri(), request.headers())) {
            Some(Gate::Issued(token)) => Err(Response::new(Either::Right(Full::new(token.into())))),
            Some(Gate::Asks(challenge)) => {
                drop(tokio::spawn(drain(request.into_body())));
                let mut response = nothing();
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                set(response.headers_mut(), header::WWW_AUTHENTICATE.as_str(), &challenge);
                Err(response)
            }
            _ => Ok(request),
        }
    }

    /// What the registry answers, and what becomes of that.
    async fn pass(
        &self,
        registry: &Arc<Registry>,
        effects: &mut Effects<'_>,
        mut request: Request<Incoming>,
        activity: Activity,
        about: &About,
        order: &ConnectionLoss,
    ) -> Response<Body> {
        effects.ignore.iter().for_each(|name| hide(&mut request, name));
        if let Some(meter) = effects.meter() {
            request.extensions_mut().insert(Arc::new(meter) as Arc<dyn Cut>);
        }
        let response = registry.answer(request, activity).await;
        effects.request_read();
        if let Some(refusal) = effects.refuse {
            return refused(refusal, about);
        }
        let bodiless = about.method == Method::HEAD;
        effects.answered(if bodiless { 0 } else { length(response.headers()).unwrap_or_default() });
        match effects.lose {
            Some(Loss { what: What::Request, by, .. }) => order.lose(*by, None),
            Some(Loss { what: What::Answer, after, by }) => order.lose(*by, *after),
            None => {}
        }
        changed(response, &effects.changes, about)
    }
}

/// A request's method, host, path and query: what is left of it when it has been answered.
struct About {
    method: Method,
    uri: Uri,
    host: String,
}

impl About {
    fn of<B>(request: &Request<B>) -> Self {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        Self { method: request.method().clone(), uri: request.uri().clone(), host: host.to_owned() }
    }

    /// A header's value with what stands in it for something else.
    fn fill(&self, value: &str) -> String {
        let mut value = value.replace("{host}", &self.host).replace("{path}", &self.uri.to_string());
        while let Some((before, rest)) = value.split_once("{date") {
            let Some((seconds, after)) = rest.split_once('}') else { break };
            let seconds: i64 = seconds.parse().unwrap_or_default();
            let time = Timestamp::now().checked_add(seconds.seconds()).unwrap_or_default();
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
            value = format!("{before}{}{after}", date.unwrap_or_default());
        }
        value
    }

    fn line(&self, status: StatusCode, hit: &[usize]) -> LogLine {
        let hit: Vec<_> = hit.iter().map(|n| (n + 1).to_string()).collect();
        let error = Some(format!("fault {}", hit.join(" and ")));
        LogLine {
            method: self.method.to_string(),
            path: self.uri.to_string(),
            status: status.as_u16(),
            bytes: 0,
            micros: 0,
            error,
        }
    }
}

/// Reads a body to its end, so that an answer is not lost to a reset.
async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn nothing() -> Response<Body> {
    Response::new(Either::Right(Full::default()))
}

fn refused(refusal: &Refusal, about: &About) -> Response<Body> {
    let body = if about.method == Method::HEAD { Bytes::new() } else { refusal.body.clone().into() };
    let mut response = Response::new(Either::Right(Full::new(body)));
    *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or_default();
    for (name, value) in &refusal.headers {
        set(response.headers_mut(), name, &about.fill(value));
    }
    response
}

fn changed(response: Response<reply::Body>, changes: &[&Change], about: &About) -> Response<Body> {
    let flip = changes.iter().find_map(|change| change.flip);
    let mut response = response.map(|body| Either::Left(Changed { body, at: 0, flip }));
    for change in changes {
        if let Some(status) = change.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            *response.status_mut() = status;
        }
        for (name, value) in &change.headers {
            match value {
                Some(value) => set(response.headers_mut(), name, &about.fill(value)),
                None => drop(response.headers_mut().remove(name)),
            }
        }
    }
    response
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// Takes a header and a query parameter of this name away.
fn hide(request: &mut Request<Incoming>, name: &str) {
    request.headers_mut().remove(name);
    let Some(query) = request.uri().query() else { return };
    let left: Vec<_> = query.split('&').filter(|pair| pair.split('=').next() != Some(name)).collect();
    let path = format!("{}?{}", request.uri().path(), left.join("&"));
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
}

/// The body of an answer, with one bit that may be another one.
pub(crate) struct Changed {
    body: reply::Body,
    at: u64,
    flip: Option<u64>,
}

impl hyper::body::Body for Changed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        let Ok(data) = frame.into_data() else { return Poll::Ready(None) };
        let within = self.flip.and_then(|flip| usize::try_from(flip.checked_sub(self.at)?).ok());
        self.at += data.len() as u64;
        let mut data = BytesMut::from(data);
        if let Some(byte) = within.and_then(|at| data.get_mut(at)) {
            *byte ^= 1;
        }
        Poll::Ready(Some(Ok(Frame::data(data.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
