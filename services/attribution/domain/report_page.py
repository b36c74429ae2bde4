"""The report as a page for people: one file, nothing fetched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from services.attribution.domain.chart import sequence_svg
from services.attribution.domain.course import Point
from services.attribution.domain.report import ArmReport, GuardFigures, Report
from services.attribution.domain.words import (
    OUTCOMES,
    VOID,
    decision,
    difference,
    harm,
    mean,
    percent,
)
from services.shared.document import (
    Block,
    Bullets,
    Document,
    Paragraph,
    Picture,
    Section,
    Table,
    plain,
)
from services.shared.document_page import page

READING: Final = (
    "The interval holds the true difference at all looks at once, with 95 % confidence for all "
    "arms together: look as often as you like, and stop as soon as it decides.",
    "While it holds 0 nothing is shown; once it lies above or below, the arm is better or worse; "
    "once it lies between the dashed lines, what difference there is would not matter.",
    "A decision stands, whatever later looks say, unless a guard stops the arm or shoppers turn "
    "out not to come to the arms in the planned shares.",
)


def report_page(report: Report) -> str:
    """The report as HTML."""
    experiment = report.experiment
    lead = [VOID] if report.is_void else []
    lead += [f"`{arm.figures.arm}`: {decision(report, arm)}" for arm in report.arms]
    sections = [
        Section("What is tested", _tested(report)),
        Section("How it stands", [_standing(report)]),
        Section("Over time", [block for arm in report.arms for block in _course(report, arm)]),
        Section("Are the arms alike?", [Paragraph(_alike(report))]),
        Section("Guards", _guards(report)),
        Section("What earlier purchases explain", [Paragraph(_explained(report))]),
        Section("How to read this", [Bullets(READING)]),
    ]
    title = f"Experiment: {experiment.name}"
    return page(Document(title=title, lead=" ".join(lead), sections=sections))


def _tested(report: Report) -> list[Block]:
    experiment, metric = report.experiment, report.experiment.metric
    most = f", of each shopper at most {metric.cap:,g} {metric.currency}" if metric.cap else ""
    return [
        Paragraph(plain(experiment.hypothesis)),
        Bullets(
            [
                f"Metric: {OUTCOMES[metric.outcome]}, within {experiment.window_days} days from "
                f"the first exposure{most}. A shopper counts once, when these days are over.",
                f"Since {_time(report.since)}; this page is of {_time(report.at)}.",
                f"Planned for {experiment.planned_shoppers:,} shoppers; a difference matters from "
                f"{percent(metric.least_uplift)} of the control's mean on.",
                f"Layer `{experiment.layer}`, buckets {experiment.traffic[0]:,} to "
                f"{experiment.traffic[1] - 1:,} of 10,000.",
            ]
        ),
    ]


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _standing(report: Report) -> Table:
    head = ("arm", "decision", "exposed", "counted", "mean", "difference", "p")
    control = report.control
    first = (
        f"`{control.arm}`",
        "control",
        f"{control.exposed:,}",
        f"{control.shoppers:,}",
        mean(report, control),
        "",
        "",
    )
    return Table(head, [first, *(_row(report, arm) for arm in report.arms)], words=2)


def _row(report: Report, arm: ArmReport) -> tuple[str, ...]:
    figures = arm.figures
    return (
        f"`{figures.arm}`",
        arm.decision.replace("_", " "),
        f"{figures.exposed:,}",
        f"{figures.shoppers:,}",
        mean(report, figures),
        "not judged" if arm.newest is None else difference(report, arm.newest),
        f"{arm.p:.2g}",
    )


def _course(report: Report, arm: ArmReport) -> list[Block]:
    name = arm.figures.arm
    if arm.newest is None:
        return [Paragraph(f"`{name}` has not been judged.")]
    points: list[Point] = [*arm.points]
    if points[-1] != arm.newest:
        points.append(arm.newest)
    caption = f"`{name}` less the control by shoppers counted, with the interval at each look."
    svg = sequence_svg(points, arm.least, _unit(report))
    return [Picture(f"course-{name}", caption, svg)]


def _unit(report: Report) -> str:
    metric = report.experiment.metric
    return f"{metric.currency} per shopper" if metric.currency else "share of shoppers"


def _alike(report: Report) -> str:
    counted = ", ".join(
        f"`{each.arm}` {each.exposed:,} (planned {percent(each.share)})"
        for each in (report.control, *(arm.figures for arm in report.arms))
    )
    told = (
        f"Shoppers by their first exposure: {counted}. The evidence that they do not come in the "
        f"planned shares is {report.ratio_evidence:.3g}; it would be an alarm from "
        f"{report.ratio_needed:g} on."
    )
    if report.is_void:
        return f"Alarm. {told} Do not read anything into this experiment."
    return f"{told} So far nothing speaks against it."


def _guards(report: Report) -> list[Block]:
    rows = [_guard(arm.figures.arm, guard) for arm in report.arms for guard in arm.guards]
    if not rows:
        return [Paragraph("None: nothing stops an arm but that it is worse by the metric.")]
    head = ("arm", "guard", "seen", "arm's share", "control's", "allowed", "evidence", "alarm at")
    return [Table((*head, "state"), rows, words=2)]


def _guard(arm: str, guard: GuardFigures) -> tuple[str, ...]:
    shares = (
        "" if share is None else percent(share) for share in (guard.share, guard.control_share)
    )
    return (
        f"`{arm}`",
        harm(guard.harm),
        f"{guard.shoppers:,}",
        *shares,
        f"+{percent(guard.margin)}",
        f"{guard.evidence:.3g}",
        f"{guard.needed:g}",
        "stop" if guard.alarms else "no alarm",
    )


def _explained(report: Report) -> str:
    told = [
        f"{percent(arm.explained)} of the variance for `{arm.figures.arm}`"
        for arm in report.arms
        if arm.newest is not None
    ]
    if not told:
        return "Nothing has been judged."
    return (
        f"What shoppers did before their first exposure takes out {', '.join(told)} (CUPED): "
        "by so much fewer shoppers give an interval of the same width."
    )
