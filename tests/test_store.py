"""Section 9: opening files, system tables, examples, snapshots, and what SQLite says when it cannot."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import minirest
from minirest import ApiError, Batch, Compare, Const, Create, NotOurs, SchemaError, Select, Store, Update
from tests.web import unguarded

Json = Any
SCHEMA: Json = {
    "$defs": {
        "rooms": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "size": {"type": "integer", "default": 7},
                "secret": {"type": "string", "writeOnly": True},
                "hall": {"$ref": "#/$defs/rooms"},
                "doors": {"type": "array", "items": {"$ref": "#/$defs/doors"}},
                "keys": {"type": "array", "items": {"$ref": "#/$defs/keys"}, "x-inverse": "room"},
            },
            "x-archive": True,
            "examples": [
                {"name": "a", "hall": 2, "doors": [2, 1], "secret": "s"},
                {"name": "b", "size": 3, "_status": "archived", "_owner": "anna", "_group": "crew"},
                {"name": "c", "keys": [1], "_status": "trash", "_access": ["anna", "ben"], "_branch": ["crew"]},
            ],
        },
        "doors": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "examples": [{"name": "front"}, {"name": "back"}],
        },
        "keys": {
            "type": "object",
            "properties": {"room": {"$ref": "#/$defs/rooms"}},
            "required": ["room"],
            "examples": [{"room": 1}, {"room": 2}],
        },
    }
}


def clock() -> datetime:
    return datetime(2024, 5, 1, 12, tzinfo=UTC)


def open_store(path: Path | str = ":memory:", schema: Json = SCHEMA, examples: bool = True) -> Store:
    return Store(minirest.load_schema(schema), str(path), clock, examples)


def doors(store: Store, **words: Any) -> Select:
    table = store.schema.find("doors")
    return Select(table, minirest.Col(minirest.Path((), table.fields["name"])), **words)


def make_door(store: Store, name: str) -> Create:
    table = store.schema.find("doors")
    return Create(table, {table.fields["name"]: name}, {}, Const(None))


def rename_door(store: Store, key: int, name: str) -> Update:
    table = store.schema.find("doors")
    where = Compare(minirest.Path((), table.id), "eq", key)
    return Update(table, where, {table.fields["name"]: name}, {}, Const(None))


def texts(outcome: minirest.Outcome) -> list[str | None]:
    """The values of a list of `doors`: their names."""
    return [str(row.text) for row in outcome.rows]


def rows(path: Path, statement: str) -> list[tuple[Json, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


# ---- opening ----


def test_a_new_file(tmp_path: Path) -> None:
    """A new file gets all tables, `_meta` with version, tags and layout, and is new the first time only."""
    path = tmp_path / "x.db"
    with closing(open_store(path)) as store:
        assert store.is_new
        tags = {table.name: table.tag for table in store.schema.all_tables.values()}
    names = {name for (name,) in rows(path, "select name from sqlite_master where type='table'")}
    assert names - {"sqlite_sequence"} == {
        *("_meta", "_sessions", "_pieces", "_users", "_groups", "_tokens", "_files", "_history"),
        *("rooms", "doors", "keys", "rooms_doors"),
    }
    meta = {key: json.loads(value) for key, value in rows(path, "select key, value from _meta")}
    assert set(meta) == {"version", "tags", "layout"}
    assert (meta["version"], meta["tags"]) == (minirest.META_VERSION, tags)
    assert tags["rooms"] == int.from_bytes(hashlib.sha256(b"rooms").digest()[:4], "big")
    before = rows(path, "select * from _history")
    with closing(open_store(path)) as store:
        assert not store.is_new
        assert {table.name: table.tag for table in store.schema.all_tables.values()} == tags
    assert rows(path, "select * from _history") == before


def test_settings_of_a_file(tmp_path: Path) -> None:
    """Write-ahead log, full synchronisation, foreign keys; readers cannot write."""
    with closing(open_store(tmp_path / "x.db")) as store:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        values = [unguarded(store).execute(f"pragma {name}").fetchone()[0] for name in pragmas]
        assert values == ["wal", 2, 1, 0]
        with store.database.reading() as connection:
            connection.set_authorizer(None)
            assert connection.execute("pragma synchronous").fetchone()[0] == 2
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute("delete from doors")


def test_a_file_of_ours_is_never_trusted(tmp_path: Path) -> None:
    """Also not when somebody has put a virtual table into it."""
    open_store(tmp_path / "x.db").close()
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("create virtual table notes using fts5(body)")
    with closing(open_store(tmp_path / "x.db")) as store:
        assert unguarded(store).execute("pragma trusted_schema").fetchone() == (0,)
        with store.database.reading() as connection:
            connection.set_authorizer(None)
            assert connection.execute("pragma trusted_schema").fetchone() == (0,)


def test_users_are_a_table_of_accounts(tmp_path: Path) -> None:
    """System tables are reached as tables, but are none of the user's."""
    with closing(open_store(tmp_path / "x.db")) as store:
        assert set(store.schema.tables) == {"rooms", "doors", "keys"}
        assert {"_users", "_groups", "_tokens", "_files", "_history"} <= set(store.schema.all_tables)
        with pytest.raises(ApiError) as caught:
            store.schema.find("_users")
        assert caught.value.code == "unknown_table"


