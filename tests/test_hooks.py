"""Hooks: functions of an embedding program in the transactions, whatever way a record is written."""

import contextlib
import logging
import math
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import webtest

import minirest
from minirest import Occasion
from tests.web import Answer, many, one, send

TEXT = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "people": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {**TEXT, "maxLength": 40},
                "email": {**TEXT, "x-unique": True},
                "age": {"type": "integer", "minimum": 0},
                "secret": {**TEXT, "format": "password", "writeOnly": True},
                "boss": one("people"),
                "tags": many("tags"),
                "photo": {**TEXT, "contentEncoding": "base64", "contentMediaType": "image/png"},
            },
            "x-archive": True,
            "examples": [{"name": "Ada", "email": "ada@x.example", "age": 36}, {"name": "Ben", "boss": 1}],
        },
        "tags": {"type": "object", "properties": {"name": TEXT}, "examples": [{"name": "red"}, {"name": "blue"}]},
        "log": {
            "type": "object",
            "required": ["text"],
            "properties": {
                "text": {**TEXT, "maxLength": 60},
                "who": TEXT,
                "about": one("people", **{"x-delete": "cascade"}),
            },
        },
        "notes": {
            "type": "object",
            "properties": {
                "text": TEXT,
                "place": {"type": "integer"},
                "person": one("people", **{"x-delete": "cascade"}),
            },
            "x-sort": {"field": "place"},
        },
    }
}
USERS = {"admin": "open-sesame"}


@pytest.fixture(name="app", params=["memory", "file"])
def make_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[minirest.Application]:
    """An application that asks nobody who they are, in memory and in a file."""
    db = ":memory:" if request.param == "memory" else str(tmp_path / "people.db")
    app = minirest.make_app(SCHEMA, db, auth=False)
    yield app
    app.close()


def rows(app: minirest.Application, statement: str) -> list[tuple[Any, ...]]:
    """What the database holds."""
    with app.store.database.reading() as connection:
        return connection.execute(statement).fetchall()


def ask(app: minirest.Application, method: str, address: str, *rest: Any) -> Answer:
    """Send a request; `{uuid 1}` in its address is what CoreData calls the person 1."""
    tag = app.schema.find("people").tag
    address = re.sub(r"{uuid (\d+)}", lambda found: minirest.record_uuid(tag, 0, int(found[1])), address)
    return send(app, method, address, *rest)


def create(app: minirest.Application, **values: Any) -> Answer:
    """Make a person by NocoBase."""
    return send(app, "POST", "/api/people:create", values)


# ---- every way to write a record ----

CREATIONS: dict[str, tuple[Any, ...]] = {
    "Limbas": ("POST", "/people", {"data": {"name": " Eve "}}),
    "NocoBase": ("POST", "/api/people:create", {"name": " Eve "}),
    "CoreData": ("POST", "/api/v2/people/", {"name": " Eve "}),
    "Platform": ("POST", "/api/v1/people", {"name": " Eve "}),
    "Qore": ("POST", "/api/resources/people", {"name": " Eve "}),
    "nested": ("POST", "/api/people:create", {"name": "Zoe", "boss": {"name": " Eve "}}),
    "several": ("POST", "/api/people:create", [{"name": "Zoe"}, {"name": " Eve "}]),
    "first or create": ("POST", "/api/people:firstOrCreate?filterKeys=name", {"name": " Eve "}),
    "list of CoreData": ("PATCH", "/api/v2/people/", {"objects": [{"name": " Eve "}]}),
    "import": ("POST", "/browse/people/import", b'{"name": " Eve "}\n', "application/x-ndjson"),
}


@pytest.mark.parametrize("way", CREATIONS)
def test_every_way_to_create(app: minirest.Application, way: str) -> None:
    """Whatever makes a record, the hooks are called, and what they set is stored and validated."""
    seen: list[tuple[str, str, int | None]] = []

    @app.on("create", "people")
    def tidy(occasion: Occasion) -> None:
        seen.append((occasion.when, occasion.verb, occasion.id))
        occasion.values["name"] = occasion.values["name"].strip()
        occasion.values["email"] = f"{occasion.values['name'].lower()}@x.example"

    app.on("create", "people", lambda it: seen.append((it.when, it.record["email"], it.id)), when="after")
    answer = ask(app, *CREATIONS[way])
    assert answer.status in (200, 201, 202, 303), answer.body
    assert rows(app, "select name, email from people where name like '%Eve%'") == [("Eve", "eve@x.example")]
    (key,) = rows(app, "select id from people where name = 'Eve'")[0]
    assert ("before", "create", None) in seen
    assert ("after", "eve@x.example", key) in seen


