// The loops behind ResizeKernels, compiled once for each instruction set: AAUNET_ISA names the namespace.

#include "resize.h"
#include "vectors.h"

namespace aaunet::AAUNET_ISA {

namespace {

template <typename T>
void blend(const T* low, const T* high, typename Coefficient<T>::type weight, int64_t count, typename Coefficient<T>::type* between) {
  forEachVector<T>(1, count, [&]<bool isSome>(int64_t at, int64_t, int lanes) {
    storeLanes<isSome>(between + at, loadLanes<isSome>(low + at, lanes) * (1 - weight) + loadLanes<isSome>(high + at, lanes) * weight, lanes);
  });
}

template <typename From, typename T>
void row(const From* x, const Tap<typename Coefficient<T>::type>* columns, int64_t width, int64_t channels, T* y, int64_t step) {
  for (int64_t column = 0; column < width; column++) {
    const auto [low, high, weight] = columns[column];
    const From* const left = x + low * channels;
    const From* const right = x + high * channels;
    T* const to = y + column * step;
    const auto each = [&]<bool isBetween>() {
      forEachVector<T>(1, channels, [&]<bool isSome>(int64_t c, int64_t, int lanes) {
        auto value = loadLanes<isSome>(left + c, lanes);
        if constexpr (isBetween) value = value * (1 - weight) + loadLanes<isSome>(right + c, lanes) * weight;
        storeLanes<isSome>(to + c, value, lanes);
      });
    };
    if (weight == 0) each.template operator()<false>();
    else each.template operator()<true>();
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
const ResizeKernels<T> ResizeKernelsOf<T>::table{blend<T>, row<T, T>, row<typename Coefficient<T>::type, T>, rowGradient<T>};

template struct ResizeKernelsOf<double>;
template struct ResizeKernelsOf<float>;
template struct ResizeKernelsOf<Bf16>;

}  // namespace aaunet::AAUNET_ISA
