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

// A value in the type of its coefficients. Static: what is compiled for one instruction set must not be merged with another's.
static inline float widen(float value) { return value; }
static inline double widen(double value) { return value; }
static inline float widen(Bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float wide;
  __builtin_memcpy(&wide, &bits, sizeof wide);
  return wide;
}

}  // namespace aaunet
