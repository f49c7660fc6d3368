"""The results as a picture in SVG: a panel for each job, in it a group for each number of clients, on a log scale."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from tests.bench.gates import POCKETBASE, crowd
from tests.bench.results import Cell, Column, Results

WIDTH, MARGIN, GAP = 1200, 24, 36
PANELS_IN_ROW, PANEL_HEIGHT, AXIS_WIDTH = 2, 190, 48
HEAD, LEGEND_IN_ROW, LEGEND_HEIGHT, TITLE_HEIGHT, LABEL_HEIGHT = 82, 4, 22, 26, 24
"""All in pixels, but for the panels and the words of the legend that stand side by side."""
COLOURS = {
    "minirest": ("#0969da", "#58a6ff"),
    "minirest-2": ("#1b7c83", "#39c5cf"),
    "pocketbase": ("#bc4c00", "#f0883e"),
    "json-server": ("#1a7f37", "#3fb950"),
    "soul": ("#8250df", "#bc8cff"),
    "datasette": ("#7d4e00", "#d29922"),
    "fastapi": ("#bf3989", "#f778ba"),
    "tastypie": ("#a40e26", "#ff7b72"),
    "floor": ("#6e7781", "#8b949e"),
}
"""A colour for each kind of server, on a light and on a dark ground."""
KINDS = {"pocketbase-auth": "pocketbase", "json-server-1": "json-server", "hello": "floor", "sqlite3": "floor"}
"""Servers that are shown in the colour of another one; the second of a colour has another shape."""
STYLE = """text { font: 12px system-ui, sans-serif; fill: var(--ink) }
.title { font-size: 18px; font-weight: 600 }
.job { font-size: 14px; font-weight: 600 }
.quiet { fill: var(--quiet) }
.end { text-anchor: end }
.middle { text-anchor: middle }
.paper { fill: var(--paper) }
.band { fill: var(--band) }
.rule { stroke: var(--rule) }
.base { stroke: var(--pocketbase); stroke-dasharray: 2 4; opacity: .7 }
.mark { stroke-width: 1.6 }
.range { stroke-width: 2.4; stroke-linecap: round; opacity: .45 }"""
GROUND = {"ink": ("#1f2328", "#e6edf3"), "quiet": ("#59636e", "#9198a1"), "paper": ("#ffffff", "#0d1117")}
GROUND |= {"band": ("#f6f8fa", "#151b23"), "rule": ("#d1d9e0", "#2f3742")}


READING = (
    "Medians of the rounds, on a log scale; a line behind a mark goes from the slowest round to the fastest,"
    " a dotted one is at PocketBase as it ships."
)
DURABILITIES = "FULL: an answered write is on the disk; NORMAL: some time later; memory: the file is written anew."


class Shape(NamedTuple):
    """A mark, as a path around the point 0, 0."""

    path: str
    filled: bool = True


CIRCLE, TRIANGLE = "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M0 -4.6L4.4 3.4L-4.4 3.4z"
SQUARE, DIAMOND = "M-3.6 -3.6h7.2v7.2h-7.2z", "M0 -5L5 0L0 5L-5 0z"
SHAPES = (Shape(CIRCLE), Shape(CIRCLE, filled=False), Shape(TRIANGLE), Shape(SQUARE), Shape(DIAMOND))


class Scale:
    """A logarithmic axis over whole powers of ten, from the bottom of a panel to its top."""

    def __init__(self, values: Sequence[float]) -> None:
        self.lowest = max(0, math.floor(math.log10(min(values, default=1.0))))
        self.highest = max(self.lowest + 1, math.ceil(math.log10(max(values, default=10.0))))

    def __call__(self, value: float) -> float:
        """How far below the top of the panel a value is; what is below the axis stands on it."""
        share = (math.log10(max(value, 10.0**self.lowest)) - self.lowest) / (self.highest - self.lowest)
        return PANEL_HEIGHT * (1 - share)

    @property
    def powers(self) -> range:
        """The exponents of the lines."""
        return range(self.lowest, self.highest + 1)


def plot(results: Results) -> str:
    """The picture, which looks well on a light and on a dark ground."""
    values = [rps for cell in results.cells.values() if not cell.error for rps in cell.spread if rps]
    scale = Scale(values)
    legend_rows = math.ceil(len(results.columns) / LEGEND_IN_ROW)
    top = HEAD + legend_rows * LEGEND_HEIGHT + GAP / 2
    step = TITLE_HEIGHT + PANEL_HEIGHT + LABEL_HEIGHT + GAP / 2
    width = (WIDTH - 2 * MARGIN - GAP * (PANELS_IN_ROW - 1)) / PANELS_IN_ROW
    height = top + math.ceil(len(results.jobs) / PANELS_IN_ROW) * step + MARGIN / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
        f"<title>Requests per second</title><style>{colours(0)}",
        f"@media (prefers-color-scheme: dark) {{ {colours(1)} }}",
        f'{STYLE}</style><rect class="paper" width="{WIDTH}" height="{height:.0f}"/>',
        *head(results),
    ]
    for number, job in enumerate(results.jobs):
        row, column = divmod(number, PANELS_IN_ROW)
        place = f"translate({MARGIN + column * (width + GAP):.1f} {top + row * step:.1f})"
        parts += [f'<g transform="{place}">', *panel(results, job, scale, width), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def colours(ground: int) -> str:
    """The colours for a light (0) or a dark (1) ground, as properties of CSS."""
    return f":root {{ {' '.join(f'--{name}: {pair[ground]};' for name, pair in (GROUND | COLOURS).items())} }}"


def text(x: float, y: float, words: str, *classes: str) -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{" ".join(classes)}">{escape(words)}</text>'


def head(results: Results) -> Iterator[str]:
    """The title, and what each mark means."""
    yield text(MARGIN, 30, "Requests per second", "title")
    yield text(MARGIN, 50, READING, "quiet")
    yield text(MARGIN, 68, DURABILITIES, "quiet")
    step = (WIDTH - 2 * MARGIN) / LEGEND_IN_ROW
    for number, column in enumerate(results.columns):
        row, place = divmod(number, LEGEND_IN_ROW)
        x, y = MARGIN + place * step, HEAD + 14 + row * LEGEND_HEIGHT
        yield mark(results.columns, column, x + 5, y - 4, column.title)
        yield (
            f'<text x="{x + 16:.1f}" y="{y}">{escape(column.title)}'
            f'<tspan class="quiet"> {escape(column.durability)}</tspan></text>'
        )


def panel(results: Results, job: str, scale: Scale, width: float) -> Iterator[str]:
    """A job: the lines of the scale, and a band for each number of clients."""
    yield text(0, 14, job, "job")
    yield f'<g transform="translate({AXIS_WIDTH} {TITLE_HEIGHT})">'
    inner = width - AXIS_WIDTH
    edges = [inner * number / len(results.clients) for number in range(len(results.clients) + 1)]
    for number, (left, right) in enumerate(pairwise(edges)):
        if number % 2 == 0:
            yield f'<rect class="band" x="{left:.1f}" width="{right - left:.1f}" height="{PANEL_HEIGHT}"/>'
    for power in scale.powers:
        y = scale(10.0**power)
        yield f'<line class="rule" x2="{inner:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield text(-8, y + 4, f"{10**power:,}", "quiet", "end")
    for clients, (left, right) in zip(results.clients, pairwise(edges), strict=True):
        yield text((left + right) / 2, PANEL_HEIGHT + 17, crowd(clients), "quiet", "middle")
        yield from group(results, job, clients, scale, (left, right))
    yield "</g>"


def group(results: Results, job: str, clients: int, scale: Scale, edges: tuple[float, float]) -> Iterator[str]:
    """All columns side by side, each where it always stands, and a line at the height of PocketBase."""
    left, right = edges
    if base := results.rps(job, clients, POCKETBASE):
        y = scale(base)
        yield f'<line class="base" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    for number, column in enumerate(results.columns):
        cell = results.cell(job, clients, column.title)
        if cell and not cell.error:
            x = left + (right - left) * (number + 1) / (len(results.columns) + 1)
            yield from drawn(results.columns, column, cell, x, scale)


def drawn(columns: Sequence[Column], column: Column, cell: Cell, x: float, scale: Scale) -> Iterator[str]:
    """A cell: its spread as a line, its median as a mark."""
    spread = cell.spread or [0.0]
    low, high = scale(spread[0]), scale(spread[-1])
    colour = f"var(--{kind(column)})"
    yield f'<line class="range" stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    said = f"{column.title}: {cell.rps:,.0f} ({spread[0]:,.0f} to {spread[-1]:,.0f})"
    yield mark(columns, column, x, scale(cell.rps), said)


def kind(column: Column) -> str:
    """The name of the colour of a column."""
    return KINDS.get(column.server, column.server)


def mark(columns: Sequence[Column], column: Column, x: float, y: float, said: str) -> str:
    """The mark of a column; those of one colour differ in their shape."""
    alike = [other.title for other in columns if kind(other) == kind(column)]
    shape = SHAPES[alike.index(column.title) % len(SHAPES)]
    colour = f"var(--{kind(column)})"
    return (
        f'<path class="mark" transform="translate({x:.1f} {y:.1f})" d="{shape.path}" stroke="{colour}"'
        f' fill="{colour if shape.filled else "var(--paper)"}"><title>{escape(said)}</title></path>'
    )
