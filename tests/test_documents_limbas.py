"""Whatever a document of Limbas, CoreData and Platform allows to be sent gets an answer that the document has."""

from collections.abc import Callable
from typing import Any

import pytest

import minirest
from tests.documents_fuzz import PAIRS, check, fuzz

TAGS = "/api/v1/tags"


@pytest.mark.parametrize(("dialect", "role"), PAIRS)
def test_no_answer_is_undocumented(dialect: str, role: str) -> None:
    """No 5xx, no status, header or body that is not described, whoever asks."""
    check(dialect, role)


# ---- whether the judge would see it ----


def only_tags(document: Any) -> Any:
    """The document with one operation, a list."""
    return document | {"paths": {TAGS: {"get": document["paths"][TAGS]["get"]}}}


def without_success(document: Any) -> Any:
    """The document without the status of what succeeds."""
    del document["paths"][TAGS]["get"]["responses"]["200"]
    return document


def with_numbers(document: Any) -> Any:
    """The document in which names are numbers."""
    document["components"]["schemas"]["tags_entity"]["properties"]["name"] = {"type": "number"}
    return document


def with_pages(document: Any) -> Any:
    """The document in which an answer is a page for people."""
    answer = document["paths"][TAGS]["get"]["responses"]["200"]
    answer["content"] = {"text/html": answer["content"].pop("application/json")}
    return document


def with_header(document: Any) -> Any:
    """The document in which an answer has a header more."""
    header = {"X-Total": {"required": True, "schema": {"type": "integer"}}}
    document["paths"][TAGS]["get"]["responses"]["200"]["headers"] = header
    return document


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (without_success, "UndefinedStatusCode"),
        (with_numbers, "JsonSchemaError"),
        (with_pages, "UndefinedContentType"),
        (with_header, "MissingHeaders"),
    ],
)
def test_the_judge_sees_what_a_document_has_wrong(change: Callable[[Any], Any], failure: str) -> None:
    """A status that is not there, another body, another type, a header that is missing."""
    with pytest.raises(BaseExceptionGroup) as caught:
        fuzz("platform", "anonymous", lambda document: change(only_tags(document)))
    assert failure in {type(found).__name__ for found in caught.value.exceptions}


def test_the_judge_sees_a_server_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 5xx is a fault, though every document has it."""
    monkeypatch.setattr(minirest.Platform, "of_store", lambda *_: 1 / 0)
    with pytest.raises(BaseExceptionGroup) as caught:
        fuzz("platform", "anonymous", only_tags)
    assert "ServerError" in {type(found).__name__ for found in caught.value.exceptions}
