"""Inside another program: below a path of Django, Flask and Bottle applications, with their logs and their routes.

Below a path every address that an answer prints begins there, and leads somewhere.
"""

import functools
import http.client
import json
import logging
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit
from wsgiref.util import shift_path_info

import bottle
import flask
import pytest
import webtest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import minirest
from tests.sockets import ADDRESS, fetch, serving
from tests.sockets import Client as SocketClient
from tests.web import Answer, many, multipart, one, part, send

ROOT = Path(__file__).resolve().parents[1]

PREFIX = "/my shop/ä"
WRITTEN = quote(PREFIX)
SCHEMA: dict[str, Any] = {
    "title": "Shop",
    "$defs": {
        "people": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "friends": many("people"), "boss": one("people")},
            "examples": [{"name": f'href="/{number}', "boss": 1, "friends": [1, 2]} for number in range(60)],
        },
        "things": {"type": "object", "properties": {"name": {"type": "string"}}, "x-archive": True},
    },
}


@pytest.fixture(name="app")
def make_app() -> Iterator[minirest.Application]:
    """An application that asks nobody who they are."""
    app = minirest.make_app(SCHEMA, auth=False)
    yield app
    app.close()


def ask(app: minirest.Application, address: str, method: str = "GET", body: Any = None, **environ: str) -> Answer:
    """A request for an address of the server, which the application is a part of."""
    assert address.startswith(WRITTEN), address
    mounted = {"SCRIPT_NAME": PREFIX.encode().decode("latin-1"), **environ}
    return send(app, method, address.removeprefix(WRITTEN), body, **mounted)


def addresses(page: Answer) -> set[str]:
    """What a page leads to."""
    return set(re.findall(r'<(?:a|form)[^<>]* (?:href|action)="([^"#]+)', page.body.decode()))


def test_every_address_of_the_pages(app: minirest.Application) -> None:
    """From the overview on, every link begins at the mount point and leads to a page."""
    seen, waiting = set[str](), [f"{WRITTEN}/"]
    while waiting:
        address = waiting.pop()
        page = ask(app, address, HTTP_ACCEPT="text/html")
        assert page.status == 200, address
        found = {re.sub("&amp;", "&", each) for each in addresses(page)}
        assert {each for each in found if not each.startswith((f"{WRITTEN}/", "?"))} == set()
        new = {each for each in found if each.startswith("/")} - seen
        seen |= new
        waiting += sorted(new)
    assert {f"{WRITTEN}/browse/people/1/edit", f"{WRITTEN}/browse/people/1/links/friends"} <= seen
    assert f"curl -g http://localhost{WRITTEN}/api/v2/people/?limit=2" in ask(
        app, f"{WRITTEN}/", HTTP_ACCEPT="text/html"
    ).body.decode().replace("&#x27;", "").replace("'", "")


ADDRESS_IN_TEXT = re.compile(r"""(?<![\w/<:.&;)}#%-])(?:http://localhost)?(/[A-Za-z_%][^\s\["'<>`|,\\]*)""")
STARTS = [
    *("/", "/docs", "/docs/compare", "/api_tokens", "/browse/people", "/browse/people/1/history"),
    *("/people", "/people/1", "/api/v2/", "/api/v2/people/schema/", "/api/v2/people/?limit=7&offset=7"),
    *("/api/people:list?appends=friends", "/api/v1/people", "/api/me", "/api/global-search?query=h"),
    *("/api/resources", "/api/resources/people/table/people?per_page=7&page=2", "/api/resources/people/logs/1"),
]


def test_every_address_in_any_answer(app: minirest.Application) -> None:
    """Whatever an answer shows as an address of ours begins at the mount point.

    But for the links of Limbas, which have no base, and for the documents of OpenAPI, whose addresses begin at
    `servers`. An address of ours is one that leads somewhere without the prefix.
    """
    seen, waiting, bare = set[str](), [f"{WRITTEN}{start}" for start in STARTS], list[tuple[str, str]]()
    while waiting and len(seen) < 150:
        address = waiting.pop(0)
        if address in seen:
            continue
        seen.add(address)
        for kind in ("text/html", "application/json"):
            answer = ask(app, address, HTTP_ACCEPT=kind)
            shown = "\n".join([unescape(answer.body.decode()), answer.headers.get("Location", "")])
            found = set(ADDRESS_IN_TEXT.findall(shown))
            waiting += sorted(it for it in found if it.startswith(f"{WRITTEN}/") and "{" not in it)
            ours = {it for it in found if not it.startswith(WRITTEN) and leads_somewhere(app, it)}
            bare += [(address, it) for it in sorted(ours)]
    assert f"{WRITTEN}/docs?dialect=coredata&group=people" in seen
    assert [pair for pair in bare if not may_be_bare(*pair)] == []
    assert (f"{WRITTEN}/people/1", "/people/1") in bare


