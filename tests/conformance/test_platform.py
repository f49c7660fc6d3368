"""The numbered lines of the Platform dialect without its WebSocket: one scenario each, whole answers compared.

The others are in `test_platform_sockets.py`, where it is also held that no line is missing.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import pytest

import minirest
from minirest import object_id
from tests.web import Answer, Lines, dump, send

OLD = datetime(2019, 8, 31, 21, 0, tzinfo=UTC)
NOW = datetime(2024, 6, 16, 12, 0, 0, 250_000, tzinfo=UTC)
OLD_MS, NOW_MS = 1567285200000, 1718539200250
DAY_MS = 86_400_000
JSON = "application/json; charset=utf-8"
PASSWORD = "correct horse"
TEXT = {"type": "string"}

MODELS = ["Truck", "Boat"]
OBJECTS: list[dict[str, Any]] = [
    {
        "name": "One",
        "description": "the first",
        "count": 7,
        "level": 12.5,
        "active": True,
        "tags": ["a", "b"],
        "seen": "2024-03-18T10:20:30.400Z",
        "config": {"mode": "auto", "deep": {"on": True}},
        "model": 1,
        "labels": [1, 2],
    },
    {"name": "Two", "count": 1234, "active": False, "config": {"mode": "hand"}, "model": 2},
    {"name": "1234", "description": "x, y"},
]
PACKETS: list[dict[str, Any]] = [{"text": "p1", "object": 1}, {"text": "p2", "object": 1}, {"text": "p3", "object": 2}]
LABELS = ["red", "blue"]
SCHEMA: dict[str, Any] = {
    "$defs": {
        "models": {
            "type": "object",
            "properties": {"name": TEXT},
            "examples": [{"name": name} for name in MODELS],
        },
        "objects": {
            "type": "object",
            "properties": {
                "name": {**TEXT, "maxLength": 20},
                "description": TEXT,
                "count": {"type": "integer"},
                "level": {"type": "number"},
                "active": {"type": "boolean"},
                "tags": {"type": "array", "items": TEXT},
                "seen": {"type": "string", "format": "date-time"},
                "config": {"type": "object"},
                "model": {"$ref": "#/$defs/models"},
                "labels": {"type": "array", "items": {"$ref": "#/$defs/labels"}},
                "packets": {"type": "array", "items": {"$ref": "#/$defs/packets"}, "x-inverse": "object"},
            },
            "required": ["name"],
            "examples": OBJECTS,
        },
        "packets": {
            "type": "object",
            "properties": {"text": TEXT, "object": {"$ref": "#/$defs/objects"}},
            "examples": PACKETS,
        },
        "labels": {
            "type": "object",
            "properties": {"name": TEXT},
            "examples": [{"name": name} for name in LABELS],
        },
        "notes": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "drafts": {"type": "object", "properties": {"n": {"type": "integer"}}, "x-access": True},
    }
}
TAGS = minirest.derive_tags(
    ("models", "objects", "packets", "labels", "notes", "drafts", "_users", "_groups", "_history"), {}
)
UNAUTHORIZED = b'{"success":false,"code":"401","message":"Unauthorized","tags":["error_unauthorized"]}'
NOT_FOUND = b'{"success":false,"code":"404","message":"Not Found","tags":["error_not_found"]}'
SIGNED_IN = b'{"sucess":true,"success":true}'


def of(table: str, number: int) -> str:
    """The ObjectId of a record."""
    return object_id(TAGS[table], number)


ADMIN, ANNA, CREW = of("_users", 1), of("_users", 2), of("_groups", 1)


def owned(time: int = OLD_MS, owner: str | None = None, group: str | None = None, **more: Any) -> dict[str, Any]:
    """What every entity ends with."""
    return {"owner": owner, "group": group, "access": [], "branch": [], "time": time, **more}


def thing(number: int, time: int = OLD_MS, **changes: Any) -> dict[str, Any]:
    """An object with all its fields; one that is not in the data is the user's own."""
    row = OBJECTS[number - 1] if number <= len(OBJECTS) else {}
    names = "name description count level active tags seen config".split()
    fields = {name: row.get(name) for name in names}
    links = {
        "model": of("models", row["model"]) if "model" in row else None,
        "labels": [of("labels", label) for label in row.get("labels", [])],
        "packets": [of("packets", key) for key, packet in enumerate(PACKETS, 1) if packet["object"] == number],
    }
    end = owned() if number <= len(OBJECTS) else owned(time, ADMIN)
    return {"_id": of("objects", number), **fields, **links, **end, **changes}


