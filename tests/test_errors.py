"""Errors: one table of codes, each worded with what the code gives it."""

import ast
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import ERRORS, ApiError, SchemaError, Violation, did_you_mean, fail, word

TREE = ast.parse(Path(minirest.__file__).read_text(encoding="utf-8"))
FILLED_BY_WORD = {"field", "hint"}

# ---- every place in the module that makes an error ----


class Place(NamedTuple):
    """One call that makes an error with a literal code: its line, the parameters it gives, whether it gives a path."""

    line: int
    code: str
    params: frozenset[str]
    has_path: bool

    def __repr__(self) -> str:
        return f"line {self.line}: {self.code}"


def literal(node: ast.expr | None) -> str | None:
    """The text of a constant, None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def keys_of(node: ast.expr | None, scope: ast.AST) -> frozenset[str]:
    """The keys of a dict display, also of one that was given a name in the same function."""
    if isinstance(node, ast.Name):
        assigned = (part for part in ast.walk(scope) if isinstance(part, ast.Assign))
        named = (part.value for part in assigned if ast.unparse(part.targets[0]) == node.id)
        node = next((value for value in named if isinstance(value, ast.Dict)), None)
    return frozenset(filter(None, map(literal, node.keys))) if isinstance(node, ast.Dict) else frozenset()


def place_of(call: ast.Call, scope: ast.AST) -> Place | None:
    """What one call makes, None when it makes no error with a literal code."""
    arguments = call.args
    match ast.unparse(call.func):
        case "fail":
            code, params = literal(arguments[0]), frozenset(keyword.arg for keyword in call.keywords if keyword.arg)
            has_path = len(arguments) > 1 or "path" in params
        case "Violation" if len(arguments) > 1:
            code, params = literal(arguments[1]), keys_of(arguments[2] if len(arguments) > 2 else None, scope)
            has_path = ast.unparse(arguments[0]) != "()"
        case "ApiError" if len(arguments) == 1:
            code, params, has_path = literal(arguments[0]), frozenset(), False
        case _:
            return None
    return Place(call.lineno, code, params, has_path) if code else None


def places() -> Iterator[Place]:
    """All calls `fail("code", ...)`, `ApiError("code")` and `Violation(path, "code", {...})`."""
    for scope in ast.walk(TREE):
        if isinstance(scope, ast.FunctionDef):
            calls = (node for node in ast.walk(scope) if isinstance(node, ast.Call))
            yield from filter(None, (place_of(call, scope) for call in calls))


PLACES = sorted(set(places()))


def names_in(message: str) -> set[str]:
    """The names that a template asks for."""
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


def test_the_places_are_found() -> None:
    """The reader of the module sees errors of every section, or the tests below would hold nothing."""
    assert len(PLACES) > 50
    found = {place.code for place in PLACES}
    assert found >= {"bad_body", "unknown_field", "link_missing", "too_large", "unauthenticated", "bad_id", "internal"}


@pytest.mark.parametrize("place", PLACES, ids=repr)
def test_every_error_has_its_row_and_its_parameters(place: Place) -> None:
    """A code that is raised is in ERRORS, and its message asks for nothing that is not given there."""
    assert place.code in ERRORS
    wanted = names_in(ERRORS[place.code].message)
    assert wanted - FILLED_BY_WORD <= place.params
    if "field" in wanted:
        assert place.has_path or "field" in place.params, "the message would speak of a field without a name"


VALIDATOR_RULES = (
    "required minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems "
    "maxItems uniqueItems enum const type schema"
).split()


def test_every_row_is_used() -> None:
    """Each row is raised somewhere: its code stands in the module outside ERRORS too, or is a rule of schemas."""
    texts = [node.value for node in ast.walk(TREE) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [code for code in ERRORS if texts.count(code) < 2 and code not in VALIDATOR_RULES] == []


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_row_is_sane(code: str) -> None:
    """The status is one that we answer for a failure; the message is one line, in upper case, without a full stop."""
    rule = ERRORS[code]
    of_clients = {400, 401, 403, 404, 405, 411, 412, 413, 415, 416, 417, 421, 429, 431}
    assert rule.status in of_clients | {500, 501, 503, 505, 507}
    assert rule.message[0].isupper() or rule.message[0] == "{"
    assert "\n" not in rule.message
    assert not rule.message.endswith(".")
    params = dict.fromkeys(names_in(rule.message), "x")
    assert "{" not in Violation(("f",), code, params).message()


# ---- violations and errors ----


@pytest.mark.parametrize(
    ("violation", "message"),
    [
        (Violation(("name",), "required"), "Field 'name' is required"),
        (Violation(("tags", 0, "name"), "required"), "Field 'tags.0.name' is required"),
        (Violation((), "not_found"), "Not found"),
        (Violation(("a",), "required", {"field": "b"}), "Field 'b' is required"),
        (Violation((), "unknown_table", {"name": "x"}), "Unknown table 'x'"),
        (Violation((), "unknown_table", {"name": "x", "hint": "; hm"}), "Unknown table 'x'; hm"),
        (Violation((), "unknown_parameter", {"name": "{name}{0}"}), "Unknown parameter '{name}{0}'"),
    ],
)
def test_violation_is_worded(violation: Violation, message: str) -> None:
    """A message names the field by its path, takes the violation's parameters, and never reads them as a template."""
    assert violation.message() == message
    assert word(ERRORS[violation.rule].message, violation) == message


