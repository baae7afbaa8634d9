// The loops behind WeighKernels, compiled once for each instruction set: AAUNET_ISA names the namespace.

#include "vectors.h"
#include "weigh.h"

namespace aaunet::AAUNET_ISA {

namespace {

template <typename T, int64_t fixedRadix>
void splitsOf(const T* x, T* y, int64_t rows, int64_t channels, int64_t radix, const typename Coefficient<T>::type* weights) {
  if constexpr (fixedRadix > 0) radix = fixedRadix;
  forEachVector<T>(rows, channels, [&]<bool isSome>(int64_t at, int64_t c, int lanes) {
    const T* const from = x + (at - c) * radix + c;
    typename Lanes<T>::Vector sum = loadLanes<isSome>(from, lanes) * loadLanes<isSome>(weights + c, lanes);
    for (int64_t r = 1; r < radix; r++)
      sum += loadLanes<isSome>(from + r * channels, lanes) * loadLanes<isSome>(weights + r * channels + c, lanes);
    storeLanes<isSome>(y + at, sum, lanes);
  });
}

template <typename T>
void splits(const T* x, T* y, int64_t rows, int64_t channels, int64_t radix, const typename Coefficient<T>::type* weights) {
  if (radix == 1) splitsOf<T, 1>(x, y, rows, channels, radix, weights);
  else if (radix == 2) splitsOf<T, 2>(x, y, rows, channels, radix, weights);
  else splitsOf<T, 0>(x, y, rows, channels, radix, weights);
}

template <typename T>
void splitsGradient(const T* x, const T* dy, T* dx, int64_t rows, int64_t channels, int64_t radix,
                    const typename Coefficient<T>::type* weights, double* dweights) {
  using L = Lanes<T>;
  using A = typename Coefficient<T>::type;
  constexpr int W = L::width;
  forEachBlock<T>(rows, channels, [&]<int K, bool isSome>(int64_t begin, int64_t count, int64_t c, int lanes) {
    const int each = isSome ? lanes : W;
    for (int64_t r = 0; r < radix; r++) {
      typename L::Vector weight[K], sum[K] = {};
      for (int k = 0; k < K; k++) weight[k] = loadLanes<isSome>(weights + r * channels + c + k * W, each);
      for (int64_t row = begin; row < begin + count; row++)
        for (int k = 0; k < K; k++) {
          const auto g = loadLanes<isSome>(dy + row * channels + c + k * W, each);
          const int64_t at = (row * radix + r) * channels + c + k * W;
          storeLanes<isSome>(dx + at, g * weight[k], each);
          sum[k] += g * loadLanes<isSome>(x + at, each);
        }
      A spilled[K * W];
      for (int k = 0; k < K; k++) Lanes<A>::store(spilled + k * W, sum[k]);
      for (int i = 0; i < lanes; i++) dweights[r * channels + c + i] += spilled[i];
    }
  });
}

template <typename T>
void rows(const T* x, T* y, int64_t rows, int64_t channels, const typename Coefficient<T>::type* weights) {
  for (int64_t row = 0; row < rows; row++)
    forEachVector<T>(1, channels, [&]<bool isSome>(int64_t c, int64_t, int lanes) {
      storeLanes<isSome>(y + row * channels + c, loadLanes<isSome>(x + row * channels + c, lanes) * weights[row], lanes);
    });
}

template <typename T>
void rowsGradient(const T* x, const T* dy, T* dx, int64_t rows, int64_t channels, const typename Coefficient<T>::type* weights,
                  typename Coefficient<T>::type* dweights) {
  using L = Lanes<T>;
  for (int64_t row = 0; row < rows; row++) {
    typename L::Vector sum = {};
    forEachVector<T>(1, channels, [&]<bool isSome>(int64_t c, int64_t, int lanes) {
      const int64_t at = row * channels + c;
      const auto g = loadLanes<isSome>(dy + at, lanes);
      storeLanes<isSome>(dx + at, g * weights[row], lanes);
      sum += g * loadLanes<isSome>(x + at, lanes);
    });
    typename Coefficient<T>::type total = 0;
    for (int i = 0; i < L::width; i++) total += sum[i];
    dweights[row] = total;
  }
}

}  // namespace

template <typename T>
struct WeighKernelsOf {
  static const WeighKernels<T> table;
};
template <typename T>
const WeighKernels<T> WeighKernelsOf<T>::table{splits<T>, splitsGradient<T>, rows<T>, rowsGradient<T>};

template struct WeighKernelsOf<double>;
template struct WeighKernelsOf<float>;
template struct WeighKernelsOf<Bf16>;

}  // namespace aaunet::AAUNET_ISA
