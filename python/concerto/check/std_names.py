"""Which names each module of the standard library has (library reference 4)."""

from __future__ import annotations

from functools import cache

_NAMES = """
json: parse parse_as stringify stringify_pretty is_valid
http: get post put patch delete head request
fs: read_file read_lines write_file append_file exists is_file is_dir list_dir remove_file create_dir copy rename file_size
env: get require has all args
fmt: format pad_left pad_right truncate indent fixed thousands
string: split join trim trim_start trim_end replace to_upper to_lower contains starts_with ends_with substring len repeat reverse parse_int parse_float
math: abs min max clamp sign round floor ceil trunc pow sqrt cbrt exp ln log10 log2 sin cos tan asin acos atan atan2 hypot random random_int random_choice shuffle checked_add checked_sub checked_mul checked_pow wrapping_add wrapping_sub wrapping_mul PI E INT_MAX INT_MIN INFINITY NAN
time: now now_ms monotonic_ms sleep measure parse format
log: debug info warn error
prompt: template template_strict from_file count_tokens join
crypto: sha256 sha512 md5 hmac_sha256 base64_encode base64_decode uuid random_bytes
collections: Set Queue Stack
task: join_all race first_ok timeout yield_now is_cancelled
tools: HttpTool FileTool ShellTool
"""  # noqa: E501 - a table


@cache
def std_names() -> dict[str, frozenset[str]]:
    """The names of each module."""
    rows = (line.split(": ") for line in _NAMES.strip().split("\n"))
    return {module: frozenset(names.split()) for module, names in rows}
