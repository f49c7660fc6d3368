"""The pages that people open in a browser: signing in, tokens, the drawing, lists, records, history, forms."""

import json
import re
import sqlite3
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
import webtest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minirest
from tests.web import dump, send

ROOT = Path(__file__).resolve().parents[1]
PASSWORDS = {"admin": "open-sesame", "anna": "correct horse"}
NOW = datetime(2096, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> & \"quotes' {braces}"
HTML = {"Accept": "text/html"}
SCHEMA: dict[str, Any] = {
    "title": "Shop",
    "$defs": {
        "books": {
            "type": "object",
            "title": "Books",
            "description": "What is for sale",
            "properties": {
                "title": {"type": "string", "title": "Title", "maxLength": 60},
                "isbn": {"type": "string", "pattern": "^[0-9]{4}$", "x-unique": True},
                "text": {"type": "string", "maxLength": 5000, "description": "On the back"},
                "pages": {"type": "integer", "minimum": 1, "maximum": 5000},
                "price": {"type": "number", "exclusiveMinimum": 0},
                "sold": {"type": "boolean"},
                "signed": {"type": "boolean", "default": True},
                "state": {"enum": ["new", "used"], "default": "new"},
                "stars": {"enum": [1, 2, 3]},
                "shelves": {"type": "array", "items": {"enum": ["a", "b", "c"]}},
                "words": {"type": "array", "items": {"type": "string"}},
                "extra": {},
                "published": {"type": "string", "format": "date"},
                "seen": {"type": "string", "format": "date-time"},
                "opens": {"type": "string", "format": "time"},
                "link": {"type": "string", "format": "uri"},
                "secret": {"type": "string", "writeOnly": True},
                "pin": {"type": "string", "format": "password", "minLength": 4},
                "code": {"type": "string", "readOnly": True, "default": "X"},
                "cover": {"type": "string", "format": "binary"},
                "author": {"$ref": "#/$defs/authors"},
                "subjects": {"type": "array", "items": {"$ref": "#/$defs/subjects"}},
                "reviews": {"type": "array", "items": {"$ref": "#/$defs/reviews"}, "x-inverse": "book"},
                "diary": {"$ref": "#/$defs/diaries"},
            },
            "required": ["title"],
            "x-archive": True,
            "examples": [
                {
                    "title": "Emma",
                    "isbn": "1111",
                    "text": "one\r\ntwo",
                    "pages": 300,
                    "price": 9.5,
                    "sold": True,
                    "stars": 3,
                    "shelves": ["b", "a"],
                    "words": ["love", "wit"],
                    "extra": {"a": [1, None]},
                    "published": "1815-12-23",
                    "seen": "2096-02-01T10:00:00.250Z",
                    "opens": "09:30:00",
                    "link": "https://example.org/",
                    "secret": "hidden words",
                    "author": 1,
                    "subjects": [2, 1],
                },
                {"title": "Persuasion", "author": 1, "_status": "archived"},
                {
                    "title": "Walden",
                    "pages": 20,
                    "author": 2,
                    "published": "1854-08-09",
                    "state": "used",
                    "sold": False,
                },
                {"title": "Gone", "_status": "trash"},
            ],
        },
        "authors": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "books": {"type": "array", "items": {"$ref": "#/$defs/books"}, "x-inverse": "author"},
            },
            "required": ["name"],
            "examples": [{"name": "Jane Austen"}, {"name": "Henry Thoreau"}],
        },
        "subjects": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "books": {"type": "array", "items": {"$ref": "#/$defs/books"}, "x-inverse": "subjects"},
            },
            "examples": [{"name": "Marriage"}, {"name": "England"}],
        },
        "reviews": {
            "type": "object",
            "properties": {"stars": {"type": "integer"}, "book": {"$ref": "#/$defs/books"}},
            "required": ["book"],
            "examples": [{"stars": 5, "book": 1}],
        },
        "prices": {
            "type": "object",
            "properties": {"amount": {"type": "integer"}, "sure": {"type": "boolean"}},
            "required": ["sure"],
            "x-validity": True,
            "x-columns": ["amount", "valid_to"],
            "examples": [
                {"amount": 1, "sure": True, "valid_to": "2096-02-28"},
                {"amount": 2, "sure": True, "valid_from": "2096-03-01"},
            ],
        },
        "diaries": {
            "type": "object",
            "properties": {"title": {"type": "string"}},
            "x-access": True,
            "examples": [{"title": "Anna's", "_access": []}],
        },
    },
}
"""Every kind of field and link, records in every state, and a table whose records are private."""


class Clock:
    """The time, set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Sheet:
    """A form by the names of its controls; a hidden field that stands for an empty control comes before it."""

    def __init__(self, form: Any) -> None:
        self.form, self.fields, self.submit = form, form.fields, form.submit

    def __getitem__(self, name: str) -> Any:
        return self.fields[name][-1]

    def __setitem__(self, name: str, value: Any) -> None:
        self[name].value = value


class Site:
    """One user's browser on an application, and another way to look at its store."""

    def __init__(self, app: minirest.Application, clock: Clock) -> None:
        self.app, self.clock = app, clock
        self.browser = webtest.TestApp(app)

    def sign_in(self, name: str = "admin") -> "Site":
        """The same site with a new browser that is signed in."""
        site = Site(self.app, self.clock)
        form = site.get("/login").form
        form["name"], form["password"] = name, PASSWORDS[name]
        assert form.submit().status_int == 303
        return site

    def get(self, path: str, status: Any = 200, **headers: str) -> Any:
        """Open an address, as a browser does."""
        return self.browser.get(path, headers={**HTML, **headers}, status=status)

    def post(self, path: str, fields: Any = (), status: Any = 303, **headers: str) -> Any:
        """Send a form; unless it has one, with the token that a page of this session gives."""
        pairs = list(fields.items() if isinstance(fields, dict) else fields)
        if "_token" not in dict(pairs):
            pairs.append(("_token", self.token()))
        return self.browser.post(path, pairs, headers={**HTML, **headers}, status=status)

    def token(self) -> str:
        """The token of the session's forms."""
        return str(self.get("/logout").forms[0]["_token"].value)

    def stored(self, table: str, number: int) -> dict[str, Any]:
        """A record as it is in the file."""
        found = self.app.schema.all_tables[table]
        with self.app.store.database.reading() as connection:
            row = connection.execute(f'select * from "{found.name}" where id=?', (number,)).fetchone()
            names = [item[0] for item in connection.execute(f'select * from "{found.name}" limit 0').description]
        return dict(zip(names, row, strict=True)) if row else {}

    def everything(self) -> list[str]:
        """All that the file holds, when a token was last used aside."""
        return [line for line in dump(self.app.store) if "_sessions" not in line]

    def do(self, word: str, path: str = "/browse/books/1", status: int = 303) -> Any:
        """Press the button of a record's page."""
        page = self.get(path)
        (form,) = (form for form in page.forms.values() if word in [it.value_if_submitted() for it in buttons(form)])
        return form.submit("_do", value=word, status=status)

    def edit(self, path: str = "/browse/books/1/edit") -> Any:
        """The form of a record."""
        return Sheet(self.get(path).forms[1])


def buttons(form: Any) -> list[Any]:
    """The buttons of a form that say what they do."""
    return [field for field in form.fields.get("_do", []) if field.tag == "button"]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def site(clock: Clock) -> Iterator[Site]:
    """Return a site where nobody is signed in."""
    with closing(minirest.make_app(SCHEMA, users=PASSWORDS, clock=clock)) as app:
        yield Site(app, clock)


@pytest.fixture
def admin(site: Site) -> Site:
    """Return a site with a browser that is signed in."""
    return site.sign_in()


def text(page: Any) -> str:
    """What stands on a page, without its style and script."""
    return text_of(re.sub(r"(?s)<(style|script|title)>.*?</\1>", "", page.text))


def rows(page: Any) -> list[list[str]]:
    """The cells of a page's table."""
    found = re.findall(r"<tr>(.*?)</tr>", page.text, re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in found]
    return [[text_of(cell) for cell in row] for row in cells if row]


def text_of(html: str) -> str:
    """The text of a piece of HTML."""
    inline = re.sub(r"</?(?:a|span|time|ins|del|code)\b[^>]*>", "", html)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", inline)).split())


def names(page: Any) -> list[str]:
    """The first cells of a page's table."""
    return [row[0] for row in rows(page)]


def notes(page: Any) -> list[str]:
    """What a page says first."""
    return [text_of(part) for part in re.findall(r'<p class="note[^>]*>(.*?)</p>', page.text)]


def wrong(page: Any) -> dict[str, str]:
    """The messages at the fields."""
    found = re.findall(r'<p class="wrong" id="wrong-(\w+)">(.*?)</p>', page.text)
    return {name: text_of(said) for name, said in found}


def values(page: Any) -> dict[str, str]:
    """The values of a record's page, by their titles."""
    (part,) = re.findall(r'(?s)<dl id="values">(.*?)</dl>', page.text)
    pairs = re.findall(r"(?s)<dt>(.*?)</dt><dd>(.*?)</dd>", part)
    return {text_of(title): text_of(value) for title, value in pairs}


def timeline(page: Any) -> list[str]:
    """The entries of a record's history."""
    (part,) = re.findall(r'(?s)<ol class="timeline">(.*?)</ol>', page.text)
    return [text_of(item) for item in re.findall(r"(?s)<li>(.*?)</li>", part)]


# ---- signing in ----


@pytest.mark.parametrize(
    "path",
    ["/", "/api_tokens", "/logout", "/browse", "/browse/books", "/browse/books/1?older=5&done=x", "/browse/nope/a/b"],
)
def test_browser_is_sent_to_sign_in(site: Site, path: str) -> None:
    """Who is not signed in and asks for a page signs in first, and comes back to it."""
    answer = site.get(path, 303)
    assert answer.headers["Location"] == "/login?" + urlencode({"next": path})
    form = site.get(answer.headers["Location"]).form
    form["name"], form["password"] = "admin", PASSWORDS["admin"]
    answer = form.submit(status=303)
    assert urlsplit(answer.headers["Location"]).path + (f"?{path.partition('?')[2]}" if "?" in path else "") == path
    assert site.get("/api_tokens").status_int == 200


def test_program_is_told_401(site: Site) -> None:
    """A client that is no browser, or that brings credentials, is challenged; the answer is a page all the same."""
    challenge = 'Basic realm="minirest", charset="UTF-8"'
    for headers in ({}, {**HTML, "Authorization": "Bearer mrt_nothing"}, {**HTML, "Authorization": "Basic x"}):
        answer = site.browser.get("/browse/books", headers=headers, status=401)
        assert (answer.headers["WWW-Authenticate"], notes(answer)) == (challenge, ["Sign in first."])
    assert site.browser.get("/", status=401).json["errors"][0]["code"] == 401


@pytest.mark.parametrize("name", PASSWORDS)
def test_basic_and_tokens_open_pages(site: Site, name: str) -> None:
    """Credentials that the dialects take open pages too, and their forms."""
    token = site.app.accounts.add_token(name, "curl")
    basic = b64encode(f"{name}:{PASSWORDS[name]}".encode()).decode()
    for given_credentials in (f"Basic {basic}", f"Bearer {token}"):
        headers = {"Authorization": given_credentials}
        page = site.browser.get("/browse/authors/new", headers=headers)
        assert name in text(page)
        form = page.form
        form["name"] = "New"
        assert form.submit(headers=headers).status_int == 303


def test_session_is_new_at_each_sign_in(site: Site) -> None:
    """Signing in gives a session of its own and ends the one that the browser had; the cookie is out of reach."""
    browser = site.sign_in()
    first = browser.browser.cookies["sid"]
    form = browser.get("/login").form
    form["name"], form["password"] = "anna", PASSWORDS["anna"]
    answer = form.submit()
    assert re.fullmatch(
        r"sid=[\w-]{43}; Path=/; Expires=Fri, 02 Mar 2096 12:00:00 GMT; HttpOnly; SameSite=Strict",
        answer.headers["Set-Cookie"],
    )
    assert browser.browser.cookies["sid"] != first
    assert "anna" in text(browser.get("/api_tokens"))
    stale = webtest.TestApp(site.app)
    stale.set_cookie("sid", first)
    assert stale.get("/api_tokens", headers=HTML, status=303).headers["Location"] == "/login?next=%2Fapi_tokens"
    secure = form.submit(extra_environ={"wsgi.url_scheme": "https"})
    assert secure.headers["Set-Cookie"].endswith("; SameSite=Strict; Secure")


