#include "winograd.h"

#include "avx2.h"

namespace aaunet {

namespace {

// Interpolation at 0, +-A, +-B and infinity: with 1/sqrt(2) and sqrt(2) sums are rounded hardly more than those of a direct
// convolution; with the usual 1 and 2, five times as much.
constexpr float A = 0.70710678F;
constexpr float B = 1.41421356F;
constexpr int64_t IN = 6;   // inputs of a tile, in one direction
constexpr int64_t OUT = 4;  // outputs

/// Numbers at even places of a transform belong to even powers of the points, so that pairs share their terms.
template <typename T>
void transformInput(const T* d, int64_t step, T* t, int64_t tStep) {
  const T d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
  const T even1 = d4 - 2.0F * d2, odd1 = A * (d3 - 2.0F * d1), even2 = d4 - 0.5F * d2, odd2 = B * (d3 - 0.5F * d1);
  t[0] = d[0] - 2.5F * d2 + d4;
  t[tStep] = even1 + odd1;
  t[2 * tStep] = even1 - odd1;
  t[3 * tStep] = even2 + odd2;
  t[4 * tStep] = even2 - odd2;
  t[5 * tStep] = d1 - 2.5F * d3 + d[5 * step];
}

template <typename T>
void transformKernel(const T* g, int64_t step, T* t, int64_t tStep) {
  const T even1 = g[0] + 0.5F * g[2 * step], odd1 = A * g[step], even2 = g[0] + 2.0F * g[2 * step], odd2 = B * g[step];
  t[0] = g[0];
  t[tStep] = (-2.0F / 3) * (even1 + odd1);
  t[2 * tStep] = (-2.0F / 3) * (even1 - odd1);
  t[3 * tStep] = (1.0F / 6) * (even2 + odd2);
  t[4 * tStep] = (1.0F / 6) * (even2 - odd2);
  t[5 * tStep] = g[2 * step];
}

template <typename T>
void transformOutput(const T* m, int64_t step, T* y, int64_t yStep) {
  const T even1 = m[step] + m[2 * step], odd1 = A * (m[step] - m[2 * step]), even2 = m[3 * step] + m[4 * step],
          odd2 = B * (m[3 * step] - m[4 * step]);
  y[0] = m[0] + even1 + even2;
  y[yStep] = odd1 + odd2;
  y[2 * yStep] = 0.5F * even1 + 2.0F * even2;
  y[3 * yStep] = 0.5F * odd1 + 2.0F * odd2 + m[5 * step];
}

/// Transposed `transformOutput`: of the gradient of a tile's outputs.
template <typename T>
void transformGradient(const T* dy, int64_t step, T* t, int64_t tStep) {
  const T even1 = dy[0] + 0.5F * dy[2 * step], odd1 = A * (dy[step] + 0.5F * dy[3 * step]), even2 = dy[0] + 2.0F * dy[2 * step],
          odd2 = B * (dy[step] + 2.0F * dy[3 * step]);
  t[0] = dy[0];
  t[tStep] = even1 + odd1;
  t[2 * tStep] = even1 - odd1;
  t[3 * tStep] = even2 + odd2;
  t[4 * tStep] = even2 - odd2;
  t[5 * tStep] = dy[3 * step];
}

/// Transposed `transformKernel`: to the gradient of a kernel.
template <typename T>
void transformSums(const T* t, int64_t step, T* g, int64_t gStep) {
  const T even1 = (-2.0F / 3) * (t[step] + t[2 * step]), odd1 = (-2.0F / 3) * (t[step] - t[2 * step]),
          even2 = (1.0F / 6) * (t[3 * step] + t[4 * step]), odd2 = (1.0F / 6) * (t[3 * step] - t[4 * step]);
  g[0] = t[0] + even1 + even2;
  g[gStep] = A * odd1 + B * odd2;
  g[2 * gStep] = 0.5F * even1 + 2.0F * even2 + t[5 * step];
}

/// Where a tile lies.
struct Place {
  int64_t image, top, left;

