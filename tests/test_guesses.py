"""Who guesses passwords: refused in the same way whoever is guessed, slowed down, and never in the way of the owner."""

import json
import threading
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import pytest

import minirest
from minirest import Application, Failures
from tests.web import Answer, Clock, send

SCHEMA = {
    "$defs": {"notes": {"type": "object", "properties": {"text": {"type": "string"}}, "examples": [{"text": "a"}]}}
}
PASSWORD = "correct horse"
WRONG = "battery staple"
HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Iterator[Application]:
    """Return an application with users of all sorts, whose names have the same length."""
    users = {"anna": PASSWORD, "bert": PASSWORD, "gone": PASSWORD}
    with closing(minirest.make_app(SCHEMA, users=users, clock=clock)) as made:
        made.accounts.put_user("gone", disabled=True)
        made.accounts.put_user("bare")
        yield made


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the hashes that passwords are compared with, as it grows."""
    real, seen = minirest.verify_password, list[str]()

    def verify(password: str, stored: str) -> bool:
        seen.append(stored)
        return real(password, stored)

    monkeypatch.setattr(minirest, "verify_password", verify)
    return seen


# ---- the ways to bring a password ----


def basic(app: Application, path: str, name: str, password: str, address: str) -> Answer:
    """Return the answer to a GET with Basic."""
    header = "Basic " + b64encode(f"{name}:{password}".encode()).decode()
    return send(app, "GET", path, HTTP_AUTHORIZATION=header, REMOTE_ADDR=address)


def post(app: Application, path: str, body: dict[str, str], address: str) -> Answer:
    """Return the answer to a JSON body."""
    return send(app, "POST", path, body, REMOTE_ADDR=address)


def login(app: Application, name: str, password: str, address: str) -> Answer:
    """Return the answer to the form of the page."""
    body = urlencode({"name": name, "password": password}).encode()
    return send(app, "POST", "/login", body, FORM, REMOTE_ADDR=address)


def at(path: str) -> Callable[[Application, str, str, str], Answer]:
    """Basic at an address."""
    return lambda app, name, password, address: basic(app, path, name, password, address)


def sign_in(path: str, word: str) -> Callable[[Application, str, str, str], Answer]:
    """The sign-in of a dialect, with its word for the name."""
    return lambda app, name, password, address: post(app, path, {word: name, "password": password}, address)


WAYS = {
    "limbas": at("/notes"),
    "nocobase": at("/api/notes:list"),
    "coredata": at("/api/v2/notes/"),
    "coredata's list": at("/api/v2/"),
    "platform": at("/api/v1/notes"),
    "qore": at("/api/me"),
    "pages": at("/browse/notes"),
    "socket": at("/socket.io/?transport=websocket"),
    "check": at("/api/auth:check"),
    "auth:signIn": sign_in("/api/auth:signIn", "account"),
    "users:signin": sign_in("/api/users:signin", "email"),
    "auth": sign_in("/api/v1/auth", "login"),
    "auth/token": sign_in("/api/v1/auth/token", "login"),
    "login": login,
}
TOLD = "Too many wrong passwords; try again in {} seconds"


def refusal(way: str, seconds: int) -> Any:
    """Return the body of a 429: None for an empty one, a text for a page."""
    if way.startswith("coredata"):
        return None
    if way == "limbas":
        return {"errors": [{"code": 429, "message": TOLD.format(seconds)}]}
    if way in ("nocobase", "check", "auth:signIn", "users:signin"):
        return {"errors": [{"code": "too_many_failures", "message": TOLD.format(seconds)}]}
    if way == "qore":
        return {"message": "Too Many Attempts."}
    if way in ("pages", "login"):
        return f'<p class="note bad" role="alert">{TOLD.format(seconds)}.</p>'
    return {"success": False, "code": "429", "message": "Too Many Requests", "tags": ["error_too_many_requests"]}


def body_of(answer: Answer) -> Any:
    """Return a body as `refusal` gives it; of a page its note."""
    if not answer.body:
        return None
    if answer.body.startswith(b"<!doctype"):
        start = answer.body.index(b'<p class="')
        return answer.body[start : answer.body.index(b"</p>") + 4].decode()
    return json.loads(answer.body)


@pytest.mark.parametrize("way", WAYS)
def test_nobody_learns_who_is_there(app: Application, hashed: list[str], way: str) -> None:
    """Unknown, disabled, without a password or wrong: one hash of the same cost, and the same answer to the byte."""
    tries = [
        ("anna", WRONG),
        ("nona", WRONG),
        ("nona", PASSWORD),
        ("gone", WRONG),
        ("gone", PASSWORD),
        ("bare", WRONG),
        ("bare", PASSWORD),
    ]
    answers, counts = [], []
    for name, password in tries:
        before = len(hashed)
        answer = WAYS[way](app, name, password, "")
        counts.append(len(hashed) - before)
        answers.append(answer._replace(body=answer.body.replace(name.encode(), b"NAME")))
    assert counts == [1] * len(tries)
    assert len({minirest.PasswordHash.read(stored).cost for stored in hashed}) == 1
    assert answers == [answers[0]] * len(tries)
    assert answers[0].status == 401


@pytest.mark.parametrize("way", WAYS)
def test_many_wrong_passwords(app: Application, way: str) -> None:
    """After ten a wrong password is 429 and says how long to wait, in the form of the dialect; a right one gets in."""
    tries = [WAYS[way](app, "anna", WRONG, HOME) for _ in range(12)]
    assert [answer.status for answer in tries] == [401] * 10 + [429] * 2
    assert [answer.headers.get("Retry-After") for answer in tries] == [None] * 10 + ["60", "90"]
    assert "WWW-Authenticate" not in tries[-1].headers
    assert [body_of(answer) for answer in tries[10:]] == [refusal(way, 60), refusal(way, 90)]
    right = WAYS[way](app, "anna", PASSWORD, HOME)
    assert right.status == {"login": 303, "socket": 400}.get(way, 200)
    assert WAYS[way](app, "anna", WRONG, HOME).headers["Retry-After"] == "120"


@pytest.mark.parametrize("way", WAYS)
def test_unknown_users_are_limited_alike(app: Application, way: str) -> None:
    """What is said while guessing does not tell either whether there is such a user."""
    known, unknown = ([WAYS[way](app, name, WRONG, "") for _ in range(12)] for name in ("anna", "nona"))
    for mine, yours in zip(known, unknown, strict=True):
        assert mine == yours._replace(body=yours.body.replace(b"nona", b"anna"))


# ---- by user, by address ----


def statuses(app: Application, tries: list[tuple[str, str]], password: str = WRONG) -> list[int]:
    """Return the statuses of a password of each user from each address."""
    return [basic(app, "/notes", name, password, address).status for name, address in tries]


def test_limit_of_a_user(app: Application) -> None:
    """Guesses at one user from everywhere are one count; at another user they begin anew."""
    assert statuses(app, [("anna", f"192.0.2.{number}") for number in range(11)]) == [401] * 10 + [429]
    assert statuses(app, [("bert", "192.0.2.1")]) == [401]
    assert statuses(app, [("anna", "192.0.2.99")], PASSWORD) == [200]


def test_limit_of_an_address(app: Application) -> None:
    """One who tries a password on many users has one count; who comes from elsewhere another."""
    assert statuses(app, [(f"user{number}", HOME) for number in range(11)]) == [401] * 10 + [429]
    assert statuses(app, [("anna", ELSEWHERE)]) == [401]
    assert statuses(app, [("anna", HOME), ("bert", HOME)], PASSWORD) == [200, 200]


def test_unknown_addresses_are_no_address(app: Application) -> None:
    """Where the server does not say who calls, the user alone counts."""
    assert statuses(app, [(f"user{number}", "") for number in range(20)]) == [401] * 20
    assert len(app.accounts.failures.levels) == 20


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unix", "unix", True),
        ("unix", "other", False),
    ],
)
def test_addresses_of_one_client(app: Application, first: str, second: str, same: bool) -> None:
    """A client with a network of IPv6 is one client."""
    assert statuses(app, [(f"user{number}", first) for number in range(10)]) == [401] * 10
    assert statuses(app, [("anna", second)]) == [429 if same else 401]


def test_time_forgives(app: Application, clock: Clock) -> None:
    """Thirty seconds give one guess more, five minutes all of them; the clock is that of the store."""
    assert statuses(app, [("anna", HOME)] * 10) == [401] * 10
    clock.forward(seconds=29)
    assert statuses(app, [("anna", HOME)]) == [429]
    clock.forward(seconds=45)
    assert statuses(app, [("anna", HOME)] * 2) == [401, 429]
    clock.forward(seconds=3600)
    assert statuses(app, [("anna", HOME)] * 11) == [401] * 10 + [429]


def test_wait_has_an_end(app: Application) -> None:
    """The wait grows to a quarter of an hour, no further, so that guesses lock nobody out for a day."""
    told = [basic(app, "/notes", "anna", WRONG, HOME).headers.get("Retry-After") for _ in range(50)]
    assert told == [None] * 10 + [str(30 * number) for number in range(2, 31)] + ["900"] * 11


def test_clock_that_is_set_back(app: Application, clock: Clock) -> None:
    """It neither forgives nor adds."""
    assert statuses(app, [("anna", HOME)] * 10) == [401] * 10
    clock.forward(days=-1)
    assert statuses(app, [("anna", HOME)]) == [429]
    clock.forward(minutes=10)
    assert statuses(app, [("anna", HOME)]) == [401]


def test_what_does_not_count(app: Application) -> None:
    """No credentials, wrong tokens, keys and cookies, broken headers and right passwords are no guesses."""
    headers = [
        {},
        {"HTTP_AUTHORIZATION": "Bearer mrt_wrong"},
        {"HTTP_AUTHORIZATION": "apikey anna:wrong"},
        {"HTTP_AUTHORIZATION": "Basic !"},
        {"HTTP_AUTHORIZATION": "Nope x"},
        {"HTTP_COOKIE": "sid=wrong"},
    ]
    for given in headers * 3:
        assert send(app, "GET", "/notes", REMOTE_ADDR=HOME, **given).status == 401
    assert statuses(app, [("anna", HOME)] * 30, PASSWORD) == [200] * 30
    assert app.accounts.failures.levels == {}


def test_limit_turned_off() -> None:
    """A fixture may send as many wrong passwords as it likes."""
    with closing(minirest.make_app(SCHEMA, users={"anna": PASSWORD}, limit_failures=False)) as app:
        assert statuses(app, [("anna", HOME)] * 50) == [401] * 50
        assert statuses(app, [("anna", HOME)], PASSWORD) == [200]


# ---- the right password ----


def test_remembered_password_waits_for_nobody(app: Application, hashed: list[str]) -> None:
    """Who was let in lately is let in without a hash, though all places are taken."""
    assert statuses(app, [("anna", HOME)], PASSWORD) == [200]
    statuses(app, [("anna", HOME)] * 20)
    app.accounts.failures.checked |= {(bytes([number]),) for number in range(minirest.MAX_CHECKS_AT_ONCE)}
    hashed.clear()
    assert statuses(app, [("anna", HOME)], PASSWORD) == [200]
    assert hashed == []


def during_a_check(app: Application, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> int:
    """Return the status of a wrong password, while which is hashed `work` is done once."""
    todo = [work]

    def verify(password: str, stored: str) -> bool:
        if todo:
            todo.pop()()
        return False

    with monkeypatch.context() as patch:
        patch.setattr(minirest, "verify_password", verify)
        return basic(app, "/notes", "anna", WRONG, HOME).status


def test_one_guess_at_a_time(app: Application, hashed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one user at one address one guess is checked at a time, once there were too many; the next may come soon."""
    statuses(app, [("anna", HOME)] * 10)
    seen: list[Answer] = []

    def again() -> None:
        assert app.accounts.failures.slow_lane.locked()
        thread = threading.Thread(target=lambda: seen.append(basic(app, "/notes", "anna", WRONG, HOME)))
        thread.start()
        thread.join(30)
        assert not thread.is_alive()

    hashed.clear()
    assert during_a_check(app, monkeypatch, again) == 429
    assert [(answer.status, answer.headers["Retry-After"]) for answer in seen] == [(429, "1")]
    assert seen[0].json == {"errors": [{"code": 429, "message": TOLD.format(1)}]}
    assert hashed == []
    assert app.accounts.failures.checked == set()
    assert not app.accounts.failures.slow_lane.locked()
    assert statuses(app, [("anna", HOME)], PASSWORD) == [200]