def note(number: int, time: int = NOW_MS) -> dict[str, Any]:
    """A note that the user made."""
    return {"_id": of("notes", number), "n": number, **owned(time, ADMIN)}


def single(entity: dict[str, Any]) -> dict[str, Any]:
    """An entity as an answer of its own."""
    return {**entity, "success": True}


def compact(value: Any) -> str:
    """A value as JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def framed(entities: Sequence[Any]) -> bytes:
    """A list as it is on the wire: one entity a line, a comma on a line of its own."""
    lines = "\n,\n".join(map(compact, entities))
    return (f"[\n{lines}\n]" if lines else "[\n]").encode()


def refusal(status: int, message: str, *tags: str) -> bytes:
    """The text of an error."""
    return compact({"success": False, "code": str(status), "message": message, "tags": tags}).encode()


class Web:
    """A client below `/api/v1`, with the token of a user; every dialect is on."""

    def __init__(self) -> None:
        self.now = OLD
        users = {"admin": PASSWORD, "anna": PASSWORD}
        self.app = minirest.make_app(SCHEMA, users=users, clock=lambda: self.now)
        self.now = NOW
        self.token = self.app.accounts.add_token("admin", "test")

    def send(self, method: str, path: str, body: Any = None, **environ: str) -> Answer:
        """Send a request as the user."""
        return self.anyone(method, path, body, **{"HTTP_AUTHORIZATION": f"Bearer {self.token}", **environ})

    def anyone(self, method: str, path: str, body: Any = None, **environ: str) -> Answer:
        """Send a request without credentials but those of `environ`."""
        return send(self.app, method, f"/api/v1{path}", body, **environ)

    def expect(self, answer: Answer, expected: Any, status: int = 200) -> Answer:
        """Hold an answer against its status and its whole body; what is no text of bytes is written as JSON."""
        body = expected if isinstance(expected, bytes) else compact(expected).encode()
        assert (answer.status, answer.body) == (status, body)
        assert (answer.headers["Content-Type"], answer.headers["Content-Length"]) == (JSON, str(len(body)))
        return answer

    def listed(self, path: str, *entities: Any) -> None:
        """A GET gives this list."""
        self.expect(self.send("GET", path), framed(entities))

    def found(self, query: str, *numbers: int) -> None:
        """A list of objects has those of these numbers."""
        self.listed(f"/objects?only=name&{query}", *(named(number) for number in numbers))

    def refuse(self, status: int, expected: bytes, method: str, path: str, body: Any = None) -> Answer:
        """What is refused changes nothing."""
        before = self.dump()
        answer = self.expect(self.send(method, path, body), expected, status)
        assert self.dump() == before
        return answer

    def dump(self) -> list[str]:
        """Everything that is stored, but when the token was used."""
        return [text for text in dump(self.app.store) if '"_tokens"' not in text]

    def make_notes(self, *times: int) -> list[dict[str, Any]]:
        """Notes that were made at these milliseconds."""
        for number, time in enumerate(times, 1):
            self.now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time)
            self.expect(self.send("POST", "/notes", {"n": number}), single(note(number, time)))
        self.now = NOW
        return [note(number, time) for number, time in enumerate(times, 1)]


def named(number: int) -> dict[str, Any]:
    """An object with its name alone."""
    return {"_id": of("objects", number), "name": OBJECTS[number - 1]["name"]}


@pytest.fixture
def web() -> Iterator[Web]:
    """Serve the data; requests come years after the records."""
    web = Web()
    yield web
    web.app.close()


LINES = Lines()
line = LINES.line

# ---- the document ----


@line(1)
def base(web: Web) -> None:
    """Every path begins with /api/v1, with and without a slash at its end; the rest belongs to other dialects."""
    web.expect(
        web.send("GET", "/models/" + of("models", 1)), single({"_id": of("models", 1), "name": "Truck", **owned()})
    )
    for path in ("/models", "/models/"):
        web.listed(path, *({"_id": of("models", n), "name": name, **owned()} for n, name in enumerate(MODELS, 1)))
    assert send(web.app, "GET", "/models", HTTP_AUTHORIZATION=f"Bearer {web.token}").json["links"] == {
        "self": "/models"
    }


@line(2)
def object_ids(web: Web) -> None:
    """An `_id` has 24 hexadecimal characters, is the server's, and never changes."""
    answer = web.send("POST", "/objects", {"_id": "f" * 24, "name": "New"})
    web.expect(answer, single(thing(4, NOW_MS, name="New")))
    assert re.fullmatch("[0-9a-f]{24}", answer.json["_id"])
    changed = web.send("PATCH", "/objects/" + of("objects", 4), {"_id": "f" * 24, "count": 1})
    web.expect(changed, single(thing(4, NOW_MS, name="New", count=1)))


