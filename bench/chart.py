#!/usr/bin/env python3
"""Draws how much faster fused calls are than unfused ones and than oneDNN.

    bench/chart.py [--networks] RESULTS.json OUTPUT

RESULTS.json comes from bench/run --json. Writes OUTPUT.svg and OUTPUT.png (OUTPUT may end in
either): for each family a bar at the geometric mean of the ratios, one for each instruction set,
with the lowest and the highest ratio as a thin line and the quartiles as a thick one. Shapes that
oneDNN runs in its reference code are left out of its panel. With --networks: whole networks, each
way of running them relative to ours. Needs matplotlib >= 3.5 (Debian: python3-matplotlib).
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import plots  # noqa: E402  (beside this file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", action="store_true", help="whole networks instead")
    parser.add_argument("results", metavar="RESULTS.json")
    parser.add_argument("output", metavar="OUTPUT", help="with or without .svg or .png")
    arguments = parser.parse_args()
    output = arguments.output.removesuffix(".svg").removesuffix(".png")
    with open(arguments.results, encoding="utf-8") as file:
        merged = json.load(file)
    baselines = sorted({run["context"].get("baseline", "") for run in merged["runs"]})
    figure = (plots.networks(merged["rows"]) if arguments.networks
              else plots.ratio_bars(merged["summary"], baselines))
    if figure is None:
        sys.exit("chart.py: nothing to draw in " + arguments.results)
    plots.save(figure, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
