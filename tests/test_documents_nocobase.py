"""Whatever a document of NocoBase and Qore allows to be sent gets an answer that the document has."""

import pytest

from tests.documents_fuzz import OTHER_PAIRS, check


@pytest.mark.parametrize(("dialect", "role"), OTHER_PAIRS)
def test_no_answer_is_undocumented(dialect: str, role: str) -> None:
    """No 5xx, no status, header or body that is not described, whoever asks."""
    check(dialect, role)
