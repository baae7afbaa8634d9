// What the loops for AVX2 share. Nothing of the standard library here: its inline functions would be merged with those compiled for
// other instruction sets.

#pragma once

#define AAUNET_ISA avx2
#define AAUNET_VECTOR 32
#include "vectors.h"

namespace aaunet {

namespace {

using Vector = avx2::Lanes<float>::Vector;
constexpr int LANES = avx2::Lanes<float>::width;

template <typename T>
Vector load(const T* from) {
  return avx2::Lanes<T>::load(from);
}
template <typename T>
void store(T* to, Vector value) {
  avx2::Lanes<T>::store(to, value);
}
/// Not as a sum with 0, which the compiler would have to compute.
Vector broadcast(float value) { return Vector{value, value, value, value, value, value, value, value}; }

/// Rows of a product of matrices at a time: with two vectors of columns their sums fill 12 of 16 registers.
constexpr int64_t HEIGHT = 6;
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// Rows of a product of matrices in strips of HEIGHT or one less, so that none is nearly empty.
struct Strips {
  int64_t count, tall;  // the first `tall` have one more than the others

  explicit Strips(int64_t rows) : count((rows + HEIGHT - 1) / HEIGHT), tall(rows - count * (rows / count)), low_(rows / count) {}
  int64_t height(int64_t strip) const { return low_ + (strip < tall ? 1 : 0); }
  int64_t first(int64_t strip) const { return strip * low_ + smaller(strip, tall); }

 private:
  int64_t low_;
};

/// Calls `body<M>()` with a strip's height.
template <typename Body>
void withHeight(int64_t height, Body body) {
  switch (height) {
    case 1: return body.template operator()<1>();
    case 2: return body.template operator()<2>();
    case 3: return body.template operator()<3>();
    case 4: return body.template operator()<4>();
    case 5: return body.template operator()<5>();
    default: return body.template operator()<6>();
  }
}

}  // namespace

}  // namespace aaunet
