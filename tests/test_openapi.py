"""The OpenAPI documents: valid, each for its caller, and true: what the server answers is what they say."""

import itertools
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import minirest
from tests import web
from tests.documents import FORMATS, NOW, ROLES, SCHEMA, TEXT, Judge, ask, document, operations, world
from tests.web import many, one, send

DIALECTS = list(minirest.DIALECTS)
TAGS = minirest.derive_tags(list(SCHEMA["$defs"]), {})
HTML_TYPE = "text/html; charset=utf-8"


@pytest.fixture(scope="module")
def app() -> Iterator[minirest.Application]:
    with closing(world()) as made:
        yield made


def keys(dialect: str, table: str) -> list[str]:
    """The keys of some records in addresses, the last one of none."""
    numbers = (1, 2, 99)
    if dialect == "coredata":
        return [minirest.record_uuid(TAGS[table], 0, number) for number in numbers]
    if dialect == "platform":
        return [minirest.object_id(TAGS[table], number) for number in numbers]
    if table == "people" and dialect != "limbas":
        return ["anna", "ben", "nobody"]
    return [str(number) for number in numbers]


def addresses(dialect: str, path: str) -> list[str]:
    """A path of a document with the ids of records."""
    if "{" not in path:
        return [path]
    table = next(part for part in path.split("/") if part in SCHEMA["$defs"])
    before, _, rest = path.partition("{")
    return [before + key + rest.partition("}")[2] for key in keys(dialect, table)]


# ---- what a document is ----


@pytest.mark.parametrize("dialect", DIALECTS)
def test_documents_are_valid(app: minirest.Application, dialect: str) -> None:
    """The official validator has nothing to say of any document, whoever asks."""
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    for role in ROLES:
        validator.validate(document(app, dialect, role))


def test_one_document_alone(app: minirest.Application) -> None:
    """Without a dialect it is the document of the first that is served; it names the server by its path."""
    assert ask(app, "admin", "GET", "/openapi.json").json == document(app, "limbas")
    below = ask(app, "admin", "GET", "/openapi.json", SCRIPT_NAME="/app").json
    assert below == {**document(app, "limbas"), "servers": [{"url": "/app"}]}
    with closing(minirest.make_app(SCHEMA, auth=False, dialects=["qore", "limbas"])) as other:
        assert send(other, "GET", "/openapi.json").json["info"]["title"] == "Kinds & links: Qore"


def test_headers(app: minirest.Application) -> None:
    """A document has an ETag of its caller."""
    first = ask(app, "admin", "GET", "/openapi.json")
    again = ask(app, "admin", "GET", "/openapi.json", HTTP_IF_NONE_MATCH=first.headers["ETag"])
    assert (first.status, first.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert ask(app, "writer", "GET", "/openapi.json", HTTP_IF_NONE_MATCH=first.headers["ETag"]).status == 200


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "dialect=odata",
            "Invalid value 'odata' for parameter 'dialect': there are limbas, nocobase, coredata, platform, qore",
        ),
        ("dialekt=qore", "Unknown field dialekt"),
        ("dialect=qore&dialect=limbas", "Invalid value 'limbas' for parameter 'dialect': it stands twice"),
    ],
)
def test_wrong_parameters(app: minirest.Application, query: str, message: str) -> None:
    """What is no parameter, or no dialect, is refused by name."""
    answer = ask(app, "admin", "GET", f"/openapi.json?{query}")
    assert (answer.status, answer.json) == (400, {"errors": [{"code": 400, "message": message}]})


def test_documents_need_credentials() -> None:
    """Where strangers may do nothing they get no document; without authentication there are no schemes."""
    with closing(minirest.make_app({"$defs": {"t": {"type": "object"}}}, users={"a": "open-sesame"})) as app:
        assert send(app, "GET", "/openapi.json").status == 401
    with closing(minirest.make_app(SCHEMA, auth=False)) as app:
        for dialect in DIALECTS:
            found = send(app, "GET", f"/openapi.json?dialect={dialect}").json
            assert (found["security"], found["components"]["securitySchemes"]) == ([], {})
            assert not any("security" in operation for _, _, operation in operations(found))


