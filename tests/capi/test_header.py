"""The committed header is that of the source, compiles as C and C++, and has what the documented interface has."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.capi import header

#: The functions of the interface; a signature changes only together with the ABI version.
FUNCTIONS = """
abi_version version program_load program_from_bytes program_free runtime_new override_connection clear_override runtime_on runtime_on_emit
runtime_register_tool runtime_off reply_ok reply_error connection_settings runtime_set_price runtime_reset_metrics run_metrics_json
runtime_run runtime_call run_start run_next_emit run_wait run_cancel run_free runtime_metrics_json runtime_free
error_kind error_message error_json error_free string_free
"""


def test_the_header_is_fresh() -> None:
    assert header.HEADER.read_text(encoding="utf-8") == header.generate(), "run `make header`"


def test_the_header_declares_the_interface() -> None:
    declared = re.findall(r"concerto_(\w+)\(", header.declarations())
    assert sorted(declared) == sorted(FUNCTIONS.split())


@pytest.mark.parametrize(
    "compiler", [["cc", "-std=c99", "-x", "c"], ["c++", "-std=c++11", "-x", "c++"]], ids=" ".join
)
def test_the_header_compiles_alone(compiler: list[str], tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text('#include "concerto.h"\nint main(void) { return CONCERTO_OK; }\n')
    flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    include = f"-I{header.HEADER.parent}"
    subprocess.run([*compiler, *flags, include, str(source)], check=True)