def test_the_form_of_a_page(app: minirest.Application) -> None:
    """So for a record that a person makes in a browser."""
    app.on("create", "people", lambda it: it.values.update(name=it.values["name"].upper()))
    browser = webtest.TestApp(app)
    form = browser.get("/browse/people/new", headers={"Accept": "text/html"}).forms[0]
    form["name"] = "eve"
    assert form.submit(headers={"Accept": "text/html"}).status_int == 303
    assert rows(app, "select name from people where id=3") == [("EVE",)]


CHANGES: dict[str, tuple[Any, ...]] = {
    "Limbas": ("PATCH", "/people/1", {"data": {"age": 37}}),
    "NocoBase": ("POST", "/api/people:update?filterByTk=1", {"age": 37}),
    "CoreData": ("PATCH", "/api/v2/people/{uuid 1}/", {"age": 37}),
    "Qore": ("PUT", "/api/resources/people/1", {"name": "Ada", "age": 37}),
    "nested": (
        "POST",
        "/api/people:update?filterByTk=2&updateAssociationValues=boss",
        {"boss": {"id": 1, "age": 37}},
    ),
    "upsert": ("POST", "/api/people:updateOrCreate?filterKeys=email", {"email": "ada@x.example", "age": 37}),
    "import": ("POST", "/browse/people/import?upsert_by=id", b'{"id": 1, "age": 37}\n', "application/x-ndjson"),
}


@pytest.mark.parametrize("way", CHANGES)
def test_every_way_to_update(app: minirest.Application, way: str) -> None:
    """Whatever changes a record: hooks see it as it was, what changes, and after that what it is."""
    seen: list[Any] = []

    @app.on("update", "people")
    def grow(occasion: Occasion) -> None:
        seen.append((occasion.id, occasion.record["age"], occasion.record["name"], dict(occasion.values)))
        occasion.values["age"] += 1
        occasion.values["name"] = "Ada L."

    @app.on("update", "people", when="after")
    def see(occasion: Occasion) -> None:
        seen.append((occasion.record["age"], occasion.values))

    answer = ask(app, *CHANGES[way])
    assert answer.status in (200, 202), answer.body
    assert seen == [(1, 36, "Ada", {"age": 37}), (38, {"age": 38, "name": "Ada L."})]
    assert rows(app, "select name, age, _version from people where id=1") == [("Ada L.", 38, 2)]
    history = rows(app, "select field, before, after from _history where record=1 and action='updated' order by id")
    assert history == [("age", "36", "38"), ("name", '"Ada"', '"Ada L."')]


DELETIONS: dict[str, tuple[Any, ...]] = {
    "Limbas": ("DELETE", "/people/2"),
    "NocoBase": ("POST", "/api/people:destroy?filterByTk=2"),
    "CoreData": ("DELETE", "/api/v2/people/{uuid 2}/"),
    "Qore": ("POST", "/api/resources/people/actions/delete_resource/2"),
}


@pytest.mark.parametrize("way", DELETIONS)
def test_every_way_to_delete(app: minirest.Application, way: str) -> None:
    """Whatever deletes a record, also one that goes with another: its hooks are called before and after."""
    seen: list[Any] = []
    assert send(app, "POST", "/api/notes:create", {"text": "of Ben", "person": 2}).status == 200
    for table in ("people", "notes"):
        app.on("delete", table, lambda it: seen.append((it.when, it.table, it.id, it.unit.get(it.table, it.id or 0))))
        app.on("delete", table, lambda it: seen.append((it.when, it.table, it.record.get("name"))), when="after")
    assert ask(app, *DELETIONS[way]).status in (200, 204)
    assert [(*it[:3], it[3]["id"]) if len(it) == 4 else it for it in seen] == [
        ("before", "people", 2, 2),
        ("before", "notes", 1, 1),
        ("after", "notes", None),
        ("after", "people", "Ben"),
    ]
    assert rows(app, "select count(*) from notes") == [(0,)]


def test_archive(app: minirest.Application) -> None:
    """Archiving is a verb of its own, and says the new status."""
    seen: list[Any] = []
    for when in ("before", "after"):
        app.on("archive", "people", lambda it: seen.append((it.when, it.id, it.values)), when=when)
    app.on("update", "people", lambda it: seen.append("update"))
    assert send(app, "PATCH", "/people/1", {"$archived": True}).status == 200
    assert seen == [("before", 1, {"_status": "archived"}), ("after", 1, {"_status": "archived"})]


