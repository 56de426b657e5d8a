// keyword [--weights FILE] FILE.wav ...    recognises words in sound files
// keyword [--weights FILE] -               the same for raw PCM from a pipe: s16le, 16 kHz, mono
//   arecord -q -f S16_LE -r 16000 -c 1 -t raw | keyword -
//
// A file of about a second is one word. Anything longer slides a window of one second over it and
// prints a line for each word that it hears.
#include <lanefuse/lanefuse.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "audio.h"
#include "frontend.h"
#include "network.h"

#ifndef KEYWORD_WEIGHTS
#define KEYWORD_WEIGHTS "keyword.lfw"
#endif

namespace keyword {
namespace {

using Clock = std::chrono::steady_clock;

double Microseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

// Turns a stream of windows into words. A word is heard in many windows: their probabilities are
// averaged, and a word that was reported stays silent until it has left the window.
class Detector {
 public:
  static constexpr std::size_t kEvery = 5;    // frames between two inferences: 100 ms
  static constexpr std::size_t kAverage = 3;  // inferences that are averaged
  static constexpr float kThreshold = 0.65f;
  static constexpr std::size_t kQuiet = 40;  // frames, 0.8 s

  Detector(Network& network, const char* name) : network_(network), name_(name) {}

  bool Push(std::span<const float> samples) {
    while (!samples.empty()) {
      bool new_frame = false;
      samples = samples.subspan(stream_.Push(samples, &new_frame));
      if (new_frame && stream_.ready() && stream_.frames() % kEvery == 0 && !Infer()) return false;
    }
    return true;
  }
  std::size_t words() const { return words_; }

 private:
  bool Infer() {
    std::array<float, kFeatures> features;
    stream_.Features(features);
    std::array<float, kClasses>& latest = history_[inferences_++ % kAverage];
    const Clock::time_point start = Clock::now();
    const lanefuse::Status status = network_.Classify(features, latest);
    const double latency = Microseconds(start, Clock::now());
    if (!status.ok()) {
      std::fprintf(stderr, "keyword: %s\n", status.message().c_str());
      return false;
    }
    if (inferences_ < kAverage || stream_.frames() < quiet_until_) return true;
    std::array<float, kClasses> mean{};
    for (const auto& one : history_) {
      for (std::size_t i = 0; i < kClasses; ++i) mean[i] += one[i] / kAverage;
    }
    const auto best =
        static_cast<std::size_t>(std::max_element(mean.begin(), mean.end()) - mean.begin());
    if (best >= kUnknown || mean[best] < kThreshold) return true;
    // The time is that of the window's end.
    std::printf("%-28s %6.2f s  %-8s %.3f  %6.1f us\n", name_,
                static_cast<double>(stream_.frames() * kHopSamples) / kSampleRate, kWords[best],
                mean[best], latency);
    std::fflush(stdout);
    ++words_;
    quiet_until_ = stream_.frames() + kQuiet;
    return true;
  }

  Network& network_;
  const char* name_;
  FeatureStream stream_;
  std::array<std::array<float, kClasses>, kAverage> history_{};
  std::size_t inferences_ = 0;
  std::size_t quiet_until_ = 0;
  std::size_t words_ = 0;
};

// One clip of about a second: padded or cut to 16000 samples, one inference.
bool Recognise(Network& network, const char* name, std::vector<float> samples) {
  samples.resize(kClipSamples);
  FrontEnd front_end;
  std::array<float, kFeatures> features;
  std::array<float, kClasses> probabilities;
  if (!front_end.Mfcc(samples, features)) return false;
  double latency = 0;
  for (int run = 0; run < 3; ++run) {  // the first run finds cold caches
    const Clock::time_point start = Clock::now();
    const lanefuse::Status status = network.Classify(features, probabilities);
    latency = Microseconds(start, Clock::now());
    if (!status.ok()) {
      std::fprintf(stderr, "keyword: %s\n", status.message().c_str());
      return false;
    }
  }
  const auto best = static_cast<std::size_t>(
      std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin());
  std::printf("%-28s           %-8s %.3f  %6.1f us\n", name, kWords[best], probabilities[best],
              latency);
  return true;
}

const char* BaseName(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

bool RunFile(Network& network, const char* path) {
  std::vector<float> samples;
  std::string error;
  if (!ReadAudioFile(path, &samples, &error)) {
    std::fprintf(stderr, "keyword: %s\n", error.c_str());
    return false;
  }
  if (samples.size() <= kClipSamples * 3 / 2) {
    return Recognise(network, BaseName(path), std::move(samples));
  }
  Detector detector(network, BaseName(path));
  return detector.Push(samples);
}

bool RunPipe(Network& network) {
  PcmReader reader(stdin);
  Detector detector(network, "-");
  std::array<float, kHopSamples> samples;
  std::size_t count;
  while ((count = reader.Read(samples)) != 0) {
    if (!detector.Push({samples.data(), count})) return false;
  }
  return !reader.failed();
}

// Reads one-second feature records (490 floats) and prints the best class of each: how the accuracy
// on the held-out set is reproduced. A line for each: class, then all probabilities.
bool RunFeatures(Network& network, const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) {
    std::fprintf(stderr, "keyword: %s: cannot be opened\n", path);
    return false;
  }
  std::array<float, kFeatures> features;
  std::array<float, kClasses> probabilities;
  bool ok = true;
  while (ok && std::fread(features.data(), sizeof(float), kFeatures, file) == kFeatures) {
    ok = network.Classify(features, probabilities).ok();
    const auto best = std::max_element(probabilities.begin(), probabilities.end());
    std::printf("%d", static_cast<int>(best - probabilities.begin()));
    for (const float p : probabilities) std::printf(" %.9g", p);
    std::printf("\n");
  }
  std::fclose(file);
  return ok;
}

int Main(int argc, char** argv) {
  std::string weights = KEYWORD_WEIGHTS;
  std::vector<const char*> inputs;
  const char* features = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--weights") == 0 && i + 1 < argc) {
      weights = argv[++i];
    } else if (std::strcmp(argv[i], "--features") == 0 && i + 1 < argc) {
      features = argv[++i];
    } else {
      inputs.push_back(argv[i]);
    }
  }
  if (inputs.empty() && features == nullptr) {
    std::fprintf(stderr,
                 "usage: keyword [--weights FILE] FILE.wav ...\n"
                 "       keyword [--weights FILE] -        raw s16le PCM, 16 kHz mono\n"
                 "       keyword [--weights FILE] --features FILE\n");
    return 2;
  }
  Network network;
  std::string error;
  if (!network.Load(weights, &error)) {
    std::fprintf(stderr, "keyword: %s\n", error.c_str());
    return 1;
  }
  bool ok = features == nullptr || RunFeatures(network, features);
  for (const char* input : inputs) {
    ok = (std::strcmp(input, "-") == 0 ? RunPipe(network) : RunFile(network, input)) && ok;
  }
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace keyword

int main(int argc, char** argv) { return keyword::Main(argc, argv); }
