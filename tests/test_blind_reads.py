"""Blind reads: nothing tells two worlds apart that differ only in what somebody may not see.

Bert asks. Each world has the same records; hidden fields, hidden records and what leads to them differ, or a hidden
record is in one of them alone. Every answer is the same to the byte, and so are the events, and so is the number of
SQLite's steps, but for what it takes to see that a record is hidden.
"""

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minirest
from minirest import Actor, Col, Compare, Page, Path, Select, Sort
from tests.web import Answer, many, one, send, unguarded

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEXT = {"type": "string"}
INTEGER = {"type": "integer"}
DATE = {"type": "string", "format": "date"}
OBJECT = {"type": "object"}
HIDDEN = ("salary", "secret", "born", "extra", "chief", "skills")


def table(rights: Any = None, **properties: Any) -> dict[str, Any]:
    """A table, with what everybody who has signed in may do."""
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return found if rights is None else {**found, "x-rights": {"*": rights}}


DOCUMENT: dict[str, Any] = {
    "$defs": {
        "staff": table(
            {"*": True, "delete": False, "hide": list(HIDDEN)},
            name=TEXT,
            age=INTEGER,
            salary={**INTEGER, "x-index": True},
            secret=TEXT,
            born=DATE,
            extra=OBJECT,
            chief=one("staff"),
            skills=many("tags"),
            team=one("teams"),
            papers=many("papers", **{"x-inverse": "author"}),
        ),
        "papers": {
            **table(
                {"*": {"$or": [{"public": True}, {"owner": "$me"}]}},
                title=TEXT,
                n={**INTEGER, "x-index": True},
                day=DATE,
                data=OBJECT,
                public={"type": "boolean"},
                author=one("staff"),
                folder=one("folders"),
                tags=many("tags"),
            ),
            "x-archive": True,
            "x-tabs": {"High": {"n.$gt": 1}, "Rich": {"author.salary.$gt": 1}, "Filed": {"folder.name": "a"}},
        },
        "folders": table(
            {"*": {"team.name": "red"}}, name=TEXT, team=one("teams"), papers=many("papers", **{"x-inverse": "folder"})
        ),
        "teams": table(
            None,
            name=TEXT,
            staff=many("staff", **{"x-inverse": "team"}),
            folders=many("folders", **{"x-inverse": "team"}),
        ),
        "memos": {
            **table(None, text=TEXT, n=INTEGER, paper=one("papers"), cards=many("cards", **{"x-inverse": "memo"})),
            "x-access": True,
        },
        "cards": {**table({"*": {"group": "$groups"}}, face=TEXT, memo=one("memos"), paper=one("papers"))},
        "tags": table(
            {"*": {"hot": False}, "delete": False},
            name=TEXT,
            hot={"type": "boolean"},
            papers=many("papers", **{"x-inverse": "tags"}),
        ),
    }
}
TABLES = tuple(DOCUMENT["$defs"])
KEY = b"the same for both worlds"
LETTERS = ("a", "b", "c")
Row = dict[str, Any]


# ---- two worlds ----


def base_world(luck: Random) -> dict[str, list[Row]]:
    """Records of each table: Bert sees those with an odd id, and all of staff and teams."""

    def key() -> Any:
        return luck.choice([None, 1, 2, 3, 4])

    def system(number: int) -> Row:
        return {"id": number, "_created": "2026-01-01T00:00:00.000Z", "_modified": "2026-01-01T00:00:00.000Z"}

    world: dict[str, list[Row]] = {name: [system(number) for number in range(1, 5)] for name in TABLES}
    for row in world["teams"]:
        row["name"] = "red" if row["id"] % 2 else "blue"
    for row in world["staff"]:
        row |= {"name": luck.choice(LETTERS), "age": luck.randint(0, 3), "team_id": key()}
    for row in world["papers"]:
        seen = bool(row["id"] % 2)
        row |= {
            "title": luck.choice(LETTERS),
            "n": luck.randint(0, 3),
            "day": "2026-01-02",
            "data": '{"k":1,"a":{"b":"x"}}',
        }
        row |= {"public": int(seen), "author_id": key(), "_owner": 1}
        row |= {"folder_id": key()}
    for row in world["folders"]:
        row |= {"name": luck.choice(LETTERS), "team_id": luck.choice([1, 3] if row["id"] % 2 else [2, 4])}
    for row in world["memos"]:
        row |= {"text": luck.choice(LETTERS), "n": luck.randint(0, 3), "paper_id": key()}
        row |= {"_owner": 2 if row["id"] % 2 else 1}
    for row in world["cards"]:
        row |= {"face": luck.choice(LETTERS), "memo_id": key(), "paper_id": key()}
        row |= {"_group": 1 if row["id"] % 2 else 2}
    for row in world["tags"]:
        row |= {"name": luck.choice(LETTERS), "hot": int(row["id"] % 2 == 0)}
    pairs = sorted({(luck.choice([1, 3]), luck.choice([1, 3])) for _ in range(3)})
    world["papers_tags"] = [
        {"id": number, "source_id": paper, "target_id": tag} for number, (paper, tag) in enumerate(pairs, 1)
    ]
    return world


