"""From arguments to an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from madang.cli._face import Face, language_of
from madang.errors import MadangError, MissingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Arguments without the program's name; the process's own when None.

    Returns:
        The exit code: 0 done, 1 a fault of Madang, 2 used wrongly, 3 input, 4 refused, 5 check failed, 6 missing.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    face = Face(language=language_of(given, os.environ))
    # Imported here so that a face can speak of an import that fails.
    from madang.cli._app import make_app, run_app

    try:
        return run_app(make_app(face), given, face)
    except MadangError as error:
        return face.fail(error)
    except KeyboardInterrupt:
        face.say(face.text("멈췄어요. 반쯤 쓰인 것은 남지 않아요.", "Stopped; nothing half-written is left behind."))
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        lacking = _of_this_computer(error)
        return face.fault(error) if lacking is None else face.fail(lacking)
    except Exception as error:
        return face.fault(error)


def _of_this_computer(error: OSError) -> MissingError | None:
    """What the computer, not Madang, could not do: no room left, or no right to write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MissingError(
            "no_room",
            ko="디스크가 가득 차서 멈췄어요. 반쯤 쓰인 것은 남지 않아요.",
            en="The disk is full, so it stopped; nothing half-written is left behind.",
            next_ko="자리를 비운 뒤 같은 명령을 다시 하세요.",
            next_en="Free some room and give the same command again.",
            where={"path": str(error.filename or "")},
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MissingError(
            "no_right",
            ko=f"읽거나 쓸 권한이 없어요: {error.filename or ''}",
            en=f"There is no right to read or write {error.filename or 'a file'}.",
            next_ko="권한을 얻거나 --workspace 로 쓸 수 있는 폴더를 주세요.",
            next_en="Get the right, or give a folder that can be written with --workspace.",
            where={"path": str(error.filename or "")},
        )
    return None
