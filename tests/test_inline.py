"""What a server's loop answers by itself: one commit for a pass, what it leaves to workers, and the same bytes."""

import base64
import gc
import hashlib
import json
import select
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import minirest
from tests.both_paths import both_paths
from tests.passes import Passes, Peer, at_once, passes, request
from tests.sockets import Client
from tests.web import multipart, one, part, send, unguarded

WAIT_SECONDS = 20.0
TEXT = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "kunden": {
            "type": "object",
            "properties": {"name": {**TEXT, "maxLength": 2000}, "photo": {**TEXT, "contentEncoding": "binary"}},
            "required": ["name"],
            "examples": [{"name": "Meier"}, {"name": "Schulz"}],
        },
        "orders": {"type": "object", "properties": {"of": one("kunden"), "word": {**TEXT, "format": "password"}}},
    }
}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nothing slow, and nobody waits for another one who writes."""
    monkeypatch.setattr(minirest, "GUARD_SECONDS", 1e9)
    monkeypatch.setattr(minirest, "PATIENCE_SECONDS", 0.0)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Passes]:
    """A server over a file."""
    with passes(minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)) as found:
        yield found


@pytest.fixture(params=["file", "memory"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Passes]:
    """A server over a file, and one over a database in memory."""
    place = ":memory:" if request.param == "memory" else tmp_path / "a.db"
    with passes(minirest.make_app(SCHEMA, place, auth=False)) as found:
        yield found


GET = request("GET", "/kunden/1")
NAMES = request("GET", "/kunden?$fields=name")


def post(name: str, **words: str) -> bytes:
    """A request that makes a record."""
    return request("POST", "/kunden", json.dumps({"data": {"name": name}}), **words)


def names(peer: Peer) -> list[str]:
    """The names of all records, in their order."""
    return [item["attributes"]["name"] for item in peer.ask("GET", "/kunden?$fields=name").json["data"]]


def history(app: minirest.Application) -> int:
    """The number of rows of history."""
    with app.store.database.write_lock:
        return int(unguarded(app.store).execute("select count(*) from _history").fetchone()[0])


def traced(web: Passes) -> list[str]:
    """The statements of the connection for writing, from now on."""
    statements: list[str] = []
    web.app.store.database.writer.set_trace_callback(statements.append)
    return statements


def fill(store: minirest.Store, values: Iterable[str]) -> None:
    """Make records of these names."""
    moment = store.moment()
    with store.database.writing():
        unguarded(store).executemany(
            "insert into kunden (name, _created, _modified) values (?, ?, ?)", ((it, moment, moment) for it in values)
        )
    store.database.freeze()


# ---- one commit ----


def test_one_commit(either: Passes) -> None:
    """What several clients write in a pass has one commit, and each is answered."""
    peers, statements = either.peers(5), traced(either)
    at_once((peer, post(f"n{number}")) for number, peer in enumerate(peers))
    either.turn()
    assert [peer.answer().status for peer in peers] == [201] * 5
    assert [statements.count(word) for word in ("begin immediate", "commit", "rollback")] == [1, 1, 0]
    assert (len(either.here), either.there) == (5, [])
    assert names(peers[0]) == ["Meier", "Schulz", "n0", "n1", "n2", "n3", "n4"]


def test_one_that_fails(either: Passes) -> None:
    """One that breaks a rule is answered so, and leaves no trace; the others are kept, with their history."""
    peers, before = either.peers(3), history(either.app)
    at_once(zip(peers, (post("a"), request("POST", "/kunden", '{"data":{"name":null}}'), post("b")), strict=True))
    either.turn()
    assert [peer.answer().status for peer in peers] == [201, 400, 201]
    assert names(peers[0]) == ["Meier", "Schulz", "a", "b"]
    assert history(either.app) - before == 2
    assert either.there == []


def test_a_later_rule_undoes_what_was_written(web: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been written before its request fails is undone, and nobody else's."""

    def finish(writer: minirest.Writer) -> None:
        plain(writer)
        if writer.connection.execute("select name from kunden order by id desc limit 1").fetchone() == ("no",):
            raise minirest.ApiError("forbidden")

    plain = minirest.Writer.finish
    monkeypatch.setattr(minirest.Writer, "finish", finish)
    peers, before = web.peers(3), history(web.app)
    at_once(zip(peers, (post("a"), post("no"), post("b")), strict=True))
    web.turn()
    assert [peer.answer().status for peer in peers] == [201, 403, 201]
    assert (names(peers[0]), history(web.app) - before) == (["Meier", "Schulz", "a", "b"], 2)


class Unwilling:
    """A connection that commits only what it likes."""

    def __init__(self, connection: sqlite3.Connection, error: str) -> None:
        self.connection, self.error, self.is_willing = connection, error, False

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "commit" and not self.is_willing:
            raise sqlite3.OperationalError(self.error)
        return self.connection.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


ANSWERED_LATER = {
    "/kunden": '{"data":{"name":"x"}}',
    "/api/kunden:create": '{"name":"x"}',
    "/api/v2/kunden/": '{"name":"x"}',
    "/api/v1/kunden": '{"name":"x"}',
    "/api/resources/kunden": '{"name":"x"}',
}
"""Where each dialect makes a record."""


