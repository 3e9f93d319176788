"""The README's table of options, made from conf/.

python scripts/options_table.py           # prints the table
python scripts/options_table.py --write   # puts it into README.md
"""

import sys
from pathlib import Path

from genlab.options import FIRST, options

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- options: made by scripts/options_table.py -->", "<!-- end of options -->"


def table() -> str:
    found = options([ROOT / "conf"])
    rows = ["| group | option | what it is |", "| --- | --- | --- |"]
    for group in FIRST:
        for k, (name, text) in enumerate(found[group].items()):
            rows.append(f"| {f'`{group}=`' if k == 0 else ''} | `{name}` | {text} |")
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
