//! An app with faults around another app: most requests pass unchanged.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture};
use http::{Extensions, Method, Request, Response, StatusCode, header};

use super::{
    connection::FaultyConnection,
    faults::Faults,
    injection::{Injection, body_length},
    language::{Loss, What},
    loss::ConnectionLoss,
    response::{RequestHead, change_response, refusal_response, set_header},
    tokens::Gate,
};
use crate::{
    blob::ByteStream,
    serve::{
        App, Limits, Log,
        app::{Body, Cause, Stream},
    },
};

/// An app with faults.
struct Faulty<A> {
    faults: Arc<Faults>,
    app: A,
}

impl Faults {
    /// Wraps an app: these faults affect its requests and connections.
    #[must_use]
    pub fn around<A: App>(self: &Arc<Self>, app: A) -> impl App + use<A> {
        Faulty { faults: Arc::clone(self), app }
    }
}

impl<A: App> fmt::Debug for Faulty<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("faults", &self.faults).field("app", &self.app).finish()
    }
}

impl<A: App> App for Faulty<A> {
    fn answer(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Body>> {
        Box::pin(self.answer_with_faults(request))
    }

    fn limits(&self) -> &Limits {
        self.app.limits()
    }

    fn log(&self) -> Option<&Log> {
        self.app.log()
    }

    fn connect(&self, stream: Box<dyn Stream>, extensions: &mut Extensions) -> Box<dyn Stream> {
        let loss = self.faults.new_connection();
        extensions.insert(loss.clone());
        Box::new(FaultyConnection::new(self.app.connect(stream, extensions), loss))
    }

    fn expire(&self) {
        self.app.expire();
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.app.close()
    }
}

impl<A: App> Faulty<A> {
    /// The response to a request, unless the connection is lost.
    async fn answer_with_faults(&self, mut request: Request<ByteStream>) -> Response<Body> {
        let loss = request.extensions_mut().remove().unwrap_or_else(|| self.faults.new_connection());
        let mut injection = Injection::new(&self.faults.rules, &request);
        let (number, head) = (self.faults.record.add(&request), RequestHead::of(&request));
        tokio::time::sleep(injection.delay).await;
        let mut response = match self.stop_early(&injection, request, &head, &loss).await {
            Ok(request) => self.pass_on(&mut injection, request, &head, &loss).await,
            Err(response) => response,
        };
        self.faults.record.add_faults(number, &injection.happened);
        if !injection.happened.is_empty() {
            let numbers: Vec<_> = injection.happened.iter().map(|n| (n + 1).to_string()).collect();
            response.extensions_mut().insert(Cause(format!("fault {}", numbers.join(" and "))));
        }
        response
    }

    /// The request for the app, unless a fault or a missing token stops it.
    async fn stop_early(
        &self,
        injection: &Injection<'_>,
        request: Request<ByteStream>,
        head: &RequestHead,
        loss: &ConnectionLoss,
    ) -> Result<Request<ByteStream>, Response<Body>> {
        if let Some(refusal) = injection.refuse {
            let body = drain_body(request.into_body());
            if refusal.early {
                drop(tokio::spawn(body))
            } else {
                body.await
            }
            return Err(refusal_response(refusal, head));
        }
        if let Some(Loss { what: What::Request, after: None, by }) = injection.lose {
            drain_body(request.into_body()).await;
            loss.lose(*by, None);
            return Err(empty_response());
        }
        let tokens = self.faults.tokens.as_ref();
        match tokens.map(|tokens| tokens.gate(request.method(), request.uri(), request.headers())) {
            Some(Gate::Issued(token)) => Err(Response::new(Body::from(Bytes::from(token)))),
            Some(Gate::Asks(challenge)) => {
                drop(tokio::spawn(drain_body(request.into_body())));
                let mut response = empty_response();
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                set_header(response.headers_mut(), header::WWW_AUTHENTICATE.as_str(), &challenge);
                Err(response)
            }
            _ => Ok(request),
        }
    }

    /// The app's answer, changed by faults.
    async fn pass_on(
        &self,
        injection: &mut Injection<'_>,
        mut request: Request<ByteStream>,
        head: &RequestHead,
        loss: &ConnectionLoss,
    ) -> Response<Body> {
        injection.ignore.iter().for_each(|name| hide_parameter(&mut request, name));
        if let Some(limit) = injection.body_limit() {
            request = request.map(|body| limit.apply(body));
        }
        let response = self.app.answer(request).await;
        injection.request_read();
        if let Some(refusal) = injection.refuse {
            return refusal_response(refusal, head);
        }
        let bodiless = head.method == Method::HEAD;
        injection.answered(if bodiless { 0 } else { body_length(response.headers()).unwrap_or_default() });
        match injection.lose {
            Some(Loss { what: What::Request, by, .. }) => loss.lose(*by, None),
            Some(Loss { what: What::Answer, after, by }) => loss.lose(*by, *after),
            None => {}
        }
        change_response(response, &injection.changes, head)
    }
}

fn empty_response() -> Response<Body> {
    Response::new(Body::from(Bytes::new()))
}

/// Reads a body to its end, so that a reset does not discard the answer.
async fn drain_body(mut body: ByteStream) {
    while let Some(Ok(_)) = body.next().await {}
}

/// Removes the header and the query parameter with this name.
fn hide_parameter<B>(request: &mut Request<B>, name: &str) {
    request.headers_mut().remove(name);
    let Some(query) = request.uri().query() else { return };
    let left: Vec<_> = query.split('&').filter(|pair| pair.split('=').next() != Some(name)).collect();
    let path = format!("{}?{}", request.uri().path(), left.join("&"));
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
}
