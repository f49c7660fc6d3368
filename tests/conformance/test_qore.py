"""The numbered lines of the Qore dialect: one scenario each, answers compared as whole texts.

Left out are the page `/api_tokens` (2, 3, m) and what holds no request: 32 and 62.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import webtest

import minirest
from tests.web import Answer, Lines, dump, many, multipart, one, part, send

OLD = datetime(2026, 11, 22, 7, 38, 17, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 8, 0, 0, 250_000, tzinfo=UTC)
OLD_TEXT, NOW_TEXT = "2026-11-22T07:38:17.000000Z", "2026-11-23T08:00:00.250000Z"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=-x"
FIELDS = [
    ("name", "Name"),
    ("email", "second@qlic.nl"),
    ("tenants[]", "1"),
    ("tenants[]", "2"),
    ("age", "30"),
    ("active", "false"),
    ("skills[]", "code"),
    ("organization", "2"),
]
HOST = "http://localhost"
TEXT: dict[str, Any] = {"type": "string"}
LITTLE = {"HTTP_PREFER": "return:minimal"}
APPLIED = {"Vary": "Prefer", "Preference-Applied": "return=minimal"}


def table(title: str, examples: list[Any], properties: dict[str, Any], **words: Any) -> dict[str, Any]:
    """A table with its first records."""
    return {"type": "object", "title": title, "properties": properties, "examples": examples, **words}


USERS: list[dict[str, Any]] = [
    {"name": "Eva", "email": "eva@qlic.nl", "age": 41, "active": True, "organization": 1, "tenants": [1, 2]},
    {"name": "Peter", "email": "peter@qlic.nl", "age": 17, "active": False, "organization": 1, "born": "2009-03-01"},
    {"name": "100%_Jan", "email": "jan@qlic.nl", "organization": 2, "role": "admin", "skills": ["code"]},
]
ISSUES: list[dict[str, Any]] = [
    {"title": "Hello taak 1", "number": "PTA.23.0001", "project": 1},
    {"title": "Write it", "number": "PTA.23.0002", "project": 1, "milestone": 1},
    {"title": "Check it", "number": "PTA.23.0003", "project": 1, "milestone": 1},
    {"title": "Another", "number": "BRD.23.0001", "project": 2},
]
SCHEMA: dict[str, Any] = {
    "$defs": {
        "organizations": table(
            "Organizations",
            [{"name": "Qlic"}, {"name": "Agentur Süd"}, {}],
            {"name": TEXT, "users": many("users", **{"x-inverse": "organization"})},
        ),
        "tenants": table("Tenants", [{"name": "Production"}, {"name": "Acceptance"}], {"name": TEXT}),
        "users": table(
            "Users",
            USERS,
            {
                "name": {**TEXT, "title": "Name", "maxLength": 10},
                "email": {**TEXT, "title": "E-mail", "format": "email", "x-unique": True},
                "age": {"type": "integer", "title": "Age", "minimum": 0},
                "active": {"type": "boolean", "title": "Active"},
                "born": {**TEXT, "title": "Born", "format": "date"},
                "role": {"title": "Role", "enum": ["admin", "user"]},
                "skills": {"type": "array", "title": "Skills", "items": {"enum": ["code", "text"]}},
                "organization": one("organizations", title="Organization"),
                "tenants": many("tenants", title="Tenants"),
                "password": {**TEXT, "title": "Password", "format": "password", "writeOnly": True, "minLength": 3},
            },
            **{
                "required": ["name", "email"],
                "x-archive": True,
                "x-label": {"label": "name", "description": "email"},
                "x-columns": ["name", "organization", "age", "active", "born", "role", "skills"],
                "x-tabs": {"Mijn registraties": {"createdById": "$me"}, "Adults": {"age.$gte": 18}},
            },
        ),
        "projects": table("Projects", [{"name": "Portal"}, {"name": "Board"}], {"name": TEXT}),
        "milestones": table("Milestones", [{"title": "Prototype"}], {"title": TEXT}),
        "issues": table(
            "Issues",
            ISSUES,
            {
                "title": TEXT,
                "number": TEXT,
                "project": one("projects"),
                "milestone": one("milestones", title="Milestone"),
            },
            **{"x-label": {"label": "title", "description": "number"}},
        ),
        "time_entries": table(
            "Time entries",
            [{"hours": 2, "project": 2, "issue": 4}],
            {
                "hours": {"type": "number", "title": "Hours", "exclusiveMinimum": 0, "default": 1},
                "project": one("projects", title="Project"),
                "issue": one("issues", title="Issue"),
            },
            **{"x-options": {"issue": {"depends": "project", "group": "milestone"}}},
        ),
    }
}
COLUMNS = [
    ("name", "Name", "text", True, True),
    ("organization", "Organization", "belongs_to", True, True),
    ("age", "Age", "integer", True, True),
    ("active", "Active", "boolean", True, True),
    ("born", "Born", "date", True, True),
    ("role", "Role", "select", True, True),
    ("skills", "Skills", "multi_select", False, True),
]
TABLE = {
    "name": "users",
    "label": "Users",
    "columns": [
        dict(zip(("name", "label", "type", "sortable", "searchable"), column, strict=True)) for column in COLUMNS
    ],
    "tabs": [
        {"name": "mijn_registraties", "label": "Mijn registraties"},
        {"name": "adults", "label": "Adults"},
    ],
    "actions": [
        {"name": "delete_resource", "label": "Delete"},
        {"name": "archive_resource", "label": "Archive"},
        {"name": "restore_resource", "label": "Restore"},
    ],
}
ORGANIZATIONS = {1: {"value": 1, "label": "Qlic"}, 2: {"value": 2, "label": "Agentur Süd"}, 3: {"value": 3, "label": 3}}
TENANTS = {1: {"value": 1, "label": "Production"}, 2: {"value": 2, "label": "Acceptance"}}
ANN = {"name": "Ann", "email": "ann@qlic.nl"}


def linked(number: int | None) -> Any:
    """An organization as other records show it."""
    return ORGANIZATIONS[number] if number else None


def user(number: int, moment: str = "", **values: Any) -> dict[str, Any]:
    """All that a user shows."""
    given = {**(USERS[number - 1] if number <= len(USERS) else ANN), **values}
    shown = {name: given.get(name) for name in ("name", "email", "age", "active", "born", "role", "skills")}
    links = {
        "organization": linked(given.get("organization")),
        "tenants": [TENANTS[number] for number in given.get("tenants", [])],
    }
    made = OLD_TEXT if number <= len(USERS) else NOW_TEXT
    return {"id": number, **shown, **links, "created_at": made, "updated_at": moment or made}


def row(number: int) -> dict[str, Any]:
    """A user as a row of the table."""
    return {name: user(number)[name] for name in ("id", *(column[0] for column in COLUMNS))}


def page(path: str, rows: list[Any], total: int, size: int = 15, number: int = 1, query: str = "") -> dict[str, Any]:
    """A paginator with at most 13 pages."""
    last = max(1, -(-total // size))

    def url(page: int) -> str | None:
        return f"{HOST}{path}?{query}page={page}" if 1 <= page <= last else None

    def link(label: str, page: int, active: bool = False) -> dict[str, Any]:
        return {"url": url(page), "label": label, "page": page if url(page) else None, "active": active}

    return {
        "current_page": number,
        "data": rows,
        "first_page_url": url(1),
        "from": size * (number - 1) + 1 if rows else None,
        "last_page": last,
        "last_page_url": url(last),
        "links": [
            {
                **link("&laquo; Previous", number - 1),
                "url": f"{HOST}{path}?{query}page={number - 1}",
                "page": number - 1,
            }
            if number > 1
            else link("&laquo; Previous", 0),
            *(link(str(at), at, at == number) for at in range(1, last + 1)),
            link("Next &raquo;", number + 1),
        ],
        "next_page_url": url(number + 1),
        "path": HOST + path,
        "per_page": size,
        "prev_page_url": f"{HOST}{path}?{query}page={number - 1}" if number > 1 else None,
        "to": size * (number - 1) + len(rows) if rows else None,
        "total": total,
    }


def little(rows: list[Any], total: int, size: int = 15, number: int = 1) -> dict[str, Any]:
    """A minimal answer."""
    whole = page("", rows, total, size, number)
    return {name: whole[name] for name in ("data", "current_page", "last_page", "per_page", "total", "from", "to")}


def wrong(**errors: str | list[str]) -> dict[str, Any]:
    """The body of a 422; `__` stands for a dot."""
    listed = {name.replace("__", "."): [text] if isinstance(text, str) else text for name, text in errors.items()}
    texts = [text for found in listed.values() for text in found]
    more = len(texts) - 1
    counted = f" (and {more} more error{'s' if more > 1 else ''})" if more else ""
    return {"message": texts[0] + counted, "errors": listed}


def missing(model: str, key: object) -> dict[str, str]:
    """The body of a 404 for a record."""
    return {"message": f"No query results for model [App\\Models\\{model}] {key}"}


def no_route(path: str) -> dict[str, str]:
    """The body of a 404 for an address."""
    return {"message": f"The route {path} could not be found."}


class Web:
    """A client that compares status and the whole text of every answer."""

    def __init__(self) -> None:
        self.now = OLD
        self.app = minirest.make_app(
            SCHEMA, users={"admin": "open-sesame"}, clock=lambda: self.now, dialects=["nocobase", "qore"]
        )
        self.token = self.app.accounts.add_token("admin", "test")
        self.now = NOW

    def send(self, method: str, path: str, body: Any = None, kind: str = "", **headers: Any) -> Answer:
        """Send a request with the token, or with other headers."""
        given = {"HTTP_AUTHORIZATION": f"Bearer {self.token}", **headers}
        wanted = {name: value for name, value in given.items() if value is not None}
        return send(self.app, method, path, body, kind, **wanted)

    def expect(self, answer: Answer, expected: Any, status: int = 200) -> Answer:
        """Hold an answer against what it should be, down to the order of the keys."""
        text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
        assert (answer.status, answer.body.decode()) == (status, text)
        assert answer.headers["Content-Type"] == "application/json"
        return answer

    def get(self, path: str, expected: Any, body: Any = None, **headers: Any) -> Answer:
        """GET and compare."""
        return self.expect(self.send("GET", path, body, **headers), expected)

    def rows(self, body: Any, *numbers: int) -> None:
        """The table of users has these rows for a JSON body, all on one page."""
        self.get("/api/resources/users/table/users", little([row(n) for n in numbers], len(numbers)), body, **LITTLE)

    def write(self, method: str, path: str, body: Any, expected: Any, status: int = 200) -> Answer:
        """Send a body and compare."""
        return self.expect(self.send(method, path, body), expected, status)

    def refuse(self, status: int, expected: Any, method: str, path: str, body: Any = None, **headers: Any) -> Answer:
        """A request that is refused and changes nothing."""
        before = self.dump()
        answer = self.expect(self.send(method, path, body, **headers), expected, status)
        assert self.dump() == before
        return answer

    def dump(self) -> list[str]:
        """Everything that is stored, but when the token was used."""
        return [text for text in dump(self.app.store) if '"_tokens"' not in text]


@pytest.fixture
def web() -> Iterator[Web]:
    """Serve the data; requests come a day after the records."""
    web = Web()
    yield web
    web.app.close()


LINES = Lines()
line = LINES.line
API = "/api/resources/users"

# ---- documented statements ----


@line(1)
def bearer(web: Web) -> None:
    """Every request below works with a bearer token, and with nothing less."""
    web.get(f"{API}/1", {"data": user(1)}, **LITTLE)
    for path in ("/api/me", "/api/endpoints", "/api/global-search?query=e", API, f"{API}/table/users", f"{API}/1"):
        web.refuse(401, {"message": "Unauthenticated."}, "GET", path, HTTP_AUTHORIZATION=None)


def browser(web: Web) -> webtest.TestApp:
    """A browser in which the user has signed in, at a time whose cookies have not ended on the day of any test."""
    web.now = datetime(2096, 3, 1, 12, tzinfo=UTC)
    made = webtest.TestApp(web.app, extra_environ={"HTTP_ACCEPT": "text/html", "HTTP_HOST": "localhost"})
    form = made.get("/login").forms[0]
    form["name"], form["password"] = "admin", "open-sesame"
    assert form.submit().status_int == 303
    return made


def make_token(user: webtest.TestApp, name: str, day: str = "") -> tuple[webtest.TestResponse, str]:
    """The page after a token was made, and the token."""
    form = user.get("/api_tokens").forms[1]
    form["device_name"], form["expiration_date"] = name, day
    page = form.submit(status=201)
    return page, str(page.html.find(id="token").text)


@line(2)
def page_of_tokens(web: Web) -> None:
    """After signing in a page makes a token with a device's name, and a last day if one is wanted."""
    user = browser(web)
    assert set(user.get("/api_tokens").forms[1].fields) >= {"device_name", "expiration_date"}
    for day in ("", "2096-03-02"):
        _, token = make_token(user, "laptop", day)
        assert web.send("GET", "/api/me", HTTP_AUTHORIZATION=f"Bearer {token}").json["name"] == "admin"


