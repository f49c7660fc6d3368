"""Section 11: users, tokens, and who a request comes from."""

import dataclasses
import io
import itertools
import json
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from webtest import TestApp

import minirest
from minirest import Account, Accounts, ApiError, Application
from tests.web import START, Answer, Clock, dump, send

SCHEMA = {
    "$defs": {"notes": {"type": "object", "properties": {"text": {"type": "string"}}, "examples": [{"text": "a"}]}}
}
PASSWORD = "correct horse"
UNAUTHORIZED = {"errors": [{"code": 401, "message": "Unauthorized"}]}
REALM = 'Basic realm="minirest", charset="UTF-8"'
OVERVIEW = {
    "title": "",
    "version": minirest.__version__,
    "tables": [{"name": "notes", "title": "notes", "records": 1}],
    "dialects": [
        {"name": "limbas", "addresses": ["/", "/main_rest.php/", "/dependent/main_rest.php/"]},
        {"name": "nocobase", "addresses": ["/api/"]},
        {"name": "coredata", "addresses": ["/api/v2/"]},
        {"name": "platform", "addresses": ["/api/v1/", "/socket.io/"]},
        {
            "name": "qore",
            "addresses": ["/api/resources/", "/api/me/", "/api/endpoints/", "/api/global-search/"],
        },
    ],
}


class Hashing(NamedTuple):
    """The calls of `verify_password` so far, by the hash that was compared."""

    stored: list[str]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Iterator[Application]:
    """Return an application in memory with the user anna."""
    with closing(minirest.make_app(SCHEMA, users={"anna": PASSWORD}, clock=clock)) as made:
        yield made


@pytest.fixture
def accounts(app: Application) -> Accounts:
    """Return the accounts of the application."""
    return app.accounts


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Hashing:
    """Note each time a password is hashed to be compared."""
    real, seen = minirest.verify_password, Hashing([])

    def verify(password: str, stored: str) -> bool:
        seen.stored.append(stored)
        return real(password, stored)

    monkeypatch.setattr(minirest, "verify_password", verify)
    return seen


def basic(name: str, password: str, encoding: str = "utf-8") -> str:
    """Return the Authorization header of a name and a password."""
    return "Basic " + b64encode(f"{name}:{password}".encode(encoding)).decode()


def base64(text: bytes) -> str:
    """Return the Authorization header of any bytes."""
    return "Basic " + b64encode(text).decode()


def ask(app: Application, authorization: str | None, path: str = "/", method: str = "GET") -> tuple[int, Any]:
    """Return the status and the body of a request."""
    headers = {"Authorization": authorization} if authorization is not None else {}
    answer = TestApp(app, lint=False).request(path, method=method, headers=headers, expect_errors=True)
    return answer.status_int, answer.json


def hashes(app: Application, authorization: str, hashing: Hashing) -> tuple[int, int]:
    """Return the status of a request and how many passwords were hashed for it."""
    before = len(hashing.stored)
    return ask(app, authorization)[0], len(hashing.stored) - before


def request(authorization: str) -> minirest.Request:
    """Make a request with credentials."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": io.BytesIO(), "HTTP_HOST": "x"}
    return minirest.Request({**environ, "HTTP_AUTHORIZATION": authorization})


def database_text(app: Application) -> str:
    """Return every value of every table, as SQL."""
    return "\n".join(dump(app.store))


# ---- Basic ----


@pytest.mark.parametrize(
    "header",
    [
        basic("anna", PASSWORD),
        basic("anna", PASSWORD).replace("Basic", "basic"),
        basic("anna", PASSWORD).replace("Basic", "BASIC"),
        basic("anna", PASSWORD).replace(" ", "   "),
    ],
)
def test_basic(app: Application, header: str) -> None:
    """The right name and password sign in; the scheme's case and the number of spaces do not matter."""
    assert ask(app, header) == (200, OVERVIEW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        basic("anna", "wrong password"),
        basic("anna", ""),
        basic("anna", PASSWORD + " "),
        basic("anna", PASSWORD.upper()),
        basic("nobody", PASSWORD),
        basic("Anna", PASSWORD),
        basic("", PASSWORD),
        base64(b"anna"),
        base64(f"anna{PASSWORD}".encode()),
        base64(b"anna:\xff\xfe"),
        base64(b"\xffanna:" + PASSWORD.encode()),
        "Basic ä",
        "Basic !!!!",
        "Basic YW5uYTpj=",
        basic("anna", PASSWORD)[:-2] + "%%",
        basic("anna", PASSWORD)[:12] + "!" + basic("anna", PASSWORD)[12:],
        basic("anna", PASSWORD).replace("Basic", "Digest"),
        basic("anna", PASSWORD).replace("Basic", "Basic Basic"),
        basic("anna", PASSWORD).replace("Basic ", ""),
        f"Bearer {PASSWORD}",
        "Bearer",
        "Bearer mrt_unknown",
        "Negotiate abc",
        "\x00",
    ],
)
@pytest.mark.parametrize("path", ["/", "/notes", "/notes/1", "/nothing", "/main_rest.php/nothing/9", "/a/b/c/d/e"])
def test_without_good_credentials(app: Application, header: str | None, path: str) -> None:
    """Missing, wrong and malformed credentials and unknown schemes get the same 401 at each address, real or not."""
    environ = {} if header is None else {"HTTP_AUTHORIZATION": header.encode().decode("latin-1")}
    answer = TestApp(app, lint=False).get(path, extra_environ=environ, expect_errors=True)
    assert (answer.status_int, answer.json) == (401, UNAUTHORIZED)
    assert answer.headers["WWW-Authenticate"] == REALM


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
def test_every_method_needs_credentials(app: Application, method: str) -> None:
    """No method is answered without credentials, and nothing changes."""
    answer = TestApp(app, lint=False).request("/notes/1", method=method, body=b'{"text": "b"}', expect_errors=True)
    assert answer.status_int == 401
    notes = ask(app, basic("anna", PASSWORD), "/notes/1")[1]["data"]
    assert notes["attributes"]["text"] == "a"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna", "with:colons::in it"),
        ("anna", ":starts and ends:"),
        ("jörg", "Größe und Maß"),
        ("李雷", "パスワード長い"),
        ("a b", " spaces around "),
        ("x" * 80, "p" * 1024),
        ("new\nline", "tab\tand\nline"),
    ],
)
def test_any_text_is_a_password(app: Application, name: str, password: str) -> None:
    """Colons, umlauts, other scripts, spaces and control characters in a password sign in as they are."""
    app.accounts.put_user(name, password=password)
    assert ask(app, basic(name, password))[0] == 200
    assert ask(app, basic(name, password + "x"))[0] == 401
    assert ask(app, basic(name, password[:-1]))[0] == 401


