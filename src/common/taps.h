// What the rows of a tile read: for each tap of a kernel, a run of channels. A plain description
// without SIMD; a matrix product is the case of one tap.
#ifndef LANEFUSE_SRC_COMMON_TAPS_H_
#define LANEFUSE_SRC_COMMON_TAPS_H_

#include <cstddef>
#include <cstdint>

namespace lanefuse {

class RunTable;

// Zeros that stand for pixels in the padding, kZeroRun channels at a time.
constexpr size_t kZeroRun = 1024;
extern const float kZeros[kZeroRun];

// What lies `by` floats behind `data`, which may be no part of the array before an image begins.
inline const float* At(const float* data, size_t by) {
  return reinterpret_cast<const float*>(reinterpret_cast<uintptr_t>(data) + by * sizeof(float));
}

// A tap of a row at the border of an image: its distance from tap 0, and the rows of a tile that
// find it inside: [begin, end) of those in the first row of an image, and a bit for each of all.
struct EdgeTap {
  static constexpr size_t kTaps = 21;  // of a row
  size_t offset;
  uint16_t begin, end;
  uint32_t rows;
};

struct Taps {
  // Pixels of an input row that a tile may keep at hand; wider tiles look them up for each tap.
  static constexpr size_t kMaxColumns = 64;

  struct Range {
    size_t first, last;
    bool Has(size_t i) const { return first <= i && i < last; }
  };

  size_t kernel_h = 1, kernel_w = 1;
  size_t length = 0;  // channels of one tap

  // A tile reads its pointers from a table of columns: row r at tap kx finds its pixel at
  // columns[r * row_step + kx * tap_step]. The table holds for a whole row of taps (tap_step > 0),
  // or for one tap.
  size_t row_step = 1, tap_step = 0;
  size_t first = 0;          // the row of the table that is the tile's first
  RunTable* runs = nullptr;  // of a dense tile, instead of a table
  size_t offset = 0;         // channels from those that `runs` points to, to those of this tile

  // Without an image: row r starts at data + r * stride, tap rows are step_h apart.
  // With an image (columns > 0): `data` is its pixel (0, 0) and the first column is pixel x of row
  // y; both may lie in the padding if `border`.
  const float* data = nullptr;
  size_t stride = 0, step_h = 0;
  // Without an image, where tiles run together: each starts tile_step behind the one before.
  size_t tile_step = 0;

  // The rows of taps, and the taps of a row, that add more than 0 * w with a finite w.
  Range rows{0, SIZE_MAX}, taps{0, SIZE_MAX};
  // Of a tall tile at the border of an image: the taps of a row, kernel_w of them. Null: a row is
  // one run, which all rows of the tile find.
  const EdgeTap* edge = nullptr;
  // Of a tile that goes on in the next row of an image: its rows from `turn` on lie turn_step
  // further, and find the rows of taps turned_rows.
  size_t turn = SIZE_MAX, turn_step = 0;
  Range turned_rows{SIZE_MAX, 0};

  size_t columns = 0;  // of the table
  bool border = false;
  ptrdiff_t y = 0, x = 0;
  size_t stride_w = 1, dilation_h = 1, dilation_w = 1;
  size_t height = 0, width = 0;
  size_t row_stride = 0, pixel_stride = 0;

  // Fills the table for tap row ky (and tap kx, where the table holds for one tap).
  void Fill(size_t ky, size_t kx, const float** table) const;
};
}  // namespace lanefuse

#endif  // LANEFUSE_SRC_COMMON_TAPS_H_