@line(3)
def ownership(web: Web) -> None:
    """Every object has owner, group, access and branch."""
    web.app.accounts.put_group("crew")
    web.app.accounts.put_user("admin", groups=[1])
    entity = {"_id": of("notes", 1), "n": 5, **owned(NOW_MS, ADMIN, CREW)}
    web.expect(web.send("POST", "/notes", {"n": 5}), single(entity))
    web.listed("/notes", entity)


@line(4)
def methods(web: Web) -> None:
    """GET, POST, PATCH and DELETE; PUT is 405 and says what is allowed."""
    for path, allowed in (("/notes", "GET, HEAD, POST"), ("/objects/" + of("objects", 1), "GET, HEAD, PATCH, DELETE")):
        message = f"Method PUT is not allowed here; allowed are {allowed}"
        answer = web.refuse(405, refusal(405, message, "error_method_not_allowed"), "PUT", path, {"n": 1})
        assert answer.headers["Allow"] == allowed


@line(5)
def headers(web: Web) -> None:
    """JSON, and a token of the account: also one that was made for it outside this API."""
    token = web.app.accounts.add_token("anna", "laptop")
    answer = web.anyone("POST", "/notes", {"n": 1}, HTTP_AUTHORIZATION=f"Bearer {token}")
    web.expect(answer, single({"_id": of("notes", 1), "n": 1, **owned(NOW_MS, ANNA)}))


@line(6)
def create(web: Web) -> None:
    """POST creates from the fields that it gets; what is required must be among them."""
    body = {"name": "New", "count": 3, "model": of("models", 2), "labels": [of("labels", 2)]}
    web.expect(web.send("POST", "/objects", body), single(thing(4, NOW_MS, **body)))
    message = refusal(400, "Field 'name' is required", "error_bad_request", "error_validation")
    web.refuse(400, message, "POST", "/objects", {"count": 3})


@line(7)
def get(web: Web) -> None:
    """GET of one entity."""
    for number in (1, 2, 3):
        web.expect(web.send("GET", "/objects/" + of("objects", number)), single(thing(number)))


@line(8)
def a_list(web: Web) -> None:
    """GET of a store is a list of at most 10000."""
    web.listed("/objects", thing(1), thing(2), thing(3))
    fill(web, 10_001)
    assert [entity["n"] for entity in web.send("GET", "/notes").json] == list(range(1, 10_001))


def fill(web: Web, count: int) -> None:
    """Make many notes at once."""
    numbers = "with recursive c(n) as (select 1 union all select n+1 from c where n<?) select n from c"
    with web.app.store.database.writing() as connection:
        moment = minirest.moment_text(OLD)
        connection.execute(f"insert into notes (n, _created) select n, ? from ({numbers})", (moment, count))


@line(9)
def offset_and_limit(web: Web) -> None:
    """`offset=10000` is from number 10001 on, `limit` how many."""
    fill(web, 20_010)
    for query, first, count in (
        ("offset=10000", 10_001, 10_000),
        ("offset=10000&limit=1000", 10_001, 1000),
        ("offset=20000", 20_001, 10),
        ("limit=2", 1, 2),
        ("offset=20010", 0, 0),
    ):
        found = [{**note(n, OLD_MS), "owner": None} for n in range(first, first + count)]
        web.listed(f"/notes?{query}", *found)


@line(10)
def only(web: Web) -> None:
    """`only` leaves `_id` and these."""
    keys = ("_id", "name", "description")
    web.listed("/objects?only=name,description", *({key: thing(n)[key] for key in keys} for n in (1, 2, 3)))
    web.listed("/objects?offset=1&limit=1&only=description,name", {key: thing(2)[key] for key in keys})
    entity = single({"_id": of("objects", 1), "name": "One"})
    web.expect(web.send("GET", f"/objects/{of('objects', 1)}?only=name"), entity)


