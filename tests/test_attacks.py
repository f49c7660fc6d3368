"""Attacks on names, filters, texts and sizes: what stands where a name may stand is one of the schema, or refused.

Every request goes through `World.ask`, which holds each answer against what no answer may say or lack.
"""

import html
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

import minirest
from tests.hostile import ACTORS, FORM, Asked, World
from tests.web import Answer, send, serialized

ADMIN = ACTORS["admin"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with closing(World()) as made:
        yield made


def q(text: Any) -> str:
    """A text, or a value as JSON, in an address."""
    return quote(text if isinstance(text, str) else json.dumps(text), safe="")


def ask(world: World, method: str, address: str, body: Any = None, kind: str = "", **headers: str) -> Answer:
    """A request of the administrator."""
    return world.ask(Asked(method, address, body, kind, {**ADMIN, **headers}))


def dump(world: World) -> bytes:
    """Everything that is stored, without the counters in the head of the file."""
    return serialized(world.app.store)[100:]


def said(answer: Answer) -> str:
    """The text of an answer."""
    return html.unescape(answer.body.decode())


# ---- names ----

NAMES = (
    *(
        'zx" OR 1=1--',
        "zx`",
        "zx;drop",
        "rowid",
        "oid",
        "_rowid_",
        "sqlite_master",
        "z" * 10_000,
        "zx\u0430",
        "n\uff41me",
    ),
    *('zx"."todos" union select 1', "zx'", "zx)", "zx*/", "zx--", "__proto__", "constructor", "\u201cname\u201d"),
    *('zx" collate nocase', "name COLLATE NOCASE", "_status", "_owner", "_version", "_created", "made()", "\u202ename"),
    *("zx\x1b[2J", "zx]", "zx[", "zx\0", "zx\u200b", "$where", "zx[a')) or 1=1--]", "name asc", "null", "_users"),
)


class Place(NamedTuple):
    """A place where a name may stand: how it is asked, and how another name than those of the schema is refused."""

    words: str
    status: int
    asked: Callable[[World, str], Asked]


def get(address: str) -> Callable[[World, str], Asked]:
    """A GET whose address has the name at `{}`, and the key of an item at `@`."""

    def asked(world: World, name: str) -> Asked:
        keys = {"/api/v2": world.uuid("items", 1), "/api/v1": world.object_id("items", 1)}
        return Asked("GET", address.replace("{}", q(name)).replace("@", keys.get(address[:7], "1")))

    return asked


def write(method: str, address: str, body: Callable[[str], Any], kind: str = "") -> Callable[[World, str], Asked]:
    """A request whose body has the name."""

    def asked(world: World, name: str) -> Asked:
        made = body(name)
        if isinstance(made, str):
            made = f"{made}&_token={world.form_token('admin')}" if address.startswith("/browse") else made
            made = made.encode()
        return Asked(method, address.replace("{}", q(name)).replace("@", world.object_id("items", 1)), made, kind)

    return asked


QORE = "/api/resources/items"
PLACES = (
    # Limbas
    Place("limbas: a field", 400, get("/items?{}=1")),
    Place("limbas: a field and its operator", 400, get("/items?{}[eq]=1")),
    Place("limbas: an operator", 400, get("/items?name[{}]=1")),
    Place("limbas: a table before the field", 400, get("/items?{}[name][eq]=1")),
    Place("limbas: a field behind its table", 400, get("/items?items[{}][eq]=1")),
    Place("limbas: an option", 400, get("/items?${}=1")),
    Place("limbas: $sort", 400, get("/items?$sort={}")),
    Place("limbas: $sort, descending", 400, get("/items?$sort=-{}")),
    Place("limbas: the field of tablename.field", 400, get("/items?$sort=items.{}")),
    Place("limbas: the table of tablename.field", 400, get("/items?$sort={}.name")),
    Place("limbas: $fields", 400, get("/items?$fields={}")),
    Place("limbas: $fields of a record", 400, get("/items/1?$fields=name,{}")),
    Place("limbas: $fields of a link", 400, get("/items/1/labels?$fields={}")),
    Place("limbas: the table of $fields", 400, get("/items?$fields[{}]=name")),
    Place("limbas: $page", 400, get("/items?$page[{}]=1")),
    Place("limbas: $archived", 400, get("/items?$archived={}")),
    Place("limbas: $validity", 400, get("/items?$validity={}")),
    Place("limbas: a table", 400, get("/{}")),
    Place("limbas: a table below the script", 400, get("/main_rest.php/{}")),
    Place("limbas: a link", 400, get("/items/1/{}")),
    Place("limbas: a parameter of a write", 400, write("POST", "/items?{}=1", lambda name: {"data": {"name": "x"}})),
    Place("limbas: an attribute", 400, write("POST", "/items", lambda name: {"data": {"name": "x", name: 1}})),
    Place("limbas: beside the data", 400, write("PATCH", "/items/1", lambda name: {"data": {"name": "x"}, name: 1})),
    Place(
        "limbas: a field of a form", 400, write("POST", "/items", lambda name: f"data[name]=x&data[{q(name)}]=1", FORM)
    ),
    # NocoBase
    Place("nocobase: a parameter", 400, get("/api/items:list?{}=1")),
    Place("nocobase: sort", 400, get("/api/items:list?sort={}")),
    Place("nocobase: sort through a link", 400, get("/api/items:list?sort=-boss.{}")),
    Place("nocobase: fields", 400, get("/api/items:list?fields={}")),
    Place("nocobase: fields in brackets", 400, get("/api/items:get/1?fields[]={}")),
    Place("nocobase: appends", 400, get("/api/items:list?appends={}")),
    Place("nocobase: appends through a link", 400, get("/api/items:list?appends=boss.{}")),
    Place("nocobase: except", 400, get("/api/items:list?except={}")),
    Place("nocobase: except through a link", 400, get("/api/items:list?except=boss.{}")),
    Place("nocobase: except below a column", 400, get("/api/items:list?except=name.{}")),
    Place(
        "nocobase: a key of a filter", 400, lambda world, name: get(f"/api/items:list?filter={q({name: 1})}")(world, "")
    ),
    Place(
        "nocobase: an operator of a filter",
        400,
        lambda world, name: get(f"/api/items:list?filter={q({'name': {f'${name}': 1}})}")(world, ""),
    ),
    Place(
        "nocobase: a key of a filter through a link",
        400,
        lambda world, name: get(f"/api/items:list?filter={q({'boss': {name: 1}})}")(world, ""),
    ),
    Place("nocobase: a key of a filter in brackets", 400, get("/api/items:list?filter[{}][$eq]=1")),
    Place("nocobase: an operator in brackets", 400, get("/api/items:list?filter[name][${}]=1")),
    Place("nocobase: filterKeys", 400, write("POST", "/api/items:firstOrCreate?filterKeys={}", lambda name: {name: 1})),
    Place("nocobase: sortField", 400, write("POST", "/api/items:move?sourceId=1&sortField={}", lambda name: None)),
    Place(
        "nocobase: targetScope", 400, write("POST", "/api/items:move?sourceId=1&targetScope[{}]=1", lambda name: None)
    ),
    Place("nocobase: method", 400, write("POST", "/api/items:move?sourceId=1&method={}", lambda name: None)),
    Place("nocobase: a collection", 404, get("/api/{}:list")),
    Place("nocobase: an action", 404, get("/api/items:{}")),
    Place("nocobase: an association", 404, get("/api/items/1/{}:list")),
    # CoreData
    Place("coredata: a lookup", 400, get("/api/v2/items/?name__{}=1")),
    Place("coredata: a field through a link", 400, get("/api/v2/items/?boss__{}=1")),
    Place("coredata: order_by", 400, get("/api/v2/items/?order_by={}")),
    Place("coredata: order_by through a link", 400, get("/api/v2/items/?order_by=-boss__{}")),
    Place("coredata: an endpoint", 404, get("/api/v2/{}/")),
    Place("coredata: a link", 404, get("/api/v2/items/@/{}/")),
    # Platform
    Place("platform: a parameter", 400, get("/api/v1/items?{}=1")),
    Place("platform: where", 400, get("/api/v1/items?where.{}=1")),
    Place("platform: where through a link", 400, get("/api/v1/items?where.boss.{}=1")),
    Place("platform: sortBy", 400, get("/api/v1/items?sortBy={}")),
    Place("platform: a member of an entity", 400, write("POST", "/api/v1/items", lambda name: {"name": "x", name: 1})),
    Place("platform: a member of a change", 400, write("PATCH", "/api/v1/items/@", lambda name: {name: 1})),
    Place(
        "platform: a member of who signs in", 400, write("POST", "/api/v1/auth", lambda name: {"login": "x", name: 1})
    ),
    Place("platform: a store", 404, get("/api/v1/{}")),
    Place("platform: a link", 404, get("/api/v1/items/@/{}")),
    # Qore
    Place("qore: a parameter", 422, get(f"{QORE}/table/items?{{}}=1")),
    Place("qore: a column to search", 422, get(f"{QORE}/table/items?search_columns[{{}}]=1")),
    Place(
        "qore: the same in a body", 422, write("GET", f"{QORE}/table/items", lambda name: {"search_columns": {name: 1}})
    ),
    Place("qore: sort_column", 422, get(f"{QORE}/table/items?sort_column={{}}")),
    Place("qore: sort_direction", 422, get(f"{QORE}/table/items?sort_direction={{}}")),
    Place("qore: tab", 422, get(f"{QORE}/table/items?tab={{}}")),
    Place("qore: state of a form", 422, get(f"{QORE}/create?state[{{}}]=1")),
    Place("qore: field of a form", 422, get(f"{QORE}/create?field={{}}&action[name]=reloadRelatedOptions")),
    Place("qore: action of a form", 422, get(f"{QORE}/create?field=boss&action[name]={{}}")),
    Place("qore: a value", 422, write("POST", QORE, lambda name: {"name": "x", name: 1})),
    Place("qore: a value of a change", 422, write("PUT", f"{QORE}/1", lambda name: {"name": "x", name: 1})),
    Place("qore: a field of a form", 422, write("POST", QORE, lambda name: f"name=x&{q(name)}=1", FORM)),
    Place("qore: a resource", 404, get("/api/resources/{}/1")),
    Place("qore: a table", 404, get(f"{QORE}/table/{{}}")),
    Place("qore: a field with options", 404, get(f"{QORE}/field/{{}}/options")),
    Place("qore: a field to change", 404, write("PUT", f"{QORE}/1/inline/{{}}", lambda name: {name: 1})),
    Place("qore: an action", 404, write("POST", f"{QORE}/actions/{{}}/1", lambda name: None)),
    # the pages
    Place("pages: a parameter", 400, get("/browse/items?{}=1")),
    Place("pages: sort", 400, get("/browse/items?sort={}")),
    Place("pages: a column to filter", 400, get("/browse/items?filter[{}]=1")),
    Place("pages: archived", 400, get("/browse/items?archived={}")),
    Place("pages: what was done", 400, get("/browse/items?done={}")),
    Place("pages: a field to fill in", 400, get("/browse/items/new?{}=1")),
    Place(
        "pages: a field of a form", 400, write("POST", "/browse/items/new", lambda name: f"name=x&{q(name)}=1", FORM)
    ),
    Place(
        "pages: a field to empty",
        400,
        write("POST", "/browse/items/new", lambda name: f"name=x&_clear={q(name)}", FORM),
    ),
    Place("pages: a button", 400, write("POST", "/browse/items/1", lambda name: f"_version=1&_do={q(name)}", FORM)),
    Place("pages: a table", 404, get("/browse/{}")),
    Place("pages: a link", 404, get("/browse/items/1/links/{}")),
    Place("pages: a file", 404, get("/browse/items/1/file/{}")),
    Place("pages: where to go", 400, get("/login?next={}")),
)
UNREADABLE = {name for name in NAMES if "[" in name or "]" in name or "\0" in name}
"""What cannot be a part of a query or of a path at all is refused, with 400, before anybody reads it as a name."""


def tells(text: str, name: str, address: str) -> bool:
    """Whether a message names what is wrong: the beginning of the name as it came, or the parameter that holds it."""
    if "\0" in name:
        return "NUL" in text or "valid UTF-8" in text
    words = re.findall(r"\w+", name)
    parameters = re.findall(r"[?&]\$?([a-z]+(?:_[a-z]+)?)", address)
    return words[0][:20] in text or any(parameter in text for parameter in parameters)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.words)
