"""How fast genlab is beside the plainest code that does the same, measured side by side.

    python scripts/benchmark.py --quick                    # a few minutes
    python scripts/benchmark.py --only trainer data        # some of it: see --help
    python scripts/benchmark.py --write docs/benchmarks.md # the full measurement, into the document

Every comparison alternates its two sides and reports medians, of the ratio over neighbouring pairs: machines
are noisy, such ratios less so. A ratio is the other side's time / ours, so 1 means that genlab costs nothing.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks import against_pythae, data_paths, hardware, memory, sequences, start_up, steps, sweeps
from benchmarks.measure import NotMeasured, Row
from benchmarks.pages import block, machine, replaced, text

SECTIONS: dict[str, Callable[[bool], list[Row]]] = {
    "trainer": steps.rows,
    "sequences": sequences.rows,
    "data": data_paths.rows,
    "start_up": start_up.rows,
    "sweep": sweeps.rows,
    "memory": memory.rows,
    "hardware": hardware.rows,
    "pythae": against_pythae.rows,
}
"""What can be measured: name to a function that is told whether to be quick."""


def main() -> None:
    options = parse(sys.argv[1:])
    about = machine()
    results = {}
    for name in options.only or SECTIONS:
        try:
            results[name] = SECTIONS[name](options.quick)
        except NotMeasured as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        print(
            block(name, results[name], about) if options.markdown else text(name, results[name]), flush=True
        )
    if not options.markdown:
        print("\n".join(f"{key}: {value}" for key, value in about.items()))
    if options.json:
        rows = {name: [asdict(row) for row in section] for name, section in results.items()}
        options.json.write_text(json.dumps({"machine": about, "results": rows}, indent=2) + "\n")
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        for name, section in results.items():
            page = replaced(page, name, block(name, section, about))
        options.write.write_text(page, encoding="utf-8")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few repeats and short runs")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="NAME", help=", ".join(SECTIONS))
    parser.add_argument("--markdown", action="store_true", help="print what docs/benchmarks.md holds")
    parser.add_argument("--json", type=Path, help="write the numbers of every repeat here")
    parser.add_argument("--write", type=Path, help="put the tables between this document's marks")
    options = parser.parse_args(arguments)
    if options.quick and options.write:
        parser.error("--write takes the full measurement: leave --quick out")
    return options


if __name__ == "__main__":
    main()