@line(11)
def meta(web: Web) -> None:
    """`meta=true`: how many, the first and the last; not with offset or limit."""
    whole = {"total": 3, "first": thing(1), "last": thing(3), "success": True}
    web.expect(web.send("GET", "/objects?meta=true"), whole)
    web.expect(web.send("GET", "/notes?meta=true"), {"total": 0, "first": None, "last": None, "success": True})
    web.listed("/objects?meta=false", thing(1), thing(2), thing(3))
    for name in ("offset", "limit"):
        message = f"Invalid value '1' for parameter '{name}': it does not go with meta"
        web.refuse(400, refusal(400, message, "error_bad_request"), "GET", f"/objects?meta=true&{name}=1")


@line(12)
def interval(web: Web) -> None:
    """`from` and `to`, or `begin` and `end`: made in that time, both ends included; either may be missing."""
    notes = web.make_notes(1000, 2000, 3000)
    for first, last in (("from", "to"), ("begin", "end"), ("from", "end"), ("begin", "to")):
        web.listed(f"/notes?{first}=2000&{last}=3000", *notes[1:])
        web.listed(f"/notes?{first}=2001", notes[2])
        web.listed(f"/notes?{last}=2000", *notes[:2])
    web.listed("/notes?begin=3000&from=1000&end=1000&to=2000", *notes[:2])
    web.expect(
        web.send("GET", "/notes?meta=true&from=2000"),
        {"total": 2, "first": notes[1], "last": notes[2], "success": True},
    )


@line(13)
def time_points(web: Web) -> None:
    """Milliseconds, or ISO 8601, in UTC without a zone."""
    notes = web.make_notes(-1, OLD_MS, OLD_MS + 30_500)
    for text in (str(OLD_MS), "2019-08-31T21:00", "2019-08-31T21:00:00", "2019-08-31T21:00:00.000Z"):
        web.listed(f"/notes?from={text}", *notes[1:])
        web.listed(f"/notes?from={text}&to={text}", notes[1])
    web.listed(f"/notes?from={quote('2019-09-01T00:00:30.5+03:00')}", notes[2])
    web.listed("/notes?to=-1", notes[0])
    reason = "write milliseconds since 1970 or a date and time as YYYY-MM-DDTHH:MM:SSZ"
    message = f"Invalid value 'yesterday' for parameter 'to': {reason}"
    web.refuse(400, refusal(400, message, "error_bad_request"), "GET", "/notes?to=yesterday")


@line(14)
def example_of_an_interval(web: Web) -> None:
    """The document's example."""
    notes = web.make_notes(1567285199999, 1567285200000, 1567285300000, 1567285300001)
    web.listed("/notes?from=1567285200000&to=1567285300000", *notes[1:3])


@line(15)
def change(web: Web) -> None:
    """PATCH changes those fields; _id, access, owner, group and branch stay as they are."""
    fixed = {"_id": of("objects", 2), "access": [ADMIN], "owner": ADMIN, "group": CREW, "branch": [CREW], "time": 5}
    body = {"name": "New", "config": {"mode": "off"}, "model": None, **fixed}
    changed = thing(1, name="New", config={"mode": "off"}, model=None)
    web.expect(web.send("PATCH", "/objects/" + of("objects", 1), body), single(changed))
    web.expect(web.send("GET", "/objects/" + of("objects", 1)), single(changed))


@line(16)
def delete(web: Web) -> None:
    """DELETE deletes, without a body or a header."""
    answer = web.send("DELETE", "/objects/" + of("objects", 2), CONTENT_TYPE="")
    web.expect(answer, single(thing(2)))
    web.listed("/objects", thing(1), thing(3))
    web.expect(web.send("GET", "/objects/" + of("objects", 2)), NOT_FOUND, 404)


# ---- signing in ----


def sign_in(web: Web, **environ: str) -> str:
    """The cookie of a new session."""
    answer = web.anyone("POST", "/auth", {"login": "admin", "password": PASSWORD}, **environ)
    web.expect(answer, SIGNED_IN)
    end = format_datetime(web.now + timedelta(hours=24), usegmt=True)
    text = answer.headers["Set-Cookie"]
    match = re.fullmatch(rf"(sid=[\w-]{{43}}); Path=/; Expires={end}; HttpOnly; SameSite=Strict", text)
    assert match, text
    return match[1]