def test_expired_session(admin: Site) -> None:
    """After a day the session is over: a page leads to the form for signing in; a form that is sent waits for that."""
    form = admin.edit()
    form["title"], form["text"], form["shelves"] = "Changed & <b>", "\na\n\nb\n", ["a", "c"]
    admin.clock.now += timedelta(hours=25)
    assert admin.get("/browse/books", 303).headers["Location"] == "/login?next=%2Fbrowse%2Fbooks"
    page = form.submit(status=401, headers=HTML)
    said = "Your session is over, and nothing is saved yet. Sign in to go on with what you wrote."
    assert notes(page) == [said]
    assert admin.stored("books", 1)["title"] == "Emma"
    for password, status in (("wrong", 401), (PASSWORDS["admin"], 200)):
        page.form["name"], page.form["password"] = "admin", password
        page = page.form.submit(status=status)
    assert admin.stored("books", 1)["title"] == "Emma"
    assert '<a href="/browse/books/1/edit" class="button">Drop it</a>' in page.text
    assert page.forms[1].submit(status=303).headers["Location"] == "/browse/books/1?done=saved"
    kept = admin.stored("books", 1)
    assert [kept[name] for name in ("title", "text", "_version")] == ["Changed & <b>", "\na\n\nb\n", 2]
    assert kept["shelves"] == '["a","c"]'


def test_what_is_not_kept_for_later(site: Site) -> None:
    """A form of another site, one that is too long, and what is no form are not kept: one signs in, and begins anew."""
    to_login = {"Location": "/login?next=%2Fbrowse%2Fauthors%2Fnew"}
    long = {"name": "x" * minirest.MAX_WAITING_BYTES}
    for fields, headers in (({"name": "x"}, {"Origin": "https://evil.example"}), (long, {}), (b"[]", {})):
        answer = site.browser.post("/browse/authors/new", fields, headers={**HTML, **headers}, status=303)
        assert answer.headers["Location"] == to_login["Location"]
    site.get("/login?sent=name%3Dx", 400)
    page = site.browser.post("/browse/authors/new", {"name": "x"}, headers=HTML, status=401)
    page.form["name"], page.form["password"], page.form["sent"] = "admin", PASSWORDS["admin"], "name=%ff"
    assert page.form.submit(status=400)


@pytest.mark.parametrize(
    ("fields", "status", "note"),
    [
        ({"name": "admin", "password": "wrong"}, 401, "The name or the password is wrong."),
        ({"name": "nobody", "password": "open-sesame"}, 401, "The name or the password is wrong."),
        ({"name": "admin"}, 422, "Write your name and your password."),
        ({"password": "x", "name": ""}, 422, "Write your name and your password."),
        ({}, 422, "Write your name and your password."),
        ({"name": "admin", "password": "wrong", "more": "x"}, 400, "Unknown parameter 'more'."),
        ([("name", "a"), ("name", "b")], 400, "Invalid value 'b' for parameter 'name': it stands twice."),
    ],
)
def test_wrong_password(site: Site, fields: Any, status: int, note: str) -> None:
    """The form comes back with a message, the name that was given and the address to go on to; nobody is signed in."""
    pairs = [*(fields.items() if isinstance(fields, dict) else fields), ("next", "/browse/books")]
    page = site.browser.post("/login", pairs, status=status)
    assert notes(page) == [note]
    assert "Set-Cookie" not in page.headers
    if status != 400:
        form = page.form
        assert (form["name"].value, form["password"].value) == (dict(pairs).get("name", ""), "")
        assert form["next"].value == "/browse/books"
    site.get("/browse/books", 303)


def test_disabled_user_cannot_sign_in(site: Site) -> None:
    """A disabled user's password is no better than a wrong one, and the session ends at once."""
    browser = site.sign_in("anna")
    site.app.accounts.put_user("anna", disabled=True)
    browser.get("/browse/books", 303)
    fields = {"name": "anna", "password": PASSWORDS["anna"]}
    assert notes(site.browser.post("/login", fields, status=401)) == ["The name or the password is wrong."]


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "/a\r\nX: y",
        "/a b",
        "x",
    ],
)
def test_next_stays_here(site: Site, address: str) -> None:
    """Only a path of this server is gone on to; any other address is refused, before and after signing in."""
    page = site.get("/login?" + urlencode({"next": address}), 400)
    assert notes(page)[0].startswith("Invalid value")
    fields = {"name": "admin", "password": PASSWORDS["admin"], "next": address}
    page = site.browser.post("/login", fields, status=400)
    assert not {"Location", "Set-Cookie"} & set(page.headers)


def test_next_keeps_its_letters(site: Site) -> None:
    """An address with letters outside ASCII is sent on as a header can hold it."""
    fields = {"name": "admin", "password": PASSWORDS["admin"], "next": "/browse/books?search=ü&filter[title]=a%20b"}
    answer = site.browser.post("/login", fields, status=303)
    assert answer.headers["Location"] == "/browse/books?search=%C3%BC&filter[title]=a%20b"


def test_signing_out(admin: Site) -> None:
    """The session ends on the server, not only in the browser."""
    sid = admin.browser.cookies["sid"]
    answer = admin.get("/logout").forms[1].submit(status=303)
    assert answer.headers["Location"] == "/login"
    assert answer.headers["Set-Cookie"].startswith("sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    stale = webtest.TestApp(admin.app)
    stale.set_cookie("sid", sid)
    stale.get("/browse/books", headers=HTML, status=303)


# ---- forms from elsewhere ----

FORMS: dict[str, dict[str, str]] = {
    "/logout": {},
    "/api_tokens": {"device_name": "x"},
    "/browse/books/new": {"title": "x"},
    "/browse/books/1/edit": {"title": "x", "_version": "1"},
    **{f"/browse/books/1?{word}": {"_do": word, "_version": "1"} for word in ("archive", "trash", "delete", "undo")},
}
"""Every address that takes a form of a session, with what it takes."""
CROSS_SITE = "A page of another origin may not do this; start the server with --cors https://evil.example."


@pytest.mark.parametrize("path", FORMS)
def test_forged_forms(admin: Site, path: str) -> None:
    """Without the token of this session, or from a page of another origin, nothing changes: 403, as a page."""
    other = admin.sign_in("anna").token()
    before = admin.everything()
    address = path.partition("?")[0]
    for token in ("", "x", "ü", other, admin.token() + "0"):
        page = admin.post(address, {**FORMS[path], "_token": token}, 403)
        assert notes(page) == ["The form does not belong to this session; open its page again."]
    page = admin.browser.post(address, FORMS[path] or {"_token": ""}, headers=HTML, status=403)
    assert notes(page) == ["The form does not belong to this session; open its page again."]
    page = admin.post(address, FORMS[path], 403, Origin="https://evil.example")
    assert notes(page) == [CROSS_SITE]
    admin.post(address, FORMS[path], 403, **{"Sec-Fetch-Site": "cross-site"})
    assert admin.everything() == before
    admin.get("/api_tokens")


def test_sign_in_form_from_elsewhere(site: Site) -> None:
    """A page of another origin cannot sign anybody in."""
    fields = {"name": "admin", "password": PASSWORDS["admin"]}
    page = site.browser.post("/login", fields, headers={"Origin": "https://evil.example"}, status=403)
    assert notes(page) == [CROSS_SITE]
    assert "Set-Cookie" not in page.headers
    assert site.browser.post("/login", fields, headers={"Origin": "http://localhost:80"}, status=303)


@pytest.mark.parametrize("path", [*FORMS, "/login"])
def test_only_forms_are_read(admin: Site, path: str) -> None:
    """A body of another type is 415, one that is no form is 400: neither is taken for a form."""
    address = path.partition("?")[0]
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        if kind.startswith("multipart") and address.endswith(("edit", "new")):
            continue  # these take files
        page = admin.browser.post(address, b"{}", headers=HTML, content_type=kind, status=415)
        assert "is not supported; send application/x-www-form-urlencoded" in notes(page)[0]
    kind = "application/x-www-form-urlencoded"
    page = admin.browser.post(address, "a=ü".encode(), headers=HTML, content_type=kind, status=400)
    assert notes(page) == ["The body cannot be read: a form is ASCII with percent signs."]
    admin.browser.post(address, b"a=%ff", headers=HTML, content_type=kind, status=400)
    many = "&".join(["a=1"] * 10_001)
    page = admin.browser.post(address, many, headers=HTML, content_type=kind, status=400)
    assert notes(page) == ["More than 10000 parameters."]


METHODS = {
    "/login": "GET, HEAD, POST",
    "/logout": "GET, HEAD, POST",
    "/api_tokens": "GET, HEAD, POST",
    "/browse": "GET, HEAD",
    "/browse/books": "GET, HEAD",
    "/browse/books/new": "GET, HEAD, POST",
    "/browse/books/1": "GET, HEAD, POST",
    "/browse/books/1/edit": "GET, HEAD, POST",
    "/browse/books/1/links/subjects": "GET, HEAD",
    "/docs": "GET, HEAD",
}


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("end", ["", "/"])
def test_methods(admin: Site, path: str, end: str) -> None:
    """An address takes its methods with and without a slash at its end; others are 405, and none falls to a dialect."""
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = admin.browser.request(path + end, method=method, headers=HTML, status=405)
        assert answer.headers["Allow"] == METHODS[path]
        assert notes(answer) == [f"Method {method} is not allowed here; allowed are {METHODS[path]}."]
    if "POST" not in METHODS[path]:
        admin.post(path + end, status=405)
    found = admin.browser.get(path + end, headers=HTML)
    asked = admin.browser.head(path + end, headers=HTML)
    assert (asked.status_int, asked.body) == (found.status_int, b"")


@pytest.mark.parametrize("path", [*(path for path in METHODS if path != "/browse/books/new"), "/"])
def test_unknown_parameters(admin: Site, path: str) -> None:
    """A parameter that a page does not know is named, not ignored."""
    if path in ("/browse", "/"):
        return
    assert "Unknown parameter 'nope'." in notes(admin.get(f"{path}?nope=1", 400))


# ---- what all pages have ----

EVERY_PAGE = [
    *("/", "/login", "/logout", "/api_tokens", "/browse/books", "/browse/books/new", "/browse/books/1"),
    *("/browse/books/1/edit", "/browse/books/1/links/subjects", "/browse/books?search=%3Cscript%3Ealert(1)"),
]


@pytest.mark.parametrize("path", [*EVERY_PAGE, "/browse/nope", "/browse/books/99", "/browse/a/b/c/d/e/f"])
def test_policy(admin: Site, path: str) -> None:
    """A page names its one style and its one script by their hashes; nothing comes from elsewhere, or can."""
    page = admin.browser.get(path, headers=HTML, expect_errors=True)
    parts = {tag: re.findall(rf"(?s)<{tag}>(.*?)</{tag}>", page.text) for tag in ("style", "script")}
    hashes = {tag: b64encode(sha256(found[0].encode()).digest()).decode() for tag, found in parts.items()}
    assert page.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}';"
        " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert {tag: len(found) for tag, found in parts.items()} == {"style": 1, "script": 1}
    assert page.text.count("<script") == page.text.count("<style") == 1
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    bare = re.sub(r"(?s)<(style|script)>.*?</\1>", "", page.text)
    assert not re.findall(r"\s(?:src|style|on\w+|srcset|data|ping|background)=", bare)
    addresses = [unescape(found) for found in re.findall(r'(?:href|action|formaction)="([^"]*)"', bare)]
    assert [address for address in addresses if not re.match(r"/(?!/)|#|\?|data:,$", address)] == []
    assert '<html lang="en">' in page.text
    assert 'name="viewport"' in page.text
    assert re.findall(r"<h1>", page.text) == ["<h1>"]
    labels = set(re.findall(r'<label for="([^"]+)"', bare))
    controls = set(re.findall(r'<(?:input|select|textarea)[^>]* id="([^"]+)"', bare))
    assert controls == labels, "each control has its label"


