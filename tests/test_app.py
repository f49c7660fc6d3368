"""Sections 13 and 14, without sockets: the overview and the application that `make_app` makes."""

import dataclasses
import inspect
import io
import json
import logging
import math
import re
import shlex
import sqlite3
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import bottle
import pytest

import minirest
from minirest import Application
from tests.web import unguarded

PASSWORD = "correct horse"
SCHEMA: dict[str, Any] = {
    "title": "Shop",
    "$defs": {
        "kunden": {
            "type": "object",
            "title": "Kunden",
            "properties": {"name": {"type": "string"}},
            "examples": [{"name": "Meier"}, {"name": "Schulz"}, {"name": "alt", "_status": "archived"}],
            "x-archive": True,
        },
        "leer": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}
OVERVIEW = {
    "title": "Shop",
    "version": minirest.__version__,
    "tables": [{"name": "kunden", "title": "Kunden", "records": 2}, {"name": "leer", "title": "leer", "records": 0}],
    "dialects": [
        {"name": "limbas", "addresses": ["/", "/main_rest.php/", "/dependent/main_rest.php/"]},
        {"name": "nocobase", "addresses": ["/api/"]},
        {"name": "coredata", "addresses": ["/api/v2/"]},
        {"name": "platform", "addresses": ["/api/v1/", "/socket.io/"]},
        {
            "name": "qore",
            "addresses": ["/api/resources/", "/api/me/", "/api/endpoints/", "/api/global-search/"],
        },
    ],
}
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "no-referrer",
}
POLICY = "default-src 'none'; frame-ancestors 'none'"
AUTHORIZATION = {"Authorization": "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()}
JSON = {"Content-Type": "application/json"}
FIRST_PATHS = [
    "/kunden?$page[count]=2",
    "/api/kunden:list?pageSize=2",
    "/api/v2/kunden/?limit=2",
    "/api/v1/kunden?limit=2",
    "/api/resources/kunden/table/kunden?per_page=2",
]
FOREIGN = {"Origin": "https://evil.example"}


class Headers(dict[str, str]):
    """Headers, and apart from them the id of the request, which is another one each time."""

    request = ""


class Answer(NamedTuple):
    """What an application answered; answers that differ in the id of the request alone are equal."""

    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def request(self) -> str:
        """The id of the request."""
        return self.headers.request if isinstance(self.headers, Headers) else ""

    @property
    def code(self) -> int:
        """The status as a number."""
        return int(self.status[:3])

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def ask(
    app: Any,
    path: str = "/",
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    **environ: Any,
) -> Answer:
    """Send one request, without any library between; each header of the answer comes once."""
    given = {"Host": "localhost:8080", **(headers or {})}
    names = {name: name.upper().replace("-", "_") for name in given}
    keys = {name: key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}" for name, key in names.items()}
    path, _, query = path.partition("?")
    started: list[tuple[str, list[tuple[str, str]]]] = []
    chunks = app(
        {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8080",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
            **{keys[name]: value for name, value in given.items()},
            **environ,
        },
        lambda status, answered, *_: started.append((status, answered)),
    )
    (status, answered) = started[0]
    assert len({name.lower() for name, _ in answered}) == len(answered), answered
    shown = Headers(answered)
    shown.request = shown.pop("X-Request-Id", "")  # the embedding program's own answers have none
    assert re.fullmatch("[0-9a-f]{16}", shown.request) or not isinstance(app, Application) or app.router.routes
    return Answer(status, shown, b"".join(chunks))


def error(status: int, *messages: str) -> dict[str, Any]:
    """Return a failure in Limbas' form."""
    return {"errors": [{"code": status, "message": message} for message in messages]}


@pytest.fixture
def app() -> Iterator[Application]:
    """Return an application that anybody may use."""
    with closing(minirest.make_app(SCHEMA, auth=False)) as made:
        yield made


@pytest.fixture
def guarded() -> Iterator[Application]:
    """Return an application with a user."""
    with closing(minirest.make_app(SCHEMA, users={"admin": PASSWORD})) as made:
        yield made


def names_of(app: Application, headers: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of all customers, by id."""
    return [record["attributes"]["name"] for record in ask(app, "/kunden", headers=headers).json["data"]]


# ---- make_app ----


def test_schema_in_every_form(tmp_path: Path) -> None:
    """A schema is a document, a path or the text of one; all give the same application."""
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(SCHEMA))
    for source in (SCHEMA, path, str(path)):
        with closing(minirest.make_app(source, auth=False)) as app:
            assert ask(app).json == OVERVIEW
            assert isinstance(app, Application)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "authentication is on and there is no user: give users={name: password}, or auth=False"),
        ({"users": {}}, "authentication is on and there is no user: give users={name: password}, or auth=False"),
        ({"users": {"a": PASSWORD}, "cors": ["*"]}, "cors '*' goes without authentication only: name the origins"),
    ],
)
def test_wrong_arguments(keywords: dict[str, Any], message: str) -> None:
    """Arguments that make no sense are ValueErrors that say what to do; the database is closed again."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        minirest.make_app(SCHEMA, **keywords)


FLAGS = ("auth", "strict", "sign_up", "limit_failures", "examples")
DIALECT_WORDS = "a list of names, of limbas, nocobase, coredata, platform, qore, or None"
UNFIT: dict[str, tuple[str, list[Any]]] = {
    "schema": ("a document or a path, or None", [5, [], b"shop.json", ""]),
    "db": ("a path or a connection", [5, None, b"a.db", ""]),
    "users": ("passwords by names, none empty, or None", ["ada", ["ada"], {"a": 5}, {"a": None}, {5: "a"}, {"a": ""}]),
    "admins": ("a list of names", ["ada", b"ada", 5, None, [5], iter(["ada"])]),
    **dict.fromkeys(FLAGS, ("True or False", ["no", None, 0, 1])),
    "dialects": (DIALECT_WORDS, ["limbas", 5, [5], [], ["nope"], ["limbas", "nope"], iter(["limbas"])]),
    "cors": (
        "a list of origins, like https://app.example",
        ["https://a.example", None, [5], ["a.example"], ["https://a.example/"], ["https://A.example"]],
    ),
    "hosts": (
        "a list of names, without a port, or None",
        ["a.example", 5, [], [5], [""], ["a:80"], ["http://a"], ["*"], [".a.example"], ["::1"]],
    ),
    "trusted_proxies": (
        "a list of addresses, like 10.0.0.7, and networks, like 10.0.0.0/24",
        ["10.0.0.7", 5, None, [5], ["proxy.example"], ["10.0.0.7/24"], ["10.0.0.0/33"], [""]],
    ),
    "clock": ("a function, or None", [5, datetime(2024, 5, 1, tzinfo=UTC)]),
    "seed": ("a whole number, or None", ["7", 1.5, True]),
    **dict.fromkeys(
        ("ping_interval", "ping_timeout"), ("seconds, above 0", ["5", None, True, 0, -1, math.nan, math.inf])
    ),
    **dict.fromkeys(("max_body", "max_upload"), ("a number of bytes, above 0", ["5", None, True, 0, -1, 1.5])),
}


@pytest.mark.parametrize("name", UNFIT)
def test_arguments_that_do_not_fit(tmp_path: Path, name: str) -> None:
    """Of each argument, what it does not take is refused by its name, before anything is made; but no password is told.

    One text is no list of texts.
    """
    settings = (part.name for part in dataclasses.fields(minirest.Settings))
    assert {*UNFIT, "settings"} == {*inspect.signature(minirest.make_app).parameters, *settings}
    words, values = UNFIT[name]
    for value in values:
        shown = f"this {type(value).__name__}" if name == "users" else repr(value)
        given = {"schema": SCHEMA, "db": tmp_path / "a.db", "users": {"ada": PASSWORD}, name: value}
        with pytest.raises(ValueError, match=f"^{re.escape(f'{name} takes {words}; not {shown}')}$"):
            minirest.make_app(**given)
    assert list(tmp_path.iterdir()) == []


def test_arguments_of_several_types(tmp_path: Path) -> None:
    """Lists, sets and dictionaries of names are taken, and hosts in brackets."""
    users = {"ada": PASSWORD}
    settings: dict[str, Any] = {"dialects": {"limbas"}, "cors": ("http://[::1]:80", "null"), "hosts": {"[::1]", "a_b"}}
    with closing(minirest.make_app(SCHEMA, str(tmp_path / "a.db"), users, users, **settings)) as app:
        assert app.accounts.users() == [("ada", False, ["admin"], [])]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({}, "#"),
        ({"$defs": {}}, "#"),
        ({"$defs": {"api": {"type": "object"}}}, "#/$defs/api"),
        ({"$defs": {"a": {"type": "object", "x-nope": 1}}}, "#/$defs/a/x-nope"),
        ({"$defs": {"a": {"type": "object", "x-tabs": {"t": {"nope": 1}}}}}, "#/$defs/a/x-tabs/t"),
    ],
)
def test_wrong_schema(tmp_path: Path, schema: Any, path: str) -> None:
    """A schema that cannot be served is a ValueError with the JSON path, and no database is made."""
    with pytest.raises(minirest.SchemaError) as caught:
        minirest.make_app(schema, tmp_path / "a.db", auth=False)
    assert isinstance(caught.value, ValueError)
    assert caught.value.path == path
    assert list(tmp_path.iterdir()) == []


