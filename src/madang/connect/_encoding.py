"""Which encoding a text is in: byte order mark, strict UTF-8, then Korean against Western letters by what the letters say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from madang.errors import InputError

_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x0b\x1a\x1b\x08")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_UTF8_HANGUL = re.compile(rb"[\xea-\xed][\x80-\xbf][\x80-\xbf]")
_UTF8_PAIR = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_WESTERN = frozenset("ÄÖÜäöüßéèêëàâáåãçñòóôõøœæùûúýÿîïíìÉÈÊËÀÂÁÅÃÇÑÒÓÔÕØŒÆÙÛÚÝÎÏÍÌ°µ²³¹§´·«»±×÷€–—„“”‚‘’…¼½¾¢£¥©®ºª¿¡")


@dataclass(frozen=True)
class FoundEncoding:
    """How a file's bytes become text."""

    name: str
    """Python codec name."""
    bom: int = 0
    """Length of the byte order mark [bytes]."""
    sure: bool = True
    """False when only statistics of letters decided."""


def find_encoding(samples: Sequence[bytes]) -> FoundEncoding:
    """Say how a file's bytes become text.

    Args:
        samples: Runs of bytes; the first starts at the beginning of the file, later ones may start inside a character.

    Raises:
        InputError: The bytes are no text.
    """
    head = samples[0]
    marked = _marked(head)
    if marked is not None:
        return marked
    wide = _utf16_without_mark(head)
    if wide is not None:
        return wide
    everything = b"\n".join([head, *(_whole_lines(part) for part in samples[1:])])
    _refuse_binary(everything)
    body = _whole_lines(everything, start=False)
    if not any(byte > 0x7F for byte in set(body)):
        return FoundEncoding("utf-8")
    lines = [line for line in body.split(b"\n") if _HIGH_RUN.search(line)]
    votes = {"utf-8": 0, "cp949": 0, "western": 0, "other": 0}
    for line in lines[:4000]:
        votes[_line_vote(line)] += 1
    best = max(votes, key=lambda word: votes[word])
    if votes["utf-8"] and votes["utf-8"] >= votes["cp949"] + votes["western"]:
        return FoundEncoding("utf-8")
    if best == "cp949" or (best == "utf-8" and votes["cp949"] > votes["western"]):
        return FoundEncoding("cp949", sure=votes["western"] == 0)
    if best == "western":
        return FoundEncoding(_western_name(body), sure=False)
    return _by_statistics(body)


def _marked(head: bytes) -> FoundEncoding | None:
    if head.startswith(b"\xef\xbb\xbf"):
        return FoundEncoding("utf-8-sig", 3)
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return FoundEncoding("utf-32", 4)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FoundEncoding("utf-16", 2)
    return None