@line(3)
def shown_once(web: Web) -> None:
    """A new token is on the page that follows, and never again."""
    user = browser(web)
    page, token = make_token(user, "laptop")
    assert page.text.count(token) == 1
    assert token not in user.get("/api_tokens").text


@line(4)
def me(web: Web) -> None:
    """The token's user."""
    shown = {"id": 1, "name": "admin", "email": None, "created_at": OLD_TEXT, "updated_at": OLD_TEXT, "title": "admin"}
    web.get("/api/me", shown)
    web.app.accounts.put_user("admin", display_name="Ad Min", email="ad@qlic.nl")
    web.get("/api/me", {**shown, "email": "ad@qlic.nl", "updated_at": NOW_TEXT, "title": "Ad Min"})


@line(5)
def endpoints(web: Web) -> None:
    """All routes, each of which there is."""
    answer = web.send("GET", "/api/endpoints")
    assert [(route["method"], route["uri"]) for route in answer.json] == [
        ("GET|HEAD", "api/me"),
        ("GET|HEAD", "api/endpoints"),
        ("GET|HEAD", "api/global-search"),
        ("POST", "api/resources/{resource}"),
        ("GET|HEAD", "api/resources/{resource}/create"),
        ("GET|HEAD", "api/resources/{resource}/table/{table}"),
        ("GET|HEAD", "api/resources/{resource}/logs/{key}"),
        ("GET|HEAD", "api/resources/{resource}/field/{field}/options"),
        ("POST", "api/resources/{resource}/actions/{action}/{key}"),
        ("GET|HEAD", "api/resources/{resource}/{key}"),
        ("PUT", "api/resources/{resource}/{key}"),
        ("GET|HEAD", "api/resources/{resource}/{key}/edit"),
        ("PUT", "api/resources/{resource}/{key}/inline/{field}"),
    ]
    names = {"resource": "users", "table": "users", "key": "1", "field": "role", "action": "archive_resource"}
    for route in answer.json:
        method, path = route["method"].split("|")[0], "/" + route["uri"].format_map(names)
        assert web.send(method, path).status in (200, 422), route


