"""The source that waits: it starts, stops and starts again, and says what it takes."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from madang.connect import ConnectionSettings, kinds, make_source
from madang.errors import InputError
from madang.testing import RecordingSink


def _told(sink: RecordingSink, count: int) -> bool:
    return len(sink.states) >= count


def test_it_waits_until_it_is_told_to_stop_and_can_be_started_again() -> None:
    source = make_source(ConnectionSettings("door", "http", ""))
    sink = RecordingSink()
    for count in (1, 2):
        stop = threading.Event()
        thread = threading.Thread(target=source.subscribe, args=(sink, stop))
        thread.start()
        assert sink.wait_for(partial(_told, sink, count), 5.0)
        assert thread.is_alive()
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
        assert not sink.blocks
    source.close()
    source.close()


def test_every_option_is_described_in_both_languages() -> None:
    about = kinds()["http"]
    assert all(text.ko and text.en for text in about.options.values())
    assert about.secrets == frozenset()


def test_an_option_that_is_not_a_known_word_is_refused() -> None:
    with pytest.raises(InputError) as error:
        make_source(ConnectionSettings("door", "http", "", {"time_unit": "minutes"}))
    assert error.value.where["option"] == "time_unit"
