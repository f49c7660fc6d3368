"""The README: its commands run and answer as shown, its examples load, and it names what a user can name."""

import functools
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import webtest

import minirest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = ".venv/bin/python"
SERVER = f"{PYTHON} minirest.py"
ADDRESS = "http://127.0.0.1:8080/"
FIRST = (
    "python3 -m venv --without-pip .venv && python3 -m pip --python .venv/bin/python install -e ."
    " && .venv/bin/python minirest.py"
)
SECOND = (
    "python3 -m venv --without-pip .venv && python3 -m pip --python .venv/bin/python install -e '.[test]'"
    " && .venv/bin/python -m pytest -n auto"
)
NOT_RUN = [
    *(FIRST, SECOND),
    *("uv run minirest.py", "pipx run --path minirest.py"),
    *(".venv/bin/ruff format", ".venv/bin/ruff check", ".venv/bin/mypy", ".venv/bin/python -m pytest -n auto"),
    *(".venv/bin/coverage run -m pytest tests/test_sql.py", ".venv/bin/coverage report"),
    "npm install --prefix tests/clients --no-package-lock --ignore-scripts",
    ".venv/bin/python -m tests.bench",
]
"""Commands that fetch packages or run these tests: `.ci/run` takes the same steps, but for the benchmark."""
GUNICORN = ".venv/bin/gunicorn --workers 2 --preload program:app"
INNER_KINDS = {"content", "scalar"}
"""Kinds that no schema file can ask for."""


class Block(NamedTuple):
    """One fenced block: its language, and its text."""

    language: str
    text: str


FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [Block(found[1], found[2]) for found in FENCE.finditer(README)]
COMMANDS = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
RUN = [line for line in COMMANDS if line.startswith((SERVER, "MINIREST_")) and SERVER in line]


def section(heading: str) -> str:
    """The text under a heading, up to the next one of any level."""
    (found,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(heading: str) -> list[list[str]]:
    """The rows of all tables under a heading, without their heads."""
    lines = section(heading).splitlines()
    ends = [number for number, line in enumerate(lines) if re.fullmatch(r"[|-]+", line)]
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return [
        cells[number]
        for number, line in enumerate(lines)
        if line.startswith("|") and not {number, number + 1} & set(ends)
    ]


def names(text: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r"`([^`]+)`", text)


def firsts(heading: str) -> list[str]:
    """The names in the first cells of all tables under a heading."""
    return [name for row in rows(heading) for name in names(row[0])]


def environment(**more: str) -> dict[str, str]:
    """The environment without our variables, with the checkout's module in reach."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINIREST_")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def served(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run a server, give its address, stop it with SIGTERM; it has to end with 0."""
    with subprocess.Popen(
        command, cwd=folder, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        assert server.stderr
        line = server.stdout.readline()
        try:
            assert "http://" in line, server.stderr.read()
            yield line.split()[-1]
        finally:
            server.send_signal(signal.SIGTERM)
            late = threading.Timer(15, server.kill)
            late.start()
            said = server.communicate()[1]
            late.cancel()
        assert server.returncode == 0, said


def split(line: str) -> tuple[dict[str, str], list[str]]:
    """The variables and the words of a command, with this Python and this module."""
    words = shlex.split(line)
    start = words.index(PYTHON)
    variables = dict(word.split("=", 1) for word in words[:start])
    return variables, [sys.executable, str(ROOT / "minirest.py"), *words[start + 2 :]]


def serve_sample(folder: Path, *, of_tests: bool) -> Iterator[str]:
    """The address of the sample on a free port, started by the README's own command with a password."""
    (line,) = (line for line in COMMANDS if line.startswith("MINIREST_PASSWORD=") and ("--test" in line) == of_tests)
    variables, command = split(line)
    with served([*command, "--port", "0"], folder, variables) as url:
        yield url


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the sample."""
    yield from serve_sample(tmp_path_factory.mktemp("sample"), of_tests=False)


@pytest.fixture(scope="module")
def address_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the sample with its worlds."""
    yield from serve_sample(tmp_path_factory.mktemp("worlds"), of_tests=True)


# ---- what it shows ----


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_commands_answer_as_shown(address: str, address_of_tests: str) -> None:
    """Each `curl` command, run in a shell in the README's order, gives the answer that stands behind it."""
    asked = [(block, BLOCKS[number + 1]) for number, block in enumerate(BLOCKS) if block.text.startswith("curl ")]
    assert len(asked) > 9
    for block, shown in asked:
        assert block.language == "sh"
        assert ADDRESS in block.text
        of_tests = "/_test/" in block.text or "/_world/" in block.text
        command = block.text.replace(ADDRESS, address_of_tests if of_tests else address)
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=10)
        assert done.returncode == 0, command + done.stderr
        if shown.language == "json":  # with the order of the keys
            assert json.dumps(json.loads(done.stdout)) == json.dumps(json.loads(shown.text)), command
        else:
            assert (shown.language, done.stdout.strip()) == ("text", shown.text.strip()), command


def make_files(folder: Path) -> None:
    """The files that the commands speak of: a schema, a database that somebody else made, and data."""
    (folder / "shop.json").write_text(shop())
    with closing(sqlite3.connect(folder / "my.sqlite")) as connection:
        connection.execute("create table notes (id integer primary key, text)")
    (folder / "db.json").write_text('{"posts": [{"id": 1, "title": "a"}]}')
    (folder / "folder-of-csv").mkdir()
    for file in (folder / "orders.csv", folder / "folder-of-csv" / "orders.csv"):
        file.write_text("id,total\n1,2.5\n")


def test_server_and_file_commands_run(tmp_path: Path) -> None:
    """Each command of minirest.py runs in the README's order, beside its files, and ends with 0."""
    make_files(tmp_path)
    assert len(RUN) > 9
    for line in RUN:
        variables, command = split(line)
        if command[2:3] and command[2] in minirest.COMMANDS:
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=15,
            )
            assert (done.returncode, done.stderr) == (0, ""), line
        else:
            with served([*command, "--port", "0"], tmp_path, variables):
                pass
    assert (tmp_path / "shop.db").is_file()


