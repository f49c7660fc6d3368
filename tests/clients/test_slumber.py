"""slumber, a client that is used with tastypie, drives CoreData on a real port; each answer is compared whole."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import slumber
from slumber.exceptions import HttpClientError, HttpNotFoundError

import minirest
from tests.web import WAIT_SECONDS, served, started

USER, PASSWORD = "admin", "open-sesame"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHOWN = "2026-03-01T12:00:00"
SCHEMA: dict[str, Any] = {
    "$defs": {
        "contacts": {
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "projects": {
                    "type": "array",
                    "items": {"$ref": "#/$defs/projects"},
                    "x-inverse": "associated_contacts",
                },
            },
            "examples": [{"title": "Anna"}, {"title": "Bert"}],
        },
        "projects": {
            "type": "object",
            "properties": {
                "title": {"type": "string", "minLength": 1},
                "budget": {"type": "number"},
                "associated_contacts": {"type": "array", "items": {"$ref": "#/$defs/contacts"}},
            },
            "required": ["title"],
            "x-alias": {"coredata": {"associated_contacts_id": "associated_contacts"}},
            "examples": [{"title": f"P{number}", "associated_contacts": [1]} for number in range(1, 8)],
        },
    }
}
"""Seven projects of the first contact."""


class ApiKey(requests.auth.AuthBase):
    """`Authorization: apikey user:key`, on every request."""

    def __init__(self, user: str, key: str) -> None:
        self.header = f"apikey {user}:{key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.header
        return request


class Session(requests.Session):
    """Connections that wait, but not for ever, and that know no proxy of the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def request(self, *words: Any, **named: Any) -> requests.Response:
        """What `requests` does."""
        return super().request(*words, **{"timeout": WAIT_SECONDS, **named})


class Client:
    """The client, signed in, and the ids of what is served."""

    def __init__(self, app: minirest.Application, url: str, key: str, world: str = "main") -> None:
        self.app, self.base = app, f"{url}api/v2/"
        self.session = Session()
        self.session.headers["X-Minirest-World"] = world  # a server that is not for tests knows nothing of it
        self.api = slumber.API(self.base, auth=ApiKey(USER, key), session=self.session)

    def uuid(self, table: str, key: int, version: int = 0) -> str:
        """The UUID of a record; with a version that of its snapshot."""
        return minirest.record_uuid(self.app.schema.find(table).tag, version, key)

    def uri(self, table: str, key: int) -> str:
        """The address of a record."""
        return f"/api/v2/{table}/{self.uuid(table, key)}/"

    def project(self, key: int, version: int, title: str, *contacts: int, budget: float | None = None) -> Any:
        """A project, whole."""
        new = key > 7
        return {
            "associated_contacts": [self.uri("contacts", contact) for contact in contacts],
            "budget": budget,
            "created": SHOWN,
            "created_by": USER if new else None,
            "id": self.uuid("projects", key),
            "modified": SHOWN,
            "modified_by": USER if version > 1 or new else None,
            "resource_uri": self.uri("projects", key),
            "snapshot_id": self.uuid("projects", key, version),
            "title": title,
            "type": "Project",
        }


@pytest.fixture
def client() -> Iterator[Client]:
    """A server on a free port, its clock standing still, and the client."""
    app = minirest.make_app(SCHEMA, users={USER: PASSWORD}, clock=lambda: NOW)
    with served(app) as url:
        made = Client(app, url, app.accounts.add_token(USER, "slumber"))
        yield made
        made.session.close()


def test_get(client: Client) -> None:
    """A list, a page of it, and one record."""
    listed = client.api.projects.get(title__startswith="P", limit=2)
    rows = [client.project(key, 1, f"P{key}", 1) for key in (1, 2)]
    following = "/api/v2/projects/?title__startswith=P&limit=2&offset=2"
    assert listed == {
        "meta": {"limit": 2, "next": following, "offset": 0, "previous": None, "total_count": 7},
        "objects": rows,
    }
    assert client.api.projects(client.uuid("projects", 2)).get() == rows[1]


