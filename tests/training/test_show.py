"""-show: one sees a model learn, and the model doesn't notice."""

from __future__ import annotations

import codecs
import os
import re
import signal

import pytest
import torch
from conftest import GOLDEN, needs_signals, run, sampled, train_as_recorded, with_slashes, working_in
from runs import SMALL, assert_same_digits, folder_with_text, in_two_processes, log_lines, masked, named, train
from runs import result_of as result

from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.display import escape_for_terminal
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import print_nothing
from pycharrnn.engine import copies
from pycharrnn.training import log_rows, shown_copies
from pycharrnn.training.loop import train as train_with
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.reports import Callbacks, Sample
from pycharrnn.training.shown_sample import wrapped
from pycharrnn.training.signals import RunStopped

SHORT = ["-max_epochs", "1", "-eval_val_every", "20"]  # 60 steps, of which 20, 40 and 60 are followed by a validation
HEADING = r"pycharrnn: a sample after iteration (\d+) \(epoch (\S+)\), at temperature 0.5:"


def samples(stderr: str) -> dict[int, list[str]]:
    """Iteration -> the lines of the sample after it, without their margin."""
    found: dict[int, list[str]] = {}
    for line in stderr.splitlines():
        if heading := re.fullmatch(HEADING, line):
            lines = found[int(heading[1])] = []
        elif line.startswith("pycharrnn: "):  # the lines after it are of another message
            lines = []
        elif line.startswith("    |"):
            lines.append(line[6:])
    return found


def characters(lines: list[str]) -> str:
    """What was drawn, but for what breaking it into lines changes: spaces and newlines."""
    return re.sub(r"\s", "", "".join(lines))


def sampled_alone(path, length: int) -> str:
    """What `sample` draws from the checkpoint of a validation after a paragraph's end, as a screen shows it."""
    seed = 123 + checkpoint.load(path).i
    args = [
        "-seed",
        str(seed),
        "-length",
        str(length),
        "-temperature",
        "0.5",
        "-primetext",
        ".\n\n",
        "-hide_prime",
        "1",
    ]
    return characters(
        [escape_for_terminal(codecs.getincrementaldecoder("utf-8")("replace").decode(sampled(path, args)[:-1]))]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "args", [("-dropout", "0.3"), ("-exact", "0", "-dropout", "0.3", "-model", "gru"), ("-encoding", "utf8")]
)
def test_a_sample_at_every_validation_changes_nothing(tmp_path, args):
    runs = []
    for name, more in (("off", ()), ("on", ("-show", "120"))):
        torch.manual_seed(1)
        folder = folder_with_text(tmp_path / name)
        error, out, stderr = result(folder, *SHORT, *args, *more)
        assert error is None
        files = {path.name: path.read_bytes() for path in folder.glob("cv/*.t7")}
        runs.append((out, files, torch.get_rng_state().tolist()))
    assert runs[0] == runs[1]
    shown = samples(stderr)
    assert list(shown) == [20, 40, 59 if "utf8" in args else 60]
    for path in named(folder):
        assert characters(shown[checkpoint.load(path).i]) == sampled_alone(path, 120)


@pytest.mark.parametrize("name", ["lstm2_clip", "rnn2_dropout"])
def test_the_recorded_digits_stay(tmp_path, name):
    log, folder = train_as_recorded(name, tmp_path, "-show", "30")
    assert_same_digits(log_lines(log), log_lines((GOLDEN / name / "train.log").read_text(encoding="utf-8")))


def test_it_is_no_part_of_the_run(tmp_path):
    """What a run that goes on shows is what its own command line says, which overrides nothing."""
    folder = folder_with_text(tmp_path)
    train(folder, *SHORT, "-show", "10")
    error, out, stderr = result(folder, "-resume", "cv", "-max_epochs", "1.5", small=[])
    assert error is None and not samples(stderr)
    error, out, stderr = result(folder, "-resume", "cv", "-max_epochs", "2", "-show", "10", small=[])
    assert list(samples(stderr)) == [100, 120]
    assert "overridden: -max_epochs 2 (was 1.5)" in out


