"""`pycharrnn convert` to a page: which models are in it, what the file holds, and what is refused."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import run, sentence
from serving_tools import GRU, LSTM

from compat import nngraph
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.page import gallery, single_file
from pycharrnn.page.bundle import UnsupportedModule
from pycharrnn.page.page_files import page_files, replace_parts


class Page(HTMLParser):
    """The elements of a page, as a browser finds them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict, str]] = []  # name, attributes, its text up to another element
        self.ended = True
        self.feed(path.read_bytes().decode())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), ""))
        self.ended = False

    def handle_endtag(self, tag):
        self.ended = True

    def handle_data(self, data):
        if not self.ended:
            tag, attributes, before = self.elements[-1]
            self.elements[-1] = tag, attributes, before + data

    def texts(self, tag: str, **wanted: str) -> list[str]:
        return [text for name, attrs, text in self.elements if name == tag and wanted.items() <= attrs.items()]

    @property
    def models(self) -> list[dict]:
        return [json.loads(text) for text in self.texts("script", type="application/json")]


def names_in(path: Path) -> list[str]:
    return [model["facts"]["id"] for model in Page(path).models]


def page_of(checkpoint_file: Path, page: Path) -> Path:
    """As `pycharrnn convert` writes it."""
    single_file.write(page, gallery.collect([str(checkpoint_file)], False, lambda line: None), half=False)
    return page


def test_one_model(tmp_path):
    page = tmp_path / "model.html"
    done = run("convert", str(LSTM), str(page))
    assert done.stdout.decode() == f"saved {page}\n"
    said = f"{page} is a page with a model in it, not plain text: name a text; pycharrnn train TEXT -init_from"
    assert said in sentence(run("train", str(page), cwd=tmp_path))
    assert done.stderr.decode() == f"pycharrnn: 1 model in {page.stat().st_size / 1e6:.1f} MB\n"
    (model,) = Page(page).models
    assert model["facts"]["id"] == model["name"] == LSTM.stem
    assert model["facts"]["val_loss"] == pytest.approx(2.8734, abs=1e-4)
    assert model["losses"]["val"]["iterations"]
    assert Page(page).texts("title") == ["corpus"]


def test_of_a_folder_the_best_of_each_run_the_last_trained_first(tmp_path):
    folder = tmp_path / "cv"
    folder.mkdir()
    (other,) = (path for path in LSTM.parent.glob("*.t7") if path != LSTM)
    for modified, path in enumerate((GRU, other, LSTM)):
        os.utime(shutil.copy(path, folder), (modified, modified))
    (folder / "broken.t7").write_bytes(b"4")
    done = run("convert", str(folder), str(tmp_path / "gallery.html"))
    assert b"saved " in done.stdout
    assert b"broken.t7" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"pycharrnn: 2 models in ")
    assert names_in(tmp_path / "gallery.html") == [LSTM.stem, GRU.stem]


def test_several_checkpoints_in_the_order_of_the_line(tmp_path):
    (tmp_path / "b").mkdir()
    shutil.copy(LSTM, tmp_path / "b" / GRU.name)
    page = tmp_path / "gallery.html"
    assert run("convert", str(GRU), str(tmp_path / "b"), str(LSTM), str(page)).returncode == 0
    assert names_in(page) == [f"{GRU.parent.name}/{GRU.stem}", LSTM.stem, f"b/{GRU.stem}"]
    one = tmp_path / "one.html"
    assert run("convert", f"{page}#{LSTM.stem}", str(one)).returncode == 0
    assert names_in(one) == [LSTM.stem]


def test_of_a_large_folder_the_models_that_fit(tmp_path):
    said: list[str] = []
    both = [LSTM, GRU]
    for modified, path in zip((2, 1), both, strict=True):
        os.utime(shutil.copy(path, tmp_path), (modified, modified))
    held = gallery.collect([str(tmp_path)], False, said.append, max_size=30_000)
    assert [Path(path).name for path, _ in held] == [LSTM.name]
    assert said[-1].startswith("the page would be larger than 0.03 MB with more models: round weights with -half 1, or")
    assert len(gallery.collect([str(tmp_path)], False, said.append)) == 2
    assert len(gallery.collect([str(path) for path in both], False, said.append, max_size=0)) == 2  # they are named
    assert len(gallery.collect([str(GRU), str(tmp_path)], False, said.append, max_size=0)) == 1


@pytest.mark.parametrize(
    "args, status, why",
    [
        (("{lstm}", "{gru}", "all.t7"), 2, "only a page holds several checkpoints: name <out>.html last"),
        (("{lstm}", "x.t7", "-half", "1"), 1, "-half 1 is for .html or .htm files, not for x.t7: leave it out, or"),
        (("{lstm}", "x.t7", "-title", "Poems"), 1, "-title is for .html or .htm files, not for x.t7: leave it out, or"),
        (("{lstm}", "-about", "By a network."), 1, "-about is for .html or .htm files, not for a .t7 file: leave it "),
        (("{lstm}", "no/such.html"), 1, "no/such.html: there is no folder no; make it first"),
        (("{lstm}", "x.html", "-half", "2"), 1, "-half must be 0 or 1, not 2"),
        (("nothing.t7", "x.html"), 1, "nothing.t7 does not exist"),
        ((".", "x.html"), 1, "has no checkpoint"),
        (("page.html", "page.html"), 1, "page.html would overwrite page.html"),
        (("page.html#" + LSTM.stem, "page.html"), 1, "page.html would overwrite page.html"),
    ],
)
def test_refusals(tmp_path, args, status, why):
    page_of(LSTM, tmp_path / "page.html")
    before = (tmp_path / "page.html").read_bytes()
    done = run("convert", *(word.format(lstm=LSTM, gru=GRU) for word in args), cwd=tmp_path)
    assert why in (sentence(done) if status == 1 else done.stderr.decode())
    assert done.returncode == status
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_bytes() == before


