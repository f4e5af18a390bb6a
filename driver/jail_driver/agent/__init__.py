"""Nomad's side of the plugin protocol: what an agent does to load a plugin and to call it."""
