"""Verbs about data: intake and the library's own."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from madang.cli._face import Face


def add(app: typer.Typer, face: Face) -> None:
    """Add the verbs to the tree."""
    t = face.text
    json_help = t("보고서를 쓸 JSON 파일 (-는 표준 출력)", "JSON file for the report (- is standard output)")
    quiet_help = t("사람에게 하는 말을 줄여요", "Say nothing to people")
    dataset_help = t("데이터셋 또는 데이터셋@버전", "Dataset, or dataset@version")
    every_help = t("신호를 나란히 놓을 간격: 1min, 10s (없으면 데이터에서 찾아요)", "Period of signals side by side: 1min, 10s")
    from_help = t("시작 시각 (포함): 2026-05-04T00:00", "First instant, included: 2026-05-04T00:00")
    to_help = t("끝 시각 (제외)", "Instant after the last")

    @app.command(
        help=t(
            "파일을 읽어 라이브러리에 넣고, 무엇을 어떻게 읽었는지 말해요.",
            "Read files into the library and say what was read, and how.",
        )
    )
    def intake(
        paths: Annotated[list[Path], typer.Argument(help=t("파일이나 폴더", "Files or folders"))],
        dataset: Annotated[str | None, typer.Option(help=t("넣을 데이터셋 이름", "Dataset to put them in"))] = None,
        zone: Annotated[
            str | None, typer.Option(help=t("시간대가 없는 시각의 시간대", "Zone of times that do not say theirs"))
        ] = None,
        strict: Annotated[
            bool,
            typer.Option(
                "--strict",
                help=t(
                    "경고나 중지로 알릴 점이나 읽지 못한 파일이 하나라도 있으면 아무것도 넣지 않아요 (코드 5)",
                    "Store nothing when any warning or stop finding exists or a file cannot be read (exit 5)",
                ),
            ),
        ] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_intake

        face.hand_out(json, quiet)
        run_intake(face, paths, dataset=dataset, zone=zone, strict=strict)

    library = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help=t("라이브러리의 데이터를 찾고, 보고, 내보내요.", "Find, see and take out what the library holds."),
    )
    app.add_typer(library, name="library")

    @library.command("list", help=t("데이터셋 목록", "List the datasets"))
    def list_(
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_list

        face.hand_out(json, quiet)
        run_list(face)

    @library.command(help=t("데이터셋 명세서", "Show the card of a dataset"))
    def card(
        dataset: Annotated[str, typer.Argument(help=dataset_help)],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_card

        face.hand_out(json, quiet)
        run_card(face, dataset)

    @library.command(help=t("한국어나 영어로 찾아요", "Search in Korean or English"))
    def search(
        words: Annotated[list[str], typer.Argument(help=t("찾을 말", "Words to look for"))],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_search

        face.hand_out(json, quiet)
        run_search(face, " ".join(words))

    @library.command(help=t("읽을 때 내린 결정 하나를 되돌려요", "Undo one reading decision"))
    def undo(
        step: Annotated[str, typer.Argument(help=t("되돌릴 결정의 번호 (undo)", "Id of the decision, as the report gives it"))],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_undo

        face.hand_out(json, quiet)
        run_undo(face, step)

    @library.command(help=t("되돌린 결정을 다시 해요", "Make an undone decision again"))
    def redo(
        step: Annotated[str, typer.Argument(help=t("되돌렸던 결정의 번호", "Id of the decision that was undone"))],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_redo

        face.hand_out(json, quiet)
        run_redo(face, step)

    @library.command(help=t("사람이 아는 것을 명세서에 적어요", "Write what people know on the card"))
    def describe(
        dataset: Annotated[str, typer.Argument(help=t("데이터셋", "Dataset"))],
        process: Annotated[str | None, typer.Option(help=t("공정", "Process"))] = None,
        equipment: Annotated[str | None, typer.Option(help=t("설비", "Equipment"))] = None,
        licence: Annotated[str | None, typer.Option(help=t("이용 조건", "Licence"))] = None,
        owner: Annotated[str | None, typer.Option(help=t("담당 부서나 소유자", "Who owns the data"))] = None,
        importance: Annotated[str | None, typer.Option(help=t("중요도", "Importance"))] = None,
        description: Annotated[str | None, typer.Option(help=t("설명", "Description"))] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_describe

        face.hand_out(json, quiet)
        facts = {"process": process, "equipment": equipment, "licence": licence, "owner": owner}
        run_describe(face, dataset, {**facts, "importance": importance, "description": description})

    @library.command(help=t("데이터를 파일로 내보내요", "Write a dataset to a file"))
    def export(
        dataset: Annotated[str, typer.Argument(help=dataset_help)],
        out: Annotated[Path, typer.Option(help=t("쓸 파일: .csv .parquet .jsonl", "File to write: .csv .parquet .jsonl"))],
        form: Annotated[Literal["wide", "long", "source"], typer.Option(help=t("모양", "Shape"))] = "wide",
        units: Annotated[
            Literal["unit", "source"], typer.Option(help=t("단위: 표준 또는 원본", "Units: standard or as in the source"))
        ] = "unit",
        columns: Annotated[str | None, typer.Option(help=t("쓸 열 (쉼표로)", "Columns to write (with commas)"))] = None,
        every: Annotated[str | None, typer.Option(help=every_help)] = None,
        start: Annotated[str | None, typer.Option("--from", help=from_help)] = None,
        end: Annotated[str | None, typer.Option("--to", help=to_help)] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_export

        face.hand_out(json, quiet)
        run_export(face, dataset, out=out, form=form, units=units, columns=columns, every=every, start=start, end=end)

    @library.command(
        help=t(
            "신호 데이터셋의 한 기간을 같은 시각끼리 나란히 놓아 기록 데이터셋으로 남겨요 (연구에 쓸 수 있어요).",
            "Keep a stretch of signals side by side on one clock as a dataset of records, so that studies run on it.",
        )
    )
    def snapshot(
        dataset: Annotated[str, typer.Argument(help=dataset_help)],
        name: Annotated[str, typer.Option("--as", help=t("쓸 데이터셋 이름", "Dataset to write"))],
        every: Annotated[str | None, typer.Option(help=every_help)] = None,
        start: Annotated[str | None, typer.Option("--from", help=from_help)] = None,
        end: Annotated[str | None, typer.Option("--to", help=to_help)] = None,
        points: Annotated[str | None, typer.Option(help=t("포인트 (쉼표로)", "Points (with commas)"))] = None,
        how: Annotated[
            Literal["auto", "mean", "last", "held"],
            typer.Option(
                help=t(
                    "값을 모으는 법: mean 평균, last 그 안의 마지막, held 끝에서 유지되던 값",
                    "How values are gathered: mean, last in it, or held at its end",
                )
            ),
        ] = "auto",
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_snapshot

        face.hand_out(json, quiet)
        run_snapshot(face, dataset, name, every=every, start=start, end=end, points=points, how=how)

    @library.command(help=t("두 데이터셋을 로트·일련번호·시각으로 이어요", "Join two datasets by lot, serial or time"))
    def join(
        left: Annotated[str, typer.Option(help=dataset_help)],
        right: Annotated[str, typer.Option(help=dataset_help)],
        out: Annotated[Path, typer.Option(help=t("쓸 파일: .csv .parquet .jsonl", "File to write: .csv .parquet .jsonl"))],
        by: Annotated[
            str | None, typer.Option(help=t("lot, serial, time 또는 열 이름", "lot, serial, time, or a column"))
        ] = None,
        tolerance: Annotated[str | None, typer.Option(help=t("허용하는 시간 차: 10m", "How far apart in time: 10m"))] = None,
        delay: Annotated[
            str | None,
            typer.Option(
                help=t("옮겨지는 시간: 왼쪽 시각보다 30m 앞선 값과 이어요", "Transport delay: join what was 30m before")
            ),
        ] = None,
        windows: Annotated[
            str | None, typer.Option(help=t("로트 시작과 끝이 있는 데이터셋", "Dataset with lot starts and ends"))
        ] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_join

        face.hand_out(json, quiet)
        run_join(face, left, right, out=out, by=by, tolerance=tolerance, delay=delay, windows=windows)

    @library.command("map", help=t("열의 뜻과 단위를 확인해요", "Review what the columns mean"))
    def map_(
        review: Annotated[
            bool, typer.Option("--review", help=t("확인을 기다리는 열만 보여줘요", "Show what waits for a person"))
        ] = False,
        dataset: Annotated[str | None, typer.Option(help=dataset_help)] = None,
        column: Annotated[str | None, typer.Option(help=t("정할 열", "Column to decide on"))] = None,
        accept: Annotated[bool, typer.Option("--accept", help=t("제안대로 받아들여요", "Accept the proposal"))] = False,
        reject: Annotated[
            bool, typer.Option("--reject", help=t("제안이 틀렸다고 해요. 모르는 열이 돼요", "Say the proposal is wrong"))
        ] = False,
        kind: Annotated[str | None, typer.Option(help=t("물리량 종류", "Kind of quantity"))] = None,
        unit: Annotated[str | None, typer.Option(help=t("단위 (UCUM)", "Unit (UCUM)"))] = None,
        role: Annotated[str | None, typer.Option(help=t("역할", "Role"))] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_decision, run_review

        face.hand_out(json, quiet)
        corrected = bool(kind or unit or role)
        if not (accept or reject or corrected or column):
            run_review(face, dataset)
        elif review or accept + reject > 1 or (reject and corrected) or not (accept or reject or corrected):
            raise typer.BadParameter(
                t(
                    "--review 하나만 쓰거나, --dataset 과 --column 에 --accept 나 --reject 가운데 하나를 더해 주세요",
                    "give --review alone, or --dataset and --column with one of --accept and --reject",
                )
            )
        elif dataset is None or column is None:
            raise typer.BadParameter(t("--dataset 과 --column 이 필요해요", "--dataset and --column are needed"))
        else:
            run_decision(face, dataset, column, accept=not reject, kind=kind, unit=unit, role=role)

    @library.command(help=t("읽지 못해 따로 둔 행을 보여줘요", "Show the records that could not be read"))
    def quarantine(
        dataset: Annotated[str, typer.Argument(help=dataset_help)],
        replay: Annotated[
            bool, typer.Option("--replay", help=t("지금의 규칙으로 다시 읽어요", "Read them again with today's rules"))
        ] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_quarantine

        face.hand_out(json, quiet)
        run_quarantine(face, dataset, replay=replay)

    @library.command(
        help=t(
            "데이터셋의 작은 파일들을 모아요. 옛 버전은 그대로 읽혀요",
            "Gather the small files of a dataset; older versions stay readable",
        )
    )
    def compact(
        dataset: Annotated[str, typer.Argument(help=dataset_help)],
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_compact

        face.hand_out(json, quiet)
        run_compact(face, dataset)

    @library.command(
        help=t(
            "지금 재어 본 바이트로, 다달이 오는 원시 데이터가 차지할 크기를 내다봐요",
            "Forecast what a month of raw samples will take, from the bytes per sample measured here",
        )
    )
    def forecast(
        raw_tb: Annotated[
            float,
            typer.Option(
                "--raw-tb", help=t("한 달 원시 데이터 [TB, 값 하나 16바이트]", "Raw samples a month [TB, 16 bytes each]")
            ),
        ] = 30.0,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_forecast

        face.hand_out(json, quiet)
        run_forecast(face, raw_tb)

    @library.command(
        help=t(
            "보관 규칙을 신호에 적용해요. --apply 가 없으면 무엇이 바뀔지 말하기만 해요",
            "Apply the rules of retention to signals; without --apply only say what would change",
        )
    )
    def retain(
        dataset: Annotated[
            str | None, typer.Argument(help=t("신호 데이터셋 (없으면 모두)", "Signals dataset; all without it"))
        ] = None,
        keep_days: Annotated[
            int,
            typer.Option(
                "--keep-days", min=0, help=t("옛 버전을 다시 읽을 수 있는 날수", "Days for which older versions stay readable")
            ),
        ] = 7,
        apply: Annotated[bool, typer.Option("--apply", help=t("정말로 적용해요", "Really do it"))] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_retain

        face.hand_out(json, quiet)
        run_retain(face, dataset, keep_days, apply=apply)

    @library.command(
        help=t(
            "보관소로 보낸 신호를 다시 읽을 수 있게 되돌려요",
            "Bring signals back from the archive, so that they can be read again",
        )
    )
    def restore(
        dataset: Annotated[str, typer.Argument(help=t("신호 데이터셋", "Signals dataset"))],
        start: Annotated[str | None, typer.Option("--from", help=from_help)] = None,
        end: Annotated[str | None, typer.Option("--to", help=to_help)] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help=t("무엇이 돌아올지 말하기만 해요", "Only say what would come back"))
        ] = False,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._data import run_restore

        face.hand_out(json, quiet)
        run_restore(face, dataset, start, end, dry_run=dry_run)
