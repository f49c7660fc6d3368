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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from webtest import TestApp

import minirest
from minirest import Account, Accounts, ApiError, Application

SCHEMA = {
    "$defs": {"notes": {"type": "object", "properties": {"text": {"type": "string"}}, "examples": [{"text": "a"}]}}
}
START = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
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


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **time: float) -> None:
        """Move it."""
        self.now += timedelta(**time)


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
    with app.store.database.reading() as connection:
        return "\n".join(connection.iterdump())


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
        (1, "anna", "laptop", first[:8], None, None),
        (2, "bert", "ci", second[:8], expires, "2024-05-01T12:00:00.000Z"),
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
    assert made[:3] + made[4:] == (number, "bert", "Bert", '["editor"]', None, 0, None, None)
    assert accounts.users() == [("anna", False, ""), ("bert", False, "")]
    accounts.put_user("anna", disabled=True)
    assert accounts.users() == [("anna", True, ""), ("bert", False, "")]


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

    def by_name(accounts: Accounts, credentials: str) -> Account | None:
        return accounts.account(credentials)

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
