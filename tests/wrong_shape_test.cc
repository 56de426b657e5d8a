// Wrong calls of the convolutions, the pools, of packing and of LimitTarget. The others are in
// wrong_input_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "lanefuse/lanefuse.h"
#include "tests/support/parallel.h"
#include "tests/support/wrong_calls.h"

namespace lanefuse::test {
namespace {

using enum StatusCode;

constexpr size_t kHuge = std::numeric_limits<size_t>::max() / 2;
const float kNan = std::numeric_limits<float>::quiet_NaN();

Parallel PoolWithoutThreads() {
  static ReversePool pool;
  return pool.WithThreads(0);
}

// 2 images of 6 x 5 pixels with 4 channels; 3 x 2 kernel, 6 outputs in 2 groups: 6 x 6 pixels out.
constexpr Conv2dShape kShape = {.outputs = 6,
                                .channels = 4,
                                .kernel_h = 3,
                                .kernel_w = 2,
                                .groups = 2,
                                .padding = {.top = 1, .bottom = 1, .left = 1, .right = 1}};
constexpr size_t kWeights = 6 * 3 * 2 * 2;

template <class T>
ImageView<T> Gapped(T* data, size_t height, size_t width, size_t channels) {
  ImageView<T> view(data, 2, height, width, channels);
  view.pixel_stride = channels + 1;
  view.row_stride = width * view.pixel_stride + 2;
  view.image_stride = height * view.row_stride + 3;
  return view;
}

struct ConvArgs {
  ImageView<const float> x;
  PackedConv2d w;
  Epilogue epilogue;
  ImageView<float> y;
  Parallel parallel;
};

// What is wrong with images in the same way for convolutions and pools.
template <class Args>
void WrongImages(Arena& arena, WrongCalls<Args>& wrong) {
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.data = nullptr; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.data = nullptr; });
  wrong(kInvalidArgument, "x", [](Args& args) { --args.x.pixel_stride, --args.x.pixel_stride; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.pixel_stride = 0; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.row_stride = args.x.width; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.row_stride = 1; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.image_stride = args.x.row_stride; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.image_stride = 0; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.image_stride = kHuge; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.row_stride = kHuge; });
  wrong(kInvalidArgument, "x|y", [](Args& args) { args.x.images = args.y.images = kHuge; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.y.images = 1; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.x.images = 1; });
  wrong(kShapeMismatch, "y", [](Args& args) { --args.y.height; });
  wrong(kShapeMismatch, "y", [](Args& args) { --args.y.width; });
  wrong(kShapeMismatch, "y", [](Args& args) { --args.y.channels; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { --args.x.channels; });
  wrong(kOverlap, "y", [](Args& args) { args.y.data = const_cast<float*>(args.x.data); });
  wrong(kOverlap, "y", [](Args& args) {
    const auto& x = args.x;
    args.y.data = const_cast<float*>(x.data) + x.image_stride + (x.height - 1) * x.row_stride +
                  x.width * x.pixel_stride - 2;  // The last element of x alone.
  });
  wrong(kInvalidArgument, "threads", [](Args& args) { args.parallel = PoolWithoutThreads(); });
  const auto few = arena.Floats(3);
  wrong(kShapeMismatch, "bias", [&](Args& args) { args.epilogue.Bias(few); });
  wrong(kShapeMismatch, "operand|Add|residual",
        [&](Args& args) { args.epilogue.Add(ImageView<const float>(few.data(), 1, 1, 3)); });
  wrong(kInvalidArgument, "operand|Mul|gate", [](Args& args) {
    ImageView<const float> gate = args.y;
    gate.data = nullptr;
    args.epilogue.Mul(gate);
  });
  wrong(kInvalidArgument, "operand|Add|residual", [](Args& args) {
    ImageView<const float> residual = args.y;
    residual.pixel_stride = 1;
    args.epilogue.Add(residual);
  });
  wrong(kOverlap, "operand|Add|residual", [](Args& args) {
    ImageView<const float> residual = args.y;
    ++residual.data;
    args.epilogue.Add(residual);
  });
  wrong(kInvalidArgument, "epilogue|steps", [](Args& args) {
    for (int i = 0; i < 9; ++i) args.epilogue.Act(Relu());
  });
}

TEST(WrongInput, Conv2d) {
  Arena arena;
  using Args = ConvArgs;
  PackedConv2d w;
  ASSERT_TRUE(PackedConv2d::Pack(kShape, arena.Floats(kWeights), {}, {},
                                 arena.Bytes(PackedConv2d::Bytes(kShape)), w)
                  .ok());
  WrongCalls<Args> wrong(arena,
                         {Gapped<const float>(arena.Floats(600).data(), 6, 5, 4),
                          w,
                          {},
                          Gapped(arena.Floats(800).data(), 6, 6, 6),
                          {}},
                         [](const Args& args) {
                           return Conv2d(args.x, args.w, args.epilogue, args.y, args.parallel);
                         });
  WrongImages(arena, wrong);
  wrong.AnyOf({kInvalidArgument, kShapeMismatch}, "w", [](Args& args) { args.w = {}; });
  wrong(kShapeMismatch, "x", [](Args& args) { args.x.channels = 2; });
  // The kernel does not fit into the padded image.
  wrong.AnyOf({kInvalidArgument, kShapeMismatch}, "x|kernel|y",
              [](Args& args) { args.x.height = 0; });
  wrong(kOverlap, "y", [](Args& args) { args.y.data = const_cast<float*>(args.w.panels()); });
}

struct PoolArgs {
  ImageView<const float> x;
  Pool2dShape shape;
  Epilogue epilogue;
  ImageView<float> y;
  Parallel parallel;
};

template <Status (*kPool)(const ImageView<const float>&, const Pool2dShape&, const Epilogue&,
                          const ImageView<float>&, const Parallel&)>
void WrongPools() {
  Arena arena;
  using Args = PoolArgs;
  WrongCalls<Args> wrong(arena,
                         {Gapped<const float>(arena.Floats(600).data(), 6, 5, 4),
                          {.kernel_h = 3, .kernel_w = 2, .padding = {1, 1, 1, 1}},
                          {},
                          Gapped(arena.Floats(800).data(), 6, 6, 4),
                          {}},
                         [](const Args& args) {
                           return kPool(args.x, args.shape, args.epilogue, args.y, args.parallel);
                         });
  WrongImages(arena, wrong);
  wrong(kInvalidArgument, "kernel_h|kernel|shape", [](Args& args) { args.shape.kernel_h = 0; });
  wrong(kInvalidArgument, "kernel_w|kernel|shape", [](Args& args) { args.shape.kernel_w = 0; });
  wrong(kInvalidArgument, "stride_h|stride|shape", [](Args& args) { args.shape.stride_h = 0; });
  wrong(kInvalidArgument, "stride_w|stride|shape", [](Args& args) { args.shape.stride_w = 0; });
  // A window of padding alone would have no maximum and no average.
  wrong(kInvalidArgument, "padding|top", [](Args& args) { args.shape.padding.top = 3; });
  wrong(kInvalidArgument, "padding|bottom", [](Args& args) { args.shape.padding.bottom = 3; });
  wrong(kInvalidArgument, "padding|left", [](Args& args) { args.shape.padding.left = 2; });
  wrong(kInvalidArgument, "padding|right", [](Args& args) { args.shape.padding.right = kHuge; });
  wrong.AnyOf({kInvalidArgument, kShapeMismatch}, "kernel|x|y|kernel_h|shape",
              [](Args& args) { args.shape.kernel_h = 9; });
  wrong.AnyOf({kInvalidArgument, kShapeMismatch}, "kernel|x|y|kernel_w|shape",
              [](Args& args) { args.shape.kernel_w = kHuge; });
}

TEST(WrongInput, MaxPool2d) { WrongPools<MaxPool2d>(); }
TEST(WrongInput, AveragePool2d) { WrongPools<AveragePool2d>(); }

TEST(WrongInput, GlobalAveragePool) {
  Arena arena;
  using Args = PoolArgs;
  WrongCalls<Args> wrong(arena,
                         {Gapped<const float>(arena.Floats(600).data(), 6, 5, 4),
                          {},
                          {},
                          Gapped(arena.Floats(40).data(), 1, 1, 4),
                          {}},
                         [](const Args& args) {
                           return GlobalAveragePool(args.x, args.epilogue, args.y, args.parallel);
                         });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.data = nullptr; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.data = nullptr; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.height = 0; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.width = 0; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.row_stride = 4; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.height = 2; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.width = 0; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.y.channels = 3; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.y.images = 1; });
  wrong(kOverlap, "y", [](Args& args) { args.y.data = const_cast<float*>(args.x.data) + 50; });
  wrong(kInvalidArgument, "threads", [](Args& args) { args.parallel = PoolWithoutThreads(); });
}