def test_security_of_roles(app: minirest.Application) -> None:
    """Who has signed in needs credentials, in one of four ways; a stranger may do without."""
    needed: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}, {"apikey": []}, {"session": []}]
    assert document(app, "limbas", "writer")["security"] == needed
    assert document(app, "limbas", "anonymous")["security"] == [{}, *needed]
    assert document(app, "nocobase")["paths"]["/api/auth:signIn"]["post"]["security"] == []


# ---- a document is for its caller ----


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_of_what_is_forbidden(app: minirest.Application, dialect: str) -> None:
    """Tables, fields and verbs that a role does not have are nowhere in its document."""
    whole, writer, stranger = (json.dumps(document(app, dialect, role)) for role in ROLES)
    for word in ("vaults", "kind_uri", "kind_email", "kind_date", "notes"):
        assert word in whole
    assert "vaults" not in writer.replace("/vaults", "")  # Limbas' addresses of a link name its target
    assert "kind_uri" not in writer
    assert "kind_email" in writer
    assert not {"kind_email", "vaults:"} & set(stranger.split('"'))
    methods = {method for _, method, _ in operations(json.loads(stranger))}
    assert methods <= {"get"} | ({"post", "delete"} if dialect in ("nocobase", "platform") else set())
    deletes = {path for path, method, _ in operations(json.loads(writer)) if method == "delete"}
    assert not any(path.startswith("/things/{id}") and path.count("/") == 2 for path in deletes)


