"""Keeps what was asked and answered in each test, so that two runs can be compared."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirest import Fixture


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--journals", type=Path, help="write the requests of each test into this folder")


@pytest.fixture(autouse=True)
def journal(request: pytest.FixtureRequest, minirest: Fixture) -> Iterator[None]:
    yield
    folder: Path | None = request.config.getoption("journals")
    if folder:
        name = re.sub(r"\W+", "-", request.node.name)
        (folder / f"{name}.txt").write_text(f"{minirest.requests.text()}\n{minirest.app.store.moment()}\n")
