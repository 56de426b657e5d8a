// Pooling: the windows of ResNet and of small networks, and global averages.
#include <algorithm>
#include <string>

#include "bench/support/buffer.h"
#include "bench/support/suite.h"
#include "bench/support/text.h"
#include "lanefuse/conv.h"

namespace lanefuse::bench {
namespace {

enum class Kind { kMax, kAverage, kGlobal };

class PoolProblem {
 public:
  // kGlobal: the whole image is the window.
  PoolProblem(Kind kind, size_t height, size_t width, size_t channels, const Pool2dShape& shape)
      : kind_(kind),
        height_(height),
        width_(width),
        channels_(channels),
        shape_(shape),
        out_height_(Extent(height, shape.padding.top + shape.padding.bottom, shape.kernel_h,
                           shape.stride_h)),
        out_width_(Extent(width, shape.padding.left + shape.padding.right, shape.kernel_w,
                          shape.stride_w)),
        x_(Random(height * width * channels, 1)),
        y_(out_height_ * out_width_ * channels) {}

  Status Fused() {
    const ImageView<float> y(y_.data(), out_height_, out_width_, channels_);
    switch (kind_) {
      case Kind::kMax:
        return MaxPool2d(x(), shape_, Epilogue(), y, Threads());
      case Kind::kAverage:
        return AveragePool2d(x(), shape_, Epilogue(), y, Threads());
      case Kind::kGlobal:
        break;
    }
    return GlobalAveragePool(x(), Epilogue(), y, Threads());
  }
  Status Unfused() { return {}; }
  size_t steps() const { return 0; }
  onednn::Layer Onednn() const {
    return onednn::Pool(x(), shape_, kind_ == Kind::kMax, Epilogue());
  }
  std::span<const float> output() const { return y_.span(); }

  Estimate Reference(size_t i) const {
    const size_t c = i % channels_, ox = i / channels_ % out_width_,
                 oy = i / channels_ / out_width_;
    double sum = 0.0, squares = 0.0, max = -1e30;
    size_t pixels = 0;
    for (size_t ky = 0; ky < shape_.kernel_h; ++ky) {
      for (size_t kx = 0; kx < shape_.kernel_w; ++kx) {
        // Unsigned, so that a place above or left of the image is far beyond its end.
        const size_t iy = oy * shape_.stride_h + ky - shape_.padding.top;
        const size_t ix = ox * shape_.stride_w + kx - shape_.padding.left;
        if (iy >= height_ || ix >= width_) continue;
        const double value = static_cast<double>(x_.data()[(iy * width_ + ix) * channels_ + c]);
        sum += value;
        squares += value * value;
        max = std::max(max, value);
        ++pixels;
      }
    }
    if (kind_ == Kind::kMax) return {max, 0.0};
    const auto count = static_cast<double>(pixels);
    return {sum / count, SumBound(pixels, squares) / count};
  }

  // One addition or comparison for each element of each window.
  Work work() const {
    return {static_cast<double>(y_.size() * shape_.kernel_h * shape_.kernel_w),
            4.0 * static_cast<double>(x_.size() + y_.size())};
  }

 private:
  static size_t Extent(size_t in, size_t padding, size_t kernel, size_t stride) {
    return (in + padding - kernel) / stride + 1;
  }
  ImageView<const float> x() const { return {x_.data(), height_, width_, channels_}; }

  Kind kind_;
  size_t height_, width_, channels_;
  Pool2dShape shape_;
  size_t out_height_, out_width_;
  FloatBuffer x_, y_;
};

void AddShape(Suite& suite, Kind kind, size_t height, size_t width, size_t channels, size_t kernel,
              size_t stride, size_t pad) {
  const std::string image = Text("h", height, "w", width, "_c", channels);
  if (kind == Kind::kGlobal) {
    suite.Add<PoolProblem>("pool", "global", image, kind, height, width, channels,
                           Pool2dShape{.kernel_h = height, .kernel_w = width});
    return;
  }
  suite.Add<PoolProblem>("pool", kind == Kind::kMax ? "max" : "average",
                         Text(image, "_k", kernel, "x", kernel, "_s", stride, "_p", pad), kind,
                         height, width, channels,
                         Pool2dShape{.kernel_h = kernel,
                                     .kernel_w = kernel,
                                     .stride_h = stride,
                                     .stride_w = stride,
                                     .padding = {pad, pad, pad, pad}});
}

void AddPool(Suite& suite) {
  for (const Kind kind : {Kind::kMax, Kind::kAverage}) {
    AddShape(suite, kind, 112, 112, 64, 3, 2, 1);  // ResNet-50
    AddShape(suite, kind, 28, 28, 64, 2, 2, 0);
    AddShape(suite, kind, 14, 14, 256, 3, 1, 1);  // Inception
    AddShape(suite, kind, 8, 8, 16, 2, 2, 0);
  }
  AddShape(suite, Kind::kGlobal, 7, 7, 1024, 0, 0, 0);  // MobileNetV1
  AddShape(suite, Kind::kGlobal, 7, 7, 2048, 0, 0, 0);  // ResNet-50
  AddShape(suite, Kind::kGlobal, 25, 5, 64, 0, 0, 0);   // DS-CNN
  AddShape(suite, Kind::kGlobal, 8, 8, 64, 0, 0, 0);    // ResNet-8
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddPool);

}  // namespace
}  // namespace lanefuse::bench
