"""A run whose loss explodes or is NaN ends, and names its last good checkpoint."""

from __future__ import annotations

from conftest import train_as_recorded
from runs import folder_with_text, named, result_of, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.trainer import Trainer


def test_explosion(tmp_path, monkeypatch):
    left = []
    monkeypatch.setattr(Ranks, "destroy", lambda ranks: left.append(ranks))
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.5")
    (good,) = named(folder)
    error, out, err = result_of(folder, "-resume", "cv", "-learning_rate", "9", "-max_epochs", "3", small=[])
    assert len(left) == 2  # each run parts from other processes, for else NCCL would say at the end that it did not
    assert out[-1] == "loss is exploding, aborting."
    assert error.status == 3
    assert str(error) == (
        "training diverged: lower -learning_rate or -grad_clip;"
        f" go on from the last good checkpoint, -resume cv/{good.name}."
    )


def test_a_text_explodes_above_three_times_its_first_loss(tmp_path, monkeypatch):
    """Also that of a model that begins with a low one."""
    losses = iter([0.5, 1.5, 1.51])
    monkeypatch.setattr(Trainer, "new_losses", lambda trainer: [next(losses)])
    error, out, _ = result_of(folder_with_text(tmp_path), "-max_epochs", "1")
    assert error.status == 3
    assert out[-2].startswith("3/60 ") and out[-1] == "loss is exploding, aborting."


def test_an_explosion_between_two_log_lines(tmp_path):
    said, _ = train_as_recorded("exploding", tmp_path, "-print_every", "100")
    assert said.splitlines()[-2:] == ["number of parameters in the model: 5083", "loss is exploding, aborting."]


def test_nan(tmp_path, monkeypatch):
    """Weights that are not numbers: the original's name, but never without a line, and no latest, no best."""
    from pycharrnn.engine.rmsprop import RMSprop

    step, count = RMSprop.step, iter(range(1000))

    def break_at_20(self, gradient, clip):
        step(self, gradient, clip)
        if next(count) == 19:
            self.parameters[-1] = float("nan")

    monkeypatch.setattr(RMSprop, "step", break_at_20)
    folder = folder_with_text(tmp_path)
    error, out, err = result_of(folder, "-max_epochs", "1", "-eval_val_every", "10")
    good, bad = named(folder)
    assert "nan" in bad.name
    assert out[-1].startswith("loss is NaN.  This usually indicates a bug.")
    assert err.splitlines() == [
        f"pycharrnn: cv/{bad.name} holds numbers that are not finite: lower -learning_rate or -grad_clip;"
        f" the last good checkpoint is cv/{good.name}."
    ]
    assert error.status == 3
    assert f"go on from the last good checkpoint, -resume cv/{good.name}" in str(error)
    for name in ("latest", "best"):
        assert (folder / "cv" / f"lm_lstm_{name}.t7").samefile(good)
    lines = train(folder, "-resume", "cv", "-max_epochs", "0.2", small=[])
    assert any(line.startswith(f"resuming from cv/{good.name}") for line in lines)


def test_the_advice_after_nan_names_the_newest_good_checkpoint(tmp_path, monkeypatch):
    from pycharrnn.engine.rmsprop import RMSprop

    step, count = RMSprop.step, iter(range(1000))

    def break_at_25(self, gradient, clip):
        step(self, gradient, clip)
        if next(count) == 24:
            self.parameters[-1] = float("nan")

    monkeypatch.setattr(RMSprop, "step", break_at_25)
    folder = folder_with_text(tmp_path)
    error, _, _ = result_of(folder, "-max_epochs", "1", "-eval_val_every", "10")
    first, second = named(folder)
    assert "epoch0.33" in second.name
    assert str(error).endswith(f"go on from the last good checkpoint, -resume cv/{second.name}.")
    # a later lm_lstm_latest.t7 may have diverged already, so the advice is to give it up
    count = iter(range(1000))
    error, _, _ = result_of(
        folder, "-max_epochs", "1", "-eval_val_every", "20", "-save_every_minutes", "1e-9", "-overwrite", "1"
    )
    (path,) = set(named(folder)) - {first, second}
    given_up = f"-resume cv/{path.name}, and give up cv/lm_lstm_latest.t7 with -overwrite 1."
    assert str(error).endswith(given_up)


def test_what_was_resumed_is_given_up_for_an_earlier_checkpoint(tmp_path):
    """Without -overwrite 1 the advised flag would be refused, with the advice to resume what has diverged."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.5")
    (good,) = named(folder)
    later = checkpoint.load(good)
    later.i, later.train_losses = later.i + 1, [*later.train_losses, 3.0]
    later.opt["max_epochs"] = 3.0
    checkpoint.convert(later, folder / "cv/lm_lstm_latest.t7")
    resumed = "-resume", "cv/lm_lstm_latest.t7", "-learning_rate", "9"
    error, _, _ = result_of(folder, *resumed, small=[])
    flag = f"-resume cv/{good.name}"
    assert str(error).endswith(f"{flag}, and give up cv/lm_lstm_latest.t7 with -overwrite 1.")
    error, _, _ = result_of(folder, *flag.split(), small=[])
    assert "cv/lm_lstm_latest.t7 is an unfinished run" in str(error)
    assert result_of(folder, *flag.split(), "-overwrite", "1", small=[])[0] is None


def test_nan_in_the_last_validation(tmp_path, monkeypatch):
    from pycharrnn.engine.rmsprop import RMSprop

    monkeypatch.setattr(RMSprop, "step", lambda self, gradient, clip: self.parameters.fill_(float("nan")))
    folder = folder_with_text(tmp_path)
    error, out, err = result_of(folder, "-max_epochs", "0.017")
    assert error.status == 3
    assert str(error) == ("training diverged: lower -learning_rate or -grad_clip; there is no good checkpoint.")
    assert "_nan.t7 holds numbers that are not finite" in err
