"""`manage.py backtest_anomalies`: how good the detector is, measured."""

from argparse import ArgumentParser
from collections import defaultdict
from typing import Any

from django.core.management.base import BaseCommand

from analytics.anomalies import backtest
from analytics.anomalies.backtest import Score
from analytics.anomalies.simulate import FAMILIES

HEAD = (
    f"{'':13} {'':20} {'precision':>9} {'recall':>7} {'of 2x':>7} {'F1':>6}"
    f" {'delay of 5x':>12} {'false/1,000 days':>17}"
)


class Command(BaseCommand):
    """Needs no database: the series are simulated, the same for the same seed."""

    help = (
        "Measure the detector of anomalies on simulated series of which it is known what is "
        "abnormal, beside two plain rules. Spikes are of 1.5 to 10 times; `of 2x` is the recall "
        "of those of 2 and more; the delay is the median, from the onset of spikes of about 5 "
        "times; false alarms are per 1,000 clean days of an entity, running day included."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--entities", type=int, default=40, help="of each kind (default: 40)")
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, **options: Any) -> None:
        self.stdout.write(HEAD)
        whole: dict[str, Score] = defaultdict(Score)
        for family, rule, score in backtest.run(FAMILIES, options["entities"], options["seed"]):
            whole[rule] += score
            self.stdout.write(_line(family, rule, score))
            self.stdout.flush()
        for rule, score in whole.items():
            self.stdout.write(_line("all", rule, score))


def _line(family: str, rule: str, score: Score) -> str:
    delay = "" if score.delay is None else f"{score.delay:.1f} h"
    return (
        f"{family:13} {rule:20} {score.precision:9.3f} {score.recall:7.3f}"
        f" {score.recall_big:7.3f} {score.f1:6.3f} {delay:>12} {score.false_per_thousand:17.2f}"
    )