def test_passwords_are_compared_normalised(app: Application) -> None:
    """Composed and decomposed letters are the same password, because keyboards differ."""
    app.accounts.put_user("anna", password=unicodedata.normalize("NFC", "Größe und Maß"))
    assert ask(app, basic("anna", unicodedata.normalize("NFD", "Größe und Maß")))[0] == 200
    assert ask(app, basic("anna", "Grosse und Mass"))[0] == 401


def test_latin_1_is_no_utf_8(app: Application) -> None:
    """Credentials are UTF-8, as the challenge says; other bytes are refused and not guessed."""
    app.accounts.put_user("anna", password="Größe und Maß")
    assert ask(app, basic("anna", "Größe und Maß", "latin-1"))[0] == 401


def test_user_without_password(app: Application, hashing: Hashing) -> None:
    """A user without a password cannot sign in with any, not even with the one that the decoy hash has."""
    app.accounts.put_user("ghost", display_name="Ghost")
    for password in ("", "None", "null", PASSWORD):
        assert hashes(app, basic("ghost", password), hashing) == (401, 1)


def test_right_decoy_is_no_password(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who guesses the decoy's password is neither an unknown user nor one without a password."""
    app.accounts.put_user("ghost")
    monkeypatch.setattr(minirest, "verify_password", lambda password, stored: True)
    assert ask(app, basic("ghost", "guessed it"))[0] == 401
    assert ask(app, basic("nobody", "guessed it"))[0] == 401
    assert ask(app, basic("anna", "guessed it"))[0] == 200


def test_disabled_user(app: Application) -> None:
    """A disabled user is refused from the next request on, with the password and with a token, until enabled."""
    token = app.accounts.add_token("anna", "laptop")
    ways = [basic("anna", PASSWORD), f"Bearer {token}"]
    assert [ask(app, way)[0] for way in ways] == [200, 200]
    app.accounts.put_user("anna", disabled=True)
    assert [ask(app, way) for way in ways] == [(401, UNAUTHORIZED)] * 2
    app.accounts.put_user("anna", disabled=False)
    assert [ask(app, way)[0] for way in ways] == [200, 200]


def test_changed_password(app: Application) -> None:
    """After a change the old password is refused at the next request, though it was remembered."""
    assert ask(app, basic("anna", PASSWORD))[0] == 200
    app.accounts.put_user("anna", password="another password")
    assert ask(app, basic("anna", PASSWORD)) == (401, UNAUTHORIZED)
    assert ask(app, basic("anna", "another password"))[0] == 200


def test_changed_by_another_process(tmp_path: Path) -> None:
    """A password or a user changed by another process holds at the next request as well."""
    path = tmp_path / "a.db"
    with closing(minirest.make_app(SCHEMA, path, {"anna": PASSWORD})) as app:
        assert ask(app, basic("anna", PASSWORD))[0] == 200
        with closing(minirest.make_app(SCHEMA, path)) as other:
            other.accounts.put_user("anna", password="another password")
            assert ask(app, basic("anna", PASSWORD))[0] == 401
            assert ask(app, basic("anna", "another password"))[0] == 200
            other.accounts.put_user("anna", disabled=True)
            assert ask(app, basic("anna", "another password"))[0] == 401


def test_actor(accounts: Accounts) -> None:
    """A request's actor is the user: id, names, roles and groups; without a display name the name stands for it."""
    plain = accounts.put_user("bert", password=PASSWORD)
    named = accounts.put_user("carla", password=PASSWORD, display_name="Carla C.", roles=["editor", "admin"])
    bert, carla = (accounts.authenticate(request(basic(name, PASSWORD))) for name in ("bert", "carla"))
    assert dataclasses.replace(bert, stamp="") == minirest.Actor(plain, "bert", "bert")
    assert dataclasses.replace(carla, stamp="") == minirest.Actor(named, "carla", "Carla C.", ("editor", "admin"))
    assert len({bert.stamp, carla.stamp, ""}) == 3


# ---- what a sign-in costs ----


def test_unknown_users_cost_as_much_as_wrong_passwords(app: Application, hashing: Hashing) -> None:
    """Every refusal hashes exactly once and with the same parameters, so that its time says nothing about names."""
    app.accounts.put_user("ghost")
    app.accounts.put_user("off", password=PASSWORD, disabled=True)
    for name in ("nobody", "anna", "ghost", "off"):
        assert hashes(app, basic(name, "wrong password"), hashing) == (401, 1)
    assert len({tuple(stored.split("$")[:4]) for stored in hashing.stored}) == 1
    assert len({len(stored) for stored in hashing.stored}) == 1


def test_decoy_costs_as_much_in_a_file(tmp_path: Path) -> None:
    """The decoy has the cost of the passwords of its own store, in a file as in memory."""
    for db, cost in (("file", minirest.SCRYPT_COST), (":memory:", minirest.SCRYPT_COST_IN_MEMORY)):
        path = db if db == ":memory:" else str(tmp_path / "a.db")
        with closing(minirest.make_app(SCHEMA, path, {"anna": PASSWORD})) as app:
            anna = app.accounts.account("anna")
            assert anna is not None
            wanted = ["scrypt", *map(str, cost)]
            assert [str(stored).split("$")[:4] for stored in (app.accounts.decoy, anna.password)] == [wanted, wanted]


def test_repeated_wrong_passwords_are_hashed_each_time(app: Application, hashing: Hashing) -> None:
    """Only right credentials are remembered."""
    assert [hashes(app, basic("anna", "wrong password"), hashing) for _ in range(3)] == [(401, 1)] * 3
    assert app.accounts.verified == {}


def test_right_passwords_are_remembered(app: Application, hashing: Hashing) -> None:
    """The second request with the same credentials hashes nothing; another password does."""
    right = basic("anna", PASSWORD)
    assert [hashes(app, right, hashing) for _ in range(3)] == [(200, 1), (200, 0), (200, 0)]
    assert hashes(app, basic("anna", "wrong password"), hashing) == (401, 1)
    assert hashes(app, right, hashing) == (200, 0)


def test_memory_has_a_time_limit(app: Application, hashing: Hashing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials are hashed anew after `CREDENTIALS_CACHE_SECONDS`, however often they were used meanwhile."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    right = basic("anna", PASSWORD)
    assert hashes(app, right, hashing) == (200, 1)
    now += minirest.CREDENTIALS_CACHE_SECONDS - 1
    assert hashes(app, right, hashing) == (200, 0)
    now += 1
    assert [hashes(app, right, hashing) for _ in range(2)] == [(200, 1), (200, 0)]


def test_memory_has_a_size(app: Application, hashing: Hashing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more credentials than `CREDENTIALS_CACHE_SIZE` the oldest are forgotten."""
    monkeypatch.setattr(minirest, "CREDENTIALS_CACHE_SIZE", 3)
    names = ["u1", "u2", "u3", "u4", "u5"]
    for name in names:
        app.accounts.put_user(name, password=PASSWORD)
    assert [hashes(app, basic(name, PASSWORD), hashing) for name in names] == [(200, 1)] * 5
    assert len(app.accounts.verified) == 3
    assert [hashes(app, basic(name, PASSWORD), hashing) for name in names[2:]] == [(200, 0)] * 3
    assert hashes(app, basic("u1", PASSWORD), hashing) == (200, 1)


def test_memory_holds_no_secret(app: Application) -> None:
    """What is remembered is a keyed hash: no name, password or stored hash, and different in each application."""
    ask(app, basic("anna", PASSWORD))
    (proof,) = app.accounts.verified
    with closing(minirest.make_app(SCHEMA, users={"anna": PASSWORD})) as other:
        ask(other, basic("anna", PASSWORD))
        assert len(proof) == 32
        assert {proof}.isdisjoint(other.accounts.verified)


# ---- Bearer ----


def test_bearer(app: Application, hashing: Hashing) -> None:
    """A token signs its user in and costs no password hash; the scheme's case does not matter."""
    token = app.accounts.add_token("anna", "laptop")
    assert re.fullmatch(r"mrt_[0-9A-Za-z]{43}[0-9a-f]{8}", token)
    assert [hashes(app, f"{scheme} {token}", hashing) for scheme in ("Bearer", "bearer")] == [(200, 0)] * 2
    anna = app.accounts.account("anna")
    assert anna is not None
    assert app.accounts.authenticate(request(f"Bearer {token}")) == anna._replace(token=1).actor()


@pytest.mark.parametrize(
    "change",
    [str.upper, str.lower, lambda text: text[:-1], lambda text: text + "0", lambda text: text[4:], lambda text: "ä"],
)
def test_almost_a_token(app: Application, change: Callable[[str], str]) -> None:
    """A token is compared whole, with case."""
    token = app.accounts.add_token("anna", "laptop")
    assert ask(app, f"Bearer {token}")[0] == 200
    assert ask(app, f"Bearer {change(token)}") == (401, UNAUTHORIZED)
    assert ask(app, basic("anna", token)) == (401, UNAUTHORIZED)


def test_token_in_laravels_form(app: Application) -> None:
    """The id of the token may stand before it, and what comes behind a comma is cut off; another id is refused."""
    app.accounts.add_token("anna", "laptop")
    token = app.accounts.add_token("anna", "phone")
    for credentials in (f"2|{token}", f"{token}, Basic x", f" 2|{token} ,x"):
        assert ask(app, f"Bearer {credentials}") == (200, OVERVIEW), credentials
    for credentials in (f"1|{token}", f"|{token}", f"02|{token}", f"2|2|{token}", f"{token}|", f"2,|{token}", "2|"):
        assert ask(app, f"Bearer {credentials}") == (401, UNAUTHORIZED), credentials


def test_the_hash_is_no_token(app: Application) -> None:
    """Who has read the database cannot sign in with what is there."""
    token = app.accounts.add_token("anna", "laptop")
    assert ask(app, f"Bearer {minirest.hash_token(token)}")[0] == 401
    anna = app.accounts.account("anna")
    assert anna is not None
    assert ask(app, basic("anna", str(anna.password)))[0] == 401


def test_tokens_differ(accounts: Accounts) -> None:
    """Each token is a new one."""
    assert len({accounts.add_token("anna", "laptop") for _ in range(20)}) == 20


def test_token_expires(app: Application, clock: Clock) -> None:
    """A token holds up to the moment that it expires, by the application's clock, and no longer."""
    token = app.accounts.add_token("anna", "laptop", minirest.moment_text(START + timedelta(hours=1)))
    clock.forward(minutes=59, seconds=59, milliseconds=999)
    assert ask(app, f"Bearer {token}") == (200, OVERVIEW)
    clock.forward(milliseconds=1)
    assert ask(app, f"Bearer {token}") == (401, UNAUTHORIZED)


def test_tokens_of_signing_in(app: Application, clock: Clock) -> None:
    """They end with a new password and are forgotten when they have expired; tokens of their own stay."""
    account = app.accounts.sign_in("anna", PASSWORD)
    own = app.accounts.add_token("anna", "laptop", minirest.moment_text(clock.now + timedelta(hours=1)))
    first, made, expires = app.accounts.sign_in_token(account, "auth/token", 2)
    assert (made, expires) == (clock.now, clock.now + timedelta(hours=2))
    assert [token[2] for token in app.accounts.tokens()] == ["laptop", "auth/token"]
    clock.forward(hours=3)
    second, _, _ = app.accounts.sign_in_token(account, "auth:signIn", 2)
    assert [token[2] for token in app.accounts.tokens()] == ["laptop", "auth:signIn"]
    assert [ask(app, f"Bearer {text}")[0] for text in (own, first, second)] == [401, 401, 200]
    app.accounts.put_user("anna", display_name="Anna")
    assert ask(app, f"Bearer {second}")[0] == 200
    app.accounts.put_user("anna", password="another horse")
    assert [token[2] for token in app.accounts.tokens()] == ["laptop"]
    assert ask(app, f"Bearer {second}")[0] == 401


def test_token_revoked(app: Application) -> None:
    """A revoked token is refused at the next request; the others still hold; an unknown id is none."""
    first, second = (app.accounts.add_token("anna", name) for name in ("laptop", "phone"))
    assert [ask(app, f"Bearer {token}")[0] for token in (first, second)] == [200, 200]
    assert app.accounts.revoke_token(1) is True
    assert [ask(app, f"Bearer {token}")[0] for token in (first, second)] == [401, 200]
    assert app.accounts.revoke_token(1) is False
    assert app.accounts.revoke_token(99) is False
    assert [token[0] for token in app.accounts.tokens()] == [2]


def test_token_for_nobody(accounts: Accounts) -> None:
    """A token needs a user that exists."""
    with pytest.raises(ApiError) as caught:
        accounts.add_token("nobody", "laptop")
    assert caught.value.code == "not_found"
    assert accounts.tokens() == []


def test_list_of_tokens(app: Application) -> None:
    """Tokens are listed by id with user, name, first characters, expiry and last use."""
    app.accounts.put_user("bert", password=PASSWORD)
    expires = minirest.moment_text(START + timedelta(days=1))
    first, second = app.accounts.add_token("anna", "laptop"), app.accounts.add_token("bert", "ci", expires)
    ask(app, f"Bearer {second}")
    assert app.accounts.tokens() == [
        (1, "anna", "laptop", first[:8], None, None, ()),
        (2, "bert", "ci", second[:8], expires, "2024-05-01T12:00:00.000Z", ()),
    ]


def test_last_use_is_written_once_a_minute(app: Application, clock: Clock) -> None:
    """The moment of the last use is kept, but a token in constant use is one write a minute."""
    token = app.accounts.add_token("anna", "laptop")
    statements: list[str] = []
    app.store.database.writer.set_trace_callback(statements.append)
    uses, writes = [], []
    for seconds in (0, 1, 58, 1, 1, 60):
        clock.forward(seconds=seconds)
        assert ask(app, f"Bearer {token}")[0] == 200
        uses.append(app.accounts.tokens()[0][5])
        writes.append(sum(text.startswith('update "_tokens"') for text in statements))
    app.store.database.writer.set_trace_callback(None)
    assert uses[0] == uses[1] == uses[2] == "2024-05-01T12:00:00.000Z"
    assert uses[3:] == ["2024-05-01T12:01:00.000Z"] * 2 + ["2024-05-01T12:02:01.000Z"]
    assert writes == [1, 1, 1, 2, 2, 3]


def test_last_use_of_a_busy_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else writes, a token still signs in; only the note of its use is left out."""
    monkeypatch.setattr(minirest, "BUSY_TIMEOUT_SECONDS", 0.05)
    path = tmp_path / "a.db"
    with (
        closing(minirest.make_app(SCHEMA, path, {"anna": PASSWORD})) as app,
        closing(minirest.make_app(SCHEMA, path)) as other,
    ):
        token = app.accounts.add_token("anna", "laptop")
        with other.store.database.writing():
            assert ask(app, f"Bearer {token}")[0] == 200
        assert app.accounts.tokens()[0][5] is None


# ---- what is kept ----


def test_uses_are_not_remembered_for_ever(clock: Clock, accounts: Accounts) -> None:
    """Sessions come and go; what is known of their use has a bound."""
    account = accounts.sign_in("anna", PASSWORD)
    texts = [accounts.open_session(account)[0] for _ in range(minirest.MAX_REMEMBERED + 1)]
    clock.forward(minutes=1)
    assert all(accounts.session(text) for text in texts)
    assert 0 < len(accounts.used) <= minirest.MAX_REMEMBERED


def test_secrets_are_not_in_the_file(tmp_path: Path) -> None:
    """Neither a token nor a password is anywhere in the bytes of the database, its log included."""
    path = tmp_path / "a.db"
    with closing(minirest.make_app(SCHEMA, path, {"anna": PASSWORD})) as app:
        token = app.accounts.add_token("anna", "laptop")
        app.accounts.put_user("anna", password="another password")
        assert ask(app, f"Bearer {token}")[0] == 200
        assert ask(app, basic("anna", "another password"))[0] == 200
        while_open = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
    closed = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
    for content in (while_open, closed):
        assert b"laptop" in content
        for secret in (token, token[8:], token.removeprefix("mrt_"), PASSWORD, "another password"):
            assert secret.encode() not in content


def test_history_holds_no_password(app: Application) -> None:
    """Making and changing users and tokens is history, but the password and both hashes are not in it."""
    token = app.accounts.add_token("anna", "laptop")
    app.accounts.put_user("bert", password="second password", email="bert@example.org")
    app.accounts.put_user("bert", password="third password", email="b@example.org")
    app.accounts.revoke_token(1)
    with app.store.database.reading() as connection:
        history = json.dumps([list(row) for row in connection.execute("select * from _history")])
    assert "bert@example.org" in history
    assert "b@example.org" in history
    bert = app.accounts.account("bert")
    assert bert is not None
    for secret in (PASSWORD, "second password", "third password", "scrypt$", str(bert.password)):
        assert secret not in history
    for secret in (token, minirest.hash_token(token)):
        assert secret not in history
    assert "scrypt$" in database_text(app)


@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("", False),
        ("1234567", False),
        ("12345678", True),
        ("üüü", False),
        ("üüüü", True),
        ("x" * 1024, True),
        ("x" * 1025, False),
        ("ü" * 512, True),
        ("ü" * 513, False),
        ("lone \ud800 surrogate", False),
    ],
)
def test_password_rules(accounts: Accounts, password: str, good: bool) -> None:
    """A password has 8 to 1024 bytes; any other is a ValueError, and the user is neither made nor changed."""
    if good:
        accounts.put_user("bert", password=password)
        assert accounts.authenticate(request(basic("bert", password))).name == "bert"
        return
    before = accounts.account("anna")
    for name in ("bert", "anna"):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is checked where it is shown
            accounts.put_user(name, password=password)
    assert accounts.account("bert") is None
    assert accounts.account("anna") == before


def test_put_user(accounts: Accounts) -> None:
    """A user is made once and changed afterwards; what is not given stays."""
    number = accounts.put_user("bert", password=PASSWORD, display_name="Bert", roles=["editor"])
    made = accounts.account("bert")
    assert accounts.put_user("bert", display_name="Bert B.") == number
    changed = accounts.account("bert")
    assert made is not None
    assert changed == made._replace(display_name="Bert B.")
    assert made[:3] + made[4:] == (number, "bert", "Bert", '["editor"]', None, 0, *[None] * 4)
    assert accounts.users() == [("anna", False, [], []), ("bert", False, ["editor"], [])]
    accounts.put_user("anna", disabled=True, groups=[accounts.put_group("b, c"), accounts.put_group("a")])
    assert accounts.users() == [("anna", True, [], ["b, c", "a"]), ("bert", False, ["editor"], [])]


@pytest.mark.parametrize("values", [{"roles": "admin"}, {"disabled": "yes"}, {"display_name": 5}, {"roles": [1]}])
def test_put_user_refuses_wrong_values(accounts: Accounts, values: dict[str, Any]) -> None:
    """A value of the wrong type or form is an error, and the user is not made."""
    with pytest.raises((ApiError, ValueError)):
        accounts.put_user("bert", password=PASSWORD, **values)
    assert accounts.account("bert") is None


def test_salted(accounts: Accounts) -> None:
    """The same password gives another hash for each user and each time."""
    stored = []
    for name in ("bert", "carla", "bert"):
        accounts.put_user(name, password=PASSWORD)
        account = accounts.account(name)
        assert account is not None
        stored.append(account.password)
    assert len(set(stored)) == 3


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(("letters", "good"), [(3, False), (4, True), (512, True), (513, False)])
def test_length_of_the_normalised_password(accounts: Accounts, form: Any, letters: int, good: bool) -> None:
    """Bytes are counted of the composed form, however the keyboard writes it; what can be set can be used."""
    password = unicodedata.normalize(form, "ü" * letters)
    if not good:
        with pytest.raises(ValueError, match="a password has at least 8"):
            accounts.put_user("bert", password=password)
        return
    accounts.put_user("bert", password=password)
    for other in ("NFC", "NFD"):
        assert accounts.verify("bert", unicodedata.normalize(other, password)) is not None


def test_fixture_takes_short_passwords() -> None:
    """`make_app` takes any password but one that could never sign in."""
    with closing(minirest.make_app(SCHEMA, users={"anna": "x"})) as app:
        assert ask(app, basic("anna", "x"))[0] == 200
    with pytest.raises(ValueError, match="a password has at least 8"):
        minirest.make_app(SCHEMA, users={"anna": "x" * 1025})


# ---- the cost of a hash ----

OLD_COST = (2**3, 8, 1)


def stored(accounts: Accounts, name: str = "anna") -> str:
    """Return what is kept of a user's password."""
    account = accounts.account(name)
    assert account is not None
    return str(account.password)


def make_older(app: Application) -> None:
    """Let the hash of anna's password be one of an older release."""
    app.accounts.store.password_cost, cost = OLD_COST, app.accounts.store.password_cost
    app.accounts.put_user("anna", password=PASSWORD)
    app.accounts.store.password_cost = cost


@pytest.mark.parametrize("way", ["basic", "sign_in"])
def test_older_hash_is_renewed(app: Application, hashing: Hashing, way: str) -> None:
    """Whoever signs in gets a hash of today's cost; the salt, sessions, sockets and history stay as they are."""
    make_older(app)
    accounts = app.accounts
    before, session = minirest.PasswordHash.read(stored(accounts)), open_session(app)
    accounts.store.database.writer.execute("update _users set password=?", (before.text(),))
    actor, history = accounts.authenticate(with_cookie(session)), history_of(app)
    accounts.verified.clear()
    assert before.cost == OLD_COST
    if way == "basic":
        assert [hashes(app, basic("anna", PASSWORD), hashing) for _ in range(2)] == [(200, 1), (200, 0)]
    else:
        accounts.open_session(accounts.sign_in("anna", PASSWORD))
        assert hashes(app, basic("anna", PASSWORD), hashing) == (200, 0)
    after = minirest.PasswordHash.read(stored(accounts))
    assert (after.cost, after.salt) == (minirest.SCRYPT_COST_IN_MEMORY, before.salt)
    assert after.digest != before.digest
    assert accounts.authenticate(with_cookie(session)) == actor
    assert accounts.refresh(dataclasses.replace(actor, session=None)) is not None
    assert history_of(app) == history
    assert ask(app, basic("anna", "wrong password"))[0] == 401


def test_wrong_password_renews_nothing(app: Application) -> None:
    """Only the right password is there to be hashed again."""
    make_older(app)
    before = stored(app.accounts)
    assert ask(app, basic("anna", "wrong password"))[0] == 401
    assert stored(app.accounts) == before


def test_busy_database_renews_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else writes, the older hash signs in and stays; it is renewed another time."""
    monkeypatch.setattr(minirest, "SCRYPT_COST", minirest.SCRYPT_COST_IN_MEMORY)
    path = tmp_path / "a.db"
    with (
        closing(minirest.make_app(SCHEMA, path, {"anna": PASSWORD})) as app,
        closing(minirest.make_app(SCHEMA, path)) as other,
    ):
        make_older(app)
        before = stored(app.accounts)
        with other.store.database.writing():
            assert ask(app, basic("anna", PASSWORD))[0] == 200
        assert stored(app.accounts) == before
        app.accounts.verified.clear()
        assert ask(app, basic("anna", PASSWORD))[0] == 200
        assert stored(app.accounts) != before


def history_of(app: Application) -> list[Any]:
    """Return what is logged of the users."""
    with app.store.database.reading() as connection:
        return connection.execute("select * from _history").fetchall()


# ---- sessions ----


def open_session(app: Application, name: str = "anna") -> str:
    """Return the text of a new session."""
    return app.accounts.open_session(app.accounts.sign_in(name, PASSWORD))[0]


def with_cookie(text: str) -> minirest.Request:
    """Make a request with a session."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": io.BytesIO(), "HTTP_HOST": "x"}
    return minirest.Request({**environ, "HTTP_COOKIE": f"sid={text}"})


def visit(app: Application, session: str) -> int:
    """Return the status of a request with a session."""
    return send(app, "GET", "/notes", HTTP_COOKIE=f"sid={session}").status


def enter(app: Application, way: str, cookie: str, password: str = PASSWORD) -> Answer:
    """Sign in with a cookie that the browser has already."""
    if way == "page":
        body = f"name=anna&password={password.replace(' ', '+')}".encode()
        return send(app, "POST", "/login", body, "application/x-www-form-urlencoded", HTTP_COOKIE=cookie)
    return send(app, "POST", "/api/v1/auth", {"login": "anna", "password": password}, HTTP_COOKIE=cookie)


@pytest.mark.parametrize("way", ["page", "platform"])
def test_session_is_a_new_one(app: Application, way: str) -> None:
    """Neither a session that another one planted nor the one before is kept at a sign-in; a failed one ends nothing."""
    planted, former = "a" * 43, open_session(app)
    assert enter(app, way, f"sid={former}", "wrong password").status == 401
    assert visit(app, former) == 200
    texts = [planted, former]
    for text in (planted, former):
        answer = enter(app, way, f"sid={text}")
        assert answer.status == {"page": 303, "platform": 200}[way]
        texts.append(answer.headers["Set-Cookie"].partition(";")[0].removeprefix("sid="))
    assert len(set(texts)) == 4
    assert [visit(app, text) for text in texts] == [401, 401, 200, 200]


ENDS: dict[str, Callable[[Application, str], object]] = {
    "logout": lambda app, text: app.accounts.end_session(minirest.hash_token(text)),
    "platform": lambda app, text: send(app, "DELETE", "/api/v1/auth", HTTP_COOKIE=f"sid={text}"),
    "nocobase": lambda app, text: send(app, "POST", "/api/auth:signOut", HTTP_COOKIE=f"sid={text}"),
    "password": lambda app, text: app.accounts.put_user("anna", password=PASSWORD),
    "disabling": lambda app, text: app.accounts.put_user("anna", disabled=True),
    "removal": lambda app, text: app.accounts.remove_user("anna"),
}


@pytest.mark.parametrize("end", ENDS)
def test_sessions_end(app: Application, end: str) -> None:
    """A logout ends its own session; a new password, disabling and removal end all, for good. Others' go on."""
    app.accounts.put_user("bert", password=PASSWORD)
    first, second, other = open_session(app), open_session(app), open_session(app, "bert")
    assert [visit(app, text) for text in (first, second, other)] == [200] * 3
    ENDS[end](app, first)
    is_logout = end in ("logout", "platform", "nocobase")
    assert [visit(app, text) for text in (first, second, other)] == [401, 200 if is_logout else 401, 200]
    if end == "disabling":
        app.accounts.put_user("anna", disabled=False)
    if end == "removal":
        app.accounts.put_user("anna", password=PASSWORD)
    assert visit(app, first) == 401
    with app.store.database.reading() as connection:
        assert connection.execute("select count(*) from _sessions").fetchone() == (2 if is_logout else 1,)


def test_disabling_ends_tokens_of_signing_in(app: Application) -> None:
    """They do not come back when the user does; a token that was made by itself waits."""
    own, (signed, _, _) = (
        app.accounts.add_token("anna", "laptop"),
        app.accounts.sign_in_token(app.accounts.sign_in("anna", PASSWORD), "auth/token", 24),
    )
    assert [ask(app, f"Bearer {text}")[0] for text in (own, signed)] == [200, 200]
    app.accounts.put_user("anna", disabled=True)
    assert [ask(app, f"Bearer {text}")[0] for text in (own, signed)] == [401, 401]
    app.accounts.put_user("anna", disabled=False)
    assert [ask(app, f"Bearer {text}")[0] for text in (own, signed)] == [200, 401]


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.put_user("anna", password="another horse"),
        lambda accounts: accounts.put_user("anna", disabled=True),
        lambda accounts: accounts.remove_user("anna"),
    ],
)
def test_change_while_somebody_signs_in(accounts: Accounts, change: Callable[[Accounts], object]) -> None:
    """A password that was right a moment ago opens no session and makes no token."""
    account = accounts.sign_in("anna", PASSWORD)
    change(accounts)
    for work in (lambda: accounts.open_session(account), lambda: accounts.sign_in_token(account, "auth/token", 1)):
        with pytest.raises(ApiError) as caught:
            work()
        assert caught.value.code in ("sign_in", "not_found")
    assert accounts.tokens() == []
    assert accounts.fetch("select 1 from _sessions", ()) is None