def test_hostile_names(world: World, place: Place) -> None:
    """No name but those of the schema is taken anywhere, and the answer says which one was wrong."""
    world.ask(Asked("GET", "/"))
    before = dump(world)
    for name in (*NAMES, "nope"):
        asked = place.asked(world, name)
        answer = world.ask(asked._replace(headers=ADMIN))
        assert answer.status == place.status or (answer.status == 400 and name in UNREADABLE), (
            f"{name!r}: {answer.status} {said(answer)[-500:]}"
        )
        if answer.status != 404:
            assert tells(said(answer), name, asked.address), f"{name!r}: {said(answer)[-500:]}"
        assert dump(world) == before, name


class Dropped(NamedTuple):
    """A place where another name has no effect, and why that stays so."""

    words: str
    why: str
    asked: Callable[[World, str], Asked]
    same: Asked


def new(address: str, method: str = "POST") -> Asked:
    return Asked(method, address, {"name": "x"})


DROPPED = (
    Dropped(
        "limbas: parameters of a record",
        "line 12: only $fields is read",
        get("/items/1?{}=1"),
        Asked("GET", "/items/1"),
    ),
    Dropped(
        "nocobase: a value",
        "4: unknown keys are silently dropped",
        write("POST", "/api/items:create", lambda name: {"name": "x", name: 1}),
        new("/api/items:create"),
    ),
    Dropped(
        "nocobase: whitelist",
        "it compares the keys of a body, of which unknown ones are dropped",
        write("POST", "/api/items:create?whitelist=name,{}", lambda name: {"name": "x"}),
        new("/api/items:create"),
    ),
    Dropped(
        "nocobase: blacklist",
        "as whitelist",
        write("POST", "/api/items:create?blacklist={}", lambda name: {"name": "x"}),
        new("/api/items:create"),
    ),
    Dropped(
        "nocobase: updateAssociationValues",
        "as whitelist",
        write("POST", "/api/items:create?updateAssociationValues[]={}", lambda name: {"name": "x"}),
        new("/api/items:create"),
    ),
    Dropped(
        "coredata: a filter",
        "tastypie ignores what begins with no field",
        get("/api/v2/items/?{}=1&limit=2"),
        Asked("GET", "/api/v2/items/?limit=2"),
    ),
    Dropped(
        "platform: only",
        "76: unknown names are ignored",
        get("/api/v1/items?only={}"),
        Asked("GET", "/api/v1/items?only="),
    ),
)


