"""The state that an anomaly needs."""

from __future__ import annotations

from typing import Any

from detector.correlation.anomalies.absence import Absence
from detector.correlation.anomalies.baseline import Baseline
from detector.correlation.anomalies.burning import Slo
from detector.correlation.anomalies.options import (
    AbsenceOptions,
    BaselineOptions,
    NewValueOptions,
    OutlierOptions,
    RareValueOptions,
    TravelOptions,
)
from detector.correlation.anomalies.ordered import InOrder
from detector.correlation.anomalies.outlier import Outlier
from detector.correlation.anomalies.travel import Travel
from detector.correlation.anomalies.values import NewValue, RareValue
from detector.correlation.rule import Correlation
from detector.correlation.slo import Objective


def make_anomaly(correlation: Correlation) -> InOrder[Any]:
    """An empty state."""
    match correlation.options:
        case NewValueOptions() as options:
            return NewValue(correlation, options)
        case RareValueOptions() as options:
            return RareValue(correlation, options)
        case BaselineOptions() as options:
            return Baseline(correlation, options)
        case OutlierOptions() as options:
            return Outlier(correlation, options)
        case TravelOptions() as options:
            return Travel(correlation, options)
        case AbsenceOptions() as options:
            return Absence(correlation, options)
        case Objective() as objective:
            return Slo(correlation, objective)
        case None:
            raise TypeError(f"{correlation.kind} is no anomaly")
