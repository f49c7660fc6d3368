"""Raise one number under If-Match, many times, in a process of its own; prints how many were done and refused."""

from __future__ import annotations

import json
import sys
from typing import Any

import webtest

import minirest


def main(schema: str, database: str, times: int) -> None:
    """Read and raise the number `times` times; whoever was too late tries the next one."""
    minirest.SCRYPT_COST = minirest.SCRYPT_COST_IN_MEMORY
    app = minirest.make_app(schema, database, auth=False, examples=False)
    client: Any = webtest.TestApp(app)
    counts = {200: 0, 412: 0}
    for _ in range(times):
        seen = client.get("/notes/1")
        values = {"data": {"count": seen.json["data"]["attributes"]["count"] + 1}}
        answer = client.patch_json("/notes/1", values, headers={"If-Match": seen.headers["ETag"]}, expect_errors=True)
        counts[answer.status_int] = counts.get(answer.status_int, 0) + 1
    app.close()
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
