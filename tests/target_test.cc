// Names of targets, the cap on them, LANEFUSE_TARGET, and the compiler's flags.
#include "arch/contraction.h"
#include "lanefuse/target.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

bool Contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST(Target, NamesAreTheFieldsOwnAndDistinct) {
  const std::set<std::string_view> known = {"BASELINE",    "SSE4", "AVX2",         "AVX512",
                                            "AVX512_VNNI", "NEON", "NEON_DOTPROD", "SVE",
                                            "SVE2",        "RVV"};
  const auto built = BuiltTargets();
  EXPECT_FALSE(built.empty());
  EXPECT_EQ(std::set<std::string_view>(built.begin(), built.end()).size(), built.size());
  for (const std::string_view name : built) EXPECT_TRUE(known.contains(name)) << name;
}

TEST(Target, SupportedAreBuiltInTheSameOrderBestFirst) {
  const auto built = BuiltTargets(), supported = SupportedTargets();
  ASSERT_FALSE(supported.empty());
  size_t next = 0;
  for (const std::string_view name : built) {
    if (next < supported.size() && supported[next] == name) ++next;
  }
  EXPECT_EQ(next, supported.size()) << "an order of its own, or a target that is not built";
  // Every CPU runs the lowest target of its platform.
  EXPECT_EQ(supported.back(), built.back());
  if (Contains(built, "BASELINE")) {
    EXPECT_EQ(supported.back(), "BASELINE");
  }
}

TEST(Target, OnlyOneTargetOfEachPlatformRoundsOtherwise) {
  for (const std::string_view name : BuiltTargets()) {
    const bool divides_exactly = name != "NEON" || sizeof(void*) == 8;
    EXPECT_EQ(TargetHasSameBits(name), name != "SSE4" && divides_exactly) << name;
  }
}

// The two facts behind the promise, which tests ask for by themselves.
TEST(Target, EqualBitsAreFusedAndIeee) {
  for (const std::string_view name : BuiltTargets()) {
    EXPECT_EQ(TargetHasSameBits(name), FusesMulAdd(name) && IsIeee(name)) << name;
    EXPECT_TRUE(IsIeee(name) || !IsSlow(name)) << "the emulated target is IEEE everywhere";
  }
  // Tests of equal bits may be skipped where no target is left to compare, and nowhere else.
  if (sizeof(void*) == 8 || BuiltTargets().size() > 1) {
    EXPECT_FALSE(SameBitsTargets().empty());
  }
}

// What IsIeee says is what runs: subnormal numbers and quotients show it.
TEST(Target, ArithmeticIsIeeeWhereTheNameSaysSo) {
  constexpr size_t kCount = 200;
  const std::vector<float> subnormal(19, 0x1p-140f);
  std::vector<float> one(kCount);
  one[0] = 1.0f;
  ForEachTarget([&](std::string_view name) {
    std::vector<float> half(19);
    ASSERT_TRUE(
        Apply({subnormal.data(), 1, 19}, Epilogue().Scale(0.5f), {half.data(), 1, 19}).ok());
    EXPECT_SAME_BITS(half, std::vector<float>(19, IsIeee(name) ? 0x1p-141f : 0.0f));
    size_t inexact = 0;
    for (size_t count = 1; count <= kCount; ++count) {
      float mean = 0.0f;
      const ImageView<const float> image(one.data(), 1, count, 1, 1);
      ASSERT_TRUE(GlobalAveragePool(image, {}, ImageView<float>(&mean, 1, 1, 1, 1)).ok());
      const double exact = 1.0 / static_cast<double>(count);
      EXPECT_LE(std::fabs(mean - exact), DivisionRoundoffs(name) * 0x1p-24 * exact) << count;
      inexact += mean != static_cast<float>(exact);
    }
    EXPECT_EQ(inexact == 0, IsIeee(name)) << inexact << " of " << kCount;
  });
}

TEST(Target, LimitHoldsUntilItIsLifted) {
  ASSERT_TRUE(LimitTarget("").ok());
  const std::string best(ActiveTarget());
  for (const std::string_view name : SupportedTargets()) {
    ASSERT_TRUE(LimitTarget(name).ok());
    EXPECT_EQ(ActiveTarget(), name);
    float out = 0.0f;
    const float a[] = {2.0f};
    ASSERT_TRUE(Dot(a, a, Identity(), out).ok());
    EXPECT_EQ(out, 4.0f);
    EXPECT_EQ(ActiveTarget(), name) << "a call changed the target";
  }
  ASSERT_TRUE(LimitTarget("").ok());
  EXPECT_EQ(ActiveTarget(), best);
  EXPECT_EQ(best, SupportedTargets().front());
}

