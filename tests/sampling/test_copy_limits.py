"""-max_copy: no passage of more than N characters of the training text in what is drawn, however it is drawn."""

from __future__ import annotations

import dataclasses
import itertools
import os

import item_models
import numpy as np
import pytest

from compat.lua_random import LuaRandom
from compat.vocabulary import characters_by_id
from pycharrnn.common.errors import UserError, flag
from pycharrnn.engine import kernel_library, passages
from pycharrnn.engine.array_passages import ArrayFilter, ArrayIndex
from pycharrnn.engine.kernel_passages import KernelFilter, KernelIndex
from pycharrnn.engine.passage_index import PassageFilter, PassageRules
from pycharrnn.sampling import beam, copy_limits, inference, items, sampler
from pycharrnn.sampling.chat import Chat
from pycharrnn.sampling.copy_limits import CopyLimits, KeptPassages
from pycharrnn.sampling.model_text import ModelText
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import ChatOptions, SampleOptions

LOADED = item_models.made("", letters="abc")
VOCAB = LOADED.vocab  # of \n, a, b and c
V = len(VOCAB)
DRAWINGS = ({}, {"sample": 0}, {"topk": 2}, {"topp": 0.6}, {"temperature": 0.3}, {"temperature": (0.1, 3.0)})


def text_of(seed: int, length: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, V, length).astype(np.int32)


def limits_of(text: np.ndarray, N: int, with_kernel: bool, max_exact: int = passages.MAX_EXACT, V: int = V):
    """-max_copy N, in C or NumPy, exact or (max_exact=0) by a filter."""
    rules = PassageRules(N, V)
    if max_exact:
        return CopyLimits((KernelIndex if with_kernel else ArrayIndex)(rules, text))
    words = np.zeros(passages.filter_shape(len(text)), np.uint64)
    found = (KernelFilter if with_kernel else ArrayFilter)(rules, words)
    found.add(text)
    return CopyLimits(found)


def predictor(with_kernel: bool, streams: int = 1):
    """In C or NumPy."""
    if with_kernel:
        return inference.on_cpu(LOADED.network).fresh(streams=streams)
    return NumpyPredictor(LOADED.network, streams)


KERNELS = [pytest.param(True, marks=pytest.mark.skipif(not kernel_library.library(), reason="needs the kernel")), False]


def copies_in(ids: list[int], given: int, text: np.ndarray, N: int) -> list[int]:
    """Where passages of N+1 characters of the text end in `ids`, after the first `given` characters."""
    whole = ",".join(map(str, text.tolist())).join(",,")
    ends = range(max(given, N), len(ids))
    return [k for k in ends if ",".join(map(str, ids[k - N : k + 1])).join(",,") in whole]


def by_the_rule(text: np.ndarray, N: int, opt: SampleOptions, prime: list[int]) -> list[int]:
    """The rule, one character after another: what would complete a copy has probability 0, the rest sums to 1."""
    model, numbers = NumpyPredictor(LOADED.network), LuaRandom(opt.seed).random(opt.length)
    for token_id in prime:
        log_probs = model.step(token_id)
    found = list(prime)
    for number in numbers.tolist():
        probs = np.exp(log_probs / opt.temperature)
        for v in range(V):
            if copies_in([*found, v], len(prime), text, N)[-1:] == [len(found)]:
                probs[v] = 0
        if not probs.sum():
            break
        sums = np.cumsum((probs / probs.sum()).astype(np.float32).astype(np.float64))
        found.append(int(np.argmax(probs)) if not opt.sample else int((sums[:-1] / sums[-1] < number).sum()))
        log_probs = model.step(found[-1])
    return found


@pytest.mark.parametrize("with_kernel", KERNELS)
@pytest.mark.parametrize("N", [2, 3, 4])
def test_one_text_is_that_of_the_rule(N, with_kernel):
    text, prime = text_of(N), [1, 2]
    for opt in (SampleOptions(length=120, max_copy=N, seed=N), SampleOptions(length=60, max_copy=N, sample=0)):
        copies = limits_of(text, N, with_kernel)
        drawn = sampler.sample(predictor(with_kernel), VOCAB, opt, b"ab", copies=copies)
        expected = by_the_rule(text, N, opt, prime)
        assert [one.token_id for one in drawn] == expected
        assert drawn.ended_early == (len(expected) < 2 + opt.length)