def test_every_command_is_run_or_known() -> None:
    """No command stands in the README that neither a test here nor `.ci/run` runs; the two first are the first."""
    others = [line for line in COMMANDS if not line.startswith("curl ") and line not in RUN]
    assert [line for line in others if line != GUNICORN] == NOT_RUN
    assert COMMANDS[:2] == [FIRST, SECOND]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("number", range(sum(block.language == "python" for block in BLOCKS)))
def test_python_examples_run(number: int, tmp_path: Path) -> None:
    """Each Python example runs beside the sample; one that serves is asked to stop, and stops with 0."""
    program = [block.text for block in BLOCKS if block.language == "python"][number]
    shutil.copy(ROOT / "sample_schema.json", tmp_path)
    (tmp_path / "program.py").write_text(program.replace("port=8080", "port=0"))
    command = [sys.executable, "-u", "program.py"]
    if "def test_" in program:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "minirest", "-p", "no:cacheprovider", "program.py"]
    if "serve(" in program:
        with served(command, tmp_path, {}) as url:
            check_host(url, program)
            return
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def check_host(url: str, program: str) -> None:
    """Where a program mounts ours at /rest, both answer."""
    if "/rest" in program:
        with urlopen(f"{url}hello", timeout=15) as hello, urlopen(f"{url}rest/health/ready", timeout=15) as ready:
            assert (hello.read(), ready.status) == (b"Hello", 200)
        with pytest.raises(HTTPError) as refused, urlopen(f"{url}rest/kunden", timeout=15):
            pass
        assert (refused.value.code, refused.value.headers["X-Request-Id"] is None) == (401, False)
        refused.value.close()


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")
def test_gunicorn_serves(tmp_path: Path) -> None:
    """The command for gunicorn serves the program that stands before it, and ends with 0."""
    (program,) = (
        block.text for block in BLOCKS if block.language == "python" and 'db="served.db", users' in block.text
    )
    shutil.copy(ROOT / "sample_schema.json", tmp_path)
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-m", *GUNICORN.removeprefix(".venv/bin/").split(), "--bind", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--no-control-socket"], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr
        found = (re.search(r"Listening at: (\S+)", said) for said in server.stderr)
        address = next(match[1] for match in found if match)
        try:
            with urlopen(f"{address}/health/ready", timeout=15) as ready:
                assert ready.status == 200
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
        assert server.returncode == 0
    assert (tmp_path / "served.db").is_file()


