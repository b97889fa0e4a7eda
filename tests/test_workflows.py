"""The workflows of .github against what they name, and the check before a release. They run on GitHub alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import pycharrnn
from tests import release

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in WORKFLOWS}
PARSED = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS = {f"{name}: {job}": facts for name, parsed in PARSED.items() for job, facts in parsed["jobs"].items()}
STEPS = [step for job in JOBS.values() for step in job.get("steps", [])]
COMMANDS = sorted({line for step in STEPS for line in step.get("run", "").splitlines()})
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', SETUP)


def test_pythons_are_those_of_setup():
    assert f'python_requires=">={PYTHONS[0]}"' in SETUP
    assert [f"3.{minor}" for minor in range(10, 10 + len(PYTHONS))] == PYTHONS
    matrices = [job["strategy"]["matrix"] for job in JOBS.values() if "strategy" in job]
    assert [matrix["python"] for matrix in matrices if "python" in matrix] == [PYTHONS, PYTHONS]
    settings = [step.get("with", {}) for step in STEPS]
    single = {setting["python-version"] for setting in settings if "python-version" in setting}
    assert single - {"${{ matrix.python }}"} <= set(PYTHONS)


def test_every_system_is_tested():
    systems = [JOBS["tests.yml: unix"]["strategy"]["matrix"]["os"], JOBS["tests.yml: windows"]["runs-on"]]
    assert str(systems) == "[['ubuntu-24.04', 'macos-15'], 'windows-2025']"
    built = JOBS["wheels.yml: wheel"]["strategy"]["matrix"]["os"]
    assert {name.split("-")[0] for name in built} == {"ubuntu", "macos", "windows"}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_step_runs_is_there(command):
    """Make's targets, files of the checkout, extras, modules and commands."""
    words = [word.strip("\"'") for word in command.split()]
    program, *words = words
    if program == "make":
        if not shutil.which("make"):
            pytest.skip("there is no make")
        asked = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
    elif program == ".venv/bin/pycharrnn":
        assert f'"{Path(program).name}=pycharrnn.' in SETUP
        assert words == ["doctor"]
    else:
        assert program in ("python", "python3")
        if words[0] == "-m":
            assert words[1] in ("pip", "pytest", "pycharrnn", "build", "twine", "cibuildwheel")
        else:
            assert (ROOT / words[0]).is_file()
        for extra in re.findall(r"\.\[(\w+)\]", command):
            assert f'"{extra}": [' in SETUP


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned(name):
    """By a commit, which nobody can move, with the version that it was; workflows of the checkout are there."""
    used = re.findall(r"uses: (.+)", TEXTS[name])
    assert used
    for action in used:
        if action.startswith("./"):
            assert (ROOT / action).is_file()
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    assert "secrets." not in TEXTS[name]


def test_only_the_publishing_job_may_do_more_than_read():
    assert [parsed["permissions"] for parsed in PARSED.values()] == [{"contents": "read"}] * len(PARSED)
    more = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert more == {"release.yml: publish": {"id-token": "write"}}
    publish = JOBS["release.yml: publish"]
    assert publish["environment"]["name"] == "pypi"
    assert not [step for step in publish["steps"] if "run" in step]  # nothing of the checkout runs with that right
    kept = [step["with"].get("persist-credentials") for step in STEPS if "actions/checkout@" in step.get("uses", "")]
    assert set(kept) == {False}


def test_no_job_is_without_a_limit_and_no_run_beside_another():
    assert [name for name, job in JOBS.items() if "uses" not in job and "timeout-minutes" not in job] == []
    assert [name for name, parsed in PARSED.items() if "group" not in parsed["concurrency"]] == []


def test_a_release_waits_for_its_version_and_its_wheels():
    parsed = PARSED["release.yml"]
    assert parsed[True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    needs = {name: job.get("needs") for name, job in parsed["jobs"].items()}
    assert needs == {"version": None, "wheels": "version", "publish": "wheels"}
    uploaded = {step["with"]["name"] for step in STEPS if "actions/upload-artifact@" in step.get("uses", "")}
    assert uploaded == {"dist-${{ matrix.os }}", "dist-sdist"}
    (download,) = [step["with"] for step in STEPS if "actions/download-artifact@" in step.get("uses", "")]
    assert download == {"pattern": "dist-*", "path": "dist", "merge-multiple": True}


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not installed")
def test_actionlint_finds_nothing():
    found = subprocess.run(["actionlint", "-no-color", *WORKFLOWS], cwd=ROOT, capture_output=True, text=True)
    assert (found.stdout, found.returncode) == ("", 0)


def test_the_checkout_is_ready_for_the_release_of_its_version():
    tag = f"v{pycharrnn.__version__}"
    command = [sys.executable, ROOT / "tests" / "release.py", tag]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == (f"{tag} is ready for a release.\n", "", 0)


def test_a_tag_that_is_not_the_version_is_refused():
    command = [sys.executable, ROOT / "tests" / "release.py", "v0.0.1"]
    done = subprocess.run(command, capture_output=True, text=True)
    said = f"the tag is v0.0.1, and the version in pycharrnn/_version.py is {pycharrnn.__version__}.\n"
    assert (done.stderr, done.returncode) == (said, 1)


@pytest.mark.parametrize("heading", ["## [2.0.0] - 2026-01-02", "## [2.0.1]", "## 2.0.1 (unreleased)", ""])
def test_a_changelog_that_does_not_know_the_version_is_refused(heading):
    (said,) = release.faults("v2.0.1", '__version__ = "2.0.1"\n', f"# Changelog\n\n{heading}\n\n- New.\n")
    assert said.startswith("the first version in CHANGELOG.md should be [2.0.1] with its day, and is ")
    assert release.faults("v2.0.1", '__version__ = "2.0.1"\n', "# Changelog\n\n## [2.0.1] - 2026-01-02\n") == []
