"""Laws of the log of decisions: what it keeps, and what it notices."""

import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adrs.decisions import Decisions, Entry, LogError, seal, unseal
from evaluators.evaluation import Failure
from evaluators.problem import Hook

HOOKS = (
    Hook("rank", ("waiting",), "keys", "Lowest first.", "always"),
    Hook("worth", ("blocks",), "values", "Lowest goes.", "always"),
    Hook("size", ("engine",), "count", "Tokens.", "always"),
)
MANNERS = {"ask": "event", "holds_back": True, "every": 0.5}
reals = st.floats(width=64)
flat = arrays.arrays(np.float64, st.integers(0, 6), elements=reals)
whole = arrays.arrays(np.int64, arrays.array_shapes(min_dims=0, max_dims=2))
entry = st.one_of(
    st.builds(lambda keys: Entry(("rank",), (keys,)), flat),
    st.builds(lambda values: Entry(("worth",), (values,)), flat),
    st.builds(lambda n: Entry(("size",), (n,)), whole),
    st.builds(lambda keys, n: Entry(("rank", "size"), (keys, n)), flat, whole),
)
failures = st.sampled_from([None, Failure("exception", "it raised")])
logs = st.builds(
    lambda entries, failure: Decisions(("rank", "size"), MANNERS, entries, failure),
    st.lists(entry, max_size=8),
    failures,
)


def order(keys):
    """All that the engine reads of keys: the order with its ties, and who waits."""
    return (keys[:, None] < keys).tolist(), (keys == np.inf).tolist()


@given(logs)
@settings(max_examples=150, deadline=None)
def test_a_log_keeps_every_decision(log):
    sealed = seal(log, HOOKS)
    again = unseal(sealed.data, sealed.digest)
    assert (again.hooks, again.failure) == (log.hooks, log.failure)
    assert again.manners == log.manners
    for old, new in zip(log.entries, again.entries, strict=True):
        assert new.hooks == old.hooks
        for name, before, after in zip(old.hooks, old.answer, new.answer, strict=True):
            assert before.shape == after.shape
            if name == "rank" and not np.isnan(before).any():
                assert order(before) == order(after)
            else:
                assert before.tobytes() == after.tobytes()
    assert seal(again, HOOKS).digest == sealed.digest


def test_ranks_are_small_where_values_are_not():
    rng = np.random.default_rng(0)
    sizes = {}
    for name in ("rank", "worth"):
        entries = [Entry((name,), (np.sort(rng.random(20)),)) for _ in range(500)]
        sizes[name] = len(seal(Decisions((name,), {}, entries), HOOKS).data)
    assert 20 * sizes["rank"] < sizes["worth"]


@pytest.fixture(scope="module")
def sealed():
    entries = [Entry(("rank", "size"), (np.array([3.0, 1.0]), np.array(512)))] * 5
    return seal(Decisions(("rank", "size"), MANNERS, entries), HOOKS)


def test_one_other_decision_is_another_log(sealed):
    log = unseal(sealed.data)
    turned = Entry(("rank", "size"), (np.array([0.0, 1.0]), np.array(512)))
    other = Decisions(log.hooks, log.manners, [*log.entries[:4], turned])
    forged = seal(other, HOOKS)
    with pytest.raises(LogError, match=f"not {sealed.digest}"):
        unseal(forged.data, sealed.digest)


def test_no_byte_can_be_wrong_unnoticed(sealed):
    rng = np.random.default_rng(0)
    plain = zlib.decompress(sealed.data)
    for _ in range(300):
        broken = bytearray(plain)
        broken[rng.integers(len(plain))] ^= 1 << int(rng.integers(8))
        with pytest.raises(LogError):
            unseal(zlib.compress(bytes(broken)), sealed.digest)
        with suppress(LogError):  # where nobody knows the digest it may pass as one
            unseal(zlib.compress(bytes(broken)))


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_cut_off_log_is_an_error(sealed, cut):
    with pytest.raises(LogError):
        unseal(sealed.data[:cut])
