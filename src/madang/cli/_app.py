"""The tree of verbs. Annotations are evaluated here (no postponed evaluation): the help texts are in them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from madang import __version__
from madang.cli._face import Face
from madang.errors import UsageError


def make_app(face: Face) -> typer.Typer:
    """Build the command tree in the reader's language.

    Args:
        face: The run that the verbs speak through.
    """
    t = face.text
    app = typer.Typer(
        name="madang",
        help=t(
            "마당: 흩어진 공장 데이터를 믿을 수 있는 판단으로 바꿔요.",
            "Madang turns a plant's fragmented data into a verdict that holds.",
        ),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(value: bool) -> None:
        if value:
            typer.echo(f"madang {__version__}")
            raise typer.Exit

    @app.callback()
    def root(
        workspace: Annotated[
            Path | None,
            typer.Option(
                help=t(
                    "작업 공간 폴더. 없으면 만들어요. 기본값: $MADANG_WORKSPACE, 그다음 ./madang-workspace",
                    "Workspace folder, made when missing. Default: $MADANG_WORKSPACE, else ./madang-workspace",
                )
            ),
        ] = None,
        lang: Annotated[str | None, typer.Option(help=t("화면 언어: ko 또는 en", "Language: ko or en"))] = None,
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help=t("버전을 보여줘요", "Show the version"))
        ] = False,
    ) -> None:
        del version
        if lang not in (None, "ko", "en"):
            raise typer.BadParameter(t(f"{lang}: ko 또는 en만 돼요", f"{lang}: only ko or en"), param_hint="--lang")
        face.workspace = workspace or Path(os.environ.get("MADANG_WORKSPACE") or "madang-workspace")

    from madang.cli import _verbs_connect, _verbs_data, _verbs_people, _verbs_study, _verbs_system, _verbs_twin

    _verbs_data.add(app, face)
    _verbs_connect.add(app, face)
    _verbs_people.add(app, face)
    _verbs_study.add(app, face)
    _verbs_system.add(app, face)
    _verbs_twin.add(app, face)
    return app


def run_app(app: typer.Typer, arguments: Sequence[str], face: Face) -> int:
    """Run the tree on arguments and return the exit code."""
    try:
        result = get_command(app).main(args=_global_options_first(arguments), prog_name="madang", standalone_mode=False)
    except TyperException as error:
        if face.language == "ko":
            face.say("명령을 잘못 썼어요. 쓰는 법은 --help로 볼 수 있어요.")
        show = getattr(error, "show", None)
        if show is None:
            face.say(error.format_message())
        else:
            show()
        return UsageError.exit_code
    return result if isinstance(result, int) and result else face.exit_code


def _global_options_first(arguments: Sequence[str]) -> list[str]:
    """Move ``--workspace`` and ``--lang`` before the verb, so that they may stand anywhere."""
    first: list[str] = []
    rest: list[str] = []
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument == "--":
            rest += [argument, *queue]
            break
        if argument in ("--workspace", "--lang"):
            first += [argument, *queue[:1]]
            del queue[:1]
        elif argument.startswith(("--workspace=", "--lang=")):
            first.append(argument)
        else:
            rest.append(argument)
    return first + rest