def test_schema_file_that_is_no_json(tmp_path: Path) -> None:
    """A file that is missing is an OSError, one that is no JSON a SchemaError; no database is made."""
    broken = tmp_path / "broken.json"
    with pytest.raises(FileNotFoundError):
        minirest.make_app(broken, tmp_path / "a.db", auth=False)
    for content in (b"", b"{", b"\xff", b"[" * 5000, b'{"a": 1, "a": 2}', b"[]", b"null", b'{"$defs": NaN}'):
        broken.write_bytes(content)
        with pytest.raises(minirest.SchemaError):
            minirest.make_app(broken, tmp_path / "a.db", auth=False)
    assert list(tmp_path.iterdir()) == [broken]


def test_unknown_argument() -> None:
    """A misspelt argument is a TypeError."""
    with pytest.raises(TypeError, match=r"^there is no argument 'auht'; did you mean 'auth'\?$"):
        minirest.make_app(SCHEMA, auht=False)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hello"], "rule takes a text that begins with /; not 'hello'"),
        ([print], "rule takes a text that begins with /; not <built-in function print>"),
        (["/hello", "post"], "methods takes a list of names in capitals, like POST; not ('post',)"),
        (["/hello", ["GET", "POST"]], "methods takes a list of names in capitals, like POST; not (['GET', 'POST'],)"),
    ],
)
def test_addresses_that_nobody_could_ask_for(app: Application, words: list[Any], message: str) -> None:
    """A rule or a method that no request has is refused when the address is made; so is a decorator without a rule."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        app.route(*words)


def test_several_applications(tmp_path: Path) -> None:
    """Applications in one process share nothing: neither records nor users nor settings."""
    with (
        closing(minirest.make_app(SCHEMA, users={"admin": PASSWORD})) as first,
        closing(minirest.make_app(SCHEMA, users={"admin": "another password"})) as second,
        closing(minirest.make_app({"$defs": {"leer": {"type": "object"}}}, tmp_path / "a.db", auth=False)) as third,
    ):
        created = ask(first, "/kunden", "POST", b'{"data": {"name": "Neu"}}', {**AUTHORIZATION, **JSON})
        assert created.code == 201
        assert names_of(first, AUTHORIZATION) == ["Meier", "Schulz", "Neu"]
        assert ask(second, headers=AUTHORIZATION).code == 401
        assert ask(third, "/leer").json["data"] == []
        assert ask(third, "/kunden").code == 400


def test_close(tmp_path: Path) -> None:
    """A closed application has given its file back: it is one file, whole, and nothing hangs on it."""
    app = minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)
    ask(app, "/kunden", "POST", b'{"data": {"name": "Neu"}}', JSON)
    app.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]
    with closing(minirest.make_app(SCHEMA, str(tmp_path / "a.db"), auth=False)) as again:
        assert names_of(again) == ["Meier", "Schulz", "Neu"]
    app.close()


def test_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Making, using and closing an application leaves stdout and stderr alone, on failures too."""
    with closing(minirest.make_app(SCHEMA, tmp_path / "a.db", {"admin": PASSWORD})) as app:
        for path in ("/", "/kunden", "/nothing", "/kunden/99", "/kunden?$nope=1"):
            ask(app, path, headers=AUTHORIZATION)
            ask(app, path, "POST", b"{", {**AUTHORIZATION, **JSON})
    with pytest.raises(ValueError, match="no user"):
        minirest.make_app(SCHEMA)
    assert capfd.readouterr() == ("", "")


def test_users(tmp_path: Path) -> None:
    """Users are made, or given the password; a file that has a user needs none the next time."""
    path = tmp_path / "a.db"
    with closing(minirest.make_app(SCHEMA, path, {"admin": "first password"})):
        pass
    with closing(minirest.make_app(SCHEMA, path)) as app:
        assert ask(app, headers=AUTHORIZATION).code == 401
    with closing(minirest.make_app(SCHEMA, path, {"admin": PASSWORD, "bert": PASSWORD})) as app:
        assert ask(app, headers=AUTHORIZATION).code == 200
        assert app.accounts.users() == [("admin", False, [], []), ("bert", False, [], [])]


def test_only_disabled_users(tmp_path: Path) -> None:
    """With authentication somebody must be able to sign in: a disabled user is not enough."""
    path = tmp_path / "a.db"
    with closing(minirest.make_app(SCHEMA, path, {"admin": PASSWORD})) as app:
        app.accounts.put_user("admin", disabled=True)
    with pytest.raises(ValueError, match="there is no user"):
        minirest.make_app(SCHEMA, path)


def test_without_authentication(app: Application) -> None:
    """With auth=False anybody reads and writes, and credentials, even wrong ones, do not matter."""
    assert ask(app, "/kunden", "POST", b'{"data": {"name": "Neu"}}', JSON).code == 201
    assert ask(app, "/kunden/1", headers={"Authorization": "Basic !!!"}).code == 200


def test_examples() -> None:
    """The schema's examples are the first records, unless they are left out."""
    with closing(minirest.make_app(SCHEMA, auth=False, examples=False)) as app:
        assert [table["records"] for table in ask(app).json["tables"]] == [0, 0]


def test_strict() -> None:
    """Strictness reaches the dialects."""
    for strict in (False, True):
        with closing(minirest.make_app(SCHEMA, auth=False, strict=strict)) as app:
            assert app.services.strict is strict
            assert {dialect.services.strict for dialect in app.dialects} == {strict}


def test_dialects() -> None:
    """Dialects are served as they are named; None is all of them."""
    with closing(minirest.make_app(SCHEMA, auth=False, dialects=["limbas"])) as app:
        assert [dialect.name for dialect in app.dialects] == ["limbas"]
    with closing(minirest.make_app(SCHEMA, auth=False, dialects=None)) as app:
        assert [dialect.name for dialect in app.dialects] == list(minirest.DIALECTS)


def test_clock() -> None:
    """The clock says what time it is: when a record was made, and which are valid today."""
    now = datetime(2024, 5, 1, 23, 59, 59, tzinfo=UTC)
    schema = {
        "$defs": {
            "a": {
                "type": "object",
                "x-validity": True,
                "examples": [{"valid_to": "2024-05-01"}, {"valid_from": "2024-05-02"}],
            }
        }
    }
    with closing(minirest.make_app(schema, auth=False, clock=lambda: now)) as app:
        assert [record["id"] for record in ask(app, "/a").json["data"]] == ["1"]
        with app.store.database.reading() as connection:
            assert connection.execute("select distinct _created from a").fetchall() == [("2024-05-01T23:59:59.000Z",)]
        now = datetime(2024, 5, 2, tzinfo=UTC)
        assert [record["id"] for record in ask(app, "/a").json["data"]] == ["2"]


def test_file_that_is_not_ours(tmp_path: Path) -> None:
    """Neither another program's database nor a file that is none is touched."""
    foreign, text = tmp_path / "foreign.db", tmp_path / "text.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("create table t (a)")
        connection.commit()
    text.write_text("this is no database, but some text" * 100)
    before = [path.read_bytes() for path in (foreign, text)]
    with pytest.raises(minirest.NotOurs):
        minirest.make_app(SCHEMA, foreign, auth=False)
    with pytest.raises((sqlite3.DatabaseError, minirest.ApiError)):
        minirest.make_app(SCHEMA, text, auth=False)
    assert [path.read_bytes() for path in (foreign, text)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign.db", "text.db"]


def test_paths_are_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database's name is a file name, never a URI."""
    monkeypatch.chdir(tmp_path)
    for name in ("a b.db", "file:x?mode=memory", "ä%20#.db"):
        with closing(minirest.make_app(SCHEMA, name, auth=False)) as app:
            assert names_of(app) == ["Meier", "Schulz"]
    assert {"a b.db", "file:x?mode=memory", "ä%20#.db"} <= {path.name for path in tmp_path.iterdir()}


def test_relative_path_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is meant from where the application was made, though the program goes elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    with closing(minirest.make_app(SCHEMA, "a.db", auth=False)) as app:
        monkeypatch.chdir(elsewhere)
        assert names_of(app) == ["Meier", "Schulz"]
    assert list(elsewhere.iterdir()) == []


# ---- the overview ----


def test_overview_as_json(app: Application) -> None:
    """`/` says what is served: tables with the records that are active and valid, dialects, version."""
    answer = ask(app)
    assert (answer.status, answer.json) == ("200 OK", OVERVIEW)
    assert answer.headers == {
        **SECURITY,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(answer.body)),
        "Content-Security-Policy": POLICY,
        "Vary": "Accept",
    }


class Page(HTMLParser):
    """Reads a page: the tags, every attribute, the text, and the text of each `pre`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text, self.commands, self.open = "", [""], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self.open = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self.commands.append("")
        self.open = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open == "pre":
            self.commands[-1] += data


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> & \"quotes' {braces}"


def test_overview_as_page() -> None:
    """For a browser `/` is a page: titles and descriptions are text, however they look; nothing is fetched."""
    schema = {
        "title": HOSTILE,
        "$defs": {
            "kunden": {"type": "object", "description": HOSTILE, "examples": [{}] * 1234},
            "leer": {"type": "object", "title": HOSTILE},
        },
    }
    with closing(minirest.make_app(schema, users={"o'neil & <b>": PASSWORD})) as app:
        credentials = "Basic " + b64encode(f"o'neil & <b>:{PASSWORD}".encode()).decode()
        accept = "text/html,application/xhtml+xml,*/*;q=0.8"
        answer = ask(app, headers={"Accept": accept, "Authorization": credentials, "Host": "example.org:81"})
    page = Page(answer.body.decode())
    assert answer.status == "200 OK"
    assert answer.headers == {
        **SECURITY,
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(answer.body)),
        "Content-Security-Policy": minirest.page_policy(),
        "Referrer-Policy": "same-origin",
        "Vary": "Accept",
    }
    assert page.tags.isdisjoint({"img", "iframe", "b", "object", "base"})
    assert answer.body.count(b"<script") == 1
    assert page.text.count(HOSTILE) == 6
    assert "1,234" in page.text
    assert minirest.__version__ in page.text
    assert [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style")] == []
    tables = [f"/browse/{name}" for name in ("kunden", "leer")]
    addresses = [value for name, value in page.attributes if name == "href"]
    assert addresses == ["data:,", "#content", "/", "/api_tokens", *tables, *tables, "/docs"]
    addresses = [f"http://example.org:81{path}" for path in FIRST_PATHS]
    commands = [shlex.split(command) for command in filter(None, page.commands)]
    assert commands == [["curl", "-g", "-u", "o'neil & <b>", address] for address in addresses]
    assert re.findall(r"https?://[^'<\s]*", page.text) == addresses
    assert "@import" not in page.text
    assert "url(" not in page.text


def test_one_command_for_each_dialect(app: Application) -> None:
    """The page shows a first request in each dialect that is on; without authentication it names no user."""
    answer = ask(app, headers={"Accept": "text/html"})
    commands = [shlex.split(command) for command in filter(None, Page(answer.body.decode()).commands)]
    assert [dialect.name for dialect in app.dialects] == list(minirest.DIALECTS)
    assert commands == [["curl", "-g", f"http://localhost:8080{path}"] for path in FIRST_PATHS]
    for command in commands:
        path = command[-1].removeprefix("http://localhost:8080")
        assert ask(app, path).code == 200


def test_hostile_host_in_the_page(app: Application) -> None:
    """The Host header is text in the page, and one word of its command."""
    host = "x'; rm -rf ~; <script>"
    answer = ask(app, headers={"Accept": "text/html", "Host": host})
    page = Page(answer.body.decode())
    commands = [shlex.split(command) for command in filter(None, page.commands)]
    assert commands == [["curl", "-g", f"http://{host}{path}"] for path in FIRST_PATHS]
    assert answer.body.count(b"<script") == 1


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "text/plain"])
def test_json_for_programs(app: Application, accept: str) -> None:
    """Only who asks for HTML gets it."""
    assert ask(app, headers={"Accept": accept}).json == OVERVIEW


def test_head(app: Application) -> None:
    """HEAD answers what GET answers, without the body."""
    for path in ("/", "/kunden", "/kunden/1", "/nothing"):
        shown, head = ask(app, path), ask(app, path, "HEAD")
        assert head == shown._replace(body=b"")


# ---- failures ----


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/nothing", "400 Bad Request", error(400, "Unknown table nothing")),
        ("GET", "/a/b/c/d", "400 Bad Request", error(400, "Unknown table a")),
        ("GET", "/kunden/99", "404 Not Found", None),
        ("GET", "//", "404 Not Found", error(404, "Not found")),
        ("GET", "/kunden/\n", "400 Bad Request", error(400, "Invalid dataset id \n")),
    ],
)
def test_unknown_addresses(app: Application, method: str, path: str, status: str, body: dict[str, Any] | None) -> None:
    """An address that is not there is answered in Limbas' form."""
    answer = ask(app, path, method)
    assert answer.status == status
    assert answer.json == body if body else [item["code"] for item in answer.json["errors"]] == [404]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/kunden/"), ("GET", "/browse/kunden/1/"), ("PUT", "/api/resources/kunden/")]
)
def test_a_line_feed_belongs_to_the_address(app: Application, method: str, path: str) -> None:
    """What stands there without it is not what is meant."""
    assert ask(app, path + "\n", method).status == "404 Not Found"


