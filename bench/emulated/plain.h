// What one writes without a library: loops in their natural order, which the compiler vectorises as
// well as it can. Weights lie as these loops like them best: outputs innermost.
#ifndef LANEFUSE_BENCH_EMULATED_PLAIN_H_
#define LANEFUSE_BENCH_EMULATED_PLAIN_H_

#include <cstddef>

#include "lanefuse/conv.h"

namespace lanefuse::bench::plain {

float Dot(const float* a, const float* b, size_t n);

// y[n] = sum_k w[n][k] x[k]
void Gemv(const float* w, const float* x, size_t n, size_t k, float* y);

// y[m][n] = sum_k x[m][k] w[k][n]
void Linear(const float* x, const float* w, size_t m, size_t k, size_t n, float* y);

// x and y as images of `height` x `width` pixels, before and after; w[ky][kx][channel][output], or
// w[ky][kx][channel] for a depthwise convolution. No dilation.
void Conv2d(const float* x, const float* w, const Conv2dShape& shape, size_t height, size_t width,
            float* y);
void Depthwise(const float* x, const float* w, const Conv2dShape& shape, size_t height,
               size_t width, float* y);

void Softmax(const float* x, size_t rows, size_t cols, float* y);
void Gelu(const float* x, size_t n, float* y);
void Silu(const float* x, size_t n, float* y);

}  // namespace lanefuse::bench::plain

#endif  // LANEFUSE_BENCH_EMULATED_PLAIN_H_
