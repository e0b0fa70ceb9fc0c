"""A HAR that was exported keeps to HAR 1.2: a JSON Schema of it with every required field, and nothing unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from services.cli.main import main
from services.recorder.store import Store
from shared.contracts import Body, Fault
from tests.fixtures.exchanges import Script, captured, plain, streamed
from tests.fixtures.recording import FEED, record

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": -1}  # -1: not known
MS = {"type": "number", "minimum": 0}
MS_OR_NONE = {"type": "number", "minimum": -1}  # -1: does not apply
WHEN = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)$"}


def record_of(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with these fields; others only where their name begins with an underscore."""
    return {
        "type": "object",
        "required": sorted(required),
        "properties": required | (optional or {}) | {"comment": TEXT},
        "patternProperties": {"^_": True},
        "additionalProperties": False,
    }


def list_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


PAIRS = list_of(record_of({"name": TEXT, "value": TEXT}))
COOKIES = list_of(
    record_of(
        {"name": TEXT, "value": TEXT},
        {"path": TEXT, "domain": TEXT, "expires": TEXT, "httpOnly": {"type": "boolean"}, "secure": {"type": "boolean"}},
    )
)
PARAMS = list_of(record_of({"name": TEXT}, {"value": TEXT, "fileName": TEXT, "contentType": TEXT}))
REQUEST = record_of(
    {
        "method": TEXT,
        "url": {"type": "string", "pattern": r"^https?://[^#]+$"},
        "httpVersion": TEXT,
        "cookies": COOKIES,
        "headers": PAIRS,
        "queryString": PAIRS,
        "headersSize": COUNT,
        "bodySize": COUNT,
    },
    {"postData": record_of({"mimeType": TEXT, "params": PARAMS, "text": TEXT})},
)
RESPONSE = record_of(
    {
        "status": {"type": "integer", "minimum": 0},
        "statusText": TEXT,
        "httpVersion": TEXT,
        "cookies": COOKIES,
        "headers": PAIRS,
        "content": record_of(
            {"size": {"type": "integer", "minimum": 0}, "mimeType": TEXT},
            {"compression": COUNT, "text": TEXT, "encoding": TEXT},
        ),
        "redirectURL": TEXT,
        "headersSize": COUNT,
        "bodySize": COUNT,
    }
)
TIMINGS = record_of(
    {"send": MS, "wait": MS, "receive": MS},
    {"blocked": MS_OR_NONE, "dns": MS_OR_NONE, "connect": MS_OR_NONE, "ssl": MS_OR_NONE},
)
CACHED = record_of({"lastAccess": WHEN, "eTag": TEXT, "hitCount": {"type": "integer"}}, {"expires": TEXT})
ENTRY = record_of(
    {
        "startedDateTime": WHEN,
        "time": MS,
        "request": REQUEST,
        "response": RESPONSE,
        "cache": record_of({}, {"beforeRequest": CACHED, "afterRequest": CACHED}),
        "timings": TIMINGS,
    },
    {"pageref": TEXT, "serverIPAddress": TEXT, "connection": TEXT},
)
PAGE = record_of(
    {
        "startedDateTime": WHEN,
        "id": TEXT,
        "title": TEXT,
        "pageTimings": record_of({}, {"onContentLoad": MS_OR_NONE, "onLoad": MS_OR_NONE}),
    }
)
PROGRAM = record_of({"name": TEXT, "version": TEXT})
LOG = record_of(
    {"version": {"const": "1.2"}, "creator": PROGRAM, "entries": list_of(ENTRY)},
    {"browser": PROGRAM, "pages": list_of(PAGE)},
)
HAR = {"type": "object", "required": ["log"], "properties": {"log": LOG}, "additionalProperties": False}


def refused(id: str) -> Script:
    """By the provider, with a body that is no text."""
    fault = Fault(status=429, code="rate_limited", message="slow down")
    script = Script(id).request(path="/v1/files?a=1&b=&a=%20x", headers={"cookie-like": "a=b\r\nc"}).sent()
    script.head(status=429).data(b"\xff\x00").end(outcome="refused", fault=fault)
    return script.done(status=429, outcome="refused", fault=fault)


def unanswered(id: str) -> Script:
    """Refused at the door: nobody was asked, and the client sent no text."""
    fault = Fault(status=400, code="bad", message="what is this")
    body = Body(data=b"\xff\xfe", size=2)
    return Script(id).request(body).done(status=400, outcome="refused", fault=fault, leg=None, calls=0, usage=None)


def silent(id: str) -> Script:
    """A provider that could not be reached."""
    fault = Fault(status=502, code="provider_unreachable", message="nobody there")
    script = Script(id).request(method="GET", path="/v1/models", body=Body()).sent(method="GET")
    return script.end(outcome="refused", fault=fault, first_byte_s=None, total_s=None).done(status=502, leg=None)


@pytest.fixture
def har(records_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records_url)
    store = Store.open(records_url, FEED)
    makers = (plain, streamed, refused, unanswered, silent)
    record(store, captured([maker(maker.__name__.upper()) for maker in makers]))
    record(store, captured([Script("LIVE").request()], first_seq=1000))
    store.close()
    text = CliRunner().invoke(main, ["export", "--all", "--har"], catch_exceptions=False).stdout
    document: dict[str, Any] = json.loads(text)
    return document


def test_what_is_exported_is_a_har(har: dict[str, Any]) -> None:
    problems = [f"{error.instance_path}: {error.message}" for error in validator().iter_errors(har)]

    assert problems == []
    assert len(har["log"]["entries"]) == 10


def test_times_add_up_and_sizes_are_those_of_the_bytes(har: dict[str, Any]) -> None:
    for entry in har["log"]["entries"]:
        assert entry["time"] == pytest.approx(sum(one for one in entry["timings"].values() if one > 0))
        assert entry["response"]["content"]["size"] == entry["response"]["bodySize"]


@pytest.mark.parametrize("way", ["log.entries.0.cache", "log.entries.0.request.headers", "log.creator.version"])
def test_the_schema_misses_what_is_required(har: dict[str, Any], way: str) -> None:
    place: Any = har
    *steps, last = way.split(".")
    for step in steps:
        place = place[int(step)] if step.isdigit() else place[step]
    del place[last]

    assert not validator().is_valid(har)


def validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(HAR)


def test_an_empty_har_is_one_too(records_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", records_url)
    Store.open(records_url, FEED).close()
    file = tmp_path / "none.har"

    assert CliRunner().invoke(main, ["export", "--all", "--har", "-o", str(file)]).exit_code == 1
    assert validator().is_valid(json.loads(file.read_text()))
