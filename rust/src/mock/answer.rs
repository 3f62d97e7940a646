//! One request, from its head to the last byte of its answer.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Shared;
use super::dialects::{
    Answer, Dialect, Framing, Operation, Pieces, Question, Refusal, ToolCall, route,
};
use super::http::{Connection, Head};
use super::ledger::{Outcome, Record};
use super::script::{Facts, Fault, Reply, UsageReply};
use super::wait::Wait;
use crate::mock_reply;

/// Pieces of a stream that are written at once where nothing delays them.
const BATCH: u64 = 64;
/// More than a body may have, and more than an event may have.
const TOO_MUCH: usize = 65 << 20;
const TOO_LONG: usize = 5 << 20;

const JSON: &str = "application/json";

/// Answers one request. An error means that the other side has gone.
pub(super) async fn answer(
    shared: &Shared,
    record: &Record<'_>,
    out: &mut Connection,
) -> io::Result<Outcome> {
    let request = record.request();
    let Some(route) = route(request) else {
        let text = format!("no such path: {} {}", request.method, request.path);
        let body = json!({"error": {"message": text, "type": "invalid_request_error", "param": null, "code": null}});
        record.status(404);
        let head = Head { status: 404, content_type: JSON, headers: &[] };
        out.send(&head, body.to_string().as_bytes()).await?;
        return Ok(Outcome::Complete);
    };
    record.routed(route.dialect.word(), &route.prefix);
    let mut exchange = Exchange { shared, record, out, dialect: route.dialect };
    if let Some(wanted) = &shared.script.api_key
        && route.dialect.key(request) != Some(wanted)
    {
        return exchange.refuse(&route.dialect.wrong_key(), &[]).await;
    }
    if route.operation == Operation::Models {
        return exchange.send(200, &route.dialect.models(), &[]).await;
    }
    let body: Json = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(error) => {
            let text = format!("We could not parse the JSON body of your request: {error}");
            let refusal = Refusal { status: 400, message: Some(text), ..Refusal::default() };
            return exchange.refuse(&refusal, &[]).await;
        }
    };
    let question = route.dialect.question(request, &body);
    record.matched(&question.model, question.stream, None);
    if let Some(refusal) = shared.over_limit() {
        return exchange.refuse(&refusal, &[]).await;
    }
    if let Some(refusal) = route.dialect.problem(request, &body, &question) {
        return exchange.refuse(&refusal, &[]).await;
    }
    if route.operation == Operation::Count {
        let count = route.dialect.count(question.prompt.len() as u64);
        return exchange.send(200, &count, &[]).await;
    }
    exchange.converse(&question, &route.prefix).await
}

/// What is needed to answer.
struct Exchange<'a, 'b> {
    shared: &'a Shared,
    record: &'a Record<'b>,
    out: &'a mut Connection,
    dialect: &'static dyn Dialect,
}

impl Exchange<'_, '_> {
    /// Lets the script answer.
    async fn converse(&mut self, question: &Question, prefix: &str) -> io::Result<Outcome> {
        let shared = self.shared;
        let facts = Facts {
            dialect: self.dialect.word(),
            prefix,
            model: &question.model,
            prompt: &question.prompt,
            stream: question.stream,
        };
        if let Some(bad_luck) = shared.bad_luck() {
            self.record.faulty(bad_luck);
            return match bad_luck {
                BadLuck::Reset => Ok(self.break_off(true)),
                BadLuck::Status(status) => {
                    let wait = (status == 429).then_some(Wait::Seconds(1.0));
                    let refusal = Refusal { status, wait, ..Refusal::default() };
                    self.refuse(&refusal, &[]).await
                }
            };
        }
        let (rule, reply) = shared.script.reply(facts, &shared.dice);
        self.record.matched(&question.model, question.stream, rule);
        if let Some(fault) = reply.fault {
            self.record.faulty(fault);
        }
        let latency = reply.latency_ms.map_or(shared.latency, Duration::from_millis);
        if !latency.is_zero() {
            self.out.wait(latency).await?;
        }
        if let Some(size) = reply.together {
            self.out.until(shared.meeting.join(size)).await?;
        }
        if let Some(error) = reply.error.as_ref().filter(|_| reply.fault != Some(Fault::ErrorEvent))
        {
            let refusal = Refusal::scripted(error, error.status.unwrap_or(500));
            return match &error.body {
                Some(body) => {
                    let headers = self.headers_of(&refusal, &reply.headers);
                    self.send(refusal.status, body, &headers).await
                }
                None => self.refuse(&refusal, &reply.headers).await,
            };
        }
        if let Some(outcome) = self.spoilt(reply, question.stream).await? {
            return Ok(outcome);
        }
        let answer = make_answer(question, reply, &self.record.id());
        if question.stream && reply.fault != Some(Fault::WrongType) {
            let delay = reply.chunk_delay_ms.map_or(shared.chunk_delay, Duration::from_millis);
            self.stream(question, reply, &answer, delay).await
        } else {
            self.whole(question, reply, &answer).await
        }
    }

