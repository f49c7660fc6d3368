"""Serves a schema from a file: `writing_server.py SCHEMA DATABASE` prints the address, then waits for its end."""

from __future__ import annotations

import sys

import minirest

if __name__ == "__main__":
    minirest.SCRYPT_COST = minirest.SCRYPT_COST_IN_MEMORY  # many starts, one made-up password
    app = minirest.make_app(sys.argv[1], sys.argv[2], users={"anna": "a good password"}, examples=False)
    minirest.serve(app, port=0, on_ready=lambda url: print(url, flush=True))
    app.close()
