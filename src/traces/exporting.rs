//! Spans, and how they are sent: in batches, by a thread of the library, over OTLP (HTTP with protocol buffers).

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tokio::runtime::Handle;

use super::settings::Settings;
use super::{HEADER, NotTraced, Send, Side};

/// Whether traces can be sent.
pub const IS_THERE: bool = true;

/// How long a stop waits for the last spans to be sent.
const LAST: Duration = Duration::from_secs(3);

/// What makes spans in this process, as its log is one for all, too.
static TRACING: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

/// Has spans sent from now on, if the settings say where to; to be called within a Tokio runtime.
///
/// # Errors
/// The endpoint is none.
pub fn start(settings: &Settings, send: Send) -> Result<(), NotTraced> {
    if settings.endpoint.is_empty() {
        return Ok(());
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client {
            runtime: Handle::current(),
            send,
        })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(settings.url())
        .with_timeout(settings.export_timeout)
        .build()
        .map_err(|error| NotTraced(error.to_string()))?;
    let bounds = BatchConfigBuilder::default()
        .with_max_queue_size(settings.max_waiting)
        .with_max_export_batch_size(settings.max_waiting.min(512))
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(bounds)
        .build();
    let name = settings.service_name.clone();
    let sampler = Sampler::TraceIdRatioBased(settings.sample);
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(Resource::builder().with_service_name(name).build())
        .build();
    let tracer = provider.tracer("mirant");
    // Whoever has started it in this process before keeps it.
    let _ = TRACING.set((provider, tracer));
    Ok(())
}

/// Sends what waits, for three seconds at most; to be called while the runtime still works, where a thread may wait.
pub fn stop() {
    if let Some((provider, _)) = TRACING.get()
        && let Err(error) = provider.shutdown_with_timeout(LAST)
    {
        tracing::warn!("the last traces were not sent: {error}");
    }
}

pub(super) fn is_on() -> bool {
    TRACING.get().is_some()
}

/// Something that takes time.
pub(super) struct Span(Context);

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").finish_non_exhaustive()
    }
}

impl Span {
    pub(super) fn begin(side: Side, name: String, parent: Option<&HeaderValue>) -> Option<Self> {
        let (_, tracer) = TRACING.get()?;
        let parent = parent.and_then(|parent| parent.to_str().ok());
        let fields: HashMap<String, String> = parent
            .map(|parent| (HEADER.as_str().to_owned(), parent.to_owned()))
            .into_iter()
            .collect();
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &fields);
        let kind = match side {
            Side::Server => SpanKind::Server,
            Side::Client => SpanKind::Client,
        };
        let span = SpanBuilder::from_name(name).with_kind(kind);
        let span = tracer.build_with_context(span, &parent);
        Some(Self(parent.with_span(span)))
    }

    pub(super) fn set(&self, key: &'static str, value: String) {
        self.0.span().set_attribute(KeyValue::new(key, value));
    }

    pub(super) fn fail(&self, why: String) {
        self.0.span().set_status(Status::error(why));
    }

    pub(super) fn context(&self) -> Option<HeaderValue> {
        let mut fields = HashMap::new();
        TraceContextPropagator::new().inject_context(&self.0, &mut fields);
        fields.get(HEADER.as_str())?.try_into().ok()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

/// Sends by the server's own client, in its runtime, whoever asks for it.
struct Client {
    runtime: Handle,
    send: Send,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

type Sent<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + std::marker::Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'s, 'a>(&'s self, request: Request<Bytes>) -> Sent<'a>
    where
        's: 'a,
        Self: 'a,
    {
        let sending = self.runtime.spawn((self.send)(request));
        Box::pin(async move { Ok(sending.await??) })
    }
}