@pytest.mark.parametrize("place", DROPPED, ids=lambda place: place.words)
def test_names_without_effect(world: World, place: Dropped) -> None:
    """Where an original ignores names, a hostile one changes nothing; it reaches no statement."""
    same = world.ask(place.same._replace(headers=ADMIN))
    for name in NAMES:
        answer = world.ask(place.asked(world, name)._replace(headers=ADMIN))
        if answer.status != 400 or name not in UNREADABLE:
            assert answer.status == same.status, f"{name!r}: {said(answer)[-500:]}"
            assert (
                answer.json.get("objects", 1) == same.json.get("objects", 1)
                if "objects" in said(same)
                else answer.body == same.body
            )


@pytest.mark.parametrize(
    "place", [place for place in DROPPED if "list" not in place.words and "Values" not in place.words]
)
def test_names_without_effect_when_strict(place: Dropped) -> None:
    """A strict server refuses them."""
    with closing(World(strict=True)) as strict:
        for name in ("nope", "__proto__"):
            answer = strict.ask(place.asked(strict, name)._replace(headers=ADMIN))
            assert answer.status == 400, answer
            assert name in said(answer)


# ---- texts to search for ----

TEXTS = ("100%", "a_b\\c", "axb\\c", "50\\%", "%", "_", "\\", "[x]*?", "\u1e9e", "\u00df", "x' OR '1'='1", '"', "")
SEARCHED = ("%", "_", "\\", "a_b", "100%", "[x]", "*", "?", "\\%", "x' OR '1'='1", '"', "' --", "\u1e9e", "A_B", "")


