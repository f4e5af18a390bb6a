"""The protobuf modules: Nomad's own names and numbers, and no drift from their sources."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto

from jail_driver.plugin.pb import base_pb2, driver_pb2, goplugin_pb2, hclspec_pb2, structs_pb2

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMMITTED = ROOT / "driver/jail_driver/plugin/pb"


def test_every_name_and_number_is_nomads() -> None:
    """Nomad talks to us by field numbers and full names, so ours are exactly its own."""
    facts = {line for line in (HERE / "wire_facts.txt").read_text().splitlines() if not line.startswith("#")}
    ours = set()
    for module in (base_pb2, driver_pb2, goplugin_pb2, hclspec_pb2, structs_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        ours |= set(_facts(file))
    assert ours == facts


def test_generated_modules_match_their_sources(tmp_path: Path) -> None:
    """What is committed is what scripts/proto.sh makes now."""
    subprocess.run(["sh", str(ROOT / "scripts/proto.sh"), str(tmp_path)], check=True)
    fresh = {path.name: path.read_text() for path in (tmp_path / "jail_driver/plugin/pb").iterdir()}
    committed = {path.name: path.read_text() for path in COMMITTED.glob("*_pb2.py*")}
    assert fresh == committed


def _facts(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    for message in file.message_type:
        yield from _message(file.package, message)
    for enum in file.enum_type:
        yield from _enum(file.package, enum)
    for service in file.service:
        for rpc in service.method:
            given = f"{'stream ' if rpc.client_streaming else ''}{rpc.input_type[1:]}"
            answer = f"{'stream ' if rpc.server_streaming else ''}{rpc.output_type[1:]}"
            yield f"rpc {file.package}.{service.name}/{rpc.name} {given} -> {answer}"


def _message(parent: str, message: DescriptorProto) -> Iterator[str]:
    name = f"{parent}.{message.name}"
    if not message.field:
        yield f"message {name}"
    for field in message.field:
        label = FieldDescriptorProto.Label.Name(field.label)[6:].lower()
        kind = field.type_name.lstrip(".") or FieldDescriptorProto.Type.Name(field.type)[5:].lower()
        yield f"field {name}.{field.name}={field.number} {label} {kind}"
    for nested in message.nested_type:
        yield from _message(name, nested)
    for enum in message.enum_type:
        yield from _enum(name, enum)


def _enum(parent: str, enum: EnumDescriptorProto) -> Iterator[str]:
    for value in enum.value:
        yield f"enum {parent}.{enum.name} {value.name}={value.number}"
