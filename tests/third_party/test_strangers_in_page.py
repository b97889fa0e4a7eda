"""The checkpoints of test_strangers.py, computed by the page itself."""

from __future__ import annotations

import json

import pytest
from conftest import THIRD_PARTY
from page_modules import modules, payload_of, request_of, sampled, sampled_here
from page_tools import needs_browser

from pycharrnn.checkpoints import checkpoint

REAL = THIRD_PARTY / "real"
pytestmark = needs_browser


@pytest.mark.slow
def test_the_page_samples_the_recorded_texts(chromium):
    """And 1,000 characters as sampling draws them here."""
    manifest = json.loads((REAL / "manifest.json").read_text(encoding="utf-8"))
    models = {name: checkpoint.load(REAL / f"{name}.t7") for name in manifest}
    with modules(chromium, [payload_of(loaded, name) for name, loaded in models.items()]):
        for k, (name, loaded) in enumerate(models.items()):
            samples = manifest[name]["samples"]
            requests = [request_of(sample["args"], 1000) for sample in samples]
            for sample, request, found in zip(samples, requests, sampled(chromium, k, loaded, requests), strict=True):
                assert found.startswith((REAL / sample["stdout"]).read_bytes()[:-1]), name
                assert found == sampled_here(loaded, request), name
