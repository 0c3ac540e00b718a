"""Puts the native library into the wheel, which becomes one for this platform and every Python 3.

The library is the one that CLUSTER_GOSSIP_LIBRARY names, else the release build of the repository. The platform tag is that of this
machine; for a library built to run on more of them (such as manylinux) CLUSTER_GOSSIP_WHEEL_PLATFORM names it.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any, Dict

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAMES = {"darwin": "libcluster_gossip.dylib", "win32": "cluster_gossip.dll"}


class NativeLibraryHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for wheels."""

    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        if version == "editable":
            # Nothing is copied then: the library is found through CLUSTER_GOSSIP_LIBRARY or by its name.
            return
        name = NAMES.get(sys.platform, "libcluster_gossip.so")
        built = Path(self.root, "..", "..", "target", "release", name)
        library = Path(os.environ.get("CLUSTER_GOSSIP_LIBRARY") or built).resolve()
        if not library.is_file():
            raise FileNotFoundError(f"{library} is not there: build it (make build) or name another in CLUSTER_GOSSIP_LIBRARY")
        platform = os.environ.get("CLUSTER_GOSSIP_WHEEL_PLATFORM") or sysconfig.get_platform()
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + platform.replace("-", "_").replace(".", "_")
        build_data["force_include"][str(library)] = f"cluster_gossip/_native/{name}"
