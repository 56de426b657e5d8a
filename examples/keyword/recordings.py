"""Writes the sample recordings: noisy clips of voices that training never hears."""

import os
import wave

import numpy as np

import augment
from speech import CLASSES, KEYWORDS, SAMPLE_RATE, UNKNOWN

SEQUENCE_SECONDS = 6.5
# None stands for some word that is not a keyword.
SEQUENCE = ["yes", "left", None, "stop", "go"]


def write_wav(path, samples):
    samples = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def noisy(rng, mixer, x, snr_db, level_db):
    """Adds one-second stretches of one kind of noise, cross-faded, to speech of unit RMS."""
    noise = augment.coloured_noise(rng, len(x), rng.uniform(0.5, 1.5))
    babble = np.resize(mixer.babble, len(x))
    noise = noise / augment.rms(noise) + 0.5 * babble / augment.rms(babble)
    x = x + noise / augment.rms(noise) * 10.0 ** (-snr_db / 20.0)
    return x * 10.0 ** (level_db / 20.0)


def write(utterances, directory, seed):
    os.makedirs(directory, exist_ok=True)
    rng = np.random.default_rng([seed, 77])
    mixer = augment.Mixer(utterances, rng, hard=False)
    expected = ["# file, then the labels to be spotted in order. Synthetic speech (espeak-ng) in",
                "# synthetic noise; voices are from the test set."]

    def choose(label):
        index = int(rng.choice(utterances.by_label[label]))
        return mixer.word(index), utterances.jobs[index]

    def add(name, samples, labels, remark):
        write_wav(os.path.join(directory, name), samples)
        expected.append(f"# {remark}")
        expected.append(f"{name} {' '.join(labels)}")

    for label in list(range(len(KEYWORDS))) + [UNKNOWN]:
        word, (text, accent, variant, _, _) = choose(label)
        x = np.zeros(SAMPLE_RATE)
        begin = (SAMPLE_RATE - len(word)) // 2
        x[begin:begin + len(word)] = word
        snr = float(np.round(rng.uniform(10.0, 20.0)))
        add(f"{CLASSES[label]}.wav", noisy(rng, mixer, x, snr, rng.uniform(-30.0, -18.0)),
            [CLASSES[label]], f'"{text}", {accent}+{variant}, {snr:.0f} dB signal to noise')

    noise = augment.coloured_noise(rng, SAMPLE_RATE, 1.0)
    add("silence.wav", noise / augment.rms(noise) * 0.01, ["silence"], "pink noise alone")

    length = int(SEQUENCE_SECONDS * SAMPLE_RATE)
    x = np.zeros(length)
    spoken = []
    for i, name in enumerate(SEQUENCE):
        word, (text, accent, variant, _, _) = choose(CLASSES.index(name or "unknown"))
        centre = (i + 0.5) * length / len(SEQUENCE)
        begin = int(centre - len(word) / 2)
        x[begin:begin + len(word)] = word
        spoken.append(f'"{text}" ({accent}+{variant}) at {centre / SAMPLE_RATE:.2f} s')
    add("sequence.wav", noisy(rng, mixer, x, 15.0, -24.0), [n for n in SEQUENCE if n],
        ", ".join(spoken))

    with open(os.path.join(directory, "expected.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(expected) + "\n")