@pytest.mark.parametrize(
    "path",
    [
        *EVERY_PAGE,
        "/browse/books/import",
        *(f"/docs?dialect={name}&group=books" for name in minirest.DIALECTS),
    ],
)
def test_what_belongs_to_controls(admin: Site, path: str) -> None:
    """No id stands in a page twice; each control has a label, and all that is said of one stands in the page."""
    page = admin.get(path).html
    ids = [it["id"] for it in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    for control in page.select("input:not([type=hidden]), select, textarea"):
        assert control.find_parent("label") or page.find("label", attrs={"for": control["id"]})
        assert {*control.get("aria-describedby", "").split()} <= {*ids}


def test_hints_and_messages_are_named_by_controls(admin: Site) -> None:
    """What is wrong, how a control is filled in, what the schema says of it: as it stands below it."""
    page = admin.post("/browse/books/1/edit", {"_version": "1", "text": "x" * 5001, "pin": "1", "pages": "x"}, 422).html
    said = {
        "text": "wrong-text about-text",
        "pin": "wrong-pin hint-pin",
        "pages": "wrong-pages",
        "subjects": "hint-subjects",
        "words": "hint-words",
        "seen": "hint-seen",
        "title": None,
    }
    assert {name: page.find(id=f"field-{name}").get("aria-describedby") for name in said} == said
    assert page.find(id="hint-pin").text == "Never shown. Left empty it stays as it is."


def test_script_does_not_end_early() -> None:
    """Style and script hold nothing that would end them or reach another server."""
    for source in (minirest.PAGE_STYLE, minirest.PAGE_SCRIPT):
        assert not re.search(r"</|<!--|https?:|//|@import|url\(|innerHTML|eval", source)
    assert len(minirest.PAGE_SCRIPT) < 2000


@pytest.mark.parametrize("path", ["/", "/docs", "/browse/books", "/browse/books/1/links/subjects"])
def test_wide_tables(admin: Site, path: str) -> None:
    """A table that is wider than the window is moved by itself; the page around it stays."""
    page = admin.get(path).text
    assert page.count("<table") == page.count('<div class="wide"><table') > 0
    assert ".wide { overflow-x: auto }" in page


def test_everything_is_escaped(clock: Clock) -> None:
    """Titles, descriptions, names, choices and values are text on every page, however they look."""
    field = {"type": "string", "title": HOSTILE, "description": HOSTILE}
    table = {
        "type": "object",
        "title": HOSTILE,
        "description": HOSTILE,
        "properties": {
            "name": field,
            "kind": {"title": HOSTILE, "enum": [HOSTILE, "x"]},
            "many": {"title": HOSTILE, "type": "array", "items": {"enum": [HOSTILE]}},
            "list": {"title": HOSTILE, "type": "array", "items": {"type": "string"}},
            "json": {"title": HOSTILE},
            "long": {**field, "maxLength": 9000},
            "one": {"$ref": "#/$defs/t", "title": HOSTILE},
            "all": {"type": "array", "items": {"$ref": "#/$defs/t"}, "title": HOSTILE, "x-inverse": "one"},
        },
        "required": ["name"],
        "x-archive": True,
        "examples": [
            {**dict.fromkeys(("name", "kind", "long"), HOSTILE), "json": {HOSTILE: HOSTILE}, "one": 1}
            | {"many": [HOSTILE], "list": [HOSTILE]}
        ],
    }
    user = HOSTILE.replace(":", "")
    with closing(minirest.make_app({"title": HOSTILE, "$defs": {"t": table}}, users={user: "a password"})) as app:
        site = Site(app, clock)
        form = site.get("/login").form
        form["name"], form["password"] = user, "a password"
        form.submit(status=303)
        form = site.edit("/browse/t/1/edit")
        form["name"] = HOSTILE * 2
        form.submit(status=303)
        site.post("/api_tokens", {"device_name": HOSTILE}, 201)
        paths = [
            "/",
            "/api_tokens",
            "/browse/t",
            "/browse/t/new",
            "/browse/t/1",
            "/browse/t/1/edit",
            "/browse/t/1/links/all",
        ]
        query = urlencode({"search": HOSTILE, "filter[name]": HOSTILE, "filter[one]": HOSTILE})
        pages = [site.get(path) for path in [*paths, f"/browse/t?{query}"]]
        pages.append(site.get("/browse/t?" + urlencode({HOSTILE: HOSTILE}), 400))
        pages.append(site.get("/browse/" + quote(HOSTILE, safe=""), 404))
        pages.append(site.get("/browse/t?" + urlencode({"sort": HOSTILE}), 400))
        pages.append(site.browser.post("/login", {"name": HOSTILE, "password": HOSTILE}, status=401))
        pages.append(site.post("/api_tokens", {"device_name": HOSTILE, "expiration_date": HOSTILE}, 422))
        pages.append(site.post("/browse/t/1/edit", {"name": "", "kind": HOSTILE * 2, "_version": "2"}, 422))
    for page in pages:
        assert page.text.count("<script") == 1
        assert not re.search(r"<img|<b>", page.text)
        assert "alert(1)" in page.text
        for attributes in re.findall(r"<\w+((?: [^<>\"]+=\"[^\"]*\"| [\w-]+)*)>", page.text):
            assert "onerror=" not in re.sub(r'"[^"]*"', "", attributes)
        assert all(tag in KNOWN_TAGS for tag in re.findall(r"<([a-zA-Z!][^\s>]*)", page.text)), page.request.path


KNOWN_TAGS = set(
    "!doctype html head meta title link style body a header main h1 h2 h3 form input button label select option "
    "textarea table thead tbody tr th td span small p pre div nav details summary dl dt dd ul ol li ins del time code "
    "footer script svg rect text path circle".split()
)


def test_pages_without_authentication(clock: Clock) -> None:
    """A server that asks nobody serves the pages to anybody; tokens belong to users, so it has none."""
    with closing(minirest.make_app(SCHEMA, auth=False, clock=clock)) as app:
        site = Site(app, clock)
        assert "Sign out" not in text(site.get("/browse/books"))
        form = site.get("/browse/authors/new").form
        form["name"] = "New"
        assert form.submit().headers["Location"] == "/browse/authors/3?done=created"
        site.post("/browse/authors/new", {"name": "x", "_token": "x"}, 403)
        said = "Tokens belong to users, and this server asks nobody who they are."
        assert notes(site.get("/api_tokens", 400)) == [said]
        assert timeline(site.get("/browse/authors/3"))[0].startswith("Somebody made the record")


def test_trouble_is_a_page(admin: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the server itself is a page with the number that the log has; elsewhere it is the dialect's."""

    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(admin.app.store, "run", broken)
    page = admin.get("/browse/books", 500)
    assert re.fullmatch(r"Internal error; the log has the details under request [0-9a-f]{16}.", notes(page)[0])
    assert "secret" not in page.text
    assert admin.browser.get("/books", status=500).json["errors"][0]["code"] == 500
    assert len(caplog.records) == 2


# ---- tokens ----


def make_token(site: Site, **fields: str) -> tuple[Any, str]:
    """Make a token with the form; the page that shows it, and the token."""
    form = site.get("/api_tokens").forms[1]
    for name, value in fields.items():
        form[name] = value
    page = form.submit(status=201)
    return page, str(page.html.find(id="token").text)


def test_token_from_the_form(admin: Site) -> None:
    """A token is shown once and works; the list has its name, its first letters, its dates, and its last use."""
    page, token = make_token(admin, device_name="  laptop ", expiration_date="2096-03-02")
    assert re.fullmatch(r"mrt_\w{51}", token)
    assert page.headers["Cache-Control"] == "no-store"
    assert notes(page) == ["The token for laptop is made. Copy it now: it is not shown again."]
    assert token not in admin.get("/api_tokens").text
    row = [f"laptop {token[:8]}…", "2096-03-01 12:00:00 UTC", "never", "2096-03-02 00:00:00 UTC", "Revoke"]
    assert rows(admin.get("/api_tokens")) == [row]
    client = webtest.TestApp(admin.app)
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/books", headers=headers).status_int == 200
    assert rows(admin.get("/api_tokens"))[0][2] == "2096-03-01 12:00:00 UTC"
    admin.clock.now = datetime(2096, 3, 2, tzinfo=UTC)
    client.get("/books", headers=headers, status=401)


def test_scopes_of_a_token(admin: Site) -> None:
    """The form narrows a token to reading and to tables; the list shows how."""
    form = admin.get("/api_tokens").forms[1]
    form["device_name"], form["tables"] = "report", " Books,authors ,, books"
    form["read_only"].checked = True
    token = str(form.submit(status=201).html.find(id="token").text)
    assert admin.app.accounts.tokens()[0].scopes == ("read", "table:books", "table:authors")
    assert rows(admin.get("/api_tokens"))[0][0] == f"report {token[:8]}… read table:books table:authors"
    page = admin.post("/api_tokens", {"device_name": "x", "read_only": "1", "tables": "books, nope"}, 422)
    assert notes(page) == ["There is no table 'nope'."]
    assert (page.forms[1]["tables"].value, page.forms[1]["read_only"].checked) == ("books, nope", True)
    assert notes(admin.post("/api_tokens", {"device_name": "x", "read_only": "no"}, 422)) == ["Send 1 to only read."]
    assert len(admin.app.accounts.tokens()) == 1


def test_token_is_revoked(admin: Site) -> None:
    """The button ends a token at once; the others stay. A token without an end has none."""
    make_token(admin, device_name="stays")
    _, token = make_token(admin, device_name="goes")
    page = admin.get("/api_tokens")
    assert [row[::3] for row in rows(page)] == [
        [f"goes {token[:8]}…", "never"],
        [f"stays {rows(page)[1][0][6:]}", "never"],
    ]
    assert page.forms[2].submit(status=303).headers["Location"] == "/api_tokens"
    assert names(admin.get("/api_tokens"))[0].startswith("stays")
    webtest.TestApp(admin.app).get("/books", headers={"Authorization": f"Bearer {token}"}, status=401)


@pytest.mark.parametrize(
    ("fields", "notes_"),
    [
        ({"device_name": ""}, ["Give the device a name of at most 255 characters."]),
        ({"device_name": "   "}, ["Give the device a name of at most 255 characters."]),
        ({"device_name": "x" * 256}, ["Give the device a name of at most 255 characters."]),
        ({}, ["Give the device a name of at most 255 characters."]),
        *(
            (
                {"device_name": "x", "expiration_date": day},
                ["The token must end on a day after today, written as YYYY-MM-DD."],
            )
            for day in ("2096-03-01", "2025-12-31", "tomorrow", "2096-02-30", "2096-3-9", "99999-01-01")
        ),
    ],
)
def test_token_form_is_checked(admin: Site, fields: dict[str, str], notes_: list[str]) -> None:
    """A device has a name, and an end lies ahead; what was written stays in the form, and there is no token."""
    page = admin.post("/api_tokens", fields, 422)
    assert notes(page) == notes_
    assert page.forms[1]["device_name"].value == fields.get("device_name", "")
    assert page.forms[1]["expiration_date"].value == fields.get("expiration_date", "")
    assert rows(admin.get("/api_tokens")) == []


def test_a_token_makes_no_other(site: Site) -> None:
    """Else one that ends could make one that does not."""
    token = site.app.accounts.add_token("anna", "short", "2096-03-02T00:00:00.000Z")
    headers = {"Authorization": f"Bearer {token}"}
    form = site.get("/api_tokens", **headers).forms[0]
    form["device_name"] = "long"
    assert notes(form.submit(headers=headers, status=400)) == ["A token makes no other tokens; sign in."]
    assert len(site.app.accounts.tokens()) == 1


def test_tokens_are_ones_own(site: Site) -> None:
    """Nobody sees another's tokens, and nobody can revoke them."""
    anna, admin = site.sign_in("anna"), site.sign_in("admin")
    _, token = make_token(anna, device_name="phone")
    assert rows(admin.get("/api_tokens")) == []
    for number in ("1", "2", "0", "-1", "x", "1 or 1=1", "9" * 30, ""):
        assert notes(admin.post("/api_tokens", {"revoke": number}, 404)) == ["There is nothing at this address."]
    webtest.TestApp(site.app).get("/books", headers={"Authorization": f"Bearer {token}"}, status=200)


# ---- the overview and its drawing ----


def test_overview(admin: Site) -> None:
    """The first page has all tables with the records that lists show, and leads to them; the drawing does too."""
    page = admin.get("/")
    assert [(row[0], row[2]) for row in rows(page)] == [
        ("books", "2"), ("authors", "2"), ("subjects", "2"), ("reviews", "1"), ("prices", "1"), ("diaries", "0"),
    ]  # fmt: skip
    links = re.findall(r'href="(/browse/\w+)"', page.text)
    assert sorted(links) == sorted([f"/browse/{name}" for name in SCHEMA["$defs"]] * 2)
    for link in links:
        admin.get(link)
    assert admin.get("/browse", 303).headers["Location"] == "/"


def pretty_schema(tables: int) -> dict[str, Any]:
    """A made-up schema: chains, circles, links of all forms, links to itself, tables without links."""
    names_ = [f"table{number}" for number in range(tables)]
    definitions: dict[str, Any] = {}
    for number, name in enumerate(names_):
        fields: dict[str, Any] = {f"field{count}": {"type": "string"} for count in range(number % 9)}
        if number % 10 != 9:
            for step in {1 + number % 3, 2 + number % 5, 7}:
                target = (number * step + 3) % tables
                if target % 10 != 9:
                    fields[f"to{target}"] = {"$ref": f"#/$defs/table{target}"}
                    if number % 2:
                        back = {"type": "array", "items": {"$ref": f"#/$defs/{name}"}, "x-inverse": f"to{target}"}
                        definitions.setdefault(f"table{target}", {}).setdefault("properties", {})[f"from{number}"] = (
                            back
                        )
            if number % 4 == 0:
                fields["all"] = {"type": "array", "items": {"$ref": f"#/$defs/table{(number + 4) % tables // 10 * 10}"}}
            if number % 7 == 0:
                fields["parent"] = {"$ref": f"#/$defs/{name}"}
        table = definitions.setdefault(name, {})
        table["properties"] = {**fields, **table.get("properties", {})}
        table["type"] = "object"
    return {"$defs": {name: definitions[name] for name in names_}}


class Box:
    """A table of the drawing: its edges, and the middle of the head and of each row, by name."""

    def __init__(self, node: ET.Element) -> None:
        outline, head = node.findall("rect")
        self.x, self.y, self.width, self.height = (
            float(outline.get(name, "")) for name in ("x", "y", "width", "height")
        )
        self.rows = {"": (self.y, self.y + float(head.get("height", "")))}
        for label in node.findall("text")[1::2]:
            self.rows[label.text or ""] = (float(label.get("y", "")) - 16, float(label.get("y", "")) + 6)

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share a point."""
        return (
            self.x < other.x + other.width and other.x < self.x + self.width
            and self.y < other.y + other.height and other.y < self.y + self.height
        )  # fmt: skip


def drawn(schema: minirest.Schema) -> tuple[ET.Element, dict[str, Box]]:
    """The drawing of a schema, read again, and its boxes by table."""
    svg = ET.fromstring(minirest.Drawing(list(schema.tables.values())).svg())
    return svg, {node.get("data-table", ""): Box(node) for node in svg.findall("a")}


def points(path: str) -> list[tuple[float, float]]:
    """Points along a path of curves and horizontal lines, close to each other."""
    found: list[tuple[float, float]] = []
    for command, rest in re.findall(r"([MCH])([^MCH]*)", path):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", rest)]
        if command == "M":
            found.append((numbers[0], numbers[1]))
        elif command == "H":
            (x, y), end = found[-1], numbers[0]
            found += [(x + (end - x) * step / 40, y) for step in range(1, 41)]
        else:
            corners = [found[-1], *zip(numbers[::2], numbers[1::2], strict=True)]
            found += [curve(corners, step / 40) for step in range(1, 41)]
    return found


def curve(corners: list[tuple[float, float]], at: float) -> tuple[float, float]:
    """A point of a cubic curve."""
    weights = ((1 - at) ** 3, 3 * at * (1 - at) ** 2, 3 * at**2 * (1 - at), at**3)
    return tuple(sum(weight * corner[axis] for weight, corner in zip(weights, corners, strict=True)) for axis in (0, 1))  # type: ignore[return-value]


DRAWN: list[Callable[[], Any]] = [
    lambda: ROOT / "sample_schema.json",
    lambda: SCHEMA,
    lambda: pretty_schema(40),
    lambda: pretty_schema(3),
    lambda: {"$defs": {f"t{number}": {"type": "object"} for number in range(9)}},
]


@pytest.mark.parametrize("number", range(len(DRAWN)))
def test_drawing(number: int) -> None:
    """No box lies over another, each line ends at its rows on the edge of their boxes, and crosses no box."""
    schema = minirest.read_schema(DRAWN[number]())
    svg, boxes = drawn(schema)
    assert set(boxes) == {table.name for table in schema.tables.values()}
    width, height = float(svg.get("width", "")), float(svg.get("height", ""))
    for name, box in boxes.items():
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= width
        assert box.y + box.height <= height
        assert [other for other, it in boxes.items() if other != name and box.overlaps(it)] == []
    for path in svg.findall("path[@data-from]"):
        line = points(path.get("d", ""))
        for end, (x, y) in ((path.get("data-from", ""), line[0]), (path.get("data-to", ""), line[-1])):
            table, _, row = end.partition(".")
            low, high = boxes[table].rows[row if len(row) <= 18 else row[:17] + "…"]
            assert low < y < high, f"{end} does not end at its row"
            assert x in (boxes[table].x, boxes[table].x + boxes[table].width), f"{end} does not end at its box"
        inside = [
            name
            for name, box in boxes.items()
            for x, y in line
            if box.x < x < box.x + box.width and box.y < y < box.y + box.height
        ]
        assert inside == [], f"{path.get('data-from')} crosses a box"
        assert all(0 <= x <= width for x, _ in line)


@pytest.mark.parametrize("number", range(len(DRAWN)))
def test_drawing_has_all_links(number: int) -> None:
    """Each link between tables of the file has a line at its row, and each line belongs to links."""
    schema = minirest.read_schema(DRAWN[number]())
    svg, _ = drawn(schema)
    ends = {path.get(name) for path in svg.findall("path[@data-from]") for name in ("data-from", "data-to")}
    links = {
        f"{table.name}.{link.name}"
        for table in schema.tables.values()
        for link in table.links.values()
        if link.target in schema.tables.values()
    }
    assert links - ends == set()
    assert {end for end in ends if end and "." in end} == links


def test_drawing_of_a_long_circle() -> None:
    """A circle of many tables is drawn, whatever Python's limits, about as wide as it is high."""
    count = 1500
    tables = {
        f"t{number}": {"type": "object", "properties": {"next": {"$ref": f"#/$defs/t{(number + 1) % count}"}}}
        for number in range(count)
    }
    schema = minirest.read_schema({"$defs": tables})
    _, boxes = drawn(schema)
    assert 20 < len({box.x for box in boxes.values()}) < 60


# ---- lists ----


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Emma", "Walden"]),
        ("archived=no", ["Emma", "Walden"]),
        ("archived=only", ["Persuasion archived"]),
        ("archived=trash", ["Gone in the trash"]),
        ("archived=all", ["Emma", "Persuasion archived", "Walden", "Gone in the trash"]),
        ("search=EMM", ["Emma"]),
        ("search=wit", []),
        ("search=TWO", ["Emma"]),
        ("search=hidden", []),
        ("search=3", ["Walden"]),
        ("search=%233", ["Walden"]),
        ("search=2&archived=all", ["Persuasion archived"]),
        ("search=%25", []),
        ("search=&sort=&page=&filter[title]=", ["Emma", "Walden"]),
        ("sort=title", ["Emma", "Walden"]),
        ("sort=-title", ["Walden", "Emma"]),
        ("sort=pages", ["Walden", "Emma"]),
        ("sort=-author", ["Emma", "Walden"]),
        ("sort=author", ["Walden", "Emma"]),
        ("filter[title]=ALD", ["Walden"]),
        ("filter[isbn]=11", ["Emma"]),
        ("filter[pages]=20", ["Walden"]),
        ("filter[pages]=>20", ["Emma"]),
        ("filter[pages]=>=20", ["Emma", "Walden"]),
        ("filter[pages]=%3C%20300", ["Walden"]),
        ("filter[pages]=<=300&filter[title]=e", ["Emma", "Walden"]),
        ("filter[price]==9.5", ["Emma"]),
        ("filter[sold]=true", ["Emma"]),
        ("filter[sold]=false", ["Walden"]),
        ("filter[state]=used", ["Walden"]),
        ("page=1", ["Emma", "Walden"]),
        ("page=2", []),
        ("done=delete", ["Emma", "Walden"]),
    ],
)
def test_list(admin: Site, query: str, expected: list[str]) -> None:
    """Search, filters, order, pages and archive choose the records that they say."""
    assert names(admin.get(f"/browse/books?{query}")) == expected


