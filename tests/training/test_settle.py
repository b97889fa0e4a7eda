"""settle(): what the checkpoint, the text and the machine overrule, without a file or an object of a run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.engine.device import GPUs
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training import step_timing
from pycharrnn.training.initial_checkpoint import InitialCheckpoint, ResumedRun
from pycharrnn.training.machine import Machine, Process, process_from_environment
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.pace import Stopwatch
from pycharrnn.training.settings import RunSettings
from pycharrnn.training.settle import settle
from pycharrnn.training.text_defaults import RunRequest
from pycharrnn.training.time_plan import Timing

ENGLISH = TextStats(1_000_000, 1_000_000)
CPU, TWO_GPUS, MPS = Machine(), GPUs("cuda", 2), GPUs("mps", 1)


def settled(machine: Machine = CPU, start: InitialCheckpoint | None = None, **options) -> RunSettings:
    return settle(TrainOptions(**options), set(options), start, ENGLISH, machine)


def start_of(
    kind: type[InitialCheckpoint], vocab: str = "ab", path: str = "cv/lm_lstm_best.t7", **recorded
) -> InitialCheckpoint:
    shapes = parameter_shapes("gru", len(vocab), 5, 3)
    network = Network("gru", 5, 3, len(vocab), 0, {name: np.zeros(shape) for name, shape in shapes.items()})
    characters = {c.encode(): k for k, c in enumerate(vocab, 1)}
    found = Checkpoint(network, characters, opt=recorded, i=30, epoch=0.5)
    return kind(path, found)


def test_a_run_by_the_defaults():
    settings = settled()
    assert settings.options == TrainOptions(gpuid=-1)
    assert (settings.start, settings.resumed) == (None, None)
    assert (settings.machine.device, settings.machine.parameters, settings.machine.products) == ("cpu", "float64", "")
    assert settings.files.stem == "cv/lm_lstm"
    assert settings.log == (
        "no GPU found that PyTorch can use; -gpuid -1 selects the CPU without this message.",
        "Falling back on CPU mode",
    )
    assert settings.notes == ()


def test_a_recipe_comes_first_and_is_printed_as_a_command():
    settings = settled(recipe="quick", rnn_size=7, gpuid=-1)
    assert (settings.model.rnn_size, settings.machine.exact, settings.options.recipe) == (7, 0, "char-rnn")
    assert settings.machine.parameters == "float32"
    assert settings.log[0].startswith("-recipe quick: pycharrnn train -data_dir data/tinyshakespeare -rnn_size 7 ")


def test_code_points_are_advised_for_a_text_with_many_multibyte_characters():
    """A model of bytes may draw bytes that are no character: U+FFFD on the screen."""

    def notes(multibyte: int, **given) -> tuple[str, ...]:
        text = TextStats(100_000 + multibyte, 100_000, multibyte)
        return settle(TrainOptions(recipe="quick", gpuid=-1, **given), {"recipe", *given}, None, text, CPU).notes

    (advice,) = notes(12_000)
    assert advice.startswith("12 % of the characters take several bytes") and for_command_line(advice).endswith(
        "-encoding utf8."
    )
    assert notes(4_900) == notes(60_000) == ()  # 60 %: code points are the default
    assert notes(12_000, encoding="utf8") == notes(12_000, encoding="bytes") == ()


def test_code_points_of_a_recipe_are_not_those_of_a_checkpoint():
    settings = settle(
        TrainOptions(recipe="quick", gpuid=-1), {"recipe"}, None, TextStats(160_000, 100_000, 60_000), CPU
    )
    assert settings.data.encoding == "utf8"
    assert "-encoding utf8" in settings.log[0]
    assert not any("checkpoint" in line for line in settings.log)


@pytest.mark.parametrize(
    "options, machine, products",
    [
        ({}, Machine(has_kernel=True), "bfloat16"),
        ({"model": "gru"}, Machine(has_kernel=True), "bfloat16"),
        ({}, CPU, ""),
        ({"gpuid": -1}, Machine(gpus=TWO_GPUS, has_kernel=True), "bfloat16"),
        ({}, Machine(gpus=TWO_GPUS, has_kernel=True), ""),
        ({"exact": 1}, Machine(has_kernel=True), ""),
        ({"exact": 0}, Machine(has_kernel=True), "bfloat16"),
        ({"dtype": "float32"}, Machine(has_kernel=True), ""),
        ({"dtype": ""}, Machine(has_kernel=True), ""),
        ({"recipe": "char-rnn"}, Machine(has_kernel=True), ""),
    ],
)
def test_a_recipe_multiplies_in_bfloat16_where_the_kernel_trains(options, machine, products):
    found = settled(machine, **{"recipe": "quick", **options})
    assert found.machine.products == products
    assert ("-dtype bfloat16" in "".join(found.log)) == bool(products)


def test_a_recipe_leaves_the_network_of_init_from_alone():
    settings = settled(start=start_of(InitialCheckpoint), recipe="quick", init_from="cv", gpuid=-1)
    assert (settings.model.model, settings.model.rnn_size, settings.model.num_layers) == ("gru", 5, 3)
    assert settings.options.init_from == "cv/lm_lstm_best.t7"
    # start_of makes a gru, whose learning rate is half that of an lstm.
    new = settled(recipe="quick", rnn_size=5, gpuid=-1)
    assert settings.optimisation.learning_rate == new.optimisation.learning_rate / 2


def test_dropout_stays_that_of_init_from_and_a_note_says_so():
    (note,) = settled(start=start_of(InitialCheckpoint), init_from="cv", dropout=0.5, gpuid=-1).notes
    assert (
        for_command_line(note)
        == "-dropout 0.5 has no effect: a run with -init_from keeps the dropout of its checkpoint, 0."
    )
    assert settled(start=start_of(InitialCheckpoint), init_from="cv", dropout=0, gpuid=-1).notes == ()
    assert settled(start=start_of(InitialCheckpoint), init_from="cv", gpuid=-1).notes == ()


def test_a_resumed_run_has_its_recorded_options_except_those_given():
    start = start_of(ResumedRun, rnn_size=9, learning_rate=0.5, max_epochs=3, checkpoint_dir="elsewhere", log="x.txt")
    settings = settled(start=start, resume="cv", max_epochs=5, gpuid=-1)
    assert (settings.model.model, settings.model.rnn_size) == ("gru", 5)
    assert (settings.optimisation.learning_rate, settings.optimisation.max_epochs) == (0.5, 5)
    assert settings.resumed.overridden == {"max_epochs", "gpuid"}
    assert (settings.files.checkpoint_dir, settings.files.log, settings.options.resume) == ("cv", "", "")
    assert settings.log == (
        "resuming from cv/lm_lstm_best.t7, iteration 30, epoch 0.50",
        "overridden: -max_epochs 5 (was 3), -gpuid -1 (was 0)",
    )


def test_what_was_not_given_is_said_in_words():
    (_, line) = settled(start=start_of(ResumedRun), resume="cv", dtype="float64", gpuid=0, exact=1).log[:2]
    assert line == "overridden: -dtype float64 (it was not given)"


def test_patience_of_a_resumed_run_ends_where_the_user_says_when_it_ends():
    def resumed(**given) -> tuple[int, tuple[str, ...]]:
        start = dataclasses.replace(start_of(ResumedRun, patience=4, max_epochs=3), is_in_place=True)
        settings = settled(start=start, resume="cv", **given)
        return settings.optimisation.patience, tuple(map(for_command_line, settings.notes))

    words = "says when this run ends: it goes on without -patience 4, unless that is given again."
    assert resumed() == (4, ())
    assert resumed(minutes=2) == (0, (f"-minutes {words}",))
    assert resumed(max_epochs=5) == (0, (f"-max_epochs {words}",))
    assert resumed(max_epochs=5, patience=6) == (6, ())


def test_a_recorded_folder_is_kept_only_where_the_checkpoint_lies_in_it():
    start = start_of(ResumedRun, checkpoint_dir="elsewhere")
    settings = settled(start=start, resume="cv")
    assert settings.files.checkpoint_dir == "cv"
    (note,) = map(for_command_line, settings.notes)
    assert note == "new checkpoints go to cv, where the one of -resume is: -checkpoint_dir names another folder."
    in_place = dataclasses.replace(start, is_in_place=True)
    settings = settled(start=in_place, resume="cv")
    assert settings.files.checkpoint_dir == "elsewhere" and settings.notes == ()
    assert settled(start=start, resume="cv", checkpoint_dir="there").files.checkpoint_dir == "there"


def test_an_early_checkpoint_records_float64_as_double():
    assert settled(start=start_of(ResumedRun, dtype="double"), resume="cv").options.dtype == "float64"


def test_code_points_of_the_checkpoint():
    settings = settled(start=start_of(InitialCheckpoint, "aé"), init_from="cv", gpuid=-1)
    assert settings.data.encoding == "utf8"
    assert settings.log == ("overwriting encoding=utf8 based on the checkpoint.",)


def test_a_recipe_counts_the_code_points_that_a_checkpoint_has():
    text = TextStats(380_000, 200_000, 180_000)
    start = start_of(InitialCheckpoint, "aé")
    options = {"init_from": "cv", "recipe": "quick", "gpuid": -1}
    found = settle(TrainOptions(**options), set(options), start, text, CPU)
    options["encoding"] = "utf8"
    assert found.options == settle(TrainOptions(**options), set(options), start, text, CPU).options
    assert found.log[0].startswith("-recipe quick: ")
    assert found.log[1] == "overwriting encoding=utf8 based on the checkpoint."


def test_minutes_count_the_code_points_that_a_checkpoint_has(monkeypatch):
    text = TextStats(380_000, 200_000, 180_000)
    start = start_of(InitialCheckpoint, "aé")
    timed = []
    monkeypatch.setattr(step_timing, "step_seconds", lambda settings, *args: timed.append(settings.options) or 0.01)
    options = {"init_from": "cv", "minutes": 1.0, "gpuid": -1}
    for more in ({}, {"encoding": "utf8"}):
        opt = TrainOptions(**options, **more)
        step_timing.timing(RunRequest(opt, {*options, *more}, text), start, CPU, Stopwatch(lambda: 0.0, 0.0))
    assert timed[0] == timed[1] and timed[0].encoding == "utf8"


def test_a_seed_beyond_32_bits_is_explained():
    (note,) = settled(seed=2**32 + 5).notes
    assert "5" in note


@pytest.mark.parametrize(
    "options, machine, want",
    [
        ({}, Machine(gpus=TWO_GPUS), ("cuda:0", 0, "float32", "")),
        ({}, Machine(Process(1, 2, 1), TWO_GPUS), ("cuda:1", 0, "float32", "")),
        ({"gpuid": 1, "dtype": "float64"}, Machine(gpus=TWO_GPUS), ("cuda:1", 1, "float64", "")),
        ({"dtype": "bfloat16"}, Machine(gpus=TWO_GPUS), ("cuda:0", 0, "float32", "bfloat16")),
        ({"gpuid": -1}, Machine(gpus=TWO_GPUS), ("cpu", -1, "float64", "")),
        ({"exact": 0}, CPU, ("cpu", -1, "float32", "")),
        ({"exact": 0, "dtype": "float64"}, CPU, ("cpu", -1, "float64", "")),
        ({"exact": 0, "dtype": "float16"}, CPU, ("cpu", -1, "float32", "float16")),
        ({}, Machine(gpus=MPS), ("mps", 0, "float32", "")),
    ],
)
def test_device_and_precision(options, machine, want):
    found = settled(machine, **options).machine
    assert (found.device, found.gpuid, found.parameters, found.products) == want


@pytest.mark.parametrize(
    "options, machine, words",
    [
        ({"gpuid": 2}, Machine(gpus=TWO_GPUS), "-gpuid 2: GPUs here are numbered 0 to 1"),
        ({"dtype": "float64"}, Machine(gpus=MPS), "-dtype float64 does not exist on MPS"),
        ({"dtype": "float32"}, CPU, "-dtype float32 does not give char-rnn's digits: add -exact 0."),
        (
            {"exact": 0, "dtype": "float16", "model": "gru"},
            Machine(computes=lambda *asked: False),
            "-dtype float16 is for lstm and rnn: train a gru with -dtype float32.",
        ),
        (
            {"exact": 0, "dtype": "float16"},
            Machine(computes=lambda *asked: asked != ("lstm", 128, "float16", "cpu"), pytorch="2.9"),
            "-dtype float16: PyTorch 2.9 can't train an lstm in it on the CPU; use -dtype float32.",
        ),
        ({"old_exp": 1}, Machine(gpus=TWO_GPUS), "-old_exp 1 works on the CPU only: use -gpuid -1."),
        ({"old_exp": 1}, Machine(gpus=MPS), "-old_exp 1 works on the CPU only: use -gpuid -1."),
        ({"old_exp": 1, "exact": 0}, CPU, "-old_exp 1 is for char-rnn's digits, in float64: use -exact 1."),
        ({"batch_size": 1}, Machine(Process(0, 2, 0)), "-batch_size 1 can't be divided among 2 processes"),
        ({}, Machine(Process(0, 2, 0), MPS), "a run on several processes needs CPUs or CUDA"),
        ({"vocab": "keep"}, CPU, "-vocab keep is about a checkpoint's characters"),
    ],
)
def test_what_does_not_fit(options, machine, words):
    with pytest.raises(UserError) as raised:
        settled(machine, **options)
    assert words in str(raised.value)


def test_a_resumed_run_that_becomes_exact_has_its_precision():
    start = start_of(ResumedRun, exact=0, dtype="bfloat16")
    assert settled(start=start, resume="cv", gpuid=-1).machine.products == "bfloat16"
    exact = settled(start=start, resume="cv", gpuid=-1, exact=1)
    assert (exact.machine.parameters, exact.machine.products, exact.options.dtype) == ("float64", "", "")
    with pytest.raises(UserError, match="-dtype bfloat16 does not give char-rnn's digits"):
        settled(start=start, resume="cv", gpuid=-1, exact=1, dtype="bfloat16")


@pytest.mark.parametrize(
    "recorded, options, words",
    [
        ({}, {"num_layers": 2}, "-num_layers 2 (was 3) can't change during a run"),
        ({}, {"items": "line"}, "-items line (it was not given) can't change during a run"),
        ({"items": "line"}, {"items": ""}, "-items '' (was line) can't change during a run"),
        ({"batch_size": "many"}, {}, "records the -batch_size 'many', which is not valid"),
        ({"batch_size": 0}, {}, "records an option that can't be used, so give it: -batch_size must be"),
        ({"savefile": "a/b"}, {}, "-savefile a/b is not a file name: give the folder with -checkpoint_dir."),
    ],
)
def test_what_a_resumed_run_can_not_use(recorded, options, words):
    with pytest.raises(UserError) as raised:
        settled(start=start_of(ResumedRun, **recorded), resume="cv", **options)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "encoding, vocab, ending", [("bytes", "ab", "t7"), ("utf8", "ab", "t7"), ("utf8", "abc", "safetensors")]
)
def test_the_format_counts_the_characters_of_text_and_checkpoint(encoding, vocab, ending):
    """Of code points alone: a byte has 256 values at most."""
    text = TextStats(2000, 1000, 999, code_point_values=(ord("a"), ord("b"), *range(0x4E00, 0x4E00 + 998)))
    options = {"init_from": "cv", "vocab": "extend", "encoding": encoding, "gpuid": -1}
    start = start_of(InitialCheckpoint, vocab)
    assert settle(TrainOptions(**options), options, start, text, CPU).files.checkpoint_format == ending


def test_a_long_text_of_bytes_has_t7_checkpoints():
    text = TextStats(6000, 2000, 2000, code_point_values=tuple(range(0x4E00, 0x4E00 + 2000)))
    assert settle(TrainOptions(gpuid=-1), ("gpuid",), None, text, CPU).files.checkpoint_format == "t7"


# -- the process among those of torchrun -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, want",
    [
        ({}, Process()),
        ({"RANK": "", "WORLD_SIZE": "", "LOCAL_RANK": ""}, Process()),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, Process(3, 4, 1)),
    ],
)
def test_a_process_of_torchrun(monkeypatch, values, want):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert process_from_environment() == want


@pytest.mark.parametrize("name, value", [("RANK", "x"), ("WORLD_SIZE", "-1"), ("LOCAL_RANK", "1.5"), ("RANK", "1")])
def test_variables_that_torchrun_does_not_set_so(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"the environment variable {name} is '?{value}"):
        process_from_environment()


@pytest.mark.parametrize(
    "used, said",
    [
        (29.0, ""),
        (31.0, "took 31.0 seconds, and -minutes 1 gives 60: the model learns little; give a longer -minutes."),
        (61.0, "took 61.0 seconds, and -minutes 1 gives 60: the model learns next to nothing; give a longer"),
    ],
)
def test_a_start_that_took_most_of_the_minutes_is_noted(used, said):
    opt = TrainOptions(gpuid=-1, minutes=1)
    notes = settle(opt, {"gpuid", "minutes"}, None, ENGLISH, CPU, Timing(used, {64: 0.01})).notes
    found = [for_command_line(note) for note in notes if note.startswith("reading the text and timing steps")]
    assert [said in note for note in found] == [True] * bool(said)
