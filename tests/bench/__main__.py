"""Measure ours and its peers side by side: `python -m tests.bench`."""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tests.bench.apis import JOBS
from tests.bench.plot import plot
from tests.bench.report import report
from tests.bench.results import Results
from tests.bench.rounds import Plan, Run
from tests.bench.servers import OURS, PEERS, ROOT, Hello, Minirest, Server

WRK_IS_MISSING = """wrk, which makes the load, is missing. On Debian:
  apt-get install wrk"""


def some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """A type of argument: some of these names, with commas between them."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there is {', '.join(names)}")
        return [name for name in names if name in chosen]

    return parse


def numbers(text: str) -> list[int]:
    """A type of argument: numbers from 1, with commas between them."""
    found = [int(word) for word in text.split(",")]
    if min(found) < 1:
        raise argparse.ArgumentTypeError("numbers begin at 1")
    return found


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "minirest-bench"
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    peers, dialects = [peer.name for peer in PEERS], [*Minirest.DIALECTS]

    def several(option: str, names: Sequence[str], text: str) -> None:
        words = ",".join(names)
        parser.add_argument(option, type=some_of(names), default=[*names], metavar="A,B", help=f"{text} ({words})")

    several("--peers", peers, "only these of the peers")
    several("--jobs", [*JOBS], "only these of the jobs")
    several("--dialects", dialects, "ours through these of its dialects only")
    add = parser.add_argument
    add("--ours-only", action="store_true", help="no peers")
    add("--clients", type=numbers, default=[1, 16, 64], metavar="N,N", help="how many ask at once (default: 1,16,64)")
    add("--rounds", type=int, default=3, metavar="N", help="of which the median counts (default: 3)")
    add("--seconds", type=float, default=1.0, metavar="N", help="how long each round takes (default: 1)")
    add("--people", type=int, default=10_000, metavar="N", help="a multiple of 20 (default: 10000)")
    add("--orders", type=int, default=50_000, metavar="N", help="(default: 50000)")
    add("--no-delays", action="store_true", help="no point reads beside slow requests")
    add("--work", type=Path, default=cache, metavar="FOLDER", help=f"for peers and data (default: {cache})")
    add("--out", type=Path, metavar="FOLDER", help="for the results (default: results, in the folder for peers)")
    found = parser.parse_args(words)
    if found.people % 20:
        parser.error("--people has to be a multiple of 20")
    if found.work.resolve().is_relative_to(ROOT):
        parser.error("--work cannot be inside the repository")
    return found


def settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on."""
    source = (ROOT / "minirest.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.*)"$', source, re.MULTILINE)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{processor()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}",
        "software": f"minirest {version and version[1]}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, waitress {importlib.metadata.version('waitress')}",
        "data": f"person {chosen.people:,} records of 10 columns, orders {chosen.orders:,}",
        "rounds": f"{chosen.rounds} of {chosen.seconds:g} s, taking turns; client and servers on one machine",
    }


def processor() -> str:
    """The name of the processor."""
    file = Path("/proc/cpuinfo")
    told = file.read_text(encoding="utf-8") if file.exists() else ""
    found = re.search(r"^model name\s*: (.*)$", told, re.MULTILINE)
    return found[1] if found else platform.machine()


def say(text: str) -> None:
    """Show what is being done, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)


def servers(chosen: argparse.Namespace, work: Path) -> list[Server]:
    """Ours, the peers, and the server that says hello."""
    installed = chosen.work / "installed"
    peers = [] if chosen.ours_only else [peer for peer in PEERS if peer.name in chosen.peers]
    others: list[type[Server]] = [*peers, Hello]
    ours = [kind(work / kind.name, installed, chosen.dialects) for kind in OURS]
    asked = [server for server in ours if server.doors()]
    return [*asked, *(kind(work / kind.name, installed / kind.name) for kind in others)]


def write(results: Results, folder: Path) -> str:
    """Write the results in three forms; gives the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = report(results)
    (folder / "results.json").write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    (folder / "results.md").write_text(text, encoding="utf-8")
    (folder / "results.svg").write_text(plot(results), encoding="utf-8")
    return text


def stop(*_: int | FrameType | None) -> NoReturn:
    """End all servers first."""
    raise SystemExit(143)


def main(words: Sequence[str] | None = None) -> int:
    """Run it; gives the exit code: 2 when wrk is missing, 1 when ours has failed."""
    chosen = arguments(words)
    if not shutil.which("wrk"):
        print(WRK_IS_MISSING, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, stop)
    chosen.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=chosen.work) as folder:
        jobs = [JOBS[name] for name in chosen.jobs]
        plan = Plan(
            *(jobs, chosen.clients, chosen.rounds, chosen.seconds),
            *(chosen.people, chosen.orders, not chosen.no_delays),
        )
        results = Run(plan, servers(chosen, Path(folder)), settings(chosen), Path(folder), say)()
    say("")
    out = chosen.out or chosen.work / "results"
    print(write(results, out))
    print(f"These figures, as JSON and as a plot, are in {out}/")
    return 1 if failed(results) else 0


def failed(results: Results) -> bool:
    """Whether ours does not work."""
    names = [kind.name for kind in OURS]
    ours = {column.title for column in results.columns if column.server in names}
    return not ours or any(cell.error for place, cell in results.cells.items() if place.column in ours)


if __name__ == "__main__":
    sys.exit(main())
