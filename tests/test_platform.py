"""The Platform dialect beyond its numbered lines: entities, parameters, conditions, writing, signing in, bad input."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirest
from minirest import object_id, parse_instant, parse_literals
from tests.web import Answer as WebAnswer
from tests.web import dump, many, one, send, table

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
NOW_MS = 1718452800000
DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
JSON = "application/json; charset=utf-8"
PASSWORD = "correct horse"
TEXT: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}
NOT_FOUND = ("Not Found", ["error_not_found"])
UNAUTHORIZED = ("Unauthorized", ["error_unauthorized"])
BAD, WRONG = ["error_bad_request"], ["error_bad_request", "error_validation"]


SCHEMA: dict[str, Any] = {
    "$defs": {
        "things": table(
            {
                "text": "Abc",
                "whole": 1,
                "ratio": 1.5,
                "flag": True,
                "day": "2024-03-18",
                "at": "2024-03-18T00:00:00.000Z",
                "clock": "08:00:00",
                "uid": "0b9d4c1e-52f6-4a35-9d0c-7f6e1b2a8c11",
                "list": ["x", "y"],
                "multi": ["A1"],
                "extra": {"a": 1, "b": {"c": "z", "d": None}, "e f": True},
                "code": "one",
                "hidden": "hush",
            },
            {"text": "abÄ", "whole": -5, "ratio": -0.25, "flag": False, "list": [], "parent": 1},
            {"text": "", "whole": 0, "ratio": 12345678.125, "list": ["y"], "parent": 1},
            {},
            text={**TEXT, "maxLength": 40},
            whole=INTEGER,
            ratio={"type": "number"},
            flag={"type": "boolean"},
            day={**TEXT, "format": "date"},
            at={**TEXT, "format": "date-time"},
            clock={**TEXT, "format": "time"},
            uid={**TEXT, "format": "uuid"},
            list={"type": "array", "items": TEXT},
            multi={"type": "array", "items": {"type": "string", "enum": ["A1", "Ä2"]}},
            extra={"type": "object"},
            code={**TEXT, "x-unique": True},
            hidden={**TEXT, "writeOnly": True},
            fixed={**TEXT, "readOnly": True},
            photo={**TEXT, "contentEncoding": "base64"},
            parent=one("things"),
            children=many("things", **{"x-inverse": "parent"}),
            groups=many("clubs"),
        ),
        "clubs": table({"name": "red", "size": 1}, {"name": "blue", "size": 2}, name=TEXT, size=INTEGER),
        "parts": table({"of": 3}, of=one("things"), required=["of"]),
        "own": table(
            {"owner": "me", "time": "noon", "success": False, "branch": 3},
            owner=TEXT,
            time=TEXT,
            success={"type": "boolean"},
            branch=INTEGER,
        ),
        "numbered": table({"name": "a"}, {"name": "b"}, id=INTEGER, name=TEXT, next=one("numbered")),
        "keyed": table({"id": "k1"}, id=TEXT),
        "states": table(
            {"name": "active"},
            {"name": "archived", "_status": "archived"},
            {"name": "trashed", "_status": "trash"},
            {"name": "over", "valid_to": "2024-06-14"},
            {"name": "today", "valid_to": "2024-06-15"},
            name=TEXT,
            all=many("states"),
            **{"x-archive": True, "x-validity": True, "x-sort": True},
        ),
        "blank": table({"n": 1}, n=INTEGER),
    }
}
TAGS = minirest.derive_tags([*SCHEMA["$defs"], "_users", "_groups"], {})


def of(name: str, number: int) -> str:
    """The ObjectId of a record."""
    return object_id(TAGS[name], number)


class Answer(WebAnswer):
    """An answer whose content is held to its form."""

    @property
    def entities(self) -> list[dict[str, Any]]:
        """The entities of a list."""
        assert self.status == 200, self.body.decode()
        lines = self.body.decode().split("\n")
        assert (lines[0], lines[-1], set(lines[2:-1:2]) <= {","}) == ("[", "]", True)
        return [json.loads(text) for text in lines[1:-1:2]]

    @property
    def error(self) -> tuple[str, list[str]]:
        """Message and tags of an error."""
        assert (self.json["success"], self.json["code"]) == (False, str(self.status))
        assert list(self.json) == ["success", "code", "message", "tags"]
        assert self.headers["Content-Type"] == JSON
        return self.json["message"], self.json["tags"]


class Web:
    """Calls an application in process, below `/api/v1`."""

    def __init__(self, schema: Any = SCHEMA, **options: Any) -> None:
        self.now = NOW
        self.app = minirest.make_app(schema, **{"auth": False, "clock": lambda: self.now, **options})
        self.first = sqlite3.connect(":memory:")
        self.app.store.database.writer.backup(self.first)

    def restore(self) -> "Web":
        """Go back to the first records."""
        self.now = NOW
        self.first.backup(self.app.store.database.writer)
        return self

    def close(self) -> None:
        """Close both databases."""
        self.first.close()
        self.app.close()

    def __call__(self, method: str, address: str, body: Any = None, kind: str = "", **environ: str) -> Answer:
        path, _, query = address.partition("?")
        address = f"/api/v1{path}?{quote(query, safe='%&=+[]')}"
        return Answer(*send(self.app, method, address, body, kind, **environ))

    def get(self, address: str) -> Any:
        """The entity of a GET."""
        answer = self("GET", address)
        assert answer.status == 200, answer.body.decode()
        return answer.json

    def found(self, query: str, store: str = "things") -> list[int]:
        """The numbers of the entities that a list has."""
        return [int(entity["_id"][8:], 16) for entity in self("GET", f"/{store}?only=_id&{query}").entities]

    def dump(self) -> list[str]:
        """Everything that is stored."""
        return dump(self.app.store)

    def refuse(self, status: int, message: str, tags: list[str], *request: Any, **environ: str) -> None:
        """Send what is refused, and see that the database has not changed."""
        before = self.dump()
        answer = self(*request, **environ)
        assert (answer.status, answer.error) == (status, (message, tags))
        assert self.dump() == before


@pytest.fixture(scope="module")
def things() -> Iterator[Web]:
    """Serve the schema, to read from it only."""
    web = Web()
    yield web
    web.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    """A server to write to."""
    web = Web()
    yield web
    web.close()


@pytest.fixture
def web(server: Web) -> Web:
    """The same with its first records."""
    return server.restore()


@pytest.fixture(scope="module")
def strict() -> Iterator[Web]:
    """A server that refuses what others ignore."""
    web = Web(strict=True)
    yield web
    web.close()


# ---- what an entity looks like ----


def test_every_kind(things: Web) -> None:
    """Values come out as JSON, links as ObjectIds; what is never shown is not there."""
    first = SCHEMA["$defs"]["things"]["examples"][0]
    shown = {name: value for name, value in first.items() if name != "hidden"}
    links = {"photo": None, "parent": None, "children": [of("things", 2), of("things", 3)], "groups": []}
    end: dict[str, Any] = {"owner": None, "group": None, "access": [], "branch": [], "time": NOW_MS}
    entity = {"_id": of("things", 1), **shown, "fixed": None, **links, **end, "success": True}
    assert list(things.get("/things/" + of("things", 1)).items()) == list(entity.items())


def test_nulls_and_empty_lists(things: Web) -> None:
    """An entity without anything has nulls, and empty lists for what links to many."""
    entity = things.get("/things/" + of("things", 4))
    lists = {name for name, value in entity.items() if value == []}
    assert lists == {"children", "groups", "access", "branch"}
    assert {name for name, value in entity.items() if value not in (None, [])} == {"_id", "time", "success"}


def test_own_names_win(things: Web) -> None:
    """A field that has the name of what the server adds is the field, in lists, filters and answers."""
    entity = {"_id": of("own", 1), "owner": "me", "time": "noon", "success": False, "branch": 3}
    assert things.get("/own/" + of("own", 1)) == {**entity, "group": None, "access": []}
    assert things.found("where.owner=me&where.time=noon&where.branch=3", "own") == [1]
    assert things.found(f"from={NOW_MS}&to={NOW_MS}", "own") == [1]
    assert things.found(f"from={NOW_MS + 1}", "own") == []


def test_own_names_are_written(web: Web) -> None:
    """Such a field is set by POST and PATCH like any other."""
    made = web("POST", "/own", {"owner": "you", "success": True, "branch": 4}).json
    assert (made["owner"], made["success"], made["branch"], made["group"]) == ("you", True, 4, None)
    changed = web("PATCH", "/own/" + made["_id"], {"owner": "we", "branch": None, "success": None}).json
    assert (changed["owner"], changed["success"], changed["branch"]) == ("we", None, None)


def test_numbers(web: Web) -> None:
    """An integer `id` is an attribute, which only the server sets; elsewhere there is none."""
    entity = web.get("/numbered/" + of("numbered", 2))
    assert list(entity.items())[:3] == [("_id", of("numbered", 2)), ("id", 2), ("name", "b")]
    assert web("GET", "/numbered?only=id").entities[0] == {"_id": of("numbered", 1), "id": 1}
    assert (web.found("where.id=2", "numbered"), web.found("where.id=2,1", "numbered")) == ([2], [1, 2])
    assert web.found("where._id=2", "numbered") == web.found(f"where.id={of('numbered', 2)}", "numbered") == []
    assert web("PATCH", "/numbered/" + of("numbered", 2), {"id": 7, "name": "c"}).json["id"] == 2
    assert web("PATCH", "/numbered/" + of("numbered", 1), {"next": of("numbered", 2)}).status == 200
    assert web.found("where.next.id=2", "numbered") == [1]
    message = "Unknown field 'id' in table 'things'; did you mean 'uid'?"
    web.refuse(400, message, WRONG, "POST", "/things", {"id": 7})
    web.refuse(400, message, BAD, "GET", "/things?where.id=1")
    assert web.get("/keyed/" + of("keyed", 1))["id"] == "k1"
    assert web.found("where.id=k1", "keyed") == [1]


def test_files(web: Web) -> None:
    """A file field shows its name, is filtered by it, and is left alone by what is written."""
    with web.app.store.database.writing() as connection:
        connection.execute("insert into _files (id, name) values (1, 'a.png')")
        connection.execute("update things set photo_id=1 where id=2")
    path = "/things/" + of("things", 2)
    assert web.get(path)["photo"] == "a.png"
    assert (web.found("where.photo=a.png,b.png"), web.found("where.photo=null")) == ([2], [1, 3, 4])
    assert web("PATCH", path, {"photo": None, "whole": 3}).json["photo"] == "a.png"
    web.refuse(404, *NOT_FOUND, "GET", f"{path}/photo")


@pytest.mark.parametrize("only", ["text", "text,text", "text,extra.a,nope", "text,"])
def test_only(things: Web, only: str) -> None:
    """`only` shows what it names once, in the entity's order; unknown names are nothing."""
    entity = things.get(f"/things/{of('things', 1)}?only={only}")
    extra = {"extra": {"a": 1, "b": {"c": "z", "d": None}, "e f": True}} if "extra" in only else {}
    assert entity == {"_id": of("things", 1), "text": "Abc", **extra, "success": True}


