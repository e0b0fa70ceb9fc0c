"""Whether partitions by day pay on Postgres: writing, searching, and letting go of a day.

    python benchmarks/records_partitions.py [--exchanges 100000] [--rounds 3] [--only WORD] [--kinds plain,partitioned]

Starts a Postgres of its own (the one that the tests use, `fsync` off), makes one database with the tables as they are
and one whose large tables (bodies, said, calls, tool_calls, events) are partitioned by day, and measures both in turn.
An id begins with its time, so a day is a range of `exchange_id`, and no table needs a column more. `exchanges` stays
whole: its numbers must be unique. Seconds are on the clock; CPU is that of the server's process for the connection.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Engine, create_engine, make_url, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.records_search import AT_ONCE, BEGAN, EVERY_S, SEARCHES, TABLES, Maker
from services.recorder.statements import Statements, is_automatic
from services.recorder.store import Store
from shared.records.database import open_writer
from shared.records.postgres import with_driver
from shared.records.queries import reading
from shared.records.space import file_bytes
from tests.fixtures.databases import administer
from tests.fixtures.embedded import postgres_server

DAY = int(24 * 3600 / EVERY_S)  # exchanges of one
LARGE = ("bodies", "said", "calls", "tool_calls", "events")
NEVER_NULL = {"calls": 0, "frames_missing": 0, "same_body": False}


def days(exchanges: int) -> Iterator[tuple[int, str, str]]:
    """Each day's number and the ids that it begins and ends with."""
    for day, first in enumerate(range(0, exchanges + 1, DAY)):
        yield day, f"{first:026d}", f"{first + DAY:026d}"


def partition(engine: Engine, exchanges: int) -> None:
    """The large tables again, by ranges of ids. A partitioned table's keys must hold what it is parted by."""
    with engine.begin() as connection:
        for name in LARGE:
            connection.execute(text(f"ALTER TABLE {name} RENAME TO {name}_whole"))
            like = f"LIKE {name}_whole INCLUDING DEFAULTS INCLUDING GENERATED"
            connection.execute(text(f"CREATE TABLE {name} ({like}) PARTITION BY RANGE (exchange_id)"))
            for statement in indexes(connection, name):
                connection.execute(text(statement))
            for day, begin, end in days(exchanges):
                bounds = f"FOR VALUES FROM ('{begin}') TO ('{end}')"
                connection.execute(text(f"CREATE TABLE {name}_{day} PARTITION OF {name} {bounds}"))
            connection.execute(text(f"ALTER SEQUENCE IF EXISTS {name}_number_seq OWNED BY NONE"))
            connection.execute(text(f"DROP TABLE {name}_whole"))


def indexes(connection: Connection, table: str) -> list[str]:
    """As they were, but for a key that isn't by exchange."""
    of_table = text("SELECT indexdef FROM pg_indexes WHERE tablename = :name")
    found = connection.scalars(of_table, {"name": f"{table}_whole"})
    made = [one.replace(f"{table}_whole ", f"{table} ").replace("INDEX ", "INDEX p_", 1) for one in found]
    return [one for one in made if "UNIQUE" not in one or "exchange_id" in one]


def whole(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """With a value for every column, as COPY takes it."""
    columns = [column.name for column in TABLES[table].c if not is_automatic(column)]
    return {name: row.get(name, NEVER_NULL.get(name)) for name in columns}


def batches(exchanges: int) -> Iterator[dict[str, list[dict[str, Any]]]]:
    maker = Maker(7)
    for first in range(1, exchanges + 1, AT_ONCE):
        rows: dict[str, list[dict[str, Any]]] = {}
        for number in range(first, min(first + AT_ONCE, exchanges + 1)):
            for table, row in maker.rows(number):
                rows.setdefault(table, []).append(whole(table, row))
        yield rows


def server(connection: Connection) -> psutil.Process:
    return psutil.Process(connection.scalar(text("SELECT pg_backend_pid()")))


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def insert(engine: Engine, exchanges: int) -> tuple[float, float]:
    """Seconds on the clock and of the server's CPU; making the rows is not counted."""
    statements, took = Statements(engine.dialect), 0.0
    with engine.connect() as connection:
        backend = server(connection)
        connection.rollback()
        cpu = cpu_of(backend)
        for rows in batches(exchanges):
            began = time.perf_counter()
            for table, some in rows.items():
                if table != "marks":
                    statements.insert[TABLES[table]].execute(connection, some)
                else:
                    connection.execute(TABLES[table].insert(), some)
            connection.commit()
            took += time.perf_counter() - began
        return took, cpu_of(backend) - cpu


def search(url: str, rounds: int, only: str) -> dict[str, float]:
    with reading(url) as records:
        chosen = {name: partial(one, records) for name, one in SEARCHES.items() if only in name}
        return {name: min(timed(one) for _ in range(rounds)) for name, one in chosen.items()}


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def vacuum(url: str) -> None:
    engine = create_engine(with_driver(make_url(url)), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def delete_a_day(url: str) -> None:
    """As `keep_days` does it."""
    store = Store.open(url, "benchmark")
    while store.expire(BEGAN + DAY * EVERY_S):
        pass
    store.close()


def drop_a_day(engine: Engine) -> None:
    """The partitions go; what is small or must be whole is deleted."""
    with engine.begin() as connection:
        for name in LARGE:
            connection.execute(text(f"DROP TABLE {name}_0"))
        old = "SELECT id FROM exchanges WHERE at < :before"
        for table, column in (("marks", "exchange_id"), ("pending", "exchange_id"), ("exchanges", "id")):
            gone = text(f"DELETE FROM {table} WHERE {column} IN ({old})")
            connection.execute(gone, {"before": BEGAN + DAY * EVERY_S})


def size(engine: Engine) -> int:
    with engine.connect() as connection:
        return file_bytes(connection)


def measure(kind: str, url: str, options: argparse.Namespace) -> dict[str, float]:
    engine = open_writer(url)
    if kind == "partitioned":
        partition(engine, options.exchanges)
    took, cpu = insert(engine, options.exchanges)
    count = options.exchanges
    found = {"write, exchanges/s": count / took, "write, server CPU us/exchange": cpu / count * 1e6}
    found["VACUUM ANALYZE of all, s"] = timed(lambda: vacuum(url))
    found |= {f"{name}, s": seconds for name, seconds in search(url, options.rounds, options.only).items()}
    before = size(engine)
    found["a day goes, s"] = timed(lambda: drop_a_day(engine) if kind == "partitioned" else delete_a_day(url))
    found["VACUUM after it, s"] = timed(lambda: vacuum(url))
    found["MB before"], found["MB given back"] = before / 1e6, (before - size(engine)) / 1e6
    engine.dispose()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="searches whose name holds this")
    parser.add_argument("--kinds", default="plain,partitioned")
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with postgres_server() as url:
        for kind in options.kinds.split(","):
            administer(url, f"CREATE DATABASE {kind}")
            place = make_url(url).set(database=kind).render_as_string(hide_password=False)
            found[kind] = measure(kind, place, options)
            print(kind, "measured", flush=True)
    print(f"{'':62}" + "".join(f"{kind:>14}" for kind in found))
    for name in next(iter(found.values())):
        print(f"{name:62}" + "".join(f"{one[name]:14,.3f}" for one in found.values()))


if __name__ == "__main__":
    main()
