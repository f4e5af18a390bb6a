#!/bin/sh
# Makes driver/jail_driver/plugin/pb from the .proto files beside it. The virtual directory gives the
# generated modules imports by their package's full name. An absolute DIR as argument takes them instead.
set -eu
out=${1:-.}
cd "$(dirname "$0")/../driver"
package=jail_driver/plugin
files=$(cd "$package/proto" && ls ./*.proto | sed "s|^\./|$package/pb/|")
# shellcheck disable=SC2086  # one word each: our own file names
../.venv/bin/python -m grpc_tools.protoc "-I$package/pb=$package/proto" "--python_out=$out" "--pyi_out=$out" $files