WIDE: dict[str, Any] = {
    "$defs": {
        "things": {
            **SCHEMA["$defs"]["books"],
            "x-columns": [
                "stars",
                "shelves",
                "words",
                "published",
                "seen",
                "opens",
                "author",
                "subjects",
                "extra",
                "secret",
            ],
        },
        **{name: table for name, table in SCHEMA["$defs"].items() if name != "books"},
    }
}
WIDE = json.loads(json.dumps(WIDE).replace("#/$defs/books", "#/$defs/things"))
"""The same tables; the list of the first one has other columns."""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter[stars]=3", ["Emma"]),
        ("filter[shelves]=a", ["Emma"]),
        ("filter[shelves]=c", []),
        ("filter[words]=wit", ["Emma"]),
        ("filter[published]=1815", ["Emma"]),
        ("filter[published]=1815-12-23", ["Emma"]),
        ("filter[published]=>1815", ["Walden"]),
        ("filter[published]=<1854-08", ["Emma"]),
        ("filter[seen]=2096-02", ["Emma"]),
        ("filter[seen]=<2096-02", []),
        ("filter[opens]=09:30", ["Emma"]),
        ("filter[author]=aust", ["Emma"]),
        ("filter[author]=2", ["Walden"]),
        ("filter[author]=%232", ["Walden"]),
        ("sort=-published", ["Walden", "Emma"]),
        ("sort=subjects", ["Walden", "Emma"]),
        ("sort=-subjects", ["Emma", "Walden"]),
    ],
)
def test_columns_of_x_columns(clock: Clock, query: str, expected: list[str]) -> None:
    """`x-columns` gives a list its columns, each with a filter for its kind; what is never shown is no column."""
    with closing(minirest.make_app(WIDE, auth=False, clock=clock)) as app:
        page = Site(app, clock).get(f"/browse/things?{query}")
        assert names(page) == expected
        heads = re.findall(r"<th [^>]*>(.*?)</th>", page.text)
        assert [text_of(head).rstrip(" ↑↓") for head in heads] == (
            ["Title", "stars", "shelves", "words", "published", "seen", "opens", "author", "subjects", "extra"]
            if expected
            else heads
        )


def test_cells(clock: Clock) -> None:
    """Values are shown for people: lists with commas, moments in UTC, a link as its label, many as a number."""
    with closing(minirest.make_app(WIDE, auth=False, clock=clock)) as app:
        page = Site(app, clock).get("/browse/things")
    moment = "2096-02-01 10:00:00 UTC"
    emma = ["Emma", "3", "b, a", "love, wit", "1815-12-23", moment, "09:30:00", "Jane Austen", "2", '{"a":[1,null]}']
    walden = ["Walden", "-", "-", "-", "1854-08-09", "-", "-", "Henry Thoreau", "0", "-"]
    assert rows(page) == [emma, walden]


def test_numbers_stand_below_each_other(admin: Site) -> None:
    """Their columns are those of numbers, from the head down."""
    page = admin.get("/browse/books").html
    assert {it.get_text(strip=True) for it in page.select("th.number")} == {"pages", "price"}
    assert {it["data-label"] for it in page.select("td.number")} == {"pages", "price"}