// What both Pack functions refuse of a batchnorm `bn()` over 6 channels.
template <class Args, class Get>
void WrongBatchNorm(Arena& arena, WrongCalls<Args>& wrong, Get bn) {
  const auto five = arena.Floats(5), bad = arena.Floats(6);
  const std::span<const float> null(static_cast<const float*>(nullptr), 6);
  wrong(kShapeMismatch, "mean", [&](Args& args) { bn(args).mean = five; });
  wrong(kShapeMismatch, "mean", [&](Args& args) { bn(args).mean = {}; });
  wrong(kInvalidArgument, "mean", [&](Args& args) { bn(args).mean = null; });
  wrong(kShapeMismatch, "variance", [&](Args& args) { bn(args).variance = five; });
  wrong(kShapeMismatch, "variance", [&](Args& args) { bn(args).variance = {}; });
  wrong(kInvalidArgument, "variance", [&](Args& args) { bn(args).variance = null; });
  wrong(kShapeMismatch, "gamma", [&](Args& args) { bn(args).gamma = five; });
  wrong(kShapeMismatch, "beta", [&](Args& args) { bn(args).beta = five; });
  wrong(kInvalidArgument, "gamma", [&](Args& args) { bn(args).gamma = null; });
  // What does not fold to finite numbers; Affine does the same work unfolded.
  for (const float value : {kNan, -1.0f, std::numeric_limits<float>::infinity()}) {
    bad[5] = value;
    if (value != std::numeric_limits<float>::infinity()) {  // Infinite variance: a scale of 0.
      wrong(kUnsupported, "variance|batchnorm|scale|fold",
            [&](Args& args) { bn(args).variance = bad; });
    }
    if (value == -1.0f) continue;
    wrong(kUnsupported, "mean|batchnorm|bias|fold", [&](Args& args) { bn(args).mean = bad; });
    wrong(kUnsupported, "gamma|batchnorm|scale|fold", [&](Args& args) { bn(args).gamma = bad; });
    wrong(kUnsupported, "beta|batchnorm|bias|fold", [&](Args& args) { bn(args).beta = bad; });
  }
  bad[5] = 0.0f;
  wrong(kUnsupported, "variance|batchnorm|scale|fold|epsilon", [&](Args& args) {
    bn(args).variance = bad;
    bn(args).epsilon = 0.0f;
  });
  wrong(kUnsupported, "variance|batchnorm|scale|fold|epsilon",
        [&](Args& args) { bn(args).epsilon = kNan; });
}

