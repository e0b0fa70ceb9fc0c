"""Kimi K2's call tokens, and the ways in which providers damage them."""

from __future__ import annotations

import pytest

from services.normalizer import RequestFacts
from services.normalizer.rules.grammars import k2_reader
from tests.unit.normalizer.answers import LIST, LS, OFFERED, TICK, read_stream, said

BEGIN, MARK, END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
SECTION, OVER = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL = f"{BEGIN}functions.bash:0{MARK}{LIST}{END}"
TICKS = f"{BEGIN}functions.clock:1{MARK}{{}}{END}"


@pytest.mark.parametrize(
    "text",
    [
        f"{SECTION}{CALL}{OVER}",
        f"{SECTION}{CALL}",
        CALL,
        CALL.removesuffix(END),
        CALL.removeprefix(BEGIN),
        CALL.replace(MARK, ""),
        f"{SECTION}{SECTION}{CALL}{OVER}",
        f"{SECTION}functions.bash:0{LIST}{OVER}",
        f"{SECTION}functions.bash:0{MARK}{LIST}{OVER}",
        f'{SECTION}{{"name":"bash","arguments":{LIST}}}{OVER}',
        f"{BEGIN}{SECTION}{CALL}",
        CALL.replace(MARK, MARK * 2),
    ],
)
def test_a_call_is_found_whichever_of_its_markers_are_there(text: str) -> None:
    assert said(f"Hi. {text}") == ("Hi.", "", [LS])


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("tool_calls_section", "tool_call_section"),
        ("tool_calls_section", "tool_calls"),
        ("tool_call_argument_begin", "tool_call_arguments_begin"),
        ("tool_call_argument_begin", "tool_arguments_begin"),
        ("tool_call_argument_begin", "tool_argument_begin"),
        ("|", ""),
        ("|", "｜"),
        ("|", " | "),
        ("|>", "|\n>"),
        ("|>", "\r|>"),
        ("<|", "<\t|\r\n"),
        ("|>", "\u00a0>"),
    ],
)
def test_a_marker_is_known_in_every_spelling(given: str, written: str) -> None:
    assert said(f"{SECTION}{CALL}{OVER}".replace(given, written)) == ("", "", [LS])


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
@pytest.mark.parametrize("space", ["\r", "\t", "\r\n", "\u00a0"])
def test_a_marker_with_any_white_space_in_it_leaves_nothing(space: str, field: str) -> None:
    assert said(f"<|tool_call_begin{space}|>{SECTION}{CALL}{OVER}", field=field) == ("", "", [LS])


@pytest.mark.parametrize("head", ["bash:0", "bash", "functions.bash", "functions.bash : 0", "call functions.bash:0"])
def test_a_header_may_hold_less_or_more_than_the_id(head: str) -> None:
    assert said(CALL.replace("functions.bash:0", head)) == ("", "", [LS])


@pytest.mark.parametrize("between", ["", "\n", OVER + SECTION])
def test_calls_next_to_each_other_are_all_found(between: str) -> None:
    assert said(f"{SECTION}{CALL}{between}{TICKS}{OVER} Wait.") == ("Wait.", "", [LS, TICK])


@pytest.mark.parametrize("arguments", ["", "{}", MARK, f"{MARK}{{}}", f"{MARK} "])
def test_a_call_without_arguments_is_one(arguments: str) -> None:
    assert said(f"{BEGIN}functions.clock:0{arguments}{END}") == ("", "", [TICK])


def test_a_marker_inside_a_string_is_data() -> None:
    text = CALL.replace("ls", f"echo {END}{OVER}")

    assert said(text) == ("", "", [("bash", {"command": f"echo {END}{OVER}"})])


def test_a_string_that_is_not_closed_ends_no_call_but_its_own() -> None:
    assert said(f"{CALL.replace('ls', 'l<').replace(chr(34) + '}', '')}{TICKS}")[2] == [TICK]


@pytest.mark.parametrize("leftover", ["}", "\n```", "<|tool_call_argument_end|>", '"', " <"])
def test_what_is_left_behind_a_whole_object_does_no_harm(leftover: str) -> None:
    assert said(f"{BEGIN}functions.bash:0{MARK}{LIST}{leftover}{END}")[2] == [LS]


def test_the_prose_around_a_block_stays() -> None:
    assert said(f"Before.\n{SECTION}{CALL}{OVER}\nAfter.") == ("Before.\nAfter.", "", [LS])


@pytest.mark.parametrize("words", ["Let me see. ", "word " * 60])
def test_prose_inside_a_section_stays(words: str) -> None:
    text, _, calls = said(f"{SECTION}{words}{CALL}{OVER}")

    assert text == words.strip()
    assert calls == [LS]


def test_a_call_in_the_reasoning_is_found() -> None:
    assert said(f"Hm. {CALL}", field="reasoning_content") == ("", "Hm.", [LS])


