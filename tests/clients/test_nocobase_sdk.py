"""The official NocoBase client drives a server on a real port; what each step answers is compared whole."""

import json
import re
import shutil
import sqlite3
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import minirest
from tests.web import WAIT_SECONDS, served, started

HERE = Path(__file__).resolve().parent
NODE = shutil.which("node")
INSTALL = "npm install --prefix tests/clients --no-package-lock --ignore-scripts"
USER, PASSWORD = "admin", "open-sesame"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TIMES = {"createdAt": "2026-03-01T12:00:00.000Z", "updatedAt": "2026-03-01T12:00:00.000Z"}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "authors": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "x-unique": True},
                "age": {"type": "integer"},
                "posts": {"type": "array", "items": {"$ref": "#/$defs/posts"}, "x-inverse": "author"},
                "profile": {"$ref": "#/$defs/profiles", "x-inverse": "author"},
            },
            "required": ["name"],
            "examples": [{"name": "Ann", "age": 34}, {"name": "Bob"}],
        },
        "profiles": {
            "type": "object",
            "properties": {
                "bio": {"type": "string"},
                "author": {"$ref": "#/$defs/authors", "x-column": "authorId", "x-unique": True},
            },
            "examples": [{"bio": "Ann's", "author": 1}],
        },
        "posts": {
            "type": "object",
            "x-sort": True,
            "properties": {
                "title": {"type": "string"},
                "status": {"enum": ["draft", "published"], "default": "draft"},
                "views": {"type": "integer"},
                "author": {"$ref": "#/$defs/authors", "x-column": "authorId"},
                "comments": {"type": "array", "items": {"$ref": "#/$defs/comments"}, "x-inverse": "post"},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tags"}, "x-through": "postsTags"},
            },
            "examples": [
                {"title": "A & b, 50%", "status": "published", "views": 77, "author": 1},
                {"title": "Second", "views": 5, "author": 2},
                {"title": "a & b, 50x"},
            ],
        },
        "comments": {
            "type": "object",
            "properties": {
                "content": {"type": "string"},
                "post": {"$ref": "#/$defs/posts", "x-column": "postId"},
            },
            "examples": [{"content": "c1", "post": 1}, {"content": "c2", "post": 1}],
        },
        "tags": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "examples": [{"name": "red"}, {"name": "blue"}],
        },
        "postsTags": {
            "type": "object",
            "properties": {
                "post": {"$ref": "#/$defs/posts", "x-column": "postId", "x-delete": "cascade"},
                "tag": {"$ref": "#/$defs/tags", "x-column": "tagId", "x-delete": "cascade"},
                "weight": {"type": "integer"},
            },
            "required": ["post", "tag"],
            "examples": [{"post": 1, "tag": 1, "weight": 5}, {"post": 1, "tag": 2}],
        },
    }
}
"""Small, so that whole answers can be read."""


@pytest.fixture(scope="module")
def node() -> str:
    """The program that runs the client."""
    if NODE is None:
        pytest.skip("Node.js is not installed")
    if not (HERE / "node_modules" / "@nocobase" / "sdk").is_dir():
        pytest.skip(f"the client is not installed: {INSTALL}")
    return NODE