TABLE_METHODS = "DELETE, GET, HEAD, PATCH, POST, PUT"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/", "GET, HEAD"),
        ("OPTIONS", "/", "GET, HEAD"),
        ("TRACE", "/kunden", TABLE_METHODS),
        ("OPTIONS", "/kunden", TABLE_METHODS),
        ("PROPFIND", "/kunden/1", TABLE_METHODS),
        ("CONNECT", "/main_rest.php/kunden", TABLE_METHODS),
    ],
)
def test_methods(app: Application, method: str, path: str, allowed: str) -> None:
    """A method that an address does not know is a 405 that lists those it knows, in body and header."""
    answer = ask(app, path, method)
    listed = answer.headers["Allow"]
    assert sorted(listed.replace(" ", "").split(",")) == allowed.replace(" ", "").split(",")
    message = f"Method {method} is not allowed here; allowed are {listed}"
    assert (answer.status, answer.json) == ("405 Method Not Allowed", error(405, message))


@pytest.mark.parametrize(
    ("path", "method", "body", "headers", "status"),
    [
        ("/", "GET", b"", {}, 200),
        ("/kunden", "GET", b"", {}, 200),
        ("/kunden", "POST", b'{"data": {"name": "x"}}', JSON, 201),
        ("/kunden/1", "GET", b"", {"If-None-Match": "*"}, 304),
        ("/kunden/1", "GET", b"", {"Accept": "text/html"}, 200),
        ("/nothing", "GET", b"", {}, 400),
        ("/kunden?$page[count]=x", "GET", b"", {}, 400),
        ("/kunden/99", "GET", b"", {}, 404),
        ("/kunden", "TRACE", b"", {}, 405),
        ("/kunden/1", "PATCH", b'{"data": {"name": "x"}}', {**JSON, **FOREIGN}, 403),
        ("/kunden/1", "PATCH", b'{"data": {"name": "x"}}', {**JSON, "If-Match": '"99-ab"'}, 412),
        ("/kunden", "POST", b" " * (minirest.MAX_BODY_BYTES + 1), JSON, 413),
        ("/kunden", "POST", b"x", {"Content-Encoding": "gzip"}, 415),
    ],
)
def test_security_headers(
    app: Application, path: str, method: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Every answer, whatever it is, carries the security headers once."""
    answer = ask(app, path, method, body, headers)
    assert answer.code == status
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert ("Content-Length" in answer.headers) == (status not in (204, 304))


def test_security_headers_when_refused(guarded: Application) -> None:
    """A refusal for want of credentials has them too, and its challenge."""
    answer = ask(guarded)
    assert answer.headers == {
        **SECURITY,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(answer.body)),
        "Content-Security-Policy": POLICY,
        "WWW-Authenticate": 'Basic realm="minirest", charset="UTF-8"',
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "limbas"),
        ("/api", "nocobase"),
        ("/api/", "nocobase"),
        ("/api/kunden:list", "nocobase"),
        ("/apis", "limbas"),
        ("/main_rest.php/api", "limbas"),
        ("", "limbas"),
    ],
)
def test_dialect_of_an_address(app: Application, path: str, name: str) -> None:
    """Errors take the form of the dialect with the longest base that is the address's beginning, in whole words."""
    assert app.dialect_at(path).name == name


@pytest.mark.parametrize("raw", ["/kun\xffden", "/\xc3", "/kunden/\x00"])
def test_bad_paths(app: Application, raw: str) -> None:
    """A path that is no UTF-8, or holds NUL, is refused before anybody drops its bytes."""
    answer = ask(app, PATH_INFO=raw)
    assert (answer.status, answer.json) == ("400 Bad Request", error(400, "The path is not valid UTF-8 text"))


# ---- other sites ----

WRITES = [
    ("POST", "/kunden", b'{"data": {"name": "x"}}'),
    ("PATCH", "/kunden/1", b'{"data": {"name": "x"}}'),
    ("DELETE", "/kunden/1", b""),
]
CROSS_SITE = [
    ({"Origin": "https://evil.example"}, "https://evil.example"),
    ({"Origin": "null"}, "null"),
    ({"Origin": "http://localhost:8081"}, "http://localhost:8081"),
    ({"Origin": "http://localhost"}, "http://localhost"),
    ({"Origin": "evil://localhost:8080"}, "evil://localhost:8080"),
    ({"Origin": "https://evil.example://localhost:8080"}, "https://evil.example://localhost:8080"),
    ({"Sec-Fetch-Site": "cross-site"}, "null"),
    ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, "https://evil.example"),
    ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, "https://evil.example"),
]


def refusal(origin: str) -> dict[str, Any]:
    """Return the answer to a page of a foreign origin."""
    return error(403, f"A page of another origin may not do this; start the server with --cors {origin}")


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize(("headers", "origin"), CROSS_SITE)
@pytest.mark.parametrize("form", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_other_sites_may_not_write(
    app: Application, guarded: Application, method: str, path: str, body: bytes, headers: dict[str, str], origin: str,
    form: str,
) -> None:  # fmt: skip
    """A page of another origin changes nothing, with any method and content type, with credentials and without."""
    if "form" in form and body:
        body = b"data[name]=x"
    for target, credentials in ((app, {}), (guarded, AUTHORIZATION)):
        before = ask(target, "/kunden", headers=credentials).body
        answer = ask(target, path, method, body, {**headers, **credentials, "Content-Type": form})
        if form != "text/plain":
            assert (answer.status, answer.json) == ("403 Forbidden", refusal(origin))
        assert 400 <= answer.code < 500
        assert ask(target, "/kunden", headers=credentials).body == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_cross_site_wins_over_an_origin_like_ours(app: Application, method: str, path: str, body: bytes) -> None:
    """Where the browser itself says `cross-site`, an Origin that looks like ours does not help."""
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8080", **JSON}
    assert ask(app, path, method, body, headers).code == 403
    assert names_of(app) == ["Meier", "Schulz"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8080"},
        {"Origin": "https://localhost:8080"},  # behind a proxy that speaks TLS
        {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://friend.example"},
        {"Origin": "https://friend.example"},
        {"Origin": "http://localhost:3000"},
    ],
)
@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_own_and_allowed_pages_may_write(headers: dict[str, str], method: str, path: str, body: bytes) -> None:
    """Programs, our own pages and those of the origins that were allowed do write."""
    cors = ["https://friend.example", "http://localhost:3000"]
    with closing(minirest.make_app(SCHEMA, auth=False, cors=cors)) as app:
        assert ask(app, path, method, body, {**headers, **JSON}).code in (200, 201, 204)
        assert names_of(app) != ["Meier", "Schulz"]


@pytest.mark.parametrize(
    "origin", ["https://friend.example.evil", "http://friend.example", "https://FRIEND.example", "*"]
)
def test_origins_match_exactly(origin: str) -> None:
    """An origin is allowed as it is written, not its relatives."""
    with closing(minirest.make_app(SCHEMA, auth=False, cors=["https://friend.example"])) as app:
        answer = ask(app, "/kunden/1", "PATCH", b'{"data": {"name": "x"}}', {"Origin": origin, **JSON})
        assert (answer.code, answer.json) == (403, refusal(origin))


@pytest.mark.parametrize(("headers", "_"), CROSS_SITE)
def test_other_sites_may_read(app: Application, headers: dict[str, str], _: str) -> None:
    """A read is answered as always; without `cors` the browser keeps it from the page."""
    assert ask(app, headers=headers) == ask(app)


def test_long_origin(app: Application) -> None:
    """An origin is told back short."""
    answer = ask(app, "/kunden/1", "DELETE", headers={"Origin": "http://" + "x" * 5000})
    assert answer.json == refusal("http://" + "x" * 193)


@pytest.mark.parametrize(
    ("cors", "origin", "expected"),
    [
        ([], None, {}),
        ([], "https://a.example", {}),
        (["https://a.example"], None, {"Vary": "Origin"}),
        (["https://a.example"], "https://b.example", {"Vary": "Origin"}),
        (
            ["https://a.example", "https://b.example"],
            "https://b.example",
            {
                "Access-Control-Allow-Origin": "https://b.example",
                "Vary": "Origin",
                "Access-Control-Expose-Headers": "ETag, Location",
            },
        ),
        (
            ["*"],
            "https://b.example",
            {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "ETag, Location"},
        ),
    ],
)
@pytest.mark.parametrize("path", ["/kunden", "/kunden/1", "/kunden/99", "/nothing"])
def test_cors_headers(cors: list[str], origin: str | None, expected: dict[str, str], path: str) -> None:
    """An allowed origin may read answers and failures, and caches are told that the origin matters; no cookies ever."""
    with closing(minirest.make_app(SCHEMA, auth=False, cors=cors)) as app:
        answer = ask(app, path, headers={"Origin": origin} if origin else {})
        shown = {name: value for name, value in answer.headers.items() if name.startswith(("Access", "Vary"))}
        assert shown == expected


def test_cors_and_accept() -> None:
    """The overview depends on both: `Vary` names Accept and Origin."""
    with closing(minirest.make_app(SCHEMA, auth=False, cors=["https://a.example"])) as app:
        started: list[list[tuple[str, str]]] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "x", "wsgi.input": io.BytesIO()}
        app(environ, lambda status, headers: started.append(headers))
        words = [value for name, value in started[0] if name == "Vary"]
        assert sorted(word.strip() for value in words for word in value.split(",")) == ["Accept", "Origin"]


