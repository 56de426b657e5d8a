#!/usr/bin/env python3
"""Trains the keyword spotter's DS-CNN and writes its parameters.

    train.py --out DIR --features PATH/keyword_features [--recordings DIR] [--quick]

The training data is made here, from nothing but espeak-ng: THE SPEECH IS SYNTHETIC, and the
accuracy this script prints is accuracy on synthetic speech in synthetic noise. speech.py lists
the words, voices.py the voices; augment.py makes noisy one-second clips of them. Twelve classes:
ten keywords, "unknown" (other words) and "silence" (noise alone). The voices of the test set are
never used in training, and its clips are all noisy (5 to 25 dB signal to noise).

Features come from the C++ front end (keyword_features), the one inference uses. Everything slow is
cached in the output directory, keyed by the options that decide it. Seeds are fixed; the last bits
of the result still depend on the number of threads and the version of PyTorch.

Needs espeak-ng, NumPy and PyTorch (1.13 or later). Writes to DIR:

    keyword.params                the parameters; the format is in params_file.py
    test_features.bin             the test set: N x 490 float32, not normalised
    test_labels.bin               N int32 classes
    test_logits.bin               N x 12 float32, the network's output before the softmax
    features_reference.bin        the recordings: M x 490 float32, not normalised
    logits_reference.bin          M x 12 float32
    probabilities_reference.bin   M x 12 float32, after the softmax
    reference.txt                 M lines: file, first sample of the window, best class

All binary files are little-endian. With --recordings, also writes the sample recordings there.
"""

import argparse
import glob
import hashlib
import inspect
import json
import multiprocessing
import os
import subprocess
import time

import numpy as np

# Idle threads should sleep, not spin, or training crawls on a machine that does other work as well.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import torch  # Reads the variable when it loads.
from torch import nn
from torch.optim import swa_utils

import augment
import recordings
import speech
from params_file import write_params
from speech import CLASSES, UNKNOWN
from voices import VARIANTS

SEED = 20240229
FRAMES, COEFFICIENTS = 49, 10
FEATURES = FRAMES * COEFFICIENTS
BLOCKS = 4
CHANNELS = 64
COPIES = 4  # Noisy clips of each utterance, of which each epoch sees a random part.
EPOCHS_A_PASS = 2
STEP_FRAMES = 5  # Between the reference windows over a recording longer than a second.


def normalised_input(features, mean, std):
    x = features.reshape(-1, 1, FRAMES, COEFFICIENTS)
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


class DsCnn(nn.Module):
    """The DS-CNN of MLPerf Tiny: a convolution, then pairs of depthwise and pointwise ones, each
    with batch normalisation (hence without bias) and ReLU; average pooling; one dense layer."""

    def __init__(self):
        super().__init__()
        # TensorFlow's "same" padding for 49 x 10, kernel 10 x 4, stride 2: the odd row goes below.
        self.pad = nn.ZeroPad2d((1, 1, 4, 5))
        self.conv = nn.Conv2d(1, CHANNELS, (10, 4), stride=2, bias=False)
        self.conv_bn = nn.BatchNorm2d(CHANNELS)
        self.depthwise = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False)
            for _ in range(BLOCKS))
        self.depthwise_bn = nn.ModuleList(nn.BatchNorm2d(CHANNELS) for _ in range(BLOCKS))
        self.pointwise = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False) for _ in range(BLOCKS))
        self.pointwise_bn = nn.ModuleList(nn.BatchNorm2d(CHANNELS) for _ in range(BLOCKS))
        self.fc = nn.Linear(CHANNELS, len(CLASSES))

    def forward(self, x):
        x = torch.relu(self.conv_bn(self.conv(self.pad(x))))
        for i in range(BLOCKS):
            x = torch.relu(self.depthwise_bn[i](self.depthwise[i](x)))
            x = torch.relu(self.pointwise_bn[i](self.pointwise[i](x)))
        return self.fc(x.mean(dim=(2, 3)))


def tensors(model, mean, std):
    """The (name, array) pairs of keyword.params, in file order."""
    def weights(name, value):
        return name, value.detach().numpy()

    def batch_norm(name, bn):
        return [weights(f"{name}.gamma", bn.weight), weights(f"{name}.beta", bn.bias),
                weights(f"{name}.mean", bn.running_mean), weights(f"{name}.var", bn.running_var),
                (f"{name}.eps", np.array([bn.eps], np.float32))]

    result = [weights("frontend.mean", mean), weights("frontend.std", std)]
    # PyTorch's OIHW to OHWI; a depthwise O1HW to HWC.
    result += [weights("conv.weight", model.conv.weight.permute(0, 2, 3, 1))]
    result += batch_norm("conv.bn", model.conv_bn)
    for i in range(BLOCKS):
        depthwise = model.depthwise[i].weight[:, 0].permute(1, 2, 0)
        result += [weights(f"block{i}.depthwise.weight", depthwise)]
        result += batch_norm(f"block{i}.depthwise.bn", model.depthwise_bn[i])
        pointwise = model.pointwise[i].weight.permute(0, 2, 3, 1)
        result += [weights(f"block{i}.pointwise.weight", pointwise)]
        result += batch_norm(f"block{i}.pointwise.bn", model.pointwise_bn[i])
    return result + [weights("fc.weight", model.fc.weight), weights("fc.bias", model.fc.bias)]


