// Which addresses a tile of a convolution reads.
#include <algorithm>
#include <cstring>

#include "src/conv/conv_args.h"

namespace lanefuse {
namespace {

// Columns of the image that a tile touches.
size_t ColumnsOf(const Conv2dShape& s, const ConvTile& t) {
  return (t.pixels - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
}

// The taps [first, last) that lie in [0, size) when tap 0 is at `start` and they are `step` apart.
using Inside = Taps::Range;
Inside TapsInside(ptrdiff_t start, size_t taps, size_t step, size_t size) {
  Inside inside{0, 0};
  const auto at = [&](size_t tap) { return start + static_cast<ptrdiff_t>(tap * step); };
  while (inside.first < taps && at(inside.first) < 0) ++inside.first;
  inside.last = taps;
  while (inside.last > inside.first && at(inside.last - 1) >= static_cast<ptrdiff_t>(size)) {
    --inside.last;
  }
  return inside;
}

inline void CopyFour(const float* from, float* to) { std::memcpy(to, from, 4 * sizeof(float)); }

// `rows` runs of `count` floats, 4 * kFours < count <= 4 * kFours + 4: the last four, which may
// overlap those before, instead of one at a time.
template <size_t kFours>
void CopyFours(const float* from, size_t from_step, float* to, size_t to_step, size_t rows,
               size_t count) {
  for (size_t r = 0; r < rows; ++r, from += from_step, to += to_step) {
    for (size_t i = 0; i < kFours; ++i) CopyFour(from + 4 * i, to + 4 * i);
    CopyFour(from + count - 4, to + count - 4);
  }
}

void CopyRuns(const float* from, size_t from_step, float* to, size_t to_step, size_t rows,
              size_t count) {
  if (count < 4) {
    for (size_t r = 0; r < rows; ++r, from += from_step, to += to_step) {
      to[0] = from[0];
      if (count > 1) to[1] = from[1];
      if (count > 2) to[2] = from[2];
    }
    return;
  }
  switch ((count - 1) / 4) {
    case 0:
      return CopyFours<0>(from, from_step, to, to_step, rows, count);
    case 1:
      return CopyFours<1>(from, from_step, to, to_step, rows, count);
    case 2:
      return CopyFours<2>(from, from_step, to, to_step, rows, count);
    default:
      for (size_t r = 0; r < rows; ++r, from += from_step, to += to_step) {
        std::memcpy(to, from, count * sizeof(float));
      }
  }
}

// Copies columns [x, x + columns) of the image, in the tile's rows of taps, zeros for the padding:
// straight from the image, because a load of what several smaller stores have just written would
// have to wait for them.
void CopyWindow(const Taps& taps, Inside rows, ptrdiff_t x, size_t columns, float* to) {
  const size_t channels = taps.length;
  const size_t to_step = columns * channels;
  const Inside across = TapsInside(x, columns, 1, taps.width);
  const size_t row_count = rows.last - rows.first;
  const size_t count = across.last - across.first;
  if (row_count < taps.kernel_h || count < columns) {
    std::fill_n(to, taps.kernel_h * to_step, 0.0f);
  }
  if (row_count == 0 || count == 0) return;
  const auto inside = [](ptrdiff_t first, size_t further) {
    return static_cast<size_t>(first + static_cast<ptrdiff_t>(further));
  };
  const float* from = taps.data + inside(taps.y, rows.first * taps.dilation_h) * taps.row_stride +
                      inside(x, across.first) * taps.pixel_stride;
  const size_t from_step = taps.dilation_h * taps.row_stride;
  to += rows.first * to_step + across.first * channels;
  const bool joined = taps.pixel_stride == channels;
  const size_t pieces = joined ? 1 : count;
  const size_t length = joined ? count * channels : channels;
  for (size_t i = 0; i < pieces; ++i, from += taps.pixel_stride, to += channels) {
    CopyRuns(from, from_step, to, to_step, row_count, length);
  }
}

// Where the patch does not hold the tile's part of the image, copies it: for each of `pixels`
// windows of `columns` columns, one after the other, the rows of the tile, and if `whole` those of
// the rows of the output below it for which there is room.
void FillPatch(const ConvArgs& args, const ConvTile& t, const Taps& taps, bool whole, ptrdiff_t x,
               size_t pixels, size_t columns, Patch& patch) {
  const Conv2dShape& s = *args.shape;
  Taps all = taps;
  patch.image = t.image;
  patch.row = t.row;
  patch.rows = 1;
  const size_t row = columns * taps.length;  // floats of a row of one window
  if (whole && s.dilation_h == 1) {
    const size_t fit = Quotient(Patch::kFloats, pixels * row) - s.kernel_h;
    patch.rows = std::min(Quotient(fit, s.stride_h) + 1, args.y.height - t.row);
    all.kernel_h += (patch.rows - 1) * s.stride_h;
  }
  patch.stride = all.kernel_h * row;
  const Inside rows = TapsInside(all.y, all.kernel_h, all.dilation_h, all.height);
  for (size_t p = 0; p < pixels; ++p, x += static_cast<ptrdiff_t>(s.stride_w)) {
    CopyWindow(all, rows, x, columns, patch.data + p * patch.stride);
  }
  // What is known of one tile alone is not looked for again.
  if (!whole) patch.rows = 0;
}

}  // namespace

bool TapTable::Fill(const ConvArgs& args, const ConvTile& t, size_t channel, size_t rows) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  const size_t columns = ColumnsOf(s, t);
  // Columns [left, right) and tap rows [top, bottom) lie in the image.
  const size_t column = t.pixel * s.stride_w;
  const size_t row = t.row * s.stride_h;
  const size_t left = std::min(column < s.padding.left ? s.padding.left - column : 0, columns);
  const size_t end = image.width + s.padding.left;
  const size_t right = std::max(std::min(end - std::min(end, column), columns), left);
  const size_t x = column + left - s.padding.left;  // of column `left`
  bool border = left != 0 || right != columns;
  for (size_t ky = 0; ky < s.kernel_h + rows - 1; ++ky) {
    const float** const to = pixel[ky];
    const size_t y = row + ky * s.dilation_h - s.padding.top;  // huge above the image
    if (y >= image.height) {
      border = true;
      for (size_t i = 0; i < columns; ++i) to[i] = kZeros;
      continue;
    }
    const float* from = image.data + t.image * image.image_stride + y * image.row_stride + channel;
    for (size_t i = 0; i < left; ++i) to[i] = kZeros;
    const size_t pixel_stride = image.pixel_stride;
    size_t offset = x * pixel_stride;
    for (size_t i = left; i < right; ++i, offset += pixel_stride) to[i] = from + offset;
    for (size_t i = right; i < columns; ++i) to[i] = kZeros;
  }
  return border;
}

void ImageTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels,
               Taps& taps) {
  const Conv2dShape& s = *args.shape;
  taps.kernel_h = s.kernel_h;
  taps.kernel_w = s.kernel_w;
  taps.length = channels;
  taps.data = args.x.data + t.image * args.x.image_stride + channel;
  taps.y = static_cast<ptrdiff_t>(t.row * s.stride_h) - static_cast<ptrdiff_t>(s.padding.top);
  taps.x = static_cast<ptrdiff_t>(t.pixel * s.stride_w) - static_cast<ptrdiff_t>(s.padding.left);
  taps.rows = {0, s.kernel_h};
  taps.taps = {0, s.kernel_w};
  const size_t columns = ColumnsOf(s, t);
  const size_t last_y = static_cast<size_t>(taps.y) + s.dilation_h * (s.kernel_h - 1);
  const size_t last_x = static_cast<size_t>(taps.x) + columns - 1;
  taps.border = taps.y < 0 || taps.x < 0 || last_y >= args.x.height || last_x >= args.x.width;
  if (taps.border && args.finite && args.plan == ConvPlan::kDepthwise) {
    taps.rows = TapsInside(taps.y, s.kernel_h, s.dilation_h, args.x.height);
    // A tap that no pixel finds in the image: the last pixel is left of it, or the first right.
    const size_t across = (t.pixels - 1) * s.stride_w;
    taps.taps = TapsInside(taps.x + static_cast<ptrdiff_t>(across), s.kernel_w, s.dilation_w,
                           args.x.width + across);
  }
  const bool row_table = columns <= Taps::kMaxColumns;
  taps.columns = row_table ? columns : t.pixels;
  taps.row_step = row_table ? s.stride_w : 1;
  taps.tap_step = row_table ? s.dilation_w : 0;
  taps.stride_w = s.stride_w;
  taps.dilation_h = s.dilation_h;
  taps.dilation_w = s.dilation_w;
  taps.height = args.x.height;
  taps.width = args.x.width;
  taps.row_stride = args.x.row_stride;
  taps.pixel_stride = args.x.pixel_stride;
}