def test_validity(admin: Site) -> None:
    """A list shows what is valid today, on request all; a table without a label names records by their number."""
    assert rows(admin.get("/browse/prices")) == [["#2", "2", "-"]]
    assert rows(admin.get("/browse/prices?validity=all")) == [["#1", "1", "2096-02-28"], ["#2", "2", "-"]]
    assert values(admin.get("/browse/prices/1"))["valid_to"] == "2096-02-28"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("page=0", "Invalid value '0' for parameter 'page': write a whole number, 1 or more."),
        ("page=x", "Invalid value 'x' for parameter 'page': write a whole number, 1 or more."),
        ("page=9999999999", "Invalid value '9999999999' for parameter 'page': write a whole number, 1 or more."),
        (
            "sort=titel",
            "Invalid value 'titel' for parameter 'sort': the list has no such column to sort by; did you mean 'title'?",
        ),
        ("sort=secret", "Invalid value 'secret' for parameter 'sort': the list has no such column to sort by."),
        ("filter[pages]=many", "Invalid value 'many' for parameter 'filter[pages]': write a whole number of 64 bits."),
        ("filter[pages]=>", "Invalid value '>' for parameter 'filter[pages]': write a whole number of 64 bits."),
        ("filter[sold]=maybe", "Invalid value 'maybe' for parameter 'filter[sold]': write true or false."),
        (
            "filter[sold]=>true",
            "Invalid value '>true' for parameter 'filter[sold]': write a value without a sign before it.",
        ),
        ("filter[secret]=x", "Unknown parameter 'filter[secret]'; did you mean 'filter[state]'?"),
        ("filter=x", "Unknown parameter 'filter'; did you mean 'filter[sold]'?"),
        ("validity=all", "Unknown parameter 'validity'."),
        ("archived=maybe", "Invalid value 'maybe' for parameter 'archived': write one of no, only, trash, all."),
        ("done=maybe", "Invalid value 'maybe' for parameter 'done': leave it out."),
        ("page=1&page=2", "Invalid value '2' for parameter 'page': it stands twice."),
        ("search=" + "x" * 1001, "The filter is too large: more than 1000 characters to search for."),
    ],
)
def test_list_is_strict(admin: Site, query: str, said: str) -> None:
    """What a list cannot read is 400, and named."""
    assert notes(admin.get(f"/browse/books?{query}", 400)) == [said]


@pytest.mark.parametrize("text_", ["2024-13", "x", "1", ">"])
def test_dates_of_filters(clock: Clock, text_: str) -> None:
    """A filter of dates says what it takes."""
    with closing(minirest.make_app(WIDE, auth=False, clock=clock)) as app:
        page = Site(app, clock).get("/browse/things?" + urlencode({"filter[published]": text_}), 400)
        assert notes(page)[0].endswith(": write a date, a month or a year, such as 2024-05.")


def test_pages_of_a_list(admin: Site) -> None:
    """25 records on a page; the links to others keep search, filters and order."""
    for number in range(60):
        admin.post("/browse/authors/new", {"name": f"Writer {number:02}"})
    page = admin.get("/browse/authors?search=writer&sort=-name&filter%5Bname%5D=r")
    assert names(page) == [f"Writer {number}" for number in range(59, 34, -1)]
    assert "60 records, page 1 of 3" in text(page)
    assert "1 record, page 1 of 1" in text(admin.get("/browse/reviews"))
    page = page.click("Next")
    assert names(page)[0] == "Writer 34"
    page = page.click("Next")
    assert names(page) == [f"Writer {number:02}" for number in range(9, -1, -1)]
    assert "Next" not in text(page)
    page = page.click("Previous")
    assert "60 records, page 2 of 3" in text(page)
    page = page.click("name ↓")
    assert names(page)[0] == "Writer 00"
    assert 'aria-sort="ascending"' in page.text
    page = admin.get("/browse/authors?page=9&search=writer")
    assert "There are no such records." in text(page)
    assert names(page.click("Previous"))[-1] == "Writer 59"


def test_filter_form(admin: Site) -> None:
    """The form sends what it shows, and shows what was sent."""
    form = admin.get("/browse/books?sort=-title&archived=all").forms[1]
    assert form["archived"].value == "all"
    form["filter[state]"], form["search"] = "new", "e"
    page = form.submit()
    assert names(page) == ["Persuasion archived", "Gone in the trash", "Emma"]
    assert page.forms[1]["filter[state]"].value == "new"
    assert "<details open>" in page.text
    assert names(page.click("Show all")) == ["Emma", "Walden"]


def test_linked_lists(admin: Site) -> None:
    """The records of a link are a list of their own, in any state; who is not there has none."""
    assert names(admin.get("/browse/authors/1/links/books")) == ["Emma", "Persuasion archived"]
    assert names(admin.get("/browse/authors/1/links/books?search=emm")) == ["Emma"]
    assert names(admin.get("/browse/books/1/links/subjects")) == ["England", "Marriage"]
    assert names(admin.get("/browse/books/1/links/author")) == ["Jane Austen"]
    for path in (
        "books/99/links/subjects",
        "books/1/links/nope",
        "books/1/links/title",
        "books/1/links/cover",
        "books/x/links/subjects",
    ):
        admin.get(f"/browse/{path}", 404)
    assert notes(admin.get("/browse/authors/1/links/books?archived=all", 400)) == ["Unknown parameter 'archived'."]


# ---- one record ----


def test_record(admin: Site) -> None:
    """A record's page has all that may be shown: values, links, where it belongs, who made it."""
    page = admin.get("/browse/books/1")
    assert values(page) == {
        "Title": "Emma",
        "isbn": "1111",
        "text": "one two",
        "pages": "300",
        "price": "9.5",
        "sold": "yes",
        "signed": "yes",
        "state": "new",
        "stars": "3",
        "shelves": "b, a",
        "words": "love, wit",
        "extra": '{ "a": [ 1, null ] }',
        "published": "1815-12-23",
        "seen": "2096-02-01 10:00:00 UTC",
        "opens": "09:30:00",
        "link": "https://example.org/",
        "code": "X",
        "cover": "-",
        "author": "Jane Austen",
        "diary": "-",
    }
    assert "hidden words" not in page.text
    said = text(page)
    assert "Books #1 active Edit Archive Put into the trash Delete … Delete for good" in said
    assert "subjects England Marriage All 2" in said
    assert "reviews #1 All 1Add one" in said
    assert names(page.click("All 2")) == ["England", "Marriage"]
    assert page.click("Jane Austen", index=0).request.path == "/browse/authors/1"
    assert page.click("Add one").forms[1]["book"].value == "1"


@pytest.mark.parametrize("key", ["99", "0", "x", "01", "-1", "1.5", "9" * 20, "１"])
def test_no_such_record(admin: Site, key: str) -> None:
    """Another id, and what is no id, is 404 on every page of a record."""
    for end in ("", "/edit", "/links/subjects"):
        assert notes(admin.get(f"/browse/books/{quote(key)}{end}", 404)) == ["There is nothing at this address."]
    for word in ("archive", "delete", "undo"):
        admin.post(f"/browse/books/{quote(key)}", {"_do": word, "_version": "1"}, 404)
    admin.post(f"/browse/books/{quote(key)}/edit", {"title": "x", "_version": "1"}, 404)


@pytest.mark.parametrize(
    "table", ["nope", "_users", "_tokens", "_history", "_sessions", "books_subjects", "sqlite_master"]
)
def test_no_such_table(admin: Site, table: str) -> None:
    """Only the tables of the schema file can be browsed; a name is taken in any case."""
    for path in (table, f"{table}/new", f"{table}/1", f"{table}/1/edit", f"{table}/1/links/user"):
        admin.get(f"/browse/{path}", 404)
    assert names(admin.get("/browse/BOOKS")) == ["Emma", "Walden"]


def test_file(admin: Site) -> None:
    """A form brings a file, shows its name, replaces it and takes it away; the page has the address that serves it."""
    form = admin.edit()
    form["cover"] = webtest.Upload("a <b>.png", b"\x89PNG", "image/png")
    assert form.submit(status=303).headers["Location"] == "/browse/books/1?done=saved"
    page = admin.get("/browse/books/1")
    assert '<a href="/browse/books/1/file/cover">a &lt;b&gt;.png</a>' in page.text
    got = admin.get("/browse/books/1/file/cover")
    assert (got.body, got.content_type) == (b"\x89PNG", "image/png")
    assert "Now: a <b>.png" in text(admin.get("/browse/books/1/edit"))
    form = admin.edit()
    form["title"] = "Other"  # what is left as it is stays
    form.submit(status=303)
    assert admin.get("/browse/books/1/file/cover").body == b"\x89PNG"
    form = admin.edit()
    form["cover"] = webtest.Upload("b.png", b"two", "image/png")
    form.submit(status=303)
    assert admin.get("/browse/books/1/file/cover").body == b"two"
    form = admin.edit()
    form["_clear"] = True
    form.submit(status=303)
    admin.get("/browse/books/1/file/cover", 404)
    page = admin.get("/browse/books/1")
    replaced, taken = "a <b>.png (4 bytes) → b.png (3 bytes)", "b.png (3 bytes) → -"
    assert [entry.partition(" cover ")[2] for entry in timeline(page)[:2]] == [taken, replaced]
    assert "Undo" not in text(page)


def test_files_in_the_wrong_place(admin: Site) -> None:
    """A file goes to a field for files, and to no other page."""
    before = admin.everything()
    page = admin.post("/browse/books/1/edit", {"_clear": "title", "_version": "1"}, 400)
    assert notes(page) == ["Invalid value 'title' for parameter '_clear': it is no file."]
    token = [("_token", admin.token()), ("_version", "1")]
    for name in ("title", "nope", "cover[x]"):
        files = [(name, "a.png", b"x")]
        page = admin.browser.post("/browse/books/1/edit", token, upload_files=files, headers=HTML, status=400)
        assert notes(page) == [f"Invalid value 'a.png' for parameter '{name}': it takes no file."]
    admin.browser.post("/api_tokens", token, upload_files=[("device_name", "x", b"x")], headers=HTML, status=415)
    admin.browser.post(
        "/browse/books/1/edit", [("_version", "1")], upload_files=[("cover", "a", b"x")], headers=HTML, status=403
    )
    assert admin.everything() == before


def test_archive_and_restore(admin: Site) -> None:
    """The buttons put a record away and bring it back; the page says so, and the history too."""
    for word, status, said, deed in (
        ("archive", 1, "The record is archived.", "active → archived"),
        ("restore", 0, "The record is active again.", "archived → active"),
        ("trash", 2, "The record is in the trash.", "active → in the trash"),
        ("restore", 0, "The record is active again.", "in the trash → active"),
    ):
        page = admin.do(word).follow()
        assert notes(page) == [said]
        assert admin.stored("books", 1)["_status"] == status
        changed = "admin changed the state of the record 2096-03-01 12:00:00 UTC, through pages"
        assert timeline(page)[0] == f"{changed} State {deed}"
        assert names(admin.get("/browse/books")) == (["Walden"] if status else ["Emma", "Walden"])
    assert "Archive" not in text(admin.get("/browse/authors/1"))
    refused = notes(admin.post("/browse/authors/1", {"_do": "archive", "_version": "1"}, 400))
    assert refused == ["Table 'authors' has no archive."]


def test_delete(admin: Site) -> None:
    """A record is deleted after one more click, unless another needs it."""
    assert notes(admin.do("delete", "/browse/books/1", 400)) == [
        "The record cannot be deleted: 1 records of table 'reviews' need it."
    ]
    assert admin.stored("books", 1)["title"] == "Emma"
    page = admin.do("delete", "/browse/books/3").follow()
    assert (notes(page), names(page)) == (["The record is deleted."], ["Emma"])
    admin.get("/browse/books/3", 404)


@pytest.mark.parametrize("word", ["archive", "trash", "delete", "undo"])
def test_buttons_mean_what_was_seen(admin: Site, word: str) -> None:
    """A button does nothing to a record that has changed since its page was made."""
    form = admin.edit("/browse/books/3/edit")
    form["title"] = "Walden Pond"
    form.submit()
    page = admin.get("/browse/books/3")
    form = admin.edit("/browse/books/3/edit")
    form["title"] = "Walden again"
    form.submit()
    before = admin.everything()
    version = page.forms[1]["_version"].value
    page = admin.post("/browse/books/3", {"_do": word, "_version": version}, 412)
    assert notes(page) == ["The record has changed since this page was made."]
    assert admin.everything() == before


@pytest.mark.parametrize(
    "fields",
    [
        {"_do": "explode", "_version": "1"},
        {"_version": "1"},
        {"_do": "archive"},
        {"_do": "archive", "_version": "x"},
        {},
        {"_do": "archive", "_version": "1", "more": "x"},
    ],
)
def test_buttons_are_strict(admin: Site, fields: dict[str, str]) -> None:
    """Only what a page's own buttons send is done."""
    before = admin.everything()
    admin.post("/browse/books/1", fields, 400)
    assert admin.everything() == before