def shop() -> str:
    """The first schema file that the README shows."""
    return schema_files()[0]


def schema_files() -> list[str]:
    """All schema files that the README shows."""
    return [block.text for block in BLOCKS if block.language == "json" and "$defs" in block.text]


def test_schema_files_are_right() -> None:
    """Every schema file of the README is served, with its rules."""
    for text in schema_files():
        minirest.make_app(json.loads(text), auth=False).close()


def test_schema_example_is_served() -> None:
    """The example of a schema file loads, with its links and its examples."""
    schema = minirest.load_schema(json.loads(shop()))
    assert {name: list(table.links) for name, table in schema.tables.items()} == {
        "books": ["author", "subjects"],
        "authors": ["books"],
        "subjects": ["books"],
    }
    minirest.make_app(json.loads(shop()), auth=False).close()


# ---- what it names ----


def test_kinds() -> None:
    """The kinds that a schema can have are all there; each spelling gives its kind, which reads the value shown."""
    assert set(firsts("Kinds of fields")) == set(minirest.KINDS) - INNER_KINDS
    for (kind,), spelling, value in ((names(row[0]), names(row[1])[0], names(row[2])[0]) for row in KIND_ROWS):
        table: dict[str, Any] = {"type": "object", "properties": {"it": json.loads(spelling)}}
        field = minirest.load_schema({"$defs": {"t": table}}).tables["t"].fields["it"]
        assert field.kind.name == kind
        field.parse_json(json.loads(value))


KIND_ROWS = [row for row in rows("Kinds of fields") if names(row[0]) != ["id"]]


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Words of a table", minirest.TABLE_WORDS),
        ("Words of a field", minirest.FIELD_WORDS),
        ("Words of the file", minirest.ROOT_WORDS),
    ],
)
def test_schema_words(heading: str, words: frozenset[str]) -> None:
    """The tables of words hold the words that the reader of schema files knows, no others."""
    assert sorted(firsts(heading)) == sorted(words)


def test_reserved_tables() -> None:
    """All reserved names of tables are listed."""
    (line,) = re.findall(r"These tables are reserved: (.*?)\.\n", section("The schema file"), re.DOTALL)
    assert set(names(line)) == minirest.RESERVED_TABLES


def test_dialects() -> None:
    """The table of dialects has those that exist, with all their addresses."""
    shown = {names(row[0])[0]: row[2] for row in rows("Dialects")}
    assert list(shown) == list(minirest.DIALECTS)
    for name, dialect in minirest.DIALECTS.items():
        assert set(dialect.bases) - {""} <= set(names(shown[name]))


def test_limbas_parameters() -> None:
    """All `$` parameters are there, no others."""
    assert {name.partition("[")[0] for name in firsts("Parameters")} == set(minirest.LIMBAS_PARAMETERS)


@pytest.mark.parametrize(
    ("kind", "family"),
    [("email", "text"), ("integer", "number"), ("boolean", "boolean"), ("list", "list"), ("json", "json")],
)
def test_limbas_operators(kind: str, family: str) -> None:
    """Each kind of field has its operators, and each operator has its meaning."""
    everything = {name for words in minirest.LIMBAS_OPERATORS.values() for name in words}
    (row,) = (row for row in rows("Filters") if kind in names(row[0]))
    assert set(names(row[1])) & everything == set(minirest.LIMBAS_OPERATORS[family])
    assert everything <= set(firsts("Filters"))


METHOD_ROWS = [row for row in rows("Addresses") if len(row) == 5]


