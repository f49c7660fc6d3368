"""The server as it must not be: `careless_server.py SYNCHRONOUS OPTION...` has another `pragma synchronous` than FULL.

With `normal` the write-ahead log is synced before a checkpoint only, with `off` nothing ever is. The power cuts have to
find out.
"""

from __future__ import annotations

import sqlite3
import sys

import minirest

prepare = minirest.Database.prepare


def prepare_carelessly(self: minirest.Database, connection: sqlite3.Connection) -> sqlite3.Connection:
    """What the server does with a new connection, and our setting after it."""
    prepare(self, connection).execute(f"pragma synchronous={sys.argv[1]}")
    return connection


if __name__ == "__main__":
    minirest.Database.prepare = prepare_carelessly  # type: ignore[method-assign]
    sys.exit(minirest.main(sys.argv[2:]))
