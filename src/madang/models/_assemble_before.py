"""What an earlier assembly decided, so that a later one can repeat it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from madang.errors import Json
from madang.library import ClockOffset, no_offset
from madang.models._assemble_signals import Signal
from madang.plant import Bilingual


@dataclass(frozen=True)
class Before:
    """What an earlier assembly decided; nothing, for a first one."""

    target: str | None = None
    offsets: Mapping[str, ClockOffset] = field(default_factory=dict)
    """By table."""
    features: Mapping[str, Mapping[str, Json]] | None = None

    def offset_of(self, signal: Signal) -> ClockOffset:
        """Return the offset of a signal's clock: that of its name, else that of the table most of its tags came from."""
        if signal.view.name in self.offsets:
            return self.offsets[signal.view.name]
        tables = Counter(str(f["table"]) for f in (self.features or {}).values() if str(f["column"]) in signal.tags)
        likely = next((name for name, _ in tables.most_common() if name in self.offsets), None)
        return (
            no_offset(Bilingual("처음 보는 신호예요.", "A signal not seen before.")) if likely is None else self.offsets[likely]
        )

    def features_of(self, signal: Signal, signals: Sequence[Signal]) -> dict[str, Mapping[str, Json]]:
        """Return the features to make of a signal; where several signals have a tag, the one of the same name makes it."""
        wanted = {}
        for name, facts in (self.features or {}).items():
            holders = [s for s in signals if str(facts["column"]) in s.tags]
            named = [s for s in holders if s.view.name == facts["table"]]
            if holders and (named or holders)[0] is signal:
                wanted[name] = facts
        return wanted


def before_of(facts: Mapping[str, Json] | None) -> Before:
    """Return the decisions in the ``facts`` of a frame; none for no facts, or for facts of a single table."""
    join, features = (facts or {}).get("join"), (facts or {}).get("features")
    if facts is None or not isinstance(join, dict) or not isinstance(features, dict):
        return Before()
    offsets = join.get("offsets")
    same = Bilingual("학습할 때 찾은 값이에요.", "As found when it was learned.")
    found = {
        name: ClockOffset(float(str(made["minutes"])), float(str(made["low"])), float(str(made["high"])), bool(made["supported"]),
                          int(str(made["events"])), same)
        for name, made in (offsets.items() if isinstance(offsets, dict) else ()) if isinstance(made, dict)
    }  # fmt: skip
    target = facts.get("target")
    made_columns = {name: made for name, made in features.items() if isinstance(made, dict)}
    return Before(target if isinstance(target, str) else None, found, made_columns)