PROSE = {"/main_rest.php", "/dependent/main_rest.php", "/api/posts", "/api/posts/1", "/socket.io/"}
"""Addresses in the descriptions of the documents, which the pages of the docs show."""


def leads_somewhere(app: minirest.Application, address: str) -> bool:
    """Whether something is at an address without the prefix."""
    return send(app, "GET", address).status != 404


def may_be_bare(address: str, shown: str) -> bool:
    """Whether an answer may show an address without the prefix."""
    if re.match(rf"{re.escape(WRITTEN)}/(main_rest.php/)?(people|things)\b", address):
        return re.match(r"/(people|things)\b", shown) is not None
    if address == f"{WRITTEN}/docs":
        return shown in PROSE
    if address.startswith(f"{WRITTEN}/docs?"):
        return re.fullmatch(r"/api/v2/\w+/", shown) is not None  # the beginning of a pattern in a schema
    if address == f"{WRITTEN}/docs/compare":
        return shown.startswith(("/people", "/boss", "/friends"))  # of Limbas: its answer, and the SQL that makes it
    return address.startswith(f"{WRITTEN}/openapi.json")


def test_commands_and_forms_of_the_docs(app: minirest.Application) -> None:
    """What the pages of the docs send, and tell people to send, goes to the mount point; so do the documents."""
    page = unescape(ask(app, f"{WRITTEN}/docs?dialect=coredata&group=people").body.decode())
    paths = re.findall(r'data-path="([^"]+)"', page)
    assert paths
    assert {it for it in paths if not it.startswith(f"{WRITTEN}/api/v2/people/")} == set()
    for text in (page, unescape(ask(app, f"{WRITTEN}/docs/compare").body.decode())):
        commands = re.findall(r"curl -g[^<]* '?(http://localhost/[^<']+)'?</pre>", text)
        assert commands
        assert {it for it in commands if not it.startswith(f"http://localhost{WRITTEN}/")} == set()
        assert "curl -g /" not in text
    servers = ask(app, f"{WRITTEN}/openapi.json?dialect=coredata").json["servers"]
    assert servers == [{"url": WRITTEN}]


def test_texts_stay_as_they_are(app: minirest.Application) -> None:
    """What a record holds is no address, however much it looks like one."""
    plain = send(app, "GET", "/browse/people/1", HTTP_ACCEPT="text/html").body.decode()
    mounted = ask(app, f"{WRITTEN}/browse/people/1", HTTP_ACCEPT="text/html").body.decode()
    assert plain.count('href="/0') == mounted.count('href="/0') > 0


def test_overview(app: minirest.Application) -> None:
    """The overview names the dialects' addresses."""
    dialects = {it["name"]: it["addresses"] for it in ask(app, f"{WRITTEN}/").json["dialects"]}
    assert dialects["coredata"] == [f"{WRITTEN}/api/v2/"]
    assert dialects["limbas"] == [f"{WRITTEN}/{end}" for end in ("", "main_rest.php/", "dependent/main_rest.php/")]


def test_coredata(app: minirest.Application) -> None:
    """Its addresses are printed, followed and taken back in bodies."""
    top = ask(app, f"{WRITTEN}/api/v2/").json
    assert top["people"] == {
        "list_endpoint": f"{WRITTEN}/api/v2/people/",
        "schema": f"{WRITTEN}/api/v2/people/schema/",
    }
    first = ask(app, top["people"]["list_endpoint"] + "?limit=20").json
    second = ask(app, first["meta"]["next"]).json
    assert second["meta"]["offset"] == 20
    boss, record = first["objects"][0]["resource_uri"], second["objects"][0]["resource_uri"]
    assert second["objects"][0]["boss"] == boss
    changed = ask(app, record, "PATCH", {"boss": record, "friends": [boss]})
    assert (changed.status, changed.json["boss"], changed.json["friends"]) == (202, record, [boss])
    made = ask(app, f"{WRITTEN}/api/v2/people/", "POST", {"name": "new"})
    assert ask(app, made.headers["Location"]).json["name"] == "new"
    moved = ask(app, f"{WRITTEN}/api/v2/people")
    assert (moved.status, moved.headers["Location"]) == (301, f"{WRITTEN}/api/v2/people/")
    gone = boss.replace(boss[-5:], "fffff/")
    refused = ask(app, record, "PATCH", {"boss": gone})
    assert refused.status == 400
    assert gone in refused.body.decode()