def test_removed_user(app: Application) -> None:
    """Their tokens and sessions go, their records stay and are shown by every dialect; an id is not given again."""
    tag, anna = app.schema.tables["notes"].tag, app.accounts.account("anna")
    token = app.accounts.add_token("anna", "laptop")
    app.accounts.put_user("bert", password=PASSWORD)
    assert (
        send(app, "POST", "/notes", {"data": {"text": "b"}}, HTTP_AUTHORIZATION=basic("anna", PASSWORD)).status == 201
    )
    assert app.accounts.remove_user("anna") is True
    assert app.accounts.remove_user("anna") is False
    assert app.accounts.users() == [("bert", False, [], [])]
    assert app.accounts.tokens() == []
    assert [ask(app, way)[0] for way in (basic("anna", PASSWORD), f"Bearer {token}")] == [401, 401]
    records = [f"/api/v2/notes/{minirest.record_uuid(tag, 0, 2)}/", f"/api/v1/notes/{minirest.object_id(tag, 2)}"]
    records += ["/notes/2", "/api/notes:get/2", "/api/resources/notes/2", "/browse/notes/2"]
    lists = ["/notes", "/api/notes:list", "/api/v2/notes/", "/api/v1/notes", "/api/resources/notes/logs/2"]
    for path in records + lists:
        assert send(app, "GET", path, HTTP_AUTHORIZATION=basic("bert", PASSWORD)).status == 200, path
    assert anna is not None
    assert app.accounts.put_user("anna", password=PASSWORD) > anna.id


