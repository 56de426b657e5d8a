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

// Copies what each pixel of the tile reads, taps row-major, zeros for the padding: straight from
// the image, because a load of what several smaller stores have just written would have to wait for
// them.
void CopyPatch(const Taps& taps, const ConvTile& t, float* patch) {
  const size_t channels = taps.length;
  const size_t run = taps.kernel_w * channels;
  const size_t depth = taps.kernel_h * run;
  const Inside rows = TapsInside(taps.y, taps.kernel_h, taps.dilation_h, taps.height);
  if (rows.first >= rows.last) {
    std::fill(patch, patch + t.pixels * depth, 0.0f);
    return;
  }
  const size_t row_count = rows.last - rows.first;
  const size_t row_step = taps.dilation_h * taps.row_stride;
  const float* first_row =
      taps.data +
      static_cast<size_t>(taps.y + static_cast<ptrdiff_t>(rows.first * taps.dilation_h)) *
          taps.row_stride;
  for (size_t r = 0; r < t.pixels; ++r) {
    const ptrdiff_t x = taps.x + static_cast<ptrdiff_t>(r * taps.stride_w);
    const Inside columns = TapsInside(x, taps.kernel_w, 1, taps.width);
    const size_t count = columns.last > columns.first ? columns.last - columns.first : 0;
    if (row_count < taps.kernel_h || count < taps.kernel_w) {
      std::fill(patch + r * depth, patch + (r + 1) * depth, 0.0f);
    }
    if (count == 0) continue;
    const float* from = first_row + static_cast<size_t>(x + static_cast<ptrdiff_t>(columns.first)) *
                                        taps.pixel_stride;
    float* to = patch + r * depth + rows.first * run + columns.first * channels;
    if (taps.pixel_stride == channels) {
      CopyRuns(from, row_step, to, run, row_count, count * channels);
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      CopyRuns(from + i * taps.pixel_stride, row_step, to + i * channels, run, row_count, channels);
    }
  }
}

// Copies the columns of the image that the tile reads, row after row, zeros for the padding: there
// its pixels overlap as they do in the image.
void CopyWindow(const Taps& taps, size_t columns, float* window) {
  const size_t channels = taps.length;
  const Inside inside = TapsInside(taps.x, columns, 1, taps.width);
  const size_t left = inside.first * channels;
  const size_t count = (inside.last - inside.first) * channels;
  const size_t right = columns * channels - left - count;
  const size_t first = static_cast<size_t>(taps.x) + inside.first;
  for (size_t ky = 0; ky < taps.kernel_h; ++ky) {
    const size_t y = static_cast<size_t>(taps.y) + ky * taps.dilation_h;  // huge above the image
    if (y >= taps.height || count == 0) {
      window = std::fill_n(window, columns * channels, 0.0f);
      continue;
    }
    const float* from = taps.data + y * taps.row_stride + first * taps.pixel_stride;
    window = std::fill_n(window, left, 0.0f);
    if (taps.pixel_stride == channels) {
      std::memcpy(window, from, count * sizeof(float));
      window += count;
    } else {
      for (size_t i = inside.first; i < inside.last; ++i, from += taps.pixel_stride) {
        std::memcpy(window, from, channels * sizeof(float));
        window += channels;
      }
    }
    window = std::fill_n(window, right, 0.0f);
  }
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

bool StridedTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels,
                 Patch* patch, Taps& taps) {
  const Conv2dShape& s = *args.shape;
  ImageTaps(args, t, channel, channels, taps);
  taps.copied = false;
  const size_t run = s.kernel_w * channels;
  const bool one_run = s.kernel_w == 1 || (s.dilation_w == 1 && taps.pixel_stride == channels);
  // Below this length the code around a run takes longer than the run.
  constexpr size_t kShortRun = 5;
  const size_t columns = ColumnsOf(s, t);
  // Each factor first: three of them do not overflow 32 bits.
  constexpr size_t kMostWindow = Patch::kFloats;
  const bool fits = s.kernel_h <= kMostWindow && columns <= kMostWindow &&
                    channels <= kMostWindow && s.kernel_h * columns * channels <= kMostWindow;
  if (patch != nullptr && fits && taps.border && run >= kShortRun && s.kernel_w > 1 &&
      s.dilation_w == 1) {
    CopyWindow(taps, columns, patch->data);
    patch->rows = 0;
    taps.length = run;
    taps.data = patch->data;
    taps.stride = s.stride_w * channels;
    taps.step_h = columns * channels;
    taps.copied = true;
    return true;
  }
  constexpr size_t kMost = Patch::kTileFloats;
  const bool copies = patch != nullptr && s.kernel_h * s.kernel_w > 1 && taps.tap_step == 1 &&
                      s.kernel_h <= kMost && run <= kMost && t.pixels * s.kernel_h * run <= kMost;
  if (!taps.border && one_run && (!copies || run >= kShortRun)) {
    taps.length = run;
    taps.data += static_cast<size_t>(taps.y) * taps.row_stride +
                 static_cast<size_t>(taps.x) * taps.pixel_stride;
    taps.stride = s.stride_w * taps.pixel_stride;
    taps.step_h = s.dilation_h * taps.row_stride;
    return true;
  }
  if (!copies) return false;
  const bool there = patch->image == t.image && t.row - patch->row < patch->rows &&
                     patch->pixel == t.pixel && patch->channel == channel;
  if (!there) {
    Taps all = taps;
    patch->rows = 1;
    if (args.tiles == 1 && s.dilation_h == 1) {
      const size_t fit = Quotient(Patch::kFloats, t.pixels * run) - s.kernel_h;
      patch->rows = std::min(Quotient(fit, s.stride_h) + 1, args.y.height - t.row);
      all.kernel_h += (patch->rows - 1) * s.stride_h;
    }
    CopyPatch(all, t, patch->data);
    patch->stride = all.kernel_h * run;
    patch->image = t.image;
    patch->row = t.row;
    patch->pixel = t.pixel;
    patch->channel = channel;
  }
  taps.kernel_h = 1;
  taps.data = patch->data + (t.row - patch->row) * s.stride_h * run;
  taps.length = s.kernel_h * run;
  taps.stride = patch->stride;
  taps.copied = true;
  return true;
}

RunTable TableFor(const ConvArgs& args, size_t channel, size_t channels, bool leave_out) {
  const Conv2dShape& s = *args.shape;
  return {{s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w,
           s.padding.top, s.padding.left, channels, leave_out},
          {args.x.data + channel, args.x.height, args.x.width, args.x.image_stride,
           args.x.row_stride, args.x.pixel_stride, args.down, args.across}};
}

size_t InnerEnd(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t inner =
      OutputSize(args.x.width, s.padding.left, 0, s.kernel_w, s.stride_w, s.dilation_w);
  return std::min(inner, args.y.width);
}

}  // namespace lanefuse
