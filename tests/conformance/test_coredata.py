"""The numbered lines of the CoreData dialect: one scenario each, answers compared as whole texts."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

import minirest
from tests.web import Answer, Lines, dump, many, send

OLD = datetime(2019, 8, 1, 12, 0, tzinfo=UTC)
FIRST = datetime(2019, 9, 1, 15, 38, 32, 250_000, tzinfo=UTC)
NEW = datetime(2024, 6, 16, 12, 0, tzinfo=UTC)
NEW_TEXT = "2024-06-16T12:00:00"
X = "2019-09-02T15:38:32Z"
BASE = "/api/v2"
HTML = "text/html; charset=utf-8"
ADMINISTRATOR = "Administrator Administrator"
TEXT = {"type": "string"}
DEFAULT = "No default provided."

CONTACTS: list[dict[str, Any]] = [
    {
        "title": "Signer Signer",
        "identifier": "60001019906",
        "dynatype": {
            "title": "Person",
            "caption_singular": "dynatypes_labels:Person_singular:",
            "caption_plural": "dynatypes_labels:Person_plural:",
            "id": "d2114cf4-71ce-11ee-a1c1-93a2e894b852",
        },
        "emails": [{"label": "email_label:Work:", "email": "signer@example.is"}],
        "phones": [{"number": "+37200000766", "label": "phone_label:Mobile:"}],
        "role": "contact_role:customer:",
        "status": "contact_status:Active:",
    },
    {"title": "Guðrún Þórsdóttir", "identifier": "6000101990", "status": "contact_status:Active:"},
    {"title": "Board & Sons", "identifier": "5501692829"},
]
SPACES: list[dict[str, Any]] = [
    {"title": f"Space {number}", "path": f"/domain/spaces/Space {number}"} for number in range(1, 7)
]
FOLDERS = ["Contracts", "Minutes"]
FILES: list[dict[str, Any]] = [
    {"title": "Board contract", "parent": 1, "associated_contacts": [1]},
    {"title": "Board minutes", "parent": 2, "associated_contacts": [2, 1]},
    {"title": "loose leaf", "associated_contacts": []},
]
TASKS: list[dict[str, Any]] = [
    {
        "title": "Board papers",
        "due": "2019-09-02T15:38:32.500Z",
        "day": "2024-02-29",
        "clock": "09:00:00",
        "minutes": 90,
        "share": 0.5,
        "done": True,
        "labels": ["a", "b"],
        "associated_contacts": [1, 2],
    },
    {"title": "board walk", "day": "2024-03-01", "minutes": 15, "share": 2, "done": False, "labels": ["b"]},
    {"title": "Sleep 100%_", "due": "2019-09-02T00:00:00Z", "labels": [], "associated_contacts": [2]},
    {},
]
TITLES = ["Board A", "Board B", "Car", "boat", "Bo_100%"]
MEMBERS: list[list[int]] = [[1], [1, 2], [], [2], [1]]


def table(examples: list[Any], properties: dict[str, Any], **words: Any) -> dict[str, Any]:
    """A table with its first records."""
    return {"type": "object", "properties": properties, "examples": examples, **words}


ALIAS = {"x-alias": {"coredata": {"associated_contacts_id": "associated_contacts"}}}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "contacts": table(
            CONTACTS,
            {
                "title": TEXT,
                "identifier": TEXT,
                "dynatype": {"type": "object"},
                "emails": {"type": "array", "items": {"type": "object"}},
                "phones": {"type": "array", "items": {"type": "object"}},
                "role": TEXT,
                "status": TEXT,
                "projects": many("projects", **{"x-inverse": "associated_contacts"}),
                "files": many("files", **{"x-inverse": "associated_contacts"}),
                "tasks": many("tasks", **{"x-inverse": "associated_contacts"}),
            },
        ),
        "spaces": table(
            SPACES,
            {
                "title": TEXT,
                "description": {**TEXT, "default": ""},
                "path": TEXT,
                "status": {**TEXT, "default": ""},
                "is_hidden": {"type": "boolean", "default": False},
                "tags": {"type": "array", "items": TEXT, "default": []},
                "template": TEXT,
                "version": {**TEXT, "default": "0.1"},
                "aspects": {"type": "object", "default": {}},
                "dynatype": {"type": "object", "default": {}},
            },
        ),
        "projects": table(
            [],
            {
                "title": {**TEXT, "maxLength": 20},
                "status": {**TEXT, "default": ""},
                "code": {**TEXT, "x-unique": True},
                "secret": {**TEXT, "writeOnly": True},
                "fixed": {**TEXT, "readOnly": True},
                "space": {"$ref": "#/$defs/spaces"},
                "associated_contacts": many("contacts"),
            },
            required=["title"],
            **ALIAS,
        ),
        "folders": table(
            [{"title": title} for title in FOLDERS],
            {"title": TEXT, "files": many("files", **{"x-inverse": "parent"})},
        ),
        "files": table(
            FILES,
            {"title": TEXT, "parent": {"$ref": "#/$defs/folders"}, "associated_contacts": many("contacts")},
            **ALIAS,
        ),
        "tasks": table(
            TASKS,
            {
                "title": {**TEXT, "title": "Title", "description": "What is to be done", "default": "Think"},
                "due": {"type": "string", "format": "date-time"},
                "day": {"type": "string", "format": "date"},
                "clock": {"type": "string", "format": "time"},
                "minutes": {"type": "integer"},
                "share": {"type": "number"},
                "done": {"type": "boolean"},
                "labels": {"type": "array", "items": TEXT},
                "extra": {"type": "object"},
                "steps": {"type": "array", "items": {"type": "object"}},
                "photo": {"type": "string", "format": "binary"},
                "project": {"$ref": "#/$defs/projects"},
                "associated_contacts": many("contacts"),
            },
            **ALIAS,
        ),
        "notes": table([{"text": f"n{number}"} for number in range(1, 26)], {"text": TEXT}),
    }
}


# ---- the answers, built from the data above ----


def uuid(name: str, number: int, version: int = 0) -> str:
    """The UUID of a record: the tag of its table, the version, the id."""
    tag = sha256(name.encode()).hexdigest()[:8]
    return f"{tag}-{version >> 10:04x}-1{version << 2 & 0xFFF:03x}-8000-{number:012x}"


def uri(name: str, number: int) -> str:
    """The address of a record."""
    return BASE + at(name, number)


def at(name: str, number: int) -> str:
    """The address of a record below the base."""
    return f"/{name}/{uuid(name, number)}/"


def uris(name: str, numbers: list[int]) -> list[str]:
    """The addresses of records."""
    return [uri(name, number) for number in numbers]


def record(name: str, kind: str, number: int, version: int, /, **fields: Any) -> dict[str, Any]:
    """A record with what all have; by default one of the examples, which nobody made."""
    system = {
        "id": uuid(name, number),
        "snapshot_id": uuid(name, number, version),
        "resource_uri": uri(name, number),
        "created": "2019-08-01T12:00:00",
        "modified": "2019-08-01T12:00:00",
        "created_by": None,
        "modified_by": None,
        "type": kind,
    }
    return {**system, **fields}


CHANGED = {"modified": NEW_TEXT, "modified_by": ADMINISTRATOR}
MADE = {"created": NEW_TEXT, "created_by": ADMINISTRATOR, **CHANGED}


def linked(rows: list[list[int]], number: int) -> list[int]:
    """The records of a list of links that lead to one contact."""
    return [holder for holder, contacts in enumerate(rows, 1) if number in contacts]


def contact(number: int, version: int | None = None, **changes: Any) -> dict[str, Any]:
    """A contact; each project that was linked to it has raised its version."""
    names = ("title", "identifier", "dynatype", "emails", "phones", "role", "status")
    row = CONTACTS[number - 1]
    projects = linked(MEMBERS, number)
    links = {
        "projects": uris("projects", projects),
        "files": uris("files", linked([row["associated_contacts"] for row in FILES], number)),
        "tasks": uris("tasks", linked([row.get("associated_contacts", []) for row in TASKS], number)),
    }
    fields = {**{name: row.get(name) for name in names}, **links, **changes}
    return record("contacts", "Contact", number, version or 1 + len(projects), **fields)


def space(number: int) -> dict[str, Any]:
    """A space."""
    given = {"description": "", "status": "", "is_hidden": False, "tags": [], "template": None, "version": "0.1"}
    return record("spaces", "Space", number, 1, **given, aspects={}, dynatype={}, **SPACES[number - 1])


def project(number: int, version: int = 1, **changes: Any) -> dict[str, Any]:
    """A project; the first five were made on five days, others are new."""
    fields: dict[str, Any] = {"title": None, "status": "", "code": None, "fixed": None, "space": None, **MADE}
    fields["associated_contacts"] = []
    if number <= len(TITLES):
        moment = f"2019-09-0{number}T15:38:32"
        contacts = uris("contacts", MEMBERS[number - 1])
        fields |= {"title": TITLES[number - 1], "created": moment, "modified": moment, "associated_contacts": contacts}
    return record("projects", "Project", number, version, **{**fields, **changes})


def folder(number: int) -> dict[str, Any]:
    """A folder."""
    files = [uri("files", file) for file, row in enumerate(FILES, 1) if row.get("parent") == number]
    return record("folders", "Folder", number, 1, title=FOLDERS[number - 1], files=files)


def file(number: int, version: int = 1, **changes: Any) -> dict[str, Any]:
    """A file."""
    row = FILES[number - 1]
    parent = uri("folders", row["parent"]) if row.get("parent") else None
    links = {"parent": parent, "associated_contacts": uris("contacts", row["associated_contacts"])}
    return record("files", "File", number, version, title=row["title"], **links, **changes)


def task(number: int, version: int = 1, **changes: Any) -> dict[str, Any]:
    """A task; moments are shown to the second, a number keeps its fraction."""
    row = TASKS[number - 1] if number <= len(TASKS) else {}
    names = ("day", "clock", "minutes", "done", "labels", "extra", "steps", "photo", "project")
    fields: dict[str, Any] = {name: row.get(name) for name in names}
    fields |= {"title": row.get("title", "Think"), "due": row["due"][:19] if "due" in row else None}
    fields["share"] = float(row["share"]) if "share" in row else None
    fields["associated_contacts"] = uris("contacts", row.get("associated_contacts", []))
    return record("tasks", "Task", number, version, **{**fields, **changes})


def note(number: int, **changes: Any) -> dict[str, Any]:
    """A note."""
    return record("notes", "Note", number, 1, text=f"n{number}", **changes)


def listed(*objects: Any, **meta: Any) -> dict[str, Any]:
    """A whole list, by default on one page."""
    page = {"limit": 20, "next": None, "offset": 0, "previous": None, "total_count": len(objects)}
    return {"meta": {**page, **meta}, "objects": list(objects)}


def error(text: str) -> dict[str, str]:
    """The form of an error."""
    return {"error": text}


class Web:
    """A client below `/api/v2` that compares status, headers and the whole text of every answer."""

    def __init__(self) -> None:
        self.now = OLD
        self.app = minirest.make_app(
            SCHEMA, users={"admin": "open-sesame"}, dialects=["nocobase", "coredata"], clock=lambda: self.now
        )
        self.app.accounts.put_user("admin", display_name=ADMINISTRATOR)
        self.key = f"apikey admin:{self.app.accounts.add_token('admin', 'test')}"
        for number, (title, contacts) in enumerate(zip(TITLES, MEMBERS, strict=True)):
            self.now = FIRST + timedelta(days=number)
            body = {"title": title, "associated_contacts": uris("contacts", contacts)}
            assert self.send("POST", "/projects/", body).status == 201
        self.now = NEW
        self.send("GET", "/")

    def send(self, method: str, path: str, body: Any = None, kind: str = "", **headers: Any) -> Answer:
        """Send a request with the key, or with other headers."""
        given = {"HTTP_AUTHORIZATION": self.key, **headers}
        wanted = {name: value for name, value in given.items() if value is not None}
        return send(self.app, method, BASE + path, body, kind, **wanted)

    def expect(self, answer: Answer, expected: Any, status: int = 200) -> None:
        """Hold an answer against what it should be, down to blanks and the order of the keys."""
        text = json.dumps(expected, ensure_ascii=False, sort_keys=True)
        assert (answer.status, answer.body.decode()) == (status, text)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers.get("Vary") == ("Accept" if status < 300 else None)

    def get(self, path: str, expected: Any, **headers: Any) -> None:
        """GET and compare."""
        answer = self.send("GET", path, **headers)
        self.expect(answer, expected)
        assert answer.headers["Cache-Control"] == "no-cache"

    def all(self, path: str, *objects: Any) -> None:
        """A list has these records, all on one page."""
        self.get(path, listed(*objects))

    def write(self, method: str, path: str, body: Any, expected: Any, status: int) -> Answer:
        """Send a body and compare."""
        answer = self.send(method, path, body)
        self.expect(answer, expected, status)
        return answer

    def html(self, status: int, answer: Answer, text: str = "") -> None:
        """An answer that is HTML for the original: text or nothing."""
        assert (answer.status, answer.body.decode()) == (status, text)
        assert answer.headers["Content-Type"] == HTML
        assert "WWW-Authenticate" not in answer.headers

    def refuse(self, status: int, expected: Any, method: str, path: str, body: Any = None) -> None:
        """Send what is refused, and see that the database has not changed; `expected` None is the empty text."""
        before = self.dump()
        answer = self.send(method, path, body)
        if expected is None:
            self.html(status, answer)
        else:
            self.expect(answer, expected, status)
        assert self.dump() == before

    def bad(self, path: str, text: str) -> None:
        """A list that is refused with 400 and a text."""
        self.refuse(400, error(text), "GET", path)

    def dump(self) -> list[str]:
        """Return everything that is stored."""
        return dump(self.app.store)


@pytest.fixture
def web() -> Iterator[Web]:
    """Serve the data; requests come years later than the records."""
    web = Web()
    yield web
    web.app.close()


LINES = Lines()
line = LINES.line

C1, C2, C3 = (uuid("contacts", number) for number in (1, 2, 3))
FIVE = [project(number) for number in range(1, 6)]
P1, P2, P3, P4, P5 = FIVE
T1, T2, T3, T4 = (task(number) for number in range(1, 5))


# ---- what the document says ----


@line(1)
def title_prefix(web: Web) -> None:
    """Projects by the beginning of their title."""
    web.all("/projects/?title__startswith=Board", P1, P2)


@line(2)
def titles(web: Web) -> None:
    """Contacts, files, projects and tasks by title and by its beginning."""
    web.all("/contacts/?title=Signer%20Signer", contact(1))
    web.all("/contacts/?title__startswith=Sign", contact(1))
    web.all("/files/?title=Board+minutes", file(2))
    web.all("/files/?title__startswith=Board", file(1), file(2))
    web.all("/projects/?title=Car", P3)
    web.all("/tasks/?title=board%20walk", T2)
    web.all("/tasks/?title__startswith=Board", T1)


@line(3)
def filters_combine(web: Web) -> None:
    """Filters hold together, and with limit and offset."""
    web.all(f"/projects/?title__startswith=Board&created__gt=2019-09-02&associated_contacts_id={C2}", P2)
    address = f"{BASE}/projects/?title__startswith=Bo&limit=1&offset="
    expected = listed(P2, limit=1, offset=1, total_count=3, next=f"{address}2", previous=f"{address}0")
    web.get("/projects/?title__startswith=Bo&limit=1&offset=1", expected)


@line(4)
def by_parent(web: Web) -> None:
    """Files by their folder."""
    web.all(f"/files/?parent={uuid('folders', 2)}", file(2))


@line(5)
def by_identifier(web: Web) -> None:
    """A contact by its exact identifier."""
    web.all("/contacts/?identifier=60001019906", contact(1))


@line(6)
def by_identifier_prefix(web: Web) -> None:
    """Contacts by the beginning of their identifier."""
    web.all("/contacts/?identifier__startswith=600010199", contact(1), contact(2))


@line(7)
def contact_object(web: Web) -> None:
    """A contact has all its fields, its links, and what every record has."""
    expected = {
        **CONTACTS[0],
        "created": "2019-08-01T12:00:00",
        "created_by": None,
        "files": [uri("files", 1), uri("files", 2)],
        "id": C1,
        "modified": "2019-08-01T12:00:00",
        "modified_by": None,
        "projects": [uri("projects", 1), uri("projects", 2), uri("projects", 5)],
        "resource_uri": f"{BASE}/contacts/{C1}/",
        "snapshot_id": uuid("contacts", 1, 4),
        "tasks": [uri("tasks", 1)],
        "type": "Contact",
    }
    web.get(f"/contacts/{C1}/", expected)


@line(8)
def projects_of_a_contact(web: Web) -> None:
    """Projects by the id of a linked contact."""
    web.all(f"/projects/?associated_contacts_id={C1}", P1, P2, P5)


@line(9)
def nested_projects(web: Web) -> None:
    """The projects below a contact are the same."""
    web.all(f"/contacts/{C1}/projects/", P1, P2, P5)


@line(10)
def files_of_a_contact(web: Web) -> None:
    """Files by a linked contact, and below it."""
    web.all(f"/files/?associated_contacts_id={C1}", file(1), file(2))
    web.all(f"/contacts/{C1}/files/", file(1), file(2))


@line(11)
def tasks_of_a_contact(web: Web) -> None:
    """Tasks by a linked contact, and below it."""
    web.all(f"/tasks/?associated_contacts_id={C2}", T1, T3)
    web.all(f"/contacts/{C2}/tasks/", T1, T3)


@line(12)
def date_filters(web: Web) -> None:
    """`created` and `modified` are filters of projects, files, contacts and tasks."""
    for name in ("created", "modified"):
        web.all(f"/projects/?{name}__gt=2019-09-04T15:38:32Z", P5)
        web.all(f"/files/?{name}__lt=2019-08-02", file(1), file(2), file(3))
        web.all(f"/contacts/?{name}__lt=2019-08-02", contact(1), contact(2), contact(3))
        web.all(f"/tasks/?{name}__gt=2019-08-01T12:00:00Z")


@line(13)
def shortcuts(web: Web) -> None:
    """A field and a shortcut with `__` between them."""
    web.all(f"/projects/?created={X}", P2)
    web.all(f"/projects/?created__exact={X}", P2)
    web.all(f"/projects/?created__gt={X}", P3, P4, P5)
    web.all(f"/projects/?created__gte={X}", P2, P3, P4, P5)
    web.all(f"/projects/?created__lt={X}", P1)
    web.all(f"/projects/?created__lte={X}", P1, P2)
    web.all(f"/projects/?created__range={X},2019-09-04T15:38:32Z", P2, P3, P4)


@line(14)
def range_of_two(web: Web) -> None:
    """`range` takes two values with a comma between them."""
    web.all("/tasks/?minutes__range=15,90", T1, T2)
    web.all("/tasks/?minutes__range=16,90", T1)


@line(15)
def iso_dates(web: Web) -> None:
    """Dates in filters are ISO 8601, Z is UTC."""
    web.all("/projects/?created=2019-09-02T15:38:32Z", P2)
    web.all("/projects/?created=2019-09-02T15:38:33Z")


@line(16)
def modified_after(web: Web) -> None:
    """`gt` is strictly after, and what is shown is the whole second."""
    web.all(f"/projects/?modified__gt={P2['modified']}", P3, P4, P5)


@line(17)
def created_before(web: Web) -> None:
    """`lte` is before or equal."""
    web.all("/projects/?created__lte=2019-09-01T15:38:32Z", P1)
    web.all("/projects/?created__lte=2019-09-01T15:38:31Z")


@line(18)
def modified_between(web: Web) -> None:
    """`range` lies between two dates."""
    web.all("/projects/?modified__range=2019-08-02T15:38:32Z,2019-09-02T15:38:32Z", P1, P2)


@line(19)
def a_list(web: Web) -> None:
    """A list is an object with `meta` and `objects`."""
    answer = web.send("GET", "/projects/")
    assert list(answer.json) == ["meta", "objects"]
    web.expect(answer, listed(*FIVE))


@line(20)
def meta_keys(web: Web) -> None:
    """`meta` has five keys, also of an empty list."""
    empty = {"limit": 20, "next": None, "offset": 0, "previous": None, "total_count": 0}
    web.get("/projects/?title=none", {"meta": empty, "objects": []})


@line(21)
def id_and_snapshot(web: Web) -> None:
    """`id` never changes, `snapshot_id` with every change of the record or its links, at both ends."""
    expected = project(3, 2, title="Cab", **CHANGED)
    web.write("PATCH", at("projects", 3), {"title": "Cab"}, expected, 202)
    web.write("PATCH", at("projects", 3), {"title": "Cab"}, expected, 202)
    body = {"associated_contacts": [uri("contacts", 3)]}
    expected = project(3, 3, title="Cab", **CHANGED, associated_contacts=[uri("contacts", 3)])
    web.write("PATCH", at("projects", 3), body, expected, 202)
    web.get(f"/contacts/{C3}/", contact(3, 2, projects=[uri("projects", 3)]))
    web.all(f"/projects/?snapshot_id={uuid('projects', 3, 3)}", expected)
    web.all(f"/projects/?snapshot_id={uuid('projects', 3, 2)}")


@line(22)
def default_page(web: Web) -> None:
    """20 records from the first on."""
    expected = listed(*map(note, range(1, 21)), total_count=25, next=f"{BASE}/notes/?limit=20&offset=20")
    web.get("/notes/", expected)


@line(23)
def addresses_of_pages(web: Web) -> None:
    """`next` and `previous` are paths, or null."""
    address = f"{BASE}/spaces/?limit=1&offset="
    web.get("/spaces/?limit=1", listed(space(1), limit=1, total_count=6, next=f"{address}1"))
    expected = listed(space(6), limit=1, offset=5, total_count=6, previous=f"{address}4")
    web.get("/spaces/?limit=1&offset=5", expected)


@line(24)
def total_count(web: Web) -> None:
    """`total_count` counts all that are found, not those on the page."""
    address = f"{BASE}/projects/?title__startswith=Bo&limit=1&offset=1"
    web.get("/projects/?limit=1&title__startswith=Bo", listed(P1, limit=1, total_count=3, next=address))


@line(25)
def limit_and_offset(web: Web) -> None:
    """`limit=5` gives 5 records, `offset=5` begins with the 6th."""
    address = f"{BASE}/notes/?limit="
    expected = listed(*map(note, range(1, 6)), limit=5, total_count=25, next=f"{address}5&offset=5")
    web.get("/notes/?limit=5", expected)
    web.get("/notes/?offset=5", listed(*map(note, range(6, 26)), offset=5, total_count=25))
    beside = {"next": f"{address}5&offset=10", "previous": f"{address}5&offset=0"}
    web.get("/notes/?limit=5&offset=5", listed(*map(note, range(6, 11)), limit=5, offset=5, total_count=25, **beside))


@line(26)
def second_page(web: Web) -> None:
    """The document's example of a page, letter by letter."""
    answer = web.send("GET", "/spaces/?limit=1&offset=1")
    start = (
        '{"meta": {"limit": 1, "next": "/api/v2/spaces/?limit=1&offset=2", "offset": 1,'
        ' "previous": "/api/v2/spaces/?limit=1&offset=0", "total_count": 6}, "objects": ['
    )
    assert answer.body.decode() == f"{start}{json.dumps(space(2), sort_keys=True)}]}}"


