#include "recompute.h"

#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

#include <memory>
#include <typeindex>
#include <unordered_map>

namespace aaunet {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Engine;
using torch::autograd::Node;
using torch::autograd::SavedVariableHooks;

constexpr const char* RECOMPUTABLE = "recomputable";

std::unordered_map<std::type_index, Recomputation>& recomputations() {
  static std::unordered_map<std::type_index, Recomputation> all;
  return all;
}

/// What computes this tensor again; null for one that has to be kept.
const Recomputation* recomputationOf(const at::Tensor& tensor) {
  // A tensor changed in place is no longer what its node made; nor may one be whose memory is JavaScript's too, which writes to it
  // without a word (see TensorHandle::buffer).
  if (!tensor.grad_fn() || tensor._version() != 0 || !tensor.storage().resizable()) return nullptr;
  Node& node = *tensor.grad_fn();
  const auto found = recomputations().find(typeid(node));
  if (found == recomputations().end()) return nullptr;
  return found->second.contextOf(node).saved_data.count(RECOMPUTABLE) > 0 ? &found->second : nullptr;
}

/// A tensor that a node has saved: kept, or computed again by the node that made it.
class Saved : public SavedVariableHooks {
 public:
  void call_pack_hook(const at::Tensor& tensor) override {
    recomputation_ = recomputationOf(tensor);
    if (recomputation_ != nullptr) {
      source_ = tensor.grad_fn();
    } else {
      // Without its history, which may lead to the node that saves it.
      kept_ = tensor.tensor_data();
      version_ = tensor._version();
    }
  }

  at::Tensor call_unpack_hook() override {
    if (recomputation_ != nullptr) return recomputation_->recompute(&recomputation_->contextOf(*source_));
    TORCH_CHECK(kept_._version() == version_, "a tensor needed for the gradient, ", kept_.toString(), " ", kept_.sizes(),
                ", has been modified by an inplace operation since: it is at version ", kept_._version(), ", expected ", version_);
    return kept_;
  }

 private:
  const Recomputation* recomputation_ = nullptr;
  c10::intrusive_ptr<Node> source_;
  at::Tensor kept_;
  uint32_t version_ = 0;
};

/// LibTorch asks its engine how tensors are saved.
class RecomputingEngine : public Engine {
 public:
  ~RecomputingEngine() override { stop(); }
  std::unique_ptr<SavedVariableHooks> get_default_saved_variable_hooks() override { return std::make_unique<Saved>(); }

  static Engine& instance() {
    static RecomputingEngine engine;
    return engine;
  }
};

}  // namespace

void registerRecomputation(const std::type_info& node, Recomputation recomputation) {
  recomputations().emplace(node, recomputation);
}

void allowRecomputation(AutogradContext* context) { context->saved_data[RECOMPUTABLE] = true; }

[[maybe_unused]] const bool isInstalled = [] {
  torch::autograd::set_default_engine_stub(RecomputingEngine::instance);
  return true;
}();

}  // namespace aaunet