@pytest.mark.parametrize(
    "text",
    [
        f"`{CALL}`",
        f"```\n{CALL}\n```",
        f'The marker "{BEGIN}" begins a call.',
        "a <tool> b",
        "a < b",
        "<|to",
        "tool_call_begin",
    ],
)
def test_what_only_looks_like_a_marker_is_text(text: str) -> None:
    assert said(text) == (text, "", [])


def test_markers_are_text_where_no_tools_were_offered() -> None:
    assert said(CALL, facts=RequestFacts(tools=[])) == (CALL, "", [])


@pytest.mark.parametrize("marker", [MARK, END, OVER, "<|tool_call_argument_end|>"])
def test_a_marker_that_ends_nothing_is_removed(marker: str) -> None:
    assert said(f"one{marker} two") == ("one two", "", [])


def test_an_id_is_none_where_it_is_the_end_of_a_longer_word() -> None:
    assert said(f"xfunctions.bash:0{MARK}{LIST}") == (f"xfunctions.bash:0{LIST}", "", [])


@pytest.mark.parametrize("head", ["not a header", "x" * 300])
def test_what_follows_a_marker_and_is_no_header_is_text(head: str) -> None:
    assert said(f"{BEGIN}{head}{END}") == (head, "", [])


def test_long_text_without_a_marker_after_a_call_marker_is_text() -> None:
    text = "It begins a call. " * 20

    assert said(f"{BEGIN}{text}") == (text, "", [])


@pytest.mark.parametrize("end", range(len("Hi "), len(f"Hi {SECTION}{CALL}") - len(END) - 1))
def test_a_call_that_is_cut_is_neither_sent_nor_shown(end: int) -> None:
    text, _, calls = said(f"Hi {SECTION}{CALL}"[:end])

    assert text.removesuffix("<|to"[: max(0, end - 3)]).strip() == "Hi"
    assert calls == []


@pytest.mark.parametrize("cut", ["<|tool_ca", "<", "<|tool_calls_section_end"])
def test_a_marker_that_is_cut_in_the_middle_of_arguments_sends_no_half_a_call(cut: str) -> None:
    assert said(f'Hi {BEGIN}functions.bash:0{MARK}{{"command":"ls"{cut}') == ("Hi", "", [])


@pytest.mark.parametrize("cut", ["<|tool_cal", "<|tool_calls_se<|tool_ca"])
def test_a_marker_that_another_one_cuts_off_is_removed(cut: str) -> None:
    assert said(f"Hi {cut}{CALL}") == ("Hi", "", [LS])


def test_an_oversized_call_that_never_ends_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k2_reader, "MAX_CALL_CHARS", 50)

    reading = read_stream([{"content": char} for char in CALL.replace("ls", "x" * 99).removesuffix(END)], facts=OFFERED)

    assert (reading["content"], reading["tool_calls"]) == (None, [])


def test_an_oversized_call_is_dropped_and_the_next_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k2_reader, "MAX_CALL_CHARS", 50)

    text = f"{SECTION}{CALL.replace('ls', 'x' * 99)}{TICKS}{OVER}ok"
    reading = read_stream([{"content": char} for char in text], facts=OFFERED)

    assert reading["content"] == "ok"
    assert reading["tool_calls"] == [{"name": "clock", "arguments": {}}]


@pytest.mark.parametrize(
    ("field", "name"),
    [("content", "tool_call_from_content"), ("reasoning_content", "tool_call_from_reasoning")],
)
def test_the_block_is_text_where_its_repair_is_switched_off(field: str, name: str) -> None:
    text = f"{SECTION}{CALL}{OVER}"

    answer, thoughts, calls = said(text, off=(name,), field=field)

    assert answer + thoughts == text
    assert calls == []


@pytest.mark.parametrize("words", ["(two)", "two, or three", "*", "two"])
def test_what_the_end_cuts_off_and_is_no_ids_beginning_is_text(words: str) -> None:
    assert said(f"One <|tool_call_begin|> {words}") == (f"One {words}", "", [])


def test_prose_in_a_header_is_looked_at_like_other_text() -> None:
    assert said("<|tool_call_begin|>a <tool_call></tool_call>b<|tool_call_end|>") == ("a b", "", [])


@pytest.mark.parametrize("head", ["functions.ba", "ba", "bash:", "0", " functions.bash:0"])
def test_an_id_that_the_end_cuts_off_is_left_out(head: str) -> None:
    assert said(f"One <|tool_call_begin|>{head}") == ("One", "", [])


@pytest.mark.parametrize(("head", "content"), [(" two", "One two"), ("two", "One"), (" two_3", "One")])
def test_where_the_tools_are_unknown_a_word_of_its_own_is_text(head: str, content: str) -> None:
    assert said(f"One <|tool_call_begin|>{head}", facts=RequestFacts()) == (content, "", [])
