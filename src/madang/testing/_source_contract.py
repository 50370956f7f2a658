"""What every source does, whatever its protocol: the whole test of a new one is a class with one fixture."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

import pytest

from madang.connect import BLOCK_SCHEMA, Capability, Message, Source
from madang.plant import Bilingual, Interval, QualityClass, quality_class
from madang.testing._sink import RecordingSink, Value


class SourcePeer:
    """The other side, as a contract sees it. Subclass it; what is not overridden skips the behaviours that need it."""

    tags: tuple[str, ...] = ()
    """Names of tags that hold numbers, as the source spells them; at least two."""
    secrets: tuple[str, ...] = ()
    """Passwords and tokens that the source was given."""
    patience: float = 15.0
    """How long anything may take [s]."""
    can_restart: bool = False
    """Whether `stop` and `start` are there."""

    def make(self) -> Source:
        """Return a new source for this peer."""
        raise NotImplementedError

    def away(self) -> Source | None:
        """Return a source that looks for a peer where none is; None where there is no such place."""
        return None

    def change(self, value: float) -> None:
        """Make every tag take this value now. A contract counts up from 1."""
        raise NotImplementedError

    def stop(self) -> None:
        """Take the peer away."""

    def start(self) -> None:
        """Bring it back."""

    def history(self, source: Source, sink: RecordingSink) -> tuple[Interval, int] | None:
        """Return an interval whose history the peer keeps, and how many samples of all tags it holds; None: it keeps none."""
        return None

    def values(self, source: Source, sink: RecordingSink) -> list[Value]:
        """Return what came so far as samples. Sources of rows override it."""
        return sink.values(source.decoder())


class SourceContract:
    """Subclass it in a test module, with a fixture ``peer`` that gives a `SourcePeer`.

    ```python
    class TestMySource(SourceContract):
        @pytest.fixture
        def peer(self) -> Iterator[SourcePeer]:
            with my_server() as server:
                yield MyPeer(server)
    ```

    A behaviour that needs a capability which the source does not declare is skipped.
    """

    @staticmethod
    def need(source: Source, *capabilities: Capability) -> None:
        """Skip the behaviour where the source does not declare what it needs."""
        for capability in capabilities:
            if capability not in source.description.capabilities:
                pytest.skip(f"the source does not declare {capability}")

    @staticmethod
    @contextmanager
    def running(source: Source, sink: RecordingSink, patience: float) -> Iterator[threading.Thread]:
        """Run the subscription in a thread of its own, and stop it afterwards; what it raised is raised here."""
        stop = threading.Event()
        faults: list[BaseException] = []

        def run() -> None:
            try:
                source.subscribe(sink, stop)
            except BaseException as error:
                faults.append(error)
            finally:
                sink.ended = True

        thread = threading.Thread(target=run, name="subscription", daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join(patience)
            assert not thread.is_alive(), "the source did not stop"
            if faults:
                raise faults[0]

    @staticmethod
    def connected(sink: RecordingSink, patience: float) -> None:
        """Wait until the source says that it is connected."""
        assert sink.wait_for(lambda: any(s == "connected" for s, _ in sink.states), patience), (
            f"it never connected: {sink.states}"
        )

    @classmethod
    def sees(cls, peer: SourcePeer, source: Source, sink: RecordingSink, wanted: Sequence[float]) -> None:
        """Change the peer and wait until each tag has shown the values in their order."""
        for value in wanted:
            peer.change(value)
            assert sink.wait_for(
                lambda value=value: all(  # type: ignore[misc]
                    value in [v for t, v, _ in peer.values(source, sink) if t == tag] for tag in peer.tags
                ),
                peer.patience,
            ), f"the value {value} did not come"

    def test_the_description_is_whole_in_both_languages(self, peer: SourcePeer) -> None:
        source = peer.make()
        description = source.description
        assert description.kind.isidentifier()
        assert description.capabilities <= set(get_args(Capability))
        for text in [description.title, *description.options.values()]:
            assert isinstance(text, Bilingual)
            assert text.ko.strip()
            assert text.en.strip()
        source.close()

    def test_it_may_be_closed_twice_and_without_having_been_used(self, peer: SourcePeer) -> None:
        source = peer.make()
        source.close()
        source.close()

    def test_a_test_against_a_peer_that_is_there_passes_step_by_step(self, peer: SourcePeer) -> None:
        source = peer.make()
        steps = list(source.test())
        source.close()
        assert steps
        assert {s.state for s in steps} <= {"ok", "skipped"}, [(s.name, s.text.en) for s in steps]
        order = ["name", "tcp", "trust", "login", "browse", "value"]
        assert [order.index(s.name) for s in steps] == sorted({order.index(s.name) for s in steps})

    def test_a_test_against_a_peer_that_is_away_says_where_it_fails(self, peer: SourcePeer) -> None:
        source = peer.away()
        if source is None and not peer.can_restart:
            pytest.skip("this peer cannot be away")
        if source is None:
            source = peer.make()
            peer.stop()
        steps = list(source.test())
        source.close()
        assert [s.state for s in steps[:-1]] == ["ok"] * (len(steps) - 1)
        assert steps[-1].state == "failed"
        said = steps[-1].next
        assert said is not None
        assert said.ko.strip()
        assert said.en.strip()

    def test_browsing_lists_each_tag_once_and_the_same_again(self, peer: SourcePeer) -> None:
        source = peer.make()
        self.need(source, "browse")
        first, second = source.browse(), source.browse()
        source.close()
        names = [t.name for t in first]
        assert set(peer.tags) <= set(names)
        assert len(set(names)) == len(names)
        assert list(first) == list(second)

    def test_browsing_keeps_to_the_limit(self, peer: SourcePeer) -> None:
        source = peer.make()
        self.need(source, "browse")
        found = source.browse(limit=1)
        source.close()
        assert len(found) == 1

    def test_reading_gives_one_value_for_each_tag(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "read")
        block = source.read(peer.tags, sink)
        source.close()
        assert block.batch.schema.equals(BLOCK_SCHEMA)
        assert sorted(t for t, _, _ in sink.values_of(block)) == sorted(peer.tags)

    def test_one_wrong_tag_leaves_the_others_as_they_are(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "read")
        alone = {t: quality_class(q) for t, _, q in sink.values_of(source.read(peer.tags, sink))}
        block = source.read([peer.tags[0], "there is no such tag", *peer.tags[1:]], sink)
        source.close()
        found = {t: (v, quality_class(q)) for t, v, q in sink.values_of(block)}
        assert {t: c for t, (_, c) in found.items() if t in peer.tags} == alone
        assert [(v, c) for t, (v, c) in found.items() if t not in peer.tags] == [(None, QualityClass.BAD)]

    def test_it_starts_and_stops_and_leaves_no_thread_behind(self, peer: SourcePeer) -> None:
        before = set(threading.enumerate())
        source, sink = peer.make(), RecordingSink()
        self.need(source, "subscribe")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
        source.close()
        left = [t for t in set(threading.enumerate()) - before if t.is_alive()]
        for thread in left:
            thread.join(peer.patience)
        assert [t.name for t in left if t.is_alive()] == []

    def test_a_stopped_source_can_be_started_again(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "subscribe")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
        again = RecordingSink(cursors=sink.cursors)
        with self.running(source, again, peer.patience):
            self.connected(again, peer.patience)
            self.sees(peer, source, again, [1.0, 2.0])
        source.close()

    def test_every_change_arrives_in_its_order(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "subscribe")
        wanted = [1.0, 2.0, 3.0, 4.0, 5.0]
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            self.sees(peer, source, sink, wanted)
        came = peer.values(source, sink)
        source.close()
        for tag in peer.tags:
            values = [v for t, v, _ in came if t == tag and v in wanted]
            assert [v for i, v in enumerate(values) if v not in values[:i]] == wanted

    def test_what_arrives_is_well_formed(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "subscribe")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            self.sees(peer, source, sink, [1.0])
        decoder = source.decoder()
        blocks = sink.blocks
        if decoder is not None:
            blocks = [*blocks, *decoder.decode(sink.messages, sink.number_of).blocks]
        source.close()
        for block in blocks:
            assert block.batch.schema.equals(BLOCK_SCHEMA)
            assert set(block.batch.column("tag").to_pylist()) <= set(sink.tags.all())
            assert block.received > 1_600_000_000_000_000
            for _, value, quality in sink.values_of(block):
                assert value is not None or quality_class(quality) is not QualityClass.GOOD, "no value cannot be good"

    def test_nothing_comes_that_was_not_declared(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        can = source.description.capabilities
        if "subscribe" in can:
            with self.running(source, sink, peer.patience):
                self.connected(sink, peer.patience)
                self.sees(peer, source, sink, [1.0])
        assert (source.decoder() is not None) == ("messages" in can)
        source.close()
        assert "messages" in can or not sink.messages
        assert "rows" in can or not sink.rows
        if "quality" not in can:
            qualities = [
                q
                for b in sink.blocks
                for v, q in zip(*[b.batch.column(c).to_pylist() for c in ("number", "quality")], strict=True)
                if v is not None
            ]
            assert set(qualities) <= {0}

    def test_it_survives_a_restart_of_the_peer(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "subscribe")
        if not peer.can_restart:
            pytest.skip("this peer cannot be restarted")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            self.sees(peer, source, sink, [1.0])
            peer.stop()
            assert sink.wait_for(lambda: sink.states[-1][0] != "connected", peer.patience), (
                "it did not notice that the peer is gone"
            )
            peer.start()
            assert sink.wait_for(lambda: sink.states[-1][0] == "connected", peer.patience), "it did not come back"
            self.sees(peer, source, sink, [2.0, 3.0])
        source.close()

    def test_the_time_without_the_peer_is_a_gap_that_is_closed_afterwards(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "subscribe")
        if not peer.can_restart:
            pytest.skip("this peer cannot be restarted")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            self.sees(peer, source, sink, [1.0])
            peer.stop()
            assert sink.wait_for(lambda: any(g.until is None for g in sink.gaps), peer.patience), "no gap was noted"
            peer.start()
            self.sees(peer, source, sink, [2.0])
            assert sink.wait_for(lambda: all(g.until is not None for g in sink.gaps if g.tags is None), peer.patience), (
                "the gap was not closed"
            )
            assert {g.cause for g in sink.gaps if g.tags is None} & {"disconnected", "source_restarted"}
        source.close()

    def test_history_of_an_interval_is_fetched_and_counted(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "backfill")
        kept = peer.history(source, sink)
        if kept is None:
            pytest.skip("this peer keeps no history")
        interval, count = kept
        before = len(sink.blocks)
        assert source.backfill(peer.tags, interval, sink) == count
        source.close()
        blocks = sink.blocks[before:]
        assert {b.origin for b in blocks} == {"backfill"}
        assert sum(map(len, blocks)) == count
        times = [t for b in blocks for t in b.batch.column("time").to_pylist()]
        assert all(interval.start <= t < interval.end for t in times)

    def test_history_may_be_fetched_while_it_is_subscribed(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "backfill", "subscribe")
        kept = peer.history(source, sink)
        if kept is None:
            pytest.skip("this peer keeps no history")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            assert source.backfill(peer.tags, kept[0], sink) == kept[1]
            self.sees(peer, source, sink, [1.0, 2.0])
        source.close()

    def test_what_was_not_made_durable_is_sent_again(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink(hold=True)
        self.need(source, "acknowledge", "subscribe")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            self.sees(peer, source, sink, [1.0])
        source.close()
        source, again = peer.make(), RecordingSink(cursors=sink.cursors)
        with self.running(source, again, peer.patience):
            came = again.wait_for(
                lambda: {t for t, v, _ in peer.values(source, again) if v == 1.0} >= set(peer.tags), peer.patience
            )
            assert came, "what was never acknowledged did not come again"
        source.close()

    def test_decoding_again_gives_the_same(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "messages", "subscribe")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            self.sees(peer, source, sink, [1.0, 2.0])
        decoder = source.decoder()
        assert decoder is not None
        first = decoder.decode(sink.messages, sink.number_of)
        second = decoder.decode(sink.messages, sink.number_of)
        source.close()
        assert [b.batch for b in first.blocks] == [b.batch for b in second.blocks]
        assert list(first.rejects) == list(second.rejects)

    def test_what_cannot_be_understood_becomes_a_reject_and_the_rest_goes_on(self, peer: SourcePeer) -> None:
        source, sink = peer.make(), RecordingSink()
        self.need(source, "messages", "subscribe")
        with self.running(source, sink, peer.patience):
            self.connected(sink, peer.patience)
            self.sees(peer, source, sink, [1.0])
        decoder = source.decoder()
        assert decoder is not None
        sound = sink.messages
        broken = [
            Message(sound[-1].topic, payload, sound[-1].received) for payload in (b"\xff\xfe{", b"{" * 10_000, b"\x00" * 7)
        ]
        alone = decoder.decode(sound, sink.number_of)
        mixed = decoder.decode([broken[0], *sound, *broken[1:]], sink.number_of)
        source.close()
        samples = [v for b in alone.blocks for v in sink.values_of(b)]
        kept = [v for b in mixed.blocks for v in sink.values_of(b)]
        assert [v for v in kept if v in samples] == samples
        assert len(mixed.rejects) >= len(alone.rejects) + 1
        assert all(r.code and r.reason.ko and r.reason.en for r in mixed.rejects)

    def test_secrets_appear_nowhere(self, peer: SourcePeer, caplog: pytest.LogCaptureFixture) -> None:
        if not peer.secrets:
            pytest.skip("this peer has no secrets")
        source, sink = peer.make(), RecordingSink()
        with caplog.at_level(logging.DEBUG):
            said = [repr(source), *(repr(s) for s in source.test())]
            if "subscribe" in source.description.capabilities:
                with self.running(source, sink, peer.patience):
                    self.connected(sink, peer.patience)
                    if peer.can_restart:
                        peer.stop()
                        sink.wait_for(lambda: sink.states[-1][0] != "connected", peer.patience)
                        said += [repr(s) for s in source.test()]
            source.close()
        said += [caplog.text, repr(sink.states), repr(sink.gaps), repr(sink.cursors), repr(sink.tags.all()), repr(sink.rejects)]
        for secret in peer.secrets:
            assert not [text for text in said if secret in text]
