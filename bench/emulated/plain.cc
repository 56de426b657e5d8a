#include "bench/emulated/plain.h"

#include <algorithm>
#include <cmath>

namespace lanefuse::bench::plain {
namespace {

// Calls add(output pixel, input pixel, tap) for each tap that lies within the image.
template <class Add>
void ForEachTap(const Conv2dShape& s, size_t height, size_t width, const Add& add) {
  const Padding& p = s.padding;
  const size_t out_h = (height + p.top + p.bottom - s.kernel_h) / s.stride_h + 1;
  const size_t out_w = (width + p.left + p.right - s.kernel_w) / s.stride_w + 1;
  for (size_t oy = 0; oy < out_h; ++oy) {
    for (size_t ox = 0; ox < out_w; ++ox) {
      for (size_t ky = 0; ky < s.kernel_h; ++ky) {
        for (size_t kx = 0; kx < s.kernel_w; ++kx) {
          // Beyond the border these wrap around and are too large.
          const size_t iy = oy * s.stride_h + ky - p.top;
          const size_t ix = ox * s.stride_w + kx - p.left;
          if (iy < height && ix < width) {
            add(oy * out_w + ox, iy * width + ix, ky * s.kernel_w + kx);
          }
        }
      }
    }
  }
}

size_t OutputPixels(const Conv2dShape& s, size_t height, size_t width) {
  const Padding& p = s.padding;
  return ((height + p.top + p.bottom - s.kernel_h) / s.stride_h + 1) *
         ((width + p.left + p.right - s.kernel_w) / s.stride_w + 1);
}

}  // namespace

float Dot(const float* a, const float* b, size_t n) {
  float sum = 0.0f;
  for (size_t i = 0; i < n; ++i) sum = std::fma(a[i], b[i], sum);
  return sum;
}

void Gemv(const float* w, const float* x, size_t n, size_t k, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = Dot(w + i * k, x, k);
}

void Linear(const float* __restrict x, const float* __restrict w, size_t m, size_t k, size_t n,
            float* __restrict y) {
  std::fill_n(y, m * n, 0.0f);
  for (size_t row = 0; row < m; ++row) {
    for (size_t i = 0; i < k; ++i) {
      const float a = x[row * k + i];
      for (size_t j = 0; j < n; ++j) y[row * n + j] = std::fma(a, w[i * n + j], y[row * n + j]);
    }
  }
}

void Conv2d(const float* __restrict x, const float* __restrict w, const Conv2dShape& shape,
            size_t height, size_t width, float* __restrict y) {
  const size_t inputs = shape.channels, outputs = shape.outputs;
  std::fill_n(y, OutputPixels(shape, height, width) * outputs, 0.0f);
  ForEachTap(shape, height, width, [=](size_t out, size_t in, size_t tap) {
    for (size_t c = 0; c < inputs; ++c) {
      const float a = x[in * inputs + c];
      const float* from = w + (tap * inputs + c) * outputs;
      for (size_t n = 0; n < outputs; ++n) {
        y[out * outputs + n] = std::fma(a, from[n], y[out * outputs + n]);
      }
    }
  });
}

void Depthwise(const float* __restrict x, const float* __restrict w, const Conv2dShape& shape,
               size_t height, size_t width, float* __restrict y) {
  const size_t channels = shape.channels;
  std::fill_n(y, OutputPixels(shape, height, width) * channels, 0.0f);
  ForEachTap(shape, height, width, [=](size_t out, size_t in, size_t tap) {
    for (size_t c = 0; c < channels; ++c) {
      y[out * channels + c] =
          std::fma(x[in * channels + c], w[tap * channels + c], y[out * channels + c]);
    }
  });
}

void Softmax(const float* x, size_t rows, size_t cols, float* y) {
  for (size_t r = 0; r < rows; ++r, x += cols, y += cols) {
    const float max = *std::max_element(x, x + cols);
    float sum = 0.0f;
    for (size_t c = 0; c < cols; ++c) sum += y[c] = std::exp(x[c] - max);
    for (size_t c = 0; c < cols; ++c) y[c] /= sum;
  }
}

void Gelu(const float* x, size_t n, float* y) {
  constexpr float kSqrtHalf = 0.70710678f;
  for (size_t i = 0; i < n; ++i) y[i] = 0.5f * x[i] * (1.0f + std::erf(x[i] * kSqrtHalf));
}

void Silu(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] / (1.0f + std::exp(-x[i]));
}

}  // namespace lanefuse::bench::plain
