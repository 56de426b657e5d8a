#include "src/conv/tall_reader.h"

#include <algorithm>
#include <utility>

namespace lanefuse {

void TallReader::Start(size_t channel, size_t channels) {
  const Conv2dShape& s = *args_.shape;
  const ImageView<const float>& image = args_.x;
  down_ = s.stride_h * image.row_stride;
  across_ = s.stride_w * image.pixel_stride;
  tap_ = s.dilation_w * image.pixel_stride;
  data_ = At(image.data,
             channel - s.padding.top * image.row_stride - s.padding.left * image.pixel_stride);
  first_row_ = QuotientUp(s.padding.top, s.stride_h);
  end_row_ = OutputSize(image.height, s.padding.top, 0, s.kernel_h, s.stride_h, s.dilation_h);
  first_pixel_ = QuotientUp(s.padding.left, s.stride_w);
  border_.kernel_h = s.kernel_h;
  border_.kernel_w = s.kernel_w;
  border_.length = channels;
  border_.stride = across_;
  border_.step_h = s.dilation_h * image.row_stride;
  border_.border = true;
  border_.turn_step = down_ - args_.across * across_;
  inner_ = border_;
  inner_.border = false;
  if (s.kernel_w == 1 || (s.dilation_w == 1 && image.pixel_stride == channels)) {
    inner_.length *= s.kernel_w;
    inner_.kernel_w = 1;
  } else if (s.kernel_h == 1) {
    std::swap(inner_.kernel_h, inner_.kernel_w);
    inner_.step_h = tap_;
  } else {
    separate_ = true;
  }
}

// The rows of taps that a row of outputs finds.
inline Taps::Range TallReader::RowsOf(size_t row) const {
  const Conv2dShape& s = *args_.shape;
  Taps::Range rows{0, s.kernel_h};
  if (first_row_ <= row && row < end_row_) return rows;
  const size_t y = row * s.stride_h - s.padding.top;
  const auto outside = [&](size_t tap) { return y + tap * s.dilation_h >= args_.x.height; };
  while (rows.first < rows.last && outside(rows.first)) ++rows.first;
  while (rows.last > rows.first && outside(rows.last - 1)) --rows.last;
  return rows;
}

// Which pixels of tile t find each tap of a row in the image; from pixel `upper` on they are the
// first of the next row.
void TallReader::FindEdges(const ConvTile& t, size_t upper, EdgeTap* edge) const {
  const Conv2dShape& s = *args_.shape;
  const auto below = [](size_t bit) { return (uint32_t{1} << bit) - 1; };
  size_t pixel = t.pixel, pixels = upper;
  for (size_t done = 0;; done = upper, pixel = 0, pixels = t.pixels - upper) {
    for (size_t kx = 0; kx < s.kernel_w; ++kx) {
      const size_t from = pixel * s.stride_w + kx * s.dilation_w;
      // Of the pixels from `pixel` on, the first whose tap lies at column `at` or right of it.
      const auto first = [&](size_t at) {
        const size_t to = at + s.padding.left;
        if (to <= from) return size_t{0};
        return std::min(s.stride_w == 1 ? to - from : QuotientUp(to - from, s.stride_w), pixels);
      };
      const size_t begin = first(0), end = first(args_.x.width);
      const uint32_t rows = (below(end) & ~below(begin)) << done;
      if (done == 0) {
        edge[kx] = {kx * tap_, static_cast<uint16_t>(begin), static_cast<uint16_t>(end), rows};
      } else {
        edge[kx].rows |= rows;
      }
    }
    if (done + pixels == t.pixels) break;
  }
}

// What FindEdges finds, if that is not known already.
inline const EdgeTap* TallReader::Edges(const ConvTile& t, size_t upper, Slot slot) {
  const bool few = args_.shape->kernel_w <= EdgeTap::kTaps / kSlots;
  const size_t i = few ? slot : 0;
  EdgeTap* const edge = edge_ + i * (EdgeTap::kTaps / kSlots);
  const size_t pixel = few && slot == kInner ? 0 : t.pixel;  // inner tiles are alike
  if (known_pixels_[i] != t.pixels || known_pixel_[i] != pixel) {
    FindEdges(t, upper, edge);
    known_pixel_[i] = pixel;
    known_pixels_[i] = static_cast<uint8_t>(t.pixels);
  }
  return edge;
}

Taps& TallReader::Read(const ConvTile& t) {
  const float* const data =
      At(data_, t.image * args_.x.image_stride + t.row * down_ + t.pixel * across_);
  const bool above = first_row_ <= t.row && t.row < end_row_;
  if (above && first_pixel_ <= t.pixel && t.pixel + t.pixels <= args_.inner_end) {
    inner_.data = data;
    inner_.tile_step = t.pixels * across_;
    if (separate_) inner_.edge = Edges(t, t.pixels, kInner);
    return inner_;
  }
  const size_t upper = std::min(t.pixels, args_.across - t.pixel);
  border_.data = data;
  border_.rows = RowsOf(t.row);
  border_.turn = upper;
  border_.turned_rows = upper < t.pixels ? RowsOf(t.row + 1) : border_.rows;
  border_.edge = Edges(t, upper, t.pixel == 0 ? kFirst : kBorder);
  return border_;
}

}  // namespace lanefuse