TEST(Target, AnErrorListsEveryValidName) {
  const std::string message = LimitTarget("nonsense").message();
  for (const std::string_view name : SupportedTargets()) {
    EXPECT_NE(message.find(name), message.npos) << message;
  }
  for (const std::string_view name : BuiltTargets()) {
    if (Contains(SupportedTargets(), name)) continue;
    EXPECT_EQ(LimitTarget(name).code(), StatusCode::kUnsupportedTarget) << name;
    EXPECT_EQ(message.find(std::string(name) + ","), message.npos)
        << "a name that this CPU cannot run is listed: " << message;
  }
}

TEST(Target, LimitAndItsErrorsAllocateNothing) {
  Status status;
  EXPECT_NO_ALLOC(status = LimitTarget(SupportedTargets().back()));
  EXPECT_TRUE(status.ok());
  EXPECT_NO_ALLOC(status = LimitTarget("nonsense"));
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(LimitTarget("").ok());
}

// Where two targets differ by design, their results prove which one ran: SSE4 rounds each product.
TEST(Target, TheOneThatRoundsTwiceIsTheOneThatRuns) {
  const float a[] = {1.0f, 1.0f + 0x1p-12f}, b[] = {-1.0f - 0x1p-11f, 1.0f + 0x1p-12f};
  // In one chain: fma(a1, b1, a0 * b0) = 2^-24 exactly, and 0 where a1 * b1 is rounded first.
  std::vector<std::byte> bytes(PackedLinear::Bytes(1, 2) + 4);
  const size_t offset = reinterpret_cast<uintptr_t>(bytes.data()) % 4;
  PackedLinear packed;
  ASSERT_TRUE(
      PackedLinear::Pack({b, 1, 2}, {}, nullptr, std::span(bytes).subspan((4 - offset) % 4), packed)
          .ok());
  ForEachTarget([&](std::string_view name) {
    float y = -1.0f;
    ASSERT_TRUE(Linear({a, 1, 2}, packed, Epilogue(), {&y, 1, 1}).ok());
    EXPECT_EQ(y, FusesMulAdd(name) ? 0x1p-24f : 0.0f);
  });
}