@line(6)
def show_table(web: Web) -> None:
    """Rows with what the table says of itself."""
    answer = web.get(f"{API}/table/users", {**TABLE, **page(f"{API}/table/users", [row(1), row(2), row(3)], 3)})
    assert answer.headers["Vary"] == "Prefer"
    assert "Preference-Applied" not in answer.headers


@line(7)
def table_is_resource(web: Web) -> None:
    """The table has the name of the resource; there is no other."""
    assert web.send("GET", "/api/resources/tenants/table/tenants").json["name"] == "tenants"
    path = "api/resources/users/table/tenants"
    web.refuse(404, no_route(path), "GET", f"/{path}")


@line(8)
def minimal(web: Web) -> None:
    """`Prefer: return:minimal` leaves the rows."""
    answer = web.get(f"{API}/table/users", little([row(1), row(2), row(3)], 3), **LITTLE)
    assert {name: answer.headers[name] for name in APPLIED} == APPLIED


@line(9)
def body_of_table(web: Web) -> None:
    """The document's own body on GET."""
    web.write("POST", "/api/resources/users", {**ANN, "organization": 1}, {"data": user(4, organization=1)}, 201)
    body = {
        "tab": "Mijn registraties",
        "search_columns": {"name": "n", "organization": [1]},
        "sort_column": "name",
        "sort_direction": "ascending",
        "per_page": 100,
        "page": 1,
    }
    ann = {**row(4), "organization": linked(1)}
    web.get(f"{API}/table/users", little([ann], 1, 100), body, **LITTLE)
    others = {**body, "tab": None, "search_columns": {"name": "e", "organization": [1, 3]}}
    web.get(f"{API}/table/users", little([row(1), row(2)], 2, 100), others, **LITTLE)
    down = {**others, "sort_direction": "descending", "per_page": 1, "page": 2}
    web.get(f"{API}/table/users", little([row(1)], 2, 1, 2), down, **LITTLE)


@line(10)
def search_columns(web: Web) -> None:
    """Text for a text column, a list of ids for a relation."""
    web.rows({"search_columns": {"name": "E"}}, 1, 2)
    web.rows({"search_columns": {"organization": [2]}}, 3)
    web.rows({"search_columns": {"organization": [2, 1], "name": "a"}}, 1, 3)


@line(11)
def visible_columns(web: Web) -> None:
    """Search and sort see only what the table shows."""
    reason = "There is no column 'email'."
    for body, name in (
        ({"search_columns": {"email": "e"}}, "search_columns__email"),
        ({"sort_column": "email"}, "sort_column"),
    ):
        text = f"The selected {name.replace('__', '.').replace('_', ' ')} is invalid. {reason}"
        web.refuse(422, wrong(**{name: text}), "GET", f"{API}/table/users", body)


@line(12)
def detail(web: Web) -> None:
    """One object; less of it when that is preferred."""
    types = {column[0]: column[1:3] for column in COLUMNS} | {
        "email": ("E-mail", "email"),
        "tenants": ("Tenants", "belongs_to_many"),
        "created_at": ("Created at", "datetime"),
        "updated_at": ("Updated at", "datetime"),
    }
    fields = [
        {"name": name, "label": types[name][0], "type": types[name][1], "value": value}
        for name, value in user(1).items()
        if name != "id"
    ]
    whole = {"title": "Eva", "description": "eva@qlic.nl", "fields": fields, "actions": TABLE["actions"]}
    answer = web.get(f"{API}/1", {**whole, "data": user(1)})
    assert (answer.headers["Vary"], "Preference-Applied" in answer.headers) == ("Prefer", False)
    answer = web.get(f"{API}/1", {"data": user(1)}, **LITTLE)
    assert {name: answer.headers[name] for name in APPLIED} == APPLIED


@line(13)
def create(web: Web) -> None:
    """The document's own body; list fields set relations."""
    body: dict[str, Any] = {"name": "Name", "email": "example@qlic.nl", "tenants": [1]}
    web.write("POST", API, body, {"data": user(4, **body)}, 201)
    web.get(f"{API}/4", {"data": user(4, **body)}, **LITTLE)


@line(14)
def create_by_form(web: Web) -> None:
    """The same as form data; its texts are read by the kinds of the fields."""
    form = b"name=Name&email=example%40qlic.nl&tenants[]=1&tenants[]=2&age=30&active=false&skills[]=code&organization=2"
    values: dict[str, Any] = {"name": "Name", "email": "example@qlic.nl", "tenants": [1, 2], "age": 30, "active": False}
    expected = user(4, **values, skills=["code"], organization=2)
    web.expect(web.send("POST", API, form, FORM), {"data": expected}, 201)
    parts = [part(name, value.encode()) for name, value in FIELDS]
    expected = user(5, **{**values, "email": "second@qlic.nl"}, skills=["code"], organization=2)
    web.expect(web.send("POST", API, multipart(*parts), MULTIPART), {"data": expected}, 201)


@line(15)
def update(web: Web) -> None:
    """PUT changes."""
    body: dict[str, Any] = {"name": "Name", "email": "example@qlic.nl", "tenants": [1]}
    web.write("PUT", f"{API}/1", body, {"data": user(1, NOW_TEXT, **body)})
    web.get(f"{API}/1", {"data": user(1, NOW_TEXT, **body)}, **LITTLE)


@line(16)
def update_by_form(web: Web) -> None:
    """A form is posted to the same path, with `_method=PUT` in it."""
    form = b"_method=PUT&name=Name&tenants[]=2"
    changed = {"data": user(1, NOW_TEXT, name="Name", tenants=[2])}
    web.expect(web.send("POST", f"{API}/1", form, FORM), changed)
    whole = multipart(part("_method", b"PUT"), part("name", b"Name"), part("tenants[]", b"2"))
    web.expect(web.send("POST", f"{API}/1", whole, MULTIPART), changed)


@line(17)
def inline(web: Web) -> None:
    """One field alone."""
    web.write("PUT", f"{API}/1/inline/name", {"name": "New name"}, {"data": user(1, NOW_TEXT, name="New name")})
    tenants = {"data": user(1, NOW_TEXT, name="New name", tenants=[2])}
    web.write("PUT", f"{API}/1/inline/tenants", {"tenants": [2]}, tenants)