@line(17)
def session(web: Web) -> None:
    """POST of login and password sets the cookie of a session."""
    assert sign_in(web) != sign_in(web)


@line(18)
def session_holds(web: Web) -> None:
    """The cookie authorises until it expires; then one signs in again."""
    cookie = sign_in(web)
    web.expect(web.anyone("GET", "/notes", HTTP_COOKIE=cookie), framed([]))
    web.now += timedelta(hours=24, milliseconds=-1)
    entity = {"_id": of("notes", 1), "n": 1, **owned(NOW_MS + DAY_MS - 1, ADMIN)}
    web.expect(web.anyone("POST", "/notes", {"n": 1}, HTTP_COOKIE=cookie), single(entity))
    web.now += timedelta(milliseconds=1)
    web.expect(web.anyone("GET", "/notes", HTTP_COOKIE=cookie), UNAUTHORIZED, 401)
    web.expect(web.anyone("GET", "/notes", HTTP_COOKIE=sign_in(web)), framed([entity]))


def issue_token(web: Web) -> str:
    """The token of a new answer, whose other members are as they should be."""
    answer = web.anyone("POST", "/auth/token", {"login": "admin", "password": PASSWORD})
    token = answer.json["token"]
    now = (web.now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    times = {"issuedAt": now, "expiresAt": now + DAY_MS}
    web.expect(answer, {"sucess": True, "success": True, "type": "access", "token": token, **times})
    return str(token)


@line(19)
def token(web: Web) -> None:
    """POST of login and password gives a token for 24 hours."""
    assert issue_token(web) != issue_token(web)


@line(20)
def token_holds(web: Web) -> None:
    """The token authorises for 24 hours."""
    header = f"Bearer {issue_token(web)}"
    web.now += timedelta(milliseconds=DAY_MS - 1)
    web.expect(web.anyone("GET", "/notes", HTTP_AUTHORIZATION=header), framed([]))
    web.now += timedelta(milliseconds=1)
    web.expect(web.anyone("GET", "/notes", HTTP_AUTHORIZATION=header), UNAUTHORIZED, 401)


# ---- status codes ----


@line(21)
def success(web: Web) -> None:
    """200, the length of the body, and the data."""
    answer = web.send("GET", "/models/" + of("models", 2))
    body = compact(single({"_id": of("models", 2), "name": "Boat", **owned()})).encode()
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, body, str(len(body)))


@line(22)
def not_authenticated(web: Web) -> None:
    """401 without credentials, with wrong ones, and for a session that has ended."""
    for path in ("/notes", "/notes/" + of("notes", 1), "/nothing", "/notes/x/y/z"):
        web.expect(web.anyone("GET", path), UNAUTHORIZED, 401)
        web.expect(web.anyone("GET", path, HTTP_AUTHORIZATION="Bearer x"), UNAUTHORIZED, 401)
        web.expect(web.anyone("GET", path, HTTP_COOKIE="sid=x"), UNAUTHORIZED, 401)
    for login, password in (("admin", "wrong"), ("nobody", PASSWORD)):
        for path in ("/auth", "/auth/token"):
            web.expect(web.anyone("POST", path, {"login": login, "password": password}), UNAUTHORIZED, 401)


@line(23)
def not_permitted(web: Web) -> None:
    """403, here for a page of another origin that wants to write."""
    answer = web.send("POST", "/notes", {"n": 1}, HTTP_ORIGIN="https://other.example")
    web.expect(answer, refusal(403, "Forbidden", "error_credentials", "error_forbidden"), 403)
    web.listed("/notes")


@line(24)
def not_found(web: Web) -> None:
    """404 for what is not there: an entity, a malformed or foreign id, a store, any other address."""
    paths = [f"/objects/{key}" for key in (of("objects", 9), of("models", 1), "1", "x" * 24, "f" * 24, "0" * 24)]
    for path in (*paths, "/nothing", "/nothing/" + of("objects", 1), "/objects/1/2/3/4", "/_users", "/notes:list"):
        web.refuse(404, NOT_FOUND, "GET", path)
    for method in ("PATCH", "DELETE"):
        web.refuse(404, NOT_FOUND, method, "/objects/" + of("objects", 9), {})


# ---- what the vendor's server and clients do ----


