"""The table of subjects."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import subjects as subjects_module
from shared.bus.memory import matches
from shared.subjects import STAGE_OF_SERVICE, FrameAddress, Subjects

TOKENS = st.text("ABCDEFGHJKMNPQRSTVWXYZ0123456789abcxyz_-", min_size=1, max_size=26)
ROOTS = st.lists(TOKENS, min_size=1, max_size=3).map(".".join)


def test_the_table_is_the_designs() -> None:
    made = Subjects()

    assert [
        made.work("upstream"),
        made.request("R1"),
        made.call_request("R1", "c1"),
        f"{made.leg('R1', 'c1', 'raw', 'in-1')}.head",
        made.event("R1", "retried"),
        made.cancel("R1"),
        made.done("R1"),
        made.worker("upstream", "up-1"),
        made.provider_state("moonshot"),
        made.ask_records,
    ] == [
        "moontide.work.upstream",
        "moontide.req.R1.request",
        "moontide.req.R1.c1.request",
        "moontide.req.R1.c1.raw.in-1.head",
        "moontide.req.R1.event.retried",
        "moontide.req.R1.cancel",
        "moontide.req.R1.done",
        "moontide.worker.upstream.up-1",
        "moontide.provider.moonshot.state",
        "moontide.ask.records",
    ]


def documented() -> list[list[str]]:
    """The subjects of the module's table, `<name>` as one token."""
    lines = re.findall(r"^    ((?:work|req|worker|provider|ask)\.\S+)", subjects_module.__doc__ or "", re.MULTILINE)
    return [re.sub(r"<\w+>", "*", re.sub(r"\{[\w,]+\}", "*", line)).split(".") for line in lines]


MADE = {
    "work": Subjects("r").work("enforce"),
    "request": Subjects("r").request("R1"),
    "call_request": Subjects("r").call_request("R1", "c1"),
    "leg": Subjects("r").leg("R1", "c1", "normal", "in-1") + ".data",
    "event": Subjects("r").event("R1", "routed"),
    "cancel": Subjects("r").cancel("R1"),
    "done": Subjects("r").done("R1"),
    "worker": Subjects("r").worker("recorder", "rec-1"),
    "ask_records": Subjects("r").ask_records,
    "provider_state": Subjects("r").provider_state("mine"),
}


@pytest.mark.parametrize("name", MADE)
def test_every_subject_is_in_the_documented_table(name: str) -> None:
    subject = MADE[name].removeprefix("r.").split(".")

    assert [line for line in documented() if matches(line, subject)] != []


def test_the_documented_table_has_no_subject_that_is_not_made() -> None:
    subjects = [subject.removeprefix("r.").split(".") for subject in MADE.values()]

    assert [line for line in documented() if not any(matches(line, subject) for subject in subjects)] == []


@given(root=ROOTS, id=TOKENS, call=TOKENS, leg=TOKENS, to=TOKENS, kind=st.sampled_from(["head", "data", "end"]))
def test_a_frames_subject_can_be_taken_apart(root: str, id: str, call: str, leg: str, to: str, kind: str) -> None:
    made = Subjects(root)

    assert made.frame(f"{made.leg(id, call, leg, to)}.{kind}") == FrameAddress(id, call, leg, to, kind)


@given(root=ROOTS, id=TOKENS, to=TOKENS, other=TOKENS)
def test_a_worker_hears_its_own_frames_and_nothing_else(root: str, id: str, to: str, other: str) -> None:
    made = Subjects(root)
    mine = made.frames_to(to).split(".")
    heard = [
        matches(mine, subject.split("."))
        for subject in (
            f"{made.leg(id, 'c1', 'raw', to)}.data",
            f"{made.leg(id, 'c1', 'raw', other)}.data",
            made.request(id),
            made.call_request(id, "c1"),
            made.cancel(id),
            made.done(id),
            made.event(id, to),
        )
    ]

    assert heard == [True, other == to, False, False, False, False, False]


@given(root=ROOTS, id=TOKENS)
def test_everything_about_a_request_is_captured_and_nothing_else(root: str, id: str) -> None:
    made = Subjects(root)
    captured = made.captured.split(".")
    inside = [made.request(id), made.call_request(id, "c1"), made.cancel(id), made.done(id), made.event(id, "x")]
    outside = [made.work("upstream"), made.worker("upstream", id), made.provider_state("p")]

    assert [matches(captured, subject.split(".")) for subject in inside + outside] == [True] * 5 + [False] * 3
    assert all(matches(made.of_request(id).split("."), subject.split(".")) for subject in inside)


@given(root=ROOTS, id=TOKENS, name=TOKENS)
def test_all_cancels_and_workers_are_heard(root: str, id: str, name: str) -> None:
    made = Subjects(root)

    assert matches(made.cancels.split("."), made.cancel(id).split("."))
    assert matches(made.workers.split("."), made.worker(name, id).split("."))
    assert made.below_request(made.cancel(id)) == [id, "cancel"]


def test_every_stage_has_a_service() -> None:
    assert STAGE_OF_SERVICE == {
        "upstream": "upstream",
        "normalizer": "normalize",
        "enforcer": "enforce",
        "sentinel": "watch",
    }
