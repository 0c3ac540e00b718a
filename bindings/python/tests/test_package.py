"""The package as it is shipped: its wheel, its README's programs, its version, its benchmark, the demo."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, List

import pytest

import cluster_gossip
from conftest import PACKAGE, PATIENCE, ROOT, ending, until

HERE = ROOT / "bindings" / "python"
DEMO = ROOT / "examples" / "demo" / "demo.py"


def environment(**changes: str) -> Dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", **changes}


def run(*command: str, **options: Any) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, **options)
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


@pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None or importlib.util.find_spec("pip") is None,
    reason="builds and installs a wheel, which needs hatchling and pip",
)
def test_wheel_contains_the_library_and_works_alone(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=HERE, env=environment())
    (wheel,) = tmp_path.glob("*.whl")
    assert re.match(rf"cluster_gossip-{re.escape(cluster_gossip.__version__)}-py3-none-(?!any)\w+\.whl$", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert "cluster_gossip/_native/libcluster_gossip.so" in names
    assert "cluster_gossip/py.typed" in names
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    run(*pip, "--target", str(target), str(wheel))
    alone = environment(PYTHONPATH=str(target))
    del alone["CLUSTER_GOSSIP_LIBRARY"]
    code = "import cluster_gossip as c; c.load(); print(c.__file__, c._loader._path)"
    out = run(sys.executable, "-c", code, env=alone, cwd=tmp_path)
    assert out.count(str(target)) == 2, out


def test_version_is_the_crates() -> None:
    found = re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.M)
    assert found is not None
    assert cluster_gossip.__version__ == found.group(1)


def readme_programs() -> List[str]:
    return re.findall(r"^```python\n(.*?)^```", (HERE / "README.md").read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("number", range(len(readme_programs())))
def test_program_of_the_readme_runs(number: int) -> None:
    out = run(sys.executable, "-c", readme_programs()[number], env=environment(), timeout=PATIENCE)
    assert "load" in out and "0.7" in out


def test_readme_has_programs() -> None:
    assert len(readme_programs()) >= 2


def test_import_loads_nothing() -> None:
    code = "import cluster_gossip, sys; print(cluster_gossip._loader._library, 'asyncio' in sys.modules)"
    assert run(sys.executable, "-c", code, env=environment(CLUSTER_GOSSIP_LIBRARY="/no/such.so")).startswith("None")


def test_benchmark_runs(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run(sys.executable, str(HERE / "bench.py"), "--quick", "--json", str(figures), env=environment())
    rows = json.loads(figures.read_text())
    assert len(rows) == 5
    for row in rows:
        assert set(row) == {"mark", "ours", "peer", "ratio"}
        assert row["ours"] > 0 and row["peer"] > 0


def demo(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(DEMO), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )


def test_demo_programs_see_each_other(tmp_path: Path) -> None:
    address = tmp_path / "address"
    first = demo("--language", "Python", "--seeds", "", "--seconds", "5", "--expect", "2", "--print-address", str(address), "--draw")
    seed = until("the address is there", lambda: address.exists() and address.read_text().strip())
    second = demo("--language", "Other", "--seeds", str(seed), "--seconds", "5", "--expect", "2")
    for process in (first, second):
        status, out, err = ending(process)
        assert (status, err) == (0, ""), out
        if process is first:
            assert "Hello from Other" in out and "Hello from Python" in out
            assert "\x1b" not in out


def test_demo_program_that_does_not_see_enough_says_so(tmp_path: Path) -> None:
    address = tmp_path / "address"
    process = demo("--language", "Python", "--seeds", "", "--seconds", "600", "--expect", "2", "--print-address", str(address))
    until("it is up", address.exists)
    process.terminate()
    status, out, err = ending(process)
    assert (status, err) == (1, "")
    assert re.search(r"[01] of 2 members$", out), out
