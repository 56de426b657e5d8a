#include "src/common/check.h"

namespace lanefuse {

bool SpanOf(const ImageView<const float>& v, size_t& count) {
  count = 0;
  if (v.images == 0 || v.height == 0 || v.width == 0 || v.channels == 0) return true;
  return MulAddSize(v.width - 1, v.pixel_stride, v.channels, count) &&
         MulAddSize(v.height - 1, v.row_stride, count, count) &&
         MulAddSize(v.images - 1, v.image_stride, count, count);
}

Status ViewError(const MatView<const float>& m, const ViewTexts& texts) {
  if (m.data == nullptr) return {StatusCode::kInvalidArgument, texts.null_data};
  if (m.rows > 1 && m.stride < m.cols) {
    return {StatusCode::kInvalidArgument, texts.stride, static_cast<int64_t>(m.stride),
            static_cast<int64_t>(m.cols)};
  }
  return {StatusCode::kInvalidArgument, texts.too_large};
}

Status CheckView(const ImageView<const float>& v, const ViewTexts& texts, Extent& extent) {
  extent = {};
  if (v.images == 0 || v.height == 0 || v.width == 0 || v.channels == 0) return {};
  if (v.data == nullptr) return {StatusCode::kInvalidArgument, texts.null_data};
  size_t row, image, count;
  if (!MulAddSize(v.width - 1, v.pixel_stride, v.channels, row) ||
      !MulAddSize(v.height - 1, v.row_stride, row, image) ||
      !MulAddSize(v.images - 1, v.image_stride, image, count)) {
    return {StatusCode::kInvalidArgument, texts.too_large};
  }
  // Each stride must step over all that the inner dimensions cover.
  const auto bad = [&](size_t given, size_t needed) -> Status {
    return {StatusCode::kInvalidArgument, texts.stride, static_cast<int64_t>(given),
            static_cast<int64_t>(needed)};
  };
  if (v.width > 1 && v.pixel_stride < v.channels) return bad(v.pixel_stride, v.channels);
  if (v.height > 1 && v.row_stride < row) return bad(v.row_stride, row);
  if (v.images > 1 && v.image_stride < image) return bad(v.image_stride, image);
  extent = ExtentOf(v.data, count);
  return {};
}

namespace {

// Distance between neighbouring pixels where all pixels of the view lie on one grid; 0: they don't.
size_t Grid(const ImageView<const float>& v, size_t grid) {
  if (v.height > 1 && v.row_stride % grid != 0) return 0;
  if (v.images > 1 && v.image_stride % grid != 0) return 0;
  if (v.width > 1 && v.pixel_stride % grid != 0) return 0;
  return v.channels <= grid ? grid : 0;
}

size_t GridOf(const ImageView<const float>& v) {
  if (v.width > 1) return v.pixel_stride;
  if (v.height > 1) return v.row_stride;
  return v.images > 1 ? v.image_stride : 0;
}

}  // namespace

bool MayOverlap(const ImageView<const float>& a, const ImageView<const float>& b) {
  size_t a_count, b_count;
  if (!SpanOf(a, a_count) || !SpanOf(b, b_count)) return true;
  if (a_count == 0 || b_count == 0) return false;
  const Extent ea = ExtentOf(a.data, a_count);
  const Extent eb = ExtentOf(b.data, b_count);
  if (!Meet(ea, eb)) return false;
  // Seen modulo the grid, each view covers a run of channels; runs that are apart never meet.
  size_t grid = GridOf(a);
  if (grid == 0) grid = GridOf(b);
  if (grid == 0 || Grid(a, grid) == 0 || Grid(b, grid) == 0) return true;
  const uintptr_t bytes = grid * sizeof(float);
  const uintptr_t behind = eb.begin >= ea.begin ? (eb.begin - ea.begin) % bytes
                                                : (bytes - (ea.begin - eb.begin) % bytes) % bytes;
  return behind < a.channels * sizeof(float) || behind + b.channels * sizeof(float) > bytes;
}

bool SameOrApart(const ImageView<const float>& a, const ImageView<const float>& b) {
  if (a.data == b.data && a.images == b.images && a.height == b.height && a.width == b.width &&
      a.channels == b.channels && (a.width <= 1 || a.pixel_stride == b.pixel_stride) &&
      (a.height <= 1 || a.row_stride == b.row_stride) &&
      (a.images <= 1 || a.image_stride == b.image_stride)) {
    return true;
  }
  return !MayOverlap(a, b);
}

}  // namespace lanefuse
