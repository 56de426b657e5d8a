// keyword_pack PARAMS OUTPUT: folds every batchnorm into its convolution and packs the weights.
#include <lanefuse/lanefuse.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "network.h"
#include "params.h"

namespace keyword {
namespace {

// Training writes a depthwise kernel as [row][column][channel]; Lanefuse takes OHWI.
std::vector<float> ChannelsFirst(std::span<const float> weights) {
  std::vector<float> ohwi(weights.size());
  const std::size_t taps = weights.size() / kChannels;
  for (std::size_t c = 0; c < kChannels; ++c) {
    for (std::size_t tap = 0; tap < taps; ++tap)
      ohwi[c * taps + tap] = weights[tap * kChannels + c];
  }
  return ohwi;
}

class Packer {
 public:
  explicit Packer(const Params& params) : params_(params), bytes_(RoundUp64(sizeof(header_))) {}

  bool Convolution(std::size_t i) {
    const lanefuse::Conv2dShape shape = ShapeOf(i);
    const bool depthwise = shape.groups > 1;
    const std::string name =
        i == 0 ? "conv"
               : "block" + std::to_string((i - 1) / 2) + (depthwise ? ".depthwise" : ".pointwise");
    std::string error;
    const auto get = [&](const std::string& what, std::initializer_list<std::size_t> dims) {
      return params_.Get(name + what, dims, &error);
    };
    const auto weights =
        depthwise ? get(".weight", {shape.kernel_h, shape.kernel_w, kChannels})
                  : get(".weight", {kChannels, shape.kernel_h, shape.kernel_w, shape.channels});
    const auto epsilon = get(".bn.eps", {1});
    const lanefuse::BatchNorm norm{.gamma = get(".bn.gamma", {kChannels}),
                                   .beta = get(".bn.beta", {kChannels}),
                                   .mean = get(".bn.mean", {kChannels}),
                                   .variance = get(".bn.var", {kChannels}),
                                   .epsilon = epsilon.empty() ? 0.0f : epsilon[0]};
    if (!error.empty()) return Fail(error);
    const std::vector<float> ohwi =
        depthwise ? ChannelsFirst(weights) : std::vector<float>(weights.begin(), weights.end());
    lanefuse::PackedConv2d packed;
    const auto room = Room(lanefuse::PackedConv2d::Bytes(shape), i);
    const lanefuse::Status status =
        lanefuse::PackedConv2d::Pack(shape, ohwi, {}, {.after = &norm}, room, packed);
    return status.ok() || Fail(name + ": " + status.message());
  }

  bool Classifier() {
    std::string error;
    const auto weights = params_.Get("fc.weight", {kClasses, kChannels}, &error);
    const auto bias = params_.Get("fc.bias", {kClasses}, &error);
    if (!error.empty()) return Fail(error);
    lanefuse::PackedLinear packed;
    const auto room = Room(lanefuse::PackedLinear::Bytes(kClasses, kChannels), kConvolutions);
    const lanefuse::Status status = lanefuse::PackedLinear::Pack(
        {weights.data(), kClasses, kChannels}, bias, nullptr, room, packed);
    return status.ok() || Fail("fc: " + status.message());
  }

  bool Statistics() {
    std::string error;
    const auto mean = params_.Get("frontend.mean", {kCoefficients}, &error);
    const auto deviation = params_.Get("frontend.std", {kCoefficients}, &error);
    if (!error.empty()) return Fail(error);
    std::copy(mean.begin(), mean.end(), header_.mean);
    std::copy(deviation.begin(), deviation.end(), header_.deviation);
    return true;
  }

  bool Write(const char* path) {
    std::memcpy(bytes_.data(), &header_, sizeof(header_));
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "wb"), std::fclose);
    if (file == nullptr ||
        std::fwrite(bytes_.data(), 1, bytes_.size(), file.get()) != bytes_.size()) {
      return Fail(std::string(path) + ": cannot be written");
    }
    std::printf("%s: %zu bytes\n", path, bytes_.size());
    return true;
  }

  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& text) {
    error_ = text;
    return false;
  }
  std::span<std::byte> Room(std::size_t size, std::size_t layer) {
    const std::size_t at = bytes_.size();
    header_.sizes[layer] = static_cast<std::uint32_t>(size);
    bytes_.resize(RoundUp64(at + size));
    return {bytes_.data() + at, size};
  }

  const Params& params_;
  WeightFileHeader header_;
  std::vector<std::byte> bytes_;
  std::string error_;
};

int Main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: keyword_pack PARAMS OUTPUT\n");
    return 2;
  }
  Params params;
  std::string error;
  if (!params.Read(argv[1], &error)) {
    std::fprintf(stderr, "keyword_pack: %s\n", error.c_str());
    return 1;
  }
  for (std::size_t i = 0; i < kClasses; ++i) {
    if (params.classes().size() != kClasses || params.classes()[i] != kWords[i]) {
      std::fprintf(stderr, "keyword_pack: %s has other classes\n", argv[1]);
      return 1;
    }
  }
  Packer packer(params);
  bool ok = packer.Statistics();
  for (std::size_t i = 0; ok && i < kConvolutions; ++i) ok = packer.Convolution(i);
  ok = ok && packer.Classifier() && packer.Write(argv[2]);
  if (!ok) std::fprintf(stderr, "keyword_pack: %s\n", packer.error().c_str());
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace keyword

int main(int argc, char** argv) { return keyword::Main(argc, argv); }
