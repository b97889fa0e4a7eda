"""`pycharrnn doctor` on this machine: all of its self-tests, of which one trains on the GPU."""

from __future__ import annotations

from functools import partial

from pycharrnn.cli import doctor
from tests.gpu.checking import Check, Finding
from tests.gpu.place import Place

_BECAUSE = "A self-test says what is wrong, or nothing."


def checks(place: Place) -> list[Check]:
    return [Check("self-tests", "how many fail", partial(_find, place))]


def _find(place: Place) -> Finding:
    with place.computing():
        faults = {name: test() for name, test in doctor.self_tests()}
    if "GPU" not in faults:
        raise RuntimeError(f"no GPU was tested, only {', '.join(faults)}")
    wrong = [f"{name}: {fault}" for name, fault in faults.items() if fault]
    return Finding(len(wrong), 0, _BECAUSE, "; ".join(wrong) or ", ".join(faults))
