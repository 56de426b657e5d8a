#include "src/common/runs.h"

#include <algorithm>
#include <bit>

#include "src/common/divide.h"
#include "src/common/taps.h"

namespace lanefuse {
namespace {

// The rows whose coordinate, `offset` further on, lies outside [0, size).
uint32_t Outside(const size_t (&at)[RunTable::kRows], size_t offset, size_t size) {
  uint32_t outside = 0;
  for (size_t r = 0; r < RunTable::kRows; ++r) outside |= uint32_t{at[r] + offset >= size} << r;
  return outside;
}

}  // namespace

void RunTable::Seek(size_t image, size_t row, size_t column) {
  image_ = image;
  row_ = row;
  column_ = column;
}

void RunTable::Skip(size_t rows) {
  column_ += rows;
  while (column_ >= images_.outputs_across) {
    column_ -= images_.outputs_across;
    if (++row_ == images_.outputs_down) {
      row_ = 0;
      ++image_;
    }
  }
}

void RunTable::Take(size_t rows) {
  const Kernel& k = kernel_;
  const Images& images = images_;
  const size_t reach_down = (k.height - 1) * k.dilation_h;
  const size_t reach_across = (k.width - 1) * k.dilation_w;
  const size_t step = k.stride_w * images.pixel_stride * sizeof(float);
  size_t y = 0, x = 0;
  uintptr_t address = 0;
  bool down = false, across = false, fresh = true;
  for (size_t r = 0; r < rows; ++r) {
    if (fresh) {
      // Unsigned arithmetic: what lies before the image wraps, and wraps back.
      y = row_ * k.stride_h - k.top;
      x = column_ * k.stride_w - k.left;
      address = reinterpret_cast<uintptr_t>(images.data) +
                (image_ * images.image_stride + y * images.row_stride + x * images.pixel_stride) *
                    sizeof(float);
      down |= y >= images.height || y + reach_down >= images.height;
      fresh = false;
    }
    across |= x >= images.width || x + reach_across >= images.width;
    y_[r] = y;
    x_[r] = x;
    address_[r] = address;
    x += k.stride_w;
    address += step;
    if (++column_ == images.outputs_across) {
      column_ = 0;
      if (++row_ == images.outputs_down) {
        row_ = 0;
        ++image_;
      }
      fresh = true;
    }
  }
  for (size_t r = rows; r < kRows; ++r) {  // so that every loop over rows has a fixed length
    y_[r] = y_[rows - 1];
    x_[r] = x_[rows - 1];
    address_[r] = address_[rows - 1];
  }
  border_down_ = down;
  border_across_ = across;
  leave_out_ = k.leave_out;
  Fill(true);
}

void RunTable::Fill(bool from_start) {
  const Kernel& k = kernel_;
  const auto outside_down = [&] {
    return border_down_ ? Outside(y_, tap_row_ * k.dilation_h, images_.height) : 0;
  };
  const auto outside_across = [&](size_t tap) {
    return Outside(x_, tap * k.dilation_w, images_.width);
  };
  if (from_start) {
    tap_row_ = tap_ = channel_ = pending_ = 0;
    missed_ = false;
  }
  constexpr uint32_t kAll = (uint32_t{1} << kRows) - 1;
  at_start_ = from_start;
  // Taps side by side are neighbours in memory.
  const bool neighbours = k.dilation_w == 1 && (k.width == 1 || images_.pixel_stride == k.channels);
  constexpr size_t kKnown = 16;
  uint32_t across[kKnown] = {};
  const size_t known = border_across_ ? std::min(k.width, kKnown) : 0;
  for (size_t tap = 0; tap < known; ++tap) across[tap] = outside_across(tap);
  uint32_t down = outside_down();
  const auto outside_of = [&](size_t tap) {
    return down | (tap < kKnown ? across[tap] : border_across_ ? outside_across(tap) : 0);
  };
  const bool one_row = neighbours && !border_across_;
  const bool joins = neighbours && border_across_;
  size_t run = 0;
  while (run < kRuns && tap_row_ < k.height) {
    const uint32_t outside = outside_of(tap_);
    // Those that no row finds in the padding, or the row of taps, where all lie beside no padding.
    size_t taps = one_row ? k.width : 1;
    if (joins && outside == 0) {
      while (tap_ + taps < k.width && outside_of(tap_ + taps) == 0) ++taps;
    }
    const size_t span = taps * k.channels;
    const bool leaves = leave_out_ && (outside == kAll || (k.leave_out_rows && outside != 0));
    missed_ |= leaves && (run != 0 || !from_start);
    if (leaves && outside == kAll) {
      pending_ += span;
    } else {
      const size_t offset = tap_row_ * k.dilation_h * images_.row_stride +
                            tap_ * k.dilation_w * images_.pixel_stride + channel_;
      const float** const to = row_of_[run];
      for (size_t r = 0; r < kRows; ++r) {
        to[r] = reinterpret_cast<const float*>(address_[r] + offset * sizeof(float));
      }
      for (uint32_t rest = outside; rest != 0; rest &= rest - 1) {
        to[std::countr_zero(rest)] = kZeros;
      }
      outside_[run] = static_cast<uint8_t>(leaves ? outside : 0);
      left_out_[run] = pending_;
      pending_ = 0;
      const size_t length = std::min(span - channel_, outside == 0 ? span : kZeroRun);
      length_[run++] = length;
      channel_ += length;
      if (channel_ < span) continue;
      channel_ = 0;
    }
    tap_ += taps;
    if (tap_ < k.width) continue;
    tap_ = 0;
    ++tap_row_;
    down = outside_down();
  }
  runs_ = run;
}

}  // namespace lanefuse
