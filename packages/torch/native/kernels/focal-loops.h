// The loops behind FocalKernels, compiled once for each instruction set: AAUNET_ISA names the namespace.

#include "exponential.h"
#include "focal.h"

namespace aaunet::AAUNET_ISA {

namespace {

/// Below every 1 - q of float32 that is not 0; powers of 0 have infinite derivatives.
constexpr double SMALLEST_DOUBT = 1e-12;

/// Pixels class by class, as vectors read them; some more than a register holds, so that none is read as it is being written.
template <typename T>
struct Block {
  using A = typename Coefficient<T>::type;
  static constexpr int64_t SIZE = 64;

  /// Reads `count` pixels, at most SIZE; what fills the last vector weighs nothing.
  void read(const T* logits, const int64_t* labels, int64_t count, const FocalTerms<A>& terms) {
    const int64_t classes = terms.classes;
    for (int64_t c = 0; c < classes; c++)
      for (int64_t i = 0; i < count; i++) logit[c][i] = widen(logits[i * classes + c]);
    for (int64_t i = 0; i < count; i++) {
      weight[i] = terms.weights[labels[i]];
      candidates[i] = static_cast<typename Floating<A>::Bits>(terms.candidates[labels[i]]);
    }
    for (int64_t i = count; i % Lanes<A>::width != 0; i++) {
      for (int64_t c = 0; c < classes; c++) logit[c][i] = 0;
      weight[i] = 0;
      candidates[i] = 1;
    }
  }

  A logit[MAX_CLASSES][SIZE], weight[SIZE];
  typename Floating<A>::Bits candidates[SIZE];
};

/// As many pixels of a block as a vector has lanes.
template <typename T>
struct Pixels {
  using A = typename Coefficient<T>::type;
  using L = Lanes<A>;
  using V = typename L::Vector;
  using Bits = typename Floating<A>::Bits;

  Pixels(const Block<T>& block, int64_t first, int64_t classes) {
    typename L::Mask sets;
    __builtin_memcpy(&sets, block.candidates + first, sizeof sets);
    weight = L::load(block.weight + first);
    V most = V{} - INFINITY_, mostOfCandidates = most;
    for (int64_t c = 0; c < classes; c++) {
      const V z = L::load(block.logit[c] + first);
      isCandidate_[c] = (sets & (Bits{1} << c)) != 0;
      most = z > most ? z : most;
      mostOfCandidates = isCandidate_[c] && z > mostOfCandidates ? z : mostOfCandidates;
    }
    V sum = {}, sumOfCandidates = {}, sumOfOthers = {};
    for (int64_t c = 0; c < classes; c++) {
      const V z = L::load(block.logit[c] + first);
      share_[c] = exponential<A>(z - most);
      // By the candidates' own largest: all of them may be nothing beside another class.
      shareOfCandidates_[c] = isCandidate_[c] ? exponential<A>(z - mostOfCandidates) : V{};
      sum += share_[c];
      sumOfCandidates += shareOfCandidates_[c];
      sumOfOthers += isCandidate_[c] ? V{} : share_[c];
    }
    inverse_ = 1 / sum;
    inverseOfCandidates_ = 1 / sumOfCandidates;
    doubt = sumOfOthers * inverse_;
    const V difference = (mostOfCandidates - most) + (logarithm<A>(sumOfCandidates) - logarithm<A>(sum));
    logProbability = doubt < A{1} / 128 ? logOfOneMinus(doubt) : difference;
  }

  /// (1 - q)^power.
  V power(A power) const {
    const V least = V{} + static_cast<A>(SMALLEST_DOUBT);
    return exponential<A>(logarithm<A>(doubt < least ? least : doubt) * power);
  }

  /// The derivative of log q by the logit of a class.
  V slope(int64_t c) const { return isCandidate_[c] ? shareOfCandidates_[c] * inverseOfCandidates_ * doubt : -share_[c] * inverse_; }

  V weight, doubt, logProbability;

 private:
  static constexpr A INFINITY_ = __builtin_huge_val();

  /// Of small numbers, where a logarithm of their difference from 1 would be rounding errors.
  static V logOfOneMinus(V x) {
    V series = {};
    for (int k = 8; k > 0; k--) series = x * (A{1} / static_cast<A>(k) + series);
    return -series;
  }

  typename L::Mask isCandidate_[MAX_CLASSES];
  V share_[MAX_CLASSES], shareOfCandidates_[MAX_CLASSES], inverse_, inverseOfCandidates_;
};

template <typename T>
double sum(const T* logits, const int64_t* labels, int64_t rows, const FocalTerms<typename Coefficient<T>::type>& terms, T* d,
           typename Coefficient<T>::type factor) {
  constexpr int64_t W = Lanes<T>::width, SIZE = Block<T>::SIZE;
  const int64_t classes = terms.classes;
  Block<T> block;
  double total = 0;
  for (int64_t row = 0; row < rows; row += SIZE) {
    const int64_t count = rows - row < SIZE ? rows - row : SIZE;
    block.read(logits + row * classes, labels + row, count, terms);
    for (int64_t first = 0; first < count; first += W) {
      const Pixels<T> pixels(block, first, classes);
      const int64_t some = count - first < W ? count - first : W;
      const auto power = pixels.power(terms.gamma), loss = pixels.weight * power * pixels.logProbability;
      for (int64_t i = 0; i < some; i++) total += loss[i];
      if (d == nullptr) continue;
      const auto byLog = power - terms.gamma * pixels.power(terms.gamma - 1) * (1 - pixels.doubt) * pixels.logProbability;
      const auto scale = factor * pixels.weight * byLog;
      T derivatives[MAX_CLASSES][W];
      for (int64_t c = 0; c < classes; c++) Lanes<T>::store(derivatives[c], scale * pixels.slope(c));
      for (int64_t i = 0; i < some; i++)
        for (int64_t c = 0; c < classes; c++) d[(row + first + i) * classes + c] = derivatives[c][i];
    }
  }
  return total;
}

}  // namespace

template <typename T>
struct FocalKernelsOf {
  static const FocalKernels<T> table;
};
template <typename T>
const FocalKernels<T> FocalKernelsOf<T>::table{sum<T>};

template struct FocalKernelsOf<double>;
template struct FocalKernelsOf<float>;
template struct FocalKernelsOf<Bf16>;

}  // namespace aaunet::AAUNET_ISA
