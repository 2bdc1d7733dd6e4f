//! Traces: what a collector gets to see of a request, over nodes and webhooks.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Kind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::http_api::{key, request};
use crate::support::program::{ConfigFile, Serving};
use crate::support::{Client, Http, Posted, TestCluster, TestRedis, ok, within};

/// Who sends spans, and one of them.
type Sent = (String, Span);

/// A collector that takes spans as they come.
struct Collector {
    setting: String,
    spans: UnboundedReceiver<Sent>,
    taken: Vec<Sent>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let setting = format!("traces.endpoint=http://{}", listener.local_addr().unwrap());
        let (give, spans) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let give = give.clone();
                tokio::spawn(async move {
                    while let Some((_, body)) = Posted::read_any(&mut stream, "/v1/traces").await {
                        for sent in read(&body) {
                            let _ = give.send(sent);
                        }
                        stream.write_all(&ok("")).await.unwrap();
                    }
                });
            }
        });
        Self {
            setting,
            spans,
            taken: Vec::new(),
        }
    }

    /// Waits for a span.
    async fn span(&mut self, wanted: impl Fn(&str, &Span) -> bool) -> Span {
        loop {
            let mut taken = self.taken.iter();
            if let Some((_, span)) = taken.find(|(service, span)| wanted(service, span)) {
                return span.clone();
            }
            let sent = within(self.spans.recv()).await.unwrap();
            self.taken.push(sent);
        }
    }
}

fn read(body: &[u8]) -> Vec<Sent> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut sent = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap();
        let service = attribute(&resource.attributes, "service.name");
        let spans = of_resource.scope_spans.into_iter();
        sent.extend(
            spans
                .flat_map(|scope| scope.spans)
                .map(|span| (service.clone(), span)),
        );
    }
    sent
}

fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|found| found.value.clone());
    match value {
        Some(AnyValue {
            value: Some(Kind::StringValue(text)),
        }) => text,
        other => panic!("{key} is {other:?}"),
    }
}

fn is(span: &Span, kind: SpanKind) -> bool {
    span.kind == kind as i32
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_the_api_is_followed_to_the_other_node() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLER: &str = "00f067aa0ba902b7";
    let mut collector = Collector::start().await;
    let key = key("admin");
    let set = [&*collector.setting, "api.public=true", &key];
    let mut cluster = TestCluster::over(TestRedis::start().await, &set);
    cluster.processes = ["one", "two"]
        .map(|name| cluster.process(&[&format!("traces.service_name={name}")]))
        .into();
    let mut http = Http::open(cluster.processes[0].address()).await;
    loop {
        let nodes = http.exchange(request("GET", "/api/v1/nodes")).await;
        let nodes: Value = serde_json::from_slice(&nodes.body).unwrap();
        if nodes["nodes"].as_array().unwrap().len() == 2 {
            break;
        }
    }
    let asked = request("GET", "/api/v1/sessions?user=secret")
        .header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    let response = http.exchange(asked).await;
    assert_eq!(response.status, 200, "{}", response.text());

    let is_of = |span: &Span| hex(&span.trace_id) == TRACE;
    let api = collector
        .span(|name, span| name == "one" && is_of(span) && is(span, SpanKind::Server))
        .await;
    assert_eq!(api.name, "GET /api/v1/sessions");
    assert_eq!(hex(&api.parent_span_id), CALLER);
    assert_eq!(
        attribute(&api.attributes, "http.response.status_code"),
        "200"
    );
    let call = collector
        .span(|name, span| name == "one" && is_of(span) && is(span, SpanKind::Client))
        .await;
    assert_eq!(call.parent_span_id, api.span_id);
    let answer = collector
        .span(|name, span| name == "two" && is_of(span))
        .await;
    assert_eq!(answer.parent_span_id, call.span_id);
    let said = format!("{:?}", collector.taken);
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_webhook_is_told_of_the_span_that_asks_it_and_a_stop_sends_the_last() {
    let mut collector = Collector::start().await;
    let webhook = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("webhook.url=http://{}/", webhook.local_addr().unwrap());
    let file = ConfigFile::new("webhook-secret", "the secret of one test alone\n");
    let secret = format!("webhook.secret={{ file = '{}' }}", file.path());
    let set = [
        &*collector.setting,
        &url,
        &secret,
        "webhook.decides=['handshake']",
    ];
    let set: Vec<&str> = set.into_iter().flat_map(|set| ["--set", set]).collect();
    let serving = Serving::start(&set);
    let mut client = Client::new(serving.address());
    let asked = async {
        let (mut stream, _) = webhook.accept().await.unwrap();
        let asked = Posted::read(&mut stream, "/").await.unwrap();
        let refused = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refused.as_bytes()).await.unwrap();
        asked
    };
    let (asked, _) = tokio::join!(within(asked), client.handshake());
    tokio::task::spawn_blocking(|| serving.end()).await.unwrap();
    let span = collector.span(|_, span| is(span, SpanKind::Client)).await;
    let context = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
    assert_eq!(asked.header("traceparent"), context);
    assert_eq!(
        attribute(&span.attributes, "http.response.status_code"),
        "500"
    );
    assert_eq!(span.status.unwrap().code, 2, "it is an error");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