def preflight(app: Application, origin: str, path: str = "/kunden/1", **headers: str) -> Answer:
    """Ask as a browser does before a request of another origin: without credentials."""
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH", **headers}
    return ask(app, path, "OPTIONS", headers=asked)


@pytest.mark.parametrize("path", ["/", "/kunden", "/kunden/1", "/nothing", "/a/b/c/d/e"])
def test_preflight_allowed(path: str) -> None:
    """A browser's question for an allowed origin is answered without credentials, for any address."""
    users = {"admin": PASSWORD}
    with closing(minirest.make_app(SCHEMA, users=users, cors=["https://a.example"])) as app:
        asked = {"Access-Control-Request-Headers": "authorization, content-type\r\nX-Evil: 1"}
        answer = preflight(app, "https://a.example", path, **asked)
    assert (answer.status, answer.body) == ("204 No Content", b"")
    assert answer.headers == {
        **SECURITY,
        "Content-Security-Policy": POLICY,
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": "authorization, content-typeX-Evil 1",
        "Access-Control-Max-Age": "600",
        "Access-Control-Allow-Origin": "https://a.example",
        "Access-Control-Expose-Headers": "ETag, Location",
        "Vary": "Origin",
    }


def test_preflight_names_usual_headers() -> None:
    """Who asks for no headers in particular is told the usual ones."""
    with closing(minirest.make_app(SCHEMA, auth=False, cors=["*"])) as app:
        answer = preflight(app, "https://a.example")
    assert answer.code == 204
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, If-Match"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("cors", [[], ["https://b.example"]])
def test_preflight_refused(cors: list[str]) -> None:
    """For another origin it is a refusal that tells of --cors."""
    with closing(minirest.make_app(SCHEMA, users={"admin": PASSWORD}, cors=cors)) as app:
        answer = preflight(app, "https://a.example")
    assert (answer.status, answer.json) == ("403 Forbidden", refusal("https://a.example"))
    assert "Access-Control-Allow-Origin" not in answer.headers


# ---- host names ----


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("LocalHost:1", True),
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("[::1]", True),
        ("[::1]:8080", True),
        ("[::2]:8080", False),
        ("evil.example", False),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("localhost@evil.example", False),
        ("evil.example#localhost", False),
        ("localhost:8080:8080", False),
        ("", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_hosts(host: str, answered: bool) -> None:
    """Only the given names are answered, with any port and in any case; the rest before anything else is looked at."""
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    with closing(minirest.make_app(SCHEMA, users={"admin": PASSWORD}, hosts=hosts)) as app:
        for path, method in (("/", "GET"), ("/kunden", "GET"), ("/nothing", "GET"), ("/kunden/1", "DELETE")):
            answer = ask(app, path, method, headers={"Host": host})
            assert answer.code == (401 if answered else 421)
        asked = {"Host": host, "Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
        assert ask(app, "/", "OPTIONS", headers=asked).code == (403 if answered else 421)


def test_wrong_host_names_the_option() -> None:
    """The refusal says which name it was, and which option allows it."""
    with closing(minirest.make_app(SCHEMA, auth=False, hosts=["localhost"])) as app:
        answer = ask(app, headers={"Host": "Evil.example:80"})
    message = "This server does not answer for the host 'Evil.example'; start it with --allow-host Evil.example"
    assert (answer.status, answer.json) == ("421 Misdirected Request", error(421, message))


def test_given_hosts_are_compared_without_case() -> None:
    """A name is given in any case too."""
    with closing(minirest.make_app(SCHEMA, auth=False, hosts=["Shop.Example"])) as app:
        assert [ask(app, headers={"Host": host}).code for host in ("shop.example", "SHOP.EXAMPLE:80")] == [200, 200]


def test_any_host(app: Application) -> None:
    """A part of another program leaves host names to it."""
    assert ask(app, headers={"Host": "evil.example"}).code == 200


# ---- what goes wrong inside ----


def test_internal_error(app: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A defect is a 500 with a number, under which the log has the traceback; the answer tells nothing else."""
    secret = "select secret from /etc/passwd"

    def broken(*_: Any) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr(minirest.Limbas, "show_list", broken)
    answer = ask(app, "/kunden")
    (record,) = caplog.records
    number = re.fullmatch(r"request ([0-9a-f]{16}) failed", record.getMessage())
    assert number
    message = f"Internal error; the log has the details under request {number[1]}"
    assert (answer.status, answer.json) == ("500 Internal Server Error", error(500, message))
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert secret in str(record.exc_info[1])
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY


def test_internal_errors_are_told_apart(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure has its own number, and the next request works again."""
    with monkeypatch.context() as patch:
        patch.setattr(minirest.Limbas, "of_table", lambda *_, **__: 1 / 0)
        patch.setattr(minirest.Limbas, "show_list", lambda *_, **__: 1 / 0)
        bodies = {ask(app, "/kunden").body for _ in range(3)}
    assert len(bodies) == 3
    assert names_of(app) == ["Meier", "Schulz"]


def sqlite_error(kind: type[sqlite3.Error], name: str) -> sqlite3.Error:
    """Make an error as SQLite raises it."""
    failure = kind("SQL that nobody may see")
    failure.sqlite_errorname = name
    return failure


@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        ("SQLITE_BUSY", "503 Service Unavailable", "The database is busy; try again"),
        ("SQLITE_LOCKED", "503 Service Unavailable", "The database is busy; try again"),
        (
            "SQLITE_INTERRUPT",
            "503 Service Unavailable",
            "The request took longer than 10 seconds of database time",
        ),
        ("SQLITE_FULL", "507 Insufficient Storage", "The database cannot be written: the disk is full"),
        ("SQLITE_READONLY", "507 Insufficient Storage", "The database cannot be written: the file is read-only"),
        ("SQLITE_IOERR_WRITE", "507 Insufficient Storage", "The database cannot be written: an I/O error"),
        ("SQLITE_CORRUPT", "507 Insufficient Storage", "The database cannot be written: the file is damaged"),
        ("SQLITE_NOTADB", "507 Insufficient Storage", "The database cannot be written: the file is damaged"),
    ],
)
def test_storage_errors(
    app: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: str, status: str,
    message: str,
) -> None:  # fmt: skip
    """What SQLite says of the file is a 503 or a 507 in words of ours, and no defect."""
    kind = (
        sqlite3.DatabaseError if failure.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) else sqlite3.OperationalError
    )

    def broken(*_: Any) -> None:
        raise sqlite_error(kind, failure)

    monkeypatch.setattr(minirest.Limbas, "show_list", broken)
    answer = ask(app, "/kunden")
    assert (answer.status, answer.json) == (status, error(int(status[:3]), message))
    assert answer.headers.get("Retry-After") == ("1" if failure in ("SQLITE_BUSY", "SQLITE_LOCKED") else None)
    assert caplog.records == []


