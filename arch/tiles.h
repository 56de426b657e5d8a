// The register tiles of arch/tiles-inl.h as a table, for lanefuse-info.
#ifndef LANEFUSE_ARCH_TILES_H_
#define LANEFUSE_ARCH_TILES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lanefuse::arch {

struct Tile {
  const char* family;
  const char* use;
  size_t rows;     // rows, or pixels
  size_t vectors;  // of outputs, or of the 64 virtual lanes of a sum
  size_t chains;   // sums for each output
};

struct TargetTiles {
  int64_t bits = 0;  // Highway's target
  size_t lanes = 0;  // floats in a vector; 0: known only on a CPU that has the target
  size_t registers = 0;
  std::array<Tile, 13> tiles{};  // empty where `lanes` is 0
};

// One entry for each target of Highway that is built in, best first.
std::vector<TargetTiles> AllTiles();

}  // namespace lanefuse::arch

#endif  // LANEFUSE_ARCH_TILES_H_
