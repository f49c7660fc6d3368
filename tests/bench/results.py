"""What has been measured, to be shown, judged, and kept as JSON."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """One round. The percentiles are of the time for an answer; what is not known is None."""

    requests: int
    seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: float | None = None
    """Processor time of the server for each request, in microseconds."""

    @property
    def rps(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class Place(NamedTuple):
    """Where a cell stands: the job, the number of clients, the title of the column."""

    job: str
    clients: int
    column: str


@dataclass
class Cell:
    """The rounds of one job at one column, or why there are none."""

    samples: list[Sample] = field(default_factory=list)
    error: str = ""

    @property
    def rps(self) -> float:
        """The median of requests per second."""
        return median(self.spread) if self.spread and not self.error else 0.0

    @property
    def spread(self) -> list[float]:
        """Requests per second of each round, the lowest first."""
        return sorted(sample.rps for sample in self.samples)

    def middle(self, figure: str) -> float | None:
        """The median of another figure of the rounds."""
        known = [value for sample in self.samples if (value := getattr(sample, figure)) is not None]
        return median(known) if known and not self.error else None


class Column(NamedTuple):
    """One way to ask a server."""

    title: str
    server: str
    durability: str


class Delays(NamedTuple):
    """Point reads alone, and beside slow requests, which took so long: the time for an answer."""

    slow_seconds: float
    alone_p99_ms: float
    alone_max_ms: float
    beside_p99_ms: float
    beside_max_ms: float


@dataclass
class Results:
    """Everything that a run has found."""

    settings: dict[str, Any]
    columns: list[Column] = field(default_factory=list)
    cells: dict[Place, Cell] = field(default_factory=dict)
    start_ms: dict[str, float] = field(default_factory=dict)
    record_ms: dict[str, float] = field(default_factory=dict)
    """For each server: from the start of the command to the first answer, and to the first record; medians.

    Who has to give a password for a record waits until it is verified, which takes time on purpose.
    """
    memory_mb: dict[str, float] = field(default_factory=dict)
    """The most memory of each server (PSS)."""
    delays: Delays | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    """Servers that could not be installed or started, and why."""

    @property
    def jobs(self) -> list[str]:
        """The jobs that were done, in order."""
        return list(dict.fromkeys(place.job for place in self.cells))

    @property
    def clients(self) -> list[int]:
        """The numbers of clients."""
        return sorted({place.clients for place in self.cells})

    def cell(self, job: str, clients: int, column: str) -> Cell | None:
        """A cell, if it was measured."""
        return self.cells.get(Place(job, clients, column))

    def rps(self, job: str, clients: int, column: str) -> float:
        """Requests per second in a cell; 0 where there are none."""
        return self.cells[place].rps if (place := Place(job, clients, column)) in self.cells else 0.0

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        cells = [{**place._asdict(), **asdict(cell), "rps": cell.rps} for place, cell in self.cells.items()]
        return {
            "settings": self.settings,
            "columns": [column._asdict() for column in self.columns],
            "cells": [{**cell, "samples": [sample._asdict() for sample in cell["samples"]]} for cell in cells],
            "start_ms": self.start_ms,
            "record_ms": self.record_ms,
            "memory_mb": self.memory_mb,
            "delays": self.delays and self.delays._asdict(),
            "left_out": self.left_out,
        }