@pytest.mark.parametrize("only", ["", "nope", "hidden", "_id", "id"])
def test_only_the_id(things: Web, only: str) -> None:
    """Where `only` names nothing that can be seen, there is the id."""
    assert things("GET", f"/things?limit=1&only={only}").entities == [{"_id": of("things", 1)}]


# ---- addresses ----


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_ids_have_no_case(things: Web, case: Any) -> None:
    """ObjectIds and names of stores are read in any case."""
    key = case(of("things", 2))
    assert things.get(f"/{case('things')}/{key}")["_id"] == of("things", 2)
    assert things.found(f"where._id={key}") == [2]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "", "GET, HEAD"),
        ("PATCH", "/things", "GET, HEAD, POST"),
        ("DELETE", "/things/", "GET, HEAD, POST"),
        ("POST", f"/things/{of('things', 1)}", "GET, HEAD, PATCH, DELETE"),
        ("POST", f"/things/{of('things', 1)}/groups", "GET, HEAD"),
        ("DELETE", f"/things/{of('things', 1)}/groups/", "GET, HEAD"),
        ("GET", "/auth", "POST, DELETE"),
        ("PATCH", "/auth/", "POST, DELETE"),
        ("DELETE", "/auth/token", "POST"),
        ("OPTIONS", "", "GET, HEAD"),
        ("OPTIONS", "/things", "GET, HEAD, POST"),
        ("OPTIONS", f"/things/{of('things', 1)}", "GET, HEAD, PATCH, DELETE"),
        ("OPTIONS", f"/things/{of('things', 1)}/groups", "GET, HEAD"),
        ("OPTIONS", "/auth", "POST, DELETE"),
        ("OPTIONS", "/auth/token", "POST"),
    ],
)
def test_methods(things: Web, method: str, path: str, allowed: str) -> None:
    """A method that an address does not take is 405 and says which it takes."""
    message = f"Method {method} is not allowed here; allowed are {allowed}"
    things.refuse(405, message, ["error_method_not_allowed"], method, path)
    assert things(method, path).headers["Allow"] == allowed


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/nope/1",
        "//things",
        "/things//",
        "/things:list",
        "/things/1/groups",
        "/things/1/2/3/4",
        f"/things/{of('things', 1)}/text",
        f"/things/{of('things', 1)}/owner",
        f"/things/{of('clubs', 1)}",
    ],
)
def test_nothing_else_is_there(things: Web, method: str, path: str) -> None:
    """No other dialect answers below the base, whatever the method."""
    things.refuse(404, *NOT_FOUND, method, path, {})


