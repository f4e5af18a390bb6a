"""The shape of a configuration block, as plain data: what Nomad calls an hclspec.

The tree is neutral: the configuration package builds it from its tables, the RPC layer turns it into
Nomad's protobuf message. Nomad's agent decodes the job's HCL with it and sends the result as a msgpack map
(helper/pluginutils/hclspec/dec.go of Nomad).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Attr:
    """One ``name = value``.

    Args:
        name: the name written in HCL.
        type: a type expression: ``string``, ``number``, ``bool``, ``any``, ``list(string)``,
            ``list(map(string))``, ``map(any)``…; ``any`` takes a value of every type.
        required: whether Nomad refuses a block without it.
    """

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Zero or one ``name { … }``; an absent block arrives as None."""

    name: str
    nested: Spec
    required: bool = False


@dataclass(frozen=True, slots=True)
class BlockList:
    """Any number of ``name { … }``; none arrives as an empty list.

    Args:
        name: the block's name in HCL.
        nested: the shape of each block.
        limit: the most blocks allowed; 0 means no limit.
    """

    name: str
    nested: Spec
    limit: int = 0


@dataclass(frozen=True, slots=True)
class BlockAttrs:
    """Zero or one ``name { any = value … }`` whose keys the user chooses; ``type`` is that of each value."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Literal:
    """A value given as HCL source text, so that text keeps its quotes: ``"5s"`` inside a Python string."""

    value: str


@dataclass(frozen=True, slots=True)
class Default:
    """``primary``, or ``default`` where the job gives none."""

    primary: Spec
    default: Spec


@dataclass(frozen=True, slots=True)
class Object:
    """A map of named specs: the root of every schema. The keys are those of the map that Nomad sends."""

    attributes: Mapping[str, Spec]


Spec: TypeAlias = Attr | Block | BlockList | BlockAttrs | Literal | Default | Object
