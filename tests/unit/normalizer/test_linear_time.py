"""The time per character does not grow with the length of an answer, whatever is repeated in it."""

from __future__ import annotations

import time

import pytest

from services.normalizer import RepairSettings, RequestFacts
from services.normalizer.rules.answer import Engine
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.fields import Delta
from tests.unit.normalizer.answers import BASH, GLOB

CHARS = 150_000
LIMIT_S = 12  # of this process's own time; a quadratic way through takes minutes
BEGIN = "<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>"
REPEATED = [
    ("", "<"),
    ("", "<|im_end|>"),
    ("", "<|"),
    ("", "x<|tool_call_b"),
    ("functions.bash:0", "<|tool_call_end|>"),
    ("{}", "<|im_end|>"),
    ("", "bash:0{"),
    ("", "{"),
    ("", "<invoke name="),
    ("", '<invoke name="bash"/>'),
    ("", "<|open|>call "),
    ("```\n", f"{BEGIN}\n"),
    ("<|open|>", "a"),
    ("<tool_call>", " "),
    ('<tool_call>{"name":"', "</tool_call>"),
    ("<tool_call><function=bash>", "<parameter=a>"),
    ('<function_calls><invoke name="bash">', '<parameter name="a">'),
    ("<function_calls>", '<invoke name="bash"><parameter name="a">'),
    ("<|tool_calls_section_begin|>", " "),
    ("<|tool_call_begin|>", "<"),
    (f'{BEGIN}{{"command":"', "<|tool_call_end|>"),
    (f"{BEGIN}{{", '"<"x'),
    ('{"arguments":{"command":"', "ab"),
]
ARGUMENTS = [
    ("", '"'),
    ("", "{x}"),
    ("", " "),
    ('{"command":"x"', " "),
    ('{"a":', " </tool_call> "),
    ('{"command":"', "\\n"),
    ('{"a":[', "1,"),
]


def seconds(pieces: list[Delta]) -> float:
    choice = Engine(RequestFacts(tools=[BASH, GLOB]), RepairSettings(), Repairs()).choice(0)
    started = time.process_time()
    for piece in pieces:
        choice.feed(piece)
    choice.finish()
    return time.process_time() - started


@pytest.mark.parametrize("size", [7, CHARS])
@pytest.mark.parametrize(("begin", "repeated"), REPEATED)
def test_repeated_text_takes_linear_time(begin: str, repeated: str, size: int) -> None:
    text = begin + repeated * (CHARS // len(repeated))
    pieces = [Delta(content=text[at : at + size]) for at in range(0, len(text), size)]

    assert seconds(pieces) < LIMIT_S


@pytest.mark.parametrize("size", [7, CHARS])
@pytest.mark.parametrize(("begin", "repeated"), ARGUMENTS)
def test_repeated_argument_text_takes_linear_time(begin: str, repeated: str, size: int) -> None:
    text = begin + repeated * (CHARS // len(repeated))
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    head = {"index": 0, "id": "a", "function": {"name": "bash", "arguments": ""}}
    entries = [head, *({"index": 0, "function": {"arguments": piece}} for piece in cut)]

    assert seconds([Delta(tool_calls=[entry]) for entry in entries]) < LIMIT_S