def test_links(app: minirest.Application) -> None:
    """A link that is kept elsewhere has a verb of its own; one that is a column of the record is an update."""
    seen: list[Any] = []
    for verb in ("link", "update"):
        for when in ("before", "after"):
            app.on(verb, "people", lambda it: seen.append((it.when, it.verb, it.id, it.values)), when=when)
    assert send(app, "POST", "/api/people/1/tags:add", [2, 1]).status == 200
    assert send(app, "POST", "/api/people/1/tags:remove", [2]).status == 200
    assert send(app, "POST", "/api/people:update?filterByTk=1", {"boss": 2}).status == 200
    assert seen == [
        ("before", "link", 1, {"tags": [2, 1]}),
        ("after", "link", 1, {"tags": [2, 1]}),
        ("before", "link", 1, {"tags": [1]}),
        ("after", "link", 1, {"tags": [1]}),
        ("before", "update", 1, {"boss": 2}),
        ("after", "update", 1, {"boss": 2}),
    ]


def test_all_tables_and_moves(app: minirest.Application) -> None:
    """ "*" means all tables; a move in the manual order is an update."""
    seen: list[Any] = []
    app.on("create", "*", lambda it: seen.append((it.table, it.values.get("text"))))
    app.on("update", "*", lambda it: seen.append((it.table, it.values)))
    for text in ("a", "b"):
        assert send(app, "POST", "/api/notes:create", {"text": text}).status == 200
    assert send(app, "POST", "/api/notes:move?sourceId=2&sortField=place&targetId=1").status == 200
    assert seen == [("notes", "a"), ("notes", "b"), ("notes", {"place": 1})]


# ---- what a hook is told, and may set ----


def test_occasion(tmp_path: Path) -> None:
    """Who asks, how, when; what is never shown is there before it is hashed, and never again."""
    clock = minirest.SetClock()
    seen: list[Occasion] = []
    with contextlib.closing(minirest.make_app(SCHEMA, str(tmp_path / "x.db"), USERS, clock=clock)) as app:
        app.on("create", "people", seen.append)
        app.on("create", "people", seen.append, when="after")
        sign = {"HTTP_AUTHORIZATION": "Basic YWRtaW46b3Blbi1zZXNhbWU="}
        assert (
            send(app, "POST", "/api/people:create", {"name": "Eve", "secret": "s3cret-word", "boss": 1}, **sign).status
            == 200
        )
    before, after = seen
    told = (before.user, before.dialect, before.moment, before.table, before.id, before.record)
    assert told == ("admin", "nocobase", "2050-01-01T00:00:00.000Z", "people", None, {})
    whole = {"name": "Eve", "email": None, "age": None, "secret": "s3cret-word", "boss": 1}
    assert before.values == whole
    shown = {"name": "Eve", "email": None, "age": None, "boss": 1}
    assert after.record == {"id": 3, **shown}
    assert after.values == {"name": "Eve", "boss": 1}


def test_values_are_taken_away_and_hashed(app: minirest.Application) -> None:
    """A value that a hook takes away is not set; a password that it sets is hashed."""

    def edit(occasion: Occasion) -> None:
        occasion.values.pop("age", None)
        occasion.values["secret"] = "drawn-by-a-hook"

    app.on("create", "people", edit)
    app.on("update", "people", edit)
    assert create(app, name="Eve", age=5).status == 200
    assert send(app, "POST", "/api/people:update?filterByTk=1", {"age": 99}).status == 200
    for age, secret in rows(app, "select age, secret from people where id in (1, 3) order by id desc"):
        assert age in (None, 36)
        assert secret.startswith("scrypt")


def test_what_a_hook_takes_away_changes_nothing(app: minirest.Application) -> None:
    """An update that is left with nothing writes nothing."""
    app.on("update", "people", lambda it: it.values.clear())
    assert send(app, "POST", "/api/people:update?filterByTk=1", {"age": 99}).status == 200
    assert rows(app, "select age, _version from people where id=1") == [(36, 1)]


def test_rules_hold_after_hooks(app: minirest.Application) -> None:
    """What a hook sets is held against the schema, unique rules and links, and named as any field."""
    values: dict[str, Any] = {}
    app.on("create", "people", lambda it: it.values.update(values))
    for wrong in ({"age": -1}, {"email": "ada@x.example"}, {"boss": 77}, {"name": None}):
        values.clear()
        values.update(wrong)
        answer = create(app, name="Eve")
        assert answer.status == 400
        assert next(iter(wrong)) in answer.json["errors"][0]["message"]
    assert rows(app, "select count(*) from people") == [(2,)]
    values.clear()
    values["boss"] = 2
    assert create(app, name="Eve").status == 200
    assert rows(app, "select boss_id from people where name='Eve'") == [(2,)]


