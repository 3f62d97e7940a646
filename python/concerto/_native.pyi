"""The runtime, written in Rust. Hosts use `concerto.Runtime` and its friends instead of this module."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from concerto.errors import TraceFrame

__all__ = [
    "Answer",
    "Mailbox",
    "Metrics",
    "MockServer",
    "Playing",
    "Program",
    "Reader",
    "Recording",
    "Request",
    "Run",
    "Runtime",
    "VirtualClock",
    "__version__",
    "builtin_records",
    "instruction_names",
    "ir_version",
    "native_functions",
    "pattern_error",
    "pattern_matches",
    "requests",
    "run_test",
]

__version__: str
ir_version: int

def instruction_names() -> list[str]:
    """Names of all IR instructions that the runtime knows, in alphabetical order."""

def native_functions() -> list[tuple[str, int, bool]]:
    """Name, number of arguments with the receiver, and whether the receiver is changed, of each native function."""

def requests() -> list[tuple[str, int]]:
    """Name and number of arguments of each request of the library to the world."""

def builtin_records() -> str:
    """The built-in records and errors with their fields, as JSON."""

def pattern_error(pattern: str) -> str | None:
    """What is wrong with a pattern of a schema."""

def pattern_matches(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text; a wrong pattern is in none."""

def run_test(
    program: Program,
    index: int,
    *,
    live: bool,
    timeout: float,
    snapshots: str | PathLike[str] | None,
    update: bool,
    env: Mapping[str, str],
    cancelled: Callable[[], bool] | None,
) -> tuple[
    tuple[str, tuple[TraceFrame, ...]] | None,
    list[tuple[str, Any]],
    str,
    list[Path],
    list[int],
    Metrics,
]:
    """Runs a test in a runtime of its own: failure (message, active calls), emits, printed text, snapshots that were written, points, what was used."""

@final
class Program:
    """A verified program."""

    @staticmethod
    def from_bytes(data: bytes) -> Program:
        """Loads and verifies IR. Raises `IrError`."""

    def to_bytes(self) -> bytes:
        """The canonical IR; loading and encoding again gives the same bytes."""

    def listing(self) -> str:
        """A readable listing."""

    def has_main(self) -> bool:
        """Whether there is something to run: `main` or top-level statements."""

    def entry_points(self) -> list[tuple[str, list[tuple[str, str, bool]], str]]:
        """Name, parameters (name, type, has default) and result type of each function that a host may call."""

    def permissions(self) -> tuple[list[str], list[str]]:
        """Environment variables and hosts that the program may ask for."""

    def connections(self) -> list[str]: ...
    def models(self) -> list[str]: ...
    def tests(self) -> list[tuple[str, str, str, int]]:
        """Name, description, file and line of each test."""

    def channels(self) -> list[tuple[str, list[str], list[str]]]:
        """Name, types of payloads and types of replies of each channel that the program names."""

    def schema(self, name: str) -> str | None:
        """The JSON Schema of a schema, as text."""

@final
class Runtime:
    """A program with its settings, connection pools and metrics."""

    def __new__(
        cls,
        program: Program,
        options: str,
        clock: VirtualClock | None = None,
        env: Callable[[str], str | None] | None = None,
    ) -> Self:
        """`options` is a JSON object; `env` is called on the threads that drive runs. Raises `ConfigError`."""

    def override_connection(self, name: str, fields: str, command_line: bool = False) -> None:
        """`fields` is a JSON object. Raises `ConfigError`."""

    def set_tool_permissions(self, permissions: str) -> None:
        """Takes a JSON object. Raises `ConfigError` for a name that the program does not declare."""

    def clear_override(self, name: str | None) -> None: ...
    def connection_settings(self, name: str) -> str:
        """Effective settings as JSON, secrets masked, with an `error` where a field cannot be evaluated. Raises `ConfigError` for an unknown name."""

    def run(
        self,
        function: str | None,
        args: list[Any] | dict[str, Any],
        on_emit: Callable[[str, Any, float, str, int, int], None] | None,
        on_print: Callable[[str], None] | None,
        on_request: Callable[[int, Any, str, str], Any] | None,
        timeout: float | None = None,
        argv: list[str] | None = None,
        raw: bool = False,
    ) -> Any:
        """Runs `main` (None) or an entry point on this thread; callbacks are called on it. `argv` is in place of the option `args`, and a `raw` call
        gives a `Result` as it is."""

    def start(
        self,
        function: str | None,
        args: list[Any] | dict[str, Any],
        on_request: Callable[[int, Any, str, str], Any] | None,
    ) -> Run:
        """Starts a run on the runtime's threads. `on_request` is called by `Run.emits` and `Run.result`."""

    def start_call(
        self,
        function: str | None,
        args: list[Any] | dict[str, Any],
        is_heard: bool,
        timeout: float | None,
        argv: list[str] | None,
        raw: bool,
    ) -> Run:
        """The same without metrics of its own, for an event loop; emits of one that is not heard go nowhere."""

    def on_emit(self, channel: str, token: int) -> None:
        """Requests on the channel go to `on_request` of their run: token, payload, channel, expected type. It returns the reply."""

    def register_tool(self, tool: str, method: str, token: int) -> None:
        """Calls of the method go to `on_request` of their run: token, arguments by name, `Tool.method`, type. Raises `ConfigError`."""

    def off(self, channel: str) -> None:
        """Requests on exactly this channel are not answered any more."""

    def log_error(self, message: str) -> None:
        """Writes to the runtime's log."""

    def require_keys(self) -> None:
        """Evaluates the fields of every connection. Raises `ConfigError` for the first that fails."""

    def metrics(self) -> Metrics: ...
    def reset_metrics(self) -> None: ...
    def set_price(self, pattern: str, input: float, output: float, cached: float | None) -> None:
        """US dollars per million tokens. Raises `ConfigError`."""

