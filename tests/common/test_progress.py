"""What a person at a terminal sees, and that nobody else does."""

from __future__ import annotations

import http.server
import io
import os
import re
import shutil
import sys
import threading

import pytest
from conftest import GOLDEN, run
from runs import SMALL, folder_with_text, masked, train

from pycharrnn.common import progress

pytest.importorskip("pyte")
if os.name == "nt":
    pytest.skip("pseudo-terminals of POSIX", allow_module_level=True)
from terminal import Terminal  # noqa: E402

LINE = re.compile(r"epoch \d+\.\d\d of [\d.e+]+( \| ETA \S+( \| [\d,]+ characters/s)?)?( \| best val_loss \d\.\d{4})?")
FEW = ["-max_epochs", "4"]
LONG = ["-max_epochs", "100000", "-print_every", "1", "-eval_val_every", "50"]


def test_the_log_scrolls_above_the_line(tmp_path):
    expected = train(folder_with_text(tmp_path / "a"), *FEW)
    with Terminal("train", *SMALL, *FEW, cwd=folder_with_text(tmp_path / "b"), columns=200) as terminal:
        terminal.read(lambda: bool(LINE.fullmatch(terminal.bottom())))
        assert terminal.end() == 0
    assert b"reading" not in terminal.output  # what is quick has no bar
    lines = masked("\n".join(terminal.lines()))
    notes = [line for line in lines if line.startswith("pycharrnn: ")]
    assert len(notes) == 3
    assert [line for line in lines if line not in notes] == expected  # and so nothing of the line is left


def test_the_line_tells_speed_and_best_loss(tmp_path):
    whole = re.compile(r"epoch \d+\.\d\d of 1e\+05 \| ETA .+ \| [\d,]+ characters/s \| best val_loss \d\.\d{4}")
    quiet = [*LONG, "-print_every", "100000"]
    with Terminal("train", *SMALL, *quiet, cwd=folder_with_text(tmp_path / "a")) as terminal:
        terminal.read(lambda: bool(whole.fullmatch(terminal.bottom())))  # what is read may end in the middle of it
        terminal.type(b"\x03")
        assert terminal.end() == 130


def test_ctrl_c_leaves_the_log_and_the_notes(tmp_path):
    # Checkpoints don't record -threads, so the command that resumes the run has it.
    arguments = [*SMALL, *LONG, "-threads", "1"]
    with Terminal("train", *arguments, cwd=folder_with_text(tmp_path / "a"), columns=200) as terminal:
        terminal.read(lambda: bool(LINE.fullmatch(terminal.bottom())))
        terminal.type(b"\x03")
        assert terminal.end() == 130
    lines = terminal.lines()
    assert re.search(r"; go on with: pycharrnn train -resume cv/lm_lstm_\S+\.t7 -threads 1$", lines[-1])
    (said,) = [line for line in lines if "finishing the step" in line]
    assert said.replace("^C", "").startswith("pycharrnn: Ctrl-C: finishing")
    assert not [line for line in lines if "ETA" in line]


@pytest.mark.parametrize("args, shown", [((), False), (("-progress", "0"), False), (("-progress", "1"), True)])
def test_a_log_in_a_file_is_only_the_log(tmp_path, args, shown):
    expected = train(folder_with_text(tmp_path / "a"), *FEW)
    folder = folder_with_text(tmp_path / "b")
    with (
        open(tmp_path / "log", "wb") as log,
        Terminal("train", *SMALL, *FEW, *args, cwd=folder, stdout=log, columns=200) as terminal,
    ):
        assert terminal.end() == 0
    assert masked((tmp_path / "log").read_text(encoding="utf-8")) == expected
    assert (b"ETA" in terminal.output) == shown
    assert not [line for line in terminal.lines() if not line.startswith("pycharrnn: ")]


def test_nothing_in_pipes(tmp_path):
    for choice in ("-1", "1"):
        folder = folder_with_text(tmp_path / choice)
        result = run("train", *SMALL, *FEW, "-progress", choice, cwd=folder)
        assert result.returncode == 0
        assert b"\x1b" not in result.stdout + result.stderr
        assert b"\r" not in result.stdout + result.stderr
        assert b"ETA" not in result.stderr


def test_a_log_whose_reader_goes_away(tmp_path):
    reader, writer = os.pipe()
    folder = folder_with_text(tmp_path / "a")
    with Terminal("train", *SMALL, *LONG, "-progress", "1", cwd=folder, stdout=writer, columns=200) as terminal:
        os.close(writer)
        terminal.read(lambda: bool(LINE.fullmatch(terminal.bottom())))
        os.close(reader)
        assert terminal.end() == 1
    sample, line = terminal.lines()
    assert sample.startswith("pycharrnn: sample from it with: pycharrnn sample cv/lm_lstm_")
    assert line.startswith("pycharrnn: stopped by a closed standard output after iteration")


