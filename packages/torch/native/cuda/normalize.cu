#include "normalize.h"
#include "rows.cuh"

namespace aaunet::cuda {

namespace {

/// Sums of x and x^2 about the first value of each group: of numbers far from 0 the squares would leave no digits.
template <typename T, int V, typename A = typename Accumulator<T>::type>
__global__ void __launch_bounds__(THREADS) sumsKernel(const T* x, Rows rows, A* partial) {
  const Place place = Place::here<V>();
  A sums[2][V] = {};
  if (place.channel < rows.channels) {
    const T* const segment = x + place.segment * rows.rows * rows.channels;
    A pivot[V];
    for (int v = 0; v < V; v++) pivot[v] = widen(segment[(place.channel + v) / rows.groupSize() * rows.groupSize()]);
#pragma unroll 4
    for (int64_t row = place.first; row < rows.rows; row += place.step) {
      const auto values = load<T, V>(segment + row * rows.channels + place.channel);
      for (int v = 0; v < V; v++) {
        const A shifted = widen(values.values[v]) - pivot[v];
        sums[0][v] += shifted;
        sums[1][v] += shifted * shifted;
      }
    }
  }
  writeSums(sums, rows.channels, partial);
}

/// Adds up a block's `value`s; the first thread has the sum.
__device__ double sumOfBlock(double value) {
  __shared__ double warps[32];
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  if (threadIdx.x == 0)
    for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; warp++) sum += warps[warp];
  return sum;
}

/// One block for each group of each segment.
template <typename T, typename A = typename Accumulator<T>::type>
__global__ void statisticsKernel(const T* x, Rows rows, int64_t chunks, const A* partial, double eps, double* mean,
                                 double* inverse, Running running) {
  const int64_t segment = blockIdx.x / rows.groups, group = blockIdx.x % rows.groups, size = rows.groupSize();
  double one = 0, two = 0;
  for (int64_t i = threadIdx.x; i < chunks * size; i += blockDim.x) {
    const A* const at = partial + (segment * chunks + i / size) * 2 * rows.channels + group * size + i % size;
    one += at[0];
    two += at[rows.channels];
  }
  one = sumOfBlock(one);
  two = sumOfBlock(two);
  if (threadIdx.x != 0) return;
  const double n = rows.valuesOfGroup(), shift = one / n;
  const double average = shift + widen(x[segment * rows.rows * rows.channels + group * size]);
  const double spread = two / n - shift * shift;
  const double variance = spread < 0 ? 0 : spread;  // NaN stays
  mean[blockIdx.x] = average;
  inverse[blockIdx.x] = 1 / sqrt(variance + eps);
  if (running.mean == nullptr) return;
  A &oldMean = static_cast<A*>(running.mean)[group], &oldVariance = static_cast<A*>(running.variance)[group];
  oldMean = static_cast<A>((1 - running.momentum) * oldMean + running.momentum * average);
  oldVariance = static_cast<A>((1 - running.momentum) * oldVariance + running.momentum * variance * n / (n - 1));
}

template <typename A>
__global__ void fixedStatisticsKernel(int64_t channels, double eps, double* mean, double* inverse, Running running) {
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (channel >= channels) return;
  mean[channel] = static_cast<const A*>(running.mean)[channel];
  inverse[channel] = 1 / sqrt(static_cast<const A*>(running.variance)[channel] + eps);
}

template <typename T, int V, typename A = typename Accumulator<T>::type>
__global__ void __launch_bounds__(THREADS) normalizeKernel(const T* x, const T* residual, Rows rows, const double* mean,
                                                          const double* inverse, const A* weight, const A* bias, bool relu,
                                                          T* y) {
  const Place place = Place::here<V>();
  if (place.channel >= rows.channels) return;
  A scale[V], shift[V];
  for (int v = 0; v < V; v++) {
    const int64_t channel = place.channel + v, group = place.segment * rows.groups + channel / rows.groupSize();
    const double of = weight[channel] * inverse[group];
    scale[v] = static_cast<A>(of);
    shift[v] = static_cast<A>(bias[channel] - mean[group] * of);
  }
  const int64_t offset = place.segment * rows.rows * rows.channels + place.channel;
#pragma unroll 4
  for (int64_t row = place.first; row < rows.rows; row += place.step) {
    const int64_t at = offset + row * rows.channels;
    const auto values = load<T, V>(x + at);
    Pack<T, V> added, out;
    if (residual != nullptr) added = load<T, V>(residual + at);
    for (int v = 0; v < V; v++) {
      A value = widen(values.values[v]) * scale[v] + shift[v];
      if (residual != nullptr) value += widen(added.values[v]);
      narrow(relu && value < 0 ? A(0) : value, out.values[v]);
    }
    store<T, V>(y + at, out);
  }
}

/// The gradient at a value of the output, none where the ReLU cut it off.
template <typename T>
__device__ inline auto gradientAt(const T& dy, const T& y, bool relu) {
  const auto gradient = widen(dy);
  return relu && widen(y) <= 0 ? decltype(gradient)(0) : gradient;
}

/// Sums of dy and dy (x - mean).
template <typename T, int V, typename A = typename Accumulator<T>::type>
__global__ void __launch_bounds__(THREADS) gradientSumsKernel(const T* x, const T* dy, const T* y, Rows rows,
                                                             const double* mean, A* partial) {
  const Place place = Place::here<V>();
  A sums[2][V] = {};
  if (place.channel < rows.channels) {
    const int64_t offset = place.segment * rows.rows * rows.channels + place.channel;
    A pivot[V];
    for (int v = 0; v < V; v++)
      pivot[v] = static_cast<A>(mean[place.segment * rows.groups + (place.channel + v) / rows.groupSize()]);
#pragma unroll 2
    for (int64_t row = place.first; row < rows.rows; row += place.step) {
      const int64_t at = offset + row * rows.channels;
      const auto values = load<T, V>(x + at), upstream = load<T, V>(dy + at);
      Pack<T, V> out = {};
      if (y != nullptr) out = load<T, V>(y + at);
      for (int v = 0; v < V; v++) {
        const A gradient = gradientAt(upstream.values[v], out.values[v], y != nullptr);
        sums[0][v] += gradient;
        sums[1][v] += gradient * (widen(values.values[v]) - pivot[v]);
      }
    }
  }
  writeSums(sums, rows.channels, partial);
}

/// Gradients of weight and bias: a thread for each channel.
template <typename A>
__global__ void parameterKernel(const double* sums, Rows rows, const double* mean, const double* inverse, A* dweight,
                                A* dbias) {
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (channel >= rows.channels) return;
  double ofWeight = 0, ofBias = 0;
  for (int64_t segment = 0; segment < rows.segments; segment++) {
    const int64_t group = segment * rows.groups + channel / rows.groupSize();
    const double sum = sums[2 * segment * rows.channels + channel], centred = sums[(2 * segment + 1) * rows.channels + channel];
    // The pivot of the sums was the mean as rounded to A.
    const double shift = static_cast<double>(static_cast<A>(mean[group])) - mean[group];
    ofWeight += (centred + sum * shift) * inverse[group];
    ofBias += sum;
  }
  dweight[channel] = static_cast<A>(ofWeight);
  dbias[channel] = static_cast<A>(ofBias);
}

/// dx = dy inverse weight + x coefficients[0] + coefficients[1]; one warp for each group of each segment.
template <typename A>
__global__ void coefficientsKernel(const double* sums, Rows rows, const double* mean, const double* inverse, const A* weight,
                                   bool fixed, double* coefficients) {
  const int64_t segment = blockIdx.x / rows.groups, group = blockIdx.x % rows.groups, size = rows.groupSize();
  const double average = mean[blockIdx.x], inv = inverse[blockIdx.x];
  const double shift = static_cast<double>(static_cast<A>(average)) - average;
  double one = 0, two = 0;
  for (int64_t channel = group * size + threadIdx.x; channel < (group + 1) * size; channel += blockDim.x) {
    const double sum = sums[2 * segment * rows.channels + channel], centred = sums[(2 * segment + 1) * rows.channels + channel];
    one += weight[channel] * sum;
    two += weight[channel] * (centred + sum * shift) * inv;
  }
  one = sumOfBlock(one);
  two = sumOfBlock(two);
  if (threadIdx.x != 0) return;
  const double n = rows.valuesOfGroup(), ofInput = fixed ? 0 : -inv * inv * two / n;
  coefficients[blockIdx.x] = ofInput;
  coefficients[rows.segments * rows.groups + blockIdx.x] = fixed ? 0 : -inv * one / n - ofInput * average;
}

template <typename T, int V, typename A = typename Accumulator<T>::type>
__global__ void __launch_bounds__(THREADS) gradientKernel(const T* x, const T* dy, const T* y, Rows rows,
                                                         const double* inverse, const A* weight, const double* coefficients,
                                                         T* dx, T* dresidual) {
  const Place place = Place::here<V>();
  if (place.channel >= rows.channels) return;
  A ofGradient[V], ofInput[V], constant[V];
  for (int v = 0; v < V; v++) {
    const int64_t channel = place.channel + v, group = place.segment * rows.groups + channel / rows.groupSize();
    ofGradient[v] = static_cast<A>(inverse[group] * weight[channel]);
    ofInput[v] = static_cast<A>(coefficients[group]);
    constant[v] = static_cast<A>(coefficients[rows.segments * rows.groups + group]);
  }
  const int64_t offset = place.segment * rows.rows * rows.channels + place.channel;
#pragma unroll 2
  for (int64_t row = place.first; row < rows.rows; row += place.step) {
    const int64_t at = offset + row * rows.channels;
    const auto values = load<T, V>(x + at), upstream = load<T, V>(dy + at);
    Pack<T, V> out = {}, ofX, ofResidual;
    if (y != nullptr) out = load<T, V>(y + at);
    for (int v = 0; v < V; v++) {
      const A gradient = gradientAt(upstream.values[v], out.values[v], y != nullptr);
      narrow(gradient, ofResidual.values[v]);
      narrow(gradient * ofGradient[v] + widen(values.values[v]) * ofInput[v] + constant[v], ofX.values[v]);
    }
    store<T, V>(dx + at, ofX);
    if (dresidual != nullptr) store<T, V>(dresidual + at, ofResidual);
  }
}

}  // namespace

