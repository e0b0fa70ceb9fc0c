"""With one repair off, what it would have touched goes out as it came: no other repair takes it apart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.normalizer import RepairSettings, RequestFacts
from tests.unit.normalizer.answers import BASH, CLOCK, GLOB, LIST, LS, assembled, recut, said, stream_of, streamed
from tests.unit.normalizer.test_properties_of_repair import cuts_of

FACTS = RequestFacts(tools=[BASH, GLOB, CLOCK])
K2 = f"<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{LIST}<|tool_call_end|>"
SECTION = f"<|tool_calls_section_begin|>{K2}<|tool_calls_section_end|>"
K3 = '<|open|>call tool="bash" index="1"<|sep|><|open|>argument key="command" type="string"<|sep|>ls'
K3 += "<|close|>argument<|sep|><|close|>call<|sep|>"
HERMES = f'<tool_call>{{"name":"bash","arguments":{LIST}}}</tool_call>'
XML = '<invoke name="bash"><parameter name="command">ls</parameter></invoke>'
INPUTS = {
    "tool_call_from_content": [
        K2,
        SECTION,
        f"<|tool_call_begin|>functions.bash:0{LIST}<|tool_call_end|>",
        K2.replace("ls", XML.replace('"', "'")),
        K2.removesuffix("<|tool_call_end|>"),
    ],
    "tool_call_from_k3": [K3, f"<|open|>tools<|sep|>{K3}<|close|>tools<|sep|>", "<|open|>response<|sep|>"],
    "tool_call_from_bare_id": [f"functions.bash:0{LIST}", 'functions.bash:0{"command":"<tool_call>"}'],
    "tool_call_from_hermes": [HERMES, HERMES.replace("ls", "<|im_end|>"), f"<tool_call><function=bash>{LIST}"],
    "tool_call_from_xml": [XML, f"<function_calls>{XML}</function_calls>", '<invoke name="clock"/>'],
    "stray_marker_removed": ["<|tool_calls_section_end|>", "</tool_call>", "</invoke>", "<|sep|>"],
    "turn_token_removed": ["<|im_end|>", "<|im_assistant|>assistant<|im_middle|>"],
    "invented_turn_removed": ["<|im_user|>user<|im_middle|>thanks<|im_end|>", f"<|im_system|>tool<|im_middle|>{K2}"],
    "reasoning_from_tags": ["<think>a</think>b", "<|open|>think<|sep|>a<|close|>think<|sep|>b", "◁think▷a◁/think▷"],
    "reasoning_from_orphan_close": ["a</think>b", "a<|close|>think<|sep|>b"],
    "reasoning_tag_removed": ["a</think>b"],
    "tool_name_inferred": [K2.replace("functions.bash:0", "0")],
    "incomplete_call_dropped": [K2[: K2.index('s"')], f'{SECTION.removesuffix("<|tool_calls_section_end|>")[:-25]}"'],
    "hopeless_call_dropped": [K2.replace(LIST, "command equals ls"), HERMES.replace("bash", "no name")],
    "arguments_repaired": [K2.replace(LIST, '{"command":"ls",}')],
    "arguments_defaulted": [K2.replace(LIST, "")],
}
EXAMPLES = [(name, text) for name, texts in INPUTS.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_a_text_is_left_as_it_came_however_it_is_cut(name: str, text: str) -> None:
    assert said(text, off=(name,), facts=FACTS) == (text, "", [])


@settings(max_examples=300, deadline=None)
@given(some.data(), some.sampled_from(EXAMPLES), some.text("ab .\nö", max_size=12), some.booleans())
def test_a_text_is_left_as_it_came_between_other_texts(
    data: some.DataObject, example: tuple[str, str], around: str, thinking: bool
) -> None:
    name, text = example
    content = f"x{around} {text}"
    facts = RequestFacts(tools=[BASH, GLOB, CLOCK], thinking="enabled" if thinking else "unknown")
    deltas = recut([{"content": content}], lambda whole: cuts_of(data, whole))
    if name == "reasoning_tag_removed" and thinking:
        return  # what the tag ends is reasoning then, by another repair

    out, _ = streamed(stream_of(deltas, "stop"), facts, RepairSettings(off=(name,)))

    assert assembled(out)[0]["content"] == content


@pytest.mark.parametrize("name", ["tool_call_from_content", "tool_call_from_hermes", "tool_call_from_xml"])
def test_what_other_repairs_find_beside_it_is_repaired(name: str) -> None:
    kept = INPUTS[name][0]
    other = HERMES if name != "tool_call_from_hermes" else XML

    assert said(f"{kept} then {other}", off=(name,), facts=FACTS) == (f"{kept} then", "", [LS])


def test_a_block_that_can_be_sent_is_sent_where_an_argument_repair_is_off() -> None:
    assert said(f"Hi. {SECTION}", off=("arguments_repaired",), facts=FACTS) == ("Hi.", "", [LS])


def test_a_block_is_left_whole_where_one_of_its_calls_would_need_the_repair() -> None:
    text = f"Hi.\n{SECTION.replace(K2, K2 + K2.replace(LIST, '{,}'))}"

    assert said(text, off=("arguments_repaired", "hopeless_call_dropped"), facts=FACTS) == (text, "", [])


def test_calls_in_tags_are_read_where_unwrapping_is_off() -> None:
    assert said(HERMES, off=("arguments_unwrapped",), facts=FACTS) == ("", "", [LS])


def test_a_thought_that_the_template_opened_stays_content_where_tags_are_off() -> None:
    settings_ = RepairSettings(thinking="forced_open", off=("reasoning_from_tags",))
    out, _ = streamed(stream_of([{"content": "a</think>b"}], "stop"), FACTS, settings_)

    assert assembled(out)[0]["content"] == "a</think>b"


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ("Hi <|<tool_call></tool_call> x", "stray_marker_removed"),
        ('Hi <<tool_call>{"name":"bash","argu', "incomplete_call_dropped"),
    ],
)
def test_a_markers_beginning_before_a_block_that_is_left_stays_before_it(text: str, off: str) -> None:
    assert said(text, off=(off,)) == (text, "", [])