def test_neighbours_keep_their_addresses() -> None:
    """What only begins like the base belongs to NocoBase, with its form of errors."""
    app = minirest.make_app({"$defs": {"v1x": table({"a": "b"}, a=TEXT)}}, auth=False)
    assert send(app, "GET", "/api/v1x:list").json["data"][0]["a"] == "b"
    assert send(app, "GET", "/api/v1x:nope").json == {"errors": [{"code": "not_found", "message": "Not Found"}]}
    assert send(app, "GET", "/api/v1:list").json == {"errors": [{"code": "unknown_table", "message": "Not Found"}]}
    assert send(app, "GET", "/api/v1/nope").json["tags"] == ["error_not_found"]
    app.close()


def test_alone() -> None:
    """Without the other dialects nothing is different."""
    web = Web(dialects=["platform"])
    assert web("GET", "/blank").entities[0]["n"] == 1
    assert Answer(*send(web.app, "GET", "/blank")).error == NOT_FOUND
    web.close()


def test_head(things: Web) -> None:
    """HEAD is GET without its body."""
    for path in ("/things", "/things/" + of("things", 1), "/nope", "/things?limit=x"):
        head, get = things("HEAD", path), things("GET", path)
        assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


def test_options(things: Web) -> None:
    """OPTIONS is no method of the API."""
    assert things("OPTIONS", "/things").status == 405


# ---- which records ----


def test_states(web: Web) -> None:
    """Lists have what is active and valid today, in the order of the ids; by its id any record is found."""
    everything = [of("states", number) for number in range(1, 6)]
    assert [entity["name"] for entity in web("GET", "/states?only=name").entities] == ["active", "today"]
    assert web.get("/states?meta=true&only=name")["total"] == 2
    for number, name in enumerate(["active", "archived", "trashed", "over", "today"], 1):
        assert web.get("/states/" + of("states", number))["name"] == name
    path = "/states/" + of("states", 1)
    assert web("PATCH", path, {"all": everything[::-1]}).json["all"] == everything[::-1]
    assert [entity["name"] for entity in web("GET", f"{path}/all").entities] == ["active", "today"]
    assert web("PATCH", "/states/" + of("states", 2), {"name": "x"}).json["name"] == "x"
    assert web("DELETE", "/states/" + of("states", 3)).json["name"] == "trashed"
    web.now += timedelta(days=1)
    assert web.found("", "states") == [1]


def test_linked_lists(web: Web) -> None:
    """A linked list takes all parameters; a unique link is a list too."""
    path = "/things/" + of("things", 1)
    web("PATCH", path, {"groups": [of("clubs", 2), of("clubs", 1)]})
    assert [club["name"] for club in web("GET", f"{path}/groups").entities] == ["red", "blue"]
    assert [club["name"] for club in web("GET", f"{path}/groups/?sortBy=-size&limit=1").entities] == ["blue"]
    assert web.get(f"{path}/groups?meta=true&where.size=2")["total"] == 1
    assert [it["_id"] for it in web("GET", f"/things/{of('things', 2)}/parent").entities] == [of("things", 1)]
    assert web("GET", f"{path}/parent").entities == []
    assert len(web("GET", f"{path}/children").entities) == 2


# ---- parameters ----

NUMBERS = ["-1", "x", "", "1.5", "1e3", "+5", " 5", "٣", "9223372036854775808", "1" * 400]


@pytest.mark.parametrize("name", ["limit", "offset"])
@pytest.mark.parametrize("value", NUMBERS)
def test_bad_numbers(things: Web, name: str, value: str) -> None:
    """`limit` and `offset` are whole numbers of 64 bits, 0 or more."""
    message = f"Invalid value {value[:100]!r} for parameter {name!r}: write a whole number, 0 or more"
    things.refuse(400, message, BAD, "GET", f"/things?{name}={value.replace('+', '%2B')}")


def test_extreme_numbers(things: Web) -> None:
    """The largest numbers are numbers; 0 shows nothing."""
    assert things.found("limit=9223372036854775807") == [1, 2, 3, 4]
    assert things.found("limit=9223372036854775807&nolimit=true") == [1, 2, 3, 4]
    assert things.found("offset=9223372036854775807") == things.found("limit=0") == []
    assert things.found("limit=000000000000000002&offset=01") == [2, 3]


@pytest.mark.parametrize("name", ["meta", "nolimit", "streamed"])
@pytest.mark.parametrize("value", ["=", "=yes", "=1", "=TRUE", ""])
def test_bad_flags(things: Web, name: str, value: str) -> None:
    """A flag is true or false."""
    message = f"Invalid value {value[1:]!r} for parameter {name!r}: write true or false"
    things.refuse(400, message, BAD, "GET", f"/things?{name}{value}")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limti=1", "'limti'; did you mean 'limit'?"),
        ("ONLY=text", "'ONLY'"),
        ("text=Abc", "'text'"),
        ("limit[]=1", "'limit[]'; did you mean 'limit'?"),
        ("where=1", "'where'"),
        ("$where.text=1", "'$where.text'; did you mean 'where.<path>'?"),
    ],
)
def test_unknown_parameters(things: Web, query: str, named: str) -> None:
    """What is no parameter is refused by its name."""
    things.refuse(400, f"Unknown parameter {named}", BAD, "GET", f"/things?{query}")


@pytest.mark.parametrize(
    ("method", "path", "parameter"),
    [
        ("GET", f"/things/{of('things', 1)}", "limit"),
        ("GET", f"/things/{of('things', 1)}", "where.text"),
        ("POST", "/things", "only"),
        ("PATCH", f"/things/{of('things', 1)}", "only"),
        ("DELETE", f"/things/{of('things', 1)}", "from"),
        ("POST", "/auth", "only"),
        ("DELETE", "/auth", "only"),
        ("POST", "/auth/token", "only"),
    ],
)
def test_parameters_of_other_requests(things: Web, method: str, path: str, parameter: str) -> None:
    """A single entity takes `only`, all others take none."""
    things.refuse(400, f"Unknown parameter {parameter!r}", BAD, method, f"{path}?{parameter}=1", {})


@pytest.mark.parametrize("value", ["x", "", "2019-08", "2019-08-31T", "2019-02-30", "1.5", "٣", "1" * 20, "--1"])
@pytest.mark.parametrize("name", ["from", "to", "begin", "end"])
def test_bad_time_points(things: Web, name: str, value: str) -> None:
    """A time point is a number of 64 bits or a date, with a time or without; also where another one wins."""
    reason = "a whole number of 64 bits" if value == "1" * 20 else "a date and time as YYYY-MM-DDTHH:MM:SSZ"
    message = f"Invalid value {value!r} for parameter {name!r}: write milliseconds since 1970 or {reason}"
    things.refuse(400, message, BAD, "GET", f"/things?from=0&to=0&{name}={value}")


