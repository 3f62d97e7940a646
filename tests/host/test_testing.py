"""Tests of the language: isolation, expectations, mocks, captures, snapshots (rules TE-1 to TE-22 of the LLM reference, T-18)."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import concerto
import pytest
from concerto import testing

from tests.conftest import ROOT

BOX = """
connect box { base_url: env("NO_SUCH_URL"), api_key: env("NO_SUCH_KEY"), provider: "openai", default_model: "m-1", retry: { max_attempts: 5 } }
model Judge { provider: box, system_prompt: "Be fair.", base: "m-2" }
model Other { provider: box }
schema Verdict { ok: Bool, @range(1..=5) stars: Int }
"""


def reports(body: str, **options: Any) -> list[testing.TestReport]:
    program = concerto.compile(BOX + body)
    cases = testing.tests_of(program)
    return [testing.run_test(program, index, **options) for index in range(len(cases))]


def report(statements: str, **options: Any) -> testing.TestReport:
    return reports("@test fn t() { " + statements + " }", **options)[0]


def passes(statements: str, **options: Any) -> testing.TestReport:
    found = report(statements, **options)
    assert found.failure is None, found.failure.message
    return found


def fails(statements: str, **options: Any) -> str:
    found = report(statements, **options)
    assert found.failure is not None
    return found.failure.message


def test_a_test_may_be_private_and_use_the_question_mark() -> None:
    # TE-1
    assert passes('let n = "5".parse_int()?; assert_eq(n, 5);').failure is None
    assert fails('let n = "x".parse_int()?; assert_eq(n, 5);') == "`x` is no Int"
    assert fails('throw "out of range";') == "out of range"


def test_there_is_no_assertion_for_patterns() -> None:
    # TE-20
    with pytest.raises(concerto.CompileError, match="there is no function `assert_matches`"):
        concerto.compile('@test fn t() { assert_matches(1, "1"); }')


def test_cases_have_a_name_a_description_and_a_place() -> None:
    # TE-5
    program = concerto.compile('@test("a :: b") fn first() {}\n@test\nfn second() {}')
    assert testing.tests_of(program) == (
        testing.TestCase("first", "a :: b", "<text>", 1),
        testing.TestCase("second", "second", "<text>", 2),
    )


def test_each_test_has_a_state_of_its_own() -> None:
    # TE-2: neither `main` nor the top level runs, and nothing of one test is seen in another.
    body = """
    emit("top", 1);
    fn main() { emit("main", 1); }
    @test fn first() { mock Judge { response: "x" } mock_env("KEY", "v"); emit("a", Judge.execute("p")?.text); }
    @test fn second() {
        assert_eq(test_emits().len(), 0);
        assert_eq(mock_calls(Judge).len(), 0);
        assert_eq(env("KEY") ?? "unset", "unset");
        Judge.execute("p")?;
    }
    """
    first, second = reports(body)
    assert (first.failure, first.emits) == (None, (("a", "x"),))
    assert second.failure is not None
    assert "`Judge` is not mocked" in second.failure.message


def test_a_failure_says_where() -> None:
    # TE-3
    (found,) = reports("fn helper() { let xs = [1]; println(xs[1]); }\n@test fn t() { helper(); }")
    assert found.failure is not None
    assert found.failure.message == "IndexOutOfBounds: index 1 is out of bounds: the length is 1"
    assert [(frame.function, frame.line) for frame in found.failure.trace] == [
        ("helper", 6),
        ("t", 7),
    ]


def test_a_test_that_does_not_end_fails() -> None:
    # TE-3: the limit holds for a busy loop as well.
    assert fails("loop { }", timeout=0.01) == "the test has not ended after 0.01 s"


@pytest.mark.parametrize(
    ("decorator", "body", "message"),
    [
        ("@expect_fail", 'throw "out of range";', None),
        ("@expect_fail", "", "expected failure but test passed"),
        ('@expect_fail("of ra")', 'throw "out of range";', None),
        ('@expect_fail("left != ")', 'assert_eq("a\\nb", "a");', None),
        (
            '@expect_fail("overflow")',
            'throw "out of range";',
            "expected a failure with `overflow`, but the test failed with: out of range",
        ),
        (
            '@expect_fail("overflow")',
            "",
            "expected failure but test passed (with `overflow`)",
        ),
    ],
)
def test_a_test_may_be_expected_to_fail(decorator: str, body: str, message: str | None) -> None:
    # TE-4
    (found,) = reports(f"@test {decorator} fn t() {{ {body} }}")
    assert (found.failure and found.failure.message) == message


def test_nothing_leads_to_a_test() -> None:
    # TE-6: neither a host nor compiled bytes that somebody changed.
    program = concerto.compile("@test pub fn t() {}\npub fn f() {}\nfn main() { f(); }")
    assert [entry.name for entry in program.entry_points] == ["f"]
    with pytest.raises(TypeError):
        concerto.Runtime(program).call("t")
    document = json.loads(program.to_bytes())
    assert document["tests"] == [{"function": 0, "title": "t"}]
    for change in ({"main": 0}, {"exports": [{"name": "t", "function": 0}]}, {"top": 0}):
        changed = {**document, "entry": {**document["entry"], **change}}
        with pytest.raises(concerto.IrError, match="leads to a test"):
            concerto.Program.from_bytes(json.dumps(changed).encode())


def test_instructions_of_tests_end_another_run() -> None:
    # TE-6: no compiler writes that, but bytes may come from anywhere.
    program = concerto.compile("@test fn t() { test_emits(); }\nfn main() {}")
    document = json.loads(program.to_bytes())
    document["functions"].append(document["functions"][0])
    document["entry"]["main"] = len(document["functions"]) - 1
    changed = concerto.Program.from_bytes(json.dumps(document).encode())
    with pytest.raises(concerto.InternalError, match="outside of a test"):
        concerto.Runtime(changed).run()


def test_a_mock_stands_for_every_kind_of_call() -> None:
    # TE-8, TE-14: no request, no settings, no variables.
    passes("""
        mock Judge { response: "fine" }
        assert_eq(Judge.execute("a")?.text, "fine");
        assert_eq(Judge.with_temperature(0.5).execute("b")?.text, "fine");
        assert_eq(Judge.chat([Message::user("c")])?.text, "fine");
        let other = Judge.spawn();
        assert_eq(other.execute("d")?.text, "fine");
        for chunk in Judge.stream("e")? { assert_eq(chunk.text, "fine"); }
        let methods = mock_calls(Judge).map(|call| call.method);
        assert_eq(methods, ["execute", "execute", "chat", "execute", "stream"]);
    """)


def test_answers_come_in_order_and_end() -> None:
    # TE-9
    message = fails("""
        mock Judge { responses: ["one", { text: "two" }] }
        assert_eq(Judge.execute("a")?.text, "one");
        assert_eq(Judge.execute("a")?.text, "two");
        match Judge.execute("a") { Ok(_) => {}, Err(_) => {} }
    """)
    assert message == "mock Judge has no response for call 3"


def test_values_of_a_mock_are_expressions_evaluated_once() -> None:
    # TE-9
    passes("""
        let mut name = "Ada";
        mock Judge { response: "Hello ${name}", tokens_in: 2 + 3, tokens_out: name.len() }
        name = "Bob";
        let r = Judge.execute("a")?;
        assert_eq((r.text, r.tokens_in, r.tokens_out), ("Hello Ada", 5, 3));
        let kept: Array<Any> = ["x", { "error": "y" }];
        mock Judge { responses: kept }
        assert_eq(Judge.execute("a")?.text, "x");
        assert_eq(Judge.execute("a").unwrap_err().message, "y");
    """)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("responses: kept", "an answer is a `String` or a map, found `Int`"),
        ('response: "a", latency_ms: kept.len() - 2', "`latency_ms` must be at least 0, found -1"),
        ('error: "a", error_kind: "${kept.len()}"', "unknown kind of error `1`"),
    ],
)
def test_what_the_compiler_cannot_see_panics_at_the_mock(fields: str, problem: str) -> None:
    message = fails(f"let kept: Array<Any> = [5]; mock Judge {{ {fields} }}")
    assert message == f"InvalidArgument: mock Judge: {problem}"


def test_a_stream_of_a_mock_comes_in_pieces() -> None:
    # TE-9
    passes("""
        mock Judge { response: "a bc  d" }
        let mut words: Array<String> = [];
        for chunk in Judge.stream("p")? { words.push(chunk.text); }
        assert_eq(words, ["a ", "bc ", " ", "d"]);
        mock Judge { response: "a", chunks: ["x ", "", "yz"], tokens_out: 3 }
        let mut stream = Judge.stream("p")?;
        let whole = stream.collect()?;
        assert_eq((whole.text, whole.tokens_out, whole.model), ("x yz", 3, "mock"));
        mock Judge { error: "no line", error_kind: "network" }
        assert_eq(Judge.stream("p").unwrap_err().kind, "network");
    """)


def test_waiting_takes_no_time() -> None:
    # TE-9: the latency of a mock is on the test's clock, which is virtual; the limit of a test is not.
    passes(
        """
        mock Judge { response: "late", latency_ms: 86400000 }
        assert_eq(Judge.execute("p")?.latency_ms, 86400000);
        """,
        timeout=5,
    )


def test_the_error_of_a_mock_is_a_full_error() -> None:
    # TE-10
    passes("""
        mock Judge { error: "boom\\nand more" }
        let e = Judge.execute("a").unwrap_err();
        assert_eq("${e}", "boom\\nand more");
        assert_eq((e.kind, e.provider, e.model, e.attempts), ("custom", "box", "Judge", 1));
        mock Judge { error: "slow down", error_kind: "rate_limit" }
        match Judge.execute("a") {
            Err(LlmError::RateLimited { retryable, .. }) => assert(retryable),
            _ => panic("another kind"),
        }
    """)


def test_the_response_of_a_mock() -> None:
    # TE-11
    passes("""
        mock Judge { response: "a" }
        let r = Judge.with_base("m-9").execute("p")?;
        assert_eq((r.model, r.provider, r.finish_reason), ("mock", "box", "stop"));
        assert_eq((r.attempts, r.rounds, r.tokens_in, r.tokens_out), (1, 1, 0, 0));
    """)


def test_a_typed_answer_is_repaired() -> None:
    # TE-12: each round takes the next element, and the model is told what was wrong.
    passes("""
        mock Judge { responses: ["not json", "{\\"ok\\": true, \\"stars\\": 9}", "{\\"ok\\": true, \\"stars\\": 4}"] }
        let verdict = Judge.execute_with_schema<Verdict>("Is it ok?", "Once more.")?;
        assert_eq(verdict, Verdict { ok: true, stars: 4 });
        let calls = mock_calls(Judge);
        assert_eq(calls.map(|call| call.messages.len()), [1, 3, 5]);
        assert_eq(calls[1].messages[1].content, "not json");
        assert(calls[2].prompt.contains("stars"));
        assert_eq(calls[2].schema, "Verdict");
        mock Judge { response: "never" }
        let e = Judge.execute_with_schema<Verdict>("Is it ok?").unwrap_err();
        assert_eq((e.kind, e.rounds, e.raw_response), ("schema", 3, "never"));
        mock Judge { responses: ["not json", { error: "gone", error_kind: "server_error" }] }
        assert_eq(Judge.execute_with_schema<Verdict>("Is it ok?").unwrap_err().message, "gone");
    """)


def test_a_refused_question_does_not_reach_the_mock() -> None:
    # PR-5
    passes("""
        mock Judge { responses: ["a"] }
        assert_eq(Judge.execute(" ").unwrap_err().code ?? "", "empty_prompt");
        assert_eq(mock_calls(Judge).len(), 0);
        assert_eq(Judge.execute("p")?.text, "a");
    """)


def test_a_call_without_a_mock_fails_the_test_whatever_it_does_with_the_error() -> None:
    # TE-15
    body = 'match Other.execute("a") { Ok(_) => {}, Err(_) => {} } emit("after", 1);'
    found = report('mock Judge { response: "x" } ' + body)
    assert found.failure is not None
    expected = "model `Other` is not mocked (use `mock Other { .. }` or --live)"
    assert found.failure.message == expected
    assert found.emits == ()
    assert [frame.function for frame in found.failure.trace] == ["t"]


def test_other_network_calls_fail_a_test_too() -> None:
    # toolchain 2.6
    message = fails('std::http::get("http://127.0.0.1:1/")?;')
    assert message == "a test makes no network calls (use --live)"


def test_tests_may_await_and_start_tasks() -> None:
    # TE-1, TE-3
    body = """
    async fn ask(text: String) -> String { Judge.execute(text).unwrap().text }
    @test fn t() {
        mock Judge { responses: ["a", "b"], latency_ms: 1000 }
        assert_eq(await ask("x"), "a");
        let (one, two) = await (ask("y"), 5);
        assert_eq((one, two), ("b", 5));
        let task = spawn { std::time::sleep(60000); panic("too late"); };
        std::time::sleep(1);
        emit("cancelled", true);
    }
    """
    (found,) = reports(body, timeout=20)
    assert found.failure is None, found.failure.message


def test_live_calls_go_to_the_provider_and_mocked_ones_do_not() -> None:
    with concerto.MockServer(script=json.dumps({"rules": [{"reply": {"text": "live"}}]})) as server:
        passes(
            """
            mock Judge { response: "mocked" }
            assert_eq(Judge.execute("a")?.text, "mocked");
            mock_env("NO_SUCH_KEY", "sk-1");
            assert_eq(Other.execute("a")?.text, "live");
            """,
            live=True,
            env={"NO_SUCH_URL": server.url},
        )
        assert len(server.requests()) == 1


def test_calls_of_a_mock_say_what_was_asked() -> None:
    # TE-16
    passes("""
        mock Judge { response: "x" }
        Judge.with_system_prompt("Be quick.").with_base("m-9").with_context({ "n": 1 }).execute("Why?")?;
        Judge.chat([Message::system("s"), Message::user("u"), Message::assistant("a")])?;
        Other.spawn().shutdown();
        let first = mock_calls(Judge)[0];
        assert_eq((first.system, first.base, first.schema), ("Be quick.", "m-9", ""));
        assert_eq(first.prompt, "Why?\\n\\nContext:\\n{\\n  \\"n\\": 1\\n}");
        let second = mock_calls(target: Judge)[1];
        assert_eq((second.method, second.prompt, second.system, second.base), ("chat", "u", "Be fair.", "m-2"));
        assert_eq(second.messages.map(|m| m.role), ["system", "user", "assistant"]);
        assert_eq(second.tools.len(), 0);
    """)


def test_variables_of_a_test() -> None:
    # TE-18
    passes(
        """
        assert_eq(env("HOST"), "from the host");
        mock_env("HOST", "from the test");
        assert_eq(env("HOST"), "from the test");
        mock_env(value: nil, name: "HOST");
        assert_eq(env("HOST") ?? "unset", "unset");
        """,
        env={"HOST": "from the host"},
    )
    assert "no name of an environment variable" in fails('mock_env("A=B", "x");')


def test_emits_are_kept_and_reach_no_host() -> None:
    # TE-22
    found = passes("""
        emit("a", 1);
        emit("pipeline:start", 2);
        println("printed");
        assert_eq(test_emits().len(), 1);
        assert_eq(test_emits()[0].channel, "a");
        let payload: Int = test_emits()[0].payload;
        assert_eq(payload, 1);
        assert_eq(test_emits(events: true).len(), 2);
    """)
    assert found.emits == (("a", 1), ("pipeline:start", 2))
    assert found.printed == "printed\n"


def test_messages_of_assertions() -> None:
    # TE-19
    assert fails("assert(1 > 2);") == "assertion failed: 1 > 2"
    assert fails('assert(false, "no luck");') == "assertion failed: no luck"
    assert fails("assert_eq([1], [2]);") == "assertion failed: [1] != [2]"
    assert fails('assert_ne("a", "a");') == 'assertion failed: "a" == "a" (expected not equal)'


def test_snapshots_are_compared_and_written_on_request(tmp_path: Path) -> None:
    # TE-21
    place = tmp_path / "tests/snapshots/main/t"
    statements = 'assert_snapshot({ "a": [1] }); assert_snapshot("text", "as-text");'
    missing = fails(statements, snapshots=place)
    assert missing == f"assertion failed: there is no snapshot `{place}.snap`; `--update` writes it"
    assert not place.parent.exists(), "nothing is written unless it was asked for"
    found = passes(statements, snapshots=place, update=True)
    files = [Path(f"{place}.snap"), Path(f"{place}-as-text.snap")]
    assert found.written == tuple(files)
    assert files[0].read_text() == '{\n  "a": [\n    1\n  ]\n}\n'
    assert files[1].read_text() == "text"
    assert passes(statements, snapshots=place, update=True).written == ()
    assert passes(statements, snapshots=place).written == ()
    differs = fails('assert_snapshot({ "a": [2] });', snapshots=place)
    assert differs.startswith(f"assertion failed: the snapshot `{place}.snap` differs")
    assert "-     1\n+     2" in differs


def test_snapshots_of_one_test_have_different_names(tmp_path: Path) -> None:
    place = tmp_path / "t"
    twice = fails("assert_snapshot(1); assert_snapshot(2);", snapshots=place, update=True)
    assert "is compared twice in one test" in twice
    assert "found `../x`" in fails('assert_snapshot(1, "../x");', snapshots=place, update=True)


def test_calls_of_mocks_count_without_tokens() -> None:
    # T-18
    found = passes("""
        mock Judge { responses: ["a", { error: "b", error_kind: "timeout" }, "c"], tokens_in: 9 }
        assert_eq(Judge.execute("p")?.tokens_in, 9);
        assert(Judge.execute("p").is_err());
        for _ in Judge.stream("p")? { }
    """)
    counters = json.loads(found.metrics.to_json())["connections"]["box"]
    assert counters["calls"] == counters["mocked"] == 3
    assert (counters["successes"], counters["errors"]) == (2, {"timeout": 1})
    assert counters["attempts"] == 0
    assert found.metrics.tokens_by_connection("box").total == 0


def test_the_examples_pass() -> None:
    page = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    texts = [program.split("```")[0] for program in page.split("```concerto\n")[1:]]
    texts.append((ROOT / "examples/digest.conc").read_text(encoding="utf-8"))
    for text in texts:
        program = concerto.compile(text)
        for index, case in enumerate(testing.tests_of(program)):
            place = ROOT / "examples/tests/snapshots/digest" / case.name
            found = testing.run_test(program, index, snapshots=place)
            assert found.failure is None, found.failure.message


def test_what_existing_programs_write() -> None:
    # Section 12 of the LLM reference.
    first, second, third = reports("""
    @test fn plain() { assert(true); }
    @test("groups :: are part of the text")
    fn grouped() {
        mock Judge { response: "fine" }
        emit("answer", Judge.execute("p")?.text);
        assert(test_emits()[0].channel == "answer");
        assert_eq(test_emits().len(), 1);
    }
    @test @expect_fail fn fails() { panic("no"); }
    """)
    assert (first.failure, second.failure, third.failure) == (None, None, None)


def test_a_test_can_be_cancelled() -> None:
    program = concerto.compile("@test fn t() { loop { } }")
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        testing.run_test(program, 0, cancelled=stop.is_set)


def test_wrong_uses_of_the_host() -> None:
    program = concerto.compile("@test fn t() { }")
    with pytest.raises(TypeError, match="the program has no test 1"):
        testing.run_test(program, 1)
    with pytest.raises(concerto.ConfigError, match="must be positive"):
        testing.run_test(program, 0, timeout=-1)