def test_a_model_that_no_browser_could_read_is_refused(monkeypatch):
    monkeypatch.setattr(single_file, "_MAX_MODEL", 1000)
    with pytest.raises(UserError, match=r"too large for a browser to read from a page: -half 1 rounds"):
        single_file.model_of("x.t7", checkpoint.load(LSTM), half=False)


def test_the_same_checkpoint_gives_the_same_page(tmp_path):
    for name, time in (("a", 1_000_000_000), ("b", 1_500_000_000)):
        (tmp_path / name).mkdir()
        shutil.copy(LSTM, tmp_path / name)
        os.utime(tmp_path / name / LSTM.name, (time, time))
        page_of(tmp_path / name / LSTM.name, tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_its_policy_names_its_own_scripts_and_nothing_is_loaded(tmp_path):
    page = page_of(LSTM, tmp_path / "page.html")
    parsed = Page(page)
    policy = next(attrs["content"] for name, attrs, _ in parsed.elements if "http-equiv" in attrs)
    (script,), (style,) = parsed.texts("script", type="module"), parsed.texts("style")
    check = page_files()["old_browser.js"].decode()
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for contents, rule in (([script, check], rules["script-src"]), ([style], rules["style-src"])):
        hashes = (base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents)
        assert rule == " ".join(f"'sha256-{one}'" for one in hashes)
    assert check in parsed.texts("script")
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules  # so it is as default-src
    for name, attrs, _ in parsed.elements:
        assert not {key for key in attrs if key.startswith("on")} - {""}, name
        addresses = [attrs[key] for key in ("src", "href", "action", "srcset", "data") if key in attrs]
        assert all(one.startswith(("data:", "#")) for one in addresses), (name, addresses)
    assert not re.search(r"@import|url\(", style)


def test_hostile_texts_begin_no_element(tmp_path):
    words = "</script><script>alert(1)</script><!-- <script> \u2028 \udcff"
    loaded = dataclasses.replace(checkpoint.load(LSTM), opt={words: words}, program=words)
    page = tmp_path / "page.html"
    path = f"<img src=x onerror=alert(1)>&amp;{words}"
    single_file.write(page, [(path, single_file.model_of(path, loaded, half=False))], half=False)
    parsed = Page(page)
    tags = [name for name, _, _ in parsed.elements]
    assert (tags.count("script"), tags.count("img")) == (4, 0)
    (model,) = parsed.models
    assert json.loads(model["run"])["opt"] == {words: words}
    assert model["facts"]["program"] == words


@pytest.mark.parametrize("half", [False, True])
def test_size(tmp_path, half):
    """At most 1.4 times the weights, and the page's own scripts; a quarter of that with rounded weights."""
    shapes = nngraph.parameter_shapes("lstm", 73, 96, 2)
    generator = np.random.default_rng(1)
    weights = {name: generator.uniform(-0.08, 0.08, shape) for name, shape in shapes.items()}
    loaded = checkpoint.load(LSTM)
    network = dataclasses.replace(loaded.network, rnn_size=96, weights=weights)
    page = tmp_path / "page.html"
    size = single_file.write(
        page, [("x.t7", single_file.model_of("x.t7", dataclasses.replace(loaded, network=network), half))], half
    )
    assert size == page.stat().st_size
    own = size - len(Page(page).texts("script", type="application/json")[0])
    assert round(own, -3) <= 135_000  # as docs/pages.md says
    nbytes = sum(w.nbytes for w in weights.values()) // (4 if half else 1)
    assert size - own < 1.4 * nbytes


def test_the_checkpoint_comes_back_from_the_page(tmp_path):
    page = page_of(LSTM, tmp_path / "page.html")
    assert run("convert", str(page), str(tmp_path / "back.t7")).returncode == 0
    before, after = checkpoint.load(LSTM), checkpoint.load(tmp_path / "back.t7")
    assert (after.vocab, after.opt, after.val_losses) == (before.vocab, before.opt, before.val_losses)
    assert after.train_losses == before.train_losses
    for name, weight in before.network.weights.items():
        np.testing.assert_array_equal(after.network.weights[name], weight)


def test_rounded_weights_are_named_wherever_they_go(tmp_path):
    """In the page, in a checkpoint made from it, and in a page made from that."""
    half, back, again = (str(tmp_path / name) for name in ("half.html", "back.t7", "again.html"))
    as_asked = run("convert", str(LSTM), half, "-half", "1")
    assert b"rounded" not in as_asked.stderr
    for source, target in ((half, back), (back, again)):
        note = f"pycharrnn: the weights of {source} are rounded to float16, as by -half 1: its texts differ from those"
        assert note in run("convert", source, target).stderr.decode()
    for path in (half, back, again):
        described = run("inspect", path).stdout.decode()
        assert "rounded to float16; the losses are those before the rounding" in described
    assert "rounded" not in run("inspect", str(LSTM)).stdout.decode()
    assert "Its weights were rounded to 16 bits before" in Page(Path(again)).texts("footer")[0]
    run("convert", back, str(GRU), str(tmp_path / "both.html"))
    assert "The weights of back were rounded to 16 bits before" in Page(tmp_path / "both.html").texts("footer")[0]


def test_a_page_that_lacks_a_part_is_not_written():
    with pytest.raises(UnsupportedModule, match="once"):
        replace_parts("<p>a</p><p>a</p>", {"<p>a</p>": "<p>b</p>"})
