"""Trusting a server by its thumbprint, as a person does it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from madang.connect._source import ConnectionSettings
from madang.connect.opcua._certificates import ServerCertificate, examine, trust
from madang.connect.opcua._options import Options, read_options
from madang.errors import UsageError


def trust_by_thumbprint(settings: ConnectionSettings, thumbprint: str) -> ServerCertificate:
    """Move a certificate that was seen to the trusted ones."""
    options = read_options(settings)
    folder = _folder(options)
    file = trust(folder, thumbprint)
    return _examined(file, folder, options)


def trusted_certificates(settings: ConnectionSettings) -> tuple[ServerCertificate, ...]:
    """Return what stands in the folder of trusted certificates."""
    options = read_options(settings)
    folder = _folder(options)
    return tuple(_examined(file, folder, options) for file in sorted((folder / "trusted").glob("*.der")))


def _examined(file: Path, folder: Path, options: Options) -> ServerCertificate:
    return examine(file.read_bytes(), folder=folder, host=options.host, application=None, now=datetime.now(UTC))


def _folder(options: Options) -> Path:
    if options.certificates is None:
        raise UsageError(
            "no_certificate_folder",
            ko="인증서 폴더가 정해지지 않았어요.",
            en="No folder of certificates is given.",
            next_ko="--set certificates=폴더 를 더하세요.",
            next_en="Add --set certificates=FOLDER.",
            where={"connection": options.name},
        )
    return options.certificates
