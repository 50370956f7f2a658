"""Settings of a Sparkplug connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from madang.connect._source import ConnectionSettings, SourceDescription
from madang.connect.mqtt._options import CONNECTION_OPTIONS, EXAMPLE, SCHEMES, SECRETS, MqttOptions, options_of
from madang.connect.mqtt._rules import PAYLOAD_OPTIONS, count_of
from madang.errors import UsageError
from madang.plant import Bilingual

_SHARED: Final = ("user", "keepalive", "ca", "trust", "certificate", "key", "wait")

OWN_OPTIONS: Final[Mapping[str, Bilingual]] = {
    "namespace": Bilingual("토픽의 첫 마디 (기본 spBv1.0)", "first part of the topics (default spBv1.0)"),
    "host_id": Bilingual(
        "이 호스트의 이름. 공장 전체에서 하나뿐이어야 해요 (기본 madang)",
        "this host's id, unique in the plant (default madang)",
    ),
    "group": Bilingual("받을 그룹 하나 (기본 모두)", "the one group to receive (default all)"),
    "reorder_timeout": Bilingual(
        "순서가 빠진 메시지를 기다리는 시간 [밀리초] (기본 2000)",
        "how long a missing message is waited for [ms] (default 2000)",
    ),
    "rebirth_interval": Bilingual(
        "같은 노드에 출생 메시지를 다시 청하는 가장 짧은 간격 [초] (기본 10)",
        "least time between two rebirth requests to one node [s] (default 10)",
    ),
}

DESCRIPTION: Final = SourceDescription(
    kind="sparkplug",
    title=Bilingual("Sparkplug B (호스트)", "Sparkplug B (host application)"),
    capabilities=frozenset({"browse", "read", "subscribe", "source_time", "quality", "units"}),
    options={
        **OWN_OPTIONS,
        **{name: CONNECTION_OPTIONS[name] for name in _SHARED},
        **{name: PAYLOAD_OPTIONS[name] for name in ("earliest", "ahead")},
    },
    secrets=SECRETS,
    extra="mqtt",
    schemes=SCHEMES,
    url_example=EXAMPLE,
)


@dataclass(frozen=True)
class SparkplugOptions:
    """How to reach a broker, and as which host."""

    mqtt: MqttOptions
    namespace: str
    host_id: str
    reorder: int
    """[us]"""
    patience: int
    """[us]"""
    tags: tuple[str, ...]
    """Tags, devices, nodes or groups to keep; empty = all."""

    @property
    def state_topic(self) -> str:
        """Where this host says whether it is there."""
        return f"{self.namespace}/STATE/{self.host_id}"

    def wanted(self, tag: str) -> bool:
        """Whether a tag is asked for, by its own name or that of its device, node or group."""
        return not self.tags or any(tag == one or tag.startswith((f"{one}/", f"{one}#")) for one in self.tags)


def sparkplug_options(settings: ConnectionSettings) -> SparkplugOptions:
    """Read the settings.

    Raises:
        UsageError: One is wrong; the error says which and what is allowed.
    """
    own = {name: settings.options[name] for name in settings.options if name in OWN_OPTIONS}
    namespace, host_id, group = own.get("namespace") or "spBv1.0", own.get("host_id") or "madang", own.get("group", "")
    for name, text in (("namespace", namespace), ("host_id", host_id), ("group", group)):
        if any(letter in text for letter in "/+#\0"):
            raise UsageError(
                "wrong_option",
                ko=f"옵션 {name}에는 / + # 을 쓸 수 없어요.",
                en=f"Option {name} may not hold / + or #.",
                next_ko=f"`--set {name}=...` 을 고쳐 주세요.",
                next_en=f"Correct `--set {name}=...`.",
                where={"option": name},
            )
    rest = {name: text for name, text in settings.options.items() if name not in OWN_OPTIONS}
    unknown = sorted(set(rest) - set(DESCRIPTION.options))
    if unknown:
        raise UsageError(
            "unknown_option",
            ko=f"모르는 옵션이에요: {', '.join(unknown)}",
            en=f"Unknown option: {', '.join(unknown)}",
            next_ko=f"쓸 수 있는 옵션: {', '.join(DESCRIPTION.options)}",
            next_en=f"Options: {', '.join(DESCRIPTION.options)}",
        )
    mqtt = options_of(replace(settings, options=rest, tags=(f"{namespace}/{group or '+'}/#",)))
    return SparkplugOptions(
        mqtt=mqtt,
        namespace=namespace,
        host_id=host_id,
        reorder=count_of(own, "reorder_timeout", 2_000, low=1) * 1_000,
        patience=count_of(own, "rebirth_interval", 10) * 1_000_000,
        tags=settings.tags,
    )
