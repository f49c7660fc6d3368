"""The results as Markdown: requests per second, times, processor and memory, and the gates."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.bench.gates import POCKETBASE, Gate, crowd, judged
from tests.bench.results import Cell, Column, Results

NOTHING = "–"
"""Stands where a server cannot do a job, or was not asked to."""


def report(results: Results) -> str:
    """Everything that was found, as one page."""
    parts = [
        "# Benchmark",
        introduction(results),
        *(section(f"Requests per second, {crowd(clients)}", speeds(results, clients)) for clients in results.clients),
        *(section(f"p50 / p99 in ms, {crowd(clients)}", times(results, clients)) for clients in results.clients),
        *(section(f"CPU per request in µs, {crowd(clients)}", costs(results, clients)) for clients in results.clients),
        section("Start and memory", servers(results)),
        section("Point reads beside slow requests", delays(results)),
        section("Gates", gates(judged(results))),
        section("Failed", failures(results)),
        section("Left out", results.left_out.items(), ("server", "why")),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


Rows = Iterable[Sequence[str]]


def introduction(results: Results) -> str:
    """What was measured, and how."""
    said = [f"- {name}: {value}" for name, value in results.settings.items()]
    said += [
        "- A figure is the median of the rounds; in brackets its ratio to PocketBase as it ships: public, at NORMAL.",
        "- Ours: Basic authentication, rights on the table, a history of each change, synchronous FULL.",
        "- The first answer of ours is that of /health/ready, of the others the first record.",
        "- An API whose lists have always a total has it in `list 20` too.",
        "- Limbas and Platform embed ids, CoreData addresses (in every record), all others whole records.",
    ]
    return "\n".join(said)


def section(title: str, rows: Rows, head: Sequence[str] = ()) -> str:
    """A heading and a table, whose first row is its head unless one is given; nothing without rows."""
    table = [*([head] if head else []), *rows]
    if len(table) < 2:
        return ""
    lines = [f"| {' | '.join(row)} |" for row in table]
    rule = f"|{'|'.join(['---', *['---:'] * (len(table[0]) - 1)])}|"
    return "\n".join([f"## {title}", "", lines[0], rule, *lines[1:]])


def grid(results: Results, clients: int, show: Callable[[Cell, float], str]) -> Iterator[list[str]]:
    """A row for each job, a column for each way to ask; each cell is shown with PocketBase's requests per second."""
    columns = [column for column in results.columns if measured(results, clients, column)]
    yield ["job", *(f"{column.title} ({column.durability})" for column in columns)]
    for job in results.jobs:
        base = results.rps(job, clients, POCKETBASE)
        cells = [results.cell(job, clients, column.title) for column in columns]
        yield [job, *(shown(cell, base, show) for cell in cells)]


def measured(results: Results, clients: int, column: Column) -> bool:
    """Whether a column has any cell with so many clients."""
    return any(results.cell(job, clients, column.title) for job in results.jobs)


def shown(cell: Cell | None, base: float, show: Callable[[Cell, float], str]) -> str:
    """A cell as text."""
    return NOTHING if cell is None else "failed" if cell.error else show(cell, base)


def speeds(results: Results, clients: int) -> Rows:
    """Requests per second, with the ratio to PocketBase."""
    return grid(results, clients, lambda cell, base: f"{cell.rps:,.0f}" + (f" ({cell.rps / base:.2f})" if base else ""))


def times(results: Results, clients: int) -> Rows:
    """The median and the 99th percentile of the time for an answer."""
    return grid(
        results, clients, lambda cell, _: f"{number(cell.middle('p50_ms'), 2)} / {number(cell.middle('p99_ms'), 2)}"
    )


def costs(results: Results, clients: int) -> Rows:
    """Processor time of the server for each request."""
    return grid(results, clients, lambda cell, _: number(cell.middle("cpu_us"), 0))


def number(value: float | None, digits: int) -> str:
    """A number that may be unknown."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def servers(results: Results) -> Iterator[list[str]]:
    """Start and memory of each server."""
    yield ["server", "from the command to the first answer, ms", "to the first record, ms", "memory (PSS), MB"]
    for name, milliseconds in results.start_ms.items():
        memory = results.memory_mb.get(name)
        yield [name, number(milliseconds, 0), number(results.record_ms.get(name), 0), number(memory, 1)]


def delays(results: Results) -> Iterator[list[str]]:
    """How long point reads take, alone and beside requests that keep SQLite busy."""
    if found := results.delays:
        yield ["", "p99, ms", "longest, ms"]
        yield ["alone", number(found.alone_p99_ms, 1), number(found.alone_max_ms, 1)]
        beside = f"beside requests of {found.slow_seconds:.1f} s"
        yield [beside, number(found.beside_p99_ms, 1), number(found.beside_max_ms, 1)]


def gates(found: Sequence[Gate]) -> Iterator[list[str]]:
    """Which gates are reached."""
    yield ["gate", "figure", "asked for", "hoped for", ""]
    for gate in found:
        least = "≥" if gate.more else "≤"
        hoped = NOTHING if gate.stretch is None else f"{least} {gate.stretch:g}"
        verdict = "reached, as hoped" if gate.stretched else "reached" if gate.reached else "**not reached**"
        yield [gate.what, f"{gate.figure:,.2f} {gate.unit}", f"{least} {gate.bound:,.4g}", hoped, verdict]


def failures(results: Results) -> Iterator[list[str]]:
    """The cells in which answers were no success."""
    yield ["job", "clients", "server", "why"]
    for place, cell in results.cells.items():
        if cell.error:
            yield [place.job, str(place.clients), place.column, cell.error]
