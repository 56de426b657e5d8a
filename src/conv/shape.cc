// Geometry of convolutions: checks, sizes, and which plan runs them.
#include "src/common/check.h"
#include "src/common/packed_format.h"
#include "src/conv/conv_args.h"

namespace lanefuse {

ConvPlan PlanFor(const Conv2dShape& shape) {
  const size_t groups = shape.groups;
  if (groups == 1) return ConvPlan::kDense;
  if (shape.channels == groups && shape.outputs == groups) return ConvPlan::kDepthwise;
  // A panel of 16 that is at least half full beats gathering.
  return GroupOutputs(shape) >= kPanelOutputs / 2 ? ConvPlan::kDense : ConvPlan::kGrouped;
}

bool PanelFloats(const Conv2dShape& shape, size_t& floats) {
  size_t outputs = PaddedOutputs(shape.outputs);
  if (PlanFor(shape) == ConvPlan::kDense) {
    outputs = PaddedOutputs(GroupOutputs(shape)) * shape.groups;
  }
  return MulAddSize(shape.kernel_h, shape.kernel_w, 0, floats) &&
         MulAddSize(floats, GroupChannels(shape), 0, floats) &&
         MulAddSize(floats, outputs, 0, floats);
}

Status CheckShape(const Conv2dShape& shape) {
  // Sizes are stored as 32 bits; 2^24 is far beyond any image and keeps products of two in 64 bits
  // (which is more than a size_t everywhere: OutputSize counts in 64).
  constexpr size_t kMax = size_t{1} << 24;
  struct Named {
    size_t value;
    bool may_be_zero;
    const char* text;
  };
  const Named sizes[] = {
      {shape.outputs, false, "shape.outputs is #, must be 1 to 2^24"},
      {shape.channels, false, "shape.channels is #, must be 1 to 2^24"},
      {shape.kernel_h, false, "shape.kernel_h is #, must be 1 to 2^24"},
      {shape.kernel_w, false, "shape.kernel_w is #, must be 1 to 2^24"},
      {shape.stride_h, false, "shape.stride_h is #, must be 1 to 2^24"},
      {shape.stride_w, false, "shape.stride_w is #, must be 1 to 2^24"},
      {shape.dilation_h, false, "shape.dilation_h is #, must be 1 to 2^24"},
      {shape.dilation_w, false, "shape.dilation_w is #, must be 1 to 2^24"},
      {shape.groups, false, "shape.groups is #, must be 1 to 2^24"},
      {shape.padding.top, true, "shape.padding.top is #, must be at most 2^24"},
      {shape.padding.bottom, true, "shape.padding.bottom is #, must be at most 2^24"},
      {shape.padding.left, true, "shape.padding.left is #, must be at most 2^24"},
      {shape.padding.right, true, "shape.padding.right is #, must be at most 2^24"},
  };
  for (const Named& size : sizes) {
    if (size.value > kMax || (size.value == 0 && !size.may_be_zero)) {
      return {StatusCode::kInvalidArgument, size.text, static_cast<int64_t>(size.value)};
    }
  }
  if (shape.channels % shape.groups != 0) {
    return {StatusCode::kInvalidArgument, "shape.groups is #, must divide shape.channels, #",
            static_cast<int64_t>(shape.groups), static_cast<int64_t>(shape.channels)};
  }
  if (shape.outputs % shape.groups != 0) {
    return {StatusCode::kInvalidArgument, "shape.groups is #, must divide shape.outputs, #",
            static_cast<int64_t>(shape.groups), static_cast<int64_t>(shape.outputs)};
  }
  return {};
}

Status CheckPixels(const ImageView<const float>& x, const ImageView<const float>& y, size_t height,
                   size_t width) {
  if (y.images != x.images) return SizeMismatch("y.images is #, x.images is #", y.images, x.images);
  if (y.height != height) return SizeMismatch("y.height is #, must be #", y.height, height);
  if (y.width != width) return SizeMismatch("y.width is #, must be #", y.width, width);
  return {};
}

Status CheckViews(const ImageView<const float>& x, const ImageView<const float>& y,
                  Extent& output) {
  constexpr ViewTexts kX = {"x.data is null", "a stride of x is #, must be at least #",
                            "x does not fit the address space"};
  constexpr ViewTexts kY = {"y.data is null", "a stride of y is #, must be at least #",
                            "y does not fit the address space"};
  Extent input;
  if (Status status = CheckView(x, kX, input); !status.ok()) return status;
  if (Status status = CheckView(y, kY, output); !status.ok()) return status;
  if (Meet(output, input) && MayOverlap(y, x)) return {StatusCode::kOverlap, "y overlaps x"};
  return {};
}

Status CheckImages(const ImageView<const float>& x, const Conv2dShape& s,
                   const ImageView<const float>& y, Extent& output) {
  if (x.channels != s.channels) {
    return SizeMismatch("x.channels is #, the weights have # channels", x.channels, s.channels);
  }
  if (y.channels != s.outputs) {
    return SizeMismatch("y.channels is #, the weights have # outputs", y.channels, s.outputs);
  }
  const size_t height =
      OutputSize(x.height, s.padding.top, s.padding.bottom, s.kernel_h, s.stride_h, s.dilation_h);
  const size_t width =
      OutputSize(x.width, s.padding.left, s.padding.right, s.kernel_w, s.stride_w, s.dilation_w);
  if (Status status = CheckPixels(x, y, height, width); !status.ok()) return status;
  return CheckViews(x, y, output);
}

Extent ExtentOf(const PackedConv2d& w) {
  size_t floats;
  if (w.bias() != nullptr) {  // lies behind the panels
    floats = static_cast<size_t>(w.bias() - w.panels()) + w.shape().outputs;
  } else {
    (void)PanelFloats(w.shape(), floats);
  }
  return ExtentOf(w.panels(), floats);
}

size_t OutputSize(size_t input, size_t before, size_t after, size_t kernel, size_t stride,
                  size_t dilation) {
  const size_t padded = input + before + after;
  // 64 bits: 2^24 times 2^24 on a 32-bit platform would look like a small kernel. Once it is known
  // to lie within the padded image, every distance between two taps fits a size_t.
  const uint64_t covered = uint64_t{dilation} * (kernel - 1) + 1;
  if (padded < covered) return 0;
  const size_t steps = padded - static_cast<size_t>(covered);
  return (stride == 1 ? steps : Quotient(steps, stride)) + 1;
}

}  // namespace lanefuse
