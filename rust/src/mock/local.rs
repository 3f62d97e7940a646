//! Scripts without a server: the same rules answer the calls of a runtime in its own process (`--mock FILE`).

use std::time::Duration;

use serde_json::Value as Json;

use super::answer::make_answer;
use super::dialects::{self, Dialect, Question, Refusal};
use super::dice::Dice;
use super::script::{Facts, Reply, Script, ScriptError};
use crate::mock_reply;
use crate::wire::HttpResponse;

/// A script that answers in this process. Clones count the uses of rules together.
#[derive(Debug)]
pub struct LocalScript {
    script: Script,
    dice: Dice,
}

impl LocalScript {
    /// Reads the rules of a script, JSON text as `docs/mock.md` describes it.
    ///
    /// # Errors
    /// [`ScriptError`], also for what only a server can do: faults of the network, and keys.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let script = Script::parse(text)?;
        script.check_local()?;
        Ok(Self { script, dice: Dice::new(0) })
    }
}

impl mock_reply::Script for LocalScript {
    fn answer(&self, asked: &mock_reply::Question<'_>) -> mock_reply::Scripted {
        let question = Question {
            model: asked.model.to_owned(),
            prompt: asked.prompt.to_owned(),
            stream: asked.stream,
            schema: asked.schema.cloned(),
            ..Question::default()
        };
        let facts = Facts {
            dialect: asked.dialect,
            prefix: asked.connection,
            model: asked.model,
            prompt: asked.prompt,
            stream: asked.stream,
        };
        let (_, reply) = self.script.reply(facts, &self.dice);
        let millis = |time: Option<u64>| Duration::from_millis(time.unwrap_or(0));
        let known = dialects::ALL.into_iter().find(|dialect| dialect.word() == asked.dialect);
        let dialect = known.unwrap_or(&dialects::openai::OpenAi);
        let (pieces, answer) = respond(dialect, &question, reply);
        let (latency, pause) = (millis(reply.latency_ms), millis(reply.chunk_delay_ms));
        mock_reply::Scripted { latency, pause, pieces, answer }
    }
}

/// The pieces of the text, and the whole answer as the service would send it.
fn respond(
    dialect: &dyn Dialect,
    question: &Question,
    reply: &Reply,
) -> (Vec<String>, HttpResponse) {
    let id = "mock";
    let sent = |status, body: &Json, headers: Vec<(String, String)>| HttpResponse {
        status,
        headers: headers.into_iter().chain(lower(&reply.headers)).collect(),
        body: body.to_string().into_bytes().into(),
    };
    if let Some(error) = &reply.error {
        let refusal = Refusal::scripted(error, error.status.unwrap_or(500));
        let style = dialect.rate_headers();
        let headers = refusal.wait.map(|wait| wait.headers(style)).unwrap_or_default();
        let body = error.body.clone().unwrap_or_else(|| dialect.error(&refusal, id));
        return (Vec::new(), sent(refusal.status, &body, headers));
    }
    let answer = make_answer(question, reply, id);
    let pieces = (0..answer.pieces.len()).map(|index| answer.pieces.get(index).into_owned());
    let body = dialect.whole(question, &answer);
    (pieces.filter(|piece| !piece.is_empty()).collect(), sent(200, &body, Vec::new()))
}

/// Names in lower case, as they come over the wire.
fn lower(headers: &[(String, String)]) -> impl Iterator<Item = (String, String)> {
    headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
}