def test_in_pipes_it_is_plain_lines_on_stderr(tmp_path):
    folder = folder_with_text(tmp_path)
    process = run("train", *SMALL, *SHORT, "-show", "200", cwd=folder)
    said = process.stderr.replace(os.linesep.encode(), b"\n").decode()
    assert process.returncode == 0 and "\x1b" not in said and "\r" not in said
    assert masked(with_slashes(process.stdout.decode())) == train(folder_with_text(tmp_path / "off"), *SHORT)
    lines = said.splitlines()
    assert all(line.startswith("pycharrnn: ") or (line.startswith("    |") and len(line) < 80) for line in lines)
    assert len(samples(said)) == 3


def test_on_a_terminal_it_stands_above_the_line(tmp_path):
    pytest.importorskip("pyte")
    if os.name == "nt":
        pytest.skip("pseudo-terminals of POSIX")
    from terminal import Terminal

    expected = train(folder_with_text(tmp_path / "a"), *SHORT)
    folder = folder_with_text(tmp_path / "b")
    with Terminal("train", *SMALL, *SHORT, "-show", "600", cwd=folder, columns=180) as terminal:
        assert terminal.end() == 0
    assert b"\repoch" in terminal.output
    lines = terminal.lines()
    shown = samples("\n".join(lines))
    assert list(shown) == [20, 40, 60]
    assert max(len(line) for sample in shown.values() for line in sample) > 74  # as wide as the screen
    # The log is whole, and nothing of the line below it is left between the samples.
    assert masked("\n".join(line for line in lines if not line.startswith(("pycharrnn: ", "    |")))) == expected
    for path in named(folder):
        assert characters(shown[checkpoint.load(path).i]) == sampled_alone(path, 600)


def test_only_the_first_process_shows_it(tmp_path):
    log = ["-print_every", "4", "-log", "run.csv", "-log_every_seconds", "1e-9"]
    args = ["-max_epochs", "0.2", "-show", "20", *log]
    _, said = in_two_processes(folder_with_text(tmp_path), "train", *SMALL, *args)
    assert said.count("pycharrnn: a sample after") == 1
    iterations = [row.iteration for row, _ in log_rows.rows(str(tmp_path / "run.csv"))]
    # And so of -log: rows of printed losses and of the validation; one at an interval would be a collective call.
    assert iterations == [4, 8, 12, 12]


# -- what a model may write --------------------------------------------------------------------------------------------


def shown_of(folder, draw, callbacks: Callbacks = Callbacks(), **options) -> list[str]:  # noqa: B008
    """The notes of a short run whose samples `draw` draws."""
    notes: list[str] = []
    opt = TrainOptions(data_dir="data", gpuid=-1, rnn_size=6, batch_size=5, seq_length=8, max_epochs=0.1, **options)
    with working_in(folder):
        train_with(opt, say=print_nothing, note=notes.append, draw=draw, callbacks=callbacks)
    return notes


def test_a_callback_gets_the_sample_in_place_of_stderr(tmp_path):
    """As it was drawn: its lines are not broken."""
    told: list[Sample] = []
    drawn = b"word " * 40
    notes = shown_of(
        folder_with_text(tmp_path),
        lambda *about: iter([bytes([k]) for k in drawn]),
        callbacks=Callbacks(on_sample=told.append),
        show=200,
    )
    assert [sample.text for sample in told] == [drawn.decode()]
    assert [(sample.iteration, f"{sample.epoch:.2f}") for sample in told] == [(6, "0.10")]
    assert notes[0].startswith("the samples copy ") and notes[1].startswith("finished")


def test_nothing_that_a_terminal_obeys_reaches_it(tmp_path):
    hostile = [bytes([k]) for k in range(256)] + ["\u202e".encode(), "\u2028".encode(), b"\xe2\x80"]
    first, *_ = shown_of(folder_with_text(tmp_path), lambda *about: iter(hostile), show=10)
    text = "".join(line[6:] for line in first.split("\n")[1:])
    assert all(character.isprintable() for character in text)
    assert "\u241b" in text and "ABCDEFG" in text
    assert text.endswith("\ufffd\ufffd")  # for the two that are no characters; what was cut off at the end is left out


def test_a_character_that_the_end_cuts_is_left_out(tmp_path):
    first, *_ = shown_of(folder_with_text(tmp_path), lambda *about: iter([b"a", b"\xc3", b"\xa9", b"\xc3"]), show=4)
    assert first.split("\n")[1:] == ["    | a\u00e9"]


