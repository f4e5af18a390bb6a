"""Nomad's base and driver services, translated to and from plain data."""
