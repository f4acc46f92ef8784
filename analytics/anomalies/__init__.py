"""Anomalies: found early, explained, one for an entity, a type and a day.

`baseline` and `detector` are pure functions over series of days, `running` over the hours of the
day that is not over; `reading` asks for the series, `explain` and `contributors` say why, and
`lifecycle` keeps what was found. `passes` puts them together; `backtest` measures the detector.
"""
