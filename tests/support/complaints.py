"""Errors that have to name what is wrong."""

import pytest

from brainflix.errors import StudyError


def complains(action, *words, error=StudyError):
    """Assert that an action raises an error whose text holds the words; return the text."""
    with pytest.raises(error) as caught:
        action()
    text = str(caught.value)
    for word in words:
        assert word in text, text
    return text