def vary(connection: Any, luck: Random) -> None:
    """Give another content to everything that Bert does not see, and lead links that he reads as null elsewhere."""

    def write(statement: str, *values: Any) -> None:
        connection.execute(statement, values)

    def text() -> str:
        return luck.choice([*LETTERS, "a" * 200])

    def anything() -> Any:
        return luck.choice([None, 1, 2, 3, 4])

    unseen, extra = (None, 2, 4), "{}"
    for key in range(1, 5):
        day, extra = luck.choice([None, "2026-01-02"]), json.dumps({"k": luck.randint(0, 3)})
        hidden = (luck.choice([None, 0, 1, 2, 3]), text(), day, extra, anything(), key)
        write("update staff set salary=?, secret=?, born=?, extra=?, chief_id=? where id=?", *hidden)
    for key in (2, 4):
        whole = (
            text(),
            luck.randint(0, 3),
            extra,
            anything(),
            anything(),
            luck.randint(1, 9),
            luck.randint(0, 2),
        )
        names = "title=?, n=?, data=?, author_id=?, folder_id=?, _version=?, _status=?"
        write(f"update papers set {names}, public=? where id=?", *whole, luck.choice([None, 0]), key)
        write("update folders set name=?, team_id=? where id=?", text(), luck.choice(unseen), key)
        write("update memos set text=?, n=?, paper_id=? where id=?", text(), luck.randint(0, 3), anything(), key)
        write("update memos set _owner=?, _access='[1,-2]' where id=?", luck.choice([None, 1]), key)
        write("update cards set face=?, memo_id=?, paper_id=? where id=?", text(), anything(), anything(), key)
        write("update cards set _group=? where id=?", luck.choice([None, 2]), key)
        write("update tags set name=?, hot=? where id=?", text(), luck.choice([None, 1]), key)
    for holder, column in LINKS_TO_HIDDEN:
        for key in (1, 3):
            statement = f"update {holder} set {column}=? where id=? and ({column} is null or {column}%2=0)"
            write(statement, luck.choice(unseen), key)
    relink(connection, luck)


def relink(connection: Any, luck: Random) -> None:
    """Link the ends of many links that Bert does not see otherwise."""
    connection.execute("delete from staff_skills")
    connection.execute("delete from papers_tags where source_id%2=0 or target_id%2=0")
    for junction in ("staff_skills", "papers_tags"):
        for pair in sorted({(luck.randint(1, 4), luck.randint(1, 4)) for _ in range(luck.randint(0, 6))}):
            if junction == "staff_skills" or 0 in (pair[0] % 2, pair[1] % 2):
                connection.execute(f"insert into {junction} (source_id, target_id) values (?, ?)", pair)


def forget(connection: Any, name: str, key: int) -> None:
    """Let a record never have been."""
    for holder, column in LINKS:
        if REFERRED[column] == name:
            connection.execute(f"update {holder} set {column}=null where {column}=?", (key,))
    for junction, ends in JUNCTIONS.items():
        for end, target in zip(("source_id", "target_id"), ends, strict=True):
            if target == name:
                connection.execute(f"delete from {junction} where {end}=?", (key,))
    connection.execute(f"delete from {name} where id=?", (key,))
    tag = minirest.derive_tags([name], {})[name]
    connection.execute("delete from _history where tag=? and record=?", (tag, key))


def retell(connection: Any, luck: Random) -> None:
    """Let the history of what Bert sees have had other hidden values, and led to other hidden records."""

    def other(word: str, value: Any) -> Any:
        if word in HIDDEN:
            return luck.randint(0, 9) if word != "skills" else [luck.randint(1, 4)]
        if isinstance(value, list):
            return [other(word, part) for part in value]
        return luck.choice([2, 4]) if word in ("folder", "memo", "paper", "tags") and value in (2, 4) else value

    for key, word, *texts in connection.execute("select id, field, before, after from _history").fetchall():
        found = [json.loads(value) if value else None for value in texts]
        found = [
            other(word, value) if word else {name: other(name, part) for name, part in (value or {}).items()}
            for value in found
        ]
        told = [None if value is None or value == {} else json.dumps(value) for value in found]
        connection.execute("update _history set before=?, after=? where id=?", (*told, key))


LINKS_TO_HIDDEN = (("papers", "folder_id"), ("memos", "paper_id"), ("cards", "memo_id"), ("cards", "paper_id"))
LINKS = (*LINKS_TO_HIDDEN, ("papers", "author_id"), ("staff", "chief_id"), ("staff", "team_id"), ("folders", "team_id"))
REFERRED = {
    "folder_id": "folders",
    "paper_id": "papers",
    "memo_id": "memos",
    "author_id": "staff",
    "chief_id": "staff",
    "team_id": "teams",
}
JUNCTIONS = {"staff_skills": ("staff", "tags"), "papers_tags": ("papers", "tags")}
GUARDED = ("papers", "folders", "memos", "cards", "tags")
PASTS: list[tuple[str, Row]] = [
    ("staff:update/1", {"salary": 3, "secret": "b", "extra": {"k": 1}, "chief": 2, "skills": [1, 2], "age": 2}),
    ("staff:update/1", {"salary": 2, "chief": 3, "skills": [2], "name": "b"}),
    ("staff:create", {"name": "c", "salary": 1, "chief": 1, "skills": [3]}),
    ("papers:update/1", {"folder": 2, "tags": [1, 2], "title": "b"}),
    ("papers:update/1", {"folder": 4, "tags": [2, 3, 4]}),
    ("papers:update/3", {"folder": 1, "author": 2}),
    ("papers:create", {"title": "c", "public": True, "folder": 2, "tags": [3, 4]}),
    ("cards:update/1", {"memo": 2, "paper": 2}),
    ("papers:update/2", {"title": "c", "folder": 1, "tags": [1, 2]}),
    ("folders:update/2", {"name": "c", "team": 4}),
    ("memos:update/2", {"text": "c", "paper": 1}),
]
"""What Anna did in the past; the last three changes are of hidden records."""


class World:
    """A server with records that Bert sees and others that he does not."""

    def __init__(self, luck: Random, document: Row = DOCUMENT) -> None:
        users = dict.fromkeys(("anna", "bert"), "open-sesame")
        self.app = minirest.make_app(document, users=users, clock=lambda: NOW)
        groups = [self.app.accounts.put_group(name) for name in ("crew", "guild")]
        self.app.accounts.put_user("bert", groups=groups[:1])
        self.app.accounts.put_user("anna", groups=groups, roles=["admin"])
        self.app.accounts.key = KEY
        self.events: list[minirest.Event] = []
        self.connection = unguarded(self.app.store)
        self.connection.execute("pragma foreign_keys=off")
        for name, rows in base_world(luck).items():
            for row in rows:
                marks = ",".join("?" * len(row))
                statement = f"insert into {name} ({','.join(row)}) values ({marks})"
                self.connection.execute(statement, tuple(row.values()))
        for address, body in PASTS:
            assert self.ask("anna", "POST", f"/api/{address}", body).status == 200
        self.app.store.listeners.append(self.events.extend)

    def ask(self, user: str, method: str, address: str, body: Any = None, kind: str = "", **environ: str) -> Answer:
        """A request of a user."""
        credentials = base64.b64encode(f"{user}:open-sesame".encode()).decode()
        return send(self.app, method, address, body, kind, HTTP_AUTHORIZATION=f"Basic {credentials}", **environ)

    def told(self, actor: Actor) -> list[str]:
        """What the actor is told of what has happened since it was last asked; the ids of events count all changes."""
        events, self.events[:] = list(self.events), []
        shown = (self.app.services.hub.render(event, actor) for event in events)
        return [re.sub('"_msgid":"[0-9a-f]{24}"', "", text) for text in shown if text is not None]


