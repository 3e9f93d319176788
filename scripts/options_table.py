"""The README's table of options, made from conf/.

python scripts/options_table.py           # prints the table
python scripts/options_table.py --write   # puts it into README.md
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GROUPS = (
    "model", "data", "model/network", "model/likelihood", "model/loss", "model/optimizer", "model/scheduler",
    "trainer", "logger", "experiment", "debug",
)  # fmt: skip
BEGIN, END = "<!-- options: made by scripts/options_table.py -->", "<!-- end of options -->"


def describe(option: Path) -> str:
    """An option file's one-line description: its first comment that is no directive."""
    for line in option.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ").rstrip(".")
    raise SystemExit(f"{option}: begins with no one-line description")


def table() -> str:
    rows = ["| group | option | what it is |", "| --- | --- | --- |"]
    for group in GROUPS:
        files = sorted((ROOT / "conf" / group).glob("*.yaml"))
        for k, option in enumerate(files):
            rows.append(f"| {f'`{group}=`' if k == 0 else ''} | `{option.stem}` | {describe(option)} |")
    return "\n".join(rows)


def replaced(readme: str) -> str:
    """The README with the table of today between its marks."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    if "--write" in sys.argv:
        readme.write_text(replaced(readme.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
