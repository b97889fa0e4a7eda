"""Models as C programs: the same texts as here, from any compiler, and sentences for what C can't hold."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from c_programs import (
    C_COMPILERS,
    check_same_text,
    compiled,
    items_of,
    needs_gcc,
    output,
    random_model,
    text_of,
    with_weights,
)
from click.testing import CliRunner
from conftest import GOLDEN, ROOT, run, sentence
from item_models import made, saved
from kinds import loaded

import pycharrnn
from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from compat.vocabulary import characters_by_id
from pycharrnn.analysis import rounding
from pycharrnn.checkpoints import c_file, c_template, c_weights, checkpoint, formats
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library
from pycharrnn.sampling import inference
from pycharrnn.text import recorded_text, text_stats

MODELS = ("lstm", "gru", "rnn")
needs_fused_kernel = pytest.mark.skipif(
    not kernel_library.rounds_as_elsewhere(), reason="needs a kernel with fused multiply-add"
)
HOSTILE = [b"\n", b" ", b'"', b"\\", b"?", b"/", b"*", b"\0", b"\x7f", b"\xff", b"\xc3", b"0", b"%", b"'"]


def written(folder, model: Checkpoint, weights: str = "double", name: str = "model.c"):
    path = folder / name
    checkpoint.convert(model, path, formats.WriteOptions(weights=weights))
    return path


@needs_gcc
@pytest.mark.parametrize("kind", [*MODELS, "utf8"])
def test_the_text_of_sample(tmp_path, kind):
    program = compiled(written(tmp_path, loaded(kind)))
    assert output(program, "-seed", "7", "-length", "400") == text_of(loaded(kind), 7, 400)
    prime = characters_by_id(loaded(kind).vocab)[2] * 2
    drawn = output(program, "-primetext", prime.decode(), "-temperature", "0.37", "-length", "50")
    assert drawn == text_of(loaded(kind), 123, 50, 0.37, prime)


@needs_gcc
def test_the_command_line_prints_the_same(tmp_path):
    path = tmp_path / "m.t7"
    checkpoint.convert(made(""), path)  # a text of `train FILE` begins as a line does
    args = ("-seed", str(2**40 + 3), "-length", "100", "-temperature", "0.9")
    printed = run("sample", str(path), *args, "-gpuid", "-1").stdout
    assert output(compiled(written(tmp_path, made(""))), *args) == printed


@needs_gcc
def test_a_text_ends_with_a_whole_character(tmp_path):
    """As that of sample, wherever -length ends it; bytes that begin no character are printed."""
    model = made("", letters="a\u00e9\u20ac\U0001f600")
    path = tmp_path / "m.t7"
    checkpoint.convert(model, path)
    program, ends = compiled(written(tmp_path, model)), set()
    for length in map(str, range(1, 80)):
        args = ("-seed", "7", "-length", length)
        printed = CliRunner().invoke(cli, ["sample", str(path), "-gpuid", "-1", *args], catch_exceptions=False)
        assert output(program, *args) == printed.stdout_bytes, length
        ends.add(len(text_of(model, 7, int(length))) - len(printed.stdout_bytes))
    assert ends >= {0, 1, 2}


@needs_gcc
@needs_fused_kernel
@pytest.mark.parametrize("seed", range(6))
def test_random_models(tmp_path, seed):
    check_same_text(random_model(seed), tmp_path, seed)


@pytest.mark.slow
@needs_gcc
@needs_fused_kernel
def test_many_random_models(tmp_path):
    for seed in range(6, 36):
        check_same_text(random_model(seed), tmp_path, seed)


@pytest.mark.parametrize("weights", ["double", "int8"])
@needs_gcc
def test_any_compiler_gives_the_same_text(tmp_path, weights):
    source = written(tmp_path, loaded("gru"), weights)
    compilers = [compiler for compiler in C_COMPILERS if shutil.which(compiler[0])]
    texts = [output(compiled(source, compiler), "-length", "300") for compiler in compilers]
    if shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64"):
        program = compiled(source, ("aarch64-linux-gnu-gcc", "-O3", "-static"))
        texts.append(subprocess.run(["qemu-aarch64", str(program), "-length", "300"], capture_output=True).stdout)
    assert len(texts[0]) > 300
    assert texts == texts[:1] * len(texts)


@pytest.mark.parametrize(
    "compiler",
    [
        ("gcc", "-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"),
        ("g++", "-x", "c++", "-std=c++17"),
        ("clang", "-std=c99"),
        ("clang++", "-x", "c++", "-std=c++17"),
    ],
    ids=lambda compiler: compiler[0],
)
def test_no_warnings_and_no_faults(tmp_path, compiler):
    """A deep model in integers, and one of items with labels, which use all parts of the template."""
    labels = made("blank", letters="abc\t", labels="3\tab\n5\tc")
    for model, weights, args in ((loaded("lstm"), "int8", []), (labels, "double", ["-as", "ab"])):
        program = compiled(written(tmp_path, model, weights), compiler)
        assert len(output(program, "-length", "100", *args)) > 10


@pytest.mark.slow
def test_clang_tidy_finds_no_bugs(tmp_path):
    if not shutil.which("clang-tidy"):
        pytest.skip("needs clang-tidy")
    for kind, weights in (("lstm", "int8"), ("gru", "double"), ("rnn", "float")):
        source = written(tmp_path, loaded(kind), weights)
        checks = "-checks=-*,bugprone-*,-bugprone-easily-swappable-parameters"  # a warning of style
        command = ["clang-tidy", checks, "-warnings-as-errors=*", source, "--", "-std=c99"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


DRIVER = """
#include <stdio.h>
#define MODEL_HEADER
#include "model.c"
int main(void) {
  struct model_state state;
  char line[64], small[3];
  int k, n;
  model_start(&state, 5);
  printf("%lu\\n", (unsigned long)sizeof state);
  for (k = 0; k < 3; k++) {
    n = model_item(&state, 1, line, sizeof line);
    printf("%d %s\\n", n, line);
  }
  n = model_item(&state, 1, small, sizeof small);
  printf("%d\\n", n);
  printf("%d\\n", model_find("~"));
  return 0;
}
"""


@needs_gcc
@pytest.mark.parametrize("weights", formats.WEIGHTS)
def test_a_program_with_a_model_of_items(tmp_path, weights):
    model = made("line", utf8=True)
    source = written(tmp_path, model, weights)
    (tmp_path / "driver.c").write_text(DRIVER, encoding="utf-8")
    more = ["-DMODEL_NO_MAIN", str(source)]
    size, *lines, small, unknown = (
        output(compiled(tmp_path / "driver.c", ("gcc", "-std=c99"), *more)).decode().split("\n")[:-1]
    )
    assert f"{size} bytes" in source.read_text(encoding="ascii")
    assert int(small) <= 2
    assert unknown == "-1"
    texts = [line.split(" ", 1) for line in lines]
    assert all(int(n) == len(text.encode()) for n, text in texts)
    if weights == "double":
        assert texts[0][1].encode() == items_of(model, 5, 1, 60)[0]


@needs_gcc
@pytest.mark.parametrize("kind", ["line", "blank", "file"])
def test_items(tmp_path, kind):
    model = made(kind)
    path = tmp_path / "m.t7"
    checkpoint.convert(model, path)
    args = ("-seed", "3", "-items", "4", "-length", "30")
    assert output(compiled(written(tmp_path, model)), *args) == run("sample", str(path), "-gpuid", "-1", *args).stdout


@needs_gcc
def test_labels(tmp_path):
    model = made("line", letters="abc\t", labels="3\tab\n5\tc")
    path = tmp_path / "m.t7"
    checkpoint.convert(model, path)
    program = compiled(written(tmp_path, model))
    args = ("-as", "ab", "-items", "4", "-length", "30")
    assert output(program, *args) == run("sample", str(path), "-gpuid", "-1", *args).stdout
    refused = subprocess.run([str(program), "-as", "French"], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith(": -as French: the model has no such label.\n")
    refused = subprocess.run([str(program)], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith(": -as is missing, with one of the labels that -help lists.\n")
    assert b"labels: ab, c\n" in output(program, "-help")
    for prime, problem in (
        ("c\tab", "begins with a label; -as gives it"),
        ("a\nb", "has the character that ends an item"),
    ):
        refused = subprocess.run([str(program), "-as", "ab", "-primetext", prime], capture_output=True, text=True)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.endswith(f": -primetext {prime}: the text {problem}.\n")


@needs_gcc
@pytest.mark.parametrize("letters", ["ab\n\t\r", "abn\\\n\t\r"])
@pytest.mark.parametrize("prime", [r"\n", r"\t\r\n", r"a\nb", r"\n\\", "\\", "\\\\", r"a\b", "a\nb"])
def test_escapes_in_a_prompt_are_those_of_sample(tmp_path, letters, prime):
    model = made("", letters=letters)
    path = tmp_path / "m.t7"
    checkpoint.convert(model, path)
    args = ("-primetext", prime, "-length", "9")
    expected = run("sample", str(path), "-gpuid", "-1", "-verbose", "0", *args)
    found = subprocess.run([str(compiled(written(tmp_path, model))), *args], capture_output=True)
    assert (found.returncode, found.stdout) == (expected.returncode, expected.stdout)


HEXADECIMAL = """
#include <stdio.h>
#define MODEL_NO_MAIN
#include "model.c"
int main(void) {
  static struct model_state state;
  int id, k;
  model_start(&state, 1);
  for (id = 0; id < V; id++) {
    model_feed(&state, id);
    for (k = 0; k < V; k++) printf("%a\\n", state.log_probs[k]);
  }
  return 0;
}
"""


@needs_gcc
@needs_fused_kernel
@pytest.mark.parametrize("kind", MODELS)
def test_the_kernels_bits(tmp_path, kind):
    """Also for weights that make every rounding count."""
    model = random_model(MODELS.index(kind) + 30)
    written(tmp_path, model)
    (tmp_path / "driver.c").write_text(HEXADECIMAL, encoding="utf-8")
    lines = output(compiled(tmp_path / "driver.c", ("gcc", "-std=c99", "-Wno-unused-function"))).decode().split()
    found = np.array([float.fromhex(line) for line in lines]).reshape(len(model.vocab), -1)
    predictor = inference.on_cpu(model.network)
    if model.network.end_id is not None:
        predictor.step(model.network.end_id)
    expected = np.array([predictor.step(k) for k in range(len(model.vocab))])
    assert found.tobytes() == expected.tobytes()


@needs_gcc
def test_any_bytes_of_a_checkpoint_are_data(tmp_path):
    """Characters, labels and facts, with quotes, comments, trigraphs, escapes and bytes that are not text."""
    vocab = {character: k for k, character in enumerate([*HOSTILE, b"??/", b"*/", b"\t"], 1)}
    random = np.random.default_rng(1)
    base = random_model(3).network
    shapes = parameter_shapes(base.model, len(vocab), 4, 1)
    network = dataclasses.replace(
        base,
        rnn_size=4,
        num_layers=1,
        vocab_size=len(vocab),
        weights={name: random.uniform(-1, 1, shape) for name, shape in shapes.items()},
    )
    place = 'data/*/ ??/ " \\ \udcff \n#error /* INSERT weights */'
    model = Checkpoint(network, vocab, {"data_dir": place})
    source = written(tmp_path, model)
    content = source.read_bytes()
    assert content.isascii()
    assert b"??/" not in content
    program = compiled(source)
    assert output(program, "-length", "300") == text_of(model, 123, 300)
    assert output(program, "-length", "9", "-primetext", "*/??/?").startswith(b"*/??/?")
    assert b'trained on data/*/ ??/ " \\ ' in output(program, "-help")


@needs_gcc
def test_a_character_with_a_zero_byte_is_in_no_text(tmp_path):
    """A text of C ends with its first zero byte. What follows it is not of the text."""
    vocab = {b"a\0b": 1, b"x": 2, b"\0": 3}
    weights = {name: np.zeros(shape) for name, shape in parameter_shapes("rnn", len(vocab), 2, 1).items()}
    written(tmp_path, Checkpoint(Network("rnn", 2, 1, len(vocab), 0.0, weights), vocab))
    (tmp_path / "driver.c").write_text(
        '#define MODEL_NO_MAIN\n#include "model.c"\n#include <stdio.h>\n'
        'int main(void) { return printf("%d %d %d", model_find("a"), model_find("x"), model_find("")) < 0; }\n'
    )
    assert output(compiled(tmp_path / "driver.c", ("gcc", "-std=c99"), "-Wno-unused-function")) == b"-1 1 -1"


def test_string_literals():
    assert c_template.string(b'a"??/\n\x001\\') == '"a\\"\\?\\?/\\n\\0001\\\\"'


@needs_gcc
@pytest.mark.parametrize("weights", ["float", "int8"])
def test_a_low_temperature_takes_the_most_probable_characters(tmp_path, weights):
    """There exp(log_probs / temperature) of every character is too small for a float."""
    path = GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"
    program = compiled(written(tmp_path, checkpoint.load(path), weights))
    flags = ("-temperature", "0.0001", "-length", "100")
    greedy = run("sample", str(path), "-gpuid", "-1", "-sample", "0", "-primetext", "the", "-length", "100").stdout
    assert greedy.endswith(output(program, "-primetext", "the", *flags))
    assert len(output(program, *flags)) == 101


@needs_gcc
def test_advice_on_the_temperature_where_it_is_not_1(tmp_path):
    shape = loaded("lstm").network.weights["decoder.weight"].shape
    failed = with_weights(loaded("lstm"), **{"decoder.weight": np.full(shape, 1e308)})
    of_failed = compiled(written(tmp_path, failed, "double", "failed.c"))
    of_good = compiled(written(tmp_path, loaded("lstm"), "double", "good.c"))
    for program, args, advice in (
        (of_failed, (), ", since the model's training failed"),
        (of_failed, ("-temperature", "0.5"), " at -temperature 0.5; one nearer to 1 helps"),
        (of_good, ("-temperature", "1e-300"), " at -temperature 1e-300; one nearer to 1 helps"),
    ):
        result = subprocess.run([str(program), *args], capture_output=True, text=True)
        assert result.returncode == 1
        assert result.stderr.splitlines()[-1] == f"{program}: no character has a positive probability{advice}."


@needs_gcc
def test_the_program_refuses_in_a_sentence(tmp_path):
    program = compiled(written(tmp_path, loaded("lstm"), "float"))
    temperature = "the temperature must be a finite number greater than 0"
    for args, problem in (
        (["foo"], "foo: there is no such option; -help lists them"),
        (["foo", "-seed"], "foo: there is no such option; -help lists them"),
        (["-what", "1"], "-what: there is no such option; -help lists them"),
        (["-seed", "5", "-what"], "-what: there is no such option; -help lists them"),
        (["-seed", "5", "-length"], "-length: the value is missing"),
        (["-primetext"], "-primetext: the value is missing"),
        (["-length", "x"], "-length x: the length must be a whole number, or 0 for no end"),
        (["-length", "-1"], "-length -1: the length must be a whole number, or 0 for no end"),
        (["-seed", ""], "-seed : the seed must be a whole number"),
        *(
            (["-seed", seed], f"-seed {seed}: the seed must be between -2^53 and 2^53")
            for seed in (str(2**53 + 1), str(-(2**53) - 1), "9" * 30)
        ),
        *(
            (["-temperature", value], f"-temperature {value}: {temperature}")
            for value in ("0", "-1", "nan", "inf", "1e-99", "1x", "")
        ),
        (["-primetext", "\u4f60"], "-primetext \u4f60: the text has a character that the model does not know"),
    ):
        refused = subprocess.run([str(program), *args], capture_output=True, text=True)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == f"{program}: {problem}.\n"
    assert output(program, "-h") == output(program, "-seed", "5", "-help")
    if Path("/dev/full").exists():
        for args in (["-length", "5"], ["-length", "0"], ["-h"]):
            with open("/dev/full", "wb") as full:
                refused = subprocess.run([str(program), *args], stdout=full, stderr=subprocess.PIPE, text=True)
            assert refused.returncode == 1
            assert refused.stderr == f"{program}: the output could not be written; the disk may be full.\n"


MULTIPLY_ADD = """
#include <stdio.h>
#define MODEL_NO_MAIN
#include "model.c"