@contextmanager
def two_worlds(luck: Random) -> Iterator[tuple[World, World]]:
    """Two worlds that Bert cannot tell apart."""
    seed, kind = luck.randint(0, 2**32), luck.choice(["content", "content", "existence"])
    with closing_world(Random(seed)) as first, closing_world(Random(seed)) as second:
        for world in (first, second):
            vary(world.connection, Random(luck.randint(0, 2**32)))
            retell(world.connection, Random(luck.randint(0, 2**32)))
        if kind == "existence":
            for name in GUARDED:
                for key in (2, 4):
                    if luck.random() < 0.5:
                        forget(second.connection, name, key)
        yield first, second


@contextmanager
def closing_world(luck: Random) -> Iterator[World]:
    """A world, which ends with the block."""
    world = World(luck)
    with closing(world.app):
        yield world


# ---- what Bert asks ----

PATHS: dict[str, str] = {
    "staff": "name age salary secret born extra.k chief.name skills.name team.name papers.title papers.folder.name",
    "papers": "title n day data.k data.a.b public author.name author.salary author.chief.name author.team.name "
    "folder.name folder.team.name folder.papers.n tags.name tags.hot tags.papers.title folder_id author_id id",
    "folders": "name team.name papers.title papers.n papers.tags.name team_id papers.folder.name",
    "teams": "name staff.name staff.salary staff.skills.name folders.name folders.papers.title",
    "memos": "text n paper.title paper.folder.name paper.tags.name cards.face paper_id",
    "cards": "face memo.text memo.n memo.paper.title paper.tags.name paper_id memo_id",
    "tags": "name hot papers.title papers.author.name papers.author.secret papers.folder.name",
}
VALUES = (None, *LETTERS, 0, 1, 2, 3, "2026-01-02", True, False)
JSON_OPERATORS = "$eq $ne $gt $lte $in $notIn $includes $notIncludes $startsWith $empty $notEmpty $dateOn".split()
Request = tuple[str, str, Any, dict[str, str]]


def json_filter(luck: Random, name: str, depth: int = 3) -> Any:
    """A filter in JSON."""
    if depth and luck.random() < 0.5:
        parts = [json_filter(luck, name, depth - 1) for _ in range(luck.randint(1, 3))]
        return luck.choice([{"$and": parts}, {"$or": parts}, {"$not": parts[0]}])
    path = luck.choice(PATHS[name].split())
    if luck.random() < 0.2:
        return {f"{path.partition('.')[0]}.{luck.choice(['$exists', '$notExists'])}": True}
    operator, value = luck.choice(JSON_OPERATORS), luck.choice(VALUES)
    return {f"{path}.{operator}": [value, 1] if operator in ("$in", "$notIn") else value}


def words_of(luck: Random, name: str, size: int = 2) -> list[str]:
    """Some fields and links of a table."""
    return [luck.choice(PATHS[name].split()).partition(".")[0] for _ in range(luck.randint(1, size))]


def asked(address: str, **parameters: Any) -> str:
    """An address with parameters."""
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return f"{address}?{urlencode(given, quote_via=quote)}" if given else address


def uuid(name: str, key: int) -> str:
    """The id of a record in CoreData."""
    return minirest.record_uuid(minirest.derive_tags(list(TABLES), {})[name], 0, key)


def object_id(name: str, key: int) -> str:
    """The id of a record in Platform."""
    return minirest.object_id(minirest.derive_tags(list(TABLES), {})[name], key)


def read_limbas(luck: Random, name: str, key: int) -> Request:
    """A request to Limbas that reads."""
    word = luck.choice(words_of(luck, name))
    operator = luck.choice(["", "[eq]", "[neq]", "[gt]", "[contains]", "[startswith]"])
    value = luck.choice([*map(str, VALUES), "#NULL#", f"#ID#{key}"])
    parameters = luck.choice(
        [
            {f"{word}{operator}": value},
            {"$sort": luck.choice(["", "-"]) + word, "$page[count]": "2"},
            {"$fields": "*", "$archived": "all"},
            {"$fields": ",".join(words_of(luck, name, 3)), f"{word}{operator}": value},
        ]
    )
    address = luck.choice([f"/{name}", f"/{name}/{key}", f"/{name}/{key}/{word}"])
    return "GET", asked(address, **parameters) if address == f"/{name}" else address, None, {}


def read_nocobase(luck: Random, name: str, key: int) -> Request:
    """A request to NocoBase that reads."""
    link = luck.choice(words_of(luck, name))
    address = luck.choice(
        [f"{name}:list", f"{name}:list", f"{name}:get/{key}", f"{name}:get", f"{name}/{key}/{link}:list"]
    )
    choices: Row = {
        "filter": json_filter(luck, name),
        "sort": luck.choice(["", "-"]) + luck.choice(PATHS[name].split()),
        "appends": ",".join(words_of(luck, name)),
        "fields": ",".join(luck.choice(PATHS[name].split()) for _ in range(3)),
        "except": luck.choice(words_of(luck, name)),
        "pageSize": "2",
        "page": luck.choice(["1", "2"]),
    }
    given = luck.sample(sorted(choices), luck.randint(0, 4)) if f"/{link}" not in address else []
    return "GET", asked(f"/api/{address}", **{word: choices[word] for word in given}), None, {}


