// Conv2d as a call: whoever runs its parts, whatever the batch, on whichever target, the bits are
// the same; nothing is allocated. Wrong calls: tests/wrong_shape_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <span>
#include <vector>

#include "tests/conv/conv_case.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/parallel.h"

namespace lanefuse::test {
namespace {

// Each has at least 2^18 multiply-adds for each of 8 threads, and rows that 8 does not divide.
std::vector<ConvCase> LargeCases() {
  return {
      {.shape = {.outputs = 70, .channels = 64},
       .images = 3,
       .height = 13,
       .width = 13,
       .has_bias = true,
       .layout = 4},
      {.shape = Square(3, 20, 33), .height = 19, .width = 20, .has_bias = true, .layout = 1},
      {.shape = {.outputs = 130,
                 .channels = 130,
                 .kernel_h = 5,
                 .kernel_w = 5,
                 .groups = 130,
                 .padding = {2, 2, 2, 2}},
       .images = 2,
       .height = 19,
       .width = 20},
      {.shape = {.outputs = 44,
                 .channels = 20,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 2,
                 .padding = {1, 1, 1, 1}},
       .images = 3,
       .height = 17,
       .width = 13,
       .has_bias = true,
       .layout = 3},
      // Groups of eight, whose tiles cross the rows of the image, and of four.
      {.shape = {.outputs = 64,
                 .channels = 64,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 8,
                 .padding = {1, 1, 1, 1}},
       .height = 23,
       .width = 21},
      {.shape = {.outputs = 64,
                 .channels = 64,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 16,
                 .padding = {1, 1, 1, 1}},
       .height = 31,
       .width = 30},
      {.shape = Square(3, 72, 72, 9), .height = 29, .width = 31, .has_bias = true},
      // Few outputs, whose vectors are pixels, and eight channels, of which two pixels share one.
      {.shape = Square(3, 4, 8), .height = 100, .width = 112, .has_bias = true},
      {.shape = Square(3, 3, 8), .height = 101, .width = 113, .has_bias = true},
      {.shape = Square(3, 3, 16), .height = 99, .width = 115, .has_bias = true},
      {.shape = Square(5, 32, 3), .height = 61, .width = 80, .has_bias = true, .layout = 4},
      {.shape = Depthwise(8), .height = 163, .width = 187, .layout = 7},
      // A last vector that overlaps the one before; strips that keep rows, and of wide tiles.
      {.shape = Depthwise(20, 1, 5), .height = 67, .width = 71, .layout = 3},
      {.shape = Depthwise(509), .height = 29, .width = 19, .layout = 1},
      {.shape = Depthwise(88, 1, 9), .height = 29, .width = 45, .has_bias = true},
      // Images of pixels that are not neighbours.
      {.shape = Dilated(Depthwise(80, 1, 5), 3), .height = 33, .width = 35, .has_bias = true},
      // Phases of one row.
      {.shape = {.outputs = 32,
                 .channels = 12,
                 .kernel_w = 5,
                 .dilation_w = 4,
                 .padding = {.left = 8, .right = 8}},
       .images = 2,
       .width = 601,
       .has_bias = true},
      // A first layer, whose rows of the image are copied some at a time.
      {.shape =
           {.outputs = 64, .channels = 1, .kernel_h = 10, .kernel_w = 4, .padding = {4, 5, 1, 1}},
       .height = 403,
       .width = 5,
       .has_bias = true},
      // One row of output: nothing but pixels or outputs to split.
      {.shape = {.outputs = 64, .channels = 40, .kernel_w = 9}, .height = 1, .width = 110},
      // More weights than inputs, so that outputs are split, the last part not a whole one.
      {.shape =
           {.outputs = 200, .channels = 24, .kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}},
       .height = 7,
       .width = 7,
       .has_bias = true},
      // One pixel.
      {.shape = {.outputs = 96, .channels = 900, .kernel_h = 5, .kernel_w = 5},
       .height = 5,
       .width = 5},
  };
}

TEST(Conv2dCall, ThreadsChangeNothing) {
  Random random(__LINE__);
  size_t number = 0;
  for (const ConvCase& c : LargeCases()) {
    SCOPED_TRACE(c.Name());
    const bool third = number++ % 3 == 0;
    const ConvRig rig(c, random);
    ASSERT_GE(rig.OutPixels() * c.shape.outputs * TermsPerOutput(c.shape), size_t{8} << 18);
    const GuardedImage residual =
        MakeImage(c.images, rig.OutHeight(), rig.OutWidth(), c.shape.outputs, LayoutNumber(2));
    std::vector<float> values(rig.OutPixels() * c.shape.outputs);
    random.FillUniform(values);
    residual.Fill(values);
    // One chain in registers; with every third case one that runs step by step, too.
    const Epilogue chains[] = {Epilogue().Add(residual.cview()).Act(Relu()),
                               Epilogue().Act(HardSwish()).Mul(residual.cview())};
    ForEachTarget([&](std::string_view target) {
      for (const Epilogue& chain : std::span(chains).first(third && !IsSlow(target) ? 2 : 1)) {
        const std::vector<float> alone = rig.Run(chain);
        ForEachParallel([&](const Parallel& parallel, const std::string&) {
          EXPECT_SAME_BITS(rig.Run(chain, parallel), alone);
        });
        EXPECT_SAME_BITS(rig.Run(chain, {}), alone);
      }
    });
    if (HasFailure()) return;
  }
}

// Otherwise the test above would compare one thread with itself.
TEST(Conv2dCall, LargeCallsAreSplit) {
  Random random(__LINE__);
  for (const ConvCase& c : LargeCases()) {
    const ConvRig rig(c, random);
    ReversePool pool;
    ThreadPool threads(3);
    const std::vector<float> expected = rig.Run();
    EXPECT_SAME_BITS(rig.Run({}, pool.WithThreads(4)), expected);
    EXPECT_SAME_BITS(rig.Run({}, threads.WithThreads(4)), expected);
    const size_t phases = rig.OutHeight() == 1 ? c.shape.dilation_w : 1;
    if (c.images * rig.OutHeight() * phases >= 4) {
      EXPECT_GE(pool.counts().most_parts, 2u) << c.Name();
      EXPECT_LE(pool.counts().most_parts, 4u);
      EXPECT_EQ(threads.counts().parts, pool.counts().parts);
    }
  }
}

// A pool that leaves all parts but one to nobody.
struct OnePart {
  size_t only;
  size_t parts = 0;