@pytest.mark.parametrize(
    ("header", "roles"),
    [(None, ("editor", "boss")), ("", ("editor", "boss")), ("boss", ("boss",)), ("member", ()), ("admin", None)],
)
def test_role_that_a_request_picks(
    app: Application, monkeypatch: pytest.MonkeyPatch, header: str | None, roles: tuple[str, ...] | None
) -> None:
    """NocoBase's `X-Role` leaves one role of the user's; a role that is not the user's is refused."""
    app.accounts.put_user("anna", roles=["editor", "boss"])
    seen: list[tuple[str, ...]] = []
    real = app.store.run_for

    def run_for(actor: minirest.Actor, *more: Any) -> Any:
        seen.append(actor.roles)
        return real(actor, *more)

    monkeypatch.setattr(app.store, "run_for", run_for)
    more = {} if header is None else {"HTTP_X_ROLE": header}
    answer = send(app, "GET", "/api/notes:list", HTTP_AUTHORIZATION=basic("anna", PASSWORD), **more)
    assert answer.status == (401 if roles is None else 200)
    assert seen == ([] if roles is None else [roles])


# ---- scopes ----


@pytest.mark.parametrize("scheme", ["Bearer {}", "apikey anna:{}"])
def test_scopes(app: Application, scheme: str) -> None:
    """The actor has the scopes of its token, in their order; other credentials have none."""
    accounts, scopes = app.accounts, ("read", "table:notes", "table:x")
    narrow, wide = accounts.add_token("anna", "narrow", scopes=scopes), accounts.add_token("anna", "wide")
    actors = [accounts.authenticate(request(scheme.format(token))) for token in (narrow, wide)]
    assert [actor.scopes for actor in actors] == [scopes, ()]
    assert [accounts.refresh(actor) for actor in actors] == actors
    assert [token.scopes for token in accounts.tokens()] == [scopes, ()]
    assert accounts.authenticate(request(basic("anna", PASSWORD))).scopes == ()
    assert accounts.authenticate(with_cookie(open_session(app))).scopes == ()


