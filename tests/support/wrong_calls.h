// Wrong calls: each must return its code, name the argument, and leave all memory as it was.
//
//   struct Args { std::span<const float> a, b; float* out; };
//   Arena arena;
//   WrongCalls<Args> wrong(arena, {arena.Floats(3), arena.Floats(3), arena.Floats(1).data()},
//                          [](const Args& args) { return Dot(args.a, args.b, ..., *args.out); });
//   wrong(StatusCode::kShapeMismatch, "a|b", [](Args& args) { args.b = args.b.first(2); });
//
// The unchanged arguments must succeed, which proves that each call is wrong for one reason only.
// All memory that a call could write comes from the arena, which is compared byte for byte.
#ifndef LANEFUSE_TESTS_SUPPORT_WRONG_CALLS_H_
#define LANEFUSE_TESTS_SUPPORT_WRONG_CALLS_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lanefuse/status.h"

namespace lanefuse::test {

// Memory for the arguments of a call, filled with numbers between 1/2 and 1.
class Arena {
 public:
  Arena();
  std::span<float> Floats(size_t n);
  // Aligned to 64.
  std::span<std::byte> Bytes(size_t n);
  std::span<std::byte> all() { return memory_; }

 private:
  std::vector<std::byte> memory_;
  size_t used_ = 0;
};

// The distinct wrong calls so far; main.cc prints the number.
size_t WrongCallCount();

// Makes one wrong call and checks it: `words` are the names, separated by '|', one of which the
// message must contain as a whole word; more than one code only where the card leaves it open.
void CheckWrongCall(Arena& arena, std::initializer_list<StatusCode> codes, std::string_view words,
                    const std::function<Status()>& call, int line);

template <class Args>
class WrongCalls {
 public:
  using Call = Status (*)(const Args&);

  WrongCalls(Arena& arena, const Args& valid, Call call)
      : arena_(arena), valid_(valid), call_(call) {}

  void operator()(StatusCode code, std::string_view words, std::function<void(Args&)> change,
                  int line = __builtin_LINE()) {
    AnyOf({code}, words, std::move(change), line);
  }
  void AnyOf(std::initializer_list<StatusCode> codes, std::string_view words,
             std::function<void(Args&)> change, int line = __builtin_LINE()) {
    Args args = valid_;
    const Status valid = call_(args);
    EXPECT_TRUE(valid.ok()) << "the valid call failed: " << valid.message();
    change(args);
    CheckWrongCall(
        arena_, codes, words, [&] { return call_(args); }, line);
  }

 private:
  Arena& arena_;
  Args valid_;
  Call call_;
};

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_WRONG_CALLS_H_
