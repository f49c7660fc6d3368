"""What tests need of minirest: worlds, faults, a clock that stands still, the journal; the pytest plugin."""

import http.client
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import minirest
from minirest import Client, ClientAnswer, Fixture
from tests import sockets
from tests.web import one

ROOT = Path(__file__).resolve().parents[1]
SCHEMA: dict[str, Any] = {
    "title": "Shop",
    "$defs": {
        "books": {
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "author": one("authors"),
                "scan": {"type": "string", "format": "binary"},
            },
            "x-validity": True,
            "x-archive": True,
            "examples": [{"title": "Emma", "author": 1}],
        },
        "authors": {"type": "object", "properties": {"name": {"type": "string"}}, "examples": [{"name": "Austen"}]},
    },
}
TABLE = "/api/resources/books/table/books"
START = "Sat, 01 Jan 2050 00:00:00 GMT"
Make = Callable[..., Fixture]


@pytest.fixture(name="make")
def make_fixtures() -> Iterator[Make]:
    """What the plugin's `make_minirest` is."""
    fixtures = minirest.Fixtures()

    def take(schema: Any = SCHEMA, **words: Any) -> Fixture:
        return fixtures.take(schema, **words)

    yield take
    fixtures.close()


@pytest.fixture(name="shop")
def make_shop(make: Make) -> Fixture:
    """The shop."""
    return make()


@pytest.fixture(name="worlds")
def make_worlds() -> Iterator[minirest.Worlds]:
    """Worlds of shops with a seed, as `--test --seed 7` serves them."""
    settings = minirest.Settings(auth=False, seed=7, hosts=minirest.LOOPBACK_NAMES)
    worlds = minirest.Worlds(minirest.open_app(minirest.load_schema(SCHEMA), ":memory:", settings), settings)
    yield worlds
    worlds.close()


def titles(client: Client, prefix: str = "", **headers: str) -> list[str]:
    """The books that there are."""
    answer = client.get(f"{prefix}/api/v1/books", headers=headers)
    assert answer.status == 200, answer
    return [book["title"] for book in answer.json()]


def wrong(answer: ClientAnswer) -> tuple[int, list[str]]:
    """The status, and what an answer of `/_test/` says is wrong."""
    return answer.status, [error["message"] for error in answer.json()["errors"]]


# ---- the fixture ----


def test_everything_goes_back(shop: Fixture) -> None:
    """Records, ids, users, tokens, sessions, the clock, what goes wrong and the journal are those of the beginning."""
    first = shop.client.post("/api/v1/books", json={"title": "New"}).json()
    anna = shop.as_user("anna", "reader").headers
    shop.clock.advance(days=3)
    shop.fault("locked", times=9)
    shop.reset()
    assert (shop.requests.text(), shop.clock.now) == ("no requests", minirest.CLOCK_START)
    assert shop.app.accounts.account("anna") is None
    assert shop.client.post("/api/v1/books", json={"title": "New"}).json() == first
    assert shop.as_user("anna", "reader").headers == anna
    assert Client(shop.world, anna).get("/api/auth:check").json()["data"]["username"] == "anna"
    assert titles(shop.client) == ["Emma", "New"]


def test_addresses_go_back(shop: Fixture) -> None:
    """The addresses of one test are not there in the next."""
    shop.app.route("/mine")(lambda request: {"mine": True})
    shop.app.router.get("/yours")(lambda: "yours")
    assert [shop.client.get(path).status for path in ("/mine", "/yours")] == [200, 200]
    shop.reset()
    assert [shop.client.get(path).status for path in ("/mine", "/yours")] == [400, 400]


