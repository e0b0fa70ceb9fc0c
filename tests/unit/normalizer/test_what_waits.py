"""How long text waits: only what may belong to a marker's edge, and no longer than until that is clear."""

from __future__ import annotations

import pytest

from services.normalizer import RepairSettings, RequestFacts, StreamRepair
from services.normalizer.limits import LEFT_CHARS, LEFT_STEP_CHARS
from tests.unit.normalizer.answers import BASH, ROLE, assembled, chunk, stream_of

OFFERED = RequestFacts(tools=[BASH])


def gone_out(pieces: list[str], facts: RequestFacts) -> list[str]:
    """What goes out after each delta."""
    repair = StreamRepair(facts, RepairSettings())
    repair.feed(chunk(ROLE))
    return [assembled(repair.feed(chunk({"content": piece})))[0]["content"] for piece in pieces]


@pytest.mark.parametrize("space", [" ", "\n", "\n\n    "])
def test_the_white_space_that_a_delta_ends_in_goes_out_with_the_next_delta(space: str) -> None:
    assert gone_out([f"One.{space}", "Two."], OFFERED) == ["One.", f"{space}Two."]


def test_of_much_white_space_no_more_waits_than_a_block_could_take_along() -> None:
    first, second = gone_out(["One." + "\n" * 100, "Two."], OFFERED)

    assert first == "One." + "\n" * 68
    assert second == "\n" * 32 + "Two."


@pytest.mark.parametrize("piece", ["One.", " two", " three,", "\n\nFour", " a-b"])
def test_a_word_does_not_wait(piece: str) -> None:
    assert gone_out(["Hello", piece], OFFERED)[1] == piece


@pytest.mark.parametrize("facts", [RequestFacts(), RequestFacts(tools=[])])
def test_in_a_fence_nothing_waits_where_no_tools_are_offered(facts: RequestFacts) -> None:
    assert gone_out(["```\nx", " = 1\n", "    <b>\n"], facts)[1:] == [" = 1\n", "    <b>\n"]


@pytest.mark.parametrize("cut", ["<|tool_calls_section_beg", "<|tool_ca"])
def test_what_a_marker_cuts_off_never_goes_out_before_it(cut: str) -> None:
    repair = StreamRepair(OFFERED, RepairSettings())
    deltas = [{"reasoning_content": f"Hm. {cut}<|open|>in|>"}, {"content": "Hi"}]

    out = repair.feed(stream_of(deltas, "stop"))

    assert assembled(out)[0]["reasoning_content"] == "Hm. in|>"


def test_an_example_in_a_fence_waits_for_the_fence_to_close() -> None:
    example = '<tool_call>{"name":"bash","arguments":{"command":"ls"}}</tool_call>\n'

    waiting, closed = gone_out(["```\nx\n", example, "```", "\nok."], OFFERED)[1:3]

    assert waiting == ""
    assert closed == f"\n{example}```"


LONG = [
    ("tool_call_from_hermes", '<tool_call>{"name":"bash","arguments":{"command":"', '"}}</tool_call>'),
    ("tool_call_from_xml", '<invoke name="bash"><parameter name="command">', "</parameter></invoke>"),
    ("tool_call_from_bare_id", 'functions.bash:0{"command":"', '"}'),
    ("tool_call_from_content", '<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{"command":"', '"}'),
]
LATE = LEFT_CHARS + LEFT_STEP_CHARS


@pytest.mark.parametrize(("name", "begin", "end"), LONG)
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_a_block_whose_repair_is_off_streams(name: str, begin: str, end: str, size: int) -> None:
    repair = StreamRepair(OFFERED, RepairSettings(off=(name,)))
    text = begin + "<think> ls " * 600 + end + " ok"
    out = ""
    repair.feed(chunk(ROLE))
    for at in range(0, len(text), size):
        out += assembled(repair.feed(chunk({"content": text[at : at + size]})))[0]["content"]
        assert len(out) >= min(at + size, len(text)) - LATE - len(begin)

    assert out + assembled(repair.finish())[0]["content"] == text


def test_what_has_gone_out_of_a_block_that_was_none_stays() -> None:
    text = 'functions.bash:0{"command":"' + "<think>a</think> " * 200
    results = []
    for size in (1, 300, len(text)):
        repair = StreamRepair(OFFERED, RepairSettings(off=("tool_call_from_bare_id",)))
        out = b"".join(repair.feed(chunk({"content": text[at : at + size]})) for at in range(0, len(text), size))
        results.append(assembled(out + repair.finish())[0])

    assert results[0] == results[1] == results[2]
    assert results[0]["content"].startswith(text[: len(text) - LATE])
    assert results[0]["reasoning_content"]
