"""Generated requests to Platform and to the pages."""

import pytest

from tests.generator import ask_all


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("owner", ["platform", "pages"])
def test_requests(owner: str, strict: bool) -> None:
    ask_all([owner], 73, 90, strict=strict)