def _utf16_without_mark(head: bytes) -> FoundEncoding | None:
    pairs = head[: len(head) // 2 * 2]
    if len(pairs) < 8:
        return None
    even, odd = pairs[0::2], pairs[1::2]
    # Digits, separators and line ends of a table are ASCII, so half of their UTF-16 bytes are zero.
    if odd.count(0) > 0.3 * len(odd) and even.count(0) < 0.02 * len(even):
        return FoundEncoding("utf-16")
    if even.count(0) > 0.3 * len(even) and odd.count(0) < 0.02 * len(odd):
        return FoundEncoding("utf-16-be")
    return None


def _whole_lines(part: bytes, start: bool = True) -> bytes:
    """Drop the broken line at the end, and at the start of a run that begins inside the file."""
    first = part.find(b"\n") + 1 if start else 0
    last = part.rfind(b"\n")
    return part[first:last] if last > first else part


def _refuse_binary(data: bytes) -> None:
    if not data:
        return
    odd = sum(data.count(bytes([byte])) for byte in range(32) if byte not in _TEXT_CONTROLS)
    if odd > 0.01 * len(data) + 1:
        raise InputError(
            "not_text",
            ko="글자로 된 표가 아니라 이진(바이너리) 파일이에요.",
            en="This is a binary file, not a table of text.",
            next_ko="설비나 시스템에서 CSV, 엑셀, Parquet 같은 표 형식으로 다시 내보내 주세요.",
            next_en="Export the data again as CSV, a workbook, Parquet or another table format.",
        )


def _line_vote(line: bytes) -> str:
    if _is_utf8(line):
        return "utf-8"
    korean, western, other = 0, 0, 0
    for found in _HIGH_RUN.finditer(line):
        run = found.group()
        after = line[found.end() : found.end() + 1]
        ko, we = _run_scores(run, after)
        korean += ko
        western += we
        other += len(run) - max(ko, we)
    if korean > western and _decodes(line, "cp949"):
        return "cp949"
    if western > other:
        return "western"
    return "cp949" if korean else "other"


def _run_scores(run: bytes, after: bytes) -> tuple[int, int]:
    """Return how many bytes of a run of high bytes speak for Korean and how many for Western letters."""
    korean = 0
    if len(run) % 2 == 0:
        try:
            korean = 2 * sum(_korean_sign(sign) for sign in run.decode("cp949"))
        except UnicodeDecodeError:
            korean = 0
    elif after[:1].isalpha():
        # A syllable outside KS X 1001 ends in an ASCII letter; it is Korean only beside ordinary syllables.
        try:
            korean = 2 * sum(_korean_sign(sign) for sign in (run + after).decode("cp949")) if len(run) > 1 else 0
        except UnicodeDecodeError:
            korean = 0
    western = sum(sign in _WESTERN for sign in run.decode("cp1252", "replace"))
    # Western words have one or two accented letters in a row; a run that is wholly Korean is not four of them.
    if len(run) > 3 or (korean == len(run) and western < len(run)):
        western = min(western, korean // 2)
    if korean == len(run) == 2 and western == 2:
        sign = run.decode("cp949")
        plainly = "가" <= sign <= "힣" or "\u2100" <= sign <= "\u214f" or "\u3380" <= sign <= "\u33ff"
        return (2, 1) if plainly else (1, 2)
    return korean, western


def _korean_sign(sign: str) -> bool:
    code = ord(sign)
    return (
        0xAC00 <= code <= 0xD7A3
        or 0x3130 <= code <= 0x318F
        or 0x3200 <= code <= 0x33FF
        or 0x2000 <= code <= 0x26FF
        or 0xFF00 <= code <= 0xFFEF
        or 0x0391 <= code <= 0x03C9
        or 0x3000 <= code <= 0x303F
        or sign in "°±²³×÷·¹½¼¾¶§"
    )


def _is_utf8(line: bytes) -> bool:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    # A single Korean pair such as C2 B0 is also valid UTF-8; three-byte signs or Western letters are proof.
    return bool(_UTF8_HANGUL.search(line)) or all(sign in _WESTERN or ord(sign) > 0x7FF for sign in text if ord(sign) > 0x7F)


def _decodes(data: bytes, codec: str) -> bool:
    try:
        data.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def _western_name(body: bytes) -> str:
    if re.search(rb"[\x80-\x9f]", body) and _decodes(body, "cp1252"):
        return "cp1252"
    return "latin-1"


def _by_statistics(body: bytes) -> FoundEncoding:
    if _decodes(body, "utf-8"):
        return FoundEncoding("utf-8")
    from charset_normalizer import from_bytes

    best = from_bytes(body[: 1 << 18]).best()
    if best is None:
        return FoundEncoding("cp949" if _decodes(body, "cp949") else _western_name(body), sure=False)
    name = {"euc_kr": "cp949", "johab": "cp949", "cp1250": "cp1252"}.get(best.encoding, best.encoding)
    return FoundEncoding(name, sure=False)


def decode_line(line: bytes, encoding: str) -> tuple[str, str]:
    """Decode one line that its file's encoding may not fit, and say which encoding did.

    Latin-1 reads anything, so the result never holds a replacement sign that was not in the file.
    """
    vote = _line_vote(line) if _HIGH_RUN.search(line) else encoding
    order = {"utf-8": ["utf-8"], "cp949": ["cp949"], "western": ["cp1252", "latin-1"]}.get(vote, [])
    for name in [*order, encoding, "cp949", "cp1252", "latin-1"]:
        if _decodes(line, name):
            return line.decode(name), name
    raise AssertionError("latin-1 reads any byte")


def strangers(data: bytes, encoding: str) -> bool:
    """Whether a run of bytes holds lines that are plainly in UTF-8 although the file's encoding reads them too."""
    if encoding == "cp949":
        return _UTF8_HANGUL.search(data) is not None
    if encoding in ("latin-1", "cp1252"):
        return _UTF8_PAIR.search(data) is not None
    return False