def test_far_time_points(things: Web) -> None:
    """Milliseconds far beyond the calendar are before or after everything; digits alone are milliseconds."""
    far = 2**63 - 1
    assert things.found(f"from=-{far}&to={far}") == [1, 2, 3, 4]
    assert things.found(f"from={far}") == things.found(f"to=-{far}") == []
    assert things.found("from=2024-06-15&to=2024-06-15T12:00Z") == [1, 2, 3, 4]
    assert things.found("from=2019") == [1, 2, 3, 4]
    assert things.found("to=2019") == []


@given(st.datetimes())
def test_instants(moment: datetime) -> None:
    """A moment is the same as milliseconds and as ISO 8601."""
    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    milliseconds = (moment - EPOCH) // timedelta(milliseconds=1)
    assert parse_instant(str(milliseconds)) == parse_instant(moment.isoformat()) == minirest.moment_text(moment)


def test_meta_and_its_likes(things: Web) -> None:
    """`meta` goes with conditions, not with a page or an order, and its ends are those of the ids."""
    assert things.get("/things?meta=true&only=text&where.parent=null") == {
        "total": 2,
        "first": {"_id": of("things", 1), "text": "Abc"},
        "last": {"_id": of("things", 4), "text": None},
        "success": True,
    }
    assert things.get("/states?meta=true&nolimit=true&streamed=false")["last"]["name"] == "today"
    for name, value in (("offset", "0"), ("limit", "5"), ("sortBy", "text")):
        message = f"Invalid value {value!r} for parameter {name!r}: it does not go with meta"
        things.refuse(400, message, BAD, "GET", f"/things?{name}={value}&meta=true")


@pytest.mark.parametrize(
    ("term", "numbers"),
    [
        ("text", [4, 3, 1, 2]),
        ("-text", [2, 1, 3, 4]),
        ("whole", [4, 2, 3, 1]),
        ("-whole", [1, 3, 2, 4]),
        ("_id", [1, 2, 3, 4]),
        ("-_id", [4, 3, 2, 1]),
        ("time", [1, 2, 3, 4]),
        ("parent.whole", [1, 4, 2, 3]),
        ("-parent.whole", [2, 3, 1, 4]),
        ("extra.b.c", [2, 3, 4, 1]),
    ],
)
def test_sort(things: Web, term: str, numbers: list[int]) -> None:
    """Null comes first, downwards last; equals stand by id."""
    assert things.found(f"sortBy={term}") == numbers


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("nope", "Unknown field 'nope' in table 'things'"),
        ("", "Unknown field '' in table 'things'"),
        ("--text", "Unknown field '-text' in table 'things'; did you mean 'text'?"),
        ("text,whole", "Unknown field 'text,whole' in table 'things'; did you mean 'whole'?"),
        ("hidden", "Unknown field 'hidden' in table 'things'; did you mean 'children'?"),
        ("id", "Unknown field 'id' in table 'things'; did you mean 'uid'?"),
        ("txet", "Unknown field 'txet' in table 'things'; did you mean 'text'?"),
        ("text.x", "Unknown field 'text.x' in table 'things'"),
        ("parent", "Invalid value 'parent' for parameter 'sortBy': it is a link; name one of its fields"),
        ("-groups", "Invalid value '-groups' for parameter 'sortBy': it is a link; name one of its fields"),
    ],
)
def test_bad_sort(things: Web, term: str, message: str) -> None:
    """An order by what is not there, or by a link, is refused."""
    things.refuse(400, message, BAD, "GET", f"/things?sortBy={term}")


def test_repeated_parameters(things: Web, strict: Web) -> None:
    """The last one counts; a strict server refuses."""
    query = "limit=1&limit=2&where.whole=1&where.whole=0&from=x&from=0"
    assert things.found("limit=1&limit=2&where.whole=1&where.whole=0,-5,1&from=x&from=0") == [1, 2]
    message = "Invalid value '2' for parameter 'limit': it stands twice"
    strict.refuse(400, message, BAD, "GET", f"/things?{query}")


def test_strict_lists(strict: Web) -> None:
    """A strict server refuses unknown names in `only`, and two words for one time."""
    message = "Invalid value 'nope' for parameter 'only': table 'things' has no such field"
    strict.refuse(400, message, BAD, "GET", "/things?only=text,nope")
    strict.refuse(400, message, BAD, "GET", f"/things/{of('things', 1)}?only=nope")
    message = "Invalid value '5' for parameter 'begin': from says the same"
    strict.refuse(400, message, BAD, "GET", "/things?from=1&begin=5")
    assert strict.found("begin=0&to=9999999999999&limit=1") == [1]


# ---- conditions ----

CONDITIONS: list[tuple[str, list[int]]] = [
    ("text=Abc", [1]),
    ("text=abc", []),
    ("text=", [3]),
    ("text=,Abc", [1, 3]),
    ("text=null", [4]),
    ("text=null,Abc", [1, 4]),
    ('text="null"', []),
    ('text="Abc","abÄ"', [1, 2]),
    ("text=1", []),
    ("text=true,Abc", [1]),
    ("text=[1]", []),
    ('text={"$gt":""}', []),
    ("whole=1", [1]),
    ("whole=1.0", [1]),
    ("whole=1.5", []),
    ("whole=-5,0,7", [2, 3]),
    ("whole=x", []),
    ("whole=x,1", [1]),
    ("whole=x,null", [4]),
    ("whole=true", []),
    ("whole=99999999999999999999", []),
    ("ratio=-0.25", [2]),
    ("ratio=12345678.125", [3]),
    ("ratio=1.50,1e400", [1]),
    ("flag=true", [1]),
    ("flag=false,null", [2, 3, 4]),
    ("flag=1", []),
    ("day=2024-03-18", [1]),
    ("day=2024", []),
    ("at=2024-03-18", [1]),
    ("at=2024-03-18T00:00Z", [1]),
    ("at=1710720000000", [1]),
    ("at=1710720000001", []),
    ("at=99999999999999999999", []),
    ("at=9223372036854775807", []),
    ("at=1.5", []),
    ("clock=08:00", [1]),
    ("uid=0b9d4c1e-52f6-4a35-9d0c-7f6e1b2a8c11", [1]),
    ("list=y", [1, 3]),
    ("list=x,z", [1]),
    ("list=7", []),
    ("list=null", [4]),
    ("list=null,x", [1, 4]),
    ("multi=A1", [1]),
    ("extra=null", [2, 3, 4]),
    ("extra.a=1", [1]),
    ('extra.a="1"', []),
    ("extra.b.c=z", [1]),
    ("extra.b.d=null", [1, 2, 3, 4]),
    ("extra.e f=true", [1]),
    ("extra.b={}", []),
    (f"parent={of('things', 1)}", [2, 3]),
    (f"parent={of('things', 1)},null", [1, 2, 3, 4]),
    (f"parent={of('clubs', 1)}", []),
    ("parent=1", []),
    ("parent=null", [1, 4]),
    ("parent.text=Abc", [2, 3]),
    ("parent.text=null", [1, 4]),
    ("parent.parent=null", [1, 2, 3, 4]),
    (f"parent._id={of('things', 1)}", [2, 3]),
    ("parent.extra.b.c=z", [2, 3]),
    (f"children={of('things', 3)}", [1]),
    ("children=null", [2, 3, 4]),
    ("children.whole=0,-5", [1]),
    ("groups=null", [1, 2, 3, 4]),
    (f"_id={of('things', 4)}", [4]),
    (f"_id={of('things', 4)},x,{of('clubs', 1)},1", [4]),
    ("_id=null", []),
    ("owner=null", [1, 2, 3, 4]),
    ("access=null", [1, 2, 3, 4]),
    ("branch=x", []),
    ("time=1718452800000", [1, 2, 3, 4]),
    ("time=2024-06-15T12:00", [1, 2, 3, 4]),
    ("time=1718452800001", []),
]


