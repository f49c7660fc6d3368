"""What is remembered of requests: it is never another one's, it is never old, and it never grows without end."""

import copy
import dataclasses
import itertools
import random
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path as FilePath
from typing import Any

import pytest

import minirest
from minirest import KEY, Application, Compare, Path, SetClock
from tests.web import Answer, send, unguarded

TEXT = {"type": "string"}
RULES: dict[str, Any] = {
    "*": {"*": {"$or": [{"owner": None}, {"owner": "$me"}]}, "hide": ["secret"]},
    "chief": {"*": True},
    "clerk": {"list": {"city": "Bonn"}, "get": {"city": "Bonn"}},
}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "people": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "city": {**TEXT, "x-index": True},
                "secret": TEXT,
                "tasks": {"type": "array", "items": {"$ref": "#/$defs/tasks"}, "x-inverse": "person"},
            },
            "x-rights": RULES,
            "examples": [
                {"name": "Ann", "city": "Bonn", "secret": "s1", "_owner": "ann"},
                {"name": "Bob", "city": "Bonn", "secret": "s2", "_owner": "bob"},
                {"name": "Cleo", "city": "Rome", "secret": "s3"},
            ],
        },
        "tasks": {
            "type": "object",
            "properties": {
                "title": TEXT,
                "begin": {**TEXT, "format": "date"},
                "end": {**TEXT, "format": "date"},
                "person": {"$ref": "#/$defs/people"},
            },
            "x-validity": {"from": "begin", "to": "end"},
            "examples": [
                {"title": "open", "person": 1},
                {"title": "tomorrow", "begin": "2050-01-02", "person": 3},
                {"title": "past", "end": "2050-01-01", "person": 3},
            ],
        },
    }
}
USERS = ("ann", "bob", "chief", "clerk", "nobody")
PASSWORD = "correct horse"


def make(place: str = ":memory:", **settings: Any) -> Application:
    """An application with users of different rights, at a moment that stands still."""
    words: dict[str, Any] = {"clock": SetClock(), **settings}
    app = minirest.make_app(SCHEMA, db=place, users=dict.fromkeys(USERS, PASSWORD), **words)
    for name in ("chief", "clerk"):
        app.accounts.put_user(name, roles=[name])
    return app


