"""One question's answer, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """`columns` head the `rows`; `notes` say what was measured; `failed` names the targets that were missed."""

    columns: Row
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = field(default=())

    def text(self) -> str:
        """Lay it out in columns; the first is left-aligned."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(len(self.columns))]
        out = []
        for number, line in enumerate(lines):
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=False))
            ]
            out.append("  ".join(cells).rstrip())
            if number == 0:
                out.append("  ".join("-" * width for width in widths))
        out += [f"* {note}" for note in self.notes]
        out += [f"! missed: {each}" for each in self.failed]
        return "\n".join(out)
