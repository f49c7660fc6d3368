"""The suites whose requests a server's loop has to answer exactly as a worker does; tests are not timed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.both_paths import both_paths

ROOT = Path(__file__).parent
SUITES = {
    *(ROOT / "conformance").glob("test_*.py"),
    *ROOT.glob("test_attacks*.py"),
    ROOT / "test_blind_reads.py",
    ROOT / "test_fuzzing.py",
}

settings.register_profile("patient", deadline=None)  # a machine may stand still
settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="module")
def _both_paths(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each request of these suites goes both ways, and both have to say and to do the same."""
    if request.path in SUITES:
        with both_paths():
            yield
    else:
        yield