def test_nothing_in_the_background(tmp_path):
    """Where the terminal's lines belong to another program, such as the shell."""
    folder = folder_with_text(tmp_path / "a")
    code = (
        "import os, sys; from pycharrnn.cli import commands\n"
        "if os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "os.setpgrp()\n"
        "commands.main()"
    )
    with Terminal("train", *SMALL, *FEW, cwd=folder, command=("-c", code)) as terminal:
        assert terminal.end() == 0
    assert b"train_loss" in terminal.output
    assert b"ETA" not in terminal.output


def test_a_dumb_terminal_is_left_alone(tmp_path):
    with Terminal("train", *SMALL, *FEW, cwd=folder_with_text(tmp_path / "a"), TERM="dumb") as terminal:
        assert terminal.end() == 0
    assert b"\x1b" not in terminal.output


def fits(output: bytes, columns: int) -> bool:
    """Whether the line that was drawn last is what a terminal of so many columns has room for."""
    drawn = [line.decode() for line in re.findall(rb"\r(epoch[^\r\x1b]*)\x1b", output)][-1:]
    return any(
        len(line) < columns
        and bool(LINE.fullmatch(line)) == (columns > 12)
        and ("best val_loss" in line) == (columns == 120)
        for line in drawn
    )


def test_windows_of_any_width(tmp_path):
    """What doesn't fit is left out, from the end; after a change of size the line is right again, and the log whole."""
    with Terminal("train", *SMALL, *LONG, "-print_every", "100000", cwd=folder_with_text(tmp_path / "a")) as terminal:
        terminal.read(lambda: "best val_loss" in terminal.bottom())
        for columns in (60, 25, 12, 120):
            terminal.resize(columns, 24)
            terminal.output = b""
            # What was drawn before it heard of the new size may still be on its way.
            terminal.read(lambda columns=columns: fits(terminal.output, columns))
        terminal.type(b"\x03")
        assert terminal.end() == 130


def test_many_lines_are_no_more_figures(tmp_path):
    """At hundreds of lines a second the figures change ten times a second, and each redraw is one write."""
    with Terminal("train", *SMALL, *LONG, cwd=folder_with_text(tmp_path / "a")) as terminal:
        terminal.read(lambda: terminal.output.count(b"train_loss") > 600)
        terminal.process.kill()
    drawn = re.findall(rb"\r(epoch[^\r\x1b]*)\x1b\[K\r", terminal.output)
    assert len(drawn) > 50
    # Texts in a row that differ come at least a tenth of a second apart: log lines between them share one.
    assert len(set(drawn)) < len(drawn) / 2


def test_progress_is_not_part_of_a_run(tmp_path):
    """Neither in its checkpoints, nor among what -resume overrides."""
    a, b = folder_with_text(tmp_path / "a"), folder_with_text(tmp_path / "b")
    train(a, "-max_epochs", "0.5")
    train(b, "-max_epochs", "0.5", "-progress", "0")
    (x,), (y,) = (list(folder.glob("cv/*epoch*.t7")) for folder in (a, b))
    assert x.read_bytes() == y.read_bytes()
    lines = train(b, "-resume", "cv", "-progress", "1", "-max_epochs", "1", small=[])
    assert "overridden: -max_epochs 1 (was 0.5)" in lines


@pytest.mark.slow
def test_only_the_first_process_shows_the_line(tmp_path):
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "pycharrnn")
    folder = folder_with_text(tmp_path / "a")
    with Terminal("train", *SMALL, *LONG, cwd=folder, command=command, columns=200) as terminal:
        terminal.read(lambda: terminal.output.count(b"\repoch") > 5)
        terminal.type(b"\x03")
        terminal.read()
    epochs = [float(e) for e in re.findall(rb"\repoch ([\d.]+) of", terminal.output)]
    assert epochs == sorted(epochs)


# -- bars ------------------------------------------------------------------------------------------------------------


def test_preprocessing_and_eval_show_bars(tmp_path):
    """As for a text of gigabytes: in the test, everything takes long enough."""
    folder = folder_with_text(tmp_path / "a")
    code = (
        "from pycharrnn.cli import commands; from pycharrnn.common import progress\n"
        "progress._BAR_AFTER_SECONDS = -1; commands.main()"
    )
    with Terminal("train", *SMALL, *FEW, cwd=folder, command=("-c", code)) as terminal:
        assert terminal.end() == 0
    for label in (b"reading", b"encoding", b"checking data.t7"):
        assert re.search(label + rb"  \[#+\]  100%", terminal.output)
    assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l")  # the cursor is back
    (checkpoint, *_) = folder.glob("cv/*epoch*.t7")
    with Terminal("eval", str(checkpoint), cwd=folder, command=("-c", code), columns=200) as terminal:
        assert terminal.end() == 0
    assert re.search(re.escape(checkpoint.name).encode() + rb"  \[#+\]  100%", terminal.output)