class Search(NamedTuple):
    """One way to search in texts: its address, which texts it finds, and the list in its answer."""

    words: str
    address: Callable[[str], str]
    finds: Callable[[str, str], bool]
    fold: bool
    rows: Callable[[Any], list[str]]


def attributes(body: Any) -> list[str]:
    return [row["attributes"]["name"] for row in body["data"]]


def column(key: str | None, name: str = "name") -> Callable[[Any], list[str]]:
    return lambda body: [row[name] for row in (body[key] if key else body)]


def noco(operator: str) -> Callable[[str], str]:
    return lambda text: f"/api/labels:list?pageSize=100&filter={q({'name': {operator: text}})}"


SEARCHES = (
    Search("limbas contains", lambda t: f"/labels?name[contains]={q(t)}", str.__contains__, True, attributes),
    Search("limbas startswith", lambda t: f"/labels?name[startswith]={q(t)}", str.startswith, True, attributes),
    Search("limbas endswith", lambda t: f"/labels?name[endswith]={q(t)}", str.endswith, True, attributes),
    Search("nocobase $includes", noco("$includes"), str.__contains__, True, column("data")),
    Search("nocobase $startsWith", noco("$startsWith"), str.startswith, True, column("data")),
    Search("nocobase $endsWith", noco("$endsWith"), str.endswith, True, column("data")),
    Search(
        "coredata contains",
        lambda t: f"/api/v2/labels/?name__contains={q(t)}",
        str.__contains__,
        False,
        column("objects"),
    ),
    Search(
        "coredata startswith",
        lambda t: f"/api/v2/labels/?name__startswith={q(t)}",
        str.startswith,
        False,
        column("objects"),
    ),
    Search(
        "coredata iendswith", lambda t: f"/api/v2/labels/?name__iendswith={q(t)}", str.endswith, True, column("objects")
    ),
    Search("platform search", lambda t: f"/api/v1/labels?search={q(t)}", str.__contains__, True, column(None)),
    Search(
        "qore search_columns",
        lambda t: f"/api/resources/labels/table/labels?per_page=100&search_columns[name]={q(t)}",
        str.__contains__,
        True,
        column("data"),
    ),
    Search(
        "qore options",
        lambda t: f"/api/resources/items/field/labels/options?search={q(t)}",
        str.__contains__,
        True,
        column(None, "label"),
    ),
)