def foreign(path: Path, statement: str) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    return path.read_bytes()


@pytest.mark.parametrize("work", ["open", "plan", "migrate"])
@pytest.mark.parametrize(
    "statement",
    [
        "create table t (a)",
        "create table _meta (key, value)",
        "create table _history (id)",
        "create view v as select 1",
    ],
)
def test_a_foreign_database_is_refused(tmp_path: Path, statement: str, work: str) -> None:
    """A file that minirest did not make is refused and stays as it is, byte by byte, with nothing beside it."""
    path = tmp_path / "x.db"
    before = foreign(path, statement)
    works: dict[str, Callable[[], object]] = {
        "open": lambda: open_store(path),
        "plan": lambda: minirest.migrate(minirest.load_schema(SCHEMA), str(path)),
        "migrate": lambda: minirest.migrate(minirest.load_schema(SCHEMA), str(path), apply=True),
    }
    with pytest.raises(NotOurs):
        works[work]()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """Its tables are not touched."""
    path = tmp_path / "x.db"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update _meta set value=? where key='version'", (minirest.META_VERSION + 1,))
        connection.commit()
    before = rows(path, "select * from _meta")
    with pytest.raises(NotOurs, match=r"^it was made by a later version of minirest$"):
        open_store(path)
    assert rows(path, "select * from _meta") == before


@pytest.mark.parametrize("key", ["version", "tags", "layout"])
@pytest.mark.parametrize(
    "damage", ["delete from _meta", "update _meta set value=x'7b00ff'", "update _meta set value=''"]
)
def test_a_damaged_file_is_refused(tmp_path: Path, key: str, damage: str) -> None:
    """What the file keeps of its tables is not made up anew: tags lead to the history of each table."""
    path = tmp_path / "x.db"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"{damage} where key=?", (key,))
        connection.commit()
    before = rows(path, "select * from _meta")
    with pytest.raises(sqlite3.DatabaseError, match=f"^'{key}' of its _meta table is damaged$"):
        open_store(path)
    assert rows(path, "select * from _meta") == before


def test_an_older_file_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step between the versions is done once, in the transaction that raises the version."""
    path = tmp_path / "x.db"
    open_store(path).close()
    done: list[str] = []
    steps = (lambda connection: done.append("one"), lambda connection: done.append("two"))
    version = minirest.META_VERSION + 2
    monkeypatch.setattr(minirest, "UPGRADES", (*minirest.UPGRADES, *steps))
    monkeypatch.setattr(minirest, "META_VERSION", version)
    for _ in range(2):
        open_store(path).close()
    assert (done, rows(path, "select value from _meta where key='version'")) == (["one", "two"], [(str(version),)])


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4080])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    """Refused as damaged, and left alone."""
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises((sqlite3.DatabaseError, ApiError)):
        open_store(path)
    assert path.read_bytes() == content


def test_a_damaged_page(tmp_path: Path) -> None:
    """A read that meets a damaged page is a storage error, not an answer."""
    path = tmp_path / "x.db"
    with closing(open_store(path)) as store:
        table = store.schema.find("doors")
        page, size = (
            unguarded(store).execute(text).fetchone()[0]
            for text in (
                f"select rootpage from sqlite_master where name='{table.name}'",
                "pragma page_size",
            )
        )
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 200] = b"\xff" * 200
    path.write_bytes(bytes(content))
    with closing(open_store(path)) as store:
        with pytest.raises(ApiError) as caught:
            store.run(doors(store))
        assert (caught.value.code, caught.value.status) == ("storage", 507)
        assert caught.value.violations[0].params == {"reason": "the file is damaged"}


READ_ONLY = """
import json, sys, minirest
from datetime import datetime, timezone
schema = minirest.load_schema(json.loads(sys.argv[2]))
try:
    minirest.Store(schema, sys.argv[1], lambda: datetime(2024, 5, 1, tzinfo=timezone.utc)).close()
