"""Attacks through what is stored and shown: pages, addresses that lead away, files, tags, and odd paths."""

import html
import re
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

import minirest
from tests.hostile import ACTORS, FORM, MULTIPART, SCHEMA, Asked, World, token_in
from tests.web import Answer, multipart, part, send

ADMIN = ACTORS["admin"]
HTML = {"HTTP_ACCEPT": "text/html"}
TEXTS = (
    "<script>alert(1)</script>",
    "</title></style></script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "{{7*7}}${7*7}",
    "\u2028\u2029\u0085",
    "\u202eevil\u202c",
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A world in which every text that can be stored is hostile."""
    with closing(World()) as made:
        for text in TEXTS:
            values = {"name": text, "note": text, "words": [text], "data": {text: text}, "boss": {"name": text}}
            body = {**values, "parts": [{"name": text}], "labels": [{"name": text}], "state": "open"}
            assert send(made.app, "POST", "/api/items:create", body, **ADMIN).status == 200
            changed = {"data": {"note": f"{text} again", "data": {"a": text}}}
            number = send(made.app, "GET", f"/api/items:list?filter[name]={quote(text)}", **ADMIN).json["data"][0]["id"]
            assert send(made.app, "PATCH", f"/items/{number}", changed, **ADMIN).status == 200
            file = multipart(part("data[photo]", b"<script>", text.replace('"', "%22"), "text/html"))
            assert send(made.app, "PATCH", f"/items/{number}", file, MULTIPART, **ADMIN).status in (200, 400)
        made.keep()
        yield made


def show(world: World, address: str, **headers: str) -> Answer:
    """A page, as the administrator's browser gets it; `World.ask` reads it and finds foreign elements."""
    return world.ask(Asked("GET", address, headers={**ADMIN, **HTML, **headers}))


# ---- pages ----

PAGES = (
    "/",
    "/browse/items",
    "/browse/items?page=2",
    "/browse/people",
    "/browse/items/new",
    "/browse/ties",
    "/api_tokens",
)


@pytest.mark.parametrize("address", PAGES)
def test_stored_texts_on_pages(world: World, address: str) -> None:
    page = show(world, address)
    assert page.status == 200
    assert "<img" not in page.body.decode()


def test_stored_texts_on_records(world: World) -> None:
    """What somebody has stored is text on every page of a record, its history and its forms."""
    for number in range(5, 5 + len(TEXTS)):
        for end in ("", "/edit", "/links/parts", "/links/labels"):
            page = show(world, f"/browse/items/{number}{end}")
            assert page.status == 200
            if not end:
                assert TEXTS[number - 5].strip() in html.unescape(page.body.decode())


REFLECTED = (
    "/browse/items?search={}",
    "/browse/items?sort={}",
    "/browse/items?filter[name]={}",
    "/browse/items?{}=1",
    "/browse/items?done={}",
    "/browse/items/new?name={}",
    "/browse/items/new?{}=x",
    "/browse/{}",
    "/browse/items/{}",
    "/browse/items/1/links/{}",
    "/login?next={}",
    "/login?next=/{}",
    "/login?{}=1",
)


@pytest.mark.parametrize("address", REFLECTED)
def test_reflected_texts(world: World, address: str) -> None:
    """What an address says is text as well."""
    for text in TEXTS:
        assert show(world, address.replace("{}", quote(text, safe=""))).status in (200, 400, 404)


def test_reflected_forms(world: World) -> None:
    """What a form says comes back as text in its fields."""
    token = world.form_token("admin")
    for text in TEXTS:
        entered = quote(text, safe="")
        for address, body in (
            ("/browse/items/new", f"name={entered}&count={entered}&day={entered}&_token={token}"),
            ("/browse/items/1/edit", f"count={entered}&name={entered}&_version=1&_token={token}"),
            ("/login", f"name={entered}&password={entered}&next=/"),
            ("/api_tokens", f"device_name={entered}&expiration_date={entered}&_token={token}"),
        ):
            assert world.ask(Asked("POST", address, body.encode(), FORM, ADMIN)).status in (401, 412, 422)


def test_names_of_a_schema_on_pages() -> None:
    """Titles and descriptions of a schema file are text on pages and in the drawing."""
    text = "</text></svg><script>alert(1)</script>"
    people = {**SCHEMA["$defs"]["people"], "title": text, "description": text}
    schema = {**SCHEMA, "title": text, "$defs": {**SCHEMA["$defs"], "people": people}}
    with closing(minirest.make_app(schema, auth=False)) as app:
        for address in ("/", "/browse/people", "/browse/people/1", "/browse/people/new"):
            page = send(app, "GET", address, **HTML).body.decode()
            assert (page.count("<script>"), page.count("</svg>")) == (1, page.count("<svg"))


def test_json_is_no_page(world: World) -> None:
    """JSON is sent as JSON and never sniffed; formulas stay as they are, as no dialect writes CSV."""
    for address in ("/items", "/api/items:list", "/api/v1/items", "/api/resources/items/table/items", "/api/v2/items/"):
        answer = show(world, address)
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "=cmd|' /C calc'!A0" in answer.body.decode()


@pytest.mark.parametrize("address", ["/nope", "/items/nope", "/api/nope:list", "/api/v1/nope", "/api/resources/nope/1"])
def test_errors_are_no_pages(world: World, address: str) -> None:
    for text in TEXTS:
        answer = show(world, f"{address.replace('nope', quote(text, safe=''))}?_trace=1&callback={quote(text)}")
        assert answer.status in (400, 401, 404)
        assert answer.headers["Content-Type"].startswith("application/json")


# ---- addresses that lead away ----

AWAY = (
    *(
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "//evil.example/%2f..",
        "///evil.example",
    ),
    *(
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "http:evil.example",
        "/%09/evil.example ",
    ),
    *(" //evil.example", "\ufeff//evil.example", "/\r\nSet-Cookie: sid=x", "@evil.example", "?next=//evil.example"),
)


@pytest.mark.parametrize("address", AWAY)
def test_next_never_leads_away(world: World, address: str) -> None:
    """Signing in leads to a page of this server or nowhere."""
    body = f"name=admin&password=admin%20password&next={quote(address, safe='')}".encode()
    for asked in (Asked("GET", f"/login?next={quote(address, safe='')}"), Asked("POST", "/login", body, FORM)):
        answer = world.ask(asked)
        assert answer.status == 400, answer
        assert not {"Location", "Set-Cookie"} & answer.headers.keys()


@pytest.mark.parametrize("path", ["/%09/evil.example", "/%2f/evil.example", "/%5cevil.example", "/a%0d%0aX: y"])
def test_encoded_addresses_stay_here(world: World, path: str) -> None:
    """What is encoded stays encoded in a header, so a browser takes it as a path of this server."""
    body = f"name=admin&password=admin%20password&next={quote(path, safe='')}".encode()
    answer = world.ask(Asked("POST", "/login", body, FORM))
    if " " in path:
        assert answer.status == 400
        return
    assert (answer.status, answer.headers["Location"]) == (303, path)


PATHS = (
    "//evil.example",
    "/\\evil.example",
    "//evil.example/api/v2/items",
    "/api/v2//evil.example",
    "/%5cevil.example/..",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("end", ["", "/", "/..", "//"])
def test_slashes_never_lead_away(world: World, path: str, end: str) -> None:
    """No redirect to or from a slash leaves the host, whoever asks (`World.ask` looks at every Location)."""
    for headers in ({}, ADMIN, HTML, {**ADMIN, **HTML}):
        assert world.ask(Asked("GET", f"{path}{end}?a=//evil.example", headers=headers)).status in (
            301,
            303,
            400,
            401,
            404,
        )


@pytest.mark.parametrize("query", ["\r\nX: y", "\n", "\t", "\x80", "a=\xff", "%0d%0aX:y", "<b>", '"', "\\"])
def test_queries_in_redirects(world: World, query: str) -> None:
    """A query that comes back in a redirect is in ASCII, and ends no header (CVE-2016-9964)."""
    answer = world.ask(Asked("GET", f"/api/v2/items?{query}", headers=ADMIN))
    assert answer.status == 301
    assert re.fullmatch(r"/api/v2/items/\?[!-~]*", answer.headers["Location"])
    away = world.ask(Asked("GET", f"/browse/items?{query}", headers=HTML))
    assert (away.status, away.headers["Location"].startswith("/login?next=%2Fbrowse%2Fitems%3F")) == (303, True)


# ---- files ----

FILE_NAMES = {
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "/etc/passwd": "passwd",
    "C:\\a.txt": "a.txt",
    "a/": "file",
    "..": "..",
    "CON": "CON",
    "nul.txt": "nul.txt",
    ".htaccess": ".htaccess",
    "a\u202etxt.exe": "atxt.exe",
    "\u2066a\u2069\u200e\u200f\u061cb": "ab",
    "a\tb\x7f\x85c": "abc",
    "\u2028a\u2029": "a",
    "  a b  ": "a b",
    "\u00fc\u65e5\U0001f600.pdf": "\u00fc\u65e5\U0001f600.pdf",
    "a'b;c.txt": "a'b;c.txt",
    "%2e%2e%2fa": "%2e%2e%2fa",
    "x" * 255: "x" * 255,
    "\u202e": "file",
}


@pytest.mark.parametrize(("given", "kept"), FILE_NAMES.items(), ids=lambda name: ascii(name)[:30])
def test_names_of_files(world: World, given: str, kept: str) -> None:
    """The name is the last part of a path, without what cannot be seen; it is for people, and names nothing here."""
    body = multipart(part("data[photo]", b"hello", given.replace("\\", "\\\\"), "text/html"))
    answer = send(world.app, "PATCH", "/items/1", body, MULTIPART, **ADMIN)
    assert (answer.status, answer.json["data"]["attributes"]["photo"]) == (200, [kept])
    file = send(world.app, "GET", "/browse/items/1/file/photo", **ADMIN)
    assert file.headers["Content-Disposition"].startswith("attachment; filename=")
    assert file.headers["Content-Disposition"].endswith(f"filename*=UTF-8''{quote(kept, safe='')}")
    assert file.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert (file.headers["X-Content-Type-Options"], file.body) == ("nosniff", b"hello")


@pytest.mark.parametrize("given", ["a\0b", "x" * 256, "a\r\nX: y", 'a"; filename="b', "\udcff"], ids=ascii)
def test_names_that_no_file_has(world: World, given: str) -> None:
    head = f'Content-Disposition: form-data; name="data[photo]"; filename="{given}"\r\n\r\nx'
    body = multipart(head.encode("utf-8", "surrogateescape"))
    assert world.ask(Asked("PATCH", "/items/1", body, MULTIPART, ADMIN)).status == 400


MANY = multipart(*(part(f"data[k{number}]", b"x") for number in range(5_000)))
MANY_FILES = multipart(*(part(f"data[k{number}]", b"x", "a.txt") for number in range(5_000)))


@pytest.mark.parametrize("body", [MANY, MANY_FILES], ids=["texts", "files"])
@pytest.mark.parametrize("address", ["/items", "/api/resources/items", "/browse/items/new"])
def test_forms_with_5000_parts(world: World, address: str, body: bytes) -> None:
    answer = world.ask(Asked("POST", address, body, MULTIPART, ADMIN))
    assert (answer.status, "More than 1000 parameters" in answer.body.decode()) == (400, True)


# ---- tags ----

TAGGED = ("/items/1", "/api/items:get/1", "/api/v2/items/@/", "/api/v1/items/!", "/api/resources/items/1")


@pytest.mark.parametrize("address", TAGGED)
def test_tags_tell_nothing_of_what_is_hidden(world: World, address: str) -> None:
    """A tag is made of what its reader sees: what two users see alike has one, and 304 comes after the rights."""
    address = address.replace("@", world.uuid("items", 1)).replace("!", world.object_id("items", 1))
    tag = world.ask(Asked("GET", address, headers=ADMIN)).headers["ETag"]
    again = {"HTTP_IF_NONE_MATCH": tag}
    assert world.ask(Asked("GET", address, headers={**ADMIN, **again})).status == 304
    assert world.ask(Asked("GET", address, headers=again)).status == 401
    for value in (tag, "*", f"W/{tag}", f'"x", {tag}'):
        stranger = {"HTTP_IF_NONE_MATCH": value}
        hidden = address.replace("items", "secrets").replace(world.uuid("items", 1), world.uuid("secrets", 1))
        hidden = hidden.replace(world.object_id("items", 1), world.object_id("secrets", 1))
        plain = world.ask(Asked("GET", hidden, headers=ADMIN))
        assert world.ask(Asked("GET", hidden, headers={**ADMIN, **stranger})) == plain, value
        shown = world.ask(Asked("GET", hidden, headers=ACTORS["anna"]))
        assert shown.headers.get("ETag") != tag


def test_cached_by_nobody(world: World) -> None:
    """No cache between may keep an answer, and whoever asks again is checked again."""
    for address in (
        "/items",
        "/api/items:list",
        "/api/v1/items",
        "/browse/items",
        "/browse/items/1/file/photo",
        "/nope",
    ):
        answer = show(world, address)
        assert answer.headers["Cache-Control"] in ("private, no-cache", "no-cache, private"), answer
    assert show(world, "/api_tokens").headers["Cache-Control"] == "no-store"


# ---- odd paths ----

ODD_PATHS = {
    "/adm%ffin": 400,
    "/%ff": 400,
    "/items%00": 400,
    "/items/%c0%ae%c0%ae": 400,
    "/items%2f1": 200,  # DESIGN 2: the path is read decoded
    "/%69tems": 200,
    "/items/../items": 400,
    "/items/./1": 400,
    "/./items": 400,
    "/..": 400,
    "/../../etc/passwd": 400,
    "/%2e%2e/%2e%2e/etc/passwd": 400,
    "//items": 404,
    "/items//1": 400,
    "/items///": 200,  # Limbas: slashes at the end count for nothing
    "/ITEMS": 200,  # Limbas compares names without case
    "/API/items:list": 400,
    "/Browse/items": 400,
    "/LOGIN": 400,
    "/items;x=1": 400,
    "/items%3Bx": 400,
    "/items%20": 400,
    "/items%0a": 400,
    "/items\u00e9": 400,
    "/_users": 400,
    "/_history": 400,
    "/_tokens": 400,
    "/sqlite_master": 400,
    "/items_codes": 400,
    "/api/_users:list": 404,
    "/api/users:list": 404,
    "/api/_history": 404,
    "/api/v1/_users": 404,
    "/api/v2/_users/": 404,
    "/api/resources/_users/table/_users": 404,
    "/browse/_users": 404,
    "/browse/_users/1": 404,
    "/main_rest.php/_users": 400,
    "/api/items/1/_owner:get": 404,
    "/items/1/_created_by": 400,
    "/browse/items/1/links/_owner": 404,
    "/api/v2/items/1": 301,  # to the address with a slash, where it is 404
    "/.env": 400,
    "/.git/config": 400,
    "/minirest.py": 400,
    "/static/../minirest.py": 400,
    "/favicon.ico": 400,
    "/robots.txt": 400,
}


@pytest.mark.parametrize(("path", "status"), ODD_PATHS.items())
def test_odd_paths(world: World, path: str, status: int) -> None:
    """A path is what it says, decoded once: no segment is resolved, no letter lost; no system table has an address."""
    answer = world.ask(Asked("GET", path, headers=ADMIN))
    assert answer.status == status, answer
    stranger = world.ask(Asked("GET", path)).status
    assert stranger in (400, 401) if status == 400 else stranger == 401


@pytest.mark.parametrize(
    "path", ["/browse/items", "/browse/items/1/edit", "/api/items:list", "/api/v1/items", "/items", "/api/me"]
)
def test_no_spelling_gets_in_without_credentials(world: World, path: str) -> None:
    """However an address is spelt, it is answered as somebody's whose name is not known."""
    spellings = {
        path + "/",
        path + "//",
        path + "/.",
        path + "%2f",
        path + "%00",
        path + ";",
        path + "?",
        path + "#",
        path + "%0a",
        "/" + path,
        "/." + path,
        "/login/.." + path,
        "/login" + path,
        "/api/v2/.." + path,
        "/socket.io/.." + path,
        path.upper(),
        path.replace("/", "%2f"),
        path.replace("/", "\\"),
        path.replace("e", "%65"),
        path.replace("i", "%2569"),
    }
    for spelling in sorted(spellings):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            answer = world.ask(Asked(method, spelling, headers=HTML))
            assert answer.status in (303, 400, 401, 404, 405), (spelling, answer)
            if answer.status == 303:
                assert answer.headers["Location"].startswith("/login?next=")
            assert b"=1+1" not in answer.body


def test_forms_of_others(world: World) -> None:
    """A form without the token of its session changes nothing, whoever sends it."""
    page = show(world, "/browse/items/1").body.decode()
    assert token_in(page) == world.form_token("admin")
    for token in ("", "x", world.form_token("anna"), world.form_token("admin")[:-1], world.form_token("admin").upper()):
        body = f"_do=delete&_version=1&_token={token}".encode()
        assert world.ask(Asked("POST", "/browse/items/1", body, FORM, ADMIN)).status == 403
    assert show(world, "/browse/items/1").status == 200