def test_rules_hold_for_what_a_hook_and_a_request_make_together() -> None:
    """Each change alone may be right: the record as it is in the end is held against the schema."""
    pair = {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "dependentRequired": {"a": ["b"]}}
    with closing(minirest.make_app({"$defs": {"pairs": {**pair, "examples": [{"b": "y"}]}}}, auth=False)) as app:
        app.on("update", "pairs", lambda it: it.unit.update("pairs", 1, {"b": None}) if "a" in it.values else None)
        assert send(app, "POST", "/api/pairs:update?filterByTk=1", {"a": "x"}).status == 400
        assert rows(app, "select a, b from pairs") == [(None, "y")]


def test_what_a_hook_does_before_a_deletion_is_told(app: minirest.Application) -> None:
    """History and events have the record as it was when it went."""
    events: list[minirest.Event] = []
    app.store.listeners.append(events.extend)
    app.on("delete", "people", lambda it: it.unit.update("people", 2, {"age": 5}) and None)
    assert send(app, "POST", "/api/people:destroy?filterByTk=2").status == 200
    age = app.schema.find("people").fields["age"]
    assert [(event.action, event.record[age]) for event in events] == [("updated", 5), ("deleted", 5)]
    told = rows(app, "select action, version, json_extract(before, '$.age') from _history where dialect <> 'examples'")
    assert told == [("updated", 2, None), ("deleted", 2, 5)]


# ---- refusing ----


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["create", "update", "delete", "archive", "link"])
def test_refusals_undo_everything(app: minirest.Application, verb: str, when: Any) -> None:
    """What a hook refuses has not happened, neither here nor in other records of the request."""

    def refuse(occasion: Occasion) -> None:
        occasion.unit.create("log", {"text": "never kept"})
        occasion.refuse("Not today", "name")

    app.on(verb, "people", refuse, when=when)
    before = (
        rows(app, "select * from people"),
        rows(app, "select count(*) from _history"),
        rows(app, "select * from log"),
    )
    requests: dict[str, tuple[Any, ...]] = {
        "create": ("POST", "/api/people:create", [{"name": "Eve"}, {"name": "Zoe"}]),
        "update": ("POST", "/api/people:update?filterByTk=1", {"age": 1}),
        "delete": ("POST", "/api/people:destroy?filterByTk=2"),
        "archive": ("PATCH", "/people/1", {"$archived": True}),
        "link": ("POST", "/api/people/1/tags:add", [1]),
    }
    answer = send(app, *requests[verb])
    assert answer.status == 400
    assert b"Not today" in answer.body
    after = (
        rows(app, "select * from people"),
        rows(app, "select count(*) from _history"),
        rows(app, "select * from log"),
    )
    assert before == after


@pytest.mark.parametrize("way", ["Limbas", "NocoBase", "CoreData", "Platform", "Qore"])
def test_refusals_in_every_dialect(app: minirest.Application, way: str) -> None:
    """The message of a hook is in the answer, in the words of the dialect."""
    app.on("create", "people", lambda it: it.refuse("Taken by a hook", "name"))
    answer = ask(app, *CREATIONS[way])
    assert answer.status in (400, 422), answer.body
    assert "Taken by a hook" in answer.body.decode()


def test_an_api_error_is_answered_as_one(app: minirest.Application) -> None:
    """A hook may raise any error that requests know."""

    def forbid(occasion: Occasion) -> None:
        raise minirest.fail("forbidden")

    app.on("create", "people", forbid)
    assert create(app, name="Eve").status == 403