@pytest.mark.parametrize(("condition", "numbers"), CONDITIONS, ids=[condition for condition, _ in CONDITIONS])
def test_conditions(things: Web, condition: str, numbers: list[int]) -> None:
    """A condition selects equal values of its kind."""
    assert things.found(f"where.{condition}") == numbers


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("where.nope", "Unknown field 'nope' in table 'things'"),
        ("where.txet", "Unknown field 'txet' in table 'things'; did you mean 'text'?"),
        ("where.", "Unknown field '' in table 'things'"),
        ("where.hidden", "Unknown field 'hidden' in table 'things'; did you mean 'children'?"),
        ("where._version", "Unknown field '_version' in table 'things'"),
        ("where.text.x", "Unknown field 'text.x' in table 'things'"),
        ("where.text[x]", "Unknown field 'text[x]' in table 'things'; did you mean 'text'?"),
        ("where.owner.name", "Unknown field 'owner.name' in table 'things'"),
        ("where.parent.nope", "Unknown field 'nope' in table 'things'"),
        ("where.groups.text", "Unknown field 'text' in table 'clubs'"),
        ("where.extra", "Invalid value '1' for parameter 'where.extra': only null can be asked for"),
    ],
)
def test_bad_conditions(things: Web, name: str, message: str) -> None:
    """A path that is not there, or leads to what cannot be compared, is refused."""
    things.refuse(400, message, BAD, "GET", f"/things?{name}=1")


def test_too_many_conditions(things: Web) -> None:
    """There are limits, and they say so."""
    query = "&".join(f"where.extra.k{number}=1" for number in range(101))
    things.refuse(400, "The filter is too large: more than 100 terms", BAD, "GET", f"/things?{query}")
    query = "where." + "parent." * 17 + "text=x"
    things.refuse(400, "The filter is too large: more than 16 links in one path", BAD, "GET", f"/things?{query}")
    assert things.found("where.text=" + ",".join(f"x{number}" for number in range(5000)) + ",Abc") == [1]


def test_conditions_share_a_record(web: Web) -> None:
    """Conditions that go along one link speak of the same linked record."""
    path = "/things/" + of("things", 1)
    web("PATCH", path, {"groups": [of("clubs", 1), of("clubs", 2)]})
    assert web.found("where.groups.name=red&where.groups.size=1") == [1]
    assert web.found("where.groups.name=red&where.groups.size=2") == []
    assert web.found("where.groups.name=red,null") == [1, 2, 3, 4]
    assert web.found("where.groups.name=red&where.whole=1&search=B") == [1]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("AB", [1, 2]),
        ("ä", [2]),
        ("one", [1]),
        ("0B9D", [1]),
        ("%", []),
        ("_", []),
        ("", [1, 2, 3, 4]),
        ("hush", []),
        ("x", []),
    ],
)
def test_search(things: Web, text: str, numbers: list[int]) -> None:
    """A text in any visible text field, in any case; the empty one is no condition."""
    assert things.found(f"search={quote(text)}") == numbers


def test_search_without_texts(things: Web) -> None:
    """A store without texts has none that fits, and too long a text is refused."""
    assert things.found("search=1", "blank") == []
    assert things.found("search=", "blank") == [1]
    message = "The filter is too large: more than 1000 characters to search for"
    things.refuse(400, message, BAD, "GET", f"/things?search={'x' * 1001}")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("1,x", [1, "x"]),
        (' "a,b" , 2 ', ["a,b", 2]),
        ('"a,b",c', ['"a', 'b"', "c"]),
        ("01,NaN,1e999", ["01", "NaN", "1e999"]),
        ("[1,2]", [[1, 2]]),
        (",", ["", ""]),
    ],
)
def test_literals(text: str, values: list[Any]) -> None:
    """All values are JSON, or each is JSON or a word."""
    assert parse_literals(text) == values


# ---- writing ----


def test_a_whole_entity_can_be_sent_back(web: Web) -> None:
    """What a GET shows is taken by PATCH, and changes nothing."""
    with web.app.store.database.writing() as connection:
        connection.execute("insert into _files (id, name) values (1, 'a.png')")
        connection.execute("update things set photo_id=1, fixed='f', _owner=7, _access='[7,-3]' where id=1")
    for store in SCHEMA["$defs"]:
        for entity in web("GET", f"/{store}").entities:
            path, before = f"/{store}/{entity['_id']}", web.dump()
            shown = web.get(path)
            assert web("PATCH", path, shown).json == shown
            assert web.dump() == before


def test_posting_a_whole_entity_copies_it(web: Web) -> None:
    """What a GET shows is taken by POST too, but for what must be unique; a record of its own comes of it."""
    shown = web.get("/things/" + of("things", 1))
    copy = web("POST", "/things", {**shown, "code": "two", "children": []}).json
    assert copy == {**shown, "_id": of("things", 5), "code": "two", "children": []}


STRICT: list[tuple[str, str]] = [
    ("_id", "Field '_id' cannot be set"),
    ("owner", "Field 'owner' cannot be set"),
    ("group", "Field 'group' cannot be set"),
    ("access", "Field 'access' cannot be set"),
    ("branch", "Field 'branch' cannot be set"),
    ("time", "Field 'time' cannot be set"),
    ("fixed", "Field 'fixed' cannot be set"),
    ("photo", "Field 'photo' cannot be set"),
    ("success", "Unknown field 'success' in table 'things'; did you mean 'access'?"),
]


