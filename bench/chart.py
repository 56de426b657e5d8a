#!/usr/bin/env python3
"""Draws how much faster fused calls are than unfused ones and than oneDNN.

    bench/chart.py RESULTS.json OUTPUT

RESULTS.json comes from bench/run --json. Writes OUTPUT.svg and OUTPUT.png (OUTPUT may end in
either): for each family a bar at the geometric mean of the ratios, one for each instruction set,
with the lowest and the highest ratio as a thin line and the quartiles as a thick one. Shapes that
oneDNN runs in its reference code are left out of its panel. Needs matplotlib >= 3.5 (Debian:
python3-matplotlib).
"""
import argparse
import json
import math
import sys

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    sys.exit("chart.py: matplotlib is missing (Debian: python3-matplotlib)")

# Distinguishable in print and with the common colour blindnesses (Okabe and Ito, 2008).
COLOURS = {"AVX512": "#0072B2", "AVX512_VNNI": "#0072B2", "AVX2": "#E69F00", "SSE4": "#999999",
           "NEON": "#009E73", "NEON_DOTPROD": "#009E73", "SVE": "#CC79A7", "SVE2": "#CC79A7"}
PANELS = (("onednn", "oneDNN / fused"), ("unfused", "unfused / fused"))


def tick(power):
    return f"{2**power}x" if power >= 0 else f"1/{2**-power}x"


def draw(axes, entries, other, title):
    """One panel: groups on the y axis, a bar for each target, ratios on a logarithmic x axis."""
    entries = [entry for entry in entries if other in entry["ratios"]]
    groups = list(dict.fromkeys(entry["group"] for entry in entries))
    series = list(dict.fromkeys((entry["target"], entry["threads"]) for entry in entries))
    height = 0.8 / max(1, len(series))
    for i, (target, threads) in enumerate(series):
        label = target if threads == 1 else f"{target}, {threads} threads"
        for entry in entries:
            if (entry["target"], entry["threads"]) != (target, threads):
                continue
            ratio = entry["ratios"][other]
            y = groups.index(entry["group"]) - 0.4 + (i + 0.5) * height
            # Bars start at 1: to the right fused is faster, to the left slower.
            axes.barh(y, ratio["mean"] - 1, height * 0.9, left=1, label=label,
                      color=COLOURS.get(target, "#56B4E9"), alpha=1 if threads == 1 else 0.6)
            label = None
            axes.plot([ratio["lowest"], ratio["highest"]], [y, y], color="black", linewidth=0.8)
            axes.plot(ratio["quartiles"], [y, y], color="black", linewidth=2.4,
                      solid_capstyle="butt")
            axes.annotate(f"{ratio['mean']:.2f}", (ratio["highest"], y), xytext=(4, 0),
                          textcoords="offset points", va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    if entries:
        low = min(entry["ratios"][other]["lowest"] for entry in entries)
        high = max(entry["ratios"][other]["highest"] for entry in entries)
        powers = range(math.floor(math.log2(min(low, 1))), math.ceil(math.log2(max(high, 2))) + 1)
        every = 1 + len(powers) // 9  # more labels would run into each other
        shown = [p for p in powers if p % every == 0]
        axes.set_xticks([2.0**p for p in shown], [tick(p) for p in shown])
        axes.set_xlim(2.0**powers[0] * 0.95, 2.0**powers[-1] * 1.35)
    axes.minorticks_off()
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.grid(axis="x", linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, fontsize=11, loc="left")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("results", metavar="RESULTS.json")
    parser.add_argument("output", metavar="OUTPUT", help="with or without .svg or .png")
    arguments = parser.parse_args()
    output = arguments.output.removesuffix(".svg").removesuffix(".png")
    with open(arguments.results, encoding="utf-8") as file:
        merged = json.load(file)
    panels = [(other, title) for other, title in PANELS
              if any(other in entry["ratios"] for entry in merged["summary"])]
    if not panels:
        sys.exit("chart.py: no ratios in " + arguments.results)

    bars = max(sum(other in entry["ratios"] for entry in merged["summary"]) for other, _ in panels)
    # Text stays text in the SVG, and without a date the same results give the same file.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lanefuse",
                            "font.family": "sans-serif"})
    figure, axes = pyplot.subplots(1, len(panels), squeeze=False, layout="constrained",
                                   figsize=(5.2 * len(panels), 1.4 + 0.32 * bars))
    for panel, (other, title) in zip(axes[0], panels):
        draw(panel, merged["summary"], other, title)
    handles, labels = axes[0][0].get_legend_handles_labels()
    # Below the axes: "outside lower center" is newer than matplotlib 3.6.
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0),
                  ncol=max(1, len(labels)), frameon=False, fontsize=9)
    baselines = sorted({run["context"].get("baseline", "") for run in merged["runs"]})
    figure.suptitle("Time relative to Lanefuse, fused: geometric mean, quartiles, lowest to highest"
                    f"\n{', '.join(baselines)}", fontsize=10)
    figure.savefig(output + ".svg", bbox_inches="tight", metadata={"Date": None})
    figure.savefig(output + ".png", bbox_inches="tight", dpi=160)
    return 0


if __name__ == "__main__":
    sys.exit(main())
