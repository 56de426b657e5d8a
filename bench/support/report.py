#!/usr/bin/env python3
"""Prints the results of lanefuse_bench as tables and merges them into one JSON file.

    report.py [--json MERGED] RESULT.json ...

Each RESULT is what lanefuse_bench wrote with --benchmark_out: one instruction set, every
repetition. Times are medians. With one thread they are processor time, otherwise time on the wall.
A row whose repetitions are more than 20 % apart (between their quartiles) has a "~": do not quote
it.
"""
import argparse
import json
import math
import os
import statistics
import sys

IMPLEMENTATIONS = ("lanefuse", "layers", "unfused", "onednn")
NOISY = 0.2


def group_of(family, shape):
    """The group of the summary that a shape belongs to."""
    sizes = {}
    for part in shape.split("_"):
        letters = part.rstrip("0123456789x.")
        if letters and part[len(letters):].isdigit():
            sizes[letters] = int(part[len(letters):])
    if family == "linear":
        m = sizes.get("m", 1)
        return "linear m<=4" if m <= 4 else "linear m>=16"
    if family == "conv":
        depthwise = sizes.get("g", 1) > 1 and sizes["g"] == sizes.get("ic")
        return "conv depthwise" if depthwise else "conv dense"
    return family


def spread(times):
    """Distance of the quartiles over the median."""
    if len(times) < 3:
        return 0.0
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return (high - low) / middle if middle > 0 else 0.0


def read(path):
    """The rows of one result: one for each shape, in the order of the file."""
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    rows = {}
    for run in result["benchmarks"]:
        if run.get("run_type") == "aggregate":
            continue
        family, epilogue, dtype, shape, implementation, target, threads = run["name"].split("/")
        key = (family, epilogue, dtype, shape, target, threads)
        row = rows.setdefault(key, {
            "family": family, "epilogue": epilogue, "dtype": dtype, "shape": shape,
            "target": target, "threads": int(threads[1:]), "group": group_of(family, shape),
            "flops_per_byte": 0.0,
            "implementations": {}})
        cell = row["implementations"].setdefault(
            implementation, {"times": [], "peaks": [], "gflops": [], "gbps": [],
                             "label": run.get("label", "")})
        if run.get("error_occurred") or run.get("skipped"):
            cell["error"] = run.get("error_message", "wrong result")
            continue
        assert run["time_unit"] == "us", run["time_unit"]
        cell["times"].append(run["cpu_time"] if row["threads"] == 1 else run["real_time"])
        cell["peaks"].append(run.get("peak", 0.0))
        cell["gflops"].append(run.get("GFLOPS", 0.0))
        cell["gbps"].append(run.get("GBps", 0.0))
        if "activation_bytes" in run:
            cell["activation_bytes"] = run["activation_bytes"]
    for row in rows.values():
        for cell in row["implementations"].values():
            times = cell.pop("times")
            peaks, gflops, gbps = cell.pop("peaks"), cell.pop("gflops"), cell.pop("gbps")
            if times and "error" not in cell:
                cell["us"] = statistics.median(times)
                cell["spread"] = spread(times)
                cell["peak"] = statistics.median(peaks)
                cell["gflops"] = statistics.median(gflops)
                if max(gbps) > 0:
                    row["flops_per_byte"] = max(gflops) / max(gbps)
        ours = row["implementations"].get("lanefuse", {}).get("us")
        row["ratios"] = {}
        for other in ("unfused", "onednn"):
            theirs = row["implementations"].get(other, {}).get("us")
            if ours and theirs:
                row["ratios"][other] = theirs / ours
        # A comparison with code that nobody tuned says nothing.
        label = row["implementations"].get("onednn", {}).get("label", "")
        row["reference"] = label.endswith("reference code")
        row["noisy"] = any(cell.get("spread", 0.0) > NOISY
                           for cell in row["implementations"].values())
    return result["context"], list(rows.values())


def summarise(rows):
    """For each group and ratio: geometric mean, lowest (and which), quartiles."""
    summary = []
    for group in dict.fromkeys(row["group"] for row in rows):
        members = [row for row in rows if row["group"] == group]
        entry = {"group": group, "target": rows[0]["target"], "threads": rows[0]["threads"],
                 "shapes": len(members), "ratios": {}}
        for other in ("unfused", "onednn"):
            known = [(row["ratios"][other], row["epilogue"] + "/" + row["shape"])
                     for row in members if other in row["ratios"]
                     and not (other == "onednn" and row["reference"])]
            if not known:
                continue
            logs = sorted(math.log(ratio) for ratio, _ in known)
            quartiles = (statistics.quantiles(logs, n=4, method="inclusive")
                         if len(logs) > 1 else [logs[0]] * 3)
            lowest = min(known)
            entry["ratios"][other] = {
                "mean": math.exp(statistics.fmean(logs)), "lowest": lowest[0],
                "lowest_shape": lowest[1], "highest": max(known)[0],
                "quartiles": [math.exp(quartiles[0]), math.exp(quartiles[2])],
                "below_1": sum(ratio < 1.0 for ratio, _ in known), "count": len(known)}
        summary.append(entry)
    return summary