@pytest.fixture(scope="module")
def library() -> Iterator[World]:
    """A world whose labels are texts that mean something to other searches."""
    with closing(World()) as made:
        for text in TEXTS:
            assert send(made.app, "POST", "/labels", {"data": {"name": text}}, **ADMIN).status == 201
        made.keep()
        yield made


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.words)
def test_texts_are_literal(library: World, search: Search) -> None:
    """No letter of a text to search for means anything but itself; the empty text is in every text."""
    for text in SEARCHED:
        answer = ask(library, "GET", search.address(text))
        fold = str.lower if search.fold else str
        ascii_only = search.words.startswith("nocobase") and not text.isascii()
        expected = [
            each
            for each in ("new", "hot", *TEXTS)
            if search.finds(each if ascii_only else fold(each), text if ascii_only else fold(text))
        ]
        assert sorted(search.rows(answer.json)) == sorted(expected), text


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.words)
@pytest.mark.parametrize("text", ["x" * 50_000, "%a" * 5_000 + "b"], ids=["long", "many wildcards"])
def test_long_texts(library: World, search: Search, text: str) -> None:
    answer = ask(library, "GET", search.address(text))
    assert answer.status == (422 if search.words.startswith("qore") else 400)
    assert "more than 1000 characters to search for" in said(answer)


# ---- nesting and sizes ----