def test_nocobase_methods() -> None:
    """What a method means on an association, without an action, is the module's table, for each kind of association."""
    (head,) = (line for line in section("Addresses").splitlines() if line.startswith("| method and address"))
    kinds = names(head)
    assert kinds == ["hasMany", "belongsToMany", "belongsTo", "hasOne"]
    shown: dict[str, dict[tuple[str, bool], str]] = {kind: {} for kind in kinds}
    for row in METHOD_ROWS:
        address, *more = names(row[0])
        for method in (address.split()[0], *more):
            for kind, cell in zip(kinds, row[1:], strict=True):
                shown[kind] |= {(method, address.endswith("/2")): action for action in names(cell)}
    assert shown == minirest.ASSOCIATION_ACTIONS


def test_nocobase_actions() -> None:
    """All actions are there, no others, and each of them is answered."""
    named = {action for table in minirest.ASSOCIATION_ACTIONS.values() for action in table.values()}
    assert named | set(minirest.LINK_ACTIONS) | {"move", "firstOrCreate", "updateOrCreate"} == set(firsts("Actions"))
    app = minirest.make_app(json.loads(shop()), auth=False)
    client = webtest.TestApp(app)
    for action in (*firsts("Actions"), "actions"):
        addresses = (f"/api/books:{action}", f"/api/books/1/subjects:{action}")
        found = [client.post_json(address, [], expect_errors=True).status_int != 404 for address in addresses]
        assert any(found) == (action != "actions"), action
    app.close()


def test_nocobase_parameters() -> None:
    """All parameters are there, no others; those of `move` also beside it."""
    assert set(firsts("Parameters of NocoBase")) == minirest.NOCOBASE_PARAMETERS
    (row,) = (row for row in rows("Parameters of NocoBase") if "sourceId" in names(row[0]))
    assert set(firsts("The manual order")) == set(names(row[0]))


def test_nocobase_signing_in() -> None:
    """All actions of accounts are there by their newer and their older names."""
    newer = {action for name in firsts("Signing in") for action in re.findall(r"/api/auth:(\w+)", name)}
    older = re.findall(r"`users:(\w+)`", section("Signing in"))
    assert sorted(older) == sorted(minirest.SIGN_IN_ACTIONS)
    assert sorted(map(str.lower, newer)) == sorted(minirest.SIGN_IN_ACTIONS)


def test_nocobase_operators() -> None:
    """All operators are there, each once, no others."""
    assert sorted(firsts("Filters in JSON")) == sorted(minirest.JSON_OPERATORS)


def test_platform_parameters() -> None:
    """All parameters are there, no others."""
    assert set(firsts("Parameters of Platform")) == minirest.PLATFORM_PARAMETERS


def test_platform_tags() -> None:
    """Each status of an error has its tags, and each error a status of the table."""
    shown = {int(row[0]): names(row[1]) for row in rows("Bodies and errors of Platform")}
    assert shown.pop(400) == [*minirest.PLATFORM_TAGS[400], "error_validation"]
    assert shown == {status: list(tags) for status, tags in minirest.PLATFORM_TAGS.items() if status != 400}
    assert {rule.status for rule in minirest.ERRORS.values()} == set(minirest.PLATFORM_TAGS)


def test_platform_entity() -> None:
    """The members of an entity are there, in their order."""
    table = {"type": "object", "properties": {"id": {"type": "integer"}}, "examples": [{}]}
    app = minirest.make_app({"$defs": {"t": table}}, auth=False)
    (listed,) = webtest.TestApp(app).get("/api/v1/t").json
    shown = [name for row in rows("Platform") if len(row) == 2 for name in names(row[0])]
    assert list(webtest.TestApp(app).get(f"/api/v1/t/{listed['_id']}").json) == shown
    app.close()