  Place(const ConvolutionShape& s, int64_t tile) {
    const int64_t across = winogradTilesX(s), all = across * winogradTilesY(s);
    image = tile / all;
    top = tile % all / across * OUT;
    left = tile % across * OUT;
  }
};

int64_t inputStep(const ConvolutionShape& s) { return WINOGRAD_BLOCK * s.inOfGroup() + WINOGRAD_GAP; }
int64_t outputStep(const ConvolutionShape& s) { return WINOGRAD_BLOCK * s.outOfGroup() + WINOGRAD_GAP; }

/// Of some channels; the matrices of two products lie `step` apart.
template <bool inside, typename T>
void transformTile(const ConvolutionShape& s, const T* x, const Place& place, int64_t firstChannel, int64_t channels, float* to, int64_t step) {
  const int64_t top = place.top - s.paddingY, left = place.left - s.paddingX;
  const T* const corner = x + ((place.image * s.inHeight + top) * s.inWidth + left) * s.inChannels + firstChannel;
  for (int64_t c = 0; c < channels; c += LANES) {
    Vector rows[IN * IN];
#pragma GCC unroll 6
    for (int64_t j = 0; j < IN; j++) {
      Vector d[IN];
#pragma GCC unroll 6
      for (int64_t i = 0; i < IN; i++) {
        const bool has = inside || (top + i >= 0 && top + i < s.inHeight && left + j >= 0 && left + j < s.inWidth);
        d[i] = has ? load(corner + (i * s.inWidth + j) * s.inChannels + c) : Vector{};
      }
      transformInput(d, 1, rows + j, IN);
    }
#pragma GCC unroll 6
    for (int64_t i = 0; i < IN; i++) {
      Vector t[IN];
      transformInput(rows + i * IN, 1, t, 1);
#pragma GCC unroll 6
      for (int64_t j = 0; j < IN; j++) store(to + (i * IN + j) * step + c, t[j]);
    }
  }
}

template <typename T>
void transformTile(const ConvolutionShape& s, const T* x, const Place& place, int64_t firstChannel, int64_t channels, float* to, int64_t step) {
  const int64_t top = place.top - s.paddingY, left = place.left - s.paddingX;
  if (top >= 0 && left >= 0 && top + IN <= s.inHeight && left + IN <= s.inWidth) transformTile<true>(s, x, place, firstChannel, channels, to, step);
  else transformTile<false>(s, x, place, firstChannel, channels, to, step);
}

template <bool inside, typename T>
void transformGradientTile(const ConvolutionShape& s, const T* dy, const Place& place, int64_t group, float* to) {
  const T* const image = dy + place.image * s.outHeight * s.outWidth * s.outChannels + group * s.outOfGroup();
  for (int64_t c = 0; c < s.outOfGroup(); c += LANES) {
    Vector rows[IN * OUT];
#pragma GCC unroll 4
    for (int64_t j = 0; j < OUT; j++) {
      Vector d[OUT];
#pragma GCC unroll 4
      for (int64_t i = 0; i < OUT; i++) {
        const bool has = inside || (place.top + i < s.outHeight && place.left + j < s.outWidth);
        d[i] = has ? load(image + ((place.top + i) * s.outWidth + place.left + j) * s.outChannels + c) : Vector{};
      }
      transformGradient(d, 1, rows + j, OUT);
    }
#pragma GCC unroll 6
    for (int64_t i = 0; i < IN; i++) {
      Vector t[IN];
      transformGradient(rows + i * OUT, 1, t, 1);
#pragma GCC unroll 6
      for (int64_t j = 0; j < IN; j++) store(to + (i * IN + j) * outputStep(s) + c, t[j]);
    }
  }
}

template <typename T>
void finishTile(const ConvolutionShape& s, const float* from, const Place& place, int64_t group, const Finish<T>& finish, T* y) {
  const int64_t start = place.image * s.outHeight * s.outWidth * s.outChannels + group * s.outOfGroup();
  const int64_t height = smaller(OUT, s.outHeight - place.top), width = smaller(OUT, s.outWidth - place.left);
  for (int64_t c = 0; c < s.outOfGroup(); c += LANES) {
    Vector rows[OUT * IN];
#pragma GCC unroll 6
    for (int64_t j = 0; j < IN; j++) {
      Vector m[IN];
#pragma GCC unroll 6
      for (int64_t i = 0; i < IN; i++) m[i] = load(from + (i * IN + j) * outputStep(s) + c);
      transformOutput(m, 1, rows + j, IN);
    }
    const Vector bias = finish.bias ? load(finish.bias + group * s.outOfGroup() + c) : Vector{};
#pragma GCC unroll 4
    for (int64_t i = 0; i < OUT; i++) {
      if (i >= height) break;
      Vector sums[OUT];
      transformOutput(rows + i * IN, 1, sums, 1);
#pragma GCC unroll 4
      for (int64_t j = 0; j < OUT; j++) {
        if (j >= width) break;
        const int64_t at = start + ((place.top + i) * s.outWidth + place.left + j) * s.outChannels + c;
        Vector value = sums[j] + bias;
        if (finish.residual) value += load(finish.residual + at);
        // Written so that NaN stays NaN.
        if (finish.relu) value = value < 0 ? Vector{} : value;
        store(y + at, value);
      }
    }
  }
}

/// products[m] = sum over channels of rows[m] * a panel of weights, for M tiles.
template <int M>
void multiply(const float* rows, int64_t channels, const float* weights, float* products, int64_t step) {
  Vector sum[M][2] = {};
  for (int64_t c = 0; c < channels; c++, weights += PANEL) {
    const Vector first = load(weights), second = load(weights + LANES);
    for (int m = 0; m < M; m++) {
      const Vector factor = broadcast(rows[m * channels + c]);
      sum[m][0] += factor * first;
      sum[m][1] += factor * second;
    }
  }
  for (int m = 0; m < M; m++) {
    store(products + m * step, sum[m][0]);
    store(products + m * step + LANES, sum[m][1]);
  }
}

/// sums[m] += sum over tiles of a[m] * b, for M output channels and a panel of input channels.
template <int M>
void accumulate(const float* a, int64_t aStep, const float* b, int64_t bStep, int64_t tiles, float* sums, int64_t sumStep) {
  Vector sum[M][2] = {};
  for (int64_t tile = 0; tile < tiles; tile++, a += aStep, b += bStep) {
    const Vector first = load(b), second = load(b + LANES);
    for (int m = 0; m < M; m++) {
      const Vector factor = broadcast(a[m]);
      sum[m][0] += factor * first;
      sum[m][1] += factor * second;
    }
  }
  for (int m = 0; m < M; m++) {
    store(sums + m * sumStep, load(sums + m * sumStep) + sum[m][0]);
    store(sums + m * sumStep + LANES, load(sums + m * sumStep + LANES) + sum[m][1]);
  }
}

/// Between two products' matrices of a part's transformed inputs.
int64_t partStep(int64_t panels) { return WINOGRAD_BLOCK * panels * PANEL + WINOGRAD_GAP; }

}  // namespace

int64_t winogradScratch(const ConvolutionShape& s) { return WINOGRAD_PRODUCTS * (inputStep(s) + outputStep(s)); }

void winogradTransformWeights(const ConvolutionShape& s, const WinogradWeights& weights, int64_t group, int64_t panel, float* to) {
  const int64_t step = winogradWeightsSize(s) / WINOGRAD_PRODUCTS;
  for (int64_t in = 0; in < s.inOfGroup(); in++)
    for (int64_t half = 0; half < PANEL; half += LANES) {
      Vector g[9], rows[IN * 3], t[IN];
      for (int lane = 0; lane < LANES; lane++) {
        const int64_t channel = group * s.outOfGroup() + panel * PANEL + half + lane;
        const float* const from = weights.from + group * weights.groupStep + channel * weights.outStep + in * weights.inStep;
        for (int64_t tap = 0; tap < 9; tap++)
          g[weights.turned ? 8 - tap : tap][lane] = from[tap / 3 * weights.rowStep + tap % 3 * weights.columnStep];
      }
      for (int64_t i = 0; i < 3; i++) transformKernel(g + i, 3, rows + i, 3);
      for (int64_t i = 0; i < IN; i++) {
        transformKernel(rows + i * 3, 1, t, 1);
        for (int64_t j = 0; j < IN; j++) store(to + (i * IN + j) * step + (panel * s.inOfGroup() + in) * PANEL + half, t[j]);
      }
    }
}

template <typename T>
void winogradConvolve(const ConvolutionShape& s, const T* x, const float* weights, const Finish<T>& finish, int64_t group,
                      int64_t firstTile, int64_t tiles, T* y, float* scratch) {
  float* const inputs = scratch;
  float* const products = scratch + WINOGRAD_PRODUCTS * inputStep(s);
  for (int64_t i = 0; i < tiles; i++)
    transformTile(s, x, Place(s, firstTile + i), group * s.inOfGroup(), s.inOfGroup(), inputs + i * s.inOfGroup(), inputStep(s));
  const Strips strips(tiles);
  for (int64_t product = 0; product < WINOGRAD_PRODUCTS; product++)
    for (int64_t panel = 0; panel * PANEL < s.outOfGroup(); panel++) {
      const float* const factors = weights + product * (winogradWeightsSize(s) / WINOGRAD_PRODUCTS) + panel * PANEL * s.inOfGroup();
      for (int64_t strip = 0; strip < strips.count; strip++)
        withHeight(strips.height(strip), [&]<int M>() {
          multiply<M>(inputs + product * inputStep(s) + strips.first(strip) * s.inOfGroup(), s.inOfGroup(), factors,
                      products + product * outputStep(s) + strips.first(strip) * s.outOfGroup() + panel * PANEL, s.outOfGroup());
        });
    }
  for (int64_t i = 0; i < tiles; i++)
    finishTile(s, products + i * s.outOfGroup(), Place(s, firstTile + i), group, finish, y);
}

int64_t winogradGradientScratch(const ConvolutionShape& s, int64_t panels) { return WINOGRAD_PRODUCTS * (partStep(panels) + outputStep(s)); }

template <typename T>
void winogradWeightGradient(const ConvolutionShape& s, const T* x, const T* dy, const WinogradGradientPart& part, float* sums,
                            float* scratch) {
  const int64_t step = partStep(part.panels), wide = part.panels * PANEL, sumStep = winogradSumsSize(s, part.panels) / WINOGRAD_PRODUCTS;
  float* const inputs = scratch;
  float* const gradients = scratch + WINOGRAD_PRODUCTS * step;
  const int64_t first = part.firstPanel * PANEL, channels = smaller(wide, s.inOfGroup() - first);
  const Strips strips(s.outOfGroup());
  for (int64_t begin = 0; begin < part.tiles; begin += WINOGRAD_BLOCK) {
    const int64_t tiles = smaller(WINOGRAD_BLOCK, part.tiles - begin);
    for (int64_t i = 0; i < tiles; i++) {
      const Place place(s, part.firstTile + begin + i);
      transformTile(s, x, place, part.group * s.inOfGroup() + first, channels, inputs + i * wide, step);
      float* const to = gradients + i * s.outOfGroup();
      if (place.top + OUT <= s.outHeight && place.left + OUT <= s.outWidth) transformGradientTile<true>(s, dy, place, part.group, to);
      else transformGradientTile<false>(s, dy, place, part.group, to);
    }
    for (int64_t product = 0; product < WINOGRAD_PRODUCTS; product++)
      for (int64_t panel = 0; panel < part.panels; panel++)
        for (int64_t strip = 0; strip < strips.count; strip++)
          withHeight(strips.height(strip), [&]<int M>() {
            accumulate<M>(gradients + product * outputStep(s) + strips.first(strip), s.outOfGroup(), inputs + product * step + panel * PANEL, wide,
                          tiles, sums + product * sumStep + (strips.first(strip) * part.panels + panel) * PANEL, wide);
          });
  }
}

void winogradTransformGradient(const ConvolutionShape& s, const WinogradGradientPart& part, const float* sums, int64_t cuts, int64_t step,
                               float* dweight) {
  const int64_t wide = part.panels * PANEL, first = part.firstPanel * PANEL, sumStep = winogradSumsSize(s, part.panels) / WINOGRAD_PRODUCTS;
  for (int64_t out = 0; out < s.outOfGroup(); out++)
    for (int64_t c = 0; c < smaller(wide, s.inOfGroup() - first); c += LANES) {
      Vector t[IN * IN], rows[3 * IN], g[9];
      for (int64_t product = 0; product < WINOGRAD_PRODUCTS; product++) {
        const float* const from = sums + product * sumStep + out * wide + c;
        t[product] = load(from);
        for (int64_t cut = 1; cut < cuts; cut++) t[product] += load(from + cut * step);
      }
      for (int64_t j = 0; j < IN; j++) transformSums(t + j, IN, rows + j, IN);
      for (int64_t i = 0; i < 3; i++) transformSums(rows + i * IN, 1, g + i * 3, 1);
      for (int64_t tap = 0; tap < 9; tap++)
        store(dweight + ((part.group * s.outOfGroup() + out) * 9 + tap) * s.inOfGroup() + first + c, g[tap]);
    }
}

template void winogradConvolve(const ConvolutionShape&, const float*, const float*, const Finish<float>&, int64_t, int64_t, int64_t, float*, float*);
template void winogradConvolve(const ConvolutionShape&, const Bf16*, const float*, const Finish<Bf16>&, int64_t, int64_t, int64_t, Bf16*, float*);
template void winogradWeightGradient(const ConvolutionShape&, const float*, const float*, const WinogradGradientPart&, float*, float*);
template void winogradWeightGradient(const ConvolutionShape&, const Bf16*, const Bf16*, const WinogradGradientPart&, float*, float*);

}  // namespace aaunet
