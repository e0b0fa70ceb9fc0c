"""What stands in a body: short cuts through the bytes find what reading all of it finds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.records.answers import EVENT_STREAM
from shared.records.blobs import pack
from shared.records.predicates.bodies import Content, at_path, body_test, whole
from shared.records.predicates.values import test_of as fitting

JSON = "application/json"
ANSWER = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}


def content(data: bytes | None, content_type: str = JSON) -> Content:
    return Content(content_type, pack(data) if data is not None else None)


def stream(*chunks: Any) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def chunk(delta: Any, finish: str | None = None, index: int = 0, **top: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", **top, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("choices", 0, "finish_reason"), "stop"),
        (("choices", -1, "message", "content"), "hi"),
        (("choices", 1, "finish_reason"), None),
        (("choices", -2), None),
        (("choices", "0"), None),
        (("id", 0), None),
        (("id", "x"), None),
        (("choices",), ANSWER["choices"]),
    ],
)
def test_a_path_goes_through_objects_and_lists(path: Any, value: Any) -> None:
    assert at_path(ANSWER, path) == value


def test_a_number_is_a_name_in_an_object() -> None:
    assert at_path({"logit_bias": {"50256": -1}}, ("logit_bias", 50256)) == -1


@pytest.mark.parametrize(
    ("sign", "literal", "fits"),
    [("==", "length", True), ("!=", "stop", True), ("@", ("stop", "length"), True), ("==", "stop", False)],
)
def test_a_stream_is_merged_before_it_is_looked_at(sign: str, literal: Any, fits: bool) -> None:
    data = stream(chunk({"content": "a"}), chunk({}, "length"), {"id": "chatcmpl-1", "choices": []})

    assert body_test(("choices", 0, "finish_reason"), sign, literal)(content(data, EVENT_STREAM)) is fits


def test_the_text_of_a_streams_pieces_is_one() -> None:
    data = stream(chunk({"content": "mo"}), chunk({"content": "on"}))

    assert body_test(("choices", 0, "message", "content"), "==", "moon")(content(data, EVENT_STREAM))


def test_without_a_path_the_bytes_are_a_text() -> None:
    data = stream(chunk({"content": "a"}))

    assert body_test((), "~", "DATA:")(content(data, EVENT_STREAM))
    assert body_test((), "~", "DATA:")(content(b"data: \xff", JSON))
    assert not body_test((), "~", "x")(content(None))
    assert body_test((), "==", None)(content(None))


@pytest.mark.parametrize("data", [b"", None, b"plain", b"{", b"\xff\xfe", b"[1, 2]", b'{"choices": {}}', b"7"])
@pytest.mark.parametrize("content_type", [JSON, EVENT_STREAM])
def test_what_is_not_there_is_null(data: bytes | None, content_type: str) -> None:
    held = content(data, content_type)

    assert body_test(("choices", 0, "finish_reason"), "==", None)(held)
    assert not body_test(("choices", 0, "finish_reason"), "!=", "x")(held)


def test_a_text_that_is_written_with_escapes_is_found() -> None:
    assert body_test(("model",), "==", "kimi")(content(b'{"mod\\u0065l": "kim\\u0069"}'))


def test_a_line_break_of_another_kind_ends_an_event_too() -> None:
    data = stream(chunk({}, "length")).replace(b"\n", b"\r\n")

    assert body_test(("choices", 0, "finish_reason"), "==", "length")(content(data, EVENT_STREAM))


WORDS = st.sampled_from(["stop", "length", "kimi", "a", "", "é", "x/y"])
KEYS = [
    "choices",
    "index",
    "delta",
    "message",
    "finish_reason",
    "content",
    "id",
    "model",
    "usage",
    "object",
    "error",
    "0",
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
choices = st.fixed_dictionaries(
    {"index": st.integers(0, 2), "delta": st.fixed_dictionaries({"content": WORDS})},
    optional={"finish_reason": st.none() | WORDS, "usage": values},
)
chunks = st.fixed_dictionaries(
    {},
    optional={
        "id": values,
        "model": values,
        "usage": values,
        "error": values,
        "choices": st.lists(choices, max_size=2),
    },
)
paths = st.sampled_from(
    [
        ("choices", 0, "finish_reason"),
        ("choices", -1, "finish_reason"),
        ("choices", 0, "message", "content"),
        ("choices", 1, "index"),
        ("choices", 0, "usage"),
        ("id",),
        ("model",),
        ("usage",),
        ("usage", "id"),
        ("object",),
        ("error", "content"),
        ("0",),
        (0, "id"),
    ]
)
asked = (
    st.tuples(st.sampled_from(["==", "!=", "~"]), WORDS)
    | st.tuples(st.sampled_from(["==", "!="]), st.none())
    | st.tuples(st.sampled_from(["@", "!@"]), st.lists(WORDS, min_size=1, max_size=2).map(tuple))
    | st.tuples(st.sampled_from(["==", ">", "<="]), st.integers(-2, 2))
)


@settings(max_examples=400)
@given(values, paths, asked)
def test_short_cuts_find_in_a_body_what_reading_all_of_it_finds(value: Any, path: Any, comparison: Any) -> None:
    held = content(msgspec.json.encode(value))

    assert body_test(path, *comparison)(held) is fitting(*comparison)(whole(held, path))


@settings(max_examples=400)
@given(st.lists(chunks | values, max_size=4), paths, asked)
def test_short_cuts_find_in_a_stream_what_merging_all_of_it_finds(some: list[Any], path: Any, comparison: Any) -> None:
    held = content(stream(*some), EVENT_STREAM)

    assert body_test(path, *comparison)(held) is fitting(*comparison)(whole(held, path))
