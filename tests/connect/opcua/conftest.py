"""One server for all tests that do not harm it, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncua import ua

from tests.connect.opcua.servers import PlantServer, make_certificate


@pytest.fixture(scope="session")
def plant() -> Iterator[PlantServer]:
    """A server without encryption, with a line of tags that nobody changes."""
    server = PlantServer().start()
    line = server.folder("소성 라인")
    server.add("kiln/zone1", 731.5, ua.VariantType.Double, under=line)
    server.add("kiln/speed", 23.4, ua.VariantType.Float, under=line)
    server.add("kiln/count", 2**60 + 1, ua.VariantType.Int64, under=line)
    server.add("kiln/lot", "가-001", ua.VariantType.String, under=line)
    server.add("kiln/on", True, ua.VariantType.Boolean, under=line)
    server.add("kiln/profile", [1.5, 2.5, 3.5], ua.VariantType.Double, under=line)
    yield server
    server.close()


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlantServer]:
    """A server that speaks every supported policy and knows one user."""
    folder: Path = tmp_path_factory.mktemp("secured")
    make_certificate(folder)
    server = PlantServer(certificates=folder, users={"operator": "가마1!"})
    server.policies = [
        ua.SecurityPolicyType.Basic256Sha256_Sign,
        ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
        ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
        ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    ]
    server.start()

    async def fill() -> None:
        assert server.server is not None
        for number in range(1200):
            await server.server.nodes.objects.add_variable(ua.NodeId(f"t{number}", 2), f"t{number}", float(number))

    server.do(fill())
    yield server
    server.close()


@pytest.fixture(scope="session")
def workshop() -> Iterator[PlantServer]:
    """A server to which each test adds tags of its own; it always runs."""
    server = PlantServer().start()
    yield server
    server.close()
