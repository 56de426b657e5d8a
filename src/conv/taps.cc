// Which addresses a tile of a convolution reads.
#include <algorithm>
#include <cstring>

#include "src/conv/conv_args.h"

namespace lanefuse {
namespace {

// Below this length the code around a run takes longer than the run: where rows are one tile, each
// pixel then has a window of its own in a patch, which is one run.
constexpr size_t kShortRun = 5;

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

// Where the first tap of a tile's first pixel lies, huge above and left of the image; whether any
// tap of any pixel meets the padding.
struct Place {
  size_t y, x;
  bool border;
};
Place PlaceOf(const ConvArgs& args, const ConvTile& t) {
  const Conv2dShape& s = *args.shape;
  const size_t y = t.row * s.stride_h - s.padding.top;
  const size_t x = t.pixel * s.stride_w - s.padding.left;
  const size_t last_y = y + s.dilation_h * (s.kernel_h - 1);
  const size_t last_x = x + ColumnsOf(s, t) - 1;
  return {
      y, x,
      y >= args.x.height || last_y >= args.x.height || x >= args.x.width || last_x >= args.x.width};
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

// `count` pixels of three channels, side by side: four floats of each, of which the next pixel
// overwrites the fourth, and three of the last.
void CopyThrees(const float* from, size_t from_step, float* to, size_t count) {
  for (; count > 1; --count, from += from_step, to += 3) CopyFour(from, to);
  std::memcpy(to, from, 3 * sizeof(float));
}

// Rows of an image that are copied, from row y on, row_step apart.
struct Window {
  const float* data;  // the first channel of pixel (0, 0)
  size_t channels;    // of each pixel
  size_t height, width, row_stride, pixel_stride;
  ptrdiff_t y;
  size_t rows, row_step;
};

// Copies columns [x, x + columns) of a window, zeros for the padding, row after row: straight from
// the image, because a load of what several smaller stores have just written would have to wait for
// them.
void CopyWindow(const Window& w, ptrdiff_t x, size_t columns, float* to) {
  const size_t to_step = columns * w.channels;
  const Inside down = TapsInside(w.y, w.rows, w.row_step, w.height);
  const Inside across = TapsInside(x, columns, 1, w.width);
  const size_t rows = down.last - down.first;
  const size_t count = across.last - across.first;
  if (rows < w.rows || count < columns) std::fill_n(to, w.rows * to_step, 0.0f);
  if (rows == 0 || count == 0) return;
  const auto inside = [](ptrdiff_t first, size_t further) {
    return static_cast<size_t>(first + static_cast<ptrdiff_t>(further));
  };
  const float* from = w.data + inside(w.y, down.first * w.row_step) * w.row_stride +
                      inside(x, across.first) * w.pixel_stride;
  to += down.first * to_step + across.first * w.channels;
  if (w.pixel_stride == w.channels) {
    return CopyRuns(from, w.row_step * w.row_stride, to, to_step, rows, count * w.channels);
  }
  for (size_t i = 0; i < rows; ++i, from += w.row_step * w.row_stride, to += to_step) {
    if (w.channels == 3) {
      CopyThrees(from, w.pixel_stride, to, count);
    } else {
      CopyRuns(from, w.pixel_stride, to, w.channels, count, w.channels);
    }
  }
}

// Copies what tile `t` reads, and where that is a row of the output the rows below it for which
// there is room: of each row of the image `columns` columns from x on, for each of `windows`, one
// after the other.
void FillPatch(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels,
               size_t windows, size_t x, size_t columns, bool whole, Patch& patch) {
  const Conv2dShape& s = *args.shape;
  const size_t row = columns * channels;
  // Rows that the patch has already, at its end.
  size_t known = 0;
  if (whole && windows == 1 && s.dilation_h == 1 && s.kernel_h > s.stride_h && patch.rows != 0 &&
      patch.image == t.image && patch.row + patch.rows == t.row) {
    known = s.kernel_h - s.stride_h;
    std::memmove(patch.data, patch.data + patch.stride - known * row, known * row * sizeof(float));
  }
  patch.image = t.image;
  patch.row = t.row;
  size_t together = 1;
  if (whole && s.dilation_h == 1) {
    const size_t fit = Quotient(Patch::kFloats, windows * row) - s.kernel_h;
    together = std::min(Quotient(fit, s.stride_h) + 1, args.y.height - t.row);
  }
  patch.rows = whole ? together : 0;
  const size_t rows = s.kernel_h + (together - 1) * s.stride_h;
  patch.stride = rows * row;
  const ImageView<const float>& image = args.x;
  const Window window = {image.data + t.image * image.image_stride + channel,
                         channels,
                         image.height,
                         image.width,
                         image.row_stride,
                         image.pixel_stride,
                         static_cast<ptrdiff_t>(t.row * s.stride_h - s.padding.top + known),
                         rows - known,
                         s.dilation_h};
  float* const to = patch.data + known * row;
  for (size_t i = 0; i < windows; ++i, x += s.stride_w) {
    CopyWindow(window, static_cast<ptrdiff_t>(x), columns, to + i * patch.stride);
  }
}

}  // namespace

bool TapTable::Fill(const ConvArgs& args, const ConvTile& t, size_t channel, size_t rows) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  const size_t columns = ColumnsOf(s, t);
  // Columns [left, right) lie in the image.
  const size_t column = t.pixel * s.stride_w;
  const size_t left = std::min(column < s.padding.left ? s.padding.left - column : 0, columns);
  const size_t end = image.width + s.padding.left;
  const size_t right = std::max(std::min(end - std::min(end, column), columns), left);
  bool border = left != 0 || right != columns;
  // Unsigned arithmetic: what lies before the image wraps, and wraps back. First as if there were
  // no padding, so that tiles at the border and others take the same way.
  const size_t step = image.pixel_stride * sizeof(float);
  const size_t row_step = s.dilation_h * image.row_stride * sizeof(float);
  size_t y = t.row * s.stride_h - s.padding.top;
  uintptr_t address = reinterpret_cast<uintptr_t>(image.data) +
                      (t.image * image.image_stride + channel + y * image.row_stride +
                       (column - s.padding.left) * image.pixel_stride) *
                          sizeof(float);
  for (size_t ky = 0; ky < rows; ++ky, y += s.dilation_h, address += row_step) {
    const float** const to = pixel[ky];
    if (y >= image.height) {
      border = true;
      std::fill_n(to, columns, kZeros);
      continue;
    }
    const auto at = [&](size_t i) { return reinterpret_cast<const float*>(address + i * step); };
    for (size_t i = 0; i < columns; i += 4) {
      to[i] = at(i);
      to[i + 1] = at(i + 1);
      to[i + 2] = at(i + 2);
      to[i + 3] = at(i + 3);
    }
    for (size_t i = 0; i < left; ++i) to[i] = kZeros;
    for (size_t i = right; i < columns; ++i) to[i] = kZeros;
  }
  return border;
}

bool PatchHolds(const Conv2dShape& s, size_t pixels) {
  constexpr size_t kMost = Patch::kFloats;
  const bool copies = s.groups == 1 && s.kernel_h * s.kernel_w > 1 && s.dilation_w == 1;
  if (!copies || s.kernel_h > kMost || s.kernel_w > kMost || s.channels > kMost) return false;
  size_t columns = (pixels - 1) * s.stride_w + s.kernel_w;
  if (s.kernel_w * s.channels < kShortRun) columns = std::max(columns, pixels * s.kernel_w);
  return columns <= kMost && s.kernel_h * s.channels * columns <= kMost;
}

void ImageTaps(const ConvArgs& args, const ConvTile& t, size_t channel, Taps& taps) {
  const Conv2dShape& s = *args.shape;
  const Place first = PlaceOf(args, t);
  taps.kernel_h = s.kernel_h;
  taps.kernel_w = s.kernel_w;
  taps.data = args.x.data + t.image * args.x.image_stride + channel;
  taps.y = static_cast<ptrdiff_t>(first.y);
  taps.x = static_cast<ptrdiff_t>(first.x);
  taps.rows = {0, s.kernel_h};
  taps.taps = {0, s.kernel_w};
  const size_t columns = ColumnsOf(s, t);
  taps.border = first.border;
  if (taps.border && args.finite) {
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
  const ImageView<const float>& image = args.x;
  const auto [y, x, border] = PlaceOf(args, t);
  const size_t run = s.kernel_w * channels;
  const bool one_run = s.kernel_w == 1 || (s.dilation_w == 1 && image.pixel_stride == channels);
  const bool one_tile = args.tiles == 1;  // a row of the output
  const bool short_run = one_tile && run < kShortRun;
  const bool copies = patch != nullptr && s.kernel_h * s.kernel_w > 1 && s.dilation_w == 1;
  const bool there =
      copies && patch->image == t.image && t.row - patch->row < patch->rows;  // of whole rows
  if (copies && (there || border || !one_run || short_run)) {
    // A window, where pixels overlap as they do in the image, of whole rows or of the tile; or one
    // for each pixel, which makes it one run.
    constexpr size_t kMost = Patch::kFloats;
    const size_t windows = short_run ? t.pixels : 1;
    // Each factor first: three of them and the pixels of a tile do not overflow 32 bits.
    const auto fits = [&](size_t columns) {
      return s.kernel_h <= kMost && columns <= kMost && channels <= kMost &&
             s.kernel_h * columns * channels * windows <= kMost;
    };
    size_t columns = short_run ? s.kernel_w : ColumnsOf(s, {t.image, t.row, 0, args.y.width});
    const bool whole = fits(columns);
    if (!whole) columns = ColumnsOf(s, t);
    if (whole || fits(columns)) {
      const size_t first = whole ? t.pixel * s.stride_w : 0;
      if (!there) {
        FillPatch(args, t, channel, channels, windows, x - first, columns, whole, *patch);
      }
      const size_t row = columns * channels;
      const size_t row_step = s.stride_h * row;
      const bool below = one_tile && args.flat;
      taps.kernel_h = short_run ? 1 : s.kernel_h;
      taps.length = short_run ? s.kernel_h * run : run;
      taps.stride = short_run ? patch->stride : s.stride_w * channels;
      taps.step_h = row;
      taps.tile_step = below ? row_step : t.pixels * taps.stride;
      taps.data = patch->data + (t.row - patch->row) * row_step + first * channels;
      return !whole ? Strided::kTile : below ? Strided::kBelow : Strided::kRow;
    }
  }
  if (border || (!one_run && s.kernel_h != 1)) return Strided::kNot;
  // The taps of the only row may be runs of their own: groups, and dilation.
  taps.kernel_h = one_run ? s.kernel_h : s.kernel_w;
  taps.length = one_run ? run : channels;
  taps.data = image.data + t.image * image.image_stride + y * image.row_stride +
              x * image.pixel_stride + channel;
  taps.stride = s.stride_w * image.pixel_stride;
  taps.tile_step = t.pixels * taps.stride;
  taps.step_h = one_run ? s.dilation_h * image.row_stride : s.dilation_w * image.pixel_stride;
  return Strided::kInner;
}

void EdgeTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels,
              Taps& taps) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  const Place first = PlaceOf(args, t);
  taps.kernel_h = s.kernel_h;
  taps.kernel_w = s.kernel_w;
  taps.length = channels;
  taps.data = At(image.data, t.image * image.image_stride + first.y * image.row_stride +
                                 first.x * image.pixel_stride + channel);
  taps.stride = s.stride_w * image.pixel_stride;
  taps.step_h = s.dilation_h * image.row_stride;
  taps.rows = TapsInside(static_cast<ptrdiff_t>(first.y), s.kernel_h, s.dilation_h, image.height);
}