@pytest.fixture
def app(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """An application over a file, in which passwords are hashed quickly."""
    monkeypatch.setattr(minirest, "SCRYPT_COST", minirest.SCRYPT_COST_IN_MEMORY)
    with closing(make(str(tmp_path / "data.db"))) as found:
        yield found


def ask(app: Application, address: str, user: str = "ann", **environ: str) -> Answer:
    """The answer to a GET of a user."""
    credentials = b64encode(f"{user}:{PASSWORD}".encode()).decode()
    return send(app, "GET", address, HTTP_AUTHORIZATION=f"Basic {credentials}", **environ)


def forget(app: Application) -> None:
    """Let an application be as if nobody had asked it anything."""
    for dialect in app.dialects:
        dialect.views.clear()
        dialect.readings.clear()
    app.schema.rights.clear()
    app.schema.sights.clear()
    app.accounts.actors.clear()
    app.store.database.rest()
    for table in app.schema.all_tables.values():
        table.expressions.clear()


def addresses(app: Application) -> list[str]:
    """Lists, records and linked records, in all dialects."""
    tag = app.schema.find("people").tag
    keys = {number: (minirest.object_id(tag, number), minirest.record_uuid(tag, 0, number)) for number in (1, 2, 3, 77)}
    found = [
        "/people",
        "/people?$page[count]=2",
        "/people?city[eq]=bonn&$page[count]=2",
        "/people?secret[eq]=s2",
        "/people?$fields=name,secret",
        "/tasks?$page[count]=5",
        "/api/people:list?pageSize=2",
        "/api/people:list?appends=tasks&filter=%7B%22city%22%3A%22Bonn%22%7D",
        "/api/people:get?filter=%7B%22name%22%3A%22Bob%22%7D",
        "/api/tasks:list?paginate=false",
        "/api/v2/people/?limit=2",
        "/api/v2/people/?city=Bonn&order_by=-name",
        "/api/v2/tasks/",
        "/api/v1/people?limit=2&sortBy=name",
        "/api/v1/people?meta=true",
        "/api/v1/tasks?only=title",
        "/api/resources/people/tables/people",
    ]
    for number, (object_id, uuid) in keys.items():
        found += [
            f"/people/{number}",
            f"/people/{number}/tasks?$page[count]=2",
            f"/api/people:get/{number}",
            f"/api/people:get?filterByTk={number}",
            f"/api/people:get?filterByTk={number}&appends=tasks",
            f"/api/people/{number}/tasks:list",
            f"/api/people/{number}/tasks:get/1",
            f"/api/v2/people/{uuid}/",
            f"/api/v2/people/{uuid}/tasks/",
            f"/api/v1/people/{object_id}",
            f"/api/v1/people/{object_id}/tasks",
            f"/api/v1/people/{object_id}/tasks?meta=true",
        ]
    return found


def shown(answer: Answer) -> tuple[Any, ...]:
    """An answer but for the id of its request."""
    return answer.status, {name: it for name, it in answer.headers.items() if name != "X-Request-Id"}, answer.body


# ---- nobody gets what another one's request has left ----


def test_nothing_leaks_between_users(app: Application) -> None:
    """Whoever asks after whomever gets the answer of an application that nobody has asked before."""
    alone: dict[tuple[str, str], tuple[Any, ...]] = {}
    for user, address in itertools.product(USERS, addresses(app)):
        forget(app)
        alone[user, address] = shown(ask(app, address, user))
    forget(app)
    assert len({answer for (_, address), answer in alone.items() if address == "/people" for answer in [answer[2]]}) > 2
    for address in addresses(app):
        for user in (*USERS, *reversed(USERS), *USERS):
            assert shown(ask(app, address, user)) == alone[user, address], (user, address)


@pytest.mark.parametrize("address", ["/api/v2/people/", "/api/v2/people/?limit=1", "/api/v2/tasks/"])
def test_nothing_leaks_between_prefixes(app: Application, address: str) -> None:
    """Addresses in answers are those of the place where the application is mounted this time."""
    for prefix in ("", "/a", "", "/b", "/a"):
        objects = ask(app, address, SCRIPT_NAME=prefix).json["objects"]
        assert all(it["resource_uri"].startswith(f"{prefix}/api/v2/") for it in objects)
        assert objects


@pytest.mark.parametrize(
    ("address", "days"),
    [
        ("/tasks?$fields=title&$page[count]=9", (2, 2, 1)),
        ("/api/tasks:list?fields=title", (2, 2, 1)),
        ("/api/v2/tasks/", (2, 2, 1)),
        ("/api/v1/tasks?only=title", (2, 2, 1)),
    ],
)
def test_a_day_is_over(app: Application, address: str, days: Sequence[int]) -> None:
    """What was valid yesterday is in no list of today, though the query is the same."""
    clock, before, seen = app.store.clock, ask(app, address).body, set[bytes]()
    assert isinstance(clock, SetClock)
    for _ in days:
        forgotten = ask(app, address).body
        forget(app)
        assert ask(app, address).body == forgotten
        seen.add(forgotten)
        clock.advance(days=1)
    assert before in seen
    assert len(seen) == 2  # the first day differs from all later ones


def test_rights_that_change_hold_at_once(app: Application) -> None:
    """A role that is given or taken shows and hides in the next answer; a disabled user is refused in the next one."""
    assert b"s1" not in ask(app, "/people/1").body
    app.accounts.put_user("ann", roles=["chief"])
    assert b"s1" in ask(app, "/people/1").body
    app.accounts.put_user("ann", roles=[])
    assert b"s1" not in ask(app, "/people/1").body
    app.accounts.put_user("ann", disabled=True)
    assert ask(app, "/people/1").status == 401
    app.accounts.put_user("ann", disabled=False)
    app.accounts.put_user("ann", password="another horse")
    assert ask(app, "/people/1").status == 401


def test_an_actor_is_made_once(app: Application) -> None:
    """The same user is the same object from request to request, and another one when something of it has changed."""
    environ = {"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": "Basic " + b64encode(f"ann:{PASSWORD}".encode()).decode()}
    first, second = (app.accounts.authenticate(minirest.Request(environ)) for _ in range(2))
    assert first is second
    app.accounts.put_user("ann", display_name="Ann A.")
    assert app.accounts.authenticate(minirest.Request(environ)).display_name == "Ann A."


# ---- totals ----


def total(app: Application, user: str = "ann") -> int:
    """The number of the people that a user sees."""
    found: int = ask(app, "/api/v2/people/?limit=1", user).json["meta"]["total_count"]
    return found


INSERT = "insert into people (_version, _created, _modified, name) values (1, '', '', 'new')"


def test_totals_are_exact(app: Application) -> None:
    """A total holds until somebody commits: we, or another process; what is rolled back changes nothing."""
    assert [total(app, user) for user in ("ann", "ann", "bob", "chief", "clerk")] == [2, 2, 2, 3, 3]
    created = app.accounts.store.run(minirest.Create(app.schema.find("people"), {}, {}, minirest.Const(None)))
    assert [total(app, user) for user in ("ann", "ann", "chief")] == [3, 3, 4]
    with closing(sqlite3.connect(app.store.database.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        other.execute(INSERT)
        assert total(app) == 3  # another one's transaction is nobody's business
        other.execute("rollback")
        assert total(app) == 3
        other.execute(INSERT)
        assert [total(app), total(app)] == [4, 4]
        other.execute("delete from people where id=?", (created.rows[0].key,))
        assert [total(app), total(app, "chief")] == [3, 4]


def test_totals_of_a_database_in_memory_are_exact() -> None:
    """There is nobody else who commits there, so each is counted."""
    with closing(make()) as app:
        assert [total(app), total(app)] == [2, 2]
        snapshot = app.store.snapshot()
        unguarded(app.store).execute(INSERT)
        assert total(app) == 3
        app.store.restore(snapshot)
        assert total(app) == 2
        snapshot.close()


def test_totals_after_a_snapshot_are_exact(app: Application) -> None:
    """A file that is made what it was has the totals that it had."""
    with closing(app.store.snapshot()) as snapshot:
        assert total(app) == 2
        app.store.run(minirest.Create(app.schema.find("people"), {}, {}, minirest.Const(None)))
        assert total(app) == 3
        app.store.restore(snapshot)
        assert total(app) == 2


def test_page_and_total_are_of_one_snapshot(app: Application) -> None:
    """What is committed between the page and its total is in neither of them, and in both the next time."""
    people, sight = app.schema.find("people"), minirest.FULL_SIGHT
    op = minirest.Select(people, minirest.Const(None), page=minirest.Page(10), total=True)
    with app.store.database.reading() as connection:
        for expected in (3, 4):
            connection.execute("begin")
            connection.execute("select count(*) from people").fetchone()
            app.store.run(minirest.Create(people, {}, {}, minirest.Const(None)))
            found = minirest.read(connection, op, sight)
            assert (len(found.rows), found.total) == (expected, expected)
            connection.execute("commit")


def test_totals_without_a_condition() -> None:
    """All records of a table are counted without a look at them."""
    people = minirest.load_schema(SCHEMA).find("people")
    op = minirest.Select(people, minirest.Const(None))
    assert minirest.Compiler().total(op).text == 'select count(*) from "people" t0'


# ---- pages deep in a list ----


def numbers(found: Any) -> list[int]:
    """The ids in a list of Limbas or NocoBase."""
    return [int(record["id"]) for record in found["data"]]


PAGES: dict[str, Callable[[Any], list[int]]] = {
    "/people?$page[count]={size}&$page[number]={page}": numbers,
    "/people?$page[count]={size}&$page[number]={page}&city[eq]=bonn": numbers,
    "/api/people:list?pageSize={size}&page={page}": numbers,
    "/api/people:list?pageSize={size}&page={page}&sort=id": numbers,
    "/api/people:list?pageSize={size}&page={page}&sort=-id": numbers,
    "/api/people:list?pageSize={size}&page={page}&sort=name": numbers,
    "/api/v2/people/?limit={size}&offset={offset}": lambda found: [int(it["id"][-12:], 16) for it in found["objects"]],
    "/api/v1/people?limit={size}&offset={offset}": lambda found: [int(it["_id"][-16:], 16) for it in found],
}
OWN = "_owner is null or _owner=:me"
SEEN = {"ann": OWN, "chief": "1", "clerk": f"city='Bonn' or {OWN}"}


def expected_ids(app: Application, address: str, user: str, size: int, offset: int) -> list[int]:
    """What SQLite itself finds."""
    order = {"-id": "id desc", "name": "name nulls last, id"}.get(address.partition("sort=")[2], "id")
    where = f"({SEEN[user]})" + (" and city='Bonn'" if "city" in address else "")
    with closing(sqlite3.connect(app.store.database.path)) as connection:
        (me,) = connection.execute("select id from _users where name=?", (user,)).fetchone()
        statement = f"select id from people where {where} order by {order} limit :size offset :offset"
        return [row[0] for row in connection.execute(statement, {"me": me, "size": size, "offset": offset})]


@pytest.mark.parametrize("seed", range(3))
def test_deep_pages(app: Application, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """A page that begins at a place that is known has the records that it has without; whoever asks, and commits."""
    monkeypatch.setattr(minirest, "DEEP_OFFSET", 4)
    dice = random.Random(seed)
    sizes = {address: dice.randrange(1, 6) for address in PAGES}
    with closing(sqlite3.connect(app.store.database.path, isolation_level=None)) as other:
        for number in range(60):
            values = (f"n{number % 7}", dice.choice(("Bonn", "Rome")), dice.choice((None, 1, 2)))
            other.execute(INSERT.replace("name)", "name, city, _owner)").replace("'new'", "?, ?, ?"), values)
        for _ in range(400):
            address, user, page = dice.choice([*PAGES]), dice.choice([*SEEN]), dice.randrange(1, 30)
            size = dice.choice((sizes[address], sizes[address], dice.randrange(1, 6)))
            answer = ask(app, address.format(size=size, page=page, offset=(page - 1) * size), user)
            found = PAGES[address](answer.json) if answer.status == 200 else []
            assert found == expected_ids(app, address, user, size, (page - 1) * size), (address, user, size, page)
            if dice.random() < 0.05:
                other.execute("delete from people where id=?", (dice.randrange(1, 60),))
            elif dice.random() < 0.05:
                other.execute(INSERT)


def test_a_deep_page_begins_at_a_place_that_is_known(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read of the records before the place; a page before it does not use it."""
    monkeypatch.setattr(minirest, "DEEP_OFFSET", 4)
    people, sight = app.schema.find("people"), minirest.FULL_SIGHT
    for _ in range(20):
        app.store.run(minirest.Create(people, {}, {}, minirest.Const(None)))

    def ids(offset: int) -> list[int]:
        op = minirest.Select(people, minirest.NO_SHAPE, page=minirest.Page(2, offset))
        return [row.key for row in minirest.read(connection, op, sight).rows]

    with app.store.database.reading() as connection:
        assert isinstance(connection, minirest.ReadingConnection)
        assert [ids(offset) for offset in (2, 8, 10, 30)] == [[3, 4], [9, 10], [11, 12], []]
        (places,) = connection.places.values()
        assert places == {10: 10, 12: 12}
        places[12] = 17  # which is wrong, and shows that it is used
        assert [ids(offset) for offset in (12, 15, 10, 8)] == [[18, 19], [21, 22], [11, 12], [9, 10]]


def test_long_statements_are_not_remembered(app: Application) -> None:
    """What a client can make long takes no memory."""
    people = app.schema.find("people")
    long = Compare(Path((), people.fields["name"]), "eq", "x" * minirest.SHORT_STATEMENT)
    for op in (
        minirest.Select(people, minirest.NO_SHAPE, long, page=minirest.Page(1), total=True),
        minirest.Select(people, minirest.NO_SHAPE, minirest.Not(long), page=minirest.Page(1), total=True),
        minirest.Select(people, minirest.NO_SHAPE, minirest.Not(long), page=minirest.Page(1, minirest.DEEP_OFFSET)),
    ):
        with app.store.database.reading() as connection:
            assert isinstance(connection, minirest.ReadingConnection)
            minirest.read(connection, op, minirest.FULL_SIGHT)
            assert (connection.totals, connection.places) == ({}, {})


def test_ids_that_others_have_given(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may put in records with ids that we never give."""
    monkeypatch.setattr(minirest, "DEEP_OFFSET", 2)
    with closing(sqlite3.connect(app.store.database.path, isolation_level=None)) as other:
        for number in (-5, 0):
            other.execute(INSERT.replace("(_version", "(id, _version").replace("(1, ''", f"({number}, 1, ''"))
    pages = [ask(app, f"/people?$page[count]=2&$page[number]={number}", "chief").json["data"] for number in (1, 2, 3)]
    assert [[record["id"] for record in page] for page in pages] == [["-5", "0"], ["1", "2"], ["3"]]


def test_many_walk_through_a_list(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The places of the last pages are known, and no more than some."""
    monkeypatch.setattr(minirest, "DEEP_OFFSET", 4)
    most, people = minirest.PLACES_OF_A_LIST, app.schema.find("people")
    for _ in range(most + 20):
        app.store.run(minirest.Create(people, {}, {}, minirest.Const(None)))
    with app.store.database.reading() as connection:
        assert isinstance(connection, minirest.ReadingConnection)
        for offset in range(4, most + 20):
            op = minirest.Select(people, minirest.NO_SHAPE, page=minirest.Page(1, offset))
            minirest.read(connection, op, minirest.FULL_SIGHT)
        (places,) = connection.places.values()
        assert list(places) == list(range(21, most + 21))


# ---- one statement for each record ----


def test_records_have_one_statement(app: Application) -> None:
    """The key of a record is bound, so that all have one statement, which is kept for who sees the same."""
    limbas = app.dialects[0]
    assert isinstance(limbas, minirest.Limbas)
    people = app.schema.find("people")
    op = limbas.read_fields(people, "")
    assert op is limbas.read_fields(people, "")
    assert op.where == Compare(Path((), people.id), "eq", KEY)
    statement = minirest.statement_of(op, minirest.FULL_SIGHT)
    assert statement is minirest.statement_of(op, minirest.FULL_SIGHT)
    assert statement is not minirest.statement_of(op, copy.copy(minirest.FULL_SIGHT))
    assert [statement.of(number).values[-1] for number in (1, 2)] == [1, 2]


def test_statements_are_prepared_once(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again what was asked needs no statement prepared, also where SQLite would look at what is bound."""
    prepared: list[Any] = []
    authorizer = minirest.authorizer

    def watched(*given: Any) -> Any:
        judge = authorizer(*given)

        def watch(*words: Any) -> Any:
            prepared.append(words)
            return judge(*words)

        return watch

    monkeypatch.setattr(minirest, "authorizer", watched)
    app.store.database.rest()  # so that the connections are opened again
    for address in addresses(app):
        first = shown(ask(app, address))
        prepared.clear()
        assert shown(ask(app, address)) == first
        assert prepared == [], address


def test_a_changed_select_has_statements_of_its_own(app: Application) -> None:
    """What is kept with an operation does not go on to another one that is made of it."""
    people = app.schema.find("people")
    op = minirest.Select(people, minirest.Const(None))
    statement = minirest.statement_of(op, minirest.FULL_SIGHT)
    narrowed = dataclasses.replace(op, where=Compare(Path((), people.id), "eq", 1))
    assert narrowed != op
    assert minirest.statement_of(narrowed, minirest.FULL_SIGHT) != statement


def test_filters_without_variables_stay_the_same(app: Application) -> None:
    """An operation in which nothing has to be bound is guarded as it is, and finds its statement again."""
    people = app.schema.find("people")
    actor = minirest.Actor(1, "ann")
    rights = minirest.rights_of(app.schema, actor)
    name = Compare(Path((), people.fields["name"]), "eq", "x")
    where = minirest.And((name, minirest.Not(minirest.Or((name, minirest.Some(name))))))
    shape = rights.shown(minirest.Obj((("name", minirest.Col(name.path)), ("secret", minirest.Const(1)))))
    op = minirest.Select(people, shape, where)
    assert minirest.guard(op, actor, app.store.moment(), rights) is op
    mine = Compare(Path((), people.system["_owner"]), "eq", minirest.Variable("me"))
    bound = minirest.bind_variables(minirest.And((name, minirest.Not(mine))), actor, app.store.moment())
    assert bound == minirest.And((name, minirest.Not(Compare(mine.path, "eq", 1))))


@pytest.mark.parametrize(
    "query",
    [
        *("{}=1", "{}=2", "{}=3", "{}=77", "{}=x", "{}=", "{}", "{}=1&{}=2", "{}=1&fields=name", "fields=name&{}=1"),
        *("{}=1&filter=%7B%22name%22%3A%22Bob%22%7D", "{}[]=1&{}[]=3", "{}s=3", "{}=1&{}s=3", "{}=%31", "{}=+1"),
    ],
)
def test_keys_in_the_query_and_elsewhere(app: Application, query: str) -> None:
    """NocoBase's key at the beginning of a query means what it means in any other spelling."""
    for path in ("/api/people:get", "/api/people:get/3"):
        plain, encoded = (f"{path}?{query.replace('{}', name)}" for name in ("filterByTk", "filterByT%6B"))
        assert shown(ask(app, plain)) == shown(ask(app, encoded))


def test_an_index_is_used_under_a_rule(app: Application) -> None:
    """A text that is compared without case starts at the index for that, though a rule stands before it."""
    ann = next(row[0] for row in unguarded(app.store).execute("select id from _users where name='ann'"))
    for city, used in (("Bonn", True), ("K%C3%B6ln", False)):
        limbas = app.dialects[0].seen_by(minirest.Actor(ann, "ann"))
        assert isinstance(limbas, minirest.Limbas)
        op = limbas.read_query(app.schema.find("people"), None, f"city[eq]={city}", "2050-01-01").select
        (plan,) = app.store.explain(minirest.Actor(ann, "ann"), op, "limbas")
        assert ("USING INDEX index:people:city:nocase" in plan.steps) is used
        assert (" then fold(" in plan.text) is not used  # what no index answers stands behind the rule


# ---- nothing grows without end ----


def test_what_is_remembered_is_bounded(app: Application) -> None:
    """Many different queries and many who see something else push each other out; very long ones are not kept."""
    limbas, people = app.dialects[0], app.schema.find("people")
    assert isinstance(limbas, minirest.Limbas)
    query = limbas.read_query(people, None, "", "2050-01-01")
    for number in range(minirest.MAX_READINGS + 10):
        query = limbas.read_query(people, None, f"name[eq]={number}", "2050-01-01")
        assert len(limbas.readings) <= minirest.MAX_READINGS
    for _ in range(minirest.MAX_REMEMBERED + 10):
        minirest.statement_of(query.select, copy.copy(minirest.FULL_SIGHT))
        assert len(query.select.compiled) <= minirest.MAX_REMEMBERED
    long = "name[eq]=" + "x" * minirest.MAX_READING_LENGTH
    before = len(limbas.readings)
    assert limbas.read_query(people, None, long, "2050-01-01") is not limbas.read_query(
        people, None, long, "2050-01-01"
    )
    assert len(limbas.readings) == before
    with app.store.database.reading() as connection:
        assert isinstance(connection, minirest.ReadingConnection)
        for number in range(minirest.MAX_READINGS + 10):
            minirest.count(connection, minirest.sql("select {}", minirest.bind(number)))
            assert len(connection.totals) <= minirest.MAX_READINGS
        for number in range(minirest.MAX_REMEMBERED + 10):
            page = minirest.Page(1, minirest.DEEP_OFFSET + number)
            where = Compare(Path((), people.id), "gt", -number)
            minirest.read(connection, minirest.Select(people, minirest.NO_SHAPE, where, page=page), minirest.FULL_SIGHT)
            assert len(connection.places) <= minirest.MAX_REMEMBERED
    for number in range(minirest.MAX_REMEMBERED + 10):
        app.accounts.put_user("bob", display_name=f"Bob {number}")
        ask(app, "/people/1", "bob")
        assert len(app.accounts.actors) <= minirest.MAX_REMEMBERED


def test_errors_are_not_remembered(app: Application) -> None:
    """What is refused is read again the next time, and leaves no trace in the error of another request."""
    for _ in range(2):
        for address in ("/people?nmae=1", "/api/people:list?sort=nmae", "/api/v1/people?sortBy=nmae", "/unknown"):
            answer = ask(app, address)
            assert answer.status in (400, 404)
    for dialect in app.dialects:
        assert not any("nmae" in repr(place) or "unknown" in repr(place) for place in dialect.readings)
