"""Answers requests as a server's loop does, and then as a worker does, and holds the two together byte by byte.

What has been asked before, with the same headers, is also answered as the loop does it then.
"""

import functools
import io
import itertools
import re
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from webtest.lint import InputWrapper

import minirest

READING = ("GET", "HEAD", "OPTIONS")
DATE = re.compile(rb"Date: [^\r]*\r\n")
PLAIN_STREAMS = (io.BytesIO, InputWrapper)
GUARD_SECONDS = 1.0
"""The loop has more time than in the open, so that a busy machine makes no difference."""
Rows = dict[str, list[Any]]


class Said(NamedTuple):
    """What a request was answered, and, if it has written, what it left behind."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    events: list[Any]
    rows: Rows


def in_one_second(make: Callable[[], tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Two heads of the same second, so that they have the same date."""
    while True:
        second, heads = int(time.time()), make()
        if int(time.time()) == second:
            return heads


class BothPaths:
    """What stands in for `Application.__call__`; it counts what the loop has answered, left, and answered again."""

    def __init__(self) -> None:
        self.plain = minirest.Application.__call__
        self.answered, self.left, self.repeated = 0, 0, 0
        self.senders: dict[Any, minirest.Sender] = {}
        self.numbers = itertools.count()
        self.tables = weakref.WeakKeyDictionary[minirest.Application, list[str]]()
        self.lock = threading.RLock()

    def answer(
        self, app: minirest.Application, environ: dict[str, Any], start_response: minirest.StartResponse
    ) -> Iterable[bytes]:
        """Answer a request in both ways; what the worker has done remains."""
        stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH") or "0"
        if type(stream) not in PLAIN_STREAMS or not length.isdecimal() or int(length) > minirest.QUICK_BODY_BYTES:
            return self.plain(app, environ, start_response)
        data = stream.read(minirest.QUICK_BODY_BYTES + 1)
        with self.lock, standing_still(app, next(self.numbers)) as again:
            known = {**environ, "minirest.sender": self.sender_of(app, environ)}
            before = self.asked_again(app, known)
            again()
            inline = self.in_loop(app, {**known, "wsgi.input": io.BytesIO(data)})
            again()
            behind = self.asked_again(app, known)
            again()
            started, events = list[Any](), list[Any]()
            with listening(app, events.append):
                parts = self.plain(
                    app, environ | {"wsgi.input": io.BytesIO(data)}, lambda *words: started.extend(words)
                )
            if inline:
                parts = [b"".join(parts)]
                found = Said(started[0], tuple(started[1]), parts[0], events, self.rows(app) if inline.rows else {})
                assert inline == found, (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"])
                assert {before, behind} <= {None, found[:3]}, (environ["PATH_INFO"], environ["QUERY_STRING"])
        start_response(*started)
        return parts

    def sender_of(self, app: minirest.Application, environ: dict[str, Any]) -> minirest.Sender | None:
        """What is remembered of requests with the same headers, if the server would remember such a request."""
        line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']} HTTP/1.1"
        if not minirest.PLAIN_LINE.fullmatch(line.encode("latin-1")) or environ.get("SCRIPT_NAME"):
            return None
        headers = ((name, value) for name, value in environ.items() if name.startswith(("HTTP_", "CONTENT_")))
        return self.senders.setdefault((id(app), frozenset(headers)), minirest.Sender())

    def asked_again(self, app: minirest.Application, environ: dict[str, Any]) -> tuple[Any, ...] | None:
        """What the loop answers to a request like one before; None where none was, or a worker answers it."""
        sender = environ["minirest.sender"]
        if sender is None:
            return None
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        asked = SimpleNamespace(sender=sender, command=environ["REQUEST_METHOD"], path=path, query=query)
        found = None
        with suppress(minirest.Slow), a_pass(app), knowing(app, environ):
            found = app.answer_again(asked)
        if found is None:
            return None
        assert found.reply
        self.repeated += 1
        status, headers = minirest.status_line(found.reply.status), app.headers(None, found.reply, found.number)
        quick, plain = minirest.head_of_reply(found.reply, found.number), minirest.head_of(status, headers)
        assert DATE.sub(b"", quick) == DATE.sub(b"", plain)  # of which one may be a second older
        return status, tuple(headers), found.reply.body

    def in_loop(self, app: minirest.Application, environ: dict[str, Any]) -> Said | None:
        """What a loop answers, which is undone; None where it leaves that to a worker, and then nothing has changed."""
        writes = environ["REQUEST_METHOD"] not in READING
        before = self.rows(app) if writes else {}
        try:
            with a_pass(app) as turn, listening(app, lambda events: None), knowing(app, environ):
                found = app.respond(environ)
                turn.leave()
                if found.reply is None or found.reply.stream:
                    raise minirest.Slow
                later = app.store.database.afterwards
                events = [publish.args[0] for publish in later if isinstance(publish, functools.partial)]
                rows = self.rows(app) if turn.has_written else {}
        except minirest.Slow:
            self.left += 1
            return None
        else:
            self.answered += 1
            reply, status = found.reply, minirest.status_line(found.reply.status)
            headers = app.headers(found.request, reply, found.number)
            cors = app.policy.cors_headers(found.request)
            quick, usual = in_one_second(
                lambda: (minirest.head_of_reply(reply, found.number, cors), minirest.head_of(status, headers))
            )
            assert quick == usual
            return Said(
                status, tuple(headers), b"" if environ["REQUEST_METHOD"] == "HEAD" else found.reply.body, events, rows
            )
        finally:
            if writes:
                assert self.rows(app) == before

    def rows(self, app: minirest.Application) -> Rows:
        """All rows of our tables and those of the schema."""
        database = app.store.database
        with database.write_lock:  # a worker may be reading on the only connection, to tell a socket of an event
            if app not in self.tables:
                names = {*minirest.OUR_TABLES, *(table.name for table in app.schema.tables.values())}
                self.tables[app] = [name for name in sorted(names) if is_readable(database.writer, name)]
            return {name: database.writer.execute(f'select * from "{name}"').fetchall() for name in self.tables[app]}


def is_readable(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there is a table of that name, and nothing keeps us from reading it."""
    with suppress(sqlite3.DatabaseError):
        connection.execute(f'select * from "{name}" limit 0')
        return True
    return False


@contextmanager
def a_pass(app: minirest.Application) -> Iterator[minirest.Pass]:
    """A pass of a loop with one request; nothing of it stays."""
    turn = minirest.Pass(app.store.database)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(minirest, "GUARD_SECONDS", GUARD_SECONDS)
            turn.begin()
            yield turn
    finally:
        turn.undo()
        if turn.is_open:  # when a token was used would stay
            app.store.database.roll_back()
            turn.is_open = False
        assert turn.end()


@contextmanager
def knowing(app: minirest.Application, environ: dict[str, Any]) -> Iterator[None]:
    """In the block an application remembers whom the headers of a request prove, also those that it looks at anew."""
    actor = None
    levels, used = app.accounts.failures.levels.copy(), app.accounts.used.copy()
    with suppress(minirest.Slow, minirest.ApiError, UnicodeError):
        actor = app.accounts.actor_of(app.accounts.account_of(minirest.Request(environ)))
    app.accounts.failures.levels, app.accounts.used = levels, used
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.accounts, "proven", lambda sender: actor)
        yield


@contextmanager
def listening(app: minirest.Application, listener: Callable[[Any], None]) -> Iterator[None]:
    """In the block a listener is told what is committed."""
    app.store.listeners.append(listener)
    try:
        yield
    finally:
        app.store.listeners.remove(listener)


@contextmanager
def standing_still(app: minirest.Application, number: int) -> Iterator[Callable[[], None]]:
    """Let time stand still; what the block gets brings back what was to be drawn, and what was counted."""
    accounts, store = app.accounts, app.store
    chance, clock, now = accounts.chance, store.clock, store.clock()
    levels, used = accounts.failures.levels.copy(), accounts.used.copy()

    def again() -> None:
        accounts.chance = minirest.Chance(number)
        accounts.failures.levels, accounts.used = levels.copy(), used.copy()

    again()
    store.clock = accounts.failures.clock = lambda: now
    try:
        yield again
    finally:
        accounts.chance, store.clock, accounts.failures.clock = chance, clock, clock


@contextmanager
def both_paths() -> Iterator[BothPaths]:
    """In the block every request to an application goes both ways."""
    both = BothPaths()

    def call(
        app: minirest.Application, environ: dict[str, Any], start_response: minirest.StartResponse
    ) -> Iterable[bytes]:
        return both.answer(app, environ, start_response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minirest.Application, "__call__", call)
        yield both