int64_t partialSize(const Rows& rows, int count) {
  int64_t size = 0;
  withVector(rows, [&]<typename T, int V>() { size = rows.segments * gridOf(rows, V).chunks * count * rows.channels; });
  return size;
}

void statistics(const Rows& rows, const void* x, double eps, double* mean, double* inverse, Running running, void* partial,
                cudaStream_t stream) {
  withVector(rows, [&]<typename T, int V>() {
    using A = typename Accumulator<T>::type;
    const Grid grid = gridOf(rows, V);
    sumsKernel<T, V><<<grid.blocks(rows.segments), grid.threads(), 0, stream>>>(static_cast<const T*>(x), rows,
                                                                                static_cast<A*>(partial));
    statisticsKernel<T><<<static_cast<unsigned>(rows.segments * rows.groups), 64, 0, stream>>>(
        static_cast<const T*>(x), rows, grid.chunks, static_cast<const A*>(partial), eps, mean, inverse, running);
  });
}

void fixedStatistics(const Rows& rows, double eps, double* mean, double* inverse, Running running, cudaStream_t stream) {
  const unsigned blocks = blocksOf(rows.channels, 128);
  if (rows.type == Type::float64)
    fixedStatisticsKernel<double><<<blocks, 128, 0, stream>>>(rows.channels, eps, mean, inverse, running);
  else fixedStatisticsKernel<float><<<blocks, 128, 0, stream>>>(rows.channels, eps, mean, inverse, running);
}