@line(27)
def space_object(web: Web) -> None:
    """A space of the document."""
    expected: dict[str, Any] = {
        "aspects": {},
        "created": "2019-08-01T12:00:00",
        "created_by": None,
        "description": "",
        "dynatype": {},
        "id": uuid("spaces", 2),
        "is_hidden": False,
        "modified": "2019-08-01T12:00:00",
        "modified_by": None,
        "path": "/domain/spaces/Space 2",
        "resource_uri": uri("spaces", 2),
        "snapshot_id": uuid("spaces", 2, 1),
        "status": "",
        "tags": [],
        "template": None,
        "title": "Space 2",
        "type": "Space",
        "version": "0.1",
    }
    web.get(f"/spaces/{uuid('spaces', 2)}/", expected)


@line(28)
def resource_uri(web: Web) -> None:
    """`resource_uri` is endpoint and id, with a slash at its end, and it leads to the record."""
    found = web.send("GET", "/spaces/?limit=1").json["objects"][0]["resource_uri"]
    assert found == f"/api/v2/spaces/{uuid('spaces', 1)}/"
    web.get(found.removeprefix(BASE), space(1))


@line(29)
def times_without_zone(web: Web) -> None:
    """Times are shown without a zone and fraction, and taken with a zone."""
    body = {"due": "2024-02-26T14:17:21.750+02:00"}
    expected = task(2, 2, due="2024-02-26T12:17:21", **CHANGED)
    web.write("PATCH", at("tasks", 2), body, expected, 202)