def test_error_without_violation_has_its_own_code_as_one() -> None:
    """`ApiError(code)` alone is one violation of that name, with the status of the row and its headers."""
    error = ApiError("busy", headers=(("Retry-After", "1"),))
    assert (error.code, error.status, error.violations) == ("busy", 503, (Violation((), "busy"),))
    assert (error.headers, str(error)) == ((("Retry-After", "1"),), "The database is busy; try again")


def test_error_with_violations() -> None:
    """The code decides the status, the violations the text."""
    error = ApiError("unique", Violation(("a",), "unique"), Violation(("b",), "minimum", {"limit": 3}))
    assert error.status == 400
    assert str(error) == "Field 'a' must be unique: another record has this value; Field 'b' must be at least 3"


def test_fail_makes_one_violation() -> None:
    """`fail` is the error with one violation of the same name."""
    error = fail("bad_value", ["tags", 0], value="1", expected="a text")
    assert error.code == "bad_value"
    assert error.violations == (Violation(("tags", 0), "bad_value", {"value": "1", "expected": "a text"}),)
    assert str(error) == "Invalid value 1 for field 'tags.0': expected a text"


def test_schema_error() -> None:
    """A SchemaError is a ValueError that keeps the path and the reason."""
    error = SchemaError("#/$defs/t", "is wrong")
    assert isinstance(error, ValueError)
    assert (error.path, error.reason, str(error)) == ("#/$defs/t", "is wrong", "#/$defs/t: is wrong")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("nmae", ["plz", "name"], "; did you mean 'name'?"),
        ("umsatzz", ["umsatz", "umsatz_alt"], "; did you mean 'umsatz'?"),
        ("x", ["name"], ""),
        ("name", [], ""),
        ("", ["name"], ""),
        ("nmae" + "x" * 100_000, ["name"], ""),
    ],
)
def test_did_you_mean(name: str, known: list[str], hint: str) -> None:
    """The one nearest name is suggested, if any is near; a huge name costs nothing."""
    assert did_you_mean(name, known) == hint
    assert did_you_mean(name, iter(known)) == hint


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))
@settings(max_examples=100)
def test_only_known_names_are_suggested(name: str, known: list[str]) -> None:
    """A hint is empty or names one of the names that the caller may see."""
    assert did_you_mean(name, known) in {"", *(f"; did you mean {other!r}?" for other in known)}


# ---- the rules of a schema, as the validator words them ----

TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


def violations_of(table_schema: dict[str, Any], record: dict[str, Any]) -> list[Violation]:
    """What is said of a record of a table of that schema; nothing of it is stored."""
    schema = minirest.load_schema({"$defs": {"t": {"type": "object", **table_schema}}})
    store = minirest.Store(schema, ":memory:", lambda: datetime(2024, 5, 1, tzinfo=UTC))
    try:
        table = store.schema.find("t")
        values = {table.fields[name]: table.fields[name].parse_json(value) for name, value in record.items()}
        with pytest.raises(ApiError) as caught:
            store.run(minirest.Create(table, values, {}, minirest.Const(None)))
        assert store.run(minirest.Select(table, minirest.Const(None))).rows == []
    finally:
        store.close()
    assert caught.value.status == 400
    return list(caught.value.violations)


