"""What is said of a finding: its severity, its numbers, a sentence."""

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from analytics.anomalies.detector import Finding
from analytics.models import AnomalyType, Severity
from events.money import CENT, QUANTUM, plain

NOUNS = {
    AnomalyType.COST_SPIKE: "Cost",
    AnomalyType.COST_DROP: "Cost",
    AnomalyType.USAGE_SPIKE: "Usage",
    AnomalyType.COST_PER_EVENT_SPIKE: "Cost per event",
    AnomalyType.ERROR_SPIKE: "Failure rate",
    AnomalyType.LATENCY_SPIKE: "Latency",
}
TIMES = (Decimal(2), Decimal(3), Decimal(10))
"""How many times the usual gives one, two, three points of severity."""
MINIMUMS = (2, 5, 100, 1000)
"""How many minimums at stake give one, two, three, four points."""
SEVERITIES = (Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)


def severity(finding: Finding, minimum: Decimal) -> Severity:
    """Half the points for size and money at stake together. What has no usual is of size two."""
    high, low = sorted((finding.expected, finding.actual), reverse=True)
    size = 2 if finding.is_new else sum(low * times <= high for times in TIMES)
    money = sum(finding.stake >= minimum * times for times in MINIMUMS)
    return SEVERITIES[(size + money) // 2]


def rounded(finding: Finding) -> Finding:
    """The finding in numbers as they are told and kept.

    What was expected as people write a mean, to the cent from 1 on; what was, exactly, or, where
    it is itself an average, to as many places as money has.
    """
    expected = Decimal(finding.expected)
    places = CENT if expected >= 1 else QUANTUM
    return replace(
        finding,
        expected=expected.quantize(places, ROUND_HALF_EVEN),
        actual=Decimal(finding.actual).quantize(QUANTUM, ROUND_HALF_EVEN),
    )


def description(finding: Finding, now: datetime | None = None) -> str:
    """Like "Cost increased 340% compared to 7-day average", true to the finding's numbers.

    `now` (UTC) is the end of what is compared, on a day that is not over.
    """
    noun = NOUNS[finding.type] + _hours(finding, now)
    if finding.is_new:
        return f"{noun} of {plain(finding.actual)} by {finding.basis}"
    if not finding.expected:
        return f"{noun} increased from nothing compared to {finding.basis}"
    change = (finding.actual - finding.expected) * 100 / finding.expected
    percent = abs(change).quantize(Decimal(1), ROUND_HALF_UP)
    verb = "increased" if change > 0 else "decreased"
    return f"{noun} {verb} {percent:f}% compared to {finding.basis}"


def _hours(finding: Finding, now: datetime | None) -> str:
    if finding.since is None or now is None:
        return ""
    since = f" from {finding.since:02}:00" if finding.since else ""
    return f"{since} until {now:%H:%M} UTC"
