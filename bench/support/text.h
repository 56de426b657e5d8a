// Names from pieces: Text("m", 1, "_k", 768).
#ifndef LANEFUSE_BENCH_SUPPORT_TEXT_H_
#define LANEFUSE_BENCH_SUPPORT_TEXT_H_

#include <concepts>
#include <string>
#include <string_view>

namespace lanefuse::bench {

// Appends only: GCC 12 warns about "literal" + std::string (-Wrestrict, its bug 105651).
template <class... Parts>
std::string Text(const Parts&... parts) {
  std::string text;
  const auto append = [&](const auto& part) {
    if constexpr (std::integral<std::remove_cvref_t<decltype(part)>>) {
      text += std::to_string(part);
    } else {
      text += std::string_view(part);
    }
  };
  (append(parts), ...);
  return text;
}

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_TEXT_H_
