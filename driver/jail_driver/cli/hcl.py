"""Job files: from HCL text to plain values, with the line of everything that is wrong.

python-hcl2 owns the grammar. Its own conversion to dictionaries is not used: it drops a heredoc's last
newline, keeps escapes, and lets a repeated attribute win silently where Nomad refuses it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import hcl2
from lark import Token, Tree, UnexpectedInput

from jail_driver.errors import ConfigError

_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_HEREDOC: Final = re.compile(r"<<-?([^\r\n]+)\r?\n(.*?)[ \t]*\1\s*\Z", re.DOTALL)
_TEMPLATE: Final = re.compile(r"(\$\$\{|%%\{)|\$\{([^}]*)\}")
_NOISE: Final = {"new_line_or_comment"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A name to be looked up later: ``var.root``, ``NOMAD_ALLOC_DIR``, ``env["HOME"]``."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Template:
    """Text with names in it."""

    parts: tuple[str | Reference, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One ``name = value``; the value is plain, or holds references and templates."""

    value: Any
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """One ``kind "label" { … }``."""

    kind: str
    labels: tuple[str, ...]
    body: Body
    line: int

    @property
    def label(self) -> str:
        """The first label; empty without one."""
        return self.labels[0] if self.labels else ""


@dataclass(frozen=True, slots=True)
class Body:
    """What stands between two braces, or in a file."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()

    def of_kind(self, kind: str) -> tuple[Block, ...]:
        """The blocks of one kind, in order."""
        return tuple(block for block in self.blocks if block.kind == kind)


def read(text: str) -> Body:
    """Reads a whole file.

    Raises:
        ConfigError: with the line, and what is wrong there.
    """
    try:
        tree = hcl2.parses_to_tree(text)
    except UnexpectedInput as error:
        around = error.get_context(text, span=30).splitlines()[0].strip()
        raise ConfigError(f"line {error.line}: this is no HCL: {around}") from None
    return _body(_trees(tree)[0])


def resolve(value: Any, names: Mapping[str, Any]) -> Any:
    """Replaces references and templates by what they name.

    Args:
        value: as ``read`` returned it.
        names: what can be named.

    Raises:
        ConfigError: a name that is not there.
    """
    if isinstance(value, Reference):
        if value.name not in names:
            raise ConfigError(f"line {value.line}: ${{{value.name}}} is not known to `run`")
        return names[value.name]
    if isinstance(value, Template):
        return "".join(part if isinstance(part, str) else str(resolve(part, names)) for part in value.parts)
    if isinstance(value, list):
        return [resolve(one, names) for one in value]
    if isinstance(value, dict):
        return {key: resolve(one, names) for key, one in value.items()}
    return value


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree) and child.data not in _NOISE]


def _body(tree: Tree[Token]) -> Body:
    attributes: dict[str, Attribute] = {}
    blocks: list[Block] = []
    for child in _trees(tree):
        if child.data == "attribute":
            name, value = _trees(child)
            key = _identifier(name)
            if key in attributes:
                raise ConfigError(f"line {child.meta.line}: {key} is set twice; a list holds several values")
            attributes[key] = Attribute(_value(value), child.meta.line)
        else:
            kind, *labels, inner = _trees(child)
            blocks.append(
                Block(
                    _identifier(kind), tuple(_label(label) for label in labels), _body(inner), child.meta.line
                )
            )
    return Body(attributes, tuple(blocks))


def _identifier(tree: Tree[Token]) -> str:
    return str(tree.children[0])


def _label(tree: Tree[Token]) -> str:
    return _identifier(tree) if tree.data == "identifier" else str(_string(tree))


def _value(tree: Tree[Token]) -> Any:
    """Reads one expression; what would have to be computed is refused."""
    kind = str(tree.data)
    inner = _trees(tree)
    if kind == "expr_term" and len(inner) == 1:
        return _value(inner[0])
    if kind in _LITERALS:
        return _LITERALS[kind](str(tree.children[0]))
    if kind in _COMPOUND:
        return _COMPOUND[kind](tree)
    raise ConfigError(f"line {tree.meta.line}: `run` takes literal values here, no expressions")


def _object(tree: Tree[Token]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in _trees(tree):
        key_tree, value_tree = _trees(element)
        key = _value(_trees(key_tree)[0])
        name = key.name if isinstance(key, Reference) else str(key)
        if name in found:
            raise ConfigError(f"line {element.meta.line}: {name} is set twice")
        found[name] = _value(value_tree)
    return found


def _tuple(tree: Tree[Token]) -> list[Any]:
    return [_value(element) for element in _trees(tree)]


def _reference(tree: Tree[Token]) -> Reference:
    return Reference(_source(tree), tree.meta.line)


def _source(tree: Tree[Token]) -> str:
    """The text of a name such as ``env["HOME"]``, without blanks."""
    return "".join(str(token).strip() for token in tree.scan_values(lambda found: isinstance(found, Token)))


def _string(tree: Tree[Token]) -> str | Template:
    parts: list[str | Reference] = []
    for child in _trees(tree):
        [content] = child.children
        if isinstance(content, Tree):
            parts.append(_interpolation(content))
        elif content.startswith(("$${", "%%{")):
            parts.append(_unescaped(content[1:], tree.meta.line))
        else:
            parts.append(_unescaped(content, tree.meta.line))
    return _joined(parts)


def _interpolation(tree: Tree[Token]) -> Reference:
    [expression] = _trees(tree)
    value = _value(expression)
    if not isinstance(value, Reference):
        raise ConfigError(f"line {tree.meta.line}: `run` takes only names in ${{…}}")
    return value


def _joined(parts: list[str | Reference]) -> str | Template:
    if any(isinstance(part, Reference) for part in parts):
        return Template(tuple(parts))
    return "".join(part for part in parts if isinstance(part, str))


def _unescaped(text: str, line: int) -> str:
    def one(found: re.Match[str]) -> str:
        escape = found[1]
        if escape in _SIMPLE:
            return _SIMPLE[escape]
        if len(escape) == 1:
            raise ConfigError(f"line {line}: \\{escape} is no escape in HCL")
        return chr(int(escape[1:], 16))

    return _ESCAPE.sub(one, text)


def _heredoc(tree: Tree[Token]) -> str | Template:
    source, line = str(tree.children[0]), tree.meta.line
    found = _HEREDOC.match(source)
    if found is None:
        raise ConfigError(f"line {line}: this heredoc does not end")
    text = textwrap.dedent(found[2]) if source.startswith("<<-") else found[2]
    parts: list[str | Reference] = []
    end = 0
    for name in _TEMPLATE.finditer(text):
        parts.append(text[end : name.start()])
        parts.append(name[1][1:] if name[1] else Reference(name[2].strip(), line))
        end = name.end()
    return _joined([*parts, text[end:]])


_LITERALS: Final[Mapping[str, Callable[[str], Any]]] = {
    "int_lit": int,
    "float_lit": float,
    "literal_value": {"true": True, "false": False, "null": None}.__getitem__,
}
_COMPOUND: Final[Mapping[str, Callable[[Tree[Token]], Any]]] = {
    "string": _string,
    "heredoc_template": _heredoc,
    "heredoc_template_trim": _heredoc,
    "tuple": _tuple,
    "object": _object,
    "identifier": _reference,
    "get_attr_expr_term": _reference,
    "index_expr_term": _reference,
}
