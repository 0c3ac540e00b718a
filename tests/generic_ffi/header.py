"""The library's header, as the C preprocessor leaves it: what a generic FFI can parse."""

import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEADER = ROOT / "include" / "cluster_gossip.h"


def preprocess():
    """The declarations, and the integer constants as {name: number}."""
    with tempfile.TemporaryDirectory() as empty:
        # FFIs know size_t and uint64_t by themselves, and choke on the compiler's own headers: those are empty here.
        for name in ("stddef.h", "stdint.h", "stdbool.h", "stdarg.h", "stdlib.h"):
            (pathlib.Path(empty) / name).touch()

        def cpp(*options):
            command = ["cc", "-E", "-nostdinc", "-isystem", empty, *options, str(HEADER)]
            return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout

        declarations = cpp("-P")
        constants = {}
        for name, value in re.findall(r"^#define (GOSSIP_\w+) (.+)$", cpp("-dM"), re.M):
            number = re.fullmatch(r"\(?(-?(?:0[xX][0-9a-fA-F]+|\d+))[uUlL]*\)?", value.strip())
            if number:
                constants[name] = int(number[1], 0)
    return declarations, constants