def test_other_database_errors_are_defects(
    app: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A statement that SQLite does not understand is our defect: a 500 without the statement, and logged."""

    def broken(*_: Any) -> None:
        with app.store.database.reading() as connection:
            connection.execute("select secret from nowhere")

    monkeypatch.setattr(minirest.Limbas, "show_list", broken)
    answer = ask(app, "/kunden")
    assert answer.code == 500
    assert b"nowhere" not in answer.body
    assert len(caplog.records) == 1


def test_busy_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program writes, a write is a 503 that may be repeated; reads are answered."""
    monkeypatch.setattr(minirest, "BUSY_TIMEOUT_SECONDS", 0.05)
    path = tmp_path / "a.db"
    with (
        closing(minirest.make_app(SCHEMA, path, auth=False)) as app,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("begin immediate")
        answer = ask(app, "/kunden", "POST", b'{"data": {"name": "x"}}', JSON)
        assert (answer.code, answer.json) == (503, error(503, "The database is busy; try again"))
        assert answer.headers["Retry-After"] == "1"
        assert names_of(app) == ["Meier", "Schulz"]
        other.execute("rollback")
        assert ask(app, "/kunden", "POST", b'{"data": {"name": "x"}}', JSON).code == 201


def test_read_only_database(tmp_path: Path) -> None:
    """A database that cannot be written is a 507 for writes; reads are answered."""
    with closing(minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)) as app:
        unguarded(app.store).execute("pragma query_only=on")
        answer = ask(app, "/kunden", "POST", b'{"data": {"name": "x"}}', JSON)
        message = "The database cannot be written: the file is read-only"
        assert (answer.code, answer.json) == (507, error(507, message))
        assert names_of(app) == ["Meier", "Schulz"]


LINE = r"([0-9a-f]{16}) (\S+) (\".*\") (\d+) [\d.]+ ms (\S+)"


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, ...]]:
    """The lines for requests: id, method, address, status and user of each."""
    lines = [record.getMessage() for record in caplog.records if record.name == "minirest.requests"]
    return [found.groups() for line in lines if (found := re.fullmatch(LINE, line))]


def test_every_request_is_logged(guarded: Application, caplog: pytest.LogCaptureFixture) -> None:
    """There is a line for each request, of unreadable ones too, with the id that the answer has and who asked."""
    caplog.set_level(logging.INFO, "minirest.requests")
    answers = [ask(guarded, path, headers=AUTHORIZATION) for path in ("/", "/kunden?$fields=name", "/nothing")]
    answers += [ask(guarded), ask(guarded, PATH_INFO="/\xff")]
    ids = [answer.request for answer in answers]
    assert len(set(ids)) == 5
    assert logged(caplog) == [
        (ids[0], "GET", '"/"', "200", '"admin"'),
        (ids[1], "GET", '"/kunden?$fields=name"', "200", '"admin"'),
        (ids[2], "GET", '"/nothing"', "400", '"admin"'),
        (ids[3], "GET", '"/"', "401", "-"),
        (ids[4], "GET", '"/\\ufffd"', "400", "-"),
    ]


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ('/a\r\n12:00 GET "/" 200', r'"/a\r\n12:00 GET \"/\" 200"'),
        ("/\x1b[31m\x7f\x9b\u202e\u2028", r'"/\u001b[31m\u007f\u009b\u202e\u2028"'),
        ("/kunden?api_key=hush&a=1", '"/kunden?api_key=...&a=1"'),
        ("/kunden?%74oken=hush&data[password]=hush", '"/kunden?%74oken=...&data[password]=..."'),
        ('/kunden?filter={"secret":"hush"}', '"/kunden?filter=..."'),
        ("/kunden?x=mrt_hush", '"/kunden?x=..."'),
        ("/mrt_hush/1", '"/mrt_.../1"'),
    ],
)
def test_lines_hold_no_secret_and_cannot_be_forged(
    app: Application, caplog: pytest.LogCaptureFixture, path: str, address: str
) -> None:
    """A line is printable ASCII with the address in quotes, and parameters that name a secret lose their value."""
    caplog.set_level(logging.INFO, "minirest.requests")
    ask(app, path, "G\nT", headers={"Cookie": "sid=hush", "Authorization": "Bearer hush"})
    ((_, method, line, _, _),) = logged(caplog)
    assert (method, line) == ("G\\nT", address)
    assert "hush" not in caplog.text


