// The loops behind ResizeKernels, compiled once for each instruction set: AAUNET_ISA names the namespace.

#include "resize.h"
#include "vectors.h"

namespace aaunet::AAUNET_ISA {

namespace {

template <typename T>
void row(const T* low, const T* high, typename Coefficient<T>::type weight, const Tap<typename Coefficient<T>::type>* columns,
         int64_t width, int64_t channels, T* y, int64_t step) {
  for (int64_t column = 0; column < width; column++) {
    const auto tap = columns[column];
    const int64_t left = tap.low * channels, right = tap.high * channels;
    T* const to = y + column * step;
    forEachVector<T>(1, channels, [&]<bool isSome>(int64_t c, int64_t, int lanes) {
      const auto between = [&](const T* from) {
        const auto value = loadLanes<isSome>(from + left + c, lanes);
        return tap.weight == 0 ? value : value * (1 - tap.weight) + loadLanes<isSome>(from + right + c, lanes) * tap.weight;
      };
      const auto value = between(low);
      storeLanes<isSome>(to + c, weight == 0 ? value : value * (1 - weight) + between(high) * weight, lanes);
    });
  }
}

template <typename T>
void rowGradient(const T* const* dy, const typename Coefficient<T>::type* weights, int64_t rows,
                 const Tap<typename Coefficient<T>::type>* columns, int64_t width, int64_t channels, int64_t step,
                 typename Coefficient<T>::type* sums) {
  using A = typename Coefficient<T>::type;
  for (int64_t column = 0; column < width; column++) {
    const auto tap = columns[column];
    A* const left = sums + tap.low * channels;
    A* const right = sums + tap.high * channels;
    forEachVector<T>(1, channels, [&]<bool isSome>(int64_t c, int64_t, int lanes) {
      typename Lanes<T>::Vector sum = {};
      for (int64_t r = 0; r < rows; r++) sum += loadLanes<isSome>(dy[r] + column * step + c, lanes) * weights[r];
      storeLanes<isSome>(left + c, loadLanes<isSome>(left + c, lanes) + sum * (1 - tap.weight), lanes);
      if (tap.weight != 0) storeLanes<isSome>(right + c, loadLanes<isSome>(right + c, lanes) + sum * tap.weight, lanes);
    });
  }
}

}  // namespace

template <typename T>
struct ResizeKernelsOf {
  static const ResizeKernels<T> table;
};
template <typename T>
const ResizeKernels<T> ResizeKernelsOf<T>::table{row<T>, rowGradient<T>};

template struct ResizeKernelsOf<double>;
template struct ResizeKernelsOf<float>;
template struct ResizeKernelsOf<Bf16>;

}  // namespace aaunet::AAUNET_ISA
