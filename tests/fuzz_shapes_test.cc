// Random calls of every kernel: shapes, strides, options and epilogues that nobody chose. Each call
// is made twice, on two targets, with two numbers of threads, from memory that is laid out in two
// ways between guard pages, and must give the same bits.
//
// The seed is printed at the start (LANEFUSE_TEST_SEED repeats it); each configuration has its own
// random numbers, so that its index says all.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/reference/conv_ref.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

constexpr size_t kConfigurations = 2000;

// Where the views of one call lie.
struct Placement {
  Guard guard = Guard::kAtEnd;
  size_t offset = 0;
  size_t pixel_gap = 0, row_gap = 0;
};

Placement RandomPlacement(Random& random) {
  return {.guard = kGuards[random.Below(2)],
          .offset = random.Below(2) * random.Below(5),
          .pixel_gap = random.Below(2) * random.Below(7),
          .row_gap = random.Below(2) * random.Below(20)};
}

// A call with its data: runs it with the views placed as told and returns the whole output.
struct Configuration {
  std::string name;
  std::function<std::vector<float>(const Placement&, const Parallel&)> run;
};

// Small, around the edges of vectors and panels, or anything up to `most`.
size_t RandomSize(Random& random, size_t most) {
  size_t size = random.Between(1, 8);
  if (random.Below(3) == 0) size = 16 * random.Between(1, 5) - 1 + random.Below(3);
  if (random.Below(3) == 0) size = random.Between(1, most);
  return std::min(size, most);
}

std::vector<float> RandomValues(Random& random, size_t n) {
  std::vector<float> values(n);
  if (random.Below(3) == 0) {
    random.FillWide(values);
  } else {
    random.FillUniform(values, -3.0f, 3.0f);
  }
  if (random.Below(4) == 0) random.PlantSpecials(values, 1 + n / 50);
  return values;
}

GuardedMat PlaceMat(size_t rows, size_t cols, const Placement& p,
                    const std::vector<float>* values = nullptr) {
  GuardedMat mat(rows, cols, cols + p.pixel_gap, p.guard, p.offset);
  if (values != nullptr) {
    mat.Fill(*values);
    mat.ReadOnly();
  }
  return mat;
}

GuardedImage PlaceImage(size_t images, size_t height, size_t width, size_t channels,
                        const Placement& p, const std::vector<float>* values = nullptr) {
  GuardedImage image(images, height, width, channels, p.pixel_gap, p.row_gap, p.row_gap / 2,
                     p.guard, p.offset);
  if (values != nullptr) {
    image.Fill(*values);
    image.ReadOnly();
  }
  return image;
}

std::vector<float> Finish(const Status& status, const Guarded<float>& y, std::vector<float> dense) {
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(y.CheckCanaries());
  return dense;
}

// A chain with the data for its steps.
struct RandomChain {
  RandomChain(Random& random, size_t rows, size_t cols, bool may_read_output = true)
      : data(rows, cols, random.Next()) {
    do {
      chain = &AllChains()[random.Below(AllChains().size())];
    } while (!may_read_output && ReadsOutput());
  }
  bool ReadsOutput() const {
    for (const ChainStep& step : chain->steps) {
      if (step.self) return true;
    }
    return false;
  }
  ChainData data;
  const Chain* chain = nullptr;
};

Configuration RandomDot(Random& random) {
  const size_t n = RandomSize(random, 3000);
  const std::vector<float> a = RandomValues(random, n), b = RandomValues(random, n);
  auto epilogue = std::make_shared<RandomChain>(random, 1, 1);
  return {"Dot of " + std::to_string(n), [=](const Placement& p, const Parallel&) {
            const GuardedMat x = PlaceMat(1, n, p, &a), w = PlaceMat(1, n, p, &b);
            const GuardedMat y = PlaceMat(1, 1, p);
            y.Fill(epilogue->data.initial());
            const Status status =
                Dot(x.cspan(), w.cspan(), epilogue->data.Fused(*epilogue->chain, y.cview()), y[0]);
            return Finish(status, y, y.Dense());
          }};
}