@pytest.mark.parametrize("with_kernel", KERNELS)
@pytest.mark.parametrize("max_exact", [0, passages.MAX_EXACT])
@pytest.mark.parametrize("options", DRAWINGS, ids=str)
def test_no_drawing_copies_more_than_it_may(options, max_exact, with_kernel):
    """One stream and several, with primetexts of other lengths; each of several is the one that it is alone."""
    for N in (1, 4):
        text, opt = text_of(7 * N, 4**N // 2), SampleOptions(length=60, max_copy=N, **options)
        primes = [[b"a", b"b"], [b"c"], [b"b", b"c", b"a", b"a", b"b"]]
        copies, found = limits_of(text, N, with_kernel, max_exact), [list[int]() for _ in primes]
        ended_early = [False] * len(primes)
        model = predictor(with_kernel, 3)
        for chunk in sampler.sample_streams(model, primes, VOCAB, opt, [5, 6, 7], copies=copies):
            found[chunk.stream] += chunk.token_ids.tolist()
            ended_early[chunk.stream] = chunk.ended_early
        for k, (ids, prime) in enumerate(zip(found, primes, strict=True)):
            assert not copies_in(ids, len(prime), text, N)
            assert (len(ids) < len(prime) + opt.length) == ended_early[k]
            of_one = dataclasses.replace(opt, seed=5 + k)
            alone = sampler.sample(predictor(with_kernel), VOCAB, of_one, b"".join(prime), copies=copies)
            assert [one.token_id for one in alone] == ids


@pytest.mark.parametrize("with_kernel", KERNELS)
def test_where_nothing_is_forbidden_all_digits_stay(with_kernel):
    text = np.tile(np.array([1, 1, 1, 2], np.int32), 30)  # of "aaab", which is not drawn
    for options in DRAWINGS:
        opt = SampleOptions(length=60, **options)
        plain = list(sampler.sample(predictor(with_kernel), VOCAB, opt, b"c"))
        copies = limits_of(text, 12, with_kernel)
        limited = list(sampler.sample(predictor(with_kernel), VOCAB, opt, b"c", copies=copies))
        for one, other in zip(plain, limited, strict=True):
            assert (one.token_id, one.probs.tobytes()) == (other.token_id, other.probs.tobytes())


@pytest.mark.parametrize("with_kernel", KERNELS)
def test_the_others_are_scaled_up_before_topk_and_topp(with_kernel):
    text = np.array([1, 2], np.int32)  # b may not follow a
    free = next(itertools.islice(sampler.sample(predictor(with_kernel), VOCAB, SampleOptions(), b"a"), 1, None)).probs
    free[2] = 0
    order = np.argsort(-free)
    for options, kept in (({}, order[:3]), ({"topk": 2}, order[:2]), ({"topp": 0.01}, order[:1])):
        copies = limits_of(text, 1, with_kernel)
        drawn = sampler.sample(predictor(with_kernel), VOCAB, SampleOptions(**options), b"a", copies=copies)
        expected = np.zeros(V)
        expected[kept] = free[kept] / free[kept].sum()
        np.testing.assert_allclose(next(itertools.islice(drawn, 1, None)).probs, expected, rtol=1e-12)


@pytest.mark.parametrize("with_kernel", KERNELS)
def test_a_random_number_of_0_selects_no_forbidden_character(with_kernel):
    from pycharrnn.engine.kernel_streams import SamplingParams

    limit = limits_of(np.array([1, 0, 1, 1], np.int32), 1, with_kernel).limit([1])  # only b and c may follow a
    one = np.ones((1, 1))
    params = SamplingParams(one, 0 * one, np.array([False]), np.array([0]), one[0], limits=[limit])
    log_probs = np.log(np.full((1, V), 1 / V))
    output = predictor(with_kernel).sample([0], np.zeros(1, np.int64), log_probs, params, True)
    assert output.token_ids.tolist() == [[2]]
    np.testing.assert_allclose(output.probs, [[[0, 0, 0.5, 0.5]]], rtol=1e-12)


@pytest.mark.parametrize("with_kernel", KERNELS)
def test_beams_do_not_copy(with_kernel):
    for N in (1, 2, 4):
        text, opt = text_of(N, 60), SampleOptions(length=70, beam=3, max_copy=N)
        copies = limits_of(text, N, with_kernel)
        drawn = beam.search(predictor(with_kernel, 3), VOCAB, opt, b"ab", copies)
        ids = [one.token_id for one in drawn]
        assert not copies_in(ids, 2, text, N)
        assert (len(ids) < 72) == drawn.ended_early


@pytest.mark.parametrize("with_kernel", KERNELS)
def test_beams_end_only_where_every_character_would_complete_a_copy(with_kernel):
    text, N = text_of(2, 300), 3
    opt = SampleOptions(length=70, beam=3, max_copy=N)
    drawn = beam.search(predictor(with_kernel, 3), VOCAB, opt, b"ab", limits_of(text, N, with_kernel))
    ids = [one.token_id for one in drawn]
    assert drawn.ended_early and len(ids) > 2
    assert all(copies_in([*ids, v], len(ids), text, N) for v in range(V))


def test_the_best_beam_is_the_most_probable_text_without_copies():
    """Of all texts of four characters."""
    text, N = text_of(3, 40), 2
    copies = limits_of(text, N, False)
    opt = SampleOptions(length=4, beam=256, max_copy=N)
    found = [one.token_id for one in beam.search(predictor(False, 256), VOCAB, opt, b"a", copies)]

    def nats(ids: tuple[int, ...]) -> float:
        model, total, before = predictor(False), 0.0, 1
        for token_id in ids:
            total += model.step(before)[token_id]
            before = token_id
        return total

    allowed = [ids for ids in itertools.product(range(V), repeat=4) if not copies_in([1, *ids], 1, text, N)]
    assert found == [1, *max(allowed, key=nats)]


@pytest.mark.parametrize("with_kernel", KERNELS)
def test_a_chat_remembers_earlier_lines(with_kernel):
    """No passage of more than N characters ends within an answer, wherever it begins."""
    for N in (3, 6):
        text = text_of(N, 400)
        chat = Chat(predictor(with_kernel), VOCAB, ChatOptions(length=15), limits_of(text, N, with_kernel))
        ids, answered = list[int](), set[int]()
        for line in (b"ab\n", b"c\n", b"abca\n", b"\n", b"ba\n"):
            ids += [VOCAB[bytes([value])] - 1 for value in line]
            for one in chat.answer(line):
                answered.add(len(ids))
                ids.append(one.token_id)
        assert answered and not answered & set(copies_in(ids, 0, text, N))


ITEM_TEXT = b"".join(bytes(np.random.default_rng(k).choice([*b"abc"], 1 + k % 9).tolist()) + b"\n" for k in range(60))


@pytest.mark.parametrize("with_kernel", KERNELS)
@pytest.mark.parametrize("prime", [[], [b"a", b"b"]])
def test_items_copy_no_more_than_they_may_of_an_item(with_kernel, prime, tmp_path, monkeypatch):
    """The end of an item may always follow, and no passage goes on from one item to another."""
    monkeypatch.chdir(tmp_path)
    path = item_models.saved(tmp_path, text=ITEM_TEXT, letters="abc")
    from pycharrnn.checkpoints import checkpoint

    loaded = checkpoint.load(path)
    if not with_kernel:
        monkeypatch.setattr(passages.kernel_library, "library", lambda: None)
    copies = copy_limits.for_options(str(path), loaded, 3)
    model = inference.on_cpu(loaded.network) if with_kernel else NumpyPredictor(loaded.network)
    opt = SampleOptions(items=40, length=30, max_copy=3)
    without_limit = items.ItemModel(lambda streams: model.fresh(streams=streams), loaded.vocab, 0, prime)
    found = list(items.draw(dataclasses.replace(without_limit, copies=copies), opt, 40))
    characters = characters_by_id(loaded.vocab)
    for one in found:
        item = b"".join([*prime, *(characters[k] for k in one.token_ids.tolist())])
        assert not any(item[k : k + 4] in ITEM_TEXT for k in range(max(0, len(prime) - 3), len(item) - 3))
    plain = items.draw(without_limit, opt, 40)
    assert [one.token_ids.tolist() for one in plain] != [one.token_ids.tolist() for one in found]
    assert sum(not one.cut for one in found) > 30


def test_items_of_labels_do_not_count_their_label(tmp_path, monkeypatch):
    """An item of the label "ab" begins as all of them do."""
    monkeypatch.chdir(tmp_path)
    text = b"".join(b"ab\t" + item + b"\n" for item in ITEM_TEXT.split(b"\n") if item)
    path = item_models.saved(tmp_path, text=text, letters="abc\t", label="file", labels={b"ab": 60})
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.sampling.model_labels import LabelChoice

    loaded = checkpoint.load(path)
    copies = copy_limits.for_options(str(path), loaded, 3)
    labels = LabelChoice(loaded.vocab, {b"ab": 60})
    opt = SampleOptions(items=40, length=20, max_copy=3)
    drawn = []
    for model in (inference.on_cpu(loaded.network), NumpyPredictor(loaded.network)):
        of_list = loaded.vocab, loaded.vocab[b"\n"] - 1, [], labels, copies
        found = items.draw(items.ItemModel(lambda streams: model.fresh(streams=streams), *of_list), opt, 40)  # noqa: B023
        drawn.append([one.token_ids.tolist() for one in found])
    assert drawn[0] == drawn[1] and any(len(ids) > 1 for ids in drawn[0])


# -- the text ----------------------------------------------------------------------------------------------------------


def of_text(folder, text: bytes, letters: str = "abc", N: int = 3, utf8: bool = False, **more):
    """-max_copy N of a model of `text`, and its checkpoint."""
    from pycharrnn.checkpoints import checkpoint

    os.chdir(folder)
    path = item_models.saved(folder, "", text, letters=letters, utf8=utf8, **more)
    loaded = checkpoint.load(path)
    return copy_limits.for_options(str(path), loaded, N), loaded, str(path)


def follows(copies: CopyLimits, loaded, before: bytes) -> set[str]:
    """What may not follow some characters."""
    log_probs = np.zeros(len(loaded.vocab))
    ids = [loaded.vocab[character.encode()] - 1 for character in before.decode()]
    copies.limit(ids).forbid(log_probs)
    characters = characters_by_id(loaded.vocab)
    return {characters[k].decode() for k in np.flatnonzero(np.isinf(log_probs)).tolist()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_characters_may_be_code_points(folder):
    text = "a\u00e9bc a\u00e9b\u00e9\n".encode()
    copies, loaded, _ = of_text(folder, text, "abc\u00e9", utf8=True, encoding="utf8")
    assert follows(copies, loaded, "a\u00e9b".encode()) == {"c", "\u00e9"}


@pytest.mark.parametrize("max_exact", [0, passages.MAX_EXACT])
def test_characters_of_several_bytes_stay_whole_in_texts_of_utf8(folder, monkeypatch, max_exact):
    """In a text of Latin-1, the two bytes are two characters."""
    monkeypatch.setattr(passages, "MAX_EXACT", max_exact)
    for name, text in (("utf-8", 9 * "abé"), ("latin-1", 9 * "abÃ©" + "é")):
        (folder / name).mkdir()
        recorded, loaded, path = of_text(folder / name, text.encode(name), "abcé", from_texts=0)
        (folder / "other.txt").write_bytes(text.encode(name))
        again = copy_limits.for_options(path, loaded, 3)  # by the filter that is kept, if there is one
        for copies in (recorded, again, copy_limits.for_options(path, loaded, 3, str(folder / "other.txt"))):
            log_probs = np.zeros(len(loaded.vocab))
            copies.limit([loaded.vocab[bytes([byte])] - 1 for byte in b"ab\xc3"]).forbid(log_probs)
            assert np.isinf(log_probs).any() == (name == "latin-1")


def test_a_character_that_the_model_lacks_ends_a_passage(folder):
    copies, loaded, _ = of_text(folder, b"abcXabcb")
    assert follows(copies, loaded, b"abc") == {"b"}


@pytest.mark.parametrize("N", [4, 5, 10**12])
def test_a_text_of_no_more_than_n_characters_limits_nothing(folder, N):
    assert of_text(folder, b"abca", N=N)[0] is None


def test_a_text_that_changed_or_is_gone_is_refused_until_another_is_named(folder):
    _, loaded, path = of_text(folder, b"abcabc")
    (folder / "data/list/input.txt").write_bytes(b"cccccc")
    with pytest.raises(UserError, match="is not the text of .*Give -text FILE"):
        copy_limits.for_options(path, loaded, 3)
    (folder / "data/list/input.txt").unlink()
    with pytest.raises(UserError, match="is not here: .*-text FILE"):
        copy_limits.for_options(path, loaded, 3)
    (folder / "other.txt").write_bytes(b"\xef\xbb\xbfcba\r\nc")
    copies = copy_limits.for_options(path, loaded, 3, "other.txt")
    assert follows(copies, loaded, b"ba\n") == {"c"}  # as training reads a file
    (folder / "other.txt").write_bytes(b"abca")
    assert copy_limits.for_options(path, loaded, 4, "other.txt") is None  # there is no line break at its end
    (folder / "other.txt").write_bytes(b"\xef\xbb\xbfcba\r\nc")
    loaded.opt.pop("from_texts")  # a model of -data_dir, which takes bytes as they are
    assert follows(copy_limits.for_options(path, loaded, 3, "other.txt"), loaded, b"ba\n") == set()


@pytest.mark.parametrize("text", [b"abcab", b"abcabcabc"])
def test_a_text_that_changes_while_it_is_read_is_refused(folder, monkeypatch, text):
    """It is read twice: for its length, and for its passages."""
    _, loaded, path = of_text(folder, b"abcabc")
    (folder / "other.txt").write_bytes(b"abcabc")

    def changed_before(*args, index=passages.index):
        (folder / "other.txt").write_bytes(text)
        return index(*args)

    monkeypatch.setattr(passages, "index", changed_before)
    with pytest.raises(UserError, match="^other.txt changed while it was read; start again.$"):
        copy_limits.for_options(path, loaded, 3, "other.txt")


def test_a_text_that_is_not_utf8_has_no_code_points(folder):
    _, loaded, path = of_text(folder, b"abcabc", "abc\u00e9", utf8=True, encoding="utf8")
    loaded.opt.pop("from_texts")
    (folder / "other.txt").write_bytes(b"abc\xff")
    with pytest.raises(UserError, match="other.txt is not UTF-8 at offset 3"):
        copy_limits.for_options(path, loaded, 3, "other.txt")


def test_a_text_that_changes_while_it_is_read_gives_no_filter(folder, monkeypatch):
    monkeypatch.setattr(passages, "MAX_EXACT", 50)
    _, loaded, path = of_text(folder, b"abc" * 100)
    (file,) = (folder / "data/list").glob("passages_3_*.bin")
    file.unlink()
    index = passages.index

    def while_another_writes(*args):
        found = index(*args)
        (folder / "data/list/input.txt").write_bytes(b"cba" * 101)
        return found

    monkeypatch.setattr(passages, "index", while_another_writes)
    with pytest.raises(UserError, match=r"input\.txt changed while it was read; start again\.$"):
        copy_limits.for_options(path, loaded, 3)
    assert not file.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
def test_the_filter_is_written_through_no_link(folder, monkeypatch):
    monkeypatch.setattr(passages, "MAX_EXACT", 50)
    _, loaded, path = of_text(folder, b"abc" * 100)
    (file,) = (folder / "data/list").glob("passages_3_*.bin")
    file.unlink()
    (folder / "letter.txt").write_bytes(b"a letter")
    file.symlink_to(folder / "letter.txt")
    assert isinstance(copy_limits.for_options(path, loaded, 3).passages, PassageFilter)
    assert (folder / "letter.txt").read_bytes() == b"a letter"


def test_a_model_of_other_characters_is_refused(folder):
    _, loaded, path = of_text(folder, b"abcabc")
    loaded.vocab[b"ab"] = loaded.vocab.pop(b"a")
    with pytest.raises(UserError, match="^-max_copy needs a model whose characters are bytes or code points"):
        copy_limits.for_options(path, loaded, 3)


def test_the_filter_of_a_long_text_is_kept_beside_it(folder, monkeypatch):
    monkeypatch.setattr(passages, "MAX_EXACT", 50)
    text = bytes(np.random.default_rng(3).choice([*b"abc\n"], 300).tolist())
    copies, loaded, path = of_text(folder, text)
    (file,) = (folder / "data/list").glob("passages_3_*.bin")
    assert isinstance(copies.passages, PassageFilter) and file.stat().st_size == copies.passages.words.nbytes

    def again() -> CopyLimits:
        found = copy_limits.for_options(path, loaded, 3)
        assert (found.passages.words == copies.passages.words).all()
        return found

    built = []
    monkeypatch.setattr(passages, "index", lambda *a, index=passages.index: built.append(1) or index(*a))
    again()
    assert not built
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])  # damaged
    again()
    assert built == [1] and file.read_bytes() == whole
    file.write_bytes(bytes(len(whole)))  # another content: the record knows the state of the file
    again()
    assert built == [1, 1] and file.read_bytes() == whole
    again()
    assert built == [1, 1]
    file.unlink()
    KeptPassages(0, writes=False).limits(ModelText(path, loaded), 3)  # as in a server
    assert built == [1, 1, 1] and not file.exists()


