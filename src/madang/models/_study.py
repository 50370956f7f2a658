"""A study: from tables that were read to candidates that were judged, a model that is saved, and a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from madang.errors import InputError, Json
from madang.library import ReadResult
from madang.models._assemble import frame_of
from madang.models._assemble_names import find_name, source_names
from madang.models._candidates import Learner, RuleList
from madang.models._evidence import Findings, causes_of, drift_of, leaks_of, order_test, verdict_of, worth_of
from madang.models._features import Builder
from madang.models._feedback import Feedback
from madang.models._frame import FloatArray, Frame, IntArray
from madang.models._history import look
from madang.models._intervals import NOMINAL, Band, calibrate, sets_threshold
from madang.models._judge import Judge
from madang.models._leaks import assign_availability, dropped_columns
from madang.models._model import ModelColumn, SavedModel
from madang.models._predict_joined import joined_facts
from madang.models._protocol import Fold, Protocol
from madang.models._protocol_of import gap_rows, protocol_of
from madang.models._race import Arena, Run, Spec, run_fold, specs_for, standing_still, take
from madang.models._recipes import forecast_recipes, row_recipes
from madang.models._setting import Setting, inputs_of, settle
from madang.models._words import CandidateResult, Cause, Drift, LeakFinding, Metric, Score, StudyRequest, Verdict, Worth
from madang.plant import Bilingual

Progress = Callable[[Bilingual, float], None]
SIMPLE = frozenset({"constant", "persistence", "seasonal", "rules", "spc_limit"})
BASELINES = frozenset({"constant", "persistence", "seasonal"})


@dataclass(frozen=True)
class Study:
    """What a study found; `document` is the report, `model` predicts new files."""

    name: str
    setting: Setting
    request: StudyRequest
    data: tuple[tuple[str, int], ...]
    rows_used: int
    protocol: Protocol
    metric: Metric
    candidates: tuple[CandidateResult, ...]
    chosen: str | None
    scores: dict[str, dict[str, dict[str, Score]]]
    """Further metrics by candidate, by part (folds, last_block), by name."""
    leak_random: float | None
    leak_blocked: float | None
    leaks: tuple[LeakFinding, ...]
    coverage: float | None
    mean_width: float | None
    interval_text: Bilingual | None
    drift: Drift
    folds_outside: tuple[dict[str, Json], ...]
    """For each judged block, the inputs that left the range its fold had learned from."""
    causes: tuple[Cause, ...]
    look_at: tuple[Json, ...]
    worth: Worth | None
    verdict: Verdict
    rule: str | None
    cost_curve: tuple[dict[str, float], ...]
    frame_facts: dict[str, Json]
    fold_rows: tuple[tuple[list[int], list[int]], ...]
    last_rows: list[int]
    model: SavedModel | None
    seconds: float
    series: dict[str, Json] = field(default_factory=dict)
    """The last block for a chart: times or rows, results, predictions, intervals."""

    def document(self) -> dict[str, Json]:
        """Return the report as ``study/1`` (without the envelope that a face adds)."""
        from madang.models._report import study_document

        return study_document(self)


def study(
    reads: Sequence[ReadResult], request: StudyRequest, *, progress: Callable[[Bilingual, float], None] | None = None
) -> Study:
    """Study tables of the library and come to a verdict.

    Args:
        reads: What the library gave, one for each dataset.
        request: What a person asked; the rest is found out.
        progress: Told what is being done, and which share of the work is done.

    Raises:
        InputError: There is nothing to learn from, a name fits no column, or no target can be found.
        UsageError: The request contradicts itself.
    """
    begun = time.perf_counter()
    tell: Progress = progress or (lambda what, share: None)
    tell(Bilingual("표를 모으고 있어요", "Assembling the table"), 0.02)
    request, family = _family(reads, request)
    raw = _assembled(reads, request)
    frame, setting = settle(raw, request, family)
    by_time = setting.timing is not None and setting.timing.timed
    order = None if by_time else order_test(frame, setting, request.seed)
    if order is not None and setting.ordered and order.sorted and request.order is None and request.train_rows is None:
        # Rows that were sorted by their result are in no order of making.
        setting = replace(setting, timing=None, order_reason=order.evidence)
    frame = assign_availability(frame, setting.target, setting.task)
    protocol = protocol_of(frame, setting, request, order.evidence if order is not None and not setting.ordered else None)
    tell(Bilingual("새는 정보가 있는지 보고 있어요", "Looking for leaks"), 0.06)
    learn = np.sort(protocol.final.train)
    leaks = leaks_of(frame, setting, learn, horizon_rows=_horizon_rows(setting), seed=request.seed)
    work = _Work(frame, setting, request, protocol, leaks, tell)
    return work.done(reads, raw, begun)


def _family(reads: Sequence[ReadResult], request: StudyRequest) -> tuple[StudyRequest, tuple[str, ...]]:
    """Take apart a target that names several columns."""
    if request.target is None or "," not in request.target or not reads:
        return request, ()
    names = source_names(card for read in reads for card in read.columns)
    if request.target in names:
        return request, ()
    parts = tuple(find_name(p.strip(), names, "target") for p in request.target.split(",") if p.strip())
    return replace(request, target=None if len(parts) > 1 else parts[0]), parts if len(parts) > 1 else ()


def _assembled(reads: Sequence[ReadResult], request: StudyRequest) -> Frame:
    if not reads:
        raise InputError(
            "nothing_to_learn", ko="읽은 표가 없어요.", en="No table was read.",
            next_ko="데이터 파일을 주세요.", next_en="Give files that hold data.",
        )  # fmt: skip
    if len(reads) == 1:
        return frame_of(reads[0], request)
    from madang.models._assemble import assemble  # type: ignore[attr-defined, unused-ignore]

    made: Frame = assemble(reads, request)
    return made


def _horizon_rows(setting: Setting) -> int:
    if setting.task != "forecast" or setting.timing is None:
        return 0
    return max(1, round(setting.timing.length(setting.timing.horizon) / setting.timing.step))


class _Work:
    """One study under way: what was decided, then what was measured, step by step."""

    def __init__(
        self,
        frame: Frame,
        setting: Setting,
        request: StudyRequest,
        protocol: Protocol,
        leaks: tuple[LeakFinding, ...],
        tell: Progress,
    ) -> None:
        self.frame, self.setting, self.request, self.protocol, self.leaks, self.tell = (
            frame,
            setting,
            request,
            protocol,
            leaks,
            tell,
        )
        self.target = frame[setting.target].values
        own, past = inputs_of(frame, setting, dropped_columns(leaks))
        timing = setting.timing
        rows = len(protocol.final.train)
        if setting.task == "forecast" and timing is not None:
            recipes = forecast_recipes(own, past, timing, rows)
        else:
            recipes = row_recipes(own, past, timing, rows, longest=12.0 if rows >= 300 else 0.0)
        history, query, place = look(frame, setting.target, timing or standing_still())
        self.arena = Arena(frame, setting, history, query, place, recipes, Builder(history, query, timing or standing_still()))
        self.inputs = [s.name for s in (*own, *past)]
        block = 1
        if setting.ordered:
            block = max(gap_rows(frame, setting), min(96, max(8, rows // 100)))
        learned = self._labelled(protocol.final.train)
        cases = int(np.sum(self.target[learned] == setting.positive)) if setting.positive is not None else 0
        self.judge = Judge(setting, block, request.seed, cases)
        self.specs = specs_for(self.arena, rows, request.budget_seconds, refit=request.train_rows is None)
        if not self.inputs and setting.task != "forecast":
            self.specs = [s for s in self.specs if s.family in BASELINES]

    def done(self, reads: Sequence[ReadResult], raw: Frame, begun: float) -> Study:
        """Run the folds, choose, open the last block once, and judge."""
        learn = self._labelled(self.protocol.final.train)
        if len(learn) < 20 or not self.protocol.folds or (self.setting.classes and len(np.unique(self.target[learn])) < 2):
            return self._too_little(reads, raw, begun, learn)
        oof, runs, outside = self._folds()
        ranked = self._choose(oof)
        self.tell(Bilingual("마지막 구간을 한 번 열어 보고 있어요", "Opening the last block, once"), 0.6)
        final = run_fold(self.arena, self.specs, self.protocol.final, full=True, seed=self.request.seed)
        last = self.protocol.final.test
        results, chosen, gain = self._results(oof, runs, final, ranked)
        spec = next(s for s in self.specs if s.name == chosen)
        weights = self._decision(oof, chosen)
        self.tell(Bilingual("구간과 드리프트를 보고 있어요", "Intervals and drift"), 0.75)
        band, threshold = self._band(oof, chosen, outside)
        scaled = self._interval(final, spec, band, threshold, last, weights)
        blocked = self._blocked_base(oof, chosen)
        random = self._random(spec)
        rule = self._rule(final)
        findings = Findings(
            frame=self.frame, setting=self.setting, request=self.request, protocol=self.protocol, judge=self.judge, inputs=tuple(self.inputs),
            leaks=self.leaks, results=results, chosen=chosen, oof=oof[chosen], last=final.predictions[chosen], gain=gain,
            coverage=scaled.coverage, nominal=NOMINAL, leak_score=None if random is None or blocked is None else random - blocked,
            rule=rule, relies_on=self._relies_on(final, spec),
        )  # fmt: skip
        drift = drift_of(findings)
        self.tell(Bilingual("원인을 찾고 있어요", "Looking for causes"), 0.85)
        causes, look_at = causes_of(findings, scaled.lower, scaled.upper)
        verdict = verdict_of(findings, drift, causes)
        self.tell(Bilingual("모델을 저장할 준비를 하고 있어요", "Preparing the model"), 0.93)
        model = self._model(reads, raw, spec, final, band, threshold, weights, oof)
        return Study(
            name=self.request.name or "study",
            setting=self.setting,
            request=self.request,
            data=tuple((r.version.dataset, r.version.number) for r in reads),
            rows_used=len(self._labelled(np.arange(len(self.frame), dtype=np.int64))),
            protocol=self.protocol,
            metric=self.judge.metric,
            candidates=results,
            chosen=chosen,
            scores=self._further(oof, final, chosen, weights),
            leak_random=random,
            leak_blocked=blocked,
            leaks=self.leaks,
            coverage=scaled.coverage,
            mean_width=scaled.mean_width,
            interval_text=scaled.text,
            drift=drift,
            folds_outside=tuple(self._outside_report(outside)),
            causes=causes,
            look_at=tuple(look_at),
            worth=worth_of(findings),
            verdict=verdict,
            rule=None if rule is None else rule.en,
            cost_curve=self._cost_curve(final, chosen, last),
            frame_facts=dict(raw.facts),
            fold_rows=tuple((self._range(f.train), self._range(f.test)) for f in self.protocol.folds),
            last_rows=self._range(last),
            model=model,
            seconds=time.perf_counter() - begun,
            series=self._series(final, chosen, scaled, last),
        )

    # Folds and choice

    def _labelled(self, rows: IntArray) -> IntArray:
        return rows[np.isfinite(self.target[rows])]

    def _folds(self) -> tuple[dict[str, list[tuple[IntArray, FloatArray]]], list[Run], list[FloatArray]]:
        oof: dict[str, list[tuple[IntArray, FloatArray]]] = {s.name: [] for s in self.specs}
        runs: list[Run] = []
        outside: list[FloatArray] = []
        for number, fold in enumerate(self.protocol.folds):
            share = 0.1 + 0.45 * number / len(self.protocol.folds)
            self.tell(
                Bilingual(
                    f"후보를 겨루고 있어요 ({number + 1}/{len(self.protocol.folds)})", f"Candidates race, fold {number + 1}"
                ),
                share,
            )
            test = self._labelled(fold.test)
            train = self._labelled(fold.train)
            if len(test) < 1 or len(train) < 10 or (self.setting.classes and len(np.unique(self.target[train])) < 2):
                continue
            run = run_fold(self.arena, self.specs, Fold(train, test), full=False, seed=self.request.seed)
            for name, guess in run.predictions.items():
                oof[name].append((test, guess))
            if self.setting.classes and oof["constant"][0][1].shape[0]:
                # One constant for all folds: one for each fold would rank the folds, which no constant can.
                oof["constant"][-1] = (test, np.tile(oof["constant"][0][1][:1], (len(test), 1)))
            runs.append(run)
            outside.append(run.inputs.outside(self.arena.matrix("inputs")[test]))
        return oof, runs, outside

    def _pooled(self, oof: dict[str, list[tuple[IntArray, FloatArray]]], name: str) -> tuple[FloatArray, FloatArray]:
        rows = np.concatenate([r for r, _ in oof[name]])
        return self.target[rows], np.concatenate([g for _, g in oof[name]])

    def _decision(self, oof: dict[str, list[tuple[IntArray, FloatArray]]], name: str) -> FloatArray:
        """Weights of the classes in the decision, from the later half of the folds: those learned from about as much as will be."""
        if not self.setting.classes:
            return np.ones(1)
        later = oof[name][len(oof[name]) // 2 :] if self.setting.ordered else oof[name]
        rows = np.concatenate([r for r, _ in later])
        return self.judge.decision_weights(self.target[rows], np.concatenate([g for _, g in later]))

    def _choose(self, oof: dict[str, list[tuple[IntArray, FloatArray]]]) -> list[str]:
        """Return the candidates in the order of preference: the simplest within one standard error of the best comes first."""
        sign = 1.0 if self.judge.metric.better == "lower" else -1.0
        rank = {s.name: s.rank for s in self.specs}
        values = {n: self.judge.main(*self._pooled(oof, n)) for n in oof if oof[n]}
        best_first = sorted((n for n in values if values[n] is not None), key=lambda n: (sign * (values[n] or 0.0), rank[n]))
        if not best_first:
            return ["constant"]
        best = best_first[0]
        truth, top = self._pooled(oof, best)
        near = []
        for name in best_first[1:]:
            if rank[name] >= rank[best]:
                continue
            error, gain = self.judge.difference(truth, self._pooled(oof, name)[1], top, draws=60)
            if gain.value is None or gain.value > error:
                continue
            # What is no better than always the same answer is not a simpler way to the same end.
            _, over = self.judge.difference(truth, self._pooled(oof, "constant")[1], self._pooled(oof, name)[1], draws=60)
            if rank[name] == 0 or (over.low is not None and over.low > 0):
                near.append(name)
        chosen = min([best, *near], key=lambda n: rank[n])
        return [chosen, *(n for n in best_first if n != chosen)]

    def _results(
        self, oof: dict[str, list[tuple[IntArray, FloatArray]]], runs: list[Run], final: Run, ranked: list[str]
    ) -> tuple[tuple[CandidateResult, ...], str, Score | None]:
        last = self.protocol.final.test
        known = np.isfinite(self.target[last])
        truth_last = self.target[last][known]
        sign = 1.0 if self.judge.metric.better == "lower" else -1.0
        made: list[CandidateResult] = []
        baselines = [s.name for s in self.specs if s.family in BASELINES]
        base_folds = self._best_value(baselines, {n: self.judge.main(*self._pooled(oof, n)) for n in baselines if oof[n]}, sign)
        base_last = self._best_value(
            baselines, {n: self.judge.main(truth_last, final.predictions[n][known]) for n in baselines}, sign
        )
        for spec in self.specs:
            truth, guess = self._pooled(oof, spec.name)
            folds = self.judge.interval(truth, guess)
            block = self.judge.interval(truth_last, final.predictions[spec.name][known])
            why = None if spec.family in BASELINES else self._why_not(spec, oof, folds, block, base_folds, base_last, sign)
            seconds = sum(r.seconds.get(spec.name, 0.0) for r in runs) + final.seconds[spec.name]
            made.append(CandidateResult(spec.name, spec.family, folds, block, why is None, why, round(seconds, 3)))
        offered = {c.name for c in made if c.offered}
        chosen = next((n for n in ranked if n in offered), "constant")
        simple = [s.name for s in self.specs if s.family in SIMPLE and s.name != chosen]
        gain = None
        if simple and len(truth_last) >= 8:
            values = {n: self.judge.main(truth_last, final.predictions[n][known]) for n in simple}
            best = self._best_value(simple, values, sign)
            name = next((n for n in simple if values[n] == best), simple[0])
            _, gain = self.judge.difference(truth_last, final.predictions[name][known], final.predictions[chosen][known])
        return tuple(made), chosen, gain

    @staticmethod
    def _best_value(names: Sequence[str], values: dict[str, float | None], sign: float) -> float | None:
        found = [v for n in names if (v := values.get(n)) is not None]
        return (min(found) if sign > 0 else max(found)) if found else None

    def _why_not(
        self, spec: Spec, oof: dict[str, list[tuple[IntArray, FloatArray]]], folds: Score, last: Score, base_folds: float | None,
        base_last: float | None, sign: float,
    ) -> Bilingual | None:  # fmt: skip
        """Say why a candidate is not offered: it does not beat the simplest answers, or fails when the plant changes."""

        def worse(value: float | None, base: float | None, share: float) -> bool:
            if value is None or base is None:
                return False
            return sign * (value - base) > share * abs(base)

        if worse(folds.value, base_folds, 0.0):
            return Bilingual(
                "검증 구간에서 가장 간단한 방법(늘 같은 값, 마지막 값)보다 못해요.",
                "On the validation blocks it is worse than the simplest answers (always the same, the last value).",
            )
        if worse(last.value, base_last, 0.05):
            return Bilingual(
                "마지막 구간에서 가장 간단한 방법보다 못해요: 공정이 달라지면 버티지 못해요.",
                "On the last block it is worse than the simplest answers: it does not survive a change of the process.",
            )
        if self.setting.ordered and self.setting.task != "classification":
            for number, (rows, guess) in enumerate(oof[spec.name]):
                constant = self.judge.main(self.target[rows], oof["constant"][number][1])
                if worse(self.judge.main(self.target[rows], guess), constant, 0.25):
                    return Bilingual(
                        f"{number + 1}번째 검증 구간에서 늘 같은 값보다 크게 못해요: 공정이 달라지면 버티지 못해요.",
                        f"On validation block {number + 1} it is much worse than a constant: it does not survive a change of the process.",
                    )
        return None

    # Leak score

    def _blocked_base(self, oof: dict[str, list[tuple[IntArray, FloatArray]]], chosen: str) -> float | None:
        return self.judge.main(*self._pooled(oof, chosen.split("+", maxsplit=1)[0]))

    def _random(self, spec: Spec) -> float | None:
        """Score the chosen learner under a random split of the same rows: what a careless study would have reported."""
        self.tell(
            Bilingual("섞어서 나누면 얼마나 좋아 보이는지 재고 있어요", "Measuring how good a random split would look"), 0.8
        )
        learn = self._labelled(self.protocol.final.train)
        number = np.random.default_rng(self.request.seed).permutation(len(learn)) % 4
        plain = replace(spec, name=spec.name.split("+", maxsplit=1)[0], feedback=Feedback())
        rows: list[IntArray] = []
        guesses: list[FloatArray] = []
        for part in range(2):
            train, test = learn[number != part], learn[number == part]
            if self.setting.classes and len(np.unique(self.target[train])) < 2:
                continue
            run = run_fold(self.arena, [plain], Fold(train, test), full=False, seed=self.request.seed)
            rows.append(test)
            guesses.append(run.predictions[plain.name])
        if not rows:
            return None
        return self.judge.main(self.target[np.concatenate(rows)], np.concatenate(guesses))

    # Intervals

    def _band(
        self, oof: dict[str, list[tuple[IntArray, FloatArray]]], chosen: str, outside: list[FloatArray]
    ) -> tuple[Band | None, float]:
        truth, guess = self._pooled(oof, chosen)
        if self.setting.classes:
            return None, sets_threshold(guess, truth)
        beyond = np.concatenate([_beyond(o) for o in outside])
        timing = self.setting.timing
        late = 0.0 if timing is None else (timing.length(timing.horizon) + timing.length(timing.delay)) / timing.step
        return calibrate(guess, truth - guess, beyond, adaptive=timing is not None and timing.returns, late=late), 0.0

    def _interval(
        self, final: Run, spec: Spec, band: Band | None, threshold: float, last: IntArray, weights: FloatArray
    ) -> _Interval:
        guess = final.predictions[spec.name]
        known = np.isfinite(self.target[last])
        if band is None:
            inside = guess >= threshold
            covered = inside[np.arange(len(last)), np.nan_to_num(self.target[last]).astype(np.int64)][known]
            width = float(inside.sum(axis=1).mean()) if len(last) else None
            share = float(covered.mean()) if known.any() else None
            nothing = np.full(len(last), np.nan)
            return _Interval(share, width, self._interval_text(share, 0.0), nothing, nothing)
        watched = self.arena.matrix("inputs")
        beyond = _beyond(final.inputs.outside(watched[last]))
        scale = np.full(len(self.arena.history), np.nan)
        residual = np.full(len(self.arena.history), np.nan)
        scale[self.arena.place[last]] = band.scale(guess, beyond)
        residual[self.arena.place[last]] = self.target[last] - guess
        quantile = band.quantiles(self.arena.history, take(self.arena.query, last), residual, scale)
        half = quantile * band.scale(guess, beyond)
        lower, upper = guess - half, guess + half
        inside = ((self.target[last] >= lower) & (self.target[last] <= upper))[known]
        share = float(inside.mean()) if known.any() else None
        widened = float(np.mean(beyond * band.widening > 0.05)) if len(beyond) else 0.0
        return _Interval(
            share, float(np.mean(2 * half)) if len(half) else None, self._interval_text(share, widened), lower, upper
        )

    def _interval_text(self, share: float | None, widened: float) -> Bilingual | None:
        if share is None:
            return None
        more = Bilingual("", "")
        if widened > 0:
            more = Bilingual(
                f" 입력이 배운 범위를 벗어난 {widened:.0%}의 행에서는 구간을 넓혔어요.",
                f" It was widened for the {widened:.0%} of rows whose inputs left the learned range.",
            )
        if abs(share - NOMINAL) <= 0.02:
            return Bilingual(
                f"90% 구간이 마지막 구간의 {share:.1%}를 담았어요.{more.ko}",
                f"The 90% interval covered {share:.1%} of the last block.{more.en}",
            )
        if share < NOMINAL:
            return Bilingual(
                f"90% 구간이 마지막 구간의 {share:.1%}만 담았어요: 공정이 흘러서 구간을 그대로 믿을 수 없어요.{more.ko}",
                f"The 90% interval covered only {share:.1%} of the last block: it drifts, and the interval cannot be trusted as it is.{more.en}",
            )
        return Bilingual(
            f"90% 구간이 마지막 구간의 {share:.1%}를 담았어요: 흐름에 대비해 필요보다 넓어요.{more.ko}",
            f"The 90% interval covered {share:.1%} of the last block: it drifts to the safe side, wider than needed.{more.en}",
        )

    def _outside_report(self, outside: list[FloatArray]) -> list[dict[str, Json]]:
        names = [", ".join(f.columns) for f in self.arena.recipes.inputs]
        made: list[dict[str, Json]] = []
        for number, beyond in enumerate(outside):
            shares = (beyond > 0).mean(axis=0) if len(beyond) else np.zeros(beyond.shape[1])
            left = sorted(((float(s), n) for s, n in zip(shares, names, strict=True) if s > 0.02), reverse=True)[:5]
            made.append(
                {
                    "fold": number + 1,
                    "share": float((beyond > 0).any(axis=1).mean()) if beyond.size else 0.0,
                    "columns": [n for _, n in left],
                }
            )
        return made

    # What people see

    def _rule(self, final: Run) -> Bilingual | None:
        learner = final.learners.get("rules")
        if not isinstance(learner, RuleList) or not learner.rules:
            return None
        names = [f.title for f in self.arena.recipes.rules]
        text = learner.text(names, self.setting.classes, unit=self.setting.unit or "")
        return Bilingual(text, text)

    def _relies_on(self, final: Run, spec: Spec) -> tuple[str, ...]:
        learner = final.learners.get(spec.name.split("+", maxsplit=1)[0])
        weight = _importance(learner, final.learners) if learner is not None else None
        recipe = self.arena.recipe(spec.recipe)
        if weight is None or len(weight) != len(recipe):
            return ()
        shares: dict[str, float] = {}
        for feature, value in zip(recipe, weight, strict=True):
            if feature.kind in ("lag", "roll"):
                # What lies before the issue is known, whatever the column says at the instant itself.
                continue
            for column in feature.columns:
                shares[column] = shares.get(column, 0.0) + float(value)
        total = sum(shares.values()) or 1.0
        return tuple(n for n in sorted(shares, key=lambda n: -shares[n])[:3] if shares[n] / total > 0.05)

    def _further(
        self, oof: dict[str, list[tuple[IntArray, FloatArray]]], final: Run, chosen: str, weights: FloatArray
    ) -> dict[str, dict[str, dict[str, Score]]]:
        last = self.protocol.final.test
        known = np.isfinite(self.target[last])
        made = {}
        for spec in self.specs:
            truth, guess = self._pooled(oof, spec.name)
            own = weights if spec.name == chosen else self._decision(oof, spec.name)
            made[spec.name] = {
                "folds": self.judge.others(truth, guess, own, intervals=spec.name == chosen),
                "last_block": self.judge.others(
                    self.target[last][known], final.predictions[spec.name][known], own, intervals=spec.name == chosen
                ),
            }
        return made

    def _cost_curve(self, final: Run, chosen: str, last: IntArray) -> tuple[dict[str, float], ...]:
        from madang.models._metrics import cost_curve

        known = np.isfinite(self.target[last])
        if len(self.setting.classes) != 2 or not known.any():
            return ()
        return tuple(cost_curve(self.judge.bad(self.target[last][known]), self.judge.score(final.predictions[chosen][known])))

    def _range(self, rows: IntArray) -> list[int]:
        if not len(rows):
            return []
        numbers = self.frame.row[rows] if len(np.unique(self.frame.part)) == 1 else rows + 1
        return [int(numbers.min()), int(numbers.max())]

    def _series(self, final: Run, chosen: str, interval: _Interval, last: IntArray) -> dict[str, Json]:
        """At most two thousand rows of the last block for a chart, evenly taken."""
        if self.setting.classes or not len(last):
            return {}
        some = np.unique(np.linspace(0, len(last) - 1, min(len(last), 2000)).round().astype(np.int64))

        def numbers(values: FloatArray) -> list[Json]:
            return [round(float(v), 6) if np.isfinite(v) else None for v in values[some]]

        when: list[Json] = [int(r) for r in self.frame.row[last][some]]
        made: dict[str, Json] = {
            "row": when, "actual": numbers(self.target[last]), "prediction": numbers(final.predictions[chosen]),
            "lower": numbers(interval.lower), "upper": numbers(interval.upper),
        }  # fmt: skip
        if self.frame.time is not None:
            made["time"] = [f"{np.datetime_as_string(t, unit='s')}Z" for t in self.frame.time[last][some]]
        return made

    # The model that is kept

    def _model(
        self, reads: Sequence[ReadResult], raw: Frame, spec: Spec, final: Run, band: Band | None, threshold: float, weights: FloatArray,
        oof: dict[str, list[tuple[IntArray, FloatArray]]],
    ) -> SavedModel:  # fmt: skip
        """Return the model to keep; without rows fixed by a person it learns from the last block too, after that has been judged."""
        rows = self.protocol.final.train
        base = spec.name.split("+", maxsplit=1)[0]
        if self.request.train_rows is None:
            rows = np.sort(np.concatenate([self.protocol.final.train, self.protocol.final.test]))
            if self.setting.ordered:
                rows = np.arange(int(rows.max()) + 1, dtype=np.int64)
            kept = run_fold(
                self.arena,
                [replace(spec, name=base, feedback=Feedback())],
                Fold(self._labelled(rows), rows[-1:]),
                full=True,
                seed=self.request.seed,
            )
        else:
            kept = final
        learner = kept.learners[base]
        truth, guess = self._pooled(oof, spec.name)
        if self.request.train_rows is None and band is not None:
            last = self._labelled(self.protocol.final.test)
            known = np.isfinite(self.target[self.protocol.final.test])
            watched = self.arena.matrix("inputs")
            beyond = np.concatenate(
                [
                    _beyond(kept.inputs.outside(watched[np.concatenate([r for r, _ in oof[spec.name]])])) * 0.0,
                    _beyond(final.inputs.outside(watched[last])),
                ]
            )
            joined = np.concatenate([guess, final.predictions[spec.name][known]])
            result = np.concatenate([truth, self.target[last]])
            widening = band.widening
            gain = band.gain
            band = calibrate(joined, result - joined, beyond, adaptive=band.adaptive)
            band.gain = gain
            band.widening = max(widening, band.widening)
        tail, tail_residual = self._tail(spec, learner, rows)
        return SavedModel(
            name=self.request.name or "study", task=self.setting.task, target=self.setting.target, unit=self.setting.unit,
            classes=self.setting.classes, positive=self.setting.positive, family=self.setting.family, candidate=spec.name,
            timing=self.setting.timing, recipe=self.arena.recipe(spec.recipe), watched=self.arena.recipes.inputs, learner=learner,
            feedback=spec.feedback, inputs=kept.inputs, band=band, weights=weights,
            calibration=np.array([1.0, 0.0]), set_threshold=threshold, tail=tail, tail_residual=tail_residual,
            columns=_columns(reads, self.frame), layouts=tuple(p.layout for r in reads for p in r.parts),
            request=_resolved(raw, self.request, self.setting),
            facts={"seed": self.request.seed, "rows": len(rows), "metric": self.judge.metric.name, "versions": [str(r.version) for r in reads], "joined": bool(raw.facts.get("join")), "result_time": raw.facts.get("result_time"), **joined_facts(reads, raw, self.request)},
        )  # fmt: skip

    def _tail(self, spec: Spec, learner: Learner, rows: IntArray) -> tuple[Frame | None, FloatArray]:
        """The last learned rows, as far back as the features and the feedback look."""
        timing = self.setting.timing
        if timing is None:
            return None, np.zeros(0)
        used = {c for f in (*self.arena.recipe(spec.recipe), *self.arena.recipes.inputs) for c in f.columns}
        reach = max(
            [f.span * max(f.code, 1.0) if f.kind == "slot" else f.span for f in self.arena.recipe(spec.recipe)] or [0.0]
        )
        back = int(reach / timing.step) + 60 + (1_000 if spec.feedback.kind == "line" else 100 if timing.returns else 0)
        looks_back = any(
            f.kind not in ("now", "is", "product", "difference", "ratio", "calendar") for f in self.arena.recipe(spec.recipe)
        )
        if not looks_back and spec.feedback.kind == "none":
            return None, np.zeros(0)
        kept = rows[-back:]
        series = {n: s for n, s in self.frame.series.items() if n in used or n == self.setting.target}
        tail = replace(self.frame, series=series, facts={}, sources=()).take(kept)
        residual = np.full(len(kept), np.nan)
        if not self.setting.classes:
            residual = self.target[kept] - learner.predict(self.arena.matrix(spec.recipe)[kept])
        return tail, residual

    def _too_little(self, reads: Sequence[ReadResult], raw: Frame, begun: float, learn: IntArray) -> Study:
        """The study of a table that holds too little: nothing is fitted, and the verdict says what to collect."""
        nothing = Score(None, None, None)
        why = Bilingual(
            "배울 행이 너무 적거나 결과가 한 가지뿐이에요.", "Too few rows to learn from, or only one kind of result."
        )
        results = (CandidateResult("constant", "constant", nothing, nothing, False, why, 0.0),)
        empty: list[tuple[IntArray, FloatArray]] = []
        findings = Findings(
            frame=self.frame, setting=self.setting, request=self.request, protocol=self.protocol, judge=self.judge, inputs=tuple(self.inputs),
            leaks=self.leaks, results=results, chosen=None, oof=empty, last=np.zeros(0), gain=None, coverage=None, nominal=NOMINAL,
            leak_score=None, rule=None, relies_on=(),
        )  # fmt: skip
        drift = Drift(False, (), False, why)
        return Study(
            name=self.request.name or "study", setting=self.setting, request=self.request,
            data=tuple((r.version.dataset, r.version.number) for r in reads),
            rows_used=len(self._labelled(np.arange(len(self.frame), dtype=np.int64))), protocol=self.protocol, metric=self.judge.metric,
            candidates=results, chosen=None, scores={}, leak_random=None, leak_blocked=None, leaks=self.leaks, coverage=None, mean_width=None,
            interval_text=None, drift=drift, folds_outside=(), causes=(), look_at=(), worth=None, verdict=verdict_of(findings, drift, ()),
            rule=None, cost_curve=(), frame_facts=dict(raw.facts),
            fold_rows=tuple((self._range(f.train), self._range(f.test)) for f in self.protocol.folds),
            last_rows=self._range(self.protocol.final.test), model=None, seconds=time.perf_counter() - begun,
        )  # fmt: skip


@dataclass(frozen=True)
class _Interval:
    coverage: float | None
    mean_width: float | None
    text: Bilingual | None
    lower: FloatArray
    upper: FloatArray


def _beyond(outside: FloatArray) -> FloatArray:
    """How far a row lies outside, over all inputs: the sum, so that several inputs outside count more; at most 3."""
    return np.minimum(outside.sum(axis=1), 3.0) if outside.shape[1] else np.zeros(len(outside))


def _importance(learner: Learner, learners: dict[str, Learner]) -> FloatArray | None:
    from madang.models._candidates import Blend, Hybrid, Linear, Logistic, PartialLeastSquares, Trees

    if isinstance(learner, Trees):
        return learner.importance()
    if isinstance(learner, Linear | Logistic | PartialLeastSquares):
        weights = np.abs(learner.weights)
        return weights.sum(axis=1) if weights.ndim == 2 else weights
    if isinstance(learner, Blend | Hybrid):
        trees = learners.get("trees")
        return trees.importance() if isinstance(trees, Trees) else None
    return None


def _columns(reads: Sequence[ReadResult], frame: Frame) -> tuple[ModelColumn, ...]:
    made = []
    for card in (c for read in reads for c in read.columns):
        categories = frame[card.name].categories if card.name in frame.series else None
        made.append(
            ModelColumn(card.name, card.source_name, card.role, card.kind, card.unit, card.unit_source, card.type, categories)
        )
    return tuple(made)


def _resolved(raw: Frame, request: StudyRequest, setting: Setting) -> StudyRequest:
    """The request with the names that were found, so that a later file is taken the same way."""

    def column(fact: str) -> str | None:
        chosen = raw.facts.get(fact)
        if isinstance(chosen, dict):
            columns = chosen.get("columns")
            return str(columns[0]) if isinstance(columns, list) and columns else None
        return chosen if isinstance(chosen, str) else None

    group = raw.facts.get("group")
    names: list[Json] = group["columns"] if isinstance(group, dict) and isinstance(group["columns"], list) else []
    target = None if setting.family else setting.target
    return replace(request, target=target, time=column("time"), group=tuple(str(g) for g in names), lot=None, money={})