def test_locked_fields_are_in_no_body(app: minirest.Application) -> None:
    """What a role cannot set is in its answers and in none of its bodies."""
    for role, expected in (("admin", True), ("writer", False)):
        found = document(app, "limbas", role)
        body = found["paths"]["/things"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert ("kind_date" in body["properties"]["data"]["properties"]) is expected
        record = found["components"]["schemas"]["things_record"]
        assert "kind_date" in record["properties"]["attributes"]["properties"]
        assert "code" not in body["properties"]["data"]["properties"]
        assert body["properties"]["data"]["required"] == ["name", "count"]


def test_no_offer_of_a_link_that_may_not_be_changed() -> None:
    """A new record has its own links; who may then not link is offered no address, and Qore's forms ask for none."""
    rights = {"*": dict.fromkeys(("list", "get", "create", "update"), True)}
    tables = {
        "a": web.table({}, name=TEXT, up=one("a"), all=many("a"), downs=many("a", **{"x-inverse": "up"}), b=one("b")),
        "b": web.table({}, a=many("a", **{"x-inverse": "b"})),
    }
    tables["a"]["x-rights"] = rights
    with closing(minirest.make_app({"$defs": tables}, users={"anna": "open-sesame"})) as app:
        anna = {"HTTP_AUTHORIZATION": "Basic " + b64encode(b"anna:open-sesame").decode()}
        paths = {it: send(app, "GET", f"/openapi.json?dialect={it}", **anna).json["paths"] for it in DIALECTS}
        forms = [send(app, "GET", f"/api/resources/a/{it}", **anna).json for it in ("create", "1/edit")]
        assert [[*form] for form in forms] == [["name", "up", "all", "b"], ["name"]]
    for word in ("up", "all", "downs", "b"):
        assert {*paths["limbas"][f"/a/{{id}}/{word}"]} == {"get"}
    found = {path.rpartition("/")[2] for path in paths["nocobase"] if path.startswith("/api/a/{sourceId}/")}
    assert {word.rpartition(":")[2] for word in found if word.startswith("up:")} == {"get"}
    assert not {word for word in found if word.endswith((":set", ":add", ":remove", ":toggle"))}
    assert [path for path in paths["qore"] if "/a/{key}/inline/" in path] == ["/api/resources/a/{key}/inline/name"]
    new = paths["qore"]["/api/resources/a"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert [*new["properties"]] == ["name", "up", "all", "b"]


# ---- a document is true ----


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_get_is_as_described(app: minirest.Application, dialect: str, role: str) -> None:
    """Whatever can be read is answered with a status and a body of the document."""
    judge, statuses = Judge(document(app, dialect, role)), set[int]()
    for path, method, _ in operations(judge.document):
        if method == "get":
            for address in addresses(dialect, path):
                answer = ask(app, role, "GET", address)
                judge.check("GET", address, answer)
                statuses.add(answer.status)
    assert 200 in statuses
    assert statuses <= {200, 401, 404}


def test_the_judge_sees_what_is_wrong(app: minirest.Application) -> None:
    """A status, a member and a type that are not described are noticed."""
    judge, answer = Judge(document(app, "limbas")), ask(app, "admin", "GET", "/things/1")
    judge.check("GET", "/things/1", answer)
    wrong = answer.json
    wrong["data"]["attributes"]["count"] = "1"
    more = answer.json
    more["data"]["attributes"]["colour"] = "red"
    for body in (json.dumps(wrong).encode(), json.dumps(more).encode()):
        with pytest.raises(AssertionError):
            judge.check("GET", "/things/1", answer._replace(body=body))
    with pytest.raises(AssertionError):
        judge.check("GET", "/things/1", answer._replace(status=202))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_examples_make_records(dialect: str) -> None:
    """The example of each body that makes a record is one that is taken, unless another record has its values."""
    tables = {
        "books": web.table(
            {"name": "B", "shelf": 1, "topics": [2, 1]}, name=TEXT, shelf=one("shelves"), topics=many("topics")
        ),
        "shelves": web.table({"code": "s1"}, code=TEXT, required=["code"], **{"x-key": "code"}),
        "topics": web.table({"Name": "T"}, {"Name": "U"}, Name=TEXT, required=["Name"]),
        "bare": web.table({"note": "x"}, note=TEXT, **{"x-access": True}),
    }
    tables["books"]["required"] = ["shelf", "topics"]
    with closing(minirest.make_app({"$defs": tables}, auth=False)) as app:
        found = send(app, "GET", f"/openapi.json?dialect={dialect}").json
        judge, statuses = Judge(found), []
        for path, method, operation in operations(found):
            if operation["operationId"].startswith("create_") and "{" not in path:
                media = operation["requestBody"]["content"]["application/json"]
                if "bare" in path:
                    assert "example" not in media
                    continue
                answer = send(app, method.upper(), path, media["example"])
                judge.check(method, path, answer)
                statuses.append(answer.status)
        good, taken = 200 if dialect in ("nocobase", "platform") else 201, 422 if dialect == "qore" else 400
        assert statuses == [good, taken, good]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_refusals_of_the_server_are_described(dialect: str) -> None:
    """Too many wrong passwords, and headers that are too large, are answers of every operation."""
    with closing(world()) as app:
        judge = Judge(document(app, dialect))
        path = next(path for path in judge.document["paths"] if path.partition(":")[0].strip("/").endswith("things"))
        method = next(iter(judge.document["paths"][path])).upper()
        headers = {"HTTP_AUTHORIZATION": "Basic " + b64encode(b"writer:wrong-one").decode()}
        answers = [send(app, method, path, **headers) for _ in range(minirest.MAX_FAILURES + 1)]
        for answer in answers:
            judge.check(method, path, answer)
        assert [answer.status for answer in answers] == [401] * minirest.MAX_FAILURES + [429]
        assert answers[-1].headers["Retry-After"] == "60"
        reply = app.dialect_at(path).error(minirest.fail("headers_too_large", limit=1))
        refused = answers[-1]._replace(
            status=reply.status, body=reply.body, headers={"Content-Type": reply.content_type}
        )
        assert refused.status == 431
        judge.check(method, path, refused)


PERSON = minirest.derive_tags(["people"], {})["people"]
LINKED_BODIES: list[tuple[str, str, str, Any]] = [
    *[
        ("nocobase", "post", "/api/cards:create", body)
        for body in ({"owner_id": 1}, {"owner": 1}, {"owner": {"id": 1}}, [{"owner_id": 1}, {"owner": 1}])
    ],
    ("nocobase", "post", "/api/cards:update?filterByTk=1", {"owner_id": 1, "friend_id": None}),
    *[("qore", "post", "/api/resources/cards", {"owner": owner}) for owner in (1, {"value": 1, "label": "x"})],
    ("qore", "post", "/api/resources/people", {"likes": [{"value": 1}, 1], "name": "a"}),
    *[
        ("coredata", "post", "/api/v2/cards/", {"owner": f"{before}{minirest.record_uuid(PERSON, 0, 1)}{behind}"})
        for before, behind in (("", ""), ("/api/v2/people/", "/"))
    ],
    ("limbas", "patch", "/cards/{id}/owner", {"data": {"id": 1}}),
    ("limbas", "delete", "/cards/{id}/friend", {"data": {"id": "1"}}),
    ("limbas", "delete", "/cards/{id}/friend", None),
]


@pytest.mark.parametrize(("dialect", "method", "path", "body"), LINKED_BODIES)
def test_links_in_bodies_are_described_as_they_are_taken(dialect: str, method: str, path: str, body: Any) -> None:
    """Each way to name a linked record is in the document, and the server takes it."""
    cards = {
        "properties": {"owner": one("people"), "friend": one("people")},
        "required": ["owner"],
        "examples": [{"owner": 1, "friend": 1}],
    }
    people = {"properties": {"name": TEXT, "likes": many("people")}, "examples": [{"name": "a"}]}
    tables = {"cards": {"type": "object", **cards}, "people": {"type": "object", **people}}
    with closing(minirest.make_app({"$defs": tables}, auth=False)) as app:
        found = send(app, "GET", f"/openapi.json?dialect={dialect}").json["paths"][path.partition("?")[0]][method]
        schema = found["requestBody"]["content"]["application/json"]["schema"]
        if body is None:
            assert found["requestBody"]["required"] is False
        else:
            assert minirest.make_validator(schema).is_valid(body)
        answer = send(app, method.upper(), path.replace("{id}", "1"), body)
        assert answer.status in (200, 201, 204), answer.body


def test_a_record_by_a_filter_is_asked_for_as_from_a_list() -> None:
    """NocoBase's `get` has the parameters that the rights leave: a key needs `get`, a filter needs `list`."""
    schema = {"$defs": {"boxes": {"type": "object", "properties": {"name": TEXT}, "examples": [{"name": "a"}]}}}
    ways = {"?filterByTk=1": "get", "?filter={}": "list"}
    for rights in (["get"], ["list"], ["get", "list"]):
        given = {"anonymous": dict.fromkeys(rights, True)}
        schema["$defs"]["boxes"]["x-rights"] = given
        with closing(minirest.make_app(schema, users={"a": "open-sesame"}, clock=lambda: NOW)) as app:
            described = document(app, "nocobase", "anonymous")
            asked = described["paths"]["/api/boxes:get"]["get"]
            known = [part["$ref"].rpartition("/")[2] for part in asked["parameters"]]
            for address, verb in ways.items():
                answer = send(app, "GET", f"/api/boxes:get{address}")
                Judge(described).check("GET", "/api/boxes:get", answer)
                assert (answer.status == 200) == (verb in rights) == (address[1:].partition("=")[0] in known), address


def test_a_key_of_an_association_is_described() -> None:
    """`filterByTk` below a record is the key of the association where it has one; in a collection it is the id."""
    pages = {"name": TEXT, "book": {"$ref": "#/$defs/books"}}
    link = {"type": "array", "items": {"$ref": "#/$defs/pages"}, "x-inverse": "book", "x-key": "name"}
    defs = {
        "books": {"type": "object", "properties": {"pages": link}},
        "pages": {"type": "object", "properties": pages, "required": ["name"]},
    }
    with closing(minirest.make_app({"$defs": defs}, auth=False, clock=lambda: NOW)) as app:
        described = document(app, "nocobase")
    kinds = {}
    for address, action in itertools.product(
        ("/api/pages", "/api/books/{sourceId}/pages"), ("get", "update", "destroy")
    ):
        (operation,) = described["paths"][f"{address}:{action}"].values()
        names = [part["$ref"].rpartition("/")[2] for part in operation["parameters"]]
        (key,) = (name for name in names if name.startswith("filterByTk"))
        kinds[address, action] = described["components"]["parameters"][key]["schema"]["type"]
    assert [kind for (address, _), kind in kinds.items() if address == "/api/pages"] == ["integer"] * 3
    assert [kind for (address, _), kind in kinds.items() if address != "/api/pages"] == ["string"] * 3


# ---- random schemas ----

KINDS: list[dict[str, Any]] = [
    TEXT,
    *({**TEXT, "format": form} for form in FORMATS),
    {"type": "integer"},
    {"type": "number"},
    {"type": "boolean"},
    {"enum": ["a", "b"]},
    {"enum": [1, 2, 3]},
    {"type": "array", "items": {"enum": ["a", "b"]}},
    {"type": "array", "items": {"type": "number"}},
    {"type": "array", "items": {**TEXT, "format": "date-time"}},
    {"type": "object", "properties": {"a": {"type": "integer"}}},
    {"type": ["string", "null"]},
    {"type": ["string", "integer"]},
    {},
]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    "date": st.dates().map(str),
    "moment": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    "time": st.times().map(lambda time: time.isoformat("seconds")),
    "email": st.just("a@example.org"),
    "uri": st.just("https://example.org/"),
    "uuid": st.uuids().map(str),
    "integer": st.integers(-(2**60), 2**60),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "list": st.just([]),
    "choices": st.lists(st.sampled_from("ab"), max_size=3),
    "json": st.sampled_from([{"a": 1}, "x", 7, [1, {"b": None}]]),
}


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A schema of two tables with fields of all kinds, links of all forms, and words that change what is shown."""
    tables: dict[str, Any] = {}
    for name, other in (("ones", "twos"), ("twos", "ones")):
        chosen = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
        fields: dict[str, Any] = {f"f{number}": dict(schema) for number, schema in enumerate(chosen)}
        required = [word for word in fields if draw(st.integers(0, 3)) == 0]
        links: dict[str, Any] = (
            {"link": one(other), "links": many(other)} if draw(st.booleans()) else {"self": one(name)}
        )
        own = draw(st.sampled_from([{}, {"id": TEXT}, {"id": {"type": "integer"}}]))
        words = {word: True for word in ("x-archive", "x-validity", "x-access") if draw(st.booleans())}
        tables[name] = {"type": "object", "properties": {**own, **fields, **links}, "required": required, **words}
    return {"$defs": tables, "x-limbas-nulls": draw(st.booleans())}


def record(data: st.DataObject, table: minirest.Table) -> dict[str, Any]:
    """The values of a record, null where that may be."""
    found: dict[str, Any] = {}
    for name, column in table.fields.items():
        values = st.sampled_from(column.choices) if column.choices and not column.items else VALUES[column.kind.name]
        if name == "id":
            found[name] = str(data.draw(st.uuids()))
        elif column.required or data.draw(st.booleans()):
            found[name] = data.draw(values)
    return found


@settings(max_examples=15, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate])
@given(data=st.data())
def test_answers_over_any_schema_are_as_described(data: st.DataObject) -> None:
    """Whatever the schema and the records, each dialect answers what its document says."""
    source = data.draw(schemas())
    with closing(minirest.make_app(source, auth=False, clock=lambda: NOW)) as app:
        judges = {dialect: Judge(send(app, "GET", f"/openapi.json?dialect={dialect}").json) for dialect in DIALECTS}
        for table in (*app.schema.tables.values(),) * 2:
            body = record(data, table)
            answer = send(app, "POST", f"/api/{table.name}:create", body)
            judges["nocobase"].check("POST", f"/api/{table.name}:create", answer)
        link_all(app)
        for judge in judges.values():
            for path, method, operation in operations(judge.document):
                if method == "get" and "{" not in path:
                    address = path + widest(operation, judge.document)
                    judge.check("GET", address, send(app, "GET", address))


def link_all(app: minirest.Application) -> None:
    """Link the first records with each other where that can be."""
    for table in app.schema.tables.values():
        first = send(app, "GET", f"/api/{table.name}:list").json["data"]
        for link in table.links.values():
            targets = send(app, "GET", f"/api/{link.target.name}:list").json["data"]
            if first and targets:
                keys = [first[0][table.address.name], targets[0][link.target.address.name]]
                answer = send(app, "POST", f"/api/{table.name}/{keys[0]}/{link.name}:set", [keys[1]])
                assert answer.status == 200, answer.body


def widest(operation: Any, document: Any) -> str:
    """The query that shows the most: in NocoBase the associations too."""
    names = [part["$ref"].rpartition("/")[2] for part in operation["parameters"]]
    given = [document["components"]["parameters"][name] for name in names]
    appends = [it["schema"]["items"].get("enum", []) for it in given if it["name"] == "appends"]
    return "?appends=" + ",".join(appends[0]) if appends and appends[0] else ""