NULLS: dict[str, Any] = {
    "$defs": {
        "t": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "number": {"type": "integer"},
                "boolean": {"type": "boolean"},
                "list": {"type": "array", "items": {"type": "string"}},
                "date": {"type": "string", "format": "date"},
                "at": {"type": "string", "format": "date-time"},
                "link": {"$ref": "#/$defs/t"},
            },
            "examples": [{}],
        }
    }
}
"""A table whose one record is null everywhere."""
OPERANDS: list[tuple[str, str, Any]] = [
    ("number", r"\$(eq|ne|is|not|[gl]te?)", 5),
    ("number", r"\$(in|notIn)", [5]),
    ("number", r"\$(b|notB)etween", [1, 9]),
    ("text", r"\$(l|notL|iL|notIL)ike|\$.*(ncludes|tartsWith|nd(s?)With)", "x"),
    ("text", r"\$(e|notE)mpty", True),
    ("list", r"\$(m|notM)atch|\$(any|none)Of", ["x"]),
    ("list", r"\$array.*", True),
    ("boolean", r"\$is(Truly|Falsy)", True),
    ("link", r"\$(e|notE)xists", True),
    ("date", r"\$date(?!Between).*", "2024-05"),
    ("date", r"\$dateBetween", ["2024", "2025"]),
]
"""A field for each operator, and an operand."""


def test_nocobase_operators_on_null() -> None:
    """The last column of the operators says whether a record with null is selected."""
    app = minirest.make_app(NULLS, auth=False)
    client = webtest.TestApp(app)
    for row in rows("Filters in JSON"):
        for operator in names(row[0]):
            ((field, _, operand),) = (known for known in OPERANDS if re.fullmatch(known[1], operator))
            where = json.dumps({field: {operator: operand}})
            found = client.get("/api/t:list", {"filter": where, "fields": "id"}).json["data"]
            assert found == {"yes": [{"id": 1}], "no": []}[row[2]], where
    app.close()


def test_pages() -> None:
    """All pages are there, no others."""
    app = minirest.make_app(json.loads(shop()), auth=False)
    rules = {route.rule.rstrip("/") or "/" for page in app.pages for route in page.routes()}
    app.close()
    others = {"/browse", "/browse/<rest:path>"}
    shown = {re.sub(r"export\.(csv|ndjson)$", "export.<form:re:csv|ndjson>", name) for name in firsts("Pages")}
    assert shown == {rule.replace("<key>", "<id>") for rule in rules - others}


# ---- CoreData ----


def test_coredata_requests() -> None:
    """Every request of the table is answered with its status; no address has a method that is not there."""
    app = minirest.make_app(ROOT / "sample_schema.json", auth=False)
    client = webtest.TestApp(app)
    body = json.dumps({"title": "x", "objects": []}).encode()
    methods: dict[str, list[str]] = {}
    for row in rows("Endpoints"):
        method, path = names(row[0])[0].split()
        methods.setdefault(path, []).append(method)
        newest = client.get("/api/v2/projects/?order_by=-id").json["objects"][0]["id"]
        answer = client.request(path.replace("<id>", newest), method=method, body=body, expect_errors=True)
        assert answer.status_int == int(row[2].split(",")[0]), row
        if method != "GET":
            assert ("the record" in row[2]) == ('"resource_uri"' in answer.text), row
    for path, found in methods.items():
        allowed = client.options(path.replace("<id>", "x")).headers["Allow"].split(",")
        assert sorted(found) == sorted(allowed)
    app.close()


def test_coredata_parameters() -> None:
    """All parameters that are no filters are there."""
    assert tuple(firsts("Parameters of CoreData")) == minirest.COREDATA_PARAMETERS