@line(18)
def actions(web: Web) -> None:
    """An action on one object: those that are always there, and functions of an embedding program."""
    called: list[Any] = []

    @web.app.action("users", "send_invoice")
    def send_invoice(number: int, values: Any, actor: minirest.Actor) -> str | None:
        called.append((number, values, actor.name))
        return "Sent." if values else None

    web.write("POST", f"{API}/actions/send_invoice/2", {"to": " a ", "_method": "POST"}, {"message": "Sent."})
    web.write("POST", f"{API}/actions/send_invoice/1", None, {"message": "Done."})
    assert called == [(2, {"to": "a"}, "admin"), (1, {}, "admin")]
    shown = web.send("GET", f"{API}/1").json["actions"]
    assert shown == [*TABLE["actions"], {"name": "send_invoice", "label": "Send invoice"}]
    web.write("POST", f"{API}/actions/archive_resource/1", {}, {"message": "Archived."})
    web.rows({}, 2, 3)
    web.write("POST", f"{API}/actions/restore_resource/1", {}, {"message": "Restored."})
    web.rows({}, 1, 2, 3)


@line(19)
def delete(web: Web) -> None:
    """Deleting is an action, not a method."""
    web.write("POST", f"{API}/actions/delete_resource/1", None, {"message": "Deleted."})
    web.rows({}, 2, 3)
    assert web.refuse(405, message_of_405("DELETE", f"{API}/2", "GET, HEAD, PUT"), "DELETE", f"{API}/2")


@line(20)
def logs(web: Web) -> None:
    """What happened to an object."""
    web.write("PUT", f"{API}/2", {"age": 18}, {"data": user(2, NOW_TEXT, age=18)})
    entries = [
        entry(web, 0, "updated", "age", 17, 18, {"id": 1, "title": "admin"}, NOW_TEXT),
        entry(web, 1, "created", None, None, USERS[1], None, OLD_TEXT),
    ]
    web.get(f"{API}/logs/2", page(f"{API}/logs/2", entries, 2))


def entry(web: Web, back: int, *values: Any) -> dict[str, Any]:
    """One entry of the newest object's log: the number of entries after it, and what it says."""
    query = (
        "select id from _history where record=2 and tag=(select tag from _history where field='age') order by id desc"
    )
    number = web.app.store.database.writer.execute(query).fetchall()[back][0]
    names = ("description", "field", "value_old", "value_new", "user", "created_at")
    shown = dict(zip(names, values, strict=True))
    if shown["description"] == "created":  # in the order of the schema file
        order = [*user(1)]
        shown["value_new"] = dict(sorted(shown["value_new"].items(), key=lambda pair: order.index(pair[0])))
    return {"id": number, **shown}


@line(21)
def options(web: Web) -> None:
    """The options of a relation and of a select."""
    shown = [(3, 3), ("Agentur Süd", 2), ("Qlic", 1)]
    listed = [{"label": label, "description": None, "value": value} for label, value in shown]
    web.get(f"{API}/field/organization/options", listed)
    roles = [{"label": role, "description": None, "value": role} for role in ("admin", "user")]
    web.get(f"{API}/field/role/options", roles)


RELOAD: dict[str, Any] = {
    "initial_request": False,
    "field": "issue",
    "state": {"project": 1},
    "action": {"name": "reloadRelatedOptions"},
}
OF_PORTAL = [
    {"group": "Geen Milestone", "disable": True},
    {"label": "Hello taak 1", "description": "PTA.23.0001", "value": 1},
    {"group": "Prototype", "disable": True},
    {"label": "Check it", "description": "PTA.23.0003", "value": 3},
    {"label": "Write it", "description": "PTA.23.0002", "value": 2},
]
OF_BOARD = [
    {"group": "Geen Milestone", "disable": True},
    {"label": "Another", "description": "BRD.23.0001", "value": 4},
]


@line(22)
def dependent_options(web: Web) -> None:
    """The document's own body: the options of `issue` for a state; the edit form does the same."""
    for form in ("create", "1/edit"):
        path = f"/api/resources/time_entries/{form}"
        answer = web.get(path, {"issue": {"relatedOptions": OF_PORTAL}}, RELOAD, **LITTLE)
        assert {name: answer.headers[name] for name in APPLIED} == APPLIED
        other = {**RELOAD, "state": {"project": 2}}
        web.get(path, {"issue": {"relatedOptions": OF_BOARD}}, other, **LITTLE)


@line(23)
def groups(web: Web) -> None:
    """The entries are headings or options."""
    shown = web.send("GET", "/api/resources/time_entries/create", RELOAD, **LITTLE).json["issue"]["relatedOptions"]
    assert shown[:2] == [
        {"group": "Geen Milestone", "disable": True},
        {"label": "Hello taak 1", "description": "PTA.23.0001", "value": 1},
    ]


def found(resource: str, label: str, *results: tuple[int, Any, Any]) -> dict[str, Any]:
    """What a search found in one resource."""
    shown = [dict(zip(("id", "title", "description"), result, strict=True)) for result in results]
    return {"resource": resource, "label": label, "results": shown}


@line(24)
def global_search(web: Web) -> None:
    """Matches over all resources."""
    users = [(number, USERS[number - 1]["name"], USERS[number - 1]["email"]) for number in (1, 2, 3)]
    expected = [
        found("organizations", "Organizations", (2, "Agentur Süd", None)),
        found("tenants", "Tenants", (2, "Acceptance", None)),
        found("users", "Users", *users[:2]),
        found("milestones", "Milestones", (1, "Prototype", None)),
        found(
            "issues",
            "Issues",
            (1, "Hello taak 1", "PTA.23.0001"),
            (2, "Write it", "PTA.23.0002"),
            (3, "Check it", "PTA.23.0003"),
            (4, "Another", "BRD.23.0001"),
        ),
    ]
    web.get("/api/global-search?query=e", expected)


# ---- behaviour told elsewhere ----


@line(30)
def names_of_resources(web: Web) -> None:
    """A resource has the name of its table, in any case; the class is the singular in StudlyCase."""
    web.get("/api/resources/Time_Entries/1", web.send("GET", "/api/resources/time_entries/1").json)
    web.refuse(404, missing("TimeEntry", 9), "GET", "/api/resources/time_entries/9")
    web.refuse(404, no_route("api/resources/timeentries/1"), "GET", "/api/resources/timeentries/1")


@line(31)
def titles(web: Web) -> None:
    """The title is the id where there is no other; the description stands beside it in options."""
    assert web.send("GET", "/api/resources/organizations/3").json["title"] == 3
    label = [{"label": 3, "description": None, "value": 3}]
    web.get(f"{API}/field/organization/options?limit=1", label)
    issue = [{"label": "Another", "description": "BRD.23.0001", "value": 4}]
    web.get("/api/resources/time_entries/field/issue/options?search=other", issue)


