"""`<tool_call>` as Hermes and Qwen write it."""

from __future__ import annotations

import pytest

from services.normalizer import RequestFacts
from services.normalizer.rules.grammars import body
from tests.unit.normalizer.answers import LIST, LS, OFFERED, TICK, read_stream, said

CALL = f'<tool_call>{{"name":"bash","arguments":{LIST}}}</tool_call>'
TICKS = '<tool_call>{"name":"clock","arguments":{}}</tool_call>'
PARAMETERS = "<parameter=command>\nls\n</parameter>\n"


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        CALL.replace("<tool_call>", "<tool_call>\n").replace("</tool_call>", "\n</tool_call>"),
        CALL.replace("arguments", "parameters"),
        CALL.removesuffix("</tool_call>"),
        CALL.replace("}}", "}"),
        f"<tool_call><function=bash>{LIST}</function></tool_call>",
        f"<tool_call>\n<function=bash>\n{PARAMETERS}</function>\n</tool_call>",
    ],
)
def test_a_call_is_found_in_every_form(text: str) -> None:
    assert said(f"Hi. {text}") == ("Hi.", "", [LS])


def test_calls_next_to_each_other_are_all_found() -> None:
    assert said(f"{CALL}\n{TICKS} Wait.") == ("Wait.", "", [LS, TICK])


BARE = f'{{"name":"bash","arguments":{LIST}}}'
LISTED = f'<tool_call>[{BARE},{{"name":"clock","arguments":{{}}}}]</tool_call>'


@pytest.mark.parametrize(
    "text",
    [
        LISTED,
        LISTED.replace("[", "\n[\n ").replace("]", "\n]\n").replace("},{", "},\n {"),
        LISTED.replace("{}}]", "{}]"),
        LISTED.replace("}]", "},]"),
        LISTED.replace("]", ""),
        LISTED.removesuffix("]</tool_call>"),
    ],
)
def test_a_list_of_calls_in_one_tag_gives_each_of_them(text: str) -> None:
    assert said(f"Hi. {text}") == ("Hi.", "", [LS, TICK])


def test_a_list_of_one_call_is_a_call() -> None:
    assert said(f"<tool_call>[{BARE}]</tool_call> Wait.") == ("Wait.", "", [LS])


def test_brackets_and_tags_in_the_strings_of_listed_calls_are_data() -> None:
    text = LISTED.replace("ls", "] </tool_call> [{")

    assert said(text) == ("", "", [("bash", {"command": "] </tool_call> [{"}), TICK])


@pytest.mark.parametrize("rest", ["[1]", "[ x", f"[{' ' * 1100}{{"])
def test_a_list_of_no_calls_is_text_without_its_tag(rest: str) -> None:
    out = read_stream([{"content": char} for char in f"one<tool_call>{rest}"], facts=OFFERED)

    assert out["content"] == f"one{rest}"


def test_a_listed_call_that_is_cut_is_not_sent() -> None:
    assert said(f'Hi <tool_call>[{BARE},{{"name":"clock","argum') == ("Hi", "", [LS])


@pytest.mark.parametrize("marker", ["</tool_call>", "<tool_call>", "</tool_call></tool_call>"])
def test_a_tag_inside_a_string_is_data(marker: str) -> None:
    assert said(CALL.replace("ls", marker)) == ("", "", [("bash", {"command": marker})])


def test_a_closing_tag_inside_a_parameter_is_data() -> None:
    text = f"<tool_call><function=bash>{PARAMETERS}</function></tool_call>".replace("ls", "</tool_call>")

    assert said(text) == ("", "", [("bash", {"command": "</tool_call>"})])


def test_a_call_in_the_reasoning_is_found() -> None:
    assert said(f"Hm. {CALL}", field="reasoning_content") == ("", "Hm.", [LS])


@pytest.mark.parametrize("text", [f"`{CALL}`", 'The "<tool_call>" tag', "<tool_calling>", "<too", "a <b"])
def test_what_only_looks_like_a_tag_is_text(text: str) -> None:
    assert said(text) == (text, "", [])


def test_a_tag_is_text_where_no_tools_were_offered() -> None:
    assert said(CALL, facts=RequestFacts(tools=[])) == (CALL, "", [])


@pytest.mark.parametrize("text", ["one<tool_call> two", "one</tool_call> two"])
def test_a_tag_without_a_call_is_removed(text: str) -> None:
    assert said(text) == ("one two", "", [])


@pytest.mark.parametrize("end", range(len("Hi <tool"), len(f"Hi {CALL}") - len("}}</tool_call>")))
def test_a_call_that_is_cut_is_neither_sent_nor_shown(end: int) -> None:
    assert said(f"Hi {CALL}"[:end]) == ("Hi", "", [])


def test_a_call_past_the_limit_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_CALL_CHARS", 60)

    reading = read_stream([{"content": char} for char in CALL.replace("ls", "x" * 99)], facts=OFFERED)

    assert reading["tool_calls"] == []


@pytest.mark.parametrize("text", [CALL, "one</tool_call> two"])
def test_a_tag_is_text_where_its_repair_is_switched_off(text: str) -> None:
    assert said(text, off=("tool_call_from_hermes",)) == (text, "", [])
