"""Reading HCL: the values a job's author wrote, and the line of every mistake."""

from __future__ import annotations

from typing import Any

import pytest

from jail_driver.cli import hcl
from jail_driver.errors import ConfigError


def value(text: str) -> Any:
    """Reads one value, with a few names known."""
    return hcl.resolve(
        hcl.read(f"a = {text}\n").attributes["a"].value, {"x": 1, "var.y": "why", 'env["Z"]': "zed"}
    )


class TestValues:
    """What HCL's own specification says of literals."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1", 1),
            ("-500", -500),
            ("2.5", 2.5),
            ("1e3", 1000.0),
            ("true", True),
            ("null", None),
            ('""', ""),
            (r'"q\"b\\n\n\t\u00e9\U0001F600"', 'q"b\\n\n\té😀'),
            ('"$${x} %%{if}"', "${x} %{if}"),
            ('"a $ b %"', "a $ b %"),
            ('["a", 1, [true]]', ["a", 1, [True]]),
            ('{ a = 1, "b.c" : "d" }', {"a": 1, "b.c": "d"}),
            ("var.y", "why"),
            ('"<${var.y}-${x}>"', "<why-1>"),
            ('env["Z"]', "zed"),
            ("(7)", 7),
        ],
    )
    def test_value(self, text: str, expected: Any) -> None:
        """A literal is read as HCL reads it; names are looked up."""
        assert value(text) == expected

    def test_heredoc(self) -> None:
        """A heredoc ends with the newline of its last line; backslashes are text in it."""
        assert value("<<END\nl1 ${x} $${x}\n  l\\n2\n\nEND") == "l1 1 ${x}\n  l\\n2\n\n"

    def test_indented_heredoc(self) -> None:
        """With ``<<-`` the common indentation goes."""
        assert value("<<-END\n    one\n      two\n    END") == "one\n  two\n"


class TestStructure:
    """Blocks and attributes."""

    def test_blocks_keep_their_order_and_labels(self) -> None:
        """Several blocks of one kind are all there."""
        body = hcl.read('b "one" {\n  x = 1\n}\n# c\nb "two" "more" {}\nc {}\n')
        assert [(block.kind, block.labels) for block in body.blocks] == [
            ("b", ("one",)),
            ("b", ("two", "more")),
            ("c", ()),
        ]
        assert body.of_kind("b")[0].body.attributes["x"].value == 1


class TestMistakes:
    """A mistake is named with its line."""

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a = 1\na = 2\n", ["line 2", "a is set twice"]),
            ("a = {\n b = 1\n b = 2\n}\n", ["line 3", "b is set twice"]),
            ('\na = upper("x")\n', ["line 2", "literal values"]),
            ("a = 1 + 2\n", ["line 1", "literal values"]),
            ('a = "${1 + 2}"\n', ["line 1", "literal values"]),
            ('a = "${7}"\n', ["line 1", "only names"]),
            ('a = "\\q"\n', ["line 1", "\\q"]),
            ("a {\n", ["line", "no HCL"]),
        ],
    )
    def test_mistake(self, text: str, words: list[str]) -> None:
        """Nothing is guessed and nothing wins silently."""
        with pytest.raises(ConfigError) as caught:
            hcl.read(text)
        assert all(word in str(caught.value) for word in words), str(caught.value)

    def test_unknown_name(self) -> None:
        """A name that nobody knows is an error, never an empty text."""
        with pytest.raises(ConfigError, match=r"line 1: \$\{attr.kernel.name\} is not known"):
            value('"${attr.kernel.name}"')
