"""The tree's shape: what a wheel holds, what a newcomer finds."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_ships_exactly_our_four_packages() -> None:
    """Plain names such as `driver` would be overwritten by other wheels: each package has its own name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(Path(package).name for package in packages) == [
        "jail_driver",
        "jail_linux",
        "jail_migrations",
        "jail_state",
    ]
    for package in packages:
        assert (ROOT / package / "py.typed").is_file()


def test_the_changelog_has_an_unreleased_section() -> None:
    """Each change is told to users before it is released."""
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text()
