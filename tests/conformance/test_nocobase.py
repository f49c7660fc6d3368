"""The numbered lines of the NocoBase dialect: one scenario each, answers compared as whole texts."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from webtest import TestApp

import minirest
from tests.web import Lines, dump, many, one

OLD = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
NEW = datetime(2024, 6, 16, 12, 0, tzinfo=UTC)
OLD_TEXT, NEW_TEXT = "2024-06-15T12:00:00.000Z", "2024-06-16T12:00:00.000Z"
JSON = "application/json; charset=utf-8"
TEXT = {"type": "string"}
INTEGER = {"type": "integer"}

AUTHORS: list[dict[str, Any]] = [
    {"name": "Ann", "email": "ann@gmail.com", "age": 30},
    {"name": "Bob", "email": "bob@x.org"},
    {"name": "Cid", "age": 50},
]
PROFILES: list[dict[str, Any]] = [{"bio": "about Ann", "author": 1}]
POSTS: list[dict[str, Any]] = [
    {
        "title": "One",
        "content": "hello",
        "status": "published",
        "views": 10,
        "score": 1,
        "published": True,
        "publishedAt": "2022-05-19T10:00:00.000Z",
        "extra": {"a": 1},
        "labels": ["b", "a"],
        "secret": "hush",
        "author": 1,
    },
    {
        "title": "Two",
        "content": "HELLO you",
        "status": "draft",
        "views": 5,
        "score": 2.5,
        "published": False,
        "publishedAt": "2022-05-20T00:00:00.000Z",
        "labels": [],
        "author": 2,
    },
    {
        "title": "100%",
        "status": "pending",
        "publishedAt": "2022-05-19T23:59:59.999Z",
        "extra": {"a": 2},
        "labels": ["c"],
        "author": 1,
    },
    {"title": "", "content": "it's", "status": None, "views": 7, "publishedAt": "2022-06-01T00:00:00.000Z"},
    {"content": "bye", "status": "draft", "views": 10, "publishedAt": "2023-01-01T00:00:00.000Z", "author": 2},
]
COMMENTS: list[dict[str, Any]] = [
    {"content": "c1", "post": 1},
    {"content": "c2", "post": 1},
    {"content": "c3", "post": 2},
    {"content": "c4"},
]
TAGS = ["t1", "t2", "t3"]
LINKS: list[dict[str, Any]] = [
    {"post": 1, "tag": 1, "weight": 5},
    {"post": 1, "tag": 2},
    {"post": 2, "tag": 2, "weight": 7},
    {"post": 4, "tag": 1},
]
PAIRS = [{"key": "a/b", "value": "slash"}, {"key": "k", "value": "plain"}]


def table(examples: Sequence[Any], *required: str, properties: dict[str, Any], **words: Any) -> dict[str, Any]:
    """A table with its first records."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "examples": list(examples),
        **words,
    }


SCHEMA: dict[str, Any] = {
    "$defs": {
        "authors": table(
            AUTHORS,
            "name",
            properties={
                "name": {**TEXT, "x-unique": True},
                "email": TEXT,
                "age": INTEGER,
                "posts": many("posts", **{"x-inverse": "author"}),
                "profile": one("profiles", **{"x-inverse": "author"}),
            },
        ),
        "profiles": table(PROFILES, properties={"bio": TEXT, "author": one("authors", **{"x-column": "authorId"})}),
        "posts": table(
            POSTS,
            properties={
                "title": TEXT,
                "content": TEXT,
                "status": {**TEXT, "default": "draft"},
                "views": INTEGER,
                "score": {"type": "number"},
                "published": {"type": "boolean"},
                "publishedAt": {"type": "string", "format": "date-time"},
                "extra": {"type": "object"},
                "labels": {"type": "array", "items": TEXT},
                "sort": INTEGER,
                "secret": {**TEXT, "writeOnly": True},
                "author": one("authors", **{"x-column": "authorId"}),
                "comments": many("comments", **{"x-inverse": "post"}),
                "tags": many("tags", **{"x-through": "postsTags"}),
            },
            **{"x-sort": {"field": "sort"}},
        ),
        "comments": table(COMMENTS, properties={"content": TEXT, "post": one("posts", **{"x-column": "postId"})}),
        "tags": table(
            [{"name": name} for name in TAGS],
            properties={"name": TEXT, "posts": many("posts", **{"x-inverse": "tags"})},
        ),
        "postsTags": table(
            LINKS,
            "post",
            "tag",
            properties={
                "weight": INTEGER,
                "post": one("posts", **{"x-column": "postId"}),
                "tag": one("tags", **{"x-column": "tagId"}),
            },
        ),
        "kv": table(PAIRS, "key", properties={"key": TEXT, "value": TEXT}, **{"x-key": "key"}),
    }
}


# ---- the answers, built from the data above ----


def stamped(record: dict[str, Any], updated: bool, created: bool = False) -> dict[str, Any]:
    """A record with its two times: of the examples, or of the requests."""
    times = (NEW_TEXT if created else OLD_TEXT, NEW_TEXT if updated or created else OLD_TEXT)
    return {**record, "createdAt": times[0], "updatedAt": times[1]}


def found(rows: Sequence[dict[str, Any]], number: int) -> dict[str, Any]:
    """An example by its number; beyond the last there is none."""
    return rows[number - 1] if number <= len(rows) else {}


def post(number: int, updated: bool = False, **changes: Any) -> dict[str, Any]:
    """A post with all its columns; one that is not in the data is new."""
    new = number > len(POSTS)
    row = {"status": "draft" if new else None, **found(POSTS, number)}
    row = {**row, "sort": number, "authorId": row.get("author"), **changes}
    names = "title content status views score published publishedAt extra labels sort authorId".split()
    links = {name: changes[name] for name in changes if name not in names}
    return stamped({"id": number, **{name: row.get(name) for name in names}}, updated, new) | links


def author(number: int, updated: bool = False, **changes: Any) -> dict[str, Any]:
    """An author."""
    row = {**found(AUTHORS, number), **changes}
    names = ("name", "email", "age")
    links = {name: changes[name] for name in changes if name not in names}
    return stamped({"id": number, **{name: row.get(name) for name in names}}, updated, number > len(AUTHORS)) | links


def profile(number: int, updated: bool = False, **changes: Any) -> dict[str, Any]:
    """A profile."""
    row = found(PROFILES, number)
    row = {"id": number, "bio": row.get("bio"), "authorId": row.get("author"), **changes}
    return stamped(row, updated, number > len(PROFILES))


