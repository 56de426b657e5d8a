// Convolution and pooling over NHWC images.
#ifndef LANEFUSE_CONV_H_
#define LANEFUSE_CONV_H_

#include <cstddef>
#include <span>

#include "lanefuse/epilogue.h"
#include "lanefuse/export.h"
#include "lanefuse/packed.h"
#include "lanefuse/parallel.h"
#include "lanefuse/status.h"
#include "lanefuse/view.h"

namespace lanefuse {

// Pixels added around an image.
struct Padding {
  size_t top = 0, bottom = 0, left = 0, right = 0;
};

// The geometry of a convolution. Output height = (H + top + bottom - dilation_h * (kernel_h - 1)
// - 1) / stride_h + 1, rounded down; likewise the width.
struct Conv2dShape {
  size_t outputs = 0;   // output channels
  size_t channels = 0;  // input channels
  size_t kernel_h = 1, kernel_w = 1;
  size_t stride_h = 1, stride_w = 1;
  size_t dilation_h = 1, dilation_w = 1;
  size_t groups = 1;  // divides outputs and channels; groups == channels is a depthwise convolution
  Padding padding{};
};

struct Conv2dFold {
  const BatchNorm* after = nullptr;   // over the outputs
  const BatchNorm* before = nullptr;  // over the input channels; refused with padding
  // The convolution's own output is read elsewhere too: folding would change what is read there, so
  // a batchnorm is refused.
  bool output_has_other_readers = false;
};

// Weights and geometry of a convolution in the layout of packed.h (k: taps row-major, then the
// channels of the group). It points into bytes that it does not own.
class PackedConv2d {
 public:
  // The size of the packed weights; 0 where `shape` is invalid.
  LANEFUSE_API static size_t Bytes(const Conv2dShape& shape);

  // Packs `weights`, dense OHWI: [outputs][kernel_h][kernel_w][channels / groups], an optional bias
  // and batchnorms. Errors: kInvalidArgument (shape), kShapeMismatch (sizes), kBufferTooSmall,
  // kUnsupported (a fold that is wrong or not finite).
  LANEFUSE_API static Status Pack(const Conv2dShape& shape, std::span<const float> weights,
                                  std::span<const float> bias, const Conv2dFold& fold,
                                  std::span<std::byte> bytes, PackedConv2d& packed);

  // Checks packed bytes (reads them twice) and points at them. Errors: kCorrupt,
  // kInvalidArgument.
  LANEFUSE_API static Status View(std::span<const std::byte> bytes, PackedConv2d& packed);

  const Conv2dShape& shape() const { return shape_; }
  const float* panels() const { return panels_; }
  const float* bias() const { return bias_; }
  bool finite() const { return finite_ != 0; }  // no weight is infinite or NaN

