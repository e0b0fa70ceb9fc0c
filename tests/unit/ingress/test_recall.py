"""A request out of the capture stream: which answer its client got, whatever else passed."""

from __future__ import annotations

from typing import Any

from services.ingress.rules.recall import Recall
from shared.contracts import Done, End, Event, Fault, Head, HttpRequest, Struct, encode

INGRESS, UPSTREAM = "ingress-1", "upstream-1"
BROKEN = Fault(status=502, code="provider_broke_off", message="It broke off.")


def heard(*messages: tuple[str, Struct | bytes, int | None]) -> tuple[Recall, bytes]:
    """`messages` are topic, what was said, and the number of a frame."""
    recall, data = Recall(), b""
    for topic, said, number in messages:
        headers = {} if number is None else {"Frame": f"{number} {UPSTREAM}"}
        data += recall.take(topic.split("."), headers, said if isinstance(said, bytes) else encode(said))
    return recall, data


def head(status: int = 200, **more: Any) -> Head:
    return Head(status=status, worker=UPSTREAM, at=1.0, content_type="text/event-stream", **more)


def end(outcome: Any = "complete", **more: Any) -> End:
    return End(outcome=outcome, worker=UPSTREAM, at=2.0, **more)


def done(outcome: Any = "complete", **more: Any) -> Done:
    return Done(at=3.0, worker=INGRESS, status=200, outcome=outcome, **more)


def request(path: str) -> HttpRequest:
    return HttpRequest(id="X", at=0.0, method="POST", path=path)


def test_both_forms_of_the_request_are_known() -> None:
    recall, _ = heard(
        ("request", request("/v1/responses"), None), ("c0.request", request("/v1/chat/completions"), None)
    )

    assert recall.request is not None
    assert recall.request.path == "/v1/responses"
    assert recall.canonical is not None
    assert recall.canonical.path == "/v1/chat/completions"
    assert not recall.is_over
    assert recall.last is None


def test_the_answer_is_the_leg_to_the_ingress_in_its_order() -> None:
    recall, data = heard(
        ("c1.raw.normalizer-1.head", head(), 0),
        ("c1.raw.normalizer-1.data", b"raw", 1),
        (f"c1.normal.{INGRESS}.head", head(), 0),
        (f"c1.normal.{INGRESS}.data", b"one ", 1),
        (f"c1.normal.{INGRESS}.data", b"one ", 1),
        (f"c1.normal.{INGRESS}.data", b"two", 2),
        (f"c1.normal.{INGRESS}.end", end(), 3),
        ("done", done(), None),
    )

    assert data == b"one two"
    assert recall.ingress == INGRESS
    assert recall.is_stream
    assert recall.last == end()


def test_of_an_answer_made_of_several_calls_only_what_the_client_gets_counts() -> None:
    _, data = heard(
        ("c1.normal.enforcer-1.data", b"not this", 0),
        (f"c0.out.{INGRESS}.head", head(), 0),
        (f"c0.out.{INGRESS}.data", b"one ", 1),
        ("c2.normal.enforcer-1.data", b"nor this", 0),
        (f"c0.out.{INGRESS}.data", b"two", 2),
    )

    assert data == b"one two"


def test_an_errors_body_is_no_answer() -> None:
    _, data = heard((f"c1.raw.{INGRESS}.head", head(503), 0), (f"c1.raw.{INGRESS}.data", b"{error}", 1))

    assert data == b""


def test_the_next_calls_leg_takes_the_place_of_a_refused_one() -> None:
    recall, data = heard(
        (f"c1.raw.{INGRESS}.head", head(503), 0),
        (f"c1.raw.{INGRESS}.end", end("refused", fault=BROKEN, next_call="c2"), 1),
        (f"c2.raw.{INGRESS}.head", head(), 0),
        (f"c2.raw.{INGRESS}.data", b"fine", 1),
        (f"c1.raw.{INGRESS}.data", b"late", 2),
    )

    assert (data, recall.attempt) == (b"fine", 1)