def test_coredata_lookups() -> None:
    """Each kind of field has the lookups that `schema/` and the module give it; each lookup has its meaning."""
    spelled = {names(row[0])[0]: json.loads(names(row[1])[0]) for row in KIND_ROWS}
    fields = {**spelled, "link": {"$ref": "#/$defs/t"}, "file": {"type": "string", "format": "binary"}}
    schema = {"$defs": {"t": {"type": "object", "properties": fields}}}
    app = minirest.make_app(schema, auth=False)
    filtering = webtest.TestApp(app).get("/api/v2/t/schema/").json["filtering"]
    app.close()
    assert filtering.pop("link") == 2
    shown: dict[str, list[str]] = {}
    for row in (row for row in rows("Lookups") if len(row) == 2):
        words = [*names(row[0]), *(["link"] if "a link" in row[0] else [])]
        shown |= {word: names(row[1]) for word in words}
    nothing = [word for word, found in shown.items() if not found]
    assert sorted(nothing) == sorted(["json", *minirest.COREDATA_DERIVED, "created_by", "modified_by"])
    assert shown.pop("link") == list(minirest.COREDATA_LOOKUPS["link"])
    assert {word: found for word, found in shown.items() if found} == filtering
    explained = {name for row in rows("Lookups") if len(row) == 3 for name in names(row[0])}
    assert explained == minirest.EVERY_LOOKUP - {"regex", "iregex"}


def test_coredata_lookups_on_null() -> None:
    """The last column of the lookups says whether a record with null is selected."""
    app = minirest.make_app(NULLS, auth=False)
    client = webtest.TestApp(app)
    dates = {"year": "2024", "date": "2024-05-01", "month": "1", "day": "1", "week_day": "1"}
    moments = {**dates, "hour": "1", "minute": "1", "second": "1"}
    values = {**moments, "isnull": "true", "range": "a,z"}
    for row in (row for row in rows("Lookups") if len(row) == 3):
        for lookup in names(row[0])[: 1 if row[0].startswith("`exact`") else None]:
            field = "at" if lookup in moments else "text"
            found = client.get(f"/api/v2/t/?{field}__{lookup}={values.get(lookup, 'x')}").json["meta"]["total_count"]
            assert found == {"yes": 1, "no": 0}[row[2]], lookup
    app.close()


def test_coredata_system_keys() -> None:
    """The keys that every record has are there, no others."""
    app = minirest.make_app({"$defs": {"t": {"type": "object", "examples": [{}]}}}, auth=False)
    (record,) = webtest.TestApp(app).get("/api/v2/t/").json["objects"]
    app.close()
    assert sorted(firsts("Records and bodies")) == sorted(record)


# ---- Qore ----


def test_qore_requests() -> None:
    """Every request of the table is answered with its status, and the table has each that there is."""
    app = minirest.make_app(ROOT / "sample_schema.json", auth=False)
    client = webtest.TestApp(app)
    shown = []
    for row in rows("Requests of Qore"):
        method, path = names(row[0])[0].split()
        body = json.dumps({"name": "x", "email": "x@y.example"} if method != "POST" or path.count("/") == 3 else {})
        answer = client.request(path, method=method, body=body.encode(), expect_errors=True)
        if method == "GET":
            answer = client.get(path, expect_errors=True)
        assert answer.status_int == int(row[2].split(",")[0]), row
        assert ("the record" in row[2]) == (method != "GET" and "actions" not in path)
        shown.append((method, path))
    listed = client.get("/api/endpoints").json
    words = {
        "resource": "employees",
        "table": "employees",
        "field": "organization",
        "action": "archive_resource",
        "key": 1,
    }
    there = [(route["method"].split("|")[0], "/" + route["uri"].format_map(words)) for route in listed]
    assert shown == [(method, path.replace("inline/organization", "inline/name")) for method, path in there]
    app.close()


def test_qore_parameters() -> None:
    """All parameters are there, with what they belong to, no others."""
    words = {"tables": "table", "options": "options", "forms": "form", "logs": "logs", "`/api/global-search`": "search"}
    found: dict[str, set[str]] = {kind: set() for kind in minirest.QORE_PARAMETERS}
    for row in (row for row in rows("Parameters of Qore") if len(row) == 3):
        for word in row[1].split(", "):
            found[words[word]] |= set(names(row[0]))
    assert found == {kind: set(parameters) for kind, parameters in minirest.QORE_PARAMETERS.items()}
    directions = next(row for row in rows("Parameters of Qore") if names(row[0]) == ["sort_direction"])
    assert set(names(directions[2])) == set(minirest.QORE_DIRECTIONS)


