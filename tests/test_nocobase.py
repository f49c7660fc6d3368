"""The NocoBase dialect beyond its numbered lines: addresses, parameters, filters, writing, signing in, bad input."""

import json
import sqlite3
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import And, Compare, Filter, Not, Or, Path, Select, Some, Span
from tests import evaluator, test_sql
from tests.web import Answer as WebAnswer
from tests.web import dump, many, one, send, table

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
NOW_TEXT = "2024-06-15T12:00:00.000Z"
JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
TEXT: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}
THINGS: list[dict[str, Any]] = [
    {
        "text": "Abc",
        "whole": 1,
        "ratio": 1.5,
        "flag": True,
        "day": "2024-03-18",
        "at": "2024-03-18T00:00:00.000Z",
        "clock": "08:00:00",
        "pick": "rot",
        "list": ["x", "y"],
        "multi": ["A1"],
        "extra": {"a": 1, "b": {"c": "z"}},
        "code": "one",
    },
    {
        "text": "abcd",
        "whole": -5,
        "ratio": -0.25,
        "flag": False,
        "day": "2024-03-24",
        "at": "2024-03-24T23:59:59.999Z",
        "clock": "12:30:00",
        "pick": "grün",
        "list": [],
        "multi": ["A1", "Ä2"],
        "parent": 1,
    },
    {"text": "", "whole": 0, "ratio": 0, "day": "2024-04-01", "at": "2024-04-01T10:20:30.000Z", "parent": 1},
    {"text": "50%_\\'", "list": ["y"], "parent": 2},
    {},
]


SCHEMA: dict[str, Any] = {
    "$defs": {
        "things": table(
            *THINGS,
            text={"type": "string", "maxLength": 40},
            whole=INTEGER,
            ratio={"type": "number"},
            flag={"type": "boolean"},
            day={"type": "string", "format": "date"},
            at={"type": "string", "format": "date-time"},
            clock={"type": "string", "format": "time"},
            pick={"enum": ["rot", "grün", "Blau"]},
            list={"type": "array", "items": TEXT},
            multi={"type": "array", "items": {"type": "string", "enum": ["A1", "Ä2"]}},
            extra={"type": "object"},
            pin={"type": "string", "format": "password", "writeOnly": True},
            code={**TEXT, "x-unique": True},
            born={**TEXT, "readOnly": True},
            parent=one("things"),
            children=many("things", **{"x-inverse": "parent"}),
        ),
        "authors": table(
            {"name": "Ann"},
            {"name": "Bob"},
            name={**TEXT, "x-unique": True},
            age=INTEGER,
            posts=many("posts", **{"x-inverse": "author"}),
            profile=one("profiles", **{"x-inverse": "author"}),
            required=["name"],
        ),
        "profiles": table(
            {"bio": "of Ann", "author": 1}, {"bio": "of nobody"}, bio=TEXT, author=one("authors", **{"x-column": "aid"})
        ),
        "posts": table(
            {"title": "One", "author": 1},
            {"title": "Two", "author": 2},
            {"title": "Three"},
            title=TEXT,
            author=one("authors", **{"x-column": "authorId"}),
            comments=many("comments", **{"x-inverse": "post"}),
            tags=many("tags", **{"x-through": "postsTags"}),
        ),
        "comments": table(
            {"text": "c1", "post": 1},
            {"text": "c2", "post": 1},
            {"text": "c3", "post": 2},
            text=TEXT,
            post=one("posts", **{"x-column": "postId"}),
        ),
        "tags": table(
            {"name": "t1"},
            {"name": "t2"},
            {"name": "t3"},
            name={"type": "string", "maxLength": 10},
            posts=many("posts", **{"x-inverse": "tags"}),
        ),
        "postsTags": table(
            {"post": 1, "tag": 1, "weight": 5},
            {"post": 1, "tag": 2},
            {"post": 2, "tag": 2, "weight": 7},
            post=one("posts", **{"x-column": "postId"}),
            tag=one("tags", **{"x-column": "tagId"}),
            weight=INTEGER,
            required=["post", "tag"],
        ),
        "shops": table(
            {"code": "ber", "city": "Berlin"},
            {"code": "a/b", "city": "Aachen"},
            code=TEXT,
            city=TEXT,
            goods=many("goods", **{"x-inverse": "shop"}),
            required=["code"],
            **{"x-key": "code"},
        ),
        "goods": table({"name": "milk", "shop": 1}, name=TEXT, shop=one("shops", **{"x-column": "shopId"})),
        "cards": table(
            *({"title": f"{lane}{number}", "lane": lane} for lane in "ab" for number in (1, 2, 3)),
            title=TEXT,
            lane=TEXT,
            **{"x-sort": {"field": "pos", "scope": "lane"}},
            pos=INTEGER,
        ),
        "users": table({"name": "data"}, name=TEXT),
    }
}


class Answer(WebAnswer):
    """An answer whose content is held to its form."""

    @property
    def ids(self) -> list[int]:
        """The ids of a list, or the error that came instead."""
        assert self.status == 200, self.body.decode()
        return [record["id"] for record in self.json["data"]]

    @property
    def errors(self) -> list[tuple[str, str]]:
        """The items of an error, whose form is held."""
        content = self.json
        assert list(content) == ["errors"]
        assert content["errors"]
        assert all(list(error) == ["code", "message"] for error in content["errors"])
        assert self.headers["Content-Type"] == JSON
        return [(error["code"], error["message"]) for error in content["errors"]]


class Web:
    """Calls an application in process, below `/api`, with the bytes as they are given."""

    def __init__(self, schema: Any = SCHEMA, **options: Any) -> None:
        self.now = NOW
        self.app = minirest.make_app(schema, **{"auth": False, "clock": lambda: self.now, **options})
        self.first = sqlite3.connect(":memory:")
        self.app.store.database.writer.backup(self.first)

    def restore(self) -> "Web":
        """Go back to the first records, which is much quicker than a new application."""
        self.now = NOW
        self.first.backup(self.app.store.database.writer)
        return self

    def close(self) -> None:
        """Close both databases."""
        self.first.close()
        self.app.close()

    def __call__(self, method: str, address: str, body: Any = None, kind: str = "", **headers: str) -> Answer:
        path, _, query = address.partition("?")
        address = f"/api{path}?{quote(query, safe='%&=+[]')}"
        return Answer(*send(self.app, method, address, body, kind, **headers))

    def get(self, address: str, **headers: str) -> Any:
        """The data of a GET."""
        answer = self("GET", address, **headers)
        assert answer.status == 200, answer.body.decode()
        return answer.json["data"]

    def post(self, address: str, body: Any = None, **headers: str) -> Any:
        """The data of a POST, or the whole answer when it has none."""
        answer = self("POST", address, body, **headers)
        assert answer.status == 200, answer.body.decode()
        return answer.json.get("data", answer.json)

    def filter(self, where: Any, collection: str = "things") -> list[int]:
        """The ids that a filter selects; the count agrees."""
        answer = self("GET", f"/{collection}:list?fields=id&pageSize=500&filter={encoded(where)}")
        assert answer.json.get("meta", {}).get("count") == len(answer.ids)
        return answer.ids

    def dump(self) -> list[str]:
        """Return everything that is stored."""
        return dump(self.app.store)

    def refuse(self, status: int, errors: Sequence[tuple[str, str]], *request: Any, **headers: str) -> None:
        """Send what is refused, and see that the database has not changed."""
        before = self.dump()
        answer = self(*request, **headers)
        assert (answer.status, answer.errors) == (status, list(errors))
        assert self.dump() == before


def encoded(value: Any) -> str:
    """A value as JSON in a query."""
    return quote(json.dumps(value))


@pytest.fixture(scope="module")
def things() -> Iterator[Web]:
    """Serve the schema, to read from it only."""
    web = Web()
    yield web
    web.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Web]]:
    """Two servers of the schema."""
    made = [Web(), Web()]
    yield made
    for web in made:
        web.close()


@pytest.fixture
def web(servers: list[Web]) -> Web:
    """Serve the schema, to write to it."""
    return servers[0].restore()


@pytest.fixture
def twin(servers: list[Web]) -> Web:
    """The same once more."""
    return servers[1].restore()


# ---- addresses ----

FORMS: list[tuple[str, Any]] = [
    ("/posts:create", {"title": "New"}),
    ("/posts:list", None),
    ("/posts:get/1", None),
    ("/posts:update/1", {"title": "New"}),
    ("/posts:destroy/1", None),
    ("/posts/1/comments:create", {"text": "New"}),
    ("/posts/1/comments:list", None),
    ("/posts/1/comments:get/1", None),
    ("/posts/1/comments:update/1", {"text": "New"}),
    ("/posts/1/comments:destroy/1", None),
    ("/posts/1/tags:create", {"name": "New"}),
    ("/posts/1/tags:get", None),
    ("/posts/1/tags:list", None),
    ("/posts/1/tags:update", {"name": "New"}),
    ("/posts/1/tags:destroy", None),
    ("/posts/1/tags:add", [3]),
    ("/posts/1/tags:remove", [1]),
    ("/posts/1/tags:set", [3]),
    ("/posts/1/tags:toggle", [1]),
    ("/cards:move?sourceId=1&targetId=3", None),
    ("/authors:firstOrCreate?filterKeys=name", {"name": "New"}),
    ("/authors:updateOrCreate?filterKeys=name", {"name": "New"}),
]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("address", "body"), FORMS, ids=[form for form, _ in FORMS])
def test_method_does_not_matter(web: Web, twin: Web, method: str, address: str, body: Any) -> None:
    """Where the action is named, every method does the same as POST: the same answer, the same records."""
    first, second = web("POST", address, body), twin(method, address, body)
    assert first.status == 200
    assert (second.status, second.body) == (first.status, first.body)
    assert twin.dump() == web.dump()


def test_head_runs_the_action(web: Web) -> None:
    """HEAD does as GET does, without a body."""
    assert web("HEAD", "/posts:destroy/1")[::2] == (200, b"")
    assert web.get("/posts:get/1") is None


@pytest.mark.parametrize(("address", "body"), FORMS, ids=[form for form, _ in FORMS])
def test_slash_and_colon(web: Web, twin: Web, address: str, body: Any) -> None:
    """A slash at the end changes nothing, nor does `%3A`."""
    path, mark, query = address.partition("?")
    assert web("POST", f"{path}/{mark}{query}", body).body == twin("POST", address.replace(":", "%3A"), body).body
    assert twin.dump() == web.dump()


ALIASES: list[tuple[str, str, str]] = [
    ("GET", "/posts", "list"),
    ("POST", "/posts", "create"),
    ("DELETE", "/posts?filterByTk=1", "destroy"),
    ("GET", "/posts/1", "get"),
    ("PUT", "/posts/1", "update"),
    ("PATCH", "/posts/1", "update"),
    ("DELETE", "/posts/1", "destroy"),
    ("GET", "/posts/1/comments", "list"),
    ("POST", "/posts/1/comments", "create"),
    ("DELETE", "/posts/1/comments", "destroy"),
    ("GET", "/posts/1/comments/1", "get"),
    ("POST", "/posts/1/comments/1", "create"),
    ("PUT", "/posts/1/comments/1", "update"),
    ("PATCH", "/posts/1/comments/1", "update"),
    ("DELETE", "/posts/1/comments/1", "destroy"),
    ("GET", "/posts/1/tags", "list"),
    ("POST", "/posts/1/tags", "set"),
    ("DELETE", "/posts/1/tags", "destroy"),
    ("GET", "/posts/1/tags/1", "get"),
    ("POST", "/posts/1/tags/3", "add"),
    ("PUT", "/posts/1/tags/1", "update"),
    ("PATCH", "/posts/1/tags/1", "update"),
    ("DELETE", "/posts/1/tags/1", "remove"),
    ("GET", "/posts/1/author", "get"),
    ("DELETE", "/posts/1/author", "remove"),
    ("POST", "/posts/1/author/2", "set"),
    ("GET", "/authors/1/profile", "get"),
    ("POST", "/authors/1/profile", "update"),
    ("PUT", "/authors/1/profile", "update"),
    ("PATCH", "/authors/1/profile", "update"),
    ("DELETE", "/authors/1/profile", "destroy"),
]
BODIES: dict[str, Any] = {"create": {"text": "New", "title": "New"}, "update": {"name": "N", "bio": "N"}, "set": [3]}


@pytest.mark.parametrize(("method", "address", "action"), ALIASES)
def test_alias(web: Web, twin: Web, method: str, address: str, action: str) -> None:
    """Without an action the method decides, by the form of the association; it does what the action does."""
    path, mark, query = address.partition("?")
    parts = path.split("/")
    place = 2 if len(parts) < 4 else 4
    named = "/".join([*parts[: place - 1], f"{parts[place - 1]}:{action}", *parts[place:]]) + mark + query
    body = None if parts[-1] == "2" else BODIES.get(action)
    first, second = web("POST", named, body), twin(method, address, body)
    assert first.status == 200
    assert (second.status, second.body) == (first.status, first.body)
    assert twin.dump() == web.dump()