def test_qore(app: minirest.Application) -> None:
    """The paginator's addresses are absolute."""
    page = ask(app, f"{WRITTEN}/api/resources/people/table/people?per_page=5").json
    url = urlsplit(page["next_page_url"])
    assert (url.scheme, url.netloc) == ("http", "localhost")
    assert ask(app, f"{url.path}?{url.query}").json["current_page"] == 2


def test_limbas_has_no_base(app: minirest.Application) -> None:
    """Its links begin at the interface, as those of the original."""
    assert ask(app, f"{WRITTEN}/people/1").json["links"] == {"self": "/people/1"}


def test_two_mount_points_at_a_time(app: minirest.Application) -> None:
    """What was said below one path is not said below another."""
    for prefix in ("/a", "/b", "", "/a"):
        found = send(app, "GET", "/api/v2/people/?limit=1", SCRIPT_NAME=prefix).json["objects"][0]["resource_uri"]
        assert found.startswith(f"{prefix}/api/v2/people/")


def test_signing_in_and_out() -> None:
    """Through the pages, mounted in a Bottle application: the cookie is the mount point's alone."""
    app = minirest.make_app(SCHEMA, users={"anna": "anna's password"})
    host = bottle.Bottle()
    host.route("/hello", callback=lambda: "hello")
    host.mount("/shop/", app)
    client = webtest.TestApp(host)
    try:
        assert client.get("/hello").text == "hello"
        page = client.get("/shop/browse/people/1", headers={"Accept": "text/html"}).follow()
        form = page.form
        assert form.action == "/shop/login"
        form["name"], form["password"] = "anna", "anna's password"
        signed_in = form.submit()
        assert signed_in.headers["Location"] == "/shop/browse/people/1"
        assert "; Path=/shop;" in signed_in.headers["Set-Cookie"]
        assert "anna" in signed_in.follow().text
    finally:
        app.close()


# ---- next to other frameworks, in one process ----

USERS = {"anna": "anna's password"}
ANNA = "Basic " + b64encode(b"anna:anna's password").decode()
HELLO = b"Hello from outside"
OUTSIDE = "/schön"
OUTSIDE_WRITTEN = quote(OUTSIDE)
HOSTED: dict[str, Any] = {
    "$defs": {
        "people": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "photo": {"type": "string", "format": "binary"}},
            "examples": [{"name": name} for name in ("Anna", "Bernd", "Cäsar")],
        }
    }
}


class Urls:
    """The addresses of the Django application; ROOT_URLCONF may be any object that has them."""

    urlpatterns: ClassVar[list[Any]] = []


def mark(get_response: Any) -> Any:
    """A middleware of Django, which marks its answers."""

    def answer(request: Any) -> Any:
        response = get_response(request)
        response["X-Django"] = "yes"
        return response

    return answer