@pytest.mark.parametrize(("name", "message"), STRICT)
def test_strict_bodies(strict: Web, web: Web, name: str, message: str) -> None:
    """What is left out of a PATCH is refused by a strict server, by its name."""
    path = "/things/" + of("things", 1)
    before = web.get(path)
    assert web("PATCH", path, {name: None}).json == before
    strict.refuse(400, message, WRONG, "PATCH", path, {name: None})


def test_access_at_creation(web: Web) -> None:
    """`access` holds users and groups in their order, each once; `branch` groups. Nobody looks them up."""
    users, crews = [of("_users", n) for n in (1, 2**40)], [of("_groups", n) for n in (1, 2**40)]
    body = {"access": [crews[1], users[0].upper(), users[1], crews[0], users[0]], "branch": [crews[0], crews[0]]}
    made = web("POST", "/blank", body).json
    assert (made["access"], made["branch"]) == ([crews[1], users[0], users[1], crews[0]], [crews[0]])
    stored = web.app.store.database.writer.execute("select _access, _branch from blank where id=2").fetchone()
    assert stored == (f"[{-(2**40)},1,{2**40},-1]", "[1]")
    assert web.found(f"where.access={crews[0]}", "blank") == web.found(f"where.access={users[1]},x", "blank") == [2]
    assert web.found(f"where.access={of('_groups', 2)}", "blank") == []
    assert web.found("where.access=null", "blank") == [1]
    assert web("POST", "/blank", {"access": None, "branch": []}).json["access"] == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("access", [of("things", 1)], "users and groups"),
        ("access", ["x"], "users and groups"),
        ("access", [1], "users and groups"),
        ("access", [None], "users and groups"),
        ("access", of("_users", 1), "users and groups"),
        ("access", {}, "users and groups"),
        ("branch", [of("_users", 1)], "groups"),
        ("branch", True, "groups"),
    ],
)
def test_bad_access(web: Web, name: str, value: Any, expected: str) -> None:
    """Ids of other tables and anything else are refused."""
    text = json.dumps(value, separators=(",", ":"))
    message = f"Invalid value {text} for field {name!r}: expected a list of ids of {expected}"
    web.refuse(400, message, WRONG, "POST", "/things", {"text": "x", name: value})


BODIES: list[tuple[Any, str]] = [
    ({"nmae": 1}, "Unknown field 'nmae' in table 'things'"),
    ({"txet": 1}, "Unknown field 'txet' in table 'things'; did you mean 'text'?"),
    ({"hiden": 1}, "Unknown field 'hiden' in table 'things'; did you mean 'children'?"),
    ({"text": 1}, "Invalid value 1 for field 'text': expected a text"),
    ({"whole": "1"}, "Invalid value \"1\" for field 'whole': expected a whole number of 64 bits"),
    ({"flag": 1}, "Invalid value 1 for field 'flag': expected true or false"),
    ({"text": "x" * 41}, "Field 'text' must have at most 40 characters"),
    ({"code": "one"}, "Field 'code' must be unique: another record has this value"),
    ({"parent": of("clubs", 1)}, "Field 'parent' links to a record that does not exist"),
    ({"parent": of("things", 99)}, "Field 'parent' links to a record that does not exist"),
    ({"parent": "x"}, "Field 'parent' links to a record that does not exist"),
    ({"parent": 1}, "Invalid value 1 for field 'parent': expected an ObjectId"),
    ({"parent": [of("things", 1)]}, f"Invalid value [\"{of('things', 1)}\"] for field 'parent': expected an ObjectId"),
    ({"parent": {"_id": 1}}, "Invalid value {\"_id\":1} for field 'parent': expected an ObjectId"),
    (
        {"groups": of("clubs", 1)},
        f"Invalid value \"{of('clubs', 1)}\" for field 'groups': expected a list of ObjectIds",
    ),
    ({"groups": [of("clubs", 1), of("clubs", 9)]}, "Field 'groups.1' links to a record that does not exist"),
    ({"groups": [of("clubs", 1), None]}, "Invalid value null for field 'groups.1': expected an ObjectId"),
    (
        {"text": 1, "whole": None, "nope": 2, "parent": "x"},
        (
            "Invalid value 1 for field 'text': expected a text; Unknown field 'nope' in table 'things'; "
            "Field 'parent' links to a record that does not exist"
        ),
    ),
]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "message"), BODIES, ids=[message for _, message in BODIES])
def test_bad_values(web: Web, method: str, body: Any, message: str) -> None:
    """All mistakes are named at once, and nothing changes."""
    path = "/things" if method == "POST" else "/things/" + of("things", 2)
    web.refuse(400, message, WRONG, method, path, body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The body is not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"\xff", "The body cannot be read: it is not valid UTF-8"),
        (b"[]", "The body cannot be read: write an object"),
        (b"null", "The body cannot be read: write an object"),
        (b'"x"', "The body cannot be read: write an object"),
        (b'{"text":"a","text":"b"}', "The body cannot be read: the key 'text' stands twice in one object"),
        (b'{"whole":18446744073709551616}', "The body cannot be read: a whole number has more than 64 bits"),
    ],
)
def test_bad_bodies(web: Web, body: bytes, message: str) -> None:
    """A body that is no JSON object is refused, at every address that takes one."""
    for method, path in (("POST", "/things"), ("PATCH", "/things/" + of("things", 1)), ("POST", "/auth")):
        web.refuse(400, message, BAD, method, path, body)