void normalize(const Rows& rows, const void* x, const void* residual, const double* mean, const double* inverse,
               const void* weight, const void* bias, bool relu, void* y, cudaStream_t stream) {
  withVector(rows, [&]<typename T, int V>() {
    using A = typename Accumulator<T>::type;
    const Grid grid = gridOf(rows, V);
    normalizeKernel<T, V><<<grid.blocks(rows.segments), grid.threads(), 0, stream>>>(
        static_cast<const T*>(x), static_cast<const T*>(residual), rows, mean, inverse, static_cast<const A*>(weight),
        static_cast<const A*>(bias), relu, static_cast<T*>(y));
  });
}

void gradients(const Rows& rows, const Backward& pass, cudaStream_t stream) {
  withVector(rows, [&]<typename T, int V>() {
    using A = typename Accumulator<T>::type;
    const Grid grid = gridOf(rows, V);
    const auto *x = static_cast<const T*>(pass.x), *dy = static_cast<const T*>(pass.dy), *y = static_cast<const T*>(pass.y);
    const auto* weight = static_cast<const A*>(pass.weight);
    auto* partial = static_cast<A*>(pass.partial);
    gradientSumsKernel<T, V><<<grid.blocks(rows.segments), grid.threads(), 0, stream>>>(x, dy, y, rows, pass.mean, partial);
    addChunks(partial, rows, grid.chunks, 2, 1.0, pass.sums, stream);
    parameterKernel<A><<<blocksOf(rows.channels, 128), 128, 0, stream>>>(pass.sums, rows, pass.mean, pass.inverse,
                                                                        static_cast<A*>(pass.dweight), static_cast<A*>(pass.dbias));
    coefficientsKernel<A><<<static_cast<unsigned>(rows.segments * rows.groups), 32, 0, stream>>>(
        pass.sums, rows, pass.mean, pass.inverse, weight, pass.fixed, pass.coefficients);
    gradientKernel<T, V><<<grid.blocks(rows.segments), grid.threads(), 0, stream>>>(
        x, dy, y, rows, pass.inverse, weight, pass.coefficients, static_cast<T*>(pass.dx), static_cast<T*>(pass.dresidual));
  });
}

}  // namespace aaunet::cuda
