"""Which values of the flags of sample and chat are refused."""

from __future__ import annotations

import dataclasses
import math

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.sampling import options
from pycharrnn.sampling.options import ChatOptions, SampleOptions


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"length": 0},
        {"topp": 1.0},
        {"color": 1},
        {"topp": 0.001},
        {"samples": 10**12},
        {"temperature": (0.5, 0.5)},
        {"length": 0, "stop": "x", "samples": 2, "o": "folder"},
        {"beam": 5, "o": "folder"},
        {"least": 3, "most": 3},
    ],
)
def test_values_that_can_be_used(options):
    SampleOptions(**options)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"length": -1}, "-length must be at least 0, not -1."),
        (
            {"temperature": 0.0},
            "-temperature must be greater than 0, not 0: -sample 0 takes the most probable character at each timestep.",
        ),
        ({"temperature": (0.0, 1.0)}, "-temperature must be greater than 0, not 0:1."),
        ({"temperature": math.inf}, "-temperature must be finite and greater than 0, not inf."),
        ({"temperature": math.nan}, "-temperature must be finite and greater than 0, not nan."),
        ({"temperature": (1.0, -0.5)}, "-temperature must be greater than 0, not 1:-0.5."),
        ({"temperature": (1.0, 2.0), "length": 0}, "-temperature A:B needs a -length, at which it reaches B."),
        ({"samples": 0}, "-samples must be from 1 to 1e12, not 0."),
        ({"samples": 10**12 + 1}, "-samples must be from 1 to 1e12"),
        ({"topk": -1}, "-topk must be at least 0, not -1."),
        ({"topp": 0.0}, "-topp must be greater than 0 and at most 1, not 0."),
        ({"topp": 1.01}, "-topp must be greater than 0 and at most 1, not 1.01."),
        ({"beam": -1}, "-beam must be at least 0, not -1."),
        ({"beam": 2, "samples": 2}, "can't be combined with -samples: leave one out."),
        *(
            ({"beam": 2, **drawing}, "-beam does not sample, so -temperature, -topk and -topp have no effect")
            for drawing in ({"temperature": 0.5}, {"temperature": (1.0, 2.0)}, {"topk": 3}, {"topp": 0.5})
        ),
        ({"primetext": "a", "primefile": "b"}, "leave one out"),
        ({"color": 1, "o": "folder"}, "leave -o out"),
        ({"length": 0, "samples": 2}, "with -samples, -o or -json it needs -stop."),
        ({"length": 0, "o": "folder"}, "with -samples, -o or -json it needs -stop."),
        ({"length": 0, "json": 1}, "with -samples, -o or -json it needs -stop."),
        ({"beam": 2, "json": 1}, "-json 1 and -beam exclude each other: leave one out."),
        *(
            ({name: 2}, f"-{name} must be 0 or 1, not 2.")
            for name in ("sample", "opencl", "verbose", "hide_prime", "ignore_bad_primetext", "unicode", "color")
        ),
    ],
)
def test_values_that_are_refused(options, words):
    with pytest.raises(UserError) as raised:
        SampleOptions(**options)
    assert words in str(raised.value)


def test_chat_draws_with_each_option_that_it_shares_with_sample():
    given = {"seed": 5, "length": 9, "temperature": 0.5, "topk": 3, "topp": 0.4, "gpuid": -1, "opencl": 1, "color": 1}
    given["threads"] = 2
    drawn = ChatOptions(**given, stop="end", max_copy=20, text="a.txt").sampling()
    assert drawn == SampleOptions(**given, stop="end")
    of_chat = {field.name for field in dataclasses.fields(ChatOptions)}
    assert of_chat - given.keys() == options._OF_CHAT_ALONE


def test_chat_ends_an_answer_at_the_end_of_a_line():
    assert ChatOptions().sampling().stop == "\n"
    assert ChatOptions(stop="end").sampling().stop == "end"
    assert ChatOptions().sampling().length == 500


@pytest.mark.parametrize("options", [{"length": 0}, {"topp": 0.0}, {"temperature": -1.0}, {"color": 2}])
def test_values_that_chat_refuses(options):
    ChatOptions()
    with pytest.raises(UserError, match="^-" + next(iter(options))):
        ChatOptions(**options)


def test_options_stay_as_they_were_given():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SampleOptions().length = 3


def test_chat_knows_another_way_to_the_likeliest_character():
    with pytest.raises(UserError, match="not 0: -topk 1 takes the most probable character"):
        ChatOptions(temperature=0)
