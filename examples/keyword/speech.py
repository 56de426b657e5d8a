"""Synthetic speech for the keyword spotter: word lists, what is said, and the calls of espeak-ng.

All speech is synthetic. No voice of the test set is heard during training: see voices.py.
"""

import hashlib
import io
import json
import multiprocessing
import os
import subprocess
import wave

import numpy as np

from voices import ACCENTS, RANDOM_VARIANTS, VARIANTS, data_copy, prepare_data

SAMPLE_RATE = 16000
ESPEAK_RATE = 22050

KEYWORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
CLASSES = KEYWORDS + ["unknown", "silence"]
UNKNOWN = CLASSES.index("unknown")
SILENCE = CLASSES.index("silence")

# "unknown" has plain words and words that resemble a keyword, but no homophones (know, write).
UNKNOWN_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve twenty hundred
    bed bird boat book box bread bridge bus car chair chess child city coffee cold cough cup cut
    day dog door dream earth egg eye face farm fast father find fire fish five floor flower food
    found game gate girl glass goat gone good green guess hand happy hat heart help hill home horse
    house ice iron job key king lamp land leaf lest letter lift light long love low lunch milk moon
    mother music name nest new night nose note open paper park people pull rain ready ride ring
    road rock room salt sea ship shoe shop shut sing sister sleep snow so soft song soon spring
    star start step stock stone story street sugar sun table tea time today toe top town train tree
    turn wall water week white wind window wolf woman wood word yellow yet young brown under over
    banana computer tomorrow yesterday finally anything elephant remember telephone
""".split()
UNKNOWN_WORDS = sorted(set(UNKNOWN_WORDS))

# Spoken in the test set only: half of its "unknown" clips are words never trained on.
UNSEEN_WORDS = """
    apple bottle candle dollar engine forest guitar hammer island jacket kitchen ladder mountain
    number orange pencil queen river silver tiger uncle valley winter basket cloud drop knot rough
    gold loft
""".split()


def resample(samples, from_rate):
    """Band-limited resampling to SAMPLE_RATE by truncating the spectrum of the whole clip."""
    gcd = np.gcd(from_rate, SAMPLE_RATE)
    period_in, period_out = from_rate // gcd, SAMPLE_RATE // gcd
    periods = -(-len(samples) // period_in) + 1  # At least one sample of padding.
    n_in, n_out = periods * period_in, periods * period_out
    spectrum = np.fft.rfft(samples, n_in)[:n_out // 2 + 1]
    return np.fft.irfft(spectrum, n_out) * (n_out / n_in)


def synthesise(job):
    """(data path, (word, accent, variant, speed, pitch)) -> 16 kHz int16 samples without silence
    around."""
    path, (word, accent, variant, speed, pitch) = job
    result = subprocess.run(
        ["espeak-ng", f"--path={path}", "-v", f"{accent}+{variant}", "-s", str(speed), "-p",
         str(pitch), "--stdout", word], check=True, stdout=subprocess.PIPE)
    with wave.open(io.BytesIO(result.stdout)) as reader:
        assert (reader.getframerate(), reader.getnchannels()) == (ESPEAK_RATE, 1)
    # espeak-ng cannot know the length when it writes the header to a pipe: use what is there.
    data = result.stdout[result.stdout.index(b"data") + 8:]
    data = np.frombuffer(data[:len(data) // 2 * 2], "<i2").astype(np.float64)
    samples = resample(data, ESPEAK_RATE)
    loud = np.nonzero(np.abs(samples) > 0.015 * np.abs(samples).max(initial=1.0))[0]
    if len(loud) < SAMPLE_RATE // 20:
        raise RuntimeError(f"espeak-ng produced no speech for {job}")
    margin = SAMPLE_RATE // 100
    samples = samples[max(0, loud[0] - margin):loud[-1] + margin]
    # Headroom: resampling may overshoot a full-scale sample.
    return np.clip(np.round(samples * 0.8), -32768, 32767).astype(np.int16)


def plan(split, seed, quick):
    """The list of (class, job) of a split; `seed` decides speeds, pitches and unknown words."""
    rng = np.random.default_rng([seed, list(VARIANTS).index(split)])
    training = split == "train"
    speeds, pitches = ((100, 241), (5, 96)) if training else ((115, 221), (20, 81))
    jobs = []

    def add(variant, accent):
        def voice():
            return accent, variant, int(rng.integers(*speeds)), int(rng.integers(*pitches))
        for label, word in enumerate(KEYWORDS):
            jobs.append((label, (word, *voice())))
        # The other words need variety, not many takes of each.
        for _ in range(4 if training else 1):
            unseen = split == "test" and rng.random() < 0.5
            words = UNSEEN_WORDS if unseen else UNKNOWN_WORDS
            jobs.append((UNKNOWN, (words[rng.integers(len(words))], *voice())))

    for variant in VARIANTS[split]:
        for accent in ACCENTS:
            for _ in range(2 if split == "test" else 1):
                add(variant, accent)
    if training:
        for variant in RANDOM_VARIANTS[:40 if quick else None]:
            for accent in rng.choice(ACCENTS, 3, replace=False):
                add(variant, str(accent))
    return jobs


class Utterances:
    """The utterances of one split: labels, jobs and samples in one array."""

    def __init__(self, samples, offsets, jobs):
        self.samples, self.offsets = samples, offsets
        self.labels = np.array([label for label, _ in jobs])
        self.jobs = [job for _, job in jobs]
        self.by_label = [np.nonzero(self.labels == c)[0] for c in range(len(CLASSES))]

    def __len__(self):
        return len(self.labels)

    def get(self, index):
        samples = self.samples[self.offsets[index]:self.offsets[index + 1]]
        return samples.astype(np.float32) / 32768.0


def load_utterances(split, out_dir, seed, quick, processes):
    """Synthesises a split, or loads it if the same plan was synthesised before."""
    jobs = plan(split, seed, quick)
    digest = hashlib.sha256(json.dumps(jobs).encode()).hexdigest()[:12]
    path = os.path.join(out_dir, f"utterances_{split}_{digest}.npz")
    if not os.path.exists(path):
        roots = prepare_data(out_dir)
        print(f"synthesising {len(jobs)} utterances for {split}", flush=True)
        with multiprocessing.Pool(processes) as pool:
            clips = pool.map(synthesise, [(roots[data_copy(job[2])], job) for _, job in jobs],
                             chunksize=64)
        offsets = np.concatenate([[0], np.cumsum([len(c) for c in clips])])
        with open(path + ".tmp", "wb") as file:
            np.savez(file, samples=np.concatenate(clips), offsets=offsets)
        os.replace(path + ".tmp", path)
    with np.load(path) as data:
        return Utterances(data["samples"], data["offsets"], jobs)
