"""Processes that the benchmark starts: their begin and end, their processor time and their memory."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

START_SECONDS, STOP_SECONDS, SETTLE_SECONDS = 60.0, 15.0, 20.0
"""How long a process may take to answer, to end, and to come to rest."""
POLL_SECONDS, REST_SECONDS = 0.002, 0.1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class NotStartedError(Exception):
    """A process has ended, or does not answer."""


class Running(NamedTuple):
    """A process that answers on a port of this machine, so many seconds after it was started."""

    process: subprocess.Popen[bytes]
    port: int
    start_seconds: float

    def cpu_seconds(self) -> float | None:
        """The time that the process and its children have had on a processor; None where that is not told."""
        return cpu_seconds(self.process.pid)

    def memory_bytes(self) -> int | None:
        """The memory of the process and its children, shared parts in shares (PSS); None where that is not told."""
        told = "".join(read_of_tree(self.process.pid, "smaps_rollup"))
        return sum(map(int, re.findall(r"^Pss:\s+(\d+) kB", told, re.MULTILINE))) * 1024 or None

    def settle(self) -> None:
        """Wait until it rests: a slow one may still be busy with requests whose client has gone."""
        until = time.monotonic() + SETTLE_SECONDS
        before = self.cpu_seconds()
        while before is not None and time.monotonic() < until:
            time.sleep(REST_SECONDS)
            now = self.cpu_seconds()
            if now is None or now - before < REST_SECONDS / 10:
                return
            before = now

    def stop(self) -> None:
        """End it with its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def start(
    command: Sequence[str | Path], port: int, answers: Callable[[], bool], environment: Mapping[str, str], log: Path
) -> Running:
    """Start a process, and wait until it answers; raises NotStartedError with what it said last."""
    with log.open("ab") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    while not answers():
        if process.poll() is not None or time.perf_counter() - begin > START_SECONDS:
            Running(process, port, 0.0).stop()
            said = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise NotStartedError(" / ".join(said) or f"no answer, and no word (exit code {process.returncode})")
        time.sleep(POLL_SECONDS)
    return Running(process, port, time.perf_counter() - begin)


def cpu_seconds(pid: int) -> float | None:
    """User and system time of a process and its children, in seconds; None where there is no /proc."""
    # the name of the program, in brackets, may have blanks; user and system time are the 12th and 13th word after it
    stats = [text.rpartition(")")[2].split() for text in read_of_tree(pid, "stat")]
    return sum(int(words[11]) + int(words[12]) for words in stats) / TICKS_PER_SECOND if stats else None


def read_of_tree(pid: int, name: str) -> Iterator[str]:
    """What stands in a file of /proc for a process and for all below it."""
    folder = Path("/proc", str(pid))
    with contextlib.suppress(OSError):  # it may end meanwhile
        yield (folder / name).read_text(encoding="ascii", errors="replace")
        children = [(task / "children").read_text().split() for task in (folder / "task").iterdir()]
        for child in (int(word) for words in children for word in words):
            yield from read_of_tree(child, name)