@pytest.mark.parametrize("scope", ["", "write", "Read", "table", "table:", "tables:notes", " read"])
def test_unknown_scopes(accounts: Accounts, scope: str) -> None:
    """A scope that would narrow nothing, or that nobody can meet, makes no token."""
    with pytest.raises(ValueError, match="is no scope; write read, or table: and a name"):
        accounts.add_token("anna", "laptop", scopes=["read", scope])
    assert accounts.tokens() == []


@pytest.mark.parametrize("scopes", [("read",), ("table:notes",)])
def test_scoped_token_and_accounts(app: Application, scopes: tuple[str, ...]) -> None:
    """It neither shows, makes nor ends tokens, its own included; a token without scopes does."""
    scoped, other = app.accounts.add_token("anna", "narrow", scopes=scopes), app.accounts.add_token("anna", "wide")
    app.accounts.authenticate(request(f"Bearer {scoped}"))
    before = database_text(app)
    for method in ("GET", "HEAD", "POST", "DELETE"):
        page = send(app, method, "/api_tokens", HTTP_AUTHORIZATION=f"Bearer {scoped}")
        assert page.status == 403
        assert method == "HEAD" or b'<p class="note bad" role="alert">Forbidden.</p>' in page.body
        assert b"narrow" not in page.body
    answer = send(app, "POST", "/api/auth:signOut", HTTP_AUTHORIZATION=f"Bearer {scoped}")
    assert (answer.status, answer.json) == (403, {"errors": [{"code": "forbidden", "message": "No permissions"}]})
    assert database_text(app) == before
    assert send(app, "GET", "/api_tokens", HTTP_AUTHORIZATION=f"Bearer {other}").status == 200
    assert send(app, "POST", "/api/auth:signOut", HTTP_AUTHORIZATION=f"Bearer {other}").status == 200