struct PackLinearArgs {
  MatView<const float> w;
  std::span<const float> bias;
  std::optional<BatchNorm> batchnorm;
  std::span<std::byte> bytes;
};

TEST(WrongInput, PackedLinearPack) {
  Arena arena;
  using Args = PackLinearArgs;
  const size_t size = PackedLinear::Bytes(6, 10);
  const auto bytes = arena.Bytes(size + 64);
  const Args valid{{arena.Floats(72).data(), 6, 10, 12}, arena.Floats(6), {}, bytes.first(size)};
  const auto pack = [](const Args& args) {
    PackedLinear packed;
    const Status status = PackedLinear::Pack(
        args.w, args.bias, args.batchnorm ? &*args.batchnorm : nullptr, args.bytes, packed);
    EXPECT_EQ(packed.panels() != nullptr, status.ok());
    return status;
  };
  WrongCalls<Args> wrong(arena, valid, pack);
  wrong(kInvalidArgument, "w", [](Args& args) { args.w.data = nullptr; });
  wrong(kInvalidArgument, "w", [](Args& args) { args.w.stride = 9; });
  wrong(kShapeMismatch, "bias", [](Args& args) { args.bias = args.bias.first(5); });
  wrong(kInvalidArgument, "bias", [](Args& args) {
    args.bias = {static_cast<const float*>(nullptr), 6};
  });
  wrong(kBufferTooSmall, "bytes",
        [](Args& args) { args.bytes = args.bytes.first(args.bytes.size() - 1); });
  wrong.AnyOf({kBufferTooSmall, kInvalidArgument}, "bytes", [](Args& args) { args.bytes = {}; });
  wrong(kInvalidArgument, "bytes", [&](Args& args) {
    args.bytes = {static_cast<std::byte*>(nullptr), size};
  });
  wrong(kInvalidArgument, "bytes", [&](Args& args) { args.bytes = bytes.subspan(2, size); });
  wrong(kInvalidArgument, "w",
        [](Args& args) { args.w.rows = args.w.cols = args.w.stride = kHuge; });
  Args with = valid;
  with.batchnorm = {{}, {}, arena.Floats(6), arena.Floats(6), 1e-5f};
  WrongCalls<Args> folded(arena, with, pack);
  WrongBatchNorm(arena, folded, [](Args& args) -> BatchNorm& { return *args.batchnorm; });
}

struct PackConvArgs {
  Conv2dShape shape;
  std::span<const float> weights, bias;
  std::optional<BatchNorm> after, before;
  bool other_readers;
  std::span<std::byte> bytes;
};

