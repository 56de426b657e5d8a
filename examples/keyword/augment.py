"""Turns utterances into one-second clips: placement, noise, reverberation, filtering and gain."""

import numpy as np

from speech import KEYWORDS, SAMPLE_RATE, SILENCE, UNKNOWN

CLIP = SAMPLE_RATE  # One second.
FFT = 2 * CLIP  # Room for a clip and the tail of its reverberation without wrap-around.
FREQUENCIES = np.fft.rfftfreq(FFT, 1.0 / SAMPLE_RATE)


def rms(x):
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)) + 1e-20))


def coloured_noise(rng, length, slope):
    """Noise whose power falls by `slope` * 3 dB per octave: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1.0 / SAMPLE_RATE), 20.0)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2.0), length)


def hum(rng, length):
    """Mains hum with random harmonics over a little white noise."""
    t = np.arange(length) / SAMPLE_RATE
    base = rng.choice([50.0, 60.0]) * rng.uniform(0.995, 1.005)
    x = np.zeros(length)
    for k in range(1, int(rng.integers(4, 25))):
        x += rng.exponential(1.0 / k) * np.sin(2 * np.pi * (k * base * t + rng.random()))
    return x / rms(x) + 0.05 * rng.standard_normal(length)


class Mixer:
    """Makes clips from one split's utterances. `hard` adds what only training needs: a wider
    range of conditions, neighbouring words and cut-off keywords."""

    def __init__(self, utterances, rng, hard):
        self.utterances, self.rng, self.hard = utterances, rng, hard
        self.babble = self._make_babble(8 * SAMPLE_RATE)

    def _random_utterance(self):
        return self.utterances.get(int(self.rng.integers(len(self.utterances))))

    def _make_babble(self, length):
        """Eight voices at a time saying words of this split, so no voice crosses over."""
        mix = np.zeros(length, np.float32)
        for _ in range(8):
            position = -int(self.rng.integers(SAMPLE_RATE // 2))
            while position < length:
                word = self._random_utterance()
                word = word / rms(word) * self.rng.uniform(0.5, 1.0)
                begin = max(position, 0)
                end = max(begin, min(position + len(word), length))
                mix[begin:end] += word[begin - position:end - position]
                position += len(word) + int(self.rng.integers(SAMPLE_RATE // 8))
        return mix

    def noise(self):
        """One second of noise with unit RMS."""
        rng = self.rng
        kind = int(rng.integers(6))
        if kind < 3:
            x = coloured_noise(rng, CLIP, kind)
        elif kind == 3:
            x = coloured_noise(rng, CLIP, rng.uniform(0.0, 2.5)) if self.hard else hum(rng, CLIP)
        elif kind == 4:
            x = hum(rng, CLIP)
        else:
            start = int(rng.integers(len(self.babble) - CLIP))
            x = self.babble[start:start + CLIP].astype(np.float64)
        if rng.random() < 0.3:  # Slow swell, as of passing traffic.
            rate, phase = rng.uniform(0.5, 4.0), rng.random()
            swell = np.sin(2 * np.pi * (rate * np.arange(CLIP) / SAMPLE_RATE + phase))
            x = x * (1.0 + rng.uniform(0.2, 0.8) * swell)
        return x / rms(x)

    def colour(self, x):
        """Reverberation and the frequency response of rooms and microphones, in one product of
        spectra."""
        rng = self.rng
        response = np.ones(len(FREQUENCIES), complex)
        if rng.random() < 0.3:
            seconds = rng.uniform(0.1, 0.5)  # Time to decay by 60 dB.
            length = int(seconds * SAMPLE_RATE)
            tail = rng.standard_normal(length) * 10.0 ** (-3.0 * np.arange(length) / length)
            tail[0] = 0.0
            tail *= rng.uniform(0.1, 0.7) / np.sqrt(np.sum(tail ** 2))
            response += np.fft.rfft(tail, FFT)
        if self.hard and rng.random() < 0.6:
            octaves = np.log2(np.maximum(FREQUENCIES, 60.0) / 1000.0)
            response *= 10.0 ** (rng.uniform(-3.0, 3.0) * octaves / 20.0)
            if rng.random() < 0.3:
                response *= 1.0 / (1.0 + (rng.uniform(50, 300) / (FREQUENCIES + 1.0)) ** 4)
            if rng.random() < 0.3:
                response *= 1.0 / (1.0 + (FREQUENCIES / rng.uniform(3500, 7500)) ** 8)
        if np.all(response == 1.0):
            return x
        return np.fft.irfft(np.fft.rfft(x, FFT) * response, FFT)[:CLIP]

    def word(self, index):
        """An utterance with unit RMS, at most one second long."""
        word = self.utterances.get(index)
        if self.hard:  # Changes pitch, formants and tempo together.
            factor = self.rng.uniform(0.92, 1.09)
            positions = np.arange(0.0, len(word) - 1.0, factor)
            word = np.interp(positions, np.arange(len(word)), word)
        if len(word) > CLIP:
            start = (len(word) - CLIP) // 2
            word = word[start:start + CLIP]
        return word / rms(word)

    def _cut_off(self, word):
        """A keyword of which the window holds too little to be sure, at either edge."""
        visible = int(len(word) * self.rng.uniform(0.1, 0.4))
        x = np.zeros(CLIP)
        if self.rng.random() < 0.5:
            x[:visible] = word[len(word) - visible:]
        else:
            x[CLIP - visible:] = word[:visible]
        return x

    def _neighbours(self, x, begin, end):
        """Ends and beginnings of other words, as a window over running speech has them."""
        gap = int(self.rng.uniform(0.05, 0.2) * SAMPLE_RATE)
        if begin > gap and self.rng.random() < 0.7:
            word = self._random_utterance()
            take = min(len(word), begin - gap)
            x[begin - gap - take:begin - gap] += word[len(word) - take:] / rms(word)
        if end + gap < CLIP and self.rng.random() < 0.7:
            word = self._random_utterance()
            take = min(len(word), CLIP - end - gap)
            x[end + gap:end + gap + take] += word[:take] / rms(word)

    def speech(self, index):
        """(clip without noise, class): normally the utterance, anywhere it fits."""
        rng = self.rng
        label = int(self.utterances.labels[index])
        word = self.word(index)
        if self.hard and label < len(KEYWORDS) and rng.random() < 0.03:
            return self._cut_off(word), UNKNOWN
        x = np.zeros(CLIP)
        begin = int(rng.integers(CLIP - len(word) + 1))
        x[begin:begin + len(word)] = word
        if self.hard and rng.random() < 0.2:
            self._neighbours(x, begin, begin + len(word))
        return x, label

    def clip(self, index):
        """A noisy clip of utterance `index`, or of noise alone if `index` is None.

        Returns float32 samples that are multiples of 1/32768, as a recording has them, the class,
        and the signal to noise ratio in dB (infinite without noise or without a signal)."""
        rng = self.rng
        snr = np.inf
        if index is None:
            if rng.random() < 0.05:
                x = np.zeros(CLIP)
            else:
                x = self.colour(self.noise()) * 10.0 ** (rng.uniform(-75.0, -18.0) / 20.0)
            label = SILENCE
        else:
            x, label = self.speech(index)
            x = self.colour(x)
            low, high = (3.0, 30.0) if self.hard else (5.0, 25.0)
            if not self.hard or rng.random() < 0.93:
                noise = self.noise()
                snr = rng.uniform(low, high)
                if self.hard and rng.random() < 0.5:  # What is hardest to learn, more often.
                    snr = rng.uniform(low, 12.0)
                x = x + noise * 10.0 ** (-snr / 20.0)
            low, high = (-42.0, -10.0) if self.hard else (-35.0, -14.0)
            x = x * 10.0 ** (rng.uniform(low, high) / 20.0)
        x = np.clip(np.round(x * 32768.0), -32768, 32767) / 32768.0
        return x.astype(np.float32), label, snr
