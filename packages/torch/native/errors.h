#pragma once

#include <napi.h>

#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace aaunet {

inline Napi::Error makeError(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", code);
  return error;
}

/// Runs `body`; whatever LibTorch throws becomes a JavaScript error that begins with what `context()` says.
template <typename Context, typename Body>
auto guarded(Napi::Env env, Context context, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    throw makeError(env, "ERR_TORCH_OUT_OF_MEMORY", context() + ": " + error.what_without_backtrace());
  } catch (const c10::Error& error) {
    throw makeError(env, "ERR_TORCH_OPERATOR", context() + ": " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw makeError(env, "ERR_TORCH_OPERATOR", context() + ": " + error.what());
  }
}

}  // namespace aaunet
