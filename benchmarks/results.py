"""Result files: JSON with a head and a list of rows, written after each row, so that a command can be continued."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ibc.errors import UserError
from ibc.evaluation.evaluate import write_json
from ibc.files import read_json_object
from ibc.lock import hold

#: One line of a result file.
Row = dict[str, Any]


def read_result(path: Path) -> dict[str, Any]:
    """A result file.

    Raises:
        UserError: there is none, or it holds something else.
    """
    if not path.is_file():
        raise UserError(f"no result at {path}")
    result = read_json_object(path)
    rows = result.get("rows", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} is not a result: its rows are no list of objects")
    return result


def remembered(path: Path, wanted: Mapping[str, Any], measure: Callable[[], Row]) -> Row:
    """The content of a file that was measured with the settings ``wanted``; measured and written if it was not."""
    if path.exists():
        found = read_json_object(path)
        if found.get("wanted") == wanted:
            return found
    row = {**measure(), "wanted": dict(wanted)}
    write_json(path, row)
    return row


@dataclass(kw_only=True)
class ResultTable:
    """Rows of one result file.

    Args:
        path: of the file; None keeps rows in memory only.
        key: columns that identify a row.
        order: position of a row in the file, from its key.
        head: the rest of the file, from its rows.
        accept: whether a row that the file holds already is kept, from the file's content and the row.
    """

    path: Path | None
    key: Sequence[str]
    order: Callable[[tuple[Hashable, ...]], Any]
    head: Callable[[list[Row]], Mapping[str, Any]]
    accept: Callable[[dict[str, Any], Row], bool] = lambda result, row: True
    made: dict[tuple[Hashable, ...], Row] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """Rows of the file, which another command may be writing to as well, and those made here, in order."""
        kept: list[Row] = []
        if self.path is not None and self.path.exists():
            result = read_result(self.path)
            kept = [row for row in result["rows"] if self.accept(result, row)]
        by_key = {self.key_of(row): row for row in kept} | self.made
        return [by_key[key] for key in sorted(by_key, key=self.order)]

    def key_of(self, row: Mapping[str, Any]) -> tuple[Hashable, ...]:
        """Values of the key columns."""
        return tuple(row.get(name) for name in self.key)

    def add(self, *rows: Row) -> None:
        """Put rows into the file, in place of those with the same key."""
        self.made |= {self.key_of(row): row for row in rows}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with hold(self.path.with_name(f".{self.path.name}.lock"), waiting_for=str(self.path)):
                every = self.rows
                write_json(self.path, {**self.head(every), "rows": every})

    def fill(self, wanted: Row, measure: Callable[[], Row]) -> Row:
        """The row with all entries of ``wanted``: kept where there is one, else measured and added."""
        for row in self.rows:
            if self.key_of(row) == self.key_of(wanted) and {**row, **wanted} == row:
                print(f"{', '.join(map(str, self.key_of(row)))}: read from {self.path}")
                return row
        row = {**wanted, **measure()}
        self.add(row)
        return row


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return [lines[0], "|---" * len(head) + "|", *lines[1:]]


def column_table(columns: Mapping[str, Callable[[Row], str]], rows: Sequence[Row]) -> list[str]:
    """A Markdown table of rows: the name of each column, and its text for a row."""
    head = [name.replace("_", " ") for name in columns]
    return markdown(head, [[text(row) for text in columns.values()] for row in rows])