@pytest.mark.parametrize(
    "by_seed, shown",
    [
        ([b"a   ", b"good"], "a"),
        ([b"a    ", b"good", b"better"], "good"),
        ([b"     ", b"-----", b"good"], "good"),
        ([b"-----", b"b----", b"     ", b"good"], "b----"),
    ],
)
def test_of_samples_without_letters_the_next_is_shown(tmp_path, by_seed, shown):
    def draw(checkpoint, model, length, seed, temperature):
        return iter([by_seed[seed - 123 - checkpoint.i]])

    first, *_ = shown_of(folder_with_text(tmp_path), draw, show=5)
    assert first.split("\n")[1:] == [f"    | {shown}"]


def test_a_model_that_predicts_no_numbers_ends_no_run(tmp_path):
    def nothing(*about):
        raise UserError("NaN")
        yield b""

    notes = shown_of(folder_with_text(tmp_path), nothing, show=4)
    assert not [line for line in notes if "a sample" in line]
    assert notes[0].startswith("finished")


@pytest.mark.parametrize("error", [MemoryError, torch.cuda.OutOfMemoryError])
def test_want_of_memory_ends_no_run(tmp_path, error):
    def large(*about):
        raise error
        yield b""

    notes = shown_of(folder_with_text(tmp_path), large, show=4)
    assert notes[0] == "there is no memory for a sample after iteration 6."
    assert notes[1].startswith("finished")


@needs_signals
@pytest.mark.parametrize("from_texts", [0, 1])
def test_a_signal_during_a_sample_changes_no_checkpoint(tmp_path, from_texts):
    """With -from_texts, it records what the whole sample copied."""

    def undisturbed(*about):
        return iter([b"x"] * about[2])

    def disturbed(checkpoint, model, length, *about):
        for k in range(length):
            if checkpoint.i == 2 and k == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            yield b"x"

    folder = folder_with_text(tmp_path)
    options = {"show": 50, "eval_val_every": 2, "from_texts": from_texts}
    shown_of(folder, undisturbed, savefile="whole", **options)
    with pytest.raises(RunStopped, match="stopped by SIGTERM after iteration 2"):
        shown_of(folder, disturbed, savefile="whole", checkpoint_dir="stopped", **options)
    (first,) = (folder / "stopped").glob("lm_whole_epoch*")
    found, whole = (checkpoint.load(path) for path in (first, folder / "cv" / first.name))
    assert ("copied_longest" in whole.opt) == bool(from_texts)
    assert {**found.opt, "checkpoint_dir": "cv"} == whole.opt


@needs_signals
@pytest.mark.parametrize("during", ["the sample", "its comparison"])
def test_a_second_signal_stops_at_once(tmp_path, monkeypatch, during):
    def stop(*about):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        return iter([b"x"])

    if during == "its comparison":
        monkeypatch.setattr(shown_copies.novelty, "compare", stop)
    draw = stop if during == "the sample" else lambda *about: iter([b"x"])
    with pytest.raises(RunStopped, match="stopped at once by a second signal, SIGTERM"):
        shown_of(folder_with_text(tmp_path), draw, show=10, eval_val_every=2)


def test_too_long_a_sample_is_refused(tmp_path):
    error, _, _ = result(folder_with_text(tmp_path), "-show", "10001")
    assert str(error) == "-show must be from 0 to 10000, not 10001."


@pytest.mark.parametrize(
    "text, width, lines",
    [
        ("", 5, [""]),
        ("one two three", 20, ["one two three"]),
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 7, ["one two", "three"]),
        ("extraordinary", 5, ["extra", "ordin", "ary"]),
        ("an extraordinary", 5, ["an", "extra", "ordin", "ary"]),
        ("a\n\nb\n", 5, ["a", "", "b", ""]),
        ("\ta", 10, ["    a"]),
        ("\u65e5\u672c\u8a9e", 4, ["\u65e5\u672c", "\u8a9e"]),  # two columns each
        ("\u65e5", 1, ["\u65e5"]),
        ("e\u0301" * 4, 4, ["e\u0301" * 4]),  # an accent takes no column of its own
    ],
)
def test_lines_are_broken_between_words(text, width, lines):
    assert wrapped(text, width) == lines


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that CUDA can use")
def test_on_a_gpu_it_draws_from_no_generator_of_training(tmp_path):
    states = []
    for show in ("0", "50"):
        torch.manual_seed(1)
        error, _, stderr = result(folder_with_text(tmp_path / show), *SHORT, "-gpuid", "0", "-show", show)
        assert error is None
        states.append((torch.get_rng_state().tolist(), torch.cuda.get_rng_state().tolist()))
    assert states[0] == states[1]
    assert list(samples(stderr)) == [20, 40, 60]