NO_ALIAS = [
    ("PUT", "/posts"),
    ("PATCH", "/posts"),
    ("POST", "/posts/1"),
    ("PUT", "/posts/1/comments"),
    ("PUT", "/posts/1/tags"),
    ("POST", "/posts/1/author"),
    ("PUT", "/posts/1/author"),
    ("GET", "/posts/1/author/1"),
    ("PATCH", "/posts/1/author/1"),
    ("DELETE", "/posts/1/author/1"),
    ("GET", "/authors/1/profile/1"),
    ("POST", "/authors/1/profile/1"),
    ("PUT", "/authors/1/profile/1"),
    ("DELETE", "/authors/1/profile/1"),
]


@pytest.mark.parametrize(("method", "address"), NO_ALIAS)
def test_no_alias(web: Web, method: str, address: str) -> None:
    """What the table of methods does not have is 404."""
    web.refuse(404, [("not_found", "Not Found")], method, address, {"title": "X"})


def test_actions_of_links_on_a_collection(web: Web) -> None:
    """add and toggle on a collection do nothing, as in the original; set and remove are not there."""
    before = web.dump()
    assert [web.post(f"/posts:{action}", [1]) for action in ("add", "toggle")] == [{}, {}]
    assert web.dump() == before
    for action in ("set", "remove"):
        web.refuse(404, [("not_found", "Not Found")], "POST", f"/posts:{action}", [1])


def test_path_index_means_nothing_to_a_list(things: Web) -> None:
    """`list` takes no notice of keys."""
    assert things("GET", "/posts:list/2?fields=id").ids == [1, 2, 3]
    assert things("GET", "/posts:list?filterByTk=2&fields=id").ids == [1, 2, 3]


# ---- parameters ----

LIST_FORMS = ["{n}={a},{b}", "{n}[]={a}&{n}[]={b}", "{n}[0]={a}&{n}[1]={b}", "{n}={a}&{n}={b}", "{n}%5B%5D={a},{b}"]


@pytest.mark.parametrize("form", LIST_FORMS)
def test_lists_of_names(web: Web, form: str) -> None:
    """Parameters that are lists take all forms in which clients write lists."""

    def spelt(name: str, first: str, second: str) -> str:
        return form.format(n=name, a=first, b=second)

    assert web.get(f"/posts:get/1?{spelt('fields', 'title', 'id')}") == {"title": "One", "id": 1}
    assert list(web.get(f"/posts:get/2?fields=id&{spelt('appends', 'author', 'tags')}")) == ["id", "author", "tags"]
    shown = web.get(f"/posts:get/1?{spelt('except', 'createdAt', 'updatedAt')}")
    assert shown == {"id": 1, "title": "One", "authorId": 1}
    assert web("GET", f"/posts:list?fields=id&{spelt('sort', '-authorId', '-id')}").ids == [2, 1, 3]
    made = web.post(f"/things:create?{spelt('whitelist', 'text', 'whole')}", {"text": "a", "whole": 1, "ratio": 2})
    assert (made["text"], made["whole"], made["ratio"]) == ("a", 1, None)
    made = web.post(f"/things:create?{spelt('blacklist', 'text', 'whole')}", {"text": "a", "whole": 1, "ratio": 2})
    assert (made["text"], made["whole"], made["ratio"]) == (None, None, 2)
    made = web.post(f"/authors:firstOrCreate?{spelt('filterKeys', 'name', 'age')}", {"name": "Dan", "age": 1})
    assert web.post(f"/authors:firstOrCreate?{spelt('filterKeys', 'name', 'age')}", {"name": "Dan", "age": 1}) == made
    assert web.post(f"/comments:destroy?{spelt('filterByTk', '1', '2').replace(',', '&filterByTk=')}") in (1, 2)


def test_several_keys(web: Web) -> None:
    """Several keys in every array form; one key is not cut at commas."""
    assert web.post("/comments:destroy?filterByTk=1,2") == 0
    assert web.post("/comments:destroy?filterByTk[0]=1&filterByTk[1]=2") == 2
    assert web.post("/things:update?filterByTk=1&filterByTk=2&whitelist=whole", {"whole": 8, "text": "no"}) == [
        web.get("/things:get/1"),
        web.get("/things:get/2"),
    ]
    assert web.get("/things:get?filterByTk[]=5&filterByTk[]=3&fields=id") == {"id": 3}


def test_lists_of_names_reach_into_associations(web: Web) -> None:
    """Dotted names let through or hold back single values of nested records."""
    values: Any = {"title": "X", "author": {"name": "Dan", "age": 5}, "tags": [{"name": "n"}]}
    made = web.post("/posts:create?whitelist=author.name", values)
    assert (made["title"], made["author"]["name"], made["author"]["age"]) == (None, "Dan", None)
    assert "tags" not in made
    values["author"]["name"] = "Eve"
    made = web.post("/posts:create?blacklist=author.age,tags", values)
    assert (made["title"], made["author"]["age"], "tags" in made) == ("X", None, False)
    values["author"]["name"] = "Fay"
    assert web.post("/posts:create?whitelist=author", values)["author"]["age"] == 5


SORTS = [
    ("whole", [2, 3, 1, 4, 5]),
    ("-whole", [1, 3, 2, 4, 5]),
    ("text", [3, 4, 1, 2, 5]),
    ("parent.text", [2, 3, 4, 1, 5]),
    ("-parent.text", [4, 2, 3, 1, 5]),
    ("parent.parent.whole,-id", [4, 5, 3, 2, 1]),
    ("flag,-day", [2, 1, 3, 4, 5]),
    ("-createdAt,-id", [5, 4, 3, 2, 1]),
]