except minirest.ApiError as error:
    print(error.code, error)
except Exception as error:
    print(type(error).__name__, error)
"""


WITHOUT_OVERRIDE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Takes root's right to write what is read-only, and becomes another program. Not between fork and exec of ours, where
a lock that another thread holds at that moment is held for ever."""


@pytest.mark.skipif(sys.platform != "linux", reason="takes a right from root as Linux does")
def test_a_read_only_file(tmp_path: Path) -> None:
    """Says that the file is read-only, and changes nothing."""
    path = tmp_path / "x.db"
    open_store(path).close()
    before = path.read_bytes()
    path.chmod(0o444)
    first = ["-c", WITHOUT_OVERRIDE] if os.geteuid() == 0 else []
    found = subprocess.run(
        [sys.executable, *first, "-c", READ_ONLY, str(path), json.dumps(SCHEMA)],
        env={**os.environ, "PYTHONPATH": str(Path(minirest.__file__).parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout == "storage The database cannot be written: the file is read-only\n"
    assert path.read_bytes() == before


# ---- examples ----


def test_examples() -> None:
    """Examples are inserted under their positions, with links, status and owners by name, and with history."""
    with closing(open_store()) as store:
        connection = unguarded(store)
        named = "select name from {} order by id"
        users, groups = ([name for (name,) in connection.execute(named.format(t))] for t in ("_users", "_groups"))
        assert (users, groups) == (["anna", "ben"], ["crew"])
        found = connection.execute(
            "select id, name, size, hall_id, _status, _owner, _group, _access, _branch, _version from rooms"
        ).fetchall()
        assert found == [
            (1, "a", 7, 2, 0, None, None, None, None, 1),
            (2, "b", 3, None, 1, 1, 1, None, None, 1),
            (3, "c", 7, None, 2, None, None, "[1,2]", "[1]", 1),
        ]
        assert connection.execute("select source_id, target_id from rooms_doors order by id").fetchall() == [
            (1, 2),
            (1, 1),
        ]
        assert connection.execute("select id, room_id from keys order by id").fetchall() == [(1, 3), (2, 2)]
        texts = connection.execute("select before, after, dialect, user, time from _history").fetchall()
        assert {row[2:] for row in texts} == {("examples", None, "2024-05-01T12:00:00.000Z")}
        assert not any('"s"' in str(row) for row in texts)
        created = "select count(*) from _history where action='created'"
        assert connection.execute(created).fetchone() == (3 + 2 + 2 + 2 + 1,)
        assert connection.execute("pragma foreign_key_check").fetchall() == []


def test_no_examples() -> None:
    """Without examples the tables are empty."""
    with closing(open_store(examples=False)) as store:
        assert texts(store.run(doors(store))) == []
        assert store.database.writer.execute("select count(*) from _history").fetchone() == (0,)


@pytest.mark.parametrize(
    ("example", "path"),
    [
        ({"nmae": "x"}, "#/$defs/rooms/examples/3"),
        ({"size": "big"}, "#/$defs/rooms/examples/3/size"),
        ({"hall": 9}, "#/$defs/rooms/examples/3"),
        ({"hall": "a"}, "#/$defs/rooms/examples/3"),
        ({"doors": [3]}, "#/$defs/rooms/examples/3"),
        ({"_status": "gone"}, "#/$defs/rooms/examples/3"),
        (7, "#/$defs/rooms/examples/3"),
    ],
)
def test_a_bad_example_is_refused(tmp_path: Path, example: Json, path: str) -> None:
    """With the path of the example; no tables are left behind."""
    rooms = SCHEMA["$defs"]["rooms"]
    schema = {"$defs": {**SCHEMA["$defs"], "rooms": {**rooms, "examples": [*rooms["examples"], example]}}}
    with pytest.raises(SchemaError) as caught:
        open_store(tmp_path / "x.db", schema)
    assert caught.value.path.startswith(path)
    assert rows(tmp_path / "x.db", "select name from sqlite_master") == []


# ---- reads, writes, threads ----


def test_a_batch_of_selects_is_one_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed between two Selects of a batch is seen by neither."""
    with closing(open_store(tmp_path / "x.db")) as store:
        read = minirest.read

        def read_and_write(connection: sqlite3.Connection, op: Select, *seen: Any) -> minirest.Outcome:
            outcome = read(connection, op, *seen)
            monkeypatch.setattr(minirest, "read", read)
            store.run(make_door(store, "new"))
            return outcome

        monkeypatch.setattr(minirest, "read", read_and_write)
        parts = store.run(Batch((doors(store, total=True), doors(store, total=True)))).parts
        assert [(texts(part), part.total) for part in parts] == [(["front", "back"], 2)] * 2
        assert texts(store.run(doors(store))) == ["front", "back", "new"]


def test_a_total_belongs_to_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The total is counted in the snapshot of the rows."""
    with closing(open_store(tmp_path / "x.db")) as store:
        count = minirest.count

        def write_and_count(connection: sqlite3.Connection, statement: minirest.Sql) -> int:
            monkeypatch.setattr(minirest, "count", count)
            store.run(make_door(store, "new"))
            return count(connection, statement)

        monkeypatch.setattr(minirest, "count", write_and_count)
        outcome = store.run(doors(store, total=True))
        assert (texts(outcome), outcome.total) == (["front", "back"], 2)


@pytest.mark.parametrize("where", ["file", "memory"])
def test_readers_beside_a_writer(tmp_path: Path, where: str) -> None:
    """Readers see whole transactions only, whatever a writer does meanwhile: both doors have one name."""
    with closing(open_store(tmp_path / "x.db" if where == "file" else ":memory:")) as store:
        store.run(Batch(tuple(rename_door(store, key, "0") for key in (1, 2))))
        torn: list[Any] = []
        stop = threading.Event()

        def look() -> None:
            while not stop.is_set():
                try:
                    first, second = store.run(Batch((doors(store), doors(store)))).parts
                    names = {*texts(first), *texts(second)}
                except BaseException as error:
                    names = {repr(error), ""}
                if len(names) != 1:
                    torn.append(names)

        readers = [threading.Thread(target=look) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(100):
            store.run(Batch(tuple(rename_door(store, key, str(number)) for key in (1, 2))))
        stop.set()
        for reader in readers:
            reader.join()
        assert torn == []
        assert texts(store.run(doors(store))) == ["99", "99"]


@pytest.mark.parametrize("where", ["file", "memory"])
def test_writers_in_threads(tmp_path: Path, where: str) -> None:
    """Every write of every thread is there, ids and events in commit order."""
    with closing(open_store(tmp_path / "x.db" if where == "file" else ":memory:", examples=False)) as store:
        keys: list[int] = []
        store.listeners.append(lambda events: keys.extend(event.key for event in events))

        def work(name: str) -> None:
            for number in range(25):
                store.run(make_door(store, f"{name}{number}"))

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert keys == list(range(1, 101))
        names = texts(store.run(doors(store)))
        assert sorted(map(str, names)) == sorted(f"{name}{number}" for name in "abcd" for number in range(25))


def note_doors(store: Store, seen: list[Any], events: Any) -> None:
    """A listener that reads."""
    seen.append(texts(store.run(doors(store))))


def test_a_listener_may_read(tmp_path: Path) -> None:
    """In its listener, whoever wants to know what changed sees the committed state; in memory too."""
    for place in (str(tmp_path / "x.db"), ":memory:"):
        with closing(open_store(place)) as store:
            seen: list[Any] = []
            listen = functools.partial(note_doors, store, seen)
            store.listeners.append(listen)
            store.run(make_door(store, "new"))
            assert seen == [["front", "back", "new"]]


def test_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the lock: readers go on, a writer is told to try again, and then can."""
    monkeypatch.setattr(minirest, "BUSY_TIMEOUT_SECONDS", 0.05)
    path = tmp_path / "x.db"
    with closing(open_store(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(ApiError) as caught:
            store.run(make_door(store, "x"))
        assert (caught.value.code, caught.value.status, caught.value.headers) == ("busy", 503, (("Retry-After", "1"),))
        assert texts(store.run(doors(store, total=True))) == ["front", "back"]
        other.execute("rollback")
        store.run(make_door(store, "x"))
        assert texts(store.run(doors(store))) == ["front", "back", "x"]


@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize("kind", ["read", "total", "write"])
def test_too_expensive(tmp_path: Path, where: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation over its time is stopped: 503, nothing changed, and the next one runs."""
    place = str(tmp_path / "x.db") if where == "file" else ":memory:"
    with closing(open_store(place, examples=False)) as store:
        table = store.schema.find("doors")
        with store.database.writing() as connection:
            connection.executemany("insert into doors (name) values (?)", ["x", *"z" * 9] * 400)
        half = Compare(minirest.Path((), table.fields["name"]), "eq", "x")
        update = Update(table, half, {table.fields["name"]: "y"}, {}, Const(None))
        ops: dict[str, minirest.Operation] = {"read": doors(store), "total": doors(store, total=True), "write": update}
        seen: list[Any] = []
        store.listeners.append(seen.append)
        monkeypatch.setattr(minirest, "STATEMENT_TIMEOUT_SECONDS", -1.0)
        with pytest.raises(ApiError) as caught:
            store.run(ops[kind])
        assert (caught.value.code, caught.value.status) == ("too_expensive", 503)
        monkeypatch.undo()
        assert seen == []
        assert texts(store.run(doors(store, total=True))) == ["x", *"z" * 9] * 400
        assert store.run(update).changed == 400


ENDLESS = "with recursive n (i) as (select 1 union all select i + 1 from n limit 1000000000) select count(*) from n"


@pytest.mark.parametrize("where", ["file", "memory"])
def test_a_query_that_is_really_expensive(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that would run for minutes is stopped, and the connection serves the next one."""
    monkeypatch.setattr(minirest, "STATEMENT_TIMEOUT_SECONDS", 0.05)
    with closing(open_store(tmp_path / "x.db" if where == "file" else ":memory:")) as store:
        for block in (store.database.reading, lambda: store.database.writing(0.05)):
            with pytest.raises(ApiError) as caught, block() as connection:
                connection.execute(ENDLESS).fetchone()
            assert str(caught.value) == "The request took longer than 0.05 seconds of database time"
        monkeypatch.undo()
        assert texts(store.run(doors(store))) == ["front", "back"]


class Stopwatch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the seconds since some moment."""
        return self.now


def test_statements_of_a_request_share_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six seconds and five are too many for one request, but not for two; what is done between them does not count."""
    counting = ENDLESS.replace("1000000000", "10000")
    watch = Stopwatch()
    monkeypatch.setattr(minirest, "time", watch)

    def work(store: Store, seconds: float) -> None:
        with store.database.reading() as connection:
            watch.now += seconds
            connection.execute(counting).fetchone()

    with closing(open_store(tmp_path / "x.db")) as store:
        for _ in range(2):
            with store.database.request():
                work(store, 6)
                watch.now += 60
                with pytest.raises(ApiError, match="longer than 10 seconds"):
                    work(store, 5)
        with store.database.request():
            work(store, 6)
            with store.database.request():
                work(store, 5)
            work(store, 3)
        work(store, 9)


# ---- what requests can never do ----

HARMFUL = [
    "attach 'other.db' as other",
    "pragma journal_mode=delete",
    "pragma writable_schema=on",
    "pragma user_version=7",
    "create table t (x)",
    "create temp table t (x)",
    "create index i on doors (name)",
    "create trigger g after insert on doors begin select 1; end",
    "create view v as select 1",
    "alter table doors add column x",
    "drop table doors",
    "reindex",
    "analyze",
    "vacuum into 'copy.db'",
    "select load_extension('x')",
    "create virtual table t using fts5(x)",
    "update sqlite_master set name='x'",
    "delete from sqlite_master",
]
WRITES = ["insert into doors (name) values ('x')", "update doors set name='x'", "delete from doors"]


@pytest.mark.parametrize("where", ["file", "memory"])
def test_what_no_request_can_do(tmp_path: Path, where: str) -> None:
    """Neither the tables nor files nor settings change through a connection of requests; readers write nothing."""
    with closing(open_store(tmp_path / "x.db" if where == "file" else ":memory:", examples=False)) as store:
        kept = store.database.writer.execute("select sql from sqlite_master").fetchall()
        blocks: list[tuple[Any, list[str]]] = [(store.database.writing, HARMFUL)]
        if where == "file":
            blocks.append((store.database.reading, [*HARMFUL, *WRITES]))
        for block, statements in blocks:
            for statement in statements:
                refused = "not authorized|authorization denied|prohibited|may not be modified|cannot VACUUM"
                with pytest.raises(sqlite3.Error, match=refused), block() as connection:
                    connection.execute(statement)
        assert store.database.writer.execute("select sql from sqlite_master").fetchall() == kept
        assert [path.name for path in tmp_path.iterdir() if "x.db" not in path.name] == []
        for statement in WRITES:
            with store.database.writing() as connection:
                connection.execute(statement)


def test_limits_of_a_connection(tmp_path: Path) -> None:
    """Each connection has our limits; what our own statements need lies below them."""
    with closing(open_store(tmp_path / "x.db")) as store, store.database.reading() as reader:
        for connection in (store.database.writer, reader):
            assert {limit: connection.getlimit(limit) for limit in minirest.SQLITE_LIMITS} == minirest.SQLITE_LIMITS
    assert minirest.MAX_UPLOAD_BYTES < minirest.MAX_VALUE_BYTES


@pytest.mark.parametrize(
    ("statement", "values", "message"),
    [
        (f"select {'1,' * 600_000} 1", (), "The filter is too large: the request asks for too much at once"),
        (f"select {','.join('?' * 40_000)}", [1] * 40_000, "The filter is too large: the request nests too deep"),
        ("select 1 from doors where name like ?", ["%" * 9000], "The filter is too large: the request asks for too"),
        (f"select 1 where {'1+' * 400} 1", (), "The filter is too large: the request nests too deep"),
        (
            "select zeroblob(?)",
            [minirest.MAX_VALUE_BYTES + 1],
            f"A record, with all that it shows, has more than {minirest.MAX_VALUE_BYTES} bytes",
        ),
    ],
)
def test_over_a_limit(tmp_path: Path, statement: str, values: Any, message: str) -> None:
    """A statement over a limit is a wrong request, with the reason."""
    with closing(open_store(tmp_path / "x.db")) as store:
        with pytest.raises(ApiError) as caught, store.database.reading() as connection:
            connection.execute(statement, values).fetchall()
        assert caught.value.status == 400
        assert str(caught.value).startswith(message)


def test_no_more_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no other connection can be opened, a reader is told to try again."""
    with closing(open_store(tmp_path / "x.db")) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store.database, "path", str(tmp_path / "nowhere" / "x.db"))
            with pytest.raises(ApiError) as caught:
                store.run(doors(store))
        assert (caught.value.code, caught.value.headers) == ("busy", (("Retry-After", "1"),))
        assert texts(store.run(doors(store))) == ["front", "back"]


def test_a_full_disk(tmp_path: Path) -> None:
    """No room: 507 with the reason, nothing changed; with room again it goes on."""
    with closing(open_store(tmp_path / "x.db")) as store:
        writer = unguarded(store)
        pages = writer.execute("pragma page_count").fetchone()[0]
        writer.execute(f"pragma max_page_count={pages}")
        with pytest.raises(ApiError) as caught:
            store.run(make_door(store, "x" * 100_000))
        assert (caught.value.code, caught.value.status) == ("storage", 507)
        assert caught.value.violations[0].params == {"reason": "the disk is full"}
        assert texts(store.run(doors(store))) == ["front", "back"]
        writer.execute(f"pragma max_page_count={pages + 1000}")
        assert store.run(make_door(store, "x" * 100_000)).changed == 1


def test_who_reads_while_all_is_closed(tmp_path: Path) -> None:
    """A connection that is in use then is closed when that is over."""
    store = open_store(tmp_path / "x.db")
    with store.database.reading() as connection:
        store.close()
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("select 1")


def test_close_puts_everything_into_the_file(tmp_path: Path) -> None:
    """After closing there is one file, which holds all."""
    store = open_store(tmp_path / "x.db")
    store.run(make_door(store, "new"))
    store.run(doors(store))
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]
    assert rows(tmp_path / "x.db", "select name from doors") == [("front",), ("back",), ("new",)]


def test_a_write_has_the_lock_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can write between what a write reads and what it changes, not even another process."""
    monkeypatch.setattr(minirest, "BUSY_TIMEOUT_SECONDS", 0.05)
    with closing(open_store(tmp_path / "x.db")) as store, closing(open_store(tmp_path / "x.db")) as other:
        refused: list[str] = []

        def work(writer: minirest.Writer) -> minirest.Outcome:
            with pytest.raises(ApiError) as caught:
                other.run(make_door(other, "theirs"))
            refused.append(caught.value.code)
            return writer.run(make_door(store, "ours"))

        store.write(work, minirest.Origin(minirest.NOBODY, "", store.moment()))
        assert refused == ["busy"]
        assert texts(other.run(doors(other))) == ["front", "back", "ours"]