def comment(number: int, updated: bool = False, **changes: Any) -> dict[str, Any]:
    """A comment."""
    row = found(COMMENTS, number)
    row = {"id": number, "content": row.get("content"), "postId": row.get("post"), **changes}
    return stamped(row, updated, number > len(COMMENTS))


def tag(number: int, link: dict[str, Any] | None = None, updated: bool = False, **changes: Any) -> dict[str, Any]:
    """A tag, with the link's row where a post led to it."""
    row = {"id": number, "name": TAGS[number - 1] if number <= len(TAGS) else None, **changes}
    row = stamped(row, updated, number > len(TAGS))
    return {**row, "postsTags": link} if link else row


def link_row(of_post: int, of_tag: int, updated: bool = False) -> dict[str, Any]:
    """The row of a link that the data has."""
    row = next(row for row in LINKS if (row["post"], row["tag"]) == (of_post, of_tag))
    return stamped({"weight": row.get("weight"), "postId": of_post, "tagId": of_tag}, updated)


def new_row(of_post: int, of_tag: int, weight: int | None = None) -> dict[str, Any]:
    """The row of a link that a request has made."""
    return stamped({"weight": weight, "postId": of_post, "tagId": of_tag}, True, True)


def tags_of(number: int) -> list[dict[str, Any]]:
    """The tags of a post in the data."""
    return [tag(row["tag"], link_row(number, row["tag"])) for row in LINKS if row["post"] == number]