Strided StridedTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels,
                    Patch* patch, Taps& taps) {
  const Conv2dShape& s = *args.shape;
  ImageTaps(args, t, channel, channels, taps);
  const size_t run = s.kernel_w * channels;
  const bool one_run = s.kernel_w == 1 || (s.dilation_w == 1 && taps.pixel_stride == channels);
  const bool copies = patch != nullptr && s.kernel_h * s.kernel_w > 1 && s.dilation_w == 1;
  const bool one_tile = args.tiles == 1;  // a row of the output
  const bool there =
      copies && patch->image == t.image && t.row - patch->row < patch->rows;  // of whole rows
  const size_t below = there ? t.row - patch->row : 0;
  const Strided whole_rows = one_tile && args.flat ? Strided::kBelow : Strided::kRow;
  // Whether kernel_h rows of `columns` pixels fit. Each factor first: three of them do not overflow
  // 32 bits.
  constexpr size_t kMost = Patch::kFloats;
  const auto fits = [&](size_t columns) {
    return s.kernel_h <= kMost && columns <= kMost && channels <= kMost &&
           s.kernel_h * columns * channels <= kMost;
  };
  // Below this length the code around a run takes longer than the run.
  constexpr size_t kShortRun = 5;
  if (copies && one_tile && run < kShortRun && fits(t.pixels * s.kernel_w)) {
    // A window for each pixel, which is one run.
    if (!there) FillPatch(args, t, taps, true, taps.x, t.pixels, s.kernel_w, *patch);
    taps.kernel_h = 1;
    taps.length = s.kernel_h * run;
    taps.stride = patch->stride;
    taps.tile_step = s.stride_h * run;
    taps.data = patch->data + below * taps.tile_step;
    return whole_rows;
  }
  if (copies && (there || taps.border || !one_run)) {
    // One window, where pixels overlap as they do in the image: of whole rows, or of this tile.
    const size_t all = ColumnsOf(s, {t.image, t.row, 0, args.y.width});
    const bool whole = fits(all);
    const size_t columns = whole ? all : ColumnsOf(s, t);
    if (whole || fits(columns)) {
      const size_t first = whole ? t.pixel * s.stride_w : 0;
      if (!there) {
        FillPatch(args, t, taps, whole, taps.x - static_cast<ptrdiff_t>(first), 1, columns, *patch);
      }
      taps.length = run;
      taps.stride = s.stride_w * channels;
      taps.step_h = columns * channels;
      const size_t row_step = s.stride_h * taps.step_h;
      taps.tile_step = whole_rows == Strided::kBelow ? row_step : t.pixels * taps.stride;
      taps.data = patch->data + below * row_step + first * channels;
      return whole ? whole_rows : Strided::kTile;
    }
  }
  if (taps.border || !one_run) return Strided::kNot;
  taps.length = run;
  taps.data += static_cast<size_t>(taps.y) * taps.row_stride +
               static_cast<size_t>(taps.x) * taps.pixel_stride;
  taps.stride = s.stride_w * taps.pixel_stride;
  taps.tile_step = t.pixels * taps.stride;
  taps.step_h = s.dilation_h * taps.row_stride;
  return Strided::kInner;
}

RunTable TableFor(const ConvArgs& args, size_t channel, size_t channels, bool leave_out) {
  const Conv2dShape& s = *args.shape;
  return {{s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w,
           s.padding.top, s.padding.left, channels, leave_out},
          {args.x.data + channel, args.x.height, args.x.width, args.x.image_stride,
           args.x.row_stride, args.x.pixel_stride, args.down, args.across}};
}

}  // namespace lanefuse