@pytest.mark.parametrize(("sort", "ids"), SORTS)
def test_sort(things: Web, sort: str, ids: list[int]) -> None:
    """Nulls last both ways, several terms, through unique links, ties by id."""
    assert things("GET", f"/things:list?fields=id&sort={sort}").ids == ids


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_pages(things: Web, size: int) -> None:
    """All pages together are the whole, whatever the size."""
    answers = [things("GET", f"/things:list?fields=id&pageSize={size}&page={page}&sort=-whole") for page in range(1, 7)]
    assert [number for answer in answers for number in answer.ids] == [1, 3, 2, 4, 5]
    total = -(-5 // size)
    assert [answer.json["meta"] for answer in answers] == [
        {"count": 5, "page": page, "pageSize": size, "totalPage": total} for page in range(1, 7)
    ]


def test_shapes(things: Web) -> None:
    """Fields, appends and except at several levels."""
    author = {"id": 1, "name": "Ann", "age": None, "createdAt": NOW_TEXT, "updatedAt": NOW_TEXT}
    assert things.get("/posts:get/1?fields=id,author") == {"id": 1, "author": author}
    assert things.get("/posts:get/1?fields=id&appends=author.name") == {"id": 1, "author": {"name": "Ann"}}
    assert things.get("/posts:get/1?fields=id&appends=author&except=author") == {"id": 1}
    nested = {"id": 1, "author": {"profile": {"bio": "of Ann"}}}
    assert things.get("/posts:get/1?fields=id,author.profile.bio") == nested
    assert things.get("/posts:get/3?fields=id,author.profile.bio") == {"id": 3, "author": None}
    names = {"id": 1, "tags": [{"name": "t1"}, {"name": "t2"}]}
    assert things.get("/posts:get/1?fields=id,tags.name") == names
    assert things.get("/authors:get/2?appends=profile&fields=name") == {"name": "Bob", "profile": None}
    assert things.get("/posts/1/tags:list?fields=name") == [{"name": "t1"}, {"name": "t2"}]
    assert list(things.get("/things:get/1")) == [
        *("id text whole ratio flag day at clock pick list multi extra code born parent_id createdAt updatedAt".split())
    ]


# ---- filters ----

ALL = [1, 2, 3, 4, 5]
FILTERS: list[tuple[Any, list[int]]] = [
    # equality
    ({"text": "Abc"}, [1]),
    ({"text": "abc"}, []),
    ({"text.$eq": ["Abc", ""]}, [1, 3]),
    ({"text.$ne": "Abc"}, [2, 3, 4, 5]),
    ({"text.$ne": ["Abc", "abcd"]}, [3, 4, 5]),
    ({"text.$ne": None}, [1, 2, 3, 4]),
    ({"text.$is": None}, [5]),
    ({"text.$not": None}, [1, 2, 3, 4]),
    ({"text.$not": "Abc"}, [2, 3, 4]),
    ({"text.$in": ["Abc", "abcd", "none"]}, [1, 2]),
    ({"text.$in": "Abc"}, [1]),
    ({"text.$notIn": ["Abc"]}, [2, 3, 4, 5]),
    ({"text.$notIn": []}, [5]),
    ({"whole": 0}, [3]),
    ({"whole": "1"}, [1]),
    ({"whole.$ne": 1}, [2, 3, 4, 5]),
    ({"ratio.$eq": 1.5}, [1]),
    ({"ratio.$in": [0, -0.25]}, [2, 3]),
    ({"ratio": None}, [4, 5]),
    ({"flag": True}, [1]),
    ({"flag": "true"}, [1]),
    ({"flag.$ne": True}, [2, 3, 4, 5]),
    ({"day": "2024-03-18"}, [1]),
    ({"at": "2024-03-18T00:00:00Z"}, [1]),
    ({"at.$eq": "2024-03-18"}, [1]),
    ({"clock": "08:00:00"}, [1]),
    ({"pick": "grün"}, [2]),
    ({"pick.$ne": "rot"}, [2, 3, 4, 5]),
    ({"extra.a": 1}, [1]),
    ({"extra.b.c": "z"}, [1]),
    ({"extra": {"b": {"c": {"$ne": "z"}}}}, [2, 3, 4, 5]),
    ({"id": 3}, [3]),
    ({"id.$in": [1, "2"]}, [1, 2]),
    ({"id.$ne": 1}, [2, 3, 4, 5]),
    ({"code": "one"}, [1]),
    ({"parent_id": 1}, [2, 3]),
    ({"parent_id": None}, [1, 5]),
    ({"createdAt.$dateOn": "2024-06-15"}, ALL),
    ({"updatedAt.$lt": "2024-06-15"}, []),
    # order
    ({"whole.$gt": 0}, [1]),
    ({"whole.$gte": 0}, [1, 3]),
    ({"whole.$lt": 0}, [2]),
    ({"whole.$lte": 0}, [2, 3]),
    ({"whole.$between": [-5, 0]}, [2, 3]),
    ({"whole.$notBetween": [-5, 0]}, [1]),
    ({"ratio.$gt": -0.25}, [1, 3]),
    ({"text.$gte": "a"}, [2]),
    ({"day.$gt": "2024-03-18"}, [2, 3]),
    ({"day.$lte": "2024-03-24"}, [1, 2]),
    ({"at.$lte": "2024-03-24"}, [1]),
    ({"at.$gt": "2024-03-18T00:00:00.000Z"}, [2, 3]),
    ({"clock.$lt": "12:30:00"}, [1]),
    # text
    ({"text.$includes": "BC"}, [1, 2]),
    ({"text.$includes": ""}, [1, 2, 3, 4]),
    ({"text.$includes": "%_"}, [4]),
    ({"text.$includes": "%"}, [4]),
    ({"text.$includes": "_"}, [4]),
    ({"text.$includes": "\\"}, [4]),
    ({"text.$includes": "'"}, [4]),
    ({"text.$includes": ["d", "%"]}, [2, 4]),
    ({"text.$includes": []}, []),
    ({"text.$notIncludes": "bc"}, [3, 4]),
    ({"text.$notIncludes": ["d", "%"]}, [1, 3]),
    ({"text.$startsWith": "AB"}, [1, 2]),
    ({"text.$startsWith": ["ab", "5"]}, [1, 2, 4]),
    ({"text.$notStartsWith": "ab"}, [3, 4]),
    ({"text.$endWith": "D"}, [2]),
    ({"text.$endsWith": "c"}, [1]),
    ({"text.$endWith": ""}, [1, 2, 3, 4]),
    ({"text.$notEndWith": "c"}, [2, 3, 4]),
    ({"text.$like": "a%"}, [1, 2]),
    ({"text.$like": "ab_"}, [1]),
    ({"text.$notLike": "a%"}, [3, 4]),
    ({"text.$iLike": "A%"}, [1, 2]),
    ({"text.$notILike": "A%"}, [3, 4]),
    ({"pick.$includes": "R"}, [1, 2]),
    # presence
    ({"text.$empty": True}, [3, 5]),
    ({"text.$notEmpty": True}, [1, 2, 4]),
    ({"whole.$empty": True}, [4, 5]),
    ({"whole.$notEmpty": True}, [1, 2, 3]),
    ({"list.$empty": True}, [2, 3, 5]),
    ({"list.$notEmpty": True}, [1, 4]),
    ({"at.$empty": True}, [4, 5]),
    ({"extra.$empty": True}, [2, 3, 4, 5]),
    # lists
    ({"list.$match": ["y", "x"]}, [1]),
    ({"list.$match": []}, [2]),
    ({"list.$notMatch": ["y"]}, [1, 2]),
    ({"list.$anyOf": ["y", "z"]}, [1, 4]),
    ({"list.$anyOf": []}, []),
    ({"list.$noneOf": ["x"]}, [2, 3, 4, 5]),
    ({"list.$arrayEmpty": True}, [2, 3, 5]),
    ({"list.$arrayNotEmpty": True}, [1, 4]),
    ({"multi.$anyOf": ["Ä2"]}, [2]),
    ({"multi.$match": ["Ä2", "A1"]}, [2]),
    # truth
    ({"flag.$isTruly": True}, [1]),
    ({"flag.$isTruly": False}, [2, 3, 4, 5]),
    ({"flag.$isFalsy": True}, [2, 3, 4, 5]),
    ({"flag.$isFalsy": False}, [1]),
    # dates
    ({"day.$dateOn": "2024-03-18"}, [1]),
    ({"day.$dateOn": "2024-03"}, [1, 2]),
    ({"day.$dateNotOn": "2024-03"}, [3]),
    ({"day.$dateBefore": "2024-03-24"}, [1]),
    ({"day.$dateNotBefore": "2024-03-24"}, [2, 3]),
    ({"day.$dateAfter": "2024-03-18"}, [2, 3]),
    ({"day.$dateNotAfter": "2024-03-18"}, [1]),
    ({"at.$dateOn": "2024-03-24"}, [2]),
    ({"at.$dateOn": "2024Q1"}, [1, 2]),
    ({"at.$dateOn": "2024-W13"}, []),
    ({"at.$dateOn": "2024-W12"}, [1, 2]),
    ({"at.$dateOn": "2024-04-01T10"}, [3]),
    ({"at.$dateOn": "2024-04-01T10:20:30.000Z"}, [3]),
    ({"at.$dateOn": "2024-03-25+02:00"}, [2]),
    ({"at.$dateNotOn": "2024-03-24"}, [1, 3]),
    ({"at.$dateAfter": "2024-03-24"}, [3]),
    ({"at.$dateNotAfter": "2024-03-24"}, [1, 2]),
    ({"at.$dateBetween": ["2024-03-18", "2024-03-24"]}, [1, 2]),
    ({"at.$dateBetween": "(2024-03-18,2024-04]"}, [2, 3]),
    ({"at.$dateBetween": "[2024-03-18,2024-04)"}, [1, 2]),
    # links
    ({"parent.text": "Abc"}, [2, 3]),
    ({"parent.text.$ne": "Abc"}, [1, 4, 5]),
    ({"parent.$exists": True}, [2, 3, 4]),
    ({"parent.$notExists": True}, [1, 5]),
    ({"children.$exists": True}, [1, 2]),
    ({"children.$notExists": True}, [3, 4, 5]),
    ({"children.whole.$lt": 1}, [1]),
    ({"children.text.$empty": True}, [1, 3, 4, 5]),
    ({"parent.parent.code": "one"}, [4]),
    ({"parent": {"parent": {"code": {"$notEmpty": True}}}}, [4]),
    ({"children.children.text.$endWith": "'"}, [1]),
    ({"children.extra.a": None}, ALL),
    # groups
    ({}, ALL),
    ([], ALL),
    ({"$and": []}, ALL),
    ({"$or": []}, ALL),
    ({"$not": []}, ALL),
    ({"$or": [], "whole": 1}, [1]),
    ({"$or": [{"whole": 1}, {"text": None}]}, [1, 5]),
    ({"$and": [{"whole.$lt": 1}, {"$or": [{"text": ""}, {"flag": True}]}]}, [3]),
    ({"$not": {"whole": 1}}, [2, 3]),
    ({"$not": [{"whole": 1}, {"flag": True}]}, [2, 3]),
    ({"$not": {"$not": {"whole": 1}}}, [1]),
    ({"whole": {"$or": [1, 0]}}, [1, 3]),
    ({"whole.$or": [{"$lt": 0}, {"$gt": 0}]}, [1, 2]),
    ({"parent": {"$or": [{"text": "Abc"}, {"text": "abcd"}]}}, [2, 3, 4]),
]


@pytest.mark.parametrize(("where", "ids"), FILTERS, ids=[json.dumps(where) for where, _ in FILTERS])
def test_filter(things: Web, where: Any, ids: list[int]) -> None:
    """Every word on every kind it applies to, null rows as its line of the table says."""
    assert things.filter(where) == ids


def test_every_operator_is_asked() -> None:
    """The table above has all operators."""
    words = json.dumps([where for where, _ in FILTERS])
    assert [word for word in minirest.JSON_OPERATORS if f'{word}"' not in words] == []


BRACKETS = [
    ("filter[text]=Abc", [1]),
    ("filter[text.$eq]=Abc", [1]),
    ("filter[text][$eq]=Abc", [1]),
    ("filter[whole][$gte]=0&filter[whole][$lt]=1", [3]),
    ("filter[text]=Abc&filter[text]=abcd", [1, 2]),
    ("filter[text][]=Abc&filter[text][]=abcd", [1, 2]),
    ("filter[text][$in][]=Abc", [1]),
    ("filter[whole]", [4, 5]),
    ("filter[$or][0][whole]=1&filter[$or][1][whole]=0", [1, 3]),
    ("filter[$and][0][whole][$gt]=-9&filter[$and][1][text]=", [3]),
    ("filter[parent][text]=Abc", [2, 3]),
    ("filter[parent.parent.text][$includes]=b", [4]),
    ("filter[list][$anyOf][]=x", [1]),
    ("filter[at][$dateOn]=2024-03", [1, 2]),
    ("filter[day][$dateOn]=2024-03-18", [1]),
    ("filter[flag][$isTruly]=true", [1]),
    ("filter[flag][$isTruly]=false", [2, 3, 4, 5]),
    ("filter=%7B%7D", ALL),
]


@pytest.mark.parametrize(("query", "ids"), BRACKETS)
def test_filter_in_brackets(things: Web, query: str, ids: list[int]) -> None:
    """The bracket form, its values being texts."""
    assert things("GET", f"/things:list?fields=id&{query}").ids == ids


LINK_FILTERS: list[tuple[Any, list[int]]] = [
    ({"tags.name": "t2"}, [1, 2]),
    ({"tags.name.$ne": "t1"}, [1, 2, 3]),
    ({"tags.name.$notIn": ["t1", "t2"]}, [3]),
    ({"tags.$notExists": True}, [3]),
    ({"tags.postsTags.weight.$gt": 5}, [2]),
    ({"tags.name": "t2", "tags.postsTags.weight": 5}, []),
    ({"tags.name": "t1", "tags.postsTags.weight": 5}, [1]),
    ({"comments.text.$startsWith": "c"}, [1, 2]),
    ({"author.profile.bio.$includes": "ann"}, [1]),
    ({"tags.posts.author.name": "Bob"}, [1, 2]),
    ({"$or": [{"author.name": "Ann"}, {"comments.text": "c3"}]}, [1, 2]),
    ({"$not": {"author.name": "Ann"}}, [2]),
]


@pytest.mark.parametrize(("where", "ids"), LINK_FILTERS)
def test_filter_along_links(things: Web, where: Any, ids: list[int]) -> None:
    """Through links of all forms, each record once; one key of several means one linked record."""
    assert things.filter(where, "posts") == ids


# ---- random filters against the evaluator ----

POSTS = test_sql.POSTS
SCALARS = ["text", "integer", "number", "boolean", "date", "moment", "time", "email"]
TEXT_WORDS: dict[str, tuple[Any, bool]] = {
    "$includes": ("contains", False),
    "$startsWith": ("startswith", False),
    "$endWith": ("endswith", False),
    "$notIncludes": ("contains", True),
    "$notStartsWith": ("startswith", True),
    "$notEndWith": ("endswith", True),
}
ORDER_WORDS: dict[str, Any] = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
DATE_WORDS: dict[str, tuple[Any, bool]] = {
    "$dateOn": ("eq", False),
    "$dateNotOn": ("eq", True),
    "$dateBefore": ("lt", False),
    "$dateNotBefore": ("gte", False),
    "$dateAfter": ("gt", False),
    "$dateNotAfter": ("lte", False),
}
DATES = {
    "2024": ("2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z"),
    "2024-02": ("2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z"),
    "2024-02-29": ("2024-02-29T00:00:00.000Z", "2024-03-01T00:00:00.000Z"),
    "2024-01-01T13": ("2024-01-01T13:00:00.000Z", "2024-01-01T14:00:00.000Z"),
}
Asked = tuple[dict[str, Any], Filter]


def named_paths(route: str) -> list[tuple[str, Path]]:
    """The fields at the end of a route and of the link's row, as NocoBase spells them."""
    result = []
    for path in test_sql.PATHS[route]:
        field = path.field
        assert field
        own = field.table is (path.links[-1].target if path.links else POSTS)
        words = [*([route] if route else []), *([] if own else [field.table.name]), field.name]
        known = field.name in (*field.table.fields, "id") and field.kind.name in (*SCALARS, "id", "list", "choices")
        if known and not path.within:
            result.append((".".join(words), path))
    return result


NAMED = {route: named_paths(route) for route in test_sql.ROUTES}


@st.composite
def terms(draw: st.DrawFn, routes: Sequence[str]) -> Asked:
    """One term as JSON, and what the table of operators says that it means."""
    name, path = draw(st.sampled_from(NAMED[draw(st.sampled_from(routes))]))
    field = path.field
    assert field
    kind = field.kind.name
    null = Compare(path, "null")
    pool = [value for value in test_sql.values_of(field) if not isinstance(value, list)]
    if kind in ("list", "choices"):
        return draw(list_terms(name, path))
    words = ["$eq", "$ne", "$in", "$notIn", "$is", "$empty", "$notEmpty", "", "null", "$neNull"]
    words += [*ORDER_WORDS, "$between", "$notBetween"] if kind not in ("boolean", "email") else []
    words += [*TEXT_WORDS, "$like", "$notLike"] if kind in ("text", "email") else []
    words += [*DATE_WORDS] if kind in ("date", "moment") else []
    words += ["$isTruly", "$isFalsy"] if kind == "boolean" else []
    words = [word for word in words if kind != "id" or word in ("$eq", "$ne", "$in", "$notIn", "", "null")]
    word, value = draw(st.sampled_from(words)), draw(st.sampled_from(pool))
    several = draw(st.lists(st.sampled_from(pool), max_size=3))
    equal = Compare(path, "eq", value)
    if word in ("", "$eq"):
        return ({f"{name}.{word}" if word else name: value}, equal)
    if word in ("$is", "null"):
        return ({name if word == "null" else f"{name}.$is": None}, null)
    if word == "$neNull":
        return ({f"{name}.$ne": None}, Not(null))
    if word == "$ne":
        return ({f"{name}.$ne": value}, Or((Not(equal), null)))
    if word == "$in":
        return ({f"{name}.$in": several}, Compare(path, "in", tuple(several)))
    if word == "$notIn":
        meaning = Or((Not(Compare(path, "in", tuple(several))), null)) if several else null
        return ({f"{name}.$notIn": several}, meaning)
    return (
        {f"{name}.{word}": operand_of(word, value, several or [value])},
        meaning_of(path, word, value, several or [value]),
    )


def operand_of(word: str, value: Any, several: list[Any]) -> Any:
    """What stands in the JSON behind a word."""
    if word in ("$between", "$notBetween"):
        return [value, several[0]]
    if word in DATE_WORDS:
        return list(DATES)[len(str(value)) % len(DATES)]
    return True if word in ("$empty", "$notEmpty", "$isTruly", "$isFalsy") else value


def meaning_of(path: Path, word: str, value: Any, several: list[Any]) -> Filter:
    """What a word means in the core."""
    if word in ORDER_WORDS:
        return Compare(path, ORDER_WORDS[word], value)
    if word in TEXT_WORDS:
        op, negative = TEXT_WORDS[word]
        found = Compare(path, op, value, "ascii")
        return Not(found) if negative else found
    if word in ("$between", "$notBetween"):
        between = And((Compare(path, "gte", value), Compare(path, "lte", several[0])))
        return between if word == "$between" else Not(between)
    if word in ("$like", "$notLike"):
        found = Compare(path, "like", value)
        return found if word == "$like" else Not(found)
    if word in DATE_WORDS:
        op, negative = DATE_WORDS[word]
        found = Compare(path, op, Span(*DATES[operand_of(word, value, several)]))
        return Not(found) if negative else found
    if word == "$isTruly":
        return Compare(path, "eq", True)
    if word == "$isFalsy":
        return Or((Compare(path, "eq", False), Compare(path, "null")))
    found = Compare(path, "empty")
    return found if word == "$empty" else Not(found)


@st.composite
def list_terms(draw: st.DrawFn, name: str, path: Path) -> Asked:
    """One term on a list."""
    assert path.field
    pool: list[Any] = [1, 2, 10] if path.field.items and path.field.items.name == "integer" else ["a", "A", "b", "ä"]
    pool = ["red", "Green", "ÄÖ"] if path.field.kind.name == "choices" else pool
    word = draw(st.sampled_from(["$match", "$notMatch", "$anyOf", "$noneOf", "$arrayEmpty", "$arrayNotEmpty"]))
    several = draw(st.lists(st.sampled_from(pool), max_size=3))
    found: Filter = Compare(path, "empty")
    if word in ("$match", "$notMatch"):
        found = Compare(path, "same", tuple(several))
    elif word in ("$anyOf", "$noneOf"):
        found = Compare(path, "any", tuple(several))
    meaning = Not(found) if word in ("$notMatch", "$noneOf", "$arrayNotEmpty") else found
    return ({f"{name}.{word}": several if "Empty" not in word else True}, meaning)


def trees(routes: Sequence[str]) -> st.SearchStrategy[Asked]:
    """Trees of terms; groups that are empty say nothing."""

    def grow(inner: st.SearchStrategy[Asked]) -> st.SearchStrategy[Asked]:
        parts = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            parts.map(lambda found: ({"$and": [part for part, _ in found]}, And(tuple(where for _, where in found)))),
            parts.map(lambda found: ({"$or": [part for part, _ in found]}, Or(tuple(where for _, where in found)))),
            parts.map(lambda found: ({"$not": [p for p, _ in found]}, Not(And(tuple(where for _, where in found))))),
            inner.map(lambda found: ({"$not": found[0]}, Not(found[1]))),
            inner.map(lambda found: ({"$and": [], "$or": [], **found[0]}, found[1])),
        )

    return st.recursive(terms(routes), grow, max_leaves=4)


