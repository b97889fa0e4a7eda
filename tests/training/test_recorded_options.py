"""Options that a checkpoint records, which may come from a stranger."""

from __future__ import annotations

import math
import re

import item_models
import pytest

from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.training import recorded_options


@pytest.mark.parametrize(
    "name, recorded, found",
    [
        ("savefile", "caf\u00e9", "caf\u00e9"),
        ("savefile", "a\x9bb", None),  # a control sequence of a terminal, in one character
        ("savefile", "a\x7f", None),
        ("savefile", 5, None),
        ("dtype", "double", "float64"),
        ("learning_rate", True, None),
        ("learning_rate", 1 << 53, 1 << 53),
        ("seed", 7.0, 7),
        ("seed", 7.5, None),
        ("seed", math.inf, None),
        ("rnn_size", 5, 9),  # of the network
    ],
)
def test_a_value_has_the_type_of_its_option(name, recorded, found):
    loaded = item_models.made(**{name: recorded})
    value = recorded_options.find(loaded, name)
    assert value == found and type(value) is type(found)


def test_a_number_that_no_integer_of_pytorch_holds_is_a_float():
    value = recorded_options.find(item_models.made(learning_rate=1 << 70), "learning_rate")
    assert value == 2.0**70 and isinstance(value, float)


@pytest.mark.parametrize("train_frac, val_frac, found", [(0.8, 0.1, 0.1), (0.75, 0.5, 0.25), (1.5, 0.1, 0.0)])
def test_the_validation_split_has_at_most_what_training_leaves(train_frac, val_frac, found):
    loaded = item_models.made(train_frac=train_frac, val_frac=val_frac)
    assert recorded_options.find(loaded, "val_frac") == found


@pytest.mark.parametrize(
    "name, recorded, shown",
    [
        ("savefile", "\x1b[2J" + "x" * 99, r"'\\x1b\[2Jx+\.\.\.'"),
        ("seed", 0.1 + 0.2, "0.3"),
        ("seed", True, "True"),
    ],
)
def test_a_value_of_another_type_is_named(name, recorded, shown):
    with pytest.raises(UserError) as error:
        recorded_options.options_of("a.t7", item_models.made(**{name: recorded}), [name], [name])
    said = for_command_line(error.value.message)
    whole = rf"a\.t7 records the -{name} {shown}, which is not valid: give -{name}\."
    assert len(said) < 150
    assert re.fullmatch(whole, said), said


@pytest.mark.parametrize(
    "recorded, problem",
    [
        ({"seed": "abc"}, "a.t7 records the -seed 'abc', which is not valid: use another checkpoint."),
        ({"items": "word"}, "a.t7 records an option that can't be used, so use another checkpoint: -items must be "),
    ],
)
def test_only_an_option_that_can_be_given_is_asked_for(recorded, problem):
    with pytest.raises(UserError) as error:
        recorded_options.options_of("a.t7", item_models.made(**recorded), ["batch_size", *recorded], ["batch_size"])
    assert str(error.value).startswith(problem)
