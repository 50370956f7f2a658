"""From arguments to an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from madang.cli._face import Face, language_of
from madang.errors import MadangError


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
    except Exception as error:
        return face.fault(error)