@final
class VirtualClock:
    """A clock for tests, which takes no time: `Runtime(.., clock=VirtualClock())`.

    It stands still until each run that uses it waits for time (a delay before a retry, a rate limit), then jumps to the nearest moment that one of
    them waits for. While a request is under way or a handler works it stands still, so answers are never late; `advance` makes them so.
    """

    elapsed: float
    """Seconds since it was made."""

    def __new__(cls) -> Self: ...
    def advance(self, seconds: float) -> None:
        """Moves it forward by hand. Raises `ValueError` for less than 0."""

@final
class Run:
    """A run in the background; dropping it cancels it."""

    @property
    def number(self) -> int:
        """What it posts to mailboxes."""

    @property
    def id(self) -> str: ...
    def read(self) -> Reader:
        """As long as the reader lives, emits wait for room in the queue, though somebody waits for the result."""

    def emits(self, timeout: float) -> list[tuple[str, Any, float, str, int, int]] | None:
        """The emits that wait, at most `timeout` seconds later; empty if none came, None if the run is over and all were taken."""

    def events_now(
        self, mailbox: Mailbox
    ) -> tuple[list[tuple[str, Any, float, str, int, int]], list[Request]] | None:
        """Emits that wait, and requests that come after them, without waiting; None if the run is over and all were taken.

        If there are none, the mailbox gets the run's number when there is something to see.
        """

    def end_now(self, mailbox: Mailbox) -> list[Request] | None:
        """The requests that wait; None if the run is over. If it is not, the mailbox gets the run's number when it is, or asks again."""

    def result(self, timeout: float | None) -> Any:
        """Waits for the end. Raises `TimeoutError`, or the run's own error."""

    def cancel(self) -> None: ...
    def done(self) -> bool: ...
    def metrics(self) -> Metrics: ...

@final
class Request:
    """A request of a run that an event loop answers later, once."""

    @property
    def token(self) -> int:
        """What `Runtime.on_emit` was given."""

    @property
    def payload(self) -> Any: ...
    def is_withdrawn(self) -> bool:
        """Whether the program does not wait for the reply any more."""

    def reply(self, value: Any) -> None:
        """Answers it. Raises `RuntimeError` if it was answered already."""

    def fail(self, error: BaseException) -> None:
        """Answers it with the text of an exception; raises one that is no `Exception`."""

@final
class Reader:
    """Somebody who reads the emits of a run, until it is dropped."""

@final
class Mailbox:
    """Numbers of runs that have news, for one event loop."""

    def __new__(cls) -> Self:
        """Raises `OSError` if there are no file descriptors left."""

    def fileno(self) -> int:
        """What becomes readable when there are numbers."""

    def take(self) -> list[int]:
        """The numbers that were posted, perhaps more than once."""

@final
class Metrics:
    """A snapshot of what calls used."""

    def to_json(self) -> str: ...
    def to_prometheus(self) -> str: ...

@final
class Recording:
    """A file that traffic of providers is written to, begun anew: one JSON object a line for each answer, without keys.

    Raises `OSError` if it cannot be written.
    """

    def __new__(cls, path: str | PathLike[str]) -> Self: ...
    def begin(
        self, url: str, body: bytes, keys: list[str], status: int, headers: list[tuple[str, str]]
    ) -> Answer:
        """An answer to this request has begun; names of headers in lower case. Each of `keys` is masked wherever it stands, if it has 6 bytes or more.

        Raises `OSError` if an answer before this one could not be written.
        """

@final
class Answer:
    """An answer that is being recorded."""

    def push(self, piece: bytes) -> None:
        """Bytes of the body have come."""

    def end(self) -> None:
        """Writes what has come."""

@final
class Playing:
    """Traffic that was recorded, each exchange once. Raises `OSError` if the file cannot be read, `ValueError` if it is no recording."""

    def __new__(cls, path: str | PathLike[str]) -> Self: ...
    def answer(
        self, url: str, body: bytes, keys: list[str]
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Status, headers and body of the next answer to a request, found by the end of the path and the body; None if there is no more."""

@final
class MockServer:
    """A provider server on loopback, for tests."""

    url: str
    """`http://127.0.0.1:PORT/v1`, the `base_url` of connections of any kind."""
    root: str
    """`http://127.0.0.1:PORT`, for clients that add the version themselves."""

    def __new__(
        cls,
        *,
        port: int = 0,
        script: str | None = None,
        latency_ms: int = 0,
        chunk_delay_ms: int = 0,
        error_rate: float = 0.0,
        rate_limit: int | None = None,
        seed: int = 0,
        log: str | None = None,
    ) -> Self: ...
    def requests(self) -> list[dict[str, Any]]:
        """The last 10,000 requests and what became of each; `docs/mock.md` lists the keys."""

    def counts(self) -> dict[str, Any]:
        """Sums over all requests: statuses, outcomes, chunks, tokens."""

    def stop(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
