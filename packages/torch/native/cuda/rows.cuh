// What the CUDA kernels share: how channels-last tensors are read, and how sums over their rows are taken in a fixed order.

#pragma once

#include "rows.h"

#include <cuda_bf16.h>

#include <algorithm>

namespace aaunet::cuda {

// Threads of a block stand in `across` columns of vectors of channels and THREADS / across rows, so that a warp reads 512
// consecutive bytes whether rows are long or short. A thread keeps its channels, and what belongs to them in registers.
constexpr int THREADS = 256;
constexpr int MOST_ACROSS = 32;
// Enough blocks to fill any device; sums of more would take longer to add up.
constexpr int64_t WANTED_BLOCKS = 1024;

template <typename T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<double> {
  using type = double;
};

__device__ inline float widen(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ inline float widen(float value) { return value; }
__device__ inline double widen(double value) { return value; }
__device__ inline void narrow(float value, __nv_bfloat16& out) { out = __float2bfloat16(value); }
__device__ inline void narrow(float value, float& out) { out = value; }
__device__ inline void narrow(double value, double& out) { out = value; }

/// `V` neighbouring channels of a row, loaded and stored at once.
template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

template <typename T, int V>
__device__ inline Pack<T, V> load(const T* at) {
  return *reinterpret_cast<const Pack<T, V>*>(at);
}
template <typename T, int V>
__device__ inline void store(T* at, const Pack<T, V>& pack) {
  *reinterpret_cast<Pack<T, V>*>(at) = pack;
}

/// How the rows of a segment are shared out: grid (chunks of rows, blocks of columns, segments).
struct Grid {
  int64_t vectors;  // of a row
  int across;
  int64_t chunks;

  dim3 blocks(int64_t segments) const {
    return {static_cast<unsigned>(chunks), static_cast<unsigned>((vectors + across - 1) / across), static_cast<unsigned>(segments)};
  }
  dim3 threads() const { return {static_cast<unsigned>(across), static_cast<unsigned>(THREADS / across)}; }
};

inline Grid gridOf(const Rows& rows, int vector) {
  Grid grid{rows.channels / vector, 1, 1};
  while (grid.across < MOST_ACROSS && grid.across < grid.vectors) grid.across *= 2;
  const int64_t columns = (grid.vectors + grid.across - 1) / grid.across * rows.segments;
  const int64_t down = THREADS / grid.across;
  grid.chunks = std::max<int64_t>(1, std::min((WANTED_BLOCKS + columns - 1) / columns, rows.rows / (4 * down)));
  return grid;
}

/// The place of a thread: its first channel, and the rows that it takes of its segment.
struct Place {
  int64_t channel, segment, first, step;

  template <int V>
  __device__ static Place here() {
    return {(static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * V, blockIdx.z,
            static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y, static_cast<int64_t>(gridDim.x) * blockDim.y};
  }
};

/// Adds up `N` sums a channel over the rows of a block, in a fixed order: partial[segment][chunk][N][channels].
template <typename A, int N, int V>
__device__ void writeSums(const A (&sums)[N][V], int64_t channels, A* partial) {
  __shared__ A shared[THREADS * V];
  const int across = blockDim.x * V, down = blockDim.y;
  const int64_t begin = static_cast<int64_t>(blockIdx.y) * across;
  A* const out = partial + (static_cast<int64_t>(blockIdx.z) * gridDim.x + blockIdx.x) * N * channels;
  for (int which = 0; which < N; which++) {
    __syncthreads();
    for (int v = 0; v < V; v++) shared[threadIdx.y * across + threadIdx.x * V + v] = sums[which][v];
    __syncthreads();
    for (int column = threadIdx.y * blockDim.x + threadIdx.x; column < across; column += THREADS) {
      A sum = 0;
      for (int row = 0; row < down; row++) sum += shared[row * across + column];
      if (begin + column < channels) out[which * channels + begin + column] = sum;
    }
  }
}

inline unsigned blocksOf(int64_t count, int64_t threads) { return static_cast<unsigned>((count + threads - 1) / threads); }

/// Adds up the chunks' sums, times `factor`: out[segment][N][channels]. Grid (channels / 32, segments, N), threads (32, 8).
template <typename A, typename Out>
__global__ void addChunksKernel(const A* partial, int64_t channels, int64_t chunks, double factor, Out* out) {
  __shared__ double shared[8][32];
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x, segment = blockIdx.y, count = gridDim.z;
  double sum = 0;
  if (channel < channels)
    for (int64_t chunk = threadIdx.y; chunk < chunks; chunk += 8)
      sum += partial[((segment * chunks + chunk) * count + blockIdx.z) * channels + channel];
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= channels) return;
  for (int row = 1; row < 8; row++) sum += shared[row][threadIdx.x];
  out[(segment * count + blockIdx.z) * channels + channel] = static_cast<Out>(sum * factor);
}

template <typename A, typename Out>
void addChunks(const A* partial, const Rows& rows, int64_t chunks, int count, double factor, Out* out, cudaStream_t stream) {
  const dim3 blocks(blocksOf(rows.channels, 32), static_cast<unsigned>(rows.segments), static_cast<unsigned>(count));
  addChunksKernel<<<blocks, dim3(32, 8), 0, stream>>>(partial, rows.channels, chunks, factor, out);
}

/// Calls `body.template operator()<T, V>()` with the type of the values and how many fit in 16 bytes, or 1 where channels are odd.
template <typename Body>
void withVector(const Rows& rows, Body body) {
  const auto choose = [&]<typename T>() {
    constexpr int wide = 16 / sizeof(T);
    if (rows.channels % wide == 0) body.template operator()<T, wide>();
    else body.template operator()<T, 1>();
  };
  if (rows.type == Type::bfloat16) choose.template operator()<__nv_bfloat16>();
  else if (rows.type == Type::float32) choose.template operator()<float>();
  else choose.template operator()<double>();
}

}  // namespace aaunet::cuda