@functools.cache
def django_application() -> Any:
    """A Django application; a process can configure only one."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    Urls.urlpatterns = [path("hello", lambda request: HttpResponse(HELLO))]
    settings.configure(
        SECRET_KEY="of tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=Urls,
        MIDDLEWARE=[f"{__name__}.mark"],
        LOGGING_CONFIG=None,
    )
    return get_wsgi_application()


def before_django(app: minirest.WsgiApp) -> minirest.WsgiApp:
    """A Django application, and ours below a path."""
    django = django_application()

    def dispatch(environ: dict[str, Any], start_response: minirest.StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(as_bytes(f"{OUTSIDE}/")):
            return django(environ, start_response)  # type: ignore[no-any-return]
        shift_path_info(environ)
        return app(environ, start_response)

    return dispatch


def below_flask(app: minirest.WsgiApp) -> minirest.WsgiApp:
    """A Flask application with ours below a path."""
    host = flask.Flask("host")
    host.add_url_rule("/hello", view_func=lambda: HELLO)
    return DispatcherMiddleware(host, {as_bytes(OUTSIDE): app})


def below_bottle(app: minirest.WsgiApp) -> minirest.WsgiApp:
    """A Bottle application with ours below a path."""
    host = bottle.Bottle()
    host.route("/hello", callback=lambda: HELLO)
    host.error(404)(lambda _: "the host's own page")
    host.mount(OUTSIDE, app)
    return host  # type: ignore[no-any-return]


def as_bytes(text: str) -> str:
    """A text as WSGI writes it."""
    return text.encode().decode("latin-1")


HOSTS = {"Django": before_django, "Flask": below_flask, "Bottle": below_bottle}


@pytest.fixture(name="guarded", scope="module")
def make_guarded_app() -> Iterator[minirest.Application]:
    """An application with users, records, and a file."""
    app = minirest.make_app(HOSTED, users=USERS, cors=["https://app.example"])
    photo = multipart(part("data[photo]", b"\x00\xff" * 300_000, file="ä.bin", kind="application/octet-stream"))
    sent = send(app, "POST", "/people", photo, "multipart/form-data; boundary=-x", HTTP_AUTHORIZATION=ANNA)
    assert sent.status == 201, sent.body
    yield app
    app.close()


@pytest.fixture(name="port", scope="module", params=HOSTS)
def serve_host(request: pytest.FixtureRequest, guarded: minirest.Application) -> Iterator[int]:
    """The port where another application is served, with ours below a path of it."""
    with serving(HOSTS[request.param](guarded)) as port:
        yield port


def test_the_host_goes_on(port: int, guarded: minirest.Application) -> None:
    """What the host answers itself stays its own."""
    for path in ("/hello", "/hello?x=1"):
        answer = fetch(port, "GET", path)
        assert (answer.status, answer.body) == (200, HELLO)
        assert "X-Request-Id" not in answer.headers
    assert "X-Request-Id" not in fetch(port, "GET", "/nothing").headers
    assert fetch(port, "GET", "/nothing").status == 404


BY_ANNA = {"Authorization": ANNA}
ASKED: dict[str, tuple[str, str, Any, dict[str, str]]] = {
    "overview": ("GET", "/", None, BY_ANNA),
    "page": ("GET", "/browse/people", None, {**BY_ANNA, "Accept": "text/html"}),
    "redirect": ("GET", "/api/v2/people", None, BY_ANNA),
    "limbas": ("GET", "/people/4", None, BY_ANNA),
    "nocobase": ("GET", "/api/people:list?appends=photo", None, BY_ANNA),
    "coredata": ("GET", "/api/v2/people/?limit=2", None, BY_ANNA),
    "platform": ("GET", "/api/v1/people", None, BY_ANNA),
    "qore": ("GET", "/api/resources/people/table/people?per_page=2", None, BY_ANNA),
    "letters": ("GET", "/people?name=C%C3%A4sar", None, BY_ANNA),
    "head": ("HEAD", "/people", None, BY_ANNA),
    "not modified": ("GET", "/openapi.json", None, {**BY_ANNA, "If-None-Match": "*"}),
    "preflight": (
        "OPTIONS",
        "/people",
        None,
        {"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH"},
    ),
    "stream": ("GET", "/browse/people/export.csv", None, BY_ANNA),
    "nobody": ("GET", "/people", None, {}),
    "not found": ("GET", "/stra%C3%9Fe/1", None, BY_ANNA),
    "no text": ("GET", "/adm%ffin", None, BY_ANNA),
    "method": ("DELETE", "/health/live", None, BY_ANNA),
    "wrong body": ("POST", "/api/v1/people", [1], BY_ANNA),
    "foreign page": ("POST", "/api/v1/people", {"name": "x"}, {**BY_ANNA, "Origin": "https://evil.example"}),
}


OF_EACH = ("connection", "date", "server", "transfer-encoding", "via", "x-request-id")
"""Headers that each server, or each request, has of its own."""


def told(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the headers of an answer say."""
    return sorted((name.lower(), value) for name, value in pairs if name.lower() not in OF_EACH)


@pytest.mark.parametrize("asked", ASKED)
def test_answers_are_ours(port: int, guarded: minirest.Application, asked: str) -> None:
    """Below any host the answer is, header for header, the one that the application gives to its server."""
    method, path, body, headers = ASKED[asked]
    sent: list[tuple[str, str]] = []

    def listening(environ: dict[str, Any], start_response: minirest.StartResponse) -> Iterable[bytes]:
        def start(status: str, head: list[tuple[str, str]], *rest: Any) -> Any:
            sent.extend(head)
            return start_response(status, head, *rest)

        return guarded(environ, start)

    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    environ |= {"HTTP_HOST": f"127.0.0.1:{port}", "SCRIPT_NAME": as_bytes(OUTSIDE)}
    expected = send(listening, method, path, body, **environ)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        content = None if body is None else json.dumps(body)
        words = {"Content-Type": "application/json", **headers}
        connection.request(method, OUTSIDE_WRITTEN + path, content, words)
        found = connection.getresponse()
        assert (found.status, found.read()) == (expected.status, b"" if method == "HEAD" else expected.body)
        assert told(found.getheaders()) == told(sent)
        assert found.headers["X-Request-Id"]


