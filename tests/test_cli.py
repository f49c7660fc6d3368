"""Section 15: the command line, as its user meets it."""

import http.client
import json
import os
import queue
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import minirest
from tests.web import send

ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "minirest.py"
WAIT_SECONDS = 20.0
PASSWORD = "correct horse"
FAST = (2**4, 8, 1)
SCHEMA: dict[str, Any] = {
    "title": "Shop",
    "$defs": {
        "kunden": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "plz": {"type": "string"}},
            "examples": [{"name": "Meier", "plz": "80331"}, {"name": "Schulz"}],
        }
    },
}


# ---- running it ----


def environment(**twins: str) -> dict[str, str]:
    """Return this environment without settings of minirest, and with some."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MINIREST_")} | twins


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without settings in the environment, and with hashes that cost little."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("MINIREST_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(minirest, "SCRYPT_COST", FAST)
    return tmp_path


def write_schema(name: str = "shop.json", schema: Any = SCHEMA) -> Path:
    """Write a schema file to the current folder."""
    path = Path(name)
    path.write_text(json.dumps(schema))
    return path


def with_fields(**fields: Any) -> dict[str, Any]:
    """Return the schema with other fields of its table."""
    table = {name: value for name, value in SCHEMA["$defs"]["kunden"].items() if name != "examples"}
    return {"$defs": {"kunden": {**table, "properties": fields}}}


def make_file(path: str = "shop.db", users: dict[str, str] | None = None) -> Path:
    """Make a database of the schema."""
    with closing(minirest.make_app(SCHEMA, path, users or {"anna": PASSWORD})):
        return Path(path)


class Done(NamedTuple):
    """What a run of the program left."""

    code: int | str | None
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Done:
    """Run the command line in this process."""
    try:
        code: int | str | None = minirest.main(arguments)
    except SystemExit as error:
        code = error.code
    return Done(code, *capsys.readouterr())


def run_program(*command: str | Path, module: Path = MODULE, cwd: Path | None = None, **twins: str) -> Done:
    """Run the command line as a program."""
    done = subprocess.run(
        [sys.executable, str(module), *map(str, command)],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        env=environment(**twins),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Server(NamedTuple):
    """A server that runs: its process and the lines of its outputs; a line is waited for, not slept for."""

    process: subprocess.Popen[str]
    out: "queue.Queue[str | None]"
    err: "queue.Queue[str | None]"

    def next_address(self) -> str:
        """Return the address of the next line on stdout, which is nothing else."""
        line = self.out.get(timeout=WAIT_SECONDS)
        match = re.fullmatch(r"Listening on (http://\S+:\d+/)", line or f"no line; {self.errors()}")
        assert match, line or self.errors()
        return match[1]

    def errors(self) -> list[str]:
        """Return all lines of stderr of a server that has ended."""
        return list(iter(lambda: self.err.get(timeout=WAIT_SECONDS), None))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, list[str]]:
        """End it and return its exit status and the lines of stderr."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS), self.errors()