def test_expired_tokens_are_pruned(accounts: Accounts, clock: Clock) -> None:
    """Those that have expired go, whatever they were made for; the number is told."""
    account = accounts.sign_in("anna", PASSWORD)
    for hours in (1, 2, 3):
        accounts.add_token("anna", f"{hours}", minirest.moment_text(START + timedelta(hours=hours)))
    accounts.add_token("anna", "for ever")
    accounts.sign_in_token(account, "auth/token", 1)
    assert accounts.prune_tokens() == 0
    clock.forward(hours=2)
    assert accounts.prune_tokens() == 3
    assert [token.name for token in accounts.tokens()] == ["3", "for ever"]


# ---- cookies and other sites ----

WRITES = [
    ("POST", "/notes", {"data": {"text": "b"}}),
    ("PATCH", "/notes/1", {"data": {"text": "b"}}),
    ("DELETE", "/main_rest.php/notes/1", None),
    ("POST", "/api/notes:create", {"text": "b"}),
    ("GET", "/api/notes:destroy/1", None),
    ("POST", "/api/auth:signOut", None),
    ("POST", "/api/v2/notes/", {"text": "b"}),
    ("DELETE", "/api/v2/notes/{uuid}/", None),
    ("POST", "/api/v1/notes", {"text": "b"}),
    ("PATCH", "/api/v1/notes/{object}", {"text": "b"}),
    ("DELETE", "/api/v1/notes/{object}", None),
    ("DELETE", "/api/v1/auth", None),
    ("POST", "/api/resources/notes", {"text": "b"}),
    ("PUT", "/api/resources/notes/1", {"text": "b"}),
    ("POST", "/api/resources/notes/actions/delete_resource/1", None),
]
SITES = [
    {"HTTP_ORIGIN": "https://evil.example"},
    {"HTTP_ORIGIN": "null"},
    {"HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_SEC_FETCH_SITE": "same-site"},
    {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "http://localhost"},
]


