#include "src/common/taps.h"

#include <algorithm>

#include "src/common/divide.h"

namespace lanefuse {

alignas(64) const float kZeros[kZeroRun] = {};

void Taps::Fill(size_t ky, size_t kx, const float** table) const {
  // Where the table holds for one tap, its columns are the rows of the tile, stride_w apart.
  const size_t step = tap_step != 0 ? 1 : stride_w;
  const ptrdiff_t start = x + static_cast<ptrdiff_t>(tap_step != 0 ? 0 : kx * dilation_w);
  const size_t row = static_cast<size_t>(y) + ky * dilation_h;
  // Columns [left, right) of the table are pixels of the image.
  size_t left = 0, right = columns;
  if (border) {
    // Negative coordinates are huge as size_t.
    if (row >= height) {
      left = right = columns;
    } else {
      // How many columns begin before a coordinate `ahead` of the first.
      const auto before = [&](ptrdiff_t ahead) {
        if (ahead <= 0) return size_t{0};
        const size_t count = static_cast<size_t>(ahead);
        return std::min(step == 1 ? count : QuotientUp(count, step), columns);
      };
      left = before(-start);
      right = std::max(before(static_cast<ptrdiff_t>(width) - start), left);
    }
    for (size_t i = 0; i < left; ++i) table[i] = kZeros;
    for (size_t i = right; i < columns; ++i) table[i] = kZeros;
  }
  // Locals: a store to the table might change a member, for all that the compiler knows.
  const float* const base = data;
  const size_t pixel_step = step * pixel_stride;
  size_t at = row * row_stride + static_cast<size_t>(start) * pixel_stride + left * pixel_step;
  for (size_t i = left; i < right; ++i, at += pixel_step) table[i] = base + at;
}

}  // namespace lanefuse
