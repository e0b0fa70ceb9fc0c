"""What counting costs a request, and what showing costs a scrape: `.venv/bin/python -m benchmarks.metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable

from services.ingress.ledger import Ledger
from shared.config import load
from shared.contracts import Done, Head, Heartbeat, HttpRequest, Usage, encode
from shared.metrics import Metrics, exposition

REQUEST = HttpRequest(id="R1", at=0.0, method="POST", path="/v1/chat/completions", model="kimi-k2.6")
HEAD = Head(status=200, worker="up-1", at=0.0, provider="moonshot", model="kimi-k2.6")
USAGE = Usage(prompt_tokens=900, completion_tokens=100, total_tokens=1000, cached_tokens=800)
DONE = Done(
    at=0.0,
    worker="in-1",
    status=200,
    outcome="complete",
    total_s=1.2,
    first_byte_s=0.3,
    usage=USAGE,
    repairs={"arguments_repaired": 1},
)
ROUNDS = 100_000


def us_per_call(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        work()
    return (time.perf_counter() - started) / rounds * 1e6


def beat(number: int, metrics: Metrics) -> Heartbeat:
    return Heartbeat(
        service="upstream",
        instance=f"upstream-{number}",
        version="1",
        pid=1,
        host="h",
        at=1.0,
        started_at=0.0,
        in_flight=0,
        capacity=256,
        samples=metrics.samples(),
    )


def main() -> None:
    own = Metrics()
    ledger = Ledger(load(environ={}).settings, own, lambda *_: None)
    print(f"a finished request, at the ingress   {us_per_call(lambda: ledger.count(REQUEST, HEAD, DONE)):8.2f} us")
    far = Metrics()
    print(f"a call, at the upstream worker       {us_per_call(lambda: far.add('calls', 'moonshot', 'ok')):8.2f} us")
    for provider in range(10):
        far.set("circuit_state", 0.0, f"p{provider}")
        for result in ("ok", "server_error", "rate_limited"):
            far.add("calls", f"p{provider}", result)
    one = beat(1, far)
    print(
        f"a heartbeat with {len(one.samples)} figures           "
        f"{us_per_call(lambda: encode(beat(1, far)), 2000):8.2f} us"
    )
    print(f"  its size                           {len(encode(one)):8d} bytes")
    fleet = [beat(number, far) for number in range(20)]
    scrape = us_per_call(lambda: exposition(fleet, own, "in-1"), 20)
    print(f"a scrape of 20 workers               {scrape / 1000:8.2f} ms, {len(exposition(fleet, own, 'in-1'))} bytes")


if __name__ == "__main__":
    main()
