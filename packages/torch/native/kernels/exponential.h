// exp and log of vectors, to a few units of the last place, by their series: of numbers that are not subnormal.

#pragma once

#include "vectors.h"

namespace aaunet::AAUNET_ISA {

namespace {

/// How numbers of a type are made of bits, and how many terms of a series they can tell.
template <typename A>
struct Floating;
template <>
struct Floating<float> {
  using Bits = int32_t;
  static constexpr Bits mantissaBits = 23, bias = 127, rootOfHalf = 0x3f3504f3;
  static constexpr int expTerms = 7, logTerms = 5;
  /// Added and taken away again it leaves a whole number.
  static constexpr float rounding = 0x1.8p23F;
  /// ln 2 in two parts: a whole number times the first is exact.
  static constexpr float ln2High = 0x1.63p-1F, ln2Low = -0x1.bd0106p-13F;
  static constexpr float lowest = -87;
};
template <>
struct Floating<double> {
  using Bits = int64_t;
  static constexpr Bits mantissaBits = 52, bias = 1023, rootOfHalf = 0x3fe6a09e667f3bcd;
  static constexpr int expTerms = 13, logTerms = 11;
  static constexpr double rounding = 0x1.8p52;
  static constexpr double ln2High = 0x1.62e42feep-1, ln2Low = 0x1.a39ef35793c76p-33;
  static constexpr double lowest = -708;
};

constexpr double factorial(int k) { return k > 1 ? k * factorial(k - 1) : 1; }

/// e^x; 0 below the smallest normal number.
template <typename A, typename V = typename Lanes<A>::Vector>
[[gnu::always_inline]] inline V exponential(V x) {
  using F = Floating<A>;
  // e^x = 2^n e^r, |r| <= ln 2 / 2.
  const V n = (x * static_cast<A>(0x1.71547652b82fep+0) + F::rounding) - F::rounding;
  const V r = x - n * F::ln2High - n * F::ln2Low;
  V value = {};
#pragma GCC unroll 16
  for (int k = F::expTerms; k >= 0; k--) value = value * r + static_cast<A>(1 / factorial(k));
  const auto power = (__builtin_convertvector(n, typename Lanes<A>::Mask) + F::bias) << F::mantissaBits;
  return x < F::lowest ? V{} : value * reinterpret_cast<V>(power);
}

/// log x of positive numbers; NaN of NaN.
template <typename A, typename V = typename Lanes<A>::Vector>
[[gnu::always_inline]] inline V logarithm(V x) {
  using F = Floating<A>;
  // log x = n ln 2 + log m, m between the root of 1/2 and that of 2; log m = 2 artanh f.
  const auto bits = reinterpret_cast<typename Lanes<A>::Mask>(x);
  const auto exponent = (bits - F::rootOfHalf) >> F::mantissaBits;
  const V n = __builtin_convertvector(exponent, V), m = reinterpret_cast<V>(bits - (exponent << F::mantissaBits));
  const V f = (m - 1) / (m + 1), square = f * f;
  V series = {};
#pragma GCC unroll 16
  for (int k = F::logTerms; k > 0; k--) series = square * (A{1} / static_cast<A>(2 * k + 1) + series);
  return x == x ? n * F::ln2High + (2 * f * (1 + series) + n * F::ln2Low) : x;
}

}  // namespace

}  // namespace aaunet::AAUNET_ISA