    /// The faults for which it does not matter what the answer would have been.
    async fn spoilt(&mut self, reply: &Reply, stream: bool) -> io::Result<Option<Outcome>> {
        let stream_type = self.dialect.stream_type(&Question::default());
        let (status, content_type, body): (u16, &str, &str) = match reply.fault {
            Some(Fault::StallHeaders) => return Err(self.out.gone().await),
            Some(Fault::Stall) if !stream => return Err(self.out.gone().await),
            Some(Fault::Html) => (502, "text/html", "<html><body>502 Bad Gateway</body></html>"),
            Some(Fault::NotJson) => (200, JSON, "this is not JSON"),
            Some(Fault::MalformedEvent) if !stream => (200, JSON, "{\"broken"),
            Some(Fault::Empty) => (200, if stream { stream_type } else { JSON }, ""),
            Some(fault @ (Fault::Reset | Fault::Close)) if !stream => {
                return Ok(Some(self.break_off(fault == Fault::Reset)));
            }
            _ => return Ok(None),
        };
        self.record.status(status);
        let headers = self.headers(&reply.headers);
        let head = Head { status, content_type, headers: &headers };
        self.out.send(&head, body.as_bytes()).await?;
        Ok(Some(Outcome::Complete))
    }

    fn break_off(&mut self, reset: bool) -> Outcome {
        self.out.break_off(reset);
        Outcome::Broken
    }

    /// The headers of every answer, and these.
    fn headers(&self, more: &[(String, String)]) -> Vec<(String, String)> {
        let mut headers = vec![(self.dialect.id_header().to_owned(), self.record.id())];
        headers.extend(more.iter().cloned());
        headers
    }

    fn headers_of(&self, refusal: &Refusal, more: &[(String, String)]) -> Vec<(String, String)> {
        let style = self.dialect.rate_headers();
        let mut headers = refusal.wait.map(|wait| wait.headers(style)).unwrap_or_default();
        headers.extend(more.iter().cloned());
        headers
    }

    async fn refuse(
        &mut self,
        refusal: &Refusal,
        headers: &[(String, String)],
    ) -> io::Result<Outcome> {
        let body = self.dialect.error(refusal, &self.record.id());
        let headers = self.headers_of(refusal, headers);
        self.send(refusal.status, &body, &headers).await
    }

    async fn send(
        &mut self,
        status: u16,
        body: &Json,
        headers: &[(String, String)],
    ) -> io::Result<Outcome> {
        self.record.status(status);
        let headers = self.headers(headers);
        let head = Head { status, content_type: JSON, headers: &headers };
        self.out.send(&head, body.to_string().as_bytes()).await?;
        Ok(Outcome::Complete)
    }

