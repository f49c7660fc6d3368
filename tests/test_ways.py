"""What a server's loop remembers of requests: where those with the same headers led to, and what was read for them."""

import base64
import copy
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import minirest
from minirest import SetClock
from tests.passes import Passes, Peer, passes, request
from tests.test_inline import other_worker
from tests.web import Answer, many

TEXT = {"type": "string"}
PASSWORD = "open-sesame"
BASIC = f"Authorization: Basic {base64.b64encode(f'ann:{PASSWORD}'.encode()).decode()}\r\n"
SCHEMA: dict[str, Any] = {
    "$defs": {
        "notes": {
            "type": "object",
            "properties": {"text": {**TEXT, "x-index": True}, "stars": {"type": "integer"}, "tags": many("tags")},
            "examples": [{"text": "a", "stars": 1}, {"text": "b", "stars": 2, "tags": [1]}],
            "x-rights": {"reader": {"list": {"stars": {"$lt": 2}}, "get": True}, "editor": {"*": True}},
        },
        "tags": {"type": "object", "properties": {"word": TEXT}, "examples": [{"word": "x"}]},
        "offers": {
            "type": "object",
            "properties": {"name": TEXT, "from": {**TEXT, "format": "date"}, "until": {**TEXT, "format": "date"}},
            "x-validity": {"from": "from", "to": "until"},
            "examples": [{"name": "old", "until": "2050-01-01"}],
        },
    }
}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nothing slow."""
    monkeypatch.setattr(minirest, "GUARD_SECONDS", 1e9)


class Asker:
    """A client of a server, always with the same headers; `again` counts what the loop has answered again."""

    def __init__(self, web: Passes, headers: str) -> None:
        self.web, self.headers, self.again = web, headers, 0
        self.peer: Peer = web.peer()
        plain = web.app.answer_again

        def answer_again(request: Any) -> minirest.Answered | None:
            found = plain(request)
            self.again += found is not None
            return found

        web.app.answer_again = answer_again  # type: ignore[method-assign]

    def __call__(self, method: str, target: str, value: Any = None, headers: str = "") -> Answer:
        body = "" if value is None else json.dumps(value)
        return self.peer.ask(method, target, body, self.headers + headers)

    def twice(self, target: str) -> Answer:
        """What comes for a GET, asked twice; the second answer is one of what was read again, and the same."""
        self("GET", "/tags/1")  # so that the password has been hashed, which only workers do
        first, before = self("GET", target), self.again
        second = self("GET", target)
        changing = ("X-Request-Id", "Date")
        heads = [{name: it for name, it in found.headers.items() if name not in changing} for found in (first, second)]
        assert (first.status, heads[0], first.body) == (second.status, heads[1], second.body)
        assert self.again > before, target
        return second


@pytest.fixture
def clock() -> SetClock:
    """The clock of the server, in 2050."""
    return SetClock()


@pytest.fixture
def ask(tmp_path: Path, clock: SetClock) -> Iterator[Asker]:
    """A client who is a reader."""
    app = minirest.make_app(SCHEMA, tmp_path / "a.db", users={"ann": PASSWORD}, clock=clock)
    app.store.password_cost = minirest.SCRYPT_COST_IN_MEMORY
    app.accounts.put_user("ann", roles=["reader"])
    with passes(app) as web:
        yield Asker(web, BASIC)


def texts(answer: Answer) -> list[str]:
    """The texts of the notes in an answer of Limbas."""
    return [item["attributes"]["text"] for item in answer.json["data"]]


ADDRESSES = [
    "/notes",
    "/notes?$page[count]=1",
    "/notes?stars[gte]=1&$sort=-text",
    "/notes/1",
    "/notes/1/",
    "/notes/2/tags",
    "/api/notes:list?sort=text&appends=tags",
    "/api/notes:list?filter[stars]=1",
    "/api/notes:get/1",
    "/api/notes:get?filterByTk=1",
    "/api/notes/1",
    "/api/notes/2/tags:list",
    "/api/v2/notes/",
    "/api/v2/notes/?stars__gte=1",
    "/api/v1/notes",
    "/api/v1/notes?limit=1&sortBy=text",
    "/main_rest.php/notes/1",
    "/api/resources/notes/1",
    "/api/resources/notes/table/notes",
    "/api/resources/notes/table/notes?sort_column=text&search_columns[stars]=1&per_page=1&page=1",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_read_again(ask: Asker, address: str) -> None:
    """What is asked a second time is read again, and nothing else is done; the answer is the same, byte by byte."""
    assert ask.twice(address).status == 200


STARTS = ["/notes/", "/api/notes:get/", "/api/v2/notes/", "/api/v1/notes/", "/api/resources/notes/"]


@pytest.mark.parametrize("start", STARTS)
def test_another_id(ask: Asker, start: str) -> None:
    """An id at the end of the path is read anew, in the words of the dialect; what is none is refused as ever."""
    listed = {"/api/v2/notes/": ("objects", "id"), "/api/v1/notes/": (None, "_id")}
    ids = ["1", "2"]
    if start in listed:
        ask.web.app.accounts.put_user("ann", roles=["editor"])
        within, name = listed[start]
        found = ask("GET", start.removesuffix("/") + ("/" if within else "")).json
        ids = [record[name] for record in (found[within] if within else found)]
    end = "/" if "v2" in start else ""
    first = ask.twice(f"{start}{ids[0]}{end}")
    before = ask.again
    second = ask("GET", f"{start}{ids[1]}{end}")
    assert (second.status, ask.again - before) == (200, 1)
    assert second.body != first.body
    assert ask("GET", f"{start}{ids[0]}{end}").body == first.body
    fresh = Asker(ask.web, BASIC + "X: y\r\n")
    for text in ("9", "0", "99999999999999999999999", "1a", "a1", ids[0][:-1] + "9", f"{ids[0]}-", "00" + ids[0]):
        known, unknown = ask("GET", f"{start}{text}{end}"), fresh("GET", f"{start}{text}{end}")
        assert (known.status, known.body) == (unknown.status, unknown.body), text


def test_what_was_written_is_read(ask: Asker) -> None:
    """Nothing of an answer is remembered but how it is read."""
    ask.web.app.accounts.put_user("ann", roles=["editor"])
    assert texts(ask.twice("/notes?$page[count]=1&$sort=text")) == ["a"]
    assert ask("PATCH", "/notes/1", {"data": {"text": "z"}}).status == 200
    assert texts(ask.twice("/notes?$page[count]=1&$sort=text")) == ["b"]
    assert ask("GET", "/notes/1").json["data"]["attributes"]["text"] == "z"
    assert ask("DELETE", "/notes/1").status == 204
    assert ask("GET", "/notes/1").status == 404
    assert texts(ask("GET", "/notes")) == ["b"]


def test_rights_that_change(ask: Asker) -> None:
    """With other roles the same question has another answer, at once."""
    accounts = ask.web.app.accounts
    assert texts(ask.twice("/notes")) == ["a"]
    accounts.put_user("ann", roles=["editor"])
    assert texts(ask.twice("/notes")) == ["a", "b"]
    accounts.put_user("ann", roles=[])
    assert ask("GET", "/notes").status == 403
    accounts.put_user("ann", roles=["reader"])
    assert texts(ask.twice("/notes")) == ["a"]


@pytest.mark.parametrize("end", ["password", "disabled", "removed"])
def test_credentials_that_end(ask: Asker, end: str) -> None:
    """A password that is changed, and a user who is disabled or removed, are at an end with the next request."""
    assert ask.twice("/notes/1").status == 200
    accounts = ask.web.app.accounts
    if end == "removed":
        accounts.remove_user("ann")
    elif end == "disabled":
        accounts.put_user("ann", disabled=True)
    else:
        accounts.put_user("ann", password="another-one")
    assert ask("GET", "/notes/1").status == 401
    assert ask("GET", "/notes/1").status == 401


def last_use(ask: Asker) -> str | None:
    """When the token was used last, to the minute."""
    (used,) = ask.web.app.store.database.writer.execute("select last_used from _tokens").fetchone()
    return used and str(used)[:16]


@pytest.mark.parametrize("scheme", ["Bearer ", "ApiKey ann:"])
def test_tokens(ask: Asker, clock: SetClock, scheme: str) -> None:
    """What a token lets read is read again within a minute of the clock, in which its last use is noted once."""
    token = ask.web.app.accounts.add_token("ann", "t", minirest.moment_text(clock.now + timedelta(minutes=3)))
    bearer = Asker(ask.web, f"Authorization: {scheme}{token}\r\n")
    for _ in range(3):
        assert bearer.twice("/notes/1").status == 200
        assert last_use(ask) == minirest.moment_text(clock.now)[:16]
        clock.advance(minutes=1)
    assert bearer("GET", "/notes/1").status == 401


def test_a_token_in_its_last_minute(ask: Asker, clock: SetClock) -> None:
    """It is looked at with each request, for it ends at a moment."""
    end = clock.now + timedelta(seconds=2)
    token = ask.web.app.accounts.add_token("ann", "t", minirest.moment_text(end))
    bearer = Asker(ask.web, f"Authorization: Bearer {token}\r\n")
    assert [bearer("GET", "/notes/1").status for _ in range(3)] == [200] * 3
    assert bearer.again == 0
    clock.advance(seconds=2)
    assert bearer("GET", "/notes/1").status == 401


def test_a_token_that_is_taken_back(ask: Asker) -> None:
    """It lets nobody in from then on, whatever it has let read before."""
    token = ask.web.app.accounts.add_token("ann", "t")
    bearer = Asker(ask.web, f"Authorization: Bearer {token}\r\n")
    assert bearer.twice("/notes/1").status == 200
    with closing(sqlite3.connect(ask.web.app.store.database.path)) as other:
        other.execute("delete from _tokens")
        other.commit()
    assert bearer("GET", "/notes/1").status == 401


def test_a_session(ask: Asker, clock: SetClock) -> None:
    """The cookie of a session too is good for a minute of the clock, until it ends."""
    accounts = ask.web.app.accounts
    account = accounts.account("ann")
    assert account
    text, _ = accounts.open_session(account)
    cookie = Asker(ask.web, f"Cookie: {minirest.SESSION_COOKIE}={text}\r\n")
    assert cookie.twice("/notes/1").status == 200
    clock.advance(hours=minirest.SESSION_HOURS, seconds=-1)
    assert cookie("GET", "/notes/1").status == 200
    clock.advance(seconds=1)
    assert cookie("GET", "/notes/1").status == 401
    again, _ = accounts.open_session(account)
    other = Asker(ask.web, f"Cookie: {minirest.SESSION_COOKIE}={again}\r\n")
    assert other.twice("/notes/1").status == 200
    accounts.end_session(minirest.hash_token(again))
    assert other("GET", "/notes/1").status == 401


def test_a_role_of_several(ask: Asker) -> None:
    """Who asks in one of the roles has read in it."""
    ask.web.app.accounts.put_user("ann", roles=["reader", "editor"])
    counts = {"": 2, "X-Role: reader\r\n": 1, "X-Role: editor\r\n": 2}
    for headers, count in counts.items():
        found = Asker(ask.web, BASIC + headers).twice("/api/notes:list")
        assert len(found.json["data"]) == count, headers


def test_known_already(ask: Asker) -> None:
    """Who has the answer gets 304, each time."""
    tag = ask.twice("/notes/1").headers["ETag"]
    knowing = Asker(ask.web, f"{BASIC}If-None-Match: {tag}\r\n")
    assert [knowing("GET", "/notes/1").status for _ in range(3)] == [304] * 3
    assert knowing("GET", "/notes/2").status == 200
    assert ask.twice("/notes/1").status == 200


OFFERS = ["/offers", "/api/offers:list", "/api/v2/offers/", "/api/v1/offers", "/api/resources/offers/table/offers"]


@pytest.mark.parametrize("address", OFFERS)
def test_days_go_by(ask: Asker, clock: SetClock, address: str) -> None:
    """What is valid by the day is asked anew on the next one, whoever has asked before."""

    def offers(answer: Answer) -> list[Any]:
        found = answer.json
        return found if isinstance(found, list) else [*found.get("data", found.get("objects"))]

    assert len(offers(ask.twice(address))) == 1
    before = ask.again
    clock.advance(days=1)
    assert offers(ask("GET", address)) == []
    assert ask.again == before
    assert offers(ask.twice(address)) == []


def test_a_day_that_was_asked_for(ask: Asker, clock: SetClock) -> None:
    """A day in the parameters stays that day."""
    for _ in range(2):
        for year, count in ((2050, 1), (2051, 0), (2050, 1), (2051, 0)):
            assert len(ask("GET", f"/offers?$validity={year}-01-01").json["data"]) == count
        clock.advance(days=1)
    assert len(ask.twice("/offers?$validity=all").json["data"]) == 1
    assert "2051-01-01" not in [found.day for found in ask.web.app.told.values()]


def test_an_address_of_the_embedding_program(ask: Asker) -> None:
    """An address that is added later goes before what was known."""
    assert ask.twice("/notes/1").status == 200

    @ask.web.app.route("/notes/<key>")
    def show(request: minirest.Request, key: str) -> str:
        return f"mine {key}"

    assert ask("GET", "/notes/1").json == "mine 1"


def test_what_a_body_asks_for(ask: Asker) -> None:
    """Qore takes parameters from the body of a GET: what one asks for is no answer to the next."""
    address = "/api/resources/notes/table/notes"
    ask.web.app.accounts.put_user("ann", roles=["editor"])
    for _ in range(3):
        for stars in (1, 2):
            found = ask("GET", address, {"search_columns": {"stars": stars}})
            assert [row["stars"] for row in found.json["data"]] == [stars]
        assert [row["stars"] for row in ask("GET", address).json["data"]] == [1, 2]


@pytest.mark.parametrize("address", ["/notes", "/api/v2/notes/", "/api/resources/notes/table/notes"])
def test_a_body_that_nobody_reads(ask: Asker, address: str) -> None:
    """What is said of a body that does not matter changes nothing."""
    ask.web.app.limits = minirest.BodyLimits(body=10)
    assert ask("GET", address, headers="Content-Encoding: gzip\r\n").status == 200
    long = ask.peer.ask("GET", address, "x" * 200, BASIC)
    assert long.status == (413 if "resources" in address else 200)


def test_little_is_asked_for(ask: Asker) -> None:
    """`Prefer` is a header, so who sends it is another sender."""
    little = "Prefer: return=minimal\r\n"
    for address in ("/api/resources/notes/1", "/api/resources/notes/table/notes"):
        whole, part = ask.twice(address), Asker(ask.web, BASIC + little).twice(address)
        assert part.json.items() <= whole.json.items()
        assert len(part.json) < len(whole.json)
        assert ask("GET", address).body == whole.body


def test_an_action_that_is_added(ask: Asker) -> None:
    """Records and tables name the actions that there are."""
    addresses = ("/api/resources/notes/1", "/api/resources/notes/table/notes")
    ask.web.app.accounts.put_user("ann", roles=["editor"])
    assert not any("print" in ask.twice(address).body.decode() for address in addresses)
    ask.web.app.action("notes", "print")(lambda *_: "done")
    for address in addresses:
        assert "print" in [action["name"] for action in ask.twice(address).json["actions"]]


def test_an_action_that_is_added_meanwhile(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before an action was added, and is noted behind that, is not answered again."""
    described = minirest.Qore.described_actions

    def add(qore: minirest.Qore, table: minirest.Table) -> list[Any]:
        found = described(qore, table)
        if not ask.web.app.services.actions:
            ask.web.app.action("notes", "print")(lambda *_: "done")
        return found

    ask.web.app.accounts.put_user("ann", roles=["editor"])
    ask("GET", "/tags/1")
    with monkeypatch.context() as patch:
        patch.setattr(minirest.Qore, "described_actions", add)
        assert b"print" not in ask("GET", "/api/resources/notes/1").body
    assert b"print" in ask("GET", "/api/resources/notes/1").body


