"""Errors: :class:`GossipError`, and a subclass for each status of the native library.

The subclasses are made from the table that the library exports, when the first of them is asked for:
``GOSSIP_ERR_NOT_FOUND`` becomes :class:`NotFoundError`. Where a builtin exception means the same, the subclass derives from it
too, so that ``except TimeoutError`` and ``except KeyError`` do what one expects.
"""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Dict, List, Tuple, Type

from . import _constants, _loader


class GossipError(Exception):
    """A call was answered with an error.

    ``status`` is the number and ``name`` the name of the status in the C header (``"GOSSIP_ERR_TIMEOUT"``), ``message`` says what
    was wrong, ``can_retry`` whether the same call may succeed later.
    """

    status: int
    name: str
    message: str
    can_retry: bool

    def __init__(self, status: int, name: str, message: str, can_retry: bool = False) -> None:
        super().__init__(status, name, message, can_retry)
        self.status = status
        self.name = name
        self.message = message
        self.can_retry = can_retry

    def __str__(self) -> str:
        return f"{self.message} ({self.name})"

    def __reduce__(self) -> Tuple[object, Tuple[object, ...]]:
        # The class is made at run time, so pickle cannot rely on finding it by name before the library is loaded.
        return (make, (self.status, self.message))


# What each means in Python's own terms. A status that is not here gets GossipError alone.
_BUILTINS: Dict[str, Type[Exception]] = {
    "GOSSIP_ERR_INVALID_ARGUMENT": ValueError,
    "GOSSIP_ERR_INVALID_HANDLE": ValueError,
    "GOSSIP_ERR_CLOSED": RuntimeError,
    "GOSSIP_ERR_TIMEOUT": TimeoutError,
    "GOSSIP_ERR_NOT_FOUND": KeyError,
    "GOSSIP_ERR_UNKNOWN_SETTING": ValueError,
    "GOSSIP_ERR_BAD_SETTING": ValueError,
    "GOSSIP_ERR_NOT_LIVE": ValueError,
    "GOSSIP_ERR_RESERVED_KEY": ValueError,
    "GOSSIP_ERR_INVALID_KEY": ValueError,
    "GOSSIP_ERR_VALUE_TOO_LARGE": ValueError,
    "GOSSIP_ERR_WOULD_DEADLOCK": RuntimeError,
    "GOSSIP_ERR_FORKED": RuntimeError,
    "GOSSIP_ERR_BIND": OSError,
    "GOSSIP_ERR_ADVERTISE": OSError,
    "GOSSIP_ERR_WRONG_TYPE": TypeError,
    "GOSSIP_ERR_NOT_SUPPORTED": NotImplementedError,
    "GOSSIP_ERR_NO_RESOURCES": OSError,
    "GOSSIP_ERR_PANIC": RuntimeError,
    "GOSSIP_ERR_FAILED": RuntimeError,
}

_lock = threading.Lock()
_by_status: Dict[int, Type[GossipError]] = {}
_by_name: Dict[str, Type[GossipError]] = {}


def _class_name(name: str) -> str:
    """``GOSSIP_ERR_NOT_FOUND`` -> ``NotFoundError``."""
    words = name[len("GOSSIP_ERR_") :] if name.startswith("GOSSIP_ERR_") else name
    return "".join(word.capitalize() for word in words.split("_")) + "Error"


def _define(status: int, name: str, sentence: str) -> Type[GossipError]:
    builtin = _BUILTINS.get(name)
    bases = (GossipError,) if builtin is None else (GossipError, builtin)
    text = f"{name} ({status}): {sentence}"
    return type(_class_name(name), bases, {"__doc__": text, "__module__": __name__})


def _table() -> Dict[str, Type[GossipError]]:
    """The subclasses by their names; made once."""
    if not _by_name:
        library = _loader.load()
        with _lock:
            for index in range(library.gossip_status_count()):
                status = library.gossip_status_at(index)
                if status == _constants.OK or status in _by_status:
                    continue
                error = _define(status, _name(library, status), _sentence(library, status))
                _by_status[status] = error
                _by_name[error.__name__] = error
    return _by_name


def _name(library: ctypes.CDLL, status: int) -> str:
    text: bytes = library.gossip_status_name(status) or b""
    return text.decode()


def _sentence(library: ctypes.CDLL, status: int) -> str:
    text: bytes = library.gossip_status_text(status) or b""
    return text.decode()


def make(status: int, message: str = "") -> GossipError:
    """The error of a status, with the library's own sentence where there is no message."""
    _table()
    library = _loader.load()
    name = _name(library, status)
    if not message:
        message = _sentence(library, status)
    can_retry = bool(library.gossip_status_can_retry(status))
    return _by_status.get(status, GossipError)(status, name, message, can_retry)


def __getattr__(name: str) -> Type[GossipError]:
    if name.endswith("Error"):
        found = _table().get(name)
        if found is not None:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return ["GossipError", *sorted(_table())]


if TYPE_CHECKING:
    # What the table yields, for type checkers and editors; a test compares the two.
    import builtins

    class InvalidArgumentError(GossipError, ValueError): ...

    class InvalidHandleError(GossipError, ValueError): ...

    class ClosedError(GossipError, RuntimeError): ...

    class TimeoutError(GossipError, builtins.TimeoutError): ...

    class NotFoundError(GossipError, KeyError): ...

    class UnknownSettingError(GossipError, ValueError): ...

    class BadSettingError(GossipError, ValueError): ...

    class NotLiveError(GossipError, ValueError): ...

    class ReservedKeyError(GossipError, ValueError): ...

    class InvalidKeyError(GossipError, ValueError): ...

    class ValueTooLargeError(GossipError, ValueError): ...

    class LimitError(GossipError): ...

    class BusyError(GossipError): ...

    class WouldDeadlockError(GossipError, RuntimeError): ...

    class ForkedError(GossipError, RuntimeError): ...

    class BindError(GossipError, OSError): ...

    class AdvertiseError(GossipError, OSError): ...

    class IdTakenError(GossipError): ...

    class LeftError(GossipError): ...

    class BannedError(GossipError): ...

    class WrongTypeError(GossipError, TypeError): ...

    class NotSupportedError(GossipError, NotImplementedError): ...

    class NoResourcesError(GossipError, OSError): ...

    class PanicError(GossipError, RuntimeError): ...

    class FailedError(GossipError, RuntimeError): ...

    class InterruptedError(GossipError): ...
