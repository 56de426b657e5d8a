// A matrix times a vector, and a wrong call, which must say what is wrong.
#include <cstdio>
#include <span>

#include "lanefuse/linear.h"

int main() {
  using namespace lanefuse;
  const float w[] = {1.0f, 2.0f, 3.0f, 4.0f}, x[] = {10.0f, 1.0f};
  float y[] = {-1.0f, -1.0f};
  const MatView<const float> matrix(w, 2, 2);
  const Status status = Gemv(matrix, x, Epilogue().Scale(0.5f), y);
  const Status wrong = Gemv(matrix, std::span<const float>(x, 1), Epilogue(), y);
  std::printf("fetch consumer: %s, y = %g %g, want 6 17; %s\n", status.message().c_str(),
              static_cast<double>(y[0]), static_cast<double>(y[1]), wrong.message().c_str());
  const bool refused = wrong.code() == StatusCode::kShapeMismatch;
  return status.ok() && y[0] == 6.0f && y[1] == 17.0f && refused ? 0 : 1;
}
