// Oracles for convolution and pooling: double precision with a computed bound, and the stated order
// of operations in scalar float, bit for bit. Written from the cards in lanefuse/conv.h alone.
#ifndef LANEFUSE_TESTS_REFERENCE_CONV_REF_H_
#define LANEFUSE_TESTS_REFERENCE_CONV_REF_H_

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "arch/subnormals.h"
#include "lanefuse/conv.h"
#include "tests/reference/bound.h"

namespace lanefuse::test {

// The most that one rounding of a subnormal result changes: half of 2^-149.
inline constexpr double kTinyUnit = 0x1p-150;

inline size_t OutputExtent(size_t extent, size_t before, size_t after, size_t kernel, size_t stride,
                           size_t dilation) {
  const size_t padded = extent + before + after;
  const size_t reach = dilation * (kernel - 1) + 1;
  return padded < reach ? 0 : (padded - reach) / stride + 1;
}

inline size_t OutputHeight(const Conv2dShape& s, size_t height) {
  return OutputExtent(height, s.padding.top, s.padding.bottom, s.kernel_h, s.stride_h,
                      s.dilation_h);
}

inline size_t OutputWidth(const Conv2dShape& s, size_t width) {
  return OutputExtent(width, s.padding.left, s.padding.right, s.kernel_w, s.stride_w, s.dilation_w);
}

inline size_t OutputHeight(const Pool2dShape& s, size_t height) {
  return OutputExtent(height, s.padding.top, s.padding.bottom, s.kernel_h, s.stride_h, 1);
}

inline size_t OutputWidth(const Pool2dShape& s, size_t width) {
  return OutputExtent(width, s.padding.left, s.padding.right, s.kernel_w, s.stride_w, 1);
}

// The terms of one output, K = taps * channels of a group.
inline size_t TermsPerOutput(const Conv2dShape& s) {
  return s.kernel_h * s.kernel_w * (s.channels / s.groups);
}

inline float At(const ImageView<const float>& x, size_t n, size_t row, size_t col, size_t c) {
  return x.data[n * x.image_stride + row * x.row_stride + col * x.pixel_stride + c];
}

// One output element.
struct OutputIndex {
  size_t n = 0, row = 0, col = 0, channel = 0;
};

// Calls visit(x, w) for each term of one output in the stated order: taps row-major, then the
// channels of the group, a tap in the padding with x = 0.
template <class Visit>
void ForEachTerm(const ImageView<const float>& x, const Conv2dShape& s,
                 std::span<const float> weights, const OutputIndex& at, Visit&& visit) {
  const size_t depth = s.channels / s.groups;
  const size_t first = at.channel / (s.outputs / s.groups) * depth;
  const float* w = weights.data() + at.channel * TermsPerOutput(s);
  for (size_t kh = 0; kh < s.kernel_h; ++kh) {
    // Unsigned arithmetic wraps above the image, which makes such a row as invalid as one below it.
    const size_t row = at.row * s.stride_h + kh * s.dilation_h - s.padding.top;
    for (size_t kw = 0; kw < s.kernel_w; ++kw) {
      const size_t col = at.col * s.stride_w + kw * s.dilation_w - s.padding.left;
      const bool inside = row < x.height && col < x.width;
      for (size_t c = 0; c < depth; ++c, ++w) {
        visit(inside ? At(x, at.n, row, col, first + c) : 0.0f, *w);
      }
    }
  }
}

// Calls visit(index) for each output element, images, rows, columns, channels: the order in which
// the models below store their results, densely.
template <class Visit>
void ForEachOutput(size_t images, size_t height, size_t width, size_t channels, Visit&& visit) {
  for (size_t n = 0; n < images; ++n) {
    for (size_t row = 0; row < height; ++row) {
      for (size_t col = 0; col < width; ++col) {
        for (size_t c = 0; c < channels; ++c) visit(OutputIndex{n, row, col, c});
      }
    }
  }
}

// The stated order, bit for bit: from 0, one std::fma a term, then the bias (if any) as its own
// sum.
inline std::vector<float> ConvModel(const ImageView<const float>& x, const Conv2dShape& s,
                                    std::span<const float> weights, std::span<const float> bias) {
  const arch::SubnormalsLikeVectors mode;
  std::vector<float> y;
  const size_t height = OutputHeight(s, x.height), width = OutputWidth(s, x.width);
  ForEachOutput(x.images, height, width, s.outputs, [&](const OutputIndex& at) {
    float sum = 0.0f;
    ForEachTerm(x, s, weights, at, [&](float a, float w) { sum = std::fma(a, w, sum); });
    y.push_back(bias.empty() ? sum : sum + bias[at.channel]);
  });
  return y;
}

// The card: |error| <= (K + 2) * 2^-24 * sum |x w| to first order. The divisor makes it rigorous (K
// roundings in a row grow by at most K u / (1 - K u)), and each operation may also underflow.
inline Expected ConvExpected(const ImageView<const float>& x, const Conv2dShape& s,
                             std::span<const float> weights, std::span<const float> bias,
                             const OutputIndex& at) {
  double sum = 0.0, magnitude = 0.0;
  ForEachTerm(x, s, weights, at, [&](float a, float w) {
    const double product = static_cast<double>(a) * w;
    sum += product;
    magnitude += std::abs(product);
  });
  const double terms = static_cast<double>(TermsPerOutput(s));
  Expected e{sum,
             (terms + 2) * (kUnitRoundoff * magnitude + kTinyUnit) / (1 - terms * kUnitRoundoff)};
  if (!bias.empty()) {
    e.value += bias[at.channel];
    e.bound += kUnitRoundoff * (std::abs(e.value) + e.bound) + kTinyUnit;
  }
  return e;
}

// A batchnorm's channel c as a line, in double: y = x * scale + shift.
struct Line {
  double scale = 1.0, shift = 0.0;
};

inline Line BatchNormLine(const BatchNorm& norm, size_t c) {
  const double gamma = norm.gamma.empty() ? 1.0 : norm.gamma[c];
  const double beta = norm.beta.empty() ? 0.0 : norm.beta[c];
  const double scale =
      gamma / std::sqrt(static_cast<double>(norm.variance[c]) + static_cast<double>(norm.epsilon));
  return {scale, beta - norm.mean[c] * scale};
}

// after(conv(before(x)) + bias), nothing folded; either batchnorm may be null. The bound allows for
// weights and bias that were folded and rounded once: one more rounding for each term, two for
// the bias.
inline Expected ConvBatchNormExpected(const ImageView<const float>& x, const Conv2dShape& s,
                                      std::span<const float> weights, std::span<const float> bias,
                                      const BatchNorm* before, const BatchNorm* after,
                                      const OutputIndex& at) {
  const size_t depth = s.channels / s.groups;
  const size_t first = at.channel / (s.outputs / s.groups) * depth;
  const Line out = after == nullptr ? Line{} : BatchNormLine(*after, at.channel);
  double value = bias.empty() ? 0.0 : bias[at.channel];
  double terms_magnitude = 0.0;
  double shift_magnitude = std::abs(value);
  size_t c = 0;
  ForEachTerm(x, s, weights, at, [&](float a, float w) {
    const Line in = before == nullptr ? Line{} : BatchNormLine(*before, first + c);
    c = c + 1 == depth ? 0 : c + 1;
    value += (a * in.scale + in.shift) * w;
    terms_magnitude += std::abs(a * in.scale * w);
    shift_magnitude += std::abs(in.shift * w);
  });
  const double terms = static_cast<double>(TermsPerOutput(s));
  Expected e{value * out.scale + out.shift, 0.0};
  e.bound = (terms + 3) * kUnitRoundoff * terms_magnitude * std::abs(out.scale) +
            2 * kUnitRoundoff * (shift_magnitude * std::abs(out.scale) + std::abs(out.shift)) +
            kUnitRoundoff * std::abs(e.value) + (terms + 4) * kTinyUnit;
  return e;
}

// Calls visit(value) for each pixel of a pool's window that lies in the image, row-major.
template <class Visit>
void ForEachInWindow(const ImageView<const float>& x, const Pool2dShape& s, const OutputIndex& at,
                     Visit&& visit) {
  for (size_t kh = 0; kh < s.kernel_h; ++kh) {
    const size_t row = at.row * s.stride_h + kh - s.padding.top;
    if (row >= x.height) continue;
    for (size_t kw = 0; kw < s.kernel_w; ++kw) {
      const size_t col = at.col * s.stride_w + kw - s.padding.left;
      if (col < x.width) visit(At(x, at.n, row, col, at.channel));
    }
  }
}

inline std::vector<float> MaxPoolModel(const ImageView<const float>& x, const Pool2dShape& s) {
  const arch::SubnormalsLikeVectors mode;
  std::vector<float> y;
  const size_t height = OutputHeight(s, x.height), width = OutputWidth(s, x.width);
  ForEachOutput(x.images, height, width, x.channels, [&](const OutputIndex& at) {
    float max = -std::numeric_limits<float>::infinity();
    bool has_nan = false;
    ForEachInWindow(x, s, at, [&](float v) {
      has_nan = has_nan || std::isnan(v);
      if (v > max) max = v;
    });
    y.push_back(has_nan ? std::numeric_limits<float>::quiet_NaN() : max);
  });
  return y;
}

inline std::vector<float> AveragePoolModel(const ImageView<const float>& x, const Pool2dShape& s) {
  const arch::SubnormalsLikeVectors mode;
  std::vector<float> y;
  const size_t height = OutputHeight(s, x.height), width = OutputWidth(s, x.width);
  ForEachOutput(x.images, height, width, x.channels, [&](const OutputIndex& at) {
    float sum = 0.0f;
    size_t count = 0;
    ForEachInWindow(x, s, at, [&](float v) {
      sum += v;
      ++count;
    });
    if (s.count_padding) count = s.kernel_h * s.kernel_w;
    y.push_back(sum / static_cast<float>(count));
  });
  return y;
}

// n additions and a division, each rounded once.
inline Expected AveragePoolExpected(const ImageView<const float>& x, const Pool2dShape& s,
                                    const OutputIndex& at) {
  double sum = 0.0, magnitude = 0.0;
  size_t count = 0;
  ForEachInWindow(x, s, at, [&](float v) {
    sum += v;
    magnitude += std::abs(v);
    ++count;
  });
  const double roundings = static_cast<double>(count) + 1;
  if (s.count_padding) count = s.kernel_h * s.kernel_w;
  const double divisor = static_cast<double>(count);
  return {sum / divisor, roundings * kUnitRoundoff * magnitude / divisor + kTinyUnit};
}

// GlobalAveragePool is an AveragePool2d whose window is the image.
inline Pool2dShape WholeImage(const ImageView<const float>& x) {
  return {.kernel_h = x.height, .kernel_w = x.width};
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_REFERENCE_CONV_REF_H_
