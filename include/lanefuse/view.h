// Views of the caller's memory. They own nothing; strides count elements, never bytes.
#ifndef LANEFUSE_VIEW_H_
#define LANEFUSE_VIEW_H_

#include <cstddef>
#include <span>
#include <type_traits>

namespace lanefuse {

// A matrix of `rows` x `cols`, row-major: element (r, c) is data[r * stride + c].
// stride >= cols. A kernel touches [0, cols) of each row and nothing between the rows.
template <class T>
struct MatView {
  T* data = nullptr;
  size_t rows = 0;
  size_t cols = 0;
  size_t stride = 0;

  constexpr MatView() = default;
  constexpr MatView(T* first, size_t m, size_t n) : MatView(first, m, n, n) {}
  constexpr MatView(T* first, size_t m, size_t n, size_t row_stride)
      : data(first), rows(m), cols(n), stride(row_stride) {}
  // A span, or whatever converts to one, is a matrix of one row.
  template <class Row>
  requires(std::is_convertible_v<Row&&, std::span<T>>) constexpr MatView(Row&& row)  // NOLINT
      : MatView(std::span<T>(row).data(), 1, std::span<T>(row).size()) {}
  constexpr operator MatView<const T>() const  // NOLINT
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }
};

// `images` pictures of height x width pixels with `channels` values each, channels innermost
// (NHWC): element (n, y, x, c) is data[n * image_stride + y * row_stride + x * pixel_stride + c].
template <class T>
struct ImageView {
  T* data = nullptr;
  size_t images = 0;
  size_t height = 0;
  size_t width = 0;
  size_t channels = 0;
  size_t pixel_stride = 0;
  size_t row_stride = 0;
  size_t image_stride = 0;

  constexpr ImageView() = default;
  // One dense picture.
  constexpr ImageView(T* first, size_t h, size_t w, size_t c) : ImageView(first, 1, h, w, c) {}
  // A dense batch.
  constexpr ImageView(T* first, size_t n, size_t h, size_t w, size_t c)
      : data(first),
        images(n),
        height(h),
        width(w),
        channels(c),
        pixel_stride(c),
        row_stride(w * c),
        image_stride(h * w * c) {}
  constexpr operator ImageView<const T>() const  // NOLINT
      requires(!std::is_const_v<T>) {
    ImageView<const T> view(data, images, height, width, channels);
    view.pixel_stride = pixel_stride;
    view.row_stride = row_stride;
    view.image_stride = image_stride;
    return view;
  }
};

}  // namespace lanefuse

#endif  // LANEFUSE_VIEW_H_