class Question:
    """A filter as JSON with its meaning, shown as JSON: the registry behind a meaning is endless."""

    def __init__(self, value: Any, where: Filter) -> None:
        self.value, self.where = value, where

    def __repr__(self) -> str:
        return json.dumps(self.value)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Filters over a few routes at a time, so that terms often share their links."""
    routes = draw(st.lists(st.sampled_from(test_sql.ROUTES), min_size=1, max_size=2))
    return Question(*draw(trees(["", *routes])))


class Worlds:
    """Servers over random records, made when they are asked for."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Web, evaluator.Data]] = {}

    def __call__(self, seed: int) -> tuple[Web, evaluator.Data]:
        if seed not in self.made:
            web, data = Web(test_sql.DOCUMENT), test_sql.make_data(seed)
            test_sql.insert(web.app.store.database.writer, data)
            self.made[seed] = web, data
        return self.made[seed]


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    """The servers of this module."""
    worlds = Worlds()
    yield worlds
    for web, _ in worlds.made.values():
        web.close()


@settings(max_examples=300)
@given(seed=st.integers(0, 7), asked=questions(), size=st.sampled_from([1, 2, 3, 5, 20]))
def test_random_filters(worlds: Worlds, seed: int, asked: Question, size: int) -> None:
    """Any filter selects the records that the evaluator does, each once, on every page size."""
    web, data = worlds(seed)
    linked = any(path.links for path in minirest.paths_of(asked.where))
    scope = minirest.Scope("no", minirest.On(NOW_TEXT[:10]))
    op = Select(POSTS, test_sql.JUST_ID, Some(asked.where) if linked else asked.where, scope)
    expected = [spot.record["id"] for spot in evaluator.select(data, op) if spot.record]
    found: list[int] = []
    for page in range(1, len(expected) // size + 2):
        answer = web("GET", f"/posts:list?fields=id&page={page}&pageSize={size}&filter={encoded(asked.value)}")
        found += answer.ids
        total = -(-len(expected) // size)
        meta = {"count": len(expected), "page": page, "pageSize": size, "totalPage": total}
        assert answer.json["meta"] == meta
    assert found == expected


# ---- one statement ----


def test_appends_are_one_statement() -> None:
    """A page of 100 records with three associations is read by one statement, its count by another."""
    web = Web()
    authors = [{"name": f"a{number}", "profile": {"bio": "b"}} for number in range(100)]
    web.post("/authors:create", authors)
    posts = [
        {"title": f"p{n}", "authorId": n + 3, "comments": [{"text": "x"}] * 3, "tags": [1, 2, 3]} for n in range(100)
    ]
    web.post("/posts:create", posts)
    statements: list[str] = []
    web.app.store.database.writer.set_trace_callback(statements.append)
    shown = web.get("/posts:list?pageSize=100&page=1&paginate=false&appends=author,comments,tags&sort=-id")
    web.app.store.database.writer.set_trace_callback(None)
    assert len(shown) == 103
    assert [len(record["comments"]) for record in shown[:100]] == [3] * 100
    reads = [text for text in statements if text.lower().lstrip().startswith(("select", "with"))]
    assert len(reads) == 1, reads
    statements.clear()
    web.app.store.database.writer.set_trace_callback(statements.append)
    assert len(web.get("/posts:list?pageSize=100&appends=author.profile,comments,tags")) == 100
    web.app.store.database.writer.set_trace_callback(None)
    reads = [text for text in statements if text.lower().lstrip().startswith(("select", "with"))]
    assert len(reads) == 2, reads
    web.close()


# ---- writing ----


def test_nested_values(web: Web) -> None:
    """Objects without a key are made, with a key linked; ids link; nothing else changes."""
    made = web.post("/authors:create", {"name": "Dan", "profile": {"bio": "b"}, "posts": [3, {"title": "n"}]})
    assert (made["profile"]["bio"], made["profile"]["aid"]) == ("b", 3)
    assert [(post["id"], post["title"], post["authorId"]) for post in made["posts"]] == [(3, "Three", 3), (4, "n", 3)]
    made = web.post("/posts:create", {"author": {"id": 1, "name": "Changed"}, "tags": [{"id": 99, "name": "no"}, 98]})
    assert (made["author"]["name"], made["tags"]) == ("Ann", [])
    made = web.post("/posts:create", {"author": {"id": 77, "name": "Eve"}})
    assert (made["authorId"], made["author"]["name"]) == (77, "Eve")
    assert web.post("/posts:create", {"tags": 1})["tags"][0]["name"] == "t1"
    assert web.post("/posts:create", {"tags": {"name": "single"}})["tags"][0]["name"] == "single"
    assert web.get("/tags:list?fields=name") == [{"name": name} for name in ("t1", "t2", "t3", "single")]


def test_update_association_values(web: Web) -> None:
    """Linked records take values only where the request says so, at every level by its dotted name."""
    values = {"posts": [{"id": 1, "title": "new", "comments": [{"id": 1, "text": "new"}, 2]}]}
    shown = "/posts:get/1?fields=title,comments.text"
    web.post("/authors:update/1", values)
    assert web.get(shown) == {"title": "One", "comments": [{"text": "c1"}, {"text": "c2"}]}
    web.post("/authors:update/1?updateAssociationValues[]=posts", values)
    assert web.get(shown) == {"title": "new", "comments": [{"text": "c1"}, {"text": "c2"}]}
    names = "updateAssociationValues[]=posts&updateAssociationValues[]=posts.comments"
    web.post(f"/authors:update/1?{names}", values)
    assert web.get(shown) == {"title": "new", "comments": [{"text": "new"}, {"text": "c2"}]}


def rows_of(web: Web, number: int) -> list[tuple[int, Any]]:
    """The tags of a post with the weights of their links."""
    return [(tag["id"], tag["postsTags"]["weight"]) for tag in web.get(f"/posts/{number}/tags:list")]


def test_link_values(web: Web) -> None:
    """Values of the link's own row: in nested values, by create, add and update; kept where they are not named."""
    web.post(
        "/posts:update/3", {"tags": [{"id": 1, "postsTags": {"weight": 1}}, {"name": "n", "postsTags": {"weight": 2}}]}
    )
    assert rows_of(web, 3) == [(1, 1), (4, 2)]
    web.post("/posts:update/3", {"tags": [1, 4, 2]})
    assert rows_of(web, 3) == [(1, 1), (2, None), (4, 2)]
    web.post("/posts/3/tags:add", [[3, {"weight": 9}], 1])
    assert rows_of(web, 3) == [(1, 1), (2, None), (3, 9), (4, 2)]
    assert web.post("/posts/3/tags:update/2", {"name": "x", "postsTags": {"weight": 8}})[0]["name"] == "x"
    assert rows_of(web, 3) == [(1, 1), (2, 8), (3, 9), (4, 2)]
    assert rows_of(web, 2) == [(2, 7)]
    web.post("/posts/3/tags:create", {"name": "y", "postsTags": {"weight": 4}})
    web.post("/posts/3/tags:set", [[1, {"weight": 3}], 5])
    assert rows_of(web, 3) == [(1, 3), (5, 4)]
    assert things_of(web, "/posts/3/tags:list?filter[postsTags.weight]=4&fields=id") == [5]


def things_of(web: Web, address: str) -> list[int]:
    """The ids of a list."""
    return web("GET", address).ids


@pytest.mark.parametrize(
    "ids",
    [
        ("?filterByTk=2", None),
        ("?filterByTk[]=2", None),
        ("?filterByTks[]=2", None),
        ("/2", None),
        ("", [2]),
        ("", ["2"]),
    ],
)
@pytest.mark.parametrize(("action", "expected"), [("add", [1, 2]), ("set", [2]), ("remove", [1]), ("toggle", [1])])
def test_ids_of_links(web: Web, ids: tuple[str, Any], action: str, expected: list[int]) -> None:
    """add, set, remove and toggle take ids from the body, the query and the path."""
    web.post(f"/posts/1/tags:{action}{ids[0]}", ids[1])
    assert things_of(web, "/posts/1/tags:list") == expected


def test_links_without_effect(web: Web) -> None:
    """Objects as a body, unknown ids, and what the form of the association does not know change nothing."""
    before = web.dump()
    for address, body in [
        ("/posts/1/tags:remove", None),
        ("/posts/1/tags:add", {"id": 3}),
        ("/posts/1/tags:add", [99]),
        ("/posts/1/tags:add", [1]),
        ("/posts/1/tags:remove", [3]),
        ("/posts/1/comments:toggle", [1]),
        ("/posts/1/comments:add", [99]),
        ("/posts/1/comments:remove", [3]),
        ("/posts/1/author:add", [2]),
        ("/posts/1/author:toggle", [2]),
        ("/authors/1/profile:add", [2]),
        ("/posts/1/tags:set", [1, 2]),
    ]:
        web.post(address, body)
        assert web.dump() == before, address


def test_unique_links(web: Web) -> None:
    """set, remove, create and destroy of an association to one; a has-one lets the former target go."""
    web.post("/posts/1/author:set", [2])
    assert web.get("/posts/1/author:get?fields=name") == {"name": "Bob"}
    web.post("/posts/1/author:set")
    assert web.get("/posts/1/author:get") is None
    web.post("/authors/1/profile:set", [2])
    assert web.get("/profiles:list?fields=id,aid") == [{"id": 1, "aid": None}, {"id": 2, "aid": 1}]
    made = web.post("/authors/1/profile:create", {"bio": "third"})
    assert (made["id"], made["aid"]) == (3, 1)
    assert web.get("/profiles:list?fields=id,aid") == [
        {"id": 1, "aid": None},
        {"id": 2, "aid": None},
        {"id": 3, "aid": 1},
    ]
    assert web.post("/authors/1/profile:update", {"bio": "new"})["bio"] == "new"
    web.post("/authors/1/profile:remove")
    assert web.get("/authors/1/profile:get") is None
    assert web.post("/authors/1/profile:update", {"bio": "nobody"}) is None
    web.post("/authors/2/profile:set", [1])
    assert web.post("/authors/2/profile:destroy") is True
    assert web.get("/profiles:get/1") is None
    assert web.post("/posts/2/author:destroy") is True
    assert web.get("/posts:get/2?fields=authorId") == {"authorId": None}


def test_associations_without_an_index(web: Web) -> None:
    """update and destroy act on all related records and on no others; a null key is no leave to do so."""
    assert [tag["name"] for tag in web.post("/posts/1/tags:update", {"name": "all"})] == ["all", "all"]
    assert web.get("/tags:list?fields=name") == [{"name": "all"}, {"name": "all"}, {"name": "t3"}]
    assert web.post("/posts/1/comments:destroy?filterByTk") is True
    assert things_of(web, "/comments:list") == [1, 2, 3]
    assert web.post("/posts/1/comments:destroy?filter[text]=c1") is True
    assert things_of(web, "/comments:list") == [2, 3]
    assert web.post("/posts/1/comments:destroy") is True
    assert things_of(web, "/comments:list") == [3]


def test_associations_with_an_empty_filter(web: Web) -> None:
    """A filter that is given and says nothing is refused there too, unless `forceUpdate` is set."""
    expected = [("no_condition", "Neither a key nor a filter says which records are meant")]
    for query in ("filter={}", "filter", 'filter={"$and":[]}', 'filter={"$or":[{}]}'):
        web.refuse(400, expected, "POST", f"/posts/1/comments:destroy?{query}")
        web.refuse(400, expected, "POST", f"/posts/1/tags:update?{query}", {"name": "x"})
    assert web.post("/posts/1/comments:destroy?filter={}&forceUpdate=true") is True
    assert things_of(web, "/comments:list") == [3]


def test_natural_keys(web: Web) -> None:
    """`x-key` is the key: in paths, parents, ids, nested values; no `id` is shown."""
    berlin = {"code": "ber", "city": "Berlin", "createdAt": NOW_TEXT, "updatedAt": NOW_TEXT}
    assert web.get("/shops:get/ber") == berlin
    assert web.get("/shops:get?filterByTk=a%2Fb&fields=city") == {"city": "Aachen"}
    assert web.get("/shops:get?filterByTk=1") is None
    assert web.get("/shops/ber/goods:list?fields=name") == [{"name": "milk"}]
    assert web.post("/goods:create", {"name": "salt", "shop": "a/b"})["shop"]["city"] == "Aachen"
    made = web.post("/goods:create", {"name": "tea", "shop": {"code": "ham", "city": "Hamburg"}})
    assert made["shop"] == {**berlin, "code": "ham", "city": "Hamburg"}
    assert web.post("/shops:update/ham", {"city": "HH"}) == [{**berlin, "code": "ham", "city": "HH"}]
    assert web.post("/shops/ham/goods:add", [1]) == {}
    assert web.get("/shops/ham/goods:list?fields=name") == [{"name": "milk"}, {"name": "tea"}]
    assert web.post("/shops:updateOrCreate?filterKeys=code", {"code": "ham", "city": "H"})[0]["city"] == "H"
    assert web.post("/shops:destroy/ham") == 1
    assert web.filter({"shop.code": "a/b"}, "goods") == [2]


CATALOGUE: dict[str, Any] = {
    "$defs": {
        "tables": table(
            {"name": "table1"},
            {"name": "table2"},
            name=TEXT,
            fields=many("fields", **{"x-inverse": "table", "x-key": "name"}),
            required=["name"],
            **{"x-key": "name"},
        ),
        "fields": table(
            {"name": "title", "label": "Title of a book", "table": 1},
            {"name": "title", "label": "Title of a film", "table": 2},
            {"name": "length", "table": 2},
            name=TEXT,
            label=TEXT,
            table=one("tables"),
            required=["name"],
        ),
    }
}


@pytest.fixture
def catalogue() -> Iterator[Web]:
    """Tables with fields, which have names that are unique in their table only, as in the document."""
    web = Web(CATALOGUE)
    yield web
    web.close()


def test_keys_of_an_association(catalogue: Web) -> None:
    """`x-key` of an association is its target key: both indexes together say which record is meant."""
    assert catalogue.get("/tables/table1/fields/title")["label"] == "Title of a book"
    assert catalogue.get("/tables/table2/fields/title")["label"] == "Title of a film"
    assert catalogue.get("/tables/table2/fields:get?filterByTk=title&fields=id,name") == {"id": 2, "name": "title"}
    assert catalogue.get("/tables/table2/fields:get/length?fields=id") == {"id": 3}
    assert catalogue.get("/tables/table1/fields/length") is None
    assert catalogue.get("/tables/table1/fields/1") is None
    assert catalogue.get("/fields:get/2?fields=id,name") == {"id": 2, "name": "title"}
    assert [it["id"] for it in catalogue.post("/tables/table2/fields:update/title", {"label": "Name"})] == [2]
    assert catalogue.post("/tables/table1/fields:update/length", {"label": "x"}) == []
    keys = "filterByTk[]=title&filterByTk[]=length"
    assert [it["id"] for it in catalogue.post(f"/tables/table2/fields:update?{keys}", {"label": "y"})] == [2, 3]
    assert catalogue.get("/fields:get/1?fields=label") == {"label": "Title of a book"}
    assert catalogue.post("/tables/table1/fields:destroy/title") is True
    assert [it["id"] for it in catalogue.get("/fields:list?fields=id")] == [2, 3]


def test_keys_of_an_association_name_what_is_linked(catalogue: Web) -> None:
    """In the address of `remove` and `set` a key names one of the linked records; in a body stand the ids."""
    assert catalogue.post("/tables/table1/fields:create", {"name": "length"})["id"] == 4
    assert catalogue.post("/tables/table2/fields:remove/length") == {}
    assert catalogue.get("/fields:list?fields=id,table_id") == [
        {"id": 1, "table_id": 1},
        {"id": 2, "table_id": 2},
        {"id": 3, "table_id": None},
        {"id": 4, "table_id": 1},
    ]
    assert catalogue.post("/tables/table2/fields:add/length") == {}
    assert catalogue.get("/tables/table2/fields:list?fields=id") == [{"id": 2}]
    assert catalogue.post("/tables/table2/fields:add", [3]) == {}
    assert catalogue.post("/tables/table2/fields:set?filterByTk=length") == {}
    assert catalogue.get("/tables/table2/fields:list?fields=id") == [{"id": 3}]
    expected = [("bad_value", "Invalid value \"title\" for field '0.id': expected an id")]
    catalogue.refuse(400, expected, "POST", "/tables/table2/fields:remove", ["title"])


def test_keys_of_an_association_are_unique_in_it(catalogue: Web) -> None:
    """No two linked records have one key; the error has an item for each of the two fields, as in the original."""
    taken = [("unique", "table already exists"), ("unique", "name already exists")]
    catalogue.refuse(400, taken, "POST", "/tables/table1/fields:create", {"name": "title"})
    catalogue.refuse(400, taken, "POST", "/fields:update/1", {"table": "table2"})
    second = [("unique", "1.table already exists"), ("unique", "1.name already exists")]
    catalogue.refuse(400, second, "POST", "/tables/table1/fields:create", [{"name": "new"}, {"name": "title"}])


def lanes(web: Web) -> str:
    """The cards in their manual order, lane by lane."""
    cards = web.get("/cards:list?sort=lane,pos&fields=title,lane&paginate=false")
    return " ".join(f"{card['title']}" + ("!" if card["title"][0] != card["lane"] else "") for card in cards)


MOVES = [
    ("sourceId=1&targetId=3", "a2 a3 a1 b1 b2 b3"),
    ("sourceId=3&targetId=1", "a3 a1 a2 b1 b2 b3"),
    ("sourceId=1&targetId=1", "a1 a2 a3 b1 b2 b3"),
    ("sourceId=1&targetId=2&method=insertAfter", "a2 a1 a3 b1 b2 b3"),
    ("sourceId=3&targetId=1&method=insertAfter", "a1 a3 a2 b1 b2 b3"),
    ("sourceId=1&targetId=5", "a2 a3 b1 a1! b2 b3"),
    ("sourceId=1&targetId=5&method=insertAfter", "a2 a3 b1 b2 a1! b3"),
    ('sourceId=1&targetScope={"lane":"b"}', "a2 a3 b1 b2 b3 a1!"),
    ("sourceId=1&targetScope[lane]=b", "a2 a3 b1 b2 b3 a1!"),
    ("sourceId=1&targetScope[lane]=b&method=prepend", "a2 a3 a1! b1 b2 b3"),
    ("sourceId=1&targetScope[lane]=c", "a2 a3 b1 b2 b3 a1!"),
    ("sourceId=3&method=prepend", "a3 a1 a2 b1 b2 b3"),
    ("sourceId=3&sticky=true", "a3 a1 a2 b1 b2 b3"),
    ("sourceId=1&targetId=3&sortField=pos", "a2 a3 a1 b1 b2 b3"),
    ("", "a1 a2 a3 b1 b2 b3"),
]


@pytest.mark.parametrize(("query", "expected"), MOVES)
def test_move(web: Web, query: str, expected: str) -> None:
    """All modes: at and behind a target, into another scope, to an end, on top; times are not touched."""
    web.now = NOW + timedelta(days=1)
    assert web.post(f"/cards:move?{query}", {"ignored": 1}) == "ok"
    assert lanes(web) == expected
    assert {card["updatedAt"] for card in web.get("/cards:list")} == {NOW_TEXT}


def test_find_or_make(web: Web) -> None:
    """firstOrCreate leaves what it finds; updateOrCreate changes it; both make what is not there."""
    before = web.dump()
    found = web.post("/authors:firstOrCreate?filterKeys=name", {"name": "Ann", "age": 9})
    assert found == web.get("/authors:get/1")
    assert web.dump() == before
    assert web.post("/authors:updateOrCreate?filterKeys[]=name", {"name": "Ann", "age": 9}) == [{**found, "age": 9}]
    made = web.post("/authors:updateOrCreate?filterKeys=name", {"name": "Dan", "posts": [1]})
    assert (made["id"], [post["authorId"] for post in made["posts"]]) == (3, [3])
    assert web.post("/things:firstOrCreate?filterKeys=text", {"text": "fresh"})["id"] == 6


def test_find_or_make_of_one_parent(web: Web) -> None:
    """On an association only the parent's records are found; what is made belongs to the parent."""
    before = web.get("/posts:list")
    assert web.post("/authors/1/posts:firstOrCreate?filterKeys=title", {"title": "One"})["id"] == 1
    for number, action in ((4, "firstOrCreate"), (5, "updateOrCreate")):
        title = "Two" if number == 4 else "Three"
        made = web.post(f"/authors/1/posts:{action}?filterKeys=title", {"title": title, "authorId": 2})
        assert (made["id"], made["authorId"]) == (number, 1)
    changed = web.post("/authors/1/posts:updateOrCreate?filterKeys=title", {"title": "Two", "tags": [1]})
    assert [(post["id"], [tag["id"] for tag in post["tags"]]) for post in changed] == [(4, [1])]
    assert web.get("/posts:list")[:3] == before


@pytest.mark.parametrize("parent", ["99", "abc", "0", "-1"])
def test_missing_parent(web: Web, parent: str) -> None:
    """A parent that is missing has nothing; creating below it is refused."""
    before = web.dump()
    assert web("GET", f"/posts/{parent}/comments:list").json == {
        "data": [],
        "meta": {"count": 0, "page": 1, "pageSize": 20, "totalPage": 0},
    }
    assert web.get(f"/posts/{parent}/comments:list?paginate=false") == []
    assert web.get(f"/posts/{parent}/comments:get/1") is None
    assert web.get(f"/posts/{parent}/author:get") is None
    for action in ("create", "add", "set", "remove"):
        for name in ("comments", "tags", "author"):
            answer = web("POST", f"/posts/{parent}/{name}:{action}", {} if action == "create" else [1])
            assert 400 <= answer.status < 500 or answer.json == {}, (name, action)
            if action == "create":
                assert (answer.status, answer.errors) == (404, [("not_found", "Not Found")])
    assert web.dump() == before


def test_times(web: Web) -> None:
    """`updatedAt` changes with a value only; `createdAt` never, and clients set neither."""
    web.now = NOW + timedelta(days=1)
    later = "2024-06-16T12:00:00.000Z"
    assert web.post("/posts:update/1", {"title": "One"})[0]["updatedAt"] == NOW_TEXT
    assert (
        web.post("/posts:update/1", {"title": "new", "createdAt": "2001-01-01T00:00:00Z"})[0]["createdAt"] == NOW_TEXT
    )
    assert web.get("/posts:get/1")["updatedAt"] == later
    made = web.post("/posts:create", {"createdAt": "2001-01-01T00:00:00Z", "updatedAt": "2001-01-01T00:00:00Z"})
    assert (made["createdAt"], made["updatedAt"]) == (later, later)


def test_explicit_id(web: Web) -> None:
    """A create may bring its id; ids that are taken are refused."""
    assert web.post("/tags:create", {"id": 50, "name": "x"})["id"] == 50
    assert web.post("/tags:create", {"name": "y"})["id"] == 51
    answer = web("POST", "/tags:create", {"id": 50, "name": "z"})
    assert (answer.status, answer.errors) == (400, [("unique", "id already exists")])


def test_form_body(web: Web) -> None:
    """A form's values are texts that the kinds read; brackets nest."""
    body = b"title=T&author%5Bname%5D=Dan&tags%5B%5D=1&tags%5B%5D=3"
    made = web("POST", "/posts:create", body, FORM).json["data"]
    assert (made["title"], made["author"]["name"], [tag["id"] for tag in made["tags"]]) == ("T", "Dan", [1, 3])
    body = b"whole=5&ratio=1.5&flag=true&day=2024-01-02&text="
    made = web("POST", "/things:create", body, FORM).json["data"]
    assert [made[name] for name in ("whole", "ratio", "flag", "day", "text")] == [5, 1.5, True, "2024-01-02", ""]


def test_values_round_trip(web: Web) -> None:
    """What a record shows can be written back and reads the same; lists keep their order."""
    first = web.get("/things:get/1")
    made = web.post(
        "/things:create", {**{k: v for k, v in first.items() if k != "id"}, "code": "new", "list": ["b", "a"]}
    )
    assert made == {**first, "id": 6, "code": "new", "list": ["b", "a"]}
    assert web.get("/things:get/6") == made


def test_versions(web: Web) -> None:
    """A record has an ETag; `If-None-Match` saves its text, `If-Match` guards a write."""
    answer = web("GET", "/posts:get/1")
    tag = answer.headers["ETag"]
    assert web("GET", "/posts:get/1", HTTP_IF_NONE_MATCH=tag).status == 304
    assert web("POST", "/posts:update/1", {"title": "new"}, HTTP_IF_MATCH=tag).status == 200
    before = web.dump()
    for address in ("/posts:update/1", "/posts:destroy/1", "/posts/1/author:update"):
        if address != "/posts/1/author:update":
            assert web("POST", address, {"title": "lost"}, HTTP_IF_MATCH=tag).status == 412
    assert web.dump() == before


def test_strict() -> None:
    """`strict` refuses the keys that the original ignores."""
    web = Web(strict=True)
    unknown = [("unknown_field", "Unknown field 'nope' in table 'posts'")]
    web.refuse(400, unknown, "POST", "/posts:create", {"nope": 1})
    web.refuse(400, unknown, "POST", "/posts:update/1", {"nope": 1})
    assert web("POST", "/posts:create", {"createdAt": NOW_TEXT}).status == 400
    assert web("POST", "/posts:create", {"title": "x"}).status == 200
    web.close()


# ---- signing in ----

BASIC = {"HTTP_AUTHORIZATION": "Basic YWRtaW46b3BlbiBzZXNhbWU="}
EMPTY = [("EMPTY_TOKEN", "Unauthenticated. Please sign in to continue.")]
INVALID = [("INVALID_TOKEN", "Your session has expired. Please sign in again.")]


@pytest.fixture
def closed() -> Iterator[Web]:
    """A server that asks for credentials and lets strangers sign up."""
    web = Web(auth=True, users={"admin": "open sesame"}, sign_up=True)
    yield web
    web.close()


def bearer(token: str, **headers: str) -> dict[str, str]:
    """The headers of the official client."""
    return {"HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_X_AUTHENTICATOR": "basic", **headers}


@pytest.mark.parametrize("address", ["/auth:signIn", "/users:signin", "/auth:signIn/"])
@pytest.mark.parametrize("name", ["account", "email"])
def test_sign_in(closed: Web, address: str, name: str) -> None:
    """A sign-in gives the user and a token, which serves until the sign-out."""
    assert closed("GET", "/posts:list").status == 401
    data = closed.post(address, {name: "admin", "password": "open sesame"})
    assert list(data) == ["user", "token"]
    user, token = data["user"], bearer(data["token"])
    assert (user["id"], user["username"]) == (1, "admin")
    assert {"name": "member"} in user["roles"]
    for check in ("/auth:check", "/users:check"):
        assert closed.get(check, **token) == user
        assert closed.get(check) == {}
    assert things_with(closed, token) == [1, 2, 3]
    assert closed.post("/auth:signOut" if address.startswith("/auth") else "/users:signout", b"", **token) == {}
    closed.refuse(401, INVALID, "GET", "/posts:list", **token)
    closed.refuse(401, INVALID, "GET", "/auth:check", **token)


def test_a_session_signs_out(closed: Web) -> None:
    """Who has signed in at another dialect, with a cookie, is known here too, until the sign-out."""
    account = closed.app.accounts.sign_in("admin", "open sesame")
    cookie = {"HTTP_COOKIE": f"sid={closed.app.accounts.open_session(account)[0]}"}
    assert closed.get("/auth:check", **cookie)["username"] == "admin"
    answer = closed("POST", "/auth:signOut", b"", **cookie, **CROSS[0])
    assert (answer.status, [code for code, _ in answer.errors]) == (403, ["cross_site"])
    assert closed.post("/auth:signOut", b"", **cookie) == {}
    closed.refuse(401, INVALID, "GET", "/posts:list", **cookie)
    closed.refuse(401, INVALID, "GET", "/auth:check", **cookie)


def things_with(web: Web, headers: dict[str, str]) -> list[int]:
    """The ids of the posts that somebody sees."""
    return web("GET", "/posts:list", **headers).ids


def test_sign_in_by_email(closed: Web) -> None:
    """A user is found by the e-mail address too."""
    closed.app.accounts.put_user("ann", password="a long one", email="ann@example.org")
    data = closed.post("/auth:signIn", {"email": "ann@example.org", "password": "a long one"})
    assert data["user"]["username"] == "ann"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"account": "admin", "password": "wrong wrong"}, 401, "sign_in"),
        ({"account": "nobody", "password": "open sesame"}, 401, "sign_in"),
        ({"account": "admin"}, 400, "refused"),
        ({"password": "open sesame"}, 400, "refused"),
        ({"account": 1, "password": []}, 400, "refused"),
        ([], 400, "refused"),
        (None, 400, "refused"),
        (b"{", 400, "bad_json"),
    ],
)
def test_sign_in_refused(closed: Web, body: Any, status: int, code: str) -> None:
    """Wrong or missing credentials; unknown users are told nothing else than wrong passwords."""
    before = closed.dump()
    answer = closed("POST", "/auth:signIn", body)
    assert (answer.status, [found for found, _ in answer.errors]) == (status, [code])
    assert closed.dump() == before


