// PackedLinear: weights into panels, once, ahead of all calls.
#include <algorithm>
#include <cmath>
#include <limits>

#include "lanefuse/linear.h"
#include "src/common/check.h"
#include "src/common/packed_format.h"

namespace lanefuse {

size_t PackedLinear::Bytes(size_t outputs, size_t inputs) {
  constexpr size_t kMax = std::numeric_limits<uint32_t>::max();
  if (outputs > kMax || inputs > kMax) return 0;
  size_t floats;
  if (!MulAddSize(PaddedOutputs(outputs), inputs, 0, floats)) return 0;
  return PackedBytes(floats, outputs);
}

Status PackedLinear::Pack(const MatView<const float>& w, std::span<const float> bias,
                          const BatchNorm* batchnorm, std::span<std::byte> bytes,
                          PackedLinear& packed) {
  constexpr ViewTexts kW = {"w.data is null", "w.stride is #, must be at least w.cols, #",
                            "w does not fit the address space"};
  if (Status status = CheckView(w, kW); !status.ok()) return status;
  if (!bias.empty() && bias.size() != w.rows) {
    return {StatusCode::kShapeMismatch, "bias has # values, w has # rows",
            static_cast<int64_t>(bias.size()), static_cast<int64_t>(w.rows)};
  }
  if (!bias.empty() && bias.data() == nullptr) {
    return {StatusCode::kInvalidArgument, "bias is null"};
  }
  const size_t needed = Bytes(w.rows, w.cols);
  if (Status status = CheckPackBuffer(bytes, needed); !status.ok()) return status;
  const FoldedNorm norm(batchnorm);
  if (Status status = norm.Check(w.rows); !status.ok()) return status;

  // Everything is checked before the first byte is written: a refused fold leaves `bytes` alone.
  float value;
  for (size_t n = 0; norm.present() && n < w.rows; ++n) {
    const double scale = norm.Scale(n);
    for (size_t k = 0; k < w.cols; ++k) {
      const float weight = w.data[n * w.stride + k];
      if (!RoundFinite(weight * scale, value) && std::isfinite(weight)) {
        return {StatusCode::kUnsupported, "batchnorm: folding overflows a weight of output #",
                static_cast<int64_t>(n)};
      }
    }
    const float b = bias.empty() ? 0.0f : bias[n];
    if (!RoundFinite(b * scale + norm.Shift(n), value) && std::isfinite(b)) {
      return {StatusCode::kUnsupported, "batchnorm: folding overflows the bias of output #",
              static_cast<int64_t>(n)};
    }
  }

  auto* floats = reinterpret_cast<float*>(bytes.data() + sizeof(PackedHeader));
  for (size_t panel = 0; panel < w.rows; panel += kPanelOutputs) {
    for (size_t k = 0; k < w.cols; ++k) {
      for (size_t i = 0; i < kPanelOutputs; ++i) {
        const size_t n = panel + i;
        *floats++ = n >= w.rows      ? 0.0f
                    : norm.present() ? static_cast<float>(w.data[n * w.stride + k] * norm.Scale(n))
                                     : w.data[n * w.stride + k];
      }
    }
  }
  for (size_t n = 0; n < PaddedOutputs(w.rows); ++n) {
    const float b = bias.empty() || n >= w.rows ? 0.0f : bias[n];
    *floats++ =
        norm.present() && n < w.rows ? static_cast<float>(b * norm.Scale(n) + norm.Shift(n)) : b;
  }
  PackedHeader header;
  header.kind = static_cast<uint16_t>(PackedKind::kLinear);
  header.flags = !bias.empty() || norm.present() ? kHasBias : 0;
  header.sizes[0] = static_cast<uint32_t>(w.rows);
  header.sizes[1] = static_cast<uint32_t>(w.cols);
  WriteHeader(header, bytes.first(needed));
  return View(bytes.first(needed), packed);
}

Status PackedLinear::View(std::span<const std::byte> bytes, PackedLinear& packed) {
  PackedHeader header;
  if (Status status = ReadHeader(bytes, PackedKind::kLinear, header); !status.ok()) return status;
  const size_t outputs = header.sizes[0];
  const size_t inputs = header.sizes[1];
  const bool rest_is_zero = std::all_of(header.sizes + 2, header.sizes + PackedHeader::kSizes,
                                        [](uint32_t size) { return size == 0; });
  if (!rest_is_zero || header.flags > kHasBias || bytes.size() != Bytes(outputs, inputs)) {
    return {StatusCode::kCorrupt, "bytes: # outputs and # inputs do not match their length",
            static_cast<int64_t>(outputs), static_cast<int64_t>(inputs)};
  }
  packed.panels_ = reinterpret_cast<const float*>(bytes.data() + sizeof(PackedHeader));
  packed.bias_ =
      header.flags & kHasBias ? packed.panels_ + PaddedOutputs(outputs) * inputs : nullptr;
  packed.outputs_ = outputs;
  packed.inputs_ = inputs;
  return {};
}

}  // namespace lanefuse
