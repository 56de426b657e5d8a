// Buffers that catch a kernel which reads or writes where it must not.
//
//   Guarded<float> x(1000);                          // its end abuts a page that faults
//   Guarded<float> x(1000, Guard::kAtBegin, 3);      // 3 floats of canaries after such a page
//   GuardedMat y(rows, cols, stride);                // the last row ends at the page
//   GuardedImage z(images, height, width, channels, pixel_gap, row_gap, image_gap);
//   y.ReadOnly();                                    // a write faults from now on
//   EXPECT_TRUE(y.CheckCanaries());                  // gaps between rows etc. are as they were
//
// Pages without access stand on both sides of each buffer; the guarded side touches its page (but
// for `offset` elements, which serve odd alignments), the other side has canaries up to its page.
// Every element, in and between the rows, starts as a canary, a signalling NaN: a kernel that uses
// what lies between the rows, or an output that was never written, gives NaN and fails the
// comparison with the reference.
#ifndef LANEFUSE_TESTS_SUPPORT_GUARDED_H_
#define LANEFUSE_TESTS_SUPPORT_GUARDED_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include "lanefuse/view.h"

namespace lanefuse::test {

enum class Guard { kAtEnd, kAtBegin };
inline constexpr Guard kGuards[] = {Guard::kAtEnd, Guard::kAtBegin};

// Bytes of anonymous memory between two pages without access, filled with the canary pattern.
class GuardedBytes {
 public:
  GuardedBytes(size_t bytes, Guard guard, size_t offset);
  ~GuardedBytes();
  GuardedBytes(GuardedBytes&& other) noexcept;
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  GuardedBytes& operator=(GuardedBytes&&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  void ReadOnly();
  void Writable();

  // Compares all accessible bytes but those that `live` marks (one flag for each run of `unit`
  // bytes of data()) with the pattern that they started with.
  testing::AssertionResult CheckCanaries(const std::vector<bool>& live, size_t unit) const;

 private:
  std::byte* map_ = nullptr;  // With both guard pages.
  size_t map_size_ = 0;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// `n` elements of T; `offset` elements stay between them and the guarded page.
template <class T>
class Guarded {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit Guarded(size_t n, Guard guard = Guard::kAtEnd, size_t offset = 0)
      : bytes_(n * sizeof(T), guard, offset * sizeof(T)), live_(n, true) {}

  T* data() const { return reinterpret_cast<T*>(bytes_.data()); }
  size_t size() const { return live_.size(); }
  std::span<T> span() const { return {data(), size()}; }
  std::span<const T> cspan() const { return {data(), size()}; }
  T& operator[](size_t i) const { return data()[i]; }

  void ReadOnly() { bytes_.ReadOnly(); }
  void Writable() { bytes_.Writable(); }
  testing::AssertionResult CheckCanaries() const { return bytes_.CheckCanaries(live_, sizeof(T)); }

 protected:
  // Declares that elements [0, n) but those marked are gaps, to be left alone.
  void MarkAllAsGaps() { live_.assign(live_.size(), false); }
  void MarkAsLive(size_t first, size_t n) {
    for (size_t i = first; i < first + n; ++i) live_[i] = true;
  }

 private:
  GuardedBytes bytes_;
  std::vector<bool> live_;
};

// A matrix with gaps between its rows; the last row ends (or the first begins) at the guard.
class GuardedMat : public Guarded<float> {
 public:
  // stride >= cols, or 0 for dense rows.
  GuardedMat(size_t rows, size_t cols, size_t stride = 0, Guard guard = Guard::kAtEnd,
             size_t offset = 0);

  MatView<float> view() const { return {data(), rows_, cols_, stride_}; }
  MatView<const float> cview() const { return {data(), rows_, cols_, stride_}; }
  std::span<float> row(size_t r) const { return {data() + r * stride_, cols_}; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  // The elements without the gaps, and back.
  std::vector<float> Dense() const;
  void Fill(std::span<const float> dense) const;

 private:
  size_t rows_, cols_, stride_;
};

// A batch of NHWC pictures with gaps (in elements) between pixels, rows and images.
class GuardedImage : public Guarded<float> {
 public:
  GuardedImage(size_t images, size_t height, size_t width, size_t channels, size_t pixel_gap = 0,
               size_t row_gap = 0, size_t image_gap = 0, Guard guard = Guard::kAtEnd,
               size_t offset = 0);

  ImageView<float> view() const {
    ImageView<float> view = view_;
    view.data = data();
    return view;
  }
  ImageView<const float> cview() const { return view(); }
  float& at(size_t n, size_t y, size_t x, size_t c) const {
    return data()[n * view_.image_stride + y * view_.row_stride + x * view_.pixel_stride + c];
  }
  std::vector<float> Dense() const;
  void Fill(std::span<const float> dense) const;

 private:
  ImageView<float> view_;  // Without data: this object may be moved.
};

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_GUARDED_H_
