"""Generated protobuf modules: `scripts/proto.sh` makes them from ../proto."""