def test_token_expires(closed: Web) -> None:
    """A token of a sign-in serves for seven days."""
    token = bearer(closed.post("/auth:signIn", {"account": "admin", "password": "open sesame"})["token"])
    closed.now = NOW + timedelta(days=6, hours=23)
    assert things_with(closed, token) == [1, 2, 3]
    closed.now = NOW + timedelta(days=7, minutes=1)
    closed.refuse(401, INVALID, "GET", "/posts:list", **token)


def test_no_credentials(closed: Web) -> None:
    """Without credentials and with wrong ones; Basic works too."""
    closed.refuse(401, EMPTY, "GET", "/posts:list")
    closed.refuse(401, EMPTY, "POST", "/posts:create", {"title": "x"})
    closed.refuse(401, EMPTY, "GET", "/nope:list")
    closed.refuse(401, INVALID, "GET", "/posts:list", **bearer("nonsense"))
    assert things_with(closed, BASIC) == [1, 2, 3]


@pytest.mark.parametrize("address", ["/auth:signUp", "/users:signup"])
def test_sign_up(closed: Web, address: str) -> None:
    """Strangers make themselves users where the server allows it."""
    values = {"account": "eve", "email": "eve@example.org", "password": "long enough"}
    assert closed.post(address, values) == {}
    data = closed.post("/auth:signIn", {"email": "eve@example.org", "password": "long enough"})
    assert data["user"]["roles"] == [{"name": "member"}]
    closed.refuse(400, [("unique", "account already exists")], "POST", address, values)
    for wrong in (
        {"account": "x", "password": "short"},
        {"account": "a:b", "password": "long enough"},
        {"password": "p"},
    ):
        before = closed.dump()
        answer = closed("POST", address, wrong)
        assert (answer.status, answer.errors[0][0]) == (400, "refused")
        assert closed.dump() == before


