#!/usr/bin/env python3
"""What README.md shows works: its programs compile and run, its links lead somewhere, the make targets it names exist.

A fenced block whose info string names a file, such as ```c file=hello.c```, is a program: it is compiled as written,
with warnings as errors, runs against the built library, and must end by itself with status 0 and say something.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

from harness import Report

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "readme"
RELEASE = ROOT / "target" / "release"
LINK = [f"-I{ROOT}/include", f"-I{ROOT}/bindings/cpp"]
LIBRARY = [f"-L{RELEASE}", "-lcluster_gossip", "-pthread", f"-Wl,-rpath,{RELEASE}"]
STRICT = ["-O1", "-Wall", "-Wextra", "-Werror"]
# Ends a program that does not end by itself.
RUN_SECONDS = 120
# A README without one of these would leave a newcomer without a start.
LANGUAGES = ("c", "cpp", "python", "go", "csharp", "rust")


def fenced_blocks(text):
    """(language, {name: value} of the info string, code) of each fenced block."""
    for info, code in re.findall(r"^```([^\n`]*)\n(.*?)^```\s*$", text, re.M | re.S):
        words = info.split()
        yield words[0] if words else "", dict(word.split("=", 1) for word in words[1:] if "=" in word), code


def run(command, **options):
    """Runs it and gives what it printed; a bad end is an error that shows that too."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))} ends with status {done.returncode}:\n{done.stdout}")
    return done.stdout


def rust_program(path):
    """A project of its own beside the crate, as a user's would be; built as the lock file of the crate says."""
    project = BUILD / "rust"
    (project / "src").mkdir(parents=True, exist_ok=True)
    shutil.copy(path, project / "src" / "main.rs")
    shutil.copy(ROOT / "Cargo.lock", project / "Cargo.lock")
    code = path.read_text(encoding="utf-8")
    # Its async programs need the runtime that the crate itself uses.
    tokio = 'tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }\n' if "tokio" in code else ""
    (project / "Cargo.toml").write_text(
        '[package]\nname = "readme-program"\nversion = "0.0.0"\nedition = "2024"\npublish = false\n\n[workspace]\n\n'
        f'[lints.rust]\nwarnings = "deny"\n\n[dependencies]\ncluster-gossip = {{ path = "{ROOT}" }}\n{tokio}')
    target = BUILD / "rust-target"
    run(["cargo", "build", "--quiet", "--manifest-path", str(project / "Cargo.toml"), "--target-dir", str(target)])
    return [str(target / "debug" / "readme-program")]


def go_program(path):
    """A module of its own, as a user's would be."""
    module = BUILD / "go"
    module.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, module / "main.go")
    binding = "github.com/cluster-gossip/cluster-gossip/bindings/go"
    (module / "go.mod").write_text(
        f"module readme-program\n\ngo 1.24\n\nrequire {binding} v0.1.0\n\nreplace {binding} => {ROOT}/bindings/go\n")
    go = ROOT / "bindings/go/repo-go"
    run([go, "vet", "-C", module, "."])
    run([go, "build", "-C", module, "-o", module / "program", "."])
    return [str(module / "program")]


def csharp_program(path):
    """With mcs, and the library's assembly beside it, where Mono looks for it."""
    run([ROOT / "bindings/csharp/build.sh", "library"])
    folder = BUILD / "csharp"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "build/csharp/ClusterGossip.dll", folder)
    program = folder / "program.exe"
    run(["mcs", "-warn:4", "-warnaserror", f"-lib:{folder}", "-r:ClusterGossip.dll", "-r:System.Core.dll", f"-out:{program}", path])
    return ["mono", str(program)]


def compiled(language, path):
    """The command that runs the program."""
    out = str(path.with_suffix(""))
    if language == "c":
        run(["cc", "-std=c11", *STRICT, *LINK, str(path), "-o", out, *LIBRARY])
    elif language in ("cpp", "c++"):
        run(["c++", "-std=c++17", *STRICT, *LINK, str(path), "-o", out, *LIBRARY])
    elif language == "python":
        return [sys.executable, str(path)]
    elif language == "rust":
        return rust_program(path)
    elif language == "go":
        return go_program(path)
    elif language in ("csharp", "cs"):
        return csharp_program(path)
    else:
        raise AssertionError(f"this test does not know how to run {language!r}")
    return [out]


def slug(heading):
    """A heading's anchor, as code hosts make it."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def without_code(text):
    return re.sub(r"^```.*?^```\s*$", "", text, flags=re.M | re.S)


def broken_links(path):
    """The relative links of a Markdown file that lead to no file, or to no heading of it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", without_code(path.read_text(encoding="utf-8")))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = urllib.parse.unquote(target).partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ +(.*)$", without_code(file.read_text(encoding="utf-8")), re.M)
            if anchor not in map(slug, headings):
                broken.append(target)
    return broken


def main():
    report = Report()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    shutil.rmtree(BUILD / "programs", ignore_errors=True)
    (BUILD / "programs").mkdir(parents=True)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python/src")}
    env.setdefault("CLUSTER_GOSSIP_LIBRARY", str(RELEASE / "libcluster_gossip.so.1"))

    seen = set()
    for language, info, code in fenced_blocks(text):
        if "file" not in info:
            continue
        seen.add({"c++": "cpp", "cs": "csharp"}.get(language, language))
        with report.check(f"README's {info['file']} ({language}) compiles and runs"):
            path = BUILD / "programs" / info["file"]
            path.write_text(code, encoding="utf-8")
            output = run(compiled(language, path), env=env, cwd=BUILD, timeout=RUN_SECONDS)
            print(output, end="")
            assert output.strip(), "it prints nothing"
    for language in LANGUAGES:
        with report.check(f"README has a program in {language}"):
            assert language in seen

    documents = [readme, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "bindings").rglob("*.md"))]
    for path in documents:
        with report.check(f"the relative links of {path.relative_to(ROOT)} lead somewhere"):
            broken = broken_links(path)
            assert not broken, f"these do not: {', '.join(broken)}"
    with report.check("the make targets that README names exist"):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
        named = set(re.findall(r"\bmake ([a-z][a-z-]+)", "\n".join(re.findall(r"`[^`\n]+`|^```.*?^```|^    .*$", text, re.M | re.S))))
        assert named, "README names no make target"
        assert named <= targets, f"there is no {', '.join(sorted(named - targets))}"
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
