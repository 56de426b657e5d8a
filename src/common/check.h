// O(1) checks of views, shared by every entry. No SIMD here.
#ifndef LANEFUSE_SRC_COMMON_CHECK_H_
#define LANEFUSE_SRC_COMMON_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "lanefuse/status.h"
#include "lanefuse/view.h"

namespace lanefuse {

// What Status says about one argument; '#' is a number (status.h).
struct ViewTexts {
  const char* null_data;  // "x.data is null"
  const char* stride;     // "x.stride is #, must be at least x.cols, #"
  const char* too_large;  // "x does not fit the address space"
};

// The memory between the first and the last element of a view, in bytes.
struct Extent {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

inline Extent ExtentOf(const float* data, size_t count) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  return {begin, begin + count * sizeof(float)};
}
inline bool Meet(Extent a, Extent b) { return a.begin < b.end && b.begin < a.end; }

// a * b + c without overflow, or false. Counts stay below 2^61, so that bytes fit 63 bits.
constexpr size_t kMaxElements = size_t{1} << (sizeof(size_t) * 8 - 3);
inline bool MulAddSize(size_t a, size_t b, size_t c, size_t& out) {
  size_t product;
  if (__builtin_mul_overflow(a, b, &product) || __builtin_add_overflow(product, c, &out)) {
    return false;
  }
  return out < kMaxElements;
}

// Elements from the first to the last of a view; 0 for an empty one; false where it overflows.
inline bool SpanOf(const MatView<const float>& m, size_t& count) {
  count = 0;
  if (m.rows == 0 || m.cols == 0) return true;
  if (m.rows == 1) {
    count = m.cols;
    return count < kMaxElements;
  }
  return MulAddSize(m.rows - 1, m.stride, m.cols, count);
}
bool SpanOf(const ImageView<const float>& v, size_t& count);

// Null data, a stride below the width, a size beyond the address space. Empty views pass.
Status ViewError(const MatView<const float>& m, const ViewTexts& texts);
inline Status CheckView(const MatView<const float>& m, const ViewTexts& texts) {
  size_t count;
  const bool fine = m.rows == 0 || m.cols == 0 ||
                    (m.data != nullptr && (m.rows == 1 || m.stride >= m.cols) && SpanOf(m, count));
  return fine ? Status() : ViewError(m, texts);
}
// Where the view is sound, `extent` is its memory.
Status CheckView(const ImageView<const float>& v, const ViewTexts& texts, Extent& extent);

// A matrix as one picture of one row of pixels: the form that the kernels use for both.
inline ImageView<const float> AsImage(const MatView<const float>& m) {
  ImageView<const float> image(m.data, 1, 1, m.rows, m.cols);
  image.pixel_stride = m.stride;
  image.row_stride = image.image_stride = 0;
  return image;
}

// True where two views may share an element. Exact for views whose pixels lie on one grid (the two
// halves of the columns of one buffer do not overlap); otherwise the extents decide.
bool MayOverlap(const ImageView<const float>& a, const ImageView<const float>& b);

// The same for matrices. Most calls end with the comparison of the extents.
inline bool MayOverlap(const MatView<const float>& a, const MatView<const float>& b) {
  size_t a_count, b_count;
  if (SpanOf(a, a_count) && SpanOf(b, b_count) &&
      !Meet(ExtentOf(a.data, a_count), ExtentOf(b.data, b_count))) {
    return false;
  }
  return MayOverlap(AsImage(a), AsImage(b));
}

// True where a and b are the same elements at the same places, or where no element is shared.
bool SameOrApart(const ImageView<const float>& a, const ImageView<const float>& b);

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_COMMON_CHECK_H_