    /// A plain answer.
    async fn whole(
        &mut self,
        question: &Question,
        reply: &Reply,
        answer: &Answer<'_>,
    ) -> io::Result<Outcome> {
        let body = match reply.fault {
            Some(Fault::ErrorEvent) => self.event_error(reply),
            _ => self.dialect.whole(question, answer),
        };
        let body = body.to_string().into_bytes();
        let is_mislabelled = reply.fault == Some(Fault::WrongType) && !question.stream;
        let content_type = if is_mislabelled { "text/plain" } else { JSON };
        self.record.status(200);
        let headers = self.headers(&reply.headers);
        let head = Head { status: 200, content_type, headers: &headers };
        match reply.fault {
            Some(Fault::StallBody) => {
                self.out.send_half(&head, &body).await?;
                return Err(self.out.gone().await);
            }
            Some(Fault::Cut) => {
                self.out.send_half(&head, &body).await?;
                return Ok(self.break_off(false));
            }
            Some(Fault::Oversized) => {
                self.out.begin(&head).await?;
                let spaces = vec![b' '; 1 << 20];
                for _ in 0..TOO_MUCH >> 20 {
                    self.out.pieces(std::iter::once(spaces.as_slice())).await?;
                }
                self.out.pieces(std::iter::once(body.as_slice())).await?;
                self.out.end().await?;
            }
            _ if reply.bytewise => {
                self.out.begin(&head).await?;
                self.out.pieces(body.chunks(1)).await?;
                self.out.end().await?;
            }
            _ => self.out.send(&head, &body).await?,
        }
        self.report(answer);
        Ok(Outcome::Complete)
    }

    fn report(&self, answer: &Answer<'_>) {
        if let Some(usage) = answer.usage {
            self.record.reported(usage);
        }
    }

    /// The error that comes as an event, or inside a good status.
    fn event_error(&self, reply: &Reply) -> Json {
        let overloaded = self.dialect.overloaded();
        let refusal = match &reply.error {
            Some(error) => match &error.body {
                Some(body) => return body.clone(),
                None => Refusal::scripted(error, error.status.unwrap_or(overloaded)),
            },
            None => Refusal { status: overloaded, ..Refusal::default() },
        };
        self.dialect.error(&refusal, &self.record.id())
    }

    /// A streamed answer.
    async fn stream(
        &mut self,
        question: &Question,
        reply: &Reply,
        answer: &Answer<'_>,
        delay: Duration,
    ) -> io::Result<Outcome> {
        self.record.status(200);
        let headers = self.headers(&reply.headers);
        let content_type = self.dialect.stream_type(question);
        self.out.begin(&Head { status: 200, content_type, headers: &headers }).await?;
        if reply.fault == Some(Fault::StallBody) {
            return Err(self.out.gone().await);
        }
        let mut framing = self.dialect.framing(question, answer);
        let mut events = Vec::new();
        framing.begin(&mut events);
        if !delay.is_zero() {
            self.flush(&mut events, 0, reply.bytewise).await?;
        }
        let count = answer.pieces.len();
        let (mut waiting, last) = (0, reply.fault.map_or(count, |_| reply.after.min(count)));
        for index in 0..last {
            if !delay.is_zero() && index > 0 {
                self.out.wait(delay).await?;
            }
            framing.text(&answer.pieces.get(index), &mut events);
            waiting += 1;
            if !delay.is_zero() || waiting == BATCH {
                self.flush(&mut events, waiting, reply.bytewise).await?;
                waiting = 0;
            }
        }
        if let Some(fault) = reply.fault {
            self.flush(&mut events, waiting, reply.bytewise).await?;
            return self.fail(fault, reply, framing.as_mut()).await;
        }
        framing.end(&mut events);
        self.flush(&mut events, waiting, reply.bytewise).await?;
        self.out.end().await?;
        self.report(answer);
        Ok(Outcome::Complete)
    }

    async fn flush(
        &mut self,
        events: &mut Vec<String>,
        chunks: u64,
        bytewise: bool,
    ) -> io::Result<()> {
        let size = |event: &str| if bytewise { 1 } else { event.len().max(1) };
        let pieces = events.iter().flat_map(|event| event.as_bytes().chunks(size(event)));
        self.out.pieces(pieces).await?;
        events.clear();
        self.record.sent(self.out.take_sent(), chunks);
        Ok(())
    }

