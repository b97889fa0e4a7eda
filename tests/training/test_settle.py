"""settle(): what the checkpoint, the text and the machine overrule, without a file or an object of a run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compat.charrnn import Checkpoint, era_of_ours
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.engine.device import GPUs
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training import step_timing, time_plan
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
    start = start_of(InitialCheckpoint)  # whose characters stay
    options = {"recipe": "quick", "init_from": "cv", "gpuid": -1}
    assert settle(TrainOptions(**options), options, start, TextStats(112_000, 100_000, 12_000), CPU).notes == ()


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
        ({"vocab": "keep"}, CPU, "-vocab keep needs a checkpoint: add -init_from"),
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
        ({}, {"forget_bias": 0}, "-forget_bias 0 (was 1) can't change during a run"),
        (
            {"items": "line", "label": "column"},
            {"label": "file"},
            "-label file (was column) can't change during a run",
        ),
        ({}, {"items": "line"}, "-items line (it was not given) can't change during a run"),
        ({"items": "line"}, {"items": ""}, "-items '' (was line) can't change during a run"),
        ({"batch_size": "many"}, {}, "records the -batch_size 'many', which is not valid"),
        ({"batch_size": 0}, {}, "records an option that can't be used, so give it: -batch_size must be"),
        ({"forget_bias": "yes"}, {}, "-forget_bias 'yes', which is not valid: use another checkpoint."),
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


def test_what_of_a_model_of_items_is_not_taken_over_is_said():
    def notes(**given) -> tuple[str, ...]:
        start = start_of(InitialCheckpoint, items="line", label="column")
        return settled(start=start, init_from="cv", gpuid=-1, **given).notes

    (note,) = map(for_command_line, notes())
    assert note.endswith("items, but this run trains it on one text: add -items line to train it on items.")
    (note,) = map(for_command_line, notes(items="line"))
    assert "is a model with labels, but this run trains it without them: add -label column to keep them" in note
    assert notes(items="line", label="column") == ()


@pytest.mark.parametrize("names_gates, bias", [(True, 1), (False, 0)])
def test_forget_biases_are_set_where_the_gates_have_names(names_gates, bias):
    start = start_of(InitialCheckpoint)
    found = dataclasses.replace(start.checkpoint, era=era_of_ours("lstm", names_gates))
    start = dataclasses.replace(start, checkpoint=found)
    assert settled(start=start, init_from="cv", gpuid=-1).options.forget_bias == bias
    assert settled(start=start, init_from="cv", gpuid=-1, forget_bias=1 - bias).options.forget_bias == 1 - bias


def test_a_command_that_repeats_a_run_names_a_checkpoint_that_no_run_replaces(tmp_path):
    best, other = (tmp_path / f"lm_lstm_{name}.t7" for name in ("best", "epoch0.50_2.0000"))
    for path in (best, other):
        path.write_bytes(b"the same")
    start = start_of(InitialCheckpoint, path=str(best))
    start = dataclasses.replace(start, checkpoint=dataclasses.replace(start.checkpoint, val_loss=2.0))

    def path_of(timing: Timing | None = None, **options) -> str:
        opt = TrainOptions(init_from="cv", gpuid=-1, **options)
        return settle(opt, {"init_from", "gpuid", *options}, start, ENGLISH, CPU, timing).options.init_from

    assert path_of() == str(best)
    assert path_of(recipe="quick") == path_of(Timing(1.0, {5: 0.01}), minutes=5) == str(other)
    other.write_bytes(b"of another run")
    assert path_of(recipe="quick") == str(best)


def test_anneal_to_needs_anneal_only_where_it_is_given():
    with pytest.raises(UserError, match="-anneal_to 30:10 is for -anneal: add -anneal 1"):
        settled(anneal_to="30:10")
    assert settled(anneal_to="").optimisation.anneal_to == ""
    start = start_of(ResumedRun, anneal=1, anneal_to="30:10")
    assert settled(start=start, resume="cv", anneal=0).optimisation.anneal == 0


def test_a_decay_has_no_effect_beside_anneal():
    def notes(**given) -> list[str]:
        return list(map(for_command_line, settled(gpuid=-1, **given).notes))

    end = "no effect with -anneal 1, by which the rate falls to the end: -anneal 0 turns that off."
    assert notes(anneal=1, learning_rate_decay=0.9) == [f"-learning_rate_decay has {end}"]
    both = notes(anneal=1, learning_rate_decay=0.9, learning_rate_decay_after=3)
    assert both == [f"-learning_rate_decay and -learning_rate_decay_after have {end}"]
    assert notes(learning_rate_decay=0.9) == notes(anneal=1) == []


def test_each_process_has_a_row_at_least():
    assert settled(Machine(Process(0, 2, 0)), batch_size=2).data.batch_size == 2


@pytest.mark.parametrize(
    "recorded, given, minutes",
    [({}, {}, 3), ({}, {"max_epochs": 9}, 0), ({}, {"max_epochs": 9, "minutes": 2}, 2), ({}, {"minutes": 2}, 2)],
)
def test_a_resumed_run_has_the_minutes_that_are_left_unless_another_end_is_given(recorded, given, minutes):
    start = start_of(ResumedRun, minutes=3, **recorded)
    settings = settled(start=start, resume="cv", **given)
    assert (settings.minutes, settings.options.minutes) == (minutes, 0)


def test_minutes_end_a_resumed_run_that_has_both_ends_and_no_patience():
    start = dataclasses.replace(start_of(ResumedRun, patience=4), is_in_place=True)
    (note,) = map(for_command_line, settled(start=start, resume="cv", minutes=2, max_epochs=9).notes)
    assert note.startswith("-minutes says when this run ends: it goes on without -patience 4")


def test_only_minutes_that_are_not_recorded_have_no_value_before():
    said = settled(start=start_of(ResumedRun), resume="cv", minutes=2, keep=3).log[1]
    assert said == "overridden: -minutes 2, -keep 3 (was 0)"
    said = settled(start=start_of(ResumedRun, minutes=1.5), resume="cv", minutes=2).log[1]
    assert said == "overridden: -minutes 2 (was 1.5)"
    said = settled(start=start_of(ResumedRun, keep="many"), resume="cv", keep=3).log[1]
    assert said == "overridden: -keep 3 (was nothing that can be used)"


def test_mean_squares_may_begin_elsewhere_where_the_checkpoint_has_none():
    assert settled(start=start_of(ResumedRun), resume="cv", initial_mean=1).optimisation.initial_mean == 1


def test_checkpoints_beside_one_in_the_current_folder_are_in_it():
    settings = settled(start=start_of(ResumedRun, path="lm_lstm_best.t7", checkpoint_dir="cv"), resume="cv")
    assert settings.files.checkpoint_dir == "."
    assert settings.notes[0].startswith("new checkpoints go to ., where")


@pytest.mark.parametrize("ending", ["t7", "safetensors"])
def test_a_resumed_run_keeps_the_format_unless_another_is_given(ending):
    start = start_of(ResumedRun, path=f"cv/lm_lstm_best.{ending}")
    assert settled(start=start, resume="cv").files.checkpoint_format == ending
    other = {"t7": "safetensors", "safetensors": "t7"}[ending]
    assert settled(start=start, resume="cv", checkpoint_format=other).files.checkpoint_format == other


def test_large_t7_checkpoints_are_announced_with_the_size_of_their_vocabulary():
    text = TextStats(6000, 2000, 2000, code_point_values=tuple(range(0x4E00, 0x4E00 + 2000)))
    found = settle(
        TrainOptions(gpuid=-1, encoding="utf8"), ("gpuid", "encoding"), None, text, Machine(has_safetensors=False)
    )
    assert found.files.checkpoint_format == "t7"
    (note,) = found.notes
    assert note.startswith("each .t7 checkpoint holds 32 MB for its vocabulary; smaller checkpoints, .safetensors")


def test_float64_is_exact_on_a_cpu():
    assert settled(dtype="float64").machine.parameters == "float64"
    with pytest.raises(UserError, match="-dtype bfloat16 of a gru needs the C kernel on a CPU: train a gru with"):
        settled(Machine(computes=lambda *asked: False), dtype="bfloat16", exact=0, model="gru")


def test_the_dropout_of_a_resumed_run_is_that_of_its_network():
    """A run of -init_from records the option, which has no effect there."""
    start = start_of(ResumedRun, dropout=0.5)
    assert "dropout" not in settled(start=start, resume="cv", dropout=0).resumed.overridden
    said = settled(start=start, resume="cv", dropout=0.5).log[1]
    assert said == "overridden: -dropout 0.5 (was 0)"


def test_the_encoding_of_texts_is_recorded_with_from_texts_alone():
    assert settled(text_encoding="cp1252", from_texts=1).options.text_encoding == "cp1252"
    assert settled(text_encoding="cp1252").options.text_encoding == ""
    start = start_of(ResumedRun, text_encoding="cp1252", from_texts=1)
    assert settled(start=start, resume="cv").options.text_encoding == "cp1252"
    assert settled(start=start, resume="cv", from_texts=0).options.text_encoding == ""


def test_options_that_do_not_go_together_with_a_default_or_with_recorded_ones():
    with pytest.raises(UserError, match=r"-train_frac 0.99 and -val_frac 0.05 sum to more than 1: .* -val_frac 0.01\."):
        settled(train_frac=0.99)
    with pytest.raises(UserError, match="-train_frac 0.9 and -val_frac 0.3 sum to more than 1"):
        settled(start=start_of(ResumedRun, train_frac=0.9), resume="cv", val_frac=0.3)
    with pytest.raises(UserError, match="-minutes 3 trains in one process, not in the 2 of torchrun"):
        settled(Machine(Process(0, 2, 0)), start=start_of(ResumedRun, minutes=3), resume="cv")


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


@pytest.mark.parametrize(
    "name, value", [("RANK", "x"), ("WORLD_SIZE", "-1"), ("LOCAL_RANK", "1.5"), ("RANK", "1"), ("RANK", "9" * 5000)]
)
def test_variables_that_torchrun_does_not_set_so(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"the environment variable {name} is {value[:100]}"):
        process_from_environment()


@pytest.mark.parametrize(
    "used, said",
    [
        (29.0, ""),
        (30.0, ""),
        (31.0, "took 31.0, so the model learns little: give a longer -minutes."),
        (60.0, "took 60.0, so the model learns next to nothing: give a longer -minutes."),
        (61.0, "took 61.0, so the model learns next to nothing: give a longer -minutes."),
    ],
)
def test_a_start_that_took_most_of_the_minutes_is_noted(used, said):
    opt = TrainOptions(gpuid=-1, minutes=1)
    notes = settle(opt, {"gpuid", "minutes"}, None, ENGLISH, CPU, Timing(used, {64: 0.01})).notes
    found = [for_command_line(note) for note in notes if "60 seconds, and reading the text and timing steps" in note]
    assert [said in note for note in found] == [True] * bool(said)


@pytest.mark.parametrize(
    ("step", "typed", "says_it_is_enough"),
    [
        (1e-4, {}, True),
        (1.0, {}, False),
        # One batch in each split: the shortest run that -minutes plans has more epochs than a text needs.
        (1.0, {"batch_size": 1, "seq_length": 1000, "train_frac": 0.5, "val_frac": 0.5}, False),
        (0.01, {"batch_size": 1, "seq_length": 1000, "train_frac": 0.5, "val_frac": 0.5}, True),
    ],
)
def test_a_start_that_took_most_of_the_minutes_of_a_text_that_needs_few(monkeypatch, step, typed, says_it_is_enough):
    """One note asks for more time, or the other one says that there is enough, but not both."""
    rules = dataclasses.replace(time_plan.TEXT_RULES, max_epochs=20)
    monkeypatch.setattr(time_plan, "TEXT_RULES", rules)
    monkeypatch.setitem(time_plan._RULES, "", rules)
    opt = TrainOptions(gpuid=-1, minutes=0.1, **typed)
    given = {"gpuid", "minutes", *typed}
    notes = settle(opt, given, None, TextStats(2000, 2000), CPU, Timing(4, {96: step})).notes
    asks, enough = "give a longer", "needs less time at this speed: the run ends after 20 epochs"
    assert [(asks in note, enough in note) for note in notes if asks in note or enough in note] == [
        (not says_it_is_enough, says_it_is_enough)
    ]