def test_nested(client: Client) -> None:
    """The projects of a contact, by either address."""
    contact = client.uuid("contacts", 1)
    nested = client.api.contacts(contact).projects.get()
    assert [row["title"] for row in nested["objects"]] == [f"P{key}" for key in range(1, 8)]
    assert client.api.projects.get(associated_contacts_id=contact)["objects"] == nested["objects"]
    assert client.api.contacts(client.uuid("contacts", 2)).projects.get()["objects"] == []


def test_write(client: Client) -> None:
    """A record is made, changed in two ways, and deleted; the answer is always the record."""
    values = {"title": "New", "budget": 5, "associated_contacts": [client.uri("contacts", 2)]}
    assert client.api.projects.post(values) == client.project(8, 1, "New", 2, budget=5)
    record = client.api.projects(client.uuid("projects", 8))
    assert record.patch({"title": "Changed"}) == client.project(8, 2, "Changed", 2, budget=5)
    assert record.put({"title": "Put", "associated_contacts": []}) == client.project(8, 3, "Put", budget=5)
    assert record.get() == client.project(8, 3, "Put", budget=5)
    assert record.delete() is True
    with pytest.raises(HttpNotFoundError) as caught:
        record.delete()
    assert caught.value.content == b""


def test_errors(client: Client) -> None:
    """What is not there is the client's 404; what is wrong is its client error, with the text of the server."""
    with pytest.raises(HttpNotFoundError):
        client.api.projects(client.uuid("contacts", 1)).get()
    with pytest.raises(HttpClientError) as caught:
        client.api.projects.get(title__bogus="x")
    assert json.loads(caught.value.content) == {"error": "The 'title' field does not support relations."}
    stranger = slumber.API(client.base, auth=ApiKey("nobody", "wrong"), session=Session())
    with pytest.raises(HttpClientError) as caught:
        stranger.projects.get()
    stranger._store["session"].close()
    assert (caught.value.response.status_code, caught.value.content) == (401, b"")


def test_paging_to_the_end(client: Client) -> None:
    """Following `next` gives every record once, and `previous` leads back."""
    seen, parameters, back = [], {"limit": "3"}, []
    while True:
        page = client.api.projects.get(**parameters)
        seen += [row["title"] for row in page["objects"]]
        back.append(page["meta"]["previous"])
        if page["meta"]["next"] is None:
            break
        parameters = dict(parse_qsl(urlsplit(page["meta"]["next"]).query))
    assert seen == [f"P{key}" for key in range(1, 8)]
    assert back == [None, "/api/v2/projects/?limit=3&offset=0", "/api/v2/projects/?limit=3&offset=3"]


def test_worlds(tmp_path: Path) -> None:
    """Twenty clients at a time, each in a world of its own of one process, find what one finds alone."""
    schema, path = tmp_path / "schema.json", tmp_path / "shop.db"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    app = minirest.make_app(SCHEMA, path, users={USER: PASSWORD}, clock=lambda: NOW)
    key = app.accounts.add_token(USER, "slumber")
    before = app.client(key).get("/api/v2/projects/").json()
    app.close()

    def live(_: int) -> str:
        with Session() as session:
            name = session.post(f"{url}_test/worlds").json()["world"]
            for test in (test_get, test_nested, test_write, test_errors, test_paging_to_the_end):
                session.post(f"{url}_test/worlds/{name}/clock", json={"now": NOW.isoformat()}).raise_for_status()
                client = Client(app, url, key, name)
                test(client)
                client.session.close()
                assert session.post(f"{url}_test/worlds/{name}/restore").status_code == 204
        return str(name)

    with started(str(schema), "--db", str(path), "--test", "--seed", "7") as url, ThreadPoolExecutor(20) as pool:
        assert set(pool.map(live, range(20))) == {f"w{number}" for number in range(1, 21)}
        main = Client(app, url, key)
        assert main.api.projects.get() == before
        main.session.close()
