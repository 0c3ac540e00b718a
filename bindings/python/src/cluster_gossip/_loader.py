"""Finding and loading ``libcluster_gossip``.

The first that applies is loaded, and only that one: a path given to :func:`load`; the environment variable
``CLUSTER_GOSSIP_LIBRARY``; the library inside this package (``_native``, in wheels); the name ``libcluster_gossip.so.1``,
which the system's loader looks up. The working directory is never searched.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from pathlib import Path
from typing import Optional, Tuple, Union

from . import _constants, _ffi

ENVIRONMENT = "CLUSTER_GOSSIP_LIBRARY"

if sys.platform == "darwin":
    _BUNDLED, _SYSTEM = "libcluster_gossip.dylib", "libcluster_gossip.1.dylib"
elif sys.platform == "win32":
    _BUNDLED, _SYSTEM = "cluster_gossip.dll", "cluster_gossip.dll"
else:
    _BUNDLED, _SYSTEM = "libcluster_gossip.so", "libcluster_gossip.so.1"


class LibraryError(ImportError):
    """The native library was not found, is not one, or is of another ABI version."""


_lock = threading.Lock()
_library: Optional[ctypes.CDLL] = None
_path = ""


def _choose(path: Optional[Union[str, "os.PathLike[str]"]]) -> Tuple[str, str]:
    """What to load, and where that choice comes from."""
    if path is not None:
        return os.fspath(path), "the path given to load()"
    named = os.environ.get(ENVIRONMENT)
    if named:
        return named, f"the environment variable {ENVIRONMENT}"
    bundled = Path(__file__).with_name("_native") / _BUNDLED
    if bundled.exists():
        return str(bundled), "the library inside the package"
    return _SYSTEM, f"the system's loader ({ENVIRONMENT} is not set and the package contains no library)"


def load(path: Optional[Union[str, "os.PathLike[str]"]] = None) -> ctypes.CDLL:
    """Load the native library, or give the one that is loaded.

    Only needed to name a path; all else in the package loads on first use. Raises LibraryError, also when another
    library than the one named is loaded already: one process has one.
    """
    global _library, _path
    loaded = _library
    if loaded is not None and path is None:
        return loaded
    name, source = _choose(path)
    with _lock:
        if _library is not None:
            if path is not None and os.path.realpath(name) != os.path.realpath(_path):
                raise LibraryError(f"cannot load {name}: {_path} is loaded already")
            return _library
        try:
            # CDLL, never PyDLL: a call that waits must not hold the interpreter's lock.
            library = ctypes.CDLL(name)
        except OSError as error:
            raise LibraryError(f"cannot load {name}, chosen by {source}: {error}", path=name) from error
        check_version(library, name)
        _library, _path = library, name
        return library


def check_version(library: ctypes.CDLL, name: str) -> None:
    """Refuse what is not Cluster Gossip, or speaks another version of its interface; then type the functions."""
    try:
        version = library.gossip_abi_version
    except AttributeError as error:
        raise LibraryError(f"{name} is not a Cluster Gossip library: {error}", path=name) from error
    version.restype = ctypes.c_uint32
    version.argtypes = ()
    found = version()
    if found != _constants.ABI_VERSION:
        raise LibraryError(f"{name} has ABI version {found}, this binding needs ABI version {_constants.ABI_VERSION}", path=name)
    try:
        _ffi.declare(library)
    except AttributeError as error:
        raise LibraryError(f"{name} is older than this binding: {error}", path=name) from error


def version() -> str:
    """The version of the native library, such as ``"0.1.0"``."""
    text: bytes = load().gossip_version()
    return text.decode()