    /// What a fault does to a stream that has begun.
    async fn fail(
        &mut self,
        fault: Fault,
        reply: &Reply,
        framing: &mut dyn Framing,
    ) -> io::Result<Outcome> {
        let mut events = Vec::new();
        match fault {
            Fault::Reset | Fault::Close => return Ok(self.break_off(fault == Fault::Reset)),
            Fault::Stall => return Err(self.out.gone().await),
            Fault::ErrorEvent => framing.error(&self.event_error(reply), &mut events),
            Fault::MalformedEvent => framing.raw("{\"broken", &mut events),
            Fault::Oversized => framing.text(&"x".repeat(TOO_LONG), &mut events),
            _ => {} // a cut
        }
        self.flush(&mut events, 0, reply.bytewise).await?;
        self.out.end().await?;
        Ok(Outcome::Broken)
    }
}

/// What `--error-rate` does to a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum BadLuck {
    Status(u16),
    Reset,
}

/// What the model says: as the script has it, else made from the question alone.
pub(super) fn make_answer<'a>(question: &'a Question, reply: &'a Reply, id: &str) -> Answer<'a> {
    let mut tool_calls: Vec<ToolCall> = Vec::new();
    for (index, call) in reply.tool_calls.iter().enumerate() {
        let id = call.id.clone().unwrap_or_else(|| format!("{}_{index}", call_id(id)));
        let arguments = match &call.arguments {
            Json::String(text) => text.clone(),
            Json::Null => "{}".to_owned(),
            other => other.to_string(),
        };
        tool_calls.push(ToolCall { id, name: call.name.clone(), arguments });
    }
    let is_scripted = reply.text.is_some()
        || reply.chunks.is_some()
        || reply.repeat.is_some()
        || reply.refusal.is_some();
    if let Some((name, schema)) = question.forced.as_ref()
        && tool_calls.is_empty()
        && !is_scripted
    {
        let arguments = reply.json.clone().unwrap_or_else(|| mock_reply::for_schema(schema));
        let (id, arguments) = (format!("{}_0", call_id(id)), arguments.to_string());
        tool_calls.push(ToolCall { id, name: name.clone(), arguments });
    }
    let pieces = make_pieces(question, reply, !tool_calls.is_empty());
    let usual = if tool_calls.is_empty() { "stop" } else { "tool_calls" };
    let usage = reply.usage.unwrap_or(UsageReply {
        prompt_tokens: question.prompt.len() as u64,
        completion_tokens: 42,
        ..UsageReply::default()
    });
    Answer {
        model: Cow::Borrowed(reply.model.as_deref().unwrap_or(&question.model)),
        pieces,
        tool_calls,
        refusal: reply.refusal.as_deref(),
        thinking: reply.thinking.as_deref(),
        finish: reply.finish_reason.as_deref().unwrap_or(usual),
        usage: (!reply.no_usage).then_some(usage),
    }
}

/// `req_mock_7` → `call_7`
fn call_id(request_id: &str) -> String {
    format!("call_{}", request_id.rsplit('_').next().unwrap_or(""))
}

fn make_pieces<'a>(question: &'a Question, reply: &'a Reply, calls_tools: bool) -> Pieces<'a> {
    if let Some(chunks) = &reply.chunks {
        return Pieces::List(chunks.iter().map(|chunk| Cow::Borrowed(chunk.as_str())).collect());
    }
    if let Some(repeat) = &reply.repeat {
        return Pieces::Repeat(&repeat.text, repeat.count);
    }
    let is_forced = question.forced.is_some() && calls_tools;
    let text = match (&reply.text, &reply.json, &question.schema) {
        (Some(text), _, _) => Cow::Borrowed(text.as_str()),
        (_, Some(json), _) if !is_forced => Cow::Owned(json.to_string()),
        _ if calls_tools || reply.refusal.is_some() => return Pieces::List(Vec::new()),
        (_, _, Some(schema)) => Cow::Owned(mock_reply::for_schema(schema).to_string()),
        _ => Cow::Owned(mock_reply::text(&question.prompt)),
    };
    if !question.stream {
        return Pieces::List(vec![text]);
    }
    let words = text.split_inclusive(' ').map(|word| Cow::Owned(word.to_owned()));
    Pieces::List(words.collect())
}