# ---- what became of it ----


def test_timeline(site: Site) -> None:
    """Who changed what, before and after, the newest first; what is never shown is said to be so."""
    admin, anna = site.sign_in("admin"), site.sign_in("anna")
    form = anna.edit()
    form["pages"], form["secret"], form["author"] = "301", "x", "2"
    form["subjects"] = ["1"]
    anna.clock.now += timedelta(minutes=1)
    form.submit()
    admin.clock.now += timedelta(minutes=1)
    admin.browser.patch_json("/books/1", {"data": {"title": "Emma!"}}, status=200)
    entries = timeline(admin.get("/browse/books/1"))
    assert entries[0] == "admin changed 2096-03-01 12:02:00 UTC, through limbas Title Emma → Emma! Undo this change"
    assert entries[1] == (
        "anna changed 2096-03-01 12:01:00 UTC, through pages pages 300 → 301 secret a value that is never shown "
        "author Jane Austen → Henry Thoreau subjects England, Marriage → Marriage"
    )
    assert entries[2].startswith(
        "Somebody made the record 2096-03-01 12:00:00 UTC, through examples Title Emma isbn 1111"
    )
    assert "hidden words" not in entries[2]
    assert len(entries) == 3


def test_undo(admin: Site) -> None:
    """The last change is taken back, values and links alike; that is a change too, and can be undone."""
    before = admin.stored("books", 1)
    form = admin.edit()
    form["title"], form["author"], form["published"], form["extra"] = "Other", "2", "", "[1]"
    form["subjects"], form["shelves"] = ["1"], []
    form.submit()
    changed = admin.stored("books", 1)
    page = admin.do("undo").follow()
    assert notes(page) == ["The last change is undone."]
    after = admin.stored("books", 1)
    assert {name: after[name] for name in before if name not in ("_version", "_modified_by")} == {
        name: value for name, value in before.items() if name not in ("_version", "_modified_by")
    }
    assert names(admin.get("/browse/books/1/links/subjects")) == ["England", "Marriage"]
    admin.do("undo")
    again = admin.stored("books", 1)
    assert {**again, "_version": 0} == {**changed, "_version": 0}


def test_what_cannot_be_undone(admin: Site) -> None:
    """A record that was just made or archived, or whose hidden value changed, has no button, and no way around it."""
    said = ["The last change of this record cannot be undone."]
    for change in (lambda: None, lambda: admin.do("archive"), lambda: admin.do("restore"), lambda: set_secret(admin)):
        change()
        page = admin.get("/browse/books/1")
        assert "Undo" not in text(page)
        version = page.forms[1]["_version"].value
        assert notes(admin.post("/browse/books/1", {"_do": "undo", "_version": version}, 400)) == said


def set_secret(site: Site) -> None:
    """Change a value that is never shown."""
    form = site.edit()
    form["secret"] = "new words"
    form.submit()


def test_undo_that_breaks_a_rule(admin: Site) -> None:
    """When the former value is not right any more, nothing changes, and the page says why."""
    form = admin.edit()
    form["isbn"] = "2222"
    form.submit()
    admin.post("/browse/books/new", {"title": "Twin", "isbn": "1111"})
    assert notes(admin.do("undo", status=400)) == ["Another record has this already."]
    assert admin.stored("books", 1)["isbn"] == "2222"
    form = admin.edit("/browse/reviews/1/edit")
    form["book"] = "3"
    form.submit()
    admin.do("delete", "/browse/books/1")
    assert "Undo" not in text(admin.get("/browse/reviews/1"))


def test_undo_tells_nothing_of_hidden_records(site: Site) -> None:
    """A change that took a link away from a hidden record is not undone by those who do not see that record."""
    admin, anna = site.sign_in("admin"), site.sign_in("anna")
    anna.post("/browse/diaries/new", {"title": "Top secret"})
    for diary in ("2", ""):
        form = anna.edit()
        form["diary"] = diary
        form.submit()
    page = admin.get("/browse/books/1")
    assert "diary a record that is not there → -" in timeline(page)[0]
    assert "Undo" not in text(page)
    fields = {"_do": "undo", "_version": page.forms[1]["_version"].value}
    said = ["The last change of this record cannot be undone."]
    assert notes(admin.post("/browse/books/1", fields, 400)) == said
    anna.do("undo")
    assert anna.stored("books", 1)["diary_id"] == 2


def test_history_of_another_kind(clock: Clock, tmp_path: Path) -> None:
    """What a field held before it got another kind is shown as it was, and is not put back."""
    path, undo = str(tmp_path / "db"), list[bool]()
    for kind in ({"type": "string"}, {"type": "integer"}, {"$ref": "#/$defs/things"}):
        schema = {"$defs": {"things": {"type": "object", "properties": {"a": kind}}}}
        if undo:
            minirest.migrate(minirest.load_schema(schema), path, ["things.a"] * (len(undo) - 1), apply=True)
        with closing(minirest.make_app(schema, path, users=PASSWORDS, clock=clock)) as app:
            admin = Site(app, clock).sign_in()
            if not undo:
                admin.post("/browse/things/new", {"a": "x"})
                admin.post("/browse/things/1/edit", {"a": "7", "_version": "1"})
            page = admin.get("/browse/things/1")
            undo.append("Undo" in text(page))
            assert [entry.partition(" a ")[2] for entry in timeline(page)] == [
                "x → 7" + " Undo this change" * undo[-1],
                "x",
            ]
    assert undo == [True, False, False]


def test_long_timeline(admin: Site) -> None:
    """A hundred entries are shown; a link leads to the older ones, where nothing can be undone."""
    for number in range(105):
        form = admin.edit("/browse/authors/1/edit")
        form["name"] = f"Jane {number}"
        form.submit()
    page = admin.get("/browse/authors/1")
    assert len(timeline(page)) == 100
    older = page.click("Older changes")
    assert len(timeline(older)) == 6
    assert timeline(older)[-1].startswith("Somebody made the record")
    assert "Undo" not in text(older)
    admin.get("/browse/authors/1?older=x", 404)


def test_long_values(admin: Site) -> None:
    """Lists, labels and history cut what is long; the record's own page has all of it."""
    long, label = "ä" * 3000, "ä" * 119 + "…"
    admin.post("/browse/authors/new", {"name": long})
    assert names(admin.get("/browse/authors?sort=name")) == ["Henry Thoreau", "Jane Austen", label]
    page = admin.get("/browse/authors/3")
    assert values(page)["name"] == long
    assert timeline(page)[0].endswith(f" name {'ä' * 499}…")
    for number in range(22):
        admin.post("/browse/subjects/new", {"name": f"S{number}"})
    chosen = [("subjects", str(number)) for number in range(1, 25)]
    admin.post("/browse/books/3/edit", [*chosen, ("_version", "1")])
    assert timeline(admin.get("/browse/books/3"))[0].endswith(" S16, S17, 4 more Undo this change")


def test_private_records(site: Site) -> None:
    """A record that one may not see is on no page: not in lists, links, choices, history, and behind no button."""
    admin, anna = site.sign_in("admin"), site.sign_in("anna")
    address = anna.post("/browse/diaries/new", {"title": "Top secret"}).headers["Location"].partition("?")[0]
    number = address.rpartition("/")[2]
    form = anna.edit()
    form["diary"] = number
    form.submit()
    assert names(anna.get("/browse/diaries")) == ["Top secret"]
    assert "diary - → Top secret" in timeline(anna.get("/browse/books/1"))[0]
    paths = ["/", "/browse/diaries", "/browse/diaries?search=secret", "/browse/books/1", "/browse/books/1/edit"]
    for path in [*paths, "/browse/diaries?archived=all"]:
        page = admin.browser.get(path, headers=HTML, expect_errors=True)
        assert "Top secret" not in page.text
    assert rows(admin.get("/browse/diaries")) == []
    assert "diary - → a record that is not there" in timeline(admin.get("/browse/books/1"))[0]
    assert f"/browse/diaries/{number}" not in admin.get("/browse/books/1").text
    before = admin.everything()
    for end in ("", "/edit"):
        admin.get(address + end, 404)
    for word in ("delete", "undo"):
        admin.post(address, {"_do": word, "_version": "1"}, 404)
    admin.post(f"{address}/edit", {"title": "x", "_version": "1"}, 404)
    page = admin.post("/browse/books/3/edit", {"diary": number, "_version": "1"}, 422)
    assert wrong(page) == {"diary": f"There is no record {number}."}
    assert admin.everything() == before
    form = admin.edit()
    form["title"] = "Changed"
    form.submit()
    assert admin.stored("books", 1)["diary_id"] == int(number), "a link to a hidden record stays"


def test_history_begins_with_the_record(site: Site) -> None:
    """An id can be given again; the page tells nothing of the record that had it before."""
    admin, anna = site.sign_in("admin"), site.sign_in("anna")
    address = anna.post("/browse/diaries/new", {"title": "Top secret"}).headers["Location"].partition("?")[0]
    anna.do("delete", address)
    login = {"HTTP_AUTHORIZATION": "Basic " + b64encode(b"admin:open-sesame").decode()}
    body = {"id": int(address.rpartition("/")[2]), "title": "Mine"}
    assert send(admin.app, "POST", "/api/diaries:create", body, **login).status == 200
    (made,) = timeline(admin.get(address))
    assert made == "admin made the record 2096-03-01 12:00:00 UTC, through nocobase title Mine"


# ---- what the rights leave ----

LITTLE = ("list", "get", "create", "update")


def narrow(name: str, *verbs: str, **fields: Any) -> dict[str, Any]:
    """A table in which its users may do so much; its records link to others."""
    rights = {"*": dict.fromkeys(verbs, True)}
    properties = {"name": {"type": "string"}, **fields}
    return {"type": "object", "properties": properties, "examples": [{"name": name}], "x-rights": rights}


@pytest.fixture
def narrowed(clock: Clock) -> Iterator[Site]:
    """Return a site whose user may do little."""
    one = {name: {"$ref": f"#/$defs/{name}"} for name in ("held", "free")}
    every = {name: {"type": "array", "items": ref} for name, ref in one.items()}
    file = {"type": "string", "format": "binary"}
    schema = {
        "held": narrow(
            "H", *LITTLE, free=one["free"], all=every["held"] | {"x-inverse": "up"}, up=one["held"], file=file
        ),
        "free": narrow(
            "F", *LITTLE, "link", "delete", held=every["held"] | {"x-inverse": "free"}, others=every["free"]
        ),
        "box": narrow("B", "create"),
        "mine": narrow("M", "list", "create"),
        "own": narrow("O", *LITTLE),
    }
    schema["own"]["x-rights"]["*"] |= {"get": {"name.$ne": "gone"}, "list": False}
    with closing(minirest.make_app({"$defs": schema}, users=PASSWORDS, clock=clock)) as app:
        yield Site(app, clock).sign_in("anna")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("held/1/edit", {"name"}),
        ("held/new", {"name", "free", "up", "file"}),
        ("free/1/edit", {"name", "others"}),
        ("free/new", {"name", "others"}),
    ],
)
def test_links_that_may_not_be_changed(narrowed: Site, path: str, expected: set[str]) -> None:
    """Who may not link is shown no field for a link; in a new record its own links are a part of making it."""
    form = narrowed.edit(f"/browse/{path}")
    assert {name for name in form.fields if name and not name.startswith("_")} == expected
    assert form.submit(status=303)
    link, version = "all" if path.startswith("held") else "held", {"_version": "1"} if "edit" in path else {}
    narrowed.post(f"/browse/{path}", {**version, link: "1"}, 403)


def test_undo_of_a_link_that_may_not_be_changed(narrowed: Site) -> None:
    """There is no button for a change that would be refused."""
    link = {"HTTP_AUTHORIZATION": "Bearer " + narrowed.app.accounts.add_token("admin", "x")}
    narrowed.app.accounts.put_user("admin", roles=["admin"])
    assert send(narrowed.app, "POST", "/api/held:update?filterByTk=1", {"free": 1}, **link).status == 200
    page = narrowed.get("/browse/held/1")
    assert "free - → F" in timeline(page)[0]
    assert "Undo" not in text(page)