def test_commit_that_fails(either: Passes, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits for a commit that fails is told so in the form of its dialect, and nothing is kept."""
    database, before = either.app.store.database, history(either.app)
    peers = either.peers(len(ANSWERED_LATER))
    unwilling = Unwilling(database.writer, "disk I/O error")
    database.opened = unwilling  # type: ignore[assignment]
    at_once((peer, request("POST", *asked)) for peer, asked in zip(peers, ANSWERED_LATER.items(), strict=True))
    either.turn()
    answers = [peer.answer() for peer in peers]
    assert [answer.status for answer in answers] == [503] * len(peers)
    assert [answer.headers["Retry-After"] for answer in answers] == ["1"] * len(peers)
    for answer, address in zip(answers, ANSWERED_LATER, strict=True):
        shown = either.app.dialect_at(address).error(minirest.ApiError("busy"))
        assert (answer.body, answer.headers["Content-Type"]) == (shown.body, shown.content_type)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "the commit of a pass failed"
    ]
    unwilling.is_willing = True
    database.opened = unwilling.connection
    assert (names(peers[0]), history(either.app)) == (["Meier", "Schulz"], before)
    peers[0].send(post("later"))
    assert (peers[0].answer().status, names(peers[1])) == (201, ["Meier", "Schulz", "later"])


def test_rule_that_is_broken_at_the_commit(web: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that leads nowhere, which only the commit finds, is kept no more than what was written with it."""

    def finish(writer: minirest.Writer) -> None:
        plain(writer)
        if writer.connection.execute("select count(*) from orders").fetchone()[0]:
            writer.connection.execute("update orders set of_id=99")

    plain = minirest.Writer.finish
    monkeypatch.setattr(minirest.Writer, "finish", finish)
    peers = web.peers(2)
    at_once(zip(peers, (post("a"), request("POST", "/orders", '{"data":{}}')), strict=True))
    web.turn()
    assert [peer.answer().status for peer in peers] == [503, 503]
    assert names(peers[0]) == ["Meier", "Schulz"]
    assert peers[0].ask("GET", "/orders").json["data"] == []


@pytest.mark.parametrize("place", range(3))
def test_transaction_that_is_lost(
    web: Passes, monkeypatch: pytest.MonkeyPatch, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    """When SQLite ends the transaction by itself, all that was written in it is written again, once."""

    def finish(writer: minirest.Writer) -> None:
        plain(writer)
        row = writer.connection.execute("select name from kunden order by id desc limit 1").fetchone()
        if row == ("doom",) and lost.empty():
            lost.put(None)
            unguarded(web.app.store).execute("rollback")  # as SQLite does when the disk is full
            raise sqlite3.OperationalError("database or disk is full")

    lost, plain = SimpleQueue[None](), minirest.Writer.finish
    monkeypatch.setattr(minirest.Writer, "finish", finish)
    peers, before, heard = web.peers(4), history(web.app), list[Any]()
    web.app.store.listeners.append(heard.append)
    sent = ["a", "b", "c"]
    sent.insert(place, "doom")
    at_once((peer, post(name)) for peer, name in zip(peers, sent, strict=True))
    web.turn()
    answers = [peer.answer().status for peer in peers]
    assert answers == [500 if name == "doom" else 201 for name in sent]
    assert sorted(names(peers[0])) == ["Meier", "Schulz", "a", "b", "c"]
    assert history(web.app) - before == 3
    assert len(heard) == 3
    assert len(web.there) == 3
    assert "Traceback" not in caplog.text or "disk is full" in caplog.text


def test_statement_that_is_interrupted(web: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is it after a statement that SQLite has interrupted while it wrote."""

    def finish(writer: minirest.Writer) -> None:
        plain(writer)
        row = writer.connection.execute("select name from kunden order by id desc limit 1").fetchone()
        if row == ("doom",) and minirest.HERE.turn:
            connection = unguarded(web.app.store)
            connection.set_progress_handler(lambda: True, 1)
            try:
                connection.execute("update kunden set name=name||'!'")
            finally:
                connection.set_progress_handler(None, 0)

    plain = minirest.Writer.finish
    monkeypatch.setattr(minirest.Writer, "finish", finish)
    peers = web.peers(3)
    at_once((peer, post(name)) for peer, name in zip(peers, ("a", "doom", "b"), strict=True))
    web.turn()
    assert [peer.answer().status for peer in peers] == [201] * 3
    assert sorted(names(peers[0])) == ["Meier", "Schulz", "a", "b", "doom"]


# ---- who sees what ----


def test_others_do_not_see_what_is_not_committed(web: Passes) -> None:
    """Who reads in the same pass sees the records as they were, and does not wait."""
    peers, statements = web.peers(3), traced(web)
    at_once(zip(peers, (NAMES, post("a"), NAMES), strict=True))
    web.turn()
    assert web.here == ["GET /kunden?$fields=name"] * 2 + ["POST /kunden"]
    assert [len(peers[number].answer().json["data"]) for number in (0, 2)] == [2, 2]
    assert statements[-1] == "commit"
    assert peers[1].answer().status == 201
    assert names(peers[2]) == ["Meier", "Schulz", "a"]


def test_in_memory_readers_wait_for_the_commit() -> None:
    """A database in memory has one connection: what is read there before the commit is said behind it."""
    with passes(minirest.make_app(SCHEMA, auth=False)) as web:
        peers = web.peers(3)
        at_once(zip(peers, (NAMES, post("a"), NAMES), strict=True))
        database = web.app.store.database
        plain = database.writer
        unwilling = Unwilling(plain, "disk I/O error")
        database.opened = unwilling  # type: ignore[assignment]
        web.turn()
        assert [peer.answer().status for peer in peers] == [200, 503, 503]
        database.opened = plain
        assert names(peers[0]) == ["Meier", "Schulz"]


def test_who_has_written_sees_it(either: Passes) -> None:
    """An answer shows what its request has written."""
    (peer,) = either.peers(1)
    assert peer.ask("POST", "/api/kunden:create", '{"name":"a"}').json["data"]["name"] == "a"
    peer.send(request("PATCH", "/kunden/3", '{"data":{"name":"b"}}'))
    assert peer.answer().json["data"]["attributes"]["name"] == "b"
    assert either.there == []


# ---- what workers do ----


@contextmanager
def other_process(web: Passes) -> Iterator[None]:
    """Another connection writes to the file, as that of another process would."""
    with closing(sqlite3.connect(web.app.store.database.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        yield
        other.execute("commit")


@contextmanager
def other_worker(web: Passes) -> Iterator[None]:
    """A worker writes."""
    freed, taken = threading.Event(), threading.Event()

    def keep() -> None:
        with web.app.store.database.write_lock:
            taken.set()
            freed.wait(WAIT_SECONDS)

    keeper = threading.Thread(target=keep)
    keeper.start()
    assert taken.wait(WAIT_SECONDS)
    yield
    freed.set()
    keeper.join(WAIT_SECONDS)


@pytest.mark.parametrize("other", [other_process, other_worker])
def test_somebody_else_writes(web: Passes, other: Callable[[Passes], AbstractContextManager[None]]) -> None:
    """While somebody else has the file the loop answers who reads; who writes is answered when it is free."""
    peers = web.peers(2)
    with other(web):
        peers[0].send(post("a"))
        web.turn()
        assert web.there == ["POST /kunden"]
        assert names(peers[1]) == ["Meier", "Schulz"]
        assert peers[0].receive() == b""
    assert peers[0].answer().status == 201
    assert names(peers[1]) == ["Meier", "Schulz", "a"]
    assert web.loop.slow == {}


def test_a_write_waits_a_moment(web: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes while a worker does is answered in the loop, with one commit for all, when that is soon done."""
    monkeypatch.setattr(minirest, "PATIENCE_SECONDS", 1e9)
    peers = web.peers(3)
    with other_worker(web):
        for name, peer in zip("ab", peers, strict=False):
            peer.send(post(name))
        web.turn()
        assert names(peers[2]) == ["Meier", "Schulz"]
        assert [peer.receive() for peer in peers[:2]] == [b"", b""]
    assert [peer.answer().status for peer in peers[:2]] == [201, 201]
    assert web.there == []


def test_reading_in_memory_while_a_worker_writes() -> None:
    """A database in memory has one connection: who reads while a worker has it is answered by another one."""
    with passes(minirest.make_app(SCHEMA, auth=False)) as web:
        (peer,) = web.peers(1)
        with other_worker(web):
            peer.send(NAMES)
            web.turn()
            assert web.there == ["GET /kunden?$fields=name"]
        assert len(peer.answer().json["data"]) == 2


def test_slow_query(web: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that takes long is answered by a worker; after the second time what is like it goes there at once."""
    (peer,) = web.peers(1)
    fill(web.app.store, (f"x{number}" for number in range(5000)))

    def ask(number: int) -> str:
        assert len(peer.ask("GET", f"/kunden?name[contains]=x{number}").json["data"]) == 1
        return f"GET /kunden?name[contains]=x{number}"

    def stopped(number: int) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(minirest, "GUARD_SECONDS", -1e9)
            return ask(number)

    monkeypatch.setattr(minirest, "GUARD_SECONDS", 1e9)
    once, by_accident, again = stopped(4999), ask(4998), stopped(4997)
    assert (web.here, web.there) == ([by_accident], [once, again])
    assert ask(4996) == web.there[-1]
    assert peer.ask("GET", "/kunden/1").status == 200
    assert peer.ask("GET", "/kunden?$page[count]=1").status == 200
    assert web.here[1:] == ["GET /kunden/1", "GET /kunden?$page[count]=1"]
    web.loop.slow = {form: stops._replace(until=0.0) for form, stops in web.loop.slow.items()}
    assert ask(4995) == web.here[-1]
    assert stopped(4994) == web.there[-1]
    assert ask(4993) == web.here[-1]


def test_slow_write(either: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes long is undone, and a worker gets all of its body; its pass keeps what others wrote."""
    peers = either.peers(2)
    long = "x" * 2000
    at_once(zip(peers, (post("a"), post(long)), strict=True))
    plain = minirest.Pass.begin

    def begin(turn: minirest.Pass, comes_to_write: bool) -> None:
        plain(turn, comes_to_write)
        if len(either.loop.held) == 1:
            turn.deadline = -1e9
            monkeypatch.setattr(minirest, "GUARD_SECONDS", -1e9)

    monkeypatch.setattr(minirest.Pass, "begin", begin)
    either.turn()
    assert [peer.answer().status for peer in peers] == [201, 201]
    assert (either.here, either.there) == (["POST /kunden"], ["POST /kunden"])
    monkeypatch.undo()
    assert names(peers[0]) == ["Meier", "Schulz", "a", long]


def test_what_was_slow_is_forgotten_when_it_is_too_much(web: Passes) -> None:
    """A client that finds ever new slow requests does not make the list of them longer and longer."""

    class Asked:
        command, query = "GET", ""
        path = ""

    for number in range(2000):
        Asked.path = "/" + "x" * number
        web.loop.note_slow(Asked)
    assert len(web.loop.slow) <= minirest.MAX_SLOW_FORMS


def test_functions_of_the_embedding_program(tmp_path: Path) -> None:
    """Hooks, actions and routes, of a router too, run in workers: nobody knows how long they take."""
    app, seen = minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False), list[int]()

    def note(*_: Any, **__: Any) -> str:
        seen.append(threading.get_ident())
        return "done"

    app.action("kunden", "greet")(note)
    app.route("/hello")(note)
    app.router.route("/plain", "GET", note)
    with passes(app) as web:
        (peer,) = web.peers(1)
        for method, address in (
            ("GET", "/hello"),
            ("GET", "/plain"),
            ("POST", "/api/resources/kunden/actions/greet/1"),
        ):
            assert peer.ask(method, address).status == 200
        assert len(seen) == 3
        assert peer.ask("GET", "/kunden/1").status == 200
        app.on("create", "kunden", lambda occasion: note() and None)
        peer.send(post("a"))
        assert peer.answer().status == 201
        assert len(seen) == 4
        assert threading.get_ident() not in seen
        assert web.here == ["GET /kunden/1"]


PASSWORD = "open-sesame"
BASIC = f"Authorization: Basic {base64.b64encode(f'admin:{PASSWORD}'.encode()).decode()}\r\n"
WRONG = f"Authorization: Basic {base64.b64encode(b'admin:x').decode()}\r\n"
BY_ADMIN = {"GET": request("GET", "/kunden/1", headers=BASIC), "POST": post("a", headers=BASIC)}


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Passes]:
    """A server for one user, in which passwords are hashed quickly."""
    monkeypatch.setattr(minirest, "SCRYPT_COST", minirest.SCRYPT_COST_IN_MEMORY)
    with passes(minirest.make_app(SCHEMA, tmp_path / "a.db", users={"admin": PASSWORD})) as found:
        yield found


def test_passwords(closed: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are checked and hashed by workers; credentials that were found right are known to the loop."""
    threads, plain = set[int](), hashlib.scrypt

    def scrypt(*given: Any, **words: Any) -> bytes:
        threads.add(threading.get_ident())
        return plain(*given, **words)

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    (peer,) = closed.peers(1)
    assert [peer.ask("GET", "/kunden/1", headers=words).status for words in (BASIC, BASIC, WRONG)] == [200, 200, 401]
    assert (closed.here, closed.there) == (["GET /kunden/1"], ["GET /kunden/1"] * 2)
    assert peer.ask("POST", "/orders", '{"data":{"word":"secret"}}', BASIC).status == 201
    assert closed.there[2:] == ["POST /orders"]
    assert threads
    assert threading.get_ident() not in threads


def test_queue_of_passwords(closed: Passes) -> None:
    """Where passwords are checked others may be first: the loop is not in that queue."""
    peers = closed.peers(2)
    assert peers[0].ask("GET", "/kunden/1", headers=BASIC).status == 200
    accounts = closed.app.accounts
    with accounts.hashing, accounts.hashing, accounts.failures.slow_lane:
        peers[0].send(request("GET", "/kunden/1", headers=WRONG))
        closed.turn()
        assert peers[1].ask("GET", "/kunden/1", headers=BASIC).status == 200
        assert peers[0].receive() == b""
    assert peers[0].answer().status == 401


def test_who_writes_is_not_looked_up_again(closed: Passes) -> None:
    """Our own writes of records do not make us forget who asks; nothing is read to write one record after the other."""
    (peer,) = closed.peers(1)
    assert [peer.ask("GET", "/kunden/1", headers=BASIC).status for _ in range(2)] == [200, 200]
    peer.send(post("a", headers=BASIC))
    assert peer.answer().status == 201
    statements: list[str] = []
    closed.app.store.database.loop_reader.set_trace_callback(statements.append)
    for name in "bc":
        peer.send(post(name, headers=BASIC))
        assert peer.answer().status == 201
    assert statements == []
    assert peer.ask("GET", "/kunden/1", headers=BASIC).status == 200
    assert closed.there == ["GET /kunden/1"]
    assert statements
    assert "_users" not in "".join(statements)


def disable_beside(web: Passes) -> None:
    """Another program disables the user."""
    with closing(sqlite3.connect(web.app.store.database.path, isolation_level=None)) as other:
        other.execute("update _users set disabled=1")


def disable_apart(web: Passes) -> None:
    """A worker disables the user."""
    web.app.accounts.put_user("admin", disabled=True)


@contextmanager
def a_request_of(web: Passes) -> Iterator[None]:
    """What the loop does in the block belongs to one request, which has a pass of its own."""
    web.loop.turn.begin(comes_to_write=True)
    yield
    web.loop.turn.keep()
    assert web.loop.turn.end()


def disable_by_writer(web: Passes) -> None:
    """The loop disables the user as it changes records."""

    def work(writer: minirest.Writer) -> minirest.Outcome:
        writer.execute(minirest.Sql("update _users set disabled=1"))
        return minirest.Outcome()

    with a_request_of(web):
        web.app.store.write(work, minirest.Origin(minirest.NOBODY, "", web.app.store.moment()))


def disable_by_statement(web: Passes) -> None:
    """The loop disables the user as it ends sessions."""
    with a_request_of(web), web.app.store.database.writing() as connection:
        connection.execute("update _users set disabled=1")


def disable_by_note(web: Passes) -> None:
    """The loop disables the user as it notes something beside a request."""
    with a_request_of(web):
        web.loop.turn.note("update _users set disabled=1", ())


def disable_by_restore(web: Passes) -> None:
    """A test brings back a state in which the user is disabled."""
    with closing(web.app.store.snapshot()) as snapshot:
        snapshot.execute("update _users set disabled=1")
        snapshot.commit()
        web.app.store.restore(snapshot)


@pytest.mark.parametrize(
    "disable",
    [disable_beside, disable_apart, disable_by_writer, disable_by_statement, disable_by_note, disable_by_restore],
)
def test_who_asked_before_is_not_let_in(closed: Passes, disable: Callable[[Passes], None]) -> None:
    """Whatever a user has asked before, and whoever disables it: it is refused in the next pass."""
    (peer,) = closed.peers(1)
    assert peer.ask("GET", "/kunden/1", headers=BASIC).status == 200
    for before in ("GET", "POST", "GET POST", "POST GET", "POST GET POST"):
        for later in ("GET", "POST"):
            closed.app.accounts.put_user("admin", disabled=False)
            closed.there.clear()
            for method in before.split():
                peer.send(BY_ADMIN[method])
                assert peer.answer().status in (200, 201)
            assert closed.there == []
            disable(closed)
            peer.send(BY_ADMIN[later])
            assert peer.answer().status == 401, (before, later)


@pytest.mark.parametrize("disable", [disable_beside, disable_apart])
def test_what_a_pass_read_before_is_not_taken_for_new(closed: Passes, disable: Callable[[Passes], None]) -> None:
    """A pass that has read already goes on with what was there by then; the next one does not."""
    turn, accounts, (peer,) = closed.loop.turn, closed.app.accounts, closed.peers(1)
    assert peer.ask("GET", "/kunden/1", headers=BASIC).status == 200
    turn.begin()
    with closed.app.store.database.reading() as connection:
        assert connection.execute("select count(*) from kunden").fetchone() == (2,)
    turn.keep()
    disable(closed)
    turn.begin(comes_to_write=True)
    known = accounts.account("admin")
    assert known
    assert not known.disabled
    turn.keep()
    assert turn.end()
    for method in ("POST", "GET", "POST"):
        peer.send(BY_ADMIN[method])
        assert peer.answer().status == 401


def test_a_trigger_of_others_disables(closed: Passes) -> None:
    """What a trigger changes as the loop writes a record is known to the next pass."""
    with closing(sqlite3.connect(closed.app.store.database.path, isolation_level=None)) as other:
        other.execute(
            "create trigger t after insert on kunden when new.name='bye' begin update _users set disabled=1; end"
        )
    (peer,) = closed.peers(1)
    for asked, status in (("GET", 200), ("POST", 201), ("POST", 201)):
        peer.send(BY_ADMIN[asked])
        assert peer.answer().status == status
    peer.send(post("bye", headers=BASIC))
    assert peer.answer().status == 201
    assert closed.there == ["GET /kunden/1"]
    for method in ("POST", "GET"):
        peer.send(BY_ADMIN[method])
        assert peer.answer().status == 401


def test_last_use(closed: Passes) -> None:
    """When a token was last used is kept, whatever it is used for, and whether the loop answers or not."""
    (peer,) = closed.peers(1)
    tokens = [closed.app.accounts.add_token("admin", str(number)) for number in range(4)]
    bearer = [f"Authorization: Bearer {token}\r\n" for token in tokens]
    peer.send(request("GET", "/kunden/1", headers=bearer[0]))
    assert peer.answer().status == 200
    peer.send(post("a", headers=bearer[1]))
    assert peer.answer().status == 201
    assert closed.there == []
    peer.send(request("GET", "/browse/kunden", headers=bearer[2]))
    assert peer.answer().status == 200
    assert closed.there == ["GET /browse/kunden"]
    used = {line.name: line.last_used is not None for line in closed.app.accounts.tokens()}
    assert used == {"0": True, "1": True, "2": True, "3": False}


def test_last_use_that_cannot_be_kept(closed: Passes) -> None:
    """Nobody is refused because that cannot be written."""
    (peer,) = closed.peers(1)
    token = closed.app.accounts.add_token("admin", "x")
    unguarded(closed.app.store).execute("pragma query_only=on")
    assert peer.ask("GET", "/kunden/1", headers=f"Authorization: Bearer {token}\r\n").status == 200
    assert closed.here == ["GET /kunden/1"]
    closed.app.store.database.writer.execute("pragma query_only=off")


def test_files_and_pages(web: Passes) -> None:
    """Uploads, downloads, pages, documents and exports are for workers."""
    (peer,) = web.peers(1)
    form, kind = multipart(part("data[photo]", b"1234", "a.png", "image/png")), "multipart/form-data; boundary=-x"
    data = f"Content-Type: {kind}\r\nContent-Length: {len(form)}\r\n"
    peer.send(request("PATCH", "/kunden/1", headers=data) + form)
    assert peer.answer().status == 200
    addresses = ("/browse/kunden/1/file/photo", "/browse/kunden", "/", "/docs", "/openapi.json")
    for address in addresses:
        assert peer.ask("GET", address).status == 200
    assert web.here == []
    assert web.there == ["PATCH /kunden/1", *(f"GET {address}" for address in addresses)]
    assert peer.ask("GET", "/browse/kunden/1/file/photo").body == b"1234"


def test_every_dialect_is_quick(web: Passes) -> None:
    """The loop answers for each dialect, reads and writes."""
    (peer,) = web.peers(1)
    for address, body in ANSWERED_LATER.items():
        assert peer.ask("POST", address, body).status in (200, 201)
        read = {"/api/kunden:create": "/api/kunden:list", "/api/resources/kunden": "/api/resources/kunden/1"}
        assert peer.ask("GET", read.get(address, address)).status == 200
    assert web.there == []


def test_long_bodies(web: Passes) -> None:
    """A long body is for a worker."""
    (peer,) = web.peers(1)
    assert peer.ask("POST", "/kunden", b" " * minirest.QUICK_BODY_BYTES + b'{"data":{"name":"a"}}').status == 201
    assert (web.here, len(web.there)) == ([], 1)


def test_two_writes_in_a_request(web: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written in a second transaction is not a part of the first one: a worker does all of it, once."""
    (peer,) = web.peers(1)
    plain = minirest.Store.write

    def write(*given: Any) -> minirest.Outcome:
        plain(*given)
        return plain(*given)

    with monkeypatch.context() as patch:
        patch.setattr(minirest.Store, "write", write)
        peer.send(post("a"))
        assert peer.answer().status == 201
    assert names(peer) == ["Meier", "Schulz", "a", "a"]
    assert web.there == ["POST /kunden"]


def test_what_nobody_has_foreseen(web: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the answer to an error does not end the server."""
    peers = web.peers(2)

    def error(dialect: minirest.Limbas, error: minirest.ApiError) -> minirest.Reply:
        if minirest.HERE.turn:
            raise ValueError
        return plain(dialect, error)

    plain = minirest.Limbas.error
    monkeypatch.setattr(minirest.Limbas, "error", error)
    assert peers[0].ask("GET", "/kunden/99").status == 404
    assert peers[1].ask("GET", "/kunden/1").status == 200


def test_somebody_writes_to_a_server_without_its_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The loop answers nothing where that is not wanted, or where a seed promises what is drawn."""
    with passes(minirest.make_app(SCHEMA, auth=False, seed=1)) as web:
        assert web.loop is None
        assert web.peer().ask("GET", "/kunden/1").status == 200
    monkeypatch.setenv("MINIREST_INLINE", "0")
    with passes(minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)) as web:
        assert web.loop is None
        peer = web.peer()
        peer.send(GET + post("a") + GET)
        assert [peer.answer().status for _ in range(3)] == [200, 201, 200]


# ---- events ----


def test_events_come_after_the_commit(either: Passes) -> None:
    """Listeners hear of what was kept, after the commit and in order, and not of what was undone."""
    heard, statements = list[Any](), traced(either)

    def listen(events: Any) -> None:
        assert statements[-1].lower() == "commit"
        heard.extend((event.action, event.key) for event in events)

    either.app.store.listeners.append(listen)
    peers = either.peers(4)
    wrong = request("PATCH", "/kunden/1", '{"data":{"name":null}}')
    at_once(zip(peers, (post("a"), wrong, request("DELETE", "/kunden/2"), post("b")), strict=True))
    either.turn()
    assert [peer.answer().status for peer in peers] == [201, 400, 204, 201]
    assert heard == [("created", 3), ("deleted", 2), ("created", 4)]
    database, plain = either.app.store.database, either.app.store.database.writer
    database.opened = Unwilling(plain, "disk I/O error")  # type: ignore[assignment]
    peers[0].send(post("c"))
    assert peers[0].answer().status == 503
    database.opened = plain
    assert (len(heard), database.afterwards) == (3, [])


def test_web_sockets_hear_of_it(tmp_path: Path) -> None:
    """A WebSocket is told of what was written in the loop and of what was written by workers, in that order."""
    app = minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)
    with passes(app) as web:
        peers = web.peers(2)
        made = SimpleQueue[list[str]]()

        def listen() -> None:
            with Client(web.server.socket.getsockname()[1]) as client:
                client.begin()
                made.put([])
                made.put([client.told()[1]["data"]["name"] for _ in range(3)])

        listener = threading.Thread(target=listen)
        listener.start()
        peers[0].until(lambda: not made.empty())
        made.get()
        at_once(zip(peers, (post("a"), post("b")), strict=True))
        assert [peer.answer().status for peer in peers] == [201, 201]
        padded = b" " * minirest.QUICK_BODY_BYTES + b'{"data":{"name":"c"}}'
        assert peers[0].ask("POST", "/kunden", padded).status == 201
        peers[0].until(lambda: not made.empty())
        assert made.get() == ["a", "b", "c"]
        listener.join(WAIT_SECONDS)
        assert web.there.count("POST /kunden") == 1


# ---- connections ----


@pytest.mark.parametrize("first", [GET, NAMES, post("z"), request("GET", "/browse/kunden"), request("GET", "/hello")])
def test_pipelining(either: Passes, first: bytes) -> None:
    """What is sent at once on one connection is answered in its order, whoever answers."""
    either.app.route("/hello")(lambda request: "hi")
    (peer,) = either.peers(1)
    sent = [first, *(it for number in range(20) for it in (post(f"n{number}"), GET, NAMES))]
    sent += [request("GET", "/hello"), request("DELETE", "/kunden/1"), GET]
    peer.send(*sent)
    answers = [peer.answer() for _ in sent]
    assert [answer.status for answer in answers[1:]] == [201, 200, 200] * 20 + [200, 204, 404]
    assert answers[0].status in (200, 201)
    before = len(answers[3].json["data"])
    assert [len(answer.json["data"]) for answer in answers[3:-3:3]] == list(range(before, before + 20))
    assert peer.received == b""


def test_pipelined_behind_one_that_waits(web: Passes) -> None:
    """A request behind one whose answer is held waits for the next pass."""
    (peer,) = web.peers(1)
    peer.send(post("a"), NAMES)
    web.turn()
    assert web.here == ["POST /kunden"]
    assert (peer.answer().status, len(peer.answer().json["data"])) == (201, 3)


def raw(line: str, *headers: str, body: str = "") -> bytes:
    """A request as it is written."""
    return "\r\n".join([line, *headers, "", body]).encode("latin-1")


HOST = "Host: localhost"
FORMS: dict[str, tuple[bytes, int, bool]] = {
    "1.0": (raw("GET /kunden/1 HTTP/1.0", HOST), 200, True),
    "1.0 keep-alive": (raw("GET /kunden/1 HTTP/1.0", HOST, "Connection: keep-alive"), 200, False),
    "close": (raw("GET /kunden/1 HTTP/1.1", HOST, "Connection: close"), 200, True),
    "keep-alive": (raw("GET /kunden/1 HTTP/1.1", HOST, "Connection: keep-alive"), 200, False),
    "head": (raw("HEAD /kunden/1 HTTP/1.1", HOST), 200, False),
    "head of nothing": (raw("HEAD /kunden/99 HTTP/1.1", HOST), 404, False),
    "options": (raw("OPTIONS /api/v2/kunden/ HTTP/1.1", HOST), 200, False),
    "options of all": (raw("OPTIONS * HTTP/1.1", HOST), 404, False),
    "absolute": (raw("GET http://localhost/kunden/1 HTTP/1.1", HOST), 200, False),
    "escapes": (raw("GET /%6bunden/%31 HTTP/1.1", HOST), 200, False),
    "slashes": (raw("GET //kunden/1 HTTP/1.1", HOST), 200, False),
    "fragment": (raw("GET /kunden/1#x HTTP/1.1", HOST), 400, True),
    "blank lines": (b"\r\n\r\n" + raw("GET /kunden/1 HTTP/1.1", HOST), 200, False),
    "chunks": (
        raw(
            "POST /kunden HTTP/1.1",
            HOST,
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
            body='a\r\n{"data":{"\r\nc\r\nname":"a"}} \r\n0\r\n\r\n',
        ),
        201,
        False,
    ),
    "delete": (raw("DELETE /kunden/1 HTTP/1.1", HOST), 204, False),
    "nothing there": (raw("GET /kunden/99 HTTP/1.1", HOST), 404, False),
    "no JSON": (request("POST", "/kunden", "{"), 400, False),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_requests(either: Passes, name: str) -> None:
    """Whatever a request looks like, it is answered, alone and between others; then the connection goes on or ends."""
    data, status, closes = FORMS[name]
    for before in ([], [NAMES], [post("b")]):
        status = 404 if name == "delete" and before else status
        (peer,) = either.peers(1)
        peer.send(*before, data, GET)
        for _ in before:
            assert peer.answer().status in (200, 201)
        if data.startswith(b"\r\n"):
            peer.asked[0] = peer.asked[0].lstrip()
        assert peer.answer().status == status
        if closes:
            assert peer.closed()
        else:
            assert peer.answer().status in (200, 404)


def test_unchanged(either: Passes) -> None:
    """304 has no body, and what follows on the connection is read right."""
    (peer,) = either.peers(1)
    tag = peer.ask("GET", "/kunden/1").headers["ETag"]
    peer.send(request("GET", "/kunden/1", headers=f"If-None-Match: {tag}\r\n"), NAMES)
    answer = peer.answer()
    assert (answer.status, answer.body, "Content-Length" in answer.headers) == (304, b"", False)
    assert peer.answer().status == 200
    assert either.there == []


@pytest.mark.parametrize("before", [b"", GET, post("a"), request("GET", "/browse/kunden")])
def test_expectation(either: Passes, before: bytes) -> None:
    """Who asks before it sends its body is told to go on, once it is its turn; the loop may answer then."""
    (peer,) = either.peers(1)
    body = '{"data":{"name":"b"}}'
    head = raw(
        "POST /kunden HTTP/1.1",
        HOST,
        "Content-Type: application/json",
        "Expect: 100-continue",
        f"Content-Length: {len(body)}",
    )
    peer.send(before, head)
    if before:
        assert peer.answer().status in (200, 201)
    peer.asked = []
    assert peer.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(body.encode(), GET)
    assert [peer.answer().status, peer.answer().status] == [201, 200]


def test_expectation_is_answered_once(either: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker tells a client to go on, the loop does not send the same once more."""
    channel, loop, twice = minirest.patient_channel(), threading.get_ident(), threading.Event()
    send = channel.send

    def slow(self: Any, data: bytes, do_close: bool = True) -> int:
        sent: int = send(self, data, do_close)
        if data.startswith(b"HTTP/1.1 100"):
            if threading.get_ident() == loop:
                twice.set()
            else:
                twice.wait(0.5)
        return sent

    monkeypatch.setattr(channel, "send", slow)
    (peer,) = either.peers(1)
    data = post("b")
    head, end, body = data.partition(b"\r\n\r\n")
    peer.send(request("GET", "/browse/kunden"), head + b"\r\nExpect: 100-continue" + end)
    assert peer.answer().status == 200
    peer.asked = []
    assert peer.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(body, GET)
    assert [peer.answer().status, peer.answer().status] == [201, 200]
    assert not twice.is_set()


def test_clients_that_go(either: Passes) -> None:
    """A client that goes while its answer is held, or before its request is looked at, disturbs nobody."""
    resets = b"\1\0\0\0\0\0\0\0"
    for number, sent in enumerate((post("a"), GET, post("b") + GET + post("c"), request("GET", "/browse/kunden"))):
        for reset in (False, True):
            peers = either.peers(3)
            at_once((peer, data) for peer, data in zip(peers, (post(f"n{number}"), sent, GET), strict=True))
            plain, loop = either.loop.answer, either.loop

            def answer(channel: Any, plain: Callable[..., None] = plain, peer: Peer = peers[1]) -> None:
                plain(channel)
                peer.socket.close()

            if reset:
                peers[1].socket.setsockopt(1, 13, resets)
            loop.answer = answer
            either.turn()
            loop.answer = plain
            assert [peers[0].answer().status, peers[2].answer().status] == [201, 200]
            assert peers[0].ask("GET", "/kunden/1").status == 200
    last = either.peer()
    assert last.ask("GET", "/kunden/1").status == 200
    last.until(lambda: len(either.server.active_channels) <= 2 * 8 + 1)


def test_client_that_went_before(either: Passes) -> None:
    """A client that has gone when its request is read is found out, and others are answered."""
    peers = either.peers(3)
    at_once((peer, post("a") + GET) for peer in peers)
    peers[1].socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
    peers[1].socket.close()
    assert [peers[number].answer().status for number in (0, 2, 0, 2)] == [201, 201, 200, 200]
    peers[0].until(lambda: len(either.server.active_channels) == 2)


def test_slow_readers(web: Passes) -> None:
    """A client that reads slowly gets all of a large answer, and what it asked behind it; others do not wait."""
    fill(web.app.store, ["x" * 2000] * 4000)
    peers = web.peers(2)
    large = request("GET", "/api/kunden:list?pageSize=10000&paginate=false")
    peers[0].send(large, GET, large, GET)
    for _ in range(5):
        web.turn()
        assert peers[1].ask("GET", "/kunden/1").status == 200
    answers = [peers[0].answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200] * 4
    assert [len(answer.json["data"]) for answer in answers[::2]] == [4002, 4002]
    assert web.there == []


def test_many_clients(either: Passes) -> None:
    """A hundred connections that come at once are accepted at once, and what they write has one commit."""
    peers = [either.stranger() for _ in range(120)]
    statements = traced(either)
    at_once((peer, post("a")) for peer in peers)
    assert [peer.answer().status for peer in peers] == [201] * 120
    assert statements.count("commit") < 10
    assert either.there == []
    for peer in peers:
        peer.socket.close()
    last = either.peer()
    last.until(lambda: len(either.server.active_channels) == 1)


@pytest.mark.parametrize("sent", [GET, post("a"), post("a") + post("b"), request("GET", "/browse/kunden"), GET * 50])
def test_graceful_stop(tmp_path: Path, sent: bytes) -> None:
    """Who has asked when the server stops is answered, and then its connection ends."""
    app = minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)
    with passes(app) as web:
        peer = web.peer()
        peer.send(sent)
        minirest.turn(web.server, 0)
        web.end()
        asked = sent.count(b" HTTP/1.1\r\n")
        peer.asked = [GET] * asked
        assert [peer.answer().status for _ in range(asked)] == [201 if b"POST" in sent else 200] * asked
        assert peer.closed()
        assert len(send(app, "GET", "/kunden").json["data"]) == 2 + sent.count(b"POST")


@pytest.mark.parametrize("missing", [["epoll"], ["epoll", "poll"]], ids=str)
def test_other_ways_to_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: list[str]) -> None:
    """Where there is no epoll the server waits by poll, or by select."""
    for name in missing:
        monkeypatch.delattr(select, name)
    with passes(minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)) as web:
        assert web.server.watch is None
        peers, statements = web.peers(3), traced(web)
        at_once((peer, post("a") + request("GET", "/browse/kunden") + GET) for peer in peers)
        assert [peer.answer().status for _ in range(3) for peer in peers] == [201] * 3 + [200] * 6
        assert statements.count("commit") == 1
        peers[0].socket.close()
        peers[1].until(lambda: len(web.server.active_channels) == 2)
        assert names(peers[1]) == ["Meier", "Schulz", "a", "a", "a"]


# ---- the same in both ways ----


def test_differences_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites that go both ways would find what the loop says or does otherwise."""
    with both_paths() as both, closing(minirest.make_app(SCHEMA, auth=False)) as app:
        body = {"data": {"name": "a"}}
        assert send(app, "GET", "/kunden/1").status == 200
        assert send(app, "POST", "/kunden", body).status == 201
        assert send(app, "GET", "/browse/kunden").status == 200
        assert (both.answered, both.left) == (2, 1)

        def answer(app: minirest.Application, request: minirest.Request) -> minirest.Reply | None:
            found = plain(app, request)
            return found and found._replace(headers=(("X", str(bool(minirest.HERE.turn))),))

        plain = minirest.Application.answer
        with monkeypatch.context() as patch:
            patch.setattr(minirest.Application, "answer", answer)
            with pytest.raises(AssertionError):
                send(app, "GET", "/kunden/1")

        def finish(writer: minirest.Writer) -> None:
            done(writer)
            if minirest.HERE.turn:
                writer.connection.execute("update kunden set name='b' where id=1")

        done = minirest.Writer.finish
        monkeypatch.setattr(minirest.Writer, "finish", finish)
        with pytest.raises(AssertionError):
            send(app, "POST", "/kunden", body)


def database_of_steps(folder: Path) -> minirest.Database:
    """A database with a write-ahead log and an empty table."""
    database = minirest.Database(str(folder / "steps.db"))
    database.use_wal()
    database.writer.execute("create table steps (name)")
    return database


@pytest.fixture
def states(tmp_path: Path) -> Iterator[minirest.Database]:
    """A database for passes, closed in the end."""
    with closing(database_of_steps(tmp_path)) as database:
        yield database


@pytest.fixture
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[minirest.Database, minirest.Pass]]:
    """A database that asks after each step whether to stop, and a pass whose request has read and is over its time."""
    monkeypatch.setattr(minirest, "GUARD_STEPS", 1)
    database = database_of_steps(tmp_path)
    turn = minirest.Pass(database)
    turn.begin()
    with database.reading() as connection:
        assert connection.execute("select count(*) from steps").fetchone() == (0,)
    turn.deadline = turn.worked = -1e9
    yield database, turn
    database.close()


def names_of_steps(database: minirest.Database) -> list[str]:
    """What was written."""
    return [row[0] for row in database.writer.execute("select name from steps order by name")]


def test_begin_is_not_stopped(hurried: tuple[minirest.Database, minirest.Pass]) -> None:
    """What begins the transaction of a pass is not stopped half-way, which would leave it open for ever."""
    database, turn = hurried
    with database.writing() as connection:
        connection.execute("insert into steps values ('a')")
    turn.keep()
    assert turn.is_open
    assert turn.end()
    assert not database.writer.in_transaction
    assert names_of_steps(database) == ["a"]


def test_a_note_is_not_stopped(hurried: tuple[minirest.Database, minirest.Pass]) -> None:
    """What is noted beside a request stays, also of one that takes too long."""
    database, turn = hurried
    turn.note("insert into steps values (?)", ("noted",))
    turn.undo()
    assert turn.end()
    assert names_of_steps(database) == ["noted"]


def test_a_late_request_runs_no_more_statements(hurried: tuple[minirest.Database, minirest.Pass]) -> None:
    """A request that is over its time is slow before its next statement, and nothing of it stays."""
    database, turn = hurried

    def write() -> None:
        with database.writing():
            turn.execute(minirest.Sql("insert into steps values ('b')"))

    with pytest.raises(minirest.Slow):
        write()
    turn.undo()
    assert turn.end()
    assert names_of_steps(database) == []


def test_a_connection_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of those who write is given back by a pass that got no connection."""
    database = minirest.Database(str(tmp_path / "rested.db"))
    database.use_wal()
    turn, connect = minirest.Pass(database), database.connect
    database.rest()

    def broken(writing: bool = False) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(database, "connect", broken)
    turn.begin()
    with pytest.raises(sqlite3.OperationalError), database.writing():
        raise AssertionError
    turn.undo()
    monkeypatch.setattr(database, "connect", connect)
    turn.begin()
    with database.writing() as connection:
        connection.execute("create table steps (name)")
    assert turn.keep()
    assert turn.end()
    closing_thread = threading.Thread(target=database.close, daemon=True)
    closing_thread.start()
    closing_thread.join(WAIT_SECONDS)
    assert not closing_thread.is_alive()


def test_a_given_connection_waits_as_it_did() -> None:
    """A pass that asks whether somebody writes begins nothing on a connection of others, and changes nothing of it."""
    with closing(sqlite3.connect(":memory:", timeout=20, isolation_level=None, check_same_thread=False)) as given:
        database = minirest.Database(given)
        turn = minirest.Pass(database)
        assert turn.can_write()
        assert not given.in_transaction
        assert turn.end()
        assert given.execute("pragma busy_timeout").fetchone() == (20_000,)
        database.close()


def test_only_workers_wait_for_other_programs(states: minirest.Database) -> None:
    """A pass never waits for another program that writes, and a worker does, also on a connection that is new."""

    def patience(connection: sqlite3.Connection) -> int:
        return int(connection.execute("pragma busy_timeout").fetchone()[0])

    for _ in range(2):
        turn = minirest.Pass(states)
        turn.begin()
        with states.writing() as connection:
            assert patience(connection) == 0
        turn.keep()
        assert turn.end()
        with states.writing() as connection:
            assert patience(connection) == minirest.BUSY_TIMEOUT_SECONDS * 1000
        states.rest()


def test_no_writer_is_left_to_the_collector(tmp_path: Path) -> None:
    """What a write has in mind is gone with it, though nobody collects cycles."""
    app = minirest.make_app(SCHEMA, db=str(tmp_path / "a.db"), auth=False)
    known: list[weakref.ref[minirest.Writer]] = []

    def work(writer: minirest.Writer) -> minirest.Outcome:
        known.append(weakref.ref(writer))
        return minirest.Outcome()

    gc.disable()
    try:
        app.store.write(work, minirest.Origin(minirest.NOBODY, "", app.store.moment()))
        assert [it() for it in known] == [None]
    finally:
        gc.enable()
    app.close()


def seen_in(turn: minirest.Pass, database: minirest.Database) -> list[str]:
    """What one request of a pass reads."""
    turn.begin()
    with database.reading() as connection:
        found = [row[0] for row in connection.execute("select name from steps order by name")]
    turn.keep()
    return found


def insert_beside(database: minirest.Database, name: str) -> None:
    """Let another program write, which does not wait."""
    with closing(sqlite3.connect(database.path, isolation_level=None, timeout=0)) as other:
        other.execute("insert into steps values (?)", (name,))


def test_a_pass_reads_one_state(states: minirest.Database) -> None:
    """All that only reads in a pass sees the same; the next one sees what was committed meanwhile, and by the pass."""
    turn = minirest.Pass(states)
    assert seen_in(turn, states) == []
    insert_beside(states, "other")
    assert seen_in(turn, states) == []
    turn.begin()
    with states.writing() as connection:
        connection.execute("insert into steps values ('mine')")
    turn.keep()
    assert seen_in(turn, states) == []
    assert turn.end()
    assert not states.loop_reader.in_transaction
    assert seen_in(turn, states) == ["mine", "other"]
    assert turn.end()


@pytest.mark.parametrize("why", ["no log", "only reads"])
def test_a_pass_that_would_hinder_others(states: minirest.Database, why: str) -> None:
    """Where a pass would keep others from writing, each statement of it sees what is there by then."""
    if why == "no log":
        assert states.writer.execute("pragma journal_mode=delete").fetchone() == ("delete",)
        states.shares_commits = False
    else:
        states.only_reads = True
    turn = minirest.Pass(states)
    turn.begin()
    known = turn.recall(states)
    turn.keep()
    assert seen_in(turn, states) == []
    insert_beside(states, "other")
    assert seen_in(turn, states) == ["other"]
    assert turn.end()
    turn.begin()
    assert turn.recall(states) is not known
    turn.keep()
    assert turn.end()


def test_nothing_rests_in_a_pass(states: minirest.Database) -> None:
    """A fork closes no connection that a pass reads with: it could be at work. Behind the pass it does."""
    turn = minirest.Pass(states)
    assert seen_in(turn, states) == []
    reader = states.looping
    states.rest()
    assert states.looping is reader
    assert seen_in(turn, states) == []
    assert turn.end()
    states.rest()
    assert states.looping is None
    assert seen_in(turn, states) == []
    assert turn.end()


def test_a_snapshot_that_does_not_end(states: minirest.Database, caplog: pytest.LogCaptureFixture) -> None:
    """What was written is committed all the same, and the next pass sees it, with another connection."""
    turn = minirest.Pass(states)
    assert seen_in(turn, states) == []
    turn.begin()
    with states.writing() as connection:
        connection.execute("insert into steps values ('mine')")
    turn.keep()
    states.loop_reader.close()
    assert turn.end()
    assert "a snapshot did not end" in caplog.text
    assert not turn.holds_lock
    assert seen_in(turn, states) == ["mine"]
    assert turn.end()


def test_a_worker_keeps_little_of_the_file(states: minirest.Database) -> None:
    """Each worker has a connection: what all of them keep is in memory together."""
    with states.reading_apart() as connection:
        connection.set_authorizer(None)
        assert connection.execute("pragma cache_size").fetchone() == (-256,)
    states.loop_reader.set_authorizer(None)
    assert states.loop_reader.execute("pragma cache_size").fetchone() == (-2000,)