def number(value, digits=4):
    """At least three significant digits, right-aligned by the caller."""
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:#.{digits - 1}g}".rstrip(".")


def print_rows(rows, names):
    width = max(len(name) for name in names)
    # Only networks have a column for calls layer by layer, and one for memory.
    layers = any("layers" in row["implementations"] for row in rows)
    extra = f" {'layers':>9}" if layers else ""
    memory = "  MB of activations: ours, unfused, oneDNN" if layers else ""
    print(f"{'shape':{width}}  {'ours us':>9}{extra} {'unfused':>9} {'oneDNN':>9}  "
          f"{'unf/ours':>8} {'1DNN/ours':>9}  {'limit':>5}{memory}")
    for row, name in zip(rows, names):
        cells = {name: row["implementations"].get(name, {}) for name in IMPLEMENTATIONS}
        times = [("WRONG" if "error" in cell else number(cell.get("us")))
                 for key, cell in cells.items() if layers or key != "layers"]
        ratios = [row["ratios"].get(other) for other in ("unfused", "onednn")]
        peak = cells["lanefuse"].get("peak")
        limit = f"{100 * peak:.0f}%" if peak is not None else ""
        sizes = [cells[key].get("activation_bytes") for key in ("lanefuse", "unfused", "onednn")]
        memory = "".join(f"  {'' if size is None else number(size / 1e6):>7}" for size in sizes)
        print(f"{name:{width}}  {' '.join(f'{time:>9}' for time in times)}  "
              f"{'' if ratios[0] is None else f'{ratios[0]:.2f}':>8} "
              f"{'' if ratios[1] is None else f'{ratios[1]:.2f}':>9}  {limit:>5}"
              f"{memory if layers else ''}"
              f"{' ~' if row['noisy'] else ''}{' ref' if row['reference'] else ''}".rstrip())


def print_summary(summary):
    width = max(len(entry["group"]) for entry in summary)
    print(f"\n{'geometric mean (lowest)':{max(width, 24)}}  {'unfused/ours':>16}  "
          f"{'oneDNN/ours':>16}")
    for entry in summary:
        cells = []
        for other in ("unfused", "onednn"):
            ratio = entry["ratios"].get(other)
            cells.append(f"{ratio['mean']:.2f} ({ratio['lowest']:.2f})" if ratio else "")
        onednn = entry["ratios"].get("onednn")
        note = ""
        if onednn and onednn["below_1"]:
            note = (f"  below 1 in {onednn['below_1']} of {onednn['count']}, lowest: "
                    f"{onednn['lowest_shape']}")
        print(f"{entry['group']:{max(width, 24)}}  {cells[0]:>16}  {cells[1]:>16}{note}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", help="write the merged results here")
    parser.add_argument("results", nargs="+", metavar="RESULT.json")
    arguments = parser.parse_args()

    merged = {"runs": [], "rows": [], "summary": []}
    for path in arguments.results:
        context, rows = read(path)
        if not rows:
            continue
        target, threads = rows[0]["target"], rows[0]["threads"]
        baseline = context.get("baseline", "")
        print(f"\n{target}, {threads} thread{'s' * (threads > 1)}; {baseline}; limits: "
              f"{context['peak_gflops']} GFLOP/s, reads {context['read_l1_gbps']} / "
              f"{context['read_l2_gbps']} / {context['read_l3_gbps']} / "
              f"{context['read_memory_gbps']} GB/s from L1 / L2 / L3 / memory\n")
        for group in ([row for row in rows if row["family"] != "net"],
                      [row for row in rows if row["family"] == "net"]):
            if group:
                print_rows(group, [f"{row['family']}/{row['epilogue']}/{row['shape']}"
                                   for row in group])
        summary = summarise(rows)
        print_summary(summary)
        if any(row["noisy"] for row in rows):
            print(f"~ repetitions differ by more than {NOISY:.0%}: do not quote this row")
        if any(row["reference"] for row in rows):
            print("ref: oneDNN runs its reference code here; not in the means")
        merged["runs"].append({"target": target, "threads": threads, "context": context})
        merged["rows"] += rows
        merged["summary"] += summary
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(merged, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # the table was piped into head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