def test_no_sign_up() -> None:
    """Without leave a sign-up is not there."""
    web = Web(auth=True, users={"admin": "open sesame"})
    for address in ("/auth:signUp", "/users:signup"):
        web.refuse(404, [("not_found", "Not Found")], "POST", address, {"account": "eve", "password": "long enough"})
    web.close()


def test_a_table_users(closed: Web) -> None:
    """All other actions of `users:` are those of a table; `auth:` has no others."""
    closed.refuse(401, EMPTY, "GET", "/users:list")
    assert [record["name"] for record in closed.get("/users:list", **BASIC)] == ["data"]
    assert closed("GET", "/users:get/1", **BASIC).json["data"]["name"] == "data"
    closed.refuse(404, [("unknown_table", "Not Found")], "GET", "/auth:list", **BASIC)
    closed.refuse(404, [("not_found", "Not Found")], "POST", "/users:signIn", **BASIC)


def test_roles(closed: Web) -> None:
    """`X-Role` may name a role of the user, which then counts alone; everybody is a member."""
    assert things_with(closed, {**BASIC, "HTTP_X_ROLE": "member"}) == [1, 2, 3]
    expected = [("ROLE_NOT_FOUND_FOR_USER", "The role does not belong to the user")]
    closed.refuse(401, expected, "GET", "/posts:list", **BASIC, HTTP_X_ROLE="nope")
    closed.refuse(401, expected, "POST", "/posts/1/tags:add", [3], **BASIC, HTTP_X_ROLE="nope")


CROSS = [
    {"HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_SEC_FETCH_SITE": "same-site"},
    {"HTTP_ORIGIN": "https://evil.example"},
    {"HTTP_ORIGIN": "null"},
]


@pytest.mark.parametrize("headers", CROSS)
@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("GET", "/posts:destroy/1", None),
        ("GET", "/posts/1/tags:remove/1", None),
        ("GET", "/posts:create", None),
        ("GET", "/cards:move?sourceId=1&targetId=2", None),
        ("GET", "/authors:firstOrCreate?filterKeys=name", {"name": "x"}),
        ("POST", "/posts:update/1", {"title": "x"}),
        ("POST", "/auth:signUp", {"account": "eve", "password": "long enough"}),
    ],
)
def test_pages_of_others_do_not_write(
    closed: Web, method: str, address: str, body: Any, headers: dict[str, str]
) -> None:
    """A page of another origin may not write, whatever the method and the credentials."""
    before = closed.dump()
    answer = closed(method, address, body, **BASIC, **headers)
    assert (answer.status, [code for code, _ in answer.errors]) == (403, ["cross_site"])
    assert closed.dump() == before


def test_a_get_that_writes(closed: Web) -> None:
    """A GET writes for our own pages and for programs."""
    for site in ("same-origin", "none"):
        assert closed("GET", "/posts/1/tags:remove/1", **BASIC, HTTP_SEC_FETCH_SITE=site).json == {}
    assert closed("GET", "/posts:destroy/1", **BASIC).json == {"data": 1}


# ---- bad input ----


def deep(levels: int) -> Any:
    """A filter that nests."""
    return {"whole": 1} if levels == 0 else {"$and": [deep(levels - 1)]}


def unknown(name: str, of: str = "things", hint: str = "") -> list[tuple[str, str]]:
    """The error for an unknown field."""
    return [("unknown_field", f"Unknown field {name!r} in table {of!r}{hint}")]