def read_coredata(luck: Random, name: str, key: int) -> Request:
    """A request to CoreData that reads."""
    path = luck.choice(PATHS[name].split()).replace(".", "__")
    lookup = luck.choice(["", "__exact", "__contains", "__icontains", "__gt", "__in", "__isnull", "__year", "__month"])
    value = luck.choice([str(luck.choice(VALUES)), uuid(name, key)])
    parameters = luck.choice([{path + lookup: value}, {"order_by": luck.choice(["", "-"]) + path, "limit": "2"}])
    base, word = f"/api/v2/{name}", luck.choice(words_of(luck, name))
    several = ";".join(uuid(name, number) for number in (key, 1, 9))
    below = luck.choice(
        ["/", "/", "/schema/", f"/{uuid(name, key)}/", f"/set/{several}/", f"/{uuid(name, key)}/{word}/"]
    )
    return "GET", asked(base + below, **parameters) if below == "/" else base + below, None, {}


def read_platform(luck: Random, name: str, key: int) -> Request:
    """A request to Platform that reads."""
    word = luck.choice(words_of(luck, name))
    value = luck.choice([str(luck.choice(VALUES)), object_id(luck.choice(TABLES), key)])
    parameters = luck.choice(
        [
            {f"where.{word}": value},
            {"search": luck.choice(LETTERS)},
            {"sortBy": luck.choice(["", "-"]) + word, "limit": "2"},
            {"only": ",".join(words_of(luck, name))},
        ]
    )
    one = f"/api/v1/{name}/{object_id(name, key)}"
    address = luck.choice([f"/api/v1/{name}", f"/api/v1/{name}", one, f"{one}/{word}"])
    return "GET", asked(address, **parameters) if address == f"/api/v1/{name}" else address, None, {}


def read_qore(luck: Random, name: str, key: int) -> Request:
    """A request to Qore that reads."""
    word = luck.choice(words_of(luck, name))
    base = f"/api/resources/{name}"
    found: Row = luck.choice(
        [
            {"search_columns": {word: luck.choice([*VALUES, [key]])}},
            {"sort_column": word, "sort_direction": luck.choice(["ascending", "descending"]), "per_page": 2},
            {"tab": luck.choice(["High", "Rich", "Filed", "Poor"])},
        ]
    )
    options = {"query": luck.choice(LETTERS)}
    return luck.choice(
        [
            ("GET", f"{base}/table/{name}", found, {}),
            ("GET", f"{base}/table/{name}", None, {}),
            ("GET", f"{base}/{key}", None, {}),
            ("GET", f"{base}/logs/{key}", None, {}),
            ("GET", f"{base}/create", {"state": {word: key}}, {}),
            ("GET", f"{base}/{key}/edit", None, {}),
            ("GET", f"{base}/field/{word}/options", options, {}),
            ("GET", "/api/global-search", options, {}),
            ("GET", "/api/endpoints", None, {}),
        ]
    )


def read_pages(luck: Random, name: str, key: int) -> Request:
    """A page, or the overview."""
    word = luck.choice(words_of(luck, name))
    base = f"/browse/{name}"
    parameters = luck.choice(
        [
            {"search": luck.choice(LETTERS)},
            {word: luck.choice(["a", "1", ">1", "#2"])},
            {"sort": luck.choice(["", "-"]) + word},
        ]
    )
    address = luck.choice(
        [
            asked(base, **parameters),
            f"{base}/{key}",
            f"{base}/{key}",
            f"{base}/{key}/edit",
            f"{base}/new",
            asked(f"{base}/{key}/links/{word}", **parameters),
            f"{base}/{key}/file/{word}",
            "/",
        ]
    )
    return "GET", address, None, luck.choice([{"HTTP_ACCEPT": "text/html"}, {}])


def body_of(luck: Random, name: str) -> Row:
    """Values for a record: of known and hidden fields, links to seen and hidden records and to none."""
    made: Row = {}
    for word in words_of(luck, name, 3):
        is_link = any(path.startswith(f"{word}.") for path in PATHS[name].split()) and word not in ("data", "extra")
        number = luck.randint(1, 6)
        seen = luck.choice([1, 3])  # a new record under the id of a hidden one is refused: ids are unique
        linked = luck.choice([number, None, [number], {"id": seen}, [{"id": seen, "name": "b"}], {"name": "b"}])
        made[word] = linked if is_link else luck.choice([*VALUES, {"k": 1}])
    return made


def write(luck: Random, name: str, key: int) -> Request:
    """A change: one that is refused, or one that is made."""
    body, link = body_of(luck, name), luck.choice(words_of(luck, name))
    headers = luck.choice([{}, {}, {"HTTP_IF_MATCH": luck.choice(['"1-x"', '"2"', "*"])}])
    base, wrapped = f"/api/{name}", {"data": body}
    where = quote(json.dumps(json_filter(luck, name)))
    form = urlencode({"_token": FORM_TOKEN, **{word: str(value) for word, value in body.items()}}).encode()
    button = urlencode({"_token": FORM_TOKEN, "_do": luck.choice(["delete", "archive", "undo"])}).encode()
    return luck.choice(
        [
            ("POST", f"/{name}", wrapped, {}),
            ("PATCH", f"/{name}/{key}", wrapped, headers),
            ("DELETE", f"/{name}/{key}", None, headers),
            ("PATCH", f"/{name}/{key}/{link}", {"data": [{"id": str(luck.randint(1, 6))}]}, {}),
            ("POST", f"{base}:create", body, {}),
            ("POST", f"{base}:update/{key}", body, headers),
            ("POST", f"{base}:update?filter={where}", body, {}),
            ("POST", f"{base}:destroy?filter={where}", None, {}),
            ("POST", f"{base}:updateOrCreate?filterKeys[]={link}", body, {}),
            ("POST", f"{base}:firstOrCreate?filterKeys[]={link}", body, {}),
            *(("POST", f"{base}/{key}/{link}:{action}", [luck.randint(1, 6)], {}) for action in LINK_ACTIONS),
            ("POST", f"{base}/{key}/{link}:create", {"name": "c"}, {}),
            ("POST", f"/api/v2/{name}/", body, {}),
            ("PATCH", f"/api/v2/{name}/{uuid(name, key)}/", body, headers),
            ("DELETE", f"/api/v2/{name}/{uuid(name, key)}/", None, headers),
            ("POST", f"/api/v1/{name}", body, {}),
            ("PATCH", f"/api/v1/{name}/{object_id(name, key)}", body, headers),
            ("POST", f"/api/resources/{name}", body, {}),
            ("PUT", f"/api/resources/{name}/{key}", body, headers),
            ("PUT", f"/api/resources/{name}/{key}/inline/{link}", body, {}),
            ("POST", f"/api/resources/{name}/actions/archive_resource/{key}", None, {}),
            ("POST", f"/browse/{name}/new", form, FORM),
            ("POST", f"/browse/{name}/{key}/edit", form, FORM),
            ("POST", f"/browse/{name}/{key}", button, FORM),
        ]
    )


