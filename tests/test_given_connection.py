"""A connection that the embedding program gives: it does all the work, and stays the program's own."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minirest
from tests.web import send

SCHEMA: dict[str, Any] = {
    "$defs": {"cities": {"type": "object", "properties": {"name": {"type": "string"}}, "examples": [{"name": "Graz"}]}}
}


def connect(place: str = ":memory:", **words: Any) -> sqlite3.Connection:
    """A connection as it has to be."""
    settings: dict[str, Any] = {"isolation_level": None, "check_same_thread": False, **words}
    return sqlite3.Connection(place, **settings)


@pytest.fixture(name="given", params=["memory", "file"])
def give(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database in memory, and to a file."""
    with contextlib.closing(connect(":memory:" if request.param == "memory" else str(tmp_path / "x.db"))) as found:
        yield found


def test_it_does_all_the_work(given: sqlite3.Connection) -> None:
    """What the server writes is there for the program at once, and the other way round."""
    app = minirest.make_app(SCHEMA, given, auth=False)
    assert send(app, "POST", "/api/cities:create", {"name": "Linz"}).status == 200
    assert given.execute("select name from cities order by id").fetchall() == [("Graz",), ("Linz",)]
    given.execute("update cities set name='Wien' where id=2")
    assert [it["name"] for it in send(app, "GET", "/api/cities:list?sort=id").json["data"]] == ["Graz", "Wien"]
    app.close()


def test_it_stays_open_and_free(given: sqlite3.Connection) -> None:
    """It can do what a program does with its own connection, while it is served and after that."""
    app = minirest.make_app(SCHEMA, given, auth=False)
    given.execute("create table mine (x)")
    given.execute("attach ':memory:' as other")
    app.close()
    assert given.execute("select count(*) from cities").fetchone() == (1,)
    again = minirest.make_app(SCHEMA, given, auth=False, examples=False)
    assert send(again, "GET", "/api/cities:list").json["meta"]["count"] == 1
    again.close()


def test_no_file_is_changed_into_another_mode(tmp_path: Path) -> None:
    """The journal of the program's file is its own choice."""
    with contextlib.closing(connect(str(tmp_path / "x.db"))) as given:
        minirest.make_app(SCHEMA, given, auth=False).close()
        assert given.execute("pragma journal_mode").fetchone() == ("delete",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.db"]


def test_passwords_in_a_file_are_hashed_at_full_cost(tmp_path: Path) -> None:
    """Only what is in memory for certain goes with a cheap hash."""
    costs = []
    for place in (":memory:", str(tmp_path / "x.db")):
        with contextlib.closing(connect(place)) as given:
            app = minirest.make_app(SCHEMA, given, {"admin": "open-sesame"})
            costs.append(app.store.password_cost)
            app.close()
    assert costs == [minirest.SCRYPT_COST_IN_MEMORY, minirest.SCRYPT_COST]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_fork_leaves_it_open(given: sqlite3.Connection) -> None:
    """Connections of ours rest while a process is forked; what becomes of the program's is up to the program."""
    app = minirest.make_app(SCHEMA, given, auth=False)
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert send(app, "POST", "/api/cities:create", {"name": "Linz"}).status == 200
    assert given.execute("select count(*) from cities").fetchone() == (2,)
    app.close()
    assert given.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "words",
    [{"isolation_level": "DEFERRED"}, {"check_same_thread": True}, {"factories": sqlite3.Row}, {"texts": bytes}],
)
def test_connections_that_do_not_fit(words: dict[str, Any]) -> None:
    """One that commits by itself, belongs to a thread, or gives other rows, is refused at once."""
    rows, texts = words.pop("factories", None), words.pop("texts", str)
    with contextlib.closing(connect(**words)) as given:
        given.row_factory, given.text_factory = rows, texts
        with pytest.raises(ValueError, match="isolation_level=None and check_same_thread=False"):
            minirest.make_app(SCHEMA, given, auth=False)


def test_a_connection_in_a_transaction(given: sqlite3.Connection) -> None:
    """What the program has not committed is not ours to commit."""
    given.execute("begin")
    with pytest.raises(ValueError, match="cannot be in a transaction"):
        minirest.make_app(SCHEMA, given, auth=False)
    assert given.in_transaction
    given.execute("rollback")


def test_a_connection_without_a_schema(given: sqlite3.Connection) -> None:
    """Tables of others are served from a file."""
    with pytest.raises(ValueError, match=r"^a connection or a database in memory needs a schema; without one, db is"):
        minirest.make_app(None, given, auth=False)
    with pytest.raises(ValueError, match="needs a schema"):
        minirest.make_app(auth=False)


def test_many_threads(given: sqlite3.Connection) -> None:
    """Requests at once share it, one after the other."""
    app = minirest.make_app(SCHEMA, given, auth=False)
    statuses: list[int] = []

    def use(number: int) -> None:
        for _ in range(10):
            statuses.append(send(app, "POST", "/api/cities:create", {"name": f"city {number}"}).status)
            statuses.append(send(app, "GET", "/api/cities:list?filter={%22name.$includes%22:%22city%22}").status)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 120
    assert given.execute("select count(*) from cities").fetchone() == (61,)
    app.close()


def test_tables_of_the_program_are_not_ours(given: sqlite3.Connection) -> None:
    """A database with other tables is not filled with ours."""
    given.execute("create table cities (x)")
    with pytest.raises(minirest.NotOurs):
        minirest.make_app(SCHEMA, given, auth=False)
    assert given.execute("select count(*) from sqlite_master").fetchone() == (1,)
