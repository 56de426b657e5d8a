// The order in which Linear adds the K products of one output: the rule that fixes its bits.
#ifndef LANEFUSE_SRC_LINEAR_ORDER_H_
#define LANEFUSE_SRC_LINEAR_ORDER_H_

#include <cstddef>

namespace lanefuse {

// One chain of fused multiply-adds for each output waits 4 cycles for every k. With 16 outputs (one
// AVX-512 register) that is 16 multiply-adds in 4 cycles where 128 are possible; from 64 outputs
// on, the chains of the other outputs fill the gaps. So few outputs with many inputs get four
// chains: k mod 4, each from 0 and ascending, that meet as (chain 0 + chain 2) + (chain 1 + chain
// 3).
//
// The rule depends on the layer alone, never on the rows, the target or the threads, so it holds
// for every M. Changing it changes the bits of released layers: it must not change.
constexpr size_t kChains = 4;
constexpr bool UsesFourChains(size_t outputs, size_t inputs) {
  return outputs <= 32 && inputs >= 32;
}

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_LINEAR_ORDER_H_
