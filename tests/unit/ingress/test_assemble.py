"""From a stream to the completion that a plain request asked for, and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.assembly import Assembly
from shared.whole_answers import DONE, as_stream, event

Json = dict[str, Any]
TOP = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "kimi"}


def chunk(delta: Json | None = None, finish: str | None = None, index: int = 0, **more: Any) -> Json:
    return {**TOP, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish, **more}]}


def assembled(*chunks: Json, tail: bytes = DONE) -> Json:
    assembly = Assembly()
    assembly.feed(b"".join(map(event, chunks)) + tail)
    return msgspec.json.decode(assembly.completion())


def message(*deltas: Json) -> Json:
    found: Json = assembled(*(chunk(delta) for delta in deltas))["choices"][0]["message"]
    return found


def calls(*fragments: Json) -> list[Json]:
    """The tool calls of a stream, a fragment a chunk."""
    found: list[Json] = message(*({"tool_calls": [fragment]} for fragment in fragments))["tool_calls"]
    return found


def said(name: str | None = None, arguments: str | None = None, **more: Any) -> Json:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": function}


def a_call(id: str | None, name: str, arguments: str) -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_stream_becomes_a_chat_completion() -> None:
    whole = assembled(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hello"}),
        chunk({"content": " world"}),
        chunk(finish="stop"),
        {**TOP, "choices": [], "usage": {"total_tokens": 3}},
    )

    assert whole == {
        **TOP,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello world"}, "finish_reason": "stop"}],
        "usage": {"total_tokens": 3},
    }


def test_reasoning_is_assembled_beside_the_content() -> None:
    assert message({"reasoning_content": "Hm"}, {"reasoning_content": "m."}, {"content": "Yes."}) == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_content": "Hmm.",
    }


def test_an_answer_without_text_has_null_content() -> None:
    assert message({"role": "assistant"}) == {"role": "assistant", "content": None}


def test_an_empty_text_stays_an_empty_text() -> None:
    assert message({"content": ""}) == {"role": "assistant", "content": ""}


def test_null_fields_say_nothing() -> None:
    nulls = {"content": None, "reasoning_content": None, "tool_calls": None, "refusal": None, "function_call": None}

    assert message(nulls, {**nulls, "content": "a"}, nulls) == {"role": "assistant", "content": "a"}


def test_content_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]

    assert message({"content": parts}, {"content": " you"})["content"] == "Hello you"


def test_lists_of_fragments_go_on() -> None:
    details = [{"type": "reasoning.text", "text": "a"}], [{"type": "reasoning.text", "text": "b"}]
    whole = message({"reasoning_details": details[0]}, {"reasoning_details": details[1]})

    assert whole["reasoning_details"] == details[0] + details[1]


def test_the_old_function_call_is_assembled() -> None:
    whole = message(
        {"function_call": {"name": "look", "arguments": ""}},
        {"function_call": {"arguments": '{"a"'}},
        {"function_call": {"arguments": ":1}"}},
    )

    assert whole["function_call"] == {"name": "look", "arguments": '{"a":1}'}


def test_sound_goes_on_beside_its_other_facts() -> None:
    whole = message({"audio": {"id": "a1", "data": "QU"}}, {"audio": {"data": "JD", "expires_at": 7, "id": None}})

    assert whole["audio"] == {"id": "a1", "data": "QUJD", "expires_at": 7}


def test_other_fields_keep_their_last_value() -> None:
    assert message({"name": "a"}, {"name": "b"})["name"] == "b"


def test_choices_may_arrive_in_any_order() -> None:
    whole = assembled(
        chunk({"content": "b"}, index=1),
        chunk({"content": "A"}, index=0),
        chunk({"content": "B"}, index=1, finish="length"),
        chunk(index=0, finish="stop"),
    )
    found = [(one["index"], one["message"]["content"], one["finish_reason"]) for one in whole["choices"]]

    assert found == [(0, "A", "stop"), (1, "bB", "length")]


def test_several_choices_in_one_chunk_are_told_apart() -> None:
    both = [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]
    whole = assembled({**TOP, "choices": both})

    assert [one["message"]["content"] for one in whole["choices"]] == ["a", "b"]


def test_a_choice_without_an_index_is_the_first() -> None:
    whole = assembled({**TOP, "choices": [{"delta": {"content": "a"}}]}, chunk({"content": "b"}))

    assert [one["message"]["content"] for one in whole["choices"]] == ["ab"]


# -- tool calls


def test_a_call_is_assembled_by_its_index() -> None:
    found = calls(
        said("look", "", index=0, id="a", type="function"), said(None, '{"x"', index=0), said(None, ":1}", index=0)
    )

    assert found == [a_call("a", "look", '{"x":1}')]


def test_calls_interleaved_by_index_are_told_apart() -> None:
    found = calls(
        said("one", "", index=0, id="a"),
        said("two", "", index=1, id="b"),
        said(None, "1", index=0),
        said(None, "2", index=1),
        said(None, "1", index=0),
    )

    assert found == [a_call("a", "one", "11"), a_call("b", "two", "2")]


def test_calls_are_in_order_of_their_index() -> None:
    found = calls(said("two", "{}", index=1, id="b"), said("one", "{}", index=0, id="a"))

    assert [call["id"] for call in found] == ["a", "b"]


def test_without_an_index_a_new_id_begins_a_new_call() -> None:
    found = calls(said("one", "{", id="a"), said(None, "}"), said("two", "{", id="b"), said(None, "}"))

    assert found == [a_call("a", "one", "{}"), a_call("b", "two", "{}")]


def test_without_an_index_an_id_that_repeats_goes_on_with_its_call() -> None:
    found = calls(said("one", "{", id="a"), said(None, '"x":1', id="a"), said(None, "}", id="a"))

    assert found == [a_call("a", "one", '{"x":1}')]


def test_without_an_index_interleaved_calls_are_told_apart_by_id() -> None:
    found = calls(said("one", "{", id="a"), said("two", "{", id="b"), said(None, "}", id="a"), said(None, "}", id="b"))

    assert found == [a_call("a", "one", "{}"), a_call("b", "two", "{}")]


def test_without_index_and_id_another_name_begins_a_new_call() -> None:
    found = calls(said("one", "{"), said(None, "}"), said("two", "{}"))

    assert found == [a_call(None, "one", "{}"), a_call(None, "two", "{}")]


def test_without_index_and_id_the_same_name_after_whole_arguments_begins_a_new_call() -> None:
    assert calls(said("one", "{}"), said("one", "{}")) == [a_call(None, "one", "{}")] * 2


def test_a_name_that_every_fragment_repeats_is_one_call() -> None:
    found = calls(said("one", "", id="a"), said("one", '{"x"', id="a"), said("one", ":1}", id="a"))

    assert found == [a_call("a", "one", '{"x":1}')]


def test_two_calls_with_the_same_id_are_told_apart_by_whole_arguments() -> None:
    assert calls(said("one", "{}", id="a"), said("one", "{}", id="a")) == [a_call("a", "one", "{}")] * 2


def test_calls_that_all_have_index_0_are_told_apart_by_id() -> None:
    found = calls(
        said("one", "{", index=0, id="a"),
        said(None, "}", index=0),
        said("two", "{", index=0, id="b"),
        said(None, "}", index=0),
        said(None, " ", index=0, id="a"),
    )

    assert found == [a_call("a", "one", "{} "), a_call("b", "two", "{}")]


def test_an_id_that_changes_with_every_fragment_is_one_call() -> None:
    found = calls(said("one", "{", index=0, id="a"), said(None, "}", index=0, id="b"))

    assert found == [a_call("a", "one", "{}")]


def test_an_id_may_come_after_the_name() -> None:
    assert calls(said("one", "{"), said(None, "}", id="a")) == [a_call("a", "one", "{}")]


def test_a_call_without_an_index_comes_after_those_that_have_one() -> None:
    found = calls(
        said("zero", "{}", index=0, id="a"),
        said("one", "{}", index=1, id="b"),
        said(None, "", index=0),
        said("two", "{}", id="c"),
    )

    assert [call["id"] for call in found] == ["a", "b", "c"]


def test_null_arguments_and_a_missing_function_are_nothing() -> None:
    found = calls({"index": 0, "id": "a", "function": None}, said("one", None, index=0), said(None, "{}", index=0))

    assert found == [a_call("a", "one", "{}")]


def test_several_fragments_in_one_chunk_are_several_calls() -> None:
    found = message({"tool_calls": [said("one", "{}", id="a"), None, said("two", "{}", id="b")]})

    assert found["tool_calls"] == [a_call("a", "one", "{}"), a_call("b", "two", "{}")]


def test_the_content_of_a_message_with_calls_is_null_rather_than_empty() -> None:
    with_calls = {"tool_calls": [said("one", "{}", index=0, id="a")]}

    assert message({"content": ""}, with_calls)["content"] is None
    assert message({"content": "Let me see."}, with_calls)["content"] == "Let me see."


# -- usage, logprobs, the envelope


def test_usage_is_lifted_from_the_first_choice() -> None:
    whole = assembled(chunk({"content": "a"}), chunk(finish="stop", usage={"total_tokens": 5}))

    assert whole["usage"] == {"total_tokens": 5}
    assert "usage" not in whole["choices"][0]


def test_usage_of_the_last_chunk_counts() -> None:
    whole = assembled(
        chunk(finish="stop", usage={"total_tokens": 5}), {**TOP, "choices": [], "usage": {"total_tokens": 6}}
    )

    assert whole["usage"] == {"total_tokens": 6}


def test_a_null_usage_takes_nothing_away() -> None:
    whole = assembled({**chunk(finish="stop"), "usage": {"total_tokens": 5}}, {**TOP, "choices": None, "usage": None})

    assert whole["usage"] == {"total_tokens": 5}


def test_logprobs_of_all_chunks_are_one_list() -> None:
    whole = assembled(
        chunk({"content": "a"}, logprobs={"content": [{"token": "a"}], "refusal": None}),
        chunk({"content": "b"}, logprobs={"content": [{"token": "b"}], "refusal": None}),
        chunk(finish="stop", logprobs=None),
    )

    assert whole["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


def test_an_answer_without_logprobs_has_none() -> None:
    assert "logprobs" not in assembled(chunk({"content": "a"}))["choices"][0]


def test_the_envelope_is_of_the_first_chunk_that_has_it() -> None:
    whole = assembled(
        {"choices": [], "id": None}, {**TOP, "id": "one"}, {**TOP, "id": "two", "system_fingerprint": "f"}
    )

    assert (whole["id"], whole["system_fingerprint"], whole["object"]) == ("one", "f", "chat.completion")


# -- the stream as such


def test_done_comments_and_empty_data_are_no_chunks() -> None:
    noise = b": keep-alive\n\ndata:\n\ndata:  [DONE] \n\n"

    assert assembled(chunk({"content": "a"}), tail=noise)["choices"][0]["message"]["content"] == "a"


def test_a_last_event_without_its_empty_line_counts() -> None:
    last = event({**TOP, "choices": [], "usage": {"total_tokens": 5}}).rstrip(b"\n")

    assert assembled(chunk({"content": "a"}), tail=last)["usage"] == {"total_tokens": 5}


@pytest.mark.parametrize("garbage", [b"{", b"null", b'"text"', b"[]", b"\xff"])
def test_what_is_no_chunk_breaks_the_assembly(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Assembly().feed(b"data: " + garbage + b"\n\n")


def test_choices_that_are_no_objects_are_read_over() -> None:
    assert assembled({**TOP, "choices": [None, 3, {"delta": None}]})["choices"][0]["message"]["content"] is None


# -- and back

texts = st.text(st.characters(codec="utf-8"), max_size=12)
tool_calls = st.lists(st.builds(a_call, st.uuids().map(str), texts.filter(bool), texts), min_size=1, max_size=3)


@st.composite
def completions(draw: st.DrawFn) -> Json:
    choices = []
    for index in range(draw(st.integers(1, 3))):
        said: Json = {"role": "assistant", "content": draw(texts)}
        if draw(st.booleans()):
            said["reasoning_content"] = draw(texts)
        if draw(st.booleans()):
            said["tool_calls"] = draw(tool_calls)
            said["content"] = said["content"] or None
        choice: Json = {"index": index, "message": said, "finish_reason": draw(st.sampled_from(["stop", "length"]))}
        if draw(st.booleans()):
            choice["logprobs"] = {"content": [{"token": draw(texts)}]}
        choices.append(choice)
    usage = {"usage": {"total_tokens": draw(st.integers(1, 99))}} if draw(st.booleans()) else {}
    return {**TOP, "object": "chat.completion", "choices": choices, **usage}


@given(completion=completions(), at=st.integers(1, 400))
def test_a_completion_comes_back_from_its_own_stream(completion: Json, at: int) -> None:
    stream = as_stream(msgspec.json.encode(completion))
    assembly = Assembly()
    for start in range(0, len(stream), at):
        assembly.feed(stream[start : start + at])

    assert msgspec.json.decode(assembly.completion()) == completion


@given(completion=completions())
def test_a_stream_from_a_completion_ends_each_choice_and_itself(completion: Json) -> None:
    events = as_stream(msgspec.json.encode(completion)).split(b"\n\n")
    chunks = [msgspec.json.decode(one.removeprefix(b"data: ")) for one in events[:-2]]
    finished = [one["choices"][0]["finish_reason"] for one in chunks if one["choices"]]

    assert events[-2:] == [b"data: [DONE]", b""]
    assert {one["object"] for one in chunks} == {"chat.completion.chunk"}
    assert [reason for reason in finished if reason] == [one["finish_reason"] for one in completion["choices"]]


def test_tool_calls_of_a_completion_are_numbered_in_its_stream() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [a_call("a", "one", "{}"), a_call("b", "two", "{}")]}
    stream = as_stream(msgspec.json.encode({**TOP, "choices": [{"index": 0, "message": message}]}))
    first = msgspec.json.decode(stream.split(b"\n\n")[0].removeprefix(b"data: "))

    assert [call["index"] for call in first["choices"][0]["delta"]["tool_calls"]] == [0, 1]


def test_a_completion_without_choices_is_an_empty_stream() -> None:
    assert as_stream(b'{"choices":null}') == DONE


def test_a_completion_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="object"):
        as_stream(b"[]")