  static void Run(void* context, size_t parts, void (*part)(void*, size_t), void* argument) {
    OnePart& pool = *static_cast<OnePart*>(context);
    pool.parts = parts;
    part(argument, pool.only);
  }
};

// Two threads that write the same values to one place give the right bits, and are a race.
TEST(Conv2dCall, EachOutputIsWrittenByOnePart) {
  Random random(__LINE__);
  const float unwritten = std::bit_cast<float>(uint32_t{0x7fc5a5a5});
  for (const ConvCase& c : LargeCases()) {
    SCOPED_TRACE(c.Name());
    const ConvRig rig(c, random);
    ForEachTarget([&](std::string_view) {
      std::vector<size_t> writers(rig.OutPixels() * c.shape.outputs);
      size_t parts = 1;
      for (size_t i = 0; i < parts; ++i) {
        const GuardedImage y = rig.MakeOutput();
        y.Fill(std::vector<float>(writers.size(), unwritten));
        OnePart pool{.only = i};
        const Parallel parallel = {.threads = 4, .run = &OnePart::Run, .context = &pool};
        ASSERT_TRUE(Conv2d(rig.x.cview(), rig.packed, {}, y.view(), parallel).ok());
        parts = pool.parts;
        const std::vector<float> dense = y.Dense();
        for (size_t j = 0; j < dense.size(); ++j) {
          writers[j] += std::bit_cast<uint32_t>(dense[j]) != std::bit_cast<uint32_t>(unwritten);
        }
      }
      EXPECT_EQ(std::ranges::count(writers, size_t{1}), std::ssize(writers));
      if (c.images * rig.OutHeight() >= 4) {
        EXPECT_GE(parts, 2u);
      }
    });
  }
}

std::vector<ConvCase> SmallCases() {
  return {
      {.shape = {.outputs = 37, .channels = 9},
       .images = 3,
       .height = 3,
       .width = 5,
       .has_bias = true},
      {.shape =
           {.outputs = 50, .channels = 5, .kernel_h = 3, .kernel_w = 3, .padding = {1, 0, 2, 1}},
       .images = 3,
       .height = 3,
       .width = 8,
       .layout = 3},
      {.shape = {.outputs = 35,
                 .channels = 35,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 35,
                 .padding = {1, 1, 1, 1}},
       .images = 3,
       .height = 4,
       .width = 7,
       .layout = 5},
      {.shape = {.outputs = 22,
                 .channels = 6,
                 .kernel_h = 2,
                 .kernel_w = 2,
                 .groups = 2,
                 .padding = {0, 1, 0, 1}},
       .images = 3,
       .height = 4,
       .width = 8},
      {.shape = {.outputs = 5, .channels = 3, .kernel_w = 2, .stride_w = 2},
       .images = 3,
       .height = 1,
       .width = 2},
      {.shape = Square(3, 3, 7), .images = 3, .height = 4, .width = 20},
      {.shape = Square(3, 1, 8), .images = 3, .height = 4, .width = 20},
      {.shape = Strided(Square(3, 3, 16), 2), .images = 3, .height = 4, .width = 29},
      {.shape = Square(3, 12, 3), .images = 3, .height = 4, .width = 27},
      {.shape = Depthwise(8), .images = 3, .height = 4, .width = 20, .layout = 7},
      // Groups of eight, whose tiles cross rows and images, and of four.
      {.shape = {.outputs = 32,
                 .channels = 32,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 4,
                 .padding = {1, 1, 1, 1}},
       .images = 3,
       .height = 4,
       .width = 7},
      {.shape = {.outputs = 32,
                 .channels = 32,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 8,
                 .padding = {1, 1, 1, 1}},
       .images = 3,
       .height = 4,
       .width = 7},
  };
}

TEST(Conv2dCall, AnImageOfABatchEqualsTheImageAlone) {
  Random random(__LINE__);
  for (const ConvCase& c : SmallCases()) {
    SCOPED_TRACE(c.Name());
    const ConvRig rig(c, random);
    ForEachTarget([&](std::string_view) {
      const GuardedImage all = rig.MakeOutput();
      ASSERT_TRUE(Conv2d(rig.x.cview(), rig.packed, Epilogue().Act(Tanh()), all.view()).ok());
      for (size_t n = 0; n < c.images; ++n) {
        ImageView<const float> x = rig.x.cview();
        x.data += n * x.image_stride;
        x.images = 1;
        ImageView<const float> in_batch = all.cview();
        in_batch.data += n * in_batch.image_stride;
        in_batch.images = 1;
        // Dense, so that other tiles and other alignments are used.
        const GuardedImage y(1, rig.OutHeight(), rig.OutWidth(), c.shape.outputs);
        ASSERT_TRUE(Conv2d(x, rig.packed, Epilogue().Act(Tanh()), y.view()).ok());
        EXPECT_SAME_BITS(y.cview(), in_batch);
      }
    });
  }
}

// A part of the rows or columns of a larger image, with the strides of the whole, gives the same
// bits as the whole: where a pixel lies in a tile makes no difference.
TEST(Conv2dCall, APartOfAnImageEqualsTheWhole) {
  Random random(__LINE__);
  for (const size_t groups : {1, 20}) {
    const ConvRig rig(
        {.shape = {.outputs = 40, .channels = 20, .kernel_h = 3, .kernel_w = 3, .groups = groups},
         .height = 9,
         .width = 15,
         .has_bias = true,
         .layout = 1},
        random);
    ForEachTarget([&](std::string_view) {
      const GuardedImage whole = rig.MakeOutput();
      ASSERT_TRUE(Conv2d(rig.x.cview(), rig.packed, {}, whole.view()).ok());
      for (size_t top = 0; top < 4; ++top) {
        for (size_t left = 0; left < 8; ++left) {
          ImageView<const float> x = rig.x.cview();
          x.data += top * x.row_stride + left * x.pixel_stride;
          x.height -= top + 1;
          x.width -= left + 2;
          ImageView<const float> expected = whole.cview();
          expected.data += top * expected.row_stride + left * expected.pixel_stride;
          expected.height -= top + 1;
          expected.width -= left + 2;
          const GuardedImage y(1, expected.height, expected.width, 40);
          ASSERT_TRUE(Conv2d(x, rig.packed, {}, y.view()).ok());
          EXPECT_SAME_BITS(y.cview(), expected);
        }
      }
    });
  }
}

// One buffer of 40 channels for input and output, as in a network that concatenates: the views
// interleave, but share no element.
TEST(Conv2dCall, InputAndOutputMayBeChannelsOfOneBuffer) {
  Random random(__LINE__);
  for (const size_t first : {0, 16}) {
    const ConvRig rig(
        {.shape =
             {.outputs = 24, .channels = 16, .kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}},
         .images = 2,
         .height = 4,
         .width = 9,
         .has_bias = true},
        random);
    const GuardedImage buffer(2, 4, 9, 40);
    const auto channels = [&](size_t begin, size_t count) {
      ImageView<float> view = buffer.view();
      view.data += begin;
      view.channels = count;
      return view;
    };
    const ImageView<float> x = channels(first == 0 ? 24 : 0, 16), y = channels(first, 24);
    const std::vector<float> input = rig.x.Dense();
    ForEachTarget([&](std::string_view) {
      for (size_t i = 0; i < input.size(); ++i) x.data[i / 16 * 40 + i % 16] = input[i];
      const Status status = Conv2d(x, rig.packed, Epilogue().Act(Relu()), y);
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_SAME_BITS(y, rig.Run(Epilogue().Act(Relu())));
      EXPECT_SAME_BITS(x, input);
    });
  }
}

