#include "bench/support/suite.h"

#include <algorithm>

namespace lanefuse::bench {
namespace {

std::vector<Suite::AddFunction>& Families() {
  static std::vector<Suite::AddFunction> families;
  return families;
}

size_t threads_in_use = 1;

}  // namespace

Parallel Threads() { return {.threads = threads_in_use}; }
void SetThreads(size_t threads) { threads_in_use = threads; }

bool Suite::AddFamily(AddFunction add) {
  Families().push_back(add);
  return true;
}

Suite Suite::All() {
  Suite suite;
  for (const AddFunction add : Families()) add(suite);
  // Files are linked in any order; families are reported in one. Shapes keep the order of their
  // tables.
  const auto family = [](const Case& c) { return c.name.substr(0, c.name.find('/')); };
  std::stable_sort(suite.cases_.begin(), suite.cases_.end(),
                   [&](const Case& a, const Case& b) { return family(a) < family(b); });
  return suite;
}

}  // namespace lanefuse::bench