@line(33)
def what_is_logged(web: Web) -> None:
    """Create, update, relations, actions; an unchanged value writes nothing; a deleted record has no log."""
    admin = {"id": 1, "title": "admin"}
    web.send("POST", API, {**ANN, "tenants": [1]})
    web.send("PUT", f"{API}/4", {"name": "Ann", "age": 5})
    web.send("PUT", f"{API}/4", {"tenants": [2]})
    web.send("POST", f"{API}/actions/archive_resource/4")
    names = ("description", "field", "value_old", "value_new", "user", "created_at")
    shown = [tuple(entry[name] for name in names) for entry in web.send("GET", f"{API}/logs/4").json["data"]]
    assert shown == [
        ("archived", "_status", 0, 1, admin, NOW_TEXT),
        ("updated", "tenants", [1], [2], admin, NOW_TEXT),
        ("updated", "age", None, 5, admin, NOW_TEXT),
        ("created", None, None, {**ANN, "tenants": [1]}, admin, NOW_TEXT),
    ]
    web.send("POST", f"{API}/actions/delete_resource/4")
    web.refuse(404, missing("User", 4), "GET", f"{API}/logs/4")


@line(34)
def of_fields(web: Web) -> None:
    """Text is found inside; passwords are hashed, never shown, and skipped when empty; options can be searched."""
    web.rows({"search_columns": {"name": "ET"}}, 2)
    web.write("PUT", f"{API}/1", {"password": "secret"}, {"data": user(1, NOW_TEXT)})
    query = "select password from users where id=1"
    (stored,) = web.app.store.database.writer.execute(query).fetchone()
    assert minirest.verify_password("secret", stored)
    for empty in ("", None):
        web.write("PUT", f"{API}/1", {"password": empty}, {"data": user(1, NOW_TEXT)})
    assert web.app.store.database.writer.execute(query).fetchone() == (stored,)
    web.get(
        f"{API}/field/organization/options?search=S%C3%9CD", [{"label": "Agentur Süd", "description": None, "value": 2}]
    )


@line(35)
def actions_validate(web: Web) -> None:
    """An action may have fields of its own, which it validates."""

    @web.app.action("users", "invite")
    def invite(number: int, values: Any, actor: minirest.Actor) -> str | None:
        if "to" not in values:
            raise minirest.fail("required", ["to"])
        return f"Invited {values['to']}."

    web.write("POST", f"{API}/actions/invite/1", {"to": "x"}, {"message": "Invited x."})
    web.refuse(422, wrong(to="The to field is required."), "POST", f"{API}/actions/invite/1", {})


# ---- authentication ----


@line(40)
def unauthenticated(web: Web) -> None:
    """No, an unknown or an expired token: 401 without a challenge."""
    expired = web.app.accounts.add_token("admin", "old", minirest.moment_text(NOW - timedelta(seconds=1)))
    for header in (None, "Bearer", "Bearer nope", f"Bearer {web.token}x", f"Bearer {expired}"):
        answer = web.refuse(401, {"message": "Unauthenticated."}, "GET", "/api/me", HTTP_AUTHORIZATION=header)
        assert "WWW-Authenticate" not in answer.headers


@line(41)
def tokens(web: Web) -> None:
    """A token with its id before it, or alone; with another id it is none."""
    for token, status in ((f"1|{web.token}", 200), (web.token, 200), (f"2|{web.token}", 401), (f"1|{web.token}x", 401)):
        assert web.send("GET", "/api/me", HTTP_AUTHORIZATION=f"Bearer {token}").status == status


@line(42)
def case_of_bearer(web: Web) -> None:
    """The word is read in any case; text behind a comma is cut off."""
    for header in (f"bearer {web.token}", f"BEARER {web.token}", f"Bearer {web.token},x"):
        assert web.send("GET", "/api/me", HTTP_AUTHORIZATION=header).status == 200


@line(43)
def use_of_tokens(web: Web) -> None:
    """A token knows when it was used last, and may end."""
    end = minirest.moment_text(NOW + timedelta(hours=1))
    token = web.app.accounts.add_token("admin", "phone", end)
    header = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert web.send("GET", "/api/me", **header).status == 200
    assert web.app.accounts.tokens()[1][2:6] == ("phone", token[:8], end, minirest.moment_text(NOW))
    web.now = NOW + timedelta(hours=1)
    assert web.send("GET", "/api/me", **header).status == 401


@line(44)
def always_json(web: Web) -> None:
    """Whatever is accepted, errors are JSON."""
    html = {"HTTP_ACCEPT": "text/html"}
    web.refuse(401, {"message": "Unauthenticated."}, "GET", "/api/me", HTTP_AUTHORIZATION=None, **html)
    name = "The name field is required."
    web.refuse(422, wrong(name=name, email="The email field is required."), "POST", API, {}, **html)


# ---- errors ----


@line(45)
def unknown_id(web: Web) -> None:
    """An unknown id names the class."""
    for key in ("999", "abc", "1,2", "0", "-1", "1" * 30):
        web.refuse(404, missing("User", key), "GET", f"{API}/{key}")
        web.refuse(404, missing("User", key), "PUT", f"{API}/{key}", {"name": "x"})
        web.refuse(404, missing("User", key), "PUT", f"{API}/{key}/inline/name", {"name": "x"})
        web.refuse(404, missing("User", key), "POST", f"{API}/actions/delete_resource/{key}")


@line(46)
def unknown_route(web: Web) -> None:
    """An unknown route says which."""
    for path in (
        "api/me/x",
        "api/resources",
        "api/resources/nope/1",
        "api/resources/users/1/nope",
        "api/endpoints/1/2",
        "api/resources/users/field/nope/options",
        "api/resources/users/actions/nope/1",
    ):
        method = "POST" if "actions" in path else "GET"
        web.refuse(404, no_route(path), method, f"/{path}")


def message_of_405(method: str, path: str, allowed: str) -> dict[str, str]:
    """The body of a 405."""
    text = f"The {method} method is not supported for route {path.strip('/')}. Supported methods: {allowed}."
    return {"message": text}


@line(47)
def wrong_method(web: Web) -> None:
    """A wrong method is told the right ones, also in `Allow`."""
    for method, path, allowed in (
        ("DELETE", f"{API}/1", "GET, HEAD, PUT"),
        ("PATCH", f"{API}/1", "GET, HEAD, PUT"),
        ("POST", f"{API}/1", "GET, HEAD, PUT"),
        ("GET", API, "POST"),
        ("POST", "/api/me", "GET, HEAD"),
        ("GET", f"{API}/actions/delete_resource/1", "POST"),
    ):
        answer = web.refuse(405, message_of_405(method, path, allowed), method, path)
        assert answer.headers["Allow"] == allowed


@line(48)
def other_errors(web: Web) -> None:
    """A defect is a `Server Error`, with the number under which the log has it."""
    web.app.store.run_for = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    answer = web.send("GET", f"{API}/1")
    assert answer.status == 500
    assert re.fullmatch(r'\{"message":"Server Error","request":"[0-9a-f]{16}"\}', answer.body.decode())


@line(49)
def validation(web: Web) -> None:
    """The texts of validation, with the first one and the number of the others before them."""
    web.refuse(422, wrong(name="The name field is required."), "POST", API, {"email": "x@qlic.nl"})
    taken = wrong(email="The email has already been taken.")
    web.refuse(422, taken, "POST", API, {"name": "x", "email": "eva@qlic.nl"})
    errors = wrong(
        name="The name field must not be greater than 10 characters.",
        email="The email field must be a valid email address.",
        organization="The selected organization is invalid.",
        tenants="The tenants field must be an array.",
    )
    body = {"tenants": 1, "organization": 99, "email": "x", "name": "x" * 11}
    web.refuse(422, errors, "POST", API, body)
    assert errors["message"] == "The name field must not be greater than 10 characters. (and 3 more errors)"
    two = wrong(name="The name field is required.", email="The email field is required.")
    assert two["message"] == "The name field is required. (and 1 more error)"
    web.refuse(422, two, "POST", API, {})


