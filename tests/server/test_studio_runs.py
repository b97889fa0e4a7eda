"""pycharrnn studio: the queue of runs, their processes, and what a server that starts anew makes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import importlib.util
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import GOLDEN, needs_signals
from serving_tools import LSTM, until
from studio_tools import FAKE, StudioApp, use_fake_training

from pycharrnn.common import file_lock
from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import option
from pycharrnn.page.facts import thinned_series
from pycharrnn.server.studio import run_command, run_process, run_progress, studio_paths
from pycharrnn.server.studio.run_events import EventReader
from pycharrnn.server.studio.run_schemas import NewRun
from pycharrnn.training import log_rows, options
from pycharrnn.training.log_rows import Row
from pycharrnn.training.options import TrainOptions

pytestmark = needs_signals


def begun(studio: StudioApp, run_id: str) -> dict:
    """The run once its process has begun and can be stopped."""
    studio.watch()
    until(lambda: os.path.exists("began"))
    os.unlink("began")
    return studio.run(run_id)


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_run_is_a_command_that_the_page_can_show(studio):
    shutil.copy(LSTM, "cv")
    studio.scan()
    text_id = studio.text("my poems.txt")
    asked = {
        "text": text_id,
        "name": "Spring!",
        "choice": "minutes",
        "minutes": 2.5,
        "items": "line",
        "encoding": "utf8",
    }
    asked |= {
        "text_encoding": "utf-8",
        "init_from": LSTM.stem,
        "flags": {"dropout": 0, "seed": "7", "learning_rate": 1e-3},
    }
    answer = studio.post("/command", **asked).json()
    assert answer["folder"] == os.getcwd()
    assert answer["command"] == (
        f"pycharrnn train studio/texts/{text_id}/input/my_poems.txt -minutes 2.5 -items line -encoding utf8"
        f" -text_encoding utf-8 -init_from cv/{LSTM.name} -dropout 0 -seed 7"
        " -learning_rate 0.001 -savefile Spring -log cv/Spring.csv -log_every_seconds 2"
    )
    started = studio.post("/runs", **asked).json()
    assert started["command"] == answer["command"]
    assert studio.post("/command", **asked).json()["command"].endswith("-log cv/Spring_2.csv -log_every_seconds 2")


@pytest.mark.parametrize(
    "fields, detail",
    [
        ({"flags": {"data_dir": "/etc"}}, "flags: data_dir is chosen by the studio: leave it out."),
        ({"flags": {"resume": "/etc/x.t7"}}, "flags: resume is chosen by the studio: leave it out."),
        ({"flags": {"init_from": "/etc/x.t7"}}, "flags: init_from has a field of its own: init_from."),
        ({"flags": {"rnn_sise": 5}}, "flags: there is no flag -rnn_sise."),
        ({"flags": {"\x1b": 5}}, r"flags: there is no flag -\x1b."),
        ({"flags": {"seed": 10**400}}, "-seed"),
        ({"flags": {"dropout": 10**400}}, "-dropout needs a number, not 1000"),
        ({"flags": {"rnn_size": "x"}}, "-rnn_size needs a whole number, not 'x'."),
        ({"flags": {"rnn_size": 0}}, "-rnn_size must be at least 1, not 0."),
        (
            {"flags": {"train_frac": 0.9, "val_frac": 0.9}},
            "-train_frac 0.9 and -val_frac 0.9 sum to more than 1: lower one; char-rnn would take -val_frac 0.1.",
        ),
        ({"choice": "minutes"}, "minutes: say for how many minutes to train."),
        (
            {"choice": "minutes", "minutes": 2, "flags": {"max_epochs": 2}},
            '"Minutes" 2 and -max_epochs 2 both say when',
        ),
        ({"label": "file"}, '"Label of an item: the name of its file" is for the items of a list: add "The text is'),
        ({"init_from": "../../etc/passwd"}, "no model has this name, or its file has gone: choose another"),
        (
            {"name": "\u00e9" * 41},
            '"Name" is too long: it has 82 bytes, and 80 are allowed; a letter such as \u00e9 takes 2.',
        ),
        ({"text": "t00000000"}, "this text is not here any more: drop it again."),
        ({"flags": {"seed": True}}, "flags.seed: Input should be a valid integer."),
        ({"flags": {"seed": [1]}}, "flags.seed: Input should be a valid integer."),
        ({"more": 1}, "more: Extra inputs are not permitted."),
    ],
)
def test_what_can_not_be_asked_for(studio, fields, detail):
    for path in ("/command", "/runs"):
        answer = studio.post(path, **{"text": studio.text(), "choice": "quick", **fields})
        assert answer.status_code in (404, 422)
        assert answer.json()["detail"].startswith(detail)
    assert studio.get("/runs").json() == {"runs": [], "queue": []}


def test_a_name_that_is_no_unicode_is_refused(studio):
    body = b'{"text": "t00000000", "choice": "quick", "name": "\\ud800"}'
    answer = studio.ask("POST", "/runs", content=body, headers={"content-type": "application/json"})
    said = "name: Input should be a valid string, unable to parse raw data as a unicode string."
    assert (answer.status_code, answer.json()["detail"]) == (422, said)


@pytest.mark.parametrize("letter", ["x", "\u044b"])
def test_a_name_of_the_most_bytes_gets_a_number(studio, letter):
    name = letter * (80 // len(letter.encode()))
    text_ids = [studio.text(f"{name}_of_a_file.txt") for _ in range(2)]
    for text_id in text_ids:
        suggested = studio.post(f"/texts/{text_id}/read").json()["name"]
        assert studio.post("/runs", text=text_id, name=suggested, choice="quick").status_code == 201
    studio.start(name)
    short = letter * (75 // len(letter.encode()))
    studio.begin_anew()
    assert [run["name"] for run in studio.get("/runs").json()["runs"]] == [f"{short}_2", short, name]


def test_large_whole_numbers_keep_their_digits(studio):
    """A double would make another number of it."""
    flags = {"seed": 2**53 + 1}
    answer = studio.post("/command", text=studio.text(), choice="quick", flags=flags).json()
    assert f" -seed {2**53 + 1} " in answer["command"]


def test_a_body_that_is_no_json_is_named(studio):
    for content, said in ((b'"\xff"', "invalid UTF-8, at 1"), (b"[" * 60_000, "JSON|nested"), (b"{", "not JSON")):
        answer = studio.ask("POST", "/runs", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422 and re.search(said, answer.json()["detail"])


def test_a_thinned_curve_keeps_its_lowest_loss():
    curve = run_progress._Curve()
    for k in range(3000):
        curve.append(k, 0.5 if k == 1501 else 3.0 - k / 10_000)
    for k, loss in ((3001, None), (3002, math.nan)):
        curve.append(k, loss)
    series = thinned_series(*curve.finite())
    assert len(series.losses) <= 300 and min(series.losses) == 0.5
    assert (series.iterations[0], series.iterations[-1]) == (0, 2999)
    assert thinned_series(*run_progress._Curve().finite()).losses == []


def test_the_flags_with_the_help_of_train(studio):
    flags = {one["name"]: one for one in studio.get("/flags").json()["flags"]}
    fields = TrainOptions.__dataclass_fields__
    left_out = "data_dir checkpoint_dir savefile log log_every_seconds resume overwrite lock progress recipe minutes"
    left_out += " items label encoding from_texts"
    assert fields.keys() - flags.keys() == {*left_out.split(), "text_encoding", "init_from"}
    assert all(one["help"] == fields[name].metadata["help"].strip() for name, one in flags.items())
    assert {name: flags[name]["kind"] for name in ("rnn_size", "dropout", "model", "exact", "anneal_to")} == {
        "rnn_size": "integer",
        "dropout": "number",
        "model": "choice",
        "exact": "switch",
        "anneal_to": "text",
    }
    whole = {name: one["default"] for name, one in flags.items() if name not in ("dtype", "exact")}
    whole |= {"dtype": "float64", "exact": 1}
    assert studio.post("/command", text=studio.text(), choice="quick", flags=whole).status_code == 200


def test_a_client_names_no_path(monkeypatch):
    """Also by an option that is new, and that the studio does not know."""

    @dataclasses.dataclass(frozen=True)
    class WithPath(TrainOptions):
        notes: str = option("", "file for notes", path="file", group="display")

    monkeypatch.setattr(options, "TrainOptions", WithPath)
    spec = importlib.util.find_spec(run_command.__name__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    assert "notes" not in {one.name for one in fresh.flag_list().flags}
    asked = NewRun(text="t00000000", choice="quick", flags={"notes": "/etc/x"})
    with pytest.raises(studio_paths.Refusal, match="notes is chosen by the studio"):
        fresh.start_words(["poems.txt"], "poems", asked, "")


# -- the queue ---------------------------------------------------------------------------------------------------------


def test_one_trains_and_the_others_wait(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    first, second, third = (studio.start() for _ in range(3))
    begun(studio, first)
    found = studio.get("/runs").json()
    assert [(run["name"], run["state"], run["place"]) for run in found["runs"]] == [
        ("poems_3", "waiting", 2),
        ("poems_2", "waiting", 1),
        ("poems", "running", None),
    ]
    assert [run["sentence"].partition(":")[0] for run in found["runs"]] == ["waiting", "waiting", "beginning"]
    assert found["queue"] == [second, third]
    assert studio.ask("PUT", "/queue", json={"runs": [third, second]}).json() == {"queue": [third, second]}
    assert studio.ask("PUT", "/queue", json={"runs": [third]}).status_code == 409
    assert studio.post(f"/runs/{second}/stop").json()["state"] == "stopped"
    studio.watch()
    assert studio.get("/runs").json()["queue"] == [third]
    assert studio.post(f"/runs/{first}/stop").json()["state"] == "stopping"
    stopped = studio.until(first, lambda run: run["state"] != "stopping")
    assert (stopped["state"], stopped["can"], stopped["error"]) == ("stopped", ["go_on", "delete"], "")
    assert studio.until(third, lambda run: run["state"] == "running")["can"] == ["stop"]
    assert studio.run(second)["sentence"] == "taken out of the queue: Go on puts it back."


def test_the_queue_waits_while_the_disk_is_full(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    monkeypatch.setattr(studio_paths, "_LEAST_FREE", 1 << 62)
    run_id = studio.start()
    studio.watch()
    waiting = studio.run(run_id)
    assert waiting["state"] == "waiting"
    assert waiting["sentence"] == "waiting: it begins once there is room, since the disk is full."
    monkeypatch.setattr(studio_paths, "_LEAST_FREE", 1)
    begun(studio, run_id)


def test_a_training_whose_status_found_no_room(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    record = studio.record(run_id)
    events = EventReader(record.events)
    assert run_process.error_of(record, events.read()) == "the training was killed, perhaps since memory ran out."
    monkeypatch.setattr(studio_paths, "_LEAST_FREE", 1 << 62)
    left_nothing = "the training has left no exit status, and the disk is full: make room, and try again."
    assert run_process.error_of(record, events.read()) == left_nothing
    studio.tell(run_id, error="stopped after iteration 7; that could not be saved.")
    assert run_process.error_of(record, events.read()) == "stopped after iteration 7; that could not be saved."


def test_a_clock_that_was_ahead_when_a_run_began(studio, monkeypatch):
    """Its log seems older than the run."""
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    write_log("cv/poems.csv", [train_row(i) for i in range(10, 301, 10)])
    os.utime("cv/poems.csv", (studio.record(run_id).began - 3600,) * 2)
    assert studio.run(run_id)["sentence"] == "learning: iteration 300."


def test_a_list_that_has_not_changed(studio):
    studio.start()
    answer = studio.get("/runs")
    again = studio.get("/runs", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    studio.start()
    assert studio.get("/runs", headers={"if-none-match": answer.headers["etag"]}).status_code == 200


def test_going_on(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start(flags={"seed": 7, "threads": 1, "show": 50})
    assert studio.post(f"/runs/{run_id}/go_on").status_code == 409
    begun(studio, run_id)
    studio.post(f"/runs/{run_id}/stop")
    studio.until(run_id, lambda run: run["state"] == "stopped")
    command = "pycharrnn train -resume cv -savefile poems -log cv/poems.csv -log_every_seconds 2 -show 50 -threads 1"
    assert studio.post(f"/runs/{run_id}/go_on").json()["command"] == command
    Path("behavior").write_text("finish", encoding="utf-8")
    done = studio.until(run_id, lambda run: run["state"] == "finished")
    assert done["command"] == command
    refused = studio.post(f"/runs/{run_id}/go_on")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "the run poems is finished: give the number of minutes to continue it."
    assert studio.post(f"/runs/{run_id}/go_on", minutes=3).json()["command"] == f"{command} -minutes 3"


def test_going_on_is_answered_with_the_run_as_it_is_by_then(studio, monkeypatch):
    """The queue may begin it before the answer is made."""
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    studio.post(f"/runs/{run_id}/stop")
    studio.until(run_id, lambda run: run["state"] == "stopped")
    queue = studio.queue
    go_on = queue.go_on

    def begins_at_once(run_id, minutes):
        record = go_on(run_id, minutes)
        queue.watch()
        return record

    monkeypatch.setattr(queue, "go_on", begins_at_once)
    answer = studio.post(f"/runs/{run_id}/go_on").json()
    assert (answer["state"], answer["place"], answer["can"]) == ("running", None, ["stop"])


@pytest.mark.parametrize("planned", [1000, 300])
def test_a_training_that_patience_ends_says_so(studio, monkeypatch, planned):
    use_fake_training(monkeypatch, "lose patience")
    run_id = studio.start()
    studio.until(run_id, lambda run: run["state"] == "finished")
    write_log("cv/poems.csv", [Row("validation", 300, 3.0, val_loss=1.9, seconds=30.5)])
    studio.tell(run_id, iterations=planned)
    ended = {
        300: "finished after 300 iterations; its lowest loss is 1.9000.",
        1000: "finished after 300 of 1,000 iterations, since the last 4 validations were no better (-patience); its"
        " lowest loss is 1.9000.",
    }
    assert studio.run(run_id)["sentence"] == ended[planned]
    # It goes on, and then ends otherwise.
    Path("behavior").write_text("finish", encoding="utf-8")
    studio.post(f"/runs/{run_id}/go_on", minutes=3)
    again = studio.until(run_id, lambda run: run["state"] == "finished")
    assert again["sentence"] == ended[300]


def test_a_training_of_one_iteration(studio, monkeypatch):
    use_fake_training(monkeypatch, "finish")
    run_id = studio.start()
    studio.until(run_id, lambda run: run["state"] == "finished")
    write_log("cv/poems.csv", [Row("train", 1, 0.01, train_loss=2.0)])
    assert studio.run(run_id)["sentence"] == "finished after 1 iteration."


def test_a_training_that_fails_says_its_sentence(studio, monkeypatch):
    use_fake_training(monkeypatch, "fail")
    run_id = studio.start()
    failed = studio.until(run_id, lambda run: run["state"] == "failed")
    assert failed["error"] == "there is no text in it: name another."
    assert failed["sentence"] == "there is no text in it: name another. Go on begins it anew."
    assert failed["notes"] == ["a note", "there is no text in it: name another."]
    assert studio.post(f"/runs/{run_id}/go_on").json()["command"].endswith(" -log_every_seconds 2 -overwrite 1")


def test_a_training_that_is_killed(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    studio.kill(run_id)
    killed = studio.until(run_id, lambda run: run["state"] != "running")
    assert (killed["state"], killed["error"]) == ("failed", "the training was killed, perhaps since memory ran out.")
    assert killed["can"] == ["go_on", "delete"]


def test_states_that_do_not_allow_it(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    for path in ("go_on", "delete"):
        assert studio.post(f"/runs/{run_id}/{path}").status_code == 409
    for path in ("stop", "go_on", "delete"):
        assert studio.post(f"/runs/r00000000/{path}").status_code == 404
    for _ in range(2):  # the second one ends at once
        studio.post(f"/runs/{run_id}/stop")
    studio.until(run_id, lambda run: run["state"] == "stopped")
    assert studio.post(f"/runs/{run_id}/stop").json()["detail"] == "the run poems does not train: it has stopped."


def test_two_who_ask_to_stop_at_the_same_time_let_it_save(studio, monkeypatch):
    """The page asks for a stop at once only if it shows that the training is about to stop."""
    use_fake_training(monkeypatch, "wait")
    with held_at_its_start(studio, monkeypatch) as run_id:
        for at_once, stops in ((False, 1), (False, 1), (True, 2)):
            assert studio.post(f"/runs/{run_id}/stop", at_once=at_once).json()["state"] == "stopping"
            assert studio.record(run_id).stops == stops


# -- a server that starts anew -----------------------------------------------------------------------------------------


def test_a_living_training_is_found_and_can_be_stopped(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    first, second = studio.start(), studio.start()
    begun(studio, first)
    process = studio.processes()[first]
    studio.begin_anew()
    assert not studio.processes()
    studio.watch()
    assert [(run["state"], run["id"]) for run in studio.get("/runs").json()["runs"]] == [
        ("waiting", second),
        ("running", first),
    ]
    studio.post(f"/runs/{first}/stop")
    assert process.wait(300) == 143
    assert studio.until(first, lambda run: run["state"] != "stopping")["state"] == "stopped"
    begun(studio, second)


@contextlib.contextmanager
def held_at_its_start(studio: StudioApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a run whose process waits before its first step, until the block ends."""
    pause = "import os, time\nopen('paused', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    monkeypatch.setattr(run_process, "_PROGRAM", pause + run_process._PROGRAM)
    run_id = studio.start()
    studio.watch()
    until(lambda: os.path.exists("paused"))
    try:
        yield run_id
    finally:
        Path("go").touch()


