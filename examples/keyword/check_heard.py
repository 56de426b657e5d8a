"""Compares what `keyword` printed with the words that the recordings hold.

Usage: check_heard.py EXPECTED HEARD; both have a file's name first, EXPECTED then its words.
"""

import sys


def main():
    expected_path, heard_path = sys.argv[1:]
    heard = {}
    with open(heard_path) as lines:
        for line in lines:
            fields = line.split()
            # name [time "s"] word probability latency "us"
            heard.setdefault(fields[0], []).append(fields[-4])
    wrong = total = 0
    with open(expected_path) as lines:
        for line in lines:
            name, *words = line.split("#")[0].split() or [None]
            if name is None:
                continue
            total += 1
            if heard.get(name, []) != words:
                wrong += 1
                print(f"{name}: expected {' '.join(words)}, heard {' '.join(heard.get(name, []))}")
    print(f"{total - wrong} of {total} recordings as expected")
    # The network is right in about 95 of 100 clips, so one or two of these may be wrong; more than
    # that means that something is broken.
    return 1 if total == 0 or wrong > 2 else 0


if __name__ == "__main__":
    sys.exit(main())