@contextmanager
def start(*arguments: str, module: str | Path = MODULE, **twins: str) -> Iterator[Server]:
    """Start a server on a free port and leave nothing behind."""
    process = subprocess.Popen(
        [sys.executable, str(module), *arguments],
        env=environment(**{"MINIREST_PORT": "0", **twins}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out: queue.Queue[str | None] = queue.Queue()
    err: queue.Queue[str | None] = queue.Queue()

    def forward(stream: Any, lines: "queue.Queue[str | None]") -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    pairs = ((process.stdout, out), (process.stderr, err))
    readers = [threading.Thread(target=forward, args=pair, daemon=True) for pair in pairs]
    for reader in readers:
        reader.start()
    try:
        yield Server(process, out, err)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for reader in readers:
            reader.join()
        for stream, _ in pairs:
            assert stream
            stream.close()


def ask(address: str, path: str = "", user: str | None = None, token: str | None = None, **headers: str) -> Any:
    """Return the status and the JSON of a GET request."""
    if user is not None:
        headers["Authorization"] = "Basic " + b64encode(user.encode()).decode()
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    host, port = address.removeprefix("http://").rstrip("/").rsplit(":", 1)
    with closing(http.client.HTTPConnection(host.strip("[]"), int(port), timeout=WAIT_SECONDS)) as connection:
        connection.request("GET", f"/{path}", headers=headers)
        answer = connection.getresponse()
        return answer.status, json.load(answer)


def names(answer: tuple[int, Any]) -> list[str]:
    """Return the names in a list."""
    assert answer[0] == 200, answer
    return [record["attributes"]["name"] for record in answer[1]["data"]]


def one_line(done: Done, code: int, pattern: str) -> None:
    """Hold that a run ended with one line on stderr that matches, and printed nothing else."""
    assert (done.code, done.out) == (code, "")
    assert re.fullmatch(rf"minirest: {pattern}\n", done.err), done.err


# ---- usage ----


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version is one line with the versions that a report of a bug needs."""
    version = f"minirest {minirest.__version__} (SQLite {sqlite3.sqlite_version})\n"
    assert run(capsys, "--version") == Done(0, version, "")
    assert run_program("--version") == Done(0, version, "")


OPTIONS = {"--db", "--host", "--port", "--no-auth", "--no-examples", "--dialects", "--cors", "--allow-host"}
OPTIONS |= {
    "--trusted-proxy",
    "--test",
    "--seed",
    "--strict",
    "--sign-up",
    "--reload",
    "--log",
    "--max-body",
    "--max-upload",
    "--workers",
    "--version",
    "--help",
}


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--help names every option, every command and the twins in the environment, with examples."""
    done = run(capsys, "--help")
    assert (done.code, done.err) == (0, "")
    assert set(re.findall(r"(?m)^  (?:-h, )?(--[a-z-]+)", done.out)) == OPTIONS
    assert set(minirest.COMMANDS) == {
        "user",
        "token",
        "check",
        "migrate",
        "import",
        "export",
        "fill",
        "backup",
        "restore",
        "schema",
    }
    for command in minirest.COMMANDS:
        assert re.search(rf"(?m)^commands: .*\b{command}\b", done.out)
    examples = re.findall(r"(?m)^  minirest ?(\S*)", done.out[done.out.index("examples:") :])
    assert len(examples) >= 5
    assert "MINIREST_" in done.out


@pytest.mark.parametrize("command", ["user", "token", "check", "migrate", "schema"])
def test_help_of_commands(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Each command has its own help."""
    done = run(capsys, command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: minirest {command} ")
    assert "--db FILE" in done.out


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--nope"], r"unrecognized arguments: --nope; see minirest --help"),
        (["shop.json", "more.json"], r"unrecognized arguments: more.json; see minirest --help"),
        (["--db"], r"argument --db: expected one argument; see minirest --help"),
        (["--stric"], r"unrecognized arguments: --stric; see minirest --help"),
        (["user"], r"the following arguments are required: action.*; see minirest user --help"),
        (["user", "nope"], r"argument action: invalid choice: 'nope'.*; see minirest user --help"),
        (["user", "add"], r"minirest user add takes the NAME of the user"),
        (["user", "--nope", "list"], r"unrecognized arguments: --nope; see minirest user --help"),
        (["user", "password", "anna", "--group", "x"], r"--group goes with minirest user add and minirest user groups"),
        (["user", "list", "--role", "x"], r"--role goes with minirest user add and minirest user roles"),
        (["user", "groups", "anna", "--email", "x"], r"--email goes with minirest user add and minirest user password"),
        (
            ["user", "remove", "anna", "--display-name", "x"],
            r"--display-name goes with minirest user add and minirest user password",
        ),
        (["user", "roles", "anna", "--role", " "], r"a group and a role have a name"),
        (["user", "groups", "anna", "--group", ""], r"a group and a role have a name"),
        (["user", "remove"], r"minirest user remove takes the NAME of the user"),
        (["user", "list", "anna"], r"minirest user list takes no name, but perhaps --schema"),
        (["token", "list", "anna"], r"minirest token list takes no user, but perhaps --schema"),
        (["token", "prune", "1"], r"minirest token prune takes no user, but perhaps --schema"),
        (["token", "revoke", "1", "--read-only"], r"a name and the options of a token go with minirest token add"),
        (["token", "list", "--table", "kunden"], r"a name and the options of a token go with minirest token add"),
        (["token", "prune", "--days", "0"], r"a name and the options of a token go with minirest token add"),
        (["token", "revoke", "1", "laptop"], r"a name and the options of a token go with minirest token add"),
        (["token", "add", "anna"], r"name the user and what the token is for: minirest token add USER NAME"),
        (["token", "add", "anna", "x", "--days", "0"], r"--days is a number from 1 to 36499"),
        (["token", "add", "anna", "x", "--days", "-1"], r"--days is a number from 1 to 36499"),
        (["token", "add", "anna", "x", "--days", "36500"], r"--days is a number from 1 to 36499"),
        (
            ["token", "add", "anna", "x", "--days", "x"],
            r"argument --days: invalid int value: 'x'; see minirest token --help",
        ),
        (["migrate", "--rename", "x"], r"write --rename OLD=NEW, for example --rename kunden.name=titel"),
        (["migrate", "--nope"], r"unrecognized arguments: --nope; see minirest migrate --help"),
        (["--port", "x"], r"'x' is no port; choose one from 0 to 65535"),
        (["--port", "-1"], r".*port.*"),
        (["--port", "65536"], r"'65536' is no port; choose one from 0 to 65535"),
        (["--port", "²"], r"'²' is no port; choose one from 0 to 65535"),
        (["--port", ""], r"'' is no port; choose one from 0 to 65535"),
        (
            ["--dialects", "limbas,nope"],
            r"dialects takes a list of names, of limbas, nocobase, .*, or None; not \['limbas', 'nope'\]",
        ),
        (["--test", "--host", "0.0.0.0"], r"--test is for this machine only, and 0\.0\.0\.0 is no loopback address"),
        (
            ["--test", "--trusted-proxy", "127.0.0.1"],
            r"--test is for this machine only: it goes without --trusted-proxy",
        ),
        (["--seed", "7"], r"--seed goes with --test only: whoever knows the number knows all tokens"),
        (["--test", "--seed", "x"], r"argument --seed: invalid int value: 'x'; see minirest --help"),
        (["--cors", "*"], r"cors '\*' goes without authentication only: name the origins"),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], pattern: str) -> None:
    """What is typed wrong is one line that says what is right, and exit code 2."""
    write_schema("schema.json")
    make_file("schema.db")
    one_line(run(capsys, *arguments), 2, pattern)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("{", r"the schema file is not right: .*"),
        ("", r"the schema file is not right: .*"),
        ("[]", r"the schema file is not right: #: a schema file is a JSON object"),
        ('{"a": 1, "a": 2}', r"the schema file is not right: .*"),
        ("{}", r"the schema file is not right: #: no table: .*"),
        ('{"$defs": {"a": {"type": "object", "x-nope": 1}}}', r"the schema file is not right: #/\$defs/a/x-nope: .*"),
        ('{"$defs": {"api": {"type": "object"}}}', r"the schema file is not right: #/\$defs/api: .*"),
        (
            '{"$defs": {"a": {"type": "object", "examples": [{"b": 1}]}}}',
            r"the schema file is not right: #/\$defs/a/examples/0/b: .*",
        ),
        (
            '{"$defs": {"a": {"type": "object", "x-tabs": {"t": {"b": 1}}}}}',
            r"the schema file is not right: #/\$defs/a/x-tabs/t: .*",
        ),
    ],
)
@pytest.mark.parametrize("command", [[], ["check"], ["migrate"]])
def test_wrong_schema_files(
    capsys: pytest.CaptureFixture[str], folder: Path, content: str, pattern: str, command: list[str]
) -> None:
    """A schema file that cannot be served is one line with the JSON path, exit code 2, and no database is made."""
    if command == ["migrate"]:
        make_file()
        if "examples" in content:
            return
    before = sorted(folder.iterdir())
    path = folder / "shop.json"
    path.write_text(content)
    one_line(run(capsys, *command, "shop.json"), 2, pattern)
    path.unlink()
    assert sorted(folder.iterdir()) == before


def test_wrong_bytes_in_a_schema_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A file that is no text is a schema file that is not right."""
    (folder / "shop.json").write_bytes(b"\xff\xfe{}")
    one_line(run(capsys, "shop.json"), 2, r"the schema file is not right: .*")


@pytest.mark.parametrize("command", [[], ["check"], ["migrate"]])
def test_missing_schema_file(capsys: pytest.CaptureFixture[str], folder: Path, command: list[str]) -> None:
    """A schema file that is not there is named, exit code 2, and nothing is made."""
    wanted = r"there is no schema file 'nope.json'; give the path of a JSON Schema file"
    one_line(run(capsys, *command, "nope.json", "--db", "a.db"), 2, wanted)
    one_line(
        run(capsys, *command, str(folder)), 2, rf"the schema file is not right: {folder}: the folder holds no CSV file"
    )
    assert list(folder.iterdir()) == []


# ---- which schema, which database ----


def test_places(folder: Path) -> None:
    """SCHEMA, else minirest.json, else schema.json, else the sample; the database has the schema's name, here."""
    places, sample = minirest.find_places, ROOT / "sample_schema.json"
    assert places(None, None)[:3] == (sample, ":memory:", True)
    assert places(None, "a.db")[:3] == (sample, "a.db", True)
    (folder / "sub").mkdir()
    write_schema("sub/shop.json")
    assert places("sub/shop.json", None)[:3] == (Path("sub/shop.json"), "shop.db", False)
    assert places("sub/shop.json", "sub/x")[:3] == (Path("sub/shop.json"), "sub/x", False)
    write_schema("schema.json")
    assert places(None, None)[:3] == (Path("schema.json"), "schema.db", False)
    write_schema("minirest.json")
    assert places(None, None)[:3] == (Path("minirest.json"), "minirest.db", False)
    assert places(None, "a.db")[:3] == (Path("minirest.json"), "a.db", False)
    assert places("schema.json", None)[:3] == (Path("schema.json"), "schema.db", False)


def test_only_the_file_was_copied(folder: Path) -> None:
    """Beside a lone copy of the module there is no sample: one line names SCHEMA and --db FILE."""
    copy = folder / "minirest.py"
    shutil.copy(MODULE, copy)
    for command in ([], ["--no-auth"], ["check"]):
        done = run_program(*command, module=copy, PYTHONDONTWRITEBYTECODE="1")
        one_line(done, 2, r".*\bSCHEMA\b.*--db FILE\b.*")
    assert list(folder.iterdir()) == [copy]


def test_lone_copy_serves_a_schema(folder: Path) -> None:
    """The lone copy is all that is needed to serve a schema."""
    copy = folder / "minirest.py"
    shutil.copy(MODULE, copy)
    write_schema()
    with start("shop.json", "--no-auth", module=copy) as server:
        assert names(ask(server.next_address(), "kunden")) == ["Meier", "Schulz"]


def test_missing_package(folder: Path) -> None:
    """A package that is missing is one line with the command that installs it."""
    write_schema()
    blocker = folder / "path"
    blocker.mkdir()
    for package in ("bottle", "waitress", "jsonschema_rs"):
        code = f"import sys\nsys.modules[{package!r}] = None\n"
        (blocker / "sitecustomize.py").write_text(code)
        done = run_program("shop.json", "--port", "0", PYTHONPATH=str(blocker), MINIREST_PASSWORD=PASSWORD)
        packages = "bottle waitress jsonschema-rs wsproto"
        one_line(done, 1, rf"the package '{package}\S*' is missing; run: python3 -m pip install {packages}")


def test_old_sqlite(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python with an old SQLite is told so, before anything is made."""
    write_schema()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.37.2")
    one_line(run(capsys, "shop.json"), 1, r"SQLite 3\.38 or newer is needed; this Python has 3\.37\.2.*")
    assert [path.name for path in Path().iterdir()] == ["shop.json"]


# ---- databases that cannot be served ----


def foreign_file(journal: str = "delete") -> tuple[Path, bytes]:
    """Make another program's database; return its path and its bytes."""
    path = Path("foreign.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma journal_mode={journal}")
        connection.execute("create table t (a)")
        connection.execute("insert into t values (1)")
        connection.commit()
    return path, path.read_bytes()


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["shop.json", "--db", "foreign.db"], r"this database cannot be used: it was not made by minirest; .*--db.*"),
        (["check", "shop.json", "--db", "foreign.db"], r".*not made by minirest.*--db.*"),
        (["migrate", "shop.json", "--db", "foreign.db"], r".*not made by minirest.*--db.*"),
        (["migrate", "shop.json", "--db", "foreign.db", "--apply"], r".*not made by minirest.*--db.*"),
        (["user", "list", "--db", "foreign.db"], r".*not made by minirest.*--db.*"),
        (["user", "add", "anna", "--db", "foreign.db"], r".*not made by minirest.*--db.*"),
        (["token", "list", "--db", "foreign.db"], r".*not made by minirest.*--db.*"),
    ],
)
def test_foreign_database(capsys: pytest.CaptureFixture[str], journal: str, arguments: list[str], pattern: str) -> None:
    """A database of another program is refused by exit code 2 and keeps every byte; nothing is put beside it."""
    write_schema()
    path, before = foreign_file(journal)
    done = run(capsys, *arguments)
    lines = done.err.splitlines()
    assert (done.code, len(lines)) == (2, 1)
    assert re.fullmatch(f"minirest: {pattern}", lines[0]), lines
    assert path.read_bytes() == before
    assert sorted(item.name for item in Path().iterdir()) == ["foreign.db", "shop.json"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["shop.json"], ["check", "shop.json"], ["migrate", "shop.json"], ["user", "list"], ["token", "list"]],
)
def test_corrupt_database(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """A file that is no database is one line and exit code 1, and keeps every byte."""
    write_schema()
    path = Path("shop.db")
    path.write_bytes(b"this is no database, but some text " * 200)
    before = path.read_bytes()
    done = run(capsys, *arguments, "--db", "shop.db")
    out = "" if arguments[:1] != ["check"] else "shop.json: 1 tables, all right\n"
    assert (done.code, done.out) == (1, out)
    assert re.fullmatch(r"minirest: [^\n]*(?:file is|damaged)[^\n]*\n", done.err), done.err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["shop.json", "--port", "0"],
        ["check", "shop.json"],
        ["migrate", "shop.json"],
        ["user", "list"],
        ["token", "list"],
        ["export", "kunden"],
        ["fill", "kunden", "3"],
        ["schema"],
        ["backup", "copy.db"],
        ["restore", "shop.db", "--db", "other.db"],
    ],
)
def test_database_with_damaged_notes_on_its_tables(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Every command refuses a file that no longer says which history belongs to which table, and keeps every byte."""
    write_schema()
    make_file()
    with closing(sqlite3.connect("shop.db")) as connection:
        connection.execute("update _meta set value=substr(value, 2) where key='tags'")
        connection.commit()
    before = Path("shop.db").read_bytes()
    done = run(capsys, *arguments, *([] if "--db" in arguments else ["--db", "shop.db"]))
    assert done.code == 1
    assert re.search(r"^minirest: [^\n]*'tags' of its _meta table is damaged[^\n]*\n$", done.err), done.err
    assert Path("shop.db").read_bytes() == before
    assert sorted(item.name for item in Path().iterdir()) == ["shop.db", "shop.json"]


def test_locked_database(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that another program holds is one line and exit code 1."""
    monkeypatch.setattr(minirest, "BUSY_TIMEOUT_SECONDS", 0.05)
    write_schema()
    make_file()
    with closing(sqlite3.connect("shop.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        for arguments in (["shop.json", "--port", "0"], ["user", "list"], ["token", "list"]):
            db = [] if arguments[0] == "shop.json" else ["--db", "shop.db"]
            one_line(run(capsys, *arguments, *db), 1, r".*(?:busy|locked).*")


@pytest.mark.parametrize("name", ["missing/folder/a.db", "."])
def test_database_that_cannot_be_made(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A database in a folder that is not there is one line and exit code 1."""
    write_schema()
    one_line(run(capsys, "shop.json", "--db", name), 1, r".*database.*")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["user", "list", "--db", "no.db"], "no.db"),
        (["user", "add", "anna", "--db", "no.db"], "no.db"),
        (["user", "list", "--schema", "shop.json"], "shop.db"),
        (["token", "list", "--db", "no.db"], "no.db"),
        (["token", "add", "anna", "x", "--db", "no.db"], "no.db"),
        (["migrate", "shop.json"], "shop.db"),
        (["migrate", "shop.json", "--apply"], "shop.db"),
        (["migrate", "shop.json", "--db", "no.db"], "no.db"),
    ],
)
def test_commands_make_no_file(capsys: pytest.CaptureFixture[str], arguments: list[str], named: str) -> None:
    """A command on a database that is not there says so, exit code 1, and makes none."""
    write_schema()
    one_line(run(capsys, *arguments), 1, rf"there is no database '{named}'; .*start the server once.*--db.*")
    assert [path.name for path in Path().iterdir()] == ["shop.json"]


def test_check_makes_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    """`check` needs no database; one that was named and is not there is an error."""
    write_schema()
    assert run(capsys, "check", "shop.json") == Done(0, "shop.json: 1 tables, all right\n", "")
    done = run(capsys, "check", "shop.json", "--db", "no.db")
    assert done.code == 1
    assert re.fullmatch(r"minirest: there is no database 'no.db'; .*\n", done.err)
    assert [path.name for path in Path().iterdir()] == ["shop.json"]


def test_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is one line that names it, and exit code 1."""
    write_schema()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_program("shop.json", "--port", port)
    one_line(done, 1, rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use; choose another .*--port")


@pytest.mark.parametrize("twins", [{"MINIREST_PORT": "taken"}, {"MINIREST_PORT": "x"}])
def test_failed_start_keeps_no_secret(twins: dict[str, str]) -> None:
    """A first start that fails before it serves does not make a password that nobody has seen."""
    write_schema()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run_program("shop.json", MINIREST_PORT=twins["MINIREST_PORT"].replace("taken", port)).code in (1, 2)
    with start("shop.json") as server:
        server.next_address()
        _, errors = server.stop()
    assert [line for line in errors if "curl" in line] != []


@pytest.mark.parametrize("host", ["nosuch.invalid", "256.1.1.1", "not a host"])
def test_wrong_host(host: str) -> None:
    """An address that cannot be had is one line."""
    write_schema()
    done = run_program("shop.json", "--host", host, "--port", "0", "--no-auth")
    assert done.code in (1, 2)
    one_line(done, int(str(done.code)), r".*--host.*")


# ---- serving ----


def test_first_and_second_start(folder: Path) -> None:
    """The first start makes file and administrator and prints a command that works; later ones print no secret."""
    write_schema()
    with start("shop.json") as server:
        address = server.next_address()
        command = server.err.get(timeout=WAIT_SECONDS) or ""
        given = re.fullmatch(
            rf"  curl -g -u '?(admin:[\w-]{{16}})'? '{re.escape(address)}kunden\?\$page\[count\]=2'", command
        )
        assert given, command
        assert names(ask(address, "kunden", given[1])) == ["Meier", "Schulz"]
        assert ask(address, "kunden", "admin:wrong password")[0] == 401
        assert ask(address, "kunden")[0] == 401
        assert server.stop() == (0, [])
    assert sorted(path.name for path in folder.iterdir()) == ["shop.db", "shop.json"]
    assert given[1].removeprefix("admin:").encode() not in Path("shop.db").read_bytes()
    with start("shop.json") as server:
        address = server.next_address()
        assert names(ask(address, "kunden", given[1])) == ["Meier", "Schulz"]
        code, errors = server.stop()
    assert code == 0
    assert [line for line in errors if "curl" in line or given[1][6:] in line] == []
    assert [line for line in errors if "minirest user password" not in line] == []


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("user", ["", "o'neil $HOME `x` \\ \""])
def test_printed_command_works_when_pasted(user: str) -> None:
    """The line that the first start prints is a command of the shell, whatever the administrator is called."""
    write_schema()
    with start("shop.json", **({"MINIREST_USER": user} if user else {})) as server:
        server.next_address()
        command = server.err.get(timeout=WAIT_SECONDS) or ""
        done = subprocess.run(["sh", "-c", f"{command} -sS"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert names((200, json.loads(done.stdout))) == ["Meier", "Schulz"]


def test_given_administrator() -> None:
    """With MINIREST_USER and MINIREST_PASSWORD the administrator is made silently, at the first start only."""
    write_schema()
    with start("shop.json", MINIREST_USER="root", MINIREST_PASSWORD=PASSWORD) as server:
        address = server.next_address()
        assert names(ask(address, "kunden", f"root:{PASSWORD}")) == ["Meier", "Schulz"]
        assert server.stop() == (0, [])
    with start("shop.json", MINIREST_USER="root", MINIREST_PASSWORD="another password") as server:
        address = server.next_address()
        assert ask(address, "kunden", "root:another password")[0] == 401
        assert ask(address, "kunden", f"root:{PASSWORD}")[0] == 200


def test_given_password_that_is_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that breaks the rules is one line that names the variable."""
    write_schema()
    monkeypatch.setenv("MINIREST_PASSWORD", "short")
    one_line(
        run(capsys, "shop.json", "--port", "0"), 2, r".*MINIREST_PASSWORD cannot be used: a password has at least 8 .*"
    )


def test_only_disabled_users() -> None:
    """Where everybody was disabled, a start neither makes a user nor prints a password."""
    write_schema()
    make_file(users={"admin": PASSWORD})
    assert run_program("user", "disable", "admin", "--db", "shop.db") == Done(0, "", "")
    with start("shop.json") as server:
        server.next_address()
        _, errors = server.stop()
    assert [line for line in errors if "curl" in line] == []


def test_sample(folder: Path) -> None:
    """Without any schema the sample is served from memory, and it says so; no file is made."""
    with start("--no-auth") as server:
        address = server.next_address()
        assert server.err.get(timeout=WAIT_SECONDS) == (
            "minirest: no schema file here, so this is the sample, in memory; give your own as SCHEMA"
        )
        assert ask(address)[1]["title"] == json.loads((ROOT / "sample_schema.json").read_text())["title"]
        assert server.stop() == (0, [])
    assert list(folder.iterdir()) == []


def test_sample_in_a_file(folder: Path) -> None:
    """With --db the sample is kept in that file; so it is the next time."""
    for _ in range(2):
        with start("--no-auth", "--db", "a.db") as server:
            assert ask(server.next_address(), "kunden/1")[0] == 200
            told = "minirest: no schema file here, so this is the sample, in a.db; give your own as SCHEMA"
            assert server.stop() == (0, [told])
    assert [path.name for path in folder.iterdir()] == ["a.db"]


@pytest.mark.parametrize("twin", [False, True])
def test_options_and_their_twins(twin: bool) -> None:
    """Every option of the server has a twin in the environment that does the same."""
    write_schema()
    given = {
        "DB": "other.db",
        "HOST": "127.0.0.1",
        "NO_AUTH": "1",
        "NO_EXAMPLES": "1",
        "DIALECTS": "limbas",
        "CORS": "https://a.example,https://b.example",
        "ALLOW_HOST": "shop.example",
        "TRUSTED_PROXY": "127.0.0.1",
        "STRICT": "1",
        "LOG": "1",
    }
    options = ["--db", "other.db", "--host", "127.0.0.1", "--port", "0", "--no-auth", "--no-examples"]
    options += ["--dialects", "limbas", "--cors", "https://a.example", "--cors", "https://b.example"]
    options += ["--allow-host", "shop.example", "--trusted-proxy", "127.0.0.1", "--strict", "--log", "shop.json"]
    twins = {f"MINIREST_{name}": value for name, value in {**given, "SCHEMA": "shop.json"}.items()} if twin else {}
    with start(*([] if twin else options), **twins) as server:
        address = server.next_address()
        assert ask(address)[1]["tables"] == [{"name": "kunden", "title": "kunden", "records": 0}]
        assert ask(address, Host="Shop.Example:1")[0] == 200
        assert ask(address, Host="evil.example")[0] == 421
        assert ask(address, **{"X-Forwarded-Host": "evil.example"})[0] == 421
        assert ask(address, "kunden?$nope=1")[0] == 400
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        for origin in ("https://a.example", "https://b.example"):
            with closing(http.client.HTTPConnection(host, int(port), timeout=WAIT_SECONDS)) as connection:
                connection.request("GET", "/", headers={"Origin": origin})
                assert connection.getresponse().headers["Access-Control-Allow-Origin"] == origin
        code, errors = server.stop()
    assert code == 0
    assert [re.sub(r"[\d:]+ \w+ ", "", line, count=1).rsplit(" ", 3)[0] for line in errors] == [
        'GET "/" 200',
        'GET "/" 200',
        'GET "/" 421',
        'GET "/" 421',
        'GET "/kunden?$nope=1" 400',
        'GET "/" 200',
        'GET "/" 200',
    ]
    assert sorted(path.name for path in Path().iterdir()) == ["other.db", "shop.json"]


def test_every_option_has_a_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser takes each default from the variable with the option's name."""
    values = {
        "schema": "s.json",
        "db": "d.db",
        "host": "h",
        "port": "1",
        "dialects": "limbas",
        "max_body": "2",
        "max_upload": "3",
        "seed": "4",
        "workers": "5",
    }
    flags = ["no_auth", "no_examples", "strict", "sign_up", "test", "reload", "log"]
    lists = ["cors", "allow_host", "trusted_proxy"]
    plain = vars(minirest.server_parser().parse_args([]))
    assert set(plain) == {*values, *flags, *lists}
    assert plain == {
        "schema": None,
        "db": None,
        "host": "127.0.0.1",
        "port": "8080",
        "dialects": None,
        "max_body": "2097152",
        "max_upload": "67108864",
        "seed": None,
        "workers": "1",
        **dict.fromkeys(flags, False),
        **{name: [] for name in lists},
    }
    for name, value in values.items():
        monkeypatch.setenv(f"MINIREST_{name.upper()}", value)
    for name in flags:
        monkeypatch.setenv(f"MINIREST_{name.upper()}", "1")
    for name in lists:
        monkeypatch.setenv(f"MINIREST_{name.upper()}", "a, b,")
    expected = {**values, "seed": 4, **dict.fromkeys(flags, True), **{name: ["a", "b"] for name in lists}}
    assert vars(minirest.server_parser().parse_args([])) == expected
    for text in ("0", "false", "No", ""):
        monkeypatch.setenv("MINIREST_STRICT", text)
        assert minirest.server_parser().parse_args([]).strict is False
    assert minirest.server_parser().parse_args(["--cors", "c"]).cors == ["a", "b", "c"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_loopback_answers_loopback_names(host: str) -> None:
    """On any loopback address only loopback names are answered."""
    write_schema()
    with start("shop.json", "--no-auth", "--host", host) as server:
        address = server.next_address()
        assert address.startswith(f"http://{host}:")
        assert [ask(address, Host=name)[0] for name in (host, "localhost:1", "evil.example")] == [200, 200, 421]


def test_open_address_answers_any_name() -> None:
    """On an address that others reach, names are theirs to choose."""
    write_schema()
    with start("shop.json", "--no-auth", "--host", "0.0.0.0") as server:
        address = server.next_address().replace("0.0.0.0", "127.0.0.1")
        assert ask(address, Host="shop.example")[0] == 200


def test_star_goes_without_authentication() -> None:
    """--cors '*' is taken with --no-auth."""
    write_schema()
    with start("shop.json", "--no-auth", "--cors", "*") as server:
        assert ask(server.next_address(), "kunden/1", Origin="https://a.example")[0] == 200


def test_log_lines_cannot_be_forged() -> None:
    """A path with line ends and escape sequences is one line of plain ASCII."""
    write_schema()
    with start("shop.json", "--no-auth", "--log") as server:
        address = server.next_address()
        ask(address, "a%0D%0A12:00:00%20GET%20/forged%20200%1B%5B31mred%C2%9B%E2%80%AE")
        ask(address, "kunden?a=%0A%1B")
        _, errors = server.stop()
    assert len(errors) == 2
    for line in errors:
        assert re.fullmatch(r'\d\d:\d\d:\d\d [0-9a-f]{16} GET "[\x20-\x7e]*" 400 [\d.]+ ms -', line)


def test_secrets_in_a_query_are_not_logged() -> None:
    """A key that a client writes into the query, where an original server takes it, stays out of the log."""
    write_schema()
    with start("shop.json", "--no-auth", "--log") as server:
        ask(server.next_address(), "api/v2/kunden/?username=anna&api_key=hush&limit=1&Token=hush")
        _, errors = server.stop()
    logged = r'\S+ \S+ GET "/api/v2/kunden/\?username=anna&api_key=\.\.\.&limit=1&Token=\.\.\." 200 [\d.]+ ms -'
    assert [bool(re.fullmatch(logged, line)) for line in errors] == [True]


def test_without_log_it_is_quiet() -> None:
    """Without --log and without a terminal nothing is printed for a request."""
    write_schema()
    with start("shop.json", "--no-auth") as server:
        assert ask(server.next_address(), "kunden")[0] == 200
        assert server.stop() == (0, [])


def test_changed_schema_at_the_start() -> None:
    """What only adds is done at the start; what would lose something is shown as a plan, and exit code 2."""
    make_file()
    write_schema("shop.json", with_fields(name={"type": "string"}, plz={"type": "string"}, neu={"type": "integer"}))
    with start("shop.json", "--no-auth") as server:
        assert set(ask(server.next_address(), "kunden/1")[1]["data"]["attributes"]) >= {"name", "plz", "neu"}
        assert server.stop() == (0, [])
    write_schema("shop.json", with_fields(name={"type": "string"}))
    before = Path("shop.db").read_bytes()
    done = run_program("shop.json", "--port", "0")
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert lines[0] == "  drop field kunden.plz (1 records, loses data: --drop kunden.plz)"
    assert lines[-1].startswith("minirest: ")
    assert "minirest migrate" in lines[-1]
    assert Path("shop.db").read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_reload(number: int) -> None:
    """With --reload a changed schema file is served by a new process; a signal to the first ends both."""
    path = write_schema()
    with start("shop.json", "--reload", "--no-auth") as server:
        address = server.next_address()
        assert names(ask(address, "kunden")) == ["Meier", "Schulz"]
        assert ask(address, "neu")[0] == 400
        path.write_text(json.dumps({"$defs": {**SCHEMA["$defs"], "neu": {"type": "object", "examples": [{}]}}}))
        again = server.next_address()
        assert ask(again, "neu/1")[0] == 200
        server.process.send_signal(number)
        assert server.process.wait(WAIT_SECONDS) == 0
        with pytest.raises(ConnectionRefusedError):
            ask(again)
        assert server.out.get(timeout=WAIT_SECONDS) is None


def test_reload_with_a_folder() -> None:
    """A file in it is changed, and another one comes."""
    folder = Path("data")
    folder.mkdir()
    (folder / "kunden.csv").write_text("name\nMeier\n")
    with start("data", "--reload", "--no-auth") as server:
        assert names(ask(server.next_address(), "kunden")) == ["Meier"]
        (folder / "kunden.csv").write_text("name\nMeier\nSchulz\n")
        assert names(ask(server.next_address(), "kunden")) == ["Meier", "Schulz"]
        (folder / "neu.csv").write_text("name\nEins\n")
        assert names(ask(server.next_address(), "neu")) == ["Eins"]


def test_reload_with_a_broken_schema() -> None:
    """A schema that was broken meanwhile is told, and served again when it is mended."""
    path = write_schema()
    with start("shop.json", "--reload", "--no-auth") as server:
        server.next_address()
        path.write_text("{")
        line = server.err.get(timeout=WAIT_SECONDS) or ""
        while "not right" not in line:
            line = server.err.get(timeout=WAIT_SECONDS) or ""
        path.write_text(json.dumps(SCHEMA))
        assert names(ask(server.next_address(), "kunden")) == ["Meier", "Schulz"]


# ---- users ----


def test_users(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Users are added, listed, disabled, enabled and given new passwords; a drawn password is printed once."""
    write_schema("schema.json")
    make_file("schema.db")
    monkeypatch.setattr("sys.stdin", open(os.devnull, encoding="utf-8"))  # noqa: SIM115, PTH123 - closed below
    try:
        drawn = run(capsys, "user", "add", "bert", "--display-name", "Bert B.", "--email", "b@example.org")
        again = run(capsys, "user", "password", "bert")
        assert (drawn.code, drawn.err, again.code, again.err) == (0, "", 0, "")
        assert re.fullmatch(r"[\w-]{16}\n", drawn.out)
        assert re.fullmatch(r"[\w-]{16}\n", again.out)
        assert run(capsys, "user", "list") == Done(0, "anna\nbert\n", "")
        assert run(capsys, "user", "disable", "anna") == Done(0, "", "")
        assert run(capsys, "user", "list") == Done(0, "anna\tdisabled\nbert\n", "")
        assert run(capsys, "user", "enable", "anna") == Done(0, "", "")
        assert run(capsys, "user", "list") == Done(0, "anna\nbert\n", "")
        monkeypatch.setenv("MINIREST_PASSWORD", "from the environment")
        assert run(capsys, "user", "password", "anna") == Done(0, "", "")
        assert run(capsys, "user", "add", "carla", "--group", "sales", "--group", "support") == Done(0, "", "")
        assert run(capsys, "user", "groups", "anna", "--group", "support") == Done(0, "", "")
        assert run(capsys, "user", "list") == Done(0, "anna\tgroups: support\nbert\ncarla\tgroups: sales,support\n", "")
        assert run(capsys, "user", "groups", "carla") == Done(0, "", "")
        assert run(capsys, "user", "groups", "bert", "--group", "sales", "--group", "sales") == Done(0, "", "")
        assert run(capsys, "user", "list") == Done(0, "anna\tgroups: support\nbert\tgroups: sales\ncarla\n", "")
    finally:
        sys.stdin.close()
    with closing(minirest.make_app(SCHEMA, "schema.db")) as app:
        bert, verify = app.accounts.account("bert"), app.accounts.verify
        assert bert is not None
        assert bert.display_name == "Bert B."
        assert verify("bert", again.out.strip())
        assert not verify("bert", drawn.out.strip())
        assert verify("anna", "from the environment")
        assert not verify("anna", PASSWORD)


def test_roles(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles are given with a new user, and set as a whole; the list shows them before the groups."""
    make_file()
    db = ("--db", "shop.db")
    monkeypatch.setenv("MINIREST_PASSWORD", PASSWORD)
    added = ("--role", "editor", "--role", "boss", "--role", "editor", "--group", "sales")
    assert run(capsys, "user", "add", "bert", *added, *db) == Done(0, "", "")
    assert run(capsys, "user", "roles", "anna", "--role", "admin", *db) == Done(0, "", "")
    assert run(capsys, "user", "disable", "bert", *db) == Done(0, "", "")
    listed = "anna\troles: admin\nbert\tdisabled\troles: editor,boss\tgroups: sales\n"
    assert run(capsys, "user", "list", *db) == Done(0, listed, "")
    assert run(capsys, "user", "roles", "anna", *db) == Done(0, "", "")
    assert run(capsys, "user", "list", *db) == Done(0, listed.replace("\troles: admin", ""), "")


def test_removed_user(capsys: pytest.CaptureFixture[str]) -> None:
    """A user is removed with tokens and sessions from a file whose tables hold records of theirs, which stay."""
    write_schema()
    with closing(minirest.make_app(SCHEMA, "shop.db", {"anna": PASSWORD, "bert": PASSWORD})) as app:
        session, _ = app.accounts.open_session(app.accounts.sign_in("anna", PASSWORD))
        token, anna = app.accounts.add_token("anna", "laptop"), app.accounts.account("anna")
        made = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        assert send(app, "POST", "/kunden", {"data": {"name": "hers"}}, **made).status == 201
        ways = [made, {"HTTP_COOKIE": f"sid={session}"}]
        assert [send(app, "GET", "/kunden", **way).status for way in ways] == [200, 200]
        assert run(capsys, "user", "remove", "anna", "--db", "shop.db") == Done(0, "", "")
        assert [send(app, "GET", "/kunden", **way).status for way in ways] == [401, 401]
        one_line(run(capsys, "user", "remove", "anna", "--db", "shop.db"), 1, r"the user 'anna' does not exist; .*")
        assert run(capsys, "user", "list", "--db", "shop.db") == Done(0, "bert\n", "")
        assert run(capsys, "token", "list", "--db", "shop.db") == Done(0, "", "")
        assert anna is not None
        assert app.accounts.put_user("anna", password=PASSWORD) > anna.id
    assert run(capsys, "check", "shop.json").code == 0


def test_no_argument_takes_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments are seen by all on the machine, so there is no such option."""
    for command in minirest.COMMANDS:
        assert not re.search(r"--\w*(password|secret|hash)", run(capsys, command, "--help").out)


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes of files")
def test_new_files_are_private() -> None:
    """A new database and what stands beside it are for their owner alone; one that is there keeps its mode."""
    write_schema()
    with closing(minirest.make_app(SCHEMA, "shop.db", {"anna": PASSWORD})) as app:
        app.accounts.put_user("bert")
        beside = sorted(Path().glob("shop.db*"))
        assert len(beside) == 3
        assert {path.stat().st_mode & 0o777 for path in beside} == {0o600}
        minirest.copy_database(app.store.database.writer, "copy.db")
    assert Path("copy.db").stat().st_mode & 0o777 == 0o600
    Path("shop.db").chmod(0o640)
    with closing(minirest.make_app(SCHEMA, "shop.db")) as app:
        app.accounts.put_user("carla")
        assert {path.stat().st_mode & 0o777 for path in Path().glob("shop.db*")} == {0o640}


@pytest.mark.parametrize(
    ("action", "name", "pattern"),
    [
        ("add", "anna", r"the user 'anna' exists already; see minirest user list"),
        ("password", "nobody", r"the user 'nobody' does not exist; see minirest user list"),
        ("disable", "nobody", r"the user 'nobody' does not exist; see minirest user list"),
        ("enable", "nobody", r"the user 'nobody' does not exist; see minirest user list"),
        ("groups", "nobody", r"the user 'nobody' does not exist; see minirest user list"),
        ("roles", "nobody", r"the user 'nobody' does not exist; see minirest user list"),
        ("remove", "nobody", r"the user 'nobody' does not exist; see minirest user list"),
    ],
)
def test_wrong_users(capsys: pytest.CaptureFixture[str], action: str, name: str, pattern: str) -> None:
    """A user that is there already, or is not, is one line and exit code 1."""
    make_file()
    one_line(run(capsys, "user", action, name, "--db", "shop.db"), 1, pattern)
    assert run(capsys, "user", "list", "--db", "shop.db") == Done(0, "anna\n", "")


@pytest.mark.parametrize("password", ["short", "x" * 1025])
def test_wrong_password(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    """A password that breaks the rules is one line, and no user is made."""
    make_file()
    monkeypatch.setenv("MINIREST_PASSWORD", password)
    done = run(capsys, "user", "add", "bert", "--db", "shop.db")
    one_line(done, int(str(done.code)), r"a password has at least 8 characters and at most 1024")
    assert done.code in (1, 2)
    assert run(capsys, "user", "list", "--db", "shop.db") == Done(0, "anna\n", "")


@pytest.mark.parametrize("name", ["", "x" * 81, "a:b"])
def test_wrong_user_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A name with which nobody could sign in is one line, and no user is made."""
    make_file()
    monkeypatch.setenv("MINIREST_PASSWORD", PASSWORD)
    done = run(capsys, "user", "add", name, "--db", "shop.db")
    assert done.code in (1, 2)
    assert len(done.err.splitlines()) == 1
    assert run(capsys, "user", "list", "--db", "shop.db") == Done(0, "anna\n", "")


def test_a_seed_and_worlds() -> None:
    """With `--test` and a seed two starts are the same, the drawn password too; worlds are made over the port."""
    write_schema("schema.json")
    seen = []
    for _ in range(2):
        with start("schema.json", "--db", ":memory:", "--test", "--seed", "7") as server:
            address = server.next_address()
            command = server.err.get(timeout=WAIT_SECONDS) or ""
            request = urllib.request.Request(f"{address}_test/worlds", method="POST")
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
                made = (answer.status, answer.headers["X-Request-Id"], answer.read())
            seen.append((command.partition("http")[0], made))
            assert server.stop() == (0, [])
    assert seen[0] == seen[1]
    assert (seen[0][1][0], seen[0][1][2]) == (201, b'{"world":"w1","address":"/_world/w1/"}')


def test_password_from_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the password is asked for twice; two different ones are one line and change nothing."""
    make_file()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for typed, code in ((["typed secret", "typed secret"], 0), (["typed secret", "typed secrte"], 1)):
        answers = iter(typed)
        monkeypatch.setattr("getpass.getpass", lambda prompt, answers=answers: next(answers))
        done = run(capsys, "user", "password", "anna", "--db", "shop.db")
        assert (done.code, done.out) == (code, "")
        assert done.err == ("" if code == 0 else "minirest: the passwords differ; try again\n")
    with closing(minirest.make_app(SCHEMA, "shop.db")) as app:
        assert app.accounts.verify("anna", "typed secret")


# ---- tokens ----


def test_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    """A token is shown once, listed by its first characters, signs in, and is revoked by its number."""
    make_file()
    db = ("--db", "shop.db")
    for_ever, for_a_week = (
        run(capsys, "token", "add", "anna", *more, *db) for more in (["laptop"], ["ci server", "--days", "7"])
    )
    for done in (for_ever, for_a_week):
        assert (done.code, done.err) == (0, "")
        assert re.fullmatch(r"mrt_[0-9A-Za-z]{43}[0-9a-f]{8}\n", done.out)
    listed = run(capsys, "token", "list", *db)
    first, second = (line.split("\t") for line in listed.out.splitlines())
    assert first == ["1", "anna", "laptop", f"{for_ever.out[:8]}...", "never expires", "never used"]
    assert second[:4] + second[5:] == ["2", "anna", "ci server", f"{for_a_week.out[:8]}...", "never used"]
    days = datetime.fromisoformat(second[4]) - minirest.utc_now()
    assert 6.9 < days.total_seconds() / 86_400 <= 7
    with closing(minirest.make_app(SCHEMA, "shop.db")) as app:
        assert app.accounts.bearer(for_ever.out.strip())
        assert run(capsys, "token", "revoke", "1", *db) == Done(0, "", "")
        assert app.accounts.bearer(for_ever.out.strip()) is None
        assert app.accounts.bearer(for_a_week.out.strip())


def test_scopes(capsys: pytest.CaptureFixture[str]) -> None:
    """A token is narrowed to reading and to tables, named as in the schema; the list shows how."""
    make_file()
    db = ("--db", "shop.db")
    made = run(capsys, "token", "add", "anna", "report", "--read-only", "--table", "KUNDEN", "--table", "kunden", *db)
    assert (made.code, made.err) == (0, "")
    assert run(capsys, "token", "add", "anna", "reader", "--read-only", *db).code == 0
    assert run(capsys, "token", "add", "anna", "writer", "--table", "kunden", *db).code == 0
    lines = [line.split("\t")[5:] for line in run(capsys, "token", "list", *db).out.splitlines()]
    never = "never used"
    assert lines == [[never, "read", "table:kunden"], [never, "read"], [never, "table:kunden"]]
    with closing(minirest.make_app(SCHEMA, "shop.db")) as app:
        account = app.accounts.bearer(made.out.strip())
        assert account is not None
        assert account.actor().scopes == ("read", "table:kunden")


@pytest.mark.parametrize(
    ("table", "pattern"),
    [
        ("kundne", r"there is no table 'kundne'; did you mean 'kunden'\?"),
        ("_users", r"there is no table '_users'.*"),
        ("", r"there is no table ''"),
    ],
)
def test_scope_of_an_unknown_table(capsys: pytest.CaptureFixture[str], table: str, pattern: str) -> None:
    """A table that the file does not have is one line, and no token is made."""
    make_file()
    one_line(run(capsys, "token", "add", "anna", "x", "--table", table, "--db", "shop.db"), 1, pattern)
    assert run(capsys, "token", "list", "--db", "shop.db") == Done(0, "", "")


def test_prune(capsys: pytest.CaptureFixture[str]) -> None:
    """The tokens that have expired are deleted, and it says how many there were."""
    make_file()
    with closing(minirest.make_app(SCHEMA, "shop.db")) as app:
        for name, expires in (("old", "2020-01-01T00:00:00.000Z"), ("new", "2999-01-01T00:00:00.000Z"), ("x", None)):
            app.accounts.add_token("anna", name, expires)
    assert run(capsys, "token", "prune", "--db", "shop.db") == Done(0, "deleted: 1\n", "")
    assert run(capsys, "token", "prune", "--db", "shop.db") == Done(0, "deleted: 0\n", "")
    names = [line.split("\t")[2] for line in run(capsys, "token", "list", "--db", "shop.db").out.splitlines()]
    assert names == ["new", "x"]


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["revoke", "9"], r"there is no such token; see minirest token list for the ids"),
        (["revoke", "x"], r"there is no such token; see minirest token list for the ids"),
        (["revoke", "²"], r"there is no such token; see minirest token list for the ids"),
        (["revoke", "9" * 30], r"there is no such token; see minirest token list for the ids"),
        (["revoke"], r"there is no such token; see minirest token list for the ids"),
        (["add", "nobody", "laptop"], r"the user 'nobody' does not exist; see minirest user list"),
    ],
)
def test_wrong_tokens(capsys: pytest.CaptureFixture[str], arguments: list[str], pattern: str) -> None:
    """A token or a user that is not there is one line and exit code 1."""
    make_file()
    one_line(run(capsys, "token", *arguments, "--db", "shop.db"), 1, pattern)
    assert run(capsys, "token", "list", "--db", "shop.db") == Done(0, "", "")


# ---- what is closed, empty, full or not there ----


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["backup", "none/copy.db", "shop.json"], "No such file or directory: none/copy.db"),
        (["restore", "none.db", "shop.json"], "there is no copy 'none.db'; make one with minirest backup"),
        (["restore", "folder", "shop.json"], "there is no copy 'folder'; make one with minirest backup"),
    ],
)
def test_copies_that_cannot_be(capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    """The line speaks of the copy, and not of the database."""
    write_schema()
    make_file()
    Path("folder").mkdir()
    assert run(capsys, *arguments) == Done(1, "", f"minirest: {text}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["user", "add", "anna"],
        ["check", "shop.json"],
        ["migrate", "shop.json"],
        ["backup", "copy.db"],
        ["fill", "t", "3"],
    ],
)
def test_commands_do_not_make_a_database_of_an_empty_file(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """It stays empty."""
    write_schema()
    Path("empty.db").touch()
    schema = ["--schema", "shop.json"] if arguments[0] == "fill" else []
    done = run(capsys, *arguments, *schema, "--db", "empty.db")
    line = "there is nothing in the database 'empty.db'; start the server once to make it, or write --db FILE"
    assert (done.code, done.err) == (1, f"minirest: {line}\n")
    assert Path("empty.db").read_bytes() == b""


def test_a_schema_file_with_a_mark_at_its_start(capsys: pytest.CaptureFixture[str]) -> None:
    """Windows' editors write one before UTF-8."""
    write_schema()
    Path("shop.json").write_bytes(b"\xef\xbb\xbf" + Path("shop.json").read_bytes())
    assert run(capsys, "check", "shop.json") == Done(0, "shop.json: 1 tables, all right\n", "")


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("export kunden --schema shop.json >&-", 1, "the standard output is closed; name a file"),
        ("import kunden - --schema shop.json <&-", 1, "the standard input is closed; name a file"),
        ("export kunden --schema shop.json >/dev/full", 1, "No space left on device"),
        ("schema shop.json >/dev/full", 1, "No space left on device"),
        ("--version >/dev/full", 1, "No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full(command: str, code: int, text: str) -> None:
    """One line, and no traceback."""
    write_schema()
    make_file()
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} {shlex.quote(str(MODULE))} {command}",
        shell=True,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        env=environment(PYTHONUNBUFFERED=""),
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, f"minirest: {text}\n")


@pytest.mark.parametrize("command", ["export kunden --schema shop.json", "schema shop.json", "--help"])
def test_whoever_has_read_enough(command: str) -> None:
    """As `head` has: no line, and an exit code."""
    write_schema()
    make_file()
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, str(MODULE), *command.split()]
    done = subprocess.run(
        line,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=WAIT_SECONDS,
        env=environment(PYTHONUNBUFFERED=""),
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Nothing stays of what it has begun; afterwards the signal does what it did."""
    write_schema()
    make_file()

    def copy_whole(*_: sqlite3.Connection) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(minirest, "copy_whole", copy_whole)
    assert run(capsys, "backup", "new.db", "--db", "shop.db") == Done(1, "", "minirest: stopped\n")
    assert not list(Path().glob("new*"))
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("pair", ["=name", "kunden.name=", "="])
def test_a_rename_has_two_names(capsys: pytest.CaptureFixture[str], pair: str) -> None:
    """Else it is wrong usage."""
    write_schema()
    make_file()
    one_line(run(capsys, "migrate", "shop.json", "--rename", pair), 2, "write --rename OLD=NEW, .*")


def test_a_full_disk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said, and nothing is there of a new database, or of a copy, that has not come to its end."""
    write_schema()
    make_file()

    def copy_whole(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        target.execute("pragma max_page_count=1")
        target.execute("create table t (x)")
        target.execute("create table u (x)")

    monkeypatch.setattr(minirest, "copy_whole", copy_whole)
    line = "minirest: the disk is full: make room, and try again\n"
    assert run(capsys, "restore", "shop.db", "--db", "new.db") == Done(1, "", line)
    assert run(capsys, "backup", "new.db", "--db", "shop.db") == Done(1, "", line)
    write_schema("less.json", with_fields(name={"type": "string"}))
    before = sorted(Path().iterdir())
    assert run(capsys, "restore", "shop.db", "--db", str(shutil.copy("shop.db", "other.db"))) == Done(1, "", line)
    assert run(capsys, "migrate", "less.json", "--db", "shop.db", "--apply", "--drop", "kunden.plz") == Done(
        1, "", line
    )
    assert sorted(Path().iterdir()) == sorted([*before, Path("other.db")])


# ---- check and migrate ----


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    """`check` says that schema and file are right, and what the schema would change, but changes nothing."""
    write_schema()
    make_file()
    fine = "shop.json: 1 tables, all right\nshop.db: whole, and as the schema file says\n"
    assert run(capsys, "check", "shop.json") == Done(0, fine, "")
    assert run(capsys, "check", str(ROOT / "sample_schema.json")).code == 0
    write_schema("shop.json", with_fields(name={"type": "string"}, neu={"type": "string"}))
    before = Path("shop.db").read_bytes()
    done = run(capsys, "check", "shop.json")
    assert done.out.splitlines() == [
        "shop.json: 1 tables, all right",
        "shop.db: whole",
        "  add field kunden.neu",
        "  drop field kunden.plz (1 records, loses data: --drop kunden.plz)",
    ]
    assert Path("shop.db").read_bytes() == before


def test_migrate(capsys: pytest.CaptureFixture[str]) -> None:
    """`migrate` shows the plan; --apply carries it out after a copy, and refuses to lose what --drop does not name."""
    write_schema("shop.json")
    make_file()
    assert run(capsys, "migrate", "shop.json") == Done(0, "nothing to do\n", "")
    write_schema("shop.json", with_fields(titel={"type": "string"}))
    before = Path("shop.db").read_bytes()
    rename = ("--rename", "kunden.name=titel")
    drop = "drop field kunden.plz (1 records, loses data: --drop kunden.plz)"
    plan = run(capsys, "migrate", "shop.json", *rename)
    assert plan == Done(0, f"rename field kunden.name to titel\n{drop}\n", "")
    refused = run(capsys, "migrate", "shop.json", *rename, "--apply")
    one_line(refused, 1, f"not carried out: {re.escape(drop)}")
    assert Path("shop.db").read_bytes() == before
    done = run(capsys, "migrate", "shop.json", *rename, "--apply", "--drop", "kunden.plz")
    assert done == Done(0, f"done: rename field kunden.name to titel\ndone: {drop}\n", "")
    (copy,) = Path().glob("shop.db.*.bak")
    with closing(sqlite3.connect("shop.db")) as now, closing(sqlite3.connect(copy)) as then:
        assert now.execute("select titel from kunden order by id").fetchall() == [("Meier",), ("Schulz",)]
        assert "plz" not in [row[1] for row in now.execute("pragma table_info(kunden)")]
        assert then.execute("select name, plz from kunden order by id").fetchall() == [
            ("Meier", "80331"),
            ("Schulz", None),
        ]
    assert run(capsys, "migrate", "shop.json") == Done(0, "nothing to do\n", "")


@pytest.mark.parametrize("rename", ["kunden.nope=titel", "nope=kunden", "nope.a=b"])
def test_rename_of_what_is_not_there(capsys: pytest.CaptureFixture[str], rename: str) -> None:
    """A name that the file does not have is refused by name."""
    write_schema()
    make_file()
    old = rename.split("=", maxsplit=1)[0]
    done = run(capsys, "migrate", "shop.json", "--rename", rename, "--apply")
    one_line(done, 1, rf"not carried out: .*{re.escape(old)} is not in the file.*")


def test_drop_of_what_is_not_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """--drop of something that the plan keeps drops nothing."""
    write_schema()
    make_file()
    assert run(capsys, "migrate", "shop.json", "--drop", "kunden", "--apply") == Done(0, "nothing to do\n", "")
    with closing(sqlite3.connect("shop.db")) as connection:
        assert connection.execute("select count(*) from kunden").fetchone() == (2,)


def test_migrate_data(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data in place of a schema migrates as a schema does; tables of others do not."""
    monkeypatch.chdir(tmp_path)
    Path("db.json").write_text('{"posts": [{"id": 1, "title": "a"}]}')
    minirest.make_app("db.json", "data.db", auth=False).close()
    Path("db.json").write_text('{"posts": [{"id": 1, "title": "a", "size": 1}]}')
    assert minirest.main(["migrate", "db.json", "--db", "data.db", "--apply"]) == 0
    assert "add field posts.size" in capsys.readouterr().out
    with closing(sqlite3.connect("others.db")) as connection:
        connection.execute("create table t (id integer primary key)")
    assert minirest.main(["migrate", "--db", "others.db"]) == 1
    assert "somebody else made the tables" in capsys.readouterr().err
