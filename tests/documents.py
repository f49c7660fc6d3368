"""What the tests of the OpenAPI documents share: a world with roles, and the judge of an answer."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

import minirest
from tests.web import Answer, many, one, send

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = "open-sesame"
TEXT = {"type": "string"}
FORMATS = ("date", "date-time", "time", "email", "uri", "uuid")
READING = {"list": True, "get": True}
RIGHTS = {
    "admin": {"*": True},
    "anonymous": {"list": {"name.$ne": "Secret"}, "get": True, "hide": ["kind_email", "notes"]},
    "writer": {
        **READING,
        "create": True,
        "update": True,
        "link": True,
        "hide": ["kind_uri"],
        "readonly": ["kind_date"],
    },
}
SCHEMA: dict[str, Any] = {
    "title": "Kinds & links",
    "$defs": {
        "things": {
            "type": "object",
            "description": "Everything that a field can be",
            "properties": {
                "name": {**TEXT, "minLength": 1, "maxLength": 40, "title": "Name"},
                **{f"kind_{form.replace('-', '_')}": {**TEXT, "format": form} for form in FORMATS},
                "count": {"type": "integer", "minimum": -5, "maximum": 1000},
                "price": {"type": "number"},
                "good": {"type": "boolean", "default": True},
                "state": {"enum": ["new", "old"]},
                "shelves": {"type": "array", "items": {"enum": ["a", "b", "c"]}},
                "words": {"type": "array", "items": TEXT, "maxItems": 3},
                "days": {"type": "array", "items": {**TEXT, "format": "date"}},
                "extra": {"type": "object", "properties": {"deep": {"type": "integer"}}},
                "any": {},
                "secret": {**TEXT, "writeOnly": True},
                "code": {**TEXT, "readOnly": True, "default": "X"},
                "photo": {**TEXT, "format": "binary"},
                "owner_": one("people"),
                "notes": many("notes", **{"x-inverse": "thing"}),
                "tags": many("tags", **{"x-through": "labels"}),
                "friends": many("things"),
                "vault": one("vaults"),
            },
            "required": ["name", "count"],
            "x-archive": True,
            "x-validity": True,
            "x-label": "name",
            "x-tabs": {"Old ones": {"state": "old"}},
            "x-rights": RIGHTS,
            "examples": [
                {
                    "name": "A",
                    "count": 1,
                    "price": 1.5,
                    "state": "new",
                    "shelves": ["a", "c"],
                    "words": ["x"],
                    "days": [],
                },
                {
                    "name": "B",
                    "count": 2,
                    "kind_time": "10:00",
                    "kind_date_time": "2024-05-01T10:00:00+02:00",
                    "tags": [1, 2],
                },
                {"name": "C", "count": 3, "extra": {"deep": 1}, "any": [1, None, "x"], "friends": [1, 2], "owner_": 1},
                {"name": "Secret", "count": 4, "vault": 1},
            ],
        },
        "people": {
            "type": "object",
            "properties": {"id": TEXT, "name": TEXT, "things": many("things", **{"x-inverse": "owner_"})},
            "required": ["name"],
            "x-rights": {"admin": {"*": True}, "anonymous": READING, "writer": READING},
            "examples": [{"id": "anna", "name": "Anna"}, {"id": "ben", "name": "Ben"}],
        },
        "notes": {
            "type": "object",
            "properties": {
                "text": TEXT,
                "place": {"type": "integer"},
                "thing": one("things", **{"x-delete": "cascade"}),
            },
            "x-sort": {"field": "place"},
            "x-rights": {"admin": {"*": True}, "writer": {"*": True}},
            "examples": [{"text": "n", "thing": 1}, {"text": None, "thing": 1}, {"text": "m"}],
        },
        "tags": {
            "type": "object",
            "properties": {"name": {**TEXT, "x-unique": True}, "things": many("things", **{"x-inverse": "tags"})},
            "x-rights": {"admin": {"*": True}, "anonymous": READING, "writer": {"*": True}},
            "examples": [{"name": "red"}, {"name": "green"}],
        },
        "labels": {
            "type": "object",
            "properties": {"thing": one("things"), "tag": one("tags"), "weight": {"type": "integer"}},
            "required": ["thing", "tag"],
            "x-rights": {"admin": {"*": True}, "anonymous": READING, "writer": {"*": True}},
        },
        "vaults": {
            "type": "object",
            "properties": {"name": TEXT},
            "x-rights": {"admin": {"*": True}, "keeper": {"*": True}},
            "examples": [{"name": "V"}],
        },
    },
}
ROLES = ("admin", "writer", "anonymous")


def world(**settings: Any) -> minirest.Application:
    """An application with a user for each role."""
    app = minirest.make_app(SCHEMA, users={"admin": PASSWORD}, clock=lambda: NOW, sign_up=True, **settings)
    for role in ("admin", "writer"):
        app.accounts.put_user(role, password=PASSWORD, roles=[role])
    return app


def credentials(role: str) -> dict[str, str]:
    """The headers of a role, as a client sends them."""
    if role == "anonymous":
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{role}:{PASSWORD}".encode()).decode()}


def document(app: minirest.Application, dialect: str, role: str = "admin") -> Any:
    """The document of a dialect, as a role gets it."""
    answer = ask(app, role, "GET", f"/openapi.json?dialect={dialect}")
    assert answer.status == 200, answer.body
    return answer.json


def ask(app: minirest.Application, role: str, method: str, address: str, body: Any = None, **environ: str) -> Answer:
    """Send a request as a role."""
    words = {f"HTTP_{name.upper()}": value for name, value in credentials(role).items()}
    return send(app, method, address, body, **words, **environ)


class Judge:
    """Tells whether an answer is one that a document has."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.addresses = {
            re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))): path for path in document["paths"]
        }
        self.validator = cache(self.make_validator)

    def at(self, method: str, path: str) -> Any:
        """The operation at an address: one without parameters goes first."""
        found = [known for pattern, known in self.addresses.items() if pattern.fullmatch(unquote(path))]
        assert found, path
        return self.document["paths"][min(found, key=lambda known: known.count("{"))][method.lower()]

    def make_validator(self, text: str) -> jsonschema_rs.Draft202012Validator:
        """The validator of a schema of the document."""
        schema = {"components": self.document["components"], **json.loads(text)}
        return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)

    def check(self, method: str, address: str, answer: Answer) -> None:
        """AssertionError for a status, a media type or a body that the document does not have."""
        responses = self.at(method, address.partition("?")[0])["responses"]
        status = str(answer.status) if answer.status < 500 else "5XX"
        assert status in responses, (method, address, answer)
        found = responses[status]
        if "$ref" in found:
            found = self.document["components"]["responses"][found["$ref"].rpartition("/")[2]]
        if "content" not in found:
            assert not answer.body, (method, address, answer)
            return
        ((kind, media),) = found["content"].items()
        assert answer.headers["Content-Type"].partition(";")[0] == kind, (method, address, answer)
        value = answer.json if kind == "application/json" else answer.body.decode()
        faults = [str(fault) for fault in self.validator(json.dumps(media["schema"])).iter_errors(value)]
        assert not faults, (method, address, value, faults[0])


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Every operation of a document, with its path and method."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation
