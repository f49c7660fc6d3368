"""What the tests of attacks share: a world with every kind of field, who asks, and what holds for every answer."""

import base64
import html
import json
import re
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import minirest
from tests.web import Answer, many, multipart, one, part, send

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=-x"
TEXT = {"type": "string"}


def table(properties: dict[str, Any], *required: str, **words: Any) -> dict[str, Any]:
    """A table, in a schema."""
    return {"type": "object", "properties": properties, "required": list(required), **words}


SCHEMA: dict[str, Any] = {
    "title": "Hostile",
    "$defs": {
        "items": table(
            {
                "name": {"type": "string", "maxLength": 80},
                "note": TEXT,
                "code": {"type": "string", "pattern": "^[A-Z]{2}$"},
                "mail": {"type": "string", "format": "email"},
                "count": {"type": "integer", "minimum": -5},
                "amount": {"type": "number"},
                "done": {"type": "boolean", "default": False},
                "day": {"type": "string", "format": "date"},
                "at": {"type": "string", "format": "date-time"},
                "hour": {"type": "string", "format": "time"},
                "words": {"type": "array", "items": TEXT},
                "colours": {"type": "array", "items": {"enum": ["red", "blue"]}},
                "state": {"enum": ["open", "shut", None]},
                "data": {"type": "object"},
                "made": {"type": "string", "readOnly": True},
                "word": {"type": "string", "format": "password", "writeOnly": True},
                "photo": {"type": "string", "contentEncoding": "binary"},
                "boss": one("people"),
                "parts": many("parts", **{"x-inverse": "item"}),
                "labels": many("labels", **{"x-through": "ties"}),
                "secret": one("secrets"),
                "codes": many("codes"),
            },
            "name",
            **{
                "x-archive": True,
                "x-validity": True,
                "x-sort": {"field": "sort", "scope": "state"},
                "x-unique": [["code"]],
                "x-tabs": {"Mine": {"boss.name": "Anna"}},
                "examples": [
                    {"name": "=1+1", "note": "<b>&\"'</b>", "count": 1, "boss": 1, "labels": [1, 2], "data": {"a": 1}},
                    {"name": "100%", "note": "a_b\\c", "amount": 2.5, "words": ["x"], "colours": ["red"], "code": "AB"},
                    {"name": "Old", "_status": "archived", "at": "2026-01-01T00:00:00Z", "day": "2026-01-01"},
                    {"name": "</script><script>alert(1)</script>", "state": "open", "codes": [1]},
                ],
            },
        ),
        "people": table({"name": TEXT, "boss": one("people")}, examples=[{"name": "Anna"}, {"name": "Bo", "boss": 1}]),
        "parts": table({"name": TEXT, "item": one("items")}, examples=[{"name": "wheel", "item": 1}, {"name": "hub"}]),
        "labels": table(
            {"name": TEXT, "items": many("items", **{"x-inverse": "labels"})},
            examples=[{"name": "new"}, {"name": "hot"}],
        ),
        "ties": table({"item": one("items"), "label": one("labels"), "weight": {"type": "integer"}}, "item", "label"),
        "codes": table(
            {"id": TEXT, "name": TEXT},
            "id",
            "name",
            examples=[{"id": "nl", "name": "Dutch"}, {"id": "de", "name": "German"}],
        ),
        "secrets": table(
            {"name": TEXT, "item": one("items")},
            **{"x-access": True, "examples": [{"name": "of anna", "_owner": "anna", "item": 1}, {"name": "of nobody"}]},
        ),
    },
}
USERS = {"admin": "admin password", "anna": "anna password"}


def basic(name: str) -> dict[str, str]:
    """The credentials of a user, in a WSGI environment."""
    text = base64.b64encode(f"{name}:{USERS[name]}".encode()).decode()
    return {"HTTP_AUTHORIZATION": f"Basic {text}"}


ACTORS: Mapping[str, dict[str, str]] = {"admin": basic("admin"), "anna": basic("anna"), "nobody": {}}
"""Who asks, by name: what each adds to the environment of a request."""


class Asked(NamedTuple):
    """One request, in a form that can be repeated."""

    method: str
    address: str
    body: Any = None
    kind: str = ""
    headers: Mapping[str, str] = {}

    @property
    def path(self) -> str:
        """The path, decoded; None of its bytes is lost."""
        return unquote(self.address.partition("?")[0], errors="surrogateescape")

    @property
    def words(self) -> str:
        """Everything that the request says, as one text: what of it comes back is no leak."""
        body = (
            self.body.decode("latin-1") if isinstance(self.body, bytes) else json.dumps(self.body, ensure_ascii=False)
        )
        said = [self.address, self.address.replace("+", " "), body, body.replace("+", " "), *self.headers.values()]
        return "\n".join([*said, *map(unquote, said)]).lower()


