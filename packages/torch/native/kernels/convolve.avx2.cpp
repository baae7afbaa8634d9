#include "convolve.h"

#include "avx2.h"

namespace aaunet {

namespace {

/// Output pixels that are packed at a time: their panels stay in the first cache.
constexpr int64_t TILE_PIXELS = 128;
constexpr int64_t TILE_WIDTH = 64;

/// What one tile covers: `height` x `width` output pixels and the patch of input pixels below them.
struct Tile {
  int64_t height, width, patchHeight, patchWidth;
};

Tile largestTile(const ConvolutionShape& s) {
  const int64_t width = smaller(s.outWidth, TILE_WIDTH), height = smaller(s.outHeight, TILE_PIXELS / width);
  return {height, width, (height - 1) * s.strideY + (s.kernelHeight - 1) * s.dilationY + 1,
          (width - 1) * s.strideX + (s.kernelWidth - 1) * s.dilationX + 1};
}

/// sums[m] += sum over rows x columns pixels of a[m] * b, for M output channels and a panel of input channels.
template <int M>
void multiply(const float* a, const float* b, const Tile& tile, int64_t rowStep, int64_t columnStep, float* sums, int64_t sumStep) {
  Vector sum[M][2] = {};
  for (int64_t y = 0; y < tile.height; y++) {
    const float* from = b + y * rowStep;
    for (int64_t x = 0; x < tile.width; x++) {
      const Vector first = load(from), second = load(from + LANES);
      for (int m = 0; m < M; m++) {
        const Vector factor = broadcast(a[m]);
        sum[m][0] += factor * first;
        sum[m][1] += factor * second;
      }
      a += M;
      from += columnStep;
    }
  }
  for (int m = 0; m < M; m++) {
    store(sums + m * sumStep, load(sums + m * sumStep) + sum[m][0]);
    store(sums + m * sumStep + LANES, load(sums + m * sumStep + LANES) + sum[m][1]);
  }
}

template <int M, typename T>
void packStrip(const T* dy, const ConvolutionShape& s, const Tile& tile, float* to) {
  for (int64_t y = 0; y < tile.height; y++)
    for (int64_t x = 0; x < tile.width; x++, to += M)
      for (int m = 0; m < M; m++) to[m] = widen(dy[(y * s.outWidth + x) * s.outChannels + m]);
}

/// A panel of the input pixels below a tile, zeros where there are none.
template <typename T>
void packPatch(const T* image, const ConvolutionShape& s, const Tile& tile, int64_t top, int64_t left, int64_t channels, float* to) {
  for (int64_t y = top; y < top + tile.patchHeight; y++)
    for (int64_t x = left; x < left + tile.patchWidth; x++, to += PANEL) {
      Vector first{}, second{};
      if (y >= 0 && y < s.inHeight && x >= 0 && x < s.inWidth) {
        const T* const from = image + (y * s.inWidth + x) * s.inChannels;
        if (channels == PANEL) {
          first = load(from);
          second = load(from + LANES);
        } else {
          float padded[PANEL] = {};
          for (int64_t c = 0; c < channels; c++) padded[c] = widen(from[c]);
          first = load(padded);
          second = load(padded + LANES);
        }
      }
      store(to, first);
      store(to + LANES, second);
    }
}

}  // namespace

int64_t weightGradientScratch(const ConvolutionShape& s) {
  const Tile tile = largestTile(s);
  return tile.height * tile.width * s.outOfGroup() + tile.patchHeight * tile.patchWidth * PANEL;
}

template <typename T>
void weightGradient(const ConvolutionShape& s, const T* x, const T* dy, const WeightGradientPart& part, float* sums,
                    float* scratch) {
  const Tile largest = largestTile(s);
  const Strips strips(s.outOfGroup());
  const int64_t firstChannel = part.group * s.inOfGroup() + part.firstPanel * PANEL;
  const int64_t endOfGroup = (part.group + 1) * s.inOfGroup();
  float* const packed = scratch;
  float* const patch = scratch + largest.height * largest.width * s.outOfGroup();
  for (int64_t row = part.firstRow; row < part.firstRow + part.rows;) {
    const int64_t image = row / s.outHeight, top = row % s.outHeight;
    const int64_t rows = smaller(smaller(largest.height, part.firstRow + part.rows - row), s.outHeight - top);
    for (int64_t left = 0; left < s.outWidth; left += largest.width) {
      const int64_t width = smaller(largest.width, s.outWidth - left);
      const Tile tile{rows, width, (rows - 1) * s.strideY + (s.kernelHeight - 1) * s.dilationY + 1,
                      (width - 1) * s.strideX + (s.kernelWidth - 1) * s.dilationX + 1};
      const int64_t pixels = rows * width;
      const T* const gradient = dy + (row * s.outWidth + left) * s.outChannels + part.group * s.outOfGroup();
      for (int64_t strip = 0; strip < strips.count; strip++)
        withHeight(strips.height(strip), [&]<int M>() {
          packStrip<M>(gradient + strips.first(strip), s, tile, packed + strips.first(strip) * pixels);
        });
      for (int64_t panel = 0; panel < part.panels; panel++) {
        const int64_t channel = firstChannel + panel * PANEL;
        packPatch(x + image * s.inHeight * s.inWidth * s.inChannels + channel, s, tile, top * s.strideY - s.paddingY,
                  left * s.strideX - s.paddingX, smaller(PANEL, endOfGroup - channel), patch);
        for (int64_t strip = 0; strip < strips.count; strip++)
          withHeight(strips.height(strip), [&]<int M>() {
            const float* const a = packed + strips.first(strip) * pixels;
            for (int64_t tap = 0; tap < s.taps(); tap++) {
              const int64_t ky = tap / s.kernelWidth, kx = tap % s.kernelWidth;
              const float* const b = patch + (ky * s.dilationY * tile.patchWidth + kx * s.dilationX) * PANEL;
              float* const to = sums + ((panel * s.outOfGroup() + strips.first(strip)) * s.taps() + tap) * PANEL;
              multiply<M>(a, b, tile, s.strideY * tile.patchWidth * PANEL, s.strideX * PANEL, to, s.taps() * PANEL);
            }
          });
      }
    }
    row += rows;
  }
}

template void weightGradient(const ConvolutionShape&, const float*, const float*, const WeightGradientPart&, float*, float*);
template void weightGradient(const ConvolutionShape&, const Bf16*, const Bf16*, const WeightGradientPart&, float*, float*);

}  // namespace aaunet
