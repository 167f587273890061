"""The gates: what a challenger must show, each with one of three answers.

A gate on a score that is noisy passes while the difference is within its bound, fails when it is
beyond the bound and not by chance, and is inconclusive in between. What is missing is inconclusive.
So an equal challenger seldom fails, and never because of noise alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from monitor.retraining.head_to_head import MOST_RESTATED, HeadToHead
from monitor.retraining.paired_scores import Difference
from stages.monitor_params import GateParams

Answer = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Gate:
    """One gate, answered.

    Attributes:
        name: such as `brier`.
        direction: whether the effect may be `at least` or `at most` the threshold.
        effect: what was measured; None if it could not be.
        threshold: what it is compared with.
        answer: of the gate.
        sentence: why, for people.
    """

    name: str
    direction: Literal["at least", "at most"]
    effect: float | None
    threshold: float
    answer: Answer
    sentence: str


def verdict(gates: Iterable[Gate]) -> Answer:
    """The answer of all gates: `fail` if any fails, `pass` only if all pass."""
    answers = {gate.answer for gate in gates}
    if "fail" in answers:
        return "fail"
    return "pass" if answers == {"pass"} else "inconclusive"


def judge(comparison: HeadToHead, params: GateParams, *, superior: bool) -> tuple[Gate, ...]:
    """Answer every gate.

    Args:
        comparison: all numbers of a horizon.
        params: the thresholds; a gate whose threshold is null is left out.
        superior: whether the challenger must be better, else no worse.
    """
    measured, root = comparison.measured, comparison.sessions**0.5
    score = _superiority(comparison, params) if superior else _no_worse(comparison, params)
    gates = [
        _enough(
            "samples", comparison.held_out + comparison.live, params.samples, "rows are compared"
        ),
        _restated(comparison, params),
        _label_coverage(comparison, params),
        score,
        _f1(comparison.f1, params) if superior else None,
        _no_loss("brier", comparison.brier, params.brier_loss, -1),
        _no_loss("recall", comparison.recall, params.recall_loss, 1),
        _no_loss("auc", comparison.auc, params.auc_loss, 1),
        _interval(comparison, params.interval_coverage),
        _bound("inference_ms", measured.inference_ms, params.inference_ms, "ms a row"),
        _bound("graph_mb", measured.graph_mb, params.graph_mb, "MB"),
        _purge(comparison),
        # Skill grows with the horizon: R2 about with its root, and correlation with that of R2.
        _bound("oos_r2", measured.oos_r2, _times(params.max_oos_r2, root), "of out-of-sample R2"),
        None
        if comparison.rank_ic is None and comparison.held_out + comparison.live
        else _bound(
            "rank_ic", comparison.rank_ic, _times(params.max_rank_ic, root**0.5), "of rank IC"
        ),
        _quality(measured.quality, params.min_quality),
        _bound(
            "shift", comparison.shift, params.max_shift, "standard deviations from the champion's"
        ),
    ]
    return tuple(gate for gate in gates if gate is not None)


def _times(threshold: float | None, factor: float) -> float | None:
    return None if threshold is None else threshold * factor


def _enough(name: str, count: float, least: float, what: str) -> Gate:
    answer: Answer = "pass" if count >= least else "inconclusive"
    return Gate(name, "at least", count, least, answer, f"{count:,} {what}, {least:,} are needed")


def _restated(comparison: HeadToHead, params: GateParams) -> Gate:
    share = comparison.restated_share if comparison.held_out else float(comparison.restated > 0)
    alone = comparison.restated > 0 and not comparison.held_out
    sentence = f"{comparison.restated:,} rows of the hold-out have another outcome now"
    if alone:
        sentence += f"; {comparison.live:,} live rows count alone"
    passes = share <= MOST_RESTATED or (alone and comparison.live >= params.samples)
    answer: Answer = "pass" if passes else "inconclusive"
    return Gate("restated", "at most", share, MOST_RESTATED, answer, sentence)


def _label_coverage(comparison: HeadToHead, params: GateParams) -> Gate:
    due, labelled = comparison.measured.due, comparison.measured.labelled
    share = labelled / due if due else None
    answer: Answer = "pass" if share is not None and share >= params.coverage else "inconclusive"
    sentence = f"{labelled:,} of {due:,} live forecasts that are due have a label"
    return Gate("label_coverage", "at least", share, params.coverage, answer, sentence)


def _superiority(comparison: HeadToHead, params: GateParams) -> Gate:
    answer: Answer = "inconclusive"
    if comparison.better.convinces(params.error):
        answer = "pass"
    elif comparison.worse.convinces(params.error):
        answer = "fail"
    return Gate(
        f"{comparison.score}_superior",
        "at least",
        comparison.better.greatest,
        1 / params.error,
        answer,
        f"evidence {comparison.better.greatest:.3g} of {comparison.better.dates:,} dates that it "
        f"is better, {comparison.worse.greatest:.3g} that it is worse",
    )


def _no_worse(comparison: HeadToHead, params: GateParams) -> Gate:
    """Half of the error for one look at the hold-out, half for any number of looks at live rows."""
    champion = comparison.loss.champion
    name, threshold = f"{comparison.score}_no_worse", -params.margin
    if champion is None or champion <= 0:
        sentence = "no row has a loss of the champion"
        return Gate(name, "at least", None, threshold, "inconclusive", sentence)
    gain = None if comparison.loss.value is None else -comparison.loss.value / champion
    answer: Answer = "inconclusive"
    sentence = "too few independent sessions on the hold-out"
    if comparison.gain_bounds is not None:
        low, high = (bound / champion for bound in comparison.gain_bounds)
        sentence = f"gain on the hold-out above {low:+.2%} and below {high:+.2%}"
        if low > threshold:
            answer = "pass"
        elif high < threshold:
            answer = "fail"
    if answer == "inconclusive" and comparison.no_worse.convinces(params.error / 2):
        answer = "pass"
        sentence += (
            f"; evidence {comparison.no_worse.greatest:.3g} of live rows that it is no worse"
        )
    return Gate(name, "at least", gain, threshold, answer, sentence)


def _f1(difference: Difference, params: GateParams) -> Gate | None:
    if params.f1_gain is None:
        return None
    gain = difference.value
    answer: Answer = "inconclusive"
    if gain is not None and gain >= params.f1_gain:
        answer = "pass"
    elif difference.high is not None and difference.high < params.f1_gain:
        answer = "fail"
    return Gate("f1", "at least", gain, params.f1_gain, answer, _of_both(difference))


def _no_loss(name: str, difference: Difference, most: float | None, sign: int) -> Gate | None:
    """A score that may lose so much; `sign` is 1 if more of it is better, -1 if less."""
    if most is None:
        return None
    if difference.value is None:
        return Gate(name, "at most", None, most, "inconclusive", _of_both(difference))
    lost = 0.0 - sign * difference.value
    low = None
    if difference.low is not None and difference.high is not None:
        low = -difference.high if sign > 0 else difference.low
    answer: Answer = "inconclusive"
    if lost <= most:
        answer = "pass"
    elif low is not None and low > 0:
        answer = "fail"
    return Gate(name, "at most", lost, most, answer, _of_both(difference))


def _interval(comparison: HeadToHead, most: float | None) -> Gate | None:
    """Passes within the bound, or where the champion's coverage is as far off."""
    if most is None:
        return None
    both, distance = comparison.coverage, comparison.distance
    if distance.value is None or distance.challenger is None:
        return Gate("interval_coverage", "at most", None, most, "inconclusive", _of_both(both))
    answer: Answer = "inconclusive"
    if distance.challenger <= most or distance.value <= 0:
        answer = "pass"
    elif distance.low is not None and distance.low > 0:
        answer = "fail"
    sentence = f"{_of_both(both)}; {comparison.level:g} was promised"
    return Gate("interval_coverage", "at most", distance.challenger, most, answer, sentence)