def test_other_types_of_bodies(web: Web) -> None:
    """What is not JSON is refused, and so is too large a body; JSON needs no type, and an empty body is `{}`."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/jsonp", "multipart/form-data"):
        message = f"The content type {kind!r} is not supported; send application/json"
        for path in ("/things", "/auth", "/auth/token"):
            web.refuse(415, message, ["error_media_type"], "POST", path, b"{}", kind)
    message = "The body is larger than 2097152 bytes"
    web.refuse(413, message, ["error_too_large"], "POST", "/things", b" " * (2**21 + 1))
    assert web("POST", "/things", b'{"text":"x"}', CONTENT_TYPE="").json["text"] == "x"
    for body in (b"", b" \n", b"{}"):
        assert web("POST", "/blank", body).json["n"] is None
        assert web("PATCH", "/blank/" + of("blank", 1), body).json["n"] == 1


def test_links_move(web: Web) -> None:
    """A record that belongs to another one comes over; null and `[]` let go."""
    path = "/things/" + of("things", 4)
    web("PATCH", path, {"children": [of("things", 2)]})
    assert web.get("/things/" + of("things", 1))["children"] == [of("things", 3)]
    assert web("PATCH", path, {"children": []}).json["children"] == []
    assert web("PATCH", "/things/" + of("things", 3), {"parent": None}).json["parent"] is None
    assert web("PATCH", path, {"groups": [of("clubs", 2)]}).json["groups"] == [of("clubs", 2)]
    assert web("PATCH", path, {"groups": None}).json["groups"] == []


def test_what_is_needed_stays(web: Web) -> None:
    """An entity that others need is not deleted, and still there."""
    message = "The record cannot be deleted: 1 records of table 'parts' need it"
    web.refuse(400, message, WRONG, "DELETE", "/things/" + of("things", 3))
    assert web("DELETE", "/parts/" + of("parts", 1)).json["of"] == of("things", 3)
    assert web("DELETE", "/things/" + of("things", 3)).status == 200


def test_versions(web: Web) -> None:
    """`If-None-Match` saves a body, `If-Match` a change by somebody else."""
    path = "/blank/" + of("blank", 1)
    old = web("GET", path).headers["ETag"]
    answer = web("GET", path, HTTP_IF_NONE_MATCH=old)
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", old)
    changed = web("PATCH", path, {"n": 2}, HTTP_IF_MATCH=old)
    assert changed.json["n"] == 2
    assert changed.headers["ETag"] == web("GET", path).headers["ETag"] != old
    message = "The record has changed since: its version is not the one in If-Match"
    for method in ("PATCH", "DELETE"):
        for tag in (old, '"x"'):
            web.refuse(412, message, ["error_precondition_failed"], method, path, {"n": 3}, HTTP_IF_MATCH=tag)
    assert web("DELETE", path, HTTP_IF_MATCH=changed.headers["ETag"]).json["n"] == 2
    assert web("DELETE", path).error == NOT_FOUND


def test_errors_have_one_form(things: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error of the program has a status and tags; a defect is 500 and says which request it was."""
    platform = next(dialect for dialect in things.app.dialects if dialect.name == "platform")
    for code, rule in minirest.ERRORS.items():
        reply = platform.error(minirest.fail(code, **dict.fromkeys(words_of(rule.message), "x")))
        answer = Answer(reply.status, {"Content-Type": reply.content_type}, reply.body)
        assert answer.error[1][0].startswith("error_")
        assert answer.status == (404 if code == "unknown_table" else rule.status)
    monkeypatch.setattr(things.app.store, "run_for", lambda *_: 1 / 0)
    message, tags = things("GET", "/things").error
    assert (message.partition(";")[0], tags) == ("Internal error", ["error_internal"])


def words_of(template: str) -> list[str]:
    """The names in a template."""
    return [part.partition("}")[0].partition("!")[0] for part in template.split("{")[1:]]


# ---- signing in ----


class House(Web):
    """A server with two users."""

    def __init__(self) -> None:
        super().__init__(auth=True, users={"admin": PASSWORD, "anna": PASSWORD})

    def cookie(self, name: str = "anna", **environ: str) -> str:
        """The cookie of a new session."""
        answer = self("POST", "/auth", {"login": name, "password": PASSWORD}, **environ)
        assert answer.json == {"sucess": True, "success": True}
        return str(answer.headers["Set-Cookie"].partition(";")[0])

    def token(self) -> str:
        """The header of a new token."""
        return "Bearer " + str(self("POST", "/auth/token", {"login": "anna", "password": PASSWORD}).json["token"])

    def enters(self, **environ: str) -> bool:
        """Whether these credentials are let in; if not, in the seed's words."""
        answer = self("GET", "/blank", **environ)
        if answer.status == 200:
            return True
        assert (answer.status, answer.error) == (401, UNAUTHORIZED)
        return False


@pytest.fixture(scope="module")
def houses() -> Iterator[House]:
    """One server for all."""
    house = House()
    yield house
    house.close()


@pytest.fixture
def house(houses: House) -> House:
    """The server with its first records and no session."""
    houses.restore()
    return houses


def test_bearer_wins(house: House) -> None:
    """A header goes before a cookie: a good one, and a bad one too."""
    cookie, token = house.cookie("admin"), house.token()
    assert house.enters(HTTP_COOKIE=cookie)
    assert house.enters(HTTP_AUTHORIZATION=token, HTTP_COOKIE="sid=x")
    assert not house.enters(HTTP_AUTHORIZATION="Bearer x", HTTP_COOKIE=cookie)
    assert not house.enters(HTTP_AUTHORIZATION="Nonsense x", HTTP_COOKIE=cookie)
    assert not house.enters(HTTP_AUTHORIZATION="", HTTP_COOKIE=cookie)
    made = house("POST", "/blank", {}, HTTP_AUTHORIZATION=token, HTTP_COOKIE=cookie).json
    assert made["owner"] == of("_users", 2)
    assert house("POST", "/blank", {}, HTTP_COOKIE=cookie).json["owner"] == of("_users", 1)


def test_other_schemes_and_dialects(house: House) -> None:
    """Basic works here, and the session and the token everywhere."""
    assert house.enters(HTTP_AUTHORIZATION="Basic YW5uYTpjb3JyZWN0IGhvcnNl")
    for environ in ({"HTTP_COOKIE": f"a=b; {house.cookie()}; c=d"}, {"HTTP_AUTHORIZATION": house.token()}):
        assert house.enters(**environ)
        for path in ("/blank", "/api/blank:list", "/"):
            assert send(house.app, "GET", path, **environ).status == 200


@pytest.mark.parametrize(
    "change", [str.upper, str.lower, lambda text: text[:-1], lambda text: text + "A", lambda text: ""]
)
def test_tampered(house: House, change: Any) -> None:
    """A changed cookie or token is none."""
    cookie, token = house.cookie().removeprefix("sid="), house.token().removeprefix("Bearer ")
    assert not house.enters(HTTP_COOKIE=f"sid={change(cookie)}")
    assert not house.enters(HTTP_AUTHORIZATION=f"Bearer {change(token)}")


def test_texts_are_not_kept(house: House) -> None:
    """The database knows neither the session nor the token in clear, and their hashes let nobody in."""
    cookie, token = house.cookie(), house.token()
    stored = "\n".join(house.dump())
    for text in (cookie.removeprefix("sid="), token.removeprefix("Bearer ")):
        assert text not in stored
        digest = minirest.hash_token(text)
        assert digest in stored
        assert not house.enters(HTTP_COOKIE=f"sid={digest}")
        assert not house.enters(HTTP_AUTHORIZATION=f"Bearer {digest}")
    assert not house.enters(HTTP_COOKIE=token.replace("Bearer ", "sid="))
    assert not house.enters(HTTP_AUTHORIZATION=cookie.replace("sid=", "Bearer "))


def test_disabled_users(house: House) -> None:
    """A user who is disabled has no session and no token any more, and gets no new ones."""
    cookie, token = house.cookie(), house.token()
    house.app.accounts.put_user("anna", disabled=True)
    assert not house.enters(HTTP_COOKIE=cookie)
    assert not house.enters(HTTP_AUTHORIZATION=token)
    for path in ("/auth", "/auth/token"):
        house.refuse(401, *UNAUTHORIZED, "POST", path, {"login": "anna", "password": PASSWORD})
    assert house.enters(HTTP_COOKIE=house.cookie("admin"))


