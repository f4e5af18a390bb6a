#!/bin/sh
# Generates the protobuf modules from driver/jail_driver/plugin/proto into DIR (default: driver), under jail_driver/plugin/pb.
set -eu
cd "$(dirname "$0")/.."
out=${1:-driver}
virtual=jail_driver/plugin/pb
physical=driver/jail_driver/plugin/proto
set --
for file in "$physical"/*.proto; do
	set -- "$@" "$virtual/${file##*/}"
done
exec .venv/bin/python -m grpc_tools.protoc -I "$virtual=$physical" --python_out="$out" --pyi_out="$out" "$@"
