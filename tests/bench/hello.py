"""Stock waitress with an application that says hello in 38 bytes: `python hello.py PORT`."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import waitress

BODY = b'{"message": "hello from a benchmark!"}'


def hello(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer whatever is asked."""
    del environ
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]


if __name__ == "__main__":
    waitress.serve(hello, host="127.0.0.1", port=int(sys.argv[1]), threads=4)
