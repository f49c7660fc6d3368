"""Generated requests to CoreData and Qore."""

import pytest

from tests.generator import ask_all


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("owner", ["coredata", "qore"])
def test_requests(owner: str, strict: bool) -> None:
    ask_all([owner], 72, 90, strict=strict)