@line(50)
def nested_keys(web: Web) -> None:
    """Keys of lists have dots; the order is that of the fields; all are reported at once."""
    body = {"tenants": [1, 99, "x"], "skills": ["nope", "code"], "age": -1, "name": None}
    errors = wrong(
        name="The name field is required.",
        age="The age field must be at least 0.",
        skills__0="The selected skills.0 is invalid.",
        tenants__1="The selected tenants.1 is invalid.",
        tenants__2="The selected tenants.2 is invalid.",
    )
    web.refuse(422, errors, "PUT", f"{API}/1", body)


@line(51)
def broken_json(web: Web) -> None:
    """Broken JSON is an empty input, so the required fields are missing."""
    errors = wrong(name="The name field is required.", email="The email field is required.")
    for method, path in (("POST", API), ("PUT", f"{API}/1")):
        web.refuse(422, errors, method, path, b'{"name": "x')
    web.refuse(422, wrong(age="The age field is required."), "PUT", f"{API}/1/inline/age", b"{")


# ---- input ----


@line(52)
def body_and_query(web: Web) -> None:
    """A JSON body counts on GET by its content type, and goes before the query; the query works alone."""
    web.get(f"{API}/table/users", little([row(2)], 1), {"search_columns": {"name": "pet"}}, **LITTLE)
    body = json.dumps({"search_columns": {"name": "pet"}}).encode()
    everybody = little([row(1), row(2), row(3)], 3)
    for kind, expected in (
        ("application/problem+json", little([row(2)], 1)),
        ("text/plain", everybody),
        (FORM, everybody),
    ):
        web.expect(web.send("GET", f"{API}/table/users", body, kind, **LITTLE), expected)
    both = f"{API}/table/users?search_columns[name]=e&per_page=2&page=1"
    web.get(both, little([row(1), row(2)], 2, 2), **LITTLE)
    web.get(both, little([row(1)], 2, 1), {"per_page": 1}, **LITTLE)
    web.get(f"{API}/table/users?search_columns[organization][]=2&sort_column=name", little([row(3)], 1), **LITTLE)


@line(53)
def method_override(web: Web) -> None:
    """`_method` counts on POST only, in a JSON body, a form or a header."""
    expected = {"data": user(1, NOW_TEXT, age=1)}
    web.write("POST", f"{API}/1", {"_method": "PUT", "age": 1}, expected)
    web.expect(web.send("POST", f"{API}/1", b"_method=put&age=1", FORM), expected)
    web.expect(web.send("POST", f"{API}/1", {"age": 1}, HTTP_X_HTTP_METHOD_OVERRIDE="PUT"), expected)
    message = message_of_405("DELETE", f"{API}/1", "GET, HEAD, PUT")
    web.refuse(405, message, "POST", f"{API}/1", {"_method": "DELETE"})
    get = web.send("GET", f"{API}/1", HTTP_X_HTTP_METHOD_OVERRIDE="DELETE", **LITTLE)
    web.expect(get, expected)


@line(54)
def multipart_on_a_put(web: Web) -> None:
    """PHP reads no multipart on a real PUT; ours does."""
    answer = web.send("PUT", f"{API}/1", multipart(part("age", b"1")), MULTIPART)
    web.expect(answer, {"data": user(1, NOW_TEXT, age=1)})


@line(55)
def trimmed(web: Web) -> None:
    """Texts lose the blanks around them, the empty text is null; passwords are left as they are."""
    body = {"name": "  Ann\t", "email": " ann@qlic.nl ", "role": "", "password": " x y "}
    web.write("POST", API, body, {"data": user(4)}, 201)
    (stored,) = web.app.store.database.writer.execute("select password from users where id=4").fetchone()
    assert minirest.verify_password(" x y ", stored)
    web.refuse(422, wrong(name="The name field is required."), "PUT", f"{API}/4", {"name": "  "})


@line(56)
def slashes(web: Web) -> None:
    """A slash at the end is the same route; HEAD wherever GET; OPTIONS says what there is."""
    web.get(f"{API}/1/", {"data": user(1)}, **LITTLE)
    whole = page(f"{API}/table/users", [row(1), row(2), row(3)], 3)
    web.get(f"{API}/table/users/", {**TABLE, **whole})
    head = web.send("HEAD", f"{API}/1", **LITTLE)
    assert (head.status, head.body) == (200, b"")
    assert head.headers == web.send("GET", f"{API}/1", **LITTLE).headers
    for path, allowed in ((f"{API}/1", "GET,HEAD,PUT"), (f"{API}/", "POST"), ("/api/me", "GET,HEAD")):
        answer = web.send("OPTIONS", path, HTTP_AUTHORIZATION=None)
        assert (answer.status, answer.body, answer.headers["Allow"]) == (200, b"", allowed)


# ---- output ----


@line(57)
def output(web: Web) -> None:
    """201 for a new model, 200 for a PUT; Laravel's timestamps and headers; no password."""
    answer = web.write("POST", API, {**ANN, "password": "secret"}, {"data": user(4)}, 201)
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        "application/json",
        "no-cache, private",
    )
    assert (answer.json["data"]["created_at"], "password" in answer.json["data"]) == (
        "2026-11-23T08:00:00.250000Z",
        False,
    )
    answer = web.write("PUT", f"{API}/2", {"age": 18}, {"data": user(2, NOW_TEXT, age=18)})
    assert answer.json["data"]["created_at"] == "2026-11-22T07:38:17.000000Z"
    assert web.send("GET", f"{API}/9").headers["Cache-Control"] == "no-cache, private"


@line(58)
def paginator(web: Web) -> None:
    """The keys of the paginator in their order; addresses are absolute, and with the query where there is one."""
    path = f"{API}/table/users"
    web.get(path, {**TABLE, **page(path, [row(3)], 3, 2, 2)}, {"per_page": 2, "page": 2})
    web.get(f"{path}?per_page=2&page=2", {**TABLE, **page(path, [row(3)], 3, 2, 2, "per_page=2&")})


def fill(web: Web, count: int) -> None:
    """Make many tenants at once."""
    numbers = "with recursive c(n) as (select 3 union all select n+1 from c where n<?) select n, n from c"
    with web.app.store.database.writing() as connection:
        connection.execute(f"insert into tenants (id, name) {numbers}", (count,))