def test_qore_actions() -> None:
    """All actions are there, no others."""
    assert firsts("Actions of Qore") == list(minirest.QORE_ACTIONS)


def test_qore_numbers() -> None:
    """The sizes of pages and searches are the module's."""
    meanings = {names(row[0])[0]: row[2] for row in rows("Parameters of Qore") if len(row) == 3}
    for name, numbers in (
        ("per_page", [minirest.LARAVEL_PER_PAGE, 0, minirest.LARAVEL_MAX_PER_PAGE, minirest.LARAVEL_MAX_PER_PAGE]),
        ("limit", [minirest.LARAVEL_MAX_PER_PAGE]),
        ("query", [minirest.QORE_SEARCH_RESULTS, minirest.QORE_SEARCH_TABLES, minirest.MAX_FILTER_TERMS]),
    ):
        assert list(map(int, re.findall(r"\d+", meanings[name]))) == numbers


def test_qore_untrimmed() -> None:
    """The keys whose texts are left alone are there, no others."""
    (line,) = re.findall(r"but not in a top key (.*?)\. An empty", section("Bodies and errors of Qore"), re.DOTALL)
    assert tuple(names(line)) == minirest.LARAVEL_UNTRIMMED


def test_errors() -> None:
    """The table of errors has every code with its status."""
    assert {names(row[0])[0]: int(row[1]) for row in rows("Errors")} == {
        code: rule.status for code, rule in minirest.ERRORS.items()
    }


def test_limits() -> None:
    """The table of limits has each limit that the module uses, with its value."""
    source = (ROOT / "minirest.py").read_text(encoding="utf-8")
    head = source[: source.index("# 1  Errors\n")]
    limits = re.findall(r"^(M(?:AX|INIMUM)_\w+|\w+_SECONDS|\w+_SIZE) = ", head, re.MULTILINE)
    assert {names(row[0])[0]: row[1] for row in rows("Deployment and limits")} == {
        name: limit_text(getattr(minirest, name)) for name in limits if len(re.findall(rf"\b{name}\b", source)) > 1
    }


def limit_text(value: float | tuple[int, ...]) -> str:
    """A limit as the README writes it."""
    if isinstance(value, tuple):
        return ".".join(map(str, value))
    return f"{value:g}" if 0 < value < 1 else str(int(value))


def options() -> dict[str, str]:
    """The options of the server: the name in an `argparse` namespace, by the way it is written."""
    actions = minirest.server_parser()._actions
    return {action.option_strings[-1] if action.option_strings else "SCHEMA": action.dest for action in actions}


def test_options_and_their_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """All options are there and in `--help`; the variable beside each one sets it."""
    shown = {row[0].strip("`").split()[0]: names(row[1]) for row in rows("Command line") if len(row) == 3}
    assert set(shown) == set(options())
    usage, plain = minirest.server_parser().format_help(), vars(minirest.server_parser().parse_args([]))
    for option, twins in shown.items():
        assert option in usage
        assert bool(twins) == (option not in ("--help", "--version"))
        for twin in twins:
            variable, _, value = twin.partition("=")
            assert variable == "MINIREST_" + option.strip("-").replace("-", "_").upper()
            with monkeypatch.context() as patch:
                patch.setenv(variable, value or "x")
                changed = vars(minirest.server_parser().parse_args([]))
            assert {name for name in plain if plain[name] != changed[name]} == {options()[option]}


def test_commands_and_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    """All commands are there and in `--help`, with their actions and options."""
    shown = {names(row[0])[0].split()[0]: " ".join(row) for row in rows("Command line") if len(row) == 2}
    assert set(shown) == set(minirest.COMMANDS)
    for name, text in shown.items():
        assert name in minirest.server_parser().format_help()
        with pytest.raises(SystemExit):
            minirest.COMMANDS[name](["--help"])
        usage = capsys.readouterr().out
        wanted = set(re.findall(r"--[a-z-]+", usage)) - {"--help"}
        if wanted != {"--db"}:  # `check` has the places only, like the server
            assert wanted - {"--db"} <= set(names(text))
        for actions in re.findall(r"\{([a-z,]+)\}", usage):
            assert set(actions.split(",")) <= {word for part in names(text) for word in part.split()}