def test_a_training_is_found_before_its_process_has_done_anything(studio, monkeypatch):
    use_fake_training(monkeypatch, "finish")
    with held_at_its_start(studio, monkeypatch) as run_id:
        studio.begin_anew()
        studio.watch()
        assert studio.run(run_id)["state"] == "running"
    assert studio.until(run_id, lambda run: run["state"] != "running")["state"] == "finished"


def test_a_stop_reaches_a_training_that_has_not_written_its_number_yet(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    with held_at_its_start(studio, monkeypatch) as run_id:
        studio.begin_anew()  # a server that did not begin the process, and knows it by its lock alone
        assert studio.post(f"/runs/{run_id}/stop").json()["state"] == "stopping"
        studio.watch()
        assert studio.run(run_id)["state"] == "stopping"
    assert studio.until(run_id, lambda run: run["state"] != "stopping")["state"] == "stopped"


def test_a_stopped_training_that_saved_nothing_says_why(studio, monkeypatch):
    use_fake_training(monkeypatch, "save nothing")
    run_id = studio.start()
    begun(studio, run_id)
    studio.post(f"/runs/{run_id}/stop")
    stopped = studio.until(run_id, lambda run: run["state"] != "stopping")
    assert (stopped["state"], stopped["error"]) == (
        "stopped",
        "stopped after iteration 3; that could not be saved (nothing has been trained).",
    )


def test_a_stopped_training_that_is_killed_while_it_can_not_save_has_no_error(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    studio.tell(run_id, not_saved="can't write cv/lm_poems_latest.t7 (disk full): trying again at the next save.")
    studio.queue._keep(dataclasses.replace(studio.record(run_id), state="stopping", stops=1))
    studio.kill(run_id)
    stopped = studio.until(run_id, lambda run: run["state"] != "stopping")
    assert (stopped["state"], stopped["error"]) == ("stopped", "")


@pytest.mark.parametrize("behavior, state", [("finish", "finished"), ("fail", "failed"), ("wait", "failed")])
def test_a_training_that_ended_meanwhile(studio, monkeypatch, behavior, state):
    use_fake_training(monkeypatch, behavior)
    run_id = studio.start()
    begun(studio, run_id)
    process = studio.processes()[run_id]
    if behavior == "wait":
        process.kill()
    process.wait(300)
    studio.begin_anew()
    assert studio.until(run_id, lambda run: run["state"] != "running")["state"] == state


def test_the_number_of_another_process_is_not_trusted(studio, monkeypatch):
    """Whether the lock is of a killed training or of another machine, or has no number: nothing is signalled."""
    use_fake_training(monkeypatch, "finish")
    run_id = studio.start()
    studio.until(run_id, lambda run: run["state"] == "finished")
    record = studio.record(run_id)
    signalled = []
    monkeypatch.setattr(os, "kill", lambda *arguments: signalled.append(arguments))
    Path(record.folder, ".lock").write_text(f"process {os.getppid()} on here", encoding="utf-8")
    studio.ask_to_stop(run_id)
    assert not studio.is_alive(run_id)
    fd = file_lock.acquire(f"{record.folder}/.lock")
    for holder in ("", f"process {os.getppid()} on another machine"):
        monkeypatch.setattr(file_lock, "_holder", lambda path, holder=holder: holder)
        assert studio.is_alive(run_id)
        assert not studio.ask_to_stop(run_id)
    os.close(fd)
    assert signalled == []


def test_a_training_whose_folder_is_removed_still_trains(studio, monkeypatch):
    """A server that starts anew finds it by the lock of `train` itself."""
    use_fake_training(monkeypatch, "wait")
    lock = "from pycharrnn.common import file_lock\n    file_lock.acquire(f'cv/.lm_{name}.lock')\n    open('began'"
    monkeypatch.setattr(run_process, "_PROGRAM", run_process._PROGRAM.replace("open('began'".replace("'", '"'), lock))
    first, second = studio.start(), studio.start()
    begun(studio, first)
    process = studio.processes()[first]
    studio.begin_anew()
    shutil.rmtree(f"studio/runs/{first}")
    studio.watch()
    assert [studio.run(run_id)["state"] for run_id in (first, second)] == ["running", "waiting"]
    assert studio.post(f"/runs/{first}/stop").json()["state"] == "stopping"
    assert process.wait(300) == 143
    assert studio.until(first, lambda run: run["state"] != "stopping")["state"] == "stopped"
    begun(studio, second)
    studio.begin_anew()
    shutil.rmtree(f"studio/runs/{second}")
    studio.kill(second)
    failed = studio.until(second, lambda run: run["state"] != "running")
    assert failed["error"] == (
        f"nothing is left of what the training wrote to studio/runs/{second}; perhaps that folder was removed."
    )


def test_the_order_of_the_queue_stays(studio):
    ids = [studio.start() for _ in range(3)]
    studio.ask("PUT", "/queue", json={"runs": ids[::-1]})
    studio.begin_anew()
    assert studio.get("/runs").json()["queue"] == ids[::-1]
    os.unlink("studio/runs/queue.json")
    Path(f"studio/runs/{ids[0]}/run.json").write_text("{", encoding="utf-8")
    studio.begin_anew()
    assert studio.get("/runs").json()["queue"] == ids[1:]


def test_what_waits_when_a_server_begins_is_begun_by_the_user(studio, monkeypatch):
    """The folder may be a stranger's, and with it the commands."""
    use_fake_training(monkeypatch, "wait")
    first, second = studio.start(), studio.start()
    studio.begin_anew()
    studio.watch()
    held = studio.run(first)
    assert (held["state"], held["place"], held["can"]) == ("waiting", 1, ["go_on", "stop", "delete"])
    assert held["sentence"].endswith("look at the command, Go on starts the queue.")
    new = studio.start()
    begun(studio, new)  # what the user starts now is not held
    assert studio.run(first)["state"] == "waiting"
    assert studio.post(f"/runs/{second}/go_on").json()["can"] == ["stop", "delete"]
    studio.post(f"/runs/{new}/stop")
    studio.until(first, lambda run: run["state"] == "running")


def test_one_server_for_a_folder(studio):
    fd = studio_paths.lock()
    with pytest.raises(UserError, match="another pycharrnn studio .process .* has .* open: use its page"):
        studio_paths.lock()
    file_lock.release(fd, studio_paths.LOCK)


def test_a_lock_that_is_a_link_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studio").mkdir()
    (tmp_path / "studio" / ".lock").symlink_to("nothing")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}/studio/.lock (it is a symbolic link: remove it)")):
        studio_paths.lock()


# -- a full disk -------------------------------------------------------------------------------------------------------


def test_a_full_disk(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    text_id = studio.text()

    def full(path, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(studio_paths, "write_json", full)
        answer = studio.post("/runs", text=text_id, choice="quick")
        assert answer.status_code == 507
        assert answer.json()["detail"].startswith("can't keep the run poems_2: the disk is full.")
        process = studio.processes()[run_id]
        assert studio.post(f"/runs/{run_id}/stop").json()["state"] == "stopping"
        assert process.wait(300) == 143
        studio.until(run_id, lambda run: run["state"] == "stopped")  # is known, although it can't be written
    assert studio.notes[-1] == f"can't write studio/runs/{run_id}/run.json ({os.strerror(errno.ENOSPC)})."
    assert len(studio.get("/runs").json()["runs"]) == 1

    def no_process(*arguments, **more):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(run_process.subprocess, "Popen", no_process)
    assert studio.post(f"/runs/{run_id}/go_on").status_code == 200
    failed = studio.until(run_id, lambda run: run["state"] == "failed")
    assert failed["error"] == "can't begin the training (Cannot allocate memory)."


def test_a_training_that_can_not_save_says_so(studio, monkeypatch):
    """Until a later save works, or its next start."""
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    write_log("cv/poems.csv", [train_row(300)])
    failed = "can't write cv/lm_poems_epoch3.00_2.0000.t7 (disk full): trying again at the next save."
    for error in (failed, "", failed, ""):
        studio.tell(run_id, not_saved=error)
        run = studio.run(run_id)
        assert run["error"] == error
        assert run["sentence"] == f"learning: iteration 300.{error and f' It {error}'}"
    studio.post(f"/runs/{run_id}/stop")
    assert studio.until(run_id, lambda run: run["state"] == "stopped")["error"] == ""
    studio.post(f"/runs/{run_id}/go_on")
    assert begun(studio, run_id)["error"] == ""


# -- progress ----------------------------------------------------------------------------------------------------------


def write_log(path: str, rows: list[Row]) -> None:
    with open(path, "ab") as f:
        f.write(b"" if f.tell() else log_rows.header(path))
        f.writelines(log_rows.as_line(row, path) for row in rows)


def train_row(i: int, loss: float = 2.0) -> Row:
    return Row("train", i, i / 100, train_loss=loss, seconds=i / 10, characters_per_second=5000.0)


def test_a_folder_that_is_removed_has_a_sentence(studio, tmp_path):
    studio.start()
    shutil.rmtree(tmp_path)
    for method, path in (("GET", "/runs"), ("POST", "/texts"), ("GET", "")):
        answer = studio.ask(method, path)
        assert answer.status_code == 500
        assert re.fullmatch(
            "the folder of this studio was removed: end pycharrnn studio .+ again.", answer.json()["detail"]
        )
    tmp_path.mkdir()


def test_figures_come_from_the_log(studio, monkeypatch):
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    Path("cv/poems.csv").unlink()
    write_log("cv/poems.csv", [train_row(i, 3 - i / 1000) for i in range(10, 301, 10)])
    write_log("cv/poems.csv", [Row("validation", 300, 3.0, val_loss=1.9, seconds=30.5)])
    sample = {"iteration": 300, "epoch": 3.0, "text": "the <b>sea</b>\n\nit"}
    studio.tell(run_id, iterations=1000)
    studio.tell(run_id, sample=sample)
    run = studio.run(run_id)
    figures = {name: run[name] for name in ("iteration", "iterations", "epoch", "epochs", "train_loss", "val_loss")}
    assert figures == {
        "iteration": 300,
        "iterations": 1000,
        "epoch": 3.0,
        "epochs": 10.0,
        "train_loss": 2.7,
        "val_loss": 1.9,
    }
    assert run["seconds"] == 30.5
    assert 60 < run["seconds_left"] < 75
    assert run["sentence"] == "learning: iteration 300 of 1,000."
    assert len(run["train"]["iterations"]) == 30
    assert run["val"] == {"iterations": [300.0], "losses": [1.9]}
    assert run["samples"] == [sample]
    assert run["notes"] == ["a note"]
    write_log("cv/poems.csv", [train_row(310, float("nan")), Row("validation", 400, 4.0, val_loss=2.5)])
    assert studio.run(run_id)["best_val_loss"] == 1.9
    assert studio.run(run_id)["train_loss"] is None
    write_log("cv/poems.csv", [train_row(i) for i in range(410, 3000)])
    assert len(studio.run(run_id)["train"]["iterations"]) == 300
    Path("cv/poems.csv").write_text("not a log\n", encoding="utf-8")  # a damaged one is no error
    assert studio.run(run_id)["iteration"] is None


def paused_log(steps: dict[int, float], validations: dict[int, float], save: float = 1.0) -> list[Row]:
    """Rows of 300 iterations of 0.1 seconds, validated and saved in 3 seconds and `save` at every hundredth.

    steps, validations: iteration -> the seconds that its step or its validation takes longer.
    """
    rows, seconds = [], 0.0
    for i in range(1, 301):
        seconds += 0.1 + steps.get(i, 0.0)
        rows.append(Row("train", i, i / 100, train_loss=2.0, seconds=round(seconds, 3)))
        if i % 100 == 0:
            seconds += 3 + validations.get(i, 0.0)
            rows.append(Row("validation", i, i / 100, val_loss=2.0, seconds=round(seconds, 3)))
            seconds += save
    return rows


@pytest.mark.parametrize(
    "steps, validations, speed",
    [
        ({}, {}, 100 / 13),
        ({250: 3600.0}, {}, 100 / 13),
        ({210: 60.0, 299: 3600.0, 300: 0.0}, {}, 100 / 13),
        ({300: 3600.0}, {}, 100 / 13),
        ({}, {300: 3600.0}, 100 / 13),
        ({250: 3600.0}, {200: 60.0, 300: 0.0}, 100 / 13),
        (dict.fromkeys(range(201, 301), 0.9), {}, 100 / 103),  # another program is there
        (dict.fromkeys(range(291, 301), 9.9), {}, 100 / 113),
    ],
)
def test_a_pause_is_not_a_slow_step(steps, validations, speed):
    """As when the machine sleeps, or the process is stopped; also right after the pause, in the last row."""
    log = run_progress._Log()
    for end, row in enumerate(paused_log(steps, validations), 1):
        log.add(row, end)
    assert log.pace()[0] == pytest.approx(speed, rel=0.02)


def test_short_steps_are_no_pauses():
    """Their seconds are rounded to thousandths, many of them to none."""
    log = run_progress._Log()
    for i in range(1, 1001):
        log.add(Row("train", i, i / 100, seconds=round(i / 4000, 3)), i)
    assert log.pace()[0] == pytest.approx(4000, rel=0.02)


def test_rows_at_intervals_between_those_of_print_every_are_no_pauses():
    """As -log_every_seconds 2 has them where -print_every takes a little longer: most rows are of a few iterations."""
    log, rows = run_progress._Log(), (i for j in range(1, 40) for i in (260 * j - 5, 260 * j))
    for end, i in enumerate(rows, 1):
        log.add(Row("train", i, i / 5000, seconds=round(i / 127, 3)), end)
    assert log.pace()[0] == pytest.approx(127, rel=0.02)


@pytest.mark.parametrize("pauses", [{}, {850: 3600.0, 912: 600.0}])
def test_slow_rows_that_come_again_and_again_are_no_pauses(pauses):
    """As those with a save, where -print_every 1 has many rows between two saves."""
    log, seconds = run_progress._Log(), 0.0
    for i in range(1, 1001):
        seconds += 0.05 + (1.05 if i % 100 == 0 else 0.0) + pauses.get(i, 0.0)
        log.add(Row("train", i, i / 100, seconds=round(seconds, 3)), i)
    assert log.pace()[0] == pytest.approx(333 / (333 * 0.05 + 4 * 1.05), rel=0.02)


def test_the_speed_of_a_long_log_is_that_of_its_last_rows(monkeypatch):
    monkeypatch.setattr(run_progress, "_MOST_RECENT", 100)
    log = run_progress._Log()
    for i in range(1, 2001):
        log.add(Row("train", i, i / 100, seconds=i if i <= 1800 else 1800 + (i - 1800) / 10), i)
    assert log.pace()[0] == pytest.approx(10)


def test_the_time_left_waits_for_a_row_that_is_late(studio, monkeypatch):
    """The process may be stopped, or the machine may sleep: then nothing is learnt."""
    use_fake_training(monkeypatch, "wait")
    run_id = studio.start()
    begun(studio, run_id)
    Path("cv/poems.csv").unlink()
    write_log("cv/poems.csv", [train_row(i) for i in range(20, 301, 20)])
    studio.tell(run_id, iterations=1000)
    now = os.stat("cv/poems.csv").st_mtime
    reader, record = run_progress.ProgressReader(), studio.record(run_id)
    left = [reader.progress(record, now + late).figures.seconds_left for late in (0, 1, 2, 10, 3600)]
    assert left == pytest.approx([70, 69, 68, 68, 68])


@pytest.mark.parametrize("saves", [True, False])
def test_a_run_that_goes_on_says_so_until_its_log_is_written(studio, monkeypatch, saves):
    """Without a checkpoint it begins anew, and there is none to load."""
    use_fake_training(monkeypatch, "wait" if saves else "save nothing")
    run_id = studio.start()
    begun(studio, run_id)
    write_log("cv/poems.csv", [train_row(i) for i in range(10, 301, 10)])
    studio.tell(run_id, iterations=540)
    assert studio.run(run_id)["sentence"] == "learning: iteration 300 of 540."
    studio.post(f"/runs/{run_id}/stop")
    studio.until(run_id, lambda run: run["state"] == "stopped")
    monkeypatch.setattr(run_process, "_PROGRAM", FAKE.replace('open(f"cv/{name}.csv", "a")', "open(os.devnull)"))
    studio.post(f"/runs/{run_id}/go_on")
    begun(studio, run_id)
    resumed = studio.run(run_id)
    assert (resumed["state"], resumed["seconds_left"]) == ("running", None)
    assert resumed["sentence"] == (
        "going on after iteration 300 of 540: it loads PyTorch and the checkpoint."
        if saves
        else "beginning: it loads PyTorch and reads the text."
    )
    # Its log begins anew, and has more rows than before when somebody looks again.
    Path("cv/poems.csv").unlink()
    write_log("cv/poems.csv", [dataclasses.replace(train_row(i), norm_ratio=0.5) for i in range(7, 700, 7)])
    again = studio.run(run_id)
    assert again["sentence"] == "learning: iteration 693."  # it has not said its new length
    assert (again["iterations"], again["seconds_left"]) == (None, None)
    assert again["train"]["iterations"][:2] == [7, 14]


def test_the_models_of_a_run_are_those_of_its_name(studio):
    run_id = studio.start("lstm2")
    shutil.copy(LSTM, "cv")
    shutil.copy(GOLDEN / "lstm2" / "lm_lstm2_epoch2.71_2.9394.t7", "cv")
    shutil.copy(LSTM, "cv/lm_lstm2_more_epoch3.00_2.8734.t7")
    shutil.copy(LSTM, "models/lm_lstm2_epoch1.00_2.8734.t7")
    studio.scan()
    run = studio.run(run_id)
    assert run["models"] == [LSTM.stem, "lm_lstm2_epoch2.71_2.9394"]
    assert run["best_model"] == LSTM.stem
    for name in ("lstm2_2", "LSTM2_3"):  # which some file systems take for the first, too
        assert studio.start(name.partition("_")[0]) and studio.get("/runs").json()["runs"][0]["name"] == name
