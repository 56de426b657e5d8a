// Packed weights as files: what View accepts, and that it refuses everything else. The same tests
// for both kinds of weights.
#include "lanefuse/packed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "lanefuse/conv.h"
#include "lanefuse/linear.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"

namespace lanefuse::test {
namespace {

// Small, so that a million checksums take a second: two panels of three lines, with a bias.
struct LinearKind {
  using Packed = PackedLinear;
  using Other = PackedConv2d;
  static constexpr size_t kOutputs = 17, kInputs = 3;
  static size_t Bytes() { return PackedLinear::Bytes(kOutputs, kInputs); }
  static Status Pack(std::span<std::byte> bytes, Packed& packed) {
    std::vector<float> w(kOutputs * kInputs), bias(kOutputs);
    Random random(__LINE__);
    random.FillUniform(w);
    random.FillUniform(bias);
    return PackedLinear::Pack({w.data(), kOutputs, kInputs}, bias, nullptr, bytes, packed);
  }
  static bool SameShape(const Packed& a, const Packed& b) {
    return a.outputs() == b.outputs() && a.inputs() == b.inputs();
  }
  static std::vector<float> Run(const Packed& packed) {
    const std::vector<float> x = {1.0f, -2.0f, 3.5f};
    std::vector<float> y(kOutputs);
    EXPECT_TRUE(Linear(std::span<const float>(x), packed, Epilogue(), std::span(y)).ok());
    return y;
  }
};

bool operator==(const Padding& a, const Padding& b) {
  return a.top == b.top && a.bottom == b.bottom && a.left == b.left && a.right == b.right;
}

bool operator==(const Conv2dShape& a, const Conv2dShape& b) {
  return a.outputs == b.outputs && a.channels == b.channels && a.kernel_h == b.kernel_h &&
         a.kernel_w == b.kernel_w && a.stride_h == b.stride_h && a.stride_w == b.stride_w &&
         a.dilation_h == b.dilation_h && a.dilation_w == b.dilation_w && a.groups == b.groups &&
         a.padding == b.padding;
}

struct Conv2dKind {
  using Packed = PackedConv2d;
  using Other = PackedLinear;
  static Conv2dShape Shape() {
    return {.outputs = 17,
            .channels = 2,
            .kernel_h = 2,
            .kernel_w = 1,
            .stride_h = 1,
            .stride_w = 2,
            .dilation_h = 3,
            .dilation_w = 1,
            .padding = {.top = 1, .bottom = 2, .left = 0, .right = 1}};
  }
  static size_t Bytes() { return PackedConv2d::Bytes(Shape()); }
  static Status Pack(std::span<std::byte> bytes, Packed& packed) {
    std::vector<float> w(17 * 4), bias(17);
    Random random(__LINE__);
    random.FillUniform(w);
    random.FillUniform(bias);
    return PackedConv2d::Pack(Shape(), w, bias, {}, bytes, packed);
  }
  static bool SameShape(const Packed& a, const Packed& b) { return a.shape() == b.shape(); }
  static std::vector<float> Run(const Packed& packed) {
    std::vector<float> x(5 * 4 * 2), y(5 * 3 * 17);
    Random(3).FillUniform(x);
    EXPECT_TRUE(Conv2d(ImageView<const float>(x.data(), 5, 4, 2), packed, Epilogue(),
                       ImageView<float>(y.data(), 5, 3, 17))
                    .ok());
    return y;
  }
};

template <class Kind>
class PackedFile : public testing::Test {
 protected:
  PackedFile() : original(Kind::Bytes()) {
    EXPECT_GT(original.size(), 128u);
    const Status status = Kind::Pack(original.span(), packed);
    EXPECT_TRUE(status.ok()) << status.message();
  }

  // Views `bytes` and checks that failure leaves the result alone, success gives what was packed.
  bool Accepts(std::span<const std::byte> bytes) {
    typename Kind::Packed view = packed;
    last = Kind::Packed::View(bytes, view);
    if (!last.ok()) {
      EXPECT_TRUE(view.panels() == packed.panels() && view.bias() == packed.bias() &&
                  Kind::SameShape(view, packed))
          << "a failing View wrote its result";
      return false;
    }
    EXPECT_TRUE(Kind::SameShape(view, packed));
    EXPECT_EQ(reinterpret_cast<const std::byte*>(view.panels()) - bytes.data(), Panels());
    return true;
  }
  ptrdiff_t Panels() const {
    return reinterpret_cast<const std::byte*>(packed.panels()) - original.data();
  }
  std::vector<std::byte> Copy() const {
    return {original.data(), original.data() + original.size()};
  }

