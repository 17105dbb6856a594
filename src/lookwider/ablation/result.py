"""What a table's runs reached: mean and spread over seeds, and the files that tell it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lookwider.ablation.measure import Scores
from lookwider.ablation.plan import Job, Plan
from lookwider.ablation.table import Row


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        job: the run.
        scores: what it reached; None where it failed or has not ended yet.
        error: why it failed; None where it did not.
    """

    job: Job
    scores: Scores | None = None
    error: str | None = None


@dataclass(frozen=True)
class Spread:
    """Values of several seeds, nan left out.

    Attributes:
        values: one per seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean; nan without a value."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Their sample standard deviation; nan of fewer than two.

        Example:
            >>> Spread((1.0, 2.0, 3.0)).deviation
            1.0
        """
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    def shown(self, *, signed: bool = False) -> str:
        """Return mean and spread in per cent.

        Example:
            >>> Spread((0.4, 0.5)).shown(), Spread((0.01,)).shown(signed=True), Spread(()).shown()
            ('45.0 ± 7.1', '+1.0', '-')
        """
        if math.isnan(self.mean):
            return "-"
        mean = f"{100 * self.mean:{'+' if signed else ''}.1f}"
        return mean if math.isnan(self.deviation) else f"{mean} ± {100 * self.deviation:.1f}"


@dataclass(frozen=True)
class AblationResult:
    """A table with what was measured so far.

    Attributes:
        plan: what was to be trained.
        outcomes: of the plan's runs, in its order.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The runs that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is not None)

    @property
    def failures(self) -> tuple[str, ...]:
        """The failed runs in words; the seeds of a row that failed alike are told together."""
        seeds: dict[tuple[str, str], list[int]] = {}
        for outcome in self.failed:
            error = " ".join((outcome.error or "").split())
            seeds.setdefault((outcome.job.row.label, error), []).append(outcome.job.seed)
        return tuple(
            f"{label}, {'seed' if len(numbers) == 1 else 'seeds'} "
            f"{', '.join(map(str, numbers))}: {error}"
            for (label, error), numbers in seeds.items()
        )

    @property
    def missing(self) -> int:
        """How many runs have not ended yet."""
        return sum(o.scores is None and o.error is None for o in self.outcomes)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of failure that were measured, in order; empty but for the scenes."""
        for outcome in self.outcomes:
            if outcome.scores is not None:
                return tuple(outcome.scores.failures)
        return ()

    def runs(self, row: Row) -> tuple[Outcome, ...]:
        """Return the outcomes of a row, by seed."""
        return tuple(outcome for outcome in self.outcomes if outcome.job.row is row)

    def metric(self, row: Row, name: str) -> Spread:
        """Return a metric of a row over its seeds."""
        return _spread(self.runs(row), lambda scores: scores.metrics[name])

    def failure(self, row: Row, kind: str) -> Spread:
        """Return a row's share of right pixels that probe a kind of failure."""
        return _spread(self.runs(row), lambda scores: scores.failures[kind])

    def gain(self, row: Row) -> Spread:
        """Return by how much the row's mean IoU is above the first row's, seed by seed."""
        first = {o.job.seed: o.scores for o in self.runs(self.plan.table.rows[0])}
        pairs = [(first.get(o.job.seed), o.scores) for o in self.runs(row)]
        return _finite(
            own.metrics["mean_iou"] - other.metrics["mean_iou"]
            for other, own in pairs
            if own is not None and other is not None
        )

    def best(self) -> Outcome | None:
        """Return the run of the highest mean IoU; None where none has ended well."""
        ended = [o for o in self.outcomes if o.scores is not None]
        ended = [o for o in ended if not math.isnan(_mean_iou(o))]
        return max(ended, key=_mean_iou, default=None)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it, in shares of 1; nan becomes None."""
        plan, table = self.plan, self.plan.table
        first = plan.jobs[0].config
        return {
            "table": {
                "name": table.name,
                "title": table.title,
                "source": table.source,
                "published_on": table.published_on,
                "remarks": list(table.remarks),
            },
            "data": first.data,
            "split": plan.split,
            "seeds": plan.seeds,
            "settings": {name: str(value) for name, value in plan.settings.items()},
            "shared": _shared(plan),
            "rows": [self._row_json(row) for row in table.rows],
        }

    def _row_json(self, row: Row) -> dict[str, Any]:
        published = row.published
        return {
            "label": row.label,
            "model": row.model,
            "settings": {name: _plain(value) for name, value in row.settings.items()},
            "starts_from": row.starts_from,
            **{
                name: _spread_json(self.metric(row, name))
                for name in ("mean_iou", "pixel_accuracy", "mean_accuracy", "freq_weighted_iou")
            },
            "gain_over_first_row": _spread_json(self.gain(row)),
            "right_by_kind_of_failure": {
                kind: _spread_json(self.failure(row, kind)) for kind in self.kinds
            },
            "published_in_per_cent": {
                "mean_iou": published.mean_iou,
                "pixel_accuracy": published.pixel_accuracy,
                "source": published.source,
                "remark": published.remark,
            },
            "runs": [_run_json(outcome) for outcome in self.runs(row)],
        }


def _shared(plan: Plan) -> dict[str, Any]:
    """Return the settings that all runs have in common."""
    configs = [job.config.model_dump(mode="json", exclude={"out"}) for job in plan.jobs]
    return {
        name: value
        for name, value in configs[0].items()
        if all(config[name] == value for config in configs)
    }


def _run_json(outcome: Outcome) -> dict[str, Any]:
    scores = outcome.scores
    return {
        "seed": outcome.job.seed,
        "run": str(outcome.job.config.out),
        "error": outcome.error,
        "metrics": None if scores is None else _numbers(scores.metrics),
        "right_by_kind_of_failure": None if scores is None else _numbers(scores.failures),
    }


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _spread_json(spread: Spread) -> dict[str, Any]:
    return {
        "mean": _number(spread.mean),
        "sample_deviation": _number(spread.deviation),
        "values": list(spread.values),
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _spread(outcomes: Sequence[Outcome], value: Callable[[Scores], float]) -> Spread:
    return _finite(value(o.scores) for o in outcomes if o.scores is not None)


def _finite(values: Any) -> Spread:
    return Spread(tuple(value for value in values if not math.isnan(value)))


def _mean_iou(outcome: Outcome) -> float:
    return math.nan if outcome.scores is None else outcome.scores.metrics["mean_iou"]