@line(30)
def endpoints_of_the_document(web: Web) -> None:
    """The five endpoints."""
    web.all("/spaces/", *map(space, range(1, 7)))
    web.all("/projects/", *FIVE)
    web.all("/files/", file(1), file(2), file(3))
    web.all("/contacts/", contact(1), contact(2), contact(3))
    web.all("/tasks/", T1, T2, T3, T4)


# ---- who asks ----


@line(40)
def refused_credentials(web: Web) -> None:
    """Whatever is wrong with the credentials: 401, an empty body, and no word of what it was."""
    web.app.accounts.put_user("gone", any_password=True, password="x")
    gone = web.app.accounts.add_token("gone", "test")
    web.app.accounts.put_user("gone", disabled=True)
    wrong = (None, "", "apikey", "apikey admin", "apikey admin:", "apikey admin:x", f"apikey gone:{gone}")
    own = web.key.partition(":")[2]
    seen = set()
    for given in (*wrong, f"apikey other:{own}", f"nope admin:{own}", f"apikey {own}"):
        answer = web.send("GET", "/projects/", HTTP_AUTHORIZATION=given)
        web.html(401, answer)
        seen.add(json.dumps(answer.headers))
    assert len(seen) == 1
    web.html(401, web.send("GET", "/nothing/", HTTP_AUTHORIZATION=None))
    web.html(401, web.send("GET", "/a/b/c/d/e", HTTP_AUTHORIZATION=None))