static uint64_t word(void) {
  static uint64_t last = 1;
  last ^= last << 13;
  last ^= last >> 7;
  return last ^= last << 17;
}

/* A number with the exponent near one of both ends or the middle, and often with few digits. */
static real number(uint64_t place) {
  real_bits bits = (real_bits)word(), fraction = ((real_bits)1 << FRACTION_BITS) - 1;
  real_bits exponent = (real_bits)(place * (EXPONENT_BIAS - 20) + word() % 42);
  if (word() % 2) bits &= ~(fraction >> word() % FRACTION_BITS);
  return from_bits((word() % 2 ? ~(~(real_bits)0 >> 1) : 0) | exponent << FRACTION_BITS | (bits & fraction));
}

int main(void) {
  long n, different = 0, zeros = 0;
  for (n = 0; n < 1000000; n++) {
    uint64_t place = word() % 3;
    real a = number(place), b = number(word() % 4 ? 1 : place), c = number(place), found, expected;
    if (word() % 8 == 0) c = from_bits(to_bits(-(a * b)) + (real_bits)(word() % 3) - 1);
    found = multiply_add(a, b, c);
    expected = sizeof(real) == 8 ? (real)fma(a, b, c) : fmaf((float)a, (float)b, (float)c);
    zeros += found == 0;
    different += to_bits(found) != to_bits(expected) && (found == found || expected == expected);
  }
  printf("%ld %d\\n", different, zeros < n / 10);
  return 0;
}
"""


@needs_gcc
@pytest.mark.parametrize("weights", ["double", "float"])
def test_multiply_add_without_an_exact_c_library(tmp_path, weights):
    source = written(tmp_path, loaded("rnn"), weights)
    text = source.read_text(encoding="ascii")
    own = text.replace(" || defined __GLIBC__ || defined __APPLE__", "")
    assert own != text
    source.write_text(own, encoding="ascii")
    (tmp_path / "driver.c").write_text(MULTIPLY_ADD, encoding="ascii")
    program = compiled(tmp_path / "driver.c", ("gcc", "-std=c99", "-O2", "-Wno-unused-function"), "-Wno-conversion")
    assert output(program) == b"0 1\n"
    assert len(output(compiled(source), "-length", "20")) > 20  # without warnings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "weights", "units"),
    [("gcc", "double", 470), ("gcc", "float", 680), ("gcc", "int8", 1400), ("clang", "float", 680)],
)
def test_a_compiler_needs_less_than_500_mb(tmp_path, compiler, weights, units):
    """The largest files hold 8 MB of weights; of the three types, floats need most memory."""
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    vocab = {bytes([b]): b - 31 for b in range(32, 97)}
    random = np.random.default_rng(1)
    shapes = parameter_shapes("lstm", len(vocab), units, 1)
    values = {name: random.uniform(-1, 1, shape) for name, shape in shapes.items()}
    model = Checkpoint(Network("lstm", units, 1, len(vocab), 0.0, values), vocab, {})
    source = written(tmp_path, model, weights)
    assert c_file.weight_bytes(model, weights) > 7_900_000
    # In a small process of its own: a child's peak counts from the memory of the process that starts it.
    measure = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
    measure += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [compiler, "-O3", str(source), "-o", str(tmp_path / "program"), "-lm"]
    kilobytes = subprocess.run([sys.executable, "-c", measure, *command], capture_output=True, check=True).stdout
    assert 0 < int(kilobytes) * 1024 < 500_000_000


def test_the_same_model_gives_the_same_file(tmp_path):
    first = written(tmp_path, loaded("lstm")).read_bytes()
    path = tmp_path / "m.json"
    checkpoint.convert(loaded("lstm"), path)
    assert written(tmp_path, checkpoint.load(path), name="again.c").read_bytes() == first


def test_the_default_is_the_first_type_that_fits(tmp_path, monkeypatch):
    model = loaded("lstm")
    size = model.network.parameters * 8
    for most, weights in ((size, "double"), (size - 1, "float"), (size // 2 - 1, "int8")):
        monkeypatch.setattr(c_file, "_DEFAULT_BYTES", most)
        assert c_file.default_weights(model) == weights
    pycharrnn.load(ROOT / "tests/golden/lstm2/lm_lstm2_epoch3.00_2.8734.t7").save(tmp_path / "m.c", weights="double")
    assert b"typedef double model_real" in (tmp_path / "m.c").read_bytes()


def test_int8_keeps_each_weight_within_half_a_step():
    network = loaded("lstm").network
    after = c_weights.rounded(network, "int8").weights
    for name, before in network.weights.items():
        steps = np.abs(before).max(-1, keepdims=True) / 127 if before.ndim == 2 else 1e-6
        assert (np.abs(after[name] - before) <= 0.5001 * steps).all(), name


def test_a_row_of_zeros_stays_zero():
    network = loaded("rnn").network
    zeros = np.zeros_like(network.weights["decoder.weight"])
    model = with_weights(loaded("rnn"), **{"decoder.weight": zeros})
    assert not c_weights.rounded(model.network, "int8").weights["decoder.weight"].any()


def test_what_c_cannot_hold_is_refused(tmp_path, monkeypatch):
    model = with_weights(loaded("rnn"), **{"decoder.bias": np.full(loaded("rnn").network.vocab_size, np.nan)})
    with pytest.raises(UserError, match=r"the weights have NaN or infinity, which a \.c file can't hold"):
        written(tmp_path, model)
    for weights, bias in (("double", 1.7e308), ("float", 1e39), ("int8", 1e39)):
        biases = {f"{name}_1.bias": np.full(loaded("rnn").network.rnn_size, bias) for name in ("i2h", "h2h")}
        model = with_weights(loaded("rnn"), **biases)
        with pytest.raises(UserError, match=f"numbers beyond the range of -weights {weights}: use an earlier checkp"):
            written(tmp_path, model, weights)
    model = loaded("rnn")
    way_outs = {"double": "; use -weights float or -weights int8", "float": "; use -weights int8", "int8": ""}
    for weights, nbytes in (("double", 8), ("float", 4), ("int8", 1)):
        most = nbytes * model.network.parameters - 1  # one byte too few
        monkeypatch.setattr(c_file, "_MOST_BYTES", most)
        why = f"file: with -weights {weights} it may have at most {most // nbytes:,} parameters and 4,096 units"
        with pytest.raises(UserError, match=f"is too large for a .c {why}{way_outs[weights]}.$"):
            written(tmp_path, model, weights)
    assert list(tmp_path.iterdir()) == []


def test_a_c_file_is_not_a_checkpoint(tmp_path):
    path = written(tmp_path, loaded("rnn"))
    assert f"can't read {path} as a checkpoint: it is C source; name the checkpoint" in sentence(
        run("sample", str(path))
    )
    said = sentence(run("convert", str(ROOT / "tests/golden/rnn3/lm_rnn3_epoch1.00_3.0075.t7"), str(path)))
    assert f"{path} exists" in said


@pytest.mark.parametrize("name", ["m.json", "m.html"])
def test_weights_are_for_c_files(tmp_path, name):
    checkpoint_file = str(ROOT / "tests/golden/rnn3/lm_rnn3_epoch1.00_3.0075.t7")
    said = sentence(run("convert", checkpoint_file, name, "-weights", "int8", cwd=tmp_path))
    assert f"-weights int8 is for .c files, not for {name}: leave it out, or write a file such as model.c." in said
    assert not list(tmp_path.iterdir())


def test_convert_prints_the_loss_of_rounded_weights(tmp_path, monkeypatch):
    path = saved(tmp_path, text=b"abc\nab\nca\nb\n" * 1000)
    monkeypatch.chdir(tmp_path)

    def notes(*args: str) -> list[str]:
        done = CliRunner().invoke(cli, ["convert", str(path), "model.c", "-overwrite", "1", *args])
        assert done.stdout == "saved model.c\n"
        return done.stderr.splitlines()

    assert notes() == ["pycharrnn: weights: double, 10272 bytes"]
    weights, losses = notes("-weights", "int8")
    assert weights == "pycharrnn: weights: int8, 2292 bytes"
    found = rounding.losses(str(path), checkpoint.load(path), "int8")
    assert losses == f"pycharrnn: validation loss: {found.rounded:.4f}; of the checkpoint: {found.exact:.4f}"
    assert 0 < abs(found.rounded - found.exact) < 0.01
    loaded = checkpoint.load(path)
    loaded.i, loaded.val_loss, loaded.val_losses = 9, 1.25, {9: 1.25}
    assert rounding.losses(str(path), loaded, "int8").exact == 1.25
    loaded.opt["dtype"] = "bfloat16"  # the recorded loss was computed with less precision than the other
    assert rounding.losses(str(path), loaded, "int8") == found
    del loaded.opt["dtype"]  # and that of a model whose weights were rounded is of the weights before
    short = {name: weight.astype("f2").astype("f4") for name, weight in loaded.network.weights.items()}
    loaded.network = dataclasses.replace(loaded.network, weights=short)
    assert rounding.losses(str(path), loaded, "int8").exact == pytest.approx(found.exact, abs=1e-3)
    of_float = rounding.losses(str(path), checkpoint.load(path), "float")
    assert 0 <= abs(of_float.rounded - of_float.exact) < abs(found.rounded - found.exact)
    text = tmp_path / "data" / "list" / "input.txt"
    text.write_bytes(b"another text\n" * 1000)  # which is neither scored nor preprocessed
    before = {entry.name: entry.read_bytes() for entry in text.parent.iterdir()}
    unknown = "pycharrnn: the validation loss with these weights is unknown, since "
    name = os.path.join("data/list", "input.txt")
    assert notes("-weights", "int8") == [weights, f"{unknown}{name} has changed since the training"]
    assert {entry.name: entry.read_bytes() for entry in text.parent.iterdir()} == before
    text.unlink()
    missing = f"{name}, on which {path} was trained, is not here: convert it in the folder of the training"
    assert notes("-weights", "int8") == [weights, unknown + missing]


def test_convert_says_why_it_scores_no_text(tmp_path, monkeypatch):
    path = str(saved(tmp_path, text=b"abc\nab\nca\nb\n" * 1000))
    loaded = checkpoint.load(path)
    monkeypatch.chdir(tmp_path)
    name = os.path.join("data/list", "input.txt")

    def why() -> str:
        with pytest.raises(UserError) as error:
            rounding.losses(path, loaded, "int8")
        return str(error.value)

    with monkeypatch.context() as patch:
        patch.setattr(recorded_text, "MAX_UNASKED", 9)
        assert why() == f"{name} has more than 64 MiB"
    with monkeypatch.context() as patch:  # a disk that fails, on which the text may be as it was
        patch.setattr(text_stats, "file_pieces", mock.Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        assert why() == f"{name} can't be scored (can't read {name}: Input/output error)"
    with monkeypatch.context() as patch:
        patch.setattr(rounding.shutil, "copyfile", mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left")))
        assert why() == f"{name} can't be scored ([Errno {errno.ENOSPC}] No space left)"


def test_convert_prints_both_losses_of_a_text_without_hash(tmp_path, monkeypatch):
    """A checkpoint of a Lua program: its text is read as by eval, and may be another one."""
    original = checkpoint.load(ROOT / "tests/golden/rnn3/lm_rnn3_epoch1.00_3.0075.t7")
    checkpoint.convert(dataclasses.replace(original, opt={**original.opt, "data_dir": "old"}), tmp_path / "lm.t7")
    monkeypatch.chdir(tmp_path)

    def last_note() -> str:
        done = CliRunner().invoke(cli, ["convert", "lm.t7", "model.c", "-weights", "int8", "-overwrite", "1"])
        assert done.exit_code == 0
        return done.stderr.splitlines()[-1].removeprefix("pycharrnn: ")

    name = os.path.join("old", "input.txt")
    assert f"is unknown, since {name}, on which lm.t7 was trained, is not here" in last_note()
    shutil.copytree(ROOT / "tests/golden/corpus", "old")
    before = {entry.name: entry.read_bytes() for entry in Path("old").iterdir()}
    losses = re.fullmatch(r"validation loss: (.*); of the checkpoint: (.*); both on (.*) as it is now", last_note())
    assert losses and losses[3] == name and abs(float(losses[1]) - float(losses[2])) < 0.01
    assert abs(float(losses[2]) - 3.0075) < 1e-3
    assert {entry.name: entry.read_bytes() for entry in Path("old").iterdir()} == before
    text = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(text[: len(text) // 2])
    assert abs(float(last_note().split(";")[1].rpartition(" ")[2]) - 3.0075) > 1e-3
    (tmp_path / name).write_bytes(b"")
    assert last_note().endswith(f"{name} can't be scored ({name} is empty: put your text into it)")
    del (opt := dict(original.opt))["data_dir"]
    checkpoint.convert(dataclasses.replace(original, opt=opt), tmp_path / "lm.t7")
    assert "is unknown, since lm.t7 does not record the folder of its training text" in last_note()
