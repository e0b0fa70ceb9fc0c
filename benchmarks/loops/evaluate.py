"""Prints one table: this detector beside other rules, on a corpus it was tuned on and on one it never saw.

python -m benchmarks.loops.evaluate [--seeds 1 4] [--show]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from benchmarks.loops.corpus import Sample, healthy, loops
from benchmarks.loops.rivals import PlainPeriod, SuffixAutomaton
from shared.repeats.detector import RepeatDetector
from shared.repeats.loop import RepeatSettings

LARGEST_CHUNK = 16
LATE_SLACK = 1.1
"""What "about" ten periods or 600 characters allows: varying loops are looked at every 64 characters."""


class Detector(Protocol):
    def feed(self, text: str) -> object: ...


DETECTORS: dict[str, Callable[[], Detector]] = {
    "Moontide": lambda: RepeatDetector(RepeatSettings()),
    "suffix automaton 0.5/100": SuffixAutomaton,
    "plain period 8p/400": PlainPeriod,
}


@dataclass(slots=True)
class Result:
    healthy: int = 0
    loops: int = 0
    false_stops: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)  # in the healthy beginning of a loop: a false stop, too
    missed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    periods: list[float] = field(default_factory=list)
    seconds: float = 0.0
    characters: int = 0

    def row(self) -> list[str]:
        hits = len(self.delays)
        false_stops = len(self.false_stops) + len(self.early)
        return [
            f"{hits / (hits + false_stops):.3f}",
            f"{hits / self.loops:.3f}",
            str(false_stops),
            str(len(self.missed)),
            str(len(self.late)),
            _spread(self.delays, "{:,.0f}"),
            _spread(self.periods, "{:,.1f}"),
            f"{self.seconds / max(self.characters, 1) * 1e6:.2f}",
        ]


def _spread(values: list[int] | list[float], form: str) -> str:
    if not values:
        return "-"
    ordered = sorted(values)
    shown = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)], ordered[-1])
    return " / ".join(form.format(value) for value in shown)


def chunks(text: str, pick: Random) -> list[str]:
    parts: list[str] = []
    at = 0
    while at < len(text):
        size = pick.randint(1, LARGEST_CHUNK)
        parts.append(text[at : at + size])
        at += size
    return parts


def fired_at(detector: Detector, parts: Iterable[str]) -> int | None:
    """Characters fed when it fired."""
    length = 0
    for part in parts:
        length += len(part)
        if detector.feed(part):
            return length
    return None


def judge(result: Result, sample: Sample, fired: int | None) -> None:
    label = f"{sample.kind} ({len(sample.text):,})" + (f" at {fired:,}" if fired else "")
    if sample.start is None:
        result.healthy += 1
        if fired:
            result.false_stops.append(label)
        return
    result.loops += 1
    if fired is None:
        result.missed.append(f"{label} start {sample.start:,} period {sample.period}")
    elif fired < sample.start:
        result.early.append(f"{label} start {sample.start:,}")
    else:
        delay = fired - sample.start
        result.delays.append(delay)
        result.periods.append(delay / sample.period)
        if delay > sample.allowed * LATE_SLACK + LARGEST_CHUNK:
            result.late.append(f"{label} start {sample.start:,} period {sample.period} delay {delay:,}")


def evaluate(make: Callable[[], Detector], seed: int) -> Result:
    result = Result()
    for sample in (*healthy(seed), *loops(seed)):
        parts = chunks(sample.text, Random(seed))
        detector = make()
        begun = time.process_time()
        fired = fired_at(detector, parts)
        if sample.start is None:
            result.seconds += time.process_time() - begun
            result.characters += fired or len(sample.text)
        judge(result, sample, fired)
    return result


HEAD = (
    "detector", "seed", "precision", "recall", "false stops", "misses", "late",
    "delay, characters (median / p95 / max)", "delay, periods (median / p95 / max)", "µs per healthy character",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--only", choices=DETECTORS, help="one detector")
    parser.add_argument("--show", action="store_true", help="name every text that went wrong")
    asked = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for name, make in DETECTORS.items():
        for seed in asked.seeds if asked.only in (None, name) else ():
            result = evaluate(make, seed)
            print("| " + " | ".join([name, str(seed), *result.row()]) + " |", flush=True)
            if asked.show:
                _show(result)
    print()
    for seed in asked.seeds:
        print(f"seed {seed}: {sum(1 for _ in healthy(seed))} healthy texts, {sum(1 for _ in loops(seed))} loops")


def _show(result: Result) -> None:
    for what in ("false_stops", "early", "missed", "late"):
        for label in getattr(result, what):
            print(f"    {what}: {label}")


if __name__ == "__main__":
    main()
