"""What crosses the bus: every struct there and back, and what a reader of another version may meet."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts import (
    Accepted,
    Ask,
    Body,
    Cancel,
    Done,
    End,
    Event,
    Fault,
    Head,
    Heartbeat,
    HttpRequest,
    Job,
    Message,
    ProviderState,
    Recorded,
    RepairSettings,
    RepeatSettings,
    Sealed,
    Struct,
    Usage,
    Watch,
    decode,
    encode,
)

KINDS: tuple[type[Struct], ...] = get_args(Message)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.dictionaries(texts, texts, max_size=3)
counts = st.integers(0, 2**53)
seconds = st.floats(0, 1e10)
maybe = st.none
outcomes = st.sampled_from(["complete", "stopped", "truncated", "broken", "refused", "cancelled", "lost"])
faults = st.builds(
    Fault,
    status=st.integers(400, 599),
    code=texts,
    message=texts,
    type=texts,
    param=maybe() | texts,
    retry_after_s=maybe() | seconds,
    body=maybe() | texts,
)
usages = st.builds(Usage, prompt_tokens=counts, completion_tokens=counts, total_tokens=counts, cached_tokens=counts)
raws = st.sampled_from([b"{}", b'{"a": [1, 2.50,"\\u00e9"]}', b'{"model":"kimi",  "x":1e3}']).map(msgspec.Raw)
bodies = st.one_of(
    st.builds(Body),
    st.builds(Body, json=raws, size=counts),
    st.builds(Body, data=st.binary(max_size=20), size=counts),
    st.builds(Body, claim=texts, size=counts),
)
requests = st.builds(
    HttpRequest,
    id=texts,
    at=seconds,
    method=texts,
    path=texts,
    headers=names,
    body=bodies,
    client=maybe() | texts,
    model=maybe() | texts,
    stream=st.booleans(),
    changes=st.dictionaries(texts, st.lists(texts, max_size=2), max_size=2),
)
facts = st.dictionaries(texts, st.one_of(texts, st.booleans(), st.integers(-(2**53), 2**53)), max_size=3)

EVERY: dict[type[Struct], st.SearchStrategy[Any]] = {
    HttpRequest: requests,
    Job: st.builds(
        Job,
        id=texts,
        call=texts,
        to=texts,
        request=requests,
        streamed=st.booleans(),
        repair=st.builds(RepairSettings, enabled=st.booleans(), off=st.lists(texts, max_size=2).map(tuple)),
        secret=maybe() | st.builds(Sealed, boxes=names),
        queue_timeout_s=seconds,
    ),
    Watch: st.builds(
        Watch,
        id=texts,
        choices=st.integers(1, 128),
        repeat=st.builds(
            RepeatSettings,
            action=st.sampled_from(["stop", "warn", "off"]),
            threshold=st.floats(0, 1),
            min_length=counts,
            finish_reason=texts,
        ),
    ),
    Accepted: st.builds(Accepted, worker=texts, busy=st.booleans(), fault=maybe() | faults),
    Head: st.builds(Head, status=st.integers(100, 599), worker=texts, at=seconds, headers=names),
    End: st.builds(
        End,
        outcome=outcomes,
        worker=texts,
        at=seconds,
        body_bytes=counts,
        usage=maybe() | usages,
        repairs=st.dictionaries(texts, counts, max_size=2),
        fault=maybe() | faults,
    ),
    Event: st.builds(Event, at=seconds, worker=texts, call=maybe() | texts, facts=facts),
    Cancel: st.builds(Cancel, by=texts, why=texts, worker=maybe() | texts, finish_reason=maybe() | texts),
    Done: st.builds(
        Done,
        at=seconds,
        worker=texts,
        status=st.integers(100, 599),
        outcome=outcomes,
        tail=maybe() | st.binary(max_size=20),
        body=maybe() | st.builds(Body, data=st.binary(max_size=20)),
        headers=names,
        fault=maybe() | faults,
    ),
    Heartbeat: st.builds(
        Heartbeat,
        service=texts,
        instance=texts,
        version=texts,
        pid=counts,
        host=texts,
        at=seconds,
        started_at=seconds,
        in_flight=counts,
        capacity=counts,
        draining=st.booleans(),
        seal_key=maybe() | texts,
    ),
    ProviderState: st.builds(
        ProviderState,
        provider=texts,
        state=st.sampled_from(["closed", "open", "half_open", "shut"]),
        worker=texts,
        at=seconds,
        model=maybe() | texts,
        since=seconds,
        until=seconds,
        why=texts,
        message=texts,
        trips=counts,
        balance=maybe() | texts,
    ),
    Ask: st.builds(Ask, id=texts, client=maybe() | texts),
    Recorded: st.builds(
        Recorded,
        id=texts,
        request=maybe() | requests,
        canonical=st.binary(max_size=20),
        answer=st.binary(max_size=20),
        content_type=texts,
        end=maybe() | st.builds(End, outcome=outcomes, worker=texts, at=seconds, usage=maybe() | usages),
        claim=maybe() | texts,
        unavailable=maybe() | texts,
    ),
}


def test_every_message_is_tried() -> None:
    assert set(EVERY) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_message_comes_back_as_it_was(kind: type[Struct], data: st.DataObject) -> None:
    message = data.draw(EVERY[kind])
    back = decode(kind, encode(message))

    assert back == message
    assert encode(back) == encode(message)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_fields_of_a_later_version_are_read_over(kind: type[Struct], data: st.DataObject) -> None:
    message = data.draw(EVERY[kind])
    fields = msgspec.json.decode(encode(message))
    later = msgspec.json.encode({**fields, "from_the_future": {"a": [1]}})

    assert msgspec.json.decode(encode(decode(kind, later))) == fields


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_is_tagged_with_its_version(kind: type[Struct]) -> None:
    info = msgspec.inspect.type_info(kind)

    assert isinstance(info, msgspec.inspect.StructType)
    assert (info.tag_field, str(info.tag).endswith(".v1")) == ("type", True)


def test_no_two_messages_have_the_same_tag() -> None:
    assert len({kind.__struct_config__.tag for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("wrong", [b'{"type":"job.v2"}', b"{}", b"null", b"", b"[", b"\xff", b'{"type":1}'])
def test_what_is_no_message_of_the_kind_is_refused(kind: type[Struct], wrong: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(kind, wrong)


def test_text_that_is_not_utf8_is_refused_like_the_rest() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(Cancel, b'{"type":"cancel.v1","by":"\xff","why":""}')


def test_a_body_nested_too_deeply_is_refused_like_the_rest() -> None:
    deep = b"[" * 5000 + b"]" * 5000

    with pytest.raises(msgspec.DecodeError, match="recursion"):
        decode(HttpRequest, encode(HttpRequest(id="R1", at=1, method="", path="", body=Body(json=msgspec.Raw(deep)))))


def test_a_request_body_crosses_byte_for_byte() -> None:
    body = b'{"model" : "kimi",\n "n":1.50, "t":"\\u00e9"}'
    request = HttpRequest(id="R1", at=1.0, method="POST", path="/", body=Body(json=msgspec.Raw(body), size=len(body)))
    back = decode(HttpRequest, encode(request)).body.json

    assert isinstance(back, msgspec.Raw)
    assert bytes(back) == body


def test_defaults_are_left_out_on_the_wire() -> None:
    assert encode(Accepted(worker="up-1")) == b'{"type":"accepted.v1","worker":"up-1"}'
