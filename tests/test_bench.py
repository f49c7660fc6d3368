"""The benchmark on small data: ours does every job rightly, wrk makes a load, results become a report."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from tests.bench import __main__ as command
from tests.bench import floor
from tests.bench.apis import JOBS, Api, Request
from tests.bench.checks import Check, WrongAnswerError
from tests.bench.data import make_data
from tests.bench.gates import JUDGED, OVER_POCKETBASE, POCKETBASE, judged
from tests.bench.load import LoadError, load
from tests.bench.plot import plot
from tests.bench.report import report
from tests.bench.results import Cell, Column, Delays, Place, Results, Sample
from tests.bench.rounds import Plan, Run
from tests.bench.servers import OURS, PEERS, ROOT, Door, Hello, Minirest, Server

if sys.platform == "win32":
    pytest.skip("groups of processes do not exist on Windows", allow_module_level=True)

needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed (Debian: apt-get install wrk)")
SMALL = make_data(people=200, orders=1000)


class Nowhere(Api):
    """Asks for what is not there."""

    requests: ClassVar[Mapping[str, Request]] = {"one": Request("/api/v1/nothing/<id>")}


class Absent(Server):
    """Cannot be started."""

    name = "absent"
    durability = "no data"

    def doors(self) -> list[Door]:
        return [Door("absent", Nowhere())]

    def command(self, folder: Path, port: int) -> list[str]:
        return [sys.executable, "-c", f"raise SystemExit('nothing listens on {port}, in {folder.name}')"]


@pytest.fixture(scope="module", params=OURS, ids=lambda kind: kind.name)
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minirest]:
    """Our server in a process of its own, or in two, with the small data."""
    server: Minirest = request.param(tmp_path_factory.mktemp("ours"), Path())
    server.prepare(SMALL)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def results() -> Results:
    """Made-up results: ours is twice as fast with each number of clients, and fails in one cell."""
    columns = [Column(title, "minirest", "FULL") for title in dict.fromkeys(JUDGED.values())]
    columns.append(Column(POCKETBASE, "pocketbase", "NORMAL"))
    made = Results({"data": "made up"}, columns, {}, {"minirest": 240.0}, {"minirest": 520.0}, {"minirest": 41.0})
    for clients in OVER_POCKETBASE:
        for job, title in JUDGED.items():
            for column, rps in ((title, 2000), (POCKETBASE, 1000)):
                rounds = [Sample(rps + more, 1.0, 0.5, 1e6 / rps, 100.0) for more in (0, -100, 50)]
                made.cells[Place(job, clients, column)] = Cell(rounds)
    made.cells[Place("update", 64, JUDGED["update"])] = Cell(error="<9 answers> are no success")
    made.delays = Delays(2.1, 1.0, 2.0, 11.0, 31.0)
    made.left_out["soul"] = "there is no npm"
    return made


def test_ours_does_every_job(ours: Minirest) -> None:
    """Each job gets the right answer in each dialect that has it."""
    for door in ours.doors():
        check = Check(door.api, ours.asking(door), SMALL)
        for job in JOBS.values():
            if door.offers(job) and job.name != "create":
                check(job)
    for door in ours.doors():  # the data are others from now on
        if door.offers(JOBS["create"]):
            Check(door.api, ours.asking(door), SMALL)(JOBS["create"])


def test_wrong_answers_are_found(ours: Minirest) -> None:
    """A value, a number of records or a status that is not as it should be."""
    door = ours.doors()[0]
    moved = SMALL._replace(people=[{**person, "city": "Atlantis"} for person in SMALL.people])
    for data, job, said in (
        (moved, "one", "other values of city"),
        (SMALL._replace(orders=SMALL.orders[:100]), "embed 20", r"orders instead of \d"),
    ):
        with pytest.raises(WrongAnswerError, match=said):
            Check(door.api, ours.asking(door), data)(JOBS[job])
    with pytest.raises(WrongAnswerError, match=r"GET /api/v1/nothing/77: status 404"):
        Check(Nowhere(), ours.asking(door), SMALL)(JOBS["one"])


@needs_wrk
def test_load_is_counted_and_must_succeed(ours: Minirest) -> None:
    """A round gives its requests and their times; answers that are no success fail it."""
    assert ours.running
    door = ours.doors()[0]
    found = load(ours.running, door, JOBS["one"], clients=2, seconds=0.2, people=len(SMALL.people), seed=1)
    assert found.requests > 0
    assert found.p50_ms is not None
    assert found.p99_ms is not None
    assert 0 < found.p50_ms <= found.p99_ms
    with pytest.raises(LoadError, match=r"(\d+) answers of \1 are no success"):
        load(ours.running, door._replace(api=Nowhere()), JOBS["one"], 2, 0.2, len(SMALL.people), seed=1)


@needs_wrk
def test_run_goes_on_without_a_server_that_fails(tmp_path: Path) -> None:
    """Servers take turns with the floor; one that does not start is left out, with what it said."""
    servers = [kind(tmp_path / kind.name, Path()) for kind in (Absent, Hello)]
    said: list[str] = []
    plan = Plan([JOBS["one"]], clients=[1], rounds=2, seconds=0.2, people=200, orders=1000, delays=False)
    results = Run(plan, servers, {}, tmp_path, said.append)()
    assert results.left_out.keys() == {"absent"}
    assert "nothing listens on" in results.left_out["absent"]
    assert [column.title for column in results.columns] == ["waitress hello", floor.Floor.TITLE]
    assert [(len(cell.samples), cell.error) for cell in results.cells.values()] == [(2, "")] * 2
    assert results.start_ms.keys() == {"hello"}
    assert results.record_ms == results.start_ms
    assert "one, 1 client, round 2: waitress hello" in said


def test_floor_makes_the_answers(tmp_path: Path) -> None:
    """Its statements give JSON with as many records as asked for."""
    with closing(floor.Floor(tmp_path / "floor.db", SMALL)) as bottom:
        found = {job: json.loads(work(bottom)) for job, work in floor.JOBS.items()}
        assert [len(found[job]) for job in ("list 20", "embed 20")] == [20, 20]
        assert (len(found["list + total"]["data"]), found["list + total"]["total"]) == (20, 200)
        assert sum(len(person["orders"]) for person in found["embed 20"]) == SMALL.orders_of(range(1, 21))
        assert (found["create"]["id"], found["create"]["last_name"]) == (201, "Zed")
        assert found["one"]["email"].startswith("user")


def test_every_server_has_requests_for_known_jobs() -> None:
    """No request is of a job that there is not, and each server does at least one."""
    kinds: list[type[Server]] = [*OURS, *PEERS, Hello]
    for kind in kinds:
        for door in kind(Path(), Path()).doors():
            assert door.api.requests.keys() <= JOBS.keys()
            assert any(door.offers(job) for job in JOBS.values())


def test_gates_are_judged(results: Results) -> None:
    """What is twice as fast has reached some gates and not others; a cell that failed has reached none."""
    found = {gate.what: gate for gate in judged(results)}
    judgements = {what.partition(":")[0]: (gate.reached, gate.stretched) for what, gate in found.items()}
    assert judgements["create, 1 client"] == (True, True)
    assert judgements["create, 16 clients"] == (True, False)
    assert judgements["filter 100, 1 client"] == (False, False)
    assert judgements["update, 64 clients"] == (False, False)
    assert [found[what].reached for what in found if "beside" in what] == [True, False]
    assert found["from the command to the first answer, /health/ready"].reached
    assert not found["from the command to the first record, for a password"].reached
    assert not found["memory after the load (PSS)"].reached


def test_report_shows_all_that_was_found(results: Results) -> None:
    """The page has medians, ratios, gates and failures; the JSON has the rounds."""
    page = report(results)
    assert "| job | ours, Limbas (FULL) |" in page
    assert "| one | 2,000 (2.00) |" in page
    assert "0.50 / 500.00" in page
    assert "| update | 64 | ours, Limbas | <9 answers> are no success |" in page
    assert "| soul | there is no npm |" in page
    assert "| minirest | 240 | 520 | 41.0 |" in page
    cells = json.loads(json.dumps(results.as_json()))["cells"]
    assert cells[0]["rps"] == 2000
    assert [sample["requests"] for sample in cells[0]["samples"]] == [2000, 1900, 2050]


def test_plot_is_a_picture_with_all_cells(results: Results) -> None:
    """It is well-formed; each cell that has not failed has a mark that says its figures, each column a legend."""
    tree = ElementTree.fromstring(plot(results))
    titles = [title.text or "" for title in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert titles.count("ours, Limbas: 2,000 (1,900 to 2,050)") == sum(
        place.column == "ours, Limbas" and not cell.error for place, cell in results.cells.items()
    )
    assert titles.count(POCKETBASE) == 1
    assert "http" not in plot(results).replace("http://www.w3.org/2000/svg", "")


def test_nothing_was_measured() -> None:
    """Without results there is a page and a picture all the same."""
    nothing = Results({})
    ElementTree.fromstring(plot(nothing))
    assert "##" not in report(nothing)


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Some of everything can be chosen; what cannot be is exit code 2, as is the lack of wrk."""
    chosen = command.arguments(["--peers", "soul,pocketbase", "--jobs", "mix 9:1", "--clients", "2"])
    assert (chosen.peers, chosen.jobs, chosen.clients) == (["pocketbase", "soul"], ["mix 9:1"], [2])
    for words, said in (
        (["--peers", "oracle"], "oracle: there is pocketbase, "),
        (["--work", str(ROOT / "tests")], "--work cannot be inside the repository"),
        (["--people", "30"], "a multiple of 20"),
    ):
        with pytest.raises(SystemExit, match=r"^2$"):
            command.main(words)
        assert said in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.main(["--work", str(tmp_path)]) == 2
    assert "apt-get install wrk" in capsys.readouterr().err
