#include "src/common/taps.h"

namespace lanefuse {

alignas(64) const float kZeros[kZeroRun] = {};

void Taps::FillFromImage(size_t ky, size_t kx, const float** table) const {
  // Where the table holds for one tap, its columns are the rows of the tile, stride_w apart.
  const size_t step = tap_step != 0 ? 1 : stride_w;
  const ptrdiff_t first = x + static_cast<ptrdiff_t>(tap_step != 0 ? 0 : kx * dilation_w);
  const ptrdiff_t row = y + static_cast<ptrdiff_t>(ky * dilation_h);
  if (!border) {
    const float* pixel =
        data + static_cast<size_t>(row) * row_stride + static_cast<size_t>(first) * pixel_stride;
    for (size_t i = 0; i < columns; ++i) table[i] = pixel + i * step * pixel_stride;
    return;
  }
  // Negative coordinates are huge as size_t.
  const bool outside = static_cast<size_t>(row) >= height;
  for (size_t i = 0; i < columns; ++i) {
    const size_t column = static_cast<size_t>(first) + i * step;
    table[i] = outside || column >= width
                   ? kZeros
                   : data + static_cast<size_t>(row) * row_stride + column * pixel_stride;
  }
}

}  // namespace lanefuse