def test_nothing_is_logged_unasked(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """An embedding program that does not ask for them gets no lines, and no handlers."""
    caplog.set_level(logging.WARNING)
    ask(app)
    assert caplog.records == []
    assert [logging.getLogger(name).handlers for name in ("minirest", "minirest.requests")] == [[], []]


def test_id_of_a_request(app: Application) -> None:
    """The id is ours, a new one each time; one that a client sends is not believed."""
    answers = [ask(app, path, headers={"X-Request-Id": "mine"}) for path in ("/", "/", "/nothing", "/health/live")]
    assert len({answer.request for answer in answers}) == 4


def test_time_of_a_request(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a request asks of the database shares one time, whatever came before it in the thread."""
    left: list[float] = []
    read, allowance = minirest.Store.read, app.store.database.allowance

    def note(self: minirest.Store, *words: Any) -> Any:
        left.append(allowance.seconds)
        return read(self, *words)

    monkeypatch.setattr(minirest.Store, "read", note)
    for _ in range(2):
        assert ask(app, "/api/kunden:get/1").code == 200
        assert allowance.seconds == float("inf")
    assert left == [minirest.STATEMENT_TIMEOUT_SECONDS] * 2


# ---- health ----


def test_health(guarded: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both addresses are answered without credentials, for any host, without a look into the database."""
    monkeypatch.setattr(minirest.Database, "reading", None)
    monkeypatch.setattr(minirest.Database, "writing", None)
    guarded.policy = minirest.Policy(hosts=frozenset({"shop.example"}))
    for path in ("/health/live", "/health/ready"):
        answer = ask(guarded, path, headers={"Host": "10.0.0.7:80"})
        assert (answer.status, answer.body) == ("200 OK", b'{"status":"ok"}')
        assert answer.headers["Cache-Control"] == "private, no-cache"
        head = ask(guarded, path, "HEAD")
        assert (head.code, head.body) == (200, b"")
        other = ask(guarded, path, "POST")
        assert (other.code, other.headers["Allow"]) == (405, "GET, HEAD")
        assert other.json == error(405, "Method POST is not allowed here; allowed are GET, HEAD")


def test_health_at_the_end(app: Application) -> None:
    """Who stops is alive and not ready."""
    stopping: dict[str, Any] = {"minirest.is_stopping": True}
    assert ask(app, "/health/live", **stopping).code == 200
    answer = ask(app, "/health/ready", **stopping)
    assert (answer.status, answer.json) == ("503 Service Unavailable", {"status": "stopping"})


@pytest.mark.parametrize("kind", ["memory", "file", "connection"])
def test_closed(tmp_path: Path, kind: str) -> None:
    """An application that is closed is alive and not ready, and neither reads nor writes any more."""
    with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as given:
        places: dict[str, Any] = {"memory": ":memory:", "file": tmp_path / "a.db", "connection": given}
        app = minirest.make_app(SCHEMA, places[kind], auth=False)
        asked: list[tuple[Any, ...]] = [("/kunden",), ("/kunden", "POST", b'{"data": {"name": "Neu"}}', JSON)]
        assert [ask(app, *words).code for words in asked] == [200, 201]
        app.close()
        assert [ask(app, path).code for path in ("/health/live", "/health/ready")] == [200, 503]
        assert [ask(app, *words).code for words in asked] == [503, 503]
        app.close()


# ---- proxies ----


def seen(headers: Mapping[str, str], peer: str = "10.0.0.7", proxies: tuple[str, ...] = ("10.0.0.7",)) -> Any:
    """What an application behind proxies takes for the client's address, scheme and host; or what it answers."""
    found: list[Any] = []
    with closing(minirest.make_app(SCHEMA, auth=False, trusted_proxies=proxies)) as app:

        @app.router.route("/seen")  # type: ignore[untyped-decorator]
        def see() -> str:
            environ = bottle.request.environ
            found.append((environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]))
            return ""

        answer = ask(app, "/seen", headers=headers, REMOTE_ADDR=peer)
    return found[0] if found else (answer.code, answer.json)


FORWARDED = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}
DIRECT = ("http", "localhost:8080")


@pytest.mark.parametrize(
    ("headers", "proxies", "peer", "expected"),
    [
        (FORWARDED, ["10.0.0.7"], "10.0.0.7", ("192.0.2.1", "https", "shop.example")),
        (FORWARDED, ["10.0.0.0/24", "::1"], "10.0.0.9", ("192.0.2.1", "https", "shop.example")),
        (FORWARDED, ["10.0.0.7"], "::ffff:10.0.0.7", ("192.0.2.1", "https", "shop.example")),
        (FORWARDED, [], "10.0.0.7", ("10.0.0.7", *DIRECT)),
        (FORWARDED, ["10.0.0.7"], "10.0.0.8", ("10.0.0.8", *DIRECT)),
        (FORWARDED, ["10.0.0.7"], "", ("", *DIRECT)),
        ({}, ["10.0.0.7"], "10.0.0.7", ("10.0.0.7", *DIRECT)),
        ({"Forwarded": "for=1.2.3.4;proto=https"}, ["10.0.0.7"], "10.0.0.7", ("10.0.0.7", *DIRECT)),
        ({"X-Forwarded-For": "evil, 1.1.1.1, 192.0.2.1"}, ["10.0.0.7"], "10.0.0.7", ("192.0.2.1", *DIRECT)),
        ({"X-Forwarded-For": "1.1.1.1,192.0.2.1 , 10.0.0.8"}, ["10.0.0.0/8"], "10.0.0.7", ("192.0.2.1", *DIRECT)),
        ({"X-Forwarded-For": "10.0.0.9, 10.0.0.8"}, ["10.0.0.0/8"], "10.0.0.7", ("10.0.0.9", *DIRECT)),
        ({"X-Forwarded-For": "2001:db8::1"}, ["::1"], "::1", ("2001:db8::1", *DIRECT)),
        ({"X-Forwarded-Proto": "HTTPS"}, ["10.0.0.7"], "10.0.0.7", ("10.0.0.7", "https", "localhost:8080")),
        ({"X-Forwarded-Host": "[::1]:81"}, ["10.0.0.7"], "10.0.0.7", ("10.0.0.7", "http", "[::1]:81")),
    ],
)
def test_forwarded_headers(headers: dict[str, str], proxies: tuple[str, ...], peer: str, expected: Any) -> None:
    """Only a proxy that was named is believed, and of a list only what our own proxies have written."""
    assert seen(headers, peer, proxies) == expected


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("X-Forwarded-For", "192.0.2.1, evil", "write addresses, with commas"),
        ("X-Forwarded-For", "", "write addresses, with commas"),
        ("X-Forwarded-For", "192.0.2.1:80", "write addresses, with commas"),
        ("X-Forwarded-Proto", "https, http", "write http or https"),
        ("X-Forwarded-Proto", "", "write http or https"),
        ("X-Forwarded-Host", "a.example, b.example", "write one host"),
        ("X-Forwarded-Host", "a@b", "write one host"),
        ("X-Forwarded-Host", "", "write one host"),
    ],
)
def test_broken_forwarded_headers(name: str, value: str, reason: str) -> None:
    """What a proxy says and cannot be read is refused."""
    assert seen({name: value}) == (400, error(400, f"Invalid header {name!r}: {reason}"))


@pytest.mark.parametrize(("peer", "secure"), [("10.0.0.7", True), ("10.0.0.8", False)])
def test_secure_cookies_behind_a_proxy(peer: str, secure: bool) -> None:
    """A session that begins through a proxy with TLS has a cookie for TLS alone; a stranger cannot bring that about."""
    body = json.dumps({"login": "admin", "password": PASSWORD}).encode()
    with closing(minirest.make_app(SCHEMA, users={"admin": PASSWORD}, trusted_proxies=["10.0.0.7"])) as app:
        answer = ask(app, "/api/v1/auth", "POST", body, {**JSON, **FORWARDED}, REMOTE_ADDR=peer)
    assert answer.code == 200
    assert ("; Secure" in answer.headers["Set-Cookie"]) == secure


def test_origin_behind_a_proxy_with_tls() -> None:
    """Where the scheme is known, a page of the other scheme is a foreign one."""
    with closing(minirest.make_app(SCHEMA, auth=False, trusted_proxies=["10.0.0.7"])) as app:
        for origin, status in (("https://shop.example", 200), ("http://shop.example", 403)):
            headers = {**FORWARDED, **JSON, "Origin": origin}
            answer = ask(app, "/kunden/1", "PATCH", b'{"data": {"name": "x"}}', headers, REMOTE_ADDR="10.0.0.7")
            assert answer.code == status


# ---- inside another program ----


def test_own_route_beside_ours(guarded: Application) -> None:
    """An embedding program adds its own Bottle routes; they are its own, with its own rules about who may ask."""

    @guarded.router.route("/hello")  # type: ignore[untyped-decorator]
    def hello() -> str:
        return f"Hello {bottle.request.query.name}"

    @guarded.router.post("/kunden/import")  # type: ignore[untyped-decorator]
    def load() -> dict[str, Any]:
        return {"loaded": bottle.request.json}

    answer = ask(guarded, "/hello?name=anna")
    assert (answer.status, answer.body) == ("200 OK", b"Hello anna")
    loaded = ask(guarded, "/kunden/import", "POST", b"[1]", JSON)
    assert (loaded.code, loaded.json) == (200, {"loaded": [1]})
    assert ask(guarded, "/kunden").code == 401
    assert ask(guarded, headers=AUTHORIZATION).json == OVERVIEW


