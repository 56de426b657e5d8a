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
struct Inside {
  size_t first, last;
};
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

// A short run, without the call of a library function.
inline void CopyRun(const float* from, float* to, size_t count) {
  for (; count >= 4; count -= 4, from += 4, to += 4) std::memcpy(to, from, 4 * sizeof(float));
  if (count & 2) {
    std::memcpy(to, from, 2 * sizeof(float));
    from += 2;
    to += 2;
  }
  if (count & 1) *to = *from;
}

// Copies what each pixel of the tile reads, taps row-major, zeros for the padding: straight from
// the image, because a load of what several smaller stores have just written would have to wait for
// them.
void CopyPatch(const Taps& taps, const ConvTile& t, float* patch) {
  const size_t channels = taps.length;
  const size_t run = taps.kernel_w * channels;
  const size_t depth = taps.kernel_h * run;
  std::fill(patch, patch + t.pixels * depth, 0.0f);
  const Inside rows = TapsInside(taps.y, taps.kernel_h, taps.dilation_h, taps.height);
  for (size_t r = 0; r < t.pixels; ++r) {
    const ptrdiff_t x = taps.x + static_cast<ptrdiff_t>(r * taps.stride_w);
    const Inside columns = TapsInside(x, taps.kernel_w, 1, taps.width);
    if (rows.first >= rows.last || columns.first >= columns.last) continue;
    const size_t count = columns.last - columns.first;
    const size_t row_step = taps.dilation_h * taps.row_stride;
    const float* from =
        taps.data +
        static_cast<size_t>(taps.y + static_cast<ptrdiff_t>(rows.first * taps.dilation_h)) *
            taps.row_stride +
        static_cast<size_t>(x + static_cast<ptrdiff_t>(columns.first)) * taps.pixel_stride;
    float* to = patch + r * depth + rows.first * run + columns.first * channels;
    for (size_t ky = rows.first; ky < rows.last; ++ky, from += row_step, to += run) {
      if (taps.pixel_stride == channels) {
        CopyRun(from, to, count * channels);
      } else {
        for (size_t i = 0; i < count; ++i) {
          CopyRun(from + i * taps.pixel_stride, to + i * channels, channels);
        }
      }
    }
  }
}

}  // namespace

Taps ImageTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels) {
  const Conv2dShape& s = *args.shape;
  Taps taps;
  taps.kernel_h = s.kernel_h;
  taps.kernel_w = s.kernel_w;
  taps.length = channels;
  taps.data = args.x.data + t.image * args.x.image_stride + channel;
  taps.y = static_cast<ptrdiff_t>(t.row * s.stride_h) - static_cast<ptrdiff_t>(s.padding.top);
  taps.x = static_cast<ptrdiff_t>(t.pixel * s.stride_w) - static_cast<ptrdiff_t>(s.padding.left);
  const size_t columns = ColumnsOf(s, t);
  const size_t last_y = static_cast<size_t>(taps.y) + s.dilation_h * (s.kernel_h - 1);
  const size_t last_x = static_cast<size_t>(taps.x) + columns - 1;
  taps.border = taps.y < 0 || taps.x < 0 || last_y >= args.x.height || last_x >= args.x.width;
  taps.chunk = taps.border ? kZeroRun : channels;
  if (columns <= Taps::kMaxColumns) {
    taps.columns = columns;
    taps.row_step = s.stride_w;
    taps.tap_step = s.dilation_w;
  } else {
    taps.columns = t.pixels;
  }
  taps.stride_w = s.stride_w;
  taps.dilation_h = s.dilation_h;
  taps.dilation_w = s.dilation_w;
  taps.height = args.x.height;
  taps.width = args.x.width;
  taps.row_stride = args.x.row_stride;
  taps.pixel_stride = args.x.pixel_stride;
  return taps;
}

Taps DenseTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels,
               float* patch) {
  const Conv2dShape& s = *args.shape;
  const Taps image = ImageTaps(args, t, channel, channels);
  const size_t run = s.kernel_w * channels;
  const bool one_run = s.kernel_w == 1 || (s.dilation_w == 1 && image.pixel_stride == channels);
  Taps taps;
  // Below this length the code around a run takes longer than the run.
  constexpr size_t kShortRun = 5;
  if ((image.border || !one_run || run < kShortRun) && s.kernel_h * s.kernel_w > 1 &&
      image.tap_step == 1 && s.kernel_h <= kPatchFloats && run <= kPatchFloats &&
      t.pixels * s.kernel_h * run <= kPatchFloats) {
    CopyPatch(image, t, patch);
    taps.data = patch;
    taps.length = taps.chunk = taps.stride = s.kernel_h * run;
    return taps;
  }
  if (image.border || !one_run) return image;
  taps.kernel_h = s.kernel_h;
  taps.length = taps.chunk = run;
  taps.data = image.data + static_cast<size_t>(image.y) * image.row_stride +
              static_cast<size_t>(image.x) * image.pixel_stride;
  taps.stride = s.stride_w * image.pixel_stride;
  taps.step_h = s.dilation_h * image.row_stride;
  return taps;
}

size_t InnerEnd(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t inner =
      OutputSize(args.x.width, s.padding.left, 0, s.kernel_w, s.stride_w, s.dilation_w);
  return std::min(inner, args.y.width);
}

}  // namespace lanefuse