FORM = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
FORM_TOKEN = hmac.digest(KEY, b"\0form\0user 2", "sha256").hex()
LINK_ACTIONS = ("set", "add", "remove", "toggle")
READS: tuple[Callable[[Random, str, int], Request], ...] = (
    read_limbas,
    read_nocobase,
    read_nocobase,
    read_coredata,
    read_platform,
    read_qore,
    read_pages,
)


def compare(first: World, second: World, user: str, request: Request) -> Answer:
    """Ask both; the answers are the same."""
    method, address, body, environ = request
    answers = [world.ask(user, method, address, body, **environ) for world in (first, second)]
    assert answers[0] == answers[1], f"{method} {address} {body}"
    assert answers[0].status < 500, answers[0]
    return answers[0]


FEW = settings(derandomize=True, max_examples=10, database=None, suppress_health_check=list(HealthCheck))


@FEW
@given(st.randoms(use_true_random=False))
def test_no_read_tells_the_worlds_apart(luck: Random) -> None:
    """Filters, orders, searches, counts, links, options, tabs, history, forms and pages."""
    with two_worlds(luck) as worlds:
        for _ in range(50):
            name = luck.choice(TABLES)
            compare(*worlds, "bert", luck.choice(READS)(luck, name, luck.randint(1, 6)))


@FEW
@given(st.randoms(use_true_random=False))
def test_no_write_tells_the_worlds_apart(luck: Random) -> None:
    """Bert writes, Anna changes what he sees; he gets the same answers and events, then and later."""
    with two_worlds(luck) as worlds:
        bert = Actor(2, "bert", groups=(1,))
        for _ in range(20):
            name, key = luck.choice(TABLES), luck.randint(1, 6)
            compare(*worlds, "bert", write(luck, name, key))
            compare(*worlds, "bert", luck.choice(READS)(luck, name, key))
            assert worlds[0].told(bert) == worlds[1].told(bert)


MISSPELT = {word: f"q{'x' * len(word)}q" for word in HIDDEN}


@FEW
@given(st.randoms(use_true_random=False))
def test_a_hidden_field_is_as_unknown_as_a_misspelt_one(luck: Random) -> None:
    """The answer to a request that names one says the same of a name that nothing has."""
    with closing_world(luck) as world:
        for _ in range(20):
            key, reads = luck.randint(1, 4), READS[:-1]
            method, address, body, environ = luck.choice([*reads, write])(luck, "staff", key)
            asked_for = json.dumps([address, body if not isinstance(body, bytes) else body.decode()])
            other = re.sub("|".join(HIDDEN), lambda found: MISSPELT[found[0]], asked_for)
            if other == asked_for or method != "GET":
                continue
            path, changed = json.loads(other)
            first, second = (
                world.ask("bert", method, address, body),
                world.ask("bert", method, path, changed, **environ),
            )
            told = re.sub("|".join(HIDDEN), lambda found: MISSPELT[found[0]], first.body.decode())
            assert (first.status, told) == (second.status, second.body.decode()), address


# ---- how long it takes ----

NOTE_RULES: dict[str, Any] = {
    "plain": {"public": True},
    "me": {"owner": "$me"},
    "groups": {"group": "$groups"},
    "link": {"author.team": "red"},
    "links": {"tags.name": "open"},
    "x-access": None,
}
HUNDREDS = list(range(1, 1200))
COSTLY: dict[str, Any] = {
    "or": {"$or": [{"m": 7}, {"text.$includes": "zzz"}]},
    "not": {"$not": {"text.$like": "%x%x%x%z"}},
    "json": {"data.k.$gt": 1},
    "date": {"day.$dateOn": "2024"},
    "list": {"list.$anyOf": ["a"]},
    "one of many": {"$and": [{"m": 7}, {"n.$in": HUNDREDS}]},
    "indexed, and one of many": {"$and": [{"n": 7}, {"id.$in": HUNDREDS}]},
    "unique, and one of many": {"$and": [{"code": "h"}, {"id.$in": HUNDREDS}]},
    "not one of many": {"m.$notIn": HUNDREDS},
    "indexed, and through a link": {"$and": [{"n": 7}, {"author.name.$includes": "a"}]},
    "through two links": {"$and": [{"author.name": "a2"}, {"tags.name.$includes": "t"}]},
    "there and back": {"author.notes.text.$includes": "x"},
    "no link": {"$and": [{"n": 7}, {"tags.$notExists": True}]},
    "a key": {"author_id": 2},
}
SECRETS: list[Row] = [
    {"n": 1},
    {"m": 1},
    {"code": "q"},
    {"text": "x" * 5000},
    {"author_id": 3},
    {"author_id": None},
    {"data": json.dumps({"k": 2, "z": "x" * 5000})},
    {"list": json.dumps(["a"] * 500)},
    {"day": "2024-06-01"},
]
MAX_STEPS = 100
"""What a hidden record may cost in each world, whatever it holds and whatever is asked."""