TEST(Conv2dCall, TargetsAgree) {
  Random random(__LINE__);
  std::vector<ConvCase> cases = SmallCases();
  for (ConvCase c : SmallCases()) {
    c.data = Data::kCancelling;
    cases.push_back(c);
    c.data = Data::kWide;
    c.specials = 4;
    cases.push_back(c);
  }
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(c.Name());
    const ConvRig rig(c, random);
    std::vector<float> first;
    ForEachSameBitsTarget([&](std::string_view) {
      const std::vector<float> y = rig.Run(Epilogue().Scale(0.1f).Act(GeluErf()));
      if (first.empty()) first = y;
      EXPECT_SAME_BITS(y, first);
    });
  }
}

TEST(Conv2dCall, AllocatesNothing) {
  Random random(__LINE__);
  std::vector<ConvCase> cases = SmallCases();
  cases.push_back(LargeCases()[0]);
  cases.push_back(LargeCases()[2]);
  for (const ConvCase& c : cases) {
    const ConvRig rig(c, random);
    const GuardedImage y = rig.MakeOutput();
    const std::vector<float> bias(c.shape.outputs, 0.5f);
    ReversePool pool;
    ForEachTarget([&](std::string_view) {
      for (const Epilogue& epilogue :
           {Epilogue(), Epilogue().Bias(bias).Act(Relu()), Epilogue().Act(Mish()).Bias(bias)}) {
        for (const Parallel& parallel :
             {Parallel{.threads = 1}, pool.WithThreads(3), Parallel{.threads = 2}}) {
          ASSERT_TRUE(Conv2d(rig.x.cview(), rig.packed, epilogue, y.view(), parallel).ok());
          Status status;
          EXPECT_NO_ALLOC(status = Conv2d(rig.x.cview(), rig.packed, epilogue, y.view(), parallel));
          EXPECT_TRUE(status.ok()) << status.message();
        }
      }
    });
  }
}

}  // namespace
}  // namespace lanefuse::test
