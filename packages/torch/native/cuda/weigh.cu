#include "weigh.h"

#include "rows.cuh"

namespace aaunet::cuda {

namespace {

template <typename T, int V, typename A = typename Accumulator<T>::type>
__global__ void __launch_bounds__(THREADS) rowSumsKernel(const T* x, Rows rows, A* partial) {
  const Place place = Place::here<V>();
  A sums[1][V] = {};
  if (place.channel < rows.channels) {
    const int64_t offset = place.segment * rows.rows * rows.channels + place.channel;
#pragma unroll 4
    for (int64_t row = place.first; row < rows.rows; row += place.step) {
      const auto values = load<T, V>(x + offset + row * rows.channels);
      for (int v = 0; v < V; v++) sums[0][v] += widen(values.values[v]);
    }
  }
  writeSums(sums, rows.channels, partial);
}

template <typename T, int V, int RADIX, typename A = typename Accumulator<T>::type>
__global__ void __launch_bounds__(THREADS) splitsKernel(const T* x, Rows rows, const A* weights, T* y) {
  const Place place = Place::here<V>();
  if (place.channel >= rows.channels) return;
  const int64_t wide = RADIX * rows.channels;
  A weight[RADIX][V];
  for (int r = 0; r < RADIX; r++)
    for (int v = 0; v < V; v++) weight[r][v] = weights[place.segment * wide + r * rows.channels + place.channel + v];
  const int64_t offset = place.segment * rows.rows;
#pragma unroll 4
  for (int64_t row = place.first; row < rows.rows; row += place.step) {
    A sum[V] = {};
    for (int r = 0; r < RADIX; r++) {
      const auto values = load<T, V>(x + (offset + row) * wide + r * rows.channels + place.channel);
      for (int v = 0; v < V; v++) sum[v] += widen(values.values[v]) * weight[r][v];
    }
    Pack<T, V> out;
    for (int v = 0; v < V; v++) narrow(sum[v], out.values[v]);
    store<T, V>(y + (offset + row) * rows.channels + place.channel, out);
  }
}

template <typename T, int V, int RADIX, typename A = typename Accumulator<T>::type>
__global__ void __launch_bounds__(THREADS) splitsGradientKernel(const T* x, const T* dy, Rows rows, const A* weights, T* dx,
                                                               A* partial) {
  const Place place = Place::here<V>();
  A sums[RADIX][V] = {};
  if (place.channel < rows.channels) {
    const int64_t wide = RADIX * rows.channels, offset = place.segment * rows.rows;
    A weight[RADIX][V];
    for (int r = 0; r < RADIX; r++)
      for (int v = 0; v < V; v++) weight[r][v] = weights[place.segment * wide + r * rows.channels + place.channel + v];
#pragma unroll 2
    for (int64_t row = place.first; row < rows.rows; row += place.step) {
      const auto upstream = load<T, V>(dy + (offset + row) * rows.channels + place.channel);
      for (int r = 0; r < RADIX; r++) {
        const int64_t at = (offset + row) * wide + r * rows.channels + place.channel;
        const auto values = load<T, V>(x + at);
        Pack<T, V> out;
        for (int v = 0; v < V; v++) {
          const A gradient = widen(upstream.values[v]);
          sums[r][v] += gradient * widen(values.values[v]);
          narrow(gradient * weight[r][v], out.values[v]);
        }
        store<T, V>(dx + at, out);
      }
    }
  }
  writeSums(sums, rows.channels, partial);
}

/// Calls `body.template operator()<RADIX>()`.
template <typename Body>
void withRadix(int64_t radix, Body body) {
  if (radix == 1) body.template operator()<1>();
  else if (radix == 2) body.template operator()<2>();
  else body.template operator()<4>();
}

}  // namespace

void means(const Rows& rows, const void* x, void* mean, void* partial, cudaStream_t stream) {
  withVector(rows, [&]<typename T, int V>() {
    using A = typename Accumulator<T>::type;
    const Grid grid = gridOf(rows, V);
    auto* const sums = static_cast<A*>(partial);
    rowSumsKernel<T, V><<<grid.blocks(rows.segments), grid.threads(), 0, stream>>>(static_cast<const T*>(x), rows, sums);
    addChunks(sums, rows, grid.chunks, 1, 1.0 / static_cast<double>(rows.rows), static_cast<A*>(mean), stream);
  });
}

void weighSplits(const Rows& rows, int64_t radix, const void* x, const void* weights, void* y, cudaStream_t stream) {
  withVector(rows, [&]<typename T, int V>() {
    using A = typename Accumulator<T>::type;
    const Grid grid = gridOf(rows, V);
    withRadix(radix, [&]<int RADIX>() {
      splitsKernel<T, V, RADIX><<<grid.blocks(rows.segments), grid.threads(), 0, stream>>>(
          static_cast<const T*>(x), rows, static_cast<const A*>(weights), static_cast<T*>(y));
    });
  });
}

void weighSplitsGradient(const Rows& rows, int64_t radix, const void* x, const void* weights, const void* dy, void* dx,
                         void* dweights, void* partial, cudaStream_t stream) {
  withVector(rows, [&]<typename T, int V>() {
    using A = typename Accumulator<T>::type;
    const Grid grid = gridOf(rows, V);
    auto* const sums = static_cast<A*>(partial);
    withRadix(radix, [&]<int RADIX>() {
      splitsGradientKernel<T, V, RADIX><<<grid.blocks(rows.segments), grid.threads(), 0, stream>>>(
          static_cast<const T*>(x), static_cast<const T*>(dy), rows, static_cast<const A*>(weights), static_cast<T*>(dx), sums);
      addChunks(sums, rows, grid.chunks, RADIX, 1.0, static_cast<A*>(dweights), stream);
    });
  });
}

}  // namespace aaunet::cuda
