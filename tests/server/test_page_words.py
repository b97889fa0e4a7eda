"""pycharrnn studio: sentences of the commands in the words of the page."""

from __future__ import annotations

import re

import pytest

from pycharrnn.page.page_files import page_files
from pycharrnn.server.studio import page_words
from pycharrnn.training.options import TrainOptions

REWORDED = {
    "a.txt: read as cp1252; -text_encoding overrules this.": (
        'a.txt: read as cp1252; "Encoding of the files" overrules this.'
    ),
    "a.txt holds none of -items line, for which an item is a line: add some, or choose another -items.": (
        'a.txt holds none of "The text is: a list: each line is an item", for which an item is a line: add some, or'
        ' choose another "The text is".'
    ),
    "remove it, or train without -items.": 'remove it, or train with "The text is: one text".',
    "-minutes 2 and -recipe best both choose settings: give one of them.": (
        '"Minutes" 2 and "How long: Best" both choose settings: give one of them.'
    ),
    "-init_from cv/lm_a.t7 with -vocab extend adds them; go on by -resume cv/lm_a_epoch1.50_2.0.t7.": (
        '"Start from" with -vocab extend adds them; go on by "Go on".'
    ),
    "x.t7 is a checkpoint, not a text: name a text; pycharrnn train TEXT -init_from FILE trains the model further.": (
        'x.t7 is a checkpoint, not a text: Bring takes it, and "Start from" then trains it further on a text.'
    ),
    "another training (process 5 on host) writes lm_a_* to cv: choose another -savefile or -checkpoint_dir, or wait;"
    " -lock 0 trains all the same.": (
        'another training (process 5 on host) writes lm_a_* to cv: choose another "Name", or wait until it has ended.'
    ),
    "cv/lm_a_latest.t7 is an unfinished run: iteration 9; go on with it by pycharrnn train -resume"
    " cv/lm_a_latest.t7, choose another -savefile or -checkpoint_dir, or give it up with -overwrite 1.": (
        'cv/lm_a_latest.t7 is an unfinished run: iteration 9; choose another "Name", or go on with it by'
        " `pycharrnn train -resume cv/lm_a_latest.t7`."
    ),
    "this training would overwrite cv/lm_a_best.t7, from which it starts: choose another -savefile or -checkpoint_dir,"
    " or give it up with -overwrite 1.": (
        'this training would overwrite cv/lm_a_best.t7, from which it starts: choose another "Name".'
    ),
    "-rnn_size must be at least 1, not 0.": "-rnn_size must be at least 1, not 0.",
}


@pytest.mark.parametrize("said", REWORDED)
def test_flags_that_the_page_has_fields_for(said):
    assert page_words.reword(said) == REWORDED[said]


def test_fields_are_called_as_on_the_page():
    files = page_files(studio=True)
    page = files["index.html"].decode() + files["studio_form.js"].decode() + files["studio_run_card.js"].decode()
    for name, (field, values) in page_words.FIELDS.items():
        assert name in TrainOptions.__dataclass_fields__
        for words in (field, *values.values()):
            assert re.search(rf"""["'>]{re.escape(words)}["'<]""", page), words
