"""Whole numbers as options take them."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """Return a whole number from 1 on."""
    return whole(text, 1)


def whole(text: str, lowest: int) -> int:
    """Return a whole number that is not below the lowest.

    Raises:
        ArgumentTypeError: It is no such number.
    """
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if value < lowest:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {lowest} on")
    return value
