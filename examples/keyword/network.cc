#include "network.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace keyword {

using lanefuse::Conv2d;
using lanefuse::Epilogue;
using lanefuse::ImageView;
using lanefuse::Relu;
using lanefuse::Status;

lanefuse::Conv2dShape ShapeOf(std::size_t convolution) {
  // "Same" padding as training frameworks define it: the odd pixel goes to the bottom and right.
  if (convolution == 0) {
    return {.outputs = kChannels,
            .channels = 1,
            .kernel_h = 10,
            .kernel_w = 4,
            .stride_h = 2,
            .stride_w = 2,
            .padding = {.top = 4, .bottom = 5, .left = 1, .right = 1}};
  }
  if (convolution % 2 == 1) {
    return {.outputs = kChannels,
            .channels = kChannels,
            .kernel_h = 3,
            .kernel_w = 3,
            .groups = kChannels,
            .padding = {.top = 1, .bottom = 1, .left = 1, .right = 1}};
  }
  return {.outputs = kChannels, .channels = kChannels};
}

Network::~Network() {
  if (map_ != nullptr) munmap(map_, map_size_);
}

bool Network::Load(const std::string& path, std::string* error) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (file < 0 || fstat(file, &info) != 0) {
    *error = path + ": cannot be opened";
    if (file >= 0) close(file);
    return false;
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  void* map = size == 0 ? MAP_FAILED : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (map == MAP_FAILED) {
    *error = path + ": cannot be mapped";
    return false;
  }
  if (map_ != nullptr) munmap(map_, map_size_);
  map_ = map;
  map_size_ = size;

  WeightFileHeader header;
  if (size < sizeof(header)) {
    *error = path + ": too short for a header";
    return false;
  }
  std::memcpy(&header, map, sizeof(header));
  if (std::memcmp(header.magic, WeightFileHeader().magic, sizeof(header.magic)) != 0) {
    *error = path + ": no weights of this network";
    return false;
  }
  const auto* bytes = static_cast<const std::byte*>(map);
  std::size_t at = RoundUp64(sizeof(header));
  for (std::size_t i = 0; i <= kConvolutions; ++i) {
    if (at > size || header.sizes[i] > size - at) {
      *error = path + ": truncated";
      return false;
    }
    const std::span<const std::byte> layer(bytes + at, header.sizes[i]);
    const Status status = i < kConvolutions ? lanefuse::PackedConv2d::View(layer, convolutions_[i])
                                            : lanefuse::PackedLinear::View(layer, classifier_);
    if (!status.ok()) {
      *error = path + ": layer " + std::to_string(i) + ": " + status.message();
      return false;
    }
    // Another geometry would be refused by the first Classify; say it here, where the file is
    // known.
    const bool fits = i < kConvolutions
                          ? lanefuse::PackedConv2d::Bytes(ShapeOf(i)) == layer.size()
                          : classifier_.outputs() == kClasses && classifier_.inputs() == kChannels;
    if (!fits) {
      *error = path + ": layer " + std::to_string(i) + " has another shape";
      return false;
    }
    at = RoundUp64(at + header.sizes[i]);
  }
  for (std::size_t c = 0; c < kCoefficients; ++c) {
    mean_[c] = header.mean[c];
    deviation_[c] = header.deviation[c];
    if (!std::isfinite(mean_[c]) || !std::isfinite(deviation_[c]) || deviation_[c] <= 0) {
      *error = path + ": damaged statistics of the front end";
      return false;
    }
  }
  return true;
}

Status Network::Classify(std::span<const float, kFeatures> features,
                         std::span<float, kClasses> probabilities) {
  std::copy(features.begin(), features.end(), input_.begin());
  Normalise(mean_, deviation_, input_);
  return Run(input_.data(), probabilities);
}

Status Network::Run(const float* normalised, std::span<float, kClasses> probabilities) {
  const lanefuse::Parallel one{.threads = 1};  // 50 us of work: a second thread would cost more
  const ImageView<const float> input(normalised, kFrames, kCoefficients, 1);
  ImageView<float> from(ping_.data(), kHeight, kWidth, kChannels);
  ImageView<float> to(pong_.data(), kHeight, kWidth, kChannels);
  const auto relu = Epilogue().Act(Relu());
  if (Status s = Conv2d(input, convolutions_[0], relu, from, one); !s.ok()) return s;
  for (std::size_t i = 1; i < kConvolutions; ++i) {
    if (Status s = Conv2d(from, convolutions_[i], relu, to, one); !s.ok()) return s;
    std::swap(from, to);
  }
  std::array<float, kChannels> average;
  const ImageView<float> pooled(average.data(), 1, 1, kChannels);
  if (Status s = GlobalAveragePool(from, Epilogue(), pooled, one); !s.ok()) return s;
  const lanefuse::MatView<float> row(probabilities);
  const lanefuse::MatView<const float> features(std::span<const float>{average});
  if (Status s = Linear(features, classifier_, Epilogue(), row, one); !s.ok()) return s;
  return Softmax(row, {}, row, one);
}

}  // namespace keyword