 private:
  const float* panels_ = nullptr;
  const float* bias_ = nullptr;
  Conv2dShape shape_{};
  size_t finite_ = 0;  // a word, as in lanefuse_packed_conv2d
};

// y[n, oy, ox, o] = epilogue(sum over taps and channels of x * w) (after the packed bias)
//
// Order     From 0, one fused multiply-add for each tap (row-major) and channel, ascending. A tap
//           in the padding adds 0 * w like any other (so an infinite weight there gives NaN).
// Shapes    x: N x H x W x channels; y: N x OH x OW x outputs. An empty output is success.
// Memory    y must not overlap x or w; an Add or Mul operand may be y itself. No im2col, no buffer:
//           < 8 KiB of stack. No alignment needed; reads [0, channels) of each pixel.
// Errors    kInvalidArgument, kShapeMismatch, kOverlap; on error y is untouched.
// Accuracy  |error of a sum| <= (K + 2) * 2^-24 * sum |x w| to first order, K = taps * channels of
//           a group. Bits equal on every target with FMA, for any number of images and threads.
// Threads   Pixels are split, or outputs where there are more weights than inputs, when there are
//           at least 2^18 multiply-adds a thread.
// Method    Direct convolution on register tiles of pixels x outputs; the indirect idea of Dukhan
//           (arXiv 1907.02129) with the addresses of one tile at a time.
LANEFUSE_API Status Conv2d(const ImageView<const float>& x, const PackedConv2d& w,
                           const Epilogue& epilogue, const ImageView<float>& y,
                           const Parallel& parallel = {});

// A convolution and the pointwise one behind it as one call; the first is depthwise as a rule:
//
//   y = epilogue(pointwise * middle(depthwise * x))
//
// The bits are those of two calls of Conv2d with the tensor between them written out; here a few
// rows of it at a time lie in `scratch`, and stay in the caches.
//
// Shapes    As Conv2d; `pointwise` is 1x1 with stride 1 and no padding. Operands of `middle` have
//           the shape of what lies between.
// Memory    SeparableConv2dScratch floats of scratch, whose contents are lost; they do not grow
//           with the height. With less, but enough for one thread, fewer threads run. `scratch` may
//           not overlap anything else, y neither, but that an Add or Mul operand of `epilogue`
//           may be y itself. < 12 KiB of stack.
// Errors    As Conv2d; kBufferTooSmall. On error y and scratch are untouched.
// Accuracy  That of the calls one by one.
// Threads   Output rows are split when there are at least 2^18 multiply-adds a thread.
// Method    Layer fusion in bands of rows (Alwani et al., MICRO 2016), with the kernels of Conv2d.
LANEFUSE_API Status SeparableConv2d(const ImageView<const float>& x, const PackedConv2d& depthwise,
                                    const Epilogue& middle, const PackedConv2d& pointwise,
                                    const Epilogue& epilogue, const ImageView<float>& y,
                                    std::span<float> scratch, const Parallel& parallel = {});

// The floats of scratch that SeparableConv2d wants for images like x (x.data is not looked at);
// 0 where the shapes do not fit each other. The number depends on this CPU's caches.
LANEFUSE_API size_t SeparableConv2dScratch(const ImageView<const float>& x,
                                           const PackedConv2d& depthwise,
                                           const PackedConv2d& pointwise,
                                           const Parallel& parallel = {});

// The block of MobileNetV2 and its successors: as SeparableConv2d, with another pointwise
// convolution in front of it:
//
//   y = epilogue(project * middle(depthwise * first(expand * x)))
//
// For the residual connection add x to the epilogue: Epilogue().Add(x).
LANEFUSE_API Status InvertedResidual(const ImageView<const float>& x, const PackedConv2d& expand,
                                     const Epilogue& first, const PackedConv2d& depthwise,
                                     const Epilogue& middle, const PackedConv2d& project,
                                     const Epilogue& epilogue, const ImageView<float>& y,
                                     std::span<float> scratch, const Parallel& parallel = {});
LANEFUSE_API size_t InvertedResidualScratch(const ImageView<const float>& x,
                                            const PackedConv2d& expand,
                                            const PackedConv2d& depthwise,
                                            const PackedConv2d& project,
                                            const Parallel& parallel = {});

struct Pool2dShape {
  size_t kernel_h = 1, kernel_w = 1;
  size_t stride_h = 1, stride_w = 1;
  Padding padding{};           // smaller than the kernel on every side
  bool count_padding = false;  // AveragePool2d: divide by the whole window at the borders too
};

// y = epilogue(max over the window); padding never wins; a NaN in the window gives NaN.
// Shapes, memory and errors as Conv2d; x and y have equal channels. Threads split output rows.
LANEFUSE_API Status MaxPool2d(const ImageView<const float>& x, const Pool2dShape& shape,
                              const Epilogue& epilogue, const ImageView<float>& y,
                              const Parallel& parallel = {});

// y = epilogue(sum over the window, row-major from 0, divided by the number of its pixels that lie
// in the image). Errors as MaxPool2d.
LANEFUSE_API Status AveragePool2d(const ImageView<const float>& x, const Pool2dShape& shape,
                                  const Epilogue& epilogue, const ImageView<float>& y,
                                  const Parallel& parallel = {});

// y[n, 0, 0, c] = epilogue(sum over all pixels, row-major from 0, divided by their number).
// y: N x 1 x 1 x channels. An image without pixels is kInvalidArgument: it has no average.
LANEFUSE_API Status GlobalAveragePool(const ImageView<const float>& x, const Epilogue& epilogue,
                                      const ImageView<float>& y, const Parallel& parallel = {});

}  // namespace lanefuse

#endif  // LANEFUSE_CONV_H_
