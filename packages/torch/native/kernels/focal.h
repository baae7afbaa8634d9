// The focal loss of pixels and its gradient: the inner loops, for each instruction set.

#pragma once

#include "lanes.h"

namespace aaunet {

/// So many classes fit the loops' buffers and a set of bits.
constexpr int64_t MAX_CLASSES = 31;

/// What the loops know beside logits and labels, in the type that they compute in.
template <typename A>
struct FocalTerms {
  int64_t classes;
  /// One set for each label: bit c says whether such a pixel may be of class c.
  const int64_t* candidates;
  /// One for each label.
  const A* weights;
  A gamma;
};

/// Logits are rows of `classes` values, one row a pixel; q is the sum of the probabilities (softmax) of a label's candidates.
template <typename T>
struct FocalKernels {
  using A = typename Coefficient<T>::type;

  /// Sum over `rows` pixels of w[label] (1 - q)^gamma log q; where d is given, d = factor times the derivatives by the logits.
  double (*sum)(const T* logits, const int64_t* labels, int64_t rows, const FocalTerms<A>& terms, T* d, A factor);
};

/// The loops for this machine's instruction set.
template <typename T>
const FocalKernels<T>& focalKernels();

}  // namespace aaunet