def test_a_call_that_continues_another_one_voids_nothing() -> None:
    recall, data = heard(
        (f"c1.raw.{INGRESS}.head", head(), 0),
        (f"c1.raw.{INGRESS}.data", b"one ", 1),
        (f"c1.raw.{INGRESS}.end", end("broken", fault=BROKEN, next_call="c2", continued=True), 2),
        (f"c2.raw.{INGRESS}.head", head(), 0),
        (f"c2.raw.{INGRESS}.data", b"two", 1),
    )

    assert (data, recall.attempt) == (b"one two", 0)


def test_the_end_is_the_one_that_the_client_saw() -> None:
    recall, _ = heard((f"c1.raw.{INGRESS}.end", end(), 0), ("done", done("broken", fault=BROKEN), None))

    assert recall.last is not None
    assert (recall.last.outcome, recall.last.fault) == ("broken", BROKEN)


def test_a_request_that_never_had_a_leg_has_an_end_nevertheless() -> None:
    recall, _ = heard(("done", done("refused", fault=BROKEN), None))

    assert recall.last is not None
    assert recall.last.fault == BROKEN


def test_a_deleted_response_is_marked() -> None:
    recall, _ = heard(
        ("event.deleted", Event(at=0, worker=INGRESS), None), ("event.repaired", Event(at=0, worker=INGRESS), None)
    )

    assert recall.is_deleted


# -- a worker that died


def by(maker: str, number: int) -> dict[str, str]:
    return {"Frame": f"{number} {maker}"}


def told(*frames: tuple[str, Struct | bytes, dict[str, str]], leg: str = "c1.normal") -> tuple[Recall, bytes]:
    recall, data = Recall(), b""
    for kind, said, headers in frames:
        topic = [*leg.split("."), INGRESS, kind]
        data += recall.take(topic, headers, said if isinstance(said, bytes) else encode(said))
    return recall, data


def test_a_leg_that_was_made_again_is_told_once() -> None:
    recall, data = told(
        ("head", head(), by("n-1", 0)),
        ("data", b"one ", by("n-1", 1)),
        ("data", b"two ", by("n-1", 2)),
        ("head", head(takes_over="n-1"), by("n-2", 0)),
        ("data", b"one two th", by("n-2", 1)),
        ("data", b"late", by("n-1", 3)),
        ("head", head(takes_over="n-2"), by("n-3", 0)),
        ("data", b"one ", by("n-3", 1)),
        ("data", b"two three", by("n-3", 2)),
        ("end", end(), by("n-3", 3)),
    )

    assert data == b"one two three"
    assert recall.end is not None


def test_a_stray_worker_is_not_taken_for_one_that_takes_over() -> None:
    _, data = told(
        ("head", head(), by("n-1", 0)),
        ("head", head(), by("n-2", 0)),
        ("head", head(takes_over="n-9"), by("n-3", 0)),
        ("data", b"wrong", by("n-2", 1)),
        ("data", b"right", by("n-1", 1)),
    )

    assert data == b"right"


def test_a_call_that_another_worker_ended_goes_on_with_the_next() -> None:
    recall, data = Recall(), b""
    for call, kind, said, headers in (
        ("c1", "head", head(), by("u-1", 0)),
        ("c1", "data", b"one ", by("u-1", 1)),
        ("c1", "end", end("lost"), by("u-9", 2)),
        ("c1", "end", end("lost", takes_over="u-1", next_call="c2", continued=True), by("u-2", 2)),
        ("c2", "head", head(), by("u-2", 0)),
        ("c2", "data", b"two", by("u-2", 1)),
    ):
        data += recall.take([call, "raw", INGRESS, kind], headers, said if isinstance(said, bytes) else encode(said))

    assert (data, recall.attempt) == (b"one two", 0)
