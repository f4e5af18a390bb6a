"""The documentation is true: its examples are accepted, its commands exist, its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jail_driver import __main__ as command_line
from jail_driver.cli import hcl, jobfile
from jail_driver.config.options import parse_plugin_options
from jail_driver.config.task import parse_task_config

TREE = Path(__file__).parents[2]
PAGES = sorted([*TREE.glob("*.md"), *TREE.glob("docs/**/*.md")])
FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(language: str) -> Iterator[Any]:
    """Each fenced block of a language, with its page and its number."""
    for page in PAGES:
        found = [match for match in FENCE.finditer(page.read_text()) if match[2] == language]
        for number, match in enumerate(found, 1):
            text = re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
            yield pytest.param(text, id=f"{page.relative_to(TREE)}-{number}")


def commands() -> Iterator[Any]:
    """Each call of our program in a page, in fences and in indented blocks."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            found = re.match(r"^\s+(?:\S*/)?jail-task-driver (\S.*?)(?:\s+#.*)?$", line) or re.match(
                r"^(?:\S*/)?jail-task-driver (\S.*?)$", line
            )
            if found and not line.lstrip().startswith("#"):
                yield pytest.param(found[1], id=f"{page.relative_to(TREE)}: {found[1]}")


@pytest.mark.parametrize("text", list(blocks("hcl")))
def test_examples(text: str) -> None:
    """A task's config block is one that the driver takes; so is a plugin's."""
    body = hcl.read(text)
    for task in body.of_kind("task"):
        job, _ = jobfile.load(text, task=task.label)
        assert parse_task_config(job.config, None).start
    for plugin in body.of_kind("plugin"):
        for config in plugin.body.of_kind("config"):
            assert parse_plugin_options(jobfile.as_map(config.body, {})).state_dir


@pytest.mark.parametrize("path", sorted(TREE.glob("docs/examples/*.hcl")), ids=lambda path: path.name)
def test_job_files(path: Path) -> None:
    """So is that of each job file."""
    task, _ = jobfile.load(path.read_text(), variables={"root": "/a/root"})
    assert parse_task_config(task.config, None).path == "/a/root"


@pytest.mark.parametrize("text", list(commands()))
def test_commands(text: str) -> None:
    """A command line that a page shows is one that the program takes."""
    words = shlex.split(text)
    if words[0] != "serve":
        assert command_line._parser().parse_args(words).execute


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_links(page: Path) -> None:
    """A relative link leads to a file of the tree."""
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("text", list(blocks("sh")))
def test_make_targets(text: str) -> None:
    """A target that a page names exists."""
    makefile = (TREE / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def docs_script() -> ModuleType:
    """The script behind ``make docs``."""
    spec = importlib.util.spec_from_file_location("docs_script", TREE / "scripts/docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["lifecycle.md", "parameters.md"])
def test_generated_pages(name: str) -> None:
    """A page that is drawn from a table is what `make docs` makes of it now."""
    assert (TREE / "docs/reference" / name).read_text() == docs_script().PAGES[name]()


def test_every_page_is_reachable() -> None:
    """A page that no other page links to is a page that nobody reads."""
    linked = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in LINK.findall(page.read_text())
        if "://" not in target
    }
    assert [
        str(page.relative_to(TREE)) for page in PAGES if page.name != "README.md" and page not in linked
    ] == []