  Guarded<std::byte> original;
  typename Kind::Packed packed;
  Status last;
};

using Kinds = testing::Types<LinearKind, Conv2dKind>;
TYPED_TEST_SUITE(PackedFile, Kinds);

TYPED_TEST(PackedFile, ViewOfACopyGivesTheSameLayer) {
  const std::vector<float> expected = TypeParam::Run(this->packed);
  // Every offset that the format allows: a multiple of 4.
  for (size_t offset = 0; offset <= 128; offset += 4) {
    Guarded<std::byte> copy(this->original.size(), Guard::kAtBegin, offset);
    std::memcpy(copy.data(), this->original.data(), copy.size());
    copy.ReadOnly();
    typename TypeParam::Packed view;
    const Status status = TypeParam::Packed::View(copy.cspan(), view);
    ASSERT_TRUE(status.ok()) << offset << ": " << status.message();
    EXPECT_SAME_BITS(TypeParam::Run(view), expected) << offset;
  }
}

TYPED_TEST(PackedFile, UnalignedBytesAreRefused) {
  for (size_t offset = 1; offset < 4; ++offset) {
    std::vector<std::byte> memory(this->original.size() + 8);
    const std::span<std::byte> copy(memory.data() + offset, this->original.size());
    std::memcpy(copy.data(), this->original.data(), copy.size());
    EXPECT_FALSE(this->Accepts(copy));
    EXPECT_EQ(this->last.code(), StatusCode::kInvalidArgument) << this->last.message();
  }
}

// Cut at every length, with the cut at a page that faults.
TYPED_TEST(PackedFile, TruncatedBytesAreRefused) {
  for (size_t length = 0; length < this->original.size(); ++length) {
    const Guarded<std::byte> cut(length);
    std::memcpy(cut.data(), this->original.data(), length);
    EXPECT_FALSE(this->Accepts(cut.cspan())) << length;
    const bool aligned = length % 4 == 0;
    EXPECT_EQ(this->last.code(), aligned ? StatusCode::kCorrupt : StatusCode::kInvalidArgument)
        << length << ": " << this->last.message();
    EXPECT_FALSE(this->Accepts(this->original.cspan().first(length))) << length;
    EXPECT_EQ(this->last.code(), StatusCode::kCorrupt) << length << ": " << this->last.message();
  }
  EXPECT_FALSE(this->Accepts({}));
}

// Every value of every byte of the header: magic, version, kind, type, sizes, length, checksum.
TYPED_TEST(PackedFile, EveryOtherHeaderIsRefused) {
  const auto header = static_cast<size_t>(this->Panels());
  ASSERT_EQ(header, 128u);
  const std::span<std::byte> bytes = this->original.span();
  for (size_t i = 0; i < header; ++i) {
    for (int change = 1; change < 256; ++change) {
      const std::byte kept = bytes[i];
      bytes[i] ^= static_cast<std::byte>(change);
      EXPECT_FALSE(this->Accepts(bytes)) << "byte " << i;
      EXPECT_EQ(this->last.code(), StatusCode::kCorrupt) << this->last.message();
      bytes[i] = kept;
    }
  }
  EXPECT_TRUE(this->Accepts(bytes));
}

TYPED_TEST(PackedFile, EveryFlippedBitIsRefused) {
  const std::span<std::byte> bytes = this->original.span();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(this->Accepts(bytes)) << "bit " << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  EXPECT_TRUE(this->Accepts(bytes));
}

TYPED_TEST(PackedFile, ForeignBytesAreRefused) {
  Random random(__LINE__);
  const auto refuse = [&](std::span<const std::byte> bytes, const char* what) {
    EXPECT_FALSE(this->Accepts(bytes)) << what;
    EXPECT_EQ(this->last.code(), StatusCode::kCorrupt) << what << ": " << this->last.message();
  };
  for (const int value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
    const std::vector<std::byte> constant(4096, static_cast<std::byte>(value));
    refuse(constant, "one value");
  }
  for (int repeat = 0; repeat < 1000; ++repeat) {
    std::vector<std::byte> noise(4 * random.Between(1, 1000));
    for (std::byte& b : noise) b = static_cast<std::byte>(random.Next());
    refuse(noise, "noise");
    // The right magic in front of noise.
    std::memcpy(noise.data(), this->original.data(), std::min<size_t>(noise.size(), 8));
    refuse(noise, "magic and noise");
  }
  // Written by a machine of the other byte order.
  for (const size_t word : {2, 4, 8}) {
    std::vector<std::byte> swapped = this->Copy();
    for (size_t i = 0; i < swapped.size(); i += word) {
      std::reverse(swapped.begin() + static_cast<ptrdiff_t>(i),
                   swapped.begin() + static_cast<ptrdiff_t>(i + word));
    }
    refuse(swapped, "other byte order");
  }
  // Packed weights of the other kind.
  typename TypeParam::Other other;
  EXPECT_EQ(TypeParam::Other::View(this->original.cspan(), other).code(), StatusCode::kCorrupt);
}

// One random change after another. What is refused is refused with a Status; what is accepted must
// be the original, for example two equal words swapped.
TYPED_TEST(PackedFile, AMillionRandomCorruptions) {
  constexpr size_t kCorruptions = 1'000'000;
  Random random(__LINE__);
  const std::vector<std::byte> intact = this->Copy();
  const size_t size = intact.size();
  alignas(64) static std::byte memory[4096];
  ASSERT_LE(size, sizeof(memory));
  const std::span<std::byte> bytes(memory, size);
  std::memcpy(memory, intact.data(), size);
  size_t refused = 0, unchanged = 0, wrongly_accepted = 0, other_codes = 0;
  while (refused + wrongly_accepted < kCorruptions) {
    size_t length = size;
    const size_t changes = random.Between(1, 4);
    // Half of the changes hit the header, which is the smaller part.
    const auto place = [&] { return random.Below(random.Next() & 1 ? size : 128); };
    switch (random.Below(6)) {
      case 0:
        for (size_t c = 0; c < changes; ++c) bytes[place()] = static_cast<std::byte>(random.Next());
        break;
      case 1:
        for (size_t c = 0; c < changes; ++c) {
          bytes[place()] ^= static_cast<std::byte>(1 << random.Below(8));
        }
        break;
      case 2:
        length = random.Below(size);
        break;
      case 3:
        for (size_t c = 0; c < changes; ++c) std::swap(bytes[place()], bytes[place()]);
        break;
      case 4: {  // Two words of 4 bytes change places.
        const size_t a = place() / 4 * 4, b = place() / 4 * 4;
        std::byte word[4];
        std::memcpy(word, &bytes[a], 4);
        std::memmove(&bytes[a], &bytes[b], 4);
        std::memcpy(&bytes[b], word, 4);
        break;
      }
      default: {  // A run of zeros or ones, as a failing disk leaves it.
        const size_t at = place(), run = std::min(size - at, random.Between(1, 64));
        std::memset(&bytes[at], random.Next() & 1 ? 0xFF : 0x00, run);
      }
    }
    typename TypeParam::Packed view;
    const Status status = TypeParam::Packed::View(bytes.first(length), view);
    const bool same = length == size && std::memcmp(memory, intact.data(), size) == 0;
    if (status.ok()) {
      ++(same ? unchanged : wrongly_accepted);
    } else {
      ++refused;
      other_codes += status.code() != StatusCode::kCorrupt;
      EXPECT_FALSE(same) << "the original was refused: " << status.message();
    }
    std::memcpy(memory, intact.data(), size);
  }
  EXPECT_EQ(wrongly_accepted, 0u);
  EXPECT_EQ(other_codes, 0u);
  EXPECT_EQ(refused, kCorruptions);
  std::printf("corruptions: %zu, refused: %zu, without effect: %zu, wrongly accepted: %zu\n",
              kCorruptions + unchanged, refused, unchanged, wrongly_accepted);
}

TEST(PackedFileConv2d, EveryShapeSurvivesTheFile) {
  Random random(__LINE__);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const size_t groups = random.Between(1, 4);
    const Conv2dShape shape{
        .outputs = groups * random.Between(1, 9),
        .channels = groups * random.Between(1, 5),
        .kernel_h = random.Between(1, 4),
        .kernel_w = random.Between(1, 4),
        .stride_h = random.Between(1, 3),
        .stride_w = random.Between(1, 3),
        .dilation_h = random.Between(1, 3),
        .dilation_w = random.Between(1, 3),
        .groups = groups,
        .padding = {random.Below(3), random.Below(3), random.Below(3), random.Below(3)}};
    std::vector<float> w(shape.outputs * shape.kernel_h * shape.kernel_w * shape.channels / groups);
    random.FillUniform(w);
    const Guarded<std::byte> bytes(PackedConv2d::Bytes(shape));
    PackedConv2d packed, view;
    const Status status = PackedConv2d::Pack(shape, w, {}, {}, bytes.span(), packed);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(bytes.CheckCanaries());
    ASSERT_TRUE(PackedConv2d::View(bytes.cspan(), view).ok());
    EXPECT_TRUE(view.shape() == shape);
    EXPECT_EQ(view.panels(), packed.panels());
    EXPECT_EQ(view.bias(), packed.bias());
  }
}

}  // namespace
}  // namespace lanefuse::test