def test_a_line_at_the_end_and_a_record_say_what_the_samples_copied(tmp_path):
    """Of files; a run on -data_dir records nothing, so that its checkpoints are char-rnn's."""
    text = b"".join(b"%d green bottles hanging on the wall\n" % (k % 7) for k in range(300))
    (tmp_path / "song.txt").write_bytes(text)
    small = ["-rnn_size", "24", "-max_epochs", "3", "-batch_size", "4", "-seq_length", "20", "-eval_val_every", "60"]
    done = run("train", "song.txt", "-gpuid", "-1", *small, "-show", "150", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    k = next(k for k, line in enumerate(lines) if "the samples copy" in line)
    said = re.fullmatch(
        r"pycharrnn: the samples copy up to (\d+) characters in a row from the training split, which has (\S+) % of"
        r" their 16-character sequences and (\S+) % of the validation split's; the longest:",
        lines[k],
    )
    passage = lines[k + 1].removeprefix("    | ")
    assert passage.replace("\\n", "\n").removesuffix("...").encode() in text
    assert float(said[3]) > 80 > 0 <= float(said[2]) and int(said[1]) >= 3
    recorded = [checkpoint.load(path).opt for path in named(tmp_path)]
    assert max(opt["copied_longest"] for opt in recorded) <= int(said[1])
    shown = run("inspect", str(named(tmp_path)[-1]), cwd=tmp_path).stdout.decode()
    shares = r"the training split has \S+ % of the sample's 16-character sequences and \S+ % of those of the validation"
    assert re.search(rf"copied +\d+ characters of its sample; {shares} split\n", shown)
    done = run(
        "train", "-data_dir", "data/song", "-gpuid", "-1", *small, "-show", "150", "-savefile", "b", cwd=tmp_path
    )
    assert b"the samples copy up to" in done.stderr
    assert not any("copied_longest" in checkpoint.load(p).opt for p in named(tmp_path) if p.name.startswith("lm_b"))


def test_labels_are_not_copied(tmp_path):
    """Names of 8 characters have no sequences of 16, so the log does not mention them."""
    for label in ("a long label", "another long label"):
        names = "".join(f"{label[:4]}{k * 7919 % 10000:04}\n" for k in range(150))
        (tmp_path / f"{label}.txt").write_text(names, encoding="utf-8")
    files = ["a long label.txt", "another long label.txt", "-items", "line", "-label", "file"]
    small = ["-rnn_size", "24", "-max_epochs", "3", "-batch_size", "4", "-seq_length", "20", "-show", "150"]
    done = run("train", *files, "-gpuid", "-1", *small, cwd=tmp_path)
    assert done.returncode == 0
    said = re.search(
        r"the samples copy up to (\d+) characters in a row from the training split(.*):", done.stderr.decode()
    )
    assert 2 <= int(said[1]) <= 9 and said[2] == "; the longest"
    shown = run("inspect", str(named(tmp_path)[-1]), cwd=tmp_path).stdout.decode()
    assert re.search(r"copied +\d characters of its sample\n", shown)


def test_a_passage_of_blanks_is_named():
    """It would show as an empty line."""
    assert shown_copies.shown_passage(b" \n ") == "(blanks only)"
    assert shown_copies.shown_passage(b" a\n") == r" a\n"


def test_the_longest_passage_that_is_not_blank_is_shown():
    copied = copies.compare([b"x" + b" " * 9 + b"\nred hat"], [[b" " * 9 + b"\n", b"a red hat"]]).copies(1)
    assert not copied[0].passage.strip()
    assert shown_copies.shown_longest(copied) == "the longest that is not blank:\n    | red hat"
    assert shown_copies.shown_longest(copied[:1]) == "the longest:\n    | (blanks only)"


def test_a_large_text_is_not_read_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(shown_copies, "MAX_UNASKED", 10)
    error, _, stderr = result(folder_with_text(tmp_path), *SHORT, "-show", "60")
    assert error is None and samples(stderr) and "copied" not in stderr
