"""The parent of a task's processes, and how the plugin starts and reaches it.

Two sides share this package. ``fork_helper``, ``main`` and what they import run under ``python -I -S``
with nothing but the standard library, and as little of that as possible: a node may hold a thousand of
them. ``launcher`` and ``client`` are the plugin's asyncio side. Both know ``procid`` and ``files``.

Kept empty of imports, so that neither side pays for the other.
"""
