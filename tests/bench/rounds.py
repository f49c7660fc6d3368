"""A run: every server is filled once, started on fresh copies, checked, and measured in rounds that take turns."""

import http.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.bench.apis import Job
from tests.bench.checks import Check, WrongAnswerError
from tests.bench.data import make_data
from tests.bench.delays import measure_delays
from tests.bench.floor import Floor
from tests.bench.gates import crowd
from tests.bench.load import LoadError, load
from tests.bench.processes import NotStartedError
from tests.bench.results import Cell, Column, Place, Results, Sample
from tests.bench.servers import Door, Minirest, Server

Turn = Callable[[int], Sample]
"""Measures once; takes the number of the round."""
MEGABYTE = 1024 * 1024


class Plan(NamedTuple):
    """What is to be measured, how often and for how long, with how many records."""

    jobs: Sequence[Job]
    clients: Sequence[int]
    rounds: int
    seconds: float
    people: int
    orders: int
    delays: bool = True


class Run:
    """Servers, and what has been found out about them; `say` shows what is being done."""

    def __init__(
        self, plan: Plan, servers: Sequence[Server], settings: dict[str, Any], work: Path, say: Callable[[str], None]
    ) -> None:
        self.plan, self.servers, self.work, self.say = plan, servers, work, say
        self.data = make_data(plan.people, plan.orders)
        self.results = Results(settings)

    def __call__(self) -> Results:
        """Do everything. All that only reads shares its servers; what writes has fresh ones for each cell."""
        for server in self.servers:
            self.say(f"preparing {server.name}")
            self.attempt(server, partial(server.prepare, self.data))
        if reads := [job for job in self.plan.jobs if not job.writes]:
            with self.started(self.servers) as floor:
                for job in reads:
                    for clients in self.plan.clients:
                        self.measure(job, clients, floor)
        for job in self.plan.jobs:
            for clients in self.plan.clients if job.writes else ():
                with self.started(self.servers) as floor:
                    self.measure(job, clients, floor)
        if self.plan.delays:
            self.probe()
        self.sum_up()
        return self.results

    def attempt(self, server: Server, action: Callable[[], None]) -> None:
        """Do something with a server; when it fails, the server is left out from then on."""
        if server.name not in self.results.left_out:
            try:
                action()
            except NotStartedError as error:
                self.results.left_out[server.name] = str(error)

    @contextmanager
    def started(self, servers: Sequence[Server]) -> Iterator[Floor]:
        """Start servers on fresh copies, and make the floor, which is given; all end with the block."""
        with ExitStack() as stack:
            for server in servers:
                self.say(f"starting {server.name}")
                stack.callback(server.stop)
                self.attempt(server, server.start)
            yield stack.enter_context(closing(Floor(self.work / "floor.db", self.data)))

    def measure(self, job: Job, clients: int, floor: Floor) -> None:
        """Fill the cells of a job and a number of clients: check the answers, then let all take turns."""
        cells, turns = dict[str, Cell](), dict[str, Turn]()
        for server in self.servers:
            for door in server.doors() if server.running else ():
                if door.offers(job):
                    self.say(f"checking {job.name}: {door.title}")
                    cells[door.title] = Cell(error=self.mistake(job, server, door))
                    turns[door.title] = partial(self.take_turn, job, clients, server, door)
        if clients == 1:
            cells[Floor.TITLE] = Cell()
            turns[Floor.TITLE] = lambda _: floor.measure(job, self.plan.seconds)
        self.results.cells |= {Place(job.name, clients, title): cell for title, cell in cells.items()}
        for number in range(self.plan.rounds):
            self.play(f"{job.name}, {crowd(clients)}, round {number + 1}", number, turns, cells)

    def mistake(self, job: Job, server: Server, door: Door) -> str:
        """What is wrong with the answers of a server; nothing when they are right."""
        try:
            Check(door.api, server.asking(door), self.data)(job)
        except (WrongAnswerError, OSError, http.client.HTTPException) as error:
            return str(error) or repr(error)
        return ""

    def play(self, what: str, number: int, turns: Mapping[str, Turn], cells: Mapping[str, Cell]) -> None:
        """One round; who fails has no further turn."""
        for title, turn in turns.items():
            if not cells[title].error:
                self.say(f"{what}: {title}")
                try:
                    cells[title].samples.append(turn(number))
                except LoadError as error:
                    cells[title].error = str(error)

    def take_turn(self, job: Job, clients: int, server: Server, door: Door, number: int) -> Sample:
        """Load a server, and let it come to rest."""
        assert server.running
        found = load(server.running, door, job, clients, self.plan.seconds, self.plan.people, number + 1)
        server.running.settle()
        return found

    def probe(self) -> None:
        """See how point reads of ours wait beside slow requests."""
        ours = [server for server in self.servers if isinstance(server, Minirest)]
        with self.started(ours):
            for server in ours:
                if server.running:
                    self.say("point reads beside slow requests")
                    door, port = server.doors()[0], server.running.port
                    counts = self.plan.people, self.plan.orders
                    try:
                        self.results.delays = measure_delays(port, server.asking(door), door.headers, *counts)
                    except LoadError as error:
                        self.results.left_out["point reads beside slow requests"] = str(error)

    def sum_up(self) -> None:
        """The columns, and what is known of each server."""
        filled = {place.column for place in self.results.cells}
        columns = [Column(door.title, it.name, it.durability) for it in self.servers for door in it.doors()]
        columns.append(Column(Floor.TITLE, "sqlite3", Floor.DURABILITY))
        self.results.columns = [column for column in columns if column.title in filled]
        for server in self.servers:
            if server.start_seconds:
                self.results.start_ms[server.name] = median(server.start_seconds) * 1e3
                self.results.record_ms[server.name] = median(server.record_seconds) * 1e3
            if server.memory_bytes:
                self.results.memory_mb[server.name] = max(server.memory_bytes) / MEGABYTE
