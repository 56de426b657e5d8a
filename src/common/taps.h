// What the rows of a tile read: for each tap of the kernel, a run of channels. A plain description
// without SIMD; a matrix product is the case of one tap.
#ifndef LANEFUSE_SRC_COMMON_TAPS_H_
#define LANEFUSE_SRC_COMMON_TAPS_H_

#include <cstddef>

namespace lanefuse {

// Zeros that stand for pixels in the padding, kZeroRun at a time.
constexpr size_t kZeroRun = 512;
extern const float kZeros[kZeroRun];

struct Taps {
  static constexpr size_t kMaxRows = 8;

  size_t kernel_h = 1, kernel_w = 1;
  size_t length = 0;  // channels of one tap
  size_t chunk = 0;   // channels between two calls of Row: `length`, or kZeroRun at a border
  size_t step_h = 0, step_w = 0;  // elements from one tap to the next

  // Row r of the tile starts at data + r * stride: inside the image for all taps ...
  const float* data = nullptr;
  size_t stride = 0;

  // ... unless this is a border tile. Then the tap (ky, kx) of row r is pixel (y + ky * dilation_h,
  // x + r * stride_w + kx * dilation_w), `data` is pixel (0, 0), and all outside is zero.
  bool border = false;
  ptrdiff_t y = 0, x = 0;
  size_t stride_w = 1;
  size_t dilation_h = 1, dilation_w = 1;
  size_t height = 0, width = 0;
  size_t row_stride = 0, pixel_stride = 0;

  // The first of at least min(chunk, length - c) channels of row r at a tap.
  inline const float* Row(size_t r, size_t ky, size_t kx, size_t c) const {
    if (!border) return data + r * stride + ky * step_h + kx * step_w + c;
    const size_t py = static_cast<size_t>(y + static_cast<ptrdiff_t>(ky * dilation_h));
    const size_t px =
        static_cast<size_t>(x + static_cast<ptrdiff_t>(r * stride_w + kx * dilation_w));
    // Negative coordinates are huge as size_t.
    if (py >= height || px >= width) return kZeros;
    return data + py * row_stride + px * pixel_stride + c;
  }
};

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_COMMON_TAPS_H_
