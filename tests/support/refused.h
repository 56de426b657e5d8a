// Wrong calls: each must return its code with a sentence, and leave the output as it was.
//
//   const RefusedCall refused(y);                        // remembers every byte of the buffer
//   refused.Expect(StatusCode::kOverlap, "y", Apply(...));
#ifndef LANEFUSE_TESTS_SUPPORT_REFUSED_H_
#define LANEFUSE_TESTS_SUPPORT_REFUSED_H_

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "lanefuse/status.h"
#include "tests/support/guarded.h"

namespace lanefuse::test {

class RefusedCall {
 public:
  explicit RefusedCall(const Guarded<float>& output)
      : output_(output), before_(output.cspan().begin(), output.cspan().end()) {}

  // `word` is what the sentence has to name: the argument that is wrong.
  void Expect(StatusCode code, std::string_view word, const Status& status) const {
    const std::string message = status.message();
    EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(code)) << message;
    EXPECT_NE(message.find(word), std::string::npos) << "\"" << message << "\" lacks " << word;
    EXPECT_EQ(message.find('#'), std::string::npos) << "a number is missing: " << message;
    // Bytes, not floats: the canaries are NaN.
    EXPECT_EQ(std::memcmp(before_.data(), output_.data(), before_.size() * sizeof(float)), 0)
        << "the output changed: " << message;
    EXPECT_TRUE(output_.CheckCanaries());
  }

 private:
  const Guarded<float>& output_;
  std::vector<float> before_;
};

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_REFUSED_H_