def test_two_keys(ask: Asker) -> None:
    """Of two keys of NocoBase the one in the query counts, whatever stands in the path."""
    first = [ask("GET", "/api/notes:get/1?filterByTk=1") for _ in range(3)][-1]
    assert ask("GET", "/api/notes:get/2?filterByTk=1").body == first.body
    assert ask("GET", "/api/notes/2?filterByTk=1").body == first.body


def test_ids_are_short() -> None:
    """Whatever is longer than any id is none, and takes no time to look at."""
    for last in ("1" * 65, "1" * 100_000 + "g", "a" * 100_000, "-" * 100_000):
        assert minirest.form_of_path(f"/notes/{last}") == (f"/notes/{last}", "")


def test_an_etag_of_the_embedding_program(ask: Asker) -> None:
    """What it answers under a tag is not sent again to who has it."""
    tag = ("ETag", '"5"')
    ask.web.app.route("/mine", public=True)(lambda _: minirest.Reply(200, b"{}", (tag,)))
    found = [ask("GET", "/mine", headers=f"If-None-Match: {it}\r\n").status for it in ('"5"', '"6"')]
    assert found == [304, 200]


def test_headers_are_known_for_a_minute(ask: Asker) -> None:
    """Who asks in a form that is read anew each time makes nobody's headers known for longer."""
    assert ask("GET", "/notes/1").status == 200
    before = {block: known.until for block, known in minirest.KNOWN_HEADERS.items()}
    assert before
    assert ask("GET", "/n%6ftes/1").status == 200
    assert {block: known.until for block, known in minirest.KNOWN_HEADERS.items()} == before


