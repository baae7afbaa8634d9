// The types of values that the kernels take, and of what they compute in.

#pragma once

#include <cstdint>

namespace aaunet {

/// bfloat16 by its bits: no type of LibTorch, whose inline functions must not be compiled for one instruction set here and for
/// another elsewhere.
struct Bf16 {
  uint16_t bits;
};

/// What coefficients are held in: as wide as the values, float at least.
template <typename T>
struct Coefficient {
  using type = float;
};
template <>
struct Coefficient<double> {
  using type = double;
};

}  // namespace aaunet