@pytest.mark.parametrize(
    ("path", "name", "address", "done"),
    [
        ("box/new", "x", "/", "created"),
        ("mine/new", "x", "/browse/mine", "created"),
        ("own/new", "x", "/browse/own/2", "created"),
        ("own/new", "gone", "/", "created"),
        ("own/1/edit", "gone", "/", "saved"),
        ("held/1/edit", "gone", "/browse/held/1", "saved"),
    ],
)
def test_after_saving(narrowed: Site, path: str, name: str, address: str, done: str) -> None:
    """One goes on to the record if one may see it, else to the list, else to the first page; each says what is done."""
    form = narrowed.edit(f"/browse/{path}")
    form["name"] = name
    answer = form.submit(status=303)
    assert answer.headers["Location"] == f"{address}?done={done}"
    assert notes(answer.follow(headers=HTML)) == [f"The record is {'made' if done == 'created' else 'saved'}."]


def test_first_page_leads_to_all_that_may_be_made(narrowed: Site) -> None:
    """Tables whose records one may make, and not list, are named too; no way leads to a page that is refused."""
    page = narrowed.get("/")
    assert names(page) == ["held", "free", "mine"]
    assert all(f'<a href="/browse/{name}/new"' in page.text for name in ("box", "own"))
    assert narrowed.get("/?nope=1", 400)
    for path in ("box/new", "own/1", "box/import"):
        for address in re.findall(r'href="(/[^"]*)"', narrowed.get(f"/browse/{path}").text):
            narrowed.get(address)


def test_names_of_others_in_addresses(tmp_path: Path, clock: Clock) -> None:
    """In a database of others a name may hold anything: all ways and forms of the pages lead where they should."""
    with closing(sqlite3.connect(tmp_path / "others.db")) as base:
        base.execute('create table "a?b c%41" (id integer primary key, "na me" text)')
        base.execute('create table "t#" (id integer primary key, "to a&b?" integer references "a?b c%41" (id))')
        base.execute('insert into "a?b c%41" values (1, ?)', ["x"])
        base.execute('insert into "t#" values (1, 1)')
        base.commit()
    with closing(minirest.make_app(None, str(tmp_path / "others.db"), auth=False, clock=clock)) as app:
        site, seen, waiting = Site(app, clock), set[str](), ["/"]
        while waiting:
            seen.add(address := waiting.pop())
            page = site.get(address)
            found = (
                {unescape(it) for it in re.findall(r'(?:href|action)="(/[^"]*)"', page.text)}
                if "docs" not in address
                else set()
            )
            waiting += sorted({it for it in found if "openapi" not in it} - seen - {*waiting})
        assert len([it for it in seen if it.startswith("/browse/a%3Fb%20c%2541/1")]) >= 3
        form = Sheet(site.get("/browse/a%3Fb%20c%2541/1/edit").form)
        form["na me"] = "y"
        form.submit(status=303)
        assert values(site.get("/browse/a%3Fb%20c%2541/1"))["na me"] == "y"


# ---- forms ----


def test_untouched_form_changes_nothing(admin: Site) -> None:
    """A form that is sent as it came writes nothing, whatever the kinds of its fields and the ends of lines."""
    before = admin.everything()
    for path in ("books/1", "books/2", "books/3", "authors/1", "subjects/1", "reviews/1", "prices/1"):
        answer = admin.edit(f"/browse/{path}/edit").submit()
        assert answer.headers["Location"] == f"/browse/{path}?done=saved"
    assert admin.everything() == before
    assert notes(admin.get("/browse/books/1?done=saved")) == ["The record is saved."]


@pytest.mark.parametrize(
    ("name", "given_text", "column", "stored"),
    [
        ("title", "Ëmma 🍰 <b>", "title", "Ëmma 🍰 <b>"),
        ("text", "a\n\nb\n", "text", "a\n\nb\n"),
        ("text", "", "text", None),
        ("pages", "12", "pages", 12),
        ("pages", "", "pages", None),
        ("price", "0.1", "price", 0.1),
        ("price", "1e3", "price", 1000.0),
        ("sold", False, "sold", 0),
        ("signed", False, "signed", 0),
        ("state", "used", "state", "used"),
        ("state", "", "state", None),
        ("stars", "1", "stars", 1),
        ("shelves", ["c"], "shelves", '["c"]'),
        ("shelves", [], "shelves", "[]"),
        ("words", "x\ny z\n", "words", '["x","y z"]'),
        ("words", '["a\\nb"]', "words", '["a\\nb"]'),
        ("words", "", "words", None),
        ("extra", "[1, 2.50, null]", "extra", "[1,2.5,null]"),
        ("extra", "", "extra", None),
        ("published", "2024-02-29", "published", "2024-02-29"),
        ("seen", "2024-02-29T10:11", "seen", "2024-02-29T10:11:00.000Z"),
        ("seen", "2024-02-29T10:11:12.5", "seen", "2024-02-29T10:11:12.500Z"),
        ("opens", "23:59", "opens", "23:59:00"),
        ("link", "", "link", None),
        ("secret", "new", "secret", "new"),
        ("author", "2", "author_id", 2),
        ("author", "", "author_id", None),
    ],
)
def test_field_is_changed(admin: Site, name: str, given_text: Any, column: str, stored: Any) -> None:
    """Each kind of control writes its value, and nothing else changes but version and time."""
    before = admin.stored("books", 1)
    form = admin.edit()
    form[name] = given_text
    assert form.submit(status=303).headers["Location"] == "/browse/books/1?done=saved"
    after = admin.stored("books", 1)
    assert after[column] == stored
    changed = {key for key in before if before[key] != after[key]}
    assert changed - {"_modified_by"} == {column, "_version"}
    assert after["_version"] == before["_version"] + 1


KINDS_OF_LISTS: dict[str, tuple[Any, list[Any], str]] = {
    "numbers": ({"type": "integer"}, [3, -(2**63)], "3\n-9223372036854775808"),
    "prices": ({"type": "number"}, [1.5, 1e30], "1.5\n1e+30"),
    "days": ({"type": "string", "format": "date"}, ["2024-02-29", "2024-02-29"], "2024-02-29\n2024-02-29"),
    "moments": (
        {"type": "string", "format": "date-time"},
        ["2024-02-29T10:11:12.000Z", "2024-02-29T10:11:12.500Z"],
        "2024-02-29T10:11:12\n2024-02-29T10:11:12.500",
    ),
    "flags": ({"type": "boolean"}, [True, False], "true\nfalse"),
    "words": ({"type": "string"}, ["a b", "c"], "a b\nc"),
    "empty": ({"type": "string"}, ["", "c"], '["","c"]'),
    "gaps": ({"type": ["integer", "null"]}, [1, None], "[1,null]"),
    "any": (None, [1, "a"], '[\n  1,\n  "a"\n]'),
}
"""Items of lists, a value, and how it stands in its control."""


def test_lists(clock: Clock) -> None:
    """An item of a list is a line wherever it can be one, of whatever kind; a wrong one is named by its place."""
    lists = {name: {"type": "array", **({"items": it} if it else {})} for name, (it, _, _) in KINDS_OF_LISTS.items()}
    table = {"type": "object", "properties": lists, "examples": [{name: it[1] for name, it in KINDS_OF_LISTS.items()}]}
    with closing(minirest.make_app({"$defs": {"t": table}}, users=PASSWORDS, clock=clock)) as app:
        site = Site(app, clock).sign_in()
        form, kept = site.edit("/browse/t/1/edit"), site.stored("t", 1)
        assert {name: form[name].value for name in lists} == {name: it[2] for name, it in KINDS_OF_LISTS.items()}
        form.submit(status=303)
        assert site.stored("t", 1) == kept
        for name, (_, value, told) in KINDS_OF_LISTS.items():
            if not told.startswith("["):
                form = site.edit("/browse/t/1/edit")
                form[name] = f"{told}\n{told}\n"
                form.submit(status=303)
                assert json.loads(site.stored("t", 1)[name]) == value * 2
        form = site.edit("/browse/t/1/edit")
        form["days"], form["flags"] = "2024-05-01\nsoon", "maybe"
        messages = {"days": "Item 2: Write a date as YYYY-MM-DD.", "flags": "Item 1: Write true or false."}
        assert wrong(form.submit(status=422)) == messages


def test_choices(clock: Clock) -> None:
    """The empty text can be chosen, and is not null; what is twice in a list, or in an order of its own, stays so."""
    words = {"enum": ["", "a", "b", '""']}
    fields = {"one": words, "many": {"type": "array", "items": words}, "mixed": {"enum": ["", "1", 1]}}
    examples = [{"one": "", "many": ["b", "", "a", "b"], "mixed": 1}]
    table = {"type": "object", "properties": fields, "examples": examples}
    with closing(minirest.make_app({"$defs": {"t": table}}, users=PASSWORDS, clock=clock)) as app:
        site = Site(app, clock).sign_in()

        def saved(**fields: Any) -> list[Any]:
            form = site.edit("/browse/t/1/edit")
            for name, value in fields.items():
                form[name] = value
            form.submit(status=303)
            kept = site.stored("t", 1)
            return [kept["one"], json.loads(kept["many"]), kept["mixed"]]

        form = site.edit("/browse/t/1/edit")
        assert [it[2] for it in form["one"].options] == ["", '""', "a", "b", '""']
        assert saved() == ["", ["b", "", "a", "b"], "1"]
        assert saved(one='"""', many=['""', "b", '"""']) == ['""', ["b", "", "b", '""'], "1"]
        assert saved(one="", many=['""'], mixed='""') == [None, [""], '""']
        assert saved(one='""', mixed='"1"') == ["", [""], '"1"']
        assert values(site.get("/browse/t/1"))["many"] == '""'
        query = urlencode({"filter[one]": '""', "filter[many]": '""'})
        assert names(site.get(f"/browse/t?{query}")) == ["#1"]
        site.post("/browse/t/1/edit", [("many", "a"), ("many", "a"), ("_version", "4")])
        assert json.loads(site.stored("t", 1)["many"]) == ["a", "a"]


def test_password(admin: Site) -> None:
    """A password is kept as a hash; left empty it stays as it is, and no page shows anything of it."""
    form = admin.edit()
    form["pin"] = "12345"
    form.submit()
    kept = admin.stored("books", 1)["pin"]
    assert minirest.verify_password("12345", kept)
    form = admin.edit()
    assert (form["pin"].value, form["secret"].value) == ("", "")
    form["title"] = "Other"
    form.submit()
    assert (admin.stored("books", 1)["pin"], admin.stored("books", 1)["secret"]) == (kept, "hidden words")
    for path in ("", "/edit"):
        assert kept not in admin.get(f"/browse/books/1{path}").text


def test_many_links(admin: Site) -> None:
    """Records are chosen from a list; those that were linked and are not chosen any more are let go."""
    form = admin.edit("/browse/authors/2/edit")
    form["books"] = ["1", "3"]
    form.submit()
    assert names(admin.get("/browse/authors/2/links/books")) == ["Emma", "Walden"]
    form = admin.edit("/browse/authors/2/edit")
    form["books"] = []
    form.submit()
    assert names(admin.get("/browse/authors/2/links/books")) == []
    assert admin.stored("books", 1)["author_id"] is None


def test_links_to_many_records(admin: Site) -> None:
    """Where a list would be too long, the numbers of the records are written; too many links are left alone."""
    for number in range(100):
        admin.post("/browse/subjects/new", {"name": f"S{number}"})
    form = admin.edit()
    assert form["subjects"].value == "2, 1"
    assert "Now: England, Marriage." in text(admin.get("/browse/books/1/edit"))
    form["subjects"] = "#5 7,1"
    form.submit()
    linked = [re.sub(r"\D", "", name) for name in names(admin.get("/browse/books/1/links/subjects"))]
    assert linked == ["", "2", "4"]
    form = admin.edit()
    form["subjects"] = "5 five"
    assert wrong(form.submit(status=422)) == {"subjects": "Write the number of a record."}
    form = admin.edit()
    form["subjects"] = "999"
    assert wrong(form.submit(status=422)) == {"subjects": "There is no record 999."}
    form = admin.edit()
    form["subjects"] = ",".join(map(str, range(1, 103)))
    form.submit()
    form = admin.edit()
    assert "subjects" not in form.fields
    assert "Not changed here, with more than 100 records each: subjects." in text(admin.get("/browse/books/1/edit"))
    form["title"] = "Still"
    form.submit()
    assert "All 102" in text(admin.get("/browse/books/1"))


WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"title": ""}, {"title": "This is needed."}),
    ({"title": "x" * 61}, {"title": "Write at most 60 characters."}),
    ({"isbn": "12"}, {"isbn": "This does not match the pattern ^[0-9]{4}$."}),
    ({"isbn": "2222"}, {"isbn": "Another record has this already."}),
    ({"pages": "0"}, {"pages": "Must be at least 1."}),
    ({"pages": "5001"}, {"pages": "Must be at most 5000."}),
    ({"pages": "many"}, {"pages": "Write a whole number of 64 bits."}),
    ({"pages": "1.5"}, {"pages": "Write a whole number of 64 bits."}),
    ({"pages": "9" * 30}, {"pages": "Write a whole number of 64 bits."}),
    ({"price": "0"}, {"price": "Must be greater than 0."}),
    ({"price": "1e999"}, {"price": "Write a finite number."}),
    ({"sold": "maybe"}, {"sold": "Write true or false."}),
    ({"state": "old"}, {"state": 'Must be one of "new", "used".'}),
    ({"stars": "9"}, {"stars": "Must be one of 1, 2, 3."}),
    ({"extra": "{"}, {"extra": "Write a JSON value."}),
    ({"published": "yesterday"}, {"published": "Write a date as YYYY-MM-DD."}),
    ({"seen": "10:00"}, {"seen": "Write a date and time as YYYY-MM-DDTHH:MM:SSZ."}),
    ({"opens": "25:00"}, {"opens": "Write a time as HH:MM:SS, in UTC."}),
    ({"link": "no uri"}, {"link": "Write a valid uri."}),
    ({"pin": "123"}, {"pin": "Write at least 4 characters."}),
    ({"author": "99"}, {"author": "There is no record 99."}),
    ({"author": "x"}, {"author": "Write the number of a record."}),
    ({"title": "", "pages": "x", "isbn": "1"}, {}),
]


@pytest.mark.parametrize(("fields", "messages"), WRONG)
@pytest.mark.parametrize("path", ["/browse/books/1/edit", "/browse/books/new"])
def test_messages_at_the_fields(admin: Site, fields: dict[str, Any], messages: dict[str, str], path: str) -> None:
    """What breaks a rule comes back with 422, each message at its field, all at once; what was written stays there."""
    admin.post("/browse/books/new", {"title": "Other", "isbn": "2222"})
    before = admin.everything()
    sent = {"title": "New", **fields} if path.endswith("new") else {**fields, "_version": "1"}
    page = admin.post(path, sent, 422)
    found = wrong(page)
    expected = messages or {
        "title": "This is needed.",
        "isbn": "This does not match the pattern ^[0-9]{4}$.",
        "pages": "Write a whole number of 64 bits.",
    }
    assert found == expected
    titles = {"title": "Title"}
    assert notes(page) == [f"Look again at {', '.join(titles.get(name, name) for name in found)}."]
    form = Sheet(page.forms[1])
    for name, value in fields.items():
        assert form[name].value == (value if name != "sold" else "true"), name
        control = re.search(rf'<(input|select|textarea)[^>]*id="field-{name}"[^>]*>', page.text)
        assert control
        assert ('aria-invalid="true"' in control[0]) == (name in found)
        assert (f'aria-describedby="wrong-{name}' in control[0]) == (name in found)
    assert admin.everything() == before


@pytest.mark.parametrize("name", ["nope", "id", "code", "cover", "_status", "_owner", "_created", "_do"])
def test_fields_that_a_form_does_not_have(admin: Site, name: str) -> None:
    """What a form does not show cannot be sent with it."""
    for path in ("/browse/books/1/edit", "/browse/books/new"):
        page = admin.post(path, {"title": "x", name: "1", "_version": "1"} if "edit" in path else {name: "1"}, 400)
        assert notes(page)[0].startswith(f"Unknown parameter '{name}'")
    admin.get(f"/browse/books/new?{name}=1", 400)


def test_form_without_version(admin: Site) -> None:
    """A form that does not say which version it was made for is refused."""
    for version in ("", "x", "-1", "9" * 20):
        assert (
            "use a form of the page"
            in notes(admin.post("/browse/books/1/edit", {"title": "x", "_version": version}, 400))[0]
        )
    admin.post("/browse/books/1/edit", {"title": "x"}, 400)


def test_conflict(site: Site) -> None:
    """Who saves what another has changed meanwhile is told what, keeps what only one of them changed, and decides."""
    admin, anna = site.sign_in(), site.sign_in("anna")
    form = admin.edit()
    form["title"], form["pages"], form["author"], form["seen"] = "Mine", "5", "", "2024-01-01T00:00"
    other = anna.edit()
    other["title"], other["shelves"], other["sold"] = "Between", ["c"], False
    other.submit()
    other = anna.edit()
    other["title"], other["author"], other["subjects"] = "Theirs", "2", []
    other.submit()
    before = admin.everything()
    page = form.submit(status=412)
    assert admin.everything() == before
    said = (
        "anna changed this record after you had opened the form; nothing of yours is saved yet."
        " In the form already is what you had left alone: sold: no; shelves: c; subjects: nothing."
        " Save stores the form as it stands here; Cancel leaves the record as it is now."
    )
    assert notes(page) == [said, "Look again at Title, author."]
    assert wrong(page) == {
        "title": "It was changed to: Theirs. Save puts what stands here over it.",
        "author": "It was changed to: Henry Thoreau. Save puts what stands here over it.",
    }
    again = Sheet(page.forms[1])
    assert (again["title"].value, again["pages"].value, again["_version"].value) == ("Mine", "5", "3")
    assert (again["shelves"].value, again["sold"].checked, again["subjects"].value) == (["c"], False, None)
    again.submit(status=303)
    kept = admin.stored("books", 1)
    assert [kept[name] for name in ("title", "pages", "sold", "author_id")] == ["Mine", 5, 0, None]
    assert kept["shelves"] == '["c"]'
    assert names(admin.get("/browse/books/1/links/subjects")) == []


def test_conflict_with_the_other_end_of_a_link(admin: Site) -> None:
    """What records at the other end have changed stands in their history, and is told of too: nothing is lost."""
    form, other = (admin.edit("/browse/authors/1/edit") for _ in range(2))
    other["name"] = "J. Austen"
    other.submit(status=303)
    admin.post("/browse/books/2/edit", {"_version": "1", "author": ""})
    page = form.submit(status=412)
    assert wrong(page) == {"books": "It was changed to: Emma. Save puts what stands here over it."}
    assert Sheet(page.forms[1])["name"].value == "J. Austen"


def test_conflict_with_a_long_history(clock: Clock) -> None:
    """Where history is too long to be read to its end, all that differs is shown with both values."""
    with closing(minirest.make_app(SCHEMA, users=PASSWORDS, clock=clock)) as app:
        admin = Site(app, clock).sign_in()
        form = admin.edit()
        form["pages"] = "5"
        for number in range(minirest.TIMELINE_SIZE + 1):
            admin.post("/browse/books/1/edit", {"title": f"T{number}", "_version": str(number + 1)})
        page = form.submit(status=412)
        assert wrong(page) == {"pages": "It was changed to: 300. Save puts what stands here over it."}
        assert notes(page)[0].startswith("admin changed this record")


def test_conflict_with_a_secret_and_a_file(admin: Site) -> None:
    """What is never shown is not shown here either; a file has to be chosen again, as after any other mistake."""
    sent = {"secret": "mine", "pin": "mine", "title": "Mine"}
    admin.post("/browse/books/1/edit", {"secret": "theirs", "_version": "1"})
    token = admin.token()
    for fields, status in (({**sent, "_version": "1"}, 412), ({"pages": "x", "_version": "2"}, 422)):
        files = [("cover", "a.txt", b"a")]
        page = admin.browser.post(
            "/browse/books/1/edit", {**fields, "_token": token}, upload_files=files, headers=HTML, status=status
        )
        assert wrong(page)["cover"] == "Choose the file again."
        assert "theirs" not in page.text
        if status == 412:
            said = "It was changed to: a value that is never shown. Save puts what stands here over it."
            assert wrong(page) == {"secret": said, "cover": "Choose the file again."}


def test_part_of_a_form(admin: Site) -> None:
    """A field that was not sent is not changed: a program may send just what it means."""
    before = admin.stored("books", 1)
    admin.post("/browse/books/1/edit", {"title": "Other", "_version": "1"})
    after = admin.stored("books", 1)
    assert {key for key in before if before[key] != after[key]} == {"title", "_version", "_modified_by"}


def test_new_record(admin: Site) -> None:
    """A form shows the defaults; what is left as it is gets them, and the new record is shown."""
    form = admin.edit("/browse/books/new?title=Hello&author=2&subjects=1&subjects=2")
    assert (form["title"].value, form["author"].value) == ("Hello", "2")
    assert sorted(form["subjects"].value) == ["1", "2"]
    assert (form["state"].value, form["signed"].checked, form["sold"].checked) == ("new", True, False)
    answer = form.submit(status=303)
    assert answer.headers["Location"] == "/browse/books/5?done=created"
    made = admin.stored("books", 5)
    shown = ("title", "author_id", "state", "signed", "sold", "code", "pages", "shelves", "_owner")
    assert [made[name] for name in shown] == ["Hello", 2, "new", 1, None, "X", None, None, 1]
    page = answer.follow()
    assert notes(page) == ["The record is made."]
    assert timeline(page)[0].startswith("admin made the record")
    form = admin.edit("/browse/books/new")
    form["title"], form["signed"], form["state"] = "Bare", False, ""
    form.submit(status=303)
    assert [admin.stored("books", 6)[name] for name in ("signed", "state")] == [0, None]


def test_needed_box(admin: Site) -> None:
    """A box that is not ticked is false where null is not allowed."""
    form = admin.edit("/browse/prices/new")
    form.submit(status=303)
    assert admin.stored("prices", 3)["sure"] == 0


def test_rules_of_the_whole_record(clock: Clock) -> None:
    """A rule that is no single field's stands above the form."""
    table = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "dependentRequired": {"a": ["b"]},
        "minProperties": 1,
    }
    with closing(minirest.make_app({"$defs": {"t": table}}, auth=False, clock=clock)) as app:
        site = Site(app, clock)
        assert notes(site.post("/browse/t/new", {"_token": site_token(app)}, 422))[0].startswith("Field")


def site_token(app: minirest.Application) -> str:
    """The token of a server that asks nobody."""
    return app.accounts.form_token(minirest.NOBODY)


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    """Return a site for many forms."""
    with closing(minirest.make_app(SCHEMA, users=PASSWORDS, clock=Clock())) as app:
        yield Site(app, Clock()).sign_in()


FIELD_NAMES = [name for name in SCHEMA["$defs"]["books"]["properties"] if name not in ("code", "cover", "pin")]
ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.sampled_from(
        ["[", "[1]", "null", "true", "1", "-1", "1e999", "\n", "\r", "#1", "2024-05-01", "{}", '"', "[[[["]
    ),
)


@given(st.dictionaries(st.sampled_from(FIELD_NAMES), ANY_TEXT, min_size=1, max_size=6))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_in_any_field(shared: Site, fields: dict[str, str]) -> None:
    """Whatever is written into a form is saved or comes back with messages; the form then shows what it showed."""
    version = shared.edit()["_version"].value
    page = shared.post("/browse/books/1/edit", {**fields, "_version": version}, status="*")
    assert page.status_int in (303, 422)
    if page.status_int == 303:
        before = shared.everything()
        shared.edit().submit(status=303)
        assert shared.everything() == before
        shared.get("/browse/books/1")
        shared.get("/browse/books?archived=all")
    else:
        assert wrong(page)


@given(
    st.dictionaries(
        st.sampled_from(["search", "sort", "page", "filter[title]", "filter[pages]", "filter[state]"]), ANY_TEXT
    )
)
@settings(max_examples=150)
def test_any_text_in_any_parameter(shared: Site, parameters: dict[str, str]) -> None:
    """Whatever a list is asked, it shows it or says what it cannot read."""
    page = shared.get("/browse/books?" + urlencode(parameters), status="*")
    assert page.status_int in (200, 400)