@line(59)
def links(web: Web) -> None:
    """Up to 13 pages all are listed; of more the ends, and those around the current one."""
    fill(web, 130)
    path = "/api/resources/tenants/table/tenants"

    def listed(number: int) -> str:
        answer = web.send("GET", path, {"per_page": 10, "page": number}).json
        before, *pages, after = answer["links"]
        assert (before["label"], after["label"]) == ("&laquo; Previous", "Next &raquo;")
        assert (before["url"], after["url"]) == (answer["prev_page_url"], answer["next_page_url"])
        assert [entry["label"] for entry in pages if entry["active"]] == [str(number)]
        for entry in pages:
            if entry["label"] == "...":
                assert entry == {"url": None, "label": "...", "active": False}
            else:
                url = f"{HOST}{path}?page={entry['label']}"
                assert [*entry.items()][:3] == [("url", url), ("label", entry["label"]), ("page", int(entry["label"]))]
        return " ".join(entry["label"] for entry in pages)

    assert listed(5) == " ".join(map(str, range(1, 14)))
    fill_more = "insert into tenants (id, name) select id+1000, name from tenants where id<=70"
    with web.app.store.database.writing() as connection:
        connection.execute(fill_more)
    assert listed(1) == listed(7) == "1 2 3 4 5 6 7 8 9 10 ... 19 20"
    assert listed(8) == "1 2 ... 5 6 7 8 9 10 11 ... 19 20"
    assert listed(13) == "1 2 ... 10 11 12 13 14 15 16 ... 19 20"
    assert listed(14) == listed(20) == "1 2 ... 11 12 13 14 15 16 17 18 19 20"


@line(60)
def page_numbers(web: Web) -> None:
    """What is no page number is page 1; behind the end there is nothing, and the number is kept."""
    wrong_numbers: list[Any] = [0, -1, "x", "", None, [], 1.5, "1"]
    for given in wrong_numbers:
        web.get(f"{API}/table/users", little([row(1), row(2)], 3, 2), {"per_page": 2, "page": given}, **LITTLE)
    for query in ("page=0", "page=x", "page=", "page"):
        web.get(f"{API}/table/users?per_page=2&{query}", little([row(1), row(2)], 3, 2), **LITTLE)
    path = f"{API}/table/users"
    web.get(path, {**TABLE, **page(path, [], 3, 2, 9)}, {"per_page": 2, "page": 9})
    web.get("/api/resources/tenants/table/tenants?search_columns[name]=zz", little([], 0), **LITTLE)


@line(61)
def per_page(web: Web) -> None:
    """15 unless another number is asked for, 0 being none; 1000 at most; what is no number is refused."""
    fill(web, 1200)
    path = "/api/resources/tenants/table/tenants"
    for given, size in ((None, 15), (0, 15), ("0", 15), (3, 3), ("3", 3), (1000, 1000), (1001, 1000), (10**8, 1000)):
        shown = web.send("GET", path, {"per_page": given}, **LITTLE).json
        assert (shown["per_page"], len(shown["data"])) == (size, size)
    text = "The selected per page is invalid. Write a whole number, at most 1000."
    for wrong_size in (-1, "x", "-3", 1.5, True, [1], {"a": 1}):
        web.refuse(422, wrong(per_page=text), "GET", path, {"per_page": wrong_size})


@line(63)
def form_of_routes(web: Web) -> None:
    """A route as `artisan route:list --json` shows it."""
    assert web.send("GET", "/api/endpoints").json[0] == {
        "domain": None,
        "method": "GET|HEAD",
        "uri": "api/me",
        "name": None,
        "action": "Qore@show_me",
        "middleware": ["api", "auth:sanctum"],
    }


# ---- recommendations ----


@line("a")
def prefer(web: Web) -> None:
    """Both spellings of the header, in any case, among others."""
    whole = web.send("GET", f"{API}/1").json
    for header in (
        "return:minimal",
        "return=minimal",
        "RETURN=Minimal",
        "wait=5, return=minimal",
        'return="minimal"; x',
    ):
        answer = web.get(f"{API}/1", {"data": user(1)}, HTTP_PREFER=header)
        assert {name: answer.headers[name] for name in APPLIED} == APPLIED
    for header in ("return=representation", "minimal", "xreturn=minimal", "return=minimally", ""):
        answer = web.get(f"{API}/1", whole, HTTP_PREFER=header)
        assert (answer.headers["Vary"], "Preference-Applied" in answer.headers) == ("Prefer", False)


@line("b")
def form_of_table(web: Web) -> None:
    """The whole answer of a table, and the minimal one; a table without words of its own shows scalars and links."""
    path = "/api/resources/issues/table/issues"
    answer = web.send("GET", path)
    names = ("name", "label", "columns", "tabs", "actions", *page("", [], 0))
    assert list(answer.json) == list(names)
    assert [column["name"] for column in answer.json["columns"]] == ["title", "number", "project", "milestone"]
    assert answer.json["actions"] == TABLE["actions"][:1]
    rows = [
        {
            "id": 1,
            "title": "Hello taak 1",
            "number": "PTA.23.0001",
            "project": {"value": 1, "label": "Portal"},
            "milestone": None,
        }
    ]
    web.get(f"{path}?per_page=1", little(rows, 4, 1), **LITTLE)


@line("c")
def form_of_detail(web: Web) -> None:
    """The whole answer of a record, and the minimal one."""
    answer = web.send("GET", f"{API}/1").json
    assert list(answer) == ["title", "description", "fields", "actions", "data"]
    assert {field["name"]: field["value"] for field in answer["fields"]} | {"id": 1} == answer["data"]


@line("d")
def directions(web: Web) -> None:
    """Four words for the direction; ties by id; what there is not is refused by its name."""
    for word, order in (("ascending", (2, 1)), ("asc", (2, 1)), ("descending", (1, 2)), ("DESC", (1, 2))):
        web.rows({"sort_column": "age", "sort_direction": word, "search_columns": {"organization": [1]}}, *order)
    web.rows({"sort_column": "organization"}, 3, 1, 2)
    web.rows({"sort_direction": "descending"}, 3, 2, 1)
    unknown = "There is no column 'nmae'. Did you mean 'name'?"
    refused: list[tuple[dict[str, Any], str, str]] = [
        ({"sort_direction": "up"}, "sort_direction", "Write ascending or descending."),
        ({"sort_column": "nmae"}, "sort_column", unknown),
        ({"sort_column": "skills"}, "sort_column", "Allowed are name, organization, age, active, born, role."),
        ({"search_columns": {"nmae": 1}}, "search_columns.nmae", unknown),
        ({"tab": "Adult"}, "tab", "There is no tab 'Adult'. Did you mean 'Adults'?"),
    ]
    for body, name, reason in refused:
        text = f"The selected {name.replace('_', ' ')} is invalid. {reason}"
        web.refuse(422, wrong(**{name: text}), "GET", f"{API}/table/users", body)


@line("e")
def searches(web: Web) -> None:
    """Text contains, in any case and without wildcards; a list is any of; numbers and booleans equal; null is null."""
    for columns, numbers in (
        ({"name": "%_j"}, [3]),
        ({"name": "_"}, [3]),
        ({"name": "E%"}, []),
        ({"name": ["Eva", "100%_Jan"]}, [1, 3]),
        ({"age": 17}, [2]),
        ({"age": [17, 41]}, [1, 2]),
        ({"active": False}, [2]),
        ({"age": None}, [3]),
        ({"organization": None}, []),
        ({"born": "2009-03-01"}, [2]),
        ({"born": "2009"}, [2]),
        ({"role": "ADMIN"}, [3]),
        ({"role": "adm"}, []),
        ({"skills": "code"}, [3]),
        ({"skills": ["text", "code"]}, [3]),
        ({"name": "", "organization": []}, [1, 2, 3]),
        ({"id": [3, 1]}, [1, 3]),
    ):
        web.rows({"search_columns": columns}, *numbers)