NOT_FOUND = [("not_found", "Not Found")]
REFUSED: list[tuple[str, Any, int, list[str]]] = [
    ("/nope:list", None, 404, ["unknown_table"]),
    ("/nope/1/posts:list", None, 404, ["unknown_table"]),
    ("/posts:nope", None, 404, ["not_found"]),
    ("/posts:LIST", None, 404, ["not_found"]),
    ("/posts/1/nope:list", None, 404, ["unknown_link"]),
    ("/posts/1/title:list", None, 404, ["unknown_link"]),
    ("/posts/1/comments:nope", None, 404, ["not_found"]),
    ("/posts/1/comments:move?sourceId=1", None, 400, ["not_sortable"]),
    ("/posts/1/author:list", None, 400, ["refused"]),
    ("/posts:list?nope=1", None, 400, ["unknown_parameter"]),
    ("/posts:list?page=0", None, 400, ["bad_parameter"]),
    ("/posts:list?page=x", None, 400, ["bad_parameter"]),
    ("/posts:list?page=1&page=2", None, 400, ["bad_parameter"]),
    ("/posts:list?pageSize=0", None, 400, ["bad_parameter"]),
    ("/posts:list?pageSize=-1", None, 400, ["bad_parameter"]),
    ("/posts:list?pageSize[a]=1", None, 400, ["bad_parameter"]),
    ("/posts:list?fields=nope", None, 400, ["unknown_field"]),
    ("/posts:list?fields=id, title", None, 400, ["unknown_field"]),
    ("/posts:list?fields=title.x", None, 400, ["unknown_field"]),
    ("/posts:list?fields[a]=id", None, 400, ["bad_parameter"]),
    ("/posts:list?appends=nope", None, 400, ["unknown_field"]),
    ("/posts:list?appends=author.nope", None, 400, ["unknown_field"]),
    ("/posts:list?except=nope", None, 400, ["unknown_field"]),
    ("/things:list?fields=createdById", None, 400, ["unknown_field"]),
    ("/posts:list?fields=id&appends=author.posts.tags.posts.author.posts", None, 400, ["bad_parameter"]),
    ("/posts:list?fields=" + ".".join(["author.posts"] * 30), None, 400, ["bad_parameter"]),
    ("/posts:list?sort=" + ".".join(["author.posts"] * 30), None, 400, ["filter_too_large"]),
    ("/posts:list?sort=nope", None, 400, ["unknown_field"]),
    ("/posts:list?sort=author.nope", None, 400, ["unknown_field"]),
    ("/posts:list?filter=", None, 400, ["bad_parameter"]),
    ("/posts:list?filter={", None, 400, ["bad_parameter"]),
    ("/posts:list?filter=5", None, 400, ["bad_filter"]),
    ('/posts:list?filter={"a":1,"a":2}', None, 400, ["bad_parameter"]),
    ('/posts:list?filter={"nope":1}', None, 400, ["unknown_field"]),
    ('/posts:list?filter={"title.$nope":1}', None, 400, ["unknown_operator"]),
    ('/posts:list?filter={"title.$regexp":"a"}', None, 400, ["unknown_operator"]),
    ('/posts:list?filter={"author":1}', None, 400, ["bad_filter"]),
    ('/posts:list?filter={"author.nope":1}', None, 400, ["unknown_field"]),
    ('/posts:list?filter={"$and":{}}', None, 400, ["bad_filter"]),
    ('/posts:list?filter={"title.$eq.x":1}', None, 400, ["bad_filter"]),
    ('/things:list?filter={"whole":"abc"}', None, 400, ["bad_value"]),
    ('/things:list?filter={"whole.$between":[1]}', None, 400, ["bad_filter"]),
    ('/things:list?filter={"day":"never"}', None, 400, ["bad_value"]),
    ('/things:list?filter={"at.$dateOn":"never"}', None, 400, ["bad_value"]),
    ('/things:list?filter={"text.$dateOn":"2024"}', None, 400, ["bad_filter"]),
    ('/things:list?filter={"whole.$includes":1}', None, 400, ["unknown_operator"]),
    ('/things:list?filter={"list.$gt":1}', None, 400, ["unknown_operator"]),
    (f"/things:list?filter={encoded(deep(9))}", None, 400, ["filter_too_large"]),
    (f"/things:list?filter={encoded({'$or': [{'whole': n} for n in range(101)]})}", None, 400, ["filter_too_large"]),
    ("/posts:update", {"title": "x"}, 400, ["no_condition"]),
    ("/posts:update?filter={}", {"title": "x"}, 400, ["no_condition"]),
    ("/posts:destroy", None, 400, ["no_condition"]),
    ("/posts:destroy?filter", None, 400, ["no_condition"]),
    ("/posts:destroy?forceUpdate=perhaps", None, 400, ["bad_parameter"]),
    ("/posts:create", {"title": 5}, 400, ["bad_value"]),
    ("/posts:create", {"author": [1]}, 400, ["refused"]),
    ("/posts:create", {"author": 99}, 400, ["link_missing"]),
    ("/posts:create", {"author": True}, 400, ["bad_value"]),
    ("/posts:create", {"author": {"age": 1}}, 400, ["required"]),
    ("/posts:create", {"tags": ["x"]}, 400, ["bad_value"]),
    ("/posts:create", {"tags": [{"name": "much too long"}]}, 400, ["maxLength"]),
    ("/posts:create", {"tags": [{"id": 1, "postsTags": 5}]}, 400, ["bad_body"]),
    ("/posts:create", {"tags": [{"id": 1, "postsTags": {"weight": "x"}}]}, 400, ["bad_value"]),
    ("/posts:create", [{"title": "fine"}, {"title": 5}], 400, ["bad_value"]),
    ("/posts:create", [1], 400, ["bad_body"]),
    ("/posts:create", b"5", 400, ["bad_body"]),
    ("/posts:create", b'{"title":1,"title":2}', 400, ["bad_body"]),
    ("/posts:create", b'{"title":NaN}', 400, ["bad_body"]),
    ("/posts/1/tags:add", b"{", 400, ["bad_json"]),
    ("/posts/1/tags:add", b"5", 400, ["bad_body"]),
    ("/posts/1/author:set", [99], 400, ["link_missing"]),
    ("/authors:create", {"age": "x"}, 400, ["bad_value", "required"]),
    ("/things:create", {"whole": "x", "ratio": [], "flag": 3, "day": "x"}, 400, ["bad_value"] * 4),
    ("/things:create", {"pick": "x", "multi": ["x"]}, 400, ["enum", "enum"]),
    ("/things:create", {"code": "one"}, 400, ["unique"]),
    ("/things:create", {"id": 0}, 400, ["bad_value"]),
    ("/things:create", {"id": True}, 400, ["bad_value"]),
    ("/things:create", {"whole": 2**63}, 400, ["bad_body"]),
    (
        "/authors:create",
        {"name": "N", "posts": [{"title": "a", "tags": [{"name": "much too long"}]}]},
        400,
        ["maxLength"],
    ),
    (
        "/comments:create",
        {"text": "c", "post": {"title": "a", "author": {"name": "Ann"}}},
        400,
        ["unique"],
    ),
    ("/posts:firstOrCreate", {"title": "x"}, 400, ["bad_parameter"]),
    ("/posts:firstOrCreate?filterKeys=nope", {"title": "x"}, 400, ["unknown_field"]),
    ("/posts:updateOrCreate?filterKeys=$or", {"$or": [], "title": "x"}, 400, ["unknown_field"]),
    ("/posts:updateOrCreate?filterKeys=title.$notEmpty", {"title.$notEmpty": 1, "title": "x"}, 400, ["unknown_field"]),
    ("/things:update?forceUpdate=true", {"code": "z"}, 400, ["unique"]),
    ("/posts:move?sourceId=1&targetId=2", None, 400, ["not_sortable"]),
    ("/cards:move?sourceId=99&targetId=1", None, 404, ["not_found"]),
    ("/cards:move?sourceId=1&targetId=99", None, 404, ["not_found"]),
    ("/cards:move?sourceId=1&targetId=2&method=x", None, 400, ["bad_parameter"]),
    ("/cards:move?sourceId=1&targetScope[nope]=x", None, 400, ["bad_parameter"]),
    ("/cards:move?sourceId=1&sortField=title", None, 400, ["not_sortable"]),
    ("/posts:list?a[b=1", None, 400, ["bad_brackets"]),
    ("/posts:list?filter=%ff", None, 400, ["bad_query"]),
    ("/posts:list?filter=%00", None, 400, ["bad_query"]),
    ("/posts:list?" + "&".join(["page=1"] * 300), None, 400, ["too_many_parameters"]),
]


@pytest.mark.parametrize(
    ("address", "body", "status", "codes"), REFUSED, ids=[f"{row[0][:60]} {str(row[1])[:40]}" for row in REFUSED]
)
def test_refused(web: Web, address: str, body: Any, status: int, codes: list[str]) -> None:
    """Bad input is refused in the error form, one entry per offence, and nothing changes."""
    before = web.dump()
    answer = web("POST", address, body)
    assert (answer.status, [code for code, _ in answer.errors]) == (status, codes)
    assert web.dump() == before


MESSAGES: list[tuple[str, Any, int, list[tuple[str, str]]]] = [
    (
        "/posts:list?pagesize=1",
        None,
        400,
        [("unknown_parameter", "Unknown parameter 'pagesize'; did you mean 'pageSize'?")],
    ),
    ("/posts:list?fields=titel", None, 400, unknown("titel", "posts", "; did you mean 'title'?")),
    (
        "/posts:list?filter=x",
        None,
        400,
        [("bad_parameter", "Invalid value 'x' for parameter 'filter': Expecting value at character 0")],
    ),
    ("/posts/1/nope:list", None, 404, [("unknown_link", "'nope' is not a link of table 'posts'")]),
    ("/authors:create", {"age": 1}, 400, [("required", "name cannot be null")]),
    ("/posts:create", {"author": {"age": 1}}, 400, [("required", "author.name cannot be null")]),
    ("/authors:create", {"name": "Ann"}, 400, [("unique", "name already exists")]),
    ("/authors:create", [{"name": "New"}, {"name": "Ann"}], 400, [("unique", "1.name already exists")]),
    ("/authors:create", [{"age": 1}], 400, [("required", "0.name cannot be null")]),
    (
        "/posts:create",
        [{"title": "New"}, {"tags": [{"id": 1, "postsTags": {"weight": "x"}}]}],
        400,
        [("bad_value", "Invalid value \"x\" for field '1.tags.0.weight': expected a whole number of 64 bits")],
    ),
    (
        "/posts:create",
        {"author": [1]},
        400,
        [("refused", "The value of 'author' cannot be in array format")],
    ),
    (
        "/posts:list?page=0",
        None,
        400,
        [("bad_parameter", "Invalid value '0' for parameter 'page': write a positive whole number")],
    ),
]


@pytest.mark.parametrize(("address", "body", "status", "errors"), MESSAGES)
def test_messages(web: Web, address: str, body: Any, status: int, errors: list[tuple[str, str]]) -> None:
    """What is refused is named."""
    web.refuse(status, errors, "POST", address, body)


def test_other_parents(web: Web) -> None:
    """Ids of another parent's records lead nowhere."""
    before = web.dump()
    assert web.get("/posts/1/comments:get/3") is None
    assert web.post("/posts/1/comments:update/3", {"text": "x"}) == []
    assert web.post("/posts/1/comments:update?filterByTk[]=3", {"text": "x"}) == []
    assert web.post("/posts/1/comments:destroy/3") is True
    assert web.post("/posts/2/tags:update/1", {"name": "x"}) == []
    assert web.post("/posts/2/tags:destroy/1") is True
    assert web.dump() == before


# ---- any request ----

WORDS = ["posts", "things", "nope", "users", "auth", "shops", "cards", "title", "tags", "author", "comments", "1", "99"]
WORDS += ["-1", "abc", "%20", "..", "list", "a:b", ":", "%ff", "kv", "profile", "children", "9" * 30, "%F0%9F%98%80"]
ACTIONS = "list get create update destroy move set add remove toggle firstOrCreate updateOrCreate".split()
ACTIONS += "nope check signIn signOut signUp signin".split()
PARAMETERS = [*sorted(minirest.NOCOBASE_PARAMETERS), "nope", "a[", "filter[", "filter[title]", "filter[$or][0][id]"]
PARAMETERS += ["filterByTk[]", "fields[]", "sort[0]", "page[x]", "filter[author.name][$ne]", "targetScope[lane]"]
VALUES = ["", "1", "2", "x", "-id", "id,title", "author", "tags.name", "author.posts.tags", "true", "false", "{}", "[]"]
VALUES += ['{"id":1}', '{"$and":[]}', '{"$or":[{"id":[]}]}', '{"title.$eq":{}}', '{"tags":{"name":{"$in":[null]}}}']
VALUES += ['{"id.$in":[1e400]}', '{"id":99999999999999999999}', '{"extra.a.b":"\\u0000"}', "%ff", "null", "insertAfter"]
VALUES += ["author.posts.author.posts.author.posts", "tags.posts.tags.posts.tags.posts.tags", "comments,tags,author"]
VALUES += ['{"list.$match":[[1]]}', '{"at.$dateBetween":"[,]"}', '{"day.$dateOn":"9999"}', '{"parent.$exists":null}']
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.sampled_from(["", "x", "1", "2024-01-01"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["id", "title", "author", "tags", "name", "postsTags", "weight", "text", "parent", "x", "lane"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, Any, str]:
    """A request of any shape."""
    parts = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5))
    place = draw(st.integers(0, len(parts) - 1))
    if draw(st.integers(0, 4)):
        parts[place] += f":{draw(st.sampled_from(ACTIONS))}"
    pairs = st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(VALUES))
    query = "&".join(f"{name}={value}" for name, value in draw(st.lists(pairs, max_size=3)))
    body = draw(st.one_of(st.none(), JSON_VALUES, st.binary(max_size=8)))
    kind = draw(st.sampled_from(["", FORM, "text/plain"]))
    return draw(st.sampled_from([*METHODS, "HEAD", "OPTIONS"])), f"/{'/'.join(parts)}?{query}", body, kind


