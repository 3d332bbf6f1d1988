"""What is measured, one file per question: `python -m bench [NAME...]`.

A question's file has `QUESTION: str` and `run() -> Table`. Each runs in a process of its own: its memory is its own.
Numbers that are compared are taken in the same run; see each table's notes for what was measured and how.
"""

from bench.table import Row, Table

__all__ = ["Row", "Table"]
