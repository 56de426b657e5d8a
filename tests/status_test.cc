#include "lanefuse/status.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/alloc_trap.h"
#include "tests/support/guarded.h"

namespace lanefuse::test {
namespace {

constexpr Status kFailure(StatusCode::kShapeMismatch, "y.cols is #, w has # outputs", 10, 12);
constexpr const char* kSentence = "y.cols is 10, w has 12 outputs";

TEST(Status, DefaultIsOk) {
  constexpr Status ok;
  EXPECT_TRUE(ok.ok());
  EXPECT_EQ(ok.code(), StatusCode::kOk);
  EXPECT_EQ(ok.message(), "ok");
}

TEST(Status, IsSmall) { EXPECT_LE(sizeof(Status), 32u); }

TEST(Status, SaysCodeAndSentence) {
  EXPECT_FALSE(kFailure.ok());
  EXPECT_EQ(kFailure.code(), StatusCode::kShapeMismatch);
  EXPECT_EQ(kFailure.message(), kSentence);
  EXPECT_EQ(Status(StatusCode::kOverlap, "no number").message(), "no number");
  EXPECT_EQ(Status(StatusCode::kOverlap, "#", 7).message(), "7");
  EXPECT_EQ(Status(StatusCode::kOverlap, "#x#", 0, -1).message(), "0x-1");
  EXPECT_EQ(Status(StatusCode::kOverlap, "").message(), "");
}

TEST(Status, WritesEveryNumber) {
  for (const int64_t value :
       {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{9}, int64_t{10}, int64_t{-10},
        int64_t{1234567890123}, std::numeric_limits<int64_t>::max(),
        std::numeric_limits<int64_t>::min()}) {
    const Status status(StatusCode::kInvalidArgument, "<#|#>", value, value);
    const std::string digits = std::to_string(value);
    EXPECT_EQ(status.message(), "<" + digits + "|" + digits + ">");
  }
}

// Cut at every length: a NUL always ends what is written, and nothing beyond `out` is touched.
TEST(Status, FormatIsCutWhereTheBufferEnds) {
  const std::string sentence = kSentence;
  for (size_t size = 0; size <= sentence.size() + 5; ++size) {
    for (const Guard guard : kGuards) {
      const Guarded<char> out(size, guard);
      std::fill(out.span().begin(), out.span().end(), '!');
      EXPECT_EQ(kFailure.Format(out.span()), sentence.size());
      EXPECT_TRUE(out.CheckCanaries());
      if (size == 0) continue;
      const std::string expected = sentence.substr(0, size - 1);
      EXPECT_EQ(std::string(out.data(), strnlen(out.data(), size)), expected) << size;
      for (size_t i = expected.size() + 1; i < size; ++i) EXPECT_EQ(out[i], '!') << size;
    }
  }
}

TEST(Status, FormatAllocatesNothing) {
  char out[64];
  size_t length = 0;
  EXPECT_NO_ALLOC(length = kFailure.Format(out));
  EXPECT_EQ(length, std::strlen(kSentence));
  EXPECT_STREQ(out, kSentence);
}

}  // namespace
}  // namespace lanefuse::test