def test_own_route_with_a_wildcard(app: Application) -> None:
    """A rule of the embedding program wins over ours, whatever its form."""

    @app.router.route("/hello/<name>")  # type: ignore[untyped-decorator]
    def hello(name: str) -> str:
        return f"Hello {name}"

    assert ask(app, "/hello/anna").body == b"Hello anna"
    assert ask(app, "/kunden/1").json["data"]["attributes"]["name"] == "Meier"


def test_own_route_that_fails(app: Application) -> None:
    """A failure in a route of the embedding program is Bottle's to answer, and ours go on working."""

    @app.router.route("/broken")  # type: ignore[untyped-decorator]
    def broken() -> str:
        raise bottle.HTTPError(418, "mine")

    assert ask(app, "/broken").code == 418
    assert ask(app).json == OVERVIEW


def test_added_route(guarded: Application) -> None:
    """A function becomes an address: it is told who asks and what, and its value is answered as JSON."""

    @guarded.route("/hello/<name>")
    def hello(request: minirest.Request, name: str) -> dict[str, str]:
        return {"hello": name, "from": request.actor.name}

    @guarded.route("/pay/<number:int>", "POST", "PUT")
    def pay(request: minirest.Request, number: int) -> list[Any]:
        return [request.method, number, request.payload]

    @guarded.route("/plain")
    def plain(_: minirest.Request) -> minirest.Reply:
        return minirest.Reply(202, b"text", content_type="text/plain")

    answer = ask(guarded, "/hello/anna", headers=AUTHORIZATION)
    assert (answer.code, answer.json) == (200, {"hello": "anna", "from": "admin"})
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    for method in ("POST", "PUT"):
        answer = ask(guarded, "/pay/7", method, b'{"a": 1}', JSON | AUTHORIZATION)
        assert answer.json == [method, 7, {"a": 1}]
    answer = ask(guarded, "/plain", headers=AUTHORIZATION)
    assert (answer.code, answer.body, answer.headers["Content-Type"]) == (202, b"text", "text/plain")
    assert ask(guarded, "/plain", "HEAD", headers=AUTHORIZATION).body == b""
    assert hello(minirest.Request({"REQUEST_METHOD": "GET"}), "x") == {"hello": "x", "from": ""}


def test_added_route_is_guarded(guarded: Application) -> None:
    """A route that is added asks who asks and where from, as our own addresses do."""

    @guarded.route("/mine", "GET", "POST")
    def mine(request: minirest.Request) -> str:
        return request.actor.name

    assert ask(guarded, "/mine").code == 401
    assert ask(guarded, "/mine", "POST").code == 401
    foreign = {**AUTHORIZATION, "Origin": "https://evil.example"}
    assert ask(guarded, "/mine", "POST", headers=foreign).code == 403
    assert ask(guarded, "/mine", headers=foreign).json == "admin"
    assert ask(guarded, "/mine", "POST", headers=AUTHORIZATION).json == "admin"


def test_public_route(guarded: Application) -> None:
    """A public one is answered to strangers, knows whoever is signed in, and takes no wrong credentials."""

    @guarded.route("/open", "GET", "POST", public=True)
    def open_to_all(request: minirest.Request) -> list[Any]:
        return [request.actor.name, request.actor.roles]

    assert ask(guarded, "/open").json == ["", ["anonymous"]]
    assert ask(guarded, "/open", headers=AUTHORIZATION).json[0] == "admin"
    assert ask(guarded, "/open", headers={"Authorization": "Bearer mrt_wrong"}).code == 401
    assert ask(guarded, "/open", "POST", headers={"Origin": "https://evil.example"}).code == 403


def test_strangers_with_rights_have_none_on_added_routes() -> None:
    """Where strangers may read records, a route that is not public still wants somebody who is signed in."""
    schema = {"$defs": {"notes": {"type": "object", "x-rights": {"anonymous": {"list": True}}}}}
    with closing(minirest.make_app(schema, users={"admin": PASSWORD})) as app:
        app.route("/mine")(lambda _: "mine")
        assert app.client().get("/notes").status == 200
        assert app.client().get("/mine").status == 401


def test_added_route_that_fails(app: Application) -> None:
    """An error is answered by its code, in the form of the dialect whose address it is; any other is a 500."""

    @app.route("/api/v1/full")
    def full(_: minirest.Request) -> None:
        raise minirest.fail("refused", text="The shop is full")

    @app.route("/api/gone/at/once")
    def gone(_: minirest.Request) -> None:
        raise minirest.ApiError("not_found")

    @app.route("/odd")
    def odd(_: minirest.Request) -> object:
        return object()

    answer = ask(app, "/api/v1/full")
    assert (answer.code, answer.json["message"]) == (400, "The shop is full")
    answer = ask(app, "/api/gone/at/once")
    assert (answer.code, answer.json["errors"][0]["message"]) == (404, "Not Found")
    assert ask(app, "/odd").code == 500


def test_added_route_goes_first(app: Application) -> None:
    """It may take the place of an address of ours, and no other."""
    app.route("/kunden/1")(lambda _: "mine")
    assert ask(app, "/kunden/1").json == "mine"
    assert ask(app, "/kunden/2").code == 200
    assert ask(app, "/kunden/1", "DELETE").code == 204


def test_routes_of_the_router_are_logged(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """A route of the embedding program's Bottle has an id and a line in the log too."""
    app.router.route("/hello")(lambda: "hello")
    caplog.set_level(logging.INFO, "minirest.requests")
    answer = app.client().get("/hello")
    (line,) = caplog.messages
    assert re.fullmatch(rf'{answer.headers["X-Request-Id"]} GET "/hello" 200 [0-9.]+ ms -', line)


def test_called_from_another_handler(app: Application) -> None:
    """An application that is called inside a Bottle handler leaves that handler's request as it was."""
    outer = bottle.Bottle()

    @outer.route("/outer")  # type: ignore[untyped-decorator]
    def handler() -> str:
        before = bottle.request.path
        inner = ask(app, "/kunden/1").json["data"]["attributes"]["name"]
        return f"{before} {inner} {bottle.request.path}"

    assert ask(outer, "/outer").body == b"/outer Meier /outer"


def test_mounted_below_a_path(app: Application) -> None:
    """Below a path of another WSGI application the rest of the path decides."""
    assert ask(app, "/kunden/1", SCRIPT_NAME="/rest").json == ask(app, "/kunden/1").json
    below = json.loads(re.sub('"/', '"/rest/', json.dumps(OVERVIEW)))
    assert ask(app, PATH_INFO="", SCRIPT_NAME="/rest").json == below


def test_admins(tmp_path: Path) -> None:
    """Users get the role `admin` by name, and keep the others that they have."""
    schema = {"$defs": {"notes": {"type": "object", "x-rights": {"editor": {"*": True}}}}}
    users = {"ada": "open-sesame", "ben": "open-sesame"}
    for admins, roles in (((), None), (["ada"], ["admin"]), (["ada"], ["admin"])):
        app = minirest.make_app(schema, tmp_path / "x.db", users, admins)
        found = app.accounts.fetch("select roles, _version from _users where name=?", ("ada",))
        app.close()
        assert found is not None
        assert json.loads(found[0] or "null") == roles
        assert found[1] == 1 + (roles is not None)
    with pytest.raises(ValueError, match="there is no user 'eve'"):
        minirest.make_app(schema, tmp_path / "x.db", users, ["eve"])