def notes_app(rule: str) -> minirest.Application:
    """Notes of which Bert sees one; a rule may lead through a link to many records."""
    document: Row = {
        "$defs": {
            "notes": table(
                None,
                n={**INTEGER, "x-index": True},
                m=INTEGER,
                code={**TEXT, "x-unique": True},
                text=TEXT,
                day=DATE,
                data=OBJECT,
                list={"type": "array", "items": TEXT},
                public={"type": "boolean"},
                author=one("authors"),
                tags=many("tags"),
            ),
            "authors": table(None, name=TEXT, team=TEXT, notes=many("notes", **{"x-inverse": "author"})),
            "tags": table(None, name=TEXT),
        }
    }
    document["$defs"]["notes"] |= (
        {"x-rights": {"*": {"*": NOTE_RULES[rule]}}} if NOTE_RULES[rule] else {"x-access": True}
    )
    app = minirest.make_app(document, users=dict.fromkeys(("anna", "bert"), "open-sesame"), clock=lambda: NOW)
    connection = unguarded(app.store)
    connection.execute("pragma foreign_keys=off")
    for key in range(1, 301):
        connection.execute("insert into authors (name, team) values (?, ?)", (f"a{key}", "blue" if key > 1 else "red"))
        connection.execute("insert into tags (name) values (?)", ("open" if key == 1 else f"t{key}",))
    connection.execute(
        "insert into notes (n, m, code, text, public, author_id, _owner, _group) values (2, 2, 'v', 'v', 1, 1, 2, 1)"
    )
    connection.execute("insert into notes_tags (source_id, target_id) values (1, 1)")
    return app


def hide_note(app: minirest.Application, secret: Row) -> None:
    """Put one note that Bert does not see in the place of the former one."""
    row: Row = {"id": 9, "n": 7, "m": 7, "code": "h", "text": "", "author_id": 2, "_owner": 1, **secret}
    connection = unguarded(app.store)
    connection.execute("delete from notes where id=9")
    marks = ",".join("?" * len(row))
    connection.execute(f"insert into notes ({','.join(row)}) values ({marks})", tuple(row.values()))


def steps(app: minirest.Application, op: minirest.Select) -> int:
    """The number of SQLite's steps that an operation of Bert's takes."""
    actor, ticks = Actor(2, "bert", groups=(1,)), list[None]()
    origin = minirest.origin_of(app.schema, actor, "test", app.store.moment())
    guarded = minirest.guard(op, actor, origin.moment, origin.rights)
    assert isinstance(guarded, Select)
    connection = unguarded(app.store)
    connection.set_progress_handler(lambda: ticks.append(None), 1)
    try:
        minirest.read(connection, guarded, origin.sight)
    finally:
        connection.set_progress_handler(None, 0)
    return len(ticks)


def questions(app: minirest.Application, where: Any) -> list[Select]:
    """A filter on notes, in a list with an order, and with the number of all."""
    notes = app.schema.find("notes")
    names = minirest.Names(notes, minirest.NocoBase.manner)
    shape, found = Col(Path((), notes.id)), minirest.filter_from_json(names, where)
    paths = (Path((), notes.fields["text"]), names.path(["author", "name"]), Path((notes.links["tags"],)))
    order = tuple(map(Sort, paths))
    return [Select(notes, shape, found), Select(notes, shape, found, sort=order, page=Page(20), total=True)]


@pytest.mark.parametrize("rule", NOTE_RULES)
def test_no_filter_makes_a_hidden_record_cost_more(rule: str) -> None:
    """Whatever it holds, and whether it is there: the steps differ by what the rule itself takes."""
    with closing(notes_app(rule)) as app:
        for name, where in COSTLY.items():
            for op in questions(app, where):
                app.store.database.writer.execute("delete from notes where id=9")
                found = [steps(app, op)]
                for secret in SECRETS:
                    hide_note(app, secret)
                    found.append(steps(app, op))
                assert max(found) - min(found) <= MAX_STEPS, name


@pytest.mark.parametrize("rule", NOTE_RULES)
def test_a_hidden_record_asked_for_by_its_key_costs_no_more(rule: str) -> None:
    """A rule through links is looked at from the record, and does not collect what it leads to."""
    with closing(notes_app(rule)) as app:
        notes = app.schema.find("notes")
        for key, value in ((notes.id, 9), (notes.fields["code"], "h")):
            op = Select(notes, Col(Path((), notes.id)), Compare(Path((), key), "eq", value), single=True)
            hide_note(app, {})
            there = steps(app, op)
            app.store.database.writer.execute("delete from notes where id=9")
            assert there - steps(app, op) <= MAX_STEPS


# ---- ways around ----


@contextmanager
def serving_for(rights: Row, roles: Row | None = None, **tables: Row) -> Iterator[minirest.Application]:
    """An application with tables and their rights; Anna is `admin`, Bert has nothing but `*` or what `roles` says."""
    document = {
        "$defs": {
            name: {**found, **({"x-rights": rights[name]} if name in rights else {})} for name, found in tables.items()
        }
    }
    users = dict.fromkeys(("anna", "bert"), "open-sesame")
    app = minirest.make_app(document, users=users, clock=lambda: NOW)
    for name, names in ({"anna": ["admin"]} | (roles or {})).items():
        app.accounts.put_user(name, roles=names)
    with closing(app):
        yield app


def ask(app: minirest.Application, user: str, method: str, address: str, body: Any = None, **environ: str) -> Answer:
    """A request of a user."""
    credentials = base64.b64encode(f"{user}:open-sesame".encode()).decode()
    return send(app, method, address, body, HTTP_AUTHORIZATION=f"Basic {credentials}", **environ)


NOTES = table(None, title=TEXT, code={**TEXT, "x-unique": True}, box=one("boxes"))
BOXES = table(None, name=TEXT, notes=many("notes", **{"x-inverse": "box"}))


