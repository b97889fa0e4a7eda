"""Whether float32 products may be rounded to TF32 on a GPU: what training sets, and what it leaves as it was."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner
from conftest import working_in

from pycharrnn.cli.commands import cli
from pycharrnn.engine import tf32

PRODUCTS, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn
needs_second_set = pytest.mark.skipif(not hasattr(CUDNN, "rnn"), reason="this PyTorch has one set of switches only")


@pytest.fixture(autouse=True)
def as_it_was():
    with tf32.kept():
        yield


def switches() -> list[object]:
    """All that there are, in PyTorch's words."""
    found = [read(library, "allow_tf32") for library in (PRODUCTS, CUDNN)]
    if hasattr(CUDNN, "rnn"):
        found += [library.fp32_precision for library in (PRODUCTS, CUDNN.conv, CUDNN.rnn)]
    return found


def read(library, name: str) -> object:
    try:
        return getattr(library, name)
    except RuntimeError:
        return "not to be said"


@pytest.mark.parametrize("exact", [0, 1])
def test_only_where_digits_need_not_be_char_rnns(corpus, exact):
    """Training sets both libraries."""
    tf32.allow(bool(exact))
    args = ["train", "-data_dir", str(corpus), "-gpuid", "-1", "-rnn_size", "4", "-max_epochs", "0.01"]
    with working_in(corpus.parent):
        result = CliRunner().invoke(cli, [*args, "-exact", str(exact)])
    assert result.exit_code == 0, result.output
    assert [PRODUCTS.allow_tf32, CUDNN.allow_tf32] == [not exact, not exact]


@pytest.mark.parametrize("allowed", [True, False])
def test_what_was_allowed_before_is_put_back(allowed):
    before = switches()
    with tf32.kept():
        tf32.allow(allowed)
        assert [PRODUCTS.allow_tf32, CUDNN.allow_tf32] == [allowed, allowed]
    assert switches() == before


@needs_second_set
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("library", ["matmul", "rnn"])
def test_by_the_second_set_of_switches(library, allowed):
    """Of which some values can't be read from the first."""
    tf32.allow(library == "rnn")
    if library == "matmul":
        PRODUCTS.fp32_precision = "tf32"
    else:
        CUDNN.rnn.fp32_precision = "ieee"
    before = switches()
    assert "not to be said" in before
    with tf32.kept():
        tf32.allow(allowed)
        assert {part.fp32_precision for part in (PRODUCTS, CUDNN.conv, CUDNN.rnn)} == {"tf32" if allowed else "ieee"}
    assert switches()[2:] == before[2:]


@needs_second_set
def test_what_is_exact_is_so_where_tf32_was_asked_for_everywhere():
    """PyTorch's first set leaves cuDNN to torch.backends.fp32_precision then."""
    before = torch.backends.fp32_precision
    try:
        torch.backends.fp32_precision = "tf32"
        tf32.allow(False)
        assert {part.fp32_precision for part in (PRODUCTS, CUDNN.conv, CUDNN.rnn)} == {"ieee"}
    finally:
        torch.backends.fp32_precision = before
