"""A worker that answers at once (or never, for a budget of 600 s): ``python pretend_worker.py FOLDER``."""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.console.documents import INTAKE, study_document


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    draft = json.loads((folder / "draft.json").read_text(encoding="utf-8"))
    if draft["budget"] == 600:
        line = {"ko": "나무 모델을 견주는 중", "en": "Trying boosted trees", "share": 0.4}
        (folder / "progress.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
        time.sleep(600)
    if any(name.endswith(".exe") for name in job["files"]):
        error = {
            "schema": "error/1", "code": "unreadable_file", "message_ko": "읽을 수 있는 표가 아니에요.", "message_en": "It is not a table that can be read.",
            "next_ko": "CSV나 엑셀로 내보내 주세요.", "next_en": "Export it as CSV or Excel.", "where": {},
        }  # fmt: skip
        (folder / "error.json").write_text(json.dumps(error, ensure_ascii=False), encoding="utf-8")
        sys.exit(3)
    name, document = ("intake.json", INTAKE) if job["what"] == "reading" else ("study.json", study_document())
    (folder / name).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