def nested(depth: int, key: str = "$and") -> Any:
    """A filter in filters."""
    where: Any = {"name": "x"}
    for _ in range(depth):
        where = {key: [where]}
    return where


HEAVY = {
    "deep": nested(30),
    "deep $not": {
        "$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"name": "x"}}}}}}}}}
    },
    "siblings": {"$or": [{"name": str(number)} for number in range(10_000)]},
    "siblings without a term": {"$or": [{}] * 10_000},
    "fields": {f"data.k{number}": 1 for number in range(200)},
    "a path": {".".join(["boss"] * 200 + ["name"]): 1},
    "a path of a path": {
        "boss": {"boss": {"boss": {"boss": {"boss": {"boss": {"boss": {"boss": {"boss": {"name": 1}}}}}}}}}
    },
    "links": {"$or": [{".".join(["boss"] * number + ["name"]): "x"} for number in range(1, 18)]},
    "texts": {"name": {"$includes": ["x"] * 10_000}},
    "a bare list": [[[[[]]]]],
}


@pytest.mark.parametrize("where", HEAVY.values(), ids=HEAVY.keys())
def test_heavy_filters(world: World, where: Any) -> None:
    """Filters are bounded in depth, terms and links, long before a database would be."""
    for address in (f"/api/items:list?filter={q(where)}", f"/api/items:destroy?filter={q(where)}"):
        answer = ask(world, "GET", address)
        assert answer.status == 400, answer
        assert answer.json["errors"][0]["code"] in ("filter_too_large", "bad_filter"), answer


@pytest.mark.parametrize("depth", [65, 2_000, 200_000])
def test_json_in_a_query_is_no_deeper_than_in_a_body(world: World, depth: int) -> None:
    answer = ask(world, "GET", f"/api/items:list?filter={'[' * depth}{']' * depth}")
    assert (answer.status, "nests deeper than 64" in said(answer)) == (400, True)


def test_long_lists_of_values(world: World) -> None:
    """What `in` lists is one bound value, whatever its length."""
    many = [*map(str, range(20_000)), "Anna"]
    assert ask(world, "GET", f"/api/people:list?filter={q({'name': {'$in': many}})}").json["meta"]["count"] == 1
    assert ask(world, "GET", f"/api/v2/people/?name__in={q(','.join(many))}").json["meta"]["total_count"] == 1
    assert len(ask(world, "GET", f"/api/v1/people?where.name={q(','.join(many))}").json) == 1


PARAMETERS = {
    "limbas": "/items?",
    "nocobase": "/api/items:list?",
    "coredata": "/api/v2/items/?",
    "platform": "/api/v1/items?",
    "qore": "/api/resources/items/table/items?",
    "pages": "/browse/items?",
}


@pytest.mark.parametrize("dialect", PARAMETERS)
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("&".join(f"a{number}=1" for number in range(20_000)), "More than 256 parameters"),
        ("a[b][c][d][e][f]=1", "Broken brackets in parameter 'a[b][c][d][e][f]'"),
        ("a" + "[b]" * 10_000 + "=1", "Broken brackets"),
        ("a[b=1", "Broken brackets in parameter 'a[b'"),
        ("a]=1", "Broken brackets"),
        ("=1", "Broken brackets"),
        ("a=%ff", "not valid UTF-8"),
        ("a=%00", "the character NUL"),
        ("%ed%a0%80=1", "not valid UTF-8"),
    ],
    ids=["20,000", "deep", "10,000 brackets", "open", "closed", "nameless", "bad UTF-8", "NUL", "surrogate"],
)
def test_broken_queries(world: World, dialect: str, query: str, told: str) -> None:
    answer = ask(world, "GET", PARAMETERS[dialect] + query)
    if dialect == "coredata" and told.startswith("Broken brackets"):  # letters in a name that it does not know
        assert answer.status == 200
    else:
        assert (answer.status, told in said(answer)) == (400, True), said(answer)[-300:]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (
            "/items?"
            + "&".join(
                f"items[{field}][{op}]=1"
                for field in ("id", "count", "amount", "name")
                for op in ("eq", "neq", "lt", "gt", "lte", "gte")
            ),
            400,
        ),
        ("/items?$sort=" + ",".join(["name", "count"] * 20), 200),
        ("/api/items:list?sort=" + ",".join(f"{'boss.' * number}name" for number in range(15)), 200),
        ("/api/items:list?sort=" + ",".join(f"{'boss.' * number}name" for number in range(18)), 400),
        ("/api/v2/items/?" + "&".join(f"data__{number}=1" for number in range(200)), 400),
        ("/api/v2/items/?" + "__".join(["boss"] * 40) + "__name=1", 400),
        ("/api/v1/items?" + "&".join(f"where.data.k{number}=1" for number in range(101)), 400),
        ("/api/v1/items?where." + ".".join(["boss"] * 40) + "=1", 400),
        ("/api/resources/items/table/items?" + "&".join(f"search_columns[c{number}]=1" for number in range(101)), 422),
        ("/api/items:list?appends=" + ".".join(["boss"] * 40), 400),
        ("/api/items:list?except=" + ".".join(["boss"] * 5_000), 400),
        ("/api/items:list?fields=" + ",".join(["boss.boss.boss.boss.name"] * 1_000), 200),
    ],
)
def test_heavy_lists(world: World, address: str, status: int) -> None:
    assert ask(world, "GET", address).status == status