def _bound(name: str, value: float | None, most: float | None, unit: str) -> Gate | None:
    if most is None:
        return None
    if value is None:
        return Gate(name, "at most", None, most, "inconclusive", "it could not be measured")
    answer: Answer = "pass" if value <= most else "fail"
    return Gate(name, "at most", value, most, answer, f"{value:.4g} {unit}")


def _quality(value: float | None, least: float | None) -> Gate | None:
    if least is None:
        return None
    answer: Answer = "inconclusive"
    if value is not None:
        answer = "pass" if value >= least else "fail"
    measured = "not measured" if value is None else f"{value:g} %"
    return Gate("quality", "at least", value, least, answer, f"quality of the data: {measured}")


def _purge(comparison: HeadToHead) -> Gate:
    """Sessions by which training reaches beyond the first bar that is compared."""
    if comparison.last_target is None or comparison.first is None:
        sentence = "the cards do not say what they were trained on"
        return Gate("purge", "at most", None, 0, "inconclusive", sentence)
    days = (comparison.last_target - comparison.first).days
    answer: Answer = "pass" if days <= 0 else "fail"
    sentence = (
        f"trained on outcomes up to {comparison.last_target}, compared from {comparison.first}"
    )
    return Gate("purge", "at most", days, 0, answer, sentence)


def _of_both(difference: Difference) -> str:
    champion, challenger = (
        "-" if value is None else f"{value:.4f}"
        for value in (difference.champion, difference.challenger)
    )
    return f"champion {champion}, challenger {challenger}"
