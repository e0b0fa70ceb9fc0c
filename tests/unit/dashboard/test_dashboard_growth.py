"""Running requests as they grow."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.rules.growth import MOST, Growth
from shared.contracts import Done, Fault, Usage
from shared.ids import new_id
from shared.subjects import Subjects
from tests.fixtures.exchanges import BEGAN, Script

SUBJECTS = Subjects("moontide")


def grown(script: Script, growth: Growth | None = None, now: float = BEGAN + 2) -> Growth:
    growth = growth or Growth()
    for subject, data, _ in script.messages:
        growth.take(SUBJECTS.below_request(subject), data, now)
    return growth


def row(growth: Growth, id: str) -> dict[str, Any]:
    found = growth.row(id)
    assert found is not None
    return found


def test_a_request_is_there_from_its_first_message_on() -> None:
    id = new_id(BEGAN)
    growth = grown(Script(id).request())

    assert row(growth, id)["model"] == "kimi-k2"
    assert row(growth, id)["client"] == "tests"
    assert growth.running() == [id]


def test_it_grows_with_every_piece_and_knows_when_the_first_one_came() -> None:
    id = new_id(BEGAN)
    growth = grown(Script(id).request().head().data(b"data: 1\n\ndata: 2\n\n"))
    grown(Script(id).data(b"data: 3\n\n"), growth, now=BEGAN + 5)

    assert (row(growth, id)["chunks"], row(growth, id)["body_bytes"]) == (3, 27)
    assert row(growth, id)["first_byte_s"] == 2.0
    assert row(growth, id)["provider"] == "moonshot"


def test_another_call_s_first_byte_counts_anew() -> None:
    id = new_id(BEGAN)
    growth = grown(Script(id).request().head().data(b"x"))
    grown(Script(id).head("c2").data(b"y", "c2"), growth, now=BEGAN + 7)

    assert row(growth, id)["first_byte_s"] == 7.0


def test_what_is_done_has_its_account() -> None:
    id = new_id(BEGAN)
    growth = grown(Script(id).request().head().end().done())

    assert (row(growth, id)["state"], row(growth, id)["outcome"]) == ("done", "complete")
    assert row(growth, id)["prompt_tokens"] == 12
    assert growth.running() == []


def test_a_fault_is_told() -> None:
    id = new_id(BEGAN)
    fault = Fault(status=503, code="no_capacity", message="nobody has room")
    done = Done(at=BEGAN, worker="i", status=503, outcome="refused", fault=fault)
    growth = grown(Script(id).say(SUBJECTS.done(id), done))

    assert (row(growth, id)["error_code"], row(growth, id)["error_message"]) == ("no_capacity", "nobody has room")


def test_a_request_that_was_under_way_before_anybody_looked_is_there_too() -> None:
    id = new_id(BEGAN)
    growth = grown(Script(id).data(b"data: 1\n\n"))

    assert (row(growth, id)["at"], row(growth, id)["chunks"]) == (BEGAN, 1)


def test_only_what_is_done_is_let_go_of() -> None:
    one, other = new_id(BEGAN), new_id(BEGAN)
    growth = grown(Script(one).request().done())
    grown(Script(other).request(), growth)
    growth.sweep([one, other, "unknown"])

    assert growth.row(one) is None
    assert growth.row(other) is not None


def test_the_oldest_is_let_go_of_where_there_are_too_many() -> None:
    growth = Growth()
    ids = [new_id(BEGAN + number) for number in range(MOST + 1)]
    for id in ids:
        growth.take([id, "c1", "raw", "i", "data"], b"x", BEGAN)

    assert growth.row(ids[0]) is None
    assert growth.row(ids[-1]) is not None


def test_what_can_t_be_read_changes_nothing() -> None:
    growth = Growth()

    assert growth.take([new_id(BEGAN), "request"], b"{broken", BEGAN) is None
    assert growth.take(["no-id", "c1", "raw", "i", "data"], b"x", BEGAN) is None
    assert growth.take([new_id(BEGAN), "event", "routed"], b"{}", BEGAN) is None
    assert growth.running() == []


@given(st.lists(st.sampled_from(["request", "done", "c1.raw.i.head", "c1.raw.i.data", "c1.raw.i.end"])), st.binary())
def test_no_message_is_an_error(kinds: list[str], data: bytes) -> None:
    growth, id = Growth(), new_id(BEGAN)
    for kind in kinds:
        assert growth.take([id, *kind.split(".")], data, BEGAN) in (id, None)


def test_usage_is_optional() -> None:
    id = new_id(BEGAN)
    told = Done(at=BEGAN, worker="i", status=200, outcome="complete", usage=Usage(completion_tokens=5))
    assert row(grown(Script(id).say(SUBJECTS.done(id), told)), id)["completion_tokens"] == 5
    assert "completion_tokens" not in row(grown(Script(id).done(usage=None, first_byte_s=None)), id)