def run_features(tool, clips):
    result = subprocess.run([tool, "--clips"], input=clips.astype(np.float32).tobytes(),
                            check=True, stdout=subprocess.PIPE)
    return np.frombuffer(result.stdout, np.float32).reshape(-1, FEATURES).copy()


def make_chunk(task):
    """Features, labels and signal to noise ratios of one chunk; its own seed makes it independent
    of scheduling."""
    utterances, indices, seed, hard, tool = task
    mixer = augment.Mixer(utterances, np.random.default_rng(seed), hard)
    clips, labels, snrs = zip(*(mixer.clip(None if i < 0 else int(i)) for i in indices))
    return run_features(tool, np.stack(clips)), np.array(labels, np.int32), np.array(snrs)


# Where make_chunk finds the utterances in a worker process: sending them with every task would
# copy hundreds of megabytes.
_shared = {}


def make_shared_chunk(task):
    return make_chunk((_shared["utterances"], *task))


def make_set(split, copies, args):
    """Features, labels and signal to noise ratios of a split: `copies` clips of every utterance,
    plus silence."""
    utterances = speech.load_utterances(split, args.out, SEED, args.quick, args.processes)
    per_keyword = len(utterances.by_label[0])
    indices = np.concatenate([np.tile(np.arange(len(utterances)), copies),
                              np.full(copies * per_keyword, -1)])
    seed = [SEED, 1000 + list(VARIANTS).index(split)]
    indices = indices[np.random.default_rng(seed).permutation(len(indices))]

    # Whatever changes the features changes the name of the cache file.
    digest = hashlib.sha256(inspect.getsource(augment).encode())
    digest.update(json.dumps(utterances.jobs).encode())
    with open(args.features, "rb") as file:
        digest.update(file.read())
    digest.update(indices.tobytes())
    path = os.path.join(args.out, f"features_{split}_{digest.hexdigest()[:12]}.npz")
    if not os.path.exists(path):
        print(f"mixing {len(indices)} clips for {split}", flush=True)
        tasks = [(chunk, seed + [i], split == "train", args.features)
                 for i, chunk in enumerate(np.array_split(indices, -(-len(indices) // 400)))]
        _shared["utterances"] = utterances
        with multiprocessing.get_context("fork").Pool(args.processes) as pool:
            chunks = pool.map(make_shared_chunk, tasks, chunksize=1)
        with open(path + ".tmp", "wb") as file:
            np.savez(file, features=np.concatenate([c[0] for c in chunks]),
                     labels=np.concatenate([c[1] for c in chunks]),
                     snrs=np.concatenate([c[2] for c in chunks]))
        os.replace(path + ".tmp", path)
    with np.load(path) as data:
        return data["features"], data["labels"], data["snrs"]


def predict(model, mean, std, features):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(normalised_input(part, mean, std))
                          for part in torch.from_numpy(features).split(512)]).numpy()


def accuracy(logits, labels):
    return float(np.mean(logits.argmax(axis=1) == labels))


class Trainer:
    """The data, the loss and the batches of a training."""

    BATCH = 96

    def __init__(self, features, labels, validation, mean, std):
        self.x, self.y = torch.from_numpy(features), torch.from_numpy(labels).long()
        self.validation, self.mean, self.std = validation, mean, std
        # "unknown" has the most clips, for variety; it should not be the answer in doubt as well.
        weight = torch.ones(len(CLASSES))
        weight[UNKNOWN] = 0.4
        self.loss_of = nn.CrossEntropyLoss(weight=weight, label_smoothing=0.02)
        self.steps = len(self.x) // self.BATCH // EPOCHS_A_PASS

    def batches(self):
        order = torch.randperm(len(self.x))
        for indices in order[:self.steps * self.BATCH].split(self.BATCH):
            yield normalised_input(self.x[indices], self.mean, self.std), self.y[indices]

    def epoch(self, name, model, optimiser, after_step):
        model.train()
        start, total = time.time(), 0.0
        for x, y in self.batches():
            optimiser.zero_grad()
            loss = self.loss_of(model(x), y)
            loss.backward()
            optimiser.step()
            after_step()
            total += float(loss) / self.steps
        logits = predict(model, self.mean, self.std, self.validation[0])
        print(f"{name}  loss {total:.4f}  validation accuracy "
              f"{100 * accuracy(logits, self.validation[1]):.2f} %  {time.time() - start:.0f} s",
              flush=True)


def fit(trainer, epochs):
    """One cycle of the learning rate, up and down."""
    model = DsCnn().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=5e-3, total_steps=epochs * trainer.steps, pct_start=0.15)
    for epoch in range(epochs):
        trainer.epoch(f"epoch {epoch + 1}/{epochs}", model, optimiser, schedule.step)
    return model


def settle(trainer, model, epochs):
    """Some epochs more with a constant learning rate, of which the mean of the parameters is kept:
    what it says of a voice that it has not heard depends less on the last few steps."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
    mean = swa_utils.AveragedModel(model)
    for epoch in range(epochs):
        trainer.epoch(f"epoch {epoch + 1}/{epochs} of the mean", model, optimiser,
                      lambda: mean.update_parameters(model))
    swa_utils.update_bn((x for x, _ in trainer.batches()), mean)
    return mean.module


def report(logits, labels, snrs, out_dir):
    lines = []
    for low in (10, 5):
        part = snrs >= low  # Silence has no signal and belongs to both.
        lines.append(f"test accuracy on held-out voices, {low} to 25 dB signal to noise: "
                     f"{100 * accuracy(logits[part], labels[part]):.2f} % of {part.sum()} clips")
    lines.append("by class, 5 to 25 dB:")
    for c, name in enumerate(CLASSES):
        of_class = logits[labels == c].argmax(axis=1)
        wrong = np.bincount(of_class[of_class != c], minlength=len(CLASSES))
        confusions = ", ".join(f"{CLASSES[k]} {wrong[k]}"
                               for k in np.argsort(-wrong)[:3] if wrong[k])
        lines.append(f"  {name:8s} {100 * np.mean(of_class == c):6.2f} % of {len(of_class)}"
                     + (f"   taken for: {confusions}" if confusions else ""))
    print("\n".join(lines))
    with open(os.path.join(out_dir, "accuracy.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def write_reference(model, mean, std, directory, args):
    """What the network makes of the recordings, for comparison with another implementation."""
    blocks, lines = [], []
    for path in sorted(glob.glob(os.path.join(directory, "*.wav"))):
        result = subprocess.run([args.features, "--step", str(STEP_FRAMES), path], check=True,
                                stdout=subprocess.PIPE)
        features = np.frombuffer(result.stdout, np.float32).reshape(-1, FEATURES).copy()
        logits = predict(model, mean, std, features)
        blocks.append((features, logits))
        lines += [f"{os.path.basename(path)} {i * STEP_FRAMES * 320} {CLASSES[row.argmax()]}"
                  for i, row in enumerate(logits)]
    features = np.concatenate([b[0] for b in blocks])
    logits = np.concatenate([b[1] for b in blocks])
    probabilities = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    for name, array in (("features", features), ("logits", logits),
                        ("probabilities", probabilities)):
        array.astype("<f4").tofile(os.path.join(args.out, f"{name}_reference.bin"))
    with open(os.path.join(args.out, "reference.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", required=True, help="directory for caches and results")
    parser.add_argument("--features", required=True, help="the keyword_features program")
    parser.add_argument("--recordings", help="also (re)write the sample recordings there")
    parser.add_argument("--epochs", type=int, default=0, help="default: 24, or 5 with --quick")
    parser.add_argument("--resume", action="store_true",
                        help="begin at the last part, from the checkpoint in --out")
    parser.add_argument("--quick", action="store_true", help="a small set, to try things out")
    parser.add_argument("--processes", type=int, default=2, help="for the data")
    parser.add_argument("--threads", type=int, default=2, help="for the training")
    args = parser.parse_args()
    args.features = os.path.abspath(args.features)
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)

    test = make_set("test", 1, args)
    if args.recordings:
        test_utterances = speech.load_utterances("test", args.out, SEED, args.quick, args.processes)
        recordings.write(test_utterances, args.recordings, SEED)
    validation = make_set("validation", 3, args)
    features, labels, _ = make_set("train", 2 if args.quick else COPIES, args)

    by_frame = features.reshape(-1, COEFFICIENTS).astype(np.float64)
    mean = torch.from_numpy(by_frame.mean(axis=0).astype(np.float32))
    std = torch.from_numpy(by_frame.std(axis=0).astype(np.float32))
    torch.manual_seed(SEED)
    trainer = Trainer(features, labels, validation, mean, std)
    checkpoint = os.path.join(args.out, "checkpoint.pt")
    if args.resume:
        model = DsCnn().to(memory_format=torch.channels_last)
        model.load_state_dict(torch.load(checkpoint)["model"])
    else:
        model = fit(trainer, args.epochs or (5 if args.quick else 24))
        torch.save({"model": model.state_dict()}, checkpoint)
    model = settle(trainer, model, 1 if args.quick else 6)

    write_params(os.path.join(args.out, "keyword.params"), CLASSES, tensors(model, mean, std))
    logits = predict(model, mean, std, test[0])
    test[0].astype("<f4").tofile(os.path.join(args.out, "test_features.bin"))
    test[1].astype("<i4").tofile(os.path.join(args.out, "test_labels.bin"))
    logits.astype("<f4").tofile(os.path.join(args.out, "test_logits.bin"))
    report(logits, test[1], test[2], args.out)
    directory = args.recordings or os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                "recordings")
    if glob.glob(os.path.join(directory, "*.wav")):
        write_reference(model, mean, std, directory, args)


if __name__ == "__main__":
    main()
