#!/usr/bin/env python3
"""Each function of the header is used by each binding, or tests/exports-unused.txt says why not; the library exports exactly them.

    exports.py [--library FILE]     without it: CLUSTER_GOSSIP_LIBRARY, else target/release/libcluster_gossip.so

A line of exports-unused.txt is: binding, function, reason. A line whose function is used after all, or is no function of
the header, fails too.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

from harness import Report

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = ROOT / "include" / "cluster_gossip.h"
UNUSED = ROOT / "tests" / "exports-unused.txt"

# binding -> where it calls the library. A binding whose folder is not there does not exist yet.
BINDINGS = {
    "cpp": ("bindings/cpp", ["*.hpp", "cluster_gossip/*.hpp"]),
    "cpp-loader": ("bindings/cpp/cluster_gossip", ["*.h"]),
    "python": ("bindings/python", ["src/cluster_gossip/_ffi.py"]),
    "go": ("bindings/go", ["**/*.go", "**/*.h", "**/*.c"]),
    "csharp": ("bindings/csharp", ["**/*.cs"]),
}
# The sources of these are the project's own; generated and built files beside them say nothing.
BUILT = {"build", "bin", "obj", "node_modules", "__pycache__"}

NAME = re.compile(r"\bgossip_[a-z0-9_]+\b")


def without_comments(text, python):
    """The text without comments, so that a name in prose does not count as a use."""
    if python:
        text = re.sub(r'(?s)""".*?"""', "", text)
        return re.sub(r"(?m)#.*$", "", text)
    return re.sub(r"(?m)//.*$", "", re.sub(r"(?s)/\*.*?\*/", "", text))


def functions_of(header):
    """The names that the header declares as functions; callbacks' types are no functions."""
    text = without_comments(header.read_text(encoding="utf-8"), python=False)
    text = re.sub(r"(?m)^[ \t]*#.*(?:\\\n.*)*$", "", text)
    text = re.sub(r"\btypedef\b[^;{]*;", "", text)
    return set(re.findall(r"\b(gossip_[a-z0-9_]+)\s*\(", text))


def names_in(folder, patterns):
    """(names, files read)"""
    names, files = set(), 0
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and not BUILT & set(path.relative_to(folder).parts):
                files += 1
                names |= set(NAME.findall(without_comments(path.read_text(encoding="utf-8"), path.suffix == ".py")))
    return names, files


def unused_rows():
    """binding -> {function: reason}"""
    rows = {}
    for number, line in enumerate(UNUSED.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(None, 2)
        assert len(words) == 3, f"{UNUSED.name}:{number}: a line is: binding, function, reason"
        binding, function, reason = words
        assert function not in rows.setdefault(binding, {}), f"{UNUSED.name}:{number}: {function} stands there twice"
        rows[binding][function] = reason
    return rows


def exported_by(library):
    """Every name that the library defines for others."""
    lines = subprocess.run(["nm", "-D", "--defined-only", str(library)], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.strip()}


def table(functions, used, reasons):
    """One line a function: for each binding "used", or the reason why not."""
    width = max(map(len, functions))
    for function in sorted(functions):
        cells = [f"{binding}: {'used' if function in names else reasons.get(binding, {}).get(function, 'MISSING')}" for binding, names in used.items()]
        print(f"{function:<{width}}  {'; '.join(cells)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=pathlib.Path,
                        default=os.environ.get("CLUSTER_GOSSIP_LIBRARY") or ROOT / "target" / "release" / "libcluster_gossip.so")
    library = pathlib.Path(parser.parse_args().library)
    report = Report()
    functions = functions_of(HEADER)
    reasons, used = {}, {}

    with report.check("the header declares functions"):
        assert {"gossip_open", "gossip_status_name", "gossip_event_entry", "gossip_bytes_free"} <= functions, sorted(functions)
        assert "gossip_event_fn" not in functions
    with report.check("exports-unused.txt is well-formed and names bindings and functions that exist"):
        reasons = unused_rows()
        assert set(reasons) <= set(BINDINGS), f"unknown bindings: {sorted(set(reasons) - set(BINDINGS))}"
        for binding, rows in reasons.items():
            assert set(rows) <= functions, f"{binding}: no functions of the header: {sorted(set(rows) - functions)}"

    for binding, (folder, patterns) in BINDINGS.items():
        if not (ROOT / folder).is_dir():
            continue
        with report.check(f"{binding} uses each function, or says why not"):
            names, files = names_in(ROOT / folder, patterns)
            assert files, f"none of {', '.join(patterns)} is in {folder}"
            used[binding] = names
            excused = set(reasons.get(binding, {}))
            gaps, stale = functions - names - excused, excused & names
            assert not gaps, f"neither used nor excused: {', '.join(sorted(gaps))}"
            assert not stale, f"excused, but used: {', '.join(sorted(stale))}"
    with report.check("the loader's list has no function twice and none that the header lacks"):
        text = without_comments((ROOT / "bindings/cpp/cluster_gossip/dl.h").read_text(encoding="utf-8"), python=False)
        listed = re.findall(r"^ +X\((gossip_[a-z0-9_]+)\)", text, re.M)
        assert sorted(listed) == sorted(functions), sorted(set(listed) ^ functions) or "one stands there twice"

    if shutil.which("nm") is None:
        report.skip("the library exports the functions of the header and nothing else", "nm is not installed")
    else:
        with report.check("the library exports the functions of the header and nothing else"):
            exported = exported_by(library)
            assert functions <= exported, f"not exported: {', '.join(sorted(functions - exported))}"
            assert exported <= functions, f"exported and not in the header: {', '.join(sorted(exported - functions))}"

    table(functions, used, reasons)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