def test_reading_needs_no_restore(shop: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has changed nothing costs nothing; the first write is seen."""
    restored = list[object]()
    monkeypatch.setattr(shop.app.store, "restore", restored.append)
    shop.client.get("/api/v1/books")
    shop.reset()
    assert restored == []
    shop.client.post("/api/v1/books", json={"title": "New"})
    shop.reset()
    assert len(restored) == 1


def test_users(shop: Fixture) -> None:
    """A client speaks for whom it is made; roles and groups are given, and kept when none are named."""
    assert shop.anonymous.get("/api/v1/books").status == 401
    shop.as_user("anna", "editor", groups=["sales"])
    shown = shop.as_user("anna").get("/api/auth:check").json()["data"]
    assert (shown["username"], shown["roles"]) == ("anna", [{"name": "editor"}, {"name": "member"}])
    account = shop.app.accounts.account("anna")
    assert account
    assert (account.actor().roles, len(account.actor().groups)) == (("editor",), 1)


def test_administrators(make: Make) -> None:
    """`admins` are those of `make_app`: users with passwords who have the role."""
    shop = make(users={"anna": "x"}, admins=["anna"])
    assert make(users={"anna": "x"}) is not shop
    shop.reset()
    signed = shop.anonymous.post("/api/auth:signIn", json={"account": "anna", "password": "x"}).json()["data"]["user"]
    assert {"name": "admin"} in signed["roles"]
    with pytest.raises(ValueError, match=r"^there is no user 'eve' to be an administrator$"):
        make(admins=["eve"])


def test_strict_and_patient(make: Make) -> None:
    """What the originals ignore is refused; no wrong password is one too many; users are given with passwords."""
    shop = make(users={"anna": "x"})
    assert shop.client.post("/api/books:create", json={"titel": "x"}).status == 400
    for _ in range(30):
        assert shop.anonymous.post("/api/v1/auth", json={"login": "anna", "password": "y"}).status == 401
    assert shop.anonymous.post("/api/v1/auth", json={"login": "anna", "password": "x"}).status == 200
    assert make(strict=False).client.post("/api/books:create", json={"titel": "x"}).status == 200


def test_two_at_a_time(make: Make) -> None:
    """One test may have several, which share nothing."""
    first, second = make(), make()
    first.client.post("/api/v1/books", json={"title": "New"})
    assert (titles(first.client), titles(second.client)) == (["Emma", "New"], ["Emma"])


def test_used_again() -> None:
    """The next test gets the same application, and other settings get another one."""
    fixtures = minirest.Fixtures()
    first = fixtures.take(SCHEMA)
    fixtures.give_back()
    assert fixtures.take(SCHEMA) is first
    assert fixtures.take(SCHEMA) is not first
    assert fixtures.take(SCHEMA, strict=False) is not first
    with pytest.raises(ValueError, match=r"^no schema: set minirest_schema in the ini file"):
        fixtures.take()
    with pytest.raises(ValueError, match=r"^the fixture has a clock of its own: set minirest\.clock\.now$"):
        fixtures.take(SCHEMA, clock=minirest.utc_now)
    with pytest.raises(TypeError, match=r"^there is no argument 'stric'; did you mean 'strict'\?$"):
        fixtures.take(SCHEMA, stric=False)
    with pytest.raises(ValueError, match=r"^strict takes True or False; not 'no'$"):
        fixtures.take(SCHEMA, strict="no")
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(ValueError, match="give a path, not a conn"):
        fixtures.take(SCHEMA, db=connection)  # type: ignore[arg-type]
    fixtures.close()


def test_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many schemas a run has, those of tests long ago are closed."""
    monkeypatch.setattr(minirest, "MAX_WAITING_FIXTURES", 2)
    fixtures = minirest.Fixtures()
    made = []
    for title in "abcd":
        made.append(fixtures.take({**SCHEMA, "title": title}))
        fixtures.give_back()
    assert [fixture.world.ended.is_set() for fixture in made] == [True, True, False, False]
    assert fixtures.take({**SCHEMA, "title": "c"}) is made[2]
    fixtures.close()
    assert all(fixture.world.ended.is_set() for fixture in made)


def test_files_of_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema file is known by its place and its time: one of that name elsewhere, or later, is another one."""
    fixtures, tables = minirest.Fixtures(), list[list[str]]()
    for folder, table in (("one", "cats"), ("two", "dogs"), ("two", "mice")):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        document = json.dumps({"$defs": {table: {"type": "object", "properties": {"name": {"type": "string"}}}}})
        Path("shop.json").write_text(document)
        os.utime("shop.json", (len(tables), len(tables)))
        tables.append(list(fixtures.take("shop.json").app.schema.tables))
        fixtures.give_back()
    assert tables == [["cats"], ["dogs"], ["mice"]]
    fixtures.close()


def test_a_file_that_changes_in_a_folder(tmp_path: Path) -> None:
    """The folder keeps its time then."""
    fixtures, found = minirest.Fixtures(), []
    for name in ("Tom", "Tiger"):
        (tmp_path / "cats.csv").write_text(f"name\n{name}\n")
        os.utime(tmp_path, (1, 1))
        found += fixtures.take(str(tmp_path)).client.get("/api/v1/cats").json()
        fixtures.give_back()
    assert [cat["name"] for cat in found] == ["Tom", "Tiger"]
    fixtures.close()


def test_data_in_place_of_a_schema(make: Make, tmp_path: Path) -> None:
    """As `make_app` does, the fixture takes lists of records, and files of them; they are there in each test."""
    (tmp_path / "cats.csv").write_text("name\nTom\n")
    for source in ({"cats": [{"name": "Tom"}]}, str(tmp_path / "cats.csv")):
        cats = make(source)
        cats.client.delete("/api/v2/cats/" + cats.client.get("/api/v2/cats/").json()["objects"][0]["id"] + "/")
        cats.reset()
        assert [cat["name"] for cat in cats.client.get("/api/v1/cats").json()] == ["Tom"]


def test_database_file(tmp_path: Path) -> None:
    """A file begins each test with what it held, which is also what it keeps; a program sees what a test writes."""
    path, fixtures, seen = tmp_path / "shop.db", minirest.Fixtures(), []
    minirest.make_app(SCHEMA, path, auth=False).close()
    for _ in range(2):
        shop = fixtures.take(SCHEMA, db=path)
        made = shop.client.post("/api/v1/books", json={"title": "New"})
        with closing(sqlite3.connect(path)) as program:
            seen.append((made.content, program.execute("select title from books").fetchall()))
        shop.reset()
        assert titles(shop.client) == ["Emma"]
        shop.client.post("/api/v1/books", json={"title": "Newer"})
        fixtures.give_back()
        assert shop.world.ended.is_set()
        with closing(sqlite3.connect(path)) as program:
            assert program.execute("select title from books").fetchall() == [("Emma",)]
            assert program.execute("select count(*) from _users").fetchone() == (0,)
    assert seen[0] == seen[1]
    assert seen[0][1] == [("Emma",), ("New",)]
    fixtures.close()
    assert [file.name for file in tmp_path.iterdir()] == ["shop.db"]


def test_sessions_and_tokens_expire(make: Make) -> None:
    """A day later a session and a token of signing in are over; the administrator's token is not."""
    shop = make(users={"anna": "x"})
    credentials = {"login": "anna", "password": "x"}
    browser = shop.anonymous
    assert browser.post("/api/v1/auth", json=credentials).status == 200
    token = shop.anonymous.post("/api/v1/auth/token", json=credentials).json()["token"]
    script = Client(shop.world, {"Authorization": f"Bearer {token}"})
    for hours, status in ((0, 200), (23.9, 200), (0.2, 401)):
        shop.clock.advance(hours=hours)
        assert [client.get("/api/v1/authors").status for client in (browser, script)] == [status, status]
    assert shop.client.get("/api/v1/authors").status == 200


def test_validity_by_the_clock(shop: Fixture) -> None:
    """Records come and go with the day of the clock."""
    values = {"title": "Emma", "valid_from": "2050-01-02", "valid_to": "2050-01-03"}
    record = shop.client.get("/api/v1/books").json()[0]["_id"]
    assert shop.client.patch(f"/api/v1/books/{record}", json=values).status == 200
    found = []
    for _ in range(4):
        found.append(titles(shop.client))
        shop.clock.advance(days=1)
    assert found == [[], ["Emma"], ["Emma"], []]


def test_client(shop: Fixture) -> None:
    """Parameters, JSON, bytes and headers are sent; an address of an answer is followed, a foreign one is refused."""
    client = shop.client
    assert client.get("/api/v2/authors/", params={"name__startswith": "Au&", "limit": 5}).json()["objects"] == []
    found = client.get("/api/v2/authors/?limit=5", params={"name": "Austen"}).json()["objects"]
    assert client.get(found[0]["resource_uri"]).json() == found[0]
    page = client.get("/api/resources/authors/table/authors", params={"per_page": 5}).json()
    assert client.get(page["first_page_url"]).json()["data"] == page["data"]
    broken = client.post("/api/v1/authors", content=b'{"name":', headers={"content-type": "application/json"})
    assert broken.status == 400
    assert client.put("/api/v1/authors", json=None).status == 405
    with pytest.raises(ValueError, match=r"^'https://other\.example/' is no address of this application; write /path$"):
        client.get("https://other.example/")


def test_what_a_client_does_not_send(shop: Fixture) -> None:
    """A word that it does not know is refused, as is a second body; a list of values is sent as several."""
    with pytest.raises(TypeError, match=r"^a request takes json, content, params, headers, and no 'data'$"):
        shop.client.post("/api/v1/books", data={"title": "New"})
    with pytest.raises(ValueError, match=r"^a request has one body: json or content$"):
        shop.client.post("/api/v1/books", json={}, content=b"{}")
    shop.client.get("/api/v1/books", params={"only": ["id", "title"], "limit": 5})
    assert [exchange.address for exchange in shop.requests] == ["/api/v1/books?only=id&only=title&limit=5"]


def test_words_of_the_fixture(shop: Fixture) -> None:
    """One name is no list of groups, a list no name of a role, and a moment has a zone."""
    with pytest.raises(ValueError, match=r"^groups takes a list of names; not 'sales'$"):
        shop.as_user("anna", groups="sales")
    with pytest.raises(ValueError, match=r"^roles takes a list of names; not \(\['editor'\],\)$"):
        shop.as_user("anna", ["editor"])  # type: ignore[arg-type]
    assert shop.app.accounts.account("anna") is None
    with pytest.raises(ValueError, match=r"^now takes a moment with its zone; not datetime"):
        shop.clock.now = datetime(2050, 1, 2)  # noqa: DTZ001
    assert shop.clock.now == minirest.CLOCK_START


def test_cookies_of_a_client(make: Make) -> None:
    """A cookie goes with the next request, until it is taken back."""
    browser = make(users={"anna": "x"}).anonymous
    assert browser.post("/api/v1/auth", json={"login": "anna", "password": "x"}).status == 200
    assert list(browser.cookies) == ["sid"]
    assert browser.get("/api/v1/books").status == 200
    assert browser.delete("/api/v1/auth").status == 200
    assert browser.cookies == {}
    assert browser.get("/api/v1/books").status == 401


def test_client_of_an_application() -> None:
    """An application has clients too, without a world around it."""
    app = minirest.make_app(SCHEMA, users={"anna": "x"})
    token = app.accounts.add_token("anna", "test")
    assert (app.client().get("/api/v1/books").status, titles(app.client(token))) == (401, ["Emma"])
    app.close()


def test_wrong_passwords_are_forgotten(make: Make) -> None:
    """Where they are counted, the next test begins with none."""
    shop = make(users={"anna": "x"}, limit_failures=True)
    for _ in range(2):
        guesses = [shop.anonymous.post("/api/v1/auth", json={"login": "anna", "password": "y"}) for _ in range(11)]
        assert [answer.status for answer in guesses] == [401] * 10 + [429]
        shop.reset()


def test_uses_of_tokens_are_forgotten(shop: Fixture) -> None:
    """When a token was last used is the same in every test: also of one that an earlier test had, with the same id."""
    seen = []
    for _ in range(2):
        shop.as_user("anna").get("/api/v1/books")
        seen.append([token.last_used for token in shop.app.accounts.tokens()])
        shop.reset()
    assert seen == [["2050-01-01T00:00:00.000Z"] * 2] * 2


# ---- the journal ----


def test_journal(shop: Fixture) -> None:
    """It says what was asked and answered; one request is found by its method and path, or the others are shown."""
    shop.client.get("/api/v1/authors?only=name")
    shop.client.post("/api/v1/authors", json={"name": "Ä"}, headers={"If-Match": "*"})
    asked = shop.requests.assert_one("POST", "/api/v1/*")
    assert (asked.sent, asked.got["name"], asked.headers["If-Match"]) == ({"name": "Ä"}, "Ä", "*")
    assert (len(shop.requests), shop.requests[-1], next(iter(shop.requests)).method) == (2, asked, "GET")
    with pytest.raises(AssertionError) as caught:
        shop.requests.assert_one(path="/api/v2/*")
    ids = re.sub(r'"[0-9a-f]{24}"|\d{13}', "...", str(caught.value))
    assert ids.splitlines()[:3] == ["0 requests * /api/v2/*; there were:", "GET /api/v1/authors?only=name", "    200 ["]
    assert 'POST /api/v1/authors {"name":"Ä"}\n    200 {' in ids


def test_journal_is_bounded(shop: Fixture) -> None:
    """It keeps the last requests, and the beginnings of bodies; those that are long still arrive."""
    long = {"name": "x" * minirest.MAX_KEPT_BYTES}
    assert shop.client.post("/api/v1/authors", json=long).json()["name"] == long["name"]
    kept = shop.requests[-1]
    assert (kept.content, len(kept.answer)) == (b"", minirest.MAX_KEPT_BYTES)
    for _ in range(minirest.MAX_JOURNAL + 3):
        shop.world.journal.add(kept)
    assert len(shop.requests) == minirest.MAX_JOURNAL


def test_journal_to_read(shop: Fixture) -> None:
    """What is shown of long bodies and of many requests has an end."""
    shop.client.post("/api/v1/authors", json={"name": "x" * 3000})
    first, second = str(shop.requests[-1]).splitlines()
    assert (len(first), first[-1]) == (len("POST /api/v1/authors ") + minirest.MAX_SHOWN_LETTERS, "…")
    assert len(second) == len("    200 ") + minirest.MAX_SHOWN_LETTERS
    for _ in range(minirest.MAX_REPORTED_REQUESTS):
        shop.client.get("/health/live")
    with pytest.raises(AssertionError) as caught:
        shop.requests.assert_one("PUT")
    assert str(caught.value).splitlines()[1:3] == ["(1 requests before these)", "GET /health/live"]
    assert len(shop.requests.find("get")) == minirest.MAX_REPORTED_REQUESTS


def test_journal_in_many_threads(shop: Fixture) -> None:
    """No request is lost, and who reads meanwhile is not disturbed."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: (shop.client.get("/health/live"), shop.requests.find()), range(200)))
    assert len(shop.requests.find("GET", "/health/live")) == 200


def test_answers_in_pieces_and_without_a_body(shop: Fixture) -> None:
    """A stream arrives whole, is closed when it is given up, and has its place in the journal; so has HEAD."""
    closed = list[str]()

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            yield b"one"
            yield b"two"

        def close(self) -> None:
            closed.append("closed")

    kept = list[bytes]()
    stream = minirest.KeptStream(Pieces(), kept.append)
    assert b"".join(stream) == b"onetwo"
    stream.close()
    given_up = minirest.KeptStream(Pieces(), kept.append)
    assert next(iter(given_up)) == b"one"
    given_up.close()
    minirest.KeptStream(Pieces(), kept.append).close()
    assert (kept, closed) == ([b"onetwo", b"one", b""], ["closed"] * 3)
    head = shop.client.request("HEAD", "/api/v1/books")
    assert (head.status, head.content, shop.requests[-1].status) == (200, b"", 200)
    assert int(head.headers["Content-Length"]) > 2


# ---- faults ----


@pytest.mark.parametrize("path", ["/books", "/api/books:list", "/api/v2/books/", "/api/v1/books", TABLE])
@pytest.mark.parametrize("status", minirest.FAULT_ERRORS)
def test_every_status_in_every_dialect(shop: Fixture, path: str, status: int) -> None:
    """The answer is an error of the dialect, once; then all is well again."""
    before = shop.client.get(path).status
    shop.fault("status", status)
    answer = shop.client.get(path)
    assert (answer.status, answer.headers.get("Retry-After")) == (status, "1" if status in (429, 503) else None)
    assert shop.client.get(path).status == before
    assert shop.requests[1].answer == answer.content


def test_locked_and_expired(shop: Fixture) -> None:
    """They are what the database and the accounts would say."""
    shop.fault("locked", times=2)
    shop.fault("expired")
    answers = [shop.client.get("/api/v1/books") for _ in range(4)]
    shown = [(answer.status, answer.headers.get("Retry-After")) for answer in answers]
    assert shown == [(503, "1"), (503, "1"), (401, None), (200, None)]
    wrong_token = Client(shop.app, {"Authorization": "Bearer mrt_old"}).get("/api/v1/books")
    assert answers[2].content == wrong_token.content


def test_chosen_routes(make: Make) -> None:
    """A fault waits for its method and its path; what a browser asks before a request does not use it up."""
    shop = make(cors=["http://app.example"])
    shop.fault("status", 500, method="POST", path="/api/v1/*")
    shop.fault("status", 403)
    asking = {"Origin": "http://app.example", "Access-Control-Request-Method": "GET"}
    statuses = [
        shop.client.request("OPTIONS", "/api/v1/books", headers=asking).status,
        shop.client.get("/api/v1/books").status,
        shop.client.get("/api/v1/books").status,
        shop.client.post("/api/v1/books", json={}).status,
        shop.client.post("/api/v1/books", json={}).status,
    ]
    assert statuses == [204, 403, 200, 500, 200]


def test_dropped_cut_and_late_in_process(shop: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server a dropped answer is an error; half a body is half a body; a delay is waited for."""
    whole, slept = shop.client.get("/api/v1/books").content, list[float]()
    monkeypatch.setattr(shop.world.ended, "wait", slept.append)
    for kind, value in (("drop", 0), ("cut", 0), ("delay", 1500)):
        shop.fault(kind, value)
    with pytest.raises(ConnectionResetError):
        shop.client.get("/api/v1/books")
    assert (shop.requests[-1].status, str(shop.requests[-1])) == (0, "GET /api/v1/books\n    no answer")
    assert shop.client.get("/api/v1/books").content == whole[: len(whole) // 2]
    assert (shop.client.get("/api/v1/books").content, slept) == (whole, [1.5])


def test_cut_where_there_is_no_body(shop: Fixture) -> None:
    """Of an answer without a body nothing comes at all, though what was asked is done; a drop does nothing."""
    (book,) = shop.client.get("/api/resources/books/table/books").json()["data"]
    for kind in ("drop", "cut"):
        before = titles(shop.client)
        shop.fault(kind, method="delete")
        with pytest.raises(ConnectionResetError):
            shop.client.delete(f"/books/{book['id']}")
        assert str(shop.requests[-1]) == f"DELETE /books/{book['id']}\n    no answer"
        assert (titles(shop.client) == before) is (kind == "drop")
    with closing(http.client.HTTPConnection(shop.url.removeprefix("http://"), timeout=20)) as connection:
        connection.request("HEAD", "/api/v1/books", headers={**shop.client.headers, minirest.FAULT_HEADER: "cut"})
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()


def test_cut_where_the_length_is_not_known(shop: Fixture) -> None:
    """Of a body that is sent while it is made half comes, too, and no end of it."""
    path, headers = "/browse/books/export.csv", {**shop.client.headers, minirest.FAULT_HEADER: "cut"}
    whole = shop.client.get(path).content
    half = whole[: len(whole) // 2]
    assert (len(half) > 9, shop.client.get(path, headers=headers).content) == (True, half)
    with closing(http.client.HTTPConnection(shop.url.removeprefix("http://"), timeout=20)) as connection:
        connection.request("GET", path, headers=headers)
        with pytest.raises(http.client.IncompleteRead) as caught:
            connection.getresponse().read()
    assert caught.value.partial == half
    assert [exchange.answer for exchange in shop.requests] == [whole, half, half]


@pytest.mark.parametrize("ending", ["world", "server"])
def test_nobody_waits_for_what_has_ended(worlds: minirest.Worlds, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """A delay ends with its world and with its server, and holds up neither."""
    Client(worlds).post("/_test/worlds")
    ended, begun = worlds.find("w1").ended, threading.Event()
    wait = ended.wait

    def wait_and_tell(seconds: float) -> bool:
        begun.set()
        return wait(seconds)

    monkeypatch.setattr(ended, "wait", wait_and_tell)
    headers = {"X-Minirest-World": "w1", minirest.FAULT_HEADER: "delay=60000"}.items()
    with ThreadPoolExecutor(1) as pool:
        with sockets.serving(worlds) as port:
            waiting = pool.submit(sockets.fetch, port, "GET", "/api/v1/books", headers=headers)
            assert begun.wait(20)
            if ending == "world":
                assert Client(worlds).delete("/_test/worlds/w1").status == 204
                assert waiting.result(20).status == 503
        assert waiting.result(20).status == (503 if ending == "world" else 200)


def test_over_a_port(shop: Fixture) -> None:
    """On a real connection the client meets each fault as a network would let it."""
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", shop.url)

    def ask() -> tuple[int, str | None, bytes]:
        with closing(http.client.HTTPConnection(shop.url.removeprefix("http://"), timeout=20)) as connection:
            connection.request("GET", "/api/v1/books", headers=shop.client.headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["Date"], answer.read()

    whole = ask()
    assert whole[:2] == (200, START)
    for kind, value in (("drop", 0), ("cut", 0), ("delay", 1), ("status", 507), ("locked", 0)):
        shop.fault(kind, value)
    with pytest.raises(http.client.RemoteDisconnected):
        ask()
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask()
    assert caught.value.partial == whole[2][: len(whole[2]) // 2]
    assert ask() == whole
    assert [ask()[0] for _ in range(3)] == [507, 503, 200]
    assert [exchange.status for exchange in shop.requests] == [200, 0, 200, 200, 507, 503, 200]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"kind": "flood"}, "kind': there are delay, status, locked, expired, drop, cut"),
        (
            {"kind": "status", "value": 418},
            "value': with status it is 400, 401, 403, 404, 412, 413, 429, 500, 503, 507",
        ),
        ({"kind": "delay"}, "value': with delay it is 1 to 60000"),
        ({"kind": "delay", "value": 60_001}, "value': with delay it is 1 to 60000"),
        ({"kind": "drop", "value": 5}, "value': with drop it is 0"),
        ({"kind": "cut", "times": 0}, "times': it is 1 to 1000000"),
        ({"kind": "cut", "path": "*" * 1001}, "path': it has at most 1000 letters"),
        ({"kind": "cut", "path": "api/v2/*"}, "path': it begins with / or *"),
    ],
)
def test_faults_that_there_are_not(shop: Fixture, words: dict[str, Any], message: str) -> None:
    """They are refused when they are asked for."""
    with pytest.raises(minirest.ApiError, match=re.escape(message)):
        shop.fault(**words)
    assert shop.client.get("/api/v1/books").status == 200


def test_faults_of_a_header(shop: Fixture) -> None:
    """A request may bring its fault; one that there is not is refused in the words of the dialect."""
    asked = [
        shop.client.get("/api/v1/books", headers={minirest.FAULT_HEADER: text})
        for text in ("status=503", "expired", "status=418", "flood", "delay=x", "", "cut")
    ]
    assert [answer.status for answer in asked] == [503, 401, 400, 400, 400, 400, 200]
    assert asked[4].json()["message"] == "Invalid header 'X-Minirest-Fault': write a kind, or kind=number"


# ---- the same in every run ----


def every_kind_of_draw(seed: int | None) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    """Status, headers and body of requests that make ids, tokens, sessions and times, to a new application."""
    found = list[tuple[int, list[tuple[str, str]], bytes]]()
    app = minirest.make_app(SCHEMA, users={"anna": "x"}, seed=seed, clock=None if seed else lambda: datetime.now(UTC))
    token = app.client(app.accounts.add_token("anna", "test"))

    def ask(client: Client, method: str, address: str, **words: Any) -> None:
        answer = client.request(method, address, **words)
        found.append((answer.status, list(answer.headers.items()), answer.content))

    ask(token, "POST", "/api/v1/books", json={"title": "New"})
    ask(token, "POST", "/api/v2/books/", json={"title": "New"})
    ask(token, "GET", "/api/v2/books/")
    ask(token, "POST", "/books", json={"data": {"title": "New"}})
    ask(token, "POST", "/api/auth:signIn", json={"account": "anna", "password": "x"})
    ask(token, "POST", "/api/v1/auth/token", json={"login": "anna", "password": "x"})
    browser = app.client()
    ask(browser, "POST", "/api/v1/auth", json={"login": "anna", "password": "x"})
    ask(browser, "GET", "/browse/books/new", headers={"Accept": "text/html"})
    ask(token, "GET", "/api/resources/books/logs/1")
    found.append((0, [], app.hub.new_session().sid.encode()))
    app.close()
    return found


def test_a_seed_makes_all_runs_the_same() -> None:
    """Whole answers, headers too, are the same; another seed, or none, makes others."""
    first = every_kind_of_draw(7)
    assert all(status in (0, 200, 201, 404) for status, _, _ in first), first
    assert every_kind_of_draw(7) == first
    for other in (every_kind_of_draw(8), every_kind_of_draw(None)):
        same = [number for number, (one, two) in enumerate(zip(first, other, strict=True)) if one == two]
        assert same == []


def test_nothing_is_seeded_by_default() -> None:
    """Two applications draw different tokens, and their clock is the machine's."""
    apps = [minirest.make_app(SCHEMA, users={"anna": "x"}) for _ in range(2)]
    assert len({app.accounts.add_token("anna", "test") for app in apps}) == 2
    assert len({app.client().get("/").headers["X-Request-Id"] for app in apps}) == 2
    assert apps[0].store.clock is minirest.utc_now
    for app in apps:
        app.close()


# ---- worlds ----


def test_worlds_share_nothing(worlds: minirest.Worlds) -> None:
    """A world is a copy of the first one as it was at the beginning; it is found by its header or its path."""
    client = Client(worlds)
    client.post("/api/v1/books", json={"title": "Of main"})
    made = [client.post("/_test/worlds") for _ in range(2)]
    assert [(it.status, it.json()) for it in made] == [
        (201, {"world": "w1", "address": "/_world/w1/"}),
        (201, {"world": "w2", "address": "/_world/w2/"}),
    ]
    first = client.post("/api/v1/books", json={"title": "Of w1"}, headers={"X-Minirest-World": "w1"})
    second = client.post("/_world/w2/api/v1/books", json={"title": "Of w1"})
    assert (first.status, first.content, first.headers) == (200, second.content, second.headers)
    assert titles(client) == ["Emma", "Of main"]
    assert titles(client, "/_world/w1") == titles(client, "", **{"X-Minirest-World": "w2"}) == ["Emma", "Of w1"]
    assert titles(client, "/_world/main") == ["Emma", "Of main"]
    assert titles(client, "/_world/w1", **{"X-Minirest-World": "w1"}) == ["Emma", "Of w1"]
    assert client.get("/_test/worlds").json() == ["main", "w1", "w2"]
    assert client.delete("/_test/worlds/w1").status == 204
    assert client.get("/_test/worlds").json() == ["main", "w2"]
    for gone in (client.get("/_world/w1/"), client.delete("/_test/worlds/w1")):
        assert wrong(gone) == (404, ["Not found"])
    assert client.post("/_test/worlds").json()["world"] == "w3"


def test_a_world_is_mounted_at_its_path(worlds: minirest.Worlds) -> None:
    """The addresses that it prints lead back to it; the mount point itself is its overview."""
    client = Client(worlds)
    client.post("/_test/worlds")
    record = client.get("/_world/w1/api/v2/books/").json()["objects"][0]
    assert record["resource_uri"].startswith("/_world/w1/api/v2/books/")
    assert client.get(record["resource_uri"]).json() == record
    assert client.get("/_world/w1").json() == client.get("/_world/w1/").json()


def test_accounts_of_a_world() -> None:
    """Who signs in to a world is signed in there alone; its users are its own."""
    settings = minirest.Settings(seed=7)
    app = minirest.open_app(minirest.load_schema(SCHEMA), ":memory:", settings)
    app.accounts.put_user("anna", password=app.accounts.chance.text(12))  # as that of the first administrator is
    app.accounts.put_user("anna", password="anna's password")
    worlds = minirest.Worlds(app, settings)
    client = Client(worlds)
    for _ in range(2):
        client.post("/_test/worlds")
    credentials = {"login": "anna", "password": "anna's password"}
    token = client.post("/_world/w1/api/v1/auth/token", json=credentials).json()["token"]
    there = {"Authorization": f"Bearer {token}"}
    assert [client.get(f"{at}/api/v1/books", headers=there).status for at in ("/_world/w1", "/_world/w2")] == [200, 401]
    assert client.post("/api/v1/auth/token", json=credentials).json()["token"] == token
    worlds.close()


def test_worlds_of_a_file(tmp_path: Path) -> None:
    """A file is copied into memory; what a world changes is not in it, and it goes back to its beginning itself."""
    settings, path = minirest.Settings(auth=False), tmp_path / "shop.db"
    schema = minirest.load_schema(SCHEMA)
    worlds = minirest.Worlds(minirest.open_app(schema, str(path), settings), settings)
    client = Client(worlds)
    client.post("/_test/worlds")
    for prefix in ("", "/_world/w1"):
        client.post(f"{prefix}/api/v1/books", json={"title": "New"})
        assert titles(client, prefix) == ["Emma", "New"]
        name = "w1" if prefix else "main"
        assert client.post(f"/_test/worlds/{name}/restore").status == 204
        assert titles(client, prefix) == ["Emma"]
    other = minirest.make_app(SCHEMA, path, auth=False)
    other.client().post("/api/v1/books", json={"title": "Of another process"})
    other.close()
    assert client.post("/_test/worlds/main/restore").status == 204
    assert titles(client) == ["Emma"]
    client.post("/api/v1/books", json={"title": "Kept"})
    worlds.close()
    app = minirest.make_app(SCHEMA, path, auth=False)
    assert titles(app.client()) == ["Emma", "Kept"]
    app.close()
    assert [file.name for file in tmp_path.iterdir()] == ["shop.db"]


def test_a_copy_keeps_the_tags_of_its_file(tmp_path: Path) -> None:
    """A table that was renamed keeps its public ids in main when a world is made, and has them there too."""
    old, path = json.loads(json.dumps(SCHEMA).replace('"books"', '"works"')), tmp_path / "shop.db"
    minirest.make_app(old, path, auth=False).close()
    schema, settings = minirest.load_schema(SCHEMA), minirest.Settings(auth=False)
    minirest.migrate(schema, str(path), renames={"works": "books"}, apply=True)
    worlds = minirest.Worlds(minirest.open_app(schema, str(path), settings), settings)
    client = Client(worlds)
    before = client.get("/api/v1/books").content
    client.post("/_test/worlds")
    assert [client.get(f"{at}/api/v1/books").content for at in ("", "/_world/w1", "")] == [before] * 3
    worlds.close()


def test_snapshots(worlds: minirest.Worlds) -> None:
    """A world goes back to what it was: records, the row of draws, the time."""
    client, base = Client(worlds), "/_test/worlds/main"
    client.post("/api/v1/books", json={"title": "A"})
    client.post(f"{base}/clock", json={"advance": 60})
    assert client.post(f"{base}/snapshots").json() == {"snapshot": 1}
    first = client.post("/api/v1/books", json={"title": "B"})
    client.post(f"{base}/clock", json={"advance": 60})
    assert client.post(f"{base}/restore", json={"snapshot": 1}).status == 204
    assert titles(client) == ["Emma", "A"]
    assert client.get(f"{base}/clock").json() == {"now": "2050-01-01T00:01:00.000Z", "stands_still": True}
    assert client.post(f"{base}/restore", json={"snapshot": 1}).status == 204
    again = client.post("/api/v1/books", json={"title": "B"})
    assert (again.content, again.headers) == (first.content, first.headers)
    assert client.post(f"{base}/restore").status == 204
    assert titles(client) == ["Emma"]
    assert client.delete(f"{base}/snapshots/1").status == 204
    assert client.get(f"{base}/snapshots").json() == [0]
    assert client.post(f"{base}/snapshots").json() == {"snapshot": 2}


def test_requests_and_faults_of_a_world(worlds: minirest.Worlds) -> None:
    """They are asked for and taken back by calls, for one world."""
    client = Client(worlds)
    client.post("/_test/worlds")
    fault = {"kind": "status", "value": 500, "method": "GET", "path": "/api/v1/*", "times": 2}
    asked = client.post("/_test/worlds/w1/faults", json=fault)
    assert (asked.status, asked.json()) == (201, fault)
    assert (titles(client), client.get("/_world/w1/api/v1/books").status) == (["Emma"], 500)
    assert client.get("/_test/worlds/w1/faults").json() == [{**fault, "times": 1}]
    assert client.delete("/_test/worlds/w1/faults").status == 204
    assert client.get("/_test/worlds/w1/faults").json() == []
    (shown,) = client.get("/_test/worlds/w1/requests").json()
    assert "error_internal" in shown.pop("answer")
    assert shown == {
        "method": "GET",
        "address": "/api/v1/books",
        "headers": {"Host": "localhost"},
        "content": "",
        "status": 500,
    }
    assert client.delete("/_test/worlds/w1/requests").status == 204
    assert client.get("/_test/worlds/w1/requests").json() == []


def test_clock_of_a_world(worlds: minirest.Worlds) -> None:
    """It is set and goes on by calls; another world has another one. Without a seed it goes by itself."""
    client = Client(worlds)
    client.post("/_test/worlds")
    moved = client.post("/_test/worlds/w1/clock", json={"now": "2030-05-01T12:00:00+02:00", "advance": 1.5})
    assert moved.json() == {"now": "2030-05-01T10:00:01.500Z", "stands_still": True}
    assert client.get("/_test/worlds/main/clock").json()["now"] == "2050-01-01T00:00:00.000Z"
    app = minirest.make_app(SCHEMA, auth=False)
    unseeded = minirest.Worlds(app, minirest.Settings(auth=False))
    assert Client(unseeded).get("/_test/worlds/main/clock").json()["stands_still"] is False
    refused = Client(unseeded).post("/_test/worlds/main/clock", json={"advance": 1})
    assert wrong(refused) == (400, ["This clock goes by itself; start with --seed to set it"])
    unseeded.close()


BASE = "/_test/worlds/main"
BAD: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/_test", None, 404, "Not found"),
    ("GET", "/_test/", None, 404, "Not found"),
    ("GET", "/_test/moons", None, 404, "Not found"),
    ("GET", "/_test/worlds/w9/clock", None, 404, "Not found"),
    ("GET", f"{BASE}/weather", None, 404, "Not found"),
    ("GET", f"{BASE}/clock/x", None, 404, "Not found"),
    ("GET", "/_world/w9/", None, 404, "Not found"),
    ("GET", "/_world//", None, 404, ""),
    ("PUT", "/_test/worlds", None, 405, "Method PUT is not allowed here; allowed are GET, POST"),
    ("GET", BASE, None, 405, "Method GET is not allowed here; allowed are DELETE"),
    ("GET", f"{BASE}/restore", None, 405, "Method GET is not allowed here; allowed are POST"),
    ("POST", f"{BASE}/requests", None, 405, "Method POST is not allowed here; allowed are GET, DELETE"),
    ("DELETE", BASE, None, 400, "The world main stays"),
    ("DELETE", f"{BASE}/snapshots/0", None, 400, "The snapshot 0 stays: other worlds begin with it"),
    ("DELETE", f"{BASE}/snapshots/9", None, 404, "Not found"),
    ("DELETE", f"{BASE}/snapshots/x", None, 404, "Not found"),
    ("GET", "/_test/worlds?x=1", None, 400, "Unknown parameter 'x'"),
    ("POST", "/_test/worlds", {"name": "x"}, 400, "Unknown parameter 'name'"),
    ("POST", "/_test/worlds", [], 400, "The body cannot be read: write an object"),
    ("POST", "/_test/worlds", b"{", 400, "The body is not JSON: "),
    ("POST", f"{BASE}/restore", {"snapshto": 1}, 400, "Unknown parameter 'snapshto'; did you mean 'snapshot'?"),
    ("POST", f"{BASE}/restore", {"snapshot": True}, 400, "parameter 'snapshot': it is a number"),
    ("POST", f"{BASE}/restore", {"snapshot": 5}, 400, "parameter 'snapshot': there is no such snapshot"),
    ("POST", f"{BASE}/restore", {"snapshot": -1}, 400, "parameter 'snapshot': there is no such snapshot"),
    ("POST", f"{BASE}/faults", {}, 400, "parameter 'kind': there are delay, "),
    ("POST", f"{BASE}/faults", {"kind": 1}, 400, "parameter 'kind': it is a text"),
    ("POST", f"{BASE}/faults", {"kind": "drop", "times": True}, 400, "parameter 'times': it is a number"),
    ("POST", f"{BASE}/faults", {"kind": "drop", "color": 1}, 400, "Unknown parameter 'color'"),
    ("POST", f"{BASE}/clock", {"now": "2030-05-01"}, 400, "parameter 'now': write a moment with its zone"),
    ("POST", f"{BASE}/clock", {"now": 5}, 400, "parameter 'now': write a moment with its zone"),
    ("POST", f"{BASE}/clock", {"now": "0001-01-01T00:00:00Z"}, 400, "parameter 'now': the time ends before that"),
    ("POST", f"{BASE}/clock", {"now": "9999-12-31T00:00:00Z"}, 400, "parameter 'now': the time ends before that"),
    ("POST", f"{BASE}/clock", {"advance": "1"}, 400, "parameter 'advance': write seconds"),
    ("POST", f"{BASE}/clock", {"advance": True}, 400, "parameter 'advance': write seconds"),
    ("POST", f"{BASE}/clock", {"advance": 1e300}, 400, "parameter 'advance': the time ends before that"),
    ("POST", f"{BASE}/clock", {"advance": 10**12}, 400, "parameter 'advance': the time ends before that"),
]


@pytest.mark.parametrize(("method", "address", "body", "status", "message"), BAD)
def test_bad_input(worlds: minirest.Worlds, method: str, address: str, body: Any, status: int, message: str) -> None:
    """It is a refusal that says what is wrong, and changes nothing."""
    words: dict[str, Any] = {} if body is None else {"json": body}
    if isinstance(body, bytes):
        words = {"content": body, "headers": {"Content-Type": "application/json"}}
    answer = Client(worlds).request(method, address, **words)
    assert answer.status == status
    assert message in answer.text.replace('\\"', '"')
    assert Client(worlds).get("/_test/worlds").json() == ["main"]
    assert Client(worlds).get(f"{BASE}/clock").json()["now"] == "2050-01-01T00:00:00.000Z"


def test_two_worlds_at_once(worlds: minirest.Worlds) -> None:
    """A request that names two worlds is refused."""
    Client(worlds).post("/_test/worlds")
    answer = Client(worlds).get("/_world/w1/", headers={"X-Minirest-World": "main"})
    assert wrong(answer) == (400, ["Invalid header 'X-Minirest-World': it names another world than the path"])


def test_limits(worlds: minirest.Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is an end to worlds, snapshots and faults."""
    client = Client(worlds)
    for name, address, text in (
        ("MAX_WORLDS", "/_test/worlds", "There are 1 worlds; delete one"),
        ("MAX_SNAPSHOTS", f"{BASE}/snapshots", "There are 1 snapshots; delete one"),
        ("MAX_FAULTS", f"{BASE}/faults", "There are 1 faults that wait"),
    ):
        monkeypatch.setattr(minirest, name, 1)
        words: dict[str, Any] = {"json": {"kind": "drop"}} if name == "MAX_FAULTS" else {}
        answers = [client.post(address, **words) for _ in range(2)]
        assert wrong(answers[1]) == (400, [text])


def test_only_from_here(worlds: minirest.Worlds) -> None:
    """Neither another machine, nor a page of another site, nor one that was made to come here, changes worlds."""
    client = Client(worlds)
    assert wrong(client.get("/_test/worlds", headers={"Host": "evil.example"}))[0] == 421
    assert wrong(client.post("/_test/worlds", headers={"Origin": "https://evil.example"}))[0] == 403
    assert wrong(client.post("/_test/worlds", headers={"Sec-Fetch-Site": "cross-site"}))[0] == 403

    def from_address(environ: dict[str, Any], start: Any) -> Any:
        return worlds({**environ, "REMOTE_ADDR": "192.0.2.7"}, start)

    def from_nowhere(environ: dict[str, Any], start: Any) -> Any:
        return worlds({name: value for name, value in environ.items() if name != "REMOTE_ADDR"}, start)

    for foreign in (from_address, from_nowhere):
        assert wrong(Client(foreign).get("/_test/worlds")) == (403, ["Forbidden"])
    assert client.get("/_test/worlds").json() == ["main"]


def test_nothing_of_it_without_the_option() -> None:
    """An application by itself knows neither the addresses nor the headers."""
    app = minirest.make_app(SCHEMA, auth=False)
    client = app.client()
    for address in ("/_test/worlds", "/_test/worlds/main/requests", "/_world/main/api/v1/books", "/_test", "/_world/"):
        assert client.get(address).status == 404, address
        assert client.post(address, json={}).status in (404, 405), address
    headers = {"X-Minirest-World": "w1", "X-Minirest-Fault": "status=503"}
    assert titles(client, **headers) == ["Emma"]
    app.close()


def test_worlds_in_parallel(worlds: minirest.Worlds) -> None:
    """Many threads make, change, restore and delete worlds at once, and none of them sees another's records."""

    def live(number: int) -> list[list[str]]:
        client = Client(worlds)
        name = client.post("/_test/worlds").json()["world"]
        seen = []
        for turn in range(3):
            client.post(f"/_world/{name}/api/v1/books", json={"title": f"{number}.{turn}"})
            seen.append(titles(client, f"/_world/{name}"))
            assert client.post(f"/_test/worlds/{name}/restore").status == 204
        assert client.delete(f"/_test/worlds/{name}").status == 204
        return seen

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(live, range(20)))
    assert found == [[["Emma", f"{number}.{turn}"] for turn in range(3)] for number in range(20)]
    assert Client(worlds).get("/_test/worlds").json() == ["main"]


def test_a_world_ends_under_a_request(worlds: minirest.Worlds, caplog: pytest.LogCaptureFixture) -> None:
    """Who is still asking then is told to try again, and nothing is logged as an error."""
    client = Client(worlds)
    client.post("/_test/worlds")
    world = worlds.find("w1")
    client.delete("/_test/worlds/w1")
    assert Client(world).get("/api/v1/books").status == 503
    assert caplog.records == []


def test_a_world_ends_under_a_call(worlds: minirest.Worlds) -> None:
    """Who keeps it or puts it back at that moment is told to try again, too."""
    client = Client(worlds)
    client.post("/_test/worlds")
    worlds.find("w1").app.close()
    for what in ("snapshots", "restore"):
        assert wrong(client.post(f"/_test/worlds/w1/{what}")) == (503, ["The database is busy; try again"]), what


def test_a_file_that_somebody_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that keeps the file locked is waited for, but not for ever."""
    monkeypatch.setattr(minirest, "BUSY_TIMEOUT_SECONDS", 0.1)
    settings, path = minirest.Settings(auth=False), tmp_path / "shop.db"
    worlds = minirest.Worlds(minirest.open_app(minirest.load_schema(SCHEMA), str(path), settings), settings)
    client = Client(worlds)
    client.post("/api/v1/books", json={"title": "New"})
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        refused = client.post("/_test/worlds/main/restore")
        assert (wrong(refused), refused.headers["Retry-After"]) == ((503, ["The database is busy; try again"]), "1")
        other.execute("rollback")
    assert titles(client) == ["Emma", "New"]
    assert client.post("/_test/worlds/main/restore").status == 204
    assert titles(client) == ["Emma"]
    worlds.close()


def test_sockets_of_worlds(worlds: minirest.Worlds) -> None:
    """A socket hears what happens in its world alone, and ends with it."""
    client = Client(worlds)
    client.post("/_test/worlds")
    with (
        sockets.serving(worlds) as port,
        sockets.Client(port).begin() as main,
        sockets.Client(port, address=f"/_world/w1{sockets.ADDRESS}").begin() as other,
    ):
        client.post("/_world/w1/api/v1/authors", json={"name": "Of w1"})
        client.post("/api/v1/authors", json={"name": "Of main"})
        assert [it.told()[1]["data"]["name"] for it in (main, other)] == ["Of main", "Of w1"]
        client.delete("/_test/worlds/w1")
        assert other.close_code() == minirest.Close.STOPPING
        client.post("/api/v1/authors", json={"name": "Still"})
        assert main.told()[1]["data"]["name"] == "Still"


# ---- the plugin ----


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder as a stranger would, with the plugin, and leave nothing there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MINIREST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "minirest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_sample_project(tmp_path: Path) -> None:
    """200 tests that write pass, one after the other and on two workers, and get the same answers."""
    journals = []
    for name, more in (("plain", []), ("parallel", ["-n", "2"])):
        folder = tmp_path / name
        folder.mkdir()
        done = run_pytest(ROOT / "tests" / "sample_project", f"--journals={folder}", *more)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "200 passed" in done.stdout
        journals.append({file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()})
    assert len(journals[0]) == 200
    assert journals[0] == journals[1]


FAILING = """
import pytest
from minirest import Fixture

BOOKS = {"$defs": {"books": {"type": "object", "properties": {"title": {"type": "string"}}}}}


@pytest.mark.minirest(BOOKS, users={"anna": "x"})
def test_fails(minirest: Fixture) -> None:
    minirest.client.post("/api/v1/books", json={"titel": "Emma"})
    minirest.requests.assert_one("PUT")


def test_has_no_schema(minirest: Fixture) -> None:
    pass


@pytest.mark.minirest(BOOKS)
def test_passes(minirest: Fixture, make_minirest) -> None:
    other = make_minirest(BOOKS)
    assert other.client.get("/api/v1/books").json() == []
    assert len(minirest.requests) == 0
"""


def test_report_of_a_failure(tmp_path: Path) -> None:
    """A test that fails shows its requests; one without a schema says what to do; the marker is known."""
    (tmp_path / "test_it.py").write_text(FAILING)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("- minirest requests -") == 1
    assert 'POST /api/v1/books {"titel":"Emma"}\n    400 ' in done.stdout.partition("- minirest requests -")[2]
    assert "AssertionError: 0 requests PUT *; there were:" in done.stdout
    assert "ValueError: no schema: set minirest_schema in the ini file" in done.stdout
    assert "1 failed, 1 passed, 1 error" in done.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pytest.ini", "test_it.py"]


def test_asserts_are_left_alone() -> None:
    """pytest is told not to rewrite the asserts of the file: it would warn where it is imported already."""
    assert "PYTEST_DONT_REWRITE" in (minirest.__doc__ or "")


def test_server_of_a_fixture_stops_at_once(make: Make) -> None:
    """The server is started when it is asked for, serves all tests, and its thread ends with the fixture."""
    shop = make()
    before = threading.active_count()
    assert (shop.url, threading.active_count() > before) == (shop.url, True)
    shop.close()
    assert not shop.thread.is_alive()
