"""The message of a UserError, on the command line and in a program."""

from __future__ import annotations

import pickle

from pycharrnn.common.errors import UserError, flag, wordings


def in_a_program(error: UserError, **renamed: str) -> str:
    error.reword_for_program(renamed)
    return str(error)


def test_an_option_is_a_flag_on_the_command_line_and_a_keyword_in_a_program():
    error = UserError(f"{flag('temperature')} must be above 0, not 0: give {flag('topk', 1)}.")
    assert str(error) == "-temperature must be above 0, not 0: give -topk 1."
    assert in_a_program(error) == "temperature must be above 0, not 0: give topk=1."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_values_are_written_as_the_shell_and_python_read_them():
    error = UserError(f"{flag('resume', 'my cv')} {flag('seed', -1)} {flag('learning_rate', 0.002345678)}")
    assert str(error) == "-resume 'my cv' -seed -1 -learning_rate 0.002345678"
    assert in_a_program(error) == "resume='my cv' seed=-1 learning_rate=0.002345678"
    assert str(UserError(f"{flag('seed', 2**64 - 1)} {flag('length', 10**300)}")) == (
        "-seed 18446744073709551615 -length 1e+300"
    )


def test_a_name_that_looks_like_a_flag_stays():
    assert in_a_program(UserError("can't read my -seed 5 notes.txt")) == "can't read my -seed 5 notes.txt"


def test_a_caller_may_have_another_name_for_an_option():
    error = UserError(f"{flag('primetext')} is long; {wordings('pycharrnn data x', 'see docs')}")
    assert str(error) == "-primetext is long; pycharrnn data x"
    assert in_a_program(error, primetext="text") == "text is long; see docs"


def test_an_error_within_another_keeps_both_wordings():
    inner = UserError(f"{flag('seed', 3)} is odd")
    assert in_a_program(UserError(f"a.t7: {inner.args[0]}")) == "a.t7: seed=3 is odd"
