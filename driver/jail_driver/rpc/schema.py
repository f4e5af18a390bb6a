"""The neutral schema tree to Nomad's protobuf message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jail_driver import hclspec
from jail_driver.plugin.pb import hclspec_pb2 as pb

if TYPE_CHECKING:
    from jail_driver.hclspec import Spec


def to_proto(spec: Spec) -> pb.Spec:  # noqa: PLR0911  # one row for each kind
    """Returns the message of one spec and of all below it."""
    match spec:
        case hclspec.Attr(name, kind, required):
            return pb.Spec(Attr=pb.Attr(name=name, type=kind, required=required))
        case hclspec.Block(name, nested, required):
            return pb.Spec(block_value=pb.Block(name=name, nested=to_proto(nested), required=required))
        case hclspec.BlockList(name, nested, limit):
            return pb.Spec(block_list=pb.BlockList(name=name, nested=to_proto(nested), max_items=limit))
        case hclspec.BlockAttrs(name, kind, required):
            return pb.Spec(block_attrs=pb.BlockAttrs(name=name, type=kind, required=required))
        case hclspec.Literal(value):
            return pb.Spec(literal=pb.Literal(value=value))
        case hclspec.Default(primary, default):
            return pb.Spec(default=pb.Default(primary=to_proto(primary), default=to_proto(default)))
        case hclspec.Object(attributes):
            members = {key: to_proto(member) for key, member in attributes.items()}
            return pb.Spec(object=pb.Object(attributes=members))
