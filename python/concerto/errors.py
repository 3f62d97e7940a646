"""What can go wrong, as a Python host sees it.

ConcertoError
├── CompileError              the program's text; `.diagnostics`
├── IrError                   a compiled program that is malformed or of another version
├── ConfigError (ValueError)  an unknown connection, a bad override or option
├── ProgramError              the program ended with an error it did not catch; `.value`, `.trace`
│   └── LlmError              .. and that error is a failed model call; one class per kind, fields as attributes:
│       AuthenticationError, ConfigurationError, ContentFilteredError, ContextLengthError, CustomError, InvalidRequestError,
│       InvalidResponseError, ModelNotFoundError, NetworkError, PermissionDeniedError, QuotaExceededError, RateLimitedError,
│       SchemaError, ServerError, StreamInterruptedError, ToolLimitError, CallTimeoutError
├── PanicError                the program panicked; `.kind`, `.trace`
├── HandlerError              a handler of the host failed and has no exception of its own
├── RunCancelled              the host cancelled the run
├── LimitError                a limit of the run was exceeded; `.limit`
└── InternalError             a bug of Concerto
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from concerto.diagnostics.model import Diagnostic


@dataclass(frozen=True, slots=True)
class TraceFrame:
    """One active call when a run ended: where the program was. Lines and columns count from 1; both are 0 in a program that was built without places."""

    function: str
    path: str
    line: int
    column: int

    def __str__(self) -> str:
        place = f" {self.path}:{self.line}:{self.column}" if self.line else ""
        return f"{self.function}{place}"


class ConcertoError(Exception):
    """Base of all exceptions of this package."""


class CompileError(ConcertoError):
    """The program has errors. `diagnostics` holds all of them; the text is their rendered form."""

    def __init__(self, message: str, diagnostics: list[Diagnostic]) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


class IrError(ConcertoError):
    """A compiled program that is malformed, damaged or of another format version."""


class ConfigError(ConcertoError, ValueError):
    """A connection that the program does not declare, or a setting that is unknown or out of range."""


class ProgramError(ConcertoError):
    """The program ended with an error that it did not catch.

    `value` is the error as a value of the program, `trace` the active calls, innermost first.
    """

    def __init__(self, message: str, value: Any = None, trace: tuple[TraceFrame, ...] = ()) -> None:
        super().__init__(message)
        self.value = value
        self.trace = trace


class LlmError(ProgramError):
    """A model call failed and the program did not handle it.

    Attributes: `kind`, `message`, `connection`, `provider`, `model` (name in the program), `model_id`, `status` (HTTP, or None), `request_id`,
    `attempts`, `retryable`, `retry_after_ms`, `latency_ms`, `phase`, and those of the kind, e.g. `partial_text` of a broken stream.
    """

    kind: ClassVar[str] = ""

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__.get("value")
        if name.startswith("_") or value is None:
            raise AttributeError(name)
        return getattr(value, name)


class ConfigurationError(LlmError):
    """The connection cannot be used: a missing key or variable, a bad value, or a feature this release does not have."""

    kind = "config"


class AuthenticationError(LlmError):
    """The provider refused the key."""

    kind = "authentication"


class PermissionDeniedError(LlmError):
    """The key may not use this model or service."""

    kind = "permission_denied"


class NetworkError(LlmError):
    """No answer: name look-up, connection or TLS failed, or the connection broke."""

    kind = "network"


class ServerError(LlmError):
    """The provider failed or is overloaded."""

    kind = "server_error"


class StreamInterruptedError(LlmError):
    """A stream broke after its first chunk; `partial_text` holds what came."""

    kind = "stream_interrupted"


class CallTimeoutError(LlmError):
    """A time limit ran out; `phase` says which, `timeout_seconds` how long it was."""

    kind = "timeout"


class RateLimitedError(LlmError):
    """The provider's rate limit; `retry_after_ms` is its wish."""

    kind = "rate_limit"


class QuotaExceededError(LlmError):
    """Money or a daily quota is used up."""

    kind = "quota_exceeded"


class ModelNotFoundError(LlmError):
    """The provider does not know the model, or the URL is wrong."""

    kind = "model_not_found"


class InvalidRequestError(LlmError):
    """The provider refused the request; `code` and `param` say more."""

    kind = "invalid_request"


class ContextLengthError(LlmError):
    """The prompt is longer than the model's context."""

    kind = "context_length"


class ContentFilteredError(LlmError):
    """The provider's content filter stopped the answer."""

    kind = "content_filtered"


class InvalidResponseError(LlmError):
    """The answer was not what the provider's protocol promises; `raw_response` holds a part of it."""

    kind = "invalid_response"


class ToolLimitError(LlmError):
    """Too many rounds of tool calls."""

    kind = "tool_limit"


class CustomError(LlmError):
    """An error that the program made itself with `LlmError::new`."""

    kind = "custom"


class SchemaError(LlmError):
    """The answer does not fit the schema; `violations` lists how."""

    kind = "schema"


class PanicError(ConcertoError):
    """The program panicked: `kind` such as `IndexOutOfBounds`, and `trace`, innermost call first."""

    def __init__(self, message: str, kind: str, trace: tuple[TraceFrame, ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace


class HandlerError(ConcertoError):
    """A handler of the host failed and has no exception of its own, such as a closed standard output; `trace` tells where the program was."""

    def __init__(self, message: str, trace: tuple[TraceFrame, ...] = ()) -> None:
        super().__init__(message)
        self.trace = trace


class RunCancelled(ConcertoError):  # noqa: N818 - it is no error of anybody
    """The host cancelled the run."""


class LimitError(ConcertoError):
    """A limit of the run was exceeded; `limit` is its name, such as `execution_timeout`."""

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class InternalError(ConcertoError):
    """A bug of Concerto."""


def llm_error_class(kind: str) -> type[LlmError]:
    """The exception class for a `kind` of failed model call; `LlmError` itself for a kind of a newer runtime."""
    return next((c for c in LlmError.__subclasses__() if c.kind == kind), LlmError)