@line(41)
def scheme_word(web: Web) -> None:
    """The word of the scheme is in any case; the value is cut at its first colon."""
    own = web.key.partition(" ")[2]
    for word in ("apikey", "ApiKey", "APIKEY"):
        web.get("/spaces/?title=Space%201", listed(space(1)), HTTP_AUTHORIZATION=f"{word} {own}")
    web.html(401, web.send("GET", "/spaces/", HTTP_AUTHORIZATION=f"apikey {own}:more"))


@line(42)
def key_in_the_query(web: Web) -> None:
    """A key in the query is not taken; the top level then shows what strangers may see: nothing."""
    query = f"?username=admin&api_key={web.key.partition(':')[2]}"
    web.html(401, web.send("GET", f"/spaces/{query}", HTTP_AUTHORIZATION=None))
    web.get(f"/{query}", {}, HTTP_AUTHORIZATION=None)


@line(43)
def without_credentials(web: Web) -> None:
    """The top level and OPTIONS need no credentials, `schema/` and `set/` do; wrong ones are refused everywhere."""
    web.get("/", {}, HTTP_AUTHORIZATION=None)
    web.html(401, web.send("GET", "/", HTTP_AUTHORIZATION="apikey admin:x"))
    web.html(401, web.send("GET", "/", HTTP_AUTHORIZATION=None, HTTP_COOKIE="sid=x"))
    addresses = {
        "/": "GET",
        "/spaces/": "GET,POST,PATCH",
        "/spaces/schema/": "GET",
        "/spaces/set/a;b/": "GET",
        f"/spaces/{uuid('spaces', 1)}/": "GET,POST,PUT,DELETE,PATCH",
        f"/contacts/{C1}/projects/": "GET",
    }
    for address, allowed in addresses.items():
        answer = web.send("OPTIONS", address, HTTP_AUTHORIZATION=None)
        web.html(200, answer, allowed)
        assert answer.headers["Allow"] == allowed
    for address in list(addresses)[1:]:
        web.html(401, web.send("GET", address, HTTP_AUTHORIZATION=None))


# ---- addresses ----


@line(44)
def top_level(web: Web) -> None:
    """The endpoints with their addresses, by name."""
    names = ("contacts", "files", "folders", "notes", "projects", "spaces", "tasks")
    addresses = {name: {"list_endpoint": f"{BASE}/{name}/", "schema": f"{BASE}/{name}/schema/"} for name in names}
    web.get("/", addresses)


def described(kind: str, name: str, **words: Any) -> dict[str, Any]:
    """A field in `schema/` that may be left out, be null and be set."""
    plain = {"blank": True, "default": DEFAULT, "help_text": "", "nullable": True, "primary_key": False}
    return {**plain, "readonly": False, "type": kind, "unique": False, "verbose_name": name, **words}


OWN = {"nullable": False, "readonly": True}
TEXT_LOOKUPS = (
    "exact iexact contains icontains startswith istartswith endswith iendswith in gt gte lt lte range isnull".split()
)
NUMBER_LOOKUPS = "exact in gt gte lt lte range isnull".split()
DATE_LOOKUPS = [*NUMBER_LOOKUPS, "year", "month", "day", "week_day"]
MOMENT_LOOKUPS = [*DATE_LOOKUPS, "hour", "minute", "second", "date"]
SYSTEM: dict[str, Any] = {
    "created": described("datetime", "created", **OWN),
    "created_by": described("string", "created by", readonly=True),
    "id": described("string", "id", **OWN) | {"primary_key": True, "unique": True},
    "modified": described("datetime", "modified", **OWN),
    "modified_by": described("string", "modified by", readonly=True),
    "resource_uri": described("string", "resource uri", **OWN),
    "snapshot_id": described("string", "snapshot id", **OWN),
    "type": described("string", "type", **OWN),
}


