"""Every form of typing and every kind of callable, with what must arrive; in all, one list."""

from . import battery_callables, battery_records, battery_values

CASES = [*battery_values.CASES, *battery_records.CASES, *battery_callables.CASES]