@pytest.mark.parametrize("waiting", ["time.sleep(0.1)", "sys.path.append('.'); import slow_module"])
def test_ctrl_c_ends_a_bar(tmp_path, waiting):
    """The cursor comes back if the terminal drops the end of the bar at ^C, and if ^C interrupts an import."""
    folder = folder_with_text(tmp_path / "a")
    (folder / "slow_module.py").write_text("import time; time.sleep(60)")
    code = (
        "import sys, time; import click._termui_impl\n"
        "from pycharrnn.cli import commands; from pycharrnn.common import progress\n"
        "from pycharrnn.text import file_pieces, preprocessing\n"
        "click._termui_impl.AFTER_BAR = ''\n"
        "progress._BAR_AFTER_SECONDS, file_pieces._PIECE, pieces = -1, 10, file_pieces.file_pieces\n"
        "def slow(*args):\n"
        "    for k, piece in enumerate(pieces(*args)):\n"
        "        yield piece\n"
        f"        if k: {waiting}\n"  # the first piece draws the bar
        "preprocessing.file_pieces = slow\n"
        "commands.main()"
    )
    with Terminal("train", *SMALL, cwd=folder, command=("-c", code)) as terminal:
        terminal.read(lambda: b"encoding  [" in terminal.output)
        terminal.type(b"\x03")
        assert terminal.end() == 130
    assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l")  # the cursor is back
    said = terminal.lines()[-1].replace("^C", "")  # the terminal's echo of the key may come after the bar is cleared
    assert said == "pycharrnn: stopped by Ctrl-C before the training began: nothing was saved."


def test_conversions_show_a_bar(tmp_path):
    code = (
        "from pycharrnn.cli import commands; from pycharrnn.common import progress\n"
        "progress._BAR_AFTER_SECONDS = -1; commands.main()"
    )
    source = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
    for name, extra in (("a.t7", ()), ("b.t7", ("-ascii", "1")), ("c.json", ())):
        with Terminal("convert", source, name, *extra, cwd=tmp_path, command=("-c", code), columns=200) as terminal:
            assert terminal.end() == 0
        assert re.search(b"writing " + name.encode() + rb"  \[[#-]+\]", terminal.output)
        assert terminal.lines()[-1] == f"saved {name}"


def test_folders_of_checkpoints_with_other_names_show_a_bar(tmp_path):
    """Each has to be read. What is said of a damaged one stands below the bar."""
    (tmp_path / "cv").mkdir()
    for name in ("a.t7", "b.t7"):
        shutil.copy(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7", tmp_path / "cv" / name)
    (tmp_path / "cv" / "c.t7").write_bytes(b"damaged")
    code = (
        "from pycharrnn.cli import commands; from pycharrnn.common import progress\n"
        "progress._BAR_AFTER_SECONDS = -1; commands.main()"
    )
    with Terminal("inspect", "cv", cwd=tmp_path, command=("-c", code), columns=200) as terminal:
        assert terminal.end() == 0
    lines = terminal.lines()
    (drawn,) = (k for k, line in enumerate(lines) if line.startswith("reading checkpoints  ["))
    assert lines[drawn].endswith("100%") and lines[drawn + 1].startswith("pycharrnn: passed over")


def test_downloads_show_a_bar(tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 20))
            self.end_headers()
            self.wfile.write(b"x" * (1 << 20))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = (
            "from pycharrnn.cli import commands; from pycharrnn.common import progress\n"
            "from pycharrnn.text import datasets; progress._BAR_AFTER_SECONDS = -1\n"
            f"datasets.TINYSHAKESPEARE_URL = 'http://127.0.0.1:{server.server_port}/'\n"
            "commands.main()"
        )
        with Terminal("data", "tinyshakespeare", cwd=tmp_path, command=("-c", code)) as terminal:
            assert terminal.end() == 0
        server.shutdown()
    assert re.search(rb"downloading  \[#+\]  100%", terminal.output)
    assert terminal.lines()[-1] == "data/tinyshakespeare/input.txt: 1048576 characters, 1 distinct"


def test_nothing_without_streams(monkeypatch):
    """As under pythonw, or where a caller has put something else in their place."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not progress.enabled(-1) and not progress.enabled(1) and not progress.enabled(0)
    with progress.bar("work", 10) as advance:
        advance(10)
