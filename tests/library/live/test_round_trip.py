"""Whatever a source may send comes back bit by bit."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.library._signals._scales import Scale, counts, find_scale, physical
from tests.library.live.plant import T0, Clock, MemorySpool, Sample, exact, kept, opened, signals_folder

Y2106 = 4_291_747_200_000_000
EXTREMES: list[Sample] = [
    ("epoch", 0, 1.0, 0),
    ("before the epoch", -1, 1.0, 0),
    ("y2106", Y2106, 1.0, 0),
    ("nan", T0, float("nan"), 0),
    ("infinite", T0, float("inf"), 0x80000000),
    ("infinite", T0 + 1, float("-inf"), 0xFFFFFFFF),
    ("zero", T0, -0.0, 0),
    ("zero", T0 + 1, 0.0, 0),
    ("tiny", T0, 5e-324, 0),
    ("huge", T0, 1.7976931348623157e308, 0),
    ("int32", T0, float(2**31 - 1), 0),
    ("int32", T0 + 1, float(-(2**31)), 0),
    ("int32", T0 + 2, float(2**31), 0),
    ("int64", T0, "9223372036854775807", 0),
    ("int64", T0 + 1, "-9223372036854775808", 0),
    ("int64", T0 + 2, float(2**53), 0),
    ("long text", T0, "가" * 350_000, 0),
    ("empty text", T0, "", 0),
    ("nothing", T0, None, 0x80310000),
    ("boolean", T0, 1.0, 0),
    ("boolean", T0 + 1, 0.0, 0),
    ("float32", T0, float(np.float32(23.45)), 0),
    ("태그 이름, 'with' \"quotes\"", T0, 0.1, 0x40900000),
]


def _through_the_lake(samples: list[Sample], pieces: int = 1, *, resort: bool = False) -> None:
    with tempfile.TemporaryDirectory() as home:
        root, spool, clock = Path(home) / "w", MemorySpool(), Clock()
        with opened(root, clock) as library:
            intake = library.live(threads=1)
            intake.attach("plant", spool, None)
            step = -(-len(samples) // pieces)
            for begin in range(0, len(samples), step):
                spool.put(samples[begin : begin + step])
                intake.step(clock.go(timedelta(minutes=30)), force=True)
            assert kept(root, library) == exact(samples)
            if resort:
                library.resort(everything=True)
                assert kept(root, library) == exact(samples)
            intake.close()


def test_one_of_everything_comes_back_bit_by_bit() -> None:
    _through_the_lake(EXTREMES, resort=True)
    _through_the_lake(EXTREMES, pieces=5, resort=True)


NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(10**7), 10**7).map(lambda n: n / 1000),
    st.floats(width=32, allow_nan=False),
    st.integers(0, 4095).map(lambda n: n * 250.0 / 4095),
)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "온도"]),
            st.integers(0, 40).map(lambda n: T0 + n * 500) | st.integers(-(2**45), 2**52),
            st.one_of(NUMBERS, NUMBERS, NUMBERS, st.none(), st.text(max_size=20).filter(lambda t: "\x00" not in t)),
            st.integers(0, 2**32 - 1),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 4),
)
def test_random_samples_of_every_kind_come_back_bit_by_bit(samples: list[Sample], pieces: int) -> None:
    _through_the_lake(samples, pieces, resort=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(NUMBERS.filter(np.isfinite), min_size=1, max_size=300))
def test_a_scale_gives_back_exactly_what_it_says_it_holds(numbers: list[float]) -> None:
    number = np.array(numbers)
    for scale in (find_scale(number), Scale(3.0, 7.0, 0.1), Scale(divisor=10.0, rounding=32)):
        found, held = counts(number, scale)
        assert physical(found, scale)[held].tobytes() == number[held].tobytes()


@pytest.mark.parametrize(
    ("number", "scale"),
    [
        (np.arange(1000) % 97 / 100, Scale(divisor=100.0)),
        (np.round(np.arange(1000) * 0.06105, 6), Scale(6105.0, 100_000.0)),
        (np.arange(1000) * 0.5, Scale(5.0, 10.0)),
        ((np.arange(1000) % 97 / 100).astype(np.float32).astype(np.float64), Scale(divisor=100.0, rounding=32)),
        (np.arange(1000) * 250.0 / 4095, Scale(250.0, 4095.0)),
        (np.arange(1000, dtype=np.float64) * 16, Scale(16.0)),
    ],
    ids=["decimals", "decimals of a 12-bit converter", "halves", "float32 decimals", "12-bit converter", "steps of 16"],
)
def test_the_steps_of_a_converter_are_found_from_its_values(number: np.ndarray, scale: Scale) -> None:
    found = find_scale(np.ascontiguousarray(number))
    assert found.scale / found.divisor == pytest.approx(scale.scale / scale.divisor)
    assert found.rounding == scale.rounding
    assert counts(number, found)[1].all()


def test_times_that_no_clock_can_mean_wait_in_quarantine_and_the_rest_goes_on(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("a", 2**62, 1.0, 0), ("a", T0, 2.0, 0)])
        report = intake.step(clock.go(), force=True).connections["plant"]
        assert (report.samples, report.rejects) == (1, 1)
        assert kept(tmp_path / "w", library) == exact([("a", T0, 2.0, 0)])
        assert (signals_folder(tmp_path / "w").parent / "quarantine").is_dir()
        intake.close()
