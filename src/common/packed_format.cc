#include "src/common/packed_format.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "src/common/check.h"

namespace lanefuse {
namespace {

static_assert(std::endian::native == std::endian::little,
              "packed weights are little-endian and used in place");

// One lane of the checksum: a multiplicative mix whose every step can be undone, so that a change
// of any one word always changes the lane.
uint64_t Mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio, odd
  return hash ^ (hash >> 29);
}

// Four lanes, because one would wait for its multiplication at every word.
uint64_t Checksum(const PackedHeader& header, const std::byte* payload, size_t size) {
  uint64_t lanes[4] = {1, 2, 3, 4};
  const auto add = [&lanes](const std::byte* bytes, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, bytes + i, count - i < 8 ? count - i : 8);
      lanes[i / 8 % 4] = Mix(lanes[i / 8 % 4], word);
    }
  };
  PackedHeader clean = header;
  clean.checksum = 0;
  std::byte head[sizeof(clean)];
  std::memcpy(head, &clean, sizeof(clean));
  add(head, sizeof(head));
  add(payload, size);
  return Mix(Mix(Mix(Mix(size, lanes[0]), lanes[1]), lanes[2]), lanes[3]);
}

}  // namespace

size_t PackedBytes(size_t panel_floats, size_t outputs) {
  size_t floats;
  if (outputs >= kMaxElements - kPanelOutputs) return 0;
  if (!MulAddSize(1, panel_floats, PaddedOutputs(outputs), floats)) return 0;
  return sizeof(PackedHeader) + floats * sizeof(float);
}

void WriteHeader(PackedHeader header, std::span<std::byte> bytes) {
  header.payload_bytes = bytes.size() - sizeof(header);
  header.checksum = Checksum(header, bytes.data() + sizeof(header), header.payload_bytes);
  std::memcpy(bytes.data(), &header, sizeof(header));
}

Status ReadHeader(std::span<const std::byte> bytes, PackedKind kind, PackedHeader& header) {
  if (bytes.data() == nullptr) return {StatusCode::kInvalidArgument, "bytes is null"};
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(float) != 0) {
    return {StatusCode::kInvalidArgument, "bytes is not aligned to 4 bytes (64 is best)"};
  }
  if (bytes.size() < sizeof(header)) {
    return {StatusCode::kCorrupt, "bytes has # bytes, fewer than a header (#)",
            static_cast<int64_t>(bytes.size()), sizeof(header)};
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != PackedHeader::kMagic) {
    return {StatusCode::kCorrupt, "bytes are not packed weights (magic number)"};
  }
  if (header.version != PackedHeader::kVersion) {
    return {StatusCode::kCorrupt, "bytes have format version #, this library reads #",
            header.version, PackedHeader::kVersion};
  }
  if (header.kind != static_cast<uint16_t>(kind)) {
    return {StatusCode::kCorrupt, "bytes hold weights of kind #, expected # (1 linear, 2 conv2d)",
            header.kind, static_cast<int64_t>(kind)};
  }
  if (header.type != PackedHeader::kF32) {
    return {StatusCode::kCorrupt, "bytes hold weights of type #, expected # (f32)", header.type,
            PackedHeader::kF32};
  }
  if (header.payload_bytes != bytes.size() - sizeof(header)) {
    return {StatusCode::kCorrupt, "bytes has # bytes behind the header, which promises #",
            static_cast<int64_t>(bytes.size() - sizeof(header)),
            static_cast<int64_t>(header.payload_bytes)};
  }
  if (header.checksum != Checksum(header, bytes.data() + sizeof(header), header.payload_bytes)) {
    return {StatusCode::kCorrupt, "bytes do not match their checksum"};
  }
  return {};
}

Status CheckPackBuffer(std::span<const std::byte> bytes, size_t needed) {
  if (needed == 0) {
    return {StatusCode::kInvalidArgument, "the weights do not fit the address space"};
  }
  if (bytes.data() == nullptr) return {StatusCode::kInvalidArgument, "bytes is null"};
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(float) != 0) {
    return {StatusCode::kInvalidArgument, "bytes is not aligned to 4 bytes (64 is best)"};
  }
  if (bytes.size() < needed) {
    return {StatusCode::kBufferTooSmall, "bytes has # bytes, Bytes() asks for #",
            static_cast<int64_t>(bytes.size()), static_cast<int64_t>(needed)};
  }
  return {};
}

double FoldedNorm::Scale(size_t c) const {
  if (norm_ == nullptr) return 1.0;
  const double gamma = norm_->gamma.empty() ? 1.0 : norm_->gamma[c];
  return gamma / std::sqrt(static_cast<double>(norm_->variance[c]) + norm_->epsilon);
}

double FoldedNorm::Shift(size_t c) const {
  if (norm_ == nullptr) return 0.0;
  const double beta = norm_->beta.empty() ? 0.0 : norm_->beta[c];
  return beta - norm_->mean[c] * Scale(c);
}

Status FoldedNorm::Check(size_t channels) const {
  if (norm_ == nullptr) return {};
  const auto channels_wanted = static_cast<int64_t>(channels);
  if (norm_->mean.data() == nullptr && !norm_->mean.empty()) {
    return {StatusCode::kInvalidArgument, "batchnorm.mean is null"};
  }
  if (norm_->mean.size() != channels) {
    return {StatusCode::kShapeMismatch, "batchnorm.mean has # values, the layer # channels",
            static_cast<int64_t>(norm_->mean.size()), channels_wanted};
  }
  if (norm_->variance.data() == nullptr && !norm_->variance.empty()) {
    return {StatusCode::kInvalidArgument, "batchnorm.variance is null"};
  }
  if (norm_->variance.size() != channels) {
    return {StatusCode::kShapeMismatch, "batchnorm.variance has # values, the layer # channels",
            static_cast<int64_t>(norm_->variance.size()), channels_wanted};
  }
  if (norm_->gamma.data() == nullptr && !norm_->gamma.empty()) {
    return {StatusCode::kInvalidArgument, "batchnorm.gamma is null"};
  }
  if (!norm_->gamma.empty() && norm_->gamma.size() != channels) {
    return {StatusCode::kShapeMismatch, "batchnorm.gamma has # values, the layer # channels",
            static_cast<int64_t>(norm_->gamma.size()), channels_wanted};
  }
  if (norm_->beta.data() == nullptr && !norm_->beta.empty()) {
    return {StatusCode::kInvalidArgument, "batchnorm.beta is null"};
  }
  if (!norm_->beta.empty() && norm_->beta.size() != channels) {
    return {StatusCode::kShapeMismatch, "batchnorm.beta has # values, the layer # channels",
            static_cast<int64_t>(norm_->beta.size()), channels_wanted};
  }
  for (size_t c = 0; c < channels; ++c) {
    if (!std::isfinite(Scale(c)) || !std::isfinite(Shift(c))) {
      return {StatusCode::kUnsupported,
              "batchnorm: the scale or shift of channel # is not finite, so it cannot be folded",
              static_cast<int64_t>(c)};
    }
  }
  return {};
}

bool RoundFinite(double value, float& out) {
  out = static_cast<float>(value);
  return std::isfinite(out);
}

}  // namespace lanefuse
