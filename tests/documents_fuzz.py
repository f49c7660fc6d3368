"""Schemathesis over the documents: it makes requests of a document, and judges the answers by it."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import minirest
from tests.documents import ROLES, SCHEMA, credentials, document, world

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.schemas import APIOperation

FIRST = ("limbas", "coredata", "platform")
"""The dialects of one of two files, which take about as long as each other: they run at once."""
PAIRS = [*product(FIRST, ROLES)]
OTHER_PAIRS = [*product(sorted(set(minirest.AUTHORS) - set(FIRST)), ROLES)]
REQUESTS, LEAST = 150, 3
"""How many requests a document is worth, spread over its operations; and how many each of them at least."""
TAGS = minirest.derive_tags(list(SCHEMA["$defs"]), {})
ORDER = ("get", "post", "put", "patch", "delete")


def key(dialect: str, path: str, number: int) -> Any:
    """The key of a record at an address, as the dialect has it."""
    table = next(part for part in path.replace(":", "/").split("/") if part in SCHEMA["$defs"])
    if table == "people" and dialect in ("nocobase", "qore"):
        return ("anna", "ben", "nobody")[number % 3]
    if dialect == "coredata":
        return minirest.record_uuid(TAGS[table], 0, number)
    return minirest.object_id(TAGS[table], number) if dialect == "platform" else number


def is_destroying(operation: Any) -> bool:
    """Whether an operation takes records away, so that it has to be the last."""
    return operation.method == "delete" or any(word in operation.path for word in (":destroy", "delete_resource"))


def aim(case: "Case[Any]", dialect: str, number: int) -> None:
    """Send most requests to records that there are, on conditions that can hold."""
    if number > 4:
        return
    for name in case.path_parameters or {}:
        if name != "ids":
            case.path_parameters[name] = key(dialect, case.operation.path, number)
    case.headers.pop("If-Match", None)
    case.query.pop("filter", None)
    if "filterByTk" in case.query:
        case.query["filterByTk"] = number


def checks() -> list[Any]:
    """What an answer is held against: no 5xx, and status, type, body and headers as the document has them."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    return [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]


def operations(app: minirest.Application, document: Any) -> "list[APIOperation[Any, Any, Any, Any]]":
    """The operations of a document of an application, as schemathesis has them, the destroying ones last."""
    import schemathesis
    from schemathesis.core.result import Ok

    schema = schemathesis.openapi.from_dict(document)
    schema.app = app
    schema.config.update(base_url="http://localhost")
    schema.config.analysis.constants.enabled = False  # no reading of minirest.py for what could be sent
    results = list(schema.get_all_operations())
    found = [result.ok() for result in results if isinstance(result, Ok)]
    assert len(found) == len(results) > 0
    return sorted(found, key=lambda it: (is_destroying(it), ORDER.index(it.method)))


def cases(operation: "APIOperation[Any, Any, Any, Any]") -> "st.SearchStrategy[Case[Any]]":
    """Requests that an operation allows, and some that it does not."""
    from schemathesis import GenerationMode

    right = operation.as_strategy()
    if not (operation.body or operation.query or operation.path_parameters):
        return right
    return st.one_of(right, right, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def fuzz(dialect: str, role: str, change: Callable[[Any], Any] = lambda document: document) -> Counter[int]:
    """Send requests to every operation of a role's document. Gives the statuses; a Failure, or a group of them.

    `change` gives the document by which the answers are judged.
    """
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    judges, statuses = checks(), Counter[int]()
    with closing(world(seed=8)) as app:
        offered = operations(app, change(document(app, dialect, role)))
        examples = max(LEAST, REQUESTS // len(offered))
        for operation in offered:

            @seed(f"{dialect} {role} {operation.label}")
            @settings(
                max_examples=examples,
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            )
            @given(case=cases(operation), number=st.integers(1, 6))
            def send(case: "Case[Any]", number: int) -> None:
                aim(case, dialect, number)
                answer = case.call(headers=credentials(role))
                statuses[answer.status_code] += 1
                case.validate_response(answer, checks=judges)

            send()
    return statuses


def check(dialect: str, role: str) -> None:
    """Fuzz a document; some requests have to succeed, or nothing has been seen."""
    statuses = fuzz(dialect, role)
    assert statuses[200] > 10, statuses