bool CanRunTallTiles(const ConvArgs& args, size_t padding) {
  const Conv2dShape& s = *args.shape;
  if (s.kernel_w > EdgeTap::kTaps) return false;
  // What is left out may be no infinite weight.
  const Padding& p = s.padding;
  if (!args.finite && (p.top | p.bottom | p.left | p.right) != 0) return false;
  if (p.left > padding * s.stride_w) return false;
  // Where the last tap of the last pixel but so many lies.
  if (args.y.width <= padding) return true;
  const size_t at = (args.y.width - padding - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w;
  return at < args.x.width + p.left;
}

bool FitsTallTiles(const ConvArgs& args, size_t deep, size_t padding) {
  constexpr size_t kLeastRun = 4;     // what a tile of one vector takes at a time
  constexpr size_t kLeastDepth = 9;   // 3x3x1: 0.81 to 0.98 of the time
  constexpr size_t kLeastWidth = 40;  // 28 and 32 pixels take 1.01 to 1.44, 48 take 0.97 to 1.01
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t depth = DepthOf(s);
  if (IsPointwise(s) || depth < kLeastDepth) return false;
  const bool joined = s.dilation_w == 1 && args.x.pixel_stride == channels;
  if (channels < kLeastRun && (!joined || s.padding.left > s.stride_w)) return false;
  // At the border each tap is a run of its own, and shallow sums do not hide that. 1x1 with stride
  // 2 would take 0.95 to 1.06, while deep ones take 0.75 to 1.00.
  const bool one_tap = s.kernel_h * s.kernel_w == 1;
  if (depth < deep && (one_tap || !joined || args.y.width < kLeastWidth)) return false;
  return CanRunTallTiles(args, padding);
}

RunTable TableFor(const ConvArgs& args, size_t channel, size_t channels, bool leave_out,
                  bool leave_out_rows) {
  const Conv2dShape& s = *args.shape;
  return {{s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w,
           s.padding.top, s.padding.left, channels, leave_out, leave_out_rows},
          {args.x.data + channel, args.x.height, args.x.width, args.x.image_stride,
           args.x.row_stride, args.x.pixel_stride, args.down, args.across}};
}

}  // namespace lanefuse