@line(30)
def success_member(web: Web) -> None:
    """Single entities end with `"success": true`; elements of lists do not."""
    entity = {"_id": of("labels", 1), "name": "red", **owned()}
    web.expect(web.send("GET", "/labels/" + of("labels", 1)), single(entity))
    web.expect(web.send("PATCH", "/labels/" + of("labels", 1), {}), single(entity))
    web.listed("/labels?limit=1", entity)
    new = {"_id": of("labels", 3), "name": "new", **owned(NOW_MS, ADMIN)}
    web.expect(web.send("POST", "/labels", {"name": "new"}), single(new))
    web.expect(web.send("DELETE", "/labels/" + of("labels", 3)), single(new))


@line(31)
def post_is_200(web: Web) -> None:
    """POST answers 200 with the whole new entity, without a Location."""
    answer = web.send("POST", "/objects", {"name": "New"})
    web.expect(answer, single(thing(4, NOW_MS, name="New")), 200)
    assert "Location" not in answer.headers


@line(32)
def changed_and_deleted(web: Web) -> None:
    """PATCH answers the entity after the change, DELETE the one that was deleted, as it was last."""
    path, changed = "/objects/" + of("objects", 1), thing(1, name="Last", labels=[of("labels", 2)])
    web.expect(web.send("PATCH", path, {"name": "Last", "labels": [of("labels", 2)]}), single(changed))
    web.expect(web.send("DELETE", path), single(changed))
    web.expect(web.send("DELETE", path), NOT_FOUND, 404)


@line(33)
def frame(web: Web) -> None:
    """A list is a bare array, framed so that it can be read line by line."""
    entities = [compact({"_id": of("labels", number), "name": name}) for number, name in enumerate(LABELS, 1)]
    assert web.send("GET", "/labels?only=name").body.decode().split("\n") == ["[", entities[0], ",", entities[1], "]"]
    assert web.send("GET", "/labels?only=name&limit=1").body.decode().split("\n") == ["[", entities[0], "]"]
    assert web.send("GET", "/notes").body == b"[\n]"
    web.send("POST", "/notes", {})
    texts = {"name": "two\nlines, \u2028 and\r\n", "description": "[\n,\n]", "config": {"a": "b\nc"}}
    web.expect(web.send("POST", "/objects", texts), single(thing(4, NOW_MS, **texts)))
    web.listed(f"/objects?where._id={of('objects', 4)}", thing(4, NOW_MS, **texts))
    assert [json.loads(text) for text in read_stream(web.send("GET", "/objects").body)] == [
        *map(thing, (1, 2, 3)),
        thing(4, NOW_MS, **texts),
    ]


def read_stream(body: bytes) -> list[str]:
    """The entities as the vendor's `getStream` takes them: lines that are not of the frame."""
    return [text for text in body.decode().split("\n") if text not in ("[", ",", "]")]


@line(34)
def stream(web: Web) -> None:
    """The stream's header and parameters are taken; `nolimit` lifts the 10000."""
    web.expect(
        web.send("GET", "/labels?only=name", HTTP_RIC_STREAM_HINT="yes"), web.send("GET", "/labels?only=name").body
    )
    fill(web, 10_002)
    assert len(web.send("GET", "/notes?streamed=true").json) == 10_000
    answer = web.send("GET", "/notes?streamed=true&nolimit=true", HTTP_RIC_STREAM_HINT="yes")
    web.expect(answer, framed([{**note(number, OLD_MS), "owner": None} for number in range(1, 10_003)]))
    assert len(web.send("GET", "/notes?nolimit=true&limit=10001").json) == 10_001
    assert len(web.send("GET", "/notes?nolimit=false&limit=10001").json) == 10_000


@line(35)
def time(web: Web) -> None:
    """Every entity has `time`, the milliseconds of its creation, which `from` and `to` select on and PATCH leaves."""
    (made,) = web.make_notes(1567285200123)
    changed = {**made, "n": 9}
    web.expect(web.send("PATCH", "/notes/" + made["_id"], {"n": 9, "time": 1}), single(changed))
    web.listed("/notes?from=1567285200123&to=1567285200123", changed)
    web.listed("/notes?where.time=1567285200123", changed)


