"""What a request costs: processor time in ratio to a hello of stock waitress, which noise on the machine cancels."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import pytest

from tests.bench.apis import JOBS, Request
from tests.bench.data import make_data
from tests.bench.servers import Door, Hello, Minirest, Server

MAX_RATIOS: Mapping[str, float] = {
    "one": 1.6,
    "list 20": 3,
    "list + total": 3,
    "filter 100": 3,
    "filter + total": 3,
    "embed 20": 4.5,
    "create": 9,
    "update": 6,
}
"""For each job through Limbas, with a password and a rule for each row: how many hellos a request may cost."""
ROUNDS, REQUESTS = 5, 40
"""How often each job takes its turn, with a hello before it, and how many requests are then sent."""
WARM_UP = 5
"""So many of them are sent first, and not counted."""
DATA = make_data(people=400, orders=2000)

if not Path("/proc/self/schedstat").exists():
    pytest.skip("this system does not tell the processor time in nanoseconds", allow_module_level=True)


class Connection:
    """A client that sends one request after the other over one connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def close(self) -> None:
        """End it."""
        self.socket.close()

    def ask(self, request: bytes) -> None:
        """Send a request, read its answer, which has to be a success."""
        self.socket.sendall(request)
        head, found, rest = b"", b"", b""
        while not found:
            received = self.socket.recv(65536)
            assert received, "the server has closed the connection"
            head, found, rest = (head + received).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 2"), head
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        missing = int(length) - len(rest)
        while missing:
            missing -= len(self.socket.recv(missing))


class Bench:
    """One server, one door, and the nanoseconds of processor time that its requests have cost so far."""

    def __init__(self, server: Server, door: Door) -> None:
        assert server.running
        self.pid, self.door = server.running.process.pid, door
        self.connection = Connection(server.running.port)
        self.found: dict[str, list[float]] = {}

    def request(self, job: str, number: int) -> bytes:
        """A request for a job, with other values for each number."""
        values = {"id": str(number % len(DATA.people) + 1), "country": f"C{number % 20}", "age": str(20 + number % 40)}
        request: Request = self.door.api.requests[job].filled(number=str(number), **values)
        headers = {**self.door.headers, "Content-Type": "application/json", "Content-Length": str(len(request.body))}
        lines = [f"{request.method} {request.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", request.body]).encode()

    def take_turn(self, job: str) -> None:
        """Send requests, and note what one of them has cost."""
        requests = [self.request(job, number * 7) for number in range(REQUESTS)]
        for request in requests[:WARM_UP]:
            self.connection.ask(request)
        before = processor_nanoseconds(self.pid)
        for request in requests:
            self.connection.ask(request)
        self.found.setdefault(job, []).append((processor_nanoseconds(self.pid) - before) / REQUESTS)


def processor_nanoseconds(pid: int) -> int:
    """The time that all threads of a process have had on a processor."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


@contextmanager
def benches(folder: Path) -> Iterator[tuple[Bench, Bench]]:
    """Ours and stock waitress, started."""
    ours, hello = Minirest(folder / "ours", Path(), ["limbas"]), Hello(folder / "hello", Path())
    try:
        for server in (ours, hello):
            server.prepare(DATA)
            server.start()
        first, second = Bench(ours, ours.doors()[0]), Bench(hello, hello.doors()[0])
        with closing(first.connection), closing(second.connection):
            yield first, second
    finally:
        ours.stop()
        hello.stop()


def test_requests_cost_no_more_than_so_many_hellos(tmp_path: Path) -> None:
    """The medians of rounds that take turns; for each job, ours against waitress as it is."""
    assert MAX_RATIOS.keys() == {part for job in JOBS.values() for part in job.parts}
    with benches(tmp_path) as (ours, hello):
        for job in [*MAX_RATIOS] * ROUNDS:
            hello.take_turn("one")
            ours.take_turn(job)
    base = median(hello.found["one"])
    ratios = {job: median(found) / base for job, found in ours.found.items()}
    print({job: round(ratio, 1) for job, ratio in ratios.items()}, f"a hello: {base / 1000:.0f} µs")
    assert {job: round(ratio, 1) for job, ratio in ratios.items() if ratio > MAX_RATIOS[job]} == {}