def test_names_that_stay() -> None:
    """They are those of `__all__`, each with a docstring; so is each member that stays, or its class tells of it."""
    shown = {names(row[0])[0]: row[1] for row in rows("Names that stay")}
    assert list(shown) == minirest.__all__
    for name, cell in shown.items():
        thing = getattr(minirest, name)
        told = inspect.getdoc(thing) or ""
        assert told, name
        for member in names(cell) if inspect.isclass(thing) and "make_app" not in cell else ():
            own = vars(thing).get(member)
            is_told = own is not None and not isinstance(own, functools.partialmethod) and inspect.getdoc(own)
            assert is_told or f"`{member}`" in told, f"{name}.{member}"


def test_members_that_stay() -> None:
    """Each of them is there."""
    app = minirest.make_app(ROOT / "sample_schema.json", auth=False)
    there: dict[str, object] = {
        "Actor": minirest.NOBODY,
        "ApiError": minirest.ApiError("not_found"),
        "Application": app,
        "Client": app.client(),
        "ClientAnswer": app.client().get("/"),
        "Reply": minirest.Reply(200),
        "Request": minirest.Request({"REQUEST_METHOD": "GET"}),
        "SchemaError": minirest.SchemaError("a", "b"),
        "SetClock": minirest.SetClock(),
    }
    for name, thing in there.items():
        (cell,) = (row[1] for row in rows("Names that stay") if names(row[0]) == [name])
        assert [member for member in names(cell) if member not in dir(thing)] == [], name
    app.close()


def test_arguments_of_make_app() -> None:
    """All arguments of `make_app` are named."""
    (line,) = re.findall(r"Further\narguments: (.*?\.)\s", section("Embedding"), re.DOTALL)
    assert set(names(line)) == set(minirest.SettingsWords.__annotations__)


def test_map_of_the_sections() -> None:
    """The map of the file is the one at its top, in its order."""
    banners = re.findall(r"^# (\d+)  (.+)$", (ROOT / "minirest.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert [row[0] for row in rows("Development")] == [f"{number} {title}" for number, title in banners]


def test_changes_begin_with_this_version() -> None:
    """The newest entry of the changes is the module's version."""
    assert re.findall(r"^### (\d+\.\d+\.\d+)$", README, re.MULTILINE)[0] == minirest.__version__


def test_foreign_package_is_never_installed() -> None:
    """Neither the README nor the help tells anybody to install the foreign package called minirest from PyPI."""
    for text in (README, minirest.server_parser().format_help(), minirest.__doc__ or ""):
        assert not re.search(r"(pip|pipx|uv|uvx)( tool)? (install|run|add) [\"']?minirest\b(?!\.)", text)


def test_members_of_the_fixture() -> None:
    """All public members are there, but those that its machinery needs."""
    inner = {"world", "server", "thread", "stop", "tokens", "kept_tokens", "token_of", "found", "close"}
    fixtures = minirest.Fixtures()
    there = {name for name in dir(fixtures.take(ROOT / "sample_schema.json")) if not name.startswith("_")}
    fixtures.close()
    shown = {re.split(r"\W", name)[1] for row in rows("Test fixture") for name in names(row[0])}
    assert shown == there - inner


def test_faults() -> None:
    """All kinds are there with their values, no others."""
    shown = {names(row[0])[0]: [int(number) for number in re.findall(r"\d+", row[1])] for row in rows("Faults")}
    values = {kind: [value for value in given if value] for kind, given in minirest.FAULTS.items()}
    assert shown == {**values, "delay": [minirest.FAULTS["delay"][-1]]}  # type: ignore[index]


def test_addresses_of_worlds() -> None:
    """All addresses below a world are there, no others."""
    shown = {found for row in rows("Worlds") for found in re.findall(r"/<world>/(\w+)", row[0])}
    assert shown == set(minirest.WORLD_HANDLERS)
