"""A server under load whose operations are recorded."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.power.check import Promises
from tests.power.disk import SUFFIXES, Record, read_records
from tests.power.load import SCHEMA, write_at_once
from tests.test_server import run_server

SOURCE = Path(__file__).with_name("recorder.c")
REQUEST_ID = re.compile(rb"\r\nX-Request-Id: (\w+)\r\n")


class Recording(NamedTuple):
    """What a server has done from its start to its end, and what it has promised to its clients."""

    records: list[Record]
    promises: Promises
    sent: list[int]
    """The positions of the answers."""
    idle: int
    """The position at which all was answered and the server had nothing to do."""
    files: dict[str, bytes]
    """The files of the database as they were then, by the ends of their names."""


def record(folder: Path, program: Sequence[str], clients: int, writes: int) -> Recording:
    """Start a server in an empty folder, let so many clients write so often, and stop it in peace."""
    folder = folder.resolve()
    database, log = folder / "x.db", folder / "record"
    (folder / "x.json").write_text(json.dumps(SCHEMA))
    preloaded = {"LD_PRELOAD": str(build(folder)), "RECORDED_DATABASE": str(database), "RECORD": str(log)}
    arguments = ("x.json", "--db", database.name, "--port", "0", "--no-auth")
    with run_server(*program, *arguments, cwd=folder, **preloaded) as server:
        written = write_at_once(server.port, clients, writes)
        idle, files = len(read_records(log)), read_files(database)
        assert server.stop() == 0
    records = read_records(log)
    sent = answers(records)
    return Recording(records, Promises(written, sent), list(sent.values()), idle, files)


def build(folder: Path) -> Path:
    """Compile the recorder."""
    library = folder / "recorder.so"
    words = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(["gcc", *words, "-ldl", "-lpthread"], check=True)
    return library


def read_files(database: Path) -> dict[str, bytes]:
    """The files of a database, by the ends of their names."""
    paths = {suffix: Path(f"{database}{suffix}") for suffix in SUFFIXES.values()}
    return {suffix: path.read_bytes() for suffix, path in paths.items() if path.exists()}


def answers(records: Sequence[Record]) -> dict[str, int]:
    """The positions of the records with which answers began to go out, by the answers' X-Request-Id."""
    return {
        found.decode(): position
        for position, it in enumerate(records)
        if it.kind == ">"
        for found in REQUEST_ID.findall(it.data)
    }