TEST(WrongInput, PackedConv2dPack) {
  Arena arena;
  using Args = PackConvArgs;
  const size_t size = PackedConv2d::Bytes(kShape);
  const auto bytes = arena.Bytes(size + 64);
  const Args valid{kShape, arena.Floats(kWeights), arena.Floats(6), {}, {},
                   false,  bytes.first(size)};
  const auto pack = [](const Args& args) {
    PackedConv2d packed;
    const Conv2dFold fold{.after = args.after ? &*args.after : nullptr,
                          .before = args.before ? &*args.before : nullptr,
                          .output_has_other_readers = args.other_readers};
    const Status status =
        PackedConv2d::Pack(args.shape, args.weights, args.bias, fold, args.bytes, packed);
    EXPECT_EQ(packed.panels() != nullptr, status.ok());
    return status;
  };
  WrongCalls<Args> wrong(arena, valid, pack);
  for (size_t Conv2dShape::*extent :
       {&Conv2dShape::kernel_h, &Conv2dShape::kernel_w, &Conv2dShape::stride_h,
        &Conv2dShape::stride_w, &Conv2dShape::dilation_h, &Conv2dShape::dilation_w,
        &Conv2dShape::groups}) {
    Conv2dShape shape = kShape;
    shape.*extent = 0;
    EXPECT_EQ(PackedConv2d::Bytes(shape), 0u);
    wrong(kInvalidArgument,
          "shape|kernel|kernel_h|kernel_w|stride_h|stride_w|dilation_h|"
          "dilation_w|groups|stride|dilation",
          [&](Args& args) { args.shape = shape; });
  }
  wrong(kInvalidArgument, "groups", [](Args& args) { args.shape.groups = 3; });
  wrong(kInvalidArgument, "groups", [](Args& args) { args.shape.groups = 4; });
  wrong(kInvalidArgument, "shape|kernel|kernel_h|weights",
        [](Args& args) { args.shape.kernel_h = kHuge; });
  wrong(kInvalidArgument, "shape|padding|top", [](Args& args) {
    args.shape.padding.top = args.shape.padding.bottom = std::numeric_limits<size_t>::max();
  });
  wrong(kShapeMismatch, "weights", [](Args& args) { args.weights = args.weights.first(71); });
  wrong(kShapeMismatch, "weights", [](Args& args) { args.weights = {}; });
  wrong(kInvalidArgument, "weights", [](Args& args) {
    args.weights = {static_cast<const float*>(nullptr), kWeights};
  });
  wrong(kShapeMismatch, "bias", [](Args& args) { args.bias = args.bias.first(5); });
  wrong(kBufferTooSmall, "bytes",
        [](Args& args) { args.bytes = args.bytes.first(args.bytes.size() - 1); });
  wrong(kInvalidArgument, "bytes", [&](Args& args) { args.bytes = bytes.subspan(1, size); });
  const auto four = arena.Floats(4);
  Args with = valid;
  with.after = {{}, {}, arena.Floats(6), arena.Floats(6), 1e-5f};
  WrongCalls<Args> folded(arena, with, pack);
  WrongBatchNorm(arena, folded, [](Args& args) -> BatchNorm& { return *args.after; });
  folded(kUnsupported, "batchnorm|output|readers|output_has_other_readers",
         [](Args& args) { args.other_readers = true; });
  Args unpadded = valid;
  unpadded.shape.padding = {};
  unpadded.before = {{}, {}, four, four, 1e-5f};
  WrongCalls<Args> before(arena, unpadded, pack);
  before(kUnsupported, "padding", [](Args& args) { args.shape.padding.left = 1; });
  before(kShapeMismatch, "mean", [](Args& args) { args.before->mean = args.bias; });
}

// 32 bytes of status must suffice for a sentence, and what is valid must be listed in it.
TEST(WrongInput, LimitTarget) {
  Arena arena;
  struct Args {
    std::string name;
  };
  const std::string first(SupportedTargets().front()), before(ActiveTarget());
  WrongCalls<Args> wrong(arena, {first}, [](const Args& args) { return LimitTarget(args.name); });
  for (const char* name : {"nonsense", "avx2", "AVX", "AVX20", " AVX2", "AVX2 ", "BASELINE,AVX2"}) {
    wrong(kUnsupportedTarget, first, [&](Args& args) { args.name = name; });
    EXPECT_EQ(ActiveTarget(), first) << "a wrong name changed the target";
  }
  wrong(kUnsupportedTarget, first, [](Args& args) { args.name.assign(100'000, 'A'); });
  wrong(kUnsupportedTarget, first, [&](Args& args) { args.name = first + '\0'; });
  for (const std::string_view built : BuiltTargets()) {
    const auto supported = SupportedTargets();
    if (std::find(supported.begin(), supported.end(), built) != supported.end()) continue;
    wrong(kUnsupportedTarget, first, [&](Args& args) { args.name = built; });
  }
  ASSERT_TRUE(LimitTarget("").ok());
  EXPECT_EQ(ActiveTarget(), before);
}

}  // namespace
}  // namespace lanefuse::test
