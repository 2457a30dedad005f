"""Conclusions from the numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd


def words(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> dict[str, Any]:
    """Sentences."""
    return {"sentences": []}
