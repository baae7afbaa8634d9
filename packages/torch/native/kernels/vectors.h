// Vectors of channels, compiled once for each instruction set: AAUNET_ISA names the namespace, AAUNET_VECTOR the bytes of a vector. Nothing of the standard library
// here: its inline functions would be merged with those compiled for other instruction sets.

#pragma once

#include "lanes.h"

namespace aaunet::AAUNET_ISA {

namespace {

/// Bytes of a vector: those of a register, unless loops ask for others. Of wider ones GCC would compare and choose value by value.
#if defined(AAUNET_VECTOR)
constexpr int VECTOR = AAUNET_VECTOR;
#elif defined(__AVX512F__)
constexpr int VECTOR = 64;
#elif defined(__AVX2__)
constexpr int VECTOR = 32;
#else
constexpr int VECTOR = 16;
#endif

template <typename T>
struct Lanes;

template <>
struct Lanes<double> {
  static constexpr int width = VECTOR / sizeof(double);
  using Vector __attribute__((vector_size(VECTOR))) = double;
  using Mask __attribute__((vector_size(VECTOR))) = int64_t;

  static Vector load(const double* from) {
    Vector value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(double* to, Vector value) { __builtin_memcpy(to, &value, sizeof value); }
};

template <>
struct Lanes<float> {
  static constexpr int width = VECTOR / sizeof(float);
  using Vector __attribute__((vector_size(VECTOR))) = float;
  using Mask __attribute__((vector_size(VECTOR))) = int32_t;

  static Vector load(const float* from) {
    Vector value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(float* to, Vector value) { __builtin_memcpy(to, &value, sizeof value); }
};

template <>
struct Lanes<Bf16> : Lanes<float> {
  using Wide __attribute__((vector_size(VECTOR))) = uint32_t;
  using Narrow __attribute__((vector_size(VECTOR / 2))) = uint16_t;

  static Vector load(const Bf16* from) {
    Narrow bits;
    __builtin_memcpy(&bits, from, sizeof bits);
    return reinterpret_cast<Vector>(__builtin_convertvector(bits, Wide) << 16);
  }
  /// To the nearest, ties to even; NaN stays NaN.
  static void store(Bf16* to, Vector value) {
    const Wide bits = reinterpret_cast<Wide>(value);
    const Wide rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const Mask isNaN = value != value;
    const Narrow out = __builtin_convertvector(isNaN ? (Wide{} + 0x7fc0) : rounded, Narrow);
    __builtin_memcpy(to, &out, sizeof out);
  }
};

/// The last channels of a row, fewer than a vector has.
template <typename T, typename L = Lanes<T>>
typename L::Vector loadSome(const T* from, int count) {
  T padded[L::width] = {};
  __builtin_memcpy(padded, from, static_cast<unsigned>(count) * sizeof(T));
  return L::load(padded);
}

template <typename T, typename L = Lanes<T>>
void storeSome(T* to, typename L::Vector value, int count) {
  T padded[L::width];
  L::store(padded, value);
  __builtin_memcpy(to, padded, static_cast<unsigned>(count) * sizeof(T));
}

/// Rows summed in the values' own precision before they are added up in double.
constexpr int64_t TILE = 128;

/// Calls `block` for all channels of every tile: by four vectors, then one by one, then what is left of one.
template <typename T, typename Block>
void forEachBlock(int64_t rows, int64_t channels, Block block) {
  constexpr int W = Lanes<T>::width;
  for (int64_t begin = 0; begin < rows; begin += TILE) {
    const int64_t count = rows - begin < TILE ? rows - begin : TILE;
    int64_t c = 0;
    for (; c + 4 * W <= channels; c += 4 * W) block.template operator()<4, false>(begin, count, c, 4 * W);
    for (; c + W <= channels; c += W) block.template operator()<1, false>(begin, count, c, W);
    if (c < channels) block.template operator()<1, true>(begin, count, c, static_cast<int>(channels - c));
  }
}

template <bool isSome, typename T>
typename Lanes<T>::Vector loadLanes(const T* from, int count) {
  if constexpr (isSome) return loadSome(from, count);
  return Lanes<T>::load(from);
}

/// Calls `body<isSome>(offset of the vector, channel, lanes)` for every vector of every row.
template <typename T, typename Body>
void forEachVector(int64_t rows, int64_t channels, Body body) {
  constexpr int W = Lanes<T>::width;
  for (int64_t row = 0; row < rows; row++) {
    const int64_t start = row * channels;
    int64_t c = 0;
    for (; c + W <= channels; c += W) body.template operator()<false>(start + c, c, W);
    if (c < channels) body.template operator()<true>(start + c, c, static_cast<int>(channels - c));
  }
}

template <bool isSome, typename T>
void storeLanes(T* to, typename Lanes<T>::Vector value, int count) {
  if constexpr (isSome) storeSome(to, value, count);
  else Lanes<T>::store(to, value);
}

}  // namespace

}  // namespace aaunet::AAUNET_ISA