class World:
    """One application over the schema; every request meets the records of the beginning."""

    def __init__(self, **settings: Any) -> None:
        self.app = minirest.make_app(SCHEMA, users=USERS, clock=lambda: NOW, **settings)
        self.stored = sqlite3.connect(":memory:")
        photo = multipart(part("data[photo]", b"<script>alert(1)</script>", "../<b>.html", "text/html"))
        assert send(self.app, "PATCH", "/items/1", photo, MULTIPART, **ACTORS["admin"]).status == 200
        self.keep()

    def keep(self) -> None:
        """What is stored now is what every request meets."""
        self.app.store.database.writer.backup(self.stored)

    def close(self) -> None:
        """Close both databases."""
        self.app.close()
        self.stored.close()

    def uuid(self, name: str, number: int) -> str:
        """An id, as CoreData writes it."""
        return minirest.record_uuid(self.app.schema.all_tables[name].tag, 0, number)

    def object_id(self, name: str, number: int) -> str:
        """An id, as Platform writes it."""
        return minirest.object_id(self.app.schema.all_tables[name].tag, number)

    def form_token(self, actor: str) -> str:
        """What the pages put into the forms of a user."""
        account = self.app.accounts.account(actor)
        return self.app.accounts.form_token(account.actor()) if account else ""

    def ask(self, asked: Asked) -> Answer:
        """Send a request, and hold the answer against all that must be so."""
        self.stored.backup(self.app.store.database.writer)
        answer = send(self.app, asked.method, asked.address, asked.body, asked.kind, **asked.headers)
        try:
            check(asked, answer)
        except Exception as error:
            error.add_note(f"{asked!r}\n{answer!r}"[:4000])
            raise
        return answer


# ---- what holds for every answer ----

OWNERS = (
    ("/api/v2", "coredata"),
    ("/api/v1", "platform"),
    ("/socket.io", "platform"),
    *((base, "qore") for base in ("/api/resources", "/api/me", "/api/endpoints", "/api/global-search")),
    ("/api", "nocobase"),
    *((base, "pages") for base in ("/browse", "/login", "/logout", "/api_tokens")),
)
FINE = {
    "limbas": {200, 201, 204, 304},
    "nocobase": {200, 304},
    "coredata": {200, 201, 202, 204, 301, 304},
    "platform": {200, 304},
    "qore": {200, 201, 304},
    "pages": {200, 201, 206, 303, 304},
}
"""The statuses of what was done, by dialect."""
REFUSED = {400, 401, 403, 404, 405, 412, 413, 415}
"""The statuses of what was not done, in every dialect."""
REFUSED_TOO = {"coredata": {501}, "platform": {501}, "pages": {416, 422}, "qore": {422}}
"""Those of some. 501 is CoreData's own for a POST to a record, and Platform's for a socket without our server."""
LEAKS = re.compile(
    r"traceback|sqlite|jsonschema|bottle|waitress|wsproto|urllib|python\b|site-packages|\.py\b"
    r"|no such (?:table|column|function):|near \"|syntax error|constraint failed|misuse of|datatype mismatch"
    r"|select\s[^<>{};:]{1,200}\sfrom\s|insert into|pragma|json_(?:extract|each|object)"
    r"|/(?:usr|tmp|root|home|etc|var)/|(?:error|exception):|object at 0x|<class '|nonetype"
    r"|scrypt\$|mrt_\w|[0-9a-f]{64}"
)
"""What no answer says, in lower case: names of libraries, SQL, paths, tracebacks, secrets."""
SOCKET_HINT = "run python minirest.py, or call minirest.serve(app)"
MAKERS_OF_TOKENS = ("api/v1/auth/token", "api/auth:signIn", "api/users:signin", "api_tokens")


def owner_of(path: str) -> str:
    """Whose address a path is."""
    return next((owner for base, owner in OWNERS if f"{path}/".startswith(f"{base}/")), "limbas")


def check(asked: Asked, answer: Answer) -> None:
    """Hold an answer against all that must be so, whatever was asked."""
    owner = owner_of(asked.path)
    if asked.path == "/" and "html" in asked.headers.get("HTTP_ACCEPT", ""):
        owner = "pages"
    if asked.headers.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD") and answer.status == 204:
        return
    assert answer.status in FINE[owner] | REFUSED | REFUSED_TOO.get(owner, set()), (
        f"{answer.status} is no status of {owner}"
    )
    assert answer.status != 501 or "/socket.io" in asked.path or asked.method == "POST"
    check_headers(owner, asked, answer)
    if asked.method == "HEAD":
        assert answer.body == b""
        return
    if answer.status in (204, 304):
        assert (answer.body, answer.headers.get("Content-Length")) == (b"", None)
        return
    assert answer.headers["Content-Length"] == str(len(answer.body))
    if owner == "pages" and re.search("[\0\udc80-\udcff]", asked.path):
        owner = "limbas"  # what is no text is the address of no page
    if "Content-Disposition" not in answer.headers:  # what somebody has stored is theirs
        check_leaks(asked, answer)
        check_form(owner, answer)


