"""Pictures of measured results, for bench/chart.py and bench/report. Needs matplotlib >= 3.5."""
import math
import sys

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    sys.exit("matplotlib is missing (Debian: python3-matplotlib)")

# Text stays text in an SVG, and without a date the same results give the same file.
pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lanefuse",
                        "font.family": "sans-serif"})

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


def ratio_bars(summary, baselines):
    """A figure of geometric means for each group, or None where there is no ratio."""
    panels = [(other, title) for other, title in PANELS
              if any(other in entry["ratios"] for entry in summary)]
    if not panels:
        return None
    bars = max(sum(other in entry["ratios"] for entry in summary) for other, _ in panels)
    figure, axes = pyplot.subplots(1, len(panels), squeeze=False, layout="constrained",
                                   figsize=(5.2 * len(panels), 1.4 + 0.32 * bars))
    for panel, (other, title) in zip(axes[0], panels):
        draw(panel, summary, other, title)
    handles, labels = axes[0][0].get_legend_handles_labels()
    # Below the axes: "outside lower center" is newer than matplotlib 3.6.
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0),
                  ncol=max(1, len(labels)), frameon=False, fontsize=9)
    figure.suptitle("Time relative to Lanefuse, fused: geometric mean, quartiles, lowest to highest"
                    f"\n{', '.join(baselines)}", fontsize=10)
    return figure


def rooflines(run, rows):
    """The groups of one run, a panel each: GFLOP/s over operations per byte, every shape a dot."""
    context = run["context"]
    rows = [row for row in rows if row["target"] == run["target"]
            and row["threads"] == run["threads"] and row["flops_per_byte"]]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    if not groups:
        return None
    across = min(3, len(groups))
    down = -(-len(groups) // across)
    figure, axes = pyplot.subplots(down, across, squeeze=False, layout="constrained",
                                   figsize=(4.2 * across, 3.4 * down))
    peak = float(context["peak_gflops"])
    levels = ("l1", "l2", "l3", "memory")
    roofs = [(level, float(context[f"read_{level}_gbps"])) for level in levels]
    for panel, group in zip(axes.flat, groups):
        members = [row for row in rows if row["group"] == group]
        xs = [row["flops_per_byte"] for row in members]
        low, high = min(xs) / 1.5, max(max(xs), peak / roofs[-1][1]) * 1.5
        for i, (level, bandwidth) in enumerate(roofs):
            knee = peak / bandwidth
            panel.plot([low, knee, high] if low < knee else [low, high],
                       [low * bandwidth, peak, peak] if low < knee else [peak, peak],
                       color="black", linewidth=0.8, alpha=1 - 0.2 * i)
            if low < knee:
                panel.annotate(level.upper() if level != "memory" else level,
                               (low, low * bandwidth), fontsize=7, xytext=(2, 2),
                               textcoords="offset points")
        for name, face, label in (("onednn", "none", "oneDNN"),
                                  ("lanefuse", COLOURS.get(run["target"], "#56B4E9"), "Lanefuse")):
            dots = [(row["flops_per_byte"], row["implementations"][name]["gflops"])
                    for row in members
                    if row["implementations"].get(name, {}).get("gflops")]
            panel.scatter(*zip(*dots) if dots else ((), ()), s=14, facecolors=face, linewidths=0.7,
                          edgecolors="#444444", label=label)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log", base=2)
        panel.set_xlim(low, high)
        panel.set_title(group, fontsize=10, loc="left")
        panel.grid(linewidth=0.3, alpha=0.6)
    for panel in list(axes.flat)[len(groups):]:
        panel.set_visible(False)
    for panel in axes[-1]:
        panel.set_xlabel("operations per byte of the working set", fontsize=8)
    for panel in axes[:, 0]:
        panel.set_ylabel("GFLOP/s", fontsize=8)
    axes[0][0].legend(fontsize=8, frameon=False, loc="lower right")
    threads = "" if run["threads"] == 1 else f", {run['threads']} threads"
    figure.suptitle(f"{run['target']}{threads}; {context.get('baseline', '')}", fontsize=10)
    return figure


WAYS = (("layers", "a call a layer", "#56B4E9"), ("unfused", "unfused", "#BBBBBB"),
        ("onednn", "oneDNN", "#D55E00"))


def networks(rows):
    """Whole networks: the other ways' times over Lanefuse's, a panel for each target, or None."""
    rows = [row for row in rows
            if row["family"] == "net" and row["implementations"].get("lanefuse", {}).get("us")]
    series = list(dict.fromkeys((row["target"], row["threads"]) for row in rows))
    if not series:
        return None
    names = list(dict.fromkeys(row["shape"] for row in rows))
    figure, axes = pyplot.subplots(1, len(series), squeeze=False, sharey=True,
                                   layout="constrained",
                                   figsize=(4.8 * len(series), 1.2 + 0.55 * len(names)))
    for panel, (target, threads) in zip(axes[0], series):
        for row in rows:
            if (row["target"], row["threads"]) != (target, threads):
                continue
            y = names.index(row["shape"])
            ours = row["implementations"]["lanefuse"]["us"]
            for i, (way, _, colour) in enumerate(WAYS):
                time = row["implementations"].get(way, {}).get("us")
                if time:
                    at = y - 0.25 + 0.25 * i
                    panel.barh(at, time / ours, height=0.22, color=colour)
                    panel.annotate(f"{time / ours:.2f}", (time / ours, at), xytext=(3, 0),
                                   textcoords="offset points", va="center", fontsize=7)
            shown = f"{ours / 1000:.3g} ms" if ours >= 1000 else f"{ours:.3g} \u00b5s"
            panel.annotate(shown, (0.03, y), fontsize=8, va="center", color="white",
                           bbox={"boxstyle": "round,pad=0.15", "fc": "#333333", "ec": "none"})
        panel.axvline(1, color="black", linewidth=1)
        panel.set_title(target if threads == 1 else f"{target}, {threads} threads", fontsize=10,
                        loc="left")
        panel.set_xlabel("time relative to Lanefuse, whose time is in the box", fontsize=8)
        panel.margins(x=0.12)
        panel.set_yticks(range(len(names)), names)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    axes[0][0].invert_yaxis()
    marks = [pyplot.Rectangle((0, 0), 1, 1, color=colour) for _, _, colour in WAYS]
    figure.legend(marks, [label for _, label, _ in WAYS], loc="upper center",
                  bbox_to_anchor=(0.5, 0.0), ncol=len(WAYS), frameon=False, fontsize=9)
    return figure


def save(figure, path):
    """Writes path.svg and path.png."""
    figure.savefig(path + ".svg", bbox_inches="tight", metadata={"Date": None})
    figure.savefig(path + ".png", bbox_inches="tight", dpi=160)
