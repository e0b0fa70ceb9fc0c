"""How long text waits that `retry` holds back, and how much of a loop its client gets to see.

python -m benchmarks.loops.waiting [--seed 5]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from benchmarks.loops import healthy_code, healthy_data, healthy_prose
from benchmarks.loops.corpus import Sample, healthy, loops
from benchmarks.loops.evaluate import chunks
from services.enforcer.rules.gates import LoopGate
from shared.contracts import RepeatSettings

GROUPS = {
    kind.__name__: name
    for name, module in (("code", healthy_code), ("data", healthy_data), ("prose", healthy_prose))
    for kind in module.KINDS
}
PERIODS = (range(1, 4), range(4, 8), range(8, 32), range(32, 128), range(128, 512), range(512, 2_049))
RETRY = RepeatSettings(action="retry")


@dataclass(slots=True)
class Waiting:
    """Of each character that passed: how many more had come by then, beyond those of its own chunk."""

    waits: list[tuple[int, int]] = field(default_factory=list)  # how long, how many characters
    seconds: float = 0.0

    def row(self) -> list[str]:
        characters = sum(count for _, count in self.waits)
        waited = sum(count for wait, count in self.waits if wait)
        mean = sum(wait * count for wait, count in self.waits) / characters
        return [
            f"{characters:,}",
            f"{waited / characters:.1%}",
            f"{mean:.1f}",
            *(f"{self._quantile(share, characters):,}" for share in (0.5, 0.95, 0.99, 1.0)),
            f"{self.seconds / characters * 1e6:.2f}",
        ]

    def _quantile(self, share: float, characters: int) -> int:
        reached = 0
        for wait, count in sorted(self.waits):
            reached += count
            if reached >= share * characters:
                return wait
        return 0


def pass_through(text: str, pick: Random, into: Waiting) -> None:
    gate = LoopGate(RETRY)
    fed: list[int] = []  # the text's length after the chunk that each character came in
    passed = 0
    for part in chunks(text, pick):
        began = time.process_time()
        out = gate.feed(part)
        into.seconds += time.process_time() - began
        fed += [len(fed) + len(part)] * len(part)
        passed = _released(fed, passed, len(out), into)
    _released(fed, passed, len(gate.finish()), into)


def _released(fed: list[int], passed: int, count: int, into: Waiting) -> int:
    waits: dict[int, int] = defaultdict(int)
    for at in range(passed, passed + count):
        waits[len(fed) - fed[at]] += 1
    into.waits += waits.items()
    return passed + count


def shown(sample: Sample, pick: Random) -> tuple[int, float]:
    """What passes of a loop, in characters and in rounds."""
    gate = LoopGate(RETRY)
    passed = 0
    for part in chunks(sample.text, pick):
        passed += len(gate.feed(part))
    beyond = max(0, passed - sample.start)
    return beyond, beyond / sample.period


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    seed = parser.parse_args().seed
    pick, by_group = Random(seed), defaultdict[str, Waiting](Waiting)
    for sample in healthy(seed):
        pass_through(sample.text, pick, by_group[GROUPS.get(sample.kind, "scripts, sources, licence")])
    print(
        "| healthy text | characters | that waited | mean wait | p50 | p95 | p99 | longest | µs of CPU per character |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, waiting in sorted(by_group.items()):
        print(f"| {name} | {' | '.join(waiting.row())} |")
    print("\n| loops | period, characters | how many | rounds shown | characters shown |\n|---|---|---|---|---|")
    for (kind, periods), seen in sorted(shown_by_kind(seed).items(), key=lambda row: (row[0][0], row[0][1].start)):
        characters, rounds = (sorted(values) for values in zip(*seen, strict=True))
        told = (f"{periods.start} to {periods.stop - 1:,}", str(len(seen)))
        print(f"| {' | '.join((kind, *told, _spread(rounds, '{:.1f}'), _spread(characters, '{:,.0f}')))} |")


def shown_by_kind(seed: int) -> dict[tuple[str, range], list[tuple[int, float]]]:
    pick, found = Random(seed), defaultdict[tuple[str, range], list[tuple[int, float]]](list)
    for sample in loops(seed):
        kind = "exact" if sample.kind.startswith("exact") else "varying"
        periods = next(one for one in PERIODS if sample.period in one)
        found[kind, periods].append(shown(sample, pick))
    return found


def _spread(ordered: list[float], form: str) -> str:
    return " / ".join(form.format(ordered[at]) for at in (len(ordered) // 2, int(len(ordered) * 0.95), -1))


if __name__ == "__main__":
    main()