def test_a_hook_that_fails(app: minirest.Application, caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged with its name and traceback; the client is told nothing of it, and nothing has happened."""

    def careless(occasion: Occasion) -> None:
        occasion.unit.create("log", {"text": "never kept"})
        raise sqlite3.OperationalError("database is locked, says another database")

    app.on("create", "people", careless, when="after")
    answer = create(app, name="Eve")
    assert answer.status == 500
    assert b"another database" not in answer.body
    assert "careless" in caplog.text
    assert "another database" in caplog.text
    assert "(after create people) failed" in caplog.text
    assert rows(app, "select count(*) from people") == [(2,)]
    assert rows(app, "select count(*) from log") == [(0,)]


@pytest.mark.parametrize(
    ("verb", "when", "edit"),
    [
        ("create", "before", {"colour": 1}),
        ("create", "before", {"age": "old"}),
        ("create", "before", {"tags": [1]}),
        ("create", "before", {"photo": "x"}),
        ("create", "before", {"name": "a\0b"}),
        ("create", "before", {"age": 2**64}),
        ("create", "before", {"name": object()}),
        ("create", "after", {"age": 1}),
    ],
)
def test_values_that_cannot_be(
    app: minirest.Application, verb: str, when: Any, edit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of the program is 500 and a line in the log, and undoes all."""
    app.on(verb, "people", lambda it: it.values.update(edit), when=when)
    assert create(app, name="Eve").status == 500
    assert "ValueError" in caplog.text
    assert rows(app, "select count(*) from people") == [(2,)]


# ---- time ----


def test_a_hook_that_takes_too_long(app: minirest.Application, caplog: pytest.LogCaptureFixture) -> None:
    """It is left behind; others write on at once, and what it does later in its transaction is refused."""
    go_on, done = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def slow(occasion: Occasion) -> None:
        go_on.wait(30)
        try:
            occasion.unit.create("log", {"text": "too late"})
        except RuntimeError as error:
            errors.append(error)
        done.set()

    app.on("create", "people", slow, seconds=0.05)
    answer = create(app, name="Eve")
    assert answer.status == 503
    assert "slow (before create people) took longer than 0.05 seconds" in caplog.text
    assert send(app, "POST", "/api/tags:create", {"name": "green"}).status == 200
    go_on.set()
    assert done.wait(30)
    assert [str(error) for error in errors] == ["the unit of work has ended with its hook"]
    assert rows(app, "select count(*) from log") == [(0,)]
    assert rows(app, "select name from people") == [("Ada",), ("Ben",)]


def test_a_hook_that_waits_for_another_one(app: minirest.Application) -> None:
    """A hook that is called by what another one does has no more time than that one has left."""
    go_on, waited = threading.Event(), list[bool]()
    app.on("create", "people", lambda it: it.unit.create("log", {"text": "x"}), seconds=0.05)
    app.on("create", "log", lambda _: waited.append(go_on.wait(20)), seconds=30)
    assert (create(app, name="Eve").status, waited) == (503, [])
    go_on.set()
    assert rows(app, "select count(*) from people") == [(2,)]
    assert rows(app, "select count(*) from log") == [(0,)]


def test_a_hook_whose_statement_takes_too_long(app: minirest.Application) -> None:
    """The statement is stopped: nobody waits until it has come to its end."""
    lines, seen = [{"text": f"line {number}"} for number in range(2000)], list[str]()
    assert send(app, "POST", "/api/log:create", lines).status == 200

    def lower(text: str) -> str:
        threading.Event().wait(0.01)
        seen.append(text)
        return text

    app.store.database.writer.create_function("lower", 1, lower, deterministic=True)
    app.on("create", "people", lambda it: it.unit.find("log", {"text.$includes": "x"}), seconds=0.2)
    assert create(app, name="Eve").status == 503
    assert len(seen) < 500
    assert send(app, "POST", "/api/tags:create", {"name": "green"}).status == 200


def test_a_unit_that_is_kept(app: minirest.Application) -> None:
    """It ends with the call of its hook."""
    kept: list[minirest.Unit] = []
    app.on("create", "people", lambda it: kept.append(it.unit))
    assert create(app, name="Eve").status == 200
    with pytest.raises(RuntimeError, match="ended with its hook"):
        kept[0].get("people", 1)


def test_a_unit_that_is_kept_by_a_hook_that_fails(app: minirest.Application) -> None:
    """It has ended too: nothing is written outside of the transaction that it belonged to."""
    kept: list[minirest.Unit] = []

    def fail(occasion: Occasion) -> None:
        kept.append(occasion.unit)
        occasion.refuse("No")

    app.on("create", "people", fail)
    assert create(app, name="Eve").status == 400
    with pytest.raises(RuntimeError, match="ended with its hook"):
        kept[0].create("log", {"text": "late"})
    assert rows(app, "select count(*) from log") == [(0,)]


def test_a_unit_in_a_thread_of_the_hook(app: minirest.Application) -> None:
    """What a thread of the hook has begun is finished before the request goes on; it can begin nothing more."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def work(unit: minirest.Unit) -> None:
        try:
            for number in range(100_000):
                unit.create("log", {"text": str(number)})
        except RuntimeError as error:
            errors.append(error)

    def start(occasion: Occasion) -> None:
        threads.append(threading.Thread(target=work, args=(occasion.unit,)))
        threads[0].start()
        while not occasion.unit.find("log", limit=1):
            pass

    app.on("create", "people", start)
    assert create(app, name="Eve").status == 200
    threads[0].join(30)
    assert [str(error) for error in errors] == ["the unit of work has ended with its hook"]
    texts = [int(text) for (text,) in rows(app, "select text from log order by id")]
    assert texts == list(range(len(texts)))
    assert (
        len(texts)
        == rows(app, "select count(*) from _history where action='created' and after like '{\"text\"%'")[0][0]
    )


def test_hooks_without_an_end(app: minirest.Application, caplog: pytest.LogCaptureFixture) -> None:
    """Hooks that call each other are stopped."""
    app.on("create", "log", lambda it: it.unit.create("log", {"text": "again"}))
    assert send(app, "POST", "/api/log:create", {"text": "once"}).status == 500
    assert "without an end" in caplog.text
    assert rows(app, "select count(*) from log") == [(0,)]


# ---- the unit of work ----


def test_unit(app: minirest.Application) -> None:
    """Reads see what the transaction has written so far; writes have a history, and are there with the record only."""
    seen: list[Any] = []

    def note(occasion: Occasion) -> None:
        unit = occasion.unit
        key = unit.create("log", {"text": f"new: {occasion.record['name']}", "about": occasion.id})
        assert unit.update("log", key, {"who": "a hook"})
        assert not unit.update("log", 99, {"who": "a hook"})
        other = unit.create("log", {"text": "not for long"})
        assert unit.delete("log", other)
        assert not unit.delete("log", other)
        assert unit.get("log", other) is None
        seen.extend(unit.find("log", {"about": {"id": occasion.id}}))
        seen.append(unit.get("people", 1))
        seen.append([it["id"] for it in unit.find("people", limit=2)])
        unit.update("people", 2, {"tags": [1, 2]})

    app.on("create", "people", note, when="after")
    assert create(app, name="Eve").status == 200
    assert seen == [
        {"id": 1, "text": "new: Eve", "who": "a hook", "about": 3},
        {"id": 1, "name": "Ada", "email": "ada@x.example", "age": 36, "boss": None},
        [1, 2],
    ]
    history = rows(app, "select action, record, dialect from _history where tag=(select tag from _history limit 1)")
    assert history
    assert [it["id"] for it in send(app, "GET", "/api/people/2/tags:list").json["data"]] == [1, 2]


def test_unit_and_wrong_names(caplog: pytest.LogCaptureFixture) -> None:
    """Mistakes in names are ValueErrors of the program."""
    calls: list[Callable[[minirest.Unit], object]] = [
        lambda unit: unit.get("peeple", 1),
        lambda unit: unit.find("people", {"nmae": "x"}),
        lambda unit: unit.create("people", {"nmae": "x"}),
        lambda unit: unit.update("people", 1, {"age": "old"}),
        lambda unit: unit.create("people", {"name": "x", "photo": "y"}),
    ]
    for call in calls:
        caplog.clear()
        with contextlib.closing(minirest.make_app(SCHEMA, auth=False)) as own:
            own.on("create", "tags", lambda it, call=call: call(it.unit))  # type: ignore[misc]
            assert send(own, "POST", "/api/tags:create", {"name": "x"}).status == 500
            assert "ValueError" in caplog.text or "SchemaError" in caplog.text


def test_what_the_unit_refuses_refuses_the_request(app: minirest.Application) -> None:
    """A rule that a hook breaks in its unit undoes the request, even when the hook goes on."""

    def swallow(occasion: Occasion) -> None:
        with contextlib.suppress(minirest.ApiError):
            occasion.unit.create("log", {"text": "x" * 61})

    app.on("create", "people", swallow)
    answer = create(app, name="Eve")
    assert answer.status == 400
    assert "'text'" in answer.json["errors"][0]["message"]
    assert rows(app, "select count(*) from people") == [(2,)]
    assert rows(app, "select count(*) from log") == [(0,)]


def test_rights_do_not_hold_for_hooks(tmp_path: Path) -> None:
    """The program may do what the caller may not; the caller itself gets no right by it."""
    schema = {"$defs": {name: dict(table) for name, table in SCHEMA["$defs"].items()}}
    schema["$defs"]["log"]["x-rights"] = {"admin": {"*": True}}
    schema["$defs"]["people"]["x-rights"] = {"*": {"list": True, "create": {"age": {"$gt": 3}}}}
    with contextlib.closing(minirest.make_app(schema, str(tmp_path / "x.db"), {"eve": "open-sesame"})) as app:
        app.on("create", "people", lambda it: it.unit.create("log", {"text": "seen"}))
        sign = {"HTTP_AUTHORIZATION": "Basic ZXZlOm9wZW4tc2VzYW1l"}
        assert send(app, "POST", "/api/people:create", {"name": "x", "age": 4}, **sign).status == 200
        assert send(app, "POST", "/api/people:create", {"name": "x", "age": 1}, **sign).status == 403
        assert send(app, "GET", "/log", **sign).status == 403
        assert rows(app, "select text from log") == [("seen",)]


def test_the_callers_values_are_read_before_the_hook(app: minirest.Application) -> None:
    """Hooks are not called for a request that is wrong already."""
    seen: list[Occasion] = []
    app.on("create", "people", seen.append)
    assert create(app, name="Eve", age="old").status == 400
    assert seen == []


# ---- registering ----


@pytest.mark.parametrize(
    ("verb", "table", "words"),
    [
        ("make", "people", {}),
        ("list", "people", {}),
        ("create", "peeple", {}),
        ("create", "people", {"when": "during"}),
        ("create", "people", {"seconds": 0}),
        ("create", "people", {"seconds": math.inf}),
        ("create", "people", {"seconds": "1"}),
        ("create", "people", {"function": 5}),
    ],
)
def test_wrong_registrations(app: minirest.Application, verb: str, table: str, words: Any) -> None:
    """A hook that could never be called is refused when it is made."""
    with pytest.raises(ValueError, match=r"^(hooks are|there is no table|seconds takes|function takes)"):
        app.on(verb, table, **{"function": print, **words})


def test_a_coroutine_is_no_hook(app: minirest.Application) -> None:
    """Nobody would await it; neither is it an action or an address."""

    async def wait(*_: Any) -> Any:
        return "No"

    for register in (app.on("create", "people"), app.action("people", "go"), app.route("/go")):
        with pytest.raises(ValueError, match=r"^function takes a function, and no coroutine; not <function"):
            register(wait)  # type: ignore[arg-type]
    assert (app.store.hooks.known, app.services.actions, app.has_added) == ({}, {}, False)


def test_a_refusal_that_is_swallowed(app: minirest.Application) -> None:
    """What a hook has refused stays refused."""

    def swallow(occasion: Occasion) -> None:
        with contextlib.suppress(minirest.ApiError):
            occasion.refuse("Not today")

    app.on("create", "people", swallow)
    answer = create(app, name="Eve")
    assert answer.status == 400
    assert b"Not today" in answer.body
    assert rows(app, "select count(*) from people") == [(2,)]


@pytest.mark.parametrize(("when", "verb"), [("after", "create"), ("before", "update"), ("after", "update")])
def test_a_hook_that_deletes_the_record(app: minirest.Application, when: Any, verb: str) -> None:
    """A record that is gone in the middle of a write undoes it, and is no conflict of two clients."""
    app.on(verb, "people", lambda it: it.unit.delete("people", it.id or 0), when=when)
    requests: dict[str, tuple[Any, ...]] = {
        "create": ("POST", "/api/people:create", {"name": "Eve"}),
        "update": ("POST", "/api/people:update?filterByTk=2", {"age": 1}),
    }
    assert send(app, *requests[verb]).status == 404
    assert rows(app, "select name from people") == [("Ada",), ("Ben",)]


def test_find_has_no_limit_of_its_own(app: minirest.Application) -> None:
    """What a hook counts is all that there is, archived records too."""
    seen: list[int] = []
    for number in range(130):
        assert create(app, name=f"p{number}").status == 200
    assert send(app, "PATCH", "/people/5", {"$archived": True}).status == 200
    app.on("create", "tags", lambda it: seen.append(len(it.unit.find("people"))))
    assert send(app, "POST", "/api/tags:create", {"name": "x"}).status == 200
    assert seen == [132]


def test_several_hooks_in_order(app: minirest.Application) -> None:
    """Each sees what those before it have made of the values."""
    for letter in "abc":

        @app.on("create", "people")
        def add(occasion: Occasion, letter: str = letter) -> None:
            occasion.values["name"] += letter

    assert create(app, name="x").status == 200
    assert rows(app, "select name from people where id=3") == [("xabc",)]


def test_two_at_once(app: minirest.Application) -> None:
    """Hooks of two clients never meet in one transaction."""
    open_now, most = [0], [0]

    def count(occasion: Occasion) -> None:
        open_now[0] += 1
        most[0] = max(most[0], open_now[0])
        occasion.values["age"] = len(occasion.unit.find("people", limit=1000))
        open_now[0] -= 1

    app.on("create", "people", count)
    threads = [threading.Thread(target=create, args=(app,), kwargs={"name": f"p{n}"}) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1]
    assert rows(app, "select age from people where id > 2 order by id") == [(n,) for n in range(2, 14)]


def test_no_handler_is_added_by_a_failing_hook(app: minirest.Application) -> None:
    """The log is the program's own."""
    app.on("create", "people", lambda it: 1 / 0)
    assert create(app, name="Eve").status == 500
    assert logging.getLogger("minirest").handlers == []


# ---- worlds and the fixture ----


def test_worlds_have_the_hooks_of_main() -> None:
    """A new world calls the hooks, and has the actions, of the application that it is a copy of."""
    settings, app = minirest.Settings(auth=False), minirest.make_app(SCHEMA, auth=False)
    with contextlib.closing(minirest.Worlds(app, settings)) as worlds:
        app.on("create", "people", lambda it: it.values.update(name=it.values["name"].upper()))
        app.action("people", "wave")(lambda key, values, actor: f"waved at {key}")
        name = worlds.make()
        client = minirest.Client(worlds, {"X-Minirest-World": name})
        assert client.post("/api/people:create", json={"name": "eve"}).json()["data"]["name"] == "EVE"
        assert client.post("/api/resources/people/actions/wave/1").json() == {"message": "waved at 1"}
        assert rows(app, "select count(*) from people") == [(2,)]


def test_a_reset_forgets_hooks() -> None:
    """A hook of one test is not called in the next one, which has the same application."""
    fixture = minirest.Fixture(SCHEMA, minirest.Settings(seed=0))
    try:
        fixture.app.on("create", "people", lambda it: it.refuse("No"))
        assert fixture.client.post("/api/people:create", json={"name": "eve"}).status == 400
        fixture.reset()
        assert fixture.client.post("/api/people:create", json={"name": "eve"}).status == 200
    finally:
        fixture.close()


# ---- what is made, removed and made again in one transaction ----


def test_links_that_come_and_go(app: minirest.Application) -> None:
    """A row that gets the number of one that was removed is another row."""

    @app.on("create", "log")
    def toggle(occasion: Occasion) -> None:
        for tags in ([1], [], [2], [1], []):
            occasion.unit.update("people", 2, {"tags": tags})

    assert ask(app, "POST", "/log", {"data": {"text": "x"}}).status == 201
    assert rows(app, "select * from people_tags") == []


def test_links_of_lines_that_follow_each_other(app: minirest.Application) -> None:
    """Several lines of an import may set the same links: the last one counts."""
    lines = b'{"id":1,"tags":[2]}\n{"id":1,"tags":[]}\n{"id":1,"tags":[1]}\n{"id":1,"tags":[]}\n'
    answer = ask(app, "POST", "/browse/people/import?upsert_by=id", lines, "application/x-ndjson")
    assert answer.status == 200, answer.body
    assert rows(app, "select * from people_tags") == []


def test_a_link_that_a_deletion_makes(app: minirest.Application) -> None:
    """A hook may link the record once more that is about to be deleted: the link goes with it."""
    ask(app, "PATCH", "/people/1", {"data": {"tags": {"data": [{"id": 1}]}}})

    @app.on("delete", "people")
    def link(occasion: Occasion) -> None:
        occasion.unit.update("people", occasion.id or 0, {"tags": [2]})

    assert ask(app, "DELETE", "/people/1").status == 204
    assert rows(app, "select * from people_tags") == []


def test_an_error_of_a_nested_hook_is_kept(app: minirest.Application) -> None:
    """A hook cannot go on as if nothing had happened, when another one has failed below it."""

    @app.on("create", "people", when="after")
    def outer(occasion: Occasion) -> None:
        with contextlib.suppress(Exception):
            occasion.unit.create("log", {"text": "x"})

    @app.on("create", "log", when="after")
    def inner(occasion: Occasion) -> None:
        raise ValueError("boom")

    before = rows(app, "select count(*) from people")
    assert create(app, name="Eve").status == 500
    assert rows(app, "select count(*) from people") == before
    assert rows(app, "select count(*) from log") == [(0,)]
