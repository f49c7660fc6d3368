"""What ours has to reach: requests per second in ratio to others of the same run, delays, start and memory."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.bench.results import Results

POCKETBASE, SIGNED_IN = "PocketBase", "PocketBase, signed in"
OTHERS: Mapping[str, Mapping[str, float]] = {
    "json-server 0.17": {},
    "json-server 1.0 beta": {"one": 1.3},
    "soul-cli": {},
    "datasette": {},
    "FastAPI + SQLAlchemy": {},
    "Django + tastypie": {},
}
"""The other peers, with the ratios for single jobs that differ from `AHEAD`."""
AHEAD = 2.0
ALONE, TEAM = "ours", "ours in 2 processes"
"""Ours as it starts, on one processor; and on as many as there are here, as the others."""
WAYS: Mapping[str, str] = {
    "one": "Limbas",
    "list 20": "Platform",
    "list + total": "Limbas, no row rule",
    "filter 100": "Limbas",
    "filter + total": "Limbas",
    "embed 20": "Limbas",
    "create": "Limbas",
    "update": "Limbas",
}
"""Through which door each job is judged. There is no filter without a total in Limbas, so that one has more to do."""
JUDGED: Mapping[str, str] = {job: f"{ALONE}, {way}" for job, way in WAYS.items()}
JUDGED_TEAM: Mapping[str, str] = {job: f"{TEAM}, {way}" for job, way in WAYS.items()}
WHOLE_RECORDS = f"{ALONE}, NocoBase"
"""The door that embeds whole records, as PocketBase does; through Limbas it is ids."""
RULED_TOTAL, RULED = "list + total", f"{ALONE}, Limbas"
OVER_POCKETBASE: Mapping[int, Mapping[str, tuple[float, float]]] = {
    1: {
        "one": (1.1, 1.5),
        "list 20": (2.2, 3),
        "list + total": (4.5, 6),
        "filter 100": (3.5, 5),
        "filter + total": (3.5, 5),
        "embed 20": (6, 9),
        "create": (0.55, 0.75),
        "update": (0.9, 1.15),
    },
    16: {
        "one": (1.8, 3),
        "list 20": (2.2, 4),
        "list + total": (5.5, 7),
        "filter 100": (4, 5),
        "filter + total": (2.2, 5),
        "embed 20": (4, 8),
        "create": (2, 2.8),
        "update": (1.9, 2.6),
    },
    64: {
        "one": (1.5, 4),
        "list 20": (2, 4),
        "list + total": (5, 6),
        "filter 100": (3.5, 5),
        "filter + total": (2.4, 5),
        "embed 20": (5, 8),
        "create": (2, 4),
        "update": (2.2, 3.4),
    },
}
"""For each number of clients and each job the ratio to PocketBase, as it ships: what is asked for, and hoped for."""
RULED_TOTAL_OVER_POCKETBASE, RULED_TOTAL_CLIENTS = (1.0, 4.0), (1, 64)
CROWD = 64
"""The number of clients at which the slowest answers are compared."""
MAX_START_MS, MAX_MEMORY_MB, MAX_DELAY_MS = 250.0, 40.0, 20.0


class Gate(NamedTuple):
    """A figure and what it has to be: at least `bound` when `more` is better, else at most."""

    what: str
    figure: float
    bound: float
    unit: str = "x"
    stretch: float | None = None
    more: bool = True

    @property
    def reached(self) -> bool:
        """Whether the figure is good enough."""
        return self.figure >= self.bound if self.more else self.figure <= self.bound

    @property
    def stretched(self) -> bool:
        """Whether it is as good as was hoped."""
        return self.stretch is not None and self.figure >= self.stretch


def crowd(clients: int) -> str:
    """A number of clients in words."""
    return "1 client" if clients == 1 else f"{clients} clients"


def judged(results: Results) -> list[Gate]:
    """All gates whose figures have been measured."""
    return [
        *over_pocketbase(results),
        *ruled_total(results),
        *like_for_like(results),
        *over_others(results),
        *slowest_answers(results),
        *single_figures(results),
    ]


def ratio(results: Results, job: str, clients: int, ours: str, other: str) -> float | None:
    """How many times faster ours is; None when one of the two was not measured. One that gives no answer is at 0.1."""
    if not (results.cell(job, clients, ours) and results.cell(job, clients, other)):
        return None
    return results.rps(job, clients, ours) / max(results.rps(job, clients, other), 0.1)


def over_pocketbase(results: Results) -> Iterator[Gate]:
    """Ours, with Basic authentication and a rule for each row, to PocketBase, open to all and at NORMAL."""
    doors = [*JUDGED.items(), ("embed 20", WHOLE_RECORDS), *JUDGED_TEAM.items()]
    for clients, jobs in OVER_POCKETBASE.items():
        for job, ours in doors:
            bound, stretch = jobs[job]
            found = ratio(results, job, clients, ours, POCKETBASE)
            if found is not None:
                yield Gate(f"{job}, {crowd(clients)}: {ours} / {POCKETBASE}", found, bound, stretch=stretch)


def ruled_total(results: Results) -> Iterator[Gate]:
    """A total that a rule for each row makes ours count anew."""
    bound, stretch = RULED_TOTAL_OVER_POCKETBASE
    for clients in RULED_TOTAL_CLIENTS:
        found = ratio(results, RULED_TOTAL, clients, RULED, POCKETBASE)
        if found is not None:
            what = f"{RULED_TOTAL} under a row rule, {crowd(clients)}: {RULED} / {POCKETBASE}"
            yield Gate(what, found, bound, stretch=stretch)


def like_for_like(results: Results) -> Iterator[Gate]:
    """Both with a user who has signed in and a rule."""
    for clients in results.clients:
        for job, ours in (*JUDGED.items(), *JUDGED_TEAM.items()):
            found = ratio(results, job, clients, ours, SIGNED_IN)
            if found is not None:
                yield Gate(f"{job}, {crowd(clients)}: {ours} / {SIGNED_IN}", found, 1.0)


def over_others(results: Results) -> Iterator[Gate]:
    """For each other peer and job the number of clients at which it does best against ours."""
    for other, exceptions in OTHERS.items():
        for job, ours in JUDGED.items():
            found = [
                (value, clients)
                for clients in results.clients
                if (value := ratio(results, job, clients, ours, other)) is not None
            ]
            if found:
                value, clients = min(found)
                yield Gate(f"{job}, {crowd(clients)}: {ours} / {other}", value, exceptions.get(job, AHEAD))


def slowest_answers(results: Results) -> Iterator[Gate]:
    """The 99th percentile of a crowd, in milliseconds, below PocketBase's."""
    for job, ours in JUDGED.items():
        cells = [results.cell(job, CROWD, column) for column in (ours, POCKETBASE)]
        mine, other = (cell.middle("p99_ms") if cell else None for cell in cells)
        if mine is not None and other is not None:
            yield Gate(f"{job}, {crowd(CROWD)}: p99 of {ours}", mine, other, "ms", more=False)


def single_figures(results: Results) -> Iterator[Gate]:
    """Start, memory, delays."""
    if (start := results.start_ms.get("minirest")) is not None:
        yield Gate("from the command to the first answer, /health/ready", start, MAX_START_MS, "ms", more=False)
    if (record := results.record_ms.get("minirest")) is not None:
        yield Gate("from the command to the first record, for a password", record, MAX_START_MS, "ms", more=False)
    if (memory := results.memory_mb.get("minirest")) is not None:
        yield Gate("memory after the load (PSS)", memory, MAX_MEMORY_MB, "MB", more=False)
    if delays := results.delays:
        beside = f"beside requests of {delays.slow_seconds:.1f} s, more than alone"
        for what, more in (
            ("p99", delays.beside_p99_ms - delays.alone_p99_ms),
            ("the longest", delays.beside_max_ms - delays.alone_max_ms),
        ):
            yield Gate(f"one, {what} {beside}", more, MAX_DELAY_MS, "ms", more=False)
