#!/usr/bin/env bash
# Builds tod.wasm, or the file that is named: needs clang 14 or later and wasm-ld (Debian: clang lld).
# CLANG and WASM_LD name other ones, as CLANG=clang-14 WASM_LD=wasm-ld-14 ./build.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../tod.wasm}
object=$(mktemp --suffix=.o)
trap 'rm -f "$object"' EXIT

# memcpy and its kind become single instructions (bulk memory), four texels go through F2 at a time (SIMD)
"${CLANG:-clang}" --target=wasm32 -std=c11 -O2 -fno-vectorize -fno-slp-vectorize -msimd128 -mbulk-memory -mnontrapping-fptoint -ffreestanding \
  -fno-builtin-memcmp -fno-builtin-strlen -fno-builtin-strcmp -fno-builtin-strchr -Wall -Wextra -Werror -Wno-unused-function -nostdlibinc \
  -I"$here" -I"$here/../../c" -c "$here/tod_wasm.c" -o "$object"
# the stack lies below the data: running over traps instead of overwriting
"${WASM_LD:-wasm-ld}" --no-entry --stack-first -z stack-size=131072 --gc-sections --strip-all -O3 "$object" -o "$out"