def test_new_password(house: House) -> None:
    """A new password ends all sessions of the user, not those of others."""
    anna, admin = house.cookie(), house.cookie("admin")
    house.app.accounts.put_user("anna", password="another horse")
    assert (house.enters(HTTP_COOKIE=anna), house.enters(HTTP_COOKIE=admin)) == (False, True)


def test_rotation(house: House) -> None:
    """Who signs in again has a new session, and the old one has ended; another's stays."""
    first, other = house.cookie(), house.cookie()
    second = house.cookie(HTTP_COOKIE=first)
    found = [house.enters(HTTP_COOKIE=cookie) for cookie in (first, second, other)]
    assert (first != second, found) == (True, [False, True, True])
    body = {"login": "anna", "password": "wrong"}
    house.refuse(401, *UNAUTHORIZED, "POST", "/auth", body, HTTP_COOKIE=second)
    assert house.enters(HTTP_COOKIE=second)


def test_sign_out(house: House) -> None:
    """DELETE ends the session and takes the cookie away; without a session there is nothing to end."""
    first, other = house.cookie(), house.cookie()
    gone = "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Strict"
    for cookie in (first, first, "sid=x", ""):
        answer = house("DELETE", "/auth", HTTP_COOKIE=cookie)
        assert (answer.status, answer.json) == (200, {"sucess": True, "success": True})
        assert answer.headers["Set-Cookie"] == gone
    assert [house.enters(HTTP_COOKIE=cookie) for cookie in (first, other)] == [False, True]


def test_secure_cookie(house: House) -> None:
    """Over HTTPS the cookie goes over HTTPS only."""
    body = {"login": "anna", "password": PASSWORD}
    answer = house("POST", "/auth", body, **{"wsgi.url_scheme": "https"})
    assert answer.headers["Set-Cookie"].endswith(
        "; Expires=Sun, 16 Jun 2024 12:00:00 GMT; HttpOnly; SameSite=Strict; Secure"
    )


def test_ended_sessions_are_forgotten(house: House) -> None:
    """A session that has ended is deleted when the next one begins."""
    house.cookie()
    house.now += timedelta(days=1)
    house.cookie()
    assert house.app.store.database.writer.execute("select count(*) from _sessions").fetchone() == (1,)


def test_pages_of_other_origins(house: House) -> None:
    """A page of another origin signs nobody in or out, and a cookie lets it change nothing."""
    origin, cookie = "https://other.example", house.cookie()
    forbidden = ("Forbidden", ["error_credentials", "error_forbidden"])
    body = {"login": "anna", "password": PASSWORD}
    for method, path in (("POST", "/auth"), ("POST", "/auth/token"), ("DELETE", "/auth"), ("POST", "/blank")):
        house.refuse(
            403, *forbidden, method, path, body if "auth" in path else {}, HTTP_ORIGIN=origin, HTTP_COOKIE=cookie
        )
    assert house.enters(HTTP_COOKIE=cookie)


@pytest.mark.parametrize("path", ["/auth", "/auth/", "/auth/token", "/auth/token/"])
@pytest.mark.parametrize(
    ("body", "message", "tags"),
    [
        (None, "Field 'login' is required; Field 'password' is required", WRONG),
        ({"login": "anna"}, "Field 'password' is required", WRONG),
        ({"login": None, "password": PASSWORD}, "Field 'login' must be of type string", WRONG),
        ({"login": "anna", "password": 12345678}, "Field 'password' must be of type string", WRONG),
        ({"login": "anna", "password": PASSWORD, "remember": True}, "Unknown parameter 'remember'", BAD),
        ([["login", "anna"]], "The body cannot be read: write an object", BAD),
    ],
)
def test_bad_credentials(house: House, path: str, body: Any, message: str, tags: list[str]) -> None:
    """What is no login and password is refused, and no password is repeated."""
    house.refuse(400, message, tags, "POST", path, body)


@pytest.mark.parametrize("login", ["nobody", "", "ANNA", "anna ", "anna:x", "\u00e4" * 300])
def test_wrong_logins(house: House, login: str) -> None:
    """An unknown name is as wrong as a password."""
    house.refuse(401, *UNAUTHORIZED, "POST", "/auth", {"login": login, "password": PASSWORD})


def test_authentication_comes_first(house: House) -> None:
    """Without credentials nothing is told apart, below the base of this dialect in its form."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        for path in ("/blank", "/nope", f"/blank/{of('blank', 1)}", "/blank/x", "/blank/x/y", "/a/b/c/d"):
            house.refuse(401, *UNAUTHORIZED, method, path, {})
    assert house("GET", "").json == {"success": True}


def test_owner_and_group(house: House) -> None:
    """The creator owns a record, with the first of the creator's groups; a change by another leaves that."""
    for name in ("crew", "board"):
        house.app.accounts.put_group(name)
    house.app.accounts.put_user("anna", groups=[2, 1])
    made = house("POST", "/blank", {"n": 1, "owner": of("_users", 1)}, HTTP_COOKIE=house.cookie()).json
    assert (made["owner"], made["group"]) == (of("_users", 2), of("_groups", 2))
    changed = house("PATCH", "/blank/" + made["_id"], {"n": 2}, HTTP_COOKIE=house.cookie("admin")).json
    assert changed == {**made, "n": 2}
    assert house("GET", f"/blank?only=n&where.group={of('_groups', 2)}", HTTP_COOKIE=house.cookie()).entities == [
        {"_id": made["_id"], "n": 2}
    ]


# ---- anything at all ----

WORDS = st.sampled_from(
    [*minirest.PLATFORM_PARAMETERS, "where.text", "where.extra.a", "where.parent.text", "where.groups", "where._id"]
)
VALUES = st.one_of(
    st.sampled_from(["", "true", "null", "1", "-1", "text", "a,b", "[1,{}]", of("things", 1), "9" * 30]),
    st.text(max_size=8),
)
BODY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([of("things", 1)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*SCHEMA["$defs"]["things"]["properties"], "access", "_id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    path=st.lists(st.sampled_from(["things", of("things", 1), "groups", "auth", "token", "é", "a:b", ""]), max_size=5),
    query=st.lists(st.tuples(WORDS, VALUES), max_size=4),
    body=BODY,
)
def test_no_request_fails(server: Web, method: str, path: list[str], query: list[tuple[str, str]], body: Any) -> None:
    """No request gives a 5xx; what is refused has the form of an error."""
    written = "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
    address = f"/api/v1/{quote('/'.join(path))}?{written}"
    answer = Answer(*send(server.restore().app, method, address, body))
    assert answer.status < 500, answer.body
    if answer.status >= 400 and method != "HEAD":
        assert answer.error
