"""What a prompt is, how it reaches the wire, and what calls take (PR-1 to PR-10, CA-2 to CA-13)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import concerto
import pytest
from concerto.compiler import compile_source
from concerto.source import Source

HEAD = """
connect c { base_url: env("URL"), default_model: "m" }
model M { provider: c, system_prompt: "Speak ${"plainly"}; say ${env("WORD")}." }
"""


@pytest.fixture
def server() -> Iterator[concerto.MockServer]:
    script = {"rules": [{"match": {"contains": "echo"}, "reply": {"text": "${secret} {{x}}"}}]}
    with concerto.MockServer(script=json.dumps(script)) as running:
        yield running


def run(server: concerto.MockServer, functions: str, *args: Any) -> Any:
    program = concerto.compile(HEAD + functions)
    return concerto.Runtime(program, env={"URL": server.url, "WORD": "${yes}"}).call("go", *args)


def messages(server: concerto.MockServer) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in server.requests()[-1]["body"]["messages"]]


ODD = [
    "  leading and trailing \t\r\n",
    "line\r\nline\rline\n",
    "${not} {{this}} $x { } %s {0}",
    "\x01\x1b[31m\x7f\u200b\ufeff",
    "naïve \U0001f600 日本語 e\u0301",
    '"quoted" \\ and \\n',
]


@pytest.mark.parametrize("prompt", ODD)
def test_pr_2_pr_7_a_prompt_arrives_byte_for_byte(server: concerto.MockServer, prompt: str) -> None:
    go = "pub fn go(p: String) -> Result<Nil, LlmError> { M.execute(p)?; Ok(nil) }"
    run(server, go, prompt)
    assert messages(server)[1] == ("user", prompt)


def test_pr_3_pr_4_what_interpolation_inserts_and_that_it_is_data(
    server: concerto.MockServer,
) -> None:
    """The display form; the text of a response, the message of an error; nothing inserted is expanded again."""
    run(
        server,
        """schema S { a: Int, b: String }
        pub fn go() -> Result<Nil, LlmError> {
            let r = M.execute("echo")?;
            let e = LlmError::new("bro${"ken"}");
            M.execute("${r}|${e}|${[1.0, 2.5]}|${["x"]}|${S { a: 1, b: "y" }}|${true}|${nil}")?;
            Ok(nil)
        }""",
    )
    assert messages(server) == [
        ("system", "Speak plainly; say ${yes}."),
        ("user", '${secret} {{x}}|broken|[1.0, 2.5]|["x"]|S { a: 1, b: "y" }|true|nil'),
    ]


def test_pr_9_pr_10_order_of_messages(server: concerto.MockServer) -> None:
    """System prompt first; system messages of a conversation follow, and are joined where there is one field."""
    run(
        server,
        """pub fn go() -> Result<Nil, LlmError> {
            M.chat([Message::system("More."), Message::user("a"), Message::assistant("b"), Message::user("c")])?;
            Ok(nil)
        }""",
    )
    assert messages(server) == [
        ("system", "Speak plainly; say ${yes}.\n\nMore."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("M.execute(5)?;", ["E3001"]),
        ("M.execute(nil)?;", ["E3001"]),
        ("M.execute([1])?;", ["E3001"]),
        ('let a: Option<String> = "x"; M.execute("Hi ${a}")?;', ["W4013"]),
        ("M.run(1);", ["E3011"]),
        ('M.generate("x");', ["E3011"]),
        ('M.ask("x");', ["E3011"]),
        ('M.execute_schema("x");', ["E3011"]),
        ('M.execute("x");', ["W3005"]),
        ("M.with_seed(1);", ["W3005"]),
        ("let b = M.with_seed(1) == M.with_seed(1); println(b);", ["E3004"]),
    ],
)
def test_pr_1_ca_2_ca_4_ca_13_what_the_checker_says(body: str, expected: list[str]) -> None:
    text = f"{HEAD}\npub fn f() -> Result<Nil, LlmError> {{ {body} Ok(nil) }}"
    _, found = compile_source(Source("t.conc", text))
    assert [each.code for each in found] == expected
    if expected == ["E3011"]:
        hint = next(each for each in found if each.code == "E3011")
        assert "execute" in f"{hint.message} {hint.help}"


def test_ca_4_a_result_may_be_matched_or_replaced(server: concerto.MockServer) -> None:
    found = run(
        server,
        """pub fn go() -> Array<String> {
            let matched = match M.execute("echo") { Ok(r) => r.text, Err(e) => e.kind };
            let failed = M.execute("");
            let length = match failed { Ok(r) => r.text, Err(e) => e.kind };
            [matched, length]
        }""",
    )
    assert found == ["${secret} {{x}}", "invalid_request"]


@pytest.mark.parametrize("fault", ["not_json", "empty", "html", "reset", "oversized", "cut"])
def test_ca_7_no_answer_of_a_server_panics(fault: str) -> None:
    script = json.dumps({"rules": [{"reply": {"text": "some text here", "fault": fault}}]})
    with concerto.MockServer(script=script) as server:
        kind = run(
            server,
            """schema S { a: Int }
            pub fn go() -> Array<String> {
                let mut kinds = [];
                match M.execute("x") { Ok(r) => kinds.push(r.text), Err(e) => kinds.push(e.kind) }
                match M.execute_with_schema<S>("x") { Ok(s) => kinds.push("${s.a}"), Err(e) => kinds.push(e.kind) }
                match M.stream("x") {
                    Ok(s) => { match s.collect() { Ok(r) => kinds.push(r.text), Err(e) => kinds.push(e.kind) } }
                    Err(e) => kinds.push(e.kind),
                }
                kinds
            }""",
        )
    assert len(kind) == 3
    assert all(word.isidentifier() for word in kind), "each is an error of a kind"


class Gathering(BaseHTTPRequestHandler):
    """Answers no request before two have come."""

    both = threading.Barrier(2, timeout=30)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.both.wait()
        body = b'{"choices": [{"message": {"content": "together"}, "finish_reason": "stop"}]}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_m_8_ca_10_calls_of_one_model_overlap() -> None:
    go = 'pub fn go() -> Result<String, LlmError> { Ok(M.execute("x")?.text) }'
    with ThreadingHTTPServer(("127.0.0.1", 0), Gathering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"URL": f"http://127.0.0.1:{server.server_port}", "WORD": ""}
        runtime = concerto.Runtime(concerto.compile(HEAD + go), env=env)
        runs = [runtime.start("go") for _ in range(2)]
        assert [run.result() for run in runs] == ["together"] * 2
        server.shutdown()


def test_ca_3_await_on_a_call_changes_nothing(server: concerto.MockServer) -> None:
    found = run(
        server,
        """fn plain() -> Result<String, LlmError> { Ok(M.execute("echo")?.text) }
        pub async fn go() -> Result<Array<String>, LlmError> {
            let a = await M.execute("echo")?;
            let b = M.execute("echo").await?;
            let (c, d) = await (M.execute("echo"), plain());
            Ok([a.text, b.text, c?.text, d?])
        }""",
    )
    assert found == ["${secret} {{x}}"] * 4
    assert len(server.requests()) == 4
