// What the rows of a dense tile read, where they are not equally far apart in memory: pixels in the
// padding, or of several rows of an image. No SIMD.
#ifndef LANEFUSE_SRC_COMMON_RUNS_H_
#define LANEFUSE_SRC_COMMON_RUNS_H_

#include <cstddef>
#include <cstdint>

namespace lanefuse {

// The runs of memory, one after the other, that meet the packed weights: each is the channels of a
// tap, or of neighbouring taps that no row of the tile finds in the padding. For each run the table
// has the address in every row of the tile; in the padding that of kZeros.
class RunTable {
 public:
  static constexpr size_t kRows = 8;  // the most that any tile has
  static constexpr size_t kRuns =
      9;  // 3 x 3 taps: larger kernels fill it again, and stack is scarce

  // A kernel on images.
  struct Kernel {
    size_t height, width, stride_h, stride_w, dilation_h, dilation_w, top, left;
    size_t channels;  // of one tap
    // Leaves out the taps that all rows of a tile find in the padding. They add 0 * w; with a
    // finite w that is +0 or -0 and changes no sum but -0, which may become +0.
    bool leave_out;
    // The same for single rows: the tile asks outside() which.
    bool leave_out_rows;
  };
  struct Images {
    const float* data;  // the first channel that the kernel reads
    size_t height, width, image_stride, row_stride, pixel_stride;
    size_t outputs_down, outputs_across;  // pixels of an output image
  };

  RunTable(const Kernel& kernel, const Images& images) : kernel_(kernel), images_(images) {}

  // The tile's first pixel.
  void Seek(size_t image, size_t row, size_t column);
  // Where the next tile begins.
  size_t image() const { return image_; }
  size_t row() const { return row_; }
  size_t column() const { return column_; }
  // Passes over a tile of `rows` pixels, with or without looking at it.
  void Skip(size_t rows);
  void Take(size_t rows);

  // The runs of the tile that Take saw: Rewind(); do { ... } while (Next());
  void Rewind() {
    if (!at_start_) Fill(true);
  }
  bool Next() {
    if (tap_row_ == kernel_.height) return false;
    Fill(false);
    return true;
  }
  size_t runs() const { return runs_; }
  const float* const* rows(size_t run) const { return row_of_[run]; }
  size_t length(size_t run) const { return length_[run]; }
  // Inputs of the kernel between the run before and this one, which all rows find in the padding.
  size_t left_out(size_t run) const { return left_out_[run]; }
  // Rows that find this run in the padding and may leave it out, a bit for each.
  uint32_t outside(size_t run) const { return outside_[run]; }

  // Whether taps were left out that may have met a sum other than +0: if one of the tile's sums is
  // -0 in the end, it must run again, with all taps.
  bool LeftOut() const { return missed_; }
  void KeepPadding() {
    leave_out_ = false;
    at_start_ = false;
  }

 private:
  void Fill(bool from_start);

  const Kernel kernel_;
  const Images images_;
  size_t image_ = 0, row_ = 0, column_ = 0;

  // Of each row: the first tap, which may lie outside (then a coordinate is huge), and its address.
  size_t y_[kRows], x_[kRows];
  uintptr_t address_[kRows];
  bool border_down_ = false, border_across_ = false;
  bool leave_out_ = false;  // as in kernel_, until KeepPadding
  size_t pending_ = 0;      // left out since the last run
  bool missed_ = false;

  size_t tap_row_ = 0, tap_ = 0, channel_ = 0;  // where the next run begins
  bool at_start_ = false;                       // the table holds the first runs
  size_t runs_ = 0;
  size_t length_[kRuns], left_out_[kRuns];
  uint8_t outside_[kRuns];
  static_assert(kRows <= 8);
  const float* row_of_[kRuns][kRows];
};

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_COMMON_RUNS_H_
