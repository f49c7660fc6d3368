"""How long point reads wait beside requests that keep SQLite busy for seconds."""

import http.client
import random
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from statistics import median, quantiles

from tests.bench.apis import Ask, Request
from tests.bench.load import LoadError
from tests.bench.results import Delays

SLOW_SECONDS, SLOW_CLIENTS = 2.0, 2
"""How long a slow request is to take, and how many clients send one after the other."""
ALONE_SECONDS, BESIDE_SECONDS = 2.0, 8.0
TRIAL_ORDERS = 1_000
"""So many orders are searched to find out how many take that long."""
PATH = "person.orders." * 3 + "amount"
"""No index helps: the other orders of a person, and theirs, and so on."""


def slow_request(orders: int) -> Request:
    """A search among so many orders, which finds nothing."""
    return Request(f"/api/orders:list?filter[id][$lte]={orders}&filter[{PATH}][$lt]=0&pageSize=1")


def seconds_of(ask: Ask, request: Request) -> float:
    """How long a request takes; raises LoadError when it fails."""
    begin = time.perf_counter()
    answer = ask(request)
    if answer.status != 200:
        raise LoadError(f"a slow request: status {answer.status}")
    return time.perf_counter() - begin


class Reader:
    """A client that reads one person after the other over one connection."""

    def __init__(self, port: int, headers: Mapping[str, str], people: int) -> None:
        self.connection, self.headers = http.client.HTTPConnection("127.0.0.1", port), headers
        self.dice, self.people = random.Random(1), people

    def read_for(self, seconds: float) -> list[float]:
        """Read for so long; gives the milliseconds of each answer."""
        found, until = [], time.perf_counter() + seconds
        while (begin := time.perf_counter()) < until:
            self.connection.request("GET", f"/person/{self.dice.randint(1, self.people)}", headers=self.headers)
            answer = self.connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise LoadError(f"a point read: status {answer.status}")
            found.append((time.perf_counter() - begin) * 1e3)
        return found


def p99(values: list[float]) -> float:
    """What 99 of 100 values are not above."""
    return quantiles(values, n=100, method="inclusive")[98]


def measure_delays(port: int, ask: Ask, headers: Mapping[str, str], people: int, orders: int) -> Delays:
    """Read alone, then beside slow requests; raises LoadError."""
    trial = min(seconds_of(ask, slow_request(TRIAL_ORDERS)) for _ in range(2))
    slow = slow_request(min(orders, round(TRIAL_ORDERS * SLOW_SECONDS / trial)))
    took: list[float] = []
    reader, ended = Reader(port, headers, people), threading.Event()

    def be_slow() -> None:
        while not ended.is_set():
            with suppress(LoadError):
                took.append(seconds_of(ask, slow))

    with closing(reader.connection):
        alone = reader.read_for(ALONE_SECONDS)
        threads = [threading.Thread(target=be_slow) for _ in range(SLOW_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            beside = reader.read_for(BESIDE_SECONDS)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    if not took:
        raise LoadError("no slow request succeeds")
    return Delays(median(took), p99(alone), max(alone), p99(beside), max(beside))