@line("f")
def tabs(web: Web) -> None:
    """A tab is named by its label or its name."""
    for tab in ("Adults", "adults"):
        web.rows({"tab": tab}, 1)
    for tab in ("Mijn registraties", "mijn_registraties"):
        web.rows({"tab": tab})


@line("g")
def partial_updates(web: Web) -> None:
    """PUT leaves alone what it does not name; inline reads its own field and no other."""
    web.write("PUT", f"{API}/1", {"age": 42}, {"data": user(1, NOW_TEXT, age=42)})
    body = {"age": 43, "name": "other", "nope": 1}
    web.write("PUT", f"{API}/1/inline/age", body, {"data": user(1, NOW_TEXT, age=43)})
    web.refuse(422, wrong(age="The age field is required."), "PUT", f"{API}/1/inline/age", {"name": "x"})
    for field in ("nope", "id", "created_at"):
        path = f"{API}/1/inline/{field}"
        web.refuse(404, no_route(path.strip("/")), "PUT", path, {field: 1})


@line("h")
def deleting(web: Web) -> None:
    """Deleting answers a message, then 404; an unknown action is 404; several ids are not understood."""
    web.write("POST", f"{API}/actions/delete_resource/1", {}, {"message": "Deleted."})
    web.refuse(404, missing("User", 1), "POST", f"{API}/actions/delete_resource/1", {})
    web.refuse(404, no_route("api/resources/users/actions/nope/2"), "POST", f"{API}/actions/nope/2", {})
    web.refuse(404, missing("User", "2,3"), "POST", f"{API}/actions/delete_resource/2,3")
    ids = wrong(ids="The ids field is prohibited.")
    web.refuse(422, ids, "POST", f"{API}/actions/delete_resource/2", {"ids": [2, 3]})


@line("i")
def form_of_logs(web: Web) -> None:
    """Newest first, in a paginator."""
    for age in (1, 2, 3):
        web.send("PUT", f"{API}/2", {"age": age})
    answer = web.send("GET", f"{API}/logs/2", {"per_page": 2})
    assert list(answer.json) == list(page("", [], 0))
    assert [(entry["value_old"], entry["value_new"]) for entry in answer.json["data"]] == [(2, 3), (1, 2)]
    names = ["id", "description", "field", "value_old", "value_new", "user", "created_at"]
    assert [list(entry) for entry in answer.json["data"]] == [names] * 2
    assert (answer.json["total"], answer.json["next_page_url"]) == (4, f"{HOST}{API}/logs/2?page=2")


@line("j")
def form_of_options(web: Web) -> None:
    """Options in the order of their labels; a field without options is 404."""
    issues = [(4, "Another", "BRD.23.0001"), (3, "Check it", "PTA.23.0003"), (1, "Hello taak 1", "PTA.23.0001")]
    listed = [{"label": label, "description": about, "value": value} for value, label, about in issues]
    web.get("/api/resources/time_entries/field/issue/options?limit=3", listed)
    for field in ("name", "nope", "password"):
        path = f"api/resources/users/field/{field}/options"
        web.refuse(404, no_route(path), "GET", f"/{path}")


@line("k")
def forms(web: Web) -> None:
    """The whole form: fields by name; asked for again in full, all of them with the new options."""
    project = [{"label": name, "description": None, "value": value} for name, value in (("Board", 2), ("Portal", 1))]

    def form(hours: float, link: Any, issue: Any, issues: list[Any], **again: Any) -> dict[str, Any]:
        rules = ["nullable", "numeric", "gt:0"]
        return {
            "hours": {"label": "Hours", "type": "number", "rules": rules, "value": hours, "options": None},
            "project": {
                "label": "Project",
                "type": "belongs_to",
                "rules": ["nullable", "exists:projects,id"],
                "value": link,
                "options": project,
            },
            "issue": {
                "label": "Issue",
                "type": "belongs_to",
                "rules": ["nullable", "exists:issues,id"],
                "value": issue,
                "options": issues,
                **again,
            },
        }

    path = "/api/resources/time_entries"
    web.get(f"{path}/create", form(1, None, None, []))
    web.get(f"{path}/create", form(1, None, None, []), {"initial_request": True})
    shown = form(2, {"value": 2, "label": "Board"}, {"value": 4, "label": "Another"}, OF_BOARD)
    web.get(f"{path}/1/edit", shown)
    web.get(f"{path}/create", form(1, None, None, OF_PORTAL, relatedOptions=OF_PORTAL), RELOAD)
    web.refuse(404, missing("TimeEntry", 9), "GET", f"{path}/9/edit")


@line("l")
def form_of_search(web: Web) -> None:
    """Only resources with hits, five of each, those with the text in the title first; no text, no hits."""
    web.get("/api/global-search?query=taak", [found("issues", "Issues", (1, "Hello taak 1", "PTA.23.0001"))])
    fill(web, 20)
    assert web.send("GET", "/api/global-search?query=1").json[0] == found(
        "tenants", "Tenants", *((number, str(number), None) for number in (10, 11, 12, 13, 14))
    )
    web.write(
        "POST",
        "/api/resources/users",
        {"name": "qlic", "email": "z@z.nl"},
        {"data": user(4, name="qlic", email="z@z.nl")},
        201,
    )
    users = web.send("GET", "/api/global-search?query=qlic").json[1]
    rest = [(number, USERS[number - 1]["name"], USERS[number - 1]["email"]) for number in (1, 2, 3)]
    assert users == found("users", "Users", (4, "qlic", "z@z.nl"), *rest)
    for query in ("", "?query=", "?query=%20", "?query=zzz"):
        web.get(f"/api/global-search{query}", [])


@line("m")
def list_of_tokens(web: Web) -> None:
    """The page lists name, creation, last use and end, and revokes; a form without its secret does nothing."""
    user = browser(web)
    web.app.accounts.revoke_token(1)
    _, token = make_token(user, "laptop", "2096-03-02")
    (row,) = user.get("/api_tokens").html.select("tbody tr")
    cells = [cell.get_text(" ", strip=True) for cell in row.select("td")]
    made, end = "2096-03-01 12:00:00 UTC", "2096-03-02 00:00:00 UTC"
    assert cells == [f"laptop {token[:8]}…", made, "never", end, "Revoke"]
    assert user.post("/api_tokens", {"device_name": "forged"}, status=403).status_int == 403
    assert len(user.get("/api_tokens").html.select("tbody tr")) == 1
    user.get("/api_tokens").forms[2].submit(status=303)
    assert user.get("/api_tokens").html.select("tbody tr") == []
    web.refuse(401, {"message": "Unauthenticated."}, "GET", "/api/me", HTTP_AUTHORIZATION=f"Bearer {token}")


@pytest.mark.parametrize("number", LINES)
def test_line(web: Web, number: int | str) -> None:
    """The scenario of the line of that number."""
    LINES[number](web)


def test_every_line_has_a_scenario() -> None:
    """All lines that hold a request are there."""
    numbers = [*range(1, 25), 30, 31, 33, 34, 35, *range(40, 62), 63]
    assert list(LINES) == [*numbers, *"abcdefghijklm"]
