"""The load: clients that ask as fast as they are answered, made by wrk."""

import math
import re
import signal
import subprocess
import time
from itertools import chain
from pathlib import Path

from tests.bench.apis import Job
from tests.bench.processes import Running
from tests.bench.results import Sample
from tests.bench.servers import Door

SCRIPT = Path(__file__).with_name("load.lua")
REQUESTS = 10_000
"""How many requests are made before a round; they are then sent again and again."""
TIMEOUT_SECONDS = 10


class LoadError(Exception):
    """A round with answers that are no success."""


def load(running: Running, door: Door, job: Job, clients: int, seconds: float, people: int, seed: int) -> Sample:
    """Let so many clients do a job, each on a connection of its own; raises LoadError."""
    kinds = [(weight, door.api.requests[part]) for part, weight in job.parts.items()]
    words = chain.from_iterable((str(weight), it.method, it.path, it.body) for weight, it in kinds)
    headers = chain.from_iterable(("-H", f"{name}: {value}") for name, value in door.headers.items())
    command = [
        *("wrk", "--threads", "1", "--connections", str(clients), "--timeout", f"{TIMEOUT_SECONDS}s"),
        *("--duration", f"{math.ceil(seconds) + TIMEOUT_SECONDS}s", "--script", str(SCRIPT), *headers),
        *(f"http://127.0.0.1:{running.port}", "--", str(seed), str(people), door.api.id_form, str(REQUESTS), *words),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as wrk:
        assert wrk.stdout
        wrk.stdout.readline()  # its requests are made
        before = running.cpu_seconds()
        time.sleep(seconds)
        wrk.send_signal(signal.SIGINT)
        said = wrk.stdout.read()
        after = running.cpu_seconds()
    return sample(said, None if before is None or after is None else after - before)


def sample(said: str, cpu_seconds: float | None) -> Sample:
    """What wrk has said at the end; raises LoadError."""
    found = re.search(r"^done (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", said, re.MULTILINE)
    if not found:
        raise LoadError(f"wrk: {said.strip()[-200:]}")
    requests, microseconds, p50_us, p99_us, refused, broken = map(int, found.groups())
    if refused or broken:
        raise LoadError(f"{refused} answers of {requests} are no success, {broken} connections have failed")
    if not requests:
        return Sample(0, microseconds / 1e6)
    cpu_us = None if cpu_seconds is None else cpu_seconds * 1e6 / requests
    return Sample(requests, microseconds / 1e6, p50_us / 1e3, p99_us / 1e3, cpu_us)