@line(45)
def schema(web: Web) -> None:
    """What an endpoint takes and shows."""
    contacts = {"related_type": "to_many", "related_schema": f"{BASE}/contacts/schema/"}
    projects = {"related_type": "to_one", "related_schema": f"{BASE}/projects/schema/"}
    expected = {
        "allowed_detail_http_methods": ["get", "post", "put", "delete", "patch"],
        "allowed_list_http_methods": ["get", "post", "patch"],
        "default_format": "application/json",
        "default_limit": 20,
        "fields": {
            **SYSTEM,
            "associated_contacts": described("related", "associated_contacts", **contacts),
            "clock": described("time", "clock"),
            "day": described("date", "day"),
            "done": described("boolean", "done"),
            "due": described("datetime", "due"),
            "extra": described("dict", "extra"),
            "labels": described("list", "labels"),
            "minutes": described("integer", "minutes"),
            "photo": described("string", "photo"),
            "project": described("related", "project", **projects),
            "share": described("float", "share"),
            "steps": described("list", "steps"),
            "title": described("string", "Title", help_text="What is to be done", default="Think"),
        },
        "filtering": {
            "associated_contacts": 2,
            "clock": NUMBER_LOOKUPS,
            "created": MOMENT_LOOKUPS,
            "day": DATE_LOOKUPS,
            "done": ["exact", "isnull"],
            "due": MOMENT_LOOKUPS,
            "id": ["exact", "in", "isnull"],
            "labels": ["exact", "in", "isnull"],
            "minutes": NUMBER_LOOKUPS,
            "modified": MOMENT_LOOKUPS,
            "project": 2,
            "share": NUMBER_LOOKUPS,
            "snapshot_id": ["exact"],
            "title": TEXT_LOOKUPS,
        },
        "ordering": "clock created day done due id minutes modified share title".split(),
    }
    web.get("/tasks/schema/", expected)
    fields = web.send("GET", "/projects/schema/").json["fields"]
    assert fields["title"] == described("string", "title", blank=False, nullable=False)
    assert fields["code"] == described("string", "code", unique=True)
    assert fields["fixed"] == described("string", "fixed", readonly=True)
    assert "secret" not in fields


@line(46)
def several_ids(web: Web) -> None:
    """`set/` gives records in the order of their ids, and says which there are not."""
    ids = ";".join([uuid("spaces", 3), uuid("spaces", 1)])
    web.get(f"/spaces/set/{ids}/", {"objects": [space(3), space(1)]})
    expected = {"not_found": ["none", C1, uuid("spaces", 9)], "objects": [space(3), space(1)]}
    web.get(f"/spaces/set/none;{ids};{C1};{uuid('spaces', 9)}/", expected)
    web.get("/spaces/set/none/", {"not_found": ["none"], "objects": []})
    web.refuse(404, None, "GET", "/spaces/set/")
    web.refuse(404, None, "GET", "/spaces/set/;/")


@line(47)
def missing_slash(web: Web) -> None:
    """GET and HEAD are led to the address with a slash, other methods are answered."""
    for address in ("", "/spaces", f"/spaces/{uuid('spaces', 1)}", "/spaces/schema", f"/contacts/{C1}/projects"):
        for method in ("GET", "HEAD"):
            answer = web.send(method, address)
            web.html(301, answer)
            assert answer.headers["Location"] == f"{BASE}{address}/"
    assert web.send("GET", "/spaces?limit=1&title=%C3%A9").headers["Location"] == f"{BASE}/spaces/?limit=1&title=%C3%A9"
    web.write("POST", "/projects", {"title": "x"}, project(6, title="x"), 201)
    web.write("PATCH", at("projects", 6)[:-1], {"title": "y"}, project(6, 2, title="y"), 202)
    assert web.send("DELETE", at("projects", 6)[:-1]).status == 204


@line(48)
def unknown_addresses(web: Web) -> None:
    """An unknown endpoint, id or link is 404 with nothing."""
    deep = f"/contacts/{C1}/projects/{uuid('projects', 1)}/"
    ids = ("x", C1, uuid("spaces", 9), uuid("spaces", 1, 1), "1")
    addresses = ["/nothing/", "/nothing", *(f"/spaces/{key}/" for key in ids), f"/contacts/{C1}/nothing/", deep]
    addresses += [f"/contacts/{C1}/title/", f"/contacts/{uuid('contacts', 9)}/projects/", "/tasks/x/project/"]
    for address in addresses:
        web.refuse(404, None, "GET", address)
    for method in ("PATCH", "PUT", "DELETE"):
        web.refuse(404, None, method, "/nothing/", {})


@line(49)
def methods(web: Web) -> None:
    """405 names the methods that there are; POST of a record is 501; HEAD is answered like GET."""
    refused = {
        "/": ("GET", ("POST", "PUT", "PATCH", "DELETE")),
        "/spaces/": ("GET,POST,PATCH", ("PUT", "DELETE")),
        "/spaces/schema/": ("GET", ("POST", "PUT", "PATCH", "DELETE")),
        f"/contacts/{C1}/projects/": ("GET", ("POST", "PUT", "PATCH", "DELETE")),
    }
    before = web.dump()
    for address, (allowed, names) in refused.items():
        for method in names:
            answer = web.send(method, address, {})
            web.html(405, answer, allowed)
            assert answer.headers["Allow"] == allowed
    web.html(501, web.send("POST", at("spaces", 1), {}))
    assert web.dump() == before
    for address in ("/", "/spaces/", at("spaces", 1), "/spaces/schema/"):
        got, head = web.send("GET", address), web.send("HEAD", address)
        assert (head.status, head.headers, head.body) == (200, got.headers, b"")


@line(50)
def other_method(web: Web) -> None:
    """A POST may be another method; only a POST, and only one that there is."""
    answer = web.send("POST", at("projects", 1), {"title": "x"}, HTTP_X_HTTP_METHOD_OVERRIDE="patch")
    web.expect(answer, project(1, 2, title="x", **CHANGED), 202)
    web.html(200, web.send("POST", "/spaces/", {}, HTTP_X_HTTP_METHOD_OVERRIDE="OPTIONS"), "GET,POST,PATCH")
    web.html(405, web.send("POST", "/spaces/", {}, HTTP_X_HTTP_METHOD_OVERRIDE="NOPE"), "GET,POST,PATCH")
    web.get("/spaces/?title=Space%201", listed(space(1)), HTTP_X_HTTP_METHOD_OVERRIDE="DELETE")
    answer = web.send("POST", at("projects", 1), HTTP_X_HTTP_METHOD_OVERRIDE="DELETE")
    assert (answer.status, answer.body) == (204, b"")
    web.refuse(404, None, "GET", at("projects", 1))


# ---- pages ----


@line(51)
def limits(web: Web) -> None:
    """A limit is cut to 1000; 0 means 1000."""
    web.get("/spaces/?limit=0", listed(*map(space, range(1, 7)), limit=1000))
    web.get("/spaces/?limit=9999", listed(*map(space, range(1, 7)), limit=1000))
    notes = [{"text": str(number)} for number in range(26, 1002)]
    assert web.send("PATCH", "/notes/", {"objects": notes}).status == 202
    expected = [*map(note, range(1, 26)), *(note(n, **MADE) | {"text": str(n)} for n in range(26, 1001))]
    address = f"{BASE}/notes/?limit=1000&offset=1000"
    web.get("/notes/?limit=0", listed(*expected, limit=1000, total_count=1001, next=address))


@line(52)
def limit_is_no_number(web: Web) -> None:
    """A limit that is no whole number."""
    for value in ("abc", "1.5", ""):
        text = f"Invalid limit '{value}' provided. Please provide a positive integer."
        web.bad(f"/spaces/?limit={value}", text)


