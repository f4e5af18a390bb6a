"""Secrets out of texts that are stored or shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

REDACTED = "[redacted]"
_SHORTEST = 6
_PUBLIC_PREFIX = "NOMAD_"
_SECRET_NOMAD = frozenset({"NOMAD_TOKEN"})


def secrets_of(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of an environment that must not be stored.

    Everything that the job, Vault or a template put there counts; Nomad's own description of the
    allocation does not, but for its token. Values shorter than six characters are left: replacing every
    "1" of a text would hide nothing and destroy the text.
    """
    return tuple(
        sorted(
            {
                value
                for name, value in env.items()
                if len(value) >= _SHORTEST
                and (not name.startswith(_PUBLIC_PREFIX) or name in _SECRET_NOMAD)
                and not value.startswith("/")
            },
            key=len,
            reverse=True,
        )
    )


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every known secret replaced, longest first."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text
