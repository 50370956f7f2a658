"""How a command speaks: sentences to people on standard error, one document to programs."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from madang import __version__
from madang.errors import Json, MadangError, UsageError
from madang.plant import Bilingual

Language = Literal["ko", "en"]


def language_of(arguments: list[str], environment: Mapping[str, str]) -> Language:
    """Find the reader's language: ``--lang``, else ``MADANG_LANG``, else the locale, else English.

    Args:
        arguments: The command's arguments.
        environment: Environment variables.
    """
    for index, argument in enumerate(arguments):
        if argument == "--lang" and index + 1 < len(arguments):
            return "ko" if arguments[index + 1] == "ko" else "en"
        if argument.startswith("--lang="):
            return "ko" if argument == "--lang=ko" else "en"
    for name in ("MADANG_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"


def strict_json(value: object) -> Json:
    """Return a value made of what JSON has: no NaN, no infinity, times in UTC with ``Z``."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): strict_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [strict_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a NumPy scalar
        return strict_json(value.item())
    raise TypeError(f"{type(value).__name__} has no place in a report")


@dataclass
class Face:
    """One run of one command."""

    language: Language = "en"
    quiet: bool = False
    json_target: str | None = None
    workspace: Path = Path("madang-workspace")
    started: float = field(default_factory=time.monotonic)
    exit_code: int = 0
    _last: str = ""

    def hand_out(self, json_target: str | None, quiet: bool) -> None:
        """Take note of where the report goes and whether people are spoken to.

        Raises:
            UsageError: The report could not be written there; said before anything is done.
        """
        self.json_target, self.quiet = json_target, quiet
        if json_target is None or json_target == "-":
            return
        path = Path(json_target)
        if path.is_dir() or not path.absolute().parent.is_dir():
            self.json_target = None
            raise _cannot_write(path, os.strerror(errno.EISDIR if path.is_dir() else errno.ENOENT))

    def text(self, ko: str, en: str) -> str:
        """Return the sentence in the reader's language."""
        return ko if self.language == "ko" else en

    def say(self, *lines: Bilingual | str) -> None:
        """Tell a person something, unless he asked for quiet."""
        if not self.quiet:
            for line in lines:
                self._write(line if isinstance(line, str) else self.text(line.ko, line.en))

    def progress(self, what: Bilingual | str, share: float) -> None:
        """Show how far a long piece of work is, once for each change of words.

        Args:
            what: What is being done now.
            share: How much is done, from 0 to 1.
        """
        words = what if isinstance(what, str) else self.text(what.ko, what.en)
        if not self.quiet and words != self._last:
            self._last = words
            self._write(f"  {min(max(share, 0.0), 1.0):4.0%}  {words}")

    def document(self, schema: str, fields: Mapping[str, object]) -> None:
        """Write the report of this run to where ``--json`` said."""
        if self.json_target is None:
            return
        envelope = {"schema": schema, "madang": __version__, "seconds": round(time.monotonic() - self.started, 3)}
        document = strict_json({**envelope, **{k: v for k, v in fields.items() if k not in envelope}})
        text = _without_secrets(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)) + "\n"
        if self.json_target == "-":
            _write_stdout(text.encode())
        else:
            write_whole(Path(self.json_target), text.encode())

    def fail(self, error: MadangError) -> int:
        """Show an error to the person and, where one was asked for, write the error document."""
        self._write(self.text(error.ko, error.en))
        step = self.text(error.next_ko, error.next_en)
        if step:
            self._write(f"→ {step}")
        if error.exit_code >= UsageError.exit_code + 1:
            self.document("error/1", error.document())
        return error.exit_code

    def fault(self, error: BaseException) -> int:
        """Keep the report of a fault of Madang and say where it lies."""
        trace = _without_secrets("".join(traceback.format_exception(error)))
        # A new file that only its owner may read: a trace can hold words of the input.
        handle, report = tempfile.mkstemp(prefix="madang-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"madang {__version__}\npython {sys.version}\n\n{trace}")
        self._write(
            self.text(
                f"Madang에 잘못이 있어 멈췄어요. 보고서: {report}",
                f"Madang itself failed and stopped. The report lies at {report}",
            )
        )
        return 1

    @staticmethod
    def _write(line: str) -> None:
        if sys.stderr is None:  # closed by the caller
            return
        line = _without_secrets(line)
        sys.stderr.write(
            line.encode(sys.stderr.encoding or "utf-8", "replace").decode(sys.stderr.encoding or "utf-8", "replace") + "\n"
        )
        sys.stderr.flush()


def _without_secrets(text: str) -> str:
    """Take out what this run has looked up in the box of secrets; nothing is loaded for it."""
    box = sys.modules.get("madang.workspace._secrets")
    return text if box is None else str(box.conceal(text))


def _write_stdout(payload: bytes) -> None:
    if sys.stdout is None:
        raise _cannot_write(Path("-"), os.strerror(errno.EBADF))
    try:
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(Path("-"), error.strerror or str(error)) from error


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file so that a reader sees all of it or the former one; what is no plain file (a pipe, a device) is written to.

    Raises:
        UsageError: The folder does not exist or cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(payload)
            return
        beside.write_bytes(payload)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise _cannot_write(path, error.strerror or str(error)) from error


def _cannot_write(path: Path, why: str) -> UsageError:
    return UsageError(
        "cannot_write",
        ko=f"{path} 에 쓸 수 없어요: {why}",
        en=f"Cannot write {path}: {why}",
        next_ko="있는 폴더 안의 쓸 수 있는 파일 이름을 주세요.",
        next_en="Name a file in a folder that exists and can be written.",
        where={"path": str(path)},
    )
