{
  "variables": {
    "warnings": ["-Wall", "-Wextra", "-Wno-unused-parameter"],
    # Bit-identical across instruction sets: no contraction to fused multiply-add unless the source asks for it.
    "arithmetic": ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"],
    "standard": ["-std=c++17"],
    # All processors with AVX-512 of the last ten years.
    "avx512f": ["-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"],
    # Processors with VNNI and VBMI have all of these (Ice Lake, Zen 4 and later).
    "avx512": ["-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx512vbmi"],
  },
  "target_defaults": {
    "cflags!": ["-O2", "-fno-omit-frame-pointer"],
    "cflags": ["<@(warnings)", "<@(arithmetic)", "-fvisibility=hidden"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
    "cflags_cc": ["<@(standard)", "-fexceptions"],
    "include_dirs": ["."],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "OTHER_CFLAGS": ["<@(warnings)", "<@(arithmetic)"],
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
    },
  },
  "targets": [
    {
      "target_name": "portable",
      "type": "static_library",
      "sources": ["training/elementwise_portable.cc", "kernels/portable.cc", "products/portable.cc"],
    },
    {
      "target_name": "tritsmith",
      "sources": [
        "addon.cc",
        "threads/pool.cc",
        "kernels/pack.cc",
        "kernels/select.cc",
        "products/products.cc",
        "runtime/binding.cc",
        "runtime/conversation.cc",
        "runtime/forward.cc",
        "runtime/gguf.cc",
        "runtime/memory.cc",
        "runtime/model.cc",
        "runtime/sampler.cc",
        "training/calibration.cc",
        "training/training.cc",
      ],
      "include_dirs": ["../node_modules/node-addon-api"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL", "NODE_ADDON_API_DISABLE_DEPRECATED"],
      "dependencies": ["portable"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["avx2", "avxvnni", "avx512", "avx512products", "avx512bf16"]}],
        ["target_arch=='arm64'", {"dependencies": ["neondot"]}],
      ],
    },
  ],
  "conditions": [
    [
      "target_arch=='x64'",
      {
        "targets": [
          {
            "target_name": "avx2",
            "type": "static_library",
            "sources": ["training/elementwise_avx2.cc", "kernels/avx2.cc", "products/avx2.cc"],
            "cflags": ["-mavx2", "-mfma", "-mf16c"],
            "xcode_settings": {"OTHER_CFLAGS": ["-mavx2", "-mfma", "-mf16c"]},
          },
          {
            "target_name": "avxvnni",
            "type": "static_library",
            "sources": ["kernels/avxvnni.cc"],
            "cflags": ["-mavx2", "-mfma", "-mf16c", "-mavxvnni"],
            "xcode_settings": {"OTHER_CFLAGS": ["-mavx2", "-mfma", "-mf16c", "-mavxvnni"]},
          },
          {
            "target_name": "avx512",
            "type": "static_library",
            "sources": ["training/elementwise_avx512.cc", "kernels/avx512vnni.cc"],
            "cflags": ["<@(avx512)", "-mprefer-vector-width=512", "-Wno-uninitialized", "-Wno-maybe-uninitialized"],
            "xcode_settings": {"OTHER_CFLAGS": ["<@(avx512)"]},
          },
          {
            "target_name": "avx512products",
            "type": "static_library",
            "sources": ["products/avx512.cc"],
            "cflags": ["<@(avx512f)", "-mprefer-vector-width=512", "-Wno-uninitialized", "-Wno-maybe-uninitialized"],
            "xcode_settings": {"OTHER_CFLAGS": ["<@(avx512f)"]},
          },
          {
            "target_name": "avx512bf16",
            "type": "static_library",
            "sources": ["products/avx512bf16.cc"],
            "cflags": ["<@(avx512)", "-mavx512bf16", "-mprefer-vector-width=512", "-Wno-uninitialized", "-Wno-maybe-uninitialized"],
            "xcode_settings": {"OTHER_CFLAGS": ["<@(avx512)", "-mavx512bf16"]},
          },
        ],
      },
    ],
    [
      "target_arch=='arm64'",
      {
        "targets": [
          {
            "target_name": "neondot",
            "type": "static_library",
            "sources": ["kernels/neondot.cc"],
            "cflags": ["-march=armv8.2-a+dotprod+fp16"],
            "xcode_settings": {"OTHER_CFLAGS": ["-march=armv8.2-a+dotprod+fp16"]},
          },
        ],
      },
    ],
  ],
}
