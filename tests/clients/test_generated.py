"""A client that is generated from the documents, by aiopenapi3, works with the server."""

from collections.abc import Iterator
from typing import Any

import pytest

import minirest
from tests.documents import PASSWORD, SCHEMA, document, world
from tests.web import served

TAG = minirest.derive_tags(list(SCHEMA["$defs"]), {})["things"]
FIRST: dict[str, dict[str, Any]] = {
    "limbas": {"id": 1},
    "nocobase": {"filterByTk": 1},
    "coredata": {"id": minirest.record_uuid(TAG, 0, 1)},
    "platform": {"id": minirest.object_id(TAG, 1)},
    "qore": {"key": "1", "Prefer": "return=minimal"},  # its models take no list where a value can be anything
}
VALUES = {"name": "Generated", "count": 7}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[minirest.Application, str]]:
    app = world()
    with served(app) as address:
        yield app, address


def value(record: Any, name: str) -> Any:
    """A member of a model, in whichever envelope it stands."""
    for word in ("data", "root", "attributes"):
        record = getattr(record, word, record)
    return getattr(record, name)


@pytest.mark.parametrize("dialect", FIRST)
def test_a_client_reads_and_writes(server: tuple[minirest.Application, str], dialect: str) -> None:
    """Its models read a record that is there, and one that they have made."""
    aiopenapi3 = pytest.importorskip("aiopenapi3", reason="aiopenapi3 is not installed")
    httpx2 = pytest.importorskip("httpx2", reason="httpx2 is not installed")

    def connect(*args: Any, **words: Any) -> Any:
        return httpx2.Client(*args, **words)

    connect.__annotations__["return"] = httpx2.Client  # by which it tells that nothing is asynchronous

    app, address = server
    described = {**document(app, dialect), "servers": [{"url": address.rstrip("/")}]}
    client = aiopenapi3.OpenAPI(f"{address}openapi.json", described, session_factory=connect)
    client.authenticate(basic=("admin", PASSWORD))
    found = client._.things.get_things(parameters=FIRST[dialect])
    assert (value(found, "name"), value(found, "count")) == ("A", 1)
    body = {"data": VALUES} if dialect == "limbas" else VALUES
    made = client._.things.create_things(data=body)
    assert (value(made, "name"), value(made, "count")) == ("Generated", 7)