def test_others_are_not_in_that_lane(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a guess is checked, somebody of whom there were no wrong passwords is let in."""
    statuses(app, [("anna", HOME)] * 10)
    seen: list[int] = []
    real = minirest.verify_password

    def other() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(minirest, "verify_password", real)
            seen.extend(statuses(app, [("bert", ELSEWHERE)], PASSWORD))

    assert during_a_check(app, monkeypatch, other) == 429
    assert seen == [200]


def test_few_guesses_wait(app: Application, hashed: list[str]) -> None:
    """When enough guesses wait to be checked, the next is refused unchecked; others do not notice."""
    statuses(app, [("anna", HOME)] * 10)
    app.accounts.failures.checked |= {(bytes([number]),) for number in range(minirest.MAX_CHECKS_AT_ONCE)}
    hashed.clear()
    assert statuses(app, [("anna", HOME), ("anna", ELSEWHERE)]) == [429, 429]
    assert hashed == []
    assert statuses(app, [("bert", ELSEWHERE)], PASSWORD) == [200]
    app.accounts.failures.checked.pop()
    assert statuses(app, [("anna", ELSEWHERE)], PASSWORD) == [200]


def test_turn_is_given_back(clock: Clock) -> None:
    """Whatever becomes of a check, the next one has its turn."""
    failures, keys = Failures(clock, 1), (b"anna",)
    failures.note(keys)
    for _ in range(3):
        with pytest.raises(AssertionError), failures.turn(keys):
            assert failures.checked != {keys}
    assert failures.checked == set()
    assert not failures.slow_lane.locked()


def test_many_threads(app: Application) -> None:
    """Guesses from many sides at once are all answered, and leave nothing behind."""
    found: list[int] = []

    def guess(number: int) -> None:
        found.extend(statuses(app, [(("anna", "nona")[number % 2], f"192.0.2.{number % 3}")] * 25))

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 200
    assert set(found) <= {401, 429}
    assert app.accounts.failures.checked == set()
    assert not app.accounts.failures.slow_lane.locked()
    assert statuses(app, [("anna", "192.0.2.1")], PASSWORD) == [200]


# ---- memory ----


def test_a_thousand_wrong_passwords(app: Application) -> None:
    """Memory stays flat, whatever is guessed with whatever names, and the right user gets in."""
    failures = app.accounts.failures

    def guess(count: int, start: int) -> None:
        for number in range(start, start + count):
            name = f"{number}" + "x" * 1000 if number % 2 else "anna"
            assert basic(app, "/notes", name, f"{WRONG} {number}", HOME).status in (401, 429)

    guess(100, 0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        guess(1000, 100)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 1_000_000
    assert len(failures.levels) == 2 + 550  # anna, the address, and the names, by hashes of 16 bytes
    assert {len(key) for key in failures.levels} == {16}
    assert app.accounts.verified == {}
    assert failures.checked == set()
    assert statuses(app, [("anna", HOME)], PASSWORD) == [200]


def test_oldest_counts_are_forgotten(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts have a bound; who goes on guessing is not forgotten before others."""
    monkeypatch.setattr(minirest, "FAILURES_SIZE", 20)
    for number in range(50):
        basic(app, "/notes", f"user{number}", WRONG, HOME)
        basic(app, "/notes", "anna", WRONG, "")
    assert len(app.accounts.failures.levels) == 20
    assert list(map(app.accounts.failures.level, minirest.failure_keys("anna", HOME))) == [39, 39]
    assert statuses(app, [("nona", HOME), ("anna", "")]) == [429, 429]


@pytest.mark.parametrize("password", ["x" * 1025, "ü" * 513, "x" * 20_000])
def test_too_long_to_be_a_password(app: Application, hashed: list[str], password: str) -> None:
    """What cannot be a password is not hashed, whoever is meant, and counts as a wrong one."""
    names = ["anna", "nona", "gone", "bare"]
    assert statuses(app, [(name, HOME) for name in names], password) == [401] * 4
    assert hashed == []
    assert len(app.accounts.failures.levels) == 5