@line(36)
def error_members(web: Web) -> None:
    """An error has exactly success, code, message and tags."""
    assert list(web.send("GET", "/objects/" + "f" * 24).json) == ["success", "code", "message", "tags"]
    assert list(web.send("POST", "/objects", {}).json) == ["success", "code", "message", "tags"]


@line(37)
def access_lists(web: Web) -> None:
    """`access` holds users and groups, `branch` groups; a user's name signs in as `login`."""
    web.app.accounts.put_group("crew")
    lists = {"access": [ANNA, CREW, ADMIN], "branch": [CREW]}
    entity = {"_id": of("notes", 1), "n": 1, **owned(NOW_MS, ADMIN), **lists}
    web.expect(web.send("POST", "/notes", {"n": 1, **lists}), single(entity))
    web.expect(web.send("GET", "/notes/" + of("notes", 1)), single(entity))
    for where in (f"where.access={ANNA}", f"where.access={CREW}", f"where.branch={CREW}", f"where.owner={ADMIN}"):
        web.listed(f"/notes?{where}", entity)
    for where in (f"where.access={of('_users', 3)}", f"where.branch={ADMIN}", f"where.owner={ANNA}"):
        web.listed(f"/notes?{where}")


@line(38)
def conditions(web: Web) -> None:
    """`where.<path>` with literals and commas, `search`, `sortBy`."""
    web.found("where.name=One", 1)
    web.found("where.name=One,Two", 1, 2)
    web.found("where.config.mode=auto,hand", 1, 2)
    web.found("where.config.deep.on=true", 1)
    web.found("where.active=true", 1)
    web.found("where.active=true,false", 1, 2)
    web.found("where.active=null", 3)
    web.found("where.count=7,null", 1, 3)
    web.found("where.name=1234")
    web.found("where.name=%221234%22", 3)
    web.found("where.count=1234", 2)
    web.found("where.count=%221234%22")
    web.found("where.tags=b,c", 1)
    web.found("where.model=" + of("models", 2), 2)
    web.found("where.model.name=Truck", 1)
    web.found(f"where._id={of('objects', 3)},{of('objects', 1)}", 1, 3)
    web.found("search=TWO", 2)
    web.found("search=" + quote("x, Y"), 3)
    web.found("sortBy=name", 3, 1, 2)
    web.found("sortBy=-count", 2, 1, 3)
    web.found("sortBy=count&where.active=null,false,true&search=o", 1, 2)


@line(39)
def stores(web: Web) -> None:
    """Every table is a store; a link of an entity is a list of its own."""
    for name in ("models", "objects", "packets", "labels", "notes"):
        assert web.send("GET", f"/{name}").status == 200
    path = f"/objects/{of('objects', 1)}/packets"
    packets = [{"_id": of("packets", n), "text": f"p{n}", "object": of("objects", 1), **owned()} for n in (1, 2)]
    web.listed(path, *packets)
    web.listed(f"{path}?where.text=p2", packets[1])
    web.listed(f"{path}?from={OLD_MS}&to={OLD_MS}", *packets)
    web.listed(f"{path}?from={OLD_MS + 1}")
    web.refuse(404, NOT_FOUND, "GET", f"/objects/{of('objects', 9)}/packets")
    web.refuse(404, NOT_FOUND, "GET", f"/objects/{of('objects', 1)}/name")


@line(40)
def opaque_tokens(web: Web) -> None:
    """A token is a text without blanks that a header can carry."""
    assert re.fullmatch(r"mrt_[0-9A-Za-z]{51}", issue_token(web))


@line(41)
def probe(web: Web) -> None:
    """HEAD of the base is 200, whoever asks."""
    for answer in (web.anyone("HEAD", ""), web.anyone("HEAD", "/"), web.send("HEAD", "")):
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "16")
    web.expect(web.anyone("GET", ""), {"success": True})


@line(42)
def empty_bodies(web: Web) -> None:
    """GET and DELETE may say that an empty body is JSON."""
    kind = {"HTTP_ACCEPT": "application/json", "CONTENT_TYPE": "application/json"}
    web.expect(web.send("GET", "/models?limit=0", **kind), framed([]))
    entity = {"_id": of("labels", 1), "name": "red", **owned()}
    web.expect(web.send("DELETE", "/labels/" + of("labels", 1), b"", **kind), single(entity))


@pytest.mark.parametrize("number", LINES)
def test_line(web: Web, number: int) -> None:
    """The scenario of the line of that number."""
    LINES[number](web)
