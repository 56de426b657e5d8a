// PackedConv2d: weights into panels, batchnorm folded, geometry into the header.
#include <bit>
#include <cmath>

#include "src/common/check.h"
#include "src/common/packed_format.h"
#include "src/conv/conv_args.h"

namespace lanefuse {
namespace {

// Walks dense OHWI weights, applying the folds.
class Weights {
 public:
  Weights(const Conv2dShape& shape, std::span<const float> weights, std::span<const float> bias,
          const Conv2dFold& fold)
      : shape_(shape),
        weights_(weights),
        bias_(bias),
        before_(fold.before),
        after_(fold.after),
        taps_(shape.kernel_h * shape.kernel_w),
        channels_(GroupChannels(shape)) {}

  size_t depth() const { return taps_ * channels_; }
  bool folded() const { return before_.present() || after_.present(); }

  // Weight k (taps row-major, then channels of the group) of an output, in double.
  double At(size_t output, size_t k) const {
    const double w = weights_[output * depth() + k];
    const size_t group = output / GroupOutputs(shape_);
    return w * before_.Scale(group * channels_ + k % channels_) * after_.Scale(output);
  }

  double Bias(size_t output) const {
    double bias = bias_.empty() ? 0.0 : bias_[output];
    if (before_.present()) {
      const size_t group = output / GroupOutputs(shape_);
      for (size_t k = 0; k < depth(); ++k) {
        bias += weights_[output * depth() + k] * before_.Shift(group * channels_ + k % channels_);
      }
    }
    return bias * after_.Scale(output) + after_.Shift(output);
  }

  // What is packed. Without a fold every bit stays, those of a NaN too: by way of double, some CPUs
  // would make another of it.
  float PackedAt(size_t output, size_t k) const {
    return folded() ? static_cast<float>(At(output, k)) : weights_[output * depth() + k];
  }
  float PackedBias(size_t output) const {
    if (folded()) return static_cast<float>(Bias(output));
    return bias_.empty() ? 0.0f : bias_[output];
  }

  // Refuses a fold that turns a finite weight or bias into an infinite one.
  Status CheckFold() const {
    if (!folded()) return {};
    float value;
    for (size_t o = 0; o < shape_.outputs; ++o) {
      for (size_t k = 0; k < depth(); ++k) {
        if (!RoundFinite(At(o, k), value) && std::isfinite(weights_[o * depth() + k])) {
          return {StatusCode::kUnsupported, "batchnorm: folding overflows a weight of output #",
                  static_cast<int64_t>(o)};
        }
      }
      if (!RoundFinite(Bias(o), value) && (bias_.empty() || std::isfinite(bias_[o]))) {
        return {StatusCode::kUnsupported, "batchnorm: folding overflows the bias of output #",
                static_cast<int64_t>(o)};
      }
    }
    return {};
  }

