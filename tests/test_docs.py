"""The pages at /docs: every operation to read, the same for its reader as in the document; one question in dialects."""

import json
import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from html import unescape
from pathlib import Path

import pytest

import minirest
from tests.documents import ROLES, SCHEMA, ask, document, operations, world
from tests.web import send

HTML = {"HTTP_ACCEPT": "text/html"}
QUESTIONS = ("one record", "a page", "one value", "in order", "with links")


@pytest.fixture(scope="module")
def app() -> Iterator[minirest.Application]:
    with closing(world()) as made:
        yield made


def page(app: minirest.Application, role: str, address: str) -> str:
    """A page, which has to be there."""
    answer = ask(app, role, "GET", address, **HTML)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def texts(page: str, pattern: str) -> list[str]:
    """What a pattern finds in a page, as text."""
    return [unescape(re.sub("<[^>]+>", "", found)) for found in re.findall(pattern, page, re.DOTALL)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("dialect", minirest.DIALECTS)
def test_every_operation_is_on_its_page(app: minirest.Application, dialect: str, role: str) -> None:
    """The pages of the groups have exactly the operations of the document, with their parameters and a command."""
    found, known = set(), set()
    contents = page(app, role, f"/docs?dialect={dialect}")
    for address in re.findall(r'href="(/docs\?dialect=[^"]+)"', contents):
        shown = page(app, role, unescape(address))
        forms = re.findall(r'data-method="(\w+)" data-path="([^"]+)"', shown)
        found |= {(method.lower(), unescape(path)) for method, path in forms}
        commands = texts(shown, r'<pre class="curl">(.*?)</pre>')
        assert len(commands) == len(forms)
        assert all(path in command for (_, path), command in zip(forms, commands, strict=True))
    for path, method, _ in operations(document(app, dialect, role)):
        known.add((method, path))
    assert found == known


def test_parameters_are_controls(app: minirest.Application) -> None:
    """Each parameter has a labelled control; one with brackets has one for each key; a body has its example."""
    shown = page(app, "admin", "/docs?dialect=limbas&group=things")
    (first,) = re.findall(r'<details class="operation" id="list_things">.*?</form>', shown, re.DOTALL)
    names = re.findall(r'name="([^"]+)" data-in="query"', first)
    assert names[:6] == ["$page[count]", "$page[number]", "$fields", "$sort", "$archived", "$validity"]
    assert {"name[eq]", "price[gte]", "state[contains]", "extra"} <= set(names)
    labels = re.findall(r'<label for="([^"]+)"', shown)
    assert len(set(labels)) == len(labels) == len(re.findall(r"data-in=", shown))
    (text,) = texts(shown, r'<textarea id="field-create_things-body"[^>]*>(.*?)</textarea>')
    assert json.loads(text)["data"]["name"] == "A"


def test_policy_names_the_script(app: minirest.Application) -> None:
    """Only the script of the page may run, and it may ask this server; no address leads elsewhere."""
    answer = ask(app, "admin", "GET", "/docs", **HTML)
    inside = [re.findall(f"<{tag}>(.*?)</{tag}>", answer.body.decode(), re.DOTALL)[0] for tag in ("style", "script")]
    style, script = (b64encode(sha256(text.encode()).digest()).decode() for text in inside)
    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:;"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; connect-src 'self'"
    )
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"', answer.body.decode())
    assert all(address.startswith(("/", "#", "data:,")) for address in addresses)


def test_wrong_addresses_are_pages(app: minirest.Application) -> None:
    """What there is not, and what is not for the reader, is a page with its status."""
    for role, address, status in (
        ("admin", "/docs?dialect=odata", 400),
        ("admin", "/docs?dialect=limbas&group=nothing", 404),
        ("writer", "/docs?dialect=limbas&group=vaults", 404),
        ("admin", "/docs?colour=red", 400),
        ("admin", "/docs/compare?question=why", 400),
        ("admin", "/docs/compare?table=nothing", 404),
        ("writer", "/docs/compare", 403),
    ):
        answer = ask(app, role, "GET", address, **HTML)
        assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8"), address


@pytest.mark.parametrize("address", ["/openapi.json", "/docs/compare", "/docs/compare/"])
def test_documents_are_only_read(app: minirest.Application, address: str) -> None:
    """The addresses of the documents belong to no table: another method is 405."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = ask(app, "admin", method, address)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.skipif(not shutil.which("node"), reason="there is no other engine for the script here")
def test_answers_keep_their_numbers() -> None:
    """An answer is shown with breaks and spaces, and otherwise as it came: numbers beyond 2^53 and texts too."""
    value = {"big": 2**63 - 1, "e": [], "o": {}, "t": 'a,:"[ ]\\{ }\\\\"\n', "l": [1, -1.5, True, None, {"a": [[]]}]}
    text = json.dumps(value, separators=(",", ":")).replace("-1.5", "1.50e+0")
    script = minirest.DOCS_SCRIPT.partition("const send")[0]
    shown = f"process.stdout.write(indented({json.dumps(text)}))"
    done = subprocess.run(["node", "-e", script + shown], capture_output=True, text=True, check=True)
    assert done.stdout == json.dumps(value, indent=2).replace("-1.5", "1.50e+0")


def test_comparison_needs_an_administrator(app: minirest.Application) -> None:
    """A stranger is sent to sign in; the page of a writer has no link to it; without authentication all may."""
    assert ask(app, "anonymous", "GET", "/docs/compare", **HTML).headers["Location"] == "/login?next=%2Fdocs%2Fcompare"
    assert "/docs/compare" in page(app, "admin", "/docs")
    assert "/docs/compare" not in page(app, "writer", "/docs")
    with closing(minirest.make_app(SCHEMA, auth=False)) as open_app:
        assert send(open_app, "GET", "/docs/compare", **HTML).status == 200


@pytest.mark.parametrize(
    ("table", "question"),
    [*(("things", question) for question in QUESTIONS), *(("people", it) for it in QUESTIONS if it != "with links")],
)
def test_one_question_in_five_dialects(app: minirest.Application, table: str, question: str) -> None:
    """Each dialect answers the question with 200, and shows its statements with plans."""
    shown = page(app, "admin", f"/docs/compare?table={table}&question={question.replace(' ', '+')}")
    parts = re.split("<h2>", shown)[1:]
    assert [part.partition("<")[0] for part in parts] == [type(it).__name__ for it in app.dialects]
    for part in parts:
        assert texts(part, r'<p class="quiet">(200, \d+ bytes, [\d.]+ ms)</p>'), part
        statements = texts(part, r"<pre>(select .*?)</pre>")
        assert statements
        assert all(f'"{table}"' in statement for statement in statements)
        plans = texts(part, r'<pre class="quiet">(.*?)</pre>')
        assert len(plans) == len(statements)
        assert all(re.search("SEARCH|SCAN", plan) for plan in plans)


def test_plans_of_a_database_in_a_file(tmp_path: Path) -> None:
    """The connections that read a file may explain, and nothing else that they may not."""
    with closing(minirest.make_app(SCHEMA, str(tmp_path / "things.db"), auth=False)) as app:
        shown = send(app, "GET", "/docs/compare", **HTML).body.decode()
        assert len(texts(shown, r'<pre class="quiet">(SEARCH .*?)</pre>')) == len(app.dialects)