// What a child of this executable prints with LANEFUSE_TARGET = `value` (main.cc). Empty where it
// cannot be started, as under an emulator that LANEFUSE_TEST_EMULATOR does not name.
std::string Probe(const std::string& value) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return "";
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    close(pipe_ends[0]);
    setenv("LANEFUSE_TARGET", value.c_str(), 1);
    char self[4096] = {};
    const char* emulator = getenv("LANEFUSE_TEST_EMULATOR");
    if (emulator == nullptr) {
      execl("/proc/self/exe", "lanefuse_tests", "--probe", static_cast<char*>(nullptr));
    } else if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
      execlp(emulator, emulator, self, "--probe", static_cast<char*>(nullptr));
    }
    _exit(127);
  }
  close(pipe_ends[1]);
  std::string text;
  char buffer[512];
  ssize_t got = 0;
  while ((got = read(pipe_ends[0], buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(pipe_ends[0]);
  int state = 0;
  EXPECT_EQ(waitpid(child, &state, 0), child);
  EXPECT_TRUE(WIFEXITED(state)) << "the child died: " << text;
  return WIFEXITED(state) && WEXITSTATUS(state) == 0 ? text : "";
}

std::string Line(const std::string& text, const std::string& key) {
  const size_t at = text.find(key + " ");
  if (at == text.npos) return "(no " + key + ")";
  return text.substr(at + key.size() + 1, text.find('\n', at) - at - key.size() - 1);
}

TEST(TargetVariable, ChoosesTheTarget) {
  if (Probe("BASELINE").empty()) GTEST_SKIP() << "no child process can be started here";
  for (const std::string_view name : SupportedTargets()) {
    const std::string text = Probe(std::string(name));
    EXPECT_EQ(Line(text, "active"), name) << text;
    EXPECT_EQ(Line(text, "code"), "0") << text;
    EXPECT_EQ(Line(text, "c_active"), name) << text;
    EXPECT_EQ(Line(text, "c_code"), "0") << text;
    EXPECT_EQ(Line(text, "out"), "11") << text;
  }
}

TEST(TargetVariable, EmptyIsNoLimit) {
  const std::string text = Probe("");
  if (text.empty()) GTEST_SKIP() << "no child process can be started here";
  EXPECT_EQ(Line(text, "active"), SupportedTargets().front()) << text;
  EXPECT_EQ(Line(text, "code"), "0") << text;
}

TEST(TargetVariable, WrongNamesAreAnErrorOfEveryCall) {
  if (Probe("nonsense").empty()) GTEST_SKIP() << "no child process can be started here";
  const std::string unsupported = std::to_string(static_cast<int>(StatusCode::kUnsupportedTarget));
  std::vector<std::string> wrong = {"nonsense", "avx2", "AVX", "AVX2 ", std::string(5000, 'A')};
  for (const std::string_view name : BuiltTargets()) {
    if (!Contains(SupportedTargets(), name)) wrong.emplace_back(name);
  }
  for (const std::string& name : wrong) {
    const std::string text = Probe(name);
    EXPECT_EQ(Line(text, "active"), "") << text;
    EXPECT_EQ(Line(text, "code"), unsupported) << text;
    EXPECT_EQ(Line(text, "c_active"), "") << text;
    EXPECT_EQ(Line(text, "c_code"), unsupported) << text;
    EXPECT_EQ(Line(text, "out"), "-1") << "the output changed: " << text;
    const std::string message = Line(text, "message");
    EXPECT_NE(message.find("LANEFUSE_TARGET"), message.npos) << message;
    for (const std::string_view valid : SupportedTargets()) {
      EXPECT_NE(message.find(valid), message.npos) << message;
    }
  }
}

// A product and a sum that the compiler cannot compute in advance. This file is compiled with the
// library's flags, and the attribute lets an x86 compiler use the instruction that it must not.
LANEFUSE_MAY_FUSE float ProductSum(float a, float b, float c) { return a * b + c; }

// (1 + 2^-12)^2 - 1 - 2^-11 = 2^-24 exactly, and 0 where the product is rounded first.
TEST(Contraction, IsOffInCodeCompiledLikeTheLibrary) {
  if (!arch::CanFuse()) GTEST_SKIP() << "this CPU has no fused multiply-add";
  volatile float a = 1.0f + 0x1p-12f, c = -1.0f - 0x1p-11f;
  EXPECT_EQ(std::fma(a, a, c), 0x1p-24f);
  EXPECT_EQ(ProductSum(a, a, c), 0.0f) << "the compiler fused a product and a sum";
}

// The library's own vector code: compilers fuse intrinsics too.
TEST(Contraction, IsOffInTheLibrary) {
  Random random(__LINE__);
  constexpr size_t kCount = 67;
  std::vector<float> x(kCount), scale(kCount), bias(kCount), y(kCount), twice(kCount), once(kCount);
  random.FillUniform(x);
  random.FillUniform(scale);
  for (size_t i = 0; i < kCount; ++i) {
    const float product = x[i] * scale[i];
    bias[i] = -product;  // All that is left of the sum is what rounding took from the product.
    twice[i] = product + bias[i];
    once[i] = std::fma(x[i], scale[i], bias[i]);
  }
  ASSERT_GT(CountDiffering(twice, once), kCount / 2) << "these data show nothing";
  const MatView<const float> in(x.data(), 1, kCount);
  ForEachTarget([&](std::string_view name) {
    ASSERT_TRUE(Apply(in, Epilogue().ScaleChannels(scale).Bias(bias), std::span(y)).ok());
    EXPECT_SAME_BITS(y, twice);
    ASSERT_TRUE(
        Apply(in, Epilogue().ScaleChannels(scale).Add(std::span<const float>(bias)), std::span(y))
            .ok());
    EXPECT_SAME_BITS(y, twice);
    ASSERT_TRUE(Apply(in, Epilogue().Affine(scale, bias), std::span(y)).ok());
    if (FusesMulAdd(name)) {
      EXPECT_SAME_BITS(y, once);
    }
  });
}

}  // namespace
}  // namespace lanefuse::test
