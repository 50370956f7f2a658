"""Verbs that learn and predict: study, predict."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from madang.cli._face import Face


def add(app: typer.Typer, face: Face) -> None:
    """Add the verbs to the tree."""
    t = face.text
    json_help = t("보고서를 쓸 JSON 파일 (-는 표준 출력)", "JSON file for the report (- is standard output)")
    quiet_help = t("사람에게 하는 말을 줄여요", "Say nothing to people")
    tasks = Literal["auto", "regression", "classification", "forecast", "fault", "life", "inspect", "energy"]

    @app.command(
        help=t(
            "파일을 읽고, 처음 보는 데이터에서도 맞는 판단을 내려요.",
            "Read files and come to a verdict that holds on unseen data.",
        )
    )
    def study(
        paths: Annotated[
            list[Path], typer.Argument(help=t("파일, 폴더, 데이터셋 이름", "Files, folders, names of datasets in the library"))
        ],
        task: Annotated[tasks, typer.Option(help=t("무엇을 할까요", "What to do"))] = "auto",
        target: Annotated[
            str | None,
            typer.Option(help=t("알고 싶은 품질 열 (여러 열이면 쉼표로)", "Column to predict (one-hot columns: with commas)")),
        ] = None,
        time: Annotated[str | None, typer.Option(help=t("시각 열", "Time column"))] = None,
        group: Annotated[
            str | None,
            typer.Option(help=t("함께 두어야 할 묶음 열 (쉼표로)", "Columns whose rows stay together (with commas)")),
        ] = None,
        lot: Annotated[str | None, typer.Option(help=t("로트 열", "Lot column"))] = None,
        order: Annotated[str | None, typer.Option(help=t("순서를 말해주는 열", "Column that gives the order"))] = None,
        exclude: Annotated[
            str | None, typer.Option(help=t("쓰지 않을 열 (쉼표로)", "Columns not to use (with commas)"))
        ] = None,
        horizon: Annotated[
            str | None, typer.Option(help=t("얼마나 앞을 볼까요: 1h, 15min, 3rows", "How far ahead: 1h, 15min, 3rows"))
        ] = None,
        lab_delay: Annotated[
            str | None, typer.Option(help=t("결과가 늦게 오는 정도: 8h, 24rows", "How late results return: 8h, 24rows"))
        ] = None,
        train_rows: Annotated[
            str | None,
            typer.Option(help=t("파일마다 학습에 쓸 데이터 행 A:B", "Data rows A:B of each file that training may see")),
        ] = None,
        normal: Annotated[Path | None, typer.Option(help=t("정상일 때의 데이터", "Fault-free data to fit on"))] = None,
        calibrate: Annotated[
            Path | None, typer.Option(help=t("한계를 정할 다른 정상 데이터", "Other fault-free data, for the limits"))
        ] = None,
        labels: Annotated[
            Path | None, typer.Option(help=t("그림의 표지 파일 (source,label)", "Labels of images: CSV source,label"))
        ] = None,
        goal: Annotated[str | None, typer.Option(help=t("바라는 것을 한 문장으로", "The goal in one sentence"))] = None,
        money: Annotated[
            list[str] | None,
            typer.Option(
                help=t("이름=최소:보통:최대, 값어치 계산용 (여러 번)", "NAME=LOW:LIKELY:HIGH, for the worth (may be repeated)")
            ),
        ] = None,
        budget: Annotated[str, typer.Option(help=t("계산에 쓸 시간: 30s, 1m", "Time to spend: 30s, 1m"))] = "1m",
        seed: Annotated[int, typer.Option(help=t("되풀이하기 위한 씨앗값", "Seed, for the same result again"))] = 0,
        save: Annotated[str | None, typer.Option(help=t("저장할 모델 이름", "Name to save the model under"))] = None,
        zone: Annotated[
            str | None, typer.Option(help=t("시간대가 없는 시각의 시간대", "Zone of times that do not say theirs"))
        ] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        html: Annotated[Path | None, typer.Option(help=t("인쇄할 수 있는 HTML 보고서", "Printable HTML report"))] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._study import StudyArguments, run_study

        face.hand_out(json, quiet)
        run_study(
            face,
            paths,
            StudyArguments(
                task=task,
                target=target,
                time=time,
                group=group,
                lot=lot,
                order=order,
                exclude=exclude,
                horizon=horizon,
                lab_delay=lab_delay,
                train_rows=train_rows,
                goal=goal,
                money=tuple(money or ()),
                budget=budget,
                seed=seed,
                save=save,
                normal=normal,
                calibrate=calibrate,
                labels=labels,
            ),
            zone=zone,
            html=html,
        )

    @app.command(help=t("저장한 모델로 새 파일의 모든 행을 예측해요.", "Answer every record of new files with a saved model."))
    def predict(
        name: Annotated[str, typer.Argument(help=t("모델 이름", "Name of the saved model"))],
        paths: Annotated[list[Path], typer.Argument(help=t("같은 종류의 새 파일", "New files of the same kind"))],
        out: Annotated[Path, typer.Option(help=t("예측을 쓸 CSV", "CSV for the predictions"))],
        boxes: Annotated[Path | None, typer.Option(help=t("그림 속 위치를 쓸 CSV", "CSV for places in images"))] = None,
        json: Annotated[str | None, typer.Option("--json", help=json_help)] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help=quiet_help)] = False,
    ) -> None:
        from madang.cli._study import run_predict

        face.hand_out(json, quiet)
        run_predict(face, name, paths, out=out, boxes=boxes)
