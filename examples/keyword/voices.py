"""The voices: named variants of espeak-ng, split into sets, and random ones for training.

espeak-ng combines an accent (a language of the English family) with a voice variant (formants,
pitch and voice quality). The sets are split by named variant, relatives of a variant always on the
same side. The named variants alone are too few to generalise from, so training also uses variants
with random parameters.
"""

import os
import re
import shutil
import subprocess

import numpy as np

ACCENTS = ["en-gb", "en-us", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan",
           "en-gb-x-gbcwmd", "en-us-nyc"]

VARIANTS = {
    "train": """
        m1 m2 m4 m7 m8 f1 f4 adam Alex Andrea Annie antonio aunty benjamin caleb croak david
        Demonic Denis ed grandma gustave Henrique iven iven2 iven3 iven4 Jacky kaukovalta klatt
        klatt2 klatt3 klatt4 klatt5 klatt6 Marco Mario max michel Mike Nguyen norbert pablo pedro
        RicishayMax RicishayMax2 RicishayMax3 rob robert robosoft robosoft2 robosoft3 robosoft4
        robosoft5 robosoft6 robosoft7 robosoft8 sandro Storm travis Tweaky UniRobot announcer
        whisper whisperf
    """.split(),
    "validation": "m5 f3 Gene Gene2 paul Alicia Lee boris miguel".split(),
    "test": """
        m3 m6 f2 f5 Andy AnxiousAndy anika anikaRobot belinda Diogo edward edward2 grandpa Hugo
        john linda marcelo Michael quincy shelby steph steph2 steph3 victor zac
    """.split(),
}
RANDOM_VARIANTS = [f"random{i}" for i in range(1500)]
RANDOM_SEED = 4711
# espeak-ng reads 349 voice files and ignores the rest: the random variants are spread over several
# copies of its data.
VARIANTS_A_COPY = 200


def random_variant(rng):
    """The text of a variant file with random pitch, vocal tract, voice quality and tone."""
    low = 70.0 * 2.0 ** rng.uniform(0.0, 2.2)
    lines = [f"pitch {low:.0f} {low * rng.uniform(1.1, 1.7):.0f}"]
    scale = rng.uniform(0.86, 1.32)  # A shorter vocal tract raises all formants together.
    for formant in range(0, 6):
        # Below the second, a formant tells vowels apart: it must not stray far on its own.
        frequency = 100.0 * scale * rng.normal(1.0, 0.05 if formant < 3 else 0.08)
        lines.append(f"formant {formant} {frequency:.0f} {rng.uniform(55, 150):.0f} "
                     f"{rng.uniform(70, 170):.0f}")
    if rng.random() < 0.5:
        lines.append(f"flutter {rng.integers(0, 20)}")
    if rng.random() < 0.4:
        lines.append(f"roughness {rng.integers(0, 6)}")
    lines.append(f"voicing {rng.uniform(50, 140):.0f}")
    lines.append(f"consonants {rng.uniform(55, 130):.0f} {rng.uniform(55, 130):.0f}")
    if rng.random() < 0.5:
        lines.append(f"tone 100 {rng.integers(120, 256)} 600 {rng.integers(60, 240)} "
                     f"1200 {rng.integers(20, 160)} 2000 {rng.integers(30, 160)} "
                     f"3000 {rng.integers(10, 140)}")
    if rng.random() < 0.15:
        lines.append(f"echo {rng.integers(10, 90)} {rng.integers(10, 50)}")
    return "\n".join(lines) + "\n"


def data_copy(variant):
    """The copy of espeak-ng's data that has this variant; a named one is in all of them."""
    return RANDOM_VARIANTS.index(variant) // VARIANTS_A_COPY if variant in RANDOM_VARIANTS else 0


def prepare_data(out_dir):
    """Copies espeak-ng's data to out_dir, adds the random variants and returns the paths of the
    copies for espeak-ng's --path option.

    A copy has the English voices alone, for the limit on the number of voice files."""
    version = subprocess.run(["espeak-ng", "--version"], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
    source = re.search(r"Data at: (.*)$", version, re.MULTILINE).group(1).strip()
    rng = np.random.default_rng(RANDOM_SEED)
    roots = []
    for first in range(0, len(RANDOM_VARIANTS), VARIANTS_A_COPY):
        root = os.path.join(out_dir, f"espeak-data{len(roots)}")
        target = os.path.join(root, "espeak-ng-data")
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("mb", "*_dict"))
        shutil.copy(os.path.join(source, "en_dict"), target)
        for family in next(os.walk(os.path.join(target, "lang")))[1]:
            if family != "gmw":  # West Germanic.
                shutil.rmtree(os.path.join(target, "lang", family))
        directory = os.path.join(target, "voices", "!v")
        for name in RANDOM_VARIANTS[first:first + VARIANTS_A_COPY]:
            with open(os.path.join(directory, name), "w", encoding="ascii") as file:
                file.write(f"language variant\nname {name}\n{random_variant(rng)}")
        roots.append(root)
    # espeak-ng speaks with its default voice if it does not know a variant, which would put that
    # voice on both sides of the split.
    missing = set(sum(VARIANTS.values(), [])) - set(os.listdir(directory))
    if missing:
        raise RuntimeError(f"this espeak-ng lacks the variants {sorted(missing)}")
    return roots