def state(app: Application) -> list[Any]:
    """Return all that a request could have changed; when a session was last used aside."""
    queries = ("select * from notes", "select hash from _sessions", "select id from _tokens", "select * from _history")
    with app.store.database.reading() as connection:
        return [connection.execute(query).fetchall() for query in queries]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_other_sites_write_nothing(app: Application, method: str, path: str, body: Any) -> None:
    """A page of another site does nothing with a browser's cookie, nor with a password that the browser remembers."""
    session, tag = open_session(app), app.schema.tables["notes"].tag
    address = path.format(object=minirest.object_id(tag, 1), uuid=minirest.record_uuid(tag, 0, 1))
    ways = [{"HTTP_COOKIE": f"sid={session}"}, {"HTTP_AUTHORIZATION": basic("anna", PASSWORD)}]
    before = state(app)
    for site, way in itertools.product(SITES, ways):
        assert send(app, method, address, body, **site, **way).status == 403
    assert state(app) == before
    own = {"HTTP_ORIGIN": "http://localhost", "HTTP_SEC_FETCH_SITE": "same-origin"}
    assert send(app, method, address, body, **own, **ways[0]).status in (200, 201, 204)
    assert state(app) != before


PATHS = (
    "/notes /api/notes:list /api/auth:check /api/v2/ /api/v2/notes/ /api/v1/notes /api/me /browse/notes /api_tokens "
    "/socket.io/?transport=websocket"
).split()


