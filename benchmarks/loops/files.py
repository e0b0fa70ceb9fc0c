"""False stops on the texts of this machine: `python -m benchmarks.loops.files DIRECTORY...`.

Every file was written by somebody and ends, so each loop found in one is a false stop, or nearly: some hold data
that nobody could tell from a loop.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from shared.repeats.detector import RepeatDetector
from shared.repeats.loop import Loop, RepeatSettings

MOST = 100_000
"""Characters read of a file: no answer is longer."""
LEAST = 500
CHUNK = 16


def texts(directories: list[Path]) -> Iterator[tuple[Path, str]]:
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            if text := _text(path):
                yield path, text


def _text(path: Path) -> str:
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST)
    except (OSError, UnicodeDecodeError):
        return ""
    return text if len(text) >= LEAST and "\0" not in text else ""


def found(text: str) -> Loop | None:
    detector = RepeatDetector(RepeatSettings())
    for at in range(0, len(text), CHUNK):
        if loop := detector.feed(text[at : at + CHUNK]):
            return loop
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="+")
    files = characters = stops = 0
    begun = time.process_time()
    for path, text in texts(parser.parse_args().directories):
        files += 1
        characters += len(text)
        if loop := found(text):
            stops += 1
            print(f"{path}: {loop.kind}, {loop.repeats} rounds of {loop.period} from {loop.start:,}")
    spent = (time.process_time() - begun) / max(characters, 1) * 1e6
    print(f"{stops} stops in {files:,} files of {characters:,} characters, {spent:.2f} µs per character with reading")


if __name__ == "__main__":
    main()
