"""What is tested over sockets, once more with servers whose loops answer nothing themselves."""

# ruff: noqa: F403
from collections.abc import Iterator

import pytest

from tests.conformance.test_platform_sockets import *
from tests.test_server import *
from tests.test_transport import *


@pytest.fixture(autouse=True, scope="module")
def _no_loop() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIREST_INLINE", "0")
        yield
