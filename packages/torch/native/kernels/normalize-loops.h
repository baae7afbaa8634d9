// The loops behind NormalizeKernels, compiled once for each instruction set: AAUNET_ISA names the namespace.

#include "normalize.h"
#include "vectors.h"

namespace aaunet::AAUNET_ISA {

namespace {

enum class Cut { nowhere, byOutput, byInput };

/// g = dy, but 0 where the output was cut off.
template <Cut cut, bool isSome, typename T>
typename Lanes<T>::Vector gradientOf(const T* dy, const Passed<T>& passed, typename Lanes<T>::Vector x, int64_t at, int64_t c, int lanes) {
  const auto g = loadLanes<isSome>(dy + at, lanes);
  if constexpr (cut == Cut::nowhere) return g;
  typename Lanes<T>::Vector y;
  if constexpr (cut == Cut::byOutput) y = loadLanes<isSome>(passed.y + at, lanes);
  else y = x * loadLanes<isSome>(passed.scale + c, lanes) + loadLanes<isSome>(passed.shift + c, lanes);
  return y <= 0 ? typename Lanes<T>::Vector{} : g;
}

/// Calls `body<Cut>()`.
template <typename T, typename Body>
void withCut(const Passed<T>& passed, Body body) {
  if (passed.y) body.template operator()<Cut::byOutput>();
  else if (passed.scale) body.template operator()<Cut::byInput>();
  else body.template operator()<Cut::nowhere>();
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

template <typename T>
void gradientSums(const T* x, const T* dy, Passed<T> passed, int64_t rows, int64_t channels,
                  const typename Coefficient<T>::type* pivot, double* first, double* second) {
  constexpr int W = Lanes<T>::width;
  withCut(passed, [&]<Cut cut>() {
    forEachBlock<T>(rows, channels, [&]<int K, bool isSome>(int64_t begin, int64_t count, int64_t c, int lanes) {
      typename Lanes<T>::Vector pivots[K];
      for (int k = 0; k < K; k++) pivots[k] = loadLanes<isSome>(pivot + c + k * W, lanes);
      sumBlock<T, K>(count, first + c, second + c, lanes, [&](int64_t row, int k, auto& a, auto& b) {
        const int64_t at = (begin + row) * channels + c + k * W;
        const auto value = loadLanes<isSome>(x + at, lanes);
        a = gradientOf<cut, isSome>(dy, passed, value, at, c + k * W, lanes);
        b = a * (value - pivots[k]);
      });
    });
  });
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

template <typename T>
void gradient(const T* x, const T* dy, Passed<T> passed, T* dx, T* dresidual, int64_t rows, int64_t channels,
              const typename Coefficient<T>::type* ofGradient, const typename Coefficient<T>::type* ofInput,
              const typename Coefficient<T>::type* constant) {
  const auto all = [&]<Cut cut, bool hasResidual>() {
    forEachVector<T>(rows, channels, [&]<bool isSome>(int64_t at, int64_t c, int lanes) {
      const auto value = loadLanes<isSome>(x + at, lanes);
      const auto g = gradientOf<cut, isSome>(dy, passed, value, at, c, lanes);
      if constexpr (hasResidual) storeLanes<isSome>(dresidual + at, g, lanes);
      storeLanes<isSome>(dx + at,
                         g * loadLanes<isSome>(ofGradient + c, lanes) + value * loadLanes<isSome>(ofInput + c, lanes) +
                             loadLanes<isSome>(constant + c, lanes),
                         lanes);
    });
  };
  withCut(passed, [&]<Cut cut>() {
    if (dresidual) all.template operator()<cut, true>();
    else all.template operator()<cut, false>();
  });
}

}  // namespace

template <typename T>
struct NormalizeKernelsOf {
  static const NormalizeKernels<T> table;
};
template <typename T>
const NormalizeKernels<T> NormalizeKernelsOf<T>::table{sums<T>, apply<T>, gradientSums<T>, gradient<T>};

template struct NormalizeKernelsOf<double>;
template struct NormalizeKernelsOf<float>;
template struct NormalizeKernelsOf<Bf16>;

}  // namespace aaunet::AAUNET_ISA
