// The loops behind NormalizeKernels, compiled once for each instruction set: AAUNET_ISA names the namespace. Nothing of the
// standard library here: its inline functions would be merged with those compiled for other instruction sets.

#include "normalize.h"

namespace aaunet::AAUNET_ISA {

namespace {

template <typename T>
struct Lanes;

template <>
struct Lanes<double> {
  static constexpr int width = 8;
  using Vector __attribute__((vector_size(64))) = double;
  using Mask __attribute__((vector_size(64))) = int64_t;

  static Vector load(const double* from) {
    Vector value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(double* to, Vector value) { __builtin_memcpy(to, &value, sizeof value); }
};

template <>
struct Lanes<float> {
  static constexpr int width = 16;
  using Vector __attribute__((vector_size(64))) = float;
  using Mask __attribute__((vector_size(64))) = int32_t;

  static Vector load(const float* from) {
    Vector value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(float* to, Vector value) { __builtin_memcpy(to, &value, sizeof value); }
};

template <>
struct Lanes<Bf16> : Lanes<float> {
  using Wide __attribute__((vector_size(64))) = uint32_t;
  using Narrow __attribute__((vector_size(32))) = uint16_t;

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

/// g = dy, but 0 where the output was cut off.
template <typename L>
typename L::Vector masked(typename L::Vector dy, typename L::Vector y) {
  return y <= 0 ? typename L::Vector{} : dy;
}

template <typename A>
void addTo(double* sums, const A* values, int count) {
  for (int i = 0; i < count; i++) sums[i] += values[i];
}

/// Sums of K vectors of channels over one tile of rows. `term(row, k)` sets the two summands.
template <typename T, int K, typename Term>
void sumBlock(int64_t rows, double* first, double* second, int count, Term term) {
  using L = Lanes<T>;
  using A = typename Coefficient<T>::type;
  typename L::Vector one[K] = {};
  typename L::Vector two[K] = {};
  for (int64_t row = 0; row < rows; row++)
    for (int k = 0; k < K; k++) {
      typename L::Vector a, b;
      term(row, k, a, b);
      one[k] += a;
      two[k] += b;
    }
  A spilled[K * L::width];
  for (int k = 0; k < K; k++) Lanes<A>::store(spilled + k * L::width, one[k]);
  addTo(first, spilled, count);
  for (int k = 0; k < K; k++) Lanes<A>::store(spilled + k * L::width, two[k]);
  addTo(second, spilled, count);
}

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

template <typename T>
void sums(const T* x, int64_t rows, int64_t channels, const typename Coefficient<T>::type* pivot, double* first,
          double* second) {
  constexpr int W = Lanes<T>::width;
  forEachBlock<T>(rows, channels, [&]<int K, bool isSome>(int64_t begin, int64_t count, int64_t c, int lanes) {
    typename Lanes<T>::Vector pivots[K];
    for (int k = 0; k < K; k++) pivots[k] = loadLanes<isSome>(pivot + c + k * W, lanes);
    const T* tile = x + begin * channels + c;
    sumBlock<T, K>(count, first + c, second + c, lanes, [&](int64_t row, int k, auto& a, auto& b) {
      a = loadLanes<isSome>(tile + row * channels + k * W, lanes) - pivots[k];
      b = a * a;
    });
  });
}

template <typename T, bool hasMask>
void gradientSumsOf(const T* x, const T* dy, const T* y, int64_t rows, int64_t channels,
                    const typename Coefficient<T>::type* pivot, double* first, double* second) {
  using L = Lanes<T>;
  constexpr int W = L::width;
  forEachBlock<T>(rows, channels, [&]<int K, bool isSome>(int64_t begin, int64_t count, int64_t c, int lanes) {
    typename L::Vector pivots[K];
    for (int k = 0; k < K; k++) pivots[k] = loadLanes<isSome>(pivot + c + k * W, lanes);
    sumBlock<T, K>(count, first + c, second + c, lanes, [&](int64_t row, int k, auto& a, auto& b) {
      const int64_t at = (begin + row) * channels + c + k * W;
      a = loadLanes<isSome>(dy + at, lanes);
      if constexpr (hasMask) a = masked<L>(a, loadLanes<isSome>(y + at, lanes));
      b = a * (loadLanes<isSome>(x + at, lanes) - pivots[k]);
    });
  });
}

template <typename T>
void gradientSums(const T* x, const T* dy, const T* y, int64_t rows, int64_t channels,
                  const typename Coefficient<T>::type* pivot, double* first, double* second) {
  if (y) gradientSumsOf<T, true>(x, dy, y, rows, channels, pivot, first, second);
  else gradientSumsOf<T, false>(x, dy, y, rows, channels, pivot, first, second);
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

template <typename T, bool hasResidual, bool relu>
void applyOf(const T* x, const T* residual, T* y, int64_t rows, int64_t channels, const typename Coefficient<T>::type* scale,
             const typename Coefficient<T>::type* shift) {
  forEachVector<T>(rows, channels, [&]<bool isSome>(int64_t at, int64_t c, int lanes) {
    auto value = loadLanes<isSome>(x + at, lanes) * loadLanes<isSome>(scale + c, lanes) + loadLanes<isSome>(shift + c, lanes);
    if constexpr (hasResidual) value += loadLanes<isSome>(residual + at, lanes);
    // Written so that NaN stays NaN, as in LibTorch's.
    if constexpr (relu) value = value < 0 ? typename Lanes<T>::Vector{} : value;
    storeLanes<isSome>(y + at, value, lanes);
  });
}

template <typename T>
void apply(const T* x, const T* residual, T* y, int64_t rows, int64_t channels, const typename Coefficient<T>::type* scale,
           const typename Coefficient<T>::type* shift, bool relu) {
  if (residual && relu) applyOf<T, true, true>(x, residual, y, rows, channels, scale, shift);
  else if (residual) applyOf<T, true, false>(x, residual, y, rows, channels, scale, shift);
  else if (relu) applyOf<T, false, true>(x, residual, y, rows, channels, scale, shift);
  else applyOf<T, false, false>(x, residual, y, rows, channels, scale, shift);
}

template <typename T, bool hasMask, bool hasResidual>
void gradientOf(const T* x, const T* dy, const T* y, T* dx, T* dresidual, int64_t rows, int64_t channels,
                const typename Coefficient<T>::type* ofGradient, const typename Coefficient<T>::type* ofInput,
                const typename Coefficient<T>::type* constant) {
  forEachVector<T>(rows, channels, [&]<bool isSome>(int64_t at, int64_t c, int lanes) {
    auto g = loadLanes<isSome>(dy + at, lanes);
    if constexpr (hasMask) g = masked<Lanes<T>>(g, loadLanes<isSome>(y + at, lanes));
    if constexpr (hasResidual) storeLanes<isSome>(dresidual + at, g, lanes);
    storeLanes<isSome>(dx + at,
                       g * loadLanes<isSome>(ofGradient + c, lanes) +
                           loadLanes<isSome>(x + at, lanes) * loadLanes<isSome>(ofInput + c, lanes) +
                           loadLanes<isSome>(constant + c, lanes),
                       lanes);
  });
}

template <typename T>
void gradient(const T* x, const T* dy, const T* y, T* dx, T* dresidual, int64_t rows, int64_t channels,
              const typename Coefficient<T>::type* ofGradient, const typename Coefficient<T>::type* ofInput,
              const typename Coefficient<T>::type* constant) {
  if (y && dresidual) gradientOf<T, true, true>(x, dy, y, dx, dresidual, rows, channels, ofGradient, ofInput, constant);
  else if (y) gradientOf<T, true, false>(x, dy, y, dx, dresidual, rows, channels, ofGradient, ofInput, constant);
  else if (dresidual) gradientOf<T, false, true>(x, dy, y, dx, dresidual, rows, channels, ofGradient, ofInput, constant);
  else gradientOf<T, false, false>(x, dy, y, dx, dresidual, rows, channels, ofGradient, ofInput, constant);
}

}  // namespace

template <typename T>
struct Kernels {
  static const NormalizeKernels<T> table;
};
template <typename T>
const NormalizeKernels<T> Kernels<T>::table{sums<T>, apply<T>, gradientSums<T>, gradient<T>};

template struct Kernels<double>;
template struct Kernels<float>;
template struct Kernels<Bf16>;

}  // namespace aaunet::AAUNET_ISA