@pytest.mark.parametrize("header", [basic("anna", "wrong password"), "Bearer mrt_x", "apikey anna:x", "Nope", ""])
def test_wrong_header_beside_a_good_cookie(header: str) -> None:
    """`Authorization` goes first, and a wrong one does not fall through to the cookie."""
    with closing(minirest.make_app(SCHEMA, users={"anna": PASSWORD}, limit_failures=False)) as app:
        cookie = f"sid={open_session(app)}"
        for path in PATHS:
            assert send(app, "GET", path, HTTP_AUTHORIZATION=header, HTTP_COOKIE=cookie).status == 401
            assert send(app, "GET", path, HTTP_COOKIE=cookie).status in (200, 400)
            good = basic("anna", PASSWORD)
            assert send(app, "GET", path, HTTP_AUTHORIZATION=good, HTTP_COOKIE="sid=wrong").status in (200, 400)


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ([], False),
        ([("ghost", {})], False),
        ([("off", {"password": PASSWORD, "disabled": True})], False),
        ([("on", {"password": PASSWORD, "disabled": False})], True),
        ([("ghost", {}), ("on", {"password": PASSWORD})], True),
    ],
)
def test_any_user(users: list[tuple[str, dict[str, Any]]], expected: bool) -> None:
    """Only an enabled user with a password can sign in."""
    with closing(minirest.make_app(SCHEMA, auth=False)) as app:
        for name, values in users:
            app.accounts.put_user(name, **values)
        assert app.accounts.any_user() is expected


def test_every_scheme_has_its_row(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme is a function and its row: a new row is a new way to sign in."""

    def by_name(accounts: Accounts, credentials: str, address: str) -> Account | None:
        return accounts.account(credentials) if address == "" else None

    assert ask(app, "Name anna")[0] == 401
    monkeypatch.setattr(minirest, "SCHEMES", {**minirest.SCHEMES, "name": by_name})
    assert [ask(app, header)[0] for header in ("Name anna", "Name nobody", basic("anna", PASSWORD))] == [200, 401, 200]


def test_two_hashes_at_a_time(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sign in at once, two passwords are hashed at a time, so that logins cannot eat the memory."""
    counter, most = itertools.count(), []

    def verify(password: str, stored: str) -> bool:
        next(counter)
        most.append(accounts.hashing._value)
        return False

    monkeypatch.setattr(minirest, "verify_password", verify)
    for _ in range(3):
        accounts.verify("anna", "wrong password")
    assert accounts.hashing._initial_value == 2  # type: ignore[attr-defined]
    assert most == [1, 1, 1]
    assert accounts.hashing._value == 2