@pytest.mark.parametrize(
    ("schema", "value", "rule", "message"),
    [
        ({"type": "string", "minLength": 3}, "ab", "minLength", "must have at least 3 characters"),
        ({"type": "string", "maxLength": 1}, "äb", "maxLength", "must have at most 1 characters"),
        ({"type": "string", "pattern": "^x$"}, "y", "pattern", "must match the pattern ^x$"),
        ({"type": "string", "format": "email"}, "y", "format", "must be a valid email"),
        ({"type": "string", "format": "uuid"}, "y", "format", "must be a valid uuid"),
        ({"type": "string", "format": "uri"}, "a b", "format", "must be a valid uri"),
        ({"type": "integer", "minimum": 3}, 2, "minimum", "must be at least 3"),
        ({"type": "integer", "maximum": 3}, 4, "maximum", "must be at most 3"),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "exclusiveMinimum", "must be greater than 0"),
        ({"type": "number", "exclusiveMaximum": 1.5}, 1.5, "exclusiveMaximum", "must be less than 1.5"),
        ({"type": "integer", "multipleOf": 5}, 6, "multipleOf", "must be a multiple of 5"),
        ({**TEXTS, "minItems": 2}, ["x"], "minItems", "must have at least 2 items"),
        ({**TEXTS, "maxItems": 0}, ["x"], "maxItems", "must have at most 0 items"),
        ({**TEXTS, "uniqueItems": True}, ["x", "x"], "uniqueItems", "must not hold the same item twice"),
        ({"enum": ["x", "ü"]}, "z", "enum", 'must be one of "x", "ü"'),
        ({"enum": [1, 2.5]}, 3, "enum", "must be one of 1, 2.5"),
        ({"const": "x"}, "z", "const", "must be x"),
        ({"not": {"const": 1}}, 1, "schema", "breaks the rule 'not' of the schema"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, True, "schema", "breaks the rule 'oneOf' of the schema"),
    ],
)
def test_schema_rule_is_worded(schema: dict[str, Any], value: Any, rule: str, message: str) -> None:
    """Each rule of the validator becomes one violation with a code of ours and the whole message."""
    found = violations_of({"properties": {"a": schema}}, {"a": value})
    assert [(violation.rule, violation.message()) for violation in found] == [(rule, f"Field 'a' {message}")]


@pytest.mark.parametrize(
    ("schema", "value", "rule", "message"),
    [
        ({"properties": {"b": {"type": "integer"}}}, {"b": "c"}, "type", "Field 'a.b' must be of type integer"),
        ({"required": ["b"]}, {}, "required", "Field 'a.b' is required"),
        ({"additionalProperties": {"minimum": 3}}, {"b": 5, "c": 1}, "minimum", "Field 'a.c' must be at least 3"),
        ({"properties": {"b": {"items": {"const": 1}}}}, {"b": [1, 2]}, "const", "Field 'a.b.1' must be 1"),
        (
            {"properties": {"c": {}}, "additionalProperties": False},
            {"b": 1},
            "schema",
            "Field 'a' breaks the rule 'additionalProperties' of the schema",
        ),
    ],
)
def test_schema_rule_inside_a_json_value_is_worded(schema: dict[str, Any], value: Any, rule: str, message: str) -> None:
    """A rule that is broken inside a JSON value names the place in it."""
    found = violations_of({"properties": {"a": {"type": "object", **schema}}}, {"a": value})
    assert [(violation.rule, violation.message()) for violation in found] == [(rule, message)]


def test_all_violations_are_told_at_once() -> None:
    """A record that breaks several rules gives them all, each with its field, in one error."""
    properties = {"a": {"type": "string", "minLength": 2}, "b": {"maximum": 3, "type": "integer"}, "c": {}}
    found = violations_of({"properties": properties, "required": ["c"]}, {"a": "x", "b": 4})
    assert {(violation.path, violation.rule) for violation in found} == {
        (("a",), "minLength"),
        (("b",), "maximum"),
        (("c",), "required"),
    }
