"""The table of rights: every subject has somebody who may say it, and nobody may say what is another one's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest

from services.cli.nats_config import nats_conf
from shared.rights import KEEPERS, OPERATOR, TAP, inbox_of, rights
from shared.subjects import STAGE_OF_SERVICE, Leg, Stage, Subjects
from tests.fixtures.granted import made, may_hear, may_say

SUBJECTS = Subjects()
RIGHTS = rights(SUBJECTS)
CONF = Path(__file__).parents[3] / "deploy" / "nats.conf"


@pytest.mark.parametrize(("name", "subject"), made().items())
def test_every_subject_is_somebodys(name: str, subject: str) -> None:
    says = [user for user in RIGHTS if may_say(user, subject)]
    hears = [user for user in RIGHTS if may_hear(user, subject)]

    assert hears, f"{name}: give somebody the right to subscribe to {subject}, in shared/rights.py"
    assert says or "*" in subject or ">" in subject, f"{name}: give somebody the right to publish {subject}"


@pytest.mark.parametrize("stage", get_args(Stage))
def test_every_stage_is_offered_and_taken_in_its_queue_group_alone(stage: str) -> None:
    (service,) = (name for name, its in STAGE_OF_SERVICE.items() if its == stage)
    takers = {user for user in RIGHTS if may_hear(user, SUBJECTS.work(stage))}

    assert takers == {service}
    assert f"{SUBJECTS.work(stage)} {stage}" in RIGHTS[service].subscribe
    assert may_say("ingress", SUBJECTS.work(stage))


@pytest.mark.parametrize("leg", get_args(Leg))
def test_every_leg_has_one_maker(leg: str) -> None:
    assert len([user for user in RIGHTS if may_say(user, f"{SUBJECTS.leg('x', 'c1', leg, 'y')}.data")]) == 1


@pytest.mark.parametrize(
    ("subject", "whose"),
    [
        (SUBJECTS.done("x"), {"ingress"}),
        (SUBJECTS.request("x"), {"ingress"}),
        (SUBJECTS.work("watch"), {"ingress"}),
        (SUBJECTS.work("upstream"), {"ingress", "enforcer", "normalizer"}),
        (SUBJECTS.provider_state("x"), {"upstream", OPERATOR}),
        (SUBJECTS.ask_records, {"ingress"}),
        (SUBJECTS.worker("normalizer", "x"), {"normalizer"}),
        (f"{SUBJECTS.leg('x', 'c1', 'raw', 'y')}.end", {"upstream"}),
        (f"{SUBJECTS.leg('x', 'c1', 'normal', 'y')}.end", {"normalizer"}),
        (f"{SUBJECTS.leg('x', 'c0', 'out', 'y')}.end", {"enforcer"}),
        ("$JS.API.CONSUMER.MSG.NEXT.MOONTIDE.recorder-1", {"recorder"}),
        ("$JS.ACK.MOONTIDE.recorder-1.1.1.1.1.1", {"recorder"}),
        ("$JS.API.CONSUMER.DELETE.MOONTIDE.recorder-1", set()),
        ("$JS.API.STREAM.UPDATE.MOONTIDE", KEEPERS),
        ("$JS.API.STREAM.UPDATE.OBJ_MOONTIDE_bodies", set()),
        ("$JS.API.STREAM.UPDATE.KV_MOONTIDE_thoughts", set()),
        ("$KV.MOONTIDE_thoughts.x", {"upstream"}),
        ("$KV.MOONTIDE_providers.x", {"upstream", OPERATOR}),
        ("$O.MOONTIDE_bodies.C.x", {"ingress", "enforcer", "upstream", "recorder"}),
        ("$JS.API.STREAM.PURGE.MOONTIDE", set()),
        ("$JS.API.STREAM.DELETE.MOONTIDE", set()),
    ],
)
def test_what_is_one_services_no_other_one_may_say(subject: str, whose: set[str]) -> None:
    assert {user for user in RIGHTS if may_say(user, subject)} == whose


def test_nobody_hears_what_another_one_is_answered() -> None:
    for user in RIGHTS:
        assert {other for other in RIGHTS if may_hear(other, f"{inbox_of(user)}.x")} == {user}


def test_the_tap_says_nothing_and_stands_in_no_workers_place() -> None:
    assert RIGHTS[TAP].publish == ()
    for subject in (SUBJECTS.work("upstream"), SUBJECTS.ping("x"), SUBJECTS.held("upstream")):
        assert not may_hear(TAP, subject)


def test_rights_follow_the_root() -> None:
    patterns = [p for its in rights(Subjects("eu.west")).values() for p in its.publish + its.subscribe]

    assert not [pattern for pattern in patterns if "moontide" in pattern.lower()]
    assert "$JS.API.DIRECT.GET.EU_WEST" in patterns


def test_the_servers_configuration_for_compose_is_the_table() -> None:
    """UPDATE_DOCS=1 writes it anew."""
    if os.environ.get("UPDATE_DOCS"):
        CONF.write_text(nats_conf(SUBJECTS), encoding="utf-8")

    assert CONF.read_text(encoding="utf-8") == nats_conf(SUBJECTS)
