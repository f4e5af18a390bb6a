"""One table: what each error of the driver becomes on the wire.

Nomad's client reads a start's first status detail to learn whether the restart policy may try again
(plugins/drivers/client.go); UNAVAILABLE and CANCELLED mean to it that the plugin died
(helper/pluginutils/grpcutils/utils.go), so no error of ours uses them.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2

from jail_driver import errors
from jail_driver.plugin.pb import status_pb2, structs_pb2
from jail_state.store import errors as store

DETAILS_KEY = "grpc-status-details-bin"
LONGEST_TEXT = 4000
"""Characters. The text travels in an HTTP/2 header, percent-encoded."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one error is answered.

    Args:
        code: the gRPC status.
        recoverable: what a failed start tells the restart policy; None leaves it unsaid (not restarted).
    """

    code: grpc.StatusCode
    recoverable: bool | None


TABLE: tuple[tuple[type[BaseException], Verdict], ...] = (
    (errors.ConfigError, Verdict(grpc.StatusCode.INVALID_ARGUMENT, recoverable=False)),
    (errors.HostError, Verdict(grpc.StatusCode.ABORTED, recoverable=True)),
    (errors.StartError, Verdict(grpc.StatusCode.FAILED_PRECONDITION, recoverable=None)),
    (errors.UnknownTaskError, Verdict(grpc.StatusCode.NOT_FOUND, recoverable=False)),
    (errors.HandleError, Verdict(grpc.StatusCode.NOT_FOUND, recoverable=False)),
    (errors.UnavailableError, Verdict(grpc.StatusCode.FAILED_PRECONDITION, recoverable=True)),
    (store.UnavailableError, Verdict(grpc.StatusCode.FAILED_PRECONDITION, recoverable=True)),
    (errors.UnsupportedError, Verdict(grpc.StatusCode.UNIMPLEMENTED, recoverable=False)),
    (errors.DriverError, Verdict(grpc.StatusCode.UNKNOWN, recoverable=False)),
    (Exception, Verdict(grpc.StatusCode.INTERNAL, recoverable=None)),
)
"""First match wins. A StartError carries its own ``recoverable``; the last row is a defect of ours."""


def verdict(error: Exception) -> Verdict:
    """Returns how this error is answered."""
    found = next(verdict for kind, verdict in TABLE if isinstance(error, kind))
    if isinstance(error, errors.StartError):
        return Verdict(found.code, recoverable=error.recoverable)
    return found


def is_expected(error: Exception) -> bool:
    """Tells the driver's own errors from defects, whose traceback belongs into the log."""
    return isinstance(error, (errors.DriverError, store.UnavailableError))


def text(error: Exception) -> str:
    """Returns the sentence for the operator, bounded."""
    full = str(error) if is_expected(error) else f"internal error: {type(error).__name__}: {error}"
    return full if len(full) <= LONGEST_TEXT else f"{full[: LONGEST_TEXT - 1]}…"


def start_details(code: grpc.StatusCode, message: str, *, recoverable: bool) -> bytes:
    """Returns the trailer that carries ``RecoverableError`` beside a failed start."""
    detail = any_pb2.Any()
    detail.Pack(structs_pb2.RecoverableError(recoverable=recoverable))
    status = status_pb2.Status(code=code.value[0], message=message, details=[detail])
    return status.SerializeToString()