def test_a_file(port: int) -> None:
    """A file is streamed to its end, and in parts; the page of its record leads there."""
    page = fetch(port, "GET", f"{OUTSIDE_WRITTEN}/browse/people/4", headers=[*BY_ANNA.items(), ("Accept", "text/html")])
    (address,) = (it for it in addresses(page) if it.endswith("/file/photo"))
    whole = fetch(port, "GET", address, headers=BY_ANNA.items())
    assert (whole.status, whole.body) == (200, b"\x00\xff" * 300_000)
    some = fetch(port, "GET", address, headers=[*BY_ANNA.items(), ("Range", "bytes=-3")])
    assert (some.status, some.body, some.headers["Content-Range"]) == (
        206,
        b"\xff\x00\xff",
        "bytes 599997-599999/600000",
    )


def ask_json(port: int, path: str, method: str = "GET", body: Any = None) -> Any:
    """The value of an answer to anna."""
    answer = fetch(port, method, OUTSIDE_WRITTEN + path, body, BY_ANNA.items())
    assert answer.status < 300, answer
    return answer.json if answer.body else None


def test_writes(port: int) -> None:
    """A record comes and goes; the last answer has neither a body nor its length."""
    made = fetch(port, "POST", f"{OUTSIDE_WRITTEN}/api/v2/people/", {"name": "Dörte"}, BY_ANNA.items())
    assert made.status == 201
    gone = fetch(port, "DELETE", urlsplit(made.headers["Location"]).path, headers=BY_ANNA.items())
    assert (gone.status, gone.body) == (204, b"")
    assert "Content-Type" not in gone.headers
    assert fetch(port, "GET", made.headers["Location"], headers=BY_ANNA.items()).status == 404


def test_cookies(port: int) -> None:
    """The session belongs to the mount point, and ends there."""
    signed_in = fetch(port, "POST", f"{OUTSIDE_WRITTEN}/api/v1/auth", {"login": "anna", "password": USERS["anna"]})
    cookie = signed_in.headers["Set-Cookie"]
    assert f"; Path={OUTSIDE_WRITTEN};" in cookie
    session = [("Cookie", cookie.partition(";")[0])]
    assert fetch(port, "GET", f"{OUTSIDE_WRITTEN}/people", headers=session).status == 200
    signed_out = fetch(port, "DELETE", f"{OUTSIDE_WRITTEN}/api/v1/auth", headers=session)
    assert f"sid=; Path={OUTSIDE_WRITTEN};" in signed_out.headers["Set-Cookie"]
    assert fetch(port, "GET", f"{OUTSIDE_WRITTEN}/people", headers=session).status == 401


def test_sockets(port: int) -> None:
    """Live events pass through the host, where our server serves it."""
    address = OUTSIDE_WRITTEN + ADDRESS
    with SocketClient(port, BY_ANNA, address).begin() as client:
        number = ask_json(port, "/api/v1/people", "POST", {"name": "Emil"})["_id"]
        assert client.told()[0] == "people-create"
        ask_json(port, f"/api/v1/people/{number}", "DELETE")
        assert client.told()[0] == "people-delete"
        assert client.close() == 1000


# ---- the log ----


def test_no_handler_is_added() -> None:
    """Neither the import, nor an application, nor the server gives a logger a handler; nothing is printed."""
    program = """
import logging, threading, minirest
app, stop = minirest.make_app({"$defs": {"a": {"type": "object"}}}, auth=False), threading.Event()
minirest.serve(app, port=0, stop=stop, on_ready=lambda url: stop.set())
assert app.client().get("/a").status == 200
loggers = [logging.getLogger(name) for name in (None, "minirest", "minirest.requests", "waitress")]
assert [(log.handlers, log.level, log.propagate) for log in loggers[1:]] == [([], logging.NOTSET, True)] * 3
assert loggers[0].handlers == []
app.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_handlers_of_the_embedding_program(app: minirest.Application, caplog: pytest.LogCaptureFixture) -> None:
    """They get a line for each request, and the traceback of what fails under its id."""

    @app.route("/broken")
    def broken(_: minirest.Request) -> None:
        raise RuntimeError("mine")

    caplog.set_level(logging.INFO, "minirest.requests")
    answer = app.client().get("/broken")
    assert answer.status == 500
    number = answer.headers["X-Request-Id"]
    failed, line = caplog.records
    assert (failed.name, failed.levelname, failed.getMessage()) == ("minirest", "ERROR", f"request {number} failed")
    assert failed.exc_info
    assert str(failed.exc_info[1]) == "mine"
    assert (line.name, line.levelname) == ("minirest.requests", "INFO")
    assert re.fullmatch(rf'{number} GET "/broken" 500 [0-9.]+ ms -', line.getMessage())
