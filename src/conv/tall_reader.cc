#include "src/conv/tall_reader.h"

#include <algorithm>
#include <utility>

namespace lanefuse {

TallReader::TallReader(const ConvArgs& args, size_t channel, size_t channels, bool bits)
    : args_(args),
      bits_(bits),
      data_(At(args.x.data, channel - args.shape->padding.top * args.x.row_stride -
                                args.shape->padding.left * args.x.pixel_stride)),
      down_(args.shape->stride_h * args.x.row_stride),
      across_(args.shape->stride_w * args.x.pixel_stride),
      tap_(args.shape->dilation_w * args.x.pixel_stride),
      first_row_(QuotientUp(args.shape->padding.top, args.shape->stride_h)),
      end_row_(OutputSize(args.x.height, args.shape->padding.top, 0, args.shape->kernel_h,
                          args.shape->stride_h, args.shape->dilation_h)),
      first_pixel_(QuotientUp(args.shape->padding.left, args.shape->stride_w)) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  border_.kernel_h = s.kernel_h;
  border_.kernel_w = s.kernel_w;
  border_.length = channels;
  border_.stride = across_;
  border_.step_h = s.dilation_h * image.row_stride;
  border_.border = true;
  border_.turn_step = down_ - args.across * across_;
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
  // Of `pixels` from `pixel` on, the first whose tap, `ahead` columns further on, lies at column
  // `at` or right of it.
  const auto first = [&](size_t pixel, size_t pixels, size_t at, size_t ahead) {
    const size_t to = at + s.padding.left;
    const size_t from = pixel * s.stride_w + ahead;
    if (to <= from) return size_t{0};
    return std::min(s.stride_w == 1 ? to - from : QuotientUp(to - from, s.stride_w), pixels);
  };
  const auto below = [](size_t bit) { return (uint32_t{1} << bit) - 1; };
  for (size_t kx = 0; kx < s.kernel_w; ++kx) {
    const size_t ahead = kx * s.dilation_w;
    const size_t begin = first(t.pixel, upper, 0, ahead);
    const size_t end = first(t.pixel, upper, args_.x.width, ahead);
    EdgeTap tap{kx * tap_, static_cast<uint16_t>(begin), static_cast<uint16_t>(end), 0};
    if (bits_) tap.rows = below(end) & ~below(begin);
    if (upper < t.pixels) {
      const size_t rest = t.pixels - upper;
      const uint32_t found =
          below(first(0, rest, args_.x.width, ahead)) & ~below(first(0, rest, 0, ahead));
      tap.rows |= found << upper;
    }
    edge[kx] = tap;
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
    known_pixels_[i] = t.pixels;
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