@pytest.mark.parametrize("dialect", PARAMETERS)
def test_semicolon_is_no_separator(world: World, dialect: str) -> None:
    """`a=1;b=2` is one parameter, with `;` in its value (CVE-2020-28473, CVE-2021-23336)."""
    queries = {
        "limbas": "name=x;$sort=nope",
        "nocobase": "filter[name]=x;sort=nope",
        "coredata": "name=x;order_by=nope",
        "platform": "search=x;sortBy=nope",
        "qore": "search_columns[name]=x;sort_column=nope",
        "pages": "search=x;sort=nope",
    }
    assert ask(world, "GET", PARAMETERS[dialect] + queries[dialect]).status == 200
    assert ask(world, "GET", PARAMETERS[dialect] + queries[dialect].replace(";", "&")).status in (400, 422)


# ---- pages of lists ----

NUMBERS = (
    "-1",
    "0",
    "1e3",
    "\u0663",
    "9223372036854775808",
    "9" * 10_000,
    "",
    " 1",
    "+1",
    "0x10",
    "1.0",
    "1,5",
    "NaN",
    "null",
)
LIMITS = {
    "limbas $page[count]": ("/items?$page[count]={}", {400}, ()),
    "limbas $page[number]": ("/items?$page[count]=1&$page[number]={}", {400}, ()),
    "nocobase page": ("/api/items:list?page={}", {400}, ()),
    "nocobase pageSize": ("/api/items:list?pageSize={}", {400}, ()),
    "coredata limit": ("/api/v2/items/?limit={}", {400}, ("0",)),
    "coredata offset": ("/api/v2/items/?offset={}", {400}, ("0",)),
    "platform limit": ("/api/v1/items?limit={}", {400}, ("0",)),
    "platform offset": ("/api/v1/items?offset={}", {400}, ("0",)),
    "qore per_page": ("/api/resources/items/table/items?per_page={}", {422}, ("", "0", " 1")),
    "qore limit": ("/api/resources/items/field/boss/options?limit={}", {422}, ("", "0", " 1")),
    "pages page": ("/browse/items?page={}", {400}, ("",)),
    "pages older": ("/browse/items/1?older={}", {404}, ()),
}
"""How each number of a list is asked for, how another one is refused, and which of these are taken."""


@pytest.mark.parametrize(("address", "refused", "taken"), LIMITS.values(), ids=LIMITS.keys())
def test_numbers_of_pages(world: World, address: str, refused: set[int], taken: tuple[str, ...]) -> None:
    for number in NUMBERS:
        answer = ask(world, "GET", address.replace("{}", q(number)))
        assert answer.status in ({200} if number in taken else refused), (number, answer.status, said(answer)[-300:])