@line(53)
def negative_limit(web: Web) -> None:
    """A negative limit; messages are HTML-escaped."""
    web.bad("/spaces/?limit=-1", "Invalid limit '-1' provided. Please provide a positive integer &gt;= 0.")


@line(54)
def bad_offsets(web: Web) -> None:
    """An offset that is no number from 0 on."""
    web.bad("/spaces/?offset=abc", "Invalid offset 'abc' provided. Please provide an integer.")
    web.bad("/spaces/?offset=-1", "Invalid offset '-1' provided. Please provide a positive integer &gt;= 0.")


@line(55)
def past_the_end(web: Web) -> None:
    """An offset past the end."""
    previous = f"{BASE}/notes/?limit=20&offset=980"
    web.get("/notes/?offset=1000", listed(offset=1000, total_count=25, previous=previous))


@line(56)
def ends(web: Web) -> None:
    """`previous` is null where it would begin before the first record, `next` where it would begin behind the last."""
    web.get("/spaces/?offset=3&limit=5", listed(*map(space, (4, 5, 6)), limit=5, offset=3, total_count=6))
    previous = f"{BASE}/spaces/?limit=3&offset=0"
    web.get(
        "/spaces/?offset=3&limit=3", listed(*map(space, (4, 5, 6)), limit=3, offset=3, total_count=6, previous=previous)
    )


@line(57)
def addresses_keep_parameters(web: Web) -> None:
    """The other parameters come first, in their order, encoded anew; then limit and offset."""
    query = "offset=0&created__range=2019-09-01T00:00:00Z,2019-09-30T00:00:00Z&limit=1&b=x%20y&order_by=-id&b=%C3%BC"
    kept = "created__range=2019-09-01T00%3A00%3A00Z%2C2019-09-30T00%3A00%3A00Z&b=x+y&order_by=-id&b=%C3%BC"
    address = f"{BASE}/projects/?{kept}&limit=1&offset=1"
    web.get(f"/projects/?{query}", listed(P5, limit=1, total_count=5, next=address))


@line(58)
def default_order(web: Web) -> None:
    """Without an order: in that of creation, so that pages are stable."""
    web.write("PATCH", at("projects", 1), {"title": "zz"}, project(1, 2, title="zz", **CHANGED), 202)
    web.all("/projects/", project(1, 2, title="zz", **CHANGED), P2, P3, P4, P5)


@line(59)
def orders(web: Web) -> None:
    """`order_by` and `-` before a name; repeated, the first goes before; nulls come first, downwards last."""
    web.all("/projects/?order_by=title", P5, P1, P2, P3, P4)
    web.all("/projects/?order_by=-title", P4, P3, P2, P1, P5)
    web.all("/tasks/?order_by=minutes&order_by=-title", T4, T3, T2, T1)
    web.all("/tasks/?order_by=-minutes&order_by=title", T1, T2, T3, T4)
    for name in (
        "associated_contacts",
        "extra",
        "labels",
        "snapshot_id",
        "resource_uri",
        "type",
        "created_by",
        "photo",
    ):
        web.bad(f"/tasks/?order_by={name}", f"The '{name}' field does not allow ordering.")
    for name in ("nope", "", "title__gt", "-title"):
        web.bad(f"/tasks/?order_by=-{name}", f"No matching '{name}' field for ordering on.")


# ---- filters ----


@line(60)
def unknown_parameters(web: Web) -> None:
    """A parameter that begins with no field has no effect."""
    for query in ("bogus=1", "bogus__gt=1", "titles=x", "secret=x", "Title=x", "bogus[=1", "a]b=1", "[]=1", "=1"):
        web.all(f"/projects/?{query}", *FIVE)


@line(61)
def no_filter(web: Web) -> None:
    """A field that allows no filtering."""
    for name in ("extra", "steps", "photo", "created_by", "modified_by", "type", "resource_uri"):
        web.bad(f"/tasks/?{name}=x", f"The '{name}' field does not allow filtering.")
    web.bad("/tasks/?extra__a__gt=1", "The 'extra' field does not allow filtering.")
    web.bad("/tasks/?project__nope=1", "The 'nope' field does not allow filtering.")


@line(62)
def wrong_operation(web: Web) -> None:
    """An operation that a field does not have."""
    cases = {
        "minutes__endswith=1": ("endswith", "minutes"),
        "due__contains=1": ("contains", "due"),
        "day__hour=1": ("hour", "day"),
        "done__gt=true": ("gt", "done"),
        "labels__contains=a": ("contains", "labels"),
        "id__gt=1": ("gt", "id"),
        "snapshot_id__in=x": ("in", "snapshot_id"),
        "project__gt=1": ("gt", "project"),
        "project__title__year=1": ("year", "title"),
    }
    for query, (lookup, name) in cases.items():
        web.bad(f"/tasks/?{query}", f"'{lookup}' is not an allowed filter on the '{name}' field.")


@line(63)
def unknown_suffix(web: Web) -> None:
    """A suffix that is no operation."""
    for query in ("title__bogus=x", "title__bogus__gt=x", "title__=x", "title__gt__lt=x"):
        web.bad(f"/tasks/?{query}", "The 'title' field does not support relations.")


@line(64)
def lookups(web: Web) -> None:
    """All lookups; those with a pattern are refused."""
    cases: dict[str, list[dict[str, Any]]] = {
        "title__exact=board%20walk": [T2],
        "title__iexact=BOARD%20PAPERS": [T1],
        "title__contains=oard": [T1, T2],
        "title__contains=OARD": [],
        "title__icontains=OARD": [T1, T2],
        "title__startswith=board": [T2],
        "title__istartswith=BOARD": [T1, T2],
        "title__endswith=papers": [T1],
        "title__endswith=PAPERS": [],
        "title__iendswith=PAPERS": [T1],
        "title__in=board%20walk,none,Think": [T2, T4],
        "title__gt=Sleep": [T2, T3, T4],
        "title__gte=board%20walk": [T2],
        "title__lt=C": [T1],
        "title__lte=Board%20papers": [T1],
        "title__range=B,T": [T1, T3],
        "title__isnull=false": [T1, T2, T3, T4],
        "minutes__isnull=true": [T3, T4],
        "minutes__in=15,1": [T2],
        "share=2": [T2],
        "share__lt=1e0": [T1],
        "done=true": [T1],
        "done=False": [T2],
        "done__isnull=True": [T3, T4],
        "labels=b": [T1, T2],
        "labels__in=x,a": [T1],
        "labels__isnull=true": [T4],
        "day=2024-02-29": [T1],
        "day__gt=2024-02-29": [T2],
        "day__range=2024-02-01,2024-03-01": [T1, T2],
        "day__in=2024-02-29,2024-03-01": [T1, T2],
        "day__year=2024": [T1, T2],
        "day__month=2": [T1],
        "day__day=1": [T2],
        "day__week_day=5": [T1],
        "clock__gte=09:00": [T1],
        "clock__in=09:00:00,10:00": [T1],
        "due__year=2019": [T1, T3],
        "due__year=99999": [],
        "due__month=9": [T1, T3],
        "due__day=2": [T1, T3],
        "due__hour=15": [T1],
        "due__minute=38": [T1],
        "due__second=32": [T1],
        "due__week_day=2": [T1, T3],
        "due__date=2019-09-02": [T1, T3],
        "due__in=2019-09-02T15:38:32Z,2020-01-01": [T1],
        "due__isnull=1": [T2, T4],
        f"id={uuid('tasks', 2)}": [T2],
        f"id__in={uuid('tasks', 4)},{uuid('tasks', 1)},x": [T1, T4],
        "id__isnull=true": [],
        "id=x": [],
        f"snapshot_id={uuid('tasks', 2, 1)}": [T2],
        f"snapshot_id={uuid('tasks', 2)}": [],
        f"associated_contacts__in={C1},{C3},x": [T1],
        "associated_contacts__isnull=true": [T2, T4],
        "associated_contacts__isnull=false": [T1, T3],
    }
    for query, found in cases.items():
        web.all(f"/tasks/?{query}", *found)
    for lookup in ("regex", "iregex"):
        web.bad(f"/tasks/?title__{lookup}=.", f"'{lookup}' is not an allowed filter on the 'title' field.")