def test_the_indexes_that_were_used_last_are_kept(folder, monkeypatch):
    _, loaded, path = of_text(folder, b"abcabcb")
    built = []
    monkeypatch.setattr(passages, "index", lambda *a, index=passages.index: built.append(a[2].N) or index(*a))
    text, kept = ModelText(path, loaded), KeptPassages(0)
    for N in (2, 2, 3, 2):
        assert kept.limits(text, N).passages.rules.N == N
    assert built == [2, 3, 2]
    kept, built[:] = KeptPassages(1 << 20), []
    for N in (2, 3, 2, 3):
        kept.limits(text, N)
    assert built == [2, 3] and kept.limits(text, 0) is kept.limits(text, 1000) is None
    size = sum(kept.limits(text, N).passages.nbytes for N in (2, 3, 4))
    for max_bytes, expected in ((size, [2, 3, 4]), (size - 1, [2, 3, 4, 3])):
        again, built[:] = KeptPassages(max_bytes), []
        for N in (2, 3, 2, 4, 2, 3):
            again.limits(text, N)
        assert built == expected
    (folder / "other.txt").write_bytes(b"cccca")
    assert follows(kept.limits(text, 2, "other.txt"), loaded, b"cc") == {"a", "c"}
    (folder / "other.txt").write_bytes(b"ccccab")
    assert follows(kept.limits(text, 2, "other.txt"), loaded, b"ca") == {"b"}
    (folder / "data/list/input.txt").write_bytes(b"cccccccc")
    with pytest.raises(UserError, match="is not the text of"):
        kept.limits(text, 2)