@pytest.fixture(scope="module")
def open_door() -> Iterator[Web]:
    """A server that any request may change."""
    web = Web(dialects=["nocobase"], sign_up=True)
    yield web
    web.close()


@settings(max_examples=600)
@given(request=requests())
def test_no_request_fails(open_door: Web, request: tuple[str, str, Any, str]) -> None:
    """No request gives a 5xx; what is refused has the form of an error, what is not that of data."""
    answer = open_door.restore()(*request)
    assert answer.status < 500, answer.body
    if request[0] == "HEAD":
        return
    if answer.status >= 400:
        assert answer.errors
    else:
        assert answer.json == {} or list(answer.json) in (["data"], ["data", "meta"])


# ---- associations: what an address says goes before what a body says ----


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/posts/3/tags:add", [[1, {"postId": 2, "tagId": 3, "weight": 4}]]),
        ("/posts/3/tags:set", [[1, {"post": 2, "weight": 4}]]),
        ("/posts/3/tags:toggle", [[1, {"postId": 2, "weight": 4}]]),
        ("/posts:update/3", {"tags": [{"id": 1, "postsTags": {"postId": 2, "weight": 4}}]}),
    ],
)
def test_a_link_has_the_ends_of_its_address(web: Web, address: str, body: Any) -> None:
    """The values of a link's row may name other records than those that are linked: they have no effect."""
    others = things_of(web, "/posts/2/tags:list")
    web.post(address, body)
    assert [row["postsTags"]["weight"] for row in web.get("/posts/3/tags:list")] == [4]
    assert things_of(web, "/posts/3/tags:list") == [1]
    assert things_of(web, "/posts/2/tags:list") == others


@pytest.mark.parametrize("action", ["create", "firstOrCreate?filterKeys=name", "updateOrCreate?filterKeys=name"])
def test_new_links_have_the_ends_of_their_address(web: Web, action: str) -> None:
    """A record that is made in an association belongs to the parent of the address."""
    made = web.post(f"/posts/3/tags:{action}", {"name": "ghost", "postsTags": {"postId": 2, "weight": 4}})
    assert (made["postsTags"]["postId"], made["postsTags"]["weight"]) == (3, 4)
    assert things_of(web, "/posts/3/tags:list") == [made["id"]]


def test_a_changed_link_stays_where_it_is(web: Web) -> None:
    """Update and toggle of a link keep its ends; an update changes its other values."""
    web.post("/posts/1/tags:update/1", {"postsTags": {"postId": 3, "weight": 8}})
    web.post("/posts/1/tags:updateOrCreate?filterKeys=name", {"name": "t2", "postsTags": {"tagId": 3, "weight": 9}})
    assert [(row["id"], row["postsTags"]["weight"]) for row in web.get("/posts/1/tags:list")] == [(1, 8), (2, 9)]
    web.post("/posts/1/tags:toggle", [[2, {"postId": 3}]])
    assert things_of(web, "/posts/1/tags:list") == [1]
    assert things_of(web, "/posts/3/tags:list") == []


def test_rights_hold_for_the_ends_of_a_link() -> None:
    """Who may change the links of its own record does not reach those of another one's."""
    mine = {"owner": "$me"}
    rights = {"*": {"list": True, "get": True, "create": True, "update": mine, "link": mine}}
    schema = {
        "$defs": {
            "posts": table(
                {"_owner": "anna"},
                {"_owner": "bob"},
                tags=many("tags", **{"x-inverse": "posts"}),
                **{"x-rights": rights},
            ),
            "tags": table({"name": "t"}, name=TEXT, posts=many("posts")),
        }
    }
    web = Web(schema, auth=True, users={"root": "secret words", "anna": "secret words"})
    try:
        anna = {"HTTP_AUTHORIZATION": "Basic " + b64encode(b"anna:secret words").decode()}
        assert web("POST", "/posts/2/tags:add", [1], **anna).status == 403
        assert web("POST", "/posts/1/tags:add", [[1, {"source_id": 1, "target_id": 2}]], **anna).status == 200
        assert web("GET", "/posts/1/tags:list", **anna).ids == [1]
        assert web("GET", "/posts/2/tags:list", **anna).ids == []
    finally:
        web.close()


@pytest.mark.parametrize("body", [{"text": "x", "post": 2}, {"text": "x", "post": None}, {"text": "x", "postId": 2}])
def test_a_new_record_belongs_to_the_parent_of_its_address(web: Web, body: dict[str, Any]) -> None:
    """Whatever its body says of the association."""
    assert web.post("/posts/1/comments:create", body)["postId"] == 1
    assert web.post("/posts:create", {"title": "p", "comments": [body]})["comments"][0]["postId"] == 4
    web.post("/authors/1/profile:create", {"bio": "b", "author": 2})
    assert web.get("/profiles:list?fields=id,aid") == [
        {"id": 1, "aid": None},
        {"id": 2, "aid": None},
        {"id": 3, "aid": 1},
    ]


def test_a_set_of_nothing(web: Web) -> None:
    """An object names no records, so that nothing is cleared; `[]` and no body do that."""
    for body in ({}, {"a": 1}):
        web.post("/posts/1/tags:set", body)
        web.post("/posts/1/author:set", body)
    assert things_of(web, "/posts/1/tags:list") == [1, 2]
    assert web.get("/posts/1/author:get?fields=id") == {"id": 1}
    web.post("/posts/1/tags:set", [])
    assert things_of(web, "/posts/1/tags:list") == []
    web.post("/posts/1/author:remove", {})
    assert web.get("/posts/1/author:get") is None


@pytest.mark.parametrize("item", [{"id": 1}, "abc", None, [1, 2, 3], True, 1.5])
@pytest.mark.parametrize("address", ["/posts/1/tags", "/posts/1/comments", "/posts/1/author"])
@pytest.mark.parametrize("action", ["set", "add", "toggle"])
def test_what_is_no_id(web: Web, address: str, action: str, item: Any) -> None:
    """An association action takes ids, and says of what is none which it is."""
    before = web.dump()
    answer = web("POST", f"{address}:{action}", [item])
    value = json.dumps(item, separators=(",", ":")).replace('"', '\\"')
    assert answer.status == 400
    assert value.replace("\\", "") in answer.errors[0][1]
    assert web.dump() == before


def test_two_ids_for_one(web: Web) -> None:
    """An association to one record takes one id."""
    for address in ("/posts/1/author:set", "/authors/1/profile:set"):
        assert web("POST", address, [1, 2]).status == 400


def test_updating_associations(web: Web) -> None:
    """`updateAssociationValues` is a list like the others."""
    body = {"author": {"id": 1, "age": 7}, "tags": [{"id": 1, "name": "T1"}]}
    for query in ("author,tags", "author&updateAssociationValues=tags"):
        web.restore().post(f"/posts:update/1?updateAssociationValues={query}", body)
        found = web.get("/posts:get/1?fields=author.age,tags.name")
        assert found == {"author": {"age": 7}, "tags": [{"name": "T1"}]}
    assert web("POST", "/posts:update/1?updateAssociationValues[x]=author", body).status == 400


def test_lists_of_names_hold_for_all_of_a_body(web: Web) -> None:
    """Whitelist and blacklist go for the id and for the values of a link's row too."""
    assert web.post("/tags:create?blacklist=id", {"id": 77, "name": "x"})["id"] == 4
    assert web.post("/tags:create?whitelist=name", {"id": 78, "name": "y"})["id"] == 5
    made = web.post("/posts/3/tags:create?whitelist=name", {"name": "wl", "postsTags": {"weight": 3}})
    assert made["postsTags"]["weight"] is None
    web.post("/posts/1/tags:update/1?blacklist=postsTags", {"postsTags": {"weight": 98}})
    assert web.get("/posts/1/tags:get/1")["postsTags"]["weight"] == 5


def test_filters_that_say_nothing(web: Web) -> None:
    """A part of a filter without a condition is none; with nothing else nothing is destroyed."""
    assert web.filter({"$or": [{}, {"id": 2}]}, "tags") == [2]
    assert web.filter({"$not": {}}, "tags") == web.filter({"$not": []}, "tags") == [1, 2, 3]
    nothing: list[Any] = [{"$or": [{}]}, {"$not": {}}, {"$or": [{"$and": [{}]}]}]
    for where in nothing:
        web.refuse(
            400,
            [("no_condition", "Neither a key nor a filter says which records are meant")],
            "POST",
            f"/tags:destroy?filter={encoded(where)}",
        )
    assert web.post(f"/tags:destroy?filter={encoded({'$or': [{}, {'id': 2}]})}") == 1


def test_forms_inside(web: Web) -> None:
    """The values of associations, of a link's row, and the id of a form are texts too."""
    made = web("POST", "/authors:create", b"name=f&id=900&posts[0][title]=t", FORM).json["data"]
    assert (made["id"], made["posts"][0]["title"]) == (900, "t")
    made = web("POST", "/posts/1/tags:create", b"name=n&postsTags[weight]=5", FORM).json["data"]
    assert made["postsTags"]["weight"] == 5
    made = web("POST", "/things:create", b"list=a&list=b&parent[whole]=3&parent[flag]=true", FORM).json["data"]
    assert (made["list"], made["parent"]["whole"], made["parent"]["flag"]) == (["a", "b"], 3, True)


def test_bare_parameters(web: Web) -> None:
    """A name alone is null, as the SDK writes it: that is, not given."""
    whole = web("GET", "/tags:list").json
    for name in ("fields", "appends", "except", "sort", "page", "pageSize", "filter", "whitelist", "forceUpdate"):
        assert web("GET", f"/tags:list?{name}").json == whole, name


def test_moves_in_an_association(web: Web) -> None:
    """Only records of the parent are moved, and only where there is one."""
    schema = {
        "$defs": {
            "lists": table({}, {}, cards=many("cards", **{"x-inverse": "list"})),
            "cards": table({"list": 1}, {"list": 1}, {"list": 2}, list=one("lists"), **{"x-sort": True}),
        }
    }
    web = Web(schema)
    try:
        assert web.post("/lists/1/cards:move?sourceId=1&targetId=2") == "ok"
        assert web("POST", "/lists/1/cards:move?sourceId=1&targetId=3").status == 404
        assert web("POST", "/lists/1/cards:move?sourceId=3&sticky=true").status == 404
        assert web("POST", "/lists/9/cards:move?sourceId=1&targetId=2").status == 404
    finally:
        web.close()


def test_what_finds_a_record_is_no_filter(web: Web) -> None:
    """The values of `filterKeys` are compared as they are."""
    for body in ({"name": {"$ne": "x"}}, {"name": ["Ann", "Bob"]}):
        for action in ("firstOrCreate", "updateOrCreate"):
            answer = web("POST", f"/authors:{action}?filterKeys=name", body)
            assert (answer.status, answer.errors[0][0]) == (400, "bad_value")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/posts:list?sort=author", "sort"),
        ("/posts:list?sort=-tags", "sort"),
        ("/posts:list?appends=author.posts.author.posts.author.posts.author", "appends"),
        ("/cards:move?sourceId=1&targetScope={bad", "targetScope"),
        ("/posts:list?fields=id,createdById", "createdById"),
    ],
)
def test_errors_name_the_parameter(web: Web, address: str, name: str) -> None:
    """And give no hint that leads nowhere."""
    answer = web("POST", address)
    assert answer.status == 400
    assert f"'{name}'" in answer.errors[0][1]
    assert "did you mean" not in answer.errors[0][1]


def test_a_row_of_a_link_takes_no_name_that_is_taken() -> None:
    """The row stands beside the fields under its table's name, but not where an association of that name is shown."""
    document = {
        "$defs": {
            "items": table(title=TEXT, parts=many("parts", **{"x-through": "uses"})),
            "parts": table(title=TEXT, uses=many("uses", **{"x-inverse": "part"})),
            "uses": table(item=one("items"), part=one("parts"), amount={"type": "integer"}),
        }
    }
    with closing(minirest.make_app(document, auth=False)) as app:
        body = {"title": "a", "parts": [{"title": "b", "uses": {"amount": 5}}]}
        assert send(app, "POST", "/api/items:create", body).status == 200
        for query, shown in (("", b'"uses":{"amount":5'), ("?appends[]=uses", b'"uses":[{"id":1,"amount":5')):
            answer = send(app, "GET", f"/api/items/1/parts:list{query}")
            assert (answer.body.count(b'"uses":'), shown in answer.body) == (1, True)
        described = send(app, "GET", "/openapi.json?dialect=nocobase").json["components"]["schemas"]["parts_record"]
        assert [part["type"] for part in described["properties"]["uses"]["anyOf"]] == ["array", "object"]