@line(65)
def commas_and_repeats(web: Web) -> None:
    """`in` and `range` are cut at commas and joined when repeated; of other parameters the last counts."""
    web.all("/projects/?title__in=Car,boat&title__in=Board+A", P1, P3, P4)
    web.all("/tasks/?minutes__range=15&minutes__range=20", T2)
    web.all("/projects/?title=Car&title=boat", P4)
    web.get(
        "/spaces/?limit=x&limit=2&offset=x&offset=4",
        listed(space(5), space(6), limit=2, offset=4, total_count=6, previous=f"{BASE}/spaces/?limit=2&offset=2"),
    )


@line(66)
def words(web: Web) -> None:
    """Words for true, false and null; the text "null" is a text."""
    for word in ("true", "True"):
        web.all(f"/tasks/?done={word}", T1)
    for word in ("false", "False"):
        web.all(f"/tasks/?done={word}", T2)
    for word in ("nil", "none", "None"):
        web.all(f"/tasks/?done={word}", T3, T4)
        web.all(f"/tasks/?labels={word}", T4)
        web.all(f"/tasks/?associated_contacts={word}", T2, T4)
        web.all(f"/projects/?code__exact={word}", *FIVE)
    web.all("/projects/?code=null")


@line(67)
def forms_of_dates(web: Web) -> None:
    """Moments with a zone, without one, of a day; without a fraction a moment is its whole second."""
    for text in ("2019-09-02T15:38:32Z", "2019-09-02T15:38:32", "2019-09-02T18:38:32%2B03:00", "2019-09-02%2015:38:32"):
        web.all(f"/projects/?created={text}", P2)
        web.all(f"/projects/?created__lte={text}", P1, P2)
    web.all("/projects/?created=2019-09-02T15:38:32.250Z", P2)
    web.all("/projects/?created=2019-09-02T15:38:32.249Z")
    web.all("/projects/?created__lte=2019-09-02", P1)
    web.all("/tasks/?due__lte=2019-09-02", T3)
    web.all("/tasks/?due=2019-09-02", T3)
    web.bad("/projects/?created=2019-09-02T18:38:32+03:00", no_date("2019-09-02T18:38:32 03:00"))


def no_date(value: str) -> str:
    """The text for what is no moment."""
    return f"['“{value}” value has an invalid format. It must be in YYYY-MM-DD HH:MM[:ss[.uuuuuu]][TZ] format.']"


@line(68)
def bad_dates(web: Web) -> None:
    """What is no date."""
    web.bad("/files/?modified__gt=banana", no_date("banana"))
    for value in ("", "2019", "2019-09", "2019-13-01", "2019-09-02T25:00:00Z", "2019-09-02T15"):
        web.bad(f"/files/?created={value}", no_date(value))
    date = "['“x” value has an invalid date format. It must be in YYYY-MM-DD format.']"
    web.bad("/tasks/?day__lt=x", date)
    web.bad("/tasks/?due__date=x", date)
    web.bad("/tasks/?clock=x", "['“x” value has an invalid format. It must be in HH:MM[:ss[.uuuuuu]] format.']")


@line(69)
def bad_numbers(web: Web) -> None:
    """A text where a number or a boolean must be."""
    for query in ("minutes=x", "minutes__in=1,x", "minutes__gt=1.5", "share__range=1,x", "done=x", "due__month=x"):
        web.bad(f"/tasks/?{query}", "Invalid resource lookup data provided (mismatched type).")
    web.bad("/tasks/?minutes=9223372036854775808", "Invalid resource lookup data provided (mismatched type).")


@line(70)
def no_failures(web: Web) -> None:
    """What crashes the original is 400."""
    two = "write two values with a comma between them"
    for value in ("1", "1,2,3", ""):
        web.bad(f"/tasks/?minutes__range={value}", f"Invalid value '{value}' for parameter 'minutes__range': {two}")
    text = "Invalid value 'maybe' for parameter 'title__isnull': write true or false"
    web.bad("/tasks/?title__isnull=maybe", text)
    web.all("/tasks/?title__contains=%25", T3)
    web.all("/tasks/?title__contains=%28")


@line(71)
def inclusive_range(web: Web) -> None:
    """Both ends of a range are in."""
    web.all("/projects/?created__range=2019-09-01T15:38:32Z,2019-09-03T15:38:32Z", P1, P2, P3)
    web.all("/projects/?title__range=Board+A,Board+B", P1, P2)


@line(72)
def case(web: Web) -> None:
    """`exact` and `startswith` look at the case; `%` and `_` are plain letters."""
    web.all("/projects/?title=car")
    web.all("/projects/?title__startswith=BO")
    web.all("/projects/?title__istartswith=BO", P1, P2, P4, P5)
    web.all("/projects/?title__startswith=Bo_", P5)
    web.all("/projects/?title__contains=100%25", P5)


@line(73)
def to_many(web: Web) -> None:
    """Filters on links and through them; several speak of the same linked record."""
    web.all(f"/projects/?associated_contacts={C2}", P2, P4)
    web.all(f"/projects/?associated_contacts__id={C2}", P2, P4)
    web.all(f"/projects/?associated_contacts={uri('contacts', 2)}", P2, P4)
    web.all("/projects/?associated_contacts__title=Signer+Signer", P1, P2, P5)
    both = "associated_contacts__title=Signer+Signer&associated_contacts__identifier=6000101990"
    web.all(f"/projects/?{both}")
    web.all("/contacts/?projects__associated_contacts__title__startswith=Gu", contact(1), contact(2))


# ---- writing ----


@line(74)
def create(web: Web) -> None:
    """POST: 201 with the address and the record."""
    body = {
        "title": "NewP",
        "created": "2020-01-01T00:00:00Z",
        "modified": "2020-01-01T00:00:00Z",
        "associated_contacts": [uri("contacts", 1)],
        "space": uuid("spaces", 2),
    }
    links: dict[str, Any] = {"associated_contacts": [uri("contacts", 1)], "space": uri("spaces", 2)}
    answer = web.write("POST", "/projects/", body, project(6, title="NewP", **links), 201)
    assert answer.headers["Location"] == uri("projects", 6)
    web.get(at("projects", 6), project(6, title="NewP", **links))


@line(75)
def put(web: Web) -> None:
    """PUT: 200 with the record; what is left out stays. A record that is gone is made again, a foreign id is 404."""
    address = at("projects", 1)
    web.write("PUT", address, {"status": "x"}, project(1, 2, status="x", **CHANGED), 200)
    web.write(
        "PUT", address, {"associated_contacts": []}, project(1, 3, status="x", associated_contacts=[], **CHANGED), 200
    )
    assert web.send("DELETE", address).status == 204
    answer = web.write("PUT", address, {"title": "again"}, {**project(6, title="again"), **ids(1, 5)}, 201)
    assert answer.headers["Location"] == uri("projects", 1)
    web.get(address, {**project(6, title="again"), **ids(1, 5)})
    web.refuse(404, None, "PUT", "/projects/0b9d4c1e-52f6-1a35-9d0c-7f6e1b2a8c11/", {"title": "x"})
    web.refuse(404, None, "PUT", f"/projects/{C1}/", {"title": "x"})
    web.refuse(404, None, "PUT", at("projects", 60), {"title": "x"})


