"""Whatever a document of Limbas, Platform and Qore allows to be sent gets an answer that the document has."""

import pytest

from tests.documents_fuzz import check


@pytest.mark.parametrize(
    ("dialect", "role"), [("limbas", "admin"), ("limbas", "writer"), ("platform", "writer"), ("qore", "admin")]
)
def test_no_answer_is_undocumented(dialect: str, role: str) -> None:
    """No 5xx, no status, header or body that is not described, whoever asks."""
    check(dialect, role)
