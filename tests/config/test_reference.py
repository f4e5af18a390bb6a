"""The reference page and the tables are the same."""

from __future__ import annotations

from pathlib import Path

from jail_driver.config.keys import KEYS
from jail_driver.config.options import OPTIONS
from jail_driver.config.reference import render
from jail_driver.config.rules import RESOURCES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "parameters.md"


def test_page_is_up_to_date() -> None:
    """The committed page is what the tables say: python -m jail_driver.config.reference > docs/reference/parameters.md."""
    assert PAGE.read_text() == render()


def test_page_names_everything() -> None:
    """Every key, resource and option is on the page."""
    page = render()
    names = [key.name for key in KEYS] + [name.capitalize() for name in RESOURCES] + [o.name for o in OPTIONS]
    assert [name for name in names if f"| `{name}` |" not in page] == []