 private:
  const Conv2dShape& shape_;
  std::span<const float> weights_;
  std::span<const float> bias_;
  FoldedNorm before_, after_;
  size_t taps_, channels_;
};

// One run of outputs [first, first + count) as panels.
float* WritePanels(const Weights& weights, size_t first, size_t count, float* to) {
  for (size_t panel = 0; panel < count; panel += kPanelOutputs) {
    for (size_t k = 0; k < weights.depth(); ++k) {
      for (size_t i = panel; i < panel + kPanelOutputs; ++i) {
        *to++ = i < count ? weights.PackedAt(first + i, k) : 0.0f;
      }
    }
  }
  return to;
}

Status CheckPackArguments(const Conv2dShape& shape, std::span<const float> weights,
                          std::span<const float> bias, const Conv2dFold& fold) {
  if (Status status = CheckShape(shape); !status.ok()) return status;
  size_t needed;
  if (!MulAddSize(shape.kernel_h, shape.kernel_w, 0, needed) ||
      !MulAddSize(needed, GroupChannels(shape), 0, needed) ||
      !MulAddSize(needed, shape.outputs, 0, needed)) {
    return {StatusCode::kInvalidArgument, "shape: the weights do not fit the address space"};
  }
  if (weights.size() != needed) {
    return {StatusCode::kShapeMismatch, "weights has # values, the shape needs #",
            static_cast<int64_t>(weights.size()), static_cast<int64_t>(needed)};
  }
  if (weights.data() == nullptr) return {StatusCode::kInvalidArgument, "weights is null"};
  if (!bias.empty() && bias.size() != shape.outputs) {
    return {StatusCode::kShapeMismatch, "bias has # values, shape.outputs is #",
            static_cast<int64_t>(bias.size()), static_cast<int64_t>(shape.outputs)};
  }
  if (!bias.empty() && bias.data() == nullptr) {
    return {StatusCode::kInvalidArgument, "bias is null"};
  }
  if (Status status = FoldedNorm(fold.after).Check(shape.outputs); !status.ok()) return status;
  if (Status status = FoldedNorm(fold.before).Check(shape.channels); !status.ok()) return status;
  const Padding& p = shape.padding;
  if (fold.before != nullptr && (p.top | p.bottom | p.left | p.right) != 0) {
    return {StatusCode::kUnsupported,
            "fold.before: the shape has padding, which the batchnorm must not shift; run it as an "
            "Affine step of the layer before"};
  }
  if (fold.after != nullptr && fold.output_has_other_readers) {
    return {StatusCode::kUnsupported,
            "fold.after: the convolution's output has other readers, who would see it normalised; "
            "use the Affine step"};
  }
  return {};
}

void ShapeToHeader(const Conv2dShape& shape, PackedHeader& header) {
  const size_t sizes[] = {shape.outputs,      shape.channels,       shape.kernel_h,
                          shape.kernel_w,     shape.stride_h,       shape.stride_w,
                          shape.dilation_h,   shape.dilation_w,     shape.groups,
                          shape.padding.top,  shape.padding.bottom, shape.padding.left,
                          shape.padding.right};
  for (size_t i = 0; i < std::size(sizes); ++i) header.sizes[i] = static_cast<uint32_t>(sizes[i]);
}

Conv2dShape ShapeFromHeader(const PackedHeader& header) {
  const uint32_t* s = header.sizes;
  return {.outputs = s[0],
          .channels = s[1],
          .kernel_h = s[2],
          .kernel_w = s[3],
          .stride_h = s[4],
          .stride_w = s[5],
          .dilation_h = s[6],
          .dilation_w = s[7],
          .groups = s[8],
          .padding = {.top = s[9], .bottom = s[10], .left = s[11], .right = s[12]}};
}

bool AllFinite(std::span<const float> values) {
  uint32_t carry = 0;  // out of the exponent: where it was 255
  for (const float value : values) {
    carry |= (std::bit_cast<uint32_t>(value) & 0x7F800000u) + 0x00800000u;
  }
  return (carry & 0x80000000u) == 0;
}

}  // namespace

size_t PackedConv2d::Bytes(const Conv2dShape& shape) {
  size_t floats;
  if (!CheckShape(shape).ok() || !PanelFloats(shape, floats)) return 0;
  return PackedBytes(floats, shape.outputs);
}

Status PackedConv2d::Pack(const Conv2dShape& shape, std::span<const float> weights,
                          std::span<const float> bias, const Conv2dFold& fold,
                          std::span<std::byte> bytes, PackedConv2d& packed) {
  if (Status status = CheckPackArguments(shape, weights, bias, fold); !status.ok()) return status;
  const size_t needed = Bytes(shape);
  if (Status status = CheckPackBuffer(bytes, needed); !status.ok()) return status;
  const Weights source(shape, weights, bias, fold);
  if (Status status = source.CheckFold(); !status.ok()) return status;

  auto* to = reinterpret_cast<float*>(bytes.data() + sizeof(PackedHeader));
  const size_t runs = PlanFor(shape) == ConvPlan::kDense ? shape.groups : 1;
  const size_t each = shape.outputs / runs;
  for (size_t run = 0; run < runs; ++run) to = WritePanels(source, run * each, each, to);
  for (size_t o = 0; o < PaddedOutputs(shape.outputs); ++o) {
    *to++ = o < shape.outputs ? source.PackedBias(o) : 0.0f;
  }
  PackedHeader header;
  header.kind = static_cast<uint16_t>(PackedKind::kConv2d);
  header.flags = !bias.empty() || source.folded() ? kHasBias : 0;
  ShapeToHeader(shape, header);
  WriteHeader(header, bytes.first(needed));
  return View(bytes.first(needed), packed);
}

Status PackedConv2d::View(std::span<const std::byte> bytes, PackedConv2d& packed) {
  PackedHeader header;
  if (Status status = ReadHeader(bytes, PackedKind::kConv2d, header); !status.ok()) return status;
  const Conv2dShape shape = ShapeFromHeader(header);
  const size_t expected = Bytes(shape);
  if (expected == 0 || expected != bytes.size() || header.flags > kHasBias ||
      header.sizes[13] != 0) {
    return {StatusCode::kCorrupt, "bytes: the shape in the header does not match their length, #",
            static_cast<int64_t>(bytes.size())};
  }
  size_t floats;
  (void)PanelFloats(shape, floats);
  packed.panels_ = reinterpret_cast<const float*>(bytes.data() + sizeof(PackedHeader));
  packed.bias_ = header.flags & kHasBias ? packed.panels_ + floats : nullptr;
  packed.shape_ = shape;
  packed.finite_ = AllFinite({packed.panels_, floats}) ? 1 : 0;
  return {};
}

}  // namespace lanefuse