def test_what_was_read_before_the_primetext_counts(folder):
    copies, loaded, _ = of_text(folder, b"abcabcb", N=2)
    before = (loaded.vocab[b"a"] - 1,)
    assert follows(copies, loaded, b"b") != follows(copies, loaded, b"ab")
    assert follows(dataclasses.replace(copies, before=before), loaded, b"b") == follows(copies, loaded, b"ab")


def test_samples_that_ended_are_counted_and_the_first_one_is_named():
    alone, several = copy_limits.why_they_ended([4], 9), copy_limits.why_they_ended({8, 3}, 9)
    assert alone.startswith(f"the sample of {flag('seed', 4)} ends early: every character that could follow ")
    assert several.startswith(f"2 samples, the first that of {flag('seed', 3)}, end early: every character ")


@pytest.mark.slow
@pytest.mark.parametrize("max_exact", [0, passages.MAX_EXACT])
def test_no_passage_in_a_million_characters(max_exact):
    """Of 64 streams: brute force looks for every passage."""
    N, text = 8, text_of(1, 10_000)
    opt = SampleOptions(length=1_000_000 // 64, max_copy=N)
    copies, found = limits_of(text, N, True, max_exact), [list[int]() for _ in range(64)]
    primes = [[b"a"]] * 64
    for chunk in sampler.sample_streams(predictor(True, 64), primes, VOCAB, opt, range(64), copies=copies):
        found[chunk.stream] += chunk.token_ids.tolist()
    known = {bytes(text[k : k + N + 1].tolist()) for k in range(len(text) - N)}
    drawn = [bytes(ids) for ids in found]
    assert sum(map(len, drawn)) > 900_000
    assert not any(ids[k : k + N + 1] in known for ids in drawn for k in range(len(ids) - N))
    assert any(ids[k : k + N] in {one[:N] for one in known} for ids in drawn for k in range(200))


def test_a_text_of_a_model_that_kept_its_bytes_is_not_decoded(folder):
    copies, loaded, path = of_text(folder, b"ab\xe9c\r", "abc\u00e9\r", N=1, text_encoding="bytes")
    (folder / "other.txt").write_bytes(b"a\xc3b\rc")  # no UTF-8
    copies = copy_limits.for_options(path, loaded, 1, "other.txt")
    log_probs = np.zeros(len(loaded.vocab))
    copies.limit([loaded.vocab[b"a"] - 1]).forbid(log_probs)
    assert np.flatnonzero(np.isinf(log_probs)).tolist() == [loaded.vocab[b"\xc3"] - 1]
    assert follows(copies, loaded, b"b") == {"\r"}