def ids(number: int, version: int) -> dict[str, str]:
    """What names a project."""
    return {
        "id": uuid("projects", number),
        "snapshot_id": uuid("projects", number, version),
        "resource_uri": uri("projects", number),
    }


@line(76)
def patch(web: Web) -> None:
    """PATCH: 202 with the record; a missing one is 404."""
    web.write("PATCH", at("projects", 1), {"status": "x"}, project(1, 2, status="x", **CHANGED), 202)
    web.refuse(404, None, "PATCH", at("projects", 9), {"status": "x"})


@line(77)
def delete(web: Web) -> None:
    """DELETE: 204; again 404."""
    answer = web.send("DELETE", at("projects", 1))
    assert (answer.status, answer.body) == (204, b"")
    web.refuse(404, None, "DELETE", at("projects", 1))
    web.all("/projects/", P2, P3, P4, P5)


@line(78)
def bad_json(web: Web) -> None:
    """A body that is no JSON, or no object."""
    for method, address in (("POST", "/projects/"), ("PATCH", "/projects/"), ("PUT", at("projects", 1))):
        for body in (b"", b"{", b"title=x", b"nil"):
            web.refuse(400, error("Request is not valid JSON."), method, address, body)
        for body in (b"[]", b"1", b"null", b'"x"'):
            web.refuse(400, error("The body cannot be read: write an object"), method, address, body)


@line(79)
def content_types(web: Web) -> None:
    """A content type that is not served."""
    before = web.dump()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        answer = web.send("POST", "/projects/", b'{"title": "x"}', kind)
        name = kind.partition(";")[0]
        text = f"Sorry, this request could not be processed. The content type is '{name}'; send application/json."
        web.expect(answer, {"error_message": text}, 415)
    assert web.dump() == before
    web.expect(
        web.send("POST", "/projects/", {"title": "x"}, "Application/JSON; charset=utf-8"), project(6, title="x"), 201
    )
    web.expect(web.send("POST", "/projects/", {"title": "y"}, CONTENT_TYPE=""), project(7, title="y"), 201)


@line(80)
def unknown_fields(web: Web) -> None:
    """Unknown fields and a system `created` have no effect; a date that is none is refused."""
    body = {"title": "x", "nope": 1, "created": "banana", "fixed": "y", "type": "z", "resource_uri": "/"}
    web.write("POST", "/projects/", body, project(6, title="x"), 201)
    cases = {"due": "Datetime", "day": "Date", "clock": "Time"}
    for name, word in cases.items():
        text = f"{word} provided to '{name}' field doesn't appear to be a valid {word.lower()} string: 'banana'"
        web.refuse(400, error(text), "PATCH", at("tasks", 1), {name: "banana"})


@line(81)
def unknown_links(web: Web) -> None:
    """A link to a record that there is not."""
    missing = (uri("contacts", 9), uri("spaces", 1), "banana", "/api/v2/contacts/x/")
    for given in missing:
        text = f"Could not find the provided associated_contacts object via resource URI '{given}'."
        web.refuse(400, error(text), "POST", "/projects/", {"title": "x", "associated_contacts": [C1, given]})
    text = f"Could not find the provided space object via resource URI '{uri('spaces', 9)}'."
    web.refuse(400, error(text), "PATCH", at("projects", 1), {"space": uri("spaces", 9)})


@line(82)
def rules(web: Web) -> None:
    """A required field, a unique value, several mistakes at once: 400."""
    web.refuse(400, error("Field 'title' is required"), "POST", "/projects/", {"status": "x"})
    web.write("PATCH", at("projects", 1), {"code": "a"}, project(1, 2, code="a", **CHANGED), 202)
    text = "Field 'code' must be unique: another record has this value"
    web.refuse(400, error(text), "POST", "/projects/", {"title": "x", "code": "a"})
    both = "Invalid value 1 for field 'status': expected a text; Field 'title' must have at most 20 characters"
    web.refuse(400, error(both), "POST", "/projects/", {"title": "x" * 21, "status": 1})


@line(83)
def list_writes(web: Web) -> None:
    """A list PATCH changes, makes and deletes in one transaction; list PUT and DELETE are 405."""
    objects = [
        {"title": "new"},
        {"resource_uri": uri("projects", 2), "status": "x"},
        {"resource_uri": uri("projects", 5), "title": "five"},
    ]
    assert web.send("DELETE", at("projects", 5)).status == 204
    body = {"objects": objects, "deleted_objects": [uri("projects", 1), uri("projects", 8)]}
    again = {**project(9, title="five"), **ids(5, 3)}
    changed = [project(6, title="new"), project(2, 2, status="x", **CHANGED), again]
    web.write("PATCH", "/projects/", body, {"objects": changed}, 202)
    web.all("/projects/", changed[1], P3, P4, again, changed[0])
    unknown = uri("projects", 9)
    text = f"Invalid value \"{unknown}\" for field 'objects.0.resource_uri': expected a resource URI of projects"
    web.refuse(400, error(text), "PATCH", "/projects/", {"objects": [{"resource_uri": unknown, "title": "x"}]})
    web.refuse(400, error("Invalid data sent: missing 'objects'"), "PATCH", "/projects/", {"deleted_objects": []})
    body = {"objects": [{"title": "more"}, {"title": "x" * 21}], "deleted_objects": [uri("projects", 3)]}
    text = "Field 'objects.1.title' must have at most 20 characters"
    web.refuse(400, error(text), "PATCH", "/projects/", body)
    for method in ("PUT", "DELETE"):
        answer = web.send(method, "/projects/", {"objects": []})
        web.html(405, answer, "GET,POST,PATCH")
    web.all("/projects/", changed[1], P3, P4, again, changed[0])


@line(84)
def id_in_a_body(web: Web) -> None:
    """An `id` in a body has no effect."""
    web.write("PATCH", at("projects", 1), {"id": "zz"}, P1, 202)
    web.write("PUT", at("projects", 1), {"id": uuid("projects", 2)}, P1, 200)
    web.refuse(404, None, "GET", "/projects/zz/")


@line(85)
def form_of_answers(web: Web) -> None:
    """Keys are sorted at every depth, with blanks after `,` and `:`; the headers of an answer."""
    answer = web.send("GET", "/contacts/?identifier=60001019906")
    assert '"emails": [{"email": "signer@example.is", "label": "email_label:Work:"}], ' in answer.body.decode()
    assert '{"label": "phone_label:Mobile:", "number": "+37200000766"}' in answer.body.decode()
    assert {name: answer.headers[name] for name in ("Content-Type", "Vary", "Cache-Control")} == {
        "Content-Type": "application/json",
        "Vary": "Accept",
        "Cache-Control": "no-cache",
    }
    web.all("/contacts/?title__startswith=Gu%C3%B0", contact(2))


@line(86)
def accept(web: Web) -> None:
    """Whatever is accepted, it is JSON."""
    for kind in ("text/html", "application/xml", "text/html,application/xhtml+xml;q=0.9"):
        web.get("/spaces/?title=Space%201", listed(space(1)), HTTP_ACCEPT=kind)


@pytest.mark.parametrize("number", LINES)
def test_line(web: Web, number: int) -> None:
    """The scenario of the line of that number."""
    LINES[number](web)


def test_every_line_has_a_scenario() -> None:
    """All lines are there; the list has none from 31 to 39."""
    assert list(LINES) == [*range(1, 31), *range(40, 87)]
