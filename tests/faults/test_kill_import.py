"""Durability of an import: after kill -9 whole batches are there, each record with its history."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import minirest

BATCH, LINES = 300, 3000
SCHEMA = {"$defs": {"notes": {"type": "object", "properties": {"text": {"type": "string"}}}}}


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """An import of what is written to the process."""
    module = Path(minirest.__file__)
    command = [sys.executable, str(module), "import", "notes", "-", "--schema", "x.json", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINIREST_")}
    return subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def counts(path: Path) -> tuple[int, int]:
    """How many notes there are, and how many rows of their history; both belong together."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        present = connection.execute("select id, json_object('text', text) from notes order by id").fetchall()
        noted = connection.execute("select record, after from _history where dialect='import' order by id").fetchall()
    assert noted == present
    return len(present), len(noted)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
@pytest.mark.parametrize("options", [("--batch", str(BATCH)), ()])
def test_kill_import(tmp_path: Path, options: tuple[str, ...]) -> None:
    """An import that is killed in the middle of a file leaves whole batches, or nothing without them."""
    (tmp_path / "x.json").write_text(json.dumps(SCHEMA))
    minirest.make_app(SCHEMA, tmp_path / "x.db", auth=False).close()
    lines = b"".join(b"note %d%s\n" % (number, b"." * 100) for number in range(LINES))
    with start(tmp_path, *options) as process:
        assert process.stdin
        process.stdin.write(b"text\n" + lines)  # it returns when all has been read but what a pipe holds
        process.stdin.flush()
        process.kill()
    found, _ = counts(tmp_path / "x.db")
    assert (found % BATCH, found >= BATCH, found < LINES) == (0, bool(options), True)
    with start(tmp_path, *options) as process:
        process.communicate(b"text\nlast\n")
    assert (process.returncode, counts(tmp_path / "x.db")[0]) == (0, found + 1)
