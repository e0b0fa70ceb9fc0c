"""What a service's code does with the bus, its user has the right to: read out of the code itself.

A call of the bus with a subject of shared/subjects.py is looked up in the table. So a subscription that is added to a
service fails here before it fails on a server.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.rights import OPERATOR, TAP, rights
from shared.subjects import PROVIDERS_BUCKET, RECORDER_BUCKET, THOUGHTS_BUCKET, Subjects
from tests.fixtures.granted import may_hear, may_say

SUBJECTS = Subjects()
SERVICES = Path(__file__).parents[3] / "services"
USERS = [user for user in rights(SUBJECTS) if user not in (OPERATOR, TAP)]
SAYS = {"publish", "request"}
CALLS = SAYS | {"subscribe", "history", "follow", "feed", "state", "put_claim", "get_claim", "put_body", "get_body"}
OF_THE_BUS = {"bus", "_bus"}
SHARED = {
    "PROVIDERS_BUCKET": PROVIDERS_BUCKET,
    "RECORDER_BUCKET": RECORDER_BUCKET,
    "THOUGHTS_BUCKET": THOUGHTS_BUCKET,
}
"""Texts that shared code gives a name."""
JETSTREAM = {
    "history": "$JS.API.DIRECT.GET.MOONTIDE",
    "follow": "$JS.API.CONSUMER.CREATE.MOONTIDE",
    "feed": "$JS.API.CONSUMER.DURABLE.CREATE.MOONTIDE.x",
    **dict.fromkeys(("put_claim", "put_body"), "$O.MOONTIDE_bodies.C.x"),
    **dict.fromkeys(("get_claim", "get_body"), "$JS.API.STREAM.INFO.OBJ_MOONTIDE_bodies"),
}


@dataclass(frozen=True)
class Deed:
    """A call of the bus, and one subject that it may be about."""

    service: str
    call: str
    subject: str
    where: str

    @property
    def is_granted(self) -> bool:
        if self.call == "subscribe":
            return may_hear(self.service, self.subject)
        return may_say(self.service, self.subject)


def deeds(service: str) -> Iterator[Deed]:
    for file in sorted((SERVICES / service).rglob("*.py")):
        module = ast.parse(file.read_text())
        known = {**SHARED, **constants(module)}
        for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and (call := called(node)) is not None:
                    where = f"{file.relative_to(SERVICES)}:{node.lineno}"
                    yield from (Deed(service, call, one, where) for one in meant(call, node, function, known))


def constants(module: ast.Module) -> dict[str, str]:
    """The texts that a module gives a name: `LEG = "raw"`, `STAGE: Stage = "watch"`."""
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                found[_last_name(target)] = str(node.value.value)
    return found


def called(node: ast.Call) -> str | None:
    """The name of the bus's method, or of the helper for bodies."""
    if isinstance(node.func, ast.Name):
        return node.func.id if node.func.id in ("put_body", "get_body") else None
    is_bus = isinstance(node.func, ast.Attribute) and _last_name(node.func.value) in OF_THE_BUS
    return node.func.attr if is_bus and node.func.attr in CALLS else None  # type: ignore[union-attr]


def meant(call: str, node: ast.Call, function: ast.AST, known: Mapping[str, str]) -> list[str]:
    """The subjects: those in the call, else those that its function names. Answers go where they were asked for."""
    if call in JETSTREAM:
        return [JETSTREAM[call]]
    if call == "state":
        return [f"$JS.API.STREAM.INFO.KV_MOONTIDE_{_text(node.args[0], known)}"]
    return list(subjects_in(node.args[0], known)) or list(subjects_in(function, known))


def subjects_in(tree: ast.AST, known: Mapping[str, str]) -> Iterator[str]:
    arguments = {node.func: node.args for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _last_name(node.value) in ("subjects", "_subjects"):
            yield subject(node.attr, [_text(one, known) for one in arguments.get(node, [])])


def subject(name: str, given: list[str]) -> str:
    maker = getattr(SUBJECTS, name)
    if not callable(maker):
        return str(maker)
    return str(maker(*given, *["x"] * (len(inspect.signature(maker).parameters) - len(given))))


def _text(node: ast.expr, known: Mapping[str, str]) -> str:
    """What an argument is, as far as that can be read; else any call's name will do."""
    return str(node.value) if isinstance(node, ast.Constant) else known.get(_last_name(node), "c0")


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("service", USERS)
def test_a_service_may_do_what_its_code_does(service: str) -> None:
    assert [deed for deed in deeds(service) if not deed.is_granted] == []


def test_the_code_of_the_services_is_understood() -> None:
    found = {(deed.service, deed.call, deed.subject) for service in USERS for deed in deeds(service)}

    assert {
        ("ingress", "request", SUBJECTS.ask_records),
        ("recorder", "subscribe", SUBJECTS.ask_records),
        ("recorder", "put_claim", JETSTREAM["put_claim"]),
        ("dashboard", "subscribe", SUBJECTS.requests),
        ("dashboard", "state", f"$JS.API.STREAM.INFO.KV_MOONTIDE_{PROVIDERS_BUCKET}"),
        ("sentinel", "subscribe", SUBJECTS.frames_of("raw")),
        ("upstream", "state", f"$JS.API.STREAM.INFO.KV_MOONTIDE_{THOUGHTS_BUCKET}"),
    } <= found


def test_a_subscription_without_a_right_is_found() -> None:
    assert not Deed("sentinel", "subscribe", SUBJECTS.ask_records, "").is_granted