Configuration RandomGemv(Random& random) {
  const bool large = random.Below(8) == 0;  // Worth more than one thread.
  const size_t outputs = large ? random.Between(500, 900) : RandomSize(random, 200);
  const size_t inputs = large ? random.Between(600, 900) : RandomSize(random, 300);
  const std::vector<float> weights = RandomValues(random, outputs * inputs);
  const std::vector<float> input = RandomValues(random, inputs);
  auto epilogue = std::make_shared<RandomChain>(random, 1, outputs);
  return {"Gemv " + std::to_string(outputs) + " x " + std::to_string(inputs),
          [=](const Placement& p, const Parallel& parallel) {
            const GuardedMat w = PlaceMat(outputs, inputs, p, &weights);
            const GuardedMat x = PlaceMat(1, inputs, p, &input), y = PlaceMat(1, outputs, p);
            y.Fill(epilogue->data.initial());
            const Status status =
                Gemv(w.cview(), x.cspan(), epilogue->data.Fused(*epilogue->chain, y.cview()),
                     y.span(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

Configuration RandomLinear(Random& random) {
  const bool large = random.Below(8) == 0;
  const size_t rows = large ? random.Between(20, 90) : RandomSize(random, 20);
  const size_t inputs = large ? random.Between(100, 200) : RandomSize(random, 300);
  const size_t outputs = large ? random.Between(150, 250) : RandomSize(random, 150);
  const std::vector<float> weights = RandomValues(random, outputs * inputs);
  const std::vector<float> bias = RandomValues(random, random.Below(2) * outputs);
  const std::vector<float> input = RandomValues(random, rows * inputs);
  auto epilogue = std::make_shared<RandomChain>(random, rows, outputs);
  auto bytes = std::make_shared<Guarded<std::byte>>(PackedLinear::Bytes(outputs, inputs));
  PackedLinear packed;
  const Status status = PackedLinear::Pack(MatView<const float>(weights.data(), outputs, inputs),
                                           bias, nullptr, bytes->span(), packed);
  EXPECT_TRUE(status.ok()) << status.message();
  bytes->ReadOnly();
  return {"Linear " + std::to_string(rows) + " x " + std::to_string(inputs) + " to " +
              std::to_string(outputs),
          [=](const Placement& p, const Parallel& parallel) {
            (void)bytes;  // Kept alive for `packed`.
            const GuardedMat x = PlaceMat(rows, inputs, p, &input), y = PlaceMat(rows, outputs, p);
            y.Fill(epilogue->data.initial());
            const Status called =
                Linear(x.cview(), packed, epilogue->data.Fused(*epilogue->chain, y.cview()),
                       y.view(), parallel);
            return Finish(called, y, y.Dense());
          }};
}

struct ImageSize {
  size_t images, height, width, channels;
  size_t elements() const { return images * height * width * channels; }
};

Configuration RandomConv2d(Random& random) {
  const bool large = random.Below(8) == 0;
  Conv2dShape s{.kernel_h = random.Between(1, 4),
                .kernel_w = random.Between(1, 4),
                .stride_h = random.Between(1, 3),
                .stride_w = random.Between(1, 3),
                .dilation_h = random.Between(1, 3),
                .dilation_w = random.Between(1, 3),
                .padding = {random.Below(4), random.Below(4), random.Below(4), random.Below(4)}};
  if (random.Below(3) == 0) s.kernel_h = s.kernel_w = 1;
  if (random.Below(4) == 0) s.padding = {};
  if (large) s.stride_h = s.stride_w = 1;
  switch (random.Below(3)) {
    case 0:
      s.channels = large ? random.Between(40, 70) : RandomSize(random, 70);
      s.outputs = large ? random.Between(40, 70) : RandomSize(random, 100);
      break;
    case 1:
      s.channels = s.groups = RandomSize(random, 100);
      s.outputs = s.channels * random.Between(1, 3);
      break;
    default:
      s.groups = random.Between(2, 4);
      s.channels = s.groups * random.Between(1, 9);
      s.outputs = s.groups * RandomSize(random, 40);
  }
  const size_t reach_h = s.dilation_h * (s.kernel_h - 1) + 1;
  const size_t reach_w = s.dilation_w * (s.kernel_w - 1) + 1;
  const ImageSize in{random.Below(20) == 0 ? 0 : random.Between(1, 3),
                     reach_h + (large ? random.Between(9, 15) : random.Below(7)),
                     reach_w + (large ? random.Between(9, 15) : RandomSize(random, 20)),
                     s.channels};
  const ImageSize out{in.images, OutputHeight(s, in.height), OutputWidth(s, in.width), s.outputs};
  const std::vector<float> weights = RandomValues(random, s.outputs * TermsPerOutput(s));
  const std::vector<float> bias = RandomValues(random, random.Below(2) * s.outputs);
  const std::vector<float> input = RandomValues(random, in.elements());
  auto epilogue =
      std::make_shared<RandomChain>(random, out.images * out.height * out.width, s.outputs);
  auto bytes = std::make_shared<Guarded<std::byte>>(PackedConv2d::Bytes(s));
  PackedConv2d packed;
  const Status status = PackedConv2d::Pack(s, weights, bias, {}, bytes->span(), packed);
  EXPECT_TRUE(status.ok()) << status.message();
  bytes->ReadOnly();
  std::string name = "Conv2d";
  for (const size_t n : {s.outputs, s.channels, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w,
                         s.dilation_h, s.dilation_w, s.groups, s.padding.top, s.padding.bottom,
                         s.padding.left, s.padding.right, in.images, in.height, in.width}) {
    name += ' ';
    name += std::to_string(n);
  }
  return {name, [=](const Placement& p, const Parallel& parallel) {
            (void)bytes;
            const GuardedImage x =
                PlaceImage(in.images, in.height, in.width, in.channels, p, &input);
            const GuardedImage y = PlaceImage(out.images, out.height, out.width, out.channels, p);
            y.Fill(epilogue->data.initial());
            const Status called =
                Conv2d(x.cview(), packed, epilogue->data.FusedImage(*epilogue->chain, y.cview()),
                       y.view(), parallel);
            return Finish(called, y, y.Dense());
          }};
}

Configuration RandomPool(Random& random) {
  const size_t kind = random.Below(3);
  const bool large = random.Below(8) == 0;
  Pool2dShape s{.kernel_h = random.Between(1, 5),
                .kernel_w = random.Between(1, 5),
                .stride_h = random.Between(1, 3),
                .stride_w = random.Between(1, 3),
                .count_padding = random.Below(2) == 1};
  s.padding = {random.Below(s.kernel_h), random.Below(s.kernel_h), random.Below(s.kernel_w),
               random.Below(s.kernel_w)};
  const ImageSize in{random.Between(1, 3), s.kernel_h + (large ? 30 : random.Below(6)),
                     s.kernel_w + (large ? 40 : random.Below(12)),
                     large ? random.Between(40, 90) : RandomSize(random, 150)};
  const bool global = kind == 2;
  const ImageSize out{in.images, global ? 1 : OutputHeight(s, in.height),
                      global ? 1 : OutputWidth(s, in.width), in.channels};
  const std::vector<float> input = RandomValues(random, in.elements());
  auto epilogue =
      std::make_shared<RandomChain>(random, out.images * out.height * out.width, out.channels);
  std::string name = kind == 0 ? "MaxPool2d" : kind == 1 ? "AveragePool2d" : "GlobalAveragePool";
  for (const size_t n :
       {s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.padding.top, s.padding.bottom,
        s.padding.left, s.padding.right, in.images, in.height, in.width, in.channels}) {
    name += ' ';
    name += std::to_string(n);
  }
  return {name, [=](const Placement& p, const Parallel& parallel) {
            const GuardedImage x =
                PlaceImage(in.images, in.height, in.width, in.channels, p, &input);
            const GuardedImage y = PlaceImage(out.images, out.height, out.width, out.channels, p);
            y.Fill(epilogue->data.initial());
            const Epilogue e = epilogue->data.FusedImage(*epilogue->chain, y.cview());
            const Status status = kind == 0   ? MaxPool2d(x.cview(), s, e, y.view(), parallel)
                                  : kind == 1 ? AveragePool2d(x.cview(), s, e, y.view(), parallel)
                                              : GlobalAveragePool(x.cview(), e, y.view(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

Configuration RandomSoftmax(Random& random) {
  const bool large = random.Below(8) == 0;
  const size_t rows = large ? random.Between(200, 400) : RandomSize(random, 30);
  const size_t cols = large ? random.Between(300, 500) : RandomSize(random, 700);
  SoftmaxOptions options{.scale = random.Below(2) ? 1.0f : random.Uniform(-1.0f, 1.0f),
                         .causal = random.Below(3) == 0,
                         .causal_offset = random.Below(2) * random.Below(cols),
                         .log = random.Below(2) == 1};
  const size_t mask_rows = random.Below(3) == 0 ? 0 : random.Below(2) ? rows : 1;
  const std::vector<float> input = RandomValues(random, rows * cols);
  const std::vector<float> mask_values = RandomValues(random, mask_rows * cols);
  auto epilogue = std::make_shared<RandomChain>(random, rows, cols, false);
  return {"Softmax " + std::to_string(rows) + " x " + std::to_string(cols),
          [=](const Placement& p, const Parallel& parallel) {
            const GuardedMat x = PlaceMat(rows, cols, p, &input), y = PlaceMat(rows, cols, p);
            const GuardedMat mask = PlaceMat(mask_rows, cols, p, &mask_values);
            SoftmaxOptions with_mask = options;
            if (mask_rows != 0) with_mask.mask = mask.cview();
            const Status status =
                Softmax(x.cview(), with_mask, epilogue->data.Fused(*epilogue->chain, y.cview()),
                        y.view(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

Configuration RandomApply(Random& random) {
  const bool large = random.Below(8) == 0;
  const size_t rows = large ? random.Between(1, 60) : RandomSize(random, 30);
  const size_t cols = large ? 100000 / rows : RandomSize(random, 500);
  const std::vector<float> input = RandomValues(random, rows * cols);
  auto epilogue = std::make_shared<RandomChain>(random, rows, cols);
  return {"Apply " + std::to_string(rows) + " x " + std::to_string(cols),
          [=](const Placement& p, const Parallel& parallel) {
            const GuardedMat x = PlaceMat(rows, cols, p, &input), y = PlaceMat(rows, cols, p);
            y.Fill(epilogue->data.initial());
            const Status status = Apply(
                x.cview(), epilogue->data.Fused(*epilogue->chain, y.cview()), y.view(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

TEST(FuzzShapes, TwoTargetsTwoThreadCountsTwoLayoutsSameBits) {
  constexpr Configuration (*kMakers[])(Random&) = {RandomDot,    RandomGemv,    RandomLinear,
                                                   RandomConv2d, RandomConv2d,  RandomConv2d,
                                                   RandomPool,   RandomSoftmax, RandomApply};
  const std::vector<std::string_view> targets = SameBitsTargets();
  ASSERT_FALSE(targets.empty());
  ThreadPool pool(3);
  ReversePool reverse;
  size_t elements = 0;
  for (size_t i = 0; i < kConfigurations; ++i) {
    Random random(uint64_t{1000000} + i);
    const Configuration c = kMakers[random.Below(std::size(kMakers))](random);
    const auto run = [&](std::string_view name) {
      const size_t threads = random.Between(1, 8);
      const Parallel ways[] = {
          {.threads = threads}, pool.WithThreads(threads), reverse.WithThreads(threads)};
      EXPECT_TRUE(LimitTarget(name).ok());
      EXPECT_EQ(ActiveTarget(), name) << "another target than the requested one would run";
      std::vector<float> y = c.run(RandomPlacement(random), ways[random.Below(std::size(ways))]);
      EXPECT_TRUE(LimitTarget("").ok());
      return y;
    };
    // Two different targets where there are two.
    const size_t first = random.Below(targets.size());
    const size_t second =
        (first + 1 + random.Below(std::max<size_t>(targets.size(), 2) - 1)) % targets.size();
    SCOPED_TRACE("configuration " + std::to_string(i) + ": " + c.name + ", on " +
                 std::string(targets[first]) + " and " + std::string(targets[second]));
    const std::vector<float> a = run(targets[first]);
    const std::vector<float> b = run(targets[second]);
    EXPECT_SAME_BITS(a, b);
    elements += a.size();
    if (HasFailure()) return;
  }
  EXPECT_GT(elements, 100 * kConfigurations) << "the configurations are nearly empty";
  EXPECT_GT(pool.counts().runs, 10u) << "nothing was large enough for threads";
  EXPECT_GT(reverse.counts().runs, 10u);
}

}  // namespace
}  // namespace lanefuse::test
