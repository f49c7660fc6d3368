"""Schemathesis over the documents: it makes requests of a document, and judges the answers by it."""

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import minirest
from tests.documents import SCHEMA, credentials, document, world

if TYPE_CHECKING:
    from schemathesis import Case

EXAMPLES = 3
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


def fuzz(dialect: str, role: str) -> Counter[int]:
    """Send requests to every operation of a role's document. Gives the statuses; AssertionError or a Failure."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    judged = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]
    statuses: Counter[int] = Counter()
    with closing(world()) as app:
        schema = schemathesis.openapi.from_dict(document(app, dialect, role))
        schema.app = app
        schema.config.update(base_url="http://localhost")
        operations = [found.ok() for found in schema.get_all_operations()]
        operations.sort(key=lambda it: (is_destroying(it), ORDER.index(it.method)))
        for operation in operations:
            strategy = operation.as_strategy()
            if operation.body or operation.query or operation.path_parameters:
                wrong = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
                strategy = st.one_of(strategy, strategy, wrong)

            @seed(8)
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            )
            @given(case=strategy, number=st.integers(1, 6))
            def send(case: "Case[Any]", number: int) -> None:
                aim(case, dialect, number)
                answer = case.call(headers=credentials(role))
                statuses[answer.status_code] += 1
                case.validate_response(answer, checks=judged)

            send()
    return statuses


def check(dialect: str, role: str) -> None:
    """Fuzz a document; some requests have to succeed, or nothing has been seen."""
    statuses = fuzz(dialect, role)
    assert statuses[200] > 10, statuses
    assert not any(status >= 500 for status in statuses)