def meta(count: int, page: int = 1, size: int = 20) -> dict[str, int]:
    """What a list says of its pages."""
    return {"count": count, "page": page, "pageSize": size, "totalPage": -(-count // size)}


def listed(*items: Any) -> dict[str, Any]:
    """A whole list on one page."""
    return {"data": list(items), "meta": meta(len(items))}


def error(code: str, message: str) -> dict[str, Any]:
    """The form of an error."""
    return {"errors": [{"code": code, "message": message}]}


NOT_FOUND = "Not Found"
NO_CONDITION = error("no_condition", "Neither a key nor a filter says which records are meant")


class Web:
    """A client below `/api` that compares status, content type and the whole text of every answer."""

    def __init__(self) -> None:
        self.now = OLD
        self.app = minirest.make_app(
            SCHEMA, auth=False, dialects=["nocobase"], cors=["https://app.example"], clock=lambda: self.now
        )
        self.client = TestApp(self.app)
        self.now = NEW

    def send(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Send a request; `query` are parameters, those that are no texts written as JSON."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
        if texts:
            path += ("&" if "?" in path else "?") + urlencode(texts, quote_via=quote)
        if body is None:
            return self.client.request("/api" + path, method=method, expect_errors=True)
        text = body if isinstance(body, str) else json.dumps(body)
        return self.client.request(
            "/api" + path, method=method, body=text.encode(), content_type="application/json", expect_errors=True
        )

    def expect(self, answer: Any, expected: Any, status: int = 200) -> None:
        """Hold an answer against what it should be, down to the order of the keys."""
        text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
        assert (answer.status_int, answer.text) == (status, text)
        assert answer.headers["Content-Type"] == JSON

    def get(self, path: str, expected: Any, **query: Any) -> None:
        """GET and compare."""
        self.expect(self.send("GET", path, **query), expected)

    def post(self, path: str, body: Any, expected: Any, **query: Any) -> None:
        """POST and compare."""
        self.expect(self.send("POST", path, body, **query), expected)

    def ids(self, filter: Any, *numbers: int) -> None:
        """A filter of posts selects these, and counts them."""
        self.get("/posts:list", listed(*({"id": number} for number in numbers)), filter=filter, fields="id")

    def raw(self, query: str, *numbers: int) -> None:
        """The same for a query as it is written."""
        self.get(f"/posts:list?fields=id&{query}", listed(*({"id": number} for number in numbers)))

    def refuse(self, status: int, expected: Any, method: str, path: str, body: Any = None, **query: Any) -> None:
        """Send what is refused, and see that the database has not changed."""
        before = self.dump()
        self.expect(self.send(method, path, body, **query), expected, status)
        assert self.dump() == before

    def dump(self) -> list[str]:
        """Return everything that is stored."""
        return dump(self.app.store)


@pytest.fixture
def web() -> Iterator[Web]:
    """Serve the data; requests come a day later than the records."""
    web = Web()
    yield web
    web.app.close()


LINES = Lines()
line = LINES.line

ALL = [post(number) for number in range(1, 6)]


# ---- lists and addresses ----


@line(1)
def a_list(web: Web) -> None:
    """A list has `data` and `meta`."""
    web.get("/posts:list", listed(*ALL))


@line(2)
def default_page(web: Web) -> None:
    """Page 1, 20 records each."""
    web.post("/tags:create", [{"name": f"n{number}"} for number in range(4, 26)], {"data": new_tags(4, 26)})
    items = [tag(number) for number in (1, 2, 3)] + new_tags(4, 21)
    web.get("/tags:list", {"data": items, "meta": {"count": 25, "page": 1, "pageSize": 20, "totalPage": 2}})


def new_tags(first: int, end: int) -> list[dict[str, Any]]:
    """Tags that a request has made."""
    return [tag(number, name=f"n{number}") for number in range(first, end)]


@line(3)
def total_pages(web: Web) -> None:
    """`totalPage` is rounded up; nothing has none."""
    expected = {"data": ALL[2:4], "meta": {"count": 5, "page": 2, "pageSize": 2, "totalPage": 3}}
    web.get("/posts:list?page=2&pageSize=2", expected)
    web.get("/posts:list", {"data": [], "meta": meta(0)}, filter={"title": "none"})


@line(4)
def page_past_the_end(web: Web) -> None:
    """A page past the end is empty and counts all."""
    web.get("/posts:list?page=9", {"data": [], "meta": {"count": 5, "page": 9, "pageSize": 20, "totalPage": 1}})


@line(5)
def without_pages(web: Web) -> None:
    """`paginate=false` gives all and no `meta`; any other value pages."""
    web.get("/posts:list?paginate=false&pageSize=2", {"data": ALL})
    web.get("/posts:list?paginate=true&pageSize=2", {"data": ALL[:2], "meta": meta(5, 1, 2)})


@line(6)
def post_reads(web: Web) -> None:
    """POST lists and gets like GET."""
    web.post("/posts:list", None, listed(*ALL))
    web.post("/posts:get/3", None, {"data": post(3)})


@line(7)
def bare_collection(web: Web) -> None:
    """GET of a collection lists, POST creates."""
    web.get("/posts", listed(*ALL))
    web.post("/posts", {"title": "New"}, {"data": post(6, title="New")})


@line(8)
def bare_record(web: Web) -> None:
    """GET of a record gets, PUT and PATCH update, DELETE destroys."""
    web.get("/posts/1", {"data": post(1)})
    for method in ("PUT", "PATCH"):
        expected = {"data": [post(1, updated=True, title=method)]}
        web.expect(web.send(method, "/posts/1", {"title": method}), expected)
    web.expect(web.send("DELETE", "/posts/1"), {"data": 1})
    web.get("/posts/1", {"data": None})


@line(9)
def bare_association(web: Web) -> None:
    """GET of an association lists inside its parent, POST creates with the foreign key."""
    web.get("/posts/1/comments", listed(comment(1), comment(2)))
    web.post("/posts/1/comments", {"content": "c5"}, {"data": comment(5, content="c5", postId=1)})
    web.get("/posts/1/comments", listed(comment(1), comment(2), comment(5, content="c5", postId=1)))


@line(10)
def unknown_address(web: Web) -> None:
    """An unknown collection or action is 404."""
    web.refuse(404, error("unknown_table", NOT_FOUND), "GET", "/nope:list")
    web.refuse(404, error("unknown_table", NOT_FOUND), "GET", "/nope")
    for address in ("/posts:nope", "/posts:LIST", "/posts:query", "/posts/1/comments:nope"):
        web.refuse(404, error("not_found", NOT_FOUND), "GET", address)


@line(11)
def key_in_path_or_query(web: Web) -> None:
    """`get/1` is `get?filterByTk=1`."""
    assert web.send("GET", "/posts:get/1").text == web.send("GET", "/posts:get?filterByTk=1").text
    web.get("/posts:get?filterByTk=1", {"data": post(1)})


@line(12)
def missing_record(web: Web) -> None:
    """A record that is missing is null."""
    web.get("/posts:get/99", {"data": None})
    web.get("/posts:get/abc", {"data": None})


@line(13)
def get_by_filter(web: Web) -> None:
    """`get` with a filter alone gives the first match."""
    web.get("/posts:get", {"data": post(2)}, filter={"status": "draft"})


@line(14)
def key_and_filter(web: Web) -> None:
    """Key and filter hold together; the query's key goes before the path's."""
    web.get("/posts:get?filterByTk=1", {"data": None}, filter={"status": "draft"})
    web.get("/posts:get/1?filterByTk=2", {"data": post(2)})


# ---- what is shown ----


@line(15)
def fields(web: Web) -> None:
    """`fields` gives exactly those keys."""
    web.get("/posts:get/1?fields=id,title", {"data": {"id": 1, "title": "One"}})
    web.get("/posts:get/1?fields=title", {"data": {"title": "One"}})


@line(16)
def fields_as_array(web: Web) -> None:
    """The array forms of `fields` are the same."""
    expected = {"data": {"id": 1, "title": "One"}}
    web.get("/posts:get/1?fields[]=id&fields[]=title", expected)
    web.get("/posts:get/1?fields[0]=id&fields[1]=title", expected)
    web.get("/posts:get/1?fields=id&fields=title", expected)


@line(17)
def fields_of_association(web: Web) -> None:
    """`fields=author.name` nests the author with its name only."""
    web.get("/posts:get/1?fields=id,author.name", {"data": {"id": 1, "author": {"name": "Ann"}}})


@line(18)
def appends(web: Web) -> None:
    """`appends` adds an object or a list."""
    expected = post(1, author=author(1), tags=tags_of(1), comments=[comment(1), comment(2)])
    web.get("/posts:get/1?appends=author,tags,comments", {"data": expected})


@line(19)
def appends_without_target(web: Web) -> None:
    """What leads nowhere is null, or an empty list."""
    web.get("/posts:get/4?appends=author,comments&fields=id", {"data": {"id": 4, "author": None, "comments": []}})
    web.get("/posts:get/5?appends=tags&fields=id", {"data": {"id": 5, "tags": []}})


@line(20)
def appends_nested(web: Web) -> None:
    """Appends go two levels deep."""
    inner = post(1, comments=[comment(1), comment(2)])
    expected = {"name": "Ann", "posts": [inner, post(3, comments=[])]}
    web.get("/authors:get/1?fields=name&appends=posts,posts.comments", {"data": expected})
    titles = [{"comments": [{"content": "c1"}, {"content": "c2"}]}, {"comments": []}]
    web.get("/authors:get/1?fields=posts.comments.content", {"data": {"posts": titles}})


@line(21)
def excepted(web: Web) -> None:
    """`except` leaves out a column, also one of an appended record."""
    without = {name: value for name, value in post(1).items() if name != "content"}
    web.get("/posts:get/1?except=content", {"data": without})
    writer = {name: value for name, value in author(1).items() if name != "email"}
    web.get("/posts:get/1?appends=author&except=author.email", {"data": post(1, author=writer)})


@line(22)
def excepted_and_named(web: Web) -> None:
    """`except` does not touch columns that `fields` names."""
    web.get("/posts:get/1?fields=id,title&except=title", {"data": {"id": 1, "title": "One"}})


@line(23)
def hidden_field(web: Web) -> None:
    """A hidden field is written and never shown."""
    unknown = error("unknown_field", "Unknown field 'secret' in table 'posts'; did you mean 'score'?")
    web.refuse(400, unknown, "GET", "/posts:list?fields=id,secret")
    web.refuse(400, unknown, "GET", "/posts:list", filter={"secret": "hush"})
    web.refuse(400, unknown, "GET", "/posts:list?sort=secret")
    web.post("/posts:create", {"secret": "s"}, {"data": post(6)})
    web.post("/posts:update/1", {"secret": "t"}, {"data": [post(1, updated=True)]})


# ---- order ----


def in_order(web: Web, query: str, *numbers: int) -> None:
    """A query gives the posts in this order."""
    web.raw(query, *numbers)


@line(24)
def sorted_list(web: Web) -> None:
    """Up, down, several terms, as an array."""
    in_order(web, "sort=publishedAt", 1, 3, 2, 4, 5)
    in_order(web, "sort=-publishedAt", 5, 4, 2, 3, 1)
    in_order(web, "sort=-views,-id", 5, 1, 4, 2, 3)
    in_order(web, "sort[]=-views&sort[]=title", 1, 5, 4, 2, 3)


@line(25)
def nulls_last(web: Web) -> None:
    """Null comes last both ways; ties by id."""
    in_order(web, "sort=views", 2, 4, 1, 5, 3)
    in_order(web, "sort=-views", 1, 5, 4, 2, 3)


@line(26)
def default_order(web: Web) -> None:
    """Without `sort` the order is that of the ids, whatever the manual order is."""
    web.post("/posts:move?sourceId=1&targetId=5", None, {"data": "ok"})
    in_order(web, "", 1, 2, 3, 4, 5)
    web.post("/posts/5/tags:add", [3, 1], {})
    web.get("/posts/5/tags:list", listed(tag(1, new_row(5, 1)), tag(3, new_row(5, 3))))


# ---- create ----


@line(27)
def created(web: Web) -> None:
    """A create answers the whole record, nulls included, with 200."""
    web.post("/posts:create", {"title": "New", "views": 3}, {"data": post(6, title="New", views=3)})
    web.get("/posts:get/6", {"data": post(6, title="New", views=3)})
    web.post("/posts:create", None, {"data": post(7)})


@line(28)
def created_many(web: Web) -> None:
    """An array makes all and answers an array."""
    expected = [post(6, title="A"), post(7, title="B")]
    web.post("/posts:create", [{"title": "A"}, {"title": "B"}], {"data": expected})
    web.get("/posts:list", listed(*ALL, *expected))


@line(29)
def unknown_keys(web: Web) -> None:
    """Unknown keys are ignored, system columns too."""
    values = {"title": "X", "nope": 1, "createdAt": "2001-01-01T00:00:00Z", "updatedAt": "2001-01-01T00:00:00Z"}
    web.post("/posts:create", values, {"data": post(6, title="X")})
    web.post("/posts:update/2", {**values, "id": 77}, {"data": [post(2, updated=True, title="X")]})
    web.post("/posts:update/3", {"nope": 1}, {"data": [post(3)]})


@line(30)
def defaults(web: Web) -> None:
    """A default fills what is absent, not what is null."""
    web.post("/posts:create", {}, {"data": post(6, status="draft")})
    web.post("/posts:create", {"status": None}, {"data": post(7, status=None)})


@line(31)
def lists_of_names(web: Web) -> None:
    """`whitelist` lets through, `blacklist` holds back; together both do."""
    values = {"title": "T", "content": "C", "views": 1}
    web.post("/posts:create?whitelist=title,views", values, {"data": post(6, title="T", views=1)})
    web.post("/posts:create?blacklist=title", values, {"data": post(7, content="C", views=1)})
    web.post("/posts:create?whitelist=title,views&blacklist=views", values, {"data": post(8, title="T")})
    web.post("/posts:create?whitelist[]=title&whitelist[]=content", values, {"data": post(9, title="T", content="C")})
    web.post("/posts:create?whitelist=", values, {"data": post(10)})


@line(32)
def lists_of_names_on_update(web: Web) -> None:
    """The same on update."""
    values = {"title": "T", "content": "C"}
    web.post("/posts:update/1?whitelist=title", values, {"data": [post(1, updated=True, title="T")]})
    web.post("/posts:update/2?blacklist=title", values, {"data": [post(2, updated=True, content="C")]})


@line(33)
def not_unique(web: Web) -> None:
    """A value that must be unique names its field."""
    taken = error("unique", "name already exists")
    web.refuse(400, taken, "POST", "/authors:create", {"name": "Ann"})
    web.refuse(400, taken, "POST", "/authors:update/2", {"name": "Ann"})


@line(34)
def not_null(web: Web) -> None:
    """A required field names itself."""
    missing = error("required", "name cannot be null")
    web.refuse(400, missing, "POST", "/authors:create", {"email": "z"})
    web.refuse(400, missing, "POST", "/authors:create", {"name": None})
    web.refuse(400, missing, "POST", "/authors:update/1", {"name": None})


@line(35)
def broken_body(web: Web) -> None:
    """A body that is no JSON, or a bare value, is 400."""
    reason = "The body is not JSON: Expecting property name enclosed in double quotes at character 1"
    web.refuse(400, error("bad_json", reason), "POST", "/posts:create", "{")
    bare = error("bad_body", "The body cannot be read: values are an object")
    web.refuse(400, bare, "POST", "/posts:create", "5")
    web.refuse(400, bare, "POST", "/posts:update/1", '"text"')


# ---- update ----


@line(36)
def updated(web: Web) -> None:
    """An update by path, by key or by filter answers a list."""
    web.post("/posts:update/1", {"views": 1}, {"data": [post(1, updated=True, views=1)]})
    web.post("/posts:update?filterByTk=2", {"views": 2}, {"data": [post(2, updated=True, views=2)]})
    drafts = [post(2, updated=True, views=0), post(5, updated=True, views=0)]
    web.post("/posts:update", {"views": 0}, {"data": drafts}, filter={"status": "draft"})


@line(37)
def updated_by_keys(web: Web) -> None:
    """An update by several keys changes all of them."""
    expected = [post(1, updated=True, views=0), post(3, updated=True, views=0)]
    web.post("/posts:update?filterByTk[]=1&filterByTk[]=3", {"views": 0}, {"data": expected})


@line(38)
def update_of_nothing_named(web: Web) -> None:
    """Without key and filter an update is refused."""
    web.refuse(400, NO_CONDITION, "POST", "/posts:update", {"views": 0})
    web.refuse(400, NO_CONDITION, "POST", "/posts:update", {"views": 0}, filter={})
    web.refuse(400, NO_CONDITION, "POST", "/posts:update", {"views": 0}, filter={"$or": [{}]})


@line(39)
def update_of_all(web: Web) -> None:
    """`forceUpdate=true` changes all."""
    expected = [post(number, updated=True, views=0) for number in range(1, 6)]
    web.post("/posts:update?forceUpdate=true", {"views": 0}, {"data": expected})
    web.get("/posts:list", listed(*expected))


@line(40)
def update_of_missing(web: Web) -> None:
    """An update of a missing record is an empty list."""
    before = web.dump()
    web.post("/posts:update/99", {"views": 0}, {"data": []})
    assert web.dump() == before


@line(41)
def partial_update(web: Web) -> None:
    """Null clears, what is absent stays, nothing leaves the times alone."""
    web.post("/posts:update/1", {"title": None}, {"data": [post(1, updated=True, title=None)]})
    web.post("/posts:update/2", {}, {"data": [post(2)]})
    web.post("/posts:update/2", {"views": 5}, {"data": [post(2)]})


# ---- destroy ----


@line(42)
def destroyed(web: Web) -> None:
    """A destroy by path, key, keys or filter answers the number of records."""
    web.post("/comments:destroy/1", None, {"data": 1})
    web.post("/comments:destroy?filterByTk=2", None, {"data": 1})
    web.post("/posts:destroy?filterByTk[]=1&filterByTk[]=2", None, {"data": 2})
    web.post("/posts:destroy", None, {"data": 2}, filter={"id.$in": [3, 4]})
    web.get("/posts:list", listed(post(5)))


@line(43)
def destroyed_nothing(web: Web) -> None:
    """A missing record is none."""
    before = web.dump()
    web.post("/posts:destroy/99", None, {"data": 0})
    web.post("/posts:destroy?filterByTk=1,2", None, {"data": 0})
    assert web.dump() == before


@line(44)
def destroyed_by_both(web: Web) -> None:
    """Key and filter hold together."""
    web.post("/posts:destroy?filterByTk[]=1&filterByTk[]=2", None, {"data": 1}, filter={"status": "draft"})
    web.get("/posts:list", listed(post(1), post(3), post(4), post(5)))


@line(45)
def destroy_of_nothing_named(web: Web) -> None:
    """Without key and filter a destroy is refused, with an empty filter too."""
    web.refuse(400, NO_CONDITION, "POST", "/posts:destroy")
    web.refuse(400, NO_CONDITION, "DELETE", "/posts")
    empties: list[Any] = [{}, {"$and": []}, {"$or": [{}]}, {"$and": [{"$or": []}]}]
    for empty in empties:
        web.refuse(400, NO_CONDITION, "POST", "/posts:destroy", filter=empty)
    web.post("/posts:destroy?forceUpdate=true", None, {"data": 5})


# ---- filters ----


@line(46)
def simple_filter(web: Web) -> None:
    """A field and its value, in brackets or as JSON."""
    web.raw("filter[status]=draft", 2, 5)
    web.ids({"status": "draft"}, 2, 5)
    web.ids({}, 1, 2, 3, 4, 5)
    web.ids([], 1, 2, 3, 4, 5)


@line(47)
def filter_operator(web: Web) -> None:
    """The operator behind a dot, inside, or in brackets."""
    web.ids({"status.$eq": "draft"}, 2, 5)
    web.ids({"status": {"$eq": "draft"}}, 2, 5)
    web.raw("filter[status.$eq]=draft", 2, 5)
    web.raw("filter[views][$gt]=5", 1, 4, 5)


@line(48)
def filter_all(web: Web) -> None:
    """Several keys hold together, several operators too."""
    web.ids({"status": "draft", "views": 10}, 5)
    web.ids({"views": {"$gte": 5, "$lt": 10}}, 2, 4)


@line(49)
def filter_groups(web: Web) -> None:
    """`$and`, `$or`, `$not`; empty ones set no condition."""
    web.ids({"$or": [{"views": 5}, {"$and": [{"views": 10}, {"status": "draft"}]}]}, 2, 5)
    web.ids({"$and": [], "views": 5}, 2)
    web.ids({"$or": []}, 1, 2, 3, 4, 5)
    web.ids({"$not": {"views": 10}}, 2, 4)
    web.ids({"$not": [{"views": 10}, {"status": "draft"}]}, 1, 2, 3, 4)
    web.ids({"views": {"$or": [5, 7]}}, 2, 4)
    web.ids({"views.$or": [{"$lt": 6}, {"$gt": 9}]}, 1, 2, 5)


@line(50)
def filter_not(web: Web) -> None:
    """`$ne` and `$notIn` select null too."""
    web.ids({"views.$ne": 10}, 2, 3, 4)
    web.ids({"views.$notIn": [10, 5]}, 3, 4)
    web.ids({"views.$notIn": []}, 3)
    web.ids({"views.$ne": [10, 5]}, 3, 4)


@line(51)
def filter_null(web: Web) -> None:
    """Null is asked for by itself."""
    web.ids({"views.$ne": None}, 1, 2, 4, 5)
    web.ids({"views.$not": None}, 1, 2, 4, 5)
    for where in ({"views": None}, {"views.$eq": None}, {"views.$is": None}):
        web.ids(where, 3)


@line(52)
def filter_in(web: Web) -> None:
    """`$in` of nothing selects nothing; a bare list is `$in`."""
    web.ids({"views.$in": []})
    web.ids({"views.$in": [5, 7]}, 2, 4)
    web.ids({"views": [5, 7]}, 2, 4)
    web.raw("filter[status]=draft&filter[status]=pending", 2, 3, 5)


@line(53)
def filter_between(web: Web) -> None:
    """Both ends are in; null is in neither."""
    web.ids({"views.$between": [5, 7]}, 2, 4)
    web.ids({"views.$notBetween": [5, 7]}, 1, 5)


@line(54)
def filter_includes(web: Web) -> None:
    """`$includes` ignores the case of ASCII; its opposite leaves out null."""
    web.ids({"content.$includes": "Hello"}, 1, 2)
    web.ids({"content.$notIncludes": "hello"}, 4, 5)
    web.ids({"title.$includes": "%"}, 3)
    web.ids({"content.$includes": ["you", "BYE"]}, 2, 5)
    web.ids({"content.$notIncludes": ["you", "bye"]}, 1, 4)


@line(55)
def filter_ends(web: Web) -> None:
    """Beginnings and ends."""
    web.ids({"content.$startsWith": "hel"}, 1, 2)
    web.ids({"content.$notStartsWith": "hel"}, 4, 5)
    web.ids({"content.$endWith": "YOU"}, 2)
    web.ids({"content.$endsWith": "you"}, 2)
    web.ids({"content.$notEndWith": "you"}, 1, 4, 5)


@line(56)
def filter_like(web: Web) -> None:
    """`$like` has the caller's wildcards; without them it is the whole text."""
    web.ids({"content.$like": "%LL%"}, 1, 2)
    web.ids({"content.$like": "hello"}, 1)
    web.ids({"content.$like": "b_e"}, 5)
    web.ids({"content.$notLike": "%e%"}, 4)


@line(57)
def filter_empty(web: Web) -> None:
    """Empty is null, and of a text or a list its own emptiness."""
    web.ids({"title.$empty": True}, 4, 5)
    web.ids({"title.$empty": False}, 4, 5)
    web.ids({"views.$empty": True}, 3)
    web.ids({"labels.$empty": True}, 2, 4, 5)


@line(58)
def filter_not_empty(web: Web) -> None:
    """The opposite."""
    web.ids({"title.$notEmpty": True}, 1, 2, 3)
    web.ids({"views.$notEmpty": True}, 1, 2, 4, 5)
    web.ids({"labels.$notEmpty": True}, 1, 3)


@line(59)
def filter_truth(web: Web) -> None:
    """Falsy is false or null; a false operand negates."""
    web.ids({"published.$isTruly": True}, 1)
    web.ids({"published.$isFalsy": True}, 2, 3, 4, 5)
    web.ids({"published.$isTruly": False}, 2, 3, 4, 5)
    web.ids({"published.$isFalsy": False}, 1)


@line(60)
def filter_list(web: Web) -> None:
    """Lists are compared as sets."""
    web.ids({"labels.$match": ["a", "b"]}, 1)
    web.ids({"labels.$match": ["b", "a"]}, 1)
    web.ids({"labels.$notMatch": ["a", "b"]}, 2, 3)
    web.ids({"labels.$anyOf": ["a", "c"]}, 1, 3)
    web.ids({"labels.$noneOf": ["a"]}, 2, 3, 4, 5)
    web.ids({"labels.$arrayEmpty": True}, 2, 4, 5)
    web.ids({"labels.$arrayNotEmpty": True}, 1, 3)


@line(61)
def filter_day(web: Web) -> None:
    """A day is compared whole."""
    web.ids({"publishedAt.$dateOn": "2022-05-19"}, 1, 3)
    web.ids({"publishedAt.$dateNotOn": "2022-05-19"}, 2, 4, 5)
    web.ids({"publishedAt.$dateBefore": "2022-05-20"}, 1, 3)
    web.ids({"publishedAt.$dateNotBefore": "2022-05-20"}, 2, 4, 5)
    web.ids({"publishedAt.$dateAfter": "2022-05-19"}, 2, 4, 5)
    web.ids({"publishedAt.$dateNotAfter": "2022-05-19"}, 1, 3)
    web.ids({"publishedAt.$dateOn": "2022-05-20+02:00"}, 2, 3)


@line(62)
def filter_dates(web: Web) -> None:
    """Wider dates, instants and intervals."""
    web.ids({"publishedAt.$dateOn": "2022-05"}, 1, 2, 3)
    web.ids({"publishedAt.$dateOn": "2022"}, 1, 2, 3, 4)
    web.ids({"publishedAt.$dateOn": "2022Q2"}, 1, 2, 3, 4)
    web.ids({"publishedAt.$dateOn": "2022-W20"}, 1, 2, 3)
    web.ids({"publishedAt.$dateOn": "2022-05-19T10:00:00.000Z"}, 1)
    web.ids({"publishedAt.$dateBetween": ["2022-05-19", "2022-05-20"]}, 1, 2, 3)
    web.ids({"publishedAt.$dateBetween": "[2022-05-19,2022-05-20)"}, 1, 3)
    web.ids({"publishedAt.$dateBetween": "(2022-05-19,2022-06-01]"}, 2, 4)


@line(63)
def filter_association(web: Web) -> None:
    """Filters go along associations; no record comes twice, and the count is right."""
    web.ids({"author.name": "Ann"}, 1, 3)
    web.ids({"tags.name.$in": ["t1", "t2"]}, 1, 2, 4)
    web.ids({"comments.content.$startsWith": "c"}, 1, 2)
    web.ids({"author": {"name": {"$eq": "Ann"}}}, 1, 3)
    expected = listed({"name": "Ann"}, {"name": "Bob"})
    web.get("/authors:list?fields=name", expected, filter={"posts.comments.content.$startsWith": "c"})
    web.ids({"author.name.$ne": "Ann"}, 2, 4, 5)
    web.ids({"tags.name.$ne": "t1"}, 1, 2, 3, 5)
    web.ids({"tags.postsTags.weight": 7}, 2)


@line(64)
def filter_association_in_brackets(web: Web) -> None:
    """The bracket form of a path."""
    web.raw("filter[author.email.$includes]=gmail", 1, 3)
    web.raw("filter[author][email][$includes]=gmail", 1, 3)


@line(65)
def filter_exists(web: Web) -> None:
    """An association leads somewhere or not."""
    web.ids({"author.$exists": True}, 1, 2, 3, 5)
    web.ids({"tags.$notExists": True}, 3, 5)
    web.ids({"author.id.$exists": True}, 1, 2, 3, 5)


@line(66)
def filter_keeps_appends(web: Web) -> None:
    """A filter on an association does not shorten what is appended."""
    expected = listed({"id": 1, "tags": tags_of(1)}, {"id": 4, "tags": tags_of(4)})
    web.get("/posts:list?fields=id&appends=tags", expected, filter={"tags.name": "t1"})


@line(67)
def filter_quotes(web: Web) -> None:
    """Quotes are data."""
    web.ids({"content.$includes": "it's"}, 4)
    web.ids({"content": "' or 1=1 --"})
    web.ids({"labels.$anyOf": ["a'"]})


# ---- nested values ----


@line(68)
def nested_create(web: Web) -> None:
    """Associations by id and by object."""
    values: dict[str, Any] = {"author": 2, "comments": [{"content": "c5"}], "tags": [3, {"name": "t4"}, {"id": 1}]}
    tags = [tag(3, new_row(6, 3)), tag(4, new_row(6, 4), name="t4"), tag(1, new_row(6, 1))]
    made = post(6, authorId=2) | {
        "author": author(2),
        "comments": [comment(5, content="c5", postId=6)],
        "tags": tags,
    }
    web.post("/posts:create", values, {"data": made})
    web.get("/posts:get/6?appends=author,comments,tags", {"data": made})
    made = post(7, authorId=4) | {"author": author(4, name="Dan")}
    web.post("/posts:create", {"author": {"name": "Dan"}}, {"data": made})
    web.post("/posts:create", {"authorId": 3}, {"data": post(8, authorId=3)})


@line(69)
def linked_object(web: Web) -> None:
    """An object with a known key is linked only; `updateAssociationValues` changes it too."""
    values = {"author": {"id": 1, "age": 99}, "tags": [{"id": 3, "name": "changed"}]}
    made = post(6, authorId=1) | {"author": author(1), "tags": [tag(3, new_row(6, 3))]}
    web.post("/posts:create", values, {"data": made})
    made = post(7, authorId=1) | {
        "author": author(1, updated=True, age=99),
        "tags": [tag(3, new_row(7, 3), updated=True, name="changed")],
    }
    web.post("/posts:create?updateAssociationValues[]=author&updateAssociationValues[]=tags", values, {"data": made})
    web.get("/authors:get/1", {"data": author(1, updated=True, age=99)})


@line(70)
def nested_update(web: Web) -> None:
    """A list replaces the set; an empty one and null clear it."""
    kept = tag(2, link_row(1, 2))
    web.post("/posts:update/1", {"tags": [2, 3]}, {"data": [post(1) | {"tags": [kept, tag(3, new_row(1, 3))]}]})
    web.post("/posts:update/1", {"tags": []}, {"data": [post(1) | {"tags": []}]})
    web.post("/posts:update/2", {"tags": None}, {"data": [post(2) | {"tags": []}]})
    comments = [comment(1), comment(4, postId=1)]
    web.post("/posts:update/1", {"comments": [1, 4]}, {"data": [post(1) | {"comments": comments}]})
    web.get("/comments:get/2", {"data": comment(2, postId=None)})


@line(71)
def unlinked(web: Web) -> None:
    """Null lets a unique link go."""
    web.post("/posts:update/1", {"author": None}, {"data": [post(1, authorId=None) | {"author": None}]})


@line(72)
def array_for_one(web: Web) -> None:
    """An array for a unique link is refused."""
    message = "The value of 'author' cannot be in array format"
    web.refuse(400, error("refused", message), "POST", "/posts:create", {"title": "X", "author": [1]})
    web.refuse(400, error("refused", message), "POST", "/posts:update/1", {"author": [1]})


@line(73)
def deep_create(web: Web) -> None:
    """Three levels in one request."""
    values = {"name": "Dan", "posts": [{"title": "X", "comments": [{"content": "c5"}], "tags": [{"name": "t4"}]}]}
    web.post("/authors:create", values, {"data": author(4, name="Dan") | {"posts": [post(6, title="X", authorId=4)]}})
    deep = {"comments": [{"content": "c5"}], "tags": [{"name": "t4"}]}
    expected = {"name": "Dan", "posts": [deep]}
    web.get("/authors:get/4?fields=name,posts.comments.content,posts.tags.name", {"data": expected})


# ---- associations ----


@line(74)
def of_another_parent(web: Web) -> None:
    """A record of another parent is not reached."""
    before = web.dump()
    web.get("/posts/1/comments:get/3", {"data": None})
    web.post("/posts/1/comments:update/3", {"content": "X"}, {"data": []})
    web.post("/posts/1/comments:destroy/3", None, {"data": True})
    assert web.dump() == before


def tags_are(web: Web, of_post: int, *tags: dict[str, Any]) -> None:
    """The tags of a post, as they are listed."""
    web.get(f"/posts/{of_post}/tags:list", listed(*tags))


@line(75)
def many_to_many(web: Web) -> None:
    """add, set, remove and toggle change the links, never the tags."""
    first, second, third = tag(1, link_row(1, 1)), tag(2, link_row(1, 2)), tag(3, new_row(1, 3))
    web.post("/posts/1/tags:add", [2, 3], {})
    tags_are(web, 1, first, second, third)
    web.post("/posts/1/tags:set", [3, 2], {})
    tags_are(web, 1, second, third)
    web.post("/posts/1/tags:remove", [3], {})
    tags_are(web, 1, second)
    web.post("/posts/1/tags:toggle", [2], {"data": "ok"})
    tags_are(web, 1)
    web.post("/posts/1/tags:toggle", [3], {"data": "ok"})
    tags_are(web, 1, third)
    web.get("/tags:list", listed(tag(1), tag(2), tag(3)))


@line(76)
def answers_of_links(web: Web) -> None:
    """add, set and remove answer an empty object, toggle says ok."""
    for action in ("add", "set", "remove"):
        web.post(f"/posts/1/tags:{action}", [1], {})
    web.post("/posts/1/tags:toggle", [1], {"data": "ok"})


@line(77)
def link_values(web: Web) -> None:
    """The link's own row is shown, and set by create, add and update."""
    tags_are(web, 1, *tags_of(1))
    made = tag(4, new_row(5, 4, 9), name="t4")
    web.post("/posts/5/tags:create", {"name": "t4", "postsTags": {"weight": 9}}, {"data": made})
    web.post("/posts/5/tags:add", [[1, {"weight": 3}]], {})
    tags_are(web, 5, tag(1, new_row(5, 1, 3)), made)
    changed = tag(1, new_row(5, 1, 4))
    web.post("/posts/5/tags:update/1", {"postsTags": {"weight": 4}}, {"data": [changed]})
    web.get("/posts/5/tags:get/1", {"data": changed})


@line(78)
def destroyed_tag(web: Web) -> None:
    """Destroying a tag of a post destroys the tag and its links; the answer is true."""
    web.post("/posts/1/tags:destroy/2", None, {"data": True})
    tags_are(web, 1, tag(1, link_row(1, 1)))
    tags_are(web, 2)
    web.get("/tags:list", listed(tag(1), tag(3)))


@line(79)
def belongs_to(web: Web) -> None:
    """All actions of an association to one record."""
    web.get("/posts/1/author:get", {"data": author(1)})
    web.post("/posts/1/author:update/77", {"age": 31}, {"data": author(1, updated=True, age=31)})
    web.post("/posts/1/author:create", {"name": "Dan"}, {"data": author(4, name="Dan")})
    web.get("/posts/1", {"data": post(1, authorId=4)})
    web.post("/posts/1/author:set", [2], {})
    web.get("/posts/1/author:get", {"data": author(2)})
    web.post("/posts/1/author:remove", None, {})
    web.get("/posts/1/author:get", {"data": None})


@line(80)
def has_many(web: Web) -> None:
    """add, remove and set move the foreign keys; the records stay."""
    moved = [comment(3, postId=1), comment(4, postId=1)]
    web.post("/posts/1/comments:add", [3, 4], {})
    web.get("/posts/1/comments", listed(comment(1), comment(2), *moved))
    web.post("/posts/1/comments:remove", [1], {})
    web.get("/comments:get/1", {"data": comment(1, postId=None)})
    web.post("/posts/1/comments:set", [2], {})
    gone = [comment(number, postId=None) for number in (1, 3, 4)]
    web.get("/comments:list", listed(gone[0], comment(2), *gone[1:]))


@line(81)
def destroyed_ends(web: Web) -> None:
    """A destroyed post takes its link rows along and lets its comments go."""
    web.post("/posts:destroy/1", None, {"data": 1})
    rows = [{"postId": 2, "tagId": 2}, {"postId": 4, "tagId": 1}]
    web.get("/postsTags:list?fields=postId,tagId", listed(*rows))
    web.get("/comments:get/1", {"data": comment(1, postId=None)})
    web.post("/tags:destroy/2", None, {"data": 1})
    web.get("/postsTags:list?fields=postId,tagId", listed(rows[1]))


# ---- the manual order ----


def manual(web: Web, **sorts: int) -> None:
    """The values of `sort`, as `p1=3`."""
    rows = [{"id": int(name[1:]), "sort": value} for name, value in sorts.items()]
    web.get("/posts:list?fields=id,sort", listed(*rows))


@line(82)
def moved(web: Web) -> None:
    """Down, up, behind the target, to the top; times stay."""
    web.post("/posts:move?sourceId=1&targetId=3", None, {"data": "ok"})
    manual(web, p1=3, p2=1, p3=2, p4=4, p5=5)
    web.post("/posts:move?sourceId=5&targetId=2", None, {"data": "ok"})
    manual(web, p1=4, p2=2, p3=3, p4=5, p5=1)
    web.post("/posts:move?sourceId=5&targetId=3&method=insertAfter", None, {"data": "ok"})
    in_order(web, "sort=sort", 2, 3, 5, 1, 4)
    web.post("/posts:move?sourceId=4&sticky=true", None, {"data": "ok"})
    in_order(web, "sort=sort", 4, 2, 3, 5, 1)
    web.get("/posts:get/4", {"data": post(4, sort=0)})


@line(83)
def move_without_order(web: Web) -> None:
    """A collection without a manual order refuses."""
    expected = error("not_sortable", "Table 'tags' has no manual order")
    web.refuse(400, expected, "POST", "/tags:move?sourceId=1&targetId=2")
    web.refuse(404, error("not_found", NOT_FOUND), "POST", "/posts:move?sourceId=99&targetId=2")


@line(84)
def new_records_last(web: Web) -> None:
    """A new record comes last in the manual order."""
    web.post("/posts:move?sourceId=1&targetId=5", None, {"data": "ok"})
    web.post("/posts:create", {}, {"data": post(6, sort=6)})
    web.post("/posts:destroy/6", None, {"data": 1})
    web.post("/posts:create", {}, {"data": post(7, sort=6)})


# ---- the rest ----


@line(85)
def upserts(web: Web) -> None:
    """firstOrCreate finds or makes; updateOrCreate changes, in a list, or makes."""
    web.post("/authors:firstOrCreate?filterKeys[]=name", {"name": "Ann", "age": 1}, {"data": author(1)})
    web.post(
        "/authors:firstOrCreate?filterKeys[]=name", {"name": "Dan", "age": 1}, {"data": author(4, name="Dan", age=1)}
    )
    changed = author(1, updated=True, age=1)
    web.post("/authors:updateOrCreate?filterKeys[]=name", {"name": "Ann", "age": 1}, {"data": [changed]})
    web.post("/authors:updateOrCreate?filterKeys=name", {"name": "Eve"}, {"data": author(5, name="Eve")})


@line(86)
def get_writes(web: Web) -> None:
    """GET of an action that writes performs it."""
    web.get("/posts/1/tags:remove/1", {})
    tags_are(web, 1, tag(2, link_row(1, 2)))
    web.get("/comments:destroy/1", {"data": 1})


@line(87)
def client_brackets(web: Web) -> None:
    """The official client's way to write arrays, nulls and `$`."""
    where = "filter=%7B%22content.%24includes%22%3A%22hello%20y%22%7D"
    expected = {"data": [{"id": 2, "title": "Two"}], "meta": meta(1, 1, 2)}
    web.get(f"/posts:list?fields%5B%5D=id&fields%5B%5D=title&sort%5B%5D=-id&page=1&pageSize=2&{where}", expected)
    web.get("/posts:list?fields%5B%5D=id&filter%5Bviews%5D", listed({"id": 3}))
    web.get("/posts:list?fields%5B%5D=id&filter%5Bviews.%24gt%5D=9", listed({"id": 1}, {"id": 5}))


@line(88)
def text_key(web: Web) -> None:
    """A collection whose key is a text."""
    web.get("/kv:get?filterByTk=a%2Fb", {"data": stamped(PAIRS[0], False)})
    web.get("/kv:get/k", {"data": stamped(PAIRS[1], False)})
    web.get("/kv:get?filterByTk=1", {"data": None})


@line(89)
def head_and_origin(web: Web) -> None:
    """HEAD has no body; an origin that is allowed is named."""
    answer = web.send("HEAD", "/posts:list")
    length = str(len(web.send("GET", "/posts:list").body))
    assert (answer.status_int, answer.body, answer.headers["Content-Length"]) == (200, b"", length)
    origin = "https://app.example"
    answer = web.client.get("/api/posts:list", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.json == listed(*ALL)
    answer = web.client.get("/api/posts:list", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@line(90)
def by_type(web: Web) -> None:
    """Without an action the form of the association decides."""
    web.post("/posts/1/tags", [3], {})
    tags_are(web, 1, tag(3, new_row(1, 3)))
    web.expect(web.send("DELETE", "/posts/1/tags/3"), {})
    tags_are(web, 1)
    web.get("/tags:get/3", {"data": tag(3)})
    web.get("/posts/1/author", {"data": author(1)})


@pytest.mark.parametrize("number", LINES)
def test_line(web: Web, number: int) -> None:
    """The scenario of the line of that number."""
    LINES[number](web)


def test_every_line_has_a_scenario() -> None:
    """All 90 lines are there."""
    assert list(LINES) == list(range(1, 91))