def drive(node: str, url: str) -> list[dict[str, Any]]:
    """Every line that the client's program prints, without the letters of the tokens."""
    command = [node, str(HERE / "nocobase_sdk.cjs"), f"{url}api/", USER, PASSWORD]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10 * WAIT_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(re.sub(r"mrt_[0-9A-Za-z]{43}[0-9a-f]{8}", "TOKEN", line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def answers(node: str) -> list[dict[str, Any]]:
    """What the client gets of a server of its own."""
    app = minirest.make_app(SCHEMA, users={USER: PASSWORD}, sign_up=True, clock=lambda: NOW)
    with served(app) as url:
        return drive(node, url)


# ---- what is expected ----


def data(value: Any, **meta: int) -> dict[str, Any]:
    """The envelope of an answer that is no page."""
    return {"data": value, **({"meta": meta} if meta else {})}


def page(*rows: dict[str, Any], count: int | None = None, page: int = 1, size: int = 20) -> dict[str, Any]:
    """The envelope of one page; `count` where it is not the number of rows."""
    total = len(rows) if count is None else count
    return data(list(rows), count=total, page=page, pageSize=size, totalPage=-(-total // size))


def ids(*numbers: int) -> list[dict[str, int]]:
    """Records of which only the id is shown."""
    return [{"id": number} for number in numbers]


def error(code: str, message: str) -> dict[str, Any]:
    """The envelope of one error."""
    return {"errors": [{"code": code, "message": message}]}


def author(id: int, name: str, age: int | None) -> dict[str, Any]:
    """An author, whole."""
    return {"id": id, "name": name, "age": age, **TIMES}


def post(id: int, title: str, views: int | None = None, author: int | None = None, **more: Any) -> dict[str, Any]:
    """A post, whole, with the order in which it was made."""
    return {
        "id": id,
        "title": title,
        "status": "draft",
        "views": views,
        "sort": id,
        "authorId": author,
        **TIMES,
        **more,
    }


def comment(id: int, content: str, post: int) -> dict[str, Any]:
    """A comment, whole."""
    return {"id": id, "content": content, "postId": post, **TIMES}


def tag(id: int, name: str, post: int | None = None, weight: int | None = None) -> dict[str, Any]:
    """A tag, whole; one that was reached from a post has the values of that link."""
    link = {"postsTags": {"postId": post, "tagId": id, "weight": weight, **TIMES}} if post else {}
    return {"id": id, "name": name, **TIMES, **link}


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """A record without some of its columns."""
    return {name: value for name, value in record.items() if name not in names}


FIRST = post(1, "A & b, 50%", 77, 1, status="published")
SECOND = post(2, "Second", 5, 2)
THIRD = post(3, "a & b, 50x")
MEMBER = [{"name": "member"}]
ADMIN = {"id": 1, "username": USER, "nickname": USER, "roles": MEMBER}
NINA = {"id": 2, "username": "nina", "nickname": "nina", "roles": MEMBER}
UNSIGNED = error("EMPTY_TOKEN", "Unauthenticated. Please sign in to continue.")
UNCONDITIONED = error("no_condition", "Neither a key nor a filter says which records are meant")
ALLOWED = (
    "$eq, $ne, $is, $not, $gt, $gte, $lt, $lte, $in, $notIn, $between, $notBetween, $like, $notLike, "
    "$iLike, $notILike, $includes, $notIncludes, $startsWith, $notStartsWith, $endWith, $endsWith, $notEndWith, "
    "$empty, $notEmpty, $arrayEmpty, $arrayNotEmpty, $exists, $notExists"
)
NESTED = {
    "author": author(4, "Dan", None),
    "tags": [tag(2, "blue", 4), tag(3, "green", 4, 7)],
    "comments": [comment(3, "one", 4), comment(4, "two", 4)],
}
ALL = {"bio": "all", **TIMES}
EXPECTED: dict[str, tuple[int, Any]] = {
    # who asks
    "check without a token": (200, data({})),
    "list without a token": (401, UNSIGNED),
    "sign in with a wrong password": (401, error("sign_in", "The account or the password is wrong")),
    "sign in": (200, data({"user": ADMIN, "token": "TOKEN"})),
    "check": (200, data(ADMIN)),
    # list
    "list": (200, page(FIRST, SECOND, THIRD)),
    "list with one object as filter": (200, page({"id": 1})),
    "list with and, or, not": (200, page({"id": 2, "views": 5})),
    "list with associations in the filter": (200, page({"id": 1, "author": {"name": "Ann"}})),
    "list a page": (200, page({"id": 1, "title": "A & b, 50%"}, count=3, page=2, size=2)),
    "list in the order of an association": (200, data(ids(2, 1, 3))),
    "list without pages": (200, data([{"name": "blue"}, {"name": "red"}])),
    "list with appends and except": (
        200,
        page(
            {
                **without(FIRST, *TIMES),
                "author": without(author(1, "Ann", 34), "age"),
                "tags": [tag(1, "red", 1, 5), tag(2, "blue", 1)],
                "comments": [comment(1, "c1", 1), comment(2, "c2", 1)],
            },
            {**without(SECOND, *TIMES), "author": without(author(2, "Bob", None), "age"), "tags": [], "comments": []},
        ),
    ),
    "list with a text as filter": (200, page({"id": 2})),
    "list with an unknown operator": (
        400,
        error("unknown_operator", f"Unknown operator '$nope' for field 'title'; allowed are {ALLOWED}"),
    ),
    "list an unknown collection": (404, error("unknown_table", "Not Found")),
    "list through request": (200, page(tag(1, "red"), count=2, size=1)),
    "list by a plain address": (200, page({"name": "red"}, count=2, size=1)),
    # get
    "get": (200, data(FIRST)),
    "get with appends": (
        200,
        data(
            {
                "id": 1,
                "author": {"profile": {"id": 1, "bio": "Ann's", "authorId": 1, **TIMES}},
                "comments": [{"content": "c1"}, {"content": "c2"}],
                "tags": [tag(1, "red", 1, 5), tag(2, "blue", 1)],
            }
        ),
    ),
    "get by filter": (200, data({**author(2, "Bob", None), "posts": [SECOND]})),
    "get what is not there": (200, data(None)),
    # create
    "create": (200, data(author(3, "Cem", 30))),
    "create with nested values": (200, data(post(4, "Nested", None, 4) | NESTED)),
    "create several": (200, data([tag(4, "x"), tag(5, "y")])),
    "create with a whitelist": (200, data(post(5, "Listed"))),
    "create with a blacklist": (200, data(post(6, "Black"))),
    "create a second of a name": (400, error("unique", "name already exists")),
    "create without what is required": (400, error("required", "name cannot be null")),
    "create what is wrong in depth": (
        400,
        error("bad_value", "Invalid value 5 for field 'author.profile.bio': expected a text"),
    ),
    "nothing of it remains": (200, page()),
    # update
    "update": (200, data([post(2, "Second", 6) | {"author": None}])),
    "update several": (200, data([tag(4, "z"), tag(5, "z")])),
    "update by filter": (200, data([FIRST | {"views": 50}])),
    "update an author's record as well": (200, data([FIRST | {"views": 50, "author": author(1, "Ann", 35)}])),
    "link an author only": (200, data([FIRST | {"views": 50, "author": author(1, "Ann", 35)}])),
    "update nothing in particular": (400, UNCONDITIONED),
    "update all": (200, data([{"id": 1, **ALL, "authorId": 1}, {"id": 2, **ALL, "authorId": 4}])),
    "update what is not there": (200, data([])),
    # firstOrCreate and updateOrCreate
    "firstOrCreate finds": (200, data(author(2, "Bob", None))),
    "firstOrCreate creates": (200, data(author(5, "Fay", 2))),
    "updateOrCreate updates": (200, data([author(5, "Fay", 3)])),
    "updateOrCreate creates": (200, data(author(6, "Gil", 4))),
    # associations
    "list an association": (200, page(tag(1, "red", 1, 5), tag(2, "blue", 1))),
    "get of an association": (200, data(comment(1, "c1", 1))),
    "get of another parent": (200, data(None)),
    "get a to-one association": (200, data(author(1, "Ann", 35))),
    "create in an association": (200, data(comment(5, "three", 2))),
    "create in a many-to-many association": (200, data(tag(6, "six", 2, 1))),
    "update in an association": (200, data([tag(6, "six", 2, 2)])),
    "update a to-one association": (200, data(author(1, "Ann", 36))),
    "add": (200, {}),
    "add with values of the link": (200, {}),
    "add by filterByTk": (200, {}),
    "what add did": (
        200,
        page(
            *(
                without(shown, *TIMES)
                for shown in (tag(1, "red", 3), tag(2, "blue", 3), tag(3, "green", 3, 8), tag(4, "z", 3))
            )
        ),
    ),
    "set": (200, {}),
    "remove": (200, {}),
    "toggle on": (200, data("ok")),
    "toggle off": (200, data("ok")),
    "what set, remove and toggle did": (200, page({"id": 1})),
    "set a to-one association": (200, {}),
    "what set did": (200, data({"id": 3, "authorId": 2})),
    "remove a to-one association": (200, {}),
    "what remove did": (200, data(None)),
    "set to-many": (200, {}),
    "what set to-many did": (200, page({"id": 3, "authorId": 2}, {"id": 4, "authorId": 2})),
    "an unknown association": (404, error("unknown_link", "'nope' is not a link of table 'posts'")),
    # the manual order
    "order before": (200, data(ids(1, 2, 3, 4, 5, 6))),
    "move down": (200, data("ok")),
    "order after moving down": (200, data(ids(2, 3, 1, 4, 5, 6))),
    "move up": (200, data("ok")),
    "move behind": (200, data("ok")),
    "move to the top": (200, data("ok")),
    "order after all": (200, data(ids(5, 4, 3, 2, 1, 6))),
    "move without an order": (400, error("not_sortable", "Table 'tags' has no manual order")),
    # destroy
    "destroy": (200, data(1)),
    "destroy several": (200, data(1)),
    "destroy by filter": (200, data(2)),
    "destroy nothing in particular": (400, UNCONDITIONED),
    "destroy with a null key": (200, data(0)),
    "destroy in an association": (200, data(True)),
    "destroy all of an association": (200, data(True)),
    "what remains of it": (200, page()),
    "what remains": (200, data(ids(1, 2, 3, 6))),
    # a role, another user, the end
    "with a role that everybody has": (200, page({"id": 1}, count=4, size=1)),
    "with a role that nobody has": (401, error("ROLE_NOT_FOUND_FOR_USER", "The role does not belong to the user")),
    "sign up": (200, data({})),
    "sign in as the new user": (200, data({"user": NINA, "token": "TOKEN"})),
    "check as the new user": (200, data(NINA)),
    "sign out": (200, data({})),
    "list after signing out": (401, UNSIGNED),
    "list with the token that has ended": (
        401,
        error("INVALID_TOKEN", "Your session has expired. Please sign in again."),
    ),
    "the other user stays": (200, data({"name": "red"})),
}


# ---- what comes ----


def test_all_steps_are_taken(answers: list[dict[str, Any]]) -> None:
    """The client's program takes the steps that are expected, in this order, each once."""
    assert [answer["step"] for answer in answers] == list(EXPECTED)


@pytest.mark.parametrize("step", EXPECTED)
def test_step(step: str, answers: list[dict[str, Any]]) -> None:
    """Each step of the client has the status and the body that are expected, whole."""
    status, body = EXPECTED[step]
    (answer,) = (answer for answer in answers if answer["step"] == step)
    assert answer == {"step": step, "status": status, "body": body}


def call(url: str, value: Any) -> Any:
    """What is answered to a value."""
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
        return json.load(answer)


def test_worlds(node: str, answers: list[dict[str, Any]], tmp_path: Path) -> None:
    """Twenty clients at a time, each in a world of its own of one process, get what one gets alone."""
    schema, path = tmp_path / "schema.json", tmp_path / "blog.db"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    with (
        closing(minirest.make_app(SCHEMA, users={USER: PASSWORD}, clock=lambda: NOW)) as app,  # its passwords are fast
        closing(app.store.snapshot()) as copy,
        closing(sqlite3.connect(path)) as file,
    ):
        copy.backup(file)

    def live(_: int) -> list[dict[str, Any]]:
        world = call(f"{url}_test/worlds", {})
        call(f"{url}_test/worlds/{world['world']}/clock", {"now": NOW.isoformat()})
        return drive(node, url.removesuffix("/") + world["address"])

    options = ("--db", str(path), "--test", "--seed", "7", "--sign-up")
    with started(str(schema), *options) as url, ThreadPoolExecutor(20) as pool:
        for found in pool.map(live, range(20)):
            assert found == answers


def test_every_action_is_driven() -> None:
    """The client's program calls each action that there is."""
    program = (HERE / "nocobase_sdk.cjs").read_text(encoding="utf-8")
    driven = set(re.findall(r"\)\s*\.(\w+)\(", program))
    assert driven >= {"list", "get", "create", "update", "destroy", "move", "firstOrCreate", "updateOrCreate"}
    assert driven >= set(minirest.LINK_ACTIONS)


def test_versions_are_exact() -> None:
    """The client and what it stands on have exact versions."""
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert set(wanted) == {"@nocobase/sdk", "axios", "qs", "socket.io-client"}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