def test_a_database_that_fails_ends_no_loop(ask: Asker) -> None:
    """Whoever waits to write goes to a worker when the database cannot be asked whether somebody writes."""
    loop, broken = ask.web.loop, sqlite3.connect(":memory:")
    broken.close()
    assert ask("GET", "/notes/1").status == 200
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minirest.Database, "writer", property(lambda _: broken))
        assert not loop.turn.can_write()
        loop.turn.end()


def test_other_methods(ask: Asker) -> None:
    """HEAD has no body, and what is none of a path's methods is refused, whatever was read there."""
    whole = ask.twice("/notes/1")
    ask.peer.send(request("HEAD", "/notes/1", headers=BASIC))
    head = ask.peer.answer()
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(whole.body)))
    assert ask("POST", "/notes/1", {"data": {}}).status == 400
    assert ask("PUT", "/api/v1/notes", {}).status == 405


def test_no_fixed_address_looks_like_an_id(ask: Asker) -> None:
    """An address whose last part is fixed could be taken for another one with an id there."""
    for route in (route for routes in ask.web.app.own_router.routes.values() for route in routes):
        last = route.rule.removesuffix("/").rpartition("/")[2]
        assert not minirest.PART_OF_ID.fullmatch(last), route.rule


def test_what_is_remembered_is_bounded(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries and addresses push each other out; a very long query is not remembered."""
    monkeypatch.setattr(minirest, "MAX_READINGS", 40)
    for number in range(60):
        assert ask("GET", f"/notes?stars[lt]={number}").status == 200
        ask("GET", f"/notes/{number}/tags")
    app = ask.web.app
    assert 1 < len(app.told) <= minirest.MAX_READINGS
    assert 1 < len(app.ways) <= minirest.MAX_READINGS
    before, long = ask.again, f"/notes?text={'x' * minirest.MAX_READING_LENGTH}"
    assert [ask("GET", long).status, ask("GET", long).status] == [200, 200]
    assert ask.again == before


def test_nothing_is_remembered_behind_the_end(ask: Asker) -> None:
    """With the server ends what was known of headers, and with it the passwords in them."""
    assert ask.twice("/notes").status == 200
    assert minirest.KNOWN_HEADERS
    ask.web.end()
    assert not minirest.KNOWN_HEADERS


def test_who_waits_to_write_is_not_tried_in_vain(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else writes a write is tried once; it is answered when that has ended."""
    monkeypatch.setattr(minirest, "PATIENCE_SECONDS", 1e9)
    ask.web.app.accounts.put_user("ann", roles=["editor"])
    assert ask("GET", "/notes/1").status == 200
    tried, plain = list[str](), ask.web.app.respond

    def respond(environ: dict[str, Any]) -> minirest.Answered:
        tried.append(environ["REQUEST_METHOD"])
        return plain(environ)

    ask.web.app.respond = respond  # type: ignore[method-assign]
    with other_worker(ask.web):
        ask.peer.send(request("POST", "/notes", json.dumps({"data": {"text": "new"}}), BASIC))
        for _ in range(20):
            ask.web.turn(0.01)
        assert tried == ["POST"]
        assert ask.peer.receive() == b""
    assert ask.peer.answer().status == 201
    assert tried == ["POST", "POST"]


@pytest.mark.parametrize("auth", [False, True])
def test_strangers(tmp_path: Path, auth: bool) -> None:
    """Nobody has to be proven where all may ask."""
    schema = copy.deepcopy(SCHEMA)
    schema["$defs"]["notes"]["x-rights"]["anonymous"] = {"list": {"stars": 2}}
    words: dict[str, Any] = {"users": {"ann": PASSWORD}} if auth else {"auth": False}
    with passes(minirest.make_app(schema, tmp_path / "a.db", **words)) as web:
        assert texts(Asker(web, "").twice("/notes")) == (["b"] if auth else ["a", "b"])
        assert Asker(web, "").twice("/notes").status == 200


def test_the_last_page_tells_the_total(ask: Asker) -> None:
    """Where a page is not full nothing is counted, and the total is the same."""
    ask.web.app.accounts.put_user("ann", roles=["editor"])
    reader = ask.web.app.store.database.loop_reader
    ask.twice("/notes")
    for size, number, counts in ((1, 1, True), (2, 1, True), (3, 1, False), (1, 3, True)):
        statements = list[str]()
        reader.set_trace_callback(statements.append)
        found = ask("GET", f"/notes?$page[count]={size}&$page[number]={number}&stars[lt]={size}{number}").json
        reader.set_trace_callback(None)
        assert f"[number]={-(-2 // size)}&" in found["links"]["last"]
        assert any("count(*)" in text for text in statements) == counts, (size, number)
