// The checksums of crc32c.h for JavaScript.

#include "crc32c.h"

#include "addon.h"

namespace lvr {

// Memory of a Uint8Array argument. Plain Node-API instead of the C++ wrappers here: these calls are on the data path.
static bool Bytes(napi_env env, napi_value value, uint8_t** data, size_t* length) {
  napi_typedarray_type type;
  void* memory = nullptr;
  if (napi_get_typedarray_info(env, value, &type, length, &memory, nullptr, nullptr) != napi_ok) return false;
  *data = static_cast<uint8_t*>(memory);
  return type == napi_uint8_array;
}

static napi_value Refuse(napi_env env) {
  napi_throw_range_error(env, nullptr, "crc32c: the span does not lie inside the array");
  return nullptr;
}

static napi_value Sum(napi_env env, napi_callback_info info, Update update) {
  napi_value argv[4];
  size_t argc = 4;
  uint8_t* data = nullptr;
  size_t available = 0;
  double start = 0;
  double length = 0;
  uint32_t seed = 0;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc < 3 || !Bytes(env, argv[0], &data, &available) ||
      napi_get_value_double(env, argv[1], &start) != napi_ok || napi_get_value_double(env, argv[2], &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "crc32c(bytes: Uint8Array, start: number, length: number, seed?: number)");
    return nullptr;
  }
  if (argc > 3) napi_get_value_uint32(env, argv[3], &seed);
  if (!IsInside(start, length, available)) return Refuse(env);
  const uint32_t crc = ~update(~seed, data + static_cast<size_t>(start), static_cast<size_t>(length));
  napi_value result = nullptr;
  napi_create_uint32(env, crc, &result);
  return result;
}

// crc32c(bytes, start, length, seed = 0): number. `seed` is the CRC of the bytes before, so a sum can be made in pieces.
static napi_value Crc32c(napi_env env, napi_callback_info info) { return Sum(env, info, kUpdate); }

// The same with the crc32 instruction only (where there is one), and without it, for tests.
static napi_value Crc32cLanes(napi_env env, napi_callback_info info) { return Sum(env, info, kHardware ? UpdateHardware : UpdateTable); }
static napi_value Crc32cTable(napi_env env, napi_callback_info info) { return Sum(env, info, UpdateTable); }

// crc32cSpans(bytes, spans: Uint32Array, count, out: Uint32Array): out[i] = CRC of the i-th pair [start, length] of spans.
static napi_value Crc32cSpans(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  size_t argc = 4;
  uint8_t* data = nullptr;
  size_t available = 0;
  uint32_t count = 0;
  napi_typedarray_type types[2] = {napi_uint8_array, napi_uint8_array};
  size_t lengths[2] = {0, 0};
  void* memory[2] = {nullptr, nullptr};
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok || argc < 4 || !Bytes(env, argv[0], &data, &available) ||
      napi_get_typedarray_info(env, argv[1], &types[0], &lengths[0], &memory[0], nullptr, nullptr) != napi_ok ||
      napi_get_value_uint32(env, argv[2], &count) != napi_ok ||
      napi_get_typedarray_info(env, argv[3], &types[1], &lengths[1], &memory[1], nullptr, nullptr) != napi_ok ||
      types[0] != napi_uint32_array || types[1] != napi_uint32_array) {
    napi_throw_type_error(env, nullptr, "crc32cSpans(bytes: Uint8Array, spans: Uint32Array, count: number, out: Uint32Array)");
    return nullptr;
  }
  if (count > lengths[0] / 2 || count > lengths[1]) return Refuse(env);
  const auto* spans = static_cast<const uint32_t*>(memory[0]);
  if (!SumSpans(data, available, spans, count, static_cast<uint32_t*>(memory[1]))) return Refuse(env);
  return nullptr;
}

static void Export(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

void InitCrc32c(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "crc32c", Crc32c);
  Export(env, exports, "crc32cLanes", Crc32cLanes);
  Export(env, exports, "crc32cTable", Crc32cTable);
  Export(env, exports, "crc32cSpans", Crc32cSpans);
  exports.Set("crc32cHardware", Napi::Boolean::New(env, kHardware));
}

}  // namespace lvr