def test_what_is_remembered_of_one_role_is_not_shown_to_another() -> None:
    """Who sees all notes, but not all of another table, asks first; then who does not see them."""
    rights: Row = {
        "notes": {"editor": {"*": True}, "*": {"*": {"title": "open"}}},
        "logs": {"editor": {"*": {"text": "x"}}, "*": {"*": False}},
    }
    with serving_for(
        rights, {"bert": [], "anna": ["editor"]}, notes=NOTES, boxes=BOXES, logs=table(None, text=TEXT)
    ) as app:
        assert ask(app, "anna", "POST", "/api/boxes:create", {"name": "a", "notes": [{"title": "hush"}]}).status == 200
        address = "/api/boxes:list?fields=name,notes.title"
        shown = {user: ask(app, user, "GET", address).json["data"] for user in ("anna", "bert")}
        assert shown == {"anna": [{"name": "a", "notes": [{"title": "hush"}]}], "bert": [{"name": "a", "notes": []}]}


@pytest.mark.parametrize("word", ["readonly", "hide"])
def test_a_locked_link_is_set_from_neither_end(word: str) -> None:
    """The addresses of a link and its other end set it as little as a body does."""
    rights = {"notes": {"*": {"*": True, word: ["box"]}}}
    with serving_for(rights, notes=NOTES, boxes=BOXES) as app:
        assert ask(app, "anna", "POST", "/api/boxes:create", {"name": "a", "notes": [{"title": "in"}]}).status == 200
        assert ask(app, "anna", "POST", "/api/notes:create", {"title": "out"}).status == 200
        for method, address, body in (
            ("POST", "/api/notes/2/box:set", [1]),
            ("POST", "/api/notes/1/box:remove", None),
            ("POST", "/api/boxes/1/notes:add", [2]),
            ("POST", "/api/boxes/1/notes:remove", [1]),
            ("POST", "/api/boxes/1/notes:create", {"title": "new"}),
            ("PATCH", "/boxes/1/notes", {"data": [{"id": "2"}]}),
        ):
            assert ask(app, "bert", method, address, body).status in (400, 404), address
        ignored = ask(app, "bert", "POST", "/api/boxes:update/1", {"notes": [{"title": "new"}]})
        assert ignored.status == 200  # NocoBase drops the keys of a body that it does not know, or that cannot be set
        assert app.store.database.writer.execute("select box_id from notes order by id").fetchall() == [(1,), (None,)]


def test_a_locked_scope_is_not_set_by_a_move() -> None:
    """To move a record to another scope of the manual order sets a field."""
    cards = {
        **table(None, title=TEXT, state=TEXT, place=INTEGER),
        "x-sort": {"field": "place", "scope": "state"},
    }
    with serving_for({"cards": {"*": {"*": True, "readonly": ["state"]}}}, cards=cards) as app:
        for state in ("open", "done"):
            assert ask(app, "anna", "POST", "/api/cards:create", {"title": "a", "state": state}).status == 200
        for target in ("targetId=2", "targetScope[state]=done"):
            answer = ask(app, "bert", "POST", f"/api/cards:move?sourceId=1&{target}")
            assert (answer.status, [fault["code"] for fault in answer.json["errors"]]) == (400, ["read_only"])
        assert app.store.database.writer.execute("select state, place from cards").fetchall() == [
            ("open", 1),
            ("done", 1),
        ]


def test_who_may_make_no_record_probes_no_unique_value() -> None:
    """A record that a body makes on the way is refused before anything is told of what is there."""
    with serving_for({"notes": {"*": {"link": True}}}, notes=NOTES, boxes=BOXES) as app:
        assert ask(app, "anna", "POST", "/api/notes:create", {"code": "taken"}).status == 200
        assert ask(app, "anna", "POST", "/api/boxes:create", {"name": "a"}).status == 200
        for code in ("taken", "free"):
            answer = ask(app, "bert", "POST", "/api/boxes:update/1", {"notes": [{"code": code}]})
            assert (answer.status, answer.json["errors"][0]["code"]) == (403, "forbidden")


def test_a_taken_value_of_a_hidden_record_is_all_that_is_told() -> None:
    """A rule that something is unique names the field that the caller wrote, and nothing of the other record."""
    with serving_for({"notes": {"*": {"*": {"owner": "$me"}}}}, notes=NOTES, boxes=BOXES) as app:
        assert ask(app, "anna", "POST", "/api/notes:create", {"title": "hush", "code": "taken"}).status == 200
        answer = ask(app, "bert", "POST", "/api/notes:create", {"code": "taken"})
        assert answer.status == 400
        assert answer.json == {"errors": [{"code": "unique", "message": "code already exists"}]}


def test_a_hidden_field_hides_none_of_its_name_in_other_tables() -> None:
    """What is wrong in a table is told with the names that are seen there, whatever is hidden in another one."""
    notes = {**table(None, title=TEXT, code=TEXT, box=one("boxes")), "dependentRequired": {"title": ["code"]}}
    boxes = table(None, name=TEXT, code={**TEXT, "x-unique": True, "maxLength": 2})
    unseen = {"code": "refused", "message": "A rule for something that you do not see forbids this"}
    long = {"code": "maxLength", "message": "Field '{}' must have at most 2 characters"}
    with serving_for({"notes": {"*": {"*": True, "hide": ["code"]}}}, notes=notes, boxes=boxes) as app:

        def errors(address: str, body: Any) -> Any:
            answer = ask(app, "bert", "POST", address, body)
            return answer.json.get("errors", answer.status)

        assert errors("/api/notes:create", {"title": "a"}) == [unseen]
        assert errors("/api/boxes:create", {"code": "abc"}) == [{**long, "message": long["message"].format("code")}]
        nested = [{**long, "message": long["message"].format("box.code")}]
        assert errors("/api/notes:create", {"box": {"code": "abc"}}) == nested
        assert errors("/api/boxes:create", {"code": "a"}) == 200
        assert errors("/api/boxes:create", {"code": "a"}) == [{"code": "unique", "message": "code already exists"}]


