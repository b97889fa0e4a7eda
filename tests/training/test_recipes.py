"""-recipe: which flags it stands for, by the text, and that they are shown as a line that gives the same run."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from runs import folder_with_text, result_of, steps, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.text.text_stats import TextStats, text_stats
from pycharrnn.training import recipes, text_defaults, time_plan
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.recipes import RECIPES
from pycharrnn.training.text_defaults import RunRequest

ENGLISH = TextStats(1_000_000, 1_000_000)
CYRILLIC = TextStats(1_900_000, 1_000_000, 900_000)
SMALL = ["-data_dir", "data", "-gpuid", "-1", "-rnn_size", "8", "-max_epochs", "2"]
SETTINGS = {
    **{"num_layers": 1, "dropout": 0.1, "batch_size": 10, "seq_length": 10},
    **{"val_frac": 0.2, "max_epochs": 5, "eval_val_every": 7},
}


def test_numbers_are_those_that_the_command_line_reads():
    opt = recipes.apply(RunRequest(TrainOptions(recipe="best"), (), ENGLISH))
    numbers = [field.name for field in dataclasses.fields(opt) if field.type == "float" and field.name in opt.changed]
    assert "embedding_rate" in numbers
    assert {type(getattr(opt, name)) for name in numbers} == {float}


def of(text: TextStats, **typed) -> TrainOptions:
    return recipes.apply(RunRequest(TrainOptions(recipe="quick", **typed), typed, text))


@pytest.mark.parametrize("items", ["", "line"])
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("length", [40, 100, 3000, 50_000, 10**6, 10**10])
def test_any_text_of_some_length_has_batches_to_train_on_and_to_validate(name, length, items):
    for text in (TextStats(length, length), TextStats(length, None), TextStats(2 * length, length, length)):
        asked = TrainOptions(recipe=name, items=items)
        opt = recipes.apply(RunRequest(asked, set(), text))
        batches = text.length(opt.encoding) // (opt.batch_size * opt.seq_length)
        assert int(batches * opt.train_frac) >= 1
        assert batches - int(batches * opt.train_frac) >= 1
        assert opt.recipe == "char-rnn"
        iterations = opt.max_epochs * int(batches * opt.train_frac)
        assert 5 <= math.ceil(iterations / opt.eval_val_every) <= 20
        assert iterations / opt.print_every <= 120


@pytest.mark.parametrize("length", [0, 10, 39])
def test_a_text_of_nearly_nothing_is_too_short(length):
    with pytest.raises(UserError, match=rf"^the text has {length} characters, too few to learn from: give 1,000"):
        of(TextStats(length, length))


def test_the_length_of_a_short_text_has_its_unit():
    text = TextStats(64, 32, 32)
    assert text_defaults.too_short(text, "bytes").startswith("the text has 64 bytes, too few")
    assert text_defaults.too_short(text, "utf8").startswith("the text has 32 characters, too few")
    with pytest.raises(UserError, match="^the text has 38 bytes, too few"):
        of(TextStats(38, 30, 8))


def test_the_rules():
    def found(length, **typed):
        return text_defaults.defaults(SETTINGS, length, "lstm", typed)

    assert found(4000) == {**SETTINGS, "train_frac": 0.8, "print_every": 2}
    # A short text has smaller batches, one that is very short shorter sequences as well; typed ones stay.
    sizes = ("batch_size", "seq_length")
    assert [found(900)[n] for n in sizes] == [4, 10]
    assert [found(100)[n] for n in sizes] == [1, 5]
    assert found(900, batch_size=9)["seq_length"] == 5
    assert found(900, seq_length=40)["batch_size"] == 1
    assert "batch_size" not in found(900, batch_size=9)
    # What follows goes by what was typed.
    assert found(4000, max_epochs=50)["print_every"] == 27
    assert found(4000, batch_size=5)["print_every"] == 5
    assert found(4000, train_frac=0.9)["val_frac"] == pytest.approx(0.1)
    assert found(4000, val_frac=0.5)["train_frac"] == 0.5
    assert found(4000, train_frac=0.7)["val_frac"] == 0.2
    # A long text needs no longer validation.
    assert (found(300_000)["val_frac"], found(300_000)["train_frac"]) == (0.2, 0.8)
    assert (found(10**6)["val_frac"], found(10**6)["train_frac"]) == (0.06, 0.94)
    assert found(10**6, val_frac=0.1)["train_frac"] == 0.9
    assert found(10**6, train_frac=0.5)["val_frac"] == 0.06


def test_a_short_text_is_read_only_so_often():
    assert of(TextStats(3000, 3000)).max_epochs == time_plan.most_epochs(TrainOptions())
    assert of(ENGLISH).max_epochs < 10


def test_longer_recipes_train_larger_networks():
    """Unless the text is too short for a larger one."""
    for text, is_larger in ((ENGLISH, True), (TextStats(20_000, 20_000), False)):
        quick, best = (recipes.apply(RunRequest(TrainOptions(recipe=name), (), text)) for name in RECIPES)
        assert (quick.rnn_size < best.rnn_size) == is_larger
        assert quick.max_epochs <= best.max_epochs
        assert (quick.train_frac, quick.val_frac) == (best.train_frac, best.val_frac)  # comparable losses


def test_a_recipe_is_the_plan_of_minutes_for_one_machine():
    """Whose speed is a constant: the same text has the same settings everywhere."""
    opt = of(ENGLISH)
    steps = {size: recipes._iteration(opt, size) for size in time_plan.SIZES}
    assert steps[256] == pytest.approx(0.00715, rel=0.01)
    minutes = RECIPES["quick"].minutes
    request = RunRequest(TrainOptions(minutes=minutes), ("minutes",), ENGLISH)
    plan = time_plan.plan(request, 60 * minutes, steps)
    assert plan == opt


def test_typed_flags_change_what_follows_from_them():
    opt, larger, longer = of(ENGLISH), of(ENGLISH, rnn_size=512), of(ENGLISH, max_epochs=8.0)
    assert larger.max_epochs > opt.max_epochs  # it takes the time that it needs, not that of the recipe
    assert of(ENGLISH, rnn_size=160).max_epochs > opt.max_epochs
    assert larger.learning_rate < opt.learning_rate
    assert of(ENGLISH, num_layers=2).rnn_size < opt.rnn_size
    assert longer.rnn_size == opt.rnn_size
    assert longer.weight_drop > opt.weight_drop
    assert longer.eval_val_every > opt.eval_val_every
    assert math.ceil(8 * 940 / longer.eval_val_every) == 20  # a run of this length has time for so many validations
    assert of(ENGLISH, max_epochs=80.0).eval_val_every == 2 * of(ENGLISH, max_epochs=40.0).eval_val_every
    half = of(ENGLISH, train_frac=0.5)  # the rest is no validation split
    assert half.max_epochs * half.train_frac == pytest.approx(opt.max_epochs * opt.train_frac, rel=0.01)
    assert half.eval_val_every == pytest.approx(opt.eval_val_every, rel=0.01)


def test_lines_have_settings_of_their_own():
    names = TextStats(228_145, 228_145)
    text, lines = of(names), of(names, items="line")
    assert (lines.seq_length, lines.items, text.seq_length) == (25, "line", 50)
    drops = [of(TextStats(length, length), items="line").weight_drop for length in (4_999, 5_000, 44_999, 45_000)]
    assert drops == [0.6, 0.5, 0.5, 0.5]
    dropouts = [of(TextStats(length, length), items="line").dropout for length in (4_999, 5_000, 44_999, 45_000)]
    assert dropouts == [0.5, 0.4, 0.4, 0]
    assert of(names, items="line").weight_drop > of(TextStats(7_000_000, 7_000_000), items="line").weight_drop == 0
    for kind in ("blank", "file"):  # items of several lines are as long as texts
        assert dataclasses.replace(of(names, items=kind), items="") == text
    assert of(names, items="line", rnn_size=64, seq_length=10) != lines


def with_pictographs(folder: Path, every: int = 1) -> Path:
    """A folder with the list of docs/lists.md, or a part of it."""
    found = [name for c in range(0x1F300, 0x1F700) if (name := unicodedata.name(chr(c), "").lower())]
    return folder_with_text(folder, "".join(f"{name}\n" for name in found[::every]).encode())


@pytest.mark.slow
def test_quick_learns_words_from_some_hundred_phrases(tmp_path):
    folder = with_pictographs(tmp_path, every=2)
    train(folder, *SMALL[:4], "-items", "line", "-recipe", "quick", small=[])
    assert checkpoint.load(folder / "cv/lm_lstm_best.t7").val_loss < 1.85


def test_quick_does_not_diverge_in_its_first_steps_on_phrases(tmp_path):
    flags = ["-items", "line", "-recipe", "quick", "-max_epochs", "0.2", "-print_every", "1"]
    log = "\n".join(train(with_pictographs(tmp_path), *SMALL[:4], *flags, small=[]))
    losses = [float(loss) for loss in re.findall(r"train_loss = (\S+?),", log)]
    assert len(losses) > 5 and losses[-1] < losses[0]


def test_any_flag_overrules_a_recipe():
    assert of(ENGLISH).rnn_size != 128
    assert of(ENGLISH, rnn_size=128).rnn_size == 128  # also where it is char-rnn's default
    assert of(ENGLISH, exact=1, encoding="utf8").encoding == "utf8"


@pytest.mark.parametrize(("model", "part"), [("gru", 0.5), ("rnn", 0.35)])
def test_a_gru_and_an_rnn_have_a_lower_learning_rate(model, part):
    rate, lstm = (of(ENGLISH, model=name, rnn_size=256).learning_rate for name in (model, "lstm"))
    assert rate == pytest.approx(part * lstm)
    assert of(ENGLISH, model=model).max_epochs > of(ENGLISH).max_epochs  # they compute less for each character
    assert of(ENGLISH, model=model).warmup == 50
    assert (of(ENGLISH, model=model, items="line").warmup, of(ENGLISH, items="line").warmup) == (50, 0)
    assert of(ENGLISH, model=model, learning_rate=0.3).learning_rate == 0.3
    opt = TrainOptions(minutes=1, model=model)
    requests = [RunRequest(o, ("minutes", "model"), ENGLISH) for o in (opt, TrainOptions())]
    for_time = [time_plan.options_for(request, 160, 0.01, 60) for request in requests]
    assert for_time[0].learning_rate == pytest.approx(part * for_time[1].learning_rate) and for_time[0].warmup == 50


def test_an_rnn_has_a_lower_weight_drop():
    """With that of an lstm, 0.58 in a run of 31 epochs, its validation loss rose from the beginning."""
    text = TextStats(150_000, 150_000)
    drops = [of(text, model=model, rnn_size=256, max_epochs=30).weight_drop for model in ("lstm", "gru", "rnn")]
    assert drops[0] == drops[1] > 0.4
    assert drops[2] == pytest.approx(0.3 * drops[0], abs=0.006)
    assert of(text, model="rnn", weight_drop=0.5).weight_drop == 0.5


def test_code_points_where_most_characters_are_of_several_bytes():
    assert (of(ENGLISH).encoding, of(CYRILLIC).encoding) == ("bytes", "utf8")
    assert of(TextStats(1_900_000, None)).encoding == "bytes"
    assert of(CYRILLIC).max_epochs == of(ENGLISH).max_epochs


def test_with_a_checkpoint_to_start_from_its_network_holds():
    opt = of(CYRILLIC, init_from="cv/lm_lstm_best.t7")
    plain = TrainOptions()
    for name in ("rnn_size", "num_layers", "model", "dropout", "encoding"):
        assert getattr(opt, name) == getattr(plain, name)
    assert opt.exact == 0
    assert opt.max_epochs < of(CYRILLIC, rnn_size=opt.rnn_size).max_epochs  # the time of the recipe, not more
    opt = TrainOptions(recipe="quick", init_from="cv/lm_lstm_best.t7", rnn_size=512)
    assert recipes.apply(RunRequest(opt, ("rnn_size",), ENGLISH)) == recipes.apply(RunRequest(opt, (), ENGLISH))


def test_a_checkpoint_of_code_points_has_the_settings_for_code_points():
    given = {"rnn_size": 256, "num_layers": 1, "encoding": "utf8"}
    text = TextStats(380_000, 200_000, 180_000)
    assert of(text, **given).learning_rate < of(CYRILLIC, **given).learning_rate  # a short text
    opt = TrainOptions(recipe="quick", init_from="cv/lm_lstm_best.t7", **given)
    assert recipes.apply(RunRequest(opt, (), text)) == recipes.apply(RunRequest(opt, ("encoding",), text))


def test_with_a_checkpoint_to_start_from_new_characters_are_added():
    assert of(ENGLISH).vocab == "strict"
    assert of(ENGLISH, init_from="cv/lm_lstm_best.t7").vocab == "extend"
    assert of(ENGLISH, init_from="cv/lm_lstm_best.t7", vocab="strict").vocab == "strict"


def test_with_several_layers_the_learning_rate_rises():
    """Without a warm-up, one in four runs of 320 units and two layers diverged on 32,033 names."""
    assert [of(ENGLISH, items="line", num_layers=layers).warmup for layers in (1, 2)] == [0, 50]
    assert of(ENGLISH, items="line", num_layers=2, warmup=7).warmup == 7


def test_with_a_checkpoint_to_start_from_the_learning_rate_rises():
    assert of(ENGLISH, items="line").warmup == 0
    assert of(ENGLISH, items="line", init_from="cv/lm_lstm_best.t7").warmup == 50
    assert of(ENGLISH, items="line", init_from="cv/lm_lstm_best.t7", warmup=7).warmup == 7


@pytest.mark.parametrize("recipe", ["quick", "best"])
def test_a_model_learns_a_short_list_further_with_a_third_of_the_rate(recipe):
    given = ("rnn_size", "items")
    for length, part in ((3_000, 3), (14_000, 3), (50_000, 1)):
        asked = (TrainOptions(recipe=recipe, items="line", init_from=name) for name in ("", "cv/lm_lstm_best.t7"))
        new, further = (recipes.apply(RunRequest(opt, given, TextStats(length, length))) for opt in asked)
        assert further.learning_rate == pytest.approx(new.learning_rate / part, rel=0.02)
        assert 0 < further.weight_drop <= 0.8 * new.weight_drop
    assert of(TextStats(3_000, 3_000), items="line", init_from="a.t7", learning_rate=0.02).learning_rate == 0.02


def test_a_model_learns_a_short_text_further_more_carefully():
    """It learns it by heart sooner, and a weight drop that it was not trained with undoes much of it."""
    for length, part in ((60_000, 2), (500_000, 1)):
        text = TextStats(length, length)
        sizes = {"rnn_size": 160, "num_layers": 1}
        new, further = of(text, **sizes), of(text, **sizes, init_from="cv/lm_lstm_best.t7")
        assert further.learning_rate == new.learning_rate / part
        assert further.max_epochs == min(new.max_epochs, 20)
        assert 0 < further.weight_drop <= 0.8 * new.weight_drop


@pytest.mark.parametrize(
    "text, wanted",
    [
        (b"The night\n" * 300_000, TextStats(3_000_000, 3_000_000)),
        ("Ночь, улица.\n".encode() * 100_000, TextStats(2_200_000, 1_300_000, 900_000)),
        ("é".encode() * 1_000_000 + b"a\xff", TextStats(2_000_002, None)),
        ("é".encode()[:1], TextStats(1, None)),
        ("a€😀".encode(), TextStats(8, 3, 2)),
    ],
)
def test_survey(tmp_path, text, wanted):
    (tmp_path / "input.txt").write_bytes(text)
    found = text_stats(str(tmp_path))
    assert TextStats(found.size, found.code_points, found.multibyte) == wanted


def test_the_first_line_gives_the_same_run(tmp_path):
    folder = folder_with_text(tmp_path / "a folder")
    first, *log = train(folder, *SMALL, "-recipe", "quick", "-learning_rate", "0.0123", small=[])
    assert first.startswith("-recipe quick: pycharrnn train -data_dir data -rnn_size 8 ")
    assert "-learning_rate 0.0123 " in first
    words = shlex.split(first.partition(": ")[2])[2:]
    again = folder_with_text(tmp_path / "again")
    printed = [line for line in train(again, *words, small=[]) if not line.startswith("WARNING: less than 50 batches")]
    assert printed == log  # the recipe chose the sizes that the warning is about
    (ours,), (theirs,) = ([*f.glob("cv/lm_lstm_best.t7")] for f in (folder, again))
    assert checkpoint.load(ours).opt == checkpoint.load(theirs).opt
    assert "recipe" not in checkpoint.load(ours).opt


def test_a_run_with_a_recipe_goes_on(tmp_path):
    folder = folder_with_text(tmp_path)
    whole = train(folder, *SMALL, "-recipe", "quick", "-savefile", "whole", small=[])
    train(folder, *SMALL[:-1], "1", "-recipe", "quick", "-savefile", "half", "-eval_val_every", "7", small=[])
    error, _, _ = result_of(folder, "-resume", "cv/lm_half_latest.t7", "-recipe", "quick", small=[])
    assert str(error) == (
        "-resume goes on with the options of its run, -recipe quick is for a new one: give one of them."
    )
    out = train(folder, "-resume", "cv/lm_half_latest.t7", "-max_epochs", "2", small=[])
    assert out[-1].partition("(")[0] == whole[-1].partition("(")[0]
    assert checkpoint.load(folder / "cv/lm_half_latest.t7").opt["exact"] == 0


def test_char_rnn_is_as_ever(tmp_path):
    folder = folder_with_text(tmp_path)
    plain = train(folder, "-max_epochs", "0.2")
    assert plain[0] == "vocab.t7 and data.t7 do not exist. Running preprocessing..."
    assert steps(train(folder, "-max_epochs", "0.2", "-recipe", "char-rnn")) == steps(plain)
    error, _, _ = result_of(folder, "-recipe", "slow", small=[])
    assert str(error) == "-recipe must be char-rnn, quick or best, not slow."


def test_help_shows_what_a_recipe_stands_for():
    text = CliRunner().invoke(cli, ["train", "-help"]).stdout
    text, in_items = text[text.index("Recipes") :].split("  quick for a 230 KB list of lines, ")
    assert "-items line" in in_items and "best for a 230 KB list of lines, " in in_items
    for part, items, stats in ((text, "", ENGLISH), (in_items, "line", TextStats(230_000, 230_000))):
        opt = of(stats, items=items)
        assert " ".join(opt.flags(opt.changed)) in " ".join(part.split())
