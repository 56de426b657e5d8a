#include "tests/support/wrong_calls.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <initializer_list>

#include "tests/support/random.h"

namespace lanefuse::test {
namespace {

size_t g_wrong_calls = 0;

bool IsWordCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool ContainsWord(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !IsWordCharacter(text[at - 1])) &&
        (end == text.size() || !IsWordCharacter(text[end]))) {
      return true;
    }
  }
  return false;
}

bool ContainsOneOf(std::string_view text, std::string_view words) {
  while (!words.empty()) {
    const size_t bar = std::min(words.find('|'), words.size());
    if (ContainsWord(text, words.substr(0, bar))) return true;
    words.remove_prefix(std::min(bar + 1, words.size()));
  }
  return false;
}

}  // namespace

Arena::Arena() : memory_(size_t{1} << 18) {
  const std::span<float> floats(reinterpret_cast<float*>(memory_.data()),
                                memory_.size() / sizeof(float));
  Random(__LINE__).FillUniform(floats, 0.5f, 1.0f);
}

std::span<std::byte> Arena::Bytes(size_t n) {
  // Each piece starts on a cache line of its own, so that two never touch.
  auto address = reinterpret_cast<uintptr_t>(memory_.data()) + used_;
  used_ += (64 - address % 64) % 64;
  const std::span<std::byte> piece = std::span(memory_).subspan(used_, n);
  used_ += n + 64;
  return piece;
}

std::span<float> Arena::Floats(size_t n) {
  return {reinterpret_cast<float*>(Bytes(n * sizeof(float)).data()), n};
}

size_t WrongCallCount() { return g_wrong_calls; }

void CheckWrongCall(Arena& arena, std::initializer_list<StatusCode> codes, std::string_view words,
                    const std::function<Status()>& call, int line) {
  const testing::ScopedTrace trace("wrong call", line, words);
  ++g_wrong_calls;
  const std::vector<std::byte> before(arena.all().begin(), arena.all().end());
  const Status status = call();
  const std::string message = status.message();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::find(codes.begin(), codes.end(), status.code()), codes.end())
      << "code " << static_cast<int>(status.code()) << ": " << message;
  EXPECT_TRUE(ContainsOneOf(message, words)) << "'" << message << "' does not name " << words;
  EXPECT_EQ(message.find('#'), message.npos) << message;
  EXPECT_EQ(std::memcmp(before.data(), arena.all().data(), before.size()), 0)
      << "the call wrote something";
}

}  // namespace lanefuse::test
