"""Subscribes items in bites that a server can take, and compares what it grants with what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from asyncua import ua

from madang.connect.opcua._items import Item
from madang.connect.opcua._link import Link
from madang.connect.opcua._publisher import Followed, Publisher
from madang.plant import Bilingual

ITEMS_PER_SUBSCRIPTION: Final = 2_000
KEEP_ALIVE_S: Final = 2.5
"""How often a silent server has to say that it lives [s]."""
LIFETIME_S: Final = 60.0
"""How long the server keeps a subscription without hearing from us [s]."""


@dataclass
class Granted:
    """What the server made of our wishes."""

    subscriptions: list[int] = field(default_factory=list)
    publish: float = 0.0
    """Slowest publishing interval [ms]."""
    keep_alive: float = 0.0
    """Longest silence of a living server [s]."""
    slower: dict[str, float] = field(default_factory=dict)
    """Tags that are sampled more slowly than asked [ms]."""
    shorter: dict[str, int] = field(default_factory=dict)
    """Tags whose queue is shorter than asked."""
    sampling: float = 0.0
    """Slowest sampling interval [ms]."""
    refused: list[Item] = field(default_factory=list)
    risky: int = 0
    """Tags whose queue does not hold two publishing intervals of values."""

    @property
    def poor(self) -> bool:
        """Whether values may be lost by it."""
        return bool(self.refused or self.risky)

    def text(self, publish: float) -> Bilingual | None:
        """Say where the server gives less than was asked; None when it gives everything."""
        ko, en = [], []
        if self.publish > publish * 1.01:
            ko.append(f"서버가 {self.publish:g} ms 마다 보내요 (바란 것 {publish:g} ms)")
            en.append(f"the server publishes every {self.publish:g} ms ({publish:g} ms asked)")
        if self.slower:
            ko.append(f"태그 {len(self.slower)}개를 더 천천히 읽어요 (가장 느린 것 {max(self.slower.values()):g} ms)")
            en.append(f"{len(self.slower)} tags are sampled more slowly (slowest {max(self.slower.values()):g} ms)")
        if self.shorter:
            ko.append(f"태그 {len(self.shorter)}개의 대기줄이 짧아요 (가장 짧은 것 {min(self.shorter.values())})")
            en.append(f"the queues of {len(self.shorter)} tags are shorter (shortest {min(self.shorter.values())})")
        if self.refused:
            ko.append(f"태그 {len(self.refused)}개를 서버가 받아 주지 않았어요")
            en.append(f"the server refused {len(self.refused)} tags")
        return Bilingual("; ".join(ko), "; ".join(en)) if ko else None


async def subscribe(link: Link, publisher: Publisher, items: Sequence[Item], granted: Granted) -> None:
    """Watch items; those that the server refuses are noted in `granted` and on the item, and the rest goes on."""
    for start in range(0, len(items), ITEMS_PER_SUBSCRIPTION):
        part = items[start : start + ITEMS_PER_SUBSCRIPTION]
        number = await _make(link, publisher, granted)
        for begin in range(0, len(part), link.limits.items):
            await watch(link, number, part[begin : begin + link.limits.items], granted)


async def watch(link: Link, subscription: int, items: Sequence[Item], granted: Granted) -> None:
    """Add items to a subscription, in one request."""
    options = link.options
    parameters = ua.CreateMonitoredItemsParameters()
    parameters.SubscriptionId = subscription
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    for item in items:
        wanted = ua.MonitoredItemCreateRequest()
        wanted.ItemToMonitor.NodeId = ua.NodeId.from_string(item.node)
        wanted.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        wanted.MonitoringMode = ua.MonitoringMode.Reporting
        wanted.RequestedParameters.ClientHandle = item.handle
        wanted.RequestedParameters.SamplingInterval = options.sampling
        wanted.RequestedParameters.QueueSize = options.queue
        wanted.RequestedParameters.DiscardOldest = True
        if options.trigger == "time":
            change = ua.DataChangeFilter()
            change.Trigger = ua.DataChangeTrigger.StatusValueTimestamp
            wanted.RequestedParameters.Filter = change
        parameters.ItemsToCreate.append(wanted)
    results = await link.session.create_monitored_items(parameters)
    for item, result in zip(items, results, strict=True):
        status = int(result.StatusCode.value)
        item.refused = status if status >> 30 == 2 else 0
        if item.refused:
            granted.refused.append(item)
            continue
        if result.RevisedSamplingInterval > options.sampling * 1.01 + 1:
            granted.slower[item.tag.name] = float(result.RevisedSamplingInterval)
        if result.RevisedQueueSize < options.queue:
            granted.shorter[item.tag.name] = int(result.RevisedQueueSize)
        rate = max(1.0, float(result.RevisedSamplingInterval))
        granted.risky += int(result.RevisedQueueSize) < min(options.queue, 2 * granted.publish / rate)
        granted.sampling = max(granted.sampling, float(result.RevisedSamplingInterval))


async def _make(link: Link, publisher: Publisher, granted: Granted) -> int:
    options = link.options
    parameters = ua.CreateSubscriptionParameters()
    parameters.RequestedPublishingInterval = options.publish
    parameters.RequestedMaxKeepAliveCount = max(1, round(KEEP_ALIVE_S * 1000 / options.publish))
    parameters.RequestedLifetimeCount = max(
        3 * parameters.RequestedMaxKeepAliveCount, round(LIFETIME_S * 1000 / options.publish)
    )
    parameters.MaxNotificationsPerPublish = 5_000
    parameters.PublishingEnabled = True
    parameters.Priority = 0
    request = ua.CreateSubscriptionRequest()
    request.Parameters = parameters
    result = await link.create_subscription(request)
    publisher.followed[result.SubscriptionId] = Followed()
    granted.subscriptions.append(result.SubscriptionId)
    granted.publish = max(granted.publish, float(result.RevisedPublishingInterval))
    silence = float(result.RevisedPublishingInterval) * int(result.RevisedMaxKeepAliveCount) / 1000
    granted.keep_alive = max(granted.keep_alive, silence)
    return int(result.SubscriptionId)
