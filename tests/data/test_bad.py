"""Bad samples are borne up to a share."""

from __future__ import annotations

import pytest

from altclip.data.bad import BadSamples
from altclip.errors import DataError


def test_a_few_are_borne() -> None:
    bad = BadSamples(0.01)
    bad.count(100, ["a"] * 10)  # a share of at least a thousand samples counts
    bad.count(9900, ["b"] * 90)
    assert (bad.seen, bad.bad) == (10_000, 100)


def test_one_more_is_not() -> None:
    bad = BadSamples(0.01)
    bad.count(10_000, ["a"] * 100)
    with pytest.raises(DataError, match=r"101 of 10001 samples are bad, over the limit of 1\.0% \(the last: b\[7\]"):
        bad.count(1, ["b[7]"])


def test_good_samples_never_stop_a_run() -> None:
    bad = BadSamples(0.0)
    bad.count(5, [])
    with pytest.raises(DataError):
        bad.count(5, ["x"])