def test_a_link_is_hidden_with_all_that_show_the_same() -> None:
    """Two inverse links show the same connections: to hide one of them hides the other, and the link itself."""
    papers = table(None, title=TEXT, author=one("staff"), tags=many("tags"))
    staff = table(None, name=TEXT, **{name: many("papers", **{"x-inverse": "author"}) for name in ("papers", "drafts")})
    tags = table(None, name=TEXT, **{name: many("papers", **{"x-inverse": "tags"}) for name in ("papers", "others")})
    hide = {name: {"*": {"*": True, "hide": ["papers"]}} for name in ("staff", "tags")}
    with serving_for(hide, papers=papers, staff=staff, tags=tags) as app:
        body = {"title": "a", "author": {"name": "b"}, "tags": [{"name": "c"}]}
        assert ask(app, "anna", "POST", "/api/papers:create", body).status == 200
        for name in ("staff", "tags", "papers"):
            shown = ask(app, "bert", "GET", f"/{name}/1").json["data"]["attributes"]
            assert [*shown] == ["title" if name == "papers" else "name"]
        for address in ("staff/1/drafts", "tags/1/others", "papers/1/author", "papers/1/tags"):
            assert [ask(app, user, "GET", f"/{address}").status for user in ("anna", "bert")] == [200, 400]


def test_what_needs_a_record_is_not_named_to_who_does_not_see_it() -> None:
    """A deletion that records of a table forbid which is not for the caller tells neither its name nor how many."""
    notes = table(None, title=TEXT, box=one("boxes", **{"x-delete": "restrict"}))
    with serving_for({"notes": {"editor": {"*": True}}}, notes=notes, boxes=table(None, name=TEXT)) as app:
        assert ask(app, "anna", "POST", "/api/notes:create", {"box": {"name": "a"}}).status == 200
        answer = ask(app, "bert", "POST", "/api/boxes:destroy/1")
        text = "A rule for something that you do not see forbids this"
        assert (answer.status, answer.json) == (400, {"errors": [{"code": "refused", "message": text}]})


@pytest.mark.parametrize("name", ["place", "first"])
def test_what_orders_or_dates_records_cannot_be_hidden(name: str) -> None:
    """Each list would show it."""
    cards = {
        **table({"*": True, "hide": [name]}, title=TEXT, place=INTEGER, first=DATE, last=DATE),
        "x-sort": {"field": "place"},
        "x-validity": {"from": "first", "to": "last"},
    }
    with pytest.raises(minirest.SchemaError, match=f"'{name}' shows in every list; see x-sort and x-validity"):
        minirest.make_app({"$defs": {"cards": cards}}, auth=False)


def test_an_unlisted_record_is_found_by_its_key_alone() -> None:
    """The right to get records is none to search them, neither to read nor to change them."""
    rights = {"notes": {"*": {"get": True, "update": True, "create": True}}, "boxes": {"*": {"*": True}}}
    with serving_for(rights, notes=NOTES, boxes=BOXES) as app:
        assert ask(app, "anna", "POST", "/api/notes:create", {"title": "hush"}).status == 200
        where = quote(json.dumps({"title.$startsWith": "h"}))
        assert ask(app, "bert", "GET", "/api/notes:get/1?fields=title").json == {"data": {"title": "hush"}}
        assert ask(app, "bert", "GET", f"/api/notes:get?filter={where}").status == 403
        assert ask(app, "bert", "POST", f"/api/notes:update?filter={where}", {"title": "x"}).json == {"data": []}
        made = ask(app, "bert", "POST", "/api/notes:firstOrCreate?filterKeys[]=title", {"title": "hush"})
        assert made.json["data"]["id"] == 2


def test_frames_of_one_token_are_not_sent_to_a_narrower_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same user listens with two tokens, one of them for another table."""
    with serving_for({}, notes=NOTES, boxes=BOXES) as app:
        events: list[minirest.Event] = []
        app.store.listeners.append(events.extend)
        assert ask(app, "anna", "POST", "/api/notes:create", {"title": "a"}).status == 200
        hub, shown = app.services.hub, dict[Any, Any]()
        monkeypatch.setattr(hub.accounts, "refresh", lambda actor: actor)
        whole, narrow = Actor(2, "bert"), Actor(2, "bert", scopes=("table:boxes",))
        frames = [hub.tell(actor, events, shown) for actor in (whole, narrow)]
        assert [isinstance(found, list) and [bool(frame) for frame in found] for found in frames] == [[True], []]


def test_a_tab_and_an_option_ask_for_nothing_hidden() -> None:
    """A tab that names a hidden field is not there; options neither depend on a hidden link nor are in its groups."""
    rights = {"notes": {"*": {"*": True, "hide": ["code"]}}, "boxes": {"*": {"*": True, "hide": ["room"]}}}
    notes = {
        **table(None, title=TEXT, code=TEXT, room=one("rooms"), box=one("boxes")),
        "x-tabs": {"All": {}, "Coded": {"code.$notEmpty": True}},
        "x-options": {"box": {"depends": "room", "group": "room"}},
    }
    with serving_for(
        rights, notes=notes, boxes=table(None, name=TEXT, room=one("rooms")), rooms=table(None, name=TEXT)
    ) as app:
        for name in ("a", "b"):
            assert ask(app, "anna", "POST", "/api/boxes:create", {"name": name, "room": {"name": name}}).status == 200
        base = "/api/resources/notes"
        tabs = {user: ask(app, user, "GET", f"{base}/table/notes").json["tabs"] for user in ("anna", "bert")}
        assert {user: [tab["label"] for tab in found] for user, found in tabs.items()} == {
            "anna": ["All", "Coded"],
            "bert": ["All"],
        }
        assert ask(app, "bert", "GET", f"{base}/table/notes", {"tab": "Coded"}).status == 422
        state = {"state": {"room": 1}}
        options = {
            user: ask(app, user, "GET", f"{base}/create", state).json["box"]["options"] for user in ("anna", "bert")
        }
        assert [option.get("label") for option in options["anna"]] == [None, "a"]
        assert [option.get("label") for option in options["bert"]] == ["a", "b"]


def test_who_may_list_nothing_has_an_overview() -> None:
    """The page at / is there, without tables."""
    with serving_for(
        {"notes": {"editor": {"*": True}}, "boxes": {"editor": {"*": True}}}, notes=NOTES, boxes=BOXES
    ) as app:
        answer = ask(app, "bert", "GET", "/", HTTP_ACCEPT="text/html")
        assert (answer.status, b"notes" in answer.body) == (200, False)