def check_headers(owner: str, asked: Asked, answer: Answer) -> None:
    """The headers are there that keep a browser from harm, and none that says more than it should."""
    headers = answer.headers
    for name, value in headers.items():
        assert re.fullmatch(r"[\x20-\x7e]*", value), f"{name}: {value!r}"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] in ("no-referrer", "same-origin")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not {"Server", "X-Powered-By", "Access-Control-Allow-Origin", "Date"} & headers.keys()
    assert headers["Cache-Control"].split(",")[0] in ("private", "no-cache", "no-store"), headers["Cache-Control"]
    if "Location" in headers:
        assert re.match(r"/(?![/\\])", headers["Location"]), headers["Location"]
    if answer.status == 405 and owner != "qore":
        assert headers["Allow"]
    if "Set-Cookie" in headers:
        assert "HttpOnly; SameSite=Strict" in headers["Set-Cookie"]
    if "/file/" in asked.path and answer.status in (200, 206):
        assert headers["Content-Disposition"].startswith("attachment;")


def check_leaks(asked: Asked, answer: Answer) -> None:
    """The answer says nothing of what the server is made of, unless the request has said it first."""
    text = answer.body.decode("utf-8").lower().replace(SOCKET_HINT, "")
    if answer.status < 300 and asked.path.strip("/") in MAKERS_OF_TOKENS:
        text = re.sub(r"mrt_\w+", "", text)
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        text = html.unescape(re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.DOTALL))
        text = text.replace(f'value="{token_in(text)}"', "")
    said = asked.words
    found = [match[0] for match in LEAKS.finditer(text) if match[0] not in said]
    assert not found, f"the answer tells {found}"


def token_in(text: str) -> str:
    """The token of a form in a page, empty without one."""
    match = re.search(r'name="_token" value="([0-9a-f]{64})"', text)
    return match[1] if match else ""


def check_form(owner: str, answer: Answer) -> None:
    """The body has the form that the dialect gives to all of its answers, or to its errors."""
    kind = answer.headers["Content-Type"]
    if owner == "pages":
        check_page(answer, kind)
    elif kind.startswith("application/json"):
        body = strict_json(answer.body)
        if answer.status >= 400 and "socket.io" not in owner:
            ERROR_FORMS[owner](answer.status, body)
    elif kind.startswith("text/html"):
        assert owner in ("coredata", "qore")
        assert re.fullmatch(rb"|[A-Z]+(?:, ?[A-Z]+)*", answer.body), answer.body
    else:
        raise AssertionError(f"the content type is {kind}")


def strict_json(text: bytes) -> Any:
    """JSON, without what only some readers take: NaN, a key twice, a lone surrogate."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), f"a key stands twice in {[key for key, _ in pairs]}"
        return dict(pairs)

    value = json.loads(text.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def error_of_limbas(status: int, body: Any) -> None:
    assert list(body) == ["errors"]
    assert all(list(item) == ["code", "message"] and item["message"] for item in body["errors"])
    assert len(body["errors"]) > 1 or body["errors"][0]["code"] == status


def error_of_nocobase(status: int, body: Any) -> None:
    assert list(body) == ["errors"]
    assert body["errors"]
    assert all(list(item) == ["code", "message"] and item["message"] for item in body["errors"])


def error_of_coredata(status: int, body: Any) -> None:
    assert list(body) == ["error_message" if status in (415, 501) else "error"]
    assert re.fullmatch(r"[^<>]+", next(iter(body.values())))


def error_of_platform(status: int, body: Any) -> None:
    if list(body) == ["code", "message"]:  # engine.io's own
        assert status == 400
        return
    assert list(body) == ["success", "code", "message", "tags"]
    assert (body["success"], body["code"]) == (False, str(status))
    assert body["message"]
    assert set(body["tags"]) <= {tag for tags in minirest.PLATFORM_TAGS.values() for tag in tags} | {"error_validation"}


def error_of_qore(status: int, body: Any) -> None:
    assert list(body) in (["message"], ["message", "errors"])
    assert body["message"]
    assert "errors" not in body or status == 422


ERROR_FORMS = {
    "limbas": error_of_limbas,
    "nocobase": error_of_nocobase,
    "coredata": error_of_coredata,
    "platform": error_of_platform,
    "qore": error_of_qore,
}


class Tags(HTMLParser):
    """Reads a page: which elements it has, and whether each is closed where it should be."""

    VOID = minirest.VOID_ELEMENTS

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag} has an attribute twice"
        assert not [name for name in names if name.startswith("on") or name == "style"], attrs
        for name, value in attrs:
            if name in ("href", "src", "action", "formaction"):
                assert re.match(r"/(?![/\\])|\?|#|data:,|\Z", str(value)), f"{tag} leads to {value!r}"
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(answer: Answer, kind: str) -> None:
    """A page is well-formed, has the one script that is ours, and no way out that it should not have."""
    if answer.status == 303:
        assert (answer.body, kind) == (b"", "text/plain; charset=utf-8")
        return
    assert kind == "text/html; charset=utf-8"
    text = answer.body.decode("utf-8")
    assert text.startswith("<!doctype html>\n")
    reader = Tags()
    reader.feed(text.removeprefix("<!doctype html>\n"))
    reader.close()
    assert (reader.open, reader.scripts) == ([], 1)


def in_path(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")