def test_page_of_qore(world: World) -> None:
    """Laravel reads what is no page as the first one (conformance 37)."""
    first = ask(world, "GET", "/api/resources/items/table/items").json["data"]
    for number in NUMBERS:
        shown = ask(world, "GET", f"/api/resources/items/table/items?page={q(number)}").json
        assert shown["data"] == (first if shown["current_page"] == 1 else []), number


def test_largest_lists(world: World) -> None:
    """A list has no more records than the dialect allows, whatever is asked for."""
    assert ask(world, "GET", "/api/v2/items/?limit=100000").json["meta"]["limit"] == minirest.COREDATA_MAX_LIMIT
    assert len(ask(world, "GET", f"/api/v1/items?limit={2**63 - 1}").json) == 3
    assert ask(world, "GET", f"/api/v1/items?offset={2**63 - 1}").json == []
    assert ask(world, "GET", "/items?$page[count]=999999999&$page[number]=999999999").json["data"] == []
    assert ask(world, "GET", "/api/items:list?page=999999999&pageSize=999999999").json["data"] == []
    assert ask(world, "GET", f"/api/v2/items/?offset={'9' * 18}").json["objects"] == []
    assert ask(world, "GET", "/browse/items?page=999999999").status == 200


# ---- names of a schema file ----


@pytest.mark.parametrize(
    "name",
    [
        'a"b',
        "a]b",
        "a`b",
        "a'b",
        "a;b",
        "a b",
        "a.b",
        "a$b",
        "a-b",
        "_a",
        "1a",
        "",
        "a" * 64,
        "\u00e4",
        "a\0b",
        "sqlite_x y",
    ],
)
def test_names_of_tables_and_fields(name: str) -> None:
    """A schema file cannot bring a name that needs more than quotes; words of SQL are names like others."""
    fields = {"type": "object", "properties": {"x": {"type": "string"}}}
    with pytest.raises(minirest.SchemaError):
        minirest.load_schema({"$defs": {name: fields}})
    with pytest.raises(minirest.SchemaError):
        minirest.load_schema({"$defs": {"a": {"type": "object", "properties": {name: {"type": "string"}}}}})


def test_words_of_sql_as_names() -> None:
    """Tables and fields may be called like words of SQL; every name is quoted."""
    words = (
        "select",
        "table",
        "order",
        "group",
        "where",
        "from",
        "index",
        "values",
        "null",
        "default",
        "union",
        "rowid",
    )
    fields = {word: {"type": "string"} for word in words}
    schema = {"$defs": {word: {"type": "object", "properties": fields} for word in words}}
    with closing(minirest.make_app(schema, auth=False)) as app:
        for word in words:
            made = send(app, "POST", f"/{word}", {"data": dict.fromkeys(words, "x")})
            assert (made.status, made.json["data"]["attributes"][word]) == (201, "x")
            shown = send(app, "GET", f"/{word}?{word}=x&$sort=-{word}&$fields={word}").json["data"]
            assert [row["attributes"] for row in shown] == [{word: "x"}]


@pytest.mark.parametrize("key", ['a"b', "a\u0001b", 'x" or 1=1--'])
def test_keys_in_json_values(world: World, key: str) -> None:
    """A key of a JSON value is part of a path of SQLite, in quotes; what would end them is refused."""
    for address in (f"/api/items:list?filter={q({f'data.{key}': 1})}", f"/api/v1/items?where.data.{q(key)}=1"):
        assert ask(world, "GET", address).status == 400


@pytest.mark.parametrize("key", ["a", "a]b", "a')) or 1=1--", "a$", "\u202e", "*", "#", "a[0]", "__proto__"])
def test_other_keys_in_json_values(world: World, key: str) -> None:
    """All other keys are found as they are, and nothing else is."""
    values = {"data": {"name": "x", "data": {key: "here"}}}
    assert send(world.app, "POST", "/items", values, **ADMIN).status == 201
    world.keep()
    found = ask(world, "GET", f"/api/items:list?filter={q({f'data.{key}': 'here'})}")
    if "." not in key:
        assert [row["data"] for row in found.json["data"]] == [{key: "here"}], found
