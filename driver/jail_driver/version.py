"""The version of the plugin, semantic versioning (Nomad parses it)."""

__version__ = "0.1.0"
