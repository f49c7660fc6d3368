"""Durability: no acknowledged write is lost in a power cut, and none is there by half.

`tests/power` has the parts: a library that records what a real server does to its files and what it sends, clients that
write all at once, a disk that forgets what was not synced, and the judgement of what is left.
"""

import os
import platform
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

import minirest
from tests.power.check import look_into
from tests.power.cuts import cut_often, make_files
from tests.power.disk import DATABASE, FOLDER, SUFFIXES, WAL, Cut, Disk, Record
from tests.power.recording import Recording, record

CUTS = int(os.environ.get("MINIREST_TEST_POWER_CUTS", "1000"))
CARELESS_CUTS = 100
CLIENTS = 24
WRITES, CARELESS_WRITES = 50, 40  # some checkpoints, and at least one
CARELESS_SERVER = str(Path(__file__).parent / "power" / "careless_server.py")
MEMORY = Path("/dev/shm")

pytestmark = [
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="records what goes through Linux' glibc"),
    pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed: apt-get install gcc libc6-dev"),
]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for what is left after each cut, in memory where there is such a place."""
    monkeypatch.setattr(minirest, "SCRYPT_COST", minirest.SCRYPT_COST_IN_MEMORY)  # of the many that are opened
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def recording() -> Recording:
    """The server as it is, with many clients that write at the same time."""
    with TemporaryDirectory() as name:
        return record(Path(name), ("-m", "minirest"), CLIENTS, WRITES)


def test_disk() -> None:
    """What a sync covers stays, and what came after its begin may stay, in whole sectors; so do files of a folder."""
    a, b = b"a" * 512, b"b" * 512
    operations = [
        Record("C", DATABASE, 0, b""),
        Record("C", WAL, 0, b""),
        Record("S", FOLDER, 1, b""),
        Record("W", DATABASE, 0, a + a),
        Record("W", DATABASE, 512, b + b),
        Record("S", DATABASE, 4, b""),
    ]
    disk = Disk(operations)
    disk.play(len(operations))
    cuts = [disk.cut(Cut(0.5, 512, is_shuffled=True), Random(seed)) for seed in range(50)]
    zeros = bytes(512)
    assert {bytes(files[""]) for files in cuts} == {a + a, a + b, a + a + b, a + b + b}
    assert {bytes(files.get("-wal", b"?")) for files in cuts} == {b"", b"?"}
    assert disk.whole() == {"": a + b + b, "-wal": b""}
    disk.take(Record("S", DATABASE, 6, b""))
    disk.take(Record("T", DATABASE, 512, b""))
    disk.take(Record("W", DATABASE, 1024, a))
    cuts = [disk.cut(Cut(0.5, 512, is_shuffled=False), Random(seed)) for seed in range(50)]
    assert {bytes(files[""]) for files in cuts} == {a + b + b, a, a + b + a, a + zeros + a}


def test_recording_is_whole(recording: Recording) -> None:
    """All that the server has written is recorded, and every answer; syncs of commits and a checkpoint are among it."""
    disk = Disk(recording.records)
    disk.play(recording.idle)
    assert disk.whole() == recording.files
    assert set(recording.files) == {"", "-wal"}
    assert len(recording.sent) == CLIENTS * WRITES
    under_load = recording.records[min(recording.sent) : recording.idle]
    kinds = Counter((it.kind, SUFFIXES.get(it.file)) for it in under_load)
    assert all(kinds[kind] for kind in (("W", "-wal"), ("S", "-wal"), ("W", ""), ("S", "")))
    disk.play(len(recording.records))
    assert set(disk.whole()) == {""}
    assert disk.files[DATABASE].pending == []


def test_power_cuts(recording: Recording, folder: Path) -> None:
    """Of all cuts none loses an acknowledged write, half a write, or the history of one."""
    assert list(cut_often(recording, folder, CUTS, opened_one_in=25)) == []


@pytest.mark.parametrize(("synchronous", "fault"), [("normal", "lost"), ("off", "corrupt")])
def test_careless_server(folder: Path, synchronous: str, fault: str) -> None:
    """The same cuts find what a server loses that syncs less: writes, or the whole database, which is refused then."""
    with TemporaryDirectory() as name:
        careless = record(Path(name), (CARELESS_SERVER, synchronous), CLIENTS, CARELESS_WRITES)
    failures = cut_often(careless, folder, CARELESS_CUTS, opened_one_in=1)
    kinds = Counter(kind for failure in failures for kind in failure.faults)
    assert kinds[fault] > 0
    if synchronous == "normal":
        assert set(kinds) == {"lost"}


@pytest.mark.parametrize(
    ("damage", "faults"),
    [
        ("select 1", set()),
        ("delete from _history where id=(select max(id) from _history)", {"history"}),
        ("update _history set version=version+1 where id=(select max(id) from _history)", {"history"}),
        ("update notes set number=number+1 where id=(select max(id) from notes)", {"half", "history"}),
        ("update notes set _version=_version+1 where id=(select max(id) from notes)", {"half", "history"}),
        ("delete from notes_tags where id=(select max(id) from notes_tags)", {"half", "history"}),
        ("insert into notes (text) values ('0-x')", {"half", "history"}),
        ("delete from notes_tags; delete from notes; delete from _history", {"lost"}),
        ("pragma writable_schema=on; update sqlite_master set rootpage=1 where name='notes'", {"corrupt"}),
        ("delete from tags where id=1", {"corrupt"}),
    ],
)
def test_judgement(recording: Recording, folder: Path, damage: str, faults: set[str]) -> None:
    """What is wrong with a database is seen."""
    database = make_files(folder, recording.files)
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(damage)
    assert recording.promises.faults(look_into(database), recording.idle) == faults
