"""How long each search takes over many exchanges.

    python benchmarks/records_search.py [--exchanges 100000] [--url URL] [--rounds 3] [--only WORD]

Generates a database (seeded; about 9.3 kB of bodies an exchange, half of the answers streamed), then runs every search
of `SEARCHES` and prints the best of its rounds. `--url` names a Postgres, or an SQLite file to keep and use again;
without it the database is a file that is thrown away. Postgres's own CPU is not in the last column.
`--exchanges 2800` is MoonPalace's own case: 26 MB in 2.3 s.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import Connection, func, insert, select

from shared.records.blobs import pack
from shared.records.database import open_writer
from shared.records.predicates import predicate
from shared.records.queries import Filter, Records, reading
from shared.records.statistics import OFFERS_TOOLS, quality_of, sums_by
from shared.records.tables import Table

TABLES = Table.metadata.tables
BEGAN = 1_790_000_000.0
EVERY_S = 7.0  # between two requests
AT_ONCE = 1000  # exchanges a transaction
PROSE = (
    "the lamp river moon tide sails quiet engine answer table counts every small harbour under light wave stone "
    "returns value function error request schema reads writes stream token model agent tool search result file path"
)
WORDS = PROSE.split()
MODELS = ("kimi-k2.6", "kimi-k2-thinking", "kimi-latest", "moonshot-v1-8k", "moonshot-v1-128k")
PROVIDERS = ("moonshot", "openrouter", "vertex")
TOOLS = ("lookup", "read_file", "run_tests", "search_web")


class Maker:
    """Exchanges as rows of every table, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._texts = [" ".join(self._random.choices(WORDS, k=60)) for _ in range(4000)]

    def text(self, pieces: int) -> str:
        return ". ".join(self._random.choices(self._texts, k=pieces))

    def rows(self, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
        pick = self._random
        id = f"{number:026d}"
        model, provider = pick.choice(MODELS), pick.choice(PROVIDERS)
        streamed, has_tool = number % 2 == 0, pick.random() < 0.3
        status = 200 if pick.random() < 0.97 else pick.choice((400, 429, 500))
        finish = "length" if pick.random() < 0.01 else "tool_calls" if has_tool else "stop"
        asked, said = self.text(3), self.text(1)
        if number % 1000 == 0:
            said += " nebula-seven"
        request = self.request(model, asked, has_tool)
        tool = pick.choice(TOOLS)
        answer = self.answer(id, model, said, finish, tool if has_tool else None)
        response = self.stream(answer) if streamed else msgspec.json.encode(answer)
        exchange = self.exchange(number, id, model, provider, status, finish, streamed, len(response))
        yield "exchanges", exchange | {"tools_offered": len(TOOLS) if has_tool else 0}
        call = {"exchange_id": id, "call": "c1", "at": BEGAN + number, "provider": provider, "model": model}
        yield "calls", call | {"status": status, "frames_missing": 0, "same_body": True, "outcome": "complete"}
        if has_tool:
            valid, repaired = pick.random() < 0.97, pick.random() < 0.05
            row = {"exchange_id": id, "call": "c1", "choice": 0, "number": 0, "tool_call_id": f"{tool}_0", "name": tool}
            yield "tool_calls", row | {"arguments": "{}", "offered": True, "valid": valid, "repaired": repaired}
        if number % 100 == 0:
            yield "marks", {"exchange_id": id, "name": "tag", "value": f"tag{number % 700}", "at": BEGAN}
        yield "said", {"exchange_id": id, "text": f"{asked}\n{said}"}
        for part, data, kind in (("client.request", request, "request"), ("client.response", response, "response")):
            media = "text/event-stream" if streamed and kind == "response" else "application/json"
            row = {"exchange_id": id, "side": "client", "kind": kind, "content_type": media, "size": len(data)}
            yield "bodies", {**row, "part": part, "data": pack(data), "same_as": None}
            other = "c1.request" if kind == "request" else "c1.raw"
            yield "bodies", {**row, "part": other, "side": "provider", "data": None, "same_as": part}

    def exchange(
        self, number: int, id: str, model: str, provider: str, status: int, finish: str, streamed: bool, size: int
    ) -> dict[str, Any]:
        pick = self._random
        ok = status == 200
        return {
            "id": id,
            "state": "done",
            "at": BEGAN + number * EVERY_S,
            "method": "POST",
            "path": "/v1/chat/completions",
            "dialect": "openai-chat",
            "model": model,
            "provider": provider,
            "provider_model": model,
            "client": f"client-{number % 5}",
            "status": status,
            "outcome": "complete" if ok else "refused",
            "streamed": streamed,
            "finish_reason": finish if ok else None,
            "completion_id": f"chatcmpl-{id}",
            "provider_request_id": f"msh-{id}",
            "prompt_tokens": pick.randrange(100, 4000),
            "completion_tokens": pick.randrange(10, 900),
            "total_tokens": 1000,
            "cost_usd": pick.random() / 100,
            "first_byte_s": pick.uniform(0.2, 2),
            "latency_s": pick.uniform(1, 30),
            "calls": 1,
            "body_bytes": size,
            "repairs": {"tool_call_from_content": 1} if pick.random() < 0.05 else None,
            "request_headers": {"content-type": "application/json", "user-agent": "OpenAI/Python 2.1"},
            "response_headers": {"content-type": "application/json", "msh-request-id": f"msh-{id}"},
            "error_message": None if ok else "the engine is overloaded",
        }

    def request(self, model: str, asked: str, has_tool: bool) -> bytes:
        history = [{"role": role, "content": self.text(3)} for role in ("system", "user", "assistant")]
        tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]
        body: dict[str, Any] = {"model": model, "messages": [*history, {"role": "user", "content": asked}]}
        return msgspec.json.encode(body | ({"tools": tools} if has_tool else {}))

    def answer(self, id: str, model: str, said: str, finish: str, tool: str | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said}
        if tool is not None:
            function = {"name": tool, "arguments": '{"q": "moon"}'}
            message["tool_calls"] = [{"id": f"{tool}_0", "type": "function", "function": function}]
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000}
        return {
            "id": f"chatcmpl-{id}",
            "object": "chat.completion",
            "model": model,
            "choices": [choice],
            "usage": usage,
        }

    def stream(self, answer: dict[str, Any]) -> bytes:
        """Some thirty chunks of 160 bytes, as Moonshot sends them."""
        (choice,) = answer["choices"]
        message = choice["message"]
        words = iter(message["content"].split(" "))
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        while some := list(islice(words, 2)):
            deltas.append({"content": " ".join(some) + " "})
        deltas += [{"tool_calls": [{"index": 0, **call}]} for call in message.get("tool_calls", ())]
        top = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1, "model": answer["model"]}
        chunks = [{**top, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        chunks += [{**top, "choices": [last]}, {**top, "choices": [], "usage": answer["usage"]}]
        return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def fill(connection: Connection, maker: Maker, first: int, last: int) -> None:
    rows: dict[str, list[dict[str, Any]]] = {}
    for number in range(first, last):
        for table, row in maker.rows(number):
            rows.setdefault(table, []).append(row)
    for table, some in rows.items():
        connection.execute(insert(TABLES[table]), some)


def generate(url: str, exchanges: int) -> None:
    engine, maker = open_writer(url), Maker(7)
    with engine.connect() as connection:
        there = connection.scalar(select(func.count()).select_from(TABLES["exchanges"])) or 0
    began = time.perf_counter()
    for first in range(1, exchanges + 1 if not there else 0, AT_ONCE):
        with engine.begin() as connection:
            fill(connection, maker, first, min(first + AT_ONCE, exchanges + 1))
    engine.dispose()
    print(f"{'found' if there else 'made'} {there or exchanges:,} exchanges in {time.perf_counter() - began:.1f} s")


Search = Callable[[Records], int]


def listing(limit: int | None = 10, *texts: str, **filter: Any) -> Search:
    def search(records: Records) -> int:
        which = Filter(predicate=predicate(*texts, now=BEGAN) if texts else None, **filter)
        return sum(1 for _ in records.newest(limit, which))

    return search


def sums(records: Records) -> int:
    return len(sums_by(records, Filter(), ["model", "provider"]))


def quality(records: Records) -> int:
    return len(quality_of(records, Filter(), Filter(predicate=predicate(OFFERS_TOOLS, now=BEGAN))))


ALL = None
SEARCHES: dict[str, Search] = {
    "newest ten": listing(),
    "one by its id": lambda records: len(records.get(f"{777:026d}")) and 1,
    "one by its chatcmpl id": lambda records: len(records.get(f"chatcmpl-{777:026d}")) and 1,
    "status == 429, ten": listing(10, "status == 429"),
    "model == and status ==, ten": listing(10, "model == 'kimi-latest' && status == 500"),
    "tag == 'tag300', all": listing(ALL, "tag == 'tag300'"),
    "tool == 'read_file', ten": listing(10, "tool == 'read_file'"),
    "repair == …, ten": listing(10, "repair == 'tool_call_from_content'"),
    "latency > 29900, all": listing(ALL, "latency > 29900"),
    "error ~ 'overloaded', ten": listing(10, "error ~ 'overloaded'"),
    "--search nebula, all": listing(ALL, search="nebula"),
    "--search 'moon tide', ten": listing(10, search="moon tide"),
    "--search '\"quiet engine\"' --errors, ten": listing(10, search='"quiet engine"', errors=True),
    "stats --by model,provider": sums,
    "stats --quality": quality,
    "request_body.model == 'none', all": listing(ALL, "request_body.model == 'none'"),
    "request_body.model ~ 'kimi*', ten": listing(10, "request_body.model ~ 'kimi*'"),
    "request_body.messages.-1.role != 'user', all": listing(ALL, "request_body.messages.-1.role != 'user'"),
    "request_body.tools.0.function.name == 'none', all": listing(ALL, "request_body.tools.0.function.name == 'none'"),
    "response_body.choices.0.finish_reason == 'length', all": listing(
        ALL, "response_body.choices.0.finish_reason == 'length'"
    ),
    "response_body.choices.0.finish_reason != 'stop', all": listing(
        ALL, "response_body.choices.0.finish_reason != 'stop'"
    ),
    "response_body.usage.total_tokens > 1000, all": listing(ALL, "response_body.usage.total_tokens > 1000"),
    "response_body.choices.0.message.content ~ 'nebula-seven', all": listing(
        ALL, "response_body.choices.0.message.content ~ 'nebula-seven'"
    ),
    "response_body % 'nebula-[a-z]+', all": listing(ALL, "response_body % 'nebula-[a-z]+'"),
    "status == 500 && response_body ~ 'nebula', all": listing(ALL, "status == 500 && response_body ~ 'nebula'"),
}


def measure(url: str, rounds: int, only: str) -> None:
    print(f"{'search':62} {'found':>7} {'seconds':>8} {'CPU':>8}")
    with reading(url) as records:
        for name, search in SEARCHES.items():
            if only in name:
                timed = [timing(search, records) for _ in range(rounds)]
                wall, cpu = (min(one[at] for one in timed) for at in (1, 2))
                print(f"{name:62} {timed[0][0]:7,} {wall:8.3f} {cpu:8.3f}", flush=True)


def timing(search: Search, records: Records) -> tuple[int, float, float]:
    """What was found, and the seconds that it took: on the clock, and of this process's CPU."""
    began, cpu = time.perf_counter(), time.process_time()
    return search(records), time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="searches whose name holds this")
    parser.add_argument("--url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{folder}/records.db"
        generate(url, options.exchanges)
        measure(url, options.rounds, options.only)


if __name__ == "__main__":
    main()
